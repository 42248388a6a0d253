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

static int skip_words(struct span *line, unsigned int n)
{
	struct span word;

	while (n--) {
		if (!next_word(line, &word))
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
	static const int column[] = {
		NETDEV_RX_BYTES,
		NETDEV_RX_PACKETS,
		NETDEV_RX_ERRORS,
		NETDEV_RX_DROPS,
		-1, /* fifo */
		-1, /* frame */
		-1, /* compressed */
		-1, /* multicast */
		NETDEV_TX_BYTES,
		NETDEV_TX_PACKETS,
		NETDEV_TX_ERRORS,
		NETDEV_TX_DROPS,
	};
	const char *colon;

	skip_blanks(&line);
	colon = memchr(line.p, ':', span_len(&line));
	if (!colon || colon == line.p || colon - line.p >= IFNAMSIZ)
		return false;
	ret->name = line.p;
	ret->name_len = (size_t)(colon - line.p);
	line.p = colon + 1;
	for (size_t i = 0; i < ARRAY_SIZE(column); i++) {
		uint64_t number;

		if (scan_column(&line, &number))
			return false;
		if (column[i] >= 0)
			ret->column[column[i]] = number;
	}
	return true;
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

	if (!bracket)
		return -EBADMSG;
	line.p = bracket + 1;
	if (line.p < line.end && line.end[-1] == '\n')
		line.end--;
	if (!next_word(&line, &state) || span_len(&state) != 1 || scan_pid(&line, &s.ppid) ||
		skip_words(&line, 9) || scan_column(&line, &s.utime_ticks) ||
		scan_column(&line, &s.stime_ticks) || skip_words(&line, 4) ||
		scan_column(&line, &s.threads) || skip_words(&line, 1) ||
		scan_column(&line, &s.starttime_ticks) || skip_words(&line, 1) ||
		scan_column(&line, &s.rss_pages) || line.p == line.end)
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
	if (!find_line(buf, len, "Uid:", &line) || skip_words(&line, 1) ||
		scan_column(&line, &uid) || uid > UINT32_MAX)
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

	if (!find_line(buf, len, "cpu ", &line))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(column); i++) {
		if (scan_column(&line, column[i]))
			return -EBADMSG;
	}
	*ret = c;
	return 0;
}

int parse_btime(const char *buf, size_t len, uint64_t *ret)
{
	struct span line;

	if (!find_line(buf, len, "btime ", &line) || scan_column(&line, ret))
		return -EBADMSG;
	return 0;
}

int parse_loadavg_tasks(const char *buf, size_t len, uint64_t *ret)
{
	struct span text = span_of(buf, len), line;
	uint64_t running;

	if (!next_line(&text, &line) || skip_words(&line, 3))
		return -EBADMSG;
	skip_blanks(&line);
	if (scan_digits(&line, &running) || !skip_char(&line, '/') || scan_column(&line, ret))
		return -EBADMSG;
	return 0;
}

int parse_file_nr(const char *buf, size_t len, uint64_t *ret)
{
	struct span text = span_of(buf, len), line;

	if (!next_line(&text, &line) || scan_column(&line, ret))
		return -EBADMSG;
	return 0;
}

int parse_proc_cgroups(const char *buf, size_t len, const char *controller, uint64_t *ret)
{
	struct span text = span_of(buf, len), line, name;

	while (next_line(&text, &line)) {
		if (next_word(&line, &name) && span_is(&name, controller))
			return skip_words(&line, 1) || scan_column(&line, ret) ? -EBADMSG : 0;
	}
	return -EBADMSG;
}

/* --- /proc/net/unix ------------------------------------------------------------------------ */

#define SOCKET_LISTENS 0x10000 /* __SO_ACCEPTCON, include/linux/net.h */

static bool scan_hex(struct span word, uint64_t *ret)
{
	uint64_t n = 0;

	if (word.p == word.end || span_len(&word) > 16)
		return false;
	for (; word.p < word.end; word.p++) {
		char c = *word.p;
		int digit = is_digit(c)            ? c - '0'
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (digit < 0)
			return false;
		n = n << 4 | (uint64_t)digit;
	}
	*ret = n;
	return true;
}

/*
 * "address: refs protocol flags type state inode @name". The name is the rest of the line, blanks
 * included. unix_seq_show() writes it raw, so a name with a newline can forge a line: whoever
 * acts on one asks the socket for its peer.
 */
static bool split_listener(struct span line, struct unix_socket *ret)
{
	struct span flags_word;
	uint64_t flags;

	if (skip_words(&line, 3) || !next_word(&line, &flags_word) ||
		!scan_hex(flags_word, &flags) || !(flags & SOCKET_LISTENS) ||
		skip_words(&line, 2) || scan_column(&line, &ret->inode) || !skip_char(&line, ' ') ||
		!skip_char(&line, '@'))
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
