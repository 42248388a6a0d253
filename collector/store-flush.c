/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "../lib/archive.h"
#include "store-internal.h"

#define BATCH_BYTES (8 * 1024 * 1024)

#define FUTURE_US (UINT64_C(3600) * 1000000)
/* How far after its second a sample may come to count as taken on it. */
#define LATE_US 50000
/* Records before the cursor that span a heartbeat at any interval. */
#define LEARN_RECORDS 8
/* Below, a copy-on-write file system could fail a write to a mapped file, which is a SIGBUS. */
#define COW_RESERVE    (16 * 1024 * 1024)
#define COW_PER_FILE   (64 * 1024)
#define BTRFS_MAGIC    0x9123683e
#define ZFS_MAGIC      0x2fc12fc1
#define BCACHEFS_MAGIC 0xca451a4e

int store_error(struct store *s, int code, const char *format, ...)
{
	va_list ap;

	s->stats.errors++;
	if (s->error.text[0])
		return code;
	va_start(ap, format);
	vsnprintf(s->error.text, sizeof(s->error.text), format, ap);
	va_end(ap);
	return code;
}

/* --- one instance ---------------------------------------------------------------------------- */

/* All files have it, or all that are to be made. */
static bool is_common(int code)
{
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EROFS:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return true;
	default:
		return false;
	}
}

/* Another try at the next flush; until then this file gets no later samples either. */
static int hold(struct store *s, struct store_file *f, int code)
{
	f->held = s->flush;
	s->waits = true;
	s->hold |= is_common(code);
	return code;
}

static int look(
	struct store *s, struct store_file *f, const struct store_layout *l, struct rrd_view *view)
{
	struct error err;
	int r = rrd_file_look(s, f->name, l, &f->ahead, view, &err);

	return r < 0 ? hold(s, f, store_error(s, r, "%s", err.text)) : 0;
}

/* A file that cannot go on is kept as NAME.WORD-NUMBER; a new one then begins. */
static void set_aside(
	struct store *s, struct store_file *f, const char *word, uint64_t number, const char *why)
{
	const char *gz = f->packed ? ARCHIVE_SUFFIX : "";
	char suffix[64];
	int r;

	snprintf(suffix, sizeof(suffix), "%s-%ju", word, (uintmax_t)number);
	r = store_table_set_aside(s, f, suffix);
	if (r < 0)
		hold(s, f, store_error(s, r, "cannot set %s aside: %s", f->name, strerror(-r)));
	else
		log_warning(
			"%s; it is kept as %s%s.%s and a new one begins", why, f->name, gz, suffix);
}

static void set_damaged_aside(struct store *s, struct store_file *f, const char *why)
{
	s->stats.quarantined++;
	set_aside(s, f, "damaged", (uint64_t)time(NULL), why);
}

static void check_view(struct store *s, struct store_file *f, const struct store_layout *l,
	const struct rrd_view *view)
{
	struct error why;

	if (view->step != l->step) {
		error_set(&why, 0, "%s has steps of %ju s, samples come every %ju s", f->name,
			(uintmax_t)view->step, (uintmax_t)l->step);
		set_aside(s, f, "step", view->step, why.text);
	} else if (view->last_us > now_ns(CLOCK_REALTIME) / 1000 + FUTURE_US) {
		error_set(&why, 0, "the last sample of %s is more than an hour ahead", f->name);
		set_aside(s, f, "future", view->last_us / 1000000, why.text);
	}
}

/* Adds data sources. A failure leaves the file as it was, and it goes on without them. */
static void widen(struct store *s, struct store_file *f, const struct store_layout *l,
	const struct rrd_view *view)
{
	struct error err;

	s->widened = true;
	if (rrd_file_widen(s, f->name, l, view, &err) < 0)
		complain(&s->narrow, "%s", err.text);
	else
		complaint_over(&s->narrow, "data sources can be added to RRDs again");
}

/* -EDQUOT without a sentence: ended ones are gone already, and running ones alone fill data_max. */
static int refuse(struct store *s, struct store_file *f)
{
	s->stats.refused += f->refused != s->flush;
	f->refused = s->flush;
	complain(&s->limit, "data_max is reached by running instances alone: no RRD for %s",
		f->name);
	return -EDQUOT;
}

static int create(struct store *s, struct store_file *f, struct store_layout *l, uint64_t first_us)
{
	struct error err = {""};
	uint64_t bytes = 0;
	int r = s->full ? -ENOSPC : rrd_file_create(s, f->name, l, first_us, &bytes, &err);

	if (!r) {
		store_table_account(&s->table, f, true, bytes);
		f->run = STORE_NO_RUN;
		return 0;
	}
	if (r == -EDQUOT && !err.text[0])
		return refuse(s, f);
	if (!s->full)
		store_error(s, r, "%s", err.text);
	s->full |= is_common(r);
	return hold(s, f, r);
}

/* The history of an instance that has come back; of a damaged archive there is none. */
static int unpack(struct store *s, struct store_file *f, const struct store_layout *l)
{
	struct error err = {""};
	int r = s->full ? -ENOSPC : store_unpack(s, f, l->file_len, &err);

	if (r == -EBADMSG || r == -ENOENT) {
		if (r == -EBADMSG)
			set_damaged_aside(s, f, err.text);
		else
			store_table_account(&s->table, f, false, 0);
		return f->held == s->flush ? -EIO : 0;
	}
	if (r == -EDQUOT && !err.text[0])
		return refuse(s, f);
	if (r < 0 && !s->full)
		store_error(s, r, "%s", err.text);
	s->full |= is_common(r);
	return r < 0 ? hold(s, f, r) : 0;
}

/* Makes sure that f has a whole file of this layout and looks at it. */
static int prepare(struct store *s, struct store_file *f, struct store_layout *l, uint64_t first_us,
	struct rrd_view *view)
{
	struct error err = {""};
	int r = 0;

	store_pack_stop(s, f);
	if (f->exists && f->packed)
		r = unpack(s, f, l);
	if (r < 0)
		return r;
	r = f->exists ? rrd_file_look(s, f->name, l, &f->ahead, view, &err) : -ENOENT;
	if (r == -EBADMSG)
		set_damaged_aside(s, f, err.text);
	else if (r == -ENOENT)
		store_table_account(&s->table, f, false, 0);
	else if (r < 0)
		return hold(s, f, store_error(s, r, "%s", err.text));
	else
		check_view(s, f, l, view);
	if (f->held == s->flush)
		return -EIO;
	if (!f->exists) {
		r = create(s, f, l, first_us);
		return r < 0 ? r : look(s, f, l, view);
	}
	if (!view->missing || s->widened)
		return 0;
	widen(s, f, l, view);
	return look(s, f, l, view);
}

/* What an update will have stored when it has succeeded. */
struct progress {
	uint64_t last_us, run, interfaces;
	uint64_t samples, skipped;
	bool left_out;
};

/* librrd cuts its microseconds, so a stored time may read back one lower. */
static bool is_stored(uint64_t time_us, uint64_t last_us)
{
	return time_us <= last_us + 1;
}

/*
 * librrd counts unknown time in whole seconds and takes the rest for time at zero (rrd_update.c,
 * process_pdp_st(): "not really accurate"). Where the step after a gap will not be unknown as a
 * whole, what is known begins on a second: a collector's first sample, which comes when it comes,
 * is left out when another follows.
 */
static bool begin_after_gap(struct progress *p, uint64_t step, uint64_t *time_us, bool more)
{
	uint64_t late_us = *time_us % 1000000;

	if (*time_us / 1000000 % step > step / 2)
		return true;
	p->left_out = late_us > LATE_US && more && !p->left_out;
	*time_us -= late_us;
	return !p->left_out;
}

static void add_sample(
	struct store *s, struct progress *p, const struct ring_record *rec, uint64_t run, bool more)
{
	uint64_t time_us = rec->time_ns / 1000, interfaces = s->writer.interfaces_hash;
	const struct store_layout *l = s->writer.layout;
	uint64_t heartbeat_us = l->heartbeat * 1000000;
	enum sample_break unknown = BREAK_NONE;

	if (is_stored(time_us, p->last_us) || time_us - time_us % 1000000 == p->last_us) {
		p->skipped += rec->seq >= s->cursor;
		if (is_stored(p->last_us, time_us)) {
			p->run = run;
			p->interfaces = interfaces;
		}
		return;
	}
	if (time_us - p->last_us > heartbeat_us && !begin_after_gap(p, l->step, &time_us, more))
		return;
	/* Beyond the heartbeat librrd itself forgets the old counters. */
	if (p->run != run && p->run != STORE_NO_RUN && time_us - p->last_us <= heartbeat_us) {
		if (l->step >= 4)
			row_writer_restart(&s->writer, p->last_us, time_us);
		else
			unknown = BREAK_COUNTERS;
	} else if (p->interfaces && p->interfaces != interfaces) {
		/* Another interface may count under this name now. */
		unknown = BREAK_INTERFACES;
	}
	row_writer_line(&s->writer, time_us, unknown);
	p->last_us = time_us;
	p->run = run;
	p->interfaces = interfaces;
	p->samples++;
}

/* Reads one record's rows of one instance into the writer; false when there is no main row. */
static bool read_sample(struct store *s, const struct batch_row **row, const struct batch_row *end,
	uint64_t *ret_run)
{
	const uint32_t which = (*row)->record;
	struct batch *b = &s->batch;
	bool found = false;
	struct ring_row r;

	row_writer_sample(&s->writer);
	for (; *row < end && (*row)->record == which; (*row)++) {
		size_t pos = (*row)->pos;

		if (ring_record_next(&b->record[which], &pos, &r, b->values, METRIC_ID_END) != 1)
			continue;
		row_writer_values(&s->writer, &r, b->values);
		if (r.scope == SCOPE_INTERFACE)
			continue;
		found = true;
		*ret_run = r.run;
	}
	return found;
}

static void write_lines(struct store *s, struct store_file *f, const struct rrd_view *view,
	const struct progress *p)
{
	struct row_writer *w = &s->writer;
	struct error err;
	int r = w->lines ? rrd_file_update(s, f->name, view, w->lines, w->line, &err) : 0;

	s->stats.skipped += p->skipped;
	if (r < 0) {
		hold(s, f, store_error(s, r, "%s", err.text));
		return;
	}
	s->stats.samples += p->samples;
	f->last_s = p->last_us / 1000000;
	f->run = p->run;
	f->interfaces = p->interfaces;
}

static void store_file_rows(
	struct store *s, const struct batch_row *row, const struct batch_row *end)
{
	struct store_layout *l =
		&s->layout[row->number == STORE_HOST ? LAYOUT_HOST : LAYOUT_INSTANCE];
	const struct ring_record *record = s->batch.record;
	struct store_file *f = store_table_get(s, row->number);
	struct progress p = {0};
	struct rrd_view view;

	if (!f) {
		/* The collector could not save the index: they wait as for one bad file. */
		if (!s->unnamed)
			store_error(s, -ENOENT, "instance %u is not in the index: its samples wait",
				row->number);
		s->unnamed = s->waits = true;
		return;
	}
	if (record[end[-1].record].seq >= s->cursor)
		f->seen = s->flush;
	/* Of a destroyed instance: told while they were in the ring. */
	while (row < end && record[row->record].time_ns <= f->forgot_ns)
		row++;
	if (row == end)
		return;
	if (f->held == s->flush || prepare(s, f, l, record[row->record].time_ns / 1000, &view) < 0)
		return;
	p.last_us = view.last_us;
	p.run = f->run;
	p.interfaces = f->interfaces;
	row_writer_begin(&s->writer, l, view.column, view.sources);
	while (row < end) {
		const struct ring_record *rec = &record[row->record];
		uint64_t run;

		if (read_sample(s, &row, end, &run))
			add_sample(s, &p, rec, run, row < end);
	}
	write_lines(s, f, &view, &p);
}

/* --- batches --------------------------------------------------------------------------------- */

static int add_batch_row(struct batch *b, uint32_t number, size_t record, size_t pos)
{
	if (b->rows == b->size) {
		size_t size = MAX(b->size * 2, 1024);
		struct batch_row *row = realloc(b->row, size * sizeof(*row));

		if (!row)
			return -ENOMEM;
		b->row = row;
		b->size = size;
	}
	b->row[b->rows++] = (struct batch_row){number, (uint32_t)record, pos};
	return 0;
}

/* The file that a row goes to. */
static bool row_number(const struct ring_row *r, uint32_t *ret)
{
	if (r->scope == SCOPE_HOST)
		*ret = STORE_HOST;
	else if (r->scope == SCOPE_INSTANCE)
		*ret = r->index;
	else if (r->scope == SCOPE_INTERFACE)
		*ret = r->parent;
	else
		return false;
	return r->scope == SCOPE_HOST || *ret;
}

/*
 * Records before the cursor are read once, for files whose last sample is theirs: it tells which
 * run and interfaces the file had, so that a restarted store neither misses a restart nor invents
 * one. What is older than the heartbeat needs no such care.
 */
static bool is_wanted(const struct store *s, const struct ring_record *rec, struct store_file *f)
{
	return rec->seq >= s->cursor || (f && f->exists && !f->packed && !f->run &&
						rec->interval_ns == s->config->interval_ns);
}

static int index_rows(struct store *s, size_t record)
{
	struct batch *b = &s->batch;
	const struct ring_record *rec = &b->record[record];
	size_t pos = 0, before = 0;
	struct ring_row row;
	uint32_t number;
	int r;

	for (; (r = ring_record_next(rec, &pos, &row, b->values, METRIC_ID_END)) == 1;
		before = pos) {
		struct store_file *f;

		if (!row_number(&row, &number))
			continue;
		f = store_table_find(&s->table, number);
		if (!is_wanted(s, rec, f))
			continue;
		if (f && rec->seq >= s->cursor)
			f->seen = s->flush;
		if (add_batch_row(b, number, record, before) < 0)
			return -ENOMEM;
	}
	return r;
}

static int by_file(const void *a, const void *b)
{
	const struct batch_row *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->record != y->record)
		return x->record < y->record ? -1 : 1;
	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

/* Layouts follow the interval that the samples were taken at. */
static int follow_interval(struct store *s, uint64_t interval_ns)
{
	int r = 0;

	if (s->interval_ns == interval_ns)
		return 0;
	for (int k = 0; !r && k < LAYOUT_COUNT; k++)
		r = store_layout_make(&s->layout[k], (enum store_layout_kind)k, interval_ns);
	s->interval_ns = r ? 0 : interval_ns;
	return r;
}

/* Reads records from *seq on, all of one interval. *seq becomes the first that is not in it. */
static int load_batch(struct store *s, uint64_t *seq, uint64_t end)
{
	struct batch *b = &s->batch;
	size_t bytes = 0;

	b->records = b->rows = 0;
	while (b->records < STORE_RECORDS_MAX && bytes < BATCH_BYTES && *seq < end) {
		struct ring_record *rec = &b->record[b->records];
		int r = ring_read(s->ring, *seq, rec);

		if (r == -ENOENT)
			break;
		if (r == -EBADMSG) {
			store_error(s, r, "record %ju of the ring is damaged", (uintmax_t)*seq);
			(*seq)++;
			continue;
		}
		if (r < 0 && r != -ESTALE)
			return r;
		if (b->records && rec->interval_ns != b->record[0].interval_ns)
			break;
		*seq = rec->seq + 1;
		r = index_rows(s, b->records);
		if (r == -EBADMSG)
			store_error(s, r, "record %ju of the ring is damaged", (uintmax_t)rec->seq);
		else if (r < 0)
			return r;
		b->records++;
		bytes += rec->data_len;
	}
	if (b->records && follow_interval(s, b->record[0].interval_ns) < 0)
		return -ENOMEM;
	qsort(b->row, b->rows, sizeof(*b->row), by_file);
	return 0;
}

/* False when asked to stop half way. */
static bool store_batch(struct store *s)
{
	struct batch *b = &s->batch;

	for (size_t i = 0, next; i < b->rows; i = next) {
		for (next = i + 1; next < b->rows && b->row[next].number == b->row[i].number;)
			next++;
		if (s->stop && s->stop(s->stop_data))
			return false;
		store_file_rows(s, &b->row[i], &b->row[next]);
	}
	return true;
}

/* --- the ring -------------------------------------------------------------------------------- */

/* Instances of the newest record are alive, however far back the first batch begins. */
static void mark_live(struct store *s, uint64_t seq)
{
	struct ring_record *rec = &s->batch.record[0];
	struct ring_row row;
	uint32_t number;
	size_t pos = 0;

	if (ring_read(s->ring, seq, rec) < 0)
		return;
	s->fresh = s->flush;
	while (ring_record_next(rec, &pos, &row, s->batch.values, METRIC_ID_END) == 1) {
		struct store_file *f =
			row_number(&row, &number) ? store_table_find(&s->table, number) : NULL;

		if (f)
			f->seen = s->flush;
	}
}

static bool has_space(struct store *s)
{
	struct statfs fs;

	if (fstatfs(s->rrd_fd, &fs) < 0 ||
		(fs.f_type != (__fsword_t)BTRFS_MAGIC && fs.f_type != (__fsword_t)ZFS_MAGIC &&
			fs.f_type != (__fsword_t)BCACHEFS_MAGIC))
		return true;
	return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >=
	       COW_RESERVE + s->table.files * COW_PER_FILE;
}

/* Takes over all records of the mapped ring that were complete when it began. */
static int drain(struct store *s)
{
	uint64_t samples = s->stats.samples, seq;
	struct ring_status st;

	ring_status(s->ring, &st);
	s->cursor = st.cursor_seq;
	seq = MAX(st.cursor_seq, st.first_seq);
	if (seq < st.next_seq)
		mark_live(s, st.next_seq - 1);
	if (!s->learnt)
		seq = MAX(st.first_seq + LEARN_RECORDS, st.cursor_seq) - LEARN_RECORDS;
	while (seq < st.next_seq) {
		uint64_t before = seq;
		int r = load_batch(s, &seq, st.next_seq);

		if (r < 0)
			return store_error(s, r, "cannot read the ring: %s", strerror(-r));
		if (!store_batch(s))
			return -EINTR;
		if (!s->waits)
			ring_set_cursor(s->ring, MAX(seq, s->cursor));
		if (seq == before)
			break;
	}
	/* One file's own trouble costs its samples in the end. When nothing at all was stored, it
	 * is no file's own. */
	if (!s->hold && s->stats.samples > samples && ring_is_half_pending(s->ring, st.size))
		ring_set_cursor(s->ring, seq);
	s->learnt = true;
	return 0;
}

static int open_ring(struct store *s)
{
	struct error err;
	int r = ring_open(s->ring_path, true, &s->ring, &err);

	s->learnt = false;
	return r < 0 ? store_error(s, r, "%s", err.text) : 0;
}

/* The collector may have replaced the ring: what the old one still has goes first. What that could
 * not store either has been taken over, or was counted as lost by the collector. */
static int drain_all(struct store *s)
{
	int r = s->ring ? 0 : open_ring(s);

	if (!r)
		r = drain(s);
	if (!r && ring_replaced(s->ring)) {
		ring_close(TAKE_PTR(s->ring));
		r = open_ring(s);
		if (!r)
			r = drain(s);
	}
	return r;
}

int store_flush(struct store *s)
{
	uint64_t removed = s->stats.removed;
	int r;

	s->flush++;
	s->error.text[0] = 0;
	s->stats.refused = 0;
	s->hold = s->waits = s->unnamed = s->full = s->widened = false;
	if (!has_space(s))
		return store_error(
			s, -ENOSPC, "too little space is left in %s to store anything", s->rrd_dir);
	r = drain_all(s);
	store_table_make_room(s, 0);
	store_table_sweep(s);
	if (!s->stats.refused)
		complaint_over(&s->limit, "there is room for all RRDs again");
	if (s->stats.removed > removed)
		log_notice("removed %ju files of ended instances to stay below data_max",
			(uintmax_t)(s->stats.removed - removed));
	return r < 0 ? r : s->error.text[0] ? -EIO : 0;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void finish_interrupted(struct store *s)
{
	const char *name = undo_restore(s->undo, s->rrd_fd);
	uint32_t number = STORE_HOST;
	struct store_file *f;

	if (!name)
		return;
	log_notice("an update of %s had been interrupted and is done again", name);
	if (!undo_is_fatal(s->undo, name))
		return;
	(void)index_rrd_number(name, &number);
	for (f = store_table_find(&s->table, number); f; f = f->next)
		if (f->exists && !strcmp(f->name, name))
			set_damaged_aside(s, f, "this RRD was fatal to two stores in a row");
}

static int open_directory(const char *path, int *ret, struct error *err)
{
	struct stat st;
	int fd, r = make_directories(path, 0750);

	if (r < 0)
		return error_set(err, r, "cannot make %s: %s", path, strerror(-r));
	fd = *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	/* Files belong to the directory's group, which readers join: by this bit, or where a
	 * service may not set it (RestrictSUIDSGID=) because that is the group of the process. */
	if (!(st.st_mode & S_ISGID) && fchmod(fd, 02750) < 0 && st.st_gid != getegid())
		return error_set(
			err, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
	return 0;
}

static int open_directories(struct store *s, struct error *err)
{
	const struct config *c = s->config;
	_cleanup_free_ char *archive = config_data_path(c, "archive");
	int r;

	s->rrd_dir = config_data_path(c, "rrd");
	s->ring_path = config_run_path(c, "recent");
	s->index_path = config_data_path(c, "index");
	if (!s->rrd_dir || !s->ring_path || !s->index_path || !archive)
		return error_set(err, -ENOMEM, "no memory");
	r = open_directory(s->rrd_dir, &s->rrd_fd, err);
	if (r < 0)
		return r;
	return open_directory(archive, &s->archive_fd, err);
}

static int prepare_store(struct store *s, struct error *err)
{
	_cleanup_free_ char *undo = config_run_path(s->config, "store.undo");
	int r = open_directories(s, err);

	if (r < 0)
		return r;
	r = undo ? undo_open(undo, &s->undo) : -ENOMEM;
	if (r < 0)
		return error_set(err, r, "cannot make %s: %s", undo, strerror(-r));
	if (store_pack_new(s) < 0)
		return error_set(err, -ENOMEM, "no memory");
	rrd_files_tidy(s);
	r = store_table_scan(s);
	if (r < 0)
		return error_set(err, r, "cannot read %s: %s", s->rrd_dir, strerror(-r));
	finish_interrupted(s);
	r = follow_interval(s, s->config->interval_ns);
	if (r < 0)
		return error_set(err, r, "cannot lay out RRDs: %s", strerror(-r));
	s->bytes_max = store_table_max_bytes(s);
	return 0;
}

int store_open(const struct config *config, struct store **ret, struct error *err)
{
	_cleanup_(store_close) struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "no memory for the store");
	s->config = config;
	s->rrd_fd = s->archive_fd = -1;
	r = prepare_store(s, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void store_close(struct store *s)
{
	if (s->ring)
		ring_close(s->ring);
	if (s->index)
		index_free(s->index);
	for (int k = 0; k < LAYOUT_COUNT; k++)
		store_layout_free(&s->layout[k]);
	for (size_t i = 0; i < STORE_RECORDS_MAX; i++)
		ring_record_free(&s->batch.record[i]);
	free(s->batch.row);
	store_pack_free(s);
	store_table_free(&s->table);
	undo_close(s->undo);
	free(s->candidates);
	free(s->rrd_dir);
	free(s->ring_path);
	free(s->index_path);
	close_fd(s->rrd_fd);
	close_fd(s->archive_fd);
	free(s);
}
