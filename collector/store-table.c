/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "store-internal.h"

#define OTHERS_DEPTH_MAX 8
#define OTHERS_AGE_NS    (60 * NSEC_PER_SEC)

static struct store_file **bucket_of(struct store_table *t, uint32_t number)
{
	return &t->bucket[number % STORE_BUCKETS];
}

struct store_file *store_table_find(struct store_table *t, uint32_t number)
{
	struct store_file *f = *bucket_of(t, number);

	while (f && f->number != number)
		f = f->next;
	return f;
}

static struct store_file *store_table_add(
	struct store_table *t, uint32_t number, const char *name, bool aside)
{
	struct store_file *f = calloc(1, sizeof(*f));
	struct store_file **head = aside ? &t->asides : bucket_of(t, number);

	if (!f || !(f->name = strdup(name))) {
		free(f);
		return NULL;
	}
	f->number = number;
	f->aside = aside;
	f->next = *head;
	*head = f;
	return f;
}

static void store_table_remove(struct store_table *t, struct store_file *f)
{
	struct store_file **p = f->aside ? &t->asides : bucket_of(t, f->number);

	store_table_account(t, f, false, 0);
	while (*p && *p != f)
		p = &(*p)->next;
	if (*p)
		*p = f->next;
	free(f->name);
	free(f);
}

void store_table_account(struct store_table *t, struct store_file *f, bool exists, uint64_t bytes)
{
	t->files += exists;
	t->files -= f->exists;
	t->bytes += bytes;
	t->bytes -= f->bytes;
	f->exists = exists;
	f->bytes = bytes;
}

static void free_list(struct store_file *f)
{
	while (f) {
		struct store_file *next = f->next;

		free(f->name);
		free(f);
		f = next;
	}
}

void store_table_free(struct store_table *t)
{
	for (size_t i = 0; i < STORE_BUCKETS; i++)
		free_list(t->bucket[i]);
	free_list(t->asides);
	memset(t, 0, sizeof(*t));
}

/* Files of ours only; what an administrator put there is neither counted nor removed. */
static bool is_ours(const char *name, uint32_t *ret_number, bool *ret_aside)
{
	size_t len = strlen(name);

	*ret_number = STORE_HOST;
	*ret_aside = false;
	if (!strcmp(name, "host.rrd"))
		return true;
	if (len > 4 && !strcmp(name + len - 4, ".rrd"))
		return index_rrd_number(name, ret_number) == 0;
	*ret_aside = strstr(name, ".rrd.damaged-") || strstr(name, ".rrd.future-") ||
		     strstr(name, ".rrd.step-");
	return *ret_aside;
}

int store_table_scan(struct store *s)
{
	_cleanup_closedir_ DIR *dir = opendir(s->rrd_dir);
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		struct store_file *f;
		uint32_t number;
		struct stat st;
		bool aside;

		if (!is_ours(e->d_name, &number, &aside))
			continue;
		if (fstatat(s->rrd_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		/* Two files of one number: the index's name wins when it is next used. */
		f = store_table_add(&s->table, number, e->d_name, aside);
		if (!f)
			return -ENOMEM;
		f->last_s = (uint64_t)st.st_mtime;
		store_table_account(&s->table, f, true, (uint64_t)st.st_blocks * 512);
	}
	return 0;
}

/* --- names ----------------------------------------------------------------------------------- */

/* The collector replaces the index when it changes; an unreadable one is its business. */
static void read_index(struct store *s)
{
	struct index *x = NULL;
	struct error err;
	struct stat st;
	uint64_t stamp;

	if (stat(s->index_path, &st) < 0)
		return;
	stamp = fnv64(FNV64_START, &st.st_ino, sizeof(st.st_ino));
	stamp = fnv64(stamp, &st.st_mtim, sizeof(st.st_mtim));
	stamp = fnv64(stamp, &st.st_size, sizeof(st.st_size));
	if (s->index && stamp == s->index_stamp)
		return;
	if (index_load(s->index_path, &x, &err) < 0 || !x)
		return;
	if (s->index)
		index_free(s->index);
	s->index = x;
	s->index_stamp = stamp;
}

static bool name_of(struct store *s, uint32_t number, char *name, size_t size)
{
	const struct index_entry *e;

	if (number == STORE_HOST) {
		snprintf(name, size, "host.rrd");
		return true;
	}
	e = s->index ? index_by_number(s->index, number) : NULL;
	if (!e) {
		read_index(s);
		e = s->index ? index_by_number(s->index, number) : NULL;
	}
	if (e)
		index_rrd_name(e, name, size);
	return e;
}

struct store_file *store_table_get(struct store *s, uint32_t number)
{
	struct store_file *f = store_table_find(&s->table, number);
	char name[STORE_NAME_MAX];

	if (f && f->checked)
		return f;
	if (!name_of(s, number, name, sizeof(name)))
		return NULL;
	while (f && (f->number != number || strcmp(f->name, name)))
		f = f->next;
	/* A file of the same number and another name stays behind this one, as an ended instance.
	 */
	if (f) {
		struct store_file **p = bucket_of(&s->table, number);

		while (*p != f)
			p = &(*p)->next;
		*p = f->next;
		f->next = *bucket_of(&s->table, number);
		*bucket_of(&s->table, number) = f;
	} else {
		f = store_table_add(&s->table, number, name, false);
	}
	if (f)
		f->checked = true;
	return f;
}

int store_table_set_aside(struct store *s, struct store_file *f, const char *suffix)
{
	char name[STORE_NAME_MAX];
	struct store_file *a;

	snprintf(name, sizeof(name), "%s.%s", f->name, suffix);
	/* Older ones of the same name are not overwritten. */
	for (int i = 1; i < 100 && !faccessat(s->rrd_fd, name, F_OK, AT_SYMLINK_NOFOLLOW); i++)
		snprintf(name, sizeof(name), "%s.%s-%d", f->name, suffix, i);
	if (renameat(s->rrd_fd, f->name, s->rrd_fd, name) < 0)
		return -errno;
	a = store_table_add(&s->table, f->number, name, true);
	if (a) {
		a->last_s = f->last_s;
		store_table_account(&s->table, a, true, f->bytes);
	}
	store_table_account(&s->table, f, false, 0);
	f->run = f->interfaces = 0;
	return 0;
}

/* --- data_max -------------------------------------------------------------------------------- */

static uint64_t directory_bytes(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;

	if (!dir) {
		close_fd(fd);
		return 0;
	}
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
			(!depth && !strcmp(e->d_name, "rrd")) ||
			fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode) && depth < OTHERS_DEPTH_MAX)
			sum += directory_bytes(fd, e->d_name, depth + 1);
	}
	return sum;
}

/* What else is below data_dir changes slowly: events, runs, archives. */
static uint64_t others_bytes(struct store *s)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!s->others_time_ns || now - s->others_time_ns > OTHERS_AGE_NS) {
		s->others_bytes = directory_bytes(AT_FDCWD, s->config->data_dir, 0);
		s->others_time_ns = now;
	}
	return s->others_bytes;
}

uint64_t store_table_max_bytes(struct store *s)
{
	struct statvfs fs;

	if (s->config->data_max)
		return s->config->data_max;
	if (statvfs(s->config->data_dir, &fs) < 0)
		return s->bytes_max;
	return (uint64_t)((double)fs.f_blocks * (double)fs.f_frsize *
			  (double)s->config->data_max_ratio / 1e9);
}

static bool is_live(const struct store *s, const struct store_file *f)
{
	return !f->aside && (f->number == STORE_HOST || (f->seen && f->seen + 1 >= s->flush));
}

static int older(const void *a, const void *b)
{
	const struct store_file *x = *(struct store_file *const *)a;
	const struct store_file *y = *(struct store_file *const *)b;

	if (x->aside != y->aside)
		return y->aside - x->aside;
	return x->last_s < y->last_s ? -1 : x->last_s > y->last_s;
}

/* Sorted once per flush, so that 10,000 ended files do not make a flush slow. */
static int find_candidates(struct store *s)
{
	struct store_file **c =
		realloc(s->candidates, (s->table.files + 1) * sizeof(struct store_file *));
	size_t n = 0;

	if (!c)
		return -ENOMEM;
	s->candidates = c;
	for (size_t i = 0; i < STORE_BUCKETS; i++)
		for (struct store_file *f = s->table.bucket[i]; f; f = f->next)
			if (f->exists && !is_live(s, f))
				c[n++] = f;
	for (struct store_file *f = s->table.asides; f; f = f->next)
		c[n++] = f;
	qsort(c, n, sizeof(struct store_file *), older);
	s->candidate = 0;
	s->candidates_len = n;
	s->candidates_flush = s->flush;
	return 0;
}

int store_table_make_room(struct store *s, uint64_t bytes)
{
	uint64_t others = others_bytes(s);

	s->bytes_max = store_table_max_bytes(s);
	if (others + s->table.bytes + bytes <= s->bytes_max)
		return 0;
	if (s->candidates_flush != s->flush && find_candidates(s) < 0)
		return -ENOMEM;
	while (others + s->table.bytes + bytes > s->bytes_max) {
		struct store_file *f;

		if (s->candidate == s->candidates_len)
			return -EDQUOT;
		f = s->candidates[s->candidate++];
		if (unlinkat(s->rrd_fd, f->name, 0) < 0 && errno != ENOENT)
			continue;
		s->stats.removed++;
		store_table_remove(&s->table, f);
	}
	return 0;
}

void store_table_sweep(struct store *s)
{
	for (size_t i = 0; i < STORE_BUCKETS; i++)
		for (struct store_file *f = s->table.bucket[i], *next; f; f = next) {
			next = f->next;
			if (!f->exists && !is_live(s, f))
				store_table_remove(&s->table, f);
		}
}
