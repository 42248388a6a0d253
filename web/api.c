/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <microhttpd.h>

#include "../cli/ended.h"
#include "answer.h"

#define ASKED_MAX 64

/* --- a table of some metrics -------------------------------------------------------------------
 */

struct table {
	struct look look;
	const struct metric *metrics[ASKED_MAX];
	size_t n;
	struct row_match *rows;
	size_t n_rows;
	struct last_event {
		double time; /* 0: none is known */
		char type[24];
	} * events; /* of each row */
	size_t missing;
};

/* "metrics=A,B": some of an instance's. */
static bool take_metrics(const struct request *r, struct answer *a, enum metric_scope scope,
	const struct metric **metrics, size_t max, size_t *ret_n)
{
	const char *text = request_value(r, "metrics");
	_cleanup_free_ char *copy = text ? strdup(text) : NULL;
	char *rest = copy;

	*ret_n = 0;
	for (char *name; (name = strsep(&rest, ","));) {
		const struct metric *m = metric_by_name(name);

		if (!m || m->scope != scope) {
			answer_error(r, a, MHD_HTTP_BAD_REQUEST,
				"metrics: there is no metric \"%s\" of %s; see /api/v1/metrics",
				name, scope == SCOPE_HOST ? "the host" : "instances");
			return false;
		}
		if (*ret_n == max) {
			answer_error(r, a, MHD_HTTP_BAD_REQUEST, "metrics: more than %zu", max);
			return false;
		}
		metrics[(*ret_n)++] = m;
	}
	return true;
}

static void no_data(const struct request *r, struct answer *a, const struct look *l)
{
	a->retry_after = 5;
	answer_error(r, a, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", l->why.text);
}

static void put_double(struct json_out *j, const char *key, double v)
{
	char text[32];

	json_key(j, key);
	if (isfinite(v))
		snprintf(text, sizeof(text), "%.10g", v);
	fputs(isfinite(v) ? text : "null", j->out);
}

static void put_rates(struct json_out *j, const struct look *l, const struct metric *const *metrics,
	size_t n, size_t row, uint32_t index, uint64_t run)
{
	json_begin(j, "rates", '{');
	for (size_t i = 0; i < n; i++) {
		double rate;

		if (metrics[i]->kind == KIND_COUNTER)
			put_double(j, metrics[i]->name,
				look_rate(l, metrics[i], row, index, run, &rate) ? rate : NAN);
	}
	json_end(j, '}');
}

static int by_handle(const void *key, const void *row)
{
	return strcmp(key, ((const struct row_match *)row)->fixed.text[TEXT_HANDLE]);
}

static bool note_event(void *data, const struct site_line *line)
{
	struct table *t = data;
	const struct row_match *row =
		bsearch(line->handle, t->rows, t->n_rows, sizeof(*t->rows), by_handle);
	struct last_event *e = row ? &t->events[row - t->rows] : NULL;

	if (e && !*e->type) {
		e->time = line->time;
		memcpy(e->type, line->type, sizeof(e->type));
		t->missing--;
	}
	return t->missing > 0;
}

static void put_instance(struct json_out *j, const struct table *t, size_t i)
{
	const struct row_match *row = &t->rows[i];
	const struct snapshot_row *fixed = &row->fixed;
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, fixed->run);
	json_text(j, "name", fixed->text[TEXT_NAME]);
	json_text(j, "handle", fixed->text[TEXT_HANDLE]);
	json_number(j, "index", fixed->index);
	json_text(j, "hostname", fixed->text[TEXT_HOSTNAME]);
	json_lines(j, "groups", fixed->text[TEXT_GROUPS]);
	json_text(j, "state", fixed->text[TEXT_STATE]);
	json_text(j, "run", fixed->run ? run : NULL);
	json_bool(j, "network_shared", fixed->flags & SNAPSHOT_NETWORK_SHARED);
	json_begin(j, "metrics", '{');
	for (size_t k = 0; k < t->n; k++)
		json_metric(j, t->metrics[k]->name, t->metrics[k],
			snapshot_value(t->look.view.snapshot, SCOPE_INSTANCE, row->row,
				t->metrics[k]->id));
	json_end(j, '}');
	put_rates(j, &t->look, t->metrics, t->n, row->row, fixed->index, fixed->run);
	if (*t->events[i].type) {
		json_begin(j, "last_event", '{');
		put_double(j, "time", t->events[i].time);
		json_text(j, "type", t->events[i].type);
		json_end(j, '}');
	} else {
		json_text(j, "last_event", NULL);
	}
}

static void put_ended(struct json_out *j, const struct asked *q, const struct table *t)
{
	/* ended_read() asks a command for its configuration, and nothing else. */
	const struct cli cli = {.config = (struct config *)(uintptr_t)site_config(q->site)};
	struct ended_list list = {0};

	if (ended_read(&cli, &t->look.view, NULL, 0, &list) == 0)
		ended_json(j, &list);
	ended_free(&list);
}

static void put_table(const struct asked *q, struct answer *a, struct table *t)
{
	struct json_out j = {.out = answer_open(a, TYPE_JSON)};

	if (!j.out)
		return;
	document_begin(&j, &t->look.view);
	for (size_t i = 0; i < t->n_rows; i++) {
		json_line(&j);
		json_begin(&j, NULL, '{');
		put_instance(&j, t, i);
		json_end(&j, '}');
	}
	if (request_value(q->request, "all"))
		put_ended(&j, q, t);
	document_end(&j);
	answer_close(a, j.out);
}

void answer_instances(const struct asked *q, struct answer *a)
{
	struct table t = {0};
	ssize_t n;

	if (!take_metrics(q->request, a, SCOPE_INSTANCE, t.metrics, ASKED_MAX, &t.n))
		return;
	site_look(q->site, &t.look);
	if (!t.look.view.snapshot) {
		no_data(q->request, a, &t.look);
		return;
	}
	n = view_instances(&t.look.view, NULL, 0, &t.rows);
	t.n_rows = n > 0 ? (size_t)n : 0;
	t.missing = t.n_rows;
	t.events = calloc(t.n_rows + 1, sizeof(*t.events));
	if (n >= 0 && t.events) {
		if (t.n_rows)
			site_lines(q->site, SITE_EVENTS, NULL, note_event, &t, NULL);
		put_table(q, a, &t);
	}
	free(t.events);
	free(t.rows);
	site_look_done(q->site, &t.look);
}

/* --- one instance ------------------------------------------------------------------------------
 */

static void put_whole(struct json_out *j, const struct look *l, const struct row_match *row)
{
	size_t n = metric_count(SCOPE_INSTANCE);
	_cleanup_free_ const struct metric **all = calloc(n, sizeof(*all));
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m)
		if (all)
			all[slot] = m;
	document_instance(j, &l->view, row);
	put_rates(j, l, all, all ? n : 0, row->row, row->fixed.index, row->fixed.run);
}

/* The document of `loadcell show --json`, as `instance` and with rates. */
static void put_running(struct answer *a, const struct look *l, const struct row_match *row)
{
	struct json_out j = {.out = answer_open(a, TYPE_JSON)};

	if (!j.out)
		return;
	document_head(&j, &l->view);
	json_begin(&j, "instance", '{');
	put_whole(&j, l, row);
	json_end(&j, '}');
	json_end(&j, '}');
	putc('\n', j.out);
	answer_close(a, j.out);
}

/* fnmatch(3) takes the handle for nothing else than it is. */
static char *as_pattern(const char *handle)
{
	char *pattern = malloc(2 * strlen(handle) + 1), *p = pattern;

	for (; p && *handle; *p++ = *handle++)
		if (strchr("\\*?[", *handle))
			*p++ = '\\';
	if (p)
		*p = '\0';
	return pattern;
}

/* From the ledger; false: it is not known there either. */
static bool put_last_run(const struct asked *q, struct answer *a, const struct look *l)
{
	const struct cli cli = {.config = (struct config *)(uintptr_t)site_config(q->site)};
	_cleanup_free_ char *pattern = as_pattern(q->request->rest);
	struct ended_list list = {0};
	struct json_out j = {0};
	bool found = false;

	if (pattern && ended_read(&cli, &l->view, &pattern, 1, &list) == 0)
		for (size_t i = 0; i < list.n && !found; i++) {
			if (strcmp(list.item[i].handle, q->request->rest) != 0)
				continue;
			found = true;
			j.out = answer_open(a, TYPE_JSON);
			if (!j.out)
				break;
			document_head(&j, &l->view);
			json_begin(&j, "instance", '{');
			ended_instance(&j, &list.item[i]);
			json_end(&j, '}');
			json_end(&j, '}');
			putc('\n', j.out);
			answer_close(a, j.out);
		}
	ended_free(&list);
	return found;
}

void answer_instance(const struct asked *q, struct answer *a)
{
	_cleanup_free_ struct row_match *rows = NULL;
	const struct row_match *row;
	struct look l;
	ssize_t n;

	site_look(q->site, &l);
	if (!l.view.snapshot) {
		no_data(q->request, a, &l);
		return;
	}
	n = view_instances(&l.view, NULL, 0, &rows);
	row = n > 0 ? bsearch(q->request->rest, rows, (size_t)n, sizeof(*rows), by_handle) : NULL;
	if (row)
		put_running(a, &l, row);
	else if (!put_last_run(q, a, &l))
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND,
			"there is no instance \"%s\"; see /api/v1/instances", q->request->rest);
	site_look_done(q->site, &l);
}

/* --- the table of metrics, and health -----------------------------------------------------------
 */

void answer_table(const struct asked *q, struct answer *a)
{
	FILE *out = answer_open(a, TYPE_JSON);

	(void)q;
	if (!out)
		return;
	document_metric_table(out);
	answer_close(a, out);
}

void answer_health(const struct asked *q, struct answer *a)
{
	struct look l;
	FILE *out;

	site_look(q->site, &l);
	if (*l.why.text)
		no_data(q->request, a, &l);
	else if ((out = answer_open(a, TYPE_TEXT))) {
		fputs("ok\n", out);
		answer_close(a, out);
	}
	site_look_done(q->site, &l);
}
