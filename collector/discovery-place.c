/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "discovery-internal.h"

/* How long after its cgroup init may appear; a look each, then one at each reconcile. */
static const unsigned int pauses_ms[] = {20, 50, 100, 200, 200, 200, 200, 400, 800, 1000, 2000};

#define SETTLE_ATTEMPTS 5 /* until a controller without a cgroup for the instance is believed */

/* --- the list --------------------------------------------------------------------------------- */

static int compare(const struct place *p, const char *path, size_t len, enum controller where)
{
	int order = strncmp(p->path, path, len);

	if (!order && p->path[len])
		order = 1;
	return order ? order : (int)p->where - (int)where;
}

/* Where a place stands, or would be put. */
static size_t position(
	const struct discovery *d, const char *path, size_t len, enum controller where)
{
	size_t low = 0, high = d->places_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(d->places[middle], path, len, where) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct place *place_find(
	const struct discovery *d, const char *path, size_t len, enum controller where)
{
	size_t i = position(d, path, len, where);

	if (i < d->places_n && compare(d->places[i], path, len, where) == 0)
		return d->places[i];
	return NULL;
}

static void place_free(struct place *p)
{
	identity_free(p->id);
	close_fd(p->pidfd);
	free(p->path);
	free(p->lxcpath);
	free(p->name);
	free(p);
}

struct place *place_add(
	struct discovery *d, const char *path, enum controller where, const struct pattern *pattern)
{
	size_t i = position(d, path, strlen(path), where);
	struct place *p;

	/* Empty cgroups cost little, but somebody may make them without end. */
	if (d->places_n >= 2 * d->config->instances_max + 1000)
		return NULL;
	if (d->places_n == d->places_cap) {
		size_t cap = d->places_cap ? 2 * d->places_cap : 64;
		struct place **bigger = reallocarray(d->places, cap, sizeof(struct place *));

		if (!bigger)
			return NULL;
		d->places = bigger;
		d->places_cap = cap;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct place){.path = strdup(path),
		.where = where,
		.pattern = pattern,
		.pidfd = -1,
		.generation = d->generation,
		.ask_ns = NEVER_NS};
	if (!p->path) {
		free(p);
		return NULL;
	}
	memmove(d->places + i + 1, d->places + i, (d->places_n - i) * sizeof(struct place *));
	d->places[i] = p;
	d->places_n++;
	return p;
}

void place_wake(struct place *p, uint64_t now)
{
	if (p->state == PLACE_LIVE)
		return;
	p->state = PLACE_YOUNG;
	p->attempts = 0;
	p->next_ns = now;
}

static void forget_run(struct discovery *d, struct place *p)
{
	if (p->state == PLACE_LIVE)
		d->status.instances--;
	identity_free(p->id);
	p->id = NULL;
	/* A child that is just being started may hold a copy, and epoll would go on reporting it.
	 */
	if (p->pidfd >= 0)
		(void)epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, p->pidfd, NULL);
	p->pidfd = close_fd(p->pidfd);
	p->ended = p->announced = false;
	p->confirmed = p->described = false;
	p->socket = 0;
	p->asked = 0;
	p->ask_ns = NEVER_NS;
	p->ask_failures = 0;
}

void place_end(struct discovery *d, struct place *p)
{
	if (p->state == PLACE_LIVE && p->announced)
		d->ops.disappeared(d->data, p->id->index, p->id->run);
	forget_run(d, p);
	p->state = PLACE_YOUNG;
	p->dropped = false;
	place_wake(p, now_ns(CLOCK_MONOTONIC) + pauses_ms[0] * NSEC_PER_MSEC);
}

void place_remove(struct discovery *d, struct place *p)
{
	size_t i = position(d, p->path, strlen(p->path), p->where);

	place_end(d, p);
	d->places_n--;
	memmove(d->places + i, d->places + i + 1, (d->places_n - i) * sizeof(struct place *));
	place_free(p);
}

void place_refuse(struct discovery *d, struct place *p, const char *format, ...)
{
	char reason[256];
	va_list ap;

	p->state = PLACE_REFUSED;
	p->next_ns = NEVER_NS;
	if (p->counted)
		return;
	p->counted = true;
	d->status.untrusted++;
	va_start(ap, format);
	vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	complain(&d->untrusted, "refused the cgroup %s as an instance: %s", p->path, reason);
}

struct place *place_by_number(const struct discovery *d, uint32_t number)
{
	for (size_t i = 0; i < d->places_n; i++) {
		if (d->places[i]->state == PLACE_LIVE && d->places[i]->id->index == number)
			return d->places[i];
	}
	return NULL;
}

/* --- who it is -------------------------------------------------------------------------------- */

bool custom_cgroup(char *path, const char *monitor_path)
{
	static const char scope[] = "/init.scope";
	size_t len = strlen(path), tail = sizeof(scope) - 1;

	if (len > tail && strcmp(path + len - tail, scope) == 0)
		path[len - tail] = '\0';
	return path[0] == '/' && path[1] && !(monitor_path && strcmp(path, monitor_path) == 0);
}

/* One controller's path: cut where the pattern ends, so that where init moved to is no matter. */
static int set_cgroup(const struct discovery *d, struct identity *id, enum controller c,
	const struct place *p, char *path, const char *monitor_path, char *name)
{
	struct match m = {0};
	size_t len = strlen(p->path);

	if (p->pattern && pattern_match(d->patterns, path, &m) != MATCH_INSTANCE)
		return -EAGAIN;
	if (!p->pattern && !custom_cgroup(path, monitor_path))
		return -EAGAIN;
	if (!p->pattern)
		m.end = strlen(path);
	if (c == p->where && (m.end < len || strncmp(path, p->path, len) != 0 ||
				     (path[len] && path[len] != '/')))
		return -ESRCH;
	id->cgroup[c] = strndup(path, m.end);
	id->limit_cgroup[c] = m.limit_end ? strndup(path, m.limit_end) : NULL;
	if (!id->cgroup[c] || (m.limit_end && !id->limit_cgroup[c]))
		return -ENOMEM;
	if (c == p->where)
		strcpy(name, m.name);
	return 0;
}

/* -EAGAIN: all is well but some controller has no cgroup of the instance (yet). */
static int set_cgroups(const struct discovery *d, const struct place *p, const struct process *init,
	struct identity *id, char *name)
{
	char *paths[CONTROLLER_COUNT], *monitor_paths[CONTROLLER_COUNT] = {0};
	bool complete = true;
	int r = process_cgroups(d, init->pid, CONTROLLER_NONE, paths);

	if (r < 0)
		return r;
	if (!p->pattern)
		r = process_cgroups(d, init->ppid, CONTROLLER_NONE, monitor_paths);
	for (enum controller c = CONTROLLER_CPU; r >= 0 && c < CONTROLLER_COUNT; c++) {
		if (!d->h->controller[c].version)
			continue;
		r = paths[c] ? set_cgroup(d, id, c, p, paths[c], monitor_paths[c], name) : -EAGAIN;
		if (r == -EAGAIN) {
			complete = false;
			r = 0;
		}
	}
	free_paths(paths);
	free_paths(monitor_paths);
	if (r >= 0 && !id->cgroup[p->where])
		return -ESRCH;
	return r < 0 || complete ? r : -EAGAIN;
}

static bool shares_network(const struct discovery *d, pid_t init)
{
	char path[64], theirs[64] = "", ours[64] = "";

	snprintf(path, sizeof(path), "%ld/ns/net", (long)init);
	return readlinkat(d->proc_fd, path, theirs, sizeof(theirs) - 1) > 0 &&
	       readlinkat(d->proc_fd, "self/ns/net", ours, sizeof(ours) - 1) > 0 &&
	       strcmp(theirs, ours) == 0;
}

static int set_run(const struct discovery *d, const struct place *p, const struct process *init,
	struct identity *id)
{
	uint64_t ticks = init->starttime_ticks;
	struct stat st;

	if (fstatat(d->h->controller[p->where].fd, below_mount(id->cgroup[p->where]), &st, 0) < 0)
		return -errno;
	id->init = init->pid;
	id->init_starttime_ticks = ticks;
	id->start_time_ns = boot_ticks_to_ns(&d->boot, ticks);
	/* Another kind has no init: its run is the life of its cgroup, as its counters are. */
	id->run = boot_run(&d->boot, place_is_lxc(p) ? ticks : 0, st.st_ino);
	id->network_shared = shares_network(d, init->pid);
	return 0;
}

/* --- becoming an instance --------------------------------------------------------------------- */

/* By now no monitor but this one's has the name: an earlier one's was killed. */
static bool displace(struct discovery *d, const struct place *p, uint32_t number)
{
	struct place *other = place_by_number(d, number);

	if (!other || other == p)
		return true;
	if (!p->socket || (other->socket && listener_find(d, other->socket)))
		return false;
	place_end(d, other);
	return true;
}

static int set_names(struct discovery *d, const struct place *p, struct identity *id)
{
	const struct index_entry *e;
	bool lxc = place_is_lxc(p);
	int r = index_assign(d->index, p->lxcpath, p->name, &e);

	if (r < 0)
		return r;
	if (!displace(d, p, e->number))
		return -EEXIST;
	index_note_run(d->index, e->number, id->run, now_ns(CLOCK_REALTIME) / NSEC_PER_SEC);
	id->index = e->number;
	id->starts = e->starts;
	id->name = strdup(e->name);
	id->lxcpath = strdup(lxc ? e->lxcpath : "");
	id->handle = strdup(e->handle);
	id->context = strdup(e->context);
	id->kind = strdup(p->pattern ? p->pattern->kind : "lxc");
	return id->name && id->lxcpath && id->handle && id->context && id->kind ? 0 : -ENOMEM;
}

/* A pidfd tells the end at once, and costs nothing until then. */
static void watch_init(struct discovery *d, struct place *p)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};

	if (!d->live)
		return;
	p->pidfd = pidfd_open(p->id->init, 0);
	if (p->pidfd >= 0 && epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, p->pidfd, &event) < 0)
		p->pidfd = close_fd(p->pidfd);
}

void place_follow(struct discovery *d, struct place *p)
{
	struct process next;
	bool sure;

	if (p->pidfd >= 0)
		(void)epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, p->pidfd, NULL);
	p->pidfd = close_fd(p->pidfd);
	p->ended = false;
	if (init_find(d, p, &next, &sure) < 0 ||
		(next.pid == p->id->init && next.starttime_ticks == p->id->init_starttime_ticks))
		return;
	p->id->init = next.pid;
	p->id->init_starttime_ticks = next.starttime_ticks;
	p->id->network_shared = shares_network(d, next.pid);
	watch_init(d, p);
	if (p->announced)
		d->ops.described(d->data, p->id);
}

/* An instance that its socket told may hold cgroups that look like instances. */
static void end_below(struct discovery *d, const struct place *above)
{
	size_t len = strlen(above->path);

	for (size_t i = 0; i < d->places_n; i++) {
		struct place *p = d->places[i];

		if (p == above || p->where != above->where || strncmp(p->path, above->path, len) ||
			p->path[len] != '/')
			continue;
		place_end(d, p);
		p->state = PLACE_REFUSED;
		p->next_ns = NEVER_NS;
	}
}

static bool below_instance(const struct discovery *d, const struct place *p)
{
	for (const char *slash = strchr(p->path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		const struct place *above =
			place_find(d, p->path, (size_t)(slash - p->path), p->where);

		if (above && above->state == PLACE_LIVE)
			return true;
	}
	return false;
}

static int commit(struct discovery *d, struct place *p, struct identity **id)
{
	int r;

	if (d->status.instances >= d->config->instances_max) {
		p->dropped = true;
		p->state = PLACE_REFUSED;
		p->next_ns = NEVER_NS;
		complain(&d->full, "more than %llu instances: the rest is not measured",
			(unsigned long long)d->config->instances_max);
		return 0;
	}
	r = set_names(d, p, *id);
	if (r < 0)
		return r;
	p->id = TAKE_PTR(*id);
	watch_init(d, p);
	/* A pid that was given away meanwhile is another process's. */
	if (!process_alive(d, p->id->init, p->id->init_starttime_ticks)) {
		forget_run(d, p);
		return -ESRCH;
	}
	p->state = PLACE_LIVE;
	p->next_ns = NEVER_NS;
	p->dropped = p->counted = false;
	p->ask_ns = place_is_lxc(p) && p->id->lxcpath[0] == '/' ? 0 : NEVER_NS;
	d->status.instances++;
	if (!p->pattern)
		end_below(d, p);
	return 0;
}

static int look(struct discovery *d, struct place *p)
{
	_cleanup_(identity_free) struct identity *id = calloc(1, sizeof(*id));
	char name[NAME_MAX + 1] = "";
	struct process init;
	struct stat st;
	bool sure;
	int r = id ? init_find(d, p, &init, &sure) : -ENOMEM;

	if (r < 0)
		return r;
	if (fstatat(d->h->controller[p->where].fd, below_mount(p->path), &st, 0) < 0)
		return -errno;
	p->inode = st.st_ino;
	r = set_cgroups(d, p, &init, id, name);
	if (r < 0 && !(r == -EAGAIN && p->attempts >= SETTLE_ATTEMPTS))
		return r;
	r = set_run(d, p, &init, id);
	if (r < 0)
		return r;
	switch (place_name(d, p, name, &init, sure || !init.inner_pid, id->run)) {
	case VERDICT_NAMED:
		return commit(d, p, &id);
	case VERDICT_ASK:
		p->ask_ns = 0;
		p->state = PLACE_ASKED;
		p->next_ns = NEVER_NS;
		return 0;
	case VERDICT_REFUSED:
		return 0;
	case VERDICT_LATER:
		break;
	}
	return -EAGAIN;
}

void place_try(struct discovery *d, struct place *p, uint64_t now)
{
	int r;

	p->next_ns = NEVER_NS;
	if (below_instance(d, p)) {
		p->state = PLACE_REFUSED;
		return;
	}
	r = look(d, p);
	if (r == -ENOENT && p->pattern) {
		place_remove(d, p);
	} else if (r < 0 && p->attempts < ARRAY_SIZE(pauses_ms)) {
		p->next_ns = now + pauses_ms[p->attempts++] * NSEC_PER_MSEC;
	} else if (r < 0 && !p->pattern) {
		place_remove(d, p);
	}
}
