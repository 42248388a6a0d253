/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/stat.h>

#include "cli.h"

/*
 * What `loadcell top` knows: the current snapshot, the counters of the one before it, and the rows
 * that are shown, filtered and sorted. No terminal and no clock in here.
 */

/* Columns in their order on the screen; the table stands in top-columns.c. */
enum top_column_id {
	COLUMN_NAME,
	COLUMN_CPU,
	COLUMN_MEMORY,
	COLUMN_PIDS,
	COLUMN_READ,
	COLUMN_WRITE,
	COLUMN_RECEIVE,
	COLUMN_TRANSMIT,
	COLUMN_PRESSURE_CPU,
	COLUMN_PRESSURE_MEMORY,
	COLUMN_PRESSURE_IO,
	COLUMN_THROTTLED,
	COLUMN_DISK,
	COLUMN_UPTIME,
	COLUMN_OOM,
	COLUMN_HOSTNAME,
	COLUMN_GROUPS,
	COLUMN_COUNT,
};

enum top_level {
	LEVEL_NORMAL,
	LEVEL_WARNING,
	LEVEL_CRITICAL
};

struct top_row {
	size_t row; /* in the snapshot */
	uint32_t index;
	struct snapshot_row fixed;
	const struct value *before;       /* of the same run in the sample before; NULL: none */
	struct value value[COLUMN_COUNT]; /* what a column sorts by; texts: absent */
	struct value ratio[COLUMN_COUNT]; /* fill or share in billionths, for bars and levels */
	enum top_level level[COLUMN_COUNT];
	enum top_level worst; /* over all columns, shown or not */
};

/* The values of the cycle before, detached from the file they came from. */
struct top_past {
	uint32_t index;
	uint64_t run;
	const struct value *values; /* one per slot of SCOPE_INSTANCE */
};

struct top_sample {
	uint64_t monotonic_ns;
	uint64_t boot;         /* monotonic times of one boot only can be compared */
	struct top_past *rows; /* by index */
	struct value *values;
	size_t count;
	bool rises; /* they are what counters rose by from there on: all that an RRD knows */
};
/* Makes room for so many rows; their values are taken in turn. */
int top_sample_reserve(struct top_sample *s, size_t rows);
struct value *top_sample_next(const struct top_sample *s);
void top_sample_sort(struct top_sample *s);
/* Of that run; NULL: it has none. */
const struct value *top_sample_find(const struct top_sample *s, uint32_t index, uint64_t run);
void top_sample_free(struct top_sample *s);

#define TOP_FILTER_MAX 128

struct top_model {
	struct snapshot *snapshot;   /* NULL: none could be read yet */
	struct stat file;            /* of it, to see that nothing new was published */
	struct error error;          /* why the last attempt failed; "": it did not */
	const struct config *config; /* says when data is stale */
	uint64_t age_ns;
	struct top_sample before;
	uint64_t elapsed_ns; /* since then */
	void *image;         /* of the snapshot of a moment of the past; NULL: it is the present */
	bool exact;          /* that is a sample, else the mean of what it calls its interval */

	struct top_row *all; /* in the snapshot's order */
	size_t all_count;
	struct top_row **shown; /* filtered and sorted */
	size_t shown_count;
	size_t longest[COLUMN_COUNT]; /* text in a column, in terminal columns */

	enum top_column_id sort;
	bool ascending;
	char filter[TOP_FILTER_MAX];
};

void top_model_free(struct top_model *m);

/* Looks at the file again. 1: a new sample was read, 0: the same as before, negative: m->error
 * says why not; what was read before stays. The first time, the ring tells the cycle before. */
int top_model_refresh(struct top_model *m, const char *path, const char *ring_path);
/* A moment of the past instead (moment.h); takes all of it. */
int top_model_show(struct top_model *m, struct snapshot *s, void *image, struct top_sample *before,
	bool exact);
/* Back to the present: the next refresh is as the first one. */
void top_model_forget(struct top_model *m);
/* Of the last good sample; the past is never stale. */
bool top_model_is_stale(const struct top_model *m);

/* Filters and sorts again after sort, ascending or filter were changed. */
void top_model_arrange(struct top_model *m);
/* The first time a column is chosen its natural direction holds, the second time the other. */
void top_model_sort_by(struct top_model *m, enum top_column_id column);

struct value top_host_value(const struct top_model *m, unsigned int metric_id);
struct value top_row_value(const struct top_model *m, const struct top_row *r, unsigned int id);
/* The rise of a counter between the two samples, absent after a restart or when it fell. */
struct value top_row_rise(const struct top_model *m, const struct top_row *r, unsigned int id);
/* The same per second, in the inner scale of the unit (seconds: billionths of one second). */
struct value top_row_rate(const struct top_model *m, const struct top_row *r, unsigned int id);
/* a / b in billionths; absent when one of them is or b is 0. */
struct value top_ratio(struct value a, struct value b);

/* --- columns, of `list` too (top-columns.c) --------------------------------------------------- */
enum column_kind {
	COLUMN_IS_TEXT,
	COLUMN_IS_VALUE,  /* `metric`, with `other` as its limit where there is one */
	COLUMN_IS_SUM,    /* of both metrics */
	COLUMN_IS_RATE,   /* of the counter, of both where there is another */
	COLUMN_IS_SHARE,  /* of one counter's rise in the other's */
	COLUMN_IS_EVENTS, /* a counter that should not rise */
};

struct top_column {
	const char *title;
	const char *name; /* for `list --sort`, where the title is not unique */
	char key;         /* sorts by it in `top` */
	enum column_kind kind;
	enum snapshot_text text;
	unsigned int metric, other;
	unsigned int host;          /* the metric that limits where no other does */
	unsigned short width;       /* at least */
	unsigned short most;        /* at most */
	unsigned short bar;         /* of width: the least bar before the figures; 0: none */
	unsigned short priority;    /* 0 is shown first */
	uint64_t warning, critical; /* above this ratio; 0: no colour */
	const char *help;
};

extern const struct top_column top_columns[COLUMN_COUNT];

/* What a column sorts by, and its ratio for bars and levels; absent where it has none. */
struct value column_value(
	const struct top_column *c, const struct top_model *m, const struct top_row *r);
struct value column_ratio(
	const struct top_column *c, const struct top_model *m, const struct top_row *r);
/* The figures, in at most width columns where they can be so short; or the text, cleaned. The
 * caller frees. */
char *column_text(const struct top_column *c, const struct top_model *m, const struct top_row *r,
	size_t width);
/* Raises longest[] to what the texts of a row want. */
void column_note_widths(
	const struct top_column *columns, size_t n, const struct top_row *r, size_t *longest);
