/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "listeners.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "parse.h"

#define TEXT_MAX        (64 << 20) /* of /proc/net/unix */
#define DESCRIPTORS_MAX 4096       /* of a monitor */
#define STATE_LISTEN    10         /* TCP_LISTEN, as unix sockets have it too */
#define COMMAND         "/command"
#define HASHED_PREFIX   "lxc/"
#define HASH_DIGITS     16

/* --- reading them ----------------------------------------------------------------------------- */

void listeners_free(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].name);
	free(l->list);
	l->list = NULL;
	l->n = l->cap = 0;
}

static int add_listener(struct listeners *l, uint64_t inode, const char *name, size_t len)
{
	size_t tail = strlen(COMMAND);

	if (len <= tail || memcmp(name + len - tail, COMMAND, tail) != 0 || memchr(name, 0, len))
		return 0;
	if (l->n == LISTENERS_MAX)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct listener *bigger = reallocarray(l->list, cap, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		l->list = bigger;
		l->cap = cap;
	}
	l->list[l->n] = (struct listener){.inode = inode, .name = strndup(name, len)};
	if (!l->list[l->n].name)
		return -ENOMEM;
	l->n++;
	return 0;
}

static int add_from_diag(struct listeners *l, const struct nlmsghdr *header)
{
	const struct unix_diag_msg *m = NLMSG_DATA(header);
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	ssize_t len = (ssize_t)header->nlmsg_len - (ssize_t)NLMSG_LENGTH(sizeof(*m));

	for (; len > 0 && RTA_OK(a, (size_t)len); a = RTA_NEXT(a, len)) {
		const char *name = RTA_DATA(a);
		size_t n = RTA_PAYLOAD(a);

		/* An abstract name begins with NUL. */
		if (a->rta_type == UNIX_DIAG_NAME && n > 1 && !name[0])
			return add_listener(l, m->udiag_ino, name + 1, n - 1);
	}
	return 0;
}

/* 1: more to come, 0: the end, or a negative errno. */
static int read_diag(struct listeners *l, int fd)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

	if (n <= 0)
		return n ? -errno : -EIO;
	for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
		int r = 0;

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return e->error < 0 ? e->error : -EIO;
		}
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
			h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
			r = add_from_diag(l, h);
		if (r < 0)
			return r;
	}
	return 1;
}

/*
 * The names as the kernel has them. /proc/net/unix writes a name's newlines raw (net/unix/af_unix.c
 * unix_seq_show()), so that any user can forge lines there, other sockets' inodes included.
 */
static int listeners_from_diag(struct listeners *l)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req unix_req;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.unix_req = {.sdiag_family = AF_UNIX,
			.udiag_states = 1U << STATE_LISTEN,
			.udiag_show = UDIAG_SHOW_NAME},
	};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct timeval patience = {.tv_sec = 1};
	int r = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (r > 0)
		r = read_diag(l, fd);
	return r;
}

static int add_from_text(void *data, const struct unix_socket *s)
{
	return add_listener(data, s->inode, s->name, s->name_len);
}

static int listeners_from_text(struct listeners *l, int proc_fd)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = read_file_alloc(proc_fd, "net/unix", TEXT_MAX, &text, &len);

	return r < 0 ? r : parse_proc_net_unix(text, len, add_from_text, l);
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct listener *)a)->inode, y = ((const struct listener *)b)->inode;

	return x < y ? -1 : x > y;
}

/* Two lines with one inode: one of them is forged, and neither counts. */
static void drop_doubles(struct listeners *l)
{
	size_t n = 0;

	for (size_t i = 0, next; i < l->n; i = next) {
		for (next = i + 1; next < l->n && l->list[next].inode == l->list[i].inode;)
			next++;
		if (next == i + 1) {
			l->list[n++] = l->list[i];
			continue;
		}
		for (size_t j = i; j < next; j++)
			free(l->list[j].name);
	}
	l->n = n;
}

int listeners_read(struct listeners *l, int proc_fd, bool live)
{
	int r = -EOPNOTSUPP;

	listeners_free(l);
	/* Without the kernel module unix_diag, or in a sandbox without netlink, the text must do.
	 */
	if (live)
		r = listeners_from_diag(l);
	if (r < 0) {
		listeners_free(l);
		r = listeners_from_text(l, proc_fd);
	}
	if (l->n)
		qsort(l->list, l->n, sizeof(l->list[0]), by_inode);
	drop_doubles(l);
	return r;
}

struct listener *listeners_find(const struct listeners *l, uint64_t inode)
{
	struct listener key = {.inode = inode};

	return l->n ? bsearch(&key, l->list, l->n, sizeof(key), by_inode) : NULL;
}

/* --- what a name says ------------------------------------------------------------------------- */

uint64_t socket_hash(const char *lxcpath, const char *name)
{
	uint64_t hash = fnv64(FNV64_START, lxcpath, strlen(lxcpath));

	return fnv64(fnv64(hash, "/", 1), name, strlen(name));
}

/* What does not fit into an address is hashed: liblxc commands_utils.c
 * lxc_make_abstract_socket_name(). */
bool socket_is_hashed(const char *socket_name, uint64_t *ret_hash)
{
	size_t prefix = strlen(HASHED_PREFIX);
	char *end;

	if (strncmp(socket_name, HASHED_PREFIX, prefix) != 0 ||
		strspn(socket_name + prefix, "0123456789abcdef") != HASH_DIGITS ||
		strcmp(socket_name + prefix + HASH_DIGITS, COMMAND) != 0)
		return false;
	*ret_hash = strtoull(socket_name + prefix, &end, 16);
	return true;
}

int socket_split(const char *socket_name, char **ret_lxcpath, char **ret_name)
{
	const char *end = socket_name + strlen(socket_name) - strlen(COMMAND);
	const char *slash = socket_name[0] == '/'
				    ? memrchr(socket_name, '/', (size_t)(end - socket_name))
				    : NULL;

	if (!slash || slash == socket_name || slash + 1 == end)
		return -EINVAL;
	*ret_lxcpath = strndup(socket_name, (size_t)(slash - socket_name));
	*ret_name = strndup(slash + 1, (size_t)(end - slash - 1));
	if (*ret_lxcpath && *ret_name)
		return 0;
	free(*ret_lxcpath);
	free(*ret_name);
	*ret_lxcpath = *ret_name = NULL;
	return -ENOMEM;
}

/* --- who holds a socket ----------------------------------------------------------------------- */

void process_sockets(int proc_fd, pid_t pid, bool (*call)(void *data, uint64_t inode), void *data)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	char path[64], link[64];
	int fd, n = 0;

	snprintf(path, sizeof(path), "%ld/fd", (long)pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(fd);
		return;
	}
	while ((entry = readdir(dir)) && n++ < DESCRIPTORS_MAX) {
		uint64_t inode;
		ssize_t len = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);

		if (len < 0)
			continue;
		link[len] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1 && !call(data, inode))
			return;
	}
}
