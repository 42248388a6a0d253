/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger-files.h"

int samples_init(struct samples *s, const struct config *c)
{
	*s = (struct samples){.path = config_run_path(c, "recent")};
	s->values = calloc(METRIC_ID_END, sizeof(*s->values));
	return s->path && s->values ? 0 : -ENOMEM;
}

void samples_destroy(struct samples *s)
{
	ring_record_free(&s->record);
	ring_close(s->ring);
	free(s->values);
	free(s->path);
}

/* The collector makes a new ring when the table or the size changes. */
static bool open_ring(struct samples *s)
{
	struct error ignored;

	if (s->ring && ring_replaced(s->ring)) {
		ring_close(s->ring);
		s->ring = NULL;
	}
	if (!s->ring && ring_open(s->path, false, &s->ring, &ignored) < 0)
		s->ring = NULL;
	return s->ring != NULL;
}

static void hand_out(struct samples *s, struct ledger *l)
{
	struct ring_row row;
	size_t at = 0;

	while (ring_record_next(&s->record, &at, &row, s->values, METRIC_ID_END) > 0)
		if (row.scope == SCOPE_INSTANCE)
			ledger_sample(l, row.run, s->record.time_ns, s->values);
	s->last_ns = s->record.time_ns;
}

/* The first record since then; sequence numbers go on over all rings. */
static void rewind_to(struct samples *s, uint64_t since_ns)
{
	struct ring_status st;

	ring_status(s->ring, &st);
	while (s->next_seq > st.first_seq) {
		int r = ring_read(s->ring, s->next_seq - 1, &s->record);

		if (r == -ESTALE || r == -ENOENT || (r == 0 && s->record.time_ns < since_ns))
			break;
		s->next_seq--;
	}
}

void samples_update(struct samples *s, struct ledger *l, uint64_t since_ns)
{
	struct ring_status st;

	if (!open_ring(s))
		return;
	if (since_ns && since_ns <= s->last_ns)
		rewind_to(s, since_ns);
	for (;;) {
		int r;

		ring_status(s->ring, &st);
		s->next_seq = MAX(s->next_seq, st.first_seq);
		if (s->next_seq >= st.next_seq)
			return;
		r = ring_read(s->ring, s->next_seq, &s->record);
		if (r == -ENOENT || r == -ENOMEM)
			return;
		if (r == 0 || r == -ESTALE) {
			hand_out(s, l);
			s->next_seq = s->record.seq + 1;
		} else {
			s->next_seq++;
		}
	}
}
