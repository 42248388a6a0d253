// SPDX-License-Identifier: GPL-2.0-or-later
// Events and runs in words.
import { ABSENT, bytes, cores, count, duration } from './format.js';
import { when } from './page.js';
import { element } from './table.js';

const LIMIT_FORMATS = [[/_bytes$/, bytes], [/_cores$/, cores]];
const limitText = (metric, v) => (LIMIT_FORMATS.find(([p]) => p.test(metric))?.[1] ?? count)(v);

export const eventLevel = (e) => (e.type === 'oom' ? 'bad' : e.type === 'flapping' || e.type === 'crash' ? 'warn' : '');

export function eventText(e) {
	if (e.type === 'oom') {
		const victim = e.victim ? `, ${e.victim.name} (pid ${e.victim.pid}) of ${bytes(e.victim.memory)}` : '';
		return `${e.kills > 1 ? `${count(e.kills)} OOM kills` : 'OOM kill'}${victim}; memory ${
			bytes(e.memory)} of ${e.limit === null || e.limit === undefined ? 'no limit' : bytes(e.limit)}`;
	}
	if (e.type === 'limit-changed')
		return `${e.metric}: ${limitText(e.metric, e.old)} → ${limitText(e.metric, e.new)}`;
	return e.how && e.how !== e.type ? `${e.type}: ${e.how}` : e.type;
}

export function runText(r) {
	const m = r.metrics ?? {};
	return `${cores(m.cpu_usage_seconds)} s of CPU, at most ${bytes(m.memory_peak_bytes)} of memory` +
		(m.memory_oom_kills > 0 ? `, ${count(m.memory_oom_kills)} OOM kills` : '');
}

export const runSpan = (r) => duration((r.end ?? Date.now() / 1000) - r.start);

export function journalItem(id, x) {
	const time = element('time', { datetime: new Date((x.time ?? x.start ?? 0) * 1000).toISOString() },
		when(x.time ?? x.start));
	return id === 'events' ?
		element('li', { class: eventLevel(x) }, time, ' ', element('span', { class: 'word' }, eventText(x))) :
		element('li', {}, time, ` ${x.end ? x.how ?? ABSENT : 'running'} ${x.end ? 'after' : 'for'} ${
			runSpan(x)}: ${runText(x)}`);
}
