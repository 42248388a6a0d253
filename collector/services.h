/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "../lib/below.h"
#include "../lib/config.h"
#include "../lib/index.h"
#include "../lib/log.h"
#include "control.h"
#include "discovery.h"
#include "helper.h"
#include "notices.h"
#include "sampler.h"
#include "tell.h"

/*
 * The services thread (the process's first): everything but sampling. Discovery, the helper
 * processes, the control socket, signals. One poll loop, nothing in it blocks.
 */
enum helper_id {
	HELPER_LXC,
	HELPER_STORE,
	HELPER_WALK,
	HELPER_LEDGER,
	HELPERS
};

/* Who started an instance's init, and a cgroup that it removes at the end. pid 0: not known. */
struct monitor {
	pid_t pid;
	uint64_t starttime;
	enum controller controller;
	char *cgroup;
};

/* An instance that runs, as far as the helpers have to know it. */
struct live {
	uint32_t index;
	uint64_t run;
	pid_t init;
	uint64_t starttime;
	bool told; /* the walk helper has it */
	struct monitor monitor;
};

struct services {
	struct config *config;
	const char *config_path;
	bool once; /* end after the first cycle */
	struct sampler *sampler;
	struct discovery *discovery;
	const struct hierarchies *hierarchies;
	struct index *index;
	struct below *below;
	struct notices *notices;
	struct control *control;
	struct helper helper[HELPERS];
	struct complaint helper_complaint[HELPERS];
	struct live *live; /* ascending index */
	size_t n_live, live_size;
	struct tell tell;
	struct complaint tell_complaint;
	bool settled;           /* the ledger knows all that runs */
	uint64_t started_ticks; /* since boot, as init's start time: finer than wall clock */
	struct outside_facts facts;
	uint64_t helper_cpu_ns[HELPERS]; /* of the process that runs */
	uint64_t ended_cpu_ns, costs_due_ns, stuck[HELPERS];
	struct outside_facts before; /* counters of helpers that ended */
	bool facts_changed;
	uint64_t discovery_due_ns, below_due_ns, flush_due_ns, watchdog_due_ns, facts_due_ns;
	uint64_t flush_id, flushed_id; /* last asked, last answered */
	uint64_t flush_asked_ns;
	int signal_fd;
	bool stopping;
	char last_error[ERROR_MAX];
	uint64_t last_error_s;
};

/* Runs until SIGTERM, SIGINT or, with once, until one cycle is stored. 0 or a negative errno. */
int services_run(struct services *s, struct error *err);

/* Makes the discovery that talks to these services; config, index and sampler stand already. */
int services_init_discovery(struct services *s, const struct hierarchies *h, struct error *err);

/* A new flush for whoever asks; the number is answered in flushed_id. */
uint64_t services_flush(struct services *s);
/*
 * LXC has destroyed the instance with this number: with destroyed = forget the store removes its
 * history, unless it runs.
 */
void services_destroyed(struct services *s, uint32_t index);
/* Keeps the sentence for `loadcell status` and logs it. */
void services_error(struct services *s, struct complaint *c, const char *format, ...)
	_printf_(3, 4);

/* --- tell-runs.c: what the ledger hears ------------------------------------------------------- */
/*
 * Sends a message to loadcelld-ledger (docs/lifecycle.md) and releases it. While that helper is
 * away or does not read, messages wait here, up to a number; what is then lost is counted and said.
 */
void services_tell_ledger(struct services *s, json_t *message);
void services_tell_open(struct services *s, const struct identity *id);
void services_tell_close(struct services *s, uint64_t run, const struct monitor *m);
/* Once, when discovery has seen all that runs. */
void services_tell_settled(struct services *s);
/* A new ledger hears again what the last one has not acknowledged, and what runs. */
void services_ledger_started(struct services *s);
void services_note_monitor(struct services *s, const struct identity *id, struct monitor *ret);
void monitor_free(struct monitor *m);

/* helpers.c: starting, stopping and understanding the helper processes. */
void helpers_tick(struct services *s, uint64_t now);
void helpers_read(struct services *s, enum helper_id which);
void helpers_reap(struct services *s, uint64_t now);
void helpers_stop(struct services *s);
void helpers_tell_walk(struct services *s);
