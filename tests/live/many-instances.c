/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests/live/snmp-contexts.sh: writes a snapshot of so many instances, x1, x2 ... */
#include "../../lib/snapshot.h"

static int add(struct snapshot_builder *b, uint32_t i)
{
	struct value values[METRIC_ID_END] = {0};
	char name[16];
	struct snapshot_row row = {
		.index = i,
		.run = i,
		.text = {[TEXT_NAME] = name,
			[TEXT_HANDLE] = name,
			[TEXT_CONTEXT] = name,
			[TEXT_KIND] = "lxc",
			[TEXT_STATE] = "running"},
		.values = values,
	};

	snprintf(name, sizeof(name), "x%u", i);
	values[metric_slot(METRIC_MEMORY_LIMIT)] = value_of(1024 * UINT64_C(1000) * i);
	values[metric_slot(METRIC_MEMORY_USAGE)] = value_of(1024 * UINT64_C(10) * i);
	values[metric_slot(METRIC_UPTIME)] = value_of(NSEC_PER_SEC * i);
	return snapshot_builder_add(b, SCOPE_INSTANCE, &row);
}

int main(int argc, char **argv)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	struct snapshot_info info = {.interval_ns = NSEC_PER_SEC, .sequence = 1};
	struct value values[METRIC_ID_END] = {0};
	struct snapshot_row host = {.text = {[TEXT_NAME] = "many"}, .values = values};
	int r;

	if (argc != 3 || !b)
		return 2;
	info.time_ns = now_ns(CLOCK_REALTIME);
	info.monotonic_ns = now_ns(CLOCK_MONOTONIC);
	/* The instances have hardly anything of this, and must not tell it. */
	values[metric_slot(METRIC_HOST_CPUS)] = value_of(8 * NSEC_PER_SEC);
	values[metric_slot(METRIC_HOST_MEMORY_TOTAL)] = value_of(UINT64_C(64) << 30);
	values[metric_slot(METRIC_HOST_SWAP_TOTAL)] = value_of(UINT64_C(2) << 30);
	values[metric_slot(METRIC_HOST_CPU_USER)] = value_of(77 * NSEC_PER_SEC);
	r = snapshot_builder_add(b, SCOPE_HOST, &host);
	for (uint32_t i = 1; i <= strtoul(argv[2], NULL, 10) && r == 0; i++)
		r = add(b, i);
	if (r == 0)
		r = snapshot_builder_publish(b, argv[1], &info);
	if (r < 0)
		fprintf(stderr, "many-instances: error %d\n", -r);
	return r < 0;
}
