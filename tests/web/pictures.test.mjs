// SPDX-License-Identifier: GPL-2.0-or-later
// node --test tests/web/pictures.test.mjs: charts are what the pictures are. Values are by hand.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { HOST, INSTANCE, rowsOf } from '../../web/static/pictures.js';
import { trouble } from '../../web/static/trouble.js';

test('lines and colours are those of graph/pictures.c', () => {
	const source = fs.readFileSync(`${import.meta.dirname}/../../graph/pictures.c`, 'utf8');
	const colours = Object.fromEntries([...source.matchAll(/\[COLOUR_(\w+)\] = \{(\w+),/g)]
		.map(([, use, name]) => [use, use === 'LINE' ? 'line' : name.toLowerCase()]));
	const known = new Set();
	for (const [, id, scope, body] of source.matchAll(/\{"([\w-]+)", "[^"]*", PICTURE_(\w+),([^]*?)\}\}\}?,\n(?=\t\{"|\};)/g))
		for (const [, label, colour] of body.matchAll(/LINE\("([^"]*)", \w+, \w+, (\w+)\)/g))
			known.add(`${scope} ${id} ${label} ${colours[colour]}`);
	assert.ok(known.size > 40, `${known.size} lines found in graph/pictures.c`);
	for (const [scope, pictures] of [['INSTANCE', INSTANCE], ['HOST', HOST]])
		for (const p of pictures)
			for (const l of p.lines)
				assert.ok(known.has(`${scope} ${p.id} ${l.label} ${l.colour}`), `${scope} ${p.id} ${l.label} ${l.colour}`);
});

test('a stack is a sum, what is not known is no zero, what goes out is below', () => {
	const picture = { lines: [{ label: 'a', metric: 'a', style: 'area' }, { label: 'b', metric: 'b', style: 'stack' },
		{ label: 'c', metric: 'c', style: 'below' }, { label: 'gone', metric: 'gone', style: 'line' },
		{ label: 'd', metric: 'a', style: 'line', minus: 'b' }] };
	const { shown, rows, values } = rowsOf(picture, { start: 100, step: 10,
		series: { a: [1, null, null], b: [2, 3, null], c: [4, 0, null], gone: [null, null, null] } });
	assert.deepEqual(shown.map((l) => l.label), ['a', 'b', 'c', 'd']);
	assert.deepEqual(rows.map(([t, ...r]) => [t.getTime(), ...r]), [[110000, 1, 3, -4, -1],
		[120000, null, 3, -0, null], [130000, null, null, null, null]]);
	assert.deepEqual(values[2], [4, 0, null]);
});

test('trouble is first, and said in words', () => {
	const calm = { state: 'running', metrics: { memory_used_ratio: 0.2, pids_current: 5, pids_limit: 'unlimited' } };
	const level = (more) => { const t = trouble({ ...calm, ...more }, 10000); return [t.level, t.words.join()]; };
	assert.deepEqual(level({}), ['', '']);
	assert.deepEqual(level({ metrics: {} }), ['', '']);
	assert.deepEqual(level({ state: 'frozen' }), ['warn', 'frozen']);
	assert.deepEqual(level({ metrics: { memory_used_ratio: 0.95 } }), ['bad', 'memory 95%']);
	assert.deepEqual(level({ metrics: { pids_current: 80, pids_limit: 100 } }), ['warn', 'tasks 80%']);
	assert.deepEqual(level({ rates: { cpu_throttled_seconds: 1, cpu_usage_seconds: 1 } }), ['bad', 'CPU held back 50%']);
	assert.deepEqual(level({ last_event: { type: 'oom', time: 9940 } }), ['bad', 'OOM kill 1m ago']);
	assert.deepEqual(level({ last_event: { type: 'oom', time: 10 } }), ['', '']);
	assert.deepEqual(level({ end: 9000, how: 'stop' }), ['', 'ended: stop']);
});
