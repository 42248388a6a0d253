/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>

#include "lib/ring-layout.h"

/*
 * Each input is tried as a file, and as a list of changes to a good file, as they are and with the
 * records' checksums put right: read from its first record to its last, then written on. A damaged
 * ring may lose what is in it, but what is written afterwards must read back.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	FILE_MAX = 1 << 17,
	RECORDS = 5,
	READS_MAX = 8,
	PATCH_BYTES = 4
};

static const struct value values[METRIC_ID_END] = {{1, VALUE_PRESENT}, {0, VALUE_UNLIMITED}};

static void write_record(struct ring *r, uint64_t time_ns)
{
	const struct ring_row host = {.scope = SCOPE_HOST};
	const struct ring_row web = {.scope = SCOPE_INSTANCE, .index = 7, .run = 9};
	uint64_t seq;

	if (ring_begin(r, time_ns, time_ns, NSEC_PER_SEC) || ring_add(r, &host, values) ||
		ring_add(r, &web, values) || ring_commit(r, &seq))
		abort();
}

static void read_rows(const struct ring_record *rec)
{
	struct value read[METRIC_ID_END];
	struct ring_row row;
	size_t pos = 0;

	while (ring_record_next(rec, &pos, &row, read, METRIC_ID_END) == 1)
		if (row.scope >= SCOPE_COUNT)
			abort();
}

/* A damaged record is passed over. Returns the time of the newest, 0 where that is none. */
static uint64_t read_all(const char *path)
{
	struct ring_record rec = {0};
	struct ring_status status;
	struct ring *r = NULL;
	struct error err;
	uint64_t last = 0;

	if (ring_open(path, false, &r, &err))
		return 0;
	ring_status(r, &status);
	ring_is_half_pending(r, status.size);
	if (ring_read(r, 0, &rec) == 0)
		read_rows(&rec);
	for (uint64_t seq = status.first_seq; seq - status.first_seq < READS_MAX; seq++)
		if (ring_read(r, seq, &rec) == 0)
			read_rows(&rec);
	if (ring_read(r, status.next_seq - 1, &rec) == 0)
		last = rec.time_ns;
	ring_record_free(&rec);
	ring_close(r);
	return last;
}

static void write_on(const char *path)
{
	struct ring *r = NULL;
	struct error err;
	uint64_t lost;

	if (ring_create(path, RING_SIZE_MIN, &r, &lost, &err))
		abort();
	write_record(r, 1234 * NSEC_PER_SEC);
	ring_close(r);
	if (read_all(path) != 1234 * NSEC_PER_SEC)
		abort();
}

static void try_file(const char *path, const unsigned char *data, size_t len)
{
	if (replace_file(path, data, len, 0600, false))
		abort();
	read_all(path);
	write_on(path);
}

static size_t good_file(const char *path, unsigned char *file)
{
	struct ring *r = NULL;
	struct error err;
	ssize_t len;

	if (ring_create(path, RING_SIZE_MIN, &r, NULL, &err))
		abort();
	for (uint64_t i = 1; i <= RECORDS; i++)
		write_record(r, i * NSEC_PER_SEC);
	ring_close(r);
	if (read_all(path) != RECORDS * NSEC_PER_SEC)
		abort();
	len = read_file_at(-1, path, (char *)file, FILE_MAX);
	unlink(path);
	if (len <= 0)
		abort();
	return (size_t)len;
}

/* Of all records, as far as their sizes lead from one to the next. */
static void put_checksums_right(unsigned char *file, size_t len)
{
	struct ring_record_header h;
	struct ring_header header;

	memcpy(&header, file, sizeof(header));
	for (uint64_t at = header.data_at; at < len && len - at >= sizeof(h); at += h.size) {
		memcpy(&h, file + at, sizeof(h));
		if (h.size < sizeof(h) || h.size > len - at || h.size % RING_ALIGN)
			break;
		h.checksum = 0;
		memcpy(file + at, &h, sizeof(h));
		h.checksum = ring_checksum(file + at, h.size);
		memcpy(file + at, &h, sizeof(h));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned char good[FILE_MAX], file[FILE_MAX];
	static size_t good_len;
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/loadcell-fuzz-%d.ring", (int)getpid());
	if (!good_len)
		good_len = good_file(path, good);
	if (len % PATCH_BYTES == 1) {
		try_file(path, data, len);
	} else {
		memcpy(file, good, good_len);
		for (size_t i = 0; i + PATCH_BYTES <= len; i += PATCH_BYTES)
			file[(data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) %
				good_len] = data[i + 3];
		if (len % PATCH_BYTES == 2)
			put_checksums_right(file, good_len);
		try_file(path, file, good_len);
	}
	unlink(path);
	return 0;
}
