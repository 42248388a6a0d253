/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zlib.h>

#include "collector/tell.h"
#include "lib/config.h"
#include "lib/journal.h"
#include "lib/ring.h"
#include "lib/spool.h"
#include "lib/value.h"

/*
 * The program loadcelld-ledger with this test in the place of the collector and the hooks. It is
 * killed again and again; at the end each run must stand in the ledger once, with its figures.
 */
#define SEC NSEC_PER_SEC

struct fixture {
	char dir[64], conf[80], run_dir[80], data_dir[80];
	struct ring *ring;
	struct helper helper;
	struct tell tell;
	uint64_t kills;
	char *last; /* the last message of statistics */
};

static struct fixture the_fixture;
static uint64_t T0; /* half an hour ago, a whole second: what is old would be removed */

/* --- the process ------------------------------------------------------------------------------ */

static void start(struct fixture *x)
{
	_cleanup_free_ char *program =
		format_string("%s/bin/loadcelld-ledger", getenv("LOADCELL_BUILD") ?: "build");
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	x->helper.pid = fork();
	if (x->helper.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pair[1], HELPER_FD);
		if (pair[1] == HELPER_FD)
			fcntl(HELPER_FD, F_SETFD, 0);
		execl(program, program, "-c", x->conf, NULL);
		_exit(127);
	}
	close(pair[1]);
	x->helper.fd = pair[0];
	fcntl(x->helper.fd, F_SETFL, O_NONBLOCK);
	x->tell.helper = &x->helper;
	tell_again(&x->tell);
}

static int stop(struct fixture *x, int signal)
{
	int status = 0;

	if (signal)
		kill(x->helper.pid, signal);
	x->helper.fd = close_fd(x->helper.fd);
	waitpid(x->helper.pid, &status, 0);
	x->helper.pid = 0;
	return status;
}

static void begin(struct fixture *x)
{
	_cleanup_free_ char *text = NULL, *recent = NULL;
	struct error err = {""};

	memset(x, 0, sizeof(*x));
	strcpy(x->dir, "/dev/shm/loadcell-ledger-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->conf, sizeof(x->conf), "%s/conf", x->dir);
	snprintf(x->run_dir, sizeof(x->run_dir), "%s/run", x->dir);
	snprintf(x->data_dir, sizeof(x->data_dir), "%s/data", x->dir);
	text = format_string("run_dir = %s\ndata_dir = %s\n", x->run_dir, x->data_dir);
	assert_int_equal(replace_file(x->conf, text, strlen(text), 0600, false), 0);
	assert_int_equal(mkdir(x->run_dir, 0755), 0);
	recent = format_string("%s/recent", x->run_dir);
	assert_int_equal(ring_create(recent, 1 << 20, &x->ring, NULL, &err), 0);
	start(x);
}

static int tear_down(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_free_ char *command = format_string("rm -rf %s", x->dir);

	if (x->helper.pid > 0)
		stop(x, SIGKILL);
	ring_close(x->ring);
	tell_free(&x->tell);
	free(x->last);
	if (x->dir[0])
		assert_int_equal(system(command), 0);
	memset(x, 0, sizeof(*x));
	return 0;
}

/* Answers so far, as the collector takes them. */
static void listen_to(struct fixture *x)
{
	static char buf[HELPER_MESSAGE_MAX];

	while (helper_receive(x->helper.fd, buf, sizeof(buf)) > 0) {
		json_t *m = json_loads(buf, 0, NULL);
		const char *op = json_string_value(json_object_get(m, "op"));

		assert_non_null(op);
		if (!strcmp(op, "taken"))
			tell_taken(&x->tell,
				(uint64_t)json_integer_value(json_object_get(m, "messages")));
		if (!strcmp(op, "stats")) {
			free(x->last);
			x->last = strdup(buf);
		}
		json_decref(m);
	}
	tell_send(&x->tell);
}

/* --- what happens ----------------------------------------------------------------------------- */

#define RUNS   500
#define WINDOW 10

enum way {
	WAY_BOTH,
	WAY_HOOKS,
	WAY_COLLECTOR,
	WAYS
};

static enum way way_of(int i)
{
	return (enum way)(i % WAYS);
}

static json_t *hex(int i)
{
	char text[17];

	snprintf(text, sizeof(text), "%016x", i + 1);
	return json_string(text);
}

static void put_record(struct fixture *x, const char *type, int i, json_t *more)
{
	_cleanup_free_ char *name = format_string("%s.%016x", type, i + 1);
	_cleanup_free_ char *instance = format_string("web%d", i);
	json_t *record = json_pack("{s:i, s:s, s:o, s:I, s:s, s:s, s:I}", "schema", 1, "type", type,
		"run", hex(i), "time_ns", (json_int_t)(T0 + (uint64_t)i * SEC), "name", instance,
		"lxcpath", "/l", "start_ns", (json_int_t)(T0 + (uint64_t)i * SEC));

	json_object_update(record, more);
	json_decref(more);
	assert_int_equal(spool_put(x->run_dir, name, record), 0);
	json_decref(record);
}

static void tell_open(struct fixture *x, int i)
{
	_cleanup_free_ char *name = format_string("web%d", i);

	assert_true(tell_put(&x->tell,
		json_pack("{s:s, s:o, s:i, s:s, s:s, s:s, s:I, s:b}", "op", "open", "run", hex(i),
			"index", i + 1, "name", name, "handle", name, "lxcpath", "/l", "start_ns",
			(json_int_t)(T0 + (uint64_t)i * SEC), "found", 0)));
}

static void begin_run(struct fixture *x, int i)
{
	if (way_of(i) != WAY_COLLECTOR)
		put_record(x, "start", i, json_object());
	if (way_of(i) != WAY_HOOKS)
		tell_open(x, i);
}

static void end_run(struct fixture *x, int i)
{
	if (way_of(i) != WAY_HOOKS)
		assert_true(tell_put(&x->tell,
			json_pack("{s:s, s:o, s:I, s:b}", "op", "close", "run", hex(i), "time_ns",
				(json_int_t)(T0 + (uint64_t)(i + 5) * SEC), "killed", 0)));
	if (way_of(i) != WAY_COLLECTOR)
		put_record(x, "stop", i,
			json_pack("{s:s, s:I, s:s, s:{s:I}}", "target", "stop", "time_ns",
				(json_int_t)(T0 + (uint64_t)(i + 5) * SEC), "network", "namespace",
				"metrics", "cpu_usage_seconds", (json_int_t)i * 1000000));
}

static void sample_runs(struct fixture *x, int first, int n, int time_s)
{
	struct value values[METRIC_ID_END] = {0};
	uint64_t t = T0 + (uint64_t)time_s * SEC;

	assert_int_equal(ring_begin(x->ring, t, t, SEC), 0);
	for (int i = first; i < first + n; i++) {
		struct ring_row row = {.index = (uint32_t)i + 1, .run = (uint64_t)i + 1};

		values[metric_slot(METRIC_CPU_USAGE)] = value_of((uint64_t)i * 1000000);
		values[metric_slot(METRIC_SAMPLES)] = value_of(1);
		assert_int_equal(ring_add(x->ring, &row, values), 0);
	}
	assert_int_equal(ring_commit(x->ring, NULL), 0);
}

/* At a moment of any stage of its work; what runs is told to the next one. */
static void maybe_kill(struct fixture *x, int first, int n)
{
	listen_to(x);
	if (random() % 3)
		return;
	usleep((useconds_t)(random() % 20000));
	stop(x, SIGKILL);
	x->kills++;
	start(x);
	for (int i = first; i < first + n; i++)
		if (way_of(i) != WAY_HOOKS)
			tell_open(x, i);
	assert_true(tell_put(&x->tell, json_pack("{s:s}", "op", "settled")));
}

/* --- what must be written --------------------------------------------------------------------- */

struct count {
	int lines, started, stopped, appeared, disappeared;
};

struct counts {
	struct count run[RUNS];
	json_int_t last_id;
};

static struct count *count_of(struct counts *c, const json_t *line)
{
	uint64_t run = strtoull(json_string_value(json_object_get(line, "run")), NULL, 16);

	assert_in_range(run, 1, RUNS);
	return &c->run[run - 1];
}

static int check_run(void *data, const json_t *line)
{
	struct counts *c = data;
	struct count *count = count_of(c, line);
	long i = count - c->run;
	json_t *metrics = json_object_get(line, "metrics");
	double cpu = json_number_value(json_object_get(metrics, "cpu_usage_seconds"));
	_cleanup_free_ char *name = format_string("web%ld", i);

	count->lines++;
	assert_string_equal(json_string_value(json_object_get(line, "handle")), name);
	assert_string_equal(json_string_value(json_object_get(line, "how")), "stop");
	assert_string_equal(json_string_value(json_object_get(line, "source")),
		way_of((int)i) == WAY_COLLECTOR ? "sample" : "hook");
	assert_int_equal((long)(cpu * 1000 + 0.5), i);
	assert_int_equal(journal_seconds(line, "start"), T0 + (uint64_t)i * SEC);
	assert_int_equal(journal_seconds(line, "end"), T0 + (uint64_t)(i + 5) * SEC);
	return 0;
}

static int check_event(void *data, const json_t *line)
{
	struct counts *c = data;
	struct count *count = count_of(c, line);
	const char *type = json_string_value(json_object_get(line, "type"));
	json_int_t id = json_integer_value(json_object_get(line, "id"));

	assert_int_equal(id, c->last_id + 1);
	c->last_id = id;
	count->started += !strcmp(type, "start");
	count->stopped += !strcmp(type, "stop");
	count->appeared += !strcmp(type, "appeared");
	count->disappeared += !strcmp(type, "disappeared");
	return 0;
}

static int count_line(void *data, const json_t *line)
{
	++*(int *)data;
	return 0;
}

static void wait_for_lines(struct fixture *x, int wanted)
{
	int lines = 0;

	for (int i = 0; i < 600 && lines < wanted; i++) {
		listen_to(x);
		usleep(50000);
		lines = 0;
		assert_int_equal(journal_read(x->data_dir, "runs", 0, count_line, &lines, NULL), 0);
	}
	assert_int_equal(lines, wanted);
}

static int no_record(void *data, const char *name)
{
	fail_msg("%s stays in the spool", name);
	return 0;
}

static void test_kills(void **state)
{
	struct fixture *x = &the_fixture;
	struct counts *c = calloc(1, sizeof(*c));
	unsigned int seed = (unsigned int)(now_ns(CLOCK_REALTIME) / 1000);
	uint64_t damaged = 0;

	print_message("seed %u\n", seed);
	srandom(seed);
	begin(x);
	for (int i = 0; i < RUNS; i += WINDOW) {
		for (int k = 0; k < WINDOW; k++) {
			begin_run(x, i + k);
			maybe_kill(x, i, k + 1);
		}
		sample_runs(x, i, WINDOW, i + WINDOW);
		for (int k = 0; k < WINDOW; k++) {
			end_run(x, i + k);
			maybe_kill(x, i + k + 1, WINDOW - k - 1);
		}
	}
	wait_for_lines(x, RUNS);
	/* Nothing comes afterwards either. */
	for (int i = 0; i < 5; i++) {
		usleep(300000);
		listen_to(x);
	}
	assert_int_equal(stop(x, 0), 0);
	assert_int_equal(spool_each(x->run_dir, no_record, NULL), 0);
	assert_int_equal(x->tell.n, 0);
	assert_int_equal(journal_read(x->data_dir, "runs", 0, check_run, c, &damaged), 0);
	assert_int_equal(damaged, 0);
	assert_int_equal(journal_read(x->data_dir, "events", 0, check_event, c, &damaged), 0);
	assert_int_equal(damaged, 0);
	for (int i = 0; i < RUNS; i++) {
		bool hooks = way_of(i) != WAY_COLLECTOR;

		if (c->run[i].lines != 1 || c->run[i].started != hooks ||
			c->run[i].stopped != hooks || c->run[i].appeared != !hooks ||
			c->run[i].disappeared != !hooks)
			fail_msg("run %d: %d lines, %d start, %d stop, %d appeared, %d disappeared",
				i, c->run[i].lines, c->run[i].started, c->run[i].stopped,
				c->run[i].appeared, c->run[i].disappeared);
	}
	print_message("%" PRIu64 " kills\n", x->kills);
	assert_in_range(x->kills, 200, RUNS * 2);
	free(c);
}

/* --- a crash leaves its samples --------------------------------------------------------------- */

static void test_flight(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_free_ char *path = NULL;
	char text[65536];
	json_t *flight = NULL, *first;
	gzFile gz = NULL;
	int n;

	begin(x);
	path = format_string("%s/flight/1.json.gz", x->data_dir);
	for (int i = 0; i < 100; i++) /* ten minutes and more, ten seconds apart */
		sample_runs(x, 10 * i, 3, 10 * i + 2);
	tell_open(x, 990);
	assert_true(tell_put(
		&x->tell, json_pack("{s:s, s:s, s:o, s:I, s:i, s:i, s:n}", "op", "event", "type",
				  "oom", "run", hex(990), "time_ns", (json_int_t)(T0 + 995 * SEC),
				  "kills", 1, "memory", 5, "limit")));
	for (int i = 0; i < 200 && !gz; i++) {
		listen_to(x);
		usleep(20000);
		gz = gzopen(path, "r");
	}
	assert_non_null(gz);
	n = gzread(gz, text, sizeof(text));
	assert_int_equal(gzclose(gz), Z_OK);
	flight = json_loadb(text, (size_t)n, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(flight, "samples")), 1);
	first = json_array_get(json_object_get(flight, "samples"), 0);
	assert_int_equal(journal_seconds(first, "time"), T0 + 992 * SEC);
	assert_string_equal(json_string_value(json_object_get(flight, "handle")), "web990");
	json_decref(flight);
	assert_int_equal(stop(x, 0), 0);
}

/* --- what is damaged -------------------------------------------------------------------------- */

static void test_damaged_spool(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_free_ char *path = NULL, *temporary = NULL;

	begin(x);
	path = format_string("%s/spool/stop.00000000000000aa", x->run_dir);
	temporary = format_string("%s/spool/.x", x->run_dir);
	for (int i = 0; i < 200 && access(temporary, F_OK) < 0; i++) {
		usleep(20000); /* until the spool is there */
		(void)replace_file(temporary, "{\"type\":", 8, 0600, false);
	}
	usleep(200000);
	assert_int_equal(rename(temporary, path), 0);
	for (int i = 0; i < 200 && access(path, F_OK) == 0; i++)
		usleep(20000);
	assert_int_not_equal(access(path, F_OK), 0);
	begin_run(x, 0);
	end_run(x, 0);
	wait_for_lines(x, 1);
	assert_int_equal(stop(x, SIGTERM), 0);
}

/* A second collector's ledger waits for the first one's. */
static void test_lock(void **state)
{
	struct fixture *x = &the_fixture;
	struct helper first;
	int lines = 0, status;

	begin(x);
	begin_run(x, 1);
	end_run(x, 1);
	wait_for_lines(x, 1);
	first = x->helper;
	start(x);
	begin_run(x, 2);
	end_run(x, 2);
	listen_to(x);
	usleep(300000);
	assert_non_null(x->tell.queue);
	assert_int_equal(x->tell.n, 2); /* the waiting one has answered nothing */
	close(first.fd);
	assert_int_equal(waitpid(first.pid, &status, 0), first.pid);
	assert_int_equal(status, 0);
	wait_for_lines(x, 2);
	assert_int_equal(journal_read(x->data_dir, "runs", 0, count_line, &lines, NULL), 0);
	assert_int_equal(lines, 2);
	assert_int_equal(stop(x, 0), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_kills),
		TEST(test_flight),
		TEST(test_damaged_spool),
		TEST(test_lock),
	};

	T0 = (now_ns(CLOCK_REALTIME) / SEC - 1800) * SEC;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
