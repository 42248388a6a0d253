/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "links.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* A message about a link has about 1.5 KiB: room for thousands that are deleted at once. */
#define QUEUE_BYTES       (8 * 1024 * 1024)
#define MESSAGES_PER_TURN 256
#define PAIRS_MAX         16384
/* The second end of a pair is told microseconds after the first, if it is. */
#define WAIT_NS (NSEC_PER_SEC / 20)

/* An end on the host, and where the other one is. */
struct pair {
	int ifindex, peer, nsid;
};

struct links {
	int fd, deleted_fd, epoll_fd;
	void (*deleted)(void *data, const struct deleted_link *link);
	void *data;
	struct pair *pair;
	size_t n_pairs;
	struct deleted_link waiting; /* ifindex 0: none */
	uint64_t wait_end_ns, lost;
};

/* The attributes of a message or of a nested one; all lengths are checked against what is there. */
struct attributes {
	const char *p;
	size_t len;
};

static bool next_attribute(struct attributes *all, struct rtattr *header, const char **payload)
{
	size_t step;

	if (all->len < sizeof(*header))
		return false;
	memcpy(header, all->p, sizeof(*header));
	if (header->rta_len < sizeof(*header) || header->rta_len > all->len)
		return false;
	*payload = all->p + sizeof(*header);
	step = MIN((size_t)RTA_ALIGN(header->rta_len), all->len);
	all->p += step;
	all->len -= step;
	return true;
}

static bool is_veth(const char *info, size_t len)
{
	struct attributes all = {info, len};
	struct rtattr a;
	const char *kind;

	while (next_attribute(&all, &a, &kind))
		if (a.rta_type == IFLA_INFO_KIND)
			return a.rta_len - sizeof(a) == sizeof("veth") && !memcmp(kind, "veth", 5);
	return false;
}

static void take_counters(struct veth_message *m, const char *payload, size_t n)
{
	struct rtnl_link_stats64 s = {0};

	memcpy(&s, payload, MIN(n, sizeof(s)));
	m->bytes = s.tx_bytes;
	m->packets = s.tx_packets;
	m->errors = s.tx_errors;
	m->drops = s.tx_dropped;
}

static void take_number(int *ret, const char *payload, size_t n)
{
	if (n == sizeof(*ret))
		memcpy(ret, payload, n);
}

static bool parse_link(const char *p, size_t len, struct veth_message *ret)
{
	struct attributes all;
	struct ifinfomsg info;
	bool veth = false, counters = false, moved = false;
	struct rtattr a;
	const char *payload;

	if (len < NLMSG_ALIGN(sizeof(info)))
		return false;
	memcpy(&info, p, sizeof(info));
	*ret = (struct veth_message){.ifindex = info.ifi_index, .peer_nsid = -1};
	all = (struct attributes){p + NLMSG_ALIGN(sizeof(info)), len - NLMSG_ALIGN(sizeof(info))};
	while (next_attribute(&all, &a, &payload)) {
		size_t n = a.rta_len - sizeof(a);

		/* It only went into another namespace: net/core/dev.c since 4.16. */
		moved |= a.rta_type == IFLA_NEW_IFINDEX;
		if ((a.rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			veth = is_veth(payload, n);
		if (a.rta_type == IFLA_LINK)
			take_number(&ret->peer, payload, n);
		if (a.rta_type == IFLA_LINK_NETNSID)
			take_number(&ret->peer_nsid, payload, n);
		/* The structure only grows at its end. */
		if (a.rta_type == IFLA_STATS64 &&
			n >= offsetof(struct rtnl_link_stats64, multicast)) {
			take_counters(ret, payload, n);
			counters = true;
		}
	}
	/* Of another family: it left a bridge (net/bridge/br_netlink.c). */
	return info.ifi_family == AF_UNSPEC && info.ifi_index > 0 && veth && counters && !moved;
}

void links_parse(const void *buf, size_t len,
	void (*told)(void *data, const struct veth_message *m), void *data)
{
	const char *p = buf;

	while (len >= NLMSG_HDRLEN) {
		struct veth_message m;
		struct nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > len)
			return;
		if ((h.nlmsg_type == RTM_DELLINK || h.nlmsg_type == RTM_NEWLINK) &&
			parse_link(p + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN, &m)) {
			m.deleted = h.nlmsg_type == RTM_DELLINK;
			told(data, &m);
		}
		step = MIN((size_t)NLMSG_ALIGN(h.nlmsg_len), len);
		p += step;
		len -= step;
	}
}

/* --- which ends belong together ------------------------------------------------------------- */

static struct pair *pair_of(struct links *l, int ifindex)
{
	for (size_t i = 0; i < l->n_pairs; i++)
		if (l->pair[i].ifindex == ifindex)
			return &l->pair[i];
	return NULL;
}

static void learn(struct links *l, const struct veth_message *m)
{
	struct pair *pair = pair_of(l, m->ifindex), *bigger;

	if (!pair && l->n_pairs < PAIRS_MAX) {
		bigger = reallocarray(l->pair, l->n_pairs + 1, sizeof(*bigger));
		if (!bigger)
			return;
		l->pair = bigger;
		pair = &l->pair[l->n_pairs++];
	}
	if (pair)
		*pair = (struct pair){m->ifindex, m->peer, m->peer_nsid};
}

static void tell_waiting(struct links *l)
{
	struct pair *pair = pair_of(l, l->waiting.ifindex);

	if (l->waiting.ifindex)
		l->deleted(l->data, &l->waiting);
	if (pair)
		*pair = l->pair[--l->n_pairs];
	l->waiting = (struct deleted_link){0};
	l->wait_end_ns = 0;
}

/* Both ends are told one after the other; the second completes what waits. */
void links_take(struct links *l, const struct veth_message *m, int nsid)
{
	int ifindex = nsid < 0 ? m->ifindex : 0;
	struct value *column = l->waiting.column;

	if (!m->deleted) {
		if (nsid < 0 && m->peer_nsid >= 0)
			learn(l, m);
		return;
	}
	for (size_t i = 0; nsid >= 0 && i < l->n_pairs; i++)
		if (l->pair[i].peer == m->ifindex && l->pair[i].nsid == nsid)
			ifindex = l->pair[i].ifindex;
	if (ifindex == 0)
		return;
	if (l->waiting.ifindex != ifindex)
		tell_waiting(l);
	l->waiting.ifindex = ifindex;
	column[nsid < 0 ? NETDEV_RX_BYTES : NETDEV_TX_BYTES] = value_of(m->bytes);
	column[nsid < 0 ? NETDEV_RX_PACKETS : NETDEV_TX_PACKETS] = value_of(m->packets);
	column[nsid < 0 ? NETDEV_RX_ERRORS : NETDEV_TX_ERRORS] = value_of(m->errors);
	column[nsid < 0 ? NETDEV_RX_DROPS : NETDEV_TX_DROPS] = value_of(m->drops);
	if (!pair_of(l, ifindex) || (value_is_number(column[NETDEV_RX_BYTES]) &&
					    value_is_number(column[NETDEV_TX_BYTES])))
		tell_waiting(l);
}

/* --- sockets -------------------------------------------------------------------------------- */

static int open_socket(struct error *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	const int size = QUEUE_BYTES;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set(err, -errno, "cannot watch network interfaces: rtnetlink: %m");
	/* Above net.core.rmem_max, which needs CAP_NET_ADMIN, or up to it. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return TAKE_FD(fd);
}

/*
 * Deletions, of all namespaces that have a number here (CAP_NET_BROADCAST). The kernel drops all
 * else before it is queued: a container can change its own interfaces as fast as it likes.
 */
static void only_deleted_of_all(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {ARRAY_SIZE(code), code};
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
		setsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on));
}

/* What is there already, which also gives the other namespaces their numbers. */
static void ask_for_all(int fd)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} request = {
		.h = {.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};

	/* Without the answer, pairs are learned as they change. */
	(void)!send(fd, &request, sizeof(request), MSG_DONTWAIT);
}

int links_new(void (*deleted)(void *data, const struct deleted_link *link), void *data,
	struct links **ret, struct error *err)
{
	struct links *l = calloc(1, sizeof(*l));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!l)
		return error_set(err, -ENOMEM, "not enough memory");
	*l = (struct links){.deleted = deleted, .data = data, .epoll_fd = -1, .deleted_fd = -1};
	l->fd = r = open_socket(err);
	if (r >= 0)
		l->deleted_fd = r = open_socket(err);
	if (r >= 0) {
		l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (l->epoll_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->fd, &event) < 0 ||
			epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->deleted_fd, &event) < 0)
			r = error_set(err, -errno, "cannot watch network interfaces: %m");
	}
	if (r < 0) {
		links_free(l);
		return r;
	}
	only_deleted_of_all(l->deleted_fd);
	ask_for_all(l->fd);
	*ret = l;
	return 0;
}

void links_free(struct links *l)
{
	if (!l)
		return;
	close_fd(l->fd);
	close_fd(l->deleted_fd);
	close_fd(l->epoll_fd);
	free(l->pair);
	free(l);
}

int links_fd(const struct links *l)
{
	return l->epoll_fd;
}

uint64_t links_lost(const struct links *l)
{
	return l->lost;
}

struct reading {
	struct links *l;
	bool deletions;
	int nsid;
};

static void read_message(void *data, const struct veth_message *m)
{
	const struct reading *r = data;

	if (m->deleted == r->deletions)
		links_take(r->l, m, r->nsid);
}

static int nsid_of(struct msghdr *message)
{
	int nsid = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_LISTEN_ALL_NSID)
			memcpy(&nsid, CMSG_DATA(c), sizeof(nsid));
	return nsid;
}

static void read_socket(struct links *l, int fd, bool deletions)
{
	char buf[32768];

	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
		struct reading r = {l, deletions, -1};
		struct sockaddr_nl from = {0};
		struct iovec part = {buf, sizeof(buf)};
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(fd, &message, 0);

		if (n < 0 && errno == ENOBUFS) {
			l->lost++;
			/* Pairs that were made and ends that were deleted meanwhile. */
			l->n_pairs = 0;
			ask_for_all(l->fd);
			continue;
		}
		if (n < 0)
			return;
		r.nsid = nsid_of(&message);
		/* Only the kernel is 0. */
		if (from.nl_pid == 0)
			links_parse(buf, n, read_message, &r);
	}
}

void links_read(struct links *l, uint64_t now)
{
	read_socket(l, l->fd, false);
	read_socket(l, l->deleted_fd, true);
	if (l->waiting.ifindex && !l->wait_end_ns)
		l->wait_end_ns = now + WAIT_NS;
}

uint64_t links_tick(struct links *l, uint64_t now)
{
	if (l->wait_end_ns && now >= l->wait_end_ns)
		tell_waiting(l);
	return l->wait_end_ns ? l->wait_end_ns : UINT64_MAX;
}
