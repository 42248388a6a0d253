/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Percentiles, forecasts and joint loads: pure functions of series, without I/O, allocation or
 * state. NAN is a value that is not known. The same input gives the same answer: random numbers
 * have a fixed seed. How and why: docs/report.md, docs/fit.md.
 */

/* --- percentiles ------------------------------------------------------------------------------ */
/*
 * Exact, by rank: the smallest value that at least so many thousandths of all known values do not
 * exceed (500: the median, 950, 990; 1000: the maximum, 0: the minimum). Always one that was
 * measured. `values` are put into another order. Returns how many are known; 0: *ret are NAN.
 */
size_t stat_percentiles(
	double *values, size_t n, const unsigned int *permille, size_t n_permille, double *ret);

/* --- a history -------------------------------------------------------------------------------- */
/*
 * Evenly spaced points, oldest first, the newest one last. A step is a whole part of a day. Days
 * are counted back from the end; what counts of a day is its peak. The last STAT_DAYS_MAX are used.
 */
#define STAT_DAYS_MAX 120 /* that are looked at */
#define STAT_DAYS_MIN 14  /* that must be known */

struct stat_history {
	const double *values;
	size_t n;
	uint64_t step_s;
	/* Points in which a new run began, ascending; may be none: what falls and climbs is seen.
	 */
	const size_t *starts;
	size_t n_starts;
};

/* --- when is it full? ------------------------------------------------------------------------- */
enum stat_answer {
	STAT_TOO_SHORT, /* not enough data */
	STAT_NO_LIMIT,  /* the limit is NAN or infinite */
	STAT_REACHED,   /* was at the limit on the last day */
	STAT_NO_TREND,
	STAT_FALLING,
	STAT_FAR,   /* rises, but does not get there within horizon_days */
	STAT_WITHIN /* low_days to high_days; high_days INFINITY: maybe not within horizon_days */
};

#define STAT_INTERVAL_PERMILLE 900 /* what an interval promises to hold */

struct stat_forecast {
	enum stat_answer answer;
	double days, low_days, high_days; /* until a day's peak is at the limit; the middle, 90 % */
	double level;                     /* the day's peak, at present */
	double slope, slope_low, slope_high; /* per day; NAN when the history is too short */
	unsigned int days_known;             /* days with a known peak */
	unsigned int days_level;             /* days since the last step or start */
	unsigned int steps;                  /* steps and starts in the history */
	unsigned int horizon_days;           /* as far as this history allows to look */
};
void stat_forecast(const struct stat_history *h, double limit, struct stat_forecast *ret);
/* "in 12 to 19 days" "in 40 days or more" "not within 90 days" "no trend" "falls" "is there"
 * "no limit" "not enough data (9 of 14 days)" */
#define STAT_TEXT_MAX 48
void stat_forecast_text(const struct stat_forecast *f, char text[STAT_TEXT_MAX]);
const char *stat_answer_name(enum stat_answer answer); /* "not-enough-data", "no-trend" ... */

/*
 * Forecasts of a day's peak, made from parts of the history and held against what came. Adds to
 * *sum, so that one is for many series.
 */
struct stat_backtest {
	unsigned int made, held;
	unsigned int series; /* that were long enough */
};
void stat_backtest(
	const struct stat_history *h, unsigned int ahead_days, struct stat_backtest *sum);

/* --- what fits? ------------------------------------------------------------------------------- */
/*
 * What is used together, point by point, against a capacity: all that is used now, and `count` more
 * of `one` (a series over the same points; NULL: `fixed` at all times). count may be negative.
 * Trends and steps of the past are taken out, so that it is about the present level.
 */
struct stat_load {
	const double *used, *one;
	size_t n;
	uint64_t step_s;
	double fixed, capacity;
};

struct stat_room {
	double sure;       /* estimated share of days on which the peak stays within the capacity */
	double sure_least; /* at least so, with 95 % confidence */
	double peak;       /* the highest day of the history at the present level */
	unsigned int days, over; /* days known; those above the capacity */
};
/* 0; -ENODATA: less than STAT_DAYS_MIN are known. */
int stat_room(const struct stat_load *load, long count, struct stat_room *ret);
/* The most of `one` that stay within the capacity on at least `sure` of the days; 0: none;
 * -ENODATA. At most `most`. */
long stat_fits(const struct stat_load *load, double sure, long most);
