/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/parse-kmsg.h"
#include "lib/util.h"

/*
 * Two records of the kernel log, apart by a NUL byte: where and whom the OOM killer killed. What is
 * handed out must lie inside the text, and a refusal must leave the outputs alone.
 */
static void require(bool truth)
{
	if (!truth)
		abort();
}

static void require_inside(const char *buf, size_t len, const char *p, size_t p_len)
{
	require(p >= buf && p_len <= len && p - buf <= (ptrdiff_t)(len - p_len));
}

static char *exact_copy(const void *data, size_t len)
{
	char *copy = malloc(len ? len : 1);

	require(copy);
	memcpy(copy, data, len);
	return copy;
}

static struct kmsg_record record(const char *buf, size_t len)
{
	struct kmsg_record r = {.seq = 4711, .text = buf, .len = len};

	/* Not a record: a text by itself. */
	if (parse_kmsg(buf, len, &r) < 0)
		require(r.seq == 4711 && r.text == buf && r.len == len);
	require_inside(buf, len, r.text, r.len);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *border = memchr(data, 0, size);
	size_t place_len = border ? (size_t)(border - data) : size;
	size_t killed_len = border ? size - place_len - 1 : 0;
	_cleanup_free_ char *place = exact_copy(data, place_len);
	_cleanup_free_ char *killed = exact_copy(border ? border + 1 : data, killed_len);
	struct kmsg_record p = record(place, place_len), k = record(killed, killed_len);
	struct oom_victim v = {.pid = -1};
	const char *path = NULL;
	char text[16];
	size_t len = 0;

	if (parse_oom_killed(k.text, k.len, &v) < 0) {
		require(v.pid == -1);
		v = (struct oom_victim){.pid = 17, .name = "x", .name_len = 1};
	} else {
		require(v.pid > 0 && v.memory % 1024 == 0);
		require_inside(k.text, k.len, v.name, v.name_len);
		require(kmsg_unescape(v.name, v.name_len, text, sizeof(text)) < sizeof(text));
	}
	if (parse_oom_cgroup(p.text, p.len, &v, &path, &len) < 0) {
		require(!path && !len);
	} else {
		require_inside(p.text, p.len, path, len);
		require(len > 0 && *path == '/');
		require(kmsg_unescape(path, len, text, sizeof(text)) < sizeof(text));
	}
	return 0;
}
