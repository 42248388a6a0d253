/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ended.h"

#include <search.h>
#include <string.h>

#include "../lib/index.h"
#include "../lib/journal.h"
#include "../lib/metric-json.h"
#include "history.h"

#define NAME_MIN_WIDTH 20
#define FIXED_WIDTH    60 /* of all other columns and the blanks between */

/* --- reading ---------------------------------------------------------------------------------- */

struct reading {
	void *tree; /* of struct ended, by handle; with line NULL: it runs */
	char *const *patterns;
	size_t n_patterns;
	bool no_memory;
	struct ended_list *list;
};

static int by_handle(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	return strcmp(x->handle, y->handle);
}

static struct ended *find(struct reading *r, const char *handle)
{
	struct ended **found =
		tfind(&(struct ended){.handle = (char *)handle}, &r->tree, by_handle);

	return found ? *found : NULL;
}

static struct ended *add(struct reading *r, const char *handle)
{
	struct ended *e = calloc(1, sizeof(*e));

	if (e)
		e->handle = strdup(handle);
	if (!e || !e->handle || !tsearch(e, &r->tree, by_handle)) {
		free(e ? e->handle : NULL);
		free(e);
		r->no_memory = true;
		return NULL;
	}
	return e;
}

/* The newest line of an instance stands last, but for clocks that were set back. */
static int take_line(void *data, const json_t *line)
{
	struct reading *r = data;
	const char *handle = history_text(line, "handle");
	uint64_t end_ns = journal_seconds(line, "end");
	struct ended *e;

	handle = *handle ? handle : history_text(line, "name");
	if (!*handle)
		return 0;
	e = find(r, handle);
	if (e && (!e->line || end_ns < e->end_ns))
		return 0;
	if (!e && (!history_matches(line, r->patterns, r->n_patterns) || !(e = add(r, handle))))
		return r->no_memory;
	free(e->line);
	e->line = json_dumps(line, JSON_COMPACT);
	e->end_ns = end_ns;
	return r->no_memory |= !e->line;
}

/* As the ledger would say it. The lxcpath of another kind is "KIND:" in the index. */
static json_t *line_of_entry(const struct index_entry *e)
{
	size_t len = strlen(e->lxcpath);
	bool other = len && e->lxcpath[len - 1] == ':';

	return json_pack("{s:s, s:s, s:I, s:s, s:s%, s:I}", "handle", e->handle, "name", e->name,
		"index", (json_int_t)e->number, "lxcpath", other ? "" : e->lxcpath, "kind",
		other ? e->lxcpath : "lxc", other ? len - 1 : (size_t)3, "end",
		(json_int_t)e->last_seen_s);
}

/* Told by the index alone: before there was a ledger, or from one that was lost. */
static int take_entry(void *data, const struct index_entry *entry)
{
	struct reading *r = data;
	json_t *line = find(r, entry->handle) ? NULL : line_of_entry(entry);

	if (line)
		take_line(r, line);
	json_decref(line);
	return r->no_memory;
}

static int note_running(struct reading *r, const struct view *v)
{
	struct snapshot_row row;

	for (size_t i = 0; snapshot_row(v->snapshot, SCOPE_INSTANCE, i, &row) == 0; i++) {
		if (!find(r, row.text[TEXT_HANDLE]))
			add(r, row.text[TEXT_HANDLE]);
	}
	return r->no_memory ? -ENOMEM : 0;
}

static int last_first(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	if (x->end_ns != y->end_ns)
		return x->end_ns > y->end_ns ? -1 : 1;
	return strcmp(x->handle, y->handle);
}

/* Moves what the tree has into the list. */
static void drain_tree(struct reading *r, size_t max)
{
	struct ended_list *l = r->list;

	while (r->tree) {
		struct ended *e = *(struct ended **)r->tree;

		tdelete(e, &r->tree, by_handle);
		if (e->line && l->item && l->n < max)
			l->item[l->n++] = *e;
		else {
			free(e->handle);
			free(e->line);
		}
		free(e);
	}
}

static void count_node(const void *node, VISIT visit, void *data)
{
	*(size_t *)data += visit == postorder || visit == leaf;
}

int ended_read(const struct cli *cli, const struct view *v, char *const *patterns, size_t n,
	struct ended_list *ret)
{
	_cleanup_free_ char *path = config_data_path(cli->config, "index");
	_cleanup_(index_free) struct index *index = NULL;
	struct reading r = {.patterns = patterns, .n_patterns = n, .list = ret};
	size_t all = 0;
	int result = 0;

	*ret = (struct ended_list){0};
	if (note_running(&r, v) == 0)
		result = journal_read(
			cli->config->data_dir, "runs", 0, take_line, &r, &ret->damaged);
	if (path && access(path, R_OK) == 0 && index_load(path, &index, NULL) >= 0)
		index_each(index, take_entry, &r);
	twalk_r(r.tree, count_node, &all);
	ret->item = calloc(all + 1, sizeof(*ret->item));
	drain_tree(&r, all);
	if (r.no_memory || !ret->item || result < 0) {
		ended_free(ret);
		return r.no_memory || !ret->item ? -ENOMEM : result;
	}
	qsort(ret->item, ret->n, sizeof(*ret->item), last_first);
	return 0;
}

void ended_free(struct ended_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->item[i].handle);
		free(l->item[i].line);
	}
	free(l->item);
	*l = (struct ended_list){0};
}

/* --- printing --------------------------------------------------------------------------------- */

static struct value value_in(const json_t *line, const struct metric *m)
{
	return metric_from_json(
		m, json_object_get(json_object_get(line, "metrics"), m->name), SCALE_BASE);
}

static const char *cell_in(const json_t *line, enum metric_id id, struct cell *buf)
{
	const struct metric *m = metric_by_id(id);

	*buf = cell_value(m, value_in(line, m), "max");
	return buf->text;
}

static void put_row(const struct cli *cli, const struct ended *e, size_t width)
{
	json_t *line = json_loads(e->line, 0, NULL);
	uint64_t start_ns = journal_seconds(line, "start");
	_cleanup_free_ char *handle = text_clean(e->handle),
			    *how = text_clean(history_text(line, "how"));
	_cleanup_free_ char *name = handle ? text_fit(handle, width, false) : NULL;
	struct cell ran = {"-"}, cpu, peak;

	if (start_ns && e->end_ns >= start_ns)
		ran = cell_duration(e->end_ns - start_ns);
	fprintf(cli->out, "%s ended %19s %-10s %7s %7s %6s\n", name ? name : "?",
		e->end_ns ? cell_time(e->end_ns).text : "-", how && *how ? how : "-", ran.text,
		cell_in(line, METRIC_CPU_USAGE, &cpu), cell_in(line, METRIC_MEMORY_PEAK, &peak));
	json_decref(line);
}

void ended_text(const struct cli *cli, const struct ended_list *l, bool wide)
{
	size_t width = NAME_MIN_WIDTH;

	if (!l->n)
		return;
	for (size_t i = 0; i < l->n; i++) {
		_cleanup_free_ char *clean = text_clean(l->item[i].handle);

		width = MAX(width, clean ? text_width(clean) : 0);
	}
	if (!wide)
		width = MIN(width, (size_t)MAX(cli->width - FIXED_WIDTH, NAME_MIN_WIDTH));
	fprintf(cli->out, "\n%-*s STATE %19s %-10s %7s %7s %6s\n", (int)width, "NAME", "ENDED",
		"HOW", "RAN", "CPU", "PEAK");
	for (size_t i = 0; i < l->n; i++)
		put_row(cli, &l->item[i], width);
}

void ended_instance(struct json_out *j, const struct ended *e)
{
	json_t *line = json_loads(e->line, 0, NULL);
	uint64_t start_ns = journal_seconds(line, "start");
	_cleanup_free_ char *groups = NULL;
	const struct metric *m;

	json_text(j, "name", history_text(line, "name"));
	json_text(j, "handle", e->handle);
	json_number(j, "index", (uint64_t)json_integer_value(json_object_get(line, "index")));
	json_text(j, "hostname", history_text(line, "hostname"));
	groups = history_groups(line);
	json_lines(j, "groups", groups ? groups : "");
	json_embed(j, "facts", json_object_get(line, "facts"));
	json_text(j, "lxcpath", history_text(line, "lxcpath"));
	json_text(j, "kind", history_text(line, "kind"));
	json_text(j, "state", "ended");
	json_text(j, "run", history_text(line, "run"));
	if (start_ns)
		json_seconds(j, "start", start_ns);
	else
		json_text(j, "start", NULL);
	json_seconds(j, "end", e->end_ns);
	json_text(j, "how", history_text(line, "how"));
	json_begin(j, "metrics", '{');
	for_each_metric (SCOPE_INSTANCE, slot, m)
		json_metric(j, m->name, m, value_in(line, m));
	json_end(j, '}');
	json_decref(line);
}

void ended_json(struct json_out *j, const struct ended_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		json_line(j);
		json_begin(j, NULL, '{');
		ended_instance(j, &l->item[i]);
		json_end(j, '}');
	}
}

void ended_csv(const struct cli *cli, const struct ended_list *l)
{
	const struct metric *m;

	for (size_t i = 0; i < l->n; i++) {
		json_t *line = json_loads(l->item[i].line, 0, NULL);
		_cleanup_free_ char *lines = history_groups(line);
		_cleanup_free_ char *groups = lines ? join_lines(lines) : NULL;
		const char *texts[] = {l->item[i].handle, history_text(line, "name"),
			history_text(line, "hostname"), groups, history_text(line, "lxcpath"),
			history_text(line, "kind"), "ended"};

		fputs(cell_seconds(l->item[i].end_ns).text, cli->out);
		for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
			putc(',', cli->out);
			csv_text(cli->out, cli->tty, texts[t] ? texts[t] : "");
		}
		fprintf(cli->out, ",%s", history_text(line, "run"));
		for_each_metric (SCOPE_INSTANCE, slot, m)
			fprintf(cli->out, ",%s", cell_exact(m, value_in(line, m)).text);
		putc('\n', cli->out);
		json_decref(line);
	}
}
