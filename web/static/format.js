// SPDX-License-Identifier: GPL-2.0-or-later
// Values as people read them, with the units and rounding of cli/format.c. Absent is not
// zero and unlimited is not a number: null is ABSENT, the string "unlimited" is said as such.
export const ABSENT = '–';

const isNumber = (v) => typeof v === 'number' && Number.isFinite(v);

// The smallest unit that keeps n below `step` after rounding; an exact multiple has no fraction.
function scaled(n, step, units) {
	let i = 0;
	let unit = step;
	while (i < units.length - 1 && n / unit >= step - 0.5) {
		unit *= step;
		i++;
	}
	const x = n / unit;
	if (Number.isInteger(x))
		return `${x}${units[i]}`;
	return `${Math.round(x * 10) < 1000 ? (Math.round(x * 10) / 10).toFixed(1) : Math.round(x)}${units[i]}`;
}

// Wraps a formatter of numbers: what is no number says which kind of nothing it is.
const known = (f) => (v) => (v === 'unlimited' ? v : isNumber(v) ? f(v) : ABSENT);

export const bytes = known((n) =>
	n === 0 ? '0' : n < 999.5 ? `${Math.round(n)}B` : scaled(Math.round(n), 1024, 'KMGTPE'));
export const count = known((n) =>
	n < 99999.5 ? `${Math.round(n)}` : scaled(Math.round(n), 1000, 'kMGTPE'));
export const bytesRate = known((n) => `${bytes(n)}/s`);
export const countRate = known((n) => `${count(n)}/s`);
export const cores = known((n) => {
	if (Math.round(n * 100) < 1000)
		return n.toFixed(2);
	return Math.round(n * 10) < 1000 ? n.toFixed(1) : `${Math.round(n)}`;
});
export const percent = known((ratio) => {
	const p = ratio * 100;
	return `${Math.round(p * 10) < 100 ? p.toFixed(1) : Math.round(p)}%`;
});

const SPANS = [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'm'], [60, 'm', 1, 's']];
export const duration = known((seconds) => {
	const s = Math.floor(seconds);
	for (const [size, big, smaller, small] of SPANS) {
		if (s < size)
			continue;
		const whole = Math.floor(s / size);
		const rest = Math.floor(s % size / smaller);
		return whole > 99 || rest === 0 ? `${whole}${big}` : `${whole}${big}${rest}${small}`;
	}
	return `${s}s`;
});

// How much of its limit is used, for a bar: 0 to 1, or null where there is no limit or no value.
export function share(used, limit) {
	if (!isNumber(used) || !isNumber(limit) || limit <= 0)
		return null;
	return Math.min(Math.max(used / limit, 0), 1);
}
