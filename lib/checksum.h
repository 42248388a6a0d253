/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A fast 64-bit checksum of snapshot and ring: it finds damage, it is no defence. Four lanes take
 * eight bytes each in turn; a step is a bijection of its lane, so that one changed word always
 * changes the result. docs/snapshot-format.md has it in words.
 */
#define CHECKSUM_BLOCK 32 /* the length of each part must be a multiple of it */

struct checksum {
	uint64_t lane[4];
};

void checksum_start(struct checksum *c);
void checksum_add(struct checksum *c, const void *data, size_t len);
uint64_t checksum_end(const struct checksum *c);
/* Of data with 0 where its own checksum stands. */
uint64_t checksum_of(const void *data, size_t len, size_t sum_at);
