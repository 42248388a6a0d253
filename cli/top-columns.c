/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli.h"
#include "top-model.h"

/*
 * The columns of top. A share of an interval (pressure, throttling) is bad long before a limit is
 * full, so those have lower thresholds than the fill of a limit.
 */
#define PERCENT(p) ((p)*UINT64_C(10000000))

/* --- values: what a column sorts by ----------------------------------------------------------- */

#define VALUE(name, function, id)                                                                  \
	static struct value name##_value(const struct top_model *m, const struct top_row *r)       \
	{                                                                                          \
		return function(m, r, id);                                                         \
	}

VALUE(cpu, top_row_value, METRIC_CPU_USED_CORES)
VALUE(memory, top_row_value, METRIC_MEMORY_WORKING_SET)
VALUE(pids, top_row_value, METRIC_PIDS_CURRENT)
VALUE(disk, top_row_value, METRIC_DISK_USED)
VALUE(uptime, top_row_value, METRIC_UPTIME)
VALUE(oom, top_row_value, METRIC_MEMORY_OOM_KILLS)
VALUE(read, top_row_rate, METRIC_IO_READ_BYTES)
VALUE(write, top_row_rate, METRIC_IO_WRITE_BYTES)
VALUE(receive, top_row_rate, METRIC_NETWORK_RECEIVE_BYTES)
VALUE(transmit, top_row_rate, METRIC_NETWORK_TRANSMIT_BYTES)
VALUE(pressure_cpu, top_row_rate, METRIC_CPU_PRESSURE_SOME)
VALUE(pressure_memory, top_row_rate, METRIC_MEMORY_PRESSURE_SOME)
VALUE(pressure_io, top_row_rate, METRIC_IO_PRESSURE_SOME)

static struct value throttled_value(const struct top_model *m, const struct top_row *r)
{
	return top_ratio(top_row_rise(m, r, METRIC_CPU_THROTTLED_PERIODS),
		top_row_rise(m, r, METRIC_CPU_PERIODS));
}

/* --- ratios: fill against the effective limit, or the host where nothing limits --------------- */

static struct value cpu_ratio(const struct top_model *m, const struct top_row *r)
{
	struct value limit = top_row_value(m, r, METRIC_CPU_LIMIT);

	return top_ratio(cpu_value(m, r), value_min_limit(limit, m->host_cores));
}

static struct value memory_ratio(const struct top_model *m, const struct top_row *r)
{
	struct value limit = top_row_value(m, r, METRIC_MEMORY_LIMIT);

	return top_ratio(memory_value(m, r), value_min_limit(limit, m->host_memory));
}

static struct value pids_ratio(const struct top_model *m, const struct top_row *r)
{
	return top_ratio(pids_value(m, r), top_row_value(m, r, METRIC_PIDS_LIMIT));
}

static struct value disk_ratio(const struct top_model *m, const struct top_row *r)
{
	return top_ratio(disk_value(m, r), top_row_value(m, r, METRIC_DISK_LIMIT));
}

static struct value oom_ratio(const struct top_model *m, const struct top_row *r)
{
	struct value rise = top_row_rise(m, r, METRIC_MEMORY_OOM_KILLS);

	return value_is_number(rise) && rise.number ? value_of(PERCENT(100)) : value_absent();
}

/* --- figures ---------------------------------------------------------------------------------- */

#define PAIR_WIDTH 9 /* of "0.25/1.25" */

/* "used/limit" where it fits, else "used". */
static void format_pair(unsigned int used_id, struct value used, struct value limit, size_t width,
	char *buf, size_t size)
{
	const struct metric *metric = metric_by_id(used_id);
	struct cell a = cell_value(metric, used, "max"), b = cell_value(metric, limit, "max");
	char *dot = strchr(b.text, '.'), *end = b.text + strlen(b.text);

	if (metric->unit == UNIT_CORES && dot) { /* a limit of "2.00" cores is "2" */
		while (end[-1] == '0')
			*--end = '\0';
		if (end[-1] == '.')
			end[-1] = '\0';
	}
	/* Narrow columns keep to one style, rather than pairs where they happen to fit. */
	if (width < PAIR_WIDTH || !value_is_number(used) ||
		snprintf(buf, size, "%s/%s", a.text, b.text) > (int)width)
		snprintf(buf, size, "%s", a.text);
}

#define FORMAT(name)                                                                               \
	static void name##_format(const struct top_model *m, const struct top_row *r,              \
		size_t width, char *buf, size_t size)

#define PAIR_FORMAT(name, used_id, limit_id)                                                       \
	FORMAT(name)                                                                               \
	{                                                                                          \
		format_pair(used_id, top_row_value(m, r, used_id), top_row_value(m, r, limit_id),  \
			width, buf, size);                                                         \
	}

PAIR_FORMAT(cpu, METRIC_CPU_USED_CORES, METRIC_CPU_LIMIT)
PAIR_FORMAT(memory, METRIC_MEMORY_WORKING_SET, METRIC_MEMORY_LIMIT)
PAIR_FORMAT(pids, METRIC_PIDS_CURRENT, METRIC_PIDS_LIMIT)
PAIR_FORMAT(disk, METRIC_DISK_USED, METRIC_DISK_LIMIT)

#define CELL_FORMAT(name, cell_function)                                                           \
	FORMAT(name)                                                                               \
	{                                                                                          \
		struct value v = name##_value(m, r);                                               \
                                                                                                   \
		snprintf(                                                                          \
			buf, size, "%s", value_is_number(v) ? cell_function(v.number).text : "-"); \
	}

CELL_FORMAT(read, cell_bytes)
CELL_FORMAT(write, cell_bytes)
CELL_FORMAT(receive, cell_bytes)
CELL_FORMAT(transmit, cell_bytes)
CELL_FORMAT(pressure_cpu, cell_percent)
CELL_FORMAT(pressure_memory, cell_percent)
CELL_FORMAT(pressure_io, cell_percent)
CELL_FORMAT(throttled, cell_percent)
CELL_FORMAT(uptime, cell_duration)
CELL_FORMAT(oom, cell_count)

static const char *name_string(const struct top_row *r)
{
	return r->handle;
}

static const char *hostname_string(const struct top_row *r)
{
	return r->hostname;
}

static const char *groups_string(const struct top_row *r)
{
	return r->groups;
}

#define TEXT(t, k, w, p, name, h)                                                                  \
	.title = t, .key = k, .text = true, .width = w, .most = 60, .priority = p,                 \
	.string = name##_string, .help = h
#define FIGURES(t, k, w, m, p, name, h)                                                            \
	.title = t, .key = k, .width = w, .most = m, .priority = p, .value = name##_value,         \
	.format = name##_format, .help = h
#define FILL(name)  .ratio = name##_ratio, .warning = PERCENT(80), .critical = PERCENT(95)
#define SHARE(name) .ratio = name##_value, .warning = PERCENT(20), .critical = PERCENT(50)

const struct top_column top_columns[COLUMN_COUNT] = {
	/* title, key, least and most width, priority */
	[COLUMN_NAME] = {TEXT(
		"NAME", 'n', 8, 0, name, "handle; marked when any column, shown or not, is")},
	[COLUMN_CPU] = {FIGURES("CPU", 'c', 14, 30, 1, cpu,
				"cores used / effective limit; max: the host's, so is the bar"),
		.bar = 4, FILL(cpu)},
	[COLUMN_MEMORY] = {FIGURES("MEM", 'm', 16, 32, 2, memory,
				   "working set / effective limit; max: the host's, so is the bar"),
		.bar = 4, FILL(memory)},
	[COLUMN_PIDS] = {FIGURES("PIDS", 'p', 5, 11, 3, pids, "tasks / limit"), FILL(pids)},
	[COLUMN_READ] = {FIGURES("RD/s", 'r', 5, 5, 4, read, "bytes read from block devices")},
	[COLUMN_WRITE] = {FIGURES("WR/s", 'w', 5, 5, 5, write, "bytes written to block devices")},
	[COLUMN_RECEIVE] = {FIGURES(
		"RX/s", 'x', 5, 5, 6, receive, "bytes received by its interfaces")},
	[COLUMN_TRANSMIT] = {FIGURES(
		"TX/s", 't', 5, 5, 7, transmit, "bytes sent by its interfaces")},
	[COLUMN_PRESSURE_CPU] = {FIGURES("pCPU", 'C', 4, 4, 11, pressure_cpu,
					 "time in which some task waited for a CPU (PSI)"),
		SHARE(pressure_cpu)},
	[COLUMN_PRESSURE_MEMORY] = {FIGURES("pMEM", 'M', 4, 4, 9, pressure_memory,
					    "time in which some task waited for memory (PSI)"),
		SHARE(pressure_memory)},
	[COLUMN_PRESSURE_IO] = {FIGURES("pIO", 'I', 4, 4, 10, pressure_io,
					"time in which some task waited for a disk (PSI)"),
		SHARE(pressure_io)},
	[COLUMN_THROTTLED] =
		{FIGURES("THR%", 'T', 4, 4, 8, throttled,
			 "quota periods in which it was throttled"),
			SHARE(throttled)},
	[COLUMN_DISK] = {FIGURES("DISK", 'd', 5, 11, 13, disk, "bytes on disk / limit"),
		FILL(disk)},
	[COLUMN_UPTIME] = {FIGURES("UPTIME", 'u', 6, 6, 14, uptime, "since init started")},
	[COLUMN_OOM] = {FIGURES("OOM", 'o', 5, 5, 12, oom,
				"OOM kills; marked when there was one since the last sample"),
		FILL(oom)},
	[COLUMN_HOSTNAME] = {TEXT("HOSTNAME", 's', 8, 15, hostname, "lxc.uts.name")},
	[COLUMN_GROUPS] = {TEXT("GROUPS", 'g', 6, 16, groups, "lxc.group")},
};
