/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../../collector/discovery-internal.h"

/* --- patterns --------------------------------------------------------------------------------- */

struct pattern_case {
	const char *path;
	enum match_result result;
	const char *kind, *name, *cgroup, *limit;
};

static const struct pattern_case pattern_cases[] = {
	{"/", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/lxc.payload.web01", MATCH_INSTANCE, "lxc", "web01", "/lxc.payload.web01", NULL},
	{"/lxc.payload.web01-1", MATCH_INSTANCE, "lxc", "web01-1", "/lxc.payload.web01-1", NULL},
	{"/lxc.payload.web01/init.scope", MATCH_INSTANCE, "lxc", "web01", "/lxc.payload.web01",
		NULL},
	{"/lxc.payload.job queue", MATCH_INSTANCE, "lxc", "job queue", "/lxc.payload.job queue",
		NULL},
	{"/lxc.payload.a.b.c/x/lxc.payload.d", MATCH_INSTANCE, "lxc", "a.b.c", "/lxc.payload.a.b.c",
		NULL},
	{"/lxc.payload/old", MATCH_INSTANCE, "lxc", "old", "/lxc.payload/old", NULL},
	{"/lxc.payload", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/lxc.payload.", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/lxc/older", MATCH_INSTANCE, "lxc", "older", "/lxc/older", NULL},
	{"/lxc/older/nested/ns", MATCH_INSTANCE, "lxc", "older", "/lxc/older", NULL},
	{"/lxc", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/lxc/101/ns", MATCH_INSTANCE, "lxc", "101", "/lxc/101/ns", "/lxc/101"},
	{"/lxc/101/ns/system.slice", MATCH_INSTANCE, "lxc", "101", "/lxc/101/ns", "/lxc/101"},
	{"/lxc/lxc.payload.c1", MATCH_INSTANCE, "lxc", "c1", "/lxc/lxc.payload.c1", NULL},
	{"/lxc/lxc.monitor.c1", MATCH_IGNORED, NULL, NULL, NULL, NULL},
	{"/lxc.monitor.web01", MATCH_IGNORED, NULL, NULL, NULL, NULL},
	{"/lxc.monitor/101", MATCH_IGNORED, NULL, NULL, NULL, NULL},
	{"/lxc.monitor/lxc.payload.x", MATCH_IGNORED, NULL, NULL, NULL, NULL},
	{"/lxc.pivot", MATCH_IGNORED, NULL, NULL, NULL, NULL},
	{"/system.slice/user01.service/lxc.payload.user01", MATCH_INSTANCE, "lxc", "user01",
		"/system.slice/user01.service/lxc.payload.user01", NULL},
	{"/machine.slice/machine-qemu\\x2d12\\x2dinstance\\x2d0000002a.scope/libvirt/emulator",
		MATCH_INSTANCE, "qemu", "instance-0000002a",
		"/machine.slice/machine-qemu\\x2d12\\x2dinstance\\x2d0000002a.scope", NULL},
	{"/machine.slice/machine-a.slice/machine-qemu\\x2d1\\x2db\\x2fc\\xzz.scope", MATCH_INSTANCE,
		"qemu", "b/c\\xzz",
		"/machine.slice/machine-a.slice/machine-qemu\\x2d1\\x2db\\x2fc\\xzz.scope", NULL},
	{"/machine.slice/machine-qemu\\x2dx\\x2dname.scope", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/machine.slice/machine-qemu\\x2d1\\x2d.scope", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/qemu.slice/100.scope", MATCH_INSTANCE, "qemu", "100", "/qemu.slice/100.scope", NULL},
	{"/qemu.slice", MATCH_NONE, NULL, NULL, NULL, NULL},
	{"/system.slice/lxc.service", MATCH_NONE, NULL, NULL, NULL, NULL},
};

static void pattern_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pattern_cases); i++) {
		const struct pattern_case *c = &pattern_cases[i];
		char cgroup[256], limit[256];
		struct match m;

		if (pattern_match(NULL, c->path, &m) != c->result)
			fail_msg("%s: wrong result", c->path);
		if (c->result != MATCH_INSTANCE)
			continue;
		snprintf(cgroup, sizeof(cgroup), "%.*s", (int)m.end, c->path);
		snprintf(limit, sizeof(limit), "%.*s", (int)m.limit_end, c->path);
		assert_string_equal(m.pattern->kind, c->kind);
		assert_string_equal(m.name, c->name);
		assert_string_equal(cgroup, c->cgroup);
		assert_string_equal(limit, c->limit ? c->limit : "");
	}
}

/* --- configured patterns ---------------------------------------------------------------------- */

struct glob_case {
	const char *glob, *path, *name, *cgroup; /* name NULL: no match */
};

static const struct glob_case glob_cases[] = {
	{"/docker/{name}", "/docker/4f5a", "4f5a", "/docker/4f5a"},
	{"/docker/{name}", "/docker/4f5a/init/x", "4f5a", "/docker/4f5a"},
	{"/docker/{name}", "/docker", NULL, NULL},
	{"/docker/{name}", "/docker/", NULL, NULL},
	{"/docker/{name}", "/a/docker/4f5a", NULL, NULL},
	{"/docker/{name}", "/dockers/4f5a", NULL, NULL},
	{"/apps.slice/{name}.service", "/apps.slice/web.service", "web", "/apps.slice/web.service"},
	{"/apps.slice/{name}.service", "/apps.slice/.service", NULL, NULL},
	{"/apps.slice/{name}.service", "/apps.slice/web.serviced", NULL, NULL},
	{"/apps.slice/{name}.service", "/appsxslice/web.service", NULL, NULL},
	{"/apps.slice/{name}.service", "/apps.slice/a\\x2db\\x20c.service", "a-b c",
		"/apps.slice/a\\x2db\\x20c.service"},
	/* Not what systemd writes: left as it is. */
	{"/x/{name}", "/x/a\\x2", "a\\x2", "/x/a\\x2"},
	{"/x/{name}", "/x/a\\x00b", "a\\x00b", "/x/a\\x00b"},
	/* A backslash is one, and what means something to regcomp(3) does not. */
	{"/a\\x2db/{name}", "/a\\x2db/n", "n", "/a\\x2db/n"},
	{"/(a|b)+$^.{2}/{name}", "/(a|b)+$^.{2}/n", "n", "/(a|b)+$^.{2}/n"},
	{"/(a|b)/{name}", "/a/n", NULL, NULL},
	{"/*/{name}", "/any/n", "n", "/any/n"},
	{"/*/{name}", "/any", NULL, NULL},
	{"/a*/{name}", "/a/n", "n", "/a/n"},
	{"/?/{name}", "/a/n", "n", "/a/n"},
	{"/?/{name}", "/ab/n", NULL, NULL},
	{"/[a-c]x/{name}", "/bx/n", "n", "/bx/n"},
	{"/[a-c]x/{name}", "/dx/n", NULL, NULL},
	{"/[!a-c]x/{name}", "/dx/n", "n", "/dx/n"},
	{"/[!a-c]x/{name}", "/ax/n", NULL, NULL},
	{"/[*]x/{name}", "/*x/n", "n", "/*x/n"},
	{"/[*]x/{name}", "/ax/n", NULL, NULL},
	/* No bracket reaches over a slash. */
	{"/a[!b]{name}", "/a/c", NULL, NULL},
	{"/a[.-0]{name}", "/a/c", NULL, NULL},
	/* As long as it can be. */
	{"/x/{name}-*", "/x/a-b-c", "a-b", "/x/a-b-c"},
	{"/x/*-{name}", "/x/a-b-c", "c", "/x/a-b-c"},
	{"/x/vm-{name}", "/x/vm-\xc3\xbc", "\xc3\xbc", "/x/vm-\xc3\xbc"},
	{"/x/vm-{name}", "/x/vm-\xff", "\xff", "/x/vm-\xff"},
};

static struct patterns *patterns_of(struct config *c, const char *const *lines, size_t n)
{
	struct patterns *p;

	*c = (struct config){.patterns = n};
	for (size_t i = 0; i < n; i++)
		c->pattern[i] = (char *)(uintptr_t)lines[i];
	p = patterns_new(c);
	assert_non_null(p);
	return p;
}

static void configured_patterns(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(glob_cases); i++) {
		const struct glob_case *g = &glob_cases[i];
		_cleanup_free_ char *line = format_string("app %s", g->glob);
		struct config c;
		struct patterns *p = patterns_of(&c, (const char *const[]){line}, 1);
		enum match_result r;
		struct match m;

		r = pattern_match(p, g->path, &m);
		if (r != (g->name ? MATCH_INSTANCE : MATCH_NONE))
			fail_msg("%s and %s: wrong result", g->glob, g->path);
		if (g->name) {
			assert_string_equal(m.pattern->kind, "app");
			assert_string_equal(m.name, g->name);
			assert_int_equal(m.end, strlen(g->cgroup));
			assert_memory_equal(g->path, g->cgroup, m.end);
			assert_int_equal(m.limit_end, 0);
		}
		patterns_free(p);
	}
}

static void check_match(
	const struct patterns *p, const char *path, const char *kind, const char *name, size_t end)
{
	struct match m;

	assert_int_equal(pattern_match(p, path, &m), kind ? MATCH_INSTANCE : MATCH_IGNORED);
	if (!kind)
		return;
	assert_string_equal(m.pattern->kind, kind);
	assert_string_equal(m.name, name);
	assert_int_equal(m.end, end);
}

/* Of several that match the outermost one counts, then the first; LXC's own are nobody else's. */
static void patterns_beside_others(void **state)
{
	static const char *const lines[] = {"deep /a/b/{name}", "wide /a/{name}", "late /a/{name}",
		"thief /lxc.payload.{name}", "moni /lxc.monitor.{name}", "outer /lxc/{name}",
		"inner /*/*/{name}", "vm /qemu.slice/{name}.scope"};
	struct config c;
	struct patterns *p = patterns_of(&c, lines, ARRAY_SIZE(lines));

	check_match(p, "/a/b/c", "wide", "b", 4);
	check_match(p, "/lxc.payload.web", "lxc", "web", 16);
	check_match(p, "/lxc.payload.web/a/b", "lxc", "web", 16);
	check_match(p, "/lxc.payload.web/docker/x", "lxc", "web", 16);
	check_match(p, "/lxc.monitor.web", NULL, NULL, 0);
	check_match(p, "/lxc/101/ns", "lxc", "101", 11);
	check_match(p, "/qemu.slice/100.scope", "qemu", "100", 21);
	/* What is below a match is part of it, an LXC instance too. */
	check_match(p, "/x/y/z/lxc.payload.web", "inner", "z", 6);
	check_match(p, "/x/y/lxc.payload.web", "lxc", "web", 20);
	patterns_free(p);
}

/* --- socket names ----------------------------------------------------------------------------- */

static void hashed_names(void **state)
{
	uint64_t hash = 0;

	/* FNV-1a's published test vector for "foobar", cut where a '/' could not be. */
	assert_true(fnv64(fnv64(FNV64_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
	/* By an implementation in another language; tests/live/discovery.sh asks LXC itself. */
	assert_true(socket_hash("/var/lib/lxc", "web01") == UINT64_C(0xf1779fca2e26bc0f));
	assert_true(socket_is_hashed("lxc/f1779fca2e26bc0f/command", &hash));
	assert_true(hash == UINT64_C(0xf1779fca2e26bc0f));
	assert_false(socket_is_hashed("lxc/f1779fca2e26bc0/command", &hash));
	assert_false(socket_is_hashed("lxc/f1779fca2e26bc0f0/command", &hash));
	assert_false(socket_is_hashed("lxc/F1779FCA2E26BC0F/command", &hash));
	assert_false(socket_is_hashed("/var/lib/lxc/web01/command", &hash));
}

/* --- a collector that only listens ------------------------------------------------------------ */

struct world {
	char dir[64], lxcpath[96], proc[96], cgroup[96];
	struct config config;
	struct hierarchies *h;
	struct index *index;
	struct discovery *d;
	struct identity *seen[64]; /* running, by order of appearance */
	size_t seen_n;
	unsigned int appeared, disappeared, described;
	char *asked[64];
	size_t asked_n;
};

static struct identity *find(struct world *w, const char *name)
{
	for (size_t i = 0; i < w->seen_n; i++) {
		if (strcmp(w->seen[i]->name, name) == 0)
			return w->seen[i];
	}
	return NULL;
}

/* The same for one that must be there. */
static const struct identity *get(struct world *w, const char *name)
{
	static const struct identity nobody;
	const struct identity *id = find(w, name);

	if (!id)
		fail_msg("%s is not found", name);
	return id ? id : &nobody;
}

static void on_appeared(void *data, const struct identity *id)
{
	struct world *w = data;

	w->appeared++;
	assert_true(w->seen_n < ARRAY_SIZE(w->seen));
	assert_false(index_dirty(w->index)); /* saved before it is told */
	w->seen[w->seen_n++] = identity_copy(id);
}

static void on_described(void *data, const struct identity *id)
{
	struct world *w = data;
	struct identity *old = find(w, id->name);

	w->described++;
	assert_non_null(old);
	for (size_t i = 0; i < w->seen_n; i++) {
		if (w->seen[i] == old)
			w->seen[i] = identity_copy(id);
	}
	identity_free(old);
}

static void on_disappeared(void *data, uint32_t index, uint64_t run)
{
	struct world *w = data;

	w->disappeared++;
	for (size_t i = 0; i < w->seen_n; i++) {
		if (w->seen[i]->index != index || w->seen[i]->run != run)
			continue;
		identity_free(w->seen[i]);
		w->seen[i] = w->seen[--w->seen_n];
		return;
	}
	fail_msg("an end without a beginning: %u", index);
}

static int on_ask(void *data, const char *json)
{
	struct world *w = data;

	if (w->asked_n < ARRAY_SIZE(w->asked))
		w->asked[w->asked_n++] = strdup(json);
	return 0;
}

static const struct discovery_ops ops = {on_appeared, on_described, on_disappeared, on_ask};

static void open_world(struct world *w)
{
	char path[256];
	struct error err;

	strcpy(w->dir, "/tmp/test_discovery.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->lxcpath, sizeof(w->lxcpath), "%s/lxc", w->dir);
	assert_int_equal(mkdir(w->lxcpath, 0755), 0);
	snprintf(path, sizeof(path), "%s/index", w->dir);
	assert_int_equal(index_load(path, &w->index, &err), 0);
	w->config = (struct config){.cgroup_root = w->cgroup,
		.proc_root = w->proc,
		.lxcpath = {w->lxcpath},
		.lxcpaths = 1,
		.reconcile_ns = 3600 * NSEC_PER_SEC,
		.instances_max = 5000};
}

static void start_world(struct world *w)
{
	struct error err = {""};

	if (hierarchies_find(w->cgroup, w->proc, &w->h, &err) < 0 ||
		discovery_new(&w->config, w->h, w->index, &ops, w, &w->d, &err) < 0)
		fail_msg("%s", err.text);
	discovery_tick(w->d, now_ns(CLOCK_MONOTONIC));
}

static void close_world(struct world *w)
{
	char command[128];

	discovery_free(w->d);
	index_free(w->index);
	hierarchies_free(w->h);
	for (size_t i = 0; i < w->seen_n; i++)
		identity_free(w->seen[i]);
	for (size_t i = 0; i < w->asked_n; i++)
		free(w->asked[i]);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	assert_int_equal(system(command), 0);
}

/* --- the trees of real kernels ---------------------------------------------------------------- */

struct instance {
	const char *name, *cgroup, *limit;
	pid_t init;
	bool in_lxcpath;
};

struct fixture {
	const char *name;
	bool unified; /* has a cgroup2 mount */
	bool v1;
	struct instance instances[10];
};

#define PLAIN(n, pid, known)                                                                       \
	{                                                                                          \
		n, "/lxc.payload." n, NULL, pid, known                                             \
	}

static const struct fixture fixtures[] = {
	{"v1-6.18", true, true,
		{PLAIN("web01", 9181, true), PLAIN("cache01", 9195, true),
			{"101", "/lxc/101/ns", "/lxc/101", 9209, true},
			PLAIN("job queue", 9223, true)}},
	{"v1-debian12-6.1", false, true,
		{PLAIN("web01", 207, true), PLAIN("cache01", 226, true),
			{"101", "/lxc/101/ns", "/lxc/101", 241, true},
			PLAIN("job queue", 256, true)}},
	{"hybrid-debian12-6.1", true, true,
		{PLAIN("web01", 210, true), PLAIN("cache01", 229, true),
			{"101", "/lxc/101/ns", "/lxc/101", 244, true},
			PLAIN("job queue", 259, true)}},
	{"v2-debian12-6.1", true, false,
		{PLAIN("web01", 166, true), PLAIN("cache01", 185, true),
			{"101", "/lxc/101/ns", "/lxc/101", 200, true},
			PLAIN("job queue", 215, true)}},
	{"v2-debian13-6.12", true, false,
		{PLAIN("web01", 281, true), PLAIN("cache01", 301, true),
			{"101", "/lxc/101/ns", "/lxc/101", 317, true},
			PLAIN("job queue", 333, true), PLAIN("unpriv01", 352, true),
			PLAIN("exec01", 370, false),
			{"user01", "/system.slice/user01.service/lxc.payload.user01", NULL, 396,
				false},
			PLAIN("incus01", 560, false), PLAIN("p1_app", 620, false)}},
};

static void check_cgroup(const char *got, bool there, const char *expected)
{
	if (there && expected)
		assert_string_equal(got, expected);
	else
		assert_null(got);
}

static void check_instance(struct world *w, const struct fixture *f, const struct instance *i)
{
	const struct identity *id = get(w, i->name);

	assert_string_equal(id->kind, "lxc");
	assert_string_equal(id->handle, i->name);
	assert_string_equal(id->lxcpath, i->in_lxcpath ? w->lxcpath : "");
	assert_int_equal(id->init, i->init);
	assert_int_equal(id->starts, 1);
	assert_true(id->run != 0);
	assert_false(id->network_shared);
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		bool there = c == CONTROLLER_UNIFIED                              ? f->unified
			     : c == CONTROLLER_SYSTEMD || c == CONTROLLER_CPUACCT ? f->v1
										  : true;

		check_cgroup(id->cgroup[c], there, i->cgroup);
		check_cgroup(id->limit_cgroup[c], there, i->limit);
	}
}

static void real_trees(void **state)
{
	for (size_t f = 0; f < ARRAY_SIZE(fixtures); f++) {
		struct world w = {0};
		char path[256];
		size_t n = 0;
		const char *build = getenv("LOADCELL_BUILD");

		open_world(&w);
		w.config.cgroup_root =
			format_string("%s/fixtures/%s/sys/fs/cgroup", build, fixtures[f].name);
		w.config.proc_root = format_string("%s/fixtures/%s/proc", build, fixtures[f].name);
		for (const struct instance *i = fixtures[f].instances; i->name; i++, n++) {
			snprintf(path, sizeof(path), "%s/%s", w.lxcpath, i->name);
			if (i->in_lxcpath)
				assert_int_equal(mkdir(path, 0755), 0);
		}
		assert_int_equal(
			hierarchies_find(w.config.cgroup_root, w.config.proc_root, &w.h, NULL), 0);
		assert_int_equal(discovery_new(&w.config, w.h, w.index, &ops, &w, &w.d, NULL), 0);
		discovery_tick(w.d, now_ns(CLOCK_MONOTONIC));
		/* Neither inner.slice nor a monitor nor lxc.pivot is one more. */
		assert_int_equal(w.appeared, n);
		for (const struct instance *i = fixtures[f].instances; i->name; i++)
			check_instance(&w, &fixtures[f], i);
		if (strcmp(fixtures[f].name, "v2-debian12-6.1") == 0) {
			/* btime 1795406804, starttime 462 ticks of 10 ms */
			assert_true(
				get(&w, "web01")->start_time_ns == UINT64_C(1795406808620000000));
			assert_int_equal(get(&w, "web01")->init_starttime_ticks, 462);
		}
		free(w.config.cgroup_root);
		free(w.config.proc_root);
		close_world(&w);
	}
}

/* --- a tree made by hand: cgroup v2 in a plain directory -------------------------------------- */

static void put(const char *directory, const char *name, const char *text)
{
	char path[2048];
	FILE *f;

	assert_int_equal(make_directories(directory, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Writes /proc/PID: status, stat, cgroup, and a descriptor of a socket with that inode. */
static void put_process(struct world *w, int pid, int ppid, int inner, unsigned int uid,
	unsigned int ticks, const char *cgroup, int socket_inode)
{
	char dir[256], text[512];

	snprintf(dir, sizeof(dir), "%s/%d", w->proc, pid);
	snprintf(text, sizeof(text),
		"Name:\tinit\nPid:\t%d\nPPid:\t%d\nUid:\t%u\t%u\t%u\t%u\nNSpid:\t%d%s\n", pid, ppid,
		uid, uid, uid, uid, pid, inner ? "\t1" : "");
	put(dir, "status", text);
	snprintf(text, sizeof(text),
		"%d (init) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 0 0 18446744073709551615\n",
		pid, ppid, ticks);
	put(dir, "stat", text);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	put(dir, "cgroup", text);
	snprintf(dir, sizeof(dir), "%s/%d/fd", w->proc, pid);
	assert_int_equal(make_directories(dir, 0755), 0);
	snprintf(dir, sizeof(dir), "%s/%d/fd/5", w->proc, pid);
	snprintf(text, sizeof(text), "socket:[%d]", socket_inode);
	unlink(dir);
	if (socket_inode)
		assert_int_equal(symlink(text, dir), 0);
}

static void put_cgroup(struct world *w, const char *path, const char *pids)
{
	char dir[1024];

	snprintf(dir, sizeof(dir), "%s%s", w->cgroup, path);
	put(dir, "cgroup.procs", pids);
}

static void remove_cgroup(struct world *w, const char *path)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -r '%s%s'", w->cgroup, path);
	assert_int_equal(system(command), 0);
}

static int open_cgroup(struct world *w, const char *path)
{
	char full[512];
	int fd;

	snprintf(full, sizeof(full), "%s%s", w->cgroup, path);
	fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int system_in(struct world *w, const char *format, ...) _printf_(2, 3);
static int system_in(struct world *w, const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	return system(command);
}

static void put_sockets(struct world *w, const char *lines)
{
	char dir[256], text[4096];

	snprintf(dir, sizeof(dir), "%s/net", w->proc);
	snprintf(text, sizeof(text), "Num       RefCount Protocol Flags    Type St Inode Path\n%s",
		lines);
	put(dir, "unix", text);
}

#define LISTENER(inode, name) "0: 00000002 00000000 00010000 0001 01 " inode " @" name "\n"

static void make_world(struct world *w)
{
	char dir[256];

	open_world(w);
	snprintf(w->cgroup, sizeof(w->cgroup), "%s/cgroup", w->dir);
	snprintf(w->proc, sizeof(w->proc), "%s/proc", w->dir);
	put(w->cgroup, "cgroup.controllers", "cpu memory pids\n");
	put(w->proc, "mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
	put(w->proc, "stat", "cpu  0 0 0 0\nbtime 1700000000\n");
	snprintf(dir, sizeof(dir), "%s/sys/kernel/random", w->proc);
	put(dir, "boot_id", "11111111-2222-3333-4444-555555555555\n");
	put_sockets(w, "");
}

/* Lets events and retries happen until the count is reached, for at most 5 s. */
static void run_until(struct world *w, const unsigned int *count, unsigned int value)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + 5 * NSEC_PER_SEC;

	while (*count < value && now_ns(CLOCK_MONOTONIC) < end) {
		struct pollfd fd = {.fd = discovery_fd(w->d), .events = POLLIN};

		if (poll(&fd, 1, 1000) > 0)
			discovery_readable(w->d);
	}
	assert_int_equal(*count, value);
}

static void run_for(struct world *w, unsigned int ms)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + ms * NSEC_PER_MSEC;

	while (now_ns(CLOCK_MONOTONIC) < end) {
		struct pollfd fd = {.fd = discovery_fd(w->d), .events = POLLIN};

		if (poll(&fd, 1, 20) > 0)
			discovery_readable(w->d);
	}
}

static void reconcile(struct world *w)
{
	discovery_reconcile_soon(w->d);
	discovery_tick(w->d, now_ns(CLOCK_MONOTONIC));
}

/* Cgroup first, init later, an attached process before it; then stop, and start again. */
static void comes_and_goes(void **state)
{
	struct world w = {0};
	uint64_t first;
	uint32_t index;

	make_world(&w);
	put_process(&w, 90, 1, 0, 0, 50, "/lxc.monitor.web", 700);
	put_sockets(&w, LISTENER("700", "/srv/lxc/web/command"));
	start_world(&w);
	assert_int_equal(w.appeared, 0);

	put_cgroup(&w, "/lxc.payload.web", "");
	run_for(&w, 100);
	put_process(&w, 80, 1, 0, 0, 60, "/lxc.payload.web", 0);
	put_process(&w, 100, 90, 1, 0, 100, "/lxc.payload.web/init.scope", 0);
	put_process(&w, 101, 100, 0, 0, 101, "/lxc.payload.web", 0);
	/* A sandbox of the container's own: pid 1 of a namespace, but not init. */
	put_process(&w, 70, 101, 1, 0, 102, "/lxc.payload.web", 0);
	put_cgroup(&w, "/lxc.payload.web", "80\n70\n101\n");
	run_until(&w, &w.appeared, 1);
	assert_string_equal(w.seen[0]->name, "web");
	assert_string_equal(w.seen[0]->lxcpath, "/srv/lxc");
	assert_string_equal(w.seen[0]->cgroup[CONTROLLER_MEMORY], "/lxc.payload.web");
	assert_int_equal(w.seen[0]->init, 100);
	first = w.seen[0]->run;
	index = w.seen[0]->index;

	/* Nothing below it is an instance. */
	put_cgroup(&w, "/lxc.payload.web/lxc.payload.inner", "100\n");
	reconcile(&w);
	assert_int_equal(w.appeared, 1);
	assert_int_equal(w.disappeared, 0);

	/* A reboot inside: another init in the same cgroup, and the same pid. */
	put_process(&w, 100, 90, 1, 0, 500, "/lxc.payload.web", 0);
	reconcile(&w);
	run_until(&w, &w.appeared, 2);
	assert_int_equal(w.disappeared, 1);
	assert_int_equal(w.seen_n, 1);
	assert_int_equal(w.seen[0]->index, index);
	assert_int_equal(w.seen[0]->starts, 2);
	assert_true(w.seen[0]->run != first);

	remove_cgroup(&w, "/lxc.payload.web");
	run_until(&w, &w.disappeared, 2);
	assert_int_equal(w.seen_n, 0);
	close_world(&w);
}

/* Names without a monitor: a directory that root made, the index, else the cgroup's name. */
static void without_monitor(void **state)
{
	struct world w = {0};
	char path[256];

	make_world(&w);
	snprintf(path, sizeof(path), "%s/web", w.lxcpath);
	assert_int_equal(mkdir(path, 0755), 0);
	put_process(&w, 100, 1, 1, 0, 100, "/lxc.payload.web-3", 0);
	put_cgroup(&w, "/lxc.payload.web-3", "100\n");
	put_process(&w, 110, 1, 1, 0, 110, "/lxc.payload.other-4", 0);
	put_cgroup(&w, "/lxc.payload.other-4", "110\n");
	put_process(&w, 120, 1, 0, 0, 120, "/qemu.slice/205.scope", 0);
	put_cgroup(&w, "/qemu.slice/205.scope", "120\n");
	/* libvirt: QEMU's threads lie below the scope, and swtpm may be older. */
	put_process(&w, 141, 1, 0, 0, 141,
		"/machine.slice/machine-qemu\\x2d3\\x2dinstance\\x2d0000002a.scope/libvirt/"
		"emulator",
		0);
	put_cgroup(&w,
		"/machine.slice/machine-qemu\\x2d3\\x2dinstance\\x2d0000002a.scope/libvirt/"
		"emulator",
		"141\n");
	put_process(&w, 140, 1, 0, 0, 140,
		"/machine.slice/machine-qemu\\x2d3\\x2dinstance\\x2d0000002a.scope", 0);
	put_cgroup(
		&w, "/machine.slice/machine-qemu\\x2d3\\x2dinstance\\x2d0000002a.scope", "140\n");
	/* Attached to an instance whose init is gone: no instance. */
	put_process(&w, 130, 1, 0, 0, 130, "/lxc.payload.gone", 0);
	put_cgroup(&w, "/lxc.payload.gone", "130\n");
	start_world(&w);
	assert_int_equal(w.appeared, 4);
	assert_int_equal(get(&w, "instance-0000002a")->init, 140);
	assert_string_equal(get(&w, "instance-0000002a")->cgroup[CONTROLLER_MEMORY],
		"/machine.slice/machine-qemu\\x2d3\\x2dinstance\\x2d0000002a.scope");
	assert_string_equal(get(&w, "web")->lxcpath, w.lxcpath);
	assert_string_equal(get(&w, "other-4")->lxcpath, "");
	assert_string_equal(get(&w, "205")->kind, "qemu");
	close_world(&w);
}

static uint64_t untrusted(const struct world *w)
{
	struct discovery_status status;

	discovery_status(w->d, &status);
	return status.untrusted;
}

static void put_line(struct world *w, const char *line)
{
	w->config.pattern[w->config.patterns++] = (char *)(uintptr_t)line;
}

/* Another kind: no monitor, no pid 1; its run is the life of its cgroup. */
static void another_kind(void **state)
{
	struct world w = {0};
	uint64_t run;
	int number;

	make_world(&w);
	put_line(&w, "app /apps.slice/{name}.service");
	/* The oldest process stands for it, also when it is not the first one or lies deeper. */
	put_process(&w, 300, 1, 0, 0, 300, "/apps.slice/a\\x2db.service", 0);
	put_process(&w, 200, 1, 0, 0, 200, "/apps.slice/a\\x2db.service/deeper", 0);
	put_process(&w, 201, 1, 0, 0, 200, "/apps.slice/a\\x2db.service", 0);
	put_cgroup(&w, "/apps.slice/a\\x2db.service/deeper", "200\n");
	put_cgroup(&w, "/apps.slice/a\\x2db.service", "300\n201\n");
	/* It may hold what looks like an LXC instance: part of it. */
	put_process(&w, 310, 300, 1, 0, 310, "/apps.slice/a\\x2db.service/lxc.payload.in", 0);
	put_cgroup(&w, "/apps.slice/a\\x2db.service/lxc.payload.in", "310\n");
	/* And an LXC instance what looks like one of them. */
	put_process(&w, 100, 1, 1, 0, 100, "/lxc.payload.web", 0);
	put_cgroup(&w, "/lxc.payload.web", "100\n");
	put_process(&w, 101, 100, 0, 0, 101, "/lxc.payload.web/apps.slice/x.service", 0);
	put_cgroup(&w, "/lxc.payload.web/apps.slice/x.service", "101\n");
	start_world(&w);
	assert_int_equal(w.appeared, 2);
	assert_string_equal(get(&w, "a-b")->kind, "app");
	assert_string_equal(get(&w, "a-b")->lxcpath, "");
	assert_string_equal(
		get(&w, "a-b")->cgroup[CONTROLLER_MEMORY], "/apps.slice/a\\x2db.service");
	assert_int_equal(get(&w, "a-b")->init, 200);
	/* btime 1700000000, 200 ticks of 10 ms */
	assert_true(get(&w, "a-b")->start_time_ns == UINT64_C(1700000002000000000));
	run = get(&w, "a-b")->run;

	/* That process ends, the next one stands for the same run. */
	assert_int_equal(system_in(&w, "rm -r '%s/200'", w.proc), 0);
	put_cgroup(&w, "/apps.slice/a\\x2db.service/deeper", "");
	reconcile(&w);
	assert_int_equal(w.disappeared, 0);
	assert_int_equal(w.described, 1);
	assert_int_equal(get(&w, "a-b")->init, 201);
	assert_true(get(&w, "a-b")->run == run);
	/* None is left: the cgroup and its counters are there all the same. */
	put_cgroup(&w, "/apps.slice/a\\x2db.service", "");
	put_cgroup(&w, "/apps.slice/a\\x2db.service/lxc.payload.in", "");
	assert_int_equal(system_in(&w, "cd '%s' && rm -r 201 300 310", w.proc), 0);
	reconcile(&w);
	assert_int_equal(w.disappeared, 0);
	put_process(&w, 400, 1, 0, 0, 400, "/apps.slice/a\\x2db.service", 0);
	put_cgroup(&w, "/apps.slice/a\\x2db.service", "400\n");
	reconcile(&w);
	assert_int_equal(get(&w, "a-b")->init, 400);
	assert_true(get(&w, "a-b")->run == run);
	assert_int_equal(w.appeared, 2);

	/* A file system gives the inode's number to one of the next directories, the kernel's
	 * cgroups do not: as long as it is open nobody else gets it. */
	number = open_cgroup(&w, "/apps.slice/a\\x2db.service");
	remove_cgroup(&w, "/apps.slice/a\\x2db.service");
	run_until(&w, &w.disappeared, 1);
	/* By inotify; a new cgroup is a new run of the same instance. */
	put_process(&w, 500, 1, 0, 0, 500, "/apps.slice/a\\x2db.service", 0);
	put_cgroup(&w, "/apps.slice/a\\x2db.service", "500\n");
	run_until(&w, &w.appeared, 3);
	assert_int_equal(get(&w, "a-b")->starts, 2);
	assert_true(get(&w, "a-b")->run != run);
	assert_int_equal(untrusted(&w), 0);
	close(number);
	close_world(&w);
}

/* One name of two kinds is two instances; SIGHUP brings patterns and takes them. */
static void kinds_come_and_go(void **state)
{
	struct world w = {0};

	make_world(&w);
	put_line(&w, "app /apps/{name}");
	put_line(&w, "job /jobs/{name}");
	put_process(&w, 200, 1, 0, 0, 200, "/apps/x", 0);
	put_cgroup(&w, "/apps/x", "200\n");
	put_process(&w, 201, 1, 0, 0, 201, "/jobs/x", 0);
	put_cgroup(&w, "/jobs/x", "201\n");
	put_process(&w, 202, 1, 0, 0, 202, "/jobs/bad\xff", 0);
	put_cgroup(&w, "/jobs/bad\xff", "202\n");
	start_world(&w);
	assert_int_equal(w.appeared, 2);
	assert_int_equal(untrusted(&w), 1);
	assert_string_equal(w.seen[0]->name, w.seen[1]->name);
	assert_string_not_equal(w.seen[0]->handle, w.seen[1]->handle);

	/* The second one's line goes; the first one is not touched. */
	w.config.patterns = 1;
	discovery_set_config(w.d, &w.config);
	discovery_tick(w.d, now_ns(CLOCK_MONOTONIC));
	assert_int_equal(w.disappeared, 1);
	assert_string_equal(w.seen[0]->kind, "app");
	/* A line above it makes one instance of it all. */
	w.config.patterns = 0;
	put_line(&w, "all /{name}");
	discovery_set_config(w.d, &w.config);
	discovery_tick(w.d, now_ns(CLOCK_MONOTONIC));
	assert_int_equal(w.disappeared, 2);
	run_until(&w, &w.appeared, 4);
	assert_string_equal(get(&w, "apps")->kind, "all");
	assert_string_equal(get(&w, "jobs")->kind, "all");
	close_world(&w);
}

/* Who may make cgroups there could make any name. */
static void users_kind(void **state)
{
	struct world w = {0};

	if (geteuid() != 0)
		skip();
	make_world(&w);
	put_line(&w, "app /user.slice/{name}");
	put_process(&w, 200, 1, 0, 4242, 200, "/user.slice/x", 0);
	put_cgroup(&w, "/user.slice/x", "200\n");
	assert_int_equal(system_in(&w, "chown 4242 '%s/user.slice'", w.cgroup), 0);
	start_world(&w);
	assert_int_equal(w.appeared, 0);
	assert_int_equal(untrusted(&w), 1);
	close_world(&w);
}

/* Two lines of one inode in the text: whoever forged one of them names nobody. */
static void forged_line(void **state)
{
	struct world w = {0};

	make_world(&w);
	put_process(&w, 90, 1, 0, 0, 50, "/lxc.monitor.web", 700);
	put_process(&w, 100, 90, 1, 0, 100, "/lxc.payload.web", 0);
	put_cgroup(&w, "/lxc.payload.web", "100\n");
	put_sockets(&w, LISTENER("700", "/var/lib/lxc/web/command")
				LISTENER("700", "/var/lib/lxc/evil/command"));
	start_world(&w);
	assert_int_equal(w.appeared, 1);
	assert_string_equal(w.seen[0]->name, "web");
	assert_string_equal(w.seen[0]->lxcpath, "");
	close_world(&w);
}

static void one_hash(const char *name, const char *cgroup, const char *lxcpath_suffix)
{
	struct world w = {0};
	char socket[64], line[256], path[512], lxcpath[128];

	make_world(&w);
	snprintf(lxcpath, sizeof(lxcpath), "%s%s", w.lxcpath, lxcpath_suffix);
	snprintf(socket, sizeof(socket), "lxc/%016llx/command",
		(unsigned long long)socket_hash(lxcpath, name));
	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 700 @%s\n", socket);
	put_sockets(&w, line);
	snprintf(path, sizeof(path), "/lxc.payload.%s", cgroup);
	put_process(&w, 90, 1, 0, 0, 50, "/x", 700);
	put_process(&w, 100, 90, 1, 0, 100, path, 0);
	put_cgroup(&w, path, "100\n");
	start_world(&w);
	assert_int_equal(w.appeared, 1);
	/* An lxcpath that nothing tells is no reason not to measure root's container. */
	assert_string_equal(w.seen[0]->lxcpath, *lxcpath_suffix ? "" : w.lxcpath);
	assert_string_equal(w.seen[0]->name, *lxcpath_suffix ? cgroup : name);
	close_world(&w);
}

static void hashed_socket(void **state)
{
	char name[201];

	memset(name, 'n', 200);
	name[200] = '\0';
	one_hash(name, name, "");
	one_hash("short", "short-2", "");
	one_hash("short", "short", "/elsewhere");
}

/* --- trust ------------------------------------------------------------------------------------ */

static void answer(struct world *w, size_t i, const char *key, json_t *value)
{
	json_t *message = json_loads(w->asked[i], 0, NULL);
	char *text;

	json_object_set_new(message, key, value);
	text = json_dumps(message, 0);
	discovery_lxc_answer(w->d, text);
	free(text);
	json_decref(message);
}

static void users_monitor(struct world *w, const char *lxcpath)
{
	char line[256];

	make_world(w);
	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 700 @%s/mine/command\n",
		lxcpath);
	put_sockets(w, line);
	put_process(w, 90, 1, 0, 4242, 50, "/user.slice", 700);
	put_process(w, 100, 90, 1, 104242, 100, "/user.slice/lxc.payload.mine", 0);
	put_cgroup(w, "/user.slice/lxc.payload.mine", "100\n");
}

/* A plain user's instance waits until the helper has seen that the lxcpath is his. */
static void users_own(void **state)
{
	struct world w = {0};
	json_t *request;

	users_monitor(&w, "/home/op/lxc");
	start_world(&w);
	assert_int_equal(w.appeared, 0);
	assert_int_equal(w.asked_n, 1);
	request = json_loads(w.asked[0], 0, NULL);
	assert_string_equal(json_string_value(json_object_get(request, "op")), "owner");
	assert_string_equal(json_string_value(json_object_get(request, "lxcpath")), "/home/op/lxc");
	assert_string_equal(json_string_value(json_object_get(request, "name")), "mine");
	assert_int_equal(json_integer_value(json_object_get(request, "uid")), 4242);
	json_decref(request);

	answer(&w, 0, "error", json_null());
	assert_int_equal(w.appeared, 1);
	assert_string_equal(w.seen[0]->lxcpath, "/home/op/lxc");
	/* And now its description. */
	assert_int_equal(w.asked_n, 2);
	answer(&w, 1, "groups", json_pack("[s,s]", "web", "blue team"));
	assert_int_equal(w.described, 1);
	assert_string_equal(w.seen[0]->groups, "web\nblue team");
	assert_null(w.seen[0]->hostname);
	assert_null(w.seen[0]->facts);
	close_world(&w);
}

/* A user's child may answer anything: only facts become part of the text. */
static void described_facts(void **state)
{
	struct world w = {0};

	users_monitor(&w, "/home/op/lxc");
	start_world(&w);
	answer(&w, 0, "error", json_null());
	assert_int_equal(w.asked_n, 2);
	answer(&w, 1, "facts",
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "network", "veth", "ip",
			"10.0.3.7,fd00::7", "Bad Key", "x", "evil", "a\nip=6.6.6.6", "number", 7,
			"empty", "", "note", "gr\xc3\xbc\xc3\x9f"));
	assert_int_equal(w.described, 1);
	assert_string_equal(
		w.seen[0]->facts, "network=veth\nip=10.0.3.7,fd00::7\nnote=gr\xc3\xbc\xc3\x9f");
	close_world(&w);
}

/* What was confirmed of one lxcpath counts for no other one. */
static void users_other(void **state)
{
	struct world w = {0};

	users_monitor(&w, "/home/op/lxc");
	start_world(&w);
	assert_int_equal(w.asked_n, 1);
	put_sockets(&w, LISTENER("700", "/srv/lxc/mine/command"));
	answer(&w, 0, "error", json_null());
	assert_int_equal(w.appeared, 0);
	assert_int_equal(w.asked_n, 2);
	close_world(&w);
}

/* A helper that cannot tell is asked again, but not at once. */
static void not_the_users(void **state)
{
	struct world w = {0};

	users_monitor(&w, "/srv/lxc");
	start_world(&w);
	answer(&w, 0, "error", json_string("liblxc did not answer"));
	assert_int_equal(w.appeared, 0);
	assert_int_equal(w.asked_n, 1);
	run_for(&w, 1200);
	assert_int_equal(w.asked_n, 2);
	json_t *message = json_loads(w.asked[1], 0, NULL);
	char *text;

	json_object_set_new(message, "error", json_string("not his"));
	json_object_set_new(message, "untrusted", json_true());
	text = json_dumps(message, 0);
	discovery_lxc_answer(w.d, text);
	free(text);
	json_decref(message);
	assert_int_equal(w.appeared, 0);
	assert_int_equal(untrusted(&w), 1);
	reconcile(&w);
	assert_int_equal(untrusted(&w), 1);
	close_world(&w);
}

/* A configured lxcpath's owner is known without asking. */
static void in_roots_lxcpath(void **state)
{
	struct world w = {0};

	make_world(&w);
	put_process(&w, 90, 1, 0, 4242, 50, "/user.slice", 700);
	put_process(&w, 100, 90, 1, 104242, 100, "/user.slice/lxc.payload.evil", 0);
	put_cgroup(&w, "/user.slice/lxc.payload.evil", "100\n");
	char line[256];

	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 700 @%s/evil/command\n",
		w.lxcpath);
	put_sockets(&w, line);
	start_world(&w);
	assert_int_equal(w.appeared, 0);
	assert_int_equal(w.asked_n, 0);
	assert_int_equal(untrusted(&w), 1);
	close_world(&w);
}

/* Names that other doors could not show. */
static void hostile_names(void **state)
{
	struct world w = {0};

	make_world(&w);
	put_process(&w, 90, 1, 0, 0, 50, "/lxc.monitor.a", 700);
	put_process(&w, 100, 90, 1, 0, 100, "/lxc.payload.a", 0);
	put_cgroup(&w, "/lxc.payload.a", "100\n");
	put_process(&w, 91, 1, 0, 0, 50, "/lxc.monitor.b", 701);
	put_process(&w, 101, 91, 1, 0, 100, "/lxc.payload.b", 0);
	put_cgroup(&w, "/lxc.payload.b", "101\n");
	put_sockets(&w, LISTENER("700", "/lxc/esc\033[2J/command")
				LISTENER("701", "/lxc/latin\344/command"));
	start_world(&w);
	assert_int_equal(w.appeared, 0);
	assert_int_equal(untrusted(&w), 2);
	close_world(&w);
}

/* --- limits and conflicts --------------------------------------------------------------------- */

static void too_many(void **state)
{
	struct world w = {0};
	struct discovery_status status;

	make_world(&w);
	w.config.instances_max = 2;
	for (int i = 0; i < 5; i++) {
		char path[64], pid[16];

		snprintf(path, sizeof(path), "/lxc.payload.n%d", i);
		snprintf(pid, sizeof(pid), "%d\n", 100 + i);
		put_process(&w, 100 + i, 1, 1, 0, 100, path, 0);
		put_cgroup(&w, path, pid);
	}
	start_world(&w);
	discovery_status(w.d, &status);
	assert_int_equal(w.appeared, 2);
	assert_int_equal(status.instances, 2);
	assert_int_equal(status.dropped, 3);

	/* One ends, another takes its place. */
	remove_cgroup(&w, "/lxc.payload.n0");
	run_until(&w, &w.disappeared, 1);
	reconcile(&w);
	discovery_status(w.d, &status);
	assert_int_equal(w.appeared, 3);
	assert_int_equal(status.instances, 2);
	assert_int_equal(status.dropped, 2);
	close_world(&w);
}

/* One name in two lxcpaths; and a second start beside an orphan whose monitor was killed. */
static void same_names(void **state)
{
	struct world w = {0};

	make_world(&w);
	put_process(&w, 90, 1, 0, 0, 50, "/lxc.monitor.db", 700);
	put_process(&w, 100, 90, 1, 0, 100, "/lxc.payload.db", 0);
	put_cgroup(&w, "/lxc.payload.db", "100\n");
	put_sockets(&w, LISTENER("700", "/a/db/command"));
	start_world(&w);
	assert_int_equal(w.appeared, 1);
	assert_string_equal(w.seen[0]->handle, "db");

	put_process(&w, 91, 1, 0, 0, 51, "/lxc.monitor.db-1", 701);
	put_process(&w, 101, 91, 1, 0, 101, "/lxc.payload.db-1", 0);
	put_sockets(&w, LISTENER("700", "/a/db/command") LISTENER("701", "/b/db/command"));
	put_cgroup(&w, "/lxc.payload.db-1", "101\n");
	run_until(&w, &w.appeared, 2);
	assert_string_equal(w.seen[1]->name, "db");
	assert_string_equal(w.seen[1]->lxcpath, "/b");
	assert_true(strncmp(w.seen[1]->handle, "db~", 3) == 0);

	/* The first one's monitor is killed; somebody starts the same container again. */
	put_process(&w, 100, 1, 1, 0, 100, "/lxc.payload.db", 0);
	put_process(&w, 92, 1, 0, 0, 52, "/lxc.monitor.db-2", 702);
	put_process(&w, 102, 92, 1, 0, 102, "/lxc.payload.db-2", 0);
	put_sockets(&w, LISTENER("701", "/b/db/command") LISTENER("702", "/a/db/command"));
	put_cgroup(&w, "/lxc.payload.db-2", "102\n");
	run_until(&w, &w.appeared, 4); /* the new one, and the orphan under another number */
	assert_int_equal(w.disappeared, 1);
	assert_int_equal(w.seen_n, 3);
	for (size_t i = 0; i < w.seen_n; i++) {
		if (w.seen[i]->init == 100)
			assert_string_equal(w.seen[i]->lxcpath, "");
		if (w.seen[i]->init == 102)
			assert_string_equal(w.seen[i]->handle, "db");
	}
	reconcile(&w);
	run_for(&w, 200);
	assert_int_equal(w.appeared, 4);
	assert_int_equal(w.disappeared, 1);
	close_world(&w);
}

/* A cgroup that no pattern knows, told by its command socket and loadcelld-lxc. */
static void custom_cgroup_directory(void **state)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct world w = {0};
	char name[96], line[256];
	int n;

	make_world(&w);
	/* Who listens is asked of a real socket. */
	n = snprintf(name, sizeof(name), "%s/own/command", w.lxcpath);
	memcpy(a.sun_path + 1, name, (size_t)n);
	assert_int_equal(
		bind(fd, (struct sockaddr *)&a,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)),
		0);
	assert_int_equal(listen(fd, 4), 0);
	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 700 @%s\n", name);
	put_sockets(&w, line);
	put_process(&w, 90, 1, 0, geteuid(), 50, "/batch/monitor", 700);
	put_process(&w, 100, 90, 1, 0, 100, "/batch/own/init.scope", 0);
	put_cgroup(&w, "/batch/own/init.scope", "100\n");
	put_cgroup(&w, "/batch/own/lxc.payload.nested", "");
	start_world(&w);
	/* A starting instance's cgroup may come yet: the socket is looked at after a second. */
	assert_int_equal(w.asked_n, 0);
	run_for(&w, 1200);
	assert_int_equal(w.asked_n, 1);
	answer(&w, 0, "init", json_integer(100));
	run_until(&w, &w.appeared, 1);
	assert_string_equal(w.seen[0]->name, "own");
	assert_string_equal(w.seen[0]->lxcpath, w.lxcpath);
	assert_string_equal(w.seen[0]->cgroup[CONTROLLER_MEMORY], "/batch/own");
	/* What looks like an instance below it is none. */
	put_process(&w, 105, 100, 1, 0, 105, "/batch/own/lxc.payload.nested", 0);
	put_cgroup(&w, "/batch/own/lxc.payload.nested", "105\n");
	reconcile(&w);
	reconcile(&w);
	assert_int_equal(w.appeared, 1);
	remove_cgroup(&w, "/batch");
	reconcile(&w);
	assert_int_equal(w.disappeared, 1);
	assert_int_equal(untrusted(&w), 0);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pattern_table),
		cmocka_unit_test(configured_patterns),
		cmocka_unit_test(patterns_beside_others),
		cmocka_unit_test(hashed_names),
		cmocka_unit_test(real_trees),
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(without_monitor),
		cmocka_unit_test(another_kind),
		cmocka_unit_test(kinds_come_and_go),
		cmocka_unit_test(users_kind),
		cmocka_unit_test(described_facts),
		cmocka_unit_test(forged_line),
		cmocka_unit_test(hashed_socket),
		cmocka_unit_test(users_own),
		cmocka_unit_test(users_other),
		cmocka_unit_test(not_the_users),
		cmocka_unit_test(in_roots_lxcpath),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(too_many),
		cmocka_unit_test(same_names),
		cmocka_unit_test(custom_cgroup_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
