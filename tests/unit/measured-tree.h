/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../../collector/discovery.h"
#include "../../collector/sampler-internal.h"
#include "../../lib/below.h"

/*
 * A fixture tree, or a temporary copy that a test may change, measured by the real parts:
 * hierarchies and instances are found as on a host, then cycles are run as sampler_cycle() does,
 * with a wall clock that stands still.
 */
#define TREE_TIME_NS (UINT64_C(1795500000) * NSEC_PER_SEC)

struct tree {
	const void *given; /* the test's own argument */
	char dir[64];      /* temporary; holds the index and, for a copy, the tree */
	char *root;        /* has sys/fs/cgroup and proc */
	char *lxcpath;
	struct config config;
	struct hierarchies *h;
	struct index *index;
	struct discovery *d;
	struct below *below;
	struct sampler s;
	struct instance *instances[32];
};

static void tree_add(struct tree *t, const struct identity *id)
{
	assert_true(t->s.n_instances < ARRAY_SIZE(t->instances));
	t->instances[t->s.n_instances] = instance_new(&t->s.measure, identity_copy(id));
	assert_non_null(t->instances[t->s.n_instances]);
	t->s.n_instances++;
	below_appeared(t->below, id, NULL, NULL);
}

static void tree_appeared(void *data, const struct identity *id)
{
	tree_add(data, id);
}

static void tree_described(void *data, const struct identity *id)
{
}

static void tree_disappeared(void *data, uint32_t index, uint64_t run)
{
}

static int tree_ask(void *data, const char *json)
{
	return 0;
}

static const struct discovery_ops tree_ops = {
	tree_appeared, tree_described, tree_disappeared, tree_ask};

static void run_command(const char *command, const char *a, const char *b)
{
	_cleanup_free_ char *line = format_string("%s '%s' '%s'", command, a, b);

	assert_non_null(line);
	assert_int_equal(system(line), 0);
}

/* The fixture itself, or (copy) a copy of it that may be written to. Follow with tree_find(). */
static void tree_open(struct tree *t, const char *fixture, bool copy)
{
	const char *build = getenv("LOADCELL_BUILD");

	t->root = format_string("%s/fixtures/%s", build ? build : "build", fixture);
	assert_non_null(t->root);
	if (!copy)
		return;
	run_command("cp -a", t->root, t->dir);
	free(t->root);
	t->root = format_string("%s/%s", t->dir, fixture);
	assert_non_null(t->root);
	run_command("chmod -R", "u+w", t->root);
}

/* Finds hierarchies and instances and makes everything ready for tree_cycle(). */
static void tree_find(struct tree *t, size_t descriptors_max)
{
	_cleanup_free_ char *index = format_string("%s/index", t->dir);
	struct error err = {""};

	t->lxcpath = format_string("%s/lxc", t->dir);
	assert_int_equal(mkdir(t->lxcpath, 0755), 0);
	t->config = (struct config){
		.cgroup_root = format_string("%s/sys/fs/cgroup", t->root),
		.proc_root = format_string("%s/proc", t->root),
		.lxcpath = {t->lxcpath},
		.lxcpaths = 1,
		.reconcile_ns = 3600 * NSEC_PER_SEC,
		.instances_max = 100,
	};
	t->s.instances = t->instances;
	if (hierarchies_find(t->config.cgroup_root, t->config.proc_root, &t->h, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(
		measure_init(&t->s.measure, t->h, t->config.proc_root, descriptors_max), 0);
	assert_int_equal(host_init(&t->s.host, t->h, t->config.proc_root), 0);
	assert_int_equal(below_new(t->h, &t->below), 0);
	assert_int_equal(index_load(index, &t->index, &err), 0);
	if (discovery_new(&t->config, t->h, t->index, &tree_ops, t, &t->d, &err) < 0)
		fail_msg("%s", err.text);
	discovery_tick(t->d, now_ns(CLOCK_MONOTONIC));
	assert_true(t->s.n_instances > 0);
}

/* Setup and teardown of each test: *state is what the test was given, then the tree. */
static int tree_setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	t->given = *state;
	t->s.measure.proc_fd = t->s.host.proc_fd = -1;
	/* A copy is 1,700 small files: memory is faster than a disk. */
	snprintf(t->dir, sizeof(t->dir), "%s/test_measure.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	*state = t;
	return mkdtemp(t->dir) ? 0 : -1;
}

static int tree_teardown(void **state)
{
	struct tree *t = *state;

	for (size_t i = 0; i < t->s.n_instances; i++)
		instance_free(&t->s.measure, t->instances[i]);
	discovery_free(t->d);
	index_free(t->index);
	below_free(t->below);
	host_destroy(&t->s.host);
	measure_destroy(&t->s.measure);
	hierarchies_free(t->h);
	free(t->config.cgroup_root);
	free(t->config.proc_root);
	free(t->lxcpath);
	free(t->root);
	run_command("rm -rf", t->dir, t->dir);
	free(t);
	return 0;
}

static inline void tree_cycle(struct tree *t)
{
	struct cycle_facts facts = {.time_ns = TREE_TIME_NS};

	host_measure(&t->s.host);
	facts.host_cpus = host_get(&t->s.host, METRIC_HOST_CPUS);
	facts.host_memory = host_get(&t->s.host, METRIC_HOST_MEMORY_TOTAL);
	levels_begin(t->s.measure.levels);
	for (size_t i = 0; i < t->s.n_instances; i++) {
		if (!t->instances[i]->gone)
			instance_measure(&t->s.measure, t->instances[i], &facts);
	}
	totals_add(&t->s);
}

static struct instance *tree_instance(const struct tree *t, const char *name)
{
	for (size_t i = 0; i < t->s.n_instances; i++) {
		if (strcmp(t->instances[i]->id->name, name) == 0)
			return t->instances[i];
	}
	return NULL;
}

/* Which cgroup holds the limit of that row, or NULL. */
static inline const char *limit_holder(
	const struct tree *t, const struct instance *in, enum metric_id id)
{
	const struct plan *p = &t->s.measure.merged;

	for (size_t i = 0; i < p->n_limits; i++) {
		if (p->limits[i].slot == metric_slot(id))
			return in->limit_path[i];
	}
	return NULL;
}
