/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "../cli/json.h"
#include "site.h"

/* What is asked for. Texts are decoded and live as long as the request. */
struct request {
	struct MHD_Connection *connection;
	char *path;        /* "/instance/web01" */
	char *key;         /* path and query: what an answer is kept under */
	const char *rest;  /* of the path, behind the route's */
	bool open_metrics; /* which text of /metrics is accepted */
};

/* The value of a parameter of the query, NULL without. */
const char *request_value(const struct request *r, const char *name);
/* A whole number up to max, or `without` where there is none; UINT64_MAX: it is no such number. */
uint64_t request_number(const struct request *r, const char *name, uint64_t without, uint64_t max);

struct answer {
	unsigned int status; /* 200 */
	const char *type;
	char *body;
	size_t len;
	unsigned int retry_after; /* seconds; 0: no word of it */
	bool changes;             /* with each time: nobody asks whether it is still the same */
};

/* Starts a body that is written to the FILE; ended by answer_close(). NULL: no memory. */
FILE *answer_open(struct answer *a, const char *type);
void answer_close(struct answer *a, FILE *out);
/* One sentence instead of what was asked for: JSON below /api/, text elsewhere. */
void answer_error(const struct request *r, struct answer *a, unsigned int status,
	const char *format, ...) _printf_(4, 5);
/* What may stand in HTML text and attributes. */
void put_html(FILE *out, const char *text);

#define TYPE_JSON "application/json"
#define TYPE_HTML "text/html; charset=utf-8"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* --- the answers (api.c, api-history.c, openmetrics.c, pages.c, picture.c) ----------------------
 */
struct pages;

struct asked {
	struct site *site;
	const struct pages *pages;
	const struct request *request;
};

void answer_instances(const struct asked *q, struct answer *a);
void answer_instance(const struct asked *q, struct answer *a);
void answer_series(const struct asked *q, struct answer *a);
void answer_events(const struct asked *q, struct answer *a);
void answer_runs(const struct asked *q, struct answer *a);
void answer_table(const struct asked *q, struct answer *a);
void answer_openmetrics(const struct asked *q, struct answer *a);
void answer_health(const struct asked *q, struct answer *a);
void answer_page(const struct asked *q, struct answer *a);
void answer_instance_page(const struct asked *q, struct answer *a);
void answer_picture(const struct asked *q, struct answer *a);

/* The files of the pages, read once at the start. */
struct page_file {
	const char *name, *type;
	char *body;
	size_t len;
};
int pages_load(const char *dir, struct pages **ret, struct error *err);
void pages_free(struct pages *p);
DEFINE_CLEANUP(struct pages *, pages_free)
const struct page_file *pages_at(const struct pages *p, size_t n); /* NULL: there are no more */
/* NULL: there is no such file. */
const struct page_file *pages_find(const struct pages *p, const char *name);
