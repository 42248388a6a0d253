/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "metric.h"
#include "util.h"

/*
 * Where each controller is mounted and which version it has. A controller without a mount has
 * version 0: neither /proc/cgroups nor an empty directory proves it (Debian 13 lists v1 memory as
 * enabled).
 */
struct hierarchies {
	struct hierarchy {
		int version; /* 0: not mounted, 1, 2 */
		char *mount; /* directory on this host (or in a fixture tree) */
		int fd;      /* O_PATH, or -1 */
	} controller[CONTROLLER_COUNT];
};

/*
 * All by the mount table, proc_root/mounts, whose /sys/fs/cgroup stands for cgroup_root. -ENOENT:
 * no cgroup file system is mounted.
 */
int hierarchies_read(const char *cgroup_root, const char *proc_root, struct hierarchies **ret,
	struct error *err);
void hierarchies_free(struct hierarchies *h);
DEFINE_CLEANUP(struct hierarchies *, hierarchies_free)

/* The parts, for who asks libcgroup first. A controller keeps the first mount that it is given. */
struct hierarchies *hierarchies_new(void);
int hierarchy_set(struct hierarchies *h, enum controller c, int version, const char *mount,
	const char *cgroup_root);
/* Everything (`all`), or only what libcgroup does not tell: the named hierarchy of systemd and a
 * cgroup2 without controllers. */
int hierarchies_add_mounts(struct hierarchies *h, const char *cgroup_root, const char *proc_root,
	bool all, struct error *err);
/* Fills *ret and returns 0 when any controller is mounted; else frees h. */
int hierarchies_done(struct hierarchies *h, const char *cgroup_root, struct hierarchies **ret,
	struct error *err);

/* Where instances are looked for: an empty cgroup2 beside v1 comes last, LXC may not use it. */
#define HIERARCHY_ORDER                                                                            \
	CONTROLLER_MEMORY, CONTROLLER_PIDS, CONTROLLER_CPUACCT, CONTROLLER_CPU,                    \
		CONTROLLER_SYSTEMD, CONTROLLER_UNIFIED
/* The first of these that is mounted, or CONTROLLER_NONE. */
enum controller hierarchies_leading(const struct hierarchies *h);
