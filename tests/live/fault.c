/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the live tests of faults need beside shell.
 *
 *	fault instances		Reads lines: "+NAME" starts an instance without LXC (a cgroup as
 *				LXC names it, an init in namespaces of its own that uses 2 % of a
 *				core) and prints "NAME PID"; "-NAME" ends it and prints "NAME -".
 *				Every 200 ms, each one's memory limit becomes a clock: 1 GiB and
 *				4096 bytes for each ms since the start. Removes all at end of input.
 *	fault notify SOCKET	Prints the datagrams that come there, one line each.
 *	fault ask SOCKET TEXT	Sends the text with its \n turned into newlines, closes its sending
 *				side if the text ends with \0, prints the answer.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "../../collector/hierarchy.h"
#include "../../lib/measure.h"
#include "../../lib/value.h"

#define PREFIX    "lxc.payload."
#define NAMES_MAX 512
#define TICK_MS   200

/* --- instances ------------------------------------------------------------------------------- */

struct one {
	char name[64];
	pid_t outer, init;
};

struct fleet {
	struct hierarchies *h;
	struct one one[NAMES_MAX];
	size_t n;
	uint64_t start_ns;
};

static bool cgroup_path(
	const struct fleet *f, int c, const char *name, const char *file, char *path, size_t size)
{
	if (!f->h->controller[c].version)
		return false;
	snprintf(path, size, "%s/" PREFIX "%s/%s", f->h->controller[c].mount, name, file);
	return true;
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) >= 0;

	close_fd(fd);
	return done;
}

/* A v1 cpuset takes no process before it has CPUs and memory nodes: those of the root. */
static void fill_cpuset(const struct fleet *f, const char *name)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	const struct hierarchy *h = &f->h->controller[CONTROLLER_CPUSET];

	for (size_t i = 0; i < ARRAY_SIZE(files) && h->version == 1; i++) {
		char path[512], text[256];

		snprintf(path, sizeof(path), "%s/%s", h->mount, files[i]);
		if (read_file_at(AT_FDCWD, path, text, sizeof(text)) > 0 &&
			cgroup_path(f, CONTROLLER_CPUSET, name, files[i], path, sizeof(path)))
			put(path, text);
	}
}

/* Where nobody has done so yet, LXC does it too. */
static void enable_controllers(const struct fleet *f)
{
	for (int c = 1; c < CONTROLLER_COUNT; c++) {
		char path[512], text[32];

		if (f->h->controller[c].version != 2)
			continue;
		snprintf(
			path, sizeof(path), "%s/cgroup.subtree_control", f->h->controller[c].mount);
		snprintf(text, sizeof(text), "+%s", controller_name(c, 2));
		put(path, text);
	}
}

static bool join(const struct fleet *f, const char *name)
{
	char path[512];

	for (int c = 1; c < CONTROLLER_COUNT; c++) {
		if (!cgroup_path(f, c, name, "", path, sizeof(path)))
			continue;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return false;
		if (c == CONTROLLER_CPUSET)
			fill_cpuset(f, name);
		cgroup_path(f, c, name, "cgroup.procs", path, sizeof(path));
		if (!put(path, "0"))
			return false;
	}
	return true;
}

static void live(void)
{
	const struct timespec pause = {0, 200000000};

	for (;;) {
		uint64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + 4000000;

		while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
			;
		nanosleep(&pause, NULL);
	}
}

/* As with LXC, the parent of init stands outside. Ends with us, whatever happens. */
static void start_inside(const struct fleet *f, const char *name, int report)
{
	int joined[2];
	char byte;
	pid_t init;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || pipe2(joined, O_CLOEXEC) < 0 ||
		unshare(CLONE_NEWPID | CLONE_NEWNET) < 0)
		_exit(1);
	init = fork();
	if (init == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!join(f, name) || write(joined[1], "", 1) != 1)
			_exit(1);
		live();
	}
	close(joined[1]);
	if (read(joined[0], &byte, 1) != 1 || write(report, &init, sizeof(init)) != sizeof(init))
		_exit(1);
	waitpid(init, NULL, 0);
	_exit(0);
}

static void start(struct fleet *f, const char *name)
{
	struct one *o = &f->one[f->n];
	int report[2];

	if (f->n == NAMES_MAX || strlen(name) >= sizeof(o->name) || pipe2(report, O_CLOEXEC) < 0)
		exit(1);
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->outer = fork();
	if (o->outer == 0)
		start_inside(f, name, report[1]);
	close(report[1]);
	if (read(report[0], &o->init, sizeof(o->init)) == sizeof(o->init)) {
		f->n++;
		printf("%s %d\n", name, o->init);
	} else {
		printf("%s failed\n", name);
	}
	close(report[0]);
}

static void stop(struct fleet *f, size_t i)
{
	char path[512];

	kill(f->one[i].init, SIGKILL);
	waitpid(f->one[i].outer, NULL, 0);
	for (int c = 1; c < CONTROLLER_COUNT; c++) {
		if (!cgroup_path(f, c, f->one[i].name, "", path, sizeof(path)))
			continue;
		/* Its tasks are gone from there a little later than from the process table. */
		for (int try = 0; try < 200 && rmdir(path) < 0 && errno == EBUSY; try++)
			usleep(10000);
	}
	printf("%s -\n", f->one[i].name);
	f->one[i] = f->one[--f->n];
}

static void set_clocks(const struct fleet *f)
{
	bool v1 = f->h->controller[CONTROLLER_MEMORY].version == 1;

	for (size_t i = 0; i < f->n; i++) {
		uint64_t ms = (now_ns(CLOCK_MONOTONIC) - f->start_ns) / 1000000;
		char path[512], text[32];

		snprintf(text, sizeof(text), "%ju", (uintmax_t)((1 << 30) + 4096 * ms));
		if (cgroup_path(f, CONTROLLER_MEMORY, f->one[i].name,
			    v1 ? "memory.limit_in_bytes" : "memory.max", path, sizeof(path)))
			put(path, text);
	}
}

static void command(struct fleet *f, const char *line)
{
	if (line[0] == '+')
		start(f, line + 1);
	for (size_t i = 0; line[0] == '-' && i < f->n; i++)
		if (!strcmp(f->one[i].name, line + 1)) {
			stop(f, i);
			break;
		}
	fflush(stdout);
}

static int instances(void)
{
	static struct fleet f;
	static char buf[65536];
	struct pollfd in = {0, POLLIN, 0};
	struct error err;
	size_t len = 0;
	char *end;

	if (hierarchies_find("/sys/fs/cgroup", "/proc", &f.h, &err) < 0) {
		fprintf(stderr, "fault: %s\n", err.text);
		return 1;
	}
	f.start_ns = now_ns(CLOCK_MONOTONIC);
	enable_controllers(&f);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	for (;;) {
		if (poll(&in, 1, TICK_MS) > 0) {
			ssize_t n = read(0, buf + len, sizeof(buf) - 1 - len);

			if (n <= 0)
				break;
			len += (size_t)n;
			buf[len] = '\0';
			while ((end = strchr(buf, '\n'))) {
				*end = '\0';
				command(&f, buf);
				len -= (size_t)(end + 1 - buf);
				memmove(buf, end + 1, len + 1);
			}
		}
		set_clocks(&f);
	}
	while (f.n > 0)
		stop(&f, f.n - 1);
	hierarchies_free(f.h);
	return 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int unix_socket(const char *path, int type, bool listening)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if ((listening ? bind(fd, (struct sockaddr *)&a, sizeof(a))
		       : connect(fd, (struct sockaddr *)&a, sizeof(a))) == 0)
		return fd;
	perror(path);
	exit(1);
}

static int notify(const char *path)
{
	int fd = unix_socket(path, SOCK_DGRAM, true);
	char text[4096];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text) - 1, 0)) >= 0) {
		text[n] = '\0';
		for (char *p = text; (p = strchr(p, '\n'));)
			*p = ' ';
		puts(text);
		fflush(stdout);
	}
	return 1;
}

static int ask(const char *path, const char *question)
{
	int fd = unix_socket(path, SOCK_STREAM, false);
	char text[65536];
	size_t len = 0;
	ssize_t n;

	for (; *question && len < sizeof(text); question++) {
		bool escape = question[0] == '\\' && (question[1] == 'n' || question[1] == '0');

		text[len++] = !escape ? *question : question[1] == 'n' ? '\n' : '\0';
		question += escape;
	}
	if (send(fd, text, len, MSG_NOSIGNAL) < 0)
		perror("fault: send");
	if (len && !text[len - 1])
		shutdown(fd, SHUT_WR);
	while ((n = recv(fd, text, sizeof(text), 0)) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "instances"))
		return instances();
	if (argc == 3 && !strcmp(argv[1], "notify"))
		return notify(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3]);
	fprintf(stderr, "usage: fault instances | notify SOCKET | ask SOCKET TEXT\n");
	return 2;
}
