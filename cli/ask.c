/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ask.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define ANSWER_MAX (64 * 1024)

static int control_connect(const struct config *config, int *ret)
{
	static const struct timeval second = {.tv_sec = 1};
	_cleanup_free_ char *path = config_run_path(config, "control.sock");
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!path)
		return -ENOMEM;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno; /* its backlog is full */
	*ret = TAKE_FD(fd);
	return 0;
}

int ask_collector(const struct config *config, const char *word, char **ret)
{
	_cleanup_free_ char *answer = malloc(ANSWER_MAX + 1);
	_cleanup_close_ int fd = -1;
	char request[32];
	int len = snprintf(request, sizeof(request), "%s\n", word);
	ssize_t n;
	int r = control_connect(config, &fd);

	if (r < 0 || !answer)
		return r < 0 ? r : -ENOMEM;
	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	n = recv(fd, answer, ANSWER_MAX, MSG_WAITALL);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	/* More than that, or no end of it within a second, is no answer. */
	if (n > 0 && recv(fd, answer + n, 1, 0) != 0)
		return n == ANSWER_MAX ? -EMSGSIZE : -ETIMEDOUT;
	answer[n] = '\0';
	*ret = TAKE_PTR(answer);
	return 0;
}
