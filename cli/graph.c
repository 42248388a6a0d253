/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../graph/fetch.h"
#include "../graph/pictures.h"
#include "../graph/program.h"
#include "../lib/when.h"
#include "near.h"

/*
 * `loadcell graph`: says what is wanted to the program loadcell-graph, which draws (why it is one
 * of its own: graph/graph-main.c), and where the picture goes.
 */
struct graph {
	struct cli *cli;
	bool host, list;
	const char *name, *top, *picture, *from, *to, *output, *size, *theme;
	uint32_t index;
	uint64_t from_s, to_s;
	unsigned int width, height;
	bool dark, svg;
};

/* --- what is wanted --------------------------------------------------------------------------- */

static int list_pictures(const struct cli *cli)
{
	fprintf(cli->out, "%-10s %-18s %s\n", "OF", "ID", "PICTURE");
	for (size_t i = 0; i < pictures_count; i++)
		fprintf(cli->out, "%-10s %-18s %s\n",
			pictures[i].scope == PICTURE_HOST ? "--host" : "NAME", pictures[i].id,
			pictures[i].title);
	fprintf(cli->out, "%-10s %-18s %s\n", "--top", "any metric",
		"the instances that have most");
	return CLI_DONE;
}

static int bad_picture(const struct graph *g, enum picture_scope scope)
{
	char ids[512] = "";

	for (size_t i = 0; i < pictures_count; i++)
		if (pictures[i].scope == scope) {
			size_t len = strlen(ids);

			snprintf(ids + len, sizeof(ids) - len, " %s", pictures[i].id);
		}
	return cli_usage(g->cli, "there is no picture '%s'; there are:%s", g->picture, ids);
}

/* "end-1h" as --from, "start+1h" as --to; all other times are from now. */
static int parse_when(const struct graph *g, const char *text, const char *word, uint64_t base_ns,
	uint64_t *ret_s)
{
	bool relative = !strncmp(text, word, strlen(word));
	_cleanup_free_ char *rest = format_string("now%s", relative ? text + strlen(word) : "");
	uint64_t ns, now = now_ns(CLOCK_REALTIME);

	if (!rest || when_parse(relative ? rest : text, relative ? base_ns : now, &ns) < 0)
		return cli_usage(g->cli,
			"'%s' is no time; it may be such as -1d, 'yesterday 03:00', "
			"2026-11-25T03:12 or now-2h",
			text);
	*ret_s = ns / NSEC_PER_SEC;
	return -1;
}

static int take_times(struct graph *g)
{
	bool from_end = !strncmp(g->from, "end", 3);
	int r = -1;

	if (!from_end)
		r = parse_when(g, g->from, "end", 0, &g->from_s);
	if (r < 0)
		r = parse_when(
			g, g->to, from_end ? "\n" : "start", g->from_s * NSEC_PER_SEC, &g->to_s);
	if (r < 0 && from_end)
		r = parse_when(g, g->from, "end", g->to_s * NSEC_PER_SEC, &g->from_s);
	if (r < 0 && g->to_s <= g->from_s)
		return cli_usage(g->cli, "the end, %s, is not after the beginning, %s",
			cell_time(g->to_s * NSEC_PER_SEC).text,
			cell_time(g->from_s * NSEC_PER_SEC).text);
	return r;
}

static int take_look(struct graph *g)
{
	const char *suffix = strrchr(g->output, '.');
	int end = 0;

	if (sscanf(g->size, "%4ux%4u%n", &g->width, &g->height, &end) != 2 || g->size[end] ||
		g->width < 200 || g->height < 100 || g->width > 8000 || g->height > 8000)
		return cli_usage(g->cli, "--size takes 200x100 to 8000x8000, not '%s'", g->size);
	g->dark = !strcmp(g->theme, "dark");
	if (!g->dark && strcmp(g->theme, "light") != 0)
		return cli_usage(g->cli, "--theme is light or dark, not '%s'", g->theme);
	g->svg = suffix && !strcmp(suffix, ".svg");
	if (*g->output && strcmp(g->output, "-") != 0 && !g->svg &&
		(!suffix || strcmp(suffix, ".png") != 0))
		return cli_usage(g->cli, "'%s' ends neither in .png nor in .svg", g->output);
	return -1;
}

static int take_subject(struct graph *g, int argc, char **argv)
{
	enum picture_scope scope = g->host ? PICTURE_HOST : PICTURE_INSTANCE;
	const struct metric *m = g->top ? metric_by_name(g->top) : NULL;

	g->name = optind < argc ? argv[optind] : NULL;
	if (argc - optind + g->host + !!g->top != 1)
		return cli_usage(g->cli, "one of NAME, --host and --top METRIC is wanted");
	if (g->top && (!m || m->scope != SCOPE_INSTANCE))
		return cli_usage(g->cli,
			"there is no metric '%s' of instances; see: loadcell metrics", g->top);
	if (g->top && g->picture)
		return cli_usage(g->cli, "--top METRIC is a picture by itself, without --graph");
	if (g->picture && !picture_find(scope, g->picture))
		return bad_picture(g, scope);
	if (!g->picture && !g->top)
		g->picture = picture_find(scope, NULL)->id;
	return -1;
}

/* By the index, which knows ended instances as well. */
static int find_instance(struct graph *g)
{
	_cleanup_(fetch_close) struct fetch *f = NULL;
	const struct index_entry *e;
	_cleanup_free_ struct row_match *rows = NULL;
	struct error err;
	struct view v;
	ssize_t n = 0;
	int r = fetch_open(g->cli->config, &f, &err);

	if (r < 0)
		return cli_fail(g->cli, CLI_FAILED, "%s", err.text);
	e = fetch_find(f, g->name);
	g->index = e ? e->number : 0;
	if (e)
		return -1;
	if (view_load(g->cli->config, &v, &err) == 0)
		n = view_instances(&v, NULL, 0, &rows);
	r = no_such_instance(g->cli, g->name, rows, n > 0 ? (size_t)n : 0);
	view_close(&v);
	return r;
}

/* --- where it goes ---------------------------------------------------------------------------- */

/* Runs the program with its output to fd. Returns its exit status. */
static int run_program(const struct graph *g, int fd)
{
	char from[24], to[24], width[12], height[12], index[12];
	const char *config = config_path(g->cli->config_path);
	const char *argv[20] = {
		NULL, "--from", from, "--to", to, "--width", width, "--height", height};
	size_t n = 9;
	int r, status;
	pid_t pid;

	snprintf(from, sizeof(from), "%" PRIu64, g->from_s);
	snprintf(to, sizeof(to), "%" PRIu64, g->to_s);
	snprintf(width, sizeof(width), "%u", g->width);
	snprintf(height, sizeof(height), "%u", g->height);
	snprintf(index, sizeof(index), "%" PRIu32, g->index);
	if (config) {
		argv[n++] = "--config";
		argv[n++] = config;
	}
	if (g->svg)
		argv[n++] = "--svg";
	if (g->dark)
		argv[n++] = "--dark";
	argv[n++] = g->top ? "--top" : g->host ? "--host" : "--instance";
	if (!g->host)
		argv[n++] = g->top ? g->top : index;
	if (g->picture) {
		argv[n++] = "--graph";
		argv[n++] = g->picture;
	}
	if (g->name) {
		argv[n++] = "--name";
		argv[n++] = g->name;
	}
	r = graph_program_start(argv, fd, &pid);
	if (r < 0)
		return cli_fail(g->cli, CLI_FAILED, "cannot start %s: %s", argv[0], strerror(-r));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status))
		return cli_fail(
			g->cli, CLI_FAILED, "%s was ended by signal %d", argv[0], WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int draw_to_output(const struct graph *g)
{
	if (g->cli->tty)
		return cli_usage(g->cli, "a picture is nothing for a terminal: use -o FILE");
	fflush(g->cli->out);
	return run_program(g, fileno(g->cli->out));
}

/* Beside the file first, so that what stands there stays until there is a better one. */
static int draw_to_file(const struct graph *g, const char *path)
{
	_cleanup_free_ char *beside = format_string("%s.new.%d", path, getpid());
	struct stat st;
	bool special = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
	const char *target = special ? path : beside;
	_cleanup_close_ int fd = -1;
	int r;

	if (!beside)
		return cli_fail(g->cli, CLI_FAILED, "out of memory");
	fd = open(target, O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_EXCL), 0666);
	if (fd < 0)
		return cli_fail(g->cli, CLI_FAILED, "cannot write %s: %m", path);
	r = run_program(g, fd);
	if (r == CLI_DONE && !special && rename(beside, path) < 0)
		r = cli_fail(g->cli, CLI_FAILED, "cannot write %s: %m", path);
	if (r != CLI_DONE && !special)
		unlink(beside);
	return r;
}

static int draw(const struct graph *g)
{
	char name[NAME_MAX - 64 + 1] = "host";
	_cleanup_free_ char *path = NULL;
	int r;

	if (!strcmp(g->output, "-"))
		return draw_to_output(g);
	if (g->name)
		percent_encode(g->name, name, sizeof(name) - 1);
	path = *g->output ? strdup(g->output)
	       : g->top   ? format_string("top-%s.png", g->top)
			  : format_string("%s-%s.png", name, g->picture);
	if (!path)
		return cli_fail(g->cli, CLI_FAILED, "out of memory");
	r = draw_to_file(g, path);
	if (r == CLI_DONE && !*g->output)
		text_line(g->cli->out, "The picture is in %s.", path);
	return r;
}

int graph_main(struct cli *cli, int argc, char **argv)
{
	struct graph g = {.cli = cli,
		.from = "-1d",
		.to = "now",
		.output = "",
		.size = "900x360",
		.theme = "light"};
	const struct cli_option options[] = {
		{"host", 0, NULL, &g.host, "of the host"},
		{"top", 0, "METRIC", &g.top, "of the instances that have most of a metric"},
		{"graph", 'g', "ID", &g.picture, "which picture; see --list"},
		{"from", 's', "WHEN", &g.from, "-1d (the default), 'yesterday 03:00', ..."},
		{"to", 'e', "WHEN", &g.to, "now (the default), start+2h, ..."},
		{"output", 'o', "FILE", &g.output, "FILE.png or FILE.svg; - for standard output"},
		{"size", 0, "WxH", &g.size, "in pixels; 900x360"},
		{"theme", 0, "T", &g.theme, "light or dark"},
		{"list", 'l', NULL, &g.list, "which pictures there are"},
	};
	int r = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (r < 0 && g.list)
		return list_pictures(cli);
	if (r < 0)
		r = take_subject(&g, argc, argv);
	if (r < 0)
		r = take_times(&g);
	if (r < 0)
		r = take_look(&g);
	if (r < 0 && g.name)
		r = find_instance(&g);
	return r < 0 ? draw(&g) : r;
}
