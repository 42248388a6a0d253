/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>

#include "../lib/spool.h"
#include "ledger-session.h"

#define SCAN_EVERY_NS (60 * NSEC_PER_SEC)

static void remove_record(struct session *s, const char *name)
{
	int r = spool_remove(s->config->run_dir, name);

	if (r < 0 && r != -ENOENT)
		session_error(s, r, "cannot remove a record of the spool");
}

/* The history of a destroyed instance is the store's. */
static void destroyed(struct session *s, const char *file, const json_t *record)
{
	const char *lxcpath = record_text(record, "lxcpath"), *name = record_text(record, "name");
	const struct index_entry *e = NULL;

	session_index(s);
	if (s->config->forget_destroyed && s->index && lxcpath && name)
		e = index_find(s->index, lxcpath, name);
	if (!e || session_send(json_pack(
			  "{s:s, s:I}", "op", "destroyed", "index", (json_int_t)e->number)))
		remove_record(s, file);
}

static int take_record(struct session *s, const char *name)
{
	bool start = strncmp(name, "start.", 6) == 0;
	json_t *record = NULL;
	int r = spool_get(s->config->run_dir, name, &record);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && strncmp(name, "destroy.", 8) == 0) {
		destroyed(s, name, record);
		json_decref(record);
		return 0;
	}
	if (r == 0)
		r = ledger_record(
			s->ledger, record, strncmp(name, "live.", 5) == 0, now_ns(CLOCK_MONOTONIC));
	json_decref(record);
	if (r == -EBADMSG) {
		session_error(s, r, "a record of the spool is damaged and was removed");
		r = 1;
	}
	if (r == 1)
		remove_record(s, name);
	else if (r == 0 && start && strlen(name) < RECORD_NAME && RESERVE(s->started, s->n_started))
		strcpy(s->started[s->n_started++], name);
	return MIN(r, 0);
}

static int take_each(void *data, const char *name)
{
	struct session *s = data;

	s->records++;
	/* Of the runs that are open already. */
	if (s->scanned && strncmp(name, "live.", 5) == 0)
		return 0;
	return take_record(s, name);
}

int spool_scan(struct session *s, uint64_t now)
{
	int r;

	s->records = 0;
	s->scan_ns = now + SCAN_EVERY_NS;
	r = spool_each(s->config->run_dir, take_each, s);
	s->scanned = true;
	return r;
}

int spool_watch(struct session *s, struct error *err)
{
	_cleanup_free_ char *path = config_run_path(s->config, "spool");
	int r = path ? make_directories(s->config->run_dir, 02750) : -ENOMEM;

	if (!r && mkdir(path, 0700) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return error_set(err, r, "cannot make the spool in %s: %s", s->config->run_dir,
			strerror(-r));
	s->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->inotify_fd < 0 ||
		inotify_add_watch(s->inotify_fd, path, IN_MOVED_TO | IN_ONLYDIR) < 0)
		return error_set(err, -errno, "cannot watch %s: %m", path);
	return 0;
}

int spool_read(struct session *s)
{
	_Alignas(struct inotify_event) char buf[16384];
	ssize_t n = read(s->inotify_fd, buf, sizeof(buf));
	int r = 0;

	for (char *p = buf; n > 0 && p < buf + n && !r;) {
		const struct inotify_event *e = (const void *)p;

		if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED))
			s->scan_ns = 0;
		/* What was renamed to live.RUN is our own doing. */
		else if (e->len && e->name[0] != '.' && strncmp(e->name, "live.", 5) != 0)
			r = take_record(s, e->name);
		p += sizeof(*e) + e->len;
	}
	return r;
}

void spool_clear(struct session *s)
{
	static const char *const types[] = {"start", "live", "stop"};
	char name[RECORD_NAME], live[RECORD_NAME];

	for (size_t i = 0; i < s->n_started; i++) {
		snprintf(live, sizeof(live), "live%s", strchr(s->started[i], '.'));
		(void)spool_rename(s->config->run_dir, s->started[i], live);
	}
	for (size_t i = 0; i < s->n_ended; i++)
		for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
			snprintf(name, sizeof(name), "%s.%016" PRIx64, types[t], s->ended[i]);
			remove_record(s, name);
		}
	s->n_started = s->n_ended = 0;
}
