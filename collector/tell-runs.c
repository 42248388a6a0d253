/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/facts.h"
#include "../lib/parse.h"
#include "services.h"

/* What loadcelld-ledger hears about runs: see docs/lifecycle.md. */

void services_tell_ledger(struct services *s, json_t *message)
{
	if (tell_put(&s->tell, message)) {
		tell_send(&s->tell);
		return;
	}
	services_error(s, &s->tell_complaint,
		"the ledger does not listen, %" PRIu64 " messages to it are lost", s->tell.lost);
}

static json_t *hex(uint64_t run)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, run);
	return json_string(text);
}

/* What is not known, and what is no UTF-8, is left out. */
static void set_text(json_t *o, const char *key, const char *text)
{
	json_t *value = text && *text ? json_string(text) : NULL;

	if (value)
		json_object_set_new(o, key, value);
}

static json_t *lines(const char *text)
{
	json_t *array = json_array();

	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");

		json_array_append_new(array, json_stringn(line, len));
		line += len + (line[len] == '\n');
	}
	return array;
}

static void tell_open(void *data, const struct identity *id)
{
	struct services *s = data;
	json_t *o = json_pack("{s:s, s:o, s:I, s:I, s:b, s:i, s:I}", "op", "open", "run",
		hex(id->run), "index", (json_int_t)id->index, "start_ns",
		(json_int_t)id->start_time_ns, "found", id->init_starttime_ticks < s->started_ticks,
		"init", (int)id->init, "starttime", (json_int_t)id->init_starttime_ticks);

	set_text(o, "name", id->name);
	set_text(o, "handle", id->handle);
	set_text(o, "lxcpath", id->lxcpath);
	set_text(o, "kind", id->kind);
	set_text(o, "hostname", id->hostname);
	set_text(o, "rootfs", id->rootfs);
	if (id->groups)
		json_object_set_new(o, "groups", lines(id->groups));
	if (id->facts)
		json_object_set_new(o, "facts", facts_to_json(id->facts));
	services_tell_ledger(s, o);
}

void services_tell_open(struct services *s, const struct identity *id)
{
	tell_open(s, id);
}

/* --- who lost its monitor --------------------------------------------------------------------- */

static int read_stat(const struct services *s, pid_t pid, struct proc_stat *ret)
{
	char path[PATH_MAX], buf[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%d/stat", s->config->proc_root, pid);
	n = read_file_at(AT_FDCWD, path, buf, sizeof(buf));
	return n < 0 ? (int)n : parse_proc_stat(buf, (size_t)n, ret);
}

void services_note_monitor(struct services *s, const struct identity *id, struct monitor *ret)
{
	struct proc_stat st;

	*ret = (struct monitor){0};
	if (strcmp(id->kind ? id->kind : "", "lxc") != 0 || read_stat(s, id->init, &st) < 0)
		return;
	ret->pid = st.ppid;
	if (read_stat(s, st.ppid, &st) < 0)
		ret->pid = 0;
	ret->starttime = st.starttime_ticks;
	for (size_t c = 0; c < CONTROLLER_COUNT && !ret->cgroup; c++)
		if (id->cgroup[c] && s->hierarchies->controller[c].version) {
			ret->cgroup = strdup(id->cgroup[c] + 1);
			ret->controller = c;
		}
}

void monitor_free(struct monitor *m)
{
	free(m->cgroup);
	*m = (struct monitor){0};
}

/* A monitor that ends in order removes the payload's cgroup first. */
static bool lost_its_monitor(const struct services *s, const struct monitor *m)
{
	struct proc_stat st;
	struct stat cgroup;

	if (!m->pid || !m->cgroup)
		return false;
	if (read_stat(s, m->pid, &st) == 0 && st.state != 'Z' && st.starttime_ticks == m->starttime)
		return false;
	return fstatat(s->hierarchies->controller[m->controller].fd, m->cgroup, &cgroup, 0) == 0;
}

void services_tell_close(struct services *s, uint64_t run, const struct monitor *m)
{
	services_tell_ledger(
		s, json_pack("{s:s, s:o, s:I, s:b}", "op", "close", "run", hex(run), "time_ns",
			   (json_int_t)now_ns(CLOCK_REALTIME), "killed", lost_its_monitor(s, m)));
}

/* --- the ledger's side ------------------------------------------------------------------------ */

void services_ledger_started(struct services *s)
{
	tell_again(&s->tell);
	discovery_each(s->discovery, tell_open, s);
	s->settled = false;
	services_tell_settled(s);
}

void services_tell_settled(struct services *s)
{
	struct discovery_status st;

	if (s->settled || s->helper[HELPER_LEDGER].pid == 0)
		return;
	discovery_status(s->discovery, &st);
	/* The first look asks owners and liblxc; the second has heard their answers. */
	if (st.reconciles < 2)
		return;
	s->settled = true;
	services_tell_ledger(s, json_pack("{s:s}", "op", "settled"));
}
