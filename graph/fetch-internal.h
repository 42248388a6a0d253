/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "fetch.h"
#include "rows.h"

/*
 * fetch.c: index, ring and files; fetch-series.c: one query. What is stored arrives as pieces, a
 * value for a stretch of time: rows of the resolution asked for, finer rows behind the last whole
 * one, then samples of the ring. A point is their mean, weighted by how much of it they cover.
 */

/* A row of a record, found again without decoding all before it. */
struct tail_row {
	uint32_t index;
	size_t pos;
};

struct tail_record {
	struct ring_record record;
	struct tail_row *rows; /* instances and the host, by index */
	size_t n;
};

struct fetch {
	const struct config *config;
	struct index *index;
	struct ring *ring;
	uint64_t newest_ns;
	/* The newest records, the newest one first, as far back as a query wanted. */
	struct tail_record *tail;
	size_t tail_n, tail_size;
	bool tail_all; /* as far as there are any */
};

/* Records from the one at or before since_ns on. What cannot be read is left out. */
int fetch_load_tail(struct fetch *f, uint64_t since_ns);
/* The values of an instance or the host, one per slot; false: it has no row there. */
bool fetch_tail_values(
	const struct tail_record *t, uint32_t index, struct value *values, uint64_t *ret_run);
/* The file of an instance or the host, unpacked when it is an archive. -ENOENT without a sentence:
 * there is none. The caller closes ret->fd. */
int fetch_open_file(const struct fetch *f, uint32_t index, struct rows_file *ret, char **ret_name,
	struct error *err);
