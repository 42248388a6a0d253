/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "metric.h"
#include "util.h"

/*
 * /run/loadcell/recent: the last cycles, every row of every scope with all its values, in one
 * mapped file. One writer (the sampler), any number of readers, one of which (the store) owns the
 * cursor. It survives the death of all of them; a record counts only once the head moved past it.
 *
 * Records have a sequence number that never repeats in a ring's life. A reader that fell so far
 * behind that the writer overtook it is told so (-ESTALE) and goes on at the oldest record.
 * A ring whose fingerprint or format differs from what the writer wants is replaced; what the
 * store had not taken yet is lost, counted, and reported by ring_create(). Where only the size
 * differs, the newest records that fit are taken over, and a ring with more pending than half of
 * the smaller size keeps its own. Sequence numbers go on in any case.
 */
struct ring;

struct ring_row {
	enum metric_scope scope;
	uint32_t index;  /* instance; host: 0; interface: number in the list */
	uint32_t parent; /* interface: its instance's index */
	uint32_t flags;
	uint64_t run;
};

struct ring_status {
	uint64_t size;                /* bytes of the data area */
	uint64_t used;                /* bytes between tail and head */
	uint64_t first_seq, next_seq; /* records [first, next) can be read */
	uint64_t cursor_seq;          /* the store has everything below */
	uint64_t first_time_ns, last_time_ns;
	uint64_t lost;           /* records overwritten or replaced before the store had them */
	uint64_t pending_bytes;  /* between cursor and head */
	uint64_t building_bytes; /* writer: of the record to be committed */
};

/* Writer. Opens or makes the file with a data area of size bytes. *ret_lost may be NULL. */
int ring_create(
	const char *path, uint64_t size, struct ring **ret, uint64_t *ret_lost, struct error *err);
/* One record per cycle: begin, rows, commit. A record larger than half the ring is refused at
 * commit with -EMSGSIZE; the ring may be resized before. */
int ring_begin(struct ring *r, uint64_t time_ns, uint64_t monotonic_ns, uint64_t interval_ns);
/* values: one per slot of the scope. */
int ring_add(struct ring *r, const struct ring_row *row, const struct value *values);
int ring_commit(struct ring *r, uint64_t *ret_seq);
/* Grows (never shrinks) a ring that is open for writing, keeping its records; rare. */
int ring_resize(struct ring *r, uint64_t size, struct error *err);

/* Readers and the store. */
int ring_open(const char *path, bool cursor_owner, struct ring **ret, struct error *err);
/* True when path now names another file than the one mapped: close and open again. */
bool ring_replaced(const struct ring *r);
void ring_close(struct ring *r);
DEFINE_CLEANUP(struct ring *, ring_close)
void ring_status(const struct ring *r, struct ring_status *ret);
/* What is pending would take more than half of a ring of so many bytes. */
bool ring_is_half_pending(const struct ring *r, uint64_t size);
/* The store says that all records below seq are safe. Only with cursor_owner. */
void ring_set_cursor(struct ring *r, uint64_t seq);

/* A copy of one record, reused from call to call. */
struct ring_record {
	uint64_t seq;
	uint64_t time_ns, monotonic_ns, interval_ns;
	size_t rows;
	void *data; /* private */
	size_t data_len, data_size;
};
/* Copies record seq (0: the oldest there is). 0; -ENOENT: not yet written; -ESTALE: overtaken,
 * *rec holds the oldest one instead; -EBADMSG: damaged. */
int ring_read(const struct ring *r, uint64_t seq, struct ring_record *rec);
void ring_record_free(struct ring_record *rec);
/* Iterates rows: *pos starts at 0. 1 row, 0 end, -EBADMSG. values is filled per slot of the
 * reader's table. */
int ring_record_next(const struct ring_record *rec, size_t *pos, struct ring_row *row,
	struct value *values, size_t max_values);
