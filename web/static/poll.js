// SPDX-License-Identifier: GPL-2.0-or-later
// Asks for one address again and again, with the ETag of the last answer: what has not changed
// costs a 304. The page hears of every change and of every failure, so that it can say loudly
// that what it shows is old.
export class Poll {
	#etag = null;
	#timer = null;
	#stopped = true;
	#turn = 0;
	#request = null;

	// changed(answer) with new data; state({ ok, since, reason }) after every request: since is
	// when the last good answer came (ms, null: never).
	constructor(url, { every = 2000, timeout = 10000, changed, state, fetcher = fetch, now = Date.now }) {
		Object.assign(this, { url, every, timeout, changed, state, fetcher, now, since: null });
	}

	start() {
		if (this.#stopped) {
			this.#stopped = false;
			this.#round();
		}
	}

	stop() {
		this.#stopped = true;
		clearTimeout(this.#timer);
		this.#request?.abort('stopped');
	}

	// Asks for something else from now on.
	ask(url) {
		this.stop();
		this.url = url;
		this.#etag = null;
		this.start();
	}

	// The next request starts when this one is done: a slow server is not asked faster.
	async #round() {
		const turn = ++this.#turn;
		await this.once();
		if (!this.#stopped && turn === this.#turn)
			this.#timer = setTimeout(() => this.#round(), this.every);
	}

	async once() {
		const request = new AbortController();
		const limit = setTimeout(() => request.abort(), this.timeout);
		this.#request = request;
		let answer = null;
		try {
			const fetcher = this.fetcher;
			const response = await fetcher(this.url, {
				signal: request.signal,
				cache: 'no-store', // the 304 is for this code, not for the browser's cache
				headers: this.#etag ? { 'If-None-Match': this.#etag } : {},
			});
			if (response.status !== 304) {
				if (!response.ok)
					throw new Error(`the server answers ${response.status}`);
				answer = await response.json();
				this.#etag = response.headers.get('ETag');
			}
			this.since = this.now();
		} catch (e) {
			if (request.signal.reason === 'stopped')
				return;
			this.state({ ok: false, since: this.since, reason: request.signal.aborted ?
				'the server does not answer' : e.message });
			return;
		} finally {
			clearTimeout(limit);
		}
		if (answer !== null)
			this.changed(answer);
		this.state({ ok: true, since: this.since, reason: null });
	}
}
