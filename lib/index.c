/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "index-entries.h"
#include "value.h"

#define CONTEXT_MAX 32   /* octets of an SNMP context, RFC 3415 */
#define SEEN_STEP_S 3600 /* last_seen alone is worth a write after so long */

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static int table_grow(struct table *t)
{
	size_t size = t->size ? t->size * 2 : 64;
	struct node **buckets = calloc(size, sizeof(struct node *));

	if (!buckets)
		return t->size ? 0 : -ENOMEM; /* longer chains work as well */
	for (size_t i = 0; i < t->size; i++) {
		for (struct node *n = t->buckets[i], *next; n; n = next) {
			struct node **slot = &buckets[n->hash & (size - 1)];

			next = n->next;
			n->next = *slot;
			*slot = n;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
	return 0;
}

/* Makes sure that table_add() has a bucket to put one more node into. */
static int table_reserve(struct table *t)
{
	return t->used < t->size ? 0 : table_grow(t);
}

static void table_add(struct table *t, struct node *n, uint64_t hash)
{
	struct node **slot = &t->buckets[hash & (t->size - 1)];

	n->hash = hash;
	n->next = *slot;
	*slot = n;
	t->used++;
}

static void table_remove(struct table *t, struct node *n)
{
	struct node **p = &t->buckets[n->hash & (t->size - 1)];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	t->used--;
}

/* The first node with this hash, after `previous` where given. */
static struct node *table_find(const struct table *t, uint64_t hash, struct node *previous)
{
	struct node *n = previous ? previous->next : NULL;

	if (!previous && t->size)
		n = t->buckets[hash & (t->size - 1)];
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

static uint64_t key_hash(const char *lxcpath, const char *name)
{
	uint64_t hash = fnv64(FNV64_START, lxcpath, strlen(lxcpath) + 1);

	return fnv64(hash, name, strlen(name));
}

static uint64_t number_hash(uint32_t number)
{
	return fnv64(FNV64_START, &number, sizeof(number));
}

struct entry *index_find_key(const struct index *x, const char *lxcpath, const char *name)
{
	const uint64_t hash = key_hash(lxcpath, name);

	for (struct node *n = NULL; (n = table_find(&x->keys, hash, n));) {
		struct entry *e = container_of(n, struct entry, by_key);

		if (strcmp(e->e.lxcpath, lxcpath) == 0 && strcmp(e->e.name, name) == 0)
			return e;
	}
	return NULL;
}

struct entry *index_find_number(const struct index *x, uint32_t number)
{
	const uint64_t hash = number_hash(number);

	for (struct node *n = NULL; (n = table_find(&x->numbers, hash, n));) {
		struct entry *e = container_of(n, struct entry, by_number);

		if (e->e.number == number)
			return e;
	}
	return NULL;
}

struct name *index_find_name(const struct index *x, const char *text)
{
	const uint64_t hash = fnv64(FNV64_START, text, strlen(text));

	for (struct node *n = NULL; (n = table_find(&x->names, hash, n));) {
		struct name *name = container_of(n, struct name, node);

		if (strcmp(name->text, text) == 0)
			return name;
	}
	return NULL;
}

static struct name *make_name(struct index *x, const char *text)
{
	size_t len = strlen(text);
	struct name *name = calloc(1, sizeof(*name) + len + 1);

	if (!name)
		return NULL;
	memcpy(name->text, text, len + 1);
	table_add(&x->names, &name->node, fnv64(FNV64_START, text, len));
	return name;
}

static void drop_name(struct index *x, struct name *name)
{
	if (name->entries)
		return;
	table_remove(&x->names, &name->node);
	free(name);
}

/* Room for one more entry everywhere, so that adding it cannot fail half-way. */
static int reserve(struct index *x)
{
	if (table_reserve(&x->keys) || table_reserve(&x->numbers) || table_reserve(&x->names))
		return -ENOMEM;
	if (x->count == x->size) {
		size_t size = x->size ? x->size * 2 : 64;
		struct entry **all = reallocarray(x->all, size, sizeof(struct entry *));

		if (!all)
			return -ENOMEM;
		x->all = all;
		x->size = size;
	}
	return 0;
}

struct entry *index_make_entry(
	struct index *x, const char *lxcpath, const char *name_text, uint32_t number, bool plain)
{
	size_t path_len = strlen(lxcpath);
	size_t handle_size = strlen(name_text) + sizeof("~2147483647");
	struct entry *e;
	struct name *name;

	if (reserve(x))
		return NULL;
	e = calloc(1, sizeof(*e) + path_len + 1 + (plain ? 0 : handle_size));
	if (!e)
		return NULL;
	name = index_find_name(x, name_text);
	if (!name)
		name = make_name(x, name_text);
	if (!name) {
		free(e);
		return NULL;
	}
	name->entries++;
	memcpy(e->text, lxcpath, path_len + 1);
	e->name = name;
	e->e.number = number;
	e->e.lxcpath = e->text;
	e->e.name = name->text;
	e->e.handle = plain ? name->text : e->text + path_len + 1;
	if (plain)
		name->owner = e;
	else
		snprintf(e->e.handle, handle_size, "%s~%" PRIu32, name_text, number);
	snprintf(e->own_context, sizeof(e->own_context), "~%" PRIu32, number);
	e->e.context = strlen(e->e.handle) <= CONTEXT_MAX ? e->e.handle : e->own_context;
	table_add(&x->keys, &e->by_key, key_hash(lxcpath, name_text));
	table_add(&x->numbers, &e->by_number, number_hash(number));
	x->all[x->count++] = e;
	return e;
}

void index_drop_entry(struct index *x, struct entry *e)
{
	table_remove(&x->keys, &e->by_key);
	table_remove(&x->numbers, &e->by_number);
	if (e->name->owner == e)
		e->name->owner = NULL;
	e->name->entries--;
	drop_name(x, e->name);
	free(e);
}

void index_free(struct index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->count; i++)
		index_drop_entry(x, x->all[i]);
	free(x->all);
	free(x->keys.buckets);
	free(x->numbers.buckets);
	free(x->names.buckets);
	free(x->path);
	free(x);
}

static uint32_t free_number(const struct index *x, const char *lxcpath, const char *name)
{
	uint32_t number = (uint32_t)(key_hash(lxcpath, name) >> 33);

	while (!number || index_find_number(x, number))
		number = number == INDEX_NUMBER_MAX ? 1 : number + 1;
	return number;
}

bool index_lengths_ok(const char *lxcpath, const char *name)
{
	return *name && strlen(name) <= NAME_MAX && strlen(lxcpath) < PATH_MAX;
}

int index_assign(
	struct index *x, const char *lxcpath, const char *name_text, const struct index_entry **ret)
{
	struct entry *e = index_find_key(x, lxcpath, name_text);
	const struct name *name;
	bool plain;

	if (e) {
		*ret = &e->e;
		return 0;
	}
	if (!index_lengths_ok(lxcpath, name_text))
		return -EINVAL;
	name = index_find_name(x, name_text);
	plain = !strchr(name_text, '~') && !(name && name->owner);
	e = index_make_entry(x, lxcpath, name_text, free_number(x, lxcpath, name_text), plain);
	if (!e)
		return -ENOMEM;
	e->e.last_seen_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	x->dirty = true;
	*ret = &e->e;
	return 0;
}

const struct index_entry *index_find(const struct index *x, const char *lxcpath, const char *name)
{
	struct entry *e = index_find_key(x, lxcpath, name);

	return e ? &e->e : NULL;
}

const struct index_entry *index_by_number(const struct index *x, uint32_t number)
{
	struct entry *e = index_find_number(x, number);

	return e ? &e->e : NULL;
}

/* The number after the last '~', or 0. */
static uint32_t handle_number(const char *handle)
{
	const char *tilde = strrchr(handle, '~');
	unsigned long number;
	char *end;

	if (!tilde || tilde[1] < '1' || tilde[1] > '9')
		return 0;
	number = strtoul(tilde + 1, &end, 10);
	return *end || number > INDEX_NUMBER_MAX ? 0 : (uint32_t)number;
}

const struct index_entry *index_by_handle(
	const struct index *x, const char *handle, size_t *ret_others)
{
	const struct name *name = index_find_name(x, handle);
	struct entry *e = name ? name->owner : NULL;

	if (!e)
		e = index_find_number(x, handle_number(handle));
	if (!e || strcmp(e->e.handle, handle) != 0)
		return NULL;
	if (ret_others)
		*ret_others = e->name->entries - 1;
	return &e->e;
}

void index_note_run(struct index *x, uint32_t number, uint64_t run, uint64_t now_s)
{
	struct entry *e = index_find_number(x, number);

	if (!e)
		return;
	e->e.last_seen_s = now_s;
	if (now_s >= e->saved_seen_s + SEEN_STEP_S)
		x->dirty = true;
	if (!run || run == e->e.run)
		return;
	e->e.run = run;
	e->e.starts++;
	x->dirty = true;
}

bool index_dirty(const struct index *x)
{
	return x->dirty;
}

void index_rrd_name(const struct index_entry *e, char *buf, size_t size)
{
	char name[201];

	percent_encode(e->name, name, sizeof(name) - 1);
	snprintf(buf, size, "%s.%" PRIu32 ".rrd", name, e->number);
}

int index_rrd_number(const char *filename, uint32_t *ret)
{
	const size_t len = strlen(filename);
	const char *end = filename + len - strlen(".rrd"), *p;
	uint64_t number = 0;

	if (len < strlen("x.1.rrd") || strcmp(end, ".rrd") != 0)
		return -EINVAL;
	for (p = end; p > filename && p[-1] >= '0' && p[-1] <= '9';)
		p--;
	if (p == end || end - p > 10 || *p == '0' || p <= filename + 1 || p[-1] != '.')
		return -EINVAL;
	for (; p < end; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (number > INDEX_NUMBER_MAX)
		return -EINVAL;
	*ret = (uint32_t)number;
	return 0;
}
