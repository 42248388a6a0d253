/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view.h"

#include <string.h>

#include "../lib/util.h"

static int by_index(const void *a, const void *b)
{
	const struct mib_key *x = a, *y = b;

	for (int i = 0; i < MIB_INDEX_MAX; i++)
		if (x->index[i] != y->index[i])
			return x->index[i] < y->index[i] ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* False: the row cannot be told. 0 is no good index of SMIv2, so lists are numbered from 1. */
static bool key_of(enum metric_scope scope, const struct snapshot_row *row, struct mib_key *ret)
{
	switch (scope) {
	case SCOPE_INSTANCE:
		ret->index[0] = row->index;
		return row->index > 0;
	case SCOPE_INTERFACE:
		ret->index[0] = row->parent;
		ret->index[1] = row->index + 1;
		return row->parent > 0;
	case SCOPE_FILESYSTEM:
		ret->index[0] = row->index + 1;
		return true;
	default:
		return ret->row == 0;
	}
}

static int sort_rows(const struct snapshot *s, enum metric_scope scope, struct mib_rows *ret)
{
	size_t rows = snapshot_info(s)->rows[scope], n = 0;
	struct mib_key *keys = calloc(rows + 1, sizeof(*keys));
	struct snapshot_row fixed;

	if (!keys)
		return -ENOMEM;
	for (size_t row = 0; row < rows; row++) {
		keys[n] = (struct mib_key){.row = (uint32_t)row};
		if (snapshot_row(s, scope, row, &fixed) == 0 && key_of(scope, &fixed, &keys[n]))
			n++;
	}
	qsort(keys, n, sizeof(*keys), by_index);
	*ret = (struct mib_rows){keys, n, 0};
	return 0;
}

static void view_free(struct view *v)
{
	if (v->snapshot)
		snapshot_close(v->snapshot);
	for (int scope = 0; scope < SCOPE_COUNT; scope++)
		free((void *)(uintptr_t)v->rows[scope].keys);
	free(v->runs);
	*v = (struct view){.source = v->source};
}

struct mib_rows view_rows(const struct view *v, enum metric_scope scope)
{
	return v->stale ? (struct mib_rows){0} : v->rows[scope];
}

/* The first key that is not below this instance's. */
static size_t instance_at(const struct mib_rows *rows, uint64_t number)
{
	size_t low = 0, high = rows->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows->keys[middle].index[0] < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *view_host_name(const struct view *v)
{
	struct snapshot_row row;

	if (!v->snapshot || snapshot_row(v->snapshot, SCOPE_HOST, 0, &row) < 0)
		return "";
	return row.text[TEXT_NAME];
}

const struct mib_key *view_instance(const struct view *v, uint32_t number)
{
	struct mib_rows rows = view_rows(v, SCOPE_INSTANCE);
	size_t i = instance_at(&rows, number);

	return i < rows.n && rows.keys[i].index[0] == number ? &rows.keys[i] : NULL;
}

static struct mib_rows of_instance(struct mib_rows rows, uint32_t instance)
{
	size_t first = instance_at(&rows, instance);
	size_t end = instance_at(&rows, (uint64_t)instance + 1);

	if (!rows.n)
		return rows;
	return (struct mib_rows){rows.keys + first, end - first, 1};
}

struct mib_rows view_interfaces(const struct view *v, uint32_t instance)
{
	return of_instance(view_rows(v, SCOPE_INTERFACE), instance);
}

struct value view_host(const struct view *v, unsigned int metric_id)
{
	return v->snapshot ? snapshot_value(v->snapshot, SCOPE_HOST, 0, metric_id) : value_absent();
}

struct value view_whole(const struct view *v, const struct metric *limit)
{
	unsigned int ids[2];

	smi_whole(limit, ids);
	return value_min_limit(view_host(v, ids[0]), view_host(v, ids[1]));
}

uint64_t view_time_stamp(const struct view *v, uint64_t at_ns)
{
	uint64_t zero = v->source->master_ns;

	/* TimeTicks begin anew after 497 days. */
	return at_ns > zero ? (at_ns - zero) / (NSEC_PER_SEC / 100) & UINT32_MAX : 0;
}

/* --- runs and changes ------------------------------------------------------------------------- */

/* Of an interface: a hash of its name. */
static uint64_t run_of(const struct view *v, enum metric_scope scope, const struct mib_key *key)
{
	struct snapshot_row row = {0};

	snapshot_row(v->snapshot, scope, key->row, &row);
	return row.run;
}

static bool same_interfaces(const struct view *old, const struct view *v, uint32_t instance)
{
	struct mib_rows was = of_instance(old->rows[SCOPE_INTERFACE], instance);
	struct mib_rows is = of_instance(v->rows[SCOPE_INTERFACE], instance);
	size_t i = 0;

	while (i < MIN(was.n, is.n) && was.keys[i].index[1] == is.keys[i].index[1] &&
		run_of(old, SCOPE_INTERFACE, &was.keys[i]) ==
			run_of(v, SCOPE_INTERFACE, &is.keys[i]))
		i++;
	return i == was.n && i == is.n;
}

/*
 * The start of a run by this machine's monotonic clock. Only for a run not seen before: wall clock
 * and boot time move against each other, and the time stamp of one run must not.
 */
static uint64_t began_ns(const struct view *v, size_t row, uint64_t now, uint64_t wall)
{
	struct value start = snapshot_value(v->snapshot, SCOPE_INSTANCE, row, METRIC_START_TIME);
	uint64_t age = value_is_number(start) && wall > start.number ? wall - start.number : 0;

	return now > age ? now - age : 0;
}

/* A run that goes on. By the uptime of the sample, as sysUpTime of its context is. */
static struct view_run go_on(
	const struct view *old, size_t old_row, const struct view *v, const struct mib_key *key)
{
	struct view_run run = old->runs[old_row];

	if (!same_interfaces(old, v, key->index[0]))
		run.interfaces_ns =
			snapshot_value(v->snapshot, SCOPE_INSTANCE, key->row, METRIC_UPTIME).number;
	return run;
}

/* Both are sorted. Returns whether rows or runs differ from what was told, or -ENOMEM. */
static int take_over(const struct view *old, struct view *v, uint64_t now)
{
	struct mib_rows was = old->rows[SCOPE_INSTANCE], is = v->rows[SCOPE_INSTANCE];
	uint64_t wall = now_ns(CLOCK_REALTIME);
	size_t same = 0, i = 0;

	v->runs = calloc(snapshot_info(v->snapshot)->rows[SCOPE_INSTANCE] + 1, sizeof(*v->runs));
	if (!v->runs)
		return -ENOMEM;
	for (const struct mib_key *k = is.keys; k < is.keys + is.n; k++) {
		while (i < was.n && was.keys[i].index[0] < k->index[0])
			i++;
		if (i < was.n && was.keys[i].index[0] == k->index[0] &&
			run_of(old, SCOPE_INSTANCE, &was.keys[i]) == run_of(v, SCOPE_INSTANCE, k)) {
			v->runs[k->row] = go_on(old, was.keys[i].row, v, k);
			same++;
		} else {
			v->runs[k->row].began_ns = began_ns(v, k->row, now, wall);
		}
	}
	return old->stale || same != is.n || same != was.n;
}

static int view_make(struct source *s, struct snapshot *snapshot, uint64_t now)
{
	struct view v = {.snapshot = snapshot, .source = s};
	int r = 0;

	for (int scope = 0; scope < SCOPE_COUNT && r == 0; scope++)
		r = sort_rows(snapshot, scope, &v.rows[scope]);
	if (r == 0)
		r = take_over(&s->view, &v, now);
	if (r < 0) {
		view_free(&v);
		return r;
	}
	if (r > 0)
		s->changed_ns = now;
	view_free(&s->view);
	s->view = v;
	return 0;
}

/* --- the snapshot file ------------------------------------------------------------------------ */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A bad file leaves the view as it is, until that is stale. */
static void read_snapshot(struct source *s, uint64_t now)
{
	struct stat st = {0};
	struct snapshot *snapshot = NULL;
	int r = stat(s->path, &st) < 0 ? -errno : 0;

	if (r == 0 && same_file(&st, &s->file))
		return;
	if (r == 0)
		r = snapshot_open(s->path, &snapshot, &s->problem);
	else
		error_set(&s->problem, r, "cannot read %s: %s", s->path, strerror(-r));
	if (r == -ENOENT)
		error_set(&s->problem, r,
			"there is no data in %s: the collector does not run; start it with: "
			"systemctl start loadcelld",
			s->path);
	s->file = st;
	if (r == 0 && (r = view_make(s, snapshot, now)) < 0)
		error_set(&s->problem, r, "out of memory");
	if (r == 0)
		s->problem.text[0] = '\0';
	else if (r == -ENOMEM || r == -EMFILE)
		s->file = (struct stat){0}; /* again */
}

static void look_at_age(struct source *s, uint64_t now)
{
	struct view *v = &s->view;
	uint64_t age = v->snapshot ? snapshot_age_ns(v->snapshot) : 0;
	bool stale = !v->snapshot || age > config_stale_after_ns(s->config,
						   snapshot_info(v->snapshot)->interval_ns);

	if (stale && !s->problem.text[0])
		error_set(&s->problem, 0,
			"no sample has come for a long time: the collector has stopped or hangs; "
			"see: loadcell status");
	if (!stale && v->stale)
		s->problem.text[0] = '\0';
	if (stale != v->stale)
		s->changed_ns = now;
	v->stale = stale;
}

void source_tick(struct source *s, uint64_t now)
{
	read_snapshot(s, now);
	look_at_age(s, now);
	history_tick(&s->events, s->config->data_dir);
	history_tick(&s->runs, s->config->data_dir);
	if (s->problem.text[0])
		complain(&s->complaint, "%s", s->problem.text);
	else
		complaint_over(&s->complaint, "%s is good again", s->path);
}

int source_init(struct source *s, const struct config *config)
{
	*s = (struct source){
		.config = config,
		.path = config_run_path(config, "snapshot"),
		.view = {.stale = true, .source = s},
		.runs = {.name = "runs"},
		.events = {.name = "events"},
	};
	return s->path ? 0 : -ENOMEM;
}

void source_free(struct source *s)
{
	view_free(&s->view);
	history_free(&s->runs);
	history_free(&s->events);
	free(s->path);
}
