/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/ioprio.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "helper.h"
#include "store-internal.h"

/*
 * loadcelld-store: the only program that writes RRDs. A process, not a thread of the collector:
 * librrd changes files through shared mappings, and a kill -9 of the collector must not stop it
 * in the middle of one.
 */
#define NICE          5
#define LOCK_PAUSE_MS 100
/* How long a flush goes on when nobody waits for it any more; the ring keeps the rest. */
#define ORPHAN_NS (2 * NSEC_PER_SEC)

static volatile sig_atomic_t terminated;

static void terminate(int signal)
{
	terminated = 1;
}

/* Signal handlers have no argument of ours; set once before they are. */
static struct store_undo *undo_of_faults;

static void fault(int signal)
{
	undo_note_fault(undo_of_faults);
	raise(signal); /* the default action, as SA_RESETHAND has restored it */
}

static void note_faults(struct store_undo *undo)
{
	static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGABRT};
	struct sigaction action = {.sa_handler = fault, .sa_flags = (int)SA_RESETHAND};

	undo_of_faults = undo;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &action, NULL);
}

struct session {
	struct store *store;
	uint64_t orphan_ns; /* when the collector was found to be gone */
};

static bool collector_gone(int timeout_ms, const sigset_t *mask)
{
	struct pollfd p = {.fd = HELPER_FD, .events = POLLRDHUP};
	struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	return ppoll(&p, 1, &t, mask) > 0 && p.revents & (POLLHUP | POLLRDHUP | POLLERR);
}

/* Asked between two files. */
static bool must_stop(void *data)
{
	struct session *s = data;
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!s->orphan_ns && collector_gone(0, NULL))
		s->orphan_ns = now;
	return s->orphan_ns && now - s->orphan_ns > ORPHAN_NS;
}

static void be_quiet(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, end = {.sa_handler = terminate};
	sigset_t set;

	/* Storing has a minute's time and must never disturb; both may fail, then it does not. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	umask(0027);
	/* librrd would rather talk to a caching daemon. */
	unsetenv("RRDCACHED_ADDRESS");
}

/* Waits until the store before this one is done. */
static int take_lock(const struct config *c, const sigset_t *mask, struct error *err)
{
	_cleanup_free_ char *path = config_data_path(c, "store.lock");
	int fd, r = make_directories(c->data_dir, 0750);

	if (!path || r < 0)
		return error_set(
			err, r < 0 ? r : -ENOMEM, "cannot make %s: %s", c->data_dir, strerror(-r));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(err, -errno, "cannot lock %s: %s", path, strerror(errno));
		if (collector_gone(LOCK_PAUSE_MS, mask) || terminated)
			return error_set(err, -ECANCELED, "ended while another store was at work");
	}
	return fd;
}

static void send_json(json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	if (text)
		(void)send(HELPER_FD, text, strlen(text), MSG_NOSIGNAL);
	free(text);
	json_decref(message);
}

static void report(const struct store *s, json_int_t id)
{
	const struct store_stats *st = &s->stats;
	const char *error = s->error.text[0] ? s->error.text : NULL;

	send_json(json_pack("{s:s, s:I, s:s?}", "op", "flushed", "id", id, "error", error));
	send_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "op",
		"stats", "files", (json_int_t)s->table.files, "bytes",
		(json_int_t)(s->table.bytes + s->others_bytes), "bytes_max",
		(json_int_t)s->bytes_max, "errors", (json_int_t)st->errors, "refused",
		(json_int_t)st->refused, "quarantined", (json_int_t)st->quarantined, "removed",
		(json_int_t)st->removed, "samples", (json_int_t)st->samples, "skipped",
		(json_int_t)st->skipped, "last_error", s->error.text));
}

static void answer(struct store *s, const char *text)
{
	json_t *message = json_loads(text, 0, NULL);
	const char *op = json_string_value(json_object_get(message, "op"));
	json_int_t index = json_integer_value(json_object_get(message, "index"));

	if (op && !strcmp(op, "flush")) {
		store_flush(s);
		report(s, json_integer_value(json_object_get(message, "id")));
	} else if (op && !strcmp(op, "forget") && index > 0 && index <= INT32_MAX) {
		store_forget(s, (uint32_t)index);
	} else {
		log_warning("loadcelld-store got a message that it does not know");
	}
	json_decref(message);
}

/* Until the collector ends or a signal comes. */
static void serve(struct session *session, const sigset_t *mask)
{
	struct pollfd p = {.fd = HELPER_FD, .events = POLLIN};
	char *buf = malloc(HELPER_MESSAGE_MAX);
	uint64_t wait = UINT64_MAX;
	ssize_t n;

	while (buf && !terminated) {
		struct timespec t = {(time_t)(wait / NSEC_PER_SEC), (long)(wait % NSEC_PER_SEC)};
		int r = ppoll(&p, 1, wait == UINT64_MAX ? NULL : &t, mask);

		/* What is packed is packed in pieces, so a flush waits for no more than one. */
		if (r <= 0) {
			wait = r < 0 ? wait : store_pack_step(session->store);
			continue;
		}
		wait = 0;
		n = helper_receive(HELPER_FD, buf, HELPER_MESSAGE_MAX);
		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		answer(session->store, buf);
	}
	if (terminated)
		store_flush(session->store);
	free(buf);
}

static int run(const char *config_file, struct error *err)
{
	_cleanup_(config_free) struct config *config = NULL;
	_cleanup_(store_close) struct store *store = NULL;
	_cleanup_close_ int lock = -1;
	struct session session = {0};
	sigset_t mask;
	int r = config_load(config_path(config_file), &config, err);

	if (r < 0)
		return r;
	if (fcntl(HELPER_FD, F_GETFD) < 0)
		return error_set(err, -EINVAL, "loadcelld-store is started by loadcelld");
	be_quiet();
	sigemptyset(&mask);
	lock = take_lock(config, &mask, err);
	if (lock == -ECANCELED)
		return 0;
	if (lock < 0)
		return lock;
	r = store_open(config, &store, err);
	if (r < 0)
		return r;
	session.store = store;
	note_faults(store->undo);
	store->stop = must_stop;
	store->stop_data = &session;
	serve(&session, &mask);
	return 0;
}

int main(int argc, char **argv)
{
	const char *config_file = NULL;
	struct error err = {""};
	int option;

	/*
	 * librrd now and then has a whole file of 15 MB in memory. With a fixed threshold malloc
	 * maps such blocks apart and gives them back; by itself it would learn to keep them.
	 */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	while ((option = getopt(argc, argv, "c:")) != -1) {
		if (option != 'c') {
			fprintf(stderr, "usage: loadcelld-store -c FILE\n");
			return 2;
		}
		config_file = optarg;
	}
	if (run(config_file, &err) < 0) {
		log_error("%s", err.text);
		return 1;
	}
	return 0;
}
