/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../lib/log.h"
#include "server.h"

#define BACKLOG 128

static const char usage[] =
	"Usage: loadcell-web [-c FILE] [--check-config]\n"
	"The web page of loadcell: pages, JSON and OpenMetrics, for readers on this host.\n\n"
	"  -c, --config FILE   read this configuration, not " CONFIG_PATH_DEFAULT "\n"
	"      --check-config  say whether the configuration is good, then end\n"
	"      --pages DIR     take the files of the pages from here, not " SHAREDIR "/web\n"
	"      --version       print the version\n"
	"  -h, --help          print this help\n";

struct options {
	const char *config, *pages;
	bool check;
};

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum {
		CHECK = 1000,
		VERSION_OPTION,
		PAGES
	};
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, CHECK},
		{"pages", required_argument, NULL, PAGES},
		{"version", no_argument, NULL, VERSION_OPTION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'c')
			o->config = optarg;
		else if (c == PAGES)
			o->pages = optarg;
		else if (c == CHECK)
			o->check = true;
		else if (c == VERSION_OPTION)
			return puts("loadcell-web " VERSION) < 0;
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "loadcell-web: unexpected argument \"%s\"\n%s", argv[optind], usage);
	return 2;
}

/* --- where it listens
 * ------------------------------------------------------------------------------ */

static int bind_and_listen(
	int fd, const struct sockaddr *address, socklen_t len, const char *name, struct error *err)
{
	if (fd >= 0 && bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error_set(err, -errno, "cannot listen on %s: %m", name);
	close_fd(fd);
	return -1;
}

/* One that nobody listens on any more is replaced. */
static int listen_locally(const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		errno == ECONNREFUSED)
		unlink(path);
	umask(0117); /* the proxy's user is in the group that this runs as */
	fd = bind_and_listen(fd, (struct sockaddr *)&address, sizeof(address), path, err);
	umask(0077);
	return fd;
}

static int listen_on(const char *where, struct error *err)
{
	const char *colon = strrchr(where, ':');
	_cleanup_free_ char *host = NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int fd, r, one = 1;

	if (*where == '/')
		return listen_locally(where, err);
	host = *where == '[' ? strndup(where + 1, (size_t)(colon - where) - 2)
			     : strndup(where, (size_t)(colon - where));
	r = host ? getaddrinfo(host, colon + 1, &hints, &found) : EAI_MEMORY;
	if (r)
		return error_set(err, -EINVAL, "cannot listen on %s: %s", where, gai_strerror(r));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	fd = bind_and_listen(fd, found->ai_addr, found->ai_addrlen, where, err);
	freeaddrinfo(found);
	return fd;
}

/* --- serving
 * ------------------------------------------------------------------------------------------ */

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)4 * CONNECTIONS_MAX);
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Signals come to this thread alone. */
static void block_signals(sigset_t *ends)
{
	sigemptyset(ends);
	sigaddset(ends, SIGTERM);
	sigaddset(ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, ends, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(const struct config *config, const char *pages_dir, struct error *err)
{
	_cleanup_(pages_free) struct pages *pages = NULL;
	_cleanup_(site_free) struct site *site = NULL;
	_cleanup_(server_free) struct server *server = NULL;
	const struct timespec second = {1, 0};
	bool local = *config->listen == '/';
	sigset_t ends;
	int fd, r = pages_load(pages_dir, &pages, err);

	if (r < 0)
		return r;
	raise_descriptors();
	block_signals(&ends);
	/* Answers of megabytes go back to the kernel, instead of staying in a heap of each thread.
	 */
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 4 << 20); /* their labels and rows are made again and again */
	mallopt(M_ARENA_MAX, 2);
	if (site_new(config, &site) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	fd = listen_on(config->listen, err);
	if (fd < 0)
		return fd;
	r = server_new(fd, local, site, pages, &server);
	if (r < 0)
		return error_set(err, r, "cannot start the server: %s", strerror(-r));
	log_notice("listening on %s%s", local ? "" : "http://", config->listen);
	while (sigtimedwait(&ends, NULL, &second) < 0)
		server_tick(server);
	if (local)
		unlink(config->listen);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(config_free) struct config *config = NULL;
	struct options o = {.pages = SHAREDIR "/web"};
	const char *path;
	struct error err = {0};
	int r = parse_options(argc, argv, &o);

	if (r >= 0)
		return r;
	setlocale(LC_CTYPE, "C.UTF-8");
	/* loadcell-graph reads the same. */
	if (o.config)
		setenv("LOADCELL_CONFIG", o.config, true);
	path = config_path(o.config);
	if (config_load(path, &config, &err) < 0) {
		log_error("%s", err.text);
		return 2;
	}
	if (o.check)
		return printf("\"%s\" is good\n", path) < 0;
	r = serve(config, o.pages, &err);
	if (r < 0)
		log_error("%s", err.text);
	return r < 0;
}
