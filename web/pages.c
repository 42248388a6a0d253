/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include <microhttpd.h>

#include "../graph/pictures.h"
#include "answer.h"

/*
 * The pages. Their files are read once, at the start: no request names a file. Where a page has the
 * line <!--noscript-->, what a browser without JavaScript gets is put: the same figures as a table,
 * the charts as pictures.
 */
#define PAGE_FILE_MAX (4 << 20)
#define DYGRAPHS      "/usr/share/javascript/dygraphs"
#define HOLE          "<!--noscript-->"
#define LINES_SHOWN   100

struct pages {
	struct page_file *file;
	size_t n;
};

static const char *type_of(const char *name)
{
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{".html", TYPE_HTML},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"},
	};
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].suffix, suffix))
			return types[i].type;
	return NULL;
}

static int add_file(
	struct pages *p, int dir, const char *dir_name, const char *name, struct error *err)
{
	struct page_file *bigger = reallocarray(p->file, p->n + 1, sizeof(*bigger)), *f;
	int r;

	if (!bigger)
		return error_set(err, -ENOMEM, "out of memory");
	p->file = bigger;
	f = &bigger[p->n];
	*f = (struct page_file){.type = type_of(name)};
	r = read_file_alloc(dir, name, PAGE_FILE_MAX, &f->body, &f->len);
	if (r < 0)
		return error_set(err, r, "cannot read %s/%s: %s", dir_name, name, strerror(-r));
	f->name = strdup(name);
	p->n++;
	return f->name ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int load_own(struct pages *p, const char *path, struct error *err)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return error_set(err, -errno, "cannot read the pages in %s: %m", path);
	while (r == 0 && (d = readdir(dir)))
		if (type_of(d->d_name))
			r = add_file(p, dirfd(dir), path, d->d_name, err);
	return r;
}

int pages_load(const char *dir, struct pages **ret, struct error *err)
{
	static const char *const charts[] = {"dygraph.min.js", "dygraph.min.css"};
	_cleanup_(pages_free) struct pages *p = calloc(1, sizeof(*p));
	_cleanup_close_ int dygraphs = open(DYGRAPHS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = p ? load_own(p, dir, err) : error_set(err, -ENOMEM, "out of memory");

	if (r == 0 && !pages_find(p, "index.html"))
		r = error_set(err, -ENOENT, "there are no pages in %s", dir);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(charts); i++)
		if (dygraphs < 0)
			r = error_set(err, -ENOENT,
				"the charts' library is not there: install libjs-dygraphs (%s)",
				DYGRAPHS);
		else
			r = add_file(p, dygraphs, DYGRAPHS, charts[i], err);
	if (r == 0)
		*ret = TAKE_PTR(p);
	return r;
}

void pages_free(struct pages *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->file[i].body);
		free((char *)(uintptr_t)p->file[i].name);
	}
	free(p->file);
	free(p);
}

const struct page_file *pages_at(const struct pages *p, size_t n)
{
	return n < p->n ? &p->file[n] : NULL;
}

const struct page_file *pages_find(const struct pages *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->file[i].name, name))
			return &p->file[i];
	return NULL;
}

/* --- without JavaScript -------------------------------------------------------------------------
 */

static void put_link(FILE *out, const char *handle)
{
	char encoded[3 * 256 + 1];

	percent_encode(handle, encoded, sizeof(encoded) - 1);
	fprintf(out, "<a href=\"/instance/%s\">", encoded);
	put_html(out, handle);
	fputs("</a>", out);
}

static void put_pictures(FILE *out, const char *name, enum picture_scope scope)
{
	char encoded[3 * 256 + 1];

	percent_encode(name, encoded, sizeof(encoded) - 1);
	for (size_t i = 0; i < pictures_count; i++)
		if (pictures[i].scope == scope)
			fprintf(out,
				"<p><img src=\"/graph/%s/%s.png\" alt=\"%s, one day\" "
				"width=\"900\"></p>\n",
				encoded, pictures[i].id, pictures[i].title);
}

static void put_instances(const struct asked *q, FILE *out)
{
	static const unsigned int shown[] = {METRIC_CPU_USED_CORES, METRIC_CPU_LIMIT,
		METRIC_MEMORY_WORKING_SET, METRIC_MEMORY_LIMIT, METRIC_PIDS_CURRENT,
		METRIC_DISK_USED, METRIC_MEMORY_OOM_KILLS, METRIC_UPTIME};
	_cleanup_free_ struct row_match *rows = NULL;
	struct look l;
	ssize_t n = 0;

	site_look(q->site, &l);
	if (l.view.snapshot)
		n = view_instances(&l.view, NULL, 0, &rows);
	if (*l.why.text)
		fputs("<p>", out), put_html(out, l.why.text), fputs("</p>\n", out);
	fputs("<table><thead><tr><th>Name<th>CPU<th>limit<th>Memory<th>limit<th>Tasks<th>Disk<th>"
	      "OOM kills<th>Up</tr></thead>\n",
		out);
	for (ssize_t i = 0; i < n; i++) {
		fputs("<tr><th>", out);
		put_link(out, rows[i].fixed.text[TEXT_HANDLE]);
		for (size_t k = 0; k < ARRAY_SIZE(shown); k++)
			fprintf(out, "<td>%s",
				cell_value(metric_by_id(shown[k]),
					snapshot_value(l.view.snapshot, SCOPE_INSTANCE, rows[i].row,
						shown[k]),
					"unlimited")
					.text);
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
	site_look_done(q->site, &l);
}

struct shown {
	FILE *out;
	unsigned int left;
};

static bool put_line(void *data, const struct site_line *line)
{
	json_t *json = json_loads(line->text, 0, NULL);
	const json_t *time = json_object_get(json, *line->type ? "time" : "end");
	const char *how = json_string_value(json_object_get(json, "how"));
	struct shown *s = data;

	fprintf(s->out, "<tr><td>%s<td>",
		cell_time((uint64_t)(json_number_value(time) * 1e9)).text);
	put_link(s->out, line->handle);
	fputs("<td>", s->out);
	put_html(s->out, *line->type ? line->type : how ? how : "");
	fputs("</tr>\n", s->out);
	json_decref(json);
	return --s->left > 0;
}

static void put_journal(const struct asked *q, FILE *out, enum site_journal which)
{
	struct shown s = {out, LINES_SHOWN};

	fputs("<table><thead><tr><th>Time<th>Name<th>What</tr></thead>\n", out);
	site_lines(q->site, which, NULL, put_line, &s, NULL);
	fputs("</table>\n", out);
}

static void put_without_script(const struct asked *q, FILE *out, const char *page)
{
	fputs("<noscript>\n", out);
	if (!strcmp(page, "index.html"))
		put_instances(q, out);
	else if (!strcmp(page, "host.html"))
		put_pictures(out, "host", PICTURE_HOST);
	else if (!strcmp(page, "instance.html"))
		put_pictures(out, q->request->rest, PICTURE_INSTANCE);
	else
		put_journal(q, out, !strcmp(page, "events.html") ? SITE_EVENTS : SITE_RUNS);
	fputs("</noscript>", out);
}

/* --- pages ---------------------------------------------------------------------------------------
 */

static void put_page(const struct asked *q, struct answer *a, const char *name)
{
	const struct page_file *f = pages_find(q->pages, name);
	const char *hole = f ? memmem(f->body, f->len, HOLE, strlen(HOLE)) : NULL;
	size_t before = hole ? (size_t)(hole - f->body) : 0;
	FILE *out;

	if (!hole) {
		answer_error(q->request, a, MHD_HTTP_INTERNAL_SERVER_ERROR, "there is no %s", name);
		return;
	}
	out = answer_open(a, TYPE_HTML);
	if (!out)
		return;
	fwrite(f->body, before, 1, out);
	put_without_script(q, out, name);
	fwrite(hole + strlen(HOLE), f->len - before - strlen(HOLE), 1, out);
	answer_close(a, out);
}

void answer_page(const struct asked *q, struct answer *a)
{
	_cleanup_free_ char *name = format_string("%s.html",
		*q->request->path == '/' && q->request->path[1] ? q->request->path + 1 : "index");

	if (name)
		put_page(q, a, name);
}

void answer_instance_page(const struct asked *q, struct answer *a)
{
	struct fetch *f = NULL;
	struct error err;
	bool known = site_fetch(q->site, &f, &err) == 0 && fetch_find(f, q->request->rest);

	if (f)
		site_fetch_done(q->site, f);
	if (known)
		put_page(q, a, "instance.html");
	else
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND,
			"There has never been an instance \"%s\" on this host.", q->request->rest);
}
