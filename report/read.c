/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "../graph/fetch.h"
#include "internal.h"

/* A report of this host: each instance's history is read by itself, summed up and let go. */

/* id, metric, the figure that its mean is or, with a run's counter (kept), its total; COUNT: none
 */
#define AVERAGES(X)                                                                                \
	X(CPU, CPU_USED_CORES, CPU_TOTAL, CPU_USAGE)                                               \
	X(MEMORY, MEMORY_WORKING_SET, COUNT, COUNT)                                                \
	X(PIDS, PIDS_CURRENT, COUNT, COUNT)                                                        \
	X(DISK, DISK_USED, COUNT, COUNT)                                                           \
	X(CPU_LIMIT, CPU_LIMIT, COUNT, COUNT)                                                      \
	X(MEMORY_LIMIT, MEMORY_LIMIT, COUNT, COUNT)                                                \
	X(DISK_LIMIT, DISK_LIMIT, COUNT, COUNT)                                                    \
	X(THROTTLED, CPU_THROTTLED, CPU_THROTTLED, COUNT)                                          \
	X(CPU_PRESSURE, CPU_PRESSURE_SOME, CPU_PRESSURE, COUNT)                                    \
	X(MEMORY_PRESSURE, MEMORY_PRESSURE_SOME, MEMORY_PRESSURE, COUNT)                           \
	X(IO_PRESSURE, IO_PRESSURE_SOME, IO_PRESSURE, COUNT)                                       \
	X(IO_READ, IO_READ_BYTES, IO_READ, IO_READ)                                                \
	X(IO_WRITE, IO_WRITE_BYTES, IO_WRITE, IO_WRITE)                                            \
	X(NET_RECEIVE, NETWORK_RECEIVE_BYTES, NET_RECEIVE, NET_RECEIVE)                            \
	X(NET_TRANSMIT, NETWORK_TRANSMIT_BYTES, NET_TRANSMIT, NET_TRANSMIT)                        \
	X(OOM_KILLS, MEMORY_OOM_KILLS, OOM_KILLS, OOM_KILLS)
#define AVERAGE_ID(id, m, field, kept)     AVERAGE_##id,
#define AVERAGE_METRIC(id, m, field, kept) METRIC_##m,
#define AVERAGE_USE(id, m, field, kept)    {FIELD_##field, KEPT_##kept},

enum average {
	AVERAGES(AVERAGE_ID) AVERAGE_COUNT
};
static const unsigned int averages[AVERAGE_COUNT] = {AVERAGES(AVERAGE_METRIC)};
static const struct {
	enum field field;
	enum kept kept;
} uses[AVERAGE_COUNT] = {AVERAGES(AVERAGE_USE)};

struct reading {
	const struct report_ask *ask;
	struct report *r;
	struct fetch *fetch;
	struct runs_list runs;
	struct error *err;
};

static double mean_of(const double *values, size_t n, double *ret_sum)
{
	size_t known = 0;

	*ret_sum = 0;
	for (size_t i = 0; i < n; i++)
		if (!isnan(values[i])) {
			*ret_sum += values[i];
			known++;
		}
	return known ? *ret_sum / (double)known : NAN;
}

/* --- one instance ----------------------------------------------------------------------------- */

static int query(struct reading *g, uint32_t index, const unsigned int *metrics, size_t n,
	enum fetch_what what, struct series *ret)
{
	struct fetch_query q = {.index = index,
		.metrics = metrics,
		.n_metrics = n,
		.what = what,
		.from_s = g->r->from_s,
		.to_s = g->r->to_s,
		.step_s = g->r->step_s};

	return fetch_series(g->fetch, &q, ret, g->err);
}

static void take_limits(const struct series *s, const struct run *runs, size_t n, double *v)
{
	static const enum average stored_limit[] = {
		AVERAGE_CPU_LIMIT, AVERAGE_MEMORY_LIMIT, AVERAGE_COUNT, AVERAGE_DISK_LIMIT};

	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		const struct resource *r = &report_resource[i];
		const double *stored = s->values && stored_limit[i] < AVERAGE_COUNT
					       ? series_of(s, stored_limit[i])
					       : NULL;
		double limit = n ? runs[n - 1].kept[r->kept] : NAN;

		v[r->limit] = isnan(limit) && stored ? last_known(stored, s->n) : limit;
		if (s->values && i <= REPORT_MEMORY)
			v[r->near] = near_limit(series_of(s, i), stored, s->n, v[r->limit]);
	}
}

/* It began in the period, and its counters are not of more than that: one that goes on has those of
 * now. */
static bool is_whole(const struct report *r, const struct run *run)
{
	uint64_t end =
		run->end_s == UINT64_MAX ? now_ns(CLOCK_REALTIME) / NSEC_PER_SEC - 60 : run->end_s;

	return run->start_s >= r->from_s && end <= r->to_s;
}

/*
 * Of each run the events in the period and, where it is whole, its counter: the larger, as events
 * do not tell of kills while no collector ran, and a counter may be of the last sample. Returns
 * whether that is all; else *ret is what is known at least.
 */
static bool kills_of(const struct report *r, const struct run *runs, size_t n, double *ret)
{
	bool complete = n > 0;

	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		double all = runs[i].kept[KEPT_OOM_KILLS];
		/* None at all is none in a part, too. */
		double kills = fmax(runs[i].kills, all > 0 && !is_whole(r, &runs[i]) ? NAN : all);

		if (isnan(kills))
			complete = false;
		else
			*ret += kills;
	}
	return complete;
}

/* Totals of runs that all began in the period are of their counters, exact; else of the rates. */
static void take_uses(
	struct reading *g, const struct series *s, const struct run *runs, size_t n, double *v)
{
	bool whole = n > 0;
	double kills;

	for (size_t i = 0; i < n; i++)
		whole &= is_whole(g->r, &runs[i]);
	for (size_t i = 0; i < AVERAGE_COUNT; i++) {
		double mean, sum = 0, *to = &v[uses[i].field];
		bool total = uses[i].kept != KEPT_COUNT;

		if (uses[i].field == FIELD_COUNT)
			continue;
		for (size_t k = 0; whole && total && k < n; k++)
			add_point(to, runs[k].kept[uses[i].kept]);
		if (!isnan(*to) || !s->values)
			continue;
		mean = mean_of(series_of(s, i), s->n, &sum);
		sum *= (double)s->step_s;
		if (!isnan(mean))
			*to = !total ? mean : i == AVERAGE_OOM_KILLS ? round(sum) : sum;
	}
	/* Rates count each point as a whole, and miss what came after the last sample of a run. */
	if (kills_of(g->r, runs, n, &kills))
		v[FIELD_OOM_KILLS] = kills;
	else if (kills > 0)
		v[FIELD_OOM_KILLS] = fmax(v[FIELD_OOM_KILLS], kills);
}

static void take_runs(struct reading *g, const struct run *runs, size_t n, struct report_row *row)
{
	uint64_t up = 0, first = n ? MAX(runs[0].start_s, g->r->from_s) : 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = MAX(runs[i].start_s, g->r->from_s);
		uint64_t end = MIN(runs[i].end_s, g->r->to_s);

		up += end > start ? end - start : 0;
		row->running |= runs[i].end_s == UINT64_MAX;
	}
	if (!n)
		return;
	row->value[FIELD_RUNS] = (double)n;
	row->value[FIELD_UP] = (double)up;
	if (g->r->to_s > first)
		row->value[FIELD_AVAILABILITY] = fmin((double)up / (double)(g->r->to_s - first), 1);
}

static int take_series(
	const struct series *average, const struct series *maximum, struct report_row *row)
{
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		double *max = &row->value[report_resource[i].max];

		row->series[i] = series_new(average->n);
		row->upper[i] = series_new(average->n);
		if (!row->series[i] || !row->upper[i])
			return -ENOMEM;
		memcpy(row->series[i], series_of(average, i), average->n * sizeof(double));
		memcpy(row->upper[i], series_of(maximum, i), average->n * sizeof(double));
		for (size_t k = 0; k < maximum->n; k++)
			*max = fmax(*max, row->upper[i][k]);
	}
	return 0;
}

/* --- forecasts: of hours, as far back as they look, whatever the period is --- */

#define HOUR UINT64_C(3600)

static size_t starts_of(const struct run *runs, size_t n, const struct series *s, size_t *starts)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (runs[i].start_s > s->start_s && runs[i].start_s < s->start_s + s->n * s->step_s)
			starts[count++] = (runs[i].start_s - s->start_s) / s->step_s;
	return count;
}

static int read_hours(struct reading *g, uint32_t index, const unsigned int *metrics, size_t n,
	struct series *ret, struct stat_history *h)
{
	struct fetch_query q = {.index = index,
		.metrics = metrics,
		.n_metrics = n,
		.what = FETCH_AVERAGE,
		.to_s = g->r->to_s - g->r->to_s % HOUR,
		.step_s = HOUR};
	int result;

	q.from_s = q.to_s - MIN(q.to_s, STAT_DAYS_MAX * 24 * HOUR);
	result = fetch_series(g->fetch, &q, ret, g->err);
	*h = (struct stat_history){.values = ret->values, .n = ret->n, .step_s = HOUR};
	return result;
}

static int forecast(
	struct reading *g, uint32_t index, const struct run *runs, size_t n, struct report_row *row)
{
	_cleanup_free_ size_t *starts = calloc(n + 1, sizeof(*starts));
	_cleanup_(series_free) struct series s = {0};
	struct stat_history h;
	int result = starts ? read_hours(g, index, averages, REPORT_RESOURCES, &s, &h) : -ENOMEM;

	if (result < 0)
		return result;
	h.starts = starts;
	h.n_starts = starts_of(runs, n, &s, starts);
	for (size_t i = REPORT_MEMORY; i < REPORT_RESOURCES; i++) {
		h.values = series_of(&s, i);
		report_forecast(&h, i, row);
		if (g->ask->backtest)
			stat_backtest(&h, g->ask->backtest, &g->r->backtest[i]);
	}
	return 0;
}

/* --- all instances ---------------------------------------------------------------------------- */

/* web of web01 and web-2. The caller frees. */
static char *prefix_of(const char *name)
{
	size_t n = strlen(name);

	while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
		n--;
	while (n > 0 && strchr("-_.", name[n - 1]))
		n--;
	return n ? strndup(name, n) : strdup(name);
}

static int add_to_group(struct report *r, const char *name, const struct report_row *row)
{
	struct report_row *sum = r->row;

	while (sum < r->row + r->rows && strcmp(sum->name, name) != 0)
		sum++;
	if (sum == r->row + r->rows) {
		sum = r->rows < REPORT_GROUPS_MAX ? report_add_row(r) : NULL;
		if (!sum || !(sum->name = strdup(name)))
			return -ENOMEM;
	}
	add_point(&sum->value[FIELD_HOST_INSTANCES], 1);
	return report_sum(r, sum, row, false);
}

static int add_to_groups(struct report *r, const struct report_row *row)
{
	size_t len;
	int result = 0;

	if (!*row->groups)
		return add_to_group(r, "(none)", row);
	for_each_line(row->groups, line, len)
	{
		_cleanup_free_ char *name = strndup(line, len);

		result = name ? add_to_group(r, name, row) : -ENOMEM;
		if (result < 0)
			break;
	}
	return result;
}

/* Into what is shown; takes the row where it is that itself. */
static int show(struct reading *g, struct report_row *row)
{
	_cleanup_free_ char *prefix = NULL;
	struct report_row *to;

	switch (g->ask->by) {
	case BY_PREFIX:
		prefix = prefix_of(row->name);
		return prefix ? add_to_group(g->r, prefix, row) : -ENOMEM;
	case BY_GROUP:
		return add_to_groups(g->r, row);
	case BY_HOST:
		return 0;
	case BY_INSTANCE:
		break;
	}
	to = report_add_row(g->r);
	if (!to)
		return -ENOMEM;
	*to = *row;
	row_clear(row);
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		free(to->upper[i]);
		to->upper[i] = NULL;
		if (!g->ask->keep_series) {
			free(to->series[i]);
			to->series[i] = NULL;
		}
	}
	return 0;
}

static int note_damage(struct reading *g)
{
	if (!g->r->damaged++)
		snprintf(g->r->damage, sizeof(g->r->damage), "%s", g->err->text);
	return 0;
}

static int read_row(struct reading *g, const struct index_entry *e, const struct run *runs,
	size_t n, struct report_row *row)
{
	_cleanup_(series_free) struct series average = {0}, maximum = {0};
	int result = query(g, e->number, averages, AVERAGE_COUNT, FETCH_AVERAGE, &average);

	if (result == 0)
		result = query(g, e->number, averages, REPORT_RESOURCES, FETCH_MAXIMUM, &maximum);
	if (result < 0 && result != -ENOENT)
		return result;
	if (result == -ENOENT)
		series_free(&average);
	take_limits(&average, runs, n, row->value);
	take_uses(g, &average, runs, n, row->value);
	take_runs(g, runs, n, row);
	if (!average.values)
		return 0;
	row->value[FIELD_PEAK_RESOLUTION] = (double)g->r->peak_s;
	if (take_series(&average, &maximum, row) < 0)
		return -ENOMEM;
	report_figures(g->r, g->ask, row);
	row->value[FIELD_RESOLUTION] = (double)MAX(g->r->step_s, average.resolution_s);
	result = forecast(g, e->number, runs, n, row);
	return result == -ENOENT ? 0 : result;
}

static int read_instance(void *data, const struct index_entry *e)
{
	struct reading *g = data;
	size_t n;
	const struct run *runs = runs_of(&g->runs, e->number, &n);
	struct snapshot_row names = {.text = {[TEXT_NAME] = e->name, [TEXT_HANDLE] = e->handle}};
	struct report_row row;
	bool wanted;
	int result;

	if (!n && e->last_seen_s < g->r->from_s)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names.text); i++)
		names.text[i] = names.text[i] ? names.text[i] : "";
	wanted = n ? runs[n - 1].wanted
		   : instance_is_wanted(&names, g->ask->patterns, g->ask->n_patterns);
	row_clear(&row);
	row.name = strdup(e->handle);
	row.host = strdup(g->r->host.name ? g->r->host.name : "");
	row.groups = strdup(n ? runs[n - 1].groups : "");
	row.index = e->number;
	result = row.name && row.host && row.groups ? read_row(g, e, runs, n, &row) : -ENOMEM;
	if (result == -EBADMSG)
		result = note_damage(g);
	find_risks(&row);
	/* Nothing of it is in the period. */
	if (result == 0 && (n || row.value[FIELD_POINTS] > 0)) {
		add_point(&g->r->host.value[FIELD_HOST_INSTANCES], 1);
		result = report_sum(g->r, &g->r->host, &row, true);
		if (result == 0 && wanted)
			result = show(g, &row);
	}
	row_free(&row);
	return result;
}

/* --- the host --------------------------------------------------------------------------------- */

enum {
	HOST_CPU,
	HOST_AVAILABLE,
	HOST_TASKS,
	HOST_TOTAL
};
static const struct {
	unsigned int metric;
	enum field field; /* 0: none */
	bool highest;     /* in the period; else the last one */
} host_metrics[] = {
	{METRIC_HOST_CPU_USED_CORES, 0, false},
	{METRIC_HOST_MEMORY_AVAILABLE, 0, false},
	{METRIC_HOST_TASKS, FIELD_HOST_TASKS, true},
	{METRIC_HOST_MEMORY_TOTAL, FIELD_HOST_MEMORY, false},
	{METRIC_HOST_MAP_COUNT, FIELD_HOST_MAPS, true},
	{METRIC_HOST_OPEN_FILES, FIELD_HOST_FILES, true},
	{METRIC_HOST_MEMORY_CGROUPS, FIELD_HOST_CGROUPS, true},
	{METRIC_HOST_CPUS, FIELD_HOST_CPUS, false},
	{METRIC_MEMORY_COMMITTED, FIELD_HOST_MEMORY_COMMITTED, false},
	{METRIC_CPU_COMMITTED, FIELD_HOST_CPU_COMMITTED, false},
};
#define HOST_METRICS ARRAY_SIZE(host_metrics)

/* What is used beside the instances: all that is not available, less their working sets. */
static int take_other(struct report *r, const struct series *s)
{
	for (size_t k = REPORT_CPU; k <= REPORT_PIDS; k++) {
		double *other = r->other[k] = series_new(r->n);

		if (!other)
			return -ENOMEM;
		for (size_t i = 0; i < r->n && i < s->n; i++) {
			double all = k == REPORT_CPU    ? series_of(s, HOST_CPU)[i]
				     : k == REPORT_PIDS ? series_of(s, HOST_TASKS)[i]
							: series_of(s, HOST_TOTAL)[i] -
								  series_of(s, HOST_AVAILABLE)[i];
			double ours = r->host.series[k] ? r->host.series[k][i] : NAN;

			other[i] = isnan(ours) ? all : fmax(all - ours, 0 * all);
		}
	}
	return 0;
}

static int forecast_host(struct reading *g)
{
	static const unsigned int metrics[] = {
		METRIC_HOST_MEMORY_TOTAL, METRIC_HOST_MEMORY_AVAILABLE, METRIC_HOST_TASKS};
	_cleanup_(series_free) struct series s = {0};
	struct report_row *host = &g->r->host;
	struct stat_history h;

	if (read_hours(g, FETCH_HOST, metrics, ARRAY_SIZE(metrics), &s, &h) < 0)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		s.values[i] -= s.values[s.n + i];
	stat_forecast(&h, host->value[FIELD_HOST_MEMORY], &host->forecast[REPORT_MEMORY]);
	h.values = series_of(&s, 2);
	stat_forecast(&h, host->value[FIELD_HOST_TASKS_LIMIT], &host->forecast[REPORT_PIDS]);
	return 0;
}

static int read_host(struct reading *g)
{
	_cleanup_(series_free) struct series average = {0}, maximum = {0};
	unsigned int metrics[HOST_METRICS];
	int result;

	for (size_t i = 0; i < HOST_METRICS; i++)
		metrics[i] = host_metrics[i].metric;
	result = query(g, FETCH_HOST, metrics, HOST_METRICS, FETCH_AVERAGE, &average);
	if (result == 0)
		result = query(g, FETCH_HOST, metrics, HOST_METRICS, FETCH_MAXIMUM, &maximum);
	if (result < 0)
		return result == -EBADMSG ? note_damage(g) : result == -ENOENT ? 0 : result;
	for (size_t i = 0; i < HOST_METRICS; i++) {
		double *v = &g->r->host.value[host_metrics[i].field];

		if (host_metrics[i].field && !host_metrics[i].highest)
			*v = last_known(series_of(&average, i), average.n);
		for (size_t k = 0; host_metrics[i].highest && k < maximum.n; k++)
			*v = fmax(*v, series_of(&maximum, i)[k]);
		/* A mean of the same whole number is off by a rounding. */
		if (report_field[host_metrics[i].field].unit == FIELD_BYTES)
			*v = rint(*v);
	}
	result = take_other(g->r, &average);
	return result == 0 ? forecast_host(g) : result;
}

/* --- a report --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct report_row *)a)->name, ((const struct report_row *)b)->name);
}

static int prepare(struct reading *g, const struct cli *cli)
{
	struct report *r = g->r;
	char name[256] = "";

	r->step_s = fetch_step(g->fetch, r->from_s, r->to_s,
		g->ask->keep_series ? REPORT_SERIES_MAX : REPORT_POINTS_MAX);
	r->peak_s = MAX((cli->config->interval_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC, 1);
	/* Whole parts of a day, for forecasts from exports. */
	while (r->step_s < 86400 && 86400 % r->step_s)
		r->step_s += r->peak_s;
	if (gethostname(name, sizeof(name) - 1) == 0)
		r->host.name = strdup(name);
	r->start_s = r->from_s - r->from_s % r->step_s;
	r->n = (size_t)((r->to_s - r->start_s + r->step_s - 1) / r->step_s);
	return runs_read(cli, g->ask, r, &g->runs, g->err);
}

static int finish(struct reading *g)
{
	struct report *r = g->r;

	for (size_t i = 0; g->ask->by != BY_INSTANCE && i < r->rows; i++) {
		report_percentiles(r, &r->row[i]);
		for (size_t k = REPORT_MEMORY; k < REPORT_RESOURCES; k++) {
			struct stat_history h = {
				.values = r->row[i].series[k], .n = r->n, .step_s = r->step_s};

			if (h.values)
				report_forecast(&h, k, &r->row[i]);
		}
		find_risks(&r->row[i]);
	}
	if (r->rows)
		qsort(r->row, r->rows, sizeof(*r->row), by_name);
	return report_host_figures(r);
}

int report_read(
	const struct cli *cli, const struct report_ask *ask, struct report *ret, struct error *err)
{
	_cleanup_(fetch_close) struct fetch *f = NULL;
	struct reading g = {.ask = ask, .r = ret, .err = err};
	int result;

	*ret = (struct report){.from_s = ask->from_s, .to_s = ask->to_s};
	row_clear(&ret->host);
	result = fetch_open(cli->config, &f, err);
	if (result < 0)
		return result;
	g.fetch = f;
	snprintf(err->text, sizeof(err->text), "out of memory, or more than %d groups",
		REPORT_GROUPS_MAX);
	result = prepare(&g, cli);
	if (result == 0)
		result = index_each(fetch_index(f), read_instance, &g);
	if (result == 0)
		result = read_host(&g);
	if (result == 0)
		result = finish(&g);
	runs_free(&g.runs);
	return result;
}
