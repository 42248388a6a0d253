/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pattern.h"

#include <string.h>

#include "glob.h"
#include "util.h"

/*
 * How cgroups of instances are named, beside what the configuration tells: '*' is the name, '#' a
 * number, the rest literal. Any number of directories may stand above (a slice, a user's service).
 * The first row that fits wins, so a longer form stands before a shorter one.
 */
static const struct pattern patterns[] = {
	{.component = {"lxc.monitor"}},
	{.component = {"lxc.monitor.*"}},
	{.component = {"lxc.pivot"}},
	{.component = {"lxc.pivot-*"}},
	/* Proxmox VE: lxc.cgroup.dir.container = lxc/ID, .inner = ns; limits are on the outer. */
	{.kind = "lxc", .component = {"lxc", "*", "ns"}, .limit_on_parent = true},
	/* lxc.cgroup.dir = lxc */
	{.component = {"lxc", "lxc.monitor.*"}},
	{.component = {"lxc", "lxc.pivot"}},
	{.kind = "lxc", .component = {"lxc", "lxc.payload.*"}},
	/* LXC 0.9 to 3.0 */
	{.kind = "lxc", .component = {"lxc", "*"}},
	/* LXC 3.1 and 3.2 */
	{.kind = "lxc", .component = {"lxc.payload", "*"}},
	/* LXC 4.0 on, Incus; "-N" is added when the directory exists already. */
	{.kind = "lxc", .component = {"lxc.payload.*"}},
	/* libvirt under systemd, Nova included */
	{.kind = "qemu", .component = {"machine-qemu\\x2d#\\x2d*.scope"}, .escaped = true},
	/* Proxmox VE */
	{.kind = "qemu", .component = {"qemu.slice", "*.scope"}},
};

struct text {
	const char *p;
	size_t len;
};

/* '*' may stand once, and stands for at least one character. */
static bool component_match(const char *pattern, struct text s, struct text *name)
{
	size_t tail;

	for (; *pattern && *pattern != '*'; pattern++) {
		size_t n = 0;

		if (*pattern == '#') {
			while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
				n++;
		} else if (s.len && *s.p == *pattern) {
			n = 1;
		}
		if (!n)
			return false;
		s.p += n;
		s.len -= n;
	}
	if (!*pattern)
		return !s.len;
	tail = strlen(++pattern);
	if (s.len <= tail || memcmp(s.p + s.len - tail, pattern, tail) != 0)
		return false;
	*name = (struct text){s.p, s.len - tail};
	return true;
}

/* The component of path that begins behind the '/' at `at`; the length is 0 at the end. */
static struct text component_at(const char *path, size_t at)
{
	const char *p = path + at;

	if (*p == '/')
		p++;
	return (struct text){p, strcspn(p, "/")};
}

static bool row_match(const struct pattern *row, const char *path, size_t at, struct match *ret,
	struct text *name)
{
	size_t parent = at;

	for (size_t i = 0; i < ARRAY_SIZE(row->component) && row->component[i]; i++) {
		struct text s = component_at(path, at);

		if (!s.len || !component_match(row->component[i], s, name))
			return false;
		parent = at;
		at = (size_t)(s.p + s.len - path);
	}
	ret->pattern = row;
	ret->end = at;
	ret->limit_end = row->limit_on_parent ? parent : 0;
	return true;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* systemd writes bytes that may not stand in a unit's name as \xNN (unit-name.c do_escape()). */
static void set_name(struct match *m, struct text s)
{
	size_t n = 0;

	while (s.len && n < sizeof(m->name) - 1) {
		int high = -1, low = -1;

		if (m->pattern->escaped && s.len >= 4 && s.p[0] == '\\' && s.p[1] == 'x') {
			high = hex_digit(s.p[2]);
			low = hex_digit(s.p[3]);
		}
		if (high >= 0 && low >= 0 && (high || low)) {
			m->name[n++] = (char)(high << 4 | low);
			s.p += 4;
			s.len -= 4;
		} else {
			m->name[n++] = *s.p++;
			s.len--;
		}
	}
	m->name[n] = '\0';
}

/* *ret_at is where the row begins; SIZE_MAX without a match. */
static enum match_result match_built_in(const char *path, struct match *ret, size_t *ret_at)
{
	for (size_t at = 0; component_at(path, at).len; at += 1 + component_at(path, at).len) {
		for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
			struct text name = {"", 0};

			if (!row_match(&patterns[i], path, at, ret, &name))
				continue;
			set_name(ret, name);
			*ret_at = at;
			return patterns[i].kind ? MATCH_INSTANCE : MATCH_IGNORED;
		}
	}
	*ret_at = SIZE_MAX;
	return MATCH_NONE;
}

/* --- what the configuration tells ------------------------------------------------------------- */

struct patterns {
	size_t n;
	struct {
		struct pattern pattern;
		char kind[NAME_MAX + 1];
		struct glob glob;
	} row[CONFIG_PATTERNS_MAX];
};

struct patterns *patterns_new(const struct config *c)
{
	struct patterns *p = calloc(1, sizeof(*p));

	for (; p && p->n < c->patterns; p->n++) {
		const char *text = c->pattern[p->n];
		size_t kind = strcspn(text, " ");

		snprintf(p->row[p->n].kind, sizeof(p->row[0].kind), "%.*s", (int)kind, text);
		p->row[p->n].pattern = (struct pattern){.kind = p->row[p->n].kind, .escaped = true};
		if (glob_compile(text + kind + strspn(text + kind, " "), &p->row[p->n].glob) < 0) {
			patterns_free(p);
			return NULL;
		}
	}
	return p;
}

void patterns_free(struct patterns *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		regfree(&p->row[i].glob.regex);
	free(p);
}

/*
 * The outermost match is the instance, as what lies below is part of it; of two that end alike the
 * first row counts. A built-in row yields only to one that ends above its first component: nobody
 * takes LXC's cgroups away from LXC's rules of trust.
 */
enum match_result pattern_match(const struct patterns *more, const char *path, struct match *ret)
{
	size_t built_in, outermost = SIZE_MAX;
	enum match_result r = match_built_in(path, ret, &built_in);

	for (size_t i = 0; more && i < more->n; i++) {
		struct glob_found f;

		if (!glob_match(&more->row[i].glob, path, &f) || f.end > built_in ||
			f.end >= outermost)
			continue;
		outermost = f.end;
		*ret = (struct match){.pattern = &more->row[i].pattern, .end = f.end};
		set_name(ret, (struct text){path + f.name, f.name_len});
		r = MATCH_INSTANCE;
	}
	return r;
}
