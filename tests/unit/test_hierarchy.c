/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../../collector/hierarchy.h"

struct expected {
	const char *fixture;
	/* Directory below cgroup_root for each; NULL: not mounted. */
	const char *cpu, *cpuacct, *cpuset, *memory, *pids, *io, *unified, *systemd;
	int version;
};

static const struct expected layouts[] = {
	{"v1-6.18", "/cpu", "/cpuacct", "/cpuset", "/memory", "/pids", "/blkio", "/unified",
		"/systemd", 1},
	{"v1-debian12-6.1", "/cpu,cpuacct", "/cpu,cpuacct", "/cpuset", "/memory", "/pids", "/blkio",
		NULL, "/systemd", 1},
	{"hybrid-debian12-6.1", "/cpu,cpuacct", "/cpu,cpuacct", "/cpuset", "/memory", "/pids",
		"/blkio", "/unified", "/systemd", 1},
	{"v2-debian12-6.1", "", NULL, "", "", "", "", "", NULL, 2},
	{"v2-debian13-6.12", "", NULL, "", "", "", "", "", NULL, 2},
};

static void check(const struct hierarchies *h, enum controller c, const char *root,
	const char *directory, int version)
{
	const struct hierarchy *got = &h->controller[c];
	char path[4096];

	if (!directory) {
		assert_int_equal(got->version, 0);
		assert_null(got->mount);
		assert_int_equal(got->fd, -1);
		return;
	}
	snprintf(path, sizeof(path), "%s%s", root, directory);
	assert_int_equal(got->version, version);
	assert_string_equal(got->mount, path);
	assert_true(fcntl(got->fd, F_GETFD) >= 0);
}

static void fixtures(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct expected *e = &layouts[i];
		_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
		char root[2048], proc[2048];
		struct error err = {""};

		snprintf(root, sizeof(root), "%s/fixtures/%s/sys/fs/cgroup",
			getenv("LOADCELL_BUILD"), e->fixture);
		snprintf(proc, sizeof(proc), "%s/fixtures/%s/proc", getenv("LOADCELL_BUILD"),
			e->fixture);
		if (hierarchies_find(root, proc, &h, &err) < 0)
			fail_msg("%s: %s", e->fixture, err.text);
		check(h, CONTROLLER_CPU, root, e->cpu, e->version);
		check(h, CONTROLLER_CPUACCT, root, e->cpuacct, e->version);
		check(h, CONTROLLER_CPUSET, root, e->cpuset, e->version);
		check(h, CONTROLLER_MEMORY, root, e->memory, e->version);
		check(h, CONTROLLER_PIDS, root, e->pids, e->version);
		check(h, CONTROLLER_IO, root, e->io, e->version);
		check(h, CONTROLLER_UNIFIED, root, e->unified, 2);
		check(h, CONTROLLER_SYSTEMD, root, e->systemd, 1);
	}
}

/* Debian 13's hybrid: v1 without memory, whose empty directory proves nothing. */
static void without_memory(void **state)
{
	char dir[] = "/tmp/test_hierarchy.XXXXXX", path[512], proc[256], root[256];
	_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
	static const char mounts[] =
		"tmpfs /sys/fs/cgroup tmpfs ro 0 0\n"
		"cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n"
		"cgroup /sys/fs/cgroup/with\\040blank cgroup rw,cpu,cpuacct 0 0\n"
		"cgroup /sys/fs/cgroup/hidden cgroup rw,pids 0 0\n";
	struct error err = {""};
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(root, sizeof(root), "%s/cgroup", dir);
	snprintf(proc, sizeof(proc), "%s/proc", dir);
	snprintf(path, sizeof(path), "%s/memory", root);
	assert_int_equal(make_directories(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/with blank", root);
	assert_int_equal(make_directories(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/unified", root);
	assert_int_equal(make_directories(path, 0755), 0);
	assert_int_equal(make_directories(proc, 0755), 0);
	snprintf(path, sizeof(path), "%s/mounts", proc);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(mounts, f);
	fclose(f);

	assert_int_equal(hierarchies_find(root, proc, &h, &err), 0);
	check(h, CONTROLLER_MEMORY, root, NULL, 0);
	check(h, CONTROLLER_CPU, root, "/with blank", 1);
	check(h, CONTROLLER_UNIFIED, root, "/unified", 2);
	/* In the table, but its directory is not to be seen. */
	check(h, CONTROLLER_PIDS, root, NULL, 0);

	snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

static void nothing_mounted(void **state)
{
	_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
	struct error err = {""};

	assert_int_equal(hierarchies_find("/nonexistent", "/nonexistent", &h, &err), -ENOENT);
	assert_string_equal(err.text, "cannot read /nonexistent/mounts: No such file or directory");
	assert_null(h);
}

/* What libcgroup says about this machine, against the mount table read by other means. */
static void this_machine(void **state)
{
	_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
	struct error err = {""};

	if (system("grep -q '^[^ ]* /sys/fs/cgroup.* cgroup2\\? ' /proc/mounts"))
		skip();
	assert_int_equal(hierarchies_find("/sys/fs/cgroup", "/proc", &h, &err), 0);
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_UNIFIED; c++) {
		const struct hierarchy *got = &h->controller[c];
		char command[4352];

		if (got->version == 1)
			snprintf(command, sizeof(command),
				"grep -Eq '^[^ ]+ %s cgroup [^ ]*\\b%s\\b' /proc/mounts",
				got->mount, controller_name(c, 1));
		else if (got->version == 2)
			snprintf(command, sizeof(command), "grep -qw %s %s/cgroup.controllers",
				controller_name(c, 2), got->mount);
		else
			snprintf(command, sizeof(command),
				"! grep -Eq '^[^ ]+ [^ ]+ cgroup [^ ]*\\b%s\\b' /proc/mounts",
				controller_name(c, 1));
		assert_int_equal(system(command), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixtures),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(nothing_mounted),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
