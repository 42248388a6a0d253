/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "internal.h"

#define REPORT_FIELD_INFO(id, name, unit, sum) [FIELD_##id] = {name, FIELD_##unit, #sum[0]},
const struct field_info report_field[FIELD_COUNT] = {REPORT_FIELDS(REPORT_FIELD_INFO)};

const struct resource report_resource[REPORT_RESOURCES] = {
	{"cpu", FIELD_CPU_LIMIT, FIELD_CPU_NEAR, FIELD_CPU_MAX, KEPT_CPU_LIMIT},
	{"memory", FIELD_MEMORY_LIMIT, FIELD_MEMORY_NEAR, FIELD_MEMORY_MAX, KEPT_MEMORY_LIMIT},
	{"pids", FIELD_PIDS_LIMIT, 0, FIELD_PIDS_MAX, KEPT_PIDS_LIMIT},
	{"disk", FIELD_DISK_LIMIT, 0, FIELD_DISK_MAX, KEPT_DISK_LIMIT},
};

#define RISK_NEAR      0.01 /* of the time near a limit */
#define RISK_THROTTLED 0.05 /* of the time */
#define RISK_DAYS      30   /* until it is full */
#define ADVICE_UNIT    (1024.0 * 1024)

void row_clear(struct report_row *row)
{
	*row = (struct report_row){0};
	for (size_t i = 0; i < FIELD_COUNT; i++)
		row->value[i] = NAN;
}

void row_free(struct report_row *row)
{
	free(row->name);
	free(row->host);
	free(row->groups);
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		free(row->series[i]);
		free(row->upper[i]);
	}
	*row = (struct report_row){0};
}

void report_free(struct report *r)
{
	for (size_t i = 0; i < r->rows; i++)
		row_free(&r->row[i]);
	free(r->row);
	row_free(&r->host);
	for (size_t i = 0; i < r->filesystems; i++)
		free(r->filesystem[i].mount);
	free(r->filesystem);
	for (size_t i = 0; i < REPORT_RESOURCES; i++)
		free(r->other[i]);
	*r = (struct report){0};
}

double *series_new(size_t n)
{
	double *v = calloc(MAX(n, 1), sizeof(*v));

	for (size_t i = 0; v && i < n; i++)
		v[i] = NAN;
	return v;
}

struct report_row *report_add_row(struct report *r)
{
	if (r->rows == r->rows_size) {
		size_t size = 2 * r->rows_size + 16;
		struct report_row *row = reallocarray(r->row, size, sizeof(*row));

		if (!row)
			return NULL;
		r->row = row;
		r->rows_size = size;
	}
	row_clear(&r->row[r->rows]);
	return &r->row[r->rows++];
}

int report_add_filesystem(struct report *r, const char *mount, double size, double available)
{
	struct report_filesystem *list =
		reallocarray(r->filesystem, r->filesystems + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	r->filesystem = list;
	list += r->filesystems;
	*list = (struct report_filesystem){strdup(mount), size, available};
	r->filesystems += list->mount != NULL;
	return list->mount ? 0 : -ENOMEM;
}

/* --- figures of a series ---------------------------------------------------------------------- */

size_t percentiles_of(const double *values, size_t n, const unsigned int *permille,
	size_t n_permille, double *ret)
{
	_cleanup_free_ double *copy = values ? malloc(MAX(n, 1) * sizeof(*copy)) : NULL;

	for (size_t i = 0; i < n_permille; i++)
		ret[i] = NAN;
	if (!copy)
		return 0;
	memcpy(copy, values, n * sizeof(*copy));
	return stat_percentiles(copy, n, permille, n_permille, ret);
}

double last_known(const double *values, size_t n)
{
	while (n > 0 && isnan(values[n - 1]))
		n--;
	return n > 0 ? values[n - 1] : NAN;
}

/* Share of the known points in which it was near its limit: that of the time, or the last one. */
double near_limit(const double *used, const double *limits, size_t n, double limit)
{
	size_t known = 0, near = 0;

	for (size_t i = 0; i < n; i++) {
		double at = limits && !isnan(limits[i]) ? limits[i] : limit;

		if (isnan(used[i]) || isnan(at))
			continue;
		known++;
		near += used[i] >= REPORT_NEAR * at;
	}
	return known ? (double)near / (double)known : NAN;
}

static void if_unknown(double *to, double value)
{
	if (isnan(*to))
		*to = value;
}

/* What is measured may have been held down by the limit: then it says too little. */
static double advice(double percentile, double margin, double limit, bool held_down, double unit)
{
	double want = percentile * (1 + margin);

	if (held_down && isfinite(limit))
		want = fmax(want, limit * (1 + margin));
	return ceil(want / unit) * unit;
}

static void advise(const struct report *r, const struct report_ask *ask, struct report_row *row)
{
	double *v = row->value, used;

	if (percentiles_of(row->series[REPORT_MEMORY], r->n, &ask->permille, 1, &used))
		v[FIELD_MEMORY_ADVICE] = advice(used, ask->margin, v[FIELD_MEMORY_LIMIT],
			v[FIELD_OOM_KILLS] > 0 || v[FIELD_MEMORY_NEAR] >= RISK_NEAR, ADVICE_UNIT);
	if (percentiles_of(row->series[REPORT_CPU], r->n, &ask->permille, 1, &used))
		v[FIELD_CPU_ADVICE] = advice(used, ask->margin, v[FIELD_CPU_LIMIT],
			v[FIELD_CPU_THROTTLED] >= RISK_THROTTLED || v[FIELD_CPU_NEAR] >= RISK_NEAR,
			0.01);
	if (isfinite(v[FIELD_MEMORY_LIMIT]))
		v[FIELD_MEMORY_BACK] = v[FIELD_MEMORY_LIMIT] - v[FIELD_MEMORY_ADVICE];
	if (isfinite(v[FIELD_CPU_LIMIT]))
		v[FIELD_CPU_BACK] = v[FIELD_CPU_LIMIT] - v[FIELD_CPU_ADVICE];
}

void find_risks(struct report_row *row)
{
	const double *v = row->value;
	bool risk[] = {
		[REPORT_CPU] = v[FIELD_CPU_THROTTLED] >= RISK_THROTTLED ||
			       v[FIELD_CPU_NEAR] >= RISK_THROTTLED,
		[REPORT_MEMORY] = v[FIELD_MEMORY_NEAR] >= RISK_NEAR,
		[REPORT_PIDS] = v[FIELD_PIDS_MAX] >= REPORT_NEAR * v[FIELD_PIDS_LIMIT],
		[REPORT_DISK] = v[FIELD_DISK_USED] >= REPORT_NEAR * v[FIELD_DISK_LIMIT],
	};

	strcpy(row->risk, v[FIELD_OOM_KILLS] > 0 ? "oom" : "");
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		const struct stat_forecast *f = &row->forecast[i];

		if (risk[i] || (f->answer == STAT_WITHIN && f->days <= RISK_DAYS))
			snprintf(row->risk + strlen(row->risk),
				sizeof(row->risk) - strlen(row->risk), "%s%s",
				*row->risk ? " " : "", report_resource[i].name);
	}
}

void report_percentiles(const struct report *r, struct report_row *row)
{
	static const unsigned int permille[] = {500, 950, 990, 1000};
	double *v = row->value, p[4];

	v[FIELD_POINTS] = (double)percentiles_of(row->series[REPORT_CPU], r->n, permille, 4, p);
	memcpy(&v[FIELD_CPU_P50], p, sizeof(p)); /* four fields one after another */
	if_unknown(&v[FIELD_CPU_MAX], p[3]);
	v[FIELD_POINTS] = fmax(v[FIELD_POINTS],
		(double)percentiles_of(row->series[REPORT_MEMORY], r->n, permille, 4, p));
	memcpy(&v[FIELD_MEMORY_P50], p, sizeof(p));
	if_unknown(&v[FIELD_MEMORY_MAX], p[3]);
	percentiles_of(row->series[REPORT_PIDS], r->n, permille, 4, p);
	v[FIELD_PIDS_P95] = p[1];
	if_unknown(&v[FIELD_PIDS_MAX], p[3]);
	percentiles_of(row->series[REPORT_DISK], r->n, permille, 4, p);
	if_unknown(&v[FIELD_DISK_MAX], p[3]);
	v[FIELD_RESOLUTION] = (double)r->step_s;
	if_unknown(&v[FIELD_PEAK_RESOLUTION], (double)r->peak_s);
}

void report_figures(const struct report *r, const struct report_ask *ask, struct report_row *row)
{
	double *v = row->value;

	report_percentiles(r, row);
	for (size_t i = REPORT_CPU; i <= REPORT_MEMORY; i++)
		if (row->series[i])
			if_unknown(
				&v[report_resource[i].near], near_limit(row->series[i], NULL, r->n,
								     v[report_resource[i].limit]));
	if (row->series[REPORT_DISK]) {
		size_t first = 0;

		while (first < r->n && isnan(row->series[REPORT_DISK][first]))
			first++;
		if_unknown(&v[FIELD_DISK_USED], last_known(row->series[REPORT_DISK], r->n));
		if_unknown(&v[FIELD_DISK_GROWTH],
			first < r->n ? last_known(row->series[REPORT_DISK], r->n) -
					       row->series[REPORT_DISK][first]
				     : NAN);
	}
	advise(r, ask, row);
}

void report_forecast(
	const struct stat_history *h, enum report_resource resource, struct report_row *row)
{
	stat_forecast(h, row->value[report_resource[resource].limit], &row->forecast[resource]);
}

/* --- sums ------------------------------------------------------------------------------------- */

void add_point(double *sum, double v)
{
	if (!isnan(v))
		*sum = isnan(*sum) ? v : *sum + v;
}

static int add_series(double **sum, const double *values, size_t n)
{
	if (!values)
		return 0;
	if (!*sum && !(*sum = series_new(n)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		add_point(&(*sum)[i], values[i]);
	return 0;
}

int report_sum(
	const struct report *r, struct report_row *sum, const struct report_row *row, bool upper)
{
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		const double *most = row->upper[i] ? row->upper[i] : row->series[i];

		if (add_series(&sum->series[i], row->series[i], r->n) < 0 ||
			(upper && add_series(&sum->upper[i], most, r->n) < 0))
			return -ENOMEM;
	}
	for (size_t i = 0; i < FIELD_HOST; i++)
		if (report_field[i].sum == 'S')
			add_point(&sum->value[i], row->value[i]);
		else if (report_field[i].sum == 'M')
			sum->value[i] = fmax(sum->value[i], row->value[i]);
	add_point(&sum->value[FIELD_HOST_CPU_SUM], row->value[FIELD_CPU_MAX]);
	add_point(&sum->value[FIELD_HOST_MEMORY_SUM], row->value[FIELD_MEMORY_MAX]);
	sum->running |= row->running;
	return 0;
}

/* What instances and all else used together, and its upper bound, against the capacity. */
static int host_resource(struct report *r, enum report_resource resource, enum field p95,
	enum field upper, enum field capacity, enum field committed, enum field room)
{
	static const unsigned int permille[] = {950, 1000};
	double *v = r->host.value, *sums[] = {r->host.series[resource], r->host.upper[resource]};

	for (size_t k = 0; k < 2; k++) {
		_cleanup_free_ double *used = series_new(r->n);
		double p[2];

		if (!used)
			return -ENOMEM;
		for (size_t i = 0; i < r->n; i++) {
			used[i] = sums[k] ? sums[k][i] : NAN;
			if (r->other[resource])
				add_point(&used[i], r->other[resource][i]);
		}
		percentiles_of(used, r->n, permille, 2, p);
		if (k == 0)
			memcpy(&v[p95], p, sizeof(p));
		else
			v[upper] = p[1];
	}
	v[room] = v[capacity] - v[committed];
	v[room + 1] = v[capacity] - v[p95];
	v[room + 2] = v[capacity] - v[p95 + 1];
	return 0;
}

/* All file systems that hold instances together, and when they are full: what instances have there
 * against that and what is left. */
static void host_disk(struct report *r)
{
	const double *values = r->host.series[REPORT_DISK];
	struct stat_history h = {.values = values, .n = r->n, .step_s = r->step_s};
	double *v = r->host.value, left;
	bool given = !isnan(v[FIELD_HOST_DISK]);

	for (size_t i = 0; !given && i < r->filesystems; i++) {
		const struct report_filesystem *f = &r->filesystem[i];

		if (isnan(f->size - f->available))
			continue;
		add_point(&v[FIELD_HOST_DISK], f->size);
		add_point(&v[FIELD_HOST_DISK_USED], f->size - f->available);
	}
	left = v[FIELD_HOST_DISK] - v[FIELD_HOST_DISK_USED];
	if (values && left >= 0)
		stat_forecast(&h, last_known(values, r->n) + left, &r->host.forecast[REPORT_DISK]);
}

int report_host_figures(struct report *r)
{
	report_percentiles(r, &r->host);
	host_disk(r);
	return MIN(
		host_resource(r, REPORT_CPU, FIELD_HOST_CPU_USED_P95, FIELD_HOST_CPU_UPPER,
			FIELD_HOST_CPUS, FIELD_HOST_CPU_COMMITTED, FIELD_HOST_CPU_ROOM_COMMITTED),
		host_resource(r, REPORT_MEMORY, FIELD_HOST_MEMORY_USED_P95, FIELD_HOST_MEMORY_UPPER,
			FIELD_HOST_MEMORY, FIELD_HOST_MEMORY_COMMITTED,
			FIELD_HOST_MEMORY_ROOM_COMMITTED));
}
