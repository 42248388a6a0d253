/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-line.h"

#include <stdarg.h>

#include "cli.h"

static void put_clean(
	struct line *l, enum top_attribute a, const char *clean, size_t width, bool right)
{
	_cleanup_free_ char *fit = NULL;

	width = MIN(width, l->width - l->used);
	fit = text_fit(clean, width, right);
	if (!fit || !width)
		return;
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

void line_blank(struct line *l, size_t n)
{
	line_fit(l, ATTRIBUTE_NORMAL, "", n, false);
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
	line_blank(l, gap);
	put_clean(l, a, clean, text_width(clean), false);
}

void line_end(struct line *l)
{
	l->used = 0;
	l->sink->end_line(l->sink->data);
}
