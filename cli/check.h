/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/timex.h>

#include "cli.h"

/*
 * `loadcell check`, the doctor: a table of checks (check.c), each a function that looks at the
 * sample or below proc_root, says in one line what it found, and what to do. docs/check.md has a
 * line for each row.
 */
enum check_state { /* the worse, the later */
	CHECK_NOT_APPLICABLE,
	CHECK_OK,
	CHECK_UNKNOWN,
	CHECK_WARNING,
	CHECK_CRITICAL,
};

struct finding {
	enum check_state state;
	bool no_data; /* unknown for want of the collector's sample and nothing else */
	char *text, *remedy;
	bool has_figures;
	uint64_t value, warning, critical, max; /* 0: no such threshold, no most */
};

struct checkup;

struct check {
	const char *id, *title;
	void (*run)(struct checkup *c);
	const void *data;           /* what tells apart rows of the same function */
	uint64_t warning, critical; /* at or above; 0: no such threshold */
	const char *unit;           /* of both: "%", "s"; NULL: a site cannot change them */
};

struct checkup {
	const struct cli *cli;
	const char *snmpd_conf;
	struct view view;
	bool fresh;     /* there is a sample, and it is not stale */
	int view_error; /* of opening it */
	struct scan *scan;
	/* The check that runs, with its thresholds as this site has them, and what it found. */
	const struct check *check;
	uint64_t warning, critical;
	struct finding *finding;
};

/* Adds a sentence; the finding's state is the worst of all. */
void report(struct checkup *c, enum check_state state, const char *format, ...) _printf_(3, 4);
/* What to do; the first one counts. */
void advise(struct checkup *c, const char *format, ...) _printf_(2, 3);
void advise_sysctl(struct checkup *c, const char *key, uint64_t value);
/* False, with the finding, where there is no fresh sample. */
bool needs_sample(struct checkup *c);

/* The same of a share of a limit: "... (85 %)", with its figures, and the state that the thresholds
 * make of it. */
enum check_state report_share(
	struct checkup *c, uint64_t used, uint64_t limit, const char *format, ...) _printf_(4, 5);
unsigned int share(uint64_t used, uint64_t limit); /* in percent */
static inline bool is_fuller(uint64_t used, uint64_t limit, uint64_t than, uint64_t than_limit)
{
	return (double)used * (double)than_limit > (double)than * (double)limit;
}
enum check_state judge_share(const struct checkup *c, uint64_t used, uint64_t limit);
enum check_state judge_number(const struct checkup *c, uint64_t n);
/* The figures for graphs: thresholds are shares of `limit`, or numbers. */
void figure_share(struct checkup *c, uint64_t used, uint64_t limit);
void figure_number(struct checkup *c, uint64_t n, uint64_t max);
/* The power of two that is at least twice as much. */
uint64_t twice(uint64_t n);

/* "web01, db and 3 more" */
struct names {
	char text[256];
	size_t n;
};
void names_add(struct names *names, const char *name);
const char *names_text(struct names *names);
#define PLURAL(n) ((n) == 1 ? "" : "s")

/* A file below proc_root: its length or a negative errno. */
ssize_t proc_read(const struct checkup *c, const char *file, char *buf, size_t size);
int proc_number(const struct checkup *c, const char *file, uint64_t *ret);
/* Of the sample, else as its source says from below proc_root. */
struct value host_value(const struct checkup *c, unsigned int metric_id);

/* --- every process once (check-scan.c), for the checks that need it ---------------------- */
struct process {
	pid_t pid;
	uid_t uid;        /* that its threads are charged to */
	uid_t owner;      /* that its inotify instances are charged to */
	uint64_t user_ns; /* inode; 0: may not be seen */
	uint64_t threads, files, inotify, watches;
	uint64_t files_limit, files_hard, threads_limit; /* UINT64_MAX: unlimited */
	size_t row;                                      /* of its instance; SIZE_MAX: none */
};

struct scan {
	struct process *list;
	size_t n, cap;
	size_t denied; /* whose open files only root may see */
	bool cut;      /* there are more processes than the time allowed */
	bool snmpd;
	size_t *init; /* of each instance's row: 1 + where in the list; 0: not found */
};

const struct scan *scan_get(struct checkup *c);
void scan_free(struct scan *s);
/* The init of an instance; NULL: not found. */
static inline const struct process *scan_init(const struct scan *s, size_t row)
{
	return s->init && row != SIZE_MAX && s->init[row] ? &s->list[s->init[row] - 1] : NULL;
}

/* --- the checks -------------------------------------------------------------------------- */
void check_ceiling(struct checkup *c);
extern const struct ceiling ceiling_threads, ceiling_pids, ceiling_maps, ceiling_files,
	ceiling_cgroups;
void check_overcommit(struct checkup *c);
void check_commit_limit(struct checkup *c);
void check_clock(struct checkup *c);
void judge_clock(struct checkup *c, int state, const struct timex *t);
void check_snmpd(struct checkup *c);

void check_conntrack(struct checkup *c);
void check_neighbours(struct checkup *c);
void check_tcp_mem(struct checkup *c);
void check_somaxconn(struct checkup *c);

void check_inotify_instances(struct checkup *c);
void check_inotify_watches(struct checkup *c);
void check_nofile(struct checkup *c);
void check_nproc(struct checkup *c);

void check_limit(struct checkup *c);
void check_near(struct checkup *c);
extern const struct resource resource_memory, resource_pids, resource_cpu, resource_disk;
void check_filesystems(struct checkup *c);
void check_controllers(struct checkup *c);
void check_swap_accounting(struct checkup *c);
void check_hooks(struct checkup *c);

void check_collector(struct checkup *c);
void check_cycles(struct checkup *c);
void check_store(struct checkup *c);
void check_ledger(struct checkup *c);
void check_spool(struct checkup *c);
