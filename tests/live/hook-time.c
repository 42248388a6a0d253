/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "../../lib/util.h"
#include "../../lib/value.h"

/*
 * usage: hook-time run COUNT COMMAND...   runs a shell line so often as LXC runs a hook, and prints
 *                                         median and worst time in milliseconds
 *        hook-time full SOCKET            listens there, fills the queue, prints "full", stops
 */
static int fail(const char *what)
{
	fprintf(stderr, "hook-time: %s: %m\n", what);
	return 1;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int run(size_t count, char *line)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, line, NULL};
	_cleanup_free_ uint64_t *took = calloc(count, sizeof(*took));

	if (!took)
		return fail("memory");
	for (size_t i = 0; i < count; i++) {
		uint64_t begin = now_ns(CLOCK_MONOTONIC);
		int status;
		pid_t pid;

		if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0 ||
			waitpid(pid, &status, 0) != pid)
			return fail("cannot run");
		took[i] = now_ns(CLOCK_MONOTONIC) - begin;
		if (status != 0) {
			fprintf(stderr, "hook-time: status %d\n", status);
			return 1;
		}
	}
	qsort(took, count, sizeof(*took), by_time);
	printf("%.1f %.1f\n", (double)took[count / 2] / 1e6, (double)took[count - 1] / 1e6);
	return 0;
}

static int full(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail(path);
	while (sendto(from, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1)
		;
	if (errno != EAGAIN)
		return fail("sendto");
	puts("full");
	fflush(stdout);
	raise(SIGSTOP);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "run") == 0)
		return run(strtoul(argv[2], NULL, 10), argv[3]);
	if (argc == 3 && strcmp(argv[1], "full") == 0)
		return full(argv[2]);
	fputs("usage: hook-time run COUNT LINE | full SOCKET\n", stderr);
	return 2;
}
