/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "walk-watch.h"

#define PROBE_NS     (60 * NSEC_PER_SEC)
#define GATHER_NS    (NSEC_PER_SEC / 10) /* many may come at once: one child for all */
#define YOUNG_NS     (5 * NSEC_PER_SEC)  /* between the first probes, while it may still pivot */
#define YOUNG_PROBES 3
#define RETRY_NS     (60 * NSEC_PER_SEC)
#define PAUSE_MAX_NS (3600 * NSEC_PER_SEC)
#define NEVER_NS     UINT64_MAX
#define SLACK_NS     NSEC_PER_SEC /* what is due so soon goes along: fewer children */

int watch_parse_target(const json_t *o, struct walk_target *ret)
{
	const char *run = json_string_value(json_object_get(o, "run"));
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	json_int_t init = json_integer_value(json_object_get(o, "init"));
	char *end = NULL;

	*ret = (struct walk_target){
		.id = (uint32_t)id,
		.run = run ? strtoull(run, &end, 16) : 0,
		.init = (pid_t)init,
		.starttime = (uint64_t)json_integer_value(json_object_get(o, "starttime")),
	};
	if (id < 1 || id > INT32_MAX || init < 1 || init > INT32_MAX || !end || *end || !ret->run)
		return -EBADMSG;
	return 0;
}

bool watch_same(const struct walk_target *a, const struct walk_target *b)
{
	return a->id == b->id && a->run == b->run && a->init == b->init &&
	       a->starttime == b->starttime;
}

const struct watch *watch_by_id(const struct watch_list *l, uint32_t id)
{
	for (size_t i = 0; i < l->len; i++)
		if (l->watch[i].target.id == id)
			return &l->watch[i];
	return NULL;
}

struct watch *watch_find(const struct watch_list *l, const struct walk_target *t)
{
	for (size_t i = 0; i < l->len; i++)
		if (watch_same(&l->watch[i].target, t))
			return &l->watch[i];
	return NULL;
}

int watch_add(struct watch_list *l, const struct walk_target *t, size_t max)
{
	if (l->len >= max)
		return -ENOSPC;
	if (l->len == l->size) {
		size_t size = MAX(l->size * 2, (size_t)16);
		struct watch *grown = reallocarray(l->watch, size, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->watch = grown;
		l->size = size;
	}
	l->watch[l->len++] = (struct watch){
		.target = *t,
		.probe_due_ns = now_ns(CLOCK_MONOTONIC) + GATHER_NS,
	};
	return 0;
}

/* --- one file system, many instances ------------------------------------------------------- */

/* The first of those on a file system speaks for it. */
static bool speaks(const struct watch_list *l, const struct watch *x)
{
	for (const struct watch *y = l->watch; y < x; y++)
		if (y->facts.kind != ROOT_UNKNOWN && y->facts.fs_dev == x->facts.fs_dev)
			return false;
	return true;
}

/* Decides anew for all that are on a file system, after one came, went or moved. */
static void decide_shared(struct watch_list *l, uint64_t fs_dev)
{
	size_t users = 0;

	for (const struct watch *x = l->watch; x < l->watch + l->len; x++)
		users += x->facts.kind != ROOT_UNKNOWN && x->facts.fs_dev == fs_dev;
	for (struct watch *x = l->watch; x < l->watch + l->len; x++)
		if (x->facts.fs_dev == fs_dev)
			x->shared = x->facts.kind == ROOT_SHARED ||
				    (x->facts.kind == ROOT_OWN && users > 1);
}

void watch_remove(struct watch_list *l, const struct watch *x)
{
	const struct watch gone = *x;

	l->watch[x - l->watch] = l->watch[l->len - 1];
	l->len--;
	decide_shared(l, gone.facts.fs_dev);
	/* Another one speaks for the file system now, as soon as this one would have. */
	for (struct watch *y = l->watch; y < l->watch + l->len; y++)
		if (y->shared && y->facts.fs_dev == gone.facts.fs_dev && speaks(l, y))
			y->probe_due_ns = MIN(y->probe_due_ns, gone.probe_due_ns);
}

/* --- what is due --------------------------------------------------------------------------- */

size_t watch_due_probes(const struct watch_list *l, uint64_t now, size_t *ret, size_t max)
{
	bool any = false;
	size_t n = 0;

	for (size_t i = 0; i < l->len && n < max; i++) {
		const struct watch *x = &l->watch[i];

		if (x->probe_by || x->held_by || x->probe_due_ns > now + SLACK_NS)
			continue;
		any |= x->probe_due_ns <= now;
		ret[n++] = i;
	}
	return any ? n : 0;
}

/* Those that have no figure yet go first. */
struct watch *watch_due_walk(const struct watch_list *l, uint64_t now)
{
	struct watch *best = NULL;

	for (struct watch *x = l->watch; x < l->watch + l->len; x++) {
		if (x->walk_by || x->held_by || x->walk_due_ns > now || !x->shared)
			continue;
		if (!best || (!x->walked_ns && best->walked_ns) ||
			(!x->walked_ns == !best->walked_ns && x->walk_due_ns < best->walk_due_ns))
			best = x;
	}
	return best;
}

uint64_t watch_next_probe_ns(const struct watch_list *l)
{
	uint64_t next = NEVER_NS;

	for (size_t i = 0; i < l->len; i++)
		if (!l->watch[i].probe_by && !l->watch[i].held_by)
			next = MIN(next, l->watch[i].probe_due_ns);
	return next;
}

uint64_t watch_next_walk_ns(const struct watch_list *l)
{
	uint64_t next = NEVER_NS;

	for (const struct watch *x = l->watch; x < l->watch + l->len; x++) {
		if (x->walk_by)
			return NEVER_NS; /* one at a time */
		if (x->walk_due_ns < next && x->shared && !x->held_by)
			next = x->walk_due_ns;
	}
	return next;
}

/* --- what came of it ----------------------------------------------------------------------- */

void watch_probed(struct watch_list *l, struct watch *x, const struct walk_report *r, uint64_t now)
{
	x->probe_by = NULL;
	x->probe_due_ns = now + PROBE_NS;
	if (r->error)
		return; /* it is ending, most likely */
	if (x->facts.kind != r->facts.kind || x->facts.fs_dev != r->facts.fs_dev) {
		uint64_t before = x->facts.fs_dev;

		x->facts = r->facts;
		decide_shared(l, before);
		decide_shared(l, x->facts.fs_dev);
	}
	x->facts = r->facts;
	x->probe_pause_ns = 0;
	x->probes++;
	x->probed_ns = now_ns(CLOCK_REALTIME);
	if (x->facts.kind == ROOT_HOST || x->facts.kind == ROOT_SHARED) {
		if (x->probes < YOUNG_PROBES)
			x->probe_due_ns = now + YOUNG_NS;
		else if (x->facts.kind == ROOT_HOST || !speaks(l, x))
			x->probe_due_ns = now + PAUSE_MAX_NS;
	}
	x->unsent = x->facts.kind != ROOT_HOST &&
		    (x->facts.kind != ROOT_SHARED || x->probes == 1 || speaks(l, x));
}

void watch_walked(struct watch *x, const struct walk_report *r, uint64_t every_ns, uint64_t now)
{
	uint64_t took = now - x->walk_started_ns;

	x->walk_by = NULL;
	x->walk_due_ns = now + RETRY_NS;
	x->unsent = true; /* after a failure too: it is no longer under way */
	if (r->error)
		return;
	/* A huge tree gets half of the time at most. */
	x->walk_due_ns = now + (took < every_ns / 2 ? every_ns - took : took);
	x->walk_pause_ns = 0;
	x->tree = r->tree;
	x->walked_ns = now_ns(CLOCK_REALTIME);
}

static uint64_t back_off(uint64_t *pause)
{
	*pause = *pause ? MIN(*pause * 2, PAUSE_MAX_NS) : RETRY_NS;
	return *pause;
}

void watch_probe_failed(struct watch_list *l, const struct walk_target *at,
	const struct walk_pulse *pulse, uint64_t now)
{
	for (struct watch *x = l->watch; x < l->watch + l->len; x++) {
		if (x->probe_by != pulse)
			continue;
		x->probe_by = NULL;
		if (!watch_same(&x->target, at))
			continue;
		x->held_by = pulse;
		x->probe_due_ns = now + back_off(&x->probe_pause_ns);
		x->walk_due_ns = MAX(x->walk_due_ns, x->probe_due_ns);
	}
}

void watch_walk_failed(struct watch_list *l, const struct walk_pulse *pulse, uint64_t now)
{
	for (struct watch *x = l->watch; x < l->watch + l->len; x++) {
		if (x->walk_by != pulse)
			continue;
		x->walk_by = NULL;
		x->held_by = pulse;
		x->unsent = true;
		x->walk_due_ns = now + back_off(&x->walk_pause_ns);
	}
}

void watch_child_gone(struct watch_list *l, const struct walk_pulse *pulse)
{
	for (struct watch *x = l->watch; x < l->watch + l->len; x++)
		if (x->held_by == pulse)
			x->held_by = NULL;
}

/* --- the message --------------------------------------------------------------------------- */

/* A path need not be UTF-8, JSON must be. */
static json_t *text(const char *s)
{
	json_t *t = json_string(s);

	return t ? t : json_string("");
}

static json_t *fs_object(const struct walk_fs *fs)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "device", text(fs->device),
		"mount", text(fs->mount), "type", text(fs->type), "size", (json_int_t)fs->size,
		"used", (json_int_t)fs->used, "available", (json_int_t)fs->available, "inodes",
		(json_int_t)fs->inodes, "inodes_used", (json_int_t)fs->inodes_used);
}

static json_t *figures(
	const char *method, uint64_t used, json_t *limit, uint64_t inodes, uint64_t time_ns)
{
	return json_pack("{s:s, s:I, s:o, s:I, s:I}", "method", method, "used", (json_int_t)used,
		"limit", limit, "inodes", (json_int_t)inodes, "time_ns", (json_int_t)time_ns);
}

json_t *watch_disk_message(const struct watch *x)
{
	const struct root_facts *f = &x->facts;
	json_t *o;
	char run[17];

	if (f->kind == ROOT_QUOTA)
		o = figures("quota", f->used,
			f->limit ? json_integer((json_int_t)f->limit) : json_null(), f->inodes,
			x->probed_ns);
	else if (!x->shared)
		o = figures("statvfs", f->fs.used, json_integer((json_int_t)f->fs.size),
			f->fs.inodes_used, x->probed_ns);
	else if (x->walked_ns)
		o = figures("walk", x->tree.bytes, json_null(), x->tree.inodes, x->walked_ns);
	else
		o = json_pack("{s:s}", "method", "walk");
	if (!o)
		return NULL;
	snprintf(run, sizeof(run), "%016llx", (unsigned long long)x->target.run);
	json_object_set_new(o, "op", json_string("disk"));
	json_object_set_new(o, "id", json_integer(x->target.id));
	json_object_set_new(o, "run", json_string(run));
	json_object_set_new(o, "fs", fs_object(&f->fs));
	if (x->walked_ns && x->shared && x->tree.partial)
		json_object_set_new(o, "partial", json_true());
	return o;
}
