/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Histories whose future is known: hourly values of a use against a limit of 100, made of a trend,
 * seasons, steps, restarts, noise and gaps, and then the same process for a while longer, without
 * steps and restarts. The truth is when that reaches the limit. It shares no line with report/.
 */
#define SYNTHETIC_DAYS   100
#define SYNTHETIC_FUTURE 400
#define SYNTHETIC_LIMIT  100.0

enum synthetic_kind {
	SYNTHETIC_RAMP,     /* and noise */
	SYNTHETIC_DAILY,    /* a ramp and hours of the day */
	SYNTHETIC_WEEKLY,   /* hours of the day and a quiet weekend */
	SYNTHETIC_STEPS,    /* one to three sudden changes of level */
	SYNTHETIC_RESTARTS, /* falls to nearly nothing, is back within hours, and climbs from there
			     */
	SYNTHETIC_GAPS,     /* hours and days that nobody measured */
	SYNTHETIC_ALL,      /* of all the above */
	SYNTHETIC_KINDS
};

struct synthetic {
	enum synthetic_kind kind;
	size_t n; /* hours of the history */
	double values[(SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24];
	size_t starts[64], n_starts; /* restarts */
	double slope;                /* per day */
	double sigma, phi;           /* of the noise, by the hour */
	double days;                 /* until the limit; INFINITY: not within SYNTHETIC_FUTURE */
};

/* xorshift128+ */
struct synthetic_random {
	uint64_t a, b;
};

static inline double synthetic_uniform(struct synthetic_random *r, double low, double high)
{
	uint64_t x = r->a, y = r->b;

	r->a = y;
	x ^= x << 23;
	r->b = x ^ y ^ (x >> 17) ^ (y >> 26);
	return low + (high - low) * (double)((r->b + y) >> 12) * 0x1p-52;
}

/* Marsaglia's polar method */
static inline double synthetic_normal(struct synthetic_random *r)
{
	for (;;) {
		double x = synthetic_uniform(r, -1, 1), y = synthetic_uniform(r, -1, 1);
		double s = x * x + y * y;

		if (s > 0 && s < 1)
			return x * sqrt(-2 * log(s) / s);
	}
}

static inline size_t synthetic_below(struct synthetic_random *r, size_t n)
{
	return (size_t)synthetic_uniform(r, 0, (double)n) % n;
}

static inline bool synthetic_has(const struct synthetic *s, enum synthetic_kind kind)
{
	return s->kind == kind || s->kind == SYNTHETIC_ALL;
}

/* What had grown since the start before is gone; `now`, at the end, stays. */
static inline void synthetic_restarts(
	struct synthetic *s, struct synthetic_random *r, double now, double *base)
{
	size_t last = 0, count = 1 + synthetic_below(r, 4), past = s->n - 24 * 7;
	double end;

	for (size_t i = 0; i < count; i++) {
		size_t at = last + 24 * 3 + synthetic_below(r, past / count);
		double level;

		if (at >= past)
			break;
		level = base[at];
		for (size_t h = at; h < (SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24; h++)
			base[h] -= level - base[0];
		s->starts[s->n_starts++] = at;
		last = at;
	}
	end = base[s->n];
	for (size_t h = 0; h < (SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24; h++)
		base[h] += now - end;
}

/* After each start it is nearly nothing, and back within hours. */
static inline void synthetic_warm_up(struct synthetic *s, struct synthetic_random *r, double *base)
{
	double hours = synthetic_uniform(r, 0.3, 4);

	for (size_t i = 0; i < s->n_starts; i++)
		for (size_t h = 0; h < 48; h++)
			base[s->starts[i] + h] *= 1 - 0.95 * exp(-(double)h / hours);
}

static inline void synthetic_noise(struct synthetic *s, struct synthetic_random *r)
{
	double e = s->sigma * synthetic_normal(r);

	for (size_t h = 0; h < (SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24; h++) {
		e = s->phi * e + s->sigma * sqrt(1 - s->phi * s->phi) * synthetic_normal(r);
		s->values[h] += e;
	}
}

static inline void synthetic_gaps(struct synthetic *s, struct synthetic_random *r)
{
	for (size_t i = 0, count = 1 + synthetic_below(r, 6); i < count; i++) {
		size_t at = synthetic_below(r, s->n);
		size_t hours = 1 + synthetic_below(r, synthetic_below(r, 3) ? 12 : 96);

		for (size_t h = at; h < at + hours && h < s->n; h++)
			s->values[h] = NAN;
	}
}

/* Trend, restarts and steps, by the hour; false: it would have been below zero or above the limit.
 */
static inline bool synthetic_base(
	struct synthetic *s, struct synthetic_random *r, bool flat, double room, double *base)
{
	size_t all = (SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24;
	double now = synthetic_uniform(r, 35, 75);
	double until = synthetic_uniform(r, 5, 1.5 * (double)s->n / 24);

	/* The level at the end, and the days from there to the limit, make the slope. */
	s->slope = flat ? 0 : (SYNTHETIC_LIMIT - now) / until;
	s->n_starts = 0;
	for (size_t h = 0; h < all; h++)
		base[h] = now + s->slope * ((double)h - (double)s->n) / 24;
	if (synthetic_has(s, SYNTHETIC_RESTARTS))
		synthetic_restarts(s, r, now, base);
	if (synthetic_has(s, SYNTHETIC_STEPS)) {
		for (size_t i = 0, n = 1 + synthetic_below(r, 3); i < n; i++) {
			size_t at = synthetic_below(r, s->n - 24 * 5);
			double step =
				synthetic_uniform(r, 5, 20) * (synthetic_below(r, 3) ? 1 : -1);

			for (size_t h = 0; h < at; h++)
				base[h] -= step;
		}
	}
	for (size_t h = 0; h < s->n; h++)
		if (base[h] < room || base[h] > SYNTHETIC_LIMIT - room)
			return false;
	synthetic_warm_up(s, r, base);
	return true;
}

/* flat: no trend, and the limit far from what noise can do. */
static inline void synthetic_make(
	struct synthetic *s, enum synthetic_kind kind, bool flat, uint64_t seed)
{
	struct synthetic_random random = {seed * 0x9e3779b97f4a7c15 + 1, ~seed}, *r = &random;
	size_t all = (SYNTHETIC_DAYS + SYNTHETIC_FUTURE) * 24;
	double *base, daily, weekend, phase;

	for (int i = 0; i < 16; i++)
		synthetic_uniform(r, 0, 1);
	base = calloc(all, sizeof(*base));
	if (!base)
		abort();
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->n = 24 * (21 + synthetic_below(r, SYNTHETIC_DAYS - 20));
	s->sigma = exp(synthetic_uniform(r, log(0.2), log(4)));
	s->phi = synthetic_below(r, 2) ? synthetic_uniform(r, 0.5, 0.97) : 0;
	daily = synthetic_has(s, SYNTHETIC_DAILY) || synthetic_has(s, SYNTHETIC_WEEKLY)
			? synthetic_uniform(r, 2, 10)
			: 0;
	weekend = synthetic_has(s, SYNTHETIC_WEEKLY) ? synthetic_uniform(r, 3, 12) : 0;
	phase = synthetic_uniform(r, 0, 24);
	while (!synthetic_base(s, r, flat, daily / 2 + 2 * s->sigma, base))
		;
	for (size_t h = 0; h < all; h++)
		s->values[h] = base[h] + daily / 2 * cos(((double)(h % 24) + phase) * M_PI / 12) -
			       (h / 24 % 7 < 2 ? weekend : 0);
	free(base);
	synthetic_noise(s, r);
	s->days = INFINITY;
	for (size_t h = all; h-- > s->n;)
		if (s->values[h] >= SYNTHETIC_LIMIT)
			s->days = (double)(h - s->n + 1) / 24;
	for (size_t h = 0; h < s->n; h++)
		s->values[h] = fmax(s->values[h], 0);
	if (synthetic_has(s, SYNTHETIC_GAPS))
		synthetic_gaps(s, r);
}
