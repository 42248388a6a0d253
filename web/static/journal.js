// SPDX-License-Identifier: GPL-2.0-or-later
// The pages of events and of runs.
import { ABSENT, bytes, count, duration } from './format.js';
import { eventLevel, eventText, runSpan } from './events.js';
import { $, instanceLink, live, when } from './page.js';
import { matches, sorted } from './rows.js';
import { More, Table, element } from './table.js';

const link = { id: 'name', title: 'Name', value: (x) => x.handle, text: (x) => x.handle ?? ABSENT,
	update: (cell, x) => cell.replaceChildren(x.handle ? instanceLink(x.handle) : ABSENT) };
const used = (id, title, metric, format) => ({ id, title, number: true, descending: true,
	value: (r) => r.metrics?.[metric], text: (r) => format(r.metrics?.[metric]) });
const PAGES = {
	events: { caption: 'Events, the last first', sort: 'time', key: (e) => e.id, columns: [
		{ id: 'time', title: 'Time', value: (e) => e.time, text: (e) => when(e.time), descending: true },
		link,
		{ id: 'type', title: 'Event', value: (e) => e.type, text: eventText, update: (cell, e) => {
			cell.className = eventLevel(e);
			cell.replaceChildren(element('span', { class: 'word' }, eventText(e)));
		} }] },
	runs: { caption: 'Runs, the last first', sort: 'start', key: (r) => r.run, columns: [
		{ id: 'start', title: 'Start', value: (r) => r.start, text: (r) => when(r.start), descending: true },
		link,
		{ id: 'how', title: 'End', value: (r) => r.how, text: (r) => (r.end ? `${r.how} ${when(r.end)}` : 'running') },
		{ id: 'span', title: 'Ran', value: (r) => (r.end ?? Date.now() / 1000) - r.start, descending: true,
			number: true, text: runSpan },
		used('cpu', 'CPU time', 'cpu_usage_seconds', duration),
		used('memory', 'Memory peak', 'memory_peak_bytes', bytes),
		used('oom', 'OOM kills', 'memory_oom_kills', count),
		used('read', 'Read', 'io_read_bytes', bytes), used('written', 'Written', 'io_write_bytes', bytes),
		used('in', 'Received', 'network_receive_bytes', bytes),
		used('out', 'Sent', 'network_transmit_bytes', bytes)] },
};
const of = $('journal').dataset.of;
const page = PAGES[of];
let items = [];
const table = new Table($('journal'), { ...page, descending: true, sorted: show });
const more = new More($('more'), 100, show);

function show() {
	const found = items.filter((x) => matches({ ...x, name: `${x.name ?? ''} ${x.type ?? ''} ${x.how ?? ''}` },
		$('search').value));
	const column = page.columns.find((c) => c.id === table.sort.id);
	table.show(more.cut(sorted(found, column.value, table.sort.descending)), page.key);
	$('found').textContent = `${found.length} of ${items.length}${items.length >= 1000 ? ' (the last 1000)' : ''}`;
}

$('filter').hidden = false;
$('filter').addEventListener('submit', (e) => e.preventDefault());
$('search').addEventListener('input', show);
live(`/api/v1/${of}?limit=1000`, 2000, (answer) => {
	items = answer[of];
	show();
});
