/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "checksum.h"
#include "snapshot-layout.h"

struct snapshot {
	const unsigned char *data; /* nothing in it is trusted to be aligned */
	size_t len;
	bool mapped;
	bool same_boot;
	struct snapshot_header h;
	struct snapshot_info info;
	/* By metric id: 1 + the slot that the file has it in; 0: it has not. */
	uint16_t slot[SCOPE_COUNT][METRIC_ID_END];
};

static inline uint32_t load32(const void *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static inline uint64_t load64(const void *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

uint64_t snapshot_checksum(const void *data, size_t len)
{
	return checksum_of(data, len, offsetof(struct snapshot_header, checksum));
}

/* That len bytes at this offset are in the file. */
static bool inside(const struct snapshot *s, uint64_t offset, uint64_t len)
{
	return offset <= s->len && len <= s->len - offset;
}

static int check_header(const struct snapshot *s, const char *name, struct error *err)
{
	const struct snapshot_header *h = &s->h;

	if (s->len < sizeof(*h) || memcmp(h->magic, SNAPSHOT_MAGIC, sizeof(h->magic)) != 0)
		return error_set(err, -EBADMSG, "%s is no snapshot of loadcell", name);
	if (h->version != SNAPSHOT_VERSION)
		return error_set(err, -EPROTO,
			"%s is of format version %" PRIu32 ", and this program reads version %d: "
			"collector and reader are of different releases",
			name, h->version, SNAPSHOT_VERSION);
	if (h->file_size != s->len || s->len % SNAPSHOT_ALIGN)
		return error_set(err, -EBADMSG,
			"%s is damaged: it has %zu bytes instead of %" PRIu64, name, s->len,
			h->file_size);
	if (h->checksum != snapshot_checksum(s->data, s->len))
		return error_set(err, -EBADMSG, "%s is damaged: its checksum is wrong", name);
	if (h->header_size < sizeof(*h) || h->header_size > s->len || h->scopes != SCOPE_COUNT ||
		h->texts > SNAPSHOT_TEXTS_MAX)
		return error_set(err, -EBADMSG, "%s is damaged: its header is wrong", name);
	if (!inside(s, h->strings, h->strings_size) || !h->strings_size ||
		s->data[h->strings] != '\0' || s->data[h->strings + h->strings_size - 1] != '\0')
		return error_set(err, -EBADMSG, "%s is damaged: its texts are wrong", name);
	return 0;
}

/* Every offset and state of every row, so that reading them later needs no check. */
static bool rows_ok(const struct snapshot *s, const struct snapshot_scope *scope)
{
	const size_t states_at = snapshot_states_at(s->h.texts, scope->metrics);
	const unsigned char *record = s->data + scope->records;

	for (uint32_t row = 0; row < scope->rows; row++, record += scope->record_size) {
		const unsigned char *text = record + sizeof(struct snapshot_fixed);
		unsigned char highest = 0;

		for (uint32_t i = 0; i < s->h.texts; i++) {
			if (load32(text + i * sizeof(uint32_t)) >= s->h.strings_size)
				return false;
		}
		for (uint32_t i = 0; i < scope->metrics; i++)
			highest = MAX(highest, record[states_at + i]);
		if (highest > VALUE_UNLIMITED)
			return false;
	}
	return true;
}

static bool scope_ok(struct snapshot *s, enum metric_scope number)
{
	const struct snapshot_scope *scope = &s->h.scope[number];
	uint32_t last = 0;

	if (scope->metrics > SNAPSHOT_METRICS_MAX ||
		scope->record_size != snapshot_record_size(s->h.texts, scope->metrics) ||
		!inside(s, scope->directory, (uint64_t)scope->metrics * sizeof(uint32_t)) ||
		!inside(s, scope->records, (uint64_t)scope->rows * scope->record_size))
		return false;
	for (uint32_t i = 0; i < scope->metrics; i++) {
		uint32_t id = load32(s->data + scope->directory + i * sizeof(id));

		if (id <= last)
			return false;
		last = id;
		if (id < METRIC_ID_END)
			s->slot[number][id] = (uint16_t)(i + 1);
	}
	return rows_ok(s, scope);
}

static int check_all(struct snapshot *s, const char *name, struct error *err)
{
	int r;

	memcpy(&s->h, s->data, MIN(s->len, sizeof(s->h)));
	r = check_header(s, name, err);
	if (r)
		return r;
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		if (!scope_ok(s, scope))
			return error_set(err, -EBADMSG, "%s is damaged: its table of %ss is wrong",
				name, scope_name(scope));
		s->info.rows[scope] = s->h.scope[scope].rows;
	}
	s->info.time_ns = s->h.time_ns;
	s->info.monotonic_ns = s->h.monotonic_ns;
	s->info.interval_ns = s->h.interval_ns;
	s->info.sequence = s->h.sequence;
	s->info.fingerprint = s->h.fingerprint;
	s->same_boot = s->h.boot && s->h.boot == snapshot_boot();
	return 0;
}

static int parse(
	const void *data, size_t len, const char *name, struct snapshot **ret, struct error *err)
{
	_cleanup_(snapshot_close) struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "%s: %s", name, strerror(ENOMEM));
	s->data = data;
	s->len = len;
	r = check_all(s, name, err);
	if (!r)
		*ret = TAKE_PTR(s);
	return r;
}

int snapshot_parse(const void *data, size_t len, struct snapshot **ret, struct error *err)
{
	return parse(data, len, "the snapshot", ret, err);
}

int snapshot_open(const char *path, struct snapshot **ret, struct error *err)
{
	_cleanup_close_ int fd = open_published(path, O_RDONLY, err);
	struct stat st;
	void *data;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot read %s: %m", path);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct snapshot_header))
		return error_set(err, -EBADMSG, "%s is no snapshot of loadcell", path);
	if (st.st_size > (off_t)SNAPSHOT_SIZE_MAX)
		return error_set(err, -EFBIG, "%s is too large for a snapshot of loadcell", path);
	/* It never changes once it has this name, so a mapping is as good as a copy. */
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (data == MAP_FAILED)
		return error_set(err, -errno, "cannot map %s: %m", path);
	r = parse(data, (size_t)st.st_size, path, ret, err);
	if (r)
		munmap(data, (size_t)st.st_size);
	else
		(*ret)->mapped = true;
	return r;
}

void snapshot_close(struct snapshot *s)
{
	if (!s)
		return;
	if (s->mapped)
		munmap((void *)(uintptr_t)s->data, s->len);
	free(s);
}

const struct snapshot_info *snapshot_info(const struct snapshot *s)
{
	return &s->info;
}

uint64_t snapshot_age_ns(const struct snapshot *s)
{
	uint64_t then = s->same_boot ? s->info.monotonic_ns : s->info.time_ns;
	uint64_t now = now_ns(s->same_boot ? CLOCK_MONOTONIC : CLOCK_REALTIME);

	return now > then ? now - then : 0;
}

/* NULL when there is no such row. */
static const unsigned char *record_at(const struct snapshot *s, enum metric_scope scope, size_t row)
{
	if ((unsigned int)scope >= SCOPE_COUNT || row >= s->h.scope[scope].rows)
		return NULL;
	return s->data + s->h.scope[scope].records + row * s->h.scope[scope].record_size;
}

int snapshot_row(
	const struct snapshot *s, enum metric_scope scope, size_t row, struct snapshot_row *ret)
{
	const unsigned char *record = record_at(s, scope, row);
	struct snapshot_fixed fixed;

	if (!record)
		return -ENOENT;
	memcpy(&fixed, record, sizeof(fixed));
	*ret = (struct snapshot_row){
		.index = fixed.index,
		.parent = fixed.parent,
		.flags = fixed.flags,
		.run = fixed.run,
		.disk_time_ns = fixed.disk_time_ns,
		.disk_progress = fixed.disk_progress,
	};
	for (uint32_t i = 0; i < TEXT_COUNT; i++) {
		uint32_t at = i < s->h.texts ? load32(record + sizeof(fixed) + i * sizeof(at)) : 0;

		ret->text[i] = (const char *)s->data + s->h.strings + at;
	}
	return 0;
}

struct value snapshot_value(
	const struct snapshot *s, enum metric_scope scope, size_t row, unsigned int metric_id)
{
	const unsigned char *record = record_at(s, scope, row);
	size_t slot;
	struct value v;

	if (!record || metric_id >= METRIC_ID_END || !s->slot[scope][metric_id])
		return value_absent();
	slot = s->slot[scope][metric_id] - 1U;
	v.state = record[snapshot_states_at(s->h.texts, s->h.scope[scope].metrics) + slot];
	v.number = v.state == VALUE_PRESENT
			   ? load64(record + snapshot_numbers_at(s->h.texts) + slot * 8)
			   : 0;
	return v;
}
