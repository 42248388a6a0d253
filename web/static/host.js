// SPDX-License-Identifier: GPL-2.0-or-later
// The host: its charts, its room, and who uses most of it.
import { Charts } from './chart.js';
import { bytes, bytesRate, cores, count, percent } from './format.js';
import { $, bar, facts, instanceLink, live } from './page.js';
import { HOST } from './pictures.js';
import { sorted } from './rows.js';
import { summary } from './summary.js';
import { element } from './table.js';

const TOP = 10;
const m = (name, title, format) => [name, { title, format, of: (i) => i.metrics[name] }];
const r = (name, title, format) => [name, { title, format, of: (i) => i.rates?.[name] }];
const METRICS = new Map([m('cpu_used_cores', 'CPU', cores), m('memory_working_set_bytes', 'Memory', bytes),
	r('cpu_throttled_seconds', 'CPU held back', cores), m('pids_current', 'Tasks', count),
	m('disk_used_bytes', 'Disk', bytes),
	r('io_read_bytes', 'Read', bytesRate), r('io_write_bytes', 'Written', bytesRate),
	r('network_receive_bytes', 'Received', bytesRate), r('network_transmit_bytes', 'Sent', bytesRate),
	r('cpu_pressure_some_seconds', 'Waiting for CPU', percent),
	r('memory_pressure_some_seconds', 'Waiting for memory', percent),
	r('io_pressure_some_seconds', 'Waiting for I/O', percent)]);
let items = [];

function showTop() {
	const { format, of } = METRICS.get($('metric').value);
	const most = sorted(items.filter((i) => of(i) > 0), of, true).slice(0, TOP);
	most.forEach((i, n) => {
		const li = $('top').children[n] ?? $('top').appendChild(element('li', {}, element('a'), element('div')));
		const a = li.firstChild;
		if (a.textContent !== i.handle) {
			a.textContent = i.handle;
			a.href = instanceLink(i.handle).href;
		}
		bar(li.lastChild, of(i) / of(most[0]), format(of(i)), '');
	});
	while ($('top').children.length > most.length)
		$('top').lastElementChild.remove();
}

for (const [id, { title }] of METRICS)
	$('metric').append(element('option', { value: id }, title));
$('most').hidden = false;
$('metric').addEventListener('change', showTop);
live(`/api/v1/instances?metrics=${[...METRICS.keys()]}`, 2000, (answer) => {
	items = answer.instances;
	$('host-name').textContent = answer.host.name;
	summary($('summary'), answer.host);
	facts($('filesystems'), (answer.host.filesystems ?? []).map((f) => [f.mount,
		`${bytes(f.metrics.filesystem_available_bytes)} left of ${bytes(f.metrics.filesystem_size_bytes)}`]));
	showTop();
});
new Charts($('range'), $('charts'), HOST, 'host=1');
