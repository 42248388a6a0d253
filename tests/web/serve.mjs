// SPDX-License-Identifier: GPL-2.0-or-later
// Serves web/static without loadcell-web, for work on the pages: what `loadcell` says of a running
// collector, and charts of what it said since this started. Nothing but the pages' tests uses it.
// With MANY there are so many instances, made of the real ones.
// usage: node serve.mjs BUILD CONFIG PORT [MANY]
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { HOST, INSTANCE } from '../../web/static/pictures.js';

const [build, config, port, many = 0] = process.argv.slice(2);
const statics = path.join(import.meta.dirname, '../../web/static');
const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html; charset=utf-8', svg: 'image/svg+xml',
	png: 'image/png' };
const PAGES = { '/': 'index', '/host': 'host', '/events': 'events', '/runs': 'runs' };
const KEPT = 3700;
const past = []; // { time, host, of: Map of handle to { metrics, rates } }

const loadcell = (...args) => new Promise((done, failed) => execFile(path.join(build, 'bin/loadcell'),
	['-c', config, ...args], { maxBuffer: 1 << 28, encoding: 'buffer' },
	(e, out, err) => (e && !out.length ? failed(new Error(`${err}`)) : done(out))));
const lines = async (...args) => `${await loadcell(...args)}`.split('\n').filter(Boolean).map(JSON.parse);

const rates = (now, before, seconds) => Object.fromEntries(Object.entries(now).map(([k, v]) =>
	[k, typeof v === 'number' && typeof before?.[k] === 'number' && v >= before[k] ? (v - before[k]) / seconds : null]));

async function list(all) {
	const doc = JSON.parse(await loadcell('list', '--json', ...(all ? ['--all'] : [])));
	const events = new Map((await lines('events', '--json')).map((e) => [e.handle, e]));
	const before = past.findLast((p) => p.time < doc.time);
	for (const i of doc.instances) {
		i.rates = rates(i.metrics, before?.of.get(i.handle)?.metrics, doc.time - before?.time);
		i.last_event = events.get(i.handle) ?? null;
	}
	doc.host.rates = rates(doc.host.metrics, before?.host.metrics, doc.time - before?.time);
	if (doc.time !== past.at(-1)?.time)
		past.push({ time: doc.time, host: doc.host, of: new Map(doc.instances.map((i) => [i.handle, i])) });
	past.splice(0, past.length - KEPT);
	return doc;
}

// What the table asks for, and no more.
async function table(q) {
	const doc = await list(q.has('all')), wanted = q.get('metrics').split(',');
	const some = (of) => Object.fromEntries(wanted.map((m) => [m, of?.[m] ?? null]));
	doc.instances = doc.instances.map(({ cgroup, limits, facts, disk, notes, ...i }) =>
		({ ...i, metrics: some(i.metrics), rates: some(i.rates) }));
	if (many)
		doc.instances = Array.from({ length: many }, (_, k) => {
			const i = doc.instances[k % doc.instances.length];
			return { ...i, handle: `web${k}`, metrics: { ...i.metrics, cpu_used_cores: Math.random() / 2 } };
		});
	return doc;
}

function series(q) {
	const from = Number(q.get('from')), to = Number(q.get('to'));
	const step = Math.max(Math.ceil((to - from) / Number(q.get('points'))), 1);
	const start = Math.floor(from / step) * step, n = Math.ceil((to - start) / step);
	const values = Object.fromEntries(q.get('metrics').split(',').map((m) => [m, Array(n).fill(null)]));
	for (const p of past) {
		const row = Math.ceil((p.time - start) / step) - 1;
		const of = q.has('host') ? p.host : p.of.get(q.get('instance'));
		for (const m of row >= 0 && row < n && of ? Object.keys(values) : []) {
			const v = (/_seconds$/.test(m) && !/^start|uptime/.test(m)) || /^(io|network)_/.test(m) ?
				of.rates[m] : of.metrics[m];
			values[m][row] = typeof v === 'number' ? v : null;
		}
	}
	return { start, step, resolution: 1, series: values };
}

const pictures = (name, of) => `<noscript>${of.map((p) =>
	`<p><img src="/graph/${encodeURIComponent(name)}/${p.id}.png" alt="${p.title}" width="900"></p>`).join('\n')}</noscript>`;

const newest = (all, q) => all.reverse().slice(0, Number(q.get('limit')));
async function answer(url) {
	const q = url.searchParams, [, first, ...rest] = url.pathname.split('/').map(decodeURIComponent);
	const page = PAGES[url.pathname] ?? (first === 'instance' && 'instance');
	if (page) {
		const html = fs.readFileSync(path.join(statics, `${page}.html`), 'utf8');
		return ['html', html.replace('<!--noscript-->', page === 'instance' ?
			pictures(rest[0], INSTANCE) : pictures('host', HOST))];
	}
	if (first === 'static') {
		const dygraph = /^dygraph\.min\.(js|css)$/.test(rest[0]);
		const file = path.join(dygraph ? '/usr/share/javascript/dygraphs' : statics, path.basename(rest[0]));
		return [file.split('.').at(-1), fs.readFileSync(file)];
	}
	if (first === 'graph')
		return ['png', await loadcell('graph', ...(rest[0] === 'host' ? ['--host'] : [rest[0]]),
			'--graph', rest[1].replace('.png', ''), '-o', '-', '--from', '-1h')];
	const named = q.get('instance') ? [q.get('instance')] : [];
	switch (rest[1]) {
	case 'instances': return ['json', await table(q)];
	case 'instance': {
		const { instances, ...doc } = await list(false);
		return ['json', { ...doc, instance: instances.find((i) => i.handle === rest[2]) }];
	}
	case 'series': return ['json', series(q)];
	case 'events': return ['json', { events: newest(await lines('events', '--json', ...named), q) }];
	case 'runs': return ['json', { runs: newest(await lines('runs', '--json', ...named), q) }];
	default: throw new Error('no such page');
	}
}

http.createServer(async (request, response) => {
	response.setHeader('Content-Security-Policy', "default-src 'none'; script-src 'self'; " +
		"style-src 'self'; img-src 'self'; connect-src 'self'");
	try {
		const [type, body] = await answer(new URL(request.url, 'http://localhost'));
		response.setHeader('Content-Type', TYPES[type] ?? 'application/json');
		response.end(type === 'json' ? JSON.stringify(body) : body);
	} catch (e) {
		response.writeHead(404).end(`${e.message}\n`);
	}
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));
setInterval(() => list(false).catch(() => {}), 1000);
