/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util.h"

/*
 * /var/lib/loadcell/index: (lxcpath, name) to a stable 31-bit number (1 ..), handle and SNMP
 * context, never given to another instance. A text file of one JSON object per line, replaced
 * atomically; losing it would renumber every door.
 *
 * Number: the upper 31 bits of FNV-1a over lxcpath NUL name, 0 and taken ones probed upwards.
 * Handle: the name for the first instance that had it; "NAME~NUMBER" for any other and for a name
 * that contains '~'. Context: the handle up to 32 octets (longer ones never answer over AgentX),
 * else "~NUMBER".
 */
#define INDEX_ENTRIES_MAX 100000 /* beyond, the entries longest unseen and not live are dropped */

struct index_entry {
	uint32_t number;
	char *lxcpath, *name, *handle, *context;
	uint64_t run;         /* the last run seen; 0: none */
	uint64_t starts;      /* runs seen */
	uint64_t last_seen_s; /* wall clock */
};

struct index;
/* Reads the file; a missing one is an empty index. A damaged line or file: the good lines are
 * kept, the file is copied aside to path.damaged-TIME, and *err (with return 1) says so. */
int index_load(const char *path, struct index **ret, struct error *err);
void index_free(struct index *x);
DEFINE_CLEANUP(struct index *, index_free)

/* Finds or makes the entry. The pointer stays valid until index_free(), or until an index_save()
 * to which it is not live. A name is 1 to 255 bytes, a lxcpath at most 4095, else -EINVAL. */
int index_assign(
	struct index *x, const char *lxcpath, const char *name, const struct index_entry **ret);
const struct index_entry *index_find(const struct index *x, const char *lxcpath, const char *name);
const struct index_entry *index_by_number(const struct index *x, uint32_t number);
/* An exact handle. *ret_others: how many other entries have the same name. */
const struct index_entry *index_by_handle(
	const struct index *x, const char *handle, size_t *ret_others);
/* All, in the order of their making; stops at non-zero. */
int index_each(
	const struct index *x, int (*call)(void *data, const struct index_entry *e), void *data);
/* Notes a run: starts rises when it differs from the last one. */
void index_note_run(struct index *x, uint32_t number, uint64_t run, uint64_t now_s);
bool index_dirty(const struct index *x);
/* Writes when dirty; synced, then renamed. `live` tells which entries may not be dropped (NULL:
 * none is live). */
int index_save(struct index *x, bool (*live)(void *data, uint32_t number), void *data);

/* "NAME.NUMBER.rrd": the name percent-encoded outside [A-Za-z0-9._-], cut at 200 bytes. */
#define RRD_NAME_MAX 224
void index_rrd_name(const struct index_entry *e, char *buf, size_t size);
/* The number in such a file name, or -EINVAL. */
int index_rrd_number(const char *filename, uint32_t *ret);
