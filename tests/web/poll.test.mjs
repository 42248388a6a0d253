// SPDX-License-Identifier: GPL-2.0-or-later
// node --test tests/web/poll.test.mjs: against a real server on loopback.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { Poll } from '../../web/static/poll.js';

test('200, 304, 200 again, 503, no JSON, no answer, nobody there', async () => {
	const asked = [];
	let answer;
	const server = http.createServer((q, r) => {
		asked.push(q.headers['if-none-match'] ?? null);
		if (answer)
			r.writeHead(answer[0], answer[1]).end(answer[2]);
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	const changed = [];
	let state;
	const poll = new Poll(`http://127.0.0.1:${server.address().port}/`, { timeout: 200,
		changed: (a) => changed.push(a.n), state: (s) => { state = s; }, now: () => asked.length });
	const round = async (a) => { answer = a; await poll.once(); return state; };

	assert.deepEqual(await round([200, { ETag: '"a"' }, '{"n":1}']), { ok: true, since: 1, reason: null });
	assert.deepEqual(await round([304, {}]), { ok: true, since: 2, reason: null });
	assert.deepEqual(await round([200, { ETag: '"b"' }, '{"n":2}']), { ok: true, since: 3, reason: null });
	assert.deepEqual(await round([503, {}, 'busy']),
		{ ok: false, since: 3, reason: 'the server answers 503' });
	assert.equal((await round([200, { ETag: '"c"' }, '<p>'])).ok, false);
	assert.deepEqual(await round(null), { ok: false, since: 3, reason: 'the server does not answer' });
	assert.deepEqual(changed, [1, 2]);
	// An answer that could not be read is asked for again in full.
	assert.deepEqual(asked, [null, '"a"', '"a"', '"b"', '"b"', '"b"']);
	server.closeAllConnections();
	await new Promise((done) => server.close(done));
	assert.equal((await round(null)).ok, false);
	assert.equal(state.since, 3);
});
