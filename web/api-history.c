/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <microhttpd.h>

#include "answer.h"

#define POINTS     500
#define POINTS_MAX 5000
#define LINES      100
#define LINES_MAX  5000
#define FUTURE_S   (10 * 366 * UINT64_C(86400))

/* --- series ------------------------------------------------------------------------------------
 */

struct wanted {
	struct fetch_query query;
	unsigned int metrics[FETCH_METRICS_MAX];
	const char *names[FETCH_METRICS_MAX];
	uint64_t points;
};

static bool take_names(const struct request *r, struct answer *a, struct wanted *w, char *list)
{
	enum metric_scope scope = request_value(r, "host") ? SCOPE_HOST : SCOPE_INSTANCE;

	for (char *name; (name = strsep(&list, ","));) {
		const struct metric *m = metric_by_name(name);

		if (!m || m->scope != scope) {
			answer_error(r, a, MHD_HTTP_BAD_REQUEST,
				"metrics: there is no metric \"%s\" of %s; see /api/v1/metrics",
				name, scope == SCOPE_HOST ? "the host" : "instances");
			return false;
		}
		if (w->query.n_metrics == FETCH_METRICS_MAX) {
			answer_error(r, a, MHD_HTTP_BAD_REQUEST, "metrics: more than %d",
				FETCH_METRICS_MAX);
			return false;
		}
		w->names[w->query.n_metrics] = m->name;
		w->metrics[w->query.n_metrics++] = m->id;
	}
	return true;
}

static bool take_span(const struct request *r, struct answer *a, struct wanted *w)
{
	uint64_t now = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	const char *what = request_value(r, "what");

	w->query.to_s = request_number(r, "to", now, now + FUTURE_S);
	w->query.from_s = request_number(r, "from", now - 3600, now + FUTURE_S);
	w->points = request_number(r, "points", POINTS, POINTS_MAX);
	w->query.what = what && !strcmp(what, "maximum") ? FETCH_MAXIMUM : FETCH_AVERAGE;
	if (w->query.to_s == UINT64_MAX || w->query.from_s >= w->query.to_s)
		answer_error(
			r, a, MHD_HTTP_BAD_REQUEST, "from, to: seconds since 1970, from before to");
	else if (w->points == UINT64_MAX || !w->points)
		answer_error(r, a, MHD_HTTP_BAD_REQUEST, "points: 1 to %d", POINTS_MAX);
	else if (what && strcmp(what, "average") != 0 && w->query.what == FETCH_AVERAGE)
		answer_error(r, a, MHD_HTTP_BAD_REQUEST, "what: average or maximum");
	else
		return true;
	return false;
}

static void put_series(struct answer *a, const struct wanted *w, const struct series *s)
{
	struct json_out j = {.out = answer_open(a, TYPE_JSON)};

	if (!j.out)
		return;
	json_begin(&j, NULL, '{');
	json_number(&j, "start", s->start_s);
	json_number(&j, "step", s->step_s);
	json_number(&j, "resolution", s->resolution_s);
	json_number(&j, "ring_since", s->ring_since_s);
	json_begin(&j, "series", '{');
	for (size_t m = 0; m < s->metrics; m++) {
		const double *v = series_of(s, m);

		json_begin(&j, w->names[m], '[');
		for (size_t i = 0; i < s->n; i++)
			if (isfinite(v[i]))
				fprintf(j.out, "%s%.10g", i ? "," : "", v[i]);
			else
				fputs(i ? ",null" : "null", j.out);
		json_end(&j, ']');
	}
	json_end(&j, '}');
	json_end(&j, '}');
	putc('\n', j.out);
	answer_close(a, j.out);
}

static void fetch_and_put(
	const struct asked *q, struct answer *a, struct wanted *w, struct fetch *f)
{
	const char *name = request_value(q->request, "instance");
	const struct index_entry *e = name ? fetch_find(f, name) : NULL;
	_cleanup_(series_free) struct series s = {0};
	struct error err = {""};
	int r;

	if (name && !e) {
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND,
			"there is no instance \"%s\"; see /api/v1/instances", name);
		return;
	}
	w->query.index = e ? e->number : FETCH_HOST;
	w->query.metrics = w->metrics;
	w->query.step_s = fetch_step(f, w->query.from_s, w->query.to_s, w->points);
	r = fetch_series(f, &w->query, &s, &err);
	if (r < 0)
		answer_error(q->request, a,
			r == -ENOENT                  ? MHD_HTTP_NOT_FOUND
			: r == -E2BIG || r == -EINVAL ? MHD_HTTP_BAD_REQUEST
						      : MHD_HTTP_INTERNAL_SERVER_ERROR,
			"%s", err.text);
	else
		put_series(a, w, &s);
}

void answer_series(const struct asked *q, struct answer *a)
{
	const struct request *r = q->request;
	const char *list = request_value(r, "metrics");
	_cleanup_free_ char *names = list ? strdup(list) : NULL;
	struct wanted w = {0};
	struct fetch *f;
	struct error err;

	if (!names || !request_value(r, "instance") == !request_value(r, "host")) {
		answer_error(r, a, MHD_HTTP_BAD_REQUEST,
			"metrics=A,B and one of instance=NAME and host=1 are wanted");
		return;
	}
	if (!take_names(r, a, &w, names) || !take_span(r, a, &w))
		return;
	if (site_fetch(q->site, &f, &err) < 0) {
		answer_error(r, a, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", err.text);
		return;
	}
	fetch_and_put(q, a, &w, f);
	site_fetch_done(q->site, f);
}

/* --- journals -----------------------------------------------------------------------------------
 */

struct listing {
	struct json_out j;
	uint64_t left;
};

static bool put_line(void *data, const struct site_line *line)
{
	struct listing *l = data;

	if (!l->left)
		return false;
	json_line(&l->j);
	fputs(line->text, l->j.out);
	l->j.comma = true;
	return --l->left > 0;
}

/* A run that goes on, with the members of the ledger's lines as far as they are known. */
static void put_running(struct listing *l, const struct look *look, const struct row_match *row)
{
	const struct snapshot_row *fixed = &row->fixed;
	struct json_out *j = &l->j;
	struct value start =
		snapshot_value(look->view.snapshot, SCOPE_INSTANCE, row->row, METRIC_START_TIME);
	char run[17];

	snprintf(run, sizeof(run), "%016" PRIx64, fixed->run);
	json_line(j);
	json_begin(j, NULL, '{');
	json_text(j, "run", run);
	json_text(j, "name", fixed->text[TEXT_NAME]);
	json_text(j, "handle", fixed->text[TEXT_HANDLE]);
	json_number(j, "index", fixed->index);
	json_text(j, "hostname", fixed->text[TEXT_HOSTNAME]);
	json_lines(j, "groups", fixed->text[TEXT_GROUPS]);
	json_text(j, "lxcpath", fixed->text[TEXT_LXCPATH]);
	json_text(j, "kind", fixed->text[TEXT_KIND]);
	json_metric(j, "start", metric_by_id(METRIC_START_TIME), start);
	json_text(j, "end", NULL);
	json_text(j, "how", "running");
	document_metrics(j, &look->view, SCOPE_INSTANCE, row->row);
	json_end(j, '}');
	l->left--;
}

static void put_all_running(const struct asked *q, struct listing *l, const char *handle)
{
	_cleanup_free_ struct row_match *rows = NULL;
	struct look look;
	ssize_t n = 0;

	site_look(q->site, &look);
	if (look.view.snapshot && !look.view.stale)
		n = view_instances(&look.view, NULL, 0, &rows);
	for (ssize_t i = 0; i < n && l->left; i++)
		if (!handle || !strcmp(rows[i].fixed.text[TEXT_HANDLE], handle))
			put_running(l, &look, &rows[i]);
	site_look_done(q->site, &look);
}

static void answer_journal(
	const struct asked *q, struct answer *a, enum site_journal which, const char *name)
{
	const char *handle = request_value(q->request, "instance");
	struct listing l = {.left = request_number(q->request, "limit", LINES, LINES_MAX)};
	bool complete = true;

	if (!l.left || l.left == UINT64_MAX) {
		answer_error(q->request, a, MHD_HTTP_BAD_REQUEST, "limit: 1 to %d", LINES_MAX);
		return;
	}
	l.j.out = answer_open(a, TYPE_JSON);
	if (!l.j.out)
		return;
	json_begin(&l.j, NULL, '{');
	json_begin(&l.j, name, '[');
	if (which == SITE_RUNS)
		put_all_running(q, &l, handle);
	if (l.left)
		site_lines(q->site, which, handle, put_line, &l, &complete);
	json_end(&l.j, ']');
	json_bool(&l.j, "complete", complete && l.left);
	json_end(&l.j, '}');
	putc('\n', l.j.out);
	answer_close(a, l.j.out);
}

void answer_events(const struct asked *q, struct answer *a)
{
	answer_journal(q, a, SITE_EVENTS, "events");
}

void answer_runs(const struct asked *q, struct answer *a)
{
	answer_journal(q, a, SITE_RUNS, "runs");
}
