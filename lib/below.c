/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "below.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "metric.h"
#include "parse.h"
#include "plan.h"

#define ROWS_MAX    4
#define COUNTED_MAX (ROWS_MAX * 4 * BELOW_CGROUPS_MAX)

/* A table row whose source says SOURCE_DESCENDANTS. */
struct below_row {
	enum metric_id id;
	enum controller controller;
	const char *file;
	struct parse_key key;
};

struct counted {
	uint8_t row;
	bool seen;
	ino_t inode;
	uint64_t last;
};

struct below_instance {
	struct below_instance *next;
	uint32_t index;
	uint64_t run;
	char *path[ROWS_MAX]; /* below the controller's mount; NULL: not to be summed */
	char *tasks_path;
	uint64_t total[ROWS_MAX];
	struct counted *counted;
	size_t n_counted;
	bool partial; /* this pass did not see everything */
};

struct below {
	const struct hierarchies *h;
	struct below_row rows[ROWS_MAX];
	size_t n_rows;
	enum controller tasks_in; /* where to count tasks; CONTROLLER_NONE: pids does it */
	struct below_instance *instances;
	struct below_instance *at; /* where the pass goes on; NULL: at the first one */
};

int below_new(const struct hierarchies *h, struct below **ret)
{
	struct below *b = calloc(1, sizeof(*b));
	const struct metric *m;

	if (!b)
		return -ENOMEM;
	b->h = h;
	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const struct metric_source *s = plan_source(m, h);

		if (!(s->flags & SOURCE_DESCENDANTS) || b->n_rows == ROWS_MAX ||
			!h->controller[s->controller].version)
			continue;
		b->rows[b->n_rows++] = (struct below_row){
			.id = m->id,
			.controller = s->controller,
			.file = s->file,
			.key = {s->key, strlen(s->key), s->scale},
		};
	}
	if (!h->controller[CONTROLLER_PIDS].version)
		b->tasks_in = h->controller[CONTROLLER_CPUACCT].version ? CONTROLLER_CPUACCT
									: CONTROLLER_NONE;
	*ret = b;
	return 0;
}

static void instance_clear(struct below_instance *in)
{
	for (size_t i = 0; i < ROWS_MAX; i++)
		free(in->path[i]);
	free(in->tasks_path);
	free(in->counted);
	free(in);
}

void below_free(struct below *b)
{
	if (!b)
		return;
	while (b->instances) {
		struct below_instance *in = b->instances;

		b->instances = in->next;
		instance_clear(in);
	}
	free(b);
}

void below_disappeared(struct below *b, uint32_t index, uint64_t run)
{
	for (struct below_instance **p = &b->instances; *p; p = &(*p)->next) {
		struct below_instance *in = *p;

		if (in->index != index || (run != 0 && in->run != run))
			continue;
		*p = in->next;
		if (b->at == in)
			b->at = in->next;
		instance_clear(in);
		return;
	}
}

/* Since 6.11 pids.events of v2 counts for all below, and pids.events.local is there as well. */
static bool counts_for_all_below(
	const struct below *b, const struct below_row *row, const char *cgroup)
{
	_cleanup_free_ char *local = NULL;
	const struct hierarchy *h = &b->h->controller[row->controller];

	if (h->version != 2)
		return false;
	local = format_string("%s/%s.local", cgroup + 1, row->file);
	return local && faccessat(h->fd, local, F_OK, 0) == 0;
}

/* Adds what a cgroup counted since it was last seen. */
static void add_count(struct below_instance *in, size_t row, ino_t inode, uint64_t count)
{
	struct counted *bigger;

	for (size_t i = 0; i < in->n_counted; i++) {
		struct counted *c = &in->counted[i];

		if (c->row != row || c->inode != inode)
			continue;
		in->total[row] += count > c->last ? count - c->last : 0;
		c->last = count;
		c->seen = true;
		return;
	}
	bigger = reallocarray(in->counted, in->n_counted + 1, sizeof(*bigger));
	if (!bigger)
		return;
	in->counted = bigger;
	in->counted[in->n_counted++] =
		(struct counted){.row = row, .seen = true, .inode = inode, .last = count};
	in->total[row] += count;
}

struct walk {
	int depth;
	size_t left; /* cgroups that may still be visited */
	void (*visit)(struct walk *w, int dir);
	const struct below *b;
	struct below_instance *in;
	size_t row;
	uint64_t tasks;
};

/* Visits the cgroups below dir (not dir itself), which is closed. */
static void walk_below(struct walk *w, int dir)
{
	_cleanup_closedir_ DIR *d = fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close_fd(dir);
		return;
	}
	while (!(w->left == 0 && w->in->partial) && (entry = readdir(d))) {
		int child = -1;

		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
			!strcmp(entry->d_name, ".."))
			continue;
		if (w->left > 0)
			child = openat(dirfd(d), entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0) {
			w->in->partial = true;
			continue;
		}
		w->left--;
		w->visit(w, child);
		if (w->depth == BELOW_DEPTH_MAX) {
			close_fd(child);
			continue;
		}
		w->depth++;
		walk_below(w, child);
		w->depth--;
	}
}

static void visit_row(struct walk *w, int dir)
{
	const struct below_row *row = &w->b->rows[w->row];
	struct value v = value_absent();
	struct stat st;
	char buf[4096];
	ssize_t n = read_file_at(dir, row->file, buf, sizeof(buf));

	w->in->partial |= n < 0 && n != -ENOENT;
	if (n > 0 && fstat(dir, &st) == 0 && parse_flat(buf, n, &row->key, 1, &v) == 0 &&
		value_is_number(v))
		add_count(w->in, w->row, st.st_ino, v.number);
}

static void visit_tasks(struct walk *w, int dir)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (read_file_alloc(dir, "tasks", 1024 * 1024, &text, &len) < 0)
		return;
	for (size_t i = 0; i < len; i++)
		w->tasks += text[i] == '\n';
}

static int open_cgroup(const struct below *b, enum controller c, const char *path)
{
	return openat(
		b->h->controller[c].fd, path + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/*
 * Forgets cgroups that are gone; what they counted stays in the total. One that was only not
 * reached is kept, or it would be counted again when it is.
 */
static void drop_unseen(struct below_instance *in)
{
	bool keep_all = in->partial && in->n_counted < COUNTED_MAX;
	size_t kept = 0;

	for (size_t i = 0; i < in->n_counted; i++) {
		if (in->counted[i].seen || keep_all)
			in->counted[kept++] = in->counted[i];
	}
	in->n_counted = kept;
	for (size_t i = 0; i < kept; i++)
		in->counted[i].seen = false;
	in->partial = false;
}

/* A directory's links are its subdirectories and two (fs/kernfs/inode.c, kernfs_refresh_inode());
 * file systems that do not count them, under a fixture, say 1. */
static bool has_none_below(const struct below *b, enum controller c, const char *path)
{
	struct stat st;

	return fstatat(b->h->controller[c].fd, path + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_nlink == 2;
}

static bool pass_row(struct below *b, struct below_instance *in, size_t row)
{
	struct walk w = {
		.left = BELOW_CGROUPS_MAX, .visit = visit_row, .b = b, .in = in, .row = row};
	enum controller c = b->rows[row].controller;
	int dir;

	if (in->path[row] && has_none_below(b, c, in->path[row]))
		return in->total[row] > 0;
	dir = in->path[row] ? open_cgroup(b, c, in->path[row]) : -1;
	if (dir < 0) {
		in->partial |= in->path[row] != NULL;
		return false;
	}
	walk_below(&w, dir);
	return in->total[row] > 0;
}

static bool pass_tasks(struct below *b, struct below_instance *in, uint64_t *ret)
{
	struct walk w = {.left = BELOW_CGROUPS_MAX, .visit = visit_tasks, .b = b, .in = in};
	int dir = in->tasks_path ? open_cgroup(b, b->tasks_in, in->tasks_path) : -1;

	if (dir < 0)
		return false;
	visit_tasks(&w, dir);
	walk_below(&w, dir);
	*ret = w.tasks;
	return true;
}

int below_look(struct below *b, uint32_t index, uint64_t run, enum metric_id id, uint64_t *ret)
{
	struct below_instance *in = b->instances;

	while (in && (in->index != index || in->run != run))
		in = in->next;
	for (size_t row = 0; in && row < b->n_rows; row++) {
		if (b->rows[row].id != id || !in->path[row])
			continue;
		pass_row(b, in, row);
		*ret = in->total[row];
		return 0;
	}
	return -ENOENT;
}

static void pass(struct below *b, struct below_instance *in, below_report_t report, void *data)
{
	uint64_t tasks;

	for (size_t row = 0; row < b->n_rows; row++)
		if (pass_row(b, in, row))
			report(data, in->index, in->run, b->rows[row].id, in->total[row]);
	if (pass_tasks(b, in, &tasks))
		report(data, in->index, in->run, METRIC_PIDS_CURRENT, tasks);
	drop_unseen(in);
}

bool below_pass(struct below *b, uint64_t budget_ns, below_report_t report, void *data)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC);

	if (!b->at)
		b->at = b->instances;
	while (b->at) {
		pass(b, b->at, report, data);
		b->at = b->at->next;
		if (now_ns(CLOCK_MONOTONIC) - begin > budget_ns)
			break;
	}
	return !b->at;
}

void below_appeared(struct below *b, const struct identity *id, below_report_t report, void *data)
{
	struct below_instance *in;

	below_disappeared(b, id->index, 0);
	in = calloc(1, sizeof(*in));
	if (!in)
		return;
	in->index = id->index;
	in->run = id->run;
	for (size_t i = 0; i < b->n_rows; i++) {
		enum controller c = b->rows[i].controller;
		const char *cgroup = id->limit_cgroup[c] ? id->limit_cgroup[c] : id->cgroup[c];

		if (cgroup && !counts_for_all_below(b, &b->rows[i], cgroup))
			in->path[i] = strdup(cgroup);
	}
	if (b->tasks_in != CONTROLLER_NONE && id->cgroup[b->tasks_in])
		in->tasks_path = strdup(id->cgroup[b->tasks_in]);
	in->next = b->instances;
	b->instances = in;
	if (report)
		pass(b, in, report, data);
}
