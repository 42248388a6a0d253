/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <zlib.h>

#include "cli/history.h"
#include "lib/journal.h"

/* Journals written by hand, and what `loadcell runs` and `loadcell events` must make of them. */
#define S  NSEC_PER_SEC
#define M  (UINT64_C(1) << 20)
#define T0 (UINT64_C(1714564800) * S) /* 2024-05-01 12:00:00 UTC */

struct world {
	char dir[64], *config, *out, *err;
	int exit;
};

static const char runs_text[] =
	"{\"schema\":1,\"run\":\"00000000000000aa\",\"index\":7,\"handle\":\"web01\",\"name\":"
	"\"web01\","
	"\"lxcpath\":\"/var/lib/lxc\",\"kind\":\"lxc\",\"hostname\":\"web01.example\","
	"\"groups\":[\"web\",\"prod\"],\"facts\":{\"image\":\"web-42\"},\"start\":1714561200.5,"
	"\"end\":1714564800.0,\"how\":\"stop\",\"source\":\"hook\",\"network\":\"link\","
	"\"samples\":360,"
	"\"metrics\":{\"cpu_usage_seconds\":754.25,\"memory_peak_bytes\":67108864,"
	"\"memory_limit_bytes\":\"unlimited\",\"io_read_bytes\":1048576,\"io_write_bytes\":1048576,"
	"\"network_receive_bytes\":1000,\"network_transmit_bytes\":500,\"memory_oom_kills\":2,"
	"\"samples\":360}}\n"
	"this line is damaged\n"
	"{\"schema\":1,\"run\":\"00000000000000bb\",\"handle\":\"ev\\u001b[31mil\",\"name\":\"x\","
	"\"start\":1714564800.0,\"end\":1714564801.0,\"how\":\"host-crash\",\"source\":\"sample\","
	"\"network\":\"sample\",\"samples\":1,\"metrics\":{\"cpu_usage_seconds\":0.1}}\n"
	"{\"schema\":1,\"run\":\"00000000000000cc\",\"handle\":\"a-very-long-handle-indeed\","
	"\"name\":\"y\",\"start\":null,\"end\":1714564700.0,\"how\":\"killed\",\"source\":\"none\","
	"\"network\":\"sample\",\"samples\":0,\"metrics\":{}}\n";

static const char events_text[] =
	"{\"schema\":1,\"id\":1,\"time\":1714561200.5,\"type\":\"start\",\"handle\":\"web01\","
	"\"index\":7,\"run\":\"00000000000000aa\"}\n"
	"{\"schema\":1,\"id\":2,\"time\":1714564799.0,\"type\":\"oom\",\"handle\":\"web01\","
	"\"index\":7,\"run\":\"00000000000000aa\",\"kills\":1,\"memory\":67108864,"
	"\"limit\":67108864,\"victim\":{\"pid\":4711,\"name\":\"st\\u001bress\",\"memory\":1}}\n"
	"{\"schema\":1,\"id\":3,\"time\":1714564799.5,\"type\":\"limit-changed\",\"handle\":\"db\","
	"\"index\":8,\"run\":\"00000000000000bb\",\"metric\":\"memory_limit_bytes\","
	"\"old\":67108864,\"new\":\"unlimited\"}\n"
	"{\"schema\":1,\"id\":4,\"time\":1714564800.0,\"type\":\"stop\",\"handle\":\"web01\","
	"\"index\":7,\"run\":\"00000000000000aa\",\"how\":\"oom\"}\n";

/* --- building and running --------------------------------------------------------------------- */

static void put(struct world *w, const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/data/%s", w->dir, name);

	assert_int_equal(replace_file(path, text, strlen(text), 0644, false), 0);
}

static void publish(struct world *w)
{
	_cleanup_free_ char *path = format_string("%s/run/snapshot", w->dir);
	struct value values[METRIC_ID_END] = {0};
	struct snapshot_builder *b = snapshot_builder_new();
	struct snapshot_row row = {.index = 9,
		.run = 0xdd,
		.values = values,
		.text = {[TEXT_NAME] = "db", [TEXT_HANDLE] = "db", [TEXT_GROUPS] = "prod"}};
	struct snapshot_info info = {.time_ns = T0,
		.monotonic_ns = now_ns(CLOCK_MONOTONIC) + 3600 * S,
		.interval_ns = 10 * S};

	values[metric_slot(METRIC_START_TIME)] = value_of(now_ns(CLOCK_REALTIME) - 90 * S - S / 2);
	values[metric_slot(METRIC_CPU_USAGE)] = value_of(45 * S);
	values[metric_slot(METRIC_MEMORY_OOM_KILLS)] = value_of(0);
	values[metric_slot(METRIC_SAMPLES)] = value_of(9);
	assert_int_equal(snapshot_builder_add(b, SCOPE_INSTANCE, &row), 0);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
	snapshot_builder_free(b);
}

static int set_data_dir(struct world *w, const char *data)
{
	_cleanup_free_ char *text =
		format_string("run_dir = %s/run\ndata_dir = %s\n", w->dir, data);

	return replace_file(w->config, text, strlen(text), 0644, false);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_cleanup_free_ char *run = NULL, *data = NULL, *flight = NULL;

	strcpy(w->dir, "/tmp/loadcell-history-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	run = format_string("%s/run", w->dir);
	data = format_string("%s/data", w->dir);
	flight = format_string("%s/data/flight", w->dir);
	assert_int_equal(mkdir(run, 0755) | mkdir(data, 0755) | mkdir(flight, 0755), 0);
	w->config = format_string("%s/conf", w->dir);
	assert_int_equal(set_data_dir(w, data), 0);
	unsetenv("COLUMNS");
	unsetenv("LOADCELL_CONFIG");
	setenv("TZ", "UTC", 1);
	tzset();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *command = format_string("rm -rf %s", w->dir);

	assert_int_equal(system(command), 0);
	free(w->config);
	free(w->out);
	free(w->err);
	free(w);
	return 0;
}

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

static void assert_lines_fit(const char *text, size_t width)
{
	size_t len;

	for_each_line(text, line, len)
	{
		_cleanup_free_ char *copy = strndup(line, len);

		if (text_width(copy) > width)
			fail_msg("wider than %zu: %s", width, copy);
	}
}

/* --- times and names -------------------------------------------------------------------------- */

static void assert_when(const char *text, uint64_t expected)
{
	uint64_t ns = 1;

	if (when_parse(text, T0 + 5 * S, &ns) < 0)
		fail_msg("%s is refused", text);
	assert_int_equal(ns / S, expected / S);
}

static void test_when(void **state)
{
	static const char *const bad[] = {"", "1", "yesteryear", "2024-13-01", "2024-02-30",
		"Nov 31", "2024-05-01 25:00", "2024-05-01x", "12", "-1"};
	uint64_t ns;

	setenv("TZ", "UTC", 1);
	tzset();
	assert_when("1h", T0 + 5 * S - 3600 * S);
	assert_when("7d", T0 + 5 * S - 7 * 86400 * S);
	assert_when("1y", T0 + 5 * S - 365 * 86400 * S);
	assert_when("60y", 0);
	assert_when("2024-04-30", T0 - 36 * 3600 * S);
	assert_when("2024-05-01 11:30", T0 - 1800 * S);
	assert_when("2024-05-01 11:59:58", T0 - 2 * S);
	assert_when("11:00", T0 - 3600 * S);
	assert_when("12:00:01", T0 + S);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(when_parse(bad[i], T0, &ns), -EINVAL);
	assert_string_equal(when_cell(T0 - 3600 * S, T0, false).text, "05-01 11:00");
	assert_string_equal(when_cell(T0 - 3600 * S, T0, true).text, "05-01 11:00:00");
	assert_string_equal(when_cell(T0 - 183 * 86400 * S, T0, false).text, "2023-10-31");
	assert_string_equal(when_cell(0, T0, false).text, "-");
}

/* --- runs ------------------------------------------------------------------------------------- */

static void test_runs(void **state)
{
	struct world *w = *state;
	char now[16];
	time_t t = time(NULL) - 91;
	_cleanup_free_ char *running = NULL;
	const char *rest;

	put(w, "runs.jsonl", runs_text);
	publish(w);
	assert_int_equal(run(w, "runs", NULL), 0);
	assert_string_equal(w->err, "loadcell runs: 1 damaged lines of the ledger are left out\n");
	/* clang-format off */
	rest = strchr(w->out, '\n') + 1;
	assert_memory_equal(w->out,
		"NAME              START       END     TIME HOW         CPU  PEAK    IO   NET OOM\n",
		rest - w->out);
	strftime(now, sizeof(now), "%m-%d %H:%M", gmtime(&t));
	running = format_string(
		"db                %s -      1m30s running     45s     -     -     -   0\n", now);
	assert_memory_equal(rest, running, strlen(running));
	assert_string_equal(rest + strlen(running),
		"ev\\x1b[31mil      2024-05-01  12:00     1s crash*    100ms     -     -     -   -\n"
		"web01             2024-05-01  12:00 59m59s stop     12m34s   64M    2M  1.5K   2\n"
		"a-very-long-hand… -           05-01      - killed*       -     -     -     -   -\n"
		"* as of the last sample before the end: no hook told of it\n");
	/* clang-format on */
	assert_lines_fit(w->out, 80);
	setenv("COLUMNS", "100", 1);
	assert_int_equal(run(w, "runs", "a-*", NULL), 0);
	assert_non_null(strstr(w->out, "\na-very-long-handle-indeed             -   "));
	assert_lines_fit(w->out, 100);
}

static void test_runs_filter(void **state)
{
	struct world *w = *state;

	put(w, "runs.jsonl", runs_text);
	publish(w);
	assert_int_equal(run(w, "runs", "web*", NULL), 0);
	assert_non_null(strstr(w->out, "\nweb01 "));
	assert_null(strstr(w->out, "\ndb "));
	assert_null(strstr(w->out, "\na-very"));
	assert_int_equal(run(w, "runs", "prod", NULL), 0); /* a group */
	assert_non_null(strstr(w->out, "\nweb01 "));
	assert_non_null(strstr(w->out, "\ndb "));
	assert_int_equal(run(w, "runs", "web01.example", NULL), 0);
	assert_non_null(strstr(w->out, "\nweb01 "));
	assert_int_equal(run(w, "runs", "--since", "2024-05-01 12:00:01", NULL), 0);
	assert_non_null(strstr(w->out, "\nev"));
	assert_null(strstr(w->out, "\nweb01 "));
	assert_non_null(strstr(w->out, "\ndb ")); /* it has not ended */
	assert_int_equal(run(w, "runs", "nobody\033", NULL), 3);
	assert_string_equal(w->out, "");
	assert_non_null(strstr(w->err, "no run of 'nobody\\x1b' is known"));
	assert_int_equal(run(w, "runs", "--since", "soon", NULL), 2);
	assert_non_null(strstr(w->err, "'soon' is no duration, date or time"));
}

static void assert_one_sentence(const struct world *w)
{
	assert_non_null(strstr(w->err, "the collector does not run; start it with"));
	assert_string_equal(strchr(w->err, '\n'), "\n");
}

static void test_runs_none(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "runs", NULL), 4); /* no collector has run */
	assert_string_equal(w->out, "");
	assert_one_sentence(w);
	assert_int_equal(run(w, "runs", "nobody", NULL), 4);
	assert_one_sentence(w);
	put(w, "runs.jsonl", runs_text);
	assert_int_equal(run(w, "runs", "web01", NULL), 4);
	assert_non_null(strstr(w->out, "\nweb01 "));
	publish(w);
	assert_int_equal(run(w, "runs", "--json", "nobody", NULL), 3);
}

static void test_runs_json(void **state)
{
	struct world *w = *state;
	const struct metric *m;
	json_t *line, *metrics;

	put(w, "runs.jsonl", runs_text);
	publish(w);
	assert_int_equal(run(w, "runs", "--json", "web01", NULL), 0);
	line = json_loads(w->out, 0, NULL);
	assert_non_null(line);
	assert_string_equal(strchr(w->out, '\n'), "\n");
	for_each_metric (SCOPE_INSTANCE, slot, m)
		assert_non_null(json_object_get(json_object_get(line, "metrics"), m->name));
	metrics = json_object_get(line, "metrics");
	assert_string_equal(json_string_value(json_object_get(line, "how")), "stop");
	assert_string_equal(json_string_value(json_object_get(line, "run")), "00000000000000aa");
	assert_int_equal(json_integer_value(json_object_get(line, "samples")), 360);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(line, "groups"), 1)), "prod");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(line, "facts"), "image")),
		"web-42");
	assert_string_equal(
		json_string_value(json_object_get(metrics, "memory_limit_bytes")), "unlimited");
	assert_true(json_is_null(json_object_get(metrics, "memory_anon_bytes")));
	assert_int_equal(
		json_integer_value(json_object_get(metrics, "memory_peak_bytes")), 67108864);
	assert_non_null(strstr(w->out, "\"cpu_usage_seconds\":754.25,"));
	assert_non_null(strstr(w->out, "\"start\":1714561200.5,\"end\":1714564800.0,"));
	json_decref(line);
	assert_int_equal(run(w, "runs", "--json", "db", NULL), 0);
	line = json_loads(w->out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "how")), "running");
	assert_true(json_is_null(json_object_get(line, "end")));
	json_decref(line);
}

static void test_runs_csv(void **state)
{
	struct world *w = *state;

	put(w, "runs.jsonl", runs_text);
	publish(w);
	assert_int_equal(run(w, "runs", "--csv", "web01", NULL), 0);
	assert_non_null(strstr(w->out, "handle,name,hostname,groups,lxcpath,kind,rootfs,how,source,"
				       "network,run,start,end,cpu_usage_seconds,"));
	assert_non_null(strstr(w->out,
		"\nweb01,web01,web01.example,\"web,prod\",/var/lib/lxc,lxc,,stop,hook,link,"
		"00000000000000aa,1714561200.5,1714564800.0,754.25,"));
}

/* --- events ----------------------------------------------------------------------------------- */

static void test_events(void **state)
{
	struct world *w = *state;

	publish(w);
	assert_int_equal(run(w, "events", NULL), 0);
	assert_string_equal(w->out, "No event is known.\n");
	put(w, "events.jsonl", events_text);
	assert_int_equal(run(w, "events", NULL), 0);
	assert_string_equal(w->out,
		"    ID TIME           EVENT         NAME           DETAILS\n"
		"     1 2024-05-01     start         web01\n"
		"     2 2024-05-01     oom           web01          1 kill, 64M of 64M, "
		"st\\x1bre…\n"
		"     3 2024-05-01     limit-changed db             memory_limit_bytes 64M -> max\n"
		"     4 2024-05-01     stop          web01          oom\n");
	assert_lines_fit(w->out, 80);
	setenv("COLUMNS", "120", 1);
	assert_int_equal(run(w, "events", "db", NULL), 0);
	assert_string_equal(w->out,
		"    ID TIME           EVENT         NAME                               DETAILS\n"
		"     3 2024-05-01     limit-changed db                                 "
		"memory_limit_bytes 64M -> max\n");
	assert_int_equal(run(w, "events", "--since", "2024-05-01 12:00", NULL), 0);
	assert_memory_equal(strchr(w->out, '\n'), "\n     4 ", 8);
	assert_int_equal(run(w, "events", "--json", "--since", "2024-05-01 12:00", NULL), 0);
	assert_string_equal(w->out,
		"{\"schema\":1,\"id\":4,\"time\":1714564800.0,\"type\":\"stop\",\"handle\":"
		"\"web01\",\"index\":7,\"run\":\"00000000000000aa\",\"how\":\"oom\"}\n");
}

/* What is known is told, and that later events are missing. */
static void test_events_without_collector(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *data = format_string("%s/data", w->dir);

	put(w, "events.jsonl", events_text);
	assert_int_equal(run(w, "events", "db", NULL), 4);
	assert_non_null(strstr(w->out, "\n     3 "));
	assert_one_sentence(w);
	assert_int_equal(run(w, "events", "--id", "1", NULL), 0);
	assert_int_equal(run(w, "events", "nobody", NULL), 4);
	assert_string_equal(w->out, "");
	strcpy(strrchr(data, '/'), "/none");
	assert_int_equal(set_data_dir(w, data), 0);
	assert_int_equal(run(w, "events", "-f", NULL), 4);
	assert_one_sentence(w);
}

static void put_flight(struct world *w)
{
	_cleanup_free_ char *path = format_string("%s/data/flight/2.json.gz", w->dir);
	gzFile gz = gzopen(path, "w");

	/* 1 MiB read within 10 s: 102.4 KiB/s. */
	gzputs(gz, "{\"schema\":1,\"id\":2,\"run\":\"00000000000000aa\",\"handle\":\"web01\","
		   "\"interval\":10.0,\"samples\":["
		   "{\"time\":1714564780.0,\"metrics\":{\"cpu_used_cores\":0.25,"
		   "\"memory_working_set_bytes\":33554432,\"memory_limit_bytes\":67108864,"
		   "\"pids_current\":5,\"io_read_bytes\":0}},"
		   "{\"time\":1714564790.0,\"metrics\":{\"cpu_used_cores\":1.5,"
		   "\"memory_working_set_bytes\":67104768,\"memory_limit_bytes\":\"unlimited\","
		   "\"pids_current\":6,\"io_read_bytes\":1048576}}]}");
	assert_int_equal(gzclose(gz), Z_OK);
}

static void test_event_by_id(void **state)
{
	struct world *w = *state;
	json_t *line;

	put(w, "events.jsonl", events_text);
	put_flight(w);
	assert_int_equal(run(w, "events", "--id", "2", NULL), 0);
	assert_string_equal(w->out, "     2 2024-05-01     oom           web01          1 kill, "
				    "64M of 64M, st\\x1bre…\n"
				    "\n"
				    "TIME              CPU    MEM  LIMIT   PIDS   RD/s   WR/s\n"
				    "2024-05-01       0.25    32M    64M      5      -      -\n"
				    "2024-05-01       1.50  64.0M    max      6   102K      -\n");
	assert_int_equal(run(w, "events", "--id", "4", NULL), 0);
	assert_non_null(strstr(w->out, "oom\nNo samples were kept with this event.\n"));
	assert_int_equal(run(w, "events", "--id", "5", NULL), 3);
	assert_int_equal(run(w, "events", "--id", "x", NULL), 2);
	assert_int_equal(run(w, "events", "--id", "2", "--json", NULL), 0);
	line = json_loads(w->out, 0, NULL);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(line, "flight"), "samples")), 2);
	json_decref(line);
	put(w, "flight/4.json.gz", "nonsense");
	assert_int_equal(run(w, "events", "--id", "4", NULL), 0);
	assert_non_null(strstr(w->out, "No samples were kept"));
}

/* A line of the child's output; fails after two seconds. */
static void expect_line(int fd, const char *expected)
{
	char buf[512] = "";
	size_t len = 0;

	for (int i = 0; i < 200 && !memchr(buf, '\n', len); i++) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - len - 1);

		len += n > 0 ? (size_t)n : 0;
		if (n <= 0)
			usleep(10000);
	}
	buf[len] = '\0';
	assert_string_equal(buf, expected);
}

static void test_follow(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/data/events.jsonl", w->dir), *old = NULL;
	char *argv[] = {(char *)"loadcell", (char *)"-c", w->config, (char *)"events", (char *)"-f",
		(char *)"web*"};
	int pair[2], fd;
	pid_t pid;

	publish(w);
	put(w, "events.jsonl", events_text);
	assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
	pid = fork();
	if (pid == 0) {
		FILE *out = fdopen(pair[1], "w");

		_exit(cli_main(ARRAY_SIZE(argv), argv, out, stderr));
	}
	close(pair[1]);
	usleep(300000);
	fd = open(path, O_WRONLY | O_APPEND);
	dprintf(fd, "{\"id\":5,\"time\":1714564900.0,\"type\":\"start\",\"handle\":\"db\"}\n"
		    "{\"id\":6,\"time\":1714564900.0,\"type\":\"start\",\"handle\":\"web02\"}\n");
	close(fd);
	expect_line(pair[0], "     6 2024-05-01     start         web02\n");
	old = format_string("%s/data/events-1714561200-1714564900.jsonl", w->dir);
	assert_int_equal(rename(path, old), 0);
	put(w, "events.jsonl",
		"{\"id\":7,\"time\":1714564901.0,\"type\":\"stop\",\"handle\":\"web02\"}\n");
	expect_line(pair[0], "     7 2024-05-01     stop          web02\n");
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	close(pair[0]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_when),
		TEST(test_runs),
		TEST(test_runs_filter),
		TEST(test_runs_none),
		TEST(test_runs_json),
		TEST(test_runs_csv),
		TEST(test_events),
		TEST(test_events_without_collector),
		TEST(test_event_by_id),
		TEST(test_follow),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
