/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "stat.h"

/* What the files of stat-* share. Days are counted from the oldest one. */

/* --- small things (stat-basic.c) ---------------------------------------------------------------
 */
double stat_median(double *values, size_t n); /* NAN: none. Puts them into another order. */
double stat_spread(double *values, size_t n); /* 1.4826 MAD: a robust standard deviation */

struct stat_random {
	uint64_t state;
};
double stat_uniform(struct stat_random *r); /* 0 < u < 1 */
double stat_normal(struct stat_random *r);
/* The quantile of Student's t for a normal deviate z: 2.576 of 10 degrees gives 3.17. */
double stat_student(double z, double freedom);

/* --- a day's peak (stat-days.c) ----------------------------------------------------------------
 */
struct stat_days {
	double peak[STAT_DAYS_MAX]; /* NAN: less than three quarters of the day are known */
	bool start[STAT_DAYS_MAX];  /* a new run begins with this day */
	size_t n;
	size_t known;
};
void stat_days(const struct stat_history *h, struct stat_days *ret);

/*
 * peak = level of the segment + slope * day + day of the week + noise, of days [from, n). Segments
 * are cut at starts and steps; the slope is one for all. Noise is AR(1).
 */
struct stat_model {
	size_t from, n, known;
	unsigned char segment[STAT_DAYS_MAX];
	unsigned int segments;
	size_t last_known;           /* of the last segment */
	double centre;               /* mean day of these */
	double level[STAT_DAYS_MAX]; /* of each segment, at day 0 */
	double slope, slope_error, freedom;
	double level_error; /* of the last segment, at its centre */
	bool weekly;
	double week[7]; /* added on day d: week[d % 7] */
	double sigma, phi;
	double rest[STAT_DAYS_MAX]; /* noise; NAN where the peak is not known */
};
/* Of the newest days that have one slope. False: too few. */
bool stat_model(const struct stat_days *days, struct stat_model *ret);
/* Without day of the week and noise. */
static inline double stat_line(const struct stat_model *m, double day)
{
	return m->level[m->segments - 1] + m->slope * day;
}
/* Up 1, down -1, or 0 where chance alone might have made it. */
int stat_trend(const struct stat_model *m);
