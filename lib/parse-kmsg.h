/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whom the OOM killer killed, out of records of /dev/kmsg (Documentation/ABI/testing/dev-kmsg):
 *
 *	6,1972,1120188577,-;oom-kill:constraint=...,task_memcg=/lxc.payload.web,task=hog,pid=86,uid=0
 *	3,1973,1120188595,-;Memory cgroup out of memory: Killed process 86 (hog) total-vm:...
 *
 * (mm/oom_kill.c, Linux 5.10 to 6.18.) The first may be missing: the kernel limits its rate. A
 * container chooses process names and the names of its cgroups: what they may hold ("pid=1", a
 * bracket, a blank) is told apart by reading from the end of the line, and what could be read in
 * two ways is refused. All return 0, or -EBADMSG and leave the outputs alone.
 */
struct kmsg_record {
	uint64_t seq;
	const char *text; /* one line, as escaped by the kernel; points into buf */
	size_t len;
};

/* One record as read(2) gives it. Only the kernel's own: facility 0 cannot be written by users. */
int parse_kmsg(const char *buf, size_t len, struct kmsg_record *ret);

struct oom_victim {
	pid_t pid;
	uint64_t memory;  /* bytes resident: anonymous, file and shared */
	const char *name; /* escaped; points into the text */
	size_t name_len;
};

/* "...out of memory...: Killed process PID (NAME) total-vm:..." */
int parse_oom_killed(const char *text, size_t len, struct oom_victim *ret);

/* The cgroup, escaped, that the "oom-kill:" line names for this victim. */
int parse_oom_cgroup(const char *text, size_t len, const struct oom_victim *victim,
	const char **ret_path, size_t *ret_len);

/* Undoes \xHH; cuts at size - 1 bytes and ends with NUL. Returns the length. */
size_t kmsg_unescape(const char *text, size_t len, char *dst, size_t size);
