/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "value.h"

#define DIRECTORY    "spool"
#define INIT         "init."             /* links */
#define TORN_MAX_NS  (60 * NSEC_PER_SEC) /* a hook that takes so long was killed */
#define RUN_DIR_MODE 0755                /* when systemd has not made it; its files say more */

static char *spool_path(const char *run_dir, const char *prefix, const char *name)
{
	return strchr(name, '/') ? NULL
				 : format_string("%s/" DIRECTORY "/%s%s", run_dir, prefix, name);
}

static DIR *open_spool(const char *run_dir)
{
	_cleanup_free_ char *path = spool_path(run_dir, "", "");

	return path ? opendir(path) : NULL;
}

static int make_spool(const char *run_dir)
{
	_cleanup_free_ char *path = spool_path(run_dir, "", "");
	int r = path ? make_directories(run_dir, RUN_DIR_MODE) : -ENOMEM;

	return r < 0 ? r : make_directories(path, 0700);
}

/*
 * A directory of tmpfs says how many entries it has (BOGO_DIRENT_SIZE for each, "." and "..", in
 * mm/shmem.c). Listing it instead would make a storm of hooks wait for each other.
 */
#define TMPFS_ENTRY 20

/* -EDQUOT when it is full, -ENOENT when there is none. */
static int has_room(const char *run_dir)
{
	_cleanup_closedir_ DIR *dir = open_spool(run_dir);
	struct statfs fs;
	struct stat st;
	size_t n = 0;

	if (!dir || fstat(dirfd(dir), &st) < 0 || fstatfs(dirfd(dir), &fs) < 0)
		return -errno;
	if (fs.f_type == TMPFS_MAGIC)
		n = (size_t)st.st_size / TMPFS_ENTRY;
	else
		while (readdir(dir))
			n++;
	return n < SPOOL_MAX + 2 ? 0 : -EDQUOT; /* "." and ".." */
}

int spool_put(const char *run_dir, const char *name, const json_t *record)
{
	_cleanup_free_ char *path = spool_path(run_dir, "", name);
	_cleanup_free_ char *new_path = spool_path(run_dir, ".", name);
	_cleanup_free_ char *text = json_dumps(record, JSON_COMPACT);
	struct iovec part = {text, text ? strlen(text) : 0};
	int r = has_room(run_dir);

	if (!path || !new_path || !text)
		return -EINVAL;
	if (part.iov_len > SPOOL_RECORD_MAX)
		return -EMSGSIZE;
	if (r == -ENOENT)
		r = make_spool(run_dir);
	return r < 0 ? r : replace_file_parts(path, new_path, &part, 1, 0600, false);
}

int spool_get(const char *run_dir, const char *name, json_t **ret)
{
	_cleanup_free_ char *path = spool_path(run_dir, "", name);
	_cleanup_free_ char *text = NULL;
	size_t len;
	json_t *record;
	int r = path ? read_file_alloc(AT_FDCWD, path, SPOOL_RECORD_MAX, &text, &len) : -EINVAL;

	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	r = spool_parse(text, len, &record);
	if (r == 0)
		*ret = record;
	return r;
}

int spool_parse(const char *buf, size_t len, json_t **ret)
{
	json_t *record = json_loadb(buf, len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(record) &&
		json_integer_value(json_object_get(record, "schema")) == SPOOL_SCHEMA &&
		json_is_string(json_object_get(record, "type"))) {
		*ret = record;
		return 0;
	}
	json_decref(record);
	return -EBADMSG;
}

/* --- all records ------------------------------------------------------------------------------ */

struct entry {
	uint64_t time_ns;
	char name[32]; /* "destroy." and 16 digits are the longest */
};

static int in_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int has_start(int dir, const char *run)
{
	static const char *const types[] = {"live", "start", "live"}; /* it may be renamed now */

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s.%s", types[i], run);
		if (faccessat(dir, name, F_OK, 0) == 0)
			return 1;
		if (errno != ENOENT)
			return -errno;
	}
	return 0;
}

int spool_has_start(const char *run_dir, uint64_t run)
{
	_cleanup_closedir_ DIR *dir = open_spool(run_dir);
	char text[17];

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	snprintf(text, sizeof(text), "%016" PRIx64, run);
	return has_start(dirfd(dir), text);
}

/* "init.PID": the record that it points to is gone. */
static bool points_nowhere(int dir, const char *name)
{
	char run[32];
	ssize_t n = readlinkat(dir, name, run, sizeof(run) - 1);

	if (n < 0)
		return false;
	run[n] = '\0';
	return has_start(dir, run) == 0;
}

/* True for a record; sweeps up what hooks that were killed have left. */
static bool is_record(int dir, const char *name, uint64_t now, struct entry *ret)
{
	struct stat st;

	if (strncmp(name, INIT, strlen(INIT)) == 0) {
		if (points_nowhere(dir, name))
			unlinkat(dir, name, 0);
		return false;
	}
	if (strlen(name) >= sizeof(ret->name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		S_ISDIR(st.st_mode))
		return false;
	ret->time_ns = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
	if (name[0] == '.') {
		if (ret->time_ns + TORN_MAX_NS < now)
			unlinkat(dir, name, 0);
		return false;
	}
	strcpy(ret->name, name);
	return true;
}

int spool_each(const char *run_dir, int (*call)(void *data, const char *name), void *data)
{
	_cleanup_closedir_ DIR *dir = open_spool(run_dir);
	_cleanup_free_ struct entry *entries = NULL;
	const struct dirent *d;
	uint64_t now = now_ns(CLOCK_REALTIME);
	size_t n = 0, cap = 0;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(dir))) {
		if (n == cap) {
			struct entry *bigger =
				reallocarray(entries, cap ? 2 * cap : 64, sizeof(*entries));

			if (!bigger)
				return -ENOMEM;
			entries = bigger;
			cap = cap ? 2 * cap : 64;
		}
		n += is_record(dirfd(dir), d->d_name, now, &entries[n]);
	}
	if (n)
		qsort(entries, n, sizeof(*entries), in_order);
	for (size_t i = 0; i < n && !r; i++)
		r = call(data, entries[i].name);
	return r;
}

int spool_remove(const char *run_dir, const char *name)
{
	_cleanup_free_ char *path = spool_path(run_dir, "", name);

	if (!path)
		return -EINVAL;
	return unlink(path) < 0 ? -errno : 0;
}

int spool_rename(const char *run_dir, const char *from, const char *to)
{
	_cleanup_free_ char *old = spool_path(run_dir, "", from);
	_cleanup_free_ char *new = spool_path(run_dir, "", to);

	if (!old || !new)
		return -EINVAL;
	return rename(old, new) < 0 ? -errno : 0;
}

/* --- init ------------------------------------------------------------------------------------- */

int spool_note_init(const char *run_dir, pid_t init, uint64_t run)
{
	_cleanup_free_ char *name = format_string(INIT "%ld", (long)init);
	_cleanup_free_ char *path = name ? spool_path(run_dir, "", name) : NULL;
	_cleanup_free_ char *new_path = name ? spool_path(run_dir, ".", name) : NULL;
	char target[17];

	if (!path || !new_path)
		return -ENOMEM;
	snprintf(target, sizeof(target), "%016" PRIx64, run);
	if (symlink(target, new_path) < 0 &&
		(errno != EEXIST || unlink(new_path) < 0 || symlink(target, new_path) < 0))
		return -errno;
	return rename(new_path, path) < 0 ? -errno : 0;
}

int spool_init_run(const char *run_dir, pid_t init, uint64_t *ret)
{
	_cleanup_free_ char *name = format_string(INIT "%ld", (long)init);
	_cleanup_free_ char *path = name ? spool_path(run_dir, "", name) : NULL;
	char target[17], *end;
	ssize_t n = path ? readlink(path, target, sizeof(target) - 1) : -1;

	if (n < 0)
		return path ? -errno : -ENOMEM;
	target[n] = '\0';
	*ret = strtoull(target, &end, 16);
	return n == 16 && !*end ? 0 : -EBADMSG;
}
