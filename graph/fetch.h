/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../lib/config.h"
#include "../lib/index.h"
#include "../lib/ring.h"

/*
 * Values of the past: for graphs, `top --at`, charts of the web page, reports. They come from the
 * RRDs (of ended instances: packed ones too), and what is not yet in these from the ring, so that
 * the right edge is now. librrd is not needed, nor linked.
 *
 * Counters are rates per second: cpu_usage_seconds in cores, pressure as a ratio, bytes per
 * second. Gauges and limits are in base units. What is absent or unlimited is NAN. A network_
 * metric is the sum of the interfaces; *_used_cores and *_used_ratio are worked out from what is
 * stored. A metric without a data source is known as far back as the ring goes.
 */
#define FETCH_HOST        0 /* the index that stands for the host */
#define FETCH_METRICS_MAX 32
#define FETCH_VALUES_MAX  (1 << 20) /* of one query: 16 MB while it is worked out */

/* One look at index, ring and files. What happens afterwards is seen by the next one. One thread
 * at a time may use it; any number may be open. */
struct fetch;
int fetch_open(const struct config *config, struct fetch **ret, struct error *err);
void fetch_close(struct fetch *f);
DEFINE_CLEANUP(struct fetch *, fetch_close)
/* By handle; NULL: never seen. The entry lives as long as the fetch. */
const struct index_entry *fetch_find(const struct fetch *f, const char *handle);
const struct index *fetch_index(const struct fetch *f);
const struct ring *fetch_ring(const struct fetch *f); /* NULL: there is none */
/* When the newest sample was taken; 0: there is none. */
uint64_t fetch_newest_ns(const struct fetch *f);

enum fetch_what {
	FETCH_AVERAGE,
	FETCH_MAXIMUM /* the highest step in each point: peaks survive any width */
};

struct fetch_query {
	uint32_t index;              /* of the instance, running or ended; or FETCH_HOST */
	const unsigned int *metrics; /* ids of one scope */
	size_t n_metrics;
	enum fetch_what what;
	uint64_t from_s, to_s; /* wall clock */
	uint64_t step_s;       /* of fetch_step(), or any other */
};

/*
 * The step for a time span: what is stored so far back (10 s, 5 minutes, 1 hour), or as many of
 * them as leave at most so many points. A function of time only, so that the series of all
 * instances fit together.
 */
uint64_t fetch_step(const struct fetch *f, uint64_t from_s, uint64_t to_s, size_t max_points);

/*
 * Point i is of the time (start + i * step, start + (i + 1) * step], with start and all steps at
 * multiples of the step, as rrdtool has them. An average is known when half of its time is, of the
 * newest point half of what has passed.
 */
struct series {
	uint64_t start_s, step_s;
	size_t n, metrics;
	double *values;        /* of metric m: values[m * n] ... */
	uint64_t resolution_s; /* of the stored rows that were used; 0: none were */
	uint64_t ring_since_s; /* later values are from the ring; 0: none is */
};
/* 0; -ENOENT: nothing is stored of it; -E2BIG: too many points; -EBADMSG: its file is damaged; each
 * with a sentence. Free *ret with series_free() in any case. */
int fetch_series(
	struct fetch *f, const struct fetch_query *q, struct series *ret, struct error *err);
void series_free(struct series *s);
static inline void cleanup_series_free(struct series *s)
{
	series_free(s);
}
static inline const double *series_of(const struct series *s, size_t metric)
{
	return s->values + metric * s->n;
}
