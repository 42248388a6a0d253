/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/measure.h"
#include "alerts.h"
#include "kernel-log.h"

/* Rows of the table whose change is an event: limits that stand in a file. */
#define ALERT_LIMITS_MAX PLAN_LIMITS_MAX

/* One live instance. */
struct alert {
	struct identity *id;
	int event_fd;    /* v1: signalled for its own cgroup and those below; else -1 */
	bool deep;       /* kills are counted in the cgroups below, each for itself */
	bool incomplete; /* not everything could be watched */
	size_t cgroups;  /* that signal a kill */
	int *wds;        /* of watches that it uses */
	size_t n_wds;
	/* Looking: at once, then again after a pause that doubles; look_ns 0: not looking. */
	uint64_t look_ns, pause_ns, signalled_ns;
	uint64_t kills; /* counted so far */
	/* Kills that are counted and not told yet, because their victim may still be told. */
	uint64_t rise, rise_time_ns, tell_ns, told_ns;
	struct value memory, memory_limit;
	struct {
		pid_t pid; /* 0: not known */
		uint64_t memory;
		char name[VICTIM_NAME_MAX];
	} victim;
	uint64_t compare_ns, compared_ns; /* limits; compare_ns 0: nobody wrote */
	struct value limit[ALERT_LIMITS_MAX];
};

/* One inotify watch, of a cgroup's directory or (events) of its memory.events. */
struct alert_watch {
	int wd;
	unsigned int users;
	enum controller controller;
	char *path;
	struct alert *owner; /* whose kills are counted here; NULL: only limits are of interest */
	bool events;
	bool written;
};

struct alerts {
	const struct hierarchies *h;
	struct below *below;
	const struct alerts_ops *ops;
	void *data;
	struct measure measure;
	const struct metric *limit_row[ALERT_LIMITS_MAX];
	size_t n_limit_rows;
	const struct metric_source *kills_source;
	struct kernel_log *log;
	int epoll_fd, inotify_fd;
	struct alert **alert;
	size_t n_alerts, alerts_size;
	struct alert_watch *watch; /* ascending wd */
	size_t n_watches, watches_size;
	bool any_written;
	uint64_t started_ns; /* wall clock */
	uint64_t due_ns, quiet_until_ns, pass_ns, overflow_due_ns;
	struct alerts_status status;
};

/* The cgroup whose counter of kills is the instance's. NULL: there is none. */
static inline const char *alert_cgroup(const struct alerts *a, const struct alert *alert)
{
	enum controller c = a->kills_source->controller;
	const struct identity *id = alert->id;

	return id->limit_cgroup[c] ? id->limit_cgroup[c] : id->cgroup[c];
}

/* alerts-watch.c: setting notifications and taking them in. */
void alert_watch_all(struct alerts *a, struct alert *alert);
void alert_unwatch_all(struct alerts *a, struct alert *alert);
void alerts_read_inotify(struct alerts *a, uint64_t now);

/* alerts.c: what follows from one. */
void alert_signalled(struct alerts *a, struct alert *alert, uint64_t now);
void alert_written(struct alerts *a, struct alert *alert, uint64_t now);
