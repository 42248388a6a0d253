/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "glob.h"

#include <errno.h>
#include <string.h>

#include "util.h"

#define NAME "{name}"

/* The length of a bracket expression, or 0. Classes such as [:alpha:] are no use here. */
static size_t bracket_len(const char *p)
{
	size_t at = 1 + (p[1] == '!');

	/* A ']' in front is a member, as in sh(1). */
	at += p[at] == ']';
	at += strcspn(p + at, "]/[");
	return p[at] == ']' ? at + 1 : 0;
}

static void put_bracket(FILE *out, const char *p, size_t len)
{
	size_t at = 1 + (p[1] == '!');

	fprintf(out, "[%s%.*s", p[1] == '!' ? "^" : "", (int)(len - at), p + at);
}

/* The same as an extended regular expression; its one group that counts is the name. */
static int translate(FILE *out, const char *glob)
{
	size_t components = 0, names = 0;

	putc('^', out);
	for (const char *p = glob; *p;) {
		size_t len = 1;

		if (*p == '/') {
			if (!p[1] || p[1] == '/' || ++components > GLOB_COMPONENTS_MAX)
				return -EINVAL;
			putc('/', out);
		} else if (*p == '*') {
			fputs("[^/]*", out);
		} else if (*p == '?') {
			fputs("[^/]", out);
		} else if (*p == '[') {
			len = bracket_len(p);
			if (!len)
				return -EINVAL;
			put_bracket(out, p, len);
		} else if (strncmp(p, NAME, strlen(NAME)) == 0) {
			len = strlen(NAME);
			names++;
			fputs("([^/]+)", out);
		} else {
			/* Outside brackets these are all that mean something to regcomp(3). */
			fprintf(out, strchr(".\\+()|^$]{}", *p) ? "\\%c" : "%c", *p);
		}
		p += len;
	}
	fputs("(/|$)", out);
	return glob[0] == '/' && names == 1 ? 0 : -EINVAL;
}

/* In `len` bytes; SIZE_MAX: to the end. */
static size_t slashes(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && s[i]; i++)
		n += s[i] == '/';
	return n;
}

int glob_compile(const char *glob, struct glob *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		return -ENOMEM;
	r = translate(out, glob);
	if (fclose(out) == EOF)
		return -ENOMEM;
	if (r < 0)
		return r;
	ret->components = slashes(glob, SIZE_MAX);
	r = regcomp(&ret->regex, text, REG_EXTENDED);
	return r == REG_ESPACE ? -ENOMEM : r ? -EINVAL : 0;
}

bool glob_match(const struct glob *g, const char *path, struct glob_found *ret)
{
	regmatch_t m[3];

	if (regexec(&g->regex, path, ARRAY_SIZE(m), m, 0) != 0)
		return false;
	*ret = (struct glob_found){
		.end = (size_t)m[2].rm_so,
		.name = (size_t)m[1].rm_so,
		.name_len = (size_t)(m[1].rm_eo - m[1].rm_so),
	};
	/* A bracket such as [!a] or [+-9] would take a '/' too. */
	return slashes(path, ret->end) == g->components;
}
