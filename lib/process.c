/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <string.h>

#include "parse.h"
#include "value.h"

#define STAT_MAX      (4 << 20) /* a line for each CPU, a number for each interrupt */
#define PROC_FILE_MAX (1 << 20)

const char *below_mount(const char *path)
{
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

/* Reads PID/name into buf, which it ends with NUL; the length or a negative errno. */
static ssize_t read_proc(int proc_fd, pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%ld/%s", (long)pid, name);
	return read_file_at(proc_fd, path, buf, size);
}

int proc_read_starttime(int proc_fd, pid_t pid, uint64_t *ret_ticks)
{
	struct proc_stat stat;
	char buf[1024];
	ssize_t n = read_proc(proc_fd, pid, "stat", buf, sizeof(buf));
	int r;

	if (n < 0)
		return (int)n;
	r = parse_proc_stat(buf, (size_t)n, &stat);
	if (r < 0)
		return r;
	if (stat.state == 'Z' || stat.state == 'X')
		return -ESRCH;
	*ret_ticks = stat.starttime_ticks;
	return 0;
}

/*
 * A file whose length a container chooses: status lists up to 65,536 supplementary groups, cgroup a
 * path of 4 KB for each hierarchy. Who has more than fits could not be seen.
 */
static int read_proc_all(int proc_fd, pid_t pid, const char *file, char **ret, size_t *ret_len)
{
	char path[64];

	snprintf(path, sizeof(path), "%ld/%s", (long)pid, file);
	return read_file_alloc(proc_fd, path, PROC_FILE_MAX, ret, ret_len);
}

int proc_read_process(int proc_fd, pid_t pid, struct process *ret)
{
	_cleanup_free_ char *buf = NULL;
	struct proc_status status;
	size_t len;
	int r = read_proc_all(proc_fd, pid, "status", &buf, &len);

	if (r < 0)
		return r;
	r = parse_proc_status(buf, len, &status);
	if (r < 0)
		return r;
	*ret = (struct process){
		.pid = pid,
		.ppid = status.ppid,
		.inner_pid = status.inner_pid,
		.euid = status.euid,
	};
	return proc_read_starttime(proc_fd, pid, &ret->starttime_ticks);
}

/* --- /proc/PID/cgroup ------------------------------------------------------------------------ */

struct cgroup_search {
	const struct hierarchies *h;
	enum controller only;
	char **paths;
};

static bool list_has(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	while (len) {
		const char *comma = memchr(list, ',', len);
		size_t part = comma ? (size_t)(comma - list) : len;

		if (part == n && memcmp(list, word, n) == 0)
			return true;
		list += MIN(part + 1, len);
		len -= MIN(part + 1, len);
	}
	return false;
}

static int cgroup_line(void *data, const struct proc_cgroup *entry)
{
	struct cgroup_search *s = data;

	for (enum controller c = CONTROLLER_CPU; c < CONTROLLER_COUNT; c++) {
		int version = s->h->controller[c].version;
		const char *name =
			c == CONTROLLER_SYSTEMD ? "name=systemd" : controller_name(c, version);

		if (!version || s->paths[c] || (s->only != CONTROLLER_NONE && s->only != c))
			continue;
		if (version == 2 ? entry->controllers_len > 0
				 : !list_has(entry->controllers, entry->controllers_len, name))
			continue;
		s->paths[c] = strndup(entry->path, entry->path_len);
		if (!s->paths[c])
			return -ENOMEM;
	}
	return 0;
}

void free_paths(char *paths[CONTROLLER_COUNT])
{
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		free(paths[c]);
		paths[c] = NULL;
	}
}

int proc_read_cgroups(int proc_fd, const struct hierarchies *h, pid_t pid, enum controller only,
	char *paths[CONTROLLER_COUNT])
{
	struct cgroup_search search = {h, only, paths};
	_cleanup_free_ char *buf = NULL;
	size_t len;
	int r = read_proc_all(proc_fd, pid, "cgroup", &buf, &len);

	for (size_t c = 0; c < CONTROLLER_COUNT; c++)
		paths[c] = NULL;
	if (r < 0)
		return r;
	r = parse_proc_cgroup(buf, len, cgroup_line, &search);
	if (r < 0)
		free_paths(paths);
	return r;
}

/* --- runs ------------------------------------------------------------------------------------- */

/*
 * btime is cut to a second. Where it is this host's, the difference of the clocks tells the rest;
 * in ticks, as starts have no more, and so that it is the same for all who ask about the same time.
 */
static uint64_t exact_boot_time(uint64_t btime_ns)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t now = now_ns(CLOCK_REALTIME), up = now_ns(CLOCK_BOOTTIME);
	uint64_t exact = now > up ? (now - up) / tick_ns * tick_ns : 0;

	return exact >= btime_ns && exact - btime_ns < 2 * NSEC_PER_SEC ? exact : btime_ns;
}

int boot_read(int proc_fd, struct boot *ret)
{
	_cleanup_free_ char *stat = NULL;
	uint64_t btime;
	size_t len;
	ssize_t n = read_file_at(proc_fd, "sys/kernel/random/boot_id", ret->id, sizeof(ret->id));
	int r = n < 0 ? (int)n : read_file_alloc(proc_fd, "stat", STAT_MAX, &stat, &len);

	if (r >= 0)
		r = parse_btime(stat, len, &btime);
	if (r < 0)
		return r;
	ret->id[strcspn(ret->id, "\n")] = '\0';
	ret->time_ns = exact_boot_time(btime * NSEC_PER_SEC);
	ret->ticks_per_s = (uint64_t)sysconf(_SC_CLK_TCK);
	ret->cpus = 0;
	for (const char *line = stat; (line = strstr(line, "\ncpu")); line++)
		ret->cpus++;
	return 0;
}

uint64_t boot_ticks_to_ns(const struct boot *b, uint64_t ticks)
{
	return b->time_ns + ticks / b->ticks_per_s * NSEC_PER_SEC +
	       ticks % b->ticks_per_s * NSEC_PER_SEC / b->ticks_per_s;
}

uint64_t boot_ns_to_ticks(const struct boot *b, uint64_t time_ns)
{
	uint64_t since = time_ns > b->time_ns ? time_ns - b->time_ns : 0;

	/* Rounded, since the other way was cut. */
	return since / NSEC_PER_SEC * b->ticks_per_s +
	       (since % NSEC_PER_SEC * b->ticks_per_s + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
}

uint64_t boot_run(const struct boot *b, uint64_t init_starttime_ticks, uint64_t cgroup_inode)
{
	uint64_t run = fnv64(FNV64_START, b->id, strlen(b->id));

	run = fnv64(run, &init_starttime_ticks, sizeof(init_starttime_ticks));
	run = fnv64(run, &cgroup_inode, sizeof(cgroup_inode));
	return run ? run : 1;
}
