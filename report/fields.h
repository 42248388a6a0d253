/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

/* The figures of a row. Names are frozen: they are those of JSON members and CSV columns. */
enum field_unit {
	FIELD_CORES,
	FIELD_BYTES,
	FIELD_RATIO,
	FIELD_NUMBER,
	FIELD_SECONDS
};

/* id, name, unit, how a sum of rows gets it: S sum, M maximum, N not at all */
#define REPORT_FIELDS(X)                                                                           \
	X(CPU_P50, "cpu_p50_cores", CORES, N)                                                      \
	X(CPU_P95, "cpu_p95_cores", CORES, N)                                                      \
	X(CPU_P99, "cpu_p99_cores", CORES, N)                                                      \
	X(CPU_PEAK, "cpu_peak_average_cores", CORES, N)                                            \
	X(CPU_MAX, "cpu_max_cores", CORES, N)                                                      \
	X(CPU_LIMIT, "cpu_limit_cores", CORES, S)                                                  \
	X(CPU_NEAR, "cpu_near_limit_ratio", RATIO, M)                                              \
	X(CPU_THROTTLED, "cpu_throttled_ratio", RATIO, M)                                          \
	X(CPU_PRESSURE, "cpu_pressure_ratio", RATIO, M)                                            \
	X(CPU_TOTAL, "cpu_usage_seconds", SECONDS, S)                                              \
	X(MEMORY_P50, "memory_p50_bytes", BYTES, N)                                                \
	X(MEMORY_P95, "memory_p95_bytes", BYTES, N)                                                \
	X(MEMORY_P99, "memory_p99_bytes", BYTES, N)                                                \
	X(MEMORY_PEAK, "memory_peak_average_bytes", BYTES, N)                                      \
	X(MEMORY_MAX, "memory_max_bytes", BYTES, N)                                                \
	X(MEMORY_LIMIT, "memory_limit_bytes", BYTES, S)                                            \
	X(MEMORY_NEAR, "memory_near_limit_ratio", RATIO, M)                                        \
	X(MEMORY_PRESSURE, "memory_pressure_ratio", RATIO, M)                                      \
	X(PIDS_P95, "pids_p95", NUMBER, N)                                                         \
	X(PIDS_MAX, "pids_max", NUMBER, N)                                                         \
	X(PIDS_LIMIT, "pids_limit", NUMBER, S)                                                     \
	X(DISK_USED, "disk_used_bytes", BYTES, S)                                                  \
	X(DISK_MAX, "disk_max_bytes", BYTES, N)                                                    \
	X(DISK_LIMIT, "disk_limit_bytes", BYTES, S)                                                \
	X(DISK_GROWTH, "disk_growth_bytes", BYTES, S)                                              \
	X(IO_READ, "io_read_bytes", BYTES, S)                                                      \
	X(IO_WRITE, "io_write_bytes", BYTES, S)                                                    \
	X(IO_PRESSURE, "io_pressure_ratio", RATIO, M)                                              \
	X(NET_RECEIVE, "network_receive_bytes", BYTES, S)                                          \
	X(NET_TRANSMIT, "network_transmit_bytes", BYTES, S)                                        \
	X(OOM_KILLS, "memory_oom_kills", NUMBER, S)                                                \
	X(RUNS, "runs", NUMBER, S)                                                                 \
	X(UP, "up_seconds", SECONDS, S)                                                            \
	X(AVAILABILITY, "availability_ratio", RATIO, N)                                            \
	X(POINTS, "points_known", NUMBER, S)                                                       \
	X(RESOLUTION, "resolution_seconds", SECONDS, M)                                            \
	X(PEAK_RESOLUTION, "peak_resolution_seconds", SECONDS, M)                                  \
	X(MEMORY_ADVICE, "recommended_memory_bytes", BYTES, S)                                     \
	X(MEMORY_BACK, "memory_given_back_bytes", BYTES, S)                                        \
	X(CPU_ADVICE, "recommended_cpu_cores", CORES, S)                                           \
	X(CPU_BACK, "cpu_given_back_cores", CORES, S)                                              \
	/* --- of hosts: */                                                                        \
	X(HOST_CPUS, "host_cpus", NUMBER, S)                                                       \
	X(HOST_CPU_USED_P95, "host_cpu_used_p95_cores", CORES, S)                                  \
	X(HOST_CPU_USED_PEAK, "host_cpu_used_peak_cores", CORES, S)                                \
	X(HOST_CPU_UPPER, "host_cpu_peak_upper_cores", CORES, S)                                   \
	X(HOST_CPU_SUM, "host_cpu_sum_of_peaks_cores", CORES, S)                                   \
	X(HOST_CPU_COMMITTED, "host_cpu_committed_cores", CORES, S)                                \
	X(HOST_CPU_ROOM_COMMITTED, "host_cpu_headroom_committed_cores", CORES, S)                  \
	X(HOST_CPU_ROOM_P95, "host_cpu_headroom_p95_cores", CORES, S)                              \
	X(HOST_CPU_ROOM_PEAK, "host_cpu_headroom_peak_cores", CORES, S)                            \
	X(HOST_MEMORY, "host_memory_bytes", BYTES, S)                                              \
	X(HOST_MEMORY_USED_P95, "host_memory_used_p95_bytes", BYTES, S)                            \
	X(HOST_MEMORY_USED_PEAK, "host_memory_used_peak_bytes", BYTES, S)                          \
	X(HOST_MEMORY_UPPER, "host_memory_peak_upper_bytes", BYTES, S)                             \
	X(HOST_MEMORY_SUM, "host_memory_sum_of_peaks_bytes", BYTES, S)                             \
	X(HOST_MEMORY_COMMITTED, "host_memory_committed_bytes", BYTES, S)                          \
	X(HOST_MEMORY_ROOM_COMMITTED, "host_memory_headroom_committed_bytes", BYTES, S)            \
	X(HOST_MEMORY_ROOM_P95, "host_memory_headroom_p95_bytes", BYTES, S)                        \
	X(HOST_MEMORY_ROOM_PEAK, "host_memory_headroom_peak_bytes", BYTES, S)                      \
	X(HOST_INSTANCES, "host_instances", NUMBER, S)                                             \
	X(HOST_TASKS, "host_tasks_max", NUMBER, S)                                                 \
	X(HOST_TASKS_LIMIT, "host_tasks_limit", NUMBER, S)                                         \
	X(HOST_MAPS, "host_map_count_max", NUMBER, M)                                              \
	X(HOST_MAPS_LIMIT, "host_map_count_limit", NUMBER, M)                                      \
	X(HOST_FILES, "host_open_files_max", NUMBER, S)                                            \
	X(HOST_FILES_LIMIT, "host_open_files_limit", NUMBER, S)                                    \
	X(HOST_CGROUPS, "host_memory_cgroups_max", NUMBER, S)                                      \
	X(HOST_CGROUPS_LIMIT, "host_memory_cgroups_limit", NUMBER, S)                              \
	X(HOST_DISK_USED, "host_disk_used_bytes", BYTES, S)                                        \
	X(HOST_DISK, "host_disk_bytes", BYTES, S)

#define REPORT_FIELD_ID(id, name, unit, sum) FIELD_##id,
enum field {
	REPORT_FIELDS(REPORT_FIELD_ID) FIELD_COUNT
};
#define FIELD_HOST FIELD_HOST_CPUS /* from here on of hosts only */

struct field_info {
	const char *name;
	enum field_unit unit;
	char sum;
};
extern const struct field_info report_field[FIELD_COUNT];
