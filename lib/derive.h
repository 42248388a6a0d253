/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "metric.h"

/*
 * Values that are computed from other values of the same row. Pure functions; the metric table
 * points to them. `before` is the same row one cycle earlier within the same run.
 */
struct derive_input {
	const struct value *now;    /* one per slot; files are read, earlier slots are derived */
	const struct value *before; /* NULL in a run's first cycle */
	uint64_t elapsed_ns;        /* between the two, measured, not the nominal interval */
	uint64_t time_ns;           /* wall clock of this cycle */
	struct value host_cpus;     /* online CPUs, in billionths of a core */
	struct value host_memory;   /* MemTotal */
};

struct value derive_cpu_limit(const struct derive_input *in);
struct value derive_cpu_used_cores(const struct derive_input *in);
struct value derive_cpu_used_ratio(const struct derive_input *in);
struct value derive_cpu_idle(const struct derive_input *in);
struct value derive_working_set(const struct derive_input *in);
struct value derive_memory_used_ratio(const struct derive_input *in);
struct value derive_swap_limit_v1(const struct derive_input *in);
struct value derive_uptime(const struct derive_input *in);
struct value derive_host_cpu_used_cores(const struct derive_input *in);
