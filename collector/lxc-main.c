/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loadcelld-lxc: asks liblxc on behalf of loadcelld (docs/helpers.md). Each call runs in a child
 * that is killed after a second: liblxc blocks on a monitor that is stopped and on any socket that
 * somebody named like a monitor's.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/value.h"
#include "helper.h"
#include "lxc-call.h"

#define JOBS_MAX  4
#define QUEUE_MAX 256
#define STUCK_MAX 16 /* killed, but still in the kernel, e.g. on a dead NFS server */
#define CALL_NS   (1 * NSEC_PER_SEC)

struct job {
	json_t *request; /* NULL: a free slot */
	pid_t pid;
	int fd;
	uint64_t deadline_ns;
	char *text;
	size_t len;
};

struct server {
	struct job jobs[JOBS_MAX];
	json_t *queue[QUEUE_MAX];
	size_t queued;
	pid_t stuck[STUCK_MAX];
	size_t stuck_n;
};

/* Takes `reply` apart: a child that became a user may send anything, so only known keys count. */
static void answer(json_t *request, const json_t *reply, const char *error, bool timeout)
{
	static const struct {
		const char *key;
		json_type type;
	} keys[] = {
		{"init", JSON_INTEGER},
		{"hostname", JSON_STRING},
		{"groups", JSON_ARRAY},
		{"rootfs", JSON_STRING},
		{"facts", JSON_OBJECT},
		{"names", JSON_ARRAY},
		{"error", JSON_STRING},
		{"untrusted", JSON_TRUE},
	};
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *value = json_object_get(reply, keys[i].key);

		if (value && json_typeof(value) == keys[i].type)
			json_object_set(request, keys[i].key, value);
	}
	if (error) {
		json_object_set_new(request, "error", json_string(error));
		json_object_set_new(request, "timeout", json_boolean(timeout));
	}
	text = json_dumps(request, JSON_COMPACT);
	if (!text || strlen(text) >= HELPER_MESSAGE_MAX) {
		free(text);
		json_object_del(request, "names");
		json_object_del(request, "groups");
		json_object_del(request, "facts");
		json_object_set_new(request, "error", json_string("the answer is too long"));
		text = json_dumps(request, JSON_COMPACT);
	}
	if (text)
		(void)send(HELPER_FD, text, strlen(text), MSG_NOSIGNAL);
	free(text);
	json_decref(request);
}

static _Noreturn void child(const json_t *request, int fd)
{
	const char *op = json_string_value(json_object_get(request, "op"));
	const char *lxcpath = json_string_value(json_object_get(request, "lxcpath"));
	const char *name = json_string_value(json_object_get(request, "name"));
	json_int_t uid = json_integer_value(json_object_get(request, "uid"));
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	json_t *reply;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* Descriptor 3 goes too: the child of a user must not speak in our name. */
	if (null < 0 || dup2(fd, HELPER_FD) < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(1);
	closefrom(HELPER_FD + 1);
	if (!name)
		reply = lxc_call_list(lxcpath);
	else if (strcmp(op, "owner") == 0)
		reply = lxc_call_owner(lxcpath, (uid_t)uid);
	else
		reply = lxc_call_describe(lxcpath, name, (uid_t)uid);
	_exit(json_dumpfd(reply, HELPER_FD, JSON_COMPACT) == 0 ? 0 : 1);
}

/* Starts a job for the request, which it takes over. */
static void start_job(struct job *job, json_t *request)
{
	int ends[2];

	*job = (struct job){.fd = -1};
	if (pipe2(ends, O_CLOEXEC) < 0) {
		answer(request, NULL, "no pipe for a child", false);
		return;
	}
	job->pid = fork();
	if (job->pid == 0)
		child(request, ends[1]);
	close(ends[1]);
	job->text = malloc(HELPER_MESSAGE_MAX);
	if (job->pid < 0 || !job->text) {
		if (job->pid > 0) {
			kill(job->pid, SIGKILL);
			waitpid(job->pid, NULL, 0);
		}
		free(job->text);
		close(ends[0]);
		answer(request, NULL, "no child can be started", false);
		return;
	}
	job->request = request;
	job->fd = ends[0];
	job->deadline_ns = now_ns(CLOCK_MONOTONIC) + CALL_NS;
}

/* A killed child normally ends at once; one that hangs in the kernel is left to reap_stuck(). */
static void reap(struct server *s, pid_t pid)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	kill(pid, SIGKILL);
	for (int i = 0; i < 10; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&pause, NULL);
	}
	s->stuck[s->stuck_n++] = pid;
}

static void reap_stuck(struct server *s)
{
	for (size_t i = 0; i < s->stuck_n;) {
		if (waitpid(s->stuck[i], NULL, WNOHANG) != 0)
			s->stuck[i] = s->stuck[--s->stuck_n];
		else
			i++;
	}
}

static void end_job(struct server *s, struct job *job, bool timeout)
{
	json_t *reply = NULL;

	close(job->fd);
	reap(s, job->pid);
	if (!timeout)
		reply = json_loadb(job->text, job->len, 0, NULL);
	free(job->text);
	answer(TAKE_PTR(job->request), reply,
		timeout                 ? "liblxc did not answer within a second"
		: json_is_object(reply) ? NULL
					: "the child that asked liblxc died",
		timeout);
	json_decref(reply);
}

static void read_job(struct server *s, struct job *job)
{
	ssize_t n = read(job->fd, job->text + job->len, HELPER_MESSAGE_MAX - job->len);

	if (n > 0)
		job->len += (size_t)n;
	else if (n == 0 || errno != EINTR)
		end_job(s, job, false);
}

static bool valid_request(const json_t *request)
{
	const char *op = json_string_value(json_object_get(request, "op"));
	const char *lxcpath = json_string_value(json_object_get(request, "lxcpath"));
	const char *name = json_string_value(json_object_get(request, "name"));
	const json_t *uid = json_object_get(request, "uid");

	if (!op || !lxcpath || lxcpath[0] != '/')
		return false;
	if (strcmp(op, "list") == 0)
		return !name;
	return (strcmp(op, "describe") == 0 || strcmp(op, "owner") == 0) && name && *name &&
	       !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       json_is_integer(uid) && json_integer_value(uid) >= 0 &&
	       json_integer_value(uid) < UINT32_MAX;
}

/* False when loadcelld is gone. */
static bool take_request(struct server *s, char *buf)
{
	ssize_t n = helper_receive(HELPER_FD, buf, HELPER_MESSAGE_MAX);
	json_t *request;

	if (n == -EAGAIN || n == -EMSGSIZE)
		return true;
	if (n <= 0)
		return false;
	request = json_loadb(buf, (size_t)n, 0, NULL);
	if (!json_is_object(request))
		json_decref(request);
	else if (!valid_request(request))
		answer(request, NULL, "the request is not understood", false);
	else if (s->queued == QUEUE_MAX)
		answer(request, NULL, "too many requests wait", false);
	else
		s->queue[s->queued++] = request;
	return true;
}

static void start_queued(struct server *s)
{
	for (size_t i = 0; i < JOBS_MAX && s->queued; i++) {
		if (s->jobs[i].request || s->stuck_n + JOBS_MAX > STUCK_MAX)
			continue;
		start_job(&s->jobs[i], s->queue[0]);
		s->queued--;
		memmove(s->queue, s->queue + 1, s->queued * sizeof(s->queue[0]));
	}
}

static int poll_all(struct server *s, struct pollfd *fds)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), next = UINT64_MAX;

	fds[JOBS_MAX] = (struct pollfd){.fd = HELPER_FD, .events = POLLIN};
	for (size_t i = 0; i < JOBS_MAX; i++) {
		const struct job *job = &s->jobs[i];

		fds[i] = (struct pollfd){.fd = job->request ? job->fd : -1, .events = POLLIN};
		if (job->request)
			next = MIN(next, MAX(job->deadline_ns, now));
	}
	if (s->stuck_n || s->queued)
		next = MIN(next, now + NSEC_PER_SEC / 10);
	return poll(fds, JOBS_MAX + 1,
		next == UINT64_MAX ? -1 : (int)((next - now + 999999) / 1000000));
}

static void serve(struct server *s, char *buf)
{
	struct pollfd fds[JOBS_MAX + 1];

	for (;;) {
		if (poll_all(s, fds) < 0 && errno != EINTR)
			return;
		for (size_t i = 0; i < JOBS_MAX; i++) {
			struct job *job = &s->jobs[i];

			if (fds[i].fd >= 0 && fds[i].revents)
				read_job(s, job);
			if (job->request && now_ns(CLOCK_MONOTONIC) >= job->deadline_ns)
				end_job(s, job, true);
		}
		if (fds[JOBS_MAX].revents && !take_request(s, buf))
			return;
		reap_stuck(s);
		start_queued(s);
	}
}

int main(int argc, char **argv)
{
	struct server server = {0};
	_cleanup_free_ char *buf = malloc(HELPER_MESSAGE_MAX);
	int type;
	socklen_t len = sizeof(type);

	/* -c FILE is common to all programs; nothing in it is needed here. */
	if (getsockopt(HELPER_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || !buf) {
		fprintf(stderr, "loadcelld-lxc is started by loadcelld, not by hand\n");
		return 2;
	}
	serve(&server, buf);
	for (size_t i = 0; i < JOBS_MAX; i++) {
		if (server.jobs[i].request)
			kill(server.jobs[i].pid, SIGKILL);
	}
	return 0;
}
