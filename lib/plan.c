/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include <string.h>

#include "derive.h"
#include "parse.h"

const struct metric_source *plan_source(const struct metric *m, const struct hierarchies *h)
{
	bool v2 =
		m->v2.controller == CONTROLLER_NONE || h->controller[m->v2.controller].version == 2;

	return v2 ? &m->v2 : &m->v1;
}

static struct plan_file *file_of(struct plan *p, const struct metric_source *s, const char *file,
	int alternative, bool at_limit)
{
	struct plan_file *f;

	for (size_t i = 0; i < p->n_files; i++) {
		f = &p->files[i];
		if (f->controller == s->controller && f->at_limit == at_limit &&
			!strcmp(f->file, file))
			return f->n < PLAN_KEYS_MAX ? f : NULL;
	}
	if (p->n_files == PLAN_FILES_MAX)
		return NULL;
	f = &p->files[p->n_files++];
	*f = (struct plan_file){
		.controller = s->controller,
		.at_limit = at_limit,
		.alternative = alternative,
		.file = file,
		.grammar = s->grammar,
	};
	return f;
}

static int add_key(struct plan_file *f, const struct metric_source *s, size_t slot)
{
	if (!f)
		return -E2BIG;
	f->keys[f->n] = (struct parse_key){
		.key = s->key ? s->key : "",
		.len = s->key ? strlen(s->key) : 0,
		.scale = s->scale,
	};
	f->slot[f->n++] = slot;
	return 0;
}

static int add_file(struct plan *p, const struct metric_source *s, size_t slot, bool split)
{
	bool at_limit = split && (s->flags & SOURCE_AT_LIMIT);
	bool two = s->grammar == GRAMMAR_BLKIO && s->second_file;
	int r = add_key(file_of(p, s, s->file, two ? 1 : 0, at_limit), s, slot);

	if (r == 0 && two)
		r = add_key(file_of(p, s, s->second_file, 2, at_limit), s, slot);
	return r;
}

static int add_limit(struct plan *p, const struct metric_source *s, size_t slot)
{
	bool name_only = !(s->flags & SOURCE_ANCESTORS);

	if (p->n_limits == PLAN_LIMITS_MAX)
		return -E2BIG;
	p->limits[p->n_limits++] = (struct plan_limit){
		.slot = slot,
		.controller = s->controller,
		.file = name_only ? s->second_file : s->file,
		.second_file = name_only ? NULL : s->second_file,
		.grammar = name_only ? GRAMMAR_NUMBER : s->grammar,
		.name_only = name_only,
	};
	return 0;
}

static int add_row(struct plan *p, const struct metric *m, size_t slot,
	const struct metric_source *s, const struct hierarchies *h, bool split)
{
	bool mounted = s->controller == CONTROLLER_NONE || h->controller[s->controller].version;
	int r = 0;

	if (s->type == SOURCE_FILE && mounted) {
		if (!(s->flags & SOURCE_ANCESTORS))
			r = add_file(p, s, slot, split);
		if (r == 0 && m->kind == KIND_LIMIT &&
			((s->flags & SOURCE_ANCESTORS) || s->second_file))
			r = add_limit(p, s, slot);
	}
	if (r == 0 && s->derive) {
		p->derived[p->n_derived].slot = slot;
		p->derived[p->n_derived++].derive = s->derive;
	}
	return r;
}

int plan_make(const struct hierarchies *h, enum metric_scope scope, bool split, struct plan *ret)
{
	const struct metric *m;

	memset(ret, 0, sizeof(*ret));
	for_each_metric (scope, slot, m) {
		int r = add_row(ret, m, slot, plan_source(m, h), h, split);

		if (r < 0)
			return r;
	}
	return 0;
}

int plan_parse(const struct plan_file *f, const char *buf, size_t len, struct value *ret)
{
	switch (f->grammar) {
	case GRAMMAR_NUMBER:
		return parse_number(buf, len, f->keys[0].scale, ret);
	case GRAMMAR_FLAT:
		return parse_flat(buf, len, f->keys, f->n, ret);
	case GRAMMAR_NESTED:
		return parse_nested(buf, len, f->keys, f->n, ret);
	case GRAMMAR_BLKIO:
		return parse_blkio(buf, len, f->keys, f->n, ret);
	case GRAMMAR_PRESSURE:
		return parse_pressure(buf, len, f->keys, f->n, ret);
	case GRAMMAR_CPU_QUOTA:
		return parse_cpu_quota(buf, len, ret);
	case GRAMMAR_CPU_LIST:
		return parse_cpu_list(buf, len, ret);
	case GRAMMAR_CPU_CFS:
	case GRAMMAR_NETDEV:
		break;
	}
	return -EINVAL;
}
