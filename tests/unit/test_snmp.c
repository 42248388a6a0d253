/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snmp-subagent/mibs.h"
#include "snmp-subagent/view.h"

/* --- names ------------------------------------------------------------------------------------ */

struct name {
	subid oid[MIB_OID_MAX];
	size_t len;
};

static struct name parse(const char *text)
{
	struct name n = {.len = 0};
	char *end;

	for (; *text; text = *end ? end + 1 : end)
		n.oid[n.len++] = strtoul(text, &end, 10);
	return n;
}

static const char *show(const struct name *n)
{
	static char text[2][1024];
	static int turn;
	char *end = text[turn ^= 1];

	*end = '\0';
	for (size_t i = 0; i < n->len; i++)
		end += sprintf(end, "%s%lu", i ? "." : "", n->oid[i]);
	return text[turn];
}

static int order(const struct name *a, const struct name *b)
{
	for (size_t i = 0; i < MIN(a->len, b->len); i++)
		if (a->oid[i] != b->oid[i])
			return a->oid[i] < b->oid[i] ? -1 : 1;
	return a->len < b->len ? -1 : a->len > b->len;
}

/* "" at the end. */
static struct name next(const struct mib_tree *t, const struct mib_place *p, const struct name *n)
{
	struct mib_answer a;
	struct name found = {.len = 0};

	if (mib_next(t, p, n->oid, n->len, &a) == MIB_FOUND)
		found.len = mib_name(t, &a, found.oid);
	return found;
}

/* --- a small tree, all of whose cells are listed -----------------------------------------------
 */

static bool get_number(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	ret->number = c->arc * 1000 + key->row;
	return true;
}

static bool get_but_row_1(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return key->row != 1 && get_number(p, key, c, ret);
}

static bool get_none(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return false;
}

static struct mib_rows three_rows(const struct mib_place *p)
{
	static const struct mib_key keys[] = {{{5}, 0}, {{7}, 1}, {{UINT32_MAX}, 2}};

	return (struct mib_rows){keys, 3, 0};
}

static struct mib_rows no_rows(const struct mib_place *p)
{
	return (struct mib_rows){0};
}

/* The index is the second and third sub-id: a range of a larger table. */
static struct mib_rows pair_rows(const struct mib_place *p)
{
	static const struct mib_key keys[] = {{{9, 1, 1}, 0}, {{9, 1, 3}, 1}, {{9, 2, 1}, 2}};

	return (struct mib_rows){keys, 3, 1};
}

static const struct mib_column scalars[] = {
	{1, SMI_GAUGE32, get_number, NULL}, {3, SMI_GAUGE32, get_number, NULL}};
static const struct mib_column columns[] = {{2, SMI_GAUGE32, get_number, NULL},
	{4, SMI_GAUGE32, get_but_row_1, NULL}, {9, SMI_GAUGE32, get_none, NULL},
	{11, SMI_GAUGE32, get_number, NULL}};
static const struct mib_column lone[] = {{0, SMI_GAUGE32, get_number, NULL}};
static const struct mib_table tables[] = {
	{{1}, 1, 1, scalars, 2, mib_scalars},
	{{2, 1}, 2, 1, columns, 4, three_rows},
	{{3, 1}, 2, 1, columns, 4, no_rows},
	{{4, 1}, 2, 2, columns, 1, pair_rows},
	{{5, 2}, 2, 0, lone, 1, mib_scalars},
};
static const struct mib_tree tree = {{1, 3, 9}, 3, tables, ARRAY_SIZE(tables)};

static const char *const cells[] = {
	"1.3.9.1.1.0",
	"1.3.9.1.3.0",
	"1.3.9.2.1.2.5",
	"1.3.9.2.1.2.7",
	"1.3.9.2.1.2.4294967295",
	"1.3.9.2.1.4.5",
	"1.3.9.2.1.4.4294967295",
	"1.3.9.2.1.11.5",
	"1.3.9.2.1.11.7",
	"1.3.9.2.1.11.4294967295",
	"1.3.9.4.1.2.1.1",
	"1.3.9.4.1.2.1.3",
	"1.3.9.4.1.2.2.1",
	"1.3.9.5.2.0",
};

static void assert_next(const struct name *n)
{
	struct mib_place place = {0};
	struct name found = next(&tree, &place, n), wanted = {.len = 0};

	for (size_t i = 0; i < ARRAY_SIZE(cells) && !wanted.len; i++) {
		struct name cell = parse(cells[i]);

		if (order(&cell, n) > 0)
			wanted = cell;
	}
	if (order(&found, &wanted) != 0)
		fail_msg("after %s: %s", show(n), show(&found));
}

/* The name itself, cut at each place, and there one less, one more, with a 0 behind. */
static void around(const char *text)
{
	struct name n = parse(text);

	for (size_t len = 0; len <= n.len; len++) {
		struct name cut = n;

		cut.len = len;
		assert_next(&cut);
		if (len > 0 && cut.oid[len - 1]-- > 0)
			assert_next(&cut);
		cut = n;
		if (len > 0 && ++cut.oid[len - 1])
			assert_next(&cut);
		cut.len = len;
		assert_next(&cut);
		cut = n;
		cut.len = len + 1;
		cut.oid[len] = 0;
		assert_next(&cut);
	}
}

static void test_next(void **state)
{
	static const struct {
		const char *from, *to;
	} pairs[] = {
		{"1.3.9.2.1.2.6", "1.3.9.2.1.2.7"},
		{"1.3.9.2.1.2.7.1", "1.3.9.2.1.2.4294967295"},
		{"1.3.9.2.1.3", "1.3.9.2.1.4.5"},
		{"1.3.9.2.1.4.5", "1.3.9.2.1.4.4294967295"},
		{"1.3.9.2.1.8.1", "1.3.9.2.1.11.5"},
		{"1.3.9.2.1.11.4294967295", "1.3.9.4.1.2.1.1"},
		{"1.3.9.2.1.12", "1.3.9.4.1.2.1.1"},
		{"1.3.9.4.1.2.1.2.9", "1.3.9.4.1.2.1.3"},
		{"1.3.9.4.1.3", "1.3.9.5.2.0"},
		{"1.3.9.5.2.0", ""},
		{"1.3.9.6", ""},
		{"1.3.10", ""},
		{"2", ""},
		{"1.3.8.99.99", "1.3.9.1.1.0"},
		{"1", "1.3.9.1.1.0"},
	};
	struct mib_place place = {0};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct name from = parse(pairs[i].from), to = next(&tree, &place, &from);

		assert_string_equal(show(&to), pairs[i].to);
		around(pairs[i].from);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		around(cells[i]);
}

static enum mib_result get(const char *text, struct mib_answer *a)
{
	struct mib_place place = {0};
	struct name n = parse(text);

	return mib_get(&tree, &place, n.oid, n.len, a);
}

static void test_get(void **state)
{
	static const char *const no_object[] = {"1.3.9", "1.3.9.1", "1.3.9.1.2.0", "1.3.9.2",
		"1.3.9.2.1", "1.3.9.2.1.3.5", "1.3.9.2.2.2.5", "1.3.9.6.1", "1.3", "1.3.8.1.1.0",
		"2"};
	static const char *const no_instance[] = {"1.3.9.1.1", "1.3.9.1.1.1", "1.3.9.1.1.0.0",
		"1.3.9.2.1.2", "1.3.9.2.1.2.6", "1.3.9.2.1.4.7", "1.3.9.2.1.9.5", "1.3.9.2.1.2.5.0",
		"1.3.9.3.1.2.5", "1.3.9.4.1.2.1", "1.3.9.4.1.2.1.2", "1.3.9.5.2.0.0"};
	struct mib_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
		struct name n = parse(cells[i]), again;

		assert_int_equal(get(cells[i], &a), MIB_FOUND);
		again.len = mib_name(&tree, &a, again.oid);
		assert_int_equal(order(&n, &again), 0);
	}
	assert_int_equal(get("1.3.9.2.1.11.4294967295", &a), MIB_FOUND);
	assert_int_equal(a.value.number, 11002);
	for (size_t i = 0; i < ARRAY_SIZE(no_object); i++)
		assert_int_equal(get(no_object[i], &a), MIB_NO_OBJECT);
	for (size_t i = 0; i < ARRAY_SIZE(no_instance); i++)
		assert_int_equal(get(no_instance[i], &a), MIB_NO_INSTANCE);
}

static void test_text(void **state)
{
	struct mib_value v;
	char text[400];

	memset(text, 'x', sizeof(text));
	memcpy(text + 254, "\303\244", 2); /* two bytes, of which one would fit */
	text[399] = '\0';
	assert_true(mib_text(&v, text));
	assert_int_equal(v.len, 254);
	assert_false(mib_text(&v, ""));
	assert_false(mib_text(&v, NULL));
}

/* --- a world with a snapshot ------------------------------------------------------------------ */

#define T0 (UINT64_C(1714564800) * NSEC_PER_SEC)
#define S  NSEC_PER_SEC
#define G  (UINT64_C(1) << 30)
#define M  (UINT64_C(1) << 20)

struct world {
	char dir[64];
	struct config *config;
	struct snapshot_builder *builder;
	struct source source;
	struct loadcell_mib *mib;
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
	assert_int_equal(loadcell_mib_new("1.3.6.1.4.1.99999", &w->mib), 0);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct world *w = *state;

	source_free(&w->source);
	loadcell_mib_free(w->mib);
	snapshot_builder_free(w->builder);
	config_free(w->config);
	nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

struct figure {
	unsigned int id;
	struct value value;
};

#define IS(id, n)                                                                                  \
	{                                                                                          \
		METRIC_##id,                                                                       \
		{                                                                                  \
			(n), VALUE_PRESENT                                                         \
		}                                                                                  \
	}
#define UNLIMITED(id)                                                                              \
	{                                                                                          \
		METRIC_##id,                                                                       \
		{                                                                                  \
			0, VALUE_UNLIMITED                                                         \
		}                                                                                  \
	}

static void add(struct world *w, enum metric_scope scope, struct snapshot_row row,
	const struct figure *figures, size_t n)
{
	struct value values[METRIC_ID_END] = {0};

	for (size_t i = 0; i < n; i++)
		values[metric_slot(figures[i].id)] = figures[i].value;
	row.values = values;
	assert_int_equal(snapshot_builder_add(w->builder, scope, &row), 0);
}
#define ADD(w, scope, row, ...)                                                                    \
	add(w, scope, row, (struct figure[]){__VA_ARGS__},                                         \
		sizeof((struct figure[]){__VA_ARGS__}) / sizeof(struct figure))

/* A tick reads it; it is so old then. */
static void publish(struct world *w, uint64_t age_ns)
{
	struct snapshot_info info = {
		.time_ns = T0, .interval_ns = 10 * S, .sequence = ++w->sequence};

	info.monotonic_ns = now_ns(CLOCK_MONOTONIC) - age_ns;
	assert_int_equal(snapshot_builder_publish(w->builder, w->source.path, &info), 0);
	snapshot_builder_reset(w->builder);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
}

static void add_host(struct world *w)
{
	struct snapshot_row host = {.text = {[TEXT_NAME] = "kvm07", [TEXT_KIND] = "6.1.0-44"}};

	ADD(w, SCOPE_HOST, host, IS(HOST_CPUS, 8 * S), IS(HOST_MEMORY_TOTAL, 64 * G),
		IS(HOST_SWAP_TOTAL, 2 * G), IS(HOST_TASKS_LIMIT, 500000),
		IS(HOST_PIDS_LIMIT, 32768), IS(HOST_CPU_USER, 1234567));
}

static void add_instance(struct world *w, uint32_t index, uint64_t run)
{
	struct snapshot_row row = {.index = index, .run = run, .text = {[TEXT_NAME] = "some"}};

	ADD(w, SCOPE_INSTANCE, row, IS(PIDS_CURRENT, index));
}

static void add_web01(struct world *w)
{
	struct snapshot_row web = {
		.index = 1001,
		.run = 0xdeadbeef,
		.text = {[TEXT_NAME] = "web01",
			[TEXT_HANDLE] = "web01~1001",
			[TEXT_CONTEXT] = "web01~1001",
			[TEXT_HOSTNAME] = "web01.example.com",
			[TEXT_GROUPS] = "web\nprod",
			[TEXT_LXCPATH] = "/var/lib/lxc",
			[TEXT_KIND] = "lxc",
			[TEXT_STATE] = "running"},
	};
	struct snapshot_row eth0 = {.parent = 1001, .index = 0, .text = {[TEXT_NAME] = "eth0"}};
	struct snapshot_row eth1 = {.parent = 1001, .index = 1, .text = {[TEXT_NAME] = "eth1"}};
	struct snapshot_row other = {.parent = 1002, .text = {[TEXT_NAME] = "lan"}};

	ADD(w, SCOPE_INSTANCE, web, IS(CPU_USAGE, 12345678901234567), IS(CPU_IDLE, 999),
		IS(MEMORY_USAGE, UINT64_C(9007199254740993)), IS(MEMORY_LIMIT, 1536 * M),
		UNLIMITED(MEMORY_SWAP_LIMIT), UNLIMITED(CPU_LIMIT), UNLIMITED(PIDS_LIMIT),
		UNLIMITED(DISK_LIMIT), IS(CPU_QUOTA, 500000000), IS(MEMORY_USED_RATIO, 333333333),
		IS(PIDS_CURRENT, 42), IS(START_TIME, T0 - S / 2), IS(UPTIME, 1500000000));
	ADD(w, SCOPE_INTERFACE, other, IS(INTERFACE_RECEIVE_BYTES, 99));
	ADD(w, SCOPE_INTERFACE, eth1, IS(INTERFACE_RECEIVE_BYTES, 200));
	ADD(w, SCOPE_INTERFACE, eth0, IS(INTERFACE_RECEIVE_BYTES, 800));
}

/* What stands at a name below the arc: "12", "web01", or "-". */
static const char *ask(struct world *w, const struct mib_tree *t, const char *below)
{
	static char text[512];
	struct mib_place place = {&w->source.view, 0};
	struct name n = parse(below), whole;
	struct mib_answer a;

	memcpy(whole.oid, t->root, t->len * sizeof(subid));
	memcpy(whole.oid + t->len, n.oid, n.len * sizeof(subid));
	if (mib_get(t, &place, whole.oid, t->len + n.len, &a) != MIB_FOUND)
		return "-";
	if (a.column->syntax == SMI_TEXT)
		snprintf(text, sizeof(text), "%.*s", (int)a.value.len, (const char *)a.value.bytes);
	else
		snprintf(text, sizeof(text), "%lld", (long long)a.value.number);
	return text;
}

#define assert_cell(below, text) assert_string_equal(ask(w, loadcell_mib_tree(w->mib), below), text)

/* Walks all; asserts that names ascend. Returns how many cells. */
static size_t walk(struct world *w, const struct mib_tree *t, const char *below)
{
	struct mib_place place = {&w->source.view, 0};
	struct name at = parse(below), last;
	size_t n = 0;

	memmove(at.oid + t->len, at.oid, at.len * sizeof(subid));
	memcpy(at.oid, t->root, t->len * sizeof(subid));
	at.len += t->len;
	for (size_t len = at.len;; n++) {
		last = at;
		at = next(t, &place, &at);
		if (!at.len || memcmp(at.oid, last.oid, len * sizeof(subid)) != 0)
			return n;
		assert_true(order(&at, &last) > 0);
	}
}

static void test_cells(void **state)
{
	struct world *w = *state;
	struct snapshot_row fs = {
		.text = {[TEXT_NAME] = "/srv", [TEXT_KIND] = "ext4", [TEXT_DISK] = "/dev/sda1"}};

	add_host(w);
	add_web01(w);
	ADD(w, SCOPE_FILESYSTEM, fs, IS(FILESYSTEM_SIZE, 100 * G), IS(FILESYSTEM_USED, 5000));
	publish(w, 2 * S);

	assert_cell("1.1.3002.0", "1714564800");
	assert_cell("1.1.3004.0", "2");
	assert_cell("1.1.3005.0", "");
	assert_cell("1.1.3006.0", "1");
	assert_cell("1.2.3001.0", "kvm07");
	assert_cell("1.2.3002.0", "6.1.0-44");
	assert_cell("1.2.65.0", "1234"); /* microseconds */
	assert_cell("1.2.70.0", "8000"); /* millicores */
	assert_cell("1.2.72.0", "67108864");
	assert_cell("1.2.1072.0", "68719476736");
	assert_cell("1.2.71.0", "-");

	assert_cell("1.3.1.1.1001", "12345678901234");
	assert_cell("1.3.1.44.1001", "0");
	assert_cell("1.3.1.2.1001", "-");
	assert_cell("1.3.1.10.1001", "4294967295"); /* more than fits */
	assert_cell("1.3.1.1010.1001", "9007199254740993");
	assert_cell("1.3.1.17.1001", "1572864");
	assert_cell("1.3.1.1017.1001", "1610612736");
	assert_cell("1.3.1.2017.1001", "2");
	assert_cell("1.3.1.18.1001", "2097152"); /* the host's */
	assert_cell("1.3.1.1018.1001", "2147483648");
	assert_cell("1.3.1.2018.1001", "1");
	assert_cell("1.3.1.7.1001", "8000");
	assert_cell("1.3.1.2007.1001", "1");
	assert_cell("1.3.1.25.1001", "32768"); /* the smaller of two */
	assert_cell("1.3.1.2025.1001", "1");
	assert_cell("1.3.1.46.1001", "-"); /* no total is known */
	assert_cell("1.3.1.2046.1001", "1");
	assert_cell("1.3.1.120.1001", "500");
	assert_cell("1.3.1.121.1001", "-");
	assert_cell("1.3.1.2121.1001", "-");
	assert_cell("1.3.1.20.1001", "3333");
	assert_cell("1.3.1.24.1001", "42");
	assert_cell("1.3.1.48.1001", "1714564799");
	assert_cell("1.3.1.49.1001", "1500000");
	assert_cell("1.3.1.3001.1001", "-"); /* an index is no object */
	assert_cell("1.3.1.3002.1001", "web01");
	assert_cell("1.3.1.3003.1001", "web01~1001");
	assert_cell("1.3.1.3005.1001", "web01.example.com");
	assert_cell("1.3.1.3006.1001", "web,prod");
	assert_cell("1.3.1.3007.1001", "/var/lib/lxc");
	assert_cell("1.3.1.3009.1001", "running");
	assert_cell("1.3.1.3010.1001", "00000000deadbeef");
	assert_cell("1.3.1.3012.1001", "2");
	assert_cell("1.3.1.24.1002", "-");

	assert_cell("1.4.1.52.1001.1", "800");
	assert_cell("1.4.1.52.1001.2", "200");
	assert_cell("1.4.1.3002.1001.2", "eth1");
	assert_cell("1.4.1.52.1002.1", "99");
	assert_cell("1.5.1.60.1", "104857600");
	assert_cell("1.5.1.61.1", "4");
	assert_cell("1.5.1.1061.1", "5000");
	assert_cell("1.5.1.3002.1", "/srv");
	assert_cell("1.5.1.3003.1", "/dev/sda1");
	assert_cell("1.5.1.3004.1", "ext4");
}

static void test_vm_cells(void **state)
{
	struct world *w = *state;
	static const char *const wanted[][2] = {{"1.1.1.0", "LXC"}, {"1.1.2.0", "6.1.0-44"},
		{"1.2.0", "1"}, {"1.4.1.2.1001", "web01~1001"}, {"1.4.1.4.1001", ""},
		{"1.4.1.5.1001", "1"}, {"1.4.1.6.1001", "4"}, {"1.4.1.7.1001", "1"},
		{"1.4.1.9.1001", "8"}, {"1.4.1.10.1001", "-1"}, {"1.4.1.11.1001", "8"},
		/* 8 PiB of usage do not fit in KiB, nor in MiB. */
		{"1.4.1.12.1001", "1073741824"}, {"1.4.1.13.1001", "8388608"},
		{"1.4.1.14.1001", "-1"}, {"1.4.1.15.1001", "1"}, {"1.4.1.16.1001", "150"},
		{"1.4.1.17.1001", "12345678901234"}};

	add_host(w);
	add_web01(w);
	publish(w, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_string_equal(ask(w, &vm_mib_tree, wanted[i][0]), wanted[i][1]);
	assert_int_equal(walk(w, &vm_mib_tree, ""), 4 + 2 + 16);

	/* Limits that are not known. */
	add_instance(w, 7, 1);
	publish(w, 0);
	assert_string_equal(ask(w, &vm_mib_tree, "1.4.1.9.7"), "-");
	assert_string_equal(ask(w, &vm_mib_tree, "1.4.1.11.7"), "-1");
	assert_string_equal(ask(w, &vm_mib_tree, "1.4.1.13.7"), "-");
	assert_string_equal(ask(w, &vm_mib_tree, "1.4.1.15.7"), "-1");
}

/* None, one and 2,000 instances. */
static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 2000};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct mib_tree *t = loadcell_mib_tree(w->mib);

		for (uint32_t n = sizes[i]; n > 0; n--) /* not in order */
			add_instance(w, 3 * n, n);
		publish(w, 0);
		assert_int_equal(walk(w, t, "1.3.1.24"), sizes[i]);
		assert_int_equal(walk(w, t, "1.3.1.3002"), sizes[i]);
		/* pids_current, name, run, discontinuity time, shared network, name for Zabbix */
		assert_int_equal(walk(w, t, "1.3"), 6 * sizes[i]);
		assert_int_equal(walk(w, t, "1.4"), 0);
		assert_cell("1.3.1.24.3", sizes[i] ? "3" : "-");
		assert_cell("1.3.1.24.4", "-");
		assert_cell("1.3.1.24.6000", sizes[i] == 2000 ? "6000" : "-");
	}
}

static void spoil(struct world *w, off_t at, char byte)
{
	int fd = open(w->source.path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
}

static void test_bad_snapshots(void **state)
{
	struct world *w = *state;
	const struct mib_tree *t = loadcell_mib_tree(w->mib);

	/* None yet: only the agent's own state. */
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_cell("1.1.3004.0", "1");
	assert_non_null(strstr(ask(w, t, "1.1.3005.0"), "the collector does not run"));
	assert_cell("1.1.3003.0", "-");
	assert_int_equal(walk(w, t, ""), 11);
	assert_int_equal(walk(w, &vm_mib_tree, ""), 2);

	add_instance(w, 7, 1);
	publish(w, 0);
	assert_cell("1.3.1.24.7", "7");
	assert_cell("1.1.3004.0", "2");

	/* Damage: what was read before is still good. */
	unlink(w->source.path);
	add_instance(w, 8, 1);
	publish(w, 0);
	spoil(w, 200, 'x');
	assert_non_null(strstr(ask(w, t, "1.1.3005.0"), "damaged"));
	assert_cell("1.3.1.24.8", "8");
	spoil(w, 8, 99);
	assert_cell("1.3.1.24.8", "8");
	assert_true(*ask(w, t, "1.1.3005.0") != '\0');
	assert_int_equal(truncate(w->source.path, 10), 0);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_non_null(strstr(ask(w, t, "1.1.3005.0"), "no snapshot"));

	/* Too old: rows disappear, and come back with the next sample. */
	add_host(w);
	add_instance(w, 9, 1);
	publish(w, 31 * S);
	assert_cell("1.1.3004.0", "1");
	assert_true(strtoul(ask(w, t, "1.1.3003.0"), NULL, 10) >= 31000);
	assert_cell("1.3.1.24.9", "-");
	assert_cell("1.2.70.0", "-");
	assert_cell("1.1.3006.0", "0");
	assert_int_equal(walk(w, t, "1.3"), 0);
	add_instance(w, 9, 1);
	publish(w, 0);
	assert_cell("1.3.1.24.9", "9");
	assert_cell("1.1.3005.0", "");
}

/* The time stamp of a run stays when clocks move; the table's changes with its rows. */
static void test_discontinuity(void **state)
{
	struct world *w = *state;
	uint64_t now = now_ns(CLOCK_MONOTONIC), wall = now_ns(CLOCK_REALTIME);
	struct snapshot_row row = {.index = 7, .run = 1};
	/* In hundredths of a second; the master began with the machine, however young that is. */
	unsigned long up = now / 10000000, began;
	char text[32];

	w->source.master_ns = 1;
	ADD(w, SCOPE_INSTANCE, row, IS(START_TIME, wall - 30 * S));
	publish(w, 0);
	began = strtoul(ask(w, loadcell_mib_tree(w->mib), "1.3.1.3011.7"), NULL, 10);
	assert_in_range(began, up - 3100, up - 2000);
	snprintf(text, sizeof(text), "%lu", began);

	w->source.changed_ns = 0;
	ADD(w, SCOPE_INSTANCE, row, IS(START_TIME, wall - 15 * S)); /* the clock was set */
	publish(w, 0);
	assert_cell("1.3.1.3011.7", text);
	assert_cell("1.1.3007.0", "0"); /* nothing came or went */

	row.run = 2;
	ADD(w, SCOPE_INSTANCE, row, IS(START_TIME, wall - 20 * S));
	publish(w, 0);
	assert_in_range(strtoul(ask(w, loadcell_mib_tree(w->mib), "1.3.1.3011.7"), NULL, 10),
		up - 2100, up - 1000);
	assert_in_range(strtoul(ask(w, loadcell_mib_tree(w->mib), "1.1.3007.0"), NULL, 10),
		up - 100, up + 1000);

	/* Its age was 25 s when another interface took a number. */
	for (unsigned int i = 0; i < 2; i++) {
		struct snapshot_row lan = {.parent = 7, .run = i};

		ADD(w, SCOPE_INTERFACE, lan, IS(INTERFACE_RECEIVE_BYTES, 1));
		ADD(w, SCOPE_INSTANCE, row, IS(UPTIME, 25 * S));
		publish(w, 0);
	}
	assert_in_range(strtoul(ask(w, loadcell_mib_tree(w->mib), "1.3.1.3011.7"), NULL, 10),
		up + 400, up + 1500);

	/* The data was stale meanwhile: the run is the same. */
	row.run = 3;
	ADD(w, SCOPE_INSTANCE, row, IS(START_TIME, wall - 20 * S));
	publish(w, 31 * S);
	assert_cell("1.3.1.3011.7", "-");
	w->source.changed_ns = 0;
	ADD(w, SCOPE_INSTANCE, row, IS(START_TIME, wall - 10 * S));
	publish(w, 0);
	assert_in_range(strtoul(ask(w, loadcell_mib_tree(w->mib), "1.3.1.3011.7"), NULL, 10),
		up - 2100, up - 1000);
	assert_string_not_equal(ask(w, loadcell_mib_tree(w->mib), "1.1.3007.0"), "0");

	/* snmpd restarted after the run began. */
	w->source.master_ns = now;
	assert_cell("1.3.1.3011.7", "0");
}

/* --- journals --------------------------------------------------------------------------------- */

static void append(struct world *w, const char *name, const char *format, ...) _printf_(3, 4);
static void append(struct world *w, const char *name, const char *format, ...)
{
	_cleanup_free_ char *path = format_string("%s/%s.jsonl", w->dir, name);
	FILE *f = fopen(path, "a");
	va_list ap;

	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	putc('\n', f);
	fclose(f);
}

static void test_runs(void **state)
{
	struct world *w = *state;
	unsigned int now = (unsigned int)time(NULL);
	char name[64];

	append(w, "runs",
		"{\"run\":\"00000000000000aa\",\"index\":7,\"handle\":\"a\",\"start\":%u.5,"
		"\"end\":%u.25,\"how\":\"stop\",\"metrics\":{\"cpu_usage_seconds\":1.2345678,"
		"\"memory_peak_bytes\":3000,\"memory_limit_bytes\":\"unlimited\"}}",
		now - 60, now - 10);
	append(w, "runs", "not json");
	append(w, "runs", "{\"run\":\"00000000000000bb\",\"end\":null}");
	add_host(w);
	publish(w, 0);
	append(w, "runs", "{\"run\":\"00000000000000cc\",\"end\":%u.75}", now - 10);
	append(w, "runs", "{\"run\":\"00000000000000dd\",\"end\":%u.75}", now - 20);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));

	assert_int_equal(walk(w, loadcell_mib_tree(w->mib), "1.6.1.3003"), 3);
#define assert_run(column, ordinal, text)                                                          \
	do {                                                                                       \
		snprintf(name, sizeof(name), "1.6.1.%d.%u.%d", column, now - 10, ordinal);         \
		assert_cell(name, text);                                                           \
	} while (0)
	assert_run(3003, 1, "00000000000000aa");
	assert_run(3003, 2, "00000000000000cc");
	assert_run(3004, 1, "7");
	assert_run(3005, 1, "a");
	assert_run(3010, 1, "stop");
	assert_run(1, 1, "1234567");
	assert_run(19, 1, "2");
	assert_run(1019, 1, "3000");
	assert_run(17, 1, "67108864");
	assert_run(2017, 1, "1");
	assert_run(27, 1, "-");
	assert_run(1, 2, "-");

	/* A host that goes down: more in a second than are kept. */
	for (int i = 0; i < 150; i++)
		append(w, "runs", "{\"run\":\"%016x\",\"end\":%u}", i, now);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_int_equal(walk(w, loadcell_mib_tree(w->mib), "1.6.1.3003"), HISTORY_LINES);
	snprintf(name, sizeof(name), "1.6.1.3003.%u.150", now);
	assert_cell(name, "0000000000000095");
	snprintf(name, sizeof(name), "1.6.1.3003.%u.50", now);
	assert_cell(name, "-");

	/* Another agent that starts now has the same numbers. */
	source_free(&w->source);
	assert_int_equal(source_init(&w->source, w->config), 0);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_int_equal(walk(w, loadcell_mib_tree(w->mib), "1.6.1.3003"), HISTORY_LINES);
	snprintf(name, sizeof(name), "1.6.1.3003.%u.150", now);
	assert_cell(name, "0000000000000095");
}

static void test_events(void **state)
{
	struct world *w = *state;

	for (int id = 1; id <= 130; id++)
		append(w, "events", "{\"id\":%d,\"time\":%ld.5,\"type\":\"start\"}", id,
			(long)time(NULL));
	publish(w, 0);
	append(w, "events",
		"{\"id\":131,\"time\":1714564800.9,\"type\":\"limit-changed\",\"handle\":\"web\","
		"\"index\":9,\"run\":\"00000000000000aa\",\"metric\":\"cpu_limit_cores\","
		"\"old\":0.5,\"new\":\"unlimited\"}");
	append(w, "events", "{\"id\":132,\"type\":\"oom\",\"kills\":3,\"handle\":null}");
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));

	assert_int_equal(walk(w, loadcell_mib_tree(w->mib), "1.7.1.3003"), HISTORY_LINES);
	assert_cell("1.7.1.3003.32", "-");
	assert_cell("1.7.1.3003.33", "start");
	assert_cell("1.7.1.3002.131", "1714564800");
	assert_cell("1.7.1.3003.131", "limit-changed");
	assert_cell("1.7.1.3004.131", "web");
	assert_cell("1.7.1.3005.131", "9");
	assert_cell("1.7.1.3006.131", "00000000000000aa");
	assert_cell("1.7.1.3009.131", "cpu_limit_cores");
	assert_cell("1.7.1.3010.131", "0.5");
	assert_cell("1.7.1.3011.131", "unlimited");
	assert_cell("1.7.1.3008.132", "3");
	assert_cell("1.7.1.3004.132", "-");
	assert_cell("1.7.1.3002.132", "-");
	assert_cell("1.1.3011.0", "132 oom  ");
	assert_cell("1.1.3012.0", "0");

	/* Ends that nobody asked for, each once. */
	append(w, "events",
		"{\"id\":133,\"type\":\"disappeared\",\"handle\":\"web\",\"how\":\"killed\"}");
	append(w, "events", "{\"id\":134,\"type\":\"stop\",\"handle\":\"web\",\"how\":\"stop\"}");
	append(w, "events", "{\"id\":135,\"type\":\"flapping\",\"handle\":\"web\"}");
	append(w, "events", "{\"id\":136,\"type\":\"stop\",\"handle\":\"db\",\"how\":\"oom\"}");
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_cell("1.1.3011.0", "136 stop db oom");
	assert_cell("1.1.3012.0", "2");
	assert_cell("1.1.3013.0", "1");

	/* All data was removed, and numbers begin at 1 again. */
	append(w, "events", "{\"id\":133,\"time\":%ld.5,\"type\":\"oom\"}", (long)time(NULL));
	append(w, "events", "{\"id\":1,\"time\":%ld.5,\"type\":\"start\"}", (long)time(NULL) + 1);
	append(w, "events", "{\"id\":2,\"time\":%ld.5,\"type\":\"stop\"}", (long)time(NULL) + 1);
	source_tick(&w->source, now_ns(CLOCK_MONOTONIC));
	assert_int_equal(walk(w, loadcell_mib_tree(w->mib), "1.7.1.3003"), 2);
	assert_cell("1.7.1.3003.1", "start");
	assert_cell("1.7.1.3003.2", "stop");
}

/* --- the table of columns --------------------------------------------------------------------- */

static void test_columns(void **state)
{
	static const struct {
		enum smi_table table;
		uint32_t arc;
		const char *name;
	} some[] = {
		{SMI_INSTANCE, 1, "loadcellInstanceCpuUsageMicroseconds"},
		{SMI_INSTANCE, 7, "loadcellInstanceCpuLimitMillicores"},
		{SMI_INSTANCE, 2007, "loadcellInstanceCpuLimitUnlimited"},
		{SMI_INSTANCE, 9, "loadcellInstanceCpuUsedCentipercent"},
		{SMI_INSTANCE, 10, "loadcellInstanceMemoryUsageKibibytes"},
		{SMI_INSTANCE, 1010, "loadcellInstanceMemoryUsageBytes"},
		{SMI_INSTANCE, 27, "loadcellInstanceIoReadBytes"},
		{SMI_INSTANCE, 48, "loadcellInstanceStartTimeSeconds"},
		{SMI_INSTANCE, 50, "loadcellInstanceStarts"},
		{SMI_INTERFACE, 52, "loadcellInterfaceReceiveBytes"},
		{SMI_FILESYSTEM, 60, "loadcellFilesystemSizeKibibytes"},
		{SMI_HOST, 65, "loadcellHostCpuUserMicroseconds"},
		{SMI_HOST, 90, "loadcellHostInstancesRunning"},
		{SMI_RUN, 19, "loadcellRunMemoryPeakKibibytes"},
		{SMI_EVENT, 3001, "loadcellEventId"},
	};
	struct smi_column *all[SMI_TABLE_END];
	ssize_t n[SMI_TABLE_END];

	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END; t++) {
		n[t] = smi_columns(t, &all[t]);
		assert_true(n[t] > 0);
		for (ssize_t i = 0; i < n[t]; i++) {
			assert_true(i == 0 || all[t][i - 1].arc < all[t][i].arc);
			assert_true(strlen(all[t][i].name) <= 64); /* RFC 2578, 3.1 */
			for (enum smi_table u = SMI_STATUS; u <= t; u++)
				for (ssize_t k = 0; k < (u < t ? n[u] : i); k++)
					assert_string_not_equal(all[u][k].name, all[t][i].name);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		ssize_t k = 0;

		while (k < n[some[i].table] && all[some[i].table][k].arc != some[i].arc)
			k++;
		assert_true(k < n[some[i].table]);
		assert_string_equal(all[some[i].table][k].name, some[i].name);
	}
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END; t++)
		free(all[t]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_text),
		TEST(test_cells),
		TEST(test_vm_cells),
		TEST(test_sizes),
		TEST(test_bad_snapshots),
		TEST(test_discontinuity),
		TEST(test_runs),
		TEST(test_events),
		cmocka_unit_test(test_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
