/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fetch.h"

#include <fcntl.h>
#include <string.h>

#include "../lib/archive.h"
#include "fetch-internal.h"

#define TAIL_RECORDS_MAX 50000 /* the ring's size bounds them as well */

#define DAY   UINT64_C(86400)
#define MONTH (31 * DAY)
#define FIVE  UINT64_C(300)
#define HOUR  UINT64_C(3600)

int fetch_open(const struct config *config, struct fetch **ret, struct error *err)
{
	_cleanup_(fetch_close) struct fetch *f = calloc(1, sizeof(*f));
	_cleanup_free_ char *index = config_data_path(config, "index");
	_cleanup_free_ char *recent = config_run_path(config, "recent");
	struct ring_status status;
	int fd, r;

	if (!f || !index || !recent)
		return error_set(err, -ENOMEM, "out of memory");
	f->config = config;
	/* index_load() takes a file that may not be read for a damaged one. */
	fd = open_published(index, O_RDONLY, err);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	close_fd(fd);
	r = index_load(index, &f->index, err);
	if (r < 0)
		return r;
	r = ring_open(recent, false, &f->ring, err);
	if (r == -ENOMEM || r == -EACCES)
		return r;
	if (r == 0) {
		ring_status(f->ring, &status);
		f->newest_ns = status.last_time_ns;
	}
	*ret = TAKE_PTR(f);
	return 0;
}

static void drop_tail(struct fetch *f)
{
	for (size_t i = 0; i < f->tail_n; i++) {
		ring_record_free(&f->tail[i].record);
		free(f->tail[i].rows);
	}
	f->tail_n = 0;
}

void fetch_close(struct fetch *f)
{
	drop_tail(f);
	free(f->tail);
	ring_close(f->ring);
	if (f->index)
		index_free(f->index);
	free(f);
}

const struct index_entry *fetch_find(const struct fetch *f, const char *handle)
{
	size_t others;

	return index_by_handle(f->index, handle, &others);
}

const struct index *fetch_index(const struct fetch *f)
{
	return f->index;
}

const struct ring *fetch_ring(const struct fetch *f)
{
	return f->ring;
}

uint64_t fetch_newest_ns(const struct fetch *f)
{
	return f->newest_ns;
}

uint64_t fetch_step(const struct fetch *f, uint64_t from_s, uint64_t to_s, size_t max_points)
{
	uint64_t now_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	uint64_t base = MAX((f->config->interval_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC, 1);
	uint64_t age = now_s > from_s ? now_s - from_s : 0, span = MAX(to_s, from_s) - from_s;
	uint64_t step = age <= DAY + base ? base : age <= MONTH + FIVE ? MAX(base, FIVE) : HOUR;
	uint64_t least = max_points ? (span + max_points - 1) / max_points : 0;

	if (step >= least)
		return step;
	/* Whole rows of what is stored, the coarser ones where they do. */
	step = least >= HOUR ? HOUR : least >= FIVE ? MAX(step, FIVE) : step;
	return (least + step - 1) / step * step;
}

/* --- the ring --------------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
	const struct tail_row *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static int note_rows(struct tail_record *t)
{
	struct ring_row row;
	size_t pos = 0, at = 0;
	int r;

	t->rows = calloc(t->record.rows + 1, sizeof(*t->rows));
	if (!t->rows)
		return -ENOMEM;
	while ((r = ring_record_next(&t->record, &pos, &row, NULL, 0)) > 0) {
		if ((row.scope == SCOPE_INSTANCE || row.scope == SCOPE_HOST) &&
			t->n < t->record.rows)
			t->rows[t->n++] = (struct tail_row){
				row.scope == SCOPE_HOST ? FETCH_HOST : row.index, at};
		at = pos;
	}
	qsort(t->rows, t->n, sizeof(*t->rows), by_index);
	return r;
}

static int add_record(struct fetch *f, uint64_t seq)
{
	struct tail_record *t;
	int r;

	if (f->tail_n == f->tail_size) {
		size_t size = f->tail_size * 2 + 16;

		t = reallocarray(f->tail, size, sizeof(*t));
		if (!t)
			return -ENOMEM;
		f->tail = t;
		f->tail_size = size;
	}
	t = &f->tail[f->tail_n];
	*t = (struct tail_record){0};
	r = ring_read(f->ring, seq, &t->record);
	if (r == 0)
		r = note_rows(t);
	if (r < 0) {
		ring_record_free(&t->record);
		free(t->rows);
		return r;
	}
	f->tail_n++;
	return 0;
}

int fetch_load_tail(struct fetch *f, uint64_t since_ns)
{
	struct ring_status status;
	uint64_t next;

	if (!f->ring || f->tail_all)
		return 0;
	ring_status(f->ring, &status);
	next = f->tail_n ? f->tail[f->tail_n - 1].record.seq : status.next_seq;
	while (!f->tail_n || f->tail[f->tail_n - 1].record.time_ns > since_ns) {
		int r;

		if (next <= status.first_seq || f->tail_n == TAIL_RECORDS_MAX) {
			f->tail_all = true;
			break;
		}
		r = add_record(f, --next);
		if (r == -ENOMEM)
			return r;
		/* Overtaken by the writer, or damaged: one sample less. */
		if (r == -ESTALE || r == -ENOENT)
			f->tail_all = true;
		if (f->tail_all)
			break;
	}
	return 0;
}

bool fetch_tail_values(
	const struct tail_record *t, uint32_t index, struct value *values, uint64_t *ret_run)
{
	const struct tail_row want = {.index = index},
			      *found = bsearch(&want, t->rows, t->n, sizeof(want), by_index);
	size_t pos = found ? found->pos : 0;
	struct ring_row row;

	if (!found || ring_record_next(&t->record, &pos, &row, values,
			      metric_count(index == FETCH_HOST ? SCOPE_HOST : SCOPE_INSTANCE)) <= 0)
		return false;
	*ret_run = row.run;
	return true;
}

/* --- files ------------------------------------------------------------------------------------ */

static char *file_path(const struct fetch *f, uint32_t index, bool packed)
{
	const struct index_entry *e = index_by_number(f->index, index);
	char name[RRD_NAME_MAX + 1] = "host.rrd";

	if (index != FETCH_HOST && !e)
		return NULL;
	if (index != FETCH_HOST)
		index_rrd_name(e, name, sizeof(name));
	return format_string("%s/%s/%s%s", f->config->data_dir, packed ? "archive" : "rrd", name,
		packed ? ARCHIVE_SUFFIX : "");
}

int fetch_open_file(const struct fetch *f, uint32_t index, struct rows_file *ret, char **ret_name,
	struct error *err)
{
	_cleanup_close_ int fd = -1;
	int r = -ENOENT;

	/* The store may pack or unpack it meanwhile: one of the two is always there. */
	for (int i = 0; i < 3 && r == -ENOENT; i++) {
		_cleanup_free_ char *path = file_path(f, index, i == 1);
		char unpacked[ARCHIVE_PATH_MAX];

		if (!path)
			return -ENOENT;
		r = i == 1 ? archive_open(path, &fd, unpacked, err)
			   : (fd = open_published(path, O_RDONLY, err));
		free(*ret_name);
		*ret_name = TAKE_PTR(path);
	}
	if (r >= 0)
		r = rows_read_header(fd, *ret_name, ret, err);
	if (r >= 0)
		(void)TAKE_FD(fd);
	return MIN(r, 0);
}
