/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "hierarchy.h"
#include "instance.h"
#include "level.h"
#include "metric.h"
#include "plan.h"

/*
 * One instance under measurement: its open kernel files and its values of this and the last
 * cycle. Used by the sampling thread alone.
 */
#define INTERFACES_MAX     16 /* rows kept apart; traffic of the rest is still in the sums */
#define INTERFACES_SUM_MAX 256

struct interface {
	char name[64]; /* IFNAMSIZ is 16; what does not fit is cut */
	struct value values[NETDEV_COLUMNS];
};

/* What workers found out about the instance on their slow cycles. */
struct disk_figures {
	struct value used, limit, inodes;
	uint64_t time_ns;
	char method[16]; /* "" until known */
	bool walking, partial;
	uint64_t progress;
};

struct instance {
	struct identity *id;
	const struct plan *plan; /* one of the two of the measure context */
	int fd[PLAN_FILES_MAX];
	int proc_fd; /* /proc/INIT: pins neither the namespaces nor the root */
	struct level *level[PLAN_LIMITS_MAX];
	const char *limit_path[PLAN_LIMITS_MAX]; /* which cgroup binds; owned by the level */
	struct value *now, *before;              /* one per slot of SCOPE_INSTANCE */
	bool has_before;
	uint64_t read_ns, before_ns; /* CLOCK_MONOTONIC when the CPU counter was read */
	struct interface *interfaces;
	size_t n_interfaces;
	struct disk_figures disk;
	/* What cgroups below the instance counted on the slow cycle, per slot. */
	struct {
		size_t slot;
		uint64_t count;
	} below[4];
	size_t n_below;
	struct value tasks; /* counted in the tree where there is no pids controller */
	unsigned int cycles;
	bool gone;
	char *cgroups_text; /* "memory=/lxc.payload.web01\n...", for the snapshot */
	char *limits_text;  /* "memory_limit_bytes=/lxc/101\n..." */
	const char *limits_text_of[PLAN_LIMITS_MAX]; /* the limit_path it was made from */
};

/* What all instances share. */
struct measure {
	const struct hierarchies *h;
	char *proc_root;
	int proc_fd;
	struct plan merged, split;
	struct levels *levels;
	int io_alternative; /* which file the kernel accounts I/O in; 0: none */
	char *buf;
	uint64_t files_read, read_errors;
	struct descriptors descriptors;
};

int measure_init(struct measure *m, const struct hierarchies *h, const char *proc_root,
	size_t descriptors_max);
void measure_destroy(struct measure *m);
/* Looks at the root cgroup: which of the v1 I/O files counts on this kernel. Sticks once found;
 * until then each cycle looks again, as a first throttle rule may start the counting. */
void measure_choose_io(struct measure *m);

/* Takes the identity. */
struct instance *instance_new(struct measure *m, struct identity *id);
void instance_free(struct measure *m, struct instance *in);

/* Another process stands for the same run: its network is read from now on. */
void instance_follow(struct measure *m, struct instance *in, const struct identity *id);

/* What a value of the last cycle of an earlier collector gives to go on from, e.g. idle time. */
void instance_seed(struct instance *in, const struct value *values, uint64_t monotonic_ns);

struct cycle_facts {
	uint64_t time_ns; /* wall clock */
	struct value host_cpus, host_memory;
};

/* Reads everything of one instance. -ENODEV: its cgroup is gone, nothing was read to the end. */
int instance_measure(struct measure *m, struct instance *in, const struct cycle_facts *facts);
