/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "../lib/value.h"
#include "ledger-files.h"

#define NAME "runs.open"

int open_runs_write(const struct config *c, const struct ledger *l, const char *boot)
{
	_cleanup_free_ char *path = config_data_path(c, NAME), *text = NULL;
	json_t *saved = ledger_save(l, boot);

	if (saved)
		text = json_dumps(saved, JSON_COMPACT);
	json_decref(saved);
	if (!path || !text)
		return -ENOMEM;
	return replace_file(path, text, strlen(text), 0640, true);
}

int open_runs_read(const struct config *c, struct ledger *l, const char *boot, struct error *err)
{
	_cleanup_free_ char *path = config_data_path(c, NAME), *aside = NULL;
	json_t *saved;
	int r;

	if (!path)
		return error_set(err, -ENOMEM, "out of memory");
	saved = json_load_file(path, 0, NULL);
	r = saved ? ledger_load(l, saved, boot, now_ns(CLOCK_MONOTONIC)) : -EBADMSG;
	json_decref(saved);
	if (r != -EBADMSG)
		return r < 0 ? error_set(err, r, "cannot read %s: %s", path, strerror(-r)) : 0;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	aside = format_string("%s.damaged-%" PRIu64, path, now_ns(CLOCK_REALTIME) / NSEC_PER_SEC);
	if (!aside || rename(path, aside) < 0)
		return error_set(err, -errno, "cannot read %s, nor move it aside: %m", path);
	return error_set(err, 1,
		"%s was damaged and is now %s: runs that ended while nobody looked are lost", path,
		aside);
}
