/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands in for the one with a queue: the messages go to run_dir/ledger.jsonl, for tests. */
#include <fcntl.h>
#include <string.h>

#include "services.h"

void services_tell_ledger(struct services *s, json_t *message)
{
	_cleanup_free_ char *path = config_run_path(s->config, "ledger.jsonl");
	_cleanup_free_ char *text = json_dumps(message, JSON_COMPACT);
	_cleanup_close_ int fd =
		path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : -1;

	if (fd >= 0 && text)
		dprintf(fd, "%s\n", text);
	json_decref(message);
}
