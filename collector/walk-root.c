/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the root file system of an instance is, and how its use is told:
 *
 *  quota    ext4, xfs, f2fs: the root directory has an inherited project id with accounting on.
 *  own      statvfs: the container sees a file system from its top ("/", or "/rootfs" as Incus
 *           lays it out), on a device of its own (LVM, loop), or a type whose statvfs is about
 *           the data set (zfs, ceph) or the mount (tmpfs). Not when it is the host's "/".
 *  shared   all others: a walk. btrfs subvolumes have an st_dev of their own, but statvfs of the
 *           whole file system. NFS and FUSE servers say whatever they like.
 *
 * overlayfs: statvfs is that of the upper layer's file system, and a walk through the merged root
 * would charge the image's lower layers, which all instances share. So the upper directory is
 * walked on the host, when its path is believable: all above it is root's and not writable by
 * others, and it is on the file system that statvfs of the root is about. Else (a plain user's
 * container, or another's mount namespace) the merged root is walked, lower layers included.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "../lib/parse.h"
#include "walk.h"

/* Of <sys/quota.h>, which cannot stand beside <linux/quota.h>. */
extern int quotactl(int cmd, const char *special, int id, caddr_t addr);

static int check_starttime(int proc, uint64_t starttime)
{
	char buf[4096];
	struct proc_stat stat;
	ssize_t n = read_file_at(proc, "stat", buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	if (parse_proc_stat(buf, (size_t)n, &stat) < 0 || stat.starttime_ticks != starttime)
		return -ESRCH;
	return 0;
}

void root_close(struct root *r)
{
	r->proc = close_fd(r->proc);
	r->dir = close_fd(r->dir);
}

int root_open(const char *proc_root, const struct walk_target *t, struct root *ret)
{
	_cleanup_root_ struct root root = ROOT_CLOSED;
	char path[PATH_MAX];
	int r;

	/* An open /proc/PID belongs to one process for ever: a later one of that pid is ESRCH. */
	snprintf(path, sizeof(path), "%s/%d", proc_root, (int)t->init);
	root.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.proc < 0)
		return -errno;
	r = check_starttime(root.proc, t->starttime);
	if (r < 0)
		return r;
	root.dir = openat(root.proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.dir < 0)
		return -errno;
	ret->proc = TAKE_FD(root.proc);
	ret->dir = TAKE_FD(root.dir);
	return 0;
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	/* A name that is cut is another name. */
	memcpy(to, from, len < size ? len + 1 : 1);
	if (len >= size)
		*to = 0;
}

/* The mount that is the root of a process, as /proc/PID/mountinfo has it: the last one on "/". */
struct root_mount {
	bool found;
	uint64_t dev;
	char root[PATH_MAX], type[64], source[256], upper[PATH_MAX];
};

static int note_root_mount(void *data, const struct mount *m)
{
	struct root_mount *rm = data;

	if (strcmp(m->point, "/") != 0)
		return 0;
	rm->found = true;
	rm->dev = m->dev;
	copy_text(rm->root, sizeof(rm->root), m->root);
	copy_text(rm->type, sizeof(rm->type), m->type);
	copy_text(rm->source, sizeof(rm->source), m->source);
	/* A directory of a host that itself runs from an overlay has no upper of its own. */
	if (strcmp(m->type, "overlay") != 0 || strcmp(m->root, "/") != 0 ||
		mount_option(m->options, "upperdir", rm->upper, sizeof(rm->upper)) < 0)
		rm->upper[0] = 0;
	return 0;
}

static void find_root_mount(int proc, struct root_mount *ret)
{
	*ret = (struct root_mount){0};
	(void)mount_each(proc, "mountinfo", note_root_mount, ret);
}

/* Where the host has a file system mounted: by device, or by a path on it. */
struct host_mount {
	uint64_t dev;     /* wanted, when there is no path */
	const char *path; /* wanted */
	bool found;
	uint64_t found_dev, slash_dev;
	size_t root_len;
	char point[512], type[64], source[256];
};

static bool holds_path(const char *point, const char *path)
{
	size_t n = strlen(point);

	if (n == 1)
		return true;
	return strncmp(point, path, n) == 0 && (path[n] == '/' || !path[n]);
}

/* By path the longest mount point wins, the later of equals; by device the one that shows the
 * most of it. */
static bool better_mount(const struct host_mount *h, const struct mount *m)
{
	if (h->path)
		return holds_path(m->point, h->path) &&
		       (!h->found || strlen(m->point) >= strlen(h->point));
	if (m->dev != h->dev)
		return false;
	return !h->found || strlen(m->root) < h->root_len ||
	       (strlen(m->root) == h->root_len && strlen(m->point) < strlen(h->point));
}

static int note_host_mount(void *data, const struct mount *m)
{
	struct host_mount *h = data;

	if (strcmp(m->point, "/") == 0)
		h->slash_dev = m->dev;
	if (strlen(m->point) >= sizeof(h->point) || !better_mount(h, m))
		return 0;
	h->found = true;
	h->found_dev = m->dev;
	h->root_len = strlen(m->root);
	copy_text(h->point, sizeof(h->point), m->point);
	copy_text(h->type, sizeof(h->type), m->type);
	copy_text(h->source, sizeof(h->source), m->source);
	return 0;
}

static int find_host_mount(const char *proc_root, struct host_mount *h)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/self/mountinfo", proc_root);
	return mount_each(AT_FDCWD, path, note_host_mount, h);
}

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static bool is_own(const struct root_mount *rm, uint64_t host_slash_dev)
{
	static const char *const whole[] = {"zfs", "ceph", "tmpfs", "ramfs", NULL};

	if (!rm->found || rm->dev == host_slash_dev || strcmp(rm->type, "btrfs") == 0)
		return false;
	if (strcmp(rm->root, "/") != 0 && strcmp(rm->root, "/rootfs") != 0)
		return false;
	/* Major 0: no block device behind it, so only the types that are known to mean it. */
	return major(rm->dev) != 0 ? strncmp(rm->type, "fuse", 4) != 0 : is_one_of(rm->type, whole);
}

/* A project quota: 0 with the figures, -ENODATA when none is kept here. */
static int read_quota(const struct root *r, struct root_facts *facts)
{
	static const char *const types[] = {"ext4", "xfs", "f2fs", NULL};
	/* QCMD() shifts into the sign. */
	const int cmd = (int)((unsigned int)Q_GETQUOTA << SUBCMDSHIFT | PRJQUOTA);
	_cleanup_close_ int fd = -1;
	struct fsxattr attr;
	struct if_dqblk q = {0};

	if (!is_one_of(facts->fs.type, types))
		return -ENODATA;
	fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	if (!attr.fsx_projid || !(attr.fsx_xflags & FS_XFLAG_PROJINHERIT))
		return -ENODATA;
	/* quotactl_fd(): Linux 5.14. The other wants the device's path. */
	if (syscall(SYS_quotactl_fd, fd, cmd, attr.fsx_projid, &q) < 0 &&
		quotactl(cmd, facts->fs.device, (int)attr.fsx_projid, (caddr_t)&q) < 0)
		return -errno;
	if ((q.dqb_valid & (QIF_SPACE | QIF_INODES)) != (QIF_SPACE | QIF_INODES))
		return -ENODATA;
	facts->used = q.dqb_curspace;
	facts->inodes = q.dqb_curinodes;
	facts->limit = (q.dqb_bhardlimit ? q.dqb_bhardlimit : q.dqb_bsoftlimit) * QIF_DQBLKSIZE;
	return 0;
}

/* The directory of an absolute path when nobody but root could have put it there. */
static int open_believable(const char *path)
{
	_cleanup_close_ int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char copy[PATH_MAX];
	char *save = NULL;

	if (path[0] != '/')
		return -EINVAL;
	copy_text(copy, sizeof(copy), path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		struct stat st;
		int next;

		if (dir < 0 || fstat(dir, &st) < 0)
			return -errno;
		if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
			return -EPERM;
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close_fd(dir);
		dir = next;
	}
	return dir < 0 ? -errno : TAKE_FD(dir);
}

static int open_upper(const struct root *r, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct statfs merged, upper;

	if (!*path)
		return -ENOENT;
	fd = open_believable(path);
	if (fd < 0)
		return fd;
	/* ovl_statfs() (fs/overlayfs/super.c) asks the upper layer; free counts may move. */
	if (fstatfs(r->dir, &merged) < 0 || fstatfs(fd, &upper) < 0)
		return -errno;
	if (merged.f_blocks != upper.f_blocks || merged.f_bsize != upper.f_bsize)
		return -EXDEV;
	return TAKE_FD(fd);
}

/* So is that of a container that has not yet pivoted, and of one without a root. */
static bool is_host_root(const struct stat *st)
{
	struct stat host;

	return stat("/", &host) == 0 && host.st_dev == st->st_dev && host.st_ino == st->st_ino;
}

static void find_facts(const char *proc_root, const struct root *r, const struct stat *st,
	struct root_facts *facts)
{
	struct root_mount rm;
	struct host_mount hm = {0};

	*facts = (struct root_facts){.st_dev = st->st_dev, .fs_dev = st->st_dev};
	facts->kind = ROOT_SHARED;
	find_root_mount(r->proc, &rm);
	if (rm.found) {
		facts->fs_dev = rm.dev;
		copy_text(facts->fs.type, sizeof(facts->fs.type), rm.type);
		copy_text(facts->fs.device, sizeof(facts->fs.device), rm.source);
	}
	hm.dev = facts->fs_dev;
	_cleanup_close_ int upper = open_upper(r, rm.upper);

	if (upper >= 0)
		hm.path = rm.upper;
	(void)find_host_mount(proc_root, &hm);
	if (hm.found) {
		facts->fs_dev = hm.found_dev;
		copy_text(facts->fs.mount, sizeof(facts->fs.mount), hm.point);
		copy_text(facts->fs.type, sizeof(facts->fs.type), hm.type);
		copy_text(facts->fs.device, sizeof(facts->fs.device), hm.source);
	}
	if (is_host_root(st))
		facts->kind = ROOT_HOST;
	else if (is_own(&rm, hm.slash_dev))
		facts->kind = ROOT_OWN;
}

static void note_space(const struct statfs *s, struct walk_fs *fs)
{
	/* Some file systems leave f_frsize 0. */
	uint64_t unit = (uint64_t)(s->f_frsize ? s->f_frsize : s->f_bsize);

	fs->size = s->f_blocks * unit;
	fs->used = (s->f_blocks - MIN(s->f_bfree, s->f_blocks)) * unit;
	fs->available = s->f_bavail * unit;
	fs->inodes = s->f_files;
	fs->inodes_used = s->f_files - MIN(s->f_ffree, s->f_files);
}

int root_probe(const char *proc_root, const struct root *r, struct root_facts *facts)
{
	struct stat st;
	struct statfs s;

	if (fstat(r->dir, &st) < 0 || fstatfs(r->dir, &s) < 0)
		return -errno;
	if (facts->kind == ROOT_UNKNOWN || facts->kind == ROOT_HOST || facts->st_dev != st.st_dev)
		find_facts(proc_root, r, &st, facts);
	note_space(&s, &facts->fs);
	if (facts->kind == ROOT_HOST)
		return 0;
	if (read_quota(r, facts) == 0) {
		facts->kind = ROOT_QUOTA;
		/* ext4 and xfs show the quota in statfs() of what is below it. */
		if (*facts->fs.mount && statfs(facts->fs.mount, &s) == 0)
			note_space(&s, &facts->fs);
	} else if (facts->kind == ROOT_QUOTA) {
		find_facts(proc_root, r, &st, facts);
		note_space(&s, &facts->fs);
	}
	return 0;
}

/*
 * A private copy of the root mount alone: nothing is mounted in it, so what a container mounts
 * over its directories neither hides what they hold nor can stop the walk. open_tree() (Linux
 * 5.2) clones only mounts of the caller's namespace, so this process steps into the container's
 * for that one call. It opens no path there.
 */
static int clone_root(const struct root *r)
{
	_cleanup_close_ int theirs = openat(r->proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int tree = -1;

	if (theirs < 0 || ours < 0 || setns(theirs, CLONE_NEWNS) < 0)
		return -errno;
	tree = open_tree(r->dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int saved = errno;

	/* This is a child of its own for this one job; it must not stay there. */
	if (setns(ours, CLONE_NEWNS) < 0)
		_exit(1);
	errno = saved;
	return tree < 0 ? -errno : TAKE_FD(tree);
}

int root_walk_fd(const struct root *r)
{
	struct root_mount rm;
	struct stat st;
	int fd;

	if (fstat(r->dir, &st) < 0)
		return -errno;
	if (is_host_root(&st))
		return -EAGAIN;
	find_root_mount(r->proc, &rm);
	fd = open_upper(r, rm.upper);
	if (fd >= 0)
		return fd;
	fd = clone_root(r);
	if (fd >= 0)
		return fd;
	fd = fcntl(r->dir, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}
