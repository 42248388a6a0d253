/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "metric-json.h"

#include <math.h>
#include <string.h>

#include "util.h"

#define UNLIMITED "unlimited"

json_t *metric_to_json(const struct metric *m, struct value v, enum metric_scale scale)
{
	uint64_t divisor = scale == SCALE_INNER ? 1 : unit_divisor(m->unit);

	if (v.state == VALUE_UNLIMITED)
		return json_string(UNLIMITED);
	if (v.state != VALUE_PRESENT)
		return NULL;
	if (divisor == 1)
		return json_integer((json_int_t)MIN(v.number, (uint64_t)INT64_MAX));
	return json_real((double)((long double)v.number / (long double)divisor));
}

struct value metric_from_json(const struct metric *m, const json_t *j, enum metric_scale scale)
{
	uint64_t divisor = scale == SCALE_INNER ? 1 : unit_divisor(m->unit);
	long double n;

	if (json_is_string(j))
		return strcmp(json_string_value(j), UNLIMITED) == 0 ? value_unlimited()
								    : value_absent();
	if (json_is_integer(j) && divisor == 1)
		return json_integer_value(j) < 0 ? value_absent()
						 : value_of((uint64_t)json_integer_value(j));
	n = (long double)json_number_value(j) * (long double)divisor;
	if (!json_is_number(j) || !(n >= 0) || n >= 0x1p63L)
		return value_absent();
	return value_of((uint64_t)llroundl(n));
}

json_t *metrics_to_json(const struct value *values, enum metric_scale scale)
{
	json_t *object = json_object();
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		json_t *j = metric_to_json(m, values[slot], scale);

		if (j)
			json_object_set_new(object, m->name, j);
	}
	return object;
}

void metrics_from_json(const json_t *object, enum metric_scale scale, struct value *values)
{
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		struct value v = metric_from_json(m, json_object_get(object, m->name), scale);

		if (v.state != VALUE_ABSENT)
			values[slot] = v;
	}
}
