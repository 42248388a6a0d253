/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top.h"

#include <string.h>
#include <strings.h>

#include "../lib/when.h"
#include "moment.h"
#include "top-view.h"

/* `loadcell top`: the live table on a terminal, or tables one after another without one. */

/* A column by its title without "/s" and "%", in any case, or by its key. */
static int parse_column(const char *text, enum top_column_id *ret)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		const char *title = top_columns[i].title;
		size_t len = strcspn(title, "/%");

		if (!strcasecmp(text, title) ||
			(strlen(text) == len && !strncasecmp(text, title, len)) ||
			(text[0] == top_columns[i].key && !text[1])) {
			*ret = (enum top_column_id)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int bad_column(const struct cli *cli, const char *text)
{
	char list[256] = "";

	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, " %s", top_columns[i].title);
	}
	return cli_usage(cli, "--sort \"%s\" is none of%s.", text, list);
}

/* What is empty was not given. */
struct texts {
	const char *delay, *count, *sort, *filter, *at;
};

static int take_texts(struct top *t, const struct texts *o)
{
	enum top_column_id column = COLUMN_CPU;
	char *end;
	double seconds = strtod(o->delay, &end);

	if (*o->delay && (*end || !(seconds >= 0.1 && seconds <= 3600)))
		return cli_usage(t->cli, "-d takes 0.1 to 3600 seconds, not \"%s\".", o->delay);
	t->delay_ns = (uint64_t)(seconds * 1e9);
	t->count = strtoul(o->count, &end, 10);
	if (*o->count && (*end || *o->count == '-' || !t->count))
		return cli_usage(t->cli, "-n takes a number from 1 on, not \"%s\".", o->count);
	if (*o->at && when_parse(o->at, now_ns(CLOCK_REALTIME), &t->at_ns) < 0)
		return cli_usage(t->cli, "--at \"%s\" is no time, date or duration.", o->at);
	if (*o->sort && parse_column(o->sort, &column) < 0)
		return bad_column(t->cli, o->sort);
	t->model.sort = column;
	t->model.ascending = top_columns[column].kind == COLUMN_IS_TEXT;
	if (strlen(o->filter) >= TOP_FILTER_MAX)
		return cli_usage(t->cli, "The filter is longer than %d bytes.", TOP_FILTER_MAX - 1);
	strcpy(t->model.filter, o->filter);
	return -1;
}

/* -1 to go on, else the exit code. */
static int read_options(struct top *t, int argc, char **argv, bool *ret_batch)
{
	struct texts o = {"", "", "", "", ""};
	const struct cli_option options[] = {
		{"batch", 'b', NULL, ret_batch, "print tables instead of drawing on the terminal"},
		{"delay", 'd', "S", &o.delay, "look for a new sample every S seconds"},
		{"count", 'n', "N", &o.count, "end after N tables; means --batch"},
		{"sort", 's', "C", &o.sort, "sort by column C"},
		{"filter", 'f', "T", &o.filter,
			"only instances whose name, host name or group has T"},
		{"at", 0, "WHEN", &o.at,
			"as it was then: -1h, 'yesterday 03:12', ...; arrow keys step on"},
	};
	int r = cli_options(t->cli, argc, argv, options, ARRAY_SIZE(options));

	if (r >= 0)
		return r;
	if (optind < argc)
		return cli_usage(t->cli, "\"%s\" is one argument too many.", argv[optind]);
	*ret_batch = *ret_batch || *o.count;
	return take_texts(t, &o);
}

/* --- the past --------------------------------------------------------------------------------- */

int top_look(struct top *t)
{
	struct moment moment;
	int r;

	if (!t->at_ns)
		return top_model_refresh(&t->model, t->path, t->ring_path);
	if (t->at_ns == t->shown_ns)
		return 0;
	t->shown_ns = t->at_ns;
	r = moment_load(t->cli->config, t->at_ns, &moment, &t->model.error);
	if (r < 0)
		return r;
	r = top_model_show(&t->model, TAKE_PTR(moment.snapshot), TAKE_PTR(moment.image),
		&moment.before, moment.exact);
	moment_free(&moment);
	return r < 0 ? r : 1;
}

void top_to_present(struct top *t)
{
	if (t->at_ns)
		top_model_forget(&t->model);
	t->at_ns = t->shown_ns = 0;
}

void top_travel(struct top *t, int intervals)
{
	const struct snapshot_info *info =
		t->model.snapshot ? snapshot_info(t->model.snapshot) : NULL;
	uint64_t step = info ? info->interval_ns : 10 * NSEC_PER_SEC, now = now_ns(CLOCK_REALTIME);
	uint64_t from = t->at_ns ? t->at_ns : info ? info->time_ns : now;
	uint64_t by = step * (uint64_t)abs(intervals);

	if (intervals < 0)
		t->at_ns = from > by ? from - by : 1;
	else if (t->at_ns && from + by + step / 2 < now)
		t->at_ns = from + by;
	else
		top_to_present(t);
}

/* --- tables one after another, for pipes, logs and terminals that cannot do more -------------- */

#define LOOK_NS (NSEC_PER_SEC / 10)

static void print_table(struct top *t)
{
	struct top_printer printer = {.out = t->cli->out};
	struct top_sink sink = top_printer_sink(&printer);
	size_t width = (size_t)MAX(t->cli->width, 1);
	const struct top_model *m = &t->model;
	struct top_layout layout;

	top_view_header(m, width, false, &sink);
	top_view_banner(m, width, &sink);
	if (m->snapshot) {
		top_layout_for(m, width, &layout);
		top_view_titles(m, &layout, &sink);
		for (size_t i = 0; i < m->shown_count; i++)
			top_view_row(m, &layout, m->shown[i], &sink);
	}
	putc('\n', t->cli->out);
	fflush(t->cli->out);
}

/* Waits for the next sample, but not for ever: that none comes is worth a table, too. */
static void wait_for_sample(struct top *t)
{
	struct top_model *m = &t->model;
	uint64_t start = now_ns(CLOCK_MONOTONIC), patience = NSEC_PER_SEC;
	bool fresh = false;

	if (m->snapshot)
		patience = 2 * snapshot_info(m->snapshot)->interval_ns + NSEC_PER_SEC;
	patience = MAX(patience, t->delay_ns);
	for (;;) {
		struct timespec look = {.tv_nsec = LOOK_NS};
		uint64_t waited;

		clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
		if (top_look(t) == 1)
			fresh = true;
		waited = now_ns(CLOCK_MONOTONIC) - start;
		if ((fresh && waited >= t->delay_ns) || waited >= patience)
			return;
	}
}

static int batch_run(struct top *t)
{
	struct top_model *m = &t->model;
	uint64_t printed = 0;

	top_look(t);
	if (t->at_ns)
		t->count = 1; /* it does not change */
	for (;;) {
		print_table(t);
		if (ferror(t->cli->out))
			return CLI_FAILED;
		if (t->count && ++printed >= t->count)
			break;
		wait_for_sample(t);
	}
	return !m->snapshot || m->error.text[0] || top_model_is_stale(m) ? CLI_STALE : CLI_DONE;
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(struct top *t, bool batch)
{
	int r;

	if (batch || !t->cli->tty || !isatty(STDIN_FILENO))
		return batch_run(t);
	r = top_screen_run(t);
	if (r == -ENOTTY) {
		fprintf(t->cli->err, "loadcell top: The terminal type \"%s\" cannot be drawn on.\n",
			getenv("TERM") ? getenv("TERM") : "");
		return batch_run(t);
	}
	return r < 0 ? cli_fail(t->cli, CLI_FAILED, "%s.", strerror(-r)) : r;
}

int top_main(struct cli *cli, int argc, char **argv)
{
	struct top t = {.cli = cli};
	bool batch = false;
	int r = read_options(&t, argc, argv, &batch);

	if (r >= 0)
		return r;
	t.path = config_run_path(cli->config, "snapshot");
	t.ring_path = config_run_path(cli->config, "recent");
	if (!t.path || !t.ring_path)
		return cli_fail(cli, CLI_FAILED, "%s.", strerror(ENOMEM));
	t.model.config = cli->config;
	r = run(&t, batch);
	top_model_free(&t.model);
	free(t.path);
	free(t.ring_path);
	return r;
}
