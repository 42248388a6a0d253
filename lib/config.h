/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/*
 * loadcell.conf: key = value lines, '#' and ';' comments, no sections. Each program takes -c FILE
 * or LOADCELL_CONFIG and finds all paths here. An unknown key, a bad value and a key given twice
 * (lxcpath, pattern and check may repeat) are errors that name file and line.
 */
#define CONFIG_PATH_DEFAULT "/etc/loadcell/loadcell.conf"
#define CONFIG_LXCPATH_MAX  64
#define CONFIG_PATTERNS_MAX 32
#define CONFIG_CHECKS_MAX   64

struct config {
	uint64_t interval_ns;              /* 10s; 1s at least */
	char *run_dir;                     /* /run/loadcell */
	char *data_dir;                    /* /var/lib/loadcell */
	char *cgroup_root;                 /* /sys/fs/cgroup */
	char *proc_root;                   /* /proc */
	char *lxcpath[CONFIG_LXCPATH_MAX]; /* /var/lib/lxc, and /var/lib/incus/containers */
	size_t lxcpaths;
	char *pattern[CONFIG_PATTERNS_MAX]; /* "KIND /GLOB/{name}", see glob.h; none */
	size_t patterns;
	uint64_t flush_ns;         /* 60s: how long samples may stay out of the RRDs */
	uint64_t keep_ns;          /* 1d after an instance's end */
	uint64_t archive_ns;       /* 2y after that */
	uint64_t forget_destroyed; /* 1: a destroyed instance's history goes; 0 ("keep") */
	uint64_t data_max;         /* bytes; 0: data_max_ratio of the file system */
	uint64_t data_max_ratio;   /* billionths; 10 % */
	uint64_t ledger_ns;        /* 2y: how long a run stays in the ledger */
	uint64_t events_ns;        /* 90d */
	uint64_t recent_bytes;     /* 16M */
	uint64_t disk_walk_ns;     /* 15m between two walks of one instance; 0 ("off"): never */
	uint64_t disk_walk_share;  /* billionths of one core; 1 % */
	uint64_t stale_after_ns;   /* 0: three intervals, at least 15 s */
	uint64_t reconcile_ns;     /* 10s */
	uint64_t instances_max;    /* 5000: above, instances are counted, not measured */
	char *agentx;              /* /var/agentx/master */
	char *snmp_arc;            /* 1.3.6.1.4.1.8072.9999.9999 */
	char *snmp_state_dir;      /* /var/lib/loadcell-snmp */
	uint64_t snmp_contexts;    /* 1000 */
	char *listen;              /* 127.0.0.1:9818 */
	char *check[CONFIG_CHECKS_MAX]; /* "ID off", "ID WARNING CRITICAL"; none */
	size_t checks;
};

/* Where to read: the -c argument, else LOADCELL_CONFIG, else the default path. */
const char *config_path(const char *argument);

/*
 * Reads path into a new config. A missing file is fine only at the default path: the defaults
 * then hold. Returns 0 or a negative errno with one sentence in *err.
 */
int config_load(const char *path, struct config **ret, struct error *err);
/* The same from memory; name stands for the path in messages. */
int config_parse(
	const char *buf, size_t len, const char *name, struct config **ret, struct error *err);
void config_free(struct config *c);
DEFINE_CLEANUP(struct config *, config_free)

/* After how long without a new sample the data is stale. */
uint64_t config_stale_after_ns(const struct config *c, uint64_t interval_ns);

/* run_dir "/" name and data_dir "/" name; the caller frees. */
char *config_run_path(const struct config *c, const char *name);
char *config_data_path(const struct config *c, const char *name);

/* A numeric object identifier, as snmp_arc. */
bool config_is_arc(const char *text);

/* The values' units, for reuse by arguments: "60s" "5m" "1h" "1d" "2y" "250ms"; "16M"; "1 %". */
int parse_duration(const char *text, uint64_t *ret_ns);
int parse_size(const char *text, uint64_t *ret_bytes);
int parse_percent(const char *text, uint64_t *ret_billionths);
