/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which configurations root's liblxc may read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../../collector/lxc-call.h"

static int look(const char *directory, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/%s", directory, name);
	struct error err;

	return trusted_path(path, &err);
}

static void roots_own(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(trusted_path("/", &err), 0);
	assert_int_equal(trusted_path("/etc/passwd", &err), 0);
	assert_int_equal(trusted_path("/usr/../etc/./passwd", &err), 0);
	/* Only root could make it. */
	assert_int_equal(trusted_path("/etc/not-there/config", &err), 0);
	assert_int_equal(trusted_path("etc/passwd", &err), -EINVAL);
}

static void others(void **state)
{
	char dir[] = "/tmp/loadcell-path.XXXXXX";
	_cleanup_free_ char *link = NULL, *file = NULL, *loop = NULL;
	bool root = geteuid() == 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	link = format_string("%s/link", dir);
	loop = format_string("%s/loop", dir);
	file = format_string("%s/config", dir);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(symlink("loop", loop), 0);
	/* A user's own directory is his, also below /tmp, where nobody could replace root's. */
	assert_int_equal(look(dir, "config"), root ? 0 : -EPERM);
	assert_int_equal(look(dir, "link"), root ? 0 : -EPERM);
	assert_int_equal(look(dir, "loop"), root ? -ELOOP : -EPERM);
	assert_int_equal(chmod(file, 0664), 0);
	assert_int_equal(look(dir, "config"), -EPERM);
	assert_int_equal(chmod(file, 0644), 0);
	/* Who can write the directory can put another file there, or another link. */
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(look(dir, "config"), -EPERM);
	assert_int_equal(look(dir, "link"), -EPERM);
	assert_int_equal(look(dir, "not-there"), -EPERM);
	if (root) {
		assert_int_equal(chmod(dir, 0755), 0);
		assert_int_equal(lchown(link, 65534, 65534), 0);
		assert_int_equal(look(dir, "link"), -EPERM);
		assert_int_equal(lchown(file, 65534, 65534), 0);
		assert_int_equal(look(dir, "config"), -EPERM);
		assert_int_equal(lchown(dir, 65534, 65534), 0);
		assert_int_equal(look(dir, "not-there"), -EPERM);
	}
	unlink(link);
	unlink(loop);
	unlink(file);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_own),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
