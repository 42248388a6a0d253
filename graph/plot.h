/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "fetch.h"
#include "pictures.h"

/* A picture with its values: what is drawn, and by what rules. plot.c makes it, render.c draws it.
 */
enum mark_kind {
	MARK_START,
	MARK_STOP,
	MARK_OOM,
	MARK_KINDS
};

struct mark {
	uint64_t time_s;
	enum mark_kind kind;
};

struct plot_line {
	char label[256];
	enum line_style style;
	unsigned int colour;
	bool below;
	double *values; /* n of them; in percent where the plot is */
};

#define PLOT_LINES_MAX 16
#define PLOT_MARKS_MAX 60
struct plot {
	char title[512];
	const char *unit_label;
	enum metric_unit unit;
	bool percent, dark;
	uint64_t from_s, to_s;    /* of the picture */
	uint64_t start_s, step_s; /* of the values, as in struct series */
	size_t n, lines;
	struct plot_line line[PLOT_LINES_MAX]; /* those that have a value */
	struct mark mark[PLOT_MARKS_MAX];
	size_t marks, marks_left_out;
};

struct plot_wanted {
	uint64_t from_s, to_s;
	size_t width; /* of the picture: there is no more to see */
	bool dark;
};

/* A picture of an instance or of the host, named in its title. -ENOENT: nothing is stored of it. */
int plot_picture(struct fetch *f, const struct config *config, const struct picture *p,
	uint32_t index, const char *name, const struct plot_wanted *w, struct plot *ret,
	struct error *err);
/* The instances that have most of a metric in that time, and the sum of the others. */
int plot_top(struct fetch *f, const struct metric *m, const struct plot_wanted *w, struct plot *ret,
	struct error *err);
void plot_free(struct plot *p);
static inline void cleanup_plot_free(struct plot *p)
{
	plot_free(p);
}

/* Starts, ends and OOM kills of an instance; of the host the OOM kills. */
int plot_read_marks(const struct config *config, uint32_t index, struct plot *p);

/* Draws it. *ret is the file, which the caller frees. */
struct render_options {
	unsigned int width, height;
	bool svg; /* else PNG */
};
int render(const struct plot *p, const struct render_options *o, void **ret, size_t *ret_len,
	struct error *err);
/* The arguments that librrd is given, for tests: NULL-ended; free each and the array. */
char **render_arguments(const struct plot *p, const struct render_options *o, const char *rrd);
