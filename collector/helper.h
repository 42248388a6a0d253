/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lib/util.h"

/*
 * A helper process as loadcelld sees it (docs/helpers.md), and the socket as the helper sees it.
 */
#define HELPER_FD          3
#define HELPER_MESSAGE_MAX 65536

struct helper {
	const char *program;     /* "loadcelld-store" */
	pid_t pid;               /* 0: not running */
	int fd;                  /* our end, non-blocking; -1: not running */
	uint64_t start_again_ns; /* CLOCK_MONOTONIC; when to start it again */
	uint64_t pause_ns;
	uint64_t starts;
};

/* Starts program from loadcelld's own directory, else from the libexec directory. */
int helper_start(struct helper *h, const char *config_path, struct error *err);
/* Sends one message; -EAGAIN when the helper does not read. Never blocks. */
int helper_send(struct helper *h, const char *json);
/* Receives one message into buf (NUL-ended). Length; 0: the helper is gone; -EAGAIN: none. */
ssize_t helper_receive(int fd, char *buf, size_t size);
/* Closes our end, so that it ends, and gathers its exit status; kills it after timeout_ns. */
void helper_stop(struct helper *h, uint64_t timeout_ns);
/* Reaps without waiting: true when it has ended; plans the next start. */
bool helper_ended(struct helper *h, uint64_t now_ns);
