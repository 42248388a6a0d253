/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "answer.h"

/*
 * The HTTP server: one thread of libmicrohttpd's reads and writes all connections; what takes time
 * is made by others (jobs.h). Everything has a bound: connections, the size of a request, the time
 * that it may take, how many wait to be answered, and what is kept.
 */
#define CONNECTIONS_MAX 512
#define REQUEST_BYTES   (32 << 10) /* of request line, headers and what is sent at once */
#define IDLE_SECONDS    15         /* until a request is there whole */
#define ANSWER_SECONDS  60         /* until its answer is taken */

struct server;
/* fd: listens, and is taken over. local: a Unix socket, whose clients name no host. */
int server_new(
	int fd, bool local, struct site *site, const struct pages *pages, struct server **ret);
void server_free(struct server *s);
DEFINE_CLEANUP(struct server *, server_free)
/* Once a second: ends connections whose time is over. */
void server_tick(struct server *s);
