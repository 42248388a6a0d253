/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "../lib/archive.h"
#include "store-internal.h"

#define OTHERS_DEPTH_MAX 8
#define OTHERS_AGE_NS    (60 * NSEC_PER_SEC)

static struct store_file **head_of(struct store_table *t, uint32_t number, bool aside)
{
	return &t->bucket[aside ? STORE_BUCKETS : number % STORE_BUCKETS];
}

/* Of two files of one number the one whose name the index has; the other is an ended instance. */
struct store_file *store_table_find(struct store_table *t, uint32_t number)
{
	struct store_file *found = NULL;

	for (struct store_file *f = *head_of(t, number, false); f; f = f->next)
		if (f->number == number && (!found || f->checked))
			found = f;
	return found;
}

static struct store_file *store_table_add(
	struct store_table *t, uint32_t number, const char *name, bool aside)
{
	struct store_file *f = calloc(1, sizeof(*f));
	struct store_file **head = head_of(t, number, aside);

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
	struct store_file **p = head_of(t, f->number, f->aside);

	store_table_account(t, f, false, 0);
	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	free(f->name);
	free(f);
}

void store_table_account(struct store_table *t, struct store_file *f, bool exists, uint64_t bytes)
{
	uint64_t *count = f->packed ? &t->archives : &t->files;

	*count += exists;
	*count -= f->exists;
	t->bytes += bytes;
	t->bytes -= f->bytes;
	f->exists = exists;
	f->bytes = bytes;
}

void store_table_free(struct store_table *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->bucket); i++)
		while (t->bucket[i])
			store_table_remove(t, t->bucket[i]);
}

/* Files of ours only; what an administrator put there is neither counted nor removed. */
static bool is_ours(const char *name, bool packed, uint32_t *ret_number, bool *ret_aside)
{
	const char *end = packed ? ".rrd" ARCHIVE_SUFFIX : ".rrd";
	size_t len = strlen(name), end_len = strlen(end);
	char rrd[NAME_MAX + 1];

	*ret_number = STORE_HOST;
	*ret_aside = false;
	if (!strcmp(name, "host.rrd"))
		return !packed;
	if (len > end_len && !strcmp(name + len - end_len, end)) {
		snprintf(rrd, sizeof(rrd), "%.*s", (int)(len - end_len + 4), name);
		return index_rrd_number(rrd, ret_number) == 0;
	}
	*ret_aside = strstr(name, ".rrd.damaged-") || strstr(name, ".rrd.future-") ||
		     strstr(name, ".rrd.step-") || strstr(name, ".rrd" ARCHIVE_SUFFIX ".damaged-");
	return *ret_aside;
}

static const char *disk_name(const struct store_file *f, char *buf, size_t size)
{
	if (!f->packed || f->aside)
		return f->name;
	snprintf(buf, size, "%s" ARCHIVE_SUFFIX, f->name);
	return buf;
}

static int disk_directory(const struct store *s, const struct store_file *f)
{
	return f->packed ? s->archive_fd : s->rrd_fd;
}

static struct store_file *find_name(struct store_table *t, uint32_t number, const char *name)
{
	struct store_file *f = *head_of(t, number, false);

	while (f && (f->number != number || strcmp(f->name, name) != 0))
		f = f->next;
	return f;
}

/* A store that was killed between two steps leaves both: the RRD is whole, and may be newer. */
static bool is_superfluous(struct store *s, const char *rrd, uint32_t number)
{
	const struct store_file *f = find_name(&s->table, number, rrd);

	return f && f->exists;
}

static int scan_entry(struct store *s, const char *name, bool packed)
{
	int dirfd = packed ? s->archive_fd : s->rrd_fd;
	char rrd[NAME_MAX + 1];
	struct store_file *f;
	uint32_t number;
	struct stat st;
	bool aside;

	if (!is_ours(name, packed, &number, &aside) ||
		fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	snprintf(rrd, sizeof(rrd), "%s", name);
	if (packed && !aside) {
		rrd[strlen(rrd) - strlen(ARCHIVE_SUFFIX)] = '\0';
		if (is_superfluous(s, rrd, number)) {
			unlinkat(dirfd, name, 0);
			return 0;
		}
	}
	f = store_table_add(&s->table, number, rrd, aside);
	if (!f)
		return -ENOMEM;
	f->packed = packed;
	f->last_s = (uint64_t)st.st_mtime;
	store_table_account(&s->table, f, true, (uint64_t)st.st_blocks * 512);
	return 0;
}

static int scan_directory(struct store *s, bool packed)
{
	int fd =
		openat(packed ? s->archive_fd : s->rrd_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close_fd(fd);
		return r;
	}
	while (!r && (e = readdir(dir)))
		r = scan_entry(s, e->d_name, packed);
	return r;
}

int store_table_scan(struct store *s)
{
	int r = scan_directory(s, false);

	return r < 0 ? r : scan_directory(s, true);
}

/* --- names ----------------------------------------------------------------------------------- */

/* The collector replaces the index when it changes; an unreadable one is its business. */
static void read_index(struct store *s)
{
	struct stat *old = &s->index_stat, st;
	struct index *x = NULL;
	struct error err;

	if (stat(s->index_path, &st) < 0 ||
		(s->index && st.st_ino == old->st_ino &&
			!memcmp(&st.st_mtim, &old->st_mtim, sizeof(st.st_mtim))) ||
		index_load(s->index_path, &x, &err) < 0)
		return;
	if (s->index)
		index_free(s->index);
	s->index = x;
	s->index_stat = st;
}

static bool name_of(struct store *s, uint32_t number, char *name, size_t size)
{
	const struct index_entry *e = s->index ? index_by_number(s->index, number) : NULL;

	if (number == STORE_HOST) {
		snprintf(name, size, "host.rrd");
		return true;
	}
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
	f = find_name(&s->table, number, name);
	if (!f)
		f = store_table_add(&s->table, number, name, false);
	if (f)
		f->checked = true;
	return f;
}

int store_table_set_aside(struct store *s, struct store_file *f, const char *suffix)
{
	char buf[STORE_NAME_MAX], name[2 * STORE_NAME_MAX];
	const char *old = disk_name(f, buf, sizeof(buf));
	int dirfd = disk_directory(s, f);
	struct store_file *a;

	store_pack_stop(s, f);
	snprintf(name, sizeof(name), "%s.%s", old, suffix);
	/* Older ones of the same name are not overwritten. */
	for (int i = 1; i < 100 && !faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW); i++)
		snprintf(name, sizeof(name), "%s.%s-%d", old, suffix, i);
	if (renameat(dirfd, old, dirfd, name) < 0)
		return -errno;
	a = store_table_add(&s->table, f->number, name, true);
	if (a) {
		a->packed = f->packed;
		a->last_s = f->last_s;
		store_table_account(&s->table, a, true, f->bytes);
	}
	store_table_account(&s->table, f, false, 0);
	f->packed = false;
	f->run = f->interfaces = 0;
	return 0;
}

int store_table_unlink(struct store *s, struct store_file *f)
{
	char buf[STORE_NAME_MAX];

	if (unlinkat(disk_directory(s, f), disk_name(f, buf, sizeof(buf)), 0) < 0 &&
		errno != ENOENT)
		return -errno;
	store_table_account(&s->table, f, false, 0);
	f->packed = false;
	s->stats.removed++;
	return 0;
}

int store_table_delete(struct store *s, struct store_file *f)
{
	int r;

	store_pack_stop(s, f);
	r = store_table_unlink(s, f);
	if (!r)
		store_table_remove(&s->table, f);
	return r;
}

/* --- data_max -------------------------------------------------------------------------------- */

/* Does not follow links, and counts what lies below data_dir, but not rrd/ and archive/. */
static uint64_t walk_others(char *data_dir)
{
	FTS *fts = fts_open((char *[]){data_dir, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t sum = 0;
	FTSENT *e;

	while (fts && (e = fts_read(fts))) {
		if ((e->fts_level == 1 &&
			    (!strcmp(e->fts_name, "rrd") || !strcmp(e->fts_name, "archive"))) ||
			e->fts_level > OTHERS_DEPTH_MAX)
			fts_set(fts, e, FTS_SKIP);
		else if (e->fts_level > 0 && e->fts_info != FTS_DP && e->fts_info != FTS_NS)
			sum += (uint64_t)e->fts_statp->st_blocks * 512;
	}
	if (fts)
		fts_close(fts);
	return sum;
}

/* What else is below data_dir changes slowly: events, runs. */
static uint64_t others_bytes(struct store *s)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!s->others_time_ns || now - s->others_time_ns > OTHERS_AGE_NS) {
		s->others_bytes = walk_others(s->config->data_dir);
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

bool store_file_is_live(const struct store *s, const struct store_file *f)
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
	struct store_file **c = reallocarray(
		s->candidates, s->table.files + s->table.archives + 1, sizeof(struct store_file *));
	size_t n = 0;

	if (!c)
		return -ENOMEM;
	s->candidates = c;
	for (size_t i = 0; i < ARRAY_SIZE(s->table.bucket); i++)
		for (struct store_file *f = s->table.bucket[i]; f; f = f->next)
			if (f->exists && !store_file_is_live(s, f))
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
		/* Not one that a new run is about to go on in. */
		if (!store_file_is_live(s, f))
			(void)store_table_delete(s, f);
	}
	return 0;
}

void store_table_sweep(struct store *s)
{
	for (size_t i = 0; i < STORE_BUCKETS; i++)
		for (struct store_file *f = s->table.bucket[i], *next; f; f = next) {
			next = f->next;
			if (!f->exists && !store_file_is_live(s, f))
				store_table_remove(&s->table, f);
		}
}
