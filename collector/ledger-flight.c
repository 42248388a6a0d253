/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "../lib/metric-json.h"
#include "ledger-files.h"
#include "ledger-internal.h"

#define FLIGHT_NS (600 * NSEC_PER_SEC)
#define SUFFIX    ".json.gz"

/* --- writing ---------------------------------------------------------------------------------- */

static void add_sample(struct samples *s, uint64_t run, json_t *samples)
{
	struct ring_row row;
	size_t at = 0;

	while (ring_record_next(&s->record, &at, &row, s->values, METRIC_ID_END) > 0) {
		if (row.scope != SCOPE_INSTANCE || row.run != run)
			continue;
		json_array_append_new(
			samples, json_pack("{s:o, s:o}", "time", record_seconds(s->record.time_ns),
					 "metrics", metrics_to_json(s->values, SCALE_BASE)));
		return;
	}
}

/* Oldest first. */
static json_t *collect(struct samples *s, uint64_t run, uint64_t *ret_interval_ns)
{
	json_t *samples = json_array();
	struct ring_status st;
	uint64_t first;

	ring_status(s->ring, &st);
	first = st.next_seq;
	while (first > st.first_seq && ring_read(s->ring, first - 1, &s->record) == 0 &&
		st.last_time_ns - MIN(st.last_time_ns, s->record.time_ns) <= FLIGHT_NS)
		first--;
	for (uint64_t seq = first; seq < st.next_seq; seq++) {
		if (ring_read(s->ring, seq, &s->record) < 0)
			continue;
		*ret_interval_ns = s->record.interval_ns;
		add_sample(s, run, samples);
	}
	return samples;
}

static int write_packed(int dirfd, const char *name, const char *text)
{
	_cleanup_free_ char *new_name = format_string("%s.new", name);
	const unsigned int len = (unsigned int)strlen(text);
	_cleanup_close_ int fd = -1;
	gzFile gz;
	int r = 0;

	if (!new_name)
		return -ENOMEM;
	fd = openat(dirfd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	gz = gzdopen(dup(fd), "w");
	if (!gz)
		return -ENOMEM;
	errno = 0;
	if (gzwrite(gz, text, len) != (int)len)
		r = -EIO;
	if (gzclose(gz) != Z_OK || r)
		r = errno ? -errno : -EIO;
	if (!r && (fsync(fd) < 0 || renameat(dirfd, new_name, dirfd, name) < 0))
		r = -errno;
	if (r)
		unlinkat(dirfd, new_name, 0);
	return r;
}

int flight_write(struct samples *s, const char *dir, uint64_t id, uint64_t run, const char *handle,
	uint64_t *ret_bytes)
{
	_cleanup_close_ int dirfd = -1;
	_cleanup_free_ char *text = NULL, *name = format_string("%" PRIu64 SUFFIX, id);
	uint64_t interval_ns = 0;
	json_t *samples, *document;
	struct stat st;
	int r;

	if (!s->ring)
		return 0;
	samples = collect(s, run, &interval_ns);
	if (json_array_size(samples) == 0) {
		json_decref(samples);
		return 0;
	}
	document = json_pack("{s:i, s:I, s:o, s:s, s:o, s:o}", "schema", 1, "id", (json_int_t)id,
		"run", record_hex(run), "handle", handle, "interval", record_seconds(interval_ns),
		"samples", samples);
	text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(16));
	json_decref(document);
	if (!text || !name)
		return -ENOMEM;
	r = make_directories(dir, 0750);
	if (r < 0)
		return r;
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	r = write_packed(dirfd, name, text);
	if (!r && fstatat(dirfd, name, &st, 0) == 0)
		*ret_bytes += (uint64_t)st.st_size;
	return r;
}

/* --- removing --------------------------------------------------------------------------------- */

struct flight_file {
	uint64_t id, bytes, time_ns;
};

static int newest_first(const void *a, const void *b)
{
	const struct flight_file *x = a, *y = b;

	return x->id > y->id ? -1 : x->id < y->id;
}

static struct flight_file *list(DIR *dir, size_t *ret_n)
{
	struct flight_file *files = NULL;
	size_t n = 0, size = 0;

	for (struct dirent *e; (e = readdir(dir));) {
		struct flight_file f;
		struct stat st;
		char *end;

		f.id = strtoull(e->d_name, &end, 10);
		/* What a process that was killed left behind; this one writes none now. */
		if (end != e->d_name && strcmp(end, SUFFIX ".new") == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
		if (end == e->d_name || strcmp(end, SUFFIX) != 0 ||
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (n == size) {
			struct flight_file *bigger =
				reallocarray(files, size ? 2 * size : 64, sizeof(*files));

			if (!bigger)
				break;
			files = bigger;
			size = size ? 2 * size : 64;
		}
		f.bytes = (uint64_t)st.st_size;
		f.time_ns = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC;
		files[n++] = f;
	}
	*ret_n = n;
	return files;
}

uint64_t flight_tidy(const char *path, uint64_t oldest_ns, uint64_t max_bytes)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	_cleanup_free_ struct flight_file *files = NULL;
	uint64_t bytes = 0;
	size_t n = 0;

	if (!dir)
		return 0;
	files = list(dir, &n);
	if (n > 0)
		qsort(files, n, sizeof(*files), newest_first);
	for (size_t i = 0; i < n; i++) {
		char name[64];

		bytes += files[i].bytes;
		if (i < FLIGHT_FILES_MAX && files[i].time_ns >= oldest_ns && bytes <= max_bytes)
			continue;
		snprintf(name, sizeof(name), "%" PRIu64 SUFFIX, files[i].id);
		if (unlinkat(dirfd(dir), name, 0) == 0)
			bytes -= files[i].bytes;
	}
	return bytes;
}
