/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/journal-files.h"

/* Any bytes, packed or not, read without a crash; what was opened and appended to reads back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint64_t time_of(const json_t *line)
{
	return journal_seconds(line, "t");
}

static int count(void *data, const json_t *line)
{
	++*(size_t *)data;
	return 0;
}

static void read_bytes(const uint8_t *data, size_t len)
{
	uint64_t damaged = 0;
	size_t lines = 0;
	int fd = memfd_create("journal", MFD_CLOEXEC);

	if (fd < 0 || write_all(fd, data, len) || lseek(fd, 0, SEEK_SET))
		abort();
	if (journal_read_fd(fd, count, &lines, &damaged))
		abort();
}

static void open_bytes(const char *dir, const uint8_t *data, size_t len)
{
	_cleanup_free_ char *path = format_string("%s/runs.jsonl", dir);
	json_t *line = json_pack("{s:i}", "t", 5);
	struct journal *j = NULL;
	size_t before = 0, after = 0;
	struct error err;

	if (replace_file(path, data, len, 0600, false) ||
		journal_open(dir, "runs", time_of, &j, &err) < 0 ||
		journal_read(dir, "runs", 0, count, &before, NULL) || journal_append(j, line) ||
		journal_read(dir, "runs", 0, count, &after, NULL))
		abort();
	/* A file that begins like a packed one is taken for one. */
	if (after != before + 1 && !(len > 1 && data[0] == 0x1f && data[1] == 0x8b))
		abort();
	journal_close(j);
	json_decref(line);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char dir[] = "/dev/shm/loadcell-fuzz-XXXXXX";

	read_bytes(data, len);
	if (!mkdtemp(dir))
		abort();
	open_bytes(dir, data, len);
	rmdir(dir);
	return 0;
}
