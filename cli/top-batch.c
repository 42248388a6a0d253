/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "top-view.h"
#include "top.h"

/* Tables one after another, for pipes, logs and terminals that cannot do more. */

#define LOOK_NS (NSEC_PER_SEC / 10)

struct printer {
	FILE *out;
	size_t blanks; /* held back, so that no line ends with them */
};

static void printer_put(void *data, enum top_attribute a, const char *text)
{
	struct printer *p = data;
	size_t len = strlen(text);

	while (len && text[len - 1] == ' ')
		len--;
	if (len) {
		fprintf(p->out, "%*s%.*s", (int)p->blanks, "", (int)len, text);
		p->blanks = 0;
	}
	p->blanks += strlen(text) - len;
}

static void printer_end_line(void *data)
{
	struct printer *p = data;

	p->blanks = 0;
	putc('\n', p->out);
}

static void print_table(struct top *t)
{
	struct printer printer = {.out = t->cli->out};
	struct top_sink sink = {printer_put, printer_end_line, &printer};
	size_t width = (size_t)MAX(t->cli->width, 1);
	const struct top_model *m = &t->model;
	struct top_layout layout;

	top_view_header(m, width, false, &sink);
	top_view_banner(m, width, &sink);
	if (m->snapshot) {
		top_layout_for(m, width, &layout);
		top_view_titles(m, &layout, &sink);
		for (size_t i = 0; i < m->shown_count; i++)
			top_view_row(m, &layout, m->shown[i], &sink);
	}
	putc('\n', t->cli->out);
	fflush(t->cli->out);
}

/* Waits for the next sample, but not for ever: that none comes is worth a table, too. */
static void wait_for_sample(struct top *t)
{
	struct top_model *m = &t->model;
	uint64_t start = now_ns(CLOCK_MONOTONIC), patience = NSEC_PER_SEC;
	bool fresh = false;

	if (m->snapshot)
		patience = 2 * snapshot_info(m->snapshot)->interval_ns + NSEC_PER_SEC;
	patience = MAX(patience, t->delay_ns);
	for (;;) {
		struct timespec look = {.tv_nsec = LOOK_NS};
		uint64_t waited;

		clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
		if (top_model_refresh(m, t->path, t->ring_path) == 1)
			fresh = true;
		waited = now_ns(CLOCK_MONOTONIC) - start;
		if ((fresh && waited >= t->delay_ns) || waited >= patience)
			return;
	}
}

int top_batch_run(struct top *t)
{
	struct top_model *m = &t->model;
	uint64_t printed = 0;

	top_model_refresh(m, t->path, t->ring_path);
	for (;;) {
		print_table(t);
		if (ferror(t->cli->out))
			return CLI_FAILED;
		if (t->count && ++printed >= t->count)
			break;
		wait_for_sample(t);
	}
	return !m->snapshot || m->error.text[0] || top_model_is_stale(m) ? CLI_STALE : CLI_DONE;
}
