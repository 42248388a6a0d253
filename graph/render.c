/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <rrd.h>

#include "plot.h"

/*
 * The one file that draws, with librrd: the values of a plot go into an RRD of their own, which
 * rrd_graph_v() reads. So what is drawn is what the fetch gave, to the last minute, of archives and
 * sums too.
 */
#define ROWS_AT_ONCE 500
#define LABEL_WIDTH  24
#define LABEL_BYTES  (4 * LABEL_WIDTH)
/* A limit that is so many times what is used would press all else to the ground. */
#define LIMIT_FAR 4

/* --- a list of arguments ---------------------------------------------------------------------- */

struct args {
	char **v;
	size_t n, size;
	bool failed;
};

static void args_free(struct args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	*a = (struct args){0};
}

static inline void cleanup_args_free(struct args *a)
{
	args_free(a);
}

static void put(struct args *a, const char *format, ...) _printf_(2, 3);
static void put(struct args *a, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	if (a->n + 2 > a->size) {
		char **v = reallocarray(a->v, a->size * 2 + 64, sizeof(*v));

		a->failed |= !v;
		if (!v)
			return;
		a->v = v;
		a->size = a->size * 2 + 64;
	}
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	a->failed |= !text;
	if (!text)
		return;
	a->v[a->n++] = text;
	a->v[a->n] = NULL;
}

/* A printable text (plot.c) as a legend of so many columns, without what librrd takes for its own.
 */
static void legend_text(const char *text, size_t columns, char *buf, size_t size)
{
	size_t at = 0, used = 0;

	for (; *text && at + 8 < size; text++) {
		bool begins = (*text & 0xc0) != 0x80; /* a character, in UTF-8 */

		if (begins && used++ == columns)
			break;
		if (*text == ':')
			buf[at++] = '\\';
		buf[at++] = *text == '\\' ? '/' : *text;
	}
	for (; used < columns && at + 1 < size; used++)
		buf[at++] = ' ';
	buf[at] = '\0';
}

/* --- what librrd shall draw ------------------------------------------------------------------- */

static void put_look(struct args *a, const struct plot *p)
{
	static const struct {
		const char *name;
		enum colour colour;
	} parts[] = {
		{"BACK", COLOUR_BACKGROUND},
		{"CANVAS", COLOUR_CANVAS},
		{"SHADEA", COLOUR_BACKGROUND},
		{"SHADEB", COLOUR_BACKGROUND},
		{"GRID", COLOUR_GRID},
		{"MGRID", COLOUR_GRID},
		{"FONT", COLOUR_TEXT},
		{"AXIS", COLOUR_TEXT},
		{"FRAME", COLOUR_GRID},
		{"ARROW", COLOUR_TEXT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		put(a, "--color");
		put(a, "%s#%06X", parts[i].name, colour_of(parts[i].colour, p->dark));
	}
	/* A font of one width, so that figures stand below each other. */
	put(a, "--font");
	put(a, "DEFAULT:8:DejaVu Sans Mono");
	put(a, "--font");
	put(a, "TITLE:11:DejaVu Sans");
	put(a, "--border");
	put(a, "0");
	put(a, "--disable-rrdtool-tag");
}

static void put_option(struct args *a, const char *option, const char *format, ...) _printf_(3, 4);
static void put_option(struct args *a, const char *option, const char *format, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	put(a, "%s", option);
	put(a, "%s", text);
}

static void put_scale(struct args *a, const struct plot *p)
{
	bool below = false;

	for (size_t i = 0; i < p->lines; i++)
		below |= p->line[i].below;
	if (!below)
		put_option(a, "--lower-limit", "0");
	put_option(a, "--base", "%d", p->unit == UNIT_BYTES ? 1024 : 1000);
	/* 0.48 cores and 3 %, not 480 m and 3,000 m. */
	if (p->unit == UNIT_CORES || p->percent)
		put_option(a, "--units-exponent", "0");
	put(a, "--alt-autoscale-max");
}

static bool is_limit(const struct plot_line *l)
{
	return l->style == STYLE_LIMIT || l->style == STYLE_LIMIT_NOW;
}

static double highest(const struct plot_line *l, size_t n)
{
	double max = 0;

	for (size_t i = 0; i < n; i++)
		max = fmax(max, l->values[i]);
	return max;
}

/* What all but the limits reach; stacks are higher, so this is on the safe side. */
static double highest_use(const struct plot *p)
{
	double max = 0;

	for (size_t i = 0; i < p->lines; i++)
		if (!is_limit(&p->line[i]))
			max = fmax(max, highest(&p->line[i], p->n));
	return max;
}

static void put_figures(struct args *a, const struct plot *p, size_t i)
{
	const char *format = p->percent              ? "%7.1lf%%"
			     : p->unit == UNIT_CORES ? "%8.2lf"
			     : p->unit == UNIT_BYTES ? "%7.1lf%s"
						     : "%7.1lf%S";
	static const char *const names[][2] = {
		{"LAST", "now"}, {"AVERAGE", "mean"}, {"MAXIMUM", "most"}};

	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		put(a, "VDEF:%s%zu=%c%zu,%s", names[k][1], i, p->line[i].below ? 'm' : 'v', i,
			names[k][0]);
		put(a, "GPRINT:%s%zu:%s %s%s", names[k][1], i, names[k][1], format,
			k == 2 ? "\\l" : "");
	}
}

static void put_line(struct args *a, const struct plot *p, size_t i, double use)
{
	const struct plot_line *l = &p->line[i];
	char label[LABEL_BYTES + 64];

	legend_text(l->label, LABEL_WIDTH, label, sizeof(label));
	switch (l->style) {
	case STYLE_AREA:
	case STYLE_STACK:
		put(a, "AREA:v%zu#%06X:%s%s", i, l->colour, label,
			l->style == STYLE_STACK ? ":STACK" : "");
		break;
	case STYLE_LINE:
		put(a, "LINE1.5:v%zu#%06X:%s", i, l->colour, label);
		break;
	case STYLE_PEAK:
		put(a, "LINE0.75:v%zu#%06X:%s", i, l->colour, label);
		break;
	case STYLE_LIMIT:
	case STYLE_LIMIT_NOW:
		if (use > 0 && highest(l, p->n) > LIMIT_FAR * use)
			put(a, "COMMENT:   %s", label); /* it is far above */
		else
			put(a, "LINE1.5:v%zu#%06X:%s:dashes=6,3", i, l->colour, label);
		break;
	}
	put_figures(a, p, i);
}

static void put_marks(struct args *a, const struct plot *p)
{
	static const struct {
		enum colour colour;
		const char *label, *dashes;
	} kinds[MARK_KINDS] = {
		[MARK_START] = {COLOUR_START, "start", ":dashes=2,2"},
		[MARK_STOP] = {COLOUR_STOP, "end", ":dashes=2,2"},
		[MARK_OOM] = {COLOUR_OOM, "OOM kill", ""},
	};
	size_t seen[MARK_KINDS] = {0};

	for (size_t i = 0; i < p->marks; i++) {
		enum mark_kind kind = p->mark[i].kind;

		put(a, "VRULE:%" PRIu64 "#%06X:%s%s", p->mark[i].time_s,
			colour_of(kinds[kind].colour, p->dark),
			seen[kind]++ ? "" : kinds[kind].label, kinds[kind].dashes);
	}
	if (p->marks_left_out)
		put(a, "COMMENT:%zu more not marked", p->marks_left_out);
	if (p->marks)
		put(a, "COMMENT:\\l");
}

char **render_arguments(const struct plot *p, const struct render_options *o, const char *rrd)
{
	struct args a = {0};
	double use = highest_use(p);

	put(&a, "graph");
	put(&a, "-");
	put_option(&a, "--imgformat", "%s", o->svg ? "SVG" : "PNG");
	put_option(&a, "--start", "%" PRIu64, p->from_s);
	put_option(&a, "--end", "%" PRIu64, p->to_s);
	put_option(&a, "--width", "%u", o->width);
	put_option(&a, "--height", "%u", o->height);
	put(&a, "--full-size-mode");
	put_option(&a, "--title", "%s", p->title);
	put_option(&a, "--vertical-label", "%s", p->unit_label);
	put_look(&a, p);
	put_scale(&a, p);
	for (size_t i = 0; i < p->lines; i++) {
		put(&a, "DEF:%c%zu=%s:l%zu:AVERAGE", p->line[i].below ? 'm' : 'v', i, rrd, i);
		if (p->line[i].below)
			put(&a, "CDEF:v%zu=m%zu,-1,*", i, i);
	}
	for (size_t i = 0; i < p->lines; i++)
		put_line(&a, p, i, use);
	if (!p->lines)
		put(&a, "HRULE:0#%06X:nothing is known of this time\\l",
			colour_of(COLOUR_GRID, p->dark));
	put_marks(&a, p);
	if (a.failed)
		args_free(&a);
	return a.v;
}

/* --- an RRD of the values --------------------------------------------------------------------- */

static int rrd_failed(struct error *err)
{
	return error_set(err, -EIO, "librrd cannot draw it: %s",
		rrd_test_error() ? rrd_get_error() : "it does not say why");
}

static int create_rrd(const struct plot *p, const char *path, struct error *err)
{
	_cleanup_(args_free) struct args a = {0};

	for (size_t i = 0; i < p->lines; i++)
		put(&a, "DS:l%zu:GAUGE:%" PRIu64 ":U:U", i, 2 * p->step_s);
	put(&a, "RRA:AVERAGE:0.5:1:%zu", p->n);
	if (a.failed)
		return error_set(err, -ENOMEM, "out of memory");
	rrd_clear_error();
	if (rrd_create_r(path, p->step_s, (time_t)p->start_s, (int)a.n, (const char **)a.v) != 0)
		return rrd_failed(err);
	return 0;
}

static char *row_text(const struct plot *p, size_t row)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "%" PRIu64, p->start_s + (row + 1) * p->step_s);
	for (size_t i = 0; i < p->lines; i++) {
		double v = p->line[i].values[row];

		if (isnan(v))
			fputs(":U", f);
		else
			fprintf(f, ":%.17g", v);
	}
	return fclose(f) == 0 ? text : NULL;
}

static int fill_rrd(const struct plot *p, const char *path, struct error *err)
{
	for (size_t row = 0; row < p->n;) {
		_cleanup_(args_free) struct args a = {0};

		for (; row < p->n && a.n < ROWS_AT_ONCE; row++) {
			_cleanup_free_ char *text = row_text(p, row);

			put(&a, "%s", text ? text : "");
			a.failed |= !text;
		}
		if (a.failed)
			return error_set(err, -ENOMEM, "out of memory");
		rrd_clear_error();
		if (rrd_update_r(path, NULL, (int)a.n, (const char **)a.v) != 0)
			return rrd_failed(err);
	}
	return 0;
}

/* Makes it in a directory of its own that is gone again at once: *ret_fd alone holds the file. */
static int make_rrd(const struct plot *p, int *ret_fd, struct error *err)
{
	char directory[] = "/tmp/loadcell-graph.XXXXXX", path[sizeof(directory) + 8];
	int r;

	if (!mkdtemp(directory))
		return error_set(err, -errno, "cannot make a directory in /tmp: %m");
	snprintf(path, sizeof(path), "%s/v.rrd", directory);
	r = create_rrd(p, path, err);
	if (r == 0)
		r = fill_rrd(p, path, err);
	if (r == 0 && (*ret_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = error_set(err, -errno, "cannot read %s: %m", path);
	unlink(path);
	rmdir(directory);
	return r;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static int take_image(const rrd_info_t *info, void **ret, size_t *ret_len, struct error *err)
{
	for (; info; info = info->next)
		if (info->type == RD_I_BLO && !strcmp(info->key, "image")) {
			*ret = malloc(info->value.u_blo.size);
			if (!*ret)
				return error_set(err, -ENOMEM, "out of memory");
			memcpy(*ret, info->value.u_blo.ptr, info->value.u_blo.size);
			*ret_len = info->value.u_blo.size;
			return 0;
		}
	return rrd_failed(err);
}

static void put_escaped(FILE *f, const char *text)
{
	for (; *text; text++)
		if (strchr("<>&", *text))
			fprintf(f, "&#%d;", *text);
		else
			putc(*text, f);
}

/* Cairo draws letters as shapes: this is what a screen reader reads, and a search finds. */
static int add_description(const struct plot *p, void **image, size_t *len)
{
	const char *svg = memmem(*image, *len, "<svg", 4);
	const char *end = svg ? memchr(svg, '>', *len - (size_t)(svg - (char *)*image)) : NULL;
	size_t head = end ? (size_t)(end + 1 - (char *)*image) : 0, size = 0;
	char *text = NULL;
	FILE *f = head ? open_memstream(&text, &size) : NULL;

	if (!f)
		return head ? -ENOMEM : 0;
	fwrite(*image, 1, head, f);
	fputs("<title>", f);
	put_escaped(f, p->title);
	fprintf(f, "</title><desc>%s:", p->unit_label);
	for (size_t i = 0; i < p->lines; i++) {
		fputs(i ? ", " : " ", f);
		put_escaped(f, p->line[i].label);
	}
	fputs("</desc>", f);
	fwrite((char *)*image + head, 1, *len - head, f);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	free(*image);
	*image = text;
	*len = size;
	return 0;
}

int render(const struct plot *p, const struct render_options *o, void **ret, size_t *ret_len,
	struct error *err)
{
	_cleanup_close_ int fd = -1;
	char path[32] = "";
	struct args a = {0};
	rrd_info_t *info;
	int r = p->lines ? make_rrd(p, &fd, err) : 0;

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	a.v = render_arguments(p, o, path);
	while (a.v && a.v[a.n])
		a.n++;
	if (!a.v)
		return error_set(err, -ENOMEM, "out of memory");
	rrd_clear_error();
	info = rrd_graph_v((int)a.n, a.v);
	r = info ? take_image(info, ret, ret_len, err) : rrd_failed(err);
	rrd_info_free(info);
	args_free(&a);
	if (r == 0 && o->svg && add_description(p, ret, ret_len) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return r;
}
