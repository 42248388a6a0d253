/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spool.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int open_spool(const char *run_dir, bool make)
{
	_cleanup_free_ char *path = format_string("%s/spool", run_dir);
	int fd;

	if (!path)
		return -ENOMEM;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int spool_put(const char *run_dir, const char *name, const json_t *record)
{
	_cleanup_free_ char *text = json_dumps(record, JSON_COMPACT);
	_cleanup_free_ char *new_name = format_string(".%s", name);
	_cleanup_close_ int dir = open_spool(run_dir, true), fd = -1;
	int r;

	if (!text || !new_name || dir < 0)
		return dir < 0 ? dir : -ENOMEM;
	fd = openat(dir, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (!r && renameat(dir, new_name, dir, name) < 0)
		r = -errno;
	if (r)
		unlinkat(dir, new_name, 0);
	return r;
}

int spool_get(const char *run_dir, const char *name, json_t **ret)
{
	_cleanup_close_ int dir = open_spool(run_dir, false);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (dir < 0)
		return dir;
	r = read_file_alloc(dir, name, SPOOL_RECORD_MAX, &text, &len);
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	*ret = json_loadb(text, len, 0, NULL);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return -EBADMSG;
}

struct entry {
	struct timespec time;
	char name[64];
};

static int by_time(const void *a, const void *b)
{
	const struct timespec *x = &((const struct entry *)a)->time,
			      *y = &((const struct entry *)b)->time;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

int spool_each(const char *run_dir, int (*call)(void *data, const char *name), void *data)
{
	_cleanup_free_ struct entry *entries = calloc(SPOOL_MAX, sizeof(*entries));
	_cleanup_closedir_ DIR *dir = NULL;
	int fd = open_spool(run_dir, false), r = 0;
	size_t n = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir || !entries)
		return -ENOMEM;
	for (struct dirent *e; n < SPOOL_MAX && (e = readdir(dir));) {
		struct stat st;

		if (e->d_name[0] == '.' || strlen(e->d_name) >= sizeof(entries->name) ||
			fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		entries[n].time = st.st_mtim;
		strcpy(entries[n++].name, e->d_name);
	}
	qsort(entries, n, sizeof(*entries), by_time);
	for (size_t i = 0; i < n && !r; i++)
		r = call(data, entries[i].name);
	return r;
}

int spool_remove(const char *run_dir, const char *name)
{
	_cleanup_close_ int dir = open_spool(run_dir, false);

	return dir < 0 ? dir : unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

int spool_rename(const char *run_dir, const char *from, const char *to)
{
	_cleanup_close_ int dir = open_spool(run_dir, false);

	return dir < 0 ? dir : renameat(dir, from, dir, to) < 0 ? -errno : 0;
}
