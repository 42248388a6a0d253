/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "index.h"

/* The index in memory, for index.c and index-file.c only. */
#define INDEX_NUMBER_MAX UINT32_C(0x7fffffff)

/* A chained hash table of nodes that lie inside what they find. */
struct node {
	struct node *next;
	uint64_t hash;
};

struct table {
	struct node **buckets;
	size_t size, used; /* size is a power of two */
};

/* All entries of one name; the owner has the plain name as its handle. */
struct name {
	struct node node;
	struct entry *owner;
	size_t entries;
	char text[];
};

struct entry {
	struct index_entry e;
	struct node by_key, by_number;
	struct name *name;
	uint64_t saved_seen_s;
	char own_context[sizeof("~2147483647")];
	char text[]; /* lxcpath NUL, then the handle where it is not the plain name */
};

struct index {
	char *path;
	struct table keys, numbers, names;
	struct entry **all; /* in the order of their making */
	size_t count, size;
	bool dirty;
};

struct entry *index_find_key(const struct index *x, const char *lxcpath, const char *name);
struct entry *index_find_number(const struct index *x, uint32_t number);
struct name *index_find_name(const struct index *x, const char *text);
bool index_lengths_ok(const char *lxcpath, const char *name);

/* Makes an entry whose key and number are known to be free; plain: its handle is its name. */
struct entry *index_make_entry(
	struct index *x, const char *lxcpath, const char *name, uint32_t number, bool plain);
/* Takes an entry out of all tables and frees it; the caller takes it out of x->all. */
void index_drop_entry(struct index *x, struct entry *e);
