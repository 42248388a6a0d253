/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pthread.h>

#include "../lib/log.h"
#include "../lib/ring.h"
#include "../lib/snapshot.h"
#include "host.h"
#include "sampler.h"

#define FILESYSTEMS_MAX 256

/* What is shared by sampler.c (messages, cycle), publish.c (snapshot, ring) and totals.c. */
struct sampler {
	/* Used by the sampling thread alone. */
	uint64_t interval_ns, flush_ns, recent_bytes;
	struct measure measure;
	struct host host;
	struct instance **instances; /* ascending index */
	size_t n_instances, instances_size;
	struct filesystem filesystems[FILESYSTEMS_MAX];
	size_t n_filesystems;
	struct outside_facts facts;
	struct snapshot *seed; /* what an earlier collector published; NULL after two cycles */
	struct snapshot_builder *builder;
	struct ring *ring;
	char *snapshot_path, *ring_path;
	char *hostname, *kernel, *boot_id;
	uint64_t boot_hash, started_ns;
	int interface_column[METRIC_ID_END]; /* netdev column of each interface slot */
	uint64_t time_ns, monotonic_ns, sequence, ring_bytes, lost;
	uint64_t cycles, missed, cycle_ns;
	struct complaint publish_complaint, ring_complaint;

	/* Shared with other threads, under the lock. */
	pthread_mutex_t lock;
	struct message *messages, **messages_end;
	struct sampler_status status;

	pthread_t thread;
	bool running;
	int event_fd, stop_fd;
};

/* totals.c: host rows made of all instances. */
void totals_add(struct sampler *s);

/* publish.c */
int publish_init(struct sampler *s, const struct config *c, struct error *err);
void publish_destroy(struct sampler *s);
/* One cycle: begin, each instance right after its measurement, while it is in the CPU's caches,
 * end. */
void publish_begin(struct sampler *s);
void publish_instance(struct sampler *s, struct instance *in);
void publish_end(struct sampler *s);
