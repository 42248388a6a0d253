/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"

/* A report as text in 80 columns and as CSV. What stands where is one table for text and HTML. */

const struct section report_sections[] = {
	{"CPU", "cores; shares of the time", false,
		{{FIELD_CPU_P50, "P50", 6}, {FIELD_CPU_P95, "P95", 6}, {FIELD_CPU_P99, "P99", 6},
			{FIELD_CPU_MAX, "MAX", 6}, {FIELD_CPU_LIMIT, "LIMIT", 6},
			{FIELD_CPU_NEAR, "NEAR", 5}, {FIELD_CPU_THROTTLED, "THROT", 6},
			{FIELD_CPU_PRESSURE, "PRESS", 5}}},
	{"MEMORY", "working set", false,
		{{FIELD_MEMORY_P50, "P50", 6}, {FIELD_MEMORY_P95, "P95", 6},
			{FIELD_MEMORY_P99, "P99", 6}, {FIELD_MEMORY_MAX, "MAX", 6},
			{FIELD_MEMORY_LIMIT, "LIMIT", 6}, {FIELD_MEMORY_NEAR, "NEAR", 5},
			{FIELD_MEMORY_PRESSURE, "PRESS", 6}, {FIELD_OOM_KILLS, "OOM", 5}}},
	{"TASKS AND DISK", "disk growth within the period", false,
		{{FIELD_PIDS_P95, "P95", 6}, {FIELD_PIDS_MAX, "MAX", 6},
			{FIELD_PIDS_LIMIT, "LIMIT", 6}, {FIELD_DISK_USED, "DISK", 6},
			{FIELD_DISK_LIMIT, "LIMIT", 6}, {FIELD_DISK_GROWTH, "GROWTH", 7},
			{FIELD_IO_PRESSURE, "PRESS", 6}}},
	{"TOTALS", "of the period", false,
		{{FIELD_CPU_TOTAL, "CPU", 6}, {FIELD_IO_READ, "READ", 6},
			{FIELD_IO_WRITE, "WRITE", 6}, {FIELD_NET_RECEIVE, "RECV", 6},
			{FIELD_NET_TRANSMIT, "SENT", 6}, {FIELD_RUNS, "RUNS", 5},
			{FIELD_UP, "UP", 6}, {FIELD_AVAILABILITY, "AVAIL", 6}}},
	{"RIGHT SIZE", "given back by new limits; negative: more is needed", true,
		{{FIELD_MEMORY_ADVICE, "MEMORY", 7}, {FIELD_MEMORY_BACK, "BACK", 7},
			{FIELD_CPU_ADVICE, "CPU", 6}, {FIELD_CPU_BACK, "BACK", 7}}},
};
const size_t report_sections_count = ARRAY_SIZE(report_sections);

struct cell field_cell(enum field field, double v)
{
	enum field_unit unit = report_field[field].unit;
	double size = fabs(v) * (unit == FIELD_BYTES || unit == FIELD_NUMBER ? 1 : 1e9);
	struct cell c = {"-"}, plus;
	uint64_t n;

	if (isnan(v))
		return c;
	if (size > 9e18)
		return (struct cell){"max"};
	n = (uint64_t)(size + 0.5);
	plus = unit == FIELD_CORES     ? cell_cores(n)
	       : unit == FIELD_RATIO   ? cell_percent(n)
	       : unit == FIELD_BYTES   ? cell_bytes(n)
	       : unit == FIELD_SECONDS ? cell_duration(n)
				       : cell_count(n);
	snprintf(c.text, sizeof(c.text), "%s%.38s", v < 0 && strcmp(plus.text, "0") ? "-" : "",
		plus.text);
	return c;
}

void field_number(FILE *out, double v)
{
	char text[40];

	if (isnan(v))
		return;
	snprintf(text, sizeof(text), "%.15g", v);
	/* The shortest that reads back as the same. */
	fprintf(out, "%.*g", strtod(text, NULL) < v || strtod(text, NULL) > v ? 17 : 15, v);
}

/* --- text and HTML ---------------------------------------------------------------------------- */

void pen_text(const struct pen *p, const char *text)
{
	_cleanup_free_ char *clean = text_clean(text);

	for (const char *s = clean ? clean : "?"; *s; s++)
		if (p->html && strchr("<>&\"", *s))
			fprintf(p->out, "&#%d;", *s);
		else
			putc(*s, p->out);
}

static void line(const struct pen *p, const char *format, ...) _printf_(2, 3);
static void line(const struct pen *p, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	fputs(p->html ? "<p>" : "", p->out);
	pen_text(p, text ? text : "");
	putc('\n', p->out);
}

static void begin_table(const struct pen *p, const char *title, const char *unit)
{
	fprintf(p->out, p->html ? "<h2>%s <small>%s</small></h2><table>\n" : "\n%s (%s)\n", title,
		unit);
}

/* Of a width in text; negative: on the left. */
static void cell(const struct pen *p, int width, const char *text)
{
	_cleanup_free_ char *clean = p->html ? NULL : text_clean(text);
	_cleanup_free_ char *fit = clean ? text_fit(clean, (size_t)abs(width), width > 0) : NULL;

	if (p->html) {
		fputs(width < 0 ? "<td class=l>" : "<td>", p->out);
		pen_text(p, text);
	} else
		fprintf(p->out, "%s%s", width < 0 ? "" : " ", fit ? fit : "?");
}

/* As long as it is. */
static void last_cell(const struct pen *p, const char *text)
{
	fputs(p->html ? "<td class=l>" : "  ", p->out);
	pen_text(p, text);
}

static void end_row(const struct pen *p)
{
	fputs(p->html ? "<tr>\n" : "\n", p->out);
}

static void end_table(const struct pen *p)
{
	fputs(p->html ? "</table>\n" : "", p->out);
}

void put_section_head(const struct pen *p, const struct section *s)
{
	begin_table(p, s->title, s->unit);
	fputs(p->html ? "<tr class=h>" : "", p->out);
	cell(p, -p->name, "NAME");
	for (const struct section_column *c = s->column; c->width; c++)
		cell(p, c->width, c->title);
	if (s->risks)
		last_cell(p, "AT RISK");
	end_row(p);
}

void put_section_row(const struct pen *p, const struct section *s, const struct report_row *row)
{
	cell(p, -p->name, row->name);
	for (const struct section_column *c = s->column; c->width; c++)
		cell(p, c->width, field_cell(c->field, row->value[c->field]).text);
	if (s->risks && (p->html || *row->risk))
		last_cell(p, row->risk);
	end_row(p);
}

/* Until it is full: only what has an answer with days in it, so that others do not drown it. */
static void put_forecasts(const struct pen *p, const struct report *r)
{
	size_t quiet = 0;

	begin_table(p, "FORECAST", "until the limit is reached, 90 % sure");
	for (size_t i = 0; i <= r->rows; i++) {
		const struct report_row *row = i < r->rows ? &r->row[i] : &r->host;

		for (size_t k = REPORT_MEMORY; k < REPORT_RESOURCES; k++) {
			enum stat_answer answer = row->forecast[k].answer;
			char text[STAT_TEXT_MAX];

			if (answer != STAT_WITHIN && answer != STAT_REACHED && row != &r->host)
				quiet++;
			else {
				stat_forecast_text(&row->forecast[k], text);
				cell(p, -p->name, row == &r->host ? "the host" : row->name);
				cell(p, 7, report_resource[k].name);
				last_cell(p, text);
				end_row(p);
			}
		}
	}
	end_table(p);
	if (quiet)
		line(p, "%zu more have no limit, no trend, or too short a history: see CSV.",
			quiet);
}

#define HOST(figure) FIELD_HOST_CPU_##figure, FIELD_HOST_MEMORY_##figure

static void put_host(const struct pen *p, const struct report *r)
{
	static const struct {
		const char *title;
		enum field cpu, memory;
	} lines[] = {
		{"physical", FIELD_HOST_CPUS, FIELD_HOST_MEMORY},
		{"committed (limits summed)", HOST(COMMITTED)},
		{"used by all, p95", HOST(USED_P95)},
		{"used by all, peak", HOST(USED_PEAK)},
		{"- at most (maxima summed)", HOST(UPPER)},
		{"instances, peak of the sum", FIELD_CPU_PEAK, FIELD_MEMORY_PEAK},
		{"instances, sum of the peaks", HOST(SUM)},
		{"headroom: committed", HOST(ROOM_COMMITTED)},
		{"headroom: p95 together", HOST(ROOM_P95)},
		{"headroom: peak together", HOST(ROOM_PEAK)},
	};
	static const char *const ceilings[] = {
		"tasks", "maps of one", "open files", "memory cgroups", "disk"};
	static const char *const head[] = {"CPU", "MEMORY", "CEILINGS", "MAX", "LIMIT"};
	const double *v = r->host.value;

	begin_table(p, "HOST", "and the ceilings of its kernel and disks");
	fputs(p->html ? "<tr class=h>" : "", p->out);
	cell(p, -27, "");
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		cell(p, i == 2 ? -17 : 8, i == 2 && !p->html ? "   CEILINGS" : head[i]);
	end_row(p);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		enum field max = FIELD_HOST_TASKS + 2 * (enum field)i;

		cell(p, -27, lines[i].title);
		cell(p, 8, field_cell(lines[i].cpu, v[lines[i].cpu]).text);
		cell(p, 8, field_cell(lines[i].memory, v[lines[i].memory]).text);
		if (i < ARRAY_SIZE(ceilings)) {
			fputs("   ", p->out);
			cell(p, -14, ceilings[i]);
			cell(p, 8, field_cell(max, v[max]).text);
			cell(p, 8, field_cell(max + 1, v[max + 1]).text);
		}
		end_row(p);
	}
	end_table(p);
}

/* What every reader has to know of the figures comes first. */
void put_notes(const struct pen *p, const struct report *r, const struct report_ask *ask)
{
	line(p, "Percentiles are of averages of %s; MAX is the highest step of %s.",
		cell_duration(r->step_s * NSEC_PER_SEC).text,
		cell_duration(r->peak_s * NSEC_PER_SEC).text);
	line(p, "Peaks of sums are of averages, all of the same %s.",
		cell_duration(r->step_s * NSEC_PER_SEC).text);
	line(p, "NEAR: share of the time at %.0f %% of the limit or above.", 100 * REPORT_NEAR);
	line(p, "RIGHT SIZE: p%g and %.0f %%; where a limit holds down, that and %.0f %% at least.",
		ask->permille / 10.0, 100 * ask->margin, 100 * ask->margin);
	if (r->damaged)
		line(p, "Left out, as damaged: %ju files or lines. %s", (uintmax_t)r->damaged,
			r->damage);
}

void report_tables(const struct pen *p, const struct report *r, const struct report_ask *ask)
{
	for (size_t i = 0; r->rows && i < report_sections_count; i++) {
		put_section_head(p, &report_sections[i]);
		for (size_t k = 0; k < r->rows; k++)
			put_section_row(p, &report_sections[i], &r->row[k]);
		end_table(p);
	}
	put_host(p, r);
	put_forecasts(p, r);
	for (size_t i = 0; i < REPORT_RESOURCES; i++)
		if (r->backtest[i].made)
			line(p, "Backtest of %s, %u days ahead: %u of %u forecasts held (%.0f %%).",
				report_resource[i].name, ask->backtest, r->backtest[i].held,
				r->backtest[i].made,
				100.0 * r->backtest[i].held / r->backtest[i].made);
}

void report_text(const struct pen *p, const struct report *r, const struct report_ask *ask)
{
	line(p, "%s: %s to %s", r->host.name && *r->host.name ? r->host.name : "this host",
		cell_time(r->from_s * NSEC_PER_SEC).text, cell_time(r->to_s * NSEC_PER_SEC).text);
	put_notes(p, r, ask);
	report_tables(p, r, ask);
}

/* --- CSV -------------------------------------------------------------------------------------- */

void report_csv_head(FILE *out)
{
	fputs("host,name,groups,running,at_risk", out);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		fprintf(out, ",%s", report_field[i].name);
	for (size_t i = REPORT_MEMORY; i < REPORT_RESOURCES; i++)
		fprintf(out, ",%1$s_forecast,%1$s_full_days,%1$s_full_days_low,%1$s_full_days_high",
			report_resource[i].name);
	fputs(",from,to\n", out);
}

/* LibreOffice would take it for a formula, a number or a date. */
static bool is_no_text(const char *s)
{
	s += strspn(s, " ");
	return *s && (strchr("=+-@\t\r\n", *s) || (strchr("0123456789.", *s) &&
							  !s[strspn(s, "0123456789.,:/+-%eETZ ")]));
}

static void spreadsheet_text(FILE *out, bool clean, const char *s)
{
	_cleanup_free_ char *marked = is_no_text(s) ? format_string("'%s", s) : NULL;

	csv_text(out, clean, marked ? marked : is_no_text(s) ? "" : s);
}

static void spreadsheet_time(FILE *out, uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[32] = "";

	if (localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%FT%T", &tm);
	fprintf(out, ",%s", text);
}

void report_csv_row(FILE *out, bool clean, const struct report *r, const struct report_row *row)
{
	_cleanup_free_ char *groups = join_lines(row->groups ? row->groups : "");

	spreadsheet_text(out, clean, row->host ? row->host : row->name ? row->name : "");
	putc(',', out);
	spreadsheet_text(out, clean, row->name ? row->name : "");
	putc(',', out);
	spreadsheet_text(out, clean, groups ? groups : "");
	fprintf(out, ",%d,%s", row->running, row->risk);
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		putc(',', out);
		if (isinf(row->value[i]))
			fputs("unlimited", out);
		else
			field_number(out, row->value[i]);
	}
	for (size_t i = REPORT_MEMORY; i < REPORT_RESOURCES; i++) {
		const struct stat_forecast *f = &row->forecast[i];
		const double days[] = {f->days, f->low_days, f->high_days};

		fprintf(out, ",%s", stat_answer_name(f->answer));
		for (size_t k = 0; k < ARRAY_SIZE(days); k++) {
			putc(',', out);
			if (f->answer == STAT_WITHIN && isfinite(days[k]))
				field_number(out, days[k]);
		}
	}
	spreadsheet_time(out, r->from_s);
	spreadsheet_time(out, r->to_s);
	putc('\n', out);
}
