/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "../lib/value.h"
#include "walk.h"

/* A walk that takes longer ends with what it has, so that others get their turn. */
#define WALK_TIME_MIN_NS (3600 * NSEC_PER_SEC)
#define MAPS_TIME_NS     (240 * NSEC_PER_SEC)

/* Best effort: without it the share of one core still holds. */
static void be_idle(void)
{
	const struct sched_param none = {0};

	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(
		SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void report(const struct job_order *o, const struct walk_report *r)
{
	/* The parent gone is the one way to fail, and then so are we. */
	if (write_all(o->report_fd, r, sizeof(*r)) < 0)
		_exit(1);
}

static void probe(struct job_order *o)
{
	for (size_t i = 0; i < o->targets; i++) {
		_cleanup_root_ struct root root = ROOT_CLOSED;
		struct walk_report r = {.job = JOB_PROBE, .target = o->target[i]};

		atomic_store(&o->pulse->at, i);
		atomic_fetch_add(&o->pulse->beats, 1);
		r.facts = o->facts[i];
		r.error = root_open(o->config->proc_root, &o->target[i], &root);
		if (!r.error)
			r.error = root_probe(o->config->proc_root, &root, &r.facts);
		report(o, &r);
	}
}

static int walk(struct job_order *o, struct walk_budget *b, struct tree_figures *ret)
{
	_cleanup_root_ struct root root = ROOT_CLOSED;
	_cleanup_close_ int fd = -1;
	int r = root_open(o->config->proc_root, &o->target[0], &root);

	if (r < 0)
		return r;
	fd = root_walk_fd(&root);
	if (fd < 0)
		return fd;
	/* An open root keeps the container's file system busy after its end: only the one needed.
	 */
	root_close(&root);
	return tree_walk(fd, b, ret);
}

void job_run(struct job_order *o)
{
	struct walk_report r = {.job = o->job, .target = o->target[0]};
	struct walk_budget b;

	if (o->job == JOB_PROBE) {
		probe(o);
		_exit(0);
	}
	be_idle();
	if (o->job == JOB_WALK) {
		budget_start(
			&b, o->pulse, o->share, MAX(WALK_TIME_MIN_NS, 4 * o->config->disk_walk_ns));
		r.error = walk(o, &b, &r.tree);
	} else {
		budget_start(&b, o->pulse, o->share, 0);
		r.error = maps_scan(o->config->proc_root, o->after, &b);
	}
	report(o, &r);
	_exit(0);
}
