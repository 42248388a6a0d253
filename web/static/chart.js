// SPDX-License-Identifier: GPL-2.0-or-later
// Charts with dygraphs: one range, one cursor and one request for all of a page. What the cursor
// is at stands in a table below each chart, so that it can be read without seeing the chart.
import { bytes, bytesRate, cores, count, percent } from './format.js';
import { alarm, when } from './page.js';
import { metricsOf, rowsOf } from './pictures.js';
import { element } from './table.js';

/* global Dygraph */
const FORMAT = { cores, bytes, 'bytes/s': bytesRate, '%': percent, count };
const RANGES = [['15 min', 900], ['1 hour', 3600], ['6 hours', 21600], ['1 day', 86400], ['1 week', 604800],
	['1 month', 2678400], ['1 year', 31622400], ['2 years', 63244800]];
const MARKS = { oom: 'vermillion', start: 'green', reboot: 'green', stop: 'grey', 'limit-changed': 'purple' };
const MARKS_MAX = 60; // as in the pictures: OOM kills before all others
const LEAST = 60; // seconds that a range has at least
const LONGEST = 63244800;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const nowSeconds = () => Date.now() / 1000;
const highest = (values) => values.reduce((a, v) => (v !== null && (a === null || v > a) ? v : a), null);

class Chart {
	constructor(into, picture, page) {
		this.picture = picture;
		this.format = FORMAT[picture.unit];
		this.page = page;
		const unit = picture.unit === 'count' ? '' : ` ${picture.unit}`;
		const below = picture.lines.some((l) => l.style === 'below') ? ', out is below' : '';
		this.canvas = element('div', { class: 'chart', tabindex: '0', role: 'group', 'aria-label':
			`${picture.title}. Left and right move the cursor, with Shift the range; plus and minus zoom.` });
		this.legend = element('table', { class: 'legend' });
		this.figure = element('figure', { id: `chart-${picture.id}` }, element('figcaption', {},
			picture.title, element('small', { class: 'quiet' }, unit + below)), this.canvas, this.legend);
		into.append(this.figure);
		this.canvas.addEventListener('keydown', (e) => page.key(e));
	}

	show(data, from, to) {
		const { shown, values, rows } = rowsOf(this.picture, data);
		this.figure.hidden = shown.length === 0;
		if (shown.length === 0)
			return;
		Object.assign(this, { shown, values, times: rows.map((r) => r[0].getTime()) });
		// dygraphs fills the first series last: the bottom of a stack is over what is on top of it.
		const series = {};
		for (const { label, style, colour: name } of shown) {
			const filled = /area|stack|below/.test(style);
			series[label] = { color: colour(name), fillGraph: filled, fillAlpha: 1,
				strokeWidth: filled ? 1 : 1.6, strokePattern: style === 'limit' ? [6, 4] : null };
		}
		const options = { file: rows, series, labels: ['time', ...shown.map((l) => l.label)],
			dateWindow: [from * 1000, to * 1000], valueRange: this.#range(rows),
			gridLineColor: colour('grid'), axisLineColor: colour('grid') };
		if (this.dygraph)
			this.dygraph.updateOptions(options);
		else
			this.#make(options);
		this.read(this.page.cursor);
	}

	// From zero, so that a small change does not look like a big one; a limit far above what is
	// used is left out of view, and is in the table.
	#range(rows) {
		let top = 0, bottom = 0, limit = 0;
		for (const row of rows)
			this.shown.forEach(({ style }, k) => {
				if (style === 'limit')
					limit = Math.max(limit, row[k + 1] ?? 0);
				top = Math.max(top, style === 'limit' ? 0 : row[k + 1] ?? 0);
				bottom = Math.min(bottom, row[k + 1] ?? 0);
			});
		if (limit > top && (limit <= top * 20 || top === 0))
			top = limit;
		return [bottom * 1.1, top === 0 && bottom === 0 ? (/bytes/.test(this.picture.unit) ? 1024 : 1) : top * 1.08];
	}

	#make(options) {
		// A finger scrolls the page; the buttons zoom.
		const model = { ...Dygraph.defaultInteractionModel, dblclick: () => this.page.live() };
		for (const touch of ['touchstart', 'touchmove', 'touchend', 'touchcancel'])
			delete model[touch];
		const { file, ...rest } = options;
		this.dygraph = new Dygraph(this.canvas, file, { ...rest,
			height: 160, legend: 'never', interactionModel: model, highlightCircleSize: 3,
			axes: { x: { axisLabelWidth: 70 },
				y: { axisLabelWidth: 56, axisLabelFormatter: (v) =>
					(this.picture.unit === 'count' && !Number.isInteger(v) ? '' : this.format(Math.abs(v))) } },
			labelsKMG2: /bytes/.test(this.picture.unit),
			highlightCallback: (e, x, points, row) => this.page.point(row),
			unhighlightCallback: () => this.page.point(null),
			underlayCallback: (context, area, g) => this.#marks(context, area, g),
			drawCallback: (g, first) => first || this.page.moved(g.xAxisRange()) });
	}

	#marks(context, area, g) {
		const [from, to] = g.xAxisRange();
		const events = this.page.events.filter((e) =>
			MARKS[e.type] && e.time * 1000 >= from && e.time * 1000 <= to)
			.sort((a, b) => (b.type === 'oom') - (a.type === 'oom')).slice(0, MARKS_MAX).reverse();
		for (const e of events) {
			const x = Math.round(g.toDomXCoord(e.time * 1000)) + 0.5;
			context.strokeStyle = context.fillStyle = colour(MARKS[e.type]);
			context.lineWidth = e.type === 'oom' ? 2 : 1;
			context.setLineDash(e.type === 'oom' ? [] : [2, 2]);
			context.beginPath();
			context.moveTo(x, area.y);
			context.lineTo(x, area.y + area.h);
			context.stroke();
			// A word, as a colour alone says nothing to many.
			context.font = '11px system-ui, sans-serif';
			context.textAlign = x > area.x + area.w - 50 ? 'right' : 'left';
			context.fillText(` ${e.type === 'oom' ? 'OOM' : e.type} `, x, area.y + 10);
		}
		context.setLineDash([]);
		this.figure.dataset.oom = events.filter((e) => e.type === 'oom').length;
	}

	// The table: values at the cursor, without one the last that are known.
	read(row) {
		if (!this.shown)
			return;
		const all = [['', row === null ? 'last' : 'at the cursor', 'highest'], ...this.shown.map((l, k) => {
			const values = this.values[k];
			return [l.label, this.format(row === null ? values.findLast((v) => v !== null) : values[row]),
				this.format(highest(values))];
		})];
		while (this.legend.rows.length > all.length)
			this.legend.rows[this.legend.rows.length - 1].remove();
		all.forEach((texts, i) => {
			const tr = this.legend.rows[i] ?? this.legend.insertRow();
			texts.forEach((text, c) => {
				const cell = tr.cells[c] ?? tr.appendChild(i === 0 && c === 0 ? element('td') :
					i === 0 ? element('th', { scope: 'col' }) : c === 0 ? element('th', { scope: 'row' }) : element('td'));
				if (cell.textContent === text)
					return;
				cell.textContent = text;
				if (i > 0 && c === 0)
					cell.className = `key ${this.shown[i - 1].colour} as-${this.shown[i - 1].style}`;
			});
		});
	}

	get said() {
		return this.shown?.map((l, k) => `${l.label} ${this.format(this.values[k][this.page.cursor])}`).join(', ');
	}
}

export class Charts {
	#timer = null;
	#request = null;
	#moved = null;

	// what: the part of the query that says of whom, as `instance=web`.
	constructor(form, into, pictures, what) {
		// dygraphs' own legend writes styles into attributes, which the CSP forbids.
		Dygraph.PLUGINS = Dygraph.PLUGINS.filter((p) => !/legend/i.test(p.prototype.toString()));
		Object.assign(this, { form, what, pictures, events: [], cursor: null, data: null });
		this.span = 3600;
		this.end = null; // null: now
		this.charts = pictures.map((p) => new Chart(into, p, this));
		this.nothing = element('p', { class: 'quiet', role: 'status', hidden: '' }, 'Nothing is known of this time.');
		into.append(this.nothing);
		this.#controls();
		this.#fromAddress();
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
		document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
		this.refresh();
	}

	get to() { return this.end ?? nowSeconds(); }
	get from() { return this.to - this.span; }

	#controls() {
		const button = (text, label, act) => {
			const b = element('button', { type: 'button', ...(label ? { 'aria-label': label, title: label } : {}) }, text);
			b.addEventListener('click', act);
			return b;
		};
		this.buttons = RANGES.map(([text, span]) => button(text, null, () => this.go(span, this.end)));
		this.liveButton = button('Live', null, () => this.live());
		this.said = element('output', { class: 'quiet' });
		this.form.append(element('span', { role: 'group', 'aria-label': 'Range' }, ...this.buttons),
			element('span', { role: 'group', 'aria-label': 'Move' },
				button('◀', 'Earlier', () => this.shift(-0.5)), button('▶', 'Later', () => this.shift(0.5)),
				button('+', 'Zoom in', () => this.zoom(0.5)), button('−', 'Zoom out', () => this.zoom(2)),
				this.liveButton), this.said);
		this.form.hidden = false;
		this.form.addEventListener('submit', (e) => e.preventDefault());
	}

	// ?from=S&to=S can be sent to a colleague.
	#fromAddress() {
		const q = new URLSearchParams(location.search);
		const from = Number(q.get('from')), to = Number(q.get('to'));
		if (from > 0 && to > from)
			this.go(to - from, to);
		else
			this.#say();
	}

	#say() {
		this.buttons.forEach((b, i) => b.setAttribute('aria-pressed', `${RANGES[i][1] === this.span}`));
		this.liveButton.setAttribute('aria-pressed', `${this.end === null}`);
		this.said.textContent = this.end === null ? '' : `${when(this.from)} to ${when(this.to)}`;
		history.replaceState(null, '', this.end === null ? location.pathname :
			`?from=${Math.round(this.from)}&to=${Math.round(this.to)}`);
	}

	go(span, end) {
		this.span = Math.min(Math.max(span, LEAST), LONGEST);
		this.end = end === null || end >= nowSeconds() - 1 ? null : end;
		this.#say();
		this.#draw();
		this.refresh();
	}

	live() { this.go(this.end === null ? 3600 : this.span, null); }
	shift(part) { this.go(this.span, this.to + part * this.span); }
	zoom(factor) {
		const middle = this.cursor !== null ? this.charts.find((c) => c.times)?.times[this.cursor] / 1000 :
			this.to - this.span / 2;
		// Live stays live when there is no cursor to zoom to.
		this.go(this.span * factor, this.end === null && this.cursor === null ? null :
			middle + this.span * factor / 2);
	}

	// A mouse has zoomed or moved one chart: all follow when it rests.
	moved([from, to]) {
		clearTimeout(this.#moved);
		const pixel = this.span * 2; // ms, of about 500
		if (this.drawing || (Math.abs(from / 1000 - this.drawn?.[0]) * 1000 < pixel &&
			Math.abs(to / 1000 - this.drawn?.[1]) * 1000 < pixel))
			return;
		this.#moved = setTimeout(() => this.go((to - from) / 1000, to / 1000), 250);
	}

	point(row) {
		if (this.cursor === row)
			return;
		this.cursor = row;
		for (const c of this.charts.filter((x) => x.dygraph && !x.figure.hidden)) {
			if (row === null)
				c.dygraph.clearSelection();
			else if (c.dygraph.getSelection() !== row)
				c.dygraph.setSelection(row);
			c.read(row);
		}
	}

	key(e) {
		const times = this.charts.find((c) => c.times)?.times;
		const side = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
		if (side && e.shiftKey)
			this.shift(side / 4);
		else if (side && times) {
			const row = this.cursor === null ? times.length - 1 : this.cursor + side;
			this.point(Math.min(Math.max(row, 0), times.length - 1));
			const chart = this.charts.find((c) => c.canvas === e.currentTarget);
			this.said.textContent = `${when(times[this.cursor] / 1000)}: ${chart.said}`;
		} else if (e.key === '+' || e.key === '-')
			this.zoom(e.key === '+' ? 0.5 : 2);
		else if (e.key === 'Escape')
			this.point(null);
		else
			return;
		e.preventDefault();
	}

	// Newly told events are drawn at once.
	mark(events) {
		this.events = events;
		this.#draw();
	}

	#draw() {
		if (!this.data)
			return;
		this.drawing = true;
		this.drawn = [this.from, this.to];
		for (const c of this.charts)
			c.show(this.data, ...this.drawn);
		this.drawing = false;
		this.nothing.hidden = this.charts.some((c) => !c.figure.hidden);
		const at = this.cursor;
		this.cursor = null;
		if (at !== null)
			this.point(Math.min(at, (this.charts.find((c) => c.times)?.times.length ?? 1) - 1));
	}

	async refresh() {
		clearTimeout(this.#timer);
		this.#request?.abort();
		const request = this.#request = new AbortController();
		const points = Math.min(Math.max(document.documentElement.clientWidth, 300), 1000);
		try {
			const response = await fetch(`/api/v1/series?${this.what}&metrics=${metricsOf(this.pictures)}` +
				`&from=${Math.floor(this.from)}&to=${Math.ceil(this.to)}&points=${points}`,
			{ signal: AbortSignal.any([request.signal, AbortSignal.timeout(15000)]) });
			if (response.ok) {
				this.data = await response.json();
				this.#draw();
			}
			// Nothing stored yet is no error of the page's.
			alarm('series', response.ok || response.status === 404 ? null :
				`No charts: the server answers ${response.status}.`);
		} catch {
			if (request.signal.aborted)
				return;
			alarm('series', 'The charts are not live: the server does not answer.');
		}
		const every = Math.min(Math.max(this.data?.step ?? 2, 1), 60);
		if ((this.end === null || this.data === null) && !document.hidden)
			this.#timer = setTimeout(() => this.refresh(), every * 1000);
	}
}
