/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "journal.h"

/* For the writer and the readers of journals only: the files that stand beside NAME.jsonl. */
struct journal_file {
	uint64_t first_s, last_s; /* of its lines */
	uint64_t bytes;
	ino_t ino;
	bool packed; /* else about to be packed: NAME-FIRST-LAST.jsonl */
};

/* The old files of a journal, oldest first; a file that stands there in both forms comes packed.
 * The caller frees. Returns how many, or a negative errno. */
ssize_t journal_files(int dirfd, const char *name, struct journal_file **ret);
/* "NAME-FIRST-LAST.jsonl" or with ".gz". */
#define JOURNAL_PATH_MAX 128
void journal_file_name(const struct journal_file *f, const char *name, char path[JOURNAL_PATH_MAX]);

/*
 * Hands out the lines of one file, packed or not; takes the descriptor. Returns what call returned;
 * damage is counted. Bytes after the last line's end are no line yet.
 */
int journal_read_fd(
	int fd, int (*call)(void *data, const json_t *line), void *data, uint64_t *damaged);
