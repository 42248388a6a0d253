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

struct seen {
	size_t n;
	struct deleted_link last;
};

static void deleted(void *data, const struct deleted_link *link)
{
	struct seen *seen = data;

	seen->n++;
	seen->last = *link;
}

static size_t parse(const struct message *m, size_t len, struct seen *seen)
{
	/* of the exact size, for the address sanitizer */
	_cleanup_free_ char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, m->buf, len);
	*seen = (struct seen){0};
	links_parse(copy, len, deleted, seen);
	return seen->n;
}

static void counters_change_sides(void **state)
{
	struct message m = {0};
	struct seen seen;

	whole(&m, RTM_DELLINK, AF_UNSPEC, "veth");
	assert_int_equal(parse(&m, m.len, &seen), 1);
	assert_int_equal(seen.last.ifindex, 42);
	assert_int_equal(seen.last.column[NETDEV_RX_PACKETS], 2);
	assert_int_equal(seen.last.column[NETDEV_TX_PACKETS], 1);
	assert_int_equal(seen.last.column[NETDEV_RX_BYTES], UINT64_C(4) << 40);
	assert_int_equal(seen.last.column[NETDEV_TX_BYTES], UINT64_C(3) << 40);
	assert_int_equal(seen.last.column[NETDEV_RX_ERRORS], 6);
	assert_int_equal(seen.last.column[NETDEV_TX_ERRORS], 5);
	assert_int_equal(seen.last.column[NETDEV_RX_DROPS], 8);
	assert_int_equal(seen.last.column[NETDEV_TX_DROPS], 7);
}

static void only_deleted_veth(void **state)
{
	struct message m = {0};
	int ifindex = 3;
	struct seen seen;

	whole(&m, RTM_NEWLINK, AF_UNSPEC, "veth");
	whole(&m, RTM_DELLINK, AF_BRIDGE, "veth"); /* left its bridge */
	whole(&m, RTM_DELLINK, AF_UNSPEC, "macvlan");
	whole(&m, RTM_DELLINK, AF_UNSPEC, "vet");
	whole(&m, RTM_DELLINK, AF_UNSPEC, "vethx");
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
	whole(&m, RTM_NEWLINK, AF_UNSPEC, "veth");
	/* an older kernel's counters: the structure has grown at its end only */
	begin(&m, RTM_DELLINK, AF_UNSPEC, 43);
	counters(&m, 64);
	kind(&m, "veth");
	end(&m);
	assert_int_equal(parse(&m, m.len, &seen), 2);
	assert_int_equal(seen.last.ifindex, 43);
	assert_int_equal(seen.last.column[NETDEV_RX_DROPS], 8);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_change_sides),
		cmocka_unit_test(only_deleted_veth),
		cmocka_unit_test(several_in_one),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
