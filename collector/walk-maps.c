/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "walk.h"

/*
 * The lines of /proc/PID/maps are its mappings, which the kernel holds against
 * vm.max_map_count. Reading takes the process's mmap_lock, which it can hold for as long as it
 * likes (a page fault on its own FUSE mount), so this runs in a child.
 */
static int count_maps(int proc, const char *pid, struct walk_budget *b, uint64_t *ret)
{
	char path[NAME_MAX + 8], buf[16384];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/maps", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
			++*ret;
		(void)budget_pace(b);
	}
	return n < 0 ? -errno : 0;
}

static pid_t pid_of(const char *name)
{
	char *end;
	long pid = name[0] >= '1' && name[0] <= '9' ? strtol(name, &end, 10) : 0;

	return pid > 0 && pid <= INT_MAX && !*end ? (pid_t)pid : 0;
}

/*
 * A mapping has a page at least, so a process of fewer pages than the most mappings so far has
 * fewer mappings too, and statm, which needs no lock, tells the pages at a tenth of the cost.
 */
static bool may_have_more(int proc, const char *pid, uint64_t most)
{
	char path[NAME_MAX + 8], buf[128];

	snprintf(path, sizeof(path), "%s/statm", pid);
	return read_file_at(proc, path, buf, sizeof(buf)) <= 0 || strtoull(buf, NULL, 10) > most;
}

int maps_scan(const char *proc_root, pid_t after, struct walk_budget *b)
{
	_cleanup_closedir_ DIR *dir = opendir(proc_root);
	struct walk_pulse *pulse = b->pulse;
	const struct dirent *d;

	if (!dir)
		return -errno;
	/* The kernel lists pids in rising order (next_tgid() in fs/proc/base.c). */
	while ((d = readdir(dir))) {
		pid_t pid = pid_of(d->d_name);
		uint64_t n;

		if (pid <= after)
			continue;
		atomic_store(&pulse->at, (uint64_t)pid);
		if (!may_have_more(dirfd(dir), d->d_name, atomic_load(&pulse->max)))
			continue;
		if (count_maps(dirfd(dir), d->d_name, b, &n) < 0 || n <= atomic_load(&pulse->max))
			continue; /* ended meanwhile, or smaller */
		atomic_store(&pulse->max_pid, (uint64_t)pid);
		atomic_store(&pulse->max, n);
	}
	return 0;
}
