/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "lib/util.h"

struct fixture {
	char dir[64];
	int fd;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/loadcell-test-util.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->fd < 0 ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void make_file(const struct fixture *f, const char *name, const char *data, size_t len)
{
	_cleanup_close_ int fd =
		openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, len), 0);
}

static size_t count_entries(const struct fixture *f)
{
	_cleanup_closedir_ DIR *dir = opendir(f->dir);
	size_t n = 0;

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.';
	return n;
}

/* --- reading ------------------------------------------------------------------------------- */

static void test_read_file_at(void **state)
{
	const struct fixture *f = *state;
	char buf[8];

	make_file(f, "seven", "1234567", 7);
	make_file(f, "eight", "12345678", 8);
	make_file(f, "empty", "", 0);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(read_file_at(f->fd, "seven", buf, sizeof(buf)), 7);
	assert_string_equal(buf, "1234567");
	assert_int_equal(read_file_at(f->fd, "eight", buf, sizeof(buf)), -EFBIG);
	assert_int_equal(read_file_at(f->fd, "empty", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(read_file_at(f->fd, "none", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(read_file_at(f->fd, ".", buf, sizeof(buf)), -EISDIR);
	assert_int_equal(read_file_at(f->fd, "seven", buf, 0), -EINVAL);
	assert_int_equal(read_file_at(AT_FDCWD, "/dev/zero", buf, sizeof(buf)), -EFBIG);
}

static void test_pread_file_reads_from_the_start_again(void **state)
{
	const struct fixture *f = *state;
	_cleanup_close_ int fd = -1;
	char buf[16];

	make_file(f, "counter", "1\n", 2);
	fd = openat(f->fd, "counter", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread_file(fd, buf, sizeof(buf)), 2);
	make_file(f, "counter", "22\n", 3);
	assert_int_equal(pread_file(fd, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "22\n");
	assert_int_equal(pread_file(-1, buf, sizeof(buf)), -EBADF);
}

static void test_read_file_alloc(void **state)
{
	const struct fixture *f = *state;
	static char big[10000];
	_cleanup_free_ char *text = NULL;
	char *none = (char *)0x1;
	size_t len = 0;

	memset(big, 'b', sizeof(big));
	make_file(f, "big", big, sizeof(big));
	assert_int_equal(read_file_alloc(f->fd, "big", sizeof(big), &text, &len), 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(text, big, sizeof(big));
	assert_int_equal(text[len], '\0');
	assert_int_equal(read_file_alloc(f->fd, "big", sizeof(big) - 1, &none, &len), -EFBIG);
	assert_int_equal(read_file_alloc(f->fd, "none", 10, &none, &len), -ENOENT);
	assert_int_equal(read_file_alloc(AT_FDCWD, "/dev/zero", 5000, &none, &len), -EFBIG);
	assert_ptr_equal(none, (char *)0x1);
}

static void test_read_file_alloc_at_size_borders(void **state)
{
	const struct fixture *f = *state;
	static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 8191, 8192};
	static char data[8192];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len = 99;

		make_file(f, "sized", data, sizes[i]);
		assert_int_equal(read_file_alloc(f->fd, "sized", sizes[i], &text, &len), 0);
		assert_int_equal(len, sizes[i]);
	}
}

/* --- writing ------------------------------------------------------------------------------- */

static void test_replace_file(void **state)
{
	const struct fixture *f = *state;
	_cleanup_free_ char *path = format_string("%s/file", f->dir);
	_cleanup_free_ char *nowhere = format_string("%s/none/file", f->dir);
	_cleanup_free_ char *left = strdup("file.new");
	mode_t mask = umask(077);
	struct stat st;
	char buf[16];

	assert_int_equal(replace_file(path, "one", 3, 0640, false), 0);
	make_file(f, left, "left by a dead process", 22);
	assert_int_equal(replace_file(path, "second", 6, 0640, true), 0);
	umask(mask);
	assert_int_equal(read_file_at(AT_FDCWD, path, buf, sizeof(buf)), 6);
	assert_string_equal(buf, "second");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count_entries(f), 1);
	assert_int_equal(replace_file(nowhere, "x", 1, 0640, false), -ENOENT);
}

/* A reader never sees a part: the old inode stays whole, and a failure leaves it in place. */
static void test_replace_file_keeps_the_old_one(void **state)
{
	const struct fixture *f = *state;
	_cleanup_free_ char *path = format_string("%s/file", f->dir);
	_cleanup_free_ char *dir = format_string("%s/dir", f->dir);
	_cleanup_close_ int old = -1;
	char buf[16];

	assert_int_equal(replace_file(path, "old", 3, 0600, false), 0);
	old = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(replace_file(path, "new one", 7, 0600, false), 0);
	assert_int_equal(pread_file(old, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "old");
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(replace_file(dir, "x", 1, 0600, false), -EISDIR);
	assert_int_equal(count_entries(f), 2);
}

static void test_make_directories(void **state)
{
	const struct fixture *f = *state;
	_cleanup_free_ char *path = format_string("%s/a//b/c/", f->dir);
	_cleanup_free_ char *file = format_string("%s/file", f->dir);
	_cleanup_free_ char *below = format_string("%s/file/x", f->dir);
	struct stat st;

	assert_int_equal(make_directories(path, 0700), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(make_directories(path, 0700), 0);
	assert_int_equal(make_directories("/", 0700), 0);
	make_file(f, "file", "", 0);
	assert_int_equal(make_directories(file, 0700), -ENOTDIR);
	assert_int_equal(make_directories(below, 0700), -ENOTDIR);
	assert_int_equal(make_directories("", 0700), -ENOENT);
}

/* --- strings ------------------------------------------------------------------------------- */

static void test_error_set(void **state)
{
	char words[2 * ERROR_MAX];
	struct error err = {0};

	assert_int_equal(error_set(&err, -EINVAL, "bad %s: %d", "thing", 3), -EINVAL);
	assert_string_equal(err.text, "bad thing: 3");
	assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);
	error_set(&err, -EINVAL, "name \"%s\"", "a\nb\x1b[31m\x7f\xc3\xa4");
	assert_string_equal(err.text, "name \"a?b?[31m?\xc3\xa4\"");
	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	error_set(&err, -EINVAL, "%s", words);
	assert_int_equal(strlen(err.text), ERROR_MAX - 1);
}

static void test_percent_encode(void **state)
{
	static const struct {
		const char *plain;
		size_t max;
		const char *encoded;
	} cases[] = {
		{"web01", 100, "web01"},
		{"job queue", 100, "job%20queue"},
		{"a/b~1", 100, "a%2Fb%7E1"},
		{"A.b_c-9", 100, "A.b_c-9"},
		{"100%", 100, "100%25"},
		{"\xc3\xa4\n", 100, "%C3%A4%0A"},
		{"", 100, ""},
		{".", 100, "%2E"},
		{"..", 100, "%2E%2E"},
		{"...", 100, "..."},
		{".x", 100, ".x"},
		/* cut, but never inside an escape */
		{"abcdef", 3, "abc"},
		{"ab cd", 4, "ab"},
		{"ab cd", 5, "ab%20"},
		{"ab cd", 6, "ab%20c"},
		{" ", 2, ""},
		{"a", 0, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[128];

		memset(text, 'x', sizeof(text));
		assert_int_equal(percent_encode(cases[i].plain, text, cases[i].max),
			strlen(cases[i].encoded));
		assert_string_equal(text, cases[i].encoded);
		assert_int_equal(text[strlen(cases[i].encoded) + 1], 'x');
	}
}

static void test_percent_decode(void **state)
{
	static const struct {
		const char *encoded;
		int result;
		const char *plain;
	} cases[] = {
		{"web01", 0, "web01"},
		{"job%20queue", 0, "job queue"},
		{"%C3%a4%0a", 0, "\xc3\xa4\n"},
		{"%2E%2e", 0, ".."},
		{"", 0, ""},
		{"1234567890123", 0, "1234567890123"},
		{"12345678901234", -ENAMETOOLONG, NULL},
		{"1234567890123%20", -ENAMETOOLONG, NULL},
		{"%", -EINVAL, NULL},
		{"%2", -EINVAL, NULL},
		{"a%2", -EINVAL, NULL},
		{"%2G", -EINVAL, NULL},
		{"%G2", -EINVAL, NULL},
		{"%%20", -EINVAL, NULL},
		{"a%00b", -EINVAL, NULL},
	};
	char text[14];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			percent_decode(cases[i].encoded, text, sizeof(text)), cases[i].result);
		if (!cases[i].result)
			assert_string_equal(text, cases[i].plain);
	}
	assert_int_equal(percent_decode("", text, 0), -ENAMETOOLONG);
}

/* Reference values of the FNV authors (draft-eastlake-fnv, 64-bit FNV-1a). */
static void test_fnv64(void **state)
{
	assert_true(fnv64(FNV64_START, "", 0) == UINT64_C(0xcbf29ce484222325));
	assert_true(fnv64(FNV64_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(fnv64(FNV64_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	assert_true(fnv64(fnv64(FNV64_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

static void test_ownership_macros(void **state)
{
	char *p = strdup("x"), *taken = TAKE_PTR(p);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), other = TAKE_FD(fd);

	assert_null(p);
	assert_string_equal(taken, "x");
	free(taken);
	assert_int_equal(fd, -1);
	errno = ENOENT;
	assert_int_equal(close_fd(other), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fcntl(other, F_GETFD), -1);
	assert_int_equal(close_fd(-1), -1);
}

/* --- log lines ----------------------------------------------------------------------------- */

struct capture {
	int saved, file;
};

static struct capture capture_stderr(const struct fixture *f)
{
	struct capture c = {.saved = dup(STDERR_FILENO)};

	c.file = openat(f->fd, "stderr", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(c.saved >= 0 && c.file >= 0);
	assert_true(dup2(c.file, STDERR_FILENO) >= 0);
	return c;
}

static void end_capture(struct capture *c, char *buf, size_t size)
{
	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	assert_true(pread_file(c->file, buf, size) >= 0);
	close(c->file);
}

static void test_log_line(void **state)
{
	const struct fixture *f = *state;
	char text[8192], words[5000];
	struct capture c;
	struct stat st;
	_cleanup_free_ char *stream = NULL;

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	unsetenv("JOURNAL_STREAM");
	c = capture_stderr(f);
	log_warning("name \"%s\"", "a\nb");
	log_notice("%s", words);
	/* the journal's prefix only where standard error is that stream */
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_error("elsewhere");
	fstat(STDERR_FILENO, &st);
	stream = format_string("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_error("to the journal");
	unsetenv("JOURNAL_STREAM");
	end_capture(&c, text, sizeof(text));
	assert_memory_equal(text, "name \"a?b\"\nwwww", 15);
	assert_string_equal(
		strchr(strchr(text, '\n') + 1, '\n'), "\nelsewhere\n<3>to the journal\n");
	assert_int_equal(strlen(text), 11 + 2047 + 10 + 18);
}

static void test_complaint(void **state)
{
	const struct fixture *f = *state;
	struct complaint c = {0};
	struct capture capture = capture_stderr(f);
	char text[1024];

	complaint_over(&c, "never said");
	complain(&c, "it fails: %d", 1);
	assert_true(c.pause_ns == 10000000000);
	complain(&c, "it fails: %d", 2);
	complain(&c, "it fails: %d", 3);
	c.next_ns = 1; /* the pause has passed */
	complain(&c, "it fails: %d", 4);
	assert_true(c.pause_ns == 20000000000);
	complain(&c, "it fails: %d", 5);
	for (int i = 0; i < 20; i++) {
		c.next_ns = UINT64_MAX;
		complain(&c, "not yet");
	}
	c.pause_ns = UINT64_C(86400000000000);
	c.next_ns = 1;
	complain(&c, "it fails: %d", 6);
	assert_true(c.pause_ns == 86400000000000);
	complaint_over(&c, "it works again");
	complaint_over(&c, "it works again");
	complain(&c, "it fails: %d", 7);
	end_capture(&capture, text, sizeof(text));
	assert_string_equal(text, "it fails: 1\n"
				  "it fails: 4 (3 times since last said)\n"
				  "it fails: 6 (22 times since last said)\n"
				  "it works again\n"
				  "it fails: 7\n");
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_read_file_at),
		WITH_DIR(test_pread_file_reads_from_the_start_again),
		WITH_DIR(test_read_file_alloc),
		WITH_DIR(test_read_file_alloc_at_size_borders),
		WITH_DIR(test_replace_file),
		WITH_DIR(test_replace_file_keeps_the_old_one),
		WITH_DIR(test_make_directories),
		cmocka_unit_test(test_error_set),
		cmocka_unit_test(test_percent_encode),
		cmocka_unit_test(test_percent_decode),
		cmocka_unit_test(test_fnv64),
		cmocka_unit_test(test_ownership_macros),
		WITH_DIR(test_log_line),
		WITH_DIR(test_complaint),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
