/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "../lib/config.h"
#include "../lib/index.h"
#include "../lib/log.h"
#include "../lib/metric.h"
#include "../lib/ring.h"

/*
 * The store (docs/store.md): moves complete cycles out of the ring into one RRD per instance and
 * one for the host. store-main.c is the process, store-flush.c reads the ring, store-row.c makes
 * librrd's words of its rows, store-file.c keeps RRD files whole, store-undo.c makes an update
 * atomic, store-table.c knows all files and bounds them, store-archive.c packs those of ended
 * instances.
 */
/* A batch: the more samples one update takes, the cheaper each is, but its copy costs memory. */
#define STORE_RECORDS_MAX 24
#define STORE_SOURCES_MAX 64                  /* data sources of one file */
#define STORE_HEADER_MAX  65536               /* of one RRD, before its rows */
#define STORE_NAME_MAX    (RRD_NAME_MAX + 32) /* with ".damaged-TIME" or ".new" */
#define STORE_HOST        0                   /* the host's number; instances begin at 1 */
#define STORE_NO_RUN      UINT64_MAX          /* of a file without any sample */

/* One data source of a file, where its value is in a ring's row, and how it is printed. */
struct store_source {
	char name[DS_NAME_MAX + 1];
	enum metric_scope scope;
	size_t slot;
	int interface; /* 0 and 1: that one, 2: the rest summed */
	bool counter;
	bool scaled; /* inner number is billionths of the unit */
};

/* What all files of a kind have: data sources, step, and the header of a new file. */
struct store_layout {
	struct store_source source[STORE_SOURCES_MAX];
	size_t sources;
	uint64_t step, heartbeat; /* seconds */
	char *header;             /* as librrd makes it */
	size_t header_len;
	uint64_t file_len;
	uint64_t header_last_s; /* the header's last update */
};

enum store_layout_kind {
	LAYOUT_INSTANCE,
	LAYOUT_HOST,
	LAYOUT_COUNT
};

/* One file below rrd/ or archive/, or an instance that has none yet. */
struct store_file {
	struct store_file *next;
	char *name; /* in rrd/, also of one that is packed: in archive/ ".gz" is added */
	uint32_t number;
	bool aside;  /* damaged or replaced, kept for people; name is its own then */
	bool packed; /* in archive/ */
	bool exists;
	bool checked; /* its name is the index's */
	uint64_t bytes;
	uint64_t last_s;        /* last update, or the file's time of change */
	uint64_t seen;          /* flush in which the ring had a row of it; 0: never */
	uint64_t pack_again_ns; /* after a failure; CLOCK_MONOTONIC */
	uint64_t held;          /* flush in which it failed and shall be tried again */
	uint64_t refused;       /* flush in which data_max left no room for it */
	uint64_t run;           /* of the last stored sample; 0: not known */
	uint64_t interfaces;    /* hash of which interfaces it had; 0: not known */
	uint64_t ahead;         /* up to where rows were read ahead */
	uint64_t
		forgot_ns; /* samples up to this wall clock are not stored; 0: none was forgotten */
};

#define STORE_BUCKETS 4096
struct store_table {
	struct store_file *bucket[STORE_BUCKETS + 1]; /* by number; the last one: asides */
	uint64_t files;                               /* below rrd/ */
	uint64_t archives;
	uint64_t bytes; /* of both */
};

/* A line of all columns: time, then ":" and at most 20 digits and a point each. */
#define STORE_LINE_MAX  (32 + STORE_SOURCES_MAX * 23)
#define STORE_LINES_MAX (2 * STORE_RECORDS_MAX) /* a sample may need unknowns before it */

/* Update lines for one file; one sample is gathered in `value`. */
struct row_writer {
	const struct store_layout *layout;
	const int *columns; /* indices into layout->source, -1: unknown */
	size_t n;
	struct value value[STORE_SOURCES_MAX];
	int interfaces;
	uint64_t interfaces_hash;
	size_t lines;
	const char *line[STORE_LINES_MAX];
	char *end; /* of what is used of text */
	char text[STORE_LINES_MAX * STORE_LINE_MAX];
};

/* Where one row stands in a batch. */
struct batch_row {
	uint32_t number;
	uint32_t record;
	size_t pos;
};

struct batch {
	struct ring_record record[STORE_RECORDS_MAX];
	size_t records;
	struct batch_row *row;
	size_t rows, size;
	struct value values[METRIC_ID_END];
};

struct store_stats {
	uint64_t errors, refused, quarantined, removed, samples, skipped;
};

struct store_undo; /* store-undo.c */
struct store_pack; /* store-archive.c */

struct store {
	const struct config *config;
	char *rrd_dir, *ring_path, *index_path;
	int rrd_fd, archive_fd;
	uint64_t flush;
	uint64_t fresh; /* flush in which a new sample told what runs */
	struct ring *ring;
	uint64_t cursor; /* of the ring when the flush began */
	bool learnt;     /* from the records before the cursor */
	struct index *index;
	struct stat index_stat; /* of the file when it was read */
	struct store_layout layout[LAYOUT_COUNT];
	uint64_t interval_ns; /* that the layouts were made for */
	struct store_table table;
	struct store_file **candidates; /* ended instances, oldest first; made when needed */
	size_t candidate, candidates_len;
	uint64_t candidates_flush, removed_before;
	uint64_t others_bytes, others_time_ns; /* below data_dir beside these */
	uint64_t bytes_max;
	struct store_undo *undo;
	struct store_pack *pack;
	struct batch batch;
	struct row_writer writer;
	struct store_stats stats;
	struct error error; /* of this flush; the first one */
	bool hold;          /* trouble of all files: the cursor stays */
	bool waits;         /* one file's own: the cursor stays while half of the ring is free */
	bool unnamed;       /* said of one that the index lacks */
	bool full;          /* no creation any more in this flush */
	bool widened;       /* one file has got data sources in this flush */
	struct complaint narrow, limit;
	/* Asked between two files; true: end soon, the rest is for another time. */
	bool (*stop)(void *data);
	void *stop_data;
};

/* store-flush.c */
int store_open(const struct config *config, struct store **ret, struct error *err);
void store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close)
/* Stores all that the ring has. 0, or a negative errno with the first sentence in s->error. */
int store_flush(struct store *s);
/* Counts an error and keeps the first sentence of this flush; returns code. */
int store_error(struct store *s, int code, const char *format, ...) _printf_(3, 4);

/* store-row.c: from rows to update lines. */
int store_layout_make(struct store_layout *l, enum store_layout_kind kind, uint64_t interval_ns);
void store_layout_free(struct store_layout *l);
void row_writer_begin(
	struct row_writer *w, const struct store_layout *l, const int *columns, size_t n);
/* Values of one sample arrive row by row, the interfaces in order. */
void row_writer_sample(struct row_writer *w);
void row_writer_values(struct row_writer *w, const struct ring_row *row, const struct value *v);
/* Which columns of a line are unknown whatever their values are. */
enum sample_break {
	BREAK_NONE,
	BREAK_INTERFACES,
	BREAK_COUNTERS,
	BREAK_ALL
};
/* Ends a sample: one line more. */
void row_writer_line(struct row_writer *w, uint64_t time_us, enum sample_break unknown);
/* All columns unknown at a time between two runs. */
void row_writer_restart(struct row_writer *w, uint64_t last_us, uint64_t time_us);

/* store-file.c: files named relative to rrd/. */
struct rrd_view {
	char *header; /* in the undo buffer, which makes it the state to return to */
	size_t header_len;
	uint64_t file_len;
	uint64_t inode, last_us, step;
	size_t sources;
	int column[STORE_SOURCES_MAX]; /* index into the layout's sources, or -1 */
	size_t missing;                /* sources of the layout that the file lacks */
};
/* 0; -ENOENT; -EBADMSG with a sentence: damaged; other negative errno with a sentence. */
int rrd_file_look(struct store *s, const char *name, const struct store_layout *l, uint64_t *ahead,
	struct rrd_view *view, struct error *err);
int rrd_file_create(struct store *s, const char *name, struct store_layout *l, uint64_t first_us,
	uint64_t *ret_bytes, struct error *err);
int rrd_file_update(struct store *s, const char *name, const struct rrd_view *view, size_t lines,
	const char **line, struct error *err);
/* Adds the data sources that the file lacks; one file per flush. */
int rrd_file_widen(struct store *s, const char *name, const struct store_layout *l,
	const struct rrd_view *view, struct error *err);
/* Removes what a killed store left behind half made. */
void rrd_files_tidy(struct store *s);

/* store-undo.c: one header beside, in run_dir/store.undo, so that no update is ever half done. */
int undo_open(const char *path, struct store_undo **ret);
void undo_close(struct store_undo *u);
char *undo_header(struct store_undo *u); /* STORE_HEADER_MAX bytes */
void undo_begin(struct store_undo *u, const char *name, uint64_t inode, size_t header_len);
void undo_done(struct store_undo *u);
/* Puts the header back: after a failed update, or at start when a store died in one. The file's
 * name when there was something to do, else NULL. */
const char *undo_restore(struct store_undo *u, int rrd_fd);
/* A file that is a SIGBUS or the like to one store after another, e.g. on bad sectors. */
bool undo_is_fatal(const struct store_undo *u, const char *name);
void undo_note_fault(struct store_undo *u); /* safe in a signal handler */

/* store-table.c */
int store_table_scan(struct store *s);
void store_table_free(struct store_table *t);
struct store_file *store_table_find(struct store_table *t, uint32_t number);
/* Finds or makes the entry and checks its name against the index; NULL: it has no name yet. */
struct store_file *store_table_get(struct store *s, uint32_t number);
void store_table_account(struct store_table *t, struct store_file *f, bool exists, uint64_t bytes);
/* The ring has rows of it, or had some in the flush before. */
bool store_file_is_live(const struct store *s, const struct store_file *f);
/* Removes the file, and keeps the entry; or removes both. */
int store_table_unlink(struct store *s, struct store_file *f);
int store_table_delete(struct store *s, struct store_file *f);
/* Renames the file to NAME.SUFFIX, keeps it as an aside; f then has no file. */
int store_table_set_aside(struct store *s, struct store_file *f, const char *suffix);
/* Makes room for `bytes` more below data_max: 0, or -EDQUOT when only live instances are left. */
int store_table_make_room(struct store *s, uint64_t bytes);
/* Forgets instances without file that are gone. */
void store_table_sweep(struct store *s);
uint64_t store_table_max_bytes(struct store *s);

/* store-archive.c */
int store_pack_new(struct store *s);
void store_pack_free(struct store *s);
/* Ends the packing of f, if it is that; NULL: of any. Before anything else is done with a file. */
void store_pack_stop(struct store *s, const struct store_file *f);
/* Does a few milliseconds of work; returns after how many ns to call again, if no flush comes. */
uint64_t store_pack_step(struct store *s);
/* The RRD back from the archive, of about so many bytes. -EBADMSG: the archive is damaged; -EDQUOT
 * without a sentence: data_max leaves no room. */
int store_unpack(struct store *s, struct store_file *f, uint64_t room, struct error *err);
/* A destroyed instance, that does not run: its files go, and samples up to now are not stored. */
void store_forget(struct store *s, uint32_t number);
