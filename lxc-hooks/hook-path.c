/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../lib/listeners.h"
#include "hook.h"

/* "LXCPATH/NAME/config" -> "LXCPATH"; NULL for any other file. The caller frees. */
static char *path_of_config(const struct hook *k)
{
	_cleanup_free_ char *path = k->config_file ? strdup(k->config_file) : NULL;
	char *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return NULL;
	*slash = '\0';
	slash = strrchr(path, '/');
	if (!slash || slash == path || strcmp(slash + 1, k->name) != 0)
		return NULL;
	*slash = '\0';
	return TAKE_PTR(path);
}

struct search {
	const struct hook *k;
	const struct listeners *listeners;
	const char *guess;
	char *lxcpath;
};

/* A hash can only be tried. */
static const char *path_of_hash(const struct search *s, uint64_t hash)
{
	const struct config *config = s->k->config;

	for (size_t i = 0; i < config->lxcpaths; i++) {
		if (socket_hash(config->lxcpath[i], s->k->name) == hash)
			return config->lxcpath[i];
	}
	return s->guess && socket_hash(s->guess, s->k->name) == hash ? s->guess : NULL;
}

static bool look_at_socket(void *data, uint64_t inode)
{
	struct search *s = data;
	const struct listener *l = listeners_find(s->listeners, inode);
	_cleanup_free_ char *lxcpath = NULL, *name = NULL;
	uint64_t hash;

	if (!l)
		return true;
	if (socket_is_hashed(l->name, &hash)) {
		const char *path = path_of_hash(s, hash);

		s->lxcpath = path ? strdup(path) : NULL;
	} else if (socket_split(l->name, &lxcpath, &name) == 0 && strcmp(name, s->k->name) == 0) {
		s->lxcpath = TAKE_PTR(lxcpath);
	}
	return !s->lxcpath;
}

/* No variable tells it: the monitor's command socket does, and where the configuration lies. */
char *hook_lxcpath(const struct hook *k)
{
	_cleanup_free_ char *guess = path_of_config(k);
	struct listeners listeners = {0};
	struct search s = {.k = k, .listeners = &listeners, .guess = guess};

	if (k->monitor > 1 && listeners_read(&listeners, k->proc_fd, k->live) >= 0)
		process_sockets(k->proc_fd, k->monitor, look_at_socket, &s);
	listeners_free(&listeners);
	if (s.lxcpath)
		return s.lxcpath;
	return guess ? TAKE_PTR(guess) : strdup("");
}
