/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "../lib/below.h"
#include "../lib/config.h"
#include "../lib/instance.h"
#include "hierarchy.h"

/*
 * What the kernel tells by itself about live instances: OOM kills (v1: an eventfd on
 * memory.oom_control, v2: inotify on memory.events, who was killed from the kernel log) and limits
 * that somebody wrote (inotify on the cgroups that hold them). A notification only means "look": a
 * kill is a rise of the counter. In the services thread; nothing here waits.
 */
struct alerts;

struct alerts_ops {
	/* An event for loadcelld-ledger (docs/lifecycle.md); takes the message. */
	void (*tell)(void *data, json_t *message);
	/* What cgroups below the instance count has risen; as below_pass() reports it. */
	void (*below)(void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count);
	/* The limits in this cgroup are watched, and may have changed; see levels_changed(). */
	void (*limits)(void *data, enum controller c, const char *path);
};

int alerts_new(const struct config *config, const struct hierarchies *h, struct below *below,
	const struct alerts_ops *ops, void *data, struct alerts **ret, struct error *err);
void alerts_free(struct alerts *a);
DEFINE_CLEANUP(struct alerts *, alerts_free)

/* An instance appeared (below_appeared() was called before) or disappeared. */
void alerts_appeared(struct alerts *a, const struct identity *id);
void alerts_disappeared(struct alerts *a, uint32_t index, uint64_t run);

/* To poll for POLLIN; -1 for a moment after it was read, so that a storm cannot keep us busy. */
int alerts_fd(const struct alerts *a, uint64_t now);
void alerts_readable(struct alerts *a, uint64_t now);
/* Call at the time that it returns (CLOCK_MONOTONIC ns). */
uint64_t alerts_tick(struct alerts *a, uint64_t now);

struct alerts_status {
	uint64_t watches; /* inotify watches held */
	uint64_t
		refused; /* that the kernel did not give: what they tell is looked for every 30 s */
	uint64_t lost;   /* notifications that the kernel dropped */
};
void alerts_status(const struct alerts *a, struct alerts_status *ret);
