/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "json.h"

/*
 * The aligned table. Columns come in by rank as far as the width allows, in this order on the
 * line; what is left over widens names, then the texts at the end.
 */
static const struct column columns[] = {
	{.title = "NAME", .text = TEXT_HANDLE, .is_text = true, .width = 20},
	{.title = "STATE", .text = TEXT_STATE, .is_text = true, .width = 7, .rank = 7},
	{.title = "CPU", .metric = {METRIC_CPU_USED_CORES}, .width = 5, .rank = 1},
	{.title = "LIMIT", .key = "cpu-limit", .metric = {METRIC_CPU_LIMIT}, .width = 5, .rank = 3},
	{.title = "MEM", .metric = {METRIC_MEMORY_WORKING_SET}, .width = 5, .rank = 1},
	{.title = "LIMIT",
		.key = "mem-limit",
		.metric = {METRIC_MEMORY_LIMIT},
		.width = 5,
		.rank = 3},
	{.title = "MEM%", .metric = {METRIC_MEMORY_USED_RATIO}, .width = 5, .rank = 2},
	{.title = "PIDS", .metric = {METRIC_PIDS_CURRENT}, .width = 5, .rank = 4},
	{.title = "DISK", .metric = {METRIC_DISK_USED}, .width = 5, .rank = 5},
	{.title = "IO",
		.metric = {METRIC_IO_READ_BYTES, METRIC_IO_WRITE_BYTES},
		.width = 5,
		.rank = 8},
	{.title = "NET",
		.metric = {METRIC_NETWORK_RECEIVE_BYTES, METRIC_NETWORK_TRANSMIT_BYTES},
		.width = 5,
		.rank = 9},
	{.title = "OOM", .metric = {METRIC_MEMORY_OOM_KILLS}, .width = 5, .rank = 10},
	{.title = "UPTIME", .metric = {METRIC_UPTIME}, .width = 6, .rank = 6},
	{.title = "HOSTNAME", .text = TEXT_HOSTNAME, .is_text = true, .width = 16, .rank = 11},
	{.title = "GROUPS", .text = TEXT_GROUPS, .is_text = true, .width = 12, .rank = 12},
	{.title = "LXCPATH", .text = TEXT_LXCPATH, .is_text = true, .width = 16, .rank = 13},
};
#define RANKS 14

struct layout {
	size_t width[ARRAY_SIZE(columns)]; /* 0: not shown */
};

/* --- sorting --------------------------------------------------------------------------------- */

int list_sort_column(const char *name, struct column *ret)
{
	const struct metric *m = metric_by_name(name);

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const char *key = columns[i].key ? columns[i].key : columns[i].title;

		if (strcasecmp(key, name) != 0)
			continue;
		*ret = columns[i];
		return 0;
	}
	if (!m || m->scope != SCOPE_INSTANCE)
		return -EINVAL;
	*ret = (struct column){.title = m->name, .metric = {m->id}};
	return 0;
}

static int bad_column(const struct cli *cli, const char *name)
{
	_cleanup_free_ char *keys = NULL;
	size_t size;
	FILE *out = open_memstream(&keys, &size);

	if (!out)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const char *key = columns[i].key ? columns[i].key : columns[i].title;

		fputs(i ? " " : "", out);
		for (; *key; key++)
			putc(tolower((unsigned char)*key), out);
	}
	fclose(out);
	return cli_usage(cli, "no column or metric '%s' to sort by; columns: %s", name, keys);
}

/* Where a column stands for two metrics their sum; an absent one adds nothing. */
static struct value column_value(const struct view *v, size_t row, const struct column *c)
{
	struct value a = snapshot_value(v->snapshot, SCOPE_INSTANCE, row, c->metric[0]);

	if (c->metric[1])
		value_add(&a, snapshot_value(v->snapshot, SCOPE_INSTANCE, row, c->metric[1]));
	return a;
}

/* Absent below all numbers, unlimited above. */
static int compare_values(struct value a, struct value b)
{
	static const int order[] = {[VALUE_ABSENT] = 0, [VALUE_PRESENT] = 1, [VALUE_UNLIMITED] = 2};

	if (a.state != b.state)
		return order[a.state] < order[b.state] ? -1 : 1;
	return a.number < b.number ? -1 : a.number > b.number;
}

struct sorting {
	const struct view *view;
	struct column column;
	bool reverse;
};

static int by_column(const void *a, const void *b, void *data)
{
	const struct row_match *x = a, *y = b;
	const struct sorting *s = data;
	const struct column *c = &s->column;
	int order;

	if (c->is_text)
		order = strcmp(x->fixed.text[c->text], y->fixed.text[c->text]);
	else /* the heaviest first */
		order = compare_values(
			column_value(s->view, y->row, c), column_value(s->view, x->row, c));
	if (order != 0)
		return s->reverse ? -order : order;
	return strcmp(x->fixed.text[TEXT_HANDLE], y->fixed.text[TEXT_HANDLE]);
}

/* --- the table ------------------------------------------------------------------------------- */

static char *column_text(const struct view *v, const struct row_match *m, const struct column *c)
{
	const char *text = m->fixed.text[c->text];
	char *clean;

	if (!c->is_text)
		return strdup(
			cell_value(metric_by_id(c->metric[0]), column_value(v, m->row, c), "max")
				.text);
	clean = c->text == TEXT_GROUPS ? text_join(text) : text_clean(text);
	if (clean && !*clean) {
		free(clean);
		return strdup("-");
	}
	return clean;
}

static size_t longest(const struct listing *l, const struct column *c)
{
	size_t width = strlen(c->title);

	for (size_t i = 0; i < l->n; i++) {
		_cleanup_free_ char *text = column_text(l->view, &l->rows[i], c);

		width = MAX(width, text ? text_width(text) : 0);
	}
	return width;
}

static void lay_out(const struct listing *l, size_t total, bool wide, struct layout *ret)
{
	size_t used = 0;
	bool full = false;

	*ret = (struct layout){0};
	for (int rank = 0; rank < RANKS && !full; rank++)
		for (size_t i = 0; i < ARRAY_SIZE(columns) && !full; i++) {
			size_t need = columns[i].width + (used > 0);

			if (columns[i].rank != rank)
				continue;
			full = !wide && used > 0 && used + need > total;
			if (full)
				break;
			used += need;
			ret->width[i] = columns[i].width;
		}
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		size_t want = columns[i].is_text && ret->width[i] ? longest(l, &columns[i]) : 0;
		size_t more = want > ret->width[i] ? want - ret->width[i] : 0;

		if (!wide)
			more = MIN(more, total > used ? total - used : 0);
		ret->width[i] += more;
		used += more;
	}
}

/* row NULL: the titles. */
static void put_row(FILE *out, const struct listing *l, const struct layout *layout,
	const struct row_match *row)
{
	const char *separator = "";
	size_t last = ARRAY_SIZE(columns);

	while (last > 0 && !layout->width[last - 1])
		last--;
	for (size_t i = 0; i < last; i++) {
		const struct column *c = &columns[i];
		_cleanup_free_ char *text = NULL, *fit = NULL;

		if (!layout->width[i])
			continue;
		text = row ? column_text(l->view, row, c) : strdup(c->title);
		fit = text ? text_fit(text, layout->width[i], !c->is_text) : NULL;
		if (fit && i == last - 1 && c->is_text) /* no blanks at the end of a line */
			for (char *end = fit + strlen(fit); end > fit && end[-1] == ' ';)
				*--end = '\0';
		fprintf(out, "%s%s", separator, fit ? fit : "?");
		separator = " ";
	}
	putc('\n', out);
}

static struct cell host_cell(const struct view *v, unsigned int id)
{
	return cell_value(
		metric_by_id(id), snapshot_value(v->snapshot, SCOPE_HOST, 0, id), "unlimited");
}

static void put_host(const struct cli *cli, const struct listing *l, bool wide)
{
	const struct view *v = l->view;
	struct value total = snapshot_value(v->snapshot, SCOPE_HOST, 0, METRIC_HOST_MEMORY_TOTAL);
	struct value free =
		snapshot_value(v->snapshot, SCOPE_HOST, 0, METRIC_HOST_MEMORY_AVAILABLE);
	const struct metric *memory = metric_by_id(METRIC_HOST_MEMORY_TOTAL);
	uint32_t all = v->info->rows[SCOPE_INSTANCE];
	_cleanup_free_ char *host = view_host_name(v), *shown = NULL, *line = NULL, *fit = NULL;

	shown = l->n < all ? format_string("%zu of ", l->n) : strdup("");
	line = format_string("%s: %s%u instance%s, CPU %s of %s, memory %s of %s, %s ago",
		host ? host : "-", shown ? shown : "", all, all == 1 ? "" : "s",
		host_cell(v, METRIC_HOST_CPU_USED_CORES).text, host_cell(v, METRIC_HOST_CPUS).text,
		cell_value(memory, value_minus(total, free), "unlimited").text,
		cell_value(memory, total, "unlimited").text,
		cell_duration(v->age_ns - v->age_ns % NSEC_PER_SEC).text);
	if (line && !wide && text_width(line) > (size_t)cli->width)
		fit = text_fit(line, (size_t)cli->width, false);
	fprintf(cli->out, "%s\n", fit ? fit : line ? line : "?");
}

static void list_text(const struct cli *cli, const struct listing *l, bool wide)
{
	_cleanup_free_ char *host = view_host_name(l->view);
	struct layout layout;

	if (l->n == 0) {
		if (l->view->info->rows[SCOPE_INSTANCE] > 0)
			fputs("No instance matches.\n", cli->out);
		else
			fprintf(cli->out, "No instance is running on %s.\n",
				host ? host : "this host");
		return;
	}
	lay_out(l, (size_t)cli->width, wide, &layout);
	put_host(cli, l, wide);
	put_row(cli->out, l, &layout, NULL);
	for (size_t i = 0; i < l->n; i++)
		put_row(cli->out, l, &layout, &l->rows[i]);
}

/* --- the command ----------------------------------------------------------------------------- */

static int list_json(const struct cli *cli, const struct listing *l)
{
	_cleanup_(interface_order_free) struct interface_order *o = interface_order_new(l->view);
	struct json_out j = {.out = cli->out};

	if (!o)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	document_begin(&j, l->view);
	for (size_t i = 0; i < l->n; i++) {
		json_line(&j);
		json_begin(&j, NULL, '{');
		document_instance(&j, l->view, o, &l->rows[i]);
		json_end(&j, '}');
	}
	document_end(&j);
	return CLI_DONE;
}

struct list_options {
	enum {
		LIST_TEXT,
		LIST_JSON,
		LIST_CSV
	} form;
	bool wide;
	struct sorting sorting;
};

/* -1 to go on, else the exit code. */
static int list_options(const struct cli *cli, int argc, char **argv, struct list_options *o)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"csv", no_argument, NULL, 'C'},
		{"sort", required_argument, NULL, 's'},
		{"reverse", no_argument, NULL, 'r'},
		{"wide", no_argument, NULL, 'w'},
		{0},
	};
	int c, exit_code = CLI_DONE;

	while ((c = cli_option(cli, argc, argv, "", longs, &exit_code)) != -1)
		switch (c) {
		case 'j':
			o->form = LIST_JSON;
			break;
		case 'C':
			o->form = LIST_CSV;
			break;
		case 's':
			if (list_sort_column(optarg, &o->sorting.column) < 0)
				return bad_column(cli, optarg);
			break;
		case 'r':
			o->sorting.reverse = true;
			break;
		case 'w':
			o->wide = true;
			break;
		default:
			return exit_code;
		}
	return -1;
}

int list_main(struct cli *cli, int argc, char **argv)
{
	_cleanup_(view_close) struct view v = {0};
	_cleanup_free_ struct row_match *rows = NULL;
	struct list_options o = {.sorting = {.view = &v, .column = columns[0]}};
	struct listing l = {.view = &v};
	ssize_t n;
	int stale, r = list_options(cli, argc, argv, &o);

	if (r >= 0)
		return r;
	stale = view_open(cli, &v);
	if (!v.snapshot)
		return stale;
	n = view_instances(&v, argv + optind, (size_t)(argc - optind), &rows);
	if (n < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	l.rows = rows;
	l.n = (size_t)n;
	qsort_r(rows, l.n, sizeof(*rows), by_column, &o.sorting);
	if (o.form == LIST_JSON)
		r = list_json(cli, &l);
	else if (o.form == LIST_CSV)
		r = list_csv(cli, &l);
	else
		list_text(cli, &l, o.wide);
	return r > 0 ? r : stale;
}
