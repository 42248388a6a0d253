/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <sys/resource.h>

#include "../lib/value.h"
#include "walk.h"

/* The instances that loadcelld-walk measures: what is known of each and when it is due. */
struct watch {
	struct walk_target target;
	struct root_facts facts;
	unsigned int probes;                              /* that went well */
	uint64_t probe_due_ns, probe_pause_ns, probed_ns; /* CLOCK_MONOTONIC; wall clock */
	uint64_t walk_due_ns, walk_pause_ns, walk_started_ns, walked_ns;
	const struct walk_pulse *probe_by, *walk_by; /* the child that is at it */
	const struct walk_pulse *held_by; /* one that was killed at it and has not ended */
	struct tree_figures tree;         /* valid once walked_ns is set */
	bool shared;                      /* to be walked */
	bool unsent;
};

struct watch_list {
	struct watch *watch;
	size_t len, size;
};

/* The fields of a message; -EBADMSG. */
int watch_parse_target(const json_t *o, struct walk_target *ret);
bool watch_same(const struct walk_target *a, const struct walk_target *b);
int watch_add(struct watch_list *l, const struct walk_target *t, size_t max);
void watch_remove(struct watch_list *l, const struct watch *x);
struct watch *watch_find(const struct watch_list *l, const struct walk_target *t);
const struct watch *watch_by_id(const struct watch_list *l, uint32_t id);

/* What is due and in nobody's hands. */
size_t watch_due_probes(const struct watch_list *l, uint64_t now, size_t *ret, size_t max);
struct watch *watch_due_walk(const struct watch_list *l, uint64_t now);
uint64_t watch_next_probe_ns(const struct watch_list *l);
uint64_t watch_next_walk_ns(const struct watch_list *l);

/* What came of it. The failed ones find out themselves whom the child with this pulse was at. */
void watch_probed(struct watch_list *l, struct watch *x, const struct walk_report *r, uint64_t now);
void watch_walked(struct watch *x, const struct walk_report *r, uint64_t every_ns, uint64_t now);
void watch_probe_failed(struct watch_list *l, const struct walk_target *at,
	const struct walk_pulse *pulse, uint64_t now);
void watch_walk_failed(struct watch_list *l, const struct walk_pulse *pulse, uint64_t now);
void watch_child_gone(struct watch_list *l, const struct walk_pulse *pulse);

json_t *watch_disk_message(const struct watch *x);

static inline uint64_t rusage_ns(const struct rusage *u)
{
	return (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * NSEC_PER_SEC +
	       (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000;
}
