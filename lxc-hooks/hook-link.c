/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "hook.h"

int enter_network(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat theirs, ours;

	if (fd < 0 || fstat(fd, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0)
		return -errno;
	if (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
		return 0;
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 1;
}

static bool is_veth(const struct rtattr *info)
{
	const struct rtattr *a = RTA_DATA(info);
	size_t len = RTA_PAYLOAD(info);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_INFO_KIND)
			return RTA_PAYLOAD(a) >= 4 && memcmp(RTA_DATA(a), "veth", 4) == 0;
	}
	return false;
}

static void take_link(const struct nlmsghdr *header, struct hook_link *ret)
{
	const struct ifinfomsg *m = NLMSG_DATA(header);
	const struct rtattr *a = IFLA_RTA(m);
	size_t len = IFLA_PAYLOAD(header);
	bool veth = false;

	*ret = (struct hook_link){.index = m->ifi_index};
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		const unsigned char *data = RTA_DATA(a);
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == IFLA_IFNAME)
			memcpy(ret->name, data, MIN(n, sizeof(ret->name) - 1));
		else if (a->rta_type == IFLA_ADDRESS && n == ETH_ALEN)
			snprintf(ret->mac, sizeof(ret->mac), "%02x:%02x:%02x:%02x:%02x:%02x",
				data[0], data[1], data[2], data[3], data[4], data[5]);
		else if (a->rta_type == IFLA_LINK && n == sizeof(ret->peer))
			memcpy(&ret->peer, data, sizeof(ret->peer));
		else if (a->rta_type == IFLA_LINKINFO)
			veth = is_veth(a);
	}
	/* A macvlan's link is its parent on the host. */
	if (!veth)
		ret->peer = 0;
}

/* 1: more to come, 0: the end, or a negative errno. */
static int read_links(int fd, struct hook_link *ret, size_t *n)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

	if (len <= 0)
		return len ? -errno : -EIO;
	for (; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
		const struct ifinfomsg *m = NLMSG_DATA(h);

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (h->nlmsg_type == RTM_NEWLINK && !(m->ifi_flags & IFF_LOOPBACK) &&
			*n < LINKS_MAX)
			take_link(h, &ret[(*n)++]);
	}
	return 1;
}

/* The kernel answers a dump within the call that asks for it: nothing is waited for. */
ssize_t hook_links(struct hook_link *ret)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.info = {.ifi_family = AF_UNSPEC},
	};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	size_t n = 0;
	int r = 1;

	if (fd < 0 || send(fd, &request, sizeof(request), MSG_DONTWAIT) < 0)
		return -errno;
	while (r > 0)
		r = read_links(fd, ret, &n);
	return r < 0 ? r : (ssize_t)n;
}

/* Not by a dump, which takes the lock of all network changes (net/core/rtnetlink.c): where many
 * veths are deleted, it is held for long. */
bool hook_link_stands(int index)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_ifindex = index};

	return fd >= 0 && ioctl(fd, SIOCGIFNAME, &request) == 0;
}
