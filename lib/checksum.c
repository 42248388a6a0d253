/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checksum.h"

#include <string.h>

#define FACTOR UINT64_C(0x9e3779b97f4a7c15) /* odd, hence invertible */

static inline uint64_t step(uint64_t lane, uint64_t word)
{
	lane = (lane ^ word) * FACTOR;
	return lane << 29 | lane >> 35;
}

void checksum_start(struct checksum *c)
{
	*c = (struct checksum){{1, 2, 3, 4}};
}

void checksum_add(struct checksum *c, const void *data, size_t len)
{
	struct checksum local = *c;
	const unsigned char *p = data;

	for (size_t i = 0; i + CHECKSUM_BLOCK <= len; i += CHECKSUM_BLOCK) {
		uint64_t word[4];

		memcpy(word, p + i, sizeof(word));
		for (size_t k = 0; k < 4; k++)
			local.lane[k] = step(local.lane[k], word[k]);
	}
	*c = local;
}

uint64_t checksum_end(const struct checksum *c)
{
	uint64_t sum = 0;

	for (size_t k = 0; k < 4; k++)
		sum = step(sum, c->lane[k]);
	return sum;
}

uint64_t checksum_of(const void *data, size_t len, size_t sum_at)
{
	const size_t before = sum_at / CHECKSUM_BLOCK * CHECKSUM_BLOCK;
	const size_t after = before + CHECKSUM_BLOCK;
	unsigned char block[CHECKSUM_BLOCK];
	struct checksum sum;

	memcpy(block, (const char *)data + before, sizeof(block));
	memset(block + (sum_at - before), 0, sizeof(uint64_t));
	checksum_start(&sum);
	checksum_add(&sum, data, before);
	checksum_add(&sum, block, sizeof(block));
	checksum_add(&sum, (const char *)data + after, len - after);
	return checksum_end(&sum);
}
