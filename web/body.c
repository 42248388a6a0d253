/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "body.h"

#include <inttypes.h>
#include <string.h>

#include <zlib.h>

#define GZIP_LEAST 1000
#define GZIP_BITS  (15 + 16) /* zlib.h: a gzip header */

/* Nothing but what is here, and nobody else's frame. */
static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
	"connect-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'";

/* Replaces the text by a shorter one, or leaves it. */
static bool compress_text(struct answer *a, int level)
{
	z_stream z = {0};
	size_t room = a->len - a->len / 10;
	char *packed;

	if (a->len < GZIP_LEAST || !strncmp(a->type, "image/png", 9))
		return false;
	if (deflateInit2(&z, level, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	packed = malloc(room);
	z.next_in = (unsigned char *)a->body;
	z.avail_in = (unsigned int)a->len;
	z.next_out = (unsigned char *)packed;
	z.avail_out = (unsigned int)room;
	if (!packed || deflate(&z, Z_FINISH) != Z_STREAM_END) {
		deflateEnd(&z);
		free(packed);
		return false;
	}
	free(a->body);
	a->len = z.total_out;
	deflateEnd(&z);
	a->body = realloc(packed, a->len);
	a->body = a->body ? a->body : packed;
	return true;
}

static void add_headers(struct body *b, const struct answer *a, bool packed)
{
	struct MHD_Response *r = b->response;
	char seconds[12];

	MHD_add_response_header(r, "Content-Type", a->type);
	MHD_add_response_header(r, "Content-Security-Policy", policy);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(r, "Vary", "Accept, Accept-Encoding");
	MHD_add_response_header(r, "Cache-Control", "no-cache");
	if (*b->etag)
		MHD_add_response_header(r, "ETag", b->etag);
	if (packed)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	if (a->retry_after) {
		snprintf(seconds, sizeof(seconds), "%u", a->retry_after);
		MHD_add_response_header(r, "Retry-After", seconds);
	}
	if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
}

struct body *body_new(struct answer *a, bool gzip, int level, uint64_t state)
{
	struct body *b = calloc(1, sizeof(*b));
	bool packed;

	if (!b || !a->body) {
		free(b);
		free(a->body);
		a->body = NULL;
		return NULL;
	}
	b->users = 1;
	b->status = a->status;
	if (a->status == MHD_HTTP_OK)
		snprintf(b->etag, sizeof(b->etag), "W/\"%016" PRIx64 "\"",
			state ? state : fnv64(FNV64_START, a->body, a->len));
	packed = gzip && compress_text(a, level);
	b->len = a->len;
	b->response = MHD_create_response_from_buffer(a->len, a->body, MHD_RESPMEM_MUST_FREE);
	if (!b->response) {
		free(a->body);
		free(b);
		b = NULL;
	} else {
		add_headers(b, a, packed);
	}
	a->body = NULL;
	return b;
}

struct body *body_unchanged(const char *etag)
{
	struct answer a = {.status = MHD_HTTP_NOT_MODIFIED, .type = TYPE_TEXT, .body = strdup("")};
	struct body *b = body_new(&a, false, 0, 0);

	if (b)
		MHD_add_response_header(b->response, "ETag", etag);
	return b;
}

struct body *body_get(struct body *b)
{
	__atomic_add_fetch(&b->users, 1, __ATOMIC_RELAXED);
	return b;
}

void body_put(struct body *b)
{
	if (!b || __atomic_sub_fetch(&b->users, 1, __ATOMIC_ACQ_REL))
		return;
	MHD_destroy_response(b->response);
	free(b);
}

/* --- what is kept --------------------------------------------------------------------------------
 */

void cache_init(struct cache *c)
{
	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
}

static void forget(struct cache *c, struct cached *e)
{
	if (e->body)
		c->bytes -= e->body->len;
	free(e->key);
	body_put(e->body);
	*e = (struct cached){0};
}

void cache_free(struct cache *c)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		forget(c, &c->entry[i]);
	pthread_mutex_destroy(&c->lock);
}

struct body *cache_find(struct cache *c, const char *key, uint64_t state)
{
	struct body *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (struct cached *e = c->entry; e < c->entry + CACHE_ENTRIES && !found; e++)
		if (e->key && e->state == state && !strcmp(e->key, key)) {
			e->used = ++c->clock;
			found = body_get(e->body);
		}
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* Of those that hold something (or else any) what was asked for longest ago. */
static struct cached *oldest(struct cache *c, bool taken)
{
	struct cached *found = c->entry;

	for (struct cached *e = c->entry; e < c->entry + CACHE_ENTRIES; e++)
		if (taken ? e->key && (!found->key || e->used < found->used)
			  : e->used < found->used)
			found = e;
	return found;
}

void cache_keep(struct cache *c, const char *key, uint64_t state, struct body *b)
{
	struct cached *place;
	char *copy = strdup(key);

	if (!copy || b->len > CACHE_BYTES) {
		free(copy);
		return;
	}
	pthread_mutex_lock(&c->lock);
	/* Of an older state it is of no more use. */
	for (struct cached *e = c->entry; e < c->entry + CACHE_ENTRIES; e++)
		if (e->key && !strcmp(e->key, key))
			forget(c, e);
	while (c->bytes && c->bytes + b->len > CACHE_BYTES)
		forget(c, oldest(c, true));
	place = oldest(c, false);
	forget(c, place);
	*place = (struct cached){copy, state, ++c->clock, body_get(b)};
	c->bytes += b->len;
	pthread_mutex_unlock(&c->lock);
}
