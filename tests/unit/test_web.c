/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <microhttpd.h>

#include "../../lib/journal.h"
#include "../../web/body.h"
#include "../../web/jobs.h"

/* Parts of loadcell-web that need no connection; tests/web/server.sh asks the program itself. */
struct fixture {
	char dir[64];
	struct config *config;
	struct site *site;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	_cleanup_free_ char *text = NULL, *run = NULL, *data = NULL;
	struct error err;

	assert_non_null(x);
	strcpy(x->dir, "/tmp/loadcell-test-web.XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	text = format_string("run_dir = %s/run\ndata_dir = %s/data\n", x->dir, x->dir);
	run = format_string("%s/run", x->dir);
	data = format_string("%s/data", x->dir);
	assert_int_equal(mkdir(run, 0700) | mkdir(data, 0700), 0);
	assert_int_equal(config_parse(text, strlen(text), "f", &x->config, &err), 0);
	assert_int_equal(site_new(x->config, &x->site), 0);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	_cleanup_free_ char *command = format_string("rm -rf %s", x->dir);

	site_free(x->site);
	config_free(x->config);
	assert_int_equal(system(command), 0);
	free(x);
	return 0;
}

/* --- OpenMetrics -------------------------------------------------------------------------------
 */

static void publish(const struct fixture *x)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_free_ char *path = format_string("%s/run/snapshot", x->dir);
	struct value values[METRIC_ID_END] = {0}, host[METRIC_ID_END] = {0};
	const struct snapshot_info info = {.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = 10 * NSEC_PER_SEC,
		.sequence = 1};
	const struct snapshot_row row = {.index = 7,
		.run = 1,
		.values = values,
		.text = {[TEXT_NAME] = "we\\b\"1",
			[TEXT_HANDLE] = "we\\b\"1",
			[TEXT_HOSTNAME] = "a\nb",
			[TEXT_GROUPS] = "front\nblue",
			[TEXT_KIND] = "lxc"}};
	const struct snapshot_row fixed = {.values = host, .text = {[TEXT_NAME] = "vm"}};

	values[metric_slot(METRIC_CPU_USAGE)] = value_of(UINT64_C(1234050000000));
	values[metric_slot(METRIC_MEMORY_ANON)] = value_of(UINT64_MAX);
	values[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
	values[metric_slot(METRIC_START_TIME)] = value_of(UINT64_C(1700000000000000001));
	host[metric_slot(METRIC_HOST_MAP_COUNT)] = value_of(0);
	snapshot_builder_reset(b);
	assert_int_equal(snapshot_builder_add(b, SCOPE_HOST, &fixed), 0);
	assert_int_equal(snapshot_builder_add(b, SCOPE_INSTANCE, &row), 0);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
}

static char *metrics(const struct fixture *x, bool open_metrics)
{
	const struct request r = {
		.path = (char *)(uintptr_t) "/metrics", .open_metrics = open_metrics};
	const struct asked q = {.site = x->site, .request = &r};
	struct answer a = {0};
	char *text;

	answer_openmetrics(&q, &a);
	text = strndup(a.body, a.len);
	free(a.body);
	return text;
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no line %s in\n%.2000s", line, text);
}

static void test_openmetrics(void **state)
{
	const struct fixture *x = *state;
	_cleanup_free_ char *text = NULL, *old = NULL;

	publish(x);
	text = metrics(x, true);
	has(text, "\nloadcell_cpu_usage_seconds_total{name=\"we\\\\b\\\"1\"} 1234.05\n"
		  "loadcell_cpu_usage_seconds_created{name=\"we\\\\b\\\"1\"} "
		  "1700000000.000000001\n");
	has(text, "\n# TYPE loadcell_cpu_usage_seconds counter\n# UNIT loadcell_cpu_usage_seconds "
		  "seconds\n");
	has(text, "\nloadcell_memory_anon_bytes{name=\"we\\\\b\\\"1\"} 18446744073709551615\n");
	has(text, "\nloadcell_memory_limit_bytes{name=\"we\\\\b\\\"1\"} +Inf\n");
	has(text, "\nloadcell_host_map_count_value 0\n");
	has(text, "\nloadcell_instance_info{name=\"we\\\\b\\\"1\",hostname=\"a\\\\x0ab\","
		  "groups=\"front,blue\",kind=\"lxc\",lxcpath=\"\"} 1\n");
	/* Absent: no line of it. */
	assert_null(strstr(text, "\nloadcell_pids_current{"));
	assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
	old = metrics(x, false);
	has(old, "\n# TYPE loadcell_cpu_usage_seconds_total counter\n"
		 "loadcell_cpu_usage_seconds_total{name=\"we\\\\b\\\"1\"} 1234.05\n# HELP");
	assert_null(strstr(old, "_created"));
	assert_null(strstr(old, "# EOF"));
}

static void test_no_data(void **state)
{
	_cleanup_free_ char *text = metrics(*state, true);

	has(text, "\nloadcell_data_stale 1\n# EOF\n");
	assert_null(strstr(text, "loadcell_cpu"));
}

/* --- the newest lines ---------------------------------------------------------------------------
 */

static uint64_t time_of(const json_t *line)
{
	return journal_seconds(line, "time");
}

static void append(struct journal *j, int id, const char *handle)
{
	json_t *line = json_pack("{s:i, s:s, s:s, s:f}", "id", id, "handle", handle, "type", "oom",
		"time", 1000.0 + id);

	assert_int_equal(journal_append(j, line), 0);
	json_decref(line);
}

struct taken {
	char ids[64];
	unsigned int left;
};

static bool take(void *data, const struct site_line *line)
{
	struct taken *t = data;
	json_t *json = json_loads(line->text, 0, NULL);

	snprintf(t->ids + strlen(t->ids), sizeof(t->ids) - strlen(t->ids), "%d ",
		(int)json_integer_value(json_object_get(json, "id")));
	assert_string_equal(line->type, "oom");
	json_decref(json);
	return --t->left > 0;
}

static void test_lines(void **state)
{
	const struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;
	_cleanup_free_ char *dir = format_string("%s/data", x->dir);
	struct taken t = {.left = 99}, web = {.left = 2}, late = {.left = 99};
	bool complete = false;
	struct error err;

	assert_int_equal(journal_open(dir, "events", time_of, &j, &err), 0);
	append(j, 1, "web");
	append(j, 2, "db");
	append(j, 3, "web");
	assert_int_equal(site_lines(x->site, SITE_EVENTS, NULL, take, &t, &complete), 3);
	assert_string_equal(t.ids, "3 2 1 ");
	assert_true(complete);
	append(j, 4, "web");
	append(j, 5, "db");
	assert_int_equal(site_lines(x->site, SITE_EVENTS, "web", take, &web, NULL), 5);
	assert_string_equal(web.ids, "4 3 ");
	assert_int_equal(site_lines(x->site, SITE_EVENTS, NULL, take, &late, NULL), 5);
	assert_string_equal(late.ids, "5 4 3 2 1 ");
}

/* Old lines go when there is too much text, and it is said. */
static void test_many_lines(void **state)
{
	const struct fixture *x = *state;
	_cleanup_(journal_close) struct journal *j = NULL;
	_cleanup_free_ char *dir = format_string("%s/data", x->dir), *long_name = malloc(200001);
	struct taken t = {.left = 99};
	bool complete = true;
	struct error err;

	memset(long_name, 'x', 200000);
	long_name[200000] = '\0';
	assert_int_equal(journal_open(dir, "events", time_of, &j, &err), 0);
	for (int i = 1; i <= 60; i++) /* each is held twice: as text and as name */
		append(j, i, long_name);
	assert_int_equal(site_lines(x->site, SITE_EVENTS, NULL, take, &t, &complete), 60);
	assert_false(complete);
	assert_int_equal(t.left, 99 - LINES_BYTES / 400000);
}

/* --- answers that are kept
 * ------------------------------------------------------------------------ */

static struct body *body_of(const char *text, uint64_t state)
{
	struct answer a = {.status = MHD_HTTP_OK, .type = TYPE_TEXT, .body = strdup(text)};

	a.len = strlen(text);
	return body_new(&a, false, 0, state);
}

static void test_cache(void **state)
{
	struct body *one = body_of("one", 0), *two = body_of("two", 0), *found;
	struct cache c;
	char key[16];

	(void)state;
	cache_init(&c);
	cache_keep(&c, "/a", 1, one);
	found = cache_find(&c, "/a", 1);
	assert_ptr_equal(found, one);
	body_put(found);
	assert_null(cache_find(&c, "/a", 2));
	assert_null(cache_find(&c, "/b", 1));
	cache_keep(&c, "/a", 2, two); /* in place of the older */
	assert_null(cache_find(&c, "/a", 1));
	assert_int_equal(one->users, 1);
	for (int i = 0; i < CACHE_ENTRIES; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		cache_keep(&c, key, 1, one);
	}
	assert_null(cache_find(&c, "/a", 2));
	assert_int_equal(two->users, 1);
	cache_free(&c);
	assert_int_equal(one->users, 1);
	body_put(one);
	body_put(two);
}

static void test_cache_bytes(void **state)
{
	size_t size = CACHE_BYTES / 2 + 1;
	char *text = malloc(size + 1);
	struct body *big, *other;
	struct cache c;

	(void)state;
	memset(text, 'x', size);
	text[size] = '\0';
	big = body_of(text, 0);
	other = body_of(text, 0);
	cache_init(&c);
	cache_keep(&c, "/big", 1, big);
	cache_keep(&c, "/other", 1, other);
	assert_null(cache_find(&c, "/big", 1));
	assert_true(c.bytes <= CACHE_BYTES);
	cache_free(&c);
	body_put(big);
	body_put(other);
	free(text);
}

static void test_html(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	put_html(out, "<a href=\"x\">&\n");
	fclose(out);
	assert_string_equal(text, "&lt;a href=&quot;x&quot;>&amp;\\x0a");
}

/* --- jobs
 * ------------------------------------------------------------------------------------------ */

static void count_job(void *job)
{
	__atomic_add_fetch((unsigned int *)job, 1, __ATOMIC_RELAXED);
}

static void nothing(void *job)
{
	(void)job;
}

static void wait_for_lock(void *job)
{
	pthread_mutex_t *lock = job;

	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
}

static void test_jobs(void **state)
{
	struct jobs *j = jobs_new(3, 100, count_job);
	unsigned int done = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(jobs_add(j, &done, nothing));
	jobs_free(j);
	assert_int_equal(done, 100);
}

static void test_jobs_full(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct jobs *j = jobs_new(1, 4, wait_for_lock);
	int taken = 0;

	(void)state;
	pthread_mutex_lock(&lock);
	/* One is being done, at most, and four wait. */
	while (taken < 10 && jobs_add(j, &lock, nothing))
		taken++;
	assert_in_range(taken, 4, 5);
	pthread_mutex_unlock(&lock);
	jobs_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_openmetrics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_lines, set_up, tear_down),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_bytes),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_jobs_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
