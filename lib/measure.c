/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "measure.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "derive.h"
#include "parse.h"

/* memory.stat has 2 KiB, io.stat 100 bytes a device, net/dev 130 bytes an interface. */
#define BUFFER_SIZE (64 * 1024)
/* /proc/INIT here, and in the same process the pidfd of init that discovery holds and (v1) the
 * eventfd of its kills. */
#define INIT_DESCRIPTORS 3
/* A file that was missing is tried again every so many cycles: controllers may come late. */
#define RETRY_CYCLES 32

enum {
	FD_CLOSED = -1,
	FD_MISSING = -2
};

int measure_init(struct measure *m, const struct hierarchies *h, const char *proc_root,
	size_t descriptors_max)
{
	int r;

	*m = (struct measure){.h = h, .proc_fd = -1, .descriptors.max = descriptors_max};
	r = plan_make(h, SCOPE_INSTANCE, false, &m->merged);
	if (r == 0)
		r = plan_make(h, SCOPE_INSTANCE, true, &m->split);
	if (r < 0)
		return r;
	m->levels = levels_new(&m->merged, h, &m->descriptors);
	m->buf = malloc(BUFFER_SIZE);
	m->proc_root = strdup(proc_root);
	if (!m->levels || !m->buf || !m->proc_root) {
		measure_destroy(m);
		return -ENOMEM;
	}
	m->proc_fd = open(proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->proc_fd < 0) {
		r = -errno;
		measure_destroy(m);
		return r;
	}
	measure_choose_io(m);
	return 0;
}

void measure_destroy(struct measure *m)
{
	levels_free(TAKE_PTR(m->levels));
	free(TAKE_PTR(m->buf));
	free(TAKE_PTR(m->proc_root));
	m->proc_fd = close_fd(m->proc_fd);
}

/*
 * blkio.throttle.* stays 0 on some kernels until a throttle rule exists (seen on 6.1), and
 * blkio.bfq.* moves only under the bfq scheduler. The root cgroup tells which of them counts;
 * where neither does, 0 would be a lie and the metric is absent.
 */
void measure_choose_io(struct measure *m)
{
	static const struct parse_key total = {"Total", 5, 1};
	const struct hierarchy *h = &m->h->controller[CONTROLLER_IO];
	uint64_t most = 0;

	if (h->version != 1 || m->io_alternative != 0)
		return;
	for (size_t i = 0; i < m->merged.n_files; i++) {
		const struct plan_file *f = &m->merged.files[i];
		struct value sum = value_absent();
		ssize_t n;

		if (f->alternative == 0)
			continue;
		n = read_file_at(h->fd, f->file, m->buf, BUFFER_SIZE);
		if (n <= 0 || parse_blkio(m->buf, n, &total, 1, &sum) < 0 || sum.number <= most)
			continue;
		most = sum.number;
		m->io_alternative = f->alternative;
	}
}

static int open_init(const struct measure *m, pid_t init)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", init);
	return openat(m->proc_fd, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

struct instance *instance_new(struct measure *m, struct identity *id)
{
	size_t slots = metric_count(SCOPE_INSTANCE);
	struct instance *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->proc_fd = -1;
	in->plan = &m->merged;
	for (size_t i = 0; i < PLAN_FILES_MAX; i++)
		in->fd[i] = FD_CLOSED;
	in->now = calloc(slots, sizeof(struct value));
	in->before = calloc(slots, sizeof(struct value));
	in->interfaces = NULL;
	if (!in->now || !in->before) {
		instance_free(m, in);
		return NULL;
	}
	for (int c = 0; c < CONTROLLER_COUNT; c++)
		if (id->limit_cgroup[c])
			in->plan = &m->split;
	for (size_t i = 0; i < m->merged.n_limits; i++) {
		enum controller c = m->merged.limits[i].controller;

		if (id->cgroup[c])
			in->level[i] = level_get(m->levels, c, id->cgroup[c]);
	}
	in->proc_fd = open_init(m, id->init);
	m->descriptors.open += INIT_DESCRIPTORS;
	in->id = id;
	return in;
}

void instance_follow(struct measure *m, struct instance *in, const struct identity *id)
{
	if (in->id->init == id->init && in->id->init_starttime_ticks == id->init_starttime_ticks)
		return;
	close_fd(in->proc_fd);
	in->proc_fd = open_init(m, id->init);
	in->id->init = id->init;
	in->id->init_starttime_ticks = id->init_starttime_ticks;
	in->id->network_shared = id->network_shared;
}

void instance_free(struct measure *m, struct instance *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < PLAN_FILES_MAX; i++)
		descriptors_drop(&m->descriptors, in->fd[i]);
	close_fd(in->proc_fd);
	m->descriptors.open -= in->id ? INIT_DESCRIPTORS : 0;
	for (size_t i = 0; i < PLAN_LIMITS_MAX; i++)
		level_put(m->levels, in->level[i]);
	identity_free(in->id);
	free(in->now);
	free(in->before);
	free(in->interfaces);
	free(in->cgroups_text);
	free(in->limits_text);
	free(in);
}

void instance_seed(struct instance *in, const struct value *values, uint64_t monotonic_ns)
{
	memcpy(in->now, values, metric_count(SCOPE_INSTANCE) * sizeof(*values));
	in->read_ns = monotonic_ns;
	in->has_before = true;
}

/* --- reading ---------------------------------------------------------------------------- */

static int open_file(struct measure *m, const struct instance *in, const struct plan_file *f)
{
	const struct identity *id = in->id;
	const char *cgroup = f->at_limit && id->limit_cgroup[f->controller]
				     ? id->limit_cgroup[f->controller]
				     : id->cgroup[f->controller];
	char path[4096 + 256];
	int fd;

	if (!cgroup)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%s", cgroup + 1, f->file);
	fd = openat(m->h->controller[f->controller].fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/*
 * One cgroup file by its kept-open descriptor. -ENODEV: the cgroup was removed; kernfs says so
 * on every read of a descriptor that outlived it (fs/kernfs/file.c, kernfs_get_active()).
 */
static ssize_t read_cgroup_file(struct measure *m, struct instance *in, size_t i)
{
	const struct plan_file *f = &in->plan->files[i];
	bool opened = false;
	int fd = in->fd[i];
	ssize_t n;

	if (fd == FD_MISSING && in->cycles % RETRY_CYCLES != 0)
		return -ENOENT;
	if (fd < 0) {
		fd = open_file(m, in, f);
		if (fd == -ENOENT)
			in->fd[i] = FD_MISSING;
		if (fd < 0)
			return fd;
		opened = true;
	}
	m->files_read++;
	n = pread_file(fd, m->buf, BUFFER_SIZE);
	if (opened)
		in->fd[i] = n == -ENODEV ? close_fd(fd) : descriptors_keep(&m->descriptors, fd);
	else if (n == -ENODEV || descriptors_short(&m->descriptors))
		in->fd[i] = descriptors_drop(&m->descriptors, fd);
	return n;
}

/* A device gets its line with the first request (block/blk-cgroup.c, blkcg_print_one_stat()): a
 * per-device file that is there but says nothing means no I/O yet. */
static bool may_be_silent(const struct plan_file *f)
{
	return f->grammar == GRAMMAR_NESTED || f->grammar == GRAMMAR_BLKIO;
}

/* 1: its cgroup is there; 0: nothing tells; -ENODEV: the cgroup is gone. */
static int measure_file(struct measure *m, struct instance *in, size_t i)
{
	const struct plan_file *f = &in->plan->files[i];
	struct value values[PLAN_KEYS_MAX] = {0};
	ssize_t n;

	if (f->controller == CONTROLLER_NONE)
		return 0;
	if (f->alternative != 0 && f->alternative != m->io_alternative)
		return 0;
	n = read_cgroup_file(m, in, i);
	if (n == -ENODEV || n == -ENOENT)
		return n == -ENODEV ? -ENODEV : 0;
	/* The file is there but the kernel does not count (PSI off). */
	if (n == -EOPNOTSUPP)
		return 1;
	if (n < 0 || ((n > 0 || !may_be_silent(f)) && plan_parse(f, m->buf, n, values) < 0)) {
		m->read_errors++;
		return 1;
	}
	for (size_t k = 0; k < f->n; k++) {
		if (may_be_silent(f) && values[k].state == VALUE_ABSENT)
			values[k] = value_of(0);
		in->now[f->slot[k]] = values[k];
	}
	return 1;
}

static void keep_interface(struct instance *in, size_t row, const struct netdev *dev)
{
	struct interface *to = &in->interfaces[row];
	size_t len = MIN(dev->name_len, sizeof(to->name) - 1);

	memcpy(to->name, dev->name, len);
	to->name[len] = '\0';
	for (size_t c = 0; c < NETDEV_COLUMNS; c++)
		to->values[c] = value_of(dev->column[c]);
}

/*
 * A read of net/dev ends short only where the next line does not fit into the kernel's page: far
 * below that nothing can follow, and the read that would say so costs a fifth of the whole.
 */
#define NETDEV_SURELY_ALL 2048

static ssize_t read_netdev(struct measure *m, const struct instance *in, const char *file)
{
	_cleanup_close_ int fd = openat(in->proc_fd, file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < BUFFER_SIZE) {
		ssize_t n = read(fd, m->buf + len, BUFFER_SIZE - len);

		if (n < 0)
			return -errno;
		len += n;
		if (n < NETDEV_SURELY_ALL)
			return len;
	}
	return -EFBIG;
}

/*
 * Opened anew each time: an open net/dev pins the network namespace, and a macvlan in it would
 * keep its MAC and address after the instance's end (observed on 6.18).
 */
static void measure_network(struct measure *m, struct instance *in, const struct plan_file *f)
{
	struct netdev devs[INTERFACES_SUM_MAX];
	uint64_t sums[NETDEV_COLUMNS] = {0};
	size_t n = 0, rows = 0;
	ssize_t len;
	int r;

	in->n_interfaces = 0;
	if (in->proc_fd < 0 || in->id->network_shared)
		return;
	m->files_read++;
	len = read_netdev(m, in, f->file);
	r = len < 0 ? (int)len : parse_netdev(m->buf, len, devs, ARRAY_SIZE(devs), &n);
	if (r < 0) {
		m->read_errors += r != -ENOENT && r != -ESRCH; /* init has ended */
		return;
	}
	n = MIN(n, ARRAY_SIZE(devs));
	if (n > 1 && !in->interfaces)
		in->interfaces = calloc(INTERFACES_MAX, sizeof(struct interface));
	for (size_t i = 0; i < n; i++) {
		if (devs[i].name_len == 2 && !memcmp(devs[i].name, "lo", 2))
			continue;
		for (size_t c = 0; c < NETDEV_COLUMNS; c++)
			sums[c] += devs[i].column[c];
		if (in->interfaces && rows < INTERFACES_MAX)
			keep_interface(in, rows++, &devs[i]);
	}
	in->n_interfaces = rows;
	for (size_t k = 0; k < f->n; k++) {
		int column = netdev_column_by_name(f->keys[k].key);

		if (column >= 0)
			in->now[f->slot[k]] = value_of(sums[column]);
	}
}

static void measure_limits(struct measure *m, struct instance *in)
{
	for (size_t i = 0; i < m->merged.n_limits; i++) {
		const struct plan_limit *want = &m->merged.limits[i];
		struct value *to = &in->now[want->slot];

		in->limit_path[i] = NULL;
		if (in->level[i])
			*to = level_limit(m->levels, in->level[i], i,
				want->name_only ? *to : value_absent(), &in->limit_path[i]);
	}
}

static void take_slow_figures(struct instance *in, const struct cycle_facts *facts)
{
	struct value *now = in->now;

	now[metric_slot(METRIC_START_TIME)] = value_of(in->id->start_time_ns);
	now[metric_slot(METRIC_STARTS)] = value_of(in->id->starts);
	now[metric_slot(METRIC_SAMPLES)] =
		value_of((in->has_before ? in->before[metric_slot(METRIC_SAMPLES)].number : 0) + 1);
	now[metric_slot(METRIC_DISK_USED)] = in->disk.used;
	now[metric_slot(METRIC_DISK_LIMIT)] = in->disk.limit;
	now[metric_slot(METRIC_DISK_USED_INODES)] = in->disk.inodes;
	if (now[metric_slot(METRIC_PIDS_CURRENT)].state == VALUE_ABSENT)
		now[metric_slot(METRIC_PIDS_CURRENT)] = in->tasks;
	for (size_t i = 0; i < in->n_below; i++) {
		struct value *v = &now[in->below[i].slot];

		if (value_is_number(*v))
			v->number += in->below[i].count;
	}
}

static void derive_all(struct instance *in, const struct cycle_facts *facts)
{
	struct derive_input input = {
		.now = in->now,
		.before = in->has_before ? in->before : NULL,
		.elapsed_ns = in->read_ns - in->before_ns,
		.time_ns = facts->time_ns,
		.host_cpus = facts->host_cpus,
		.host_memory = facts->host_memory,
	};

	for (size_t i = 0; i < in->plan->n_derived; i++)
		in->now[in->plan->derived[i].slot] = in->plan->derived[i].derive(&input);
}

static void begin_cycle(struct instance *in)
{
	struct value *last = in->before;

	in->before = in->now;
	in->before_ns = in->read_ns;
	in->has_before = in->has_before || in->cycles > 0;
	in->now = last;
	memset(in->now, 0, metric_count(SCOPE_INSTANCE) * sizeof(struct value));
	in->read_ns = now_ns(CLOCK_MONOTONIC);
	in->cycles++;
}

int instance_measure(struct measure *m, struct instance *in, const struct cycle_facts *facts)
{
	const struct plan *p = in->plan;
	int files = 0;

	begin_cycle(in);
	for (size_t i = 0; i < p->n_files; i++) {
		int r = measure_file(m, in, i);

		if (r < 0) {
			in->gone = true;
			return -ENODEV;
		}
		files += r;
	}
	/* Where no descriptor was kept, a removed cgroup only shows as files that are missing. */
	if (files == 0 && faccessat(in->proc_fd, "stat", F_OK, 0) < 0) {
		in->gone = true;
		return -ENODEV;
	}
	for (size_t i = 0; i < p->n_files; i++)
		if (p->files[i].grammar == GRAMMAR_NETDEV)
			measure_network(m, in, &p->files[i]);
	measure_limits(m, in);
	take_slow_figures(in, facts);
	derive_all(in, facts);
	return 0;
}
