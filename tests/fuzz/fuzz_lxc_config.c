/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cli/hooks.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A container's configuration: its owner writes it. What it includes is there or not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];

	if (fd < 0 || write_all(fd, data, size) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (lxc_config_has_hooks(path) > 1)
		abort();
	return 0;
}
