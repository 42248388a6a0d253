/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list.h"

#include <inttypes.h>
#include <string.h>

/*
 * RFC 4180's quoting, with the line ends of this system. Groups are joined by commas. Texts stand
 * as the container wrote them, for programs; only on a terminal are they cleaned. A spreadsheet may
 * take a name that begins with '=' for a formula: loadcell(1) says so.
 */
static void put_text(const struct cli *cli, enum snapshot_text which, const char *s)
{
	_cleanup_free_ char *joined = which == TEXT_GROUPS ? join_lines(s) : NULL;
	_cleanup_free_ char *clean = cli->tty ? text_clean(joined ? joined : s) : NULL;

	s = clean ? clean : joined ? joined : s;
	if (!s[strcspn(s, ",\"\r\n")]) {
		fputs(s, cli->out);
		return;
	}
	putc('"', cli->out);
	for (; *s; s++) {
		if (*s == '"')
			putc('"', cli->out);
		putc(*s, cli->out);
	}
	putc('"', cli->out);
}

static const struct {
	const char *title;
	enum snapshot_text text;
} texts[] = {
	{"handle", TEXT_HANDLE},
	{"name", TEXT_NAME},
	{"hostname", TEXT_HOSTNAME},
	{"groups", TEXT_GROUPS},
	{"lxcpath", TEXT_LXCPATH},
	{"kind", TEXT_KIND},
	{"state", TEXT_STATE},
};

int list_csv(const struct cli *cli, const struct listing *l)
{
	static const struct metric time_column = {.unit = UNIT_SECONDS};
	const struct metric *m;

	fputs("time", cli->out);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		fprintf(cli->out, ",%s", texts[i].title);
	fputs(",run", cli->out);
	for_each_metric (SCOPE_INSTANCE, slot, m)
		fprintf(cli->out, ",%s", m->name);
	putc('\n', cli->out);

	for (size_t i = 0; i < l->n; i++) {
		const struct row_match *row = &l->rows[i];

		fputs(cell_exact(&time_column, value_of(l->view->info->time_ns)).text, cli->out);
		for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
			putc(',', cli->out);
			put_text(cli, texts[t].text, row->fixed.text[texts[t].text]);
		}
		fprintf(cli->out, ",%016" PRIx64, row->fixed.run);
		for_each_metric (SCOPE_INSTANCE, slot, m)
			fprintf(cli->out, ",%s",
				cell_exact(m, snapshot_value(l->view->snapshot, SCOPE_INSTANCE,
						      row->row, m->id))
					.text);
		putc('\n', cli->out);
	}
	return CLI_DONE;
}
