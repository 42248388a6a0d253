/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "snapshot.h"

/*
 * The bytes of a snapshot, for its writer, its reader and the fuzzer only. docs/snapshot-format.md
 * says the same in words; a change of either needs a new SNAPSHOT_VERSION.
 */
#define SNAPSHOT_MAGIC       "loadcell"
#define SNAPSHOT_VERSION     1
#define SNAPSHOT_ALIGN       64 /* of every part of the file; a multiple of CHECKSUM_BLOCK */
#define SNAPSHOT_SIZE_MAX    ((size_t)256 << 20)
#define SNAPSHOT_TEXTS_MAX   64
#define SNAPSHOT_METRICS_MAX 1024

struct snapshot_scope {
	uint32_t rows, metrics;
	uint32_t record_size, reserved;
	uint64_t directory; /* offset of u32[metrics]: metric ids, ascending, in slot order */
	uint64_t records;   /* offset of rows * record_size bytes */
};

struct snapshot_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t file_size;
	uint64_t checksum; /* of the whole file with 0 in this place */
	uint64_t fingerprint;
	uint64_t time_ns, monotonic_ns, interval_ns;
	uint64_t sequence;
	uint64_t boot; /* hash of the boot id, 0: unknown */
	uint32_t texts, scopes;
	uint64_t strings, strings_size; /* offset; starts and ends with NUL */
	struct snapshot_scope scope[SCOPE_COUNT];
};

/* A record is this, u32 text[texts], u64 number[metrics], u8 state[metrics], each 8-byte aligned.
 */
struct snapshot_fixed {
	uint32_t index, parent, flags, reserved;
	uint64_t run;
	uint64_t disk_time_ns, disk_progress;
};

static inline size_t snapshot_align(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static inline size_t snapshot_numbers_at(size_t texts)
{
	return sizeof(struct snapshot_fixed) + snapshot_align(texts * sizeof(uint32_t), 8);
}

static inline size_t snapshot_states_at(size_t texts, size_t metrics)
{
	return snapshot_numbers_at(texts) + metrics * sizeof(uint64_t);
}

static inline size_t snapshot_record_size(size_t texts, size_t metrics)
{
	return snapshot_align(snapshot_states_at(texts, metrics) + metrics, 8);
}

/* FNV-1a of the text of /proc/sys/kernel/random/boot_id; 0 when it cannot be read. */
uint64_t snapshot_boot(void);
/* The checksum that a file of these bytes must have; len is a multiple of SNAPSHOT_ALIGN, not 0. */
uint64_t snapshot_checksum(const void *data, size_t len);
