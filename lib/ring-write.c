/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ring-layout.h"

_Static_assert(sizeof(struct ring_header) <= RING_PAGE, "the header is one page");
_Static_assert(sizeof(struct ring_record_header) % RING_ALIGN == 0, "checksum takes whole blocks");

/* What stood before it is visible before it, and it before what comes after it. */
static void control_put(struct ring *r, const struct ring_control *c)
{
	const uint64_t generation = r->h->generation + 1;
	uint64_t words[sizeof(*c) / sizeof(uint64_t)];
	uint64_t *to = (uint64_t *)&r->h->control[generation % 2];

	memcpy(words, c, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		__atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&r->h->generation, generation, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void put_slot(struct ring *r, uint64_t seq, uint64_t position)
{
	__atomic_store_n(&r->slot[seq % r->slots], position, __ATOMIC_RELAXED);
}

static void copy_in(struct ring *r, uint64_t position, const void *src, size_t len)
{
	const size_t at = position % r->data_size;
	const size_t first = MIN(len, r->data_size - at);

	memcpy(r->data + at, src, first);
	memcpy(r->data, (const char *)src + first, len - first);
}

static uint64_t time_at(const struct ring *r, uint64_t position)
{
	struct ring_record_header h;

	ring_copy_out(r, position, &h, sizeof(h));
	return h.time_ns;
}

/* --- making the file --------------------------------------------------------------------- */

static void fill_header(struct ring_header *h, uint64_t size)
{
	const struct metric *m;

	memcpy(h->magic, RING_MAGIC, sizeof(h->magic));
	h->version = RING_VERSION;
	h->fingerprint = metric_fingerprint();
	ring_layout(size, h);
	h->control[0].first_seq = h->control[0].next_seq = h->cursor = 1;
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		h->metrics[scope] = (uint32_t)metric_count(scope);
		for_each_metric (scope, slot, m) {
			h->id[scope][slot] = (uint16_t)m->id;
		}
	}
}

/* All space is taken now: a full tmpfs is an error here and not a SIGBUS later. */
static int fill_file(int fd, uint64_t size)
{
	struct ring_header h = {.magic = ""};
	ssize_t n;
	int r;

	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		if (metric_count(scope) > RING_METRICS_MAX)
			return -E2BIG;
	}
	fill_header(&h, size);
	r = posix_fallocate(fd, 0, (off_t)h.file_size);
	if (r)
		return -r;
	n = pwrite(fd, &h, sizeof(h), 0);
	if (n != (ssize_t)sizeof(h))
		return n < 0 ? -errno : -ENOSPC;
	return fchmod(fd, 0640) < 0 ? -errno : 0;
}

static uint64_t round_size(uint64_t size)
{
	size = MIN(MAX(size, RING_SIZE_MIN), RING_SIZE_MAX);
	return (size + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
}

/* Whether control block, slots and records agree, as a live or killed writer leaves them. */
static bool is_sound(const struct ring *r)
{
	struct ring_control c;
	uint64_t position;

	ring_control_get(r, &c);
	if (!c.first_seq || c.first_seq > c.next_seq || c.next_seq > UINT64_MAX / 2 ||
		c.next_seq - c.first_seq > r->slots || c.tail > c.head ||
		c.head - c.tail > r->data_size || c.head > UINT64_MAX / 2 || c.tail % RING_ALIGN ||
		r->h->cursor > c.next_seq)
		return false;
	position = c.tail;
	for (uint64_t seq = c.first_seq; seq < c.next_seq; seq++) {
		struct ring_record_header h;

		if (ring_slot(r, seq) != position || c.head - position < sizeof(h))
			return false;
		ring_copy_out(r, position, &h, sizeof(h));
		if (h.seq != seq || h.size < sizeof(h) || h.size % RING_ALIGN ||
			h.size > c.head - position)
			return false;
		position += h.size;
	}
	return position == c.head;
}

/* The newest records that fit, none of another table, at the positions that they have, and what
 * belongs to them. */
static void copy_records(struct ring *to, const struct ring *from, uint64_t *ret_lost)
{
	const uint64_t cursor = __atomic_load_n(&from->h->cursor, __ATOMIC_ACQUIRE);
	const bool same_table = from->h->fingerprint == to->h->fingerprint;
	struct ring_control c;
	unsigned char chunk[RING_PAGE];
	uint64_t first;

	ring_control_get(from, &c);
	first = c.next_seq;
	while (same_table && first > c.first_seq && c.next_seq - first < to->slots &&
		c.head - ring_slot(from, first - 1) <= to->data_size)
		first--;
	*ret_lost = first > MAX(cursor, c.first_seq) ? first - MAX(cursor, c.first_seq) : 0;
	c.tail = first < c.next_seq ? ring_slot(from, first) : c.head;
	c.first_seq = first;
	c.lost += *ret_lost;
	for (uint64_t seq = first; seq < c.next_seq; seq++)
		put_slot(to, seq, ring_slot(from, seq));
	for (uint64_t at = c.tail; at < c.head; at += MIN(sizeof(chunk), c.head - at)) {
		ring_copy_out(from, at, chunk, MIN(sizeof(chunk), c.head - at));
		copy_in(to, at, chunk, MIN(sizeof(chunk), c.head - at));
	}
	c.first_time_ns = first < c.next_seq ? time_at(to, c.tail) : c.last_time_ns;
	to->h->cursor = MAX(cursor, first);
	control_put(to, &c);
}

/* Makes a ring in new_path, takes over the records of `from` (or NULL), and gives it its name. */
static int make_ring_as(const char *new_path, const char *path, uint64_t size,
	const struct ring *from, struct ring **ret, uint64_t *ret_lost, struct error *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	_cleanup_(ring_close) struct ring *r = NULL;
	_cleanup_close_ int fd = -1;
	int e;

	if (unlink(new_path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "cannot remove %s: %m", new_path);
	fd = open(new_path, flags, 0640);
	if (fd < 0)
		return error_set(err, -errno, "cannot make %s: %m", new_path);
	e = fill_file(fd, size);
	if (e)
		return error_set(err, e, "cannot make a ring of %" PRIu64 " bytes in %s: %s", size,
			new_path, strerror(-e));
	e = ring_map(fd, path, true, &r, err);
	if (e)
		return e;
	if (from)
		copy_records(r, from, ret_lost);
	if (rename(new_path, path) < 0)
		return error_set(err, -errno, "cannot rename %s: %m", new_path);
	*ret = TAKE_PTR(r);
	return 0;
}

static int make_ring(const char *path, uint64_t size, const struct ring *from, struct ring **ret,
	uint64_t *ret_lost, struct error *err)
{
	_cleanup_free_ char *new_path = format_string("%s.new", path);
	int e;

	if (!new_path)
		return error_set(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	e = make_ring_as(new_path, path, size, from, ret, ret_lost, err);
	if (e)
		unlink(new_path);
	return e;
}

/* The ring that stands at path, if it is one and sound. */
static struct ring *open_existing(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct ring *r = NULL;

	if (fd < 0 || ring_map(fd, path, true, &r, NULL))
		return NULL;
	if (!is_sound(r)) {
		ring_close(r);
		return NULL;
	}
	return r;
}

/* A ring that had to grow stays until half of a smaller one has room for what is pending. */
static bool has_to_stay(const struct ring *r, uint64_t size)
{
	if (r->h->fingerprint != metric_fingerprint() || size > r->data_size)
		return false;
	return size == r->data_size || ring_is_half_pending(r, size);
}

int ring_create(
	const char *path, uint64_t size, struct ring **ret, uint64_t *ret_lost, struct error *err)
{
	_cleanup_(ring_close) struct ring *old = open_existing(path);
	uint64_t lost = 0;
	int e = 0;

	size = round_size(size);
	if (old && has_to_stay(old, size))
		*ret = TAKE_PTR(old);
	else
		e = make_ring(path, size, old, ret, &lost, err);
	if (ret_lost)
		*ret_lost = e ? 0 : lost;
	return e;
}

int ring_resize(struct ring *r, uint64_t size, struct error *err)
{
	_cleanup_(ring_close) struct ring *larger = NULL;
	struct ring old = *r;
	uint64_t lost;
	int e;

	size = round_size(size);
	if (size <= r->data_size)
		return 0;
	e = make_ring(r->path, size, r, &larger, &lost, err);
	if (e)
		return e;
	/* The caller's handle gets the new mapping and keeps the record that it is building. */
	*r = *larger;
	r->w = old.w;
	old.w.record = NULL;
	*larger = old; /* closed at the end */
	return 0;
}

/* --- one record per cycle ---------------------------------------------------------------- */

static int reserve(struct ring *r, size_t len)
{
	size_t size = r->w.size ? r->w.size : 4096;
	unsigned char *record;

	if (r->w.used + len <= r->w.size)
		return 0;
	while (size < r->w.used + len)
		size *= 2;
	record = realloc(r->w.record, size);
	if (!record)
		return -ENOMEM;
	r->w.record = record;
	r->w.size = size;
	return 0;
}

int ring_begin(struct ring *r, uint64_t time_ns, uint64_t monotonic_ns, uint64_t interval_ns)
{
	const struct ring_record_header h = {
		.time_ns = time_ns,
		.monotonic_ns = monotonic_ns,
		.interval_ns = interval_ns,
	};

	r->w = (struct ring_building){.record = r->w.record, .size = r->w.size};
	if (reserve(r, sizeof(h)))
		return -ENOMEM;
	memcpy(r->w.record, &h, sizeof(h));
	r->w.used = sizeof(h);
	r->w.begun = true;
	return 0;
}

/* The codes and then the numbers; returns the end. There is room for eight bytes more. */
static unsigned char *encode(unsigned char *p, const struct value *values, size_t metrics)
{
	unsigned char *codes = p;

	p += (metrics + 1) / 2;
	memset(codes, 0, (metrics + 1) / 2);
	for (size_t i = 0; i < metrics; i++) {
		uint64_t number = values[i].number;
		unsigned int code = CODE_ABSENT;

		if (values[i].state == VALUE_PRESENT) {
			code = number ? (71U - (unsigned int)__builtin_clzll(number)) / 8 : 0;
			number = htole64(number);
			memcpy(p, &number, sizeof(number));
			p += code;
		} else if (values[i].state == VALUE_UNLIMITED) {
			code = CODE_UNLIMITED;
		}
		codes[i / 2] |= (unsigned char)(code << (i % 2 ? 4 : 0));
	}
	return p;
}

int ring_add(struct ring *r, const struct ring_row *row, const struct value *values)
{
	const size_t metrics = metric_count(row->scope);
	struct ring_row_head head = {
		.index = row->index,
		.parent = row->parent,
		.flags = row->flags,
		.scope = (uint16_t)row->scope,
		.run = row->run,
	};
	unsigned char *start, *end;

	if (!r->w.begun)
		return -EINVAL;
	if (r->w.used > RING_SIZE_MAX / 2)
		return 0; /* too large for any ring: commit says so */
	if (reserve(r, sizeof(head) + metrics * 9 + sizeof(uint64_t)))
		return -ENOMEM;
	start = r->w.record + r->w.used;
	end = encode(start + sizeof(head), values, metrics);
	head.size = (uint16_t)(end - start);
	memcpy(start, &head, sizeof(head));
	r->w.used += head.size;
	r->w.rows++;
	return 0;
}

/* Drops the oldest records until there is room, before the first byte of them is overwritten. */
static void make_room(struct ring *r, struct ring_control *c, size_t size)
{
	const uint64_t cursor = __atomic_load_n(&r->h->cursor, __ATOMIC_ACQUIRE);
	const uint64_t first = c->first_seq;

	while (c->first_seq < c->next_seq && (c->head + size - c->tail > r->data_size ||
						     c->next_seq - c->first_seq >= r->slots)) {
		if (c->first_seq >= cursor)
			c->lost++;
		c->first_seq++;
		c->tail = c->first_seq < c->next_seq ? ring_slot(r, c->first_seq) : c->head;
	}
	if (c->first_seq == first)
		return;
	if (c->first_seq < c->next_seq)
		c->first_time_ns = time_at(r, c->tail);
	control_put(r, c);
}

static int finish_record(struct ring *r, uint64_t seq, struct ring_record_header *h)
{
	const size_t size = (r->w.used + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;

	if (reserve(r, RING_ALIGN))
		return -ENOMEM;
	memset(r->w.record + r->w.used, 0, size - r->w.used);
	memcpy(h, r->w.record, sizeof(*h));
	h->size = (uint32_t)size;
	h->used = (uint32_t)r->w.used;
	h->rows = r->w.rows;
	h->seq = seq;
	memcpy(r->w.record, h, sizeof(*h));
	h->checksum = ring_checksum(r->w.record, size);
	memcpy(r->w.record, h, sizeof(*h));
	return 0;
}

int ring_commit(struct ring *r, uint64_t *ret_seq)
{
	struct ring_record_header h;
	struct ring_control c;

	if (!r->w.begun)
		return -EINVAL;
	r->w.begun = false;
	ring_control_get(r, &c);
	if (r->w.used > r->data_size / 2)
		return -EMSGSIZE;
	if (finish_record(r, c.next_seq, &h))
		return -ENOMEM;
	make_room(r, &c, h.size);
	copy_in(r, c.head, r->w.record, h.size);
	put_slot(r, c.next_seq, c.head);
	if (c.first_seq == c.next_seq)
		c.first_time_ns = h.time_ns;
	c.last_time_ns = h.time_ns;
	c.head += h.size;
	if (ret_seq)
		*ret_seq = c.next_seq;
	c.next_seq++;
	control_put(r, &c);
	return 0;
}
