/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rows.h"

#include <string.h>

/* The structures of an RRD's header; none of the functions that this also declares is called. */
#define RRD_EXPORT_DEPRECATED
#include <rrd.h>

#define HEADER_MAX 65536
#define CHUNK      65536 /* bytes of rows in memory at a time */
#define ROWS_MAX   100000000
#define STEP_MAX   (366 * 86400)

/* All of it or nothing, as a file may be shorter than its header says. */
static bool read_at(int fd, void *buf, size_t len, uint64_t at)
{
	return pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

static bool is_ours(const stat_head_t *h)
{
	return !memcmp(h->cookie, RRD_COOKIE, sizeof(RRD_COOKIE)) &&
	       !memcmp(&h->float_cookie, &(double){FLOAT_COOKIE}, sizeof(double)) &&
	       strncmp(h->version, RRD_VERSION3, 4) >= 0 && h->pdp_step > 0 &&
	       h->pdp_step <= STEP_MAX && h->ds_cnt > 0 && h->ds_cnt <= ROWS_SOURCES_MAX &&
	       h->rra_cnt > 0 && h->rra_cnt <= ROWS_ARCHIVES_MAX;
}

static bool take_archive(const rra_def_t *def, uint64_t pdp_step, uint64_t newest, uint64_t last_s,
	struct rows_archive *ret)
{
	uint64_t step_s = pdp_step * def->pdp_cnt;

	if (!def->row_cnt || def->row_cnt > ROWS_MAX || !def->pdp_cnt || def->pdp_cnt > STEP_MAX ||
		newest >= def->row_cnt)
		return false;
	*ret = (struct rows_archive){
		.average = !strncmp(def->cf_nam, "AVERAGE", CF_NAM_SIZE),
		.maximum = !strncmp(def->cf_nam, "MAX", CF_NAM_SIZE),
		.step_s = step_s,
		.rows = def->row_cnt,
		.newest = newest,
		.last_s = last_s - last_s % step_s,
	};
	if (def->pdp_cnt == 1)
		ret->maximum |= ret->average;
	ret->first_s = ret->last_s - MIN(ret->last_s, ret->rows * step_s);
	return true;
}

/* Sources, archives and pointers stand one after the other, with librrd's scratch between them. */
static bool parse(const char *data, size_t len, struct rows_file *f)
{
	const stat_head_t *h = (const stat_head_t *)data;
	size_t ds = h->ds_cnt, rra = h->rra_cnt, at = sizeof(*h);
	const ds_def_t *sources = (const ds_def_t *)(data + at);
	const rra_def_t *archives = (const rra_def_t *)(sources + ds);
	const live_head_t *live = (const live_head_t *)(archives + rra);
	const rra_ptr_t *pointers;
	uint64_t rows_at;

	at = (size_t)((const char *)(live + 1) - data) + ds * sizeof(pdp_prep_t) +
	     rra * ds * sizeof(cdp_prep_t);
	rows_at = at + rra * sizeof(rra_ptr_t);
	if (rows_at > len || live->last_up < 0)
		return false;
	pointers = (const rra_ptr_t *)(data + at);
	f->last_us = (uint64_t)live->last_up * 1000000 + (uint64_t)live->last_up_usec;
	f->sources = ds;
	f->archives = rra;
	for (size_t i = 0; i < ds; i++)
		snprintf(
			f->source[i], sizeof(f->source[i]), "%.*s", DS_NAME_MAX, sources[i].ds_nam);
	for (size_t i = 0; i < rra; i++) {
		if (!take_archive(&archives[i], h->pdp_step, pointers[i].cur_row,
			    (uint64_t)live->last_up, &f->archive[i]))
			return false;
		f->archive[i].at = rows_at;
		rows_at += f->archive[i].rows * ds * sizeof(rrd_value_t);
	}
	return true;
}

int rows_read_header(int fd, const char *name, struct rows_file *ret, struct error *err)
{
	_cleanup_free_ char *data = malloc(HEADER_MAX);
	ssize_t n = data ? pread(fd, data, HEADER_MAX, 0) : 0;

	if (!data)
		return error_set(err, -ENOMEM, "out of memory");
	if (n < 0)
		return error_set(err, -errno, "cannot read %s: %m", name);
	*ret = (struct rows_file){.fd = fd};
	if ((size_t)n < sizeof(stat_head_t) || !is_ours((const stat_head_t *)data) ||
		!parse(data, (size_t)n, ret))
		return error_set(err, -EBADMSG, "%s is damaged, or no RRD of this machine", name);
	return 0;
}

int rows_source(const struct rows_file *f, const char *ds)
{
	for (size_t i = 0; i < f->sources; i++)
		if (!strcmp(f->source[i], ds))
			return (int)i;
	return -1;
}

/* Whether the header says the same as when it was read. */
static bool is_unchanged(const struct rows_file *f, const struct rows_archive *a)
{
	struct rows_file now;

	return rows_read_header(f->fd, "", &now, NULL) == 0 && now.last_us == f->last_us &&
	       now.archives == f->archives && now.archive[a - f->archive].newest == a->newest;
}

int rows_each(const struct rows_file *f, const struct rows_archive *a, uint64_t from_s,
	uint64_t to_s, void (*call)(void *data, uint64_t end_s, const double *values), void *data)
{
	const size_t row_len = f->sources * sizeof(double), many = CHUNK / row_len;
	_cleanup_free_ double *buf = malloc(CHUNK);
	uint64_t end_s = MAX(from_s - from_s % a->step_s, a->first_s) + a->step_s;

	if (!buf)
		return -ENOMEM;
	to_s = MIN(to_s, a->last_s);
	while (end_s <= to_s) {
		uint64_t age = (a->last_s - end_s) / a->step_s;
		uint64_t row = (a->newest + a->rows - age) % a->rows;
		size_t n = (size_t)MIN((to_s - end_s) / a->step_s + 1, a->rows - row);

		n = MIN(n, many);
		if (!read_at(f->fd, buf, n * row_len, a->at + row * row_len))
			return -EBADMSG;
		for (size_t i = 0; i < n; i++, end_s += a->step_s)
			call(data, end_s, buf + i * f->sources);
	}
	return is_unchanged(f, a) ? 0 : -EAGAIN;
}
