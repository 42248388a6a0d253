/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../cli/cli.h"
#include "../graph/fetch.h"

/*
 * What all requests look at: the current sample, the one before, the last lines of the journals,
 * and the stored history. Every function may be called by any thread.
 */
struct site;
int site_new(const struct config *config, struct site **ret);
void site_free(struct site *s);
DEFINE_CLEANUP(struct site *, site_free)
const struct config *site_config(const struct site *s);

/* One look, for one request: all in it is of one sample. */
struct look {
	struct view view; /* view.snapshot NULL: there is no data. Age and staleness are now's */
	struct sample *taken; /* private */
	struct error why;     /* why there is no data, or why it is stale; else "" */
};
void site_look(struct site *s, struct look *ret);
void site_look_done(struct site *s, struct look *l);

/*
 * How much a counter of a row grew per second since the sample before; false where that is not
 * known. index: the instance's, 0 for the host.
 */
bool look_rate(const struct look *l, const struct metric *m, size_t row, uint32_t index,
	uint64_t run, double *ret);

enum site_journal {
	SITE_EVENTS,
	SITE_RUNS,
	SITE_JOURNALS,
};

struct site_line {
	char *text, *handle; /* as JSON on one line */
	char type[24];       /* of an event */
	double time;         /* of an event; seconds since 1970 */
	size_t size;
};
/*
 * Hands out the newest lines first, of one instance or (NULL) of all, until call returns false.
 * Only the last LINES_BYTES of text are kept: *ret_complete says whether that is all there is.
 * Returns how many lines have ever been seen: what says whether something has come.
 */
#define LINES_BYTES (8 << 20)
uint64_t site_lines(struct site *s, enum site_journal which, const char *handle,
	bool (*call)(void *data, const struct site_line *line), void *data, bool *ret_complete);

/*
 * A look at the history, for one thread at a time: fetch_open() reads the index, which need not
 * happen more than once a sample. Give it back with site_fetch_done().
 */
int site_fetch(struct site *s, struct fetch **ret, struct error *err);
void site_fetch_done(struct site *s, struct fetch *f);
