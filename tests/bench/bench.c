/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a cycle costs, as ratios in one run against the floor (docs/performance.md).
 *
 * Makes N cgroups with a process each (own pid and network namespace), named as LXC names its
 * payloads, and measures CPU time per instance and cycle of:
 *   floor     reading the same files in the cheapest lawful way and throwing the bytes away
 *   sampler   the collector's reading, parsing and deriving
 *   ring, snapshot  what publishing adds
 *   whole     a real loadcelld with its helpers over many cycles, storing included
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#include "../../collector/hierarchy.h"
#include "../../collector/sampler-internal.h"
#include "../../lib/config.h"
#include "../../lib/measure.h"

#define PREFIX    "lxc.payload.loadcell-bench-"
#define ROUNDS    12
#define RRD_BYTES (16u << 20)

/* One that is kept open, or, where RLIMIT_NOFILE ends that, its name. */
struct floor_file {
	int fd, dir;
	char *path;
};

struct bench {
	size_t n;
	pid_t *pid;
	struct hierarchies *h;
	struct measure measure;
	struct instance **instance;
	struct floor_file *floor; /* in reading order, n times the same number */
	size_t floor_files;
	int floor_socket; /* to the process that is the floor */
	pid_t floor_pid;
	char *buf;
	const char *dir;   /* state of the whole collector */
	const char *build; /* where loadcelld is */
	int interval;
	size_t descriptors; /* that may be kept open */
	volatile bool floor_stop;
	uint64_t paced_ns, paced_cycles;
};

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %m\n", what);
	exit(1);
}

static uint64_t thread_cpu(void)
{
	return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* --- the instances --------------------------------------------------------------------------- */

static void remove_cgroups(const struct hierarchies *h)
{
	for (int c = 1; c < CONTROLLER_COUNT; c++) {
		DIR *d = h->controller[c].version ? opendir(h->controller[c].mount) : NULL;
		struct dirent *e;

		while (d && (e = readdir(d)))
			if (!strncmp(e->d_name, PREFIX, strlen(PREFIX)))
				unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
		if (d)
			closedir(d);
	}
}

/* A v1 cpuset takes no process before it has CPUs and memory nodes: those of the root. */
static void fill_cpuset(const char *mount, const char *name)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[512], text[256];
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", mount, files[i]);
		n = read_file_at(AT_FDCWD, path, text, sizeof(text));
		snprintf(path, sizeof(path), "%s/%s/%s", mount, name, files[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && n > 0 && write(fd, text, n) < 0)
			perror(path);
		close_fd(fd);
	}
}

static int join(const struct hierarchies *h, const char *name)
{
	for (int c = 1; c < CONTROLLER_COUNT; c++) {
		char path[512];
		int fd;

		if (!h->controller[c].version)
			continue;
		snprintf(path, sizeof(path), "%s/%s", h->controller[c].mount, name);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (c == CONTROLLER_CPUSET && h->controller[c].version == 1)
			fill_cpuset(h->controller[c].mount, name);
		snprintf(path, sizeof(path), "%s/%s/cgroup.procs", h->controller[c].mount, name);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			return -errno;
		close(fd);
	}
	return 0;
}

/* A process that is pid 1 of its namespaces and sleeps; returns its pid on the host. */
static pid_t start_one(const struct hierarchies *h, const char *name)
{
	int pipefd[2], joined[2];
	pid_t outer, inner = -1;
	char byte;

	if (pipe2(pipefd, O_CLOEXEC) < 0 || pipe2(joined, O_CLOEXEC) < 0)
		return -1;
	outer = fork();
	if (outer == 0) {
		/* As with LXC, the parent (the monitor) stands outside. */
		if (unshare(CLONE_NEWPID | CLONE_NEWNET) < 0)
			_exit(1);
		inner = fork();
		if (inner == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (join(h, name) < 0 || write(joined[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(joined[1]);
		if (read(joined[0], &byte, 1) != 1 ||
			write(pipefd[1], &inner, sizeof(inner)) != sizeof(inner))
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	close(pipefd[1]);
	close(joined[0]);
	close(joined[1]);
	if (read(pipefd[0], &inner, sizeof(inner)) != sizeof(inner))
		inner = -1;
	close(pipefd[0]);
	return inner > 0 ? outer : -1;
}

static struct identity *identity_of(const struct bench *b, size_t i)
{
	struct identity *id = calloc(1, sizeof(*id));
	char path[64], children[64] = "";
	ssize_t len;

	id->index = (uint32_t)i + 1;
	id->run = i + 1;
	id->name = format_string("loadcell-bench-%zux", i);
	id->handle = strdup(id->name);
	id->context = strdup(id->name);
	id->lxcpath = strdup("");
	id->kind = strdup("lxc");
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", b->pid[i], b->pid[i]);
	len = read_file_at(AT_FDCWD, path, children, sizeof(children));
	id->init = len > 0 ? atoi(children) : b->pid[i];
	for (int c = 1; c < CONTROLLER_COUNT; c++)
		if (b->h->controller[c].version)
			id->cgroup[c] = format_string("/" PREFIX "%zux", i);
	return id;
}

static int start_all(struct bench *b)
{
	char name[64];

	b->pid = calloc(b->n, sizeof(*b->pid));
	for (size_t i = 0; i < b->n; i++) {
		snprintf(name, sizeof(name), PREFIX "%zux", i);
		b->pid[i] = start_one(b->h, name);
		if (b->pid[i] < 0) {
			fprintf(stderr, "bench: cannot start process %zu: %m\n", i);
			return -1;
		}
	}
	return 0;
}

static void stop_all(struct bench *b)
{
	for (size_t i = 0; i < b->n && b->pid; i++)
		if (b->pid[i] > 0)
			kill(b->pid[i], SIGKILL);
	for (size_t i = 0; i < b->n && b->pid; i++)
		if (b->pid[i] > 0)
			waitpid(b->pid[i], NULL, 0);
	free(b->pid);
	b->pid = NULL;
	for (int i = 0; i < 50; i++) {
		remove_cgroups(b->h);
		usleep(20000);
	}
}

/* --- the floor: a process of its own, since a process has only so many descriptors ---------- */

static void add_floor_file(struct bench *b, enum controller c, const char *cgroup, const char *file)
{
	struct floor_file *to = &b->floor[b->floor_files];

	if (!cgroup || !file || c == CONTROLLER_NONE)
		return;
	to->dir = b->h->controller[c].fd;
	to->path = format_string("%s/%s", cgroup + 1, file);
	if (faccessat(to->dir, to->path, R_OK, 0) < 0)
		return;
	to->fd = openat(to->dir, to->path, O_RDONLY | O_CLOEXEC);
	b->floor_files++;
}

/* The same files as the sampler's. It leaves the period of a quota that is off alone: so do we. */
static void open_floor(struct bench *b)
{
	const struct plan *p = &b->measure.merged;

	b->floor = calloc(b->n * (PLAN_FILES_MAX + PLAN_LIMITS_MAX), sizeof(*b->floor));
	b->floor_files = 0;
	for (size_t i = 0; i < b->n; i++) {
		char **cgroup = b->instance[i]->id->cgroup;

		for (size_t f = 0; f < p->n_files; f++)
			if (!p->files[f].alternative ||
				p->files[f].alternative == b->measure.io_alternative)
				add_floor_file(b, p->files[f].controller,
					cgroup[p->files[f].controller], p->files[f].file);
		for (size_t l = 0; l < p->n_limits; l++)
			add_floor_file(b, p->limits[l].controller, cgroup[p->limits[l].controller],
				p->limits[l].file);
	}
}

static void floor_cycle(struct bench *b)
{
	size_t each = b->floor_files / b->n;

	for (size_t i = 0; i < b->n; i++) {
		int fd;

		for (size_t f = i * each; f < (i + 1) * each; f++) {
			const struct floor_file *file = &b->floor[f];

			fd = file->fd >= 0 ? file->fd
					   : openat(file->dir, file->path, O_RDONLY | O_CLOEXEC);
			if (pread(fd, b->buf, 65536, 0) < 0)
				die("cannot read a file of the floor");
			if (file->fd < 0)
				close(fd);
		}
		fd = openat(b->instance[i]->proc_fd, "net/dev", O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, b->buf, 65536) < 0)
			die("cannot read net/dev");
		close(fd);
	}
}

static void start_floor(struct bench *b)
{
	int pair[2];
	char go;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("cannot make a socket");
	b->floor_pid = fork();
	if (b->floor_pid == 0) {
		close(pair[0]);
		/* Room for the net/dev of an instance, and for a file opened anew. */
		int spare = dup(pair[1]), spare2 = dup(pair[1]);

		open_floor(b);
		close(spare);
		close(spare2);
		if (write(pair[1], &b->floor_files, sizeof(b->floor_files)) < 0)
			_exit(1);
		while (read(pair[1], &go, 1) == 1) {
			uint64_t t = thread_cpu();

			floor_cycle(b);
			t = thread_cpu() - t;
			if (write(pair[1], &t, sizeof(t)) < 0)
				break;
		}
		_exit(0);
	}
	close(pair[1]);
	b->floor_socket = pair[0];
	if (read(pair[0], &b->floor_files, sizeof(b->floor_files)) != sizeof(b->floor_files))
		die("the floor did not start");
}

/* CPU time of one cycle of the floor, in ns. */
static uint64_t run_floor(struct bench *b)
{
	uint64_t ns = 0;

	if (write(b->floor_socket, "", 1) != 1 ||
		read(b->floor_socket, &ns, sizeof(ns)) != sizeof(ns))
		die("the floor has ended");
	return ns;
}

static void stop_floor(struct bench *b)
{
	close(b->floor_socket);
	waitpid(b->floor_pid, NULL, 0);
}

/* --- the parts of a cycle ------------------------------------------------------------------ */

static void sampler_only(struct bench *b)
{
	struct cycle_facts facts = {
		.time_ns = now_ns(CLOCK_REALTIME),
		.host_cpus = value_of(2 * NSEC_PER_SEC),
		.host_memory = value_of(UINT64_C(1) << 34),
	};

	levels_begin(b->measure.levels);
	for (size_t i = 0; i < b->n; i++)
		if (instance_measure(&b->measure, b->instance[i], &facts) < 0)
			die("an instance is gone");
}

struct result {
	double floor, sampler, ring, snapshot, store, services, whole, rss_anon, paced_floor;
};

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return v[n / 2];
}

static void add_publish_cost(struct bench *b, struct result *r)
{
	struct snapshot_builder *builder = snapshot_builder_new();
	char *ring_path = format_string("%s/bench-ring", b->dir);
	char *snap_path = format_string("%s/bench-snapshot", b->dir);
	double ring_us[ROUNDS], snap_us[ROUNDS];
	struct snapshot_info info = {.interval_ns = NSEC_PER_SEC};
	struct ring *ring = NULL;
	struct error err;
	uint64_t seq;

	if (ring_create(ring_path, 64u << 20, &ring, NULL, &err) < 0) {
		fprintf(stderr, "bench: %s\n", err.text);
		exit(1);
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		uint64_t t = thread_cpu();

		ring_begin(ring, now_ns(CLOCK_REALTIME), now_ns(CLOCK_MONOTONIC), NSEC_PER_SEC);
		for (size_t i = 0; i < b->n; i++)
			ring_add(ring,
				&(struct ring_row){.index = b->instance[i]->id->index,
					.run = b->instance[i]->id->run},
				b->instance[i]->now);
		ring_commit(ring, &seq);
		ring_us[round] = (double)(thread_cpu() - t) / 1e3 / (double)b->n;
		t = thread_cpu();
		snapshot_builder_reset(builder);
		for (size_t i = 0; i < b->n; i++) {
			const struct identity *id = b->instance[i]->id;
			struct snapshot_row row = {
				.index = id->index,
				.run = id->run,
				.values = b->instance[i]->now,
				.text = {[TEXT_NAME] = id->name,
					[TEXT_HANDLE] = id->handle,
					[TEXT_CONTEXT] = id->context,
					[TEXT_KIND] = id->kind,
					[TEXT_CGROUPS] = id->cgroup[CONTROLLER_MEMORY]},
			};

			snapshot_builder_add(builder, SCOPE_INSTANCE, &row);
		}
		snapshot_builder_publish(builder, snap_path, &info);
		snap_us[round] = (double)(thread_cpu() - t) / 1e3 / (double)b->n;
	}
	r->ring = median(ring_us, ROUNDS);
	r->snapshot = median(snap_us, ROUNDS);
	ring_close(ring);
	snapshot_builder_free(builder);
	unlink(ring_path);
	unlink(snap_path);
	free(ring_path);
	free(snap_path);
}

static void measure_parts(struct bench *b, struct result *r)
{
	double floor_us[ROUNDS], sampler_us[ROUNDS];

	start_floor(b);
	run_floor(b);
	sampler_only(b);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint64_t t;

		floor_us[round] = (double)run_floor(b) / 1e3 / (double)b->n;
		t = thread_cpu();
		sampler_only(b);
		sampler_us[round] = (double)(thread_cpu() - t) / 1e3 / (double)b->n;
	}
	r->floor = median(floor_us, ROUNDS);
	r->sampler = median(sampler_us, ROUNDS);
	add_publish_cost(b, r);
}

/* --- the whole collector --------------------------------------------------------------------- */

struct process {
	pid_t pid;
	char name[32];
};

/* loadcelld and its children. */
static size_t processes_of(pid_t root, struct process *ret, size_t max)
{
	char path[64], list[256] = "", *p = list;
	size_t n = 0;

	ret[n++] = (struct process){root, "loadcelld"};
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", root, root);
	if (read_file_at(AT_FDCWD, path, list, sizeof(list)) < 0)
		return n;
	while (n < max) {
		long pid = strtol(p, &p, 10);

		if (pid <= 0)
			break;
		ret[n].pid = (pid_t)pid;
		snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
		if (read_file_at(AT_FDCWD, path, ret[n].name, sizeof(ret[n].name)) < 0)
			continue;
		ret[n].name[strcspn(ret[n].name, "\n")] = '\0';
		n++;
	}
	return n;
}

/*
 * CPU time in ns: what the scheduler counted for each thread, or only those called `name`, and the
 * ended children of the process by ticks.
 */
static uint64_t cpu_of(pid_t pid, const char *name)
{
	char path[64], buf[1024], *p;
	unsigned long cutime = 0, cstime = 0;
	uint64_t sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char sub[384], comm[32] = "";
		uint64_t ns = 0;

		snprintf(sub, sizeof(sub), "%s/%s/comm", path, e->d_name);
		if (read_file_at(AT_FDCWD, sub, comm, sizeof(comm)) < 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		snprintf(sub, sizeof(sub), "%s/%s/schedstat", path, e->d_name);
		if ((name && strcmp(comm, name)) ||
			read_file_at(AT_FDCWD, sub, buf, sizeof(buf)) < 0 ||
			sscanf(buf, "%" SCNu64, &ns) != 1)
			continue;
		sum += ns;
	}
	if (d)
		closedir(d);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!name && read_file_at(AT_FDCWD, path, buf, sizeof(buf)) > 0 && (p = strrchr(buf, ')')))
		sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu",
			&cutime, &cstime);
	return sum + (cutime + cstime) * (NSEC_PER_SEC / 100);
}

static double rss_anon_of(pid_t pid)
{
	char path[64], buf[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file_at(AT_FDCWD, path, buf, sizeof(buf)) < 0 || !(p = strstr(buf, "RssAnon:")))
		return 0;
	return strtod(p + 8, NULL) / 1024;
}

static double host_value(const char *dir, enum metric_id id)
{
	char *path = format_string("%s/run/snapshot", dir);
	struct snapshot *s = NULL;
	struct error err;
	double v = -1;

	if (snapshot_open(path, &s, &err) == 0) {
		v = (double)snapshot_value(s, SCOPE_HOST, 0, id).number;
		snapshot_close(s);
	}
	free(path);
	return v;
}

static bool wait_for(const char *dir, enum metric_id id, double at_least, int seconds)
{
	for (int i = 0; i < seconds * 5; i++) {
		if (host_value(dir, id) >= at_least)
			return true;
		usleep(200000);
	}
	return false;
}

static pid_t start_collector(struct bench *b, char *conf)
{
	char *program = format_string("%s/bin/loadcelld", b->build);
	char *log = format_string("%s/loadcelld.log", b->dir);
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		dup2(fd, 2);
		execl(program, "loadcelld", "-c", conf, (char *)NULL);
		_exit(127);
	}
	free(program);
	free(log);
	return pid;
}

static bool space_for(const struct bench *b)
{
	struct statvfs v;
	double want = (double)b->n * RRD_BYTES * 1.1;

	return statvfs(b->dir, &v) == 0 && (double)v.f_bavail * (double)v.f_frsize > want;
}

/* The floor at the collector's own pace, in the same seconds: caches are as cold for both. */
static void *paced_floor(void *data)
{
	struct bench *b = data;

	for (;;) {
		struct timespec pause = {b->interval, 0};
		nanosleep(&pause, NULL);
		if (b->floor_stop)
			return NULL;
		b->paced_ns += run_floor(b);
		b->paced_cycles++;
	}
}

/* Six samples to a flush, as 10 s and 60 s are by default. */
static void measure_whole(struct bench *b, struct result *r, int cycles)
{
	char *conf = format_string("%s/loadcell.conf", b->dir);
	FILE *f = fopen(conf, "w");
	struct process p[8];
	uint64_t before[8], sampler_before;
	double total = 0, c0, c1;
	pthread_t thread;
	size_t n;
	pid_t pid;

	fprintf(f,
		"interval = %ds\nflush = %ds\nreconcile = %ds\nrun_dir = %s/run\ndata_dir = "
		"%s/data\n"
		"lxcpath = %s/lxc\ndata_max = 100G\nrecent = 16M\ndisk_walk = off\n",
		b->interval, 6 * b->interval, 3 * b->interval, b->dir, b->dir, b->dir);
	fclose(f);
	pid = start_collector(b, conf);
	if (!wait_for(b->dir, METRIC_INSTANCES_RUNNING, (double)b->n, 120) ||
		!wait_for(b->dir, METRIC_STORE_FILES, (double)b->n, 900)) {
		fprintf(stderr,
			"bench: the collector did not come to %zu instances (%.0f) and RRDs "
			"(%.0f)\n",
			b->n, host_value(b->dir, METRIC_INSTANCES_RUNNING),
			host_value(b->dir, METRIC_STORE_FILES));
		r->whole = -1;
		goto out;
	}
	sleep(8 * b->interval); /* the storm of new files is over, workers have seen everything */
	n = processes_of(pid, p, ARRAY_SIZE(p));
	for (size_t i = 0; i < n; i++)
		before[i] = cpu_of(p[i].pid, NULL);
	sampler_before = cpu_of(pid, "sampler");
	b->paced_ns = b->paced_cycles = 0;
	b->floor_stop = false;
	pthread_create(&thread, NULL, paced_floor, b);
	c0 = host_value(b->dir, METRIC_COLLECTOR_CYCLES);
	sleep(cycles * b->interval);
	c1 = host_value(b->dir, METRIC_COLLECTOR_CYCLES);
	for (size_t i = 0; i < n; i++) {
		double us = (double)(cpu_of(p[i].pid, NULL) - before[i]) / 1e3 / (c1 - c0) /
			    (double)b->n;

		printf("    %-16s %8.2f us  RssAnon %6.1f MB\n", p[i].name, us,
			rss_anon_of(p[i].pid));
		total += us;
		r->rss_anon += rss_anon_of(p[i].pid);
		if (!strcmp(p[i].name, "loadcelld-store"))
			r->store = us;
	}
	printf("    of loadcelld, thread sampler %.2f us; cycles %.0f, missed %.0f, last cycle "
	       "%.1f ms\n",
		(double)(cpu_of(pid, "sampler") - sampler_before) / 1e3 / (c1 - c0) / (double)b->n,
		c1 - c0, host_value(b->dir, METRIC_COLLECTOR_MISSED_CYCLES),
		host_value(b->dir, METRIC_COLLECTOR_CYCLE_TIME) / 1e6);
	r->whole = total;
	b->floor_stop = true;
	pthread_join(thread, NULL);
	r->paced_floor = (double)b->paced_ns / 1e3 / (double)b->paced_cycles / (double)b->n;
out:
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	free(conf);
}

static void remove_state(const char *dir)
{
	char *command =
		format_string("rm -rf '%s/run' '%s/data' '%s/loadcell.conf'", dir, dir, dir);

	if (system(command) != 0)
		fprintf(stderr, "bench: cannot remove %s\n", dir);
	free(command);
}

static int bench_one(struct bench *b, struct result *r, int cycles)
{
	memset(r, 0, sizeof(*r));
	if (measure_init(&b->measure, b->h, "/proc", b->descriptors) < 0 || start_all(b) < 0)
		return -1;
	b->instance = calloc(b->n, sizeof(struct instance *));
	for (size_t i = 0; i < b->n; i++)
		b->instance[i] = instance_new(&b->measure, identity_of(b, i));
	measure_parts(b, r);
	printf("N=%zu, %zu kept-open files and net/dev an instance\n", b->n, b->floor_files / b->n);
	printf("  floor %.2f us, sampler %.2f us (%.2f x), ring %.2f us, snapshot %.2f us\n",
		r->floor, r->sampler, r->sampler / r->floor, r->ring, r->snapshot);
	if (cycles > 0 && space_for(b))
		measure_whole(b, r, cycles);
	else
		printf("  whole: skipped, %s\n",
			cycles > 0 ? "no space for the RRDs" : "not asked for");
	if (r->whole > 0)
		printf("  whole %.2f us, floor at that pace %.2f us (%.2f x), RssAnon %.1f MB\n",
			r->whole, r->paced_floor, r->whole / r->paced_floor, r->rss_anon);
	stop_floor(b);
	for (size_t i = 0; i < b->n; i++)
		instance_free(&b->measure, b->instance[i]);
	free(b->instance);
	measure_destroy(&b->measure);
	fflush(stdout);
	stop_all(b);
	remove_state(b->dir);
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit files = {1024 * 1024, 1024 * 1024};
	struct bench b = {0};
	struct result first = {0}, r;
	struct error err;
	int cycles;

	if (argc < 5) {
		fprintf(stderr, "usage: bench BUILD STATE_DIR CYCLES N...\n");
		return 2;
	}
	b.build = argv[1];
	b.dir = argv[2];
	cycles = atoi(argv[3]);
	b.buf = malloc(65536);
	b.interval = getenv("BENCH_INTERVAL") ? atoi(getenv("BENCH_INTERVAL")) : 10;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		printf("RLIMIT_NOFILE is %lu and cannot be raised: files beyond are opened for "
		       "each read, by the floor too\n",
			(unsigned long)files.rlim_max);
	}
	b.descriptors = files.rlim_cur - 256;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (hierarchies_find("/sys/fs/cgroup", "/proc", &b.h, &err) < 0) {
		fprintf(stderr, "bench: %s\n", err.text);
		return 1;
	}
	remove_cgroups(b.h);
	for (int i = 4; i < argc; i++) {
		b.n = strtoul(argv[i], NULL, 10);
		if (bench_one(&b, &r, cycles) < 0) {
			stop_all(&b);
			return 1;
		}
		if (b.n == 100)
			first = r;
		if (b.n > 100 && first.floor > 0)
			printf("  against N=100: floor %.2f x, sampler %.2f x, whole %.2f x\n",
				r.floor / first.floor, r.sampler / first.sampler,
				first.whole > 0 && r.whole > 0 ? r.whole / first.whole : 0);
	}
	hierarchies_free(b.h);
	free(b.buf);
	return 0;
}
