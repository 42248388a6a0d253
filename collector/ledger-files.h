/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/config.h"
#include "../lib/ring.h"
#include "ledger.h"

/* What the process loadcelld-ledger reads and writes beside the journals. */

/* --- samples out of the ring (ledger-ring.c) -------------------------------------------------- */
struct samples {
	char *path;
	struct ring *ring; /* NULL: there is none yet */
	struct ring_record record;
	struct value *values;
	uint64_t next_seq, last_ns; /* read up to here */
};
int samples_init(struct samples *s, const struct config *c);
void samples_destroy(struct samples *s);
/* Hands new records' rows to the ledger, those since since_ns (0: none) again. */
void samples_update(struct samples *s, struct ledger *l, uint64_t since_ns);

/* --- flight/ID.json.gz (ledger-flight.c) ------------------------------------------------------ */
#define FLIGHT_FILES_MAX 1000

/* Keeps a run's samples of the last ten minutes of the ring; none is no file. */
int flight_write(struct samples *s, const char *dir, uint64_t id, uint64_t run, const char *handle,
	uint64_t *ret_bytes);
/* Removes the oldest above the number and size, and those older than oldest_ns. Returns the bytes
 * that stay. */
uint64_t flight_tidy(const char *dir, uint64_t oldest_ns, uint64_t max_bytes);

/* --- runs.open (ledger-open.c) ---------------------------------------------------------------- */
int open_runs_write(const struct config *c, const struct ledger *l, const char *boot);
/* 1 and *err: it was damaged, and is kept aside. */
int open_runs_read(const struct config *c, struct ledger *l, const char *boot, struct error *err);
