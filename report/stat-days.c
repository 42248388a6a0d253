/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "../lib/util.h"
#include "stat-internal.h"

#define DAY_S         86400
#define WEEK          7
#define WEEKLY_DAYS   21  /* that show a day of the week apart from chance */
#define STEP_SIGNS    4.5 /* robust standard deviations that a step sticks out */
#define STEP_DAYS     3   /* either side of a step are looked at */
#define STEPS_MAX     12
#define STEPS_UP      3   /* more of them are how it grows */
#define CHANGED_SIGNS 3.5 /* standard errors between the slopes of two halves */
#define TREND_SIGNS   2.576

/* --- peaks ------------------------------------------------------------------------------------ */

static double peak_of(const double *v, size_t n)
{
	double peak = (double)-INFINITY;
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(v[i])) {
			known++;
			peak = fmax(peak, v[i]);
		}
	return known && 4 * known >= 3 * n ? peak : (double)NAN;
}

/* A day that a run began in has two levels: it is left out, unless days like that are the rule. */
static void mark_starts(const struct stat_history *h, size_t per_day, struct stat_days *d)
{
	double before[STAT_DAYS_MAX];
	size_t starts = 0, mixed;

	memcpy(before, d->peak, sizeof(before));
	for (size_t i = 0; i < h->n_starts; i++) {
		size_t back, day, hour;

		if (h->starts[i] >= h->n)
			continue;
		back = (h->n - 1 - h->starts[i]) / per_day;
		if (back >= d->n)
			continue;
		day = d->n - 1 - back;
		hour = per_day - 1 - (h->n - 1 - h->starts[i]) % per_day;
		mixed = hour && day + 1 < d->n ? day + 1 : day;
		starts += !d->start[mixed];
		d->start[mixed] = true;
		if (hour)
			d->peak[day] = (double)NAN;
	}
	if (4 * starts > d->n) {
		memset(d->start, 0, sizeof(d->start));
		memcpy(d->peak, before, sizeof(before));
	}
}

void stat_days(const struct stat_history *h, struct stat_days *ret)
{
	size_t per_day = h->step_s && h->step_s <= DAY_S ? DAY_S / h->step_s : 1;
	const double *v;

	memset(ret, 0, sizeof(*ret));
	ret->n = h->n / per_day;
	if (ret->n > STAT_DAYS_MAX)
		ret->n = STAT_DAYS_MAX;
	v = h->values + h->n - ret->n * per_day;
	for (size_t i = 0; i < ret->n; i++)
		ret->peak[i] = peak_of(v + i * per_day, per_day);
	mark_starts(h, per_day, ret);
	for (size_t i = 0; i < ret->n; i++)
		ret->known += !isnan(ret->peak[i]);
}

/* --- the line --------------------------------------------------------------------------------- */

/* Theil and Sen's slope of the pairs within a segment that are `lag` days apart, or a multiple. */
static double slope_of(const struct stat_model *m, const double *v, size_t lag, size_t *pairs)
{
	double slopes[STAT_DAYS_MAX * (STAT_DAYS_MAX - 1) / 2];
	size_t n = 0;

	for (size_t i = m->from; i < m->n; i++)
		for (size_t j = i + lag; j < m->n && m->segment[j] == m->segment[i]; j += lag)
			if (!isnan(v[i]) && !isnan(v[j]))
				slopes[n++] = (v[j] - v[i]) / (double)(j - i);
	*pairs = n;
	return n ? stat_median(slopes, n) : 0;
}

static void set_levels(struct stat_model *m, const double *v)
{
	double in[STAT_DAYS_MAX];

	for (unsigned int s = 0; s < m->segments; s++) {
		size_t n = 0;

		for (size_t i = m->from; i < m->n; i++)
			if (m->segment[i] == s && !isnan(v[i]))
				in[n++] = v[i] - m->slope * (double)i;
		m->level[s] = stat_median(in, n);
	}
	for (size_t i = m->from; i < m->n; i++)
		m->rest[i] = v[i] - m->slope * (double)i - m->level[m->segment[i]];
}

/* Days of the week count when they differ more than chance lets them (F of 6 and more degrees). */
static bool set_week(struct stat_model *m)
{
	double between = 0, within = 0, same[STAT_DAYS_MAX], mean = 0;

	for (size_t k = 0; k < WEEK; k++) {
		size_t n = 0;
		double median;

		for (size_t i = m->from; i < m->n; i++)
			if (i % WEEK == k && !isnan(m->rest[i]))
				same[n++] = m->rest[i];
		if (n < 3)
			return false;
		m->week[k] = median = stat_median(same, n);
		mean += median / WEEK;
		for (size_t i = 0; i < n; i++)
			within += (same[i] - median) * (same[i] - median);
		between += median * median * (double)n;
	}
	for (size_t k = 0; k < WEEK; k++)
		m->week[k] -= mean;
	return between / (WEEK - 1) > 4 * within / (double)(m->known - WEEK);
}

static void fit_line(const struct stat_days *d, struct stat_model *m)
{
	double v[STAT_DAYS_MAX];
	size_t pairs;

	memcpy(v, d->peak, sizeof(v));
	/* Whole weeks apart, the day of the week does not matter. */
	m->slope = slope_of(m, v, WEEK, &pairs);
	if (pairs < m->known / 2)
		m->slope = slope_of(m, v, 1, &pairs);
	set_levels(m, v);
	m->weekly = m->known >= WEEKLY_DAYS && set_week(m);
	if (!m->weekly)
		memset(m->week, 0, sizeof(m->week));
	for (size_t i = m->from; i < m->n; i++)
		v[i] -= m->week[i % WEEK];
	if (pairs < 2 * m->known)
		m->slope = slope_of(m, v, 1, &pairs);
	set_levels(m, v);
	m->freedom = (double)m->known - 1 - m->segments - (m->weekly ? WEEK - 1 : 0);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* Median of up to STEP_DAYS known days of the segment before `day`, or from it on. */
static double side(const struct stat_model *m, const double *v, size_t day, bool after)
{
	double near[STEP_DAYS];
	size_t known = 0;

	for (size_t i = after ? day : day - 1;
		known < STEP_DAYS && i >= m->from && i < m->n && m->segment[i] == m->segment[day];
		i += after ? 1 : (size_t)-1)
		if (!isnan(v[i]))
			near[known++] = v[i];
	return known > 1 ? stat_median(near, known) : (double)NAN;
}

/* Takes the day of the week out of differences: the median of each, where there are three. */
static void without_week(const struct stat_model *m, double *v)
{
	for (size_t k = m->from; k < m->from + WEEK; k++) {
		double same[STAT_DAYS_MAX], median;
		size_t known = 0;

		for (size_t i = k; i < m->n; i += WEEK)
			same[known++] = v[i];
		median = stat_median(same, known);
		for (size_t i = k; i < m->n; i += WEEK)
			v[i] -= median;
	}
}

/*
 * The day of the greatest step: the days after it differ from those before by far more than they
 * do elsewhere, and most of that from one day to the next. 0: there is none.
 */
static size_t find_step(const struct stat_model *m, const double *v, bool weekly, double *rise)
{
	double wide[STAT_DAYS_MAX] = {0}, sharp[STAT_DAYS_MAX] = {0}, copy[STAT_DAYS_MAX], limit;
	size_t found = 0, size = (m->n - m->from) * sizeof(double);

	for (size_t i = m->from; i < m->n; i++) {
		bool follows =
			i > m->from && !isnan(v[i - 1]) && m->segment[i] == m->segment[i - 1];
		double before = side(m, v, i, false);

		wide[i] = side(m, v, i, true) - before;
		sharp[i] = v[i] - (follows ? v[i - 1] : before);
	}
	if (weekly) {
		without_week(m, wide);
		without_week(m, sharp);
	}
	memcpy(copy, wide + m->from, size);
	limit = stat_median(copy, m->n - m->from);
	for (size_t i = m->from; i < m->n; i++) {
		wide[i] -= limit;
		sharp[i] -= limit / STEP_DAYS;
	}
	memcpy(copy, wide + m->from, size);
	limit = STEP_SIGNS * stat_spread(copy, m->n - m->from);
	for (size_t i = m->from + 1; i < m->n; i++)
		if (fabs(wide[i]) > limit && wide[i] * sharp[i] > 0 &&
			fabs(sharp[i]) >= 0.5 * fabs(wide[i]) &&
			(!found || fabs(sharp[i]) > fabs(sharp[found])))
			found = i;
	*rise = wide[found];
	return found;
}

static void cut_at(struct stat_model *m, const bool *cut)
{
	m->segments = 1;
	for (size_t i = m->from; i < m->n; i++) {
		m->segments += cut[i] && i > m->from;
		m->segment[i] = (unsigned char)(m->segments - 1);
	}
}

/*
 * One step after the other, the greatest first: with each the line, and what sticks out from it,
 * become clearer. More than a few steps up are no events but how it grows.
 */
static void fit_segments(const struct stat_days *d, struct stat_model *m)
{
	bool cut[STAT_DAYS_MAX], steps_up[STAT_DAYS_MAX] = {false};
	unsigned int up = 0;

	memcpy(cut, d->start, sizeof(cut));
	cut_at(m, cut);
	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		double rise;
		size_t day = find_step(
			m, i ? m->rest : d->peak, !i && m->n - m->from >= WEEKLY_DAYS, &rise);

		if (i && !day)
			return;
		if (day) {
			cut[day] = true;
			steps_up[day] = rise > 0;
			up += rise > 0;
		}
		if (up > STEPS_UP)
			break;
		cut_at(m, cut);
		fit_line(d, m);
	}
	if (up <= STEPS_UP)
		return;
	for (size_t i = 0; i < STAT_DAYS_MAX; i++)
		cut[i] &= !steps_up[i];
	cut_at(m, cut);
	fit_line(d, m);
}

/* --- how sure --------------------------------------------------------------------------------- */

static void set_noise(struct stat_model *m)
{
	double copy[STAT_DAYS_MAX], most, square = 0, product = 0, follows = 0, n = 0, per_segment;

	memcpy(copy, m->rest, sizeof(copy));
	most = 3 * stat_spread(copy + m->from, m->n - m->from);
	if (!(most > 0))
		most = (double)INFINITY;
	for (size_t i = m->from; i < m->n; i++) {
		double x, y;

		if (isnan(m->rest[i]))
			continue;
		x = fmax(-most, fmin(most, m->rest[i]));
		square += x * x;
		n++;
		if (i == m->from || isnan(m->rest[i - 1]) || m->segment[i] != m->segment[i - 1])
			continue;
		y = fmax(-most, fmin(most, m->rest[i - 1]));
		product += x * y;
		follows++;
	}
	m->sigma = sqrt(square / fmax(m->freedom, 1));
	/* Taking out level and slope makes noise look less dependent than it is: by (2 + 4 phi)/n
	 * (Kendall 1954). */
	per_segment = fmax(n / m->segments, 6);
	m->phi = square > 0 && follows > 0 ? product / follows * n / square : 0;
	m->phi = (m->phi * per_segment + 2) / (per_segment - 4);
	m->phi = fmax(0, fmin(0.95, m->phi));
}

static void set_errors(struct stat_model *m)
{
	double spread = 0, inflation = (1 + m->phi) / (1 - m->phi), n_last = 0;

	for (unsigned int s = 0; s < m->segments; s++) {
		double sum = 0, squares = 0, n = 0;

		for (size_t i = m->from; i < m->n; i++)
			if (m->segment[i] == s && !isnan(m->rest[i])) {
				sum += (double)i;
				squares += (double)i * (double)i;
				n++;
			}
		if (n > 0)
			spread += squares - sum * sum / n;
		m->centre = n > 0 ? sum / n : 0;
		n_last = n;
	}
	m->last_known = (size_t)n_last;
	/* A median costs a quarter more than a mean, Theil and Sen a tenth more than squares. */
	m->slope_error = spread > 0 ? m->sigma * sqrt(1.1 * inflation / spread) : (double)NAN;
	m->level_error =
		n_last > 0 ? m->sigma * sqrt(fmin(1.25 * inflation / n_last, 1)) : (double)NAN;
	m->freedom = fmax(3, m->freedom / sqrt(inflation));
}

static bool fit(const struct stat_days *d, size_t from, size_t to, struct stat_model *m)
{
	memset(m, 0, sizeof(*m));
	m->from = from;
	m->n = to;
	for (size_t i = from; i < to; i++)
		m->known += !isnan(d->peak[i]);
	if (m->known < STAT_DAYS_MIN)
		return false;
	fit_segments(d, m);
	set_noise(m);
	set_errors(m);
	return true;
}

/* What was before the slope changed says nothing about what comes. */
bool stat_model(const struct stat_days *days, struct stat_model *ret)
{
	size_t from = 0;

	while (from < days->n && isnan(days->peak[from]))
		from++;
	for (;;) {
		size_t middle = from + (days->n - from) / 2;
		struct stat_model a, b;
		double error;

		if (!fit(days, from, middle, &a) || !fit(days, middle, days->n, &b))
			break;
		error = hypot(a.slope_error, b.slope_error);
		if (!(fabs(a.slope - b.slope) >
			    error * stat_student(CHANGED_SIGNS, a.freedom + b.freedom)))
			break;
		from = middle;
	}
	return fit(days, from, days->n, ret);
}

int stat_trend(const struct stat_model *m)
{
	double least = m->slope_error * stat_student(TREND_SIGNS, m->freedom);

	return m->slope > least ? 1 : m->slope < -least ? -1 : 0;
}
