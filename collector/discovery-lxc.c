/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <string.h>

#include "../lib/facts.h"
#include "discovery-internal.h"

/* A monitor answers only when its start is done, which hooks may delay. */
#define PAUSE_MIN_NS    (1 * NSEC_PER_SEC)
#define PAUSE_MAX_NS    (600 * NSEC_PER_SEC)
#define LIST_PAUSE_NS   (60 * NSEC_PER_SEC)
#define DEAF_PAUSE_NS   (1 * NSEC_PER_SEC)
#define GROUPS_TEXT_MAX 4096
/* An address may come late (DHCP), and change; each look costs some milliseconds of CPU. */
#define SECOND_LOOK_NS (20 * NSEC_PER_SEC)
#define LATER_LOOK_NS  (3600 * NSEC_PER_SEC)

/* --- asking ----------------------------------------------------------------------------------- */

static void count_asked(struct discovery *d, uint64_t asked, uid_t uid)
{
	d->asked_all += asked != 0;
	d->asked_users += asked != 0 && !uid_is_trusted(uid);
}

void count_all_asked(struct discovery *d)
{
	d->asked_all = d->asked_users = 0;
	for (size_t i = 0; i < d->places_n; i++)
		count_asked(d, d->places[i]->asked, d->places[i]->uid);
	for (size_t i = 0; i < d->strangers_n; i++)
		count_asked(d, d->strangers[i].asked, d->strangers[i].uid);
}

/* A plain user whose monitors never answer holds up nobody but himself. */
static bool room_for(const struct discovery *d, uid_t uid)
{
	if (d->asked_all >= ASKED_MAX)
		return false;
	if (uid_is_trusted(uid))
		return true;
	if (d->asked_users >= ASKED_USERS_MAX)
		return false;
	for (size_t i = 0; i < d->places_n; i++) {
		if (d->places[i]->asked && d->places[i]->uid == uid)
			return false;
	}
	for (size_t i = 0; i < d->strangers_n; i++) {
		if (d->strangers[i].asked && d->strangers[i].uid == uid)
			return false;
	}
	return true;
}

static bool send_request(struct discovery *d, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	bool sent = text && d->ops.ask_lxc(d->data, text) == 0;

	if (!sent)
		d->ask_again_ns = now_ns(CLOCK_MONOTONIC) + DEAF_PAUSE_NS;
	free(text);
	json_decref(request);
	return sent;
}

bool ask(struct discovery *d, const char *op, const char *lxcpath, const char *name, uid_t uid,
	uint64_t *asked)
{
	uint64_t id = d->last_asked + 1;

	if (now_ns(CLOCK_MONOTONIC) < d->ask_again_ns || !room_for(d, uid) ||
		!send_request(d, json_pack("{s:s s:I s:s s:s s:I}", "op", op, "id", (json_int_t)id,
					 "lxcpath", lxcpath, "name", name, "uid", (json_int_t)uid)))
		return false;
	*asked = d->last_asked = id;
	count_asked(d, id, uid);
	return true;
}

/* Only liblxc's own call resolves a hashed socket of a container that no known name fits. */
void ask_lists(struct discovery *d, uint64_t now)
{
	if (now < d->list_ns)
		return;
	d->list_ns = now + LIST_PAUSE_NS;
	for (size_t i = 0; i < d->config->lxcpaths; i++) {
		if (!send_request(d,
			    json_pack("{s:s s:s}", "op", "list", "lxcpath", d->config->lxcpath[i])))
			return;
	}
}

uint64_t ask_due(struct discovery *d, uint64_t now)
{
	for (size_t i = 0; i < d->places_n && d->asked_all < ASKED_MAX; i++) {
		struct place *p = d->places[i];
		bool asks = p->state == PLACE_ASKED;

		if ((p->state != PLACE_LIVE && !asks) || p->asked || p->ask_ns > now)
			continue;
		if (now < d->ask_again_ns)
			return d->ask_again_ns;
		if (asks)
			ask(d, "owner", p->lxcpath, p->name, p->uid, &p->asked);
		else
			ask(d, "describe", p->id->lxcpath, p->id->name, p->uid, &p->asked);
	}
	return NEVER_NS;
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool set_described(char **to, char *text)
{
	bool changed = text && (!*to || strcmp(*to, text) != 0);

	if (changed) {
		free(*to);
		*to = text;
	} else {
		free(text);
	}
	return changed;
}

static char *plain_text(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && text_is_plain(text) ? strdup(text) : NULL;
}

static char *joined_groups(const json_t *groups)
{
	_cleanup_free_ char *text = calloc(1, GROUPS_TEXT_MAX);
	size_t n = 0;

	for (size_t i = 0; text && i < json_array_size(groups); i++) {
		_cleanup_free_ char *group = plain_text(json_array_get(groups, i));

		if (!group || n + strlen(group) + 2 > GROUPS_TEXT_MAX)
			continue;
		n += (size_t)snprintf(text + n, GROUPS_TEXT_MAX - n, "%s%s", n ? "\n" : "", group);
	}
	return json_is_array(groups) ? TAKE_PTR(text) : NULL;
}

static void describe(struct discovery *d, struct place *p, const json_t *answer, uint64_t now)
{
	bool changed = false;

	changed |= set_described(&p->id->hostname, plain_text(json_object_get(answer, "hostname")));
	changed |= set_described(&p->id->groups, joined_groups(json_object_get(answer, "groups")));
	changed |= set_described(&p->id->rootfs, plain_text(json_object_get(answer, "rootfs")));
	changed |= set_described(&p->id->facts, facts_from_json(json_object_get(answer, "facts")));
	p->ask_ns = now + (p->described ? LATER_LOOK_NS : SECOND_LOOK_NS);
	p->described = true;
	p->ask_failures = 0;
	if (changed && p->announced)
		d->ops.described(d->data, p->id);
}

static void place_answered(
	struct discovery *d, struct place *p, const json_t *answer, const char *error, uint64_t now)
{
	p->asked = 0;
	if (error) {
		p->ask_ns = now + MIN(PAUSE_MIN_NS << MIN(p->ask_failures, 10U), PAUSE_MAX_NS);
		p->ask_failures++;
		if (p->state == PLACE_ASKED && json_is_true(json_object_get(answer, "untrusted")))
			place_refuse(d, p, "user %u says that it is %s in %s: %s",
				(unsigned int)p->uid, p->name, p->lxcpath, error);
		return;
	}
	if (p->state == PLACE_LIVE) {
		describe(d, p, answer, now);
		return;
	}
	if (p->state != PLACE_ASKED)
		return;
	p->confirmed = true;
	place_wake(p, now);
}

static void place_or_stranger_answered(struct discovery *d, const json_t *answer, uint64_t now)
{
	uint64_t id = (uint64_t)json_integer_value(json_object_get(answer, "id"));
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (!id)
		return;
	if (json_is_true(json_object_get(answer, "timeout")))
		d->status.lxc_timeouts++;
	for (size_t i = 0; i < d->places_n; i++) {
		if (d->places[i]->asked == id) {
			place_answered(d, d->places[i], answer, error, now);
			return;
		}
	}
	for (size_t i = 0; i < d->strangers_n; i++) {
		struct stranger *s = &d->strangers[i];

		if (s->asked != id)
			continue;
		s->asked = 0;
		if (error && json_is_true(json_object_get(answer, "untrusted")))
			stranger_settle(d, s, error);
		else if (!error)
			stranger_answered(
				d, s, (pid_t)json_integer_value(json_object_get(answer, "init")));
		return;
	}
}

static void list_answered(struct discovery *d, const json_t *answer, uint64_t now)
{
	const char *lxcpath = json_string_value(json_object_get(answer, "lxcpath"));
	const json_t *names = json_object_get(answer, "names");

	for (size_t n = 0; lxcpath && n < json_array_size(names); n++) {
		const char *name = json_string_value(json_array_get(names, n));

		for (size_t i = 0; name && i < d->strangers_n; i++) {
			struct stranger *s = &d->strangers[i];
			const struct listener *l = listener_find(d, s->inode);
			uint64_t hash;

			if (s->name || !l || !socket_is_hashed(l->name, &hash) ||
				socket_hash(lxcpath, name) != hash)
				continue;
			s->lxcpath = strdup(lxcpath);
			s->name = strdup(name);
			s->next_ns = now;
		}
	}
}

void discovery_lxc_answer(struct discovery *d, const char *json)
{
	json_t *answer = json_loads(json, 0, NULL);
	const char *op = json_string_value(json_object_get(answer, "op"));
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (op && (strcmp(op, "describe") == 0 || strcmp(op, "owner") == 0))
		place_or_stranger_answered(d, answer, now);
	else if (op && strcmp(op, "list") == 0)
		list_answered(d, answer, now);
	json_decref(answer);
	discovery_tick(d, now);
}

void discovery_lxc_restarted(struct discovery *d)
{
	for (size_t i = 0; i < d->places_n; i++)
		d->places[i]->asked = 0;
	for (size_t i = 0; i < d->strangers_n; i++)
		d->strangers[i].asked = 0;
	d->ask_again_ns = d->list_ns = 0;
	discovery_tick(d, now_ns(CLOCK_MONOTONIC));
}
