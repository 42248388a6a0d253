/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whether a container's configuration, with all that it includes, runs loadcell-hook at start and
 * stop: 1, 0, or a negative errno when some of it cannot be read.
 */
int lxc_config_has_hooks(const char *path);
