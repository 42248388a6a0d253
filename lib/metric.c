/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "metric-table.h"
#include "metric.h"
#include "util.h"

/* Filled once before main() from the constant tables, constant from then on. */
static struct {
	const struct metric *by_id[METRIC_ID_END];
	const struct metric *rows[SCOPE_COUNT][METRIC_ID_END];
	size_t slot[METRIC_ID_END];
	size_t count[SCOPE_COUNT];
} order;

static void collect(const struct metric *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order.by_id[table[i].id] = &table[i];
}

__attribute__((constructor)) static void order_rows(void)
{
	collect(metrics_instance, metrics_instance_count);
	collect(metrics_host, metrics_host_count);
	for (unsigned int id = 0; id < METRIC_ID_END; id++) {
		const struct metric *m = order.by_id[id];

		if (!m)
			continue;
		order.slot[id] = order.count[m->scope];
		order.rows[m->scope][order.count[m->scope]++] = m;
	}
}

size_t metric_count(enum metric_scope scope)
{
	return order.count[scope];
}

const struct metric *metric_at(enum metric_scope scope, size_t slot)
{
	return slot < order.count[scope] ? order.rows[scope][slot] : NULL;
}

const struct metric *metric_by_id(unsigned int id)
{
	return id < METRIC_ID_END ? order.by_id[id] : NULL;
}

const struct metric *metric_by_name(const char *name)
{
	for (unsigned int id = 0; id < METRIC_ID_END; id++)
		if (order.by_id[id] && !strcmp(order.by_id[id]->name, name))
			return order.by_id[id];
	return NULL;
}

size_t metric_slot(unsigned int id)
{
	return order.slot[id];
}

uint64_t metric_fingerprint(void)
{
	uint64_t hash = FNV64_START;

	for (unsigned int id = 0; id < METRIC_ID_END; id++) {
		const struct metric *m = order.by_id[id];
		uint32_t numbers[] = {id, m ? m->unit : 0, m ? m->kind : 0, m ? m->scope : 0};

		if (!m)
			continue;
		hash = fnv64(hash, numbers, sizeof(numbers));
		hash = fnv64(hash, m->name, strlen(m->name) + 1);
	}
	return hash;
}

uint64_t unit_divisor(enum metric_unit unit)
{
	return unit == UNIT_BYTES || unit == UNIT_COUNT ? 1 : NSEC_PER_SEC;
}

const char *unit_name(enum metric_unit unit)
{
	static const char *const names[] = {
		[UNIT_SECONDS] = "seconds",
		[UNIT_BYTES] = "bytes",
		[UNIT_CORES] = "cores",
		[UNIT_RATIO] = "ratio",
		[UNIT_COUNT] = "count",
	};

	return names[unit];
}

const char *kind_name(enum metric_kind kind)
{
	static const char *const names[] = {
		[KIND_COUNTER] = "counter",
		[KIND_GAUGE] = "gauge",
		[KIND_LIMIT] = "limit",
		[KIND_RATIO] = "ratio",
		[KIND_TIMESTAMP] = "timestamp",
	};

	return names[kind];
}

const char *scope_name(enum metric_scope scope)
{
	static const char *const names[] = {
		[SCOPE_INSTANCE] = "instance",
		[SCOPE_INTERFACE] = "interface",
		[SCOPE_FILESYSTEM] = "filesystem",
		[SCOPE_HOST] = "host",
	};

	return names[scope];
}

bool metric_stands_at_end(const struct metric *m, const struct metric_source *s)
{
	if (m->kind == KIND_LIMIT)
		return s->type == SOURCE_FILE || s->derive;
	return s->type == SOURCE_FILE && (m->kind == KIND_COUNTER || m->peak);
}

const char *controller_name(enum controller c, int version)
{
	static const char *const names[] = {
		[CONTROLLER_NONE] = "proc",
		[CONTROLLER_CPU] = "cpu",
		[CONTROLLER_CPUACCT] = "cpuacct",
		[CONTROLLER_CPUSET] = "cpuset",
		[CONTROLLER_MEMORY] = "memory",
		[CONTROLLER_PIDS] = "pids",
		[CONTROLLER_IO] = "io",
		[CONTROLLER_UNIFIED] = "unified",
		[CONTROLLER_SYSTEMD] = "systemd",
	};

	return c == CONTROLLER_IO && version == 1 ? "blkio" : names[c];
}

const char *grammar_name(enum grammar g)
{
	static const char *const names[] = {
		[GRAMMAR_NUMBER] = "number",
		[GRAMMAR_FLAT] = "flat",
		[GRAMMAR_NESTED] = "nested",
		[GRAMMAR_BLKIO] = "blkio",
		[GRAMMAR_PRESSURE] = "pressure",
		[GRAMMAR_CPU_QUOTA] = "cpu quota",
		[GRAMMAR_CPU_CFS] = "cfs quota",
		[GRAMMAR_CPU_LIST] = "cpu list",
		[GRAMMAR_NETDEV] = "net/dev",
	};

	return names[g];
}
