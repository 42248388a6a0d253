// SPDX-License-Identifier: GPL-2.0-or-later
// What all pages share: saying whether what is shown is live, and small pieces of the page.
import { Poll } from './poll.js';
import { ABSENT, duration } from './format.js';
import { element } from './table.js';

export const $ = (id) => document.getElementById(id);
// Made when it is first needed: that takes longer than all else before a page asks for its data.
let clock = null;
export function when(s) {
	clock ??= new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });
	return typeof s === 'number' ? clock.format(s * 1000) : ABSENT;
}
export const ago = (s) => (typeof s === 'number' ?
	`${duration(Math.max(Date.now() / 1000 - s, 0))} ago` : ABSENT);
export const instanceLink = (handle, text = handle) =>
	element('a', { href: `/instance/${encodeURIComponent(handle)}` }, text);

for (const a of document.querySelectorAll('nav a:not(.brand)'))
	if (a.pathname === location.pathname)
		a.setAttribute('aria-current', 'page');

// One alarm per cause; the page says the first. An alert that says the same again stays as it is,
// so that a screen reader is not interrupted every second.
const alarms = new Map();
export function alarm(cause, text) {
	if (text)
		alarms.set(cause, text);
	else
		alarms.delete(cause);
	const shown = [...alarms.values()][0] ?? '';
	if ($('alarm').textContent !== shown)
		$('alarm').textContent = shown;
	$('alarm').hidden = !shown;
	document.body.classList.toggle('stale', alarms.has('stale') || alarms.has('server'));
}

// Polls while the page is looked at; one per page. changed(document) is called with news.
export function live(url, every, changed) {
	let last = null;
	const poll = new Poll(url, {
		every,
		changed: (answer) => {
			last = answer;
			changed(answer);
		},
		state: ({ ok, since, reason }) => {
			alarm('server', ok ? null : `Not live: ${reason}. ${since ?
				`What is shown is ${duration((Date.now() - since) / 1000)} old.` : 'Nothing can be shown.'}`);
			if (ok && last?.time)
				alarm('stale', last.stale ?
					`Old data: the collector has written nothing since ${when(last.time)}.` : null);
			$('status').hidden = false;
			$('status').textContent = ok ? `live, of ${when(last?.time ?? since / 1000)}` : 'not live';
		},
	});
	const look = () => (document.hidden ? poll.stop() : poll.start());
	document.addEventListener('visibilitychange', look);
	look();
	return poll;
}

// Rows of two cells, only what differs is touched.
export function facts(table, rows) {
	rows.forEach(([name, value], i) => {
		const tr = table.rows[i] ?? table.appendChild(element('tr', {},
			element('th', { scope: 'row' }), element('td')));
		if (tr.cells[0].textContent !== name)
			tr.cells[0].textContent = name;
		if (tr.cells[1].textContent !== value)
			tr.cells[1].textContent = value;
	});
	while (table.rows.length > rows.length)
		table.lastElementChild.remove();
}

// A value beside a bar of its share; a share that is not known has no bar.
export function bar(into, share, text, level) {
	if (!into.bar) {
		into.label = element('span');
		into.fill = element('i');
		into.bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, into.fill);
		into.replaceChildren(into.label, into.bar);
	}
	into.label.textContent = text;
	into.bar.className = share === null ? 'bar none' : `bar ${level ?? ''}`;
	into.fill.style.width = `${(share ?? 0) * 100}%`;
}
