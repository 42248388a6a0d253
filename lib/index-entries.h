/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "index.h"

/* The index in memory, for index.c and index-file.c only. */
#define INDEX_NUMBER_MAX UINT32_C(0x7fffffff)

struct index_item {
	struct index_entry e; /* first: search trees compare it */
	uint64_t saved_seen_s;
	bool dropped;
	char *line; /* as it stands in the file; NULL: to be made anew */
};

struct index {
	char *path;
	void *keys, *numbers, *handles; /* tsearch(3) trees of entries */
	struct index_item **all;        /* in the order of their making */
	size_t count, size;
	bool dirty;
};

/* -EINVAL, -EEXIST: another one has key, number or, where it shall be plain, the handle. */
int index_make_entry(struct index *x, const char *lxcpath, const char *name, uint32_t number,
	bool plain, struct index_item **ret);
/* Takes an entry out of all trees and frees it; the caller takes it out of x->all. */
void index_drop_entry(struct index *x, struct index_item *e);
