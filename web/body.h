/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pthread.h>

#include <microhttpd.h>

#include "answer.h"

/* An answer ready to be sent, to one client or to many. */
struct body {
	unsigned int users, status;
	size_t len;
	char etag[24];
	struct MHD_Response *response;
};

/*
 * Takes the answer's text. gzip: compresses it where that is worth something. state: of what it was
 * made of, for its ETag; 0: the text itself is. NULL: no memory.
 */
struct body *body_new(struct answer *a, bool gzip, int level, uint64_t state);
/* "It is still as you know it". */
struct body *body_unchanged(const char *etag);
struct body *body_get(struct body *b);
void body_put(struct body *b);

/*
 * What was answered lately, under what was asked and the state that it was made of. Bounded in
 * number and bytes.
 */
#define CACHE_ENTRIES 32
#define CACHE_BYTES   (24 << 20) /* of all */
struct cache {
	pthread_mutex_t lock;
	struct cached {
		char *key;
		uint64_t state, used;
		struct body *body;
	} entry[CACHE_ENTRIES];
	uint64_t clock;
	size_t bytes;
};
void cache_init(struct cache *c);
void cache_free(struct cache *c);
struct body *cache_find(struct cache *c, const char *key, uint64_t state);
void cache_keep(struct cache *c, const char *key, uint64_t state, struct body *b);
