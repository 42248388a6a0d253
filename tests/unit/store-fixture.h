/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../../collector/helper.h"
#include "../../collector/store-internal.h"

/*
 * Rings with known counters go through the store; the outcome is read with rrdtool(1), not with
 * the code under test, and compared with rates worked out by hand.
 */
#define T0        UINT64_C(1700006400) /* a whole hour */
#define SEC       NSEC_PER_SEC
#define RING_SIZE (8 * 1024 * 1024)
#define MIB       (1024 * 1024)

struct fixture {
	char dir[64];
	struct config *config;
	struct index *index;
	struct ring *ring;
	struct store *store;
	struct value values[METRIC_ID_END];
};

static inline bool command(const char *format, ...) _printf_(1, 2);
static inline bool command(const char *format, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return system(text) == 0;
}

static inline void begin_data(struct fixture *x, const char *more)
{
	_cleanup_free_ char *conf = format_string("%s/conf", x->dir);
	_cleanup_free_ char *text =
		format_string("data_dir = %s/data\nrun_dir = %s/run\n%s", x->dir, x->dir, more);
	_cleanup_free_ char *path = NULL, *recent = NULL;
	struct error err = {""};

	assert_true(command("mkdir -p %s/data %s/run", x->dir, x->dir));
	assert_int_equal(replace_file(conf, text, strlen(text), 0600, false), 0);
	assert_int_equal(config_load(conf, &x->config, &err), 0);
	path = config_data_path(x->config, "index");
	recent = config_run_path(x->config, "recent");
	assert_int_equal(index_load(path, &x->index, &err), 0);
	assert_int_equal(ring_create(recent, RING_SIZE, &x->ring, NULL, &err), 0);
}

static inline void begin(struct fixture *x, const char *more)
{
	memset(x, 0, sizeof(*x));
	snprintf(x->dir, sizeof(x->dir), "/tmp/loadcell-test-store.XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	begin_data(x, more);
}

static inline void open_store(struct fixture *x)
{
	struct error err = {""};

	if (store_open(x->config, &x->store, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void close_store(struct fixture *x)
{
	if (x->store)
		store_close(x->store);
	x->store = NULL;
}

static inline void end(struct fixture *x)
{
	close_store(x);
	ring_close(x->ring);
	index_free(x->index);
	config_free(x->config);
	assert_true(command("rm -rf %s", x->dir));
}

static struct fixture the_fixture;

/* Also after a failed assertion, which leaves end() undone. */
static inline int tear_down(void **state)
{
	if (the_fixture.dir[0])
		command("rm -rf %s", the_fixture.dir);
	memset(&the_fixture, 0, sizeof(the_fixture));
	return 0;
}

static inline uint32_t instance(struct fixture *x, const char *name)
{
	const struct index_entry *e;

	assert_true(index_assign(x->index, "/var/lib/lxc", name, &e) >= 0);
	assert_int_equal(index_save(x->index, NULL, NULL), 0);
	return e->number;
}

/* The file's name relative to the data directory's rrd/; the number is the index's. */
static inline const char *file_of(const char *name, uint32_t number)
{
	static char text[4][128];
	static int next;
	char *p = text[next++ % 4];

	snprintf(p, sizeof(text[0]), "%s.%u.rrd", name, number);
	return p;
}

static inline void cycle(struct fixture *x, uint64_t time_ns, uint64_t interval_s)
{
	assert_int_equal(ring_begin(x->ring, time_ns, time_ns, interval_s * SEC), 0);
}

static inline void set(struct fixture *x, unsigned int id, uint64_t number)
{
	x->values[metric_slot(id)] = value_of(number);
}

static inline void clear(struct fixture *x)
{
	memset(x->values, 0, sizeof(x->values));
}

static inline void add(
	struct fixture *x, enum metric_scope scope, uint32_t index, uint32_t parent, uint64_t run)
{
	struct ring_row row = {scope, index, parent, 0, run};

	assert_int_equal(ring_add(x->ring, &row, x->values), 0);
}

static inline void add_interface(
	struct fixture *x, uint32_t parent, uint32_t n, uint64_t who, uint64_t rx, uint64_t tx)
{
	clear(x);
	set(x, METRIC_INTERFACE_RECEIVE_BYTES, rx);
	set(x, METRIC_INTERFACE_TRANSMIT_BYTES, tx);
	add(x, SCOPE_INTERFACE, n, parent, who);
}

static inline void commit(struct fixture *x)
{
	uint64_t seq;

	assert_int_equal(ring_commit(x->ring, &seq), 0);
}

/* A whole cycle of one instance that has used cpu_ns. */
static inline void cpu_cycle(
	struct fixture *x, uint32_t number, uint64_t run, uint64_t time_ns, uint64_t cpu_ns)
{
	cycle(x, time_ns, 10);
	clear(x);
	set(x, METRIC_CPU_USAGE, cpu_ns);
	set(x, METRIC_MEMORY_USAGE, 1000000);
	add(x, SCOPE_INSTANCE, number, 0, run);
	commit(x);
}

static inline void flush(struct fixture *x)
{
	if (store_flush(x->store) < 0)
		fail_msg("%s", x->store->error.text);
}

/* Rows of one data source from `from` (exclusive) to `to`, as rrdtool prints them. */
static inline size_t fetch(struct fixture *x, const char *file, const char *ds, const char *cf,
	uint64_t step, uint64_t from, uint64_t to, double *ret, size_t max)
{
	_cleanup_free_ char *text =
		format_string("rrdtool fetch %s/data/rrd/%s %s -r %ju -s %ju -e %ju", x->dir, file,
			cf, (uintmax_t)step, (uintmax_t)from, (uintmax_t)to);
	char line[4096], *save, *word;
	int column = -1;
	size_t n = 0;
	FILE *f = popen(text, "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	word = strtok_r(line, " \n", &save);
	for (int i = 0; word; i++, word = strtok_r(NULL, " \n", &save))
		if (!strcmp(word, ds))
			column = i;
	assert_true(column >= 0);
	while (fgets(line, sizeof(line), f)) {
		char *p = strchr(line, ':');

		if (!p)
			continue;
		/* rrdtool 1.7.2 prints one row past the end. */
		if (strtoull(line, NULL, 10) > to)
			break;
		p++;
		for (int i = 0; i < column; i++)
			(void)strtod(p, &p);
		assert_true(n < max);
		ret[n++] = strtod(p, NULL);
	}
	while (fgets(line, sizeof(line), f))
		;
	assert_int_equal(pclose(f), 0);
	return n;
}

static inline void assert_near(double a, double b)
{
	if (!(fabs(a - b) <= fabs(b) * 1e-9 + 1e-12))
		fail_msg("%.12g is not %.12g", a, b);
}

static inline void assert_rates(struct fixture *x, const char *file, const char *ds, uint64_t from,
	size_t n, const double *expected)
{
	double got[64];

	assert_int_equal(fetch(x, file, ds, "AVERAGE", 10, from, from + 10 * n, got, 64), n);
	for (size_t i = 0; i < n; i++)
		if (isnan(expected[i]))
			assert_true(isnan(got[i]));
		else
			assert_near(got[i], expected[i]);
}

static inline char *output(const char *format, ...) _printf_(1, 2);
static inline char *output(const char *format, ...)
{
	char text[1024], *all = NULL;
	size_t size = 0;
	va_list ap;
	FILE *f;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	f = popen(text, "r");
	assert_non_null(f);
	(void)!getdelim(&all, &size, 0, f);
	assert_int_equal(pclose(f), 0);
	assert_non_null(all);
	return all;
}

static inline unsigned int mode_of(struct fixture *x, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/data/%s", x->dir, name);
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

/* Files in rrd/ whose names match a shell pattern. */
static inline size_t count_files(struct fixture *x, const char *pattern)
{
	_cleanup_free_ char *n = output("find %s/data/rrd -name '%s' | wc -l", x->dir, pattern);

	return strtoull(n, NULL, 10);
}

static inline pid_t start_process(struct fixture *x, int *ret_fd)
{
	_cleanup_free_ char *program = format_string("%s/bin/loadcelld-store",
		getenv("LOADCELL_BUILD") ? getenv("LOADCELL_BUILD") : "build");
	_cleanup_free_ char *conf = format_string("%s/conf", x->dir);
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (pair[1] == HELPER_FD)
			fcntl(HELPER_FD, F_SETFD, 0);
		else
			dup2(pair[1], HELPER_FD);
		execl(program, program, "-c", conf, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

static inline void expect(int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[4096];
	ssize_t n;

	assert_int_equal(poll(&p, 1, 20000), 1);
	n = helper_receive(fd, buf, sizeof(buf));
	assert_true(n > 0);
	if (!strstr(buf, text))
		fail_msg("no %s in %s", text, buf);
}

static inline void expect_end(pid_t pid)
{
	int status;

	for (int i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		usleep(10000);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}
