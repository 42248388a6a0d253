// SPDX-License-Identifier: GPL-2.0-or-later
// The page of all instances.
import { ABSENT, bytes, bytesRate, cores, count, duration, percent, share } from './format.js';
import { $, ago, bar, instanceLink, live, when } from './page.js';
import { matches, sorted } from './rows.js';
import { summary } from './summary.js';
import { More, Table, element } from './table.js';
import { level, trouble } from './trouble.js';

const METRICS = ['cpu_used_cores', 'cpu_used_ratio', 'cpu_limit_cores', 'cpu_usage_seconds',
	'cpu_throttled_seconds', 'memory_working_set_bytes', 'memory_limit_bytes', 'memory_used_ratio',
	'memory_oom_kills', 'pids_current', 'pids_limit', 'io_read_bytes', 'io_write_bytes',
	'network_receive_bytes', 'network_transmit_bytes', 'cpu_pressure_some_seconds',
	'memory_pressure_some_seconds', 'io_pressure_some_seconds', 'memory_pressure_full_seconds',
	'io_pressure_full_seconds', 'disk_used_bytes', 'disk_limit_bytes', 'uptime_seconds'];
const POINTS = 40;
const m = (i) => i.metrics ?? {};
const rate = (i, name) => i.rates?.[name] ?? null;
const sum = (a, b) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
const io = (i) => sum(rate(i, 'io_read_bytes'), rate(i, 'io_write_bytes'));
const net = (i) => sum(rate(i, 'network_receive_bytes'), rate(i, 'network_transmit_bytes'));
const waits = (i) => ['cpu', 'memory', 'io'].map((k) => rate(i, `${k}_pressure_some_seconds`));
const pressure = (i) => (waits(i).every((w) => w === null) ? null : Math.max(...waits(i)));

// What a bar cannot show is said: how much of which limit.
function used(cell, text, part, limit, past, how = '') {
	if (!cell.value)
		cell.replaceChildren(cell.line = document.createElementNS('http://www.w3.org/2000/svg', 'svg'),
			cell.value = element('div'), cell.limit = element('small', { class: 'quiet' }));
	cell.line.setAttribute('class', 'spark');
	bar(cell.value, part, text, how);
	cell.limit.textContent = limit;
	sparkline(cell.line, past);
}

function sparkline(svg, past) {
	if (!svg.firstChild) {
		svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 20`);
		svg.setAttribute('preserveAspectRatio', 'none');
		svg.setAttribute('aria-hidden', 'true');
		svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
	}
	const top = Math.max(...past.filter((v) => v !== null), 1e-9) * 1.05;
	let d = '', pen = 'M';
	past.forEach((v, x) => {
		d += v === null ? '' : `${pen}${POINTS - past.length + x} ${(20 - 19 * v / top).toFixed(1)}`;
		pen = v === null ? 'M' : 'L';
	});
	svg.firstChild.setAttribute('d', d);
}

function nameCell(cell, i) {
	// A link that stays the same element keeps the focus.
	if (!cell.link)
		cell.replaceChildren(cell.link = instanceLink(i.handle), cell.more = element('small', { class: 'quiet' }));
	cell.more.textContent = [i.hostname !== i.name && i.hostname, ...(i.groups ?? [])]
		.filter(Boolean).join(' · ');
}

function stateCell(cell, i) {
	cell.className = i.trouble.level;
	cell.replaceChildren(element('span', { class: 'word' }, i.trouble.words.join(', ') || i.state || ABSENT));
}

const of = (limit, format) => (limit === undefined || limit === null ? '' : limit === 'unlimited' ?
	'unlimited' : `of ${format(limit)}`);
const COLUMNS = [
	{ id: 'name', title: 'Name', value: (i) => i.handle, update: nameCell,
		text: (i) => [i.handle, i.hostname, ...(i.groups ?? [])].join(' ') },
	{ id: 'trouble', title: 'State', value: (i) => i.trouble.score, descending: true, update: stateCell,
		text: (i) => i.trouble.words.join() + i.state + i.trouble.level },
	{ id: 'cpu', title: 'CPU', value: (i) => m(i).cpu_used_cores, descending: true,
		text: (i) => `${cores(m(i).cpu_used_cores)} ${m(i).cpu_limit_cores} ${i.shape.cpu}`,
		update: (cell, i) => used(cell, cores(m(i).cpu_used_cores),
			share(m(i).cpu_used_cores, m(i).cpu_limit_cores), of(m(i).cpu_limit_cores, cores), i.past.cpu) },
	{ id: 'memory', title: 'Memory', value: (i) => m(i).memory_working_set_bytes, descending: true,
		text: (i) => `${bytes(m(i).memory_working_set_bytes)} ${m(i).memory_limit_bytes} ${i.shape.memory}`,
		update: (cell, i) => used(cell, bytes(m(i).memory_working_set_bytes),
			share(m(i).memory_working_set_bytes, m(i).memory_limit_bytes),
			of(m(i).memory_limit_bytes, bytes), i.past.memory, level(m(i).memory_used_ratio)) },
	{ id: 'tasks', title: 'Tasks', value: (i) => m(i).pids_current, descending: true, number: true,
		text: (i) => `${count(m(i).pids_current)} ${of(m(i).pids_limit, count)}` },
	{ id: 'pressure', title: 'Waiting', value: pressure, descending: true, number: true,
		text: (i) => `${percent(pressure(i))} ${['CPU', 'memory', 'I/O'][waits(i).indexOf(pressure(i) || NaN)] ?? ''}` },
	{ id: 'io', title: 'Disk I/O', value: io, descending: true, number: true,
		text: (i) => bytesRate(io(i)) },
	{ id: 'network', title: 'Network', value: net, descending: true, number: true,
		text: (i) => (i.network_shared ? 'shared' : bytesRate(net(i))) },
	{ id: 'disk', title: 'Disk', value: (i) => m(i).disk_used_bytes, descending: true, number: true,
		text: (i) => `${bytes(m(i).disk_used_bytes)} ${m(i).disk_limit_bytes > 0 ? of(m(i).disk_limit_bytes, bytes) : ''}` },
	{ id: 'oom', title: 'OOM kills', value: (i) => m(i).memory_oom_kills, descending: true, number: true,
		text: (i) => count(m(i).memory_oom_kills) },
	{ id: 'uptime', title: 'Up', value: (i) => m(i).uptime_seconds, descending: true, number: true,
		text: (i) => (i.end ? `ended ${when(i.end)}` : duration(m(i).uptime_seconds)) },
	{ id: 'event', title: 'Last event', value: (i) => i.last_event?.time, descending: true,
		text: (i) => (i.last_event ? `${i.last_event.type} ${ago(i.last_event.time)}` : ABSENT) },
];

let items = [];
const groups = new Set();
const past = new Map();
const table = new Table($('instances'), { caption: 'Instances of this host', columns: COLUMNS,
	sort: 'trouble', descending: true, sorted: show });

const more = new More($('more'), 60, show);

// The last points of each run; what is gone is forgotten.
function remember(instances) {
	const kept = new Map();
	for (const i of instances) {
		const key = `${i.handle} ${i.run}`;
		const p = past.get(key) ?? { cpu: [], memory: [] };
		kept.set(key, p);
		p.cpu.push(m(i).cpu_used_cores ?? null);
		p.memory.push(m(i).memory_working_set_bytes ?? null);
		for (const line of [p.cpu, p.memory])
			if (line.length > POINTS)
				line.shift();
		i.past = p;
		// A line that is flat needs no drawing.
		i.shape = {};
		for (const k of ['cpu', 'memory'])
			i.shape[k] = p[k].every((v) => v === p[k][0]) ? Math.min(p[k].length, 3) : p[k].join();
	}
	past.clear();
	kept.forEach((p, key) => past.set(key, p));
}

function show() {
	const query = $('search').value;
	const found = items.filter((i) => matches(i, query) && [...groups].every((g) => i.groups?.includes(g)));
	const column = COLUMNS.find((c) => c.id === table.sort.id);
	table.show(more.cut(sorted(found, column.value, table.sort.descending)), (i) => `${i.handle} ${i.run}`);
	const text = found.length === items.length ? `${items.length}` : `${found.length} of ${items.length}`;
	if ($('found').textContent !== text)
		$('found').textContent = text;
}

function offerGroups() {
	const all = [...new Set([...items.flatMap((i) => i.groups ?? []), ...groups])].sort();
	if ($('groups').dataset.all === all.join('\n'))
		return;
	$('groups').dataset.all = all.join('\n');
	$('groups').replaceChildren(...all.map((g) => {
		const button = element('button', { type: 'button', 'aria-pressed': `${groups.has(g)}` }, g);
		button.addEventListener('click', () => {
			if (!groups.delete(g))
				groups.add(g);
			button.setAttribute('aria-pressed', `${groups.has(g)}`);
			show();
		});
		return button;
	}));
}

function changed(answer) {
	const now = answer.time ?? Date.now() / 1000;
	items = answer.instances;
	for (const i of items) {
		i.metrics ??= {};
		i.trouble = trouble(i, now);
	}
	remember(items);
	$('host-name').textContent = answer.host.name;
	summary($('summary'), answer.host);
	offerGroups();
	show();
	performance.mark('shown');
	poll.every = Math.min(Math.max(answer.interval, 1), 60) * 1000;
}

const url = () => `/api/v1/instances?metrics=${METRICS.join()}${$('ended').checked ? '&all=1' : ''}`;
$('filter').hidden = false;
$('filter').addEventListener('submit', (e) => e.preventDefault());
$('search').addEventListener('input', show);
$('ended').addEventListener('change', () => poll.ask(url()));
document.addEventListener('keydown', (e) => {
	if (e.key === '/' && !e.target.closest?.('input, select, textarea')) {
		e.preventDefault();
		$('search').focus();
	}
});
const poll = live(url(), 2000, changed);
