/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rrd.h>

#include "../../graph/fetch.h"
#include "../../graph/rows.h"
#include "../../lib/when.h"
#include "store-fixture.h"

/*
 * What graph/fetch gives against what rrdtool(1) reads from the same files, and against rates
 * worked out by hand where the ring goes on after them.
 */

static struct fetch *open_fetch(struct fixture *x)
{
	struct fetch *f = NULL;
	struct error err = {""};

	if (fetch_open(x->config, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

static void query(struct fetch *f, const struct fetch_query *q, struct series *s)
{
	struct error err = {""};

	if (fetch_series(f, q, s, &err) < 0)
		fail_msg("%s", err.text);
}

/* All rows of one data source as rrdtool has them are those of the fetch, bit for bit. */
static void assert_as_rrdtool(struct fixture *x, struct fetch *f, const char *file, uint32_t index,
	unsigned int metric, const char *ds, const char *cf, uint64_t step, uint64_t from,
	uint64_t to)
{
	static double want[20000];
	_cleanup_(series_free) struct series s = {0};
	struct fetch_query q = {index, &metric, 1,
		strcmp(cf, "MAX") != 0 ? FETCH_AVERAGE : FETCH_MAXIMUM, from, to, step};
	size_t n = fetch(
		x, file, ds, step == 10 ? "AVERAGE" : cf, step, from, to, want, ARRAY_SIZE(want));
	size_t known = 0;

	query(f, &q, &s);
	assert_int_equal(s.n, n);
	assert_int_equal(s.start_s, from);
	for (size_t i = 0; i < n; i++) {
		/* rrdtool prints ten digits behind the point of the mantissa. */
		if (isnan(want[i]) != isnan(s.values[i]) ||
			fabs(want[i] - s.values[i]) > fabs(want[i]) * 1e-10)
			fail_msg("%s %s of step %ju at %ju: %.12g is not %.12g", ds, cf,
				(uintmax_t)step, (uintmax_t)(from + (i + 1) * step), s.values[i],
				want[i]);
		known += !isnan(want[i]);
	}
	assert_true(known > 0);
}

/* Three hours of cycles with a gap of ten minutes, stored; then `more` that are in the ring only.
 */
#define CYCLES 1080
static uint64_t cpu_ns_at(uint64_t i)
{
	return i * 3 * SEC + i * i * 1234567;
}

static void put_cycle(struct fixture *x, uint32_t a, uint64_t i)
{
	cycle(x, (T0 + 10 * i) * SEC, 10);
	clear(x);
	set(x, METRIC_CPU_USAGE, cpu_ns_at(i));
	set(x, METRIC_MEMORY_USAGE, (UINT64_C(1) << 33) + i * i * 7919);
	set(x, METRIC_MEMORY_WORKING_SET, i * 1000);
	set(x, METRIC_NETWORK_RECEIVE_BYTES, i * 3000);
	set(x, METRIC_PIDS_CURRENT, i % 97);
	set(x, METRIC_PIDS_LIMIT, 500);
	set(x, METRIC_CPU_LIMIT, i < 500 ? 2 * SEC : 8 * SEC);
	x->values[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
	add(x, SCOPE_INSTANCE, a, 0, 1);
	add_interface(x, a, 0, 1, i * 1000, i * 10);
	add_interface(x, a, 1, 2, i * 2000, i * 20);
	clear(x);
	set(x, METRIC_HOST_CPU_USER, i * 20 * SEC);
	set(x, METRIC_HOST_CPU_SYSTEM, i * 5 * SEC);
	set(x, METRIC_HOST_CPUS, 4 * SEC);
	set(x, METRIC_HOST_MEMORY_TOTAL, 2000000);
	add(x, SCOPE_HOST, 0, 0, 9);
	commit(x);
}

static uint32_t fill(struct fixture *x, uint64_t more)
{
	uint32_t a;

	begin(x, "");
	a = instance(x, "web 01");
	open_store(x);
	for (uint64_t i = 0; i < CYCLES; i++)
		if (i < 400 || i >= 460)
			put_cycle(x, a, i);
	flush(x);
	for (uint64_t i = 0; i < more; i++)
		put_cycle(x, a, CYCLES + i);
	return a;
}

static void test_as_rrdtool(void **state)
{
	static const struct {
		unsigned int metric;
		const char *ds;
	} sources[] = {
		{METRIC_CPU_USAGE, "cpu_usage"},
		{METRIC_CPU_USED_CORES, "cpu_usage"},
		{METRIC_MEMORY_USAGE, "mem_usage"},
		{METRIC_PIDS_CURRENT, "pids"},
		{METRIC_CPU_LIMIT, "cpu_limit"},
	};
	struct fixture *x = &the_fixture;
	uint32_t a = fill(x, 0);
	const char *file = file_of("web%2001", a);
	struct fetch *f = open_fetch(x);
	uint64_t last = T0 + 10 * (CYCLES - 1);

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const char *ds = sources[i].ds;
		unsigned int m = sources[i].metric;

		assert_as_rrdtool(x, f, file, a, m, ds, "AVERAGE", 10, T0 - 600, last);
		assert_as_rrdtool(x, f, file, a, m, ds, "MAX", 10, T0 - 600, last);
		assert_as_rrdtool(
			x, f, file, a, m, ds, "AVERAGE", 300, T0 - 600, last - last % 300);
		assert_as_rrdtool(x, f, file, a, m, ds, "MAX", 300, T0 - 600, last - last % 300);
		assert_as_rrdtool(
			x, f, file, a, m, ds, "AVERAGE", 3600, T0 - 7200, last - last % 3600);
		assert_as_rrdtool(x, f, file, a, m, ds, "MAX", 3600, T0 - 7200, last - last % 3600);
	}
	fetch_close(f);
	/* The same from the archive. */
	assert_true(command("mkdir -p %s/data/archive && gzip '%s/data/rrd/%s' && mv "
			    "'%s/data/rrd/%s.gz' %s/data/archive",
		x->dir, x->dir, file, x->dir, file, x->dir));
	assert_int_equal(count_files(x, file), 0);
	f = open_fetch(x);
	assert_true(command(
		"gzip -dc '%s/data/archive/%s.gz' >'%s/data/rrd/copy.rrd'", x->dir, file, x->dir));
	assert_as_rrdtool(
		x, f, "copy.rrd", a, METRIC_CPU_USAGE, "cpu_usage", "AVERAGE", 10, T0 - 600, last);
	fetch_close(f);

	end(x);
}

/* One metric over a time, as a new array of n doubles. */
static struct series one(struct fetch *f, uint32_t index, unsigned int metric, enum fetch_what what,
	uint64_t from, uint64_t to, uint64_t step)
{
	struct fetch_query q = {index, &metric, 1, what, from, to, step};
	struct series s;

	query(f, &q, &s);
	return s;
}

static void assert_value(double got, double want)
{
	if (isnan(got) != isnan(want) || (!isnan(want) && fabs(got - want) > fabs(want) * 1e-9))
		fail_msg("%.12g is not %.12g", got, want);
}

/* Behind the last row of the file, whichever its step is, the ring goes on without a seam. */
static void test_ring_tail(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t a = fill(x, 40);
	uint64_t last = T0 + 10 * (CYCLES + 39);
	struct fetch *f = open_fetch(x);
	struct series s =
		one(f, a, METRIC_CPU_USED_CORES, FETCH_AVERAGE, last - 600, last + 20, 10);

	assert_int_equal(s.n, 62);
	assert_int_equal(s.resolution_s, 10);
	/* The file knows all up to the last cycle that was flushed. */
	assert_int_equal(s.ring_since_s, T0 + 10 * (CYCLES - 1));
	for (uint64_t i = 0; i < 60; i++) {
		uint64_t k = CYCLES - 20 + i; /* the cycle before the end of point i */

		assert_value(s.values[i], (double)(cpu_ns_at(k) - cpu_ns_at(k - 1)) / 1e10);
	}
	assert_value(s.values[60], NAN);
	series_free(&s);
	/* A limit that is stored, a gauge that is not, and one that the run does not have. */
	s = one(f, a, METRIC_CPU_LIMIT, FETCH_AVERAGE, last - 600, last, 10);
	assert_value(s.values[0], 8);
	assert_value(s.values[59], 8);
	series_free(&s);
	s = one(f, a, METRIC_PIDS_LIMIT, FETCH_AVERAGE, T0, last, 10);
	assert_value(s.values[s.n - 1], 500);
	series_free(&s);
	s = one(f, a, METRIC_MEMORY_LIMIT, FETCH_AVERAGE, last - 600, last, 10);
	assert_value(s.values[59], NAN);
	series_free(&s);
	/* Coarse points: whole rows, then finer ones, then the ring; the last has not ended yet. */
	s = one(f, a, METRIC_CPU_USED_CORES, FETCH_AVERAGE, T0 + 9000, last, 300);
	for (size_t i = 0; i < s.n; i++) {
		uint64_t from = 900 + 30 * i, to = MIN(from + 30, CYCLES + 39);

		assert_value(s.values[i],
			(double)(cpu_ns_at(to) - cpu_ns_at(from)) / 1e10 / (double)(to - from));
	}
	assert_int_equal(s.n, 8);
	series_free(&s);
	/* The highest step of a coarse point that no row covers yet. */
	s = one(f, a, METRIC_CPU_USED_CORES, FETCH_MAXIMUM, T0 + 10800, last, 3600);
	assert_value(s.values[0], (double)(cpu_ns_at(CYCLES + 39) - cpu_ns_at(CYCLES + 38)) / 1e10);
	series_free(&s);
	fetch_close(f);
	end(x);
}

static void test_sums_and_ratios(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t a = fill(x, 5);
	uint64_t last = T0 + 10 * (CYCLES + 4);
	struct fetch *f = open_fetch(x);
	struct series s =
		one(f, a, METRIC_NETWORK_RECEIVE_BYTES, FETCH_AVERAGE, T0 + 5000, last, 10);

	/* Two interfaces in the file, their sum in the ring. */
	assert_value(s.values[0], 300);
	assert_value(s.values[s.n - 1], 300);
	series_free(&s);
	s = one(f, FETCH_HOST, METRIC_HOST_CPU_USED_CORES, FETCH_AVERAGE, T0, last, 10);
	assert_value(s.values[5], 2.5);
	assert_value(s.values[s.n - 1], 2.5);
	series_free(&s);
	/* Of two cores while the limit was two, of the host's four when it was eight. */
	s = one(f, a, METRIC_CPU_USED_RATIO, FETCH_AVERAGE, T0, last, 10);
	assert_value(s.values[100], (double)(cpu_ns_at(101) - cpu_ns_at(100)) / 1e10 / 2);
	assert_value(s.values[800], (double)(cpu_ns_at(801) - cpu_ns_at(800)) / 1e10 / 4);
	assert_value(s.values[s.n - 1],
		(double)(cpu_ns_at(CYCLES + 4) - cpu_ns_at(CYCLES + 3)) / 1e10 / 4);
	series_free(&s);
	/* Unlimited: of the host's memory. */
	s = one(f, a, METRIC_MEMORY_USED_RATIO, FETCH_AVERAGE, T0, last, 10);
	assert_value(s.values[999], 0.5);
	series_free(&s);
	/* Ten minutes were not measured. They are no point of ten seconds, and none of a minute. */
	s = one(f, a, METRIC_CPU_USED_CORES, FETCH_AVERAGE, T0, last, 60);
	assert_value(s.values[65], (double)(cpu_ns_at(396) - cpu_ns_at(390)) / 6e10);
	for (size_t i = 67; i <= 75; i++)
		assert_value(s.values[i], NAN);
	assert_value(s.values[77], (double)(cpu_ns_at(468) - cpu_ns_at(462)) / 6e10);
	series_free(&s);
	fetch_close(f);
	end(x);
}

static void test_refusals(void **state)
{
	struct fixture *x = &the_fixture;
	uint32_t a = fill(x, 0), unborn = instance(x, "unborn");
	struct fetch *f = open_fetch(x);
	unsigned int m = METRIC_CPU_USAGE;
	struct fetch_query q = {unborn, &m, 1, FETCH_AVERAGE, T0, T0 + 100, 10};
	struct error err = {""};
	struct series s;

	assert_int_equal(fetch_series(f, &q, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "nothing is stored of unborn"));
	series_free(&s);
	q.index = FETCH_HOST;
	assert_int_equal(fetch_series(f, &q, &s, &err), -EINVAL);
	series_free(&s);
	q.index = a;
	q.step_s = 1;
	q.to_s = T0 + 2 * FETCH_VALUES_MAX;
	assert_int_equal(fetch_series(f, &q, &s, &err), -E2BIG);
	series_free(&s);
	q.to_s = T0;
	assert_int_equal(fetch_series(f, &q, &s, &err), -EINVAL);
	series_free(&s);
	q.to_s = T0 + 10800;
	q.step_s = 10;
	/* Behind the header there is room for a few rows, wherever librrd began. */
	assert_true(command("truncate -s 30000 '%s/data/rrd/%s'", x->dir, file_of("web%2001", a)));
	assert_int_equal(fetch_series(f, &q, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "is damaged"));
	series_free(&s);
	assert_true(command("echo no >'%s/data/rrd/%s'", x->dir, file_of("web%2001", a)));
	assert_int_equal(fetch_series(f, &q, &s, &err), -EBADMSG);
	series_free(&s);
	fetch_close(f);
	end(x);
}

/* A step is what is stored so far back, in as many rows as leave no more points than asked for. */
static void test_step(void **state)
{
	struct fixture *x = &the_fixture;
	uint64_t now = now_ns(CLOCK_REALTIME) / SEC;
	struct fetch *f;

	begin(x, "");
	f = open_fetch(x);
	assert_int_equal(fetch_step(f, now - 3600, now, 1000), 10);
	assert_int_equal(fetch_step(f, now - 86400, now, 0), 10);
	assert_int_equal(fetch_step(f, now - 86400, now, 1000), 90);
	assert_int_equal(fetch_step(f, now - 86400, now, 288), 300);
	assert_int_equal(fetch_step(f, now - 3 * 86400, now, 1000), 300);
	assert_int_equal(fetch_step(f, now - 30 * 86400, now, 1000), 2700);
	assert_int_equal(fetch_step(f, now - 60 * 86400, now - 59 * 86400, 1000), 3600);
	assert_int_equal(fetch_step(f, now - 700 * 86400, now, 1000), 17 * 3600);
	fetch_close(f);
	end(x);
}

/* --- times ------------------------------------------------------------------------------------ */

/* As librrd understands them, in its own order of words where it knows one only. */
static void test_when_as_librrd(void **state)
{
	static const char *const texts[][2] = {{"now"}, {"-1d"}, {"-2h"}, {"-90min"}, {"-3w"},
		{"-1mon"}, {"-1y"}, {"now-2h"}, {"now-1d-3h"}, {"now -1h30min"}, {"-100s"},
		{"noon"}, {"midnight"}, {"noon-1h"}, {"03:00"}, {"5pm"}, {"11:30am"},
		{"03:00 yesterday"}, {"noon yesterday"}, {"midnight-1d"}, {"01:30 20240229"},
		{"12:00 Feb 29 2024"}, {"1700006400"}, {"1700006400-1d"}, {"-5 hours"},
		{"-2 weeks"}, {"yesterday 03:00", "03:00 yesterday"},
		{"today 12:15", "12:15 today"}, {"tomorrow 01:00", "01:00 tomorrow"},
		{"yesterday 12:00 -2h", "12:00 yesterday -2h"}, {"20240229", "00:00 20240229"},
		{"29.02.2024", "00:00 29.02.2024"}, {"02/29/2024", "00:00 02/29/2024"}};
	static const char *const zones[] = {"UTC", "Europe/Berlin", "Asia/Kolkata"};

	for (size_t i = 0; i < ARRAY_SIZE(zones) * ARRAY_SIZE(texts); i++) {
		const char *zone = zones[i % ARRAY_SIZE(zones)];
		const char *ours = texts[i / ARRAY_SIZE(zones)][0];
		const char *librrd = texts[i / ARRAY_SIZE(zones)][1];
		struct rrd_time_value from;
		time_t now, want, other;
		uint64_t ns = 0;
		char *complaint;

		setenv("TZ", zone, 1);
		tzset();
		now = time(NULL);
		complaint = rrd_parsetime(librrd ? librrd : ours, &from);
		if (complaint)
			fail_msg("librrd: %s", complaint);
		assert_int_equal(rrd_proc_start_end(&from, &from, &want, &other), 0);
		assert_int_equal(when_parse(ours, (uint64_t)now * SEC, &ns), 0);
		if (llabs((int64_t)(ns / SEC) - want) > 2)
			fail_msg("%s in %s: %jd is not %jd", ours, zone, (intmax_t)(ns / SEC),
				(intmax_t)want);
	}
}

static void assert_when(const char *text, uint64_t now_s, uint64_t want_s)
{
	uint64_t ns = 0;

	if (when_parse(text, now_s * SEC, &ns) < 0)
		fail_msg("%s is refused", text);
	if (ns / SEC != want_s)
		fail_msg("%s: %ju is not %ju", text, (uintmax_t)(ns / SEC), (uintmax_t)want_s);
}

static void test_when(void **state)
{
	/* Berlin, 2024-03-31 12:00:00 CEST; at 2 o'clock it had become 3. */
	const uint64_t spring = 1711879200;
	/* 2024-10-27 02:30:00 CET, half an hour past the second 2 o'clock. */
	const uint64_t autumn = 1729992600;
	static const char *const bad[] = {"", "-", "-1", "--1h", "1h1d", "noon noon", "yesteryear",
		"2026-11-25T", "2026-13-01", "25:00", "now+", "-1fortnight", "Nov", "Nov 2026 25",
		"13pm", "@", "1", "12 0", "2026-11-25T03:12+1", "now now", "-999999999999h"};
	uint64_t ns;

	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	assert_when("-1d", spring, spring - 23 * 3600); /* the same time of day */
	assert_when("-24h", spring, spring - 24 * 3600);
	assert_when("1d", spring, spring - 24 * 3600);
	assert_when("today", spring, spring - 11 * 3600);
	assert_when("yesterday 12:00", spring, spring - 23 * 3600);
	assert_when("now", autumn, autumn);
	assert_when("-30min", autumn, autumn - 1800);
	assert_when("-1h", autumn, autumn - 3600);
	assert_when("2024-03-31T12:00", autumn, spring);
	assert_when("2024-03-31T10:00Z", autumn, spring);
	assert_when("2024-03-31T10:00:00+00:00", autumn, spring);
	assert_when("2024-03-31T05:00-05:00", autumn, spring);
	assert_when("2024-03-31 12:00:00", autumn, spring);
	assert_when("2024-03-31T12:00-1h", autumn, spring - 3600);
	assert_when("@1711879200", autumn, spring);
	assert_when("sunday", spring, spring - 11 * 3600);
	assert_when("Mon 12:00", spring, spring - (6 * 24 - 1) * 3600);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (when_parse(bad[i], spring * SEC, &ns) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
	unsetenv("TZ");
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_as_rrdtool, tear_down),
		cmocka_unit_test_teardown(test_ring_tail, tear_down),
		cmocka_unit_test_teardown(test_sums_and_ratios, tear_down),
		cmocka_unit_test_teardown(test_refusals, tear_down),
		cmocka_unit_test_teardown(test_step, tear_down),
		cmocka_unit_test(test_when_as_librrd),
		cmocka_unit_test(test_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
