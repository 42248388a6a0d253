/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "../lib/config.h"
#include "../lib/hierarchy.h"
#include "../lib/metric.h"
#include "../lib/pattern.h"
#include "../lib/process.h"

/*
 * loadcell-hook: what LXC runs, as root on the host, at the steps of an instance's life. It leaves
 * one record in the spool (docs/lifecycle.md) and always exits 0.
 */
struct hook {
	const struct config *config;
	const char *name; /* of the instance */
	const char *config_file, *rootfs;
	pid_t init, monitor;    /* 0: not told */
	const char *network_ns; /* at stop: "/proc/MONITOR/fd/N" */
	bool reboot;
	uint64_t run; /* that begins; else 0 */
	int proc_fd;
	bool live; /* proc_root is the running kernel's */
	struct hierarchies *hierarchies;
	struct patterns *patterns; /* configured ones, as discovery has them */
	struct boot boot;
};

/* What LXC says by arguments (version 0) and environment (both). The type, or NULL. */
const char *hook_arguments(struct hook *k, int argc, char **argv);

/* The record, and the name of its file; the caller owns the record. */
struct spool_name {
	char text[32];
};
typedef int hook_record(struct hook *k, json_t **ret, struct spool_name *name, struct error *err);
hook_record hook_start_host, hook_stop, hook_destroy;

/* Ends the process when it has waited too long (hook-time.c). */
struct limit {
	uint64_t begin_ns;
	int loadavg; /* descriptor */
	long cpus;
	unsigned int ticks; /* while a CPU was free */
};
void limit_time(struct limit *l);

/* The instance's lxcpath, "" when nothing tells it (hook-path.c). The caller frees. */
char *hook_lxcpath(const struct hook *k);

/* One interface of the network namespace that this process is in (hook-link.c). */
struct hook_link {
	int index;
	char name[16];
	char mac[18];
	int peer; /* index of a veth's other end; 0: no veth */
};
#define LINKS_MAX 64
/* All but lo, LINKS_MAX at most. How many, or a negative errno. */
ssize_t hook_links(struct hook_link *ret);
/* Goes there for good. 1; 0 when that is where this process is already; or a negative errno. */
int enter_network(const char *path);

/* Whether an interface is there (hook-link.c). */
bool hook_link_stands(int index);

/* The values of an instance's end, by name (hook-final.c). `own`: this process has entered the
 * instance's network namespace, and its counters are the instance's. */
int hook_final(const struct hook *k, char *const cgroup[CONTROLLER_COUNT], bool own, json_t **ret);
