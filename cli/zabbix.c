/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <string.h>

/*
 * What a Zabbix agent's item takes in one piece: the named metrics and no others, under their
 * numbers, which never change, as Zabbix 6.0 cuts a value at 512 KB. What is absent, unlimited or
 * empty has no key, and a name that is the handle has none.
 */
#define ASKED_MAX 100

struct asked {
	const struct cli *cli;
	struct view view;
	const struct metric *metrics[ASKED_MAX];
	size_t n;
};

static void put_values(
	struct json_out *j, const struct asked *a, enum metric_scope scope, size_t row)
{
	char key[12];

	json_begin(j, "m", '{');
	for (size_t i = 0; i < a->n; i++) {
		const struct metric *m = a->metrics[i];
		struct value v = value_absent();

		if (m->scope == scope)
			v = snapshot_value(a->view.snapshot, scope, row, m->id);
		if (!value_is_number(v))
			continue;
		snprintf(key, sizeof(key), "%u", m->id);
		json_metric(j, key, m, v);
	}
	json_end(j, '}');
}

/* What is empty or the same has no key: every byte counts a thousand times. */
static void put_text(struct json_out *j, const char *key, const char *text, const char *same)
{
	if (*text && strcmp(text, same) != 0)
		json_text(j, key, text);
}

static bool wants(const struct asked *a, enum metric_scope scope)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->metrics[i]->scope == scope)
			return true;
	return false;
}

static void put_filesystems(struct json_out *j, const struct asked *a)
{
	const struct view *v = &a->view;
	struct snapshot_row fs;

	json_begin(j, "filesystems", '[');
	for (size_t row = 0; row < v->info->rows[SCOPE_FILESYSTEM]; row++) {
		if (snapshot_row(v->snapshot, SCOPE_FILESYSTEM, row, &fs) < 0)
			continue;
		json_begin(j, NULL, '{');
		json_text(j, "mount", fs.text[TEXT_NAME]);
		json_text(j, "type", fs.text[TEXT_KIND]);
		put_values(j, a, SCOPE_FILESYSTEM, row);
		json_end(j, '}');
	}
	json_end(j, ']');
}

static void put_groups(struct json_out *j, const char *lines)
{
	_cleanup_free_ char *text = strdup(lines);

	for (char *p = text; p && *p; p++)
		if (*p == '\n')
			*p = p[1] ? ',' : '\0';
	put_text(j, "groups", text ? text : "", "");
}

static void put_instances(
	struct json_out *j, const struct asked *a, const struct row_match *rows, size_t n)
{
	json_begin(j, "instances", '[');
	for (const struct row_match *r = rows; r < rows + n; r++) {
		const char *handle = r->fixed.text[TEXT_HANDLE];

		json_line(j);
		json_begin(j, NULL, '{');
		json_text(j, "handle", handle);
		put_text(j, "name", r->fixed.text[TEXT_NAME], handle);
		put_text(j, "hostname", r->fixed.text[TEXT_HOSTNAME], "");
		put_groups(j, r->fixed.text[TEXT_GROUPS]);
		json_text(j, "lxcpath", r->fixed.text[TEXT_LXCPATH]);
		json_text(j, "kind", r->fixed.text[TEXT_KIND]);
		put_values(j, a, SCOPE_INSTANCE, r->row);
		json_end(j, '}');
	}
	json_end(j, ']');
}

/* Of stale data only its age is told, so that nobody takes the rest for current. */
static int put_document(struct asked *a)
{
	const struct view *v = &a->view;
	struct json_out j = {.out = a->cli->out};
	struct row_match *rows = NULL;
	ssize_t n = 0;

	json_begin(&j, NULL, '{');
	if (v->snapshot)
		json_seconds(&j, "age", v->age_ns);
	json_number(&j, "stale", !v->snapshot || v->stale);
	if (v->snapshot && !v->stale) {
		json_begin(&j, "host", '{');
		json_text(&j, "name", view_host_text(v, TEXT_NAME));
		put_values(&j, a, SCOPE_HOST, 0);
		json_end(&j, '}');
		if (wants(a, SCOPE_FILESYSTEM))
			put_filesystems(&j, a);
		if (wants(a, SCOPE_INSTANCE))
			n = view_instances(v, NULL, 0, &rows);
		if (n >= 0)
			put_instances(&j, a, rows, (size_t)n);
		free(rows);
	}
	json_end(&j, '}');
	putc('\n', a->cli->out);
	return n < 0 ? cli_fail(a->cli, CLI_FAILED, "out of memory") : CLI_DONE;
}

int zabbix_main(struct cli *cli, int argc, char **argv)
{
	struct asked a = {.cli = cli};
	struct error err = {0};
	int r = cli_options(cli, argc, argv, NULL, 0);

	if (r >= 0)
		return r;
	for (char **name = argv + optind; name < argv + argc; name++) {
		const struct metric *m = metric_by_name(*name);

		if (!m)
			return cli_usage(
				cli, "there is no metric '%s': see loadcell metrics", *name);
		if (a.n == ASKED_MAX)
			return cli_usage(cli, "more than %d metrics", ASKED_MAX);
		a.metrics[a.n++] = m;
	}
	/* That there is no data is an answer, too. */
	r = view_load(cli->config, &a.view, &err);
	if (r < 0 && r != -ENOENT)
		return cli_fail(cli, CLI_FAILED, "%s", err.text);
	r = put_document(&a);
	view_close(&a.view);
	return r;
}
