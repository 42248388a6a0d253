/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../lib/below.h"
#include "../lib/measure.h"
#include "hook.h"

static int set_identity(
	const struct hook *k, char *const cgroup[CONTROLLER_COUNT], bool own, struct identity *id)
{
	/* Its network is that of this process now; the rest of it has ended. */
	id->init = getpid();
	id->network_shared = !own;
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		struct match m;

		if (!cgroup[c])
			continue;
		id->cgroup[c] = strdup(cgroup[c]);
		if (pattern_match(k->patterns, cgroup[c], &m) == MATCH_INSTANCE && m.limit_end)
			id->limit_cgroup[c] = strndup(cgroup[c], m.limit_end);
		if (!id->cgroup[c])
			return -ENOMEM;
	}
	return 0;
}

static void add_below(void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	const struct instance *in = data;
	struct value *v = &in->now[metric_slot(id)];

	if (value_is_number(*v))
		v->number += count;
}

static int measure_below(const struct hook *k, struct instance *in)
{
	_cleanup_(below_free) struct below *below = NULL;
	int r = below_new(k->hierarchies, &below);

	if (r < 0)
		return r;
	below_appeared(below, in->id, add_below, in);
	return 0;
}

static json_t *final_values(const struct hook *k, const struct instance *in)
{
	json_t *values = json_object();
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		struct value v = in->now[slot];

		if (v.state == VALUE_ABSENT ||
			!metric_stands_at_end(m, plan_source(m, k->hierarchies)))
			continue;
		json_object_set_new(values, m->name,
			v.state == VALUE_UNLIMITED ? json_string("unlimited")
						   : json_integer((json_int_t)v.number));
	}
	return values;
}

int hook_final(const struct hook *k, char *const cgroup[CONTROLLER_COUNT], bool own, json_t **ret)
{
	_cleanup_(identity_free) struct identity *id = calloc(1, sizeof(*id));
	const struct cycle_facts facts = {
		.time_ns = now_ns(CLOCK_REALTIME),
		.host_cpus = k->boot.cpus ? value_of(k->boot.cpus * NSEC_PER_SEC) : value_absent(),
	};
	struct measure measure;
	struct instance *in;
	int r = id ? set_identity(k, cgroup, own, id) : -ENOMEM;

	if (r >= 0)
		r = measure_init(&measure, k->hierarchies, k->config->proc_root, 0);
	if (r < 0)
		return r;
	in = instance_new(&measure, id);
	if (in) {
		TAKE_PTR(id);
		r = instance_measure(&measure, in, &facts);
	}
	if (in && r >= 0)
		r = measure_below(k, in);
	if (in && r >= 0)
		*ret = final_values(k, in);
	instance_free(&measure, in);
	measure_destroy(&measure);
	return in ? r : -ENOMEM;
}
