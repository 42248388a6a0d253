/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "store-fixture.h"

static void test_values(void **state)
{
	struct fixture *x = &the_fixture;
	const double half[] = {NAN, 0.25, 0.25, 0.25}, bytes[] = {NAN, 409.6, 409.6, 409.6};
	const double memory[] = {123456789, 123456789, 123456789, 123456789};
	const double cores[] = {1.5, 1.5, 1.5, 1.5}, none[] = {NAN, NAN, NAN, NAN};
	const double host[] = {NAN, 1.000000001, 1.000000001, 1.000000001};
	uint32_t a, b;

	begin(x, "");
	a = instance(x, "web 01");
	b = instance(x, "b");
	for (uint64_t i = 0; i < 5; i++) {
		cycle(x, (T0 + 10 * i) * SEC, 10);
		clear(x);
		/* 2.5 s every 10 s; 4096 bytes every 10 s; an unlimited and an absent value. */
		set(x, METRIC_CPU_USAGE, 7 * SEC + i * 2500000000);
		set(x, METRIC_IO_READ_BYTES, 1000 + i * 4096);
		set(x, METRIC_MEMORY_USAGE, 123456789);
		set(x, METRIC_CPU_LIMIT, 1500000000);
		x->values[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
		add(x, SCOPE_INSTANCE, a, 0, 1);
		add(x, SCOPE_INSTANCE, b, 0, 2);
		clear(x);
		set(x, METRIC_HOST_CPU_USER, 5 * SEC + i * 10000000010);
		add(x, SCOPE_HOST, 0, 0, 9);
		commit(x);
	}
	open_store(x);
	flush(x);
	assert_int_equal(x->store->stats.samples, 15);
	assert_int_equal(x->store->table.files, 3);
	assert_rates(x, "host.rrd", "cpu_user", T0 - 10, 4, host);
	const char *f = file_of("web%2001", a);

	assert_rates(x, f, "cpu_usage", T0 - 10, 4, half);
	assert_rates(x, f, "io_read", T0 - 10, 4, bytes);
	assert_rates(x, f, "mem_usage", T0, 4, memory);
	assert_rates(x, f, "cpu_limit", T0, 4, cores);
	assert_rates(x, f, "mem_limit", T0, 4, none);
	assert_rates(x, f, "mem_swap", T0, 4, none);
	assert_int_equal(mode_of(x, "rrd"), 02750);
	assert_int_equal(mode_of(x, "rrd/host.rrd"), 0640);
	end(x);
}

static void test_sources(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	open_store(x);
	flush(x);
	assert_true(x->store->layout[LAYOUT_INSTANCE].sources <= DS_MAX);
	_cleanup_free_ char *info = output("rrdtool info %s/data/rrd/%s", x->dir, file_of("a", a));
	static const char *const want[] = {"step = 10\n", "ds[cpu_usage].type = \"DDERIVE\"",
		"ds[cpu_usage].minimal_heartbeat = 25\n", "ds[cpu_usage].min = 0.0",
		"ds[io_read].type = \"DERIVE\"", "ds[mem_usage].type = \"GAUGE\"",
		"ds[net0_rx].type = \"DERIVE\"", "ds[netr_tx].type = \"DERIVE\"",
		"rra[0].cf = \"AVERAGE\"\nrra[0].rows = 8640\n", "rra[0].pdp_per_row = 1\n",
		"rra[1].cf = \"AVERAGE\"\nrra[1].rows = 8928\n", "rra[1].pdp_per_row = 30\n",
		"rra[2].cf = \"MAX\"\nrra[2].rows = 8928\n", "rra[2].pdp_per_row = 30\n",
		"rra[3].cf = \"AVERAGE\"\nrra[3].rows = 17520\n", "rra[3].pdp_per_row = 360\n",
		"rra[4].cf = \"MAX\"\nrra[4].rows = 17520\n", "rra[4].pdp_per_row = 360\n"};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (!strstr(info, want[i]))
			fail_msg("no %s in:\n%s", want[i], info);
	end(x);
}

/* One year of 64 busy cores is 2e9 s: the difference must still be good to a millionth. */
static void test_precision(void **state)
{
	struct fixture *x = &the_fixture;
	const uint64_t year = UINT64_C(365) * 86400 * 64 * SEC + 123456789;
	double got[8];
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	for (uint64_t i = 0; i < 4; i++)
		cpu_cycle(x, a, 1, (T0 + 10 * i) * SEC, year + i * 7777777770);
	open_store(x);
	flush(x);
	assert_int_equal(
		fetch(x, file_of("a", a), "cpu_usage", "AVERAGE", 10, T0, T0 + 30, got, 8), 3);
	for (int i = 0; i < 3; i++)
		assert_true(fabs(got[i] / 0.777777777 - 1) < 1e-6);
	end(x);
}

/* Two runs at 0.5 cores, the second one's counter lower or higher; sampled at `phase`. */
static void restart_at(uint64_t phase_ns, uint64_t second, bool close_between)
{
	struct fixture *x = &the_fixture;
	bool aligned = phase_ns % SEC < 10000000;
	double got[16];
	int unknown = 0;
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	open_store(x);
	for (uint64_t i = 0; i < 12; i++) {
		uint64_t used = i < 6 ? 100 * SEC + i * 5 * SEC : second + i * 5 * SEC;

		/* Cycles come a little early or late. */
		cpu_cycle(
			x, a, i < 6 ? 1 : 2, (T0 + 10 * i) * SEC + phase_ns + i % 3 * 700000, used);
		if (i == 5) {
			flush(x);
			if (close_between) {
				close_store(x);
				open_store(x);
			}
		}
	}
	flush(x);
	/* The first of a file is left out when it would spoil its step. */
	assert_int_equal(x->store->stats.samples, close_between                   ? 6
						  : aligned || phase_ns > 5 * SEC ? 12
										  : 11);
	assert_int_equal(
		fetch(x, file_of("a", a), "cpu_usage", "AVERAGE", 10, T0 + 10, T0 + 110, got, 16),
		10);
	for (int i = 0; i < 10; i++) {
		unknown += isnan(got[i]);
		/* librrd counts unknown time in whole seconds: the step after may read low. */
		if (!isnan(got[i]) && !(got[i] < 0.5005 && got[i] > (aligned ? 0.4995 : 0.44)))
			fail_msg("%g in step %d at phase %ju", got[i], i, (uintmax_t)phase_ns);
	}
	if (unknown != 1)
		fail_msg("%d unknown steps at phase %ju", unknown, (uintmax_t)phase_ns);
	end(x);
}

static void test_restart(void **state)
{
	static const uint64_t phase_ms[] = {0, 2, 1000, 3000, 3400, 7000, 8000, 9998};

	for (size_t i = 0; i < ARRAY_SIZE(phase_ms); i++) {
		restart_at(phase_ms[i] * 1000000, 0, false);
		restart_at(phase_ms[i] * 1000000, 900 * SEC, i % 2);
	}
}

/*
 * The collector was away for longer than the heartbeat, its first samples came off the second: what
 * is stored of the steps around is right or unknown.
 */
static void test_gap(void **state)
{
	static const uint64_t at_ms[] = {
		2600, 10001, 20003, 30000, 94990, 100002, 110001, 120000, 172300, 180001, 190000};
	struct fixture *x = &the_fixture;
	const char *source[] = {"cpu_usage", "mem_usage"};
	const double want[] = {0.5, 4096};
	double got[20];
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	open_store(x);
	for (size_t i = 0; i < ARRAY_SIZE(at_ms); i++) {
		cycle(x, T0 * SEC + at_ms[i] * 1000000, 10);
		clear(x);
		set(x, METRIC_CPU_USAGE, at_ms[i] * 500000);
		set(x, METRIC_MEMORY_USAGE, 4096);
		add(x, SCOPE_INSTANCE, a, 0, 1);
		commit(x);
	}
	flush(x);
	for (size_t k = 0; k < ARRAY_SIZE(source); k++) {
		assert_int_equal(
			fetch(x, file_of("a", a), source[k], "AVERAGE", 10, T0, T0 + 190, got, 20),
			19);
		for (int i = 0; i < 19; i++) {
			bool known = i == 1 || i == 2 || i == 10 || i == 11 || i == 18;

			if (known != !isnan(got[i]) || (known && fabs(got[i] / want[k] - 1) > 1e-3))
				fail_msg("%s is %g in step %d", source[k], got[i], i);
		}
	}
	end(x);
}

static void test_restart_every_second(void **state)
{
	struct fixture *x = &the_fixture;
	double got[32];
	uint32_t a;

	begin(x, "interval = 1s\n");
	a = instance(x, "a");
	for (uint64_t i = 0; i < 21; i++) {
		cycle(x, (T0 + i) * SEC, 1);
		clear(x);
		set(x, METRIC_CPU_USAGE, (i < 10 ? 10 : 5000) * SEC + i * SEC / 2);
		set(x, METRIC_MEMORY_USAGE, 4096);
		add(x, SCOPE_INSTANCE, a, 0, i < 10 ? 1 : 2);
		commit(x);
	}
	open_store(x);
	flush(x);
	assert_int_equal(
		fetch(x, file_of("a", a), "cpu_usage", "AVERAGE", 1, T0, T0 + 20, got, 32), 20);
	for (int i = 0; i < 20; i++)
		if (i == 9 || i == 10)
			assert_true(isnan(got[i]));
		else if (!(fabs(got[i] - 0.5) < 1e-9))
			fail_msg("%g in step %d", got[i], i);
	assert_int_equal(
		fetch(x, file_of("a", a), "mem_usage", "AVERAGE", 1, T0, T0 + 20, got, 32), 20);
	for (int i = 0; i < 20; i++)
		assert_near(got[i], 4096);
	end(x);
}

/* A store that starts again within one run neither loses a step nor makes a spike. */
static void test_store_restart(void **state)
{
	struct fixture *x = &the_fixture;
	const double rates[] = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3};
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	for (uint64_t i = 0; i < 9; i++) {
		cpu_cycle(x, a, 77, (T0 + 10 * i) * SEC + 123456, i * 3 * SEC);
		open_store(x);
		flush(x);
		assert_int_equal(x->store->stats.samples, 1);
		assert_int_equal(x->store->stats.skipped, 0);
		close_store(x);
	}
	assert_rates(x, file_of("a", a), "cpu_usage", T0 + 10, 7, rates);
	end(x);
}

static void interface_cycle(struct fixture *x, uint32_t a, uint64_t i, uint64_t first)
{
	cycle(x, (T0 + 10 * i) * SEC, 10);
	clear(x);
	add(x, SCOPE_INSTANCE, a, 0, 1);
	for (uint64_t n = first; n < 4; n++)
		add_interface(x, a, (uint32_t)(n - first), 1000 + n,
			n * 1000000000 + i * 1000 * (n + 1), 50 + i * 10);
	commit(x);
}

static void test_interfaces(void **state)
{
	struct fixture *x = &the_fixture;
	/* eth0 goes after three cycles: others then count under its name. */
	const double net0[] = {100, 100, 100, NAN, NAN, 200, 200};
	const double net1[] = {200, 200, 200, NAN, NAN, 300, 300};
	const double rest[] = {700, 700, 700, NAN, NAN, 400, 400},
		     rest_tx[] = {2, 2, 2, NAN, NAN, 1, 1};
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	open_store(x);
	for (uint64_t i = 0; i < 8; i++) {
		interface_cycle(x, a, i, i < 4 ? 0 : 1);
		/* Also over a restart of the store. */
		if (i == 3) {
			flush(x);
			close_store(x);
			open_store(x);
		}
	}
	flush(x);
	const char *f = file_of("a", a);

	assert_rates(x, f, "net0_rx", T0, 7, net0);
	assert_rates(x, f, "net1_rx", T0, 7, net1);
	assert_rates(x, f, "netr_rx", T0, 7, rest);
	assert_rates(x, f, "netr_tx", T0, 7, rest_tx);
	end(x);
}

/* A ring that no store has read from yet. */
static void fresh_ring(struct fixture *x, uint64_t size)
{
	_cleanup_free_ char *path = config_run_path(x->config, "recent");
	struct error err;

	ring_close(x->ring);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ring_create(path, size, &x->ring, NULL, &err), 0);
}

static void test_replay(void **state)
{
	struct fixture *x = &the_fixture;
	char *dump[2];
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 30; i++)
			cpu_cycle(x, a, i < 17 ? 1 : 2, (T0 + 10 * i) * SEC + 654321, i * SEC);
		open_store(x);
		flush(x);
		assert_int_equal(x->store->stats.samples, round ? 0 : 30);
		assert_int_equal(x->store->stats.skipped, round ? 30 : 0);
		dump[round] = output("rrdtool dump %s/data/rrd/%s", x->dir, file_of("a", a));
		close_store(x);
		fresh_ring(x, RING_SIZE);
	}
	assert_true(strstr(dump[0], "<database>"));
	assert_int_equal(strcmp(dump[0], dump[1]), 0);
	free(dump[0]);
	free(dump[1]);
	end(x);
}

static void damage(struct fixture *x, const char *file, const char *how, off_t at)
{
	_cleanup_free_ char *path = format_string("%s/data/rrd/%s", x->dir, file);
	_cleanup_close_ int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	if (how)
		assert_int_equal(pwrite(fd, how, 8, at), 8);
	else
		assert_int_equal(ftruncate(fd, at), 0);
}

static void test_damaged(void **state)
{
	struct fixture *x = &the_fixture;
	const double after[] = {0.1, 0.1};
	char kept[128];
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	snprintf(kept, sizeof(kept), "%s.damaged-*", file_of("a", a));
	for (uint64_t round = 0; round < 4; round++) {
		open_store(x);
		for (uint64_t i = 0; i < 4; i++)
			cpu_cycle(
				x, a, 1, (T0 + 100 * round + 10 * i) * SEC, (round * 10 + i) * SEC);
		flush(x);
		assert_int_equal(x->store->stats.quarantined, round ? 1 : 0);
		assert_int_equal(count_files(x, kept), round);
		assert_rates(x, file_of("a", a), "cpu_usage", T0 + 100 * round + 10, 2, after);
		close_store(x);
		if (round == 0)
			damage(x, file_of("a", a), "not RRD.", 0);
		else if (round == 1)
			damage(x, file_of("a", a), NULL, 100000);
		else
			damage(x, file_of("a", a), NULL, 0);
	}
	end(x);
}

/* An older loadcell's file with two data sources, one of which no table has any more. */
static void test_new_sources(void **state)
{
	struct fixture *x = &the_fixture;
	const double rates[] = {0.1, 0.1, 0.1}, old[] = {0.7, 0.7}, memory[] = {1000000, 1000000};
	bool root = getuid() == 0;
	struct stat st;
	uint32_t a, b;

	begin(x, "");
	a = instance(x, "a");
	b = instance(x, "b");
	const char *f = file_of("a", a);

	assert_true(command("mkdir -p %s/data/rrd; cd %s/data/rrd; for f in %s %s; do "
			    "rrdtool create $f -s 10 -b %ju DS:gone:GAUGE:25:U:U "
			    "DS:cpu_usage:DDERIVE:25:0:U RRA:AVERAGE:0.5:1:100 && "
			    "rrdtool update $f %ju:1:3 %ju:1:10 %ju:1:17 && chmod 600 $f; done; "
			    "%s",
		x->dir, x->dir, f, file_of("b", b), (uintmax_t)T0 - 100, (uintmax_t)T0 - 20,
		(uintmax_t)T0 - 10, (uintmax_t)T0, root ? "chgrp 12345 *.rrd" : ":"));
	for (uint64_t i = 1; i < 7; i++) {
		cycle(x, (T0 + 10 * i) * SEC, 10);
		clear(x);
		set(x, METRIC_CPU_USAGE, 16 * SEC + i * SEC);
		set(x, METRIC_MEMORY_USAGE, 1000000);
		add(x, SCOPE_INSTANCE, a, 0, 1);
		add(x, SCOPE_INSTANCE, b, 0, 1);
		commit(x);
	}
	open_store(x);
	flush(x);
	/* One file at most is rewritten in a flush; the other has its known column filled. */
	_cleanup_free_ char *count =
		output("cd %s/data/rrd; for f in *.rrd; do rrdtool info $f; done | "
		       "grep -c 'mem_usage.*type'",
			x->dir);

	assert_int_equal(strtol(count, NULL, 10), 1);
	cpu_cycle(x, a, 1, (T0 + 70) * SEC, 23 * SEC);
	cpu_cycle(x, b, 1, (T0 + 80) * SEC, 24 * SEC);
	flush(x);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? file_of("b", b) : f;
		_cleanup_free_ char *path = format_string("%s/data/rrd/%s", x->dir, name);

		assert_rates(x, name, "cpu_usage", T0 - 20, 2, old);
		assert_rates(x, name, "cpu_usage", T0 + 20, 3, rates);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_true(!root || st.st_gid == 12345);
	}
	assert_rates(x, a < b ? f : file_of("b", b), "mem_usage", T0 + 20, 2, memory);
	assert_int_equal(count_files(x, "*.keep"), 0);
	end(x);
}

static void test_changed_step(void **state)
{
	struct fixture *x = &the_fixture;
	double got[8];
	char kept[128];
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	snprintf(kept, sizeof(kept), "%s.step-10", file_of("a", a));
	for (uint64_t i = 0; i < 4; i++)
		cpu_cycle(x, a, 1, (T0 + 10 * i) * SEC, i * SEC);
	for (uint64_t i = 0; i < 5; i++) {
		cycle(x, (T0 + 40 + 5 * i) * SEC, 5);
		clear(x);
		set(x, METRIC_CPU_USAGE, 4 * SEC + i * SEC);
		add(x, SCOPE_INSTANCE, a, 0, 1);
		commit(x);
	}
	open_store(x);
	flush(x);
	assert_int_equal(x->store->stats.samples, 9);
	assert_int_equal(x->store->table.files, 2);
	assert_rates(x, kept, "cpu_usage", T0, 2, (double[]){0.1, 0.1});
	assert_int_equal(
		fetch(x, file_of("a", a), "cpu_usage", "AVERAGE", 5, T0 + 40, T0 + 60, got, 8), 4);
	for (int i = 0; i < 4; i++)
		assert_near(got[i], 0.2);
	end(x);
}

static void test_clock(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t now = (uint64_t)time(NULL) / 10 * 10;
	const double rates[] = {0.1, 0.1};
	char kept[128];
	uint32_t a, b;

	begin(x, "");
	a = instance(x, "a");
	b = instance(x, "b");
	open_store(x);
	/* Back by 30 s: four samples are not stored, and the ring's cursor goes on. */
	for (uint64_t i = 0; i < 6; i++)
		cpu_cycle(x, a, 1, (now - 1000 + 10 * i) * SEC, i * SEC);
	for (uint64_t i = 0; i < 7; i++)
		cpu_cycle(x, a, 1, (now - 1000 + 10 * (i + 3)) * SEC, (i + 6) * SEC);
	flush(x);
	assert_int_equal(x->store->stats.skipped, 3);
	assert_int_equal(x->store->stats.samples, 10);
	assert_rates(x, file_of("a", a), "cpu_usage", now - 930, 2, rates);
	/* Two hours ahead, then right. */
	cpu_cycle(x, b, 1, (now + 7200) * SEC, SEC);
	cpu_cycle(x, b, 1, (now + 7210) * SEC, SEC);
	flush(x);
	for (uint64_t i = 0; i < 4; i++)
		cpu_cycle(x, b, 1, (now + 10 * i) * SEC, i * SEC);
	flush(x);
	snprintf(kept, sizeof(kept), "%s.future-%ju", file_of("b", b), (uintmax_t)now + 7210);
	assert_int_equal(count_files(x, kept), 1);
	assert_rates(x, file_of("b", b), "cpu_usage", now + 10, 2, rates);
	end(x);
}

static uint64_t cursor_of(struct fixture *x)
{
	struct ring_status st;

	ring_status(x->ring, &st);
	return st.cursor_seq;
}

static void cycles_of(struct fixture *x, const uint32_t *number, size_t n, uint64_t *i, int cycles)
{
	for (uint64_t end = *i + (uint64_t)cycles; *i < end; (*i)++) {
		cycle(x, (T0 + 10 * *i) * SEC, 10);
		clear(x);
		set(x, METRIC_CPU_USAGE, *i * SEC);
		for (size_t k = 0; k < n; k++)
			add(x, SCOPE_INSTANCE, number[k], 0, 1);
		commit(x);
	}
}

/* A file that cannot grow stands for a full disk. */
static void test_full_disk(void **state)
{
	struct fixture *x = &the_fixture;
	const double rates[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
	struct rlimit old, small;
	uint64_t cursor, i = 0;
	uint32_t number[2];
	const char *a, *b;
	struct error err;

	begin(x, "");
	number[0] = instance(x, "a");
	number[1] = instance(x, "b");
	a = file_of("a", number[0]);
	b = file_of("b", number[1]);
	signal(SIGXFSZ, SIG_IGN);
	cycles_of(x, number, 1, &i, 4);
	open_store(x);
	flush(x);
	cursor = cursor_of(x);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){1 * MIB, old.rlim_max};
	for (int round = 0; round < 3; round++) {
		cycles_of(x, number, 2, &i, 2);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_true(store_flush(x->store) < 0);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_non_null(strstr(x->store->error.text, b));
		assert_non_null(strstr(x->store->error.text, "File too large"));
		/* A ring that has grown meanwhile is found all the same. */
		if (round == 1)
			assert_int_equal(ring_resize(x->ring, 2 * RING_SIZE, &err), 0);
	}
	/* What has a file is stored, nothing half made is left, the ring keeps the rest. */
	assert_rates(x, a, "cpu_usage", T0 + 10, 7, rates);
	assert_int_equal(count_files(x, "*.rrd*"), 1);
	assert_int_equal(count_files(x, "*.new*"), 0);
	assert_int_equal(cursor_of(x), cursor);
	flush(x);
	assert_int_equal(cursor_of(x), cursor + 6);
	assert_rates(x, b, "cpu_usage", T0 + 50, 4, rates);
	end(x);
}

static uint64_t pending_of(struct fixture *x)
{
	struct ring_status st;

	ring_status(x->ring, &st);
	return st.next_seq - st.cursor_seq;
}

static uint64_t lost_of(struct fixture *x)
{
	struct ring_status st;

	ring_status(x->ring, &st);
	return st.lost;
}

/* A link in its place, that is not followed: neither damaged nor anybody else's trouble. */
static void test_one_bad_file(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t i = 0, cursor;
	uint32_t number[3];
	const char *a;

	begin(x, "");
	fresh_ring(x, 64 * 1024); /* 128 records */
	for (int n = 0; n < 2; n++)
		number[n] = instance(x, n == 0 ? "a" : "b");
	a = file_of("a", number[0]);
	open_store(x);
	cycles_of(x, number, 1, &i, 1);
	flush(x);
	cursor = cursor_of(x);
	assert_true(command("cd %s/data/rrd && mv %s ../saved && ln -s ../saved %s", x->dir, a, a));
	/* When nothing is stored it may be the disk: all waits, as long as the ring has it. */
	cycles_of(x, number, 1, &i, 70);
	assert_true(store_flush(x->store) < 0);
	assert_non_null(strstr(x->store->error.text, a));
	assert_int_equal(x->store->stats.errors, 1);
	assert_int_equal(cursor_of(x), cursor);
	/* Beside another one it is its own trouble, and the ring does not overflow for it. */
	for (int round = 1; round <= 10; round++) {
		cycles_of(x, number, 2, &i, 20);
		assert_true(store_flush(x->store) < 0);
		assert_int_equal(x->store->stats.errors, 1 + round);
		assert_int_equal(x->store->stats.samples, 1 + 20 * round);
		assert_true(pending_of(x) <= 64);
	}
	assert_int_equal(lost_of(x), 0);
	/* What still waits comes with it when it is back. */
	assert_int_equal(pending_of(x), 20);
	assert_true(command("cd %s/data && mv saved rrd/%s", x->dir, a));
	flush(x);
	assert_int_equal(x->store->stats.samples, 1 + 20 * 10 + 20);
	assert_int_equal(pending_of(x), 0);
	end(x);
}

/* A file that cannot be made keeps no other from being made. */
static void test_one_not_made(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t number[2];
	uint64_t i = 0;
	char bad;

	begin(x, "");
	number[0] = instance(x, "a");
	number[1] = instance(x, "b");
	bad = number[0] < number[1] ? 'a' : 'b';
	open_store(x);
	assert_true(command(
		"mkdir -p %s/data/rrd/%c.%u.rrd.new/x", x->dir, bad, MIN(number[0], number[1])));
	cycles_of(x, number, 2, &i, 4);
	assert_true(store_flush(x->store) < 0);
	assert_int_equal(x->store->stats.samples, 4);
	assert_int_equal(pending_of(x), 4);
	assert_true(command("rm -r %s/data/rrd/*.new", x->dir));
	flush(x);
	assert_int_equal(x->store->stats.samples, 8);
	assert_int_equal(pending_of(x), 0);
	end(x);
}

static void full_cycle(struct fixture *x, const uint32_t *number, uint64_t i)
{
	cycle(x, (T0 + 10 * i) * SEC, 10);
	clear(x);
	set(x, METRIC_CPU_USAGE, i * SEC);
	for (int n = 0; n < 3; n++)
		add(x, SCOPE_INSTANCE, number[n], 0, 1);
	commit(x);
}

/* In a mount namespace of its own; returns the line that failed. */
static int on_small_disk(struct fixture *x, const uint32_t *number)
{
	_cleanup_free_ char *data = format_string("%s/data", x->dir);
	struct error err;
	struct rrd_view view;

#define NEED(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			return __LINE__;                                                           \
	} while (0)
	NEED(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	NEED(mount("none", data, "tmpfs", 0, "size=40M") == 0);
	NEED(command("cp %s/index %s/", x->dir, data));
	NEED(store_open(x->config, &x->store, &err) == 0);
	for (uint64_t i = 0; i < 3; i++)
		full_cycle(x, number, i);
	/* Two files of 14.8 MB fit. */
	for (uint64_t i = 3; i < 6; i++) {
		NEED(store_flush(x->store) < 0 && strstr(x->store->error.text, "No space left"));
		NEED(x->store->table.files == 2 && cursor_of(x) == 1);
		full_cycle(x, number, i);
	}
	NEED(x->store->stats.samples == 2 * 5);
	NEED(mount("none", data, NULL, MS_REMOUNT, "size=100M") == 0);
	NEED(store_flush(x->store) == 0);
	NEED(x->store->stats.samples == 3 * 6 && cursor_of(x) == 7);
	for (int n = 0; n < 3; n++) {
		NEED(rrd_file_look(x->store, store_table_find(&x->store->table, number[n])->name,
			     &x->store->layout[LAYOUT_INSTANCE], NULL, &view, &err) == 0);
		NEED(view.last_us == (T0 + 50) * 1000000);
	}
	return 0;
}

static bool write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool own_mounts(void)
{
	_cleanup_free_ char *uid = format_string("0 %u 1", getuid());
	_cleanup_free_ char *gid = format_string("0 %u 1", getgid());

	if (getuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid);
}

static void test_really_full_disk(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t number[3];
	int status;
	pid_t pid;

	begin(x, "data_max = 1000M\n");
	for (int n = 0; n < 3; n++)
		number[n] = instance(x, n == 0 ? "a" : n == 1 ? "b" : "c");
	assert_true(command("cp %s/data/index %s/", x->dir, x->dir));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!own_mounts())
			_exit(254);
		status = on_small_disk(x, number);
		if (status)
			fprintf(stderr, "line %d: %s\n", status,
				x->store ? x->store->error.text : "");
		_exit(status != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	end(x);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 254) {
		puts("skip: cannot: no mount namespace for a small disk");
		skip();
	}
	assert_int_equal(status, 0);
}

static void test_data_max(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t a[4];
	char name[16];

	/* Room for three files of 14.8 MB. */
	begin(x, "data_max = 50M\n");
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "i%d", i);
		a[i] = instance(x, name);
	}
	open_store(x);
	for (uint64_t i = 0; i < 3; i++)
		cpu_cycle(x, a[i], 1, (T0 + 10 * i) * SEC, 0);
	flush(x);
	assert_int_equal(x->store->table.files, 3);
	/* All three are alive in this flush and the next: the fourth is refused. */
	cycle(x, (T0 + 30) * SEC, 10);
	clear(x);
	for (int i = 0; i < 4; i++)
		add(x, SCOPE_INSTANCE, a[i], 0, 1);
	commit(x);
	flush(x);
	assert_int_equal(x->store->stats.refused, 1);
	assert_int_equal(x->store->stats.removed, 0);
	assert_int_equal(x->store->table.files, 3);
	/* Only the third and fourth live on; the first one's last sample is older. */
	cpu_cycle(x, a[1], 1, (T0 + 40) * SEC, 0);
	flush(x);
	for (uint64_t i = 5; i < 8; i++) {
		cycle(x, (T0 + 10 * i) * SEC, 10);
		clear(x);
		add(x, SCOPE_INSTANCE, a[2], 0, 1);
		add(x, SCOPE_INSTANCE, a[3], 0, 1);
		commit(x);
		flush(x);
	}
	assert_int_equal(x->store->stats.refused, 0);
	assert_int_equal(x->store->stats.removed, 1);
	assert_int_equal(count_files(x, "i0.*"), 0);
	assert_int_equal(count_files(x, "i[123].*"), 3);
	assert_true(x->store->table.bytes < 50 * MIB);
	end(x);
}

static void test_many_ended(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t start;
	uint32_t a;

	begin(x, "data_max = 40M\n");
	a = instance(x, "a");
	assert_true(
		command("mkdir -p %s/data/rrd && cd %s/data/rrd && for i in $(seq 10000); do "
			"echo >e$i.$i.rrd; done; touch -d 2001-01-01 e7777.7777.rrd; echo >mine",
			x->dir, x->dir));
	assert_int_equal(count_files(x, "e*.rrd"), 10000);
	open_store(x);
	assert_int_equal(x->store->table.files, 10000);
	/* 40 MB of small files and 14.8 MB of a new one: the oldest go. */
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	start = now_ns(CLOCK_MONOTONIC);
	flush(x);
	assert_true(now_ns(CLOCK_MONOTONIC) - start < 10 * SEC);
	assert_int_equal(count_files(x, "a.*.rrd"), 1);
	assert_int_equal(count_files(x, "mine"), 1);
	assert_int_equal(count_files(x, "e7777.*"), 0);
	assert_in_range(count_files(x, "e*.rrd"), 5000, 7000);
	assert_in_range(x->store->table.bytes, 30 * MIB, 40 * MIB);
	end(x);
}

/* A header that an interrupted update left half changed is put back. */
static void test_undo(void **state)
{
	struct fixture *x = &the_fixture;
	const double rates[] = {0.1, 0.1, 0.1, 0.1};
	struct rrd_view view;
	struct error err;
	uint32_t a;

	begin(x, "");
	a = instance(x, "a");
	open_store(x);
	for (uint64_t i = 0; i < 3; i++)
		cpu_cycle(x, a, 1, (T0 + 10 * i) * SEC, i * SEC);
	flush(x);
	const char *f = file_of("a", a);

	for (int death = 1; death <= 3; death++) {
		assert_int_equal(
			rrd_file_look(x->store, f, &x->store->layout[0], NULL, &view, &err), 0);
		undo_begin(x->store->undo, f, view.inode, view.header_len);
		if (death > 1)
			undo_note_fault(x->store->undo);
		close_store(x);
		damage(x, f, "\1\2\3\4\5\6\7\7", 9000);
		damage(x, f, "\1\2\3\4\5\6\7\7", 4400);
		open_store(x);
		assert_int_equal(x->store->stats.quarantined, death == 3);
		if (death == 3)
			break;
	}
	end(x);
	begin(x, "");
	a = instance(x, "a");
	open_store(x);
	for (uint64_t i = 0; i < 3; i++)
		cpu_cycle(x, a, 1, (T0 + 10 * i) * SEC, i * SEC);
	flush(x);
	f = file_of("a", a);
	assert_int_equal(rrd_file_look(x->store, f, &x->store->layout[0], NULL, &view, &err), 0);
	undo_begin(x->store->undo, f, view.inode, view.header_len);
	close_store(x);
	/* Not the counters of the samples before, but those of librrd half way. */
	assert_true(command("rrdtool update %s/data/rrd/%s -t cpu_usage %ju:1000", x->dir, f,
		(uintmax_t)T0 + 30));
	open_store(x);
	for (uint64_t i = 3; i < 6; i++)
		cpu_cycle(x, a, 1, (T0 + 10 * i) * SEC, i * SEC);
	flush(x);
	assert_rates(x, f, "cpu_usage", T0 + 10, 4, rates);
	end(x);
}

#define KILLED 6
static void kill_cycle(struct fixture *x, const uint32_t *number, uint64_t i)
{
	cycle(x, (T0 + 10 * i) * SEC + i % 7 * 1000000, 10);
	/* The last two come later: their files are made while the store is killed. */
	for (uint64_t n = 0; n < KILLED - (i < 24 ? 2 : 0); n++) {
		clear(x);
		set(x, METRIC_CPU_USAGE, (i * (n + 3) % 1000) * SEC);
		set(x, METRIC_IO_READ_BYTES, i * i * (n + 1));
		set(x, METRIC_MEMORY_USAGE, i * 100 + n);
		add(x, SCOPE_INSTANCE, number[n], 0, 1 + (i + n) / 50);
		add_interface(x, number[n], 0, 5, i * 100, i * n);
	}
	commit(x);
}

/* True when it died in the middle of an update of a file. */
static bool kill_a_flush(struct fixture *x, unsigned int *seed)
{
	_cleanup_free_ char *undo = config_run_path(x->config, "store.undo");
	uint32_t begin_of_undo[3] = {0};
	_cleanup_close_ int fd = -1;
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
		pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	/* Some while files are made, most while they are updated. */
	usleep(rand_r(seed) % (rand_r(seed) % 8 ? 3000 : 200000));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	fd = open(undo, O_RDONLY);
	assert_int_equal(read(fd, begin_of_undo, sizeof(begin_of_undo)), sizeof(begin_of_undo));
	return begin_of_undo[2];
}

#define ROWS                                                                                       \
	"cd %s/data/rrd && for f in *.rrd; do echo $f; for s in 'AVERAGE -r 10' 'MAX -r 300'; do " \
	"rrdtool fetch $f $s -s %ju -e %ju; done; "                                                \
	"rrdtool info $f | grep -v -e cur_row -e filename; done"

static void test_killed(void **state)
{
	struct fixture *x = &the_fixture;
	unsigned int seed = 4711;
	uint32_t number[KILLED];
	uint64_t i = 0;
	int halfway = 0;
	char name[16];

	begin(x, "");
	for (int n = 0; n < KILLED; n++) {
		snprintf(name, sizeof(name), "k%d", n);
		number[n] = instance(x, name);
	}
	while (i < 24)
		kill_cycle(x, number, i++);
	open_store(x);
	flush(x);
	close_store(x);
	/* On a busy machine most deaths come before the first update: go on until some hit. */
	for (int death = 0; death < 100 || (halfway < 3 && death < 1000); death++) {
		for (int n = 0; n < 24; n++)
			kill_cycle(x, number, i++);
		halfway += kill_a_flush(x, &seed);
	}
	/* Else this test would show nothing. */
	assert_true(halfway >= 3);
	open_store(x);
	flush(x);
	assert_int_equal(x->store->table.files, KILLED);
	assert_int_equal(x->store->stats.quarantined, 0);
	close_store(x);
	uintmax_t to = T0 + 10 * i + 20;
	_cleanup_free_ char *got = output(ROWS, x->dir, (uintmax_t)T0, to);

	/* The same samples in one go. */
	assert_int_equal(count_files(x, "*"), KILLED + 1);
	assert_true(command("rm -r %s/data/rrd %s/run/store.undo", x->dir, x->dir));
	fresh_ring(x, RING_SIZE);
	for (uint64_t k = 0; k < i; k++)
		kill_cycle(x, number, k);
	open_store(x);
	flush(x);
	assert_int_equal(x->store->stats.samples, KILLED * i - 2 * 24);
	_cleanup_free_ char *expected = output(ROWS, x->dir, (uintmax_t)T0, to);

	assert_true(strlen(expected) > 100000);
	assert_int_equal(strcmp(got, expected), 0);
	end(x);
}

/* An index that could not be saved leaves no name; what has one is stored. */
static void test_unnamed(void **state)
{
	struct fixture *x = &the_fixture;
	const struct index_entry *e;
	uint32_t number[2];
	uint64_t i = 0;

	begin(x, "");
	fresh_ring(x, 64 * 1024); /* 128 records */
	number[0] = instance(x, "a");
	assert_true(index_assign(x->index, "/var/lib/lxc", "b", &e) >= 0);
	number[1] = e->number;
	open_store(x);
	for (int round = 1; round <= 3; round++) {
		cycles_of(x, number, 2, &i, 20);
		assert_true(store_flush(x->store) < 0);
		assert_non_null(strstr(x->store->error.text, "is not in the index"));
		assert_int_equal(x->store->stats.errors, round);
		assert_int_equal(x->store->stats.samples, 20 * round);
		assert_int_equal(pending_of(x), 20 * round);
	}
	assert_int_equal(index_save(x->index, NULL, NULL), 0);
	flush(x);
	assert_int_equal(x->store->stats.samples, 120);
	assert_int_equal(pending_of(x), 0);
	/* One that never gets a name does not fill the ring. */
	number[1] = 4242;
	for (int round = 0; round < 8; round++) {
		cycles_of(x, number, 2, &i, 20);
		assert_true(store_flush(x->store) < 0);
	}
	assert_int_equal(lost_of(x), 0);
	assert_int_equal(x->store->table.files, 2);
	end(x);
}

/* The program: flush, a second store that waits for the first, the end of either kind. */
static void test_process(void **state)
{
	struct fixture *x = &the_fixture;
	struct pollfd quiet = {.events = POLLIN};
	int first, second;
	uint32_t a;
	pid_t p1, p2;

	begin(x, "");
	a = instance(x, "a");
	/* What else is below data_dir counts as used. */
	assert_true(command("head -c 20M /dev/zero >%s/data/events", x->dir));
	p1 = start_process(x, &first);
	cpu_cycle(x, a, 1, T0 * SEC, 0);
	send_text(first, "{\"op\":\"flush\",\"id\":42}");
	expect(first, "{\"op\":\"flushed\",\"id\":42,\"error\":null}");
	expect(first, "\"files\":1,\"bytes\":357");
	p2 = start_process(x, &second);
	cpu_cycle(x, a, 1, (T0 + 10) * SEC, SEC);
	send_text(second, "{\"op\":\"flush\",\"id\":43}");
	quiet.fd = second;
	assert_int_equal(poll(&quiet, 1, 500), 0);
	close(first);
	expect_end(p1);
	expect(second, "\"id\":43,\"error\":null");
	expect(second, "\"samples\":1,\"skipped\":0");
	cpu_cycle(x, a, 1, (T0 + 20) * SEC, 2 * SEC);
	kill(p2, SIGTERM);
	expect_end(p2);
	close(second);
	assert_rates(x, file_of("a", a), "cpu_usage", T0, 2, (double[]){0.1, 0.1});
	end(x);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_sources),
		TEST(test_precision),
		TEST(test_restart),
		TEST(test_gap),
		TEST(test_restart_every_second),
		TEST(test_store_restart),
		TEST(test_interfaces),
		TEST(test_replay),
		TEST(test_damaged),
		TEST(test_new_sources),
		TEST(test_changed_step),
		TEST(test_clock),
		TEST(test_full_disk),
		TEST(test_one_bad_file),
		TEST(test_one_not_made),
		TEST(test_really_full_disk),
		TEST(test_data_max),
		TEST(test_many_ended),
		TEST(test_undo),
		TEST(test_killed),
		TEST(test_unnamed),
		TEST(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
