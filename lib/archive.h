/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

#include "util.h"

/*
 * data_dir/archive/NAME.NUMBER.rrd.gz: the RRD of an instance that has ended, as gzip(1) makes it.
 * Who reads RRDs unpacks one for himself with archive_open(); the file stays as it is.
 */
#define ARCHIVE_SUFFIX ".gz"
#define ARCHIVE_UNPACKED_MAX                                                                       \
	(UINT64_C(256) << 20) /* five times the RRD of a one second interval                       \
			       */

/* Whatever an open archive holds goes to `to`. -EBADMSG: damaged, cut off, or no RRD in it. */
int archive_unpack(int from, const char *name, int to, struct error *err);

/*
 * Unpacks into a file without a name, in memory, that goes when *ret_fd is closed. ret_path (32
 * bytes) is what librrd in this process opens it by; rrdtool(1) as a child needs the descriptor
 * without O_CLOEXEC.
 */
#define ARCHIVE_PATH_MAX 32
int archive_open(const char *path, int *ret_fd, char ret_path[ARCHIVE_PATH_MAX], struct error *err);
