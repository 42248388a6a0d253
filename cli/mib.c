/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <ctype.h>
#include <string.h>

#include "../lib/smi-notify.h"

/*
 * LOADCELL-MIB: a frame written by hand, and columns as lib/smi has them. Change LAST_UPDATED with
 * each release whose MIB differs.
 */
#define LAST_UPDATED "202506010000Z"
#define TEXT_WIDTH   66
#define ENTERPRISES  "1.3.6.1.4.1."
/* Groups of objects have the numbers of their tables. */
#define SMI_GROUP_NOTIFICATIONS 100

static const char head[] =
	"LOADCELL-MIB DEFINITIONS ::= BEGIN\n"
	"\n"
	"-- SPDX-License-Identifier: GPL-2.0-or-later\n"
	"-- Written by `loadcell mib`. Do not edit: change the tables in lib/ instead.\n"
	"-- Names exceed 32 characters (smilint: namelength-32): each says what the metric of\n"
	"-- that name in loadcell-metrics(7) is, and in which unit. An arc of several numbers\n"
	"-- has nodes without a name (smilint: node-implicit); they belong to others.\n"
	"\n"
	"IMPORTS\n"
	"    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Counter64, Gauge32,\n"
	"    Unsigned32%s\n"
	"        FROM SNMPv2-SMI\n"
	"    TruthValue, TimeStamp\n"
	"        FROM SNMPv2-TC\n"
	"    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP\n"
	"        FROM SNMPv2-CONF\n"
	"    SnmpAdminString\n"
	"        FROM SNMP-FRAMEWORK-MIB\n"
	"    CounterBasedGauge64\n"
	"        FROM HCNUM-TC;\n"
	"\n"
	"loadcellMIB MODULE-IDENTITY\n"
	"    LAST-UPDATED \"" LAST_UPDATED "\"\n"
	"    ORGANIZATION \"loadcell\"\n"
	"    CONTACT-INFO \"The manual page loadcell-snmp(8)\"\n"
	"    DESCRIPTION\n"
	"        \"What the LXC instances of a host use, and their limits.\n"
	"        All objects are read-only. What this host's kernel does not tell,\n"
	"        or was not measured yet, is absent (noSuchInstance). Limits are\n"
	"        effective ones, the smallest of the instance's cgroup and all above\n"
	"        it; where there is none, the host's total stands for it and the\n"
	"        object whose name ends in Unlimited is true. Gauge32 objects stay at\n"
	"        their highest value when it is exceeded. All but the status and the\n"
	"        tables of runs and events are absent while the data is stale.\"\n"
	"    REVISION \"" LAST_UPDATED "\"\n"
	"    DESCRIPTION\n"
	"        \"The first.\"\n"
	"    ::= { %s }\n"
	"\n"
	"loadcellNotifications OBJECT IDENTIFIER ::= { loadcellMIB 0 }\n"
	"loadcellObjects     OBJECT IDENTIFIER ::= { loadcellMIB 1 }\n"
	"loadcellConformance OBJECT IDENTIFIER ::= { loadcellMIB 2 }\n"
	"loadcellCompliances OBJECT IDENTIFIER ::= { loadcellConformance 1 }\n"
	"loadcellGroups      OBJECT IDENTIFIER ::= { loadcellConformance 2 }\n"
	"\n";

/* Of each table: what stands for it in names of groups, its index and what it is. */
static const struct {
	const char *word, *index, *help;
} tables[] = {
	[SMI_STATUS] = {"Status", NULL, "The state of the data, and of this agent."},
	[SMI_HOST] = {"Host", NULL, "The host, and loadcell itself."},
	[SMI_INSTANCE] = {"Instance", "loadcellInstanceIndex",
		"The running instances of this host."},
	[SMI_INTERFACE] = {"Interface", "loadcellInstanceIndex, loadcellInterfaceIndex",
		"The network interfaces of each instance, as it sees them."},
	[SMI_FILESYSTEM] = {"Filesystem", "loadcellFilesystemIndex",
		"The file systems of the host that hold instances."},
	[SMI_RUN] = {"Run", "loadcellRunEnd, loadcellRunOrdinal",
		"The 100 runs of instances that ended last, and what each used from its start to "
		"its end."},
	[SMI_EVENT] = {"Event", "loadcellEventId", "The newest 100 events."},
};

static const char *syntax_name(enum smi_syntax syntax)
{
	static const char *const names[] = {
		[SMI_INTEGER] = "Integer32",
		[SMI_TRUTH] = "TruthValue",
		[SMI_UNSIGNED] = "Unsigned32",
		[SMI_GAUGE32] = "Gauge32",
		[SMI_TIME_STAMP] = "TimeStamp",
		[SMI_TIME_TICKS] = "TimeTicks",
		[SMI_COUNTER64] = "Counter64",
		[SMI_GAUGE64] = "CounterBasedGauge64",
		[SMI_TEXT] = "SnmpAdminString",
		[SMI_OCTETS] = "OCTET STRING",
		[SMI_OID] = "OBJECT IDENTIFIER",
	};

	return names[syntax];
}

/* A quoted text, wrapped. */
static void put_text(FILE *out, const char *text)
{
	size_t column = 0;

	fputs("    DESCRIPTION\n        \"", out);
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > 0 && column + 1 + len > TEXT_WIDTH) {
			fputs("\n        ", out);
			column = 0;
		} else if (column > 0) {
			putc(' ', out);
			column++;
		}
		column += len;
		for (; len > 0; len--, text++)
			putc(*text == '"' ? '\'' : *text, out);
		text += strspn(text, " ");
	}
	fputs("\"\n", out);
}

static char *describe(const struct smi_column *c)
{
	const struct metric *m = c->metric;
	unsigned int whole[2] = {0};

	if (!m)
		return strdup(c->help);
	if (c->arc > SMI_ARC_UNLIMITED)
		return format_string("Whether there is no such limit. %s", m->help);
	smi_whole(m, whole);
	return format_string("%s%s%s (%s)", m->help,
		whole[0]                ? " The host's total where there is none."
		: m->kind == KIND_LIMIT ? " Absent where there is none."
					: "",
		c->arc > SMI_ARC_BYTES ? " Exact, for managers that know 64 bits." : "", m->name);
}

static void put_column(FILE *out, enum smi_table table, const struct smi_column *c)
{
	char *text = describe(c);

	fprintf(out, "%s OBJECT-TYPE\n    SYNTAX      %s%s\n", c->name, syntax_name(c->syntax),
		c->is_index ? " (1..4294967295)" : "");
	if (c->units)
		fprintf(out, "    UNITS       \"%s\"\n", c->units);
	fprintf(out, "    MAX-ACCESS  %s\n    STATUS      current\n",
		c->is_index ? "not-accessible" : "read-only");
	put_text(out, text ? text : c->help);
	free(text);
	fprintf(out, "    ::= { loadcell%s%s %u }\n\n", tables[table].word,
		smi_is_table(table) ? "Entry" : "", c->arc);
}

static void put_table_head(
	FILE *out, enum smi_table table, const struct smi_column *columns, size_t n)
{
	const char *word = tables[table].word;

	if (!smi_is_table(table)) {
		fprintf(out, "loadcell%s OBJECT IDENTIFIER ::= { loadcellObjects %d }\n\n", word,
			table);
		return;
	}
	fprintf(out,
		"loadcell%sTable OBJECT-TYPE\n    SYNTAX      SEQUENCE OF Loadcell%sEntry\n"
		"    MAX-ACCESS  not-accessible\n    STATUS      current\n",
		word, word);
	put_text(out, tables[table].help);
	fprintf(out,
		"    ::= { loadcellObjects %d }\n\n"
		"loadcell%sEntry OBJECT-TYPE\n    SYNTAX      Loadcell%sEntry\n"
		"    MAX-ACCESS  not-accessible\n    STATUS      current\n",
		table, word, word);
	put_text(out, "One of them.");
	fprintf(out,
		"    INDEX       { %s }\n    ::= { loadcell%sTable 1 }\n\n"
		"Loadcell%sEntry ::= SEQUENCE {\n",
		tables[table].index, word, word);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "    %s\n        %s%s\n", columns[i].name,
			syntax_name(columns[i].syntax), i + 1 < n ? "," : "");
	fputs("}\n\n", out);
}

static void put_group(FILE *out, enum smi_table table, const struct smi_column *columns, size_t n)
{
	const char *comma = "";

	fprintf(out, "loadcell%sGroup OBJECT-GROUP\n    OBJECTS {", tables[table].word);
	for (size_t i = 0; i < n; i++) {
		if (columns[i].is_index)
			continue;
		fprintf(out, "%s\n        %s", comma, columns[i].name);
		comma = ",";
	}
	fputs("\n    }\n    STATUS      current\n", out);
	put_text(out, tables[table].help);
	fprintf(out, "    ::= { loadcellGroups %d }\n\n", table);
}

/* --- notifications ---------------------------------------------------------------------------- */

static const char *name_of(const struct smi_column *columns, unsigned int number)
{
	while (columns->arc != SMI_ARC_FIXED + number)
		columns++;
	return columns->name;
}

static void put_notification(FILE *out, enum smi_notification number, struct smi_column *columns[])
{
	const struct smi_notice *n = smi_notice(number);

	fprintf(out, "%s NOTIFICATION-TYPE\n    OBJECTS {", n->name);
	for (const unsigned int *o = n->objects; *o; o++)
		fprintf(out, "%s\n        %s", o > n->objects ? "," : "",
			name_of(columns[n->table], *o));
	fputs("\n    }\n    STATUS      current\n", out);
	put_text(out, n->help);
	fprintf(out, "    ::= { loadcellNotifications %d }\n\n", number);
}

static void put_notification_group(FILE *out)
{
	fputs("loadcellNotificationGroup NOTIFICATION-GROUP\n    NOTIFICATIONS {", out);
	for (enum smi_notification i = SMI_STARTED; i < SMI_NOTIFICATION_END; i++)
		fprintf(out, "%s\n        %s", i > SMI_STARTED ? "," : "", smi_notice(i)->name);
	fputs("\n    }\n    STATUS      current\n", out);
	put_text(out, "What is told without being asked.");
	fprintf(out, "    ::= { loadcellGroups %d }\n\n", SMI_GROUP_NOTIFICATIONS);
}

static void put_compliance(FILE *out)
{
	fputs("loadcellCompliance MODULE-COMPLIANCE\n    STATUS      current\n", out);
	put_text(out, "An agent that tells all of it.");
	fputs("    MODULE\n    MANDATORY-GROUPS {\n", out);
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END; t++)
		fprintf(out, "        loadcell%sGroup,\n", tables[t].word);
	fputs("        loadcellNotificationGroup\n    }\n    ::= { loadcellCompliances 1 "
	      "}\n\nEND\n",
		out);
}

/* "enterprises 8072 9999"; an arc elsewhere begins at iso. */
static void put_head(FILE *out, const char *arc)
{
	bool enterprise = strncmp(arc, ENTERPRISES, strlen(ENTERPRISES)) == 0;
	const char *below = arc + (enterprise ? strlen(ENTERPRISES) : strlen("1."));
	const char *root = enterprise ? "enterprises" : "iso";
	_cleanup_free_ char *value = format_string("%s %s", root, below);

	for (char *p = value; p && *p; p++)
		if (*p == '.')
			*p = ' ';
	fprintf(out, head, enterprise ? ", enterprises" : "", value ? value : root);
}

static int put_mib(FILE *out, const char *arc)
{
	struct smi_column *columns[SMI_TABLE_END] = {NULL};
	ssize_t n[SMI_TABLE_END] = {0};
	int r = 0;

	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END && r == 0; t++) {
		n[t] = smi_columns(t, &columns[t]);
		r = n[t] < 0 ? (int)n[t] : 0;
	}
	if (r == 0)
		put_head(out, arc);
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END && r == 0; t++) {
		put_table_head(out, t, columns[t], (size_t)n[t]);
		for (ssize_t i = 0; i < n[t]; i++)
			put_column(out, t, &columns[t][i]);
	}
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END && r == 0; t++)
		put_group(out, t, columns[t], (size_t)n[t]);
	for (enum smi_notification i = SMI_STARTED; i < SMI_NOTIFICATION_END && r == 0; i++)
		put_notification(out, i, columns);
	if (r == 0) {
		put_notification_group(out);
		put_compliance(out);
	}
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END; t++)
		free(columns[t]);
	return r;
}

int mib_main(struct cli *cli, int argc, char **argv)
{
	const char *arc = NULL;
	const struct cli_option options[] = {
		{"arc", 0, "OID", &arc, "root it here instead of at snmp_arc of the configuration"},
	};
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r >= 0)
		return r;
	if (optind != argc)
		return cli_usage(cli, "arguments are not expected");
	if (arc && !config_is_arc(arc))
		return cli_usage(cli, "'%s' is no numeric object identifier", arc);
	arc = arc ? arc : cli->config->snmp_arc;
	if (strncmp(arc, "1.", 2) != 0)
		return cli_fail(cli, CLI_FAILED, "a MIB is rooted below iso (1.), not at %s", arc);
	if (put_mib(cli->out, arc) < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	return CLI_DONE;
}
