/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "../lib/zabbix.h"

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

void document_head(struct json_out *j, const struct view *v)
{
	json_begin(j, NULL, '{');
	json_number(j, "schema", JSON_SCHEMA);
	json_seconds(j, "time", v->info->time_ns);
	json_seconds(j, "interval", v->info->interval_ns);
	json_seconds(j, "age", v->age_ns);
	json_bool(j, "stale", v->stale);
	json_line(j);
	json_begin(j, "host", '{');
	json_text(j, "name", view_host_text(v, TEXT_NAME));
	json_text(j, "kernel", view_host_text(v, TEXT_KIND));
	json_lines(j, "notes", view_host_text(v, TEXT_NOTES));
	/* Without a host row every value is absent, and its key is there all the same. */
	document_metrics(j, v, SCOPE_HOST, 0);
	put_filesystems(j, v);
	json_end(j, '}');
	json_line(j);
}

void document_begin(struct json_out *j, const struct view *v)
{
	document_head(j, v);
	json_begin(j, "instances", '[');
}

void document_end(struct json_out *j)
{
	json_end(j, ']');
	json_end(j, '}');
	putc('\n', j->out);
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

static void put_interfaces(struct json_out *j, const struct view *v, uint32_t instance)
{
	const struct interface_row *i;
	size_t n = view_interfaces(v, instance, &i);
	struct snapshot_row fixed;

	json_begin(j, "interfaces", '[');
	for (; n > 0; n--, i++) {
		if (snapshot_row(v->snapshot, SCOPE_INTERFACE, i->row, &fixed) < 0)
			continue;
		json_begin(j, NULL, '{');
		json_text(j, "name", fixed.text[TEXT_NAME]);
		document_metrics(j, v, SCOPE_INTERFACE, i->row);
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

void document_instance(struct json_out *j, const struct view *v, const struct row_match *row)
{
	const struct snapshot_row *fixed = &row->fixed;
	char run[17], zabbix[ZABBIX_NAME_SIZE];

	snprintf(run, sizeof(run), "%016" PRIx64, fixed->run);
	json_text(j, "name", fixed->text[TEXT_NAME]);
	json_text(j, "handle", fixed->text[TEXT_HANDLE]);
	json_number(j, "index", fixed->index);
	json_text(j, "context", fixed->text[TEXT_CONTEXT]);
	json_text(j, "hostname", fixed->text[TEXT_HOSTNAME]);
	json_lines(j, "groups", fixed->text[TEXT_GROUPS]);
	json_pairs(j, "facts", fixed->text[TEXT_FACTS]);
	json_text(j, "lxcpath", fixed->text[TEXT_LXCPATH]);
	json_text(j, "kind", fixed->text[TEXT_KIND]);
	json_text(j, "state", fixed->text[TEXT_STATE]);
	json_text(j, "run", fixed->run ? run : NULL);
	zabbix_name(fixed->text[TEXT_HANDLE], fixed->index, view_host_text(v, TEXT_NAME), zabbix);
	json_text(j, "zabbix_name", zabbix);
	json_pairs(j, "cgroup", fixed->text[TEXT_CGROUPS]);
	put_limits(j, v, row);
	put_interfaces(j, v, fixed->index);
	json_bool(j, "network_shared", fixed->flags & SNAPSHOT_NETWORK_SHARED);
	put_disk(j, fixed);
	json_lines(j, "notes", fixed->text[TEXT_NOTES]);
	document_metrics(j, v, SCOPE_INSTANCE, row->row);
}

/* --- the table of metrics ----------------------------------------------------------------------
 */

void document_metric_table(FILE *out)
{
	struct json_out j = {.out = out};
	const struct metric *m;
	char fingerprint[17];

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, metric_fingerprint());
	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_text(&j, "fingerprint", fingerprint);
	json_begin(&j, "metrics", '[');
	for (unsigned int id = 0; id < METRIC_ID_END; id++) {
		m = metric_by_id(id);
		if (!m)
			continue;
		json_line(&j);
		json_begin(&j, NULL, '{');
		json_number(&j, "id", m->id);
		json_text(&j, "name", m->name);
		json_text(&j, "unit", unit_name(m->unit));
		json_text(&j, "kind", kind_name(m->kind));
		json_text(&j, "scope", scope_name(m->scope));
		json_text(&j, "ds", m->ds);
		json_text(&j, "help", m->help);
		json_begin(&j, "v1", '{');
		json_source(&j, &m->v1, 1);
		json_end(&j, '}');
		json_begin(&j, "v2", '{');
		json_source(&j, &m->v2, 2);
		json_end(&j, '}');
		json_end(&j, '}');
	}
	json_end(&j, ']');
	json_end(&j, '}');
	putc('\n', out);
}
