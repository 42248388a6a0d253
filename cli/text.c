/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/*
 * Names, host names and groups come from containers' configurations, which their owners write: a
 * terminal must never see their escape sequences. Backslashes stay as they are, because systemd's
 * scopes are full of them and a name that is shown can then be typed back.
 */

/* Characters that do not show but change how others show. */
static bool is_format_character(wint_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xad || c == 0x61c || c == 0x180e ||
	       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static bool is_printable(wchar_t c)
{
	/* wcwidth() is negative for control characters, C1 included. */
	return wcwidth(c) >= 0 && !is_format_character((wint_t)c);
}

bool text_needs_no_escape(const char *s, size_t len)
{
	for (const char *end = s + len; s < end; s++)
		if (*s < ' ' || *s > '~' || *s == '\\' || *s == '"')
			return false;
	return true;
}

char *text_clean_n(const char *s, size_t len)
{
	/* "\xNN" is four bytes for one; "\uNNNN" is shorter than three per byte. */
	char *clean = malloc(4 * len + 1), *end = clean;
	mbstate_t state = {0};

	if (!clean)
		return NULL;
	for (size_t i = 0; i < len;) {
		wchar_t c;
		size_t n = mbrtowc(&c, s + i, len - i, &state);

		if (n == 0 || n > len - i) { /* NUL, incomplete, or no UTF-8 */
			state = (mbstate_t){0};
			end += sprintf(end, "\\x%02x", (unsigned char)s[i]);
			i++;
			continue;
		}
		if (is_printable(c))
			end = mempcpy(end, s + i, n);
		else if (n == 1)
			end += sprintf(end, "\\x%02x", (unsigned char)c);
		else
			end += sprintf(end, "\\u%04x", (unsigned int)c);
		i += n;
	}
	*end = '\0';
	return clean;
}

char *text_clean(const char *s)
{
	return text_clean_n(s, strlen(s));
}

void text_line(FILE *out, const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	clean = text ? text_clean(text) : NULL;
	fprintf(out, "%s\n", clean ? clean : "out of memory");
}

/* The length of the first character of a clean text, and its columns. */
static size_t character(const char *s, size_t *ret_columns)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, s, strlen(s), &state);
	int columns = n > 0 && n <= MB_LEN_MAX ? wcwidth(c) : 1;

	*ret_columns = columns < 0 ? 1 : (size_t)columns;
	return n > 0 && n <= MB_LEN_MAX ? n : 1;
}

size_t text_width(const char *clean)
{
	size_t width = 0, columns;

	for (; *clean; clean += character(clean, &columns), width += columns)
		;
	return width;
}

void csv_text(FILE *out, bool clean, const char *s)
{
	_cleanup_free_ char *cleaned = clean ? text_clean(s) : NULL;
	const char *quote;

	s = cleaned ? cleaned : s;
	quote = s[strcspn(s, ",\"\r\n")] ? "\"" : "";
	fputs(quote, out);
	for (; *s; s++)
		fprintf(out, *s == '"' ? "\"%c" : "%c", *s);
	fputs(quote, out);
}

char *text_fit(const char *clean, size_t width, bool right)
{
	size_t whole = text_width(clean), used = 0, bytes = 0, columns, n;
	int pad = whole < width ? (int)(width - whole) : 0;

	if (width == 0)
		return strdup("");
	if (whole <= width)
		return format_string("%*s%s%*s", right ? pad : 0, "", clean, right ? 0 : pad, "");
	while ((n = character(clean + bytes, &columns)) && used + columns < width) {
		used += columns;
		bytes += n;
	}
	/* A wide character that did not fit leaves a column over. */
	return format_string("%.*s…%*s", (int)bytes, clean, (int)(width - used - 1), "");
}

char *join_lines(const char *lines)
{
	char *joined = strdup(lines);

	for (char *newline = joined; newline && (newline = strchr(newline, '\n'));)
		*newline = ',';
	return joined;
}

char *text_join(const char *lines)
{
	_cleanup_free_ char *joined = join_lines(lines);

	return joined ? text_clean(joined) : NULL;
}
