/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli.h"
#include "top-model.h"

struct top {
	struct cli *cli;
	struct top_model model;
	char *path;        /* of the snapshot */
	char *ring_path;   /* of the last cycles */
	uint64_t delay_ns; /* between two looks; 0: as each sample arrives */
	uint64_t count;    /* tables to print; 0: no end */
	uint64_t at_ns;    /* the moment to show; 0: the present */
	uint64_t shown_ns; /* the one that is shown */
};

/* Looks at the snapshot again, or at the moment if that has changed. 1: there is something new. */
int top_look(struct top *t);
/* So many intervals forward or back; beyond the newest sample lies the present. */
void top_travel(struct top *t, int intervals);
void top_to_present(struct top *t);

/* Runs until the operator leaves. -ENOTTY when the terminal cannot be drawn on, or is unknown. */
int top_screen_run(struct top *t);
