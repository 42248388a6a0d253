/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "discovery-internal.h"

/*
 * Command sockets that belong to no cgroup which the patterns know: lxc.cgroup.dir.container,
 * lxc.cgroup.pattern, or forgeries. Who listens is looked at first, and only then loadcelld-lxc
 * is asked which init belongs to it, whose parent must hold the very socket.
 */
#define GRACE_NS     (1 * NSEC_PER_SEC) /* of a starting instance, until its cgroup is there */
#define PAUSE_MIN_NS (10 * NSEC_PER_SEC)
#define PAUSE_MAX_NS (600 * NSEC_PER_SEC)

static void stranger_clear(struct stranger *s)
{
	free(s->lxcpath);
	free(s->name);
	*s = (struct stranger){0};
}

void strangers_free(struct discovery *d)
{
	for (size_t i = 0; i < d->strangers_n; i++)
		stranger_clear(&d->strangers[i]);
	free(d->strangers);
	d->strangers = NULL;
	d->strangers_n = 0;
}

static struct stranger *stranger_find(struct discovery *d, uint64_t inode)
{
	for (size_t i = 0; i < d->strangers_n; i++) {
		if (d->strangers[i].inode == inode)
			return &d->strangers[i];
	}
	return NULL;
}

void stranger_settle(struct discovery *d, struct stranger *s, const char *reason)
{
	struct listener *l = listener_find(d, s->inode);

	s->settled = true;
	s->next_ns = NEVER_NS;
	d->status.untrusted++;
	complain(&d->untrusted, "refused the command socket @%s: %s", l ? l->name : "?", reason);
}

static void later(struct stranger *s, uint64_t now)
{
	s->next_ns = now + MIN(PAUSE_MIN_NS << MIN(s->failures, 6U), PAUSE_MAX_NS);
	s->failures++;
}

/* After listeners_refresh(): forgets what is gone or known, and notes what is new. */
void strangers_update(struct discovery *d, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < d->places_n; i++) {
		const struct place *p = d->places[i];
		struct listener *l =
			p->socket && p->state != PLACE_YOUNG ? listener_find(d, p->socket) : NULL;
		if (l)
			l->held = true;
	}
	if (!d->strangers)
		d->strangers = calloc(STRANGERS_MAX, sizeof(d->strangers[0]));
	for (size_t i = 0; d->strangers && i < d->listeners.n; i++) {
		struct listener *l = &d->listeners.list[i];
		struct stranger *s = l->held ? NULL : stranger_find(d, l->inode);

		if (!l->held && !s && d->strangers_n < STRANGERS_MAX) {
			s = &d->strangers[d->strangers_n++];
			*s = (struct stranger){.inode = l->inode, .next_ns = now + GRACE_NS};
		}
		if (s)
			s->generation = d->generation;
	}
	for (size_t i = 0; i < d->strangers_n; i++) {
		if (d->strangers[i].generation == d->generation)
			d->strangers[n++] = d->strangers[i];
		else
			stranger_clear(&d->strangers[i]);
	}
	d->strangers_n = n;
}

/* Finds lxcpath, name and user. False when it cannot be asked for (now, or ever). */
static bool know(struct discovery *d, struct stranger *s, const struct listener *l, uint64_t now)
{
	int r;

	if (!s->name && listener_name(d, l, NULL, &s->lxcpath, &s->name) < 0) {
		free(s->lxcpath);
		s->lxcpath = NULL;
		if (listener_uid(l->name, &s->uid) == 0 && !uid_is_trusted(s->uid))
			stranger_settle(d, s, "it is a plain user's, and its name tells nothing");
		else
			ask_lists(d, now);
		return false;
	}
	if (!text_is_plain(s->name) || !text_is_plain(s->lxcpath)) {
		stranger_settle(d, s, "its name is not UTF-8, or has control characters");
		return false;
	}
	r = listener_uid(l->name, &s->uid);
	if (r < 0)
		return false;
	if (uid_is_trusted(s->uid) || lxcpath_may_be_of(d, s->lxcpath, s->uid))
		return true;
	stranger_settle(d, s, "who listens on it neither is root nor owns the lxcpath");
	return false;
}

void strangers_run(struct discovery *d, uint64_t now)
{
	for (size_t i = 0; i < d->strangers_n; i++) {
		struct stranger *s = &d->strangers[i];
		const struct listener *l;

		if (s->settled || s->asked || s->next_ns > now)
			continue;
		l = listener_find(d, s->inode);
		if (!l || !know(d, s, l, now) ||
			ask(d, "describe", s->lxcpath, s->name, s->uid, &s->asked)) {
			if (!s->settled)
				later(s, now);
			continue;
		}
		/* Too many are on the way: an answer makes room. */
		s->next_ns = now + NSEC_PER_SEC / 5;
	}
}

/* The cgroup that init stands for: as the pattern says, or its own without "/init.scope". */
static struct place *place_of(
	struct discovery *d, char *paths[CONTROLLER_COUNT], char *monitor_paths[CONTROLLER_COUNT])
{
	/* The first stands for the one that is walked. */
	static const enum controller order[] = {CONTROLLER_NONE, HIERARCHY_ORDER};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		enum controller c = i ? order[i] : d->scan;
		struct place *p;
		struct match m;
		enum match_result r;

		if (!paths[c])
			continue;
		r = pattern_match(d->patterns, paths[c], &m);
		if (r == MATCH_IGNORED)
			continue;
		if (r == MATCH_INSTANCE)
			paths[c][m.end] = '\0';
		else if (!custom_cgroup(paths[c], monitor_paths[c]))
			continue;
		p = place_find(d, paths[c], strlen(paths[c]), c);
		return p ? p : place_add(d, paths[c], c, r == MATCH_INSTANCE ? m.pattern : NULL);
	}
	return NULL;
}

/* loadcelld-lxc told its init: believed when init's parent holds the socket and is that user. */
void stranger_answered(struct discovery *d, struct stranger *s, pid_t pid)
{
	char *paths[CONTROLLER_COUNT] = {0}, *monitor_paths[CONTROLLER_COUNT] = {0};
	struct listener *held;
	struct process init, monitor;
	struct place *p = NULL;

	if (pid <= 1 || process_read(d, pid, &init) < 0 || process_read(d, init.ppid, &monitor) < 0)
		return;
	held = monitor_listener(d, init.ppid, s->name);
	if (!held || held->inode != s->inode || monitor.euid != s->uid) {
		stranger_settle(d, s, "the init that it tells is not its monitor's child");
		return;
	}
	if (process_cgroups(d, pid, CONTROLLER_NONE, paths) == 0 &&
		process_cgroups(d, init.ppid, CONTROLLER_NONE, monitor_paths) == 0)
		p = place_of(d, paths, monitor_paths);
	free_paths(paths);
	free_paths(monitor_paths);
	if (!p || p->state == PLACE_LIVE)
		return;
	/* loadcelld-lxc became that user, and looked at the lxcpath's owner first. */
	free(p->lxcpath);
	p->lxcpath = strdup(s->lxcpath);
	p->uid = s->uid;
	p->confirmed = p->lxcpath != NULL;
	place_wake(p, now_ns(CLOCK_MONOTONIC));
}
