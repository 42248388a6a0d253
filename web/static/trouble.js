// SPDX-License-Identifier: GPL-2.0-or-later
// What is wrong with an instance now, in words, and how much: for the order of the table and its
// colours. These are places on a scale to look at first, not thresholds of an alert: those are in
// Zabbix and in `loadcell check`.
import { duration, percent } from './format.js';

const HOUR = 3600;

// The share of what the tasks wanted that the quota held back.
export function heldBack(i) {
	const held = i.rates?.cpu_throttled_seconds, used = i.rates?.cpu_usage_seconds;
	return held > 0 && used >= 0 ? held / (held + used) : held === 0 ? 0 : null;
}

const part = (used, limit) => (typeof used === 'number' && limit > 0 ? used / limit : null);

// [how bad from 0 to 1, words when asked for them]; above BAD it is red, above WARN it is orange.
const BAD = 0.9, WARN = 0.75;
export const level = (score) => (score >= BAD ? 'bad' : score >= WARN ? 'warn' : '');

const CHECKS = [
	(i, now) => {
		const e = i.last_event;
		return e?.type === 'oom' && now - e.time < HOUR &&
			[2 - (now - e.time) / HOUR, () => `OOM kill ${duration(Math.max(now - e.time, 0))} ago`];
	},
	(i) => i.state !== 'running' && i.state !== 'stopped' && i.state && [0.8, () => i.state],
	(i) => [i.metrics.memory_used_ratio, () => `memory ${percent(i.metrics.memory_used_ratio)}`],
	(i) => {
		const p = part(i.metrics.pids_current, i.metrics.pids_limit);
		return [p, () => `tasks ${percent(p)}`];
	},
	(i) => {
		const p = part(i.metrics.disk_used_bytes, i.metrics.disk_limit_bytes);
		return [p, () => `disk ${percent(p)}`];
	},
	// Half held back is as bad as can be.
	(i) => [Math.min(heldBack(i) * 2, 1), () => `CPU held back ${percent(heldBack(i))}`],
	(i) => [i.rates?.memory_pressure_full_seconds * 5, () => 'all wait for memory'],
	(i) => [i.rates?.io_pressure_full_seconds * 1.2, () => 'all wait for I/O'],
];

export function trouble(i, now) {
	if (i.end)
		return { score: -1, level: '', words: [`ended: ${i.how ?? 'not known how'}`] };
	const found = CHECKS.map((check) => check(i, now)).filter((f) => f && f[0] >= WARN)
		.sort((a, b) => b[0] - a[0]);
	const most = found[0]?.[0] ?? 0;
	// In order of what is used of the limits where nothing is wrong.
	const score = most || Math.max(i.metrics.memory_used_ratio ?? 0, i.metrics.cpu_used_ratio ?? 0) / 2;
	return { score, level: level(most), words: found.map((f) => f[1]()) };
}
