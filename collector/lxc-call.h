/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "../lib/util.h"

/*
 * What a child of loadcelld-lxc does, one call each: it may block and is then killed. Both return
 * an object with what could be told, or with "error" (and "untrusted" when the lxcpath is not the
 * user's own).
 */
json_t *lxc_call_list(const char *lxcpath);
/* An empty object when the lxcpath is uid's own directory. */
json_t *lxc_call_owner(const char *lxcpath, uid_t uid);
/* uid: who owns the monitor; another than root is become before anything of his is touched. */
json_t *lxc_call_describe(const char *lxcpath, const char *name, uid_t uid);

/* An item of the configuration in a new text, or NULL. */
struct lxc_container;
char *lxc_item(struct lxc_container *c, const char *key);
/* An object of strings; with an init, the running container is asked too. */
json_t *lxc_facts(struct lxc_container *c, pid_t init);

/*
 * 0 when nobody but root can change what an absolute path leads to, each directory and symbolic
 * link on the way included. What does not exist yet is fine where only root can make it.
 */
int trusted_path(const char *path, struct error *err);
