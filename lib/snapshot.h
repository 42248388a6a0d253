/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "metric.h"
#include "util.h"

/*
 * The snapshot: the current sample of everything, in one file that is written whole and renamed,
 * so a published one never changes. docs/snapshot-format.md gives the bytes.
 *
 * It holds one table per scope. A row has a few fixed numbers, texts, and one value per metric.
 * Values are found by metric id through a directory in the file, so a reader built with an older
 * or newer table works: what the file does not have is absent.
 */
enum snapshot_text {
	TEXT_NAME,     /* instance, interface, mount point, host name */
	TEXT_HANDLE,   /* the instance's name at every door */
	TEXT_CONTEXT,  /* its SNMP context */
	TEXT_HOSTNAME, /* lxc.uts.name */
	TEXT_GROUPS,   /* lxc.group, separated by newlines */
	TEXT_LXCPATH,
	TEXT_KIND,    /* "lxc", "qemu" ...; filesystem: its type; host: kernel release */
	TEXT_STATE,   /* "running" */
	TEXT_CGROUPS, /* "memory=/lxc.payload.web01\n...", one line per controller */
	TEXT_LIMITS, /* "memory_limit_bytes=/lxc/101\n...": the cgroup that binds, where one does */
	TEXT_DISK,   /* how disk figures are made: "statvfs", "walk", "quota"; filesystem: device */
	TEXT_NOTES,  /* sentences for people, one a line: "network shared with the host" */
	TEXT_FACTS,  /* "network=veth\nip=10.0.3.7\n...": see facts.h */
	TEXT_COUNT,
};

enum snapshot_flag {
	SNAPSHOT_NETWORK_SHARED = 1, /* its network namespace is the host's: not charged */
	SNAPSHOT_DISK_WALKING = 2,   /* a walk is under way */
	SNAPSHOT_INTERFACE_GLOBAL = 4,
};

struct snapshot_row {
	uint32_t index; /* instance: its stable number; interface, filesystem: number in the list */
	uint32_t parent; /* interface: its instance's index; else 0 */
	uint32_t flags;
	uint64_t run;           /* which run of the instance; host: hash of the boot id */
	uint64_t disk_time_ns;  /* when the disk figures were complete, wall clock; 0: never */
	uint64_t disk_progress; /* files seen by a walk under way */
	const char *text[TEXT_COUNT]; /* NULL when absent; readers get "" */
	const struct value *values;   /* writer: one per slot of the scope; readers: NULL */
};

struct snapshot_info {
	uint64_t time_ns;      /* wall clock of the cycle */
	uint64_t monotonic_ns; /* CLOCK_MONOTONIC of the cycle */
	uint64_t interval_ns;
	uint64_t sequence;    /* cycles since the ring began; the ring's records have it too */
	uint64_t fingerprint; /* of the writer's metric table */
	uint32_t rows[SCOPE_COUNT];
};

/* Writing. A builder is kept and reused, so that a cycle allocates only when things grow. */
struct snapshot_builder;
struct snapshot_builder *snapshot_builder_new(void);
void snapshot_builder_free(struct snapshot_builder *b);
DEFINE_CLEANUP(struct snapshot_builder *, snapshot_builder_free)
/* Scopes in any order; rows of one scope keep the order of their adding. 0 or -ENOMEM. */
void snapshot_builder_reset(struct snapshot_builder *b);
int snapshot_builder_add(
	struct snapshot_builder *b, enum metric_scope scope, const struct snapshot_row *row);
/* Writes path.new and renames it; on any error the old file stays. The rows and the fingerprint of
 * the file are the builder's own, whatever *info says. */
int snapshot_builder_publish(
	struct snapshot_builder *b, const char *path, const struct snapshot_info *info);
/* The same into memory, which the caller frees, for snapshot_parse(). */
int snapshot_builder_copy(
	struct snapshot_builder *b, const struct snapshot_info *info, void **ret, size_t *ret_len);

/* Reading. Opens, maps and checks the whole file: a damaged or foreign one is refused with one
 * sentence in *err. -ENOENT: no collector has published here yet. */
struct snapshot;
int snapshot_open(const char *path, struct snapshot **ret, struct error *err);
/* From memory, as the fuzzer and tests do; data is not copied and must outlive the snapshot. */
int snapshot_parse(const void *data, size_t len, struct snapshot **ret, struct error *err);
void snapshot_close(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot *, snapshot_close)

const struct snapshot_info *snapshot_info(const struct snapshot *s);
/* Age by the monotonic clock where boot is the same, else by the wall clock; never below 0. */
uint64_t snapshot_age_ns(const struct snapshot *s);

/* Fixed numbers and texts; the pointers live as long as the snapshot. */
int snapshot_row(
	const struct snapshot *s, enum metric_scope scope, size_t row, struct snapshot_row *ret);
struct value snapshot_value(
	const struct snapshot *s, enum metric_scope scope, size_t row, unsigned int metric_id);
