// SPDX-License-Identifier: GPL-2.0-or-later
// node --test tests/web/values.test.mjs: offline, no browser. Expected values are by hand.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as format from '../../web/static/format.js';
import { compare, matches, sorted } from '../../web/static/rows.js';

const table = (f, pairs) => {
	for (const [value, text] of pairs)
		assert.equal(f(value), text, `${value}`);
};

test('absent is not zero, unlimited is not a number', () => {
	for (const f of ['bytes', 'count', 'bytesRate', 'countRate', 'cores', 'percent', 'duration'])
		table(format[f], [[null, '–'], [undefined, '–'], [NaN, '–'], ['unlimited', 'unlimited']]);
	assert.equal(format.share(5, 'unlimited'), null);
	assert.equal(format.share(null, 10), null);
	assert.equal(format.share(5, 10), 0.5);
	assert.equal(format.share(12, 10), 1);
});

test('units', () => {
	table(format.bytes, [[0, '0'], [999, '999B'], [1000, '1.0K'], [1024, '1K'], [67108864, '64M'],
		[67108865, '64.0M'], [1048575, '1.0M'], [1610612736, '1.5G']]);
	table(format.bytesRate, [[0, '0/s'], [1536, '1.5K/s']]);
	table(format.count, [[99999, '99999'], [100000, '100k'], [123456, '123k']]);
	table(format.cores, [[0, '0.00'], [0.5, '0.50'], [9.996, '10.0'], [128, '128']]);
	table(format.percent, [[0, '0.0%'], [0.0999, '10%'], [0.5, '50%'], [1, '100%']]);
	table(format.duration, [[0, '0s'], [59, '59s'], [61, '1m1s'], [3600, '1h'], [90000, '1d1h']]);
});

test('search: every word, in any of the names', () => {
	const web = { handle: 'web01', name: 'web01', hostname: 'shop.example', groups: ['front'],
		lxcpath: '/srv/lxc' };
	for (const query of ['', 'WEB', 'shop front', '/srv', ' web01 '])
		assert.ok(matches(web, query), query);
	assert.ok(!matches(web, 'web01 db'));
	assert.ok(matches({ handle: 'a' }, 'a'));
});

test('order: absent below numbers, unlimited above, numbers in names as numbers', () => {
	const rows = [['b', 2], ['a', 2], ['c', 'unlimited'], ['d', null], ['e', 0]]
		.map(([handle, v]) => ({ handle, v }));
	const order = (descending) => sorted(rows, (r) => r.v, descending).map((r) => r.handle).join('');
	assert.equal(order(false), 'deabc');
	assert.equal(order(true), 'cabed');
	assert.ok(compare('web2', 'web10') < 0);
});
