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
};

/* Runs until the operator leaves. -ENOTTY when the terminal cannot be drawn on, or is unknown. */
int top_screen_run(struct top *t);
