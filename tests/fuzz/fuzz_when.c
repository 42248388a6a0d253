/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "lib/util.h"
#include "lib/value.h"
#include "lib/when.h"

/* Any text as a time, at any time of the year and in a zone that changes its clocks. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t when = UINT64_MAX, again = UINT64_MAX - 1;
	_cleanup_free_ char *text = NULL;
	uint64_t now;
	int r;

	if (len < 4)
		return 0;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	/* From 2020 on, within ten years. */
	now = (UINT64_C(1577836800) + (data[0] | data[1] << 8 | data[2] << 16) * UINT64_C(19)) *
	      NSEC_PER_SEC;
	text = strndup((const char *)data + 3, len - 3);
	r = text ? when_parse(text, now, &when) : -EINVAL;
	if (r != 0 && (r != -EINVAL || when != UINT64_MAX))
		abort();
	if (r == 0 && (when_parse(text, now, &again) || again != when))
		abort();
	return 0;
}
