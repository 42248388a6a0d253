/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal.h"

#include <fnmatch.h>
#include <string.h>
#include <zlib.h>

#define LINE_MAX_BYTES (1024 * 1024)

struct reading {
	int (*call)(void *data, const json_t *line);
	void *data;
	uint64_t damaged;
};

/* gzopen(3) reads plain files too. */
static int read_lines(const char *path, struct reading *r)
{
	_cleanup_free_ char *line = malloc(LINE_MAX_BYTES);
	gzFile f = line ? gzopen(path, "rbe") : NULL;
	int stop = 0;

	if (!f)
		return line && errno == ENOENT ? 0 : -ENOMEM;
	while (!stop && gzgets(f, line, LINE_MAX_BYTES)) {
		json_t *object = json_loads(line, 0, NULL);

		if (json_is_object(object))
			stop = r->call(r->data, object);
		else
			r->damaged++;
		json_decref(object);
	}
	(void)gzclose_r(f);
	return stop;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int journal_read(const char *dir, const char *name, uint64_t since_ns,
	int (*call)(void *data, const json_t *line), void *data, uint64_t *ret_damaged)
{
	_cleanup_free_ char *packed = format_string("%s-*-*.jsonl.gz", name);
	_cleanup_free_ char *newest = format_string("%s/%s.jsonl", dir, name);
	struct reading r = {.call = call, .data = data};
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, NULL, by_name), stop = 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = format_string("%s/%s", dir, entries[i]->d_name);

		if (!stop && path && packed && fnmatch(packed, entries[i]->d_name, 0) == 0)
			stop = read_lines(path, &r);
		free(entries[i]);
	}
	free(entries);
	if (!stop && newest)
		stop = read_lines(newest, &r);
	if (ret_damaged)
		*ret_damaged = r.damaged;
	return stop;
}
