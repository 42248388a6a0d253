/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "../lib/derive.h"
#include "../lib/parse.h"
#include "../lib/util.h"

#define TICK_NS (NSEC_PER_SEC / 100)
/* /proc/stat has a line for each CPU and a column for each interrupt: on large hosts above 64 KiB.
 */
#define BUFFER_SIZE (1024 * 1024)

int host_init(struct host *host, const struct hierarchies *h, const char *proc_root)
{
	int r;

	*host = (struct host){.h = h, .proc_fd = -1};
	r = plan_make(h, SCOPE_HOST, false, &host->plan);
	if (r < 0)
		return r;
	host->proc_fd = open(proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host->proc_fd < 0)
		return -errno;
	host->now = calloc(metric_count(SCOPE_HOST), sizeof(struct value));
	host->before = calloc(metric_count(SCOPE_HOST), sizeof(struct value));
	if (!host->now || !host->before) {
		host_destroy(host);
		return -ENOMEM;
	}
	return 0;
}

void host_destroy(struct host *host)
{
	host->proc_fd = close_fd(host->proc_fd);
	free(TAKE_PTR(host->now));
	free(TAKE_PTR(host->before));
}

void host_set(struct host *host, enum metric_id id, struct value v)
{
	host->now[metric_slot(id)] = v;
}

struct value host_get(const struct host *host, enum metric_id id)
{
	return host->now[metric_slot(id)];
}

static ssize_t read_proc(struct host *host, const char *file, char *buf)
{
	host->files_read++;
	return read_file_at(host->proc_fd, file, buf, BUFFER_SIZE);
}

static void measure_cpus(struct host *host, char *buf)
{
	struct proc_cpu cpu;
	uint64_t online = 0;
	ssize_t n = read_proc(host, "stat", buf);

	if (n < 0 || parse_proc_cpu(buf, n, &cpu) < 0)
		return;
	host_set(host, METRIC_HOST_CPU_USER, value_of((cpu.user + cpu.nice) * TICK_NS));
	host_set(host, METRIC_HOST_CPU_SYSTEM,
		value_of((cpu.system + cpu.irq + cpu.softirq) * TICK_NS));
	host_set(host, METRIC_HOST_CPU_IDLE, value_of(cpu.idle * TICK_NS));
	host_set(host, METRIC_HOST_CPU_IOWAIT, value_of(cpu.iowait * TICK_NS));
	host_set(host, METRIC_HOST_CPU_STEAL, value_of(cpu.steal * TICK_NS));
	/* One line "cpuN" for each online CPU. */
	for (const char *p = buf; (p = memmem(p, buf + n - p, "\ncpu", 4)); p += 4)
		online++;
	if (online > 0)
		host_set(host, METRIC_HOST_CPUS, value_of(online * NSEC_PER_SEC));
}

/* What ZFS can give back: its size above the configured minimum (module/zfs/arc.c). */
static void measure_arc(struct host *host, char *buf)
{
	/* "name type data": the type stands before the number. */
	uint64_t size = 0, minimum = 0;
	const char *line;
	ssize_t n = read_proc(host, "spl/kstat/zfs/arcstats", buf);

	if (n < 0)
		return;
	line = strstr(buf, "\nsize ");
	if (!line || sscanf(line, " size %*u %" SCNu64, &size) != 1)
		return;
	line = strstr(buf, "\nc_min ");
	if (line && sscanf(line, " c_min %*u %" SCNu64, &minimum) != 1)
		minimum = 0;
	host_set(host, METRIC_HOST_ZFS_ARC, value_of(size > minimum ? size - minimum : 0));
}

static void measure_counts(struct host *host, char *buf)
{
	uint64_t number;
	ssize_t n = read_proc(host, "loadavg", buf);

	if (n > 0 && parse_loadavg_tasks(buf, n, &number) == 0)
		host_set(host, METRIC_HOST_TASKS, value_of(number));
	n = read_proc(host, "sys/fs/file-nr", buf);
	if (n > 0 && parse_file_nr(buf, n, &number) == 0)
		host_set(host, METRIC_HOST_OPEN_FILES, value_of(number));
	n = read_proc(host, "cgroups", buf);
	if (n > 0 && host->h->controller[CONTROLLER_MEMORY].version &&
		parse_proc_cgroups(buf, n, "memory", &number) == 0)
		host_set(host, METRIC_HOST_MEMORY_CGROUPS, value_of(number));
}

/* The root cgroup has no memory.current on v2; its memory.stat has the parts (since 5.12). */
static void measure_root(struct host *host, char *buf)
{
	static const struct parse_key usage = {"usage_usec", 10, 1000};
	static const struct parse_key parts[] = {{"anon", 4, 1}, {"file", 4, 1}, {"kernel", 6, 1}};
	const struct hierarchy *cpu = &host->h->controller[CONTROLLER_CPU];
	const struct hierarchy *acct = &host->h->controller[CONTROLLER_CPUACCT];
	const struct hierarchy *memory = &host->h->controller[CONTROLLER_MEMORY];
	struct value sums[ARRAY_SIZE(parts)] = {0};
	ssize_t n;

	host->root_cpu_before = host->root_cpu;
	host->root_cpu = host->root_memory = value_absent();
	if (cpu->version == 2) {
		n = read_file_at(cpu->fd, "cpu.stat", buf, BUFFER_SIZE);
		if (n > 0)
			parse_flat(buf, n, &usage, 1, &host->root_cpu);
	} else if (acct->version == 1) {
		n = read_file_at(acct->fd, "cpuacct.usage", buf, BUFFER_SIZE);
		if (n > 0)
			parse_number(buf, n, 1, &host->root_cpu);
	}
	if (memory->version == 2) {
		n = read_file_at(memory->fd, "memory.stat", buf, BUFFER_SIZE);
		if (n > 0 && parse_flat(buf, n, parts, ARRAY_SIZE(parts), sums) == 0)
			for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
				value_add(&host->root_memory, sums[i]);
	} else if (memory->version == 1) {
		n = read_file_at(memory->fd, "memory.usage_in_bytes", buf, BUFFER_SIZE);
		if (n > 0)
			parse_number(buf, n, 1, &host->root_memory);
	}
}

static void measure_files(struct host *host, char *buf)
{
	for (size_t i = 0; i < host->plan.n_files; i++) {
		const struct plan_file *f = &host->plan.files[i];
		struct value values[PLAN_KEYS_MAX] = {0};
		ssize_t n = read_proc(host, f->file, buf);

		if (n <= 0 || plan_parse(f, buf, n, values) < 0)
			continue;
		for (size_t k = 0; k < f->n; k++)
			host->now[f->slot[k]] = values[k];
	}
}

void host_measure(struct host *host)
{
	_cleanup_free_ char *buf = malloc(BUFFER_SIZE);
	struct value *last = host->before;

	host->has_before = host->read_ns != 0;
	host->before = host->now;
	host->before_ns = host->read_ns;
	host->now = last;
	memset(host->now, 0, metric_count(SCOPE_HOST) * sizeof(struct value));
	host->read_ns = now_ns(CLOCK_MONOTONIC);
	if (!buf)
		return;
	measure_cpus(host, buf);
	measure_files(host, buf);
	measure_arc(host, buf);
	measure_counts(host, buf);
	measure_root(host, buf);
}

void host_others(struct host *host, uint64_t instances_cpu, uint64_t instances_memory)
{
	struct value grown = value_minus(host->root_cpu, host->root_cpu_before);
	struct value others = host->before[metric_slot(METRIC_OTHER_CPU_USAGE)];

	if (value_is_number(host->root_cpu) && !value_is_number(others))
		others = value_of(0);
	value_add(&others, value_minus(grown, value_of(instances_cpu)));
	if (value_is_number(host->root_cpu))
		host_set(host, METRIC_OTHER_CPU_USAGE, others);
	host_set(host, METRIC_OTHER_MEMORY_USAGE,
		value_minus(host->root_memory, value_of(instances_memory)));
}

void host_derive(struct host *host)
{
	struct derive_input input = {
		.now = host->now,
		.before = host->has_before ? host->before : NULL,
		.elapsed_ns = host->read_ns - host->before_ns,
	};

	for (size_t i = 0; i < host->plan.n_derived; i++)
		host->now[host->plan.derived[i].slot] = host->plan.derived[i].derive(&input);
}
