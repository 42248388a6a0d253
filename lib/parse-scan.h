/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What the parsers share: walking over lines, words and numbers without leaving the text. */
struct span {
	const char *p, *end;
};

static inline struct span span_of(const char *buf, size_t len)
{
	return (struct span){buf, len ? buf + len : buf};
}

static inline size_t span_len(const struct span *s)
{
	return (size_t)(s->end - s->p);
}

static inline bool span_is(const struct span *s, const char *word)
{
	size_t len = strlen(word);

	return span_len(s) == len && memcmp(s->p, word, len) == 0;
}

static inline bool span_starts(const struct span *s, const char *prefix)
{
	size_t len = strlen(prefix);

	return span_len(s) >= len && memcmp(s->p, prefix, len) == 0;
}

/* The kernel ends each line with a newline: a line without one is torn and not returned. */
static inline bool next_line(struct span *text, struct span *line)
{
	const char *newline;

	if (text->p == text->end)
		return false;
	newline = memchr(text->p, '\n', span_len(text));
	if (!newline)
		return false;
	*line = (struct span){text->p, newline};
	text->p = newline + 1;
	return true;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline void skip_blanks(struct span *s)
{
	while (s->p < s->end && is_blank(*s->p))
		s->p++;
}

/* A word ends at a blank or at the end. */
static inline bool next_word(struct span *line, struct span *word)
{
	skip_blanks(line);
	word->p = line->p;
	while (line->p < line->end && !is_blank(*line->p))
		line->p++;
	word->end = line->p;
	return word->p < word->end;
}

static inline bool skip_char(struct span *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

#define DIGITS_SAFE 19 /* any number of 19 digits is below 2^64 */

/* Takes all digits. -EBADMSG: there are none; -ERANGE: more than 2^64-1. */
static inline int scan_digits(struct span *s, uint64_t *ret)
{
	const char *p = s->p;
	bool overflow = false;
	uint64_t n = 0;

	for (; p < s->end && is_digit(*p); p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (p - s->p >= DIGITS_SAFE)
			overflow |= n > UINT64_MAX / 10 ||
				    (n == UINT64_MAX / 10 && digit > UINT64_MAX % 10);
		n = n * 10 + digit;
	}
	if (p == s->p)
		return -EBADMSG;
	s->p = p;
	if (overflow)
		return -ERANGE;
	*ret = n;
	return 0;
}

/* Digits with blanks before, and a blank or the end behind. */
static inline int scan_column(struct span *line, uint64_t *ret)
{
	uint64_t number;
	int r;

	skip_blanks(line);
	r = scan_digits(line, &number);
	if (r)
		return r;
	if (line->p < line->end && !is_blank(*line->p))
		return -EBADMSG;
	*ret = number;
	return 0;
}
