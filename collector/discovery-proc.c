/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>

#include "discovery-internal.h"

#define CLIMB_MAX 64 /* generations from a process to init */
#define BELOW_MAX 64 /* cgroups below an instance that are looked at for init */

bool process_alive(const struct discovery *d, pid_t pid, uint64_t starttime_ticks)
{
	uint64_t now;

	return proc_read_starttime(d->proc_fd, pid, &now) == 0 && now == starttime_ticks;
}

/* --- init ------------------------------------------------------------------------------------ */

static bool inside(const struct discovery *d, pid_t pid, const struct place *p)
{
	char *paths[CONTROLLER_COUNT];
	size_t len = strlen(p->path);
	bool yes;

	if (process_cgroups(d, pid, p->where, paths) < 0 || !paths[p->where])
		return false;
	yes = strncmp(paths[p->where], p->path, len) == 0 &&
	      (!paths[p->where][len] || paths[p->where][len] == '/');
	free_paths(paths);
	return yes;
}

/* The ancestor whose parent is not in the cgroup: init, or a process that was attached. */
static int climb(const struct discovery *d, const struct place *p, pid_t pid, struct process *ret)
{
	for (int i = 0; i < CLIMB_MAX; i++) {
		int r = process_read(d, pid, ret);

		if (r < 0)
			return r;
		if (ret->ppid <= 0 || !inside(d, ret->ppid, p))
			return 0;
		pid = ret->ppid;
	}
	return -ELOOP;
}

/* Reads what fits of a long file: the first processes are enough. */
static ssize_t read_head(int dirfd, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < size - 1) {
		n = read(fd, buf + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	return (ssize_t)len;
}

struct init_search {
	const struct discovery *d;
	const struct place *place;
	struct process other; /* pid 0: none yet */
	unsigned int directories;
	bool oldest; /* whatever its namespaces */
};

/* Of two in the same tick the lower number, so that it is the same one at each look. */
static bool older(const struct process *a, const struct process *b)
{
	if (a->starttime_ticks != b->starttime_ticks)
		return a->starttime_ticks < b->starttime_ticks;
	return a->pid < b->pid;
}

/*
 * A pid 1 of its own pid namespace whose parent is outside is init; one whose parent is inside
 * belongs to a container or sandbox within. Before Linux 4.1 no NSpid line tells.
 */
static int search_procs(struct init_search *s, int dirfd, struct process *ret)
{
	char buf[INIT_PIDS_MAX * 12], *rest = buf, *line;
	ssize_t n = read_head(dirfd, "cgroup.procs", buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	for (int i = 0; i < INIT_PIDS_MAX && (line = strsep(&rest, "\n")) && rest; i++) {
		pid_t pid = (pid_t)strtol(line, NULL, 10);
		struct process top;

		if (pid <= 0)
			continue;
		if (s->oldest) {
			if (process_read(s->d, pid, &top) == 0 &&
				(!s->other.pid || older(&top, &s->other)))
				s->other = top;
			continue;
		}
		if (climb(s->d, s->place, pid, &top) < 0)
			continue;
		if (top.inner_pid == 1) {
			*ret = top;
			return 0;
		}
		if (!s->other.pid)
			s->other = top;
	}
	return -ESRCH;
}

/* init may have moved itself below, to init.scope; ".lxc" holds only what was attached. */
static int search_tree(struct init_search *s, int dirfd, unsigned int depth, struct process *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd, r = search_procs(s, dirfd, ret);

	if (r == 0 || depth == 0)
		return r;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close_fd(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir)) && s->directories < BELOW_MAX) {
		_cleanup_close_ int below = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		s->directories++;
		below = openat(dirfd, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (below >= 0 && search_tree(s, below, depth - 1, ret) == 0)
			return 0;
	}
	return -ESRCH;
}

int init_find(const struct discovery *d, const struct place *p, struct process *ret, bool *ret_sure)
{
	struct init_search search = {.d = d, .place = p, .oldest = !place_is_lxc(p)};
	_cleanup_close_ int fd = openat(d->h->controller[p->where].fd, below_mount(p->path),
		O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = search_tree(&search, fd, 2, ret);
	*ret_sure = r == 0;
	if (r == 0 || !search.other.pid)
		return r;
	*ret = search.other;
	return 0;
}
