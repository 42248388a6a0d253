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

const char *source_type_name(enum source_type type)
{
	static const char *const names[] = {
		[SOURCE_NONE] = "none",
		[SOURCE_FILE] = "file",
		[SOURCE_DERIVED] = "derived",
	};

	return names[type];
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
	static const struct {
		unsigned int flag;
		const char *name;
	} flags[] = {
		{SOURCE_AT_LIMIT, "at_limit"},
		{SOURCE_ANCESTORS, "ancestors"},
		{SOURCE_DESCENDANTS, "descendants"},
	};

	json_text(j, "source", source_type_name(s->type));
	if (s->type != SOURCE_FILE) {
		json_text(j, "note", s->note);
		return;
	}
	json_text(j, "controller", controller_name(s->controller, version));
	json_text(j, "file", s->file);
	json_text(j, "second_file", s->second_file);
	json_text(j, "key", s->key);
	json_text(j, "grammar", grammar_name(s->grammar));
	json_text(j, "note", s->note);
	json_begin(j, "flags", '[');
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (s->flags & flags[i].flag)
			json_text(j, NULL, flags[i].name);
	json_end(j, ']');
}
