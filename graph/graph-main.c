/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <locale.h>
#include <string.h>

#include "plot.h"

/*
 * loadcell-graph: draws one picture to standard output. It is a program of its own because librrd
 * brings pango, cairo and 40 libraries more, which cost each start of `loadcell` 5 ms, and because
 * fonts and their parsers have no place in a web server. `loadcell graph` and loadcell-web start
 * it; people do not, so its arguments are strict: times in seconds, the instance by its number.
 *
 * Exit: 0; 1 failed; 2 usage; 4 nothing is stored. One sentence on standard error.
 */
#define SIZE_MAX_PIXELS 8000

struct options {
	const char *config, *name, *picture, *top;
	uint32_t index;
	bool host, instance;
	struct plot_wanted wanted;
	struct render_options render;
};

static int complain(int code, const char *text)
{
	fprintf(stderr, "loadcell graph: %s\n", text);
	return code;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && end != text && !*end && *text != '-' && *ret <= max;
}

static bool take_option(struct options *o, int letter, const char *text)
{
	uint64_t n = 0;
	bool ok = true;

	switch (letter) {
	case 'c':
		o->config = text;
		break;
	case 'N':
		o->name = text;
		break;
	case 'g':
		o->picture = text;
		break;
	case 't':
		o->top = text;
		break;
	case 'H':
		o->host = true;
		break;
	case 'd':
		o->wanted.dark = true;
		break;
	case 's':
		o->render.svg = true;
		break;
	case 'i':
		ok = parse_number(text, UINT32_MAX, &n) && n > 0;
		o->index = (uint32_t)n;
		o->instance = true;
		break;
	case 'a':
		ok = parse_number(text, UINT32_MAX, &o->wanted.from_s);
		break;
	case 'e':
		ok = parse_number(text, UINT32_MAX, &o->wanted.to_s);
		break;
	case 'x':
		ok = parse_number(text, SIZE_MAX_PIXELS, &n) && n >= 200;
		o->render.width = (unsigned int)n;
		o->wanted.width = n;
		break;
	case 'y':
		ok = parse_number(text, SIZE_MAX_PIXELS, &n) && n >= 100;
		o->render.height = (unsigned int)n;
		break;
	default:
		return false;
	}
	return ok;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"config", 1, NULL, 'c'}, {"name", 1, NULL, 'N'},
		{"graph", 1, NULL, 'g'}, {"instance", 1, NULL, 'i'}, {"host", 0, NULL, 'H'},
		{"top", 1, NULL, 't'}, {"from", 1, NULL, 'a'}, {"to", 1, NULL, 'e'},
		{"width", 1, NULL, 'x'}, {"height", 1, NULL, 'y'}, {"dark", 0, NULL, 'd'},
		{"svg", 0, NULL, 's'}, {0}};
	int letter;

	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if (!take_option(o, letter, optarg))
			return false;
	return optind == argc && o->instance + o->host + !!o->top == 1 &&
	       o->wanted.to_s > o->wanted.from_s && o->wanted.width && o->render.height;
}

static int make_plot(struct fetch *f, const struct config *config, const struct options *o,
	struct plot *ret, struct error *err)
{
	const struct picture *p =
		picture_find(o->host ? PICTURE_HOST : PICTURE_INSTANCE, o->picture);
	const struct metric *m = o->top ? metric_by_name(o->top) : NULL;

	if (o->top && (!m || m->scope != SCOPE_INSTANCE))
		return error_set(err, -EINVAL, "there is no metric %s of instances", o->top);
	if (o->top)
		return plot_top(f, m, &o->wanted, ret, err);
	if (!p)
		return error_set(err, -EINVAL, "there is no such picture");
	return plot_picture(
		f, config, p, o->host ? FETCH_HOST : o->index, o->name, &o->wanted, ret, err);
}

static int draw(const struct config *config, const struct options *o, struct error *err)
{
	_cleanup_(fetch_close) struct fetch *f = NULL;
	_cleanup_(plot_free) struct plot p = {0};
	_cleanup_free_ void *image = NULL;
	size_t len = 0;
	int r = fetch_open(config, &f, err);

	if (r == 0)
		r = make_plot(f, config, o, &p, err);
	if (r == 0)
		r = render(&p, &o->render, &image, &len, err);
	if (r == 0)
		r = write_all(STDOUT_FILENO, image, len);
	return r < 0 && !err->text[0] ? error_set(err, r, "cannot write: %s", strerror(-r)) : r;
}

static int run(int argc, char **argv)
{
	_cleanup_(config_free) struct config *config = NULL;
	struct options o = {.name = ""};
	struct error err = {""};
	int r;

	if (!read_options(argc, argv, &o))
		return complain(2, "this program is for loadcell graph and loadcell-web");
	r = config_load(config_path(o.config), &config, &err);
	if (r >= 0) {
		err.text[0] = '\0';
		r = draw(config, &o, &err);
	}
	return r < 0 ? complain(r == -ENOENT ? 4 : 1, err.text) : 0;
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	/* Not exit(): librrd and fontconfig leave their memory to the kernel, which ASan minds. */
	_exit(run(argc, argv));
}
