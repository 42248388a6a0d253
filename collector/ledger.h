/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "../lib/metric.h"
#include "../lib/util.h"

/*
 * The core of loadcelld-ledger: which runs are open, and which lines follow from messages, records
 * and the passing of time (docs/lifecycle.md). It does no I/O; what it wants done it asks for
 * through struct ledger_ops.
 *
 * Each line is made once, however often the same thing is told: keys of what stands in the journals
 * are kept. Any negative return is a line that could not be written; the process then ends and
 * begins again with what it was told before.
 */
struct ledger;

struct ledger_ops {
	/* Lines for runs.jsonl and events.jsonl. 0 or a negative errno. */
	int (*run)(void *data, const json_t *line);
	int (*event)(void *data, const json_t *line);
	/* The samples before this event shall be kept. */
	void (*flight)(void *data, uint64_t event_id, uint64_t run, const char *handle);
	/* The run is in the ledger: its records can go. */
	void (*ended)(void *data, uint64_t run);
	/* Bring ledger_sample() up to date; since_ns: from there on again (0: only what is new). */
	void (*sample)(void *data, uint64_t since_ns);
	uint64_t (*wall)(void *data); /* CLOCK_REALTIME */
	/* Whether this init still runs. */
	bool (*alive)(void *data, pid_t init, uint64_t starttime);
	/* Number and handle of an instance that only hooks have told of; false: not known. */
	bool (*identify)(void *data, const char *lxcpath, const char *name, uint32_t *ret_index,
		const char **ret_handle);
};

int ledger_new(const struct ledger_ops *ops, void *data, struct ledger **ret);
void ledger_free(struct ledger *l);
DEFINE_CLEANUP(struct ledger *, ledger_free)

/* What stands in the journals already, before anything else. */
void ledger_know_run(struct ledger *l, const json_t *line);
void ledger_know_event(struct ledger *l, const json_t *line);
/* The open runs as runs.open holds them. What is no such text changes nothing: -EBADMSG. */
json_t *ledger_save(const struct ledger *l, const char *boot);
int ledger_load(struct ledger *l, const json_t *saved, const char *boot, uint64_t now);

/* now is of CLOCK_MONOTONIC, for waiting only; all other times are in what is told. */
int ledger_message(struct ledger *l, const json_t *message, uint64_t now);
/*
 * A hook's record. 0: it is kept until the run ends; 1: it can go now; -EBADMSG: it is none. again:
 * a start that an earlier process was told of, and has written.
 */
int ledger_record(struct ledger *l, const json_t *record, bool again, uint64_t now);
/* Does what is due; *ret_next: when the next thing is. */
int ledger_tick(struct ledger *l, uint64_t now, uint64_t *ret_next);
/* The sample of an open run; values: one per slot. */
void ledger_sample(struct ledger *l, uint64_t run, uint64_t time_ns, const struct value *values);

struct ledger_status {
	size_t open;
	uint64_t change; /* rises when the set of open runs changes */
};
void ledger_status(const struct ledger *l, struct ledger_status *ret);

/* --- what has been told already (ledger-seen.c) ----------------------------------------------- */
/* A set that forgets its oldest half when it is full. */
struct seen {
	uint64_t *keys[2];
	size_t n;
};
bool seen_has(const struct seen *s, uint64_t key);
int seen_add(struct seen *s, uint64_t key);
void seen_free(struct seen *s);

/* --- five starts in five minutes (ledger-flap.c) ---------------------------------------------- */
#define FLAP_STARTS  5
#define FLAP_HANDLES 1024

struct flaps {
	struct flap {
		char *handle;
		uint64_t start_ns[FLAP_STARTS];
		bool said;
	} flap[FLAP_HANDLES];
	size_t n;
};
/* True when this start makes it flapping and that was not said yet. */
bool flaps_start(struct flaps *f, const char *handle, uint64_t time_ns);
void flaps_free(struct flaps *f);
