/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "../cli/near.h"
#include "../lib/when.h"
#include "internal.h"

/* `loadcell report`: of this host, of an export, or of a fleet's exports. */

enum form {
	FORM_TEXT,
	FORM_CSV,
	FORM_JSON,
	FORM_HTML
};

struct command_line {
	struct cli *cli;
	const char *from, *to, *by, *format, *output, *percentile, *margin, *backtest;
	bool from_json, series, json;
	enum form form;
	struct report_ask ask;
	struct pen pen;
	struct report_row total; /* of a fleet */
	struct json_out out;     /* the same */
};

/* --- options ---------------------------------------------------------------------------------- */

/* Which of the words, or -1. */
static int word(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(text, words[i]))
			return (int)i;
	return -1;
}

static int take_words(struct command_line *c)
{
	static const char *const by[] = {"instance", "name-prefix", "group", "host"};
	static const char *const forms[] = {"text", "csv", "json", "html"};
	int b = word(c->by, by, ARRAY_SIZE(by)), f;

	if (c->json && c->format && strcmp(c->format, "json") != 0)
		return cli_usage(c->cli, "--json and --format %s exclude each other", c->format);
	c->format = c->json ? "json" : c->format ? c->format : "text";
	f = word(c->format, forms, ARRAY_SIZE(forms));
	if (b < 0)
		return cli_usage(
			c->cli, "--by is instance, name-prefix, group or host, not '%s'", c->by);
	if (f < 0)
		return cli_usage(
			c->cli, "--format is text, csv, json or html, not '%s'", c->format);
	c->ask.by = (enum report_by)b;
	c->form = (enum form)f;
	return -1;
}

static int take_numbers(struct command_line *c)
{
	uint64_t margin;
	char *end;
	double percentile = strtod(c->percentile, &end);

	if (end == c->percentile || *end || !(percentile > 0) || percentile > 100)
		return cli_usage(
			c->cli, "--percentile is above 0, at most 100, not '%s'", c->percentile);
	if (parse_percent(c->margin, &margin) < 0)
		return cli_usage(c->cli, "'%s' is no margin such as 20%%", c->margin);
	c->ask.permille = (unsigned int)lround(10 * percentile);
	c->ask.margin = (double)margin / 1e9;
	if (c->backtest) {
		unsigned long days = strtoul(c->backtest, &end, 10);

		if (*end || days < 1 || days > STAT_DAYS_MAX)
			return cli_usage(c->cli, "--backtest takes 1 to %d days, not '%s'",
				STAT_DAYS_MAX, c->backtest);
		c->ask.backtest = (unsigned int)days;
	}
	return -1;
}

static int take_times(struct command_line *c)
{
	uint64_t now = now_ns(CLOCK_REALTIME), from, to;

	if (when_parse(c->from, now, &from) < 0 || when_parse(c->to, now, &to) < 0)
		return cli_usage(c->cli, "'%s' to '%s' is no time", c->from, c->to);
	c->ask.from_s = from / NSEC_PER_SEC;
	c->ask.to_s = MIN(to, now) / NSEC_PER_SEC;
	if (c->ask.from_s >= c->ask.to_s)
		return cli_usage(c->cli, "the end, %s, is not after the beginning, %s",
			cell_time(MIN(to, now)).text, cell_time(from).text);
	return -1;
}

/* --- where it goes ---------------------------------------------------------------------------- */

static ssize_t gz_write(void *cookie, const char *data, size_t len)
{
	return gzwrite(cookie, data, (unsigned int)len);
}

static int gz_close(void *cookie)
{
	return gzclose(cookie) == Z_OK ? 0 : -1;
}

/* Beside the file first, so that what stands there stays until there is a better one. */
static FILE *open_output(const char *path, const char *beside)
{
	size_t len = strlen(path);
	cookie_io_functions_t gz = {.write = gz_write, .close = gz_close};
	gzFile file;

	if (len < 3 || strcmp(path + len - 3, ".gz") != 0)
		return fopen(beside, "wxe");
	file = gzopen(beside, "wxe");
	return file ? fopencookie(file, "w", gz) : NULL;
}

/* --- a report -------------------------------------------------------------------------------- */

static void put_csv(struct command_line *c, const struct report *r)
{
	FILE *out = c->pen.out;
	bool clean = c->cli->tty && out == c->cli->out;

	for (size_t i = 0; c->ask.by != BY_HOST && i < r->rows; i++)
		report_csv_row(out, clean, r, &r->row[i]);
	if (c->ask.by == BY_HOST)
		report_csv_row(out, clean, r, &r->host);
}

static void put_report(struct command_line *c, const struct report *r)
{
	if (c->form == FORM_TEXT)
		report_text(&c->pen, r, &c->ask);
	else if (c->form == FORM_HTML)
		report_html(&c->pen, r, &c->ask);
	else if (c->form == FORM_JSON)
		report_json(c->pen.out, r, &c->ask);
	else {
		report_csv_head(c->pen.out);
		put_csv(c, r);
	}
}

static int one_host(struct command_line *c)
{
	_cleanup_(report_free) struct report r = {0};
	struct error err;

	if (report_read(c->cli, &c->ask, &r, &err) < 0)
		return cli_fail(c->cli, CLI_FAILED, "%s", err.text);
	if (c->ask.n_patterns && !r.rows && c->ask.by != BY_HOST)
		return cli_fail(c->cli, CLI_NO_INSTANCE, "nothing of '%s' is known in that time",
			c->ask.patterns[0]);
	if (!r.rows && isnan(r.host.value[FIELD_HOST_MEMORY]))
		return cli_fail(c->cli, CLI_STALE, "nothing is stored of that time");
	put_report(c, &r);
	return CLI_DONE;
}

/* --- exports --------------------------------------------------------------------------------- */

static const struct section fleet = {"FLEET", "ROOM: beside the p95 of all together", true,
	{{FIELD_HOST_INSTANCES, "INST", 5}, {FIELD_HOST_MEMORY, "MEMORY", 6},
		{FIELD_HOST_MEMORY_COMMITTED, "COMMIT", 6},
		{FIELD_HOST_MEMORY_USED_PEAK, "PEAK", 6}, {FIELD_HOST_MEMORY_ROOM_P95, "ROOM", 6},
		{FIELD_MEMORY_BACK, "BACK", 6}, {FIELD_HOST_CPUS, "CPUS", 5},
		{FIELD_HOST_CPU_USED_PEAK, "PEAK", 5}}};

static void put_host(struct command_line *c, struct report *r)
{
	size_t risks = 0;

	for (size_t i = 0; i < r->rows; i++)
		risks += *r->row[i].risk != '\0';
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (report_field[i].sum == 'S')
			add_point(&c->total.value[i], r->host.value[i]);
	if (risks)
		snprintf(r->host.risk, sizeof(r->host.risk), "%zu", risks);
	if (c->form == FORM_CSV)
		put_csv(c, r);
	else if (c->form == FORM_JSON)
		report_json_fleet(&c->out, NULL, &r->host);
	else
		put_section_row(&c->pen, &fleet, &r->host);
}

struct fleet_call {
	struct command_line *c;
	struct error err;
	bool alone;
};

static int take_export(void *data, const char *file, const json_t *document)
{
	struct fleet_call *call = data;
	_cleanup_(report_free) struct report r = {0};
	int result = report_parse(document, file, &call->c->ask, &r, &call->err);

	if (result < 0)
		return result;
	if (call->alone)
		put_report(call->c, &r);
	else
		put_host(call->c, &r);
	return 0;
}

static void begin_fleet(struct command_line *c)
{
	c->out = (struct json_out){.out = c->pen.out};
	row_clear(&c->total);
	if (c->form == FORM_CSV) {
		report_csv_head(c->pen.out);
	} else if (c->form == FORM_JSON) {
		json_begin(&c->out, NULL, '{');
		json_text(&c->out, "format", "loadcell-fleet");
		json_number(&c->out, "schema", 1);
		json_begin(&c->out, "hosts", '[');
	} else {
		if (c->form == FORM_HTML)
			html_begin(c->pen.out, "loadcell: fleet");
		put_section_head(&c->pen, &fleet);
	}
}

static void end_fleet(struct command_line *c)
{
	struct report_row total = c->total;

	total.name = (char[]){"all"};
	if (c->form == FORM_JSON) {
		json_end(&c->out, ']');
		report_json_fleet(&c->out, "all", &total);
		json_end(&c->out, '}');
		putc('\n', c->pen.out);
	} else if (c->form != FORM_CSV) {
		put_section_row(&c->pen, &fleet, &total);
		if (c->form == FORM_HTML)
			fputs("</table></html>\n", c->pen.out);
	}
}

static int many_hosts(struct command_line *c)
{
	struct fleet_call call = {.c = c, .alone = c->ask.n_patterns == 1};
	int result;

	if (!c->ask.n_patterns)
		return cli_usage(c->cli, "--from-json needs files");
	if (c->ask.by == BY_PREFIX || c->ask.by == BY_GROUP)
		return cli_usage(c->cli, "of exports --by is instance or host");
	if (!call.alone)
		begin_fleet(c);
	result = report_each_export(
		c->ask.patterns, c->ask.n_patterns, take_export, &call, &call.err);
	if (result < 0)
		return cli_fail(c->cli, CLI_FAILED, "%s", call.err.text);
	if (!call.alone)
		end_fleet(c);
	return CLI_DONE;
}

/* --- the command ----------------------------------------------------------------------------- */

static int run(struct command_line *c)
{
	c->pen.html = c->form == FORM_HTML;
	c->pen.name = MIN(MAX(c->cli->width - 56, 16), 40);
	return c->from_json ? many_hosts(c) : one_host(c);
}

static int run_to_file(struct command_line *c)
{
	_cleanup_free_ char *beside = format_string("%s.new.%d", c->output, getpid());
	int result;

	c->pen.out = beside ? open_output(c->output, beside) : NULL;
	if (!c->pen.out)
		return cli_fail(c->cli, CLI_FAILED, "cannot write %s: %m", c->output);
	result = run(c);
	if (ferror(c->pen.out) + fclose(c->pen.out) != 0 && result == CLI_DONE)
		result = cli_fail(c->cli, CLI_FAILED, "cannot write %s", c->output);
	if (result == CLI_DONE && rename(beside, c->output) < 0)
		result = cli_fail(c->cli, CLI_FAILED, "cannot write %s: %m", c->output);
	if (result != CLI_DONE)
		unlink(beside);
	return result;
}

int report_main(struct cli *cli, int argc, char **argv)
{
	struct command_line c = {.cli = cli,
		.from = "-30d",
		.to = "now",
		.by = "instance",
		.percentile = "99",
		.margin = "20%"};
	const struct cli_option options[] = {
		{"from", 's', "WHEN", &c.from, "-30d (the default), 2026-01-01, ..."},
		{"to", 'e', "WHEN", &c.to, "now (the default), ..."},
		{"by", 0, "WHAT", &c.by, "instance, name-prefix (web of web01), group or host"},
		{"format", 'f', "FORM", &c.format, "text, csv, json or html"},
		{"json", 0, NULL, &c.json, "the same as --format json"},
		{"output", 'o', "FILE", &c.output, "instead of standard output; packed as .gz"},
		{"percentile", 0, "P", &c.percentile, "that better limits are made of: 99"},
		{"margin", 0, "P%", &c.margin, "on top of that: 20%"},
		{"series", 0, NULL, &c.series, "json: each instance's values over time, too"},
		{"backtest", 0, "DAYS", &c.backtest, "how often forecasts so far ahead held"},
		{"from-json", 0, NULL, &c.from_json, "of exports of hosts: arguments are files"},
	};
	int result = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (result < 0)
		result = take_words(&c);
	if (result < 0)
		result = take_numbers(&c);
	if (result < 0)
		result = take_times(&c);
	if (result >= 0)
		return result;
	c.ask.keep_series = c.series;
	c.ask.patterns = argv + optind;
	c.ask.n_patterns = (size_t)(argc - optind);
	c.pen.out = cli->out;
	return c.output && strcmp(c.output, "-") != 0 ? run_to_file(&c) : run(&c);
}
