/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#define JSON_SCHEMA 1

void document_metrics(struct json_out *j, const struct view *v, enum metric_scope scope, size_t row)
{
	const struct metric *m;

	json_begin(j, "metrics", '{');
	for_each_metric (scope, slot, m)
		json_metric(j, m->name, m, snapshot_value(v->snapshot, scope, row, m->id));
	json_end(j, '}');
}

static void put_filesystems(struct json_out *j, const struct view *v)
{
	struct snapshot_row fs;

	json_begin(j, "filesystems", '[');
	for (size_t row = 0; row < v->info->rows[SCOPE_FILESYSTEM]; row++) {
		if (snapshot_row(v->snapshot, SCOPE_FILESYSTEM, row, &fs) < 0)
			continue;
		json_begin(j, NULL, '{');
		json_text(j, "mount", fs.text[TEXT_NAME]);
		json_text(j, "device", fs.text[TEXT_DISK]);
		json_text(j, "type", fs.text[TEXT_KIND]);
		document_metrics(j, v, SCOPE_FILESYSTEM, row);
		json_end(j, '}');
	}
	json_end(j, ']');
}

void document_begin(struct json_out *j, const struct view *v)
{
	struct snapshot_row host;
	bool known = v->info->rows[SCOPE_HOST] > 0 &&
		     snapshot_row(v->snapshot, SCOPE_HOST, 0, &host) == 0;

	json_begin(j, NULL, '{');
	json_number(j, "schema", JSON_SCHEMA);
	json_seconds(j, "time", v->info->time_ns);
	json_seconds(j, "interval", v->info->interval_ns);
	json_seconds(j, "age", v->age_ns);
	json_bool(j, "stale", v->stale);
	json_line(j);
	json_begin(j, "host", '{');
	json_text(j, "name", known ? host.text[TEXT_NAME] : NULL);
	json_text(j, "kernel", known ? host.text[TEXT_KIND] : NULL);
	json_lines(j, "notes", known ? host.text[TEXT_NOTES] : NULL);
	/* Without a host row every value is absent, and its key is there all the same. */
	document_metrics(j, v, SCOPE_HOST, 0);
	put_filesystems(j, v);
	json_end(j, '}');
	json_line(j);
	json_begin(j, "instances", '[');
}

void document_end(struct json_out *j)
{
	json_end(j, ']');
	json_end(j, '}');
	putc('\n', j->out);
}

/* --- interfaces by instance ------------------------------------------------------------------ */

struct interface_order {
	size_t n;
	uint32_t *parents; /* ascending */
	size_t *rows;
};

struct parent_row {
	uint32_t parent;
	size_t row;
};

static int by_parent(const void *a, const void *b)
{
	const struct parent_row *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

struct interface_order *interface_order_new(const struct view *v)
{
	size_t n = v->info->rows[SCOPE_INTERFACE];
	_cleanup_free_ struct parent_row *pairs = calloc(n + 1, sizeof(*pairs));
	_cleanup_(interface_order_free) struct interface_order *o = calloc(1, sizeof(*o));
	struct snapshot_row fixed;

	if (!pairs || !o)
		return NULL;
	o->parents = calloc(n + 1, sizeof(*o->parents));
	o->rows = calloc(n + 1, sizeof(*o->rows));
	if (!o->parents || !o->rows)
		return NULL;
	for (size_t row = 0; row < n; row++)
		if (snapshot_row(v->snapshot, SCOPE_INTERFACE, row, &fixed) == 0)
			pairs[o->n++] = (struct parent_row){fixed.parent, row};
	qsort(pairs, o->n, sizeof(*pairs), by_parent);
	for (size_t i = 0; i < o->n; i++) {
		o->parents[i] = pairs[i].parent;
		o->rows[i] = pairs[i].row;
	}
	return TAKE_PTR(o);
}

size_t interface_order_find(
	const struct interface_order *o, uint32_t instance, const size_t **ret_rows)
{
	size_t low = 0, high = o->n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->parents[middle] < instance)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < o->n && o->parents[low + n] == instance)
		n++;
	*ret_rows = o->rows + low;
	return n;
}

void interface_order_free(struct interface_order *o)
{
	if (!o)
		return;
	free(o->parents);
	free(o->rows);
	free(o);
}

/* --- one instance ---------------------------------------------------------------------------- */

const char *line_value(const char *text, const char *key, size_t *ret_len)
{
	size_t len, key_len = strlen(key);

	for_each_line(text, line, len)
	{
		if (len <= key_len || line[key_len] != '=' || memcmp(line, key, key_len) != 0)
			continue;
		*ret_len = len - key_len - 1;
		return line + key_len + 1;
	}
	return NULL;
}

static void put_limits(struct json_out *j, const struct view *v, const struct row_match *row)
{
	const struct metric *m;
	size_t len;

	json_begin(j, "limits", '{');
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const char *cgroup = line_value(row->fixed.text[TEXT_LIMITS], m->name, &len);
		_cleanup_free_ char *path = cgroup ? strndup(cgroup, len) : NULL;

		if (m->kind != KIND_LIMIT)
			continue;
		json_begin(j, m->name, '{');
		json_metric(j, "value", m,
			snapshot_value(v->snapshot, SCOPE_INSTANCE, row->row, m->id));
		json_text(j, "cgroup", path);
		json_end(j, '}');
	}
	json_end(j, '}');
}

static void put_interfaces(struct json_out *j, const struct view *v,
	const struct interface_order *o, const struct row_match *row)
{
	const size_t *rows;
	size_t n = interface_order_find(o, row->fixed.index, &rows);
	struct snapshot_row fixed;

	json_begin(j, "interfaces", '[');
	for (size_t i = 0; i < n; i++) {
		if (snapshot_row(v->snapshot, SCOPE_INTERFACE, rows[i], &fixed) < 0)
			continue;
		json_begin(j, NULL, '{');
		json_text(j, "name", fixed.text[TEXT_NAME]);
		document_metrics(j, v, SCOPE_INTERFACE, rows[i]);
		json_end(j, '}');
	}
	json_end(j, ']');
}

static void put_disk(struct json_out *j, const struct snapshot_row *fixed)
{
	json_begin(j, "disk", '{');
	json_text(j, "method", fixed->text[TEXT_DISK]);
	if (fixed->disk_time_ns)
		json_seconds(j, "time", fixed->disk_time_ns);
	else
		json_text(j, "time", NULL);
	if (fixed->flags & SNAPSHOT_DISK_WALKING)
		json_number(j, "progress", fixed->disk_progress);
	else
		json_text(j, "progress", NULL);
	json_end(j, '}');
}

void document_instance(struct json_out *j, const struct view *v, const struct interface_order *o,
	const struct row_match *row)
{
	const struct snapshot_row *fixed = &row->fixed;
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, fixed->run);
	json_text(j, "name", fixed->text[TEXT_NAME]);
	json_text(j, "handle", fixed->text[TEXT_HANDLE]);
	json_number(j, "index", fixed->index);
	json_text(j, "context", fixed->text[TEXT_CONTEXT]);
	json_text(j, "hostname", fixed->text[TEXT_HOSTNAME]);
	json_lines(j, "groups", fixed->text[TEXT_GROUPS]);
	json_text(j, "lxcpath", fixed->text[TEXT_LXCPATH]);
	json_text(j, "kind", fixed->text[TEXT_KIND]);
	json_text(j, "state", fixed->text[TEXT_STATE]);
	json_text(j, "run", fixed->run ? run : NULL);
	json_pairs(j, "cgroup", fixed->text[TEXT_CGROUPS]);
	put_limits(j, v, row);
	put_interfaces(j, v, o, row);
	json_bool(j, "network_shared", fixed->flags & SNAPSHOT_NETWORK_SHARED);
	put_disk(j, fixed);
	json_lines(j, "notes", fixed->text[TEXT_NOTES]);
	document_metrics(j, v, SCOPE_INSTANCE, row->row);
}
