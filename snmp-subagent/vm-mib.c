/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mibs.h"

#include <string.h>

#include "view.h"

/* RFC 7666, read-only: the hypervisor and the table of virtual machines. */

#define NOT_KNOWN ((uint64_t)-1) /* -1 of vmMinCpuNumber and the like */

enum {
	HV_SOFTWARE = 1,
	HV_VERSION,
	HV_OBJECT_ID,
	HV_UP_TIME
};

static bool get_hypervisor(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	static const subid none[2] = {0, 0}; /* zeroDotZero */
	struct snapshot_row host;

	switch (c->arc) {
	case HV_SOFTWARE:
		return mib_text(ret, "LXC");
	case HV_VERSION: /* containers are the kernel's */
		return snapshot_row(p->view->snapshot, SCOPE_HOST, key->row, &host) == 0 &&
		       mib_text(ret, host.text[TEXT_KIND]);
	case HV_OBJECT_ID:
		ret->bytes = none;
		ret->len = sizeof(none);
		return true;
	case HV_UP_TIME:
		return mib_number(ret, now_ns(CLOCK_BOOTTIME) / (NSEC_PER_SEC / 100) & UINT32_MAX);
	}
	return false;
}

static bool get_vm_number(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return mib_number(ret, view_rows(p->view, SCOPE_INSTANCE).n);
}

static bool get_last_change(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return mib_number(ret, view_time_stamp(p->view, p->view->source->changed_ns));
}

/* --- vmTable ---------------------------------------------------------------------------------- */

enum {
	VM_NAME = 2,
	VM_UUID,
	VM_OS_TYPE,
	VM_ADMIN_STATE,
	VM_OPER_STATE,
	VM_AUTO_START,
	VM_PERSISTENT,
	VM_CUR_CPU,
	VM_MIN_CPU,
	VM_MAX_CPU,
	VM_MEM_UNIT,
	VM_CUR_MEM,
	VM_MIN_MEM,
	VM_MAX_MEM,
	VM_UP_TIME,
	VM_CPU_TIME
};

static struct value figure(const struct mib_place *p, const struct mib_key *key, unsigned int id)
{
	struct value v = snapshot_value(p->view->snapshot, SCOPE_INSTANCE, key->row, id);

	return v.state == VALUE_UNLIMITED ? view_whole(p->view, metric_by_id(id)) : v;
}

static bool get_cpus(const struct mib_place *p, const struct mib_key *key, struct mib_value *ret)
{
	struct value v = figure(p, key, METRIC_CPU_LIMIT);

	ret->number = (v.number + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
	return value_is_number(v);
}

/* KiB, until that would not fit an Integer32. */
static bool get_memory(const struct mib_place *p, const struct mib_key *key, unsigned int column,
	struct mib_value *ret)
{
	struct value usage = figure(p, key, METRIC_MEMORY_USAGE);
	struct value limit = figure(p, key, METRIC_MEMORY_LIMIT);
	struct value v = column == VM_CUR_MEM ? usage : limit;
	uint64_t unit = 1024;

	while (MAX(usage.number, limit.number) / unit > INT32_MAX)
		unit *= 1024;
	ret->number = column == VM_MEM_UNIT ? unit : v.number / unit;
	return column == VM_MEM_UNIT || value_is_number(v);
}

static bool get_vm(const struct mib_place *p, const struct mib_key *key, const struct mib_column *c,
	struct mib_value *ret)
{
	struct snapshot_row row;
	struct value v;

	switch (c->arc) {
	case VM_NAME:
		return snapshot_row(p->view->snapshot, SCOPE_INSTANCE, key->row, &row) == 0 &&
		       mib_text(ret, row.text[TEXT_HANDLE]);
	case VM_UUID: /* none */
		ret->len = 0;
		return true;
	case VM_OS_TYPE: /* not known: what runs inside is not looked at */
		ret->len = 0;
		return true;
	case VM_ADMIN_STATE:
		return mib_number(ret, 1); /* running, as all that are told */
	case VM_OPER_STATE:
		return mib_number(ret, 4);
	case VM_AUTO_START:
	case VM_PERSISTENT:
		return mib_number(ret, 1); /* unknown */
	case VM_CUR_CPU:
		return get_cpus(p, key, ret);
	case VM_MAX_CPU:
		return get_cpus(p, key, ret) || mib_number(ret, NOT_KNOWN);
	case VM_MIN_CPU:
	case VM_MIN_MEM:
		return mib_number(ret, NOT_KNOWN);
	case VM_MEM_UNIT:
	case VM_CUR_MEM:
		return get_memory(p, key, c->arc, ret);
	case VM_MAX_MEM:
		return get_memory(p, key, c->arc, ret) || mib_number(ret, NOT_KNOWN);
	case VM_UP_TIME:
		v = figure(p, key, METRIC_UPTIME);
		ret->number = v.number / (NSEC_PER_SEC / 100) & UINT32_MAX;
		return value_is_number(v);
	case VM_CPU_TIME:
		v = figure(p, key, METRIC_CPU_USAGE);
		ret->number = v.number / 1000;
		return value_is_number(v);
	}
	return false;
}

static struct mib_rows host_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_HOST);
}

static struct mib_rows vm_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_INSTANCE);
}

static const struct mib_column hypervisor[] = {
	{HV_SOFTWARE, SMI_TEXT, get_hypervisor, NULL},
	{HV_VERSION, SMI_TEXT, get_hypervisor, NULL},
	{HV_OBJECT_ID, SMI_OID, get_hypervisor, NULL},
	{HV_UP_TIME, SMI_TIME_TICKS, get_hypervisor, NULL},
};

/* A lone scalar: its 0 stands for the column, and there is no index. */
static const struct mib_column vm_number[] = {{0, SMI_INTEGER, get_vm_number, NULL}};
static const struct mib_column last_change[] = {{0, SMI_TIME_TICKS, get_last_change, NULL}};

static const struct mib_column vm[] = {
	{VM_NAME, SMI_TEXT, get_vm, NULL},
	{VM_UUID, SMI_OCTETS, get_vm, NULL},
	{VM_OS_TYPE, SMI_TEXT, get_vm, NULL},
	{VM_ADMIN_STATE, SMI_INTEGER, get_vm, NULL},
	{VM_OPER_STATE, SMI_INTEGER, get_vm, NULL},
	{VM_AUTO_START, SMI_INTEGER, get_vm, NULL},
	{VM_PERSISTENT, SMI_INTEGER, get_vm, NULL},
	{VM_CUR_CPU, SMI_INTEGER, get_vm, NULL},
	{VM_MIN_CPU, SMI_INTEGER, get_vm, NULL},
	{VM_MAX_CPU, SMI_INTEGER, get_vm, NULL},
	{VM_MEM_UNIT, SMI_INTEGER, get_vm, NULL},
	{VM_CUR_MEM, SMI_INTEGER, get_vm, NULL},
	{VM_MIN_MEM, SMI_INTEGER, get_vm, NULL},
	{VM_MAX_MEM, SMI_INTEGER, get_vm, NULL},
	{VM_UP_TIME, SMI_TIME_TICKS, get_vm, NULL},
	{VM_CPU_TIME, SMI_COUNTER64, get_vm, NULL},
};

static const struct mib_table tables[] = {
	{{1, 1}, 2, 1, hypervisor, ARRAY_SIZE(hypervisor), host_rows},
	{{1, 2}, 2, 0, vm_number, ARRAY_SIZE(vm_number), mib_scalars},
	{{1, 3}, 2, 0, last_change, ARRAY_SIZE(last_change), mib_scalars},
	{{1, 4, 1}, 3, 1, vm, ARRAY_SIZE(vm), vm_rows},
};

const struct mib_tree vm_mib_tree = {{1, 3, 6, 1, 2, 1, 236}, 7, tables, ARRAY_SIZE(tables)};
