/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/util.h"

/*
 * run_dir/control.sock, SOCK_STREAM, 0660: one line in ("flush" or "status"), one JSON object
 * out, end. Root and the group of the run directory only: the file mode decides.
 */
#define CONTROL_CLIENTS_MAX 16

struct services;
struct control;

int control_new(const char *path, struct control **ret, struct error *err);
void control_free(struct control *c);
DEFINE_CLEANUP(struct control *, control_free)

/* Descriptors to poll; returns how many of at most CONTROL_CLIENTS_MAX + 1. */
size_t control_poll(const struct control *c, struct pollfd *fds);
/* Handles what poll said about them, and answers flushes that are done. */
void control_handle(struct control *c, struct services *s, const struct pollfd *fds, size_t n);
