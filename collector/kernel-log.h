/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/parse-kmsg.h"
#include "../lib/util.h"

/*
 * The kernel log as far as it tells whom the OOM killer killed. It is read from now on, never from
 * the past, and never waited for. Where /dev/kmsg is missing or forbidden, there are no victims.
 */
#define VICTIM_NAME_MAX 64 /* a task's name has 15 bytes, four times as long when escaped */

struct victim {
	pid_t pid;
	uint64_t memory, seen_ns; /* CLOCK_MONOTONIC */
	char name[VICTIM_NAME_MAX];
	char cgroup[4096]; /* where the process was, below the mount of the memory controller */
};

struct kernel_log;

int kernel_log_new(const char *path, struct kernel_log **ret);
void kernel_log_free(struct kernel_log *k);
DEFINE_CLEANUP(struct kernel_log *, kernel_log_free)

/* To poll for POLLIN; -1 where there is none. */
int kernel_log_fd(const struct kernel_log *k);

/*
 * Reads what is there, a bounded number of records, and calls back for each victim. Records that
 * the kernel overwrote before they were read are counted.
 */
void kernel_log_read(struct kernel_log *k, void (*killed)(void *data, const struct victim *v),
	void *data, uint64_t *lost);
