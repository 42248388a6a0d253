/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/smi.h"

/*
 * The engine: answers GET and GETNEXT over tables that are sorted arrays of columns times sorted
 * arrays of rows, by binary search. It is the same for every MIB and context, does no I/O and
 * allocates nothing. It knows nothing of net-snmp; agent.c connects them.
 *
 * A MIB is a tree (mib_tree): constant tables of columns, each with a function that gives one
 * cell. Rows come from the view, the state of the world that does not change within a request.
 */
typedef unsigned long subid; /* net-snmp's oid */
#define MIB_OID_MAX   128
#define MIB_INDEX_MAX 3

struct view;

/* Where the question is asked: the view, and the instance of a context. */
struct mib_place {
	const struct view *view;
	uint32_t instance; /* its number; 0: the default context */
};

struct mib_value {
	uint64_t number;               /* also of SMI_INTEGER, which is never negative here */
	const void *bytes;             /* SMI_TEXT, SMI_OCTETS; SMI_OID: subids */
	size_t len;                    /* in bytes */
	char buffer[SMI_TEXT_MAX + 1]; /* for what has to be made */
};

struct mib_key {
	uint32_t index[MIB_INDEX_MAX];
	uint32_t row; /* which row of its source that is */
};

/* Keys in ascending order. skip: so many first sub-ids are not part of the index here. */
struct mib_rows {
	const struct mib_key *keys;
	size_t n;
	unsigned int skip;
};

struct mib_column {
	uint32_t arc;
	enum smi_syntax syntax;
	/* False: the cell is absent. */
	bool (*get)(const struct mib_place *p, const struct mib_key *key,
		const struct mib_column *c, struct mib_value *ret);
	const void *data; /* for get() */
};

/* Columns below `oid`, an entry's or a group of scalars' below the tree's root. Scalars are a table
 * of one row, whose index is 0. */
struct mib_table {
	subid oid[8];
	size_t len;
	unsigned int indexes; /* sub-ids of an index */
	const struct mib_column *columns;
	size_t n;
	struct mib_rows (*rows)(const struct mib_place *p);
};

/* What is registered as one: tables in ascending order of their oid, none below another. */
struct mib_tree {
	subid root[MIB_OID_MAX];
	size_t len;
	const struct mib_table *tables;
	size_t n;
};

struct mib_answer {
	const struct mib_table *table;
	const struct mib_column *column;
	const struct mib_key *key;
	unsigned int skip;
	struct mib_value value;
};

enum mib_result {
	MIB_FOUND,
	MIB_NO_OBJECT,   /* no such column */
	MIB_NO_INSTANCE, /* no such row, or the cell is absent */
	MIB_END,         /* nothing after it in this tree */
};

enum mib_result mib_get(const struct mib_tree *t, const struct mib_place *p, const subid *name,
	size_t len, struct mib_answer *ret);
/* The first cell after this name, which may be any. */
enum mib_result mib_next(const struct mib_tree *t, const struct mib_place *p, const subid *name,
	size_t len, struct mib_answer *ret);
/* The whole name of what was found. Returns its length. */
size_t mib_name(const struct mib_tree *t, const struct mib_answer *a, subid name[MIB_OID_MAX]);

/* For rows(): the one row of scalars. */
struct mib_rows mib_scalars(const struct mib_place *p);
/* For get(): a number, which is there. */
bool mib_number(struct mib_value *ret, uint64_t n);
/* For get(): a text, cut at SMI_TEXT_MAX. False for NULL and "". */
bool mib_text(struct mib_value *ret, const char *text);
