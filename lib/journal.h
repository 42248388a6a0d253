/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "util.h"

/*
 * Append-only files of one JSON object a line: data_dir/NAME.jsonl, older ones as
 * NAME-FIRST-LAST.jsonl.gz (wall clock seconds). One writer (loadcelld-ledger), any readers.
 */
#define JOURNAL_FILE_MAX (UINT64_C(8) << 20) /* above, the file is packed */
#define JOURNAL_LINE_MAX (256 << 10)         /* longer lines are damage */

struct journal;

/*
 * Opens for appending. A torn last line is cut off: then 1 is returned and *err says so. time_of
 * gives a line's time in ns, for naming and expiring the old files.
 */
int journal_open(const char *dir, const char *name, uint64_t (*time_of)(const json_t *line),
	struct journal **ret, struct error *err);
void journal_close(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_close)
/* Appends one line, not yet synced. What could not be written whole is taken back. */
int journal_append(struct journal *j, const json_t *line);
/* All lines appended so far are on disk when this returns 0. */
int journal_sync(struct journal *j);
/*
 * Packs the file when it is large or its first line is older than half the age, removes packed ones
 * that end before oldest_ns, and the oldest ones as long as all together exceed max_bytes.
 */
int journal_tidy(struct journal *j, uint64_t oldest_ns, uint64_t max_bytes, struct error *err);
/* Large enough to be packed. */
bool journal_is_full(const struct journal *j);
uint64_t journal_bytes(const struct journal *j);

/* A line with a time in seconds under this key, in ns; 0 without. */
uint64_t journal_seconds(const json_t *line, const char *key);

/*
 * Reads all lines whose file may hold something at or after since_ns, oldest first. Damaged lines
 * and files are skipped and counted in *ret_damaged (may be NULL). Stops when call returns
 * non-zero, and returns that. No file at all is no line.
 */
int journal_read(const char *dir, const char *name, uint64_t since_ns,
	int (*call)(void *data, const json_t *line), void *data, uint64_t *ret_damaged);

/*
 * Follows the file from its present end, over rotations: each call hands out the lines that have
 * come since the last one. A file that is not there yet is followed from its first line.
 */
struct journal_tail;
int journal_tail_open(const char *dir, const char *name, struct journal_tail **ret);
int journal_tail_read(
	struct journal_tail *t, int (*call)(void *data, const json_t *line), void *data);
void journal_tail_close(struct journal_tail *t);
DEFINE_CLEANUP(struct journal_tail *, journal_tail_close)
