/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "view.h"

/* The one file that knows net-snmp (agent.c): AgentX, registrations, requests, its event loop. */
struct agent {
	const char *socket;
	struct source *source;
	bool connected;
	bool new_context; /* a registration in one is under way */
	struct complaint lost, library;
};

/*
 * Registrations come between agent_init() and agent_start(), or later at any time; each is told to
 * snmpd at once, and again whenever snmpd comes back. One agent in a process: net-snmp is global.
 */
int agent_init(struct agent *a, const char *socket, struct source *source);
void agent_start(struct agent *a);
void agent_stop(struct agent *a);

/*
 * One registration with snmpd: a whole tree, in the default context (NULL) or one of an instance.
 * The tree must stay; the rest is copied. agent_unregister() ends it.
 */
struct agent_subtree;
int agent_register(struct agent *a, const struct mib_tree *tree, const char *context,
	uint32_t instance, struct agent_subtree **ret);
void agent_unregister(struct agent_subtree *t);

/* Answers what comes in within so many milliseconds; returns early after some, or on a signal. */
void agent_wait(struct agent *a, int timeout_ms);
/* Says, seldom, when snmpd is not there. */
void agent_tick(struct agent *a);
