/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "smi.h"

#include <ctype.h>
#include <string.h>

#include "util.h"

_Static_assert(METRIC_ID_END <= SMI_ARC_BYTES, "ids and the arcs of twins overlap");

/* --- what is no metric ------------------------------------------------------------------------ */

struct fixed {
	enum smi_table table;
	unsigned int number;
	const char *name;
	enum smi_syntax syntax;
	bool is_index;
	const char *key, *units, *help;
};

#define UNIX_SECONDS "seconds since 1970-01-01 00:00:00 UTC"

/* clang-format off */
static const struct fixed fixed[] = {
	{SMI_STATUS, STATUS_VERSION, "Version", SMI_TEXT, false, NULL, NULL,
		"The release of loadcell-snmp."},
	{SMI_STATUS, STATUS_DATA_TIME, "DataTime", SMI_UNSIGNED, false, NULL, UNIX_SECONDS,
		"When the newest sample was taken."},
	{SMI_STATUS, STATUS_DATA_AGE, "DataAge", SMI_GAUGE32, false, NULL, "milliseconds",
		"How old the newest sample is."},
	{SMI_STATUS, STATUS_DATA_STALE, "DataStale", SMI_TRUTH, false, NULL, NULL,
		"Whether the collector has published nothing for so long (stale_after in "
		"loadcell.conf) that host, instances, interfaces and file systems are no longer told."},
	{SMI_STATUS, STATUS_DATA_PROBLEM, "DataProblem", SMI_TEXT, false, NULL, NULL,
		"Why there is no newer sample, in one sentence; empty when all is well."},
	{SMI_STATUS, STATUS_INSTANCE_NUMBER, "InstanceNumber", SMI_GAUGE32, false, NULL, NULL,
		"Rows of loadcellInstanceTable."},
	{SMI_STATUS, STATUS_LAST_CHANGE, "InstanceTableLastChange", SMI_TIME_STAMP, false, NULL, NULL,
		"sysUpTime when a row of loadcellInstanceTable last came, went or began a new run; 0 "
		"if that was before snmpd started."},
	{SMI_STATUS, STATUS_LEFT_OUT, "NotificationsLeftOut", SMI_UNSIGNED, false, NULL, NULL,
		"How many notifications the newest loadcellEventsLeftOut tells of; 0: none yet."},
	{SMI_STATUS, STATUS_CONTEXTS, "Contexts", SMI_GAUGE32, false, NULL, NULL,
		"For how many instances an SNMP context of their own is registered."},
	{SMI_STATUS, STATUS_CONTEXTS_REFUSED, "ContextsRefused", SMI_GAUGE32, false, NULL, NULL,
		"How many instances have no context because snmp_contexts in loadcell.conf allows no "
		"more."},

	{SMI_STATUS, STATUS_LAST_EVENT, "LastEvent", SMI_TEXT, false, NULL, NULL,
		"The newest event in words: its number, type, instance and how a run has ended."},
	{SMI_STATUS, STATUS_UNEXPECTED_ENDS, "UnexpectedEnds", SMI_COUNTER64, false, NULL, NULL,
		"How many runs ended by a kill, by the OOM killer or with the host: of the day before "
		"this agent started, and since."},
	{SMI_STATUS, STATUS_FLAPPINGS, "Flappings", SMI_COUNTER64, false, NULL, NULL,
		"How often an instance began to start again and again, counted likewise."},
	{SMI_HOST, HOST_NAME, "Name", SMI_TEXT, false, NULL, NULL, "The name of the host."},
	{SMI_HOST, HOST_KERNEL, "Kernel", SMI_TEXT, false, NULL, NULL,
		"The release of the host's kernel."},

	{SMI_INSTANCE, INSTANCE_INDEX, "Index", SMI_UNSIGNED, true, NULL, NULL,
		"The number of the instance, the same for ever and never given to another."},
	{SMI_INSTANCE, INSTANCE_NAME, "Name", SMI_TEXT, false, NULL, NULL,
		"The name of the instance within its lxcpath."},
	{SMI_INSTANCE, INSTANCE_HANDLE, "Handle", SMI_TEXT, false, NULL, NULL,
		"The name by which every part of loadcell knows the instance: its name, or NAME~INDEX "
		"where another instance had that first."},
	{SMI_INSTANCE, INSTANCE_CONTEXT, "Context", SMI_TEXT, false, NULL, NULL,
		"The SNMP context in which standard MIBs describe this instance."},
	{SMI_INSTANCE, INSTANCE_HOSTNAME, "Hostname", SMI_TEXT, false, NULL, NULL,
		"The host name in the instance's configuration (lxc.uts.name)."},
	{SMI_INSTANCE, INSTANCE_GROUPS, "Groups", SMI_TEXT, false, NULL, NULL,
		"The groups in the instance's configuration (lxc.group), with commas between."},
	{SMI_INSTANCE, INSTANCE_LXCPATH, "Lxcpath", SMI_TEXT, false, NULL, NULL,
		"The directory in which the instance is configured."},
	{SMI_INSTANCE, INSTANCE_KIND, "Kind", SMI_TEXT, false, NULL, NULL,
		"What it is: lxc, qemu or a kind of loadcell.conf."},
	{SMI_INSTANCE, INSTANCE_STATE, "State", SMI_TEXT, false, NULL, NULL,
		"running, also when it is frozen."},
	{SMI_INSTANCE, INSTANCE_RUN, "Run", SMI_TEXT, false, NULL, NULL,
		"Which run of the instance it is, the same in loadcellRunTable and loadcellEventTable. "
		"Counters begin anew with each run."},
	/*
	 * Managers know this kind of object from ifCounterDiscontinuityTime (RFC 2578, 7.1.6): a
	 * TimeStamp. Zabbix and others that look at the clock instead take the start time.
	 */
	{SMI_INSTANCE, INSTANCE_DISCONTINUITY, "DiscontinuityTime", SMI_TIME_STAMP, false, NULL, NULL,
		"sysUpTime when this run began, and with it all counters of the row and of the "
		"instance's interfaces, or when others were last seen at the numbers of its "
		"interfaces; 0 if that was before snmpd started."},
	{SMI_INSTANCE, INSTANCE_NETWORK_SHARED, "NetworkShared", SMI_TRUTH, false, NULL, NULL,
		"Whether the instance uses the network of the host, and has no counters of its own."},

	{SMI_INSTANCE, INSTANCE_ZABBIX_NAME, "ZabbixName", SMI_TEXT, false, NULL, NULL,
		"Handle, dot, name of the host, in characters that a Zabbix host name may have. No two "
		"instances of any hosts have the same."},
	{SMI_INTERFACE, INTERFACE_INDEX, "Index", SMI_UNSIGNED, true, NULL, NULL,
		"The place of the interface in the instance's list, from 1; it passes to another when "
		"one before it goes."},
	{SMI_INTERFACE, INTERFACE_NAME, "Name", SMI_TEXT, false, NULL, NULL,
		"The name of the interface inside the instance."},

	{SMI_FILESYSTEM, FILESYSTEM_INDEX, "Index", SMI_UNSIGNED, true, NULL, NULL,
		"The number of the file system in this list, from 1."},
	{SMI_FILESYSTEM, FILESYSTEM_MOUNT, "Mount", SMI_TEXT, false, NULL, NULL,
		"Where it is mounted."},
	{SMI_FILESYSTEM, FILESYSTEM_DEVICE, "Device", SMI_TEXT, false, NULL, NULL,
		"The device it is on."},
	{SMI_FILESYSTEM, FILESYSTEM_TYPE, "Type", SMI_TEXT, false, NULL, NULL, "Its type."},

	{SMI_RUN, RUN_END, "End", SMI_UNSIGNED, true, "end", UNIX_SECONDS, "When the run ended."},
	{SMI_RUN, RUN_ORDINAL, "Ordinal", SMI_UNSIGNED, true, NULL, NULL,
		"Tells runs apart that ended in the same second, from 1."},
	{SMI_RUN, RUN_ID, "Id", SMI_TEXT, false, "run", NULL, "Which run, as in loadcellInstanceRun."},
	{SMI_RUN, RUN_INSTANCE, "Instance", SMI_UNSIGNED, false, "index", NULL,
		"The loadcellInstanceIndex of the instance."},
	{SMI_RUN, RUN_HANDLE, "Handle", SMI_TEXT, false, "handle", NULL,
		"The loadcellInstanceHandle of the instance."},
	{SMI_RUN, RUN_NAME, "Name", SMI_TEXT, false, "name", NULL, "The name of the instance."},
	{SMI_RUN, RUN_LXCPATH, "Lxcpath", SMI_TEXT, false, "lxcpath", NULL,
		"The directory in which the instance was configured."},
	{SMI_RUN, RUN_HOSTNAME, "Hostname", SMI_TEXT, false, "hostname", NULL,
		"The host name in its configuration."},
	{SMI_RUN, RUN_START, "Start", SMI_UNSIGNED, false, "start", UNIX_SECONDS,
		"When the run began."},
	{SMI_RUN, RUN_HOW, "How", SMI_TEXT, false, "how", NULL,
		"How it ended: stop, reboot, killed, oom, host-crash or unknown."},
	{SMI_RUN, RUN_SOURCE, "Source", SMI_TEXT, false, "source", NULL,
		"Where its last counters come from: hook, sample or none."},

	{SMI_EVENT, EVENT_ID, "Id", SMI_UNSIGNED, true, "id", NULL,
		"The number of the event, which rises by one and never repeats."},
	{SMI_EVENT, EVENT_TIME, "Time", SMI_UNSIGNED, false, "time", UNIX_SECONDS, "When it was."},
	{SMI_EVENT, EVENT_TYPE, "Type", SMI_TEXT, false, "type", NULL,
		"start, stop, reboot, oom, limit-changed, appeared, disappeared or flapping."},
	{SMI_EVENT, EVENT_HANDLE, "Handle", SMI_TEXT, false, "handle", NULL,
		"The loadcellInstanceHandle of the instance."},
	{SMI_EVENT, EVENT_INSTANCE, "Instance", SMI_UNSIGNED, false, "index", NULL,
		"The loadcellInstanceIndex of the instance."},
	{SMI_EVENT, EVENT_RUN, "Run", SMI_TEXT, false, "run", NULL,
		"Which run, as in loadcellInstanceRun."},
	{SMI_EVENT, EVENT_HOW, "How", SMI_TEXT, false, "how", NULL, "Of an end: as loadcellRunHow."},
	{SMI_EVENT, EVENT_KILLS, "Kills", SMI_UNSIGNED, false, "kills", NULL,
		"Of an OOM kill: how many processes were killed."},
	{SMI_EVENT, EVENT_METRIC, "Metric", SMI_TEXT, false, "metric", NULL,
		"Of a changed limit: which one, by its name in loadcell-metrics(7)."},
	{SMI_EVENT, EVENT_OLD, "Old", SMI_TEXT, false, "old", NULL,
		"Of a changed limit: what it was, in its base unit."},
	{SMI_EVENT, EVENT_NEW, "New", SMI_TEXT, false, "new", NULL,
		"Of a changed limit: what it is now, in its base unit."},
};
/* clang-format on */

static const struct {
	const char *prefix;
	bool is_table;
	enum metric_scope scope;
} tables[] = {
	[SMI_STATUS] = {"loadcell", false, SCOPE_COUNT},
	[SMI_HOST] = {"loadcellHost", false, SCOPE_HOST},
	[SMI_INSTANCE] = {"loadcellInstance", true, SCOPE_INSTANCE},
	[SMI_INTERFACE] = {"loadcellInterface", true, SCOPE_INTERFACE},
	[SMI_FILESYSTEM] = {"loadcellFilesystem", true, SCOPE_FILESYSTEM},
	[SMI_RUN] = {"loadcellRun", true, SCOPE_INSTANCE},
	[SMI_EVENT] = {"loadcellEvent", true, SCOPE_COUNT},
};

const char *smi_prefix(enum smi_table table)
{
	return tables[table].prefix;
}

bool smi_is_table(enum smi_table table)
{
	return tables[table].is_table;
}

enum metric_scope smi_scope(enum smi_table table)
{
	return tables[table].scope;
}

/* --- columns of metrics ----------------------------------------------------------------------- */

enum form {
	FORM_NUMBER,
	FORM_BYTES = SMI_ARC_BYTES,
	FORM_UNLIMITED = SMI_ARC_UNLIMITED,
};

/* A counter is a Counter64 and as exact as can be; the rest fits SNMPv1 where people look at it. */
static enum smi_syntax syntax_of(const struct metric *m, enum form form)
{
	if (form == FORM_UNLIMITED)
		return SMI_TRUTH;
	if (m->kind == KIND_COUNTER)
		return SMI_COUNTER64;
	if (m->kind == KIND_TIMESTAMP)
		return SMI_UNSIGNED;
	return m->unit == UNIT_SECONDS || form == FORM_BYTES ? SMI_GAUGE64 : SMI_GAUGE32;
}

/* The inner integer divided by this is what the column shows. */
static uint64_t divisor_of(const struct metric *m, enum form form)
{
	switch (m->unit) {
	case UNIT_SECONDS:
		return m->kind == KIND_TIMESTAMP ? NSEC_PER_SEC : 1000;
	case UNIT_BYTES:
		return m->kind == KIND_COUNTER || form == FORM_BYTES ? 1 : 1024;
	case UNIT_CORES:
		return NSEC_PER_SEC / 1000;
	case UNIT_RATIO:
		return NSEC_PER_SEC / 10000;
	case UNIT_COUNT:
		break;
	}
	return 1;
}

struct unit {
	const char *suffix, *text;
};

static struct unit unit_of(const struct metric *m, enum form form)
{
	if (form == FORM_UNLIMITED)
		return (struct unit){"Unlimited", NULL};
	switch (m->unit) {
	case UNIT_SECONDS:
		if (m->kind == KIND_TIMESTAMP)
			return (struct unit){"Seconds", UNIX_SECONDS};
		return (struct unit){"Microseconds", "microseconds"};
	case UNIT_BYTES:
		if (divisor_of(m, form) == 1)
			return (struct unit){"Bytes", "bytes"};
		return (struct unit){"Kibibytes", "KiB"};
	case UNIT_CORES:
		return (struct unit){"Millicores", "1/1000 core"};
	case UNIT_RATIO:
		return (struct unit){"Centipercent", "1/100 %"};
	case UNIT_COUNT:
		break;
	}
	return (struct unit){"", NULL};
}

/* The metric's name without its scope, which is in the prefix, and without its unit. */
static void stem_of(const struct metric *m, char stem[SMI_NAME_MAX])
{
	static const char *const scopes[] = {"", "interface_", "filesystem_", "host_"};
	size_t skip = strlen(scopes[m->scope]), len;
	const char *last;

	if (strncmp(m->name, scopes[m->scope], skip) != 0)
		skip = 0;
	len = strlen(m->name + skip);
	last = strrchr(m->name + skip, '_');
	if (last && m->unit != UNIT_COUNT && strcmp(last + 1, unit_name(m->unit)) == 0)
		len = (size_t)(last - m->name) - skip;
	snprintf(stem, SMI_NAME_MAX, "%.*s", (int)len, m->name + skip);
}

static void name_of(enum smi_table table, const struct metric *m, enum form form, char *ret)
{
	char stem[SMI_NAME_MAX];
	char *end = stpcpy(ret, smi_prefix(table));
	bool upper = true;

	stem_of(m, stem);
	for (const char *p = stem; *p && end < ret + SMI_NAME_MAX - 16; p++) {
		if (*p != '_')
			*end++ = (char)(upper ? toupper(*p) : *p);
		upper = *p == '_';
	}
	strcpy(end, unit_of(m, form).suffix);
}

/* A run has what stands at its end under one of the kernel's versions. */
static bool has_column(enum smi_table table, const struct metric *m, enum form form)
{
	if (table == SMI_RUN && !metric_stands_at_end(m, &m->v1) &&
		!metric_stands_at_end(m, &m->v2))
		return false;
	if (form == FORM_UNLIMITED)
		return m->kind == KIND_LIMIT;
	return form == FORM_NUMBER || (m->unit == UNIT_BYTES && m->kind != KIND_COUNTER);
}

static struct smi_column *add_metrics(enum smi_table table, enum form form, struct smi_column *c)
{
	const struct metric *m;

	for_each_metric (smi_scope(table), slot, m) {
		if (!has_column(table, m, form))
			continue;
		*c = (struct smi_column){
			.arc = (uint32_t)form + m->id,
			.syntax = syntax_of(m, form),
			.metric = m,
			.units = unit_of(m, form).text,
			.help = m->help,
		};
		name_of(table, m, form, c->name);
		c++;
	}
	return c;
}

ssize_t smi_columns(enum smi_table table, struct smi_column **ret)
{
	size_t most = 3 * METRIC_ID_END + ARRAY_SIZE(fixed);
	_cleanup_free_ struct smi_column *columns = calloc(most, sizeof(*columns));
	struct smi_column *c = columns;
	size_t n;

	if (!columns)
		return -ENOMEM;
	if (smi_scope(table) != SCOPE_COUNT) {
		c = add_metrics(table, FORM_NUMBER, c);
		c = add_metrics(table, FORM_BYTES, c);
		c = add_metrics(table, FORM_UNLIMITED, c);
	}
	for (const struct fixed *f = fixed; f < fixed + ARRAY_SIZE(fixed); f++) {
		if (f->table != table)
			continue;
		*c = (struct smi_column){
			.arc = SMI_ARC_FIXED + f->number,
			.syntax = f->syntax,
			.is_index = f->is_index,
			.units = f->units,
			.key = f->key,
			.help = f->help,
		};
		snprintf(c->name, sizeof(c->name), "%s%s", smi_prefix(table), f->name);
		c++;
	}
	n = (size_t)(c - columns);
	*ret = reallocarray(NULL, n, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, columns, n * sizeof(**ret));
	return (ssize_t)n;
}

/* --- numbers ---------------------------------------------------------------------------------- */

void smi_whole(const struct metric *m, unsigned int ids[2])
{
	static const struct {
		unsigned int id, whole[2];
	} rows[] = {
		{METRIC_CPU_LIMIT, {METRIC_HOST_CPUS}},
		{METRIC_CPU_QUOTA, {METRIC_HOST_CPUS}},
		{METRIC_CPU_CPUSET, {METRIC_HOST_CPUS}},
		{METRIC_MEMORY_LIMIT, {METRIC_HOST_MEMORY_TOTAL}},
		{METRIC_MEMORY_SWAP_LIMIT, {METRIC_HOST_SWAP_TOTAL}},
		{METRIC_PIDS_LIMIT, {METRIC_HOST_TASKS_LIMIT, METRIC_HOST_PIDS_LIMIT}},
	};

	ids[0] = ids[1] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].id == m->id)
			memcpy(ids, rows[i].whole, sizeof(rows[i].whole));
}

bool smi_number(const struct smi_column *c, struct value v, struct value whole, uint64_t *ret)
{
	enum form form = c->arc - c->metric->id;

	if (form == FORM_UNLIMITED) {
		*ret = v.state == VALUE_UNLIMITED ? 1 : 2;
		return v.state != VALUE_ABSENT;
	}
	if (v.state == VALUE_UNLIMITED)
		v = whole;
	if (v.state != VALUE_PRESENT)
		return false;
	*ret = v.number / divisor_of(c->metric, form);
	if (c->syntax == SMI_GAUGE32 || c->syntax == SMI_UNSIGNED)
		*ret = MIN(*ret, (uint64_t)UINT32_MAX);
	return true;
}
