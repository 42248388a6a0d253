/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "top-view.h"

/* The pages of top that scroll: one instance in all detail, and the help. */

#define NAME_WIDTH(width) MIN((size_t)31, (width) / 2 + 4)

static void put_pair(struct line *l, const char *name, const char *text, size_t len)
{
	_cleanup_free_ char *copy = strndup(text, len);

	line_fit(l, ATTRIBUTE_FAINT, name, NAME_WIDTH(l->width), false);
	line_put(l, ATTRIBUTE_NORMAL, " ");
	if (copy)
		line_put(l, ATTRIBUTE_NORMAL, copy);
	line_end(l);
}

static void put_texts(struct line *l, const struct snapshot_row *fixed)
{
	static const struct {
		enum snapshot_text text;
		const char *name;
	} texts[] = {
		{TEXT_NAME, "name"},
		{TEXT_HOSTNAME, "hostname"},
		{TEXT_GROUPS, "group"},
		{TEXT_KIND, "kind"},
		{TEXT_STATE, "state"},
		{TEXT_LXCPATH, "lxcpath"},
		{TEXT_CONTEXT, "SNMP context"},
		{TEXT_DISK, "disk figures by"},
		{TEXT_CGROUPS, "cgroup"},
		{TEXT_LIMITS, "limited by"},
		{TEXT_FACTS, "fact"},
		{TEXT_NOTES, "note"},
	};
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for_each_line(fixed->text[texts[i].text], line, len)
			put_pair(l, texts[i].name, line, len);
	if (fixed->disk_time_ns)
		put_pair(l, "disk figures of", cell_time(fixed->disk_time_ns).text, SIZE_MAX);
	if (fixed->flags & SNAPSHOT_DISK_WALKING) {
		char text[64];

		snprintf(text, sizeof(text), "under way, %" PRIu64 " files", fixed->disk_progress);
		put_pair(l, "disk walk", text, SIZE_MAX);
	}
}

static struct cell rate_cell(const struct metric *metric, struct value rate)
{
	if (!value_is_number(rate))
		return (struct cell){"-"};
	if (metric->unit == UNIT_SECONDS) /* seconds per second */
		return cell_percent(rate.number);
	return metric->unit == UNIT_BYTES ? cell_bytes_rate(rate.number)
					  : cell_count_rate(rate.number);
}

static void put_metric(
	struct line *l, const struct metric *metric, struct value v, struct value rate)
{
	line_fit(l, ATTRIBUTE_NORMAL, metric->name, NAME_WIDTH(l->width), false);
	line_put(l, ATTRIBUTE_NORMAL, " ");
	line_fit(l, ATTRIBUTE_STRONG, cell_value(metric, v, "unlimited").text, 19, true);
	if (metric->kind == KIND_COUNTER && metric->scope == SCOPE_INSTANCE &&
		l->width >= l->used + 9)
		line_fit(l, ATTRIBUTE_FAINT, rate_cell(metric, rate).text, 9, true);
	line_end(l);
}

static void put_interfaces(const struct top_model *m, struct line *l, uint32_t index)
{
	const struct metric *metric;
	struct snapshot_row fixed;

	for (size_t i = 0; i < snapshot_info(m->snapshot)->rows[SCOPE_INTERFACE]; i++) {
		if (snapshot_row(m->snapshot, SCOPE_INTERFACE, i, &fixed) < 0 ||
			fixed.parent != index)
			continue;
		line_item(l, ATTRIBUTE_STRONG, "interface %s", fixed.text[TEXT_NAME]);
		line_end(l);
		for_each_metric (SCOPE_INTERFACE, slot, metric)
			put_metric(l, metric,
				snapshot_value(m->snapshot, SCOPE_INTERFACE, i, metric->id),
				value_absent());
	}
}

size_t top_view_details(const struct top_model *m, const struct top_row *r, size_t width,
	size_t first, size_t lines, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = width, .first = first, .end = first + lines};
	const struct metric *metric;
	struct snapshot_row fixed;

	if (snapshot_row(m->snapshot, SCOPE_INSTANCE, r->row, &fixed) < 0)
		return 0;
	put_texts(&l, &fixed);
	for_each_metric (SCOPE_INSTANCE, slot, metric)
		put_metric(&l, metric, top_row_value(m, r, metric->id),
			metric->kind == KIND_COUNTER ? top_row_rate(m, r, metric->id)
						     : value_absent());
	put_interfaces(m, &l, r->index);
	return l.number;
}

size_t top_view_help(size_t width, size_t first, size_t lines, const struct top_sink *sink)
{
	static const char *const keys[][2] = {
		{"q", "quit"},
		{"h ?", "this help; Esc, h or q leaves it"},
		{"/", "filter: a part or a glob of handle, host name, group or address"},
		{"Enter", "all about the selected instance; Esc leaves it"},
		{"space", "pause and go on"},
		{"+ -", "look less or more often"},
		{"up", "and down, PgUp, PgDn, Home, End: select"},
		{"left", "and right: through the past by an interval; with shift, or by < >, ten"},
		{"l", "back to the present"},
		{"", ""},
		{"", "Sort by a column, and once more the other way round:"},
	};
	struct line l = {.sink = sink, .width = width, .first = first, .end = first + lines};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		line_fit(&l, ATTRIBUTE_STRONG, keys[i][0], 7, false);
		line_put(&l, ATTRIBUTE_NORMAL, keys[i][1]);
		line_end(&l);
	}
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		char key[2] = {top_columns[i].key, '\0'};

		line_fit(&l, ATTRIBUTE_STRONG, key, 7, false);
		line_fit(&l, ATTRIBUTE_NORMAL, top_columns[i].title, 9, false);
		line_put(&l, ATTRIBUTE_NORMAL, top_columns[i].help);
		line_end(&l);
	}
	line_end(&l);
	line_put(&l, ATTRIBUTE_WARNING, "above 80 %");
	line_put(&l, ATTRIBUTE_NORMAL, " or ");
	line_put(&l, ATTRIBUTE_CRITICAL, "95 %");
	line_put(&l, ATTRIBUTE_NORMAL, " of a limit; 20 or 50 % of the time (PSI, throttled)");
	line_end(&l);
	return l.number;
}
