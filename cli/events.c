/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

#include "../lib/journal.h"
#include "../lib/metric-json.h"
#include "history.h"

#define FOLLOW_PAUSE_NS 100000000L
#define LINE_FLAGS      (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(16))
#define FLIGHT_MAX      (64 << 20)
/* Of the samples before an event the text shows so many, or those of so long. */
#define SHOWN_LEAST 12
#define SHOWN_NS    (120 * NSEC_PER_SEC)

struct events {
	const struct cli *cli;
	char *const *patterns;
	size_t n_patterns;
	uint64_t now_ns, since_ns;
	bool json, follow;
	bool shown;       /* some line of text */
	uint64_t last_id; /* handed out already: reading and following overlap */
	json_int_t wanted_id;
	json_t *found;
};

/* --- one line an event ------------------------------------------------------------------------ */

static struct cell bytes_of(const json_t *line, const char *key)
{
	static const struct metric bytes = {.unit = UNIT_BYTES};

	return cell_value(
		&bytes, metric_from_json(&bytes, json_object_get(line, key), SCALE_BASE), "max");
}

static char *oom_text(const json_t *line)
{
	json_int_t kills = json_integer_value(json_object_get(line, "kills"));
	const json_t *victim = json_object_get(line, "victim");
	_cleanup_free_ char *who = NULL;

	if (victim)
		who = format_string(", %s[%" JSON_INTEGER_FORMAT "]", history_text(victim, "name"),
			json_integer_value(json_object_get(victim, "pid")));
	return format_string("%" JSON_INTEGER_FORMAT " kill%s, %s of %s%s", kills,
		kills == 1 ? "" : "s", bytes_of(line, "memory").text, bytes_of(line, "limit").text,
		who ? who : "");
}

static char *limit_text(const json_t *line)
{
	const char *name = history_text(line, "metric");
	const struct metric *m = metric_by_name(name);
	struct value old = value_absent(), new = value_absent();

	if (!m)
		return strdup(name);
	old = metric_from_json(m, json_object_get(line, "old"), SCALE_BASE);
	new = metric_from_json(m, json_object_get(line, "new"), SCALE_BASE);
	return format_string("%s %s -> %s", name, cell_value(m, old, "max").text,
		cell_value(m, new, "max").text);
}

static char *details(const json_t *line)
{
	const char *type = history_text(line, "type"), *how = history_text(line, "how");

	if (!strcmp(type, "oom"))
		return oom_text(line);
	if (!strcmp(type, "limit-changed"))
		return limit_text(line);
	if (!strcmp(type, "flapping"))
		return strdup("5 starts in 5 minutes");
	return strdup(strcmp(how, type) != 0 ? how : "");
}

#define FIXED_WIDTH 36 /* id, time, type and the blanks after them */
#define NAME_WIDTH  14 /* in 80 columns; of more it gets half */

static size_t name_width(const struct events *e)
{
	return NAME_WIDTH + (size_t)MAX(0, e->cli->width - 80) / 2;
}

/* The last column: no blanks behind it. */
static char *cut(const char *text, size_t width)
{
	_cleanup_free_ char *clean = text_clean(text);

	if (!clean || text_width(clean) <= width)
		return TAKE_PTR(clean);
	return text_fit(clean, width, false);
}

static void put_text(const struct events *e, const json_t *line)
{
	size_t room = (size_t)MAX(e->cli->width, 80) - FIXED_WIDTH;
	const char *handle = history_text(line, "handle");
	_cleanup_free_ char *type = text_clean(history_text(line, "type"));
	_cleanup_free_ char *clean = text_clean(handle), *more = details(line);
	_cleanup_free_ char *name = NULL, *rest = NULL;

	if (more && *more) {
		/* A long name takes what the details leave. */
		size_t left = room - 1 - MIN(room - 1, text_width(more));
		size_t width = MIN(clean ? text_width(clean) : 0, left);

		width = MAX(width, name_width(e));
		name = clean ? text_fit(clean, width, false) : NULL;
		rest = cut(more, room - width - 1);
	} else {
		name = cut(handle, room);
	}
	fprintf(e->cli->out, "%6" JSON_INTEGER_FORMAT " %-14s %-13.13s %s%s%s\n",
		json_integer_value(json_object_get(line, "id")),
		when_cell(journal_seconds(line, "time"), e->now_ns, true).text, type ? type : "?",
		name ? name : "?", rest ? " " : "", rest ? rest : "");
}

static void put_titles(struct events *e)
{
	if (!e->shown && !e->follow)
		fprintf(e->cli->out, "%6s %-14s %-13s %-*s DETAILS\n", "ID", "TIME", "EVENT",
			(int)name_width(e), "NAME");
	e->shown = true;
}

static int put_event(void *data, const json_t *line)
{
	struct events *e = data;
	json_int_t id = json_integer_value(json_object_get(line, "id"));

	if (e->wanted_id) {
		if (id != e->wanted_id)
			return 0;
		e->found = json_incref((json_t *)(uintptr_t)line);
		return 1;
	}
	/* What is followed begins within what was read. */
	if ((e->follow && id <= (json_int_t)e->last_id) ||
		journal_seconds(line, "time") < e->since_ns)
		return 0;
	e->last_id = MAX(e->last_id, (uint64_t)id);
	if (!history_matches(line, e->patterns, e->n_patterns))
		return 0;
	if (!e->json) {
		put_titles(e);
		put_text(e, line);
		return 0;
	}
	json_dumpf(line, e->cli->out, LINE_FLAGS);
	putc('\n', e->cli->out);
	return 0;
}

/* --- the samples before an event -------------------------------------------------------------- */

/* NULL: none were kept, or they are damaged. */
static json_t *read_flight(const struct config *config, json_int_t id)
{
	_cleanup_free_ char *path =
		format_string("%s/flight/%" JSON_INTEGER_FORMAT ".json.gz", config->data_dir, id);
	_cleanup_free_ char *text = NULL;
	size_t len = 0, size = 0;
	json_t *flight;
	int n = 0;
	gzFile gz = path ? gzopen(path, "re") : NULL;

	if (!gz)
		return NULL;
	do {
		if (len == size) {
			char *bigger = realloc(text, size ? 2 * size : 65536);

			if (!bigger)
				break;
			text = bigger;
			size = size ? 2 * size : 65536;
		}
		n = gzread(gz, text + len, (unsigned int)(size - len));
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < FLIGHT_MAX);
	gzclose(gz);
	flight = json_loadb(text ? text : "", len, 0, NULL);
	if (json_is_array(json_object_get(flight, "samples")))
		return flight;
	json_decref(flight);
	return NULL;
}

#define VALUE(t, w, m) .title = t, .width = w, .metric = METRIC_##m
#define RATE(t, w, m)  VALUE(t, w, m), .rate = true

static const struct history_column columns[] = {
	{VALUE("CPU", 6, CPU_USED_CORES)},
	{VALUE("MEM", 6, MEMORY_WORKING_SET)},
	{VALUE("LIMIT", 6, MEMORY_LIMIT)},
	{VALUE("PIDS", 6, PIDS_CURRENT)},
	{RATE("RD/s", 6, IO_READ_BYTES)},
	{RATE("WR/s", 6, IO_WRITE_BYTES)},
};

static size_t first_shown(const json_t *samples, uint64_t event_ns)
{
	size_t n = json_array_size(samples), first = n - MIN(n, (size_t)SHOWN_LEAST);

	while (first > 0 &&
		journal_seconds(json_array_get(samples, first - 1), "time") + SHOWN_NS >= event_ns)
		first--;
	return first;
}

static void put_flight(const struct events *e, const json_t *samples, uint64_t event_ns)
{
	size_t count = metric_count(SCOPE_INSTANCE), first = first_shown(samples, event_ns), i;
	_cleanup_free_ struct value *values = calloc(2 * count, sizeof(*values));
	struct value *now = values, *before = NULL;
	uint64_t before_ns = 0;
	json_t *sample;
	FILE *out = e->cli->out;

	fprintf(out, "\n%-14s", "TIME");
	for (size_t c = 0; c < ARRAY_SIZE(columns); c++)
		fprintf(out, " %*s", columns[c].width, columns[c].title);
	putc('\n', out);
	json_array_foreach (samples, i, sample) {
		uint64_t time_ns = journal_seconds(sample, "time");

		if (!values || i + 1 < first)
			continue;
		memset(now, 0, count * sizeof(*now));
		metrics_from_json(json_object_get(sample, "metrics"), SCALE_BASE, now);
		if (i >= first)
			fprintf(out, "%-14s", when_cell(time_ns, e->now_ns, true).text);
		for (size_t c = 0; i >= first && c < ARRAY_SIZE(columns); c++)
			fprintf(out, " %*s", columns[c].width,
				history_cell(
					&columns[c], now, before, time_ns - MIN(time_ns, before_ns))
					.text);
		if (i >= first)
			putc('\n', out);
		before = now;
		before_ns = time_ns;
		now = now == values ? values + count : values;
	}
}

static int put_one(struct events *e)
{
	json_t *flight = read_flight(e->cli->config, e->wanted_id);
	uint64_t time_ns = journal_seconds(e->found, "time");

	if (e->json) {
		json_object_set_new(e->found, "flight", flight ? flight : json_null());
		json_dumpf(e->found, e->cli->out, LINE_FLAGS);
		putc('\n', e->cli->out);
		return CLI_DONE;
	}
	put_text(e, e->found);
	if (flight)
		put_flight(e, json_object_get(flight, "samples"), time_ns);
	else
		fputs("No samples were kept with this event.\n", e->cli->out);
	json_decref(flight);
	return CLI_DONE;
}

/* --- the command ------------------------------------------------------------------------------ */

static int follow(struct events *e, struct journal_tail *tail)
{
	const struct timespec pause = {0, FOLLOW_PAUSE_NS};
	int r = 0;

	while (r == 0 && fflush(e->cli->out) == 0) {
		r = journal_tail_read(tail, put_event, e);
		e->now_ns = now_ns(CLOCK_REALTIME);
		if (r == 0)
			nanosleep(&pause, NULL);
	}
	return r < 0 ? history_failed(e->cli, "events", r) : CLI_DONE;
}

/* Without one, what has happened since it stopped is missing: says so, as all commands do. */
static int check_collector(const struct cli *cli)
{
	struct view v;
	int exit = view_open(cli, &v);

	if (v.snapshot)
		view_close(&v);
	return exit;
}

static int read_all(struct events *e)
{
	_cleanup_(journal_tail_close) struct journal_tail *tail = NULL;
	const char *dir = e->cli->config->data_dir;
	uint64_t damaged = 0;
	int exit = e->wanted_id ? CLI_DONE : check_collector(e->cli);
	int r = e->follow ? journal_tail_open(dir, "events", &tail) : 0;

	/* Without --since only what is new is followed. */
	if (r == 0 && !(e->follow && !e->since_ns))
		r = journal_read(dir, "events", e->since_ns, put_event, e, &damaged);
	if (r < 0)
		return exit != CLI_DONE ? exit : history_failed(e->cli, "events", r);
	if (damaged)
		cli_fail(e->cli, CLI_DONE, "%" PRIu64 " damaged lines of the events are left out",
			damaged);
	if (!e->json && !e->follow && !e->wanted_id && !e->shown && exit == CLI_DONE)
		fputs(e->since_ns       ? "No event since then.\n"
			: e->n_patterns ? "No event of such an instance is known.\n"
					: "No event is known.\n",
			e->cli->out);
	return e->follow ? follow(e, tail) : exit;
}

static int read_one(struct events *e, const char *id)
{
	char *end;
	int r;

	e->wanted_id = strtoll(id, &end, 10);
	if (*end || e->wanted_id <= 0)
		return cli_usage(e->cli, "'%s' is no number of an event", id);
	e->follow = false;
	e->since_ns = 0;
	r = read_all(e);
	if (r == CLI_DONE && !e->found)
		return cli_fail(e->cli, CLI_NO_INSTANCE, "there is no event %s", id);
	r = r == CLI_DONE ? put_one(e) : r;
	json_decref(e->found);
	return r;
}

int events_main(struct cli *cli, int argc, char **argv)
{
	struct events e = {.cli = cli, .now_ns = now_ns(CLOCK_REALTIME)};
	const char *since = NULL, *id = NULL;
	const struct cli_option options[] = {
		{"follow", 'f', NULL, &e.follow, "go on with what happens from now on"},
		{"since", 0, "WHEN", &since, "only later ones: 1h, 7d, 2025-06-01 12:30"},
		{"id", 0, "ID", &id, "one event and the samples before it"},
		{"json", 0, NULL, &e.json, "one JSON object an event"},
	};
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r >= 0)
		return r;
	if (since && when_parse(since, e.now_ns, &e.since_ns) < 0)
		return cli_usage(cli, "'%s' is no duration, date or time", since);
	e.patterns = argv + optind;
	e.n_patterns = (size_t)(argc - optind);
	if (id && (e.follow || e.n_patterns))
		return cli_usage(cli, "--id tells of one event: no name, no --follow");
	return id ? read_one(&e, id) : read_all(&e);
}
