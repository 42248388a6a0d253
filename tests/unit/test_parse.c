/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/parse.h"
#include "lib/util.h"

#define ABSENT                                                                                     \
	{                                                                                          \
		0, VALUE_ABSENT                                                                    \
	}
#define UNLIMITED                                                                                  \
	{                                                                                          \
		0, VALUE_UNLIMITED                                                                 \
	}
#define NUMBER(n)                                                                                  \
	{                                                                                          \
		UINT64_C(n), VALUE_PRESENT                                                         \
	}
#define KEY(k)                                                                                     \
	{                                                                                          \
		k, sizeof(k) - 1, 1                                                                \
	}
/* A text with its length, so that it may contain NUL bytes. */
#define TEXT(s) s, sizeof(s) - 1

/* What no parser returns: shows that an output was not touched. */
static const struct value untouched = {4711, VALUE_PRESENT};

/* Each text is parsed in a buffer of its exact size, for the address sanitizer to watch its end. */
static char *exact_copy(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

static void assert_value(struct value got, struct value expected, const char *text)
{
	if (got.state == expected.state && got.number == expected.number)
		return;
	print_error("\"%s\": state %d number %llu, expected state %d number %llu\n", text,
		got.state, (unsigned long long)got.number, expected.state,
		(unsigned long long)expected.number);
	fail();
}

/* --- one value ----------------------------------------------------------------------------- */

struct one_value {
	const char *text;
	size_t len;
	int result;
	struct value value;
};

static void check_one(const struct one_value *cases, size_t n,
	int (*parse)(const char *buf, size_t len, struct value *ret))
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *copy = exact_copy(cases[i].text, cases[i].len);
		struct value got = untouched;

		if (parse(copy, cases[i].len, &got) != cases[i].result) {
			print_error("result of \"%s\"\n", cases[i].text);
			fail();
		}
		assert_value(got, cases[i].result ? untouched : cases[i].value, cases[i].text);
	}
}

static int parse_number_by_3(const char *buf, size_t len, struct value *ret)
{
	return parse_number(buf, len, 3, ret);
}

static void test_number(void **state)
{
	static const struct one_value cases[] = {
		{TEXT("0\n"), 0, NUMBER(0)},
		{TEXT("123\n"), 0, NUMBER(369)},
		{TEXT("123"), 0, NUMBER(369)},
		{TEXT("123 \n"), 0, NUMBER(369)},
		{TEXT("0007\n"), 0, NUMBER(21)},
		{TEXT("max\n"), 0, UNLIMITED},
		{TEXT("max"), 0, UNLIMITED},
		{TEXT("-1\n"), 0, UNLIMITED},
		/* PAGE_COUNTER_MAX of 4 KiB, 16 KiB and 64 KiB pages, and one less than the border
		 */
		{TEXT("9223372036854771712\n"), 0, UNLIMITED},
		{TEXT("9223372036854759424\n"), 0, UNLIMITED},
		{TEXT("9223372036854710272\n"), 0, UNLIMITED},
		{TEXT("9223372036854775807\n"), 0, UNLIMITED},
		{TEXT("18446744073709551615\n"), 0, UNLIMITED},
		{TEXT("9223372036854710271\n"), 0, ABSENT}, /* a number, but not three times */
		{TEXT("6148914691236517205\n"), 0, NUMBER(18446744073709551615)},
		{TEXT("6148914691236517206\n"), 0, ABSENT},
		{TEXT("18446744073709551616\n"), 0, ABSENT},
		{TEXT("99999999999999999999999999999999\n"), 0, ABSENT},
		{TEXT("-2\n"), 0, ABSENT},
		{TEXT("-18446744073709551617\n"), 0, ABSENT},
		{TEXT(""), -EBADMSG, ABSENT},
		{TEXT("\n"), -EBADMSG, ABSENT},
		{TEXT(" \n"), -EBADMSG, ABSENT},
		{TEXT(" 1\n"), -EBADMSG, ABSENT},
		{TEXT("1\n\n"), -EBADMSG, ABSENT},
		{TEXT("1\n2\n"), -EBADMSG, ABSENT},
		{TEXT("1 2\n"), -EBADMSG, ABSENT},
		{TEXT("1.5\n"), -EBADMSG, ABSENT},
		{TEXT("0x10\n"), -EBADMSG, ABSENT},
		{TEXT("+1\n"), -EBADMSG, ABSENT},
		{TEXT("-\n"), -EBADMSG, ABSENT},
		{TEXT("-max\n"), -EBADMSG, ABSENT},
		{TEXT("--1\n"), -EBADMSG, ABSENT},
		{TEXT("maximum\n"), -EBADMSG, ABSENT},
		{TEXT("ma"), -EBADMSG, ABSENT},
		{TEXT("1\0\n"), -EBADMSG, ABSENT},
		{TEXT("\0"), -EBADMSG, ABSENT},
	};

	check_one(cases, ARRAY_SIZE(cases), parse_number_by_3);
}

static void test_cpu_quota(void **state)
{
	static const struct one_value cases[] = {
		{TEXT("50000 100000\n"), 0, NUMBER(500000000)},
		{TEXT("150000 100000\n"), 0, NUMBER(1500000000)},
		{TEXT("100000 300000"), 0, NUMBER(333333333)},
		{TEXT("1000 1000000\n"), 0, NUMBER(1000000)},
		{TEXT("max 100000\n"), 0, UNLIMITED},
		{TEXT("-1 100000\n"), 0, UNLIMITED},
		{TEXT("9223372036854771712 100000\n"), 0, UNLIMITED},
		/* above 2^64 in between, but not at the end */
		{TEXT("1000000000000000 1000000\n"), 0, NUMBER(1000000000000000000)},
		{TEXT("9000000000000000000 1\n"), 0, ABSENT},
		{TEXT("50000 0\n"), -EBADMSG, ABSENT},
		{TEXT("50000\n"), -EBADMSG, ABSENT},
		{TEXT("max\n"), -EBADMSG, ABSENT},
		{TEXT("50000 100000 1\n"), -EBADMSG, ABSENT},
		{TEXT("50000 max\n"), -EBADMSG, ABSENT},
		{TEXT("50000 -1\n"), -EBADMSG, ABSENT},
		{TEXT("50000 18446744073709551616\n"), -EBADMSG, ABSENT},
		{TEXT(""), -EBADMSG, ABSENT},
	};

	check_one(cases, ARRAY_SIZE(cases), parse_cpu_quota);
}

static void test_cpu_list(void **state)
{
	static const struct one_value cases[] = {
		{TEXT("0\n"), 0, NUMBER(1000000000)},
		{TEXT("0-3\n"), 0, NUMBER(4000000000)},
		{TEXT("0-3,8,10-11\n"), 0, NUMBER(7000000000)},
		{TEXT("5"), 0, NUMBER(1000000000)},
		{TEXT("0-65535\n"), 0, NUMBER(65536000000000)},
		{TEXT("\n"), 0, ABSENT},
		{TEXT(""), -EBADMSG, ABSENT},
		{TEXT("0-\n"), -EBADMSG, ABSENT},
		{TEXT("-3\n"), -EBADMSG, ABSENT},
		{TEXT("3-1\n"), -EBADMSG, ABSENT},
		{TEXT("0-3,\n"), -EBADMSG, ABSENT},
		{TEXT(",0\n"), -EBADMSG, ABSENT},
		{TEXT("0-3,2\n"), -EBADMSG, ABSENT},
		{TEXT("0,0\n"), -EBADMSG, ABSENT},
		{TEXT("0 1\n"), -EBADMSG, ABSENT},
		{TEXT("0-65536\n"), -EBADMSG, ABSENT},
		{TEXT("0-18446744073709551615\n"), -EBADMSG, ABSENT},
		{TEXT("0-99999999999999999999999\n"), -EBADMSG, ABSENT},
		{TEXT("member\n"), -EBADMSG, ABSENT},
	};

	check_one(cases, ARRAY_SIZE(cases), parse_cpu_list);
}

/* --- two keys ------------------------------------------------------------------------------ */

typedef int keyed_parser(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret);

struct two_keys {
	const char *text;
	size_t len;
	int result;
	struct value value[2];
};

static void check_two(
	const struct two_keys *cases, size_t n, keyed_parser *parse, const struct parse_key keys[2])
{
	for (size_t i = 0; i < n; i++) {
		const struct two_keys *c = &cases[i];
		_cleanup_free_ char *copy = exact_copy(c->text, c->len);
		struct value got[3] = {untouched, untouched, untouched};

		if (parse(copy, c->len, keys, 2, got) != c->result) {
			print_error("result of \"%s\"\n", c->text);
			fail();
		}
		assert_value(got[0], c->result ? untouched : c->value[0], c->text);
		assert_value(got[1], c->result ? untouched : c->value[1], c->text);
		assert_value(got[2], untouched, c->text);
	}
}

static void test_flat(void **state)
{
	static const struct parse_key keys[2] = {KEY("anon"), {"file", 4, 1000}};
	static const struct two_keys cases[] = {
		{TEXT("anon 1\nfile 2\n"), 0, {NUMBER(1), NUMBER(2000)}},
		{TEXT("file 2\nanon 1\n"), 0, {NUMBER(1), NUMBER(2000)}},
		{TEXT("slab 5\n"), 0, {ABSENT, ABSENT}},
		/* keys that begin or end like a wanted one */
		{TEXT("anon_thp 9\ninactive_anon 8\nano 7\nfile_mapped 6\nanon 1\n"), 0,
			{NUMBER(1), ABSENT}},
		/* the first line of a key that has a value counts */
		{TEXT("anon 1\nanon 3\nfile 2\n"), 0, {NUMBER(1), NUMBER(2000)}},
		{TEXT("anon 18446744073709551616\nanon 3\n"), 0, {NUMBER(3), ABSENT}},
		/* as /proc/meminfo writes it */
		{TEXT("anon:       12 kB\nfile:\t3 kB\n"), 0, {NUMBER(12), NUMBER(3000)}},
		/* limits */
		{TEXT("anon 9223372036854771712\nfile max\n"), 0, {UNLIMITED, UNLIMITED}},
		{TEXT("anon -1\nfile -7\n"), 0, {UNLIMITED, ABSENT}},
		/* what is no number makes its key absent, not the text unusable */
		{TEXT("anon 1x\nfile 2\n"), 0, {ABSENT, NUMBER(2000)}},
		{TEXT("anon\nfile 2\n"), 0, {ABSENT, NUMBER(2000)}},
		{TEXT("anon \nfile 2\n"), 0, {ABSENT, NUMBER(2000)}},
		{TEXT("anon 1\nfile 18446744073709551616\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT("anon 1\nfile 18446744073709552\n"), 0, {NUMBER(1), ABSENT}},
		/* a torn last line may have lost digits */
		{TEXT("anon 1\nfile 23"), 0, {NUMBER(1), ABSENT}},
		{TEXT("anon 1\nfile"), 0, {NUMBER(1), ABSENT}},
		{TEXT("anon 1\nfil"), 0, {NUMBER(1), ABSENT}},
		/* odd lines between */
		{TEXT("\n\n \nanon 1\n\nfile 2\n\n"), 0, {NUMBER(1), NUMBER(2000)}},
		{TEXT("\0anon 5\nanon 1\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT(" anon 5\nanon 1\n"), 0, {NUMBER(1), ABSENT}},
		/* not of the grammar */
		{TEXT(""), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("\n\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("anon 1"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("anon\nfile\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("some avg10=0.00 total=5\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("\xff\xfe\x00\x01\n\x80\n"), -EBADMSG, {ABSENT, ABSENT}},
	};

	check_two(cases, ARRAY_SIZE(cases), parse_flat, keys);
}

static void test_flat_many_keys(void **state)
{
	enum {
		KEYS = 150
	};
	char names[KEYS][8], text[KEYS * 16];
	struct parse_key keys[KEYS];
	struct value got[KEYS];
	size_t len = 0;

	for (size_t i = 0; i < KEYS; i++) {
		int name_len = snprintf(names[i], sizeof(names[i]), "key%zu", i);

		keys[i] = (struct parse_key){names[i], (size_t)name_len, 1};
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "key%zu %zu\n", KEYS - 1 - i, i + 1000);
	}
	assert_int_equal(parse_flat(text, len, keys, KEYS, got), 0);
	for (size_t i = 0; i < KEYS; i++)
		assert_value(got[i], (struct value){KEYS - 1 - i + 1000, VALUE_PRESENT}, names[i]);
	/* the same key wanted twice is told twice */
	keys[1] = keys[0];
	assert_int_equal(parse_flat(text, len, keys, 2, got), 0);
	assert_value(got[0], (struct value)NUMBER(1149), "key0");
	assert_value(got[1], (struct value)NUMBER(1149), "key0");
	assert_int_equal(parse_flat(text, len, NULL, 0, NULL), 0);
}

static void test_nested(void **state)
{
	static const struct parse_key keys[2] = {KEY("rbytes"), {"wios", 4, 10}};
	static const struct two_keys cases[] = {
		{TEXT("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"), 0,
			{NUMBER(1), NUMBER(40)}},
		{TEXT("8:0 rbytes=1 wios=4\n253:1 rbytes=10 wios=5\n"), 0,
			{NUMBER(11), NUMBER(90)}},
		/* an empty file: nothing was read or written */
		{TEXT(""), 0, {NUMBER(0), NUMBER(0)}},
		{TEXT("8:0\n"), 0, {NUMBER(0), NUMBER(0)}},
		/* Linux 5.15, as reported for Debian and Ubuntu */
		{TEXT("7:7 7:6 7:5 7:4 rbytes=28672 wbytes=0 rios=22 wios=0 dbytes=0 dios=0\n"
		      "7:3 rbytes=1 wbytes=0 rios=1 wios=2 dbytes=0 dios=0\n7:2 7:1 "),
			0, {NUMBER(28673), NUMBER(20)}},
		{TEXT("252:0 "), 0, {NUMBER(0), NUMBER(0)}},
		/* multipath: a hidden path must not be counted beside its device */
		{TEXT("(unknown) rbytes=5 wios=5\n259:0 rbytes=5 wios=5\n"), 0,
			{NUMBER(5), NUMBER(50)}},
		{TEXT("8:0 rbytes=1 rios=3\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT("8:0 cost.vrate=100.00 rbytes=7 xrbytes=9 rbytesx=9\n"), 0,
			{NUMBER(7), ABSENT}},
		{TEXT("8:0 rbytes=1 wios=4\n8:16 rbytes=2 wi"), 0, {NUMBER(1), NUMBER(40)}},
		{TEXT("8:0 rbytes=18446744073709551615\n8:16 rbytes=1 wios=1\n"), 0,
			{ABSENT, NUMBER(10)}},
		{TEXT("8:0 rbytes=18446744073709551616 wios=1\n8:16 rbytes=1 wios=\n"), 0,
			{ABSENT, ABSENT}},
		{TEXT("8:0 rbytes=-1 wios=1x\n"), 0, {ABSENT, ABSENT}},
		{TEXT("8:0 = == rbytes==1 =5\n"), 0, {ABSENT, ABSENT}},
		{TEXT("\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("rbytes=1\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("anon 1\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("8: rbytes=1\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("8:0 rbytes=1"), -EBADMSG, {ABSENT, ABSENT}},
	};

	check_two(cases, ARRAY_SIZE(cases), parse_nested, keys);
}

static void test_blkio(void **state)
{
	static const struct parse_key keys[2] = {KEY("Read"), {"Discard", 7, 2}};
	static const struct two_keys cases[] = {
		{TEXT("8:0 Read 5\n8:0 Write 6\n8:0 Discard 1\n8:0 Total 12\nTotal 12\n"), 0,
			{NUMBER(5), NUMBER(2)}},
		{TEXT("8:0 Read 5\n8:16 Read 7\nTotal 12\n"), 0, {NUMBER(12), ABSENT}},
		{TEXT("Total 0\n"), 0, {NUMBER(0), NUMBER(0)}},
		{TEXT("(unknown) Read 5\n8:0 Read 5\nTotal 10\n"), 0, {NUMBER(5), ABSENT}},
		{TEXT("8:0 Read 5\n8:16 Read 7"), 0, {NUMBER(5), ABSENT}},
		{TEXT("8:0 Read x\n8:0 Discard 1\n"), 0, {ABSENT, NUMBER(2)}},
		{TEXT("8:0 Read 18446744073709551615\n8:1 Read 1\n"), 0, {ABSENT, ABSENT}},
		{TEXT("8:0 Reader 5\n8:0 Rea 4\n8:0 Read 3 2\nTotal 9\n"), 0, {ABSENT, ABSENT}},
		{TEXT(""), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("8:0 5\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("Total 0"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("default 100\n"), -EBADMSG, {ABSENT, ABSENT}},
	};

	check_two(cases, ARRAY_SIZE(cases), parse_blkio, keys);
}

static void test_pressure(void **state)
{
	static const struct parse_key keys[2] = {KEY("some"), {"full", 4, 1000}};
	static const struct two_keys cases[] = {
		{TEXT("some avg10=0.54 avg60=0.09 avg300=0.02 total=67217\n"
		      "full avg10=0.54 avg60=0.09 avg300=0.02 total=66868\n"),
			0, {NUMBER(67217), NUMBER(66868000)}},
		/* cpu.pressure before Linux 5.13 */
		{TEXT("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT("some total=1\nsome total=2\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT("some avg10=0.00 total=\nfull total=2\n"), 0, {ABSENT, NUMBER(2000)}},
		{TEXT("some total=1\nfull avg10=0.00 total=2"), 0, {NUMBER(1), ABSENT}},
		{TEXT("some total=1\nfull total=18446744073709551616\n"), 0, {NUMBER(1), ABSENT}},
		{TEXT("some avg10=0.00\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("something total=1\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT("some subtotal=1\n"), -EBADMSG, {ABSENT, ABSENT}},
		{TEXT(""), -EBADMSG, {ABSENT, ABSENT}},
	};

	check_two(cases, ARRAY_SIZE(cases), parse_pressure, keys);
}

/* --- /proc/PID/net/dev --------------------------------------------------------------------- */

#define NETDEV_HEADER                                                                              \
	"Inter-|   Receive                                                |  Transmit\n"           \
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs " \
	"drop fifo colls carrier compressed\n"

static void test_netdev(void **state)
{
	static const char text[] = NETDEV_HEADER
		"    lo:       0       0    0    0    0     0          0         0        0       0"
		"    0    0    0     0       0          0\n"
		"  eth0:     101     102  103  104  105   106        107       108      109     110"
		"  111  112  113   114     115        116\n";
	static const uint64_t expected[NETDEV_COLUMNS] = {101, 102, 103, 104, 109, 110, 111, 112};
	_cleanup_free_ char *copy = exact_copy(TEXT(text));
	struct netdev n[2];
	size_t count = 0;

	assert_int_equal(parse_netdev(copy, sizeof(text) - 1, n, 2, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(n[1].name_len, 4);
	assert_memory_equal(n[1].name, "eth0", 4);
	assert_memory_equal(n[1].column, expected, sizeof(expected));
	/* more interfaces than room: they are counted, the room is not exceeded */
	n[1].name_len = 99;
	assert_int_equal(parse_netdev(copy, sizeof(text) - 1, n, 1, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(n[0].name_len, 2);
	assert_int_equal(n[1].name_len, 99);
	assert_int_equal(parse_netdev(copy, sizeof(text) - 1, NULL, 0, &count), 0);
	assert_int_equal(count, 2);
}

static void test_netdev_odd_lines(void **state)
{
	static const struct {
		const char *line;
		const char *name; /* NULL: no interface */
		uint64_t rx_bytes;
	} cases[] = {
		{"eth0:123 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", "eth0", 123},
		{"  \xc3\xa4\"'<&: 5 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", "\xc3\xa4\"'<&", 5},
		{"a-b.c_d%s$(x): 5 2 3 4 5 6 7 8 9 10 11 12\n", "a-b.c_d%s$(x)", 5},
		{"123456789012345: 5 2 3 4 5 6 7 8 9 10 11 12\n", "123456789012345", 5},
		{"1234567890123456: 5 2 3 4 5 6 7 8 9 10 11 12\n", NULL, 0},
		{"x: 18446744073709551615 2 3 4 5 6 7 8 9 10 11 12\n", "x", UINT64_MAX},
		{"x: 18446744073709551616 2 3 4 5 6 7 8 9 10 11 12\n", NULL, 0},
		{"x: -1 2 3 4 5 6 7 8 9 10 11 12\n", NULL, 0},
		{"x: 1 2 3 4 5 6 7 8 9 10 11\n", NULL, 0}, {"x:\n", NULL, 0},
		{": 5 2 3 4 5 6 7 8 9 10 11 12\n", NULL, 0},
		{"x 5 2 3 4 5 6 7 8 9 10 11 12\n", NULL, 0},
		{"x: 5 2 3 4 5 6 7 8 9 10 11 12", NULL, 0}, /* torn */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = format_string("%s%s", NETDEV_HEADER, cases[i].line);
		_cleanup_free_ char *copy = NULL;
		struct netdev n;
		size_t count = 99;

		assert_non_null(text);
		copy = exact_copy(text, strlen(text));
		assert_int_equal(parse_netdev(copy, strlen(text), &n, 1, &count), 0);
		assert_int_equal(count, cases[i].name ? 1 : 0);
		if (!cases[i].name)
			continue;
		assert_int_equal(n.name_len, strlen(cases[i].name));
		assert_memory_equal(n.name, cases[i].name, n.name_len);
		assert_true(n.column[NETDEV_RX_BYTES] == cases[i].rx_bytes);
	}
}

static void test_netdev_no_grammar(void **state)
{
	size_t count = 99;

	assert_int_equal(parse_netdev("", 0, NULL, 0, &count), -EBADMSG);
	assert_int_equal(parse_netdev(TEXT("anon 5\n"), NULL, 0, &count), -EBADMSG);
	assert_int_equal(parse_netdev(TEXT("x: 1 2 3"), NULL, 0, &count), -EBADMSG);
	assert_int_equal(count, 99);
	assert_int_equal(netdev_column_by_name("rx_bytes"), NETDEV_RX_BYTES);
	assert_int_equal(netdev_column_by_name("tx_drops"), NETDEV_TX_DROPS);
	assert_int_equal(netdev_column_by_name("rx_fifo"), -EINVAL);
}

/* --- /proc/PID ----------------------------------------------------------------------------- */

struct cgroup_lines {
	char text[256];
	int stop_after;
	int lines;
};

static int note_cgroup(void *data, const struct proc_cgroup *c)
{
	struct cgroup_lines *l = data;
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len, "<%.*s|%.*s>", (int)c->controllers_len,
		c->controllers, (int)c->path_len, c->path);
	return ++l->lines == l->stop_after ? 7 : 0;
}

static void test_proc_cgroup(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int stop_after, result;
		const char *lines;
	} cases[] = {
		{TEXT("0::/\n"), 0, 0, "<|/>"},
		{TEXT("2:cpu,cpuacct:/lxc.payload.a b:c\n1:name=systemd:/x\n0::/y\n"), 0, 0,
			"<cpu,cpuacct|/lxc.payload.a b:c><name=systemd|/x><|/y>"},
		{TEXT("2:memory:/a\n1:pids:/b\n"), 1, 7, "<memory|/a>"},
		{TEXT("0::/../../x (deleted)\n"), 0, 0, "<|/../../x (deleted)>"},
		{TEXT("0::/\xc3\xa4\"'\n"), 0, 0, "<|/\xc3\xa4\"'>"},
		{TEXT("1:pids:/a\n0::/torn"), 0, 0, "<pids|/a>"},
		{TEXT("x:pids:/a\n1:pids\n1:pids:\n1:pids:a\n:::\n0::/b\n"), 0, 0, "<|/b>"},
		{TEXT(""), 0, -EBADMSG, ""},
		{TEXT("0::/torn"), 0, -EBADMSG, ""},
		{TEXT("anon 5\n"), 0, -EBADMSG, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgroup_lines l = {.stop_after = cases[i].stop_after};
		_cleanup_free_ char *copy = exact_copy(cases[i].text, cases[i].len);

		assert_int_equal(
			parse_proc_cgroup(copy, cases[i].len, note_cgroup, &l), cases[i].result);
		assert_string_equal(l.text, cases[i].lines);
	}
}

#define STAT_TAIL                                                                                  \
	" S 41 42 43 0 -1 4194560 125 0 0 0 111 222 33 44 20 -5 3 0 723000 2322432 332 "           \
	"18446744073709551615 1 1\n"

static void test_proc_stat(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int result;
	} cases[] = {
		{TEXT("42 (init)" STAT_TAIL), 0},
		{TEXT("42 (a b) R 1 (c)" STAT_TAIL), 0},
		{TEXT("42 (a\n) Z 9 9 9)" STAT_TAIL), 0},
		{TEXT("42 ()))))" STAT_TAIL), 0},
		{TEXT("42 (\xff\xfe)" STAT_TAIL), 0},
		{TEXT("42 (init"), -EBADMSG},
		{TEXT("42 (init)"), -EBADMSG},
		{TEXT("42 (init) S"), -EBADMSG},
		{TEXT("42 (init) SS 41 42 43 0 -1 4 1 0 0 0 1 2 0 0 20 0 3 0 7 2 3 1\n"), -EBADMSG},
		{TEXT("42 (init) S -1 42 43 0 -1 4 1 0 0 0 1 2 0 0 20 0 3 0 7 2 3 1\n"), -EBADMSG},
		{TEXT("42 (init) S 41 42 43 0 -1 4 1 0 0 0 1 2 0 0 20 0 3 0 7 2 3"), -EBADMSG},
		{TEXT("42 (init) S 41 42 43 0 -1 4 1 0 0 0 x 2 0 0 20 0 3 0 7 2 3 1\n"), -EBADMSG},
		{TEXT("42 (init) S 99999999999 2 3 0 -1 4 1 0 0 0 1 2 0 0 2 0 3 0 7 2 3 1\n"),
			-EBADMSG},
		{TEXT(""), -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *copy = exact_copy(cases[i].text, cases[i].len);
		struct proc_stat s = {.ppid = 4711};

		assert_int_equal(parse_proc_stat(copy, cases[i].len, &s), cases[i].result);
		assert_int_equal(s.ppid, cases[i].result ? 4711 : 41);
		if (cases[i].result)
			continue;
		assert_int_equal(s.state, 'S');
		assert_int_equal(s.utime_ticks, 111);
		assert_int_equal(s.stime_ticks, 222);
		assert_int_equal(s.cutime_ticks, 33);
		assert_int_equal(s.cstime_ticks, 44);
		assert_int_equal(s.threads, 3);
		assert_int_equal(s.starttime_ticks, 723000);
		assert_int_equal(s.rss_pages, 332);
	}
}

static void test_proc_status(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int result;
		struct proc_status s;
	} cases[] = {
		{TEXT("Name:\tx\nPPid:\t7\nUid:\t1\t2\t3\t4\nNSpid:\t500\t9\t1\n"), 0, {7, 2, 1}},
		{TEXT("PPid:\t0\nUid:\t0\t0\t0\t0\nNSpid:\t500\n"), 0, {0, 0, 500}},
		/* before Linux 4.1 */
		{TEXT("PPid:\t7\nUid:\t0\t4294967294\t0\t0\n"), 0, {7, 4294967294, 0}},
		{TEXT("PPid:\t7\nUid:\t0\t1\t0\t0\nNSpid:\t50"), 0, {7, 1, 0}},
		/* the first line counts: the name is escaped by the kernel, nothing stands before
		 */
		{TEXT("PPid:\t7\nUid:\t1\t2\t3\t4\nPPid:\t8\nUid:\t5\t6\t7\t8\n"), 0, {7, 2, 0}},
		{TEXT("PPid:\t7\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("Uid:\t1\t2\t3\t4\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("PPid:\t7\nUid:\t1\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("PPid:\t7\nUid:\t1\t4294967296\t3\t4\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("PPid:\t2147483648\nUid:\t1\t2\t3\t4\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("PPid:\t7\nUid:\t1\t2\t3\t4\nNSpid:\n"), -EBADMSG, {0, 0, 0}},
		{TEXT("PPid:\t7\nUid:\t1\t2\t3\t4\nNSpid:\t1\tx\n"), -EBADMSG, {0, 0, 0}},
		{TEXT(""), -EBADMSG, {0, 0, 0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *copy = exact_copy(cases[i].text, cases[i].len);
		struct proc_status s = {0};

		assert_int_equal(parse_proc_status(copy, cases[i].len, &s), cases[i].result);
		assert_int_equal(s.ppid, cases[i].s.ppid);
		assert_int_equal(s.euid, cases[i].s.euid);
		assert_int_equal(s.inner_pid, cases[i].s.inner_pid);
	}
}

/* --- the host ------------------------------------------------------------------------------ */

static void test_proc_cpu(void **state)
{
	static const char text[] = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 11 2 3 4 5 6 7 8 9 10\n"
				   "intr 5 0 0\nbtime 1795399468\n";
	struct proc_cpu c = {0};
	uint64_t btime = 0;

	assert_int_equal(parse_proc_cpu(TEXT(text), &c), 0);
	assert_int_equal(c.user, 1);
	assert_int_equal(c.nice, 2);
	assert_int_equal(c.system, 3);
	assert_int_equal(c.idle, 4);
	assert_int_equal(c.iowait, 5);
	assert_int_equal(c.irq, 6);
	assert_int_equal(c.softirq, 7);
	assert_int_equal(c.steal, 8);
	assert_int_equal(parse_btime(TEXT(text), &btime), 0);
	assert_int_equal(btime, 1795399468);
	c.user = 99;
	btime = 99;
	assert_int_equal(parse_proc_cpu(TEXT("cpu  1 2 3 4 5 6 7\n"), &c), -EBADMSG);
	assert_int_equal(parse_proc_cpu(TEXT("cpu  1 2 3 4 5 6 7 8"), &c), -EBADMSG);
	assert_int_equal(parse_proc_cpu(TEXT("cpu0 1 2 3 4 5 6 7 8\n"), &c), -EBADMSG);
	assert_int_equal(parse_proc_cpu("", 0, &c), -EBADMSG);
	assert_int_equal(c.user, 99);
	assert_int_equal(parse_btime(TEXT("btime 17953"), &btime), -EBADMSG);
	assert_int_equal(parse_btime(TEXT("btime 17953x\n"), &btime), -EBADMSG);
	assert_int_equal(parse_btime("", 0, &btime), -EBADMSG);
	assert_int_equal(btime, 99);
}

static void test_host_numbers(void **state)
{
	static const char cgroups[] = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
				      "cpuset\t4\t12\t1\nmemory\t5\t13\t1\n";
	uint64_t n = 0;

	assert_int_equal(parse_loadavg_tasks(TEXT("0.53 0.14 0.05 1/82 291\n"), &n), 0);
	assert_int_equal(n, 82);
	assert_int_equal(parse_file_nr(TEXT("622\t0\t9223372036854775807\n"), &n), 0);
	assert_int_equal(n, 622);
	assert_int_equal(parse_proc_cgroups(TEXT(cgroups), "memory", &n), 0);
	assert_int_equal(n, 13);
	n = 99;
	assert_int_equal(parse_loadavg_tasks(TEXT("0.53 0.14 0.05 1/82"), &n), -EBADMSG);
	assert_int_equal(parse_loadavg_tasks(TEXT("0.53 0.14 0.05 182 291\n"), &n), -EBADMSG);
	assert_int_equal(parse_loadavg_tasks(TEXT("0.53\n"), &n), -EBADMSG);
	assert_int_equal(parse_loadavg_tasks("", 0, &n), -EBADMSG);
	assert_int_equal(parse_file_nr(TEXT("62"), &n), -EBADMSG);
	assert_int_equal(parse_file_nr(TEXT("x\n"), &n), -EBADMSG);
	assert_int_equal(parse_file_nr("", 0, &n), -EBADMSG);
	assert_int_equal(parse_proc_cgroups(TEXT(cgroups), "mem", &n), -EBADMSG);
	assert_int_equal(parse_proc_cgroups(TEXT("memory\t5\n"), "memory", &n), -EBADMSG);
	assert_int_equal(parse_proc_cgroups("", 0, "memory", &n), -EBADMSG);
	assert_int_equal(n, 99);
}

struct sockets {
	char text[256];
	int result;
};

static int note_socket(void *data, const struct unix_socket *s)
{
	struct sockets *found = data;
	size_t len = strlen(found->text);

	snprintf(found->text + len, sizeof(found->text) - len, "<%llu %.*s>",
		(unsigned long long)s->inode, (int)s->name_len, s->name);
	return found->result;
}

#define UNIX_HEADER "Num       RefCount Protocol Flags    Type St Inode Path\n"

static void test_proc_net_unix(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int result;
		const char *found;
	} cases[] = {
		{TEXT(UNIX_HEADER
			 "00000000b248d171: 00000002 00000000 00010000 0001 01   450 @/a/b c\n"
			 "0000000000000000: 00000002 00000000 00010000 0001 01 490551 @\n"),
			0, "<450 /a/b c><490551 >"},
		/* not listening; not abstract; without a name; no inode */
		{TEXT(UNIX_HEADER "0: 00000003 00000000 00000000 0001 03  2572 @7bb9d\n"
				  "0: 00000002 00000000 00010000 0001 01  2569 /run/x\n"
				  "0: 00000002 00000000 00010000 0001 01   985\n"
				  "0: 00000002 00000000 00010000 0001 01 @x\n"),
			0, ""},
		{TEXT(UNIX_HEADER "0: 2 0 1000G 1 01 5 @x\n0: 2 0 0001000000000000f 1 01 5 @x\n"
				  "0: 2 0 00010000 1 01 18446744073709551616 @x\n"),
			0, ""},
		{TEXT(UNIX_HEADER "0: 2 0 00010000 0001 01 5 @/torn"), 0, ""},
		{TEXT(UNIX_HEADER), 0, ""},
		{TEXT(""), -EBADMSG, ""},
		{TEXT("Num"), -EBADMSG, ""},
		{TEXT("0: 2 0 00010000 0001 01 5 @x\n"), -EBADMSG, ""},
	};
	struct sockets stopped = {.result = 7};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *copy = exact_copy(cases[i].text, cases[i].len);
		struct sockets found = {.result = 0};

		assert_int_equal(parse_proc_net_unix(copy, cases[i].len, note_socket, &found),
			cases[i].result);
		assert_string_equal(found.text, cases[i].found);
	}
	assert_int_equal(
		parse_proc_net_unix(cases[0].text, cases[0].len, note_socket, &stopped), 7);
	assert_string_equal(stopped.text, "<450 /a/b c>");
}

/* --- hostile ------------------------------------------------------------------------------- */

/* Lines of a megabyte, in each parser: no crash, and the good line behind is still found. */
static void test_long_lines(void **state)
{
	static const char tail[] = "\nanon 1\n8:0 Read 2\n8:0 rbytes=3\nsome total=4\n";
	const size_t long_len = 1 << 20, len = long_len + sizeof(tail) - 1;
	static const struct parse_key anon = KEY("anon"), read = KEY("Read");
	static const struct parse_key rbytes = KEY("rbytes"), some = KEY("some");
	static const char fill[] = {'x', '9', ' ', '=', ':', ')', '\0', '\xff'};
	_cleanup_free_ char *text = malloc(len);
	struct value v;

	assert_non_null(text);
	memcpy(text + long_len, tail, sizeof(tail) - 1);
	for (size_t i = 0; i < sizeof(fill); i++) {
		struct proc_stat s;
		struct netdev n;
		size_t count;

		memset(text, fill[i], long_len);
		assert_int_equal(parse_flat(text, len, &anon, 1, &v), 0);
		assert_int_equal(v.number, 1);
		assert_int_equal(parse_blkio(text, len, &read, 1, &v), 0);
		assert_int_equal(v.number, 2);
		assert_int_equal(parse_nested(text, len, &rbytes, 1, &v), 0);
		assert_int_equal(v.number, 3);
		assert_int_equal(parse_pressure(text, len, &some, 1, &v), 0);
		assert_int_equal(v.number, 4);
		assert_int_equal(parse_netdev(text, len, &n, 1, &count), -EBADMSG);
		assert_int_equal(parse_proc_stat(text, len, &s), -EBADMSG);
		assert_int_equal(parse_number(text, len, 1, &v), -EBADMSG);
		assert_int_equal(parse_cpu_list(text, len, &v), -EBADMSG);
	}
}

/* Every way to cut a text off: what is read from the rest is right or absent, never less. */
static void test_every_truncation(void **state)
{
	static const char text[] = "anon 233472\nfile 16384\nkernel 356352\n";
	static const struct parse_key keys[] = {KEY("anon"), KEY("file"), KEY("kernel")};
	static const uint64_t full[] = {233472, 16384, 356352};
	size_t present = 0;

	for (size_t len = 0; len < sizeof(text); len++) {
		_cleanup_free_ char *copy = exact_copy(text, len);
		struct value v[3] = {0};
		int r = parse_flat(copy, len, keys, 3, v);

		assert_int_equal(r, len < 12 ? -EBADMSG : 0);
		for (size_t i = 0; i < 3; i++) {
			if (v[i].state == VALUE_ABSENT)
				continue;
			assert_int_equal(v[i].number, full[i]);
			present++;
		}
	}
	/* 26 lengths from 12 on hold the first line, 15 the second, 1 the third */
	assert_int_equal(present, 26 + 15 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_cpu_quota),
		cmocka_unit_test(test_cpu_list),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_flat_many_keys),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_blkio),
		cmocka_unit_test(test_pressure),
		cmocka_unit_test(test_netdev),
		cmocka_unit_test(test_netdev_odd_lines),
		cmocka_unit_test(test_netdev_no_grammar),
		cmocka_unit_test(test_proc_cgroup),
		cmocka_unit_test(test_proc_stat),
		cmocka_unit_test(test_proc_status),
		cmocka_unit_test(test_proc_cpu),
		cmocka_unit_test(test_host_numbers),
		cmocka_unit_test(test_proc_net_unix),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_every_truncation),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
