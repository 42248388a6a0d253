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

/*
 * Where version 0 has the type: LXC hands "NAME lxc TYPE ..." to a shell, unquoted
 * (src/lxc/utils.c, run_script_argv() of LXC 5), so that a name with blanks comes in pieces. 0:
 * nowhere.
 */
static int type_argument(int argc, char **argv)
{
	for (int i = argc - 2; i > 1; i--)
		if (strcmp(argv[i], "lxc") == 0)
			return i + 1;
	return 0;
}

const char *hook_arguments(struct hook *k, int argc, char **argv)
{
	const int at = type_argument(argc, argv);
	const char *type = at ? argv[at] : getenv("LXC_HOOK_TYPE");
	const char *target = getenv("LXC_TARGET");

	k->name = getenv("LXC_NAME");
	if (!k->name && argc > 1)
		k->name = argv[1];
	k->config_file = getenv("LXC_CONFIG_FILE");
	k->rootfs = getenv("LXC_ROOTFS_PATH");
	k->init = pid_variable("LXC_PID");
	k->reboot = target && strcmp(target, "reboot") == 0;
	k->network_ns = getenv("LXC_NET_NS");
	k->monitor = process_of(getenv("LXC_MNT_NS"));
	for (int i = at + 1; at && i < argc; i++)
		take_namespace(k, argv[i]);
	return k->name ? type : NULL;
}
