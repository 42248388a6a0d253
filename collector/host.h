/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/instance.h"
#include "../lib/metric.h"
#include "../lib/plan.h"
#include "hierarchy.h"

/*
 * The host's own values. Files of /proc are read as the table says; what needs counting over
 * instances or comes from other parts is put in by the sampler before host_derive().
 */
struct host {
	const struct hierarchies *h;
	int proc_fd;
	struct plan plan;
	struct value *now, *before; /* one per slot of SCOPE_HOST */
	uint64_t read_ns, before_ns;
	bool has_before;
	struct value root_cpu, root_cpu_before; /* CPU time of the root cgroup */
	struct value root_memory;
	uint64_t files_read;
};

int host_init(struct host *host, const struct hierarchies *h, const char *proc_root);
void host_destroy(struct host *host);

/* Begins a cycle and reads /proc and the root cgroup. */
void host_measure(struct host *host);
/* What of the root cgroup's CPU time and memory no instance used; `instances_cpu` is the sum of
 * their increases in this cycle, `instances_memory` of their usage. */
void host_others(struct host *host, uint64_t instances_cpu, uint64_t instances_memory);
void host_derive(struct host *host);

void host_set(struct host *host, enum metric_id id, struct value v);
struct value host_get(const struct host *host, enum metric_id id);
