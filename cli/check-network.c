/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <inttypes.h>
#include <string.h>

#include "../lib/parse-scan.h"

/*
 * Tables and settings of the network. Some are the host's and shared by all instances, some each
 * network namespace has for itself; each finding says which. /proc/INIT/net shows an instance's own
 * without entering it; it is never kept open, that would pin the namespace.
 */

static bool host_network(const struct checkup *c, size_t row)
{
	struct snapshot_row fixed;

	return snapshot_row(c->view.snapshot, SCOPE_INSTANCE, row, &fixed) < 0 ||
	       fixed.flags & SNAPSHOT_NETWORK_SHARED;
}

static const char *handle(const struct checkup *c, size_t row)
{
	struct snapshot_row fixed;

	return row == SIZE_MAX || snapshot_row(c->view.snapshot, SCOPE_INSTANCE, row, &fixed) < 0
		       ? "the host"
		       : fixed.text[TEXT_HANDLE];
}

/* Calls back for the host (row SIZE_MAX) and for each instance with a network of its own. */
static void each_network(struct checkup *c,
	void (*call)(struct checkup *c, const char *net, size_t row, void *data), void *data)
{
	const struct scan *s = c->fresh ? scan_get(c) : NULL;
	char net[32];

	call(c, "net", SIZE_MAX, data);
	for (size_t row = 0; s && row < c->view.info->rows[SCOPE_INSTANCE]; row++) {
		const struct process *init = scan_init(s, row);

		if (!init || host_network(c, row))
			continue;
		snprintf(net, sizeof(net), "%d/net", init->pid);
		call(c, net, row, data);
	}
}

/* The first column of the second line, in hexadecimal; that is what all lines have. */
static int read_entries(struct checkup *c, const char *net, const char *file, uint64_t *ret)
{
	char path[96], buf[16384];
	const char *second;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/stat/%s", net, file);
	len = proc_read(c, path, buf, sizeof(buf));
	if (len < 0)
		return (int)len;
	second = strchr(buf, '\n');
	return second && sscanf(second, " %" SCNx64, ret) == 1 ? 0 : -EBADMSG;
}

/* --- connection tracking ----------------------------------------------------------------- */

struct fullest {
	uint64_t entries;
	size_t row;
	bool found;
};

static void take_conntrack(struct checkup *c, const char *net, size_t row, void *data)
{
	struct fullest *f = data;
	uint64_t n;

	if (read_entries(c, net, "nf_conntrack", &n) < 0 || (f->found && n <= f->entries))
		return;
	*f = (struct fullest){n, row, true};
}

void check_conntrack(struct checkup *c)
{
	struct fullest f = {.row = SIZE_MAX};
	enum check_state state;
	uint64_t max;
	int r = proc_number(c, "sys/net/netfilter/nf_conntrack_max", &max);

	if (r < 0) {
		report(c, r == -ENOENT ? CHECK_NOT_APPLICABLE : CHECK_UNKNOWN,
			r == -ENOENT ? "connections are not tracked here"
				     : "net.netfilter.nf_conntrack_max cannot be read");
		return;
	}
	f.found = proc_number(c, "sys/net/netfilter/nf_conntrack_count", &f.entries) == 0;
	each_network(c, take_conntrack, &f);
	if (!f.found) {
		report(c, CHECK_UNKNOWN, "the number of tracked connections cannot be read");
		return;
	}
	state = report_share(c, f.entries, max, "%s tracks %" PRIu64 " of %" PRIu64 " connections",
		handle(c, f.row), f.entries, max);
	report(c, state, "the maximum is set on the host, for each network namespace");
	if (state != CHECK_OK)
		advise_sysctl(c, "net.netfilter.nf_conntrack_max", twice(max));
}

/* --- neighbours -------------------------------------------------------------------------- */

/*
 * One table for all network namespaces (net/core/neighbour.c counts entries per table): instances
 * on macvlan fill the host's, each peer anew.
 */
void check_neighbours(struct checkup *c)
{
	static const char *const files[] = {"arp_cache", "ndisc_cache"};
	static const char *const families[] = {"ipv4", "ipv6"};
	enum check_state worst = CHECK_NOT_APPLICABLE;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char setting[64], key[64];
		uint64_t n, max;
		enum check_state state;

		snprintf(setting, sizeof(setting), "sys/net/%s/neigh/default/gc_thresh3",
			families[i]);
		if (read_entries(c, "net", files[i], &n) < 0 || proc_number(c, setting, &max) < 0)
			continue;
		state = judge_share(c, n, max);
		report(c, state, "%" PRIu64 " of %" PRIu64 " %s neighbours (%u %%)", n, max,
			families[i], share(n, max));
		if (state > worst || !c->finding->has_figures)
			figure_share(c, n, max);
		worst = MAX(worst, state);
		if (state == CHECK_OK)
			continue;
		snprintf(key, sizeof(key), "net.%s.neigh.default.gc_thresh3", families[i]);
		advise(c,
			"sysctl -w %s=%" PRIu64 " (gc_thresh2 half, gc_thresh1 a quarter of it), "
			"and keep them in /etc/sysctl.d/",
			key, twice(max));
	}
	if (!c->finding->text)
		report(c, CHECK_UNKNOWN, "the neighbour tables cannot be read");
	else
		report(c, worst, "one table for the host and all instances");
}

/* --- TCP --------------------------------------------------------------------------------- */

void check_tcp_mem(struct checkup *c)
{
	char buf[4096];
	ssize_t len = proc_read(c, "net/sockstat", buf, sizeof(buf));
	const char *tcp = len < 0 ? NULL : strstr(buf, "TCP:");
	const char *mem = tcp ? strstr(tcp, " mem ") : NULL;
	uint64_t used, low, pressure, max;
	enum check_state state;

	if (!mem || sscanf(mem, " mem %" SCNu64, &used) != 1 ||
		proc_read(c, "sys/net/ipv4/tcp_mem", buf, sizeof(buf)) < 0 ||
		sscanf(buf, "%" SCNu64 " %" SCNu64 " %" SCNu64, &low, &pressure, &max) != 3) {
		report(c, CHECK_UNKNOWN, "net/sockstat or net.ipv4.tcp_mem cannot be read");
		return;
	}
	state = report_share(c, used, max, "TCP uses %" PRIu64 " of %" PRIu64 " pages", used, max);
	report(c, state, "for all instances together, the setting is the host's");
	if (state != CHECK_OK)
		advise(c,
			"sysctl -w net.ipv4.tcp_mem='%" PRIu64 " %" PRIu64 " %" PRIu64
			"', and keep it in /etc/sysctl.d/",
			2 * low, 2 * pressure, 2 * max);
}

/* The column of a pair of lines "Key: a b c" and "Key: 1 2 3" as in net/netstat and net/snmp. */
static int read_column(struct checkup *c, const char *net, const char *file, const char *key,
	const char *column, uint64_t *ret)
{
	char path[64], buf[16384];
	struct span text, titles, numbers, title, number;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s", net, file);
	len = proc_read(c, path, buf, sizeof(buf));
	text = span_of(buf, len > 0 ? (size_t)len : 0);
	while (next_line(&text, &titles) && next_line(&text, &numbers)) {
		if (!span_starts(&titles, key))
			continue;
		while (next_word(&titles, &title) && next_word(&numbers, &number))
			if (span_is(&title, column))
				return scan_digits(&number, ret);
	}
	return len < 0 ? (int)len : -ENOENT;
}

#define OVERFLOWS_LEAST 10 /* fewer say nothing, as a share of few connections least */

struct overflows {
	uint64_t overflows, opens; /* of the worst */
	size_t row, read;
	struct names names;
};

/* A queue that was full refuses the connection after the handshake: of how many? */
static void take_overflows(struct checkup *c, const char *net, size_t row, void *data)
{
	struct overflows *o = data;
	uint64_t overflows, opens;

	if (read_column(c, net, "netstat", "TcpExt:", "ListenOverflows", &overflows) < 0 ||
		read_column(c, net, "snmp", "Tcp:", "PassiveOpens", &opens) < 0)
		return;
	opens += overflows;
	if (overflows < OVERFLOWS_LEAST)
		overflows = 0;
	if (opens && judge_share(c, overflows, opens) != CHECK_OK) {
		names_add(&o->names, handle(c, row));
	}
	if (!o->read++ || is_fuller(overflows, opens, o->overflows, o->opens)) {
		o->overflows = overflows;
		o->opens = opens;
		o->row = row;
	}
}

void check_somaxconn(struct checkup *c)
{
	struct overflows o = {.row = SIZE_MAX};
	enum check_state state;
	uint64_t setting = 0;

	each_network(c, take_overflows, &o);
	if (!o.read || proc_number(c, "sys/net/core/somaxconn", &setting) < 0) {
		report(c, CHECK_UNKNOWN, "net/netstat or net.core.somaxconn cannot be read");
		return;
	}
	state = judge_share(c, o.overflows, o.opens);
	figure_number(c, share(o.overflows, o.opens), 100);
	if (state == CHECK_OK) {
		report(c, state,
			"at most %u %% of new connections found a full queue; somaxconn is %" PRIu64
			" on the host, each instance has its own",
			share(o.overflows, o.opens), setting);
		return;
	}
	report(c, state,
		"full queues refused %" PRIu64 " of %" PRIu64 " connections (%u %%) to %s since it "
		"started; over the threshold: %s; somaxconn is %" PRIu64
		" on the host, each instance has its own",
		o.overflows, o.opens, share(o.overflows, o.opens), handle(c, o.row),
		names_text(&o.names), setting);
	if (o.row == SIZE_MAX)
		advise_sysctl(c, "net.core.somaxconn", twice(setting));
	else
		advise(c,
			"lxc.sysctl.net.core.somaxconn = %" PRIu64
			" in its configuration, a larger "
			"backlog in its service, then restart it",
			twice(setting));
}
