/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook-socket.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define DATAGRAMS_PER_TURN 64
#define DATAGRAM_MAX       64

struct hook_socket {
	int fd;
	char *path;
	uint64_t refused;
};

int hook_socket_new(const char *path, struct hook_socket **ret, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct hook_socket *h = calloc(1, sizeof(*h));
	const int on = 1;
	int r = 0;

	if (!h || !(h->path = strdup(path))) {
		free(h);
		return error_set(err, -ENOMEM, "not enough memory for the hooks' socket");
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	/* The lock on the directory is ours: what stands there is from a collector that died. */
	unlink(path);
	h->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->fd < 0 || setsockopt(h->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
		bind(h->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, 0600) < 0) {
		r = error_set(err, -errno, "cannot make the hooks' socket \"%s\": %m", path);
		hook_socket_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void hook_socket_free(struct hook_socket *h)
{
	if (!h)
		return;
	close_fd(h->fd);
	unlink(h->path);
	free(h->path);
	free(h);
}

int hook_socket_fd(const struct hook_socket *h)
{
	return h->fd;
}

/* The sender by the kernel's account; whoever has CAP_SETUID may say to be root, and is. */
static bool sent_by_root(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct ucred sender;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&sender, CMSG_DATA(c), sizeof(sender));
		return sender.uid == 0;
	}
	return false;
}

/* The type of a record, or type and number with a blank between: the record's name in the spool. */
static bool is_wake_up(const char *text, size_t len)
{
	static const char *const types[] = {"start", "stop", "destroy"};
	const char *blank = memchr(text, ' ', len);
	size_t type_len = blank ? (size_t)(blank - text) : len;

	for (size_t i = type_len + 1; i < len; i++)
		if (!strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (type_len == strlen(types[i]) && !memcmp(text, types[i], type_len))
			return !blank || type_len + 1 < len;
	return false;
}

bool hook_socket_read(struct hook_socket *h)
{
	bool believed = false;

	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(struct ucred))];
		} control;
		char text[DATAGRAM_MAX];
		struct iovec part = {text, sizeof(text)};
		struct msghdr message = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		/* Descriptors that somebody passes do not fit beside the credentials, and the
		 * kernel closes them. */
		ssize_t n = recvmsg(h->fd, &message, MSG_CMSG_CLOEXEC);

		if (n < 0)
			break;
		if (sent_by_root(&message) && !(message.msg_flags & MSG_TRUNC) &&
			is_wake_up(text, n))
			believed = true;
		else
			h->refused++;
	}
	return believed;
}

uint64_t hook_socket_refused(const struct hook_socket *h)
{
	return h->refused;
}
