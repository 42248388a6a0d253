// SPDX-License-Identifier: GPL-2.0-or-later
// What is in each chart: the table of graph/pictures.c, whose ids, lines and colours these are.
// Styles: area, stack (on the one before), line, limit (dashed), below (the zero line).
const line = (label, metric, style, colour, more) => ({ label, metric, style, colour, ...more });

export const INSTANCE = [
	{ id: 'cpu', title: 'CPU', unit: 'cores', lines: [
		line('user', 'cpu_user_seconds', 'area', 'sky'),
		line('system', 'cpu_system_seconds', 'stack', 'blue'),
		line('held back by the quota', 'cpu_throttled_seconds', 'line', 'purple'),
		line('limit', 'cpu_limit_cores', 'limit', 'vermillion')] },
	{ id: 'memory', title: 'Memory', unit: 'bytes', lines: [
		line('anonymous', 'memory_anon_bytes', 'area', 'blue'),
		line('shared', 'memory_shmem_bytes', 'stack', 'purple'),
		line('kernel', 'memory_kernel_bytes', 'stack', 'orange'),
		line('page cache', 'memory_file_bytes', 'stack', 'sky', { minus: 'memory_shmem_bytes' }),
		line('working set', 'memory_working_set_bytes', 'line', 'line'),
		line('limit', 'memory_limit_bytes', 'limit', 'vermillion')] },
	{ id: 'pressure', title: 'Waiting (some task waits)', unit: '%', lines: [
		line('CPU', 'cpu_pressure_some_seconds', 'line', 'sky'),
		line('memory', 'memory_pressure_some_seconds', 'line', 'blue'),
		line('I/O', 'io_pressure_some_seconds', 'line', 'orange')] },
	{ id: 'io', title: 'Block I/O', unit: 'bytes/s', lines: [
		line('read', 'io_read_bytes', 'area', 'green'),
		line('written', 'io_write_bytes', 'below', 'orange')] },
	{ id: 'network', title: 'Network', unit: 'bytes/s', lines: [
		line('received', 'network_receive_bytes', 'area', 'green'),
		line('sent', 'network_transmit_bytes', 'below', 'orange')] },
	{ id: 'pids', title: 'Tasks', unit: 'count', lines: [
		line('tasks', 'pids_current', 'area', 'sky'),
		line('limit now', 'pids_limit', 'limit', 'vermillion')] },
	{ id: 'disk', title: 'Disk space', unit: 'bytes', lines: [
		line('used', 'disk_used_bytes', 'area', 'sky'),
		line('limit', 'disk_limit_bytes', 'limit', 'vermillion')] },
	{ id: 'swap', title: 'Swap', unit: 'bytes', lines: [
		line('swapped out', 'memory_swap_bytes', 'area', 'sky')] },
];

export const HOST = [
	{ id: 'cpu', title: 'CPU', unit: 'cores', lines: [
		line('user', 'host_cpu_user_seconds', 'area', 'sky'),
		line('system', 'host_cpu_system_seconds', 'stack', 'blue'),
		line('waiting for I/O', 'host_cpu_iowait_seconds', 'stack', 'yellow'),
		line('stolen', 'host_cpu_steal_seconds', 'stack', 'purple'),
		line('CPUs', 'host_cpus_cores', 'limit', 'vermillion')] },
	{ id: 'memory', title: 'Memory', unit: 'bytes', lines: [
		line('used', 'host_memory_total_bytes', 'area', 'blue', { minus: 'host_memory_available_bytes' }),
		line('available', 'host_memory_available_bytes', 'stack', 'sky'),
		line('in no instance', 'other_memory_usage_bytes', 'line', 'line'),
		line('free swap', 'host_swap_free_bytes', 'line', 'purple')] },
	{ id: 'committed-memory', title: 'Memory promised and used', unit: 'bytes', lines: [
		line('used', 'host_memory_total_bytes', 'area', 'sky', { minus: 'host_memory_available_bytes' }),
		line('committed', 'memory_committed_bytes', 'line', 'vermillion'),
		line('memory of the host', 'host_memory_total_bytes', 'line', 'line')] },
	{ id: 'committed-cpu', title: 'CPU promised and used', unit: 'cores', lines: [
		line('used', 'host_cpu_used_cores', 'area', 'sky'),
		line('committed', 'cpu_committed_cores', 'line', 'vermillion'),
		line('CPUs of the host', 'host_cpus_cores', 'line', 'line')] },
	{ id: 'pressure', title: 'Waiting (some task waits)', unit: '%', lines: [
		line('CPU', 'host_cpu_pressure_some_seconds', 'line', 'sky'),
		line('memory', 'host_memory_pressure_some_seconds', 'line', 'blue'),
		line('I/O', 'host_io_pressure_some_seconds', 'line', 'orange')] },
	{ id: 'tasks', title: 'Tasks', unit: 'count', lines: [
		line('tasks', 'host_tasks', 'area', 'sky')] },
	{ id: 'instances', title: 'Instances', unit: 'count', lines: [
		line('running', 'instances_running', 'area', 'sky')] },
];

export const metricsOf = (pictures) => [...new Set(pictures.flatMap((p) =>
	p.lines.flatMap((l) => (l.minus ? [l.metric, l.minus] : [l.metric]))))];

const less = (a, b) => (a === null || b === null ? null : a - b);

// Rows for dygraphs, [time, what is drawn of line 0, ...], and beside them the values that people
// read. A part of a stack that is not known is left out of it, as in the pictures; where none is
// known there is a gap.
export function rowsOf(picture, { start, step, series }) {
	const shown = picture.lines.filter((l) => series[l.metric]?.some((v) => v !== null));
	const n = series[picture.lines[0].metric]?.length ?? 0;
	const values = shown.map((l) => series[l.metric].map((v, i) => {
		v ??= null;
		return l.minus && series[l.minus] ? less(v, series[l.minus][i] ?? null) : v;
	}));
	const rows = [];
	for (let i = 0; i < n; i++) {
		let top = null;
		rows.push([new Date((start + (i + 1) * step) * 1000), ...shown.map((l, k) => {
			const v = values[k][i];
			if (l.style === 'area' || l.style === 'stack')
				return v === null ? null : (top = v + (l.style === 'stack' ? top ?? 0 : 0));
			return l.style === 'below' && v !== null ? -v : v;
		})]);
	}
	return { shown, values, rows };
}
