/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../lib/parse.h"
#include "../lib/util.h"

/*
 * The last counters of veth interfaces: when an instance's network namespace ends, so does its veth
 * pair, and the host's end takes leave with its counters (RTM_DELLINK of rtnetlink(7)).
 */
struct deleted_link {
	int ifindex; /* of the host's end */
	/* As the instance saw them: what the host's end sent it received. */
	uint64_t column[NETDEV_COLUMNS];
};

/* The veth interfaces that these messages say were deleted. Any bytes are fine. */
void links_parse(const void *buf, size_t len,
	void (*deleted)(void *data, const struct deleted_link *link), void *data);

struct links;

int links_new(struct links **ret, struct error *err);
void links_free(struct links *l);
DEFINE_CLEANUP(struct links *, links_free)

int links_fd(const struct links *l);
/* Reads a bounded number of messages, never waits. Returns how often the queue ran over. */
unsigned int links_read(
	struct links *l, void (*deleted)(void *data, const struct deleted_link *link), void *data);
