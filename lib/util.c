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

int open_published(const char *path, int flags, struct error *err)
{
	/* A FIFO put here must not hold the reader up. */
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(
			err, -ENOENT, "%s does not exist: no collector has run here yet", path);
	if (errno == EACCES)
		return error_set(err, -EACCES,
			"%s is not for you to read: become root or join the group loadcell", path);
	return error_set(err, -errno, "cannot open %s: %m", path);
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
	_cleanup_free_ char *buf = malloc(max + 1);
	ssize_t len;
	char *text;

	if (!buf)
		return -ENOMEM;
	len = read_file_at(dirfd, path, buf, max + 1);
	if (len < 0)
		return (int)len;
	text = realloc(buf, (size_t)len + 1);
	if (text)
		buf = text;
	*ret = TAKE_PTR(buf);
	if (ret_len)
		*ret_len = (size_t)len;
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

static int write_parts(int fd, const struct iovec *parts, size_t n)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = write_all(fd, parts[i].iov_base, parts[i].iov_len);
	return r;
}

int replace_file_parts(const char *path, const char *new_path, const struct iovec *parts, size_t n,
	mode_t mode, bool sync)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	_cleanup_close_ int fd = open(new_path, flags, mode);
	int r;

	/* What a process that died left behind is not written into. */
	if (fd < 0 && errno == EEXIST && unlink(new_path) == 0)
		fd = open(new_path, flags, mode);
	if (fd < 0)
		return -errno;
	r = write_parts(fd, parts, n);
	/* The mode is right whatever the umask is. */
	if (!r && (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) || rename(new_path, path) < 0))
		r = -errno;
	if (r)
		unlink(new_path);
	return !r && sync ? sync_parent(path) : r;
}

int replace_file(const char *path, const void *data, size_t len, mode_t mode, bool sync)
{
	_cleanup_free_ char *new_path = format_string("%s.new", path);
	const struct iovec part = {(void *)(uintptr_t)data, len};

	if (!new_path)
		return -ENOMEM;
	return replace_file_parts(path, new_path, &part, 1, mode, sync);
}

/* Where a service may set no such bit (RestrictSUIDSGID=), its own group does the same. */
static int make_directory(const char *path, mode_t mode)
{
	int r = mkdir(path, mode);

	if (r < 0 && errno == EPERM && mode & S_ISGID)
		r = mkdir(path, mode & ~(mode_t)S_ISGID);
	return r;
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
		if (make_directory(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (make_directory(copy, mode) == 0)
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

static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";

size_t percent_encode(const char *src, char *dst, size_t max)
{
	/* The names that would not stay inside their directory. */
	const bool dots = strcmp(src, ".") == 0 || strcmp(src, "..") == 0;
	size_t len = 0;

	for (; *src; src++) {
		const bool as_it_is = strchr(plain, *src) && !dots;
		const size_t n = as_it_is ? 1 : 3;

		if (len + n > max)
			break;
		if (as_it_is)
			dst[len] = *src;
		else /* plain[] begins with the digits */
			memcpy(dst + len,
				(char[]){'%', plain[(unsigned char)*src >> 4], plain[*src & 15]},
				3);
		len += n;
	}
	dst[len] = '\0';
	return len;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789ABCDEFabcdef";
	const char *p = c ? strchr(digits, c) : NULL;

	return !p ? -1 : p - digits < 16 ? (int)(p - digits) : (int)(p - digits) - 6;
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
