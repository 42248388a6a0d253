/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#define SLOTS    65536 /* of each half; open addressing */
#define FULL     (SLOTS / 2)
#define NO_ENTRY 0

static uint64_t *slot_of(uint64_t *keys, uint64_t key)
{
	size_t i = (size_t)(key % SLOTS);

	while (keys[i] != NO_ENTRY && keys[i] != key)
		i = (i + 1) % SLOTS;
	return &keys[i];
}

bool seen_has(const struct seen *s, uint64_t key)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->keys); i++)
		if (s->keys[i] && *slot_of(s->keys[i], key) == key)
			return true;
	return false;
}

int seen_add(struct seen *s, uint64_t key)
{
	if (!s->keys[0] || s->n == FULL) {
		uint64_t *fresh = calloc(SLOTS, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		free(s->keys[1]);
		s->keys[1] = s->keys[0];
		s->keys[0] = fresh;
		s->n = 0;
	}
	if (key != NO_ENTRY && !seen_has(s, key)) {
		*slot_of(s->keys[0], key) = key;
		s->n++;
	}
	return 0;
}

void seen_free(struct seen *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->keys); i++)
		free(s->keys[i]);
	*s = (struct seen){0};
}
