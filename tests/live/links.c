/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests/live/alerts.sh: prints "ready", then "IFINDEX [COUNTERS]" of each veth that goes. */
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "../../collector/links.h"

static void deleted(void *data, const struct deleted_link *link)
{
	printf("%d [", link->ifindex);
	for (size_t i = 0; i < NETDEV_COLUMNS; i++)
		if (value_is_number(link->column[i]))
			printf("%s%" PRIu64, i ? "," : "", link->column[i].number);
		else
			printf("%snull", i ? "," : "");
	puts("]");
}

int main(void)
{
	struct links *l;
	struct error err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (links_new(deleted, NULL, &l, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	puts("ready");
	for (;;) {
		struct pollfd p = {links_fd(l), POLLIN, 0};

		if (poll(&p, 1, 10) > 0)
			links_read(l, now_ns(CLOCK_MONOTONIC));
		links_tick(l, now_ns(CLOCK_MONOTONIC));
	}
}
