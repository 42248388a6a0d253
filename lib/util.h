/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The small private libc: scope-bound cleanup, reading whole files, and a few strings. */

#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))

/* Makes cleanup_NAME() from a destructor that accepts NULL: `_cleanup_(snapshot_close) ...`. */
#define DEFINE_CLEANUP(type, destructor)                                                           \
	static inline void cleanup_##destructor(type *p)                                           \
	{                                                                                          \
		if (*p)                                                                            \
			destructor(*p);                                                            \
	}
#define _cleanup_(destructor) __attribute__((cleanup(cleanup_##destructor)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Closes a descriptor, keeps errno, and returns -1 to assign: fd = close_fd(fd). */
static inline int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_close(int *fd)
{
	close_fd(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define _cleanup_free_     __attribute__((cleanup(cleanup_free)))
#define _cleanup_close_    __attribute__((cleanup(cleanup_close)))
#define _cleanup_fclose_   _cleanup_(fclose)
#define _cleanup_closedir_ _cleanup_(closedir)

/* Hands a pointer or descriptor over to a new owner. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

/* One sentence about what went wrong, made where it happens, printed once at the edge. */
#define ERROR_MAX 512
struct error {
	char text[ERROR_MAX];
};

/* Formats the sentence (err may be NULL) and returns `code`, a negative errno. */
int error_set(struct error *err, int code, const char *format, ...) _printf_(3, 4);

/* Replaces control bytes with '?', so that text from outside stays one harmless line. */
void flatten_text(char *text);

/*
 * Reads a file of at most size-1 bytes into buf and ends it with NUL. Returns the length or a
 * negative errno; -EFBIG when the file does not fit. dirfd and path as for openat(2).
 */
ssize_t read_file_at(int dirfd, const char *path, char *buf, size_t size);

/*
 * The same from an open descriptor by one pread(2) from offset 0, for cgroup files kept open: their
 * whole text is one record, which one read hands out when the buffer holds it (kernfs_seq_show()
 * in fs/kernfs/file.c, seq_read_iter() in fs/seq_file.c). Not for lists such as cgroup.procs.
 */
ssize_t pread_file(int fd, char *buf, size_t size);

/* Reads a file of at most max bytes into a new NUL-ended buffer that the caller frees. */
int read_file_alloc(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);

/* Opens a file of the collector's for its readers; says to people why they cannot. */
int open_published(const char *path, int flags, struct error *err);

int write_all(int fd, const void *data, size_t len);

/* Writes path.new.PID beside path, optionally syncs it, and renames it over path. */
int replace_file(const char *path, const void *data, size_t len, mode_t mode, bool sync);
/* The same of several parts and by a name of the caller's. */
int replace_file_parts(const char *path, const char *new_path, const struct iovec *parts, size_t n,
	mode_t mode, bool sync);

/* mkdir -p; an existing directory is fine. */
int make_directories(const char *path, mode_t mode);

char *format_string(const char *format, ...) _printf_(1, 2); /* asprintf; NULL on ENOMEM */

uint64_t now_ns(clockid_t clock);

/* 64-bit FNV-1a, as liblxc uses for long socket names. Start with FNV64_START. */
#define FNV64_START UINT64_C(0xcbf29ce484222325)
uint64_t fnv64(uint64_t start, const void *data, size_t len);

/*
 * Percent-encodes bytes outside [A-Za-z0-9._-], and "." and ".." whole, so that the result is a
 * safe file name; cuts at max output bytes, never inside an escape. dst holds max + 1.
 */
size_t percent_encode(const char *src, char *dst, size_t max);
/* 0, -EINVAL for a broken escape or %00, -ENAMETOOLONG when it does not fit in size. */
int percent_decode(const char *src, char *dst, size_t size);
