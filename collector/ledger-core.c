/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../lib/metric-json.h"
#include "ledger-internal.h"

#define BUCKETS 4096
/* A stop hook and the collector tell of the same end, of what killed it and of deleted links in any
 * order: a run is closed a moment after its end was told, and later where a hook should still come.
 * Without hooks nobody has links, so that its end is seen within a second.
 */
#define STOP_WAIT_NS  (1 * NSEC_PER_SEC)
#define CLOSE_WAIT_NS (NSEC_PER_SEC / 2)
#define HOOK_WAIT_NS  (10 * NSEC_PER_SEC)
/* So long discovery may be ahead of the hook's record. */
#define APPEAR_WAIT_NS (NSEC_PER_SEC / 2)
#define LOOK_EVERY_NS  (10 * NSEC_PER_SEC)
/* Of a run that is killed again and again samples are kept once in that time. */
#define FLIGHT_EVERY_NS (60 * NSEC_PER_SEC)

struct ledger {
	struct ledger_ops ops;
	void *data;
	struct run *bucket[BUCKETS];
	struct ledger_status status;
	uint64_t event_id; /* the last one given */
	struct seen seen;
	struct flaps flaps;
	bool settled;
	bool hooks;       /* this host has them */
	uint64_t look_ns; /* when runs that the collector has not told of are looked at */
};

/* --- runs ------------------------------------------------------------------------------------- */

#define for_each_run(l, i, r)                                                                      \
	for (size_t i = 0; i < BUCKETS; i++)                                                       \
		for (struct run *r = (l)->bucket[i]; r; r = r->next)

static struct run *find(const struct ledger *l, uint64_t id)
{
	struct run *r = l->bucket[id % BUCKETS];

	while (r && r->id != id)
		r = r->next;
	return r;
}

static void add(struct ledger *l, struct run *r)
{
	struct run **head = &l->bucket[r->id % BUCKETS];

	r->next = *head;
	*head = r;
	l->status.open++;
	l->status.change++;
}

static struct run *get(struct ledger *l, uint64_t id)
{
	struct run *r = find(l, id);

	if (!r && (r = run_new(id)))
		add(l, r);
	return r;
}

static void drop(struct ledger *l, struct run *r)
{
	struct run **p = &l->bucket[r->id % BUCKETS];

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	run_free(r);
	l->status.open--;
	l->status.change++;
}

/* --- what was written already ----------------------------------------------------------------- */

#define LEDGERED "run" /* beside the types of events */

static uint64_t key_of(uint64_t run, const char *type, uint64_t time_ns)
{
	uint64_t h = fnv64(FNV64_START, &run, sizeof(run));

	h = fnv64(h, type, strlen(type));
	return fnv64(h, &time_ns, sizeof(time_ns));
}

/* Types of which a run has one; of others it has one at a time. */
static bool happens_once(const char *type)
{
	static const char *const once[] = {"start", "stop", "reboot", "appeared", "disappeared"};

	for (size_t i = 0; i < ARRAY_SIZE(once); i++)
		if (!strcmp(type, once[i]))
			return true;
	return false;
}

/* line: what tells two events of one moment apart, the metric whose limit changed. */
static uint64_t event_key(uint64_t run, const char *type, uint64_t time_ns, const json_t *line)
{
	const char *metric = record_text(line, "metric");
	/* In the journal times are rounded to microseconds. */
	uint64_t key = key_of(run, type, happens_once(type) ? 0 : time_ns / 1000000);

	return metric ? fnv64(key, metric, strlen(metric)) : key;
}

static bool is_ledgered(const struct ledger *l, uint64_t run)
{
	return seen_has(&l->seen, key_of(run, LEDGERED, 0));
}

void ledger_know_run(struct ledger *l, const json_t *line)
{
	if (record_run(line))
		(void)seen_add(&l->seen, key_of(record_run(line), LEDGERED, 0));
}

static bool is_start(const char *type)
{
	return !strcmp(type, "start") || !strcmp(type, "appeared");
}

void ledger_know_event(struct ledger *l, const json_t *line)
{
	const char *type = record_text(line, "type"), *handle = record_text(line, "handle");
	double s = json_number_value(json_object_get(line, "time"));
	uint64_t time_ns = s > 0 && s < 1e10 ? (uint64_t)(s * 1e9 + 0.5) : 0;

	l->event_id = MAX(l->event_id, record_number(line, "id"));
	if (!type)
		return;
	(void)seen_add(&l->seen, event_key(record_run(line), type, time_ns, line));
	if (handle && is_start(type))
		(void)flaps_start(&l->flaps, handle, time_ns);
}

/* --- events ----------------------------------------------------------------------------------- */

/* An instance that lived too short for discovery is in nobody's list: the index tells its place. */
static void complete(struct ledger *l, struct run *r)
{
	const char *lxcpath = run_text(r, "lxcpath"), *name = run_text(r, "name"), *handle;
	uint32_t index;

	if (run_text(r, "handle") || !name ||
		!l->ops.identify(l->data, lxcpath ? lxcpath : "", name, &index, &handle))
		return;
	json_object_set_new(r->who, "index", json_integer(index));
	json_object_set_new(r->who, "handle", json_string(handle));
}

static json_t *event_line(const struct ledger *l, const struct run *r, uint64_t run,
	const char *type, uint64_t time_ns)
{
	json_t *line = json_pack("{s:i, s:I, s:o, s:s}", "schema", 1, "id",
		(json_int_t)l->event_id + 1, "time", record_seconds(time_ns), "type", type);
	json_t *handle = r ? json_object_get(r->who, "handle") : NULL;
	json_t *index = r ? json_object_get(r->who, "index") : NULL;

	json_object_set(line, "handle", handle ? handle : json_null());
	json_object_set(line, "index", index ? index : json_null());
	json_object_set_new(line, "run", record_hex(run));
	return line;
}

/* Writes an event, once. more: further members, or NULL. 1: it was written now. */
static int say(struct ledger *l, struct run *r, uint64_t run, const char *type, uint64_t time_ns,
	const json_t *more)
{
	uint64_t key = event_key(run, type, time_ns, more);
	json_t *line;
	int result;

	if (seen_has(&l->seen, key))
		return 0;
	if (r)
		complete(l, r);
	line = event_line(l, r, run, type, time_ns);
	if (more)
		json_object_update_missing(line, (json_t *)(uintptr_t)more);
	result = l->ops.event(l->data, line);
	json_decref(line);
	if (result < 0)
		return result;
	l->event_id++;
	result = seen_add(&l->seen, key);
	return result < 0 ? result : 1;
}

static void keep_flight(struct ledger *l, struct run *r, uint64_t time_ns)
{
	const char *handle = run_text(r, "handle");

	if (r->flight_ns && time_ns - r->flight_ns < FLIGHT_EVERY_NS)
		return;
	r->flight_ns = time_ns;
	l->ops.flight(l->data, l->event_id, r->id, handle ? handle : "");
}

/* A start that was seen, by a hook or else by discovery. */
static int say_start(struct ledger *l, struct run *r, const char *type)
{
	/* A record that comes late tells of a start that had appeared. */
	bool again = r->announced && r->announce_ns;
	const char *handle;
	int result = say(l, r, r->id, type, r->start_ns, NULL);

	l->status.change += !r->announced;
	r->announced = true;
	handle = run_text(r, "handle");
	if (result <= 0 || again || !handle || !flaps_start(&l->flaps, handle, r->start_ns))
		return MIN(result, 0);
	result = say(l, r, r->id, "flapping", r->start_ns, NULL);
	return MIN(result, 0);
}

/* --- the end of a run ------------------------------------------------------------------------- */

/* What happened longer ago than the wait, while nobody looked, has been told in whole. */
static uint64_t due_after(struct ledger *l, uint64_t end_ns, uint64_t wait_ns, uint64_t now)
{
	uint64_t wall = l->ops.wall(l->data), age = end_ns && wall > end_ns ? wall - end_ns : 0;

	return now + wait_ns - MIN(age, wait_ns);
}

/* A monitor that is gone has run its hooks, or never will. */
static bool hook_will_come(const struct ledger *l, const struct run *r)
{
	const char *kind = run_text(r, "kind");

	return !r->killed && (r->hooked || (l->hooks && kind && !strcmp(kind, "lxc")));
}

static void end_run(
	struct ledger *l, struct run *r, enum run_end end, uint64_t end_ns, uint64_t now)
{
	uint64_t wait = r->stop                ? STOP_WAIT_NS
			: hook_will_come(l, r) ? HOOK_WAIT_NS
					       : CLOSE_WAIT_NS;

	r->end = end;
	r->end_ns = end_ns;
	r->due_ns = due_after(l, end_ns, wait, now);
}

/* Kills whose cgroup was gone before anybody could look: the stop record alone counts them. */
static int say_untold_kills(struct ledger *l, struct run *r)
{
	uint64_t kills = run_untold_kills(r);
	json_t *more;
	int result;

	if (!kills)
		return 0;
	r->oom_ns = MAX(r->oom_ns, run_end_ns(r));
	more = json_pack("{s:I}", "kills", (json_int_t)kills);
	result = say(l, r, r->id, "oom", run_end_ns(r), more);
	json_decref(more);
	if (result > 0)
		keep_flight(l, r, run_end_ns(r));
	return MIN(result, 0);
}

/* The events first: a crash between them leaves the run open, and it is closed again. */
static int close_run(struct ledger *l, struct run *r)
{
	const char *target = record_text(r->stop, "target"), *how;
	json_t *line, *more;
	int result;

	if (r->end != END_CRASH) /* samples of another boot are gone */
		l->ops.sample(l->data, r->sample_ns || !r->start_ns ? 0 : r->start_ns);
	complete(l, r);
	result = say_untold_kills(l, r);
	if (result < 0)
		return result;
	how = run_how(r);
	more = json_pack("{s:s}", "how", how);
	result = say(l, r, r->id,
		!target                         ? "disappeared"
		: strcmp(target, "reboot") == 0 ? "reboot"
						: "stop",
		run_end_ns(r), more);
	json_decref(more);
	if (result < 0)
		return result;
	if (result > 0 && !strcmp(how, "killed"))
		keep_flight(l, r, run_end_ns(r));
	line = run_line(r);
	result = line ? l->ops.run(l->data, line) : -ENOMEM;
	json_decref(line);
	if (result < 0)
		return result;
	result = seen_add(&l->seen, key_of(r->id, LEDGERED, 0));
	l->ops.ended(l->data, r->id);
	drop(l, r);
	return result;
}

/* --- messages --------------------------------------------------------------------------------- */

static int opened(struct ledger *l, uint64_t id, const json_t *m, uint64_t now)
{
	struct run *r;

	if (is_ledgered(l, id))
		return 0;
	r = get(l, id);
	if (!r)
		return -ENOMEM;
	run_identify(r, m);
	r->confirmed = true;
	if (r->end == END_LOST)
		r->end = END_NONE;
	if (json_is_true(json_object_get(m, "found")))
		r->announced = true;
	else if (!r->announced && !r->announce_ns)
		r->announce_ns = now + APPEAR_WAIT_NS;
	return 0;
}

static int closed(struct ledger *l, uint64_t id, const json_t *m, uint64_t now)
{
	struct run *r = find(l, id);

	if (!r)
		return 0;
	l->status.change++;
	/* Missed, not ended: its cgroup was out of reach for a moment, or its pattern was removed.
	 */
	if (r->init && l->ops.alive(l->data, r->init, r->starttime)) {
		r->confirmed = false;
		return 0;
	}
	r->killed = json_is_true(json_object_get(m, "killed"));
	if (r->end == END_NONE || r->end == END_LOST)
		end_run(l, r, END_TOLD, record_number(m, "time_ns"), now);
	return 0;
}

/* Limits are told in the table's inner integers, and written in base units as all metrics. */
static void use_base_units(json_t *more, const char *key, const struct metric *m)
{
	struct value v = metric_from_json(m, json_object_get(more, key), SCALE_INNER);
	json_t *base = metric_to_json(m, v, SCALE_BASE);

	json_object_set_new(more, key, base ? base : json_null());
}

static int event_told(struct ledger *l, uint64_t id, const json_t *m)
{
	static const char *const not_copied[] = {"op", "type", "run", "time_ns"};
	const char *type = record_text(m, "type"), *metric = record_text(m, "metric");
	const struct metric *of = metric ? metric_by_name(metric) : NULL;
	uint64_t time_ns = record_number(m, "time_ns");
	struct run *r = find(l, id);
	json_t *more;
	int result;

	if (!type || happens_once(type))
		return -EBADMSG;
	more = json_copy((json_t *)(uintptr_t)m);
	for (size_t i = 0; i < ARRAY_SIZE(not_copied); i++)
		json_object_del(more, not_copied[i]);
	if (of) {
		use_base_units(more, "old", of);
		use_base_units(more, "new", of);
	}
	result = say(l, r, id, type, time_ns, more);
	json_decref(more);
	if (r && !strcmp(type, "oom")) {
		r->oom_ns = MAX(r->oom_ns, time_ns);
		r->oom_told += result > 0 && time_ns > r->sample_ns ? record_number(m, "kills") : 0;
		l->status.change++;
		if (result > 0)
			keep_flight(l, r, time_ns);
	}
	return MIN(result, 0);
}

static int link_told(struct ledger *l, const json_t *m)
{
	for_each_run(l, i, r) if (run_take_link(r, m))
	{
		l->status.change++;
		return 0;
	}
	return 0;
}

int ledger_message(struct ledger *l, const json_t *m, uint64_t now)
{
	const char *op = record_text(m, "op");
	uint64_t id = record_run(m);

	if (!op)
		return -EBADMSG;
	if (!strcmp(op, "settled")) {
		l->settled = true;
		l->look_ns = 0;
		return 0;
	}
	if (!strcmp(op, "link"))
		return link_told(l, m);
	if (!id)
		return -EBADMSG;
	if (!strcmp(op, "open"))
		return opened(l, id, m, now);
	if (!strcmp(op, "close"))
		return closed(l, id, m, now);
	return !strcmp(op, "event") ? event_told(l, id, m) : -EBADMSG;
}

/* --- records ---------------------------------------------------------------------------------- */

static struct run *get_by_hook(struct ledger *l, uint64_t id, const json_t *record)
{
	struct run *r = get(l, id);

	if (!r)
		return NULL;
	run_identify(r, record);
	if (!run_text(r, "kind"))
		json_object_set_new(r->who, "kind", json_string("lxc"));
	return r;
}

static int start_told(struct ledger *l, uint64_t id, const json_t *record, bool again, uint64_t now)
{
	struct run *r;

	if (is_ledgered(l, id))
		return 1;
	r = get_by_hook(l, id, record);
	if (!r)
		return -ENOMEM;
	if (!r->start_ns)
		r->start_ns = record_number(record, "time_ns");
	if (!r->hooked && !r->links)
		run_take_links(r, record);
	r->hooked = l->hooks = true;
	r->announced |= again;
	if (r->end == END_TOLD && !r->stop)
		r->due_ns = due_after(l, r->end_ns, HOOK_WAIT_NS, now);
	return again ? 0 : say_start(l, r, "start");
}

static int stop_told(struct ledger *l, uint64_t id, const json_t *record, uint64_t now)
{
	struct run *r;

	if (is_ledgered(l, id))
		return 1;
	r = get_by_hook(l, id, record);
	if (!r)
		return -ENOMEM;
	json_decref(r->stop);
	r->stop = json_incref((json_t *)(uintptr_t)record);
	/* It knows better than who else may have told of the end. */
	end_run(l, r, END_TOLD, record_number(record, "time_ns"), now);
	return 0;
}

int ledger_record(struct ledger *l, const json_t *record, bool again, uint64_t now)
{
	const char *type = record_text(record, "type");
	uint64_t id = record_run(record);

	if (!type || !id || !record_text(record, "name") || !record_number(record, "time_ns"))
		return -EBADMSG;
	if (!strcmp(type, "start"))
		return start_told(l, id, record, again, now);
	return !strcmp(type, "stop") ? stop_told(l, id, record, now) : -EBADMSG;
}

void ledger_sample(struct ledger *l, uint64_t run, uint64_t time_ns, const struct value *values)
{
	struct run *r = find(l, run);

	if (r)
		(void)run_take_sample(r, time_ns, values);
}

/* --- time ------------------------------------------------------------------------------------- */

/*
 * Once the collector has told of all that runs, the rest has ended; but a run that began this
 * moment, or one of too many for the collector to measure, is not in its list and lives all the
 * same.
 */
static void look_for_lost(struct ledger *l, uint64_t now)
{
	for_each_run(l, i, r) if (!r->confirmed && r->end == END_NONE &&
				  !(r->init && l->ops.alive(l->data, r->init, r->starttime)))
		end_run(l, r, END_LOST, 0, now);
	l->look_ns = now + LOOK_EVERY_NS;
}

static int run_tick(struct ledger *l, struct run *r, uint64_t now, uint64_t *next)
{
	bool ends = r->end != END_NONE;
	int result = 0;

	/* Not before its start record has had its time, unless it is over. */
	if (!r->announced && r->announce_ns &&
		(now >= r->announce_ns || (ends && now >= r->due_ns)))
		result = say_start(l, r, "appeared");
	else if (!r->announced && r->announce_ns)
		*next = MIN(*next, r->announce_ns);
	if (result < 0 || !ends)
		return result;
	if (now >= r->due_ns)
		return close_run(l, r);
	*next = MIN(*next, r->due_ns);
	return 0;
}

int ledger_tick(struct ledger *l, uint64_t now, uint64_t *ret_next)
{
	uint64_t next = UINT64_MAX;

	if (l->settled && now >= l->look_ns)
		look_for_lost(l, now);
	if (l->settled)
		next = l->look_ns;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct run *r = l->bucket[i], *after; r; r = after) {
			int result;

			after = r->next;
			result = run_tick(l, r, now, &next);
			if (result < 0)
				return result;
		}
	}
	*ret_next = next;
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

json_t *ledger_save(const struct ledger *l, const char *boot)
{
	json_t *runs = json_array();

	for_each_run(l, i, r) json_array_append_new(runs, run_save(r));
	return json_pack("{s:i, s:s, s:I, s:o}", "schema", 1, "boot", boot, "event_id",
		(json_int_t)l->event_id, "runs", runs);
}

int ledger_load(struct ledger *l, const json_t *saved, const char *boot, uint64_t now)
{
	const char *then = record_text(saved, "boot");
	json_t *o;
	size_t i;

	if (!then || !json_is_array(json_object_get(saved, "runs")))
		return -EBADMSG;
	l->event_id = MAX(l->event_id, record_number(saved, "event_id"));
	json_array_foreach (json_object_get(saved, "runs"), i, o) {
		struct run *r;
		int result = run_load(o, &r);

		if (result == -ENOMEM)
			return result;
		if (result < 0)
			continue;
		if (is_ledgered(l, r->id) || find(l, r->id)) {
			run_free(r);
			continue;
		}
		if (strcmp(then, boot) != 0 && r->end == END_NONE)
			r->end = END_CRASH;
		if (r->end == END_TOLD)
			r->due_ns = due_after(l, r->end_ns, STOP_WAIT_NS, now);
		add(l, r);
	}
	return 0;
}

void ledger_status(const struct ledger *l, struct ledger_status *ret)
{
	*ret = l->status;
}

int ledger_new(const struct ledger_ops *ops, void *data, struct ledger **ret)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->ops = *ops;
	l->data = data;
	*ret = l;
	return 0;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (l->bucket[i])
			drop(l, l->bucket[i]);
	seen_free(&l->seen);
	flaps_free(&l->flaps);
	free(l);
}
