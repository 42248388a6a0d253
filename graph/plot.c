/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plot.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <wchar.h>

#include "../lib/journal.h"

#define TOP_LINES COLOUR_SERIES

void plot_free(struct plot *p)
{
	for (size_t i = 0; i < p->lines; i++)
		free(p->line[i].values);
	*p = (struct plot){0};
}

/* What is no printable text becomes '?': names are chosen by anybody, and an SVG is XML. */
static void set_text(char *to, size_t size, const char *text)
{
	mbstate_t state = {0};
	size_t at = 0, left = strlen(text);

	while (left && at + MB_LEN_MAX < size) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, left, &state);

		if (n == 0 || n > left || wcwidth(c) < 0) {
			state = (mbstate_t){0};
			to[at++] = '?';
			n = n > left || n == 0 ? 1 : n;
		} else {
			memcpy(to + at, text, n);
			at += n;
		}
		text += n;
		left -= n;
	}
	to[at] = '\0';
}

/* Takes the values, or frees them where there is none to show. */
static void add_line(struct plot *p, struct plot_line line)
{
	size_t known = 0;

	for (size_t i = 0; i < p->n; i++)
		known += !isnan(line.values[i]);
	if (known && p->lines < PLOT_LINES_MAX)
		p->line[p->lines++] = line;
	else
		free(line.values);
}

/* What has no base of its own stands on the ground: the first of a stack may be absent. */
static void fix_stack(struct plot *p)
{
	bool based = false;

	for (size_t i = 0; i < p->lines; i++) {
		struct plot_line *l = &p->line[i];

		if (l->style == STYLE_STACK && !based)
			l->style = STYLE_AREA;
		based |= l->style == STYLE_AREA;
	}
}

/* --- pictures of the table -------------------------------------------------------------------- */

/* All metrics of a picture, each once. */
static size_t collect_metrics(
	const struct picture *p, enum fetch_what what, unsigned int ids[FETCH_METRICS_MAX])
{
	size_t n = 0;

	for (const struct picture_line *l = p->line; l < p->line + PICTURE_LINES_MAX && l->label;
		l++) {
		const unsigned int wanted[] = {l->metric, l->minus, l->part_of};

		if ((l->style == STYLE_PEAK) != (what == FETCH_MAXIMUM))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(wanted); k++) {
			size_t i = 0;

			while (i < n && ids[i] != wanted[k])
				i++;
			if (wanted[k] && i == n)
				ids[n++] = wanted[k];
		}
	}
	return n;
}

static const double *find_values(const struct series *s, const unsigned int *ids, unsigned int id)
{
	for (size_t i = 0; id && i < s->metrics; i++)
		if (ids[i] == id)
			return series_of(s, i);
	return NULL;
}

/* The newest known value for all points. */
static void spread_newest(double *values, size_t n)
{
	double newest = NAN;

	for (size_t i = n; i-- > 0 && isnan(newest);)
		newest = values[i];
	for (size_t i = 0; i < n; i++)
		values[i] = newest;
}

static double *line_values(const struct plot *p, const struct picture_line *l,
	const struct series *s, const unsigned int *ids)
{
	const double *v = find_values(s, ids, l->metric);
	const double *minus = find_values(s, ids, l->minus);
	const double *rest = find_values(s, ids, l->part_of);
	double *out = v ? malloc(s->n * sizeof(*out)) : NULL;

	for (size_t i = 0; out && i < s->n; i++) {
		out[i] = v[i];
		if (minus && !isnan(minus[i]) && !isnan(v[i]))
			out[i] = fmax(v[i] - minus[i], 0);
		if (rest)
			out[i] = v[i] + rest[i] > 0 ? v[i] / (v[i] + rest[i]) : NAN;
		if (p->percent)
			out[i] *= 100;
	}
	if (out && l->style == STYLE_LIMIT_NOW)
		spread_newest(out, s->n);
	return out;
}

/* All lines of the picture that come from averages or, peaks, from the highest steps. */
static int add_lines(struct fetch *f, const struct picture *picture, enum fetch_what what,
	uint32_t index, struct plot *p, struct error *err)
{
	unsigned int ids[FETCH_METRICS_MAX];
	struct fetch_query q = {index, ids, 0, what, p->from_s, p->to_s, p->step_s};
	_cleanup_(series_free) struct series s = {0};
	int r;

	q.n_metrics = collect_metrics(picture, what, ids);
	r = q.n_metrics ? fetch_series(f, &q, &s, err) : 0;
	if (r < 0 || !q.n_metrics)
		return r;
	p->start_s = s.start_s;
	p->n = s.n;
	for (const struct picture_line *l = picture->line;
		l < picture->line + PICTURE_LINES_MAX && l->label; l++) {
		struct plot_line line = {.style = l->style,
			.colour = colour_of(l->colour, p->dark),
			.below = l->below};

		if ((l->style == STYLE_PEAK) != (what == FETCH_MAXIMUM))
			continue;
		set_text(line.label, sizeof(line.label), l->label);
		line.values = line_values(p, l, &s, ids);
		if (!line.values)
			return error_set(err, -ENOMEM, "out of memory");
		add_line(p, line);
	}
	return 0;
}

static void begin(struct plot *p, struct fetch *f, const struct plot_wanted *w, size_t max_points)
{
	*p = (struct plot){.from_s = w->from_s, .to_s = w->to_s, .dark = w->dark};
	p->step_s = fetch_step(f, w->from_s, w->to_s, max_points);
}

int plot_picture(struct fetch *f, const struct config *config, const struct picture *picture,
	uint32_t index, const char *name, const struct plot_wanted *w, struct plot *ret,
	struct error *err)
{
	const uint64_t finest_s = MAX(config->interval_ns / NSEC_PER_SEC, 1);
	int r;

	begin(ret, f, w, 2 * w->width);
	ret->unit_label = picture->unit;
	ret->unit = metric_by_id(picture->line[0].metric)->unit;
	ret->percent = picture->percent;
	if (ret->unit == UNIT_SECONDS) /* per second */
		ret->unit = UNIT_CORES;
	set_text(ret->title, sizeof(ret->title) / 2, name);
	snprintf(ret->title + strlen(ret->title), sizeof(ret->title) / 2, "%s%s", *name ? ": " : "",
		picture->title);
	r = add_lines(f, picture, FETCH_AVERAGE, index, ret, err);
	if (r == 0 && ret->step_s > finest_s)
		r = add_lines(f, picture, FETCH_MAXIMUM, index, ret, err);
	if (r < 0)
		return r;
	fix_stack(ret);
	return picture->no_marks ? 0 : plot_read_marks(config, index, ret);
}

/* --- the heaviest instances ------------------------------------------------------------------- */

struct heavy {
	uint32_t index;
	char *handle;
	double weight, *values;
};

struct top_work {
	struct fetch *f;
	struct plot *p;
	unsigned int metric;
	struct heavy heavy[TOP_LINES + 1]; /* the last one: all others */
	size_t n, others;
	struct error *err;
};

/* Adds b to a, where at least one is known. */
static void add_values(double *a, const double *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		a[i] = isnan(a[i]) ? b[i] : a[i] + (isnan(b[i]) ? 0 : b[i]);
}

static int drop_lightest(struct top_work *t)
{
	struct heavy *rest = &t->heavy[TOP_LINES], *least = t->heavy;

	for (struct heavy *h = t->heavy; h < rest; h++)
		if (h->weight < least->weight)
			least = h;
	if (!rest->values)
		rest->values = TAKE_PTR(least->values);
	else
		add_values(rest->values, least->values, t->p->n);
	free(least->values);
	free(least->handle);
	*least = t->heavy[--t->n];
	t->others++;
	return 0;
}

static double weigh(const double *values, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += isnan(values[i]) ? 0 : values[i];
	return sum;
}

static int weigh_instance(void *data, const struct index_entry *e)
{
	struct top_work *t = data;
	struct fetch_query q = {
		e->number, &t->metric, 1, FETCH_AVERAGE, t->p->from_s, t->p->to_s, t->p->step_s};
	_cleanup_(series_free) struct series s = {0};
	struct heavy *h;
	int r;

	/* The index notes a running instance at least once a day. */
	if (e->last_seen_s + 2 * 86400 < q.from_s)
		return 0;
	r = fetch_series(t->f, &q, &s, t->err);
	if (r < 0) /* one damaged file hides no other */
		return r == -ENOMEM ? r : 0;
	t->p->start_s = s.start_s;
	t->p->n = s.n;
	if (weigh(s.values, s.n) <= 0)
		return 0;
	if (t->n == TOP_LINES)
		drop_lightest(t);
	h = &t->heavy[t->n++];
	*h = (struct heavy){e->number, strdup(e->handle), weigh(s.values, s.n), s.values};
	s.values = NULL;
	return h->handle ? 0 : -ENOMEM;
}

static int heaviest_first(const void *a, const void *b)
{
	const struct heavy *x = a, *y = b;

	return (x->weight < y->weight) - (x->weight > y->weight);
}

/* An instance has the same colour in each such picture, unless a heavier one took it. */
static unsigned int free_colour(uint32_t index, bool *taken, bool dark)
{
	size_t i = index % COLOUR_SERIES;

	while (taken[i])
		i = (i + 1) % COLOUR_SERIES;
	taken[i] = true;
	return colour_of_series(i, dark);
}

static void add_heavy(struct top_work *t, struct heavy *h, enum line_style style, bool *taken)
{
	struct plot_line line = {.style = style, .values = TAKE_PTR(h->values)};

	for (size_t i = 0; i < t->p->n && t->p->percent; i++)
		line.values[i] *= 100;
	if (h->handle) {
		line.colour = free_colour(h->index, taken, t->p->dark);
		set_text(line.label, sizeof(line.label), h->handle);
	} else {
		line.colour = colour_of(COLOUR_REST, t->p->dark);
		snprintf(line.label, sizeof(line.label), "%zu others", t->others);
	}
	add_line(t->p, line);
}

/* Where stacked: what is NAN in one must not hide what stands on it. */
static void fill_gaps(struct top_work *t)
{
	for (size_t i = 0; i < t->p->n; i++) {
		bool known = false;

		for (size_t k = 0; k <= TOP_LINES; k++)
			known |= t->heavy[k].values && !isnan(t->heavy[k].values[i]);
		for (size_t k = 0; k <= TOP_LINES && known; k++)
			if (t->heavy[k].values && isnan(t->heavy[k].values[i]))
				t->heavy[k].values[i] = 0;
	}
}

int plot_top(struct fetch *f, const struct metric *m, const struct plot_wanted *w, struct plot *ret,
	struct error *err)
{
	struct top_work t = {.f = f, .p = ret, .metric = m->id, .err = err};
	bool stacked = m->kind != KIND_RATIO, taken[COLOUR_SERIES] = {false};
	int r;

	begin(ret, f, w, w->width / 2);
	ret->unit = m->unit == UNIT_SECONDS && m->kind == KIND_COUNTER ? UNIT_CORES : m->unit;
	ret->percent = m->unit == UNIT_RATIO || strstr(m->name, "pressure");
	ret->unit_label = ret->percent              ? "%"
			  : ret->unit == UNIT_CORES ? "cores"
			  : m->kind == KIND_COUNTER
				  ? (m->unit == UNIT_BYTES ? "bytes per second" : "per second")
				  : unit_name(m->unit);
	stacked = stacked && !ret->percent;
	snprintf(ret->title, sizeof(ret->title), "the heaviest in %s", m->name);
	r = index_each(fetch_index(f), weigh_instance, &t);
	if (r < 0)
		error_set(err, r, "out of memory");
	if (r == 0 && !t.n)
		r = error_set(err, -ENOENT, "no instance has %s in that time", m->name);
	qsort(t.heavy, t.n, sizeof(t.heavy[0]), heaviest_first);
	if (r == 0 && stacked)
		fill_gaps(&t);
	for (size_t i = 0; i <= TOP_LINES; i++) {
		struct heavy *h = &t.heavy[i];

		if (r == 0 && h->values && (stacked || h->handle))
			add_heavy(&t, h,
				!stacked ? STYLE_LINE
				: i      ? STYLE_STACK
					 : STYLE_AREA,
				taken);
		free(h->values);
		free(h->handle);
	}
	return r;
}

/* --- marks ------------------------------------------------------------------------------------ */

struct mark_work {
	struct plot *p;
	uint32_t index;
};

static int kind_of(const char *type)
{
	static const struct {
		const char *type;
		enum mark_kind kind;
	} kinds[] = {
		{"start", MARK_START},
		{"appeared", MARK_START},
		{"stop", MARK_STOP},
		{"reboot", MARK_STOP},
		{"disappeared", MARK_STOP},
		{"oom", MARK_OOM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(type, kinds[i].type))
			return (int)kinds[i].kind;
	return -1;
}

/* OOM kills before all others, then the newest ones. */
static void add_mark(struct plot *p, struct mark mark)
{
	size_t at = p->marks;

	if (p->marks == PLOT_MARKS_MAX) {
		p->marks_left_out++;
		for (at = 0; at < p->marks && p->mark[at].kind == MARK_OOM; at++)
			;
		if (at == p->marks && mark.kind != MARK_OOM)
			return;
		at = at == p->marks ? 0 : at;
		memmove(&p->mark[at], &p->mark[at + 1], (p->marks - at - 1) * sizeof(mark));
		at = --p->marks;
	}
	p->mark[at] = mark;
	p->marks++;
}

static int take_event(void *data, const json_t *line)
{
	struct mark_work *w = data;
	const char *type = json_string_value(json_object_get(line, "type"));
	uint64_t time_s = journal_seconds(line, "time") / NSEC_PER_SEC;
	int kind = type ? kind_of(type) : -1;

	if (kind < 0 || time_s <= w->p->from_s || time_s > w->p->to_s ||
		(w->index != FETCH_HOST &&
			json_integer_value(json_object_get(line, "index")) != w->index) ||
		(w->index == FETCH_HOST && kind != MARK_OOM))
		return 0;
	add_mark(w->p, (struct mark){time_s, (enum mark_kind)kind});
	return 0;
}

/* Marks are a help: a journal that cannot be read is no reason to draw nothing. */
int plot_read_marks(const struct config *config, uint32_t index, struct plot *p)
{
	struct mark_work w = {p, index};

	(void)journal_read(
		config->data_dir, "events", p->from_s * NSEC_PER_SEC, take_event, &w, NULL);
	return 0;
}
