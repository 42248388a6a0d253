// SPDX-License-Identifier: GPL-2.0-or-later
// node --test tests/web/table.test.mjs: web/static/table.js in Debian's Chromium.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';

const missing = !fs.existsSync('/usr/bin/chromium') && 'chromium is not installed';

test('order, search, focus and text', { skip: missing }, async (t) => {
	const files = {
		'/': [import.meta.dirname + '/table.html', 'text/html'],
		'/table.js': [import.meta.dirname + '/../../web/static/table.js', 'text/javascript'],
		'/rows.js': [import.meta.dirname + '/../../web/static/rows.js', 'text/javascript'],
	};
	const server = http.createServer((q, r) => {
		const [file, type] = files[q.url] ?? [];
		if (!file)
			return r.writeHead(404).end();
		r.setHeader('Content-Type', type).end(fs.readFileSync(file));
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'lc-web-'));
	t.after(() => {
		server.closeAllConnections();
		server.close();
		fs.rmSync(profile, { recursive: true, force: true });
	});
	const dom = await new Promise((done, failed) => execFile('/usr/bin/chromium', [
		'--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`,
		'--virtual-time-budget=3000', '--dump-dom', `http://127.0.0.1:${server.address().port}/`,
	], { timeout: 60000, maxBuffer: 1 << 24 }, (e, out) => (e ? failed(e) : done(out))));
	const lines = dom.match(/<pre id="out">([^]*?)<\/pre>/)?.[1].split('\n') ?? [];
	assert.equal(lines.length, 6, lines.join('; '));
	for (const line of lines)
		assert.match(line, /^ok /);
});
