/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tell.h"

#include <string.h>

static struct tell_message *at(struct tell *t, size_t i)
{
	return &t->queue[(t->first + i) % t->size];
}

static bool grow(struct tell *t)
{
	size_t size = t->size ? 2 * t->size : 64;
	struct tell_message *bigger = calloc(size, sizeof(*bigger));

	if (!bigger)
		return false;
	for (size_t i = 0; i < t->n; i++)
		bigger[i] = *at(t, i);
	free(t->queue);
	t->queue = bigger;
	t->size = size;
	t->first = 0;
	return true;
}

bool tell_put(struct tell *t, json_t *message)
{
	const char *op = json_string_value(json_object_get(message, "op"));
	bool settled = op && !strcmp(op, "settled");
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(message);
	if (!text || len >= HELPER_MESSAGE_MAX || t->n == TELL_MAX ||
		t->bytes + len > TELL_BYTES_MAX || (t->n == t->size && !grow(t))) {
		free(text);
		t->lost++;
		return false;
	}
	*at(t, t->n++) = (struct tell_message){text, settled};
	t->bytes += len;
	return true;
}

void tell_send(struct tell *t)
{
	while (t->sent < t->n && helper_send(t->helper, at(t, t->sent)->text) == 0)
		t->sent++;
}

void tell_taken(struct tell *t, uint64_t n)
{
	for (; n > 0 && t->sent > 0; n--) {
		t->bytes -= strlen(at(t, 0)->text);
		free(at(t, 0)->text);
		t->first = (t->first + 1) % t->size;
		t->n--;
		t->sent--;
	}
}

void tell_again(struct tell *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct tell_message m = *at(t, i);

		if (!m.settled) {
			*at(t, kept++) = m;
			continue;
		}
		t->bytes -= strlen(m.text);
		free(m.text);
	}
	t->n = kept;
	t->sent = 0;
}

void tell_free(struct tell *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(at(t, i)->text);
	free(t->queue);
	*t = (struct tell){0};
}
