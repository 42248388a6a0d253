/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"

#define SNMPD_CONF "/etc/snmp/snmpd.conf"

/* clang-format off */
/* Without thresholds, or with those of a share in percent. */
#define PLAIN(id, title, run)                           {id, title, run, NULL, 0, 0, NULL}
#define SHARE(id, title, run, data, warning, critical)  {id, title, run, data, warning, critical, "%"}
#define LIMITS(id, title, resource)      {id, title, check_limit, &resource_##resource, 1, 0, ""}
static const struct check checks[] = {
	PLAIN("collector", "the collector runs and its sample is fresh", check_collector),
	SHARE("cycles", "cycles are neither late nor missed", check_cycles, NULL, 1, 10),
	{"rrd", "the RRDs follow the samples", check_store, NULL, 180, 900, "s"},
	PLAIN("ledger", "the ledger writes every run", check_ledger),
	SHARE("spool", "no records of hooks wait for the collector", check_spool, NULL, 10, 80),
	PLAIN("hooks", "LXC runs loadcell's hooks for every container", check_hooks),
	PLAIN("snmpd", "snmpd takes AgentX subagents", check_snmpd),
	PLAIN("controllers", "every controller measures every instance", check_controllers),
	PLAIN("swap-accounting", "the kernel accounts instances' swap", check_swap_accounting),
	PLAIN("clock", "the clock is synchronised", check_clock),
	SHARE("threads-max", "kernel.threads-max", check_ceiling, &ceiling_threads, 80, 90),
	SHARE("pid-max", "kernel.pid_max", check_ceiling, &ceiling_pids, 80, 90),
	SHARE("map-count", "vm.max_map_count", check_ceiling, &ceiling_maps, 80, 90),
	SHARE("file-max", "fs.file-max", check_ceiling, &ceiling_files, 80, 90),
	SHARE("memory-cgroups", "the kernel's 65,535 memory cgroups",
		check_ceiling, &ceiling_cgroups, 80, 90),
	SHARE("inotify-instances", "fs.inotify.max_user_instances",
		check_inotify_instances, NULL, 80, 90),
	SHARE("inotify-watches", "fs.inotify.max_user_watches",
		check_inotify_watches, NULL, 80, 90),
	SHARE("nofile", "limits of open files in instances", check_nofile, NULL, 80, 95),
	SHARE("nproc", "limits of threads per user in instances", check_nproc, NULL, 80, 95),
	SHARE("conntrack", "connection tracking tables", check_conntrack, NULL, 80, 90),
	SHARE("neighbours", "ARP and neighbour tables", check_neighbours, NULL, 80, 95),
	SHARE("tcp-mem", "net.ipv4.tcp_mem", check_tcp_mem, NULL, 75, 90),
	SHARE("somaxconn", "full queues of listening sockets", check_somaxconn, NULL, 1, 10),
	SHARE("memory-overcommit", "memory promised to instances",
		check_overcommit, NULL, 120, 200),
	SHARE("commit-limit", "vm.overcommit_memory=2: memory that may still be promised",
		check_commit_limit, NULL, 90, 97),
	LIMITS("memory-limits", "instances without a memory limit", memory),
	LIMITS("pids-limits", "instances without a pids limit", pids),
	LIMITS("cpu-limits", "instances without a CPU limit", cpu),
	LIMITS("disk-limits", "instances without a disk limit", disk),
	SHARE("memory-near", "instances near their memory limit",
		check_near, &resource_memory, 90, 98),
	SHARE("pids-near", "instances near their pids limit", check_near, &resource_pids, 80, 95),
	SHARE("disk-near", "instances near their disk limit", check_near, &resource_disk, 85, 95),
	SHARE("filesystems", "file systems that hold instances", check_filesystems, NULL, 85, 95),
};
/* clang-format on */

#define N_CHECKS ARRAY_SIZE(checks)

/* What a site made of a row. */
struct choice {
	bool off, wanted; /* wanted: named by --only */
	uint64_t warning, critical;
};

static const struct {
	const char *word;
	int exit;
} states[] = {
	[CHECK_NOT_APPLICABLE] = {"NOT APPLICABLE", 0},
	[CHECK_OK] = {"OK", 0},
	[CHECK_UNKNOWN] = {"UNKNOWN", 3},
	[CHECK_WARNING] = {"WARNING", 1},
	[CHECK_CRITICAL] = {"CRITICAL", 2},
};

/* --- what to check ----------------------------------------------------------------------- */

static size_t check_by_id(const char *id, size_t len)
{
	size_t i = 0;

	while (i < N_CHECKS && (strlen(checks[i].id) != len || strncmp(checks[i].id, id, len) != 0))
		i++;
	return i;
}

/* "ID off" and "ID WARNING CRITICAL" lines of the configuration. */
static int read_choices(const struct cli *cli, struct choice *choices)
{
	for (size_t i = 0; i < N_CHECKS; i++)
		choices[i] = (struct choice){
			.warning = checks[i].warning, .critical = checks[i].critical};
	for (size_t i = 0; i < cli->config->checks; i++) {
		const char *line = cli->config->check[i];
		size_t len = strcspn(line, " "), n = check_by_id(line, len);

		if (n == N_CHECKS)
			return cli_fail(cli, CHECK_UNKNOWN_EXIT,
				"the configuration's \"check = %s\": there is no such check; see: "
				"loadcell check --list",
				line);
		choices[n].off = strcmp(line + len, " off") == 0;
		if (choices[n].off)
			continue;
		if (!checks[n].unit)
			return cli_fail(cli, CHECK_UNKNOWN_EXIT,
				"the configuration's \"check = %s\": %s has no thresholds", line,
				checks[n].id);
		sscanf(line + len, "%" SCNu64 " %" SCNu64, &choices[n].warning,
			&choices[n].critical);
	}
	return -1;
}

static int read_only(const struct cli *cli, const char *only, struct choice *choices)
{
	for (size_t i = 0; !only && i < N_CHECKS; i++)
		choices[i].wanted = !choices[i].off;
	while (only) {
		size_t len = strcspn(only, ","), n = check_by_id(only, len);

		if (n == N_CHECKS)
			return cli_usage(
				cli, "there is no check '%.*s'; see --list", (int)len, only);
		choices[n].wanted = true;
		only = only[len] ? only + len + 1 : NULL;
	}
	return -1;
}

static void put_threshold(FILE *out, uint64_t n, const char *unit)
{
	char text[32] = "-";

	if (n)
		snprintf(text, sizeof(text), "%" PRIu64 "%s%s", n, *unit == '%' ? " " : "", unit);
	fprintf(out, "  %-8s", text);
}

static void put_list(const struct cli *cli, const struct choice *choices)
{
	fprintf(cli->out, "%-18s  %-8s  %-8s  %s\n", "CHECK", "WARNING", "CRITICAL", "WHAT");
	for (size_t i = 0; i < N_CHECKS; i++) {
		const char *unit = checks[i].unit ? checks[i].unit : "";

		fprintf(cli->out, "%-18s", checks[i].id);
		put_threshold(cli->out, choices[i].warning, unit);
		put_threshold(cli->out, choices[i].critical, unit);
		fprintf(cli->out, "  %s%s\n", checks[i].title, choices[i].off ? " (off)" : "");
	}
}

static void run_checks(struct checkup *c, const struct choice *choices, struct finding *found)
{
	struct error err;

	c->view_error = view_load(c->cli->config, &c->view, &err);
	c->fresh = c->view_error == 0 && !c->view.stale;
	for (size_t i = 0; i < N_CHECKS; i++) {
		if (!choices[i].wanted)
			continue;
		c->check = &checks[i];
		c->warning = choices[i].warning;
		c->critical = choices[i].critical;
		c->finding = &found[i];
		checks[i].run(c);
	}
}

/* --- telling ----------------------------------------------------------------------------- */

/* "WARNING hooks, cpu-limits; " */
static void put_state(FILE *out, const struct choice *choices, const struct finding *found,
	enum check_state state)
{
	const char *between = NULL;

	for (size_t i = 0; i < N_CHECKS; i++) {
		if (!choices[i].wanted || found[i].state != state)
			continue;
		fprintf(out, "%s%s", between ? between : states[state].word, between ? "" : " ");
		fputs(checks[i].id, out);
		between = ", ";
	}
	if (between)
		fputs("; ", out);
}

static void put_figures(FILE *out, const struct choice *choices, const struct finding *found)
{
	const char *before = " |";

	for (size_t i = 0; i < N_CHECKS; i++) {
		const struct finding *f = &found[i];
		uint64_t parts[] = {f->warning, f->critical, UINT64_MAX, f->max};

		if (!choices[i].wanted || !f->has_figures)
			continue;
		fprintf(out, "%s%s=%" PRIu64, before, checks[i].id, f->value);
		/* An empty part is one that there is not; the least is always 0. */
		for (size_t p = 0; p < ARRAY_SIZE(parts); p++) {
			putc(';', out);
			if (p == 2)
				putc('0', out);
			else if (parts[p])
				fprintf(out, "%" PRIu64, parts[p]);
		}
		before = " ";
	}
}

/* The summary, with the figures of all checks behind a bar, as monitoring plugins do. */
static void put_summary(
	const struct cli *cli, const struct choice *choices, const struct finding *found)
{
	size_t well = 0;

	for (enum check_state s = CHECK_CRITICAL; s >= CHECK_UNKNOWN; s--)
		put_state(cli->out, choices, found, s);
	for (size_t i = 0; i < N_CHECKS; i++)
		well += choices[i].wanted && found[i].state == CHECK_OK;
	fprintf(cli->out, "OK %zu check%s", well, PLURAL(well));
	if (!cli->tty)
		put_figures(cli->out, choices, found);
	putc('\n', cli->out);
}

static void put_finding(const struct cli *cli, const char *id, const struct finding *f)
{
	_cleanup_free_ char *text = format_string("%s %s: %s%s%s", states[f->state].word, id,
		f->text ? f->text : "out of memory", f->remedy && !cli->tty ? "; " : "",
		f->remedy && !cli->tty ? f->remedy : "");

	/* Behind a bar a monitoring system would take it for figures. */
	for (char *bar = text; bar && (bar = strchr(bar, '|'));)
		*bar = '?';
	text_line(cli->out, "%s", text ? text : "out of memory");
	if (f->remedy && cli->tty)
		text_line(cli->out, "    %s", f->remedy);
}

static void put_text(const struct cli *cli, const struct choice *choices,
	const struct finding *found, enum check_state least)
{
	put_summary(cli, choices, found);
	for (enum check_state s = CHECK_CRITICAL + 1; s-- > least;) {
		_cleanup_free_ char *without_data = NULL;

		for (size_t i = 0; i < N_CHECKS; i++) {
			char *before = without_data;

			if (!choices[i].wanted || found[i].state != s)
				continue;
			if (!found[i].no_data) {
				put_finding(cli, checks[i].id, &found[i]);
				continue;
			}
			without_data = format_string(
				"%s%s%s", before ? before : "", before ? ", " : "", checks[i].id);
			free(before);
		}
		if (without_data)
			text_line(cli->out, "%s %s: the collector has no fresh sample",
				states[s].word, without_data);
	}
}

static void json_figure(struct json_out *j, const char *key, const struct finding *f, uint64_t n)
{
	if (f->has_figures && (n || key[0] == 'v'))
		json_number(j, key, n);
	else
		json_text(j, key, NULL);
}

static void put_json(const struct cli *cli, const struct choice *choices,
	const struct finding *found, enum check_state worst)
{
	struct json_out j = {.out = cli->out};

	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_text(&j, "state", states[worst].word);
	json_number(&j, "exit", (uint64_t)states[worst].exit);
	json_begin(&j, "checks", '[');
	for (enum check_state s = CHECK_CRITICAL + 1; s-- > 0;) {
		for (size_t i = 0; i < N_CHECKS; i++) {
			const struct finding *f = &found[i];

			if (!choices[i].wanted || f->state != s)
				continue;
			json_line(&j);
			json_begin(&j, NULL, '{');
			json_text(&j, "id", checks[i].id);
			json_text(&j, "title", checks[i].title);
			json_text(&j, "state", states[s].word);
			json_text(&j, "text", f->text);
			json_text(&j, "remedy", f->remedy);
			json_figure(&j, "value", f, f->value);
			json_figure(&j, "warning", f, f->warning);
			json_figure(&j, "critical", f, f->critical);
			json_figure(&j, "max", f, f->max);
			json_end(&j, '}');
		}
	}
	json_end(&j, ']');
	json_end(&j, '}');
	putc('\n', cli->out);
}

int check_main(struct cli *cli, int argc, char **argv)
{
	struct checkup c = {.cli = cli, .snmpd_conf = SNMPD_CONF};
	bool json = false, list = false, verbose = false;
	const char *only = NULL;
	const struct cli_option options[] = {
		{"json", 0, NULL, &json, "as JSON"},
		{"only", 0, "ID[,ID]", &only, "these checks, whatever they find"},
		{"list", 0, NULL, &list, "what is checked, and at what thresholds"},
		{"snmpd-conf", 0, "FILE", &c.snmpd_conf, "instead of " SNMPD_CONF},
		{"verbose", 'v', NULL, &verbose, "also what is well and what does not apply"},
	};
	struct choice choices[N_CHECKS];
	struct finding found[N_CHECKS] = {0};
	enum check_state worst = CHECK_NOT_APPLICABLE;
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r < 0 && optind != argc)
		r = cli_usage(cli, "arguments are not expected");
	r = r < 0 ? read_choices(cli, choices) : r;
	r = r < 0 ? read_only(cli, only, choices) : r;
	if (r >= 0)
		return r == CLI_DONE ? CLI_DONE : CHECK_UNKNOWN_EXIT;
	if (list) {
		put_list(cli, choices);
		return CLI_DONE;
	}
	run_checks(&c, choices, found);
	for (size_t i = 0; i < N_CHECKS; i++)
		worst = MAX(worst, found[i].state);
	if (json)
		put_json(cli, choices, found, worst);
	else
		put_text(cli, choices, found,
			verbose || only ? CHECK_NOT_APPLICABLE : CHECK_UNKNOWN);
	for (size_t i = 0; i < N_CHECKS; i++) {
		free(found[i].text);
		free(found[i].remedy);
	}
	scan_free(c.scan);
	view_close(&c.view);
	return states[worst].exit;
}
