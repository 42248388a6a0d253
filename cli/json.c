/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <inttypes.h>
#include <string.h>

static void put_odd(FILE *out, const char *s, size_t len)
{
	_cleanup_free_ char *clean = text_clean_n(s, len);
	/* jansson refuses what is no UTF-8; then the cleaned text stands for it. */
	json_t *string = json_stringn(s, len);
	bool odd = !clean || strlen(clean) != len || memcmp(clean, s, len) != 0;

	if (!string && clean)
		string = json_string(clean);
	if (string)
		json_dumpf(string, out, JSON_ENCODE_ANY | (odd ? JSON_ENSURE_ASCII : 0));
	else
		fputs("null", out);
	json_decref(string);
}

static void put_string(FILE *out, const char *s, size_t len)
{
	/* Most names, and all keys. */
	if (!text_needs_no_escape(s, len)) {
		put_odd(out, s, len);
		return;
	}
	putc('"', out);
	fwrite(s, 1, len, out);
	putc('"', out);
}

static void element_n(struct json_out *j, const char *key, size_t len)
{
	if (j->comma)
		putc(',', j->out);
	if (key) {
		put_string(j->out, key, len);
		putc(':', j->out);
	}
	j->comma = true;
}

void json_key(struct json_out *j, const char *key)
{
	element_n(j, key, key ? strlen(key) : 0);
}

void json_begin(struct json_out *j, const char *key, char bracket)
{
	json_key(j, key);
	putc(bracket, j->out);
	j->comma = false;
}

void json_end(struct json_out *j, char bracket)
{
	putc(bracket, j->out);
	j->comma = true;
}

void json_line(struct json_out *j)
{
	if (j->comma)
		putc(',', j->out);
	putc('\n', j->out);
	j->comma = false;
}

void json_text(struct json_out *j, const char *key, const char *s)
{
	json_key(j, key);
	if (s && *s)
		put_string(j->out, s, strlen(s));
	else
		fputs("null", j->out);
}

void json_embed(struct json_out *j, const char *key, const json_t *object)
{
	json_key(j, key);
	if (object)
		json_dumpf(object, j->out, JSON_ENSURE_ASCII | JSON_COMPACT);
	else
		fputs("null", j->out);
}

void json_number(struct json_out *j, const char *key, uint64_t n)
{
	json_key(j, key);
	fprintf(j->out, "%" PRIu64, n);
}

void json_bool(struct json_out *j, const char *key, bool b)
{
	json_key(j, key);
	fputs(b ? "true" : "false", j->out);
}

void json_seconds(struct json_out *j, const char *key, uint64_t ns)
{
	json_key(j, key);
	fputs(cell_seconds(ns).text, j->out);
}

void json_metric(struct json_out *j, const char *key, const struct metric *m, struct value v)
{
	json_key(j, key);
	if (v.state == VALUE_PRESENT)
		fputs(cell_exact(m, v).text, j->out);
	else
		fputs(v.state == VALUE_UNLIMITED ? "\"unlimited\"" : "null", j->out);
}

void json_lines(struct json_out *j, const char *key, const char *text)
{
	size_t len;

	json_begin(j, key, '[');
	for_each_line(text, line, len)
	{
		json_key(j, NULL);
		put_string(j->out, line, len);
	}
	json_end(j, ']');
}

void json_pairs(struct json_out *j, const char *key, const char *text)
{
	size_t len;

	json_begin(j, key, '{');
	for_each_line(text, line, len)
	{
		const char *equals = memchr(line, '=', len);

		if (!equals)
			continue;
		element_n(j, line, (size_t)(equals - line));
		put_string(j->out, equals + 1, len - (size_t)(equals + 1 - line));
	}
	json_end(j, '}');
}
