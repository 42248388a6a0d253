/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "plan.h"

/*
 * Levels: the cgroups from an instance's own up to the root, of one controller, shared between
 * the instances below them. Each level's limit files are read at most once per cycle, those of a
 * watched one only when it changed; the effective limit is the smallest on the way up, and the
 * level that has it is the one that binds.
 */
struct levels;
struct level;

struct levels *levels_new(
	const struct plan *plan, const struct hierarchies *h, struct descriptors *descriptors);
void levels_free(struct levels *l);
DEFINE_CLEANUP(struct levels *, levels_free)

/* Finds or makes the level of this path and its ancestors. Released with level_put(). */
struct level *level_get(struct levels *l, enum controller c, const char *path);
void level_put(struct levels *l, struct level *level);

/* Begins a cycle: what was read before no longer counts, unless the level is watched. */
void levels_begin(struct levels *l);

/*
 * Somebody watches what is written in this cgroup, and something was, or may have been before the
 * watch was set. From now on its limits are read again after such a call only, and every 32 cycles
 * to be safe. NULL: any watched level may have changed.
 */
void levels_changed(struct levels *l, enum controller c, const char *path);

/*
 * The effective value of plan->limits[limit] for a cgroup. *ret_path is the path that binds,
 * owned by the level, NULL where nothing limits. `known`, when not absent, is the effective value
 * that the kernel itself told (v1 hierarchical_memory_limit): levels only name who has it. Absent
 * when a level's file is there but cannot be read: who knows what it says.
 */
struct value level_limit(struct levels *l, struct level *level, size_t limit, struct value known,
	const char **ret_path);

/* Committed: adds an instance's effective limit at its level, and later sums over the tree, no
 * level giving more to its parent than its own limit. */
void level_commit(struct levels *l, struct level *level, size_t limit, uint64_t number);
uint64_t levels_committed(struct levels *l, size_t limit);

uint64_t levels_files_read(const struct levels *l);
uint64_t levels_read_errors(const struct levels *l);
