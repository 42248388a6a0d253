/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value.h"

/*
 * The one table of metrics. Every door (snapshot, RRD, SNMP, OpenMetrics, JSON, CLI, Zabbix)
 * iterates it; none knows a metric by name. docs/adding-a-metric.md tells how to add a row.
 */
enum metric_unit {
	UNIT_SECONDS,
	UNIT_BYTES,
	UNIT_CORES,
	UNIT_RATIO,
	UNIT_COUNT
};

/* How a value moves: alone decides RRD, ASN.1 and OpenMetrics types. */
enum metric_kind {
	KIND_COUNTER,
	KIND_GAUGE,
	KIND_LIMIT,
	KIND_RATIO,
	KIND_TIMESTAMP
};

enum metric_scope {
	SCOPE_INSTANCE,
	SCOPE_INTERFACE,
	SCOPE_FILESYSTEM,
	SCOPE_HOST,
	SCOPE_COUNT
};

/* Cgroup hierarchies as far as loadcell reads them. UNIFIED is the cgroup2 mount, wherever. */
enum controller {
	CONTROLLER_NONE,
	CONTROLLER_CPU,
	CONTROLLER_CPUACCT, /* v1 only; on v2 its files belong to cpu */
	CONTROLLER_CPUSET,
	CONTROLLER_MEMORY,
	CONTROLLER_PIDS,
	CONTROLLER_IO, /* "blkio" on v1 */
	CONTROLLER_UNIFIED,
	CONTROLLER_SYSTEMD, /* v1 name=systemd: no metrics, helps to find instances */
	CONTROLLER_COUNT,
};

/* The grammars of the kernel's files; one parser each in parse.h. */
enum grammar {
	GRAMMAR_NUMBER,    /* "123\n", "max\n", "-1\n" */
	GRAMMAR_FLAT,      /* "key 123\n" lines */
	GRAMMAR_NESTED,    /* "8:0 rbytes=1 wbytes=2\n" lines, summed over devices */
	GRAMMAR_BLKIO,     /* "8:0 Read 1\n" lines, summed over devices */
	GRAMMAR_PRESSURE,  /* "some avg10=0.00 ... total=1\n" lines */
	GRAMMAR_CPU_QUOTA, /* v2 cpu.max: "50000 100000\n" or "max 100000\n", as cores */
	GRAMMAR_CPU_CFS,   /* v1 quota in `file`, period in `second_file`, as cores */
	GRAMMAR_CPU_LIST,  /* "0-3,8\n", as cores */
	GRAMMAR_NETDEV,    /* /proc/PID/net/dev; key is the column, e.g. "rx_bytes" */
};

enum source_type {
	SOURCE_NONE,
	SOURCE_FILE,
	SOURCE_DERIVED
};

enum source_flag {
	SOURCE_AT_LIMIT = 1,    /* read in the cgroup that holds the limit (Proxmox: the parent) */
	SOURCE_ANCESTORS = 2,   /* the smallest over the cgroup and all its ancestors */
	SOURCE_DESCENDANTS = 4, /* plus what descendants count (slow cycle, up to a cap) */
};

struct derive_input;

/* Where a value comes from under one cgroup version. */
struct metric_source {
	enum source_type type;
	enum controller controller; /* CONTROLLER_NONE: `file` is a path below /proc */
	unsigned int flags;
	enum grammar grammar;
	const char *file;
	/*
	 * BLKIO: a file of the same grammar that may move instead; CPU_CFS: the period; a limit
	 * that is already effective: each level's own file, to name the cgroup that binds.
	 */
	const char *second_file;
	const char *written; /* a limit: the file whose writing changes it, if none of the above */
	const char *key;
	uint64_t scale; /* the kernel's number times this gives the unit's inner scale */
	/* Computed from other rows once all files are read, or adjusting what FILE gave. A DERIVED
	 * row without a function is filled in by the collector, as its note says. */
	struct value (*derive)(const struct derive_input *in);
	const char *note; /* NONE: the reason; DERIVED: the formula, for people */
};

struct metric {
	unsigned int id; /* append-only, never reused: SNMP column arc and snapshot slot */
	const char *name;
	enum metric_unit unit;
	enum metric_kind kind;
	enum metric_scope scope;
	const char *ds; /* RRD data source, at most 19 characters, frozen; NULL: not stored */
	const char *help;
	bool peak; /* a gauge that the kernel only raises: its last value is the run's highest */
	struct metric_source v1, v2;
};

#include "metric-ids.h"

/* Rows of one scope in slot order (ascending id). The pointer array is static. */
size_t metric_count(enum metric_scope scope);
const struct metric *metric_at(enum metric_scope scope, size_t slot);
const struct metric *metric_by_id(unsigned int id);    /* NULL when there is none */
const struct metric *metric_by_name(const char *name); /* NULL when there is none */
size_t metric_slot(unsigned int id);                   /* slot within its scope */

/*
 * Whether the value says something about a run when it has ended: the kernel's counters, limits
 * and peaks. What the collector adds up or derives over time only it can tell.
 */
bool metric_stands_at_end(const struct metric *m, const struct metric_source *s);

#define for_each_metric(scope, slot, m)                                                            \
	for (size_t slot = 0; slot < metric_count(scope) && ((m) = metric_at(scope, slot)); slot++)

/* A hash over id, name, unit, kind and scope of all rows: the snapshot's fingerprint. */
uint64_t metric_fingerprint(void);

/* Inner integer / unit_divisor() = base unit (1e9 for seconds, cores and ratios, else 1). */
uint64_t unit_divisor(enum metric_unit unit);
const char *unit_name(enum metric_unit unit);
const char *kind_name(enum metric_kind kind);
const char *scope_name(enum metric_scope scope);
const char *controller_name(enum controller c, int version);
const char *grammar_name(enum grammar g);

/*
 * RRD data sources of an interface row stand for the first two interfaces apart and the rest
 * summed: the row's ds is a printf format with one %s for "net0", "net1", "netr".
 */
#define DS_MAX      30
#define DS_NAME_MAX 19
