/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "stat-internal.h"

#define PATHS        400 /* futures that are drawn */
#define HORIZON_MAX  365
#define REACHED_DAYS 7
#define SEED         20240229

/* A future: slope, level, noise, each as unsure as it is. */
struct future {
	struct stat_random random;
	const struct stat_model *m;
	double shocks[STAT_DAYS_MAX]; /* by which noise departed from what it was a day before */
	size_t n_shocks;
	double widen; /* shocks are smaller than they were: the line was laid through them */
	double level, slope, noise, scale;
	size_t day;
};

static void future_init(struct future *f, const struct stat_model *m)
{
	double mean = 0;

	memset(f, 0, sizeof(*f));
	f->random.state = SEED;
	f->m = m;
	for (size_t i = m->from + 1; i < m->n; i++)
		if (!isnan(m->rest[i]) && !isnan(m->rest[i - 1]) &&
			m->segment[i] == m->segment[i - 1]) {
			f->shocks[f->n_shocks] = m->rest[i] - m->phi * m->rest[i - 1];
			mean += f->shocks[f->n_shocks++];
		}
	if (f->n_shocks < 3)
		f->n_shocks = 0;
	for (size_t i = 0; i < f->n_shocks; i++)
		f->shocks[i] -= mean / (double)f->n_shocks;
	f->widen = sqrt((double)m->known / fmax(1, (double)m->known - 1 - m->segments));
}

static void future_start(struct future *f)
{
	const struct stat_model *m = f->m;
	double chi = 0, n = floor(m->freedom), last = m->rest[m->n - 1];

	/* Student's t: one chi-squared for all that hangs on sigma. */
	for (double i = 0; i < n; i++) {
		double z = stat_normal(&f->random);

		chi += z * z;
	}
	f->scale = sqrt(n / chi);
	f->slope = m->slope + f->scale * m->slope_error * stat_normal(&f->random);
	f->level = stat_line(m, m->centre) + f->scale * m->level_error * stat_normal(&f->random);
	f->noise = isnan(last) ? m->sigma * stat_normal(&f->random) : last;
	f->day = m->n - 1;
}

/* The peak of the next day. */
static double future_next(struct future *f)
{
	const struct stat_model *m = f->m;
	double shock;

	if (f->n_shocks)
		shock = f->shocks[(size_t)(stat_uniform(&f->random) * (double)f->n_shocks)];
	else
		shock = m->sigma * stat_normal(&f->random);
	f->noise = m->phi * f->noise + f->widen * fmax(1, fmin(f->scale, 2)) * shock;
	f->day++;
	return f->level + f->slope * ((double)f->day - m->centre) + m->week[f->day % 7] + f->noise;
}

/* The day on which the peak is at the limit, in each of the futures. */
static void draw_days(const struct stat_model *m, double limit, unsigned int horizon, double *days)
{
	struct future f;

	future_init(&f, m);
	for (size_t p = 0; p < PATHS; p++) {
		unsigned int day = 1;

		future_start(&f);
		while (day <= horizon && future_next(&f) < limit)
			day++;
		days[p] = day <= horizon ? day : (double)INFINITY;
	}
}

static bool is_reached(const struct stat_days *d, double limit)
{
	for (size_t i = d->n > REACHED_DAYS ? d->n - REACHED_DAYS : 0; i < d->n; i++)
		if (d->peak[i] >= limit)
			return true;
	return false;
}

/* A little more than promised is held: what was learned from the history is itself unsure. */
static const unsigned int quantiles[] = {30, 500, 970};

static void answer_from(const struct stat_model *m, double limit, struct stat_forecast *ret)
{
	double days[PATHS], q[3];

	draw_days(m, limit, ret->horizon_days, days);
	stat_percentiles(days, PATHS, quantiles, 3, q);
	ret->low_days = q[0] - 1;
	ret->days = q[1];
	ret->high_days = q[2];
	ret->answer = isinf(q[0]) ? STAT_FAR : STAT_WITHIN;
}

void stat_forecast(const struct stat_history *h, double limit, struct stat_forecast *ret)
{
	struct stat_days days;
	struct stat_model m;
	double reach;
	int trend;

	*ret = (struct stat_forecast){
		.days = (double)NAN,
		.low_days = (double)NAN,
		.high_days = (double)NAN,
		.level = (double)NAN,
		.slope = (double)NAN,
		.slope_low = (double)NAN,
		.slope_high = (double)NAN,
	};
	stat_days(h, &days);
	ret->days_known = (unsigned int)days.known;
	if (!stat_model(&days, &m)) {
		ret->answer =
			isfinite(limit) && is_reached(&days, limit) ? STAT_REACHED : STAT_TOO_SHORT;
		return;
	}
	ret->steps = m.segments - 1;
	ret->days_level = (unsigned int)m.last_known;
	ret->horizon_days = (unsigned int)fmin(2 * (double)(m.n - m.from), HORIZON_MAX);
	reach = m.slope_error * stat_student(1.645, m.freedom);
	ret->level = stat_line(&m, (double)m.n - 1);
	ret->slope = m.slope;
	ret->slope_low = m.slope - reach;
	ret->slope_high = m.slope + reach;
	trend = stat_trend(&m);
	if (!isfinite(limit))
		ret->answer = STAT_NO_LIMIT;
	else if (is_reached(&days, limit))
		ret->answer = STAT_REACHED;
	else if (isnan(m.slope_error) || m.last_known < 2)
		ret->answer = STAT_TOO_SHORT;
	else if (!trend)
		ret->answer = STAT_NO_TREND;
	else if (trend < 0)
		ret->answer = STAT_FALLING;
	else
		answer_from(&m, limit, ret);
}

/* --- as text ---------------------------------------------------------------------------------- */

const char *stat_answer_name(enum stat_answer answer)
{
	static const char *const names[] = {
		[STAT_TOO_SHORT] = "not-enough-data",
		[STAT_NO_LIMIT] = "no-limit",
		[STAT_REACHED] = "reached",
		[STAT_NO_TREND] = "no-trend",
		[STAT_FALLING] = "falls",
		[STAT_FAR] = "not-within-horizon",
		[STAT_WITHIN] = "within",
	};

	return names[answer];
}

void stat_forecast_text(const struct stat_forecast *f, char text[STAT_TEXT_MAX])
{
	switch (f->answer) {
	case STAT_TOO_SHORT:
		if (f->days_known < STAT_DAYS_MIN)
			snprintf(text, STAT_TEXT_MAX, "not enough data (%u of %d days)",
				f->days_known, STAT_DAYS_MIN);
		else
			snprintf(text, STAT_TEXT_MAX, "not enough data (%u days since a step)",
				f->days_level);
		break;
	case STAT_FAR:
		snprintf(text, STAT_TEXT_MAX, "not within %u days", f->horizon_days);
		break;
	case STAT_WITHIN:
		if (isinf(f->high_days))
			snprintf(text, STAT_TEXT_MAX, "in %.0f days or more", f->low_days);
		else
			snprintf(text, STAT_TEXT_MAX, "in %.0f to %.0f days", f->low_days,
				f->high_days);
		break;
	case STAT_NO_LIMIT:
		snprintf(text, STAT_TEXT_MAX, "no limit");
		break;
	case STAT_NO_TREND:
		snprintf(text, STAT_TEXT_MAX, "no trend");
		break;
	default:
		snprintf(text, STAT_TEXT_MAX, "%s", stat_answer_name(f->answer));
	}
}

/* --- held against what came ---------------------------------------------------------------------
 */

#define BACKTEST_PATHS 200
#define BACKTEST_CUTS  8

static bool held(const struct stat_model *m, unsigned int ahead, double came)
{
	double values[BACKTEST_PATHS], q[3];
	struct future f;

	future_init(&f, m);
	for (size_t p = 0; p < BACKTEST_PATHS; p++) {
		future_start(&f);
		for (unsigned int day = 0; day < ahead; day++)
			values[p] = future_next(&f);
	}
	stat_percentiles(values, BACKTEST_PATHS, quantiles, 3, q);
	return came >= q[0] && came <= q[2];
}

void stat_backtest(const struct stat_history *h, unsigned int ahead_days, struct stat_backtest *sum)
{
	struct stat_days days, part;
	bool any = false;

	stat_days(h, &days);
	if (!ahead_days || days.n < STAT_DAYS_MIN + ahead_days)
		return;
	for (size_t i = 0, cuts = days.n - ahead_days - STAT_DAYS_MIN + 1; i < BACKTEST_CUTS; i++) {
		size_t n = STAT_DAYS_MIN + i * cuts / BACKTEST_CUTS;
		double came = days.peak[n + ahead_days - 1];
		struct stat_model m;

		if ((i && n == STAT_DAYS_MIN + (i - 1) * cuts / BACKTEST_CUTS) || isnan(came))
			continue;
		part = days;
		part.n = n;
		if (!stat_model(&part, &m) || isnan(m.slope_error) || m.last_known < 2)
			continue;
		sum->made++;
		sum->held += held(&m, ahead_days, came);
		any = true;
	}
	sum->series += any;
}
