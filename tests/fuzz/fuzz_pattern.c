/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/discovery-internal.h"

/* Two globs of the configuration and a cgroup path, one a line: a match is a whole beginning of the
 * path, and its name is made of one component of it. */
static void require(bool truth)
{
	if (!truth)
		abort();
}

static size_t slashes(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '/';
	return n;
}

static void check_match(const struct config *c, const char *path, const struct match *m)
{
	size_t len = strlen(path);

	require(m->end > 0 && m->end <= len && (path[m->end] == '/' || !path[m->end]));
	require(m->pattern->kind && m->name[0] && strlen(m->name) <= NAME_MAX);
	require(m->limit_end < m->end);
	if (strcmp(m->pattern->kind, "a") == 0 || strcmp(m->pattern->kind, "b") == 0) {
		const char *glob = c->pattern[m->pattern->kind[0] - 'a'] + 2;

		require(slashes(path, m->end) == slashes(glob, strlen(glob)));
		require(m->limit_end == 0);
	}
}

static void match(const struct config *c, const char *path)
{
	_cleanup_(patterns_free) struct patterns *p = patterns_new(c);
	enum match_result alone, both;
	struct match m, built_in;

	require(p != NULL);
	alone = pattern_match(NULL, path, &built_in);
	both = pattern_match(p, path, &m);
	if (both == MATCH_INSTANCE)
		check_match(c, path, &m);
	if (alone != MATCH_NONE)
		require(both != MATCH_NONE && m.end <= built_in.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(config_free) struct config *c = NULL;
	_cleanup_free_ char *copy = strndup((const char *)data, size), *text = NULL;
	char *rest = copy, *first, *second;

	if (!copy || size > 4096)
		return 0;
	first = strsep(&rest, "\n");
	second = strsep(&rest, "\n");
	if (!first || !second || !rest)
		return 0;
	text = format_string("pattern = a %s\npattern = b %s\n", first, second);
	/* Blanks and comments may leave another text than was given. */
	if (!text || config_parse(text, strlen(text), "f", &c, NULL) < 0 || c->patterns != 2)
		return 0;
	match(c, rest);
	return 0;
}
