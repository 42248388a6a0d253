/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A FUSE file system that hangs, without libfuse: mounts itself on DIRECTORY, starts a process
 * whose root that is, prints its pid, and from then on answers nothing ("mute") or nothing
 * about directories' contents ("shy"). With "bare" there is no such process.
 * usage: hung-fuse DIRECTORY mute|shy|bare
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header h = {
		.len = (uint32_t)(sizeof(h) + len),
		.error = error,
		.unique = unique,
	};
	struct iovec v[2] = {{&h, sizeof(h)}, {(void *)data, len}};

	if (writev(fuse, v, 2) < 0 && errno != ENOENT)
		perror("hung-fuse: answer");
}

static void serve(int fuse, const struct fuse_in_header *in, bool shy)
{
	const struct fuse_init_in *init = (const void *)(in + 1);
	struct fuse_init_out init_out = {.major = 7, .minor = 31, .max_write = 65536};
	struct fuse_attr_out attr = {.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
	struct fuse_statfs_out statfs = {.st = {.blocks = 100, .bfree = 60, .bsize = 4096}};

	switch (in->opcode) {
	case FUSE_INIT:
		init_out.max_readahead = init->max_readahead;
		answer(fuse, in->unique, 0, &init_out, sizeof(init_out));
		break;
	case FUSE_GETATTR:
		answer(fuse, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_STATFS:
		answer(fuse, in->unique, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_OPENDIR:
	case FUSE_READDIR:
		if (shy)
			break;
		/* fall through */
	default:
		answer(fuse, in->unique, -ENOSYS, NULL, 0);
	}
}

/* The pid; *inside becomes readable once its root is there. */
static pid_t start_inhabitant(const char *directory, int *inside)
{
	int pipefd[2] = {-1, -1};
	pid_t pid = pipe(pipefd) < 0 ? -1 : fork();

	*inside = pipefd[0];
	if (pid)
		return pid;
	if (chroot(directory) < 0 || write(pipefd[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static char buf[1 << 20];
	char options[128];
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), inside = -1;
	struct pollfd p[2] = {{.fd = fuse, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	bool shy, bare;
	pid_t pid = 0;

	if (argc != 3 || fuse < 0)
		return 2;
	shy = strcmp(argv[2], "shy") == 0;
	bare = strcmp(argv[2], "bare") == 0;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		fuse);
	if (mount("hung", argv[1], "fuse", MS_NOSUID, options) < 0) {
		perror("hung-fuse: mount");
		return 2;
	}
	if (!bare)
		pid = start_inhabitant(argv[1], &inside);
	p[1].fd = inside;
	while (poll(p, 2, -1) > 0) {
		if (p[1].revents) {
			p[1].fd = -1;
			printf("%d\n", (int)pid);
			fflush(stdout);
			if (!shy)
				break;
		}
		if (!p[0].revents)
			continue;
		if (read(fuse, buf, sizeof(buf)) <= 0)
			return 0; /* unmounted */
		serve(fuse, (const void *)buf, shy);
		if (bare)
			break;
	}
	for (;;)
		pause();
}
