/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "discovery-internal.h"

#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

static void scan_directory(struct discovery *d, const char *path, unsigned int depth, uint64_t now);

int tree_open(struct discovery *d, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &d->inotify_fd};

	d->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (d->inotify_fd < 0)
		return error_set(err, -errno,
			"cannot watch cgroups: inotify: %m (see fs.inotify.max_user_instances)");
	if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->inotify_fd, &event) < 0)
		return error_set(err, -errno, "cannot watch cgroups: epoll: %m");
	return 0;
}

void tree_close(struct discovery *d)
{
	for (size_t i = 0; i < d->watches_n; i++)
		free(d->watches[i].path);
	free(d->watches);
	d->watches = NULL;
	d->watches_n = d->watches_cap = 0;
	d->inotify_fd = close_fd(d->inotify_fd);
}

/* --- watches ---------------------------------------------------------------------------------- */

/* Where wd stands, or would be put. New ones are the highest, so that this is an append. */
static size_t watch_position(const struct discovery *d, int wd)
{
	size_t i = d->watches_n;

	if (!i || d->watches[i - 1].wd < wd)
		return i;
	for (size_t low = 0, high = i; low < high;) {
		i = low + (high - low) / 2;
		if (d->watches[i].wd < wd)
			low = ++i;
		else
			high = i;
	}
	return i;
}

static struct watch *watch_find(struct discovery *d, int wd)
{
	size_t i = watch_position(d, wd);

	return i < d->watches_n && d->watches[i].wd == wd ? &d->watches[i] : NULL;
}

static void watch_drop(struct discovery *d, int wd)
{
	struct watch *w = watch_find(d, wd);

	if (!w)
		return;
	free(w->path);
	d->watches_n--;
	memmove(w, w + 1, (size_t)(d->watches + d->watches_n - w) * sizeof(*w));
}

static int watch_note(struct discovery *d, int wd, const char *path, unsigned int depth)
{
	size_t i = watch_position(d, wd);
	char *copy;

	/* The same directory again: the kernel gives the same number. */
	if (i < d->watches_n && d->watches[i].wd == wd)
		return 0;
	if (d->watches_n >= WATCHES_MAX)
		return -ENOSPC;
	if (d->watches_n == d->watches_cap) {
		size_t cap = d->watches_cap ? 2 * d->watches_cap : 64;
		struct watch *bigger = reallocarray(d->watches, cap, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		d->watches = bigger;
		d->watches_cap = cap;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(d->watches + i + 1, d->watches + i, (d->watches_n - i) * sizeof(d->watches[0]));
	d->watches[i] = (struct watch){wd, depth, copy};
	d->watches_n++;
	return 0;
}

static void watch_directory(struct discovery *d, const char *path, unsigned int depth)
{
	_cleanup_free_ char *full = format_string("%s%s", d->h->controller[d->scan].mount, path);
	int wd = full ? inotify_add_watch(d->inotify_fd, full, WATCH_MASK) : -1;

	if (wd < 0) {
		d->status.watch_errors += errno != ENOENT;
		return;
	}
	if (watch_note(d, wd, path, depth) < 0) {
		(void)inotify_rm_watch(d->inotify_fd, wd);
		d->status.watch_errors++;
	}
}

/* --- the walk --------------------------------------------------------------------------------- */

static void see_instance(
	struct discovery *d, const char *path, const struct match *m, ino_t inode, uint64_t now)
{
	struct place *p = place_find(d, path, strlen(path), d->scan);

	if (p && p->inode && p->inode != inode)
		place_end(d, p);
	if (!p) {
		p = place_add(d, path, d->scan, m->pattern);
		if (!p)
			return;
		p->next_ns = now;
	}
	p->inode = inode;
	p->generation = d->generation;
}

static void see_directory(struct discovery *d, const char *parent, const char *name, ino_t inode,
	unsigned int depth, uint64_t now)
{
	char path[PATH_MAX];
	struct place *custom;
	struct match m;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", parent, name) >= sizeof(path))
		return;
	switch (pattern_match(d->patterns, path, &m)) {
	case MATCH_INSTANCE:
		see_instance(d, path, &m, inode, now);
		return;
	case MATCH_IGNORED:
		return;
	case MATCH_NONE:
		break;
	}
	custom = place_find(d, path, strlen(path), d->scan);
	if (custom && custom->state == PLACE_LIVE)
		return;
	if (depth < DEPTH_MAX)
		scan_directory(d, path, depth + 1, now);
}

/* Watch first, then list: what is made in between is seen twice, but never missed. */
static void scan_directory(struct discovery *d, const char *path, unsigned int depth, uint64_t now)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd;

	if (d->walked >= WATCHES_MAX) {
		d->status.watch_errors++;
		return;
	}
	d->walked++;
	watch_directory(d, path, depth);
	fd = openat(d->h->controller[d->scan].fd, below_mount(path),
		O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0)
			see_directory(d, path, entry->d_name, entry->d_ino, depth, now);
	}
}

void tree_scan(struct discovery *d, uint64_t now)
{
	d->walked = 0;
	d->status.watch_errors = 0;
	scan_directory(d, "", 0, now);
	d->status.watches = d->watches_n;
}

/* --- events ----------------------------------------------------------------------------------- */

static void created(struct discovery *d, const struct watch *w, const char *name, uint64_t now)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->path, name);
	_cleanup_free_ char *parent = strdup(w->path);
	unsigned int depth = w->depth;
	struct stat st;

	if (!path || !parent)
		return;
	d->walked = d->watches_n;
	if (fstatat(d->h->controller[d->scan].fd, below_mount(path), &st, AT_SYMLINK_NOFOLLOW) == 0)
		see_directory(d, parent, name, st.st_ino, depth, now);
}

static void deleted(struct discovery *d, const struct watch *w, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->path, name);
	struct place *p = path ? place_find(d, path, strlen(path), d->scan) : NULL;
	struct stat st;

	/* By now another one of the same name may be there, with an event of its own. */
	if (!p || (fstatat(d->h->controller[d->scan].fd, below_mount(path), &st, 0) == 0 &&
			  st.st_ino == p->inode))
		return;
	place_remove(d, p);
}

/* cgroup v1 lets directories be renamed: all paths below are others then. */
static void forget_watches(struct discovery *d)
{
	for (size_t i = 0; i < d->watches_n; i++) {
		(void)inotify_rm_watch(d->inotify_fd, d->watches[i].wd);
		free(d->watches[i].path);
	}
	d->watches_n = 0;
	d->reconcile_ns = 0;
}

static void tree_event(struct discovery *d, const struct inotify_event *e, uint64_t now)
{
	const struct watch *w = watch_find(d, e->wd);

	if (e->mask & IN_Q_OVERFLOW)
		d->reconcile_ns = 0;
	else if (e->mask & IN_IGNORED)
		watch_drop(d, e->wd);
	else if (!w || !(e->mask & IN_ISDIR) || !e->len)
		return;
	else if (e->mask & (IN_MOVED_FROM | IN_MOVED_TO))
		forget_watches(d);
	else if (e->mask & IN_DELETE)
		deleted(d, w, e->name);
	else
		created(d, w, e->name, now);
}

void tree_events(struct discovery *d, uint64_t now)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(d->inotify_fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;

			tree_event(d, e, now);
			p += sizeof(*e) + e->len;
		}
	}
	d->status.watches = d->watches_n;
}
