/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/metric.h"
#include "../lib/util.h"

/*
 * The rows of an RRD, read without librrd: linking that costs each start of `loadcell` 5 ms (it
 * loads pango and 40 libraries more), its fetch hands out all data sources whether they are wanted
 * or not, and it maps files that a store may be replacing. The format is that of librrd's own
 * header file, the tests compare with rrdtool(1).
 */
#define ROWS_SOURCES_MAX  64
#define ROWS_ARCHIVES_MAX 16

struct rows_archive {
	bool average, maximum; /* of one step per row: both */
	uint64_t step_s;
	uint64_t rows;
	uint64_t last_s;  /* end of the newest row */
	uint64_t first_s; /* beginning of the oldest one */
	uint64_t newest;  /* which row it is */
	uint64_t at;      /* where the rows stand in the file */
};

struct rows_file {
	int fd;
	uint64_t last_us; /* last update */
	size_t sources, archives;
	char source[ROWS_SOURCES_MAX][DS_NAME_MAX + 1];
	struct rows_archive archive[ROWS_ARCHIVES_MAX];
};

/* Reads the header. -EBADMSG: damaged, or no RRD of this machine. */
int rows_read_header(int fd, const char *name, struct rows_file *ret, struct error *err);
/* -1: the file lacks it. */
int rows_source(const struct rows_file *f, const char *ds);
/*
 * Hands out the rows that end in (from, to], the oldest first. -EAGAIN: the store wrote meanwhile,
 * so what was handed out may be of two times.
 */
int rows_each(const struct rows_file *f, const struct rows_archive *a, uint64_t from_s,
	uint64_t to_s, void (*call)(void *data, uint64_t end_s, const double *values), void *data);
