/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-model.h"

#include <string.h>

struct value column_value(
	const struct top_column *c, const struct top_model *m, const struct top_row *r)
{
	struct value v = value_absent();

	switch (c->kind) {
	case COLUMN_IS_TEXT:
		break;
	case COLUMN_IS_VALUE:
	case COLUMN_IS_EVENTS:
		return top_row_value(m, r, c->metric);
	case COLUMN_IS_SUM:
		value_add(&v, top_row_value(m, r, c->metric));
		value_add(&v, top_row_value(m, r, c->other));
		break;
	case COLUMN_IS_RATE:
		v = top_row_rate(m, r, c->metric);
		if (c->other)
			value_add(&v, top_row_rate(m, r, c->other));
		break;
	case COLUMN_IS_SHARE:
		return top_ratio(top_row_rise(m, r, c->metric), top_row_rise(m, r, c->other));
	}
	return v;
}

struct value column_ratio(
	const struct top_column *c, const struct top_model *m, const struct top_row *r)
{
	struct value v = column_value(c, m, r), limit;

	switch (c->kind) {
	case COLUMN_IS_VALUE:
		limit = c->other ? top_row_value(m, r, c->other) : value_absent();
		if (c->host)
			limit = value_min_limit(limit, top_host_value(m, c->host));
		return top_ratio(v, limit);
	case COLUMN_IS_EVENTS:
		v = top_row_rise(m, r, c->metric);
		return value_is_number(v) && v.number ? value_of(NSEC_PER_SEC) : value_absent();
	default:
		return v;
	}
}

/* --- as text ---------------------------------------------------------------------------------- */

#define PAIR_WIDTH 9 /* of "0.25/1.25" */

/* "used/limit" where it fits, else "used". */
static char *pair_text(
	const struct top_column *c, struct value used, struct value limit, size_t width)
{
	const struct metric *metric = metric_by_id(c->metric);
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
		strlen(a.text) + 1 + strlen(b.text) > width)
		return strdup(a.text);
	return format_string("%s/%s", a.text, b.text);
}

static char *snapshot_text(enum snapshot_text which, const char *text)
{
	if (!*text)
		return strdup("-");
	return which == TEXT_GROUPS ? text_join(text) : text_clean(text);
}

char *column_text(const struct top_column *c, const struct top_model *m, const struct top_row *r,
	size_t width)
{
	const struct metric *metric = metric_by_id(c->metric);
	struct value v = column_value(c, m, r);

	if (c->kind == COLUMN_IS_TEXT)
		return snapshot_text(c->text, r->fixed.text[c->text]);
	if (c->kind == COLUMN_IS_VALUE && c->other)
		return pair_text(c, v, top_row_value(m, r, c->other), width);
	if (value_is_number(v) && (c->kind == COLUMN_IS_SHARE || c->kind == COLUMN_IS_RATE))
		return strdup(metric->unit == UNIT_BYTES ? cell_bytes(v.number).text
							 : cell_percent(v.number).text);
	return strdup(cell_value(metric, v, "max").text);
}

void column_note_widths(
	const struct top_column *columns, size_t n, const struct top_row *r, size_t *longest)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = NULL;

		if (columns[i].kind == COLUMN_IS_TEXT)
			text = column_text(&columns[i], NULL, r, 0);
		if (text)
			longest[i] = MAX(longest[i], text_width(text));
	}
}

/* --- the columns of top ----------------------------------------------------------------------- */

/*
 * A share of an interval (pressure, throttling) is bad long before a limit is full, so those have
 * lower thresholds than the fill of a limit.
 */
#define PERCENT(p) ((p)*UINT64_C(10000000))
#define FILL       .warning = PERCENT(80), .critical = PERCENT(95)
#define SHARE      .warning = PERCENT(20), .critical = PERCENT(50)

#define SIZES(w, m, p) .width = w, .most = m, .priority = p
#define TEXT(t, k)     .title = t, .key = k, .kind = COLUMN_IS_TEXT
#define VALUE(t, k, m) .title = t, .key = k, .kind = COLUMN_IS_VALUE, .metric = METRIC_##m
#define RATE(t, k, m)  .title = t, .key = k, .kind = COLUMN_IS_RATE, .metric = METRIC_##m

/* clang-format off */
const struct top_column top_columns[COLUMN_COUNT] = {
	[COLUMN_NAME] = {TEXT("NAME", 'n'), SIZES(8, 60, 0), .text = TEXT_HANDLE,
		.help = "handle; marked when any column, shown or not, is"},
	[COLUMN_CPU] = {VALUE("CPU", 'c', CPU_USED_CORES), SIZES(14, 30, 1), .bar = 4, FILL,
		.other = METRIC_CPU_LIMIT, .host = METRIC_HOST_CPUS,
		.help = "cores used / effective limit; max: the host's, so is the bar"},
	[COLUMN_MEMORY] = {VALUE("MEM", 'm', MEMORY_WORKING_SET), SIZES(16, 32, 2), .bar = 4, FILL,
		.other = METRIC_MEMORY_LIMIT, .host = METRIC_HOST_MEMORY_TOTAL,
		.help = "working set / effective limit; max: the host's, so is the bar"},
	[COLUMN_PIDS] = {VALUE("PIDS", 'p', PIDS_CURRENT), SIZES(5, 11, 3), FILL,
		.other = METRIC_PIDS_LIMIT, .help = "tasks / limit"},
	[COLUMN_READ] = {RATE("RD/s", 'r', IO_READ_BYTES), SIZES(5, 5, 4),
		.help = "bytes read from block devices"},
	[COLUMN_WRITE] = {RATE("WR/s", 'w', IO_WRITE_BYTES), SIZES(5, 5, 5),
		.help = "bytes written to block devices"},
	[COLUMN_RECEIVE] = {RATE("RX/s", 'x', NETWORK_RECEIVE_BYTES), SIZES(5, 5, 6),
		.help = "bytes received by its interfaces"},
	[COLUMN_TRANSMIT] = {RATE("TX/s", 't', NETWORK_TRANSMIT_BYTES), SIZES(5, 5, 7),
		.help = "bytes sent by its interfaces"},
	[COLUMN_PRESSURE_CPU] = {RATE("pCPU", 'C', CPU_PRESSURE_SOME), SIZES(4, 4, 11), SHARE,
		.help = "time in which some task waited for a CPU (PSI)"},
	[COLUMN_PRESSURE_MEMORY] = {RATE("pMEM", 'M', MEMORY_PRESSURE_SOME), SIZES(4, 4, 9), SHARE,
		.help = "time in which some task waited for memory (PSI)"},
	[COLUMN_PRESSURE_IO] = {RATE("pIO", 'I', IO_PRESSURE_SOME), SIZES(4, 4, 10), SHARE,
		.help = "time in which some task waited for a disk (PSI)"},
	[COLUMN_THROTTLED] = {.title = "THR%", .key = 'T', .kind = COLUMN_IS_SHARE,
		SIZES(4, 4, 8), SHARE,
		.metric = METRIC_CPU_THROTTLED_PERIODS, .other = METRIC_CPU_PERIODS,
		.help = "quota periods in which it was throttled"},
	[COLUMN_DISK] = {VALUE("DISK", 'd', DISK_USED), SIZES(5, 11, 13), FILL,
		.other = METRIC_DISK_LIMIT, .help = "bytes on disk / limit"},
	[COLUMN_UPTIME] = {VALUE("UPTIME", 'u', UPTIME), SIZES(6, 6, 14),
		.help = "since init started"},
	[COLUMN_OOM] = {.title = "OOM", .key = 'o', .kind = COLUMN_IS_EVENTS, SIZES(5, 5, 12), FILL,
		.metric = METRIC_MEMORY_OOM_KILLS,
		.help = "OOM kills; marked when there was one since the last sample"},
	[COLUMN_HOSTNAME] = {TEXT("HOSTNAME", 's'), SIZES(8, 60, 15), .text = TEXT_HOSTNAME,
		.help = "lxc.uts.name"},
	[COLUMN_GROUPS] = {TEXT("GROUPS", 'g'), SIZES(6, 60, 16), .text = TEXT_GROUPS,
		.help = "lxc.group"},
};
/* clang-format on */
