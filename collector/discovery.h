/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

#include "../lib/config.h"
#include "../lib/index.h"
#include "../lib/instance.h"
#include "hierarchy.h"

/*
 * Finds instances: by inotify on the cgroup parents within a second, by a periodic reconcile of
 * the cgroup tree, the abstract sockets of /proc/net/unix and liblxc's list otherwise. Runs in
 * the services thread and never blocks: liblxc lives in the helper process loadcelld-lxc, whose
 * answers arrive as messages.
 */
struct discovery;

struct discovery_ops {
	/* A new instance, or a new run of a known one (same index, other run). */
	void (*appeared)(void *data, const struct identity *id);
	/*
	 * hostname, groups, rootfs or facts became known or changed; or, with an instance that is
	 * not LXC's, another process stands for the same run now (init).
	 */
	void (*described)(void *data, const struct identity *id);
	/* The run has ended (or the instance is no longer trusted). */
	void (*disappeared)(void *data, uint32_t index, uint64_t run);
	/* Sends one JSON message to loadcelld-lxc; 0 or a negative errno. */
	int (*ask_lxc)(void *data, const char *json);
};

struct discovery_status {
	uint64_t instances;    /* known and running */
	uint64_t dropped;      /* above instances_max */
	uint64_t untrusted;    /* sockets and cgroups refused as forged */
	uint64_t watches;      /* inotify watches held */
	uint64_t watch_errors; /* watches refused by the kernel or by our cap */
	uint64_t lxc_timeouts; /* liblxc calls that were killed */
	uint64_t reconciles;
};

int discovery_new(const struct config *config, const struct hierarchies *h, struct index *index,
	const struct discovery_ops *ops, void *data, struct discovery **ret, struct error *err);
void discovery_free(struct discovery *d);
DEFINE_CLEANUP(struct discovery *, discovery_free)

/* The inotify descriptor to poll for POLLIN. */
int discovery_fd(const struct discovery *d);
/* Call when it is readable. */
void discovery_readable(struct discovery *d);
/* Call at the time that it returns (CLOCK_MONOTONIC ns): young candidates, reconcile, index. */
uint64_t discovery_tick(struct discovery *d, uint64_t now_ns);
/* Reconcile at the next tick, e.g. because the sampler saw a cgroup vanish. */
void discovery_reconcile_soon(struct discovery *d);
/* One message from loadcelld-lxc. */
void discovery_lxc_answer(struct discovery *d, const char *json);
/* The helper was started (again): what was asked before is asked again. */
void discovery_lxc_restarted(struct discovery *d);
/* All instances that have been announced and run. */
void discovery_each(
	const struct discovery *d, void (*call)(void *data, const struct identity *id), void *data);
void discovery_status(const struct discovery *d, struct discovery_status *ret);
/* New lxcpaths after SIGHUP. The config must outlive the discovery. */
void discovery_set_config(struct discovery *d, const struct config *config);
