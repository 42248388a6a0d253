/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"

#include <stdarg.h>
#include <stdio_ext.h>
#include <string.h>

#include <microhttpd.h>

const char *request_value(const struct request *r, const char *name)
{
	const char *value = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);

	return value && *value ? value : NULL;
}

uint64_t request_number(const struct request *r, const char *name, uint64_t without, uint64_t max)
{
	const char *text = request_value(r, name);
	unsigned long long n;
	char *end;

	if (!text)
		return without;
	errno = 0;
	n = strtoull(text, &end, 10);
	return errno || *end || *text < '0' || *text > '9' || n > max ? UINT64_MAX : n;
}

FILE *answer_open(struct answer *a, const char *type)
{
	FILE *out;

	free(a->body);
	a->body = NULL;
	a->type = type;
	a->status = MHD_HTTP_OK;
	out = open_memstream(&a->body, &a->len);
	/* No other thread has it, and its pieces are many. */
	if (out)
		__fsetlocking(out, FSETLOCKING_BYCALLER);
	return out;
}

void answer_close(struct answer *a, FILE *out)
{
	if (fclose(out) == 0)
		return;
	free(a->body);
	a->body = NULL;
	a->len = 0;
}

void answer_error(
	const struct request *r, struct answer *a, unsigned int status, const char *format, ...)
{
	bool json = !strncmp(r->path, "/api/", 5);
	_cleanup_free_ char *text = NULL;
	struct json_out j;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	j = (struct json_out){.out = answer_open(a, json ? TYPE_JSON : TYPE_TEXT)};
	a->status = status;
	if (!j.out)
		return;
	if (json) {
		json_begin(&j, NULL, '{');
		json_text(&j, "error", text ? text : "out of memory");
		json_end(&j, '}');
		putc('\n', j.out);
	} else {
		_cleanup_free_ char *clean = text ? text_clean(text) : NULL;

		fprintf(j.out, "%s\n", clean ? clean : "out of memory");
	}
	answer_close(a, j.out);
}

void put_html(FILE *out, const char *text)
{
	_cleanup_free_ char *clean = text_clean(text);

	for (const char *p = clean ? clean : "?"; *p; p++) {
		switch (*p) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(*p, out);
		}
	}
}
