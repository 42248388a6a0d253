// SPDX-License-Identifier: GPL-2.0-or-later
// A table that people sort with real buttons and that changes in place: a row is kept by its key,
// so focus, selection and what a screen reader reads stay where they are.

// All text goes through here: what a container can name is never HTML.
export function element(tag, attributes = {}, ...children) {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes))
		e.setAttribute(name, value);
	e.append(...children);
	return e;
}

export class Table {
	#rows = new Map();

	// columns: [{ id, title, text(item), update(cell, item)?, descending?, number? }]; update, where
	// there is one, fills the cell, again only when the text has changed.
	constructor(table, { caption, columns, sort, descending = false, sorted }) {
		this.columns = columns;
		this.sort = { id: sort, descending };
		this.buttons = columns.map((c) => {
			const button = element('button', { type: 'button' }, c.title);
			button.addEventListener('click', () => {
				const again = this.sort.id === c.id;
				this.sort = { id: c.id, descending: again ? !this.sort.descending : !!c.descending };
				this.#mark();
				sorted(this.sort);
			});
			return button;
		});
		this.heads = this.buttons.map((b, i) => element('th', columns[i].number ?
			{ scope: 'col', class: 'number' } : { scope: 'col' }, b));
		this.body = element('tbody');
		table.replaceChildren(element('caption', {}, caption),
			element('thead', {}, element('tr', {}, ...this.heads)), this.body);
		this.#mark();
	}

	#mark() {
		this.columns.forEach((c, i) => {
			if (c.id === this.sort.id)
				this.heads[i].setAttribute('aria-sort', this.sort.descending ? 'descending' : 'ascending');
			else
				this.heads[i].removeAttribute('aria-sort');
		});
	}

	// Shows these items, in this order; nothing that is the same is touched.
	show(items, keyOf) {
		const kept = new Map();
		let next = this.body.firstElementChild;
		for (const item of items) {
			const key = keyOf(item);
			const row = this.#rows.get(key) ?? this.#make();
			kept.set(key, row);
			this.#fill(row, item);
			if (row.tr === next)
				next = next.nextElementSibling;
			else
				this.#place(row.tr, next);
		}
		for (const [key, row] of this.#rows)
			if (!kept.has(key))
				row.tr.remove();
		this.#rows = kept;
	}

	// A node that moves loses the focus: it is given back.
	#place(tr, before) {
		const focused = tr.contains(document.activeElement) ? document.activeElement : null;
		this.body.insertBefore(tr, before);
		focused?.focus({ preventScroll: true });
	}

	#make() {
		const cells = this.columns.map((c, i) => element(i ? 'td' : 'th',
			i ? (c.number ? { class: 'number' } : {}) : { scope: 'row' }));
		return { tr: element('tr', {}, ...cells), cells, texts: [] };
	}

	#fill(row, item) {
		this.columns.forEach((c, i) => {
			const text = c.text(item);
			if (row.texts[i] === text)
				return;
			row.texts[i] = text;
			if (c.update)
				c.update(row.cells[i], item);
			else
				row.cells[i].textContent = text;
		});
	}
}

// Rows beyond `step` come when the end of the table is scrolled to, or with the button: what is
// not in view costs nothing. shown() is called with a greater limit.
export class More {
	constructor(button, step, shown) {
		Object.assign(this, { button, step, limit: step, of: 0 });
		const more = () => {
			this.limit += step;
			shown();
		};
		button.addEventListener('click', more);
		new IntersectionObserver(([e]) => e.isIntersecting && !button.hidden && more()).observe(button);
	}

	cut(items) {
		this.button.hidden = items.length <= this.limit;
		this.button.textContent = `Show more of ${items.length}`;
		return items.slice(0, this.limit);
	}
}
