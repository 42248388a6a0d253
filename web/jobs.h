/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

/* A few threads, and a queue of at most so many things to do. */
struct jobs;
struct jobs *jobs_new(unsigned int threads, unsigned int most, void (*run)(void *job));
/* Calls before() first, when there is room; false: there is none. */
bool jobs_add(struct jobs *j, void *job, void (*before)(void *job));
/* Waits until all are done. */
void jobs_free(struct jobs *j);
