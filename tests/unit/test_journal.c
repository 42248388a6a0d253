/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include "lib/journal.h"
#include "lib/value.h"

/* Files written by hand or cut at every byte, and what must be read from them. */
struct fixture {
	char dir[64];
	char seen[4096]; /* "n" of each line read */
};

static uint64_t time_of(const json_t *line)
{
	return journal_seconds(line, "t");
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/dev/shm/loadcell-journal-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	*state = x;
	return 0;
}

static void each_file(struct fixture *x, void (*call)(const char *path, const char *name))
{
	_cleanup_closedir_ DIR *dir = opendir(x->dir);

	for (struct dirent *e; (e = readdir(dir));) {
		_cleanup_free_ char *path = format_string("%s/%s", x->dir, e->d_name);

		if (e->d_name[0] != '.')
			call(path, e->d_name);
	}
}

static void remove_file(const char *path, const char *name)
{
	unlink(path);
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	each_file(x, remove_file);
	rmdir(x->dir);
	free(x);
	return 0;
}

static void put(struct fixture *x, const char *name, const char *text, size_t len)
{
	_cleanup_free_ char *path = format_string("%s/%s", x->dir, name);

	assert_int_equal(replace_file(path, text, len, 0640, false), 0);
}

static void put_packed(struct fixture *x, const char *name, const char *text, size_t keep)
{
	_cleanup_free_ char *path = format_string("%s/%s", x->dir, name);
	gzFile gz = gzopen(path, "w");
	struct stat st;

	assert_int_equal(gzwrite(gz, text, (unsigned int)strlen(text)), strlen(text));
	assert_int_equal(gzclose(gz), Z_OK);
	if (!keep)
		return;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - (off_t)keep), 0);
}

static bool exists(struct fixture *x, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/%s", x->dir, name);

	return access(path, F_OK) == 0;
}

static int note(void *data, const json_t *line)
{
	struct fixture *x = data;
	size_t len = strlen(x->seen);

	snprintf(x->seen + len, sizeof(x->seen) - len, "%s%d", len ? " " : "",
		(int)json_integer_value(json_object_get(line, "n")));
	return 0;
}

/* What a reader gets. */
static void assert_lines(struct fixture *x, uint64_t since_s, const char *lines, uint64_t damaged)
{
	uint64_t found = 99;

	x->seen[0] = '\0';
	assert_int_equal(journal_read(x->dir, "runs", since_s * NSEC_PER_SEC, note, x, &found), 0);
	assert_string_equal(x->seen, lines);
	assert_int_equal(found, damaged);
}

static struct journal *open_journal(struct fixture *x, int expected)
{
	struct journal *j = NULL;
	struct error err = {""};

	assert_int_equal(journal_open(x->dir, "runs", time_of, &j, &err), expected);
	assert_int_equal(err.text[0] != '\0', expected != 0);
	return j;
}

static void append(struct journal *j, int n, uint64_t t)
{
	json_t *line = json_pack("{s:i, s:I}", "n", n, "t", (json_int_t)t);

	assert_int_equal(journal_append(j, line), 0);
	json_decref(line);
}

/* --- one file --------------------------------------------------------------------------------- */

static void test_append(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;
	_cleanup_free_ char *path = format_string("%s/runs.jsonl", x->dir), *text = NULL;
	json_t *real = json_pack("{s:i, s:f, s:f}", "n", 3, "t", 1714564800.25, "x", 0.1);
	struct stat st;

	assert_lines(x, 0, "", 0);
	j = open_journal(x, 0);
	append(j, 1, 100);
	append(j, 2, 101);
	assert_int_equal(journal_append(j, real), 0);
	json_decref(real);
	assert_int_equal(journal_sync(j), 0);
	assert_int_equal(read_file_alloc(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_string_equal(text, "{\"n\":1,\"t\":100}\n{\"n\":2,\"t\":101}\n"
				  "{\"n\":3,\"t\":1714564800.25,\"x\":0.1}\n");
	assert_int_equal(journal_bytes(j), strlen(text));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_lines(x, 0, "1 2 3", 0);
}

/* A kill -9 within the write of the last line leaves any part of it. */
static void test_torn(void **state)
{
	static const char text[] =
		"{\"n\":1,\"t\":100}\n{\"n\":2,\"t\":101}\n{\"n\":3,\"t\":102}\n";
	const size_t two = 32, whole = sizeof(text) - 1;
	struct fixture *x = *state;

	for (size_t len = two; len <= whole; len++) {
		struct journal *j;

		put(x, "runs.jsonl", text, len);
		assert_lines(x, 0, len < whole ? "1 2" : "1 2 3", 0);
		j = open_journal(x, len > two && len < whole);
		append(j, 4, 103);
		journal_close(j);
		assert_lines(x, 0, len < whole ? "1 2 4" : "1 2 3 4", 0);
	}
	for (size_t len = 0; len < 15; len++) { /* the first line torn: nothing is left */
		put(x, "runs.jsonl", text, len);
		journal_close(open_journal(x, len > 0));
		assert_lines(x, 0, "", 0);
	}
	/* A power cut can leave a page of zeros instead. */
	put(x, "runs.jsonl", "{\"n\":1,\"t\":100}\n\0\0\0\0", 20);
	journal_close(open_journal(x, 1));
	assert_lines(x, 0, "1", 0);
}

static void test_damaged_lines(void **state)
{
	struct fixture *x = *state;
	_cleanup_free_ char *text = NULL, *longest = malloc(JOURNAL_LINE_MAX + 100);

	memset(longest, 'x', JOURNAL_LINE_MAX + 99);
	longest[JOURNAL_LINE_MAX + 99] = '\0';
	text = format_string(
		"{\"n\":1}\n{\"n\":\n\n[2]\n{\"n\":2}\n%s\n{\"n\":3}\n\xff\xfe\n{\"n\":4}\n",
		longest);
	put(x, "runs.jsonl", text, strlen(text));
	assert_lines(x, 0, "1 2 3 4", 5);
	journal_close(open_journal(x, 0));
	assert_lines(x, 0, "1 2 3 4", 5);
}

/* What did not fit is taken back, so that the next line does not stand behind half of one. */
static void test_full(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = open_journal(x, 0);
	json_t *line = json_pack("{s:i, s:s}", "n", 2, "text", "0123456789012345678901234567890");
	struct rlimit before, limit = {40, 40};

	append(j, 1, 100);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(journal_append(j, line), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	json_decref(line);
	append(j, 3, 102);
	assert_lines(x, 0, "1 3", 0);
}

/* --- old files -------------------------------------------------------------------------------- */

static void test_since(void **state)
{
	struct fixture *x = *state;

	put_packed(x, "runs-100-199.jsonl.gz", "{\"n\":1,\"t\":100}\n{\"n\":2,\"t\":199}\n", 0);
	put_packed(x, "runs-200-299.jsonl.gz", "{\"n\":3,\"t\":200}\n", 0);
	/* In the middle of being packed: both forms, one of them counts. */
	put_packed(x, "runs-300-399.jsonl.gz", "{\"n\":4,\"t\":300}\n", 0);
	put(x, "runs-300-399.jsonl", "{\"n\":4,\"t\":300}\n", 16);
	put(x, "runs-400-499.jsonl", "{\"n\":5,\"t\":400}\n", 16);
	put(x, "runs.jsonl", "{\"n\":6,\"t\":500}\n", 16);
	/* No names of ours. */
	put(x, "runs-5-6.jsonl.gz.new", "x", 1);
	put(x, "runs-05-6.jsonl", "{\"n\":7}\n", 8);
	put(x, "runs-a-b.jsonl", "{\"n\":7}\n", 8);
	put(x, "events-1-900.jsonl", "{\"n\":7}\n", 8);
	assert_lines(x, 0, "1 2 3 4 5 6", 0);
	assert_lines(x, 199, "1 2 3 4 5 6", 0);
	assert_lines(x, 200, "3 4 5 6", 0);
	assert_lines(x, 1000, "6", 0);
}

static void test_damaged_packed(void **state)
{
	struct fixture *x = *state;
	_cleanup_free_ char *lines = malloc(200001);
	char *p = lines;

	/* Long enough for its first part to be readable by itself. */
	for (int i = 0; i < 10000; i++)
		p += sprintf(p, "{\"n\":1,\"x\":%d}\n", i * 7919 % 10007);
	*p = '\0';
	put_packed(x, "runs-100-199.jsonl.gz", lines, 100);
	put(x, "runs-200-299.jsonl.gz", "\x1f\x8b\x08 and then nonsense\n", 23);
	put(x, "runs.jsonl", "{\"n\":6}\n", 8);
	x->seen[0] = '\0';
	assert_int_equal(journal_read(x->dir, "runs", 250 * NSEC_PER_SEC, note, x, NULL), 0);
	assert_string_equal(x->seen, "6");
	{
		uint64_t damaged = 0;

		x->seen[0] = '\0';
		assert_int_equal(journal_read(x->dir, "runs", 0, note, x, &damaged), 0);
		assert_int_equal(damaged, 2);
		assert_true(strncmp(x->seen, "1 1 1 1", 7) == 0);
	}
}

/* --- rotation --------------------------------------------------------------------------------- */

static void tidy(struct journal *j, uint64_t oldest_s, uint64_t max_bytes)
{
	struct error err = {""};

	if (journal_tidy(j, oldest_s * NSEC_PER_SEC, max_bytes, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_rotation_by_size(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = open_journal(x, 0);
	uint64_t now = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC, n = 0;
	_cleanup_free_ char *name = NULL, *more = malloc(100001);
	json_t *line;

	memset(more, 'x', 100000);
	more[100000] = '\0';
	append(j, 1, now - 5);
	tidy(j, 0, UINT64_MAX);
	line = json_pack("{s:i, s:I, s:s}", "n", 2, "t", (json_int_t)now, "x", more);
	while (!journal_is_full(j)) {
		assert_int_equal(journal_append(j, line), 0);
		n++;
	}
	json_decref(line);
	assert_int_equal(n, 84); /* of 100,030 bytes in 8 MiB */
	tidy(j, 0, UINT64_MAX);
	name = format_string(
		"runs-%llu-%llu.jsonl.gz", (unsigned long long)now - 5, (unsigned long long)now);
	assert_true(exists(x, name));
	assert_false(journal_is_full(j));
	assert_in_range(journal_bytes(j), 1, 100000);
	append(j, 3, now + 1);
	x->seen[0] = '\0';
	assert_int_equal(journal_read(x->dir, "runs", 0, note, x, NULL), 0);
	assert_int_equal(strlen(x->seen), 2 * 86 - 1);
	assert_string_equal(x->seen + strlen(x->seen) - 3, "2 3");
}

/* What is old goes, packed by packed; a file that is never full is packed by its age. */
static void test_expiry(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;
	uint64_t now = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	_cleanup_free_ char *old = NULL;

	put_packed(x, "runs-100-199.jsonl.gz", "{\"n\":1,\"t\":100}\n", 0);
	j = open_journal(x, 0);
	append(j, 2, now - 60);
	append(j, 3, now - 20);
	tidy(j, now - 1000, UINT64_MAX);
	assert_false(exists(x, "runs-100-199.jsonl.gz"));
	assert_lines(x, 0, "2 3", 0);
	tidy(j, now - 100, UINT64_MAX); /* the first line is older than half of that */
	old = format_string("runs-%llu-%llu.jsonl.gz", (unsigned long long)now - 60,
		(unsigned long long)now - 20);
	assert_true(exists(x, old));
	append(j, 4, now);
	assert_lines(x, 0, "2 3 4", 0);
	tidy(j, now - 20, UINT64_MAX);
	assert_lines(x, 0, "2 3 4", 0);
	tidy(j, now - 19, UINT64_MAX);
	assert_lines(x, 0, "4", 0);
}

static void test_max_bytes(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;

	put_packed(x, "runs-100-199.jsonl.gz", "{\"n\":1,\"t\":100}\n", 0);
	put_packed(x, "runs-200-299.jsonl.gz", "{\"n\":2,\"t\":200}\n", 0);
	j = open_journal(x, 0);
	append(j, 3, now_ns(CLOCK_REALTIME) / NSEC_PER_SEC);
	tidy(j, 0, journal_bytes(j) - 1);
	assert_lines(x, 0, "2 3", 0);
	assert_false(exists(x, "runs-100-199.jsonl.gz"));
}

/* A crash after the rename: the file is packed at the next opening's first tidying. */
static void test_unfinished(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;

	put(x, "runs-100-199.jsonl", "{\"n\":1,\"t\":100}\n", 16);
	put(x, "runs-100-199.jsonl.gz.new", "torn", 4);
	j = open_journal(x, 0);
	assert_lines(x, 0, "1", 0);
	tidy(j, 0, UINT64_MAX);
	assert_true(exists(x, "runs-100-199.jsonl.gz"));
	assert_false(exists(x, "runs-100-199.jsonl"));
	assert_false(exists(x, "runs-100-199.jsonl.gz.new"));
	assert_lines(x, 0, "1", 0);
}

/* --- following -------------------------------------------------------------------------------- */

static void assert_tail(struct fixture *x, struct journal_tail *t, const char *lines)
{
	x->seen[0] = '\0';
	assert_int_equal(journal_tail_read(t, note, x), 0);
	assert_string_equal(x->seen, lines);
}

static void test_tail(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_tail_close) struct journal_tail *t = NULL, *early = NULL;
	_cleanup_(journal_close) struct journal *j = NULL;
	uint64_t now = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	_cleanup_free_ char *path = format_string("%s/runs.jsonl", x->dir);
	int fd;

	assert_int_equal(journal_tail_open(x->dir, "runs", &early), 0);
	assert_tail(x, early, "");
	j = open_journal(x, 0);
	append(j, 1, now - 100);
	assert_int_equal(journal_tail_open(x->dir, "runs", &t), 0);
	assert_tail(x, t, "");
	append(j, 2, now);
	assert_tail(x, t, "2");
	assert_tail(x, t, "");
	/* Half a line is none yet. */
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write_all(fd, "{\"n\"", 4), 0);
	assert_tail(x, t, "");
	assert_int_equal(write_all(fd, ":3}\n", 4), 0);
	close(fd);
	assert_tail(x, t, "3");
	append(j, 4, now);
	tidy(j, now - 10, UINT64_MAX);
	append(j, 5, now);
	assert_tail(x, t, "4 5");
	append(j, 6, now);
	assert_tail(x, t, "6");
	assert_tail(x, early, "5 6"); /* it never saw the first file */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_append),
		TEST(test_torn),
		TEST(test_damaged_lines),
		TEST(test_full),
		TEST(test_since),
		TEST(test_damaged_packed),
		TEST(test_rotation_by_size),
		TEST(test_expiry),
		TEST(test_max_bytes),
		TEST(test_unfinished),
		TEST(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
