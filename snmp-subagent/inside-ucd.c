/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../lib/util.h"
#include "inside.h"

/*
 * net-snmp's own MIBs in an instance's context. Memory is told so that managers' formula, total
 * less available, buffers and cached, gives the working set.
 */

enum {
	TOTAL_SWAP = 3,
	AVAIL_SWAP,
	TOTAL_REAL,
	AVAIL_REAL,
	TOTAL_FREE = 11,
	SHARED = 13,
	BUFFER,
	CACHED,
	/* The same in 64 bits. */
	TOTAL_SWAP_X = 18,
	AVAIL_SWAP_X,
	TOTAL_REAL_X,
	AVAIL_REAL_X,
	TOTAL_FREE_X,
	SHARED_X = 24,
	BUFFER_X,
	CACHED_X,
	SYS_AVAIL,
};

static struct value left(const struct mib_place *p, unsigned int limit, unsigned int used)
{
	return value_minus(inside_limit(p, limit), inside_figure(p, used));
}

static struct value total_free(const struct mib_place *p)
{
	struct value real = left(p, METRIC_MEMORY_LIMIT, METRIC_MEMORY_USAGE);
	struct value swap = left(p, METRIC_MEMORY_SWAP_LIMIT, METRIC_MEMORY_SWAP);

	if (!value_is_number(real))
		return real;
	value_add(&real, swap);
	return value_is_number(swap) ? real : swap;
}

static struct value memory(const struct mib_place *p, uint32_t arc)
{
	switch (arc) {
	case TOTAL_SWAP:
	case TOTAL_SWAP_X:
		return inside_limit(p, METRIC_MEMORY_SWAP_LIMIT);
	case AVAIL_SWAP:
	case AVAIL_SWAP_X:
		return left(p, METRIC_MEMORY_SWAP_LIMIT, METRIC_MEMORY_SWAP);
	case TOTAL_REAL:
	case TOTAL_REAL_X:
		return inside_limit(p, METRIC_MEMORY_LIMIT);
	case AVAIL_REAL:
	case AVAIL_REAL_X:
		return left(p, METRIC_MEMORY_LIMIT, METRIC_MEMORY_USAGE);
	case TOTAL_FREE:
	case TOTAL_FREE_X:
		return total_free(p);
	case SHARED:
	case SHARED_X:
		return inside_figure(p, METRIC_MEMORY_SHMEM);
	case BUFFER: /* part of the page cache */
	case BUFFER_X:
		return value_is_number(inside_figure(p, METRIC_MEMORY_USAGE)) ? value_of(0)
									      : value_absent();
	case CACHED:
	case CACHED_X:
		return inside_figure(p, METRIC_MEMORY_INACTIVE_FILE);
	case SYS_AVAIL:
		return left(p, METRIC_MEMORY_LIMIT, METRIC_MEMORY_WORKING_SET);
	}
	return value_absent();
}

static bool get_memory(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_kib(ret, c, memory(p, c->arc));
}

static bool get_cpu(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_ticks(ret, inside_figure(p, (unsigned int)(uintptr_t)c->data));
}

/* --- the root file system --------------------------------------------------------------------- */

/* For tables of one row. */
static struct mib_rows one_row(const struct mib_place *p)
{
	static const struct mib_key one = {.index = {1}};

	return (struct mib_rows){&one, 1, 0};
}

enum {
	DISK_INDEX = 1,
	DISK_PATH,
	DISK_DEVICE,
	DISK_TOTAL = 6,
	DISK_AVAIL,
	DISK_USED,
	DISK_PERCENT,
	DISK_TOTAL_LOW = 11,
	DISK_TOTAL_HIGH,
	DISK_AVAIL_LOW,
	DISK_AVAIL_HIGH,
	DISK_USED_LOW,
	DISK_USED_HIGH
};

/* KiB in three forms: an Integer32 as far as it goes, and two halves. */
static bool tell_space(struct mib_value *ret, const struct mib_column *c, struct value bytes)
{
	bool is_there = inside_kib(ret, c, bytes);

	if (c->arc >= DISK_TOTAL_LOW)
		ret->number = (c->arc - DISK_TOTAL_LOW) % 2 ? ret->number >> 32
							    : ret->number & UINT32_MAX;
	return is_there;
}

static bool get_disk(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct value used = inside_figure(p, METRIC_DISK_USED);
	struct value limit = inside_limit(p, METRIC_DISK_LIMIT);

	if (!value_is_number(used))
		return false;
	switch (c->arc) {
	case DISK_INDEX:
		return mib_number(ret, key->index[0]);
	case DISK_PATH:
		return inside_text(ret, "/");
	case DISK_DEVICE:
		return inside_text(ret, "rootfs");
	case DISK_TOTAL:
	case DISK_TOTAL_LOW:
	case DISK_TOTAL_HIGH:
		return tell_space(ret, c, limit);
	case DISK_AVAIL:
	case DISK_AVAIL_LOW:
	case DISK_AVAIL_HIGH:
		return tell_space(ret, c, value_minus(limit, used));
	case DISK_USED:
	case DISK_USED_LOW:
	case DISK_USED_HIGH:
		return tell_space(ret, c, used);
	case DISK_PERCENT:
		ret->number = limit.number / 100 ? MIN(used.number / (limit.number / 100), 100) : 0;
		return limit.number > 0;
	}
	return false;
}

/* --- I/O -------------------------------------------------------------------------------------- */

enum {
	IO_INDEX = 1,
	IO_DEVICE
};

static bool get_io(const struct mib_place *p, const struct mib_key *key, const struct mib_column *c,
	struct mib_value *ret)
{
	return inside_counter(ret, c, inside_figure(p, (unsigned int)(uintptr_t)c->data));
}

/* The row is there when any of its counters is. */
static bool get_io_name(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	static const unsigned int counters[] = {
		METRIC_IO_READ_BYTES, METRIC_IO_WRITE_BYTES, METRIC_IO_READS, METRIC_IO_WRITES};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		if (value_is_number(inside_figure(p, counters[i])))
			return c->arc == IO_INDEX ? mib_number(ret, key->index[0])
						  : inside_text(ret, "all");
	return false;
}

/* --- the tree --------------------------------------------------------------------------------- */

static const struct mib_column memory_columns[] = {
	{TOTAL_SWAP, SMI_INTEGER, get_memory, NULL},
	{AVAIL_SWAP, SMI_INTEGER, get_memory, NULL},
	{TOTAL_REAL, SMI_INTEGER, get_memory, NULL},
	{AVAIL_REAL, SMI_INTEGER, get_memory, NULL},
	{TOTAL_FREE, SMI_INTEGER, get_memory, NULL},
	{SHARED, SMI_INTEGER, get_memory, NULL},
	{BUFFER, SMI_INTEGER, get_memory, NULL},
	{CACHED, SMI_INTEGER, get_memory, NULL},
	{TOTAL_SWAP_X, SMI_GAUGE64, get_memory, NULL},
	{AVAIL_SWAP_X, SMI_GAUGE64, get_memory, NULL},
	{TOTAL_REAL_X, SMI_GAUGE64, get_memory, NULL},
	{AVAIL_REAL_X, SMI_GAUGE64, get_memory, NULL},
	{TOTAL_FREE_X, SMI_GAUGE64, get_memory, NULL},
	{SHARED_X, SMI_GAUGE64, get_memory, NULL},
	{BUFFER_X, SMI_GAUGE64, get_memory, NULL},
	{CACHED_X, SMI_GAUGE64, get_memory, NULL},
	{SYS_AVAIL, SMI_GAUGE64, get_memory, NULL},
};
static const struct mib_column disk_columns[] = {
	{DISK_INDEX, SMI_INTEGER, get_disk, NULL},
	{DISK_PATH, SMI_TEXT, get_disk, NULL},
	{DISK_DEVICE, SMI_TEXT, get_disk, NULL},
	{DISK_TOTAL, SMI_INTEGER, get_disk, NULL},
	{DISK_AVAIL, SMI_INTEGER, get_disk, NULL},
	{DISK_USED, SMI_INTEGER, get_disk, NULL},
	{DISK_PERCENT, SMI_INTEGER, get_disk, NULL},
	{DISK_TOTAL_LOW, SMI_UNSIGNED, get_disk, NULL},
	{DISK_TOTAL_HIGH, SMI_UNSIGNED, get_disk, NULL},
	{DISK_AVAIL_LOW, SMI_UNSIGNED, get_disk, NULL},
	{DISK_AVAIL_HIGH, SMI_UNSIGNED, get_disk, NULL},
	{DISK_USED_LOW, SMI_UNSIGNED, get_disk, NULL},
	{DISK_USED_HIGH, SMI_UNSIGNED, get_disk, NULL},
};
static const struct mib_column cpu_columns[] = {
	{50, SMI_COUNTER32, get_cpu, SHOWS(CPU_USER)},
	{52, SMI_COUNTER32, get_cpu, SHOWS(CPU_SYSTEM)},
	{53, SMI_COUNTER32, get_cpu, SHOWS(CPU_IDLE)},
};
static const struct mib_column io_columns[] = {
	{IO_INDEX, SMI_INTEGER, get_io_name, NULL},
	{IO_DEVICE, SMI_TEXT, get_io_name, NULL},
	{3, SMI_COUNTER32, get_io, SHOWS(IO_READ_BYTES)},
	{4, SMI_COUNTER32, get_io, SHOWS(IO_WRITE_BYTES)},
	{5, SMI_COUNTER32, get_io, SHOWS(IO_READS)},
	{6, SMI_COUNTER32, get_io, SHOWS(IO_WRITES)},
	{12, SMI_COUNTER64, get_io, SHOWS(IO_READ_BYTES)},
	{13, SMI_COUNTER64, get_io, SHOWS(IO_WRITE_BYTES)},
};

static const struct mib_table tables[] = {
	{{4}, 1, 1, memory_columns, ARRAY_SIZE(memory_columns), mib_scalars},
	{{9, 1}, 2, 1, disk_columns, ARRAY_SIZE(disk_columns), one_row},
	{{11}, 1, 1, cpu_columns, ARRAY_SIZE(cpu_columns), mib_scalars},
	{{13, 15, 1, 1}, 4, 1, io_columns, ARRAY_SIZE(io_columns), one_row},
};

const struct mib_tree inside_ucd = {{1, 3, 6, 1, 4, 1, 2021}, 7, tables, ARRAY_SIZE(tables)};
