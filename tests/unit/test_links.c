/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "collector/links.h"

/* Messages put together by hand, as rtnl_fill_ifinfo() in net/core/rtnetlink.c does. */
struct message {
	char buf[4096] __attribute__((aligned(8)));
	size_t len, begin;
};

static void add(struct message *m, const void *data, size_t len)
{
	assert_true(m->len + len + 4 < sizeof(m->buf));
	memcpy(m->buf + m->len, data, len);
	memset(m->buf + m->len + len, 0, 4);
	m->len += NLMSG_ALIGN(len);
}

static void begin(struct message *m, uint16_t type, unsigned char family, int ifindex)
{
	struct nlmsghdr h = {.nlmsg_type = type};
	struct ifinfomsg info = {.ifi_family = family, .ifi_index = ifindex};

	m->begin = m->len;
	add(m, &h, sizeof(h));
	add(m, &info, sizeof(info));
}

static void end(struct message *m)
{
	uint32_t len = m->len - m->begin;

	memcpy(m->buf + m->begin, &len, sizeof(len));
}

static void attribute(struct message *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = {.rta_type = type, .rta_len = RTA_LENGTH(len)};

	add(m, &a, sizeof(a));
	add(m, data, len);
}

static void kind(struct message *m, const char *name)
{
	char nested[64];
	struct rtattr a = {.rta_type = IFLA_INFO_KIND, .rta_len = RTA_LENGTH(strlen(name) + 1)};

	memset(nested, 0, sizeof(nested));
	memcpy(nested, &a, sizeof(a));
	memcpy(nested + sizeof(a), name, strlen(name));
	attribute(m, IFLA_LINKINFO, nested, RTA_ALIGN(a.rta_len));
}

/* Figures that tell each other apart. */
static void counters(struct message *m, size_t len)
{
	struct rtnl_link_stats64 s = {
		.rx_packets = 1,
		.tx_packets = 2,
		.rx_bytes = UINT64_C(3) << 40,
		.tx_bytes = UINT64_C(4) << 40,
		.rx_errors = 5,
		.tx_errors = 6,
		.rx_dropped = 7,
		.tx_dropped = 8,
	};

	attribute(m, IFLA_STATS64, &s, len);
}

static void whole(struct message *m, uint16_t type, unsigned char family, const char *name)
{
	begin(m, type, family, 42);
	attribute(m, IFLA_IFNAME, "vethABCDEF", 11);
	kind(m, name);
	counters(m, sizeof(struct rtnl_link_stats64));
	end(m);
}

/* An interface that is there: its peer, and the number of the namespace where that is. */
static void present(struct message *m, int ifindex, int peer, int nsid)
{
	begin(m, RTM_NEWLINK, AF_UNSPEC, ifindex);
	kind(m, "veth");
	counters(m, sizeof(struct rtnl_link_stats64));
	attribute(m, IFLA_LINK, &peer, sizeof(peer));
	attribute(m, IFLA_LINK_NETNSID, &nsid, sizeof(nsid));
	end(m);
}

struct seen {
	size_t n;
	struct veth_message last;
};

static void told(void *data, const struct veth_message *m)
{
	struct seen *seen = data;

	seen->n++;
	seen->last = *m;
}

static size_t parse(const struct message *m, size_t len, struct seen *seen)
{
	/* of the exact size, for the address sanitizer */
	_cleanup_free_ char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, m->buf, len);
	*seen = (struct seen){0};
	links_parse(copy, len, told, seen);
	return seen->n;
}

static void what_an_end_sent(void **state)
{
	struct message m = {0};
	struct seen seen;

	whole(&m, RTM_DELLINK, AF_UNSPEC, "veth");
	assert_int_equal(parse(&m, m.len, &seen), 1);
	assert_true(seen.last.deleted);
	assert_int_equal(seen.last.ifindex, 42);
	assert_int_equal(seen.last.peer_nsid, -1);
	assert_int_equal(seen.last.packets, 2);
	assert_int_equal(seen.last.bytes, UINT64_C(4) << 40);
	assert_int_equal(seen.last.errors, 6);
	assert_int_equal(seen.last.drops, 8);
}

static void where_the_other_end_is(void **state)
{
	struct message m = {0};
	struct seen seen;

	present(&m, 42, 2, 0);
	assert_int_equal(parse(&m, m.len, &seen), 1);
	assert_false(seen.last.deleted);
	assert_int_equal(seen.last.peer, 2);
	assert_int_equal(seen.last.peer_nsid, 0);
}

static void only_veth(void **state)
{
	struct message m = {0};
	int ifindex = 3;
	struct seen seen;

	whole(&m, RTM_DELLINK, AF_BRIDGE, "veth"); /* left its bridge */
	whole(&m, RTM_DELLINK, AF_UNSPEC, "macvlan");
	whole(&m, RTM_DELLINK, AF_UNSPEC, "vet");
	whole(&m, RTM_DELLINK, AF_UNSPEC, "vethx");
	whole(&m, RTM_NEWLINK, AF_UNSPEC, "dummy");
	whole(&m, RTM_NEWADDR, AF_UNSPEC, "veth");
	/* moved to another namespace */
	begin(&m, RTM_DELLINK, AF_UNSPEC, 42);
	kind(&m, "veth");
	counters(&m, sizeof(struct rtnl_link_stats64));
	attribute(&m, IFLA_NEW_IFINDEX, &ifindex, sizeof(ifindex));
	end(&m);
	/* no counters, and too few of them */
	begin(&m, RTM_DELLINK, AF_UNSPEC, 42);
	kind(&m, "veth");
	end(&m);
	begin(&m, RTM_DELLINK, AF_UNSPEC, 42);
	kind(&m, "veth");
	counters(&m, 56);
	end(&m);
	assert_int_equal(parse(&m, m.len, &seen), 0);
}

static void several_in_one(void **state)
{
	struct message m = {0};
	struct seen seen;

	whole(&m, RTM_DELLINK, AF_UNSPEC, "veth");
	whole(&m, RTM_DELLINK, AF_UNSPEC, "macvlan");
	/* an older kernel's counters: the structure has grown at its end only */
	begin(&m, RTM_DELLINK, AF_UNSPEC, 43);
	counters(&m, 64);
	kind(&m, "veth");
	end(&m);
	assert_int_equal(parse(&m, m.len, &seen), 2);
	assert_int_equal(seen.last.ifindex, 43);
	assert_int_equal(seen.last.drops, 8);
}

/* Cut anywhere, and with lengths that lie. */
static void damaged(void **state)
{
	struct message m = {0};
	struct seen seen;

	whole(&m, RTM_DELLINK, AF_UNSPEC, "veth");
	for (size_t len = 0; len < m.len; len++)
		assert_int_equal(parse(&m, len, &seen), 0);
	for (size_t i = 0; i + 1 < m.len; i++) {
		struct message lie = m;

		lie.buf[i] = lie.buf[i + 1] = (char)0xff;
		assert_true(parse(&lie, lie.len, &seen) <= 1);
		lie.buf[i] = lie.buf[i + 1] = 0;
		assert_true(parse(&lie, lie.len, &seen) <= 1);
	}
}

/* --- ends that belong together ---------------------------------------------------------------- */

struct gone {
	size_t n;
	struct deleted_link link[8];
};

static void deleted(void *data, const struct deleted_link *link)
{
	struct gone *gone = data;

	assert_true(gone->n < 8);
	gone->link[gone->n++] = *link;
}

static struct links *open_links(struct gone *gone)
{
	struct links *l;
	struct error err;

	*gone = (struct gone){0};
	if (links_new(deleted, gone, &l, &err) < 0)
		fail_msg("%s", err.text);
	return l;
}

static void goes(struct links *l, int ifindex, int nsid, uint64_t sent)
{
	links_take(l,
		&(struct veth_message){.deleted = true,
			.ifindex = ifindex,
			.peer_nsid = -1,
			.bytes = sent,
			.packets = 1,
			.drops = 7},
		nsid);
}

static void is_there(struct links *l, int ifindex, int peer, int nsid)
{
	links_take(
		l, &(struct veth_message){.ifindex = ifindex, .peer = peer, .peer_nsid = nsid}, -1);
}

#define assert_link(gone, i, index, received, sent)                                                \
	do {                                                                                       \
		assert_int_equal((gone).link[i].ifindex, index);                                   \
		assert_int_equal((gone).link[i].column[NETDEV_RX_BYTES].number, received);         \
		assert_int_equal((gone).link[i].column[NETDEV_TX_BYTES].number, sent);             \
		assert_int_equal((gone).link[i].column[NETDEV_TX_BYTES].state,                     \
			(sent) ? VALUE_PRESENT : VALUE_ABSENT);                                    \
		assert_int_equal((gone).link[i].column[NETDEV_RX_BYTES].state,                     \
			(received) ? VALUE_PRESENT : VALUE_ABSENT);                                \
	} while (0)

static void both_ends_are_one(void **state)
{
	struct gone gone;
	_cleanup_(links_free) struct links *l = open_links(&gone);

	/* Interfaces of several namespaces have the same number there. */
	is_there(l, 101000, 2, 1000);
	is_there(l, 101001, 2, 1001);
	/* The host's end first, or the instance's. */
	goes(l, 101000, -1, 500);
	assert_int_equal(gone.n, 0);
	goes(l, 2, 1000, 600);
	assert_int_equal(gone.n, 1);
	assert_link(gone, 0, 101000, 500, 600);
	assert_int_equal(gone.link[0].column[NETDEV_TX_PACKETS].number, 1);
	assert_int_equal(gone.link[0].column[NETDEV_RX_DROPS].number, 7);
	goes(l, 2, 1001, 800);
	goes(l, 101001, -1, 700);
	assert_int_equal(gone.n, 2);
	assert_link(gone, 1, 101001, 700, 800);
	/* What was told is forgotten. */
	goes(l, 2, 1000, 900);
	assert_int_equal(gone.n, 2);
}

/* Half is told as half, after a while or when another one goes. */
static void one_end_alone(void **state)
{
	const uint64_t second = NSEC_PER_SEC;
	struct gone gone;
	_cleanup_(links_free) struct links *l = open_links(&gone);

	goes(l, 101000, -1, 500); /* both ends in one namespace: nothing to wait for */
	assert_int_equal(gone.n, 1);
	assert_link(gone, 0, 101000, 500, 0);
	is_there(l, 101001, 2, 1000);
	is_there(l, 101002, 2, 1001);
	goes(l, 101001, -1, 600);
	goes(l, 2, 1001, 700);
	assert_int_equal(gone.n, 2);
	assert_link(gone, 1, 101001, 600, 0);
	links_read(l, second);
	assert_true(links_tick(l, second) < second + second);
	assert_int_equal(gone.n, 2);
	assert_true(links_tick(l, 2 * second) == UINT64_MAX);
	assert_int_equal(gone.n, 3);
	assert_link(gone, 2, 101002, 0, 700);
	/* Of an interface that is no instance's. */
	goes(l, 5, 77, 800);
	assert_int_equal(gone.n, 3);
	assert_true(links_tick(l, 3 * second) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_end_sent),
		cmocka_unit_test(where_the_other_end_is),
		cmocka_unit_test(only_veth),
		cmocka_unit_test(several_in_one),
		cmocka_unit_test(damaged),
		cmocka_unit_test(both_ends_are_one),
		cmocka_unit_test(one_end_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
