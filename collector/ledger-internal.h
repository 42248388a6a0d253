/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ledger.h"

/* An open run, for ledger-core.c (what happens to it) and ledger-run.c (how it is written). */
enum run_end {
	END_NONE,
	END_TOLD, /* by a stop record or the collector */
	END_LOST, /* nobody saw it */
	END_CRASH /* the host went down with it */
};

#define RUN_LINKS_MAX 64 /* as many as a start record has */

struct run {
	struct run *next; /* in its bucket */
	uint64_t id;
	json_t *who; /* name, handle, index, lxcpath ... as they stand in the ledger */
	uint64_t start_ns;
	pid_t init; /* 0: not known */
	uint64_t starttime;
	bool hooked;    /* a start record has told of it */
	bool confirmed; /* the collector has, in this process's life */
	bool announced; /* started or appeared, or nobody saw it start */
	uint64_t announce_ns;
	uint64_t oom_ns, flight_ns; /* the last kill; the last time samples were kept */
	uint64_t oom_told;          /* kills that events have told of since the newest sample */

	uint64_t sample_ns; /* of the newest sample; 0: none */
	struct value *values;

	/* Host ends of its interfaces (0: none, or it was told), and what they had counted when
	 * they were deleted. links_whole: of them both ends have told. */
	unsigned int link[RUN_LINKS_MAX];
	size_t links, links_whole;
	struct value *link_values;

	enum run_end end;
	json_t *stop; /* the stop hook's record */
	uint64_t end_ns;
	bool killed;
	uint64_t due_ns; /* when it is closed */
};

struct run *run_new(uint64_t id);
void run_free(struct run *r);
DEFINE_CLEANUP(struct run *, run_free)
const char *run_text(const struct run *r, const char *key); /* of who; NULL when not there */
/* Takes what a message or record has of who it is. */
void run_identify(struct run *r, const json_t *from);
/* The host ends that a start record names. */
void run_take_links(struct run *r, const json_t *record);
/* True when it was this run's. */
bool run_take_link(struct run *r, const json_t *message);
/* Takes a sample: what is not in it any more stays as it was last. 0 or -ENOMEM. */
int run_take_sample(struct run *r, uint64_t time_ns, const struct value *values);
/* OOM kills that the stop record counts and nobody has told of. */
uint64_t run_untold_kills(const struct run *r);
/* How it ended, and when. */
const char *run_how(const struct run *r);
uint64_t run_end_ns(const struct run *r);
/* The line of runs.jsonl. */
json_t *run_line(const struct run *r);
/* An element of runs.open, and back. */
json_t *run_save(const struct run *r);
int run_load(const json_t *saved, struct run **ret);

uint64_t record_run(const json_t *object);                      /* "run"; 0: none */
uint64_t record_number(const json_t *object, const char *key);  /* 0 when it is not there */
const char *record_text(const json_t *object, const char *key); /* NULL when it is not there */
json_t *record_hex(uint64_t run);
json_t *record_seconds(uint64_t ns);
