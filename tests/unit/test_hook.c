/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>

#include "../../lib/snapshot.h"
#include "../../lib/spool.h"
#include "../../lxc-hooks/hook.h"
#include "measured-tree.h"

/*
 * The hook over the fixture trees: it must find the run and the cgroups that discovery finds, and
 * its final values are those of tests/expected.
 */
static const char *const trees[] = {
	"v1-6.18", "v1-debian12-6.1", "hybrid-debian12-6.1", "v2-debian12-6.1", "v2-debian13-6.12"};

/* --- arguments -------------------------------------------------------------------------------- */

#define A(text) ((char[]){text})

static void clear_variables(void)
{
	static const char *const names[] = {"LXC_NAME", "LXC_HOOK_TYPE", "LXC_PID", "LXC_TARGET",
		"LXC_NET_NS", "LXC_MNT_NS", "LXC_CONFIG_FILE", "LXC_ROOTFS_PATH"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static void arguments_version_0(void **state)
{
	char *argv[] = {A("loadcell-hook"), A("web 01"), A("lxc"), A("stop"),
		A("mnt:/proc/70/fd/3"), A("net:/proc/70/fd/9"), A("odd"), NULL};
	struct hook k = {0};

	clear_variables();
	setenv("LXC_PID", "4711", 1);
	setenv("LXC_TARGET", "reboot", 1);
	assert_string_equal(hook_arguments(&k, 7, argv), "stop");
	assert_string_equal(k.name, "web 01");
	assert_string_equal(k.network_ns, "/proc/70/fd/9");
	assert_int_equal(k.monitor, 70);
	assert_int_equal(k.init, 4711);
	assert_true(k.reboot);
}

/* LXC 5 hands the line to a shell unquoted. */
static void arguments_name_in_pieces(void **state)
{
	char *argv[] = {A("loadcell-hook"), A("my"), A("lxc"), A("stop"), A("box"), A("lxc"),
		A("start-host"), A("net:/proc/70/fd/9"), NULL};
	struct hook k = {0};

	clear_variables();
	setenv("LXC_NAME", "my lxc  stop box", 1);
	assert_string_equal(hook_arguments(&k, 8, argv), "start-host");
	assert_string_equal(k.name, "my lxc  stop box");
	assert_string_equal(k.network_ns, "/proc/70/fd/9");
	clear_variables();
}

static void arguments_version_1(void **state)
{
	char *argv[] = {A("loadcell-hook"), NULL};
	struct hook k = {0};

	clear_variables();
	assert_null(hook_arguments(&k, 1, argv));
	setenv("LXC_NAME", "web", 1);
	setenv("LXC_HOOK_TYPE", "start-host", 1);
	setenv("LXC_PID", "12", 1);
	setenv("LXC_CONFIG_FILE", "/a/web/config", 1);
	assert_string_equal(hook_arguments(&k, 1, argv), "start-host");
	assert_string_equal(k.name, "web");
	assert_string_equal(k.config_file, "/a/web/config");
	assert_int_equal(k.init, 12);
	assert_int_equal(k.monitor, 0);
	assert_false(k.reboot);
	setenv("LXC_HOOK_TYPE", "stop", 1);
	setenv("LXC_TARGET", "stop", 1);
	setenv("LXC_NET_NS", "/proc/70/fd/9", 1);
	setenv("LXC_MNT_NS", "/proc/70/fd/3", 1);
	assert_string_equal(hook_arguments(&k, 1, argv), "stop");
	assert_string_equal(k.network_ns, "/proc/70/fd/9");
	assert_int_equal(k.monitor, 70);
	assert_false(k.reboot);
	clear_variables();
}

/* liblxc's of "/srv/lxc/web": FNV-1a, from python. */
#define HASH "314406964d7caedc"

/* --- the lxcpath ------------------------------------------------------------------------------ */

static void put_file(const char *dir, const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/%s", dir, name);
	_cleanup_free_ char *parent = path ? strdup(path) : NULL;

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(make_directories(parent, 0755), 0);
	assert_int_equal(replace_file(path, text, strlen(text), 0644, false), 0);
}

struct lxcpath_case {
	const char *socket; /* that the monitor listens on */
	const char *config_file, *expected;
};

static const struct lxcpath_case lxcpath_cases[] = {
	{"/srv/a/web/command", NULL, "/srv/a"},
	{"/srv/a/web/command", "/srv/b/web/config", "/srv/a"},
	{"/srv/a/other/command", NULL, ""},
	{"/srv/a/other/command", "/srv/b/web/config", "/srv/b"},
	{"/srv/a/other/command", "/run/incus/web.conf", ""},
	{"lxc/HASH/command", NULL, ""},
	{"lxc/HASH/command", "/srv/lxc/web/config", "/srv/lxc"},
	{"unrelated", "/srv/b/web2/config", ""},
};

static void lxcpath_of_socket(void **state)
{
	struct config config = {.lxcpath = {A("/none")}, .lxcpaths = 1};
	char dir[] = "/tmp/loadcell-hook.XXXXXX";
	_cleanup_free_ char *link = NULL, *line = NULL;

	assert_non_null(mkdtemp(dir));
	put_file(dir, "70/fd/none", "");
	link = format_string("%s/70/fd/8", dir);
	assert_int_equal(symlink("socket:[4242]", link), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lxcpath_cases); i++) {
		const struct lxcpath_case *c = &lxcpath_cases[i];
		struct hook k = {.config = &config,
			.name = "web",
			.config_file = c->config_file,
			.monitor = 70,
			.proc_fd = open(dir, O_PATH | O_CLOEXEC)};
		_cleanup_free_ char *found = NULL, *text = NULL;
		const char *socket = c->socket;

		if (strncmp(socket, "lxc/", 4) == 0)
			socket = "lxc/" HASH "/command";
		text = format_string("Num RefCount Protocol Flags Type St Inode Path\n"
				     "0: 00000002 00000000 00010000 0001 01 4242 @%s\n",
			socket);
		put_file(dir, "net/unix", text);
		found = hook_lxcpath(&k);
		if (strcmp(found, c->expected) != 0)
			fail_msg("case %zu: \"%s\", not \"%s\"", i, found, c->expected);
		close_fd(k.proc_fd);
	}
	line = format_string("rm -rf %s", dir);
	assert_int_equal(system(line), 0);
}

/* --- start and stop --------------------------------------------------------------------------- */

/* A hook as LXC would run it for an init of the tree. */
static void open_hook(struct tree *t, struct hook *k, const struct identity *id)
{
	struct error err;

	*k = (struct hook){.config = &t->config,
		.name = id->name,
		.config_file = "/srv/x/config",
		.rootfs = "dir:/srv/x/rootfs",
		.init = id->init,
		.proc_fd = open(t->config.proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC)};
	assert_int_equal(boot_read(k->proc_fd, &k->boot), 0);
	if (hierarchies_read(t->config.cgroup_root, t->config.proc_root, &k->hierarchies, &err) < 0)
		fail_msg("%s", err.text);
}

static void close_hook(struct hook *k)
{
	hierarchies_free(k->hierarchies);
	close_fd(k->proc_fd);
}

static json_t *make(hook_record *record, struct hook *k, struct spool_name *name)
{
	struct error err = {""};
	json_t *made = NULL;

	if (record(k, &made, name, &err) < 0)
		fail_msg("%s: %s", k->name, err.text);
	assert_non_null(made);
	return made;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		fail_msg("no \"%s\"", key);
	return text;
}

static void check_start(const struct tree *t, const struct identity *id, const json_t *record)
{
	const json_t *cgroups = json_object_get(record, "cgroup");
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, id->run);
	assert_string_equal(text_at(record, "type"), "start");
	assert_string_equal(text_at(record, "run"), run);
	assert_string_equal(text_at(record, "name"), id->name);
	assert_string_equal(text_at(record, "rootfs"), "dir:/srv/x/rootfs");
	assert_string_equal(text_at(record, "config"), "/srv/x/config");
	assert_int_equal(json_integer_value(json_object_get(record, "init")), id->init);
	assert_true((uint64_t)json_integer_value(json_object_get(record, "start_ns")) ==
		    id->start_time_ns);
	assert_true((uint64_t)json_integer_value(json_object_get(record, "starttime")) ==
		    id->init_starttime_ticks);
	/* A fixture has no namespace to look into. */
	assert_null(json_object_get(record, "links"));
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		const char *name = controller_name(c, t->h->controller[c].version);

		if (id->cgroup[c])
			assert_string_equal(text_at(cgroups, name), id->cgroup[c]);
		else
			assert_null(json_object_get(cgroups, name));
	}
}

static bool is_network(const struct metric *m)
{
	return m->v1.grammar == GRAMMAR_NETDEV && m->v1.type == SOURCE_FILE;
}

/* "SUBJECT METRIC VALUE" against what the record says. True when the line is about this one. */
static bool check_line(
	const struct tree *t, const struct identity *id, char *line, const json_t *metrics)
{
	char *subject = strsep(&line, " "), *name = line ? strsep(&line, " ") : NULL;
	const char *value = line ? strsep(&line, " ") : NULL;
	const struct metric *m = name && value ? metric_by_name(name) : NULL;
	const json_t *got;
	char decoded[256];

	if (!m || *subject == '#' || strchr(subject, '/') || m->scope != SCOPE_INSTANCE ||
		percent_decode(subject, decoded, sizeof(decoded)) < 0 ||
		(strcmp(decoded, id->name) != 0 && strcmp(decoded, "*") != 0))
		return false;
	got = json_object_get(metrics, name);
	if (!metric_stands_at_end(m, plan_source(m, t->h)) || is_network(m) ||
		strcmp(value, "absent") == 0) {
		if (got)
			fail_msg("%s has a value for %s", id->name, name);
		return false;
	}
	if (strcmp(value, "unlimited") == 0) {
		assert_string_equal(text_at(metrics, name), "unlimited");
		return true;
	}
	if (json_integer_value(got) !=
		(json_int_t)(strtold(value, NULL) * (long double)unit_divisor(m->unit) + 0.5L))
		fail_msg("%s %s: %lld, not %s", id->name, name, json_integer_value(got), value);
	return true;
}

static void check_stop(
	const struct tree *t, const char *name, const struct identity *id, const json_t *record)
{
	_cleanup_free_ char *file = format_string("tests/expected/%s.txt", name);
	_cleanup_free_ char *text = NULL;
	const json_t *metrics = json_object_get(record, "metrics");
	char *rest, *line;
	size_t checked = 0;

	assert_int_equal(read_file_alloc(AT_FDCWD, file, 1 << 20, &text, NULL), 0);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		checked += check_line(t, id, line, metrics);
	/* Counters, limits and the peak: no tree has fewer than these. */
	if (checked < 15)
		fail_msg("%s in %s: only %zu values are expected", id->name, name, checked);
	assert_string_equal(text_at(record, "network"), "last-sample");
	assert_null(json_object_get(metrics, "memory_usage_bytes"));
	assert_null(json_object_get(metrics, "cpu_idle_seconds"));
	assert_null(json_object_get(metrics, "starts"));
}

static void one_instance(struct tree *t, const char *name, const struct identity *id)
{
	struct spool_name file = {""};
	struct hook k;
	json_t *record;

	open_hook(t, &k, id);
	record = make(hook_start_host, &k, &file);
	check_start(t, id, record);
	assert_int_equal(spool_put(t->config.run_dir, file.text, record), 0);
	assert_int_equal(spool_note_init(t->config.run_dir, id->init, k.run), 0);
	json_decref(record);
	close_hook(&k);

	open_hook(t, &k, id);
	record = make(hook_stop, &k, &file);
	assert_string_equal(text_at(record, "type"), "stop");
	assert_string_equal(text_at(record, "target"), "stop");
	check_stop(t, name, id, record);
	json_decref(record);
	k.reboot = true;
	record = make(hook_stop, &k, &file);
	assert_string_equal(text_at(record, "target"), "reboot");
	json_decref(record);
	close_hook(&k);
}

static void start_and_stop(void **state)
{
	struct tree *t = *state;
	const char *name = t->given;

	tree_open(t, name, false);
	tree_find(t, 100000);
	t->config.run_dir = format_string("%s/run", t->dir);
	for (size_t i = 0; i < t->s.n_instances; i++)
		one_instance(t, name, t->instances[i]->id);
	free(TAKE_PTR(t->config.run_dir));
}

/* --- without a start record ------------------------------------------------------------------- */

static void publish_row(struct tree *t, const struct identity *id, uint64_t run)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_free_ char *path = config_run_path(&t->config, "snapshot");
	struct value values[METRIC_ID_END] = {0};
	const struct snapshot_row row = {
		.run = run,
		.text = {[TEXT_NAME] = id->name,
			[TEXT_LXCPATH] = "/srv",
			[TEXT_CGROUPS] = "cpuacct=/lxc.payload.web01\nmemory=/lxc.payload.web01\n"},
		.values = values,
	};
	const struct snapshot_info info = {.time_ns = 1};

	values[metric_slot(METRIC_START_TIME)] = value_of(id->start_time_ns);
	assert_non_null(b);
	assert_int_equal(make_directories(t->config.run_dir, 0755), 0);
	assert_int_equal(snapshot_builder_add(b, SCOPE_INSTANCE, &row), 0);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
}

static void by_the_snapshot(void **state)
{
	struct tree *t = *state;
	struct spool_name file = {""};
	const struct instance *in;
	const struct identity *id;
	json_t *record = NULL;
	struct error err;
	struct hook k;

	tree_open(t, "v1-6.18", false);
	tree_find(t, 100000);
	t->config.run_dir = format_string("%s/run", t->dir);
	in = tree_instance(t, "web01");
	if (!in) {
		fail_msg("no web01");
		return;
	}
	id = in->id;
	open_hook(t, &k, id);
	k.config_file = "/srv/web01/config";
	assert_int_equal(hook_stop(&k, &record, &file, &err), -ENOENT); /* no snapshot either */
	/* A row of an earlier run is not believed: another number comes out of its start. */
	publish_row(t, id, id->run ^ 1);
	assert_int_equal(hook_stop(&k, &record, &file, &err), -ESRCH);
	publish_row(t, id, id->run);
	record = make(hook_stop, &k, &file);
	/* tests/expected/v1-6.18.txt; memory and cpuacct are all that the row tells. */
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(record, "metrics"), "cpu_usage_seconds")),
		114271506);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(record, "metrics"), "memory_limit_bytes")),
		50331648);
	assert_null(json_object_get(json_object_get(record, "metrics"), "pids_limit"));
	json_decref(record);
	close_hook(&k);
	free(TAKE_PTR(t->config.run_dir));
}

static void destroyed(void **state)
{
	struct config config = {.lxcpaths = 0};
	struct hook k = {.config = &config, .name = "web", .config_file = "/srv/web/config"};
	struct spool_name name;
	json_t *record = make(hook_destroy, &k, &name);

	assert_string_equal(text_at(record, "type"), "destroy");
	assert_string_equal(text_at(record, "name"), "web");
	assert_string_equal(text_at(record, "lxcpath"), "/srv");
	assert_int_equal(strncmp(name.text, "destroy.", 8), 0);
	assert_int_equal(strlen(name.text), 8 + 16);
	json_decref(record);
}

int main(void)
{
	struct CMUnitTest tests[5 + ARRAY_SIZE(trees)] = {
		cmocka_unit_test(arguments_version_0),
		cmocka_unit_test(arguments_name_in_pieces),
		cmocka_unit_test(arguments_version_1),
		cmocka_unit_test(lxcpath_of_socket),
		cmocka_unit_test(destroyed),
		cmocka_unit_test_setup_teardown(by_the_snapshot, tree_setup, tree_teardown),
	};

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		tests[5 + i] = (struct CMUnitTest){trees[i], start_and_stop, tree_setup,
			tree_teardown, (void *)(uintptr_t)trees[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
