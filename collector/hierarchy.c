/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hierarchy.h"

#include <libcgroup.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

/*
 * libcgroup's own version call is in the library but, in Debian 12's 2.0.2, in no header; the
 * file system's type says the same.
 */
static int mount_version(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return 0;
	if (fs.f_type == CGROUP2_SUPER_MAGIC)
		return 2;
	return fs.f_type == CGROUP_SUPER_MAGIC ? 1 : 0;
}

static int from_libcgroup(struct hierarchies *h, const char *cgroup_root, struct error *err)
{
	int r = cgroup_init();

	if (r == ECGROUPNOTMOUNTED)
		return 0;
	if (r)
		return error_set(
			err, -EIO, "libcgroup cannot read the mount table: %s", cgroup_strerror(r));
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_UNIFIED; c++) {
		_cleanup_free_ char *mount = NULL;
		int version = 0;

		/* "blkio" is v1's name of what v2 calls "io": both are asked for. */
		for (int v = 1; v <= 2 && !mount; v++) {
			if (cgroup_get_subsys_mount_point(controller_name(c, v), &mount))
				mount = NULL;
		}
		if (mount)
			version = mount_version(mount);
		if (!version)
			continue;
		r = hierarchy_set(h, c, version, mount, cgroup_root);
		if (r < 0)
			return error_set(err, r, "cannot open %s: %s", mount, strerror(-r));
	}
	return 0;
}

int hierarchies_find(
	const char *cgroup_root, const char *proc_root, struct hierarchies **ret, struct error *err)
{
	_cleanup_(hierarchies_free) struct hierarchies *h = hierarchies_new();
	bool live = strcmp(proc_root, "/proc") == 0;
	int r = 0;

	if (!h)
		return error_set(err, -ENOMEM, "out of memory");
	if (live)
		r = from_libcgroup(h, cgroup_root, err);
	if (r >= 0)
		r = hierarchies_add_mounts(h, cgroup_root, proc_root, !live, err);
	return r < 0 ? r : hierarchies_done(TAKE_PTR(h), cgroup_root, ret, err);
}
