/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/spool.h"
#include "lib/value.h"

struct scratch {
	char dir[64];
	char run_dir[80]; /* not there at first */
};

static int setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	strcpy(s->dir, "/tmp/loadcell-spool.XXXXXX");
	*state = s;
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->run_dir, sizeof(s->run_dir), "%s/run", s->dir);
	return 0;
}

static int teardown(void **state)
{
	struct scratch *s = *state;
	_cleanup_free_ char *line = format_string("rm -rf %s", s->dir);
	int r = line ? system(line) : -1;

	free(s);
	return r;
}

static char *path_of(const struct scratch *s, const char *name)
{
	char *path = format_string("%s/spool/%s", s->run_dir, name);

	assert_non_null(path);
	return path;
}

static bool there(const struct scratch *s, const char *name)
{
	_cleanup_free_ char *path = path_of(s, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Writes a file as it is, with an age. */
static void put_text(const struct scratch *s, const char *name, const char *text, int age_s)
{
	_cleanup_free_ char *path = path_of(s, name);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age_s}};

	assert_int_equal(replace_file(path, text, strlen(text), 0600, false), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static int put(const struct scratch *s, const char *name, const char *text)
{
	json_t *record = json_loads(text, 0, NULL);
	int r;

	assert_non_null(record);
	r = spool_put(s->run_dir, name, record);
	json_decref(record);
	return r;
}

static int append_name(void *data, const char *name)
{
	strcat(data, name);
	strcat(data, " ");
	return strcmp(name, "stop.here") == 0 ? 7 : 0;
}

static void put_and_get(void **state)
{
	const struct scratch *s = *state;
	_cleanup_free_ char *file = path_of(s, "stop.00000000000000ff");
	_cleanup_free_ char *directory = path_of(s, "");
	struct stat st;
	json_t *record;

	assert_int_equal(spool_get(s->run_dir, "stop.00000000000000ff", &record), -ENOENT);
	assert_int_equal(put(s, "stop.00000000000000ff",
				 "{\"schema\":1,\"type\":\"stop\",\"big\":9007199254740993}"),
		0);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A second time replaces the first, and nothing else is left there. */
	assert_int_equal(put(s, "stop.00000000000000ff",
				 "{\"schema\":1,\"type\":\"stop\",\"big\":9007199254740995}"),
		0);
	assert_false(there(s, ".stop.00000000000000ff"));
	assert_int_equal(spool_get(s->run_dir, "stop.00000000000000ff", &record), 0);
	/* 2^53 + 3 is no double. */
	assert_true(json_integer_value(json_object_get(record, "big")) == 9007199254740995);
	json_decref(record);
	assert_int_equal(
		spool_rename(s->run_dir, "stop.00000000000000ff", "live.00000000000000ff"), 0);
	assert_false(there(s, "stop.00000000000000ff"));
	assert_int_equal(spool_remove(s->run_dir, "live.00000000000000ff"), 0);
	assert_false(there(s, "live.00000000000000ff"));
	assert_int_equal(spool_remove(s->run_dir, "live.00000000000000ff"), -ENOENT);
}

/* Nothing leaves the directory. */
static void names(void **state)
{
	const struct scratch *s = *state;
	json_t *record;

	assert_int_equal(put(s, "../stop.1", "{\"schema\":1,\"type\":\"stop\"}"), -EINVAL);
	assert_int_equal(spool_get(s->run_dir, "../run", &record), -EINVAL);
	assert_int_equal(spool_remove(s->run_dir, "../x"), -EINVAL);
	assert_int_equal(spool_rename(s->run_dir, "a", "../b"), -EINVAL);
}

static void no_record(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{}", "{\"schema\":1}",
		"{\"schema\":2,\"type\":\"stop\"}", "{\"schema\":1,\"type\":7}",
		"{\"schema\":1,\"type\":\"stop\"} x",
		"{\"schema\":1,\"type\":\"stop\",\"type\":\"a\"}"};
	const struct scratch *s = *state;
	_cleanup_free_ char *long_text = malloc(SPOOL_RECORD_MAX + 2);
	json_t *record = NULL;

	assert_int_equal(put(s, "stop.1", "{\"schema\":1,\"type\":\"stop\"}"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_text(s, "stop.1", bad[i], 0);
		if (spool_get(s->run_dir, "stop.1", &record) != -EBADMSG)
			fail_msg("taken as a record: %s", bad[i]);
	}
	assert_non_null(long_text);
	memset(long_text, ' ', SPOOL_RECORD_MAX + 1);
	long_text[SPOOL_RECORD_MAX + 1] = '\0';
	memcpy(long_text, "{\"schema\":1,\"type\":\"stop\"}", 26);
	put_text(s, "stop.1", long_text, 0);
	assert_int_equal(spool_get(s->run_dir, "stop.1", &record), -EBADMSG);
	/* One byte less fits. */
	long_text[SPOOL_RECORD_MAX] = '\0';
	put_text(s, "stop.1", long_text, 0);
	assert_int_equal(spool_get(s->run_dir, "stop.1", &record), 0);
	json_decref(record);
}

static void too_long(void **state)
{
	const struct scratch *s = *state;
	_cleanup_free_ char *text = malloc(SPOOL_RECORD_MAX + 1);
	json_t *record = json_pack("{s:i, s:s}", "schema", 1, "type", "stop");

	assert_non_null(text);
	memset(text, 'x', SPOOL_RECORD_MAX);
	text[SPOOL_RECORD_MAX] = '\0';
	assert_int_equal(json_object_set_new(record, "name", json_string(text)), 0);
	assert_int_equal(spool_put(s->run_dir, "stop.1", record), -EMSGSIZE);
	assert_false(there(s, "stop.1"));
	json_decref(record);
}

static void in_order_of_writing(void **state)
{
	const struct scratch *s = *state;
	char all[256] = "";

	assert_int_equal(spool_each(s->run_dir, append_name, all), 0); /* no directory yet */
	assert_int_equal(put(s, "x", "{\"schema\":1,\"type\":\"stop\"}"), 0);
	assert_int_equal(spool_remove(s->run_dir, "x"), 0);
	put_text(s, "stop.here", "{}", 10);
	put_text(s, "start.b", "{}", 30);
	put_text(s, "start.a", "{}", 20);
	put_text(s, "stop.a", "{}", 20); /* in the same tick of the file system's clock */
	put_text(s, "zzz", "{}", 5);
	assert_int_equal(spool_each(s->run_dir, append_name, all), 7);
	assert_string_equal(all, "start.b start.a stop.a stop.here ");
}

/* A hook that was killed leaves a file without its name; a run that ended leaves its link. */
static void swept(void **state)
{
	const struct scratch *s = *state;
	char all[256] = "";
	uint64_t run = 0;

	assert_int_equal(put(s, "start.00000000000000aa", "{\"schema\":1,\"type\":\"start\"}"), 0);
	put_text(s, ".stop.1", "{", 3600);
	put_text(s, ".stop.2", "{", 2); /* may be on its way */
	assert_int_equal(spool_note_init(s->run_dir, 4711, 0xaa), 0);
	assert_int_equal(spool_note_init(s->run_dir, 4712, 0xbb), 0);
	assert_int_equal(spool_each(s->run_dir, append_name, all), 0);
	assert_string_equal(all, "start.00000000000000aa ");
	assert_false(there(s, ".stop.1"));
	assert_true(there(s, ".stop.2"));
	assert_int_equal(spool_init_run(s->run_dir, 4711, &run), 0);
	assert_true(run == 0xaa);
	assert_int_equal(spool_init_run(s->run_dir, 4712, &run), -ENOENT);
	/* The ledger has taken it: the run lives on. */
	assert_int_equal(
		spool_rename(s->run_dir, "start.00000000000000aa", "live.00000000000000aa"), 0);
	assert_int_equal(spool_each(s->run_dir, append_name, all), 0);
	assert_int_equal(spool_init_run(s->run_dir, 4711, &run), 0);
	assert_int_equal(spool_has_start(s->run_dir, 0xaa), 1);
	assert_int_equal(spool_has_start(s->run_dir, 0xbb), 0);
	assert_int_equal(spool_remove(s->run_dir, "live.00000000000000aa"), 0);
	assert_int_equal(spool_each(s->run_dir, append_name, all), 0);
	assert_int_equal(spool_init_run(s->run_dir, 4711, &run), -ENOENT);
	assert_int_equal(spool_has_start(s->run_dir, 0xaa), 0);
}

/* A pid is given away again: the link is the last one's. */
static void pid_again(void **state)
{
	const struct scratch *s = *state;
	uint64_t run = 0;

	assert_int_equal(put(s, "start.00000000000000aa", "{\"schema\":1,\"type\":\"start\"}"), 0);
	assert_int_equal(spool_note_init(s->run_dir, 4711, 1), 0);
	assert_int_equal(spool_note_init(s->run_dir, 4711, UINT64_C(0xfedcba9876543210)), 0);
	assert_int_equal(spool_init_run(s->run_dir, 4711, &run), 0);
	assert_true(run == UINT64_C(0xfedcba9876543210));
}

static void full(void **state)
{
	const struct scratch *s = *state;
	_cleanup_free_ char *line = format_string(
		"cd %s/spool && seq -f 'stop.%%.0f' %d | xargs touch", s->run_dir, SPOOL_MAX - 1);

	assert_int_equal(put(s, "first", "{\"schema\":1,\"type\":\"stop\"}"), 0);
	assert_non_null(line);
	assert_int_equal(system(line), 0);
	assert_int_equal(put(s, "more", "{\"schema\":1,\"type\":\"stop\"}"), -EDQUOT);
	assert_false(there(s, "more"));
	assert_int_equal(spool_remove(s->run_dir, "stop.1"), 0);
	assert_int_equal(put(s, "more", "{\"schema\":1,\"type\":\"stop\"}"), 0);
	assert_true(there(s, "more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_and_get, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(no_record, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(in_order_of_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(swept, setup, teardown),
		cmocka_unit_test_setup_teardown(pid_again, setup, teardown),
		cmocka_unit_test_setup_teardown(full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
