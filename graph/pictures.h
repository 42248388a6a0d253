/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../lib/metric.h"

/*
 * The pictures there are: one table (pictures.c) of what stands in each. Nothing here draws; the
 * program loadcell-graph does, and the web page may.
 */
enum picture_scope {
	PICTURE_INSTANCE,
	PICTURE_HOST
};

/* The same thing has the same colour everywhere; all are of Okabe and Ito's palette, which people
 * with any colour vision can tell apart. */
enum colour {
	COLOUR_USER,
	COLOUR_SYSTEM,
	COLOUR_WAIT,
	COLOUR_HELD_BACK, /* throttled, stolen */
	COLOUR_ANON,
	COLOUR_SHMEM,
	COLOUR_KERNEL,
	COLOUR_FILE,
	COLOUR_IN,
	COLOUR_OUT,
	COLOUR_CPU, /* where one resource stands beside another */
	COLOUR_MEMORY,
	COLOUR_IO,
	COLOUR_USED,
	COLOUR_COMMITTED,
	COLOUR_LINE,  /* against areas: black or white */
	COLOUR_LIMIT, /* dashed */
	COLOUR_PEAK,
	COLOUR_REST,
	COLOUR_START, /* marks */
	COLOUR_STOP,
	COLOUR_OOM,
	COLOUR_BACKGROUND,
	COLOUR_CANVAS,
	COLOUR_GRID,
	COLOUR_TEXT,
	COLOUR_COUNT,
};
/* 0xRRGGBB. */
unsigned int colour_of(enum colour c, bool dark);
/* Of the n-th of things that are all alike. */
#define COLOUR_SERIES 7
unsigned int colour_of_series(size_t n, bool dark);

enum line_style {
	STYLE_AREA,
	STYLE_STACK, /* on what stands before it */
	STYLE_LINE,
	STYLE_PEAK,      /* the highest steps, where a point is more than one */
	STYLE_LIMIT,     /* dashed; left out where it is far above all else */
	STYLE_LIMIT_NOW, /* not stored: as it is now */
};

struct picture_line {
	const char *label;
	unsigned int metric, minus; /* minus: never below 0 */
	unsigned int part_of;       /* metric / (metric + part_of) */
	enum line_style style;
	enum colour colour;
	bool below; /* mirrored, below zero */
};

#define PICTURE_LINES_MAX 8
struct picture {
	const char *id, *title;
	enum picture_scope scope;
	const char *unit;
	bool percent; /* of ratios, and seconds per second */
	bool no_marks;
	struct picture_line line[PICTURE_LINES_MAX]; /* up to one without label */
};

extern const struct picture pictures[];
extern const size_t pictures_count;
/* By its id; NULL as id: the first of that scope. NULL: there is none. */
const struct picture *picture_find(enum picture_scope scope, const char *id);
