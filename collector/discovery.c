/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discovery.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "../lib/parse.h"
#include "discovery-internal.h"

#define SAVE_PAUSE_NS (10 * NSEC_PER_SEC)
#define EVENTS_MAX    64

/* --- making ----------------------------------------------------------------------------------- */

static int open_all(struct discovery *d, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &d->timer_fd};

	d->proc_fd = open(d->config->proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->proc_fd < 0)
		return error_set(err, -errno, "cannot open %s: %m", d->config->proc_root);
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->epoll_fd < 0 || d->timer_fd < 0 ||
		epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->timer_fd, &event) < 0)
		return error_set(err, -errno, "cannot wait for events: %m");
	return tree_open(d, err);
}

/* The descriptor becomes readable at that time too, for who only polls. */
static void arm_timer(const struct discovery *d, uint64_t at)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at / NSEC_PER_SEC),
					  .tv_nsec = (long)(at % NSEC_PER_SEC) + !at}};

	(void)timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int discovery_new(const struct config *config, const struct hierarchies *h, struct index *index,
	const struct discovery_ops *ops, void *data, struct discovery **ret, struct error *err)
{
	_cleanup_(discovery_free) struct discovery *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return error_set(err, -ENOMEM, "out of memory");
	*d = (struct discovery){.config = config,
		.h = h,
		.index = index,
		.ops = *ops,
		.data = data,
		.scan = hierarchies_leading(h),
		.live = strcmp(config->proc_root, "/proc") == 0,
		.proc_fd = -1,
		.epoll_fd = -1,
		.timer_fd = -1,
		.inotify_fd = -1};
	d->patterns = patterns_new(config);
	if (!d->patterns)
		return error_set(err, -ENOMEM, "out of memory");
	if (d->scan == CONTROLLER_NONE)
		return error_set(err, -ENOENT, "no cgroup hierarchy to look for instances in");
	r = open_all(d, err);
	if (r < 0)
		return r;
	r = boot_read(d->proc_fd, &d->boot);
	if (r < 0)
		return error_set(err, r, "cannot read the boot's time and number below %s",
			config->proc_root);
	arm_timer(d, 0);
	*ret = TAKE_PTR(d);
	return 0;
}

void discovery_free(struct discovery *d)
{
	if (!d)
		return;
	/* Who is told of ends is on his way out too. */
	for (size_t i = 0; i < d->places_n; i++)
		d->places[i]->announced = false;
	while (d->places_n)
		place_remove(d, d->places[d->places_n - 1]);
	free(d->places);
	strangers_free(d);
	listeners_free(&d->listeners);
	tree_close(d);
	patterns_free(d->patterns);
	close_fd(d->timer_fd);
	close_fd(d->epoll_fd);
	close_fd(d->proc_fd);
	free(d);
}

/* --- reconcile -------------------------------------------------------------------------------- */

/* A place that the walk does not see: found by its socket, or in another hierarchy, or gone. */
static bool still_there(const struct discovery *d, const struct place *p)
{
	struct stat st;

	if (p->generation == d->generation)
		return true;
	if (p->pattern && p->where == d->scan && d->walked < WATCHES_MAX)
		return false;
	return fstatat(d->h->controller[p->where].fd, below_mount(p->path), &st, 0) == 0 &&
	       st.st_ino == p->inode;
}

static void lost_init(struct discovery *d, struct place *p)
{
	if (place_is_lxc(p) || p->state != PLACE_LIVE)
		place_end(d, p);
	else
		place_follow(d, p);
}

static void check_places(struct discovery *d, uint64_t now)
{
	uint64_t now_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;

	for (size_t i = 0; i < d->places_n;) {
		struct place *p = d->places[i];

		if (!still_there(d, p)) {
			place_remove(d, p);
			continue;
		}
		i++;
		if (p->state == PLACE_LIVE && p->pidfd < 0 &&
			!process_alive(d, p->id->init, p->id->init_starttime_ticks))
			lost_init(d, p);
		if (p->state == PLACE_LIVE)
			index_note_run(d->index, p->id->index, p->id->run, now_s);
		else if (p->state != PLACE_ASKED && p->next_ns == NEVER_NS &&
			 !(p->dropped && d->status.instances >= d->config->instances_max))
			p->next_ns = now;
	}
}

static void reconcile(struct discovery *d, uint64_t now)
{
	d->generation++;
	d->status.reconciles++;
	tree_scan(d, now);
	check_places(d, now);
	(void)listeners_refresh(d);
	strangers_update(d, now);
	d->reconcile_ns = now + d->config->reconcile_ns;
}

/* --- one step --------------------------------------------------------------------------------- */

static void try_places(struct discovery *d, uint64_t now)
{
	for (size_t i = 0; i < d->places_n;) {
		struct place *p = d->places[i];

		if (p->ended)
			lost_init(d, p);
		if (p->state != PLACE_LIVE && p->state != PLACE_ASKED && p->next_ns <= now)
			place_try(d, p, now);
		if (i < d->places_n && d->places[i] == p)
			i++;
	}
}

static bool is_live(void *data, uint32_t number)
{
	return place_by_number(data, number) != NULL;
}

static void save_index(struct discovery *d, uint64_t now)
{
	int r;

	if (!index_dirty(d->index) || now < d->save_ns)
		return;
	r = index_save(d->index, is_live, d);
	if (r < 0) {
		d->save_ns = now + SAVE_PAUSE_NS;
		complain(&d->unsaved, "cannot save the index of instances: %s", strerror(-r));
	} else {
		complaint_over(&d->unsaved, "the index of instances is saved again");
	}
}

static void announce(struct discovery *d)
{
	for (size_t i = 0; i < d->places_n; i++) {
		struct place *p = d->places[i];

		if (p->state != PLACE_LIVE || p->announced)
			continue;
		p->announced = true;
		d->ops.appeared(d->data, p->id);
	}
}

static uint64_t next_time(const struct discovery *d, uint64_t asking, uint64_t now)
{
	uint64_t next = MIN(d->reconcile_ns, asking);

	for (size_t i = 0; i < d->places_n; i++) {
		if (d->places[i]->state != PLACE_LIVE && d->places[i]->state != PLACE_ASKED)
			next = MIN(next, d->places[i]->next_ns);
		else if (!d->places[i]->asked && d->places[i]->ask_ns > now)
			next = MIN(next, d->places[i]->ask_ns);
	}
	for (size_t i = 0; i < d->strangers_n; i++) {
		if (!d->strangers[i].asked)
			next = MIN(next, d->strangers[i].next_ns);
	}
	if (index_dirty(d->index))
		next = MIN(next, d->save_ns);
	return next;
}

uint64_t discovery_tick(struct discovery *d, uint64_t now)
{
	uint64_t next;

	d->listeners_fresh = false;
	if (now >= d->reconcile_ns)
		reconcile(d, now);
	try_places(d, now);
	save_index(d, now);
	announce(d);
	count_all_asked(d);
	next = ask_due(d, now);
	strangers_run(d, now);
	next = next_time(d, next, now);
	arm_timer(d, next);
	return next;
}

int discovery_fd(const struct discovery *d)
{
	return d->epoll_fd;
}

void discovery_readable(struct discovery *d)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now = now_ns(CLOCK_MONOTONIC), expired;
	bool tree = false;
	int n = epoll_wait(d->epoll_fd, events, EVENTS_MAX, 0);

	/* Places are only marked here: none is freed while an event still points to it. */
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &d->inotify_fd)
			tree = true;
		else if (events[i].data.ptr == &d->timer_fd)
			(void)!read(d->timer_fd, &expired, sizeof(expired));
		else
			((struct place *)events[i].data.ptr)->ended = true;
	}
	if (tree)
		tree_events(d, now);
	discovery_tick(d, now);
}

void discovery_reconcile_soon(struct discovery *d)
{
	d->reconcile_ns = 0;
	arm_timer(d, 0);
}

void discovery_each(
	const struct discovery *d, void (*call)(void *data, const struct identity *id), void *data)
{
	for (size_t i = 0; i < d->places_n; i++)
		if (d->places[i]->state == PLACE_LIVE && d->places[i]->announced)
			call(data, d->places[i]->id);
}

void discovery_status(const struct discovery *d, struct discovery_status *ret)
{
	*ret = d->status;
	ret->dropped = 0;
	for (size_t i = 0; i < d->places_n; i++)
		ret->dropped += d->places[i]->dropped;
}

/* Places found by a configured pattern are those of the new patterns now, or none any more. */
static void replace_patterns(struct discovery *d, struct patterns *fresh)
{
	struct patterns *old = d->patterns;

	if (!fresh)
		return;
	d->patterns = fresh;
	for (size_t i = 0; i < d->places_n;) {
		struct place *p = d->places[i];
		struct match m;

		if (p->pattern &&
			(pattern_match(fresh, p->path, &m) != MATCH_INSTANCE || p->path[m.end] ||
				strcmp(m.pattern->kind, p->pattern->kind) != 0)) {
			place_remove(d, p);
			continue;
		}
		if (p->pattern)
			p->pattern = m.pattern;
		i++;
	}
	patterns_free(old);
}

void discovery_set_config(struct discovery *d, const struct config *config)
{
	d->config = config;
	replace_patterns(d, patterns_new(config));
	for (size_t i = 0; i < d->strangers_n; i++) {
		d->strangers[i].settled = false;
		d->strangers[i].next_ns = 0;
		d->strangers[i].failures = 0;
	}
	for (size_t i = 0; i < d->places_n; i++) {
		struct place *p = d->places[i];

		if (p->state == PLACE_LIVE && place_is_lxc(p) && p->id->lxcpath[0])
			p->ask_ns = 0;
	}
	discovery_reconcile_soon(d);
}
