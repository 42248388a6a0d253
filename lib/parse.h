/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "value.h"

/*
 * Parsers of the kernel's texts: pure functions over (buf, len). buf need not end with NUL. They
 * never allocate, log or read; unknown keys and lines are skipped, a torn last line is ignored
 * where it cannot be complete. They return 0, or -EBADMSG when the text is not of the grammar at
 * all (empty included); outputs are written only on success. A number above 2^64-1 is not a
 * number: its key counts as absent.
 *
 * Limits: any number at or above 2^63 - 64 KiB (a page less on every page size) and the word
 * "max" are unlimited. v1 prints PAGE_COUNTER_MAX * PAGE_SIZE = 9223372036854771712
 * (mm/page_counter.c, Linux 3.19 on), "-1" where a quota is off (kernel/sched/core.c).
 */

/* One key that is wanted from a keyed file; the value of key i goes to ret[i]. */
struct parse_key {
	const char *key;
	size_t len;
	uint64_t scale;
};

int parse_number(const char *buf, size_t len, uint64_t scale, struct value *ret);
/*
 * memory.stat, cpu.stat, memory.events, /proc/meminfo ("MemTotal:  123 kB": colon is cut) ...
 * The first line of a key that has a value counts.
 */
int parse_flat(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret);
/* io.stat: sum over devices of key=; empty text is no I/O, so all zero */
int parse_nested(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret);
/* blkio.*: sum over devices of "MAJ:MIN Key N"; zero where "Total 0" is all there is */
int parse_blkio(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret);
/* *.pressure: key "some" or "full", the value is total= (microseconds) times scale */
int parse_pressure(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret);
/* cpu.max as billionths of a core */
int parse_cpu_quota(const char *buf, size_t len, struct value *ret);
/* "0-3,8,10-11": how many, as billionths of a core; an empty line is absent */
int parse_cpu_list(const char *buf, size_t len, struct value *ret);

/* /proc/net/dev. `lo` included. The name points into buf and has at most 15 bytes. */
enum netdev_column {
	NETDEV_RX_BYTES,
	NETDEV_RX_PACKETS,
	NETDEV_RX_ERRORS,
	NETDEV_RX_DROPS,
	NETDEV_TX_BYTES,
	NETDEV_TX_PACKETS,
	NETDEV_TX_ERRORS,
	NETDEV_TX_DROPS,
	NETDEV_COLUMNS,
};
struct netdev {
	const char *name;
	size_t name_len;
	uint64_t column[NETDEV_COLUMNS];
};
/* Writes up to max interfaces; *ret_n is how many the text has, which may be more. */
int parse_netdev(const char *buf, size_t len, struct netdev *ret, size_t max, size_t *ret_n);
int netdev_column_by_name(const char *name); /* "rx_bytes" ... or -EINVAL */

/* One line of /proc/PID/cgroup; pointers into buf. controllers is "" on v2. */
struct proc_cgroup {
	const char *controllers, *path;
	size_t controllers_len, path_len;
};
/* Calls back for each line until it returns non-zero, which is returned. */
int parse_proc_cgroup(const char *buf, size_t len,
	int (*line)(void *data, const struct proc_cgroup *entry), void *data);

/* /proc/PID/stat, for a comm with blanks and brackets in it too. */
struct proc_stat {
	char state;
	pid_t ppid;
	uint64_t threads;
	uint64_t utime_ticks, stime_ticks;
	uint64_t cutime_ticks, cstime_ticks; /* of children that were waited for */
	uint64_t starttime_ticks;            /* since boot */
	uint64_t rss_pages;
};
int parse_proc_stat(const char *buf, size_t len, struct proc_stat *ret);

/* /proc/PID/status: effective uid and the pid in the innermost pid namespace. */
struct proc_status {
	pid_t ppid;
	uid_t euid;
	pid_t inner_pid; /* last column of NSpid; 0 where the kernel has no such line (before 4.1)
			  */
};
int parse_proc_status(const char *buf, size_t len, struct proc_status *ret);

/* The first line of /proc/stat, in USER_HZ ticks. */
struct proc_cpu {
	uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
};
int parse_proc_cpu(const char *buf, size_t len, struct proc_cpu *ret);
int parse_btime(const char *buf, size_t len, uint64_t *ret); /* seconds since the epoch */

/* /proc/loadavg: threads of the whole host (its "1/123") */
int parse_loadavg_tasks(const char *buf, size_t len, uint64_t *ret);
/* /proc/sys/fs/file-nr: allocated files */
int parse_file_nr(const char *buf, size_t len, uint64_t *ret);
/* /proc/cgroups: num_cgroups of a controller */
int parse_proc_cgroups(const char *buf, size_t len, const char *controller, uint64_t *ret);

/* One listening abstract socket of /proc/net/unix; the name without its "@". */
struct unix_socket {
	uint64_t inode;
	const char *name;
	size_t name_len;
};
int parse_proc_net_unix(const char *buf, size_t len,
	int (*listener)(void *data, const struct unix_socket *s), void *data);
