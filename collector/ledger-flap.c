/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../lib/value.h"
#include "ledger.h"

#define FLAP_NS (300 * NSEC_PER_SEC)

/* The handle's place, else that of the one whose last start is longest ago. */
static struct flap *place_of(struct flaps *f, const char *handle)
{
	struct flap *oldest = NULL;

	for (struct flap *p = f->flap; p < f->flap + f->n; p++) {
		if (!strcmp(p->handle, handle))
			return p;
		if (!oldest || p->start_ns[FLAP_STARTS - 1] < oldest->start_ns[FLAP_STARTS - 1])
			oldest = p;
	}
	if (f->n < FLAP_HANDLES)
		return &f->flap[f->n];
	return oldest;
}

bool flaps_start(struct flaps *f, const char *handle, uint64_t time_ns)
{
	struct flap *p = place_of(f, handle);
	uint64_t *start = p->start_ns;
	bool flapping;

	if (!p->handle || strcmp(p->handle, handle) != 0) {
		char *copy = strdup(handle);

		if (!copy)
			return false;
		f->n += f->n < FLAP_HANDLES && p == &f->flap[f->n];
		free(p->handle);
		*p = (struct flap){.handle = copy};
	}
	if (time_ns > start[FLAP_STARTS - 1] + FLAP_NS)
		p->said = false;
	memmove(start, start + 1, (FLAP_STARTS - 1) * sizeof(*start));
	start[FLAP_STARTS - 1] = time_ns;
	flapping = !p->said && start[0] && time_ns - start[0] <= FLAP_NS;
	p->said |= flapping;
	return flapping;
}

void flaps_free(struct flaps *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->flap[i].handle);
	f->n = 0;
}
