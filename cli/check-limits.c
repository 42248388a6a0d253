/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <inttypes.h>
#include <string.h>

/* Limits of processes and users: what check-scan.c saw, added up and compared. */

static void handle_of(const struct checkup *c, size_t row, struct snapshot_row *fixed)
{
	if (row == SIZE_MAX || snapshot_row(c->view.snapshot, SCOPE_INSTANCE, row, fixed) < 0)
		*fixed = (struct snapshot_row){.text = {[TEXT_HANDLE] = "the host"}};
}

/* What could not be looked at may be worse: a part is neither "well" nor a figure. */
static void mind_the_rest(struct checkup *c, const struct scan *s, bool files)
{
	bool denied = files && s->denied;

	if (c->finding->state >= CHECK_WARNING || (!denied && !s->cut))
		return;
	c->finding->has_figures = false;
	if (denied) {
		report(c, CHECK_UNKNOWN, "%zu of %zu processes show their open files to root only",
			s->denied, s->n);
		advise(c, "run it as root: sudo loadcell check");
	} else {
		report(c, CHECK_UNKNOWN, "after %zu processes the time was over", s->n);
	}
}

/* --- open files -------------------------------------------------------------------------- */

void check_nofile(struct checkup *c)
{
	const struct scan *s = scan_get(c);
	const struct process *worst = NULL;
	enum check_state state = CHECK_OK;
	struct snapshot_row fixed;
	size_t over = 0;

	if (!needs_sample(c))
		return;
	for (const struct process *p = s->list; p < s->list + s->n; p++) {
		/* Who has more open than it may has lowered its limit on purpose: a sandbox. */
		if (p->row == SIZE_MAX || p->files > p->files_limit || !p->files_limit)
			continue;
		over += judge_share(c, p->files, p->files_limit) >= CHECK_WARNING;
		if (!worst || is_fuller(p->files, p->files_limit, worst->files, worst->files_limit))
			worst = p;
	}
	if (worst) {
		handle_of(c, worst->row, &fixed);
		state = report_share(c, worst->files, worst->files_limit,
			"process %d of %s has %" PRIu64 " of its %" PRIu64 " files open",
			worst->pid, fixed.text[TEXT_HANDLE], worst->files, worst->files_limit);
	} else if (!s->denied) {
		report(c, CHECK_NOT_APPLICABLE, "no instance runs");
	}
	if (over > 1)
		report(c, state, "%zu more over the threshold", over - 1);
	if (state >= CHECK_WARNING)
		advise(c,
			"LimitNOFILE= of its service, or lxc.prlimit.nofile = %" PRIu64
			" in the instance's configuration and a restart; at once: prlimit --pid %d "
			"--nofile=%" PRIu64 "%s",
			twice(worst->files_limit), worst->pid, twice(worst->files_limit),
			/* The soft one alone, where the hard one is high enough. */
			worst->files_hard >= twice(worst->files_limit) ? ":" : "");
	mind_the_rest(c, s, true);
}

/* --- sums by user ------------------------------------------------------------------------ */

struct user {
	uint64_t user_ns;
	uid_t uid;
	uint64_t used, limit; /* the smallest limit of its processes in instances */
	size_t row;           /* of that */
};

static int by_user(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->user_ns != y->user_ns)
		return x->user_ns < y->user_ns ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Sorts, adds up and returns the user that is nearest to its limit; used 0: there is none. */
static struct user worst_user(struct user *users, size_t n)
{
	struct user worst = {.limit = 1}, sum = {0};

	qsort(users, n, sizeof(*users), by_user);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || by_user(&users[i], &sum) != 0) {
			sum = users[i];
		} else {
			sum.used += users[i].used;
			if (users[i].limit < sum.limit) {
				sum.limit = users[i].limit;
				sum.row = users[i].row;
			}
		}
		if (sum.limit != UINT64_MAX &&
			is_fuller(sum.used, sum.limit, worst.used, worst.limit))
			worst = sum;
	}
	return worst;
}

/*
 * The kernel counts the threads of a user, not of an instance: all instances that share a user
 * namespace, the host too, share the count. Root of the host is not bound by it.
 */
void check_nproc(struct checkup *c)
{
	const struct scan *s = scan_get(c);
	_cleanup_free_ struct user *users = calloc(s->n + 1, sizeof(*users));
	struct snapshot_row fixed;
	struct user worst;
	enum check_state state = CHECK_OK;
	size_t n = 0;

	if (!needs_sample(c) || !users)
		return;
	for (const struct process *p = s->list; p < s->list + s->n; p++) {
		const struct process *init = scan_init(s, p->row);

		/* Init's limit, which services start with: who has less was given less. */
		if (p->uid != 0)
			users[n++] = (struct user){p->user_ns, p->uid, p->threads,
				init ? init->threads_limit : UINT64_MAX, p->row};
	}
	worst = worst_user(users, n);
	if (worst.used) {
		handle_of(c, worst.row, &fixed);
		state = report_share(c, worst.used, worst.limit,
			"uid %u has %" PRIu64 " of the %" PRIu64 " threads that %s allows it",
			worst.uid, worst.used, worst.limit, fixed.text[TEXT_HANDLE]);
	} else {
		report(c, CHECK_OK, "no user of an instance has a limit of threads");
	}
	if (state >= CHECK_WARNING)
		advise(c,
			"lxc.prlimit.nproc = %" PRIu64 " in its configuration, then restart it; or "
			"a user namespace of its own (lxc.idmap), as instances that share one "
			"share the count",
			twice(worst.limit));
	mind_the_rest(c, s, false);
}

/* --- inotify ----------------------------------------------------------------------------- */

static void check_inotify(struct checkup *c, bool watches)
{
	const char *name = watches ? "max_user_watches" : "max_user_instances";
	const struct scan *s = scan_get(c);
	_cleanup_free_ struct user *users = calloc(s->n + 1, sizeof(*users));
	char file[64], key[64];
	struct user worst;
	enum check_state state;
	uint64_t limit;

	snprintf(file, sizeof(file), "sys/fs/inotify/%s", name);
	snprintf(key, sizeof(key), "fs.inotify.%s", name);
	if (!users || proc_number(c, file, &limit) < 0) {
		report(c, CHECK_UNKNOWN, "%s cannot be read", key);
		return;
	}
	for (size_t i = 0; i < s->n; i++)
		users[i] = (struct user){0, s->list[i].owner,
			watches ? s->list[i].watches : s->list[i].inotify, limit, SIZE_MAX};
	worst = worst_user(users, s->n);
	state = report_share(c, worst.used, limit,
		"uid %u has about %" PRIu64 " of %" PRIu64 " inotify %s", worst.uid, worst.used,
		limit, watches ? "watches" : "instances");
	report(c, state, "the setting is the host's, for all instances of a user together");
	if (state >= CHECK_WARNING)
		advise_sysctl(c, key, twice(limit));
	mind_the_rest(c, s, true);
}

void check_inotify_instances(struct checkup *c)
{
	check_inotify(c, false);
}

void check_inotify_watches(struct checkup *c)
{
	check_inotify(c, true);
}
