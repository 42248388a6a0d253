/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#include "../lib/archive.h"
#include "store-internal.h"

/*
 * RRDs of ended instances: packed into archive/ after `keep`, removed `archive` later, unpacked for
 * a new run. Packing is done in pieces between flushes, one file at a time. At every moment one of
 * the two files is whole, and where both are, the RRD counts.
 */
#define PIECE           (256 * 1024)
#define LEVEL           6
#define PAUSE_FACTOR    9 /* a tenth of one core at most */
#define PAUSE_MIN_NS    (5 * 1000 * 1000)
#define RETRY_NS        (600 * NSEC_PER_SEC)
#define PAUSE_FAILED_NS (10 * NSEC_PER_SEC)
#define SLEEP_NS        UINT64_MAX /* until something has changed, which a flush does */

struct store_pack {
	struct store_file *file; /* that is being packed; NULL: none */
	int in;
	int fd; /* of the archive, beside `out` */
	gzFile out;
	char new_name[STORE_NAME_MAX + 8];
	uint64_t again_ns; /* after a failure; CLOCK_MONOTONIC */
	struct complaint complaint;
	char piece[PIECE];
};

int store_pack_new(struct store *s)
{
	s->pack = calloc(1, sizeof(*s->pack));
	if (!s->pack)
		return -ENOMEM;
	s->pack->in = s->pack->fd = -1;
	return 0;
}

/* Drops what is half packed of f, or of any file. */
void store_pack_stop(struct store *s, const struct store_file *f)
{
	struct store_pack *p = s->pack;

	if (!p->file || (f && p->file != f))
		return;
	if (p->out)
		(void)gzclose_w(TAKE_PTR(p->out));
	p->fd = close_fd(p->fd);
	p->in = close_fd(p->in);
	p->file = NULL;
	unlinkat(s->archive_fd, p->new_name, 0);
}

void store_pack_free(struct store *s)
{
	if (!s->pack)
		return;
	store_pack_stop(s, NULL);
	free(TAKE_PTR(s->pack));
}

static int begin(struct store *s, struct store_file *f)
{
	struct store_pack *p = s->pack;
	int fd;

	snprintf(p->new_name, sizeof(p->new_name), "%s.gz.new", f->name);
	p->file = f;
	p->in = openat(s->rrd_fd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p->in < 0)
		return -errno;
	(void)posix_fadvise(p->in, 0, 0, POSIX_FADV_SEQUENTIAL);
	p->fd = openat(s->archive_fd, p->new_name,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	fd = p->fd < 0 ? -1 : fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	p->out = gzdopen(fd, "wb");
	if (!p->out) {
		close_fd(fd);
		return -ENOMEM;
	}
	return gzsetparams(p->out, LEVEL, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : -ENOMEM;
}

/* errno of a failed write; zlib tells only that there was one. */
static int gz_errno(void)
{
	return errno ? -errno : -EIO;
}

/* The archive is on disk before the RRD goes. Its time is that of the last sample. */
static int finish(struct store *s, struct store_file *f)
{
	struct store_pack *p = s->pack;
	const struct timespec times[] = {{(time_t)f->last_s, 0}, {(time_t)f->last_s, 0}};
	char name[STORE_NAME_MAX + 8];
	struct stat st;

	errno = 0;
	if (gzclose_w(TAKE_PTR(p->out)) != Z_OK)
		return gz_errno();
	if (futimens(p->fd, times) < 0 || fsync(p->fd) < 0 || fstat(p->fd, &st) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%s" ARCHIVE_SUFFIX, f->name);
	if (renameat(s->archive_fd, p->new_name, s->archive_fd, name) < 0 ||
		fsync(s->archive_fd) < 0)
		return -errno;
	/* What remains of it in the page cache would only push out what others read. */
	(void)posix_fadvise(p->in, 0, 0, POSIX_FADV_DONTNEED);
	if (unlinkat(s->rrd_fd, f->name, 0) < 0)
		return -errno;
	store_table_account(&s->table, f, false, 0);
	f->packed = true;
	store_table_account(&s->table, f, true, (uint64_t)st.st_blocks * 512);
	return 0;
}

/* One piece; 1 when that was the last one. */
static int continue_packing(struct store *s)
{
	struct store_pack *p = s->pack;
	ssize_t n = read(p->in, p->piece, sizeof(p->piece));
	int r;

	errno = n < 0 ? errno : 0;
	if (n < 0 || (n > 0 && gzwrite(p->out, p->piece, (unsigned int)n) != n))
		return gz_errno();
	if (n > 0)
		return 0;
	r = finish(s, p->file);
	return r < 0 ? r : 1;
}

/* Nothing is known of which instances run before a flush has seen a new sample. */
static bool is_due(const struct store *s, const struct store_file *f, uint64_t now_s)
{
	const struct config *c = s->config;
	uint64_t age_s = now_s > f->last_s ? now_s - f->last_s : 0;
	uint64_t keep_s = c->keep_ns / NSEC_PER_SEC, archive_s = c->archive_ns / NSEC_PER_SEC;

	if (!f->exists || f->aside || now_ns(CLOCK_MONOTONIC) < f->pack_again_ns ||
		f->number == STORE_HOST || f->held == s->flush || store_file_is_live(s, f))
		return false;
	return age_s >= keep_s + (f->packed || !archive_s ? archive_s : 0);
}

static struct store_file *next_due(const struct store *s)
{
	uint64_t now_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	struct store_file *oldest = NULL;

	if (s->fresh != s->flush)
		return NULL;
	for (size_t i = 0; i < STORE_BUCKETS; i++)
		for (struct store_file *f = s->table.bucket[i]; f; f = f->next)
			if (is_due(s, f, now_s) && (!oldest || f->last_s < oldest->last_s))
				oldest = f;
	return oldest;
}

static int step(struct store *s, struct store_file *f)
{
	int r;

	if (s->pack->file)
		return continue_packing(s);
	if (f->packed || !s->config->archive_ns) {
		r = store_table_delete(s, f);
		return r < 0 ? r : 1;
	}
	return begin(s, f);
}

uint64_t store_pack_step(struct store *s)
{
	uint64_t began = now_ns(CLOCK_MONOTONIC), spent;
	struct store_pack *p = s->pack;
	struct store_file *f = p->file;
	int r;

	if (began < p->again_ns)
		return p->again_ns - began;
	f = f ? f : next_due(s);
	if (!f)
		return SLEEP_NS;
	r = step(s, f);
	if (r < 0) {
		complain(&p->complaint, "cannot pack %s into the archive: %s", f->name,
			strerror(-r));
		store_pack_stop(s, NULL);
		if (r == -ENOENT) { /* somebody has removed it */
			store_table_account(&s->table, f, false, 0);
			return PAUSE_MIN_NS;
		}
		f->pack_again_ns = began + RETRY_NS;
		p->again_ns = began + PAUSE_FAILED_NS; /* others go on */
		return PAUSE_FAILED_NS;
	}
	if (r > 0 && p->file) {
		store_pack_stop(s, NULL); /* closes what is done with */
		complaint_over(&p->complaint, "RRDs of ended instances are packed again");
	}
	spent = now_ns(CLOCK_MONOTONIC) - began;
	return MAX(spent * PAUSE_FACTOR, PAUSE_MIN_NS);
}

/* --- for a new run ---------------------------------------------------------------------------- */

static int unpack_to(struct store *s, const char *archive, const char *new, uint64_t *ret_bytes,
	struct error *err)
{
	_cleanup_close_ int from =
		openat(s->archive_fd, archive, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int to =
		from < 0 ? -1
			 : openat(s->rrd_fd, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	struct stat st;
	int r;

	if (to < 0)
		return error_set(err, -errno, "cannot unpack %s: %m", archive);
	r = archive_unpack(from, archive, to, err);
	if (r < 0)
		return r;
	if (fsync(to) < 0 || fstat(to, &st) < 0)
		return error_set(err, -errno, "cannot unpack %s: %m", archive);
	*ret_bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

int store_unpack(struct store *s, struct store_file *f, uint64_t room, struct error *err)
{
	char archive[STORE_NAME_MAX + 8], new[STORE_NAME_MAX + 8];
	uint64_t bytes = 0;
	int r = store_table_make_room(s, room);

	if (r < 0)
		return r;
	snprintf(archive, sizeof(archive), "%s" ARCHIVE_SUFFIX, f->name);
	snprintf(new, sizeof(new), "%s.new", f->name);
	r = unpack_to(s, archive, new, &bytes, err);
	if (!r && (renameat(s->rrd_fd, new, s->rrd_fd, f->name) < 0 || fsync(s->rrd_fd) < 0))
		r = error_set(err, -errno, "cannot unpack %s: %m", archive);
	if (r < 0) {
		unlinkat(s->rrd_fd, new, 0);
		return r;
	}
	unlinkat(s->archive_fd, archive, 0);
	store_table_account(&s->table, f, false, 0);
	f->packed = false;
	store_table_account(&s->table, f, true, bytes);
	return 0;
}

/* --- a destroyed instance --------------------------------------------------------------------- */

void store_forget(struct store *s, uint32_t number)
{
	struct store_file *f = number == STORE_HOST ? NULL : store_table_get(s, number);
	int r;

	if (!f)
		return;
	/* Its last samples may still be in the ring. */
	f->forgot_ns = now_ns(CLOCK_REALTIME);
	if (!f->exists)
		return;
	store_pack_stop(s, f);
	r = store_table_unlink(s, f);
	if (r < 0)
		store_error(s, r, "cannot remove %s: %s", f->name, strerror(-r));
	f->run = f->interfaces = 0;
}
