/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "derive.h"
#include "metric.h"

/* The rows themselves and the words they are written in; only metric.c and the tables include it.
 */
extern const struct metric metrics_instance[];
extern const size_t metrics_instance_count;
extern const struct metric metrics_host[];
extern const size_t metrics_host_count;

/* A file of a cgroup, or below /proc (instance: /proc/INIT) with PROC. */
#define CGROUP_FILE(c, f, g, k, s)                                                                 \
	.type = SOURCE_FILE, .controller = CONTROLLER_##c, .file = (f), .grammar = GRAMMAR_##g,    \
	.key = (k), .scale = (s)
#define PROC_FILE(f, g, k, s)      CGROUP_FILE(NONE, f, g, k, s)
#define DERIVED(function, formula) .type = SOURCE_DERIVED, .derive = (function), .note = (formula)
#define COLLECTED(how)             .type = SOURCE_DERIVED, .note = (how)
#define NO_SOURCE(why)             .type = SOURCE_NONE, .note = (why)

#define KIB   1024
#define USEC  1000                 /* microseconds to nanoseconds */
#define TICKS (NSEC_PER_SEC / 100) /* USER_HZ is 100 on every port that runs LXC */
