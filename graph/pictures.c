/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pictures.h"

#include <string.h>

#include "../lib/util.h"

/* Okabe and Ito, "Color Universal Design", 2008. */
#define ORANGE     0xE69F00
#define SKY        0x56B4E9
#define GREEN      0x009E73
#define YELLOW     0xF0E442
#define BLUE       0x0072B2
#define VERMILLION 0xD55E00
#define PURPLE     0xCC79A7
#define BLACK      0x000000
#define GREY       0x999999

unsigned int colour_of(enum colour c, bool dark)
{
	static const unsigned int colours[COLOUR_COUNT][2] = {
		[COLOUR_USER] = {SKY, SKY},
		[COLOUR_SYSTEM] = {BLUE, BLUE},
		[COLOUR_WAIT] = {YELLOW, YELLOW},
		[COLOUR_HELD_BACK] = {PURPLE, PURPLE},
		[COLOUR_ANON] = {BLUE, BLUE},
		[COLOUR_SHMEM] = {PURPLE, PURPLE},
		[COLOUR_KERNEL] = {ORANGE, ORANGE},
		[COLOUR_FILE] = {SKY, SKY},
		[COLOUR_IN] = {GREEN, GREEN},
		[COLOUR_OUT] = {ORANGE, ORANGE},
		[COLOUR_CPU] = {SKY, SKY},
		[COLOUR_MEMORY] = {BLUE, BLUE},
		[COLOUR_IO] = {ORANGE, ORANGE},
		[COLOUR_USED] = {SKY, SKY},
		[COLOUR_COMMITTED] = {VERMILLION, VERMILLION},
		[COLOUR_LINE] = {BLACK, 0xFFFFFF},
		[COLOUR_LIMIT] = {VERMILLION, VERMILLION},
		[COLOUR_PEAK] = {GREY, GREY},
		[COLOUR_REST] = {GREY, GREY},
		[COLOUR_START] = {GREEN, GREEN},
		[COLOUR_STOP] = {GREY, GREY},
		[COLOUR_OOM] = {VERMILLION, VERMILLION},
		[COLOUR_BACKGROUND] = {0xFFFFFF, 0x1B1E23},
		[COLOUR_CANVAS] = {0xFFFFFF, 0x14161A},
		[COLOUR_GRID] = {0xCCCCCC, 0x444A54},
		[COLOUR_TEXT] = {0x222222, 0xDDDDDD},
	};

	return colours[c][dark];
}

unsigned int colour_of_series(size_t n, bool dark)
{
	static const unsigned int colours[COLOUR_SERIES] = {
		SKY, ORANGE, GREEN, BLUE, VERMILLION, PURPLE, YELLOW};

	(void)dark; /* all stand out from both */
	return colours[n % COLOUR_SERIES];
}

#define LINE(l, m, s, c) .label = l, .metric = METRIC_##m, .style = STYLE_##s, .colour = COLOUR_##c

/* What comes first of a scope is what `loadcell graph` draws when no picture is asked for. */
const struct picture pictures[] = {
	{"cpu", "CPU", PICTURE_INSTANCE, "cores",
		.line = {{LINE("user", CPU_USER, AREA, USER)},
			{LINE("system", CPU_SYSTEM, STACK, SYSTEM)},
			{LINE("peak", CPU_USAGE, PEAK, PEAK)},
			{LINE("held back by the quota", CPU_THROTTLED, LINE, HELD_BACK)},
			{LINE("limit", CPU_LIMIT, LIMIT, LIMIT)}}},
	{"throttled", "CPU time held back by the quota", PICTURE_INSTANCE, "% of what was wanted",
		.percent = true,
		.line = {{LINE("throttled", CPU_THROTTLED, AREA, HELD_BACK),
			.part_of = METRIC_CPU_USAGE}}},
	{"memory", "memory", PICTURE_INSTANCE, "bytes",
		.line = {{LINE("anonymous", MEMORY_ANON, AREA, ANON)},
			{LINE("shared", MEMORY_SHMEM, STACK, SHMEM)},
			{LINE("kernel", MEMORY_KERNEL, STACK, KERNEL)},
			{LINE("page cache", MEMORY_FILE, STACK, FILE),
				.minus = METRIC_MEMORY_SHMEM},
			{LINE("working set", MEMORY_WORKING_SET, LINE, LINE)},
			{LINE("peak of usage", MEMORY_USAGE, PEAK, PEAK)},
			{LINE("limit", MEMORY_LIMIT, LIMIT, LIMIT)}}},
	{"swap", "swap", PICTURE_INSTANCE, "bytes",
		.line = {{LINE("swapped out", MEMORY_SWAP, AREA, USED)}}},
	{"io", "block I/O", PICTURE_INSTANCE, "bytes per second, writes below",
		.line = {{LINE("read", IO_READ_BYTES, AREA, IN)},
			{LINE("written", IO_WRITE_BYTES, AREA, OUT), .below = true}}},
	{"iops", "block I/O requests", PICTURE_INSTANCE, "requests per second, writes below",
		.line = {{LINE("reads", IO_READS, AREA, IN)},
			{LINE("writes", IO_WRITES, AREA, OUT), .below = true}}},
	{"network", "network", PICTURE_INSTANCE, "bytes per second, sent below",
		.line = {{LINE("received", NETWORK_RECEIVE_BYTES, AREA, IN)},
			{LINE("sent", NETWORK_TRANSMIT_BYTES, AREA, OUT), .below = true}}},
	{"pids", "tasks", PICTURE_INSTANCE, "tasks",
		.line = {{LINE("tasks", PIDS_CURRENT, AREA, USED)},
			{LINE("peak", PIDS_CURRENT, PEAK, PEAK)},
			{LINE("limit now", PIDS_LIMIT, LIMIT_NOW, LIMIT)}}},
	{"pressure", "pressure (some task waits)", PICTURE_INSTANCE, "% of the time",
		.percent = true,
		.line = {{LINE("CPU", CPU_PRESSURE_SOME, LINE, CPU)},
			{LINE("memory", MEMORY_PRESSURE_SOME, LINE, MEMORY)},
			{LINE("I/O", IO_PRESSURE_SOME, LINE, IO)}}},
	{"disk", "disk space", PICTURE_INSTANCE, "bytes",
		.line = {{LINE("used", DISK_USED, AREA, USED)},
			{LINE("limit", DISK_LIMIT, LIMIT, LIMIT)}}},
	{"cpu", "CPU of the host", PICTURE_HOST, "cores",
		.line = {{LINE("user", HOST_CPU_USER, AREA, USER)},
			{LINE("system", HOST_CPU_SYSTEM, STACK, SYSTEM)},
			{LINE("waiting for I/O", HOST_CPU_IOWAIT, STACK, WAIT)},
			{LINE("stolen", HOST_CPU_STEAL, STACK, HELD_BACK)},
			{LINE("peak of user and system", HOST_CPU_USED_CORES, PEAK, PEAK)},
			{LINE("CPUs", HOST_CPUS, LIMIT, LIMIT)}}},
	{"memory", "memory of the host", PICTURE_HOST, "bytes",
		.line = {{LINE("used", HOST_MEMORY_TOTAL, AREA, MEMORY),
				 .minus = METRIC_HOST_MEMORY_AVAILABLE},
			{LINE("available", HOST_MEMORY_AVAILABLE, STACK, FILE)},
			{LINE("in no instance", OTHER_MEMORY_USAGE, LINE, LINE)},
			{LINE("free swap", HOST_SWAP_FREE, LINE, SHMEM)}}},
	{"committed-memory", "memory promised and used", PICTURE_HOST, "bytes", .no_marks = true,
		.line = {{LINE("used", HOST_MEMORY_TOTAL, AREA, USED),
				 .minus = METRIC_HOST_MEMORY_AVAILABLE},
			{LINE("committed", MEMORY_COMMITTED, LINE, COMMITTED)},
			{LINE("memory of the host", HOST_MEMORY_TOTAL, LINE, LINE)}}},
	{"committed-cpu", "CPU promised and used", PICTURE_HOST, "cores", .no_marks = true,
		.line = {{LINE("used", HOST_CPU_USED_CORES, AREA, USED)},
			{LINE("committed", CPU_COMMITTED, LINE, COMMITTED)},
			{LINE("CPUs of the host", HOST_CPUS, LINE, LINE)}}},
	{"tasks", "tasks of the host", PICTURE_HOST, "tasks", .no_marks = true,
		.line = {{LINE("tasks", HOST_TASKS, AREA, USED)},
			{LINE("peak", HOST_TASKS, PEAK, PEAK)},
			{LINE("threads-max now", HOST_TASKS_LIMIT, LIMIT_NOW, LIMIT)},
			{LINE("pid_max now", HOST_PIDS_LIMIT, LIMIT_NOW, LIMIT)}}},
	{"limits", "open files and memory maps of the host", PICTURE_HOST, "", .no_marks = true,
		.line = {{LINE("open files", HOST_OPEN_FILES, LINE, CPU)},
			{LINE("file-max now", HOST_OPEN_FILES_LIMIT, LIMIT_NOW, LIMIT)},
			{LINE("maps of one process", HOST_MAP_COUNT, LINE, MEMORY)},
			{LINE("max_map_count now", HOST_MAP_COUNT_LIMIT, LIMIT_NOW, LIMIT)},
			{LINE("memory cgroups", HOST_MEMORY_CGROUPS, LINE, IO)}}},
	{"pressure", "pressure on the host (some task waits)", PICTURE_HOST, "% of the time",
		.percent = true,
		.line = {{LINE("CPU", HOST_CPU_PRESSURE_SOME, LINE, CPU)},
			{LINE("memory", HOST_MEMORY_PRESSURE_SOME, LINE, MEMORY)},
			{LINE("I/O", HOST_IO_PRESSURE_SOME, LINE, IO)}}},
	{"instances", "instances", PICTURE_HOST, "instances", .no_marks = true,
		.line = {{LINE("running", INSTANCES_RUNNING, AREA, USED)}}},
	{"collector", "CPU of the collector", PICTURE_HOST, "% of one core", .percent = true,
		.no_marks = true,
		.line = {{LINE("collector", COLLECTOR_CPU, AREA, USED)},
			{LINE("peak", COLLECTOR_CPU, PEAK, PEAK)}}},
};
const size_t pictures_count = ARRAY_SIZE(pictures);

const struct picture *picture_find(enum picture_scope scope, const char *id)
{
	for (size_t i = 0; i < pictures_count; i++)
		if (pictures[i].scope == scope && (!id || !strcmp(pictures[i].id, id)))
			return &pictures[i];
	return NULL;
}
