/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "report.h"

/* --- figures.c -------------------------------------------------------------------------------- */
void row_clear(struct report_row *row);
void row_free(struct report_row *row);
struct report_row *report_add_row(struct report *r); /* NULL: no memory */
double *series_new(size_t n);                        /* all NAN */
int report_add_filesystem(struct report *r, const char *mount, double size, double available);
/* As stat_percentiles(), which leaves the values as they are. */
size_t percentiles_of(const double *values, size_t n, const unsigned int *permille,
	size_t n_permille, double *ret);
void add_point(double *sum, double v); /* NAN adds nothing */
double last_known(const double *values, size_t n);
double near_limit(const double *used, const double *limits, size_t n, double limit);
void report_percentiles(const struct report *r, struct report_row *row);
void report_forecast(
	const struct stat_history *h, enum report_resource resource, struct report_row *row);
void find_risks(struct report_row *row);
/* Adds an instance to a group or, with its maxima as upper bound, to the host. */
int report_sum(
	const struct report *r, struct report_row *sum, const struct report_row *row, bool upper);
int report_host_figures(struct report *r);

/* --- runs.c: the ledger and the sample -------------------------------------------------------- */
#define REPORT_KEPT(X) /* of each run's figures */                                                 \
	X(CPU_LIMIT, CPU_LIMIT)                                                                    \
	X(MEMORY_LIMIT, MEMORY_LIMIT)                                                              \
	X(PIDS_LIMIT, PIDS_LIMIT)                                                                  \
	X(DISK_LIMIT, DISK_LIMIT)                                                                  \
	X(CPU_USAGE, CPU_USAGE)                                                                    \
	X(IO_READ, IO_READ_BYTES)                                                                  \
	X(IO_WRITE, IO_WRITE_BYTES)                                                                \
	X(NET_RECEIVE, NETWORK_RECEIVE_BYTES)                                                      \
	X(NET_TRANSMIT, NETWORK_TRANSMIT_BYTES)                                                    \
	X(OOM_KILLS, MEMORY_OOM_KILLS)
#define REPORT_KEPT_ID(id, m) KEPT_##id,
enum kept {
	REPORT_KEPT(REPORT_KEPT_ID) KEPT_COUNT
};
struct run {
	uint64_t id, start_s, end_s; /* end: UINT64_MAX while it runs */
	double kept[KEPT_COUNT];
	double kills; /* OOM kills that events of the period tell; NAN: none does */
	uint32_t index;
	bool wanted;
	char *groups;
};
struct runs_list {
	struct run *item; /* by index, then start */
	size_t n, size;
	struct report_row *host; /* gets what only the sample tells */
	const struct report_ask *ask;
};
int runs_read(const struct cli *cli, const struct report_ask *ask, struct report *r,
	struct runs_list *ret, struct error *err);
void runs_free(struct runs_list *l);
const struct run *runs_of(const struct runs_list *l, uint32_t index, size_t *ret_n);

extern const struct resource {
	const char *name;
	enum field limit, near, max; /* near: of CPU and memory */
	enum kept kept;
} report_resource[REPORT_RESOURCES];

/* --- what is written: print.c, html.c, export.c ----------------------------------------------- */
struct pen {
	FILE *out;
	bool html;
	int name; /* width of names, in text */
};
struct section_column {
	enum field field;
	const char *title;
	unsigned char width;
};
struct section {
	const char *title, *unit;
	bool risks;                      /* a column of them at the end */
	struct section_column column[9]; /* up to one of width 0 */
};
struct cell field_cell(enum field field, double v);
void field_number(FILE *out, double v); /* the exact decimal; nothing when it is not known */
void pen_text(const struct pen *p, const char *text);
void put_section_head(const struct pen *p, const struct section *s);
void put_section_row(const struct pen *p, const struct section *s, const struct report_row *row);
void put_notes(const struct pen *p, const struct report *r, const struct report_ask *ask);
void report_tables(const struct pen *p, const struct report *r, const struct report_ask *ask);

void report_text(const struct pen *p, const struct report *r, const struct report_ask *ask);
void report_html(const struct pen *p, const struct report *r, const struct report_ask *ask);
/* The page around it; report_html() has its own. */
void html_begin(FILE *out, const char *title);
void html_end(FILE *out);
void report_csv_head(FILE *out);
/* Texts that a spreadsheet would take for something else get an apostrophe in front. */
void report_csv_row(FILE *out, bool clean, const struct report *r, const struct report_row *row);
/* The exact decimal, null or "unlimited". */
void json_figure(struct json_out *j, const char *key, double v);
/* A host in the list of a fleet, or with a key all together. */
void report_json_fleet(struct json_out *j, const char *key, const struct report_row *row);
void report_json(FILE *out, const struct report *r, const struct report_ask *ask);
