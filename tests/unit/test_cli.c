/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/near.h"
#include "lib/index.h"

/*
 * Snapshots with known values, and what `loadcell` must make of them: texts written by hand here
 * and in tests/golden/.
 */
#define T0 (UINT64_C(1714564800) * NSEC_PER_SEC) /* 2024-05-01 12:00:00 UTC */
#define S  NSEC_PER_SEC
#define G  (UINT64_C(1) << 30)
#define M  (UINT64_C(1) << 20)

struct world {
	char dir[64];
	char *config;
	struct snapshot_builder *builder;
	/* The last run. */
	int exit;
	char *out, *err;
};

/* --- building -------------------------------------------------------------------------------- */

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

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(metric_by_id(figures[i].id)->scope, scope);
		values[metric_slot(figures[i].id)] = figures[i].value;
	}
	row.values = values;
	assert_int_equal(snapshot_builder_add(w->builder, scope, &row), 0);
}
#define ADD(w, scope, row, ...)                                                                    \
	do {                                                                                       \
		static const struct figure figures_[] = {__VA_ARGS__};                             \
		add(w, scope, row, figures_, ARRAY_SIZE(figures_));                                \
	} while (0)

/* age_s below 0: in the future, so that every run reads "0s ago". */
static void publish(struct world *w, int64_t age_s)
{
	_cleanup_free_ char *path = format_string("%s/run/snapshot", w->dir);
	struct snapshot_info info = {.time_ns = T0, .interval_ns = 10 * S, .sequence = 77};

	/* The monotonic clock starts at boot: nothing is older. */
	while (age_s > 0 && now_ns(CLOCK_MONOTONIC) < (uint64_t)age_s * S)
		usleep(100000);
	info.monotonic_ns = now_ns(CLOCK_MONOTONIC) - (uint64_t)age_s * S;
	assert_int_equal(snapshot_builder_publish(w->builder, path, &info), 0);
}

static void add_host(struct world *w)
{
	struct snapshot_row host = {.text = {[TEXT_NAME] = "kvm07", [TEXT_KIND] = "6.1.0-44"}};
	struct snapshot_row fs = {
		.text = {[TEXT_NAME] = "/srv", [TEXT_KIND] = "ext4", [TEXT_DISK] = "/dev/sda1"}};

	ADD(w, SCOPE_HOST, host, IS(HOST_CPU_USED_CORES, 3210000000), IS(HOST_CPUS, 8 * S),
		IS(HOST_MEMORY_TOTAL, 64 * G), IS(HOST_MEMORY_AVAILABLE, 13207024435),
		IS(COLLECTOR_START_TIME, T0 - 3600 * S), IS(COLLECTOR_CPU, 3600000000),
		IS(COLLECTOR_RSS, 12 * M + M / 2), IS(COLLECTOR_CYCLE_TIME, 1500000),
		IS(COLLECTOR_CYCLES, 360), IS(COLLECTOR_MISSED_CYCLES, 0),
		IS(RECENT_SPAN, 4320 * S), IS(RECENT_PENDING, 12 * S), IS(STORE_FILES, 7),
		IS(STORE_SIZE, 180 * M), IS(STORE_SIZE_LIMIT, 2 * G),
		IS(COLLECTOR_DROPPED_INSTANCES, 0), IS(STORE_REFUSED_INSTANCES, 0));
	ADD(w, SCOPE_FILESYSTEM, fs, IS(FILESYSTEM_SIZE, 100 * G), IS(FILESYSTEM_USED, 25 * G));
}

static void add_web01(struct world *w)
{
	struct snapshot_row web = {
		.index = 1001,
		.run = 0xdeadbeef,
		.disk_time_ns = T0 - 300 * S,
		.disk_progress = 4711,
		.flags = SNAPSHOT_DISK_WALKING,
		.text =
			{
				[TEXT_NAME] = "web01",
				[TEXT_HANDLE] = "web01",
				[TEXT_CONTEXT] = "web01",
				[TEXT_HOSTNAME] = "web01.example.com",
				[TEXT_GROUPS] = "web\nprod",
				[TEXT_LXCPATH] = "/var/lib/lxc",
				[TEXT_KIND] = "lxc",
				[TEXT_STATE] = "running",
				[TEXT_CGROUPS] =
					"cpuacct=/lxc/101\nmemory=/lxc/101/ns\nblkio=/lxc/101\n",
				[TEXT_LIMITS] = "memory_limit_bytes=/lxc/101\n",
				[TEXT_DISK] = "walk",
				[TEXT_FACTS] = "network=veth\nlink=lxcbr0\n"
					       "mac=00:16:3e:01:02:03\nip=10.0.3.7,fd00::7",
			},
	};
	struct snapshot_row eth0 = {.parent = 1001, .text = {[TEXT_NAME] = "eth0"}};
	struct snapshot_row eth1 = {.parent = 1001, .index = 1, .text = {[TEXT_NAME] = "eth1"}};
	struct snapshot_row other = {.parent = 1, .text = {[TEXT_NAME] = "eth0"}};

	/* More nanoseconds than a double holds: 2^53 is 9007199254740992. */
	ADD(w, SCOPE_INSTANCE, web, IS(CPU_USAGE, 12345678901234567), IS(CPU_USER, 1230000000),
		IS(CPU_SYSTEM, 100000000), IS(CPU_IDLE, 5 * S), IS(CPU_USED_CORES, 480000000),
		IS(CPU_LIMIT, 2 * S), IS(MEMORY_WORKING_SET, 512 * M),
		IS(MEMORY_USAGE, UINT64_C(9007199254740993)), IS(MEMORY_LIMIT, 1536 * M),
		UNLIMITED(MEMORY_SWAP_LIMIT), IS(MEMORY_USED_RATIO, 333333333),
		IS(PIDS_CURRENT, 42), IS(MEMORY_OOM_KILLS, 2), IS(DISK_USED, 10630044057),
		IS(UPTIME, 273600 * S), IS(IO_READ_BYTES, M), IS(IO_WRITE_BYTES, M),
		IS(NETWORK_RECEIVE_BYTES, 1000), IS(NETWORK_TRANSMIT_BYTES, 500));
	ADD(w, SCOPE_INTERFACE, eth1, IS(INTERFACE_RECEIVE_BYTES, 200));
	ADD(w, SCOPE_INTERFACE, other, IS(INTERFACE_RECEIVE_BYTES, 99));
	ADD(w, SCOPE_INTERFACE, eth0, IS(INTERFACE_RECEIVE_BYTES, 800));
}

/* One that is all zero, with a name that another has too. */
static void add_namesake(struct world *w)
{
	struct snapshot_row row = {
		.index = 77,
		.run = 7,
		.text =
			{
				[TEXT_NAME] = "web01",
				[TEXT_HANDLE] = "web01~77",
				[TEXT_LXCPATH] = "/srv/lxc",
				[TEXT_STATE] = "running",
				[TEXT_CGROUPS] =
					"cpu=/lxc.payload.web01\nmemory=/lxc.payload.web01\n"
					"io=/lxc.payload.web01\n",
			},
	};

	ADD(w, SCOPE_INSTANCE, row, IS(CPU_USED_CORES, 0), IS(CPU_LIMIT, 500000000),
		IS(MEMORY_WORKING_SET, 0), IS(MEMORY_LIMIT, 64 * M), IS(MEMORY_USED_RATIO, 0),
		IS(PIDS_CURRENT, 0), IS(DISK_USED, 0), IS(UPTIME, 0));
}

static void add_db(struct world *w)
{
	struct snapshot_row row = {
		.index = 5,
		.run = 5,
		.flags = SNAPSHOT_NETWORK_SHARED,
		.text =
			{
				[TEXT_NAME] = "db",
				[TEXT_HANDLE] = "db",
				[TEXT_GROUPS] = "prod",
				[TEXT_STATE] = "running",
			},
	};

	ADD(w, SCOPE_INSTANCE, row, IS(CPU_USED_CORES, 12340000000), UNLIMITED(CPU_LIMIT),
		IS(MEMORY_WORKING_SET, 64 * G), UNLIMITED(MEMORY_LIMIT), UNLIMITED(PIDS_LIMIT),
		IS(PIDS_CURRENT, 123456), IS(UPTIME, 45 * S));
}

#define EVIL_NAME "evil\033[31m\nx\"y,z"
#define WIDE_NAME "日本語サーバー"

static void add_hostile(struct world *w)
{
	static char long_name[201];
	struct snapshot_row row = {
		.index = 6,
		.text =
			{
				[TEXT_NAME] = EVIL_NAME,
				[TEXT_HANDLE] = EVIL_NAME,
				[TEXT_HOSTNAME] =
					"\302\2332Jhost\t\342\200\256lruter", /* C1 CSI, RLO */
				[TEXT_GROUPS] = "=cmd()\nno \377 utf8",
				[TEXT_LXCPATH] = "/var/\033]0;title\007",
				[TEXT_STATE] = "running",
				[TEXT_NOTES] = "a \033c note",
				[TEXT_CGROUPS] = "memory=/\033[2J\n",
			},
	};

	ADD(w, SCOPE_INSTANCE, row, IS(STARTS, 1));
	memset(long_name, 'a', 200);
	row = (struct snapshot_row){
		.index = 7, .text = {[TEXT_NAME] = long_name, [TEXT_HANDLE] = long_name}};
	ADD(w, SCOPE_INSTANCE, row, IS(PIDS_CURRENT, 1));
	row = (struct snapshot_row){
		.index = 8, .text = {[TEXT_NAME] = WIDE_NAME, [TEXT_HANDLE] = WIDE_NAME}};
	ADD(w, SCOPE_INSTANCE, row, IS(PIDS_CURRENT, 2));
}

static void publish_all(struct world *w, int64_t age_s)
{
	add_host(w);
	add_web01(w);
	add_namesake(w);
	add_db(w);
	add_hostile(w);
	publish(w, age_s);
}

/* --- running --------------------------------------------------------------------------------- */

static void write_file(const char *dir, const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/%s", dir, name);

	assert_int_equal(replace_file(path, text, strlen(text), 0644, false), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_cleanup_free_ char *text = NULL, *run = NULL, *data = NULL;

	strcpy(w->dir, "/tmp/loadcell-cli-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	run = format_string("%s/run", w->dir);
	data = format_string("%s/data", w->dir);
	assert_int_equal(mkdir(run, 0755), 0);
	assert_int_equal(mkdir(data, 0755), 0);
	text = format_string("run_dir = %s\ndata_dir = %s\n", run, data);
	write_file(w->dir, "conf", text);
	w->config = format_string("%s/conf", w->dir);
	w->builder = snapshot_builder_new();
	unsetenv("COLUMNS");
	unsetenv("LOADCELL_CONFIG");
	setenv("TZ", "UTC", 1);
	*state = w;
	return 0;
}

static void remove_all(const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		_cleanup_free_ char *child = format_string("%s/%s", path, e->d_name);

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlink(child) < 0)
			remove_all(child);
	}
	rmdir(path);
}

static int teardown(void **state)
{
	struct world *w = *state;

	remove_all(w->dir);
	snapshot_builder_free(w->builder);
	free(w->config);
	free(w->out);
	free(w->err);
	free(w);
	return 0;
}

/* Runs `loadcell -c CONFIG ARGUMENTS...`. */
static int run(struct world *w, const char *first, ...)
{
	char *argv[16] = {(char *)"loadcell", (char *)"-c", w->config};
	size_t out_len, err_len;
	int argc = 3;
	FILE *out, *err;
	va_list ap;

	free(w->out);
	free(w->err);
	va_start(ap, first);
	for (const char *a = first; a && argc < 15; a = va_arg(ap, const char *))
		argv[argc++] = (char *)a;
	va_end(ap);
	out = open_memstream(&w->out, &out_len);
	err = open_memstream(&w->err, &err_len);
	w->exit = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return w->exit;
}

/* Nothing that a terminal would act on: line feeds only. */
static void assert_harmless(const char *text)
{
	assert_null(strpbrk(text, "\033\a\t\r\b\177"));
	assert_null(strstr(text, "\302\233"));
	assert_null(strstr(text, "\342\200\256"));
}

static void assert_has(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in:\n%s", wanted, text);
}

static void assert_golden(const char *text, const char *name)
{
	_cleanup_free_ char *path = format_string("tests/golden/%s", name), *golden = NULL;
	size_t len;

	assert_int_equal(read_file_alloc(AT_FDCWD, path, 1 << 20, &golden, &len), 0);
	assert_string_equal(text, golden);
}

/* --- figures and texts ----------------------------------------------------------------------- */

#define CELL(call, expected) assert_string_equal((call).text, expected)

static void test_bytes(void **state)
{
	CELL(cell_bytes(0), "0");
	CELL(cell_bytes(1), "1B");
	CELL(cell_bytes(999), "999B");
	CELL(cell_bytes(1000), "1.0K");
	CELL(cell_bytes(1024), "1K");
	CELL(cell_bytes(1536 * M), "1.5G");
	CELL(cell_bytes(512 * M), "512M");
	CELL(cell_bytes(64 * M + 1), "64.0M");
	CELL(cell_bytes(1023 * M + M / 4), "1023M");
	CELL(cell_bytes(1023 * M + M / 2), "1.0G");
	CELL(cell_bytes(G - 1), "1.0G");
	CELL(cell_bytes(99 * M + M * 97 / 100), "100M");
	CELL(cell_bytes(UINT64_MAX), "16.0E");
}

static void test_other_cells(void **state)
{
	CELL(cell_count(99999), "99999");
	CELL(cell_count(100000), "100k");
	CELL(cell_count(999600), "1.0M");
	CELL(cell_count(UINT64_MAX), "18.4E");
	CELL(cell_cores(480000000), "0.48");
	CELL(cell_cores(9996000000), "10.0");
	CELL(cell_cores(99960000000), "100");
	CELL(cell_cores(0), "0.00");
	CELL(cell_percent(48000000), "4.8%");
	CELL(cell_percent(99600000), "10%");
	CELL(cell_percent(1000000000), "100%");
	CELL(cell_percent(0), "0.0%");
	CELL(cell_duration(0), "0s");
	CELL(cell_duration(35000), "35us");
	CELL(cell_duration(350000000), "350ms");
	CELL(cell_duration(1250000000), "1.2s");
	CELL(cell_duration(59 * S + 999999999), "59s");
	CELL(cell_duration(60 * S), "1m");
	CELL(cell_duration(750 * S), "12m30s");
	CELL(cell_duration(273600 * S), "3d4h");
	CELL(cell_duration(400 * 86400 * S + 3600 * S), "400d");
	CELL(cell_bytes_rate(1536 * 1024), "1.5M/s");
	CELL(cell_count_rate(12), "12/s");
	CELL(cell_time(T0), "2024-05-01 12:00:00");
}

static void test_values(void **state)
{
	const struct metric *seconds = metric_by_id(METRIC_CPU_USAGE);
	const struct metric *bytes = metric_by_id(METRIC_MEMORY_LIMIT);

	CELL(cell_value(bytes, value_absent(), "max"), "-");
	CELL(cell_value(bytes, value_unlimited(), "max"), "max");
	CELL(cell_value(bytes, value_of(0), "max"), "0");
	CELL(cell_exact(seconds, value_of(12345678901234567)), "12345678.901234567");
	CELL(cell_exact(seconds, value_of(1230000000)), "1.23");
	CELL(cell_exact(seconds, value_of(5 * S)), "5.0");
	CELL(cell_exact(seconds, value_of(1)), "0.000000001");
	CELL(cell_exact(seconds, value_of(UINT64_MAX)), "18446744073.709551615");
	CELL(cell_exact(bytes, value_of(UINT64_MAX)), "18446744073709551615");
	CELL(cell_exact(bytes, value_absent()), "");
	CELL(cell_exact(bytes, value_unlimited()), "unlimited");
}

static void assert_clean(const char *s, const char *expected)
{
	_cleanup_free_ char *clean = text_clean(s);

	assert_string_equal(clean, expected);
}

static void assert_fit(const char *s, size_t width, bool right, const char *expected)
{
	_cleanup_free_ char *fit = text_fit(s, width, right);

	assert_string_equal(fit, expected);
}

static void test_texts(void **state)
{
	assert_clean("", "");
	assert_clean("a b\\x2d", "a b\\x2d");
	assert_clean("\033[2J\n\177", "\\x1b[2J\\x0a\\x7f");
	assert_clean("\302\233", "\\u009b");
	assert_clean("\342\200\256x", "\\u202ex");
	assert_clean("\377\303", "\\xff\\xc3");
	assert_clean(WIDE_NAME, WIDE_NAME);
	assert_int_equal(text_width(WIDE_NAME), 14);
	assert_int_equal(text_width("e\314\201"), 1); /* e and a combining acute */
	assert_fit("abc", 5, false, "abc  ");
	assert_fit("abc", 5, true, "  abc");
	assert_fit("abcdef", 5, false, "abcd…");
	assert_fit(WIDE_NAME, 6, false, "日本… ");
	assert_fit(WIDE_NAME, 5, false, "日本…");
	assert_fit("ab", 1, false, "…");
	assert_fit("ab", 0, false, "");
}

/* --- list ------------------------------------------------------------------------------------ */

static void test_list(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	assert_int_equal(run(w, "list", NULL), 0);
	assert_string_equal(w->err, "");
	assert_golden(w->out, "list-80.txt");
	assert_harmless(w->out);
}

static void test_list_width(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	setenv("COLUMNS", "160", 1);
	assert_int_equal(run(w, "list", "web*", NULL), 0);
	assert_golden(w->out, "list-160.txt");
	setenv("COLUMNS", "40", 1);
	assert_int_equal(run(w, "list", "web*", NULL), 0);
	assert_golden(w->out, "list-40.txt");
	unsetenv("COLUMNS");
	assert_int_equal(run(w, "list", "--wide", NULL), 0);
	assert_has(w->out, "\\u009b2Jhost\\x09\\u202elruter");
	assert_has(w->out, "=cmd(),no \\xff utf8");
	assert_has(w->out, "/var/\\x1b]0;title\\x07\n");
	assert_harmless(w->out);
}

/* The first characters of the lines after the two of the head. */
static void assert_order(const struct world *w, const char *expected)
{
	const char *line = w->out;
	char got[16] = "";

	for (int i = 0; i < 2; i++)
		line = strchr(line, '\n') + 1;
	for (size_t i = 0; *line && i < sizeof(got) - 1; line = strchr(line, '\n') + 1)
		got[i++] = !strncmp(line, "web01~", 6) ? '~' : *line;
	assert_string_equal(got, expected);
}

static void test_list_sort(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	run(w, "list", "--sort", "cpu", "web*", "db", "evil*", NULL);
	assert_order(w, "dw~e");
	run(w, "list", "--sort", "CPU-LIMIT", "web*", "db", "evil*", NULL);
	assert_order(w, "dw~e");
	run(w, "list", "--sort", "pids_current", "--reverse", "web*", "db", "evil*", NULL);
	assert_order(w, "e~wd");
	run(w, "list", "--sort", "name", "--reverse", "web*", "db", "evil*", NULL);
	assert_order(w, "~wed");
	assert_int_equal(run(w, "list", "--sort", "nonsense", NULL), 2);
	assert_string_equal(w->out, "");
	assert_has(w->err, "no column or metric 'nonsense'");
	assert_int_equal(run(w, "list", "--sort", "host_tasks", NULL), 2);
}

static void test_list_filter(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	run(w, "list", "prod", NULL); /* a group */
	assert_order(w, "dw");
	assert_has(w->out, "kvm07: 2 of 6 instances, ");
	run(w, "list", "*.example.com", NULL); /* a host name */
	assert_order(w, "w");
	run(w, "list", "web01", NULL); /* a handle is whole */
	assert_order(w, "w");
	run(w, "list", "fd00::*", NULL); /* an address */
	assert_order(w, "w");
	run(w, "list", "00:16:3e:*", NULL);
	assert_order(w, "w");
	assert_int_equal(run(w, "list", "veth", NULL), 0); /* but no other fact */
	assert_string_equal(w->out, "No instance matches.\n");
	assert_int_equal(run(w, "list", "nothing*", NULL), 0);
	assert_string_equal(w->out, "No instance matches.\n");
}

static void test_list_empty(void **state)
{
	struct world *w = *state;

	add_host(w);
	publish(w, -3600);
	assert_int_equal(run(w, "list", NULL), 0);
	assert_string_equal(w->out, "No instance is running on kvm07.\n");
	assert_string_equal(w->err, "");
	assert_int_equal(run(w, "list", "--json", NULL), 0);
	assert_has(w->out, "\"instances\":[]}\n");
}

/* --- JSON ------------------------------------------------------------------------------------ */

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		fail_msg("no JSON: %s at %d:%d of\n%s", error.text, error.line, error.column, text);
	return root;
}

static json_t *instance_named(json_t *root, const char *handle)
{
	json_t *instances = json_object_get(root, "instances"), *instance;
	size_t i;

	json_array_foreach (instances, i, instance)
		if (!strcmp(json_string_value(json_object_get(instance, "handle")), handle))
			return instance;
	fail_msg("no instance '%s'", handle);
	return NULL;
}

static const char *text_of(json_t *object, const char *key)
{
	assert_true(json_is_string(json_object_get(object, key)));
	return json_string_value(json_object_get(object, key));
}

static json_int_t integer_of(json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static void assert_all_metrics(json_t *metrics, enum metric_scope scope)
{
	const struct metric *m;

	assert_int_equal(json_object_size(metrics), metric_count(scope));
	for_each_metric (scope, slot, m)
		assert_non_null(json_object_get(metrics, m->name));
}

static const char ledger[] =
	"{\"schema\":1,\"run\":\"00000000000000a1\",\"handle\":\"web01\",\"name\":\"web01\","
	"\"start\":1714550000.0,\"end\":1714550001.0,\"how\":\"stop\",\"metrics\":{}}\n"
	"{\"schema\":1,\"run\":\"00000000000000a2\",\"handle\":\"job1\",\"name\":\"job1\","
	"\"start\":1714550000.0,\"end\":1714550001.0,\"how\":\"oom\",\"metrics\":{}}\n"
	"{\"schema\":1,\"run\":\"00000000000000a3\",\"index\":900,\"handle\":\"job1\","
	"\"name\":\"job1\",\"lxcpath\":\"/var/lib/lxc\",\"kind\":\"lxc\","
	"\"hostname\":\"job1.example\",\"groups\":[\"batch\",\"night\"],"
	"\"facts\":{\"ip\":\"10.0.3.9\"},\"start\":1714560000.0,\"end\":1714560090.5,"
	"\"how\":\"stop\",\"source\":\"hook\",\"metrics\":{\"cpu_usage_seconds\":12.25,"
	"\"memory_peak_bytes\":67108864,\"memory_limit_bytes\":\"unlimited\","
	"\"io_read_bytes\":9007199254740993}}\n"
	"{\"schema\":1,\"handle\":\"damaged\n"
	"{\"schema\":1,\"handle\":\"being-written";

/* What runs is no ended instance, whatever the ledger has of its earlier runs. */
static void test_list_all(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *data = format_string("%s/data", w->dir);
	_cleanup_free_ char *path = format_string("%s/data/index", w->dir);
	_cleanup_(index_free) struct index *index = NULL;
	const struct index_entry *e;
	json_t *root, *job;

	publish_all(w, -3600);
	write_file(data, "runs.jsonl", ledger);
	assert_int_equal(index_load(path, &index, NULL), 0);
	assert_int_equal(index_assign(index, "/var/lib/lxc", "web01", &e), 0);
	assert_int_equal(index_assign(index, "/var/lib/lxc", "job1", &e), 0);
	assert_int_equal(index_assign(index, "docker:", "old", &e), 0);
	index_note_run(index, e->number, 1, 1711929600);
	assert_int_equal(index_save(index, NULL, NULL), 0);

	assert_int_equal(run(w, "list", "--all", "job*", "old", NULL), 0);
	assert_golden(w->out, "list-all.txt");
	assert_string_equal(w->err, "loadcell list: 1 damaged lines of the ledger are left out\n");
	run(w, "list", "-a", NULL);
	assert_has(w->out, "kvm07: 6 instances, ");
	assert_has(w->out, "\njob1                 ended ");
	run(w, "list", "--all", "10.0.3.9", NULL);
	assert_has(w->out, "\njob1                 ended ");
	assert_null(strstr(w->out, "old"));
	run(w, "list", "--all", "night", NULL);
	assert_has(w->out, "\njob1                 ended ");
	run(w, "list", NULL);
	assert_null(strstr(w->out, "job1"));

	run(w, "list", "--all", "--json", NULL);
	root = parse(w->out);
	assert_int_equal(json_array_size(json_object_get(root, "instances")), 8);
	assert_string_equal(text_of(instance_named(root, "web01"), "state"), "running");
	job = instance_named(root, "job1");
	assert_string_equal(text_of(job, "state"), "ended");
	assert_string_equal(text_of(job, "run"), "00000000000000a3");
	assert_string_equal(text_of(job, "how"), "stop");
	assert_string_equal(text_of(json_object_get(job, "facts"), "ip"), "10.0.3.9");
	assert_all_metrics(json_object_get(job, "metrics"), SCOPE_INSTANCE);
	assert_has(w->out, "\"start\":1714560000.0,\"end\":1714560090.5,");
	assert_has(w->out, "\"cpu_usage_seconds\":12.25,");
	assert_has(w->out, "\"io_read_bytes\":9007199254740993,");
	assert_has(w->out, "\"memory_limit_bytes\":\"unlimited\",");
	job = instance_named(root, "old");
	assert_string_equal(text_of(job, "kind"), "docker");
	assert_true(json_is_null(json_object_get(job, "lxcpath")));
	assert_true(json_is_null(json_object_get(job, "how")));
	json_decref(root);

	run(w, "list", "--all", "--csv", "job1", NULL);
	assert_has(w->out, "\n1714560090.5,job1,job1,job1.example,\"batch,night\",/var/lib/lxc,lxc,"
			   "ended,00000000000000a3,12.25,");
}

static void test_json_document(void **state)
{
	struct world *w = *state;
	json_t *root, *host, *fs;

	publish_all(w, -3600);
	assert_int_equal(run(w, "list", "--json", NULL), 0);
	assert_harmless(w->out);
	root = parse(w->out);
	assert_int_equal(integer_of(root, "schema"), 1);
	assert_has(w->out, "{\"schema\":1,\"time\":1714564800.0,\"interval\":10.0,");
	assert_true(json_is_false(json_object_get(root, "stale")));
	assert_int_equal(json_array_size(json_object_get(root, "instances")), 6);
	host = json_object_get(root, "host");
	assert_string_equal(text_of(host, "name"), "kvm07");
	assert_all_metrics(json_object_get(host, "metrics"), SCOPE_HOST);
	assert_int_equal(
		integer_of(json_object_get(host, "metrics"), "host_memory_total_bytes"), 64 * G);
	assert_int_equal(json_array_size(json_object_get(host, "filesystems")), 1);
	fs = json_array_get(json_object_get(host, "filesystems"), 0);
	assert_string_equal(text_of(fs, "mount"), "/srv");
	assert_string_equal(text_of(fs, "device"), "/dev/sda1");
	assert_string_equal(text_of(fs, "type"), "ext4");
	assert_all_metrics(json_object_get(fs, "metrics"), SCOPE_FILESYSTEM);
	json_decref(root);
}

static void test_json_instance(void **state)
{
	struct world *w = *state;
	json_t *root, *web, *limit, *eth, *part;

	publish_all(w, -3600);
	run(w, "list", "--json", "web01", NULL);
	root = parse(w->out);
	web = instance_named(root, "web01");
	assert_string_equal(text_of(web, "hostname"), "web01.example.com");
	assert_string_equal(text_of(web, "lxcpath"), "/var/lib/lxc");
	assert_string_equal(text_of(web, "kind"), "lxc");
	assert_string_equal(text_of(web, "state"), "running");
	assert_string_equal(text_of(web, "run"), "00000000deadbeef");
	part = json_object_get(web, "facts");
	assert_int_equal(json_object_size(part), 4);
	assert_string_equal(text_of(part, "mac"), "00:16:3e:01:02:03");
	part = json_object_get(web, "groups");
	assert_int_equal(json_array_size(part), 2);
	assert_string_equal(json_string_value(json_array_get(part, 1)), "prod");
	assert_string_equal(text_of(json_object_get(web, "cgroup"), "memory"), "/lxc/101/ns");
	limit = json_object_get(json_object_get(web, "limits"), "memory_limit_bytes");
	assert_int_equal(integer_of(limit, "value"), 1536 * M);
	assert_string_equal(text_of(limit, "cgroup"), "/lxc/101");
	limit = json_object_get(json_object_get(web, "limits"), "memory_swap_limit_bytes");
	assert_string_equal(text_of(limit, "value"), "unlimited");
	assert_true(json_is_null(json_object_get(limit, "cgroup")));
	part = json_object_get(web, "interfaces");
	assert_int_equal(json_array_size(part), 2);
	eth = json_array_get(part, 1);
	assert_string_equal(text_of(eth, "name"), "eth0");
	assert_int_equal(
		integer_of(json_object_get(eth, "metrics"), "interface_receive_bytes"), 800);
	assert_all_metrics(json_object_get(eth, "metrics"), SCOPE_INTERFACE);
	part = json_object_get(web, "disk");
	assert_string_equal(text_of(part, "method"), "walk");
	assert_has(w->out, "{\"method\":\"walk\",\"time\":1714564500.0,\"progress\":4711}");
	assert_int_equal(integer_of(part, "progress"), 4711);
	assert_true(json_is_false(json_object_get(web, "network_shared")));
	assert_all_metrics(json_object_get(web, "metrics"), SCOPE_INSTANCE);
	json_decref(root);
}

static void test_json_figures(void **state)
{
	struct world *w = *state;
	json_t *root, *metrics;

	publish_all(w, -3600);
	run(w, "list", "--json", NULL);
	assert_has(w->out, "\"cpu_usage_seconds\":12345678.901234567,");
	assert_has(w->out, "\"cpu_user_seconds\":1.23,");
	assert_has(w->out, "\"cpu_system_seconds\":0.1,");
	assert_has(w->out, "\"cpu_idle_seconds\":5.0,");
	assert_has(w->out, "\"memory_usage_bytes\":9007199254740993,");
	root = parse(w->out);
	metrics = json_object_get(instance_named(root, "db"), "metrics");
	assert_true(json_is_null(json_object_get(metrics, "memory_usage_bytes")));
	assert_string_equal(text_of(metrics, "pids_limit"), "unlimited");
	assert_true(json_is_true(json_object_get(instance_named(root, "db"), "network_shared")));
	metrics = json_object_get(instance_named(root, "web01~77"), "metrics");
	assert_int_equal(integer_of(metrics, "memory_working_set_bytes"), 0);
	json_decref(root);
}

static void test_json_hostile(void **state)
{
	struct world *w = *state;
	json_t *root, *evil;

	publish_all(w, -3600);
	run(w, "list", "--json", NULL);
	root = parse(w->out);
	evil = instance_named(root, EVIL_NAME);
	assert_string_equal(text_of(evil, "hostname"), "\302\2332Jhost\t\342\200\256lruter");
	/* What is no UTF-8 cannot be said in JSON: it stands escaped. */
	assert_string_equal(json_string_value(json_array_get(json_object_get(evil, "groups"), 1)),
		"no \\xff utf8");
	assert_string_equal(text_of(instance_named(root, WIDE_NAME), "name"), WIDE_NAME);
	json_decref(root);
}

/* --- CSV ------------------------------------------------------------------------------------- */

/* One field of RFC 4180 into buf; returns what ended it: ',' '\n' or 0. */
static int csv_field(const char **p, char *buf, size_t size)
{
	bool quoted = **p == '"';
	size_t n = 0;

	*p += quoted;
	for (; **p; (*p)++) {
		if (quoted && **p == '"') {
			if ((*p)[1] != '"') {
				quoted = false;
				continue;
			}
			(*p)++;
		} else if (!quoted && (**p == ',' || **p == '\n')) {
			break;
		}
		assert_true(n < size - 1);
		buf[n++] = **p;
	}
	buf[n] = '\0';
	return **p ? *(*p)++ : 0;
}

/* The field of a column in the line whose handle is given. */
static void csv_find(
	const char *csv, const char *handle, const char *column, char *buf, size_t size)
{
	const char *p = csv;
	size_t wanted = SIZE_MAX, columns = 0, i = 0;
	char field[512], value[512] = "";
	bool this_line = false;
	int end;

	do {
		end = csv_field(&p, field, sizeof(field));
		if (!strcmp(field, column))
			wanted = columns;
		columns++;
	} while (end == ',');
	assert_true(wanted < columns);
	assert_int_equal(columns, 9 + metric_count(SCOPE_INSTANCE));
	while (*p) {
		end = csv_field(&p, field, sizeof(field));
		if (i == 1)
			this_line = !strcmp(field, handle);
		if (i == wanted)
			strcpy(value, field);
		i++;
		if (end == ',')
			continue;
		assert_int_equal(i, columns);
		i = 0;
		if (this_line) {
			assert_true(strlen(value) < size);
			strcpy(buf, value);
			return;
		}
	}
	fail_msg("no line of '%s'", handle);
}

static void assert_csv(
	const struct world *w, const char *handle, const char *column, const char *is)
{
	char field[512];

	csv_find(w->out, handle, column, field, sizeof(field));
	assert_string_equal(field, is);
}

static void test_csv(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	assert_int_equal(run(w, "list", "--csv", NULL), 0);
	assert_int_equal(strncmp(w->out,
				 "time,handle,name,hostname,groups,lxcpath,kind,state,run,"
				 "cpu_usage_seconds,cpu_user_seconds,",
				 strlen("time,handle,name,hostname,groups,lxcpath,kind,state,run,"
					"cpu_usage_seconds,cpu_user_seconds,")),
		0);
	assert_csv(w, "web01", "time", "1714564800.0");
	assert_csv(w, "web01", "groups", "web,prod");
	assert_csv(w, "web01", "run", "00000000deadbeef");
	assert_csv(w, "web01", "cpu_usage_seconds", "12345678.901234567");
	assert_csv(w, "web01", "memory_swap_limit_bytes", "unlimited");
	assert_csv(w, "web01", "memory_peak_bytes", "");
	assert_csv(w, "web01~77", "lxcpath", "/srv/lxc");
	assert_csv(w, "web01~77", "memory_working_set_bytes", "0");
	assert_csv(w, EVIL_NAME, "name", EVIL_NAME);
	assert_csv(w, EVIL_NAME, "groups", "=cmd(),no \377 utf8");
	assert_csv(w, WIDE_NAME, "pids_current", "2");
}

/* --- show ------------------------------------------------------------------------------------ */

static void test_show(void **state)
{
	struct world *w = *state;
	char *rest;

	publish_all(w, -3600);
	assert_int_equal(run(w, "show", "web01", NULL), 0);
	assert_string_equal(w->err, "");
	assert_has(w->out, "  cpu_usage_seconds                 142d  cpuacct.usage\n"
			   "      CPU time that all tasks of the instance have used.\n");
	assert_has(w->out, "  memory_anon_bytes                    -  memory.stat, total_rss\n");
	rest = strstr(w->out, "\nmetrics\n");
	assert_non_null(rest);
	*rest = '\0';
	assert_golden(w->out, "show-web01.txt");
	assert_int_equal(run(w, "show", "web01~77", NULL), 0);
	assert_has(w->out, "  also         web01 under /var/lib/lxc\n");
	assert_has(w->out, "  cpu_usage_seconds                    -  cpu.stat, usage_usec\n");
	assert_int_equal(run(w, "show", EVIL_NAME, NULL), 0);
	assert_has(w->out, "evil\\x1b[31m\\x0ax\"y,z\n");
	assert_has(w->out, "  note         a \\x1bc note\n");
	assert_harmless(w->out);
}

static void test_show_json(void **state)
{
	struct world *w = *state;
	json_t *root, *web, *source, *other;

	publish_all(w, -3600);
	assert_int_equal(run(w, "show", "--json", "web01", NULL), 0);
	root = parse(w->out);
	assert_int_equal(json_array_size(json_object_get(root, "instances")), 1);
	web = instance_named(root, "web01");
	other = json_array_get(json_object_get(web, "others"), 0);
	assert_string_equal(text_of(other, "handle"), "web01~77");
	assert_string_equal(text_of(other, "lxcpath"), "/srv/lxc");
	assert_all_metrics(json_object_get(web, "sources"), SCOPE_INSTANCE);
	source = json_object_get(json_object_get(web, "sources"), "memory_limit_bytes");
	assert_int_equal(integer_of(source, "version"), 1);
	assert_string_equal(text_of(source, "file"), "memory.stat");
	assert_string_equal(text_of(source, "key"), "hierarchical_memory_limit");
	assert_string_equal(text_of(source, "unit"), "bytes");
	json_decref(root);
	run(w, "show", "web01~77", "--json", NULL);
	root = parse(w->out);
	source = json_object_get(
		json_object_get(instance_named(root, "web01~77"), "sources"), "memory_limit_bytes");
	assert_int_equal(integer_of(source, "version"), 2);
	assert_string_equal(text_of(source, "file"), "memory.max");
	json_decref(root);
}

static void test_show_unknown(void **state)
{
	struct world *w = *state;

	publish_all(w, -3600);
	assert_int_equal(run(w, "show", "wbe01", NULL), 3);
	assert_string_equal(w->out, "");
	assert_string_equal(w->err, "loadcell show: there is no instance 'wbe01'; near: web01\n");
	assert_int_equal(run(w, "show", "01~77", NULL), 3);
	assert_string_equal(
		w->err, "loadcell show: there is no instance '01~77'; near: web01~77\n");
	assert_int_equal(run(w, "show", "web01.example.com", NULL), 3);
	assert_has(w->err, "near: web01 under /var/lib/lxc\n");
	assert_int_equal(run(w, "show", "\033[2Jzzzzzzzzz", NULL), 3);
	assert_string_equal(w->err, "loadcell show: there is no instance '\\x1b[2Jzzzzzzzzz'; "
				    "see: loadcell list\n");
	assert_int_equal(run(w, "show", NULL), 2);
	assert_int_equal(run(w, "show", "a", "b", NULL), 2);
	assert_int_equal(edit_distance("kitten", "sitting"), 3);
	assert_int_equal(edit_distance("", "abc"), 3);
	assert_int_equal(edit_distance("web01", "web01"), 0);
}

/* The index remembers one that has ended; its bare name is not given to its namesake. */
static void test_show_ended(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/data/index", w->dir);
	_cleanup_(index_free) struct index *index = NULL;
	const struct index_entry *e;

	add_host(w);
	add_namesake(w);
	publish(w, -3600);
	assert_int_equal(index_load(path, &index, NULL), 0);
	assert_int_equal(index_assign(index, "/var/lib/lxc", "web01", &e), 0);
	index_note_run(index, e->number, 1, T0 / S);
	assert_int_equal(index_save(index, NULL, NULL), 0);
	assert_int_equal(run(w, "show", "web01", NULL), 3);
	assert_string_equal(w->err,
		"loadcell show: web01 does not run; it was last seen at 2024-05-01 12:00:00; "
		"near: web01~77 under /srv/lxc\n");
}

/* --- metrics --------------------------------------------------------------------------------- */

static void test_metrics(void **state)
{
	struct world *w = *state;
	json_t *root, *metrics, *m;
	size_t i, rows = 0;

	assert_int_equal(run(w, "metrics", NULL), 0);
	assert_has(w->out, "   11  memory_working_set_bytes               bytes gauge, "
			   "ds mem_working_set\n");
	assert_has(w->out, "       v1   cpuacct.stat, user\n       v2   cpu.stat, user_usec\n");
	assert_int_equal(run(w, "metrics", "--json", NULL), 0);
	root = parse(w->out);
	metrics = json_object_get(root, "metrics");
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++)
		rows += metric_count(scope);
	assert_int_equal(json_array_size(metrics), rows);
	json_array_foreach (metrics, i, m)
		if (integer_of(m, "id") == 2) {
			assert_string_equal(text_of(m, "name"), "cpu_user_seconds");
			assert_string_equal(text_of(m, "unit"), "seconds");
			assert_string_equal(text_of(m, "kind"), "counter");
			assert_string_equal(text_of(m, "scope"), "instance");
			assert_string_equal(
				text_of(json_object_get(m, "v1"), "controller"), "cpuacct");
			assert_string_equal(text_of(json_object_get(m, "v2"), "key"), "user_usec");
		}
	json_decref(root);
	assert_int_equal(run(w, "metrics", "more", NULL), 2);
}

/* --- trouble --------------------------------------------------------------------------------- */

static void test_stale(void **state)
{
	struct world *w = *state;
	json_t *root;

	publish_all(w, 40);
	assert_int_equal(run(w, "list", NULL), 4);
	assert_has(w->err, "loadcell list: the data is 4");
	assert_has(w->out, "web01");
	assert_int_equal(run(w, "list", "--json", NULL), 4);
	root = parse(w->out);
	assert_true(json_is_true(json_object_get(root, "stale")));
	json_decref(root);
	assert_int_equal(run(w, "list", "--csv", NULL), 4);
	assert_int_equal(run(w, "show", "web01", NULL), 4);
	assert_has(w->err, "loadcell show: the data is 4");
	assert_int_equal(run(w, "show", "nobody-of-this-name", NULL), 3);
}

static void test_no_data(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *expected = format_string(
		"loadcell list: there is no data in %s/run/snapshot: the collector does not run; "
		"start it with: systemctl start loadcelld\n",
		w->dir);

	assert_int_equal(run(w, "list", "--json", NULL), 4);
	assert_string_equal(w->out, "");
	assert_string_equal(w->err, expected);
	assert_int_equal(run(w, "show", "web01", NULL), 4);
	assert_int_equal(run(w, "status", NULL), 4);
}

static void test_damaged(void **state)
{
	struct world *w = *state;

	write_file(w->dir, "run/snapshot", "this is no snapshot, whatever its name says\n");
	assert_int_equal(run(w, "list", NULL), 1);
	assert_string_equal(w->out, "");
	assert_ptr_equal(strchr(w->err, '\n'), w->err + strlen(w->err) - 1);
}

static void test_no_access(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/run/snapshot", w->dir);
	bool root = geteuid() == 0;

	publish_all(w, -3600);
	assert_int_equal(chmod(path, 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	run(w, "list", NULL);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(w->exit, 1);
	assert_has(w->err, "join it with: usermod -aG loadcell USER");
	assert_ptr_equal(strchr(w->err, '\n'), w->err + strlen(w->err) - 1);
}

static void test_usage(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, NULL), 2);
	assert_int_equal(run(w, "lst", NULL), 2);
	assert_has(w->err, "there is no command 'lst'");
	assert_int_equal(run(w, "list", "--jason", NULL), 2);
	assert_has(w->err, "loadcell list: there is no option --jason\nusage: loadcell");
	assert_int_equal(run(w, "list", "-x", NULL), 2);
	assert_has(w->err, "there is no option -x\n");
	assert_int_equal(run(w, "list", "--json=1", NULL), 2);
	assert_has(w->err, "--json=1: this option takes no value\n");
	assert_int_equal(run(w, "list", "--sort", NULL), 2);
	assert_has(w->err, "--sort needs a value\n");
	assert_int_equal(run(w, "--version", NULL), 0);
	assert_string_equal(w->out, "loadcell " VERSION "\n");
	assert_int_equal(run(w, "--help", NULL), 0);
	for (const char *const *c =
			(const char *const[]){"list", "show", "top", "metrics", "status", NULL};
		*c; c++) {
		run(w, "--help", NULL);
		assert_has(w->out, *c);
		assert_int_equal(run(w, *c, "--help", NULL), 0);
		assert_has(w->out, *c);
		assert_string_equal(w->err, "");
	}
	write_file(w->dir, "conf", "no_such_key = 1\n");
	assert_int_equal(run(w, "list", NULL), 1);
	assert_has(w->err, "conf");
}

/* --- status ---------------------------------------------------------------------------------- */

/* A collector that answers once, in a child; answer NULL: it listens and never answers. */
static pid_t fake_collector(const struct world *w, const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/control.sock", w->dir);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char word[16] = "";
		int client = accept(fd, NULL, NULL);

		alarm(30);
		if (!answer)
			pause();
		if (read(client, word, sizeof(word) - 1) != 7 || strcmp(word, "status\n") != 0)
			answer = "{\"pid\":0}";
		write_all(client, answer, strlen(answer));
		_exit(0);
	}
	close(fd);
	return pid;
}

static int run_status(struct world *w, const char *answer, const char *option)
{
	pid_t pid = fake_collector(w, answer);

	run(w, "status", option, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return w->exit;
}

static void test_status_well(void **state)
{
	struct world *w = *state;
	json_t *root;

	publish_all(w, -3600);
	assert_int_equal(
		run_status(w, "{\"pid\":123,\"version\":\"0.1.0\",\"last_error\":null}", NULL), 0);
	assert_string_equal(w->err, "");
	assert_golden(w->out, "status-well.txt");
	assert_int_equal(run_status(w, "{\"pid\":123,\"version\":\"0.1.0\"}", "--json"), 0);
	root = parse(w->out);
	assert_true(json_is_true(json_object_get(root, "ok")));
	assert_int_equal(integer_of(json_object_get(root, "collector"), "pid"), 123);
	assert_int_equal(integer_of(json_object_get(root, "data"), "instances"), 6);
	assert_all_metrics(json_object_get(json_object_get(root, "data"), "metrics"), SCOPE_HOST);
	json_decref(root);
}

static void test_status_trouble(void **state)
{
	struct world *w = *state;
	struct snapshot_row host = {.text = {[TEXT_NAME] = "kvm07"}};

	publish_all(w, -3600);
	assert_int_equal(run(w, "status", NULL), 1); /* fresh data of one that has just ended */
	assert_has(w->out, "collector  does not run\n");
	assert_has(w->out, "next       start it with: systemctl start loadcelld\n");
	assert_int_equal(run_status(w, "nonsense", NULL), 1);
	assert_int_equal(run_status(w, NULL, NULL), 1);
	assert_has(w->out, "collector  does not answer\n");
	assert_int_equal(
		run_status(w, "{\"pid\":1,\"last_error\":\"\\u001b[2J disk full\"}", NULL), 1);
	assert_has(w->out, "last error \\x1b[2J disk full\n");
	assert_harmless(w->out);
	assert_int_equal(
		run_status(w,
			"{\"pid\":1,\"helpers\":[{\"program\":\"loadcelld-lxc\",\"pid\":9},"
			"{\"program\":\"loadcelld-store\",\"pid\":0}]}",
			NULL),
		1);
	assert_has(w->out, "trouble    the helper loadcelld-store does not run\n");
	assert_null(strstr(w->out, "loadcelld-lxc"));
	/* An error of long ago is told and no trouble. */
	assert_int_equal(
		run_status(w, "{\"pid\":1,\"last_error\":\"old\",\"last_error_time\":1714564000}",
			NULL),
		0);
	assert_has(w->out, "last error old\n");

	snapshot_builder_reset(w->builder);
	ADD(w, SCOPE_HOST, host, IS(COLLECTOR_DROPPED_INSTANCES, 3), IS(COLLECTOR_MISSED_CYCLES, 4),
		IS(RECENT_PENDING, 1000 * S));
	publish(w, -3600);
	assert_int_equal(run_status(w, "{\"pid\":1}", NULL), 1);
	assert_has(w->out, "trouble    collector_dropped_instances is 3: ");
	assert_has(w->out, "trouble    the store is 16m40s behind, "
			   "though it flushes every 1m\n");
	assert_has(w->out, "counted    collector_missed_cycles 4: ");
	publish(w, 40);
	assert_int_equal(run_status(w, "{\"pid\":1}", NULL), 4);
	assert_has(w->err, "loadcell status: the data is 4");
	assert_has(w->out, " old (stale), sampled every 10s");
}

static void test_mib(void **state)
{
	struct world *w = *state;

	run(w, "mib", NULL);
	assert_int_equal(w->exit, CLI_DONE);
	assert_has(w->out, "LOADCELL-MIB DEFINITIONS ::= BEGIN\n");
	assert_has(w->out, "    ::= { enterprises 8072 9999 9999 }\n");
	assert_has(w->out, "\nloadcellInstanceMemoryLimitKibibytes OBJECT-TYPE\n"
			   "    SYNTAX      Gauge32\n    UNITS       \"KiB\"\n"
			   "    MAX-ACCESS  read-only\n");
	run(w, "mib", "--arc", "1.3.6.1.4.1.54321", NULL);
	assert_has(w->out, "    ::= { enterprises 54321 }\n");
	run(w, "mib", "--arc", "1.3.6.1.3.7", NULL);
	assert_has(w->out, "    ::= { iso 3 6 1 3 7 }\n");
	assert_int_equal(run(w, "mib", "--arc", "2.5", NULL), CLI_FAILED);
	assert_int_equal(run(w, "mib", "--arc", "1.x", NULL), CLI_USAGE);
	assert_int_equal(run(w, "mib", "more", NULL), CLI_USAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		TEST(test_other_cells),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_texts),
		TEST(test_list),
		TEST(test_list_width),
		TEST(test_list_sort),
		TEST(test_list_filter),
		TEST(test_list_empty),
		TEST(test_list_all),
		TEST(test_json_document),
		TEST(test_json_instance),
		TEST(test_json_figures),
		TEST(test_json_hostile),
		TEST(test_csv),
		TEST(test_show),
		TEST(test_show_json),
		TEST(test_show_unknown),
		TEST(test_show_ended),
		TEST(test_metrics),
		TEST(test_stale),
		TEST(test_no_data),
		TEST(test_damaged),
		TEST(test_no_access),
		TEST(test_usage),
		TEST(test_status_well),
		TEST(test_status_trouble),
		TEST(test_mib),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
