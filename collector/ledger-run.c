/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger-internal.h"

#include <inttypes.h>
#include <string.h>

#include "../lib/metric-json.h"

/* A kill so shortly before the end is what ended it. */
#define OOM_NS (2 * NSEC_PER_SEC)

/* --- JSON ------------------------------------------------------------------------------------- */

uint64_t record_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

const char *record_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

uint64_t record_run(const json_t *object)
{
	const char *text = record_text(object, "run");

	return text && strspn(text, "0123456789abcdef") == strlen(text) ? strtoull(text, NULL, 16)
									: 0;
}

json_t *record_hex(uint64_t run)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, run);
	return json_string(text);
}

json_t *record_seconds(uint64_t ns)
{
	return json_real((double)((long double)ns / 1e9L));
}

/* --- who it is -------------------------------------------------------------------------------- */

struct run *run_new(uint64_t id)
{
	_cleanup_(run_free) struct run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->id = id;
	r->who = json_object();
	return r->who ? TAKE_PTR(r) : NULL;
}

void run_free(struct run *r)
{
	if (!r)
		return;
	json_decref(r->who);
	json_decref(r->stop);
	free(r->values);
	free(r->link_values);
	free(r);
}

const char *run_text(const struct run *r, const char *key)
{
	return record_text(r->who, key);
}

void run_identify(struct run *r, const json_t *from)
{
	static const char *const keys[] = {"index", "handle", "name", "lxcpath", "kind", "hostname",
		"groups", "rootfs", "facts"};
	uint64_t start = record_number(from, "start_ns");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *value = json_object_get(from, keys[i]);

		if (value && !json_is_null(value))
			json_object_set(r->who, keys[i], value);
	}
	if (start)
		r->start_ns = start;
	if (record_number(from, "init")) {
		r->init = (pid_t)record_number(from, "init");
		r->starttime = record_number(from, "starttime");
	}
}

/* --- its interfaces --------------------------------------------------------------------------- */

void run_take_links(struct run *r, const json_t *record)
{
	json_t *link;
	size_t i;

	r->links = r->links_whole = 0;
	json_array_foreach (json_object_get(record, "links"), i, link) {
		if (r->links < RUN_LINKS_MAX)
			r->link[r->links++] = (unsigned int)record_number(link, "peer");
	}
}

#define NETWORK "network_"

/* A link's counters have the names of the instance's sums without this prefix; NULL: another row.
 */
static const char *link_key(const struct metric *m)
{
	return strncmp(m->name, NETWORK, strlen(NETWORK)) ? NULL : m->name + strlen(NETWORK);
}

static void add_link(struct value *values, const json_t *message)
{
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const char *key = link_key(m);

		if (key)
			value_add(&values[slot],
				metric_from_json(m, json_object_get(message, key), SCALE_INNER));
	}
}

bool run_take_link(struct run *r, const json_t *message)
{
	unsigned int ifindex = (unsigned int)record_number(message, "ifindex");
	size_t i = 0;

	while (i < r->links && (!ifindex || r->link[i] != ifindex))
		i++;
	if (i == r->links)
		return false;
	if (!r->link_values)
		r->link_values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*r->link_values));
	if (r->link_values)
		add_link(r->link_values, message);
	r->link[i] = 0; /* told: the number may be given again */
	r->links_whole += json_object_get(message, "receive_bytes") &&
			  json_object_get(message, "transmit_bytes");
	return true;
}

/* --- its end ---------------------------------------------------------------------------------- */

uint64_t run_end_ns(const struct run *r)
{
	if (r->end_ns)
		return r->end_ns;
	return r->sample_ns ? r->sample_ns : r->start_ns;
}

const char *run_how(const struct run *r)
{
	const char *target = record_text(r->stop, "target");
	uint64_t end = run_end_ns(r);

	if (r->end == END_CRASH)
		return "host-crash";
	if (r->oom_ns && MAX(end, r->oom_ns) - MIN(end, r->oom_ns) <= OOM_NS)
		return "oom";
	if (target)
		return strcmp(target, "reboot") == 0 ? "reboot" : "stop";
	if (r->end == END_LOST)
		return "unknown";
	return r->killed ? "killed" : "stop";
}

/* --- its figures ------------------------------------------------------------------------------ */

/* Within a run the kernel only raises these. What is read may fall all the same: a cgroup below the
 * instance's or an interface is gone, or the file is. */
static bool never_falls(const struct metric *m)
{
	return m->kind == KIND_COUNTER || m->peak;
}

static void take_final(const struct metric *m, struct value *to, struct value v)
{
	if (v.state == VALUE_ABSENT ||
		(never_falls(m) && value_is_number(*to) && to->number > v.number))
		return;
	*to = v;
}

int run_take_sample(struct run *r, uint64_t time_ns, const struct value *values)
{
	const struct metric *m;

	if (!r->values)
		r->values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*r->values));
	if (!r->values)
		return -ENOMEM;
	for_each_metric (SCOPE_INSTANCE, slot, m)
		if (values[slot].state != VALUE_ABSENT || !never_falls(m))
			r->values[slot] = values[slot];
	r->sample_ns = time_ns;
	/* Its cycle began later, so it counts them. */
	if (time_ns > r->oom_ns)
		r->oom_told = 0;
	return 0;
}

uint64_t run_untold_kills(const struct run *r)
{
	const struct metric *m = metric_by_id(METRIC_MEMORY_OOM_KILLS);
	json_t *metrics = json_object_get(r->stop, "metrics");
	struct value end = metric_from_json(m, json_object_get(metrics, m->name), SCALE_INNER);
	uint64_t told = r->oom_told;

	if (!value_is_number(end))
		return 0;
	if (r->values)
		told += r->values[metric_slot(m->id)].number;
	return end.number - MIN(end.number, told);
}

/* The newest sample, what the hook read at the end, and what deleted links had counted. */
static const char *final_values(const struct run *r, struct value *values)
{
	const char *network = record_text(r->stop, "network");
	size_t count = metric_count(SCOPE_INSTANCE);
	_cleanup_free_ struct value *end = calloc(count, sizeof(*end));
	const struct metric *m;

	if (end)
		metrics_from_json(json_object_get(r->stop, "metrics"), SCALE_INNER, end);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		if (r->values)
			values[slot] = r->values[slot];
		if (end)
			take_final(m, &values[slot], end[slot]);
		if (r->link_values)
			take_final(m, &values[slot], r->link_values[slot]);
	}
	if (network && strcmp(network, "namespace") == 0)
		return "hook";
	return r->links && r->links_whole == r->links ? "link" : "sample";
}

static void set_or_null(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

json_t *run_line(const struct run *r)
{
	_cleanup_free_ struct value *values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*values));
	json_t *line = json_pack("{s:i, s:o}", "schema", 1, "run", record_hex(r->id));
	const char *network;

	if (!values || !line || json_object_update(line, r->who) < 0) {
		json_decref(line);
		return NULL;
	}
	network = final_values(r, values);
	set_or_null(line, "start", r->start_ns ? record_seconds(r->start_ns) : NULL);
	set_or_null(line, "end", run_end_ns(r) ? record_seconds(run_end_ns(r)) : NULL);
	json_object_set_new(line, "how", json_string(run_how(r)));
	json_object_set_new(line, "source",
		json_string(r->stop        ? "hook"
			    : r->sample_ns ? "sample"
					   : "none"));
	json_object_set_new(line, "network", json_string(network));
	json_object_set_new(line, "samples",
		json_integer((json_int_t)values[metric_slot(METRIC_SAMPLES)].number));
	json_object_set_new(line, "metrics", metrics_to_json(values, SCALE_BASE));
	return line;
}

/* --- runs.open -------------------------------------------------------------------------------- */

static void save_links(const struct run *r, json_t *to)
{
	json_t *links = json_array();

	for (size_t i = 0; i < r->links; i++)
		json_array_append_new(links, json_pack("{s:i}", "peer", (int)r->link[i]));
	json_object_set_new(to, "links", links);
	json_object_set_new(to, "links_whole", json_integer((json_int_t)r->links_whole));
	if (r->link_values)
		json_object_set_new(
			to, "link_metrics", metrics_to_json(r->link_values, SCALE_INNER));
}

static int load_links(struct run *r, const json_t *saved)
{
	const json_t *values = json_object_get(saved, "link_metrics");

	run_take_links(r, saved);
	r->links_whole = record_number(saved, "links_whole");
	if (!values)
		return 0;
	r->link_values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*r->link_values));
	if (!r->link_values)
		return -ENOMEM;
	metrics_from_json(values, SCALE_INNER, r->link_values);
	return 0;
}

json_t *run_save(const struct run *r)
{
	json_t *o = json_pack("{s:o, s:O, s:I, s:i, s:I, s:b, s:i, s:I, s:b, s:I, s:I, s:I}", "run",
		record_hex(r->id), "who", r->who, "start_ns", (json_int_t)r->start_ns, "init",
		(int)r->init, "starttime", (json_int_t)r->starttime, "announced", (int)r->announced,
		"end", (int)r->end, "end_ns", (json_int_t)r->end_ns, "killed", (int)r->killed,
		"oom_ns", (json_int_t)r->oom_ns, "oom_told", (json_int_t)r->oom_told, "sample_ns",
		(json_int_t)r->sample_ns);

	if (o && r->values)
		json_object_set_new(o, "metrics", metrics_to_json(r->values, SCALE_INNER));
	if (o && r->links)
		save_links(r, o);
	return o;
}

int run_load(const json_t *saved, struct run **ret)
{
	_cleanup_(run_free) struct run *r = run_new(record_run(saved));

	if (!r)
		return -ENOMEM;
	if (!r->id || !json_is_object(json_object_get(saved, "who")))
		return -EBADMSG;
	run_identify(r, saved);
	run_identify(r, json_object_get(saved, "who"));
	r->announced = json_is_true(json_object_get(saved, "announced"));
	r->end = (enum run_end)MIN(record_number(saved, "end"), (uint64_t)END_CRASH);
	/* Who was only missed may be told of now. */
	r->end = r->end == END_LOST ? END_NONE : r->end;
	r->end_ns = record_number(saved, "end_ns");
	r->killed = json_is_true(json_object_get(saved, "killed"));
	r->oom_ns = record_number(saved, "oom_ns");
	r->oom_told = record_number(saved, "oom_told");
	r->sample_ns = record_number(saved, "sample_ns");
	r->values = calloc(metric_count(SCOPE_INSTANCE), sizeof(*r->values));
	if (!r->values || load_links(r, saved) < 0)
		return -ENOMEM;
	metrics_from_json(json_object_get(saved, "metrics"), SCALE_INNER, r->values);
	*ret = TAKE_PTR(r);
	return 0;
}
