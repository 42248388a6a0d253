/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-view.h"

#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "top-line.h"

/* --- layout ----------------------------------------------------------------------------------- */

/* Long names do not push all else off a narrow screen. */
static size_t name_width(const struct top_model *m, size_t width)
{
	size_t least = top_columns[COLUMN_NAME].width;

	return MIN(MAX(m->longest[COLUMN_NAME], least), MAX(width / 5, least));
}

/* The column of the next priority, by its place in the table. */
static size_t by_priority(size_t priority)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (top_columns[i].priority == priority)
			return i;
	return COLUMN_COUNT;
}

/* What is left goes to texts that are cut, then to limits beside figures, then to bars. */
static int growth_pass(const struct top_column *c)
{
	if (c->text)
		return 0;
	return c->bar ? 2 : 1;
}

/* Gives one place to each column of this pass that has a use for it; true when there was one. */
static bool grow_columns(const struct top_model *m, int pass, struct top_layout *l, size_t *used)
{
	bool grown = false;

	for (size_t i = 0; i < COLUMN_COUNT && *used < l->width; i++) {
		const struct top_column *c = &top_columns[i];
		size_t most = c->text ? MIN(m->longest[i], c->most) : c->most;

		if (pass != growth_pass(c) || !l->columns[i] || l->columns[i] >= most)
			continue;
		l->columns[i]++;
		l->bar[i] = (unsigned char)(l->bar[i] + !!c->bar);
		++*used;
		grown = true;
	}
	return grown;
}

void top_layout_for(const struct top_model *m, size_t width, struct top_layout *ret)
{
	size_t used = 0;

	*ret = (struct top_layout){.width = width};
	for (size_t p = 0; p < COLUMN_COUNT; p++) {
		size_t i = by_priority(p);
		size_t want = i == COLUMN_NAME ? name_width(m, width) : top_columns[i].width;

		if (used && used + 1 + want > width)
			continue;
		ret->columns[i] = (unsigned char)MIN(want, width);
		ret->bar[i] = top_columns[i].bar;
		used += (used ? 1 : 0) + ret->columns[i];
	}
	for (int pass = 0; pass < 3; pass++)
		while (grow_columns(m, pass, ret, &used))
			;
}

/* --- the table -------------------------------------------------------------------------------- */

/* A title with the letter that sorts by it marked; the column of the sort is marked as a whole. */
static void put_title(const struct top_model *m, struct line *l, size_t i, size_t width)
{
	const struct top_column *c = &top_columns[i];
	const char *key = strchr(c->title, c->key);
	size_t len = strlen(c->title);
	size_t pad = width > len ? width - len : 0;

	if (!key)
		key = strchr(c->title, c->key - 'a' + 'A');
	if (!c->text)
		line_fit(l, ATTRIBUTE_TITLE, "", pad, false);
	if (i == m->sort) {
		line_put(l, ATTRIBUTE_TITLE_SORT, c->title);
	} else {
		char before[16], letter[2] = {*key, '\0'};

		snprintf(before, sizeof(before), "%.*s", (int)(key - c->title), c->title);
		line_put(l, ATTRIBUTE_TITLE, before);
		line_put(l, ATTRIBUTE_TITLE_KEY, letter);
		line_put(l, ATTRIBUTE_TITLE, key + 1);
	}
	if (c->text)
		line_fit(l, ATTRIBUTE_TITLE, "", pad, false);
}

void top_view_titles(
	const struct top_model *m, const struct top_layout *layout, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = layout->width};

	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (!layout->columns[i])
			continue;
		if (l.used)
			line_fit(&l, ATTRIBUTE_TITLE, "", 1, false);
		put_title(m, &l, i, layout->columns[i]);
	}
	line_fit(&l, ATTRIBUTE_TITLE, "", layout->width - l.used, false);
	line_end(&l);
}

static enum top_attribute level_attribute(enum top_level level, enum top_attribute normal)
{
	return level == LEVEL_CRITICAL  ? ATTRIBUTE_CRITICAL
	       : level == LEVEL_WARNING ? ATTRIBUTE_WARNING
					: normal;
}

static void put_bar(struct line *l, const struct top_row *r, size_t i, size_t width)
{
	char full[256], rest[256];
	size_t n = 0;

	/* Something that is not nothing shows, and only what is full fills the bar. */
	if (value_is_number(r->ratio[i]) && r->ratio[i].number) {
		uint64_t ratio = MIN(r->ratio[i].number, NSEC_PER_SEC);

		n = MAX((size_t)1, (size_t)(ratio * width / NSEC_PER_SEC));
	}
	memset(full, '|', n);
	full[n] = '\0';
	memset(rest, '.', width - n);
	rest[width - n] = '\0';
	line_put(l, level_attribute(r->level[i], ATTRIBUTE_BAR), full);
	line_put(l, ATTRIBUTE_FAINT, rest);
}

static void put_text(struct line *l, const struct top_row *r, size_t i, size_t width)
{
	const char *string = top_columns[i].string(r);
	_cleanup_free_ char *text = i == COLUMN_GROUPS ? text_join(string) : strdup(string);
	enum top_level level = i == COLUMN_NAME ? r->worst : LEVEL_NORMAL;

	if (text)
		line_fit(l, level_attribute(level, ATTRIBUTE_NORMAL), text, width, false);
}

void top_view_row(const struct top_model *m, const struct top_layout *layout,
	const struct top_row *r, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = layout->width};
	char text[64];

	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		size_t width = layout->columns[i], bar = layout->bar[i];

		if (!width)
			continue;
		if (l.used)
			line_blank(&l, 1);
		if (top_columns[i].text) {
			put_text(&l, r, i, width);
			continue;
		}
		if (bar) {
			put_bar(&l, r, i, bar);
			width -= bar;
		}
		top_columns[i].format(m, r, width, text, sizeof(text));
		line_fit(&l, level_attribute(r->level[i], ATTRIBUTE_NORMAL), text, width, true);
	}
	line_end(&l);
}

/* --- around the table ------------------------------------------------------------------------- */

size_t top_view_banner(const struct top_model *m, size_t width, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = width};
	char text[ERROR_MAX + 80];

	if (m->error.text[0])
		snprintf(text, sizeof(text), "NO DATA: %s", m->error.text);
	else if (top_model_is_stale(m))
		snprintf(text, sizeof(text),
			"STALE: the last sample is %s old. Is loadcelld running?",
			cell_duration(m->age_ns).text);
	else
		return 0;
	line_fit(&l, ATTRIBUTE_CRITICAL, text, width, false);
	line_end(&l);
	return 1;
}

void top_view_status(const struct top_model *m, size_t width, const struct top_status *status,
	const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = width};

	if (status->typing) {
		line_put(&l, ATTRIBUTE_STRONG, "filter: ");
		line_put(&l, ATTRIBUTE_NORMAL, m->filter);
		line_put(&l, ATTRIBUTE_TITLE_SORT, " ");
		line_item(&l, ATTRIBUTE_FAINT, "%zu of %zu", m->shown_count, m->all_count);
		line_item(&l, ATTRIBUTE_FAINT, "Enter keeps it, Esc clears it");
		line_end(&l);
		return;
	}
	if (status->paused)
		line_item(&l, ATTRIBUTE_WARNING, "PAUSED");
	if (m->filter[0])
		line_item(&l, ATTRIBUTE_STRONG, "filter: %s  %zu of %zu", m->filter, m->shown_count,
			m->all_count);
	if (status->total > status->lines)
		line_item(&l, ATTRIBUTE_NORMAL, "%zu-%zu of %zu", status->first + 1,
			MIN(status->first + status->lines, status->total), status->total);
	line_item(&l, ATTRIBUTE_FAINT, "+/- every %s", cell_duration(status->delay_ns).text);
	line_item(&l, ATTRIBUTE_FAINT, "q quit");
	line_item(&l, ATTRIBUTE_FAINT, "h help");
	line_item(&l, ATTRIBUTE_FAINT, "/ filter");
	line_item(&l, ATTRIBUTE_FAINT, "Enter details");
	line_item(&l, ATTRIBUTE_FAINT, "space pause");
	line_end(&l);
}
