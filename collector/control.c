/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "services.h"

#define REQUEST_MAX        64
#define CLIENT_PATIENCE_NS (60 * NSEC_PER_SEC)

struct client {
	int fd;
	char request[REQUEST_MAX];
	size_t len;
	uint64_t since_ns;
	uint64_t flush_id; /* waits for this flush; 0: for its request line */
};

struct control {
	int fd;
	char *path;
	struct client client[CONTROL_CLIENTS_MAX];
};

int control_new(const char *path, struct control **ret, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control *c = calloc(1, sizeof(*c));

	if (!c || !(c->path = strdup(path))) {
		free(c);
		return error_set(err, -ENOMEM, "not enough memory for the control socket");
	}
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->client[i].fd = -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	/* The lock on the directories is ours: what stands there is from a collector that died. */
	unlink(path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, 0660) < 0 || listen(c->fd, CONTROL_CLIENTS_MAX) < 0) {
		int r = -errno;

		error_set(err, r, "cannot make the control socket \"%s\": %s", path, strerror(-r));
		control_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close_fd(c->client[i].fd);
	close_fd(c->fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

size_t control_poll(const struct control *c, struct pollfd *fds)
{
	size_t n = 0;

	fds[n++] = (struct pollfd){c->fd, POLLIN, 0};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->client[i].fd >= 0)
			/* One that waits for its flush has said all; only its end counts. */
			fds[n++] = (struct pollfd){
				c->client[i].fd, c->client[i].flush_id ? 0 : POLLIN, 0};
	return n;
}

static void accept_client(struct control *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (c->client[i].fd >= 0)
			continue;
		c->client[i] = (struct client){.fd = fd, .since_ns = now_ns(CLOCK_MONOTONIC)};
		return;
	}
	close(fd);
}

static void answer(struct client *client, json_t *object)
{
	_cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	/* A client that does not read loses its answer: the socket does not block. */
	if (text && send(client->fd, text, strlen(text), MSG_NOSIGNAL) >= 0)
		send(client->fd, "\n", 1, MSG_NOSIGNAL);
	json_decref(object);
	client->fd = close_fd(client->fd);
}

static json_t *status_object(struct services *s)
{
	struct sampler_status st;
	json_t *helpers = json_array();

	sampler_status(s->sampler, false, &st);
	for (size_t i = 0; i < HELPERS; i++)
		json_array_append_new(helpers,
			json_pack("{s:s, s:i, s:I}", "program", s->helper[i].program, "pid",
				(int)s->helper[i].pid, "starts", (json_int_t)s->helper[i].starts));
	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:o}", "pid", (int)getpid(),
		"version", VERSION, "config", s->config_path, "cycles", (json_int_t)st.cycles,
		"missed_cycles", (json_int_t)st.missed, "instances", (json_int_t)st.instances,
		"pending_ns", (json_int_t)st.oldest_pending_ns, "last_error",
		st.last_error[0] ? st.last_error : s->last_error, "last_error_time",
		(json_int_t)s->last_error_s, "helpers", helpers);
}

static void serve(struct services *s, struct client *client)
{
	if (!strcmp(client->request, "status"))
		answer(client, status_object(s));
	else if (!strcmp(client->request, "flush"))
		client->flush_id = services_flush(s);
	else
		answer(client, json_pack("{s:s}", "error",
				       "unknown request: \"flush\" and \"status\" are served"));
}

static void read_client(struct services *s, struct client *client)
{
	char *end;
	ssize_t n = recv(client->fd, client->request + client->len,
		sizeof(client->request) - 1 - client->len, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client->fd = close_fd(client->fd);
		return;
	}
	client->len += n;
	client->request[client->len] = '\0';
	end = strchr(client->request, '\n');
	if (end) {
		*end = '\0';
		serve(s, client);
	} else if (client->len == sizeof(client->request) - 1) {
		client->fd = close_fd(client->fd);
	}
}

static void finish_client(struct services *s, struct client *client, uint64_t now)
{
	if (client->flush_id != 0 && s->flushed_id >= client->flush_id)
		answer(client, json_pack("{s:b}", "flushed", 1));
	else if (now - client->since_ns > CLIENT_PATIENCE_NS)
		answer(client, json_pack("{s:s}", "error", "the store did not answer in time"));
}

void control_handle(struct control *c, struct services *s, const struct pollfd *fds, size_t n)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &c->client[i];

		for (size_t k = 1; k < n && client->fd >= 0; k++) {
			if (fds[k].fd != client->fd || !fds[k].revents)
				continue;
			if (client->flush_id != 0)
				client->fd = close_fd(client->fd);
			else
				read_client(s, client);
		}
		if (client->fd >= 0)
			finish_client(s, client, now);
	}
	if (n > 0 && fds[0].revents)
		accept_client(c);
}
