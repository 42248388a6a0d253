/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>

#include "lib/metric.h"
#include "lib/parse.h"
#include "lib/util.h"

/* Every parser over what real kernels printed, against values written down beforehand. */

#define FILE_MAX_SIZE (1 << 20)
#define KEYS_MAX      16

/* A file of a fixture tree; NULL and a message when it cannot be read. */
static char *read_fixture(const char *tree, const char *path, size_t *len)
{
	const char *build = getenv("LOADCELL_BUILD");
	_cleanup_free_ char *full =
		format_string("%s/fixtures/%s/%s", build ? build : "build", tree, path);
	char *text = NULL;
	int r;

	assert_non_null(full);
	r = read_file_alloc(AT_FDCWD, full, FILE_MAX_SIZE, &text, len);
	if (r)
		print_error("%s: %s\n", full, strerror(-r));
	return r ? NULL : text;
}

/* --- cgroup files, meminfo, pressure ------------------------------------------------------- */

static const struct expected_file {
	const char *tree, *path;
	enum grammar grammar;
	const char *values;
} expected_files[] = {
#include "fixture-values.h"
};

static int parse_by_grammar(enum grammar grammar, const char *buf, size_t len,
	const struct parse_key *keys, size_t n, struct value *ret)
{
	switch (grammar) {
	case GRAMMAR_NUMBER:
		return parse_number(buf, len, 1, ret);
	case GRAMMAR_FLAT:
		return parse_flat(buf, len, keys, n, ret);
	case GRAMMAR_NESTED:
		return parse_nested(buf, len, keys, n, ret);
	case GRAMMAR_BLKIO:
		return parse_blkio(buf, len, keys, n, ret);
	case GRAMMAR_PRESSURE:
		return parse_pressure(buf, len, keys, n, ret);
	case GRAMMAR_CPU_QUOTA:
		return parse_cpu_quota(buf, len, ret);
	case GRAMMAR_CPU_LIST:
		return parse_cpu_list(buf, len, ret);
	case GRAMMAR_CPU_CFS:
	case GRAMMAR_NETDEV:
		break;
	}
	return -EINVAL;
}

/* Splits "key=value key=value" in place. */
static size_t split_expected(char *text, struct parse_key *keys, const char **values)
{
	char *save = NULL;
	size_t n = 0;

	for (char *pair = strtok_r(text, " ", &save); pair; pair = strtok_r(NULL, " ", &save)) {
		char *sign = strchr(pair, '=');

		assert_non_null(sign);
		assert_true(n < KEYS_MAX);
		*sign = '\0';
		keys[n] = (struct parse_key){pair, strlen(pair), 1};
		values[n++] = sign + 1;
	}
	return n;
}

static void print_value(struct value v, char *text, size_t size)
{
	if (value_is_number(v))
		snprintf(text, size, "%llu", (unsigned long long)v.number);
	else
		snprintf(text, size, "%s", v.state == VALUE_UNLIMITED ? "unlimited" : "absent");
}

/* Returns how many values differ. */
static int check_file(const struct expected_file *e)
{
	_cleanup_free_ char *expected = strdup(e->values), *text = NULL;
	struct value got[KEYS_MAX] = {0};
	struct parse_key keys[KEYS_MAX];
	const char *values[KEYS_MAX];
	size_t len = 0, n;
	int r, wrong = 0;

	assert_non_null(expected);
	n = split_expected(expected, keys, values);
	text = read_fixture(e->tree, e->path, &len);
	if (!text)
		return 1;
	r = parse_by_grammar(e->grammar, text, len, keys, n, got);
	if (r) {
		print_error("%s/%s: %s\n", e->tree, e->path, strerror(-r));
		return 1;
	}
	for (size_t i = 0; i < n; i++) {
		char shown[32];

		print_value(got[i], shown, sizeof(shown));
		if (strcmp(shown, values[i]) == 0)
			continue;
		print_error("%s/%s: %s is %s, expected %s\n", e->tree, e->path, keys[i].key, shown,
			values[i]);
		wrong++;
	}
	return wrong;
}

static const struct expected_tree {
	const char *name;
	size_t files, processes;
} trees[] = {
	{"v1-6.18", 103, 4},
	{"v1-debian12-6.1", 83, 4},
	{"hybrid-debian12-6.1", 98, 4},
	{"v2-debian12-6.1", 93, 4},
	{"v2-debian13-6.12", 178, 9},
};

static void test_files(void **state)
{
	const struct expected_tree *tree = *state;
	size_t checked = 0;
	int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(expected_files); i++) {
		if (strcmp(expected_files[i].tree, tree->name) != 0)
			continue;
		wrong += check_file(&expected_files[i]);
		checked++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(checked, tree->files);
}

/* --- /proc/PID ----------------------------------------------------------------------------- */

static const struct expected_process {
	const char *tree, *name;
	pid_t pid, ppid;
	uint64_t utime, stime, threads, starttime, rss_pages;
	uid_t euid;
	const char *cgroup; /* memory's on v1, the only one on v2 */
	size_t cgroups, interfaces;
	uint64_t eth0_tx_bytes, eth0_tx_packets; /* 0: has no eth0 */
} expected_processes[] = {
	{"v1-6.18", "web01", 9181, 9180, 0, 0, 1, 723000, 332, 0, "/lxc.payload.web01", 10, 2, 864,
		4},
	{"v1-6.18", "cache01", 9195, 9194, 0, 0, 1, 723006, 332, 0, "/lxc.payload.cache01", 10, 1,
		0, 0},
	{"v1-6.18", "101", 9209, 9208, 0, 0, 1, 723008, 332, 0, "/lxc/101/ns", 10, 1, 0, 0},
	{"v1-6.18", "job queue", 9223, 9222, 0, 0, 1, 723010, 332, 0, "/lxc.payload.job queue", 10,
		1, 0, 0},
	{"v1-debian12-6.1", "web01", 207, 206, 2, 5, 1, 466, 2, 0, "/lxc.payload.web01", 13, 2,
		2412, 10},
	{"v1-debian12-6.1", "cache01", 226, 225, 2, 2, 1, 539, 2, 0, "/lxc.payload.cache01", 13, 1,
		0, 0},
	{"v1-debian12-6.1", "101", 241, 240, 2, 5, 1, 591, 2, 0, "/lxc/101/ns", 13, 1, 0, 0},
	{"v1-debian12-6.1", "job queue", 256, 255, 2, 3, 1, 640, 2, 0, "/lxc.payload.job queue", 13,
		1, 0, 0},
	{"hybrid-debian12-6.1", "web01", 210, 209, 2, 6, 1, 453, 2, 0, "/lxc.payload.web01", 14, 2,
		2412, 10},
	{"hybrid-debian12-6.1", "cache01", 229, 228, 2, 2, 1, 529, 2, 0, "/lxc.payload.cache01", 14,
		1, 0, 0},
	{"hybrid-debian12-6.1", "101", 244, 243, 3, 1, 1, 578, 2, 0, "/lxc/101/ns", 14, 1, 0, 0},
	{"hybrid-debian12-6.1", "job queue", 259, 258, 3, 2, 1, 631, 2, 0, "/lxc.payload.job queue",
		14, 1, 0, 0},
	{"v2-debian12-6.1", "web01", 166, 165, 3, 5, 1, 462, 2, 0, "/lxc.payload.web01", 1, 2, 1476,
		8},
	{"v2-debian12-6.1", "cache01", 185, 184, 3, 2, 1, 533, 2, 0, "/lxc.payload.cache01", 1, 1,
		0, 0},
	{"v2-debian12-6.1", "101", 200, 199, 2, 3, 1, 581, 2, 0, "/lxc/101/ns", 1, 1, 0, 0},
	{"v2-debian12-6.1", "job queue", 215, 214, 3, 3, 1, 629, 2, 0, "/lxc.payload.job queue", 1,
		1, 0, 0},
	{"v2-debian13-6.12", "web01", 281, 280, 3, 3, 1, 1476, 348, 0, "/lxc.payload.web01", 1, 2,
		3348, 12},
	{"v2-debian13-6.12", "cache01", 301, 300, 3, 3, 1, 1555, 348, 0, "/lxc.payload.cache01", 1,
		1, 0, 0},
	{"v2-debian13-6.12", "101", 317, 316, 2, 4, 1, 1618, 348, 0, "/lxc/101/ns", 1, 1, 0, 0},
	{"v2-debian13-6.12", "job queue", 333, 332, 2, 6, 1, 1731, 348, 0, "/lxc.payload.job queue",
		1, 1, 0, 0},
	{"v2-debian13-6.12", "unpriv01", 352, 351, 5, 4, 1, 2158, 348, 100000,
		"/lxc.payload.unpriv01", 1, 1, 0, 0},
	{"v2-debian13-6.12", "exec01", 370, 369, 1, 1, 1, 2311, 580, 0, "/lxc.payload.exec01", 1, 1,
		0, 0},
	{"v2-debian13-6.12", "incus01", 560, 553, 2, 6, 1, 5147, 356, 1000000,
		"/lxc.payload.incus01", 1, 1, 0, 0},
	{"v2-debian13-6.12", "p1_app", 620, 613, 4, 6, 1, 5617, 364, 1000000, "/lxc.payload.p1_app",
		1, 1, 0, 0},
	{"v2-debian13-6.12", "user01", 396, 390, 3, 4, 1, 2689, 331, 200000,
		"/system.slice/user01.service/lxc.payload.user01", 1, 1, 0, 0},
};

static char *read_process_file(const struct expected_process *e, const char *name, size_t *len)
{
	_cleanup_free_ char *path = format_string("proc/%d/%s", e->pid, name);
	char *text;

	assert_non_null(path);
	text = read_fixture(e->tree, path, len);
	assert_non_null(text);
	return text;
}

static void check_stat(const struct expected_process *e)
{
	struct proc_stat s;
	size_t len;
	_cleanup_free_ char *text = read_process_file(e, "stat", &len);

	assert_int_equal(parse_proc_stat(text, len, &s), 0);
	assert_int_equal(s.state, 'S');
	assert_int_equal(s.ppid, e->ppid);
	assert_int_equal(s.threads, e->threads);
	assert_int_equal(s.utime_ticks, e->utime);
	assert_int_equal(s.stime_ticks, e->stime);
	assert_int_equal(s.starttime_ticks, e->starttime);
	assert_int_equal(s.rss_pages, e->rss_pages);
}

static void check_status(const struct expected_process *e)
{
	struct proc_status s;
	size_t len;
	_cleanup_free_ char *text = read_process_file(e, "status", &len);

	assert_int_equal(parse_proc_status(text, len, &s), 0);
	assert_int_equal(s.ppid, e->ppid);
	assert_int_equal(s.euid, e->euid);
	assert_int_equal(s.inner_pid, 1);
}

struct cgroup_search {
	const char *path;
	size_t lines;
	bool found;
};

static int check_cgroup_line(void *data, const struct proc_cgroup *c)
{
	struct cgroup_search *s = data;
	bool memory = c->controllers_len == 6 && memcmp(c->controllers, "memory", 6) == 0;

	s->lines++;
	if ((memory || !c->controllers_len) && c->path_len == strlen(s->path) &&
		memcmp(c->path, s->path, c->path_len) == 0)
		s->found = true;
	return 0;
}

static void check_cgroup(const struct expected_process *e)
{
	struct cgroup_search s = {.path = e->cgroup};
	size_t len;
	_cleanup_free_ char *text = read_process_file(e, "cgroup", &len);

	assert_int_equal(parse_proc_cgroup(text, len, check_cgroup_line, &s), 0);
	assert_int_equal(s.lines, e->cgroups);
	assert_true(s.found);
}

static void check_netdev(const struct expected_process *e)
{
	struct netdev n[4];
	size_t len, count;
	_cleanup_free_ char *text = read_process_file(e, "net/dev", &len);

	assert_int_equal(parse_netdev(text, len, n, ARRAY_SIZE(n), &count), 0);
	assert_int_equal(count, e->interfaces);
	assert_int_equal(n[0].name_len, 2);
	assert_memory_equal(n[0].name, "lo", 2);
	if (count < 2)
		return;
	assert_int_equal(n[1].name_len, 4);
	assert_memory_equal(n[1].name, "eth0", 4);
	assert_int_equal(n[1].column[NETDEV_TX_BYTES], e->eth0_tx_bytes);
	assert_int_equal(n[1].column[NETDEV_TX_PACKETS], e->eth0_tx_packets);
	assert_int_equal(n[1].column[NETDEV_RX_BYTES], 0);
}

static void test_processes(void **state)
{
	const struct expected_tree *tree = *state;
	size_t checked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(expected_processes); i++) {
		const struct expected_process *e = &expected_processes[i];

		if (strcmp(e->tree, tree->name) != 0)
			continue;
		check_stat(e);
		check_status(e);
		check_cgroup(e);
		check_netdev(e);
		checked++;
	}
	assert_int_equal(checked, tree->processes);
}

/* --- the host ------------------------------------------------------------------------------ */

static const struct expected_host {
	struct proc_cpu cpu;
	uint64_t btime, tasks, files, memory_cgroups;
	size_t listeners;      /* abstract and listening */
	uint64_t web01_socket; /* inode of its command socket */
	size_t interfaces;
	const char *interface;
	uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets; /* of that interface */
} hosts[ARRAY_SIZE(trees)] = {
	{{301417, 359, 123690, 997981, 4189, 0, 1658, 864}, 1795399468, 101, 622, 20, 4, 489433, 6,
		"eth0", 1883139827, 43137, 2085091, 28263},
	{{552, 0, 1206, 5520, 1, 0, 9, 0}, 1795406833, 81, 256, 13, 4, 12067, 3, "vp1", 3138, 19,
		726, 9},
	{{574, 0, 1226, 6012, 1, 0, 14, 0}, 1795406882, 82, 288, 13, 4, 419, 3, "vp1", 3138, 19,
		726, 9},
	{{398, 0, 805, 3048, 0, 0, 6, 0}, 1795406804, 82, 160, 14, 4, 10556, 3, "vp1", 2132, 16,
		656, 8},
	{{2432, 0, 4572, 9240, 17, 0, 345, 0}, 1795406281, 133, 448, 46, 10, 465, 3, "vp1", 4144,
		22, 796, 10},
};

struct socket_search {
	const char *name;
	uint64_t inode;
	size_t count;
};

static int count_listener(void *data, const struct unix_socket *s)
{
	struct socket_search *search = data;

	search->count++;
	if (s->name_len == strlen(search->name) && !memcmp(s->name, search->name, s->name_len))
		search->inode = s->inode;
	return 0;
}

static char *read_host_file(const struct expected_tree *tree, const char *path, size_t *len)
{
	char *text = read_fixture(tree->name, path, len);

	assert_non_null(text);
	return text;
}

static void test_host_counts(void **state)
{
	const struct expected_tree *tree = *state;
	const struct expected_host *e = &hosts[tree - trees];
	_cleanup_free_ char *stat, *loadavg, *file_nr, *cgroups;
	struct proc_cpu cpu;
	uint64_t number;
	size_t len;

	stat = read_host_file(tree, "proc/stat", &len);
	assert_int_equal(parse_proc_cpu(stat, len, &cpu), 0);
	assert_memory_equal(&cpu, &e->cpu, sizeof(cpu));
	assert_int_equal(parse_btime(stat, len, &number), 0);
	assert_int_equal(number, e->btime);
	loadavg = read_host_file(tree, "proc/loadavg", &len);
	assert_int_equal(parse_loadavg_tasks(loadavg, len, &number), 0);
	assert_int_equal(number, e->tasks);
	file_nr = read_host_file(tree, "proc/sys/fs/file-nr", &len);
	assert_int_equal(parse_file_nr(file_nr, len, &number), 0);
	assert_int_equal(number, e->files);
	cgroups = read_host_file(tree, "proc/cgroups", &len);
	assert_int_equal(parse_proc_cgroups(cgroups, len, "memory", &number), 0);
	assert_int_equal(number, e->memory_cgroups);
	assert_int_equal(parse_proc_cgroups(cgroups, len, "mem", &number), -EBADMSG);
}

static void test_host_network(void **state)
{
	const struct expected_tree *tree = *state;
	const struct expected_host *e = &hosts[tree - trees];
	struct socket_search search = {.name = "/var/lib/lxc/web01/command"};
	_cleanup_free_ char *sockets, *devices;
	struct netdev n[8];
	size_t len, count;
	bool found = false;

	sockets = read_host_file(tree, "proc/net/unix", &len);
	assert_int_equal(parse_proc_net_unix(sockets, len, count_listener, &search), 0);
	assert_int_equal(search.inode, e->web01_socket);
	assert_int_equal(search.count, e->listeners);
	devices = read_host_file(tree, "proc/net/dev", &len);
	assert_int_equal(parse_netdev(devices, len, n, ARRAY_SIZE(n), &count), 0);
	assert_int_equal(count, e->interfaces);
	for (size_t i = 0; i < count; i++) {
		if (n[i].name_len != strlen(e->interface) ||
			memcmp(n[i].name, e->interface, n[i].name_len) != 0)
			continue;
		found = true;
		assert_int_equal(n[i].column[NETDEV_RX_BYTES], e->rx_bytes);
		assert_int_equal(n[i].column[NETDEV_RX_PACKETS], e->rx_packets);
		assert_int_equal(n[i].column[NETDEV_TX_BYTES], e->tx_bytes);
		assert_int_equal(n[i].column[NETDEV_TX_PACKETS], e->tx_packets);
	}
	assert_true(found);
}

#define FOR_TREE(test, i)                                                                          \
	{                                                                                          \
#test " " #i, test, NULL, NULL, (void *)&trees[i]                                  \
	}
#define FOR_ALL(test)                                                                              \
	FOR_TREE(test, 0), FOR_TREE(test, 1), FOR_TREE(test, 2), FOR_TREE(test, 3),                \
		FOR_TREE(test, 4)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(test_files),
		FOR_ALL(test_processes),
		FOR_ALL(test_host_counts),
		FOR_ALL(test_host_network),
	};

	return cmocka_run_group_tests_name("fixtures", tests, NULL, NULL);
}
