/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define WIDTH_DEFAULT 80
#define WIDTH_MAX     1000

static const struct command commands[] = {
	{"list", list_main,
		"one line per instance; PATTERN is a glob of handles, host names, groups, "
		"addresses",
		"[--all|--at WHEN] [--json|--csv] [--sort COLUMN] [--reverse] [--wide] [PATTERN "
		"...]"},
	{"show", show_main, "everything about one instance; NAME is its handle", "[--json] NAME"},
	{"top", top_main, "a live table of instances",
		"[--at WHEN] [--batch] [--delay S] [--count N] [--sort COLUMN] [--filter TEXT]"},
	{"runs", runs_main, "what ended instances have used, and what running ones have so far",
		"[--since WHEN] [--json|--csv] [NAME ...]"},
	{"events", events_main, "starts, ends, OOM kills, changed limits",
		"[-f] [--since WHEN] [--json] [--id ID] [NAME ...]"},
	{"graph", graph_main, "draws a picture of an instance, the host or the heaviest instances",
		"NAME|--host|--top METRIC [--graph ID] [--from WHEN] [--to WHEN] [-o FILE]"},
	{"report", report_main, "percentiles, peaks, better limits, and when it is full",
		"[--from WHEN] [--to WHEN] [--by WHAT] [--format FORM] [-o FILE] [NAME ...]"},
	{"fit", fit_main, "how many more instances fit, and what stops it",
		"[--count N] [--sure P%] [--remove NAME] [--json] "
		"memory=2G,cpu=1.5,like=NAME"},
	{"metrics", metrics_main, "what is measured, and where it comes from", "[--json|--man]"},
	{"status", status_main, "whether the collector is well", "[--json]"},
	{"check", check_main, "what bites hosts with many instances, and what to do about it",
		"[--json] [--only ID[,ID]] [--list] [--verbose]"},
	{"hooks", hooks_main, "puts LXC's hooks in place, and shows which containers have them",
		"install|remove|status [--json] [--directory DIR] [--file FILE]"},
	{"mib", mib_main, "prints LOADCELL-MIB, what loadcell-snmp tells", "[--arc OID]"},
	{"zabbix", zabbix_main, "what a Zabbix agent's item takes: these metrics as compact JSON",
		"[METRIC ...]"},
};

static void put_usage(const struct cli *cli, FILE *out)
{
	const struct command *c = cli->command;

	fprintf(out, "usage: loadcell [-c FILE] %s %s\n", c ? c->name : "COMMAND",
		c ? c->arguments : "... (see loadcell --help)");
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	cli_complain(cli, format, ap);
	va_end(ap);
	put_usage(cli, cli->err);
	return CLI_USAGE;
}

static void put_help(const struct cli *cli, const struct cli_option *options, size_t n)
{
	FILE *out = cli->out;

	put_usage(cli, out);
	fprintf(out, "\n%s\n",
		cli->command ? cli->command->help
			     : "Shows what the LXC instances of this host use.");
	if (!cli->command)
		fputs("\ncommands:\n", out);
	for (size_t i = 0; !cli->command && i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-18s %s\n", commands[i].name, commands[i].help);
	fputs("\noptions:\n", out);
	for (const struct cli_option *o = options; o < options + n; o++) {
		char text[40], letter[] = {'-', o->letter, ',', ' ', '\0'};

		snprintf(text, sizeof(text), "%s--%s %s", o->letter ? letter : "", o->name,
			o->value ? o->value : "");
		fprintf(out, "  %-18s %s\n", text, o->help);
	}
	fprintf(out, "  %-18s %s\n", "-h, --help",
		cli->command ? "this text" : "this text; after a command, what it takes");
}

#define OPTIONS_MAX 12
/* Above all characters: what getopt_long() gives for --help, then for each long option. */
#define LONG_HELP  256
#define LONG_FIRST 257

static int bad_option(const struct cli *cli, bool no_value, const char *argument)
{
	if (no_value)
		return cli_usage(cli, "%s needs a value", argument);
	if (optopt >= LONG_HELP)
		return cli_usage(cli, "%s: this option takes no value", argument);
	if (optopt == 'c')
		return cli_usage(cli, "-c stands before the command: loadcell -c FILE COMMAND");
	if (optopt)
		return cli_usage(cli, "there is no option -%c", optopt);
	return cli_usage(cli, "there is no option %s", argument);
}

int cli_options(
	const struct cli *cli, int argc, char **argv, const struct cli_option *options, size_t n)
{
	struct option longs[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, LONG_HELP}};
	char letters[2 * OPTIONS_MAX + 4]; /* ':' in front: '?' and ':' tell what is wrong */
	char *end = stpcpy(letters, cli->command ? ":h" : "+:h");
	int c;

	for (size_t i = 0; i < n; i++) {
		longs[i + 1] = (struct option){
			options[i].name, options[i].value != NULL, NULL, LONG_FIRST + (int)i};
		if (options[i].letter)
			end += sprintf(end, "%c%s", options[i].letter, options[i].value ? ":" : "");
	}
	opterr = 0;
	optind = 0; /* glibc: forget the scan of the arguments before the command */
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct cli_option *o = options;

		while (o < options + n && c != o->letter && c != LONG_FIRST + (int)(o - options))
			o++;
		if (c == 'h' || c == LONG_HELP) {
			put_help(cli, options, n);
			return CLI_DONE;
		}
		if (o == options + n)
			return bad_option(cli, c == ':', argv[optind - 1]);
		if (o->value)
			*(const char **)o->target = optarg;
		else
			*(bool *)o->target = true;
	}
	return -1;
}

int cli_json_option(const struct cli *cli, int argc, char **argv, bool *json)
{
	const struct cli_option options[] = {{"json", 0, NULL, json, "the same as JSON"}};

	return cli_options(cli, argc, argv, options, ARRAY_SIZE(options));
}

static int terminal_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	int width = columns ? atoi(columns) : 0;

	if (width <= 0 && fileno(out) >= 0 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (width <= 0)
		return WIDTH_DEFAULT;
	return MIN(width, WIDTH_MAX);
}

/* What a monitoring system takes for "unknown", where the command is made for one. */
static int failure(const struct cli *cli)
{
	return cli->command && cli->command->run == check_main ? CHECK_UNKNOWN_EXIT : CLI_FAILED;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
	struct error err;
	const char *path = config_path(cli->config_path);
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[0], commands[i].name))
			cli->command = &commands[i];
	if (!cli->command)
		return cli_usage(cli, "there is no command '%s'", argv[0]);
	r = config_load(path, &cli->config, &err);
	if (r < 0)
		return cli_fail(cli, failure(cli), "%s", err.text);
	r = cli->command->run(cli, argc, argv);
	config_free(cli->config);
	return r;
}

int cli_main(int argc, char **argv, FILE *out, FILE *err)
{
	const char *no_colour = getenv("NO_COLOR");
	struct cli cli = {
		.out = out,
		.err = err,
		.tty = fileno(out) >= 0 && isatty(fileno(out)),
		.width = terminal_width(out),
	};
	bool version = false;
	const struct cli_option options[] = {
		{"config", 'c', "FILE", &cli.config_path,
			"instead of LOADCELL_CONFIG or " CONFIG_PATH_DEFAULT},
		{"version", 0, NULL, &version, "the version"},
	};
	int r;

	cli.colour = cli.tty && (!no_colour || !*no_colour);
	r = cli_options(&cli, argc, argv, options, ARRAY_SIZE(options));
	if (r < 0 && version)
		r = fputs("loadcell " VERSION "\n", out) < 0 ? CLI_FAILED : CLI_DONE;
	else if (r < 0 && optind == argc)
		r = cli_usage(&cli, "a command is missing");
	else if (r < 0)
		r = run_command(&cli, argc - optind, argv + optind);
	/* A full disk or a closed pipe is a failure of what was asked for. */
	if (fflush(out) != 0 || ferror(out))
		r = r == CLI_DONE ? cli_fail(&cli, failure(&cli), "cannot write the output: %m")
				  : r;
	return r;
}
