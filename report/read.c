/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "../graph/fetch.h"
#include "internal.h"

/* A report of this host: each instance's history is read by itself, summed up and let go. */

enum average {
	AVERAGE_CPU, /* the four resources first */
	AVERAGE_MEMORY,
	AVERAGE_PIDS,
	AVERAGE_DISK,
	AVERAGE_CPU_LIMIT,
	AVERAGE_MEMORY_LIMIT,
	AVERAGE_DISK_LIMIT,
	AVERAGE_THROTTLED,
	AVERAGE_CPU_PRESSURE,
	AVERAGE_MEMORY_PRESSURE,
	AVERAGE_IO_PRESSURE,
	AVERAGE_IO_READ,
	AVERAGE_IO_WRITE,
	AVERAGE_NET_RECEIVE,
	AVERAGE_NET_TRANSMIT,
	AVERAGE_OOM_KILLS,
	AVERAGE_COUNT
};
static const unsigned int averages[AVERAGE_COUNT] = {
	METRIC_CPU_USED_CORES,
	METRIC_MEMORY_WORKING_SET,
	METRIC_PIDS_CURRENT,
	METRIC_DISK_USED,
	METRIC_CPU_LIMIT,
	METRIC_MEMORY_LIMIT,
	METRIC_DISK_LIMIT,
	METRIC_CPU_THROTTLED,
	METRIC_CPU_PRESSURE_SOME,
	METRIC_MEMORY_PRESSURE_SOME,
	METRIC_IO_PRESSURE_SOME,
	METRIC_IO_READ_BYTES,
	METRIC_IO_WRITE_BYTES,
	METRIC_NETWORK_RECEIVE_BYTES,
	METRIC_NETWORK_TRANSMIT_BYTES,
	METRIC_MEMORY_OOM_KILLS,
};
/* What totals are summed of, when no counters tell them. */
static const struct {
	enum field field;
	enum kept kept;
	enum average average;
} totals[] = {
	{FIELD_CPU_TOTAL, KEPT_CPU_USAGE, AVERAGE_CPU},
	{FIELD_IO_READ, KEPT_IO_READ, AVERAGE_IO_READ},
	{FIELD_IO_WRITE, KEPT_IO_WRITE, AVERAGE_IO_WRITE},
	{FIELD_NET_RECEIVE, KEPT_NET_RECEIVE, AVERAGE_NET_RECEIVE},
	{FIELD_NET_TRANSMIT, KEPT_NET_TRANSMIT, AVERAGE_NET_TRANSMIT},
	{FIELD_OOM_KILLS, KEPT_OOM_KILLS, AVERAGE_OOM_KILLS},
};

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
	static const struct {
		enum field limit, near;
		enum average used, average;
		enum kept kept;
	} limits[] = {
		{FIELD_CPU_LIMIT, FIELD_CPU_NEAR, AVERAGE_CPU, AVERAGE_CPU_LIMIT, KEPT_CPU_LIMIT},
		{FIELD_MEMORY_LIMIT, FIELD_MEMORY_NEAR, AVERAGE_MEMORY, AVERAGE_MEMORY_LIMIT,
			KEPT_MEMORY_LIMIT},
		{FIELD_DISK_LIMIT, 0, AVERAGE_DISK, AVERAGE_DISK_LIMIT, KEPT_DISK_LIMIT},
		{FIELD_PIDS_LIMIT, 0, AVERAGE_PIDS, 0, KEPT_PIDS_LIMIT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const double *stored =
			limits[i].average && s->values ? series_of(s, limits[i].average) : NULL;
		double limit = n ? runs[n - 1].kept[limits[i].kept] : NAN;

		if (isnan(limit) && stored)
			limit = last_known(stored, s->n);
		v[limits[i].limit] = limit;
		if (limits[i].near && s->values)
			v[limits[i].near] =
				near_limit(series_of(s, limits[i].used), stored, s->n, limit);
	}
}

/* Of runs that all began in the period their counters, exact; else what the rates come to. */
static void take_totals(
	struct reading *g, const struct series *s, const struct run *runs, size_t n, double *v)
{
	bool whole = n > 0;
	double sum;

	for (size_t i = 0; i < n; i++)
		whole &= runs[i].start_s >= g->r->from_s &&
			 (runs[i].end_s == UINT64_MAX || runs[i].end_s <= g->r->to_s);
	/* A run that goes on is known up to now only. */
	whole &= n > 0 && (runs[n - 1].end_s != UINT64_MAX ||
				  g->r->to_s + 60 >= now_ns(CLOCK_REALTIME) / NSEC_PER_SEC);
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		double *to = &v[totals[i].field];

		for (size_t k = 0; whole && k < n; k++)
			*to = isnan(*to) ? runs[k].kept[totals[i].kept]
					 : *to + fmax(runs[k].kept[totals[i].kept], 0);
		if (isnan(*to) && s->values &&
			!isnan(mean_of(series_of(s, totals[i].average), s->n, &sum)))
			*to = totals[i].field == FIELD_OOM_KILLS ? round(sum * (double)s->step_s)
								 : sum * (double)s->step_s;
	}
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

static void take_means(const struct series *s, double *v)
{
	static const struct {
		enum field field;
		enum average average;
	} means[] = {
		{FIELD_CPU_THROTTLED, AVERAGE_THROTTLED},
		{FIELD_CPU_PRESSURE, AVERAGE_CPU_PRESSURE},
		{FIELD_MEMORY_PRESSURE, AVERAGE_MEMORY_PRESSURE},
		{FIELD_IO_PRESSURE, AVERAGE_IO_PRESSURE},
	};
	double sum;

	for (size_t i = 0; i < ARRAY_SIZE(means); i++)
		v[means[i].field] = mean_of(series_of(s, means[i].average), s->n, &sum);
}

static int take_series(
	const struct series *average, const struct series *maximum, struct report_row *row)
{
	static const enum field max[] = {
		FIELD_CPU_MAX, FIELD_MEMORY_MAX, FIELD_PIDS_MAX, FIELD_DISK_MAX};

	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		row->series[i] = series_new(average->n);
		row->upper[i] = series_new(average->n);
		if (!row->series[i] || !row->upper[i])
			return -ENOMEM;
		memcpy(row->series[i], series_of(average, i), average->n * sizeof(double));
		memcpy(row->upper[i], series_of(maximum, i), average->n * sizeof(double));
		for (size_t k = 0; k < maximum->n; k++)
			row->value[max[i]] = fmax(row->value[max[i]], row->upper[i][k]);
	}
	return 0;
}

/* --- forecasts: of hours, as far back as these look, whatever the period is ---------------------
 */

#define HOUR UINT64_C(3600)

static size_t starts_of(const struct run *runs, size_t n, const struct series *s, size_t *starts)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (runs[i].start_s > s->start_s && runs[i].start_s < s->start_s + s->n * s->step_s)
			starts[count++] = (runs[i].start_s - s->start_s) / s->step_s;
	return count;
}

static int forecast(
	struct reading *g, uint32_t index, const struct run *runs, size_t n, struct report_row *row)
{
	_cleanup_free_ size_t *starts = calloc(n + 1, sizeof(*starts));
	_cleanup_(series_free) struct series s = {0};
	struct fetch_query q = {.index = index,
		.metrics = averages,
		.n_metrics = REPORT_RESOURCES,
		.what = FETCH_AVERAGE,
		.to_s = g->r->to_s - g->r->to_s % HOUR,
		.step_s = HOUR};
	struct stat_history h;
	int result;

	q.from_s = q.to_s - MIN(q.to_s, STAT_DAYS_MAX * 24 * HOUR);
	result = starts ? fetch_series(g->fetch, &q, &s, g->err) : -ENOMEM;
	if (result < 0 || !s.n)
		return result;
	h = (struct stat_history){.n = s.n,
		.step_s = HOUR,
		.starts = starts,
		.n_starts = starts_of(runs, n, &s, starts)};
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
		sum = report_add_row(r);
		if (!sum || !(sum->name = strdup(name)))
			return -ENOMEM;
	}
	add_point(&sum->value[FIELD_HOST_INSTANCES], 1);
	return report_sum(r, sum, row);
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
	take_totals(g, &average, runs, n, row->value);
	take_runs(g, runs, n, row);
	if (!average.values)
		return 0;
	row->value[FIELD_PEAK_RESOLUTION] = (double)g->r->peak_s;
	take_means(&average, row->value);
	if (take_series(&average, &maximum, row) < 0)
		return -ENOMEM;
	report_figures(g->r, g->ask, row);
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
		result = report_sum(g->r, &g->r->host, &row);
		if (result == 0 && wanted)
			result = show(g, &row);
	}
	row_free(&row);
	return result;
}

/* --- the host --------------------------------------------------------------------------------- */

enum {
	HOST_CPU,
	HOST_TOTAL,
	HOST_AVAILABLE,
	HOST_TASKS,
	HOST_MAPS,
	HOST_FILES,
	HOST_CGROUPS,
	HOST_CPUS,
	HOST_COMMITTED_MEMORY,
	HOST_COMMITTED_CPU
};

static double highest(const struct series *s, size_t metric)
{
	double most = NAN;

	for (size_t i = 0; i < s->n; i++)
		most = fmax(most, series_of(s, metric)[i]);
	return most;
}

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
	struct fetch_query q = {.metrics = metrics,
		.n_metrics = ARRAY_SIZE(metrics),
		.to_s = g->r->to_s - g->r->to_s % HOUR,
		.step_s = HOUR};
	struct report_row *host = &g->r->host;
	struct stat_history h;

	q.from_s = q.to_s - MIN(q.to_s, STAT_DAYS_MAX * 24 * HOUR);
	if (fetch_series(g->fetch, &q, &s, g->err) < 0)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		s.values[i] -= s.values[s.n + i];
	h = (struct stat_history){.values = s.values, .n = s.n, .step_s = HOUR};
	stat_forecast(&h, host->value[FIELD_HOST_MEMORY], &host->forecast[REPORT_MEMORY]);
	h.values = series_of(&s, 2);
	stat_forecast(&h, host->value[FIELD_HOST_TASKS_LIMIT], &host->forecast[REPORT_PIDS]);
	return 0;
}

static int read_host(struct reading *g)
{
	static const unsigned int metrics[] = {METRIC_HOST_CPU_USED_CORES, METRIC_HOST_MEMORY_TOTAL,
		METRIC_HOST_MEMORY_AVAILABLE, METRIC_HOST_TASKS, METRIC_HOST_MAP_COUNT,
		METRIC_HOST_OPEN_FILES, METRIC_HOST_MEMORY_CGROUPS, METRIC_HOST_CPUS,
		METRIC_MEMORY_COMMITTED, METRIC_CPU_COMMITTED};
	_cleanup_(series_free) struct series average = {0}, maximum = {0};
	double *v = g->r->host.value;
	int result = query(g, FETCH_HOST, metrics, ARRAY_SIZE(metrics), FETCH_AVERAGE, &average);

	if (result == 0)
		result =
			query(g, FETCH_HOST, metrics, ARRAY_SIZE(metrics), FETCH_MAXIMUM, &maximum);
	if (result < 0)
		return result == -EBADMSG ? note_damage(g) : result == -ENOENT ? 0 : result;
	v[FIELD_HOST_CPUS] = last_known(series_of(&average, HOST_CPUS), average.n);
	v[FIELD_HOST_MEMORY] = last_known(series_of(&average, HOST_TOTAL), average.n);
	v[FIELD_HOST_CPU_COMMITTED] =
		last_known(series_of(&average, HOST_COMMITTED_CPU), average.n);
	v[FIELD_HOST_MEMORY_COMMITTED] =
		last_known(series_of(&average, HOST_COMMITTED_MEMORY), average.n);
	v[FIELD_HOST_TASKS] = highest(&maximum, HOST_TASKS);
	v[FIELD_HOST_MAPS] = highest(&maximum, HOST_MAPS);
	v[FIELD_HOST_FILES] = highest(&maximum, HOST_FILES);
	v[FIELD_HOST_CGROUPS] = highest(&maximum, HOST_CGROUPS);
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

	r->step_s = fetch_step(g->fetch, r->from_s, r->to_s, REPORT_POINTS_MAX);
	r->peak_s = MAX((cli->config->interval_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC, 1);
	/* Whole parts of a day, for forecasts from exports. */
	while (r->step_s < 86400 && 86400 % r->step_s)
		r->step_s += r->peak_s;
	r->start_s = r->from_s - r->from_s % r->step_s;
	r->n = (size_t)((r->to_s - r->start_s + r->step_s - 1) / r->step_s);
	return runs_read(cli, g->ask, r, &g->runs, g->err);
}

static int finish(struct reading *g)
{
	struct report *r = g->r;

	for (size_t i = 0; g->ask->by != BY_INSTANCE && i < r->rows; i++) {
		report_percentiles(r, &r->row[i]);
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
	snprintf(err->text, sizeof(err->text), "out of memory");
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
