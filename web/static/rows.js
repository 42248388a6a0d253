// SPDX-License-Identifier: GPL-2.0-or-later
// Which instances a table shows, and in which order. Nothing here touches the page.

// Every word must be in the handle, the name, the hostname, a group or the lxcpath.
export function matches(instance, query) {
	if (!query)
		return true;
	const text = [instance.handle, instance.name, instance.hostname, instance.lxcpath,
		...(instance.groups ?? [])].filter(Boolean).join('\n').toLowerCase();
	return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

// Absent below all numbers and unlimited above, as in `loadcell list`.
const rank = (v) => (v === null || v === undefined ? 0 : v === 'unlimited' ? 2 : 1);
const collator = new Intl.Collator('en', { numeric: true });

export function compare(a, b) {
	if (rank(a) !== rank(b) || rank(a) !== 1)
		return rank(a) - rank(b);
	return typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(a, b);
}

// A sorted copy; equal ones are in the order of their handles whichever the direction, so that
// rows do not jump about when the page is updated.
export function sorted(instances, valueOf, descending) {
	const sign = descending ? -1 : 1;
	return [...instances].sort((x, y) =>
		sign * compare(valueOf(x), valueOf(y)) || compare(x.handle, y.handle));
}
