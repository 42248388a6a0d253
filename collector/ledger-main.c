/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "../lib/parse.h"
#include "helper.h"
#include "ledger-session.h"

/*
 * loadcelld-ledger: writes what must outlive a boot. A line that cannot be written ends the
 * process: the collector starts it again after a pause and repeats what was not acknowledged,
 * records are still in the spool, and what stands in the journals is not written twice.
 */
#define BATCH_MAX      256 /* messages before the journals are synced */
#define TIDY_EVERY_NS  (600 * NSEC_PER_SEC)
#define STATS_EVERY_NS (10 * NSEC_PER_SEC)
#define SAVE_EVERY_NS  (60 * NSEC_PER_SEC)
#define SAVE_SHARE     20 /* saving all open runs may take that part of the time */
#define KNOWN_NS       (86400 * NSEC_PER_SEC)

static volatile sig_atomic_t terminated;

static void terminate(int signal)
{
	terminated = 1;
}

void session_error(struct session *s, int r, const char *what)
{
	s->errors++;
	error_set(&s->error, r, "%s: %s", what, strerror(-r));
	complain(&s->complaint, "%s", s->error.text);
}

/* --- what the core wants ---------------------------------------------------------------------- */

static int put_run(void *data, const json_t *line)
{
	struct session *s = data;

	s->written_runs++;
	return journal_append(s->runs, line);
}

static int put_event(void *data, const json_t *line)
{
	struct session *s = data;

	s->written_events++;
	return journal_append(s->events, line);
}

static void want_flight(void *data, uint64_t event_id, uint64_t run, const char *handle)
{
	struct session *s = data;
	char *copy = strdup(handle);

	if (copy && RESERVE(s->flights, s->n_flights))
		s->flights[s->n_flights++] = (struct flight_wanted){event_id, run, copy};
	else
		free(copy);
}

static void note_ended(void *data, uint64_t run)
{
	struct session *s = data;

	/* What is not removed now is found to be written at the next scan. */
	if (RESERVE(s->ended, s->n_ended))
		s->ended[s->n_ended++] = run;
}

static void bring_samples(void *data, uint64_t since_ns)
{
	struct session *s = data;

	samples_update(&s->samples, s->ledger, since_ns);
}

static uint64_t wall_clock(void *data)
{
	return now_ns(CLOCK_REALTIME);
}

static bool is_alive(void *data, pid_t init, uint64_t starttime)
{
	struct session *s = data;
	char path[32], buf[1024];
	struct proc_stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", init);
	n = read_file_at(s->proc_fd, path, buf, sizeof(buf));
	return n > 0 && parse_proc_stat(buf, (size_t)n, &st) == 0 && st.state != 'Z' &&
	       st.starttime_ticks == starttime;
}

/* The collector's file, when it has changed; what it does not know gets here the number and handle
 * that it will get there. */
void session_index(struct session *s)
{
	struct index *x = NULL;
	struct error ignored;
	struct stat st = {0};
	bool there = stat(s->index_path, &st) == 0;

	if (s->index && (!there || (st.st_ino == s->index_stat.st_ino &&
					   !memcmp(&st.st_mtim, &s->index_stat.st_mtim,
						   sizeof(st.st_mtim)))))
		return;
	if (index_load(s->index_path, &x, &ignored) < 0)
		return;
	if (s->index)
		index_free(s->index);
	s->index = x;
	s->index_stat = st;
}

bool session_send(json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	bool sent = text && send(HELPER_FD, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;

	free(text);
	json_decref(message);
	return sent;
}

static bool identify(void *data, const char *lxcpath, const char *name, uint32_t *ret_index,
	const char **ret_handle)
{
	struct session *s = data;
	const struct index_entry *e;

	session_index(s);
	if (!s->index)
		return false;
	e = index_find(s->index, lxcpath, name);
	if (!e) {
		if (index_assign(s->index, lxcpath, name, &e) < 0)
			return false;
		/* It is the collector's to remember. */
		(void)session_send(json_pack(
			"{s:s, s:s, s:s}", "op", "seen", "lxcpath", lxcpath, "name", name));
	}
	*ret_index = e->number;
	*ret_handle = e->handle;
	return true;
}

static const struct ledger_ops ledger_ops = {
	.run = put_run,
	.event = put_event,
	.flight = want_flight,
	.ended = note_ended,
	.sample = bring_samples,
	.wall = wall_clock,
	.alive = is_alive,
	.identify = identify,
};

/* A quarter of data_max: half of that for runs, the rest for events and flights. */
static uint64_t share_of_data(const struct config *c, uint64_t part)
{
	struct statvfs fs;

	if (c->data_max)
		return c->data_max / part;
	if (statvfs(c->data_dir, &fs) < 0)
		return UINT64_MAX;
	return (uint64_t)((double)fs.f_blocks * (double)fs.f_frsize * (double)c->data_max_ratio /
			  1e9 / (double)part);
}

static void tidy_flights(struct session *s)
{
	const struct config *c = s->config;
	uint64_t wall = now_ns(CLOCK_REALTIME);

	s->flights_written = 0;
	s->flight_bytes =
		flight_tidy(s->flight_dir, wall - MIN(wall, c->events_ns), share_of_data(c, 16));
}

static void write_flights(struct session *s)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight_wanted *f = &s->flights[i];
		int r;

		bring_samples(s, 0);
		r = flight_write(
			&s->samples, s->flight_dir, f->id, f->run, f->handle, &s->flight_bytes);
		if (r < 0)
			session_error(s, r, "cannot keep the samples before an event");
		free(f->handle);
	}
	s->flights_written += s->n_flights;
	s->n_flights = 0;
	if (s->flights_written > FLIGHT_FILES_MAX / 10)
		tidy_flights(s);
}

/* Where many runs are open, their file is not written with each change. */
static void save_open(struct session *s, uint64_t now, bool at_once)
{
	struct ledger_status st;
	uint64_t begin;
	int r;

	ledger_status(s->ledger, &st);
	if (st.change != s->saved_change)
		s->save_ns = MIN(s->save_ns, s->saved_ns + SAVE_SHARE * s->save_cost_ns);
	if (now < s->save_ns && !(at_once && st.change != s->saved_change))
		return;
	bring_samples(s, 0);
	begin = now_ns(CLOCK_MONOTONIC);
	r = open_runs_write(s->config, s->ledger, s->boot);
	s->saved_ns = now_ns(CLOCK_MONOTONIC);
	s->save_cost_ns = s->saved_ns - begin;
	s->save_ns = s->saved_ns + SAVE_EVERY_NS;
	if (r < 0)
		session_error(s, r, "cannot save the open runs");
	else
		s->saved_change = st.change;
}

static void send_stats(struct session *s, uint64_t now)
{
	uint64_t bytes = journal_bytes(s->runs) + journal_bytes(s->events) + s->flight_bytes;

	s->stats_ns = now + STATS_EVERY_NS;
	(void)session_send(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "op", "stats", "runs",
		(json_int_t)s->written_runs, "events", (json_int_t)s->written_events, "spool",
		(json_int_t)s->records, "bytes", (json_int_t)bytes, "errors", (json_int_t)s->errors,
		"last_error", s->error.text));
}

static void tidy(struct session *s, uint64_t now)
{
	const struct config *c = s->config;
	uint64_t wall = now_ns(CLOCK_REALTIME), events = wall - MIN(wall, c->events_ns);
	struct error err;
	bool full = journal_is_full(s->runs) || journal_is_full(s->events);

	if (now < s->tidy_ns && (!full || s->tidy_failed))
		return;
	s->tidy_ns = now + TIDY_EVERY_NS;
	/* So that the last event's number is kept while no file has it. */
	save_open(s, now, true);
	s->tidy_failed = false;
	if (journal_tidy(s->runs, wall - MIN(wall, c->ledger_ns), share_of_data(c, 8), &err) < 0 ||
		journal_tidy(s->events, events, share_of_data(c, 16), &err) < 0) {
		s->tidy_failed = true;
		s->errors++;
		s->error = err;
		complain(&s->complaint, "%s", err.text);
	}
	tidy_flights(s);
}

/* What was told is written, or stands in the file of open runs: the collector may forget it. */
static void acknowledge(struct session *s)
{
	struct ledger_status st;

	ledger_status(s->ledger, &st);
	if (s->acknowledge && st.change == s->saved_change &&
		session_send(json_pack(
			"{s:s, s:I}", "op", "taken", "messages", (json_int_t)s->acknowledge)))
		s->acknowledge = 0;
}

/* Events first: a run that is in the ledger has its events. */
static int commit(struct session *s, uint64_t now)
{
	int r = journal_sync(s->events);

	r = r ? r : journal_sync(s->runs);
	if (r < 0)
		return r;
	spool_clear(s);
	write_flights(s);
	save_open(s, now, false);
	acknowledge(s);
	tidy(s, now);
	if (now >= s->stats_ns)
		send_stats(s, now);
	return 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* 0; 1: the collector is gone. */
static int read_messages(struct session *s, char *buf)
{
	for (int i = 0; i < BATCH_MAX; i++) {
		ssize_t n = helper_receive(HELPER_FD, buf, HELPER_MESSAGE_MAX);
		json_t *message;
		int r;

		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return 1;
		message = json_loads(buf, 0, NULL);
		r = message ? ledger_message(s->ledger, message, now_ns(CLOCK_MONOTONIC))
			    : -EBADMSG;
		json_decref(message);
		if (r == -EBADMSG)
			session_error(s, r, "a message of the collector is not known");
		else if (r < 0)
			return r;
		s->acknowledge++;
	}
	return 0;
}

static uint64_t next_time(const struct session *s, uint64_t core_ns)
{
	struct ledger_status st;
	uint64_t save = s->save_ns;

	ledger_status(s->ledger, &st);
	if (st.change != s->saved_change)
		save = MIN(save, s->saved_ns + SAVE_SHARE * s->save_cost_ns);
	return MIN(MIN(core_ns, save), MIN(s->scan_ns, MIN(s->tidy_ns, s->stats_ns)));
}

/* Until the collector ends, a signal comes, or a line cannot be written. */
static int serve(struct session *s, const sigset_t *mask)
{
	_cleanup_free_ char *buf = malloc(HELPER_MESSAGE_MAX);
	struct pollfd fds[] = {{HELPER_FD, POLLIN, 0}, {s->inotify_fd, POLLIN, 0}};
	uint64_t next = 0;
	int gone = 0, r = buf ? 0 : -ENOMEM;

	while (!r && !gone && !terminated) {
		uint64_t now = now_ns(CLOCK_MONOTONIC), wait = next > now ? next - now : 0;
		struct timespec t = {(time_t)(wait / NSEC_PER_SEC), (long)(wait % NSEC_PER_SEC)};

		if (ppoll(fds, ARRAY_SIZE(fds), &t, mask) < 0)
			continue;
		/* Records first: they know more than the collector. */
		now = now_ns(CLOCK_MONOTONIC);
		if (now >= s->scan_ns)
			r = spool_scan(s, now);
		if (!r && fds[1].revents)
			r = spool_read(s);
		if (!r && fds[0].revents)
			gone = read_messages(s, buf);
		r = gone < 0 ? gone : r;
		now = now_ns(CLOCK_MONOTONIC);
		r = r ? r : ledger_tick(s->ledger, now, &next);
		r = r ? r : commit(s, now);
		next = next_time(s, next);
	}
	return r;
}

/* --- beginning and end ------------------------------------------------------------------------ */

static int know_run(void *data, const json_t *line)
{
	ledger_know_run(((struct session *)data)->ledger, line);
	return 0;
}

static int know_event(void *data, const json_t *line)
{
	ledger_know_event(((struct session *)data)->ledger, line);
	return 0;
}

static uint64_t run_time(const json_t *line)
{
	return journal_seconds(line, "end");
}

static uint64_t event_time(const json_t *line)
{
	return journal_seconds(line, "time");
}

/* What was written last may still be in the spool or on its way here. */
static int open_journals(struct session *s, struct error *err)
{
	const char *dir = s->config->data_dir;
	uint64_t wall = now_ns(CLOCK_REALTIME), since = wall - MIN(wall, KNOWN_NS);
	int r = journal_open(dir, "runs", run_time, &s->runs, err);

	if (r > 0)
		log_warning("%s", err->text);
	if (r >= 0)
		r = journal_open(dir, "events", event_time, &s->events, err);
	if (r > 0)
		log_warning("%s", err->text);
	if (r < 0)
		return r;
	r = journal_read(dir, "runs", since, know_run, s, NULL);
	r = r ? r : journal_read(dir, "events", since, know_event, s, NULL);
	return r < 0 ? error_set(err, r, "cannot read the journals in %s: %s", dir, strerror(-r))
		     : 0;
}

/* Waits until the ledger before this one is done, whose collector was killed. */
static int take_lock(struct session *s, struct error *err)
{
	_cleanup_free_ char *path = config_data_path(s->config, "ledger.lock");
	int r = make_directories(s->config->data_dir, 02750);

	if (!path || r < 0)
		return error_set(err, r < 0 ? r : -ENOMEM, "cannot make %s: %s",
			s->config->data_dir, strerror(-r));
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX) < 0)
		return error_set(err, -errno, "cannot lock %s: %m", path);
	return 0;
}

static int open_session(struct session *s, struct error *err)
{
	struct config *c = s->config;
	ssize_t n;
	int r = take_lock(s, err);

	if (r < 0)
		return r;
	s->proc_fd = open(c->proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	n = read_file_at(s->proc_fd, "sys/kernel/random/boot_id", s->boot, sizeof(s->boot));
	if (n < 0)
		return error_set(err, (int)n, "cannot read the boot's number below %s: %s",
			c->proc_root, strerror((int)-n));
	s->boot[strcspn(s->boot, "\n")] = '\0';
	s->index_path = config_data_path(c, "index");
	s->flight_dir = config_data_path(c, "flight");
	r = samples_init(&s->samples, c);
	if (!s->index_path || !s->flight_dir || r < 0)
		return error_set(err, -ENOMEM, "out of memory");
	r = ledger_new(&ledger_ops, s, &s->ledger);
	if (r < 0)
		return error_set(err, r, "out of memory");
	r = open_journals(s, err);
	r = r < 0 ? r : open_runs_read(c, s->ledger, s->boot, err);
	if (r > 0)
		log_warning("%s", err->text);
	return r < 0 ? r : spool_watch(s, err);
}

static void close_session(struct session *s)
{
	if (s->ledger)
		ledger_free(s->ledger);
	journal_close(s->runs);
	journal_close(s->events);
	samples_destroy(&s->samples);
	if (s->index)
		index_free(s->index);
	close_fd(s->proc_fd);
	close_fd(s->inotify_fd);
	close_fd(s->lock_fd);
	free(s->index_path);
	free(s->flight_dir);
	free(s->ended);
	free(s->started);
	free(s->flights);
	config_free(s->config);
}

static void prepare_signals(sigset_t *ret_mask)
{
	struct sigaction end = {.sa_handler = terminate};
	sigset_t set;

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(ret_mask);
}

static int run(struct session *s, const char *config_file, struct error *err)
{
	sigset_t mask;
	int r = config_load(config_path(config_file), &s->config, err);

	if (r < 0)
		return r;
	if (fcntl(HELPER_FD, F_SETFL, O_NONBLOCK) < 0)
		return error_set(err, -EINVAL, "loadcelld-ledger is started by loadcelld");
	umask(0027);
	r = open_session(s, err);
	if (r < 0)
		return r;
	prepare_signals(&mask);
	r = serve(s, &mask);
	if (r < 0) {
		error_set(err, r, "cannot write to the ledger in %s: %s", s->config->data_dir,
			strerror(-r));
		s->errors++;
		s->error = *err;
		send_stats(s, 0);
		return r;
	}
	save_open(s, now_ns(CLOCK_MONOTONIC), true);
	return 0;
}

int main(int argc, char **argv)
{
	struct session s = {.proc_fd = -1, .inotify_fd = -1, .lock_fd = -1};
	const char *config_file = NULL;
	struct error err = {""};
	int option, r;

	while ((option = getopt(argc, argv, "c:")) != -1) {
		if (option != 'c') {
			fprintf(stderr, "usage: loadcelld-ledger -c FILE\n");
			return 2;
		}
		config_file = optarg;
	}
	r = run(&s, config_file, &err);
	if (r < 0)
		log_error("%s", err.text);
	close_session(&s);
	return r < 0;
}
