/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/smi-notify.h"
#include "trap-state.h"
#include "view.h"

/*
 * Which notifications are sent, and when: each event once, in the order of their numbers. Those
 * that cannot be sent yet wait in a queue; what it does not hold, and what snmpd did not confirm,
 * is told as a number, in one notification. Nothing is sent twice: what was sent and not confirmed
 * may have arrived.
 */
#define TRAPS_BURST  200                 /* as many at once, */
#define TRAPS_RATE   20                  /* then so many a second */
#define TRAPS_QUEUE  400                 /* the newest ones wait */
#define TRAPS_KNOWN  512                 /* runs whose start was told last */
#define TRAPS_PAUSE  (10 * NSEC_PER_SEC) /* between two summaries */
#define TRAPS_RECENT (86400 * NSEC_PER_SEC)

/* Who sends. */
struct traps_sender {
	void *data;
	/* How many may be sent now, and in all how many were never confirmed. */
	unsigned int (*room)(void *data, uint64_t *ret_unconfirmed);
	/* event: NULL for what is no event. */
	int (*send)(void *data, enum smi_notification type, const json_t *event);
};

struct traps {
	struct source *source;
	struct traps_sender sender;
	struct trap_state state;
	bool is_open;              /* the state; else another one may send */
	struct journal_tail *tail; /* NULL: events cannot be read yet */
	uint64_t newest;           /* the number of the event that was read last */
	uint64_t boot_ns;          /* wall clock; events before it are of another boot, else 0 */
	bool is_backlog;           /* what is read has happened before this start */
	bool is_overlapping;       /* and may be read twice */

	json_t *queue[TRAPS_QUEUE];
	size_t first, n;
	uint64_t known[TRAPS_KNOWN]; /* a ring of hashed runs */
	size_t known_n;

	uint64_t began_ns, now_ns;  /* of the first and the last traps_tick() */
	uint64_t filled_ns, tokens; /* in ns of waiting */
	uint64_t left_out, left_out_ns, summary_ns, unconfirmed;
};

void traps_init(struct traps *t, struct source *source, const struct traps_sender *sender);
void traps_free(struct traps *t);
/* Reads what has happened; once a second, after source_tick(). now: CLOCK_MONOTONIC. */
void traps_tick(struct traps *t, uint64_t now);
/* Sends what can be sent now. */
void traps_send(struct traps *t, uint64_t now);
