/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../graph/plot.h"
#include "store-fixture.h"

/*
 * What stands in a picture: its lines and their extremes against `rrdtool xport` of the same file,
 * what librrd is told to draw, and the programs as people call them.
 */
static uint64_t start_s; /* of the data: six hours before now, a whole hour */

#define CYCLES 1800 /* of ten seconds: five hours */
static uint64_t used_ns(uint64_t i)
{
	return (i * 5 + (i > 900 ? (i - 900) * 7 : 0)) * SEC; /* half a core, then 1.2 */
}

static void put_cycle(struct fixture *x, uint64_t i, const uint32_t *number, size_t n)
{
	cycle(x, (start_s + 10 * i) * SEC, 10);
	for (size_t k = 0; k < n; k++) {
		clear(x);
		set(x, METRIC_CPU_USAGE, used_ns(i));
		set(x, METRIC_CPU_USER, used_ns(i) / 2);
		set(x, METRIC_CPU_SYSTEM, used_ns(i) / 2);
		set(x, METRIC_CPU_LIMIT, 2 * SEC);
		set(x, METRIC_MEMORY_ANON, (k + 1) * MIB);
		set(x, METRIC_MEMORY_FILE, 50 * MIB);
		set(x, METRIC_MEMORY_SHMEM, 20 * MIB);
		set(x, METRIC_MEMORY_WORKING_SET, 30 * MIB);
		set(x, METRIC_MEMORY_USAGE, (k + 60) * MIB);
		x->values[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
		set(x, METRIC_PIDS_CURRENT, 7);
		set(x, METRIC_PIDS_LIMIT, 8);
		set(x, METRIC_IO_READ_BYTES, i * 10240);
		set(x, METRIC_IO_WRITE_BYTES, i * 20480);
		add(x, SCOPE_INSTANCE, number[k], 0, 100 + k);
	}
	clear(x);
	set(x, METRIC_HOST_MEMORY_TOTAL, 1024 * MIB);
	set(x, METRIC_HOST_MEMORY_AVAILABLE, 400 * MIB);
	set(x, METRIC_MEMORY_COMMITTED, 2048 * UINT64_C(1048576));
	add(x, SCOPE_HOST, 0, 0, 9);
	commit(x);
}

static uint32_t number[10];

static void fill(struct fixture *x, size_t n)
{
	uint64_t now_s = now_ns(CLOCK_REALTIME) / SEC;

	start_s = now_s - now_s % 3600 - 6 * 3600;
	begin(x, "");
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "web%zu", i);
		number[i] = instance(x, name);
		index_note_run(x->index, number[i], 100 + i, now_s);
	}
	assert_int_equal(index_save(x->index, NULL, NULL), 0);
	open_store(x);
	for (uint64_t i = 0; i < CYCLES; i++) {
		put_cycle(x, i, number, n);
		if (i % 500 == 499)
			flush(x);
	}
	flush(x);
}

/* An event at so many seconds after the start. */
static void put_event(struct fixture *x, const char *type, uint64_t at_s, uint32_t index)
{
	_cleanup_free_ char *path = format_string("%s/data/events.jsonl", x->dir);
	_cleanup_fclose_ FILE *f = fopen(path, "a");

	assert_non_null(f);
	fprintf(f, "{\"schema\":1,\"id\":1,\"time\":%ju,\"type\":\"%s\",\"index\":%u}\n",
		(uintmax_t)(start_s + at_s), type, index);
}

static void plot(
	struct fixture *x, enum picture_scope scope, const char *id, uint32_t index, struct plot *p)
{
	_cleanup_(fetch_close) struct fetch *f = NULL;
	const struct plot_wanted w = {start_s, start_s + 10 * (CYCLES - 1), 600, false};
	const struct picture *picture = picture_find(scope, id);
	struct error err = {""};

	assert_int_equal(fetch_open(x->config, &f, &err), 0);
	assert_non_null(picture);
	if (plot_picture(f, x->config, picture, index, scope == PICTURE_HOST ? "" : "web0", &w, p,
		    &err) < 0)
		fail_msg("%s", err.text);
}

static double most(const struct plot *p, const char *label)
{
	double max = NAN;

	for (size_t i = 0; i < p->lines; i++)
		for (size_t k = 0; k < p->n && !strcmp(p->line[i].label, label); k++)
			max = fmax(max, p->line[i].values[k]);
	return max;
}

/* The highest of a file's rows at the picture's step, as rrdtool works it out. */
static double xport_most(struct fixture *x, const char *ds, const char *cf, uint64_t step)
{
	_cleanup_free_ char *text = output("rrdtool xport --json -s %ju -e %ju --step %ju -m 10000 "
					   "DEF:v=%s/data/rrd/web0.%u.rrd:%s:%s XPORT:v:v | "
					   "jq '[.data[][0] | select(. != null)] | max'",
		(uintmax_t)start_s, (uintmax_t)start_s + 10 * (CYCLES - 1), (uintmax_t)step, x->dir,
		number[0], ds, cf);

	return strtod(text, NULL);
}

static void test_lines(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_(plot_free) struct plot p = {0}, m = {0}, h = {0}, t = {0};

	fill(x, 1);
	plot(x, PICTURE_INSTANCE, "cpu", number[0], &p);
	assert_int_equal(p.step_s, 20); /* twice as many points as pixels, no more */
	assert_near(most(&p, "user"), xport_most(x, "cpu_user", "AVERAGE", 10));
	assert_near(most(&p, "user"), 0.6);
	assert_near(most(&p, "peak"), 1.2);
	assert_near(most(&p, "limit"), 2);
	/* Nothing was told of throttling: the line is left out. */
	assert_true(isnan(most(&p, "held back by the quota")));
	assert_int_equal(p.lines, 4);
	assert_string_equal(p.title, "web0: CPU");
	plot(x, PICTURE_INSTANCE, "memory", number[0], &m);
	assert_near(most(&m, "page cache"), 30 * MIB); /* without what is shared */
	assert_near(most(&m, "anonymous"), xport_most(x, "mem_anon", "AVERAGE", 10));
	assert_true(isnan(most(&m, "limit"))); /* unlimited */
	assert_true(isnan(most(&m, "kernel")));
	plot(x, PICTURE_HOST, "committed-memory", FETCH_HOST, &h);
	assert_near(most(&h, "used"), 624 * MIB);
	assert_near(most(&h, "committed"), 2048.0 * MIB);
	plot(x, PICTURE_INSTANCE, "pids", number[0], &t);
	assert_near(most(&t, "limit now"), 8);
	end(x);
}

static void test_top(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_(plot_free) struct plot p = {0};
	_cleanup_(fetch_close) struct fetch *f = NULL;
	const struct plot_wanted w = {start_s, start_s + 10 * (CYCLES - 1), 600, false};
	struct error err = {""};

	fill(x, 10);
	assert_int_equal(fetch_open(x->config, &f, &err), 0);
	assert_int_equal(
		plot_top(f, metric_by_name("memory_anon_bytes"),
			&(struct plot_wanted){start_s, start_s + 10 * (CYCLES - 1), w.width, false},
			&p, &err),
		0);
	assert_int_equal(p.lines, COLOUR_SERIES + 1);
	assert_string_equal(p.line[0].label, "web9");
	assert_near(p.line[0].values[p.n / 2], 10 * MIB);
	assert_string_equal(p.line[6].label, "web3");
	assert_string_equal(p.line[7].label, "3 others");
	assert_near(p.line[7].values[p.n / 2], (1 + 2 + 3) * MIB);
	for (size_t i = 0; i < p.lines; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(p.line[i].colour, p.line[k].colour);
	end(x);
}

/* --- what librrd is told ---------------------------------------------------------------------- */

static char *arguments(const struct plot *p)
{
	static const struct render_options o = {800, 300, true};
	char **v = render_arguments(p, &o, "FILE"), *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(v);
	for (size_t i = 0; v[i]; i++) {
		fprintf(f, "%s\n", v[i]);
		free(v[i]);
	}
	free(v);
	fclose(f);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in:\n%s", part, text);
}

static void test_arguments(void **state)
{
	double use[] = {1, 2, NAN, 3}, limit[] = {4, 4, 4, 4}, far[] = {400, 400, 400, 400};
	struct plot p = {.title = "web:1 <a>",
		.unit_label = "cores",
		.unit = UNIT_CORES,
		.from_s = 1000,
		.to_s = 1040,
		.step_s = 10,
		.n = 4,
		.lines = 3,
		.line = {{"a:b\\n%s", STYLE_AREA, 0x56B4E9, false, use},
			{"sent", STYLE_STACK, 0xE69F00, true, use},
			{"limit", STYLE_LIMIT, 0xD55E00, false, limit}},
		.mark = {{1010, MARK_OOM}, {1020, MARK_START}, {1030, MARK_OOM}},
		.marks = 3};
	_cleanup_free_ char *text = arguments(&p), *dark = NULL;

	assert_has(text, "--start\n1000\n--end\n1040\n--width\n800\n--height\n300\n");
	assert_has(text, "--title\nweb:1 <a>\n");
	assert_has(text, "--base\n1000\n--units-exponent\n0\n");
	assert_has(text, "BACK#FFFFFF\n");
	assert_has(text, "DEF:v0=FILE:l0:AVERAGE\n");
	assert_has(text, "DEF:m1=FILE:l1:AVERAGE\nCDEF:v1=m1,-1,*\n");
	assert_has(text, "AREA:v0#56B4E9:a\\:b/n%s                 \n");
	assert_has(text, "AREA:v1#E69F00:sent                    :STACK\n");
	assert_has(text, "LINE1.5:v2#D55E00:limit                   :dashes=6,3\n");
	assert_has(text, "VDEF:most1=m1,MAXIMUM\n"); /* figures are not below zero */
	assert_has(text, "VRULE:1010#D55E00:OOM kill\nVRULE:1020#009E73:start:dashes=2,2\n"
			 "VRULE:1030#D55E00:\n");
	assert_null(strstr(text, "--lower-limit")); /* something is below zero */
	/* A limit far above all else does not press it to the ground. */
	p.line[2].values = far;
	p.lines = 3;
	p.line[1].below = false;
	p.dark = true;
	dark = arguments(&p);
	assert_has(dark, "COMMENT:   limit");
	assert_has(dark, "--lower-limit\n0\n");
	assert_has(dark, "BACK#1B1E23\n");
}

/* Both themes can be told apart by everybody: no two things of one picture have one colour. */
static void test_table(void **state)
{
	for (size_t i = 0; i < pictures_count; i++) {
		const struct picture *p = &pictures[i];
		size_t n = 0;

		assert_ptr_equal(picture_find(p->scope, p->id), p);
		for (; n < PICTURE_LINES_MAX && p->line[n].label; n++) {
			const struct picture_line *l = &p->line[n];
			const struct metric *m = metric_by_id(l->metric);

			assert_int_equal(
				m->scope, p->scope == PICTURE_HOST ? SCOPE_HOST : SCOPE_INSTANCE);
			if (!m->ds && l->style != STYLE_LIMIT_NOW &&
				strncmp(m->name, "network_", 8) != 0 &&
				!strstr(m->name, "used_cores"))
				fail_msg("%s of picture %s is not stored", m->name, p->id);
			for (size_t k = 0; k < n; k++)
				if (colour_of(p->line[k].colour, false) ==
						colour_of(l->colour, false) &&
					l->style != STYLE_LIMIT_NOW)
					fail_msg("%s: %s and %s have one colour", p->id,
						p->line[k].label, l->label);
		}
		assert_true(n > 0);
	}
	assert_null(picture_find(PICTURE_HOST, "disk"));
}

static void test_marks(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_(plot_free) struct plot p = {0}, h = {0};
	size_t ooms = 0;

	fill(x, 1);
	put_event(x, "oom", 60, number[0]);
	put_event(x, "oom", 61, number[0] + 1);
	put_event(x, "limit-changed", 62, number[0]);
	for (size_t i = 0; i < 100; i++)
		put_event(x, i % 2 ? "stop" : "start", 100 + i, number[0]);
	put_event(x, "oom", 7000, number[0]);
	plot(x, PICTURE_INSTANCE, "cpu", number[0], &p);
	assert_int_equal(p.marks, PLOT_MARKS_MAX);
	assert_int_equal(p.marks_left_out, 102 - PLOT_MARKS_MAX);
	for (size_t i = 0; i < p.marks; i++)
		ooms += p.mark[i].kind == MARK_OOM;
	assert_int_equal(ooms, 2);
	assert_int_equal(p.mark[p.marks - 2].time_s, start_s + 199);
	/* Of the host the OOM kills of all. */
	plot(x, PICTURE_HOST, "memory", FETCH_HOST, &h);
	assert_int_equal(h.marks, 3);
	end(x);
}

/* --- the programs ----------------------------------------------------------------------------- */

/* Runs loadcell, with its complaints; "exit N" is the last line. */
static char *loadcell(struct fixture *x, const char *arguments_)
{
	const char *build = getenv("LOADCELL_BUILD");

	return output("cd %s && P=$OLDPWD; case %s in /*) P=;; *) P=$P/;; esac; "
		      "${P}%s/bin/loadcell -c conf %s 2>&1; echo exit $?",
		x->dir, build ? build : "build", build ? build : "build", arguments_);
}

static void assert_graph(struct fixture *x, const char *arguments_, const char *part)
{
	_cleanup_free_ char *line = format_string("graph %s", arguments_);
	_cleanup_free_ char *text = loadcell(x, line);

	assert_has(text, part);
}

static void test_programs(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_free_ char *svg = NULL, *png = NULL;

	fill(x, 2);
	put_event(x, "oom", 60, number[0]);
	assert_graph(x, "web0 -o a.svg -g memory --size 700x300", "exit 0\n");
	svg = output("cat %s/a.svg", x->dir);
	assert_has(svg, "<title>web0: memory</title>");
	assert_has(svg,
		"<desc>bytes: anonymous, shared, page cache, working set, peak of usage</desc>");
	assert_has(svg, "width=\"700");
	assert_graph(x, "web1", "The picture is in web1-cpu.png.\nexit 0\n");
	/* The signature, and width and height. */
	png = output("head -c 24 %s/web1-cpu.png | od -An -tx1 | tr -d ' \n'", x->dir);
	assert_has(png, "89504e470d0a1a0a0000000d494844520000038400000168");
	assert_graph(x, "--host -g memory --theme dark", "in host-memory.png.\nexit 0\n");
	assert_graph(x, "--top cpu_used_cores --from -7h", "in top-cpu_used_cores.png.\nexit 0\n");
	assert_graph(x, "web0 -o - | head -c 4", "PNG");
	assert_graph(x, "web0 --from yesterday --to start+1h -o b.png", "exit 0\n");
	assert_graph(x, "web0 --from end-2h --to -1h -o b.png", "exit 0\n");
	assert_graph(x, "--list", "committed-memory");
	/* What was asked for wrongly. */
	assert_graph(x, "web7", "there is no instance 'web7'");
	assert_graph(x, "web7", "exit 3\n");
	assert_graph(x, "", "one of NAME, --host and --top METRIC is wanted");
	assert_graph(x, "web0 --host", "exit 2\n");
	assert_graph(x, "web0 -g cup", "there is no picture 'cup'; there are: cpu throttled");
	assert_graph(x, "web0 --from soon", "'soon' is no time");
	assert_graph(x, "web0 --from now --to -1h", "is not after the beginning");
	assert_graph(x, "web0 --size 10x10", "--size takes");
	assert_graph(x, "web0 --theme blue", "light or dark");
	assert_graph(x, "web0 -o a.gif", "ends neither in .png nor in .svg");
	assert_graph(x, "--top host_tasks", "there is no metric 'host_tasks' of instances");
	assert_graph(x, "web0 -o nowhere/a.png", "cannot write nowhere/a.png");
	instance(x, "unborn");
	assert_graph(x, "unborn", "nothing is stored of unborn");
	assert_graph(x, "unborn", "exit 4\n");
	/* Nothing half made is left. */
	assert_true(command("! ls %s/*.new.* 2>/dev/null", x->dir));
	end(x);
}

/* --- the past --------------------------------------------------------------------------------- */

static void put_run(struct fixture *x, size_t k, uint64_t from_s, uint64_t to_s)
{
	_cleanup_free_ char *path = format_string("%s/data/runs.jsonl", x->dir);
	_cleanup_fclose_ FILE *f = fopen(path, "a");

	assert_non_null(f);
	fprintf(f,
		"{\"schema\":1,\"run\":\"%zx\",\"index\":%u,\"handle\":\"web%zu\","
		"\"name\":\"web%zu\",\"hostname\":\"h%zu.example\",\"groups\":[\"blue\"],"
		"\"kind\":\"lxc\",\"lxcpath\":\"/var/lib/lxc\",\"start\":%ju,\"end\":%ju,"
		"\"metrics\":{\"memory_limit_bytes\":\"unlimited\"}}\n",
		100 + k, number[k], k, k, k, (uintmax_t)(start_s + from_s),
		(uintmax_t)(start_s + to_s));
}

static void assert_line(struct fixture *x, const char *arguments_, const char *part)
{
	_cleanup_free_ char *text = loadcell(x, arguments_);

	/* Columns are wider or narrower with what stands in them. */
	for (char *p = text, *q = text;; p++)
		if (*p != ' ' || p[1] != ' ')
			if (!(*q++ = *p))
				break;
	assert_has(text, part);
}

static void test_past(void **state)
{
	struct fixture *x = &the_fixture;
	_cleanup_free_ char *recent = NULL, *at = NULL, *list = NULL, *json = NULL, *top = NULL,
			    *second = NULL;

	fill(x, 3);
	put_run(x, 0, 0, 20000);
	put_run(x, 1, 0, 6000);
	put_run(x, 2, 9000, 20000);
	recent = config_run_path(x->config, "recent");
	/* Cycle 720, in the ring: all that were measured then, with all that was. */
	at = format_string("@%ju", (uintmax_t)(start_s + 7204));
	list = format_string("list --wide --at %s", at);
	json = format_string(
		"list --at %s --json | jq -c '[.interval, (.instances[] | select(.handle "
		"== \"web0\").metrics | .cpu_usage_seconds, .pids_limit)] | map(if . then . + 0 "
		"else . end)'",
		at);
	top = format_string("top -b --at %s", at);
	assert_line(x, list, ", a sample of every 10s: 3 instances, ");
	assert_line(x, list, "web0 running - 2.00 30M max - 7 - 3K - - - h0.example blue");
	assert_line(x, list, "web1 running ");
	assert_line(x, json, "[10,3600,8]");
	assert_line(x, top, ", a sample of every 10s\n");
	assert_line(x, top, " 1K 2K ");
	/* Without the ring: those that ran by the ledger, and means, without counters. */
	assert_int_equal(unlink(recent), 0);
	assert_line(x, list, "memory 624M of 1G\n");
	assert_line(x, list, ", mean of 10s: 1 instance, ");
	assert_line(x, list,
		"web0 running 0.50 2.00 30M max 2.9% 7 - 3K - - 2h h0.example blue "
		"/var/lib/lxc\nexit 0");
	assert_line(x, json, "[10,null,null]");
	assert_line(x, top, " 1K 2K ");
	second = format_string("list --at @%ju", (uintmax_t)(start_s + 5000));
	assert_line(x, second, ": 2 instances, ");
	/* What cannot be answered. */
	assert_line(x, "list --at 2001-01-01", "nothing is stored of 2001-01-01 00:00:00\nexit 4");
	assert_line(x, "top --at 2001-01-01 -b", "NO DATA: nothing is stored of 2001-01-01");
	assert_line(x, "top --at 2001-01-01 -b", "exit 4");
	assert_line(x, "list --at soon", "'soon' is no time, date or duration");
	assert_line(x, "list --at -1h --all", "exit 2");
	end(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines, tear_down),
		cmocka_unit_test_teardown(test_top, tear_down),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_table),
		cmocka_unit_test_teardown(test_marks, tear_down),
		cmocka_unit_test_teardown(test_programs, tear_down),
		cmocka_unit_test_teardown(test_past, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
