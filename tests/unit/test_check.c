/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cli/check.h"
#include "lib/spool.h"

/*
 * `loadcell check` on a made-up /proc and a made-up sample: each check is silent on a host that is
 * well and fires on one that is not. Lines are written by hand.
 */
#define T0 (UINT64_C(1714564800) * NSEC_PER_SEC)
#define S  NSEC_PER_SEC
#define G  (UINT64_C(1) << 30)
#define M  (UINT64_C(1) << 20)

struct world {
	char dir[64];
	char *config;
	struct value host[METRIC_ID_END], web[METRIC_ID_END], fs[METRIC_ID_END];
	const char *cgroups, *lxcpath; /* of web01 */
	int64_t age_s;                 /* of the sample; below 0: there is none */
	pid_t server;
	int exit;
	char *out, *err;
};

/* --- a host that is well ----------------------------------------------------------------- */

static void put(const struct world *w, const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->dir, name);
	_cleanup_free_ char *parent = path ? strdup(path) : NULL;

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(make_directories(parent, 0755), 0);
	assert_int_equal(replace_file(path, text, strlen(text), 0644, false), 0);
}

static void put_link(const struct world *w, const char *name, const char *target)
{
	_cleanup_free_ char *path = format_string("%s/%s", w->dir, name);
	_cleanup_free_ char *parent = path ? strdup(path) : NULL;

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(make_directories(parent, 0755), 0);
	assert_int_equal(symlink(target, path), 0);
}

struct made_up {
	int pid;
	const char *name, *nspid;
	unsigned int uid, threads, nofile, nproc, files, inotify, watches;
	const char *cgroup, *user_ns;
};

static void put_process(const struct world *w, struct made_up p)
{
	char name[64], text[512];

	snprintf(name, sizeof(name), "proc/%d/status", p.pid);
	snprintf(text, sizeof(text),
		"Name:\t%s\nPid:\t%d\nUid:\t%u\t%u\t%u\t%u\nNSpid:\t%s\nThreads:\t%u\n", p.name,
		p.pid, p.uid, p.uid, p.uid, p.uid, p.nspid, p.threads);
	put(w, name, text);
	snprintf(name, sizeof(name), "proc/%d/cgroup", p.pid);
	snprintf(text, sizeof(text), "4:memory:%s\n1:name=systemd:/x\n", p.cgroup);
	put(w, name, text);
	snprintf(name, sizeof(name), "proc/%d/limits", p.pid);
	snprintf(text, sizeof(text),
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max processes             %-20u unlimited            processes \n"
		"Max open files            %-20u 1048576              files     \n",
		p.nproc, p.nofile);
	put(w, name, text);
	snprintf(name, sizeof(name), "proc/%d/ns/user", p.pid);
	put_link(w, name, p.user_ns);
	for (unsigned int i = 0; i < p.files; i++) {
		snprintf(name, sizeof(name), "proc/%d/fd/%u", p.pid, i);
		put_link(w, name, i < p.inotify ? "anon_inode:inotify" : "/dev/null");
		snprintf(name, sizeof(name), "proc/%d/fdinfo/%u", p.pid, i);
		text[0] = '\0';
		for (unsigned int n = 0; i < p.inotify && n < p.watches; n++)
			strcat(text, "inotify wd:1 ino:2\n");
		put(w, name, text);
	}
}

#define HOST_NS "user:[4026531837]"

static void put_proc(const struct world *w)
{
	static const char *const files[][2] = {
		{"loadavg", "0.10 0.20 0.30 1/1000 4711\n"},
		{"cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t100\t1\n"},
		{"meminfo", "MemTotal:       67108864 kB\nMemAvailable:   33554432 kB\n"
			    "SwapTotal:       1048576 kB\nCommitLimit:    1000 kB\n"
			    "Committed_AS:    920 kB\n"},
		{"sys/kernel/threads-max", "32768\n"},
		{"sys/kernel/pid_max", "65536\n"},
		{"sys/vm/max_map_count", "65530\n"},
		{"sys/vm/overcommit_memory", "0\n"},
		{"sys/fs/file-nr", "1000\t0\t9223372036854775807\n"},
		{"sys/fs/file-max", "9223372036854775807\n"},
		{"sys/fs/inotify/max_user_instances", "128\n"},
		{"sys/fs/inotify/max_user_watches", "8192\n"},
		{"sys/net/netfilter/nf_conntrack_max", "1000\n"},
		{"sys/net/netfilter/nf_conntrack_count", "10\n"},
		{"sys/net/ipv4/neigh/default/gc_thresh3", "1024\n"},
		{"sys/net/ipv6/neigh/default/gc_thresh3", "1024\n"},
		{"sys/net/ipv4/tcp_mem", "100\t200\t1000\n"},
		{"sys/net/core/somaxconn", "128\n"},
		{"net/stat/arp_cache", "entries  allocs\n00000010  00000000\n"},
		{"net/stat/ndisc_cache", "entries  allocs\n00000010  00000000\n"},
		{"net/sockstat", "sockets: used 9\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 10\n"},
		{"net/netstat", "TcpExt: A ListenOverflows\nTcpExt: 1 0\n"},
		{"net/snmp", "Ip: A\nIp: 1\nTcp: PassiveOpens B\nTcp: 5000 0\n"},
		{"100/net/stat/nf_conntrack", "entries  searched\n00000020 00000000\n"},
		{"100/net/netstat", "TcpExt: A ListenOverflows\nTcpExt: 1 9\n"},
		{"100/net/snmp", "Tcp: PassiveOpens B\nTcp: 10 0\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char name[128];

		snprintf(name, sizeof(name), "proc/%s", files[i][0]);
		put(w, name, files[i][1]);
	}
	put_process(w,
		(struct made_up){1, "systemd", "1", 0, 1, 1024, 1000, 30, 3, 10, "/init", HOST_NS});
	put_process(w, (struct made_up){100, "init", "100\t1", 0, 1, 100, 50, 3, 0, 0,
			       "/lxc.payload.web01", HOST_NS});
	/* A sandbox that has more open than it may is no concern, nor is its limit of threads. */
	put_process(w, (struct made_up){101, "sandbox", "101\t7", 33, 5, 1, 1, 3, 0, 0,
			       "/lxc.payload.web01/child", HOST_NS});
}

static void set(struct value *values, unsigned int id, uint64_t n)
{
	values[metric_slot(id)] = value_of(n);
}

static void fill_sample(struct world *w)
{
	set(w->host, METRIC_HOST_TASKS, 2000);
	set(w->host, METRIC_HOST_MEMORY_TOTAL, 64 * G);
	set(w->host, METRIC_HOST_SWAP_TOTAL, G);
	set(w->host, METRIC_HOST_MAP_COUNT, 900);
	set(w->host, METRIC_MEMORY_COMMITTED, 60 * G);
	set(w->host, METRIC_MEMORY_UNLIMITED_INSTANCES, 2);
	set(w->host, METRIC_MEMORY_UNLIMITED_WORKING_SET, 8 * G);
	set(w->host, METRIC_COLLECTOR_CYCLES, 990);
	set(w->host, METRIC_COLLECTOR_MISSED_CYCLES, 2);
	set(w->host, METRIC_COLLECTOR_CYCLE_TIME, 20000000);
	set(w->host, METRIC_RECENT_PENDING, 70 * S);
	set(w->host, METRIC_STORE_SIZE_LIMIT, 2 * G);
	set(w->host, METRIC_LEDGER_SPOOL, 5);
	set(w->host, METRIC_LEDGER_ERRORS, 0);
	set(w->host, METRIC_INSTANCES_RUNNING, 1);
	set(w->web, METRIC_CPU_LIMIT, 2 * S);
	set(w->web, METRIC_MEMORY_USAGE, 70 * M);
	set(w->web, METRIC_MEMORY_WORKING_SET, 64 * M);
	set(w->web, METRIC_MEMORY_LIMIT, 128 * M);
	set(w->web, METRIC_MEMORY_SWAP_LIMIT, 0);
	set(w->web, METRIC_PIDS_CURRENT, 40);
	set(w->web, METRIC_PIDS_LIMIT, 100);
	set(w->web, METRIC_DISK_USED, G);
	set(w->web, METRIC_DISK_LIMIT, 4 * G);
	set(w->fs, METRIC_FILESYSTEM_SIZE, 100 * G);
	set(w->fs, METRIC_FILESYSTEM_USED, 50 * G);
	set(w->fs, METRIC_FILESYSTEM_INODES, 1000);
	set(w->fs, METRIC_FILESYSTEM_USED_INODES, 100);
	w->lxcpath = "/var/lib/lxc";
	set(w->web, METRIC_IO_READ_BYTES, 4096);
	w->cgroups = "cpu=/lxc.payload.web01\ncpuacct=/lxc.payload.web01\n"
		     "memory=/lxc.payload.web01\npids=/lxc.payload.web01\n"
		     "blkio=/lxc.payload.web01\n";
}

static void add_row(struct snapshot_builder *b, enum metric_scope scope, struct snapshot_row row,
	const struct value *values)
{
	row.values = values;
	assert_int_equal(snapshot_builder_add(b, scope, &row), 0);
}

static void publish(struct world *w)
{
	_cleanup_(snapshot_builder_free) struct snapshot_builder *b = snapshot_builder_new();
	_cleanup_free_ char *path = format_string("%s/run/snapshot", w->dir);
	struct snapshot_info info = {.time_ns = T0, .interval_ns = 10 * S, .sequence = 77};
	struct snapshot_row host = {.text = {[TEXT_NAME] = "kvm07"}};
	struct snapshot_row fs = {.text = {[TEXT_NAME] = "/srv"}};
	struct snapshot_row web = {.index = 1,
		.run = 7,
		.text = {[TEXT_NAME] = "web01",
			[TEXT_HANDLE] = "web01",
			[TEXT_KIND] = "lxc",
			[TEXT_CGROUPS] = w->cgroups}};

	assert_true(b && path);
	web.text[TEXT_LXCPATH] = w->lxcpath;
	unlink(path);
	if (w->age_s < 0)
		return;
	info.monotonic_ns = now_ns(CLOCK_MONOTONIC) - (uint64_t)w->age_s * S;
	add_row(b, SCOPE_HOST, host, w->host);
	add_row(b, SCOPE_FILESYSTEM, fs, w->fs);
	add_row(b, SCOPE_INSTANCE, web, w->web);
	assert_int_equal(snapshot_builder_publish(b, path, &info), 0);
}

static void write_config(const struct world *w, const char *more)
{
	_cleanup_free_ char *text = format_string(
		"proc_root = %s/proc\nrun_dir = %s/run\ndata_dir = %s/data\nlxcpath = %s/lxc\n"
		"agentx = %s/agentx\n%s\n",
		w->dir, w->dir, w->dir, w->dir, w->dir, more);

	put(w, "conf", text);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/check-unit.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->config = format_string("%s/conf", w->dir);
	put(w, "run/x", "");
	put(w, "snmpd.conf", "# x\nmaster agentx\n");
	put_proc(w);
	fill_sample(w);
	write_config(w, "");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *command = format_string("rm -rf %s", w->dir);

	if (w->server) {
		kill(w->server, SIGKILL);
		waitpid(w->server, NULL, 0);
	}
	assert_int_equal(system(command), 0);
	free(w->config);
	free(w->out);
	free(w->err);
	free(w);
	return 0;
}

static int run(struct world *w, const char *first, ...)
{
	_cleanup_free_ char *snmpd = format_string("%s/snmpd.conf", w->dir);
	char *argv[16] = {(char *)"loadcell", (char *)"-c", w->config, (char *)"check",
		(char *)"--snmpd-conf", snmpd};
	size_t out_len, err_len;
	int argc = 6;
	FILE *out, *err;
	va_list ap;

	free(w->out);
	free(w->err);
	publish(w);
	va_start(ap, first);
	for (const char *a = first; a && argc < 15; a = va_arg(ap, const char *))
		argv[argc++] = (char *)a;
	va_end(ap);
	out = open_memstream(&w->out, &out_len);
	err = open_memstream(&w->err, &err_len);
	w->exit = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return w->exit;
}

/* What one check says; its figures stand in the summary. */
static void expect(struct world *w, const char *id, int code, const char *line, const char *figures)
{
	_cleanup_free_ char *second = format_string("\n%s\n", line);
	_cleanup_free_ char *first = figures ? format_string(" |%s=%s\n", id, figures) : NULL;

	run(w, "--only", id, NULL);
	if (w->exit != code || !strstr(w->out, second) || (first && !strstr(w->out, first)) ||
		(!first && strchr(w->out, '|')))
		fail_msg("exit %d, not %d, or not\n%s\n%s\nbut %s%s", w->exit, code,
			first ? first : "(no figures)", line, w->out, w->err);
}

static void serve(struct world *w, const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/control.sock", w->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	w->server = fork();
	while (w->server == 0) {
		int one = accept(fd, NULL, NULL);
		char word[64];

		if (read(one, word, sizeof(word)) > 0)
			(void)!write(one, answer, strlen(answer));
		close(one);
	}
	close(fd);
}

/* --- silence ----------------------------------------------------------------------------- */

/* All but the clock, which is the machine's. */
static const char all_but_clock[] =
	"collector,cycles,rrd,ledger,spool,hooks,snmpd,controllers,swap-accounting,threads-max,"
	"pid-max,map-count,file-max,memory-cgroups,inotify-instances,inotify-watches,nofile,nproc,"
	"conntrack,neighbours,tcp-mem,somaxconn,memory-overcommit,commit-limit,memory-limits,"
	"pids-limits,cpu-limits,disk-limits,memory-near,pids-near,disk-near,filesystems";

static void test_well(void **state)
{
	struct world *w = *state;

	serve(w, "{\"helpers\":[{\"program\":\"loadcelld-lxc\",\"pid\":7}]}");
	assert_int_equal(run(w, "--only", all_but_clock, NULL), 0);
	/* No snmpd runs, no container is defined, vm.overcommit_memory is 0. */
	assert_int_equal(strncmp(w->out, "OK 29 checks |", 14), 0);
	assert_null(strstr(w->out, "WARNING"));
	assert_non_null(strstr(w->out, "\nOK collector: it runs, and its sample is fresh\n"));
	expect(w, "cycles", 0,
		"OK cycles: 2 of 992 cycles missed (0 %); the last one took 20ms of 10s",
		"2;9;99;0;992");
	expect(w, "rrd", 0, "OK rrd: the RRDs are 1m10s behind, flushed every 1m", "70;180;900;0;");
	expect(w, "spool", 0, "OK spool: 4 of at most 20000 records wait (0 %)",
		"4;2000;16000;0;20000");
	expect(w, "file-max", 0, "OK file-max: fs.file-max is unlimited", NULL);
	expect(w, "nofile", 0, "OK nofile: process 100 of web01 has 3 of its 100 files open (3 %)",
		"3;80;95;0;100");
	expect(w, "nproc", 0,
		"OK nproc: uid 33 has 5 of the 50 threads that web01 allows it (10 %)",
		"5;40;47;0;50");
	expect(w, "memory-limits", 0, "OK memory-limits: all 1 have one", "0;1;;0;1");
	expect(w, "commit-limit", 0,
		"NOT APPLICABLE commit-limit: vm.overcommit_memory is 0: the kernel keeps to no "
		"such limit",
		NULL);
	expect(w, "snmpd", 0, "NOT APPLICABLE snmpd: snmpd does not run", NULL);
	expect(w, "hooks", 0, "NOT APPLICABLE hooks: no container is defined", NULL);
	expect(w, "conntrack", 0,
		"OK conntrack: web01 tracks 32 of 1000 connections (3 %); the maximum is set on "
		"the host, for each network namespace",
		"32;800;900;0;1000");
}

/* --- the kernel's ceilings --------------------------------------------------------------- */

static void test_ceilings(void **state)
{
	struct world *w = *state;

	set(w->host, METRIC_HOST_TASKS, 28110);
	expect(w, "threads-max", 1,
		"WARNING threads-max: 28110 of 32768 threads are used (85 %); sysctl -w "
		"kernel.threads-max=65536, and keep it in /etc/sysctl.d/",
		"28110;26214;29491;0;32768");
	set(w->host, METRIC_HOST_TASKS, 65000);
	expect(w, "pid-max", 2,
		"CRITICAL pid-max: 65000 of 65536 pids are used (99 %); sysctl -w "
		"kernel.pid_max=131072, and keep it in /etc/sysctl.d/",
		"65000;52428;58982;0;65536");
	set(w->host, METRIC_HOST_PIDS_LIMIT, 4 << 20);
	set(w->host, METRIC_HOST_TASKS, 4 << 20);
	expect(w, "pid-max", 2,
		"CRITICAL pid-max: 4194304 of 4194304 pids are used (100 %); kernel.pid_max is at "
		"its most: run fewer instances on this host",
		"4194304;3355443;3774873;0;4194304");
	set(w->host, METRIC_HOST_MAP_COUNT, 60000);
	expect(w, "map-count", 2,
		"CRITICAL map-count: 60000 of 65530 memory maps are used by one process (91 %); "
		"sysctl -w vm.max_map_count=131072, and keep it in /etc/sysctl.d/",
		"60000;52424;58977;0;65530");
	set(w->host, METRIC_HOST_OPEN_FILES, 85000);
	put(w, "proc/sys/fs/file-max", "100000\n");
	expect(w, "file-max", 1,
		"WARNING file-max: 85000 of 100000 files are open (85 %); sysctl -w "
		"fs.file-max=262144, and keep it in /etc/sysctl.d/",
		"85000;80000;90000;0;100000");
	set(w->host, METRIC_HOST_MEMORY_CGROUPS, 60000);
	expect(w, "memory-cgroups", 2,
		"CRITICAL memory-cgroups: 60000 of 65535 memory cgroups that 16 bits of id allow "
		"(91 %); remove instances or services in them; dead ones that page cache holds go "
		"with: sync; echo 3 >/proc/sys/vm/drop_caches",
		"60000;52428;58981;0;65535");
}

static void test_inotify(void **state)
{
	struct world *w = *state;

	/* In a user namespace of its own: charged to root, who has three on the host. */
	put_process(w, (struct made_up){200, "udevd", "200\t9", 100000, 1, 100, 50, 100, 100, 1,
			       "/lxc.payload.web01", "user:[4026532000]"});
	put_process(w, (struct made_up){300, "editor", "300", 1000, 1, 1024, 50, 10, 10, 20,
			       "/user.slice", HOST_NS});
	expect(w, "inotify-instances", 1,
		"WARNING inotify-instances: uid 0 has about 103 of 128 inotify instances (80 %); "
		"the setting is the host's, for all instances of a user together; sysctl -w "
		"fs.inotify.max_user_instances=256, and keep it in /etc/sysctl.d/",
		"103;102;115;0;128");
	put(w, "proc/sys/fs/inotify/max_user_watches", "210\n");
	expect(w, "inotify-watches", 2,
		"CRITICAL inotify-watches: uid 1000 has about 200 of 210 inotify watches (95 %); "
		"the setting is the host's, for all instances of a user together; sysctl -w "
		"fs.inotify.max_user_watches=512, and keep it in /etc/sysctl.d/",
		"200;168;189;0;210");
}

static void test_process_limits(void **state)
{
	struct world *w = *state;

	put_process(w, (struct made_up){110, "httpd", "110\t20", 33, 44, 20, 50, 19, 0, 0,
			       "/lxc.payload.web01", HOST_NS});
	expect(w, "nofile", 2,
		"CRITICAL nofile: process 110 of web01 has 19 of its 20 files open (95 %); "
		"LimitNOFILE= of its service, or lxc.prlimit.nofile = 64 in the instance's "
		"configuration and a restart; at once: prlimit --pid 110 --nofile=64:",
		"19;16;19;0;20");
	/* 44 and the sandbox's 5, of init's 50. */
	expect(w, "nproc", 2,
		"CRITICAL nproc: uid 33 has 49 of the 50 threads that web01 allows it (98 %); "
		"lxc.prlimit.nproc = 128 in its configuration, then restart it; or a user "
		"namespace of its own (lxc.idmap), as instances that share one share the count",
		"49;40;47;0;50");
}

/* Who may not look into "fd" is told so, and gets no figure. */
static void test_denied(void **state)
{
	struct world *w = *state;
	static const char *const open_to_all[] = {"", "/run"};
	char path[96];
	pid_t child;
	int status;

	publish(w);
	for (size_t i = 0; i < ARRAY_SIZE(open_to_all); i++) {
		snprintf(path, sizeof(path), "%s%s", w->dir, open_to_all[i]);
		assert_int_equal(chmod(path, 0777), 0);
	}
	snprintf(path, sizeof(path), "%s/proc/1/fd", w->dir);
	assert_int_equal(chmod(path, 0), 0);
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(99);
		run(w, "--only", "inotify-instances", NULL);
		_exit(w->exit != 3 || strchr(w->out, '|') ||
			!strstr(w->out,
				"1 of 3 processes show their open files to root only; run it"));
	}
	waitpid(child, &status, 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(status, 0);
}

/* --- the network ------------------------------------------------------------------------- */

static void test_network(void **state)
{
	struct world *w = *state;

	put(w, "proc/100/net/stat/nf_conntrack", "entries  searched\n00000384 00000000\n");
	expect(w, "conntrack", 2,
		"CRITICAL conntrack: web01 tracks 900 of 1000 connections (90 %); the maximum is "
		"set on the host, for each network namespace; sysctl -w "
		"net.netfilter.nf_conntrack_max=2048, and keep it in /etc/sysctl.d/",
		"900;800;900;0;1000");
	put(w, "proc/net/stat/ndisc_cache", "entries  allocs\n00000370  00000000\n");
	expect(w, "neighbours", 1,
		"WARNING neighbours: 16 of 1024 ipv4 neighbours (1 %); 880 of 1024 ipv6 neighbours "
		"(85 %); one table for the host and all instances; sysctl -w "
		"net.ipv6.neigh.default.gc_thresh3=2048 (gc_thresh2 half, gc_thresh1 a quarter of "
		"it), and keep them in /etc/sysctl.d/",
		"880;819;972;0;1024");
	put(w, "proc/net/sockstat", "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 800\n");
	expect(w, "tcp-mem", 1,
		"WARNING tcp-mem: TCP uses 800 of 1000 pages (80 %); for all instances together, "
		"the setting is the host's; sysctl -w net.ipv4.tcp_mem='200 400 2000', and keep it "
		"in /etc/sysctl.d/",
		"800;750;900;0;1000");
	put(w, "proc/100/net/netstat", "TcpExt: A ListenOverflows\nTcpExt: 1 50\n");
	put(w, "proc/100/net/snmp", "Tcp: PassiveOpens B\nTcp: 950 0\n");
	expect(w, "somaxconn", 1,
		"WARNING somaxconn: full queues refused 50 of 1000 connections (5 %) to web01 "
		"since it started; over the threshold: web01; somaxconn is 128 on the host, each "
		"instance has its own; lxc.sysctl.net.core.somaxconn = 256 in its configuration, a "
		"larger backlog in its service, then restart it",
		"5;1;10;0;100");
}

/* --- memory, clock, snmpd ---------------------------------------------------------------- */

static void test_memory(void **state)
{
	struct world *w = *state;

	set(w->host, METRIC_MEMORY_COMMITTED, 88 * G);
	expect(w, "memory-overcommit", 1,
		"WARNING memory-overcommit: instances may use 96G of 64G memory (150 %); limits of "
		"88G, and 8G that 2 without a limit use; vm.overcommit_memory is 0; lower the "
		"largest limits (loadcell list --sort mem-limit), move instances, or add memory or "
		"swap",
		"103079215104;82463372083;137438953472;0;68719476736");
	put(w, "proc/sys/vm/overcommit_memory", "2\n");
	expect(w, "commit-limit", 1,
		"WARNING commit-limit: 920K are committed of 1000K, beyond which the kernel "
		"refuses memory (92 %); raise vm.overcommit_ratio, add swap, or: sysctl -w "
		"vm.overcommit_memory=0",
		"942080;921600;993280;0;1024000");
}

static void test_clock(void **state)
{
	struct timex well = {.maxerror = 20000}, not = {.status = STA_UNSYNC};
	struct finding f = {0};
	struct checkup c = {.finding = &f};

	judge_clock(&c, TIME_OK, &well);
	assert_int_equal(f.state, CHECK_OK);
	assert_string_equal(f.text, "synchronised, off by 20ms at most");
	free(f.text);
	f = (struct finding){0};
	judge_clock(&c, TIME_ERROR, &not );
	assert_int_equal(f.state, CHECK_WARNING);
	assert_string_equal(f.text, "not synchronised: RRDs refuse samples after a step backwards");
	assert_non_null(f.remedy);
	free(f.text);
	free(f.remedy);
	f = (struct finding){0};
	judge_clock(&c, -EPERM, &not );
	assert_int_equal(f.state, CHECK_UNKNOWN);
	free(f.text);
}

static void test_snmpd(void **state)
{
	struct world *w = *state;
	char line[512];

	put_process(w, (struct made_up){401, "snmpd", "401\t9", 0, 1, 1024, 50, 3, 0, 0,
			       "/elsewhere", HOST_NS});
	expect(w, "snmpd", 0, "NOT APPLICABLE snmpd: snmpd does not run", NULL);
	put_process(w, (struct made_up){400, "snmpd", "400", 0, 1, 1024, 50, 3, 0, 0,
			       "/system.slice", HOST_NS});
	snprintf(line, sizeof(line),
		"WARNING snmpd: snmpd's AgentX socket %s/agentx: No such file or directory; "
		"systemctl restart snmpd; the key agentx has to name its agentXSocket",
		w->dir);
	expect(w, "snmpd", 1, line, NULL);
	put(w, "agentx", "");
	expect(w, "snmpd", 0, "OK snmpd: snmpd takes AgentX subagents", NULL);
	put(w, "snmpd.conf", "rocommunity public\n#master agentx\n");
	snprintf(line, sizeof(line),
		"WARNING snmpd: snmpd takes no subagents: no \"master agentx\" in %s/snmpd.conf; "
		"echo master agentx >>%s/snmpd.conf; systemctl restart snmpd",
		w->dir, w->dir);
	expect(w, "snmpd", 1, line, NULL);
	put(w, "snmpd.conf.d/x.conf", "master yes\n");
	expect(w, "snmpd", 0, "OK snmpd: snmpd takes AgentX subagents", NULL);
}

/* --- instances --------------------------------------------------------------------------- */

static void test_instances(void **state)
{
	struct world *w = *state;

	w->web[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
	expect(w, "memory-limits", 1,
		"WARNING memory-limits: 1 of 1 instance without a memory limit: web01; "
		"lxc.cgroup.memory.limit_in_bytes = 2G or the like; if that is meant: check = "
		"memory-limits off",
		"1;1;;0;1");
	w->web[metric_slot(METRIC_PIDS_LIMIT)] = value_unlimited();
	expect(w, "pids-limits", 1,
		"WARNING pids-limits: 1 of 1 instance without a pids limit: web01; "
		"lxc.cgroup.pids.max = 2000 or the like; if that is meant: check = pids-limits off",
		"1;1;;0;1");
	expect(w, "pids-near", 0, "NOT APPLICABLE pids-near: no instance has a pids limit", NULL);
	w->web[metric_slot(METRIC_CPU_LIMIT)] = value_unlimited();
	expect(w, "cpu-limits", 1,
		"WARNING cpu-limits: 1 of 1 instance without a CPU limit: web01; "
		"lxc.cgroup.cpu.cfs_quota_us = 200000 or the like; if that is meant: check = "
		"cpu-limits off",
		"1;1;;0;1");
	w->web[metric_slot(METRIC_DISK_LIMIT)] = value_unlimited();
	expect(w, "disk-limits", 1,
		"WARNING disk-limits: 1 of 1 instance without a disk limit: web01; a project "
		"quota, or a file system of its own (lxc-create -B lvm, zfs, loop); if that is "
		"meant: check = disk-limits off",
		"1;1;;0;1");
}

static void test_near(void **state)
{
	struct world *w = *state;

	set(w->web, METRIC_MEMORY_WORKING_SET, 120 * M);
	expect(w, "memory-near", 1,
		"WARNING memory-near: web01 uses 120M of its 128M memory (93 %); lxc-cgroup -P "
		"/var/lib/lxc -n web01 memory.limit_in_bytes 268435456, and in its configuration: "
		"lxc.cgroup.memory.limit_in_bytes = 268435456",
		"125829120;120795955;131533373;0;134217728");
	set(w->web, METRIC_PIDS_CURRENT, 99);
	expect(w, "pids-near", 2,
		"CRITICAL pids-near: web01 uses 99 of its 100 pids (99 %); lxc-cgroup -P "
		"/var/lib/lxc -n web01 pids.max 256, and in its configuration: lxc.cgroup.pids.max "
		"= 256",
		"99;80;95;0;100");
	set(w->web, METRIC_DISK_USED, 4 * G);
	expect(w, "disk-near", 2,
		"CRITICAL disk-near: web01 uses 4G of its 4G disk (100 %); loadcell show web01; "
		"make room, or enlarge its file system or quota",
		"4294967296;3650722201;4080218931;0;4294967296");
	set(w->fs, METRIC_FILESYSTEM_USED_INODES, 990);
	expect(w, "filesystems", 2,
		"CRITICAL filesystems: /srv uses 99 % of its inodes; the fullest is used to 99 %; "
		"make room in /srv, or move instances: du -xd1 /srv; loadcell list --sort disk",
		"990;850;950;0;1000");
}

static void test_controllers(void **state)
{
	struct world *w = *state;

	w->cgroups = "cpu=/a\ncpuacct=/a\nmemory=/a\nblkio=/a\n";
	run(w, "--only", "controllers", NULL);
	assert_int_equal(w->exit, 1);
	assert_non_null(strstr(w->out, "\nWARNING controllers: pids is missing for 1 of 1 instance "
				       "(web01), and with it 3 metrics; mount it; kernels before "
				       "4.3 have none\n"));
	w->cgroups = "cpu=/a\ncpuacct=/a\nmemory=/a\npids=/a\nblkio=/a\n";
	w->web[metric_slot(METRIC_IO_READ_BYTES)] = value_absent();
	run(w, "--only", "controllers", NULL);
	assert_int_equal(w->exit, 1);
	assert_non_null(strstr(w->out, "WARNING controllers: blkio counts no I/O before any of its "
				       "throttling rules is set; one that never bites makes it "));
	assert_null(strstr(w->out, "OK controllers: cpu"));
	set(w->web, METRIC_IO_READ_BYTES, 0);
	run(w, "--only", "controllers", NULL);
	assert_int_equal(w->exit, 0);
	w->web[metric_slot(METRIC_MEMORY_SWAP_LIMIT)] = value_absent();
	expect(w, "swap-accounting", 1,
		"WARNING swap-accounting: swap is neither accounted nor limited for 1 of 1 "
		"instance: web01; boot with swapaccount=1 (GRUB_CMDLINE_LINUX in "
		"/etc/default/grub, then update-grub and a restart)",
		NULL);
	set(w->host, METRIC_HOST_SWAP_TOTAL, 0);
	expect(w, "swap-accounting", 0, "NOT APPLICABLE swap-accounting: the host has no swap",
		NULL);
}

static void test_hooks(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *lxcpath = format_string("%s/lxc", w->dir);

	w->lxcpath = lxcpath;
	put(w, "lxc/web01/config",
		"lxc.hook.start-host = /x/loadcell-hook\nlxc.hook.stop = /x/loadcell-hook\n");
	expect(w, "hooks", 1,
		"WARNING hooks: 1 run as they were started, without: web01; restart them when that "
		"is convenient",
		NULL);
	put(w, "run/spool/start.0000000000000007", "{}");
	expect(w, "hooks", 0, "OK hooks: all 1 containers have them", NULL);
	put(w, "lxc/bare/config", "lxc.uts.name = bare\n");
	expect(w, "hooks", 1,
		"WARNING hooks: 1 of 2 containers without loadcell's hooks: bare; loadcell hooks "
		"install; where a configuration does not include LXC's common.conf: lxc.include = "
		"/usr/share/loadcell/lxc.conf",
		NULL);
}

/* --- loadcell itself --------------------------------------------------------------------- */

static void test_collector(void **state)
{
	struct world *w = *state;
	char line[512];

	expect(w, "collector", 2,
		"CRITICAL collector: the collector does not run; systemctl enable --now loadcelld",
		NULL);
	serve(w, "{\"helpers\":[{\"program\":\"loadcelld-store\",\"pid\":0}]}");
	expect(w, "collector", 1,
		"WARNING collector: its helper loadcelld-store does not run; journalctl -u "
		"loadcelld; loadcell status",
		NULL);
	set(w->host, METRIC_COLLECTOR_DROPPED_INSTANCES, 3);
	run(w, "--only", "collector", NULL);
	assert_non_null(strstr(
		w->out, "; 3 instances are not measured: instances_max is 5000; journalctl"));
	set(w->host, METRIC_COLLECTOR_MISSED_CYCLES, 110);
	snprintf(line, sizeof(line),
		"CRITICAL cycles: 110 of 1100 cycles missed (10 %%); the last one took 20ms of "
		"10s; "
		"a larger interval in %s, or less other load on the host",
		w->config);
	expect(w, "cycles", 2, line, "110;11;110;0;1100");
}

static void test_stale(void **state)
{
	struct world *w = *state;

	serve(w, "{\"helpers\":[]}");
	w->age_s = 40;
	expect(w, "collector", 3,
		"UNKNOWN collector: its sample is 40s old, though one is due every 10s; journalctl "
		"-u loadcelld; loadcell status",
		NULL);
	/* What needs it is not known either, in one line; the host is looked at all the same. */
	assert_int_equal(run(w, "--only", "rrd,cpu-limits,threads-max", NULL), 3);
	assert_string_equal(w->out,
		"UNKNOWN rrd, cpu-limits; OK 1 check |threads-max=1000;26214;29491;0;32768\n"
		"UNKNOWN rrd, cpu-limits: the collector has no fresh sample\n"
		"OK threads-max: 1000 of 32768 threads are used (3 %)\n");
	put(w, "proc/loadavg", "0.10 0.20 0.30 1/32000 4711\n");
	assert_int_equal(run(w, "--only", "rrd,threads-max", NULL), 2);
	w->age_s = -1;
	expect(w, "collector", 2,
		"CRITICAL collector: it has published no sample yet; journalctl -u loadcelld; "
		"loadcell status",
		NULL);
}

static void test_store(void **state)
{
	struct world *w = *state;
	char line[512];

	set(w->host, METRIC_RECENT_PENDING, 200 * S);
	snprintf(line, sizeof(line),
		"WARNING rrd: the RRDs are 3m20s behind, flushed every 1m; df %s/data; journalctl "
		"-u loadcelld; loadcell status",
		w->dir);
	expect(w, "rrd", 1, line, "200;180;900;0;");
	set(w->host, METRIC_LEDGER_ERRORS, 4);
	snprintf(line, sizeof(line),
		"WARNING ledger: 4 errors and 0 lost messages since the collector started; df "
		"%s/data; journalctl -u loadcelld; once it is mended: systemctl restart loadcelld",
		w->dir);
	expect(w, "ledger", 1, line, NULL);
	w->host[metric_slot(METRIC_LEDGER_ERRORS)] = value_absent();
	expect(w, "ledger", 3, "UNKNOWN ledger: the ledger has not reported yet", NULL);
	set(w->host, METRIC_LEDGER_SPOOL, 2001);
	snprintf(line, sizeof(line),
		"WARNING spool: 2000 of at most 20000 records wait (10 %%); start the collector: "
		"systemctl restart loadcelld; when it runs: df %s/data",
		w->dir);
	expect(w, "spool", 1, line, "2000;2000;16000;0;20000");
	/* Without a collector they are counted; links to runs are no records. */
	w->age_s = -1;
	put(w, "run/spool/start.0000000000000007", "{}");
	put(w, "run/spool/init.12", "x");
	expect(w, "spool", 0, "OK spool: 1 of at most 20000 records wait (0 %)",
		"1;2000;16000;0;20000");
}

/* --- the command ------------------------------------------------------------------------- */

static void test_usage(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "--only", "threads-max,nonsense", NULL), 3);
	assert_non_null(strstr(w->err, "there is no check 'nonsense'"));
	assert_int_equal(run(w, "--nonsense", NULL), 3);
	assert_int_equal(run(w, "word", NULL), 3);
	write_config(w, "check = nonsense off");
	assert_int_equal(run(w, NULL), 3);
	assert_non_null(strstr(w->err, "\"check = nonsense off\": there is no such check"));
	write_config(w, "check = hooks 1 2");
	assert_int_equal(run(w, NULL), 3);
	assert_non_null(strstr(w->err, "hooks has no thresholds"));
	write_config(w, "check = hooks");
	assert_int_equal(run(w, NULL), 3);
	write_config(w, "check = threads-max 90 80");
	assert_int_equal(run(w, NULL), 3);
}

static void test_configured(void **state)
{
	struct world *w = *state;

	write_config(w, "check = threads-max 5 0\ncheck = collector off\ncheck = clock off");
	expect(w, "threads-max", 1,
		"WARNING threads-max: 2000 of 32768 threads are used (6 %); sysctl -w "
		"kernel.threads-max=65536, and keep it in /etc/sysctl.d/",
		"2000;1638;;0;32768");
	run(w, NULL);
	assert_null(strstr(w->out, "collector"));
	assert_int_equal(strncmp(w->out, "WARNING threads-max", 19), 0);
	/* What is well is told on request. */
	assert_null(strstr(w->out, "\nOK"));
	run(w, "-v", NULL);
	assert_non_null(strstr(w->out, "\nOK pid-max: 2000 of 65536 pids are used (3 %)\n"));
	assert_int_equal(run(w, "--list", NULL), 0);
	assert_non_null(strstr(w->out, "\nthreads-max         5 %       -         kernel."));
	assert_non_null(strstr(w->out, " fresh (off)\n"));
}

static void test_json(void **state)
{
	struct world *w = *state;
	json_t *document, *first;

	set(w->host, METRIC_HOST_TASKS, 28110);
	run(w, "--json", "--only", "pid-max,threads-max,ledger", NULL);
	document = json_loads(w->out, 0, NULL);
	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "state")), "WARNING");
	assert_int_equal(json_integer_value(json_object_get(document, "exit")), 1);
	assert_int_equal(json_array_size(json_object_get(document, "checks")), 3);
	first = json_array_get(json_object_get(document, "checks"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "id")), "threads-max");
	assert_int_equal(json_integer_value(json_object_get(first, "value")), 28110);
	assert_int_equal(json_integer_value(json_object_get(first, "max")), 32768);
	assert_string_equal(json_string_value(json_object_get(first, "remedy")),
		"sysctl -w kernel.threads-max=65536, and keep it in /etc/sysctl.d/");
	json_decref(document);
}

/* Names are chosen by others: no escape sequence, no second line, no bar. */
static void test_hostile_name(void **state)
{
	struct world *w = *state;

	put(w, "lxc/a|b\033[31m\nOK x/config", "lxc.uts.name = x\n");
	run(w, "--only", "hooks", NULL);
	assert_null(strpbrk(w->out, "|\033"));
	assert_non_null(strstr(w->out, "a?b\\x1b[31m\\x0aOK x; "));
}

static void test_v2(void **state)
{
	struct world *w = *state;

	w->cgroups = "cpu=/a\nmemory=/a\npids=/a\nio=/a\n";
	w->web[metric_slot(METRIC_CPU_LIMIT)] = value_unlimited();
	set(w->web, METRIC_MEMORY_WORKING_SET, 127 * M);
	run(w, "--only", "cpu-limits,memory-near,controllers", NULL);
	assert_non_null(strstr(w->out, "; lxc.cgroup2.cpu.max = 200000 100000 or the like; if"));
	assert_non_null(strstr(w->out, " memory.max 268435456, and in its configuration: "
				       "lxc.cgroup2.memory.max = 268435456\n"));
	assert_non_null(strstr(w->out, "\nOK controllers: "));
}

static void test_hostile_command(void **state)
{
	struct world *w = *state;

	w->lxcpath = "/home/x/$(reboot)";
	set(w->web, METRIC_PIDS_CURRENT, 99);
	run(w, "--only", "pids-near", NULL);
	assert_non_null(strstr(w->out, "; lxc-cgroup -P LXCPATH -n web01 pids.max 256, and"));
}

/* docs/check.md has a line for each row of the table, with its thresholds, and no other. */
static void test_documented(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *doc = NULL;
	char *save = NULL;
	size_t len, rows = 0, lines = 0;

	assert_int_equal(read_file_alloc(AT_FDCWD, "docs/check.md", 1 << 20, &doc, &len), 0);
	assert_int_equal(run(w, "--list", NULL), 0);
	strtok_r(w->out, "\n", &save);
	for (char *line; (line = strtok_r(NULL, "\n", &save)); rows++) {
		char id[32], columns[2][16], row[128];
		char *title = line + 40;

		assert_int_equal(sscanf(line, "%31s", id), 1);
		for (int i = 0; i < 2; i++) {
			snprintf(columns[i], sizeof(columns[i]), "%.8s", line + 20 + 10 * i);
			*(columns[i] + strcspn(columns[i], " ") +
				(strstr(columns[i], " %") ? 2 : 0)) = '\0';
		}
		snprintf(row, sizeof(row), "\n| `%s` | %s | %s | %s", id, columns[0], columns[1],
			title);
		if (!strstr(doc, row))
			fail_msg("docs/check.md has no line '%s'", row + 1);
	}
	for (const char *p = doc; (p = strstr(p, "\n| `")); p++)
		lines++;
	assert_int_equal(lines, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_well, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ceilings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inotify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_network, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snmpd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_instances, setup, teardown),
		cmocka_unit_test_setup_teardown(test_near, setup, teardown),
		cmocka_unit_test_setup_teardown(test_controllers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hooks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collector, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_configured, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_documented, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
