/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "site.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/journal.h"

struct before_row {
	enum metric_scope scope;
	uint32_t index;
	uint64_t run;
	size_t first; /* of its values */
};

/* A snapshot and the ring's record before it. */
struct sample {
	struct view view;
	unsigned int users;
	struct stat file;
	uint64_t before_ns; /* monotonic; 0: there is none */
	struct before_row *rows;
	size_t n;
	struct value *values;
};

struct lines {
	struct journal_tail *tail;
	struct site_line *line; /* the oldest first */
	size_t first, n, size;
	size_t bytes;
	uint64_t seen;
	bool incomplete, overlap;
};

struct site {
	const struct config *config;
	pthread_mutex_t lock;
	struct sample *sample;
	struct lines lines[SITE_JOURNALS];
	struct fetch *fetch; /* one that nobody uses */
	uint64_t fetch_sequence;
};

static const char *const journal_names[SITE_JOURNALS] = {"events", "runs"};

/* --- samples ---------------------------------------------------------------------------------- */

static void sample_put(struct sample *p)
{
	if (!p || --p->users)
		return;
	view_close(&p->view);
	free(p->rows);
	free(p->values);
	free(p);
}

static int by_row(const void *a, const void *b)
{
	const struct before_row *x = a, *y = b;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static bool take_rows(struct sample *p, const struct ring_record *record)
{
	size_t most = MAX(metric_count(SCOPE_INSTANCE), metric_count(SCOPE_HOST)), pos = 0;
	struct ring_row row;

	p->rows = calloc(record->rows + 1, sizeof(*p->rows));
	p->values = calloc((record->rows + 1) * most, sizeof(*p->values));
	if (!p->rows || !p->values)
		return false;
	while (p->n < record->rows &&
		ring_record_next(record, &pos, &row, p->values + p->n * most, most) > 0) {
		if (row.scope != SCOPE_INSTANCE && row.scope != SCOPE_HOST)
			continue;
		p->rows[p->n] = (struct before_row){
			row.scope, row.scope == SCOPE_HOST ? 0 : row.index, row.run, p->n * most};
		p->n++;
	}
	qsort(p->rows, p->n, sizeof(*p->rows), by_row);
	return true;
}

/* Without one there are no rates, as after the collector's first cycle. */
static void read_before(struct sample *p, const struct config *config)
{
	_cleanup_free_ char *path = config_run_path(config, "recent");
	_cleanup_(ring_close) struct ring *ring = NULL;
	struct ring_record record = {0};

	if (path && p->view.info->sequence > 0 && ring_open(path, false, &ring, NULL) == 0 &&
		ring_read(ring, p->view.info->sequence - 1, &record) == 0 &&
		record.monotonic_ns < p->view.info->monotonic_ns && take_rows(p, &record))
		p->before_ns = record.monotonic_ns;
	ring_record_free(&record);
}

/* Opens what the collector has published since, and keeps the old one when that fails. */
static void refresh(struct site *s, struct error *err)
{
	_cleanup_free_ char *path = config_run_path(s->config, "snapshot");
	struct stat st = {0};
	struct sample *p;

	if (path && s->sample && stat(path, &st) == 0 && st.st_ino == s->sample->file.st_ino &&
		st.st_mtim.tv_sec == s->sample->file.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == s->sample->file.st_mtim.tv_nsec)
		return;
	p = calloc(1, sizeof(*p));
	if (!p || view_load(s->config, &p->view, err) < 0) {
		free(p);
		sample_put(s->sample);
		s->sample = NULL;
		return;
	}
	p->file = st;
	p->users = 1;
	read_before(p, s->config);
	sample_put(s->sample);
	s->sample = p;
}

void site_look(struct site *s, struct look *ret)
{
	const struct snapshot_info *info;
	uint64_t limit_ns;

	*ret = (struct look){0};
	pthread_mutex_lock(&s->lock);
	refresh(s, &ret->why);
	if (s->sample) {
		s->sample->users++;
		ret->taken = s->sample;
		ret->view = s->sample->view;
		ret->why.text[0] = '\0';
	}
	pthread_mutex_unlock(&s->lock);
	if (!ret->taken)
		return;
	info = ret->view.info;
	limit_ns = config_stale_after_ns(s->config, info->interval_ns);
	ret->view.age_ns = snapshot_age_ns(ret->view.snapshot);
	ret->view.stale = ret->view.age_ns > limit_ns;
	if (ret->view.stale)
		error_set(&ret->why, 0, "the data is %s old: the collector has stopped or hangs",
			cell_duration(ret->view.age_ns).text);
}

void site_look_done(struct site *s, struct look *l)
{
	pthread_mutex_lock(&s->lock);
	sample_put(l->taken);
	pthread_mutex_unlock(&s->lock);
	*l = (struct look){0};
}

bool look_rate(const struct look *l, const struct metric *m, size_t row, uint32_t index,
	uint64_t run, double *ret)
{
	const struct sample *p = l->taken;
	const struct before_row want = {.scope = m->scope, .index = index}, *found;
	struct value old, new;

	if (!p || !p->before_ns || m->kind != KIND_COUNTER)
		return false;
	found = bsearch(&want, p->rows, p->n, sizeof(want), by_row);
	if (!found || found->run != run)
		return false;
	old = p->values[found->first + metric_slot(m->id)];
	new = snapshot_value(l->view.snapshot, m->scope, row, m->id);
	if (!value_is_number(old) || !value_is_number(new) || new.number < old.number)
		return false;
	*ret = (double)(new.number - old.number) / (double)unit_divisor(m->unit) /
	       ((double)(l->view.info->monotonic_ns - p->before_ns) / 1e9);
	return true;
}

/* --- journals --------------------------------------------------------------------------------- */

static void drop_oldest(struct lines *l)
{
	struct site_line *line = &l->line[l->first++];

	l->bytes -= line->size;
	l->n--;
	l->incomplete = true;
	free(line->text);
	free(line->handle);
}

static bool make_room(struct lines *l)
{
	size_t size = l->size ? 2 * l->size : 256;
	struct site_line *bigger;

	if (l->first + l->n < l->size)
		return true;
	if (l->first) {
		memmove(l->line, l->line + l->first, l->n * sizeof(*l->line));
		l->first = 0;
	}
	if (l->n < l->size / 2)
		return true;
	bigger = reallocarray(l->line, size, sizeof(*bigger));
	if (!bigger)
		return l->n < l->size;
	l->line = bigger;
	l->size = size;
	return true;
}

/* The tail was opened before all was read: what came in between is there twice. */
static bool is_known(const struct lines *l, const char *text)
{
	for (size_t i = l->n; l->overlap && i-- > 0;)
		if (!strcmp(l->line[l->first + i].text, text))
			return true;
	return false;
}

static const char *text_in(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static int take_line(void *data, const json_t *json)
{
	struct lines *l = data;
	const char *handle = text_in(json, "handle");
	struct site_line line = {
		.text = json_dumps(
			json, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(16)),
		.handle = strdup(*handle ? handle : text_in(json, "name")),
		.time = json_number_value(json_object_get(json, "time")),
	};

	if (!line.text || !line.handle || is_known(l, line.text) || !make_room(l)) {
		free(line.text);
		free(line.handle);
		return 0;
	}
	snprintf(line.type, sizeof(line.type), "%s", text_in(json, "type"));
	line.size = strlen(line.text) + strlen(line.handle) + sizeof(line);
	l->line[l->first + l->n++] = line;
	l->bytes += line.size;
	l->seen++;
	while (l->bytes > LINES_BYTES && l->n > 1)
		drop_oldest(l);
	return 0;
}

static void read_lines(struct site *s, enum site_journal which)
{
	struct lines *l = &s->lines[which];

	if (l->tail) {
		journal_tail_read(l->tail, take_line, l);
		l->overlap = false;
		return;
	}
	if (journal_tail_open(s->config->data_dir, journal_names[which], &l->tail) < 0)
		return;
	journal_read(s->config->data_dir, journal_names[which], 0, take_line, l, NULL);
	l->overlap = true;
}

uint64_t site_lines(struct site *s, enum site_journal which, const char *handle,
	bool (*call)(void *data, const struct site_line *line), void *data, bool *ret_complete)
{
	struct lines *l = &s->lines[which];
	uint64_t seen;

	pthread_mutex_lock(&s->lock);
	read_lines(s, which);
	seen = l->seen;
	for (size_t i = l->n; call && i-- > 0;) {
		const struct site_line *line = &l->line[l->first + i];

		if ((!handle || !strcmp(line->handle, handle)) && !call(data, line))
			break;
	}
	if (ret_complete)
		*ret_complete = !l->incomplete;
	pthread_mutex_unlock(&s->lock);
	return seen;
}

/* --- history ---------------------------------------------------------------------------------- */

int site_fetch(struct site *s, struct fetch **ret, struct error *err)
{
	struct fetch *stale = NULL;
	uint64_t sequence;

	*ret = NULL;
	pthread_mutex_lock(&s->lock);
	refresh(s, NULL);
	sequence = s->sample ? s->sample->view.info->sequence : 0;
	if (s->fetch_sequence == sequence)
		*ret = TAKE_PTR(s->fetch);
	else
		stale = TAKE_PTR(s->fetch);
	s->fetch_sequence = sequence;
	pthread_mutex_unlock(&s->lock);
	if (stale)
		fetch_close(stale);
	return *ret ? 0 : fetch_open(s->config, ret, err);
}

void site_fetch_done(struct site *s, struct fetch *f)
{
	pthread_mutex_lock(&s->lock);
	/* One that was opened before the newest sample is of no more use. */
	if (!s->fetch && s->sample && fetch_newest_ns(f) >= s->sample->view.info->time_ns)
		s->fetch = TAKE_PTR(f);
	pthread_mutex_unlock(&s->lock);
	if (f)
		fetch_close(f);
}

/* ---------------------------------------------------------------------------------------------- */

int site_new(const struct config *config, struct site **ret)
{
	struct site *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->config = config;
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void site_free(struct site *s)
{
	for (struct lines *l = s->lines; l < s->lines + SITE_JOURNALS; l++) {
		while (l->n)
			drop_oldest(l);
		free(l->line);
		if (l->tail)
			journal_tail_close(l->tail);
	}
	sample_put(s->sample);
	if (s->fetch)
		fetch_close(s->fetch);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct config *site_config(const struct site *s)
{
	return s->config;
}
