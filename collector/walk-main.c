/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loadcelld-walk: disk use of the instances, and the host's highest map count. docs/helpers.md */
#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "../lib/log.h"
#include "helper.h"
#include "walk.h"

static int send_up(void *data, const char *json)
{
	return helper_send(data, json);
}

static int serve(struct walker *w)
{
	static char message[HELPER_MESSAGE_MAX];

	for (;;) {
		int r = walker_turn(w, HELPER_FD);
		ssize_t n;

		if (r < 0)
			return r;
		if (!r)
			continue;
		n = helper_receive(HELPER_FD, message, sizeof(message));
		if (n <= 0)
			return n < 0 && n != -EAGAIN ? (int)n : 0;
		r = walker_message(w, message);
		if (r < 0)
			log_warning("message refused (%s): %s", strerror(-r), message);
	}
}

int main(int argc, char **argv)
{
	_cleanup_(config_free) struct config *config = NULL;
	_cleanup_(walker_free) struct walker *walker = NULL;
	struct helper self = {.program = "loadcelld", .fd = HELPER_FD};
	const char *file = NULL;
	struct error err;
	int r, c;

	while ((c = getopt(argc, argv, "c:")) != -1) {
		if (c != 'c') {
			fprintf(stderr, "usage: loadcelld-walk -c FILE (started by loadcelld)\n");
			return 2;
		}
		file = optarg;
	}
	signal(SIGPIPE, SIG_IGN);
	if (config_load(config_path(file), &config, &err) < 0) {
		log_error("loadcelld-walk: %s", err.text);
		return 1;
	}
	r = walker_new(config, send_up, &self, &walker);
	if (r == 0)
		r = serve(walker);
	if (r < 0)
		log_error("loadcelld-walk ends: %s", strerror(-r));
	return r < 0;
}
