/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "../../lib/util.h"
#include "../../report/stat.h"
#include "synthetic.h"

/* Percentiles, forecasts and joint loads of series whose answers are known without them. */

#define CASES 1000

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* By sorting, where they are found by selection. */
static void test_percentiles(void **state)
{
	static const unsigned int permille[] = {0, 1, 250, 500, 950, 990, 999, 1000};
	struct synthetic_random r = {1, 2};

	for (size_t round = 0; round < 200; round++) {
		double values[500], sorted[500], got[ARRAY_SIZE(permille)];
		size_t n = 1 + synthetic_below(&r, 500), known = 0;

		for (size_t i = 0; i < n; i++) {
			/* With equal ones and gaps. */
			values[i] = synthetic_below(&r, 5) ? floor(synthetic_uniform(&r, 0, 100))
							   : (double)NAN;
			if (!isnan(values[i]))
				sorted[known++] = values[i];
		}
		qsort(sorted, known, sizeof(*sorted), by_value);
		assert_int_equal(
			stat_percentiles(values, n, permille, ARRAY_SIZE(permille), got), known);
		for (size_t k = 0; k < ARRAY_SIZE(permille) && known; k++) {
			size_t rank = (permille[k] * known + 999) / 1000;

			assert_true(got[k] >= sorted[rank ? rank - 1 : 0] &&
				    got[k] <= sorted[rank ? rank - 1 : 0]);
		}
	}
}

static struct stat_forecast forecast(const struct synthetic *s)
{
	struct stat_history h = {
		.values = s->values,
		.n = s->n,
		.step_s = 3600,
		.starts = s->starts,
		.n_starts = s->n_starts,
	};
	struct stat_forecast f;

	stat_forecast(&h, SYNTHETIC_LIMIT, &f);
	return f;
}

static void test_intervals(void **state)
{
	struct synthetic *s = malloc(sizeof(*s));
	unsigned int said[SYNTHETIC_KINDS] = {0}, held[SYNTHETIC_KINDS] = {0}, all = 0, good = 0;

	assert_non_null(s);
	for (uint64_t i = 0; i < CASES; i++) {
		enum synthetic_kind kind = i % SYNTHETIC_KINDS;
		struct stat_forecast f;
		bool right;

		synthetic_make(s, kind, false, i);
		f = forecast(s);
		if (f.answer != STAT_WITHIN && f.answer != STAT_FAR)
			continue;
		right = f.answer == STAT_FAR ? s->days > f.horizon_days
					     : s->days >= f.low_days && s->days <= f.high_days;
		said[kind]++;
		held[kind] += right;
		all++;
		good += right;
	}
	free(s);
	printf("intervals: %u of %u held (%.1f %%), of %d cases\n", good, all, 100.0 * good / all,
		CASES);
	for (size_t k = 0; k < SYNTHETIC_KINDS; k++)
		printf("  kind %zu: %u of %u\n", k, held[k], said[k]);
	assert_true(all >= CASES / 2); /* it does not get there by saying nothing */
	assert_true(10 * good >= 9 * all);
}

static void test_false_alarms(void **state)
{
	struct synthetic *s = malloc(sizeof(*s));
	unsigned int alarms = 0;

	assert_non_null(s);
	for (uint64_t i = 0; i < CASES; i++) {
		synthetic_make(s, i % SYNTHETIC_KINDS, true, i);
		alarms += forecast(s).answer == STAT_WITHIN;
	}
	free(s);
	printf("no trend: %u false alarms of %d\n", alarms, CASES);
	assert_true(20 * alarms <= CASES);
}

/*
 * Hosts of forty instances with a daily rhythm, all together, or in turns, or each by itself; more
 * of one kind are added. Sixty days are told; the truth is 2,000 more days of the same processes.
 */
#define HOST_DAYS  60
#define HOST_TRUTH 2000
#define HOST_SURE  0.95
#define HOST_ERROR 0.028 /* sixty days: sqrt(0.95 * 0.05 / 60), one standard error */
#define BIG        4     /* one more is as much as four of those there: a step that shows */

enum together {
	TOGETHER, /* their peaks coincide */
	IN_TURNS, /* one half works by day, the other by night */
	ALONE,    /* each at an hour of its own each day */
	TOGETHERS
};

struct made_host {
	enum together how;
	double base, swing, noise, common;
};

/* One instance's use in that hour: `turn` is which half it belongs to. */
static double use_of(const struct made_host *h, size_t hour, size_t turn, double phase)
{
	double by = h->how == ALONE ? phase : h->how == IN_TURNS && turn ? 12 : 0;

	return h->base + h->swing * (0.5 - 0.5 * cos(((double)(hour % 24) + by) * M_PI / 12));
}

/* The sums of a day: 24 of what is there, 24 of one more. */
static void host_day(
	const struct made_host *h, struct synthetic_random *r, double *used, double *one)
{
	double day = 1 + h->common * synthetic_normal(r); /* a busy one, for all */

	memset(used, 0, 24 * sizeof(*used));
	for (size_t i = 0; i < 41; i++) {
		double phase = floor(synthetic_uniform(r, 0, 24));
		double own = 1 + h->noise * synthetic_normal(r);

		for (size_t hour = 0; hour < 24; hour++) {
			double v = fmax(0, use_of(h, hour, i % 2, phase) * day * own);

			if (i < 40)
				used[hour] += v;
			else
				one[hour] = BIG * v;
		}
	}
}

static double peak_with(const double *used, const double *one, long count)
{
	double peak = 0;

	for (size_t hour = 0; hour < 24; hour++)
		peak = fmax(peak, used[hour] + (double)count * one[hour]);
	return peak;
}

static void test_fits(void **state)
{
	static double used[HOST_DAYS * 24], one[HOST_DAYS * 24];
	static double more_used[HOST_TRUTH][24], more_one[HOST_TRUTH][24];
	unsigned int hosts = 0, safe = 0, next_is_not = 0, exactly = 0, apart = 0, more = 0;

	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct synthetic_random random = {seed * 0x9e3779b97f4a7c15, ~seed}, *r = &random;
		struct made_host h = {.how = seed % TOGETHERS};
		struct stat_load load = {
			.used = used, .one = one, .n = HOST_DAYS * 24, .step_s = 3600};
		double alone = 0, share[2];
		long n;

		for (int i = 0; i < 16; i++)
			synthetic_uniform(r, 0, 1);
		h.base = synthetic_uniform(r, 0.2, 1);
		h.swing = synthetic_uniform(r, 0.5, 2);
		h.noise = synthetic_uniform(r, 0.05, 0.3);
		h.common = synthetic_uniform(r, 0, 0.05);
		for (size_t d = 0; d < HOST_DAYS; d++)
			host_day(&h, r, used + 24 * d, one + 24 * d);
		for (size_t d = 0; d < HOST_TRUTH; d++)
			host_day(&h, r, more_used[d], more_one[d]);
		for (size_t i = 0; i < HOST_DAYS * 24; i++)
			alone = fmax(alone, one[i]);
		load.capacity = 40 * (h.base + h.swing) * synthetic_uniform(r, 1.5, 3);
		n = stat_fits(&load, HOST_SURE, 1000);
		assert_true(n > 0 && n < 1000);
		/* By the peak of each: forty, and how many more. */
		apart += h.how != TOGETHER;
		more += h.how != TOGETHER && (double)n > (load.capacity - 40 * alone / BIG) / alone;
		for (long k = 0; k < 2; k++) {
			unsigned int within = 0;

			for (size_t d = 0; d < HOST_TRUTH; d++)
				within += peak_with(more_used[d], more_one[d], n + k) <=
					  load.capacity;
			share[k] = (double)within / HOST_TRUTH;
		}
		hosts++;
		safe += share[0] >= HOST_SURE - HOST_ERROR;
		next_is_not += share[1] < HOST_SURE + HOST_ERROR;
		exactly += share[0] >= HOST_SURE && share[1] < HOST_SURE;
	}
	printf("fits: of %u hosts N was safe on %u, N + 1 was not on %u (both, to the day, on %u); "
	       "of %u whose loads do not coincide %u take more than by the sum of peaks\n",
		hosts, safe, next_is_not, exactly, apart, more);
	assert_true(10 * safe >= 9 * hosts && 10 * next_is_not >= 9 * hosts);
	/* Loads that do not coincide leave more room than the sum of their peaks. */
	assert_true(10 * more >= 9 * apart);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_false_alarms),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
