/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "metric.h"

/*
 * LOADCELL-MIB as a table: which column stands at which arc, its name, syntax and scale. The
 * subagent serves it and `loadcell mib` prints it. Columns of metrics are made from the table of
 * metrics; an arc, once given, never changes its meaning.
 *
 *	ARC.1.TABLE.COLUMN.0            scalars (status, host)
 *	ARC.1.TABLE.1.COLUMN.INDEX...   tables
 *
 * COLUMN is the metric's id, SMI_ARC_BYTES + id for the exact twin of a size, SMI_ARC_UNLIMITED +
 * id for whether a limit is none, and above SMI_ARC_FIXED what is no metric.
 */
#define SMI_ARC_BYTES     1000
#define SMI_ARC_UNLIMITED 2000
#define SMI_ARC_FIXED     3000
#define SMI_NAME_MAX      80
#define SMI_TEXT_MAX      255 /* SnmpAdminString */

enum smi_table {
	SMI_STATUS = 1,
	SMI_HOST,
	SMI_INSTANCE,
	SMI_INTERFACE,
	SMI_FILESYSTEM,
	SMI_RUN,
	SMI_EVENT,
	SMI_TABLE_END,
};

enum smi_syntax {
	SMI_INTEGER,
	SMI_TRUTH,      /* TruthValue: 1 true, 2 false */
	SMI_UNSIGNED,   /* Unsigned32 */
	SMI_GAUGE32,    /* more than fits is its highest value */
	SMI_TIME_STAMP, /* of snmpd's sysUpTime */
	SMI_TIME_TICKS,
	SMI_COUNTER64,
	SMI_GAUGE64, /* CounterBasedGauge64: travels as a Counter64 */
	SMI_TEXT,    /* SnmpAdminString */
	SMI_OCTETS,
	SMI_OID,
	SMI_COUNTER32, /* not in LOADCELL-MIB: of standard MIBs; the upper bits are cut off */
};

/* What is no metric: SMI_ARC_FIXED + the number within its table. Append only. */
enum smi_fixed {
	STATUS_VERSION = 1,
	STATUS_DATA_TIME,
	STATUS_DATA_AGE,
	STATUS_DATA_STALE,
	STATUS_DATA_PROBLEM,
	STATUS_INSTANCE_NUMBER,
	STATUS_LAST_CHANGE,
	STATUS_LEFT_OUT,
	STATUS_CONTEXTS,
	STATUS_CONTEXTS_REFUSED,
	STATUS_LAST_EVENT,
	STATUS_UNEXPECTED_ENDS,
	STATUS_FLAPPINGS,

	HOST_NAME = 1,
	HOST_KERNEL,

	INSTANCE_INDEX = 1,
	INSTANCE_NAME,
	INSTANCE_HANDLE,
	INSTANCE_CONTEXT,
	INSTANCE_HOSTNAME,
	INSTANCE_GROUPS,
	INSTANCE_LXCPATH,
	INSTANCE_KIND,
	INSTANCE_STATE,
	INSTANCE_RUN,
	INSTANCE_DISCONTINUITY,
	INSTANCE_NETWORK_SHARED,
	INSTANCE_ZABBIX_NAME,

	INTERFACE_INDEX = 1,
	INTERFACE_NAME,

	FILESYSTEM_INDEX = 1,
	FILESYSTEM_MOUNT,
	FILESYSTEM_DEVICE,
	FILESYSTEM_TYPE,

	RUN_END = 1,
	RUN_ORDINAL,
	RUN_ID,
	RUN_INSTANCE,
	RUN_HANDLE,
	RUN_NAME,
	RUN_LXCPATH,
	RUN_HOSTNAME,
	RUN_START,
	RUN_HOW,
	RUN_SOURCE,

	EVENT_ID = 1,
	EVENT_TIME,
	EVENT_TYPE,
	EVENT_HANDLE,
	EVENT_INSTANCE,
	EVENT_RUN,
	EVENT_HOW,
	EVENT_KILLS,
	EVENT_METRIC,
	EVENT_OLD,
	EVENT_NEW,
};

struct smi_column {
	uint32_t arc;
	char name[SMI_NAME_MAX];
	enum smi_syntax syntax;
	const struct metric *metric; /* NULL: fixed */
	bool is_index;               /* not accessible by itself */
	const char *units;           /* NULL: none */
	const char *key;             /* fixed columns of runs and events: the key in the line */
	const char *help;
};

/* "loadcellInstance"; is_table false for scalars. */
const char *smi_prefix(enum smi_table table);
bool smi_is_table(enum smi_table table);
enum metric_scope smi_scope(enum smi_table table); /* SCOPE_COUNT: none */

/* All columns of a table by ascending arc. Returns how many, or -ENOMEM; the caller frees. */
ssize_t smi_columns(enum smi_table table, struct smi_column **ret);

/*
 * What a metric's column shows for a value, scaled. Without a limit that is the smaller of whole:
 * the host's metrics smi_whole() names, 0 for none. False: nothing, the cell is absent.
 */
bool smi_number(const struct smi_column *c, struct value v, struct value whole, uint64_t *ret);
void smi_whole(const struct metric *m, unsigned int ids[2]);
