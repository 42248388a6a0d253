/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whether a container's configuration, with all that it includes, runs loadcell-hook at start and
 * stop: 1, 0, or a negative errno when some of it cannot be read.
 */
int lxc_config_has_hooks(const char *path);

struct cli;
struct view;
/*
 * Calls back for each container under the configured lxcpaths: whether its configuration has the
 * hooks, and whether what runs was started with them: 1, 0, or -1 where that is not known or it
 * does not run. CLI_DONE, or CLI_FAILED where a directory cannot be read.
 */
int hooks_each(const struct cli *cli, const struct view *v,
	void (*call)(void *data, const char *name, int configured, int hooked), void *data);
