/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

#include "snmp-subagent/contexts.h"
#include "snmp-subagent/inside.h"

#define S NSEC_PER_SEC
#define K UINT64_C(1024)
#define M (K * K)
#define G (K * M)
#define T (K * G)

struct world {
	char dir[64];
	struct config *config;
	struct snapshot_builder *builder;
	struct source source;
	uint64_t sequence;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_cleanup_free_ char *text = NULL;
	struct error err;

	strcpy(w->dir, "/dev/shm/loadcell-snmp-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	text = format_string("run_dir = %s\ndata_dir = %s\ninterval = 10s\n", w->dir, w->dir);
	assert_int_equal(config_parse(text, strlen(text), "test", &w->config, &err), 0);
	w->builder = snapshot_builder_new();
	assert_int_equal(source_init(&w->source, w->config), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->source.path);
	source_free(&w->source);
	snapshot_builder_free(w->builder);
	config_free(w->config);
	rmdir(w->dir);
	free(w);
	return 0;
}

struct figure {
	unsigned int id;
	struct value value;
};
#define NO_LIMIT UINT64_MAX

/* Pairs of id and number, ended by 0. */
static void add(struct world *w, enum metric_scope scope, struct snapshot_row row, ...)
{
	struct value values[METRIC_ID_END] = {0};
	va_list figures;
	unsigned int id;

	va_start(figures, row);
	while ((id = va_arg(figures, unsigned int))) {
		uint64_t n = va_arg(figures, uint64_t);

		values[metric_slot(id)] = n == NO_LIMIT ? value_unlimited() : value_of(n);
	}
	va_end(figures);
	row.values = values;
	assert_int_equal(snapshot_builder_add(w->builder, scope, &row), 0);
}
#define IS(id, n) (unsigned int)METRIC_##id, (uint64_t)(n)
#define END       0u

static void publish(struct world *w, uint64_t age_ns)
{
	struct snapshot_info info = {.interval_ns = 10 * S, .sequence = ++w->sequence};

	info.time_ns = now_ns(CLOCK_REALTIME) - age_ns;
	info.monotonic_ns = now_ns(CLOCK_MONOTONIC) - age_ns;
	assert_int_equal(snapshot_builder_publish(w->builder, w->source.path, &info), 0);
	snapshot_builder_reset(w->builder);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
}

/* What an instance's context says at a name below the tree: "12", "web01", "1.3.6", or "-". */
static const char *ask(
	struct world *w, uint32_t instance, const struct mib_tree *t, const char *below)
{
	static char text[512];
	struct mib_place place = {&w->source.view, instance};
	subid name[MIB_OID_MAX];
	struct mib_answer a;
	size_t len = t->len;
	char *end;

	memcpy(name, t->root, len * sizeof(subid));
	for (; *below; below = *end ? end + 1 : end)
		name[len++] = strtoul(below, &end, 10);
	if (mib_get(t, &place, name, len, &a) != MIB_FOUND)
		return "-";
	end = text;
	if (a.column->syntax == SMI_OID)
		for (size_t i = 0; i < a.value.len / sizeof(subid); i++)
			end += sprintf(
				end, "%s%lu", i ? "." : "", ((const subid *)a.value.bytes)[i]);
	else if (a.column->syntax == SMI_TEXT)
		sprintf(text, "%.*s", (int)a.value.len, (const char *)a.value.bytes);
	else
		sprintf(text, "%llu", (unsigned long long)a.value.number);
	return text;
}

static size_t count(struct world *w, uint32_t instance, const struct mib_tree *t)
{
	struct mib_place place = {&w->source.view, instance};
	subid name[MIB_OID_MAX];
	size_t len = t->len, n = 0;
	struct mib_answer a;

	memcpy(name, t->root, len * sizeof(subid));
	for (; mib_next(t, &place, name, len, &a) == MIB_FOUND; n++)
		len = mib_name(t, &a, name);
	return n;
}

#define assert_mib2(below, text) assert_string_equal(ask(w, 5, &inside_mib2, below), text)
#define assert_ucd(below, text)  assert_string_equal(ask(w, 5, &inside_ucd, below), text)

static void add_host(struct world *w)
{
	struct snapshot_row host = {.text = {[TEXT_NAME] = "kvm07", [TEXT_KIND] = "6.1.0-44"}};

	add(w, SCOPE_HOST, host, IS(HOST_CPUS, 8 * S), IS(HOST_MEMORY_TOTAL, 64 * G),
		IS(HOST_SWAP_TOTAL, 2 * G), IS(HOST_MEMORY_AVAILABLE, 17 * G),
		IS(HOST_CPU_USER, 7777 * S), END);
}

static void add_web01(struct world *w)
{
	struct snapshot_row web = {
		.index = 5,
		.run = 0xdeadbeef,
		.text = {[TEXT_NAME] = "web01",
			[TEXT_HANDLE] = "web01",
			[TEXT_CONTEXT] = "web01",
			[TEXT_HOSTNAME] = "web01.example.com",
			[TEXT_KIND] = "lxc",
			[TEXT_STATE] = "running"},
	};
	struct snapshot_row eth0 = {.parent = 5, .index = 0, .text = {[TEXT_NAME] = "eth0"}};
	struct snapshot_row lan = {.parent = 5, .index = 1, .text = {[TEXT_NAME] = "lan"}};
	struct snapshot_row other = {.parent = 6, .index = 0, .text = {[TEXT_NAME] = "other"}};

	add(w, SCOPE_INSTANCE, web, IS(UPTIME, 86400 * S + 120000000), IS(CPU_LIMIT, 2500000000),
		IS(CPU_USER, 100 * S + 9999999), IS(CPU_SYSTEM, 20 * S), IS(CPU_IDLE, 50000000 * S),
		IS(MEMORY_LIMIT, 512 * M), IS(MEMORY_USAGE, 200 * M + 1023),
		IS(MEMORY_INACTIVE_FILE, 50 * M), IS(MEMORY_WORKING_SET, 150 * M + 1023),
		IS(MEMORY_SHMEM, 3 * M), IS(MEMORY_SWAP, 100 * M), IS(MEMORY_SWAP_LIMIT, NO_LIMIT),
		IS(PIDS_CURRENT, 42), IS(DISK_USED, 5 * T), IS(DISK_LIMIT, 8 * T),
		IS(IO_READ_BYTES, 5 * G + 7), IS(IO_WRITE_BYTES, 12), IS(IO_READS, 3),
		IS(IO_WRITES, 4), END);
	add(w, SCOPE_INTERFACE, other, IS(INTERFACE_RECEIVE_BYTES, 99), END);
	add(w, SCOPE_INTERFACE, lan, IS(INTERFACE_RECEIVE_BYTES, 0),
		IS(INTERFACE_RECEIVE_PACKETS, 0), IS(INTERFACE_TRANSMIT_PACKETS, 0), END);
	add(w, SCOPE_INTERFACE, eth0, IS(INTERFACE_RECEIVE_BYTES, 4 * G + 800),
		IS(INTERFACE_TRANSMIT_BYTES, 700), IS(INTERFACE_RECEIVE_PACKETS, 60),
		IS(INTERFACE_TRANSMIT_PACKETS, 50), IS(INTERFACE_RECEIVE_ERRORS, 4),
		IS(INTERFACE_TRANSMIT_ERRORS, 3), IS(INTERFACE_RECEIVE_DROPS, 2),
		IS(INTERFACE_TRANSMIT_DROPS, 1), END);
}

static void test_mib2(void **state)
{
	struct world *w = *state;

	add_host(w);
	add_web01(w);
	publish(w, 0);

	assert_mib2("1.1.0", "Linux web01.example.com 6.1.0-44 LXC instance web01 of kvm07");
	assert_mib2("1.2.0", "1.3.6.1.4.1.8072.3.2.10");
	assert_mib2("1.3.0", "8640012");
	assert_mib2("1.4.0", "");
	assert_mib2("1.5.0", "web01.example.com");
	assert_mib2("1.6.0", "kvm07");
	assert_mib2("1.7.0", "-");

	assert_mib2("2.1.0", "2");
	assert_mib2("2.2.1.1.1", "1");
	assert_mib2("2.2.1.2.1", "eth0");
	assert_mib2("2.2.1.2.2", "lan");
	assert_mib2("2.2.1.2.3", "-");
	assert_mib2("2.2.1.3.1", "6");
	assert_mib2("2.2.1.4.1", "-");
	assert_mib2("2.2.1.7.2", "1");
	assert_mib2("2.2.1.8.1", "1");
	assert_mib2("2.2.1.8.2", "4");    /* nothing has passed: not known */
	assert_mib2("2.2.1.10.1", "800"); /* its lower 32 bits */
	assert_mib2("2.2.1.13.1", "2");
	assert_mib2("2.2.1.14.1", "4");
	assert_mib2("2.2.1.16.1", "700");
	assert_mib2("2.2.1.16.2", "-");
	assert_mib2("2.2.1.19.1", "1");
	assert_mib2("2.2.1.20.1", "3");
	assert_mib2("31.1.1.1.1.2", "lan");
	assert_mib2("31.1.1.1.6.1", "4294968096");
	assert_mib2("31.1.1.1.7.1", "60");
	assert_mib2("31.1.1.1.10.1", "700");
	assert_mib2("31.1.1.1.11.1", "50");
	assert_mib2("31.1.1.1.15.1", "0");
	assert_mib2("31.1.1.1.18.1", "");

	assert_mib2("25.1.1.0", "8640012");
	assert_mib2("25.1.6.0", "-"); /* tasks are not processes */
	assert_mib2("25.2.2.0", "524288");
	assert_mib2("25.2.3.1.2.1", "1.3.6.1.2.1.25.2.1.2");
	assert_mib2("25.2.3.1.3.1", "Physical memory");
	assert_mib2("25.2.3.1.4.1", "1024");
	assert_mib2("25.2.3.1.5.1", "524288");
	assert_mib2("25.2.3.1.6.1", "204800");
	assert_mib2("25.2.3.1.5.7", "51200");
	assert_mib2("25.2.3.1.6.7", "51200");
	assert_mib2("25.2.3.1.5.10", "2097152"); /* no limit: the host's */
	assert_mib2("25.2.3.1.6.10", "102400");
	assert_mib2("25.2.3.1.3.31", "/");
	assert_mib2("25.2.3.1.2.31", "1.3.6.1.2.1.25.2.1.4");
	assert_mib2("25.2.3.1.4.31", "8192"); /* 8 TiB are 2^31 of 4 KiB: one too many */
	assert_mib2("25.2.3.1.5.31", "1073741824");
	assert_mib2("25.2.3.1.6.31", "671088640");
	assert_mib2("25.3.2.1.2.196608", "1.3.6.1.2.1.25.3.1.3");
	assert_mib2("25.3.2.1.5.196610", "2");
	assert_mib2("25.3.3.1.1.196610", "0.0"); /* 2.5 cores are three */
	assert_mib2("25.3.3.1.1.196611", "-");
	assert_mib2("25.3.3.1.2.196608", "-");

	/* system, interfaces, host resources */
	assert_int_equal(count(w, 5, &inside_mib2), 6 + 1 + (14 + 9) + (8 + 7) + 2 + 24 + 15 + 3);
}

static void test_ucd(void **state)
{
	struct world *w = *state;

	add_host(w);
	add_web01(w);
	publish(w, 0);

	assert_ucd("4.3.0", "2097152");
	assert_ucd("4.4.0", "1994752");
	assert_ucd("4.5.0", "524288");
	assert_ucd("4.6.0", "319487"); /* 312 MiB less 1023 bytes */
	assert_ucd("4.11.0", "2314239");
	assert_ucd("4.13.0", "3072");
	assert_ucd("4.14.0", "0");
	assert_ucd("4.15.0", "51200");
	assert_ucd("4.18.0", "2097152");
	assert_ucd("4.20.0", "524288");
	assert_ucd("4.21.0", "319487");
	assert_ucd("4.25.0", "0");
	assert_ucd("4.26.0", "51200");
	assert_ucd("4.27.0", "370687"); /* 362 MiB less 1023 bytes */

	assert_ucd("11.50.0", "10000");
	assert_ucd("11.51.0", "-");
	assert_ucd("11.52.0", "2000");
	assert_ucd("11.53.0", "705032704"); /* 5e9 less 2^32 */
	assert_ucd("11.54.0", "-");
	assert_ucd("11.59.0", "-");
	assert_ucd("10.1.2.1", "-");

	assert_ucd("9.1.1.1", "1");
	assert_ucd("9.1.2.1", "/");
	assert_ucd("9.1.3.1", "rootfs");
	assert_ucd("9.1.6.1", "2147483647"); /* more than fits */
	assert_ucd("9.1.7.1", "2147483647");
	assert_ucd("9.1.8.1", "2147483647");
	assert_ucd("9.1.9.1", "62");
	assert_ucd("9.1.10.1", "-");
	assert_ucd("9.1.11.1", "0"); /* 8 TiB are 2 * 2^32 KiB */
	assert_ucd("9.1.12.1", "2");
	assert_ucd("9.1.13.1", "3221225472");
	assert_ucd("9.1.14.1", "0");
	assert_ucd("9.1.15.1", "1073741824");
	assert_ucd("9.1.16.1", "1");

	assert_ucd("13.15.1.1.1.1", "1");
	assert_ucd("13.15.1.1.2.1", "all");
	assert_ucd("13.15.1.1.3.1", "1073741831");
	assert_ucd("13.15.1.1.4.1", "12");
	assert_ucd("13.15.1.1.5.1", "3");
	assert_ucd("13.15.1.1.6.1", "4");
	assert_ucd("13.15.1.1.9.1", "-");
	assert_ucd("13.15.1.1.12.1", "5368709127");
	assert_ucd("13.15.1.1.13.1", "12");
	assert_int_equal(count(w, 5, &inside_ucd), 17 + 13 + 3 + 8);
}

/* An instance of which little is known, one that is not there, and old data. */
static void test_absent(void **state)
{
	struct world *w = *state;
	struct snapshot_row row = {.index = 5,
		.text = {[TEXT_HANDLE] = "vm", [TEXT_CONTEXT] = "vm", [TEXT_KIND] = "qemu"}};

	add_host(w);
	add(w, SCOPE_INSTANCE, row, END);
	publish(w, 0);
	assert_mib2("1.1.0", "vm: qemu instance vm of kvm07");
	assert_mib2("1.2.0", "1.3.6.1.4.1.8072.3.2.255");
	assert_mib2("1.5.0", "vm");
	assert_int_equal(count(w, 5, &inside_mib2), 5 + 1); /* no uptime; no interfaces */
	assert_int_equal(count(w, 5, &inside_ucd), 0);
	assert_int_equal(count(w, 4, &inside_mib2), 0);
	assert_int_equal(count(w, 4, &inside_ucd), 0);

	/* It shares a file system: what it may use is not known. More used than allowed; all CPUs;
	 * a limit above what the host has. */
	add_host(w);
	add(w, SCOPE_INSTANCE, row, IS(DISK_USED, 5 * G), IS(DISK_LIMIT, NO_LIMIT),
		IS(MEMORY_LIMIT, 100 * G), IS(MEMORY_USAGE, 65 * G), IS(CPU_LIMIT, NO_LIMIT), END);
	publish(w, 0);
	assert_mib2("25.2.3.1.5.31", "-");
	assert_mib2("25.2.3.1.6.31", "5242880");
	assert_mib2("25.3.3.1.1.196615", "0.0");
	assert_mib2("25.3.3.1.1.196616", "-");
	assert_ucd("9.1.6.1", "-");
	assert_ucd("9.1.7.1", "-");
	assert_ucd("9.1.8.1", "5242880");
	assert_ucd("9.1.9.1", "-");
	assert_ucd("4.5.0", "67108864");
	assert_ucd("4.6.0", "0");
	assert_ucd("4.3.0", "-");
	assert_ucd("4.11.0", "-");
	assert_ucd("13.15.1.1.1.1", "-");

	/* Swap alone is not all that is free; the host's interfaces are not its own. */
	add_host(w);
	row.flags = SNAPSHOT_NETWORK_SHARED;
	add(w, SCOPE_INSTANCE, row, IS(MEMORY_SWAP, G), IS(MEMORY_SWAP_LIMIT, 2 * G), END);
	publish(w, 0);
	assert_ucd("4.4.0", "1048576");
	assert_ucd("4.11.0", "-");
	assert_mib2("2.1.0", "-");

	add_host(w);
	add_web01(w);
	publish(w, 31 * S);
	assert_int_equal(count(w, 5, &inside_mib2), 0);
	assert_int_equal(count(w, 5, &inside_ucd), 0);
}

static void lists(struct world *w, uint64_t uptime, const char *first, const char *second)
{
	const char *const names[] = {first, second};
	struct snapshot_row row = {.index = 5, .run = 1};

	add(w, SCOPE_INSTANCE, row, IS(UPTIME, uptime), END);
	for (uint32_t i = 0; i < 2; i++) {
		struct snapshot_row lan = {.parent = 5, .index = i, .run = 99};

		if (!names[i])
			continue;
		lan.run = fnv64(FNV64_START, names[i], strlen(names[i]));
		lan.text[TEXT_NAME] = names[i];
		add(w, SCOPE_INTERFACE, lan, IS(INTERFACE_RECEIVE_BYTES, 5), END);
	}
	publish(w, 0);
}

/* A number that passes to another interface is told by the discontinuity time. */
static void test_interfaces_change(void **state)
{
	struct world *w = *state;

	lists(w, 100 * S, "eth0", "lan");
	lists(w, 110 * S, "eth0", "lan");
	assert_mib2("31.1.1.1.19.1", "0");
	lists(w, 120 * S, "lan", NULL);
	assert_mib2("31.1.1.1.19.1", "12000");
	lists(w, 130 * S, "lan", NULL);
	assert_mib2("31.1.1.1.19.1", "12000");
	lists(w, 140 * S, "lan", "eth0");
	assert_mib2("31.1.1.1.19.2", "14000");
}

/* --- which contexts there are ------------------------------------------------------------------
 */

static void instances(struct world *w, const char *names[])
{
	for (uint32_t i = 0; i < 5; i++) {
		struct snapshot_row row = {.index = i + 1, .text = {[TEXT_CONTEXT] = names[i]}};

		if (names[i])
			add(w, SCOPE_INSTANCE, row, END);
	}
	publish(w, 0);
}

/* "a c": those registered. */
static const char *after(struct contexts *c, uint64_t now)
{
	static char text[512];
	char *end = text;

	*end = '\0';
	assert_int_equal(contexts_tick(c, now), 0);
	while (contexts_step(c))
		;
	for (size_t i = 0; i < c->n; i++)
		if (c->all[i].registered)
			end += sprintf(end, "%s%s", end > text ? " " : "", c->all[i].name);
	return text;
}

static void test_contexts(void **state)
{
	static const char name_32[] = "x23456789012345678901234567890_2";
	static const char name_33[] = "x23456789012345678901234567890_23";
	struct world *w = *state;
	struct agent agent;
	struct contexts c = {.agent = &agent, .most = 3};
	uint64_t now = 1000 * S;

	assert_int_equal(agent_init(&agent, "/nonexistent/master", &w->source), 0);
	assert_string_equal(after(&c, now), ""); /* nothing is known */
	instances(w, (const char *[]){"a", "b", NULL, NULL, NULL});
	assert_string_equal(after(&c, now), ""); /* no snmpd */
	agent.connected = true;
	assert_int_equal(w->source.contexts_refused, 0); /* not yet is not refused */
	assert_string_equal(after(&c, now), "a b");

	/* Gone, for a short time and longer. */
	instances(w, (const char *[]){NULL, "b", NULL, NULL, NULL});
	assert_string_equal(after(&c, now + 29 * S), "a b");
	instances(w, (const char *[]){"a", "b", NULL, NULL, NULL});
	assert_string_equal(after(&c, now + 50 * S), "a b");
	instances(w, (const char *[]){NULL, "b", NULL, NULL, "e"});
	assert_string_equal(after(&c, now + 79 * S), "a b e");
	assert_string_equal(after(&c, now + 81 * S), "b e");
	assert_int_equal(c.n, 2);

	/* More than there may be; names that are too long; one that has changed. */
	instances(w, (const char *[]){"a", "b", "c", name_33, "e"});
	assert_string_equal(after(&c, now + 90 * S), "a b e");
	assert_int_equal(w->source.contexts, 3);
	assert_int_equal(w->source.contexts_refused, 1);
	instances(w, (const char *[]){NULL, NULL, "c", name_32, "other"});
	assert_string_equal(after(&c, now + 119 * S), "a b c");
	assert_string_equal(after(&c, now + 130 * S), "c x23456789012345678901234567890_2 other");
	assert_int_equal(w->source.contexts_refused, 0);
	assert_int_equal(c.registered, 3);

	/* Old data says nothing about who is there. */
	instances(w, (const char *[]){NULL, NULL, "c", NULL, NULL});
	publish(w, 31 * S);
	assert_string_equal(after(&c, now + 999 * S), "c x23456789012345678901234567890_2 other");
	agent.connected = false;
	assert_string_equal(after(&c, now + 999 * S), "");
	assert_int_equal(c.registered, 0);
	agent.connected = true;
	assert_string_equal(after(&c, now + 999 * S), "c x23456789012345678901234567890_2 other");
	agent_stop(&agent);
	contexts_free(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_mib2),
		TEST(test_ucd),
		TEST(test_absent),
		TEST(test_interfaces_change),
		TEST(test_contexts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
