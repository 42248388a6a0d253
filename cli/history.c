/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "history.h"

#include <string.h>
#include <time.h>

#include "../lib/facts.h"

#define HALF_A_YEAR_NS (182 * 86400 * NSEC_PER_SEC)

/* --- times ------------------------------------------------------------------------------------ */

struct cell when_cell(uint64_t ns, uint64_t now_ns, bool seconds)
{
	bool near = ns <= now_ns ? now_ns - ns < HALF_A_YEAR_NS : ns - now_ns < HALF_A_YEAR_NS;
	time_t t = (time_t)(ns / NSEC_PER_SEC);
	struct cell c = {"-"};
	struct tm tm;

	if (ns && localtime_r(&t, &tm))
		(void)strftime(c.text, sizeof(c.text),
			!near     ? "%Y-%m-%d"
			: seconds ? "%m-%d %H:%M:%S"
				  : "%m-%d %H:%M",
			&tm);
	return c;
}

/* --- names ------------------------------------------------------------------------------------ */

const char *history_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

char *history_groups(const json_t *line)
{
	json_t *group;
	char *text = NULL;
	size_t i, len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	json_array_foreach (json_object_get(line, "groups"), i, group)
		fprintf(f, "%s%s", i ? "\n" : "",
			json_is_string(group) ? json_string_value(group) : "");
	return fclose(f) == 0 ? text : NULL;
}

bool history_matches(const json_t *line, char *const *patterns, size_t n)
{
	_cleanup_free_ char *groups = n ? history_groups(line) : NULL;
	_cleanup_free_ char *facts = n ? facts_from_json(json_object_get(line, "facts")) : NULL;
	const char *handle = history_text(line, "handle");
	struct snapshot_row row = {
		.text =
			{
				[TEXT_HANDLE] = *handle ? handle : history_text(line, "name"),
				[TEXT_HOSTNAME] = history_text(line, "hostname"),
				[TEXT_GROUPS] = groups ? groups : "",
				[TEXT_FACTS] = facts ? facts : "",
			},
	};

	return instance_is_wanted(&row, patterns, n);
}

/* --- figures ---------------------------------------------------------------------------------- */

static struct value sum_of(const struct history_column *c, const struct value *values)
{
	struct value v = values[metric_slot(c->metric)];

	if (c->other)
		value_add(&v, values[metric_slot(c->other)]);
	return v;
}

struct cell history_cell(const struct history_column *c, const struct value *values,
	const struct value *before, uint64_t elapsed_ns)
{
	struct value v = sum_of(c, values), then;

	if (c->rate) {
		then = before && elapsed_ns ? sum_of(c, before) : value_absent();
		v = value_is_number(v) && value_is_number(then) && v.number >= then.number
			    ? value_of((uint64_t)((double)(v.number - then.number) * 1e9 /
						  (double)elapsed_ns))
			    : value_absent();
	}
	return cell_value(metric_by_id(c->metric), v, "max");
}

int history_failed(const struct cli *cli, const char *name, int r)
{
	if (r == -EACCES)
		return cli_fail(cli, CLI_FAILED,
			"only root and the group loadcell may read %s/%s.jsonl; "
			"join it with: usermod -aG loadcell USER, then log in again",
			cli->config->data_dir, name);
	return cli_fail(cli, CLI_FAILED, "cannot read %s/%s.jsonl: %s", cli->config->data_dir, name,
		strerror(-r));
}
