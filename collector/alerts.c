/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "alerts.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>

#include "alerts-internal.h"

#define MSEC (NSEC_PER_SEC / 1000)
/* v1 signals before it kills (mem_cgroup_oom() in mm/memcontrol.c), and for nothing when a cgroup
 * is removed: look again after 2 ms, 4 ms ... for about a second. */
#define LOOK_FIRST_NS (2 * MSEC)
#define LOOK_LAST_NS  (NSEC_PER_SEC / 2)
/* More signals within a second of one are looked at together. */
#define LOOK_CALM_NS (50 * MSEC)
/* So long an event may wait for the kernel log to say who it was. */
#define VICTIM_WAIT_NS (200 * MSEC)
/* An instance that is killed in all the time tells at most so often; nothing is left out. */
#define TELL_EVERY_NS    (NSEC_PER_SEC / 2)
#define COMPARE_EVERY_NS NSEC_PER_SEC
/* open(2) with O_TRUNC raises IN_MODIFY as well, before anything is written. */
#define COMPARE_WAIT_NS (20 * MSEC)
/* What no notification tells (v1: kills when the whole host is short) is looked for so often. */
#define PASS_EVERY_NS (30 * NSEC_PER_SEC)
/* The descriptors rest for so long after they were read. */
#define QUIET_NS (20 * MSEC)
/* An instance younger than the collector has lost no kill: its count begins at 0. The start time
 * of a process is exact to a second (btime of /proc/stat). */
#define YOUNG_NS NSEC_PER_SEC

static void due(struct alerts *a, uint64_t when)
{
	a->due_ns = MIN(a->due_ns, when);
}

static struct alert **alert_place(struct alerts *a, uint32_t index)
{
	size_t i = 0;

	while (i < a->n_alerts && a->alert[i]->id->index != index)
		i++;
	return &a->alert[i];
}

static void alert_free(struct alert *alert)
{
	identity_free(alert->id);
	free(alert);
}

/* --- what an instance says right now ---------------------------------------------------------- */

/* Its whole row of the table, read once. Rare: a kill, a written limit, a new instance. */
static int read_row(struct alerts *a, const struct alert *alert, struct value *ret)
{
	struct cycle_facts facts = {.time_ns = now_ns(CLOCK_REALTIME)};
	struct identity *id = identity_copy(alert->id);
	struct instance *in = id ? instance_new(&a->measure, id) : NULL;
	int r;

	if (!in) {
		identity_free(id);
		return -ENOMEM;
	}
	levels_begin(a->measure.levels);
	r = instance_measure(&a->measure, in, &facts);
	if (r == 0)
		memcpy(ret, in->now, metric_count(SCOPE_INSTANCE) * sizeof(*ret));
	instance_free(&a->measure, in);
	return r;
}

static int count_kills(struct alerts *a, const struct alert *alert, uint64_t *ret)
{
	const struct metric_source *s = a->kills_source;
	const struct parse_key key = {s->key, strlen(s->key), s->scale};
	const struct identity *id = alert->id;
	const char *cgroup = alert_cgroup(a, alert);
	struct value own = value_absent();
	char path[4096 + 64], buf[1024];
	uint64_t below = 0;
	ssize_t n;

	if (!cgroup ||
		snprintf(path, sizeof(path), "%s/%s", cgroup + 1, s->file) >= (int)sizeof(path))
		return -ENOENT;
	n = read_file_at(a->h->controller[s->controller].fd, path, buf, sizeof(buf));
	if (n < 0 || parse_flat(buf, n, &key, 1, &own) < 0 || !value_is_number(own))
		return n < 0 ? (int)n : -EBADMSG;
	if (alert->deep &&
		below_look(a->below, id->index, id->run, METRIC_MEMORY_OOM_KILLS, &below) == 0 &&
		below > 0)
		a->ops->below(a->data, id->index, id->run, METRIC_MEMORY_OOM_KILLS, below);
	*ret = own.number + below;
	return 0;
}

/* --- kills ------------------------------------------------------------------------------------ */

static json_t *json_of(struct value v)
{
	if (v.state == VALUE_UNLIMITED)
		return json_string("unlimited");
	return value_is_number(v) ? json_integer((json_int_t)v.number) : json_null();
}

/* A process may be called anything, also what is not UTF-8. */
static json_t *json_of_name(char *name)
{
	json_t *text = json_string(name);

	for (char *p = name; !text && *p; p++)
		if (*p & 0x80)
			*p = '?';
	return text ? text : json_string(name);
}

static json_t *event_of(const struct alert *alert, const char *type, uint64_t time_ns)
{
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, alert->id->run);
	return json_pack("{s:s, s:s, s:s, s:I}", "op", "event", "type", type, "run", run, "time_ns",
		(json_int_t)time_ns);
}

static void tell_kills(struct alerts *a, struct alert *alert, uint64_t now)
{
	json_t *event = event_of(alert, "oom", alert->rise_time_ns);

	json_object_set_new(event, "kills", json_integer((json_int_t)alert->rise));
	if (value_is_number(alert->memory))
		json_object_set_new(event, "memory", json_of(alert->memory));
	json_object_set_new(event, "limit",
		value_is_number(alert->memory_limit) ? json_of(alert->memory_limit) : json_null());
	if (alert->victim.pid)
		json_object_set_new(event, "victim",
			json_pack("{s:i, s:o, s:I}", "pid", (int)alert->victim.pid, "name",
				json_of_name(alert->victim.name), "memory",
				(json_int_t)alert->victim.memory));
	a->ops->tell(a->data, event);
	alert->rise = 0;
	alert->victim.pid = 0;
	alert->memory = value_absent();
	alert->told_ns = now;
}

static void note_memory(struct alerts *a, struct alert *alert)
{
	struct value row[METRIC_ID_END];

	if (alert->memory.state != VALUE_ABSENT || read_row(a, alert, row) < 0)
		return;
	alert->memory = row[metric_slot(METRIC_MEMORY_USAGE)];
	alert->memory_limit = row[metric_slot(METRIC_MEMORY_LIMIT)];
}

/* Counts; what is more than before shall be told. */
static void look(struct alerts *a, struct alert *alert, uint64_t now)
{
	uint64_t count;

	if (count_kills(a, alert, &count) < 0 || count <= alert->kills)
		return;
	if (alert->rise == 0) {
		alert->rise_time_ns = now_ns(CLOCK_REALTIME);
		alert->tell_ns = now + (kernel_log_fd(a->log) >= 0 ? VICTIM_WAIT_NS : 0);
		if (alert->told_ns)
			alert->tell_ns = MAX(alert->tell_ns, alert->told_ns + TELL_EVERY_NS);
		note_memory(a, alert);
	}
	alert->rise += count - alert->kills;
	alert->kills = count;
}

void alert_signalled(struct alerts *a, struct alert *alert, uint64_t now)
{
	if (now - alert->signalled_ns > NSEC_PER_SEC) {
		alert->signalled_ns = alert->look_ns = now;
		alert->pause_ns = LOOK_FIRST_NS;
	} else if (alert->look_ns == 0) {
		alert->look_ns = now + LOOK_CALM_NS;
		alert->pause_ns = LOOK_CALM_NS;
	}
	due(a, alert->look_ns);
}

static void kills_tick(struct alerts *a, struct alert *alert, uint64_t now)
{
	if (alert->look_ns && now >= alert->look_ns) {
		alert->look_ns = alert->pause_ns <= LOOK_LAST_NS ? now + alert->pause_ns : 0;
		alert->pause_ns *= 2;
		look(a, alert, now);
	}
	if (alert->rise && now >= alert->tell_ns)
		tell_kills(a, alert, now);
	if (!alert->look_ns && !alert->rise)
		alert->memory = value_absent();
	if (alert->look_ns)
		due(a, alert->look_ns);
	if (alert->rise)
		due(a, alert->tell_ns);
}

static bool is_below(const char *path, const char *cgroup)
{
	size_t len = cgroup ? strlen(cgroup) : 0;

	return len > 1 && !strncmp(path, cgroup, len) && (path[len] == '/' || path[len] == '\0');
}

/*
 * The kernel counts a kill before it logs it (__oom_kill_process() in mm/oom_kill.c): this victim
 * is of a rise that is seen now, or of one that was told already.
 */
static void killed(void *data, const struct victim *v)
{
	struct alerts *a = data;
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < a->n_alerts; i++) {
		struct alert *alert = a->alert[i];

		if (!is_below(v->cgroup, alert_cgroup(a, alert)))
			continue;
		look(a, alert, now);
		if (alert->rise == 0)
			return;
		alert->victim.pid = v->pid;
		alert->victim.memory = v->memory;
		memcpy(alert->victim.name, v->name, sizeof(alert->victim.name));
		alert->tell_ns = alert->told_ns ? MAX(now, alert->told_ns + TELL_EVERY_NS) : now;
		due(a, alert->tell_ns);
		return;
	}
}

/* --- limits ----------------------------------------------------------------------------------- */

static void compare_limits(struct alerts *a, struct alert *alert, uint64_t now, bool tell)
{
	struct value row[METRIC_ID_END];

	alert->compare_ns = 0;
	alert->compared_ns = now;
	if (read_row(a, alert, row) < 0)
		return;
	for (size_t i = 0; i < a->n_limit_rows; i++) {
		const struct metric *m = a->limit_row[i];
		struct value old = alert->limit[i], new = row[metric_slot(m->id)];
		json_t *event;

		alert->limit[i] = new;
		if (!tell || (old.state == new.state &&old.number == new.number))
			continue;
		event = event_of(alert, "limit-changed", now_ns(CLOCK_REALTIME));
		json_object_set_new(event, "metric", json_string(m->name));
		json_object_set_new(event, "old", json_of(old));
		json_object_set_new(event, "new", json_of(new));
		a->ops->tell(a->data, event);
	}
}

void alert_written(struct alerts *a, struct alert *alert, uint64_t now)
{
	if (alert->compare_ns)
		return;
	alert->compare_ns = MAX(now + COMPARE_WAIT_NS, alert->compared_ns + COMPARE_EVERY_NS);
	due(a, alert->compare_ns);
}

/* --- instances -------------------------------------------------------------------------------- */

void alerts_appeared(struct alerts *a, const struct identity *id)
{
	struct alert *alert = calloc(1, sizeof(*alert)), **bigger;
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	alerts_disappeared(a, id->index, 0);
	if (a->n_alerts == a->alerts_size) {
		size_t size = a->alerts_size ? 2 * a->alerts_size : 64;

		bigger = reallocarray(a->alert, size, sizeof(*bigger));
		if (bigger) {
			a->alert = bigger;
			a->alerts_size = size;
		}
	}
	if (!alert || a->n_alerts == a->alerts_size || !(alert->id = identity_copy(id))) {
		free(alert);
		return;
	}
	alert->event_fd = -1;
	a->alert[a->n_alerts++] = alert;
	alert_watch_all(a, alert);
	compare_limits(a, alert, now, false);
	/* compared just now, but nothing was told: a write may be told at once */
	alert->compared_ns = 0;
	/* Other kinds are cgroups, which may be older than what runs in them now. */
	if (id->start_time_ns + YOUNG_NS < a->started_ns || strcmp(id->kind, "lxc") != 0)
		count_kills(a, alert, &alert->kills);
	else
		alert_signalled(a, alert, now);
}

void alerts_disappeared(struct alerts *a, uint32_t index, uint64_t run)
{
	struct alert **place = alert_place(a, index), *alert;
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (place == a->alert + a->n_alerts || (run && (*place)->id->run != run))
		return;
	alert = *place;
	look(a, alert, now);
	if (alert->rise)
		tell_kills(a, alert, now);
	alert_unwatch_all(a, alert);
	*place = a->alert[--a->n_alerts];
	alert_free(alert);
}

/* --- the loop --------------------------------------------------------------------------------- */

int alerts_fd(const struct alerts *a, uint64_t now)
{
	return now < a->quiet_until_ns ? -1 : a->epoll_fd;
}

void alerts_readable(struct alerts *a, uint64_t now)
{
	struct epoll_event events[64];
	int n = epoll_wait(a->epoll_fd, events, ARRAY_SIZE(events), 0);

	for (int i = 0; i < n; i++) {
		void *what = events[i].data.ptr;
		eventfd_t count;

		if (what == &a->inotify_fd) {
			alerts_read_inotify(a, now);
		} else if (what == a->log) {
			kernel_log_read(a->log, killed, a, &a->status.lost);
		} else {
			struct alert *alert = what;

			eventfd_read(alert->event_fd, &count);
			/* v1 tells before it kills: this is what was too much. */
			if (alert->rise == 0)
				alert->memory = value_absent();
			note_memory(a, alert);
			alert_signalled(a, alert, now);
		}
	}
	a->quiet_until_ns = now + QUIET_NS;
}

static void pass(struct alerts *a, uint64_t now)
{
	for (size_t i = 0; i < a->n_alerts; i++) {
		look(a, a->alert[i], now);
		if (a->alert[i]->incomplete)
			alert_written(a, a->alert[i], now);
	}
	a->pass_ns = now + PASS_EVERY_NS;
	a->due_ns = 0;
}

uint64_t alerts_tick(struct alerts *a, uint64_t now)
{
	if (now >= a->pass_ns)
		pass(a, now);
	if (now >= a->due_ns) {
		a->due_ns = UINT64_MAX;
		for (size_t i = 0; i < a->n_alerts; i++) {
			struct alert *alert = a->alert[i];

			kills_tick(a, alert, now);
			if (alert->compare_ns && now >= alert->compare_ns)
				compare_limits(a, alert, now, true);
			if (alert->compare_ns)
				due(a, alert->compare_ns);
		}
	}
	if (now < a->quiet_until_ns)
		return MIN(MIN(a->due_ns, a->pass_ns), a->quiet_until_ns);
	return MIN(a->due_ns, a->pass_ns);
}

void alerts_status(const struct alerts *a, struct alerts_status *ret)
{
	*ret = a->status;
	ret->watches = a->n_watches;
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void choose_rows(struct alerts *a)
{
	const struct metric *m;

	a->kills_source = plan_source(metric_by_id(METRIC_MEMORY_OOM_KILLS), a->h);
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const struct metric_source *s = plan_source(m, a->h);

		if (m->kind == KIND_LIMIT && s->type == SOURCE_FILE &&
			a->h->controller[s->controller].version &&
			a->n_limit_rows < ALERT_LIMITS_MAX)
			a->limit_row[a->n_limit_rows++] = m;
	}
}

static int open_descriptors(struct alerts *a)
{
	struct epoll_event inotify = {.events = EPOLLIN, .data.ptr = &a->inotify_fd};
	struct epoll_event log = {.events = EPOLLIN, .data.ptr = a->log};

	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	a->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->epoll_fd < 0 || a->inotify_fd < 0 ||
		epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, a->inotify_fd, &inotify) < 0)
		return -errno;
	if (kernel_log_fd(a->log) >= 0 &&
		epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, kernel_log_fd(a->log), &log) < 0)
		return -errno;
	return 0;
}

int alerts_new(const struct config *config, const struct hierarchies *h, struct below *below,
	const struct alerts_ops *ops, void *data, struct alerts **ret, struct error *err)
{
	struct alerts *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return error_set(err, -ENOMEM, "not enough memory");
	*a = (struct alerts){
		.h = h,
		.below = below,
		.ops = ops,
		.data = data,
		.epoll_fd = -1,
		.inotify_fd = -1,
		.due_ns = UINT64_MAX,
		.started_ns = now_ns(CLOCK_REALTIME),
		.pass_ns = now_ns(CLOCK_MONOTONIC) + PASS_EVERY_NS,
	};
	choose_rows(a);
	r = measure_init(&a->measure, h, config->proc_root, 0);
	if (r == 0)
		r = kernel_log_new("/dev/kmsg", &a->log);
	if (r == 0)
		r = open_descriptors(a);
	if (r < 0) {
		alerts_free(a);
		return error_set(err, r, "cannot watch instances: %s", strerror(-r));
	}
	*ret = a;
	return 0;
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	while (a->n_alerts > 0) {
		struct alert *alert = a->alert[--a->n_alerts];

		alert_unwatch_all(a, alert);
		alert_free(alert);
	}
	free(a->alert);
	for (size_t i = 0; i < a->n_watches; i++)
		free(a->watch[i].path);
	free(a->watch);
	kernel_log_free(a->log);
	measure_destroy(&a->measure);
	close_fd(a->inotify_fd);
	close_fd(a->epoll_fd);
	free(a);
}
