/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "services.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "notify.h"

#define BELOW_EVERY_NS  (30 * NSEC_PER_SEC)
#define BELOW_BUDGET_NS (20 * 1000 * 1000) /* of a turn: discovery waits for it */
#define FACTS_EVERY_NS  NSEC_PER_SEC
#define EARLY_FLUSH_NS  (5 * NSEC_PER_SEC)
/* How long the last flush may take before the collector ends without it: the ring keeps what
 * was not stored. */
#define LAST_FLUSH_NS (45 * NSEC_PER_SEC)

void services_error(struct services *s, struct complaint *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->last_error, sizeof(s->last_error), format, args);
	va_end(args);
	s->last_error_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	complain(c, "%s", s->last_error);
}

uint64_t services_flush(struct services *s)
{
	char text[64];

	s->flush_id++;
	s->flush_asked_ns = now_ns(CLOCK_MONOTONIC);
	s->flush_due_ns = s->flush_asked_ns + s->config->flush_ns;
	snprintf(text, sizeof(text), "{\"op\":\"flush\",\"id\":%" PRIu64 "}", s->flush_id);
	if (helper_send(&s->helper[HELPER_STORE], text) < 0)
		/* It is busy or dead: the next turn asks again. */
		s->flush_due_ns = now_ns(CLOCK_MONOTONIC) + NSEC_PER_SEC;
	return s->flush_id;
}

/* --- what discovery finds --------------------------------------------------------------------- */

static size_t live_place(const struct services *s, uint32_t index)
{
	size_t i = 0, high = s->n_live;

	while (i < high) {
		size_t middle = (i + high) / 2;

		if (s->live[middle].index < index)
			i = middle + 1;
		else
			high = middle;
	}
	return i;
}

static void live_add(struct services *s, const struct identity *id)
{
	size_t i = live_place(s, id->index);

	if (i == s->n_live || s->live[i].index != id->index) {
		if (s->n_live == s->live_size) {
			size_t size = s->live_size ? 2 * s->live_size : 64;
			struct live *bigger = reallocarray(s->live, size, sizeof(*bigger));

			if (!bigger)
				return;
			s->live = bigger;
			s->live_size = size;
		}
		memmove(&s->live[i + 1], &s->live[i], (s->n_live - i) * sizeof(s->live[0]));
		s->n_live++;
	} else {
		if (s->live[i].run != id->run)
			services_tell_close(s, s->live[i].run, &s->live[i].monitor);
		monitor_free(&s->live[i].monitor);
	}
	s->live[i] = (struct live){
		.index = id->index,
		.run = id->run,
		.init = id->init,
		.starttime = id->init_starttime_ticks,
	};
	services_note_monitor(s, id, &s->live[i].monitor);
}

static void report_below(
	void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	sampler_post_below(((struct services *)data)->sampler, index, run, id, count);
}

static void appeared(void *data, const struct identity *id)
{
	struct services *s = data;

	sampler_post_appeared(s->sampler, id);
	below_appeared(s->below, id, report_below, s);
	notices_appeared(s->notices, id);
	live_add(s, id);
	helpers_tell_walk(s);
	services_tell_open(s, id);
}

static void described(void *data, const struct identity *id)
{
	struct services *s = data;
	size_t i = live_place(s, id->index);

	sampler_post_described(s->sampler, id);
	services_tell_open(s, id);
	if (i == s->n_live || s->live[i].index != id->index || s->live[i].init == id->init)
		return;
	live_add(s, id);
	helpers_tell_walk(s);
}

static void disappeared(void *data, uint32_t index, uint64_t run)
{
	struct services *s = data;
	size_t i = live_place(s, index);
	char text[64];

	notices_disappeared(s->notices, index, run);
	sampler_post_disappeared(s->sampler, index, run);
	below_disappeared(s->below, index, run);
	if (i == s->n_live || s->live[i].index != index || s->live[i].run != run)
		return;
	services_tell_close(s, run, &s->live[i].monitor);
	monitor_free(&s->live[i].monitor);
	s->n_live--;
	memmove(&s->live[i], &s->live[i + 1], (s->n_live - i) * sizeof(s->live[0]));
	snprintf(text, sizeof(text), "{\"op\":\"forget\",\"id\":%" PRIu32 "}", index);
	/* A worker that misses this finds out when the init's start time no longer fits. */
	helper_send(&s->helper[HELPER_WALK], text);
}

static int ask_lxc(void *data, const char *json)
{
	return helper_send(&((struct services *)data)->helper[HELPER_LXC], json);
}

static const struct discovery_ops discovery_ops = {
	.appeared = appeared,
	.described = described,
	.disappeared = disappeared,
	.ask_lxc = ask_lxc,
};

void services_destroyed(struct services *s, uint32_t index)
{
	size_t i = live_place(s, index);
	char text[64];

	if (!s->config->forget_destroyed || (i < s->n_live && s->live[i].index == index))
		return;
	snprintf(text, sizeof(text), "{\"op\":\"forget\",\"index\":%" PRIu32 "}", index);
	/* A store that is away leaves the history, which then ages as any other. */
	helper_send(&s->helper[HELPER_STORE], text);
}

/* --- timers ----------------------------------------------------------------------------------- */

static void set_fact(struct services *s, enum metric_id id, uint64_t number)
{
	if (s->facts.values[id].number == number && value_is_number(s->facts.values[id]))
		return;
	s->facts.values[id] = value_of(number);
	s->facts_changed = true;
}

static void post_facts(struct services *s)
{
	struct discovery_status st;
	struct notices_status notices;

	discovery_status(s->discovery, &st);
	set_fact(s, METRIC_COLLECTOR_DROPPED_INSTANCES, st.dropped);
	set_fact(s, METRIC_COLLECTOR_UNTRUSTED_NAMES, st.untrusted);
	notices_status(s->notices, &notices);
	set_fact(s, METRIC_COLLECTOR_WATCHES, st.watches + notices.watches);
	set_fact(s, METRIC_LEDGER_LOST, s->tell.lost);
	set_fact(s, METRIC_COLLECTOR_LOST_NOTIFICATIONS, notices.lost);
	set_fact(s, METRIC_COLLECTOR_REFUSED_DATAGRAMS, notices.refused_datagrams);
	set_fact(s, METRIC_COLLECTOR_STUCK_WORKERS, st.lxc_timeouts + s->stuck[HELPER_WALK]);
	if (s->facts_changed)
		sampler_post_facts(s->sampler, &s->facts);
	s->facts_changed = false;
}

/* A sampler that stands still must not look alive: the watchdog is fed only by cycles. */
static void feed_watchdog(struct services *s, uint64_t now)
{
	static const uint64_t still_ns = 4;
	struct sampler_status st;

	if (s->watchdog_due_ns == 0 || now < s->watchdog_due_ns)
		return;
	sampler_status(s->sampler, false, &st);
	if (now - st.last_cycle_at_ns >= still_ns * s->config->interval_ns) {
		s->watchdog_due_ns = now + NSEC_PER_SEC;
		return;
	}
	s->watchdog_due_ns = now + notify_watchdog_ns();
	notify_send("WATCHDOG=1\nSTATUS=%" PRIu64 " instances, %" PRIu64 " cycles", st.instances,
		st.cycles);
}

/* Does what is due and returns when the next thing is. */
static uint64_t services_tick(struct services *s)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), next, notices_due_ns;

	helpers_tick(s, now);
	notices_due_ns = notices_tick(s->notices, now);
	if (now >= s->discovery_due_ns)
		s->discovery_due_ns = discovery_tick(s->discovery, now);
	services_tell_settled(s);
	if (now >= s->below_due_ns && below_pass(s->below, BELOW_BUDGET_NS, report_below, s))
		s->below_due_ns = now + BELOW_EVERY_NS;
	if (now >= s->facts_due_ns) {
		post_facts(s);
		s->facts_due_ns = now + FACTS_EVERY_NS;
	}
	if (now >= s->flush_due_ns)
		services_flush(s);
	feed_watchdog(s, now);
	next = MIN(
		MIN(s->discovery_due_ns, s->below_due_ns), MIN(s->facts_due_ns, s->flush_due_ns));
	return MAX(MIN(next, notices_due_ns), now);
}

/* --- signals and events ---------------------------------------------------------------------- */

/* Paths and the mounts below them are fixed for the life of a process. */
static const char *fixed_key_changed(const struct config *a, const struct config *b)
{
	if (strcmp(a->run_dir, b->run_dir))
		return "run_dir";
	if (strcmp(a->data_dir, b->data_dir))
		return "data_dir";
	if (strcmp(a->cgroup_root, b->cgroup_root))
		return "cgroup_root";
	return strcmp(a->proc_root, b->proc_root) ? "proc_root" : NULL;
}

static void reload(struct services *s)
{
	_cleanup_(config_free) struct config *fresh = NULL;
	struct complaint once = {0};
	struct error err;
	const char *key;

	notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_ns(CLOCK_MONOTONIC) / 1000);
	if (config_load(s->config_path, &fresh, &err) < 0) {
		services_error(s, &once, "the old configuration stays in force: %s", err.text);
	} else if ((key = fixed_key_changed(s->config, fresh))) {
		services_error(s, &once,
			"the old configuration stays in force: %s cannot change while running, "
			"restart loadcelld",
			key);
	} else {
		struct config *old = s->config;

		s->config = TAKE_PTR(fresh);
		discovery_set_config(s->discovery, s->config);
		sampler_post_config(s->sampler, s->config);
		config_free(old);
		/* The helpers read the file at their start. */
		helpers_stop(s);
		for (size_t i = 0; i < HELPERS; i++)
			s->helper[i].start_again_ns = 0;
		s->last_error[0] = '\0';
		log_notice("configuration \"%s\" is in force", s->config_path);
	}
	notify_send("READY=1");
}

static void read_signals(struct services *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(s);
		else if (info.ssi_signo == SIGCHLD)
			helpers_reap(s, now_ns(CLOCK_MONOTONIC));
		else
			s->stopping = true;
	}
}

static void read_sampler(struct services *s)
{
	struct sampler_status st;

	sampler_status(s->sampler, true, &st);
	if (st.vanished) {
		discovery_reconcile_soon(s->discovery);
		s->discovery_due_ns = 0;
	}
	/* One flush at a time, and no storm of them while the store cannot write. */
	if (st.flush_early && s->flushed_id == s->flush_id)
		s->flush_due_ns = MIN(s->flush_due_ns, s->flush_asked_ns + EARLY_FLUSH_NS);
	if (s->once && st.cycles > 0)
		s->stopping = true;
}

enum {
	POLL_SIGNAL,
	POLL_DISCOVERY,
	POLL_SAMPLER,
	POLL_HELPERS,
	POLL_NOTICES = POLL_HELPERS + HELPERS,
	POLL_CONTROL = POLL_NOTICES + NOTICES_POLL
};

static int turn(struct services *s, uint64_t until_ns)
{
	struct pollfd fds[POLL_CONTROL + CONTROL_CLIENTS_MAX + 1] = {
		[POLL_SIGNAL] = {s->signal_fd, POLLIN, 0},
		[POLL_DISCOVERY] = {discovery_fd(s->discovery), POLLIN, 0},
		[POLL_SAMPLER] = {sampler_event_fd(s->sampler), POLLIN, 0},
	};
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	uint64_t wait = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {wait / NSEC_PER_SEC, wait % NSEC_PER_SEC};
	size_t clients;

	for (size_t i = 0; i < HELPERS; i++)
		fds[POLL_HELPERS + i] = (struct pollfd){s->helper[i].fd, POLLIN, 0};
	notices_poll(s->notices, fds + POLL_NOTICES, now);
	clients = control_poll(s->control, fds + POLL_CONTROL);
	if (ppoll(fds, POLL_CONTROL + clients, &timeout, NULL) < 0 && errno != EINTR)
		return -errno;
	if (fds[POLL_SIGNAL].revents)
		read_signals(s);
	if (fds[POLL_DISCOVERY].revents) {
		discovery_readable(s->discovery);
		s->discovery_due_ns = 0;
	}
	if (fds[POLL_SAMPLER].revents)
		read_sampler(s);
	for (size_t i = 0; i < HELPERS; i++)
		if (fds[POLL_HELPERS + i].revents && s->helper[i].fd == fds[POLL_HELPERS + i].fd)
			helpers_read(s, i);
	notices_handle(s->notices, fds + POLL_NOTICES);
	control_handle(s->control, s, fds + POLL_CONTROL, clients);
	return 0;
}

/* The last samples go to the RRDs; what cannot be stored in time stays in the ring. */
static void last_flush(struct services *s)
{
	uint64_t id = services_flush(s), end = now_ns(CLOCK_MONOTONIC) + LAST_FLUSH_NS;

	notify_send("STOPPING=1\nSTATUS=storing the last samples");
	while (s->flushed_id < id && s->helper[HELPER_STORE].pid != 0 &&
		now_ns(CLOCK_MONOTONIC) < end)
		if (turn(s, now_ns(CLOCK_MONOTONIC) + 100 * 1000 * 1000) < 0)
			return;
	if (s->flushed_id < id)
		log_warning("the last samples are not stored yet, they stay in the ring");
}

static int open_signals(struct services *s, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? error_set(err, -errno, "cannot receive signals: %m") : 0;
}

int services_run(struct services *s, struct error *err)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int r = open_signals(s, err);

	if (r < 0)
		return r;
	s->helper[HELPER_LXC] = (struct helper){.program = "loadcelld-lxc", .fd = -1};
	s->helper[HELPER_STORE] = (struct helper){.program = "loadcelld-store", .fd = -1};
	s->helper[HELPER_WALK] = (struct helper){.program = "loadcelld-walk", .fd = -1};
	s->helper[HELPER_LEDGER] = (struct helper){.program = "loadcelld-ledger", .fd = -1};
	s->tell.helper = &s->helper[HELPER_LEDGER];
	s->started_ticks = now_ns(CLOCK_BOOTTIME) / (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	s->flush_due_ns = now + s->config->flush_ns;
	s->watchdog_due_ns = notify_watchdog_ns() ? now : 0;
	/* What runs already is known before the first cycle. */
	helpers_tick(s, now);
	s->discovery_due_ns = discovery_tick(s->discovery, now);
	r = sampler_start(s->sampler, err);
	if (r < 0)
		return r;
	notify_send("READY=1\nMAINPID=%d", getpid());
	while (!s->stopping && r == 0) {
		r = turn(s, services_tick(s));
		if (s->once)
			read_sampler(s);
	}
	if (r < 0)
		error_set(err, r, "cannot wait for events: %s", strerror(-r));
	sampler_stop(s->sampler);
	last_flush(s);
	helpers_stop(s);
	close_fd(s->signal_fd);
	tell_free(&s->tell);
	for (size_t i = 0; i < s->n_live; i++)
		monitor_free(&s->live[i].monitor);
	free(s->live);
	return r;
}

int services_init_discovery(struct services *s, const struct hierarchies *h, struct error *err)
{
	int r = below_new(h, &s->below);

	s->hierarchies = h;
	if (r < 0)
		return error_set(err, r, "not enough memory");
	r = notices_new(s, h, &s->notices, err);
	if (r < 0)
		return r;
	return discovery_new(s->config, h, s->index, &discovery_ops, s, &s->discovery, err);
}
