/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "links.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* A message about a link has about 1.5 KiB: room for thousands that are deleted at once. */
#define QUEUE_BYTES       (8 * 1024 * 1024)
#define MESSAGES_PER_TURN 256

struct links {
	int fd;
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

/* rx and tx change places: this end sent what the instance received. */
static void take_counters(struct deleted_link *link, const char *payload)
{
	struct rtnl_link_stats64 s;

	memcpy(&s, payload, sizeof(s));
	link->column[NETDEV_RX_BYTES] = s.tx_bytes;
	link->column[NETDEV_RX_PACKETS] = s.tx_packets;
	link->column[NETDEV_RX_ERRORS] = s.tx_errors;
	link->column[NETDEV_RX_DROPS] = s.tx_dropped;
	link->column[NETDEV_TX_BYTES] = s.rx_bytes;
	link->column[NETDEV_TX_PACKETS] = s.rx_packets;
	link->column[NETDEV_TX_ERRORS] = s.rx_errors;
	link->column[NETDEV_TX_DROPS] = s.rx_dropped;
}

static bool parse_link(const char *p, size_t len, struct deleted_link *ret)
{
	struct attributes all;
	struct ifinfomsg info;
	bool veth = false, counters = false, moved = false;
	struct rtattr a;
	const char *payload;

	if (len < NLMSG_ALIGN(sizeof(info)))
		return false;
	memcpy(&info, p, sizeof(info));
	*ret = (struct deleted_link){.ifindex = info.ifi_index};
	all = (struct attributes){p + NLMSG_ALIGN(sizeof(info)), len - NLMSG_ALIGN(sizeof(info))};
	while (next_attribute(&all, &a, &payload)) {
		size_t n = a.rta_len - sizeof(a);

		/* It only went into another namespace: net/core/dev.c since 4.16. */
		moved |= a.rta_type == IFLA_NEW_IFINDEX;
		if ((a.rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			veth = is_veth(payload, n);
		/* The structure only grows at its end. */
		if (a.rta_type == IFLA_STATS64 &&
			n >= offsetof(struct rtnl_link_stats64, multicast)) {
			struct rtnl_link_stats64 s = {0};

			memcpy(&s, payload, MIN(n, sizeof(s)));
			take_counters(ret, (const char *)&s);
			counters = true;
		}
	}
	/* Of another family: it left a bridge (net/bridge/br_netlink.c). */
	return info.ifi_family == AF_UNSPEC && info.ifi_index > 0 && veth && counters && !moved;
}

void links_parse(const void *buf, size_t len,
	void (*deleted)(void *data, const struct deleted_link *link), void *data)
{
	const char *p = buf;

	while (len >= NLMSG_HDRLEN) {
		struct deleted_link link;
		struct nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > len)
			return;
		if (h.nlmsg_type == RTM_DELLINK &&
			parse_link(p + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN, &link))
			deleted(data, &link);
		step = MIN((size_t)NLMSG_ALIGN(h.nlmsg_len), len);
		p += step;
		len -= step;
	}
}

int links_new(struct links **ret, struct error *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	struct links *l = calloc(1, sizeof(*l));
	const int size = QUEUE_BYTES;
	int r;

	if (!l)
		return error_set(err, -ENOMEM, "not enough memory");
	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = error_set(err, -errno, "cannot watch network interfaces: rtnetlink: %m");
		links_free(l);
		return r;
	}
	/* Above net.core.rmem_max, which needs CAP_NET_ADMIN, or up to it. */
	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*ret = l;
	return 0;
}

void links_free(struct links *l)
{
	if (l)
		close_fd(l->fd);
	free(l);
}

int links_fd(const struct links *l)
{
	return l->fd;
}

unsigned int links_read(
	struct links *l, void (*deleted)(void *data, const struct deleted_link *link), void *data)
{
	unsigned int overflows = 0;
	char buf[32768];

	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n =
			recvfrom(l->fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == ENOBUFS) {
			overflows++;
			continue;
		}
		if (n < 0)
			break;
		/* Only the kernel is 0. */
		if (from.nl_pid == 0)
			links_parse(buf, n, deleted, data);
	}
	return overflows;
}
