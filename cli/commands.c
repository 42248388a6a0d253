/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define WIDTH_DEFAULT 80
#define WIDTH_MAX     1000

static const struct command commands[] = {
	{
		.name = "list",
		.run = list_main,
		.help = "one line per instance",
		.arguments = "[--json|--csv] [--sort COLUMN] [--reverse] [--wide] [PATTERN ...]",
		.options = "  PATTERN         only instances whose handle, host name or a group "
			   "matches this glob\n"
			   "  --json          everything, as one JSON document\n"
			   "  --csv           all metrics, one line per instance\n"
			   "  --sort COLUMN   a column's title (cpu, cpu-limit, mem%, ...) or a "
			   "metric\n"
			   "  --reverse       sort the other way round\n"
			   "  --wide          all columns, nothing cut\n",
	},
	{
		.name = "show",
		.run = show_main,
		.help = "everything about one instance",
		.arguments = "[--json] NAME",
		.options = "  NAME            the instance's handle, as `loadcell list` prints it\n"
			   "  --json          the same as JSON\n",
	},
	{
		.name = "top",
		.run = top_main,
		.help = "a live table of instances",
		.arguments = "[--batch] [--delay S] [--count N] [--sort COLUMN] [--filter TEXT]",
		.options =
			"  -b, --batch     print tables instead of drawing on the terminal\n"
			"  -d, --delay S   look for a new sample every S seconds\n"
			"  -n, --count N   end after N tables; means --batch\n"
			"  -s, --sort C    sort by column C\n"
			"  -f, --filter T  only instances whose name, host name or group has T\n",
	},
	{
		.name = "metrics",
		.run = metrics_main,
		.help = "what is measured, and where it comes from",
		.arguments = "[--json|--man]",
		.options = "  --json          the table as JSON\n"
			   "  --man           the manual page loadcell-metrics(7)\n",
	},
	{
		.name = "status",
		.run = status_main,
		.help = "whether the collector is well",
		.arguments = "[--json]",
		.options = "  --json          the same as JSON\n",
	},
};

static void put_help(FILE *out)
{
	fputs("usage: loadcell [-c FILE] COMMAND ...\n\n"
	      "Shows what the LXC instances of this host use.\n\n"
	      "commands:\n",
		out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-14s  %s\n", commands[i].name, commands[i].help);
	fputs("\noptions:\n"
	      "  -c, --config FILE  instead of LOADCELL_CONFIG or " CONFIG_PATH_DEFAULT "\n"
	      "  -h, --help         this text; after a command, what it takes\n"
	      "  --version          the version\n",
		out);
}

static void put_usage(const struct cli *cli, FILE *out)
{
	const struct command *c = cli->command;

	fprintf(out, "usage: loadcell [-c FILE] %s %s\n", c ? c->name : "COMMAND",
		c ? c->arguments : "... (see loadcell --help)");
}

static void complain_v(const struct cli *cli, const char *format, va_list ap)
{
	char sentence[2 * ERROR_MAX];

	vsnprintf(sentence, sizeof(sentence), format, ap);
	text_line(cli->err, "loadcell%s%s: %s", cli->command ? " " : "",
		cli->command ? cli->command->name : "", sentence);
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_v(cli, format, ap);
	va_end(ap);
	return code;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_v(cli, format, ap);
	va_end(ap);
	put_usage(cli, cli->err);
	return CLI_USAGE;
}

#define OPTIONS_MAX 16

int cli_option(const struct cli *cli, int argc, char **argv, const char *shorts,
	const struct option *longs, int *ret_exit)
{
	struct option all[OPTIONS_MAX] = {{"help", no_argument, NULL, 'h'}};
	char letters[2 * OPTIONS_MAX + 3]; /* ':' in front: '?' and ':' tell what is wrong */
	bool named = false;
	int c;

	snprintf(letters, sizeof(letters), ":h%s", shorts);
	for (size_t i = 0; longs[i].name && i < OPTIONS_MAX - 2; i++)
		all[i + 1] = longs[i];
	opterr = 0;
	c = getopt_long(argc, argv, letters, all, NULL);
	if (c == 'h') {
		put_usage(cli, cli->out);
		fprintf(cli->out, "\n%s\n\n%s  --help          this text\n", cli->command->help,
			cli->command->options);
		*ret_exit = CLI_DONE;
		return CLI_OPTION_STOP;
	}
	if (c != ':' && c != '?')
		return c;
	for (size_t i = 0; all[i].name; i++)
		named = named || (c == '?' && optopt == all[i].val);
	if (c == ':')
		*ret_exit = cli_usage(cli, "%s needs a value", argv[optind - 1]);
	else if (optopt && !named)
		*ret_exit = cli_usage(cli, "there is no option -%c", optopt);
	else if (optopt)
		*ret_exit = cli_usage(cli, "%s: this option takes no value", argv[optind - 1]);
	else
		*ret_exit = cli_usage(cli, "there is no option %s", argv[optind - 1]);
	return CLI_OPTION_STOP;
}

int cli_json_option(const struct cli *cli, int argc, char **argv, bool *json)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {0}};
	int c, exit_code = CLI_DONE;

	while ((c = cli_option(cli, argc, argv, "", longs, &exit_code)) == 'j')
		*json = true;
	return c == -1 ? -1 : exit_code;
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
		return cli_fail(cli, CLI_FAILED, "%s", err.text);
	optind = 0; /* glibc: forget the scan of the arguments before the command */
	r = cli->command->run(cli, argc, argv);
	config_free(cli->config);
	return r;
}

/* The options before the command; CLI_OPTION_STOP's exit code or -1 to go on. */
static int global_options(struct cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int c;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "+:c:hV", longs, NULL)) != -1)
		switch (c) {
		case 'c':
			cli->config_path = optarg;
			break;
		case 'h':
			put_help(cli->out);
			return CLI_DONE;
		case 'V':
			fputs("loadcell " VERSION "\n", cli->out);
			return CLI_DONE;
		case ':':
			return cli_usage(cli, "%s needs a value", argv[optind - 1]);
		default:
			return cli_usage(cli, "unknown option %s", argv[optind - 1]);
		}
	return -1;
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
	int r;

	cli.colour = cli.tty && (!no_colour || !*no_colour);
	r = global_options(&cli, argc, argv);
	if (r >= 0)
		;
	else if (optind == argc)
		r = cli_usage(&cli, "a command is missing");
	else
		r = run_command(&cli, argc - optind, argv + optind);
	/* A full disk or a closed pipe is a failure of what was asked for. */
	if (fflush(out) != 0 || ferror(out))
		r = r == CLI_DONE ? cli_fail(&cli, CLI_FAILED, "cannot write the output: %m") : r;
	return r;
}
