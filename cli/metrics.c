/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"

static const char *const scope_titles[] = {
	[SCOPE_INSTANCE] = "Instances",
	[SCOPE_INTERFACE] = "Network interfaces of an instance",
	[SCOPE_FILESYSTEM] = "File systems that hold instances",
	[SCOPE_HOST] = "The host, and loadcell itself",
};

/* Calls put() for the sources of a metric; once where v1 and v2 read the same. */
static void put_sources(FILE *out, const struct metric *m, const char *const titles[3],
	void (*put)(FILE *out, const char *title, const char *source))
{
	_cleanup_free_ char *v1 = source_text(&m->v1, 1), *v2 = source_text(&m->v2, 2);

	if (v1 && v2 && !strcmp(v1, v2)) {
		put(out, titles[0], v1);
	} else {
		put(out, titles[1], v1 ? v1 : "?");
		put(out, titles[2], v2 ? v2 : "?");
	}
}

static void put_text_source(FILE *out, const char *title, const char *source)
{
	fprintf(out, "       %-4s %s\n", title, source);
}

static void metrics_text(FILE *out)
{
	static const char *const titles[] = {"both", "v1", "v2"};
	const struct metric *m;

	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		fprintf(out, "%s%s\n", scope ? "\n" : "", scope_titles[scope]);
		for_each_metric (scope, slot, m) {
			fprintf(out, "  %3u  %-38s %s %s%s%s\n       %s\n", m->id, m->name,
				unit_name(m->unit), kind_name(m->kind), m->ds ? ", ds " : "",
				m->ds ? m->ds : "", m->help);
			put_sources(out, m, titles, put_text_source);
		}
	}
}

/* --- loadcell-metrics(7) --------------------------------------------------------------------- */

static const char man_head[] =
	".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
	".\\\" Written by `loadcell metrics --man`. Do not edit: change the table in lib/ "
	"instead.\n"
	".Dd June 1, 2025\n"
	".Dt LOADCELL-METRICS 7\n"
	".Os loadcell\n"
	".Sh NAME\n"
	".Nm loadcell-metrics\n"
	".Nd what loadcell measures, and where the figures come from\n"
	".Sh DESCRIPTION\n"
	"Every figure of\n"
	".Xr loadcell 1\n"
	"has the same name at every door: JSON, CSV, SNMP, Zabbix, OpenMetrics and the graphs.\n"
	"The name ends in the base unit: seconds, bytes, cores, or a ratio between 0 and 1.\n"
	"The number in parentheses is the metric's id, which never changes its meaning.\n"
	".Pp\n"
	"A value is a number, absent, or unlimited.\n"
	"Absent means that this host's kernel does not tell it or that it was not measured yet;\n"
	"it is not zero.\n"
	".Pp\n"
	"Kinds are\n"
	".Em counter\n"
	"(only grows while an instance runs and begins anew with its next run),\n"
	".Em gauge ,\n"
	".Em limit\n"
	"(a number or unlimited; always the effective one, the smallest over the cgroup and its\n"
	"ancestors),\n"
	".Em ratio\n"
	"and\n"
	".Em timestamp\n"
	"(seconds since the epoch).\n"
	"A data source is the name under which an RRD file stores the metric.\n"
	".Pp\n"
	"Files are those of the instance's cgroup under cgroup v1 and v2; each controller of a "
	"host\n"
	"is one or the other.\n"
	".Pa /proc/PID\n"
	"is that of the instance's init process.\n";

static const char man_tail[] = ".Sh SEE ALSO\n"
			       ".Xr loadcell 1 ,\n"
			       ".Xr loadcell.conf 5 ,\n"
			       ".Xr cgroups 7 ,\n"
			       ".Xr loadcelld 8\n";

/* One line of text that mdoc takes as it is. */
static void put_roff(FILE *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", out);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", out);
		else if (*s == '-')
			fputs("\\-", out);
		else
			putc(*s, out);
	}
}

static void put_man_source(FILE *out, const char *title, const char *source)
{
	fprintf(out, ".br\n%s ", title);
	put_roff(out, source);
	putc('\n', out);
}

static void put_man_row(FILE *out, const struct metric *m)
{
	static const char *const titles[] = {"v1 and v2:", "v1:", "v2:"};

	fprintf(out, ".It Sy %s Pq %u\n", m->name, m->id);
	put_roff(out, m->help);
	fprintf(out, "\n.br\n%s, %s%s%s\n", unit_name(m->unit), kind_name(m->kind),
		m->ds ? ", data source " : "", m->ds ? m->ds : "");
	put_sources(out, m, titles, put_man_source);
}

static void metrics_man(FILE *out)
{
	const struct metric *m;

	fputs(man_head, out);
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		fprintf(out, ".Sh %s\n.Bl -tag -width indent\n", scope_titles[scope]);
		for_each_metric (scope, slot, m)
			put_man_row(out, m);
		fputs(".El\n", out);
	}
	fputs(man_tail, out);
}

int metrics_main(struct cli *cli, int argc, char **argv)
{
	bool json = false, man = false;
	const struct cli_option options[] = {
		{"json", 0, NULL, &json, "the table as JSON"},
		{"man", 0, NULL, &man, "the manual page loadcell-metrics(7)"},
	};
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r >= 0)
		return r;
	if (optind != argc)
		return cli_usage(cli, "arguments are not expected");
	if (json)
		document_metric_table(cli->out);
	else if (man)
		metrics_man(cli->out);
	else
		metrics_text(cli->out);
	return CLI_DONE;
}
