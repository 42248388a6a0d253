/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "../lib/parse.h"
#include "services.h"

/* What the helper processes say (docs/helpers.md), and keeping them alive. */

#define STOP_PATIENCE_NS (2 * NSEC_PER_SEC)
#define COSTS_EVERY_NS   (10 * NSEC_PER_SEC)

static uint64_t number_of(json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static struct value value_in(json_t *object, const char *key)
{
	json_t *item = json_object_get(object, key);

	if (!item)
		return value_absent();
	return json_is_null(item) ? value_unlimited() : value_of(number_of(object, key));
}

static void set_fact(struct services *s, enum metric_id id, uint64_t number)
{
	s->facts.values[id] = value_of(number);
	s->facts_changed = true;
}

/* What a helper counts since its own start, added to what those before it had counted. */
static void set_counter(struct services *s, enum metric_id id, uint64_t number)
{
	set_fact(s, id, s->before.values[id].number + number);
}

/* What the helpers cost, their children included. A process that has just ended keeps its last
 * figure. */
static void read_costs(struct services *s, uint64_t now)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

	if (now < s->costs_due_ns)
		return;
	s->costs_due_ns = now + COSTS_EVERY_NS;
	s->facts.helpers_cpu_ns = s->ended_cpu_ns;
	s->facts.helpers_rss = 0;
	for (size_t i = 0; i < HELPERS; i++) {
		char path[32], buf[1024];
		struct proc_stat st;
		ssize_t n;

		/* Ours come from the real /proc, whatever tree is measured. */
		snprintf(path, sizeof(path), "/proc/%d/stat", s->helper[i].pid);
		n = s->helper[i].pid ? read_file_at(AT_FDCWD, path, buf, sizeof(buf)) : 0;
		if (n > 0 && parse_proc_stat(buf, (size_t)n, &st) == 0) {
			s->helper_cpu_ns[i] = (st.utime_ticks + st.stime_ticks + st.cutime_ticks +
						      st.cstime_ticks) *
					      tick_ns;
			s->facts.helpers_rss += st.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
		}
		s->facts.helpers_cpu_ns += s->helper_cpu_ns[i];
	}
	s->facts_changed = true;
}

static void store_message(struct services *s, const char *op, json_t *message)
{
	struct complaint *c = &s->helper_complaint[HELPER_STORE];

	if (!strcmp(op, "flushed")) {
		const char *error = text_of(message, "error");

		s->flushed_id = MAX(s->flushed_id, number_of(message, "id"));
		if (error[0])
			services_error(s, c, "%s", error);
		else
			complaint_over(c, "samples are stored again");
	} else if (!strcmp(op, "stats")) {
		set_fact(s, METRIC_STORE_FILES, number_of(message, "files"));
		set_fact(s, METRIC_STORE_SIZE, number_of(message, "bytes"));
		set_fact(s, METRIC_STORE_SIZE_LIMIT, number_of(message, "bytes_max"));
		set_counter(s, METRIC_STORE_ERRORS, number_of(message, "errors"));
		set_fact(s, METRIC_STORE_REFUSED_INSTANCES, number_of(message, "refused"));
		set_counter(s, METRIC_STORE_DAMAGED_FILES, number_of(message, "quarantined"));
		set_counter(s, METRIC_STORE_REMOVED_FILES, number_of(message, "removed"));
	}
}

static void ledger_message(struct services *s, const char *op, json_t *message)
{
	const char *lxcpath = text_of(message, "lxcpath"), *name = text_of(message, "name");
	const struct index_entry *e;

	if (!strcmp(op, "taken")) {
		tell_taken(&s->tell, number_of(message, "messages"));
		tell_send(&s->tell);
		complaint_over(&s->tell_complaint, "the ledger listens again");
	} else if (!strcmp(op, "seen")) {
		/* It lived too short for discovery, and keeps its number and handle all the same.
		 */
		(void)index_assign(s->index, lxcpath, name, &e);
	} else if (!strcmp(op, "destroyed")) {
		services_destroyed(s, (uint32_t)number_of(message, "index"));
	} else if (!strcmp(op, "stats")) {
		set_counter(s, METRIC_LEDGER_ERRORS, number_of(message, "errors"));
		set_fact(s, METRIC_LEDGER_SPOOL, number_of(message, "spool"));
	}
}

static void disk_message(struct services *s, const char *op, json_t *message)
{
	uint64_t run = strtoull(text_of(message, "run"), NULL, 16);
	json_t *fs = json_object_get(message, "fs");
	struct disk_figures figures = {
		.used = value_in(message, "used"),
		.limit = value_in(message, "limit"),
		.inodes = value_in(message, "inodes"),
		.time_ns = number_of(message, "time_ns"),
		.walking = !strcmp(op, "progress"),
		.partial = json_is_true(json_object_get(message, "partial")),
		.progress = number_of(message, "files"),
	};
	struct filesystem filesystem = {
		.device = (char *)text_of(fs, "device"),
		.mount = (char *)text_of(fs, "mount"),
		.type = (char *)text_of(fs, "type"),
		.size = number_of(fs, "size"),
		.used = number_of(fs, "used"),
		.available = number_of(fs, "available"),
		.inodes = number_of(fs, "inodes"),
		.used_inodes = number_of(fs, "inodes_used"),
	};

	snprintf(figures.method, sizeof(figures.method), "%s", text_of(message, "method"));
	sampler_post_disk(
		s->sampler, number_of(message, "id"), run, &figures, fs ? &filesystem : NULL);
}

static void walk_message(struct services *s, const char *op, json_t *message)
{
	if (!strcmp(op, "disk") || !strcmp(op, "progress")) {
		disk_message(s, op, message);
	} else if (!strcmp(op, "maps")) {
		set_fact(s, METRIC_HOST_MAP_COUNT, number_of(message, "max"));
	} else if (!strcmp(op, "stats")) {
		s->stuck[HELPER_WALK] = number_of(message, "stuck");
	}
}

static void take_message(struct services *s, enum helper_id which, const char *text)
{
	json_error_t where;
	json_t *message = json_loads(text, 0, &where);
	const char *op = text_of(message, "op");

	if (!message)
		services_error(s, &s->helper_complaint[which],
			"%s sent a message that is not JSON: %s", s->helper[which].program,
			where.text);
	else if (which == HELPER_STORE)
		store_message(s, op, message);
	else if (which == HELPER_WALK)
		walk_message(s, op, message);
	else if (which == HELPER_LEDGER)
		ledger_message(s, op, message);
	else
		discovery_lxc_answer(s->discovery, text);
	json_decref(message);
}

void helpers_read(struct services *s, enum helper_id which)
{
	_cleanup_free_ char *buf = malloc(HELPER_MESSAGE_MAX + 1);

	/* A bounded number per turn, so that a chatty helper cannot hold up the others. */
	for (int i = 0; buf && i < 256; i++) {
		ssize_t n = helper_receive(s->helper[which].fd, buf, HELPER_MESSAGE_MAX + 1);

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			/* Its exit is gathered now or when SIGCHLD comes; till then nobody talks.
			 */
			helpers_reap(s, now_ns(CLOCK_MONOTONIC));
			if (s->helper[which].pid != 0)
				s->helper[which].fd = close_fd(s->helper[which].fd);
			return;
		}
		take_message(s, which, buf);
	}
}

/* Tells the walk helper about instances that it does not know yet. */
void helpers_tell_walk(struct services *s)
{
	for (size_t i = 0; i < s->n_live; i++) {
		struct live *live = &s->live[i];
		char text[256];

		if (live->told || s->helper[HELPER_WALK].fd < 0)
			continue;
		snprintf(text, sizeof(text),
			"{\"op\":\"watch\",\"id\":%" PRIu32 ",\"run\":\"%" PRIx64
			"\",\"init\":%d,\"starttime\":%" PRIu64 "}",
			live->index, live->run, live->init, live->starttime);
		if (helper_send(&s->helper[HELPER_WALK], text) < 0)
			return;
		live->told = true;
	}
}

/* A new process counts from 0: what the last one had counted is added from now on. */
static void keep_counters(struct services *s, enum metric_id first, enum metric_id last)
{
	for (unsigned int id = first; id <= last; id++)
		s->before.values[id] = s->facts.values[id];
}

static void started(struct services *s, enum helper_id which)
{
	s->ended_cpu_ns += s->helper_cpu_ns[which];
	s->helper_cpu_ns[which] = 0;
	if (which == HELPER_LXC)
		discovery_lxc_restarted(s->discovery);
	if (which == HELPER_STORE) {
		keep_counters(s, METRIC_STORE_ERRORS, METRIC_STORE_REMOVED_FILES);
		/* A flush that the old one did not answer is asked again. */
		s->flush_due_ns = s->flush_id > s->flushed_id ? 0 : s->flush_due_ns;
	}
	if (which == HELPER_WALK)
		for (size_t i = 0; i < s->n_live; i++)
			s->live[i].told = false;
	if (which == HELPER_LEDGER) {
		keep_counters(s, METRIC_LEDGER_ERRORS, METRIC_LEDGER_ERRORS);
		services_ledger_started(s);
	}
}

void helpers_tick(struct services *s, uint64_t now)
{
	for (size_t i = 0; i < HELPERS; i++) {
		struct helper *h = &s->helper[i];
		struct error err;

		if (h->pid != 0 || now < h->start_again_ns)
			continue;
		if (helper_start(h, s->config_path, &err) < 0) {
			services_error(s, &s->helper_complaint[i], "%s", err.text);
			continue;
		}
		started(s, i);
	}
	read_costs(s, now);
	helpers_tell_walk(s);
	tell_send(&s->tell);
}

void helpers_reap(struct services *s, uint64_t now)
{
	for (size_t i = 0; i < HELPERS; i++)
		if (s->helper[i].pid != 0 && helper_ended(&s->helper[i], now) && !s->stopping)
			services_error(s, &s->helper_complaint[i],
				"%s has ended, it is started again in %" PRIu64 " s",
				s->helper[i].program, s->helper[i].pause_ns / NSEC_PER_SEC);
}

void helpers_stop(struct services *s)
{
	for (size_t i = 0; i < HELPERS; i++)
		helper_stop(&s->helper[i], STOP_PATIENCE_NS);
}
