/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lxc-call.h"

#include <grp.h>
#include <limits.h>
#include <lxc/lxccontainer.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define ITEM_MAX   16384 /* of one configuration item */
#define NOBODY_GID 65534

static json_t *failed(const char *sentence, bool untrusted)
{
	json_t *answer = json_pack("{s:s?}", "error", sentence);

	if (untrusted)
		json_object_set_new(answer, "untrusted", json_true());
	return answer;
}

json_t *lxc_call_list(const char *lxcpath)
{
	char **names = NULL;
	int n = list_active_containers(lxcpath, &names, NULL);
	json_t *list = json_array();

	/* json_string() is NULL for what is not UTF-8: such a name is left out. */
	for (int i = 0; i < n; i++) {
		json_t *name = json_string(names[i]);

		if (name)
			json_array_append_new(list, name);
	}
	return json_pack("{s:o}", "names", list);
}

static bool is_own_directory(const char *path, uid_t uid)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid;
}

/*
 * liblxc makes its lock file below XDG_RUNTIME_DIR or HOME (src/lxc/utils.c get_rundir()) and
 * gives no container without it. A user who has neither has the lxcpath.
 */
static void set_home(uid_t uid, const char *lxcpath)
{
	const struct passwd *pw = getpwuid(uid);
	char dir[64];

	snprintf(dir, sizeof(dir), "/run/user/%u", (unsigned int)uid);
	unsetenv("XDG_RUNTIME_DIR");
	if (is_own_directory(dir, uid))
		setenv("XDG_RUNTIME_DIR", dir, 1);
	setenv("HOME", pw && is_own_directory(pw->pw_dir, uid) ? pw->pw_dir : lxcpath, 1);
}

static int become(uid_t uid, struct error *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY_GID, NOBODY_GID, NOBODY_GID) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return error_set(err, -errno, "cannot become user %u: %m", (unsigned int)uid);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* The change of user cleared it (kernel/cred.c commit_creds()). */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

char *lxc_item(struct lxc_container *c, const char *key)
{
	int len = c->get_config_item(c, key, NULL, 0);
	char *text;

	if (len <= 0 || len > ITEM_MAX)
		return NULL;
	text = malloc((size_t)len + 1);
	if (text && c->get_config_item(c, key, text, len + 1) != len) {
		free(text);
		text = NULL;
	}
	return text;
}

static json_t *lines(char *text)
{
	json_t *list = json_array();
	char *line;

	while ((line = strsep(&text, "\n"))) {
		json_t *word = *line ? json_string(line) : NULL;

		if (word)
			json_array_append_new(list, word);
	}
	return list;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = text && *text ? json_string(text) : NULL;

	if (value)
		json_object_set_new(object, key, value);
}

static json_t *describe(struct lxc_container *c)
{
	json_t *answer = json_object();
	pid_t init = c->init_pid(c);
	char *hostname = NULL, *groups = lxc_item(c, "lxc.group"),
	     *rootfs = lxc_item(c, "lxc.rootfs.path");
	const char *path = rootfs;

	/* The running one may have been set by lxc-start -s; a dead monitor cannot tell. */
	if (init > 0) {
		json_object_set_new(answer, "init", json_integer(init));
		hostname = c->get_running_config_item(c, "lxc.uts.name");
	}
	if (!hostname || !*hostname) {
		free(hostname);
		hostname = lxc_item(c, "lxc.uts.name");
	}
	set_text(answer, "hostname", hostname);
	if (groups)
		json_object_set_new(answer, "groups", lines(groups));
	/* "dir:/path" or "/path"; what other back ends name is no directory of the host. */
	if (path && strncmp(path, "dir:", 4) == 0)
		path += 4;
	if (path && path[0] == '/')
		set_text(answer, "rootfs", path);
	json_object_set_new(answer, "facts", lxc_facts(c, init));
	free(hostname);
	free(groups);
	free(rootfs);
	return answer;
}

json_t *lxc_call_owner(const char *lxcpath, uid_t uid)
{
	struct error err;

	if (become(uid, &err) < 0)
		return failed(err.text, false);
	if (!is_own_directory(lxcpath, uid))
		return failed("the lxcpath is not the user's own directory", true);
	return json_object();
}

json_t *lxc_call_describe(const char *lxcpath, const char *name, uid_t uid)
{
	char config[PATH_MAX];
	struct lxc_container *c;
	struct error err;
	json_t *answer;

	if ((size_t)snprintf(config, sizeof(config), "%s/%s/config", lxcpath, name) >=
		sizeof(config))
		return failed("the path is too long", true);
	if (uid != 0) {
		answer = lxc_call_owner(lxcpath, uid);
		if (json_object_size(answer))
			return answer;
		json_decref(answer);
		set_home(uid, lxcpath);
	} else if (trusted_path(config, &err) < 0) {
		return failed(err.text, false);
	}
	c = lxc_container_new(name, lxcpath);
	if (!c)
		return failed("liblxc gives no such container", false);
	answer = describe(c);
	lxc_container_put(c);
	return answer;
}
