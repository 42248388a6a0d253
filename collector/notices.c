/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notices.h"

#include <time.h>

#include "alerts.h"
#include "hook-socket.h"
#include "links.h"
#include "services.h"

/* However many hooks call, the cgroup tree is walked at most so often on their account. */
#define RECONCILE_PAUSE_NS (NSEC_PER_SEC / 4)

struct notices {
	struct services *s;
	struct alerts *alerts;
	struct links *links;
	struct hook_socket *hooks;
	bool called; /* by a hook that discovery has not looked for yet */
	uint64_t reconcile_ns;
	uint64_t told_lost, told_refused;
	struct complaint lost, refused;
};

/* --- what follows ----------------------------------------------------------------------------- */

static void tell(void *data, json_t *message)
{
	services_tell_ledger(((struct notices *)data)->s, message);
}

static void report_below(
	void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	sampler_post_below(((struct notices *)data)->s->sampler, index, run, id, count);
}

static void limits_changed(void *data, enum controller c, const char *path)
{
	sampler_post_limits(((struct notices *)data)->s->sampler, c, path);
}

static const struct alerts_ops alerts_ops = {
	.tell = tell,
	.below = report_below,
	.limits = limits_changed,
};

static void link_deleted(void *data, const struct deleted_link *link)
{
	static const char *const key[NETDEV_COLUMNS] = {
		[NETDEV_RX_BYTES] = "receive_bytes",
		[NETDEV_RX_PACKETS] = "receive_packets",
		[NETDEV_RX_ERRORS] = "receive_errors",
		[NETDEV_RX_DROPS] = "receive_drops",
		[NETDEV_TX_BYTES] = "transmit_bytes",
		[NETDEV_TX_PACKETS] = "transmit_packets",
		[NETDEV_TX_ERRORS] = "transmit_errors",
		[NETDEV_TX_DROPS] = "transmit_drops",
	};
	json_t *message = json_pack("{s:s, s:i, s:I}", "op", "link", "ifindex", link->ifindex,
		"time_ns", (json_int_t)now_ns(CLOCK_REALTIME));

	for (size_t i = 0; i < NETDEV_COLUMNS; i++)
		if (value_is_number(link->column[i]))
			json_object_set_new(
				message, key[i], json_integer((json_int_t)link->column[i].number));
	tell(data, message);
}

/* --- instances -------------------------------------------------------------------------------- */

void notices_appeared(struct notices *n, const struct identity *id)
{
	alerts_appeared(n->alerts, id);
}

void notices_disappeared(struct notices *n, uint32_t index, uint64_t run)
{
	alerts_disappeared(n->alerts, index, run);
}

/* --- the loop --------------------------------------------------------------------------------- */

void notices_poll(const struct notices *n, struct pollfd fds[NOTICES_POLL], uint64_t now)
{
	fds[0] = (struct pollfd){alerts_fd(n->alerts, now), POLLIN, 0};
	fds[1] = (struct pollfd){links_fd(n->links), POLLIN, 0};
	fds[2] = (struct pollfd){hook_socket_fd(n->hooks), POLLIN, 0};
}

void notices_handle(struct notices *n, const struct pollfd fds[NOTICES_POLL])
{
	if (fds[0].revents)
		alerts_readable(n->alerts, now_ns(CLOCK_MONOTONIC));
	if (fds[1].revents)
		links_read(n->links, now_ns(CLOCK_MONOTONIC));
	if (fds[2].revents)
		n->called |= hook_socket_read(n->hooks);
}

void notices_status(const struct notices *n, struct notices_status *ret)
{
	struct alerts_status alerts;

	alerts_status(n->alerts, &alerts);
	*ret = (struct notices_status){
		.watches = alerts.watches,
		.lost = alerts.lost + links_lost(n->links),
		.refused_datagrams = hook_socket_refused(n->hooks),
	};
}

static void complain_of_losses(struct notices *n)
{
	struct alerts_status alerts;
	uint64_t lost;

	alerts_status(n->alerts, &alerts);
	lost = alerts.lost + links_lost(n->links);
	if (lost > n->told_lost)
		services_error(n->s, &n->lost,
			"a queue of the kernel's notifications ran over: an event, or the last "
			"counters of an interface, may be missing");
	if (alerts.refused > n->told_refused)
		services_error(n->s, &n->refused,
			"the kernel refuses to watch cgroups (see fs.inotify.max_user_watches): "
			"kills and limits there are looked at every 30 s");
	n->told_lost = lost;
	n->told_refused = alerts.refused;
}

uint64_t notices_tick(struct notices *n, uint64_t now)
{
	uint64_t next = MIN(alerts_tick(n->alerts, now), links_tick(n->links, now));

	if (n->called && now >= n->reconcile_ns) {
		discovery_reconcile_soon(n->s->discovery);
		n->s->discovery_due_ns = 0;
		n->called = false;
		n->reconcile_ns = now + RECONCILE_PAUSE_NS;
	}
	complain_of_losses(n);
	return n->called ? MIN(next, n->reconcile_ns) : next;
}

/* --- beginning and end ------------------------------------------------------------------------ */

int notices_new(
	struct services *s, const struct hierarchies *h, struct notices **ret, struct error *err)
{
	_cleanup_free_ char *path = config_run_path(s->config, "hook.sock");
	_cleanup_(notices_free) struct notices *n = calloc(1, sizeof(*n));
	int r;

	if (!n || !path)
		return error_set(err, -ENOMEM, "not enough memory");
	n->s = s;
	if ((r = alerts_new(s->config, h, s->below, &alerts_ops, n, &n->alerts, err)) < 0 ||
		(r = links_new(link_deleted, n, &n->links, err)) < 0 ||
		(r = hook_socket_new(path, &n->hooks, err)) < 0)
		return r;
	*ret = TAKE_PTR(n);
	return 0;
}

void notices_free(struct notices *n)
{
	if (!n)
		return;
	alerts_free(n->alerts);
	links_free(n->links);
	hook_socket_free(n->hooks);
	free(n);
}
