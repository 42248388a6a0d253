/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "../graph/pictures.h"
#include "internal.h"

/* One page, without script, that prints well: pictures of the host and its largest instances. */

#define WIDTH    860.0
#define HEIGHT   220.0
#define LEFT     60.0
#define COLUMNS  400 /* a picture's points: the highest of those in each */
#define BARS_MAX 30

static const char style[] =
	"<meta name=viewport content='width=device-width'><style>:root{color-scheme:light dark;"
	"--b:#fff;--t:#1a1a1a;--g:#d8d8d8;--s:#666}@media screen and (prefers-color-scheme:dark){"
	":root{--b:#16181b;--t:#e6e6e6;--g:#3a3d42;--s:#a0a0a0}}body{background:var(--b);color:"
	"var(--t);font:14px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
	"h1{font-size:1.5em}h2{font-size:1.1em;margin:2em 0 .4em;break-after:avoid}small,p,svg "
	"text{"
	"color:var(--s);fill:var(--s);font-weight:400}p{margin:.1em "
	"0}table{border-collapse:collapse;"
	"font-variant-numeric:tabular-nums;width:100%}td{padding:.15em .5em;text-align:right;"
	"border-bottom:1px solid var(--g)}td.l{text-align:left;overflow-wrap:anywhere}.h td{"
	"font-weight:600;color:var(--s)}tr{break-inside:avoid}svg{width:100%;height:auto;font:11px "
	"system-ui,sans-serif;break-inside:avoid}svg "
	"text{paint-order:stroke;stroke:var(--b);stroke-width:3}.g{stroke:var(--g)}.k{display:"
	"inline-block;width:"
	".8em;height:.8em;margin:0 .3em 0 1em}@media print{body{margin:0;max-width:none;"
	"font-size:10px}thead{display:table-header-group}}</style>";

void html_begin(FILE *out, const char *title)
{
	const struct pen p = {.out = out, .html = true};

	fputs("<!DOCTYPE html><html lang=en><meta charset=utf-8><title>", out);
	pen_text(&p, title);
	fprintf(out, "</title>%s<h1>", style);
	pen_text(&p, title);
	fputs("</h1>\n", out);
}

void html_end(FILE *out)
{
	fputs("</html>\n", out);
}

static void area(
	FILE *out, const double *low, const double *high, size_t n, double top, enum colour colour)
{
	double x = (WIDTH - LEFT) / (double)n;

	fprintf(out, "<path fill='#%06x' d='", colour_of(colour, false));
	for (size_t i = 0; i < n; i++)
		if (!isnan(high[i])) {
			double from = low && !isnan(low[i]) ? low[i] : 0;

			fprintf(out, "M%.1f %.1fv%.1fh%.2fv%.1fz", LEFT + x * (double)i,
				HEIGHT * (1 - from / top), HEIGHT * (from - high[i]) / top, x + 0.2,
				HEIGHT * (high[i] - from) / top);
		}
	fputs("'/>\n", out);
}

static void level(
	FILE *out, enum field field, double at, double top, const char *dash, const char *name)
{
	double y = HEIGHT * (1 - at / top);

	if (!(at <= top))
		return;
	fprintf(out,
		"<path stroke='#%06x' stroke-width=1.5 stroke-dasharray='%s' d='M%.0f %.1fH%.0f'/>"
		"<text x=%.0f y=%.1f text-anchor=end>%s %s</text>\n",
		colour_of(COLOUR_LIMIT, false), dash, LEFT, y, WIDTH, WIDTH - 4, y - 4, name,
		field_cell(field, at).text);
}

static void picture(FILE *out, const struct report *r, enum report_resource resource,
	enum field capacity, enum field committed, const char *title)
{
	size_t n = MIN(r->n, COLUMNS);
	double ours[COLUMNS], all[COLUMNS], top = NAN;
	const double *v = r->host.value;

	if (!r->host.series[resource] || !n)
		return;
	for (size_t i = 0; i < n; i++) {
		ours[i] = all[i] = NAN;
		for (size_t k = i * r->n / n; k < (i + 1) * r->n / n; k++) {
			double value = r->host.series[resource][k];
			double other = r->other[resource] ? r->other[resource][k] : 0;

			ours[i] = fmax(ours[i], value);
			all[i] = fmax(all[i], value + fmax(other, 0));
		}
		top = fmax(top, all[i]);
	}
	top = fmax(top, isfinite(v[capacity]) ? v[capacity] : 0);
	if (isfinite(v[committed]) && v[committed] < 2 * top)
		top = fmax(top, v[committed]);
	top = fmax(top * 1.08, 1e-9);
	fprintf(out,
		"<h2>%s <small><span class=k style='background:#%06x'></span>instances"
		"<span class=k style='background:#%06x'></span>all else</small></h2>"
		"<svg viewBox='0 0 %.0f %.0f' role=img><title>%s</title>\n",
		title, colour_of(COLOUR_USED, false), colour_of(COLOUR_REST, false), WIDTH,
		HEIGHT + 20, title);
	for (int i = 0; i <= 4; i++)
		fprintf(out,
			"<path class=g d='M%.0f %.1fH%.0f'/><text x=%.0f y=%.1f "
			"text-anchor=end>%s</text>",
			LEFT, HEIGHT * (1 - i / 4.32), WIDTH, LEFT - 6, HEIGHT * (1 - i / 4.32) + 4,
			field_cell(capacity == FIELD_HOST_CPUS ? FIELD_CPU_MAX : capacity,
				top * i / 4.32)
				.text);
	area(out, NULL, ours, n, top, COLOUR_USED);
	area(out, ours, all, n, top, COLOUR_REST);
	level(out, capacity, v[capacity], top, "", "physical");
	level(out, committed, v[committed], top, "6 4", "committed");
	fprintf(out,
		"<text x=%.0f y=%.0f>%s</text><text x=%.0f y=%.0f "
		"text-anchor=end>%s</text></svg>\n",
		LEFT, HEIGHT + 15, cell_time(r->from_s * NSEC_PER_SEC).text, WIDTH, HEIGHT + 15,
		cell_time(r->to_s * NSEC_PER_SEC).text);
}

static int by_memory(const void *a, const void *b)
{
	double x = (*(const struct report_row *const *)a)->value[FIELD_MEMORY_P95];
	double y = (*(const struct report_row *const *)b)->value[FIELD_MEMORY_P95];

	return isnan(x) || isnan(y) ? isnan(x) - isnan(y) : (x < y) - (x > y);
}

/* Each one's median, p95 and maximum against its limit. */
static void bars(const struct pen *p, const struct report *r)
{
	_cleanup_free_ const struct report_row **row = calloc(r->rows + 1, sizeof(*row));
	size_t n = MIN(r->rows, BARS_MAX);
	double top = 0, scale;

	for (size_t i = 0; row && i < r->rows; i++) {
		row[i] = &r->row[i];
		top = fmax(top, r->row[i].value[FIELD_MEMORY_MAX]);
	}
	if (!row || !(top > 0))
		return;
	qsort(row, r->rows, sizeof(*row), by_memory);
	scale = (WIDTH - 260) / (1.15 * top);
	fprintf(p->out,
		"<h2>Memory of the largest <small>dark: median, light: p95, line: maximum, "
		"dashed: limit</small></h2><svg viewBox='0 0 %.0f %zu' role=img>\n",
		WIDTH, n * 18);
	for (size_t i = 0; i < n; i++) {
		const double *v = row[i]->value;
		double y = 18 * (double)i;

		if (isnan(v[FIELD_MEMORY_P95]))
			break;
		fprintf(p->out, "<text x=190 y=%.0f text-anchor=end>", y + 12);
		pen_text(p, row[i]->name);
		fprintf(p->out,
			"</text><g fill='#%06x'><path opacity='.45' d='M200 %.0fh%.1fv12h-%.1fz'/>"
			"<path d='M200 %.0fh%.1fv12h-%.1fz'/></g><path stroke='#%06x' d='M200 "
			"%.0fh%.1f'/>",
			colour_of(COLOUR_MEMORY, false), y + 2, v[FIELD_MEMORY_P95] * scale,
			v[FIELD_MEMORY_P95] * scale, y + 2, v[FIELD_MEMORY_P50] * scale,
			v[FIELD_MEMORY_P50] * scale, colour_of(COLOUR_MEMORY, false), y + 8,
			v[FIELD_MEMORY_MAX] * scale);
		if (v[FIELD_MEMORY_LIMIT] * scale < WIDTH - 260)
			fprintf(p->out,
				"<path stroke='#%06x' stroke-dasharray='3 2' d='M%.1f %.0fv16'/>",
				colour_of(COLOUR_LIMIT, false), 200 + v[FIELD_MEMORY_LIMIT] * scale,
				y);
		fprintf(p->out, "<text x=%.0f y=%.0f text-anchor=end>%s</text>\n", WIDTH, y + 12,
			field_cell(FIELD_MEMORY_LIMIT, v[FIELD_MEMORY_LIMIT]).text);
	}
	fputs("</svg>\n", p->out);
}

void report_html(const struct pen *p, const struct report *r, const struct report_ask *ask)
{
	_cleanup_free_ char *title = format_string("%s: %s to %s",
		r->host.name && *r->host.name ? r->host.name : "this host",
		cell_time(r->from_s * NSEC_PER_SEC).text, cell_time(r->to_s * NSEC_PER_SEC).text);

	html_begin(p->out, title ? title : "");
	put_notes(p, r, ask);
	picture(p->out, r, REPORT_MEMORY, FIELD_HOST_MEMORY, FIELD_HOST_MEMORY_COMMITTED, "Memory");
	picture(p->out, r, REPORT_CPU, FIELD_HOST_CPUS, FIELD_HOST_CPU_COMMITTED, "CPU cores");
	bars(p, r);
	report_tables(p, r, ask);
	html_end(p->out);
}
