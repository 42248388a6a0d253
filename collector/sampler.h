/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

#include "../lib/config.h"
#include "../lib/instance.h"
#include "../lib/measure.h"
#include "../lib/metric.h"

/*
 * The sampling thread: one cycle per interval reads every instance and the host, publishes the
 * snapshot and appends to the ring. Others talk to it by posting messages, which it takes at the
 * beginning of its next cycle; posting never waits for a cycle.
 */
struct sampler;

/* What the services thread knows and the host's row shows; a copy is posted when it changes. */
struct outside_facts {
	struct value values[METRIC_ID_END]; /* by metric id; absent ones are the sampler's own */
	uint64_t helpers_cpu_ns, helpers_rss;
};

struct filesystem {
	char *device, *mount, *type;
	uint64_t size, used, available, inodes, used_inodes;
};

int sampler_new(const struct config *c, const struct hierarchies *h, size_t descriptors_max,
	struct sampler **ret, struct error *err);
void sampler_free(struct sampler *s);
DEFINE_CLEANUP(struct sampler *, sampler_free)

/* Messages, from any thread; identities and strings are copied. */
void sampler_post_appeared(struct sampler *s, const struct identity *id);
void sampler_post_described(struct sampler *s, const struct identity *id);
void sampler_post_disappeared(struct sampler *s, uint32_t index, uint64_t run);
void sampler_post_disk(struct sampler *s, uint32_t index, uint64_t run,
	const struct disk_figures *figures, const struct filesystem *fs);
/* What the cgroups below an instance counted, or its tasks where no controller counts them. */
void sampler_post_below(
	struct sampler *s, uint32_t index, uint64_t run, enum metric_id id, uint64_t count);
/* See levels_changed(): limits in this cgroup may have changed (NULL: in any), and are watched. */
void sampler_post_limits(struct sampler *s, enum controller c, const char *path);
void sampler_post_facts(struct sampler *s, const struct outside_facts *facts);
void sampler_post_config(struct sampler *s, const struct config *c);

/* Runs one cycle in the caller's thread. */
void sampler_cycle(struct sampler *s);

/* The thread; stopped and joined by sampler_stop(). */
int sampler_start(struct sampler *s, struct error *err);
void sampler_stop(struct sampler *s);

/* Readable when a cycle found a cgroup gone, or when the store should flush soon. */
int sampler_event_fd(const struct sampler *s);

struct sampler_status {
	uint64_t cycles, missed, instances, last_cycle_ns;
	uint64_t last_cycle_at_ns; /* CLOCK_MONOTONIC */
	bool vanished;             /* since events were last taken: reconcile soon */
	bool flush_early; /* the ring is more than half full of what the store has not taken */
	uint64_t oldest_pending_ns; /* age of the oldest sample not yet stored; 0: none */
	char last_error[256];
};
/* take_events: the caller acts on what sampler_event_fd() announced. */
void sampler_status(struct sampler *s, bool take_events, struct sampler_status *ret);
