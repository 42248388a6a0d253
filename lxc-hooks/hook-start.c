/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/spool.h"
#include "../lib/value.h"
#include "hook.h"

/*
 * The cgroup that discovery takes for the instance's: where the pattern ends, or init's own, which
 * it has not left yet. False: none of the instance's own (the root, the monitor's), or part of what
 * is measured as another kind's.
 */
static bool cut_path(const struct hook *k, char *path, const char *monitor_path)
{
	struct match m;

	switch (pattern_match(k->patterns, path, &m)) {
	case MATCH_INSTANCE:
		path[m.end] = '\0';
		return strcmp(m.pattern->kind, "lxc") == 0;
	case MATCH_IGNORED:
		return false;
	case MATCH_NONE:
		break;
	}
	return path[1] && !(monitor_path && strcmp(path, monitor_path) == 0);
}

static int find_run(const struct hook *k, char *const paths[CONTROLLER_COUNT], uint64_t starttime,
	uint64_t *ret)
{
	static const enum controller order[] = {HIERARCHY_ORDER};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (!paths[order[i]])
			continue;
		if (fstatat(k->hierarchies->controller[order[i]].fd, below_mount(paths[order[i]]),
			    &st, 0) < 0)
			return -errno;
		*ret = boot_run(&k->boot, starttime, st.st_ino);
		return 0;
	}
	return -ENOENT;
}

/* What is no cgroup of the instance's own is dropped. */
static int instance_cgroups(const struct hook *k, char *paths[CONTROLLER_COUNT])
{
	char *monitor_paths[CONTROLLER_COUNT];
	int r = proc_read_cgroups(k->proc_fd, k->hierarchies, k->init, CONTROLLER_NONE, paths);

	if (r < 0)
		return r;
	(void)proc_read_cgroups(
		k->proc_fd, k->hierarchies, k->monitor, CONTROLLER_NONE, monitor_paths);
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		if (paths[c] && !cut_path(k, paths[c], monitor_paths[c])) {
			free(paths[c]);
			paths[c] = NULL;
		}
	}
	free_paths(monitor_paths);
	return 0;
}

static json_t *cgroups_object(const struct hook *k, char *const paths[CONTROLLER_COUNT])
{
	json_t *object = json_object();

	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		if (paths[c])
			json_object_set_new(object,
				controller_name(c, k->hierarchies->controller[c].version),
				json_string(paths[c]));
	}
	return object;
}

/* NULL where they cannot be told, or are the host's. */
static json_t *links_array(const struct hook *k)
{
	_cleanup_free_ char *ns = format_string("/proc/%ld/ns/net", (long)k->init);
	struct hook_link links[LINKS_MAX];
	ssize_t n = ns && k->live && enter_network(ns) > 0 ? hook_links(links) : -ENOENT;
	json_t *array = n < 0 ? NULL : json_array();

	for (ssize_t i = 0; i < n; i++) {
		json_t *link = json_pack("{s:i}", "ifindex", links[i].index);

		/* Names have any bytes: one that is no UTF-8 is left out. */
		json_object_set_new(link, "name", json_string(links[i].name));
		if (links[i].mac[0])
			json_object_set_new(link, "mac", json_string(links[i].mac));
		if (links[i].peer)
			json_object_set_new(link, "peer", json_integer(links[i].peer));
		json_array_append_new(array, link);
	}
	return array;
}

int hook_start_host(struct hook *k, json_t **ret, struct spool_name *name, struct error *err)
{
	_cleanup_free_ char *lxcpath = NULL;
	char *paths[CONTROLLER_COUNT] = {0};
	struct process init;
	uint64_t run = 0;
	int r = proc_read_process(k->proc_fd, k->init, &init);

	if (r < 0)
		return error_set(err, r, "LXC_PID %ld is no process", (long)k->init);
	k->monitor = init.ppid;
	r = instance_cgroups(k, paths);
	if (r >= 0)
		r = find_run(k, paths, init.starttime_ticks, &run);
	if (r < 0) {
		free_paths(paths);
		return error_set(err, r, "no cgroup of its own is found for %s", k->name);
	}
	lxcpath = hook_lxcpath(k);
	snprintf(name->text, sizeof(name->text), "start.%016" PRIx64, run);
	*ret = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:i, s:I, s:I, s:s*, s:s*, s:o, s:o*}",
		"schema", SPOOL_SCHEMA, "type", "start", "run", name->text + strlen("start."),
		"time_ns", (json_int_t)now_ns(CLOCK_REALTIME), "name", k->name, "lxcpath",
		lxcpath ? lxcpath : "", "init", (int)k->init, "starttime",
		(json_int_t)init.starttime_ticks, "start_ns",
		(json_int_t)boot_ticks_to_ns(&k->boot, init.starttime_ticks), "rootfs", k->rootfs,
		"config", k->config_file, "cgroup", cgroups_object(k, paths), "links",
		links_array(k));
	free_paths(paths);
	if (!*ret)
		return error_set(err, -EINVAL, "a name or path of the instance is not UTF-8");
	k->run = run;
	return 0;
}
