/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/zabbix.h"

static void is(const char *handle, const char *host, const char *expected)
{
	char name[ZABBIX_NAME_SIZE];

	zabbix_name(handle, 7, host, name);
	assert_string_equal(name, expected);
}

static void test_names(void **state)
{
	is("web01", "node1.example.org", "web01.node1.example.org");
	is("job queue", "node1", "job queue.node1");
	is(" x ", "node1", "_20x_20.node1");
	is("a.b", "c", "a_2Eb.c");
	is("a", "b.c", "a.b.c");
	is("web_1", "node1", "web_5F1.node1");
	is("web~2", "n", "web_7E2.n");
	is("caf\xc3\xa9", "n", "caf_C3_A9.n");
	is("tab\there", "n-", "tab_09here.n-");
	is("x", ".", "x._2E");
}

/* Cut ones end in their number, and fit. */
static void test_long(void **state)
{
	char handle[300], name[ZABBIX_NAME_SIZE], other[ZABBIX_NAME_SIZE];

	memset(handle, 'a', sizeof(handle));
	handle[124] = '\0';
	zabbix_name(handle, 7, "abc", name);
	assert_int_equal(strlen(name), 128);
	assert_string_equal(name + 124, ".abc");
	handle[124] = 'a';
	handle[sizeof(handle) - 1] = '\0';
	zabbix_name(handle, 7, "abc", name);
	zabbix_name(handle, 8, "abc", other);
	assert_int_equal(strlen(name), 128);
	assert_string_equal(name + 120, "a_i7.abc");
	assert_string_not_equal(name, other);
	memset(handle, '_', sizeof(handle) - 1); /* each is three */
	zabbix_name(handle, 4294967295, "abc", name);
	assert_true(strlen(name) <= 128 && strlen(name) > 124);
	assert_non_null(strstr(name, "_5F_i4294967295.abc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
