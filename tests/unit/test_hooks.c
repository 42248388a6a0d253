/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/hooks.h"
#include "lib/spool.h"

#define LXC_CONF                                                                                   \
	"# Hooks of loadcell\n"                                                                    \
	"lxc.hook.start-host = trap; /x/loadcell-hook\nlxc.hook.stop=/x/loadcell-hook\n"

/* `loadcell hooks` in a directory of the test's own. */
struct world {
	char dir[64];
	char *config, *conf_d, *file;
	char *out, *err;
};

static void put(const struct world *w, const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->dir, name);
	_cleanup_free_ char *parent = path ? strdup(path) : NULL;

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(make_directories(parent, 0755), 0);
	assert_int_equal(replace_file(path, text, strlen(text), 0644, false), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_cleanup_free_ char *text = NULL;

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/loadcell-hooks.XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	*state = w;
	w->config = format_string("%s/loadcell.conf", w->dir);
	w->conf_d = format_string("%s/common.conf.d", w->dir);
	w->file = format_string("%s/share/lxc.conf", w->dir);
	text = format_string(
		"run_dir = %s/run\nlxcpath = %s/lxc\nlxcpath = %s/gone\n", w->dir, w->dir, w->dir);
	put(w, "loadcell.conf", text);
	put(w, "share/lxc.conf", LXC_CONF);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *line = format_string("rm -rf %s", w->dir);
	int r = line ? system(line) : -1;

	free(w->config);
	free(w->conf_d);
	free(w->file);
	free(w->out);
	free(w->err);
	free(w);
	return r;
}

#define A(text) ((char[]){text})

static int run(struct world *w, const char *word, bool json)
{
	_cleanup_free_ char *what = strdup(word);
	char *argv[] = {A("loadcell"), A("-c"), w->config, A("hooks"), A("--directory"), w->conf_d,
		A("--file"), w->file, what, json ? A("--json") : NULL, NULL};
	size_t size;
	FILE *out, *err;
	int r;

	free(w->out);
	free(w->err);
	out = open_memstream(&w->out, &size);
	err = open_memstream(&w->err, &size);
	assert_true(out && err);
	r = cli_main(json ? 10 : 9, argv, out, err);
	fclose(out);
	fclose(err);
	return r;
}

static void install_and_remove(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *copy = format_string("%s/loadcell.conf", w->conf_d);
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(run(w, "install", false), CLI_FAILED);
	assert_non_null(strstr(w->err, "there is no directory"));
	assert_int_equal(mkdir(w->conf_d, 0755), 0);
	assert_int_equal(run(w, "remove", false), CLI_DONE);
	assert_int_equal(run(w, "install", false), CLI_DONE);
	assert_int_equal(read_file_alloc(AT_FDCWD, copy, 4096, &text, &len), 0);
	assert_string_equal(text, LXC_CONF);
	assert_int_equal(run(w, "install", false), CLI_DONE);
	assert_non_null(strstr(w->out, "already"));
	/* An older version is replaced. */
	put(w, "common.conf.d/loadcell.conf", "# Hooks of loadcell, as they were.\n");
	assert_int_equal(run(w, "status", false), CLI_DONE);
	assert_non_null(strstr(w->out, "of another version"));
	assert_int_equal(run(w, "install", false), CLI_DONE);
	assert_null(strstr(w->out, "already"));
	/* A link to nowhere keeps LXC from starting anything: it is replaced too. */
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(symlink("/nowhere", copy), 0);
	assert_int_equal(run(w, "install", false), CLI_DONE);
	assert_int_equal(access(copy, R_OK), 0);
	/* What was put there stays when loadcell has gone, until it is removed. */
	assert_int_equal(unlink(w->file), 0);
	assert_int_equal(access(copy, R_OK), 0);
	assert_int_equal(run(w, "remove", false), CLI_DONE);
	assert_int_equal(access(copy, F_OK), -1);
	put(w, "share/lxc.conf", LXC_CONF);
	/* What is not ours stays. */
	put(w, "common.conf.d/loadcell.conf", "# mine\n");
	assert_int_equal(run(w, "install", false), CLI_FAILED);
	assert_int_equal(run(w, "remove", false), CLI_FAILED);
	assert_int_equal(access(copy, F_OK), 0);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(unlink(w->file), 0);
	assert_int_equal(run(w, "install", false), CLI_FAILED);
	assert_non_null(strstr(w->err, "make install"));
	put(w, "share/lxc.conf", "lxc.hook.stop = /sbin/halt\n");
	assert_int_equal(run(w, "install", false), CLI_FAILED);
	assert_non_null(strstr(w->err, "is not loadcell's"));
	assert_int_equal(run(w, "enable", false), CLI_USAGE);
}

struct config_case {
	const char *text; /* '@' stands for the directory */
	int expected;
};

static const struct config_case config_cases[] = {
	{"", 0},
	{"lxc.include = @/share/lxc.conf\n", 1},
	{"  lxc.include=@/share/lxc.conf", 1},
	{"# lxc.include = @/share/lxc.conf\n", 0},
	{"lxc.include = @/share\n", 1},
	{"lxc.include = @/nested.conf\n", 1},
	{"lxc.include = @/share/lxc.conf\nlxc.hook.stop =\n", 0},
	{"lxc.include = @/share/lxc.conf\nlxc.hook =\n", 0},
	{"lxc.include = @/share/lxc.conf\nlxc.hook.stop = /other\n", 1},
	{"lxc.hook.stop = /x/loadcell-hook\n", 0},
	{"lxc.hook.stop = /x/loadcell-hook\nlxc.hook.start-host = /x/loadcell-hook\n", 1},
	{"lxc.include = @/missing\n", -ENOENT},
	{"lxc.include = @/loop.conf\n", -ELOOP},
	{"lxc.include = @/fifo\n", -EINVAL},
	{"lxc.include = /dev/null\n", -EINVAL},
	/* It would wait for the kernel's next line. */
	{"lxc.include = /proc/kmsg\n", 0},
};

static void configurations(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/config", w->dir);
	_cleanup_free_ char *nested = format_string("lxc.include = %s/share\n", w->dir);
	_cleanup_free_ char *loop = format_string("lxc.include = %s/loop.conf\n", w->dir);
	_cleanup_free_ char *fifo = format_string("%s/fifo", w->dir);

	put(w, "nested.conf", nested);
	put(w, "loop.conf", loop);
	put(w, "share/README", loop); /* not *.conf: LXC does not take it */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(config_cases); i++) {
		const struct config_case *c = &config_cases[i];
		const char *at = strchr(c->text, '@');
		_cleanup_free_ char *text =
			at ? format_string("%.*s%s%s", (int)(at - c->text), c->text, w->dir, at + 1)
			   : strdup(c->text);

		put(w, "config", text);
		if (lxc_config_has_hooks(path) != c->expected)
			fail_msg(
				"case %zu: %d, not %d", i, lxc_config_has_hooks(path), c->expected);
	}
}

static void add_row(struct snapshot_builder *b, const char *name, const char *lxcpath, uint64_t run)
{
	struct value values[METRIC_ID_END] = {0};
	const struct snapshot_row row = {.run = run,
		.text = {[TEXT_NAME] = name, [TEXT_LXCPATH] = lxcpath},
		.values = values};

	assert_int_equal(snapshot_builder_add(b, SCOPE_INSTANCE, &row), 0);
}

static void publish(const struct world *w)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_free_ char *path = format_string("%s/run/snapshot", w->dir);
	_cleanup_free_ char *lxcpath = format_string("%s/lxc", w->dir);
	const struct snapshot_info info = {.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = 10 * NSEC_PER_SEC};

	assert_non_null(b);
	add_row(b, "old", lxcpath, 0xaa);
	add_row(b, "new", lxcpath, 0xbb);
	add_row(b, "idle", "/elsewhere", 0xcc);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
}

/* The table by hand: what is configured now, and what runs with what it was started with. */
static void status(void **state)
{
	static const char table[] = "NAME  CONFIGURED  RUNS        LXCPATH\n"
				    "bad   ?           -           LXC\n"
				    "idle  yes         -           LXC\n"
				    "new   no          with hooks  LXC\n"
				    "old   yes         without     LXC\n";
	struct world *w = *state;
	_cleanup_free_ char *run_dir = format_string("%s/run", w->dir);
	_cleanup_free_ char *include = format_string("lxc.include = %s\n", w->file);
	_cleanup_free_ char *lxcpath = format_string("%s/lxc", w->dir);
	json_t *record = json_pack("{s:i, s:s}", "schema", 1, "type", "start");
	_cleanup_free_ char *got = NULL;
	char *from, *to;

	put(w, "lxc/old/config", include);
	put(w, "lxc/idle/config", include);
	put(w, "lxc/new/config", "lxc.uts.name = new\n");
	put(w, "lxc/bad/config", "lxc.include = /nonexistent\n");
	put(w, "lxc/none/rootfs", "");
	assert_int_equal(run(w, "status", false), CLI_DONE);
	assert_non_null(strstr(w->out, "not in place"));
	assert_non_null(strstr(w->out, include));
	assert_non_null(strstr(w->out, "old   yes         ?           ")); /* no collector tells */
	put(w, "run/spool/x", "");
	publish(w);
	assert_int_equal(spool_put(run_dir, "live.00000000000000bb", record), 0);
	json_decref(record);
	assert_int_equal(run(w, "status", false), CLI_DONE);
	from = strstr(w->out, "NAME  ");
	assert_non_null(from);
	got = calloc(1, strlen(from) + 1);
	for (to = got; *from;) {
		if (strncmp(from, lxcpath, strlen(lxcpath)) == 0) {
			to = stpcpy(to, "LXC");
			from += strlen(lxcpath);
		} else {
			*to++ = *from++;
		}
	}
	assert_string_equal(got, table);
}

static void status_json(void **state)
{
	struct world *w = *state;
	json_t *answer, *c;

	assert_int_equal(mkdir(w->conf_d, 0755), 0);
	put(w, "lxc/old/config", "");
	assert_int_equal(run(w, "install", false), CLI_DONE);
	assert_int_equal(run(w, "status", true), CLI_DONE);
	answer = json_loads(w->out, 0, NULL);
	assert_true(json_is_true(json_object_get(answer, "installed")));
	c = json_array_get(json_object_get(answer, "containers"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "name")), "old");
	assert_true(json_is_false(json_object_get(c, "configured")));
	assert_true(json_is_null(json_object_get(c, "running")));
	assert_true(json_is_null(json_object_get(c, "hooked")));
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(install_and_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(configurations, setup, teardown),
		cmocka_unit_test_setup_teardown(status, setup, teardown),
		cmocka_unit_test_setup_teardown(status_json, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
