/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "helper.h"

/*
 * Messages on their way to loadcelld-ledger, in order. Each waits until the ledger says that what
 * follows from it is on disk; one that dies before gets it again, and knows what it has written.
 */
#define TELL_MAX       20000
#define TELL_BYTES_MAX (8 << 20)

struct tell {
	struct helper *helper;
	struct tell_message {
		char *text;
		bool settled; /* stands for the messages before it: means nothing to another process
			       */
	} * queue;
	size_t first, n, sent, size; /* a ring; sent of n are on the way */
	size_t bytes;
	uint64_t lost;
};

/* Takes the message. False: there is no room, it is lost. */
bool tell_put(struct tell *t, json_t *message);
/* Sends what the ledger has room for. */
void tell_send(struct tell *t);
/* The oldest n are written. */
void tell_taken(struct tell *t, uint64_t n);
/* A new process has had none of them. */
void tell_again(struct tell *t);
void tell_free(struct tell *t);
