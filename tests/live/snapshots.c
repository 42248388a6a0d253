/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Publishes snapshots of made-up instances, a new one each 0.2 s, as a collector would.
 *
 *	snapshots FILE COUNT		of this many instances, which have every metric
 *	snapshots FILE COUNT churn	of which one in three comes or goes each time
 *	snapshots FILE COUNT of REAL	which have what the first instance of a real snapshot has
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../../lib/snapshot.h"

static int add_instance(struct snapshot_builder *b, uint32_t index, const struct value *values)
{
	char name[32];
	const struct snapshot_row row = {
		.index = index,
		.run = 0x1000 + index,
		.values = values,
		.text = {[TEXT_NAME] = name,
			[TEXT_HANDLE] = name,
			[TEXT_CONTEXT] = name,
			[TEXT_LXCPATH] = "/var/lib/lxc",
			[TEXT_KIND] = "lxc",
			[TEXT_STATE] = "running"},
	};

	snprintf(name, sizeof(name), "made-up-%u", index);
	return snapshot_builder_add(b, SCOPE_INSTANCE, &row);
}

/* Every metric has a value, another one each time. */
static void make_up(struct value *values, uint64_t sequence)
{
	for (size_t i = 0; i < METRIC_ID_END; i++)
		values[i] = (struct value){1000 * sequence + i, VALUE_PRESENT};
}

/* What is absent or unlimited there stays so; numbers grow. */
static void take_real(struct value *values, const struct snapshot *real, enum metric_scope scope,
	uint64_t sequence)
{
	const struct metric *m;

	for_each_metric (scope, slot, m) {
		values[slot] = snapshot_value(real, scope, 0, m->id);
		if (value_is_number(values[slot]) && m->kind == KIND_COUNTER)
			values[slot].number += 1000000 * sequence;
	}
}

struct made {
	unsigned int count;
	bool churn;
	struct snapshot *real;
};

static int publish(
	struct snapshot_builder *b, const char *path, const struct made *made, uint64_t sequence)
{
	const struct snapshot_info info = {
		.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = NSEC_PER_SEC,
		.sequence = sequence,
	};
	struct value values[METRIC_ID_END] = {0};
	const struct snapshot_row host = {
		.values = values, .text = {[TEXT_NAME] = "made-up", [TEXT_KIND] = "6.1"}};
	int r;

	make_up(values, sequence);
	if (made->real)
		take_real(values, made->real, SCOPE_HOST, sequence);
	snapshot_builder_reset(b);
	r = snapshot_builder_add(b, SCOPE_HOST, &host);
	if (made->real)
		take_real(values, made->real, SCOPE_INSTANCE, sequence);
	for (uint32_t i = 1; i <= made->count && r == 0; i++)
		if (!made->churn || (i + sequence) % 3 != 0)
			r = add_instance(b, i, values);
	return r < 0 ? r : snapshot_builder_publish(b, path, &info);
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 200000000};
	struct snapshot_builder *b = snapshot_builder_new();
	struct made made = {
		.count = argc > 2 ? (unsigned int)atoi(argv[2]) : 0, .churn = argc == 4};
	struct error err = {"usage"};
	int r = argc < 3 || !b ? -EINVAL : 0;

	if (argc == 5)
		r = snapshot_open(argv[4], &made.real, &err);
	for (uint64_t sequence = 1; r == 0; sequence++) {
		r = publish(b, argv[1], &made, sequence);
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "snapshots: %s: %s\n", strerror(-r), err.text);
	return 1;
}
