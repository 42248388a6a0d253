/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <poll.h>

#include "../lib/instance.h"
#include "../lib/util.h"
#include "hierarchy.h"

/*
 * What others tell the services thread without being asked: the kernel about kills, limits
 * (alerts.h) and deleted interfaces (links.h), hooks that something happened (hook-socket.h). All
 * of it becomes messages to the ledger, or a look of discovery.
 */
struct notices;
struct services;

int notices_new(
	struct services *s, const struct hierarchies *h, struct notices **ret, struct error *err);
void notices_free(struct notices *n);
DEFINE_CLEANUP(struct notices *, notices_free)

/* After the cgroups below the instance are known (below_appeared()), and before they are not. */
void notices_appeared(struct notices *n, const struct identity *id);
void notices_disappeared(struct notices *n, uint32_t index, uint64_t run);

#define NOTICES_POLL 3
void notices_poll(const struct notices *n, struct pollfd fds[NOTICES_POLL], uint64_t now);
void notices_handle(struct notices *n, const struct pollfd fds[NOTICES_POLL]);
/* Does what is due and returns when the next thing is. */
uint64_t notices_tick(struct notices *n, uint64_t now);

struct notices_status {
	uint64_t watches, lost, refused_datagrams;
};
void notices_status(const struct notices *n, struct notices_status *ret);
