/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "checksum.h"
#include "ring.h"

/*
 * The bytes of a ring, for its writer, its reader and their tests only. One page of header, then
 * a table of slots that tells where record seq begins (slot[seq % slots]), then the data area.
 *
 * Positions count bytes since the ring began and never wrap; modulo data_size they are places in
 * the data area. A record may go on at the area's start.
 *
 * What changes together stands together: the control block exists twice, and control[generation %
 * 2] is the valid one. The writer fills the other and then raises the generation, so that a death
 * at any moment leaves a consistent block, and a reader whose generation did not change while it
 * copied has one too.
 */
#define RING_MAGIC       "lc-ring" /* and its NUL */
#define RING_VERSION     1
#define RING_PAGE        4096
#define RING_ALIGN       CHECKSUM_BLOCK /* of records */
#define RING_SLOT_BYTES  512            /* one slot for so many bytes of data area */
#define RING_SIZE_MIN    (UINT64_C(64) << 10)
#define RING_SIZE_MAX    (UINT64_C(4) << 30)
#define RING_METRICS_MAX 256 /* of one scope */

struct ring_control {
	uint64_t tail, head; /* positions of the oldest record and of the end */
	uint64_t first_seq, next_seq;
	uint64_t first_time_ns, last_time_ns;
	uint64_t lost;
	uint64_t reserved;
};

struct ring_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t fingerprint;
	uint64_t file_size, slots, slots_at, data_size, data_at;
	uint32_t metrics[SCOPE_COUNT];
	_Alignas(64) uint64_t generation;
	_Alignas(64) struct ring_control control[2];
	_Alignas(64) uint64_t cursor; /* the store's: all below is safe */
	_Alignas(64) uint16_t id[SCOPE_COUNT][RING_METRICS_MAX]; /* metric ids in slot order */
};

struct ring_record_header {
	uint32_t size; /* with padding to RING_ALIGN */
	uint32_t used; /* without */
	uint32_t rows, reserved;
	uint64_t seq;
	uint64_t time_ns, monotonic_ns, interval_ns;
	uint64_t checksum; /* of `size` bytes with 0 in this place */
	uint64_t reserved2;
};

/*
 * After a row's head: four bits per slot, the low ones first, then the numbers. The four bits
 * are the length of the number in bytes, little-endian, or what there is instead of a number.
 */
struct ring_row_head {
	uint32_t index, parent, flags;
	uint16_t size; /* with this head */
	uint16_t scope;
	uint64_t run;
};

enum ring_code {
	CODE_ABSENT = 9,
	CODE_UNLIMITED = 10
};

/* Which slot of the reader's table each slot of the file has; UINT16_MAX: none. */
struct ring_columns {
	uint32_t metrics[SCOPE_COUNT];
	uint16_t slot[SCOPE_COUNT][RING_METRICS_MAX];
};

/* The record that the writer is building. */
struct ring_building {
	unsigned char *record;
	size_t used, size;
	uint32_t rows;
	bool begun;
};

struct ring {
	char *path;
	dev_t dev;
	ino_t ino;
	bool cursor_owner;
	struct ring_header *h;
	size_t map_len;
	/* Copies and places, so that nobody's scribbling into the header moves them. */
	uint64_t slots, data_size;
	uint64_t *slot;
	unsigned char *data;
	struct ring_columns columns;
	struct ring_building w;
};

/* Maps an open ring file and checks what its header says. Takes the descriptor's identity. */
int ring_map(int fd, const char *path, bool writable, struct ring **ret, struct error *err);
void ring_control_get(const struct ring *r, struct ring_control *ret);
void ring_copy_out(const struct ring *r, uint64_t position, void *dst, size_t len);
uint64_t ring_slot(const struct ring *r, uint64_t seq);
/* The sum of a complete record, whatever stands in its checksum. */
uint64_t ring_checksum(const void *record, size_t size);
/* file_size, slots, slots_at and data_at for a data_size. */
void ring_layout(uint64_t data_size, struct ring_header *h);
