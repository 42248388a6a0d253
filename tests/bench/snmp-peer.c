/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/agent/net-snmp-agent-includes.h>

#include "lib/snapshot.h"

/*
 * For tests/bench/snmp: a snapshot of N instances with every value, and the plainest subagent there
 * is, a tdata table of constants of the same size.
 *
 *	snmp-peer snapshot FILE N
 *	snmp-peer table SOCKET N COLUMNS
 */
#define NUMBER(i) ((i)*7919 % 2147483647 + 1) /* as far apart as indexes from hashes are */

static int write_snapshot(const char *path, uint32_t n)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	struct value values[METRIC_ID_END];
	struct snapshot_info info = {.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = 10 * NSEC_PER_SEC};
	struct snapshot_row host = {.text = {[TEXT_NAME] = "host"}, .values = values};

	for (size_t i = 0; i < METRIC_ID_END; i++)
		values[i] = value_of(123456789012 + i);
	snapshot_builder_add(b, SCOPE_HOST, &host);
	for (uint32_t i = 1; i <= n; i++) {
		char name[16];
		struct snapshot_row row = {.index = NUMBER(i), .run = i, .values = values};

		snprintf(name, sizeof(name), "web%u", i);
		for (int t = 0; t < TEXT_COUNT; t++)
			row.text[t] = name;
		snapshot_builder_add(b, SCOPE_INSTANCE, &row);
	}
	return snapshot_builder_publish(b, path, &info) < 0;
}

static int answer(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	struct counter64 constant = {0, 123456789};

	for (; requests; requests = requests->next)
		if (!requests->processed && netsnmp_tdata_extract_row(requests))
			snmp_set_var_typed_value(
				requests->requestvb, ASN_COUNTER64, &constant, sizeof(constant));
	return SNMP_ERR_NOERROR;
}

static void serve_table(const char *socket, uint32_t n, unsigned int columns)
{
	static const oid where[] = {1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 99};
	netsnmp_table_registration_info *info =
		SNMP_MALLOC_TYPEDEF(netsnmp_table_registration_info);
	netsnmp_tdata *table;

	setenv("MIBS", "", 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, socket);
	init_agent("snmp-peer");
	table = netsnmp_tdata_create_table("constants", 0);
	netsnmp_tdata_add_index(table, ASN_UNSIGNED);
	for (uint32_t i = 1; i <= n; i++) {
		netsnmp_tdata_row *row = netsnmp_tdata_create_row();
		u_long index = NUMBER(i);

		netsnmp_tdata_row_add_index(row, ASN_UNSIGNED, &index, sizeof(index));
		netsnmp_tdata_add_row(table, row);
	}
	netsnmp_table_helper_add_indexes(info, ASN_UNSIGNED, 0);
	info->min_column = 1;
	info->max_column = columns;
	netsnmp_tdata_register(netsnmp_create_handler_registration("constants", answer, where,
				       OID_LENGTH(where), HANDLER_CAN_RONLY),
		table, info);
	init_snmp("snmp-peer");
	for (;;)
		agent_check_and_process(1);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "snapshot") == 0)
		return write_snapshot(argv[2], (uint32_t)atoi(argv[3]));
	if (argc == 5 && strcmp(argv[1], "table") == 0)
		serve_table(argv[2], (uint32_t)atoi(argv[3]), (unsigned int)atoi(argv[4]));
	fprintf(stderr, "usage: see %s\n", __FILE__);
	return 2;
}
