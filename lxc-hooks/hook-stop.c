/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/snapshot.h"
#include "../lib/spool.h"
#include "../lib/value.h"
#include "hook.h"

/* Which run ends, and where its counters are. */
struct ending {
	uint64_t run;
	char *lxcpath;
	char *cgroup[CONTROLLER_COUNT];
	json_t *links; /* of the start record; NULL: not known */
};

static void ending_clear(struct ending *e)
{
	free(e->lxcpath);
	free_paths(e->cgroup);
	json_decref(e->links);
}

/* --- by the start record ---------------------------------------------------------------------- */

static const char *text_of(const json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : "";
}

static int take_record(const struct hook *k, const json_t *record, struct ending *e)
{
	const json_t *cgroups = json_object_get(record, "cgroup");

	if (strcmp(text_of(record, "name"), k->name) != 0 ||
		json_integer_value(json_object_get(record, "init")) != k->init)
		return -ESRCH;
	e->lxcpath = strdup(text_of(record, "lxcpath"));
	e->links = json_incref(json_object_get(record, "links"));
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		const char *path =
			text_of(cgroups, controller_name(c, k->hierarchies->controller[c].version));

		if (path[0] == '/')
			e->cgroup[c] = strdup(path);
	}
	return e->lxcpath ? 0 : -ENOMEM;
}

/* It is "start.RUN", or "live.RUN" once the ledger has taken it. */
static int find_record(const struct hook *k, struct ending *e)
{
	static const char *const types[] = {"live", "start", "live"}; /* it may be renamed now */
	int r = spool_init_run(k->config->run_dir, k->init, &e->run);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(types); i++) {
		struct spool_name name;
		json_t *record;

		snprintf(name.text, sizeof(name.text), "%s.%016" PRIx64, types[i], e->run);
		if (spool_get(k->config->run_dir, name.text, &record) < 0)
			continue;
		r = take_record(k, record, e);
		json_decref(record);
		return r;
	}
	return -ESRCH;
}

/* --- by the snapshot, for an instance that was started without the hooks ---------------------- */

/* "memory=/lxc.payload.web01\n..." */
static void take_cgroups(const struct hook *k, const char *text, struct ending *e)
{
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		const char *name = controller_name(c, k->hierarchies->controller[c].version);
		size_t len = strlen(name);

		for (const char *line = text; *line;
			line += strcspn(line, "\n"), line += *line != 0)
			if (strncmp(line, name, len) == 0 && line[len] == '=' && !e->cgroup[c])
				e->cgroup[c] =
					strndup(line + len + 1, strcspn(line + len + 1, "\n"));
	}
}

/* So far may the clock have been moved since the collector began, in ticks. */
#define TICKS_OFF 500

/* A row may be of an earlier run: start and cgroup must make this very number. */
static bool is_this_run(
	const struct hook *k, const struct ending *e, uint64_t start_ns, uint64_t run)
{
	static const enum controller order[] = {HIERARCHY_ORDER};
	uint64_t ticks = boot_ns_to_ticks(&k->boot, start_ns);

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const struct hierarchy *h = &k->hierarchies->controller[order[i]];
		struct stat st;

		if (e->cgroup[order[i]] && h->version &&
			fstatat(h->fd, below_mount(e->cgroup[order[i]]), &st, 0) == 0)
			for (uint64_t off = 0; off <= 2 * TICKS_OFF; off++)
				if (boot_run(&k->boot, ticks + off - TICKS_OFF, st.st_ino) == run)
					return true;
	}
	return false;
}

static int find_row(const struct hook *k, struct ending *e)
{
	_cleanup_free_ char *path = config_run_path(k->config, "snapshot");
	_cleanup_(snapshot_close) struct snapshot *s = NULL;
	struct snapshot_row row;
	int r = path ? snapshot_open(path, &s, NULL) : -ENOMEM;

	if (r < 0)
		return r;
	e->lxcpath = hook_lxcpath(k);
	for (size_t i = 0; e->lxcpath && snapshot_row(s, SCOPE_INSTANCE, i, &row) == 0; i++) {
		struct value start = snapshot_value(s, SCOPE_INSTANCE, i, METRIC_START_TIME);

		if (strcmp(row.text[TEXT_NAME], k->name) != 0 ||
			strcmp(row.text[TEXT_LXCPATH], e->lxcpath) != 0)
			continue;
		e->run = row.run;
		take_cgroups(k, row.text[TEXT_CGROUPS], e);
		if (is_this_run(k, e, start.number, row.run))
			return 0;
		free_paths(e->cgroup);
	}
	return -ESRCH;
}

/* --- the network ------------------------------------------------------------------------------ */

/*
 * Counters of a device that is gone are gone: LXC deletes veths before this hook, macvlans still
 * stand. How many of those of the start do, in the namespace that this process has entered.
 */
static size_t count_standing(const json_t *links)
{
	size_t i, n = 0;
	json_t *link;

	json_array_foreach (links, i, link)
		n += hook_link_stands((int)json_integer_value(json_object_get(link, "ifindex")));
	return n;
}

/* --- the record ------------------------------------------------------------------------------- */

static int make_record(const struct hook *k, const struct ending *e, json_t **ret,
	struct spool_name *name, struct error *err)
{
	bool own = k->live && k->network_ns && enter_network(k->network_ns) > 0;
	size_t standing = own ? count_standing(e->links) : 0;
	bool whole = own && e->links && standing == json_array_size(e->links);
	json_t *metrics = NULL;
	/* What stands has moved no more than the instance has: as much is known, all or not. */
	int r = hook_final(k, e->cgroup, own && (whole || standing || !e->links), &metrics);

	if (r < 0)
		return error_set(err, r, "cannot measure %s: %s", k->name, strerror(-r));
	snprintf(name->text, sizeof(name->text), "stop.%016" PRIx64, e->run);
	*ret = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:s}", "schema", SPOOL_SCHEMA,
		"type", "stop", "run", name->text + strlen("stop."), "time_ns",
		(json_int_t)now_ns(CLOCK_REALTIME), "name", k->name, "lxcpath", e->lxcpath,
		"target", k->reboot ? "reboot" : "stop", "metrics", metrics, "network",
		whole ? "namespace" : "last-sample");
	return *ret ? 0 : error_set(err, -EINVAL, "the instance's name is not UTF-8");
}

int hook_stop(struct hook *k, json_t **ret, struct spool_name *name, struct error *err)
{
	struct ending e = {0};
	int r = find_record(k, &e);

	if (r < 0) {
		ending_clear(&e);
		e = (struct ending){0};
		r = find_row(k, &e);
	}
	if (r < 0)
		(void)error_set(
			err, r, "neither the spool nor the snapshot knows this run of %s", k->name);
	else
		r = make_record(k, &e, ret, name, err);
	ending_clear(&e);
	return r;
}

int hook_destroy(struct hook *k, json_t **ret, struct spool_name *name, struct error *err)
{
	_cleanup_free_ char *lxcpath = hook_lxcpath(k);
	uint64_t now = now_ns(CLOCK_REALTIME);

	snprintf(name->text, sizeof(name->text), "destroy.%016" PRIx64, now);
	*ret = json_pack("{s:i, s:s, s:I, s:s, s:s}", "schema", SPOOL_SCHEMA, "type", "destroy",
		"time_ns", (json_int_t)now, "name", k->name, "lxcpath", lxcpath ? lxcpath : "");
	return *ret ? 0 : error_set(err, -EINVAL, "the instance's name is not UTF-8");
}
