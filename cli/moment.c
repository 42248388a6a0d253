/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "moment.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "../graph/fetch.h"
#include "../lib/facts.h"
#include "../lib/journal.h"
#include "../lib/metric-json.h"
#include "history.h"

/* An instance that ran at that time: a line of the ledger, a row of the present, or neither. */
struct ran {
	uint32_t index;
	uint64_t run, start_ns;
	json_t *line;
	bool present;
	size_t row;
};

struct work {
	const struct config *config;
	uint64_t at_ns;
	struct fetch *fetch;
	struct view now; /* may be without a snapshot */
	struct ran *ran; /* by index */
	size_t n, size;
	bool no_memory;
	struct snapshot_builder *builder;
	struct moment *m;
	struct value host[METRIC_ID_END];
};

void moment_free(struct moment *m)
{
	snapshot_close(m->snapshot);
	free(m->image);
	top_sample_free(&m->before);
	*m = (struct moment){0};
}

char *moment_text(uint64_t time_ns, uint64_t step_ns, bool exact)
{
	return format_string("at %s, %s %s", cell_time(time_ns + NSEC_PER_SEC / 2).text,
		exact ? "a sample of every" : "mean of", cell_duration(step_ns).text);
}

/* --- who ran ---------------------------------------------------------------------------------- */

static struct ran *add_ran(struct work *w)
{
	if (w->n == w->size) {
		size_t size = w->size * 2 + 64;
		struct ran *ran = reallocarray(w->ran, size, sizeof(*ran));

		w->no_memory |= !ran;
		if (!ran)
			return NULL;
		w->ran = ran;
		w->size = size;
	}
	w->ran[w->n] = (struct ran){0};
	return &w->ran[w->n++];
}

static int take_line(void *data, const json_t *line)
{
	struct work *w = data;
	uint64_t start_ns = journal_seconds(line, "start"), end_ns = journal_seconds(line, "end");
	json_int_t index = json_integer_value(json_object_get(line, "index"));
	struct ran *r;

	if (index <= 0 || start_ns > w->at_ns || end_ns <= w->at_ns || !(r = add_ran(w)))
		return w->no_memory;
	r->index = (uint32_t)index;
	r->run = strtoull(history_text(line, "run"), NULL, 16);
	r->start_ns = start_ns;
	r->line = json_incref((json_t *)(uintptr_t)line);
	return 0;
}

static void take_present(struct work *w)
{
	struct snapshot_row row;

	for (size_t i = 0;
		w->now.snapshot && snapshot_row(w->now.snapshot, SCOPE_INSTANCE, i, &row) == 0;
		i++) {
		struct value start =
			snapshot_value(w->now.snapshot, SCOPE_INSTANCE, i, METRIC_START_TIME);
		struct ran *r;

		if ((value_is_number(start) && start.number > w->at_ns) || !(r = add_ran(w)))
			continue;
		*r = (struct ran){
			.index = row.index, .run = row.run, .start_ns = start.number, .row = i};
	}
}

/* The ledger's word, which knows the end, before the present's. */
static int by_index(const void *a, const void *b)
{
	const struct ran *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return !x->line - !y->line;
}

/* Nobody tells who ran: all that have been seen since may have. */
static int take_entry(void *data, const struct index_entry *e)
{
	struct work *w = data;
	struct ran *r = e->last_seen_s * NSEC_PER_SEC >= w->at_ns ? add_ran(w) : NULL;

	if (r)
		r->index = e->number;
	return w->no_memory;
}

static int collect_ran(struct work *w)
{
	size_t kept = 0;
	int r = journal_read(w->config->data_dir, "runs", w->at_ns, take_line, w, NULL);

	take_present(w);
	if (!w->n)
		index_each(fetch_index(w->fetch), take_entry, w);
	if (w->no_memory || r == -ENOMEM)
		return -ENOMEM;
	if (w->n)
		qsort(w->ran, w->n, sizeof(*w->ran), by_index);
	for (size_t i = 0; i < w->n; i++)
		if (kept && w->ran[kept - 1].index == w->ran[i].index)
			json_decref(w->ran[i].line);
		else
			w->ran[kept++] = w->ran[i];
	w->n = kept;
	return 0;
}

static const struct ran *find_ran(const struct work *w, uint32_t index)
{
	struct ran want = {.index = index};

	for (size_t low = 0, high = w->n; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (w->ran[middle].index == want.index)
			return &w->ran[middle];
		if (w->ran[middle].index < want.index)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- rows of the snapshot --------------------------------------------------------------------- */

static int add_row(struct work *w, uint32_t index, uint64_t run, const struct ran *ran,
	const struct value *values)
{
	const struct index_entry *e = index_by_number(fetch_index(w->fetch), index);
	const json_t *line = ran ? ran->line : NULL;
	_cleanup_free_ char *groups = line ? history_groups(line) : NULL;
	_cleanup_free_ char *facts = line ? facts_from_json(json_object_get(line, "facts")) : NULL;
	struct snapshot_row row = {0};

	if (ran && ran->present)
		snapshot_row(w->now.snapshot, SCOPE_INSTANCE, ran->row, &row);
	if (line) {
		row.text[TEXT_NAME] = history_text(line, "name");
		row.text[TEXT_HANDLE] = history_text(line, "handle");
		row.text[TEXT_HOSTNAME] = history_text(line, "hostname");
		row.text[TEXT_LXCPATH] = history_text(line, "lxcpath");
		row.text[TEXT_KIND] = history_text(line, "kind");
		row.text[TEXT_GROUPS] = groups;
		row.text[TEXT_FACTS] = facts;
	} else if (e && !row.text[TEXT_NAME]) {
		row.text[TEXT_NAME] = e->name;
		row.text[TEXT_HANDLE] = e->handle;
		row.text[TEXT_LXCPATH] = e->lxcpath;
	}
	if (!row.text[TEXT_HANDLE] || !*row.text[TEXT_HANDLE])
		row.text[TEXT_HANDLE] = row.text[TEXT_NAME] ? row.text[TEXT_NAME] : "?";
	row.text[TEXT_STATE] = "running";
	/* What the present says of a walk under way and of what binds was not so then. */
	row.text[TEXT_LIMITS] = row.text[TEXT_NOTES] = NULL;
	row.disk_time_ns = row.disk_progress = 0;
	row.flags = 0;
	row.index = index;
	row.run = run;
	row.values = values;
	return snapshot_builder_add(w->builder, SCOPE_INSTANCE, &row);
}

static int add_host(struct work *w)
{
	char name[256] = "";
	const char *now = view_host_text(&w->now, TEXT_NAME);
	struct snapshot_row row = {.run = 1, .values = w->host};

	if (!*now)
		(void)gethostname(name, sizeof(name) - 1);
	row.text[TEXT_NAME] = *now ? now : name;
	return snapshot_builder_add(w->builder, SCOPE_HOST, &row);
}

/* Notes what counters were before, or rose by. */
static void add_before(struct work *w, uint32_t index, uint64_t run)
{
	struct top_sample *s = &w->m->before;

	s->rows[s->count] = (struct top_past){index, run, top_sample_next(s)};
	s->count++;
}

/* --- a sample of the ring --------------------------------------------------------------------- */

/* The newest record at or before that time: its number, or 0. */
static uint64_t find_record(const struct ring *ring, uint64_t at_ns, struct ring_record *rec)
{
	struct ring_status status;
	uint64_t low, high;

	ring_status(ring, &status);
	if (at_ns < status.first_time_ns)
		return 0;
	low = status.first_seq;
	for (high = status.next_seq; low + 1 < high;) {
		uint64_t middle = low + (high - low) / 2;

		if (ring_read(ring, middle, rec) == 0 && rec->time_ns <= at_ns)
			low = middle;
		else
			high = middle;
	}
	return ring_read(ring, low, rec) == 0 && rec->time_ns <= at_ns ? low : 0;
}

static int add_record(struct work *w, const struct ring_record *rec)
{
	struct value values[METRIC_ID_END];
	struct ring_row row;
	size_t pos = 0;
	int r;

	while ((r = ring_record_next(rec, &pos, &row, values, METRIC_ID_END)) > 0) {
		if (row.scope == SCOPE_HOST)
			memcpy(w->host, values, sizeof(values));
		if (row.scope == SCOPE_INSTANCE &&
			add_row(w, row.index, row.run, find_ran(w, row.index), values) < 0)
			return -ENOMEM;
	}
	return r;
}

static int add_record_before(struct work *w, const struct ring_record *rec)
{
	struct top_sample *s = &w->m->before;
	struct ring_row row;
	size_t pos = 0;

	if (top_sample_reserve(s, rec->rows) < 0)
		return -ENOMEM;
	while (s->count < rec->rows && ring_record_next(rec, &pos, &row, top_sample_next(s),
					       metric_count(SCOPE_INSTANCE)) > 0)
		if (row.scope == SCOPE_INSTANCE)
			add_before(w, row.index, row.run);
	return 0;
}

/* 1: that time is in the ring; 0: it is not. */
static int from_ring(struct work *w, struct snapshot_info *info)
{
	const struct ring *ring = fetch_ring(w->fetch);
	struct ring_record rec = {0}, before = {0};
	/* The nearest: the cycle of a second may have come a little after it. */
	uint64_t until_ns = w->at_ns + w->config->interval_ns / 2;
	uint64_t seq = ring ? find_record(ring, until_ns, &rec) : 0;
	int r = 0;

	if (seq && until_ns - rec.time_ns <= MAX(rec.interval_ns * 3, 5 * NSEC_PER_SEC)) {
		info->time_ns = rec.time_ns;
		info->monotonic_ns = rec.monotonic_ns;
		info->interval_ns = rec.interval_ns;
		w->m->exact = true;
		r = add_record(w, &rec);
		if (r == 0 && ring_read(ring, seq - 1, &before) == 0 && before.seq == seq - 1 &&
			before.monotonic_ns < rec.monotonic_ns) {
			r = add_record_before(w, &before);
			w->m->before.monotonic_ns = before.monotonic_ns;
		}
		r = r < 0 ? r : 1;
	}
	ring_record_free(&rec);
	ring_record_free(&before);
	return r;
}

/* --- the mean of an interval ------------------------------------------------------------------ */

static size_t stored_metrics(enum metric_scope scope, unsigned int ids[FETCH_METRICS_MAX])
{
	static const unsigned int also[] = {METRIC_CPU_USED_CORES, METRIC_NETWORK_RECEIVE_BYTES,
		METRIC_NETWORK_TRANSMIT_BYTES, METRIC_HOST_CPU_USED_CORES};
	const struct metric *m;
	size_t n = 0;

	for_each_metric (scope, slot, m)
		if (m->ds && n < FETCH_METRICS_MAX - ARRAY_SIZE(also))
			ids[n++] = m->id;
	for (size_t i = 0; i < ARRAY_SIZE(also); i++)
		if (metric_by_id(also[i])->scope == scope)
			ids[n++] = also[i];
	return n;
}

/* The values of the interval; rises of counters apart. 1: some are known. */
static int fetch_values(struct work *w, uint32_t index, uint64_t step_s, struct value *values,
	struct value *rises, struct error *err)
{
	enum metric_scope scope = index == FETCH_HOST ? SCOPE_HOST : SCOPE_INSTANCE;
	unsigned int ids[FETCH_METRICS_MAX];
	uint64_t from_s = (w->at_ns / NSEC_PER_SEC - 1) / step_s * step_s;
	struct fetch_query q = {index, ids, stored_metrics(scope, ids), FETCH_AVERAGE, from_s,
		from_s + step_s, step_s};
	_cleanup_(series_free) struct series s = {0};
	int known = 0, r = fetch_series(w->fetch, &q, &s, err);

	if (r < 0)
		return r == -ENOMEM ? r : 0; /* one damaged file hides no other instance */
	for (size_t i = 0; i < q.n_metrics; i++) {
		const struct metric *m = metric_by_id(ids[i]);
		double v = series_of(&s, i)[0] * (double)unit_divisor(m->unit);

		if (isnan(v) || v < 0)
			continue;
		known = 1;
		if (m->kind != KIND_COUNTER)
			values[metric_slot(m->id)] = value_of((uint64_t)llround(v));
		else if (rises)
			rises[metric_slot(m->id)] = value_of((uint64_t)llround(v * (double)step_s));
	}
	return known;
}

/* An RRD has neither unlimited nor absent limits, but the run's own record tells them apart. */
static void fill_limits(const struct work *w, const struct ran *ran, struct value *values)
{
	const json_t *then = ran->line ? json_object_get(ran->line, "metrics") : NULL;
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		struct value v = value_absent();

		if (m->kind != KIND_LIMIT || !m->ds || values[slot].state != VALUE_ABSENT)
			continue;
		if (then)
			v = metric_from_json(m, json_object_get(then, m->name), SCALE_BASE);
		else if (ran->present)
			v = snapshot_value(w->now.snapshot, SCOPE_INSTANCE, ran->row, m->id);
		if (v.state == VALUE_UNLIMITED)
			values[slot] = v;
	}
}

static void fill_derived(const struct work *w, const struct ran *ran, struct value *values)
{
	struct value *v = values;
	const struct value *host = w->host;

	fill_limits(w, ran, values);
	v[metric_slot(METRIC_CPU_USED_RATIO)] = top_ratio(v[metric_slot(METRIC_CPU_USED_CORES)],
		value_min_limit(
			v[metric_slot(METRIC_CPU_LIMIT)], host[metric_slot(METRIC_HOST_CPUS)]));
	v[metric_slot(METRIC_MEMORY_USED_RATIO)] =
		top_ratio(v[metric_slot(METRIC_MEMORY_WORKING_SET)],
			value_min_limit(v[metric_slot(METRIC_MEMORY_LIMIT)],
				host[metric_slot(METRIC_HOST_MEMORY_TOTAL)]));
	if (!ran->start_ns)
		return;
	v[metric_slot(METRIC_START_TIME)] = value_of(ran->start_ns);
	v[metric_slot(METRIC_UPTIME)] = value_of(w->at_ns - ran->start_ns);
}

static int from_files(struct work *w, struct snapshot_info *info, struct error *err)
{
	uint64_t at_s = w->at_ns / NSEC_PER_SEC, step_s = fetch_step(w->fetch, at_s, at_s, 0);
	struct top_sample *before = &w->m->before;
	int known, some;

	if (top_sample_reserve(before, w->n) < 0)
		return -ENOMEM;
	before->rises = true;
	some = fetch_values(w, FETCH_HOST, step_s, w->host, NULL, err);
	for (size_t i = 0; i < w->n && some >= 0; i++) {
		const struct ran *ran = &w->ran[i];
		struct value values[METRIC_ID_END] = {0};

		known = fetch_values(w, ran->index, step_s, values, top_sample_next(before), err);
		if (known < 0)
			return known;
		some |= known;
		if (!known && !ran->line && !ran->present)
			continue;
		fill_derived(w, ran, values);
		if (add_row(w, ran->index, ran->run, ran, values) < 0)
			return -ENOMEM;
		add_before(w, ran->index, ran->run);
	}
	if (some <= 0)
		return some < 0 ? some
				: error_set(err, -ENOENT, "nothing is stored of %s",
					  cell_time(w->at_ns).text);
	info->time_ns = w->at_ns;
	info->interval_ns = step_s * NSEC_PER_SEC;
	info->monotonic_ns = info->interval_ns + 1;
	before->monotonic_ns = 1;
	return 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int build(struct work *w, struct error *err)
{
	struct snapshot_info info = {.sequence = 1};
	size_t len;
	int r = collect_ran(w);

	if (r == 0)
		r = from_ring(w, &info);
	if (r == 0)
		r = from_files(w, &info, err);
	if (r >= 0)
		r = add_host(w);
	if (r == 0)
		r = snapshot_builder_copy(w->builder, &info, &w->m->image, &len);
	if (r == 0)
		r = snapshot_parse(w->m->image, len, &w->m->snapshot, err);
	w->m->before.boot = 1; /* as the host's row has it: all is of one time */
	w->m->step_ns = info.interval_ns;
	w->m->elapsed_ns = info.monotonic_ns - w->m->before.monotonic_ns;
	top_sample_sort(&w->m->before);
	return r;
}

int moment_load(const struct config *config, uint64_t at_ns, struct moment *ret, struct error *err)
{
	struct work w = {.config = config, .at_ns = at_ns, .m = ret};
	struct error ignored;
	int r = fetch_open(config, &w.fetch, err);

	*ret = (struct moment){0};
	err->text[0] = r < 0 ? err->text[0] : '\0';
	(void)view_load(config, &w.now, &ignored); /* no collector is no obstacle */
	w.builder = snapshot_builder_new();
	if (r >= 0)
		r = w.builder ? build(&w, err) : -ENOMEM;
	if (r < 0 && !err->text[0])
		error_set(err, r, "cannot read the past: %s", strerror(-r));
	for (size_t i = 0; i < w.n; i++)
		json_decref(w.ran[i].line);
	free(w.ran);
	if (w.builder)
		snapshot_builder_free(w.builder);
	view_close(&w.now);
	if (w.fetch)
		fetch_close(w.fetch);
	if (r < 0)
		moment_free(ret);
	return r;
}
