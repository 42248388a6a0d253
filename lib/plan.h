/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "hierarchy.h"
#include "instance.h"
#include "metric.h"
#include "parse.h"

/*
 * What to read for an instance under this host's cgroup versions: the metric table turned around
 * once at start, so that the loop is over files, each read and parsed once per cycle.
 */
#define PLAN_FILES_MAX  32
#define PLAN_KEYS_MAX   16
#define PLAN_LIMITS_MAX 8

struct plan_file {
	enum controller controller; /* CONTROLLER_NONE: below /proc/INIT */
	bool at_limit;
	int alternative; /* 0: always read; 1, 2: only when the host accounts I/O there */
	const char *file;
	enum grammar grammar;
	size_t n;
	struct parse_key keys[PLAN_KEYS_MAX];
	size_t slot[PLAN_KEYS_MAX];
};

/* A limit that is looked up at every level from the instance's cgroup to the root. */
struct plan_limit {
	size_t slot;
	enum controller controller;
	const char *file, *second_file; /* second: the period of a v1 CPU quota */
	enum grammar grammar;
	bool name_only; /* another file gives the effective limit, levels name the one that binds */
};

struct plan {
	struct plan_file files[PLAN_FILES_MAX];
	size_t n_files;
	struct plan_limit limits[PLAN_LIMITS_MAX];
	size_t n_limits;
	struct {
		size_t slot;
		struct value (*derive)(const struct derive_input *in);
	} derived[METRIC_ID_END];
	size_t n_derived;
};

/* How many descriptors may be kept open (RLIMIT_NOFILE); files beyond are opened for each read. */
struct descriptors {
	size_t open, max;
};

/* Keeps fd if there is room, else closes it. Returns fd or -1. */
static inline int descriptors_keep(struct descriptors *d, int fd)
{
	if (fd >= 0 && d->open >= d->max)
		return close_fd(fd);
	d->open += fd >= 0;
	return fd;
}

/* More are open than may be, since what cannot be shed (pidfds) has come: drop what was kept. */
static inline bool descriptors_short(const struct descriptors *d)
{
	return d->open > d->max;
}

/* Closes one that was kept; negative ones were not. Returns -1. */
static inline int descriptors_drop(struct descriptors *d, int fd)
{
	d->open -= fd >= 0;
	return close_fd(fd);
}

/* The source of a row under the versions that are mounted here. */
const struct metric_source *plan_source(const struct metric *m, const struct hierarchies *h);

/* The plan of one scope. split: files of the cgroup that holds the limits are read apart from the
 * instance's own. */
int plan_make(const struct hierarchies *h, enum metric_scope scope, bool split, struct plan *ret);

/* Parses one file's text into values, one per key; 0 or -EBADMSG. */
int plan_parse(const struct plan_file *f, const char *buf, size_t len, struct value *ret);
