/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "stat-internal.h"

/*
 * What is used together, on the days of the history, at the present level: each day's peak of the
 * sum, with the trend and the steps that came since taken out. The peak of a sum is what counts:
 * loads that rise together need room for it together, loads that take turns share it.
 */

#define CONFIDENCE 1.645 /* normal deviate: one-sided 95 % */

static double at_level(const struct stat_model *m, const struct stat_days *d, size_t day)
{
	double slope = stat_trend(m) ? m->slope : 0;
	double level = m->level[m->segments - 1], then = m->level[m->segment[day]];

	/* Levels are those of day 0 by the slope; what is only chance moves nothing. */
	if (!stat_trend(m) && m->segments == 1)
		return d->peak[day];
	return d->peak[day] + (level - then) + slope * (double)(m->n - 1 - day);
}

static int sum_of(const struct stat_load *load, long count, struct stat_days *ret)
{
	_cleanup_free_ double *sum = calloc(MAX(load->n, 1), sizeof(*sum));
	struct stat_history h = {.values = sum, .n = load->n, .step_s = load->step_s};

	if (!sum)
		return -ENOMEM;
	for (size_t i = 0; i < load->n; i++) {
		sum[i] = load->used[i];
		if (count)
			sum[i] += (double)count * (load->one ? load->one[i] : load->fixed);
	}
	stat_days(&h, ret);
	return 0;
}

/*
 * Days are few, and the share of those above is a coarse figure: each day stands for days around
 * it (a normal kernel, Silverman's width). Wilson's bound tells how little is known by so many,
 * fewer where one day is like the day before.
 */
static void judge(const double *peak, size_t n, double phi, double capacity, struct stat_room *ret)
{
	double copy[STAT_DAYS_MAX], width, days, z2 = CONFIDENCE * CONFIDENCE;

	memcpy(copy, peak, n * sizeof(*copy));
	width = 0.9 * stat_spread(copy, n) * pow((double)n, -0.2);
	ret->sure = 0;
	ret->peak = (double)-INFINITY;
	ret->over = 0;
	for (size_t i = 0; i < n; i++) {
		ret->peak = fmax(ret->peak, peak[i]);
		ret->over += peak[i] > capacity;
		ret->sure += width > 0 ? 0.5 * erfc((peak[i] - capacity) / width / M_SQRT2)
				       : peak[i] <= capacity;
	}
	ret->days = (unsigned int)n;
	ret->sure /= (double)n;
	days = fmax(1, (double)n * (1 - phi) / (1 + phi));
	ret->sure_least = (ret->sure + z2 / (2 * days) -
				  CONFIDENCE * sqrt(ret->sure * (1 - ret->sure) / days +
						       z2 / (4 * days * days))) /
			  (1 + z2 / days);
}

int stat_room(const struct stat_load *load, long count, struct stat_room *ret)
{
	struct stat_days days;
	struct stat_model m;
	double peak[STAT_DAYS_MAX];
	size_t n = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = sum_of(load, count, &days);
	if (r < 0)
		return r;
	if (!stat_model(&days, &m))
		return -ENODATA;
	for (size_t i = m.from; i < m.n; i++)
		if (!isnan(days.peak[i]))
			peak[n++] = at_level(&m, &days, i);
	judge(peak, n, m.phi, load->capacity, ret);
	return 0;
}

long stat_fits(const struct stat_load *load, double sure, long most)
{
	long low = 0, high = 1;
	struct stat_room room;
	int r = stat_room(load, 1, &room);

	if (r < 0)
		return r;
	/* More of it is never surer: doubled until it is too much, then halved. */
	while (room.sure >= sure && high < most) {
		low = high;
		high = MIN(2 * high, most);
		r = stat_room(load, high, &room);
		if (r < 0)
			return r;
	}
	if (room.sure >= sure)
		return high;
	while (high - low > 1) {
		long middle = low + (high - low) / 2;

		r = stat_room(load, middle, &room);
		if (r < 0)
			return r;
		*(room.sure >= sure ? &low : &high) = middle;
	}
	return low;
}
