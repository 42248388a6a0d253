/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "moment.h"
#include "top-view.h"

/* The lines above top's table: the host, what is promised and what is free, and what is wrong. */

static enum top_attribute fill_attribute(struct value ratio)
{
	const struct top_column *fill = &top_columns[COLUMN_MEMORY]; /* the same thresholds */

	if (!value_is_number(ratio) || ratio.number <= fill->warning)
		return ATTRIBUTE_STRONG;
	return ratio.number > fill->critical ? ATTRIBUTE_CRITICAL : ATTRIBUTE_WARNING;
}

static struct cell figure(unsigned int metric_id, struct value v)
{
	return cell_value(metric_by_id(metric_id), v, "max");
}

/* What is used of a resource, and "4.00 free", or by how much more was promised than there is. */
static void put_resource(const struct top_model *m, struct line *l, bool brief, const char *title,
	struct value used, unsigned int total_id, unsigned int committed_id)
{
	struct value total = top_host_value(m, total_id);
	struct value committed = top_host_value(m, committed_id);

	line_item(l, fill_attribute(top_ratio(used, total)),
		brief ? "%s %s/%s" : "%-7s %s of %s used", title, figure(total_id, used).text,
		figure(total_id, total).text);
	if (brief)
		return;
	if (total_id == METRIC_HOST_MEMORY_TOTAL)
		line_item(l, ATTRIBUTE_NORMAL, "%s available",
			figure(total_id, value_minus(total, used)).text);
	if (!value_is_number(committed) || !value_is_number(total))
		return;
	line_item(l, ATTRIBUTE_NORMAL, "%s committed", figure(total_id, committed).text);
	if (committed.number > total.number)
		line_item(l, ATTRIBUTE_WARNING, "%s OVERCOMMITTED",
			figure(total_id, value_minus(committed, total)).text);
	else
		line_item(l, ATTRIBUTE_NORMAL, "%s free",
			figure(total_id, value_minus(total, committed)).text);
}

static void put_cpu(const struct top_model *m, struct line *l, bool brief)
{
	put_resource(m, l, brief, "CPU", top_host_value(m, METRIC_HOST_CPU_USED_CORES),
		METRIC_HOST_CPUS, METRIC_CPU_COMMITTED);
}

static void put_memory(const struct top_model *m, struct line *l, bool brief)
{
	struct value used = value_minus(top_host_value(m, METRIC_HOST_MEMORY_TOTAL),
		top_host_value(m, METRIC_HOST_MEMORY_AVAILABLE));

	put_resource(m, l, brief, brief ? "MEM" : "Memory", used, METRIC_HOST_MEMORY_TOTAL,
		METRIC_MEMORY_COMMITTED);
}

static void put_tasks(const struct top_model *m, struct line *l)
{
	struct value tasks = top_host_value(m, METRIC_HOST_TASKS);
	struct value limit = value_min_limit(top_host_value(m, METRIC_HOST_TASKS_LIMIT),
		top_host_value(m, METRIC_HOST_PIDS_LIMIT));

	line_item(l, fill_attribute(top_ratio(tasks, limit)), "tasks %s of %s",
		figure(METRIC_HOST_TASKS, tasks).text, figure(METRIC_HOST_TASKS_LIMIT, limit).text);
}

static void put_instances(const struct top_model *m, struct line *l)
{
	struct value memory = top_host_value(m, METRIC_MEMORY_UNLIMITED_INSTANCES);
	struct value cpu = top_host_value(m, METRIC_CPU_UNLIMITED_INSTANCES);

	line_item(l, ATTRIBUTE_STRONG, "%s running",
		figure(METRIC_INSTANCES_RUNNING, top_host_value(m, METRIC_INSTANCES_RUNNING)).text);
	if (value_is_number(memory) && memory.number)
		line_item(l, ATTRIBUTE_NORMAL, "%" PRIu64 " unlimited in memory (%s)",
			memory.number,
			figure(METRIC_MEMORY_UNLIMITED_WORKING_SET,
				top_host_value(m, METRIC_MEMORY_UNLIMITED_WORKING_SET))
				.text);
	if (value_is_number(cpu) && cpu.number)
		line_item(l, ATTRIBUTE_NORMAL, "%" PRIu64 " in CPU", cpu.number);
}

/* What has gone wrong since the collector started; nothing where all is well. */
static void put_warnings(const struct top_model *m, struct line *l)
{
	static const struct {
		unsigned int id;
		const char *text;
	} warnings[] = {
		{METRIC_COLLECTOR_MISSED_CYCLES, "missed cycles"},
		{METRIC_COLLECTOR_DROPPED_INSTANCES, "instances not measured"},
		{METRIC_COLLECTOR_STUCK_WORKERS, "stuck workers"},
		{METRIC_COLLECTOR_UNTRUSTED_NAMES, "untrusted names"},
		{METRIC_RECENT_LOST, "cycles lost"},
		{METRIC_STORE_ERRORS, "store errors"},
		{METRIC_STORE_REFUSED_INSTANCES, "instances not stored"},
		{METRIC_STORE_DAMAGED_FILES, "damaged files"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(warnings); i++) {
		struct value v = top_host_value(m, warnings[i].id);

		if (value_is_number(v) && v.number)
			line_item(
				l, ATTRIBUTE_WARNING, "%" PRIu64 " %s", v.number, warnings[i].text);
	}
}

static void put_moment(const struct top_model *m, struct line *l)
{
	const struct snapshot_info *info = snapshot_info(m->snapshot);
	_cleanup_free_ char *text = moment_text(info->time_ns, info->interval_ns, m->exact);

	line_item(l, ATTRIBUTE_WARNING, "%s", text ? text : "?");
}

static void put_time(const struct top_model *m, struct line *l)
{
	const struct snapshot_info *info = snapshot_info(m->snapshot);
	struct value start = top_host_value(m, METRIC_COLLECTOR_START_TIME);
	struct snapshot_row host;
	bool stale = top_model_is_stale(m) || m->error.text[0];

	if (snapshot_row(m->snapshot, SCOPE_HOST, 0, &host) == 0)
		line_put(l, ATTRIBUTE_STRONG, host.text[TEXT_NAME]);
	if (m->image) {
		put_moment(m, l);
		return;
	}
	line_item(l, ATTRIBUTE_NORMAL, "%s", cell_time(info->time_ns).text);
	line_item(l, stale ? ATTRIBUTE_CRITICAL : ATTRIBUTE_NORMAL, "%s ago",
		cell_duration(m->age_ns / NSEC_PER_SEC * NSEC_PER_SEC).text);
	line_item(l, ATTRIBUTE_FAINT, "every %s", cell_duration(info->interval_ns).text);
	if (value_is_number(start) && info->time_ns > start.number)
		line_item(l, ATTRIBUTE_FAINT, "collector up %s",
			cell_duration(info->time_ns - start.number).text);
}

size_t top_view_header(
	const struct top_model *m, size_t width, bool brief, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = width};

	if (!m->snapshot) {
		line_put(&l, ATTRIBUTE_STRONG, "loadcell top");
		line_item(&l, ATTRIBUTE_NORMAL, "waiting for the collector's first sample");
		line_end(&l);
		return 1;
	}
	put_time(m, &l);
	line_end(&l);
	put_cpu(m, &l, brief);
	if (brief) {
		put_memory(m, &l, brief);
		put_warnings(m, &l);
		line_end(&l);
		return 2;
	}
	put_tasks(m, &l);
	line_end(&l);
	put_memory(m, &l, brief);
	line_end(&l);
	put_instances(m, &l);
	put_warnings(m, &l);
	line_end(&l);
	return 4;
}
