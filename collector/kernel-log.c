/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel-log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "../lib/value.h"

/* The kernel refuses a read into less than a record has: 8 KiB (CONSOLE_EXT_LOG_MAX in
 * include/linux/printk.h until 6.1), 2 KiB since. */
#define RECORD_MAX 8192
/* An OOM kill writes about 80 lines. */
#define RECORDS_PER_TURN 512

struct kernel_log {
	int fd;
	/* The last "oom-kill:" line, until "Killed process" of the same pid follows. */
	char place[RECORD_MAX];
	size_t place_len;
};

int kernel_log_new(const char *path, struct kernel_log **ret)
{
	struct kernel_log *k = calloc(1, sizeof(*k));
	struct stat st;

	if (!k)
		return -ENOMEM;
	k->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* Something else in its place (Documentation/admin-guide/devices.txt) has nothing to say.
	 */
	if (k->fd >= 0 && (fstat(k->fd, &st) < 0 || st.st_rdev != makedev(1, 11) ||
				  lseek(k->fd, 0, SEEK_END) < 0))
		k->fd = close_fd(k->fd);
	*ret = k;
	return 0;
}

void kernel_log_free(struct kernel_log *k)
{
	if (k)
		close_fd(k->fd);
	free(k);
}

int kernel_log_fd(const struct kernel_log *k)
{
	return k->fd;
}

static bool take_killed(struct kernel_log *k, const struct kmsg_record *record, struct victim *ret)
{
	struct oom_victim victim;
	const char *path;
	size_t len;

	if (parse_oom_killed(record->text, record->len, &victim) < 0 ||
		parse_oom_cgroup(k->place, k->place_len, &victim, &path, &len) < 0)
		return false;
	ret->pid = victim.pid;
	ret->memory = victim.memory;
	ret->seen_ns = now_ns(CLOCK_MONOTONIC);
	kmsg_unescape(victim.name, victim.name_len, ret->name, sizeof(ret->name));
	kmsg_unescape(path, len, ret->cgroup, sizeof(ret->cgroup));
	return true;
}

void kernel_log_read(struct kernel_log *k, void (*killed)(void *data, const struct victim *v),
	void *data, uint64_t *lost)
{
	static const char place[] = "oom-kill:";
	char buf[RECORD_MAX];

	for (int i = 0; i < RECORDS_PER_TURN; i++) {
		ssize_t n = read(k->fd, buf, sizeof(buf));
		struct kmsg_record record;
		struct victim victim;

		if (n < 0 && errno == EPIPE) {
			(*lost)++; /* reading goes on at the oldest record that is left */
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0 || errno != EAGAIN)
				k->fd = close_fd(k->fd);
			return;
		}
		if (parse_kmsg(buf, n, &record) < 0)
			continue;
		if (record.len >= sizeof(place) - 1 &&
			!memcmp(record.text, place, sizeof(place) - 1)) {
			memcpy(k->place, record.text, record.len);
			k->place_len = record.len;
		} else if (take_killed(k, &record, &victim)) {
			killed(data, &victim);
		}
	}
}
