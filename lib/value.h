/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * One measured value. Absent is not zero, and unlimited is not a number: every
 * reader looks at the state first. `number` is an integer in the unit's inner
 * scale: nanoseconds, bytes, counts; cores and ratios in billionths (see
 * unit_divisor() in metric.h).
 */
enum value_state {
	VALUE_ABSENT = 0,
	VALUE_PRESENT = 1,
	VALUE_UNLIMITED = 2,
};

struct value {
	uint64_t number;
	enum value_state state;
};

#define NSEC_PER_SEC UINT64_C(1000000000)

static inline struct value value_absent(void)
{
	return (struct value){0, VALUE_ABSENT};
}

static inline struct value value_of(uint64_t number)
{
	return (struct value){number, VALUE_PRESENT};
}

static inline struct value value_unlimited(void)
{
	return (struct value){0, VALUE_UNLIMITED};
}

static inline bool value_is_number(struct value v)
{
	return v.state == VALUE_PRESENT;
}

/* The smaller of two limits; an absent one does not bind, unlimited is above all numbers. */
static inline struct value value_min_limit(struct value a, struct value b)
{
	if (a.state == VALUE_ABSENT)
		return b;
	if (b.state == VALUE_ABSENT)
		return a;
	if (a.state == VALUE_UNLIMITED)
		return b;
	if (b.state == VALUE_UNLIMITED)
		return a;
	return a.number <= b.number ? a : b;
}

/* a - b, never below 0; absent unless both are numbers. */
static inline struct value value_minus(struct value a, struct value b)
{
	if (!value_is_number(a) || !value_is_number(b))
		return value_absent();
	return value_of(a.number > b.number ? a.number - b.number : 0);
}

/* Adds b to *sum; an absent b adds nothing, an absent sum starts at b. */
static inline void value_add(struct value *sum, struct value b)
{
	if (!value_is_number(b))
		return;
	*sum = value_of(value_is_number(*sum) ? sum->number + b.number : b.number);
}
