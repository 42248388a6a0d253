/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "walk.h"

/* A container may have up to fs.mount-max (100,000) mounts; ours come first. */
#define MOUNTINFO_MAX (16U << 20)

/* The kernel writes blank, tab, newline and backslash as \ooo (fs/proc_namespace.c mangle()). */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

int mount_parse(char *line, struct mount *ret)
{
	/* ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAG ...] - TYPE SOURCE SUPER_OPTIONS */
	enum {
		MAJ_MIN = 2,
		ROOT,
		POINT,
		OPTIONS,
		FIELDS
	};
	char *field[FIELDS], *save = NULL, *f;
	unsigned int dev_major, dev_minor;

	line[strcspn(line, "\n")] = 0;
	for (int i = 0; i < FIELDS; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return -EBADMSG;
	}
	if (sscanf(field[MAJ_MIN], "%u:%u", &dev_major, &dev_minor) != 2)
		return -EBADMSG;
	do
		f = strtok_r(NULL, " ", &save);
	while (f && strcmp(f, "-") != 0);
	ret->dev = makedev(dev_major, dev_minor);
	ret->root = field[ROOT];
	ret->point = field[POINT];
	ret->type = strtok_r(NULL, " ", &save);
	ret->source = strtok_r(NULL, " ", &save);
	ret->options = strtok_r(NULL, " ", &save);
	if (!ret->type || !ret->source)
		return -EBADMSG;
	/* An empty source leaves two blanks, so what follows has moved up. */
	if (!ret->options) {
		ret->options = ret->source;
		ret->source = ret->type + strlen(ret->type);
	}
	unescape(ret->root);
	unescape(ret->point);
	unescape(ret->type);
	unescape(ret->source);
	return 0;
}

int mount_each(
	int dir, const char *path, int (*call)(void *data, const struct mount *m), void *data)
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	_cleanup_free_ char *line = NULL;
	size_t size = 0, seen = 0;
	ssize_t n;
	int r = 0;

	if (!f)
		return -errno;
	TAKE_FD(fd);
	while (!r && seen < MOUNTINFO_MAX && (n = getline(&line, &size, f)) > 0) {
		struct mount m;

		seen += (size_t)n;
		if (mount_parse(line, &m) == 0)
			r = call(data, &m);
	}
	return r;
}

int mount_option(const char *options, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);

	for (const char *s = options; s; s = strchr(s, ',')) {
		s += *s == ',';
		if (strncmp(s, name, len) != 0 || s[len] != '=')
			continue;
		s += len + 1;
		size_t n = strcspn(s, ",");

		if (n >= size)
			return -ENAMETOOLONG;
		memcpy(buf, s, n);
		buf[n] = 0;
		unescape(buf);
		return 0;
	}
	return -ENOENT;
}
