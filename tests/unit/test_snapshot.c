/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "lib/snapshot.h"

/*
 * Files are also made here by hand from docs/snapshot-format.md, with a checksum of its own, so
 * that writer and reader cannot agree on a mistake.
 */
#define AT_VERSION     8
#define AT_HEADER_SIZE 12
#define AT_FILE_SIZE   16
#define AT_CHECKSUM    24
#define AT_FINGERPRINT 32
#define AT_TIME        40
#define AT_MONOTONIC   48
#define AT_INTERVAL    56
#define AT_SEQUENCE    64
#define AT_BOOT        72
#define AT_TEXTS       80
#define AT_SCOPES      84
#define AT_STRINGS     88
#define AT_STRINGS_LEN 96
#define AT_SCOPE       104 /* rows, metrics, record size, 0 as u32; directory, records as u64 */
#define SCOPE_BYTES    32
#define HEADER_BYTES   232

struct place {
	char dir[64];
	char path[96];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/loadcell-snapshot-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/snapshot", p->dir);
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
	rmdir(p->path);
	assert_int_equal(rmdir(p->dir), 0); /* nothing else was left there */
	free(p);
	return 0;
}

static void put32(unsigned char *file, size_t at, uint32_t n)
{
	memcpy(file + at, &n, 4);
}

static void put64(unsigned char *file, size_t at, uint64_t n)
{
	memcpy(file + at, &n, 8);
}

static uint64_t get64(const unsigned char *file, size_t at)
{
	uint64_t n;

	memcpy(&n, file + at, 8);
	return n;
}

static uint32_t get32(const unsigned char *file, size_t at)
{
	uint32_t n;

	memcpy(&n, file + at, 4);
	return n;
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
	uint64_t product = (lane ^ word) * 0x9e3779b97f4a7c15u;

	return product << 29 | product >> 35;
}

/* As the document says: word i goes into lane i mod 4, then the lanes into the result. */
static uint64_t sum_of(const unsigned char *file, size_t len)
{
	uint64_t lane[4] = {1, 2, 3, 4}, sum = 0;

	for (size_t i = 0; i < len / 8; i++)
		lane[i % 4] = mix(lane[i % 4], i * 8 == AT_CHECKSUM ? 0 : get64(file, i * 8));
	for (size_t k = 0; k < 4; k++)
		sum = mix(sum, lane[k]);
	return sum;
}

static void seal(unsigned char *file, size_t len)
{
	put64(file, AT_CHECKSUM, sum_of(file, len));
}

/* Number and state of one slot, told apart for every scope, row and slot. */
static struct value value_for(enum metric_scope scope, size_t row, size_t slot)
{
	switch ((scope + row + slot) % 4) {
	case 0:
		return value_absent();
	case 1:
		return value_unlimited();
	case 2:
		return value_of(0);
	default:
		return value_of(UINT64_MAX - (uint64_t)scope * 1000000 - row * 1000 - slot);
	}
}

static int add_row(struct snapshot_builder *b, enum metric_scope scope, size_t row,
	const char *const texts[TEXT_COUNT])
{
	struct value values[256];
	struct snapshot_row r = {
		.index = (uint32_t)(0xfffffff0u + scope),
		.parent = (uint32_t)row + 7,
		.flags = SNAPSHOT_DISK_WALKING,
		.run = UINT64_MAX - row,
		.disk_time_ns = 1700000000000000001u,
		.disk_progress = 12345678901u,
		.values = values,
	};

	for (size_t i = 0; i < TEXT_COUNT; i++)
		r.text[i] = texts[i];
	for (size_t slot = 0; slot < metric_count(scope); slot++)
		values[slot] = value_for(scope, row, slot);
	return snapshot_builder_add(b, scope, &r);
}

static const char *const some_texts[TEXT_COUNT] = {"web01", "web01", "web01", "web01.example",
	"front\nprod", "/var/lib/lxc", "lxc", "running", "memory=/lxc.payload.web01\n", NULL, "",
	"network shared with the host"};

/* One row in each scope. */
static void publish_small(struct snapshot_builder *b, const char *path)
{
	const struct snapshot_info info = {
		.time_ns = 1700000000123456789u,
		.monotonic_ns = 98765432109876u,
		.interval_ns = 10000000000u,
		.sequence = 4711,
	};

	snapshot_builder_reset(b);
	for (int scope = SCOPE_COUNT - 1; scope >= 0; scope--)
		assert_int_equal(add_row(b, scope, 0, some_texts), 0);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
}

static unsigned char *read_small(const struct place *p, size_t *ret_len)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	char *file;

	publish_small(b, p->path);
	assert_int_equal(read_file_alloc(AT_FDCWD, p->path, 1 << 20, &file, ret_len), 0);
	return (unsigned char *)file;
}

static void check_rows(const struct snapshot *s, enum metric_scope scope, size_t rows)
{
	const struct metric *m;
	struct snapshot_row r;

	assert_int_equal(snapshot_info(s)->rows[scope], rows);
	for (size_t row = 0; row < rows; row++) {
		assert_int_equal(snapshot_row(s, scope, row, &r), 0);
		assert_int_equal(r.index, 0xfffffff0u + scope);
		assert_int_equal(r.parent, row + 7);
		assert_int_equal(r.flags, SNAPSHOT_DISK_WALKING);
		assert_true(r.run == UINT64_MAX - row);
		assert_true(r.disk_time_ns == 1700000000000000001u);
		assert_true(r.disk_progress == 12345678901u);
		for_each_metric (scope, slot, m) {
			struct value want = value_for(scope, row, slot);
			struct value got = snapshot_value(s, scope, row, m->id);

			assert_int_equal(got.state, want.state);
			assert_true(got.number == want.number);
		}
	}
	assert_int_equal(snapshot_row(s, scope, rows, &r), -ENOENT);
	assert_int_equal(snapshot_value(s, scope, rows, METRIC_CPU_USAGE).state, VALUE_ABSENT);
}

static void values_and_texts_survive(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *s = NULL;
	const struct place *p = *state;
	struct error err;
	struct snapshot_row r;

	publish_small(b, p->path);
	assert_int_equal(snapshot_open(p->path, &s, &err), 0);
	assert_true(snapshot_info(s)->time_ns == 1700000000123456789u);
	assert_true(snapshot_info(s)->monotonic_ns == 98765432109876u);
	assert_true(snapshot_info(s)->interval_ns == 10000000000u);
	assert_true(snapshot_info(s)->sequence == 4711);
	assert_true(snapshot_info(s)->fingerprint == metric_fingerprint());
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		check_rows(s, scope, 1);
		assert_int_equal(snapshot_row(s, scope, 0, &r), 0);
		for (size_t i = 0; i < TEXT_COUNT; i++)
			assert_string_equal(r.text[i], some_texts[i] ? some_texts[i] : "");
	}
	/* A metric of another scope, no metric, no scope. */
	assert_int_equal(snapshot_value(s, SCOPE_HOST, 0, METRIC_CPU_USAGE).state, VALUE_ABSENT);
	assert_int_equal(snapshot_value(s, SCOPE_HOST, 0, 0).state, VALUE_ABSENT);
	assert_int_equal(snapshot_value(s, SCOPE_HOST, 0, 100000).state, VALUE_ABSENT);
	assert_int_equal(snapshot_value(s, SCOPE_COUNT, 0, 1).state, VALUE_ABSENT);
}

static void file_is_as_documented(void **state)
{
	size_t len;
	_cleanup_free_ unsigned char *file = read_small(*state, &len);
	size_t at, metrics = get32(file, AT_SCOPE + 4);
	const unsigned char *record;

	assert_memory_equal(file, "loadcell", 8);
	assert_int_equal(get32(file, AT_VERSION), 1);
	assert_int_equal(get32(file, AT_HEADER_SIZE), HEADER_BYTES);
	assert_int_equal(get64(file, AT_FILE_SIZE), len);
	assert_true(get64(file, AT_CHECKSUM) == sum_of(file, len));
	assert_true(get64(file, AT_TIME) == 1700000000123456789u);
	assert_true(get64(file, AT_MONOTONIC) == 98765432109876u);
	assert_true(get64(file, AT_INTERVAL) == 10000000000u);
	assert_int_equal(get64(file, AT_SEQUENCE), 4711);
	assert_int_equal(get32(file, AT_TEXTS), 13);
	assert_int_equal(get32(file, AT_SCOPES), 4);
	assert_int_equal(get32(file, AT_SCOPE), 1);
	assert_int_equal(metrics, metric_count(SCOPE_INSTANCE));
	at = get64(file, AT_SCOPE + 16);
	assert_int_equal(get32(file, at), METRIC_CPU_USAGE);
	assert_int_equal(get32(file, at + 4), METRIC_CPU_USER);
	record = file + get64(file, AT_SCOPE + 24);
	assert_int_equal(get32(record, 0), 0xfffffff0u);
	assert_true(get64(record, 16) == UINT64_MAX);
	assert_true(get64(record, 24) == 1700000000000000001u);
	assert_true(get64(record, 32) == 12345678901u);
	at = get64(file, AT_STRINGS) + get32(record, 40 + 4 * TEXT_LXCPATH);
	assert_string_equal((char *)file + at, "/var/lib/lxc");
	/* Slot 3 of scope 0 is a number, slot 1 unlimited. */
	assert_true(get64(record, 96 + 8 * 3) == UINT64_MAX - 3);
	assert_int_equal(record[96 + 8 * metrics + 1], 2);
	assert_int_equal(record[96 + 8 * metrics + 3], 1);
}

static void many_rows_keep_their_texts(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	const struct place *p = *state;
	const struct snapshot_info info = {.time_ns = 1};

	/* Twice: a builder that is used again must not remember anything. */
	for (size_t rows = 3000; rows; rows = rows == 3000 ? 17 : 0) {
		_cleanup_(snapshot_close) struct snapshot *s = NULL;
		char name[32], handle[32], lxcpath[32];
		const char *texts[TEXT_COUNT] = {name, handle, NULL, "", NULL, lxcpath};
		struct snapshot_row r;
		struct error err;

		snapshot_builder_reset(b);
		for (size_t i = 0; i < rows; i++) {
			snprintf(name, sizeof(name), "n%zu", i / 3);
			snprintf(handle, sizeof(handle), i % 2 ? "n%zu" : "n%zu~9", i / 3);
			snprintf(lxcpath, sizeof(lxcpath), i % 5 ? "/p%zu" : "/q%zu", i / 50);
			assert_int_equal(add_row(b, SCOPE_INSTANCE, i, texts), 0);
			assert_int_equal(add_row(b, SCOPE_INTERFACE, i, some_texts), 0);
		}
		assert_int_equal(snapshot_builder_publish(b, p->path, &info), 0);
		assert_int_equal(snapshot_open(p->path, &s, &err), 0);
		check_rows(s, SCOPE_INSTANCE, rows);
		check_rows(s, SCOPE_INTERFACE, rows);
		for (size_t i = 0; i < rows; i++) {
			snprintf(name, sizeof(name), "n%zu", i / 3);
			snprintf(handle, sizeof(handle), i % 2 ? "n%zu" : "n%zu~9", i / 3);
			snprintf(lxcpath, sizeof(lxcpath), i % 5 ? "/p%zu" : "/q%zu", i / 50);
			assert_int_equal(snapshot_row(s, SCOPE_INSTANCE, i, &r), 0);
			assert_string_equal(r.text[TEXT_NAME], name);
			assert_string_equal(r.text[TEXT_HANDLE], handle);
			assert_string_equal(r.text[TEXT_CONTEXT], "");
			assert_string_equal(r.text[TEXT_LXCPATH], lxcpath);
		}
	}
}

/* A text that was at some place before the reset is not there any more. */
static void reset_forgets_texts(void **state)
{
	static const char *const before[TEXT_COUNT] = {"a", [TEXT_LXCPATH] = "/var/lib/lxc"};
	static const char *const first[TEXT_COUNT] = {[TEXT_LXCPATH] = "/var/lib/lxc"};
	static const char *const second[TEXT_COUNT] = {"a name to be put over it"};
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *s = NULL;
	const struct place *p = *state;
	struct snapshot_row r;
	struct error err;

	assert_int_equal(add_row(b, SCOPE_INSTANCE, 0, before), 0);
	snapshot_builder_reset(b);
	assert_int_equal(add_row(b, SCOPE_INSTANCE, 0, first), 0);
	assert_int_equal(add_row(b, SCOPE_INSTANCE, 1, second), 0);
	assert_int_equal(snapshot_builder_publish(b, p->path, &(struct snapshot_info){0}), 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), 0);
	assert_int_equal(snapshot_row(s, SCOPE_INSTANCE, 0, &r), 0);
	assert_string_equal(r.text[TEXT_LXCPATH], "/var/lib/lxc");
	assert_string_equal(r.text[TEXT_NAME], "");
	assert_int_equal(snapshot_row(s, SCOPE_INSTANCE, 1, &r), 0);
	assert_string_equal(r.text[TEXT_NAME], "a name to be put over it");
}

static void empty_snapshot_is_fine(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *s = NULL;
	const struct place *p = *state;
	struct error err;

	assert_int_equal(
		snapshot_builder_publish(b, p->path, &(struct snapshot_info){.sequence = 1}), 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), 0);
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++)
		assert_int_equal(snapshot_info(s)->rows[scope], 0);
}

/*
 * A file of another release: `ids` in the instance directory, numbers 100 + slot in one row, the
 * other scopes without a directory, `texts` texts "a", "b" ..., and a header that is 24 bytes
 * longer. Returns the length.
 */
static size_t foreign_file(unsigned char *file, const uint32_t *ids, size_t n, size_t texts)
{
	const size_t directory = HEADER_BYTES + 24;
	const size_t records = (directory + 4 * n + 63) / 64 * 64;
	const size_t numbers = 40 + (4 * texts + 7) / 8 * 8;
	const size_t record_size = (numbers + 9 * n + 7) / 8 * 8;
	const size_t strings = (records + record_size + 63) / 64 * 64;
	const size_t len = strings + 64;

	memset(file, 0, len);
	memcpy(file, "loadcell", 8);
	put32(file, AT_VERSION, 1);
	put32(file, AT_HEADER_SIZE, HEADER_BYTES + 24);
	put64(file, AT_FILE_SIZE, len);
	put64(file, AT_FINGERPRINT, 42);
	put64(file, AT_TIME, 1000);
	put32(file, AT_TEXTS, (uint32_t)texts);
	put32(file, AT_SCOPES, 4);
	put64(file, AT_STRINGS, strings);
	put64(file, AT_STRINGS_LEN, 64);
	for (size_t scope = 0; scope < 4; scope++) {
		size_t at = AT_SCOPE + scope * SCOPE_BYTES;

		put32(file, at, scope == SCOPE_INSTANCE);
		put32(file, at + 4, scope == SCOPE_INSTANCE ? (uint32_t)n : 0);
		put32(file, at + 8, (uint32_t)(scope == SCOPE_INSTANCE ? record_size : numbers));
		put64(file, at + 16, directory);
		put64(file, at + 24, records);
	}
	for (size_t i = 0; i < n; i++) {
		put32(file, directory + 4 * i, ids[i]);
		put64(file, records + numbers + 8 * i, 100 + i);
		file[records + numbers + 8 * n + i] = VALUE_PRESENT;
	}
	for (size_t i = 0; i < texts; i++) {
		put32(file, records + 40 + 4 * i, (uint32_t)(1 + 2 * i));
		file[strings + 1 + 2 * i] = (unsigned char)('a' + i);
	}
	seal(file, len);
	return len;
}

static void older_and_newer_files_are_read(void **state)
{
	static const uint32_t older[] = {METRIC_CPU_USER, METRIC_PIDS_LIMIT};
	static const uint32_t newer[] = {METRIC_CPU_USAGE, METRIC_CPU_SYSTEM, 900, 70000};
	_cleanup_(snapshot_close) struct snapshot *a = NULL, *b = NULL;
	unsigned char file[1024], file2[1024];
	struct snapshot_row r;
	struct error err;
	size_t len;

	len = foreign_file(file, older, ARRAY_SIZE(older), 2);
	assert_int_equal(snapshot_parse(file, len, &a, &err), 0);
	assert_int_equal(snapshot_value(a, 0, 0, METRIC_CPU_USER).number, 100);
	assert_int_equal(snapshot_value(a, 0, 0, METRIC_PIDS_LIMIT).number, 101);
	assert_int_equal(snapshot_value(a, 0, 0, METRIC_CPU_USAGE).state, VALUE_ABSENT);
	assert_int_equal(snapshot_row(a, 0, 0, &r), 0);
	assert_string_equal(r.text[0], "a");
	assert_string_equal(r.text[1], "b");
	assert_string_equal(r.text[2], "");
	assert_string_equal(r.text[TEXT_COUNT - 1], "");
	assert_int_equal(snapshot_info(a)->fingerprint, 42);

	len = foreign_file(file2, newer, ARRAY_SIZE(newer), 15);
	assert_int_equal(snapshot_parse(file2, len, &b, &err), 0);
	assert_int_equal(snapshot_value(b, 0, 0, METRIC_CPU_USAGE).number, 100);
	assert_int_equal(snapshot_value(b, 0, 0, METRIC_CPU_SYSTEM).number, 101);
	assert_int_equal(snapshot_value(b, 0, 0, METRIC_CPU_USER).state, VALUE_ABSENT);
	assert_int_equal(snapshot_row(b, 0, 0, &r), 0);
	assert_string_equal(r.text[TEXT_COUNT - 1], "m");
}

static void refuse(const unsigned char *file, size_t len, int code, const char *words)
{
	struct snapshot *s = NULL;
	struct error err = {""};

	assert_int_equal(snapshot_parse(file, len, &s, &err), code);
	assert_null(s);
	assert_non_null(strstr(err.text, words));
}

static void truncation_is_refused(void **state)
{
	size_t len;
	_cleanup_free_ unsigned char *file = read_small(*state, &len);
	struct snapshot *s = NULL;

	for (size_t cut = 0; cut < len; cut++) {
		/* A copy of just this length lets the sanitizer see a read beyond it. */
		_cleanup_free_ unsigned char *part = malloc(cut ? cut : 1);

		memcpy(part, file, cut);
		assert_int_equal(snapshot_parse(part, cut, &s, NULL), -EBADMSG);
	}
	assert_int_equal(snapshot_parse(file, len, &s, NULL), 0);
	snapshot_close(s);
}

static void every_flipped_byte_is_refused(void **state)
{
	static const unsigned char flips[] = {0x01, 0x80, 0xff};
	size_t len;
	_cleanup_free_ unsigned char *file = read_small(*state, &len);
	struct snapshot *s = NULL;
	struct error err;

	for (size_t i = 0; i < len; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(flips); k++) {
			file[i] ^= flips[k];
			assert_true(snapshot_parse(file, len, &s, &err) < 0);
			file[i] ^= flips[k];
		}
	}
}

/* Damage under a right checksum: what a broken writer would make. */
static void wrong_contents_are_refused(void **state)
{
	static const uint32_t ids[] = {METRIC_CPU_USER, METRIC_PIDS_LIMIT};
	static const struct {
		size_t at;
		unsigned int bytes;
		uint64_t value;
		int code;
		const char *words;
	} cases[] = {
		{AT_VERSION, 4, 2, -EPROTO, "version 2"},
		{AT_HEADER_SIZE, 4, HEADER_BYTES - 8, -EBADMSG, "header"},
		{AT_HEADER_SIZE, 4, 100000, -EBADMSG, "header"},
		{AT_FILE_SIZE, 8, 1 << 20, -EBADMSG, "instead of 1048576"},
		{AT_TEXTS, 4, 1000, -EBADMSG, "header"}, {AT_SCOPES, 4, 5, -EBADMSG, "header"},
		{AT_STRINGS, 8, UINT64_MAX - 8, -EBADMSG, "texts"},
		{AT_STRINGS, 8, 0, -EBADMSG, "texts"}, /* would begin with the magic */
		{AT_STRINGS_LEN, 8, 0, -EBADMSG, "texts"},
		{AT_STRINGS_LEN, 8, UINT64_MAX, -EBADMSG, "texts"},
		{AT_STRINGS_LEN, 8, 65, -EBADMSG, "texts"},
		{AT_STRINGS_LEN, 8, 2, -EBADMSG, "texts"}, /* would end within "a" */
		{AT_SCOPE, 4, 3, -EBADMSG, "table"}, {AT_SCOPE, 4, UINT32_MAX, -EBADMSG, "table"},
		{AT_SCOPE + 4, 4, 3, -EBADMSG, "table"},
		{AT_SCOPE + 4, 4, UINT32_MAX, -EBADMSG, "table"},
		{AT_SCOPE + 8, 4, 0, -EBADMSG, "table"},
		{AT_SCOPE + 16, 8, UINT64_MAX - 3, -EBADMSG, "table"},
		{AT_SCOPE + 24, 8, 10000, -EBADMSG, "table"},
		{HEADER_BYTES + 24, 4, METRIC_PIDS_LIMIT, -EBADMSG, "table"}, /* an id twice */
		{HEADER_BYTES + 24, 4, 0, -EBADMSG, "table"},
		{320 + 40, 4, 64, -EBADMSG, "table"},     /* a text beyond the area */
		{320 + 48 + 17, 1, 3, -EBADMSG, "table"}, /* no such state */
	};
	unsigned char file[1024];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = foreign_file(file, ids, ARRAY_SIZE(ids), 2);

		assert_int_equal(len, 512);
		memcpy(file + cases[i].at, &cases[i].value, cases[i].bytes);
		seal(file, len);
		refuse(file, len, cases[i].code, cases[i].words);
	}
}

static void write_file(const char *path, const void *data, size_t len)
{
	assert_int_equal(replace_file(path, data, len, 0640, false), 0);
}

static void open_says_what_is_wrong(void **state)
{
	const struct place *p = *state;
	struct snapshot *s = NULL;
	struct error err;
	size_t len;
	_cleanup_free_ unsigned char *file = read_small(p, &len);

	write_file(p->path, file, len - 64);
	assert_int_equal(snapshot_open(p->path, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, p->path));
	write_file(p->path, "", 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, p->path));
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, p->path));
	assert_int_equal(mkfifo(p->path, 0600), 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), -EBADMSG);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(mkdir(p->path, 0700), 0);
	assert_int_equal(snapshot_open(p->path, &s, &err), -EBADMSG);
	assert_null(s);
}

static void outsider_gets_a_sentence(void **state)
{
	const struct place *p = *state;
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("SKIP: only root can become an outsider\n");
		skip();
	}
	publish_small(b, p->path);
	assert_int_equal(chmod(p->dir, 0755), 0);
	pid = fork();
	if (!pid) {
		struct snapshot *s;
		struct error err = {""};

		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(snapshot_open(p->path, &s, &err) == -EACCES && strstr(err.text, p->path) &&
					strstr(err.text, "group loadcell")
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void publishing_replaces_whole_files(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *first = NULL;
	const struct place *p = *state;
	const mode_t mask = umask(0);
	struct snapshot_row r;
	struct error err;
	struct stat st;
	char new_path[128];

	snprintf(new_path, sizeof(new_path), "%s.new", p->path);
	write_file(new_path, "left by a crash", 15);
	publish_small(b, p->path);
	umask(mask);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(access(new_path, F_OK), -1);
	assert_int_equal(snapshot_open(p->path, &first, &err), 0);
	snapshot_builder_reset(b);
	assert_int_equal(
		snapshot_builder_publish(b, p->path, &(struct snapshot_info){.sequence = 2}), 0);
	/* What a reader has open does not change. */
	assert_int_equal(snapshot_info(first)->sequence, 4711);
	assert_int_equal(snapshot_row(first, SCOPE_INSTANCE, 0, &r), 0);
	assert_string_equal(r.text[TEXT_NAME], "web01");
	check_rows(first, SCOPE_INSTANCE, 1);
}

static void failed_publish_keeps_the_old_file(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *s = NULL;
	const struct place *p = *state;
	struct rlimit before, small;
	struct error err;
	char new_path[128];
	int r;

	publish_small(b, p->path);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(add_row(b, SCOPE_INSTANCE, i, some_texts), 0);
	/* A file size limit makes write(2) short first and fail then, as a full disk does. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){5000, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = snapshot_builder_publish(b, p->path, &(struct snapshot_info){.sequence = 9});
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -EFBIG);
	snprintf(new_path, sizeof(new_path), "%s.new", p->path);
	assert_int_equal(access(new_path, F_OK), -1);
	assert_int_equal(snapshot_open(p->path, &s, &err), 0);
	assert_int_equal(snapshot_info(s)->sequence, 4711);
	assert_int_equal(
		snapshot_builder_publish(b, "/nonexistent/x", &(struct snapshot_info){0}), -ENOENT);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void age_uses_the_right_clock(void **state)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_(snapshot_close) struct snapshot *here = NULL, *elsewhere = NULL, *future = NULL;
	const struct place *p = *state;
	const uint64_t minute = 60000000000u, second = 1000000000u;
	/* By the wall clock an hour old, by the monotonic clock (since boot, so not more) a second.
	 */
	const struct snapshot_info info = {
		.time_ns = clock_ns(CLOCK_REALTIME) - 60 * minute,
		.monotonic_ns = clock_ns(CLOCK_MONOTONIC) - second,
	};
	_cleanup_free_ char *file = NULL;
	struct error err;
	uint64_t age;
	size_t len;

	assert_int_equal(snapshot_builder_publish(b, p->path, &info), 0);
	assert_int_equal(snapshot_open(p->path, &here, &err), 0);
	age = snapshot_age_ns(here);
	assert_true(age >= second && age < 10 * minute);
	assert_int_equal(read_file_alloc(AT_FDCWD, p->path, 1 << 20, &file, &len), 0);
	file[AT_BOOT] ^= 1;
	seal((unsigned char *)file, len);
	assert_int_equal(snapshot_parse(file, len, &elsewhere, &err), 0);
	age = snapshot_age_ns(elsewhere);
	assert_true(age >= 60 * minute && age < 70 * minute);
	put64((unsigned char *)file, AT_TIME, UINT64_MAX);
	seal((unsigned char *)file, len);
	assert_int_equal(snapshot_parse(file, len, &future, &err), 0);
	assert_int_equal(snapshot_age_ns(future), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_and_texts_survive, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_as_documented, setup, teardown),
		cmocka_unit_test_setup_teardown(many_rows_keep_their_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_snapshot_is_fine, setup, teardown),
		cmocka_unit_test(older_and_newer_files_are_read),
		cmocka_unit_test_setup_teardown(truncation_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(every_flipped_byte_is_refused, setup, teardown),
		cmocka_unit_test(wrong_contents_are_refused),
		cmocka_unit_test_setup_teardown(open_says_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(outsider_gets_a_sentence, setup, teardown),
		cmocka_unit_test_setup_teardown(publishing_replaces_whole_files, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_publish_keeps_the_old_file, setup, teardown),
		cmocka_unit_test_setup_teardown(age_uses_the_right_clock, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
