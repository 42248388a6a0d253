/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal-files.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "value.h"

#define SUFFIX       ".jsonl"
#define PACKED       ".gz"
#define SECONDS_MAX  1e10 /* beyond that no clock is */
#define READ_RETRIES 10

uint64_t journal_seconds(const json_t *line, const char *key)
{
	double s = json_number_value(json_object_get(line, key));

	return s > 0 && s < SECONDS_MAX ? (uint64_t)llround(s * 1e9) : 0;
}

/* --- the old files ---------------------------------------------------------------------------- */

void journal_file_name(const struct journal_file *f, const char *name, char path[JOURNAL_PATH_MAX])
{
	snprintf(path, JOURNAL_PATH_MAX, "%s-%" PRIu64 "-%" PRIu64 SUFFIX "%s", name, f->first_s,
		f->last_s, f->packed ? PACKED : "");
}

/* Only a name that comes out the same when it is made again. */
static bool parse_name(const char *text, const char *name, struct journal_file *ret)
{
	const size_t len = strlen(name);
	char again[JOURNAL_PATH_MAX];

	*ret = (struct journal_file){0};
	if (strncmp(text, name, len) != 0 ||
		sscanf(text + len, "-%" SCNu64 "-%" SCNu64, &ret->first_s, &ret->last_s) != 2)
		return false;
	for (int packed = 0; packed < 2; packed++) {
		ret->packed = packed;
		journal_file_name(ret, name, again);
		if (!strcmp(text, again))
			return true;
	}
	return false;
}

static int by_time(const void *a, const void *b)
{
	const struct journal_file *x = a, *y = b;

	if (x->first_s != y->first_s)
		return x->first_s < y->first_s ? -1 : 1;
	if (x->last_s != y->last_s)
		return x->last_s < y->last_s ? -1 : 1;
	return y->packed - x->packed;
}

/* Between a packed file's rename and the removal of what it was made from both are there. */
static size_t drop_doubles(struct journal_file *files, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!kept || files[kept - 1].first_s != files[i].first_s ||
			files[kept - 1].last_s != files[i].last_s)
			files[kept++] = files[i];
	return kept;
}

ssize_t journal_files(int dirfd, const char *name, struct journal_file **ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_free_ struct journal_file *files = NULL;
	size_t n = 0, size = 0;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (struct dirent *e; (e = readdir(dir));) {
		struct journal_file f;
		struct stat st;

		if (!parse_name(e->d_name, name, &f) ||
			fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		if (n == size) {
			struct journal_file *bigger;

			size = size ? 2 * size : 16;
			bigger = reallocarray(files, size, sizeof(*files));
			if (!bigger)
				return -ENOMEM;
			files = bigger;
		}
		f.bytes = (uint64_t)st.st_size;
		f.ino = st.st_ino;
		files[n++] = f;
	}
	if (n > 0)
		qsort(files, n, sizeof(*files), by_time);
	*ret = TAKE_PTR(files);
	return (ssize_t)drop_doubles(*ret, n);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* What has been read and is not yet a whole line. */
struct lines {
	char *buf; /* JOURNAL_LINE_MAX */
	size_t len;
	bool skipping; /* the line is too long: up to its end it is damage */
	int (*call)(void *data, const json_t *line);
	void *data;
	uint64_t damaged;
};

static int take_line(struct lines *l, const char *text, size_t len)
{
	json_t *line = json_loadb(text, len, 0, NULL);
	int r = 0;

	if (json_is_object(line))
		r = l->call(l->data, line);
	else
		l->damaged++;
	json_decref(line);
	return r;
}

/* Hands out the whole lines of the buffer and keeps the rest. */
static int take_lines(struct lines *l)
{
	char *at = l->buf, *end = l->buf + l->len, *newline;
	int r = 0;

	while (!r && (newline = memchr(at, '\n', (size_t)(end - at)))) {
		if (!l->skipping)
			r = take_line(l, at, (size_t)(newline - at));
		l->skipping = false;
		at = newline + 1;
	}
	l->len = (size_t)(end - at);
	memmove(l->buf, at, l->len);
	if (l->len == JOURNAL_LINE_MAX) {
		l->damaged += !l->skipping;
		l->skipping = true;
		l->len = 0;
	}
	return r;
}

int journal_read_fd(
	int fd, int (*call)(void *data, const json_t *line), void *data, uint64_t *damaged)
{
	struct lines l = {.call = call, .data = data, .buf = malloc(JOURNAL_LINE_MAX)};
	gzFile gz = gzdopen(fd, "re"); /* plain files are read as they are */
	int n = 0, r = 0;

	if (!gz || !l.buf) {
		if (gz)
			gzclose(gz);
		else
			close_fd(fd);
		free(l.buf);
		return -ENOMEM;
	}
	gzbuffer(gz, 128 << 10);
	while (!r &&
		(n = gzread(gz, l.buf + l.len, (unsigned int)(JOURNAL_LINE_MAX - l.len))) > 0) {
		l.len += (size_t)n;
		r = take_lines(&l);
	}
	/* A packed file that ends early gives what it has and says so only here. */
	l.damaged += n < 0 || (gzclose(gz) != Z_OK && !r);
	if (n < 0)
		gzclose(gz);
	free(l.buf);
	*damaged += l.damaged;
	return r;
}

/* --- reading all ------------------------------------------------------------------------------ */

static int open_file(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static bool same_file(int dirfd, const char *name, int fd)
{
	struct stat there = {0}, open = {0};
	bool exists = fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0;

	if (fd < 0)
		return !exists;
	return exists && fstat(fd, &open) == 0 && there.st_ino == open.st_ino;
}

/*
 * The current file and the list of old ones as of one moment: when the file of that name is the
 * same before and after the listing, none was rotated meanwhile.
 */
static ssize_t open_all(
	int dirfd, const char *name, const char *current, int *ret_fd, struct journal_file **ret)
{
	for (int i = 0; i < READ_RETRIES; i++) {
		int fd = open_file(dirfd, current);
		ssize_t n;

		if (fd < 0 && errno != ENOENT)
			return -errno;
		n = journal_files(dirfd, name, ret);
		if (n >= 0 && same_file(dirfd, current, fd)) {
			*ret_fd = fd;
			return n;
		}
		close_fd(fd);
		if (n < 0)
			return n;
		free(*ret);
		*ret = NULL;
	}
	return -EAGAIN;
}

static int open_old(int dirfd, const char *name, struct journal_file *f)
{
	char path[JOURNAL_PATH_MAX];
	int fd;

	journal_file_name(f, name, path);
	fd = open_file(dirfd, path);
	if (fd < 0 && errno == ENOENT && !f->packed) {
		f->packed = true; /* meanwhile */
		journal_file_name(f, name, path);
		fd = open_file(dirfd, path);
	}
	return fd;
}

int journal_read(const char *dir, const char *name, uint64_t since_ns,
	int (*call)(void *data, const json_t *line), void *data, uint64_t *ret_damaged)
{
	_cleanup_close_ int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	_cleanup_free_ char *current = format_string("%s" SUFFIX, name);
	_cleanup_free_ struct journal_file *files = NULL;
	uint64_t damaged = 0;
	ssize_t n;
	int r = 0;

	if (dirfd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!current)
		return -ENOMEM;
	n = open_all(dirfd, name, current, &fd, &files);
	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n && !r; i++) {
		int old = files[i].last_s < since_ns / NSEC_PER_SEC
				  ? -1
				  : open_old(dirfd, name, &files[i]);

		if (old >= 0)
			r = journal_read_fd(old, call, data, &damaged);
	}
	if (fd >= 0 && !r)
		r = journal_read_fd(TAKE_FD(fd), call, data, &damaged);
	if (ret_damaged)
		*ret_damaged = damaged;
	return r;
}

/* --- following -------------------------------------------------------------------------------- */

struct journal_tail {
	char *name;
	int dirfd, fd; /* fd -1: no file yet */
	uint64_t at;
	struct lines lines;
};

int journal_tail_open(const char *dir, const char *name, struct journal_tail **ret)
{
	_cleanup_(journal_tail_close) struct journal_tail *t = calloc(1, sizeof(*t));
	struct stat st;

	if (!t)
		return -ENOMEM;
	t->fd = -1;
	t->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0)
		return -errno;
	t->name = format_string("%s" SUFFIX, name);
	t->lines.buf = malloc(JOURNAL_LINE_MAX);
	if (!t->name || !t->lines.buf)
		return -ENOMEM;
	t->fd = open_file(t->dirfd, t->name);
	if (t->fd < 0 && errno != ENOENT)
		return -errno;
	if (t->fd >= 0 && fstat(t->fd, &st) == 0)
		t->at = (uint64_t)st.st_size;
	*ret = TAKE_PTR(t);
	return 0;
}

void journal_tail_close(struct journal_tail *t)
{
	if (!t)
		return;
	close_fd(t->dirfd);
	close_fd(t->fd);
	free(t->lines.buf);
	free(t->name);
	free(t);
}

static int read_on(struct journal_tail *t)
{
	struct lines *l = &t->lines;
	ssize_t n = 0;
	int r = 0;

	while (!r && t->fd >= 0 &&
		(n = pread(t->fd, l->buf + l->len, JOURNAL_LINE_MAX - l->len, (off_t)t->at)) > 0) {
		t->at += (uint64_t)n;
		l->len += (size_t)n;
		r = take_lines(l);
	}
	return r ? r : n < 0 ? -errno : 0;
}

int journal_tail_read(
	struct journal_tail *t, int (*call)(void *data, const json_t *line), void *data)
{
	int r;

	t->lines.call = call;
	t->lines.data = data;
	r = read_on(t);
	if (r || same_file(t->dirfd, t->name, t->fd))
		return r;
	/* Rotated: what came before that is still in the old file. */
	r = read_on(t);
	close_fd(t->fd);
	t->fd = open_file(t->dirfd, t->name);
	t->at = 0;
	t->lines.len = 0;
	return r ? r : read_on(t);
}
