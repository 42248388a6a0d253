/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "collector/hook-socket.h"

struct fixture {
	char dir[64], path[96];
	struct hook_socket *h;
	int sender;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct error err;

	if (!f)
		return -1;
	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_hook_socket.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/hook.sock", f->dir);
	if (hook_socket_new(f->path, &f->h, &err) < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	f->sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	return connect(f->sender, (struct sockaddr *)&address, sizeof(address));
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->sender);
	hook_socket_free(f->h);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void send_text(struct fixture *f, const void *text, size_t len)
{
	assert_int_equal(send(f->sender, text, len, 0), (ssize_t)len);
}

static void only_root_may_send(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* As root a wake-up is believed; as anybody else it is not. */
static void wake_ups(void **state)
{
	static const char *const types[] = {
		"start", "stop", "destroy", "start 0d906fa0aa9d5d74", "destroy 17"};
	struct fixture *f = *state;
	bool root = geteuid() == 0;

	assert_false(hook_socket_read(f->h));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		send_text(f, types[i], strlen(types[i]));
		assert_int_equal(hook_socket_read(f->h), root);
	}
	assert_int_equal(hook_socket_refused(f->h), root ? 0 : ARRAY_SIZE(types));
}

static void garbage(void **state)
{
	static char big[65536];
	struct fixture *f = *state;

	send_text(f, "", 0);
	send_text(f, "starting", 8);
	send_text(f, "start\n", 6);
	send_text(f, "star", 4);
	send_text(f, "\0start", 6);
	send_text(f, "start ", 6);
	send_text(f, "start 17 18", 11);
	send_text(f, "start ../web", 12);
	send_text(f, "start 1\0", 8);
	memset(big, 's', sizeof(big));
	memcpy(big, "start", 5);
	send_text(f, big, sizeof(big));
	assert_false(hook_socket_read(f->h));
	assert_int_equal(hook_socket_refused(f->h), 10);
}

/* Neither a descriptor that is passed nor a full queue does any harm. */
static void descriptors_and_storms(void **state)
{
	struct fixture *f = *state;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec part = {(char *)"x", 1};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int last = dup(0), again;
	size_t sent = 1;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &f->sender, sizeof(int));
	assert_int_equal(sendmsg(f->sender, &m, 0), 1);
	while (send(f->sender, "x", 1, 0) == 1)
		sent++;
	assert_int_equal(errno, EAGAIN);
	while (hook_socket_refused(f->h) < sent) {
		uint64_t before = hook_socket_refused(f->h);

		assert_false(hook_socket_read(f->h));
		assert_true(hook_socket_refused(f->h) > before);
	}
	close(last);
	again = dup(0); /* the same number: nothing was taken in */
	assert_int_equal(again, last);
	close(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_root_may_send, setup, teardown),
		cmocka_unit_test_setup_teardown(wake_ups, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_and_storms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
