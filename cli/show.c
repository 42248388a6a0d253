/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "near.h"

/* One instance among all that run, which tell its namesakes. */
struct shown {
	const struct cli *cli;
	const struct view *view;
	const struct row_match *all, *row;
	size_t n;
};

static void put_attribute(FILE *out, const char *title, const char *text)
{
	_cleanup_free_ char *clean = text && *text ? text_clean(text) : NULL;

	if (clean)
		fprintf(out, "  %-12s %s\n", title, clean);
}

/* The next instance after `from` that has the same name under another handle; NULL at the end. */
static const struct row_match *next_namesake(const struct shown *s, const struct row_match *from)
{
	const struct row_match *end = s->all + s->n;

	for (from = from ? from + 1 : s->all; from < end; from++)
		if (from != s->row &&
			!strcmp(from->fixed.text[TEXT_NAME], s->row->fixed.text[TEXT_NAME]))
			return from;
	return NULL;
}

static void put_namesakes(const struct shown *s)
{
	for (const struct row_match *o = NULL; (o = next_namesake(s, o));) {
		_cleanup_free_ char *handle = text_clean(o->fixed.text[TEXT_HANDLE]);
		_cleanup_free_ char *path = text_clean(o->fixed.text[TEXT_LXCPATH]);

		if (handle && path)
			fprintf(s->cli->out, "  %-12s %s under %s\n", "also", handle, path);
	}
}

static void put_lines(FILE *out, const char *title, const char *text)
{
	size_t len;

	for_each_line(text, line, len)
	{
		_cleanup_free_ char *clean = text_clean_n(line, len);

		if (clean)
			fprintf(out, "  %-12s %s\n", title, clean);
	}
}

static void put_attributes(const struct shown *s)
{
	const struct snapshot_row *fixed = &s->row->fixed;
	_cleanup_free_ char *handle = text_clean(fixed->text[TEXT_HANDLE]);
	_cleanup_free_ char *groups = text_join(fixed->text[TEXT_GROUPS]);
	FILE *out = s->cli->out;

	fprintf(out, "%s\n", handle ? handle : "?");
	if (strcmp(fixed->text[TEXT_NAME], fixed->text[TEXT_HANDLE]) != 0)
		put_attribute(out, "name", fixed->text[TEXT_NAME]);
	put_attribute(out, "host name", fixed->text[TEXT_HOSTNAME]);
	put_attribute(out, "groups", groups);
	put_attribute(out, "lxcpath", fixed->text[TEXT_LXCPATH]);
	put_attribute(out, "kind", fixed->text[TEXT_KIND]);
	put_attribute(out, "state", fixed->text[TEXT_STATE]);
	fprintf(out, "  %-12s %016" PRIx64 "\n", "run", fixed->run);
	fprintf(out, "  %-12s %" PRIu32 "\n", "index", fixed->index);
	if (strcmp(fixed->text[TEXT_CONTEXT], fixed->text[TEXT_HANDLE]) != 0)
		put_attribute(out, "context", fixed->text[TEXT_CONTEXT]);
	put_namesakes(s);
	put_lines(out, "note", fixed->text[TEXT_NOTES]);
	fprintf(out, "  %-12s %s ago\n", "sampled",
		cell_duration(s->view->age_ns - s->view->age_ns % NSEC_PER_SEC).text);
}

static void put_cgroups(const struct shown *s)
{
	const char *cgroups = s->row->fixed.text[TEXT_CGROUPS];
	size_t len;

	fputs("\ncgroups\n", s->cli->out);
	for_each_line(cgroups, line, len)
	{
		_cleanup_free_ char *clean = text_clean_n(line, len);
		char *equals = clean ? strchr(clean, '=') : NULL;

		if (!equals)
			continue;
		*equals = '\0';
		fprintf(s->cli->out, "  %-12s %s\n", clean, equals + 1);
	}
}

static struct cell instance_cell(const struct shown *s, const struct metric *m)
{
	return cell_value(m, snapshot_value(s->view->snapshot, SCOPE_INSTANCE, s->row->row, m->id),
		"unlimited");
}

static void put_limits(const struct shown *s)
{
	const struct metric *m;
	size_t len;

	fputs("\nlimits\n", s->cli->out);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const char *cgroup = line_value(s->row->fixed.text[TEXT_LIMITS], m->name, &len);
		_cleanup_free_ char *clean = cgroup ? text_clean_n(cgroup, len) : NULL;

		if (m->kind != KIND_LIMIT)
			continue;
		if (clean)
			fprintf(s->cli->out, "  %-28s %9s  set by %s\n", m->name,
				instance_cell(s, m).text, clean);
		else
			fprintf(s->cli->out, "  %-28s %9s\n", m->name, instance_cell(s, m).text);
	}
}

static void put_disk(const struct shown *s)
{
	const struct snapshot_row *fixed = &s->row->fixed;
	uint64_t now = s->view->info->time_ns + s->view->age_ns;

	if (!*fixed->text[TEXT_DISK] && !(fixed->flags & SNAPSHOT_DISK_WALKING))
		return;
	fputs("\ndisk\n", s->cli->out);
	put_attribute(s->cli->out, "method", fixed->text[TEXT_DISK]);
	if (fixed->disk_time_ns)
		fprintf(s->cli->out, "  %-12s %s (%s ago)\n", "measured",
			cell_time(fixed->disk_time_ns).text,
			cell_duration(now > fixed->disk_time_ns ? now - fixed->disk_time_ns : 0)
				.text);
	if (fixed->flags & SNAPSHOT_DISK_WALKING)
		fprintf(s->cli->out, "  %-12s under way, %" PRIu64 " files so far\n", "walk",
			fixed->disk_progress);
}

static void put_interfaces(const struct shown *s)
{
	const struct interface_row *i;
	size_t n = view_interfaces(s->view, s->row->fixed.index, &i);
	const struct snapshot *snapshot = s->view->snapshot;
	struct snapshot_row fixed;
	const struct metric *m;

	for (; n > 0; n--, i++) {
		_cleanup_free_ char *name = NULL;

		if (snapshot_row(snapshot, SCOPE_INTERFACE, i->row, &fixed) < 0)
			continue;
		name = text_clean(fixed.text[TEXT_NAME]);
		fprintf(s->cli->out, "\ninterface %s\n", name ? name : "?");
		for_each_metric (SCOPE_INTERFACE, slot, m) {
			struct value v = snapshot_value(snapshot, SCOPE_INTERFACE, i->row, m->id);

			fprintf(s->cli->out, "  %-28s %9s\n", m->name,
				cell_value(m, v, "unlimited").text);
		}
	}
}

static void put_values(const struct shown *s)
{
	const struct metric *m;

	fputs("\nmetrics\n", s->cli->out);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		int version = source_version(m, s->row->fixed.text[TEXT_CGROUPS]);
		_cleanup_free_ char *source = source_text(source_of(m, version), version);

		fprintf(s->cli->out, "  %-28s %9s  %s\n      %s\n", m->name,
			instance_cell(s, m).text, source ? source : "?", m->help);
	}
}

static void show_json(const struct shown *s)
{
	struct json_out j = {.out = s->cli->out};
	const struct metric *m;

	document_begin(&j, s->view);
	json_line(&j);
	json_begin(&j, NULL, '{');
	document_instance(&j, s->view, s->row);
	json_begin(&j, "others", '[');
	for (const struct row_match *o = NULL; (o = next_namesake(s, o));) {
		json_begin(&j, NULL, '{');
		json_text(&j, "handle", o->fixed.text[TEXT_HANDLE]);
		json_text(&j, "lxcpath", o->fixed.text[TEXT_LXCPATH]);
		json_end(&j, '}');
	}
	json_end(&j, ']');
	json_begin(&j, "sources", '{');
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		int version = source_version(m, s->row->fixed.text[TEXT_CGROUPS]);

		json_begin(&j, m->name, '{');
		json_text(&j, "unit", unit_name(m->unit));
		json_text(&j, "kind", kind_name(m->kind));
		json_text(&j, "help", m->help);
		json_number(&j, "version", (uint64_t)version);
		json_source(&j, source_of(m, version), version);
		json_end(&j, '}');
	}
	json_end(&j, '}');
	json_end(&j, '}');
	document_end(&j);
}

static void show_text(const struct shown *s)
{
	put_attributes(s);
	put_cgroups(s);
	put_limits(s);
	put_disk(s);
	put_interfaces(s);
	put_values(s);
}

static int show(const struct cli *cli, const struct view *v, const char *name, bool json)
{
	_cleanup_free_ struct row_match *all = NULL;
	ssize_t n = view_instances(v, NULL, 0, &all);
	struct shown s = {.cli = cli, .view = v, .all = all};

	if (n < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	s.n = (size_t)n;
	for (size_t i = 0; i < s.n && !s.row; i++)
		if (!strcmp(all[i].fixed.text[TEXT_HANDLE], name))
			s.row = &all[i];
	if (!s.row)
		return no_such_instance(cli, name, all, s.n);
	if (json)
		show_json(&s);
	else
		show_text(&s);
	return CLI_DONE;
}

int show_main(struct cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	_cleanup_(view_close) struct view v = {0};
	bool json = false;
	int c, stale, r = CLI_DONE;

	while ((c = cli_option(cli, argc, argv, "", longs, &r)) != -1) {
		if (c != 'j')
			return r;
		json = true;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "one instance's name is needed");
	stale = view_open(cli, &v);
	if (!v.snapshot)
		return stale;
	r = show(cli, &v, argv[optind], json);
	return r == CLI_DONE ? stale : r;
}
