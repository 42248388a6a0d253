/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees are compared with du(1) and find(1). Started as `test_walk drive CONFIG`, this program
 * is loadcelld to a real loadcelld-walk for tests/live/walk.sh: lines of its standard input
 * become messages, answers become lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "../../collector/helper.h"
#include "../../collector/walk-watch.h"

static int drive(const char *config)
{
	static char line[HELPER_MESSAGE_MAX];
	struct helper h = {.program = "../bin/loadcelld-walk", .fd = -1};
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	struct error err;

	if (helper_start(&h, config, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	p[1].fd = h.fd;
	setlinebuf(stdout);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		poll(p, 2, -1);
		if (p[1].revents && helper_receive(h.fd, line, sizeof(line)) > 0)
			puts(line);
		else if (p[1].revents)
			break;
		if (p[0].revents && !fgets(line, sizeof(line), stdin))
			break;
		else if (p[0].revents && helper_send(&h, line) < 0)
			break;
	}
	helper_stop(&h, 5 * NSEC_PER_SEC);
	return 0;
}

/* --- trees --------------------------------------------------------------------------------- */

static char top[] = "/tmp/loadcell-test-walk.XXXXXX";

static int make_top(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

/* rm -r uses ".." and descriptors well enough for 5,000 levels. */
static int remove_top(void **state)
{
	_cleanup_free_ char *command = format_string("chmod -R u+rwx %s; rm -rf %s", top, top);

	(void)state;
	return command ? system(command) : -1;
}

static uint64_t number_from(const char *command)
{
	_cleanup_free_ char *full = format_string("cd %s && %s", top, command);
	unsigned long long n;
	FILE *f;

	assert_non_null(full);
	f = popen(full, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu", &n), 1);
	pclose(f);
	return n;
}

static void shell(const char *command)
{
	_cleanup_free_ char *full = format_string("cd %s && %s", top, command);

	assert_non_null(full);
	assert_int_equal(system(full), 0);
}

static struct tree_figures walk_top(void)
{
	_cleanup_close_ int fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tree_figures t;
	struct rlimit files, few;

	/* It must do with few descriptors, however deep the tree. */
	getrlimit(RLIMIT_NOFILE, &files);
	few = (struct rlimit){100, files.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(tree_walk(fd, NULL, &t), 0);
	setrlimit(RLIMIT_NOFILE, &files);
	return t;
}

static void expect_like_du(void)
{
	struct tree_figures t = walk_top();

	assert_int_equal(t.bytes, number_from("du -s --block-size=1 ."));
	assert_int_equal(t.inodes, number_from("find . -printf '%i\\n' | sort -u | wc -l"));
	assert_false(t.partial);
}

static void test_plain_tree(void **state)
{
	struct tree_figures t;

	(void)state;
	shell("mkdir -p a/b/c d && head -c 1000000 /dev/zero >a/one && head -c 5000 /dev/zero "
	      ">a/b/c/two"
	      " && : >d/empty && mkfifo d/fifo && printf x >'d/a name\nwith a line'");
	expect_like_du();
	t = walk_top();
	assert_int_equal(t.inodes, 10);
	assert_in_range(t.bytes, 1005000, 1100000);
}

static void test_empty_directory(void **state)
{
	(void)state;
	expect_like_du();
	assert_int_equal(walk_top().inodes, 1);
}

static void test_hard_links_count_once(void **state)
{
	struct tree_figures t;

	(void)state;
	shell("mkdir a b && head -c 3000000 /dev/zero >a/file && cd a && "
	      "seq -f 'n%g' 1500 | xargs touch && cp -al ../a ../b/copy");
	for (int i = 0; i < 2000; i++) {
		_cleanup_free_ char *from = format_string("%s/a/file", top);
		_cleanup_free_ char *to = format_string("%s/b/%d", top, i);

		assert_int_equal(link(from, to), 0);
	}
	expect_like_du();
	t = walk_top();
	assert_int_equal(t.inodes, 4 + 1 + 1500);
	assert_true(t.bytes < 2 * 3000000);
}

static void test_links_are_not_followed(void **state)
{
	(void)state;
	shell("ln -s / root; ln -s .. up; ln -s /proc/self/cwd here; mkdir d; ln -s ../d d/again");
	expect_like_du();
	assert_int_equal(walk_top().inodes, 6);
}

static void test_sparse_file_counts_its_blocks(void **state)
{
	(void)state;
	shell("truncate -s 10G sparse && printf x | dd of=sparse bs=1 seek=5G conv=notrunc "
	      "status=none");
	expect_like_du();
	assert_true(walk_top().bytes < 1000000);
}

static void make_deep(int levels, const char *also)
{
	_cleanup_close_ int fd = open(top, O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < levels; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		if (also && i % 10 == 0)
			assert_int_equal(mkdirat(fd, also, 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
}

static void test_deep_tree(void **state)
{
	(void)state;
	/* "a" and "z" stand before and behind "d" whatever the order: half is left for the way
	 * back. */
	make_deep(5000, "z");
	expect_like_du();
	assert_int_equal(walk_top().inodes, 1 + 5000 + 500);
}

static void test_wide_directory(void **state)
{
	(void)state;
	shell("seq 100000 | xargs touch");
	expect_like_du();
	assert_int_equal(walk_top().inodes, 100001);
}

static void test_wide_with_directories(void **state)
{
	(void)state;
	/* More names than one frame takes at once, and below each something. */
	shell("mkdir d && cd d && seq -f 'a-rather-long-directory-name-%06g' 20000 | xargs mkdir "
	      "&& "
	      "seq -f 'a-rather-long-directory-name-%06g/x' 20000 | xargs mkdir");
	expect_like_du();
	assert_int_equal(walk_top().inodes, 40002);
}

static void test_unreadable_directory_is_partial(void **state)
{
	struct tree_figures t;
	pid_t pid;
	int status;

	(void)state;
	shell("mkdir -p open closed/inside && chmod 755 . && chmod 0 closed");
	/* Root reads everything, so ask as somebody else. */
	pid = fork();
	if (!pid) {
		if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		_cleanup_close_ int fd = open(top, O_PATH | O_DIRECTORY);

		_exit(tree_walk(fd, NULL, &t) == 0 && t.partial && t.inodes == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- a tree that changes under the walk ---------------------------------------------------- */

/* Keeps moving a deep part of the tree to another place, so that ".." leads elsewhere. */
static pid_t start_mover(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir(top) < 0)
		_exit(1);
	for (;;) {
		rename("d/d/d/d", "aside/d");
		rename("aside/d", "d/d/d/d");
	}
}

static void test_directory_moved_during_the_walk(void **state)
{
	struct tree_figures t;
	pid_t mover;

	(void)state;
	make_deep(1000, "z");
	shell("mkdir aside && seq -f 'd/%g' 100 | xargs mkdir");
	mover = start_mover();
	for (int i = 0; i < 30; i++) {
		t = walk_top();
		/* What is never moved is always there; the rest may be met in both places. */
		assert_in_range(t.inodes, 106, 106 + 2 * 1097);
	}
	kill(mover, SIGKILL);
	waitpid(mover, NULL, 0);
}

static void test_directory_removed_during_the_walk(void **state)
{
	pid_t remover = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		make_deep(300, "z");
		remover = fork();
		if (!remover) {
			execl("/bin/rm", "rm", "-rf", format_string("%s/d", top), NULL);
			_exit(1);
		}
		struct tree_figures t = walk_top();

		assert_in_range(t.inodes, 1, 1 + 300 + 30 + 1);
		assert_int_equal(waitpid(remover, NULL, 0), remover);
		shell("rm -rf d z");
	}
}

/* --- the budget ---------------------------------------------------------------------------- */

static void test_budget_keeps_its_share(void **state)
{
	struct walk_pulse pulse = {0};
	struct walk_budget b;
	struct tree_figures t;
	uint64_t cpu, elapsed, start;
	pid_t pid;
	int status;

	(void)state;
	shell("seq 20000 | xargs touch");
	/* In a process of its own, because the budget counts all of its CPU time. */
	pid = fork();
	if (!pid) {
		_cleanup_close_ int fd = open(top, O_PATH | O_DIRECTORY);

		start = now_ns(CLOCK_MONOTONIC);
		budget_start(&b, &pulse, NSEC_PER_SEC / 50, 0);
		if (tree_walk(fd, &b, &t) < 0 || t.inodes != 20001)
			_exit(2);
		elapsed = now_ns(CLOCK_MONOTONIC) - start;
		cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		/* It may be half a second ahead of its share, of which it uses 2 %. */
		_exit(cpu <= (elapsed + NSEC_PER_SEC) / 50 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_walk_ends_at_its_time(void **state)
{
	_cleanup_close_ int fd = -1;
	struct walk_pulse pulse = {0};
	struct walk_budget b;
	struct tree_figures t;

	(void)state;
	shell("seq 3000 | xargs touch");
	fd = open(top, O_PATH | O_DIRECTORY);
	budget_start(&b, &pulse, 0, 1);
	assert_int_equal(tree_walk(fd, &b, &t), 0);
	assert_true(t.partial);
	assert_in_range(t.inodes, 1, 2999);
	assert_int_equal(atomic_load(&pulse.files), t.inodes);
}

/* --- mountinfo ----------------------------------------------------------------------------- */

static void test_mountinfo_lines(void **state)
{
	char plain[] =
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n";
	char odd[] = "37 35 0:44 / /a\\040b\\134c rw - overlay overlay "
		     "rw,lowerdir=/l1:/l2,upperdir=/srv/u\\040p,workdir=/w\n";
	char empty_source[] = "38 35 0:45 / /x rw shared:2 master:3 - tmpfs  rw,size=4k\n";
	char torn[] = "39 35 0:4";
	struct mount m;
	char upper[64], small[4];

	(void)state;
	assert_int_equal(mount_parse(plain, &m), 0);
	assert_int_equal(m.dev, makedev(98, 0));
	assert_string_equal(m.root, "/mnt1");
	assert_string_equal(m.point, "/mnt2");
	assert_string_equal(m.type, "ext3");
	assert_string_equal(m.source, "/dev/root");
	assert_string_equal(m.options, "rw,errors=continue");
	assert_int_equal(mount_option(m.options, "upperdir", upper, sizeof(upper)), -ENOENT);
	assert_int_equal(mount_parse(odd, &m), 0);
	assert_string_equal(m.point, "/a b\\c");
	assert_int_equal(mount_option(m.options, "upperdir", upper, sizeof(upper)), 0);
	assert_string_equal(upper, "/srv/u p");
	assert_int_equal(mount_option(m.options, "upperdir", small, sizeof(small)), -ENAMETOOLONG);
	assert_int_equal(mount_option(m.options, "dir", upper, sizeof(upper)), -ENOENT);
	assert_int_equal(mount_parse(empty_source, &m), 0);
	assert_string_equal(m.type, "tmpfs");
	assert_string_equal(m.source, "");
	assert_string_equal(m.options, "rw,size=4k");
	assert_int_equal(mount_parse(torn, &m), -EBADMSG);
}

/* --- maps ---------------------------------------------------------------------------------- */

static pid_t start_mapper(int maps, int *ready)
{
	int pipefd[2];
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid) {
		close(pipefd[1]);
		*ready = pipefd[0];
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < maps; i++) /* every other one protected: they do not merge */
		mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (write(pipefd[1], "x", 1) == 1)
		pause();
	_exit(0);
}

static void test_highest_map_count(void **state)
{
	struct walk_pulse pulse = {0};
	struct walk_budget b;
	uint64_t found;
	int ready;
	pid_t pid = start_mapper(30000, &ready);
	char c;

	(void)state;
	assert_int_equal(read(ready, &c, 1), 1);
	close(ready);
	budget_start(&b, &pulse, 0, 0);
	assert_int_equal(maps_scan("/proc", 0, &b), 0);
	found = atomic_load(&pulse.max);
	_cleanup_free_ char *command =
		format_string("wc -l </proc/%d/maps", (int)atomic_load(&pulse.max_pid));

	if (atomic_load(&pulse.max_pid) == (uint64_t)pid) {
		assert_in_range(found, 30000, 31000);
		assert_int_equal(found, number_from(command));
	} else {
		assert_true(found > 30000); /* somebody on this machine has more */
	}
	pulse = (struct walk_pulse){0};
	assert_int_equal(maps_scan("/proc", pid, &b), 0);
	assert_true(atomic_load(&pulse.max_pid) != (uint64_t)pid);
	assert_true(
		atomic_load(&pulse.max_pid) == 0 || atomic_load(&pulse.max_pid) > (uint64_t)pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- the list of instances ----------------------------------------------------------------- */

static struct watch *add(struct watch_list *l, uint32_t id, enum root_kind kind, uint64_t fs_dev)
{
	struct walk_target t = {.id = id, .run = 1000 + id, .init = (pid_t)id, .starttime = 5};
	struct walk_report r = {.job = JOB_PROBE, .target = t};

	assert_int_equal(watch_add(l, &t, 100), 0);
	r.facts.kind = kind;
	r.facts.fs_dev = fs_dev;
	watch_probed(l, watch_find(l, &t), &r, NSEC_PER_SEC);
	return watch_find(l, &t);
}

static const char *method_of(const struct watch_list *l, uint32_t id)
{
	static char method[16];
	json_t *o = watch_disk_message(watch_by_id(l, id));

	assert_non_null(o);
	snprintf(method, sizeof(method), "%s", json_string_value(json_object_get(o, "method")));
	json_decref(o);
	return method;
}

static void test_own_or_shared(void **state)
{
	struct watch_list l = {0};

	(void)state;
	add(&l, 1, ROOT_OWN, 11);
	assert_string_equal(method_of(&l, 1), "statvfs");
	add(&l, 2, ROOT_OWN, 12);
	assert_string_equal(method_of(&l, 1), "statvfs");
	add(&l, 3, ROOT_OWN, 11);
	assert_string_equal(method_of(&l, 1), "walk");
	assert_string_equal(method_of(&l, 2), "statvfs");
	assert_string_equal(method_of(&l, 3), "walk");
	watch_remove(&l, watch_by_id(&l, 1));
	assert_null(watch_by_id(&l, 1));
	assert_string_equal(method_of(&l, 3), "statvfs");
	add(&l, 4, ROOT_SHARED, 13);
	assert_string_equal(method_of(&l, 4), "walk");
	add(&l, 5, ROOT_QUOTA, 13);
	assert_string_equal(method_of(&l, 5), "quota");
	assert_false(watch_by_id(&l, 5)->shared);
	free(l.watch);
}

static void test_walk_order_and_back_off(void **state)
{
	static const uint64_t expected_s[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
	struct walk_pulse pulse;
	struct watch_list l = {0};
	struct walk_report r = {.job = JOB_WALK};
	struct watch *x;
	uint64_t now = 100 * NSEC_PER_SEC;

	(void)state;
	add(&l, 1, ROOT_SHARED, 11);
	add(&l, 2, ROOT_SHARED, 11);
	add(&l, 3, ROOT_OWN, 12);
	x = watch_due_walk(&l, now);
	assert_int_equal(x->target.id, 1);
	x->walk_by = &pulse;
	x->walk_started_ns = now;
	watch_walked(x, &r, 900 * NSEC_PER_SEC, now + NSEC_PER_SEC);
	assert_int_equal(x->walk_due_ns, now + 900 * NSEC_PER_SEC);
	assert_int_equal(watch_due_walk(&l, now)->target.id, 2);
	/* A new one goes before one that is due again. */
	assert_int_equal(watch_due_walk(&l, now + 1000 * NSEC_PER_SEC)->target.id, 2);

	x = watch_due_walk(&l, now);
	for (size_t i = 0; i < ARRAY_SIZE(expected_s); i++) {
		x->walk_by = &pulse;
		x->unsent = false;
		watch_walk_failed(&l, &pulse, now);
		assert_true(x->unsent); /* it is no longer under way */
		assert_null(x->walk_by);
		assert_int_equal(x->walk_due_ns, now + expected_s[i] * NSEC_PER_SEC);
		/* Left alone as long as the killed child has not ended, however long. */
		assert_true(watch_due_walk(&l, x->walk_due_ns) != x);
		watch_child_gone(&l, &pulse);
		assert_int_equal(watch_due_walk(&l, x->walk_due_ns)->target.id, 2);
	}
	assert_null(watch_due_walk(&l, now)); /* 1 is not due, 2 backs off, 3 is its own */
	free(l.watch);
}

static void test_stuck_probe_is_paid_by_one(void **state)
{
	struct walk_pulse pulse;
	struct watch_list l = {0};
	uint64_t now = 100 * NSEC_PER_SEC;
	size_t picked[8];

	(void)state;
	for (uint32_t id = 1; id <= 4; id++)
		add(&l, id, ROOT_OWN, 10 + id);
	assert_int_equal(watch_due_probes(&l, now, picked, 8), 4);
	assert_int_equal(watch_due_probes(&l, now, picked, 3), 3);
	for (int i = 0; i < 4; i++)
		l.watch[i].probe_by = &pulse;
	assert_int_equal(watch_due_probes(&l, now, picked, 8), 0);
	watch_probe_failed(&l, &l.watch[1].target, &pulse, now);
	assert_int_equal(watch_due_probes(&l, now, picked, 8), 3);
	assert_int_equal(l.watch[picked[0]].target.id, 1);
	assert_int_equal(l.watch[picked[1]].target.id, 3);
	assert_int_equal(watch_by_id(&l, 2)->probe_due_ns, now + 60 * NSEC_PER_SEC);
	now += 60 * NSEC_PER_SEC;
	assert_int_equal(watch_due_probes(&l, now, picked, 8), 3);
	watch_child_gone(&l, &pulse);
	assert_int_equal(watch_due_probes(&l, now, picked, 8), 4);
	free(l.watch);
}

static void test_message_fields(void **state)
{
	struct watch_list l = {0};
	struct watch *x = add(&l, 7, ROOT_SHARED, 11);
	json_t *o;

	(void)state;
	strcpy(x->facts.fs.device, "/dev/sda1");
	strcpy(x->facts.fs.mount, "/srv/\xff"); /* not UTF-8 */
	x->facts.fs.size = 1000;
	x->target.run = 0xfedcba9876543210;
	o = watch_disk_message(x);
	/* Not measured yet is not zero. */
	assert_null(json_object_get(o, "used"));
	assert_null(json_object_get(o, "time_ns"));
	assert_string_equal(json_string_value(json_object_get(o, "run")), "fedcba9876543210");
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "fs"), "device")),
		"/dev/sda1");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(o, "fs"), "mount")), "");
	json_decref(o);
	x->walked_ns = 5;
	x->tree = (struct tree_figures){.bytes = 4096, .inodes = 1, .partial = true};
	o = watch_disk_message(x);
	assert_int_equal(json_integer_value(json_object_get(o, "used")), 4096);
	assert_int_equal(json_integer_value(json_object_get(o, "inodes")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "time_ns")), 5);
	assert_true(json_is_null(json_object_get(o, "limit")));
	assert_true(json_is_true(json_object_get(o, "partial")));
	json_decref(o);
	free(l.watch);
}

/* --- the whole, with this process as an instance ------------------------------------------- */

struct answers {
	bool disk, maps;
	unsigned int refused;
};

static int take_answer(void *data, const char *json)
{
	struct answers *a = data;

	a->disk |= strstr(json, "\"disk\"") != NULL;
	a->maps |= strstr(json, "\"maps\"") != NULL;
	/* The reader that is slow at first: what counts is offered again. */
	return a->refused++ < 3 ? -EAGAIN : 0;
}

static void test_messages_and_turns(void **state)
{
	_cleanup_(walker_free) struct walker *w = NULL;
	struct config config = {
		.proc_root = (char *)"/proc",
		.disk_walk_ns = 900 * NSEC_PER_SEC,
		.disk_walk_share = NSEC_PER_SEC,
		.instances_max = 2,
	};
	struct walk_status status;
	struct answers a = {0};
	int pipefd[2];

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	assert_int_equal(walker_new(&config, take_answer, &a, &w), 0);
	assert_int_equal(walker_message(w, "nonsense"), -EBADMSG);
	assert_int_equal(walker_message(w, "{}"), -EBADMSG);
	assert_int_equal(walker_message(w, "{\"op\":\"watch\",\"id\":1}"), -EBADMSG);
	assert_int_equal(walker_message(w, "{\"op\":\"watch\",\"id\":0,\"run\":\"1\",\"init\":1}"),
		-EBADMSG);
	assert_int_equal(walker_message(w, "{\"op\":\"watch\",\"id\":1,\"run\":\"1x\",\"init\":1}"),
		-EBADMSG);
	for (int i = 1; i <= 3; i++) {
		_cleanup_free_ char *m = format_string(
			"{\"op\":\"watch\",\"id\":%d,\"run\":\"ff\",\"init\":%d,\"starttime\":1}",
			i, i);

		assert_int_equal(walker_message(w, m), i <= 2 ? 0 : -ENOSPC);
		assert_int_equal(walker_message(w, m), i <= 2 ? 0 : -ENOSPC);
	}
	assert_int_equal(walker_message(w, "{\"op\":\"forget\",\"id\":2}"), 0);
	assert_int_equal(walker_message(w, "{\"op\":\"forget\",\"id\":2}"), 0);
	walker_status(w, &status);
	assert_int_equal(status.watched, 1);
	for (int i = 0; i < 600 && !a.maps; i++)
		assert_int_equal(walker_turn(w, pipefd[0]), 0);
	assert_true(a.maps);
	/* pid 1 did not start at tick 1: no figure for a process that is another. */
	assert_false(a.disk);
	walker_status(w, &status);
	assert_int_equal(status.stuck, 0);
	close(pipefd[1]);
	assert_int_equal(walker_turn(w, pipefd[0]), 1);
	close(pipefd[0]);
}

#define tree_test(f) cmocka_unit_test_setup_teardown(f, make_top, remove_top)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_plain_tree),
		tree_test(test_empty_directory),
		tree_test(test_hard_links_count_once),
		tree_test(test_links_are_not_followed),
		tree_test(test_sparse_file_counts_its_blocks),
		tree_test(test_deep_tree),
		tree_test(test_wide_directory),
		tree_test(test_wide_with_directories),
		tree_test(test_unreadable_directory_is_partial),
		tree_test(test_directory_moved_during_the_walk),
		tree_test(test_directory_removed_during_the_walk),
		tree_test(test_budget_keeps_its_share),
		tree_test(test_walk_ends_at_its_time),
		cmocka_unit_test(test_mountinfo_lines),
		tree_test(test_highest_map_count),
		cmocka_unit_test(test_own_or_shared),
		cmocka_unit_test(test_walk_order_and_back_off),
		cmocka_unit_test(test_stuck_probe_is_paid_by_one),
		cmocka_unit_test(test_message_fields),
		cmocka_unit_test(test_messages_and_turns),
	};

	if (argc == 3 && strcmp(argv[1], "drive") == 0)
		return drive(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
