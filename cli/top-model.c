/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-model.h"

#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "../lib/ring.h"
#include "cli.h"

static void sample_free(struct top_sample *s)
{
	free(s->key);
	free(s->values);
	*s = (struct top_sample){0};
}

void top_model_free(struct top_model *m)
{
	sample_free(&m->current);
	sample_free(&m->previous);
	snapshot_close(m->snapshot);
	free(m->all);
	free(m->shown);
	*m = (struct top_model){0};
}

static int sample_reserve(struct top_sample *s, size_t rows)
{
	s->key = calloc(rows + 1, 2 * sizeof(*s->key));
	s->values = calloc(rows + 1, metric_count(SCOPE_INSTANCE) * sizeof(*s->values));
	return s->key && s->values ? 0 : -ENOMEM;
}

static int sample_read(struct top_sample *s, const struct snapshot *from)
{
	const struct snapshot_info *info = snapshot_info(from);
	size_t slots = metric_count(SCOPE_INSTANCE), rows = info->rows[SCOPE_INSTANCE];
	struct snapshot_row fixed;
	const struct metric *metric;

	if (sample_reserve(s, rows))
		return -ENOMEM;
	s->monotonic_ns = info->monotonic_ns;
	s->sequence = info->sequence;
	if (snapshot_row(from, SCOPE_HOST, 0, &fixed) == 0)
		s->boot = fixed.run;
	for (size_t i = 0; i < rows; i++) {
		if (snapshot_row(from, SCOPE_INSTANCE, i, &fixed) < 0)
			continue;
		s->key[2 * i] = fixed.index;
		s->key[2 * i + 1] = fixed.run;
		for_each_metric (SCOPE_INSTANCE, slot, metric)
			s->values[i * slots + slot] =
				snapshot_value(from, SCOPE_INSTANCE, i, metric->id);
	}
	s->rows = rows;
	return 0;
}

/* The instances of a cycle that the ring still holds. */
static int sample_read_record(struct top_sample *s, const struct ring_record *record)
{
	size_t slots = metric_count(SCOPE_INSTANCE), pos = 0;
	struct ring_row row;
	int r;

	if (sample_reserve(s, record->rows))
		return -ENOMEM;
	s->monotonic_ns = record->monotonic_ns;
	s->sequence = record->seq;
	for (;;) {
		r = s->rows > record->rows ? -EBADMSG
					   : ring_record_next(record, &pos, &row,
						     s->values + s->rows * slots, slots);
		if (r <= 0)
			return r;
		if (row.scope != SCOPE_INSTANCE)
			continue;
		s->key[2 * s->rows] = row.index;
		s->key[2 * s->rows + 1] = row.run;
		s->rows++;
	}
}

/* The cycle before the first snapshot seen, so that rates need not wait for the next one. What
 * cannot be had from the ring is no error: the next snapshot brings it. */
static void read_before(
	const struct top_model *m, const char *path, uint64_t sequence, struct top_sample *s)
{
	_cleanup_(ring_close) struct ring *ring = NULL;
	struct ring_record record = {0};

	if (sequence && ring_open(path, false, &ring, NULL) == 0 &&
		ring_read(ring, sequence - 1, &record) == 0 && record.seq == sequence - 1 &&
		sample_read_record(s, &record) < 0)
		sample_free(s);
	s->boot = m->current.boot; /* runs are of one boot, too: those of another are not found */
	ring_record_free(&record);
}

/* Row numbers of a sample by index, for a binary search. */
struct by_index {
	uint64_t index;
	size_t row;
};

static int compare_index(const void *a, const void *b)
{
	const struct by_index *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* Finds each row's counterpart of the same run in the sample before. */
static int link_previous(struct top_model *m)
{
	const struct top_sample *p = &m->previous;
	_cleanup_free_ struct by_index *table = calloc(p->rows + 1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < p->rows; i++)
		table[i] = (struct by_index){p->key[2 * i], i};
	qsort(table, p->rows, sizeof(*table), compare_index);
	for (size_t i = 0; i < m->all_count; i++) {
		struct top_row *r = &m->all[i];
		struct by_index want = {.index = r->index};
		const struct by_index *found =
			bsearch(&want, table, p->rows, sizeof(*table), compare_index);

		if (found && p->key[2 * found->row + 1] == r->run)
			r->previous = found->row;
	}
	return 0;
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

		r->value[i] = c->value ? c->value(m, r) : value_absent();
		r->ratio[i] = c->ratio ? c->ratio(m, r) : value_absent();
		r->level[i] = level_of(c, r->ratio[i]);
		r->worst = MAX(r->worst, r->level[i]);
	}
}

/* How wide the text columns would like to be. */
static void note_widths(struct top_model *m, const struct top_row *r)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		_cleanup_free_ char *text = NULL;

		if (top_columns[i].text)
			text = text_join(top_columns[i].string(r));
		if (text)
			m->longest[i] = MAX(m->longest[i], text_width(text));
	}
}

static int read_rows(struct top_model *m)
{
	struct snapshot_row fixed;

	m->all_count = 0;
	memset(m->longest, 0, sizeof(m->longest));
	free(m->all);
	free(m->shown);
	m->all = calloc(m->current.rows + 1, sizeof(*m->all));
	m->shown = calloc(m->current.rows + 1, sizeof(struct top_row *));
	if (!m->all || !m->shown)
		return -ENOMEM;
	for (size_t i = 0; i < m->current.rows; i++) {
		struct top_row *r = &m->all[m->all_count];

		if (snapshot_row(m->snapshot, SCOPE_INSTANCE, i, &fixed) < 0)
			continue;
		*r = (struct top_row){.row = i,
			.previous = TOP_NOT_BEFORE,
			.index = fixed.index,
			.run = fixed.run,
			.handle = fixed.text[TEXT_HANDLE],
			.hostname = fixed.text[TEXT_HOSTNAME],
			.groups = fixed.text[TEXT_GROUPS]};
		note_widths(m, r);
		m->all_count++;
	}
	return 0;
}

/* A rate needs two samples of one boot in their order; anything else shows none. */
static int find_elapsed(struct top_model *m)
{
	const struct top_sample *p = &m->previous;

	m->elapsed_ns = 0;
	if (!p->key || p->boot != m->current.boot || m->current.monotonic_ns <= p->monotonic_ns)
		return 0;
	m->elapsed_ns = m->current.monotonic_ns - p->monotonic_ns;
	return link_previous(m);
}

static int take(struct top_model *m, struct snapshot *s, const char *ring_path)
{
	int r;

	sample_free(&m->previous);
	m->previous = m->current;
	m->current = (struct top_sample){0};
	snapshot_close(m->snapshot);
	m->snapshot = s;
	m->all_count = m->shown_count = 0;
	r = sample_read(&m->current, s);
	if (!r && !m->previous.key)
		read_before(m, ring_path, m->current.sequence, &m->previous);
	if (!r)
		r = read_rows(m);
	if (!r)
		r = find_elapsed(m);
	if (r) {
		m->all_count = 0;
		return error_set(&m->error, r, "out of memory");
	}
	m->host_cores = top_host_value(m, METRIC_HOST_CPUS);
	m->host_memory = top_host_value(m, METRIC_HOST_MEMORY_TOTAL);
	for (size_t i = 0; i < m->all_count; i++)
		fill_row(m, &m->all[i]);
	top_model_arrange(m);
	return 0;
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
	if (m->snapshot && snapshot_info(s)->sequence == m->current.sequence &&
		snapshot_info(s)->monotonic_ns == m->current.monotonic_ns) {
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
	return m->snapshot && m->age_ns > config_stale_after_ns(m->config,
						  snapshot_info(m->snapshot)->interval_ns);
}

/* --- rows to show ---------------------------------------------------------------------------- */

bool top_match(const char *pattern, const char *text)
{
	if (strpbrk(pattern, "*?["))
		return fnmatch(pattern, text, FNM_CASEFOLD) == 0;
	return strcasestr(text, pattern) != NULL;
}

static bool row_matches(const struct top_model *m, const struct top_row *r)
{
	size_t len;

	if (!m->filter[0] || top_match(m->filter, r->handle) || top_match(m->filter, r->hostname))
		return true;
	for_each_line(r->groups, line, len)
	{
		char group[256];

		snprintf(group, sizeof(group), "%.*s", (int)MIN(len, sizeof(group) - 1), line);
		if (top_match(m->filter, group))
			return true;
	}
	return false;
}

static int compare_handles(const struct top_row *x, const struct top_row *y)
{
	int r = strcmp(x->handle, y->handle);

	return r ? r : (x->index > y->index) - (x->index < y->index);
}

static int compare_rows(const void *a, const void *b, void *data)
{
	const struct top_row *x = *(struct top_row *const *)a, *y = *(struct top_row *const *)b;
	const struct top_model *m = data;
	const struct top_column *c = &top_columns[m->sort];
	int r;

	if (c->text) {
		const char *s = c->string(x), *t = c->string(y);

		/* What has no value stands last in both directions. */
		if (!*s != !*t)
			return *s ? -1 : 1;
		r = strcmp(s, t);
	} else {
		struct value v = x->value[m->sort], w = y->value[m->sort];

		if (value_is_number(v) != value_is_number(w))
			return value_is_number(v) ? -1 : 1;
		r = (v.number > w.number) - (v.number < w.number);
	}
	if (!r)
		return compare_handles(x, y);
	return m->ascending ? r : -r;
}

void top_model_arrange(struct top_model *m)
{
	m->shown_count = 0;
	for (size_t i = 0; i < m->all_count; i++)
		if (row_matches(m, &m->all[i]))
			m->shown[m->shown_count++] = &m->all[i];
	qsort_r(m->shown, m->shown_count, sizeof(struct top_row *), compare_rows, m);
}

void top_model_sort_by(struct top_model *m, enum top_column_id column)
{
	m->ascending = column == m->sort ? !m->ascending : top_columns[column].text;
	m->sort = column;
	top_model_arrange(m);
}

/* --- values ---------------------------------------------------------------------------------- */

struct value top_host_value(const struct top_model *m, unsigned int metric_id)
{
	if (!m->snapshot || !snapshot_info(m->snapshot)->rows[SCOPE_HOST])
		return value_absent();
	return snapshot_value(m->snapshot, SCOPE_HOST, 0, metric_id);
}

static struct value sample_value(const struct top_sample *s, size_t row, unsigned int id)
{
	return s->values[row * metric_count(SCOPE_INSTANCE) + metric_slot(id)];
}

struct value top_row_value(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	return sample_value(&m->current, r->row, id);
}

struct value top_row_rise(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	struct value now = sample_value(&m->current, r->row, id), before;

	if (r->previous == TOP_NOT_BEFORE || !m->elapsed_ns)
		return value_absent();
	before = sample_value(&m->previous, r->previous, id);
	if (value_is_number(now) && value_is_number(before) && now.number < before.number)
		return value_absent();
	return value_minus(now, before);
}

struct value top_row_rate(const struct top_model *m, const struct top_row *r, unsigned int id)
{
	struct value rise = top_row_rise(m, r, id);

	if (!value_is_number(rise))
		return rise;
	/* 128 bits: 20 GB in one interval times 1e9 does not fit 64. */
	return value_of((uint64_t)((unsigned __int128)rise.number * NSEC_PER_SEC / m->elapsed_ns));
}

struct value top_ratio(struct value a, struct value b)
{
	if (!value_is_number(a) || !value_is_number(b) || !b.number)
		return value_absent();
	return value_of((uint64_t)((unsigned __int128)a.number * NSEC_PER_SEC / b.number));
}
