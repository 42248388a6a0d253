/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli.h"

/* What `list` prints, whichever form it takes. */
struct listing {
	const struct view *view;
	const struct row_match *rows;
	size_t n;
};

/* A column of the text table, or what --sort names: a text, or one metric or two summed. */
struct column {
	const char *title, *key; /* key: for --sort, where the title is not unique */
	enum snapshot_text text;
	bool is_text;
	unsigned int metric[2];
	size_t width; /* a figure has five characters at most */
	int rank;     /* the lower, the narrower the terminal may be */
};

int list_sort_column(const char *name, struct column *ret);

/* list-csv.c: RFC 4180, a header and one line per instance. */
int list_csv(const struct cli *cli, const struct listing *l);
