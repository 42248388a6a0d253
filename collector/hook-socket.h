/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/util.h"

/*
 * run_dir/hook.sock: a hook's datagram says that there is something to see, and nothing else: what
 * happened stands in the spool and in the cgroup tree. The file's mode lets only root send; the
 * kernel's word on the sender is asked all the same.
 */
struct hook_socket;

int hook_socket_new(const char *path, struct hook_socket **ret, struct error *err);
void hook_socket_free(struct hook_socket *h);
DEFINE_CLEANUP(struct hook_socket *, hook_socket_free)

int hook_socket_fd(const struct hook_socket *h);
/* Takes a bounded number of datagrams, never waits. True when one of them was believed. */
bool hook_socket_read(struct hook_socket *h);
/* Datagrams that were not root's or not the name of a record. */
uint64_t hook_socket_refused(const struct hook_socket *h);
