/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli.h"

/*
 * A streaming JSON writer: nothing is held in memory for 5,000 instances, and figures are exact
 * decimals. jansson writes the strings; its numbers are doubles, which print 0.1 as
 * 0.10000000000000001 and lose the nanoseconds of large counters.
 */
struct json_out {
	FILE *out;
	bool comma;
};

/* In an object give a key, in an array NULL. */
void json_key(struct json_out *j, const char *key); /* what follows is written by the caller */
void json_begin(struct json_out *j, const char *key, char bracket);
void json_end(struct json_out *j, char bracket);
void json_line(struct json_out *j); /* a line break before the next element, for people */
void json_text(struct json_out *j, const char *key, const char *s); /* NULL or "" is null */
void json_number(struct json_out *j, const char *key, uint64_t n);
void json_bool(struct json_out *j, const char *key, bool b);
void json_seconds(struct json_out *j, const char *key, uint64_t ns);
void json_metric(struct json_out *j, const char *key, const struct metric *m, struct value v);
/* What jansson parsed; NULL is null. */
void json_embed(struct json_out *j, const char *key, const json_t *object);
/* An array of a text's lines. */
void json_lines(struct json_out *j, const char *key, const char *text);
/* An object of a text's "key=value" lines. */
void json_pairs(struct json_out *j, const char *key, const char *text);
/* Members of an object: type, and file, controller, key ... or the note. */
void json_source(struct json_out *j, const struct metric_source *s, int version);

/* --- the document of `list` and `show` (document.c) ------------------------------------------ */
/* {"schema":1,...,"host":{...} */
void document_head(struct json_out *j, const struct view *v);
/* The same and "instances":[ */
void document_begin(struct json_out *j, const struct view *v);
/* "metrics": an object of all metrics of a scope. */
void document_metrics(
	struct json_out *j, const struct view *v, enum metric_scope scope, size_t row);
/* The value of a "key=value" line, not ended with NUL; NULL when there is none. */
const char *line_value(const char *text, const char *key, size_t *ret_len);
/* The members of one instance, without its brackets. */
void document_instance(struct json_out *j, const struct view *v, const struct row_match *row);
void document_end(struct json_out *j);
/* What `loadcell metrics --json` prints. */
void document_metric_table(FILE *out);
