/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store-internal.h"

/*
 * librrd changes an RRD's header in place through a shared mapping: a process killed half way
 * leaves some data sources of a sample counted and others not, or a row written twice. So the
 * header as it was is kept in a mapped file, which survives the death of the process as the page
 * cache does; rows need no undo, the next update writes the same ones again.
 */
#define FAULTS_MAX 2
#define UNDO_MAGIC UINT64_C(0x31206f646e756c6c) /* "llundo 1" */

struct store_undo {
	uint64_t magic;
	uint32_t active; /* an update of `name` is under way */
	uint32_t faults; /* stores in a row that `dead` was fatal to */
	uint32_t fault;  /* this one died of a fault, not of a kill */
	uint32_t unused;
	uint64_t inode;
	uint64_t header_len;
	char name[STORE_NAME_MAX];
	char dead[STORE_NAME_MAX];
	char header[STORE_HEADER_MAX];
};

int undo_open(const char *path, struct store_undo **ret)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct store_undo *u;
	int r;

	if (fd < 0)
		return -errno;
	/* Allocated, as a store on a full file system would be a SIGBUS. */
	r = posix_fallocate(fd, 0, sizeof(*u));
	if (r)
		return -r;
	u = mmap(NULL, sizeof(*u), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (u == MAP_FAILED)
		return -errno;
	if (u->magic != UNDO_MAGIC) {
		memset(u, 0, sizeof(*u));
		u->magic = UNDO_MAGIC;
	}
	u->name[sizeof(u->name) - 1] = u->dead[sizeof(u->dead) - 1] = 0;
	*ret = u;
	return 0;
}

void undo_close(struct store_undo *u)
{
	if (u)
		munmap(u, sizeof(*u));
}

char *undo_header(struct store_undo *u)
{
	return u->header;
}

void undo_begin(struct store_undo *u, const char *name, uint64_t inode, size_t header_len)
{
	snprintf(u->name, sizeof(u->name), "%s", name);
	u->inode = inode;
	u->header_len = header_len;
	/* Only the death of this process is feared here: program order is enough. */
	__atomic_store_n(&u->active, 1, __ATOMIC_SEQ_CST);
}

void undo_done(struct store_undo *u)
{
	__atomic_store_n(&u->active, 0, __ATOMIC_SEQ_CST);
	if (u->faults && !strcmp(u->dead, u->name))
		u->faults = 0;
}

static void put_back(struct store_undo *u, int rrd_fd)
{
	_cleanup_close_ int fd = openat(rrd_fd, u->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	/* Another file by now: the update's is gone, and with it what was to be undone. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != u->inode ||
		u->header_len > sizeof(u->header))
		return;
	(void)!pwrite(fd, u->header, u->header_len, 0);
}

const char *undo_restore(struct store_undo *u, int rrd_fd)
{
	if (!u->active)
		return NULL;
	put_back(u, rrd_fd);
	u->active = 0;
	if (u->fault) {
		u->faults = strcmp(u->dead, u->name) ? 1 : u->faults + 1;
		snprintf(u->dead, sizeof(u->dead), "%s", u->name);
	}
	u->fault = 0;
	return u->name;
}

bool undo_is_fatal(const struct store_undo *u, const char *name)
{
	return u->faults >= FAULTS_MAX && !strcmp(u->dead, name);
}

void undo_note_fault(struct store_undo *u)
{
	u->fault = 1;
}
