/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "collector/ledger.h"
#include "lib/value.h"

/*
 * Lines of any JSON as messages, records and saved runs. No run is written twice, whatever is told,
 * and what is saved loads again.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LINES_MAX 4096

struct written {
	char run[LINES_MAX][17];
	size_t n;
};

static int put_run(void *data, const json_t *line)
{
	const char *run = json_string_value(json_object_get(line, "run"));
	struct written *w = data;

	if (!run || strlen(run) != 16)
		abort();
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->run[i], run))
			abort();
	if (w->n < LINES_MAX)
		strcpy(w->run[w->n++], run);
	return 0;
}

static int put_event(void *data, const json_t *line)
{
	if (json_integer_value(json_object_get(line, "id")) <= 0)
		abort();
	return 0;
}

static void want_flight(void *data, uint64_t id, uint64_t run, const char *handle)
{
}

static void note_ended(void *data, uint64_t run)
{
}

static void bring_samples(void *data, uint64_t since_ns)
{
}

static uint64_t wall_clock(void *data)
{
	return 1010 * NSEC_PER_SEC;
}

static bool is_alive(void *data, pid_t init, uint64_t starttime)
{
	return init % 2;
}

static bool identify(void *data, const char *lxcpath, const char *name, uint32_t *ret_index,
	const char **ret_handle)
{
	*ret_index = 1;
	*ret_handle = name;
	return *name != 'x';
}

static const struct ledger_ops ops = {
	.run = put_run,
	.event = put_event,
	.flight = want_flight,
	.ended = note_ended,
	.sample = bring_samples,
	.wall = wall_clock,
	.alive = is_alive,
	.identify = identify,
};

static void take(struct ledger *l, const json_t *line, uint64_t now)
{
	uint64_t next;

	if (json_object_get(line, "runs"))
		(void)ledger_load(l, line, "boot", now);
	else if (json_object_get(line, "op"))
		(void)ledger_message(l, line, now);
	else
		(void)ledger_record(l, line, json_object_get(line, "again") != NULL, now);
	if (ledger_tick(l, now, &next) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct written *w = calloc(1, sizeof(*w));
	const char *at = (const char *)data, *end = at + len, *newline;
	struct ledger *l = NULL, *again = NULL;
	uint64_t now = 0, next;
	json_t *saved;

	if (!w || ledger_new(&ops, w, &l) || ledger_new(&ops, w, &again))
		abort();
	for (; at < end; at = newline + 1) {
		json_t *line;

		newline = memchr(at, '\n', (size_t)(end - at));
		newline = newline ? newline : end;
		line = json_loadb(at, (size_t)(newline - at), 0, NULL);
		now += NSEC_PER_SEC;
		if (json_is_object(line))
			take(l, line, now);
		json_decref(line);
	}
	saved = ledger_save(l, "boot");
	if (!saved || ledger_load(again, saved, "another", now))
		abort();
	json_decref(saved);
	if (ledger_tick(again, now, &next) < 0)
		abort();
	ledger_free(l);
	ledger_free(again);
	free(w);
	return 0;
}
