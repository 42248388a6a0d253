/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/value.h"

#define PAUSE_MIN_NS (1 * NSEC_PER_SEC)
#define PAUSE_MAX_NS (60 * NSEC_PER_SEC)

/* Room for a few of the longest messages; skb overhead doubles what they take. */
#define SEND_BUFFER (4 * HELPER_MESSAGE_MAX)

static void plan_start(struct helper *h, uint64_t now)
{
	/* One that ran for a while earned a quick start again. start_again_ns is its start. */
	if (h->pause_ns && now > h->start_again_ns && now - h->start_again_ns > PAUSE_MAX_NS)
		h->pause_ns = 0;
	h->pause_ns = h->pause_ns ? MIN(h->pause_ns * 2, PAUSE_MAX_NS) : PAUSE_MIN_NS;
	h->start_again_ns = now + h->pause_ns;
}

static void program_path(const char *program, char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n > 0) {
		path[n] = 0;
		char *slash = strrchr(path, '/');
		size_t dir = slash ? (size_t)(slash - path) + 1 : 0;

		if (dir && (size_t)snprintf(path + dir, size - dir, "%s", program) < size - dir &&
			access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "%s/%s", LIBEXEC, program);
}

static void set_send_buffer(int fd)
{
	int size = SEND_BUFFER;

	/* The unprivileged call is bounded by net.core.wmem_max, whose default suffices. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int spawn(const char *path, char *const argv[], int theirs, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r)
		goto out;
	/* dup2() of 3 to itself clears close-on-exec in glibc since 2.29. */
	r = posix_spawn_file_actions_adddup2(&actions, theirs, HELPER_FD);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, HELPER_FD + 1);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	/* A group of its own: Ctrl-C is for loadcelld, which then ends its helpers in order. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	if (!r)
		r = posix_spawn(ret, path, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
out:
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int helper_start(struct helper *h, const char *config_path, struct error *err)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	char path[PATH_MAX + NAME_MAX];
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	char *argv[] = {
		(char *)h->program, config_path ? (char *)"-c" : NULL, (char *)config_path, NULL};
	pid_t pid;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		plan_start(h, now);
		return error_set(
			err, r, "cannot make a socket for %s: %s", h->program, strerror(-r));
	}
	ours = pair[0];
	theirs = pair[1];
	set_send_buffer(ours);
	set_send_buffer(theirs);
	(void)fcntl(ours, F_SETFL, O_NONBLOCK);
	program_path(h->program, path, sizeof(path));
	r = spawn(path, argv, theirs, &pid);
	if (r < 0) {
		plan_start(h, now);
		return error_set(err, r, "cannot start %s: %s", path, strerror(-r));
	}
	h->pid = pid;
	h->fd = TAKE_FD(ours);
	h->start_again_ns = now;
	h->starts++;
	return 0;
}

int helper_send(struct helper *h, const char *json)
{
	size_t len = strlen(json);

	if (h->fd < 0)
		return -ENOTCONN;
	if (!len || len >= HELPER_MESSAGE_MAX)
		return -EMSGSIZE;
	if (send(h->fd, json, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return 0;
}

ssize_t helper_receive(int fd, char *buf, size_t size)
{
	ssize_t n;

	/* ECONNRESET says once that the other end closed without reading all; more may be queued.
	 */
	do
		n = recv(fd, buf, size - 1, MSG_TRUNC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if ((size_t)n > size - 1)
		return -EMSGSIZE;
	buf[n] = 0;
	return n;
}

static bool reap(struct helper *h)
{
	pid_t r;

	if (h->pid <= 0)
		return true;
	do
		r = waitpid(h->pid, NULL, WNOHANG);
	while (r < 0 && errno == EINTR);
	if (!r)
		return false;
	h->pid = 0;
	return true;
}

static bool reap_within(struct helper *h, uint64_t timeout_ns)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + timeout_ns;
	const struct timespec pause = {0, 5000000};

	while (!reap(h)) {
		if (now_ns(CLOCK_MONOTONIC) >= end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

void helper_stop(struct helper *h, uint64_t timeout_ns)
{
	h->fd = close_fd(h->fd);
	if (reap_within(h, timeout_ns))
		return;
	kill(h->pid, SIGKILL);
	/* One that sleeps in the kernel does not die at once: init gathers it after us. */
	if (!reap_within(h, NSEC_PER_SEC))
		h->pid = 0;
}

bool helper_ended(struct helper *h, uint64_t now)
{
	if (h->pid <= 0 || !reap(h))
		return false;
	h->fd = close_fd(h->fd);
	plan_start(h, now);
	return true;
}
