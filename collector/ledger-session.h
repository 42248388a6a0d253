/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/stat.h>

#include "../lib/config.h"
#include "../lib/index.h"
#include "../lib/journal.h"
#include "../lib/log.h"
#include "ledger-files.h"
#include "ledger-internal.h"

/* What loadcelld-ledger holds: ledger-main.c and, for the records of hooks, ledger-spool.c. */
#define RECORD_NAME 64

struct flight_wanted {
	uint64_t id, run;
	char *handle;
};

struct session {
	struct config *config;
	struct ledger *ledger;
	struct journal *runs, *events;
	struct samples samples;
	struct index *index; /* a copy: numbers are the same for all who reckon */
	struct stat index_stat;
	char *index_path, *flight_dir, boot[64];
	int proc_fd, inotify_fd, lock_fd;
	uint64_t scan_ns, tidy_ns, stats_ns, save_ns;
	uint64_t saved_change, save_cost_ns, saved_ns;
	uint64_t flight_bytes, flights_written; /* since flights were tidied up */
	bool scanned, tidy_failed;
	/* Done once what was written is on disk. */
	uint64_t *ended;
	char (*started)[RECORD_NAME];
	struct flight_wanted *flights;
	size_t n_ended, n_started, n_flights, acknowledge;
	uint64_t records; /* in the spool that wait for the end of their run */
	uint64_t written_runs, written_events, errors;
	struct error error;
	struct complaint complaint;
};

/* Room for one more of a small list that is emptied with each batch. */
#define RESERVE(array, n)                                                                          \
	({                                                                                         \
		void *bigger_ = reallocarray((array), (n) + 1, sizeof(*(array)));                  \
		if (bigger_)                                                                       \
			(array) = bigger_;                                                         \
		bigger_ != NULL;                                                                   \
	})

/* Counts and complains. */
void session_error(struct session *s, int r, const char *what);
/* To the collector; takes the message. False when it does not read. */
bool session_send(json_t *message);
/* The collector's index as it is now, in s->index; NULL: there is none. */
void session_index(struct session *s);

/* The spool: its directory is made and watched. */
int spool_watch(struct session *s, struct error *err);
/* Everything, as at the start: what inotify missed, and what could not be removed. Negative: a
 * line cannot be written. */
int spool_scan(struct session *s, uint64_t now);
/* What inotify tells of. */
int spool_read(struct session *s);
/* What records have told is on disk: they go, or stay as those of a run that is open. */
void spool_clear(struct session *s);
