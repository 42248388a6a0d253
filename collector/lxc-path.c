/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc-call.h"

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

/*
 * In a sticky directory only root and an entry's owner can replace the entry, whose own owner is
 * looked at next. A mode that group bits make writable covers POSIX ACLs too: they hold the mask.
 */
static int only_root_changes(const struct stat *st, const char *path, struct error *err)
{
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

	if (st->st_uid != 0)
		return error_set(err, -EPERM, "%s belongs to user %u, not to root", path,
			(unsigned int)st->st_uid);
	if (!S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)) && !sticky)
		return error_set(err, -EPERM, "%s is writable by others than root", path);
	return 0;
}

/* rest becomes the link's target followed by what came after the link. */
static int splice_link(const char *link, char *rest, size_t size)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if ((size_t)snprintf(joined, sizeof(joined), "%s/%s", target, rest) >= sizeof(joined) ||
		strlen(joined) >= size)
		return -ENAMETOOLONG;
	strcpy(rest, joined);
	return target[0] == '/' ? 1 : 0;
}

/* Moves the next component of rest behind done; false at the end. ".." goes up. */
static bool next_component(char *done, size_t size, char *rest)
{
	size_t skip = strspn(rest, "/"), len = strcspn(rest + skip, "/"), at = strlen(done);

	if (!len)
		return false;
	if (len == 2 && strncmp(rest + skip, "..", 2) == 0) {
		char *slash = strrchr(done, '/');

		if (slash)
			*slash = '\0';
	} else if (!(len == 1 && rest[skip] == '.')) {
		snprintf(done + at, size - at, "/%.*s", (int)len, rest + skip);
	}
	memmove(rest, rest + skip + len, strlen(rest + skip + len) + 1);
	return true;
}

int trusted_path(const char *path, struct error *err)
{
	char done[PATH_MAX] = "", rest[PATH_MAX];
	unsigned int links = 0;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(rest))
		return error_set(err, -EINVAL, "%s is not an absolute path", path);
	strcpy(rest, path);
	do {
		const char *at = done[0] ? done : "/";
		struct stat st;

		if (lstat(at, &st) < 0)
			return errno == ENOENT
				       ? 0
				       : error_set(err, -errno, "cannot look at %s: %m", at);
		r = only_root_changes(&st, at, err);
		if (r < 0)
			return r;
		if (!S_ISLNK(st.st_mode))
			continue;
		r = ++links > LINKS_MAX ? -ELOOP : splice_link(done, rest, sizeof(rest));
		if (r < 0)
			return error_set(err, r, "cannot follow %s: %s", at, strerror(-r));
		*(r ? done : strrchr(done, '/')) = '\0';
	} while (next_component(done, sizeof(done), rest));
	return 0;
}
