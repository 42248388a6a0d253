/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This program is its own helper: started with "-c BEHAVIOUR" it plays that part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "../../collector/helper.h"
#include "../../lib/value.h"

static char message[HELPER_MESSAGE_MAX];

/* --- the helper's side --------------------------------------------------------------------- */

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void describe_myself(char *buf, size_t size)
{
	struct sigaction sa;
	sigset_t mask;
	bool blocked = false, ignored = false;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int s = 1; s < 32; s++) {
		blocked |= sigismember(&mask, s) == 1;
		/* Not "other than default": sanitizers install handlers of their own. */
		ignored |= sigaction(s, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
	}
	snprintf(buf, size, "descriptors %d blocked %d ignored %d group %d", open_descriptors(),
		blocked, ignored, getpgrp() == getpid());
}

static int play(const char *part)
{
	struct helper self = {.fd = HELPER_FD};
	ssize_t n;

	if (strcmp(part, "exit") == 0)
		return 3;
	if (strcmp(part, "deaf") == 0 || strcmp(part, "stubborn") == 0)
		for (;;)
			pause();
	if (strcmp(part, "describe") == 0) {
		describe_myself(message, sizeof(message));
		helper_send(&self, message);
	}
	while ((n = helper_receive(HELPER_FD, message, sizeof(message))) > 0)
		if (helper_send(&self, message) < 0)
			return 1;
	return n < 0;
}

/* --- the tests ----------------------------------------------------------------------------- */

static void start(struct helper *h, const char *part)
{
	struct error err = {""};

	*h = (struct helper){.program = "test_helper", .fd = -1};
	if (helper_start(h, part, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(h->pid > 0);
}

static ssize_t answer(struct helper *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 20000), 1);
	return helper_receive(h->fd, message, sizeof(message));
}

static void wait_ended(struct helper *h, uint64_t now)
{
	for (int i = 0; i < 2000 && !helper_ended(h, now); i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	assert_int_equal(h->pid, 0);
	assert_int_equal(h->fd, -1);
}

static void test_round_trip(void **state)
{
	_cleanup_free_ char *longest = malloc(HELPER_MESSAGE_MAX);
	struct helper h;

	(void)state;
	assert_non_null(longest);
	start(&h, "echo");
	assert_int_equal(helper_receive(h.fd, message, sizeof(message)), -EAGAIN);
	assert_int_equal(helper_send(&h, "{\"op\":\"one\"}"), 0);
	assert_int_equal(helper_send(&h, "{\"op\":\"two\"}"), 0);
	assert_int_equal(answer(&h), 12);
	assert_string_equal(message, "{\"op\":\"one\"}");
	assert_int_equal(answer(&h), 12);
	assert_string_equal(message, "{\"op\":\"two\"}");

	memset(longest, 'x', HELPER_MESSAGE_MAX);
	longest[HELPER_MESSAGE_MAX - 1] = 0;
	assert_int_equal(helper_send(&h, longest), 0);
	assert_int_equal(answer(&h), HELPER_MESSAGE_MAX - 1);
	assert_string_equal(message, longest);
	assert_int_equal(helper_send(&h, ""), -EMSGSIZE);
	helper_stop(&h, 20 * NSEC_PER_SEC);
	assert_int_equal(h.pid, 0);
	assert_int_equal(helper_send(&h, "{}"), -ENOTCONN);
}

static void test_message_too_long_for_the_buffer(void **state)
{
	struct helper h;
	char small[8];
	struct pollfd p;

	(void)state;
	start(&h, "echo");
	assert_int_equal(helper_send(&h, "12345678"), 0);
	assert_int_equal(helper_send(&h, "1234567"), 0);
	p = (struct pollfd){.fd = h.fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(helper_receive(h.fd, small, sizeof(small)), -EMSGSIZE);
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(helper_receive(h.fd, small, sizeof(small)), 7);
	helper_stop(&h, 20 * NSEC_PER_SEC);
}

static void test_child_inherits_nothing(void **state)
{
	int fds[40];
	struct helper h;
	sigset_t set, old;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | (i % 2 ? O_CLOEXEC : 0));
	signal(SIGUSR1, SIG_IGN);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, &old);
	start(&h, "describe");
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR1, SIG_DFL);
	assert_true(answer(&h) > 0);
	assert_string_equal(message, "descriptors 4 blocked 0 ignored 0 group 1");
	helper_stop(&h, 20 * NSEC_PER_SEC);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_helper_that_does_not_read(void **state)
{
	_cleanup_free_ char *longest = malloc(HELPER_MESSAGE_MAX);
	struct helper h;
	int sent = 0, r;

	(void)state;
	assert_non_null(longest);
	memset(longest, 'x', HELPER_MESSAGE_MAX);
	longest[HELPER_MESSAGE_MAX - 1] = 0;
	start(&h, "deaf");
	while (sent < 10000 && (r = helper_send(&h, longest)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent >= 1);
	/* It ignores the end of its socket too, so it is killed. */
	helper_stop(&h, NSEC_PER_SEC / 10);
	assert_int_equal(h.pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_killed_helper(void **state)
{
	struct helper h;

	(void)state;
	start(&h, "echo");
	assert_false(helper_ended(&h, 1));
	kill(h.pid, SIGKILL);
	assert_int_equal(answer(&h), 0);
	assert_int_equal(helper_send(&h, "{}"), -EPIPE);
	wait_ended(&h, now_ns(CLOCK_MONOTONIC));
}

static void test_last_words_are_heard(void **state)
{
	struct helper h;

	(void)state;
	start(&h, "describe");
	struct pollfd p = {.fd = h.fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 20000), 1);
	/* It dies with one message of ours unread: ECONNRESET must not hide what it sent. */
	kill(h.pid, SIGSTOP);
	assert_int_equal(helper_send(&h, "{}"), 0);
	kill(h.pid, SIGKILL);
	for (int i = 0; i < 2000 && !(p.revents & POLLHUP); i++) {
		nanosleep(&(struct timespec){0, 10000000}, NULL);
		poll(&p, 1, 0);
	}
	assert_true(p.revents & POLLHUP);
	assert_true(answer(&h) > 0);
	assert_non_null(strstr(message, "descriptors"));
	assert_int_equal(answer(&h), 0);
	wait_ended(&h, now_ns(CLOCK_MONOTONIC));
}

static void test_pause_between_starts(void **state)
{
	static const uint64_t expected_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct helper h = {.program = "test_helper", .fd = -1};
	uint64_t now;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected_s); i++) {
		assert_int_equal(helper_start(&h, "exit", NULL), 0);
		now = now_ns(CLOCK_MONOTONIC);
		wait_ended(&h, now);
		assert_int_equal(h.pause_ns, expected_s[i] * NSEC_PER_SEC);
		assert_int_equal(h.start_again_ns, now + expected_s[i] * NSEC_PER_SEC);
	}
	assert_int_equal(h.starts, ARRAY_SIZE(expected_s));

	/* One that ran for more than a minute is started again quickly. */
	assert_int_equal(helper_start(&h, "exit", NULL), 0);
	wait_ended(&h, now_ns(CLOCK_MONOTONIC) + 61 * NSEC_PER_SEC);
	assert_int_equal(h.pause_ns, NSEC_PER_SEC);
}

static void test_program_that_does_not_exist(void **state)
{
	struct helper h = {.program = "no-such-helper", .fd = -1};
	struct error err = {""};

	(void)state;
	assert_int_equal(helper_start(&h, "x", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/no-such-helper: No such file or directory"));
	assert_int_equal(h.pid, 0);
	assert_int_equal(h.pause_ns, NSEC_PER_SEC);
	assert_false(helper_ended(&h, 1));
	helper_stop(&h, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_message_too_long_for_the_buffer),
		cmocka_unit_test(test_child_inherits_nothing),
		cmocka_unit_test(test_helper_that_does_not_read),
		cmocka_unit_test(test_killed_helper),
		cmocka_unit_test(test_last_words_are_heard),
		cmocka_unit_test(test_pause_between_starts),
		cmocka_unit_test(test_program_that_does_not_exist),
	};

	if (argc == 3 && strcmp(argv[1], "-c") == 0)
		return play(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
