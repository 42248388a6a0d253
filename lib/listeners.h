/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util.h"

/*
 * The abstract sockets on which the monitors of LXC instances listen for commands. They alone tell
 * an instance's lxcpath: "LXCPATH/NAME/command", or "lxc/HASH/command" where that is too long.
 */
#define LISTENERS_MAX 16384

struct listener {
	uint64_t inode;
	char *name; /* without the "@" */
	bool held;  /* for discovery: by a place */
};

struct listeners {
	struct listener *list; /* by inode */
	size_t n, cap;
};

/* Reads them anew: from the running kernel (live), else from net/unix below proc_fd. */
int listeners_read(struct listeners *l, int proc_fd, bool live);
void listeners_free(struct listeners *l);
struct listener *listeners_find(const struct listeners *l, uint64_t inode);

/* Calls back for each socket that a process holds, until it returns false. */
void process_sockets(int proc_fd, pid_t pid, bool (*call)(void *data, uint64_t inode), void *data);

uint64_t socket_hash(const char *lxcpath, const char *name);
bool socket_is_hashed(const char *socket_name, uint64_t *ret_hash);
/* Of "LXCPATH/NAME/command"; -EINVAL when it is none. The caller frees both. */
int socket_split(const char *socket_name, char **ret_lxcpath, char **ret_name);
