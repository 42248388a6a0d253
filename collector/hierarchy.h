/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/hierarchy.h"

/*
 * Once at start. With proc_root "/proc" libcgroup tells; else (fixtures) hierarchies_read().
 */
int hierarchies_find(const char *cgroup_root, const char *proc_root, struct hierarchies **ret,
	struct error *err);
