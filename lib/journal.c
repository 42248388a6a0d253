/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal-files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "value.h"

#define FILE_FLAGS (O_CLOEXEC | O_NOFOLLOW)
#define FILE_MODE  0640
#define COPY_SIZE  (64 << 10)
/* Real numbers: all nanoseconds of a fortnight, and 0.1 stays 0.1. */
#define LINE_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(16))

struct journal {
	char *name, *file;
	int dirfd, fd;
	uint64_t (*time_of)(const json_t *line);
	uint64_t size, old_bytes;
	uint64_t first_ns; /* time of the file's first line; 0: not known */
	bool unsynced;
};

/* --- the end of the file ---------------------------------------------------------------------- */

static int cut(struct journal *j, uint64_t size)
{
	if (ftruncate(j->fd, (off_t)size) < 0)
		return -errno;
	j->size = size;
	return 0;
}

/* Where the last line's end is: 0 when there is none. */
static int find_last_newline(int fd, uint64_t size, uint64_t *ret)
{
	char buf[4096];

	while (size > 0) {
		size_t len = MIN(size, sizeof(buf));
		const char *newline;

		if (pread(fd, buf, len, (off_t)(size - len)) != (ssize_t)len)
			return -EIO;
		newline = memrchr(buf, '\n', len);
		if (newline) {
			*ret = size - len + (uint64_t)(newline - buf) + 1;
			return 0;
		}
		size -= len;
	}
	*ret = 0;
	return 0;
}

static int first_line(void *data, const json_t *line)
{
	struct journal *j = data;

	j->first_ns = j->time_of(line);
	return 1;
}

/* 1: something was cut off. */
static int open_current(struct journal *j)
{
	uint64_t damaged = 0, end;
	struct stat st;
	int again, r;

	j->fd = openat(j->dirfd, j->file, O_RDWR | O_CREAT | O_APPEND | FILE_FLAGS, FILE_MODE);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return -errno;
	j->size = (uint64_t)st.st_size;
	j->first_ns = 0;
	r = find_last_newline(j->fd, j->size, &end);
	if (!r && end != j->size) {
		r = cut(j, end);
		r = r ? r : 1;
	}
	if (r < 0 || !j->size)
		return r;
	again = openat(j->dirfd, j->file, O_RDONLY | FILE_FLAGS);
	if (again >= 0)
		(void)journal_read_fd(again, first_line, j, &damaged);
	return r;
}

/* --- old files -------------------------------------------------------------------------------- */

/* A copy that is complete or not there. */
static int pack_into(int from, int dirfd, const char *path)
{
	_cleanup_free_ char *new_path = format_string("%s.new", path), *buf = malloc(COPY_SIZE);
	_cleanup_close_ int fd = -1;
	ssize_t n = 0;
	gzFile gz;
	int r = 0;

	if (!new_path || !buf)
		return -ENOMEM;
	fd = openat(dirfd, new_path, O_WRONLY | O_CREAT | O_TRUNC | FILE_FLAGS, FILE_MODE);
	gz = fd < 0 ? NULL : gzdopen(dup(fd), "w");
	if (!gz)
		return fd < 0 ? -errno : -ENOMEM;
	while (!r && (n = read(from, buf, COPY_SIZE)) > 0)
		r = gzwrite(gz, buf, (unsigned int)n) == n ? 0 : -EIO;
	r = n < 0 ? -errno : r;
	/* errno tells which kind of failure it was, where the system gave one. */
	errno = 0;
	if (gzclose(gz) != Z_OK && !r)
		r = errno ? -errno : -EIO;
	if (!r && (fsync(fd) < 0 || renameat(dirfd, new_path, dirfd, path) < 0))
		r = -errno;
	if (!r && fsync(dirfd) < 0)
		r = -errno;
	if (r)
		unlinkat(dirfd, new_path, 0);
	return r;
}

static int pack(struct journal *j, struct journal_file f)
{
	char plain[JOURNAL_PATH_MAX], packed[JOURNAL_PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	journal_file_name(&f, j->name, plain);
	f.packed = true;
	journal_file_name(&f, j->name, packed);
	fd = openat(j->dirfd, plain, O_RDONLY | FILE_FLAGS);
	if (fd < 0)
		return -errno;
	r = pack_into(fd, j->dirfd, packed);
	return r ? r : unlinkat(j->dirfd, plain, 0) < 0 ? -errno : 0;
}

/* Packs what a rotation, now or before a crash, has left; then removes what is too old or too
 * much. */
static int tidy_old(struct journal *j, uint64_t oldest_ns, uint64_t max_bytes)
{
	_cleanup_free_ struct journal_file *files = NULL;
	ssize_t n = journal_files(j->dirfd, j->name, &files);
	int r = 0, failed;

	for (ssize_t i = 0; i < n && !r; i++)
		if (!files[i].packed)
			r = pack(j, files[i]);
	if (n < 0 || r)
		return n < 0 ? (int)n : r;
	free(TAKE_PTR(files));
	n = journal_files(j->dirfd, j->name, &files);
	j->old_bytes = 0;
	for (ssize_t i = 0; i < n; i++)
		j->old_bytes += files[i].bytes;
	for (ssize_t i = 0; i < n; i++) {
		char path[JOURNAL_PATH_MAX];

		if (files[i].last_s >= oldest_ns / NSEC_PER_SEC &&
			j->old_bytes + j->size <= max_bytes)
			continue;
		journal_file_name(&files[i], j->name, path);
		failed = unlinkat(j->dirfd, path, 0) < 0 ? -errno : 0;
		r = r ? r : failed;
		j->old_bytes -= failed ? 0 : files[i].bytes;
	}
	return n < 0 ? (int)n : r;
}

struct span {
	struct journal *j;
	uint64_t first_ns, last_ns;
};

static int note_time(void *data, const json_t *line)
{
	struct span *s = data;
	uint64_t t = s->j->time_of(line);

	s->first_ns = s->first_ns ? MIN(s->first_ns, t) : t;
	s->last_ns = MAX(s->last_ns, t);
	return 0;
}

/*
 * The file gets its final name by one rename, so that a reader or a crash at any moment finds each
 * line once.
 */
static int rotate(struct journal *j)
{
	int fd = openat(j->dirfd, j->file, O_RDONLY | FILE_FLAGS);
	struct span span = {.j = j};
	struct journal_file f = {0};
	char path[JOURNAL_PATH_MAX];
	uint64_t damaged = 0;
	int r;

	if (fd < 0)
		return -errno;
	r = journal_read_fd(fd, note_time, &span, &damaged);
	r = r ? r : journal_sync(j);
	if (r)
		return r;
	f.first_s = span.first_ns / NSEC_PER_SEC;
	f.last_s = span.last_ns / NSEC_PER_SEC;
	/* Two of the same second and length: the later one ends a little later. */
	for (f.packed = true;; f.last_s++) {
		journal_file_name(&f, j->name, path);
		if (faccessat(j->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	f.packed = false;
	journal_file_name(&f, j->name, path);
	if (renameat(j->dirfd, j->file, j->dirfd, path) < 0)
		return -errno;
	j->fd = close_fd(j->fd);
	r = open_current(j);
	return r < 0 ? r : 0;
}

int journal_tidy(struct journal *j, uint64_t oldest_ns, uint64_t max_bytes, struct error *err)
{
	uint64_t now = now_ns(CLOCK_REALTIME);
	uint64_t half_ns = oldest_ns + (now > oldest_ns ? (now - oldest_ns) / 2 : 0);
	int r = 0;

	if (j->size > 0 && (j->size >= MIN(JOURNAL_FILE_MAX, max_bytes / 2) ||
				   (j->first_ns && j->first_ns < half_ns)))
		r = rotate(j);
	r = r ? r : tidy_old(j, oldest_ns, max_bytes);
	return r ? error_set(err, r, "cannot pack or remove old files of %s: %s", j->file,
			   strerror(-r))
		 : 0;
}

/* --- the journal ------------------------------------------------------------------------------ */

int journal_open(const char *dir, const char *name, uint64_t (*time_of)(const json_t *line),
	struct journal **ret, struct error *err)
{
	_cleanup_(journal_close) struct journal *j = calloc(1, sizeof(*j));
	_cleanup_free_ struct journal_file *files = NULL;
	ssize_t n;
	int r;

	if (!j)
		return error_set(err, -ENOMEM, "out of memory");
	*j = (struct journal){.dirfd = -1, .fd = -1, .time_of = time_of};
	j->name = strdup(name);
	j->file = format_string("%s.jsonl", name);
	j->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!j->name || !j->file)
		return error_set(err, -ENOMEM, "out of memory");
	if (j->dirfd < 0)
		return error_set(err, -errno, "cannot open %s: %m", dir);
	r = open_current(j);
	if (r < 0)
		return error_set(err, r, "cannot open %s/%s: %s", dir, j->file, strerror(-r));
	if (r)
		error_set(err, r, "%s/%s ended in the middle of a line, which was cut off", dir,
			j->file);
	n = journal_files(j->dirfd, name, &files);
	for (ssize_t i = 0; i < n; i++)
		j->old_bytes += files[i].bytes;
	*ret = TAKE_PTR(j);
	return r;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	close_fd(j->fd);
	close_fd(j->dirfd);
	free(j->name);
	free(j->file);
	free(j);
}

int journal_append(struct journal *j, const json_t *line)
{
	_cleanup_free_ char *text = json_dumps(line, LINE_FLAGS);
	size_t len = text ? strlen(text) : 0;
	int r;

	if (!text)
		return -ENOMEM;
	if (len >= JOURNAL_LINE_MAX)
		return -EMSGSIZE;
	text[len++] = '\n'; /* in the place of its NUL */
	r = write_all(j->fd, text, len);
	if (r) {
		(void)cut(j, j->size);
		return r;
	}
	if (!j->size)
		j->first_ns = j->time_of(line);
	j->size += len;
	j->unsynced = true;
	return 0;
}

int journal_sync(struct journal *j)
{
	if (j->unsynced && fdatasync(j->fd) < 0)
		return -errno;
	j->unsynced = false;
	return 0;
}

bool journal_is_full(const struct journal *j)
{
	return j->size >= JOURNAL_FILE_MAX;
}

uint64_t journal_bytes(const struct journal *j)
{
	return j->size + j->old_bytes;
}
