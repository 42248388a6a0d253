/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/spool.h"
#include "cli.h"
#include "json.h"

/* What configurations of LXC's own templates include, all "*.conf" of it. */
#define DIRECTORY_DEFAULT "/usr/share/lxc/config/common.conf.d"
#define FILE_DEFAULT      SHAREDIR "/lxc.conf"
#define PROGRAM           LIBEXEC "/loadcell-hook"
#define COPY_NAME         "loadcell.conf"
#define FILE_MAX          65536
#define FIRST_WORDS       "# Hooks of loadcell" /* tells it from any other file */

struct hooks {
	const struct cli *cli;
	const char *file, *directory;
	bool json;
	char *copy;
};

/* --- the copy --------------------------------------------------------------------------------- */

/*
 * A copy, no link: LXC neither starts nor stops any container whose configuration includes a
 * directory with a link to nowhere (src/lxc/parse.c of LXC 5), and the file linked to goes when
 * loadcell is removed. The copy's lines do without all of loadcell.
 */
enum state {
	STATE_ABSENT,
	STATE_CURRENT,
	STATE_OLDER, /* loadcell's, but of another version */
	STATE_OTHER, /* another file has the name */
	STATE_UNREADABLE,
};

static enum state hooks_state(const struct hooks *h)
{
	_cleanup_free_ char *copy = NULL, *file = NULL;
	size_t copy_len, file_len;
	int r = read_file_alloc(AT_FDCWD, h->copy, FILE_MAX, &copy, &copy_len);

	if (r == -ENOENT)
		return STATE_ABSENT;
	if (r < 0)
		return r == -EFBIG ? STATE_OTHER : STATE_UNREADABLE;
	if (strncmp(copy, FIRST_WORDS, strlen(FIRST_WORDS)) != 0)
		return STATE_OTHER;
	/* Without the original there is nothing newer. */
	if (read_file_alloc(AT_FDCWD, h->file, FILE_MAX, &file, &file_len) < 0)
		return STATE_CURRENT;
	return copy_len == file_len && memcmp(copy, file, file_len) == 0 ? STATE_CURRENT
									 : STATE_OLDER;
}

static int fail_errno(const struct hooks *h, const char *what, int error)
{
	if (error == EACCES || error == EPERM)
		return cli_fail(h->cli, CLI_FAILED, "cannot %s %s: become root", what, h->copy);
	if (error == ENOENT || error == ENOTDIR)
		return cli_fail(h->cli, CLI_FAILED,
			"there is no directory %s: is LXC installed? --directory names another",
			h->directory);
	return cli_fail(h->cli, CLI_FAILED, "cannot %s %s: %s", what, h->copy, strerror(error));
}

static int fail_other(const struct hooks *h)
{
	return cli_fail(h->cli, CLI_FAILED, "%s is not loadcell's: look at it, remove it", h->copy);
}

static int copy_file(const struct hooks *h)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = read_file_alloc(AT_FDCWD, h->file, FILE_MAX, &text, &len);

	if (r < 0)
		return cli_fail(h->cli, CLI_FAILED,
			"cannot read %s: %s; make install puts it there", h->file, strerror(-r));
	if (strncmp(text, FIRST_WORDS, strlen(FIRST_WORDS)) != 0)
		return cli_fail(h->cli, CLI_FAILED,
			"%s is not loadcell's: it has to begin with \"%s\"", h->file, FIRST_WORDS);
	r = replace_file(h->copy, text, len, 0644, true);
	return r < 0 ? fail_errno(h, "write", -r) : CLI_DONE;
}

static int hooks_install(const struct hooks *h)
{
	enum state state = hooks_state(h);
	int r;

	if (state == STATE_OTHER)
		return fail_other(h);
	r = copy_file(h);
	if (r != CLI_DONE)
		return r;
	if (state == STATE_CURRENT)
		fprintf(h->cli->out, "The hooks are in place already: %s\n", h->copy);
	else
		fprintf(h->cli->out,
			"The hooks are in place: %s\nInstances take them at their next start.\n",
			h->copy);
	return CLI_DONE;
}

static int hooks_remove(const struct hooks *h)
{
	switch (hooks_state(h)) {
	case STATE_ABSENT:
		fprintf(h->cli->out, "The hooks are not in place: there is no %s\n", h->copy);
		return CLI_DONE;
	case STATE_OTHER:
		return fail_other(h);
	case STATE_CURRENT:
	case STATE_OLDER:
	case STATE_UNREADABLE:
		break;
	}
	if (unlink(h->copy) < 0)
		return fail_errno(h, "remove", errno);
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

static void status_text(const struct hooks *h, enum state state, const struct containers *all)
{
	static const char *const states[] = {
		[STATE_ABSENT] = "not in place: loadcell hooks install",
		[STATE_CURRENT] = "in place",
		[STATE_OLDER] = "in place, of another version: loadcell hooks install",
		[STATE_OTHER] = "not in place: another file is there",
		[STATE_UNREADABLE] = "cannot be looked at",
	};
	FILE *out = h->cli->out;
	size_t width = strlen("NAME");

	text_line(out, "hooks    %s (%s)", states[state], h->copy);
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

static void status_json(const struct hooks *h, enum state state, const struct containers *all)
{
	struct json_out j = {.out = h->cli->out};
	_cleanup_free_ char *include = format_string("lxc.include = %s", h->file);

	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_bool(&j, "installed", state == STATE_CURRENT || state == STATE_OLDER);
	json_text(&j, "path", h->copy);
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
	(h->json ? status_json : status_text)(h, hooks_state(h), &all);
	for (size_t i = 0; i < all.n; i++)
		free(all.list[i].name);
	free(all.list);
	return r;
}

static int answer_number(enum answer answer)
{
	return answer == ANSWER_UNKNOWN ? -1 : answer == ANSWER_YES;
}

int hooks_each(const struct cli *cli, const struct view *v,
	void (*call)(void *data, const char *name, int configured, int hooked), void *data)
{
	const struct hooks h = {.cli = cli};
	struct containers all = {0};
	int r = CLI_DONE;

	for (size_t i = 0; i < cli->config->lxcpaths && r == CLI_DONE; i++)
		r = read_lxcpath(&h, cli->config->lxcpath[i], v, &all);
	if (all.n)
		qsort(all.list, all.n, sizeof(all.list[0]), by_name);
	for (size_t i = 0; i < all.n; i++) {
		const struct container *one = &all.list[i];

		call(data, one->name, answer_number(one->configured), answer_number(one->hooked));
		free(all.list[i].name);
	}
	free(all.list);
	return r;
}

int hooks_main(struct cli *cli, int argc, char **argv)
{
	struct hooks h = {.cli = cli, .file = FILE_DEFAULT, .directory = DIRECTORY_DEFAULT};
	const struct cli_option options[] = {
		{"json", 0, NULL, &h.json, "the status as JSON"},
		{"directory", 0, "DIR", &h.directory, "instead of " DIRECTORY_DEFAULT},
		{"file", 0, "FILE", &h.file, "to put there, instead of " FILE_DEFAULT},
	};
	_cleanup_free_ char *copy = NULL;
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));
	const char *word = optind < argc ? argv[optind] : "";

	if (r >= 0)
		return r;
	if (h.json && strcmp(word, "status") != 0)
		return cli_usage(cli, "--json is for the status");
	if (optind + 1 != argc)
		return cli_usage(cli, "one of install, remove and status is expected");
	copy = format_string("%s/%s", h.directory, COPY_NAME);
	if (!copy)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	h.copy = copy;
	if (strcmp(word, "install") == 0)
		return hooks_install(&h);
	if (strcmp(word, "remove") == 0)
		return hooks_remove(&h);
	if (strcmp(word, "status") == 0)
		return hooks_status(&h);
	return cli_usage(
		cli, "there is no \"loadcell hooks %s\", but install, remove and status", word);
}
