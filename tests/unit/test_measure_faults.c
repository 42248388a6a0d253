/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>

#include "measured-tree.h"

/*
 * Copies of the fixture trees in which files change, vanish, are empty or senseless: limits of
 * ancestors, sums over instances and over nested cgroups, rates, and instances that die.
 */
#define PLENTY 10000

static struct instance *get(struct tree *t, const char *name)
{
	struct instance *in = tree_instance(t, name);

	if (!in)
		fail_msg("there is no instance %s", name);
	return in;
}

static struct value value_of_row(struct tree *t, const char *name, enum metric_id id)
{
	return get(t, name)->now[metric_slot(id)];
}

#define assert_number(t, name, id, expected)                                                       \
	do {                                                                                       \
		struct value v_ = value_of_row(t, name, id);                                       \
		assert_int_equal(v_.state, VALUE_PRESENT);                                         \
		assert_int_equal(v_.number, expected);                                             \
	} while (0)
#define assert_state(t, name, id, expected)                                                        \
	assert_int_equal(value_of_row(t, name, id).state, expected)
#define assert_limit(t, name, id, expected, holder)                                                \
	do {                                                                                       \
		assert_number(t, name, id, expected);                                              \
		assert_string_equal(limit_holder(t, get(t, name), id), holder);                    \
	} while (0)
#define assert_host(t, id, expected)                                                               \
	do {                                                                                       \
		struct value v_ = host_get(&(t)->s.host, id);                                      \
		assert_int_equal(v_.state, VALUE_PRESENT);                                         \
		assert_int_equal(v_.number, expected);                                             \
	} while (0)

/* Writes into the file as it stands, so that descriptors which are open see it. */
static void put(struct tree *t, const char *path, const char *text)
{
	_cleanup_free_ char *full = format_string("%s/%s", t->root, path);
	_cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static void take(struct tree *t, const char *path)
{
	_cleanup_free_ char *full = format_string("%s/%s", t->root, path);

	assert_int_equal(access(full, F_OK), 0);
	run_command("rm -rf", full, full);
}

static void make(struct tree *t, const char *path)
{
	_cleanup_free_ char *full = format_string("%s/%s", t->root, path);

	assert_int_equal(make_directories(full, 0755), 0);
}

static void start(struct tree *t, const char *fixture, size_t descriptors_max)
{
	tree_open(t, fixture, true);
	tree_find(t, descriptors_max);
}

#define CG "sys/fs/cgroup/"

/* --- limits of ancestors ---------------------------------------------------------------------- */

static void ancestor_binds(void **state)
{
	struct tree *t = *state;

	start(t, "v2-debian12-6.1", PLENTY);
	put(t, CG "lxc/memory.max", "20000000\n");
	put(t, CG "lxc/cpu.max", "25000 100000\n");
	put(t, CG "lxc/pids.max", "50\n");
	tree_cycle(t);
	assert_limit(t, "101", METRIC_MEMORY_LIMIT, 20000000, "/lxc");
	assert_limit(t, "101", METRIC_CPU_QUOTA, 250000000, "/lxc");
	assert_number(t, "101", METRIC_CPU_LIMIT, 250000000);
	assert_limit(t, "101", METRIC_PIDS_LIMIT, 50, "/lxc");
	assert_limit(t, "web01", METRIC_MEMORY_LIMIT, 50331648, "/lxc.payload.web01");

	/* A limit is read anew in each cycle; the word max does not bind. */
	put(t, CG "lxc/memory.max", "max\n");
	put(t, CG "lxc/cpu.max", "max 100000\n");
	put(t, CG "lxc/101/ns/pids.max", "50\n");
	tree_cycle(t);
	assert_limit(t, "101", METRIC_MEMORY_LIMIT, 50331648, "/lxc/101");
	assert_state(t, "101", METRIC_CPU_QUOTA, VALUE_UNLIMITED);
	assert_null(limit_holder(t, get(t, "101"), METRIC_CPU_QUOTA));
	/* Of equal limits, the instance's own is the one that is named. */
	assert_limit(t, "101", METRIC_PIDS_LIMIT, 50, "/lxc/101/ns");
}

/* Cycles until the limit of "101" is `expected`, at most 40. */
static int cycles_until(struct tree *t, uint64_t expected)
{
	for (int i = 1; i <= 40; i++) {
		tree_cycle(t);
		if (value_of_row(t, "101", METRIC_MEMORY_LIMIT).number == expected)
			return i;
	}
	return 0;
}

/* Who writes the limits of a watched level is told of: they are not read in each cycle. */
static void watched_limits(void **state)
{
	struct tree *t = *state;
	struct levels *levels;

	start(t, "v2-debian12-6.1", PLENTY);
	levels = t->s.measure.levels;
	put(t, CG "lxc/memory.max", "20000000\n");
	tree_cycle(t);
	/* Written before the watch was told of. */
	put(t, CG "lxc/memory.max", "21000000\n");
	levels_changed(levels, CONTROLLER_MEMORY, "/lxc");
	assert_int_equal(cycles_until(t, 21000000), 1);
	/* Untold it is found all the same, once in 32 cycles. */
	put(t, CG "lxc/memory.max", "22000000\n");
	assert_in_range(cycles_until(t, 22000000), 1, 32);
	put(t, CG "lxc/memory.max", "23000000\n");
	assert_int_equal(cycles_until(t, 23000000), 32);
	/* Told of, it is read in the next cycle, the files of other controllers too. */
	put(t, CG "lxc/memory.max", "24000000\n");
	put(t, CG "lxc/pids.max", "50\n");
	levels_changed(levels, CONTROLLER_MEMORY, "/lxc");
	assert_int_equal(cycles_until(t, 24000000), 1);
	assert_limit(t, "101", METRIC_PIDS_LIMIT, 50, "/lxc");
	put(t, CG "lxc/memory.max", "25000000\n");
	levels_changed(levels, CONTROLLER_MEMORY, "/lxc/10");
	levels_changed(levels, CONTROLLER_NONE, NULL);
	assert_int_equal(cycles_until(t, 25000000), 1);
	/* The instance's own level is not watched. */
	put(t, CG "lxc/101/memory.max", "1000000\n");
	assert_int_equal(cycles_until(t, 1000000), 1);
}

/* What could not be read is tried again in each cycle, watched or not. */
static void watched_and_unreadable(void **state)
{
	struct tree *t = *state;

	start(t, "v2-debian12-6.1", PLENTY);
	tree_cycle(t);
	put(t, CG "lxc/memory.max", "what?\n");
	levels_changed(t->s.measure.levels, CONTROLLER_MEMORY, "/lxc");
	tree_cycle(t);
	assert_state(t, "101", METRIC_MEMORY_LIMIT, VALUE_ABSENT);
	put(t, CG "lxc/memory.max", "20000000\n");
	assert_int_equal(cycles_until(t, 20000000), 1);
}

static void minus_one_does_not_bind(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	put(t, CG "cpu/lxc/cpu.cfs_quota_us", "150000\n");
	put(t, CG "cpu/lxc/101/ns/cpu.cfs_quota_us", "-1\n");
	tree_cycle(t);
	assert_limit(t, "101", METRIC_CPU_QUOTA, 1500000000, "/lxc");
	put(t, CG "cpu/lxc/101/cpu.cfs_quota_us", "10000\n");
	put(t, CG "cpu/lxc/101/cpu.cfs_period_us", "50000\n");
	tree_cycle(t);
	assert_limit(t, "101", METRIC_CPU_QUOTA, 200000000, "/lxc/101");
	put(t, CG "cpu/lxc/101/cpu.cfs_quota_us", "-1\n");
	put(t, CG "cpu/lxc/cpu.cfs_quota_us", "-1\n");
	tree_cycle(t);
	assert_state(t, "101", METRIC_CPU_QUOTA, VALUE_UNLIMITED);
}

/* Kernels below 5.11 with use_hierarchy off hand no limit down: what memory.stat says counts. */
static void kernel_knows_the_limit(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	put(t, CG "memory/lxc/memory.limit_in_bytes", "1000000\n");
	tree_cycle(t);
	assert_limit(t, "101", METRIC_MEMORY_LIMIT, 50331648, "/lxc/101");
	put(t, CG "memory/lxc/101/memory.limit_in_bytes", "9223372036854771712\n");
	tree_cycle(t);
	assert_number(t, "101", METRIC_MEMORY_LIMIT, 50331648);
	assert_null(limit_holder(t, get(t, "101"), METRIC_MEMORY_LIMIT));
}

static void limit_files_missing(void **state)
{
	struct tree *t = *state;

	tree_open(t, "v2-debian12-6.1", true);
	take(t, CG "lxc/memory.max");
	take(t, CG "lxc/101/memory.max");
	take(t, CG "lxc/pids.max");
	take(t, CG "lxc/101/pids.max");
	take(t, CG "lxc/101/ns/pids.max");
	tree_find(t, PLENTY);
	tree_cycle(t);
	assert_state(t, "101", METRIC_MEMORY_LIMIT, VALUE_UNLIMITED);
	assert_state(t, "101", METRIC_PIDS_LIMIT, VALUE_ABSENT);
	/* A controller that is enabled later is found after a while. */
	put(t, CG "lxc/101/pids.max", "77\n");
	for (int i = 0; i < 40; i++)
		tree_cycle(t);
	assert_limit(t, "101", METRIC_PIDS_LIMIT, 77, "/lxc/101");
	assert_host(t, METRIC_COLLECTOR_READ_ERRORS, 0);
}

/* Unlimited would be a lie where a level's limit cannot be read. */
static void limit_files_senseless(void **state)
{
	struct tree *t = *state;

	start(t, "v2-debian12-6.1", PLENTY);
	put(t, CG "lxc/101/memory.max", "none\n");
	put(t, CG "lxc/cpu.max", "");
	tree_cycle(t);
	assert_state(t, "101", METRIC_MEMORY_LIMIT, VALUE_ABSENT);
	assert_state(t, "101", METRIC_CPU_QUOTA, VALUE_ABSENT);
	assert_state(t, "101", METRIC_PIDS_LIMIT, VALUE_UNLIMITED);
	assert_limit(t, "web01", METRIC_MEMORY_LIMIT, 50331648, "/lxc.payload.web01");
	assert_host(t, METRIC_COLLECTOR_READ_ERRORS, 2);
}

/* Proxmox: what is counted where the limit is hit is read there, what is used in the instance. */
static void limit_on_the_parent(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	put(t, CG "memory/lxc/101/memory.failcnt", "9\n");
	put(t, CG "memory/lxc/101/memory.oom_control", "oom_kill 3\n");
	put(t, CG "memory/lxc/101/memory.usage_in_bytes", "1\n");
	put(t, CG "cpu/lxc/101/cpu.stat", "nr_periods 5\nnr_throttled 4\nthrottled_time 77\n");
	put(t, CG "pids/lxc/101/pids.events", "max 6\n");
	tree_cycle(t);
	assert_number(t, "101", METRIC_MEMORY_LIMIT_HITS, 9);
	assert_number(t, "101", METRIC_MEMORY_OOM_KILLS, 3);
	assert_number(t, "101", METRIC_MEMORY_USAGE, 569344);
	assert_number(t, "101", METRIC_CPU_PERIODS, 5);
	assert_number(t, "101", METRIC_CPU_THROTTLED_PERIODS, 4);
	assert_number(t, "101", METRIC_CPU_THROTTLED, 77);
	assert_number(t, "101", METRIC_PIDS_LIMIT_HITS, 6);
}

static void limit_on_the_parent_v2(void **state)
{
	struct tree *t = *state;

	start(t, "v2-debian12-6.1", PLENTY);
	put(t, CG "lxc/101/memory.events", "max 9\noom_kill 3\n");
	put(t, CG "lxc/101/memory.current", "1\n");
	put(t, CG "lxc/101/cpu.stat",
		"usage_usec 1\nnr_periods 5\nnr_throttled 4\nthrottled_usec 7\n");
	put(t, CG "lxc/101/pids.events", "max 6\n");
	put(t, CG "lxc/101/ns/cpu.stat", "usage_usec 2\nnr_periods 0\n");
	tree_cycle(t);
	assert_number(t, "101", METRIC_MEMORY_LIMIT_HITS, 9);
	assert_number(t, "101", METRIC_MEMORY_OOM_KILLS, 3);
	assert_int_not_equal(value_of_row(t, "101", METRIC_MEMORY_USAGE).number, 1);
	assert_number(t, "101", METRIC_CPU_USAGE, 2000);
	assert_number(t, "101", METRIC_CPU_PERIODS, 5);
	assert_number(t, "101", METRIC_CPU_THROTTLED_PERIODS, 4);
	assert_number(t, "101", METRIC_CPU_THROTTLED, 7000);
	assert_number(t, "101", METRIC_PIDS_LIMIT_HITS, 6);
}

/* v1's memory.stat has each number twice, the second time with all cgroups below. */
static void totals_of_memory_stat(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	put(t, CG "memory/lxc.payload.web01/memory.stat",
		"cache 1\nrss 2\nshmem 3\nswap 4\npgmajfault 5\ninactive_file 6\n"
		"hierarchical_memory_limit 50331648\nhierarchical_memsw_limit 67108864\n"
		"total_cache 10\ntotal_rss 20\ntotal_shmem 30\ntotal_swap 40\n"
		"total_pgmajfault 50\ntotal_inactive_file 60\n");
	tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_FILE, 10);
	assert_number(t, "web01", METRIC_MEMORY_ANON, 20);
	assert_number(t, "web01", METRIC_MEMORY_SHMEM, 30);
	assert_number(t, "web01", METRIC_MEMORY_SWAP, 40);
	assert_number(t, "web01", METRIC_MEMORY_MAJOR_FAULTS, 50);
	assert_number(t, "web01", METRIC_MEMORY_INACTIVE_FILE, 60);
	assert_number(t, "web01", METRIC_MEMORY_WORKING_SET, 839680 - 60);
	/* memory and swap together may be 64 MiB, memory 48 MiB */
	assert_number(t, "web01", METRIC_MEMORY_SWAP_LIMIT, 16777216);
}

/* --- sums over instances ---------------------------------------------------------------------- */

/* One more instance below /lxc, a copy of 101 under another number. */
static void add_like_101(struct tree *t, const char *name)
{
	_cleanup_free_ char *from = format_string("%s/" CG "lxc/101", t->root);
	_cleanup_free_ char *to = format_string("%s/" CG "lxc/%s", t->root, name);
	_cleanup_(identity_free) struct identity *id = identity_copy(get(t, "101")->id);

	run_command("cp -a", from, to);
	free(id->name);
	id->name = strdup(name);
	id->index += (uint32_t)t->s.n_instances;
	for (enum controller c = 0; c < CONTROLLER_COUNT; c++) {
		if (!id->cgroup[c])
			continue;
		free(id->cgroup[c]);
		free(id->limit_cgroup[c]);
		id->cgroup[c] = format_string("/lxc/%s/ns", name);
		id->limit_cgroup[c] = format_string("/lxc/%s", name);
	}
	tree_add(t, id);
}

static void committed_sums(void **state)
{
	struct tree *t = *state;

	start(t, "v2-debian12-6.1", PLENTY);
	add_like_101(t, "102");
	add_like_101(t, "103");
	put(t, CG "lxc/memory.max", "80000000\n");
	put(t, CG "lxc/cpu.max", "150000 100000\n");
	put(t, CG "lxc/103/memory.max", "max\n");
	tree_cycle(t);
	/* 48 MiB, 48 MiB and all of /lxc's own 80,000,000: /lxc hands up no more than those. */
	assert_limit(t, "102", METRIC_MEMORY_LIMIT, 50331648, "/lxc/102");
	assert_limit(t, "103", METRIC_MEMORY_LIMIT, 80000000, "/lxc");
	assert_host(t, METRIC_MEMORY_COMMITTED, 80000000 + 50331648); /* and web01 */
	assert_host(t, METRIC_MEMORY_UNLIMITED_INSTANCES, 2);         /* cache01, job queue */
	assert_host(t, METRIC_CPU_COMMITTED, 1500000000 + 500000000);
	assert_host(t, METRIC_CPU_UNLIMITED_INSTANCES, 2);
	assert_host(t, METRIC_INSTANCES_RUNNING, 6);

	put(t, CG "lxc/memory.max", "max\n");
	put(t, CG "lxc/cpu.max", "max 100000\n");
	tree_cycle(t);
	assert_state(t, "103", METRIC_MEMORY_LIMIT, VALUE_UNLIMITED);
	assert_host(t, METRIC_MEMORY_COMMITTED, 3 * 50331648);
	assert_host(t, METRIC_MEMORY_UNLIMITED_INSTANCES, 3);
	assert_host(t, METRIC_CPU_COMMITTED, 500000000);
	assert_host(t, METRIC_CPU_UNLIMITED_INSTANCES, 5);

	/* A cpuset below the host's two CPUs is a limit as well, with no level of its own. */
	put(t, CG "lxc/102/ns/cpuset.cpus.effective", "1\n");
	tree_cycle(t);
	assert_number(t, "102", METRIC_CPU_LIMIT, 1000000000);
	assert_host(t, METRIC_CPU_COMMITTED, 1500000000);
	assert_host(t, METRIC_CPU_UNLIMITED_INSTANCES, 4);
}

/* What rises between two cycles: 2 s of web01's, 5 s of the whole host's; 3 s are others'. */
static void rises(void **state)
{
	struct tree *t = *state;
	struct instance *in;
	uint64_t elapsed;

	start(t, "v1-6.18", PLENTY);
	tree_cycle(t);
	put(t, CG "cpuacct/cpuacct.usage", "4393806636024\n"); /* was 4388806636024 */
	put(t, CG "cpuacct/lxc.payload.web01/cpuacct.usage", "2114271506\n"); /* was 114271506 */
	put(t, "proc/stat",
		"cpu  301517 359 124090 997981 4189 0 1658 864 3 0\n"
		"cpu0 1 0 0 0\ncpu1 1 0 0 0\n"); /* user + 1 s, system + 4 s */
	tree_cycle(t);
	in = get(t, "web01");
	elapsed = in->read_ns - in->before_ns;
	assert_number(t, "web01", METRIC_CPU_USED_CORES,
		(uint64_t)(UINT64_C(2000000000) * (unsigned __int128)NSEC_PER_SEC / elapsed));
	assert_number(t, "cache01", METRIC_CPU_USED_CORES, 0);
	assert_host(t, METRIC_OTHER_CPU_USAGE, UINT64_C(3000000000));
	assert_host(t, METRIC_HOST_CPU_USED_CORES,
		(uint64_t)(UINT64_C(5000000000) * (unsigned __int128)NSEC_PER_SEC /
			   (t->s.host.read_ns - t->s.host.before_ns)));
	/* Idle time never falls, though far more was used than the quota lets. */
	assert_number(t, "web01", METRIC_CPU_IDLE, 0);
	/* A counter that falls has no rate and takes nothing back. */
	put(t, CG "cpuacct/lxc.payload.web01/cpuacct.usage", "5\n");
	tree_cycle(t);
	assert_state(t, "web01", METRIC_CPU_USED_CORES, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_CPU_USED_RATIO, VALUE_ABSENT);
	assert_host(t, METRIC_OTHER_CPU_USAGE, UINT64_C(3000000000));
}

/* A collector that goes on where an earlier one stopped, 100 s ago. */
static void goes_on(void **state)
{
	struct value values[METRIC_ID_END] = {0};
	struct tree *t = *state;
	uint64_t then = now_ns(CLOCK_MONOTONIC) - 100 * NSEC_PER_SEC, elapsed, cores;

	start(t, "v1-6.18", PLENTY);
	/* 0.1 s of CPU less than now, and 7 s idle. */
	values[metric_slot(METRIC_CPU_USAGE)] = value_of(14271506);
	values[metric_slot(METRIC_CPU_IDLE)] = value_of(7 * NSEC_PER_SEC);
	instance_seed(get(t, "web01"), values, then);
	tree_cycle(t);
	elapsed = get(t, "web01")->read_ns - then;
	cores = UINT64_C(100000000) * NSEC_PER_SEC / elapsed; /* a thousandth of a core */
	assert_in_range(cores, 500000, 1000000);
	assert_number(t, "web01", METRIC_CPU_USED_CORES, cores);
	/* of the quota's half core */
	assert_number(t, "web01", METRIC_CPU_USED_RATIO, cores * NSEC_PER_SEC / 500000000);
	assert_number(t, "web01", METRIC_CPU_IDLE, 7 * NSEC_PER_SEC + elapsed / 2 - 100000000);
	assert_state(t, "cache01", METRIC_CPU_USED_CORES, VALUE_ABSENT);
	assert_number(t, "cache01", METRIC_CPU_IDLE, 0);
}

/* --- the ring of samples ---------------------------------------------------------------------- */

static void publish_cycle(struct tree *t, uint64_t time_ns, int rows)
{
	t->s.time_ns = time_ns;
	publish_begin(&t->s);
	for (int i = 0; i < rows; i++)
		publish_instance(&t->s, get(t, "101"));
	publish_end(&t->s);
}

static void ring_grows_for_a_record(void **state)
{
	struct tree *t = *state;
	struct ring_record rec = {0};
	struct ring_status st;
	struct error err;

	start(t, "v2-debian12-6.1", PLENTY);
	t->config.run_dir = t->dir;
	t->config.recent_bytes = t->s.recent_bytes = 64 << 10;
	t->s.interval_ns = 10 * NSEC_PER_SEC;
	t->s.flush_ns = 60 * NSEC_PER_SEC;
	tree_cycle(t);
	assert_int_equal(publish_init(&t->s, &t->config, &err), 0);
	publish_cycle(t, TREE_TIME_NS, 1);
	ring_status(t->s.ring, &st);
	assert_int_equal(st.size, 64 << 10);
	/* Far more than half of 64 KB. */
	publish_cycle(t, TREE_TIME_NS + 1, 2000);
	ring_status(t->s.ring, &st);
	assert_int_equal(ring_read(t->s.ring, 2, &rec), 0);
	assert_in_range(rec.rows, 2001, 2100);
	assert_true(rec.data_len > 64 << 10);
	assert_true(st.size >= 2 * 7 * rec.data_len);
	/* The clock goes back by an hour. */
	publish_cycle(t, TREE_TIME_NS - 3600 * NSEC_PER_SEC, 1);
	tree_cycle(t);
	assert_host(t, METRIC_RECENT_SPAN, 0);
	assert_host(t, METRIC_RECENT_LOST, 0);
	/* A cycle without a record is lost once. */
	ring_commit(t->s.ring, NULL);
	publish_end(&t->s);
	tree_cycle(t);
	assert_host(t, METRIC_RECENT_LOST, 1);
	ring_record_free(&rec);
	publish_destroy(&t->s);
}

/* --- cgroups below an instance ---------------------------------------------------------------- */

static void take_report(void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	struct tree *t = data;
	size_t k = 0;

	for (size_t i = 0; i < t->s.n_instances; i++) {
		struct instance *in = t->instances[i];

		if (in->id->index != index)
			continue;
		assert_true(in->id->run == run);
		if (id == METRIC_PIDS_CURRENT) {
			in->tasks = value_of(count);
			return;
		}
		while (k < in->n_below && in->below[k].slot != metric_slot(id))
			k++;
		assert_true(k < ARRAY_SIZE(in->below));
		in->n_below = MAX(in->n_below, k + 1);
		in->below[k].slot = metric_slot(id);
		in->below[k].count = count;
		return;
	}
	fail_msg("a report about nobody");
}

static void pass(struct tree *t)
{
	while (!below_pass(t->below, 0, take_report, t))
		;
	tree_cycle(t);
}

static void put_kills(struct tree *t, const char *cgroup, int kills)
{
	_cleanup_free_ char *dir = format_string(CG "memory/%s", cgroup);
	_cleanup_free_ char *file = format_string("%s/memory.oom_control", dir);
	_cleanup_free_ char *text =
		format_string("oom_kill_disable 0\nunder_oom 0\noom_kill %d\n", kills);

	make(t, dir);
	put(t, file, text);
}

/* web01 itself counts one kill in this tree. */
static void kills_below(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	put_kills(t, "lxc.payload.web01/a", 2);
	put_kills(t, "lxc.payload.web01/a/b", 3);
	put_kills(t, "lxc.payload.web01/.lxc", 1);
	put_kills(t, "lxc/101/ns", 2); /* its limit is on the parent, where nothing is counted */
	make(t, CG "pids/lxc.payload.web01/a");
	put(t, CG "pids/lxc.payload.web01/a/pids.events", "max 5\n");
	tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 1);
	pass(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 1 + 2 + 3 + 1);
	assert_number(t, "web01", METRIC_PIDS_LIMIT_HITS, 5);
	assert_number(t, "101", METRIC_MEMORY_OOM_KILLS, 2);
	assert_number(t, "cache01", METRIC_MEMORY_OOM_KILLS, 0);

	put_kills(t, "lxc.payload.web01/a/b", 5);
	pass(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 9);
	/* What a cgroup counted stays when it goes; a new one adds its own. */
	take(t, CG "memory/lxc.payload.web01/a/b");
	pass(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 9);
	put_kills(t, "lxc.payload.web01/c/d/e", 4);
	pass(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 13);
	/* Who comes anew begins at what is there: a 2, .lxc 1, e 4. */
	get(t, "web01")->n_below = 0;
	below_appeared(t->below, get(t, "web01")->id, take_report, t);
	tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 8);
}

/* Above the cap the count is short, but what is seen now and then is never counted twice. */
static void kills_below_many(void **state)
{
	struct tree *t = *state;
	char path[64];

	start(t, "v1-6.18", PLENTY);
	for (int i = 0; i < BELOW_CGROUPS_MAX + 6; i++) {
		snprintf(path, sizeof(path), "lxc.payload.web01/job%d", i);
		put_kills(t, path, 1);
	}
	pass(t);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 1 + BELOW_CGROUPS_MAX);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 40; i++) {
			snprintf(path, sizeof(path), "lxc.payload.web01/other%d", i);
			put_kills(t, path, 0);
		}
		pass(t);
		for (int i = 0; i < 40; i++) {
			snprintf(path, sizeof(path), CG "memory/lxc.payload.web01/other%d", i);
			take(t, path);
		}
		pass(t);
	}
	assert_in_range(value_of_row(t, "web01", METRIC_MEMORY_OOM_KILLS).number,
		1 + BELOW_CGROUPS_MAX, 1 + BELOW_CGROUPS_MAX + 6);
}

/* v2 counts kills for all below; refused forks only since 6.11, when pids.events.local came. */
static void below_v2(void **state)
{
	struct tree *t = *state;
	const char *fixture = t->given;
	bool hierarchical = strcmp(fixture, "v2-debian13-6.12") == 0;

	start(t, fixture, PLENTY);
	make(t, CG "lxc.payload.web01/a");
	put(t, CG "lxc.payload.web01/a/pids.events", "max 5\n");
	put(t, CG "lxc.payload.web01/a/memory.events", "oom 9\noom_kill 9\n");
	pass(t);
	assert_number(t, "web01", METRIC_PIDS_LIMIT_HITS, hierarchical ? 0 : 5);
	assert_number(t, "web01", METRIC_MEMORY_OOM_KILLS, 1);
}

static void tasks_without_pids_controller(void **state)
{
	struct tree *t = *state;
	_cleanup_free_ char *mounts = NULL;

	tree_open(t, "v1-6.18", true);
	mounts = format_string("%s/proc/mounts", t->root);
	run_command("sed -i", "/,pids /d", mounts);
	put(t, CG "cpuacct/lxc.payload.web01/tasks", "9181\n9182\n");
	make(t, CG "cpuacct/lxc.payload.web01/a");
	put(t, CG "cpuacct/lxc.payload.web01/a/tasks", "9183\n");
	tree_find(t, PLENTY);
	tree_cycle(t);
	assert_state(t, "web01", METRIC_PIDS_CURRENT, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_PIDS_LIMIT, VALUE_ABSENT);
	pass(t);
	assert_number(t, "web01", METRIC_PIDS_CURRENT, 3);
}

/* --- files that are missing, empty, senseless ------------------------------------------------- */

static void bad_files(void **state)
{
	struct tree *t = *state;

	tree_open(t, "v1-6.18", true);
	put(t, CG "memory/lxc.payload.web01/memory.usage_in_bytes", "");
	put(t, CG "cpuacct/lxc.payload.web01/cpuacct.usage", "lots\n");
	put(t, CG "cpu/lxc.payload.web01/cpu.stat", "nr_periods 9\nnr_throttled many\n");
	put(t, CG "blkio/lxc.payload.web01/blkio.throttle.io_serviced_recursive", "");
	put(t, "proc/9181/net/dev", "nothing\n");
	take(t, CG "memory/lxc.payload.web01/memory.stat");
	take(t, CG "pids/lxc.payload.web01/pids.current");
	make(t, CG "pids/lxc.payload.web01/pids.current");
	tree_find(t, PLENTY);
	tree_cycle(t);
	/* usage_in_bytes, cpuacct.usage, net/dev, pids.current; a file that is missing is no error,
	 * nor is a device list that is empty. */
	assert_host(t, METRIC_COLLECTOR_READ_ERRORS, 4);
	assert_state(t, "web01", METRIC_MEMORY_USAGE, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_MEMORY_WORKING_SET, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_MEMORY_ANON, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_CPU_USAGE, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_CPU_IDLE, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_PIDS_CURRENT, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_NETWORK_TRANSMIT_BYTES, VALUE_ABSENT);
	assert_int_equal(get(t, "web01")->n_interfaces, 0);
	assert_number(t, "web01", METRIC_IO_READS, 0);
	/* The rest is read, also of the same file; the limit comes from the levels. */
	assert_number(t, "web01", METRIC_CPU_PERIODS, 9);
	assert_state(t, "web01", METRIC_CPU_THROTTLED_PERIODS, VALUE_ABSENT);
	assert_number(t, "web01", METRIC_CPU_USER, 60000000);
	assert_number(t, "web01", METRIC_IO_READ_BYTES, 2101248);
	assert_limit(t, "web01", METRIC_MEMORY_LIMIT, 50331648, "/lxc.payload.web01");
	assert_number(t, "cache01", METRIC_MEMORY_USAGE, 839680);
	/* Well again: seen at once, a missing file after a while. */
	put(t, CG "memory/lxc.payload.web01/memory.usage_in_bytes", "4096\n");
	put(t, CG "memory/lxc.payload.web01/memory.stat", "total_rss 77\n");
	tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_USAGE, 4096);
	for (int i = 0; i < 40; i++)
		tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_ANON, 77);
	assert_false(get(t, "web01")->gone);
}

/* Which file counts I/O shows the root cgroup; where none does, 0 would be a lie. */
static void io_accounting(void **state)
{
	struct tree *t = *state;

	tree_open(t, "v1-6.18", true);
	put(t, CG "blkio/blkio.throttle.io_service_bytes_recursive", "Total 0\n");
	put(t, CG "blkio/blkio.throttle.io_serviced_recursive", "Total 0\n");
	tree_find(t, PLENTY);
	tree_cycle(t);
	assert_state(t, "web01", METRIC_IO_READ_BYTES, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_IO_WRITES, VALUE_ABSENT);
	put(t, CG "blkio/blkio.bfq.io_service_bytes_recursive",
		"8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n");
	put(t, CG "blkio/lxc.payload.web01/blkio.bfq.io_service_bytes_recursive",
		"8:0 Read 1000\n8:0 Write 5\n8:0 Total 1005\n8:16 Read 24\nTotal 1029\n");
	measure_choose_io(&t->s.measure);
	tree_cycle(t);
	assert_number(t, "web01", METRIC_IO_READ_BYTES, 1024);
	assert_number(t, "web01", METRIC_IO_WRITE_BYTES, 5);
	assert_number(t, "cache01", METRIC_IO_READ_BYTES, 0);
}

/* --- instances that die ----------------------------------------------------------------------- */

static const char *const controllers_v1[] = {
	"cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "unified"};

static void take_cgroups(struct tree *t, const char *cgroup, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		_cleanup_free_ char *path = format_string(CG "%s/%s", controllers_v1[i], cgroup);

		take(t, path);
	}
}

static void dies_between_files(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", 0);
	tree_cycle(t);
	assert_host(t, METRIC_MEMORY_COMMITTED, 2 * 50331648);
	/* In the middle of a removal some files are there, some are not. */
	take_cgroups(t, "lxc.payload.web01", 0, 4);
	tree_cycle(t);
	assert_false(get(t, "web01")->gone);
	assert_state(t, "web01", METRIC_MEMORY_USAGE, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_CPU_USED_CORES, VALUE_ABSENT);
	assert_number(t, "web01", METRIC_PIDS_CURRENT, 4);
	assert_number(t, "cache01", METRIC_MEMORY_USAGE, 839680);
	take_cgroups(t, "lxc.payload.web01", 4, ARRAY_SIZE(controllers_v1));
	take(t, "proc/9181");
	tree_cycle(t);
	assert_true(get(t, "web01")->gone);
	assert_false(get(t, "cache01")->gone);
	assert_number(t, "cache01", METRIC_MEMORY_USAGE, 839680);
	assert_host(t, METRIC_INSTANCES_RUNNING, 3);
	assert_host(t, METRIC_MEMORY_COMMITTED, 50331648);
	assert_host(t, METRIC_COLLECTOR_READ_ERRORS, 0);
}

/* It was gone before its files were opened for the first time. */
static void dies_before_the_first_cycle(void **state)
{
	struct tree *t = *state;

	start(t, "v1-6.18", PLENTY);
	take_cgroups(t, "lxc.payload.web01", 0, ARRAY_SIZE(controllers_v1));
	take(t, "proc/9181");
	tree_cycle(t);
	assert_true(get(t, "web01")->gone);
	assert_host(t, METRIC_INSTANCES_RUNNING, 3);
}

/* A collector that is out of descriptors knows nothing about its instances, least of all that
 * they have ended. */
static void out_of_descriptors(void **state)
{
	struct tree *t = *state;
	struct rlimit old, low;

	start(t, "v1-6.18", 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	tree_cycle(t);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < t->s.n_instances; i++)
		assert_false(t->instances[i]->gone);
	assert_state(t, "web01", METRIC_MEMORY_USAGE, VALUE_ABSENT);
	assert_state(t, "web01", METRIC_PIDS_LIMIT, VALUE_ABSENT);
	assert_true(host_get(&t->s.host, METRIC_COLLECTOR_READ_ERRORS).number > 0);
	tree_cycle(t);
	assert_number(t, "web01", METRIC_MEMORY_USAGE, 839680);
	assert_limit(t, "web01", METRIC_PIDS_LIMIT, 200, "/lxc.payload.web01");
}

/* --- a real cgroup that is removed under open descriptors ------------------------------------- */

static const char *const real_names[] = {"a", "b"};

static char *real_path(const struct tree *t, const char *name)
{
	return format_string("%s/loadcell-test.expect.%d.%s",
		t->h->controller[CONTROLLER_MEMORY].mount, getpid(), name);
}

static int real_teardown(void **state)
{
	struct tree *t = *state;

	for (size_t i = 0; t->h && i < ARRAY_SIZE(real_names); i++) {
		_cleanup_free_ char *path = real_path(t, real_names[i]);

		rmdir(path);
	}
	return tree_teardown(state);
}

static void add_real(struct tree *t, const char *name)
{
	_cleanup_free_ char *path = real_path(t, name);
	const char *mount = t->h->controller[CONTROLLER_MEMORY].mount;
	_cleanup_(identity_free) struct identity *id = calloc(1, sizeof(*id));

	if (mkdir(path, 0755) < 0) {
		printf("skip: cannot: make a cgroup in %s: %s\n", mount, strerror(errno));
		skip();
	}
	id->index = (uint32_t)t->s.n_instances + 1;
	id->run = 1;
	id->init = getpid(); /* lives on: only the cgroup's end can tell */
	id->name = strdup(name);
	for (enum controller c = 0; c < CONTROLLER_COUNT; c++) {
		if (t->h->controller[c].mount && !strcmp(t->h->controller[c].mount, mount))
			id->cgroup[c] = strdup(path + strlen(mount));
	}
	tree_add(t, id);
}

static void real_cgroup_removed(void **state)
{
	struct tree *t = *state;
	_cleanup_free_ char *a = NULL;

	t->s.instances = t->instances;
	if (hierarchies_find("/sys/fs/cgroup", "/proc", &t->h, NULL) < 0 ||
		!t->h->controller[CONTROLLER_MEMORY].version) {
		printf("skip: cannot: no memory controller is mounted\n");
		skip();
	}
	assert_int_equal(measure_init(&t->s.measure, t->h, "/proc", PLENTY), 0);
	assert_int_equal(host_init(&t->s.host, t->h, "/proc"), 0);
	assert_int_equal(below_new(t->h, &t->below), 0);
	for (size_t i = 0; i < ARRAY_SIZE(real_names); i++)
		add_real(t, real_names[i]);
	tree_cycle(t);
	assert_false(get(t, "a")->gone);
	assert_number(t, "a", METRIC_MEMORY_OOM_KILLS, 0);
	a = real_path(t, "a");
	assert_int_equal(rmdir(a), 0);
	tree_cycle(t);
	assert_true(get(t, "a")->gone);
	assert_false(get(t, "b")->gone);
	assert_number(t, "b", METRIC_MEMORY_OOM_KILLS, 0);
	assert_host(t, METRIC_INSTANCES_RUNNING, 1);
	assert_host(t, METRIC_COLLECTOR_READ_ERRORS, 0);
}

#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(ancestor_binds),
		TREE_TEST(watched_limits),
		TREE_TEST(watched_and_unreadable),
		TREE_TEST(minus_one_does_not_bind),
		TREE_TEST(kernel_knows_the_limit),
		TREE_TEST(limit_files_missing),
		TREE_TEST(limit_files_senseless),
		TREE_TEST(limit_on_the_parent),
		TREE_TEST(limit_on_the_parent_v2),
		TREE_TEST(totals_of_memory_stat),
		TREE_TEST(committed_sums),
		TREE_TEST(rises),
		TREE_TEST(goes_on),
		TREE_TEST(ring_grows_for_a_record),
		TREE_TEST(kills_below),
		TREE_TEST(kills_below_many),
		{"below_v2 6.1", below_v2, tree_setup, tree_teardown, (void *)"v2-debian12-6.1"},
		{"below_v2 6.12", below_v2, tree_setup, tree_teardown, (void *)"v2-debian13-6.12"},
		TREE_TEST(tasks_without_pids_controller),
		TREE_TEST(bad_files),
		TREE_TEST(io_accounting),
		TREE_TEST(dies_between_files),
		TREE_TEST(dies_before_the_first_cycle),
		TREE_TEST(out_of_descriptors),
		cmocka_unit_test_setup_teardown(real_cgroup_removed, tree_setup, real_teardown),
	};

	return cmocka_run_group_tests_name("measure faults", tests, NULL, NULL);
}
