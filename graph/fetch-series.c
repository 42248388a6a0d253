/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "fetch-internal.h"

#define COLUMNS_MAX (2 * FETCH_METRICS_MAX) /* ratios want their limits, too */
#define PARTS_MAX   3
#define TRIES       5

/* What a value is worked out from: the sum of data sources, or of rows of the ring. */
struct column {
	char ds[PARTS_MAX][DS_NAME_MAX + 1];
	int source[PARTS_MAX]; /* in the file; -1: not there */
	unsigned int metric[2];
	/* A ratio: to the smaller of these. */
	size_t limit;      /* a column; 0: this is no ratio */
	unsigned int host; /* a metric of the host */
	bool stored;       /* the file has it: the ring goes on where that ends */
};

struct work {
	const struct fetch_query *q;
	struct column column[COLUMNS_MAX];
	size_t columns;
	struct series *s;
	double *weight;    /* as values: what part of the point is known */
	uint64_t step_ns;  /* of the series */
	uint64_t row_s;    /* of the rows being read */
	uint64_t after_ns; /* pieces before it are known already */
};

/* --- from metrics to data sources ------------------------------------------------------------- */

static const struct derived {
	unsigned int id, from[2];
	unsigned int interface;   /* summed over the interfaces' data sources */
	unsigned int limit, host; /* of a ratio */
} derived[] = {
	{METRIC_NETWORK_RECEIVE_BYTES, {METRIC_NETWORK_RECEIVE_BYTES},
		METRIC_INTERFACE_RECEIVE_BYTES, 0, 0},
	{METRIC_NETWORK_TRANSMIT_BYTES, {METRIC_NETWORK_TRANSMIT_BYTES},
		METRIC_INTERFACE_TRANSMIT_BYTES, 0, 0},
	{METRIC_CPU_USED_CORES, {METRIC_CPU_USAGE}, 0, 0, 0},
	{METRIC_CPU_USED_RATIO, {METRIC_CPU_USAGE}, 0, METRIC_CPU_LIMIT, METRIC_HOST_CPUS},
	{METRIC_MEMORY_USED_RATIO, {METRIC_MEMORY_WORKING_SET}, 0, METRIC_MEMORY_LIMIT,
		METRIC_HOST_MEMORY_TOTAL},
	{METRIC_HOST_CPU_USED_CORES, {METRIC_HOST_CPU_USER, METRIC_HOST_CPU_SYSTEM}, 0, 0, 0},
};

static void name_interfaces(struct column *c, const char *format)
{
	static const char *const word[PARTS_MAX] = {"net0", "net1", "netr"};
	const char *percent = strstr(format, "%s");

	for (size_t i = 0; percent && i < PARTS_MAX; i++)
		snprintf(c->ds[i], sizeof(c->ds[i]), "%.*s%s%s", (int)(percent - format), format,
			word[i], percent + 2);
}

static void add_column(struct work *w, const struct derived *d)
{
	struct column *c = &w->column[w->columns++];
	const char *ds;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ARRAY_SIZE(d->from) && d->from[i]; i++) {
		c->metric[i] = d->from[i];
		ds = metric_by_id(d->from[i])->ds;
		snprintf(c->ds[i], sizeof(c->ds[i]), "%s", ds ? ds : "");
	}
	if (d->interface)
		name_interfaces(c, metric_by_id(d->interface)->ds);
	c->host = d->host;
}

/* Columns for all metrics in their order, then those for the limits of ratios. */
static int add_columns(struct work *w, struct error *err)
{
	enum metric_scope scope = w->q->index == FETCH_HOST ? SCOPE_HOST : SCOPE_INSTANCE;
	unsigned int limits[FETCH_METRICS_MAX] = {0};

	if (!w->q->n_metrics || w->q->n_metrics > FETCH_METRICS_MAX)
		return error_set(err, -E2BIG, "one to %d metrics can be asked for at once",
			FETCH_METRICS_MAX);
	for (size_t i = 0; i < w->q->n_metrics; i++) {
		const struct metric *m = metric_by_id(w->q->metrics[i]);
		struct derived plain = {.id = m ? m->id : 0, .from = {m ? m->id : 0}};
		const struct derived *d = derived;

		if (!m || m->scope != scope)
			return error_set(err, -EINVAL, "%s is no metric of %s",
				m ? m->name : "that",
				scope == SCOPE_HOST ? "the host" : "instances");
		while (d < derived + ARRAY_SIZE(derived) && d->id != m->id)
			d++;
		d = d < derived + ARRAY_SIZE(derived) ? d : &plain;
		add_column(w, d);
		limits[i] = d->limit;
	}
	for (size_t i = 0; i < w->q->n_metrics; i++)
		if (limits[i]) {
			w->column[i].limit = w->columns;
			add_column(w, &(struct derived){.from = {limits[i]}});
		}
	return 0;
}

/* --- pieces ----------------------------------------------------------------------------------- */

/* The value holds from `from` to `to`. What covers a whole point alone stands there unchanged. */
static void add_piece(struct work *w, size_t column, uint64_t from, uint64_t to, double value)
{
	const uint64_t start = w->s->start_s * NSEC_PER_SEC, step = w->step_ns;
	double *values = w->s->values + column * w->s->n, *weight = w->weight + column * w->s->n;

	from = MAX(MAX(from, start), w->column[column].stored ? w->after_ns : 0);
	to = MIN(to, start + w->s->n * step);
	while (from < to && !isnan(value)) {
		size_t i = (size_t)((from - start) / step);
		uint64_t end = MIN(to, start + (i + 1) * step);
		double part = (double)(end - from) / (double)step;

		if (w->q->what == FETCH_MAXIMUM)
			values[i] = weight[i] > 0 ? fmax(values[i], value) : value;
		else
			values[i] += value * part;
		weight[i] += part;
		from = end;
	}
}

static void add_row(void *data, uint64_t end_s, const double *row)
{
	struct work *w = data;

	for (size_t i = 0; i < w->columns; i++) {
		const struct column *c = &w->column[i];
		double sum = NAN;

		for (size_t k = 0; k < PARTS_MAX; k++) {
			double v = c->source[k] < 0 ? NAN : row[c->source[k]];

			if (!isnan(v))
				sum = isnan(sum) ? v : sum + v;
		}
		add_piece(w, i, (end_s - w->row_s) * NSEC_PER_SEC, end_s * NSEC_PER_SEC, sum);
	}
}

/* --- rows of the file ------------------------------------------------------------------------- */

/* The coarsest rows that are fine enough, else the finest that reach back, else the longest. */
static const struct rows_archive *choose(const struct rows_file *f, const struct fetch_query *q)
{
	const struct rows_archive *fine = NULL, *reaching = NULL, *longest = NULL;

	for (const struct rows_archive *a = f->archive; a < f->archive + f->archives; a++) {
		if (!(q->what == FETCH_MAXIMUM ? a->maximum : a->average))
			continue;
		if (!longest || a->first_s < longest->first_s)
			longest = a;
		if (a->first_s > q->from_s)
			continue;
		if (q->step_s % a->step_s == 0 && (!fine || a->step_s > fine->step_s))
			fine = a;
		if (!reaching || a->step_s < reaching->step_s)
			reaching = a;
	}
	return fine ? fine : reaching ? reaching : longest;
}

static const struct rows_archive *finest(const struct rows_file *f, const struct fetch_query *q)
{
	const struct rows_archive *best = NULL;

	for (const struct rows_archive *a = f->archive; a < f->archive + f->archives; a++)
		if ((q->what == FETCH_MAXIMUM ? a->maximum : a->average) &&
			(!best || a->step_s < best->step_s))
			best = a;
	return best;
}

static int add_rows(struct work *w, const struct rows_file *f, const struct rows_archive *a)
{
	uint64_t after_s = w->after_ns / NSEC_PER_SEC;
	uint64_t end_s = w->s->start_s + w->s->n * w->s->step_s;
	int r;

	w->row_s = a->step_s;
	/* A coarse row may reach beyond the end. */
	r = rows_each(f, a, MAX(w->s->start_s, after_s), end_s + a->step_s - 1, add_row, w);
	w->after_ns = MAX(w->after_ns, a->last_s * NSEC_PER_SEC);
	return r;
}

static void find_sources(struct column *c, const struct rows_file *f)
{
	c->stored = false;
	for (size_t k = 0; k < PARTS_MAX; k++) {
		c->source[k] = *c->ds[k] ? rows_source(f, c->ds[k]) : -1;
		c->stored |= c->source[k] >= 0;
	}
}

static int read_file(struct work *w, const struct rows_file *f)
{
	const struct rows_archive *coarse = choose(f, w->q), *fine = finest(f, w->q);
	size_t all = w->columns * w->s->n;
	int r;

	memset(w->s->values, 0, all * sizeof(double));
	memset(w->weight, 0, all * sizeof(double));
	w->after_ns = 0;
	for (size_t i = 0; i < w->columns; i++)
		find_sources(&w->column[i], f);
	if (!coarse)
		return 0;
	w->s->resolution_s = coarse->step_s;
	r = add_rows(w, f, coarse);
	/* What the coarse rows do not have yet, finer ones may. */
	if (r == 0 && fine != coarse)
		r = add_rows(w, f, fine);
	return r;
}

/* 0; -ENOENT: there is no file. */
static int add_file(struct work *w, struct fetch *f, struct error *err)
{
	_cleanup_free_ char *name = NULL;
	struct rows_file file = {.fd = -1};
	int r = fetch_open_file(f, w->q->index, &file, &name, err);

	if (r < 0)
		return r;
	for (int try = 0; try < TRIES && (r = read_file(w, &file)) == -EAGAIN; try++)
		if (try < TRIES - 1 && rows_read_header(file.fd, name, &file, NULL) < 0)
			break;
	close_fd(file.fd);
	/* Written all the time: what was read is a row off at worst. */
	if (r == 0 || r == -EAGAIN)
		return 0;
	return error_set(err, r,
		r == -ENOMEM ? "out of memory to read %s" : "%s is damaged: it is cut off", name);
}

/* --- samples of the ring ---------------------------------------------------------------------- */

struct sample {
	uint64_t time_ns, run;
	bool known;
	struct value values[METRIC_ID_END];
};

/* What a metric was between two samples of one run; NAN: not known. */
static double between(const struct metric *m, const struct sample *a, const struct sample *b)
{
	struct value old = a->values[metric_slot(m->id)], new = b->values[metric_slot(m->id)];
	double seconds = (double)(b->time_ns - a->time_ns) / 1e9;

	if (!value_is_number(new))
		return NAN;
	if (m->kind != KIND_COUNTER)
		return (double)new.number / (double)unit_divisor(m->unit);
	if (!value_is_number(old) || new.number < old.number)
		return NAN;
	return (double)(new.number - old.number) / (double)unit_divisor(m->unit) / seconds;
}

static void add_samples(struct work *w, const struct sample *a, const struct sample *b)
{
	for (size_t i = 0; i < w->columns; i++) {
		const struct column *c = &w->column[i];
		double v = between(metric_by_id(c->metric[0]), a, b);

		if (c->metric[1])
			v += between(metric_by_id(c->metric[1]), a, b);
		add_piece(w, i, a->time_ns, b->time_ns, v);
	}
}

/* Two samples of one run without more than one missed between them, as the store has it. */
static bool are_neighbours(const struct sample *a, const struct sample *b, uint64_t interval_ns)
{
	uint64_t heartbeat_ns = MAX(interval_ns * 5 / 2, 5 * NSEC_PER_SEC);

	return a->known && b->known && a->run == b->run && b->time_ns > a->time_ns &&
	       b->time_ns - a->time_ns <= heartbeat_ns;
}

/* From where on samples are wanted: the end of the file, or all for what is not in it. */
static uint64_t ring_since(const struct work *w)
{
	uint64_t since = MAX(w->after_ns, w->s->start_s * NSEC_PER_SEC);

	for (size_t i = 0; i < w->columns; i++)
		if (!w->column[i].stored)
			since = w->s->start_s * NSEC_PER_SEC;
	return since;
}

static int add_ring(struct work *w, struct fetch *f, bool *ret_found)
{
	uint64_t since = ring_since(w);
	_cleanup_free_ struct sample *pair = calloc(2, sizeof(*pair)); /* one and the next */
	int r = pair ? fetch_load_tail(f, since) : -ENOMEM;

	for (size_t i = r < 0 ? 0 : f->tail_n; i-- > 0;) {
		const struct tail_record *t = &f->tail[i];
		struct sample *a = &pair[i % 2], *b = &pair[(i + 1) % 2];

		/* One before is wanted for the rates. */
		if (t->record.time_ns <= since && i > 0 && f->tail[i - 1].record.time_ns <= since)
			continue;
		b->time_ns = t->record.time_ns;
		b->known = fetch_tail_values(t, w->q->index, b->values, &b->run);
		*ret_found |= b->known;
		if (are_neighbours(a, b, t->record.interval_ns)) {
			add_samples(w, a, b);
			if (!w->s->ring_since_s)
				w->s->ring_since_s = MAX(since, a->time_ns) / NSEC_PER_SEC;
		}
	}
	return r;
}

/* --- a query ---------------------------------------------------------------------------------- */

/* From sums to means; what is too little known is not known. */
static void finish(struct work *w, uint64_t newest_ns)
{
	for (size_t k = 0; k < w->columns * w->s->n; k++) {
		uint64_t begin = (w->s->start_s + k % w->s->n * w->s->step_s) * NSEC_PER_SEC;
		double passed = 1, known = w->weight[k];

		if (newest_ns > begin && newest_ns - begin < w->step_ns)
			passed = (double)(newest_ns - begin) / (double)w->step_ns;
		if (w->q->what == FETCH_MAXIMUM ? known <= 0 : known < passed / 2 - 1e-9)
			w->s->values[k] = NAN;
		else if (w->q->what == FETCH_AVERAGE && (known < 1 - 1e-9 || known > 1 + 1e-9))
			w->s->values[k] /= known;
	}
}

/* Ratios to the smaller of the own limit and the host's, or to what is known of the two. */
static int divide(struct work *w, struct fetch *f, struct error *err)
{
	for (size_t i = 0; i < w->q->n_metrics; i++) {
		const struct column *c = &w->column[i];
		_cleanup_(series_free) struct series host = {0};
		struct fetch_query q = *w->q;
		double *v = w->s->values + i * w->s->n, *limit = w->s->values + c->limit * w->s->n;
		int r;

		if (!c->limit)
			continue;
		q.index = FETCH_HOST;
		q.metrics = &c->host;
		q.n_metrics = 1;
		r = fetch_series(f, &q, &host, err);
		if (r < 0 && r != -ENOENT)
			return r;
		for (size_t k = 0; k < w->s->n; k++) {
			double least = fmin(limit[k], host.values ? host.values[k] : NAN);

			v[k] = least > 0 ? v[k] / least : NAN;
		}
	}
	return 0;
}

static int reserve(struct work *w, struct error *err)
{
	const struct fetch_query *q = w->q;
	struct series *s = w->s;

	if (!q->step_s || q->to_s <= q->from_s)
		return error_set(err, -EINVAL, "the end is not after the beginning");
	s->step_s = q->step_s;
	s->start_s = q->from_s - q->from_s % q->step_s;
	if ((q->to_s - s->start_s) / q->step_s >= FETCH_VALUES_MAX / MAX(w->columns, 1))
		return error_set(err, -E2BIG, "that are too many points: ask for larger steps");
	s->n = (size_t)((q->to_s - s->start_s + q->step_s - 1) / q->step_s);
	s->metrics = q->n_metrics;
	s->values = calloc(w->columns * s->n, sizeof(double));
	w->weight = calloc(w->columns * s->n, sizeof(double));
	w->step_ns = q->step_s * NSEC_PER_SEC;
	return s->values && w->weight ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int nothing_stored(const struct fetch *f, uint32_t index, struct error *err)
{
	const struct index_entry *e = index_by_number(f->index, index);

	return error_set(err, -ENOENT,
		"nothing is stored of %s: there is neither a file in %s/rrd nor a recent sample",
		e ? e->handle : "the host", f->config->data_dir);
}

static int run(struct work *w, struct fetch *f, struct error *err)
{
	bool found = false;
	int file, r = reserve(w, err);

	if (r < 0)
		return r;
	file = add_file(w, f, err);
	if (file < 0 && file != -ENOENT)
		return file;
	if (ring_since(w) < w->q->to_s * NSEC_PER_SEC && add_ring(w, f, &found) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	if (file < 0 && !found)
		return nothing_stored(f, w->q->index, err);
	finish(w, MAX(f->newest_ns, w->after_ns));
	return divide(w, f, err);
}

int fetch_series(
	struct fetch *f, const struct fetch_query *q, struct series *ret, struct error *err)
{
	_cleanup_free_ struct work *w = calloc(1, sizeof(*w));
	int r;

	*ret = (struct series){0};
	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	w->q = q;
	w->s = ret;
	r = add_columns(w, err);
	if (r == 0)
		r = run(w, f, err);
	free(w->weight);
	return r;
}

void series_free(struct series *s)
{
	free(s->values);
	*s = (struct series){0};
}
