/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../cli/json.h"
#include "stat.h"

/*
 * What a period's history says of instances and their host, for `report` and `fit`; part of the
 * program `loadcell`. read.c makes it of RRDs, ring, ledger and snapshot, export.c of what
 * `report --format json` has written. Figures are doubles in base units: NAN is not known,
 * INFINITY unlimited. Each figure is a row of a table (fields.c), from which CSV, JSON and their
 * reading come.
 */
#define REPORT_POINTS_MAX 10000 /* of a series: a year of hours, a day of 10 s */
#define REPORT_SERIES_MAX 1000  /* where each instance keeps its own: 30 days of hours */
#define REPORT_GROUPS_MAX 500
#define REPORT_NEAR       0.9 /* of a limit is near it */

/* Averages over the same points everywhere: of a host's instances, and of their sums. */
enum report_resource {
	REPORT_CPU,    /* cores */
	REPORT_MEMORY, /* working set, bytes */
	REPORT_PIDS,
	REPORT_DISK,
	REPORT_RESOURCES
};

#include "fields.h"

struct report_row {
	char *name, *host, *groups; /* handle, or what --by made one of; groups one a line */
	uint32_t index;             /* 0: a host, a group, or of another host */
	bool running;
	double *series[REPORT_RESOURCES]; /* n points; NULL: not kept */
	double *upper[REPORT_RESOURCES];  /* of a sum: the maxima summed; NULL otherwise */
	double value[FIELD_COUNT];
	struct stat_forecast forecast[REPORT_RESOURCES]; /* CPU: never */
	char risk[64]; /* "oom memory": what is near its limit; "" */
};

enum report_by {
	BY_INSTANCE,
	BY_PREFIX,
	BY_GROUP,
	BY_HOST
};

struct report_ask {
	char *const *patterns; /* as of `list`; only what is shown, never what is in host */
	size_t n_patterns;
	uint64_t from_s, to_s;
	enum report_by by;
	unsigned int permille; /* that recommended limits are made of: 990 */
	double margin;         /* and this on top of it: 0.2 */
	bool keep_series;      /* of the rows; the host's are always there */
	unsigned int backtest; /* days ahead; 0: none */
};

/* One that holds instances, as it is now. */
struct report_filesystem {
	char *mount; /* where */
	double size, available;
};

struct report {
	uint64_t from_s, to_s;
	uint64_t start_s, step_s; /* point i: (start + i * step, start + (i + 1) * step] */
	size_t n;
	uint64_t peak_s; /* resolution of maxima */
	struct report_row *row;
	size_t rows, rows_size;
	struct report_row host;          /* all instances summed, and what only a host has */
	double *other[REPORT_RESOURCES]; /* used beside the instances; NULL: not known */
	struct report_filesystem *filesystem;
	size_t filesystems;
	struct stat_backtest backtest[REPORT_RESOURCES];
	uint64_t damaged; /* files and lines that could not be read */
	char damage[ERROR_MAX];
};

/* 0; a negative errno with a sentence. Free with report_free() in any case. */
int report_read(
	const struct cli *cli, const struct report_ask *ask, struct report *ret, struct error *err);
/* An export of one host; file is for messages. */
int report_parse(const json_t *document, const char *file, const struct report_ask *ask,
	struct report *ret, struct error *err);
/* Calls for the document of each file, .gz or not, "-" is standard input; one is in memory at a
 * time. Stops at non-zero and returns it; what cannot be read is an error. */
int report_each_export(char *const *files, size_t n,
	int (*call)(void *data, const char *file, const json_t *document), void *data,
	struct error *err);
void report_free(struct report *r);
static inline void cleanup_report_free(struct report *r)
{
	report_free(r);
}
/* Percentiles and what follows from the series: for rows that came without figures. */
void report_figures(const struct report *r, const struct report_ask *ask, struct report_row *row);
