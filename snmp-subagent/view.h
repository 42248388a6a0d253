/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <sys/stat.h>

#include "../lib/config.h"
#include "../lib/journal.h"
#include "../lib/log.h"
#include "../lib/snapshot.h"
#include "mib.h"

/*
 * What is told over SNMP: one snapshot with its rows sorted, and the newest lines of the journals.
 * source_tick(), called between requests, reads what is new; within a request nothing changes, and
 * nothing is read from a file.
 */
#define HISTORY_LINES 100

/* The newest lines of a journal, sorted by key. */
struct history {
	const char *name; /* "runs", "events" */
	struct journal_tail *tail;
	struct mib_key keys[HISTORY_LINES]; /* row: the place of the line */
	json_t *lines[HISTORY_LINES];
	size_t n;
	uint64_t unexpected_ends, flappings; /* events: of all lines that came */
	struct complaint complaint;
};

/* Since when counters of an instance run on. */
struct view_run {
	uint64_t began_ns;      /* CLOCK_MONOTONIC */
	uint64_t interfaces_ns; /* its age when others were seen at their places; 0: never */
};

struct view {
	struct snapshot *snapshot; /* NULL: none yet */
	bool stale;                /* rows are not told */
	struct mib_rows rows[SCOPE_COUNT];
	struct view_run *runs; /* of instances, by row of the snapshot */
	const struct source *source;
};

struct source {
	const struct config *config;
	char *path;
	struct stat file;     /* the snapshot that was read last, good or bad */
	struct error problem; /* "": none */
	struct complaint complaint;
	struct view view;
	struct history runs, events;
	uint32_t left_out;                 /* notifications, as last told */
	uint64_t changed_ns;               /* CLOCK_MONOTONIC: the set of instances and runs */
	uint64_t master_ns;                /* CLOCK_MONOTONIC: snmpd's sysUpTime is 0 */
	size_t contexts, contexts_refused; /* see contexts.h */
};

int source_init(struct source *s, const struct config *config);
void source_free(struct source *s);
/* Takes what is new. now: CLOCK_MONOTONIC. */
void source_tick(struct source *s, uint64_t now);

/* Rows of a scope, none when the data is stale. Instances: by number; interfaces: by instance and
 * number; file systems: by number; host: one row. */
struct mib_rows view_rows(const struct view *v, enum metric_scope scope);
/* "" when the data does not tell. */
const char *view_host_name(const struct view *v);
/* NULL: there is none of this number. */
const struct mib_key *view_instance(const struct view *v, uint32_t number);
/* Those of one instance; their index is the number within it. */
struct mib_rows view_interfaces(const struct view *v, uint32_t instance);
/* Absent without a host row. */
struct value view_host(const struct view *v, unsigned int metric_id);
/* The host's total that stands for a limit that is none. */
struct value view_whole(const struct view *v, const struct metric *limit);
/* A moment of CLOCK_MONOTONIC as TimeStamp: snmpd's sysUpTime then, 0 before its start. */
uint64_t view_time_stamp(const struct view *v, uint64_t at_ns);

/* --- journals (history.c) --------------------------------------------------------------------- */
void history_tick(struct history *h, const char *data_dir);
void history_free(struct history *h);
/* The line stays the caller's. */
void history_add(struct history *h, const json_t *line);
