/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "near.h"

#include <string.h>
#include <strings.h>

#include "../lib/index.h"
#include "../lib/journal.h"
#include "history.h"

#define NEAR_MAX   5
#define NEAR_BYTES 255

size_t edit_distance(const char *a, const char *b)
{
	size_t line[NEAR_BYTES + 1], n = strlen(b);

	if (strlen(a) > NEAR_BYTES || n > NEAR_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		line[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = line[0];

		line[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t change = diagonal + (a[i] != b[j]);

			diagonal = line[j + 1];
			line[j + 1] = MIN(change, MIN(line[j], line[j + 1]) + 1);
		}
	}
	return line[n];
}

/* How near an instance is to what was asked for: 0 the same name or host name, 3 not near. */
static int distance(const struct snapshot_row *fixed, const char *name)
{
	const char *handle = fixed->text[TEXT_HANDLE];
	size_t len = strlen(name);

	if (!strcmp(fixed->text[TEXT_NAME], name) || !strcmp(fixed->text[TEXT_HOSTNAME], name))
		return 0;
	if (len > 0 && (strcasestr(handle, name) || strcasestr(fixed->text[TEXT_HOSTNAME], name)))
		return 1;
	return edit_distance(handle, name) <= (len < 5 ? 1 : 2) ? 2 : 3;
}

struct last_run {
	const char *handle;
	uint64_t end_ns;
	char how[32];
};

static int take_last(void *data, const json_t *line)
{
	struct last_run *last = data;
	uint64_t end_ns = journal_seconds(line, "end");

	if (end_ns < last->end_ns || strcmp(history_text(line, "handle"), last->handle) != 0)
		return 0;
	last->end_ns = end_ns;
	snprintf(last->how, sizeof(last->how), "%s", history_text(line, "how"));
	return 0;
}

/* What ledger and index remember of an instance that does not run now. */
static char *from_index(const struct cli *cli, const char *name)
{
	_cleanup_free_ char *path = config_data_path(cli->config, "index");
	_cleanup_(index_free) struct index *index = NULL;
	const struct index_entry *e;
	struct last_run last = {.handle = name};
	size_t others;

	/* Only a help: whoever may not read the index gets the plain sentence. */
	if (!path || access(path, R_OK) < 0 || index_load(path, &index, NULL) < 0)
		return NULL;
	e = index_by_handle(index, name, &others);
	if (!e)
		return NULL;
	if (journal_read(cli->config->data_dir, "runs", 0, take_last, &last, NULL) == 0 &&
		last.end_ns)
		return format_string("%s does not run; its last run ended at %s (%s), see: "
				     "loadcell runs %s",
			name, cell_time(last.end_ns).text, last.how, name);
	if (!e->last_seen_s)
		return format_string("%s does not run", name);
	return format_string("%s does not run; it was last seen at %s", name,
		cell_time(e->last_seen_s * NSEC_PER_SEC).text);
}

int no_such_instance(const struct cli *cli, const char *name, const struct row_match *all, size_t n)
{
	_cleanup_free_ char *known = from_index(cli, name), *near = NULL;
	size_t found = 0, size;
	FILE *list = open_memstream(&near, &size);

	if (!list)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	for (int d = 0; d < 3; d++)
		for (size_t i = 0; i < n && found < NEAR_MAX; i++) {
			const struct snapshot_row *fixed = &all[i].fixed;

			if (distance(fixed, name) != d)
				continue;
			fprintf(list, "%s%s",
				found++ ? ", " : "; near: ", fixed->text[TEXT_HANDLE]);
			if (d == 0)
				fprintf(list, " under %s", fixed->text[TEXT_LXCPATH]);
		}
	fclose(list);
	if (known)
		return cli_fail(cli, CLI_NO_INSTANCE, "%s%s", known, near);
	return cli_fail(cli, CLI_NO_INSTANCE, "there is no instance '%s'%s", name,
		found ? near : "; see: loadcell list");
}
