/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <fnmatch.h>
#include <string.h>

static int by_instance(const void *a, const void *b)
{
	const struct interface_row *x = a, *y = b;

	if (x->instance != y->instance)
		return x->instance < y->instance ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static int read_interfaces(struct view *v)
{
	size_t rows = v->info->rows[SCOPE_INTERFACE];
	struct snapshot_row fixed;

	v->interfaces = calloc(rows + 1, sizeof(*v->interfaces));
	if (!v->interfaces)
		return -ENOMEM;
	for (size_t row = 0; row < rows; row++)
		if (snapshot_row(v->snapshot, SCOPE_INTERFACE, row, &fixed) == 0)
			v->interfaces[row] = (struct interface_row){fixed.parent, row};
	qsort(v->interfaces, rows, sizeof(*v->interfaces), by_instance);
	return 0;
}

size_t view_interfaces(const struct view *v, uint32_t instance, const struct interface_row **ret)
{
	size_t low = 0, high = v->info->rows[SCOPE_INTERFACE], n = 0;
	size_t end = high;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->interfaces[middle].instance < instance)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = v->interfaces + low;
	while (low + n < end && (*ret)[n].instance == instance)
		n++;
	return n;
}

void view_close(struct view *v)
{
	if (v->snapshot)
		snapshot_close(v->snapshot);
	free(v->interfaces);
	*v = (struct view){0};
}

int view_show(struct view *v, struct snapshot *s)
{
	*v = (struct view){.snapshot = s, .info = snapshot_info(s), .age_ns = snapshot_age_ns(s)};
	if (read_interfaces(v) == 0)
		return 0;
	view_close(v);
	return -ENOMEM;
}

int view_load(const struct config *config, struct view *v, struct error *err)
{
	_cleanup_free_ char *path = config_run_path(config, "snapshot");
	int r;

	*v = (struct view){0};
	if (!path)
		return error_set(err, -ENOMEM, "out of memory");
	r = snapshot_open(path, &v->snapshot, err);
	if (r == -ENOENT)
		return error_set(err, r,
			"there is no data in %s: the collector does not run; "
			"start it with: systemctl start loadcelld",
			path);
	if (r == -EACCES)
		return error_set(err, r,
			"only root and the group loadcell may read %s; "
			"join it with: usermod -aG loadcell USER, then log in again",
			path);
	if (r < 0)
		return r;
	if (view_show(v, v->snapshot) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	v->stale = v->age_ns > config_stale_after_ns(config, v->info->interval_ns);
	if (v->stale)
		error_set(err, 0,
			"the data is %s old, though a sample is due every %s: the collector has "
			"stopped or hangs; see: loadcell status",
			cell_duration(v->age_ns).text, cell_duration(v->info->interval_ns).text);
	return 0;
}

int view_open(const struct cli *cli, struct view *v)
{
	struct error err;
	int r = view_load(cli->config, v, &err);

	if (r < 0)
		return cli_fail(cli, r == -ENOENT ? CLI_STALE : CLI_FAILED, "%s", err.text);
	return v->stale ? cli_fail(cli, CLI_STALE, "%s", err.text) : CLI_DONE;
}

struct value view_host_value(const struct view *v, unsigned int metric_id)
{
	return v->snapshot ? snapshot_value(v->snapshot, SCOPE_HOST, 0, metric_id) : value_absent();
}

struct cell view_host_cell(const struct view *v, unsigned int metric_id)
{
	return cell_value(metric_by_id(metric_id), view_host_value(v, metric_id), "unlimited");
}

const char *view_host_text(const struct view *v, enum snapshot_text text)
{
	struct snapshot_row host;

	return v->snapshot && snapshot_row(v->snapshot, SCOPE_HOST, 0, &host) == 0 ? host.text[text]
										   : "";
}

static bool part_matches(const char *text, size_t len, const char *pattern,
	bool (*matches)(const char *pattern, const char *text))
{
	_cleanup_free_ char *copy = strndup(text, len);

	return copy && matches(pattern, copy);
}

/* One of the addresses: the values of ip, ip_configured, mac, mac1 ... */
static bool address_matches(const char *facts, const char *pattern,
	bool (*matches)(const char *pattern, const char *text))
{
	size_t len;

	for_each_line(facts, line, len)
	{
		const char *end = line + len, *item = memchr(line, '=', len);

		if (!item || (strncmp(line, "ip", 2) != 0 && strncmp(line, "mac", 3) != 0))
			continue;
		while (item++ < end) {
			size_t n = strcspn(item, ",\n");

			if (part_matches(item, n, pattern, matches))
				return true;
			item += n;
		}
	}
	return false;
}

bool instance_matches(const struct snapshot_row *row, const char *pattern,
	bool (*matches)(const char *pattern, const char *text))
{
	size_t len;

	if (matches(pattern, row->text[TEXT_HANDLE]) || matches(pattern, row->text[TEXT_HOSTNAME]))
		return true;
	for_each_line(row->text[TEXT_GROUPS], line, len)
	{
		if (part_matches(line, len, pattern, matches))
			return true;
	}
	return address_matches(row->text[TEXT_FACTS], pattern, matches);
}

static bool glob_matches(const char *pattern, const char *text)
{
	return fnmatch(pattern, text, 0) == 0;
}

bool instance_is_wanted(const struct snapshot_row *row, char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (instance_matches(row, patterns[i], glob_matches))
			return true;
	return n == 0;
}

static int by_handle(const void *a, const void *b)
{
	const struct row_match *x = a, *y = b;

	return strcmp(x->fixed.text[TEXT_HANDLE], y->fixed.text[TEXT_HANDLE]);
}

ssize_t view_instances(
	const struct view *v, char *const *patterns, size_t n, struct row_match **ret)
{
	size_t rows = v->info->rows[SCOPE_INSTANCE], found = 0;
	struct row_match *matches = calloc(rows + 1, sizeof(*matches));

	if (!matches)
		return -ENOMEM;
	for (size_t row = 0; row < rows; row++) {
		struct row_match *m = &matches[found];

		m->row = row;
		if (snapshot_row(v->snapshot, SCOPE_INSTANCE, row, &m->fixed) == 0 &&
			instance_is_wanted(&m->fixed, patterns, n))
			found++;
	}
	qsort(matches, found, sizeof(*matches), by_handle);
	*ret = matches;
	return (ssize_t)found;
}
