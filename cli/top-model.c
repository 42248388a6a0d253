/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-model.h"

#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "../lib/ring.h"

void top_sample_free(struct top_sample *s)
{
	free(s->rows);
	free(s->values);
	*s = (struct top_sample){0};
}

void top_model_free(struct top_model *m)
{
	top_sample_free(&m->before);
	snapshot_close(m->snapshot);
	free(m->image);
	free(m->all);
	free(m->shown);
	*m = (struct top_model){0};
}

int top_sample_reserve(struct top_sample *s, size_t rows)
{
	s->rows = calloc(rows + 1, sizeof(*s->rows));
	s->values = calloc(rows + 1, metric_count(SCOPE_INSTANCE) * sizeof(*s->values));
	return s->rows && s->values ? 0 : -ENOMEM;
}

struct value *top_sample_next(const struct top_sample *s)
{
	return s->values + s->count * metric_count(SCOPE_INSTANCE);
}

static uint64_t boot_of(const struct snapshot *s)
{
	struct snapshot_row host;

	return snapshot_row(s, SCOPE_HOST, 0, &host) == 0 ? host.run : 0;
}

static int sample_read(struct top_sample *s, const struct snapshot *from)
{
	size_t rows = snapshot_info(from)->rows[SCOPE_INSTANCE];
	const struct metric *metric;
	struct snapshot_row fixed;

	if (top_sample_reserve(s, rows) < 0)
		return -ENOMEM;
	s->monotonic_ns = snapshot_info(from)->monotonic_ns;
	s->boot = boot_of(from);
	for (size_t i = 0; i < rows; i++) {
		struct value *values = top_sample_next(s);

		if (snapshot_row(from, SCOPE_INSTANCE, i, &fixed) < 0)
			continue;
		for_each_metric (SCOPE_INSTANCE, slot, metric)
			values[slot] = snapshot_value(from, SCOPE_INSTANCE, i, metric->id);
		s->rows[s->count++] = (struct top_past){fixed.index, fixed.run, values};
	}
	return 0;
}

/* The instances of a cycle that the ring still holds. */
static int sample_read_record(struct top_sample *s, const struct ring_record *record)
{
	size_t pos = 0;
	struct ring_row row;
	int r;

	if (top_sample_reserve(s, record->rows) < 0)
		return -ENOMEM;
	s->monotonic_ns = record->monotonic_ns;
	while ((r = ring_record_next(record, &pos, &row, top_sample_next(s),
			metric_count(SCOPE_INSTANCE))) > 0) {
		if (row.scope != SCOPE_INSTANCE)
			continue;
		if (s->count == record->rows)
			return -EBADMSG;
		s->rows[s->count] = (struct top_past){row.index, row.run, top_sample_next(s)};
		s->count++;
	}
	return r;
}

/* The cycle before the first snapshot seen, so that rates need not wait for the next one. What
 * cannot be had from the ring is no error: the next snapshot brings it. */
static void read_ring(struct top_sample *s, const char *path, const struct snapshot *first)
{
	uint64_t sequence = snapshot_info(first)->sequence;
	_cleanup_(ring_close) struct ring *ring = NULL;
	struct ring_record record = {0};

	if (sequence && ring_open(path, false, &ring, NULL) == 0 &&
		ring_read(ring, sequence - 1, &record) == 0 && record.seq == sequence - 1 &&
		sample_read_record(s, &record) < 0)
		top_sample_free(s);
	s->boot = boot_of(first); /* runs are of one boot, too: those of another are not found */
	ring_record_free(&record);
}

static int compare_index(const void *a, const void *b)
{
	const struct top_past *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

void top_sample_sort(struct top_sample *s)
{
	if (s->count)
		qsort(s->rows, s->count, sizeof(*s->rows), compare_index);
}

const struct value *top_sample_find(const struct top_sample *s, uint32_t index, uint64_t run)
{
	struct top_past want = {.index = index};
	const struct top_past *found =
		s->count ? bsearch(&want, s->rows, s->count, sizeof(want), compare_index) : NULL;

	return found && found->run == run ? found->values : NULL;
}

/* Finds each row's counterpart of the same run in the sample before. A rate needs two samples of
 * one boot in their order; anything else shows none. */
static void link_before(struct top_model *m)
{
	struct top_sample *p = &m->before;
	uint64_t now = snapshot_info(m->snapshot)->monotonic_ns;

	if (!p->rows || p->boot != boot_of(m->snapshot) || now <= p->monotonic_ns)
		return;
	m->elapsed_ns = now - p->monotonic_ns;
	top_sample_sort(p);
	for (size_t i = 0; i < m->all_count; i++) {
		struct top_row *r = &m->all[i];

		r->before = top_sample_find(p, r->index, r->fixed.run);
	}
}

static enum top_level level_of(const struct top_column *c, struct value ratio)
{
	if (!value_is_number(ratio) || !c->critical)
		return LEVEL_NORMAL;
	if (ratio.number > c->critical)
		return LEVEL_CRITICAL;
	return ratio.number > c->warning ? LEVEL_WARNING : LEVEL_NORMAL;
}

static void fill_row(const struct top_model *m, struct top_row *r)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		const struct top_column *c = &top_columns[i];

		r->value[i] = column_value(c, m, r);
		r->ratio[i] = column_ratio(c, m, r);
		r->level[i] = level_of(c, r->ratio[i]);
		r->worst = MAX(r->worst, r->level[i]);
	}
}

static int read_rows(struct top_model *m)
{
	size_t rows = snapshot_info(m->snapshot)->rows[SCOPE_INSTANCE];

	memset(m->longest, 0, sizeof(m->longest));
	free(m->all);
	free(m->shown);
	m->all = calloc(rows + 1, sizeof(*m->all));
	m->shown = calloc(rows + 1, sizeof(struct top_row *));
	if (!m->all || !m->shown)
		return -ENOMEM;
	for (size_t i = 0; i < rows; i++) {
		struct top_row *r = &m->all[m->all_count];

		if (snapshot_row(m->snapshot, SCOPE_INSTANCE, i, &r->fixed) < 0)
			continue;
		r->row = i;
		r->index = r->fixed.index;
		column_note_widths(top_columns, COLUMN_COUNT, r, m->longest);
		m->all_count++;
	}
	return 0;
}

/* After m->snapshot and m->before have changed; r: whether the latter could be made. */
static int settle(struct top_model *m, int r)
{
	m->all_count = m->shown_count = 0;
	if (r == 0)
		r = read_rows(m);
	if (r < 0)
		return error_set(&m->error, r, "out of memory");
	link_before(m);
	for (size_t i = 0; i < m->all_count; i++)
		fill_row(m, &m->all[i]);
	top_model_arrange(m);
	return 0;
}

static int take(struct top_model *m, struct snapshot *s, const char *ring_path)
{
	int r = 0;

	top_sample_free(&m->before);
	if (m->snapshot)
		r = sample_read(&m->before, m->snapshot);
	else
		read_ring(&m->before, ring_path, s);
	snapshot_close(m->snapshot);
	m->snapshot = s;
	return settle(m, r);
}

int top_model_show(
	struct top_model *m, struct snapshot *s, void *image, struct top_sample *before, bool exact)
{
	top_model_forget(m);
	m->error.text[0] = '\0';
	m->snapshot = s;
	m->image = image;
	m->before = *before;
	m->exact = exact;
	*before = (struct top_sample){0};
	return settle(m, 0);
}

void top_model_forget(struct top_model *m)
{
	top_sample_free(&m->before);
	snapshot_close(m->snapshot);
	m->snapshot = NULL;
	free(TAKE_PTR(m->image));
	m->file = (struct stat){0};
	m->all_count = m->shown_count = 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* 1: taken, 0: what the file has is known already. */
static int read_snapshot(struct top_model *m, const char *path, const char *ring_path)
{
	struct snapshot *s = NULL;
	struct stat st;
	int r;

	m->error.text[0] = '\0';
	/* A published snapshot never changes, so the same file has the same sample. */
	if (stat(path, &st) < 0)
		st = (struct stat){0};
	else if (m->snapshot && same_file(&st, &m->file))
		return 0;
	r = snapshot_open(path, &s, &m->error);
	if (r < 0)
		return r;
	m->file = st;
	if (m->snapshot && snapshot_info(s)->sequence == snapshot_info(m->snapshot)->sequence &&
		snapshot_info(s)->monotonic_ns == snapshot_info(m->snapshot)->monotonic_ns) {
		snapshot_close(s); /* a copy of what is known: its rates would be none */
		return 0;
	}
	r = take(m, s, ring_path);
	return r < 0 ? r : 1;
}

int top_model_refresh(struct top_model *m, const char *path, const char *ring_path)
{
	int r = read_snapshot(m, path, ring_path);

	if (m->snapshot)
		m->age_ns = snapshot_age_ns(m->snapshot);
	return r;
}

bool top_model_is_stale(const struct top_model *m)
{
	return m->snapshot && !m->image &&
	       m->age_ns >
		       config_stale_after_ns(m->config, snapshot_info(m->snapshot)->interval_ns);
}

/* --- rows to show ---------------------------------------------------------------------------- */

/* A glob when the pattern has *, ? or [, else a part of the text; no case. */
static bool part_matches(const char *pattern, const char *text)
{
	if (strpbrk(pattern, "*?["))
		return fnmatch(pattern, text, FNM_CASEFOLD) == 0;
	return strcasestr(text, pattern) != NULL;
}

static int compare_rows(const void *a, const void *b, void *data)
{
	const struct top_row *x = *(struct top_row *const *)a, *y = *(struct top_row *const *)b;
	const struct top_model *m = data;
	const struct top_column *c = &top_columns[m->sort];
	const char *s = x->fixed.text[c->text], *t = y->fixed.text[c->text];
	struct value v = x->value[m->sort], w = y->value[m->sort];
	bool text = c->kind == COLUMN_IS_TEXT;
	bool has_x = text ? *s : value_is_number(v), has_y = text ? *t : value_is_number(w);
	int r = text ? strcmp(s, t) : (v.number > w.number) - (v.number < w.number);

	/* What has no value stands last in both directions. */
	if (has_x != has_y)
		return has_x ? -1 : 1;
	if (r)
		return m->ascending ? r : -r;
	r = strcmp(x->fixed.text[TEXT_HANDLE], y->fixed.text[TEXT_HANDLE]);
	return r ? r : (x->index > y->index) - (x->index < y->index);
}

void top_model_arrange(struct top_model *m)
{
	m->shown_count = 0;
	for (size_t i = 0; i < m->all_count; i++)
		if (!m->filter[0] || instance_matches(&m->all[i].fixed, m->filter, part_matches))
			m->shown[m->shown_count++] = &m->all[i];
	qsort_r(m->shown, m->shown_count, sizeof(struct top_row *), compare_rows, m);
}

void top_model_sort_by(struct top_model *m, enum top_column_id column)
{
	m->ascending =
		column == m->sort ? !m->ascending : top_columns[column].kind == COLUMN_IS_TEXT;
	m->sort = column;
	top_model_arrange(m);
}

/* --- values ---------------------------------------------------------------------------------- */

struct value top_host_value(const struct top_model *m, unsigned int metric_id)
{
	return m->snapshot ? snapshot_value(m->snapshot, SCOPE_HOST, 0, metric_id) : value_absent();
}

struct value top_row_value(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	return snapshot_value(m->snapshot, SCOPE_INSTANCE, r->row, id);
}

struct value top_row_rise(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	struct value now = top_row_value(m, r, id);
	struct value before = r->before ? r->before[metric_slot(id)] : value_absent();

	if (m->before.rises)
		return before;
	return now.number < before.number ? value_absent() : value_minus(now, before);
}

/* 128 bits: 20 GB in one interval times 1e9 does not fit 64. */
static struct value scaled_ratio(uint64_t a, uint64_t b)
{
	return value_of((uint64_t)((unsigned __int128)a * NSEC_PER_SEC / b));
}

struct value top_row_rate(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	struct value rise = top_row_rise(m, r, id);

	return value_is_number(rise) ? scaled_ratio(rise.number, m->elapsed_ns) : rise;
}

struct value top_ratio(struct value a, struct value b)
{
	if (!value_is_number(a) || !value_is_number(b) || !b.number)
		return value_absent();
	return scaled_ratio(a.number, b.number);
}
