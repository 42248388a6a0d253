// SPDX-License-Identifier: GPL-2.0-or-later
// Pictures of the real frontend for contrib/zabbix/README.md, while problems are there.
// usage: node shots.mjs URL HOSTID MODULES DIRECTORY
import { createRequire } from 'node:module';
import path from 'node:path';

const [url, host, modules, shots] = process.argv.slice(2);
const { chromium } = createRequire(path.join(modules, 'x'))('playwright-core');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
await page.goto(`${url}index.php`);
await page.fill('input[name=name]', 'Admin');
await page.fill('input[name=password]', 'zabbix');
await page.click('button[name=enter]');
await page.waitForSelector('aside, .sidebar');
for (const [name, address] of [
	['problems', `zabbix.php?action=problem.view&filter_set=1&hostids[]=${host}&show=3`],
	['dashboard', `zabbix.php?action=host.dashboard.view&hostid=${host}`],
	['latest', `zabbix.php?action=latest.view&filter_set=1&hostids[]=${host}`]]) {
	await page.goto(url + address);
	await page.waitForLoadState('networkidle', { timeout: 60000 });
	// The filter takes all the room.
	await page.addStyleTag({ content: '.filter-container, .tabfilter-content-container, .tabfilter-subfilter { display: none !important }' });
	await page.waitForTimeout(3000);
	await page.screenshot({ path: path.join(shots, `${name}.png`) });
}
await browser.close();
