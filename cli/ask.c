/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ask.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_MAX (64 * 1024)
#define ANSWER_NS  NSEC_PER_SEC

static int control_connect(const struct config *config, int *ret)
{
	_cleanup_free_ char *path = config_run_path(config, "control.sock");
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!path)
		return -ENOMEM;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: so many wait that the backlog is full; the collector does not accept. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Waits until fd can be read or written, or the time is over. */
static int wait_until(int fd, short events, uint64_t end_ns)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int n = now < end_ns ? poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) : 0;

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

static int control_read(int fd, uint64_t end_ns, char **ret)
{
	_cleanup_free_ char *answer = malloc(ANSWER_MAX + 1);
	size_t len = 0;

	if (!answer)
		return -ENOMEM;
	while (len < ANSWER_MAX) {
		ssize_t n = recv(fd, answer + len, ANSWER_MAX - len, 0);
		int r;

		if (n == 0) {
			answer[len] = '\0';
			*ret = TAKE_PTR(answer);
			return 0;
		}
		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_until(fd, POLLIN, end_ns);
		if (r < 0)
			return r;
	}
	return -EMSGSIZE;
}

int ask_collector(const struct config *config, const char *word, char **ret)
{
	uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + ANSWER_NS;
	_cleanup_close_ int fd = -1;
	char request[32];
	int len = snprintf(request, sizeof(request), "%s\n", word);
	int r = control_connect(config, &fd);

	if (r < 0)
		return r;
	/* A word fits any socket's empty buffer: a short send is a failure. */
	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	return control_read(fd, end_ns, ret);
}
