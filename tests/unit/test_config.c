/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>

#include "lib/config.h"
#include "lib/value.h"

#define TEXT(s) s, sizeof(s) - 1

/* --- units --------------------------------------------------------------------------------- */

struct unit_case {
	const char *text;
	int result;
	uint64_t number;
};

static void check_units(
	const struct unit_case *cases, size_t n, int (*parse)(const char *text, uint64_t *ret))
{
	for (size_t i = 0; i < n; i++) {
		uint64_t number = 4711;
		int r = parse(cases[i].text, &number);

		if (r != cases[i].result || number != (r ? 4711 : cases[i].number)) {
			print_error(
				"\"%s\": %d, %llu\n", cases[i].text, r, (unsigned long long)number);
			fail();
		}
	}
}

static void test_parse_duration(void **state)
{
	static const struct unit_case cases[] = {
		{"250ms", 0, 250000000},
		{"60s", 0, 60000000000},
		{"60 s", 0, 60000000000},
		{"5m", 0, 300000000000},
		{"1h", 0, 3600000000000},
		{"1d", 0, 86400000000000},
		{"365d", 0, 31536000000000000},
		{"2y", 0, 63072000000000000},
		{"1Y", -EINVAL, 0},
		{"0s", 0, 0},
		{"18446744073s", 0, UINT64_C(18446744073000000000)},
		{"18446744074s", -ERANGE, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"60", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"+1s", -EINVAL, 0},
		{" 1s", -EINVAL, 0},
		{"1s ", -EINVAL, 0},
		{"1S", -EINVAL, 0},
		{"1M", -EINVAL, 0},
		{"1min", -EINVAL, 0},
		{"1s1s", -EINVAL, 0},
		{"0x10s", -EINVAL, 0},
	};

	check_units(cases, ARRAY_SIZE(cases), parse_duration);
}

static void test_parse_size(void **state)
{
	static const struct unit_case cases[] = {
		{"512B", 0, 512},
		{"64K", 0, 65536},
		{"16M", 0, 16777216},
		{"1 G", 0, 1073741824},
		{"2T", 0, 2199023255552},
		{"16777215T", 0, UINT64_C(18446742974197923840)},
		{"16777216T", -ERANGE, 0},
		{"16", -EINVAL, 0},
		{"16m", -EINVAL, 0},
		{"16MB", -EINVAL, 0},
		{"-1M", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	check_units(cases, ARRAY_SIZE(cases), parse_size);
}

static void test_parse_percent(void **state)
{
	static const struct unit_case cases[] = {
		{"1 %", 0, 10000000},
		{"10%", 0, 100000000},
		{"100 %", 0, 1000000000},
		{"0.5 %", 0, 5000000},
		{"12.3456789%", 0, 123456789},
		{"0%", 0, 0},
		{"250%", 0, 2500000000},
		{"0.00000001%", -ERANGE, 0},
		{"99999999999999%", -ERANGE, 0},
		{"1", -EINVAL, 0},
		{"%", -EINVAL, 0},
		{".5%", -EINVAL, 0},
		{"1.%", -EINVAL, 0},
		{"1.5.5%", -EINVAL, 0},
		{"-1%", -EINVAL, 0},
		{"1%%", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	check_units(cases, ARRAY_SIZE(cases), parse_percent);
}

/* --- defaults ------------------------------------------------------------------------------ */

/* What lib/config.h and the manual page promise. */
static void assert_defaults(const struct config *c)
{
	assert_true(c->interval_ns == 10 * NSEC_PER_SEC);
	assert_string_equal(c->run_dir, "/run/loadcell");
	assert_string_equal(c->data_dir, "/var/lib/loadcell");
	assert_string_equal(c->cgroup_root, "/sys/fs/cgroup");
	assert_string_equal(c->proc_root, "/proc");
	assert_int_equal(c->lxcpaths, 2);
	assert_string_equal(c->lxcpath[0], "/var/lib/lxc");
	assert_string_equal(c->lxcpath[1], "/var/lib/incus/containers");
	assert_true(c->flush_ns == 60 * NSEC_PER_SEC);
	assert_true(c->keep_ns == 86400 * NSEC_PER_SEC);
	assert_true(c->archive_ns == 730 * 86400 * NSEC_PER_SEC);
	assert_int_equal(c->forget_destroyed, 0);
	assert_int_equal(c->patterns, 0);
	assert_int_equal(c->data_max, 0);
	assert_int_equal(c->data_max_ratio, 100000000);
	assert_true(c->ledger_ns == UINT64_C(63072000) * NSEC_PER_SEC);
	assert_true(c->events_ns == UINT64_C(7776000) * NSEC_PER_SEC);
	assert_int_equal(c->forget_destroyed, 0);
	assert_int_equal(c->recent_bytes, 16777216);
	assert_true(c->disk_walk_ns == 900 * NSEC_PER_SEC);
	assert_int_equal(c->disk_walk_share, 10000000);
	assert_int_equal(c->stale_after_ns, 0);
	assert_true(c->reconcile_ns == 10 * NSEC_PER_SEC);
	assert_int_equal(c->instances_max, 5000);
	assert_string_equal(c->agentx, "/var/agentx/master");
	assert_string_equal(c->snmp_arc, "1.3.6.1.4.1.8072.9999.9999");
	assert_string_equal(c->snmp_state_dir, "/var/lib/loadcell-snmp");
	assert_int_equal(c->snmp_contexts, 1000);
	assert_string_equal(c->listen, "127.0.0.1:9818");
}

static void test_defaults(void **state)
{
	_cleanup_(config_free) struct config *c = NULL;

	assert_int_equal(config_parse("", 0, "x", &c, NULL), 0);
	assert_defaults(c);
}

/* The shipped file sets every key, and to its default. */
static void test_shipped_file(void **state)
{
	static const char *const keys[] = {"interval", "run_dir", "data_dir", "cgroup_root",
		"proc_root", "lxcpath", "flush", "keep", "archive", "destroyed", "data_max",
		"ledger", "events", "recent", "disk_walk", "disk_walk_share", "stale_after",
		"reconcile", "instances_max", "agentx", "snmp_arc", "snmp_state_dir",
		"snmp_contexts", "listen"};
	static const char path[] = "etc/loadcell.conf";
	_cleanup_(config_free) struct config *c = NULL;
	_cleanup_free_ char *text = NULL;
	struct error err = {0};
	size_t len;

	if (config_load(path, &c, &err))
		fail_msg("%s", err.text);
	assert_defaults(c);
	assert_int_equal(read_file_alloc(AT_FDCWD, path, 65536, &text, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_free_ char *line = format_string("\n%s = ", keys[i]);

		if (!strstr(text, line))
			fail_msg("%s is not in %s", keys[i], path);
	}
}

/* --- a whole file -------------------------------------------------------------------------- */

static void test_all_keys(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# comment\r\n"
		"interval=1s\n"
		"  run_dir = /tmp//run/  \n"
		"\tdata_dir\t=\t/tmp/data dir ; comment\n"
		"; comment\n"
		"    # indented comment\n"
		"cgroup_root = /tmp/cg;x\r\n"
		"proc_root = /\n"
		"\n"
		"lxcpath = /a/\n"
		"lxcpath = /b\n"
		"lxcpath = //c\n"
		"flush = 5m\n"
		"keep = 0s\n"
		"archive = 3650d\n"
		"destroyed = forget\n"
		"pattern = docker  /docker/{name}\n"
		"pattern = app /apps.slice/{name}.service ; comment\n"
		"pattern = vm_2-x /machine.slice/machine-qemu\\x2d*\\x2d{name}.scope\n"
		"data_max = 5G\n"
		"ledger = 1y\n"
		"events = 2d\n"
		"recent = 3M\n"
		"disk_walk = off\n"
		"disk_walk_share = 0.5 %\n"
		"stale_after = 20s\n"
		"reconcile = 30s\n"
		"instances_max = 7\n"
		"agentx = tcp:localhost:705\n"
		"snmp_arc = 1.3.6.1.4.1.99999\n"
		"snmp_state_dir = /srv/snmp/\n"
		"snmp_contexts = 0\n"
		"listen: [::1]:80";
	_cleanup_(config_free) struct config *c = NULL;
	struct error err = {0};

	if (config_parse(TEXT(text), "x", &c, &err))
		fail_msg("%s", err.text);
	assert_true(c->interval_ns == NSEC_PER_SEC);
	assert_string_equal(c->run_dir, "/tmp/run");
	assert_string_equal(c->data_dir, "/tmp/data dir");
	assert_string_equal(c->cgroup_root, "/tmp/cg;x");
	assert_string_equal(c->proc_root, "/");
	assert_int_equal(c->lxcpaths, 3);
	assert_string_equal(c->lxcpath[0], "/a");
	assert_string_equal(c->lxcpath[1], "/b");
	assert_string_equal(c->lxcpath[2], "/c");
	assert_true(c->flush_ns == 300 * NSEC_PER_SEC);
	assert_int_equal(c->keep_ns, 0);
	assert_true(c->archive_ns == UINT64_C(315360000) * NSEC_PER_SEC);
	assert_int_equal(c->forget_destroyed, 1);
	assert_int_equal(c->patterns, 3);
	assert_string_equal(c->pattern[0], "docker  /docker/{name}");
	assert_string_equal(c->pattern[1], "app /apps.slice/{name}.service");
	assert_string_equal(
		c->pattern[2], "vm_2-x /machine.slice/machine-qemu\\x2d*\\x2d{name}.scope");
	assert_true(c->data_max == UINT64_C(5368709120));
	assert_true(c->ledger_ns == UINT64_C(31536000) * NSEC_PER_SEC);
	assert_true(c->events_ns == UINT64_C(172800) * NSEC_PER_SEC);
	assert_int_equal(c->forget_destroyed, 1);
	assert_int_equal(c->recent_bytes, 3145728);
	assert_int_equal(c->disk_walk_ns, 0);
	assert_int_equal(c->disk_walk_share, 5000000);
	assert_true(c->stale_after_ns == 20 * NSEC_PER_SEC);
	assert_true(c->reconcile_ns == 30 * NSEC_PER_SEC);
	assert_int_equal(c->instances_max, 7);
	assert_string_equal(c->agentx, "tcp:localhost:705");
	assert_string_equal(c->snmp_arc, "1.3.6.1.4.1.99999");
	assert_string_equal(c->snmp_state_dir, "/srv/snmp");
	assert_int_equal(c->snmp_contexts, 0);
	assert_string_equal(c->listen, "[::1]:80");
}

static void test_data_max_share(void **state)
{
	_cleanup_(config_free) struct config *c = NULL;

	assert_int_equal(config_parse(TEXT("data_max = 25 %\n"), "x", &c, NULL), 0);
	assert_int_equal(c->data_max, 0);
	assert_int_equal(c->data_max_ratio, 250000000);
}

/* --- what is refused ----------------------------------------------------------------------- */

static void test_errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *sentence;
	} cases[] = {
		{TEXT("colour = red\n"), "f:1: unknown key \"colour\""},
		{TEXT("# one\n\nInterval = 1s\n"), "f:3: unknown key \"Interval\""},
		{TEXT("interval = 10\n"),
			"f:1: interval must be a duration from 1s to 1h, not \"10\""},
		{TEXT("interval =\n"), "f:1: interval must be a duration from 1s to 1h, not \"\""},
		{TEXT("flush = 5s\ninterval = 5s\nflush = 5s\n"), "f:3: flush is given twice"},
		{TEXT("interval = 5s\n  10s\n"), "f:2: expected key = value"},
		{TEXT("interval\n"), "f:1: expected key = value"},
		{TEXT("interval\nflush = x\n"), "f:1: expected key = value"},
		{TEXT("flush = x\ninterval\n"),
			"f:1: flush must be a duration from 1s to 1h, not \"x\""},
		{TEXT("flush = 5s\npattern = lxc /lxc/{name}\n"),
			"f:2: pattern must be KIND /PATH/{name}, each once, 32 at most: a kind "
			"other than lxc, up to 15 of [a-z0-9_-], and a glob of up to 7 components "
			"with one {name}, not \"lxc /lxc/{name}\""},
		{TEXT("= 5s\n"), "f:1: unknown key \"\""},
		{TEXT("[loadcell]\n"), "f:1: the file has no sections, only key = value lines"},
		{TEXT("interval = 5s\n  [x]\n"),
			"f:2: the file has no sections, only key = value lines"},
		{TEXT("\xef\xbb\xbf[x]\n"),
			"f:1: the file has no sections, only key = value lines"},
		{TEXT("interval = 5s\ndata_dir = /a\0b\n"), "f:2: the line contains a NUL byte"},
		{TEXT("lxcpath = /a\nlxcpath = /a/\n"),
			"f:2: lxcpath must be an absolute path, each once, 64 at most, not "
			"\"/a/\""},
		{TEXT("listen = \x1b[2J\n"),
			"f:1: listen must be 127.0.0.1:PORT, [::1]:PORT, localhost:PORT or the "
			"path of a Unix socket, not \"?[2J\""},
		{TEXT("interval = 1m\nstale_after = 30s\n"),
			"f: stale_after is shorter than interval"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *c = NULL;
		struct error err = {0};

		assert_int_equal(config_parse(cases[i].text, cases[i].len, "f", &c, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
		assert_null(c);
	}
}

static void test_bad_values(void **state)
{
	static const char *const lines[] = {"interval = 999ms", "interval = 3601s", "interval = 0s",
		"interval = 1e3s", "interval = 10s 5s", "run_dir = run",
		"run_dir =", "run_dir = \"/run\"", "data_dir = ~/x", "cgroup_root = ./x",
		"proc_root = proc", "lxcpath = var/lib/lxc", "flush = 0s", "flush = 2h",
		"keep = 3651d", "keep = 1", "archive = forever", "archive = 11y", "destroyed = yes",
		"destroyed = drop", "destroyed =", "check =", "check = x", "check = x on",
		"check = x 1", "check = x 2 1", "check = X off", "check = x -1 2",
		"check = x 1 2 3", "check = x off\ncheck = x off",
		"pattern =", "pattern = /docker/{name}", "pattern = docker",
		"pattern = docker docker/{name}", "pattern = docker /docker/*",
		"pattern = docker /{name}/{name}", "pattern = docker /docker/{name",
		"pattern = Docker /docker/{name}", "pattern = lxc /docker/{name}",
		"pattern = abcdefghijklmnop /docker/{name}", "pattern = a /[/{name}",
		"pattern = a /[b-a]/{name}", "pattern = a /x[[:alpha:]]/{name}",
		"pattern = a /[a/b]/{name}", "pattern = a /1/2/3/4/5/6/7/{name}",
		"pattern = a /x/{name}\npattern = a /x/{name}", "data_max = 0 %",
		"data_max = 101 %", "data_max = 1023K", "data_max = 10", "ledger = 23h",
		"ledger = off", "events = 64M", "ledger = 11y", "recent = 1K", "recent = 5G",
		"disk_walk = 0s", "disk_walk = 500ms", "disk_walk = OFF", "disk_walk_share = 0 %",
		"disk_walk_share = 101 %", "disk_walk_share = 1", "stale_after = 0s",
		"stale_after = 25h", "stale_after = off", "reconcile = 0s", "reconcile = off",
		"instances_max = 0", "instances_max = 100001", "instances_max = -1",
		"instances_max = 5k", "agentx = master", "agentx = tcp:705", "agentx = tcp:host:0",
		"snmp_arc = 1", "snmp_arc = 3.1", "snmp_arc = 1.40", "snmp_arc = .1.3",
		"snmp_arc = 1.3.", "snmp_arc = 1..3", "snmp_arc = 1.3.4294967296",
		"snmp_arc = 1.3.x", "snmp_contexts = 100001", "snmp_contexts =", "listen = 9818",
		"listen = :9818", "listen = 127.0.0.1",
		"listen = 127.0.0.1:", "listen = 127.0.0.1:0", "listen = 127.0.0.1:65536",
		"listen = 127.0.0.1:http", "listen = ::1:9818", "listen = []:9818",
		"listen = 0.0.0.0:80", "listen = [::]:1", "listen = example.org:80"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct config *c = NULL;

		if (config_parse(lines[i], strlen(lines[i]), "f", &c, NULL) != -EINVAL)
			fail_msg("accepted: %s", lines[i]);
		assert_null(c);
	}
}

static void test_good_borders(void **state)
{
	static const char *const lines[] = {"interval = 1h", "interval = 1000ms", "flush = 1h",
		"keep = 3650d", "archive = 10y", "destroyed = keep", "check = pid-max off",
		"check = x 0 0", "check = x 5 0\ncheck = x 1 2",
		"pattern = abcdefghijklmno /docker/{name}", "pattern = a /1/2/3/4/5/6/{name}",
		"pattern = a /{name}", "pattern = a /[]x]/{name}", "pattern = a /[!]x]/{name}",
		"pattern = a /x/{name}\npattern = b /x/{name}", "data_max = 1M", "data_max = 100 %",
		"ledger = 10y", "events = 1d", "recent = 64K", "recent = 4G", "disk_walk = 1s",
		"disk_walk = 30d", "disk_walk_share = 100 %", "disk_walk_share = 0.0000001 %",
		"stale_after = 10s", "stale_after = 1d", "stale_after = auto", "instances_max = 1",
		"instances_max = 100000", "snmp_arc = 2.999.4294967295", "snmp_arc = 0.39",
		"listen = localhost:65535", "listen = [::1]:1", "listen = 127.0.0.2:80",
		"listen = /run/loadcell/web.sock"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(config_free) struct config *c = NULL;
		struct error err;

		if (config_parse(lines[i], strlen(lines[i]), "f", &c, &err))
			fail_msg("%s", err.text);
	}
}

/* run_dir/control.sock must fit sun_path: 108 bytes with its NUL. */
static void test_run_dir_leaves_room_for_the_socket(void **state)
{
	for (size_t path_len = 94; path_len <= 95; path_len++) {
		_cleanup_(config_free) struct config *c = NULL;
		char line[128] = "run_dir = /";

		memset(line + 11, 'r', path_len - 1);
		assert_int_equal(config_parse(line, strlen(line), "f", &c, NULL),
			path_len == 94 ? 0 : -EINVAL);
		if (!c)
			continue;
		assert_int_equal(strlen(c->run_dir), 94);
		assert_true(strlen(c->run_dir) + strlen("/control.sock") + 1 <= 108);
	}
}

/* inih's buffer is 200 bytes: a longer line must not be cut or taken for two. */
static void test_long_lines(void **state)
{
	char text[1024];

	for (size_t path_len = 100; path_len < 600; path_len++) {
		_cleanup_(config_free) struct config *c = NULL;
		struct error err = {0};
		size_t len = 11 + path_len;
		int r;

		memset(text, 'x', sizeof(text));
		memcpy(text, "data_dir = /", 12);
		text[len] = '\n';
		r = config_parse(text, len + 1, "f", &c, &err);
		if (len <= 198) {
			assert_int_equal(r, 0);
			assert_int_equal(strlen(c->data_dir), path_len);
		} else {
			assert_int_equal(r, -EMSGSIZE);
			assert_string_equal(err.text, "f:1: the line is longer than 198 bytes");
		}
	}
	/* a long comment harms nobody */
	{
		_cleanup_(config_free) struct config *c = NULL;

		memset(text, ' ', 500);
		text[500] = '#';
		memset(text + 501, '=', 500);
		memcpy(text + 1001, "\nflush = 5s\n", 12);
		assert_int_equal(config_parse(text, 1013, "f", &c, NULL), 0);
		assert_true(c->flush_ns == 5 * NSEC_PER_SEC);
	}
}

static void test_lxcpaths_are_limited(void **state)
{
	char text[4096];
	size_t len = 0;

	for (int i = 1; i <= CONFIG_LXCPATH_MAX + 1; i++) {
		_cleanup_(config_free) struct config *c = NULL;

		len += (size_t)snprintf(text + len, sizeof(text) - len, "lxcpath = /%d\n", i);
		assert_int_equal(config_parse(text, len, "f", &c, NULL), i <= 64 ? 0 : -EINVAL);
		if (c)
			assert_int_equal(c->lxcpaths, i);
	}
}

/* --- files --------------------------------------------------------------------------------- */

static void test_load(void **state)
{
	char path[] = "/tmp/loadcell-test-config.XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	static char big[70000];
	struct config *c = NULL;
	struct error err = {0}, missing = {0};
	_cleanup_free_ char *sentence = format_string("%s:2: unknown key \"x\"", path);
	int bad, too_big, gone;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, "flush = 5s\nx = 1\n", 17), 0);
	bad = config_load(path, &c, &err);
	memset(big, '#', sizeof(big));
	assert_int_equal(write_all(fd, big, sizeof(big)), 0);
	too_big = config_load(path, &c, NULL);
	unlink(path);
	gone = config_load(path, &c, &missing);
	assert_int_equal(bad, -EINVAL);
	assert_string_equal(err.text, sentence);
	assert_int_equal(too_big, -EFBIG);
	assert_int_equal(gone, -ENOENT);
	assert_non_null(strstr(missing.text, path));
	assert_non_null(strstr(missing.text, "No such file"));
	assert_int_equal(config_load("/tmp", &c, &err), -EISDIR);
	assert_null(c);
}

static void test_path(void **state)
{
	unsetenv("LOADCELL_CONFIG");
	assert_string_equal(config_path(NULL), "/etc/loadcell/loadcell.conf");
	setenv("LOADCELL_CONFIG", "", 1);
	assert_string_equal(config_path(NULL), "/etc/loadcell/loadcell.conf");
	setenv("LOADCELL_CONFIG", "/a", 1);
	assert_string_equal(config_path(NULL), "/a");
	assert_string_equal(config_path("/b"), "/b");
	unsetenv("LOADCELL_CONFIG");
}

static void test_helpers(void **state)
{
	_cleanup_(config_free) struct config *c = NULL;
	_cleanup_free_ char *run = NULL, *data = NULL;

	assert_int_equal(config_parse("", 0, "f", &c, NULL), 0);
	run = config_run_path(c, "snapshot");
	data = config_data_path(c, "rrd");
	assert_string_equal(run, "/run/loadcell/snapshot");
	assert_string_equal(data, "/var/lib/loadcell/rrd");
	assert_true(config_stale_after_ns(c, NSEC_PER_SEC) == 15 * NSEC_PER_SEC);
	assert_true(config_stale_after_ns(c, 10 * NSEC_PER_SEC) == 30 * NSEC_PER_SEC);
	assert_true(config_stale_after_ns(c, UINT64_MAX) == UINT64_MAX);
	c->stale_after_ns = 7;
	assert_true(config_stale_after_ns(c, NSEC_PER_SEC) == 7);
	config_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_parse_percent),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_shipped_file),
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_data_max_share),
		cmocka_unit_test(test_errors_name_file_and_line),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_good_borders),
		cmocka_unit_test(test_run_dir_leaves_room_for_the_socket),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_lxcpaths_are_limited),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_helpers),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
