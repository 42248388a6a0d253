/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include <microhttpd.h>

#include "../graph/pictures.h"
#include "../graph/program.h"
#include "answer.h"

/* /graph/NAME/ID.png: drawn by the program loadcell-graph, which is given this much and no more. */
#define PICTURE_MAX (16 << 20)
#define PICTURE_NS  (15 * NSEC_PER_SEC)

struct drawing {
	const char *name; /* NULL: of the host */
	char id[64];
	uint32_t index;
	bool svg, dark;
	uint64_t from_s, to_s, width, height;
};

/* --- what is wanted -----------------------------------------------------------------------------
 */

static const struct picture *find_picture(const struct drawing *d)
{
	return picture_find(d->name ? PICTURE_INSTANCE : PICTURE_HOST, d->id);
}

/* "NAME/ID.png". The host's are below "host", unless there is an instance of that name. */
static bool take_name(const struct asked *q, struct answer *a, struct drawing *d, char *name)
{
	const struct index_entry *e = NULL;
	char *slash = strrchr(name, '/'), *dot = slash ? strrchr(slash, '.') : NULL;
	struct fetch *f = NULL;
	struct error err;

	if (!dot || (strcmp(dot, ".png") != 0 && strcmp(dot, ".svg") != 0)) {
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND,
			"pictures are /graph/NAME/ID.png and .svg, of the host /graph/host/ID.png");
		return false;
	}
	*slash = *dot = '\0';
	d->svg = !strcmp(dot + 1, "svg");
	snprintf(d->id, sizeof(d->id), "%s", slash + 1);
	if (site_fetch(q->site, &f, &err) == 0)
		e = fetch_find(f, name);
	d->index = e ? e->number : 0;
	if (f)
		site_fetch_done(q->site, f);
	d->name = e ? name : NULL;
	if (!e && strcmp(name, "host") != 0)
		answer_error(
			q->request, a, MHD_HTTP_NOT_FOUND, "there is no instance \"%s\"", name);
	else if (!find_picture(d))
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND,
			"there is no picture \"%s\"; see: loadcell graph --list", d->id);
	else
		return true;
	return false;
}

static bool take_look(const struct request *r, struct answer *a, struct drawing *d)
{
	uint64_t now = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	const char *theme = request_value(r, "theme");

	d->to_s = request_number(r, "to", now, UINT32_MAX);
	d->from_s = request_number(r, "from", now - 86400, UINT32_MAX);
	d->width = request_number(r, "width", 900, 4000);
	d->height = request_number(r, "height", 360, 4000);
	d->dark = theme && !strcmp(theme, "dark");
	if (d->to_s == UINT64_MAX || d->from_s >= d->to_s)
		answer_error(
			r, a, MHD_HTTP_BAD_REQUEST, "from, to: seconds since 1970, from before to");
	else if (d->width < 200 || d->width == UINT64_MAX || d->height < 100 ||
		 d->height == UINT64_MAX)
		answer_error(r, a, MHD_HTTP_BAD_REQUEST, "width: 200 to 4000; height: 100 to 4000");
	else if (theme && !d->dark && strcmp(theme, "light") != 0)
		answer_error(r, a, MHD_HTTP_BAD_REQUEST, "theme: light or dark");
	else
		return true;
	return false;
}

/* --- the program ---------------------------------------------------------------------------------
 */

static int start_program(const struct drawing *d, int out, pid_t *ret)
{
	char from[24], to[24], width[24], height[24], index[24];
	const char *argv[24] = {NULL, "--from", from, "--to", to, "--width", width, "--height",
		height, "--graph", d->id};
	size_t n = 11;

	snprintf(from, sizeof(from), "%" PRIu64, d->from_s);
	snprintf(to, sizeof(to), "%" PRIu64, d->to_s);
	snprintf(width, sizeof(width), "%" PRIu64, d->width);
	snprintf(height, sizeof(height), "%" PRIu64, d->height);
	snprintf(index, sizeof(index), "%" PRIu32, d->index);
	if (d->svg)
		argv[n++] = "--svg";
	if (d->dark)
		argv[n++] = "--dark";
	argv[n++] = d->name ? "--instance" : "--host";
	if (d->name) {
		argv[n++] = index;
		argv[n++] = "--name";
		argv[n++] = d->name;
	}
	return graph_program_start(argv, out, ret);
}

/* Reads until the end. -ETIMEDOUT, -EFBIG: the program is to be killed. */
static int read_picture(int fd, struct answer *a, FILE *out)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + PICTURE_NS, now;
	size_t len = 0;
	char buf[16384];
	ssize_t n;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		now = now_ns(CLOCK_MONOTONIC);
		if (now >= end || poll(&p, 1, (int)((end - now) / 1000000) + 1) == 0)
			return -ETIMEDOUT;
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		len += (size_t)n;
		if (len > PICTURE_MAX)
			return -EFBIG;
		fwrite(buf, (size_t)n, 1, out);
	}
}

static void draw(const struct asked *q, struct answer *a, const struct drawing *d)
{
	_cleanup_close_ int in = -1;
	int pipes[2], r, status = 0;
	FILE *out;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return;
	in = pipes[0];
	r = start_program(d, pipes[1], &pid);
	close(pipes[1]);
	out = r == 0 ? answer_open(a, d->svg ? "image/svg+xml" : "image/png") : NULL;
	if (r < 0) {
		answer_error(q->request, a, MHD_HTTP_INTERNAL_SERVER_ERROR,
			"cannot start loadcell-graph: %s", strerror(-r));
		return;
	}
	r = out ? read_picture(in, a, out) : -ENOMEM;
	if (out)
		answer_close(a, out);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 4)
		answer_error(q->request, a, MHD_HTTP_NOT_FOUND, "nothing is stored of it yet");
	else if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		answer_error(q->request, a, MHD_HTTP_INTERNAL_SERVER_ERROR,
			"the picture could not be drawn; the log says why");
}

void answer_picture(const struct asked *q, struct answer *a)
{
	_cleanup_free_ char *name = strdup(q->request->rest);
	struct drawing d = {0};

	if (name && take_name(q, a, &d, name) && take_look(q->request, a, &d))
		draw(q, a, &d);
}
