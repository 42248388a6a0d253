/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <string.h>

#include "lib/spool.h"

/* Any bytes as a record of the spool: refused, or an object with schema and type. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *record = NULL;

	if (spool_parse((const char *)data, size, &record) < 0) {
		if (record)
			abort();
		return 0;
	}
	if (!json_is_object(record) || !json_string_value(json_object_get(record, "type")) ||
		json_integer_value(json_object_get(record, "schema")) != SPOOL_SCHEMA)
		abort();
	json_decref(record);
	return 0;
}
