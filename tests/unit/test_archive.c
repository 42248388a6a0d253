/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>

#include "../../lib/archive.h"
#include "store-fixture.h"

/*
 * RRDs of ended instances on their way into the archive and back. What they hold is read with
 * rrdtool(1) and gzip(1) before and after.
 */
#define HISTORY 50 /* cycles that all instances have */

static void history(struct fixture *x, const uint32_t *number, size_t n)
{
	for (uint64_t i = 0; i < HISTORY; i++) {
		cycle(x, (T0 + 10 * i) * SEC, 10);
		for (size_t k = 0; k < n; k++) {
			clear(x);
			set(x, METRIC_CPU_USAGE, i * (k + 1) * SEC + i * i * 1000003);
			set(x, METRIC_MEMORY_USAGE, i * 7919 + k);
			add(x, SCOPE_INSTANCE, number[k], 0, 1);
		}
		commit(x);
	}
}

/* Everything that is due, without the pauses. Returns the steps taken. */
static size_t pack(struct fixture *x)
{
	size_t steps = 0;

	while (store_pack_step(x->store) != UINT64_MAX)
		assert_true(++steps < 100000);
	return steps;
}

/* Files below data/ whose paths match a shell pattern. */
static size_t count_data(struct fixture *x, const char *pattern)
{
	_cleanup_free_ char *n =
		output("cd %s/data && find . -path './%s' -type f | wc -l", x->dir, pattern);

	return strtoull(n, NULL, 10);
}

/*
 * All rows of all data sources in the time of the history, and the data sources themselves. rrdtool
 * prints one row past the end, and rows that are not complete yet change.
 */
static char *rows(struct fixture *x, const char *rrd)
{
	return output("cd %s; fetch() { rrdtool fetch %s $1 -r $2 -s %ju -e $3 | "
		      "awk -v e=$3 '$1 + 0 <= e'; }; fetch AVERAGE 10 %ju; fetch AVERAGE 300 %ju; "
		      "fetch MAX 300 %ju; rrdtool info %s | grep '^ds.*type'",
		x->dir, rrd, (uintmax_t)T0, (uintmax_t)T0 + 10 * (HISTORY - 1), (uintmax_t)T0 + 300,
		(uintmax_t)T0 + 300, rrd);
}

/* The same of an instance's file, wherever it is. */
static char *rows_of(struct fixture *x, const char *name, uint32_t number)
{
	const char *file = file_of(name, number);
	_cleanup_free_ char *path = format_string("data/rrd/%s", file);

	if (count_files(x, file) == 1)
		return rows(x, path);
	assert_true(command("cd %s && gzip -dc data/archive/%s.gz >unpacked.rrd", x->dir, file));
	return rows(x, "unpacked.rrd");
}

static void test_there_and_back(void **state)
{
	struct fixture *x = &the_fixture;
	char path[ARCHIVE_PATH_MAX];
	struct error err = {""};
	uint32_t n[2];
	int fd;

	begin(x, "archive = 10y\n");
	n[0] = instance(x, "web 1");
	n[1] = instance(x, "lives");
	history(x, n, 2);
	open_store(x);
	flush(x);
	const char *file = file_of("web%201", n[0]);
	_cleanup_free_ char *rrd = format_string("data/rrd/%s", file);
	_cleanup_free_ char *gz = format_string("%s/data/archive/%s.gz", x->dir, file);
	_cleanup_free_ char *before = rows(x, rrd);

	assert_true(strlen(before) > 10000);
	assert_true(command("cp %s/%s %s/copy.rrd", x->dir, rrd, x->dir));
	/* Both were seen by this flush; one lives on. */
	assert_int_equal(pack(x), 0);
	for (uint64_t i = 0; i < 3; i++) {
		cpu_cycle(x, n[1], 1, (T0 + 10 * (HISTORY + i)) * SEC, 0);
		flush(x);
	}
	/* 14.8 MB in pieces of 256 KB, and the beginning and the end. */
	assert_in_range(pack(x), 55, 65);
	assert_int_equal(count_data(x, "*"), 3); /* the archive, the other's RRD, the index */
	assert_int_equal(count_files(x, "*.rrd"), 1);
	assert_int_equal(x->store->table.files, 1);
	assert_int_equal(x->store->table.archives, 1);
	assert_true(command("gzip -dc '%s' | cmp - %s/copy.rrd", gz, x->dir));
	assert_true(command("[ $(stat -c %%Y '%s') = %ju ] && [ $(stat -c %%a '%s') = 640 ]", gz,
		(uintmax_t)T0 + 10 * (HISTORY - 1), gz));
	assert_int_equal(mode_of(x, "archive"), 02750);

	/* A reader unpacks it for himself. */
	assert_int_equal(archive_open(gz, &fd, path, &err), 0);
	assert_true(command("cmp %s/copy.rrd /proc/%d/fd/%d", x->dir, (int)getpid(), fd));
	close(fd);

	/* A new run goes on in the same file, after a restart of the store too. */
	close_store(x);
	open_store(x);
	assert_int_equal(x->store->table.archives, 1);
	for (uint64_t i = 60; i < 64; i++)
		cpu_cycle(x, n[0], 2, (T0 + 10 * i) * SEC, (i - 60) * 5 * SEC);
	flush(x);
	assert_int_equal(count_data(x, "archive/*"), 0);
	assert_int_equal(x->store->table.archives, 0);
	assert_int_equal(mode_of(x, rrd + strlen("data/")), 0640);
	_cleanup_free_ char *after = rows(x, rrd);

	assert_string_equal(after, before);
	assert_rates(x, file, "cpu_usage", T0 + 600, 3, (double[]){0.5, 0.5, 0.5});
	end(x);
}

static void put_file(struct fixture *x, const char *name, uint64_t age_s, const char *text)
{
	uintmax_t time_s = now_ns(CLOCK_REALTIME) / SEC - age_s;

	assert_true(command("cd %s/data && printf %s >%s && touch -d @%ju %s", x->dir, text, name,
		time_s, name));
}

static void test_ages(void **state)
{
	struct fixture *x = &the_fixture;
	const uint64_t hour = 3600, day = 24 * hour, years = 730 * day;
	uint32_t a;

	begin(x, "keep = 1d\narchive = 2y\n");
	a = instance(x, "lives");
	assert_true(command("mkdir -p %s/data/rrd %s/data/archive", x->dir, x->dir));
	put_file(x, "rrd/young.1.rrd", day - hour, "RRD");
	put_file(x, "rrd/old.2.rrd", day + hour, "RRD");
	put_file(x, "rrd/ancient.3.rrd", 20 * years, "RRD");
	put_file(x, "rrd/host.rrd", 20 * years, "RRD");
	put_file(x, "rrd/removed.10.rrd", 21 * years, "RRD");
	put_file(x, "rrd/aside.4.rrd.damaged-1", 20 * years, "RRD");
	put_file(x, "rrd/mine", 20 * years, "RRD");
	put_file(x, "archive/young.5.rrd.gz", years + day - hour, "x");
	put_file(x, "archive/old.6.rrd.gz", years + day + hour, "x");
	put_file(x, "archive/half.7.rrd.gz.new", hour, "x");
	put_file(x, "archive/aside.8.rrd.gz.damaged-1", 20 * years, "x");
	put_file(x, "archive/mine", 20 * years, "x");
	/* Killed after the archive was there: the RRD counts. */
	put_file(x, "rrd/both.9.rrd", hour, "RRD");
	put_file(x, "archive/both.9.rrd.gz", hour, "x");
	open_store(x);
	assert_int_equal(count_data(x, "archive/half.7*"), 0);
	assert_int_equal(count_data(x, "archive/both.9*"), 0);
	/* Nothing is known yet of what runs. */
	assert_int_equal(pack(x), 0);
	flush(x);
	assert_int_equal(pack(x), 0);
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	flush(x);
	/* Somebody else was faster: the others are packed all the same. */
	assert_true(command("rm %s/data/rrd/removed.10.rrd", x->dir));
	assert_true(pack(x) > 0);
	assert_int_equal(count_files(x, "young.1.rrd"), 1);
	assert_int_equal(count_files(x, "old.2.rrd"), 0);
	assert_int_equal(count_data(x, "archive/old.2.rrd.gz"), 1);
	assert_int_equal(count_files(x, "ancient.3.rrd"), 0);
	assert_int_equal(count_data(x, "archive/ancient.3.rrd.gz"), 0);
	assert_int_equal(count_files(x, "host.rrd"), 1);
	assert_int_equal(count_files(x, "aside.4.rrd.damaged-1"), 1);
	assert_int_equal(count_files(x, "mine"), 1);
	assert_int_equal(count_data(x, "archive/young.5.rrd.gz"), 1);
	assert_int_equal(count_data(x, "archive/old.6.rrd.gz"), 0);
	assert_int_equal(count_data(x, "archive/aside.8.rrd.gz.damaged-1"), 1);
	assert_int_equal(count_data(x, "archive/mine"), 1);
	assert_int_equal(count_files(x, "both.9.rrd"), 1);
	end(x);
}

/* archive = 0s: none is packed, they go after `keep`. */
static void test_no_archive(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t n[2];

	begin(x, "archive = 0s\n");
	n[0] = instance(x, "a");
	n[1] = instance(x, "b");
	history(x, n, 2);
	open_store(x);
	flush(x);
	for (uint64_t i = 0; i < 3; i++) {
		cpu_cycle(x, n[1], 1, (T0 + 10 * (HISTORY + i)) * SEC, 0);
		flush(x);
	}
	assert_int_equal(pack(x), 1);
	assert_int_equal(count_data(x, "archive/*"), 0);
	assert_int_equal(count_files(x, "*.rrd"), 1);
	end(x);
}

/* --- killed ----------------------------------------------------------------------------------- */

#define KILLED 3

/* Without a shell, so that it is looked at often. */
static size_t count_now(const struct fixture *x, const char *pattern)
{
	_cleanup_free_ char *path = format_string("%s/data/%s", x->dir, pattern);
	glob_t found;
	size_t n = 0;

	if (path && glob(path, GLOB_NOSORT, NULL, &found) == 0) {
		n = found.gl_pathc;
		globfree(&found);
	}
	return n;
}

/* A store that flushes, packs what is due, and is killed after some while or, in turn, as soon as a
 * file is half done, and when all is done. */
static void kill_a_store(struct fixture *x, unsigned int *seed, int death)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + 2 * SEC;
	int ready[2], status;
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct error err;

		if (store_open(x->config, &x->store, &err) < 0)
			_exit(1);
		(void)!write(ready[1], "", 1);
		store_flush(x->store);
		while (store_pack_step(x->store) != UINT64_MAX)
			;
		(void)!write(ready[1], "", 1);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	if (death % 6 == 5)
		assert_int_equal(read(ready[0], &c, 1), 1);
	else if (death % 3)
		usleep(rand_r(seed) % (250000u << MIN(death / 30, 3)));
	else
		while (!count_now(x, "*/*.new") && now_ns(CLOCK_MONOTONIC) < end)
			;
	close(ready[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

/* Whenever a store is killed while it packs and unpacks, each instance has its whole history once.
 */
static void test_killed(void **state)
{
	struct fixture *x = &the_fixture;
	const char *const names[] = {"k0", "k1", "k2", "lives"};
	unsigned int seed = 4711, half = 0, packed = 0, unpacked = 0;
	uint64_t i = HISTORY;
	uint32_t n[KILLED + 1];
	char *before[KILLED];

	begin(x, "archive = 10y\n");
	for (size_t k = 0; k <= KILLED; k++)
		n[k] = instance(x, names[k]);
	history(x, n, KILLED + 1);
	open_store(x);
	flush(x);
	close_store(x);
	for (size_t k = 0; k < KILLED; k++)
		before[k] = rows_of(x, names[k], n[k]);
	/* Until deaths of each kind have been seen, as a busy machine chooses when they happen. */
	for (int death = 0; death < 120 && (death < 30 || half < 3 || packed < 3 || unpacked < 3);
		death++, i++) {
		size_t archives = count_data(x, "archive/*.gz");
		bool all_live = archives == KILLED || (archives && rand_r(&seed) % 4 == 0);

		cycle(x, (T0 + 10 * i) * SEC, 10);
		for (size_t k = all_live ? 0 : KILLED; k <= KILLED; k++) {
			clear(x);
			set(x, METRIC_CPU_USAGE, i * SEC);
			add(x, SCOPE_INSTANCE, n[k], 0, i);
		}
		commit(x);
		kill_a_store(x, &seed, death);
		half += count_data(x, "*.new") > 0;
		packed += count_data(x, "archive/*.gz") > archives;
		unpacked += count_data(x, "archive/*.gz") < archives;
		open_store(x); /* which tidies */
		close_store(x);
		assert_int_equal(count_data(x, "*.new"), 0);
		for (size_t k = 0; k < KILLED; k++) {
			_cleanup_free_ char *archive = format_string("archive/%s.*.gz", names[k]);
			_cleanup_free_ char *rrd = format_string("rrd/%s.*.rrd", names[k]);
			_cleanup_free_ char *now = rows_of(x, names[k], n[k]);

			assert_int_equal(count_data(x, rrd) + count_data(x, archive), 1);
			assert_string_equal(now, before[k]);
		}
	}
	/* Else this test would show nothing. */
	printf("%u half done, %u packed, %u unpacked\n", half, packed, unpacked);
	assert_true(half >= 3 && packed >= 3 && unpacked >= 3);
	assert_int_equal(count_data(x, "*damaged*"), 0);
	for (size_t k = 0; k < KILLED; k++)
		free(before[k]);
	end(x);
}

/* --- trouble ---------------------------------------------------------------------------------- */

static void check_damaged(const char *make, const char *sentence)
{
	struct fixture *x = &the_fixture;
	char path[ARCHIVE_PATH_MAX];
	struct error err = {""};
	uint32_t a;
	int fd;

	begin(x, "");
	a = instance(x, "a");
	const char *file = file_of("a", a);
	_cleanup_free_ char *gz = format_string("%s/data/archive/%s.gz", x->dir, file);

	assert_true(
		command("mkdir -p %s/data/archive && cd %s && %s >%s", x->dir, x->dir, make, gz));
	assert_int_equal(archive_open(gz, &fd, path, &err), -EBADMSG);
	if (!strstr(err.text, sentence) || !strstr(err.text, file))
		fail_msg("%s: %s", make, err.text);
	open_store(x);
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	cpu_cycle(x, a, 1, (T0 + 10) * SEC, SEC);
	flush(x);
	assert_int_equal(x->store->stats.quarantined, 1);
	assert_int_equal(count_data(x, "archive/a.*.rrd.gz.damaged-*"), 1);
	assert_rates(x, file, "cpu_usage", T0, 1, (double[]){0.1});
	end(x);
}

static void test_damaged(void **state)
{
	struct error err;
	char path[ARCHIVE_PATH_MAX];
	int fd;

	check_damaged("head -c 100000 /dev/zero | sed 's/^/RRD/' | gzip | head -c 60", "cut off");
	check_damaged("echo no RRD | gzip", "no packed RRD");
	check_damaged("echo RRD but not packed", "no packed RRD");
	check_damaged("true", "empty");
	/* A flipped bit: the sum at the end tells. */
	check_damaged("seq 100000 | sed 's/^/RRD/' >t && gzip -1 t && printf '\\125' | "
		      "dd of=t.gz bs=1 seek=150000 conv=notrunc status=none && cat t.gz",
		"is damaged");
	check_damaged("(printf RRD; head -c 300000000 /dev/zero) | gzip -1", "larger than any RRD");
	assert_int_equal(archive_open("/nonexistent/a.1.rrd.gz", &fd, path, &err), -ENOENT);
}

/* Archives count, and the oldest ended instances go first, packed or not. */
static void test_data_max(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t back, fresh;

	begin(x, "data_max = 50M\nkeep = 10y\n");
	back = instance(x, "back");
	fresh = instance(x, "fresh");
	assert_true(command("mkdir -p %s/data/rrd %s/data/archive && cd %s/data && "
			    "for f in rrd/e1.1.rrd archive/e2.2.rrd.gz archive/e3.3.rrd.gz; do "
			    "head -c 13000000 /dev/urandom >$f; done; "
			    "touch -d @1600000000 archive/e3.3.rrd.gz; "
			    "touch -d @1600000100 rrd/e1.1.rrd; "
			    "touch -d @1600000200 archive/e2.2.rrd.gz",
		x->dir, x->dir, x->dir));
	open_store(x);
	assert_in_range(x->store->table.bytes, 39 * 1000 * 1000, 40 * MIB);
	cpu_cycle(x, fresh, 1, T0 * SEC, 0);
	flush(x);
	/* 39 MB and 14.8: one has to go. */
	assert_int_equal(x->store->stats.removed, 1);
	assert_int_equal(count_data(x, "archive/e3.*"), 0);
	assert_int_equal(count_data(x, "rrd/e1.*"), 1);
	/* The archive of an instance that comes back is older than all, and is not removed for it.
	 */
	assert_true(command("cd %s/data && f=archive/%s.gz && gzip -c rrd/%s >$f && "
			    "touch -d @1500000000 $f",
		x->dir, file_of("back", back), file_of("fresh", fresh)));
	close_store(x);
	open_store(x);
	cpu_cycle(x, back, 1, (T0 + 10) * SEC, 0);
	cpu_cycle(x, back, 1, (T0 + 20) * SEC, SEC);
	flush(x);
	assert_int_equal(count_data(x, "rrd/e1.*"), 0);
	assert_int_equal(count_files(x, file_of("back", back)), 1);
	assert_int_equal(x->store->stats.quarantined, 0);
	assert_true(x->store->table.bytes <= 50 * MIB);
	assert_rates(x, file_of("back", back), "cpu_usage", T0 + 10, 1, (double[]){0.1});
	end(x);
}

static void test_forget(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t now = now_ns(CLOCK_REALTIME) / (10 * SEC) * 10;
	uint32_t a, b;

	begin(x, "");
	a = instance(x, "a");
	b = instance(x, "b");
	open_store(x);
	/* Samples that wait in the ring are forgotten with the rest. */
	cpu_cycle(x, a, 1, (now - 30) * SEC, 0);
	flush(x);
	cpu_cycle(x, a, 1, (now - 20) * SEC, 0);
	assert_int_equal(count_files(x, "a.*"), 1);
	store_forget(x->store, a);
	assert_int_equal(count_files(x, "a.*"), 0);
	cpu_cycle(x, b, 1, (now - 10) * SEC, 0);
	flush(x);
	assert_int_equal(count_files(x, "a.*"), 0);
	assert_int_equal(count_files(x, "b.*"), 1);
	/* One of the same name later begins anew. */
	cpu_cycle(x, a, 2, (now + 20) * SEC, 0);
	cpu_cycle(x, a, 2, (now + 30) * SEC, 3 * SEC);
	flush(x);
	assert_rates(x, file_of("a", a), "cpu_usage", now - 30, 6,
		(double[]){NAN, NAN, NAN, NAN, NAN, 0.3});

	/* In the archive, or unknown, or nothing at all. */
	close_store(x);
	assert_true(command("cd %s/data && gzip -c rrd/%s >archive/%s.gz && rm rrd/%s", x->dir,
		file_of("a", a), file_of("a", a), file_of("a", a)));
	open_store(x);
	assert_int_equal(x->store->table.archives, 1);
	store_forget(x->store, a);
	store_forget(x->store, a);
	store_forget(x->store, 4711);
	store_forget(x->store, STORE_HOST);
	assert_int_equal(count_data(x, "archive/*"), 0);
	assert_int_equal(x->store->table.archives, 0);
	end(x);
}

/* --- many, and the program -------------------------------------------------------------------- */

static void test_many(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t start;
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	assert_true(command("mkdir -p %s/data/archive && cd %s/data/archive && "
			    "for i in $(seq 10000); do echo >e$i.$i.rrd.gz; done",
		x->dir, x->dir));
	start = now_ns(CLOCK_MONOTONIC);
	open_store(x);
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	flush(x);
	assert_int_equal(pack(x), 0);
	print_message("10,000 archives: opened, flushed and looked through in %.0f ms\n",
		(double)(now_ns(CLOCK_MONOTONIC) - start) / 1e6);
	assert_int_equal(x->store->table.archives, 10000);
	assert_int_equal(x->store->table.files, 1);
	end(x);
}

/* Packs by itself after a flush, and goes on answering. */
static void test_process(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t n[4];
	pid_t pid;
	int fd;

	begin(x, "archive = 10y\n");
	n[0] = instance(x, "a");
	n[1] = instance(x, "b");
	n[2] = instance(x, "c");
	n[3] = instance(x, "lives");
	history(x, n, 4);
	open_store(x);
	flush(x);
	close_store(x);
	cpu_cycle(x, n[3], 1, (T0 + 1000) * SEC, 0);
	pid = start_process(x, &fd);
	for (int i = 1; i <= 5; i++) {
		_cleanup_free_ char *ask = format_string("{\"op\":\"flush\",\"id\":%d}", i);
		_cleanup_free_ char *told = format_string("\"id\":%d,\"error\":null", i);

		cpu_cycle(x, n[3], 1, (T0 + 1000 + 10 * (uint64_t)i) * SEC, 0);
		send_text(fd, ask);
		expect(fd, told);
		expect(fd, "\"op\":\"stats\"");
		usleep(30000);
	}
	for (int i = 0; i < 600 && count_data(x, "archive/*.gz") < 3; i++)
		usleep(100000);
	assert_int_equal(count_data(x, "archive/*.gz"), 3);
	_cleanup_free_ char *forget = format_string("{\"op\":\"forget\",\"index\":%u}", n[1]);

	send_text(fd, forget);
	for (int i = 0; i < 200 && count_data(x, "archive/*.gz") > 2; i++)
		usleep(100000);
	assert_int_equal(count_data(x, "archive/b.*"), 0);
	close(fd);
	expect_end(pid);
	end(x);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_ages),
		TEST(test_no_archive),
		TEST(test_killed),
		TEST(test_damaged),
		TEST(test_data_max),
		TEST(test_forget),
		TEST(test_many),
		TEST(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
