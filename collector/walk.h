/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lib/config.h"
#include "../lib/util.h"

/*
 * The parts of loadcelld-walk. Everything that touches a path inside a container or a
 * /proc/PID/maps is done by a child that may be killed at any moment; the parent only looks at
 * its pulse and at the reports that come through its pipe.
 */

/* What a child shows while it works, in memory shared with the parent: costs no message. */
struct walk_pulse {
	_Atomic uint64_t beats;        /* rises with all progress, and while it rests on purpose */
	_Atomic uint64_t at;           /* probe: place in the batch; maps: the pid */
	_Atomic uint64_t files;        /* walk: seen so far */
	_Atomic uint64_t max, max_pid; /* maps: so far */
};

/* Keeps a child's share of one core: CPU used / elapsed <= share, by resting. */
struct walk_budget {
	struct walk_pulse *pulse;
	uint64_t share; /* billionths; 0: no limit */
	uint64_t start_ns;
	uint64_t end_ns; /* CLOCK_MONOTONIC; 0: none */
};

void budget_start(struct walk_budget *b, struct walk_pulse *pulse, uint64_t share, uint64_t max_ns);
/* Call every few hundred microseconds of work. False when the time is up. */
bool budget_pace(struct walk_budget *b);

/* --- walk-tree.c --- */
struct tree_figures {
	uint64_t bytes, inodes;
	bool partial; /* something could not be counted, or hard links more than once */
};

/*
 * Adds up what stands below the directory `root` (an O_PATH descriptor will do), itself included,
 * as du(1) does. Opens directories only, never follows a link, never crosses a mount. Memory
 * stays below 64 MiB whatever the tree looks like.
 */
int tree_walk(int root, struct walk_budget *b, struct tree_figures *ret);

/* --- walk-mount.c --- */
struct mount {
	uint64_t dev; /* makedev() of the super block; btrfs shows another st_dev */
	char *root, *point, *type, *source, *options;
};

/* One line of mountinfo, taken apart in place and unescaped. 0 or -EBADMSG. */
int mount_parse(char *line, struct mount *ret);
/* Calls back for each line until it returns non-zero, which is returned. */
int mount_each(
	int dir, const char *path, int (*call)(void *data, const struct mount *m), void *data);
/* Copies the value of NAME= in a comma-separated list; -ENOENT, -ENAMETOOLONG. */
int mount_option(const char *options, const char *name, char *buf, size_t size);

/* --- walk-root.c --- */
struct walk_target {
	uint32_t id;
	uint64_t run;
	pid_t init;
	uint64_t starttime;
};

/* The file system that holds an instance, as the host sees it. */
struct walk_fs {
	char device[256], mount[512], type[64];
	uint64_t size, used, available, inodes, inodes_used;
};

enum root_kind {
	ROOT_UNKNOWN,
	ROOT_HOST,   /* no root of its own: nothing to charge */
	ROOT_OWN,    /* all of the file system is its own, unless another instance has it too */
	ROOT_QUOTA,  /* a project quota tells */
	ROOT_SHARED, /* must be walked */
};

struct root_facts {
	enum root_kind kind;
	uint64_t st_dev;
	uint64_t fs_dev; /* same for all that share the file system */
	struct walk_fs fs;
	uint64_t used, limit, inodes; /* ROOT_QUOTA; limit 0: none */
};

/* Descriptors of one instance, valid for exactly this process: proc is its /proc/PID. */
struct root {
	int proc, dir;
};
#define ROOT_CLOSED                                                                                \
	{                                                                                          \
		-1, -1                                                                             \
	}

int root_open(const char *proc_root, const struct walk_target *t, struct root *ret);
void root_close(struct root *r);
static inline void cleanup_root(struct root *r)
{
	root_close(r);
}
#define _cleanup_root_ __attribute__((cleanup(cleanup_root)))

/* Fills or, when it is about the same root, only refreshes the facts. */
int root_probe(const char *proc_root, const struct root *r, struct root_facts *facts);
/* A descriptor of what a walk of this root has to add up. */
int root_walk_fd(const struct root *r);

/* --- walk-maps.c --- */
/* Looks at the processes with a pid above `after`; *pulse has the result so far. */
int maps_scan(const char *proc_root, pid_t after, struct walk_budget *b);

/* --- walk-child.c --- */
enum job {
	JOB_PROBE,
	JOB_WALK,
	JOB_MAPS
};

struct walk_report {
	enum job job;
	int error; /* negative errno; 0 */
	struct walk_target target;
	struct root_facts facts;  /* JOB_PROBE */
	struct tree_figures tree; /* JOB_WALK */
};

#define BATCH_MAX 64

struct job_order {
	enum job job;
	const struct config *config;
	struct walk_pulse *pulse;
	int report_fd;
	uint64_t share; /* walk and maps: billionths of one core */
	size_t targets; /* probe: up to BATCH_MAX; walk: one */
	struct walk_target target[BATCH_MAX];
	struct root_facts facts[BATCH_MAX];
	pid_t after; /* maps */
};

/* The whole life of a child. */
void job_run(struct job_order *order) __attribute__((noreturn));

/* --- walk-jobs.c --- */
struct walker;

struct walk_status {
	uint64_t stuck, jobs;
	size_t watched, children;
};

/* send: one JSON message; -EAGAIN when it cannot be taken now, then it is offered again. */
int walker_new(const struct config *config, int (*send)(void *data, const char *json), void *data,
	struct walker **ret);
void walker_free(struct walker *w); /* kills its children */
DEFINE_CLEANUP(struct walker *, walker_free)
/* One message from loadcelld; -EBADMSG when it is none. */
int walker_message(struct walker *w, const char *json);
/* Waits for input_fd, a child or a deadline, and does what is due. 1: input_fd is readable. */
int walker_turn(struct walker *w, int input_fd);
void walker_status(const struct walker *w, struct walk_status *ret);
