/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "hook.h"

/* The process in "/proc/PID/fd/N", or 0. */
static pid_t process_of(const char *path)
{
	long pid;

	return path && sscanf(path, "/proc/%ld/fd/", &pid) == 1 && pid > 0 ? (pid_t)pid : 0;
}

/* "net:/proc/PID/fd/N": what version 0 appends at stop for each namespace. */
static void take_namespace(struct hook *k, const char *argument)
{
	const char *path = strchr(argument, ':');

	if (!path || !process_of(path + 1))
		return;
	k->monitor = process_of(path + 1);
	if (strncmp(argument, "net:", 4) == 0)
		k->network_ns = path + 1;
}

static pid_t pid_variable(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? (pid_t)strtol(text, NULL, 10) : 0;
}

const char *hook_arguments(struct hook *k, int argc, char **argv)
{
	const char *type = argc > 3 ? argv[3] : getenv("LXC_HOOK_TYPE");
	const char *target = getenv("LXC_TARGET");

	k->name = argc > 1 ? argv[1] : getenv("LXC_NAME");
	k->config_file = getenv("LXC_CONFIG_FILE");
	k->rootfs = getenv("LXC_ROOTFS_PATH");
	k->init = pid_variable("LXC_PID");
	k->reboot = target && strcmp(target, "reboot") == 0;
	k->network_ns = getenv("LXC_NET_NS");
	k->monitor = process_of(getenv("LXC_MNT_NS"));
	for (int i = 4; i < argc; i++)
		take_namespace(k, argv[i]);
	return k->name ? type : NULL;
}
