/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "near.h"

/* One instance among all that run, which tell its namesakes. */
struct shown {
	FILE *out;
	const struct view *view;
	const struct row_match *all, *row;
	size_t n;
};

/* Whether another instance has the same name, under another handle. */
static bool is_namesake(const struct shown *s, const struct row_match *other)
{
	return other != s->row &&
	       !strcmp(other->fixed.text[TEXT_NAME], s->row->fixed.text[TEXT_NAME]);
}

/* --- as text --------------------------------------------------------------------------------- */

static void put_attribute(const struct shown *s, const char *title, enum snapshot_text text)
{
	if (*s->row->fixed.text[text])
		text_line(s->out, "  %-12s %s", title, s->row->fixed.text[text]);
}

/* The same where it is not the handle again. */
static void put_other(const struct shown *s, const char *title, enum snapshot_text text)
{
	if (strcmp(s->row->fixed.text[text], s->row->fixed.text[TEXT_HANDLE]) != 0)
		put_attribute(s, title, text);
}

static void put_attributes(const struct shown *s)
{
	const struct snapshot_row *fixed = &s->row->fixed;
	_cleanup_free_ char *groups = join_lines(fixed->text[TEXT_GROUPS]);
	size_t len;

	text_line(s->out, "%s", fixed->text[TEXT_HANDLE]);
	put_other(s, "name", TEXT_NAME);
	put_attribute(s, "host name", TEXT_HOSTNAME);
	if (groups && *groups)
		text_line(s->out, "  %-12s %s", "groups", groups);
	put_attribute(s, "lxcpath", TEXT_LXCPATH);
	put_attribute(s, "kind", TEXT_KIND);
	put_attribute(s, "state", TEXT_STATE);
	fprintf(s->out, "  %-12s %016" PRIx64 "\n", "run", fixed->run);
	fprintf(s->out, "  %-12s %" PRIu32 "\n", "index", fixed->index);
	put_other(s, "context", TEXT_CONTEXT);
	for (const struct row_match *o = s->all; o < s->all + s->n; o++)
		if (is_namesake(s, o))
			text_line(s->out, "  %-12s %s under %s", "also", o->fixed.text[TEXT_HANDLE],
				o->fixed.text[TEXT_LXCPATH]);
	for_each_line(fixed->text[TEXT_NOTES], line, len)
		text_line(s->out, "  %-12s %.*s", "note", (int)len, line);
	fprintf(s->out, "  %-12s %s ago\n", "sampled",
		cell_duration(s->view->age_ns - s->view->age_ns % NSEC_PER_SEC).text);
}

/* The "key=value" lines of a text. */
static void put_pairs(const struct shown *s, const char *title, enum snapshot_text text)
{
	size_t len;

	if (*s->row->fixed.text[text])
		fprintf(s->out, "\n%s\n", title);
	for_each_line(s->row->fixed.text[text], line, len)
	{
		const char *value = memchr(line, '=', len);
		int key_len = value ? (int)(value - line) : 0;

		if (value)
			text_line(s->out, "  %-12.*s %.*s", key_len, line, (int)len - key_len - 1,
				value + 1);
	}
}

static void put_value(
	const struct shown *s, enum metric_scope scope, size_t row, const struct metric *m)
{
	fprintf(s->out, "  %-28s %9s", m->name,
		cell_value(m, snapshot_value(s->view->snapshot, scope, row, m->id), "unlimited")
			.text);
}

static void put_limits(const struct shown *s)
{
	const struct metric *m;
	size_t len;

	fputs("\nlimits\n", s->out);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const char *cgroup = line_value(s->row->fixed.text[TEXT_LIMITS], m->name, &len);

		if (m->kind != KIND_LIMIT)
			continue;
		put_value(s, SCOPE_INSTANCE, s->row->row, m);
		if (cgroup)
			text_line(s->out, "  set by %.*s", (int)len, cgroup);
		else
			putc('\n', s->out);
	}
}

static void put_disk(const struct shown *s)
{
	const struct snapshot_row *fixed = &s->row->fixed;
	uint64_t now = s->view->info->time_ns + s->view->age_ns;

	if (!*fixed->text[TEXT_DISK] && !(fixed->flags & SNAPSHOT_DISK_WALKING))
		return;
	fputs("\ndisk\n", s->out);
	put_attribute(s, "method", TEXT_DISK);
	if (fixed->disk_time_ns)
		fprintf(s->out, "  %-12s %s (%s ago)\n", "measured",
			cell_time(fixed->disk_time_ns).text,
			cell_duration(now > fixed->disk_time_ns ? now - fixed->disk_time_ns : 0)
				.text);
	if (fixed->flags & SNAPSHOT_DISK_WALKING)
		fprintf(s->out, "  %-12s under way, %" PRIu64 " files so far\n", "walk",
			fixed->disk_progress);
}

static void put_interfaces(const struct shown *s)
{
	const struct interface_row *i;
	size_t n = view_interfaces(s->view, s->row->fixed.index, &i);
	struct snapshot_row fixed;
	const struct metric *m;

	for (; n > 0; n--, i++) {
		snapshot_row(s->view->snapshot, SCOPE_INTERFACE, i->row, &fixed);
		putc('\n', s->out);
		text_line(s->out, "interface %s", fixed.text[TEXT_NAME]);
		for_each_metric (SCOPE_INTERFACE, slot, m) {
			put_value(s, SCOPE_INTERFACE, i->row, m);
			putc('\n', s->out);
		}
	}
}

static void show_text(const struct shown *s)
{
	const struct metric *m;

	put_attributes(s);
	put_pairs(s, "facts", TEXT_FACTS);
	put_pairs(s, "cgroups", TEXT_CGROUPS);
	put_limits(s);
	put_disk(s);
	put_interfaces(s);
	fputs("\nmetrics\n", s->out);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		int version = source_version(m, s->row->fixed.text[TEXT_CGROUPS]);
		_cleanup_free_ char *source = source_text(source_of(m, version), version);

		put_value(s, SCOPE_INSTANCE, s->row->row, m);
		fprintf(s->out, "  %s\n      %s\n", source ? source : "?", m->help);
	}
}

/* --- as JSON --------------------------------------------------------------------------------- */

static void put_sources(struct json_out *j, const char *cgroups)
{
	const struct metric *m;

	json_begin(j, "sources", '{');
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		int version = source_version(m, cgroups);

		json_begin(j, m->name, '{');
		json_text(j, "unit", unit_name(m->unit));
		json_text(j, "kind", kind_name(m->kind));
		json_text(j, "help", m->help);
		json_number(j, "version", (uint64_t)version);
		json_source(j, source_of(m, version), version);
		json_end(j, '}');
	}
	json_end(j, '}');
}

static void show_json(const struct shown *s)
{
	struct json_out j = {.out = s->out};

	document_begin(&j, s->view);
	json_line(&j);
	json_begin(&j, NULL, '{');
	document_instance(&j, s->view, s->row);
	json_begin(&j, "others", '[');
	for (const struct row_match *o = s->all; o < s->all + s->n; o++) {
		if (!is_namesake(s, o))
			continue;
		json_begin(&j, NULL, '{');
		json_text(&j, "handle", o->fixed.text[TEXT_HANDLE]);
		json_text(&j, "lxcpath", o->fixed.text[TEXT_LXCPATH]);
		json_end(&j, '}');
	}
	json_end(&j, ']');
	put_sources(&j, s->row->fixed.text[TEXT_CGROUPS]);
	json_end(&j, '}');
	document_end(&j);
}

/* --- the command ----------------------------------------------------------------------------- */

static int show(const struct cli *cli, const struct view *v, const char *name, bool json)
{
	_cleanup_free_ struct row_match *all = NULL;
	ssize_t n = view_instances(v, NULL, 0, &all);
	struct shown s = {.out = cli->out, .view = v, .all = all, .n = n > 0 ? (size_t)n : 0};

	if (n < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	for (size_t i = 0; i < s.n && !s.row; i++)
		if (!strcmp(all[i].fixed.text[TEXT_HANDLE], name))
			s.row = &all[i];
	if (!s.row)
		return no_such_instance(cli, name, all, s.n);
	(json ? show_json : show_text)(&s);
	return CLI_DONE;
}

int show_main(struct cli *cli, int argc, char **argv)
{
	_cleanup_(view_close) struct view v = {0};
	bool json = false;
	int stale, r = cli_json_option(cli, argc, argv, &json);

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cli_usage(cli, "one instance's name is needed");
	stale = view_open(cli, &v);
	if (!v.snapshot)
		return stale;
	r = show(cli, &v, argv[optind], json);
	return r == CLI_DONE ? stale : r;
}
