/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "hooks.h"

#include "../lib/util.h"

/* LXC's configuration, as far as its hooks go (src/lxc/confile.c of LXC 5). */
#define DEPTH_MAX 8
#define FILES_MAX 256 /* of one container */
#define SIZE_MAX_ (1 << 20)
#define PROGRAM   "loadcell-hook"

struct reading {
	unsigned int files, depth;
	bool start_host, stop;
};

static int read_path(struct reading *r, const char *path);

/* Cuts blanks at both ends. */
static char *strip(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* Lines add up; one without a value clears what came before. */
static void take_hook(bool *has, const char *value)
{
	*has = *value && (*has || strstr(value, PROGRAM));
}

static int read_line(struct reading *r, char *line)
{
	char *value = strchr(line, '='), *key;

	if (!value)
		return 0;
	*value++ = '\0';
	key = strip(line);
	value = strip(value);
	if (strcmp(key, "lxc.include") == 0)
		return read_path(r, value);
	if (strcmp(key, "lxc.hook.start-host") == 0)
		take_hook(&r->start_host, value);
	else if (strcmp(key, "lxc.hook.stop") == 0)
		take_hook(&r->stop, value);
	else if (strcmp(key, "lxc.hook") == 0 && !*value)
		r->start_host = r->stop = false;
	return 0;
}

static int read_file(struct reading *r, const char *path)
{
	_cleanup_fclose_ FILE *in = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int result = in ? 0 : -errno;

	while (result >= 0 && getline(&line, &size, in) >= 0) {
		char *text = strip(line);

		if (*text != '#')
			result = read_line(r, text);
	}
	return result;
}

/* Of a directory LXC takes what ends in ".conf". */
static int read_directory(struct reading *r, const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;
	int result = 0;

	if (!dir)
		return -errno;
	while (result >= 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *file = format_string("%s/%s", path, entry->d_name);
		size_t len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0)
			result = file ? read_path(r, file) : -ENOMEM;
	}
	return result;
}

/*
 * The owner of a container writes its configuration, root reads it: it may name a device that does
 * something when it is opened, a FIFO, /proc/kmsg. What is empty, or says so, is not opened at all.
 */
static int read_path(struct reading *r, const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	char opened[64];
	struct stat st;
	int result = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (r->depth == DEPTH_MAX || r->files == FILES_MAX)
		return -ELOOP;
	snprintf(opened, sizeof(opened), "/proc/self/fd/%d", fd);
	r->files++;
	r->depth++;
	if (S_ISDIR(st.st_mode))
		result = read_directory(r, path);
	else if (!S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_)
		result = -EINVAL;
	else if (st.st_size)
		result = read_file(r, opened);
	r->depth--;
	return result;
}

int lxc_config_has_hooks(const char *path)
{
	struct reading r = {0};
	int result = read_path(&r, path);

	return result < 0 ? result : r.start_host && r.stop;
}
