// SPDX-License-Identifier: GPL-2.0-or-later
// The pages in Debian's Chromium, of a real collector with real instances (pages.sh starts all).
// usage: node pages.mjs URL URL-OF-1000 MODULES SCREENSHOTS; NAME_* name the instances, OOM makes a kill.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [url, many, modules, shots] = process.argv.slice(2);
const { NAME_BUSY: busy, NAME_IDLE: idle, NAME_OOM: oom, OOM } = process.env;
const from = createRequire(path.join(modules, 'x'));
const { chromium } = from('playwright-core');
const axe = fs.readFileSync(from.resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const wrong = [];
const DESK = { viewport: { width: 1400, height: 900 } }, PHONE = { viewport: { width: 360, height: 740 } };

async function open(address, options = DESK, before = null) {
	const context = await browser.newContext(options);
	const page = await context.newPage();
	page.setDefaultTimeout(15000);
	page.on('console', (m) => /error|warning/.test(m.type()) && wrong.push(`${address}: ${m.text()}`));
	page.on('pageerror', (e) => wrong.push(`${address}: ${e.stack}`));
	page.on('request', (r) => r.url().startsWith(new URL(address, url).origin) || wrong.push(`${address} asks for ${r.url()}`));
	page.on('response', (r) => r.status() >= 400 && wrong.push(`${r.url()}: ${r.status()}`));
	if (before)
		await page.addInitScript(before);
	await page.goto(new URL(address, url).href);
	return page;
}
const close = (page) => page.context().close();
const check = async (name, f) => {
	const start = Date.now();
	try {
		await f();
		console.log(`ok ${name} (${Date.now() - start} ms)`);
	} catch (e) {
		wrong.push(`${name}: ${e.message}`);
		console.log(`FAILED ${name}: ${e.message}`);
	}
};
const names = (page) => page.$$eval('#instances tbody th a', (all) => all.map((a) => a.textContent));

await check('the table fills, and is live', async () => {
	const page = await open('/');
	await page.waitForFunction((n) => document.querySelectorAll('#instances tbody tr').length === n, 3);
	const cell = page.locator('#instances tbody tr', { hasText: busy }).locator('td').nth(1);
	await page.waitForFunction((n) => [...document.querySelectorAll('#instances tbody tr')].some((tr) =>
		tr.textContent.includes(n) && parseFloat(tr.cells[2].textContent) > 0.4 &&
		/of 0\.50/.test(tr.cells[2].textContent)), busy);
	const spark = () => cell.locator('path').getAttribute('d');
	const before = await spark();
	await page.waitForFunction(([n, d]) => [...document.querySelectorAll('#instances tbody tr')].some((tr) =>
		tr.textContent.includes(n) && tr.cells[2].querySelector('path').getAttribute('d') !== d), [busy, before]);
	// The one in trouble is first: its quota holds it back.
	await page.waitForFunction((n) => { const tr = document.querySelector('#instances tbody tr');
		return tr.cells[0].textContent.includes(n) && /CPU held back/.test(tr.cells[1].textContent); }, busy);

	await page.getByRole('searchbox').fill('idle');
	assert.deepEqual(await names(page), [idle]);
	await page.getByRole('searchbox').fill('');
	await page.getByRole('button', { name: 'Name' }).click();
	assert.deepEqual(await names(page), [busy, idle, oom].sort());
	assert.equal(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'ascending');
	await page.getByRole('button', { name: 'Name' }).click();
	assert.deepEqual(await names(page), [busy, idle, oom].sort().reverse());
	await page.keyboard.press('/');
	assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
	await close(page);
});

await check('charts, zoom, cursor, and an OOM kill within 5 s', async () => {
	const page = await open(`/instance/${oom}`);
	await page.waitForSelector('#chart-memory canvas');
	await page.waitForFunction(() => /\d[KM]$/.test(document.querySelector('#chart-memory .legend tr:nth-child(2) td')?.textContent));
	// Something of the memory's colour is drawn.
	const drawn = () => page.$eval('#chart-memory canvas', (c) => {
		const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
		let n = 0;
		for (let i = 0; i < d.length; i += 4)
			n += d[i] < 40 && d[i + 1] > 90 && d[i + 1] < 140 && d[i + 2] > 150;
		return n;
	});
	assert.ok(await drawn() > 0, 'nothing is drawn');
	const marks = () => page.$eval('#chart-memory', (f) => Number(f.dataset.oom));
	assert.equal(await marks(), 0);
	execFileSync('bash', [OOM], { stdio: 'inherit' });
	const died = Date.now();
	await page.waitForFunction(() => Number(document.querySelector('#chart-memory').dataset.oom) > 0, null,
		{ timeout: 5000, polling: 50 });
	console.log(`note: the OOM kill is marked after ${Date.now() - died} ms`);
	assert.match(await page.locator('#events').textContent(), /OOM kill/);

	const box = await page.locator('#chart-cpu .chart').boundingBox();
	await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
	await page.waitForFunction(() => /at the cursor/.test(document.querySelector('#chart-memory .legend').textContent));
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 5 });
	await page.mouse.up();
	await page.waitForFunction(() => /from=\d+&to=\d+/.test(location.search));
	const zoomed = new URLSearchParams(new URL(page.url()).search);
	const span = zoomed.get('to') - zoomed.get('from');
	assert.ok(span > 900 && span < 1500, `zoomed to ${span} s of 3600`);
	await page.getByRole('button', { name: 'Zoom in' }).click();
	await page.waitForFunction((s) => { const q = new URLSearchParams(location.search);
		return q.get('to') - q.get('from') < s; }, span);
	// Too little is known of two years yet to draw a point.
	await page.getByRole('button', { name: '2 years' }).click();
	await page.getByText('Nothing is known of this time.').waitFor();
	await page.getByRole('button', { name: '1 hour' }).click();
	await page.getByRole('button', { name: 'Live' }).click();
	await page.locator('#chart-cpu .chart').waitFor();
	await page.locator('#chart-cpu .chart').focus();
	await page.keyboard.press('ArrowLeft');
	await page.keyboard.press('ArrowLeft');
	assert.match(await page.locator('#range output').textContent(), /: user|: limit|: /);
	await close(page);
	const first = await open('/');
	await first.waitForFunction((n) => document.querySelector('#instances tbody tr')?.textContent.includes(n), oom);
	await first.waitForSelector('tr .bad .word');
	await close(first);
});

await check('pages are accessible, in both schemes and on a phone', async () => {
	for (const [name, address] of [['instances', '/'], ['instance', `/instance/${busy}`], ['host', '/host'],
		['events', '/events'], ['runs', '/runs']])
		for (const [kind, options] of [['light', DESK], ['dark', { ...DESK, colorScheme: 'dark' }], ['phone', PHONE]]) {
			const page = await open(address, options);
			await page.waitForSelector('tbody tr');
			await page.waitForTimeout(700);
			await page.screenshot({ path: path.join(shots, `${name}-${kind}.png`) });
			await page.evaluate(axe);
			const found = await page.evaluate(async () => (await axe.run()).violations
				.filter((v) => /serious|critical/.test(v.impact))
				.map((v) => `${v.id} at ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(' and ')}`));
			for (const f of found)
				wrong.push(`${name} ${kind}: ${f}`);
			assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
				`${name} ${kind} is wider than the screen`);
			await close(page);
		}
});

await check('without JavaScript there are pictures', async () => {
	for (const address of [`/instance/${busy}`, '/host']) {
		const page = await open(address, { ...DESK, javaScriptEnabled: false });
		await page.waitForLoadState('networkidle');
		const widths = await page.$$eval('img', (all) => all.map((i) => i.naturalWidth));
		assert.ok(widths.length > 3 && widths.every((w) => w > 100), `${address}: ${widths}`);
		await page.screenshot({ path: path.join(shots, `${path.basename(address) === 'host' ? 'host' : 'instance'}-noscript.png`) });
		await close(page);
	}
});

await check('what is old says so, and what comes back', async () => {
	const context = await browser.newContext(DESK);
	const page = await context.newPage();
	await page.goto(url);
	await page.waitForSelector('tbody tr');
	assert.ok(await page.locator('#alarm').isHidden());
	await page.route('**/api/**', (route) => route.abort());
	await page.getByRole('alert').filter({ hasText: /Not live: .* old\./ }).waitFor();
	assert.equal(await page.locator('#status').textContent(), 'not live');
	await page.unroute('**/api/**');
	await page.locator('#alarm').waitFor({ state: 'hidden' });
	await page.route('**/api/**', async (route) => {
		const answer = await route.fetch();
		await route.fulfill({ response: answer, json: { ...await answer.json(), stale: true } });
	});
	await page.getByRole('alert').filter({ hasText: /Old data: the collector has written nothing since/ }).waitFor();
	await context.close();
});

// 1,000 rows with all values, other ones with each sample. In the page itself, so that nothing of
// this program is measured: when its rows are in view, somebody searches at once, and the answer is drawn.
const searcher = () => new PerformanceObserver((list, self) => {
	if (!list.getEntriesByName('shown').length)
		return;
	self.disconnect();
	requestAnimationFrame(() => setTimeout(() => {
		const search = document.querySelector('#search');
		search.value = 'made-up-99';
		search.dispatchEvent(new Event('input', { bubbles: true }));
		requestAnimationFrame(() => setTimeout(() => performance.mark(
			`answered by ${document.querySelectorAll('#instances tbody tr').length}`)));
	}));
}).observe({ entryTypes: ['mark'] });
await check('1,000 instances', async () => {
	const page = await open(many, DESK, searcher);
	await page.waitForFunction(() => performance.getEntriesByName('answered by 11').length > 0);
	const at = (name) => page.evaluate((n) => performance.getEntriesByName(n)[0].startTime, name);
	const shown = await at('shown'), searched = await at('answered by 11');
	const rows = (n) => page.waitForFunction((k) => document.querySelectorAll('#instances tbody tr').length === k, n);
	await page.getByRole('searchbox').fill('');
	await rows(60);
	await page.locator('#more').evaluate((e) => e.scrollIntoView());
	await page.waitForFunction(() => document.querySelectorAll('#instances tbody tr').length >= 120);
	await page.getByRole('button', { name: /Show more/ }).click();
	const work = await page.evaluate(() => new Promise((done) => {
		let longest = 0;
		new PerformanceObserver((l) => l.getEntries().forEach((e) => { longest = Math.max(longest, e.duration); }))
			.observe({ type: 'longtask' });
		setTimeout(() => done(longest), 4000);
	}));
	console.log(`note: 1,000 instances: rows after ${shown.toFixed(0)} ms, drawn, and a search is answered and drawn ` +
		`${searched.toFixed(0)} ms after the start; the longest task of an update is ${work.toFixed(0)} ms`);
	await page.screenshot({ path: path.join(shots, 'instances-1000.png') });
	await close(page);
});

await browser.close();
for (const w of wrong)
	console.log(`FAILED: ${w}`);
process.exit(wrong.length ? 1 : 0);
