/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "../lib/parse.h"
#include "sampler-internal.h"

static struct value instance_value(const struct instance *in, enum metric_id id)
{
	return in->now[metric_slot(id)];
}

/* Which of the plan's limits belongs to a row, or -1. */
static int limit_of(const struct sampler *s, enum metric_id id)
{
	for (size_t i = 0; i < s->measure.merged.n_limits; i++)
		if (s->measure.merged.limits[i].slot == metric_slot(id))
			return (int)i;
	return -1;
}

/*
 * Committed: every instance gives its effective limit at its own level; going up, no level hands
 * on more than its own limit, so that ten instances below a slice of 8 GiB commit 8 GiB at most.
 */
static struct value committed(struct sampler *s, enum metric_id effective, enum metric_id at_levels,
	uint64_t *ret_unlimited)
{
	int limit = limit_of(s, at_levels);
	uint64_t outside = 0;
	bool any = false;

	*ret_unlimited = 0;
	for (size_t i = 0; i < s->n_instances; i++) {
		struct instance *in = s->instances[i];
		struct value v = instance_value(in, effective);

		if (in->gone || v.state == VALUE_ABSENT)
			continue;
		any = true;
		if (v.state == VALUE_UNLIMITED)
			(*ret_unlimited)++;
		else if (limit >= 0 && in->level[limit])
			level_commit(s->measure.levels, in->level[limit], limit, v.number);
		else
			outside += v.number;
	}
	if (!any && s->n_instances > 0)
		return value_absent();
	return value_of(outside + (limit >= 0 ? levels_committed(s->measure.levels, limit) : 0));
}

/* Own CPU time and resident memory, helpers included as they reported them. */
static void own_cost(struct sampler *s)
{
	struct rusage usage;
	char buf[128];
	uint64_t pages = 0;

	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		uint64_t us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
			      usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;

		host_set(&s->host, METRIC_COLLECTOR_CPU,
			value_of(us * 1000 + s->facts.helpers_cpu_ns));
	}
	/* Our own figures come from the real /proc, whatever tree is measured. */
	if (read_file_at(AT_FDCWD, "/proc/self/statm", buf, sizeof(buf)) > 0 &&
		sscanf(buf, "%*u %" SCNu64, &pages) == 1)
		host_set(&s->host, METRIC_COLLECTOR_RSS,
			value_of(pages * sysconf(_SC_PAGESIZE) + s->facts.helpers_rss));
}

static void ring_figures(struct sampler *s)
{
	struct ring_status st;

	if (!s->ring)
		return;
	ring_status(s->ring, &st);
	/* None after a clock that went back. */
	host_set(&s->host, METRIC_RECENT_SPAN,
		value_minus(value_of(st.last_time_ns), value_of(st.first_time_ns)));
	host_set(&s->host, METRIC_RECENT_LOST, value_of(st.lost + s->lost));
	host_set(&s->host, METRIC_RECENT_PENDING,
		value_of((st.next_seq - st.cursor_seq) * s->interval_ns));
}

static void instances_sums(struct sampler *s)
{
	struct value unlimited = value_of(0);
	uint64_t cpu = 0, memory = 0, running = 0;

	for (size_t i = 0; i < s->n_instances; i++) {
		struct instance *in = s->instances[i];
		size_t slot = metric_slot(METRIC_CPU_USAGE);

		if (in->gone)
			continue;
		running++;
		if (in->has_before)
			cpu += value_minus(in->now[slot], in->before[slot]).number;
		memory += instance_value(in, METRIC_MEMORY_USAGE).number;
		if (instance_value(in, METRIC_MEMORY_LIMIT).state == VALUE_UNLIMITED)
			value_add(&unlimited, instance_value(in, METRIC_MEMORY_WORKING_SET));
	}
	host_set(&s->host, METRIC_INSTANCES_RUNNING, value_of(running));
	host_set(&s->host, METRIC_MEMORY_UNLIMITED_WORKING_SET, unlimited);
	host_others(&s->host, cpu, memory);
}

void totals_add(struct sampler *s)
{
	uint64_t unlimited;

	for (unsigned int id = 0; id < METRIC_ID_END; id++)
		if (s->facts.values[id].state != VALUE_ABSENT)
			host_set(&s->host, id, s->facts.values[id]);
	instances_sums(s);
	host_set(&s->host, METRIC_MEMORY_COMMITTED,
		committed(s, METRIC_MEMORY_LIMIT, METRIC_MEMORY_LIMIT, &unlimited));
	host_set(&s->host, METRIC_MEMORY_UNLIMITED_INSTANCES, value_of(unlimited));
	host_set(&s->host, METRIC_CPU_COMMITTED,
		committed(s, METRIC_CPU_LIMIT, METRIC_CPU_QUOTA, &unlimited));
	host_set(&s->host, METRIC_CPU_UNLIMITED_INSTANCES, value_of(unlimited));
	own_cost(s);
	ring_figures(s);
	host_set(&s->host, METRIC_COLLECTOR_CYCLE_TIME, value_of(s->cycle_ns));
	host_set(&s->host, METRIC_COLLECTOR_CYCLES, value_of(s->cycles));
	host_set(&s->host, METRIC_COLLECTOR_MISSED_CYCLES, value_of(s->missed));
	host_set(&s->host, METRIC_COLLECTOR_FILES_READ,
		value_of(s->measure.files_read + s->host.files_read +
			 levels_files_read(s->measure.levels)));
	host_set(&s->host, METRIC_COLLECTOR_READ_ERRORS,
		value_of(s->measure.read_errors + levels_read_errors(s->measure.levels)));
	host_set(&s->host, METRIC_COLLECTOR_START_TIME, value_of(s->started_ns));
	host_derive(&s->host);
}
