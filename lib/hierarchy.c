/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <mntent.h>
#include <string.h>

#include "hierarchy.h"

#define CGROUP_ROOT_DEFAULT "/sys/fs/cgroup"

int hierarchy_set(struct hierarchies *h, enum controller c, int version, const char *mount,
	const char *cgroup_root)
{
	size_t n = strlen(CGROUP_ROOT_DEFAULT);
	struct hierarchy *to = &h->controller[c];
	char *path;

	if (to->version)
		return 0;
	if (strncmp(mount, CGROUP_ROOT_DEFAULT, n) == 0 && (!mount[n] || mount[n] == '/'))
		path = format_string("%s%s", cgroup_root, mount + n);
	else
		path = strdup(mount);
	if (!path)
		return -ENOMEM;
	to->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (to->fd < 0) {
		int r = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;

		/* A mount that another one hides is none. */
		free(path);
		return r;
	}
	to->mount = path;
	to->version = version;
	return 0;
}

/* The controllers of a cgroup2 mount stand in its cgroup.controllers, not in its options. */
static int set_unified(struct hierarchies *h, const char *mount, const char *cgroup_root, bool all)
{
	char buf[1024], *rest = buf, *word;
	int r = hierarchy_set(h, CONTROLLER_UNIFIED, 2, mount, cgroup_root);

	if (r < 0 || !all)
		return r;
	if (read_file_at(h->controller[CONTROLLER_UNIFIED].fd, "cgroup.controllers", buf,
		    sizeof(buf)) < 0)
		return 0;
	while ((word = strsep(&rest, " \n"))) {
		for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_UNIFIED; c++) {
			if (strcmp(word, controller_name(c, 2)))
				continue;
			r = hierarchy_set(h, c, 2, mount, cgroup_root);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int hierarchies_add_mounts(struct hierarchies *h, const char *cgroup_root, const char *proc_root,
	bool all, struct error *err)
{
	_cleanup_free_ char *path = format_string("%s/mounts", proc_root);
	FILE *f = path ? setmntent(path, "re") : NULL;
	struct mntent entry;
	char buf[8192];
	int r = 0;

	if (!f)
		return error_set(err, -errno, "cannot read %s/mounts: %m", proc_root);
	while (r >= 0 && getmntent_r(f, &entry, buf, sizeof(buf))) {
		if (strcmp(entry.mnt_type, "cgroup2") == 0) {
			r = set_unified(h, entry.mnt_dir, cgroup_root, all);
			continue;
		}
		if (strcmp(entry.mnt_type, "cgroup"))
			continue;
		if (hasmntopt(&entry, "name=systemd"))
			r = hierarchy_set(h, CONTROLLER_SYSTEMD, 1, entry.mnt_dir, cgroup_root);
		for (enum controller c = CONTROLLER_CPU; all && r >= 0 && c < CONTROLLER_UNIFIED;
			c++) {
			if (hasmntopt(&entry, controller_name(c, 1)))
				r = hierarchy_set(h, c, 1, entry.mnt_dir, cgroup_root);
		}
	}
	endmntent(f);
	if (r < 0)
		return error_set(err, r, "cannot open a cgroup mount below %s: %s", cgroup_root,
			strerror(-r));
	return 0;
}

struct hierarchies *hierarchies_new(void)
{
	struct hierarchies *h = calloc(1, sizeof(*h));

	for (size_t c = 0; h && c < CONTROLLER_COUNT; c++)
		h->controller[c].fd = -1;
	return h;
}

int hierarchies_done(
	struct hierarchies *h, const char *cgroup_root, struct hierarchies **ret, struct error *err)
{
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		if (!h->controller[c].version)
			continue;
		*ret = h;
		return 0;
	}
	hierarchies_free(h);
	return error_set(err, -ENOENT,
		"no cgroup file system is mounted below %s: mount cgroup2 there", cgroup_root);
}

int hierarchies_read(
	const char *cgroup_root, const char *proc_root, struct hierarchies **ret, struct error *err)
{
	_cleanup_(hierarchies_free) struct hierarchies *h = hierarchies_new();
	int r = h ? hierarchies_add_mounts(h, cgroup_root, proc_root, true, err)
		  : error_set(err, -ENOMEM, "out of memory");

	return r < 0 ? r : hierarchies_done(TAKE_PTR(h), cgroup_root, ret, err);
}

enum controller hierarchies_leading(const struct hierarchies *h)
{
	static const enum controller order[] = {HIERARCHY_ORDER};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (h->controller[order[i]].version)
			return order[i];
	}
	return CONTROLLER_NONE;
}

void hierarchies_free(struct hierarchies *h)
{
	if (!h)
		return;
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		free(h->controller[c].mount);
		close_fd(h->controller[c].fd);
	}
	free(h);
}
