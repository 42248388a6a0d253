/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/types.h>

/* The program beside this one's; in a build tree, and where it is installed. */
#define GRAPH_PROGRAM "loadcell-graph"

/*
 * Starts it with these arguments (graph-main.c) and its output to fd. argv[0] is set to its name. 0
 * or a negative errno.
 */
int graph_program_start(const char **argv, int fd, pid_t *ret);
