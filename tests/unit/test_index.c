/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "lib/index.h"

#define LXC "/var/lib/lxc"

/*
 * Numbers of these names, computed with a separate program (64-bit FNV-1a of "/var/lib/lxc" NUL
 * name, shifted right by 33).
 */
#define WEB01     1923352225u
#define WEB01_SRV 2023213853u /* "/srv/lxc" */
#define PAIR_A    "app-b426b300"
#define PAIR_B    "app-43ae9925"
#define PAIR      762353744u
#define BELOW     "app-b4a52895" /* 2119064393 */
#define ABOVE     "app-d0066d71"
#define BELOW_N   2119064393u
#define LAST      "nscnlmg"  /* 2147483647 */
#define ZERO      "ncw6kwu2" /* 0 */

struct place {
	char dir[64];
	char path[96];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/loadcell-index-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/index", p->dir);
	*state = p;
	return 0;
}

/* Calls back for each file in the directory; returns how many there are. */
static size_t each_file(const struct place *p, void (*visit)(int dirfd, const char *name))
{
	_cleanup_closedir_ DIR *d = opendir(p->dir);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		if (visit)
			visit(dirfd(d), e->d_name);
		n++;
	}
	return n;
}

static void remove_one(int dirfd, const char *name)
{
	unlinkat(dirfd, name, 0);
}

static int teardown(void **state)
{
	struct place *p = *state;

	each_file(p, remove_one);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static struct index *load(const struct place *p, int want)
{
	struct index *x = NULL;
	struct error err = {""};
	int r = index_load(p->path, &x, &err);

	if (r != want)
		fail_msg("%d: %s", r, err.text);
	return x;
}

static void save(struct index *x)
{
	assert_int_equal(index_save(x, NULL, NULL), 0);
	assert_false(index_dirty(x));
}

static void write_text(const struct place *p, const char *text)
{
	assert_int_equal(replace_file(p->path, text, strlen(text), 0640, false), 0);
}

static const struct index_entry *assign(struct index *x, const char *lxcpath, const char *name)
{
	const struct index_entry *e = NULL;

	assert_int_equal(index_assign(x, lxcpath, name, &e), 0);
	assert_string_equal(e->lxcpath, lxcpath);
	assert_string_equal(e->name, name);
	assert_ptr_equal(index_find(x, lxcpath, name), e);
	assert_ptr_equal(index_by_number(x, e->number), e);
	assert_ptr_equal(index_by_handle(x, e->handle, NULL), e);
	return e;
}

static void numbers_are_the_hash(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);
	const struct index_entry *e;

	assert_false(index_dirty(x));
	assert_null(index_find(x, LXC, "web01"));
	assert_null(index_by_number(x, WEB01));
	assert_null(index_by_handle(x, "web01", NULL));
	e = assign(x, LXC, "web01");
	assert_int_equal(e->number, WEB01);
	assert_string_equal(e->handle, "web01");
	assert_string_equal(e->context, "web01");
	assert_true(index_dirty(x));
	assert_ptr_equal(assign(x, LXC, "web01"), e);
	/* Neither a path that ends otherwise nor a shifted boundary is the same key. */
	assert_null(index_find(x, LXC "/", "web01"));
	assert_null(index_find(x, LXC "w", "eb01"));
}

static void collisions_are_probed_upwards(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);

	assert_int_equal(assign(x, LXC, PAIR_B)->number, PAIR);
	assert_int_equal(assign(x, LXC, PAIR_A)->number, PAIR + 1);
	assert_int_equal(assign(x, LXC, PAIR_B)->number, PAIR);
	assert_int_equal(assign(x, LXC, ABOVE)->number, BELOW_N + 1);
	assert_int_equal(assign(x, LXC, BELOW)->number, BELOW_N);
	assert_int_equal(assign(x, LXC, LAST)->number, 2147483647);
	assert_int_equal(assign(x, LXC, ZERO)->number, 1);
}

static void probing_wraps_to_one(void **state)
{
	_cleanup_(index_free) struct index *x = NULL;

	write_text(*state,
		"{\"loadcell_index\":1,\"entries\":2}\n"
		"{\"number\":2147483647,\"lxcpath\":\"/a\",\"name\":\"b\",\"handle\":\"b\","
		"\"context\":\"b\",\"run\":\"0\",\"starts\":0,\"last_seen\":5}\n"
		"{\"number\":1,\"lxcpath\":\"/a\",\"name\":\"c\",\"handle\":\"c\","
		"\"context\":\"c\",\"run\":\"0\",\"starts\":0,\"last_seen\":5}\n");
	x = load(*state, 0);
	assert_int_equal(assign(x, LXC, LAST)->number, 2);
	assert_int_equal(assign(x, LXC, ZERO)->number, 3);
}

static void handles_are_unique_and_kept(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);
	char want[64], name33[34];
	const struct index_entry *e;
	size_t others = 99;

	e = assign(x, "/srv/lxc", "web01");
	assert_string_equal(e->handle, "web01"); /* it was first */
	e = assign(x, LXC, "web01");
	snprintf(want, sizeof(want), "web01~%u", WEB01);
	assert_string_equal(e->handle, want);
	assert_string_equal(e->context, want);
	assert_ptr_equal(index_by_handle(x, want, &others), e);
	assert_int_equal(others, 1);
	assert_int_equal(index_by_handle(x, "web01", &others)->number, WEB01_SRV);
	assert_int_equal(others, 1);
	/* A name that looks like the other's handle gets its own. */
	e = assign(x, LXC, want);
	assert_string_not_equal(e->handle, want);
	assert_int_equal(strncmp(e->handle, want, strlen(want)), 0);
	assert_int_equal(e->handle[strlen(want)], '~');
	assert_int_equal(index_by_handle(x, want, NULL)->number, WEB01);
	e = assign(x, LXC, "a~b");
	assert_string_equal(e->handle, "a~b~1969857959");
	assert_null(index_by_handle(x, "a~b", NULL));
	/* 32 octets are a context, 33 are not. */
	memset(name33, 'n', 33);
	name33[33] = '\0';
	e = assign(x, LXC, name33);
	assert_string_equal(e->handle, name33);
	assert_string_equal(e->context, "~1920246778");
	name33[32] = '\0';
	e = assign(x, LXC, name33);
	assert_string_equal(e->context, name33);
	for (size_t i = 0; i < 3; i++) {
		static const char *const none[] = {
			"web01~1923352224", "web02~1923352225", "web01~01923352225"};

		assert_null(index_by_handle(x, none[i], NULL));
	}
}

static const char long_name[] =
	"x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789"
	"x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789"
	"x123456789x123456789x123456789x123456789";

static void everything_survives_the_file(void **state)
{
	static const char *const names[] = {"web01", "a~b", "\xff\xfe", "b\xc3\xa4r", "with space",
		"quote\"back\\slash", "line\nbreak\t\x01\x7f", "100%", "%41", "\xed\xa0\x80",
		"\xc0\x80", long_name, ".", "..", "\xf0\x9f\xa6\x8a"};
	static const char *const paths[] = {LXC, "/srv/l\xffxc", "/home/\xc3\xbc", ""};
	struct index *x = load(*state, 0);
	const size_t n = ARRAY_SIZE(names), m = ARRAY_SIZE(paths);
	uint32_t numbers[4][15];
	char handles[4][15][300], contexts[4][15][40];
	struct stat st;

	assert_int_equal(strlen(long_name), 200);
	for (size_t i = 0; i < n * m; i++) {
		const struct index_entry *e = assign(x, paths[i % m], names[i / m]);

		index_note_run(x, e->number, i ? UINT64_MAX - i : 0, 1700000000 + i);
		numbers[i % m][i / m] = e->number;
		strcpy(handles[i % m][i / m], e->handle);
		strcpy(contexts[i % m][i / m], e->context);
	}
	save(x);
	index_free(x);
	for (int pass = 0; pass < 2; pass++) {
		x = load(*state, 0);
		assert_false(index_dirty(x));
		for (size_t i = n * m; i-- > 0;) {
			const struct index_entry *e = index_find(x, paths[i % m], names[i / m]);

			assert_non_null(e);
			assert_int_equal(e->number, numbers[i % m][i / m]);
			assert_string_equal(e->handle, handles[i % m][i / m]);
			assert_string_equal(e->context, contexts[i % m][i / m]);
			assert_true(e->run == (i ? UINT64_MAX - i : 0));
			assert_int_equal(e->starts, i ? 1 : 0);
			assert_int_equal(e->last_seen_s, 1700000000 + i);
			assert_ptr_equal(index_by_handle(x, e->handle, NULL), e);
		}
		assign(x, "/another", pass ? "one" : "two"); /* makes save() write all again */
		save(x);
		index_free(x);
	}
	assert_int_equal(stat(((struct place *)*state)->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(each_file(*state, NULL), 1);
}

/* Each line by an independent reader: it is JSON, and says what docs and people expect. */
static void file_is_json_lines(void **state)
{
	const struct place *p = *state;
	_cleanup_(index_free) struct index *x = load(p, 0);
	_cleanup_free_ char *text = NULL;
	char *line, *save_ptr;
	json_t *o;

	assign(x, LXC, "web01");
	assign(x, LXC, "\xff!");
	index_note_run(x, WEB01, 0xabcdef0123456789u, 1700000000);
	save(x);
	assert_int_equal(read_file_alloc(AT_FDCWD, p->path, 4096, &text, NULL), 0);
	line = strtok_r(text, "\n", &save_ptr);
	assert_string_equal(line, "{\"loadcell_index\":1,\"entries\":2}");
	line = strtok_r(NULL, "\n", &save_ptr);
	assert_string_equal(line,
		"{\"number\":1923352225,\"lxcpath\":\"/var/lib/lxc\",\"name\":\"web01\","
		"\"handle\":\"web01\",\"context\":\"web01\",\"run\":\"abcdef0123456789\","
		"\"starts\":1,\"last_seen\":1700000000}");
	o = json_loads(strtok_r(NULL, "\n", &save_ptr), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "name")), "%FF%21");
	assert_string_equal(json_string_value(json_object_get(o, "lxcpath")), "%2Fvar%2Flib%2Flxc");
	assert_true(json_is_true(json_object_get(o, "percent")));
	json_decref(o);
}

static void runs_are_counted(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);
	const struct index_entry *e = assign(x, LXC, "web01");

	assert_int_equal(e->starts, 0);
	index_note_run(x, e->number, 7, 1000000);
	index_note_run(x, e->number, 7, 1000010);
	assert_int_equal(e->starts, 1);
	assert_int_equal(e->last_seen_s, 1000010);
	save(x);
	/* A cycle that only sees the same run again is not worth a write, an hour of them is. */
	index_note_run(x, e->number, 7, 1000020);
	assert_false(index_dirty(x));
	index_note_run(x, e->number, 7, 1000010 + 3600);
	assert_true(index_dirty(x));
	save(x);
	index_note_run(x, e->number, 8, 1003620);
	assert_true(index_dirty(x));
	assert_int_equal(e->starts, 2);
	assert_true(e->run == 8);
	index_note_run(x, e->number + 1, 9, 1003620); /* of nobody: nothing */
}

static void bad_names_are_refused(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);
	const struct index_entry *e = NULL;
	char name[257], lxcpath[4097];

	memset(name, 'a', 256);
	memset(lxcpath, 'p', 4096);
	name[256] = lxcpath[4096] = '\0';
	assert_int_equal(index_assign(x, LXC, "", &e), -EINVAL);
	assert_int_equal(index_assign(x, LXC, name, &e), -EINVAL);
	assert_int_equal(index_assign(x, lxcpath, "a", &e), -EINVAL);
	assert_false(index_dirty(x));
	/* The longest that go, in the longest form: each byte takes three. */
	memset(name, 0xff, 255);
	memset(lxcpath, 0xfe, 4095);
	name[255] = lxcpath[4095] = '\0';
	assign(x, lxcpath, name);
	save(x);
	index_free(x);
	x = load(*state, 0);
	assert_non_null(index_find(x, lxcpath, name));
}

#define LINE(number, name, handle)                                                                 \
	"{\"number\":" number ",\"lxcpath\":\"/a\",\"name\":\"" name "\",\"handle\":\"" handle     \
	"\",\"context\":\"x\",\"run\":\"1f\",\"starts\":2,\"last_seen\":5}\n"

#define OTHER(name, handle, run, starts)                                                           \
	"{\"number\":12,\"lxcpath\":\"/b\",\"name\":\"" name "\",\"handle\":\"" handle             \
	"\",\"context\":\"x\",\"run\":" run ",\"starts\":" starts ",\"last_seen\":5}\n"

static void damage_is_kept_aside(void **state)
{
	static const char *const damaged[] = {
		"not json\n",
		"[1,2]\n",
		"{\"number\":5}\n",
		LINE("0", "n", "n"),
		LINE("-5", "n", "n"),
		LINE("2147483648", "n", "n"),
		LINE("\"5\"", "n", "n"),
		LINE("10", "n", "n"),            /* a number twice */
		LINE("11", "first", "first~11"), /* a key twice */
		LINE("12", "n", "m"),
		LINE("12", "n", "n~13"),
		LINE("12", "n~1", "n~1"),
		LINE("12", "", ""),
		OTHER("first", "first", "\"1\"", "2"), /* a handle twice */
		OTHER("n", "n", "\"1g\"", "2"),
		OTHER("n", "n", "1", "2"),
		OTHER("n", "n", "\"1\"", "-2"),
		OTHER("%", "%", "\"1\",\"percent\":true", "2"),
		"{\"number\":12,\"lxcpath\":\"/b\",\"na",
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		_cleanup_(index_free) struct index *x = NULL;
		_cleanup_free_ char *text = NULL;
		struct error err = {""};

		text = format_string("{\"loadcell_index\":1,\"entries\":3}\n%s%s%s%s",
			LINE("10", "first", "first"), damaged[i], i % 2 ? "\n" : "",
			i == ARRAY_SIZE(damaged) - 1 ? "" : LINE("20", "last", "last"));
		write_text(p, text);
		assert_int_equal(index_load(p->path, &x, &err), 1);
		assert_non_null(strstr(err.text, p->path));
		assert_non_null(strstr(err.text, ".damaged-20"));
		assert_int_equal(index_find(x, "/a", "first")->number, 10);
		assert_int_equal(index_find(x, "/a", "first")->run, 0x1f);
		assert_int_equal(index_find(x, "/a", "first")->starts, 2);
		if (i < ARRAY_SIZE(damaged) - 1)
			assert_int_equal(index_find(x, "/a", "last")->number, 20);
		assert_null(index_by_number(x, 12));
		assert_true(index_dirty(x));
		save(x);
		index_free(x);
		x = load(p, 0); /* what was written is whole again */
		assert_int_equal(index_find(x, "/a", "first")->number, 10);
	}
	assert_true(each_file(p, NULL) >= 2);
}

static void check_aside(int dirfd, const char *name)
{
	char text[4096];

	if (strcmp(name, "index") == 0)
		return;
	assert_int_equal(strncmp(name, "index.damaged-20", 16), 0);
	assert_true(read_file_at(dirfd, name, text, sizeof(text)) > 0);
	assert_string_equal(text, LINE("10", "first", "first") "rubbish\n");
}

static void the_aside_file_is_the_original(void **state)
{
	struct place *p = *state;
	_cleanup_(index_free) struct index *x = NULL;

	write_text(p, LINE("10", "first", "first") "rubbish\n");
	x = load(p, 1);
	assign(x, LXC, "web01");
	save(x);
	assert_int_equal(each_file(p, check_aside), 2);
}

static void lost_lines_are_noticed(void **state)
{
	_cleanup_(index_free) struct index *x = NULL;
	struct error err;

	/* Cut at a line's end, or without its first line: every line is good, but some are gone. */
	write_text(*state, "{\"loadcell_index\":1,\"entries\":2}\n" LINE("10", "first", "first"));
	x = load(*state, 1);
	index_free(x);
	write_text(*state, LINE("10", "first", "first"));
	x = load(*state, 1);
	index_free(x);
	write_text(*state, "");
	x = load(*state, 1);
	index_free(x);
	/* A newer format is not for this program to rewrite. */
	x = NULL;
	write_text(*state, "{\"loadcell_index\":2,\"entries\":1}\n{}\n");
	assert_int_equal(index_load(((struct place *)*state)->path, &x, &err), -EPROTO);
	assert_null(x);
	assert_int_equal(index_load(((struct place *)*state)->dir, &x, &err), -EFBIG);
	assert_null(x);
}

static void failed_save_stays_dirty(void **state)
{
	_cleanup_(index_free) struct index *x = NULL;
	struct error err;

	assert_int_equal(index_load("/nonexistent/index", &x, &err), 0);
	assign(x, LXC, "web01");
	assert_int_equal(index_save(x, NULL, NULL), -ENOENT);
	assert_true(index_dirty(x));
}

static bool every_tenth(void *data, uint32_t number)
{
	const uint32_t *live = data;

	for (size_t i = 0; i < 10; i++) {
		if (live[i] == number)
			return true;
	}
	return false;
}

static void cap_drops_the_oldest_that_are_not_live(void **state)
{
	_cleanup_(index_free) struct index *x = load(*state, 0);
	const size_t n = INDEX_ENTRIES_MAX + 50;
	uint32_t live[10], doubled = 0;
	char name[32];

	for (size_t i = 0; i < n; i++) {
		const struct index_entry *e = NULL;

		snprintf(name, sizeof(name), "n%zu", i);
		assert_int_equal(index_assign(x, LXC, name, &e), 0);
		if (i < 100 && i % 10 == 0)
			live[i / 10] = e->number;
		/* The oldest are the first. */
		index_note_run(x, e->number, 1, 1000 + i);
	}
	doubled = assign(x, "/srv", "n1")->number; /* seen just now */
	assert_int_equal(index_save(x, every_tenth, live), 0);
	/* 51 have to go: of the first 57, 6 are live and 51 not. */
	for (size_t i = 0; i < 57; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		assert_int_equal(index_find(x, LXC, name) != NULL, i % 10 == 0);
	}
	snprintf(name, sizeof(name), "n%d", 57);
	assert_non_null(index_find(x, LXC, name));
	assert_null(index_by_handle(x, "n1", NULL)); /* its owner is gone, nobody inherits it */
	assert_int_equal(index_find(x, "/srv", "n1")->number, doubled);
	assert_string_equal(index_by_number(x, doubled)->name, "n1");
	index_free(x);
	x = load(*state, 0);
	assert_null(index_find(x, LXC, "n56"));
	for (size_t i = 57; i < n; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		assert_non_null(index_find(x, LXC, name));
	}
}

static void rrd_names(void **state)
{
	static const struct {
		const char *name;
		uint32_t number;
	} good[] = {
		{"web01.1923352225.rrd", 1923352225},
		{"a.b.7.rrd", 7},
		{"x.2147483647.rrd", 2147483647},
		{"%2E%2E.1.rrd", 1},
	};
	static const char *const bad[] = {"", "rrd", ".rrd", "x.rrd", ".1.rrd", "x.0.rrd",
		"x.01.rrd", "x.2147483648.rrd", "x.99999999999999999999.rrd", "x.-1.rrd", "x1.rrd",
		"x.1.rrd.new", "x.1.RRD", "x.1 .rrd", "host.rrd", "12.rrd"};
	_cleanup_(index_free) struct index *x = load(*state, 0);
	char buf[RRD_NAME_MAX], want[RRD_NAME_MAX], name[256];
	uint32_t number = 0;

	index_rrd_name(assign(x, LXC, "web01"), buf, sizeof(buf));
	assert_string_equal(buf, "web01.1923352225.rrd");
	index_rrd_name(assign(x, LXC, "a/b c\xff"), buf, sizeof(buf));
	assert_int_equal(strncmp(buf, "a%2Fb%20c%FF.", 13), 0);
	memset(name, 'a', 1);
	memset(name + 1, ' ', 254);
	name[255] = '\0';
	/* "a" and 66 times "%20" are 199 bytes; a cut within the 67th would be no name. */
	index_rrd_name(assign(x, LXC, name), buf, sizeof(buf));
	strcpy(want, "a");
	for (size_t i = 0; i < 66; i++)
		strcat(want, "%20");
	assert_int_equal(strncmp(buf, want, 199), 0);
	assert_int_equal(buf[199], '.');
	assert_int_equal(index_rrd_number(buf, &number), 0);
	assert_int_equal(number, index_find(x, LXC, name)->number);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(index_rrd_number(good[i].name, &number), 0);
		assert_int_equal(number, good[i].number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(index_rrd_number(bad[i], &number), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers_are_the_hash, setup, teardown),
		cmocka_unit_test_setup_teardown(collisions_are_probed_upwards, setup, teardown),
		cmocka_unit_test_setup_teardown(probing_wraps_to_one, setup, teardown),
		cmocka_unit_test_setup_teardown(handles_are_unique_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_survives_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_json_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_names_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_kept_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(the_aside_file_is_the_original, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_lines_are_noticed, setup, teardown),
		cmocka_unit_test(failed_save_stays_dirty),
		cmocka_unit_test_setup_teardown(
			cap_drops_the_oldest_that_are_not_live, setup, teardown),
		cmocka_unit_test_setup_teardown(rrd_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
