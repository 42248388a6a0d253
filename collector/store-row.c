/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "store-internal.h"

/* Up to here librrd's reading of decimals ("number * 10 + digit" in a double) is exact. */
#define EXACT_MAX (UINT64_C(1) << 53)

static void add_source(struct store_layout *l, const struct metric *m, size_t slot, int interface)
{
	static const char *const word[] = {"net0", "net1", "netr"};
	struct store_source *s = &l->source[l->sources];
	const char *percent = strstr(m->ds, "%s");

	if (l->sources == STORE_SOURCES_MAX)
		return;
	if (percent)
		snprintf(s->name, sizeof(s->name), "%.*s%s%s", (int)(percent - m->ds), m->ds,
			word[interface], percent + 2);
	else
		snprintf(s->name, sizeof(s->name), "%s", m->ds);
	s->scope = m->scope;
	s->slot = slot;
	s->interface = interface;
	s->counter = m->kind == KIND_COUNTER;
	s->scaled = unit_divisor(m->unit) > 1;
	l->sources++;
}

int store_layout_make(struct store_layout *l, enum store_layout_kind kind, uint64_t interval_ns)
{
	const struct metric *m;

	store_layout_free(l);
	memset(l, 0, sizeof(*l));
	for_each_metric (kind == LAYOUT_HOST ? SCOPE_HOST : SCOPE_INSTANCE, slot, m)
		if (m->ds)
			add_source(l, m, slot, 0);
	for (int i = 0; kind == LAYOUT_INSTANCE && i < 3; i++)
		for_each_metric (SCOPE_INTERFACE, slot, m)
			if (m->ds)
				add_source(l, m, slot, i);
	l->step = MAX((interval_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC, 1);
	/* One missed cycle is bridged, two are a gap; a second or two of delay never is one. */
	l->heartbeat = MAX((l->step * 5 + 1) / 2, 5);
	return l->sources ? 0 : -EINVAL;
}

void store_layout_free(struct store_layout *l)
{
	free(TAKE_PTR(l->header));
}

void row_writer_begin(
	struct row_writer *w, const struct store_layout *l, const int *columns, size_t n)
{
	w->layout = l;
	w->columns = columns;
	w->n = n;
	w->lines = 0;
	w->end = w->text;
}

void row_writer_sample(struct row_writer *w)
{
	memset(w->value, 0, w->layout->sources * sizeof(w->value[0]));
	w->interfaces = 0;
	w->interfaces_hash = FNV64_START;
}

void row_writer_values(struct row_writer *w, const struct ring_row *row, const struct value *v)
{
	const struct store_layout *l = w->layout;
	int interface = MIN(w->interfaces, 2);

	for (size_t i = 0; i < l->sources; i++) {
		const struct store_source *s = &l->source[i];

		if (s->scope != row->scope)
			continue;
		if (s->scope != SCOPE_INTERFACE)
			w->value[i] = v[s->slot];
		else if (s->interface == interface)
			value_add(&w->value[i], v[s->slot]);
	}
	if (row->scope == SCOPE_INTERFACE) {
		uint64_t who[] = {row->index, row->run};

		w->interfaces++;
		w->interfaces_hash = fnv64(w->interfaces_hash, who, sizeof(who));
	}
}

static char *put_number(char *p, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

static char *put_fraction(char *p, uint64_t part, int digits)
{
	for (; digits && part % 10 == 0; digits--)
		part /= 10;
	if (!digits)
		return p;
	*p = '.';
	for (int i = digits; i; i--, part /= 10)
		p[i] = (char)('0' + part % 10);
	return p + digits + 1;
}

/* Billionths as a decimal number of the unit, with as many digits as librrd reads exactly. */
static char *put_scaled(char *p, uint64_t v)
{
	uint64_t part = v % NSEC_PER_SEC;

	p = put_number(p, v / NSEC_PER_SEC);
	return v < EXACT_MAX ? put_fraction(p, part, 9) : put_fraction(p, part / 1000, 6);
}

static bool broken(const struct store_source *s, enum sample_break unknown)
{
	return unknown == BREAK_ALL || (unknown == BREAK_COUNTERS && s->counter) ||
	       (unknown == BREAK_INTERFACES && s->scope == SCOPE_INTERFACE);
}

void row_writer_line(struct row_writer *w, uint64_t time_us, enum sample_break unknown)
{
	char *p = w->end;

	w->line[w->lines++] = p;
	p = put_number(p, time_us / 1000000);
	p = put_fraction(p, time_us % 1000000, 6);
	for (size_t i = 0; i < w->n; i++) {
		int c = w->columns[i];
		const struct store_source *s = &w->layout->source[MAX(c, 0)];

		*p++ = ':';
		if (c < 0 || !value_is_number(w->value[c]) || broken(s, unknown))
			*p++ = 'U';
		else if (s->scaled)
			p = put_scaled(p, w->value[c].number);
		else
			p = put_number(p, w->value[c].number);
	}
	*p++ = 0;
	w->end = p;
}

/*
 * A step is unknown when more than half of its whole seconds are (librrd 1.7.2, process_pdp_st()),
 * and those between the last update and the one that ends a step do not count. So where most of
 * the gap lies before the end of the old run's step, the unknowns are put there as late as they
 * count; else one second after the old run's last sample, and the next step gets the gap.
 */
void row_writer_restart(struct row_writer *w, uint64_t last_us, uint64_t time_us)
{
	uint64_t step_us = w->layout->step * 1000000;
	uint64_t left_us = step_us - last_us % step_us;
	uint64_t late_s = (MIN(left_us, time_us - last_us) - 1) / 1000000;
	uint64_t at_us = last_us + 1000000;

	if (late_s > w->layout->step / 2)
		at_us = last_us + late_s * 1000000;
	if (at_us + 1 < time_us)
		row_writer_line(w, at_us, BREAK_ALL);
}
