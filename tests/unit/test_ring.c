/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "lib/ring-layout.h"
#include "lib/ring.h"

#define SMALL (64 << 10)

struct place {
	char dir[64];
	char path[96];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/loadcell-ring-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/recent", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char path[128];

	unlink(p->path);
	snprintf(path, sizeof(path), "%s.new", p->path);
	unlink(path);
	assert_int_equal(rmdir(p->dir), 0); /* nothing else was left there */
	free(p);
	return 0;
}

static struct ring *create(const struct place *p, uint64_t size)
{
	struct ring *r = NULL;
	struct error err = {""};

	if (ring_create(p->path, size, &r, NULL, &err))
		fail_msg("%s", err.text);
	return r;
}

static struct ring *open_ring(const struct place *p, bool cursor_owner)
{
	struct ring *r = NULL;
	struct error err = {""};

	if (ring_open(p->path, cursor_owner, &r, &err))
		fail_msg("%s", err.text);
	return r;
}

static uint64_t scramble(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x7fb5d329728ea185);
	x ^= x >> 27;
	return x * UINT64_C(0x81dadef4bc2dd44d);
}

/* What stands in record seq, row, slot: every state, numbers of every length. */
static struct value value_for(uint64_t seq, size_t row, size_t slot)
{
	const uint64_t x = scramble(seq * 1000003 + row * 1009 + slot);

	if (x % 7 == 0)
		return value_absent();
	if (x % 7 == 1)
		return value_unlimited();
	return value_of(x >> (x >> 8) % 64);
}

static size_t rows_of(uint64_t seq)
{
	return scramble(seq) % 12;
}

static enum metric_scope scope_of(size_t row)
{
	return (enum metric_scope)(row % SCOPE_COUNT);
}

/* Writes record seq with its rows. Usable in a forked child: no assertion. */
static int write_record(struct ring *r, uint64_t seq)
{
	int e = ring_begin(r, seq * 1000, seq * 1000 + 1, 10);
	uint64_t got = 0;

	for (size_t row = 0; !e && row < rows_of(seq); row++) {
		struct value values[RING_METRICS_MAX];
		const struct ring_row head = {
			.scope = scope_of(row),
			.index = UINT32_MAX - (uint32_t)row,
			.parent = (uint32_t)seq,
			.flags = 5,
			.run = scramble(row),
		};

		for (size_t slot = 0; slot < metric_count(head.scope); slot++)
			values[slot] = value_for(seq, row, slot);
		e = ring_add(r, &head, values);
	}
	if (!e)
		e = ring_commit(r, &got);
	return !e && got != seq ? -EPROTO : e;
}

static bool row_is_right(
	uint64_t seq, size_t row, const struct ring_row *head, const struct value *values)
{
	if (head->scope != scope_of(row) || head->index != UINT32_MAX - (uint32_t)row ||
		head->parent != (uint32_t)seq || head->flags != 5 || head->run != scramble(row))
		return false;
	for (size_t slot = 0; slot < metric_count(head->scope); slot++) {
		struct value want = value_for(seq, row, slot);

		if (values[slot].state != want.state || values[slot].number != want.number)
			return false;
	}
	return true;
}

static bool record_is_right(const struct ring_record *rec)
{
	struct value values[RING_METRICS_MAX];
	struct ring_row head;
	size_t pos = 0, row = 0;
	int e;

	if (rec->time_ns != rec->seq * 1000 || rec->monotonic_ns != rec->seq * 1000 + 1 ||
		rec->interval_ns != 10 || rec->rows != rows_of(rec->seq))
		return false;
	while ((e = ring_record_next(rec, &pos, &head, values, RING_METRICS_MAX)) > 0) {
		if (!row_is_right(rec->seq, row++, &head, values))
			return false;
	}
	return e == 0 && row == rec->rows;
}

static void check_all(const struct ring *r, uint64_t first, uint64_t next)
{
	struct ring_record rec = {0};
	struct ring_status st;

	ring_status(r, &st);
	assert_int_equal(st.first_seq, first);
	assert_int_equal(st.next_seq, next);
	for (uint64_t seq = first; seq < next; seq++) {
		assert_int_equal(ring_read(r, seq, &rec), 0);
		assert_int_equal(rec.seq, seq);
		assert_true(record_is_right(&rec));
	}
	assert_int_equal(ring_read(r, next, &rec), -ENOENT);
	ring_record_free(&rec);
}

static void write_up_to(struct ring *r, uint64_t next)
{
	struct ring_status st;

	ring_status(r, &st);
	for (uint64_t seq = st.next_seq; seq < next; seq++)
		assert_int_equal(write_record(r, seq), 0);
}

static void records_survive(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	_cleanup_(ring_close) struct ring *reader = open_ring(*state, false);
	struct ring_record rec = {0};
	struct ring_status st;
	struct stat info;

	assert_int_equal(ring_read(reader, 0, &rec), -ENOENT);
	assert_int_equal(ring_read(reader, 1, &rec), -ENOENT);
	write_up_to(r, 11);
	check_all(reader, 1, 11);
	assert_int_equal(ring_read(reader, 0, &rec), 0);
	assert_int_equal(rec.seq, 1);
	ring_status(reader, &st);
	assert_int_equal(st.size, SMALL);
	assert_int_equal(st.first_time_ns, 1000);
	assert_int_equal(st.last_time_ns, 10000);
	assert_int_equal(st.lost, 0);
	assert_int_equal(st.cursor_seq, 1);
	assert_true(st.used > 10 * 64 && st.pending_bytes == st.used);
	assert_int_equal(stat(((struct place *)*state)->path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0640);
	ring_record_free(&rec);
}

/* Where in the file the newest record begins. */
static size_t file_place(const struct ring *r, uint64_t seq)
{
	return r->h->data_at + r->slot[seq % r->slots] % r->data_size;
}

static void row_is_encoded_as_documented(void **state)
{
	static const unsigned char want[] = {
		0x10,
		0x32,
		0x84,
		0x9a, /* lengths 0 1 2 3 4 8, unlimited, absent */
		0xff, /* 255 */
		0x00,
		0x01, /* 256 */
		0x03,
		0x02,
		0x01, /* 0x010203 */
		0xff,
		0xff,
		0xff,
		0xff, /* 2^32 - 1 */
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
	};
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	struct value values[RING_METRICS_MAX] = {value_of(0), value_of(255), value_of(256),
		value_of(0x010203), value_of(UINT32_MAX), value_of(UINT64_MAX), value_unlimited(),
		value_absent()};
	const struct ring_row head = {.scope = SCOPE_INTERFACE, .index = 1, .parent = 2, .run = 3};
	const unsigned char *at;

	assert_int_equal(metric_count(SCOPE_INTERFACE), 8);
	assert_int_equal(ring_begin(r, 1, 2, 3), 0);
	assert_int_equal(ring_add(r, &head, values), 0);
	assert_int_equal(ring_commit(r, NULL), 0);
	at = (const unsigned char *)r->h + file_place(r, 1);
	assert_int_equal(at[0], 128); /* 64 of header, 24 of row head, 22, padded to 32 */
	assert_int_equal(at[4], 64 + 24 + 22);
	at += 64;
	assert_int_equal(at[0], 1);
	assert_int_equal(at[4], 2);
	assert_int_equal(at[12], 24 + 22);
	assert_int_equal(at[14], SCOPE_INTERFACE);
	assert_int_equal(at[16], 3);
	/* 0x9a: slot 6 in the low half would be 10 = unlimited, slot 7 9 = absent. */
	assert_memory_equal(at + 24, want, sizeof(want));
}

struct follower {
	const struct place *place;
	uint64_t last;
	uint64_t good, overtaken, wrong;
};

static void *follow(void *data)
{
	struct follower *f = data;
	struct ring *r = open_ring(f->place, false);
	struct ring_record rec = {0};
	uint64_t seq = 1;

	while (seq <= f->last) {
		int e = ring_read(r, seq, &rec);

		if (e == -ENOENT)
			continue;
		f->overtaken += e == -ESTALE;
		if ((e && e != -ESTALE) || rec.seq < seq || (!e && rec.seq != seq) ||
			!record_is_right(&rec))
			f->wrong++;
		f->good++;
		seq = rec.seq + 1;
	}
	ring_record_free(&rec);
	ring_close(r);
	return NULL;
}

static void wraps_under_a_concurrent_reader(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	struct follower f = {.place = *state, .last = 20000};
	pthread_t thread;
	struct ring_status st;

	assert_int_equal(pthread_create(&thread, NULL, follow, &f), 0);
	for (uint64_t seq = 1; seq <= f.last; seq++) {
		if (write_record(r, seq))
			fail_msg("record %llu", (unsigned long long)seq);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f.wrong, 0);
	assert_true(f.good > 0);
	ring_status(r, &st);
	assert_true(st.first_seq > 19000);
	assert_int_equal(st.lost, st.first_seq - 1); /* nobody moved the cursor */
	check_all(r, st.first_seq, 20001);
}

static void overtaken_reader_gets_the_oldest(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	_cleanup_(ring_close) struct ring *reader = open_ring(*state, false);
	struct ring_record rec = {0};
	struct ring_status st;

	write_up_to(r, 1001);
	ring_status(r, &st);
	assert_true(st.first_seq > 1);
	assert_int_equal(ring_read(reader, 1, &rec), -ESTALE);
	assert_int_equal(rec.seq, st.first_seq);
	assert_true(record_is_right(&rec));
	assert_int_equal(ring_read(reader, st.first_seq - 1, &rec), -ESTALE);
	assert_int_equal(ring_read(reader, st.first_seq, &rec), 0);
	assert_int_equal(ring_read(reader, 0, &rec), 0);
	assert_int_equal(rec.seq, st.first_seq);
	/* A copy outlives what it was copied from. */
	write_up_to(r, 2001);
	assert_true(record_is_right(&rec));
	ring_record_free(&rec);
}

/* Empty records are the smallest: the table of slots fills before the data area does. */
static void slots_bound_the_number_of_records(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	struct ring_record rec = {0};
	struct ring_status st;

	for (uint64_t seq = 1; seq <= 1000; seq++) {
		assert_int_equal(ring_begin(r, seq, seq, seq), 0);
		assert_int_equal(ring_commit(r, NULL), 0);
	}
	ring_status(r, &st);
	assert_int_equal(st.next_seq - st.first_seq, SMALL / RING_SLOT_BYTES);
	for (uint64_t seq = st.first_seq; seq < st.next_seq; seq++) {
		assert_int_equal(ring_read(r, seq, &rec), 0);
		assert_int_equal(rec.time_ns, seq);
		assert_int_equal(rec.rows, 0);
	}
	assert_int_equal(st.first_time_ns, st.first_seq);
	ring_record_free(&rec);
}

static void cursor_survives_and_counts_losses(void **state)
{
	struct ring *r = create(*state, SMALL);
	_cleanup_(ring_close) struct ring *store = open_ring(*state, true);
	_cleanup_(ring_close) struct ring *reader = open_ring(*state, false);
	struct ring_status st;
	uint64_t used;

	write_up_to(r, 6);
	ring_status(reader, &st);
	used = st.used;
	ring_set_cursor(store, 3);
	ring_status(reader, &st);
	assert_int_equal(st.cursor_seq, 3);
	assert_true(st.pending_bytes > 0 && st.pending_bytes < used);
	ring_set_cursor(store, 2);  /* it does not go back */
	ring_set_cursor(reader, 5); /* and a plain reader cannot move it */
	ring_status(reader, &st);
	assert_int_equal(st.cursor_seq, 3);
	ring_set_cursor(store, 1000); /* nor beyond the head */
	ring_status(reader, &st);
	assert_int_equal(st.cursor_seq, 6);
	assert_int_equal(st.pending_bytes, 0);

	ring_close(r);
	r = create(*state, SMALL);
	ring_status(r, &st);
	assert_int_equal(st.cursor_seq, 6);
	check_all(r, 1, 6);
	write_up_to(r, 1001);
	ring_status(store, &st);
	assert_int_equal(st.lost, st.first_seq - 6);
	assert_int_equal(st.pending_bytes, st.used);
	assert_false(ring_replaced(store));
	ring_close(r);
}

/* It is kept as a whole until commit, so that the ring may grow for it. */
static void too_large_a_record_is_refused(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	const uint64_t row_bytes =
		sizeof(struct ring_row_head) + (metric_count(SCOPE_HOST) * 17 + 1) / 2;
	struct value values[RING_METRICS_MAX];
	const struct ring_row head = {.scope = SCOPE_HOST};
	struct ring_record rec = {0};
	struct ring_status st;
	struct error err;

	for (size_t i = 0; i < RING_METRICS_MAX; i++)
		values[i] = value_of(UINT64_MAX);
	assert_int_equal(ring_commit(r, NULL), -EINVAL);
	assert_int_equal(ring_add(r, &head, values), -EINVAL);
	write_up_to(r, 3);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(ring_begin(r, 1, 1, 1), 0);
		for (int i = 0; i < 300; i++)
			assert_int_equal(ring_add(r, &head, values), 0);
		ring_status(r, &st);
		assert_int_equal(
			st.building_bytes, sizeof(struct ring_record_header) + 300 * row_bytes);
		if (pass)
			assert_int_equal(ring_resize(r, 2 * st.building_bytes, &err), 0);
		assert_int_equal(ring_commit(r, NULL), pass ? 0 : -EMSGSIZE);
		if (!pass)
			check_all(r, 1, 3); /* the others stay, and no number is used up */
	}
	ring_status(r, &st);
	assert_int_equal(st.building_bytes, 0);
	assert_int_equal(ring_read(r, 3, &rec), 0);
	assert_int_equal(rec.rows, 300);
	ring_record_free(&rec);
}

static void resize_keeps_everything(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	_cleanup_(ring_close) struct ring *store = open_ring(*state, true);
	_cleanup_(ring_close) struct ring *again = NULL;
	struct ring_status before, st;
	struct error err;

	write_up_to(r, 1501);
	ring_set_cursor(store, 1490);
	ring_status(r, &before);
	assert_int_equal(ring_begin(r, 1501000, 1501001, 10), 0); /* a record under way */
	assert_int_equal(ring_resize(r, 16, &err), 0);            /* never shrinks */
	assert_false(ring_replaced(store));
	assert_int_equal(ring_resize(r, 256 << 10, &err), 0);
	assert_true(ring_replaced(store));
	assert_false(ring_replaced(r));
	ring_status(r, &st);
	assert_int_equal(st.size, 256 << 10);
	assert_int_equal(st.cursor_seq, 1490);
	assert_int_equal(st.lost, before.lost);
	assert_int_equal(st.used, before.used);
	assert_int_equal(st.first_time_ns, before.first_seq * 1000);
	assert_int_equal(st.last_time_ns, 1500000);
	check_all(r, before.first_seq, 1501);
	assert_int_equal(ring_commit(r, NULL), 0);
	again = open_ring(*state, true);
	for (uint64_t seq = 1502; seq < 3000; seq++)
		assert_int_equal(write_record(r, seq), 0);
	ring_status(again, &st);
	assert_true(st.first_seq > 1502);
	check_all(again, st.first_seq, 3000);
}

static void another_size_takes_over_what_fits(void **state)
{
	struct ring *r = create(*state, 256 << 10), *store = open_ring(*state, true);
	struct ring_status st;
	struct error err;
	uint64_t lost;

	write_up_to(r, 301);
	ring_close(r);
	/* Not while more is pending than half of the smaller ring has room for. */
	assert_int_equal(ring_create(((struct place *)*state)->path, SMALL, &r, &lost, &err), 0);
	check_all(r, 1, 301);
	ring_status(r, &st);
	assert_int_equal(st.size, 256 << 10);
	assert_int_equal(lost, 0);
	ring_close(r);
	ring_set_cursor(store, 290);
	assert_int_equal(ring_create(((struct place *)*state)->path, SMALL, &r, &lost, &err), 0);
	ring_status(r, &st);
	assert_int_equal(st.size, SMALL);
	assert_true(st.first_seq > 1 && st.first_seq < 290);
	assert_int_equal(st.cursor_seq, 290);
	assert_int_equal(lost, 0);
	assert_int_equal(st.lost, 0);
	check_all(r, st.first_seq, 301);
	write_up_to(r, 400);
	ring_status(r, &st);
	check_all(r, st.first_seq, 400);
	ring_close(store);
	ring_close(r);
}

/* Writes into the file itself, as another build or a fault would. */
static void patch(const struct place *p, size_t at, const void *data, size_t len)
{
	_cleanup_close_ int fd = open(p->path, O_WRONLY);

	assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
}

static void another_table_replaces_the_ring(void **state)
{
	static const uint64_t fingerprint = 42;
	const struct place *p = *state;
	struct ring *r = create(p, SMALL), *store = open_ring(p, true);
	struct ring_status st;
	struct error err;
	uint64_t lost;

	write_up_to(r, 11);
	ring_set_cursor(store, 8);
	ring_close(r);
	patch(p, offsetof(struct ring_header, fingerprint), &fingerprint, 8);
	assert_int_equal(ring_create(p->path, SMALL, &r, &lost, &err), 0);
	assert_int_equal(lost, 3); /* 8, 9, 10 */
	assert_true(ring_replaced(store));
	ring_status(r, &st);
	assert_int_equal(st.first_seq, 11);
	assert_int_equal(st.cursor_seq, 11);
	assert_int_equal(st.used, 0);
	assert_int_equal(st.lost, 3);
	assert_int_equal(st.first_time_ns, st.last_time_ns);
	write_up_to(r, 21);
	check_all(r, 11, 21);
	ring_close(store);
	ring_close(r);
}

/* A ring whose directory has other ids than ours in some slots. */
static void readers_find_values_by_id(void **state)
{
	static const uint16_t unknown = 999, moved = METRIC_INTERFACE_RECEIVE_BYTES;
	const size_t ids = offsetof(struct ring_header, id) +
			   SCOPE_INTERFACE * RING_METRICS_MAX * sizeof(uint16_t);
	const struct ring_row head = {.scope = SCOPE_INTERFACE, .index = 1};
	struct ring *r = create(*state, SMALL);
	struct value values[8];
	struct ring_record rec = {0};
	struct ring_row row;
	size_t pos = 0;

	for (size_t i = 0; i < 8; i++)
		values[i] = value_of(i + 1);
	assert_int_equal(ring_begin(r, 1, 1, 1), 0);
	assert_int_equal(ring_add(r, &head, values), 0);
	assert_int_equal(ring_commit(r, NULL), 0);
	ring_close(r);
	patch(*state, ids, &unknown, 2);
	patch(*state, ids + 2, &moved, 2);
	r = open_ring(*state, false);
	assert_int_equal(ring_read(r, 1, &rec), 0);
	ring_close(r); /* the copy needs no ring */
	assert_int_equal(ring_record_next(&rec, &pos, &row, values, 8), 1);
	assert_int_equal(values[0].number, 2); /* the file's second is our first */
	assert_int_equal(values[1].state, VALUE_ABSENT);
	assert_int_equal(values[2].number, 3);
	/* A caller with room for fewer values gets those. */
	pos = 0;
	values[3] = value_of(77);
	assert_int_equal(ring_record_next(&rec, &pos, &row, values, 3), 1);
	assert_int_equal(values[2].number, 3);
	assert_int_equal(values[3].number, 77);
	assert_int_equal(ring_record_next(&rec, &pos, &row, values, 8), 0);
	ring_record_free(&rec);
}

static void kill_at_a_random_moment(
	const struct place *p, volatile uint64_t *acknowledged, unsigned int random)
{
	const struct timespec pause = {0, random % 3000000};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct ring_status st;
		struct ring *r;

		if (ring_create(p->path, SMALL, &r, NULL, NULL))
			_exit(1);
		ring_status(r, &st);
		for (uint64_t seq = st.next_seq;; seq++) {
			if (write_record(r, seq))
				_exit(2);
			*acknowledged = seq;
		}
	}
	nanosleep(&pause, NULL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void killed_writer_leaves_a_sound_ring(void **state)
{
	const struct place *p = *state;
	volatile uint64_t *acknowledged =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int random = 12345;
	uint64_t total = 0;

	assert_true(acknowledged != MAP_FAILED);
	for (int round = 0; round < 200; round++) {
		_cleanup_(ring_close) struct ring *r = NULL;
		struct ring_status st;

		random = random * 1103515245 + 12345;
		kill_at_a_random_moment(p, acknowledged, random >> 8);
		r = create(p, SMALL);
		ring_status(r, &st);
		assert_true(st.next_seq >= *acknowledged + 1 && st.next_seq <= *acknowledged + 2);
		assert_true(st.next_seq == 1 || st.first_seq < st.next_seq);
		assert_int_equal(st.lost, st.first_seq - 1);
		check_all(r, st.first_seq, st.next_seq);
		total = st.next_seq - 1;
		*acknowledged = total;
	}
	assert_true(total > 200);
	munmap((void *)(uintptr_t)acknowledged, 4096);
}

static int try_open(const struct place *p, struct error *err)
{
	struct ring *r = NULL;
	int e = ring_open(p->path, false, &r, err);

	ring_close(r);
	return e;
}

static void foreign_and_damaged_files_are_refused(void **state)
{
	static const uint32_t two = 2, many = RING_METRICS_MAX + 1;
	const struct place *p = *state;
	struct error err;
	struct ring *r;

	assert_int_equal(try_open(p, &err), -ENOENT);
	assert_non_null(strstr(err.text, p->path));
	assert_int_equal(replace_file(p->path, "", 0, 0640, false), 0);
	assert_int_equal(try_open(p, &err), -EBADMSG);
	assert_non_null(strstr(err.text, p->path));
	r = create(p, SMALL); /* the writer puts a new one in its place */
	write_up_to(r, 5);
	ring_close(r);
	assert_int_equal(try_open(p, &err), 0);
	patch(p, 8, &two, 4);
	assert_int_equal(try_open(p, &err), -EPROTO);
	assert_non_null(strstr(err.text, "version 2"));
	ring_close(create(p, SMALL));
	patch(p, offsetof(struct ring_header, metrics), &many, 4);
	assert_int_equal(try_open(p, &err), -EBADMSG);
	ring_close(create(p, SMALL));
	assert_int_equal(truncate(p->path, SMALL), 0);
	assert_int_equal(try_open(p, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "size"));
	ring_close(create(p, SMALL));
	assert_int_equal(try_open(p, &err), 0);
}

static void damaged_record_is_noticed(void **state)
{
	_cleanup_(ring_close) struct ring *r = create(*state, SMALL);
	struct ring_record rec = {0};
	unsigned char *file;

	write_up_to(r, 6);
	file = (unsigned char *)r->h;
	for (size_t at = file_place(r, 3); at < file_place(r, 4); at++) {
		file[at] ^= 0x10;
		assert_int_equal(ring_read(r, 3, &rec), -EBADMSG);
		assert_int_equal(ring_read(r, 4, &rec), 0);
		file[at] ^= 0x10;
	}
	assert_int_equal(ring_read(r, 3, &rec), 0);
	/* A row that a broken writer made, under a right checksum, must not be read past its end.
	 */
	for (size_t at = 64; at < rec.data_len; at++) {
		struct value values[RING_METRICS_MAX];
		unsigned char *bytes = (unsigned char *)rec.data + sizeof(struct ring_columns);
		struct ring_row row;
		size_t pos = 0, rows = 0;

		bytes[at] ^= 0xff;
		while (ring_record_next(&rec, &pos, &row, values, RING_METRICS_MAX) > 0)
			assert_true(++rows < 100);
		bytes[at] ^= 0xff;
	}
	ring_record_free(&rec);
}

/* Any byte of control block, cursor, directory and slots may be anything: no crash, no hang. */
static void damaged_header_is_survived(void **state)
{
	const struct place *p = *state;
	struct ring_record rec = {0};
	struct ring_status st;
	struct ring *r = create(p, SMALL);

	write_up_to(r, 300);
	for (size_t at = 0; at < RING_PAGE + 64 * sizeof(uint64_t); at++) {
		unsigned char *file = (unsigned char *)r->h;
		struct ring *reader = NULL;

		file[at] ^= 0xff;
		if (ring_open(p->path, false, &reader, NULL) == 0) {
			ring_status(reader, &st);
			for (uint64_t seq = 240; seq < 300; seq++)
				ring_read(reader, seq, &rec);
			ring_read(reader, st.next_seq - 1, &rec);
			ring_close(reader);
		}
		file[at] ^= 0xff;
	}
	ring_status(r, &st);
	check_all(r, st.first_seq, 300);
	/* The writer, too, rather begins anew than to trust a control block that cannot be. */
	r->h->control[r->h->generation % 2].head += 32;
	ring_close(r);
	r = create(p, SMALL);
	ring_status(r, &st);
	assert_int_equal(st.used, 0);
	ring_close(r);
	ring_record_free(&rec);
}

static void no_space_is_an_error(void **state)
{
	const struct place *p = *state;
	struct ring *r = create(p, SMALL), *none = NULL;
	struct rlimit before, small;
	struct error err = {""};
	int created, resized;

	write_up_to(r, 4);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){100000, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	created = ring_create(p->path, 1 << 20, &none, NULL, &err);
	resized = ring_resize(r, 1 << 20, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(created, -EFBIG);
	assert_int_equal(resized, -EFBIG);
	assert_non_null(strstr(err.text, p->path));
	assert_false(ring_replaced(r)); /* the one that there was goes on */
	write_up_to(r, 8);
	check_all(r, 1, 8);
	ring_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_survive, setup, teardown),
		cmocka_unit_test_setup_teardown(row_is_encoded_as_documented, setup, teardown),
		cmocka_unit_test_setup_teardown(wraps_under_a_concurrent_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(overtaken_reader_gets_the_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(slots_bound_the_number_of_records, setup, teardown),
		cmocka_unit_test_setup_teardown(cursor_survives_and_counts_losses, setup, teardown),
		cmocka_unit_test_setup_teardown(too_large_a_record_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(resize_keeps_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(another_size_takes_over_what_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(another_table_replaces_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_find_values_by_id, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_writer_leaves_a_sound_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(
			foreign_and_damaged_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_record_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_header_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(no_space_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
