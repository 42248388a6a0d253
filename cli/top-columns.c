/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli.h"
#include "top-model.h"

/*
 * The columns of top. A share of an interval (pressure, throttling) is bad long before a limit is
 * full, so those have lower thresholds than the fill of a limit.
 */
#define PERCENT(p)    ((p)*UINT64_C(10000000))
#define FILL_LEVELS   .warning = PERCENT(80), .critical = PERCENT(95)
#define SHARE_LEVELS  .warning = PERCENT(20), .critical = PERCENT(50)
#define NEW_OOM_LEVEL .warning = PERCENT(50), .critical = PERCENT(50)

/* --- values: what a column sorts by ----------------------------------------------------------- */

#define METRIC_COLUMN(function, id)                                                                \
	static struct value function(const struct top_model *m, const struct top_row *r)           \
	{                                                                                          \
		return top_row_value(m, r, id);                                                    \
	}
#define RATE_COLUMN(function, id)                                                                  \
	static struct value function(const struct top_model *m, const struct top_row *r)           \
	{                                                                                          \
		return top_row_rate(m, r, id);                                                     \
	}

METRIC_COLUMN(cpu_value, METRIC_CPU_USED_CORES)
METRIC_COLUMN(memory_value, METRIC_MEMORY_WORKING_SET)
METRIC_COLUMN(pids_value, METRIC_PIDS_CURRENT)
METRIC_COLUMN(disk_value, METRIC_DISK_USED)
METRIC_COLUMN(uptime_value, METRIC_UPTIME)
METRIC_COLUMN(oom_value, METRIC_MEMORY_OOM_KILLS)
RATE_COLUMN(read_value, METRIC_IO_READ_BYTES)
RATE_COLUMN(write_value, METRIC_IO_WRITE_BYTES)
RATE_COLUMN(receive_value, METRIC_NETWORK_RECEIVE_BYTES)
RATE_COLUMN(transmit_value, METRIC_NETWORK_TRANSMIT_BYTES)
RATE_COLUMN(pressure_cpu, METRIC_CPU_PRESSURE_SOME)
RATE_COLUMN(pressure_memory, METRIC_MEMORY_PRESSURE_SOME)
RATE_COLUMN(pressure_io, METRIC_IO_PRESSURE_SOME)

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

#define PAIR_COLUMN(function, used_id, limit_id)                                                   \
	static void function(const struct top_model *m, const struct top_row *r, size_t width,     \
		char *buf, size_t size)                                                            \
	{                                                                                          \
		format_pair(used_id, top_row_value(m, r, used_id), top_row_value(m, r, limit_id),  \
			width, buf, size);                                                         \
	}

PAIR_COLUMN(cpu_format, METRIC_CPU_USED_CORES, METRIC_CPU_LIMIT)
PAIR_COLUMN(memory_format, METRIC_MEMORY_WORKING_SET, METRIC_MEMORY_LIMIT)
PAIR_COLUMN(pids_format, METRIC_PIDS_CURRENT, METRIC_PIDS_LIMIT)
PAIR_COLUMN(disk_format, METRIC_DISK_USED, METRIC_DISK_LIMIT)

static void put_cell(struct value v, struct cell (*format)(uint64_t n), char *buf, size_t size)
{
	snprintf(buf, size, "%s", value_is_number(v) ? format(v.number).text : "-");
}

#define CELL_COLUMN(function, value_function, cell_function)                                       \
	static void function(const struct top_model *m, const struct top_row *r, size_t width,     \
		char *buf, size_t size)                                                            \
	{                                                                                          \
		put_cell(value_function(m, r), cell_function, buf, size);                          \
	}

CELL_COLUMN(read_format, read_value, cell_bytes)
CELL_COLUMN(write_format, write_value, cell_bytes)
CELL_COLUMN(receive_format, receive_value, cell_bytes)
CELL_COLUMN(transmit_format, transmit_value, cell_bytes)
CELL_COLUMN(pressure_cpu_format, pressure_cpu, cell_percent)
CELL_COLUMN(pressure_memory_format, pressure_memory, cell_percent)
CELL_COLUMN(pressure_io_format, pressure_io, cell_percent)
CELL_COLUMN(throttled_format, throttled_value, cell_percent)
CELL_COLUMN(uptime_format, uptime_value, cell_duration)
CELL_COLUMN(oom_format, oom_value, cell_count)

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

#define TEXT_COLUMN(t, k, w, p, f, h)                                                              \
	{                                                                                          \
		.title = t, .key = k, .text = true, .width = w, .most = 60, .priority = p,         \
		.string = f, .help = h                                                             \
	}
#define RATE(t, k, p, f, h)                                                                        \
	{                                                                                          \
		.title = t, .key = k, .width = 5, .most = 5, .priority = p, .value = f##_value,    \
		.format = f##_format, .help = h                                                    \
	}
#define SHARE(t, k, p, v, f, h)                                                                    \
	{                                                                                          \
		.title = t, .key = k, .width = 4, .most = 4, .priority = p, .value = v,            \
		.ratio = v, .format = f, SHARE_LEVELS, .help = h                                   \
	}

const struct top_column top_columns[COLUMN_COUNT] = {
	[COLUMN_NAME] = TEXT_COLUMN(
		"NAME", 'n', 8, 0, name_string, "handle; marked when any column, shown or not, is"),
	[COLUMN_CPU] = {.title = "CPU",
		.key = 'c',
		.width = 14,
		.most = 30,
		.bar = 4,
		.priority = 1,
		.value = cpu_value,
		.ratio = cpu_ratio,
		.format = cpu_format,
		FILL_LEVELS,
		.help = "cores used / effective limit; max: the host's, so is the bar"},
	[COLUMN_MEMORY] = {.title = "MEM",
		.key = 'm',
		.width = 16,
		.most = 32,
		.bar = 4,
		.priority = 2,
		.value = memory_value,
		.ratio = memory_ratio,
		.format = memory_format,
		FILL_LEVELS,
		.help = "working set / effective limit; max: the host's, so is the bar"},
	[COLUMN_PIDS] = {.title = "PIDS",
		.key = 'p',
		.width = 5,
		.most = 11,
		.priority = 3,
		.value = pids_value,
		.ratio = pids_ratio,
		.format = pids_format,
		FILL_LEVELS,
		.help = "tasks / limit"},
	[COLUMN_READ] = RATE("RD/s", 'r', 4, read, "bytes read from block devices"),
	[COLUMN_WRITE] = RATE("WR/s", 'w', 5, write, "bytes written to block devices"),
	[COLUMN_RECEIVE] = RATE("RX/s", 'x', 6, receive, "bytes received by its interfaces"),
	[COLUMN_TRANSMIT] = RATE("TX/s", 't', 7, transmit, "bytes sent by its interfaces"),
	[COLUMN_PRESSURE_CPU] = SHARE("pCPU", 'C', 11, pressure_cpu, pressure_cpu_format,
		"time in which some task waited for a CPU (PSI)"),
	[COLUMN_PRESSURE_MEMORY] = SHARE("pMEM", 'M', 9, pressure_memory, pressure_memory_format,
		"time in which some task waited for memory (PSI)"),
	[COLUMN_PRESSURE_IO] = SHARE("pIO", 'I', 10, pressure_io, pressure_io_format,
		"time in which some task waited for a disk (PSI)"),
	[COLUMN_THROTTLED] = SHARE("THR%", 'T', 8, throttled_value, throttled_format,
		"quota periods in which it was throttled"),
	[COLUMN_DISK] = {.title = "DISK",
		.key = 'd',
		.width = 5,
		.most = 11,
		.priority = 13,
		.value = disk_value,
		.ratio = disk_ratio,
		.format = disk_format,
		FILL_LEVELS,
		.help = "bytes on disk / limit"},
	[COLUMN_UPTIME] = {.title = "UPTIME",
		.key = 'u',
		.width = 6,
		.most = 6,
		.priority = 14,
		.value = uptime_value,
		.format = uptime_format,
		.help = "since init started"},
	[COLUMN_OOM] = {.title = "OOM",
		.key = 'o',
		.width = 5,
		.most = 5,
		.priority = 12,
		.value = oom_value,
		.ratio = oom_ratio,
		.format = oom_format,
		NEW_OOM_LEVEL,
		.help = "OOM kills; marked when there was one since the last sample"},
	[COLUMN_HOSTNAME] = TEXT_COLUMN("HOSTNAME", 's', 8, 15, hostname_string, "lxc.uts.name"),
	[COLUMN_GROUPS] = TEXT_COLUMN("GROUPS", 'g', 6, 16, groups_string, "lxc.group"),
};
