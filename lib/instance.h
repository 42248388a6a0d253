/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "metric.h"
#include "util.h"

/*
 * Who an instance is, as discovery finds it and hands it to the sampler: a plain value, copied
 * with identity_copy(), owned by whoever holds it.
 */
struct identity {
	uint32_t index; /* stable number of (lxcpath, name) */
	char *name;
	char *lxcpath; /* "" when nothing tells it */
	char *handle, *context;
	char *kind;     /* "lxc", "qemu", or as configured */
	char *hostname; /* lxc.uts.name; NULL until liblxc has told */
	char *groups;   /* lxc.group, newline-separated; NULL until then */
	char *rootfs;   /* path of the root file system on the host; NULL until then */
	char *facts;    /* what else is known of this run, see facts.h; NULL until then */
	/* In the host's pid namespace. Of another kind than LXC the process that stands for it. */
	pid_t init;
	uint64_t init_starttime_ticks; /* with init: no pid is mistaken for a later one */
	uint64_t start_time_ns;        /* wall clock */
	uint64_t run;        /* hash of boot id, cgroup inode and LXC init's start time; never 0 */
	uint64_t starts;     /* runs that this collector's index has seen */
	bool network_shared; /* its network namespace is the host's */
	/*
	 * Path below the controller's mount, "/lxc.payload.web01"; NULL where the instance has no
	 * cgroup there. limit_cgroup is the one that holds the limits where that is another
	 * (Proxmox: the parent), else NULL.
	 */
	char *cgroup[CONTROLLER_COUNT];
	char *limit_cgroup[CONTROLLER_COUNT];
};

struct identity *identity_copy(const struct identity *from);
void identity_free(struct identity *id);
DEFINE_CLEANUP(struct identity *, identity_free)
