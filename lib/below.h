/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "hierarchy.h"
#include "instance.h"
#include "util.h"

/*
 * What cgroups below an instance's own count: v1 charges an OOM kill to the cgroup of the victim
 * and a refused fork to that of the forking task, not to the one whose limit was hit
 * (mm/oom_kill.c, kernel/cgroup/pids.c; observed on 6.18). Summed on a slow cycle in the services
 * thread, up to a cap of cgroups per instance; a count stays when its cgroup goes. Where no pids
 * controller is mounted (Linux before 4.3), tasks are counted here as well.
 */
#define BELOW_CGROUPS_MAX 64
#define BELOW_DEPTH_MAX   5

struct below;

int below_new(const struct hierarchies *h, struct below **ret);
void below_free(struct below *b);
DEFINE_CLEANUP(struct below *, below_free)

/* A count that is not 0. */
typedef void (*below_report_t)(
	void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count);

/*
 * An instance appeared (with a new run its counts begin at 0) or disappeared. What it has counted
 * already is reported at once: after a restart of the collector a count must not begin at less.
 * report NULL: at the next pass.
 */
void below_appeared(struct below *b, const struct identity *id, below_report_t report, void *data);
void below_disappeared(struct below *b, uint32_t index, uint64_t run);

/*
 * What the cgroups below an instance count for this row right now, for who cannot wait for the next
 * pass; the next pass counts none of it again. -ENOENT: the instance's own file counts them.
 */
int below_look(struct below *b, uint32_t index, uint64_t run, enum metric_id id, uint64_t *ret);

/*
 * Goes on with a pass over all instances, for budget_ns or a little longer; true when the pass is
 * over and the next call begins another.
 */
bool below_pass(struct below *b, uint64_t budget_ns, below_report_t report, void *data);
