// SPDX-License-Identifier: GPL-2.0-or-later
// One instance: its charts, and beside them what it is, may and did.
import { Charts } from './chart.js';
import { ABSENT, bytes, bytesRate, cores, count, duration, percent } from './format.js';
import { journalItem } from './events.js';
import { $, ago, facts, live, when } from './page.js';
import { INSTANCE } from './pictures.js';
import { trouble } from './trouble.js';

const name = decodeURIComponent(location.pathname.replace(/^\/instance\//, ''));
const asked = `instance=${encodeURIComponent(name)}`;
document.title = `${name} – loadcell`;
$('title').textContent = name;

const LIMITS = { cpu_limit_cores: ['CPU (effective)', cores], cpu_quota_cores: ['CPU quota', cores],
	cpuset_cores: ['CPUs it may use', cores], memory_limit_bytes: ['Memory', bytes],
	memory_swap_limit_bytes: ['Swap', bytes], pids_limit: ['Tasks', count], disk_limit_bytes: ['Disk', bytes] };
const rated = (i, m) => i.rates?.[m];

function now(i) {
	const m = i.metrics;
	return [['CPU', `${cores(m.cpu_used_cores)} cores`],
		['Memory', `${bytes(m.memory_working_set_bytes)} in use; ${bytes(m.memory_file_bytes)} page cache`],
		['Tasks', count(m.pids_current)],
		['Read, written', `${bytesRate(rated(i, 'io_read_bytes'))}, ${bytesRate(rated(i, 'io_write_bytes'))}`],
		['Received, sent', i.network_shared ? "shared: the host's interfaces" :
			`${bytesRate(rated(i, 'network_receive_bytes'))}, ${bytesRate(rated(i, 'network_transmit_bytes'))}`],
		['Waits for CPU, memory, I/O', ['cpu', 'memory', 'io'].map((k) =>
			percent(rated(i, `${k}_pressure_some_seconds`))).join(', ')],
		['Disk', `${bytes(m.disk_used_bytes)}${i.disk?.time ? ` (${i.disk.method}, ${ago(i.disk.time)})` : ''}`],
		['OOM kills', count(m.memory_oom_kills)],
		['Up', duration(m.uptime_seconds)]];
}

function about(i) {
	const rows = [['Host name', i.hostname || ABSENT], ['Groups', i.groups?.join(', ') || ABSENT],
		['Kind', i.kind], ['lxcpath', i.lxcpath || ABSENT], ['SNMP context', i.context || ABSENT],
		['Name in Zabbix', i.zabbix_name || ABSENT],
		['Started', when(i.metrics.start_time_seconds)], ['Run', i.run ?? ABSENT]];
	for (const f of i.interfaces ?? [])
		rows.push([`Interface ${f.name}`, `private; ${bytes(f.metrics.interface_receive_bytes)} in, ${
			bytes(f.metrics.interface_transmit_bytes)} out`]);
	if (i.network_shared)
		rows.push(['Interfaces', "shared: those of the host"]);
	for (const [k, v] of Object.entries(i.facts ?? {}))
		rows.push([k, v]);
	for (const note of i.notes ?? [])
		rows.push(['Note', note]);
	return rows;
}

const charts = new Charts($('range'), $('charts'), INSTANCE, asked);
live(`/api/v1/instance/${encodeURIComponent(name)}`, 2000, (answer) => {
	const i = answer.instance;
	i.metrics ??= {};
	const t = trouble(i, answer.time);
	$('state').className = t.level;
	$('state').textContent = [i.state, i.hostname !== i.name && i.hostname, ...t.words]
		.filter(Boolean).join(' · ');
	facts($('now'), now(i));
	const own = new Set(Object.values(i.cgroup ?? {}));
	facts($('limits'), Object.entries(LIMITS).map(([id, [title, format]]) => {
		const from = i.limits?.[id]?.cgroup;
		return [title, format(i.metrics[id]) + (from && !own.has(from) ? ` (by ${from})` : '')];
	}));
	facts($('about'), about(i));
});

// Once a second: an OOM kill is to be seen while it hurts.
const journal = (id, url, every, changed) => {
	let shown = '';
	const round = async () => {
		try {
			const response = document.hidden ? null : await fetch(url, { signal: AbortSignal.timeout(10000) });
			const text = response?.ok ? await response.text() : shown;
			if (text !== shown) {
				shown = text;
				const list = JSON.parse(text)[id];
				$(id).replaceChildren(...list.slice(0, 30).map((x) => journalItem(id, x)));
				changed?.(list);
			}
		} catch { /* the poll beside this says that the server is gone */ }
		setTimeout(round, every);
	};
	round();
};
journal('events', `/api/v1/events?${asked}&limit=500`, 1000, (list) => charts.mark(list));
journal('runs', `/api/v1/runs?${asked}&limit=30`, 10000);
