/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../cli/cli.h"
#include "../../cli/top-model.h"
#include "../../cli/top-view.h"
#include "../../lib/ring.h"

/* --- samples ---------------------------------------------------------------------------------- */

#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define SEC   NSEC_PER_SEC
#define CORE  NSEC_PER_SEC
#define T0    (UINT64_C(1714564800) * SEC) /* 2024-05-01 12:00:00 UTC */
#define SLOTS 200

struct sample {
	struct snapshot_builder *builder;
	struct snapshot_row row;
	struct value values[SLOTS];
};

static void begin_row(struct sample *s, uint32_t index, const char *name, uint64_t run)
{
	memset(s->values, 0, sizeof(s->values));
	s->row = (struct snapshot_row){.index = index, .run = run, .values = s->values};
	s->row.text[TEXT_NAME] = s->row.text[TEXT_HANDLE] = name;
}

static void set(struct sample *s, unsigned int id, uint64_t n)
{
	s->values[metric_slot(id)] = value_of(n);
}

static void set_unlimited(struct sample *s, unsigned int id)
{
	s->values[metric_slot(id)] = value_unlimited();
}

static void end_row(struct sample *s, enum metric_scope scope)
{
	assert_int_equal(snapshot_builder_add(s->builder, scope, &s->row), 0);
}

static void add_host(struct sample *s, uint64_t boot, uint64_t time_ns)
{
	begin_row(s, 0, "host1", boot);
	set(s, METRIC_HOST_CPUS, 4 * CORE);
	set(s, METRIC_HOST_CPU_USED_CORES, CORE * 3 / 2);
	set(s, METRIC_CPU_COMMITTED, CORE * 5 / 2);
	set(s, METRIC_HOST_MEMORY_TOTAL, 8 * GIB);
	set(s, METRIC_HOST_MEMORY_AVAILABLE, GIB);
	set(s, METRIC_MEMORY_COMMITTED, 10 * GIB);
	set(s, METRIC_HOST_TASKS, 300);
	set(s, METRIC_HOST_TASKS_LIMIT, 32768);
	set(s, METRIC_HOST_PIDS_LIMIT, 4194304);
	set(s, METRIC_INSTANCES_RUNNING, 3);
	set(s, METRIC_MEMORY_UNLIMITED_INSTANCES, 1);
	set(s, METRIC_MEMORY_UNLIMITED_WORKING_SET, 512 * MIB);
	set(s, METRIC_CPU_UNLIMITED_INSTANCES, 2);
	set(s, METRIC_COLLECTOR_MISSED_CYCLES, 2);
	set(s, METRIC_COLLECTOR_START_TIME, time_ns - 3600 * SEC);
	end_row(s, SCOPE_HOST);
}

/* An instance under quota. `n` counts the samples, and all counters rise with it. */
static void add_web(struct sample *s, uint64_t run, uint64_t n)
{
	begin_row(s, 7, "web01", run);
	s->row.text[TEXT_HOSTNAME] = "web01.example.org";
	s->row.text[TEXT_GROUPS] = "web\nprod";
	s->row.text[TEXT_CGROUPS] = "memory=/lxc.payload.web01\ncpu=/lxc.payload.web01";
	set(s, METRIC_CPU_USED_CORES, CORE * 97 / 100);
	set(s, METRIC_CPU_LIMIT, CORE);
	set(s, METRIC_MEMORY_WORKING_SET, 900 * MIB); /* 87.9 % */
	set(s, METRIC_MEMORY_LIMIT, GIB);
	set(s, METRIC_PIDS_CURRENT, 50);
	set(s, METRIC_PIDS_LIMIT, 100);
	set(s, METRIC_IO_READ_BYTES, 5 * GIB + n * 8 * MIB); /* 1 MiB/s over 8 s */
	set(s, METRIC_IO_WRITE_BYTES, n * 4096);             /* 512 B/s */
	set(s, METRIC_NETWORK_RECEIVE_BYTES, n * 800 * GIB); /* 100 GiB/s: beyond 64 bits */
	set(s, METRIC_NETWORK_TRANSMIT_BYTES, n * 0);        /* none, but known */
	set(s, METRIC_CPU_PERIODS, n * 80);
	set(s, METRIC_CPU_THROTTLED_PERIODS, n * 20);      /* 25 % */
	set(s, METRIC_CPU_PRESSURE_SOME, n * 6 * SEC);     /* 75 % */
	set(s, METRIC_MEMORY_PRESSURE_SOME, n * 80000000); /* 1 % */
	set(s, METRIC_IO_PRESSURE_SOME, n * 2 * SEC);      /* 25 % */
	set(s, METRIC_CPU_USAGE, n * 4 * SEC);
	set(s, METRIC_MEMORY_OOM_KILLS, n);
	set(s, METRIC_DISK_USED, 12 * GIB);
	set(s, METRIC_DISK_LIMIT, 50 * GIB);
	set(s, METRIC_UPTIME, 750 * SEC);
	end_row(s, SCOPE_INSTANCE);
}

static void add_unlimited(struct sample *s, uint32_t index, const char *name)
{
	begin_row(s, index, name, 1);
	set(s, METRIC_CPU_USED_CORES, CORE / 2); /* an eighth of four */
	set_unlimited(s, METRIC_CPU_LIMIT);
	set(s, METRIC_MEMORY_WORKING_SET, 512 * MIB); /* a 16th of 8 GiB */
	set_unlimited(s, METRIC_MEMORY_LIMIT);
	set(s, METRIC_PIDS_CURRENT, 3);
	set_unlimited(s, METRIC_PIDS_LIMIT);
	end_row(s, SCOPE_INSTANCE);
}

static void add_unknown(struct sample *s, uint32_t index, const char *name)
{
	begin_row(s, index, name, 1);
	end_row(s, SCOPE_INSTANCE);
}

struct fixture {
	char dir[64], path[96], ring[96];
	struct sample sample;
	struct top_model model;
	struct config config;
	char text[1 << 16];
	uint64_t sequence; /* of the ring's newest record; 0: the number of the sample */
	bool marked;       /* attributes as <c>...</> */
};

static void begin(struct fixture *f)
{
	snapshot_builder_reset(f->sample.builder);
}

/* Sample number n is n times 8 s after the first moment, though the interval is 10 s. */
static void publish(struct fixture *f, uint64_t n)
{
	struct snapshot_info info = {.time_ns = T0 + n * 8 * SEC,
		.monotonic_ns = 1000 * SEC + n * 8 * SEC,
		.interval_ns = 10 * SEC,
		.sequence = f->sequence ? f->sequence : n};

	assert_int_equal(snapshot_builder_publish(f->sample.builder, f->path, &info), 0);
}

static void refresh(struct fixture *f)
{
	assert_int_equal(top_model_refresh(&f->model, f->path, f->ring), 1);
	f->model.age_ns = 3 * SEC;
}

static void publish_web(struct fixture *f, uint64_t boot, uint64_t run, uint64_t n)
{
	begin(f);
	add_host(&f->sample, boot, T0 + n * 8 * SEC);
	add_web(&f->sample, run, n);
	publish(f, n);
	refresh(f);
}

static void publish_three(struct fixture *f, uint64_t n)
{
	begin(f);
	add_host(&f->sample, 1, T0 + n * 8 * SEC);
	add_unknown(&f->sample, 9, "データ"); /* three characters, six columns */
	add_web(&f->sample, 1, n);
	add_unlimited(&f->sample, 8, "db");
	publish(f, n);
	refresh(f);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/loadcell-test-top.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/snapshot", f->dir);
	snprintf(f->ring, sizeof(f->ring), "%s/recent", f->dir);
	f->sample.builder = snapshot_builder_new();
	assert_non_null(f->sample.builder);
	f->model.config = &f->config;
	f->model.sort = COLUMN_CPU;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	top_model_free(&f->model);
	snapshot_builder_free(f->sample.builder);
	unlink(f->path);
	unlink(f->ring);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* --- views as text ---------------------------------------------------------------------------- */

static void text_put(void *data, enum top_attribute a, const char *text)
{
	static const char marks[ATTRIBUTE_COUNT] = {' ', 'f', 'b', 's', 'w', 'c', 't', 'k', 'o'};
	struct fixture *f = data;
	size_t len = strlen(f->text);

	if (f->marked && a != ATTRIBUTE_NORMAL)
		snprintf(f->text + len, sizeof(f->text) - len, "<%c>%s</>", marks[a], text);
	else
		snprintf(f->text + len, sizeof(f->text) - len, "%s", text);
}

static void text_end_line(void *data)
{
	struct fixture *f = data;

	strcat(f->text, "|\n");
}

static struct top_sink text_sink(struct fixture *f)
{
	f->text[0] = '\0';
	return (struct top_sink){text_put, text_end_line, f};
}

static void view_table(struct fixture *f, size_t width)
{
	struct top_sink sink = text_sink(f);
	struct top_layout layout;

	top_layout_for(&f->model, width, &layout);
	top_view_titles(&f->model, &layout, &sink);
	for (size_t i = 0; i < f->model.shown_count; i++)
		top_view_row(&f->model, &layout, f->model.shown[i], &sink);
}

static const struct top_row *row_of(struct fixture *f, uint32_t index)
{
	for (size_t i = 0; i < f->model.all_count; i++)
		if (f->model.all[i].index == index)
			return &f->model.all[i];
	fail_msg("no row %u", index);
	return f->model.all;
}

static void expect_rate(struct fixture *f, enum top_column_id column, uint64_t expected)
{
	struct value v = row_of(f, 7)->value[column];

	assert_int_equal(v.state, VALUE_PRESENT);
	assert_int_equal(v.number, expected);
}

static void expect_no_rates(struct fixture *f)
{
	static const enum top_column_id columns[] = {COLUMN_READ, COLUMN_WRITE, COLUMN_RECEIVE,
		COLUMN_TRANSMIT, COLUMN_PRESSURE_CPU, COLUMN_PRESSURE_MEMORY, COLUMN_PRESSURE_IO,
		COLUMN_THROTTLED};

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		assert_int_equal(row_of(f, 7)->value[columns[i]].state, VALUE_ABSENT);
}

/* --- the model -------------------------------------------------------------------------------- */

static void rates_are_per_elapsed_second(void **state)
{
	struct fixture *f = *state;

	publish_web(f, 1, 1, 1);
	expect_no_rates(f);
	publish_web(f, 1, 1, 2);
	expect_rate(f, COLUMN_READ, MIB);
	expect_rate(f, COLUMN_WRITE, 512);
	expect_rate(f, COLUMN_RECEIVE, 100 * GIB);
	expect_rate(f, COLUMN_TRANSMIT, 0);
	expect_rate(f, COLUMN_PRESSURE_CPU, 750000000);
	expect_rate(f, COLUMN_PRESSURE_MEMORY, 10000000);
	expect_rate(f, COLUMN_PRESSURE_IO, 250000000);
	expect_rate(f, COLUMN_THROTTLED, 250000000);
	/* Two cycles were not looked at: twice the rise in twice the time. */
	publish_web(f, 1, 1, 4);
	expect_rate(f, COLUMN_READ, MIB);
	expect_rate(f, COLUMN_PRESSURE_CPU, 750000000);
}

static void nothing_new_keeps_the_rates(void **state)
{
	struct fixture *f = *state;

	publish_web(f, 1, 1, 1);
	publish_web(f, 1, 1, 2);
	assert_int_equal(top_model_refresh(&f->model, f->path, f->ring), 0);
	expect_rate(f, COLUMN_READ, MIB);
	publish(f, 2); /* another file with the same sample */
	assert_int_equal(top_model_refresh(&f->model, f->path, f->ring), 0);
	expect_rate(f, COLUMN_READ, MIB);
}

static void a_restart_is_no_spike(void **state)
{
	struct fixture *f = *state;

	publish_web(f, 1, 1, 1);
	publish_web(f, 1, 2, 2); /* another run, with higher counters */
	expect_no_rates(f);
	assert_int_equal(row_of(f, 7)->ratio[COLUMN_OOM].state, VALUE_ABSENT);
	publish_web(f, 1, 2, 3);
	expect_rate(f, COLUMN_READ, MIB);
	publish_web(f, 2, 2, 4); /* another boot: its monotonic clock is another one */
	expect_no_rates(f);
	publish_web(f, 2, 2, 5);
	expect_rate(f, COLUMN_READ, MIB);
	publish_web(f, 2, 2, 1); /* time and counters step back */
	expect_no_rates(f);
}

/* One record of the ring: web01, and an interface that must not be taken for an instance. */
static void put_record(struct fixture *f, struct ring *ring, uint64_t run, uint64_t n)
{
	struct ring_row row = {.scope = SCOPE_INTERFACE, .index = 7, .run = 1};
	uint64_t seq;

	assert_int_equal(ring_begin(ring, T0 + n * 8 * SEC, 1000 * SEC + n * 8 * SEC, 10 * SEC), 0);
	begin(f);
	add_web(&f->sample, run, n);
	assert_int_equal(ring_add(ring, &row, f->sample.values), 0);
	row = (struct ring_row){.scope = SCOPE_INSTANCE, .index = 7, .run = run};
	assert_int_equal(ring_add(ring, &row, f->sample.values), 0);
	assert_int_equal(ring_commit(ring, &seq), 0);
	f->sequence = seq;
}

static void the_ring_gives_the_first_rates(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct ring *ring = NULL;

	assert_int_equal(ring_create(f->ring, 1 << 20, &ring, NULL, &err), 0);
	put_record(f, ring, 1, 1);
	put_record(f, ring, 1, 2);
	publish_web(f, 1, 1, 2);
	expect_rate(f, COLUMN_READ, MIB);
	expect_rate(f, COLUMN_PRESSURE_CPU, 750000000);

	/* Another run began since: none. */
	top_model_free(&f->model);
	f->model.config = &f->config;
	publish_web(f, 1, 2, 2);
	expect_no_rates(f);
	ring_close(ring);
}

static void a_falling_counter_has_no_rate(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add_web(&f->sample, 1, 5);
	publish(f, 1);
	refresh(f);
	begin(f);
	add_web(&f->sample, 1, 4);
	publish(f, 2);
	refresh(f);
	assert_int_equal(row_of(f, 7)->value[COLUMN_READ].state, VALUE_ABSENT);
	assert_int_equal(row_of(f, 7)->value[COLUMN_THROTTLED].state, VALUE_ABSENT);
}

static void bars_are_against_the_effective_limit(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	assert_int_equal(row_of(f, 7)->ratio[COLUMN_CPU].number, 970000000);
	assert_int_equal(row_of(f, 7)->level[COLUMN_CPU], LEVEL_CRITICAL);
	assert_int_equal(row_of(f, 7)->ratio[COLUMN_MEMORY].number, 878906250);
	assert_int_equal(row_of(f, 7)->level[COLUMN_MEMORY], LEVEL_WARNING);
	assert_int_equal(row_of(f, 7)->worst, LEVEL_CRITICAL);
	/* Unlimited: against the host's total. */
	assert_int_equal(row_of(f, 8)->ratio[COLUMN_CPU].number, 125000000);
	assert_int_equal(row_of(f, 8)->ratio[COLUMN_MEMORY].number, 62500000);
	assert_int_equal(row_of(f, 8)->ratio[COLUMN_PIDS].state, VALUE_ABSENT);
	assert_int_equal(row_of(f, 8)->worst, LEVEL_NORMAL);
	/* Absent: no ratio at all. */
	assert_int_equal(row_of(f, 9)->ratio[COLUMN_CPU].state, VALUE_ABSENT);
}

static void expect_order(struct fixture *f, uint32_t a, uint32_t b, uint32_t c)
{
	assert_int_equal(f->model.shown_count, 3);
	assert_int_equal(f->model.shown[0]->index, a);
	assert_int_equal(f->model.shown[1]->index, b);
	assert_int_equal(f->model.shown[2]->index, c);
}

static void sorts_and_reverses_with_absent_last(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	expect_order(f, 7, 8, 9); /* by CPU, highest first */
	top_model_sort_by(&f->model, COLUMN_CPU);
	expect_order(f, 8, 7, 9);
	top_model_sort_by(&f->model, COLUMN_NAME); /* db, web01, データ */
	expect_order(f, 8, 7, 9);
	top_model_sort_by(&f->model, COLUMN_NAME);
	expect_order(f, 9, 7, 8);
	top_model_sort_by(&f->model, COLUMN_HOSTNAME); /* only web01 has one */
	expect_order(f, 7, 8, 9);
	top_model_sort_by(&f->model, COLUMN_READ); /* nobody has one: by name */
	expect_order(f, 8, 7, 9);
}

static void expect_filter(struct fixture *f, const char *filter, size_t shown)
{
	snprintf(f->model.filter, sizeof(f->model.filter), "%s", filter);
	top_model_arrange(&f->model);
	assert_int_equal(f->model.shown_count, shown);
}

static void filters_handle_hostname_and_group(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	expect_filter(f, "", 3);
	expect_filter(f, "EB0", 1);
	expect_filter(f, "example", 1);
	expect_filter(f, "prod", 1);
	expect_filter(f, "d*", 1);  /* db; not "prod", which only ends with it */
	expect_filter(f, "p*d", 1); /* the second group as a whole */
	expect_filter(f, "web?1", 1);
	expect_filter(f, "web\nprod", 0);
	expect_filter(f, "ム", 0);
	expect_filter(f, "タ", 1);
	expect_filter(f, "[", 0);
}

static void damage_keeps_the_last_sample(void **state)
{
	struct fixture *f = *state;
	struct top_sink sink = text_sink(f);

	assert_int_equal(top_model_refresh(&f->model, f->path, f->ring), -ENOENT);
	assert_int_equal(top_view_banner(&f->model, 200, &sink), 1);
	assert_non_null(strstr(f->text, "NO DATA: "));
	assert_non_null(strstr(f->text, "/snapshot does not exist"));
	assert_int_equal(top_view_header(&f->model, 200, false, &sink), 1);

	publish_web(f, 1, 1, 1);
	sink = text_sink(f);
	assert_int_equal(top_view_banner(&f->model, 200, &sink), 0);
	assert_int_equal(truncate(f->path, 100), 0);
	snapshot_close(f->model.snapshot); /* its mapping lost its pages with the truncation */
	f->model.snapshot = NULL;
	assert_true(top_model_refresh(&f->model, f->path, f->ring) < 0);

	publish_web(f, 1, 1, 2);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(top_model_refresh(&f->model, f->path, f->ring), -ENOENT);
	assert_int_equal(top_view_banner(&f->model, 200, &sink), 1);
	assert_int_equal(f->model.shown_count, 1);
	publish_web(f, 1, 1, 3);
	assert_string_equal(f->model.error.text, "");
}

static void stale_data_says_so(void **state)
{
	struct fixture *f = *state;
	struct top_sink sink;

	f->config.stale_after_ns = 30 * SEC;
	publish_web(f, 1, 1, 1);
	f->model.age_ns = 30 * SEC;
	sink = text_sink(f);
	assert_int_equal(top_view_banner(&f->model, 80, &sink), 0);
	f->model.age_ns = 192 * SEC;
	assert_int_equal(top_view_banner(&f->model, 80, &sink), 1);
	assert_string_equal(f->text, "STALE: the last sample is 3m12s old. Is loadcelld running?"
				     "                      |\n");
}

/* --- the view --------------------------------------------------------------------------------- */

static void table_fits_80(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	publish_three(f, 2);
	view_table(f, 80);
	assert_string_equal(f->text, "NAME                CPU              MEM  PIDS  RD/s  WR/s  "
				     "RX/s  TX/s pMEM THR%|\n"
				     "web01    |||.    0.97/1 |||.     900M/1G    50    1M  512B  "
				     "100G     0 1.0%  25%|\n"
				     "db       |...  0.50/max |...    512M/max     3     -     -   "
				     "  -     -    -    -|\n"
				     "データ   ....         - ....           -     -     -     -   "
				     "  -     -    -    -|\n");
}

static void table_fits_40(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	publish_three(f, 2);
	view_table(f, 40);
	assert_string_equal(f->text, "NAME                CPU              MEM|\n"
				     "web01    |||.    0.97/1 |||.     900M/1G|\n"
				     "db       |...  0.50/max |...    512M/max|\n"
				     "データ   ....         - ....           -|\n");
}

static void table_grows(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	publish_three(f, 2);
	strcpy(f->model.filter, "web");
	top_model_arrange(&f->model);
	/* First the texts whole, then limits, then longer bars. */
	view_table(f, 132);
	assert_string_equal(f->text,
		"NAME                CPU              MEM  PIDS  RD/s  WR/s  RX/s  TX/s pCPU pMEM "
		" pIO THR%  DISK UPTIME   OOM HOSTNAME      GROUPS  |\n"
		"web01    |||.    0.97/1 |||.     900M/1G    50    1M  512B  100G     0  75% 1.0% "
		" 25%  25%   12G 12m30s     2 web01.exampl… web,prod|\n");
	view_table(f, 160);
	assert_string_equal(f->text,
		"NAME                      CPU                    MEM        PIDS  RD/s  WR/s  "
		"RX/s  "
		"TX/s pCPU pMEM  pIO THR%        DISK UPTIME   OOM HOSTNAME          GROUPS  |\n"
		"web01    |||||||||.    0.97/1 ||||||||..     900M/1G      50/100    1M  512B  "
		"100G  "
		"   0  75% 1.0%  25%  25%     12G/50G 12m30s     2 web01.example.org web,prod|\n");
}

static void marks_levels_and_titles(void **state)
{
	struct fixture *f = *state;

	publish_web(f, 1, 1, 1);
	f->marked = true;
	view_table(f, 40);
	/* 97 % of the CPU limit is critical, 88 % of the memory a warning; the name has the worst.
	 */
	assert_string_equal(f->text, "<k>N</><t>AME</><t>    </><t> </><t>           </><o>CPU</>"
				     "<t> </><t>             </><k>M</><t>EM</>|\n"
				     "<c>web01   </> <c>|||</><f>.</><c>    0.97/1</>"
				     " <w>|||</><f>.</><w>     900M/1G</>|\n");
	top_model_sort_by(&f->model, COLUMN_NAME);
	view_table(f, 9);
	assert_string_equal(f->text, "<o>NAME</><t>    </><t> </>|\n<c>web01   </>|\n");
}

static void hostile_names_are_escaped_and_cut(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add_unlimited(&f->sample, 1, "a\x1b[2J\nb");
	add_unlimited(&f->sample, 2, "データベースサーバー一号機");
	publish(f, 1);
	refresh(f);
	view_table(f, 40);
	/* There is no host row: nothing to measure the bars of the unlimited against. */
	assert_string_equal(f->text, "NAME                CPU              MEM|\n"
				     "a\\x1b[2… ....  0.50/max ....    512M/max|\n"
				     "データ…  ....  0.50/max ....    512M/max|\n");
}

static void header_says_what_is_free_and_wrong(void **state)
{
	struct fixture *f = *state;
	struct top_sink sink;

	publish_three(f, 1);
	sink = text_sink(f);
	assert_int_equal(top_view_header(&f->model, 80, false, &sink), 4);
	assert_string_equal(f->text,
		"host1  2024-05-01 12:00:08  3s ago  every 10s  collector up 1h|\n"
		"CPU     1.50 of 4.00 used  2.50 committed  1.50 free  tasks 300 of 32768|\n"
		"Memory  7G of 8G used  1G available  10G committed  2G OVERCOMMITTED|\n"
		"3 running  1 unlimited in memory (512M)  2 in CPU  2 missed cycles|\n");
	sink = text_sink(f);
	assert_int_equal(top_view_header(&f->model, 40, true, &sink), 2);
	assert_string_equal(f->text, "host1  2024-05-01 12:00:08  3s ago|\n"
				     "CPU 1.50/4.00  MEM 7G/8G|\n");
}

static void no_line_is_wider_than_asked(void **state)
{
	struct fixture *f = *state;

	publish_three(f, 1);
	publish_three(f, 2);
	snprintf(f->model.filter, sizeof(f->model.filter), "*");
	top_model_arrange(&f->model);
	assert_int_equal(f->model.shown_count, 3);
	for (size_t width = 1; width < 300; width++) {
		struct top_status status = {.lines = 1, .total = 3, .delay_ns = SEC};
		char *save = NULL;

		view_table(f, width);
		struct top_sink sink = {text_put, text_end_line, f};
		top_view_header(&f->model, width, false, &sink);
		top_view_header(&f->model, width, true, &sink);
		top_view_status(&f->model, width, &status, &sink);
		top_view_help(width, 0, 100, &sink);
		top_view_details(&f->model, row_of(f, 7), width, 0, 200, &sink);
		assert_true(strlen(f->text) < sizeof(f->text) - 1);
		for (char *line = strtok_r(f->text, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save))
			if (text_width(line) > width + 1)
				fail_msg("at width %zu: %s", width, line);
	}
}

static void details_show_every_metric(void **state)
{
	struct fixture *f = *state;
	const struct metric *metric;
	struct top_sink sink;
	size_t lines;

	publish_three(f, 1);
	publish_three(f, 2);
	sink = text_sink(f);
	lines = top_view_details(&f->model, row_of(f, 7), 80, 0, 1000, &sink);
	for_each_metric (SCOPE_INSTANCE, slot, metric)
		assert_non_null(strstr(f->text, metric->name));
	assert_non_null(strstr(
		f->text, "\nio_read_bytes                                  5.0G     1M/s|\n"));
	assert_non_null(strstr(
		f->text, "\ncpu_usage_seconds                                8s      50%|\n"));
	assert_non_null(strstr(f->text, "\ngroup                           prod|\n"));
	sink = text_sink(f);
	assert_int_equal(top_view_details(&f->model, row_of(f, 7), 80, 3, 1, &sink), lines);
	assert_string_equal(f->text, "group                           prod|\n");
}

static void keys_are_unique(void **state)
{
	bool seen[256] = {false}, priority[COLUMN_COUNT] = {false};

	for (const char *p = "qh?/ +-="; *p; p++)
		seen[(unsigned char)*p] = true;
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		assert_false(seen[(unsigned char)top_columns[i].key]);
		seen[(unsigned char)top_columns[i].key] = true;
		assert_true(top_columns[i].priority < COLUMN_COUNT);
		assert_false(priority[top_columns[i].priority]);
		priority[top_columns[i].priority] = true;
		assert_true(strlen(top_columns[i].title) <= top_columns[i].width);
		assert_true(strchr(top_columns[i].title, top_columns[i].key) ||
			    strchr(top_columns[i].title, top_columns[i].key - 'a' + 'A'));
	}
}

/* --- the writer for tests/live/top.sh --------------------------------------------------------- */

/*
 * "write DIR COUNT N": publishes sample N with COUNT instances as DIR/snapshot. Samples are 10 s
 * apart, whenever they are written; instance I reads I MiB a second and uses I hundredths of a
 * core.
 */
static int write_sample(const char *dir, unsigned int count, uint64_t n)
{
	struct sample s = {.builder = snapshot_builder_new()};
	char path[512], name[32];
	struct snapshot_info info = {.interval_ns = 10 * SEC, .sequence = n};
	uint64_t start = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/start", dir);
	file = fopen(path, "r+");
	if (!file || fread(&start, sizeof(start), 1, file) != 1) {
		start = now_ns(CLOCK_MONOTONIC) - 10 * SEC;
		file = file ? file : fopen(path, "w");
		if (!file || fwrite(&start, sizeof(start), 1, file) != 1)
			return 1;
	}
	fclose(file);
	info.monotonic_ns = start + n * 10 * SEC;
	info.time_ns = now_ns(CLOCK_REALTIME);
	add_host(&s, 1, info.time_ns);
	add_unlimited(&s, 100001, "データ");
	for (unsigned int i = 1; i <= count; i++) {
		snprintf(name, sizeof(name), "inst%04u", i);
		begin_row(&s, i, name, 1);
		s.row.text[TEXT_GROUPS] = i % 2 ? "odd" : "even";
		set(&s, METRIC_CPU_USED_CORES, i * CORE / 100);
		set_unlimited(&s, METRIC_CPU_LIMIT);
		set(&s, METRIC_IO_READ_BYTES, n * 10 * i * MIB);
		end_row(&s, SCOPE_INSTANCE);
	}
	snprintf(path, sizeof(path), "%s/snapshot", dir);
	n = (uint64_t)snapshot_builder_publish(s.builder, path, &info);
	snapshot_builder_free(s.builder);
	return n != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(rates_are_per_elapsed_second),
		TEST(nothing_new_keeps_the_rates),
		TEST(a_restart_is_no_spike),
		TEST(the_ring_gives_the_first_rates),
		TEST(a_falling_counter_has_no_rate),
		TEST(bars_are_against_the_effective_limit),
		TEST(sorts_and_reverses_with_absent_last),
		TEST(filters_handle_hostname_and_group),
		TEST(damage_keeps_the_last_sample),
		TEST(stale_data_says_so),
		TEST(table_fits_80),
		TEST(table_fits_40),
		TEST(table_grows),
		TEST(marks_levels_and_titles),
		TEST(hostile_names_are_escaped_and_cut),
		TEST(header_says_what_is_free_and_wrong),
		TEST(no_line_is_wider_than_asked),
		TEST(details_show_every_metric),
		TEST(keys_are_unique),
	};

	setlocale(LC_ALL, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	tzset();
	if (argc == 5 && !strcmp(argv[1], "write"))
		return write_sample(argv[2], (unsigned int)atoi(argv[3]), (uint64_t)atoll(argv[4]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
