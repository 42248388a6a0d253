/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../lib/util.h"
#include "inside.h"

/* The standard MIBs of an instance's context. docs/snmp-contexts.md says what is absent and why. */

#define MIB2 1, 3, 6, 1, 2, 1
/* What managers take for a Linux machine with net-snmp (NET-SNMP-TC's linux), and its "unknown". */
static const subid linux_id[] = {1, 3, 6, 1, 4, 1, 8072, 3, 2, 10};
static const subid unknown_id[] = {1, 3, 6, 1, 4, 1, 8072, 3, 2, 255};

static bool tell_oid(struct mib_value *ret, const subid *name, size_t size)
{
	ret->bytes = name;
	ret->len = size;
	return true;
}

/* --- system ----------------------------------------------------------------------------------- */

enum {
	SYS_DESCR = 1,
	SYS_OBJECT_ID,
	SYS_UP_TIME,
	SYS_CONTACT,
	SYS_NAME,
	SYS_LOCATION
};

static bool get_system(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct snapshot_row row, host = {.text = {[TEXT_NAME] = "", [TEXT_KIND] = ""}};
	const char *name;
	bool is_lxc;

	if (!inside_row(p, &row))
		return false;
	snapshot_row(p->view->snapshot, SCOPE_HOST, 0, &host);
	is_lxc = strcmp(row.text[TEXT_KIND], "lxc") == 0;
	name = row.text[*row.text[TEXT_HOSTNAME] ? TEXT_HOSTNAME : TEXT_HANDLE];
	switch (c->arc) {
	case SYS_DESCR: /* begins as uname -a does: managers look for that; the kernel is shared */
		if (is_lxc)
			snprintf(ret->buffer, sizeof(ret->buffer),
				"Linux %s %s LXC instance %s of %s", name, host.text[TEXT_KIND],
				row.text[TEXT_HANDLE], host.text[TEXT_NAME]);
		else
			snprintf(ret->buffer, sizeof(ret->buffer), "%s: %s instance %s of %s", name,
				row.text[TEXT_KIND], row.text[TEXT_HANDLE], host.text[TEXT_NAME]);
		return inside_text(ret, ret->buffer);
	case SYS_OBJECT_ID:
		return is_lxc ? tell_oid(ret, linux_id, sizeof(linux_id))
			      : tell_oid(ret, unknown_id, sizeof(unknown_id));
	case SYS_CONTACT: /* not known */
		return inside_text(ret, "");
	case SYS_NAME:
		return inside_text(ret, name);
	case SYS_LOCATION:
		return inside_text(ret, host.text[TEXT_NAME]);
	}
	return false;
}

/*
 * Of the sample, as the counters are: rates over its difference are exact, and a manager that sees
 * it fall knows that all counters have begun anew.
 */
static bool get_up_time(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_ticks(ret, inside_figure(p, METRIC_UPTIME));
}

/* --- interfaces ------------------------------------------------------------------------------- */

static struct mib_rows interface_rows(const struct mib_place *p)
{
	return view_interfaces(p->view, p->instance);
}

static bool get_interface_number(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct snapshot_row row;

	return inside_row(p, &row) && !(row.flags & SNAPSHOT_NETWORK_SHARED) &&
	       mib_number(ret, view_interfaces(p->view, p->instance).n);
}

static struct value counter(
	const struct mib_place *p, const struct mib_key *key, unsigned int metric_id)
{
	return snapshot_value(p->view->snapshot, SCOPE_INTERFACE, key->row, metric_id);
}

static bool get_counter(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_counter(ret, c, counter(p, key, (unsigned int)(uintptr_t)c->data));
}

static bool get_interface_name(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct snapshot_row row;

	return snapshot_row(p->view->snapshot, SCOPE_INTERFACE, key->row, &row) == 0 &&
	       mib_text(ret, row.text[TEXT_NAME]);
}

static bool get_interface_index(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return mib_number(ret, key->index[1]);
}

/* Counters are as old as sysUpTime, unless a number has passed to another interface. */
static bool get_discontinuity(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	const struct mib_key *instance = view_instance(p->view, p->instance);

	return instance && inside_ticks(ret, value_of(p->view->runs[instance->row].interfaces_ns));
}

/* Samples do not tell the state: what has ever moved a packet is up, of others it is not known. */
static bool get_oper_status(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	bool moved = counter(p, key, METRIC_INTERFACE_RECEIVE_PACKETS).number > 0 ||
		     counter(p, key, METRIC_INTERFACE_TRANSMIT_PACKETS).number > 0;

	return mib_number(ret, moved ? 1 : 4);
}

static bool get_constant(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return mib_number(ret, (uintptr_t)c->data);
}

static bool get_empty(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_text(ret, "");
}
#define CONSTANT(n) ((const void *)(uintptr_t)(n))

/* --- HOST-RESOURCES-MIB ----------------------------------------------------------------------- */

static bool get_memory_size(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return inside_kib(ret, c, inside_limit(p, METRIC_MEMORY_LIMIT));
}

enum {
	STORAGE_INDEX = 1,
	STORAGE_TYPE,
	STORAGE_DESCR,
	STORAGE_UNITS,
	STORAGE_SIZE,
	STORAGE_USED
};

/* Numbers, descriptions and types as net-snmp has them: managers know these. */
static const struct storage {
	const char *descr;
	subid type[10];
	unsigned int size, used;
} storages[] = {
	{"Physical memory", {MIB2, 25, 2, 1, 2}, METRIC_MEMORY_LIMIT, METRIC_MEMORY_USAGE},
	{"Cached memory", {MIB2, 25, 2, 1, 1}, METRIC_MEMORY_INACTIVE_FILE,
		METRIC_MEMORY_INACTIVE_FILE},
	{"Swap space", {MIB2, 25, 2, 1, 3}, METRIC_MEMORY_SWAP_LIMIT, METRIC_MEMORY_SWAP},
	{"/", {MIB2, 25, 2, 1, 4}, METRIC_DISK_LIMIT, METRIC_DISK_USED},
};

static struct mib_rows storage_rows(const struct mib_place *p)
{
	static const struct mib_key keys[] = {{{1}, 0}, {{7}, 1}, {{10}, 2}, {{31}, 3}};

	return (struct mib_rows){keys, ARRAY_SIZE(keys), 0};
}

/* Units grow until both numbers fit an Integer32. */
static bool get_storage(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	const struct storage *s = &storages[key->row];
	struct value size = inside_limit(p, s->size), used = inside_figure(p, s->used);
	uint64_t unit = 1024;

	if (!value_is_number(used))
		return false;
	while (MAX(size.number, used.number) / unit > INT32_MAX)
		unit *= 2;
	switch (c->arc) {
	case STORAGE_INDEX:
		return mib_number(ret, key->index[0]);
	case STORAGE_TYPE:
		return tell_oid(ret, s->type, sizeof(s->type));
	case STORAGE_DESCR:
		return inside_text(ret, s->descr);
	case STORAGE_UNITS:
		return mib_number(ret, unit);
	case STORAGE_SIZE:
		ret->number = size.number / unit;
		return value_is_number(size);
	case STORAGE_USED:
		return mib_number(ret, used.number / unit);
	}
	return false;
}

/* The effective limit in processors, rounded up; numbered as net-snmp does. */
#define P1(n)                                                                                      \
	{                                                                                          \
		{196608 + (n)}, 0                                                                  \
	}
#define P4(n)   P1(n), P1((n) + 1), P1((n) + 2), P1((n) + 3)
#define P16(n)  P4(n), P4((n) + 4), P4((n) + 8), P4((n) + 12)
#define P64(n)  P16(n), P16((n) + 16), P16((n) + 32), P16((n) + 48)
#define P256(n) P64(n), P64((n) + 64), P64((n) + 128), P64((n) + 192)
static struct mib_rows processor_rows(const struct mib_place *p)
{
	static const struct mib_key keys[] = {P256(0), P256(256), P256(512), P256(768)};
	struct value cores = inside_limit(p, METRIC_CPU_LIMIT);
	uint64_t n = (cores.number + NSEC_PER_SEC - 1) / NSEC_PER_SEC;

	return (struct mib_rows){keys, MIN(n, (uint64_t)ARRAY_SIZE(keys)), 0};
}

enum {
	DEVICE_INDEX = 1,
	DEVICE_TYPE,
	DEVICE_DESCR,
	DEVICE_ID,
	DEVICE_STATUS
};

/* hrProcessorFrwID is no row of hrDeviceTable, but an OID as hrDeviceID is. */
static bool get_processor(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	static const subid none[] = {0, 0}, processor[] = {MIB2, 25, 3, 1, 3};

	switch (c->data ? DEVICE_ID : c->arc) {
	case DEVICE_INDEX:
		return mib_number(ret, key->index[0]);
	case DEVICE_TYPE:
		return tell_oid(ret, processor, sizeof(processor));
	case DEVICE_DESCR:
		return inside_text(ret, "processor, or a share of one");
	case DEVICE_ID:
		return tell_oid(ret, none, sizeof(none));
	case DEVICE_STATUS:
		return mib_number(ret, 2); /* running */
	}
	return false;
}

/* --- the tree --------------------------------------------------------------------------------- */

static const struct mib_column system_columns[] = {
	{SYS_DESCR, SMI_TEXT, get_system, NULL},
	{SYS_OBJECT_ID, SMI_OID, get_system, NULL},
	{SYS_UP_TIME, SMI_TIME_TICKS, get_up_time, NULL},
	{SYS_CONTACT, SMI_TEXT, get_system, NULL},
	{SYS_NAME, SMI_TEXT, get_system, NULL},
	{SYS_LOCATION, SMI_TEXT, get_system, NULL},
};
/* Lone scalars: their 0 stands for the column, and there is no index. */
static const struct mib_column if_number[] = {{0, SMI_INTEGER, get_interface_number, NULL}};
static const struct mib_column up_time[] = {{0, SMI_TIME_TICKS, get_up_time, NULL}};
static const struct mib_column memory_size[] = {{0, SMI_INTEGER, get_memory_size, NULL}};

static const struct mib_column if_columns[] = {
	{1, SMI_INTEGER, get_interface_index, NULL},
	{2, SMI_TEXT, get_interface_name, NULL},     /* ifDescr */
	{3, SMI_INTEGER, get_constant, CONSTANT(6)}, /* ifType: ethernetCsmacd */
	{5, SMI_GAUGE32, get_constant, CONSTANT(0)}, /* ifSpeed: it has no bandwidth of its own */
	{7, SMI_INTEGER, get_constant, CONSTANT(1)}, /* ifAdminStatus: up, else why is it there */
	{8, SMI_INTEGER, get_oper_status, NULL},
	{10, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_RECEIVE_BYTES)},
	{11, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_RECEIVE_PACKETS)},
	{13, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_RECEIVE_DROPS)},
	{14, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_RECEIVE_ERRORS)},
	{16, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_TRANSMIT_BYTES)},
	{17, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_TRANSMIT_PACKETS)},
	{19, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_TRANSMIT_DROPS)},
	{20, SMI_COUNTER32, get_counter, SHOWS(INTERFACE_TRANSMIT_ERRORS)},
};

static const struct mib_column ifx_columns[] = {
	{1, SMI_TEXT, get_interface_name, NULL},
	{6, SMI_COUNTER64, get_counter, SHOWS(INTERFACE_RECEIVE_BYTES)},
	{7, SMI_COUNTER64, get_counter, SHOWS(INTERFACE_RECEIVE_PACKETS)},
	{10, SMI_COUNTER64, get_counter, SHOWS(INTERFACE_TRANSMIT_BYTES)},
	{11, SMI_COUNTER64, get_counter, SHOWS(INTERFACE_TRANSMIT_PACKETS)},
	{15, SMI_GAUGE32, get_constant, CONSTANT(0)}, /* ifHighSpeed: as ifSpeed */
	{18, SMI_TEXT, get_empty, NULL}, /* ifAlias: stock templates drop rows without it */
	{19, SMI_TIME_STAMP, get_discontinuity, NULL},
};

static const struct mib_column storage_columns[] = {
	{STORAGE_INDEX, SMI_INTEGER, get_storage, NULL},
	{STORAGE_TYPE, SMI_OID, get_storage, NULL},
	{STORAGE_DESCR, SMI_TEXT, get_storage, NULL},
	{STORAGE_UNITS, SMI_INTEGER, get_storage, NULL},
	{STORAGE_SIZE, SMI_INTEGER, get_storage, NULL},
	{STORAGE_USED, SMI_INTEGER, get_storage, NULL},
};
static const struct mib_column device_columns[] = {
	{DEVICE_INDEX, SMI_INTEGER, get_processor, NULL},
	{DEVICE_TYPE, SMI_OID, get_processor, NULL},
	{DEVICE_DESCR, SMI_TEXT, get_processor, NULL},
	{DEVICE_ID, SMI_OID, get_processor, NULL},
	{DEVICE_STATUS, SMI_INTEGER, get_processor, NULL},
};
static const struct mib_column processor_columns[] = {{1, SMI_OID, get_processor, CONSTANT(1)}};

static const struct mib_table tables[] = {
	{{1}, 1, 1, system_columns, ARRAY_SIZE(system_columns), mib_scalars},
	{{2, 1}, 2, 0, if_number, ARRAY_SIZE(if_number), mib_scalars},
	{{2, 2, 1}, 3, 1, if_columns, ARRAY_SIZE(if_columns), interface_rows},
	{{25, 1, 1}, 3, 0, up_time, ARRAY_SIZE(up_time), mib_scalars},
	{{25, 2, 2}, 3, 0, memory_size, ARRAY_SIZE(memory_size), mib_scalars},
	{{25, 2, 3, 1}, 4, 1, storage_columns, ARRAY_SIZE(storage_columns), storage_rows},
	{{25, 3, 2, 1}, 4, 1, device_columns, ARRAY_SIZE(device_columns), processor_rows},
	{{25, 3, 3, 1}, 4, 1, processor_columns, ARRAY_SIZE(processor_columns), processor_rows},
	{{31, 1, 1, 1}, 4, 1, ifx_columns, ARRAY_SIZE(ifx_columns), interface_rows},
};

const struct mib_tree inside_mib2 = {{MIB2}, 6, tables, ARRAY_SIZE(tables)};
