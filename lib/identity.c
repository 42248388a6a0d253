/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "instance.h"

static bool copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

struct identity *identity_copy(const struct identity *from)
{
	_cleanup_(identity_free) struct identity *id = malloc(sizeof(*id));
	bool ok = true;

	if (!id)
		return NULL;
	*id = *from;
	ok &= copy_text(&id->name, from->name);
	ok &= copy_text(&id->lxcpath, from->lxcpath);
	ok &= copy_text(&id->handle, from->handle);
	ok &= copy_text(&id->context, from->context);
	ok &= copy_text(&id->kind, from->kind);
	ok &= copy_text(&id->hostname, from->hostname);
	ok &= copy_text(&id->groups, from->groups);
	ok &= copy_text(&id->rootfs, from->rootfs);
	ok &= copy_text(&id->facts, from->facts);
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		ok &= copy_text(&id->cgroup[c], from->cgroup[c]);
		ok &= copy_text(&id->limit_cgroup[c], from->limit_cgroup[c]);
	}
	return ok ? TAKE_PTR(id) : NULL;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	free(id->name);
	free(id->lxcpath);
	free(id->handle);
	free(id->context);
	free(id->kind);
	free(id->hostname);
	free(id->groups);
	free(id->rootfs);
	free(id->facts);
	for (size_t c = 0; c < CONTROLLER_COUNT; c++) {
		free(id->cgroup[c]);
		free(id->limit_cgroup[c]);
	}
	free(id);
}
