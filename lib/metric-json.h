/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "metric.h"

/*
 * Values in JSON, as ledger, events and spool hold them: "unlimited" is that word, and what is
 * absent is left out. Numbers are in the base unit, or in the table's inner integers.
 */
enum metric_scale {
	SCALE_BASE,
	SCALE_INNER
};

/* NULL for an absent value. */
json_t *metric_to_json(const struct metric *m, struct value v, enum metric_scale scale);
/* What is no value of that kind is absent. */
struct value metric_from_json(const struct metric *m, const json_t *j, enum metric_scale scale);

/* An object of all values of instance scope, one per slot; and back, into those that it has. */
json_t *metrics_to_json(const struct value *values, enum metric_scale scale);
void metrics_from_json(const json_t *object, enum metric_scale scale, struct value *values);
