/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "program.h"

#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

#include "../lib/util.h"

static const char *program_path(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(GRAPH_PROGRAM) - 1);
	char *slash;

	path[MAX(n, 0)] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		strcpy(slash + 1, GRAPH_PROGRAM);
		if (access(path, X_OK) == 0)
			return path;
	}
	return LIBEXEC "/" GRAPH_PROGRAM;
}

int graph_program_start(const char **argv, int fd, pid_t *ret)
{
	char path[PATH_MAX];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	argv[0] = GRAPH_PROGRAM;
	/* A server blocks the signals that end this one. */
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	r = posix_spawn(ret, program_path(path), &actions, &attributes,
		(char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}
