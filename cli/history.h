/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "../lib/when.h"
#include "cli.h"

/* What `runs` and `events` share: times, names, and figures of the past. */

/* With the year instead of the time of day where it is more than half a year ago. */
struct cell when_cell(uint64_t ns, uint64_t now_ns, bool seconds);

/* As instance_is_wanted(), for a line of the ledger or the events. */
bool history_matches(const json_t *line, char *const *patterns, size_t n);
const char *history_text(const json_t *line, const char *key); /* "" when it is not there */
/* One a line. NULL: no memory. */
char *history_groups(const json_t *line);

struct history_column {
	const char *title;
	unsigned short width;
	bool rate;                  /* rise per second since the sample before */
	unsigned int metric, other; /* other: added */
};
/* values, before: one per slot; before NULL: no sample before, so there is no rate. */
struct cell history_cell(const struct history_column *c, const struct value *values,
	const struct value *before, uint64_t elapsed_ns);

/* Says why the journal of that name cannot be read; CLI_FAILED. */
int history_failed(const struct cli *cli, const char *name, int r);
