/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/parse-scan.h"
#include "../lib/parse.h"

/*
 * One look at every process of the host. Only files that no container can block: status, cgroup,
 * limits, and the names below fd, which the kernel makes up without asking a file system.
 */
#define TIME_MAX_NS (8 * NSEC_PER_SEC) /* NRPE waits for ten seconds */
#define FILE_MAX    16384

/* --- which instance a process belongs to ------------------------------------------------- */

struct place {
	char *path;
	size_t row;
};

struct places {
	struct place *list;
	size_t n, cap;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct place *)a)->path, ((const struct place *)b)->path);
}

/* Of all controllers; the root is nobody's. */
static void read_places(const struct checkup *c, struct places *p)
{
	struct snapshot_row fixed;
	size_t len;

	for (size_t row = 0; c->fresh && row < c->view.info->rows[SCOPE_INSTANCE]; row++) {
		if (snapshot_row(c->view.snapshot, SCOPE_INSTANCE, row, &fixed) < 0)
			continue;
		for_each_line(fixed.text[TEXT_CGROUPS], line, len)
		{
			const char *path = memchr(line, '=', len);

			if (!path || path + 2 >= line + len)
				continue;
			if (p->n == p->cap) {
				size_t cap = p->cap ? 2 * p->cap : 64;
				void *bigger = reallocarray(p->list, cap, sizeof(*p->list));

				if (!bigger)
					return;
				p->list = bigger;
				p->cap = cap;
			}
			p->list[p->n].row = row;
			p->list[p->n].path = strndup(path + 1, (size_t)(line + len - path - 1));
			p->n += p->list[p->n].path != NULL;
		}
	}
	if (p->n)
		qsort(p->list, p->n, sizeof(*p->list), by_path);
}

static void free_places(struct places *p)
{
	while (p->n)
		free(p->list[--p->n].path);
	free(p->list);
}

/* The path or the nearest above it that is an instance's. */
static size_t find_place(const struct places *p, const char *path, size_t len)
{
	_cleanup_free_ char *copy = strndup(path, len);
	struct place key = {.path = copy}, *found = NULL;

	while (copy && !found && copy[0] && copy[1]) {
		found = bsearch(&key, p->list, p->n, sizeof(*p->list), by_path);
		*strrchr(copy, '/') = '\0';
	}
	return found ? found->row : SIZE_MAX;
}

struct search {
	const struct places *places;
	size_t row;
};

static int take_line(void *data, const struct proc_cgroup *entry)
{
	struct search *s = data;

	if (entry->path_len && entry->path[0] == '/')
		s->row = find_place(s->places, entry->path, entry->path_len);
	return s->row != SIZE_MAX;
}

/* --- one process ------------------------------------------------------------------------- */

/* The number behind a key at a line's begin; `skip` numbers before it are passed over. */
static int read_number(const char *text, const char *key, unsigned int skip, uint64_t *ret)
{
	const char *line = text;
	size_t len = strlen(key);
	struct span s;
	int r;

	while (line && strncmp(line, key, len) != 0)
		line = (line = strchr(line, '\n')) ? line + 1 : NULL;
	if (!line)
		return -ENOENT;
	s = (struct span){line + len, line + len + strcspn(line + len, "\n")};
	do {
		while (s.p < s.end && (is_blank(*s.p)))
			s.p++;
		if (span_starts(&s, "unlimited")) {
			*ret = UINT64_MAX;
			return 0;
		}
		r = scan_digits(&s, ret);
	} while (r == 0 && skip-- > 0);
	return r;
}

/* The inode in "user:[4026531837]"; 0: it may not be seen. */
static uint64_t read_user_ns(int dirfd)
{
	char text[64];
	ssize_t len = readlinkat(dirfd, "ns/user", text, sizeof(text) - 1);
	uint64_t inode;

	text[MAX(len, 0)] = '\0';
	return sscanf(text, "user:[%" SCNu64, &inode) == 1 ? inode : 0;
}

/*
 * The kernel charges an inotify instance to its user, and in a user namespace of its own also to
 * the one who made that (fs/notify/inotify: inc_ucount): mostly root, for all instances together.
 */
static uid_t read_owner(int dirfd)
{
	_cleanup_close_ int fd = openat(dirfd, "ns/user", O_RDONLY | O_CLOEXEC);
	uid_t owner = 0;

	return fd >= 0 && ioctl(fd, NS_GET_OWNER_UID, &owner) == 0 ? owner : 0;
}

static void count_watches(int dirfd, const char *fd, struct process *p)
{
	char name[64];
	int file;
	FILE *in;

	p->inotify++;
	snprintf(name, sizeof(name), "fdinfo/%.20s", fd);
	file = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	in = file >= 0 ? fdopen(file, "r") : NULL;
	if (!in) {
		close_fd(file);
		return;
	}
	for (char line[512]; fgets(line, sizeof(line), in);)
		p->watches += strncmp(line, "inotify ", strlen("inotify ")) == 0;
	fclose(in);
}

static int read_files(int dirfd, struct process *p)
{
	int fd = openat(dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char target[32];
		ssize_t len;

		if (entry->d_name[0] == '.')
			continue;
		p->files++;
		len = readlinkat(fd, entry->d_name, target, sizeof(target));
		if (len == (ssize_t)strlen("anon_inode:inotify") &&
			memcmp(target, "anon_inode:inotify", (size_t)len) == 0)
			count_watches(dirfd, entry->d_name, p);
	}
	return 0;
}

/* Its pid in an instance's own namespace is 1, one level below the host's. */
static bool is_init(const char *status)
{
	uint64_t inner, deeper;

	return read_number(status, "NSpid:", 1, &inner) == 0 && inner == 1 &&
	       read_number(status, "NSpid:", 2, &deeper) < 0;
}

static int read_process(struct scan *s, int dirfd, const struct places *places, uint64_t host_ns,
	struct process *p, char *buf)
{
	struct search search = {places, SIZE_MAX};
	uint64_t uid, euid;
	ssize_t len = read_file_at(dirfd, "cgroup", buf, FILE_MAX);

	if (len > 0)
		(void)parse_proc_cgroup(buf, (size_t)len, take_line, &search);
	p->row = search.row;
	if (read_file_at(dirfd, "status", buf, FILE_MAX) < 0 ||
		read_number(buf, "Uid:", 0, &uid) < 0 || read_number(buf, "Uid:", 1, &euid) < 0 ||
		read_number(buf, "Threads:", 0, &p->threads) < 0)
		return -ESRCH;
	p->uid = (uid_t)uid;
	p->owner = (uid_t)euid;
	/* The host's, not one in a pid namespace of its own. */
	s->snmpd |= strncmp(buf, "Name:\tsnmpd\n", strlen("Name:\tsnmpd\n")) == 0 &&
		    read_number(buf, "NSpid:", 1, &euid) < 0;
	if (p->row != SIZE_MAX && s->init && is_init(buf))
		s->init[p->row] = (size_t)(p - s->list) + 1;
	if (read_file_at(dirfd, "limits", buf, FILE_MAX) < 0 ||
		read_number(buf, "Max open files", 0, &p->files_limit) < 0 ||
		read_number(buf, "Max open files", 1, &p->files_hard) < 0 ||
		read_number(buf, "Max processes", 0, &p->threads_limit) < 0)
		p->files_limit = p->threads_limit = UINT64_MAX;
	p->user_ns = read_user_ns(dirfd);
	s->denied += read_files(dirfd, p) == -EACCES;
	if (p->inotify && p->user_ns && host_ns && p->user_ns != host_ns)
		p->owner = read_owner(dirfd);
	return 0;
}

static struct process *scan_add(struct scan *s)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct process *bigger = reallocarray(s->list, cap, sizeof(*bigger));

		if (!bigger)
			return NULL;
		s->list = bigger;
		s->cap = cap;
	}
	s->list[s->n] = (struct process){.row = SIZE_MAX};
	return &s->list[s->n];
}

static void scan_proc(struct scan *s, const char *proc_root, const struct places *places)
{
	_cleanup_closedir_ DIR *proc = opendir(proc_root);
	_cleanup_close_ int own = proc ? openat(dirfd(proc), "1", O_PATH | O_CLOEXEC) : -1;
	_cleanup_free_ char *buf = malloc(FILE_MAX);
	uint64_t host_ns = own >= 0 ? read_user_ns(own) : 0;
	uint64_t end = now_ns(CLOCK_MONOTONIC) + TIME_MAX_NS;
	const struct dirent *entry;

	while (proc && buf && !s->cut && (entry = readdir(proc))) {
		_cleanup_close_ int fd = -1;
		struct process *p;

		if (!is_digit(entry->d_name[0]))
			continue;
		fd = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		p = fd >= 0 ? scan_add(s) : NULL;
		if (!p)
			continue;
		p->pid = atoi(entry->d_name);
		s->n += read_process(s, fd, places, host_ns, p, buf) == 0;
		s->cut = now_ns(CLOCK_MONOTONIC) > end;
	}
}

const struct scan *scan_get(struct checkup *c)
{
	static const struct scan nothing;
	struct places places = {0};

	if (c->scan)
		return c->scan;
	c->scan = calloc(1, sizeof(*c->scan));
	if (!c->scan)
		return &nothing;
	if (c->fresh)
		c->scan->init =
			calloc(c->view.info->rows[SCOPE_INSTANCE] + 1U, sizeof(*c->scan->init));
	read_places(c, &places);
	scan_proc(c->scan, c->cli->config->proc_root, &places);
	free_places(&places);
	return c->scan;
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	free(s->list);
	free(s->init);
	free(s);
}
