/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_as_rrdtool, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
