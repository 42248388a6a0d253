/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* --- lines ------------------------------------------------------------------------------------ */

static bool is_shown(const struct line *l)
{
	return !l->end || (l->number >= l->first && l->number < l->end);
}

static void put_clean(
	struct line *l, enum top_attribute a, const char *clean, size_t width, bool right)
{
	_cleanup_free_ char *fit = NULL;

	width = MIN(width, l->width - l->used);
	fit = text_fit(clean, width, right);
	if (!fit || !width)
		return;
	if (is_shown(l))
		l->sink->put(l->sink->data, a, fit);
	l->used += width;
}

void line_fit(struct line *l, enum top_attribute a, const char *text, size_t width, bool right)
{
	_cleanup_free_ char *clean = text_clean(text);

	if (clean)
		put_clean(l, a, clean, width, right);
}

void line_put(struct line *l, enum top_attribute a, const char *text)
{
	_cleanup_free_ char *clean = text_clean(text);

	if (clean)
		put_clean(l, a, clean, text_width(clean), false);
}

void line_item(struct line *l, enum top_attribute a, const char *format, ...)
{
	_cleanup_free_ char *clean = NULL;
	size_t gap = l->used ? 2 : 0;
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	clean = text_clean(text);
	if (!clean || l->used + gap + text_width(clean) > l->width)
		return;
	line_fit(l, ATTRIBUTE_NORMAL, "", gap, false);
	put_clean(l, a, clean, text_width(clean), false);
}

void line_end(struct line *l)
{
	if (is_shown(l))
		l->sink->end_line(l->sink->data);
	l->used = 0;
	l->number++;
}

static void printer_put(void *data, enum top_attribute a, const char *text)
{
	struct top_printer *p = data;
	size_t len = strlen(text);

	while (len && text[len - 1] == ' ')
		len--;
	if (len) {
		fprintf(p->out, "%*s%.*s", (int)p->blanks, "", (int)len, text);
		p->blanks = 0;
	}
	p->blanks += strlen(text) - len;
}

static void printer_end_line(void *data)
{
	struct top_printer *p = data;

	p->blanks = 0;
	putc('\n', p->out);
}

struct top_sink top_printer_sink(struct top_printer *p)
{
	return (struct top_sink){printer_put, printer_end_line, p};
}

/* --- layout ----------------------------------------------------------------------------------- */

/* The column of the next priority, by its place in the table. */
static size_t by_priority(const struct top_layout *l, size_t priority)
{
	size_t i = 0;

	while (i < l->count - 1 && l->table[i].priority != priority)
		i++;
	return i;
}

/* What is left goes to texts that are cut, then to limits beside figures, then to bars. */
static int growth_pass(const struct top_column *c)
{
	if (c->kind == COLUMN_IS_TEXT)
		return 0;
	return c->bar ? 2 : 1;
}

/* Gives one place to each column of this pass that has a use for it; true when there was one. */
static bool grow_columns(struct top_layout *l, const size_t *longest, int pass, size_t *used)
{
	bool grown = false;

	for (size_t i = 0; i < l->count && *used < l->width; i++) {
		const struct top_column *c = &l->table[i];
		size_t most = pass == 0 ? MIN(longest[i], c->most) : c->most;

		if (pass != growth_pass(c) || !l->columns[i] || l->columns[i] >= most)
			continue;
		l->columns[i]++;
		l->bar[i] += !!c->bar;
		++*used;
		grown = true;
	}
	return grown;
}

void top_layout_table(const struct top_column *table, size_t count, const size_t *longest,
	size_t width, struct top_layout *ret)
{
	size_t used = 0;

	*ret = (struct top_layout){.table = table, .count = count, .width = width};
	for (size_t p = 0; p < count; p++) {
		size_t i = by_priority(ret, p), want = table[i].width;

		/* Names come first, but long ones do not push all else off a narrow screen. */
		if (p == 0)
			want = MAX(want, MIN(longest[i], width / 5));
		if (used && used + 1 + want > width)
			continue;
		ret->columns[i] = (unsigned short)MIN(want, width);
		ret->bar[i] = table[i].bar;
		used += (used ? 1 : 0) + ret->columns[i];
	}
	for (int pass = 0; pass < 3; pass++)
		while (grow_columns(ret, longest, pass, &used))
			;
}

void top_layout_for(const struct top_model *m, size_t width, struct top_layout *ret)
{
	top_layout_table(top_columns, COLUMN_COUNT, m->longest, width, ret);
}

/* --- the table -------------------------------------------------------------------------------- */

/* A title with the letter that sorts by it marked; the column of the sort is marked as a whole. */
static void put_title(struct line *l, const struct top_column *c, bool sorted, size_t width)
{
	size_t len = strlen(c->title), pad = width > len ? width - len : 0;
	bool text = c->kind == COLUMN_IS_TEXT;
	const char *key = strchr(c->title, c->key);

	if (!key)
		key = strchr(c->title, c->key - 'a' + 'A');
	line_fit(l, ATTRIBUTE_TITLE, "", text ? 0 : pad, false);
	if (sorted) {
		line_put(l, ATTRIBUTE_TITLE_SORT, c->title);
	} else {
		char before[16], letter[2] = {*key, '\0'};

		snprintf(before, sizeof(before), "%.*s", (int)(key - c->title), c->title);
		line_put(l, ATTRIBUTE_TITLE, before);
		line_put(l, ATTRIBUTE_TITLE_KEY, letter);
		line_put(l, ATTRIBUTE_TITLE, *key ? key + 1 : "");
	}
	line_fit(l, ATTRIBUTE_TITLE, "", text ? pad : 0, false);
}

void top_view_titles(
	const struct top_model *m, const struct top_layout *layout, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = layout->width};

	for (size_t i = 0; i < layout->count; i++) {
		if (!layout->columns[i])
			continue;
		line_fit(&l, ATTRIBUTE_TITLE, "", l.used > 0, false);
		put_title(&l, &layout->table[i], i == m->sort, layout->columns[i]);
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

void top_view_row(const struct top_model *m, const struct top_layout *layout,
	const struct top_row *r, const struct top_sink *sink)
{
	struct line l = {.sink = sink, .width = layout->width};

	for (size_t i = 0; i < layout->count; i++) {
		const struct top_column *c = &layout->table[i];
		size_t width = layout->columns[i], bar = layout->bar[i];
		enum top_level level = i == COLUMN_NAME ? r->worst : r->level[i];
		_cleanup_free_ char *text = column_text(c, m, r, width - bar);

		if (!width)
			continue;
		line_fit(&l, ATTRIBUTE_NORMAL, "", l.used > 0, false);
		if (bar)
			put_bar(&l, r, i, bar);
		line_fit(&l, level_attribute(level, ATTRIBUTE_NORMAL), text ? text : "?",
			width - bar, c->kind != COLUMN_IS_TEXT);
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
	if (m->image)
		line_item(&l, ATTRIBUTE_FAINT, "left/right step, l now");
	else
		line_item(
			&l, ATTRIBUTE_FAINT, "+/- every %s", cell_duration(status->delay_ns).text);
	line_item(&l, ATTRIBUTE_FAINT, "q quit");
	line_item(&l, ATTRIBUTE_FAINT, "h help");
	line_item(&l, ATTRIBUTE_FAINT, "/ filter");
	line_item(&l, ATTRIBUTE_FAINT, "Enter details");
	line_item(&l, ATTRIBUTE_FAINT, "space pause");
	line_end(&l);
}
