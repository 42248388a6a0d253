/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/mman.h>

#include "lib/index.h"

/* Any bytes load without a crash; what was loaded is saved, and then loads whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t count_names(const struct index *x, const uint8_t *data, size_t len)
{
	size_t found = 0;

	for (size_t i = 0; i + 4 <= len; i++) {
		uint32_t number;
		const struct index_entry *e;

		memcpy(&number, data + i, sizeof(number));
		e = index_by_number(x, number);
		found += e != NULL;
		if (e && index_find(x, e->lxcpath, e->name) != e)
			abort();
	}
	return found;
}

/* In a file that has no directory, so that nothing is left behind or kept aside. */
static int load_bytes(const uint8_t *data, size_t len, struct index **ret)
{
	int fd = memfd_create("index", MFD_CLOEXEC);
	struct error err;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write_all(fd, data, len))
		abort();
	r = index_load(path, ret, &err);
	close(fd);
	return r;
}

static void round_trip(const uint8_t *data, size_t len)
{
	char dir[] = "/dev/shm/loadcell-fuzz-XXXXXX", path[64];
	const struct index_entry *e;
	struct index *x = NULL, *again = NULL;
	struct error err;
	FILE *f;

	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/index", dir);
	/* Loaded from here, it would be kept aside when damaged: start from its name only. */
	if (index_load(path, &x, &err) != 0)
		abort();
	f = fmemopen((void *)(uintptr_t)data, len, "r");
	for (char name[64]; f && fgets(name, sizeof(name), f);) {
		if (index_assign(x, name, name + strlen(name) / 2, &e) == 0)
			index_note_run(x, e->number, strlen(name), 1);
	}
	if (f)
		fclose(f);
	if (index_assign(x, "/", "one at least", &e) || index_save(x, NULL, NULL) ||
		index_load(path, &again, &err) != 0)
		abort();
	if (count_names(x, data, len) != count_names(again, data, len))
		abort();
	index_free(x);
	index_free(again);
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct index_entry *e;
	struct index *x = NULL;

	if (load_bytes(data, len, &x) >= 0) {
		count_names(x, data, len);
		if (index_assign(x, "/var/lib/lxc", "web01", &e) || !e->number)
			abort();
	}
	index_free(x);
	if (len && len < 4096)
		round_trip(data, len);
	return 0;
}
