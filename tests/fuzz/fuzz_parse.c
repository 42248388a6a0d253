/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/parse.h"
#include "lib/util.h"

/*
 * Any bytes to any parser of lib/parse.h: the first byte chooses it, the rest is its text, in a
 * buffer of the exact size. What a parser hands out must lie inside that text, and a refusal must
 * leave the outputs alone.
 */
#define KEYS      4
#define UNTOUCHED 0x5a

static const struct parse_key keys[KEYS] = {
	{"anon", 4, 1}, {"Read", 4, 1000}, {"rbytes", 6, UINT64_MAX}, {"some", 4, 10000000}};

struct text {
	const char *buf;
	size_t len;
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void require_inside(const struct text *t, const char *p, size_t len)
{
	require(p >= t->buf && len <= t->len && p - t->buf <= (ptrdiff_t)(t->len - len));
}

static void require_untouched(const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++)
		require(p[i] == UNTOUCHED);
}

static void check_values(int r, const struct value *v, size_t n)
{
	require(r == 0 || r == -EBADMSG);
	if (r) {
		require_untouched(v, n * sizeof(*v));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		require(v[i].state <= VALUE_UNLIMITED);
		require(v[i].state == VALUE_PRESENT || v[i].number == 0);
	}
}

static int use_cgroup(void *data, const struct proc_cgroup *c)
{
	require_inside(data, c->controllers, c->controllers_len);
	require_inside(data, c->path, c->path_len);
	require(c->path_len && c->path[0] == '/');
	require(!memchr(c->path, '\n', c->path_len));
	return 0;
}

static int use_socket(void *data, const struct unix_socket *s)
{
	require_inside(data, s->name, s->name_len);
	require(!memchr(s->name, '\n', s->name_len));
	return 0;
}

static void fuzz_netdev(const struct text *t)
{
	struct netdev n[3];
	size_t count;

	memset(n, UNTOUCHED, sizeof(n));
	memset(&count, UNTOUCHED, sizeof(count));
	if (parse_netdev(t->buf, t->len, n, 2, &count)) {
		require_untouched(n, sizeof(n));
		require_untouched(&count, sizeof(count));
		return;
	}
	for (size_t i = 0; i < MIN(count, (size_t)2); i++) {
		require_inside(t, n[i].name, n[i].name_len);
		require(n[i].name_len > 0 && n[i].name_len < 16);
	}
	require_untouched(&n[2], sizeof(n[2]));
}

static void fuzz_keyed(const struct text *t, unsigned int which)
{
	struct value v[KEYS];
	int r;

	memset(v, UNTOUCHED, sizeof(v));
	switch (which) {
	case 0:
		r = parse_flat(t->buf, t->len, keys, KEYS, v);
		break;
	case 1:
		r = parse_nested(t->buf, t->len, keys, KEYS, v);
		break;
	case 2:
		r = parse_blkio(t->buf, t->len, keys, KEYS, v);
		break;
	default:
		r = parse_pressure(t->buf, t->len, keys, KEYS, v);
		break;
	}
	check_values(r, v, KEYS);
}

static void fuzz_single(const struct text *t, unsigned int which)
{
	struct value v;
	int r;

	memset(&v, UNTOUCHED, sizeof(v));
	switch (which) {
	case 0:
		r = parse_number(t->buf, t->len, 3, &v);
		break;
	case 1:
		r = parse_cpu_quota(t->buf, t->len, &v);
		break;
	default:
		r = parse_cpu_list(t->buf, t->len, &v);
		break;
	}
	check_values(r, &v, 1);
}

static void fuzz_process(const struct text *t, unsigned int which)
{
	struct proc_stat stat;
	struct proc_status status;
	struct proc_cpu cpu;

	memset(&stat, UNTOUCHED, sizeof(stat));
	memset(&status, UNTOUCHED, sizeof(status));
	memset(&cpu, UNTOUCHED, sizeof(cpu));
	switch (which) {
	case 0:
		if (parse_proc_stat(t->buf, t->len, &stat))
			require_untouched(&stat, sizeof(stat));
		break;
	case 1:
		if (parse_proc_status(t->buf, t->len, &status))
			require_untouched(&status, sizeof(status));
		else
			require(status.ppid >= 0 && status.inner_pid >= 0);
		break;
	default:
		if (parse_proc_cpu(t->buf, t->len, &cpu))
			require_untouched(&cpu, sizeof(cpu));
		break;
	}
}

static void fuzz_host(const struct text *t, unsigned int which)
{
	uint64_t n;
	int r;

	memset(&n, UNTOUCHED, sizeof(n));
	switch (which) {
	case 0:
		r = parse_btime(t->buf, t->len, &n);
		break;
	case 1:
		r = parse_loadavg_tasks(t->buf, t->len, &n);
		break;
	case 2:
		r = parse_file_nr(t->buf, t->len, &n);
		break;
	default:
		r = parse_proc_cgroups(t->buf, t->len, "memory", &n);
		break;
	}
	if (r)
		require_untouched(&n, sizeof(n));
}

/* The letters are those that the seeds begin with. */
static void fuzz_one(unsigned int parser, struct text *t)
{
	if (parser < 4)
		fuzz_keyed(t, parser);
	else if (parser < 7)
		fuzz_single(t, parser - 4);
	else if (parser < 10)
		fuzz_process(t, parser - 7);
	else if (parser < 14)
		fuzz_host(t, parser - 10);
	else if (parser == 14)
		fuzz_netdev(t);
	else if (parser == 15)
		parse_proc_cgroup(t->buf, t->len, use_cgroup, t);
	else
		parse_proc_net_unix(t->buf, t->len, use_socket, t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *copy = NULL;
	struct text t;

	if (!size)
		return 0;
	copy = malloc(size - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	t = (struct text){copy, size - 1};
	fuzz_one((unsigned int)(data[0] - 'a') % 17, &t);
	return 0;
}
