/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli.h"

/*
 * No running instance has this handle: one sentence that says so, what the index knows about it,
 * and which handles are near. Returns CLI_NO_INSTANCE.
 */
int no_such_instance(
	const struct cli *cli, const char *name, const struct row_match *all, size_t n);

/* Levenshtein distance in bytes; a and b of at most 255, longer ones are far from everything. */
size_t edit_distance(const char *a, const char *b);
