/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "view.h"

/* At the start, of what is older not even the file is read. */
#define RECENT_NS (86400 * NSEC_PER_SEC)

static bool is_runs(const struct history *h)
{
	return strcmp(h->name, "runs") == 0;
}

static bool holds(const struct history *h, const json_t *line)
{
	for (size_t i = 0; i < h->n; i++)
		if (json_equal(h->lines[i], line))
			return true;
	return false;
}

/*
 * Events have a number of their own. Runs are numbered by the second of their end and their place
 * among those of that second, which are the same when the journal is read again.
 */
static bool key_of(const struct history *h, const json_t *line, struct mib_key *ret)
{
	uint64_t n = is_runs(h) ? journal_seconds(line, "end") / NSEC_PER_SEC
				: (uint64_t)json_integer_value(json_object_get(line, "id"));

	*ret = (struct mib_key){.index = {(uint32_t)n, is_runs(h)}};
	if (n == 0 || n > UINT32_MAX)
		return false;
	for (size_t i = 0; i < h->n && is_runs(h); i++)
		if (h->keys[i].index[0] == ret->index[0])
			ret->index[1] = h->keys[i].index[1] + 1;
	return true;
}

static bool is_below(const struct mib_key *a, const struct mib_key *b)
{
	return a->index[0] != b->index[0] ? a->index[0] < b->index[0] : a->index[1] < b->index[1];
}

/* All data was removed: a later event has a lower number. */
static bool begins_anew(const struct history *h, const json_t *line, const struct mib_key *key)
{
	const struct mib_key *newest = h->n > 0 ? &h->keys[h->n - 1] : NULL;

	return newest && !is_runs(h) && !is_below(newest, key) &&
	       journal_seconds(line, "time") > journal_seconds(h->lines[newest->row], "time");
}

static void drop_lines(struct history *h)
{
	for (size_t i = 0; i < h->n; i++)
		json_decref(h->lines[i]);
	h->n = 0;
}

static void count(struct history *h, const json_t *line)
{
	const char *type = json_string_value(json_object_get(line, "type"));
	const char *how = json_string_value(json_object_get(line, "how"));

	if (is_runs(h))
		return;
	h->flappings += type && strcmp(type, "flapping") == 0;
	h->unexpected_ends += how && (strcmp(how, "killed") == 0 || strcmp(how, "oom") == 0 ||
					     strcmp(how, "host-crash") == 0);
}

void history_add(struct history *h, const json_t *line)
{
	struct mib_key key;
	size_t at;

	/* Reading and following overlap. */
	if (!key_of(h, line, &key) || holds(h, line))
		return;
	if (begins_anew(h, line, &key))
		drop_lines(h);
	for (at = h->n; at > 0 && is_below(&key, &h->keys[at - 1]);)
		at--;
	if (at > 0 && !is_below(&h->keys[at - 1], &key))
		return;
	key.row = (uint32_t)h->n;
	if (h->n == HISTORY_LINES) {
		if (at == 0)
			return;
		key.row = h->keys[0].row;
		json_decref(h->lines[key.row]);
		memmove(h->keys, h->keys + 1, --at * sizeof(key));
	} else {
		memmove(h->keys + at + 1, h->keys + at, (h->n++ - at) * sizeof(key));
	}
	count(h, line);
	h->keys[at] = key;
	h->lines[key.row] = json_incref((json_t *)(uintptr_t)line);
}

static int take(void *data, const json_t *line)
{
	history_add(data, line);
	return 0;
}

void history_tick(struct history *h, const char *data_dir)
{
	uint64_t now = now_ns(CLOCK_REALTIME);
	int r;

	if (h->tail) {
		r = journal_tail_read(h->tail, take, h);
	} else {
		/* First where the end is, then all before it. */
		r = journal_tail_open(data_dir, h->name, &h->tail);
		if (r == 0)
			r = journal_read(data_dir, h->name, now > RECENT_NS ? now - RECENT_NS : 0,
				take, h, NULL);
	}
	if (r < 0 && r != -ENOENT)
		complain(&h->complaint, "cannot read the %s in %s: %s", h->name, data_dir,
			strerror(-r));
	else
		complaint_over(&h->complaint, "the %s can be read again", h->name);
}

void history_free(struct history *h)
{
	drop_lines(h);
	if (h->tail)
		journal_tail_close(h->tail);
	*h = (struct history){.name = h->name};
}
