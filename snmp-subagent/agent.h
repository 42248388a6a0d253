/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "view.h"

/* The one file that knows net-snmp (agent.c): AgentX, registrations, requests, its event loop. */
struct agent {
	const char *socket;
	struct source *source;
	bool connected;
	bool is_lost;                 /* and that was told since the last agent_wait() */
	unsigned int null_nodes;      /* so many may be refused in this registration */
	struct snmp_session *session; /* with snmpd, while connected */
	uint64_t unconfirmed;         /* notifications on sessions that have ended */
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

/*
 * Notifications, through snmpd to whom its configuration names. agent_room(): how many may be sent
 * now, and how many so far snmpd has never confirmed. Waits for nothing.
 */
struct mib_object;
unsigned int agent_room(const struct agent *a, uint64_t *ret_unconfirmed);
int agent_notify(const struct agent *a, const subid *type, size_t len,
	const struct mib_object *objects, size_t n);

/* Answers what comes in within so many milliseconds; returns early after some, or on a signal. */
void agent_wait(struct agent *a, int timeout_ms);
/* Says, seldom, when snmpd is not there. */
void agent_tick(struct agent *a);
