/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "agent.h"

/*
 * One SNMP context per instance, with the trees of inside.h. They follow the view, are registered
 * a few at a time, so that requests are answered in between, and anew when snmpd comes back.
 */
#define CONTEXT_NAME_MAX    32 /* RFC 3411; longer ones register, but snmpd never answers them */
#define CONTEXT_TREES       2
#define CONTEXT_GRACE_NS    (30 * NSEC_PER_SEC) /* an instance that is restarted keeps its context */
#define CONTEXT_PATIENCE_NS (20 * 1000000)      /* of one contexts_step() */

struct context {
	uint32_t instance;
	char name[CONTEXT_NAME_MAX + 1];
	uint64_t seen_ns; /* when its instance was last there */
	bool wanted, registered;
	struct agent_subtree *subtrees[CONTEXT_TREES];
};

struct contexts {
	struct agent *agent;
	uint64_t most;       /* snmp_contexts */
	struct context *all; /* by instance */
	size_t n;
	size_t registered;
	bool due;       /* all have to be looked at */
	bool connected; /* as the agent was then */
	struct complaint full, failed;
};

/* Takes over which instances there are. now: CLOCK_MONOTONIC. -ENOMEM leaves all as it was. */
int contexts_tick(struct contexts *c, uint64_t now);
/* Registers and unregisters some. True: there is more to do, and requests should come first. */
bool contexts_step(struct contexts *c);
void contexts_free(struct contexts *c);
