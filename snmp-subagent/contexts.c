/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "contexts.h"

#include <string.h>

#include "inside.h"

static const struct mib_tree *const trees[CONTEXT_TREES] = {&inside_mib2, &inside_ucd};

static void forget(struct contexts *c, struct context *one)
{
	for (size_t i = 0; i < CONTEXT_TREES; i++) {
		if (one->subtrees[i])
			agent_unregister(one->subtrees[i]);
		one->subtrees[i] = NULL;
	}
	c->registered -= one->registered;
	one->registered = false;
}

/* What fails is tried again in the next step. */
static void offer(struct contexts *c, struct context *one)
{
	c->registered++;
	one->registered = true;
	for (size_t i = 0; i < CONTEXT_TREES; i++)
		if (agent_register(
			    c->agent, trees[i], one->name, one->instance, &one->subtrees[i]) < 0)
			return forget(c, one);
}

/* --- which there should be -------------------------------------------------------------------- */

/* The context of a row; its name is empty when it can have none. */
static struct context context_of(const struct view *v, const struct mib_key *key, uint64_t now)
{
	struct context one = {.instance = key->index[0], .seen_ns = now, .wanted = true};
	struct snapshot_row row;

	if (snapshot_row(v->snapshot, SCOPE_INSTANCE, key->row, &row) == 0 &&
		strlen(row.text[TEXT_CONTEXT]) <= CONTEXT_NAME_MAX)
		strcpy(one.name, row.text[TEXT_CONTEXT]);
	return one;
}

/* Its instance is not there. */
static struct context grow_old(struct context one, uint64_t now)
{
	one.wanted = one.wanted && now <= one.seen_ns + CONTEXT_GRACE_NS;
	return one;
}

/* A number keeps its name for ever, unless the collector's index was lost. */
static struct context merge(const struct context *old, const struct context *new)
{
	struct context one = *old;

	one.seen_ns = new->seen_ns;
	one.wanted = strcmp(old->name, new->name) == 0;
	return one;
}

int contexts_tick(struct contexts *c, uint64_t now)
{
	const struct view *v = &c->agent->source->view;
	struct mib_rows rows = view_rows(v, SCOPE_INSTANCE);
	struct context *all;
	size_t n = 0, i = 0;

	if (v->stale) /* nobody knows */
		return 0;
	all = calloc(c->n + rows.n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (const struct mib_key *k = rows.keys; k < rows.keys + rows.n; k++) {
		struct context one = context_of(v, k, now);

		for (; i < c->n && c->all[i].instance < one.instance; i++)
			all[n++] = grow_old(c->all[i], now);
		if (i < c->n && c->all[i].instance == one.instance)
			all[n++] = merge(&c->all[i++], &one);
		else if (one.name[0])
			all[n++] = one;
	}
	for (; i < c->n; i++)
		all[n++] = grow_old(c->all[i], now);
	free(c->all);
	c->all = all;
	c->n = n;
	c->due = true;
	return 0;
}

/* --- towards that ----------------------------------------------------------------------------- */

/* True when this took a while. */
static bool work_on(struct contexts *c, struct context *one)
{
	/*
	 * All go while snmpd is away: net-snmp would register them at one go when it is back, but
	 * not those that have come in between (register_mib_reattach() in agent_registry.c).
	 */
	bool wanted = one->wanted && c->agent->connected;

	if (one->registered == wanted)
		return false;
	if (one->registered)
		forget(c, one);
	else if (c->registered < c->most)
		offer(c, one);
	else
		return false;
	return true;
}

static void look_back(struct contexts *c)
{
	size_t n = 0, wanted = 0, refused, failed;

	for (size_t i = 0; i < c->n; i++) {
		wanted += c->all[i].wanted;
		if (c->all[i].wanted || c->all[i].registered)
			c->all[n++] = c->all[i];
	}
	c->n = n;
	refused = wanted > c->most ? wanted - c->most : 0;
	failed = wanted - refused - c->registered; /* only such are registered now */
	c->agent->source->contexts = c->registered;
	c->agent->source->contexts_refused = refused;
	if (!c->agent->connected)
		return;
	if (refused && c->most)
		complain(&c->full,
			"%zu instances have no SNMP context: snmp_contexts allows %llu; raise it "
			"in loadcell.conf",
			refused, (unsigned long long)c->most);
	else
		complaint_over(&c->full, "all instances have their SNMP context again");
	if (failed)
		complain(&c->failed,
			"the SNMP contexts of %zu instances cannot be registered; that is tried "
			"again",
			failed);
	else
		complaint_over(&c->failed, "SNMP contexts can be registered again");
}

bool contexts_step(struct contexts *c)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + CONTEXT_PATIENCE_NS;

	if (!c->due && c->connected == c->agent->connected)
		return false;
	c->due = true;
	c->connected = c->agent->connected;
	/* First those that go: they make room. */
	for (int come = 0; come < 2; come++)
		for (size_t i = 0; i < c->n; i++)
			if (c->all[i].registered == !come && work_on(c, &c->all[i]) &&
				now_ns(CLOCK_MONOTONIC) > end)
				return true;
	look_back(c);
	c->due = false;
	return false;
}

void contexts_free(struct contexts *c)
{
	for (size_t i = 0; i < c->n; i++)
		forget(c, &c->all[i]);
	free(c->all);
	*c = (struct contexts){.agent = c->agent, .most = c->most};
}
