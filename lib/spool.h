/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "util.h"

/*
 * run_dir/spool/: records from hooks on their way into the ledger, one JSON object a file
 * (docs/lifecycle.md). Written by root's hooks, read and removed by loadcelld-ledger.
 */
#define SPOOL_MAX        20000 /* files */
#define SPOOL_RECORD_MAX 65536 /* bytes */
#define SPOOL_SCHEMA     1

/*
 * Puts a record under its name, "start.RUN", replacing an earlier one: whole or not at all, without
 * a sync. -EDQUOT: the spool is full. The directory is made when it is missing.
 */
int spool_put(const char *run_dir, const char *name, const json_t *record);

/* Reads one record; -EBADMSG when it is none. The caller owns *ret. */
int spool_get(const char *run_dir, const char *name, json_t **ret);
/* The same from memory: a JSON object with this schema and a type. */
int spool_parse(const char *buf, size_t len, json_t **ret);

/* Calls back for each record's name in the order of their writing (mtime); stops at non-zero. */
int spool_each(const char *run_dir, int (*call)(void *data, const char *name), void *data);

int spool_remove(const char *run_dir, const char *name);
/* "start.RUN" becomes "live.RUN" and the like. */
int spool_rename(const char *run_dir, const char *from, const char *to);

/*
 * Which run a pid is the init of, for the stop hook, which comes when init has ended: a link
 * "init.PID" to the run's number. It is no record; spool_each() removes those whose start or live
 * record is gone.
 */
int spool_note_init(const char *run_dir, pid_t init, uint64_t run);
int spool_init_run(const char *run_dir, pid_t init, uint64_t *ret);
/* Whether a start record of this run is there, taken or not: 1, 0 or a negative errno. */
int spool_has_start(const char *run_dir, uint64_t run);
