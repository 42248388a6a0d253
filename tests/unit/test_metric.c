/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/derive.h"
#include "../../lib/metric.h"

#define CORE NSEC_PER_SEC

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && !strcmp(text + a - b, end);
}

/* The ids of the first registry, as they were frozen: this list may only grow. */
static const struct {
	unsigned int id;
	const char *name;
} frozen[] = {
	{1, "cpu_usage_seconds"},
	{2, "cpu_user_seconds"},
	{6, "cpu_throttled_seconds"},
	{7, "cpu_limit_cores"},
	{11, "memory_working_set_bytes"},
	{17, "memory_limit_bytes"},
	{22, "memory_oom_kills"},
	{24, "pids_current"},
	{31, "network_receive_bytes"},
	{44, "cpu_idle_seconds"},
	{50, "starts"},
	{51, "memory_inactive_file_bytes"},
	{52, "interface_receive_bytes"},
	{60, "filesystem_size_bytes"},
	{65, "host_cpu_user_seconds"},
	{90, "instances_running"},
	{98, "collector_cpu_seconds"},
	{119, "store_removed_files"},
	{121, "cpuset_cores"},
};

static void test_ids_are_frozen(void **state)
{
	for (size_t i = 0; i < sizeof(frozen) / sizeof(frozen[0]); i++) {
		const struct metric *m = metric_by_id(frozen[i].id);

		assert_non_null(m);
		assert_string_equal(m->name, frozen[i].name);
		assert_ptr_equal(metric_by_name(frozen[i].name), m);
	}
	assert_null(metric_by_id(0));
	assert_null(metric_by_id(METRIC_ID_END));
	assert_null(metric_by_name("cpu"));
}

static void test_ids_are_dense_and_slots_ascend(void **state)
{
	size_t rows = 0;

	for (unsigned int id = 1; id < METRIC_ID_END; id++) {
		const struct metric *m = metric_by_id(id);

		assert_non_null(m);
		assert_int_equal(m->id, id);
		assert_ptr_equal(metric_at(m->scope, metric_slot(id)), m);
	}
	for (int scope = 0; scope < SCOPE_COUNT; scope++) {
		rows += metric_count(scope);
		for (size_t slot = 1; slot < metric_count(scope); slot++)
			assert_true(metric_at(scope, slot)->id > metric_at(scope, slot - 1)->id);
		assert_null(metric_at(scope, metric_count(scope)));
	}
	assert_int_equal(rows, METRIC_ID_END - 1);
}

static void check_name(const struct metric *m)
{
	static const char *const suffix[] = {
		[UNIT_SECONDS] = "_seconds",
		[UNIT_BYTES] = "_bytes",
		[UNIT_CORES] = "_cores",
		[UNIT_RATIO] = "_ratio",
	};

	for (const char *p = m->name; *p; p++)
		assert_true(islower(*p) || isdigit(*p) || *p == '_');
	if (m->unit != UNIT_COUNT)
		assert_true(ends_with(m->name, suffix[m->unit]));
	else
		for (size_t i = 0; i < 4; i++)
			assert_false(ends_with(m->name, suffix[i]));
}

static void check_source(const struct metric *m, const struct metric_source *s)
{
	if (s->type == SOURCE_NONE) {
		assert_non_null(s->note);
		return;
	}
	if (s->type == SOURCE_DERIVED) {
		assert_non_null(s->note);
		return;
	}
	assert_non_null(s->file);
	assert_true(s->scale > 0);
	if (s->grammar != GRAMMAR_NUMBER && s->grammar != GRAMMAR_CPU_QUOTA &&
		s->grammar != GRAMMAR_CPU_LIST && s->grammar != GRAMMAR_CPU_CFS)
		assert_non_null(s->key);
	if (s->derive)
		assert_non_null(s->note);
}

static void test_every_row_is_whole(void **state)
{
	for (unsigned int id = 1; id < METRIC_ID_END; id++) {
		const struct metric *m = metric_by_id(id);

		check_name(m);
		check_source(m, &m->v1);
		check_source(m, &m->v2);
		assert_true(isupper(m->help[0]));
		assert_true(ends_with(m->help, "."));
		assert_null(strchr(m->help, '\n'));
		for (unsigned int other = 1; other < id; other++)
			assert_string_not_equal(metric_by_id(other)->name, m->name);
	}
}

/* RRD allows 19 characters; an instance has its own rows and three of each interface row. */
static void test_data_sources_fit_an_rrd(void **state)
{
	size_t instance = 0, host = 0;

	for (unsigned int id = 1; id < METRIC_ID_END; id++) {
		const struct metric *m = metric_by_id(id);

		if (!m->ds)
			continue;
		assert_true(strlen(m->ds) <= DS_NAME_MAX);
		assert_int_equal(strncmp(m->ds, "%s_", 3) == 0, m->scope == SCOPE_INTERFACE);
		instance += m->scope == SCOPE_INSTANCE ? 1 : m->scope == SCOPE_INTERFACE ? 3 : 0;
		host += m->scope == SCOPE_HOST;
		for (unsigned int other = 1; other < id; other++) {
			const struct metric *o = metric_by_id(other);

			if (o->ds && o->scope == m->scope)
				assert_string_not_equal(o->ds, m->ds);
		}
	}
	assert_in_range(instance, 20, DS_MAX);
	assert_in_range(host, 10, DS_MAX);
}

/* --- derived values, computed by hand --------------------------------------------------------- */

struct rows {
	struct value now[METRIC_ID_END], before[METRIC_ID_END];
	struct derive_input in;
};

static struct rows *rows_of(void **state)
{
	static struct rows rows;

	memset(&rows, 0, sizeof(rows));
	rows.in.now = rows.now;
	rows.in.before = rows.before;
	rows.in.elapsed_ns = 10 * NSEC_PER_SEC;
	rows.in.host_cpus = value_of(4 * CORE);
	rows.in.host_memory = value_of(16000);
	return &rows;
}

static void set(struct value *row, enum metric_id id, struct value v)
{
	row[metric_slot(id)] = v;
}

static void test_cpu_used_is_the_increase_over_real_time(void **state)
{
	struct rows *r = rows_of(state);

	set(r->before, METRIC_CPU_USAGE, value_of(100 * NSEC_PER_SEC));
	set(r->now, METRIC_CPU_USAGE, value_of(105 * NSEC_PER_SEC));
	assert_int_equal(derive_cpu_used_cores(&r->in).number, 500000000);
	r->in.elapsed_ns = 20 * NSEC_PER_SEC;
	assert_int_equal(derive_cpu_used_cores(&r->in).number, 250000000);
	/* A first cycle and a counter that fell say nothing. */
	r->in.before = NULL;
	assert_int_equal(derive_cpu_used_cores(&r->in).state, VALUE_ABSENT);
	r->in.before = r->before;
	set(r->now, METRIC_CPU_USAGE, value_of(99 * NSEC_PER_SEC));
	assert_int_equal(derive_cpu_used_cores(&r->in).state, VALUE_ABSENT);
	/* 128 cores for an hour do not overflow. */
	set(r->before, METRIC_CPU_USAGE, value_of(0));
	set(r->now, METRIC_CPU_USAGE, value_of(UINT64_C(128) * 3600 * NSEC_PER_SEC));
	r->in.elapsed_ns = 3600 * NSEC_PER_SEC;
	assert_int_equal(derive_cpu_used_cores(&r->in).number, 128 * CORE);
}

static void test_cpu_limit_is_the_smaller_of_quota_and_cpuset(void **state)
{
	struct rows *r = rows_of(state);

	set(r->now, METRIC_CPU_QUOTA, value_unlimited());
	set(r->now, METRIC_CPU_CPUSET, value_of(4 * CORE));
	assert_int_equal(derive_cpu_limit(&r->in).state, VALUE_UNLIMITED);
	set(r->now, METRIC_CPU_CPUSET, value_of(3 * CORE));
	assert_int_equal(derive_cpu_limit(&r->in).number, 3 * CORE);
	set(r->now, METRIC_CPU_QUOTA, value_of(CORE / 2));
	assert_int_equal(derive_cpu_limit(&r->in).number, CORE / 2);
	/* A quota above the host's four limits nothing. */
	set(r->now, METRIC_CPU_CPUSET, value_of(4 * CORE));
	set(r->now, METRIC_CPU_QUOTA, value_of(8 * CORE));
	assert_int_equal(derive_cpu_limit(&r->in).state, VALUE_UNLIMITED);
	set(r->now, METRIC_CPU_QUOTA, value_absent());
	set(r->now, METRIC_CPU_CPUSET, value_absent());
	assert_int_equal(derive_cpu_limit(&r->in).state, VALUE_ABSENT);
}

static void test_ratios_are_against_the_limit_or_the_host(void **state)
{
	struct rows *r = rows_of(state);

	set(r->now, METRIC_CPU_USED_CORES, value_of(CORE));
	set(r->now, METRIC_CPU_LIMIT, value_unlimited());
	assert_int_equal(derive_cpu_used_ratio(&r->in).number, 250000000);
	set(r->now, METRIC_CPU_LIMIT, value_of(2 * CORE));
	assert_int_equal(derive_cpu_used_ratio(&r->in).number, 500000000);
	/* A quota above what the host has is no limit. */
	set(r->now, METRIC_CPU_LIMIT, value_of(64 * CORE));
	assert_int_equal(derive_cpu_used_ratio(&r->in).number, 250000000);
	set(r->now, METRIC_MEMORY_WORKING_SET, value_of(4000));
	set(r->now, METRIC_MEMORY_LIMIT, value_unlimited());
	assert_int_equal(derive_memory_used_ratio(&r->in).number, 250000000);
	set(r->now, METRIC_MEMORY_LIMIT, value_of(5000));
	assert_int_equal(derive_memory_used_ratio(&r->in).number, 800000000);
}

static void test_idle_is_integrated_and_never_falls(void **state)
{
	struct rows *r = rows_of(state);

	set(r->now, METRIC_CPU_LIMIT, value_of(2 * CORE));
	set(r->before, METRIC_CPU_USAGE, value_of(100 * NSEC_PER_SEC));
	set(r->now, METRIC_CPU_USAGE, value_of(105 * NSEC_PER_SEC));
	set(r->before, METRIC_CPU_IDLE, value_of(7 * NSEC_PER_SEC));
	/* 2 cores x 10 s - 5 s used = 15 s more. */
	assert_int_equal(derive_cpu_idle(&r->in).number, 22 * NSEC_PER_SEC);
	/* Used more than the limit (bursts, clock): no change, never less. */
	set(r->now, METRIC_CPU_USAGE, value_of(150 * NSEC_PER_SEC));
	assert_int_equal(derive_cpu_idle(&r->in).number, 7 * NSEC_PER_SEC);
	r->in.before = NULL;
	assert_int_equal(derive_cpu_idle(&r->in).number, 0);
	assert_int_equal(derive_cpu_idle(&r->in).state, VALUE_PRESENT);
}

static void test_memory_differences_never_go_below_0(void **state)
{
	struct rows *r = rows_of(state);

	set(r->now, METRIC_MEMORY_USAGE, value_of(1000));
	set(r->now, METRIC_MEMORY_INACTIVE_FILE, value_of(300));
	assert_int_equal(derive_working_set(&r->in).number, 700);
	set(r->now, METRIC_MEMORY_INACTIVE_FILE, value_of(1300));
	assert_int_equal(derive_working_set(&r->in).number, 0);
	set(r->now, METRIC_MEMORY_INACTIVE_FILE, value_absent());
	assert_int_equal(derive_working_set(&r->in).state, VALUE_ABSENT);
	/* v1: memory and swap together 150, memory 100: 50 for swap. */
	set(r->now, METRIC_MEMORY_SWAP_LIMIT, value_of(150));
	set(r->now, METRIC_MEMORY_LIMIT, value_of(100));
	assert_int_equal(derive_swap_limit_v1(&r->in).number, 50);
	set(r->now, METRIC_MEMORY_SWAP_LIMIT, value_unlimited());
	assert_int_equal(derive_swap_limit_v1(&r->in).state, VALUE_UNLIMITED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_frozen),
		cmocka_unit_test(test_ids_are_dense_and_slots_ascend),
		cmocka_unit_test(test_every_row_is_whole),
		cmocka_unit_test(test_data_sources_fit_an_rrd),
		cmocka_unit_test(test_cpu_used_is_the_increase_over_real_time),
		cmocka_unit_test(test_cpu_limit_is_the_smaller_of_quota_and_cpuset),
		cmocka_unit_test(test_ratios_are_against_the_limit_or_the_host),
		cmocka_unit_test(test_idle_is_integrated_and_never_falls),
		cmocka_unit_test(test_memory_differences_never_go_below_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
