/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "value.h"

void flatten_text(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	flatten_text(err->text);
	return code;
}

/*
 * Reads until the end: one short read proves nothing, because seq_file hands out a page or less
 * at a time.
 */
static ssize_t read_to_end(int fd, char *buf, size_t size)
{
	size_t len = 0;

	if (!size)
		return -EINVAL;
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n) {
			buf[len] = '\0';
			return (ssize_t)len;
		}
		len += (size_t)n;
	}
	return -EFBIG;
}

ssize_t pread_file(int fd, char *buf, size_t size)
{
	ssize_t n;

	if (!size)
		return -EINVAL;
	do
		n = pread(fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n == size)
		return -EFBIG;
	buf[n] = '\0';
	return n;
}

ssize_t read_file_at(int dirfd, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return read_to_end(fd, buf, size);
}

int read_file_alloc(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *buf = NULL;
	size_t size = 0, len = 0;

	if (fd < 0)
		return -errno;
	if (max > SSIZE_MAX / 2)
		return -EINVAL;
	for (;;) {
		ssize_t n;

		if (len + 1 >= size) {
			size_t grown = size ? MIN(size * 2, max + 2) : MIN((size_t)4096, max + 2);
			char *bigger = realloc(buf, grown);

			if (!bigger)
				return -ENOMEM;
			buf = bigger;
			size = grown;
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The rename itself is on disk only after its directory is. */
static int sync_parent(const char *path)
{
	_cleanup_free_ char *parent = strdup(path);
	_cleanup_close_ int fd = -1;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent ? 1 : 0] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_new_file(const char *path, const void *data, size_t len, mode_t mode, bool sync)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	_cleanup_close_ int fd = open(path, flags, mode);
	int r;

	if (fd < 0 && errno == EEXIST) { /* left by a process that had our pid and died */
		if (unlink(path) < 0)
			return -errno;
		fd = open(path, flags, mode);
	}
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (!r && fchmod(fd, mode) < 0) /* whatever the umask is */
		r = -errno;
	if (!r && sync && fsync(fd) < 0)
		r = -errno;
	if (r)
		unlink(path);
	return r;
}

int replace_file(const char *path, const void *data, size_t len, mode_t mode, bool sync)
{
	_cleanup_free_ char *new_path = format_string("%s.new.%ld", path, (long)getpid());
	int r;

	if (!new_path)
		return -ENOMEM;
	r = write_new_file(new_path, data, len, mode, sync);
	if (r)
		return r;
	if (rename(new_path, path) < 0) {
		r = -errno;
		unlink(new_path);
		return r;
	}
	return sync ? sync_parent(path) : 0;
}

int make_directories(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *copy && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(copy, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

char *format_string(const char *format, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

uint64_t now_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t fnv64(uint64_t start, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t hash = start;

	for (size_t i = 0; i < len; i++) {
		hash ^= p[i];
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

/* "." and ".." are the names that would not stay inside their directory. */
static bool is_dots(const char *s)
{
	return strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

static bool is_plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '.' || c == '_' || c == '-';
}

size_t percent_encode(const char *src, char *dst, size_t max)
{
	static const char digits[] = "0123456789ABCDEF";
	bool dots = is_dots(src);
	size_t len = 0;

	for (; *src; src++) {
		unsigned char c = (unsigned char)*src;

		if (is_plain(c) && !dots) {
			if (len + 1 > max)
				break;
			dst[len++] = (char)c;
			continue;
		}
		if (len + 3 > max)
			break;
		dst[len++] = '%';
		dst[len++] = digits[c >> 4];
		dst[len++] = digits[c & 15];
	}
	dst[len] = '\0';
	return len;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int percent_decode(const char *src, char *dst, size_t size)
{
	size_t len = 0;

	while (*src) {
		int c = (unsigned char)*src++;

		if (c == '%') {
			int high = hex_digit(src[0]);
			int low = high < 0 ? -1 : hex_digit(src[1]);

			if (low < 0 || !(high | low)) /* NUL cannot be in a name */
				return -EINVAL;
			c = high << 4 | low;
			src += 2;
		}
		if (len + 1 >= size)
			return -ENAMETOOLONG;
		dst[len++] = (char)c;
	}
	if (!size)
		return -ENAMETOOLONG;
	dst[len] = '\0';
	return 0;
}
