/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <microhttpd.h>

#include "answer.h"

/*
 * /metrics: OpenMetrics 1.0, or the text format 0.0.4 before it. A thousand instances make some
 * 60,000 lines, so a line is a few copies of memory here, not a printf.
 *
 * What is absent has no line, an unlimited limit is +Inf. Of data that is stale only its age is
 * told: what an instance used an hour ago is nothing to draw.
 */
struct text {
	char *p;
	size_t len, size; /* of what may be written */
	size_t room;      /* of what is allocated */
	bool failed;
};

/* Labels are many and short, the whole is one of megabytes. */
#define GROWTH_LEAST 64
#define GROWTH_PAGES (256 << 10)

static bool grow(struct text *t, size_t room)
{
	char *bigger = t->failed ? NULL : realloc(t->p, room);

	if (!bigger) {
		t->failed = true;
		return false;
	}
	t->p = bigger;
	t->room = room;
	return true;
}

/*
 * The next pages, with one call: one by one, their faults cost more than the text. Linux 5.14
 * (mm/madvise.c, madvise_populate()); before it they come one by one.
 */
static void populate(struct text *t)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = ((uintptr_t)t->p + t->size) & ~(page - 1);

	t->size += GROWTH_PAGES;
	madvise((void *)start, (uintptr_t)t->p + t->size - start, MADV_POPULATE_WRITE);
}

/* Makes room, so that the next copies need not ask. */
static bool reserve(struct text *t, size_t len)
{
	if (t->size - t->len >= len)
		return true;
	if (len <= GROWTH_PAGES && t->size + GROWTH_PAGES <= t->room) {
		populate(t);
		return true;
	}
	if (!grow(t, MAX(2 * t->room, t->len + len + GROWTH_LEAST)))
		return false;
	t->size = t->room;
	return true;
}

static void put(struct text *t, const char *s, size_t len)
{
	if (!reserve(t, len))
		return;
	memcpy(t->p + t->len, s, len);
	t->len += len;
}

static void puts_to(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

#define NUMBER_MAX 40 /* 20 digits, a point, 9 more */

/* The exact decimal: an inner integer over a power of ten. Returns its end. */
static char *write_value(char *to, uint64_t n, uint64_t divisor)
{
	uint64_t whole = n / divisor;
	char digits[20], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + whole % 10);
	while ((whole /= 10));
	to = mempcpy(to, p, (size_t)(digits + sizeof(digits) - p));
	n %= divisor;
	if (n)
		*to++ = '.';
	for (; n; n %= divisor) {
		divisor /= 10;
		*to++ = (char)('0' + n / divisor);
	}
	return to;
}

static void put_value(struct text *t, uint64_t n, uint64_t divisor)
{
	char number[NUMBER_MAX];

	put(t, number, (size_t)(write_value(number, n, divisor) - number));
}

/* --- labels -------------------------------------------------------------------------------------
 */

static void put_label(struct text *t, const char *name, const char *value)
{
	bool plain = text_needs_no_escape(value, strlen(value));
	_cleanup_free_ char *clean = plain ? NULL : text_clean(value);

	if (t->len)
		put(t, ",", 1);
	puts_to(t, name);
	put(t, "=\"", 2);
	if (!clean)
		puts_to(t, plain ? value : "");
	for (const char *p = clean ? clean : ""; *p; p++) {
		if (*p == '\\' || *p == '"')
			put(t, "\\", 1);
		put(t, p, 1);
	}
	put(t, "\"", 1);
}

/* One row of a table. What stands behind the name of each of its samples is made once. */
struct labelled {
	uint32_t index;
	size_t row;
	struct text labels;  /* without braces */
	struct text behind;  /* "{name="web01"} " */
	struct text created; /* "{name="web01"} 1764000000.5\n" of its counters; "": not known */
};

struct exposition {
	struct text out;
	struct look look;
	bool open_metrics;
	struct labelled *rows[SCOPE_COUNT];
	size_t n[SCOPE_COUNT];
};

static int by_index(const void *a, const void *b)
{
	const struct labelled *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* An interface is told apart by its instance's labels and its own. */
static void label_interface(
	const struct exposition *x, struct text *labels, const struct snapshot_row *row)
{
	const struct labelled want = {.index = row->parent},
			      *of = bsearch(&want, x->rows[SCOPE_INSTANCE], x->n[SCOPE_INSTANCE],
				      sizeof(want), by_index);

	if (of)
		put(labels, of->labels.p, of->labels.len);
	put_label(labels, "interface", row->text[TEXT_NAME]);
}

static void finish_labels(struct labelled *l, struct value start)
{
	if (l->labels.len) {
		put(&l->behind, "{", 1);
		put(&l->behind, l->labels.p, l->labels.len);
		put(&l->behind, "}", 1);
	}
	put(&l->behind, " ", 1);
	if (!value_is_number(start))
		return;
	put(&l->created, l->behind.p, l->behind.len);
	put_value(&l->created, start.number, unit_divisor(UNIT_SECONDS));
	put(&l->created, "\n", 1);
}

static void label_row(struct exposition *x, struct labelled *l, enum metric_scope scope,
	const struct snapshot_row *row)
{
	struct value start = value_absent();

	if (scope == SCOPE_INSTANCE) {
		put_label(&l->labels, "name", row->text[TEXT_HANDLE]);
		start = snapshot_value(x->look.view.snapshot, scope, l->row, METRIC_START_TIME);
	} else if (scope == SCOPE_INTERFACE) {
		label_interface(x, &l->labels, row);
	} else if (scope == SCOPE_FILESYSTEM) {
		put_label(&l->labels, "mount", row->text[TEXT_NAME]);
		put_label(&l->labels, "fstype", row->text[TEXT_KIND]);
	}
	finish_labels(l, start);
}

static int label_rows(struct exposition *x)
{
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		size_t n = x->look.view.info->rows[scope];
		struct snapshot_row row;

		x->rows[scope] = calloc(n + 1, sizeof(*x->rows[scope]));
		if (!x->rows[scope])
			return -ENOMEM;
		for (size_t i = 0; i < n; i++) {
			struct labelled *l = &x->rows[scope][x->n[scope]];

			if (snapshot_row(x->look.view.snapshot, scope, i, &row) < 0)
				continue;
			l->row = i;
			l->index = row.index;
			label_row(x, l, scope, &row);
			x->n[scope]++;
		}
		if (scope == SCOPE_INSTANCE)
			qsort(x->rows[scope], x->n[scope], sizeof(*x->rows[scope]), by_index);
	}
	return 0;
}

/* --- families -----------------------------------------------------------------------------------
 */

static void put_head(struct exposition *x, const char *name, const char *suffix, const char *type,
	const char *unit, const char *help)
{
	struct text *t = &x->out;

	/* Before OpenMetrics a family is called as its samples are. */
	suffix = x->open_metrics ? "" : suffix;
	puts_to(t, "# HELP loadcell_");
	puts_to(t, name);
	puts_to(t, suffix);
	put(t, " ", 1);
	for (const char *p = help; *p; p++) {
		if (*p == '\\' || (*p == '"' && x->open_metrics))
			put(t, "\\", 1);
		put(t, p, 1);
	}
	puts_to(t, "\n# TYPE loadcell_");
	puts_to(t, name);
	puts_to(t, suffix);
	put(t, " ", 1);
	puts_to(t, type);
	put(t, "\n", 1);
	if (!x->open_metrics || !unit)
		return;
	puts_to(t, "# UNIT loadcell_");
	puts_to(t, name);
	put(t, " ", 1);
	puts_to(t, unit);
	put(t, "\n", 1);
}

/* A name with its end, which all samples of a family begin with. */
struct stem {
	char text[128];
	size_t len;
};

static struct stem make_stem(const char *name, const char *suffix)
{
	struct stem s;
	int n = snprintf(s.text, sizeof(s.text), "loadcell_%s%s", name, suffix);

	s.len = MIN((size_t)n, sizeof(s.text) - 1);
	return s;
}

static void put_row(struct exposition *x, const struct metric *m, const struct labelled *l,
	const struct stem *sample, const struct stem *created)
{
	struct value v = snapshot_value(x->look.view.snapshot, m->scope, l->row, m->id);
	struct text *t = &x->out;
	char *p;

	if ((v.state != VALUE_PRESENT && v.state != VALUE_UNLIMITED) ||
		!reserve(t, sample->len + l->behind.len + NUMBER_MAX + sizeof(created->text) +
				    l->created.len))
		return;
	p = mempcpy(t->p + t->len, sample->text, sample->len);
	p = mempcpy(p, l->behind.p, l->behind.len);
	if (v.state == VALUE_UNLIMITED)
		p = mempcpy(p, "+Inf", 4);
	else
		p = write_value(p, v.number, unit_divisor(m->unit));
	*p++ = '\n';
	if (created && l->created.len) {
		p = mempcpy(p, created->text, created->len);
		p = mempcpy(p, l->created.p, l->created.len);
	}
	t->len = (size_t)(p - t->p);
}

/* Ends that mean something else in OpenMetrics get another one. */
static void family_name(const struct metric *m, char *ret, size_t size)
{
	static const char *const reserved[] = {
		"_count", "_sum", "_bucket", "_total", "_created", "_info"};
	const char *end = strrchr(m->name, '_');
	bool odd = false;

	for (size_t i = 0; end && i < ARRAY_SIZE(reserved); i++)
		odd |= !strcmp(end, reserved[i]);
	snprintf(ret, size, "%s%s", m->name, odd ? "_value" : "");
}

static void put_family(struct exposition *x, const struct metric *m)
{
	bool counter = m->kind == KIND_COUNTER;
	const char *unit = m->unit == UNIT_COUNT ? NULL : unit_name(m->unit);
	struct stem sample, created;
	size_t len, unit_len;
	char name[100];

	family_name(m, name, sizeof(name));
	len = strlen(name);
	/* The unit is the name's end, as OpenMetrics asks, or is not told. */
	unit_len = unit ? strlen(unit) : 0;
	if (unit && (len < unit_len || strcmp(name + len - unit_len, unit) != 0))
		unit = NULL;
	sample = make_stem(name, counter ? "_total" : "");
	created = make_stem(name, "_created");
	put_head(x, name, counter ? "_total" : "", counter ? "counter" : "gauge", unit, m->help);
	for (size_t i = 0; i < x->n[m->scope]; i++)
		put_row(x, m, &x->rows[m->scope][i], &sample,
			counter && x->open_metrics ? &created : NULL);
}

/* What an instance is, beside its numbers. */
static void put_info(struct exposition *x)
{
	struct snapshot_row row;

	put_head(x, "instance", "_info", x->open_metrics ? "info" : "gauge", NULL,
		"Names and places of an instance, as labels.");
	for (size_t i = 0; i < x->n[SCOPE_INSTANCE]; i++) {
		const struct labelled *l = &x->rows[SCOPE_INSTANCE][i];
		struct text labels = {0};
		_cleanup_free_ char *groups = NULL;

		if (snapshot_row(x->look.view.snapshot, SCOPE_INSTANCE, l->row, &row) < 0)
			continue;
		groups = join_lines(row.text[TEXT_GROUPS]);
		put_label(&labels, "name", row.text[TEXT_HANDLE]);
		put_label(&labels, "hostname", row.text[TEXT_HOSTNAME]);
		put_label(&labels, "groups", groups ? groups : "");
		put_label(&labels, "kind", row.text[TEXT_KIND]);
		put_label(&labels, "lxcpath", row.text[TEXT_LXCPATH]);
		puts_to(&x->out, "loadcell_instance_info{");
		put(&x->out, labels.p, labels.len);
		puts_to(&x->out, "} 1\n");
		free(labels.p);
	}
}

/* Of when the data is, and whether that is long ago: all that is told of stale data. */
static void put_time(struct exposition *x)
{
	const struct view *v = &x->look.view;

	put_head(x, "data_stale", "", "gauge", NULL,
		"1 when the collector writes no more samples, or has written none; else 0.");
	puts_to(&x->out,
		!v->snapshot || v->stale ? "loadcell_data_stale 1\n" : "loadcell_data_stale 0\n");
	if (!v->snapshot)
		return;
	put_head(x, "data_timestamp_seconds", "", "gauge", "seconds",
		"When the sample was taken; time() less this is its age.");
	puts_to(&x->out, "loadcell_data_timestamp_seconds ");
	put_value(&x->out, v->info->time_ns, NSEC_PER_SEC);
	put(&x->out, "\n", 1);
}

#define LINE_USUAL 160 /* of a counter: both its lines */

/* Address space for all of it, so that nothing moves; only what is written takes memory. */
static void expect_all(struct exposition *x)
{
	size_t room = 0;

	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++)
		room += x->n[scope] * metric_count(scope) * LINE_USUAL;
	if (room > x->out.room)
		grow(&x->out, room);
}

static void put_metrics(struct exposition *x)
{
	expect_all(x);
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		const struct metric *m;

		for_each_metric (scope, slot, m)
			put_family(x, m);
	}
	put_info(x);
}

void answer_openmetrics(const struct asked *q, struct answer *a)
{
	struct exposition x = {.open_metrics = q->request->open_metrics};

	site_look(q->site, &x.look);
	put_time(&x);
	if (x.look.view.snapshot && !x.look.view.stale && label_rows(&x) == 0)
		put_metrics(&x);
	if (x.open_metrics)
		puts_to(&x.out, "# EOF\n");
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		for (size_t i = 0; i < x.n[scope]; i++) {
			free(x.rows[scope][i].labels.p);
			free(x.rows[scope][i].behind.p);
			free(x.rows[scope][i].created.p);
		}
		free(x.rows[scope]);
	}
	site_look_done(q->site, &x.look);
	if (x.out.failed) {
		free(x.out.p);
		return; /* no body: out of memory */
	}
	a->status = MHD_HTTP_OK;
	a->type = x.open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				 : "text/plain; version=0.0.4; charset=utf-8";
	a->body = realloc(x.out.p, x.out.len);
	a->body = a->body ? a->body : x.out.p;
	a->len = x.out.len;
}
