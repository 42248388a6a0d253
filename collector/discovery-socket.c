/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../lib/parse.h"
#include "discovery-internal.h"

#define TEXT_MAX        (64 << 20) /* of /proc/net/unix */
#define DESCRIPTORS_MAX 4096       /* of a monitor */
#define STATE_LISTEN    10         /* TCP_LISTEN, as unix sockets have it too */
#define COMMAND         "/command"
#define HASHED_PREFIX   "lxc/"
#define HASH_DIGITS     16

/* --- reading the listening sockets ------------------------------------------------------------ */

void listeners_free(struct discovery *d)
{
	for (size_t i = 0; i < d->listeners_n; i++)
		free(d->listeners[i].name);
	free(d->listeners);
	d->listeners = NULL;
	d->listeners_n = d->listeners_cap = 0;
}

static int add_listener(struct discovery *d, uint64_t inode, const char *name, size_t len)
{
	size_t tail = strlen(COMMAND);

	if (len <= tail || memcmp(name + len - tail, COMMAND, tail) != 0 || memchr(name, 0, len))
		return 0;
	if (d->listeners_n == LISTENERS_MAX)
		return 0;
	if (d->listeners_n == d->listeners_cap) {
		size_t cap = d->listeners_cap ? 2 * d->listeners_cap : 64;
		struct listener *bigger = reallocarray(d->listeners, cap, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		d->listeners = bigger;
		d->listeners_cap = cap;
	}
	d->listeners[d->listeners_n] =
		(struct listener){.inode = inode, .name = strndup(name, len)};
	if (!d->listeners[d->listeners_n].name)
		return -ENOMEM;
	d->listeners_n++;
	return 0;
}

static int add_from_diag(struct discovery *d, const struct nlmsghdr *header)
{
	const struct unix_diag_msg *m = NLMSG_DATA(header);
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	ssize_t len = (ssize_t)header->nlmsg_len - (ssize_t)NLMSG_LENGTH(sizeof(*m));

	for (; len > 0 && RTA_OK(a, (size_t)len); a = RTA_NEXT(a, len)) {
		const char *name = RTA_DATA(a);
		size_t n = RTA_PAYLOAD(a);

		/* An abstract name begins with NUL. */
		if (a->rta_type == UNIX_DIAG_NAME && n > 1 && !name[0])
			return add_listener(d, m->udiag_ino, name + 1, n - 1);
	}
	return 0;
}

/* 1: more to come, 0: the end, or a negative errno. */
static int read_diag(struct discovery *d, int fd)
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
			r = add_from_diag(d, h);
		if (r < 0)
			return r;
	}
	return 1;
}

/*
 * The names as the kernel has them. /proc/net/unix writes a name's newlines raw (net/unix/af_unix.c
 * unix_seq_show()), so that any user can forge lines there, other sockets' inodes included.
 */
static int listeners_from_diag(struct discovery *d)
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
		r = read_diag(d, fd);
	return r;
}

static int add_from_text(void *data, const struct unix_socket *s)
{
	return add_listener(data, s->inode, s->name, s->name_len);
}

static int listeners_from_text(struct discovery *d)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = read_file_alloc(d->proc_fd, "net/unix", TEXT_MAX, &text, &len);

	return r < 0 ? r : parse_proc_net_unix(text, len, add_from_text, d);
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct listener *)a)->inode, y = ((const struct listener *)b)->inode;

	return x < y ? -1 : x > y;
}

/* Two lines with one inode: one of them is forged, and neither counts. */
static void drop_doubles(struct discovery *d)
{
	size_t n = 0;

	for (size_t i = 0, next; i < d->listeners_n; i = next) {
		for (next = i + 1;
			next < d->listeners_n && d->listeners[next].inode == d->listeners[i].inode;)
			next++;
		if (next == i + 1) {
			d->listeners[n++] = d->listeners[i];
			continue;
		}
		for (size_t j = i; j < next; j++)
			free(d->listeners[j].name);
	}
	d->listeners_n = n;
}

int listeners_read(struct discovery *d)
{
	int r = -EOPNOTSUPP;

	listeners_free(d);
	/* Without the kernel module unix_diag, or in a sandbox without netlink, the text must do.
	 */
	if (d->live)
		r = listeners_from_diag(d);
	if (r < 0) {
		listeners_free(d);
		r = listeners_from_text(d);
	}
	if (d->listeners_n)
		qsort(d->listeners, d->listeners_n, sizeof(d->listeners[0]), by_inode);
	drop_doubles(d);
	d->listeners_fresh = true;
	return r;
}

struct listener *listener_find(struct discovery *d, uint64_t inode)
{
	struct listener key = {.inode = inode};

	if (!d->listeners_fresh)
		(void)listeners_read(d);
	if (!d->listeners_n)
		return NULL;
	return bsearch(&key, d->listeners, d->listeners_n, sizeof(key), by_inode);
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

/* "LXCPATH/NAME/command" */
static int split_name(const char *socket_name, char **ret_lxcpath, char **ret_name)
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

static const char *lxcpath_of_hash(const struct discovery *d, uint64_t hash, const char *name)
{
	for (size_t i = 0; i < d->config->lxcpaths; i++) {
		if (socket_hash(d->config->lxcpath[i], name) == hash)
			return d->config->lxcpath[i];
	}
	for (size_t i = 0; i < d->places_n; i++) {
		const struct place *p = d->places[i];

		if (p->state == PLACE_LIVE && p->uid == 0 && p->id->lxcpath[0] &&
			socket_hash(p->id->lxcpath, name) == hash)
			return p->id->lxcpath;
	}
	return NULL;
}

/* A hashed name can only be tried: root's lxcpaths, with the name that the cgroup has. */
static int find_hashed(const struct discovery *d, uint64_t hash, const char *cgroup_name,
	char **ret_lxcpath, char **ret_name)
{
	_cleanup_free_ char *shorter = without_suffix(cgroup_name);
	const char *names[] = {cgroup_name, shorter};

	for (size_t i = 0; i < ARRAY_SIZE(names) && names[i]; i++) {
		const char *lxcpath = lxcpath_of_hash(d, hash, names[i]);

		if (!lxcpath)
			continue;
		*ret_lxcpath = strdup(lxcpath);
		*ret_name = strdup(names[i]);
		return *ret_lxcpath && *ret_name ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

int listener_name(struct discovery *d, const struct listener *l, const char *cgroup_name,
	char **ret_lxcpath, char **ret_name)
{
	uint64_t hash;

	*ret_lxcpath = *ret_name = NULL;
	if (!socket_is_hashed(l->name, &hash))
		return split_name(l->name, ret_lxcpath, ret_name);
	for (size_t i = 0; i < d->strangers_n; i++) {
		const struct stranger *s = &d->strangers[i];

		if (s->inode != l->inode || !s->name)
			continue;
		*ret_lxcpath = strdup(s->lxcpath);
		*ret_name = strdup(s->name);
		return *ret_lxcpath && *ret_name ? 0 : -ENOMEM;
	}
	return cgroup_name ? find_hashed(d, hash, cgroup_name, ret_lxcpath, ret_name) : -ENOENT;
}

/* --- who holds a socket ----------------------------------------------------------------------- */

struct listener *monitor_listener(struct discovery *d, pid_t monitor, const char *cgroup_name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct listener *found = NULL;
	const struct dirent *entry;
	char path[64], link[64];
	int fd, n = 0;

	/* Re-parented to the host's init: the monitor was killed. */
	if (monitor <= 1)
		return NULL;
	snprintf(path, sizeof(path), "%ld/fd", (long)monitor);
	fd = openat(d->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(fd);
		return NULL;
	}
	while ((entry = readdir(dir)) && n++ < DESCRIPTORS_MAX) {
		_cleanup_free_ char *lxcpath = NULL, *name = NULL;
		struct listener *l;
		uint64_t inode;
		ssize_t len = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);

		if (len < 0)
			continue;
		link[len] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
			continue;
		l = listener_find(d, inode);
		if (!l || (listener_name(d, l, cgroup_name, &lxcpath, &name) < 0 && found))
			continue;
		/* A program may monitor several instances of its own through liblxc. */
		if (!cgroup_name || !name || strcmp(name, cgroup_name) == 0)
			return l;
		found = l;
	}
	return found;
}

int listener_uid(const char *socket_name, uid_t *ret)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(socket_name);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return -errno;
	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path + 1, socket_name, len);
	/* A full backlog gives EAGAIN at once. */
	if (connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*ret = peer.uid;
	return 0;
}
