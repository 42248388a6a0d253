/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/links.h"

/* Any bytes as messages of rtnetlink, in a buffer of the exact size. */
static void told(void *data, const struct veth_message *m)
{
	size_t *left = data;

	/* Each has a header, an index, a kind and counters. */
	if (m->ifindex <= 0 || *left < 100)
		abort();
	*left -= 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *copy = malloc(size ? size : 1);
	size_t left = size;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	links_parse(copy, size, told, &left);
	return 0;
}
