/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "discovery-internal.h"

int listeners_refresh(struct discovery *d)
{
	d->listeners_fresh = true;
	return listeners_read(&d->listeners, d->proc_fd, d->live);
}

struct listener *listener_find(struct discovery *d, uint64_t inode)
{
	if (!d->listeners_fresh)
		(void)listeners_refresh(d);
	return listeners_find(&d->listeners, inode);
}

/* --- what a name says ------------------------------------------------------------------------- */

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
		return socket_split(l->name, ret_lxcpath, ret_name);
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

struct monitor_search {
	struct discovery *d;
	const char *cgroup_name;
	struct listener *found;
};

static bool monitor_socket(void *data, uint64_t inode)
{
	struct monitor_search *s = data;
	_cleanup_free_ char *lxcpath = NULL, *name = NULL;
	struct listener *l = listener_find(s->d, inode);

	if (!l || (listener_name(s->d, l, s->cgroup_name, &lxcpath, &name) < 0 && s->found))
		return true;
	s->found = l;
	/* A program may monitor several instances of its own through liblxc. */
	return s->cgroup_name && name && strcmp(name, s->cgroup_name) != 0;
}

struct listener *monitor_listener(struct discovery *d, pid_t monitor, const char *cgroup_name)
{
	struct monitor_search search = {.d = d, .cgroup_name = cgroup_name};

	/* Re-parented to the host's init: the monitor was killed. */
	if (monitor > 1)
		process_sockets(d->proc_fd, monitor, monitor_socket, &search);
	return search.found;
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
