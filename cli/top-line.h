/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "top-view.h"

/* One line of the view while it is made: what does not fit is cut or left out. */
struct line {
	const struct top_sink *sink;
	size_t width, used;
};

/* Text from a snapshot or elsewhere, escaped and cut at the end of the line. */
void line_put(struct line *l, enum top_attribute a, const char *text);
/* The same in exactly width columns (or what is left of the line). */
void line_fit(struct line *l, enum top_attribute a, const char *text, size_t width, bool right);
void line_blank(struct line *l, size_t n);
/* Puts the formatted item when the whole of it fits, after two blanks where it is not the first
 * one. */
void line_item(struct line *l, enum top_attribute a, const char *format, ...) _printf_(3, 4);
void line_end(struct line *l);
