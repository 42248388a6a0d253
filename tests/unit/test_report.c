/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "../../cli/cli.h"
#include "../../lib/index.h"
#include "../../lib/util.h"

/*
 * `loadcell report` on RRDs that rrdtool(1) made of values whose percentiles are known: the
 * numbers from 1 to 200 in another order, one an hour. What is expected is worked out by hand.
 */
#define HOURS UINT64_C(200)
#define T0    UINT64_C(1764000000) /* a whole hour */
#define END   (T0 + HOURS * 3600)
#define GIB   (UINT64_C(1) << 30)

static char dir[64];

static void shell(const char *format, ...) _printf_(1, 2);
static void shell(const char *format, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	assert_int_equal(system(text), 0);
}

static void write_file(const char *name, const char *mode, const char *format, ...) _printf_(3, 4);
static void write_file(const char *name, const char *mode, const char *format, ...)
{
	char path[128];
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, mode);
	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

/* 1 to 200, each once, in an order without a trend: 77 has no divisor in common with 200 or 201. */
static uint64_t scattered(uint64_t i)
{
	return i * 77 % HOURS + 1;
}

struct source {
	const char *name;
	double (*value)(uint64_t i); /* of the hour from T0 + 3600 i on; NAN is not known */
};

static void make_rrd(const char *name, const struct source *sources, size_t n)
{
	_cleanup_free_ char *text = format_string("rrdtool - >%s/rrdtool.out", dir);
	FILE *f = popen(text, "w");

	assert_non_null(f);
	fprintf(f, "create %s/data/rrd/%s --start %" PRIu64 " --step 3600", dir, name, T0);
	for (size_t i = 0; i < n; i++)
		fprintf(f, " DS:%s:GAUGE:7200:U:U", sources[i].name);
	fputs(" RRA:AVERAGE:0.5:1:1000 RRA:MAX:0.5:1:1000\n", f);
	for (uint64_t i = 0; i < HOURS; i++) {
		fprintf(f, "update %s/data/rrd/%s %" PRIu64, dir, name, T0 + 3600 * (i + 1));
		for (size_t k = 0; k < n; k++)
			if (isnan(sources[k].value(i)))
				fputs(":U", f);
			else
				fprintf(f, ":%.17g", sources[k].value(i));
		putc('\n', f);
	}
	assert_int_equal(pclose(f), 0);
	shell("! grep -i error %s/rrdtool.out", dir);
}

/* --- the host: web-1 runs all the time, web-2 is busy when web-1 is not, old has ended ----------
 */

static double web1_cpu(uint64_t i)
{
	return (double)scattered(i) / 100; /* 0.01 to 2 cores */
}
static double web1_memory(uint64_t i)
{
	return (double)(scattered(i) * (GIB / 200)); /* up to 1 GiB, nearly */
}
static double web2_memory(uint64_t i)
{
	return (double)((201 - scattered(i)) * (GIB / 200));
}
static double two_cores(uint64_t i)
{
	return 2;
}
static double one_gib(uint64_t i)
{
	return (double)(GIB / 200 * 200);
}
static double pids(uint64_t i)
{
	return (double)(scattered(i) % 10);
}
static double disk(uint64_t i)
{
	return 1e9 + 1e6 * (double)i;
}
static double tenth(uint64_t i)
{
	return 0.1;
}
static double thousand(uint64_t i)
{
	return 1000;
}
static double ended_memory(uint64_t i)
{
	return i < 50 ? 5e6 : NAN;
}
static double ended_cpu(uint64_t i)
{
	return i < 50 ? 0.25 : NAN;
}
static double half(uint64_t i)
{
	return 0.5;
}
static double host_memory(uint64_t i)
{
	return (double)(4 * GIB);
}
/* 1 GiB + 0.5 % of the two together, and 1 GiB beside them. */
static double host_available(uint64_t i)
{
	return (double)(4 * GIB) - (double)(201 * (GIB / 200)) - (double)GIB;
}
static double eight(uint64_t i)
{
	return 8;
}

static const struct source web1[] = {{"cpu_usage", web1_cpu}, {"mem_working_set", web1_memory},
	{"cpu_limit", two_cores}, {"mem_limit", one_gib}, {"pids", pids}, {"disk_used", disk},
	{"cpu_throttled", tenth}, {"net0_rx", thousand}, {"net1_rx", thousand},
	{"io_read", thousand}};
static const struct source web2[] = {{"cpu_usage", half}, {"mem_working_set", web2_memory}};
static const struct source old[] = {{"mem_working_set", ended_memory}, {"cpu_usage", ended_cpu}};
static const struct source host[] = {{"mem_total", host_memory}, {"mem_available", host_available},
	{"cpus", eight}, {"cpu_user", two_cores}, {"cpu_system", half}, {"tasks", thousand},
	{"mem_committed", one_gib}};

static void add_instance(struct index *x, const char *name, const struct source *s, size_t n)
{
	const struct index_entry *e;
	char file[RRD_NAME_MAX + 1];

	assert_true(index_assign(x, "/var/lib/lxc", name, &e) >= 0);
	index_note_run(x, e->number, 1, END);
	index_rrd_name(e, file, sizeof(file));
	make_rrd(file, s, n);
	if (s == old) {
		write_file("data/runs.jsonl", "a",
			"{\"schema\":1,\"run\":\"00000000000000aa\",\"name\":\"%s\",\"handle\":\"%"
			"s\","
			"\"index\":%u,\"groups\":[\"db\"],\"start\":%" PRIu64 ",\"end\":%" PRIu64
			",\"how\":\"stop\",\"metrics\":{\"memory_limit_bytes\":8000000,"
			"\"pids_limit\":\"unlimited\",\"memory_oom_kills\":3,"
			"\"network_receive_bytes\":12345}}\n",
			name, name, e->number, T0 + 1800, T0 + 50 * 3600);
		/* Ended instances are packed. */
		shell("mkdir -p %s/data/archive && gzip %s/data/rrd/%s && "
		      "mv %s/data/rrd/%s.gz %s/data/archive",
			dir, dir, file, dir, file, dir);
	}
}

static int set_up(void **state)
{
	char path[128];
	struct index *x;
	struct error err;

	snprintf(dir, sizeof(dir), "/tmp/loadcell-test-report.XXXXXX");
	assert_non_null(mkdtemp(dir));
	shell("mkdir -p %s/data/rrd %s/run", dir, dir);
	write_file("conf", "w", "data_dir = %s/data\nrun_dir = %s/run\n", dir, dir);
	snprintf(path, sizeof(path), "%s/data/index", dir);
	assert_int_equal(index_load(path, &x, &err), 0);
	add_instance(x, "web-1", web1, ARRAY_SIZE(web1));
	add_instance(x, "web-2", web2, ARRAY_SIZE(web2));
	add_instance(x, "old", old, ARRAY_SIZE(old));
	make_rrd("host.rrd", host, ARRAY_SIZE(host));
	assert_int_equal(index_save(x, NULL, NULL), 0);
	index_free(x);
	return 0;
}

static int tear_down(void **state)
{
	if (!getenv("KEEP"))
		shell("rm -rf %s", dir);
	return 0;
}

/* Runs `loadcell report ...` over the 200 hours; the caller frees what it prints. */
static char *report(int want, const char *const *more)
{
	char conf[80], from[24], to[24], *text = NULL;
	char *argv[24] = {(char[]){"loadcell"}, (char[]){"-c"}, conf, (char[]){"report"},
		(char[]){"--from"}, from, (char[]){"--to"}, to};
	int argc = 8, got;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	snprintf(conf, sizeof(conf), "%s/conf", dir);
	snprintf(from, sizeof(from), "%" PRIu64, T0);
	snprintf(to, sizeof(to), "%" PRIu64, END);
	for (; *more; more++)
		argv[argc++] = (char *)(uintptr_t)*more;
	argv[argc] = NULL;
	got = cli_main(argc, argv, out, out);
	fclose(out);
	if (got != want)
		fail_msg("exit %d: %s", got, text);
	return text;
}
#define REPORT(want, ...) report(want, (const char *const[]){__VA_ARGS__, NULL})

/* A cell of CSV without quotes, by the row's name (second column) and the column's. */
static void csv_cell(const char *csv, const char *row, const char *column, char ret[64])
{
	const char *line = csv, *p;
	size_t wanted = 0;
	char key[64];

	p = strstr(csv, column);
	assert_non_null(p);
	for (const char *q = csv; q < p; q++)
		wanted += *q == ',';
	snprintf(key, sizeof(key), ",%s,", row);
	for (; (line = strchr(line, '\n')); line++) {
		const char *comma = strchr(line, ',');

		if (comma && !strncmp(comma, key, strlen(key)))
			break;
	}
	if (!line)
		fail_msg("no row %s in:\n%s", row, csv);
	for (p = line + 1; wanted; wanted--)
		p = strchr(p, ',') + 1;
	snprintf(ret, 64, "%.*s", (int)strcspn(p, ",\n"), p);
}

static void assert_cell(const char *csv, const char *row, const char *column, double want)
{
	char got[64];

	csv_cell(csv, row, column, got);
	if (isnan(want)       ? *got != '\0'
		: isinf(want) ? strcmp(got, "unlimited") != 0
			      : !*got || fabs(strtod(got, NULL) - want) > fabs(want) * 1e-9 + 1e-12)
		fail_msg("%s of %s: '%s' is not %.15g", column, row, got, want);
}

static void test_percentiles(void **state)
{
	_cleanup_free_ char *csv = REPORT(CLI_DONE, "--format", "csv");
	const double unit = (double)(GIB / 200);

	/* At least 50 % of 200 do not exceed the 100th, and so on. */
	assert_cell(csv, "web-1", "cpu_p50_cores", 1.00);
	assert_cell(csv, "web-1", "cpu_p95_cores", 1.90);
	assert_cell(csv, "web-1", "cpu_p99_cores", 1.98);
	assert_cell(csv, "web-1", "cpu_max_cores", 2.00);
	assert_cell(csv, "web-1", "memory_p50_bytes", 100 * unit);
	assert_cell(csv, "web-1", "memory_p95_bytes", 190 * unit);
	assert_cell(csv, "web-1", "memory_p99_bytes", 198 * unit);
	assert_cell(csv, "web-1", "memory_max_bytes", 200 * unit);
	assert_cell(csv, "web-1", "memory_limit_bytes", 200 * unit);
	/* 180 to 200 of 200 are at 90 % or above: 21 of them. */
	assert_cell(csv, "web-1", "memory_near_limit_ratio", 21 / 200.0);
	assert_cell(csv, "web-1", "cpu_near_limit_ratio", 21 / 200.0);
	assert_cell(csv, "web-1", "cpu_throttled_ratio", 0.1);
	assert_cell(csv, "web-1", "pids_p95", 9);
	assert_cell(csv, "web-1", "disk_used_bytes", 1.199e9);
	assert_cell(csv, "web-1", "disk_growth_bytes", 199e6);
	assert_cell(csv, "web-1", "cpu_usage_seconds", 201 * 3600.0); /* 1 + ... + 200 = 20100 */
	assert_cell(csv, "web-1", "network_receive_bytes", 2000 * 720000.0);
	assert_cell(csv, "web-1", "io_read_bytes", 1000 * 720000.0);
	assert_cell(csv, "web-1", "io_write_bytes", NAN);
	assert_cell(csv, "web-1", "points_known", 200);
	assert_cell(csv, "web-1", "resolution_seconds", 3600);
	/* Held down by its limit: 20 % above that. */
	assert_cell(csv, "web-1", "recommended_cpu_cores", 2.40);
	assert_cell(csv, "web-1", "cpu_given_back_cores", -0.40);
}

static void test_ended(void **state)
{
	_cleanup_free_ char *csv = REPORT(CLI_DONE, "--format", "csv", "old");

	assert_null(strstr(csv, "web-1"));
	assert_cell(csv, "old", "memory_p50_bytes", 5e6);
	assert_cell(csv, "old", "memory_max_bytes", 5e6);
	assert_cell(csv, "old", "memory_limit_bytes", 8e6);
	assert_cell(csv, "old", "pids_limit", INFINITY);
	assert_cell(csv, "old", "memory_oom_kills", 3);
	assert_cell(csv, "old", "network_receive_bytes", 12345);
	assert_cell(csv, "old", "points_known", 50);
	assert_cell(csv, "old", "runs", 1);
	assert_cell(csv, "old", "up_seconds", 49.5 * 3600);
	assert_cell(csv, "old", "availability_ratio", 49.5 / 199.5);
	/* p99 + 20 % is 6 MB, but it was killed: 8 MB + 20 % in whole MiB. */
	assert_cell(csv, "old", "recommended_memory_bytes", 10.0 * (1 << 20));
	assert_non_null(strstr(csv, ",db,0,oom"));
}

static void test_host(void **state)
{
	_cleanup_free_ char *csv = REPORT(CLI_DONE, "--format", "csv", "--by", "host");
	const double unit = (double)(GIB / 200), sum = 201 * unit;
	char me[256] = "";

	assert_int_equal(gethostname(me, sizeof(me) - 1), 0);
	/* One is high when the other is low: the sum's peak is half of the sum of peaks. In the
	 * first 50 hours there are 5 MB more. */
	assert_cell(csv, me, "memory_p50_bytes", sum);
	assert_cell(csv, me, "memory_peak_average_bytes", sum + 5e6);
	assert_cell(csv, me, "host_memory_sum_of_peaks_bytes", 400 * unit + 5e6);
	assert_cell(csv, me, "host_memory_bytes", 4.0 * (double)GIB);
	assert_cell(csv, me, "host_memory_used_p95_bytes", sum + (double)GIB);
	assert_cell(csv, me, "host_memory_headroom_p95_bytes", 3.0 * (double)GIB - sum);
	assert_cell(
		csv, me, "host_memory_headroom_committed_bytes", 4.0 * (double)GIB - 200 * unit);
	assert_cell(csv, me, "host_cpus", 8);
	assert_cell(csv, me, "host_tasks_max", 1000);
	assert_cell(csv, me, "host_instances", 3);
}

static void test_groups(void **state)
{
	_cleanup_free_ char *prefix = REPORT(CLI_DONE, "--format", "csv", "--by", "name-prefix");
	_cleanup_free_ char *group = REPORT(CLI_DONE, "--format", "csv", "--by", "group");
	const double unit = (double)(GIB / 200);

	assert_cell(prefix, "web", "memory_p99_bytes", 201 * unit);
	assert_cell(prefix, "web", "cpu_p50_cores", 1.5);
	assert_cell(prefix, "web", "host_instances", 2);
	assert_cell(prefix, "old", "memory_p50_bytes", 5e6);
	assert_cell(group, "db", "memory_p50_bytes", 5e6);
	assert_cell(group, "(none)", "host_instances", 2);
}

/* --- forms --------------------------------------------------------------------------------------
 */

static void test_text(void **state)
{
	_cleanup_free_ char *text = REPORT(CLI_DONE, "--format", "text");
	size_t width = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n') + 1) {
		width = strcspn(line, "\n");
		if (width > 80)
			fail_msg("%zu columns: %.*s", width, (int)width, line);
	}
	assert_non_null(strstr(text, "averages of 1h"));
	assert_non_null(strstr(text, "web-1"));
	assert_non_null(strstr(text, "headroom: peak together"));
	assert_null(strstr(text, "nan"));
}

static void test_html(void **state)
{
	_cleanup_free_ char *html = REPORT(CLI_DONE, "--format", "html");

	assert_non_null(strstr(html, "<svg"));
	assert_null(strstr(html, "<script"));
	assert_null(strstr(html, "http"));
	assert_null(strstr(html, "nan"));
	assert_null(strstr(html, "inf"));
}

/* An export says the same as what it came from, packed or not, also where figures are left to us.
 */
static void test_export(void **state)
{
	_cleanup_free_ char *file = format_string("%s/export.json.gz", dir);
	_cleanup_free_ char *bare = format_string("%s/bare.json", dir);
	_cleanup_free_ char *none =
		REPORT(CLI_DONE, "--format", "json", "--series", "--output", file);
	_cleanup_free_ char *csv = REPORT(CLI_DONE, "--format", "csv");
	_cleanup_free_ char *again = REPORT(CLI_DONE, "--format", "csv", "--from-json", file);
	_cleanup_free_ char *json = REPORT(CLI_DONE, "--format", "json");
	_cleanup_free_ char *same = REPORT(CLI_DONE, "--json");
	_cleanup_free_ char *measured = NULL, *fleet = NULL, *schema = NULL;
	const double unit = (double)(GIB / 200);

	assert_string_equal(none, "");
	assert_string_equal(again, csv);
	assert_string_equal(same, json);
	shell("gzip -dc %s | jq -c 'del(.rows[].forecast) | .rows[].figures |= "
	      "with_entries(select(.key | endswith(\"_limit_bytes\")))' >%s",
		file, bare);
	measured = REPORT(CLI_DONE, "--format", "csv", "--from-json", bare);
	assert_cell(measured, "web-1", "memory_p99_bytes", 198 * unit);
	assert_cell(measured, "web-1", "cpu_p95_cores", 1.90);
	assert_cell(measured, "web-1", "memory_near_limit_ratio", 21 / 200.0);
	fleet = REPORT(CLI_DONE, "--from-json", bare, file);
	assert_non_null(strstr(fleet, "\nall "));
	schema = REPORT(CLI_FAILED, "--from-json", "/etc/hostname");
	assert_non_null(strstr(schema, "/etc/hostname"));
}

/* 24 MB a day more, and 240 MB left of two file systems: 10 days, also of a program that measures
 * only. */
static void test_disk_full(void **state)
{
	_cleanup_free_ char *file = format_string("%s/growing.json", dir), *csv = NULL;
	char days[64];

	shell("jq -nc '{format:\"loadcell-report\",schema:1,from:%ju,to:%ju,start:%ju,"
	      "step_seconds:3600,points:720,peak_step_seconds:3600,by:\"instance\","
	      "host:{name:\"hv\",figures:{},filesystems:["
	      "{mount:\"/\",size_bytes:5e9,available_bytes:200e6},"
	      "{mount:\"/srv\",size_bytes:1e9,available_bytes:40e6}]},"
	      "rows:[{name:\"a\",figures:{},series:{disk:[range(720)|1e9+1e6*.]}}]}' >%s",
		(uintmax_t)T0, (uintmax_t)(T0 + 720 * 3600), (uintmax_t)T0, file);
	csv = REPORT(CLI_DONE, "--format", "csv", "--by", "host", "--from-json", file);
	assert_cell(csv, "hv", "host_disk_bytes", 6e9);
	assert_cell(csv, "hv", "host_disk_used_bytes", 4.8e9 + 0.96e9);
	csv_cell(csv, "hv", "disk_full_days", days);
	if (fabs(strtod(days, NULL) - 10) > 0.5)
		fail_msg("full in %s days, not 10", days);
}

/* Where Debian's python3-jsonschema is: what is written and what may be read are as documented. */
static void test_schema(void **state)
{
	_cleanup_free_ char *plain = format_string("%s/plain.json", dir);
	_cleanup_free_ char *groups = format_string("%s/groups.json", dir);
	_cleanup_free_ char *both = format_string("%s/fleet.txt", dir), *fleet = NULL;
	_cleanup_free_ char *filesystems = format_string("%s/filesystems.json", dir);
	_cleanup_free_ char *again = format_string("%s/again.json", dir);
	_cleanup_free_ char *text = REPORT(CLI_DONE, "--format", "json", "--output", plain);
	_cleanup_free_ char *none =
		REPORT(CLI_DONE, "--format", "json", "--by", "group", "-o", groups);

	assert_string_equal(text, "");
	assert_string_equal(none, "");
	if (system("/usr/bin/python3 -c 'import jsonschema' 2>/dev/null") != 0) {
		puts("skip: python3-jsonschema is not installed: run make deps");
		skip();
	}
	/* The host's file systems come through. */
	shell("jq -c '.host.filesystems = [{\"mount\":\"/srv\",\"size_bytes\":200,"
	      "\"available_bytes\":50},{\"mount\":\"/nfs\",\"size_bytes\":null,"
	      "\"available_bytes\":null}]' %s >%s/filesystems.json",
		plain, dir);
	free(REPORT(CLI_DONE, "--format", "json", "-o", again, "--from-json", filesystems));
	shell("jq -es '.[0].host.filesystems == .[1].host.filesystems and "
	      "(.[0].host.filesystems | length) == 2' %s %s >/dev/null",
		filesystems, again);
	shell("/usr/bin/python3 tests/report/schema %s/*.json %s/export.json.gz", dir, dir);
	fleet = REPORT(CLI_DONE, "--format", "json", "-o", both, "--from-json", plain, plain);
	assert_string_equal(fleet, "");
	shell("/usr/bin/python3 tests/report/schema %s", both);
	/* Two of the same: twice as much memory, and as many instances. */
	shell("jq -e '(.hosts | length) == 2 and .all.figures.host_memory_bytes == "
	      "2 * .hosts[0].figures.host_memory_bytes and .all.figures.host_instances == 6' "
	      "%s >/dev/null",
		both);
	/* It does find what is wrong. */
	shell("jq '.rows[0].figures.colour = 1' %s >%s/wrong.json", plain, dir);
	shell("! /usr/bin/python3 tests/report/schema %s/wrong.json 2>/dev/null", dir);
}

/* In a spreadsheet: see there. */
static void test_csv(void **state)
{
	const char *build = getenv("LOADCELL_BUILD"), *wanted = getenv("LOADCELL_LIBREOFFICE");

	if (system("command -v soffice >/dev/null && test -x /usr/bin/python3") != 0 &&
		strcmp(wanted ? wanted : "", "yes") != 0) {
		puts("skip: cannot: libreoffice-calc is not installed; "
		     "LOADCELL_LIBREOFFICE=yes make check installs its 300 MB");
		skip();
	}
	shell("/usr/bin/python3 tests/report/csv %s/bin/loadcell %s/export.json.gz %s",
		build ? build : "build", dir, dir);
}

static void test_zabbix(void **state)
{
	const char *build = getenv("LOADCELL_BUILD");

	if (access("/usr/bin/python3", X_OK) < 0) {
		puts("skip: python3 is not installed: run make deps");
		skip();
	}
	shell("/usr/bin/python3 tests/report/zabbix %s/bin/loadcell %s", build ? build : "build",
		dir);
}

static void write_run(const char *name, unsigned int index, char id, uint64_t start, uint64_t end,
	unsigned int kills)
{
	write_file("data/runs.jsonl", "a",
		"{\"schema\":1,\"run\":\"00000000000000b%c\",\"name\":\"%s\",\"handle\":\"%s\","
		"\"index\":%u,\"groups\":[],\"start\":%" PRIu64 ",\"end\":%" PRIu64
		",\"how\":\"oom\",\"metrics\":{\"memory_oom_kills\":%u}}\n",
		id, name, name, index, start, end, kills);
}

static void write_kills(unsigned int index, char id, uint64_t time, unsigned int kills)
{
	write_file("data/events.jsonl", "a",
		"{\"schema\":1,\"id\":1,\"time\":%" PRIu64 ".5,\"type\":\"oom\",\"index\":%u,"
		"\"run\":\"00000000000000b%c\",\"kills\":%u}\n",
		time, index, id, kills);
}

/* Instances that no sample has seen: only ledger and events tell of their kills. */
static void test_kills(void **state)
{
	_cleanup_free_ char *path = format_string("%s/data/index", dir), *csv = NULL, *text = NULL;
	static const char *const names[] = {"brief", "cut", "calm", "dark", "mixed", "both"};
	unsigned int number[ARRAY_SIZE(names)];
	const struct index_entry *e;
	struct index *x;
	struct error err;

	assert_int_equal(index_load(path, &x, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(index_assign(x, "/var/lib/lxc", names[i], &e) >= 0);
		number[i] = e->number;
	}
	assert_int_equal(index_save(x, NULL, NULL), 0);
	index_free(x);
	/* Three runs of seconds, the last one's kills while no collector ran: 1 + 4 + 2. */
	write_run("brief", number[0], '1', T0 + 10, T0 + 12, 1);
	write_run("brief", number[0], '2', T0 + 20, T0 + 23, 4);
	write_run("brief", number[0], '3', T0 + 30, T0 + 31, 2);
	write_kills(number[0], '1', T0 + 11, 1);
	write_kills(number[0], '2', T0 + 21, 3);
	write_kills(number[0], '2', T0 + 22, 1);
	/* Of seven kills five before the period; and a run that goes on after it, with one of two
	 * in it: 2 + 1. */
	write_run("cut", number[1], '4', T0 - 1000, T0 + 1000, 7);
	write_kills(number[1], '4', T0 - 500, 5);
	write_kills(number[1], '4', T0 + 500, 2);
	write_run("cut", number[1], '5', END - 100, END + 100, 2);
	write_kills(number[1], '5', END - 50, 1);
	write_kills(number[1], '5', END + 50, 1);
	/* None at all is none in a part; of three without events nobody knows how many. */
	write_run("calm", number[2], '6', T0 - 1000, T0 + 1000, 0);
	write_run("dark", number[3], '7', T0 - 1000, T0 + 1000, 3);
	/* Nor where another run had none; of one with two, these two are told at least. */
	write_run("mixed", number[4], '8', T0 - 1000, T0 + 1000, 3);
	write_run("mixed", number[4], '9', T0 + 2000, T0 + 3000, 0);
	write_run("both", number[5], 'a', T0 - 1000, T0 + 1000, 3);
	write_run("both", number[5], 'b', T0 + 2000, T0 + 3000, 2);
	write_file("data/runs.jsonl", "a", "{\n}\n{\"run\"\n");
	write_file("data/events.jsonl", "a", "[\n");
	text = REPORT(CLI_DONE, "--format", "text");
	assert_non_null(strstr(text, "Left out, as damaged: 4 files or lines."));
	csv = REPORT(CLI_DONE, "--format", "csv");
	assert_cell(csv, "mixed", "memory_oom_kills", NAN);
	assert_cell(csv, "both", "memory_oom_kills", 2);
	assert_cell(csv, "brief", "memory_oom_kills", 7);
	assert_cell(csv, "brief", "runs", 3);
	assert_cell(csv, "cut", "memory_oom_kills", 3);
	assert_cell(csv, "calm", "memory_oom_kills", 0);
	assert_cell(csv, "dark", "memory_oom_kills", NAN);
	assert_cell(csv, "old", "memory_oom_kills", 3);
}

static void test_usage(void **state)
{
	char *all[] = {
		REPORT(CLI_USAGE, "--by", "colour"),
		REPORT(CLI_USAGE, "--format", "pdf"),
		REPORT(CLI_USAGE, "--json", "--format", "csv"),
		REPORT(CLI_USAGE, "--percentile", "0"),
		REPORT(CLI_USAGE, "--margin", "much"),
		REPORT(CLI_USAGE, "--from", "never"),
		REPORT(CLI_USAGE, "--from", "2025-12-31"),
		REPORT(CLI_USAGE, "--from-json"),
		REPORT(CLI_STALE, "--from", "2000-01-01", "--to", "2000-02-01"),
		REPORT(CLI_NO_INSTANCE, "no-such-name"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_zabbix),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_kills),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
