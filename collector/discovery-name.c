/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "discovery-internal.h"

bool uid_is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* Other doors print names on terminals and in JSON. */
bool text_is_plain(const char *text)
{
	json_t *utf8 = json_string(text);

	json_decref(utf8);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return utf8 != NULL;
}

/* Only configured paths are looked at: another one may lie on a file system that hangs. */
bool lxcpath_may_be_of(const struct discovery *d, const char *lxcpath, uid_t uid)
{
	struct stat st;

	for (size_t i = 0; i < d->config->lxcpaths; i++) {
		if (strcmp(d->config->lxcpath[i], lxcpath) == 0)
			return stat(lxcpath, &st) == 0 && st.st_uid == uid;
	}
	return true;
}

/* Who may make cgroups beside this one. */
static int parent_owner(const struct discovery *d, const struct place *p, uid_t *ret)
{
	_cleanup_free_ char *parent = strdup(below_mount(p->path));
	struct stat st;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	strcpy(slash ? slash : parent, slash ? "" : ".");
	if (fstatat(d->h->controller[p->where].fd, parent, &st, 0) < 0)
		return -errno;
	*ret = st.st_uid;
	return 0;
}

static void set_text(char **to, char *text)
{
	free(*to);
	*to = text;
}

static enum verdict set_name(struct place *p, const char *lxcpath, const char *name)
{
	set_text(&p->lxcpath, strdup(lxcpath));
	set_text(&p->name, strdup(name));
	return p->lxcpath && p->name ? VERDICT_NAMED : VERDICT_LATER;
}

/* --- by the monitor's socket ------------------------------------------------------------------ */

static enum verdict name_by_socket(struct discovery *d, struct place *p, const struct listener *l,
	const char *cgroup_name, const struct process *init, uid_t owner)
{
	struct process monitor;
	char *lxcpath, *name;
	int r = process_read(d, init->ppid, &monitor);

	if (r < 0)
		return VERDICT_LATER;
	r = listener_name(d, l, cgroup_name, &lxcpath, &name);
	if (r == -ENOENT && cgroup_name && uid_is_trusted(monitor.euid)) {
		/* A hash of an lxcpath that nothing tells. */
		lxcpath = strdup("");
		name = strdup(cgroup_name);
	} else if (r < 0) {
		place_refuse(d, p, "its command socket's name tells nothing");
		return VERDICT_REFUSED;
	}
	if (p->uid != monitor.euid || !p->lxcpath || !lxcpath || strcmp(p->lxcpath, lxcpath) != 0)
		p->confirmed = false;
	set_text(&p->lxcpath, lxcpath);
	set_text(&p->name, name);
	p->uid = monitor.euid;
	p->socket = l->inode;
	if (!p->lxcpath || !p->name)
		return VERDICT_LATER;
	if (!uid_is_trusted(owner) && owner != monitor.euid) {
		place_refuse(d, p, "user %u may make cgroups there, but its monitor is user %u's",
			(unsigned int)owner, (unsigned int)monitor.euid);
		return VERDICT_REFUSED;
	}
	if (uid_is_trusted(monitor.euid))
		return VERDICT_NAMED;
	if (!lxcpath_may_be_of(d, p->lxcpath, monitor.euid)) {
		place_refuse(d, p, "user %u says that it is %s in %s, which is not his",
			(unsigned int)monitor.euid, p->name, p->lxcpath);
		return VERDICT_REFUSED;
	}
	return p->confirmed ? VERDICT_NAMED : VERDICT_ASK;
}

/* --- without a monitor ------------------------------------------------------------------------ */

static bool taken(
	const struct discovery *d, const struct place *p, const char *lxcpath, const char *name)
{
	const struct index_entry *e = index_find(d->index, lxcpath, name);
	const struct place *other = e ? place_by_number(d, e->number) : NULL;

	return other && other != p;
}

/* The index knows the run, or there is a directory of that name which only root can have made. */
static bool name_fits(const struct discovery *d, const struct place *p, const char *lxcpath,
	const char *name, uint64_t run, bool root_made)
{
	const struct index_entry *e = index_find(d->index, lxcpath, name);
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (taken(d, p, lxcpath, name))
		return false;
	if (e && e->run == run)
		return true;
	if (!root_made || !lxcpath[0])
		return false;
	path = format_string("%s/%s", lxcpath, name);
	return path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && uid_is_trusted(st.st_uid);
}

char *without_suffix(const char *name)
{
	const char *dash = strrchr(name, '-');

	if (!dash || dash == name || !dash[1] || dash[1 + strspn(dash + 1, "0123456789")])
		return NULL;
	return strndup(name, (size_t)(dash - name));
}

static enum verdict name_without_monitor(
	struct discovery *d, struct place *p, const char *cgroup_name, uint64_t run, uid_t owner)
{
	bool root_made = uid_is_trusted(owner);
	_cleanup_free_ char *shorter = without_suffix(cgroup_name);
	const char *names[] = {cgroup_name, shorter};

	p->uid = 0;
	p->socket = 0;
	for (size_t n = 0; n < ARRAY_SIZE(names) && names[n]; n++) {
		for (size_t i = 0; i < d->config->lxcpaths; i++) {
			if (name_fits(d, p, d->config->lxcpath[i], names[n], run, root_made))
				return set_name(p, d->config->lxcpath[i], names[n]);
		}
	}
	if (root_made)
		return taken(d, p, "", cgroup_name) ? VERDICT_LATER : set_name(p, "", cgroup_name);
	place_refuse(d, p, "user %u may make cgroups there, and it has no monitor of his",
		(unsigned int)owner);
	return VERDICT_REFUSED;
}

/* In the index the kind stands for the lxcpath: names of two kinds are different instances. */
static enum verdict name_of_other_kind(
	struct discovery *d, struct place *p, const char *cgroup_name, uid_t owner)
{
	_cleanup_free_ char *space = format_string("%s:", p->pattern->kind);

	p->uid = 0;
	if (!space)
		return VERDICT_LATER;
	if (!uid_is_trusted(owner))
		place_refuse(d, p, "user %u may make cgroups there", (unsigned int)owner);
	else if (!text_is_plain(cgroup_name))
		place_refuse(d, p, "its name is not UTF-8, or has control characters");
	else
		return set_name(p, space, cgroup_name);
	return VERDICT_REFUSED;
}

enum verdict place_name(struct discovery *d, struct place *p, const char *cgroup_name,
	const struct process *init, bool sure, uint64_t run)
{
	const struct listener *l;
	enum verdict verdict;
	uid_t owner = 0;

	if (parent_owner(d, p, &owner) < 0)
		return VERDICT_LATER;
	if (!place_is_lxc(p))
		return name_of_other_kind(d, p, cgroup_name, owner);
	if (!p->pattern)
		cgroup_name = NULL;
	l = monitor_listener(d, init->ppid, cgroup_name);
	if (l)
		verdict = name_by_socket(d, p, l, cgroup_name, init, owner);
	else if (!sure || !p->pattern)
		return VERDICT_LATER; /* attached to an instance that has no init (yet) */
	else
		verdict = name_without_monitor(d, p, cgroup_name, run, owner);
	if ((verdict == VERDICT_NAMED || verdict == VERDICT_ASK) &&
		!(text_is_plain(p->name) && text_is_plain(p->lxcpath))) {
		place_refuse(d, p, "its name is not UTF-8, or has control characters");
		return VERDICT_REFUSED;
	}
	return verdict;
}
