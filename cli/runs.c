/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "../lib/facts.h"
#include "../lib/journal.h"
#include "../lib/metric-json.h"
#include "history.h"
#include "json.h"

/*
 * The run ledger, newest first, and before it what still runs. Each run is made into its line of
 * output when it is read, so that ten thousand of them take no more than their text.
 */
enum form {
	FORM_TEXT,
	FORM_JSON,
	FORM_CSV
};

struct output {
	uint64_t end_ns, start_ns; /* end: UINT64_MAX while it runs */
	char *text;
	uint64_t run;
};

struct runs {
	const struct cli *cli;
	enum form form;
	char *const *patterns;
	size_t n_patterns;
	uint64_t now_ns, since_ns;
	struct output *out;
	size_t n, size;
	bool marked; /* some were closed from their last sample */
	struct value *values;
};

/* One run, from the ledger or the snapshot. */
struct one {
	const char *name, *handle, *hostname, *lxcpath, *kind, *rootfs, *how, *source, *network;
	const char *groups; /* one a line */
	const json_t *facts;
	uint64_t run, index, start_ns, end_ns, samples;
	bool running;
	const struct value *values;
};

#define VALUE(t, w, m)  .title = t, .width = w, .metric = METRIC_##m
#define SUM(t, w, m, o) .title = t, .width = w, .metric = METRIC_##m, .other = METRIC_##o

static const struct history_column columns[] = {
	{VALUE("CPU", 6, CPU_USAGE)},
	{VALUE("PEAK", 5, MEMORY_PEAK)},
	{SUM("IO", 5, IO_READ_BYTES, IO_WRITE_BYTES)},
	{SUM("NET", 5, NETWORK_RECEIVE_BYTES, NETWORK_TRANSMIT_BYTES)},
	{VALUE("OOM", 3, MEMORY_OOM_KILLS)},
};

#define DAY_NS      (86400 * NSEC_PER_SEC)
#define NAME_WIDTH  17
#define FIXED_WIDTH 63 /* of all other columns and the blanks between */

/* --- the forms -------------------------------------------------------------------------------- */

static uint64_t lasted_ns(const struct runs *r, const struct one *o)
{
	uint64_t end = o->running ? r->now_ns : o->end_ns;

	return o->start_ns && end > o->start_ns ? end - o->start_ns : 0;
}

/* Beside the start: the time of day, and of what lasted a day or longer the date. */
static struct cell end_cell(const struct one *o)
{
	bool same_day = o->start_ns && o->end_ns < o->start_ns + DAY_NS;
	time_t t = (time_t)(o->end_ns / NSEC_PER_SEC);
	struct cell c = {"-"};
	struct tm tm;

	if (o->end_ns && localtime_r(&t, &tm))
		(void)strftime(c.text, sizeof(c.text), same_day ? "%H:%M" : "%m-%d", &tm);
	return c;
}

static int name_width(const struct runs *r)
{
	return MAX(NAME_WIDTH, r->cli->width - FIXED_WIDTH);
}

static void put_text(struct runs *r, const struct one *o, FILE *out)
{
	_cleanup_free_ char *clean = text_clean(o->handle);
	_cleanup_free_ char *name = clean ? text_fit(clean, (size_t)name_width(r), false) : NULL;
	bool sampled = !o->running && strcmp(o->source, "hook") != 0;
	char how[16];

	snprintf(how, sizeof(how), "%.7s%s", strcmp(o->how, "host-crash") == 0 ? "crash" : o->how,
		sampled ? "*" : "");
	r->marked |= sampled;
	fprintf(out, "%s %-11s %-5s %6s %-8s", name ? name : "?",
		when_cell(o->start_ns, r->now_ns, false).text, end_cell(o).text,
		o->start_ns ? cell_duration(lasted_ns(r, o)).text : "-", how);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(out, " %*s", columns[i].width,
			history_cell(&columns[i], o->values, NULL, 0).text);
	putc('\n', out);
}

static void put_time(struct json_out *j, const char *key, uint64_t ns)
{
	if (ns)
		json_seconds(j, key, ns);
	else
		json_text(j, key, NULL);
}

static void put_json(struct runs *r, const struct one *o, FILE *out)
{
	struct json_out j = {.out = out};
	const struct metric *m;
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, o->run);
	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_text(&j, "run", run);
	json_text(&j, "name", o->name);
	json_text(&j, "handle", o->handle);
	if (o->index)
		json_number(&j, "index", o->index);
	else
		json_text(&j, "index", NULL);
	json_text(&j, "hostname", o->hostname);
	json_lines(&j, "groups", o->groups);
	json_text(&j, "lxcpath", o->lxcpath);
	json_text(&j, "kind", o->kind);
	json_text(&j, "rootfs", o->rootfs);
	json_embed(&j, "facts", o->facts);
	put_time(&j, "start", o->start_ns);
	put_time(&j, "end", o->end_ns);
	json_text(&j, "how", o->how);
	json_text(&j, "source", o->source);
	json_text(&j, "network", o->network);
	json_number(&j, "samples", o->samples);
	json_begin(&j, "metrics", '{');
	for_each_metric (SCOPE_INSTANCE, slot, m)
		json_metric(&j, m->name, m, o->values[slot]);
	json_end(&j, '}');
	json_end(&j, '}');
	putc('\n', out);
}

static void put_csv(struct runs *r, const struct one *o, FILE *out)
{
	_cleanup_free_ char *groups = join_lines(o->groups);
	const char *texts[] = {o->handle, o->name, o->hostname, groups ? groups : "", o->lxcpath,
		o->kind, o->rootfs, o->how, o->source, o->network};
	const struct metric *m;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		csv_text(out, r->cli->tty, texts[i]);
		putc(',', out);
	}
	fprintf(out, "%016" PRIx64 ",%s,%s", o->run,
		o->start_ns ? cell_seconds(o->start_ns).text : "",
		o->end_ns ? cell_seconds(o->end_ns).text : "");
	for_each_metric (SCOPE_INSTANCE, slot, m)
		fprintf(out, ",%s", cell_exact(m, o->values[slot]).text);
	putc('\n', out);
}

static int put(struct runs *r, const struct one *o)
{
	static void (*const forms[])(struct runs *, const struct one *, FILE *) = {
		[FORM_TEXT] = put_text, [FORM_JSON] = put_json, [FORM_CSV] = put_csv};
	struct output *to;
	size_t len;
	FILE *out;

	if (r->n == r->size) {
		size_t size = r->size ? 2 * r->size : 256;
		struct output *bigger = reallocarray(r->out, size, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		r->out = bigger;
		r->size = size;
	}
	to = &r->out[r->n];
	*to = (struct output){
		.end_ns = o->running ? UINT64_MAX : o->end_ns,
		.start_ns = o->start_ns,
		.run = o->run,
	};
	out = open_memstream(&to->text, &len);
	if (!out)
		return -ENOMEM;
	forms[r->form](r, o, out);
	if (fclose(out) != 0)
		return -ENOMEM;
	r->n++;
	return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int take_line(void *data, const json_t *line)
{
	struct runs *r = data;
	uint64_t end = journal_seconds(line, "end");
	_cleanup_free_ char *groups = NULL;
	struct one o;

	if (end < r->since_ns || !history_matches(line, r->patterns, r->n_patterns))
		return 0;
	groups = history_groups(line);
	if (!groups)
		return -ENOMEM;
	memset(r->values, 0, metric_count(SCOPE_INSTANCE) * sizeof(*r->values));
	metrics_from_json(json_object_get(line, "metrics"), SCALE_BASE, r->values);
	o = (struct one){
		.name = history_text(line, "name"),
		.handle = history_text(line, "handle"),
		.hostname = history_text(line, "hostname"),
		.lxcpath = history_text(line, "lxcpath"),
		.kind = history_text(line, "kind"),
		.rootfs = history_text(line, "rootfs"),
		.how = history_text(line, "how"),
		.source = history_text(line, "source"),
		.network = history_text(line, "network"),
		.groups = groups,
		.facts = json_object_get(line, "facts"),
		.run = strtoull(history_text(line, "run"), NULL, 16),
		.index = (uint64_t)json_integer_value(json_object_get(line, "index")),
		.start_ns = journal_seconds(line, "start"),
		.end_ns = end,
		.samples = (uint64_t)json_integer_value(json_object_get(line, "samples")),
		.values = r->values,
	};
	return put(r, &o);
}

static int take_row(struct runs *r, const struct view *v, const struct row_match *row)
{
	const struct snapshot_row *fixed = &row->fixed;
	json_t *facts = facts_to_json(fixed->text[TEXT_FACTS]);
	const struct metric *m;
	int result;
	struct one o = {
		.name = fixed->text[TEXT_NAME],
		.handle = fixed->text[TEXT_HANDLE],
		.hostname = fixed->text[TEXT_HOSTNAME],
		.lxcpath = fixed->text[TEXT_LXCPATH],
		.kind = fixed->text[TEXT_KIND],
		.rootfs = history_text(facts, "rootfs"),
		.facts = facts,
		.how = "running",
		.source = "sample",
		.network = "sample",
		.groups = fixed->text[TEXT_GROUPS],
		.run = fixed->run,
		.index = fixed->index,
		.running = true,
		.values = r->values,
	};

	for_each_metric (SCOPE_INSTANCE, slot, m)
		r->values[slot] = snapshot_value(v->snapshot, SCOPE_INSTANCE, row->row, m->id);
	o.start_ns = r->values[metric_slot(METRIC_START_TIME)].number;
	o.samples = r->values[metric_slot(METRIC_SAMPLES)].number;
	result = put(r, &o);
	json_decref(facts);
	return result;
}

static int take_running(struct runs *r, int *ret_exit)
{
	struct row_match *rows = NULL;
	struct view v;
	ssize_t n;
	int result = 0;

	*ret_exit = view_open(r->cli, &v);
	if (!v.snapshot)
		return 0;
	n = view_instances(&v, r->patterns, r->n_patterns, &rows);
	for (ssize_t i = 0; i < n && result == 0; i++)
		result = take_row(r, &v, &rows[i]);
	free(rows);
	view_close(&v);
	return n < 0 ? (int)n : result;
}

/* --- the command ------------------------------------------------------------------------------ */

static int newest_first(const void *a, const void *b)
{
	const struct output *x = a, *y = b;

	if (x->end_ns != y->end_ns)
		return x->end_ns > y->end_ns ? -1 : 1;
	return x->start_ns > y->start_ns ? -1 : x->start_ns < y->start_ns;
}

/* The sample may still show what has ended since: the ledger knows better. */
static void drop_ended(struct runs *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		bool ended = false;

		for (size_t k = 0; r->out[i].end_ns == UINT64_MAX && k < r->n && !ended; k++)
			ended = r->out[k].run == r->out[i].run && r->out[k].end_ns != UINT64_MAX;
		if (ended)
			free(r->out[i].text);
		else
			r->out[n++] = r->out[i];
	}
	r->n = n;
}

static void put_titles(const struct runs *r)
{
	FILE *out = r->cli->out;
	const struct metric *m;

	if (r->form == FORM_TEXT) {
		fprintf(out, "%-*s %-11s %-5s %6s %-8s", name_width(r), "NAME", "START", "END",
			"TIME", "HOW");
		for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
			fprintf(out, " %*s", columns[i].width, columns[i].title);
		putc('\n', out);
	} else if (r->form == FORM_CSV) {
		fputs("handle,name,hostname,groups,lxcpath,kind,rootfs,how,source,network,run,"
		      "start,end",
			out);
		for_each_metric (SCOPE_INSTANCE, slot, m)
			fprintf(out, ",%s", m->name);
		putc('\n', out);
	}
}

/* exit: what the sample of the collector has come to; that has been said. */
static int put_all(struct runs *r, int exit)
{
	drop_ended(r);
	if (r->n > 0)
		qsort(r->out, r->n, sizeof(*r->out), newest_first);
	if (!r->n && exit != CLI_DONE)
		return exit;
	if (!r->n && r->n_patterns)
		return cli_fail(r->cli, CLI_NO_INSTANCE, "no run of '%s' %s", r->patterns[0],
			r->since_ns ? "ended since then" : "is known");
	if (!r->n && r->form == FORM_TEXT)
		fputs(r->since_ns ? "No run ended since then.\n" : "No run is known.\n",
			r->cli->out);
	else
		put_titles(r);
	for (size_t i = 0; i < r->n; i++)
		fputs(r->out[i].text, r->cli->out);
	if (r->marked)
		fputs("* as of the last sample before the end: no hook told of it\n", r->cli->out);
	return exit;
}

static int read_all(struct runs *r)
{
	uint64_t damaged = 0;
	int exit = CLI_DONE, result;

	r->values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*r->values));
	result = r->values ? take_running(r, &exit) : -ENOMEM;
	if (result == 0)
		result = journal_read(
			r->cli->config->data_dir, "runs", r->since_ns, take_line, r, &damaged);
	if (result < 0)
		return exit == CLI_FAILED ? exit : history_failed(r->cli, "runs", result);
	if (damaged)
		cli_fail(r->cli, CLI_DONE, "%" PRIu64 " damaged lines of the ledger are left out",
			damaged);
	return put_all(r, exit);
}

int runs_main(struct cli *cli, int argc, char **argv)
{
	struct runs r = {.cli = cli, .now_ns = now_ns(CLOCK_REALTIME)};
	bool json = false, csv = false;
	const char *since = NULL;
	const struct cli_option options[] = {
		{"since", 0, "WHEN", &since,
			"only those that ended later: 1h, 7d, 2025-06-01 12:30"},
		{"json", 0, NULL, &json, "everything, one JSON object a run"},
		{"csv", 0, NULL, &csv, "all metrics, one line a run"},
	};
	int result = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (result >= 0)
		return result;
	if (since && when_parse(since, r.now_ns, &r.since_ns) < 0)
		return cli_usage(cli, "'%s' is no duration, date or time", since);
	if (json && csv)
		return cli_usage(cli, "--json and --csv exclude each other");
	r.form = json ? FORM_JSON : csv ? FORM_CSV : FORM_TEXT;
	r.patterns = argv + optind;
	r.n_patterns = (size_t)(argc - optind);
	result = read_all(&r);
	for (size_t i = 0; i < r.n; i++)
		free(r.out[i].text);
	free(r.out);
	free(r.values);
	return result;
}
