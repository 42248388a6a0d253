/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../cli/cli.h"
#include "../../lib/util.h"

/*
 * `loadcell fit` on exports of hosts whose loads are so plain that what fits is worked out by hand:
 * 64 cores, 64 GiB; `steady` uses 2 cores and 4 GiB all the time, `even` 10 cores in even hours and
 * `odd` in odd ones, and 4 GiB each.
 */
#define GIB UINT64_C(1073741824)

static char dir[64];

struct host {
	const char *name;
	size_t points;
	unsigned int cpus, step, before; /* seconds; it begins so much before START */
	const char *alone;               /* an instance that is on this host only, or NULL */
	double cycle[4];                 /* cores it uses in one point after the other */
	double disk;                     /* GiB that it has there; 0: not known */
	const char *filesystems;         /* NULL: an export of before there were any */
};

#define START UINT64_C(1793127600) /* an even hour */
#define HOUR  3600
#define DAY   24 /* points */

static const struct host hosts[] = {
	{"big", 20 * DAY, 64, HOUR, 0, NULL, {0}, 0, NULL},
	{"small", 20 * DAY, 17, HOUR, 0, NULL, {0}, 0, NULL},
	{"young", 10 * DAY, 64, HOUR, 0, NULL, {0}, 0, NULL},
	/* Begins with an odd hour: `nightly` works in even ones. */
	{"west", 20 * DAY + 1, 17, HOUR, HOUR, "nightly", {0, 10, 0, 10}, 0, NULL},
	/* 20 cores in the first half of even hours: 10 on the average. */
	{"fine", 40 * DAY, 17, HOUR / 2, 0, "halves", {20, 0, 0, 0}, 0, NULL},
	{"disks", 20 * DAY, 64, HOUR, 0, "store", {0}, 25,
		/* 30 and 50 GiB of 100 and 200 are left, and a full one. */
		"[{\"mount\":\"/\",\"size_bytes\":107374182400,\"available_bytes\":32212254720},"
		"{\"mount\":\"/srv\",\"size_bytes\":214748364800,\"available_bytes\":53687091200},"
		"{\"mount\":\"/old\",\"size_bytes\":1e12,\"available_bytes\":0},"
		"{\"mount\":\"/nfs\",\"size_bytes\":null,\"available_bytes\":null}]"},
	{"full", 20 * DAY, 64, HOUR, 0, NULL, {0}, 0,
		"[{\"mount\":\"/\",\"size_bytes\":107374182400,\"available_bytes\":0}]"},
	{"past", 20 * DAY, 64, HOUR, 365 * DAY *HOUR, "gone", {1, 1, 1, 1}, 0, NULL},
};

static void put_row(FILE *f, const char *name, size_t n, const double cycle[4], double disk)
{
	fprintf(f, "{\"name\":\"%s\",\"groups\":[],\"running\":true,\"figures\":{", name);
	if (disk > 0)
		fprintf(f, "\"disk_used_bytes\":%.0f", disk * (double)GIB);
	fputs("},\"series\":{\"cpu\":[", f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%g", i ? "," : "", cycle[i % 4]);
	fputs("],\"memory\":[", f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%ju", i ? "," : "", (uintmax_t)(4 * GIB));
	fputs("]}}", f);
}

static void make_host(const struct host *h)
{
	_cleanup_free_ char *path = format_string("%s/%s.json", dir, h->name);
	const uint64_t start = START - h->before;
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f,
		"{\"format\":\"loadcell-report\",\"schema\":1,\"from\":%ju,\"to\":%ju,"
		"\"start\":%ju,\"step_seconds\":%u,\"points\":%zu,"
		"\"peak_step_seconds\":3600,\"by\":\"instance\",\"host\":{\"name\":\"%s\","
		"\"figures\":{\"host_cpus\":%u,\"host_memory_bytes\":%ju}%s%s},\"rows\":[",
		(uintmax_t)start, (uintmax_t)(start + h->points * h->step), (uintmax_t)start,
		h->step, h->points, h->name, h->cpus, (uintmax_t)(64 * GIB),
		h->filesystems ? ",\"filesystems\":" : "", h->filesystems ? h->filesystems : "");
	put_row(f, "steady", h->points, (const double[]){2, 2, 2, 2}, 0);
	fputc(',', f);
	put_row(f, "even", h->points, (const double[]){10, 0, 10, 0}, 0);
	fputc(',', f);
	put_row(f, "odd", h->points, (const double[]){0, 10, 0, 10}, 0);
	if (h->alone) {
		fputc(',', f);
		put_row(f, h->alone, h->points, h->cycle, h->disk);
	}
	fputs("]}\n", f);
	assert_int_equal(fclose(f), 0);
}

static char *fit(int want, const char *const *more)
{
	char *argv[24] = {
		(char[]){"loadcell"}, (char[]){"-c"}, (char[]){"/dev/null"}, (char[]){"fit"}};
	char *text = NULL;
	int argc = 4, got;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (; *more; more++)
		argv[argc++] = (char *)(uintptr_t)*more;
	argv[argc] = NULL;
	got = cli_main(argc, argv, out, out);
	fclose(out);
	if (got != want)
		fail_msg("exit %d: %s", got, text);
	return text;
}
#define FIT(want, ...) fit(want, (const char *const[]){__VA_ARGS__, NULL})

/* The line of a host: what fits, what stops it. */
static void assert_fits(const char *text, const char *host, long fits, const char *stops)
{
	const char *line = strstr(text, host);
	char got_stops[16] = "";
	long got = -1;

	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(host), "%ld %15s", &got, got_stops), 2);
	assert_int_equal(got, fits);
	assert_string_equal(got_stops, stops);
}

static void test_numbers(void **state)
{
	_cleanup_free_ char *file = format_string("%s/big.json", dir);
	/* 12 cores are used at any time: 52 / 1.5; 12 GiB are: 52 / 2. */
	_cleanup_free_ char *cpu = FIT(CLI_DONE, "cpu=1.5", "--from-json", file);
	_cleanup_free_ char *both = FIT(CLI_DONE, "cpu=1.5,memory=2G", "--from-json", file);
	/* What fills it to the last byte fits. */
	_cleanup_free_ char *exact = FIT(CLI_DONE, "memory=52G", "--from-json", file);
	_cleanup_free_ char *over = FIT(CLI_FAILED, "memory=53G", "--from-json", file);

	assert_fits(cpu, "big", 34, "cpu");
	assert_fits(both, "big", 26, "memory");
	assert_fits(exact, "big", 1, "memory");
	assert_fits(over, "big", 0, "memory");
}

/* More of what works in even hours: 12 + 10 n at worst. With `odd` alone there, 2 + 10 n. */
static void test_like(void **state)
{
	_cleanup_free_ char *file = format_string("%s/big.json", dir);
	_cleanup_free_ char *like = FIT(CLI_DONE, "like=even", "--from-json", file);
	_cleanup_free_ char *gone =
		FIT(CLI_DONE, "like=even", "--remove", "even", "--from-json", file);
	_cleanup_free_ char *more = FIT(CLI_DONE, "like=even,cpu=20", "--from-json", file);

	assert_fits(like, "big", 5, "cpu");
	assert_fits(gone, "big", 6, "cpu");
	assert_fits(more, "big", 2, "cpu");
}

static void test_hosts(void **state)
{
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *small = format_string("%s/small.json", dir);
	_cleanup_free_ char *young = format_string("%s/young.json", dir);
	_cleanup_free_ char *text = FIT(CLI_DONE, "cpu=2", "--from-json", small, big, young);
	_cleanup_free_ char *json =
		FIT(CLI_DONE, "cpu=2", "--json", "--count", "3", "--from-json", small, big);

	assert_fits(text, "big", 26, "cpu");
	assert_fits(text, "small", 2, "cpu");
	assert_non_null(strstr(text, "young                          cpu: not enough data"));
	assert_non_null(strstr(text, "\nbig: with 1 more "));
	assert_non_null(strstr(json, "\"best\":\"big\""));
}

/*
 * What runs on one host, on others: its hours meet those of `even` (12 + 10 n of 64), and without
 * that one those of nobody (12, or 2 + 10 n). West, where it is already, has 17 cores.
 */
static void test_like_elsewhere(void **state)
{
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *west = format_string("%s/west.json", dir);
	_cleanup_free_ char *fine = format_string("%s/fine.json", dir);
	_cleanup_free_ char *past = format_string("%s/past.json", dir);
	_cleanup_free_ char *met =
		FIT(CLI_DONE, "like=nightly", "--remove", "big:odd", "--from-json", big, west);
	_cleanup_free_ char *shared =
		FIT(CLI_DONE, "like=nightly", "--remove", "big:even", "--from-json", big, west);
	_cleanup_free_ char *halves =
		FIT(CLI_DONE, "like=halves", "--remove", "big:odd", "--from-json", big, fine);
	_cleanup_free_ char *moved =
		FIT(CLI_DONE, "like=west:nightly", "--remove", "nightly", "--from-json", west, big);
	_cleanup_free_ char *chosen = FIT(CLI_DONE, "like=big:even", "--from-json", west, big);
	_cleanup_free_ char *never = FIT(CLI_DONE, "like=big:even", "--from-json", past, big);

	assert_fits(met, "big", 5, "cpu");
	assert_fits(met, "west", 0, "cpu"); /* 22 + 10 n of 17 */
	assert_fits(shared, "big", 6, "cpu");
	assert_fits(halves, "big", 5, "cpu");
	assert_fits(moved, "big", 5, "cpu");
	assert_fits(moved, "west", 0, "cpu"); /* 12 + 10 n of 17 */
	assert_fits(chosen, "big", 5, "cpu");
	/* 12 + 10 of 64. */
	assert_non_null(
		strstr(chosen, "\nbig: with 1 more its fullest resource, cpu, peaks at 34"));
	assert_non_null(
		strstr(never, "past                           cpu: no values at the same times"));
}

static void assert_says(char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in: %s", what, text);
	free(text);
}

static void test_like_which(void **state)
{
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *small = format_string("%s/small.json", dir);

	assert_says(FIT(CLI_FAILED, "like=even", "--from-json", big, small),
		"'even' is on big and on small: say which, such as like=big:even");
	assert_says(FIT(CLI_FAILED, "like=big:even", "--from-json", big, big),
		"'big:even' is in several exports of big");
	assert_says(FIT(CLI_NO_INSTANCE, "like=small:no", "--from-json", big, small),
		"nothing of 'small:no' is known in these exports");
	assert_says(FIT(CLI_NO_INSTANCE, "cpu=1", "--remove", "no", "--from-json", big, small),
		"nothing of 'no' is known in these exports");
	assert_says(FIT(CLI_USAGE, "like=even", "--from-json", "-"), "standard input");
}

/* On the roomiest file system of each: 50 GiB of 200 are left on one host, nothing on another. */
static void test_disk(void **state)
{
	_cleanup_free_ char *disks = format_string("%s/disks.json", dir);
	_cleanup_free_ char *full = format_string("%s/full.json", dir);
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *amount = FIT(CLI_DONE, "disk=20G", "--from-json", full, disks, big);
	_cleanup_free_ char *like = FIT(CLI_DONE, "like=store", "--from-json", full, disks, big);

	assert_fits(amount, "disks", 2, "disk");
	assert_fits(amount, "full", 0, "disk");
	assert_non_null(
		strstr(amount, "big                            disk: the host's own is not known"));
	free(FIT(CLI_STALE, "disk=20G", "--from-json", big));
	free(FIT(CLI_FAILED, "disk=20G", "--from-json", big, full));
	/* 150 + 20 of 200. */
	assert_non_null(
		strstr(amount, "\ndisks: with 1 more its fullest resource, disk, peaks at 85"));
	/* It has 25 GiB, and uses 4 GiB of memory: 52 (48 where it is already) / 4. What an old
	 * export does not tell is left out where nothing asks for it by name. */
	assert_fits(like, "disks", 2, "disk");
	assert_fits(like, "full", 0, "disk");
	assert_fits(like, "big", 13, "memory");
}

/* A host of its own words. */
static char *put_export(const char *name, const char *figures, const char *other, const char *rows)
{
	char *path = format_string("%s/%s.json", dir, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f,
		"{\"format\":\"loadcell-report\",\"schema\":1,\"from\":%ju,\"to\":%ju,"
		"\"start\":%ju,\"step_seconds\":3600,\"points\":480,"
		"\"peak_step_seconds\":3600,\"by\":\"instance\",\"host\":{\"name\":\"%s\","
		"\"figures\":{%s}%s},\"rows\":[%s]}\n",
		(uintmax_t)START, (uintmax_t)(START + 480 * HOUR), (uintmax_t)START, name, figures,
		other, rows);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* One that says nothing of its CPUs and memory is no place for what uses them. */
static void test_mute_host(void **state)
{
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *mute = put_export("mute", "", "", "");
	_cleanup_free_ char *text = FIT(CLI_DONE, "like=big:even", "--from-json", mute, big);

	assert_non_null(strstr(text, "\nmute                           cpu: the host's own is not "
				     "known\n"));
	assert_non_null(strstr(text, "\nbig: with 1 more "));
	free(FIT(CLI_STALE, "cpu=1", "--from-json", mute));
}

/* No instance yet, and two cores used beside: 31 of two each are free. */
static void test_idle_host(void **state)
{
	_cleanup_free_ char *path = NULL, *text = NULL, *other = NULL;
	size_t len;
	FILE *f = open_memstream(&other, &len);

	fputs(",\"series_other\":{\"cpu\":[", f);
	for (int i = 0; i < 480; i++)
		fputs(i ? ",2" : "2", f);
	fputs("]}", f);
	fclose(f);
	path = put_export("idle", "\"host_cpus\":64", other, "");
	text = FIT(CLI_DONE, "cpu=2", "--from-json", path);
	assert_fits(text, "idle", 31, "cpu");
}

/* 5 of 100 GiB are left, and `store` has 25 of them: without it, one more of it fits. */
static void test_remove_gives_disk_back(void **state)
{
	static const char figures[] = "\"host_cpus\":64,\"host_memory_bytes\":68719476736";
	static const char disks[] =
		",\"filesystems\":[{\"mount\":\"/\",\"size_bytes\":107374182400,"
		"\"available_bytes\":5368709120}]";
	_cleanup_free_ char *rows = NULL, *path = NULL, *text = NULL;
	size_t len;
	FILE *f = open_memstream(&rows, &len);

	put_row(f, "store", 480, (const double[]){1, 1, 1, 1}, 25);
	fclose(f);
	path = put_export("one", figures, disks, rows);
	text = FIT(CLI_DONE, "like=store", "--remove", "store", "--from-json", path);
	assert_fits(text, "one", 1, "disk");
	free(FIT(CLI_FAILED, "like=store", "--from-json", path));
}

/* A member by its path of names, which begins with the host's; NAN is null, and nothing else is. */
static void assert_member(const json_t *root, const char *host, const char *path, double want)
{
	_cleanup_free_ char *copy = strdup(path);
	json_t *all = json_object_get(root, "hosts"), *at = NULL, *h;
	char *rest = NULL;
	size_t i;

	json_array_foreach (all, i, h)
		if (!strcmp(json_string_value(json_object_get(h, "host")), host))
			at = h;
	for (char *key = strtok_r(copy, ".", &rest); key; key = strtok_r(NULL, ".", &rest))
		at = json_object_get(at, key);
	if (!at || (isnan(want) ? !json_is_null(at)
				: !json_is_number(at) || fabs(json_number_value(at) - want) > 1e-9))
		fail_msg("%s of %s: %s is not %g", path, host,
			at ? json_dumps(at, JSON_ENCODE_ANY) : "nothing", want);
}

static void test_json(void **state)
{
	static const char *const of_resource[] = {
		"fits", "days", "peak", "peak_then", "sure", "sure_at_least"};
	_cleanup_free_ char *disks = format_string("%s/disks.json", dir);
	_cleanup_free_ char *young = format_string("%s/young.json", dir);
	_cleanup_free_ char *text = FIT(
		CLI_DONE, "cpu=2,disk=20G", "--json", "--count", "2", "--from-json", disks, young);
	json_t *root = json_loads(text, 0, NULL), *first, *second;

	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "best")), "disks");
	first = json_array_get(json_object_get(root, "hosts"), 0);
	second = json_array_get(json_object_get(root, "hosts"), 1);
	assert_string_equal(json_string_value(json_object_get(first, "stops")), "disk");
	assert_string_equal(json_string_value(json_object_get(first, "fullest")), "disk");
	assert_true(json_is_true(json_object_get(first, "enough")));
	assert_member(root, "disks", "count", 2);
	assert_member(root, "disks", "fits", 2);
	assert_member(root, "disks", "fullest_ratio", 190 / 200.0);
	assert_member(root, "disks", "probability", 0.95);
	assert_member(root, "disks", "step_seconds", 3600);
	assert_member(root, "disks", "resources.cpu.capacity", 64);
	assert_member(root, "disks", "resources.cpu.fits", 26);
	assert_member(root, "disks", "resources.cpu.days", 20);
	assert_member(root, "disks", "resources.cpu.peak", 12);
	assert_member(root, "disks", "resources.cpu.peak_then", 16);
	assert_member(root, "disks", "resources.cpu.sure", 1);
	assert_member(root, "disks", "resources.cpu.why_not", NAN);
	assert_member(root, "disks", "resources.disk.peak", 150.0 * (double)GIB);
	assert_member(root, "disks", "resources.disk.days", NAN);
	assert_member(root, "disks", "resources.disk.sure", NAN);
	assert_false(json_is_true(json_object_get(second, "known")));
	assert_member(root, "young", "fits", NAN);
	assert_member(root, "young", "enough", NAN);
	assert_member(root, "young", "stops", NAN);
	assert_member(root, "young", "fullest_ratio", NAN);
	for (size_t i = 0; i < ARRAY_SIZE(of_resource); i++) {
		_cleanup_free_ char *path = format_string("resources.cpu.%s", of_resource[i]);

		assert_member(root, "young", path, NAN);
	}
	assert_member(root, "young", "resources.disk.capacity", NAN);
	assert_non_null(strstr(text, "\"why_not\":\"not-enough-data\""));
	assert_non_null(strstr(text, "\"why_not\":\"capacity-unknown\""));
	json_decref(root);
}

/* A document or a sentence, not half of one and the other. */
static void test_json_is_whole(void **state)
{
	_cleanup_free_ char *big = format_string("%s/big.json", dir);
	_cleanup_free_ char *bad = format_string("%s/bad.json", dir);
	_cleanup_free_ char *text = NULL;

	assert_int_equal(replace_file(bad, "{", 1, 0600, false), 0);
	text = FIT(CLI_FAILED, "cpu=1", "--json", "--from-json", big, bad);
	assert_null(strchr(text, '{'));
	assert_non_null(strstr(text, "bad.json"));
}

static void test_usage(void **state)
{
	char *all[] = {
		FIT(CLI_USAGE, "memory"),
		FIT(CLI_USAGE, "memory=much"),
		FIT(CLI_USAGE, "cpu=-1"),
		FIT(CLI_USAGE, "colour=red"),
		FIT(CLI_USAGE, ""),
		FIT(CLI_USAGE, "cpu=1", "--count", "0"),
		FIT(CLI_USAGE, "cpu=1", "--sure", "20%"),
		FIT(CLI_USAGE, "cpu=1", "--from-json"),
		FIT(CLI_USAGE, "cpu=1", "memory=1G"),
		FIT(CLI_USAGE, "--json"),
		FIT(CLI_FAILED, "cpu=1", "--from-json", "/etc/hostname"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/loadcell-test-fit.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		make_host(&hosts[i]);
	return 0;
}

static int teardown(void **state)
{
	_cleanup_free_ char *command = format_string("rm -r %s", dir);

	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_like),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_like_elsewhere),
		cmocka_unit_test(test_like_which),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_json_is_whole),
		cmocka_unit_test(test_mute_host),
		cmocka_unit_test(test_idle_host),
		cmocka_unit_test(test_remove_gives_disk_back),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
