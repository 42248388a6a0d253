/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* Which cgroup is an instance, by its path: discovery and the hook must agree. */
struct pattern {
	const char *kind;         /* NULL: never an instance, nor is anything below it */
	const char *component[3]; /* of a built-in one */
	bool limit_on_parent;
	bool escaped; /* the name is escaped as systemd does */
};

enum match_result {
	MATCH_NONE,
	MATCH_IGNORED,
	MATCH_INSTANCE
};

struct match {
	const struct pattern *pattern;
	size_t end;       /* the instance's cgroup is path[0..end) */
	size_t limit_end; /* the cgroup that holds the limits, or 0 */
	char name[NAME_MAX + 1];
};

/* The configured ones; NULL: no memory. */
struct patterns;
struct patterns *patterns_new(const struct config *c);
void patterns_free(struct patterns *p);
DEFINE_CLEANUP(struct patterns *, patterns_free)

/* Finds the outermost match in a path below the mount, "/a/b/c". `more` may be NULL. */
enum match_result pattern_match(const struct patterns *more, const char *path, struct match *ret);
