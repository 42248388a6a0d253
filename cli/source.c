/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include "json.h"

/* v1 has two hierarchies that v2 has not, and their names tell which one a host uses. */
int source_version(const struct metric *m, const char *cgroups)
{
	enum controller c = m->v1.controller ? m->v1.controller : m->v2.controller;
	size_t len;

	if (c == CONTROLLER_UNIFIED)
		return 2;
	if (line_value(cgroups, "blkio", &len))
		return 1;
	return line_value(cgroups, "cpuacct", &len) && c != CONTROLLER_IO ? 1 : 2;
}

const struct metric_source *source_of(const struct metric *m, int version)
{
	return version == 1 ? &m->v1 : &m->v2;
}

char *source_text(const struct metric_source *s, int version)
{
	bool blkio = s->grammar == GRAMMAR_BLKIO, cfs = s->grammar == GRAMMAR_CPU_CFS;
	bool second = s->second_file && (blkio || cfs);

	if (s->type == SOURCE_NONE)
		return format_string("none: %s", s->note);
	if (s->type == SOURCE_DERIVED)
		return format_string("derived: %s", s->note);
	return format_string("%s%s%s%s%s%s%s%s%s%s%s%s",
		s->controller == CONTROLLER_NONE ? "/proc/PID/" : "", s->file,
		!second ? ""
		: cfs   ? " / "
			: " or ",
		second ? s->second_file : "", s->key ? ", " : "", s->key ? s->key : "",
		blkio || s->grammar == GRAMMAR_NESTED ? ", summed over devices" : "",
		s->flags & SOURCE_AT_LIMIT ? ", of the cgroup that holds the limits" : "",
		s->flags & SOURCE_ANCESTORS ? ", smallest of the cgroup and its ancestors" : "",
		s->flags & SOURCE_DESCENDANTS ? ", descendants included" : "", s->note ? "; " : "",
		s->note ? s->note : "");
}

void json_source(struct json_out *j, const struct metric_source *s, int version)
{
	static const char *const types[] = {
		[SOURCE_NONE] = "none",
		[SOURCE_FILE] = "file",
		[SOURCE_DERIVED] = "derived",
	};
	static const char *const flags[] = {"at_limit", "ancestors", "descendants"};

	_Static_assert(SOURCE_AT_LIMIT == 1 && SOURCE_DESCENDANTS == 4, "names stand by bit");
	json_text(j, "source", types[s->type]);
	if (s->type == SOURCE_FILE) {
		json_text(j, "controller", controller_name(s->controller, version));
		json_text(j, "file", s->file);
		json_text(j, "second_file", s->second_file);
		json_text(j, "key", s->key);
		json_text(j, "grammar", grammar_name(s->grammar));
	}
	json_text(j, "note", s->note);
	if (s->type != SOURCE_FILE)
		return;
	json_begin(j, "flags", '[');
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++)
		if (s->flags & 1U << i)
			json_text(j, NULL, flags[i]);
	json_end(j, ']');
}
