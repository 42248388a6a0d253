/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "services.h"

/* Descriptors that are not of instances: inotify, sockets, ring, libraries. */
#define DESCRIPTORS_RESERVED 256
#define DESCRIPTORS_WANTED   (1024 * 1024)

static const char usage[] =
	"Usage: loadcelld [-c FILE] [--once] [--check-config]\n"
	"The collector of loadcell: measures every LXC instance of this host.\n\n"
	"  -c, --config FILE   read this configuration, not " CONFIG_PATH_DEFAULT "\n"
	"      --once          discover, measure and store one cycle, then end\n"
	"      --check-config  say whether the configuration is good, then end\n"
	"      --version       print the version\n"
	"  -h, --help          print this help\n";

struct options {
	const char *config;
	bool once, check;
};

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum {
		ONCE = 1000,
		CHECK,
		VERSION_OPTION
	};
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"once", no_argument, NULL, ONCE},
		{"check-config", no_argument, NULL, CHECK},
		{"version", no_argument, NULL, VERSION_OPTION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'c')
			o->config = optarg;
		else if (c == ONCE)
			o->once = true;
		else if (c == CHECK)
			o->check = true;
		else if (c == VERSION_OPTION)
			return puts("loadcelld " VERSION) < 0;
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind < argc) {
		fprintf(stderr, "loadcelld: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return 2;
	}
	return -1;
}

/*
 * One collector per directory. The lock is the process's, so it ends with it, however it dies; the
 * pid in the file is for the message only.
 */
static int lock_directory(const char *dir, int *ret_fd, struct error *err)
{
	_cleanup_free_ char *path = format_string("%s/loadcelld.lock", dir);
	_cleanup_close_ int fd = -1;
	char pid[32] = "";

	if (!path)
		return error_set(err, -ENOMEM, "not enough memory");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return error_set(err, -errno, "cannot open the lock \"%s\": %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		pread_file(fd, pid, sizeof(pid));
		pid[strcspn(pid, "\n")] = '\0';
		return error_set(err, -EBUSY,
			"\"%s\" is in use by another loadcelld, process %s; end that one or give "
			"this one a run_dir and data_dir of its own",
			dir, pid[0] ? pid : "unknown");
	}
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || write_all(fd, pid, strlen(pid)) < 0)
		return error_set(err, -errno, "cannot write the lock \"%s\": %m", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int prepare_directory(const char *dir, int *ret_lock, struct error *err)
{
	int r = make_directories(dir, 02750);

	if (r < 0)
		return error_set(err, r, "cannot make the directory \"%s\": %s", dir, strerror(-r));
	return lock_directory(dir, ret_lock, err);
}

/*
 * As many descriptors as the kernel gives: above the hard limit with CAP_SYS_RESOURCE, and then up
 * to fs.nr_open. The files of instances beyond that are opened for each read.
 */
static size_t raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	for (rlim_t want = DESCRIPTORS_WANTED; want > limit.rlim_max; want /= 2) {
		struct rlimit higher = {want, want};

		if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
			limit = higher;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return limit.rlim_cur > DESCRIPTORS_RESERVED ? limit.rlim_cur - DESCRIPTORS_RESERVED : 0;
}

/* A damaged index is told about and repaired; one that cannot be read stops us: numbers would
 * change at every door. */
static int load_index(const struct config *c, struct index **ret, struct error *err)
{
	_cleanup_free_ char *path = config_data_path(c, "index");
	int r = path ? index_load(path, ret, err) : -ENOMEM;

	if (r > 0)
		log_error("%s", err->text);
	return MIN(r, 0);
}

static int run(struct services *s, struct error *err)
{
	/* Released last: a next collector finds no socket of ours that we then remove. */
	_cleanup_close_ int run_lock = -1, data_lock = -1;
	_cleanup_(hierarchies_free) struct hierarchies *h = NULL;
	_cleanup_(sampler_free) struct sampler *sampler = NULL;
	_cleanup_(index_free) struct index *index = NULL;
	_cleanup_(below_free) struct below *below = NULL;
	_cleanup_(notices_free) struct notices *notices = NULL;
	_cleanup_(discovery_free) struct discovery *discovery = NULL;
	_cleanup_(control_free) struct control *control = NULL;
	_cleanup_free_ char *socket_path = config_run_path(s->config, "control.sock");
	int r;

	if ((r = prepare_directory(s->config->run_dir, &run_lock, err)) < 0 ||
		(r = prepare_directory(s->config->data_dir, &data_lock, err)) < 0 ||
		(r = hierarchies_find(s->config->cgroup_root, s->config->proc_root, &h, err)) < 0 ||
		(r = load_index(s->config, &index, err)) < 0 ||
		(r = sampler_new(s->config, h, raise_descriptors(), &sampler, err)) < 0)
		return r;
	s->index = index;
	s->sampler = sampler;
	r = services_init_discovery(s, h, err);
	below = s->below;
	notices = s->notices;
	discovery = s->discovery;
	if (r < 0 || (r = control_new(socket_path, &control, err)) < 0)
		return r;
	s->control = control;
	return services_run(s, err);
}

int main(int argc, char **argv)
{
	struct services s = {.signal_fd = -1};
	struct options o = {0};
	struct error err = {0};
	int r = parse_options(argc, argv, &o);

	if (r >= 0)
		return r;
	umask(0027);
	s.config_path = config_path(o.config);
	s.once = o.once;
	r = config_load(s.config_path, &s.config, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return 2;
	}
	if (o.check) {
		printf("\"%s\" is good\n", s.config_path);
		config_free(s.config);
		return 0;
	}
	r = run(&s, &err);
	if (r < 0)
		log_error("%s", err.text);
	config_free(s.config);
	return r < 0 ? 1 : 0;
}
