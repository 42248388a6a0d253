/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trap-state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

#include "../lib/util.h"

/* The length is that of a line of the highest numbers. */
#define LINE_FORMAT                                                                                \
	"loadcell-snmp 1 event %020" PRIu64 " time_ns %020" PRIu64 " stale %d boot %016" PRIx64 "\n"
#define LINE_SCAN "loadcell-snmp 1 event %" SCNu64 " time_ns %" SCNu64 " stale %d boot %" SCNx64
#define LINE_MAX  160

static uint64_t boot_hash(const char *proc_root)
{
	_cleanup_free_ char *path = format_string("%s/sys/kernel/random/boot_id", proc_root);
	char id[64];
	ssize_t len = path ? read_file_at(AT_FDCWD, path, id, sizeof(id)) : -ENOMEM;

	return len > 0 ? fnv64(FNV64_START, id, (size_t)len) : 0;
}

static int open_file(const char *dir)
{
	_cleanup_free_ char *path = format_string("%s/notified", dir);
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	r = make_directories(dir, 0750);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

static void read_line(struct trap_state *s)
{
	char line[LINE_MAX];
	ssize_t len = pread_file(s->fd, line, sizeof(line));
	uint64_t boot = 0;
	int stale = 0;

	s->is_first =
		len <= 0 || sscanf(line, LINE_SCAN, &s->event, &s->time_ns, &stale, &boot) != 4;
	if (s->is_first)
		s->event = s->time_ns = 0;
	s->is_stale = !s->is_first && stale;
	s->is_other_boot = !s->is_first && boot != s->boot;
	if (s->is_first && len > 0)
		complain(
			&s->complaint, "the note of sent notifications is damaged: it begins anew");
}

int trap_state_open(struct trap_state *s, const struct config *config)
{
	int r = open_file(config->snmp_state_dir);

	*s = (struct trap_state){.fd = -1,
		.boot = boot_hash(config->proc_root),
		.is_first = true,
		.complaint = s->complaint};
	if (r == -EBUSY) {
		complain(&s->complaint,
			"no notifications: another loadcell-snmp sends them, with its state in %s",
			config->snmp_state_dir);
		return r;
	}
	if (r < 0) {
		complain(&s->complaint,
			"cannot keep in %s which notifications were sent, so those of what happens "
			"while loadcell-snmp does not run are left out: %s",
			config->snmp_state_dir, strerror(-r));
		return 0;
	}
	s->fd = r;
	read_line(s);
	return 0;
}

void trap_state_close(struct trap_state *s)
{
	s->fd = close_fd(s->fd);
}

void trap_state_save(struct trap_state *s)
{
	char line[LINE_MAX];
	int len = snprintf(
		line, sizeof(line), LINE_FORMAT, s->event, s->time_ns, s->is_stale, s->boot);
	ssize_t n;

	if (s->fd < 0)
		return;
	n = pwrite(s->fd, line, (size_t)len, 0);
	if (n == len)
		complaint_over(&s->complaint, "which notifications were sent is kept again");
	else
		complain(&s->complaint, "cannot keep which notifications were sent: %s",
			n < 0 ? strerror(errno) : "the disk is full");
}
