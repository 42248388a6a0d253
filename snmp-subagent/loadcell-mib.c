/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mibs.h"

#include <string.h>

#include "../lib/metric-json.h"
#include "../lib/util.h"
#include "../lib/zabbix.h"
#include "view.h"

struct loadcell_mib {
	struct mib_tree tree;
	struct mib_table tables[SMI_TABLE_END - 1];
	struct smi_column *smi[SMI_TABLE_END];
	struct mib_column *columns[SMI_TABLE_END];
};

/* --- cells ------------------------------------------------------------------------------------ */

static bool gauge32(struct mib_value *ret, uint64_t n)
{
	return mib_number(ret, MIN(n, (uint64_t)UINT32_MAX));
}

static bool truth(struct mib_value *ret, bool is)
{
	return mib_number(ret, is ? 1 : 2);
}

static bool get_metric(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	const struct smi_column *smi = c->data;
	const struct metric *m = smi->metric;
	struct value v = snapshot_value(p->view->snapshot, m->scope, key->row, m->id);
	struct value whole = v.state == VALUE_UNLIMITED ? view_whole(p->view, m) : value_absent();

	return smi_number(smi, v, whole, &ret->number);
}

static const char *member(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static bool last_event(const struct history *h, struct mib_value *ret)
{
	const json_t *line = h->n > 0 ? h->lines[h->keys[h->n - 1].row] : NULL;

	snprintf(ret->buffer, sizeof(ret->buffer), line ? "%lld %s %s %s" : "none",
		(long long)json_integer_value(json_object_get(line, "id")), member(line, "type"),
		member(line, "handle"), member(line, "how"));
	ret->buffer[strcspn(ret->buffer, "\n")] = '\0';
	return mib_text(ret, ret->buffer);
}

static bool get_status(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	const struct view *v = p->view;
	const struct snapshot *s = v->snapshot;

	switch (c->arc - SMI_ARC_FIXED) {
	case STATUS_VERSION:
		return mib_text(ret, VERSION);
	case STATUS_DATA_TIME:
		return s && gauge32(ret, snapshot_info(s)->time_ns / NSEC_PER_SEC);
	case STATUS_DATA_AGE:
		return s && gauge32(ret, snapshot_age_ns(s) / 1000000);
	case STATUS_DATA_STALE:
		return truth(ret, v->stale);
	case STATUS_DATA_PROBLEM:
		mib_text(ret, v->source->problem.text);
		return true;
	case STATUS_INSTANCE_NUMBER:
		return mib_number(ret, view_rows(v, SCOPE_INSTANCE).n);
	case STATUS_LAST_CHANGE:
		return mib_number(ret, view_time_stamp(v, v->source->changed_ns));
	case STATUS_LEFT_OUT:
		return mib_number(ret, v->source->left_out);
	case STATUS_CONTEXTS:
		return mib_number(ret, v->source->contexts);
	case STATUS_CONTEXTS_REFUSED:
		return mib_number(ret, v->source->contexts_refused);
	case STATUS_LAST_EVENT:
		return last_event(&v->source->events, ret);
	case STATUS_UNEXPECTED_ENDS:
		return mib_number(ret, v->source->events.unexpected_ends);
	case STATUS_FLAPPINGS:
		return mib_number(ret, v->source->events.flappings);
	}
	return false;
}

static bool get_host(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct snapshot_row row;

	if (snapshot_row(p->view->snapshot, SCOPE_HOST, key->row, &row) < 0)
		return false;
	return mib_text(ret, row.text[c->arc == SMI_ARC_FIXED + HOST_NAME ? TEXT_NAME : TEXT_KIND]);
}

static bool joined_lines(struct mib_value *ret, const char *lines)
{
	if (!mib_text(ret, lines))
		return false;
	for (size_t i = 0; i < ret->len; i++)
		ret->buffer[i] = (char)(lines[i] == '\n' ? ',' : lines[i]);
	ret->len -= ret->buffer[ret->len - 1] == ',';
	ret->bytes = ret->buffer;
	return ret->len > 0;
}

static bool get_instance(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	static const enum snapshot_text texts[] = {
		[INSTANCE_NAME] = TEXT_NAME,
		[INSTANCE_HANDLE] = TEXT_HANDLE,
		[INSTANCE_CONTEXT] = TEXT_CONTEXT,
		[INSTANCE_HOSTNAME] = TEXT_HOSTNAME,
		[INSTANCE_LXCPATH] = TEXT_LXCPATH,
		[INSTANCE_KIND] = TEXT_KIND,
		[INSTANCE_STATE] = TEXT_STATE,
	};
	unsigned int column = c->arc - SMI_ARC_FIXED;
	const struct view_run *run;
	struct snapshot_row row;

	if (snapshot_row(p->view->snapshot, SCOPE_INSTANCE, key->row, &row) < 0)
		return false;
	switch (column) {
	case INSTANCE_GROUPS:
		return joined_lines(ret, row.text[TEXT_GROUPS]);
	case INSTANCE_RUN:
		if (row.run)
			snprintf(ret->buffer, sizeof(ret->buffer), "%016llx",
				(unsigned long long)row.run);
		return row.run && mib_text(ret, ret->buffer);
	case INSTANCE_DISCONTINUITY:
		run = &p->view->runs[key->row];
		return mib_number(
			ret, view_time_stamp(p->view, run->began_ns + run->interfaces_ns));
	case INSTANCE_NETWORK_SHARED:
		return truth(ret, row.flags & SNAPSHOT_NETWORK_SHARED);
	case INSTANCE_ZABBIX_NAME:
		zabbix_name(row.text[TEXT_HANDLE], row.index, view_host_name(p->view), ret->buffer);
		return mib_text(ret, ret->buffer);
	default:
		return column < ARRAY_SIZE(texts) && mib_text(ret, row.text[texts[column]]);
	}
}

static bool get_interface(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	struct snapshot_row row;

	return snapshot_row(p->view->snapshot, SCOPE_INTERFACE, key->row, &row) == 0 &&
	       mib_text(ret, row.text[TEXT_NAME]);
}

static bool get_filesystem(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	static const enum snapshot_text texts[] = {
		[FILESYSTEM_MOUNT] = TEXT_NAME,
		[FILESYSTEM_DEVICE] = TEXT_DISK,
		[FILESYSTEM_TYPE] = TEXT_KIND,
	};
	struct snapshot_row row;

	return snapshot_row(p->view->snapshot, SCOPE_FILESYSTEM, key->row, &row) == 0 &&
	       mib_text(ret, row.text[texts[c->arc - SMI_ARC_FIXED]]);
}

/* A member of a journal's line; numbers of seconds lose their fraction. */
static bool get_member(const json_t *line, const struct smi_column *smi, struct mib_value *ret)
{
	const json_t *member = json_object_get(line, smi->key);
	double n = json_number_value(member);

	if (json_is_string(member))
		return smi->syntax == SMI_TEXT && mib_text(ret, json_string_value(member));
	if (!json_is_number(member))
		return false;
	if (smi->syntax != SMI_TEXT)
		return n >= 0 && gauge32(ret, (uint64_t)MIN(n, (double)UINT32_MAX));
	if (json_is_integer(member))
		snprintf(ret->buffer, sizeof(ret->buffer), "%" JSON_INTEGER_FORMAT,
			json_integer_value(member));
	else
		snprintf(ret->buffer, sizeof(ret->buffer), "%.16g", n);
	return mib_text(ret, ret->buffer);
}

static bool get_event(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return get_member(p->view->source->events.lines[key->row], c->data, ret);
}

static bool get_run(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	return get_member(p->view->source->runs.lines[key->row], c->data, ret);
}

static bool get_run_metric(const struct mib_place *p, const struct mib_key *key,
	const struct mib_column *c, struct mib_value *ret)
{
	const struct smi_column *smi = c->data;
	const json_t *values = json_object_get(p->view->source->runs.lines[key->row], "metrics");
	struct value v = metric_from_json(
		smi->metric, json_object_get(values, smi->metric->name), SCALE_BASE);

	return smi_number(smi, v, view_whole(p->view, smi->metric), &ret->number);
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct mib_rows host_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_HOST);
}

static struct mib_rows instance_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_INSTANCE);
}

static struct mib_rows interface_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_INTERFACE);
}

static struct mib_rows filesystem_rows(const struct mib_place *p)
{
	return view_rows(p->view, SCOPE_FILESYSTEM);
}

static struct mib_rows run_rows(const struct mib_place *p)
{
	const struct history *h = &p->view->source->runs;

	return (struct mib_rows){h->keys, h->n, 0};
}

static struct mib_rows event_rows(const struct mib_place *p)
{
	const struct history *h = &p->view->source->events;

	return (struct mib_rows){h->keys, h->n, 0};
}

/* --- the tree --------------------------------------------------------------------------------- */

typedef bool get_cell(const struct mib_place *, const struct mib_key *, const struct mib_column *,
	struct mib_value *);

static const struct {
	unsigned int indexes;
	struct mib_rows (*rows)(const struct mib_place *p);
	get_cell *get, *get_metric;
} kinds[] = {
	[SMI_STATUS] = {1, mib_scalars, get_status, NULL},
	[SMI_HOST] = {1, host_rows, get_host, get_metric},
	[SMI_INSTANCE] = {1, instance_rows, get_instance, get_metric},
	[SMI_INTERFACE] = {2, interface_rows, get_interface, get_metric},
	[SMI_FILESYSTEM] = {1, filesystem_rows, get_filesystem, get_metric},
	[SMI_RUN] = {2, run_rows, get_run, get_run_metric},
	[SMI_EVENT] = {1, event_rows, get_event, NULL},
};

static int make_table(struct loadcell_mib *m, enum smi_table table, struct mib_table *ret)
{
	ssize_t n = smi_columns(table, &m->smi[table]);
	struct mib_column *c;

	if (n < 0)
		return (int)n;
	c = m->columns[table] = calloc((size_t)n, sizeof(*c));
	if (!c)
		return -ENOMEM;
	for (const struct smi_column *smi = m->smi[table]; smi < m->smi[table] + n; smi++) {
		if (smi->is_index)
			continue;
		*c++ = (struct mib_column){
			.arc = smi->arc,
			.syntax = smi->syntax,
			.get = smi->metric ? kinds[table].get_metric : kinds[table].get,
			.data = smi,
		};
	}
	*ret = (struct mib_table){
		.oid = {1, table, 1},
		.len = smi_is_table(table) ? 3 : 2,
		.indexes = kinds[table].indexes,
		.columns = m->columns[table],
		.n = (size_t)(c - m->columns[table]),
		.rows = kinds[table].rows,
	};
	return 0;
}

int loadcell_mib_new(const char *arc, struct loadcell_mib **ret)
{
	_cleanup_(loadcell_mib_free) struct loadcell_mib *m = calloc(1, sizeof(*m));
	char *end = NULL;
	int r = 0;

	if (!m)
		return -ENOMEM;
	m->tree.tables = m->tables;
	m->tree.n = ARRAY_SIZE(m->tables);
	do
		m->tree.root[m->tree.len++] = strtoul(end ? end + 1 : arc, &end, 10);
	while (*end == '.' && m->tree.len < MIB_OID_MAX);
	for (enum smi_table t = SMI_STATUS; t < SMI_TABLE_END && r == 0; t++)
		r = make_table(m, t, &m->tables[t - 1]);
	if (r == 0)
		*ret = TAKE_PTR(m);
	return r;
}

void loadcell_mib_free(struct loadcell_mib *m)
{
	if (!m)
		return;
	for (int t = 0; t < SMI_TABLE_END; t++) {
		free(m->smi[t]);
		free(m->columns[t]);
	}
	free(m);
}

const struct mib_tree *loadcell_mib_tree(const struct loadcell_mib *m)
{
	return &m->tree;
}

/* --- objects of notifications ----------------------------------------------------------------- */

void loadcell_mib_object(const struct loadcell_mib *m, const struct view *v, enum smi_table table,
	unsigned int number, const json_t *event, struct mib_object *ret)
{
	const struct mib_place place = {v, 0};
	const struct mib_table *t = &m->tables[table - 1];
	const struct mib_column *c = t->columns;
	subid index = event ? (subid)json_integer_value(json_object_get(event, "id")) : 0;

	while (c->arc != SMI_ARC_FIXED + number)
		c++;
	*ret = (struct mib_object){.syntax = c->syntax};
	memcpy(ret->name, m->tree.root, m->tree.len * sizeof(subid));
	memcpy(ret->name + m->tree.len, t->oid, t->len * sizeof(subid));
	ret->len = m->tree.len + t->len;
	ret->name[ret->len++] = c->arc;
	ret->name[ret->len++] = index;
	/* Each object has to be there: what the event does not tell is 0 or "". */
	if (event)
		(void)get_member(event, c->data, &ret->value);
	else
		(void)get_status(&place, NULL, c, &ret->value);
}
