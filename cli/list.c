/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "ended.h"
#include "history.h"
#include "moment.h"
#include "top-view.h"

/* What `list` prints, whichever form it takes. */
struct listing {
	struct view view;
	struct row_match *rows;
	size_t n;
	struct ended_list ended;
	bool all, json, csv, wide, reverse;
	const char *at;       /* NULL: now */
	struct moment moment; /* of that time */
	struct top_column sort;
};

/*
 * The table: columns come in by priority as far as the width allows, in this order on the line;
 * what is left over widens the texts.
 */
#define TEXT(t, which, w, p)                                                                       \
	.title = t, .kind = COLUMN_IS_TEXT, .text = which, .width = w, .most = USHRT_MAX,          \
	.priority = p
#define VALUE(t, m, w, p)                                                                          \
	.title = t, .kind = COLUMN_IS_VALUE, .metric = METRIC_##m, .width = w, .priority = p
#define SUM(t, m, n, p)                                                                            \
	.title = t, .kind = COLUMN_IS_SUM, .metric = METRIC_##m, .other = METRIC_##n, .width = 5,  \
	.priority = p

static const struct top_column columns[] = {
	{TEXT("NAME", TEXT_HANDLE, 20, 0)},
	{TEXT("STATE", TEXT_STATE, 7, 9)},
	{VALUE("CPU", CPU_USED_CORES, 5, 1)},
	{VALUE("LIMIT", CPU_LIMIT, 5, 4), .name = "cpu-limit"},
	{VALUE("MEM", MEMORY_WORKING_SET, 5, 2)},
	{VALUE("LIMIT", MEMORY_LIMIT, 5, 5), .name = "mem-limit"},
	{VALUE("MEM%", MEMORY_USED_RATIO, 5, 3)},
	{VALUE("PIDS", PIDS_CURRENT, 5, 6)},
	{VALUE("DISK", DISK_USED, 5, 7)},
	{SUM("IO", IO_READ_BYTES, IO_WRITE_BYTES, 10)},
	{SUM("NET", NETWORK_RECEIVE_BYTES, NETWORK_TRANSMIT_BYTES, 11)},
	{VALUE("OOM", MEMORY_OOM_KILLS, 5, 12)},
	{VALUE("UPTIME", UPTIME, 6, 8)},
	{TEXT("HOSTNAME", TEXT_HOSTNAME, 16, 13)},
	{TEXT("GROUPS", TEXT_GROUPS, 12, 14)},
	{TEXT("LXCPATH", TEXT_LXCPATH, 16, 15)},
};
_Static_assert(ARRAY_SIZE(columns) <= COLUMN_COUNT, "the layout has a place for each column");

/* Of the past rates are known; what a run had used by then seldom is. */
static void make_rate(struct top_column *c)
{
	if (c->kind != COLUMN_IS_SUM)
		return;
	c->kind = COLUMN_IS_RATE;
	c->title = c->metric == METRIC_IO_READ_BYTES ? "IO/s" : "NET/s";
}

static struct top_model model_of(const struct listing *l)
{
	return (struct top_model){.snapshot = l->view.snapshot,
		.sort = COLUMN_COUNT,
		.before = {.rises = l->moment.before.rises},
		.elapsed_ns = l->moment.elapsed_ns};
}

static struct top_row row_of(const struct listing *l, const struct row_match *match)
{
	return (struct top_row){.row = match->row,
		.fixed = match->fixed,
		.before = top_sample_find(&l->moment.before, match->fixed.index, match->fixed.run)};
}

/* --- sorting --------------------------------------------------------------------------------- */

static const char *sort_name(const struct top_column *c)
{
	return c->name ? c->name : c->title;
}

static int find_sort_column(const char *name, struct top_column *ret)
{
	const struct metric *m = metric_by_name(name);

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strcasecmp(sort_name(&columns[i]), name) == 0) {
			*ret = columns[i];
			return 0;
		}
	if (!m || m->scope != SCOPE_INSTANCE)
		return -EINVAL;
	*ret = (struct top_column){.kind = COLUMN_IS_VALUE, .metric = m->id};
	return 0;
}

static int bad_column(const struct cli *cli, const char *name)
{
	char keys[256], *end = keys;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		end = stpcpy(stpcpy(end, " "), sort_name(&columns[i]));
	for (char *p = keys; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return cli_usage(cli, "no column or metric '%s' to sort by; columns:%s", name, keys);
}

/* Absent below all numbers, unlimited above. */
static int compare_values(struct value a, struct value b)
{
	static const int order[] = {[VALUE_ABSENT] = 0, [VALUE_PRESENT] = 1, [VALUE_UNLIMITED] = 2};

	if (a.state != b.state)
		return order[a.state] < order[b.state] ? -1 : 1;
	return a.number < b.number ? -1 : a.number > b.number;
}

static struct value sort_value(const struct listing *l, const struct row_match *match)
{
	const struct top_model model = model_of(l);
	const struct top_row row = row_of(l, match);

	return column_value(&l->sort, &model, &row);
}

static int by_column(const void *a, const void *b, void *data)
{
	const struct row_match *x = a, *y = b;
	const struct listing *l = data;
	enum snapshot_text text = l->sort.text;
	int order;

	if (l->sort.kind == COLUMN_IS_TEXT)
		order = strcmp(x->fixed.text[text], y->fixed.text[text]);
	else /* the heaviest first */
		order = compare_values(sort_value(l, y), sort_value(l, x));
	if (order != 0)
		return l->reverse ? -order : order;
	return strcmp(x->fixed.text[TEXT_HANDLE], y->fixed.text[TEXT_HANDLE]);
}

/* --- the table ------------------------------------------------------------------------------- */

static void put_host(const struct listing *l, struct line *line)
{
	const struct view *v = &l->view;
	struct value total = view_host_value(v, METRIC_HOST_MEMORY_TOTAL);
	struct value used = value_minus(total, view_host_value(v, METRIC_HOST_MEMORY_AVAILABLE));
	const struct metric *memory = metric_by_id(METRIC_HOST_MEMORY_TOTAL);
	const char *host = view_host_text(v, TEXT_NAME);
	uint32_t all = v->info->rows[SCOPE_INSTANCE];
	_cleanup_free_ char *text = NULL, *when = NULL, *age = NULL;
	char shown[32] = "";

	if (l->n < all)
		snprintf(shown, sizeof(shown), "%zu of ", l->n);
	/* Of when it is stands first, so that no narrow screen cuts it. */
	if (l->at)
		when = moment_text(v->info->time_ns, l->moment.step_ns, l->moment.exact);
	else
		age = format_string(
			", %s ago", cell_duration(v->age_ns - v->age_ns % NSEC_PER_SEC).text);
	text = format_string("%s%s%s: %s%u instance%s, CPU %s of %s, memory %s of %s%s",
		*host ? host : "-", when ? " " : "", when ? when : "", shown, all,
		all == 1 ? "" : "s", view_host_cell(v, METRIC_HOST_CPU_USED_CORES).text,
		view_host_cell(v, METRIC_HOST_CPUS).text,
		cell_value(memory, used, "unlimited").text,
		cell_value(memory, total, "unlimited").text, age ? age : "");
	line_put(line, ATTRIBUTE_NORMAL, text ? text : "?");
	line_end(line);
}

static void put_table(const struct cli *cli, const struct listing *l)
{
	const struct top_model model = model_of(l);
	struct top_printer printer = {.out = cli->out};
	struct top_sink sink = top_printer_sink(&printer);
	struct line line = {.sink = &sink, .width = l->wide ? USHRT_MAX : (size_t)cli->width};
	struct top_column table[ARRAY_SIZE(columns)];
	size_t longest[ARRAY_SIZE(columns)] = {0};
	struct top_layout layout;

	memcpy(table, columns, sizeof(columns));
	for (size_t i = 0; l->at && i < ARRAY_SIZE(table); i++)
		make_rate(&table[i]);
	for (size_t i = 0; i < l->n; i++) {
		struct top_row row = row_of(l, &l->rows[i]);

		column_note_widths(table, ARRAY_SIZE(table), &row, longest);
	}
	top_layout_table(table, ARRAY_SIZE(table), longest, line.width, &layout);
	put_host(l, &line);
	top_view_titles(&model, &layout, &sink);
	for (size_t i = 0; i < l->n; i++) {
		struct top_row row = row_of(l, &l->rows[i]);

		top_view_row(&model, &layout, &row, &sink);
	}
}

static void list_text(const struct cli *cli, const struct listing *l)
{
	_cleanup_free_ char *host = text_clean(view_host_text(&l->view, TEXT_NAME));

	if (l->n > 0)
		put_table(cli, l);
	else if (l->ended.n > 0)
		fputs("No instance that matches is running.\n", cli->out);
	else if (l->at)
		fputs(l->view.info->rows[SCOPE_INSTANCE] ? "No instance matches.\n"
							 : "No instance ran then.\n",
			cli->out);
	else if (l->view.info->rows[SCOPE_INSTANCE] > 0)
		fputs("No instance matches.\n", cli->out);
	else
		fprintf(cli->out, "No instance is running on %s.\n",
			host && *host ? host : "this host");
	ended_text(cli, &l->ended, l->wide);
}

/* --- CSV ------------------------------------------------------------------------------------- */

static void list_csv(const struct cli *cli, const struct listing *l)
{
	static const enum snapshot_text texts[] = {TEXT_HANDLE, TEXT_NAME, TEXT_HOSTNAME,
		TEXT_GROUPS, TEXT_LXCPATH, TEXT_KIND, TEXT_STATE};
	const struct snapshot *snapshot = l->view.snapshot;
	const struct metric *m;

	fputs("time,handle,name,hostname,groups,lxcpath,kind,state,run", cli->out);
	for_each_metric (SCOPE_INSTANCE, slot, m)
		fprintf(cli->out, ",%s", m->name);
	putc('\n', cli->out);

	for (const struct row_match *row = l->rows; row < l->rows + l->n; row++) {
		fputs(cell_seconds(l->view.info->time_ns).text, cli->out);
		for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
			const char *s = row->fixed.text[texts[t]];
			_cleanup_free_ char *joined =
				texts[t] == TEXT_GROUPS ? join_lines(s) : NULL;

			putc(',', cli->out);
			csv_text(cli->out, cli->tty, joined ? joined : s);
		}
		fprintf(cli->out, ",%016" PRIx64, row->fixed.run);
		for_each_metric (SCOPE_INSTANCE, slot, m) {
			struct value v = snapshot_value(snapshot, SCOPE_INSTANCE, row->row, m->id);

			fprintf(cli->out, ",%s", cell_exact(m, v).text);
		}
		putc('\n', cli->out);
	}
	ended_csv(cli, &l->ended);
}

/* --- the command ----------------------------------------------------------------------------- */

static void list_json(const struct cli *cli, const struct listing *l)
{
	struct json_out j = {.out = cli->out};

	document_begin(&j, &l->view);
	for (size_t i = 0; i < l->n; i++) {
		json_line(&j);
		json_begin(&j, NULL, '{');
		document_instance(&j, &l->view, &l->rows[i]);
		json_end(&j, '}');
	}
	ended_json(&j, &l->ended);
	document_end(&j);
}

/* -1 to go on, else the exit code. */
static int list_options(const struct cli *cli, int argc, char **argv, struct listing *l)
{
	const char *sort = "name";
	const struct cli_option options[] = {
		{"all", 'a', NULL, &l->all, "also those that have ended, the last first"},
		{"json", 0, NULL, &l->json, "everything, as one JSON document"},
		{"csv", 0, NULL, &l->csv, "all metrics, one line per instance"},
		{"sort", 0, "COLUMN", &sort,
			"a column's title (cpu, cpu-limit, mem%, ...) or a metric"},
		{"reverse", 0, NULL, &l->reverse, "sort the other way round"},
		{"wide", 0, NULL, &l->wide, "all columns, nothing cut"},
		{"at", 0, "WHEN", &l->at, "as it was then: -1d, 'yesterday 03:12', ..."},
	};
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r < 0 && find_sort_column(sort, &l->sort) < 0)
		return bad_column(cli, sort);
	if (r < 0 && l->json && l->csv)
		return cli_usage(cli, "--json and --csv exclude each other");
	if (l->at)
		make_rate(&l->sort);
	return r;
}

/* The table as it was. */
static int open_past(const struct cli *cli, struct listing *l)
{
	uint64_t at_ns;
	struct error err;
	int r;

	if (l->all)
		return cli_usage(cli, "--at shows those that ran then; --all does not go with it");
	if (when_parse(l->at, now_ns(CLOCK_REALTIME), &at_ns) < 0)
		return cli_usage(cli, "'%s' is no time, date or duration", l->at);
	r = moment_load(cli->config, at_ns, &l->moment, &err);
	if (r < 0)
		return cli_fail(cli, r == -ENOENT ? CLI_STALE : CLI_FAILED, "%s", err.text);
	if (view_show(&l->view, TAKE_PTR(l->moment.snapshot)) < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	l->view.age_ns = now_ns(CLOCK_REALTIME) - l->view.info->time_ns;
	return CLI_DONE;
}

int list_main(struct cli *cli, int argc, char **argv)
{
	struct listing l = {0};
	ssize_t n;
	int r = list_options(cli, argc, argv, &l);

	if (r >= 0)
		return r;
	r = l.at ? open_past(cli, &l) : view_open(cli, &l.view);
	if (!l.view.snapshot)
		return r;
	n = view_instances(&l.view, argv + optind, (size_t)(argc - optind), &l.rows);
	if (n >= 0)
		l.n = (size_t)n;
	if (n >= 0 && l.all)
		n = ended_read(cli, &l.view, argv + optind, (size_t)(argc - optind), &l.ended);
	if (n >= 0) {
		qsort_r(l.rows, l.n, sizeof(*l.rows), by_column, &l);
		if (l.json)
			list_json(cli, &l);
		else if (l.csv)
			list_csv(cli, &l);
		else
			list_text(cli, &l);
	} else {
		r = n == -ENOMEM ? cli_fail(cli, CLI_FAILED, "out of memory")
				 : history_failed(cli, "runs", (int)n);
	}
	if (l.ended.damaged)
		cli_fail(cli, r, "%" PRIu64 " damaged lines of the ledger are left out",
			l.ended.damaged);
	ended_free(&l.ended);
	free(l.rows);
	view_close(&l.view);
	moment_free(&l.moment);
	return r;
}
