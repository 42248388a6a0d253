// SPDX-License-Identifier: GPL-2.0-or-later
// A page names all modules that it comes to import: the browser asks for them at once, not one after the other.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';

const pages = new URL('../../web/static/', import.meta.url);
const text = (name) => fs.readFileSync(new URL(name, pages), 'utf8');
const all = (name, pattern) => [...text(name).matchAll(pattern)].map((found) => found[1]);

function imported(module, found = new Set()) {
	for (const name of all(module, /^import .* from '\.\/(.+)';$/gm))
		if (!found.has(name))
			imported(name, found.add(name));
	return found;
}

for (const page of fs.readdirSync(pages).filter((name) => name.endsWith('.html')))
	test(`${page} names its modules`, () => {
		const [first] = all(page, /<script type="module" src="\/static\/(.+?)">/g);
		assert.ok(first, 'no module');
		assert.deepEqual(all(page, /<link rel="modulepreload" href="\/static\/(.+?)">/g), [...imported(first)].sort());
	});
