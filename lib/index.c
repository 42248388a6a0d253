/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index.h"

#include <inttypes.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <time.h>

#include "index-entries.h"
#include "value.h"

#define CONTEXT_MAX 32   /* octets of an SNMP context, RFC 3415 */
#define SEEN_STEP_S 3600 /* last_seen alone is worth a write after so long */

static int by_key(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->lxcpath, y->lxcpath);
}

static int by_number(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int by_handle(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;

	return strcmp(x->handle, y->handle);
}

static struct index_item *find(
	void *const *tree, int (*order)(const void *, const void *), const struct index_entry *key)
{
	struct index_item **found = tfind(key, tree, order);

	return found ? *found : NULL;
}

static struct index_item *find_key(const struct index *x, const char *lxcpath, const char *name)
{
	return find(&x->keys, by_key,
		&(struct index_entry){.lxcpath = (char *)lxcpath, .name = (char *)name});
}

static struct index_item *find_number(const struct index *x, uint32_t number)
{
	return find(&x->numbers, by_number, &(struct index_entry){.number = number});
}

static struct index_item *find_handle(const struct index *x, const char *handle)
{
	return find(&x->handles, by_handle, &(struct index_entry){.handle = (char *)handle});
}

static void free_entry(struct index_item *e)
{
	free(e->e.lxcpath);
	free(e->e.name);
	free(e->e.handle);
	free(e->e.context);
	free(e->line);
	free(e);
}

void index_drop_entry(struct index *x, struct index_item *e)
{
	tdelete(e, &x->keys, by_key);
	tdelete(e, &x->numbers, by_number);
	tdelete(e, &x->handles, by_handle);
	free_entry(e);
}

static int fill_entry(
	struct index_entry *e, const char *lxcpath, const char *name, uint32_t number, bool plain)
{
	e->number = number;
	e->lxcpath = strdup(lxcpath);
	e->name = strdup(name);
	e->handle = plain ? strdup(name) : format_string("%s~%" PRIu32, name, number);
	if (e->handle && strlen(e->handle) <= CONTEXT_MAX)
		e->context = strdup(e->handle);
	else
		e->context = format_string("~%" PRIu32, number);
	return e->lxcpath && e->name && e->handle && e->context ? 0 : -ENOMEM;
}

static int reserve(struct index *x)
{
	size_t size = x->size ? x->size * 2 : 64;
	struct index_item **all;

	if (x->count < x->size)
		return 0;
	all = reallocarray(x->all, size, sizeof(struct index_item *));
	if (!all)
		return -ENOMEM;
	x->all = all;
	x->size = size;
	return 0;
}

int index_make_entry(struct index *x, const char *lxcpath, const char *name, uint32_t number,
	bool plain, struct index_item **ret)
{
	struct index_item *e;

	if (!*name || strlen(name) > NAME_MAX || strlen(lxcpath) >= PATH_MAX)
		return -EINVAL;
	if (find_key(x, lxcpath, name) || find_number(x, number) ||
		(plain && (strchr(name, '~') || find_handle(x, name))))
		return -EEXIST;
	if (reserve(x) || !(e = calloc(1, sizeof(*e))))
		return -ENOMEM;
	if (fill_entry(&e->e, lxcpath, name, number, plain)) {
		free_entry(e);
		return -ENOMEM;
	}
	if (!tsearch(e, &x->keys, by_key) || !tsearch(e, &x->numbers, by_number) ||
		!tsearch(e, &x->handles, by_handle)) {
		index_drop_entry(x, e);
		return -ENOMEM;
	}
	x->all[x->count++] = e;
	*ret = e;
	return 0;
}

void index_free(struct index *x)
{
	if (!x)
		return;
	while (x->count)
		index_drop_entry(x, x->all[--x->count]);
	free(x->all);
	free(x->path);
	free(x);
}

/* The upper 31 bits of a hash of the key, or the next number that is free. */
static uint32_t free_number(const struct index *x, const char *lxcpath, const char *name)
{
	uint64_t hash = fnv64(FNV64_START, lxcpath, strlen(lxcpath) + 1);
	uint32_t number = (uint32_t)(fnv64(hash, name, strlen(name)) >> 33);

	while (!number || find_number(x, number))
		number = number == INDEX_NUMBER_MAX ? 1 : number + 1;
	return number;
}

int index_assign(
	struct index *x, const char *lxcpath, const char *name, const struct index_entry **ret)
{
	struct index_item *e = find_key(x, lxcpath, name);

	if (!e) {
		bool plain = !strchr(name, '~') && !find_handle(x, name);
		int r = index_make_entry(
			x, lxcpath, name, free_number(x, lxcpath, name), plain, &e);

		if (r)
			return r;
		e->e.last_seen_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
		x->dirty = true;
	}
	*ret = &e->e;
	return 0;
}

const struct index_entry *index_find(const struct index *x, const char *lxcpath, const char *name)
{
	return (const struct index_entry *)find_key(x, lxcpath, name);
}

const struct index_entry *index_by_number(const struct index *x, uint32_t number)
{
	return (const struct index_entry *)find_number(x, number);
}

const struct index_entry *index_by_handle(
	const struct index *x, const char *handle, size_t *ret_others)
{
	const struct index_item *e = find_handle(x, handle);

	if (!e)
		return NULL;
	if (ret_others) {
		*ret_others = 0;
		for (size_t i = 0; i < x->count; i++)
			*ret_others += x->all[i] != e && !strcmp(x->all[i]->e.name, e->e.name);
	}
	return &e->e;
}

int index_each(
	const struct index *x, int (*call)(void *data, const struct index_entry *e), void *data)
{
	int r = 0;

	for (size_t i = 0; !r && i < x->count; i++)
		r = call(data, &x->all[i]->e);
	return r;
}

void index_note_run(struct index *x, uint32_t number, uint64_t run, uint64_t now_s)
{
	struct index_item *e = find_number(x, number);

	if (!e)
		return;
	free(TAKE_PTR(e->line));
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
