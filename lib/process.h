/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "hierarchy.h"

/* What /proc tells of a process, and which run of an instance an init stands for. proc_fd is a
 * descriptor of the directory that /proc is. */
struct process {
	pid_t pid, ppid, inner_pid;
	uid_t euid;
	uint64_t starttime_ticks;
};

/* -ESRCH for a zombie. */
int proc_read_process(int proc_fd, pid_t pid, struct process *ret);
int proc_read_starttime(int proc_fd, pid_t pid, uint64_t *ret_ticks);
/* Paths of one controller, or of all with CONTROLLER_NONE; the caller frees them. */
int proc_read_cgroups(int proc_fd, const struct hierarchies *h, pid_t pid, enum controller only,
	char *paths[CONTROLLER_COUNT]);
void free_paths(char *paths[CONTROLLER_COUNT]);
/* A path relative to a controller's mount, for openat(2): "." for "/". */
const char *below_mount(const char *path);

struct boot {
	char id[64];
	uint64_t time_ns; /* wall clock */
	uint64_t ticks_per_s;
	uint64_t cpus; /* online */
};

int boot_read(int proc_fd, struct boot *ret);
/* When a process began, wall clock; and back. */
uint64_t boot_ticks_to_ns(const struct boot *b, uint64_t ticks);
uint64_t boot_ns_to_ticks(const struct boot *b, uint64_t time_ns);
/* The run whose init began then, in the cgroup with that inode; never 0. */
uint64_t boot_run(const struct boot *b, uint64_t init_starttime_ticks, uint64_t cgroup_inode);
