/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/journal.h"
#include "web/server.h"

/*
 * Any bytes as what a browser sends, to the server on a Unix socket. A first line that is a path is
 * asked for as it is, so that the answers are reached too. Whatever comes, the connection ends,
 * and nothing is answered but HTTP, never with "this program is broken".
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	ANSWER_MS = 5000, /* to what was asked for whole */
	PART_MS = 20      /* to half a request, for which the server waits longer */
};

static struct world {
	char dir[64], socket[108];
	struct config *config;
	struct site *site;
	struct pages *pages;
	struct server *server;
} world;

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void publish(const char *path)
{
	struct snapshot_builder *b = snapshot_builder_new();
	struct value values[METRIC_ID_END] = {0};
	const struct snapshot_info info = {.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = 10 * NSEC_PER_SEC,
		.sequence = 1};
	const struct snapshot_row row = {.index = 7,
		.run = 1,
		.values = values,
		.text = {"web01", "web01", "/var/lib/lxc", "lxc"}};

	for (size_t i = 0; i < METRIC_ID_END; i++)
		values[i] = value_of(i * 1000);
	snapshot_builder_reset(b);
	require(snapshot_builder_add(b, SCOPE_HOST, &row) == 0 &&
		snapshot_builder_add(b, SCOPE_INSTANCE, &row) == 0 &&
		snapshot_builder_publish(b, path, &info) == 0);
	snapshot_builder_free(b);
}

static uint64_t time_of(const json_t *line)
{
	return journal_seconds(line, "time");
}

static void note_event(const char *dir)
{
	struct journal *j = NULL;
	json_t *line = json_pack(
		"{s:i, s:f, s:s, s:s}", "id", 1, "time", 1.5, "type", "start", "handle", "web01");
	struct error err;

	require(journal_open(dir, "events", time_of, &j, &err) >= 0 &&
		journal_append(j, line) == 0);
	journal_close(j);
	json_decref(line);
}

static void remove_world(void)
{
	_cleanup_free_ char *command = format_string("rm -rf %s", world.dir);

	server_free(world.server);
	site_free(world.site);
	pages_free(world.pages);
	config_free(world.config);
	if (system(command))
		abort();
}

static void make_world(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_free_ char *text = NULL, *snapshot = NULL;
	struct error err;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	strcpy(world.dir, "/dev/shm/loadcell-fuzz-XXXXXX");
	require(mkdtemp(world.dir) != NULL);
	snprintf(world.socket, sizeof(world.socket), "%s/socket", world.dir);
	text = format_string("run_dir = %s\ndata_dir = %s\n", world.dir, world.dir);
	require(config_parse(text, strlen(text), "fuzz", &world.config, &err) == 0);
	snapshot = format_string("%s/snapshot", world.dir);
	publish(snapshot);
	note_event(world.dir);
	require(site_new(world.config, &world.site) == 0);
	require(pages_load("web/static", &world.pages, &err) == 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	strcpy(address.sun_path, world.socket);
	require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0);
	require(server_new(fd, true, world.site, world.pages, &world.server) == 0);
	atexit(remove_world);
}

static int connect_to_it(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, world.socket);
	require(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

/* Sends while it is taken, says that there is no more, and reads to the end. */
static void ask(const char *text, size_t len, bool whole)
{
	_cleanup_close_ int fd = connect_to_it();
	char begin[16] = "", buf[65536];
	size_t got = 0;

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd p = {fd, POLLOUT | POLLIN, 0};

		if (n < 0 && errno == EAGAIN)
			require(poll(&p, 1, ANSWER_MS) == 1);
		if ((n < 0 && errno != EAGAIN) || (p.revents & POLLIN))
			break;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	shutdown(fd, SHUT_WR);
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		if (poll(&p, 1, whole ? ANSWER_MS : PART_MS) != 1) {
			require(!whole);
			break;
		}
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		if (got < sizeof(begin) - 1)
			memcpy(begin + got, buf, MIN((size_t)n, sizeof(begin) - 1 - got));
		got += (size_t)n;
	}
	/* "HTTP/1.1 200" */
	require(got == 0 || (strncmp(begin, "HTTP/1.", 7) == 0 && strncmp(begin + 8, " 500", 4)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *end = len ? memchr(data, '\n', len) : NULL;
	int line = end ? (int)(end - (const char *)data) : (int)len;

	if (!world.server)
		make_world();
	if (len && data[0] == '/' && !memchr(data, '\0', len)) {
		_cleanup_free_ char *text = format_string(
			"GET %.*s HTTP/1.1\r\nHost: a\r\nConnection: "
			"close\r\n%.*s\r\n\r\n",
			line, (const char *)data, (int)len - line, (const char *)data + line);

		if (text)
			ask(text, strlen(text), true);
	} else {
		ask((const char *)data, len, false);
	}
	return 0;
}
