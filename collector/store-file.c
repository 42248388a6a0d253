/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

/* The structures of an RRD's header; none of the functions that this also declares is called. */
#define RRD_EXPORT_DEPRECATED
#include <rrd.h>

#include "store-internal.h"

#define RRAS_MAX         16
#define ROWS_MAX         100000000
#define FILL_LEN         (1024 * 1024) /* a multiple of any disk's block, for O_DIRECT */
#define DIRECT_ALIGNMENT 4096
#define AHEAD_LEN        (64 * 1024) /* 270 rows of 30 data sources */
/* How far a prepared header may lie behind the first sample: what the first update must fill. */
#define HEADER_AGE_S  300
#define LOCK_TRIES    50
#define LOCK_PAUSE_NS (10 * 1000 * 1000)

#define DAY          86400
#define MONTH        (31 * DAY)
#define TWO_YEARS    (730 * DAY)
#define FIVE_MINUTES 300
#define HOUR         3600

static int rrd_failure(struct error *err, int code, const char *what, const char *name)
{
	/* librrd puts the path first; the file is named by us already. It explains all failures
	 * but that of posix_fallocate() (1.7.2, rrd_create.c). */
	const char *said = rrd_test_error() ? rrd_get_error() : "too little space is left";
	const char *colon = strstr(said, name);

	colon = colon ? strstr(colon, ": ") : NULL;
	return error_set(err, code, "cannot %s %s: %s", what, name, colon ? colon + 2 : said);
}

/* --- looking at a header --------------------------------------------------------------------- */

struct header {
	const stat_head_t *stat;
	const ds_def_t *ds;
	const rra_def_t *rra;
	const live_head_t *live;
	const rra_ptr_t *ptr;
	size_t len;
	uint64_t file_len;
};

/* Finds the header's parts. False: not an RRD of this machine that librrd could take. */
static bool find_parts(const char *data, size_t len, struct header *h)
{
	const stat_head_t *st = (const stat_head_t *)data;
	size_t at = sizeof(*st), ds, rra;
	uint64_t rows = 0;

	if (len < sizeof(*st) || memcmp(st->cookie, RRD_COOKIE, sizeof(RRD_COOKIE)) ||
		memcmp(&st->float_cookie, &(double){FLOAT_COOKIE}, sizeof(double)) ||
		strncmp(st->version, RRD_VERSION3, 4) < 0 || !st->pdp_step)
		return false;
	ds = st->ds_cnt;
	rra = st->rra_cnt;
	if (!ds || ds > STORE_SOURCES_MAX || !rra || rra > RRAS_MAX)
		return false;
	h->stat = st;
	h->ds = (const ds_def_t *)(data + at);
	at += ds * sizeof(ds_def_t);
	h->rra = (const rra_def_t *)(data + at);
	at += rra * sizeof(rra_def_t);
	h->live = (const live_head_t *)(data + at);
	at += sizeof(live_head_t) + ds * sizeof(pdp_prep_t) + rra * ds * sizeof(cdp_prep_t);
	h->ptr = (const rra_ptr_t *)(data + at);
	h->len = at + rra * sizeof(rra_ptr_t);
	if (h->len > len)
		return false;
	for (size_t i = 0; i < rra; i++) {
		/* librrd writes rows where cur_row says, unchecked. */
		if (!h->rra[i].row_cnt || h->rra[i].row_cnt > ROWS_MAX || !h->rra[i].pdp_cnt ||
			h->ptr[i].cur_row >= h->rra[i].row_cnt)
			return false;
		rows += h->rra[i].row_cnt;
	}
	h->file_len = h->len + rows * ds * sizeof(rrd_value_t);
	return h->live->last_up >= 0 && h->live->last_up_usec >= 0 &&
	       h->live->last_up_usec < 1000000;
}

static const char *source_type(const struct store_source *s)
{
	return !s->counter ? "GAUGE" : s->scaled ? "DDERIVE" : "DERIVE";
}

static int find_source(const struct store_layout *l, const char *name, size_t guess)
{
	if (guess < l->sources && !strncmp(l->source[guess].name, name, DS_NAM_SIZE))
		return (int)guess;
	for (size_t i = 0; i < l->sources; i++)
		if (!strncmp(l->source[i].name, name, DS_NAM_SIZE))
			return (int)i;
	return -1;
}

/* Which column of the file is which of our sources; false when a type is another. */
static bool match_sources(
	const struct header *h, const struct store_layout *l, struct rrd_view *view)
{
	size_t found = 0;

	view->sources = h->stat->ds_cnt;
	for (size_t i = 0; i < view->sources; i++) {
		int c = find_source(l, h->ds[i].ds_nam, i);

		view->column[i] = c;
		if (c < 0)
			continue;
		if (strncmp(h->ds[i].dst, source_type(&l->source[c]), DST_SIZE))
			return false;
		found++;
	}
	view->missing = l->sources - found;
	return true;
}

/*
 * librrd writes rows through a mapping, and turns the kernel's read-ahead off: each page of rows
 * that an update enters is read from the disk by itself while it waits, which was most of an
 * update's cost (460 us of CPU a page on a virtual disk). So a stretch of the first archive, whose
 * pages turn most often, is asked for at once. *ahead: up to where that was done.
 */
static void read_rows_ahead(int fd, const struct header *h, uint64_t *ahead)
{
	uint64_t row = h->stat->ds_cnt * sizeof(rrd_value_t);
	uint64_t end = h->len + h->rra[0].row_cnt * row;
	uint64_t next = h->len + (h->ptr[0].cur_row + 1) % h->rra[0].row_cnt * row;
	uint64_t to = MIN(next + AHEAD_LEN, end);

	if (next + AHEAD_LEN / 8 < *ahead && *ahead <= to)
		return;
	if (*ahead == end && to == end)
		return;
	(void)posix_fadvise(fd, (off_t)next, (off_t)(to - next), POSIX_FADV_WILLNEED);
	*ahead = to;
}

int rrd_file_look(struct store *s, const char *name, const struct store_layout *l, uint64_t *ahead,
	struct rrd_view *view, struct error *err)
{
	_cleanup_close_ int fd = openat(s->rrd_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	size_t want = l->header_len ? l->header_len : STORE_HEADER_MAX;
	char *data = undo_header(s->undo);
	struct header h;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : error_set(err, -errno, "cannot open %s: %s", name,
						 strerror(errno));
	n = pread(fd, data, want, 0);
	/* Files with more data sources than today's have a longer header. */
	if (n == (ssize_t)want && !find_parts(data, (size_t)n, &h) && want < STORE_HEADER_MAX)
		n = pread(fd, data, STORE_HEADER_MAX, 0);
	if (n < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot read %s: %s", name, strerror(errno));
	if (!find_parts(data, (size_t)n, &h))
		return error_set(err, -EBADMSG, "%s is not an RRD", name);
	if ((uint64_t)st.st_size != h.file_len)
		return error_set(err, -EBADMSG, "%s has %jd bytes instead of %ju", name,
			(intmax_t)st.st_size, (uintmax_t)h.file_len);
	*view = (struct rrd_view){
		.inode = st.st_ino,
		.header_len = h.len,
		.file_len = h.file_len,
		.last_us = (uint64_t)h.live->last_up * 1000000 + (uint64_t)h.live->last_up_usec,
		.step = h.stat->pdp_step,
	};
	if (!match_sources(&h, l, view))
		return error_set(err, -EBADMSG, "%s has data sources of another type", name);
	if (ahead)
		read_rows_ahead(fd, &h, ahead);
	return 0;
}

/* --- making a file --------------------------------------------------------------------------- */

struct definitions {
	const char *argv[STORE_SOURCES_MAX + 8];
	int argc;
	char text[STORE_SOURCES_MAX + 8][64];
};

static void add_definition(struct definitions *d, const char *format, ...) _printf_(2, 3);
static void add_definition(struct definitions *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(d->text[d->argc], sizeof(d->text[0]), format, ap);
	va_end(ap);
	d->argv[d->argc] = d->text[d->argc];
	d->argc++;
}

static void define_source(struct definitions *d, const struct store_layout *l, size_t i)
{
	const struct store_source *s = &l->source[i];

	add_definition(d, "DS:%s:%s:%ju:%s:U", s->name, source_type(s), (uintmax_t)l->heartbeat,
		s->counter ? "0" : "U");
}

/* Half of an average must be known. A maximum is true however little was seen. */
static void define_archives(struct definitions *d, uint64_t step)
{
	static const struct archive {
		const char *kind;
		uint64_t every, span; /* seconds */
	} archives[] = {
		{"AVERAGE:0.5", 0, DAY},
		{"AVERAGE:0.5", FIVE_MINUTES, MONTH},
		{"MAX:0.99", FIVE_MINUTES, MONTH},
		{"AVERAGE:0.5", HOUR, TWO_YEARS},
		{"MAX:0.99", HOUR, TWO_YEARS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(archives); i++) {
		uint64_t steps = MAX(archives[i].every / step, 1);

		add_definition(d, "RRA:%s:%ju:%ju", archives[i].kind, (uintmax_t)steps,
			(uintmax_t)(archives[i].span / (steps * step)));
	}
}

/* Lets librrd make a whole file for its header alone; all rows after it are unknown. */
static int make_header(struct store *s, struct store_layout *l, uint64_t last_s, struct error *err)
{
	_cleanup_free_ char *path = format_string("%s/prototype.%d.new", s->rrd_dir, (int)getpid());
	_cleanup_free_ char *data = malloc(STORE_HEADER_MAX);
	struct definitions d = {0};
	struct header h;
	ssize_t n = -1;
	int fd;

	if (!path || !data)
		return error_set(err, -ENOMEM, "no memory for a header");
	for (size_t i = 0; i < l->sources; i++)
		define_source(&d, l, i);
	define_archives(&d, l->step);
	if (rrd_create_r2(path, l->step, (time_t)last_s, 0, NULL, NULL, d.argc, d.argv) < 0) {
		unlink(path);
		/* Whatever it is, no file at all can be made. */
		return rrd_failure(err, -ENOSPC, "create", "prototype");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	if (fd >= 0)
		n = pread(fd, data, STORE_HEADER_MAX, 0);
	close_fd(fd);
	if (n < 0 || !find_parts(data, (size_t)n, &h))
		return error_set(err, -EIO, "librrd made a header that cannot be read");
	free(l->header);
	l->header = TAKE_PTR(data);
	l->header_len = h.len;
	l->file_len = h.file_len;
	l->header_last_s = last_s;
	return 0;
}

/* Files whose rows lie alike would all turn to a new page in the same second. */
static void scatter_rows(struct store_layout *l)
{
	struct header h;

	if (!find_parts(l->header, l->header_len, &h))
		return;
	for (size_t i = 0; i < h.stat->rra_cnt; i++)
		((rra_ptr_t *)h.ptr)[i].cur_row = (unsigned long)rrd_random() % h.rra[i].row_cnt;
}

/* Where the file system cannot write past the page cache, the rest goes through it. */
static int write_rows(int fd, const double *rows, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t left = (len - done + DIRECT_ALIGNMENT - 1) & ~(DIRECT_ALIGNMENT - 1ULL);
		ssize_t n = write(fd, rows, MIN(left, FILL_LEN));

		if (n > 0)
			done += (uint64_t)n;
		else if (n == 0 || errno != EINVAL || !(fcntl(fd, F_GETFL) & O_DIRECT) ||
			 fcntl(fd, F_SETFL, 0) < 0)
			return n ? -errno : -ENOSPC;
	}
	return ftruncate(fd, (off_t)len) < 0 || fchmod(fd, 0640) < 0 ? -errno : 0;
}

/*
 * NaN to the end, past the page cache where the file system can: 1.7 ms of CPU instead of 13 per
 * file of 15 MB, and no burst of dirty pages for others to wait behind.
 */
static int fill(int dirfd, const char *name, uint64_t len)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
	_cleanup_close_ int fd = openat(dirfd, name, flags | O_EXCL | O_DIRECT, 0640);
	_cleanup_free_ double *rows = aligned_alloc(DIRECT_ALIGNMENT, FILL_LEN);

	if (fd < 0 && errno == EINVAL)
		fd = openat(dirfd, name, flags, 0640);
	if (fd < 0)
		return -errno;
	if (!rows)
		return -ENOMEM;
	/* Not posix_fallocate(): where the file system cannot, writing alone must do. */
	if (fallocate(fd, 0, 0, (off_t)len) < 0 && errno != EOPNOTSUPP)
		return -errno;
	for (size_t i = 0; i < FILL_LEN / sizeof(*rows); i++)
		rows[i] = rrd_set_to_DNAN();
	return write_rows(fd, rows, len);
}

/* The header last, and synced: a power cut leaves no file that has zeros for unknown rows. */
static int put_header(
	int dirfd, const char *name, const char *header, size_t len, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fdatasync(fd) < 0)
		return -errno;
	errno = 0;
	if (pwrite(fd, header, len, 0) != (ssize_t)len)
		return errno ? -errno : -EIO;
	if (fdatasync(fd) < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

int rrd_file_create(struct store *s, const char *name, struct store_layout *l, uint64_t first_us,
	uint64_t *ret_bytes, struct error *err)
{
	_cleanup_free_ char *new = format_string("%s.new", name);
	uint64_t first_s = first_us / 1000000;
	int r = 0;

	if (!new)
		return error_set(err, -ENOMEM, "no memory to create %s", name);
	/* More than a heartbeat old, so that nothing is known before the first sample. */
	if (!l->header || first_s <= l->header_last_s + l->heartbeat ||
		first_s > l->header_last_s + l->heartbeat + HEADER_AGE_S)
		r = make_header(s, l, first_s - MIN(first_s - 1, l->heartbeat + 1), err);
	if (!r)
		r = store_table_make_room(s, l->file_len);
	if (r < 0)
		return r;
	scatter_rows(l);
	unlinkat(s->rrd_fd, new, 0);
	r = fill(s->rrd_fd, new, l->file_len);
	if (!r)
		r = put_header(s->rrd_fd, new, l->header, l->header_len, ret_bytes);
	if (!r && renameat(s->rrd_fd, new, s->rrd_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(s->rrd_fd, new, 0);
		return error_set(err, r, "cannot create %s: %s", name, strerror(-r));
	}
	return 0;
}

/* --- changing a file ------------------------------------------------------------------------- */

static char *full_path(struct store *s, const char *name)
{
	return format_string("%s/%s", s->rrd_dir, name);
}

int rrd_file_update(struct store *s, const char *name, const struct rrd_view *view, size_t lines,
	const char **line, struct error *err)
{
	_cleanup_free_ char *path = full_path(s, name);
	int r;

	if (!path)
		return error_set(err, -ENOMEM, "no memory to update %s", name);
	undo_begin(s->undo, name, view->inode, view->header_len);
	for (int try = 0; try < LOCK_TRIES; try++) {
		rrd_clear_error();
		r = rrd_updatex_r(path, NULL, RRD_SKIP_PAST_UPDATES, (int)lines, line);
		/* librrd does not wait for a reader's lock, which is held for milliseconds. */
		if (!r || !strstr(rrd_get_error(), "could not lock"))
			break;
		nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
	}
	if (r)
		undo_restore(s->undo, s->rrd_fd);
	undo_done(s->undo);
	return r ? rrd_failure(err, -EIO, "update", name) : 0;
}

static bool has_space(const char *path, uint64_t bytes)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= bytes;
}

/* librrd writes another file over the name; one that came out wrong is put back from `keep`. */
static int tune(struct store *s, const char *name, const char *keep, const struct store_layout *l,
	struct definitions *d, struct error *err)
{
	_cleanup_free_ char *path = full_path(s, name);
	const char *argv[STORE_SOURCES_MAX + 10] = {"tune", path};
	struct rrd_view after;
	struct stat st;
	int r;

	if (!path || fstatat(s->rrd_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, -errno, "cannot read %s: %s", name, strerror(errno));
	for (int i = 0; i < d->argc; i++)
		argv[i + 2] = d->argv[i];
	rrd_clear_error();
	if (rrd_tune(d->argc + 2, (char **)argv) != 0)
		return rrd_failure(err, -EIO, "add data sources to", name);
	r = rrd_file_look(s, name, l, NULL, &after, err);
	if (!r && after.missing)
		r = error_set(err, -EIO, "data sources are still missing in %s", name);
	/* The new file has the group of the process. */
	if (!r && (fchownat(s->rrd_fd, name, st.st_uid, st.st_gid, 0) < 0 ||
			  fchmodat(s->rrd_fd, name, st.st_mode & 07777, 0) < 0))
		r = error_set(
			err, -errno, "cannot restore the group of %s: %s", name, strerror(errno));
	if (r < 0)
		renameat(s->rrd_fd, keep, s->rrd_fd, name);
	return r;
}

int rrd_file_widen(struct store *s, const char *name, const struct store_layout *l,
	const struct rrd_view *view, struct error *err)
{
	_cleanup_free_ char *keep = format_string("%s.keep", name);
	struct definitions d = {0};
	bool has[STORE_SOURCES_MAX] = {false};
	int r;

	if (!keep)
		return error_set(err, -ENOMEM, "no memory to add data sources to %s", name);
	if (!has_space(s->rrd_dir, 2 * view->file_len))
		return error_set(err, -ENOSPC,
			"%s lacks data sources; too little disk space is left to add them", name);
	for (size_t i = 0; i < view->sources; i++)
		if (view->column[i] >= 0)
			has[view->column[i]] = true;
	for (size_t i = 0; i < l->sources; i++)
		if (!has[i])
			define_source(&d, l, i);
	if (linkat(s->rrd_fd, name, s->rrd_fd, keep, 0) < 0 && errno != EEXIST)
		return error_set(err, -errno, "cannot link %s: %s", name, strerror(errno));
	r = tune(s, name, keep, l, &d, err);
	unlinkat(s->rrd_fd, keep, 0);
	return r;
}

/* ".new", or librrd's temporary file: ".rrd" or ".new" and mkstemp's six characters. */
static bool is_temporary(const char *name)
{
	return !fnmatch("*.new", name, 0) || !fnmatch("*.rrd[!.][!.][!.][!.][!.][!.]", name, 0) ||
	       !fnmatch("*.new[!.][!.][!.][!.][!.][!.]", name, 0);
}

static void tidy_archive(struct store *s)
{
	_cleanup_free_ char *path = config_data_path(s->config, "archive");
	_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (!fnmatch("*.gz.new", e->d_name, 0))
			unlinkat(s->archive_fd, e->d_name, 0);
}

void rrd_files_tidy(struct store *s)
{
	_cleanup_closedir_ DIR *dir = opendir(s->rrd_dir);
	struct dirent *e;

	tidy_archive(s);
	while (dir && (e = readdir(dir))) {
		char name[NAME_MAX + 1];

		if (!fnmatch("*.keep", e->d_name, 0)) {
			/* Died while adding data sources: the old file is the whole one. */
			snprintf(name, sizeof(name), "%.*s", (int)strlen(e->d_name) - 5, e->d_name);
			renameat(s->rrd_fd, e->d_name, s->rrd_fd, name);
			unlinkat(s->rrd_fd, e->d_name, 0);
		} else if (is_temporary(e->d_name)) {
			unlinkat(s->rrd_fd, e->d_name, 0);
		}
	}
}
