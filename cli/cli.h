/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/config.h"
#include "../lib/snapshot.h"

/*
 * The program `loadcell`: a table of commands (commands.c), each a function that reads the
 * snapshot and prints. Commands print to cli->out and cli->err, never to stdout directly, and
 * return one of these exit codes.
 */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_INSTANCE = 3,
	CLI_STALE = 4, /* stale or no data */
};

struct cli;

struct command {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the command's name */
	const char *help;                                   /* one line for the list of commands */
	const char *arguments;                              /* after the name in the usage line */
};

struct cli {
	const struct command *command; /* the one that runs */
	const char *config_path;       /* of -c; NULL when not given */
	struct config *config;
	FILE *out, *err;
	bool tty;    /* out is a terminal */
	bool colour; /* tty, and NO_COLOR is unset or empty */
	int width;   /* columns: COLUMNS, else the terminal's, else 80 */
};

/* Runs one command line; the locale is set by main(). Returns the exit code. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);

/* "loadcell COMMAND: sentence" on cli->err; returns code. */
int cli_fail(const struct cli *cli, int code, const char *format, ...) _printf_(3, 4);
void cli_complain(const struct cli *cli, const char *format, va_list ap) _printf_(2, 0);
/* The sentence and the usage line; returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) _printf_(2, 3);

struct cli_option {
	const char *name;
	char letter;       /* 0: none */
	const char *value; /* what it takes, for the help; NULL: nothing */
	void *target;      /* const char * where it takes a value, else bool */
	const char *help;
};
/* Reads all options, -h and --help too. -1 to go on (optind is the first argument), else the exit
 * code. */
int cli_options(
	const struct cli *cli, int argc, char **argv, const struct cli_option *options, size_t n);
/* All options of a command that has only --json. -1 to go on, else the exit code. */
int cli_json_option(const struct cli *cli, int argc, char **argv, bool *json);

/* --- figures for people (format.c) ----------------------------------------------------------- */
/* Returned by value: fputs(cell_bytes(n).text, out). */
struct cell {
	char text[40];
};

struct cell cell_bytes(uint64_t bytes);        /* "0" "512B" "1.5G" "512M": units of 1024 */
struct cell cell_count(uint64_t n);            /* "99999" "123k" "1.2M": units of 1000 */
struct cell cell_cores(uint64_t billionths);   /* "0.48" "12.5" "128" */
struct cell cell_percent(uint64_t billionths); /* "4.8%" "48%" "100%" */
struct cell cell_duration(uint64_t ns);        /* "35us" "350ms" "1.2s" "45s" "12m30s" "3d4h" */
struct cell cell_time(uint64_t ns);            /* wall clock, "2024-05-01 12:00:00" local time */
struct cell cell_bytes_rate(uint64_t per_s);   /* "1.5M/s" */
struct cell cell_count_rate(uint64_t per_s);   /* "12/s" */
/* Any metric: absent "-", unlimited `unlimited` ("unlimited"; "max" in tables). */
struct cell cell_value(const struct metric *m, struct value v, const char *unlimited);
/* The exact decimal in the base unit, as programs want it: "1.23", "512". */
struct cell cell_exact(const struct metric *m, struct value v);
struct cell cell_seconds(uint64_t ns); /* the same for a time */

/* --- the current sample (view.c) ------------------------------------------------------------- */
struct view {
	struct snapshot *snapshot;
	const struct snapshot_info *info;
	uint64_t age_ns;
	bool stale;
	struct interface_row {
		uint32_t instance;
		size_t row;
	} * interfaces; /* by instance, then in the snapshot's order */
};

/* Opens the snapshot. A negative errno, or 0 with v->stale, with one sentence (with the next step)
 * in *err. */
int view_load(const struct config *config, struct view *v, struct error *err);
/* Shows this one instead, and takes it. */
int view_show(struct view *v, struct snapshot *s);
void view_close(struct view *v);
static inline void cleanup_view_close(struct view *v)
{
	view_close(v);
}
/* The same for a command that prints once: complaints go to cli->err. CLI_DONE; CLI_STALE with
 * v->snapshot (stale) or without it (no data); CLI_FAILED (damaged). */
int view_open(const struct cli *cli, struct view *v);

struct row_match {
	size_t row;
	struct snapshot_row fixed;
};
/* The instances that match one of the patterns (globs on handle, host name, groups and addresses;
 * none: all), sorted by handle. The caller frees. Returns how many, or -ENOMEM. */
ssize_t view_instances(
	const struct view *v, char *const *patterns, size_t n, struct row_match **ret);
/* One of the globs, or none is given. */
bool instance_is_wanted(const struct snapshot_row *row, char *const *patterns, size_t n);
/* Whether the pattern matches an instance's handle, host name, a group, an IP or MAC address. */
bool instance_matches(const struct snapshot_row *row, const char *pattern,
	bool (*matches)(const char *pattern, const char *text));

/* Of the host's row; absent and "" where there is no data or no such row. */
struct value view_host_value(const struct view *v, unsigned int metric_id);
struct cell view_host_cell(const struct view *v, unsigned int metric_id);
const char *view_host_text(const struct view *v, enum snapshot_text text);

/* The interfaces of an instance. Returns how many. */
size_t view_interfaces(const struct view *v, uint32_t instance, const struct interface_row **ret);

/* Iterates the lines of a text such as TEXT_GROUPS; len is without the newline. */
#define for_each_line(text, line, len)                                                             \
	for (const char *line = (text); line && *line && (((len) = strcspn(line, "\n")), true);    \
		line += (len) + (line[len] == '\n'))

/* --- texts that containers choose (text.c) --------------------------------------------------- */
/*
 * A copy that is safe for terminals: control and format characters (bidi overrides, zero width)
 * and bytes that are no UTF-8 become \xNN or \uNNNN. Everything from a snapshot passes here
 * before it is printed. NULL on ENOMEM.
 */
char *text_clean(const char *s);
char *text_clean_n(const char *s, size_t len);
/* Printable ASCII without '"' and '\\': the same in JSON, in a label and on a terminal. */
bool text_needs_no_escape(const char *s, size_t len);
/* One formatted line, cleaned as a whole. */
void text_line(FILE *out, const char *format, ...) _printf_(2, 3);
size_t text_width(const char *clean); /* display columns */
/* The lines of a text with commas between them, as they are or cleaned. The caller frees. */
char *join_lines(const char *lines);
char *text_join(const char *lines);
/*
 * One field of CSV: RFC 4180's quoting, with the line ends of this system. Texts stand as the
 * container wrote them, for programs; only on a terminal are they cleaned. A spreadsheet may take a
 * name that begins with '=' for a formula: loadcell(1) says so.
 */
void csv_text(FILE *out, bool clean, const char *s);
/* Exactly `width` columns: cut with an ellipsis or padded with blanks (on the left for right
 * alignment). The caller frees. */
char *text_fit(const char *clean, size_t width, bool right);

/* --- where a value comes from (source.c) ------------------------------------------------------ */
/* The cgroup version that a row's TEXT_CGROUPS tell for a metric: 1 or 2. */
int source_version(const struct metric *m, const char *cgroups);
const struct metric_source *source_of(const struct metric *m, int version);
/* "memory.stat, total_rss", "derived: ...", "none: ...". The caller frees. */
char *source_text(const struct metric_source *s, int version);

/* --- commands -------------------------------------------------------------------------------- */
int list_main(struct cli *cli, int argc, char **argv);
int show_main(struct cli *cli, int argc, char **argv);
int top_main(struct cli *cli, int argc, char **argv);
int runs_main(struct cli *cli, int argc, char **argv);
int events_main(struct cli *cli, int argc, char **argv);
int graph_main(struct cli *cli, int argc, char **argv);
int report_main(struct cli *cli, int argc, char **argv);
int fit_main(struct cli *cli, int argc, char **argv);
int metrics_main(struct cli *cli, int argc, char **argv);
int status_main(struct cli *cli, int argc, char **argv);
int hooks_main(struct cli *cli, int argc, char **argv);
int mib_main(struct cli *cli, int argc, char **argv);
int zabbix_main(struct cli *cli, int argc, char **argv);
#define CHECK_UNKNOWN_EXIT 3 /* of the monitoring plugins' 0, 1, 2, 3 */
int check_main(struct cli *cli, int argc, char **argv);
