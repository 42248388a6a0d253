/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Patterns of cgroup paths: "/apps.slice/{name}.service". '*' and '?' stand for characters of one
 * component and [abc], [a-z], [!a] for one, as in a shell; {name}, exactly once, for at least one,
 * as many as fit. A backslash stands for itself, as systemd's names are full of them.
 */
#define GLOB_COMPONENTS_MAX 7 /* as deep as discovery looks */

struct glob {
	regex_t regex;
	size_t components;
};

/* 0, -EINVAL, or -ENOMEM. Release with regfree(&g->regex). */
int glob_compile(const char *glob, struct glob *ret);

struct glob_found {
	size_t end;            /* path[0..end) is what matched: the whole, or up to a '/' */
	size_t name, name_len; /* where {name} stands in it */
};
bool glob_match(const struct glob *g, const char *path, struct glob_found *ret);
