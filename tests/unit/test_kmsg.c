/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/parse-kmsg.h"
#include "lib/util.h"

#define KILLED   "Memory cgroup out of memory: Killed process "
#define OOM_KILL "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),"
#define FIGURES                                                                                    \
	") total-vm:17772kB, anon-rss:7808kB, file-rss:5488kB, shmem-rss:0kB, UID:0 "              \
	"pgtables:80kB oom_score_adj:0"

/* In a buffer of the exact size, for the address sanitizer to watch its end. */
static char *exact_copy(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

/* --- records -------------------------------------------------------------------------------- */

static void records(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t seq;
		const char *line;
	} cases[] = {
		{"3,1973,1120188595,-;Killed process\n", 0, 1973, "Killed process"},
		{"6,339,5140900,-;NET: line\n SUBSYSTEM=net\n DEVICE=+x;y\n", 0, 339, "NET: line"},
		{"7,160,424069,-,caller=T1;pci: a;b\n", 0, 160, "pci: a;b"},
		{"0,0,0,c;\n", 0, 0, ""},
		/* facility 1: written by a user; 8 is level 0 of it */
		{"12,1973,1120188595,-;Killed process\n", -EBADMSG, 0, NULL},
		{"8,1973,1120188595,-;Killed process\n", -EBADMSG, 0, NULL},
		{"3,1973,1120188595,-;torn", -EBADMSG, 0, NULL},
		{"3,1973,1120188595,-\n", -EBADMSG, 0, NULL},
		{";x\n", -EBADMSG, 0, NULL},
		{"3;x\n", -EBADMSG, 0, NULL},
		{"3,;x\n", -EBADMSG, 0, NULL},
		{"99999999999999999999,1,1,-;x\n", -EBADMSG, 0, NULL},
		{"", -EBADMSG, 0, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *copy = exact_copy(cases[i].text);
		struct kmsg_record r = {.seq = 4711};

		assert_int_equal(parse_kmsg(copy, strlen(cases[i].text), &r), cases[i].result);
		assert_int_equal(r.seq, cases[i].result ? 4711 : cases[i].seq);
		if (cases[i].result == 0) {
			assert_int_equal(r.len, strlen(cases[i].line));
			assert_memory_equal(r.text, cases[i].line, r.len);
		}
	}
}

/* --- who and where ---------------------------------------------------------------------------- */

/* Two lines as kernels wrote them, and what is to be read from them. */
static const struct pair {
	const char *place, *killed;
	pid_t pid;
	uint64_t kib; /* anonymous + file + shared */
	const char *name, *cgroup;
} pairs[] = {
	/* 6.18, cgroup v1: the process called itself so */
	{OOM_KILL "cpuset=/,mems_allowed=0,oom_memcg=/loadcell-test.exp,task_memcg=/"
		  "loadcell-test.exp/in,task=x,task=a) total-vm:1kB,pid=8629,uid=0",
		KILLED "8629 (a) total-vm:1kB) total-vm:17772kB, anon-rss:7808kB, "
		       "file-rss:5488kB, shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0",
		8629, 7808 + 5488, "a) total-vm:1kB", "/loadcell-test.exp/in,task=x"},
	{OOM_KILL "cpuset=/,mems_allowed=0,oom_memcg=/loadcell-test.exp,task_memcg=/"
		  "loadcell-test.exp/in,task=x,task=,pid=1,uid=0,pid=8734,uid=0",
		KILLED "8734 (,pid=1,uid=0) total-vm:17772kB, anon-rss:7808kB, file-rss:6932kB, "
		       "shmem-rss:0kB, UID:0 pgtables:76kB oom_score_adj:0",
		8734, 7808 + 6932, ",pid=1,uid=0", "/loadcell-test.exp/in,task=x"},
	{OOM_KILL "cpuset=/,mems_allowed=0,oom_memcg=/loadcell-test.exp,task_memcg=/"
		  "loadcell-test.exp/in,task=x,task=x\\x0ay\\x5cz,pid=8783,uid=0",
		KILLED "8783 (x\\x0ay\\x5cz) total-vm:17772kB, anon-rss:7808kB, "
		       "file-rss:6700kB, shmem-rss:0kB, UID:0 pgtables:72kB oom_score_adj:0",
		8783, 7808 + 6700, "x\ny\\z", "/loadcell-test.exp/in,task=x"},
	{OOM_KILL "cpuset=/,mems_allowed=0,oom_memcg=/loadcell-test.exp,task_memcg=/"
		  "loadcell-test.exp/in,task=x,task=,task=b,pid=8824,uid=0",
		KILLED "8824 (,task=b) total-vm:17772kB, anon-rss:7936kB, file-rss:6728kB, "
		       "shmem-rss:0kB, UID:0 pgtables:72kB oom_score_adj:0",
		8824, 7936 + 6728, ",task=b", "/loadcell-test.exp/in,task=x"},
	/* 6.1, cgroup v2 */
	{OOM_KILL "cpuset=lxc.payload.lc-153-alert,mems_allowed=0,oom_memcg=/lxc.payload."
		  "lc-153-alert,task_memcg=/lxc.payload.lc-153-alert,task=a) total-vm:1kB,"
		  "pid=322,uid=0",
		KILLED "322 (a) total-vm:1kB) total-vm:67796kB, anon-rss:32408kB, file-rss:4kB, "
		       "shmem-rss:1324kB, UID:0 pgtables:104kB oom_score_adj:0",
		322, 32408 + 4 + 1324, "a) total-vm:1kB", "/lxc.payload.lc-153-alert"},
};

static void victims(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_free_ char *killed = exact_copy(pairs[i].killed);
		_cleanup_free_ char *place = exact_copy(pairs[i].place);
		struct oom_victim v;
		const char *path;
		char text[256];
		size_t len;

		assert_int_equal(parse_oom_killed(killed, strlen(pairs[i].killed), &v), 0);
		assert_int_equal(v.pid, pairs[i].pid);
		assert_int_equal(v.memory, pairs[i].kib * 1024);
		kmsg_unescape(v.name, v.name_len, text, sizeof(text));
		assert_string_equal(text, pairs[i].name);
		assert_int_equal(
			parse_oom_cgroup(place, strlen(pairs[i].place), &v, &path, &len), 0);
		kmsg_unescape(path, len, text, sizeof(text));
		assert_string_equal(text, pairs[i].cgroup);
	}
}

static void refused_victims(void **state)
{
	static const char *const lines[] = {
		"",
		"Killed process 1 (x" FIGURES,
		KILLED "(x" FIGURES,
		KILLED "0 (x" FIGURES,
		KILLED "4294967296 (x" FIGURES,
		KILLED "1 x" FIGURES,
		KILLED "1 (x",
		KILLED "1 (x) total-vm:1kB",
		/* cut off, by however little */
		KILLED "1 (x) total-vm:17772kB, anon-rss:7808kB, file-rss:5488kB, shmem-rss:0kB, "
		       "UID:0 pgtables:80kB oom_score_adj:",
		KILLED "1 (x) total-vm:kB, anon-rss:7808kB, file-rss:5488kB, shmem-rss:0kB, "
		       "UID:0 pgtables:80kB oom_score_adj:0",
		KILLED "1 (x) total-vm:1kB, anon-rss:99999999999999999999kB, file-rss:5488kB, "
		       "shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0",
		KILLED "1 (x" FIGURES " more",
		"Memory cgroup out of memory: OOM victim 1 (x) is already exiting. Skip killing "
		"the "
		"task",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *copy = exact_copy(lines[i]);
		struct oom_victim v = {.pid = 4711};

		assert_int_equal(parse_oom_killed(copy, strlen(lines[i]), &v), -EBADMSG);
		assert_int_equal(v.pid, 4711);
	}
}

/* The other beginnings that mm/oom_kill.c knows, and a score that was adjusted. */
static void other_victims(void **state)
{
	static const char *const lines[] = {
		"Out of memory: Killed process 17 (x" FIGURES,
		"Out of memory (oom_kill_allocating_task): Killed process 17 (x" FIGURES,
		KILLED "17 (x) total-vm:1kB, anon-rss:7808kB, file-rss:5488kB, shmem-rss:0kB, "
		       "UID:4294967294 pgtables:80kB oom_score_adj:-1000",
	};
	struct oom_victim v;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse_oom_killed(lines[i], strlen(lines[i]), &v), 0);
		assert_int_equal(v.pid, 17);
		assert_int_equal(v.memory, 13296 * 1024);
		assert_int_equal(v.name_len, 1);
	}
}

/* What does not belong to this victim, or can be read in two ways. */
static void refused_cgroups(void **state)
{
	static const char *const lines[] = {
		"",
		"oom-kill:",
		OOM_KILL "task_memcg=/a,task=x,pid=17,uid=0 ",
		OOM_KILL "task_memcg=/a,task=x,pid=18,uid=0",
		OOM_KILL "task_memcg=/a,task=xx,pid=17,uid=0",
		OOM_KILL "task_memcg=/a,task=y,pid=17,uid=0",
		OOM_KILL "task_memcg=a,task=x,pid=17,uid=0",
		OOM_KILL "task_memcg=,task=x,pid=17,uid=0",
		OOM_KILL "global_oom,task=x,pid=17,uid=0",
		",task_memcg=/a,task=x,pid=17,uid=0",
		/* a cgroup "x,task_memcg=" with another one below it */
		OOM_KILL "oom_memcg=/evil,task_memcg=/evil/x,task_memcg=/web,task=x,pid=17,uid=0",
		OOM_KILL "oom_memcg=/e,task_memcg=/web,task_memcg=/e,task=x,pid=17,uid=0",
	};
	const struct oom_victim v = {.pid = 17, .name = "x", .name_len = 1};
	const char *path = "untouched";
	size_t len = 9;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *copy = exact_copy(lines[i]);

		assert_int_equal(
			parse_oom_cgroup(copy, strlen(lines[i]), &v, &path, &len), -EBADMSG);
		assert_string_equal(path, "untouched");
	}
	assert_int_equal(len, 9);
}

static void unescapes(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"\\x0a\\xc3\\xa4", "\n\xc3\xa4"},
		{"\\x5cx2d", "\\x2d"},
		{"\\x5", "\\x5"},
		{"\\xZZ\\x", "\\xZZ\\x"},
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = kmsg_unescape(cases[i].from, strlen(cases[i].from), text, sizeof(text));

		assert_string_equal(text, cases[i].to);
		assert_int_equal(n, strlen(cases[i].to));
	}
	assert_int_equal(kmsg_unescape("abcdef", 6, text, 4), 3);
	assert_string_equal(text, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(victims),
		cmocka_unit_test(refused_victims),
		cmocka_unit_test(other_victims),
		cmocka_unit_test(refused_cgroups),
		cmocka_unit_test(unescapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
