/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#define CHUNK (256 * 1024)

static int damaged(const char *name, const char *why, struct error *err)
{
	return error_set(err, -EBADMSG, "%s is damaged: %s", name, why);
}

static const char *what_failed(gzFile in)
{
	int code;
	const char *why = gzerror(in, &code);

	return code == Z_BUF_ERROR ? "it is cut off" : why;
}

static int copy_all(gzFile in, const char *name, int to, char *buf, struct error *err)
{
	uint64_t done = 0;
	int n, code, r;

	while ((n = gzread(in, buf, CHUNK)) > 0) {
		/* zlib hands out what is not compressed as it is. */
		if (!done && (gzdirect(in) || n < 4 || memcmp(buf, "RRD", 4) != 0))
			return damaged(name, "there is no packed RRD in it", err);
		done += (uint64_t)n;
		if (done > ARCHIVE_UNPACKED_MAX)
			return damaged(name, "it is larger than any RRD", err);
		r = write_all(to, buf, (size_t)n);
		if (r < 0)
			return error_set(err, r, "cannot unpack %s: %s", name, strerror(-r));
	}
	(void)gzerror(in, &code);
	if (code == Z_ERRNO)
		return error_set(err, -errno, "cannot read %s: %m", name);
	/* A stream that ends early is no error of gzread(), but one of its state. */
	if (n < 0 || code != Z_OK || !done)
		return damaged(name, done || n < 0 ? what_failed(in) : "it is empty", err);
	return 0;
}

int archive_unpack(int from, const char *name, int to, struct error *err)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	_cleanup_close_ int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
	gzFile in = fd < 0 || !buf ? NULL : gzdopen(fd, "rb");
	int r;

	if (!in)
		return error_set(err, -ENOMEM, "no memory to unpack %s", name);
	(void)TAKE_FD(fd);
	(void)gzbuffer(in, CHUNK);
	r = copy_all(in, name, to, buf, err);
	(void)gzclose_r(in);
	return r;
}

int archive_open(const char *path, int *ret_fd, char ret_path[ARCHIVE_PATH_MAX], struct error *err)
{
	_cleanup_close_ int from = open_published(path, O_RDONLY, err), to = -1;
	int r;

	if (from < 0)
		return from;
	to = memfd_create("loadcell-archive", MFD_CLOEXEC);
	if (to < 0)
		return error_set(err, -errno, "cannot unpack %s: %m", path);
	r = archive_unpack(from, path, to, err);
	if (r < 0)
		return r;
	snprintf(ret_path, ARCHIVE_PATH_MAX, "/proc/self/fd/%d", to);
	*ret_fd = TAKE_FD(to);
	return 0;
}
