// SPDX-License-Identifier: GPL-2.0-or-later
// The host in a row of cards: what is used, what is left, what was promised.
import { bytes, cores, count, percent, share } from './format.js';
import { bar } from './page.js';
import { element } from './table.js';
import { level } from './trouble.js';

const cards = new Map();

function card(into, title, text, more, used, level) {
	let c = cards.get(title);
	if (!c) {
		c = { value: element('dd'), more: element('dd', { class: 'quiet' }) };
		cards.set(title, c);
		into.append(element('div', {}, element('dt', {}, title), c.value, c.more));
	}
	bar(c.value, used, text, level);
	c.more.textContent = more;
}

const known = (...v) => v.every((x) => typeof x === 'number');

export function summary(into, host) {
	const m = host.metrics;
	const used = known(m.host_memory_total_bytes, m.host_memory_available_bytes) ?
		m.host_memory_total_bytes - m.host_memory_available_bytes : null;
	const memory = share(used, m.host_memory_total_bytes);
	const without = m.memory_unlimited_instances, withoutCpu = m.cpu_unlimited_instances;
	card(into, 'Memory', `${bytes(m.host_memory_available_bytes)} left`,
		`${bytes(used)} of ${bytes(m.host_memory_total_bytes)} used`, memory, level(memory));
	const cpu = share(m.host_cpu_used_cores, m.host_cpus_cores);
	card(into, 'CPU', `${cores(known(m.host_cpus_cores, m.host_cpu_used_cores) ?
		Math.max(m.host_cpus_cores - m.host_cpu_used_cores, 0) : null)} cores left`,
	`${cores(m.host_cpu_used_cores)} of ${cores(m.host_cpus_cores)} cores used`, cpu, level(cpu));
	const tasks = share(m.host_tasks, Math.min(m.host_tasks_limit ?? Infinity, m.host_pids_limit ?? Infinity));
	card(into, 'Tasks', count(m.host_tasks), `of ${count(m.host_pids_limit)} PIDs`, tasks, level(tasks));
	for (const f of host.filesystems ?? []) {
		const filled = share(f.metrics.filesystem_used_bytes, f.metrics.filesystem_size_bytes);
		card(into, `Disk ${f.mount}`, `${bytes(f.metrics.filesystem_available_bytes)} left`,
			`${bytes(f.metrics.filesystem_used_bytes)} of ${bytes(f.metrics.filesystem_size_bytes)} used`,
			filled, level(filled));
	}
	card(into, 'Memory promised', percent(known(m.memory_committed_bytes) ?
		m.memory_committed_bytes / m.host_memory_total_bytes : null),
	`${bytes(m.memory_committed_bytes)} as limits; ${count(without)} unlimited`,
	share(m.memory_committed_bytes, m.host_memory_total_bytes), '');
	card(into, 'CPU promised', `${cores(m.cpu_committed_cores)} cores`,
		`as limits; ${count(withoutCpu)} unlimited`, share(m.cpu_committed_cores, m.host_cpus_cores), '');
}
