/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests/live/snmp-robust.sh: publishes snapshots of made-up instances, a new one each 0.2 s, as
 * a collector would.
 *
 *	snapshots FILE COUNT	of this many instances
 *	snapshots FILE COUNT churn	of which one in three comes or goes each time
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

static int publish(struct snapshot_builder *b, const char *path, unsigned int count, bool churn,
	uint64_t sequence)
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

	for (size_t i = 0; i < METRIC_ID_END; i++)
		values[i] = (struct value){1000 * sequence + i, VALUE_PRESENT};
	snapshot_builder_reset(b);
	r = snapshot_builder_add(b, SCOPE_HOST, &host);
	for (uint32_t i = 1; i <= count && r == 0; i++)
		if (!churn || (i + sequence) % 3 != 0)
			r = add_instance(b, i, values);
	return r < 0 ? r : snapshot_builder_publish(b, path, &info);
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 200000000};
	struct snapshot_builder *b = snapshot_builder_new();
	int r = argc < 3 || !b ? -EINVAL : 0;

	for (uint64_t sequence = 1; r == 0; sequence++) {
		r = publish(b, argv[1], (unsigned int)atoi(argv[2]), argc > 3, sequence);
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "snapshots: %s\n", strerror(-r));
	return 1;
}
