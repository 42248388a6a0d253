/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests/live/discovery.sh: discovery and its helper alone, without a sampler. Prints one JSON
 * object a line for each event; SIGUSR1 asks for a status line, SIGTERM ends it.
 *
 *	discover CONFIG
 *	discover forge NAME...	listens on abstract sockets of these names and never answers
 */
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "../../collector/discovery.h"
#include "../../collector/helper.h"

struct driver {
	struct helper helper;
	struct discovery *discovery;
	uint64_t stalled_ns; /* the longest call into discovery */
};

static void print(json_t *event)
{
	json_dumpf(event, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(event);
}

/* How long after its start init was found: ticks of 10 ms since boot. */
static int64_t late_ms(const struct identity *id)
{
	return (int64_t)(now_ns(CLOCK_BOOTTIME) / 1000000) -
	       (int64_t)(id->init_starttime_ticks * 10);
}

static json_t *event_of(const char *event, const struct identity *id)
{
	char run[17];
	json_t *o, *cgroup = json_object(), *limit = json_object();

	snprintf(run, sizeof(run), "%016" PRIx64, id->run);
	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		if (id->cgroup[c])
			json_object_set_new(
				cgroup, controller_name(c, 2), json_string(id->cgroup[c]));
		if (id->limit_cgroup[c])
			json_object_set_new(
				limit, controller_name(c, 2), json_string(id->limit_cgroup[c]));
	}
	o = json_pack("{s:s s:i s:s s:s s:s s:s s:s s:i s:I s:b s:I s:o s:o}", "event", event,
		"index", (int)id->index, "name", id->name, "lxcpath", id->lxcpath, "handle",
		id->handle, "kind", id->kind, "run", run, "init", (int)id->init, "starts",
		(json_int_t)id->starts, "shared", id->network_shared, "late_ms",
		(json_int_t)late_ms(id), "cgroup", cgroup, "limit", limit);
	if (id->hostname)
		json_object_set_new(o, "hostname", json_string(id->hostname));
	if (id->groups)
		json_object_set_new(o, "groups", json_string(id->groups));
	if (id->rootfs)
		json_object_set_new(o, "rootfs", json_string(id->rootfs));
	return o;
}

static void appeared(void *data, const struct identity *id)
{
	print(event_of("appeared", id));
}

static void described(void *data, const struct identity *id)
{
	print(event_of("described", id));
}

static void disappeared(void *data, uint32_t index, uint64_t run)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, run);
	print(json_pack("{s:s s:i s:s}", "event", "disappeared", "index", (int)index, "run", text));
}

static int ask_lxc(void *data, const char *json)
{
	return helper_send(&((struct driver *)data)->helper, json);
}

static const struct discovery_ops ops = {appeared, described, disappeared, ask_lxc};

static void print_status(const struct driver *v)
{
	struct discovery_status s;

	discovery_status(v->discovery, &s);
	print(json_pack("{s:s s:I s:I s:I s:I s:I s:I s:I s:I}", "event", "status", "instances",
		(json_int_t)s.instances, "dropped", (json_int_t)s.dropped, "untrusted",
		(json_int_t)s.untrusted, "watches", (json_int_t)s.watches, "watch_errors",
		(json_int_t)s.watch_errors, "lxc_timeouts", (json_int_t)s.lxc_timeouts,
		"reconciles", (json_int_t)s.reconciles, "stalled_ms",
		(json_int_t)(v->stalled_ns / 1000000)));
}

static void from_helper(struct driver *v)
{
	static char buf[HELPER_MESSAGE_MAX];
	ssize_t n = helper_receive(v->helper.fd, buf, sizeof(buf));

	if (n > 0) {
		discovery_lxc_answer(v->discovery, buf);
	} else if (n != -EAGAIN) {
		helper_stop(&v->helper, 0);
		if (helper_start(&v->helper, NULL, NULL) == 0)
			discovery_lxc_restarted(v->discovery);
	}
}

static void run(struct driver *v, int signals)
{
	uint64_t next = 0;

	for (;;) {
		struct pollfd fds[] = {{.fd = discovery_fd(v->discovery), .events = POLLIN},
			{.fd = v->helper.fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
		uint64_t now = now_ns(CLOCK_MONOTONIC), before;
		int wait = next <= now ? 0 : (int)((next - now) / 1000000) + 1;

		(void)poll(fds, ARRAY_SIZE(fds), wait);
		if (fds[2].revents) {
			struct signalfd_siginfo info;

			if (read(signals, &info, sizeof(info)) != sizeof(info) ||
				info.ssi_signo != SIGUSR1)
				return;
			print_status(v);
		}
		before = now_ns(CLOCK_MONOTONIC);
		if (fds[1].revents)
			from_helper(v);
		if (fds[0].revents)
			discovery_readable(v->discovery);
		next = discovery_tick(v->discovery, now_ns(CLOCK_MONOTONIC));
		v->stalled_ns = MAX(v->stalled_ns, now_ns(CLOCK_MONOTONIC) - before);
	}
}

static int forge(char **names)
{
	for (; *names; names++) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		size_t len = strlen(*names);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (len >= sizeof(a.sun_path))
			return 2;
		memcpy(a.sun_path + 1, *names, len);
		if (bind(fd, (struct sockaddr *)&a,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0 ||
			listen(fd, 1) < 0)
			return 1;
	}
	puts("forged");
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	struct driver v = {.helper = {.program = "loadcelld-lxc", .fd = -1}};
	_cleanup_(config_free) struct config *config = NULL;
	_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
	_cleanup_(index_free) struct index *index = NULL;
	_cleanup_free_ char *path = NULL;
	struct error err = {""};
	sigset_t set;

	if (argc > 2 && strcmp(argv[1], "forge") == 0)
		return forge(argv + 2);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc != 2 || config_load(argv[1], &config, &err) < 0 ||
		hierarchies_find(config->cgroup_root, config->proc_root, &h, &err) < 0)
		goto failed;
	path = config_data_path(config, "index");
	if (index_load(path, &index, &err) < 0 || helper_start(&v.helper, NULL, &err) < 0 ||
		discovery_new(config, h, index, &ops, &v, &v.discovery, &err) < 0)
		goto failed;
	run(&v, signalfd(-1, &set, SFD_CLOEXEC));
	discovery_free(v.discovery);
	helper_stop(&v.helper, 2000000000);
	return 0;
failed:
	fprintf(stderr, "discover: %s\n", err.text);
	return 1;
}
