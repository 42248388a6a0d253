/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ring.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ring-layout.h"

void ring_layout(uint64_t data_size, struct ring_header *h)
{
	h->header_size = RING_PAGE;
	h->data_size = data_size;
	h->slots = data_size / RING_SLOT_BYTES;
	h->slots_at = RING_PAGE;
	h->data_at =
		RING_PAGE + (h->slots * sizeof(uint64_t) + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
	h->file_size = h->data_at + data_size;
}

static void find_columns(struct ring *r)
{
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		r->columns.metrics[scope] = r->h->metrics[scope];
		for (size_t i = 0; i < RING_METRICS_MAX; i++) {
			const struct metric *m = metric_by_id(r->h->id[scope][i]);
			bool ours = i < r->h->metrics[scope] && m && m->scope == scope;

			r->columns.slot[scope][i] =
				ours ? (uint16_t)metric_slot(m->id) : UINT16_MAX;
		}
	}
}

static int check_header(const struct ring *r, struct error *err)
{
	const struct ring_header *h = r->h;
	struct ring_header want = {0};

	if (memcmp(h->magic, RING_MAGIC, sizeof(h->magic)) != 0)
		return error_set(err, -EBADMSG, "%s is no ring of loadcell", r->path);
	if (h->version != RING_VERSION)
		return error_set(err, -EPROTO,
			"%s is of format version %" PRIu32 ", and this program reads version %d: "
			"collector and reader are of different releases",
			r->path, h->version, RING_VERSION);
	ring_layout(h->data_size, &want);
	if (h->data_size < RING_SIZE_MIN || h->data_size > RING_SIZE_MAX ||
		h->data_size % RING_PAGE || h->header_size != want.header_size ||
		h->slots != want.slots || h->slots_at != want.slots_at ||
		h->data_at != want.data_at || h->file_size != want.file_size ||
		h->file_size != r->map_len)
		return error_set(
			err, -EBADMSG, "%s is damaged: its size does not fit its header", r->path);
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		if (h->metrics[scope] > RING_METRICS_MAX)
			return error_set(
				err, -EBADMSG, "%s is damaged: its header is wrong", r->path);
	}
	return 0;
}

int ring_map(int fd, const char *path, bool writable, struct ring **ret, struct error *err)
{
	const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	_cleanup_(ring_close) struct ring *r = calloc(1, sizeof(*r));
	struct stat st;
	void *map;
	int e;

	if (r)
		r->path = strdup(path);
	if (!r || !r->path)
		return error_set(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot read %s: %m", path);
	if (!S_ISREG(st.st_mode) || st.st_size < RING_PAGE ||
		(uint64_t)st.st_size > 2 * RING_SIZE_MAX)
		return error_set(err, -EBADMSG, "%s is no ring of loadcell", path);
	map = mmap(NULL, (size_t)st.st_size, protection, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return error_set(err, -errno, "cannot map %s: %m", path);
	r->h = map;
	r->map_len = (size_t)st.st_size;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	e = check_header(r, err);
	if (e)
		return e;
	r->slots = r->h->slots;
	r->data_size = r->h->data_size;
	r->slot = (uint64_t *)(void *)((char *)map + r->h->slots_at);
	r->data = (unsigned char *)map + r->h->data_at;
	find_columns(r);
	*ret = TAKE_PTR(r);
	return 0;
}

int ring_open(const char *path, bool cursor_owner, struct ring **ret, struct error *err)
{
	_cleanup_close_ int fd = open_published(path, cursor_owner ? O_RDWR : O_RDONLY, err);
	int r;

	if (fd < 0)
		return fd;
	r = ring_map(fd, path, cursor_owner, ret, err);
	if (!r)
		(*ret)->cursor_owner = cursor_owner;
	return r;
}

bool ring_replaced(const struct ring *r)
{
	struct stat st;

	return stat(r->path, &st) < 0 || st.st_dev != r->dev || st.st_ino != r->ino;
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	if (r->h)
		munmap(r->h, r->map_len);
	free(r->w.record);
	free(r->path);
	free(r);
}

/*
 * A reader that sees a word of a block being refilled has passed the writer's release fence, and
 * then its own acquire fence makes it see the raised generation as well.
 */
void ring_control_get(const struct ring *r, struct ring_control *ret)
{
	uint64_t generation, words[sizeof(*ret) / sizeof(uint64_t)];

	do {
		const uint64_t *from;

		generation = __atomic_load_n(&r->h->generation, __ATOMIC_ACQUIRE);
		from = (const uint64_t *)&r->h->control[generation % 2];
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&r->h->generation, __ATOMIC_RELAXED) != generation);
	memcpy(ret, words, sizeof(*ret));
}

uint64_t ring_slot(const struct ring *r, uint64_t seq)
{
	return __atomic_load_n(&r->slot[seq % r->slots], __ATOMIC_RELAXED);
}

void ring_copy_out(const struct ring *r, uint64_t position, void *dst, size_t len)
{
	const size_t at = position % r->data_size;
	const size_t first = MIN(len, r->data_size - at);

	memcpy(dst, r->data + at, first);
	memcpy((char *)dst + first, r->data, len - first);
}

uint64_t ring_checksum(const void *record, size_t size)
{
	return checksum_of(record, size, offsetof(struct ring_record_header, checksum));
}

void ring_status(const struct ring *r, struct ring_status *ret)
{
	const uint64_t cursor = __atomic_load_n(&r->h->cursor, __ATOMIC_ACQUIRE);
	struct ring_control c;

	ring_control_get(r, &c);
	*ret = (struct ring_status){
		.size = r->data_size,
		.used = c.head - c.tail,
		.first_seq = c.first_seq,
		.next_seq = c.next_seq,
		.cursor_seq = cursor,
		.first_time_ns = c.first_time_ns,
		.last_time_ns = c.last_time_ns,
		.lost = c.lost,
		.building_bytes = r->w.begun ? r->w.used : 0,
	};
	if (cursor >= c.next_seq)
		return;
	ret->pending_bytes = ret->used;
	if (cursor > c.first_seq) /* the slot may be overwritten meanwhile: then all is pending */
		ret->pending_bytes = MIN(ret->used, c.head - ring_slot(r, cursor));
}

bool ring_is_half_pending(const struct ring *r, uint64_t size)
{
	struct ring_status st;

	ring_status(r, &st);
	return st.pending_bytes > size / 2 ||
	       st.next_seq - st.cursor_seq > size / 2 / RING_SLOT_BYTES;
}

void ring_set_cursor(struct ring *r, uint64_t seq)
{
	struct ring_control c;

	if (!r->cursor_owner)
		return;
	ring_control_get(r, &c);
	seq = MIN(seq, c.next_seq);
	if (seq > __atomic_load_n(&r->h->cursor, __ATOMIC_RELAXED))
		__atomic_store_n(&r->h->cursor, seq, __ATOMIC_RELEASE);
}

/* Room for columns, a record, and eight bytes that decode() may read past it. */
static int record_reserve(struct ring_record *rec, size_t len)
{
	const size_t size = sizeof(struct ring_columns) + len + sizeof(uint64_t);
	void *data;

	if (size <= rec->data_size)
		return 0;
	data = realloc(rec->data, size + size / 4);
	if (!data)
		return -ENOMEM;
	rec->data = data;
	rec->data_size = size + size / 4;
	return 0;
}

static unsigned char *record_bytes(const struct ring_record *rec)
{
	return (unsigned char *)rec->data + sizeof(struct ring_columns);
}

/* Copies what stands there; the caller finds out whether it still stood there afterwards. */
static int copy_record(
	const struct ring *r, const struct ring_control *c, uint64_t seq, struct ring_record *rec)
{
	const uint64_t position = ring_slot(r, seq);
	struct ring_record_header h;

	if (position < c->tail || position >= c->head || position % RING_ALIGN)
		return -EBADMSG;
	ring_copy_out(r, position, &h, sizeof(h));
	if (h.seq != seq || h.size < sizeof(h) || h.size % RING_ALIGN || h.used < sizeof(h) ||
		h.used > h.size || h.size > c->head - position || h.size > r->data_size / 2)
		return -EBADMSG;
	if (record_reserve(rec, h.size))
		return -ENOMEM;
	memcpy(rec->data, &r->columns, sizeof(r->columns));
	ring_copy_out(r, position, record_bytes(rec), h.size);
	rec->data_len = h.used;
	memset(record_bytes(rec) + h.size, 0, sizeof(uint64_t));
	if (ring_checksum(record_bytes(rec), h.size) != h.checksum)
		return -EBADMSG;
	rec->seq = seq;
	rec->time_ns = h.time_ns;
	rec->monotonic_ns = h.monotonic_ns;
	rec->interval_ns = h.interval_ns;
	rec->rows = h.rows;
	return 0;
}

int ring_read(const struct ring *r, uint64_t seq, struct ring_record *rec)
{
	uint64_t want = seq;
	struct ring_control c;
	int result;

	do {
		ring_control_get(r, &c);
		if (c.first_seq == c.next_seq || want >= c.next_seq)
			return -ENOENT;
		want = MAX(want, c.first_seq);
		rec->data_len = 0;
		result = copy_record(r, &c, want, rec);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		ring_control_get(r, &c);
	} while (want < c.first_seq); /* overtaken while copying */
	if (result)
		rec->data_len = 0;
	if (result || !seq || want == seq)
		return result;
	return -ESTALE;
}

void ring_record_free(struct ring_record *rec)
{
	free(rec->data);
	*rec = (struct ring_record){0};
}

/* The `len` low bytes of what stands at p; eight bytes can be read there. */
static uint64_t number_at(const unsigned char *p, unsigned int len)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	n = le64toh(n);
	return len < 8 ? n & ((UINT64_C(1) << 8 * len) - 1) : n;
}

/* A row's values, from the four-bit codes at `codes` and the numbers behind them up to `end`. */
static int decode(const unsigned char *codes, const unsigned char *end, size_t metrics,
	const uint16_t *slots, struct value *values, size_t max_values)
{
	const unsigned char *p = codes + (metrics + 1) / 2;

	if (p > end)
		return -EBADMSG;
	for (size_t i = 0; i < metrics; i++) {
		const unsigned int code = codes[i / 2] >> (i % 2 ? 4 : 0) & 15U;
		struct value v = value_absent();

		if (code <= 8) {
			if (code > (size_t)(end - p))
				return -EBADMSG;
			v = value_of(number_at(p, code));
			p += code;
		} else if (code == CODE_UNLIMITED) {
			v = value_unlimited();
		} else if (code != CODE_ABSENT) {
			return -EBADMSG;
		}
		if (slots[i] < max_values)
			values[slots[i]] = v;
	}
	return 0;
}

int ring_record_next(const struct ring_record *rec, size_t *pos, struct ring_row *row,
	struct value *values, size_t max_values)
{
	const size_t at = *pos ? *pos : sizeof(struct ring_record_header);
	const struct ring_columns *columns = rec->data;
	const unsigned char *start;
	struct ring_row_head head;
	int r;

	if (at >= rec->data_len)
		return 0;
	start = record_bytes(rec) + at;
	if (rec->data_len - at < sizeof(head))
		return -EBADMSG;
	memcpy(&head, start, sizeof(head));
	if (head.size < sizeof(head) || head.size > rec->data_len - at || head.scope >= SCOPE_COUNT)
		return -EBADMSG;
	for (size_t i = 0; i < max_values; i++)
		values[i] = value_absent();
	r = decode(start + sizeof(head), start + head.size, columns->metrics[head.scope],
		columns->slot[head.scope], values, max_values);
	if (r)
		return r;
	*row = (struct ring_row){
		.scope = head.scope,
		.index = head.index,
		.parent = head.parent,
		.flags = head.flags,
		.run = head.run,
	};
	*pos = at + head.size;
	return 1;
}
