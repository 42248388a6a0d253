/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/spool.h"
#include "cli.h"
#include "json.h"

/* What configurations of LXC's own templates include, all "*.conf" of it. */
#define DIRECTORY_DEFAULT "/usr/share/lxc/config/common.conf.d"
#define FILE_DEFAULT      SHAREDIR "/lxc.conf"
#define PROGRAM           LIBEXEC "/loadcell-hook"
#define LINK_NAME         "loadcell.conf"

struct hooks {
	const struct cli *cli;
	const char *file, *directory;
	bool json;
	char *link;
};

/* --- the link --------------------------------------------------------------------------------- */

enum link_state {
	LINK_ABSENT,
	LINK_OURS,
	LINK_OTHER, /* another file or link has the name */
	LINK_UNREADABLE,
};

static enum link_state link_state(const struct hooks *h)
{
	char target[PATH_MAX];
	ssize_t n = readlink(h->link, target, sizeof(target) - 1);

	if (n < 0)
		return errno == ENOENT   ? LINK_ABSENT
		       : errno == EINVAL ? LINK_OTHER
					 : LINK_UNREADABLE;
	target[n] = '\0';
	return strcmp(target, h->file) == 0 ? LINK_OURS : LINK_OTHER;
}

static int fail_errno(const struct hooks *h, const char *what)
{
	if (errno == EACCES || errno == EPERM)
		return cli_fail(h->cli, CLI_FAILED, "cannot %s %s: become root", what, h->link);
	if (errno == ENOENT || errno == ENOTDIR)
		return cli_fail(h->cli, CLI_FAILED,
			"there is no directory %s: is LXC installed? --directory names another",
			h->directory);
	return cli_fail(h->cli, CLI_FAILED, "cannot %s %s: %m", what, h->link);
}

static int fail_other(const struct hooks *h)
{
	return cli_fail(h->cli, CLI_FAILED,
		"%s is not loadcell's link to %s: look at it, remove it", h->link, h->file);
}

static int hooks_install(const struct hooks *h)
{
	if (access(h->file, R_OK) < 0)
		return cli_fail(h->cli, CLI_FAILED,
			"cannot read %s: %m; make install puts it there", h->file);
	switch (link_state(h)) {
	case LINK_OURS:
		fprintf(h->cli->out, "The hooks are in place already: %s\n", h->link);
		return CLI_DONE;
	case LINK_OTHER:
		return fail_other(h);
	case LINK_ABSENT:
	case LINK_UNREADABLE:
		break;
	}
	if (symlink(h->file, h->link) < 0)
		return fail_errno(h, "make");
	fprintf(h->cli->out,
		"The hooks are in place: %s\nInstances take them at their next start.\n", h->link);
	return CLI_DONE;
}

static int hooks_remove(const struct hooks *h)
{
	switch (link_state(h)) {
	case LINK_ABSENT:
		fprintf(h->cli->out, "The hooks are not in place: there is no %s\n", h->link);
		return CLI_DONE;
	case LINK_OTHER:
		return fail_other(h);
	case LINK_OURS:
	case LINK_UNREADABLE:
		break;
	}
	if (unlink(h->link) < 0)
		return fail_errno(h, "remove");
	fprintf(h->cli->out,
		"The hooks are removed; instances that run keep theirs until their next start.\n");
	return CLI_DONE;
}

/* --- the containers --------------------------------------------------------------------------- */

enum answer {
	ANSWER_UNKNOWN,
	ANSWER_NO,
	ANSWER_YES
};

struct container {
	char *name;
	const char *lxcpath;
	enum answer configured; /* its configuration has the hooks */
	enum answer running;
	enum answer hooked; /* what runs was started with them */
};

struct containers {
	struct container *list;
	size_t n, cap;
};

static struct container *containers_add(struct containers *all)
{
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 64;
		struct container *bigger = reallocarray(all->list, cap, sizeof(*bigger));

		if (!bigger)
			return NULL;
		all->list = bigger;
		all->cap = cap;
	}
	return &all->list[all->n++];
}

/* A monitor keeps the lines it was started with: only its start record tells which. */
static void find_run(const struct hooks *h, const struct view *v, struct container *c)
{
	struct snapshot_row row;

	c->running = v->snapshot && !v->stale ? ANSWER_NO : ANSWER_UNKNOWN;
	for (size_t i = 0; v->snapshot && snapshot_row(v->snapshot, SCOPE_INSTANCE, i, &row) == 0;
		i++) {
		int r;

		if (strcmp(row.text[TEXT_NAME], c->name) != 0 ||
			strcmp(row.text[TEXT_LXCPATH], c->lxcpath) != 0)
			continue;
		r = spool_has_start(h->cli->config->run_dir, row.run);
		c->running = v->stale ? ANSWER_UNKNOWN : ANSWER_YES;
		c->hooked = r < 0 ? ANSWER_UNKNOWN : r ? ANSWER_YES : ANSWER_NO;
	}
}

static int read_lxcpath(
	const struct hooks *h, const char *lxcpath, const struct view *v, struct containers *all)
{
	_cleanup_closedir_ DIR *dir = opendir(lxcpath);
	const struct dirent *entry;

	if (!dir) {
		if (errno != ENOENT)
			(void)cli_fail(h->cli, CLI_FAILED, "cannot read %s: %m", lxcpath);
		return errno == ENOENT ? CLI_DONE : CLI_FAILED;
	}
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s/config", lxcpath, entry->d_name);
		struct container *c;
		struct stat st;
		int r;

		if (entry->d_name[0] == '.' || !path || lstat(path, &st) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		c = containers_add(all);
		if (!c)
			return cli_fail(h->cli, CLI_FAILED, "out of memory");
		r = lxc_config_has_hooks(path);
		*c = (struct container){.name = strdup(entry->d_name),
			.lxcpath = lxcpath,
			.configured = r < 0 ? ANSWER_UNKNOWN
				      : r   ? ANSWER_YES
					    : ANSWER_NO};
		if (c->name)
			find_run(h, v, c);
		else
			all->n--;
	}
	return CLI_DONE;
}

static int by_name(const void *a, const void *b)
{
	const struct container *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->lxcpath, y->lxcpath);
}

/* --- status ----------------------------------------------------------------------------------- */

static void put_container(FILE *out, const struct container *c, size_t width)
{
	static const char *const configured[] = {"?", "no", "yes"};
	const char *runs = c->running == ANSWER_UNKNOWN  ? "?"
			   : c->running == ANSWER_NO     ? "-"
			   : c->hooked == ANSWER_UNKNOWN ? "running"
			   : c->hooked == ANSWER_YES     ? "with hooks"
							 : "without";
	_cleanup_free_ char *clean = text_clean(c->name);
	_cleanup_free_ char *name = clean ? text_fit(clean, width, false) : NULL;

	text_line(out, "%s  %-10s  %-10s  %s", name ? name : "?", configured[c->configured], runs,
		c->lxcpath);
}

static void status_text(const struct hooks *h, enum link_state state, const struct containers *all)
{
	static const char *const states[] = {
		[LINK_ABSENT] = "not in place: loadcell hooks install",
		[LINK_OURS] = "in place",
		[LINK_OTHER] = "not in place: another file is there",
		[LINK_UNREADABLE] = "cannot be looked at",
	};
	FILE *out = h->cli->out;
	size_t width = strlen("NAME");

	text_line(out, "hooks    %s (%s)", states[state], h->link);
	if (access(h->file, R_OK) < 0)
		text_line(out, "trouble  %s cannot be read: %m", h->file);
	else if (strcmp(h->file, FILE_DEFAULT) == 0 && access(PROGRAM, X_OK) < 0)
		text_line(out, "trouble  %s cannot be run: %m", PROGRAM);
	text_line(out, "for configurations without common.conf, one line:");
	text_line(out, "lxc.include = %s", h->file);
	if (!all->n)
		return;
	for (size_t i = 0; i < all->n; i++) {
		_cleanup_free_ char *clean = text_clean(all->list[i].name);

		width = MAX(width, clean ? text_width(clean) : 0);
	}
	fprintf(out, "\n%-*s  %-10s  %-10s  %s\n", (int)width, "NAME", "CONFIGURED", "RUNS",
		"LXCPATH");
	for (size_t i = 0; i < all->n; i++)
		put_container(out, &all->list[i], width);
}

static void json_answer(struct json_out *j, const char *key, enum answer answer)
{
	if (answer == ANSWER_UNKNOWN)
		json_text(j, key, NULL);
	else
		json_bool(j, key, answer == ANSWER_YES);
}

static void status_json(const struct hooks *h, enum link_state state, const struct containers *all)
{
	struct json_out j = {.out = h->cli->out};
	_cleanup_free_ char *include = format_string("lxc.include = %s", h->file);

	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_bool(&j, "installed", state == LINK_OURS);
	json_text(&j, "link", h->link);
	json_text(&j, "file", h->file);
	json_text(&j, "include", include);
	json_begin(&j, "containers", '[');
	for (size_t i = 0; i < all->n; i++) {
		const struct container *c = &all->list[i];

		json_line(&j);
		json_begin(&j, NULL, '{');
		json_text(&j, "name", c->name);
		json_text(&j, "lxcpath", c->lxcpath);
		json_answer(&j, "configured", c->configured);
		json_answer(&j, "running", c->running);
		json_answer(&j, "hooked", c->hooked);
		json_end(&j, '}');
	}
	json_end(&j, ']');
	json_end(&j, '}');
	putc('\n', h->cli->out);
}

static int hooks_status(const struct hooks *h)
{
	const struct config *config = h->cli->config;
	_cleanup_(view_close) struct view view = {0};
	struct containers all = {0};
	int r = CLI_DONE;

	/* Without a sample nothing tells what runs, and the table says so. */
	(void)view_load(config, &view, NULL);
	for (size_t i = 0; i < config->lxcpaths && r == CLI_DONE; i++)
		r = read_lxcpath(h, config->lxcpath[i], &view, &all);
	if (all.n)
		qsort(all.list, all.n, sizeof(all.list[0]), by_name);
	(h->json ? status_json : status_text)(h, link_state(h), &all);
	for (size_t i = 0; i < all.n; i++)
		free(all.list[i].name);
	free(all.list);
	return r;
}

int hooks_main(struct cli *cli, int argc, char **argv)
{
	struct hooks h = {.cli = cli, .file = FILE_DEFAULT, .directory = DIRECTORY_DEFAULT};
	const struct cli_option options[] = {
		{"json", 0, NULL, &h.json, "the status as JSON"},
		{"directory", 0, "DIR", &h.directory, "instead of " DIRECTORY_DEFAULT},
		{"file", 0, "FILE", &h.file, "to link there, instead of " FILE_DEFAULT},
	};
	_cleanup_free_ char *link = NULL;
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));
	const char *word = optind < argc ? argv[optind] : "";

	if (r >= 0)
		return r;
	if (optind + 1 != argc)
		return cli_usage(cli, "one of install, remove and status is expected");
	link = format_string("%s/%s", h.directory, LINK_NAME);
	if (!link)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	h.link = link;
	if (strcmp(word, "install") == 0)
		return hooks_install(&h);
	if (strcmp(word, "remove") == 0)
		return hooks_remove(&h);
	if (strcmp(word, "status") == 0)
		return hooks_status(&h);
	return cli_usage(cli, "there is no loadcell hooks %s", word);
}
