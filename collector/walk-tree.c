/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk of a directory tree whose owner may be hostile.
 *
 * Depth first, without recursion. A frame is one directory on the way from the root to where we
 * are; the names of its subdirectories that are still to be entered lie in one stack of names
 * for all frames, last in, first out. Only the deepest frames keep a descriptor; a closed one is
 * opened again through ".." of its child or, when that leads elsewhere because somebody moved a
 * directory, by name from the root. Both ways device and inode must be those seen before.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "../lib/value.h"
#include "walk.h"

#define DEPTH_MAX   32768 /* frames; what is deeper is counted as one directory */
#define OPEN_MAX    64    /* descriptors */
#define BUFFER_SIZE 32768 /* of getdents64(): also how many names a frame takes at once */
#define BUFFER_TINY 512   /* once the names take NAMES_SOFT: at most 16 MiB more at DEPTH_MAX */
#define NAMES_SOFT  (4U << 20)
#define LINKS_MAX   (1U << 20) /* hard-linked files told apart */
#define PACE_EVERY  64         /* entries */

struct frame {
	int fd; /* -1: closed to save descriptors */
	bool read_all;
	dev_t dev;
	ino_t ino;
	off_t position; /* of the directory stream, where reading goes on */
	size_t name;    /* its own, in tree.names */
	size_t names;   /* from here on lie those of its subdirectories */
};

struct tree {
	struct walk_budget *budget;
	struct tree_figures *out;
	struct frame *frames;
	size_t depth, frames_size;
	char *names;
	size_t names_len, names_size;
	uint64_t *links; /* open addressing; 0 is free */
	size_t links_len, links_size;
	bool no_openat2, no_noatime, time_up;
	unsigned int since_pace;
	/* getdents64() needs the alignment of its records. */
	char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

void budget_start(struct walk_budget *b, struct walk_pulse *pulse, uint64_t share, uint64_t max_ns)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	*b = (struct walk_budget){
		.pulse = pulse,
		.share = share,
		.start_ns = now,
		.end_ns = max_ns ? now + max_ns : 0,
	};
}

bool budget_pace(struct walk_budget *b)
{
	/* Rests are half a second at least, so that a small share is not a stream of wake-ups. */
	const uint64_t rest_min = NSEC_PER_SEC / 2;
	uint64_t now = now_ns(CLOCK_MONOTONIC), until = 0;

	atomic_fetch_add_explicit(&b->pulse->beats, 1, memory_order_relaxed);
	if (b->share)
		until = b->start_ns + (uint64_t)((double)now_ns(CLOCK_PROCESS_CPUTIME_ID) * 1e9 /
						 (double)b->share);
	if (until < now + rest_min)
		return !b->end_ns || now < b->end_ns;
	while (now < until && (!b->end_ns || now < b->end_ns)) {
		uint64_t rest = MIN(until - now, NSEC_PER_SEC);
		struct timespec ts = {(time_t)(rest / NSEC_PER_SEC), (long)(rest % NSEC_PER_SEC)};

		nanosleep(&ts, NULL);
		atomic_fetch_add_explicit(&b->pulse->beats, 1, memory_order_relaxed);
		now = now_ns(CLOCK_MONOTONIC);
	}
	return !b->end_ns || now < b->end_ns;
}

static void pace(struct tree *t)
{
	if (++t->since_pace < PACE_EVERY || t->time_up)
		return;
	t->since_pace = 0;
	if (!t->budget)
		return;
	atomic_store_explicit(&t->budget->pulse->files, t->out->inodes, memory_order_relaxed);
	if (!budget_pace(t->budget)) {
		t->time_up = true;
		t->out->partial = true;
	}
}

static int links_grow(struct tree *t)
{
	size_t size = t->links_size ? t->links_size * 2 : 1024;
	uint64_t *links = calloc(size, sizeof(*links));

	if (!links)
		return -ENOMEM;
	for (size_t i = 0; i < t->links_size; i++) {
		size_t at = t->links[i] & (size - 1);

		if (!t->links[i])
			continue;
		while (links[at])
			at = (at + 1) & (size - 1);
		links[at] = t->links[i];
	}
	free(t->links);
	t->links = links;
	t->links_size = size;
	return 0;
}

/* True when this inode was seen before. A 64-bit hash stands for it: 1M of them collide once in
 * 30 million walks. */
static bool seen_before(struct tree *t, const struct stat *st)
{
	uint64_t key[2] = {st->st_dev, st->st_ino};
	uint64_t hash = MAX(fnv64(FNV64_START, key, sizeof(key)), 1);
	size_t at;

	if (t->links_len * 2 >= t->links_size && (t->links_len >= LINKS_MAX || links_grow(t) < 0)) {
		t->out->partial = true;
		return false;
	}
	for (at = hash & (t->links_size - 1); t->links[at]; at = (at + 1) & (t->links_size - 1))
		if (t->links[at] == hash)
			return true;
	t->links[at] = hash;
	t->links_len++;
	return false;
}

static void count(struct tree *t, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && seen_before(t, st))
		return;
	t->out->bytes += (uint64_t)st->st_blocks * 512;
	t->out->inodes++;
}

/* Before openat2() (Linux 5.6), mounts are told by st_dev: a bind mount of the same file system
 * is taken for a directory, and a btrfs subvolume for a mount. */
static int open_checked(int dir, const char *name, int flags)
{
	_cleanup_close_ int fd = openat(dir, name, flags);
	struct stat st, above;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || fstat(dir, &above) < 0)
		return -errno;
	return st.st_dev == above.st_dev ? TAKE_FD(fd) : -EXDEV;
}

static int open_directory(struct tree *t, int dir, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	bool up = strcmp(name, "..") == 0;
	struct open_how how = {
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   (up ? 0 : RESOLVE_BENEATH),
	};
	int r = -ENOSYS;

	if (!t->no_noatime)
		flags |= O_NOATIME;
	how.flags = (uint64_t)flags;
	if (!t->no_openat2) {
		r = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (r < 0)
			r = -errno;
	}
	if (r == -ENOSYS) {
		t->no_openat2 = true;
		r = open_checked(dir, name, flags);
	}
	/* Only the owner and CAP_FOWNER may leave the time of access alone. */
	if (r == -EPERM && !t->no_noatime) {
		t->no_noatime = true;
		return open_directory(t, dir, name);
	}
	return r;
}

static int push_name(struct tree *t, const char *name)
{
	size_t len = strlen(name) + 1;

	if (t->names_len + len > t->names_size) {
		size_t size = MAX(t->names_size * 2, (size_t)BUFFER_SIZE);
		char *names = realloc(t->names, size);

		if (!names)
			return -ENOMEM;
		t->names = names;
		t->names_size = size;
	}
	memcpy(t->names + t->names_len, name, len);
	t->names_len += len;
	return 0;
}

static int take_entry(struct tree *t, const struct frame *f, const char *name, unsigned char type)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	pace(t);
	if (type == DT_DIR)
		return push_name(t, name);
	if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return 0; /* gone meanwhile */
	if (S_ISDIR(st.st_mode))
		return push_name(t, name);
	/* Something is mounted on this file. Not told so where overlayfs shows other devices. */
	if (st.st_dev != f->dev && t->no_openat2)
		return 0;
	count(t, &st);
	return 0;
}

/* Reads on in the directory until some subdirectories are to be entered, or to its end. */
static int read_frame(struct tree *t, struct frame *f)
{
	while (!f->read_all && !t->time_up && t->names_len - f->names < BUFFER_SIZE) {
		bool tight = t->names_len > NAMES_SOFT;
		ssize_t n = getdents64(f->fd, t->buffer, tight ? BUFFER_TINY : BUFFER_SIZE);

		if (n < 0 && errno != ENOENT)
			t->out->partial = true;
		if (n <= 0)
			f->read_all = true;
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(t->buffer + at);
			int r = take_entry(t, f, d->d_name, d->d_type);

			if (r < 0)
				return r;
			f->position = d->d_off;
			at += d->d_reclen;
		}
		if (tight && t->names_len > f->names)
			break;
	}
	return 0;
}

/* Takes the descriptor over, counts the directory and makes it the current frame. */
static int push_frame(struct tree *t, int fd, size_t name)
{
	_cleanup_close_ int owned = fd;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	count(t, &st);
	if (t->depth == DEPTH_MAX) {
		t->out->partial = true;
		return 0;
	}
	if (t->depth == t->frames_size) {
		size_t size = t->frames_size ? t->frames_size * 2 : OPEN_MAX;
		struct frame *frames = reallocarray(t->frames, size, sizeof(*frames));

		if (!frames)
			return -ENOMEM;
		t->frames = frames;
		t->frames_size = size;
	}
	/* The root's stays open: it is the one way back when directories are moved about. */
	if (t->depth > OPEN_MAX) {
		struct frame *f = &t->frames[t->depth - OPEN_MAX];

		f->fd = close_fd(f->fd);
	}
	t->frames[t->depth++] = (struct frame){
		.fd = TAKE_FD(owned),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.name = name,
		.names = t->names_len,
	};
	return 0;
}

/* Gives a frame a descriptor again, if that is the same directory; takes fd over. */
static bool reopen(struct frame *f, int fd)
{
	_cleanup_close_ int owned = fd;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino)
		return false;
	if (!f->read_all && lseek(fd, f->position, SEEK_SET) < 0)
		return false;
	f->fd = TAKE_FD(owned);
	return true;
}

static void drop_frames(struct tree *t, size_t depth)
{
	while (t->depth > depth) {
		struct frame *f = &t->frames[--t->depth];

		f->fd = close_fd(f->fd);
		t->names_len = f->name;
	}
}

/* Goes down by name from the root to the current frame; drops those that are not there any more. */
static void find_again(struct tree *t)
{
	for (size_t i = 1; i < t->depth; i++) {
		struct frame *f = &t->frames[i], *above = f - 1;

		pace(t);
		if (f->fd < 0 && !reopen(f, open_directory(t, above->fd, t->names + f->name))) {
			t->out->partial = true;
			drop_frames(t, i);
			return;
		}
		if (i > 1 && i + OPEN_MAX < t->depth)
			above->fd = close_fd(above->fd);
	}
}

/* Leaves the current frame; the one above it becomes current and gets a descriptor. */
static void pop_frame(struct tree *t)
{
	struct frame *f = &t->frames[t->depth - 1];
	_cleanup_close_ int fd = TAKE_FD(f->fd);

	drop_frames(t, t->depth - 1);
	if (!t->depth || f[-1].fd >= 0)
		return;
	if (!reopen(f - 1, open_directory(t, fd, "..")))
		find_again(t);
}

/* Enters the last of the waiting subdirectories. */
static int enter_next(struct tree *t)
{
	struct frame *f = &t->frames[t->depth - 1];
	size_t depth = t->depth, name = t->names_len - 1;
	int fd, r = 0;

	while (name > f->names && t->names[name - 1])
		name--;
	fd = open_directory(t, f->fd, t->names + name);
	if (fd >= 0)
		r = push_frame(t, fd, name);
	else if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP && fd != -EXDEV)
		t->out->partial = true;
	if (t->depth == depth)
		t->names_len = name;
	return r;
}

static int walk_frames(struct tree *t)
{
	int r = 0;

	while (t->depth && !t->time_up && !r) {
		struct frame *f = &t->frames[t->depth - 1];

		pace(t);
		if (t->names_len > f->names)
			r = enter_next(t);
		else if (!f->read_all)
			r = read_frame(t, f);
		else
			pop_frame(t);
	}
	return r;
}

int tree_walk(int root, struct walk_budget *b, struct tree_figures *ret)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	*ret = (struct tree_figures){0};
	t->budget = b;
	t->out = ret;
	r = open_directory(t, root, ".");
	if (r >= 0)
		r = push_frame(t, r, 0);
	if (r >= 0)
		r = walk_frames(t);
	drop_frames(t, 0);
	if (b)
		atomic_store_explicit(&b->pulse->files, ret->inodes, memory_order_relaxed);
	free(t->frames);
	free(t->names);
	free(t->links);
	free(t);
	return r;
}
