/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../lib/parse.h"
#include "../lib/util.h"

/*
 * The last counters of veth interfaces, told by rtnetlink(7) when a pair is deleted. By then the
 * two ends no longer know each other, and each counts only what it sent itself (veth_dellink() and
 * veth_get_stats64() in drivers/net/veth.c; observed on 6.1 and 6.18): the host's end tells what
 * the instance received, the instance's end what it sent. That one is heard as long as its
 * namespace lives, as it does when LXC deletes the pair.
 */
struct veth_message {
	bool deleted;
	int ifindex;
	int peer, peer_nsid; /* not deleted: the other end; nsid -1: in the same namespace */
	uint64_t bytes, packets, errors, drops; /* deleted: what this end sent */
};

/* The veth interfaces that these messages tell of. Any bytes are fine. */
void links_parse(const void *buf, size_t len,
	void (*told)(void *data, const struct veth_message *m), void *data);

struct deleted_link {
	int ifindex; /* of the host's end */
	/* As the instance saw them; absent where nobody told. */
	struct value column[NETDEV_COLUMNS];
};

struct links;

int links_new(void (*deleted)(void *data, const struct deleted_link *link), void *data,
	struct links **ret, struct error *err);
void links_free(struct links *l);
DEFINE_CLEANUP(struct links *, links_free)

/* One message, of the host's namespace (nsid -1) or of another. */
void links_take(struct links *l, const struct veth_message *m, int nsid);

int links_fd(const struct links *l);
/* Reads a bounded number of messages, never waits. */
void links_read(struct links *l, uint64_t now);
/* Call at the time that it returns: a pair of which only one end was heard. */
uint64_t links_tick(struct links *l, uint64_t now);
/* How often a queue ran over. */
uint64_t links_lost(const struct links *l);
