/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "traps.h"

#include <string.h>

#include "../lib/util.h"

#define TOKEN_NS (NSEC_PER_SEC / TRAPS_RATE)

static uint64_t id_of(const json_t *event)
{
	json_int_t id = json_integer_value(json_object_get(event, "id"));

	return id > 0 ? (uint64_t)id : 0;
}

static const char *text_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* --- what has happened ------------------------------------------------------------------------ */

static void leave_out(struct traps *t, uint64_t n, uint64_t now)
{
	if (n > 0 && t->left_out == 0)
		t->left_out_ns = now;
	t->left_out += n;
}

static json_t *take_oldest(struct traps *t)
{
	json_t *event = t->queue[t->first];

	t->first = (t->first + 1) % TRAPS_QUEUE;
	t->n--;
	return event;
}

static void enqueue(struct traps *t, const json_t *event)
{
	if (t->n == TRAPS_QUEUE) {
		json_decref(take_oldest(t));
		leave_out(t, 1, t->now_ns);
	}
	t->queue[(t->first + t->n++) % TRAPS_QUEUE] = json_incref((json_t *)(uintptr_t)event);
}

/* A hook's record that comes late tells again of what has appeared. True: not known before. */
static bool know_start(struct traps *t, const json_t *event)
{
	const char *run = text_of(event, "run");
	uint64_t hash = fnv64(FNV64_START, run, strlen(run));

	for (size_t i = 0; i < MIN(t->known_n, (size_t)TRAPS_KNOWN); i++)
		if (t->known[i] == hash)
			return false;
	t->known[t->known_n++ % TRAPS_KNOWN] = hash;
	return true;
}

/*
 * The note of what was sent is not forced to the disk. After another boot what happened before that
 * may have been told, so it is left out; of ends by the crash itself nobody knew before.
 */
static bool is_of_other_boot(const struct traps *t, const json_t *event)
{
	return t->is_backlog && journal_seconds(event, "time") < t->boot_ns &&
	       strcmp(text_of(event, "how"), "host-crash") != 0;
}

static int take(void *data, const json_t *event)
{
	struct traps *t = data;
	uint64_t id = id_of(event);
	enum smi_notification type = smi_notification_of(text_of(event, "type"));

	if (id == 0 || (t->is_overlapping && id <= t->newest))
		return 0;
	t->newest = id;
	if (type == 0 || (type == SMI_STARTED && !know_start(t, event)))
		return 0;
	if (t->is_backlog && (t->state.is_first || id <= t->state.event))
		return 0;
	if (!is_of_other_boot(t, event)) {
		enqueue(t, event);
		return 0;
	}
	leave_out(t, 1, t->now_ns);
	/* From now on the note is of this boot. */
	if (t->n == 0)
		t->state.event = id;
	return 0;
}

static int open_state(struct traps *t)
{
	int r = trap_state_open(&t->state, t->source->config);

	if (r < 0)
		return r;
	t->is_open = true;
	t->boot_ns = t->state.is_other_boot ? now_ns(CLOCK_REALTIME) - now_ns(CLOCK_BOOTTIME) : 0;
	return 0;
}

/* First where the end is, then all before it, which is what happened while nobody was here. */
static int read_backlog(struct traps *t)
{
	const char *dir = t->source->config->data_dir;
	uint64_t now = now_ns(CLOCK_REALTIME);
	uint64_t since = MIN(t->state.is_first ? now : t->state.time_ns, now);
	int r = journal_tail_open(dir, "events", &t->tail);

	if (r < 0)
		return r;
	t->is_backlog = t->is_overlapping = true;
	r = journal_read(
		dir, "events", since > TRAPS_RECENT ? since - TRAPS_RECENT : 0, take, t, NULL);
	if (r == 0)
		r = journal_tail_read(t->tail, take, t);
	t->is_backlog = t->is_overlapping = false;
	if (r < 0)
		return r;
	/* Also where numbers begin anew because all data was removed. */
	if (t->state.is_first || t->newest < t->state.event) {
		t->state.event = t->newest;
		t->state.time_ns = now;
	}
	trap_state_save(&t->state);
	return 0;
}

/* What could not be read to its end is read again. */
static void begin(struct traps *t)
{
	struct trap_state state = t->state;
	uint64_t left_out = t->left_out;

	if (read_backlog(t) == 0)
		return;
	while (t->n > 0)
		json_decref(take_oldest(t));
	journal_tail_close(TAKE_PTR(t->tail));
	t->newest = t->known_n = 0;
	t->left_out = left_out;
	t->state = state;
}

void traps_tick(struct traps *t, uint64_t now)
{
	t->now_ns = now;
	if (!t->began_ns)
		t->began_ns = now;
	if (!t->is_open && open_state(t) < 0)
		return;
	/* What is wrong with the journal is told by who shows it. */
	if (!t->tail)
		begin(t);
	else
		(void)journal_tail_read(t->tail, take, t);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void save_up_to(struct traps *t, const json_t *event)
{
	t->state.event = id_of(event);
	t->state.time_ns = journal_seconds(event, "time");
	trap_state_save(&t->state);
}

/* The note first: what a crash interrupts is not sent again. */
static unsigned int send_events(struct traps *t, unsigned int room, uint64_t now)
{
	uint64_t n = MIN(MIN(t->tokens / TOKEN_NS, (uint64_t)t->n), (uint64_t)room);

	if (n == 0)
		return room;
	save_up_to(t, t->queue[(t->first + n - 1) % TRAPS_QUEUE]);
	t->tokens -= n * TOKEN_NS;
	for (uint64_t i = 0; i < n; i++) {
		json_t *event = take_oldest(t);

		if (t->sender.send(
			    t->sender.data, smi_notification_of(text_of(event, "type")), event) < 0)
			leave_out(t, 1, now);
		json_decref(event);
	}
	return room - (unsigned int)n;
}

/* At the start of both, the collector needs a while for its first sample. */
static unsigned int send_stale(struct traps *t, unsigned int room, uint64_t now)
{
	const struct config *config = t->source->config;
	uint64_t patience = config_stale_after_ns(config, config->interval_ns);
	bool stale = t->source->view.stale;

	if (room == 0 || stale == t->state.is_stale || (stale && now - t->began_ns < patience))
		return room;
	t->state.is_stale = stale;
	/* Not before it is known which events the note is of. */
	if (t->tail)
		trap_state_save(&t->state);
	if (t->sender.send(t->sender.data, stale ? SMI_STALE : SMI_RECOVERED, NULL) < 0)
		leave_out(t, 1, now);
	return room - 1;
}

/* When a storm is over, and every now and then while it lasts. */
static void send_left_out(struct traps *t, unsigned int room, uint64_t now)
{
	if (room == 0 || t->left_out == 0 || now < t->summary_ns ||
		(t->n > 0 && now - t->left_out_ns < TRAPS_PAUSE))
		return;
	t->source->left_out = (uint32_t)MIN(t->left_out, (uint64_t)UINT32_MAX);
	if (t->sender.send(t->sender.data, SMI_LEFT_OUT, NULL) < 0)
		return;
	/* So that they are not counted again. */
	if (t->newest > t->state.event && t->n == 0) {
		t->state.event = t->newest;
		trap_state_save(&t->state);
	}
	t->left_out = 0;
	t->summary_ns = now + TRAPS_PAUSE;
}

void traps_send(struct traps *t, uint64_t now)
{
	uint64_t unconfirmed = 0;
	unsigned int room = t->sender.room(t->sender.data, &unconfirmed);

	t->tokens = MIN(t->tokens + (now - t->filled_ns), TRAPS_BURST * TOKEN_NS);
	t->filled_ns = now;
	leave_out(t, unconfirmed - t->unconfirmed, now);
	t->unconfirmed = unconfirmed;
	if (!t->is_open)
		return;
	room = send_stale(t, room, now);
	room = send_events(t, room, now);
	send_left_out(t, room, now);
}

void traps_init(struct traps *t, struct source *source, const struct traps_sender *sender)
{
	*t = (struct traps){.source = source, .sender = *sender, .state = {.fd = -1}};
	t->tokens = TRAPS_BURST * TOKEN_NS;
}

void traps_free(struct traps *t)
{
	while (t->n > 0)
		json_decref(take_oldest(t));
	if (t->tail)
		journal_tail_close(TAKE_PTR(t->tail));
	trap_state_close(&t->state);
}
