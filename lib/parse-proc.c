/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <net/if.h>

#include "parse-scan.h"
#include "parse.h"
#include "util.h"

/* The parsers of files below /proc. */

static int scan_pid(struct span *line, pid_t *ret)
{
	uint64_t number;
	int r = scan_column(line, &number);

	if (r || number > INT_MAX)
		return -EBADMSG;
	*ret = (pid_t)number;
	return 0;
}

/* Columns of numbers in order; what NULL stands for may be any word. */
static int scan_columns(struct span *line, uint64_t *const *column, size_t n)
{
	struct span word;

	for (size_t i = 0; i < n; i++) {
		if (column[i] ? scan_column(line, column[i]) : !next_word(line, &word))
			return -EBADMSG;
	}
	return 0;
}

/* Finds the first line that starts with prefix, and cuts the prefix off. */
static bool find_line(const char *buf, size_t len, const char *prefix, struct span *line)
{
	struct span text = span_of(buf, len);

	while (next_line(&text, line)) {
		if (span_starts(line, prefix)) {
			line->p += strlen(prefix);
			return true;
		}
	}
	return false;
}

/* --- /proc/PID/net/dev --------------------------------------------------------------------- */

/* Before Linux 2.6.36 a long number followed the colon at once, so the name ends at the colon. */
static bool parse_interface(struct span line, struct netdev *ret)
{
	uint64_t *const c = ret->column, other; /* fifo, frame, compressed, multicast */
	uint64_t *const column[] = {&c[NETDEV_RX_BYTES], &c[NETDEV_RX_PACKETS],
		&c[NETDEV_RX_ERRORS], &c[NETDEV_RX_DROPS], &other, &other, &other, &other,
		&c[NETDEV_TX_BYTES], &c[NETDEV_TX_PACKETS], &c[NETDEV_TX_ERRORS],
		&c[NETDEV_TX_DROPS]};
	const char *colon;

	skip_blanks(&line);
	colon = memchr(line.p, ':', span_len(&line));
	if (!colon || colon == line.p || colon - line.p >= IFNAMSIZ)
		return false;
	ret->name = line.p;
	ret->name_len = (size_t)(colon - line.p);
	line.p = colon + 1;
	return scan_columns(&line, column, ARRAY_SIZE(column)) == 0;
}

int parse_netdev(const char *buf, size_t len, struct netdev *ret, size_t max, size_t *ret_n)
{
	struct span text = span_of(buf, len), line;
	bool header = span_starts(&text, "Inter-|");
	size_t n = 0;

	while (next_line(&text, &line)) {
		struct netdev entry;

		if (!parse_interface(line, &entry))
			continue;
		if (n < max)
			ret[n] = entry;
		n++;
	}
	if (!n && !header)
		return -EBADMSG;
	*ret_n = n;
	return 0;
}

int netdev_column_by_name(const char *name)
{
	static const char *const names[NETDEV_COLUMNS] = {
		[NETDEV_RX_BYTES] = "rx_bytes",
		[NETDEV_RX_PACKETS] = "rx_packets",
		[NETDEV_RX_ERRORS] = "rx_errors",
		[NETDEV_RX_DROPS] = "rx_drops",
		[NETDEV_TX_BYTES] = "tx_bytes",
		[NETDEV_TX_PACKETS] = "tx_packets",
		[NETDEV_TX_ERRORS] = "tx_errors",
		[NETDEV_TX_DROPS] = "tx_drops",
	};

	for (int i = 0; i < NETDEV_COLUMNS; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -EINVAL;
}

/* --- /proc/PID ----------------------------------------------------------------------------- */

/*
 * "4:memory:/lxc.payload.web01". A path may have colons in it, but no newline: cgroup_mkdir()
 * refuses it.
 */
static bool split_cgroup(struct span line, struct proc_cgroup *ret)
{
	uint64_t hierarchy;
	const char *colon;

	if (scan_digits(&line, &hierarchy) || !skip_char(&line, ':'))
		return false;
	colon = memchr(line.p, ':', span_len(&line));
	if (!colon || line.end - colon < 2 || colon[1] != '/')
		return false;
	ret->controllers = line.p;
	ret->controllers_len = (size_t)(colon - line.p);
	ret->path = colon + 1;
	ret->path_len = (size_t)(line.end - ret->path);
	return true;
}

int parse_proc_cgroup(const char *buf, size_t len,
	int (*callback)(void *data, const struct proc_cgroup *entry), void *data)
{
	struct span text = span_of(buf, len), line;
	bool any = false;

	while (next_line(&text, &line)) {
		struct proc_cgroup entry;
		int r;

		if (!split_cgroup(line, &entry))
			continue;
		any = true;
		r = callback(data, &entry);
		if (r)
			return r;
	}
	return any ? 0 : -EBADMSG;
}

/* A comm may hold any byte, also ")" and a newline: what follows the last ")" is the kernel's. */
int parse_proc_stat(const char *buf, size_t len, struct proc_stat *ret)
{
	struct span line = span_of(buf, len), state;
	const char *bracket = len ? memrchr(buf, ')', len) : NULL;
	struct proc_stat s;
	uint64_t *const column[] = {/* from pgrp, the fifth, on */
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &s.utime_ticks,
		&s.stime_ticks, &s.cutime_ticks, &s.cstime_ticks, NULL, NULL, &s.threads, NULL,
		&s.starttime_ticks, NULL, &s.rss_pages};

	if (!bracket)
		return -EBADMSG;
	line.p = bracket + 1;
	if (line.p < line.end && line.end[-1] == '\n')
		line.end--;
	if (!next_word(&line, &state) || span_len(&state) != 1 || scan_pid(&line, &s.ppid) ||
		scan_columns(&line, column, ARRAY_SIZE(column)) || line.p == line.end)
		return -EBADMSG;
	s.state = *state.p;
	*ret = s;
	return 0;
}

int parse_proc_status(const char *buf, size_t len, struct proc_status *ret)
{
	struct proc_status s = {0};
	struct span line;
	uint64_t uid;

	if (!find_line(buf, len, "PPid:", &line) || scan_pid(&line, &s.ppid))
		return -EBADMSG;
	if (!find_line(buf, len, "Uid:", &line) ||
		scan_columns(&line, (uint64_t *[]){NULL, &uid}, 2) || uid > UINT32_MAX)
		return -EBADMSG;
	s.euid = (uid_t)uid;
	if (find_line(buf, len, "NSpid:", &line)) {
		do {
			if (scan_pid(&line, &s.inner_pid))
				return -EBADMSG;
			skip_blanks(&line);
		} while (line.p < line.end);
	}
	*ret = s;
	return 0;
}

/* --- the host ------------------------------------------------------------------------------ */

int parse_proc_cpu(const char *buf, size_t len, struct proc_cpu *ret)
{
	struct proc_cpu c;
	uint64_t *const column[] = {
		&c.user, &c.nice, &c.system, &c.idle, &c.iowait, &c.irq, &c.softirq, &c.steal};
	struct span line;

	if (!find_line(buf, len, "cpu ", &line) || scan_columns(&line, column, ARRAY_SIZE(column)))
		return -EBADMSG;
	*ret = c;
	return 0;
}

int parse_btime(const char *buf, size_t len, uint64_t *ret)
{
	struct span line;

	return find_line(buf, len, "btime ", &line) && !scan_column(&line, ret) ? 0 : -EBADMSG;
}

int parse_loadavg_tasks(const char *buf, size_t len, uint64_t *ret)
{
	struct span text = span_of(buf, len), line;
	uint64_t running;

	if (!next_line(&text, &line) || scan_columns(&line, (uint64_t *[3]){NULL}, 3))
		return -EBADMSG;
	skip_blanks(&line);
	if (scan_digits(&line, &running) || !skip_char(&line, '/') || scan_column(&line, ret))
		return -EBADMSG;
	return 0;
}

int parse_file_nr(const char *buf, size_t len, uint64_t *ret)
{
	struct span text = span_of(buf, len), line;

	return next_line(&text, &line) && !scan_column(&line, ret) ? 0 : -EBADMSG;
}

int parse_proc_cgroups(const char *buf, size_t len, const char *controller, uint64_t *ret)
{
	struct span text = span_of(buf, len), line, name;

	while (next_line(&text, &line)) {
		if (next_word(&line, &name) && span_is(&name, controller))
			return scan_columns(&line, (uint64_t *[]){NULL, ret}, 2);
	}
	return -EBADMSG;
}

/* --- /proc/net/unix ------------------------------------------------------------------------ */

/*
 * "address: refs protocol flags type state inode @name". The flags are __SO_ACCEPTCON, %08X, of a
 * listener and else 0 (unix_seq_show() in net/unix/af_unix.c). The name is the rest of the line,
 * blanks included, written raw, so a name with a newline can forge a line: whoever acts on one
 * asks the socket for its peer.
 */
static bool split_listener(struct span line, struct unix_socket *ret)
{
	uint64_t *const three[3] = {NULL};
	struct span flags;

	if (scan_columns(&line, three, 3) || !next_word(&line, &flags) ||
		!span_is(&flags, "00010000") || scan_columns(&line, three, 2) ||
		scan_column(&line, &ret->inode) || !skip_char(&line, ' ') || !skip_char(&line, '@'))
		return false;
	ret->name = line.p;
	ret->name_len = span_len(&line);
	return true;
}

int parse_proc_net_unix(const char *buf, size_t len,
	int (*listener)(void *data, const struct unix_socket *s), void *data)
{
	struct span text = span_of(buf, len), line;

	if (!span_starts(&text, "Num ") || !next_line(&text, &line))
		return -EBADMSG;
	while (next_line(&text, &line)) {
		struct unix_socket s;
		int r;

		if (!split_listener(line, &s))
			continue;
		r = listener(data, &s);
		if (r)
			return r;
	}
	return 0;
}
