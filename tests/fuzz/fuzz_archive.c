/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/mman.h>

#include "lib/archive.h"

/* Any bytes as a packed RRD: refused with a sentence, or unpacked to what begins like an RRD. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_close_ int from = memfd_create("packed", MFD_CLOEXEC);
	_cleanup_close_ int to = memfd_create("unpacked", MFD_CLOEXEC);
	struct error err = {""};
	char begin[4] = "";
	int r;

	if (from < 0 || to < 0 || write_all(from, data, len) || lseek(from, 0, SEEK_SET))
		abort();
	r = archive_unpack(from, "archive", to, &err);
	if (r < 0 && !err.text[0])
		abort();
	if (r == 0 && (pread(to, begin, sizeof(begin), 0) != sizeof(begin) ||
			      memcmp(begin, "RRD", sizeof(begin)) != 0))
		abort();
	return 0;
}
