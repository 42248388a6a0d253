/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli.h"
#include "top-model.h"

/*
 * The host and its instances as they were, those that have ended since included: as a snapshot, so
 * that whatever shows one shows the past as well. From the ring it is a sample, complete; from
 * the RRDs it is the mean of an interval, without counters, whose rises stand in `before`.
 */
struct moment {
	struct snapshot *snapshot;
	void *image; /* which the snapshot is in */
	struct top_sample before;
	bool exact;       /* a sample */
	uint64_t step_ns; /* of the samples, or of the interval */
	uint64_t elapsed_ns;
};

/* -ENOENT: nothing is known of that time; each error with a sentence. */
int moment_load(const struct config *config, uint64_t at_ns, struct moment *ret, struct error *err);
void moment_free(struct moment *m);
/* "at 2026-11-25 03:12:00, sample of every 10s", "..., mean of 5m" */
char *moment_text(uint64_t time_ns, uint64_t step_ns, bool exact);
