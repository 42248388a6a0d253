/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inside.h"

#include "../lib/util.h"

bool inside_row(const struct mib_place *p, struct snapshot_row *ret)
{
	const struct mib_key *key = view_instance(p->view, p->instance);

	return key && snapshot_row(p->view->snapshot, SCOPE_INSTANCE, key->row, ret) == 0;
}

struct value inside_figure(const struct mib_place *p, unsigned int metric_id)
{
	const struct mib_key *key = view_instance(p->view, p->instance);

	return key ? snapshot_value(p->view->snapshot, SCOPE_INSTANCE, key->row, metric_id)
		   : value_absent();
}

struct value inside_limit(const struct mib_place *p, unsigned int metric_id)
{
	struct value v = inside_figure(p, metric_id);

	if (v.state == VALUE_ABSENT)
		return v;
	v = value_min_limit(v, view_whole(p->view, metric_by_id(metric_id)));
	return value_is_number(v) ? v : value_absent();
}

bool inside_counter(struct mib_value *ret, const struct mib_column *c, struct value v)
{
	ret->number = c->syntax == SMI_COUNTER32 ? v.number & UINT32_MAX : v.number;
	return value_is_number(v);
}

bool inside_kib(struct mib_value *ret, const struct mib_column *c, struct value bytes)
{
	ret->number = bytes.number / 1024;
	if (c->syntax == SMI_INTEGER)
		ret->number = MIN(ret->number, (uint64_t)INT32_MAX);
	return value_is_number(bytes);
}

bool inside_ticks(struct mib_value *ret, struct value ns)
{
	ret->number = ns.number / (NSEC_PER_SEC / 100) & UINT32_MAX;
	return value_is_number(ns);
}

bool inside_text(struct mib_value *ret, const char *text)
{
	mib_text(ret, text ? text : "");
	return true;
}
