/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "derive.h"

static struct value now_of(const struct derive_input *in, enum metric_id id)
{
	return in->now[metric_slot(id)];
}

static struct value before_of(const struct derive_input *in, enum metric_id id)
{
	return in->before ? in->before[metric_slot(id)] : value_absent();
}

/* a * b / c without losing the upper bits on the way; saturates. */
static uint64_t multiply_divide(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 result = (unsigned __int128)a * b / c;

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static struct value ratio(struct value part, struct value whole)
{
	if (!value_is_number(part) || !value_is_number(whole) || whole.number == 0)
		return value_absent();
	return value_of(multiply_divide(part.number, NSEC_PER_SEC, whole.number));
}

/* How much a counter of the row rose since the last cycle; absent when it did not only rise. */
static struct value increase(const struct derive_input *in, enum metric_id id)
{
	struct value now = now_of(in, id), before = before_of(in, id);

	if (!value_is_number(now) || !value_is_number(before) || now.number < before.number)
		return value_absent();
	return value_of(now.number - before.number);
}

struct value derive_cpu_limit(const struct derive_input *in)
{
	struct value quota = now_of(in, METRIC_CPU_QUOTA);
	struct value cpuset = now_of(in, METRIC_CPU_CPUSET);

	struct value limit = value_min_limit(quota, cpuset);

	/* All online CPUs, or more than there are, limit nothing. */
	if (value_is_number(limit) && value_is_number(in->host_cpus) &&
		limit.number >= in->host_cpus.number)
		return value_unlimited();
	return limit;
}

/* The limit that doors divide by: never above what the host has. */
static struct value cores_that_count(const struct derive_input *in)
{
	return value_min_limit(now_of(in, METRIC_CPU_LIMIT), in->host_cpus);
}

struct value derive_cpu_used_cores(const struct derive_input *in)
{
	struct value used = increase(in, METRIC_CPU_USAGE);

	if (!value_is_number(used) || in->elapsed_ns == 0)
		return value_absent();
	return value_of(multiply_divide(used.number, NSEC_PER_SEC, in->elapsed_ns));
}

struct value derive_cpu_used_ratio(const struct derive_input *in)
{
	return ratio(now_of(in, METRIC_CPU_USED_CORES), cores_that_count(in));
}

struct value derive_cpu_idle(const struct derive_input *in)
{
	struct value cores = cores_that_count(in), used = increase(in, METRIC_CPU_USAGE);
	struct value idle = before_of(in, METRIC_CPU_IDLE);
	uint64_t could;

	if (!value_is_number(cores) || !value_is_number(now_of(in, METRIC_CPU_USAGE)))
		return value_absent();
	if (!value_is_number(idle) || !value_is_number(used))
		return value_is_number(idle) ? idle : value_of(0);
	could = multiply_divide(cores.number, in->elapsed_ns, NSEC_PER_SEC);
	value_add(&idle, value_minus(value_of(could), used));
	return idle;
}

struct value derive_working_set(const struct derive_input *in)
{
	return value_minus(
		now_of(in, METRIC_MEMORY_USAGE), now_of(in, METRIC_MEMORY_INACTIVE_FILE));
}

struct value derive_memory_used_ratio(const struct derive_input *in)
{
	return ratio(now_of(in, METRIC_MEMORY_WORKING_SET),
		value_min_limit(now_of(in, METRIC_MEMORY_LIMIT), in->host_memory));
}

/* v1's memsw limit counts memory and swap together: what is left for swap is the difference. */
struct value derive_swap_limit_v1(const struct derive_input *in)
{
	struct value both = now_of(in, METRIC_MEMORY_SWAP_LIMIT);

	return value_is_number(both) ? value_minus(both, now_of(in, METRIC_MEMORY_LIMIT)) : both;
}

struct value derive_uptime(const struct derive_input *in)
{
	return value_minus(value_of(in->time_ns), now_of(in, METRIC_START_TIME));
}

struct value derive_host_cpu_used_cores(const struct derive_input *in)
{
	struct value user = increase(in, METRIC_HOST_CPU_USER);
	struct value system = increase(in, METRIC_HOST_CPU_SYSTEM);

	if (!value_is_number(user) || !value_is_number(system) || in->elapsed_ns == 0)
		return value_absent();
	return value_of(multiply_divide(user.number + system.number, NSEC_PER_SEC, in->elapsed_ns));
}
