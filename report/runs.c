/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "../cli/history.h"
#include "../lib/journal.h"
#include "../lib/metric-json.h"
#include "internal.h"

/* The runs of the period: of the ledger, and those of the sample that still run. */

#define KEPT_METRIC(id, m) METRIC_##m,
static const unsigned int kept_metric[KEPT_COUNT] = {REPORT_KEPT(KEPT_METRIC)};

static double to_double(unsigned int metric, struct value v)
{
	if (v.state == VALUE_UNLIMITED)
		return INFINITY;
	return v.state == VALUE_PRESENT
		       ? (double)v.number / (double)unit_divisor(metric_by_id(metric)->unit)
		       : NAN;
}

static struct run *add_run(struct runs_list *l, uint32_t index)
{
	if (l->n == l->size) {
		size_t size = 2 * l->size + 64;
		struct run *item = reallocarray(l->item, size, sizeof(*item));

		if (!item)
			return NULL;
		l->item = item;
		l->size = size;
	}
	l->item[l->n] = (struct run){.index = index, .kills = NAN};
	return &l->item[l->n++];
}

static int take_line(void *data, const json_t *line)
{
	struct runs_list *l = data;
	uint64_t start_s = journal_seconds(line, "start") / NSEC_PER_SEC;
	uint64_t end_s = journal_seconds(line, "end") / NSEC_PER_SEC;
	json_int_t index = json_integer_value(json_object_get(line, "index"));
	struct value values[METRIC_ID_END] = {0};
	struct run *run;

	if (index <= 0 || index > UINT32_MAX || end_s < l->ask->from_s || start_s > l->ask->to_s)
		return 0;
	run = add_run(l, (uint32_t)index);
	if (!run)
		return -ENOMEM;
	run->id = strtoull(history_text(line, "run"), NULL, 16);
	run->start_s = start_s;
	run->end_s = end_s;
	run->groups = history_groups(line);
	run->wanted = history_matches(line, l->ask->patterns, l->ask->n_patterns);
	metrics_from_json(json_object_get(line, "metrics"), SCALE_BASE, values);
	for (size_t i = 0; i < KEPT_COUNT; i++)
		run->kept[i] = to_double(kept_metric[i], values[metric_slot(kept_metric[i])]);
	return run->groups ? 0 : -ENOMEM;
}

static int take_sample(struct runs_list *l, const struct view *v)
{
	for (size_t i = 0; i < v->info->rows[SCOPE_INSTANCE]; i++) {
		uint64_t start_s =
			snapshot_value(v->snapshot, SCOPE_INSTANCE, i, METRIC_START_TIME).number /
			NSEC_PER_SEC;
		struct snapshot_row row;
		struct run *run;
		size_t k = 0;

		if (snapshot_row(v->snapshot, SCOPE_INSTANCE, i, &row) < 0 ||
			start_s > l->ask->to_s)
			continue;
		/* It may have ended since: then the ledger knows better. */
		while (k < l->n && l->item[k].id != row.run)
			k++;
		if (k < l->n)
			continue;
		run = add_run(l, row.index);
		if (!run)
			return -ENOMEM;
		run->id = row.run;
		run->start_s = start_s;
		run->end_s = v->stale ? v->info->time_ns / NSEC_PER_SEC : UINT64_MAX;
		run->groups = strdup(row.text[TEXT_GROUPS]);
		run->wanted = instance_is_wanted(&row, l->ask->patterns, l->ask->n_patterns);
		for (k = 0; k < KEPT_COUNT; k++)
			run->kept[k] = to_double(kept_metric[k],
				snapshot_value(v->snapshot, SCOPE_INSTANCE, i, kept_metric[k]));
		if (!run->groups)
			return -ENOMEM;
	}
	return 0;
}

static int take_filesystems(struct report *r, const struct view *v)
{
	for (size_t row = 0; row < v->info->rows[SCOPE_FILESYSTEM]; row++) {
		double size = to_double(METRIC_FILESYSTEM_SIZE,
			snapshot_value(v->snapshot, SCOPE_FILESYSTEM, row, METRIC_FILESYSTEM_SIZE));
		double left = to_double(
			METRIC_FILESYSTEM_AVAILABLE, snapshot_value(v->snapshot, SCOPE_FILESYSTEM,
							     row, METRIC_FILESYSTEM_AVAILABLE));
		struct snapshot_row names;

		if (snapshot_row(v->snapshot, SCOPE_FILESYSTEM, row, &names) < 0)
			continue;
		if (report_add_filesystem(r, names.text[TEXT_NAME], size, left) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int take_host(struct report *r, const struct view *v)
{
	static const struct {
		enum field field;
		unsigned int metric;
	} kept[] = {
		{FIELD_HOST_TASKS_LIMIT, METRIC_HOST_TASKS_LIMIT},
		{FIELD_HOST_MAPS_LIMIT, METRIC_HOST_MAP_COUNT_LIMIT},
		{FIELD_HOST_FILES_LIMIT, METRIC_HOST_OPEN_FILES_LIMIT},
	};
	struct report_row *host = &r->host;
	double pids = to_double(METRIC_HOST_PIDS_LIMIT, view_host_value(v, METRIC_HOST_PIDS_LIMIT));

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		host->value[kept[i].field] =
			to_double(kept[i].metric, view_host_value(v, kept[i].metric));
	host->value[FIELD_HOST_TASKS_LIMIT] = fmin(host->value[FIELD_HOST_TASKS_LIMIT], pids);
	host->value[FIELD_HOST_CGROUPS_LIMIT] = 65535; /* 16 bits of id: mm/memcontrol.c */
	return take_filesystems(r, v);
}

static int by_index(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return x->start_s < y->start_s ? -1 : x->start_s > y->start_s;
}

static int take_event(void *data, const json_t *line)
{
	struct runs_list *l = data;
	uint64_t time_s = journal_seconds(line, "time") / NSEC_PER_SEC;
	uint64_t id = strtoull(history_text(line, "run"), NULL, 16);
	json_int_t index = json_integer_value(json_object_get(line, "index"));
	size_t n, first;

	if (strcmp(history_text(line, "type"), "oom") != 0 || index <= 0 || index > UINT32_MAX ||
		time_s < l->ask->from_s || time_s > l->ask->to_s)
		return 0;
	first = (size_t)(runs_of(l, (uint32_t)index, &n) - l->item);
	for (size_t i = first; i < first + n; i++)
		if (l->item[i].id == id)
			add_point(&l->item[i].kills,
				json_number_value(json_object_get(line, "kills")));
	return 0;
}

static int runs_failed(const struct cli *cli, const char *name, int r, struct error *err)
{
	return error_set(err, r,
		r == -EACCES ? "only root and the group loadcell may read %s/%s.jsonl"
			     : "cannot read %s/%s.jsonl",
		cli->config->data_dir, name);
}

int runs_read(const struct cli *cli, const struct report_ask *ask, struct report *r,
	struct runs_list *ret, struct error *err)
{
	uint64_t damaged = 0;
	struct error why;
	struct view v;
	int result;

	*ret = (struct runs_list){.ask = ask};
	result = journal_read(cli->config->data_dir, "runs", ask->from_s * NSEC_PER_SEC, take_line,
		ret, &r->damaged);
	if (result < 0)
		return runs_failed(cli, "runs", result, err);
	if (view_load(cli->config, &v, &why) == 0 && v.snapshot) {
		result = take_sample(ret, &v);
		if (result == 0)
			result = take_host(r, &v);
	}
	view_close(&v);
	if (result < 0)
		return error_set(err, result, "out of memory");
	if (ret->n)
		qsort(ret->item, ret->n, sizeof(*ret->item), by_index);
	result = journal_read(cli->config->data_dir, "events", ask->from_s * NSEC_PER_SEC,
		take_event, ret, &damaged);
	r->damaged += damaged;
	return result < 0 ? runs_failed(cli, "events", result, err) : 0;
}

void runs_free(struct runs_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i].groups);
	free(l->item);
	*l = (struct runs_list){0};
}

const struct run *runs_of(const struct runs_list *l, uint32_t index, size_t *ret_n)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->item[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	for (*ret_n = 0; low + *ret_n < l->n && l->item[low + *ret_n].index == index;)
		++*ret_n;
	return l->item + low;
}
