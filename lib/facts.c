/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"

#include <string.h>

#include "util.h"

#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

json_t *facts_to_json(const char *facts)
{
	json_t *object = json_object();

	while (object && facts && *facts) {
		size_t len = strcspn(facts, "\n");
		const char *equals = memchr(facts, '=', len);
		_cleanup_free_ char *key = equals ? strndup(facts, (size_t)(equals - facts)) : NULL;

		if (key)
			(void)json_object_set_new(object, key,
				json_stringn(equals + 1, len - (size_t)(equals + 1 - facts)));
		facts += len + (facts[len] == '\n');
	}
	return object;
}

/* jansson's strings are UTF-8 already. */
static bool is_plain(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

char *facts_from_json(const json_t *object)
{
	_cleanup_free_ char *text = json_is_object(object) ? calloc(1, FACTS_TEXT_MAX) : NULL;
	size_t n = 0;
	const char *key;
	json_t *item;

	if (!text)
		return NULL;
	/* In jansson the macro takes no const object, though it changes none. */
	json_object_foreach ((json_t *)(uintptr_t)object, key, item) {
		const char *value = json_string_value(item);

		if (!value || !*value || !*key || key[strspn(key, KEY_CHARACTERS)] ||
			!is_plain(value) || strlen(value) != json_string_length(item) ||
			n + strlen(key) + strlen(value) + 3 > FACTS_TEXT_MAX)
			continue;
		n += (size_t)sprintf(text + n, "%s%s=%s", n ? "\n" : "", key, value);
	}
	return TAKE_PTR(text);
}
