/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <string.h>

#include "lib/index-entries.h"

/*
 * Any bytes as the name of an RRD file: a number, or refused. The name that is made of any
 * instance's name and number is one file name and gives back the number.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_free_ char *text = NULL;
	struct index_entry e = {.name = NULL};
	char made[RRD_NAME_MAX + 1];
	uint32_t number = 0;

	if (len < 4)
		return 0;
	text = strndup((const char *)data + 4, len - 4);
	if (!text)
		return 0;
	if (index_rrd_number(text, &number) == 0 && (!number || number > INDEX_NUMBER_MAX))
		abort();
	memcpy(&number, data, sizeof(number));
	e.name = text;
	e.number = number % INDEX_NUMBER_MAX + 1;
	index_rrd_name(&e, made, sizeof(made));
	if (strlen(made) > NAME_MAX || strchr(made, '/'))
		abort();
	if (*text && (index_rrd_number(made, &number) || number != e.number))
		abort();
	return 0;
}
