/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When what is measured, and the children that do it.
 *
 * Probes (statfs) go in batches, one child for up to 64 instances; walks and the scan of maps are
 * long and idle, one child each, each with half of the configured share of one core. A child
 * whose pulse stops is killed and the instance it was at pays for it; the others of its batch
 * are simply due again. SIGKILL does not end one that sleeps in the kernel (a FUSE request
 * that the server has read: request_wait_answer() in fs/fuse/dev.c): such a child keeps its slot
 * until it is gone, its instance is left alone that long, and nobody waits for it.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/parse.h"
#include "../lib/value.h"
#include "helper.h"
#include "walk-watch.h"

#define RUNNING_MAX  4  /* children at work: two probes, a walk, maps */
#define CHILDREN_MAX 64 /* with those that SIGKILL has not ended yet */

#define PROBE_LIMIT_NS (5 * NSEC_PER_SEC)
#define WALK_LIMIT_NS  (10 * NSEC_PER_SEC)
#define MAPS_LIMIT_NS  (5 * NSEC_PER_SEC)
/* On a saturated host an idle child may get no CPU for long: runnable is not stuck. */
#define STARVED_FACTOR 30

#define MAPS_STUCK_MAX 8 /* then the round ends */
#define MAPS_NS        (900 * NSEC_PER_SEC)
#define STATS_NS       (10 * NSEC_PER_SEC)
#define PROGRESS_NS    (2 * NSEC_PER_SEC)

struct child {
	pid_t pid; /* 0: free slot */
	int fd;    /* its reports; -1: none will come */
	enum job job;
	bool dying;
	struct walk_target batch[BATCH_MAX]; /* a walk has one */
	uint64_t started_ns, beat_ns, progress_ns, beats;
	struct walk_pulse *pulse;
};

struct walker {
	const struct config *config;
	int (*send)(void *data, const char *json);
	void *data;
	struct watch_list list;
	struct child child[CHILDREN_MAX];
	struct walk_pulse *pulses; /* shared with the children */
	struct job_order order;
	uint64_t stuck, jobs, stats_sent_ns, stuck_sent;
	/* No earlier, so that many small walks keep the share as one long one does. */
	uint64_t idle_free_ns[JOB_MAPS + 1];
	uint64_t maps_due_ns, maps_max, maps_pid, maps_report_ns;
	pid_t maps_after;
	bool maps_skipped, maps_running, maps_unsent;
	unsigned int maps_stuck; /* in this round */
	bool blocked;            /* loadcelld does not read */
};

static uint64_t job_limit(enum job job)
{
	static const uint64_t limit[] = {
		[JOB_PROBE] = PROBE_LIMIT_NS,
		[JOB_WALK] = WALK_LIMIT_NS,
		[JOB_MAPS] = MAPS_LIMIT_NS,
	};
	return limit[job];
}

/* --- starting ------------------------------------------------------------------------------ */

static size_t running(const struct walker *w, int job)
{
	size_t n = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++)
		n += w->child[i].pid && !w->child[i].dying &&
		     (job < 0 || (int)w->child[i].job == job);
	return n;
}

static struct child *free_slot(struct walker *w)
{
	if (running(w, -1) >= RUNNING_MAX)
		return NULL;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (!w->child[i].pid)
			return &w->child[i];
	return NULL;
}

static void become_child(struct walker *w, pid_t parent, int report_fd)
{
	/* A child that cannot be killed must not keep loadcelld from seeing our end. */
	close(HELPER_FD);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	w->order.report_fd = report_fd;
	job_run(&w->order);
}

/* Starts what w->order says. */
static int start_child(struct walker *w, uint64_t now)
{
	struct child *c = free_slot(w);
	pid_t parent = getpid();
	int pipefd[2];

	if (!c)
		return -EAGAIN;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(pipefd[0], F_SETFL, O_NONBLOCK);
	*c = (struct child){
		.fd = pipefd[0],
		.job = w->order.job,
		.started_ns = now,
		.beat_ns = now,
		.progress_ns = now,
		.pulse = &w->pulses[c - w->child],
	};
	memcpy(c->batch, w->order.target, sizeof(c->batch));
	memset(c->pulse, 0, sizeof(*c->pulse));
	atomic_store(&c->pulse->max, w->maps_max);
	atomic_store(&c->pulse->max_pid, w->maps_pid);
	w->order.pulse = c->pulse;
	w->order.config = w->config;
	w->order.share = MAX(w->config->disk_walk_share / 2, (uint64_t)1);
	c->pid = fork();
	if (c->pid == 0)
		become_child(w, parent, pipefd[1]);
	close(pipefd[1]);
	if (c->pid < 0) {
		int r = -errno;

		c->fd = close_fd(c->fd);
		c->pid = 0;
		return r;
	}
	w->jobs++;
	return 0;
}

static void start_probe(struct walker *w, uint64_t now)
{
	struct job_order *o = &w->order;
	size_t picked[BATCH_MAX];

	o->job = JOB_PROBE;
	o->targets = watch_due_probes(&w->list, now, picked, BATCH_MAX);
	if (!o->targets || running(w, JOB_PROBE) >= 2)
		return;
	for (size_t i = 0; i < o->targets; i++) {
		o->target[i] = w->list.watch[picked[i]].target;
		o->facts[i] = w->list.watch[picked[i]].facts;
	}
	if (start_child(w, now) < 0)
		return;
	for (size_t i = 0; i < o->targets; i++)
		w->list.watch[picked[i]].probe_by = w->order.pulse;
}

static void start_walk(struct walker *w, uint64_t now)
{
	struct watch *due;

	if (!w->config->disk_walk_ns || now < w->idle_free_ns[JOB_WALK] || running(w, JOB_WALK))
		return;
	due = watch_due_walk(&w->list, now);
	if (!due)
		return;
	w->order.job = JOB_WALK;
	w->order.targets = 1;
	w->order.target[0] = due->target;
	if (start_child(w, now) < 0)
		return;
	due->walk_by = w->order.pulse;
	due->walk_started_ns = now;
}

static void start_maps(struct walker *w, uint64_t now)
{
	if (now < w->maps_due_ns || now < w->idle_free_ns[JOB_MAPS] || running(w, JOB_MAPS))
		return;
	if (!w->maps_running) {
		w->maps_after = 0;
		w->maps_max = w->maps_pid = 0;
		w->maps_skipped = false;
		w->maps_stuck = 0;
		w->maps_report_ns = now + MAPS_NS;
	}
	w->order.job = JOB_MAPS;
	w->order.targets = 0;
	w->order.after = w->maps_after;
	if (start_child(w, now) == 0)
		w->maps_running = true;
}

/* --- messages ------------------------------------------------------------------------------ */

static int send_json(struct walker *w, json_t *json)
{
	_cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int r = text ? w->send(w->data, text) : -ENOMEM;

	json_decref(json);
	w->blocked = r == -EAGAIN;
	return r;
}

static void send_maps(struct walker *w)
{
	bool complete = !w->maps_running && !w->maps_skipped;

	w->maps_unsent =
		send_json(w, json_pack("{s:s, s:I, s:I, s:b}", "op", "maps", "max",
				     (json_int_t)w->maps_max, "pid", (json_int_t)w->maps_pid,
				     "complete", complete)) == -EAGAIN;
}

static void send_stats(struct walker *w, uint64_t now)
{
	if (now < w->stats_sent_ns + STATS_NS &&
		(w->stuck == w->stuck_sent || now < w->stats_sent_ns + NSEC_PER_SEC))
		return;
	w->stats_sent_ns = now;
	w->stuck_sent = w->stuck;
	send_json(w, json_pack("{s:s, s:I, s:I}", "op", "stats", "stuck", (json_int_t)w->stuck,
			     "jobs", (json_int_t)w->jobs));
}

static void send_progress(struct walker *w, struct child *c, uint64_t now)
{
	char run[17];

	if (c->job != JOB_WALK || now < c->progress_ns + PROGRESS_NS)
		return;
	c->progress_ns = now;
	snprintf(run, sizeof(run), "%016llx", (unsigned long long)c->batch[0].run);
	send_json(w, json_pack("{s:s, s:I, s:s, s:I}", "op", "progress", "id",
			     (json_int_t)c->batch[0].id, "run", run, "files",
			     (json_int_t)atomic_load(&c->pulse->files)));
}

static void send_all(struct walker *w, uint64_t now)
{
	for (size_t i = 0; i < w->list.len; i++) {
		struct watch *x = &w->list.watch[i];

		if (!x->unsent)
			continue;
		if (send_json(w, watch_disk_message(x)) == -EAGAIN)
			return;
		x->unsent = false;
	}
	if (w->maps_running && now >= w->maps_report_ns) {
		w->maps_report_ns = now + MAPS_NS;
		w->maps_unsent = true;
	}
	if (w->maps_unsent)
		send_maps(w);
	send_stats(w, now);
}

/* --- reports and deadlines ----------------------------------------------------------------- */

static void take_maps(struct walker *w, const struct child *c)
{
	w->maps_max = atomic_load(&c->pulse->max);
	w->maps_pid = atomic_load(&c->pulse->max_pid);
	w->maps_after = (pid_t)atomic_load(&c->pulse->at);
}

static void maps_done(struct walker *w, uint64_t now)
{
	w->maps_running = false;
	w->maps_due_ns = now + MAPS_NS;
	w->maps_unsent = true;
}

static void take_report(struct walker *w, struct child *c, const struct walk_report *r)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (r->job == JOB_MAPS) {
		take_maps(w, c);
		w->maps_skipped |= r->error < 0;
		maps_done(w, now);
		return;
	}
	struct watch *x = watch_find(&w->list, &r->target);

	if (!x)
		return; /* forgotten meanwhile */
	if (r->job == JOB_PROBE)
		watch_probed(&w->list, x, r, now);
	else
		watch_walked(x, r, w->config->disk_walk_ns, now);
}

/* Gives back what a child leaves undone: it was killed or crashed at `at`. */
static void release(struct walker *w, struct child *c)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (c->job == JOB_MAPS && w->maps_running) {
		take_maps(w, c);
		w->maps_skipped = true;
		if (++w->maps_stuck >= MAPS_STUCK_MAX)
			maps_done(w, now);
	} else if (c->job == JOB_WALK) {
		watch_walk_failed(&w->list, c->pulse, now);
	} else if (c->job == JOB_PROBE) {
		watch_probe_failed(
			&w->list, &c->batch[atomic_load(&c->pulse->at) % BATCH_MAX], c->pulse, now);
	}
}

static void let_go(struct walker *w, struct child *c)
{
	c->fd = close_fd(c->fd);
	c->dying = true;
	release(w, c);
}

static void read_reports(struct walker *w, struct child *c)
{
	struct walk_report r;
	ssize_t n;

	/* Reports are below PIPE_BUF, so they come whole. */
	_Static_assert(sizeof(r) <= 4096, "a report is one atomic write");
	while ((n = read(c->fd, &r, sizeof(r))) == (ssize_t)sizeof(r)) {
		c->beat_ns = now_ns(CLOCK_MONOTONIC);
		take_report(w, c, &r);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	let_go(w, c);
}

static void reap(struct walker *w, struct child *c)
{
	struct rusage usage;
	uint64_t share = MAX(w->config->disk_walk_share / 2, (uint64_t)1);

	if (wait4(c->pid, NULL, WNOHANG, &usage) == 0)
		return;
	c->pid = 0;
	watch_child_gone(&w->list, c->pulse);
	w->idle_free_ns[c->job] =
		c->started_ns + (uint64_t)((double)rusage_ns(&usage) * 1e9 / (double)share);
}

static bool is_runnable(pid_t pid)
{
	char path[32], buf[1024];
	struct proc_stat stat;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = read_file_at(AT_FDCWD, path, buf, sizeof(buf));
	return n > 0 && parse_proc_stat(buf, (size_t)n, &stat) == 0 && stat.state == 'R';
}

static void check_child(struct walker *w, struct child *c, uint64_t now)
{
	uint64_t beats = atomic_load(&c->pulse->beats), limit = job_limit(c->job);

	if (beats != c->beats) {
		c->beats = beats;
		c->beat_ns = now;
	}
	send_progress(w, c, now);
	if (now < c->beat_ns + limit)
		return;
	if (is_runnable(c->pid) && now < c->beat_ns + limit * STARVED_FACTOR)
		return;
	w->stuck++;
	kill(c->pid, SIGKILL);
	let_go(w, c);
}

static void check_children(struct walker *w, uint64_t now)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &w->child[i];

		if (!c->pid)
			continue;
		if (!c->dying)
			check_child(w, c, now);
		if (c->dying)
			reap(w, c);
	}
}

/* --- the loop ------------------------------------------------------------------------------ */

static int next_timeout_ms(const struct walker *w, uint64_t now)
{
	uint64_t next = MIN(w->stats_sent_ns + STATS_NS, watch_next_probe_ns(&w->list));

	if (!w->maps_running)
		next = MIN(next, MAX(w->maps_due_ns, w->idle_free_ns[JOB_MAPS]));
	if (w->config->disk_walk_ns)
		next = MIN(next, MAX(watch_next_walk_ns(&w->list), w->idle_free_ns[JOB_WALK]));
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		const struct child *c = &w->child[i];

		/* One that has just closed its pipe is a zombie in a moment; a stuck one is not. */
		if (c->pid && c->dying)
			next = MIN(next, now + (now < c->beat_ns + NSEC_PER_SEC ? 10 : 1000) *
							 (NSEC_PER_SEC / 1000));
		else if (c->pid)
			next = MIN(next, now + NSEC_PER_SEC);
	}
	/* What is due but cannot start (no slot, no memory) is tried again soon. */
	return next <= now ? 100 : (int)MIN((next - now) / 1000000 + 1, (uint64_t)10000);
}

int walker_turn(struct walker *w, int input_fd)
{
	struct pollfd p[CHILDREN_MAX + 1] = {{.fd = input_fd, .events = POLLIN}};
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	check_children(w, now);
	start_probe(w, now);
	start_walk(w, now);
	start_maps(w, now);
	send_all(w, now);
	if (w->blocked)
		p[0].events |= POLLOUT;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		p[i + 1] = (struct pollfd){
			.fd = w->child[i].pid ? w->child[i].fd : -1,
			.events = POLLIN,
		};
	if (poll(p, ARRAY_SIZE(p), next_timeout_ms(w, now)) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (p[i + 1].revents)
			read_reports(w, &w->child[i]);
	return !!(p[0].revents & ~POLLOUT);
}

static void forget(struct walker *w, const struct watch *x)
{
	/* A walk holds the container's file system busy. */
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &w->child[i];

		if (!c->pid || c->dying || c->pulse != x->walk_by)
			continue;
		kill(c->pid, SIGKILL);
		let_go(w, c);
	}
	watch_remove(&w->list, x);
}

int walker_message(struct walker *w, const char *json)
{
	json_t *o = json_loads(json, JSON_DISABLE_EOF_CHECK, NULL);
	struct walk_target t = {0};
	const char *op = json_string_value(json_object_get(o, "op"));
	const struct watch *known;
	int r = -EBADMSG;

	if (!op || !json_is_integer(json_object_get(o, "id")))
		goto out;
	r = watch_parse_target(o, &t);
	known = watch_by_id(&w->list, t.id);
	if (strcmp(op, "forget") == 0) {
		if (known)
			forget(w, known);
		r = 0;
	} else if (strcmp(op, "watch") != 0) {
		r = -EBADMSG;
	} else if (!r && !(known && watch_same(&known->target, &t))) {
		if (known)
			forget(w, known);
		r = watch_add(&w->list, &t, w->config->instances_max);
	}
out:
	json_decref(o);
	return r;
}

int walker_new(const struct config *config, int (*send)(void *data, const char *json), void *data,
	struct walker **ret)
{
	struct walker *w = calloc(1, sizeof(*w));
	void *pulses = mmap(NULL, CHILDREN_MAX * sizeof(*w->pulses), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!w || pulses == MAP_FAILED) {
		free(w);
		return -ENOMEM;
	}
	w->config = config;
	w->send = send;
	w->data = data;
	w->pulses = pulses;
	*ret = w;
	return 0;
}

void walker_free(struct walker *w)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &w->child[i];

		if (!c->pid)
			continue;
		kill(c->pid, SIGKILL);
		close_fd(c->fd);
		/* Reaped when it is quick; else init does it. */
		nanosleep(&(struct timespec){0, 20000000}, NULL);
		waitpid(c->pid, NULL, WNOHANG);
	}
	munmap(w->pulses, CHILDREN_MAX * sizeof(*w->pulses));
	free(w->list.watch);
	free(w);
}

void walker_status(const struct walker *w, struct walk_status *ret)
{
	*ret = (struct walk_status){.stuck = w->stuck, .jobs = w->jobs, .watched = w->list.len};
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		ret->children += w->child[i].pid != 0;
}
