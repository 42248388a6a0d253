/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "top-model.h"

/*
 * Lines of text for a width, with attributes, handed piece by piece to a sink: curses, a file or
 * a test. Pure; the locale alone decides what is printable. No line is wider than asked.
 */
enum top_attribute {
	ATTRIBUTE_NORMAL,
	ATTRIBUTE_FAINT,
	ATTRIBUTE_BAR, /* the filled part of a bar at a normal level */
	ATTRIBUTE_STRONG,
	ATTRIBUTE_WARNING,
	ATTRIBUTE_CRITICAL,
	ATTRIBUTE_TITLE,
	ATTRIBUTE_TITLE_KEY,  /* the letter that sorts by this column */
	ATTRIBUTE_TITLE_SORT, /* the column it is sorted by */
	ATTRIBUTE_COUNT,
};

struct top_sink {
	void (*put)(void *data, enum top_attribute a, const char *text);
	void (*end_line)(void *data);
	void *data;
};

/* For lines of a file, none of which ends with blanks. */
struct top_printer {
	FILE *out;
	size_t blanks; /* held back */
};
struct top_sink top_printer_sink(struct top_printer *p);

/* --- one line while it is made: what does not fit is cut or left out -------------------------- */
struct line {
	const struct top_sink *sink;
	size_t width, used;
	/* Of a page that scrolls lines [first, end) are shown; end 0: all. */
	size_t number, first, end;
};

/* Text from a snapshot or elsewhere, escaped and cut at the end of the line. */
void line_put(struct line *l, enum top_attribute a, const char *text);
/* The same in exactly width columns (or what is left of the line). */
void line_fit(struct line *l, enum top_attribute a, const char *text, size_t width, bool right);
/* Puts the formatted item when the whole of it fits, after two blanks where it is not the first
 * one. */
void line_item(struct line *l, enum top_attribute a, const char *format, ...) _printf_(3, 4);
void line_end(struct line *l);

/* --- tables, of `list` too -------------------------------------------------------------------- */

/* Which columns are shown in how many places; 0: not shown. */
struct top_layout {
	const struct top_column *table;
	size_t count, width;
	unsigned short columns[COLUMN_COUNT], bar[COLUMN_COUNT];
};

/* Of any table of at most COLUMN_COUNT columns; longest[] as of column_note_widths(). */
void top_layout_table(const struct top_column *table, size_t count, const size_t *longest,
	size_t width, struct top_layout *ret);
void top_layout_for(const struct top_model *m, size_t width, struct top_layout *ret);

/* 1 (brief) to 4 lines about the host and what is wrong. Returns how many. */
size_t top_view_header(
	const struct top_model *m, size_t width, bool brief, const struct top_sink *sink);
/* One line when no or only old data can be shown; else nothing. Returns 0 or 1. */
size_t top_view_banner(const struct top_model *m, size_t width, const struct top_sink *sink);
void top_view_titles(
	const struct top_model *m, const struct top_layout *l, const struct top_sink *sink);
void top_view_row(const struct top_model *m, const struct top_layout *l, const struct top_row *r,
	const struct top_sink *sink);

/* The bottom line: what is filtered, paused and shown, and the keys where there is room. */
struct top_status {
	bool typing; /* the filter is being typed */
	bool paused;
	size_t first, lines, total; /* what is scrolled to */
	uint64_t delay_ns;
};
void top_view_status(const struct top_model *m, size_t width, const struct top_status *status,
	const struct top_sink *sink);

/* Pages that scroll: line `first` and up to `lines` more are handed to the sink. Return how many
 * lines there are in all. */
size_t top_view_details(const struct top_model *m, const struct top_row *r, size_t width,
	size_t first, size_t lines, const struct top_sink *sink);
size_t top_view_help(size_t width, size_t first, size_t lines, const struct top_sink *sink);
