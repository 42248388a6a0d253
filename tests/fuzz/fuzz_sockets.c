/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "collector/hook-socket.h"
#include "collector/sampler-internal.h"
#include "collector/services.h"

/*
 * Any bytes to the collector's two sockets, as root. The first byte says where: a datagram to the
 * hooks' socket, which believes only what its grammar allows (written down here once more), or a
 * stream to the control socket, which answers one line with one JSON object or with nothing.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int connect_to(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	return fd;
}

/* (start|stop|destroy)( [0-9a-f]+)? of at most 64 bytes */
static bool may_be_believed(const char *text, size_t len)
{
	size_t word = strncmp(text, "start", 5) == 0     ? 5
		      : strncmp(text, "stop", 4) == 0    ? 4
		      : strncmp(text, "destroy", 7) == 0 ? 7
							 : 0;

	if (!word || len > 64 || len == word)
		return word && len == word;
	return text[word] == ' ' && len > word + 1 &&
	       strspn(text + word + 1, "0123456789abcdef") == len - word - 1;
}

static void try_datagram(const uint8_t *data, size_t len)
{
	static struct hook_socket *hooks;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = calloc(1, len + 1);
	char path[64];
	uint64_t refused;
	struct error err;
	bool believed;

	snprintf(path, sizeof(path), "/dev/shm/loadcell-fuzz-%d.hook", (int)getpid());
	if (!text || (!hooks && hook_socket_new(path, &hooks, &err)))
		abort();
	memcpy(text, data, len);
	fd = connect_to(path, SOCK_DGRAM);
	if (send(fd, data, len, 0) < 0)
		return;
	refused = hook_socket_refused(hooks);
	believed = hook_socket_read(hooks);
	/* The kernel tells the truth of the sender: only root is believed, whatever is sent. */
	if (believed != (geteuid() == 0 && may_be_believed(text, len)) ||
		hook_socket_refused(hooks) != refused + !believed)
		abort();
}

static void turn(struct control *c, struct services *s)
{
	struct pollfd fds[CONTROL_CLIENTS_MAX + 1];
	size_t n = control_poll(c, fds);

	if (poll(fds, n, 0) < 0)
		abort();
	control_handle(c, s, fds, n);
}

static void require_one_object(const char *text, size_t len)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(object) || text[len - 1] != '\n')
		abort();
	json_decref(object);
}

/* In two parts, as a stream may come. */
static void try_stream(const uint8_t *data, size_t len)
{
	static struct control *control;
	static struct sampler sampler = {.lock = PTHREAD_MUTEX_INITIALIZER};
	static struct config config = {.flush_ns = NSEC_PER_SEC};
	struct services s = {.config = &config, .config_path = "/etc/loadcell.conf"};
	_cleanup_close_ int fd = -1;
	char path[64], answer[4096];
	struct error err;
	ssize_t got;

	snprintf(path, sizeof(path), "/dev/shm/loadcell-fuzz-%d.control", (int)getpid());
	if (!control && control_new(path, &control, &err))
		abort();
	s.sampler = &sampler;
	for (size_t i = 0; i < HELPERS; i++) {
		s.helper[i].fd = -1;
		s.helper[i].program = "none";
	}
	fd = connect_to(path, SOCK_STREAM);
	turn(control, &s);
	send(fd, data, len / 2, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(control, &s);
	send(fd, data + len / 2, len - len / 2, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(control, &s);
	/* The store says that it is done. */
	s.flushed_id = s.flush_id;
	turn(control, &s);
	got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (got > 0)
		require_one_object(answer, (size_t)got);
	shutdown(fd, SHUT_RDWR);
	close(TAKE_FD(fd));
	turn(control, &s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 1 && data[0] % 2)
		try_stream(data + 1, len - 1);
	else if (len > 1)
		try_datagram(data + 1, len - 1);
	return 0;
}
