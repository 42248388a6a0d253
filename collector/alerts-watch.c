/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>

#include "alerts-internal.h"

/*
 * kernfs raises IN_MODIFY for every write, from within a container too (one inode for all mounts),
 * and for memory.events when the kernel counts (kernfs_notify() in fs/kernfs/file.c). A directory's
 * watch tells of all files in it.
 */
#define WATCH_DIRECTORY (IN_MODIFY | IN_CREATE | IN_ONLYDIR)
#define WATCHES_MAX     (1u << 20)

static void watch_below(struct alerts *a, struct alert *alert, const char *path, int depth);

/* --- the table of watches ------------------------------------------------------------------ */

static size_t watch_place(const struct alerts *a, int wd)
{
	size_t low = 0, high = a->n_watches;

	/* New ones are the highest. */
	if (high && a->watch[high - 1].wd < wd)
		return high;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a->watch[middle].wd < wd)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct alert_watch *watch_find(struct alerts *a, int wd)
{
	size_t i = watch_place(a, wd);

	return i < a->n_watches && a->watch[i].wd == wd ? &a->watch[i] : NULL;
}

static void watch_remove(struct alerts *a, struct alert_watch *w)
{
	free(w->path);
	a->n_watches--;
	memmove(w, w + 1, (size_t)(a->watch + a->n_watches - w) * sizeof(*w));
}

static struct alert_watch *watch_insert(
	struct alerts *a, int wd, enum controller c, const char *path)
{
	size_t i = watch_place(a, wd);
	char *copy;

	if (a->n_watches == a->watches_size) {
		size_t size = a->watches_size ? 2 * a->watches_size : 64;
		struct alert_watch *bigger = reallocarray(a->watch, size, sizeof(*bigger));

		if (!bigger)
			return NULL;
		a->watch = bigger;
		a->watches_size = size;
	}
	copy = strdup(path);
	if (!copy)
		return NULL;
	memmove(&a->watch[i + 1], &a->watch[i], (a->n_watches - i) * sizeof(a->watch[0]));
	a->n_watches++;
	a->watch[i] = (struct alert_watch){.wd = wd, .controller = c, .path = copy};
	return &a->watch[i];
}

static bool uses(const struct alert *alert, int wd)
{
	for (size_t i = 0; i < alert->n_wds; i++)
		if (alert->wds[i] == wd)
			return true;
	return false;
}

static bool use(struct alert *alert, struct alert_watch *w)
{
	int *bigger = reallocarray(alert->wds, alert->n_wds + 1, sizeof(*bigger));

	if (!bigger)
		return false;
	alert->wds = bigger;
	alert->wds[alert->n_wds++] = w->wd;
	w->users++;
	return true;
}

/*
 * Watches the cgroup `path`, or `file` in it. NULL where it is gone or cannot be watched. The same
 * inode has the same number, however often it is asked for.
 */
static struct alert_watch *watch_add(struct alerts *a, struct alert *alert, enum controller c,
	const char *path, const char *file)
{
	_cleanup_free_ char *full = format_string(
		"%s%s%s%s", a->h->controller[c].mount, path, file ? "/" : "", file ? file : "");
	struct alert_watch *w;
	int wd = -1;

	errno = ENOSPC;
	if (full && a->n_watches < WATCHES_MAX)
		wd = inotify_add_watch(a->inotify_fd, full, file ? IN_MODIFY : WATCH_DIRECTORY);
	if (wd < 0) {
		a->status.refused += errno != ENOENT;
		alert->incomplete |= errno != ENOENT;
		return NULL;
	}
	w = watch_find(a, wd);
	if (!w)
		w = watch_insert(a, wd, c, path);
	if (w && (uses(alert, wd) || use(alert, w)))
		return w;
	alert->incomplete = true;
	if (!w || w->users == 0)
		(void)inotify_rm_watch(a->inotify_fd, wd);
	if (w && w->users == 0)
		watch_remove(a, w);
	return NULL;
}

/* --- what shall be told --------------------------------------------------------------------- */

/* v1: Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control". The kernel keeps what it
 * needs; the registration ends with the eventfd or the cgroup. */
static bool register_event_fd(struct alerts *a, struct alert *alert, const char *path)
{
	int mount = a->h->controller[a->kills_source->controller].fd;
	_cleanup_free_ char *counter = format_string("%s/%s", path + 1, a->kills_source->file);
	_cleanup_free_ char *control = format_string("%s/cgroup.event_control", path + 1);
	_cleanup_close_ int counter_fd =
		counter ? openat(mount, counter, O_RDONLY | O_CLOEXEC) : -1;
	_cleanup_close_ int control_fd =
		control ? openat(mount, control, O_WRONLY | O_CLOEXEC) : -1;

	return counter_fd >= 0 && control_fd >= 0 &&
	       dprintf(control_fd, "%d %d", alert->event_fd, counter_fd) > 0;
}

static void signal_kills(struct alerts *a, struct alert *alert, enum controller c, const char *path)
{
	struct alert_watch *w;

	if (a->h->controller[c].version == 1) {
		if (!register_event_fd(a, alert, path)) {
			alert->incomplete = true;
			return;
		}
	} else {
		w = watch_add(a, alert, c, path, a->kills_source->file);
		if (!w)
			return;
		w->owner = alert;
		w->events = true;
	}
	alert->cgroups++;
}

/* A cgroup where kills of the instance may be counted. */
static void watch_kills(struct alerts *a, struct alert *alert, const char *path, int depth)
{
	enum controller c = a->kills_source->controller;
	struct alert_watch *w = NULL;
	bool known = false;

	if (alert->cgroups > BELOW_CGROUPS_MAX)
		return;
	/* Watch first, then list: what is made in between is seen twice, but never missed. */
	if (alert->deep)
		w = watch_add(a, alert, c, path, NULL);
	if (w) {
		known = w->owner == alert;
		w->owner = alert;
	}
	if (!known)
		signal_kills(a, alert, c, path);
	if (alert->deep)
		watch_below(a, alert, path, depth);
}

static void watch_below(struct alerts *a, struct alert *alert, const char *path, int depth)
{
	int fd = openat(a->h->controller[a->kills_source->controller].fd, path + 1,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		close_fd(fd);
		return;
	}
	while (depth < BELOW_DEPTH_MAX && alert->cgroups <= BELOW_CGROUPS_MAX &&
		(entry = readdir(d))) {
		_cleanup_free_ char *child = NULL;

		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
			!strcmp(entry->d_name, ".."))
			continue;
		child = format_string("%s/%s", path, entry->d_name);
		if (child)
			watch_kills(a, alert, child, depth + 1);
	}
}

/* The cgroups from the instance's own up to the root, whose limits may bind. */
static void watch_limits(struct alerts *a, struct alert *alert, enum controller c)
{
	_cleanup_free_ char *path = alert->id->cgroup[c] ? strdup(alert->id->cgroup[c]) : NULL;

	while (path && path[0] == '/' && path[1]) {
		if (watch_add(a, alert, c, path, NULL))
			a->ops->limits(a->data, c, path);
		*strrchr(path, '/') = '\0';
	}
}

void alert_watch_all(struct alerts *a, struct alert *alert)
{
	const char *cgroup = alert_cgroup(a, alert);
	uint64_t count;

	for (size_t i = 0; i < a->n_limit_rows; i++) {
		enum controller c = plan_source(a->limit_row[i], a->h)->controller;
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= !strcmp(a->h->controller[c].mount,
				a->h->controller[plan_source(a->limit_row[k], a->h)->controller]
					.mount);
		if (!again)
			watch_limits(a, alert, c);
	}
	if (!cgroup)
		return;
	alert->deep = below_look(a->below, alert->id->index, alert->id->run,
			      METRIC_MEMORY_OOM_KILLS, &count) == 0;
	if (a->h->controller[a->kills_source->controller].version == 1) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = alert};

		alert->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (alert->event_fd < 0 ||
			epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, alert->event_fd, &event) < 0)
			alert->incomplete = true;
	}
	watch_kills(a, alert, cgroup, 0);
}

void alert_unwatch_all(struct alerts *a, struct alert *alert)
{
	for (size_t i = 0; i < alert->n_wds; i++) {
		struct alert_watch *w = watch_find(a, alert->wds[i]);

		if (w && w->owner == alert)
			w->owner = NULL;
		if (!w || --w->users > 0)
			continue;
		(void)inotify_rm_watch(a->inotify_fd, w->wd);
		watch_remove(a, w);
	}
	free(alert->wds);
	if (alert->event_fd >= 0)
		epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, alert->event_fd, NULL);
	close_fd(alert->event_fd);
}

/* --- what was told -------------------------------------------------------------------------- */

static bool is_limit_file(const struct alerts *a, const char *name)
{
	for (size_t i = 0; i < a->n_limit_rows; i++) {
		const struct metric_source *s = plan_source(a->limit_row[i], a->h);

		if (!strcmp(name, s->file) || (s->second_file && !strcmp(name, s->second_file)) ||
			(s->written && !strcmp(name, s->written)))
			return true;
	}
	return false;
}

/* Number of directories below the instance's cgroup. */
static int depth_of(const struct alerts *a, const struct alert *alert, const char *path)
{
	int depth = 0;

	for (path += strlen(alert_cgroup(a, alert)); *path; path++)
		depth += *path == '/';
	return depth;
}

static void cgroup_created(struct alerts *a, const struct alert_watch *w, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->path, name);

	if (path && depth_of(a, w->owner, path) <= BELOW_DEPTH_MAX)
		watch_kills(a, w->owner, path, depth_of(a, w->owner, path));
}

/* The cgroup (or its memory.events) is gone. */
static void watch_gone(struct alerts *a, struct alert_watch *w)
{
	struct alert *alert = w->owner;

	for (size_t i = 0; alert && i < alert->n_wds; i++) {
		if (alert->wds[i] != w->wd)
			continue;
		alert->wds[i] = alert->wds[--alert->n_wds];
		break;
	}
	/* v1 has a watch for the directory only, v2 counts files. */
	if (alert && alert->cgroups > 0 && (alert->event_fd >= 0 || w->events))
		alert->cgroups--;
	watch_remove(a, w);
}

#define OVERFLOW_EVERY_NS (10 * NSEC_PER_SEC)

static void overflowed(struct alerts *a, uint64_t now)
{
	a->status.lost++;
	/* Who can write to one cgroup's files as fast as he can could else keep everybody busy; the
	 * slow pass finds what is not looked at now. */
	if (now < a->overflow_due_ns)
		return;
	a->overflow_due_ns = now + OVERFLOW_EVERY_NS;
	a->ops->limits(a->data, CONTROLLER_NONE, NULL);
	for (size_t i = 0; i < a->n_alerts; i++) {
		const char *cgroup = alert_cgroup(a, a->alert[i]);

		alert_signalled(a, a->alert[i], now);
		alert_written(a, a->alert[i], now);
		if (cgroup && a->alert[i]->deep)
			watch_below(a, a->alert[i], cgroup, 0);
	}
}

static void take_event(struct alerts *a, const struct inotify_event *e, uint64_t now)
{
	struct alert_watch *w = watch_find(a, e->wd);

	if (e->mask & IN_Q_OVERFLOW) {
		overflowed(a, now);
	} else if (!w) {
		return;
	} else if (e->mask & IN_IGNORED) {
		watch_gone(a, w);
	} else if (w->events) {
		if (w->owner)
			alert_signalled(a, w->owner, now);
	} else if (e->mask & IN_ISDIR) {
		if (w->owner && e->len)
			cgroup_created(a, w, e->name);
	} else if (e->len && is_limit_file(a, e->name)) {
		w->written = a->any_written = true;
	}
}

/* However often a limit was written, it is looked at once. */
static void take_written(struct alerts *a, uint64_t now)
{
	for (size_t i = 0; a->any_written && i < a->n_watches; i++) {
		struct alert_watch *w = &a->watch[i];

		if (!w->written)
			continue;
		w->written = false;
		a->ops->limits(a->data, w->controller, w->path);
		for (size_t k = 0; k < a->n_alerts; k++)
			if (uses(a->alert[k], w->wd))
				alert_written(a, a->alert[k], now);
	}
	a->any_written = false;
}

/* At most what the kernel's queue holds (fs.inotify.max_queued_events, 16,384 by default). */
void alerts_read_inotify(struct alerts *a, uint64_t now)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(a->inotify_fd, buf, sizeof(buf));

		if (n <= 0)
			break;
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;

			take_event(a, e, now);
			p += sizeof(*e) + e->len;
		}
	}
	take_written(a, now);
}
