/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "lib/snapshot-layout.h"

/*
 * Each input is tried as a file, and as a list of changes to a good file, both as they are and
 * with the right size and checksum: else nothing would get past these two.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	PATCH_BYTES = 3,
	FILE_MAX = 65536
};

/* Touches all that a reader can touch. */
static void read_all(const unsigned char *file, size_t len)
{
	struct snapshot *s = NULL;
	struct error err;

	if (snapshot_parse(file, len, &s, &err))
		return;
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		for (size_t row = 0; row < snapshot_info(s)->rows[scope] && row < 100; row++) {
			struct snapshot_row r;

			if (snapshot_row(s, scope, row, &r))
				abort();
			for (size_t i = 0; i < TEXT_COUNT; i++) {
				if (strlen(r.text[i]) > len)
					abort();
			}
			for (unsigned int id = 0; id < METRIC_ID_END + 2; id++) {
				struct value v = snapshot_value(s, scope, row, id);

				if (v.state > VALUE_UNLIMITED || (v.state != 1 && v.number))
					abort();
			}
		}
	}
	snapshot_age_ns(s);
	snapshot_close(s);
}

/* As it is, then with size and checksum put right. The copy ends where its allocation ends. */
static void try_file(const unsigned char *data, size_t len)
{
	struct snapshot_header h;
	unsigned char *file;

	len = len > SNAPSHOT_ALIGN ? len / SNAPSHOT_ALIGN * SNAPSHOT_ALIGN : len;
	file = malloc(len ? len : 1);
	if (!file)
		return;
	if (len)
		memcpy(file, data, len);
	read_all(file, len);
	if (len >= sizeof(h)) {
		memcpy(&h, file, sizeof(h));
		memcpy(h.magic, SNAPSHOT_MAGIC, sizeof(h.magic));
		h.version = SNAPSHOT_VERSION;
		h.file_size = len;
		memcpy(file, &h, sizeof(h));
		h.checksum = snapshot_checksum(file, len);
		memcpy(file, &h, sizeof(h));
		read_all(file, len);
	}
	free(file);
}

/* A good file with a row or two in each scope, made by the builder itself. */
static size_t good_file(unsigned char *file)
{
	static const struct value values[SNAPSHOT_METRICS_MAX] = {
		{1, VALUE_PRESENT}, {0, VALUE_UNLIMITED}};
	const struct snapshot_row row = {
		.index = 1, .text = {"web01", "web01~1", "~1", "host"}, .values = values};
	char path[] = "/tmp/loadcell-fuzz-XXXXXX";
	struct snapshot_builder *b = snapshot_builder_new();
	int fd = mkstemp(path);
	ssize_t len;

	for (size_t i = 0; i < (size_t)SCOPE_COUNT * 2; i++) {
		if (!b || snapshot_builder_add(b, i / 2, &row))
			abort();
	}
	if (fd < 0 || snapshot_builder_publish(b, path, &(struct snapshot_info){.sequence = 1}))
		abort();
	len = read_file_at(-1, path, (char *)file, FILE_MAX);
	snapshot_builder_free(b);
	close(fd);
	unlink(path);
	if (len <= 0)
		abort();
	return (size_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned char good[FILE_MAX];
	static size_t good_len;
	unsigned char file[FILE_MAX];
	size_t cut;

	if (!good_len)
		good_len = good_file(good);
	try_file(data, len);
	if (len < 2)
		return 0;
	memcpy(file, good, good_len);
	cut = (data[0] | (size_t)data[1] << 8) % (good_len + 1);
	for (size_t i = 2; i + PATCH_BYTES <= len; i += PATCH_BYTES)
		file[(data[i] | (size_t)data[i + 1] << 8) % good_len] = data[i + 2];
	try_file(file, cut < good_len / 2 ? good_len : cut);
	return 0;
}
