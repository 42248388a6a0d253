/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "level.h"

#include <fcntl.h>
#include <search.h>
#include <string.h>

#include "parse.h"

#define LEVEL_DEPTH_MAX 64
/* A file that was missing is tried again every so many cycles: controllers may come late. */
#define RETRY_CYCLES 32

struct level {
	enum controller controller;
	char *path;
	struct level *parent;
	unsigned int users, depth;
	uint64_t number; /* of making: so that not all are read again in the same cycle */
	int fd[PLAN_LIMITS_MAX], second_fd[PLAN_LIMITS_MAX];
	uint64_t read_in[PLAN_LIMITS_MAX]; /* the cycle that `own` belongs to */
	struct value own[PLAN_LIMITS_MAX];
	bool unknown[PLAN_LIMITS_MAX]; /* there is a file, but it could not be read */
	bool watched;                  /* who writes its limits is told of by levels_changed() */
	uint64_t changed_in;           /* what was read before this cycle no longer counts */
	uint64_t committed[PLAN_LIMITS_MAX], committed_in; /* the cycle that they belong to */
	struct level *next; /* all levels, deepest first only while summing */
};

struct levels {
	const struct plan *plan;
	const struct hierarchies *h;
	struct descriptors *descriptors;
	void *tree; /* tsearch by controller and path */
	struct level *all;
	uint64_t made;
	uint64_t cycle, files_read, read_errors;
};

enum {
	FD_UNTRIED = -1,
	FD_MISSING = -2
};

static int compare_levels(const void *a, const void *b)
{
	const struct level *x = a, *y = b;

	return x->controller != y->controller ? (int)x->controller - (int)y->controller
					      : strcmp(x->path, y->path);
}

struct levels *levels_new(
	const struct plan *plan, const struct hierarchies *h, struct descriptors *descriptors)
{
	struct levels *l = calloc(1, sizeof(*l));

	if (l)
		*l = (struct levels){.plan = plan, .h = h, .descriptors = descriptors, .cycle = 1};
	return l;
}

static void level_free(struct levels *l, struct level *level)
{
	for (size_t i = 0; i < PLAN_LIMITS_MAX; i++) {
		descriptors_drop(l->descriptors, level->fd[i]);
		descriptors_drop(l->descriptors, level->second_fd[i]);
	}
	free(level->path);
	free(level);
}

void levels_free(struct levels *l)
{
	if (!l)
		return;
	while (l->all) {
		struct level *level = l->all;

		l->all = level->next;
		tdelete(level, &l->tree, compare_levels);
		level_free(l, level);
	}
	free(l);
}

static struct level *level_new(struct levels *l, enum controller c, const char *path, size_t len)
{
	struct level *level = calloc(1, sizeof(*level));

	if (!level)
		return NULL;
	level->controller = c;
	level->number = l->made++;
	level->path = strndup(path, len);
	for (size_t i = 0; i < PLAN_LIMITS_MAX; i++)
		level->fd[i] = level->second_fd[i] = FD_UNTRIED;
	for (size_t i = 0; level->path && i < len; i++)
		level->depth += level->path[i] == '/';
	if (!level->path || !tsearch(level, &l->tree, compare_levels)) {
		level_free(l, level);
		return NULL;
	}
	level->next = l->all;
	l->all = level;
	return level;
}

static struct level *get(
	struct levels *l, enum controller c, const char *path, size_t len, int depth)
{
	struct level key = {.controller = c, .path = strndupa(path, len)}, **found, *level;
	size_t parent_len = len;

	/* The root cgroup has no limit files. */
	if (len <= 1 || depth > LEVEL_DEPTH_MAX)
		return NULL;
	found = tfind(&key, &l->tree, compare_levels);
	if (found) {
		(*found)->users++;
		return *found;
	}
	level = level_new(l, c, path, len);
	if (!level)
		return NULL;
	level->users = 1;
	while (parent_len > 0 && path[parent_len - 1] != '/')
		parent_len--;
	level->parent = get(l, c, path, parent_len > 0 ? parent_len - 1 : 0, depth + 1);
	return level;
}

struct level *level_get(struct levels *l, enum controller c, const char *path)
{
	return get(l, c, path, strlen(path), 0);
}

void level_put(struct levels *l, struct level *level)
{
	while (level && --level->users == 0) {
		struct level *parent = level->parent, **p = &l->all;

		while (*p != level)
			p = &(*p)->next;
		*p = level->next;
		tdelete(level, &l->tree, compare_levels);
		level_free(l, level);
		level = parent;
	}
}

void levels_begin(struct levels *l)
{
	l->cycle++;
}

void levels_changed(struct levels *l, enum controller c, const char *path)
{
	for (struct level *level = path ? NULL : l->all; level; level = level->next)
		level->changed_in = l->cycle + 1;
	for (int i = 0; path && i < CONTROLLER_COUNT; i++) {
		struct level key = {.controller = i, .path = (char *)path}, **found;

		/* A directory of v2 has the files of all controllers. */
		if (l->h->controller[i].version == 0 ||
			strcmp(l->h->controller[i].mount, l->h->controller[c].mount))
			continue;
		found = tfind(&key, &l->tree, compare_levels);
		if (!found)
			continue;
		(*found)->watched = true;
		(*found)->changed_in = l->cycle + 1;
	}
}

/* What a watched level said stays true until somebody is seen to write; to be safe it is read
 * again now and then all the same. */
static bool must_read(const struct levels *l, const struct level *level, size_t limit)
{
	uint64_t read_in = level->read_in[limit];

	if (read_in == l->cycle)
		return false;
	return !level->watched || level->unknown[limit] || read_in < level->changed_in ||
	       (l->cycle + level->number) % RETRY_CYCLES == 0;
}

static ssize_t read_level_file(struct levels *l, const struct level *level, int *fd,
	const char *file, char *buf, size_t size)
{
	const struct hierarchy *h = &l->h->controller[level->controller];
	char path[4096 + 256];
	bool opened = false;
	int kept = *fd;
	ssize_t n;

	if (*fd == FD_MISSING && l->cycle % RETRY_CYCLES != 0)
		return -ENOENT;
	if (kept < 0) {
		snprintf(path, sizeof(path), "%s/%s", level->path + 1, file);
		kept = openat(h->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		*fd = kept < 0 && errno == ENOENT ? FD_MISSING : FD_UNTRIED;
		if (kept < 0)
			return -errno;
		opened = true;
	}
	l->files_read++;
	n = pread_file(kept, buf, size);
	if (opened)
		*fd = n < 0 ? close_fd(kept) : descriptors_keep(l->descriptors, kept);
	else if (n < 0 || descriptors_short(l->descriptors))
		*fd = descriptors_drop(l->descriptors, kept);
	return n;
}

/* 0, -ENOENT where the level has no such file, or what went wrong. */
static int read_own(struct levels *l, struct level *level, size_t limit, struct value *ret)
{
	const struct plan_limit *want = &l->plan->limits[limit];
	struct value period;
	char buf[256];
	ssize_t n = read_level_file(l, level, &level->fd[limit], want->file, buf, sizeof(buf));
	int r;

	if (n < 0)
		return (int)n;
	if (want->grammar == GRAMMAR_CPU_QUOTA)
		return parse_cpu_quota(buf, n, ret);
	r = parse_number(buf, n, 1, ret);
	if (r < 0 || want->grammar != GRAMMAR_CPU_CFS || !value_is_number(*ret))
		return r;
	n = read_level_file(
		l, level, &level->second_fd[limit], want->second_file, buf, sizeof(buf));
	r = n < 0 ? (int)n : parse_number(buf, n, 1, &period);
	if (r < 0 || !value_is_number(period) || period.number == 0)
		return r < 0 ? r : -EBADMSG;
	ret->number = (unsigned __int128)ret->number * NSEC_PER_SEC / period.number;
	return 0;
}

static struct value own_limit(struct levels *l, struct level *level, size_t limit)
{
	struct value own = value_absent();

	if (must_read(l, level, limit)) {
		int r = read_own(l, level, limit, &own);

		level->own[limit] = r < 0 ? value_absent() : own;
		level->unknown[limit] = r < 0 && r != -ENOENT;
		level->read_in[limit] = l->cycle;
		l->read_errors += level->unknown[limit] && r != -ENODEV;
	}
	return level->own[limit];
}

struct value level_limit(struct levels *l, struct level *level, size_t limit, struct value known,
	const char **ret_path)
{
	struct value smallest = known;

	*ret_path = NULL;
	for (; level; level = level->parent) {
		struct value own = own_limit(l, level, limit);

		if (known.state != VALUE_ABSENT) {
			/* A hierarchy of an old kernel may not hand its limits down. */
			if (value_is_number(own) && own.number == smallest.number &&
				value_is_number(known) && !*ret_path)
				*ret_path = level->path;
			continue;
		}
		if (level->unknown[limit]) {
			*ret_path = NULL;
			return value_absent();
		}
		if (own.state == VALUE_UNLIMITED && smallest.state == VALUE_ABSENT)
			smallest = own;
		if (value_is_number(own) &&
			(!value_is_number(smallest) || own.number < smallest.number)) {
			smallest = own;
			*ret_path = level->path;
		}
	}
	return smallest;
}

void level_commit(struct levels *l, struct level *level, size_t limit, uint64_t number)
{
	if (level->committed_in != l->cycle)
		memset(level->committed, 0, sizeof(level->committed));
	level->committed_in = l->cycle;
	level->committed[limit] += number;
}

/* A level's children hand up at most the level's own limit, deepest levels first. */
uint64_t levels_committed(struct levels *l, size_t limit)
{
	enum controller c = l->plan->limits[limit].controller;
	unsigned int deepest = 0;
	uint64_t total = 0;

	for (struct level *level = l->all; level; level = level->next)
		if (level->controller == c)
			deepest = MAX(deepest, level->depth);
	for (unsigned int depth = deepest; depth > 0; depth--) {
		for (struct level *level = l->all; level; level = level->next) {
			uint64_t sum = level->committed[limit];
			struct value own;

			if (level->depth != depth || level->controller != c ||
				level->committed_in != l->cycle || sum == 0)
				continue;
			own = own_limit(l, level, limit);
			if (value_is_number(own))
				sum = MIN(sum, own.number);
			if (level->parent)
				level_commit(l, level->parent, limit, sum);
			else
				total += sum;
		}
	}
	return total;
}

uint64_t levels_files_read(const struct levels *l)
{
	return l->files_read;
}

uint64_t levels_read_errors(const struct levels *l)
{
	return l->read_errors;
}
