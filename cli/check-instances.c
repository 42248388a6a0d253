/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <inttypes.h>
#include <string.h>

#include "hooks.h"
#include "json.h"

/* What is wrong with single instances, and what they are measured by. */

struct resource {
	const char *what;
	unsigned int used, limit;
	bool bytes;
	const char *v1, *v2; /* the settings, behind lxc.cgroup. and lxc.cgroup2. */
	const char *v1_value, *v2_value;
};

const struct resource resource_memory = {"memory", METRIC_MEMORY_WORKING_SET, METRIC_MEMORY_LIMIT,
	true, "memory.limit_in_bytes", "memory.max", "2G", "2G"};
const struct resource resource_pids = {"pids", METRIC_PIDS_CURRENT, METRIC_PIDS_LIMIT, false,
	"pids.max", "pids.max", "2000", "2000"};
const struct resource resource_cpu = {"CPU", METRIC_CPU_USED_CORES, METRIC_CPU_LIMIT, false,
	"cpu.cfs_quota_us", "cpu.max", "200000", "200000 100000"};
/* No cgroup has such a limit. */
const struct resource resource_disk = {
	"disk", METRIC_DISK_USED, METRIC_DISK_LIMIT, true, NULL, NULL, NULL, NULL};

static size_t rows_of(const struct checkup *c, enum metric_scope scope)
{
	return c->view.info->rows[scope];
}

/* The next row that is an instance of LXC: what limits another kind has is not told by cgroups. */
static bool next_instance(const struct checkup *c, size_t *row, struct snapshot_row *fixed)
{
	for (; *row < rows_of(c, SCOPE_INSTANCE); ++*row)
		if (snapshot_row(c->view.snapshot, SCOPE_INSTANCE, *row, fixed) == 0 &&
			(!*fixed->text[TEXT_KIND] || strcmp(fixed->text[TEXT_KIND], "lxc") == 0))
			return true;
	return false;
}

static struct value instance_value(const struct checkup *c, size_t row, unsigned int id)
{
	return snapshot_value(c->view.snapshot, SCOPE_INSTANCE, row, id);
}

static bool is_v1(const struct resource *r, const struct snapshot_row *fixed)
{
	return source_version(metric_by_id(r->limit), fixed->text[TEXT_CGROUPS]) == 1;
}

/* --- limits ------------------------------------------------------------------------------ */

void check_limit(struct checkup *c)
{
	const struct resource *r = c->check->data;
	struct names names = {0};
	struct snapshot_row fixed;
	enum check_state state;
	size_t known = 0;
	bool v1 = false;

	if (!needs_sample(c))
		return;
	for (size_t row = 0; next_instance(c, &row, &fixed); row++) {
		struct value limit = instance_value(c, row, r->limit);

		known += limit.state != VALUE_ABSENT;
		if (limit.state != VALUE_UNLIMITED)
			continue;
		names_add(&names, fixed.text[TEXT_HANDLE]);
		v1 = is_v1(r, &fixed);
	}
	if (!known) {
		report(c, CHECK_NOT_APPLICABLE, "no instance has a %s limit that is known",
			r->what);
		return;
	}
	state = judge_number(c, names.n);
	figure_number(c, names.n, known);
	if (!names.n) {
		report(c, state, "all %zu have one", known);
		return;
	}
	report(c, state, "%zu of %zu instance%s without a %s limit: %s", names.n, known,
		PLURAL(known), r->what, names_text(&names));
	if (state != CHECK_OK && !r->v1)
		advise(c,
			"a project quota, or a file system of its own (lxc-create -B lvm, zfs, "
			"loop); if that is meant: check = %s off",
			c->check->id);
	else if (state != CHECK_OK)
		advise(c, "lxc.cgroup%s.%s = %s or the like; if that is meant: check = %s off",
			v1 ? "" : "2", v1 ? r->v1 : r->v2, v1 ? r->v1_value : r->v2_value,
			c->check->id);
}

static struct cell amount(const struct resource *r, uint64_t n)
{
	return r->bytes ? cell_bytes(n) : cell_count(n);
}

/* Names are others' choice: what a shell would take for more than a name is not in a command. */
static const char *argument(const char *text, const char *instead)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._~/-";

	return text[0] != '-' && text[0] && !text[strspn(text, plain)] ? text : instead;
}

static void advise_limit(struct checkup *c, const struct resource *r, size_t row, uint64_t limit)
{
	struct snapshot_row fixed;
	bool v1;

	if (snapshot_row(c->view.snapshot, SCOPE_INSTANCE, row, &fixed) < 0)
		return;
	if (!r->v1) {
		advise(c, "loadcell show %s; make room, or enlarge its file system or quota",
			argument(fixed.text[TEXT_HANDLE], "NAME"));
		return;
	}
	v1 = is_v1(r, &fixed);
	advise(c,
		"lxc-cgroup -P %s -n %s %s %" PRIu64
		", and in its configuration: lxc.cgroup%s.%s = "
		"%" PRIu64,
		argument(fixed.text[TEXT_LXCPATH], "LXCPATH"),
		argument(fixed.text[TEXT_NAME], "NAME"), v1 ? r->v1 : r->v2, twice(limit),
		v1 ? "" : "2", v1 ? r->v1 : r->v2, twice(limit));
}

void check_near(struct checkup *c)
{
	const struct resource *r = c->check->data;
	uint64_t worst_used = 0, worst_limit = 0;
	struct names names = {0};
	struct snapshot_row fixed;
	size_t worst = SIZE_MAX;
	enum check_state state;

	if (!needs_sample(c))
		return;
	for (size_t row = 0; next_instance(c, &row, &fixed); row++) {
		struct value used = instance_value(c, row, r->used);
		struct value limit = instance_value(c, row, r->limit);

		if (!value_is_number(used) || !value_is_number(limit) || !limit.number)
			continue;
		if (judge_share(c, used.number, limit.number) != CHECK_OK)
			names_add(&names, fixed.text[TEXT_HANDLE]);
		if (worst != SIZE_MAX &&
			!is_fuller(used.number, limit.number, worst_used, worst_limit))
			continue;
		worst_used = used.number;
		worst_limit = limit.number;
		worst = row;
	}
	if (snapshot_row(c->view.snapshot, SCOPE_INSTANCE, worst, &fixed) < 0) {
		report(c, CHECK_NOT_APPLICABLE, "no instance has a %s limit", r->what);
		return;
	}
	state = report_share(c, worst_used, worst_limit, "%s uses %s of its %s %s",
		fixed.text[TEXT_HANDLE], amount(r, worst_used).text, amount(r, worst_limit).text,
		r->what);
	if (names.n > 1)
		report(c, state, "%zu are over the threshold: %s", names.n, names_text(&names));
	if (state != CHECK_OK)
		advise_limit(c, r, worst, worst_limit);
}

/* --- file systems ------------------------------------------------------------------------ */

void check_filesystems(struct checkup *c)
{
	static const struct {
		unsigned int size, used;
		const char *what;
	} kinds[] = {
		{METRIC_FILESYSTEM_SIZE, METRIC_FILESYSTEM_USED, "of its space"},
		{METRIC_FILESYSTEM_INODES, METRIC_FILESYSTEM_USED_INODES, "of its inodes"},
	};
	unsigned int worst = 0;
	struct snapshot_row fs;

	if (!needs_sample(c))
		return;
	for (size_t i = 0; i < rows_of(c, SCOPE_FILESYSTEM) * ARRAY_SIZE(kinds); i++) {
		size_t row = i / ARRAY_SIZE(kinds), k = i % ARRAY_SIZE(kinds);
		struct value size, used;
		enum check_state state;

		size = snapshot_value(c->view.snapshot, SCOPE_FILESYSTEM, row, kinds[k].size);
		used = snapshot_value(c->view.snapshot, SCOPE_FILESYSTEM, row, kinds[k].used);
		if (snapshot_row(c->view.snapshot, SCOPE_FILESYSTEM, row, &fs) < 0 ||
			!value_is_number(size) || !value_is_number(used) || !size.number)
			continue;
		state = judge_share(c, used.number, size.number);
		if (!c->finding->has_figures || share(used.number, size.number) > worst) {
			worst = share(used.number, size.number);
			figure_share(c, used.number, size.number);
		}
		if (state == CHECK_OK)
			continue;
		report(c, state, "%s uses %u %% %s", fs.text[TEXT_NAME],
			share(used.number, size.number), kinds[k].what);
		advise(c,
			"make room in %s, or move instances: du -xd1 %s; loadcell list "
			"--sort disk",
			fs.text[TEXT_NAME], fs.text[TEXT_NAME]);
	}
	if (!c->finding->has_figures)
		report(c, CHECK_NOT_APPLICABLE, "no file system that holds instances is known yet");
	else
		report(c, CHECK_OK, "the fullest is used to %u %%", worst);
}

/* --- controllers ------------------------------------------------------------------------- */

/* Which kind of metrics goes without, and the kernel's way to have it. */
static const struct {
	enum controller controller;
	const char *v1, *v2, *remedy;
} needed[] = {
	{CONTROLLER_CPU, "cpu", "cpu", "mount it; a kernel without CONFIG_CFS_BANDWIDTH has none"},
	{CONTROLLER_MEMORY, "memory", "memory",
		"boot with cgroup_enable=memory; kernels from 6.11 have it under cgroup v2 only: "
		"systemd.unified_cgroup_hierarchy=1"},
	{CONTROLLER_PIDS, "pids", "pids", "mount it; kernels before 4.3 have none"},
	{CONTROLLER_IO, "blkio", "io",
		"echo +io >/sys/fs/cgroup/cgroup.subtree_control, or Delegate=yes of the service "
		"that starts the instance"},
};

static size_t metrics_of(enum controller controller)
{
	const struct metric *m;
	size_t n = 0;

	for_each_metric (SCOPE_INSTANCE, slot, m)
		n += m->v1.controller == controller || m->v2.controller == controller;
	return n;
}

/* Metrics for which the table knows no source under the version that is used. */
static void report_without_source(struct checkup *c, const char *cgroups)
{
	const struct metric *m;

	for_each_metric (SCOPE_INSTANCE, slot, m) {
		const struct metric_source *s = source_of(m, source_version(m, cgroups));

		if (s->type == SOURCE_NONE)
			report(c, CHECK_OK, "no %s: %s", m->name, s->note);
	}
}

/* See measure_choose_io(): no instance has a value then. Returns whether it was reported. */
static bool report_uncounted_io(struct checkup *c)
{
	struct snapshot_row fixed;
	size_t len, n = 0;

	for (size_t row = 0; next_instance(c, &row, &fixed); row++) {
		if (!line_value(fixed.text[TEXT_CGROUPS], "blkio", &len))
			continue;
		if (instance_value(c, row, METRIC_IO_READ_BYTES).state != VALUE_ABSENT)
			return false;
		n++;
	}
	if (!n)
		return false;
	report(c, CHECK_WARNING, "blkio counts no I/O before any of its throttling rules is set");
	advise(c, "one that never bites makes it count for all from then on: "
		  "lxc.cgroup.blkio.throttle.read_bps_device = 8:0 10000000000 in an instance's "
		  "configuration, with the disk's number (lsblk)");
	return true;
}

void check_controllers(struct checkup *c)
{
	struct snapshot_row fixed;
	size_t n = 0, len, all = 0;

	if (!needs_sample(c))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct names names = {0};

		all = 0;
		for (size_t row = 0; next_instance(c, &row, &fixed); row++, all++)
			if (!line_value(fixed.text[TEXT_CGROUPS], needed[i].v1, &len) &&
				!line_value(fixed.text[TEXT_CGROUPS], needed[i].v2, &len))
				names_add(&names, fixed.text[TEXT_HANDLE]);
		if (!names.n)
			continue;
		n++;
		report(c, CHECK_WARNING,
			"%s is missing for %zu of %zu instance%s (%s), and with it %zu metrics",
			controller_name(needed[i].controller, 2), names.n, all, PLURAL(all),
			names_text(&names), metrics_of(needed[i].controller));
		advise(c, "%s", needed[i].remedy);
	}
	if (!all) {
		report(c, CHECK_NOT_APPLICABLE, "no instance runs");
		return;
	}
	if (!report_uncounted_io(c) && !n)
		report(c, CHECK_OK, "cpu, memory, pids and io are there for all %zu", all);
	all = 0;
	if (next_instance(c, &all, &fixed))
		report_without_source(c, fixed.text[TEXT_CGROUPS]);
}

void check_swap_accounting(struct checkup *c)
{
	struct value swap = host_value(c, METRIC_HOST_SWAP_TOTAL);
	struct names names = {0};
	struct snapshot_row fixed;
	size_t with = 0;

	if (!needs_sample(c))
		return;
	for (size_t row = 0; next_instance(c, &row, &fixed); row++) {
		if (!value_is_number(instance_value(c, row, METRIC_MEMORY_USAGE)))
			continue;
		if (instance_value(c, row, METRIC_MEMORY_SWAP_LIMIT).state == VALUE_ABSENT)
			names_add(&names, fixed.text[TEXT_HANDLE]);
		else
			with++;
	}
	if (!names.n && !with)
		report(c, CHECK_NOT_APPLICABLE, "no instance has a memory controller");
	else if (!names.n)
		report(c, CHECK_OK, "swap of all %zu instances is accounted", with);
	else if (!value_is_number(swap) || !swap.number)
		report(c, CHECK_NOT_APPLICABLE, "the host has no swap");
	else
		report(c, CHECK_WARNING,
			"swap is neither accounted nor limited for %zu of %zu instance%s: %s",
			names.n, names.n + with, PLURAL(names.n + with), names_text(&names));
	if (c->finding->state == CHECK_WARNING)
		advise(c, "boot with swapaccount=1 (GRUB_CMDLINE_LINUX in /etc/default/grub, then "
			  "update-grub and a restart)");
}

/* --- hooks ------------------------------------------------------------------------------- */

struct hooked {
	size_t containers, unreadable;
	struct names without, runs_without;
};

static void take_container(void *data, const char *name, int configured, int hooked)
{
	struct hooked *h = data;

	h->containers++;
	h->unreadable += configured < 0;
	if (configured == 0)
		names_add(&h->without, name);
	else if (configured > 0 && hooked == 0)
		names_add(&h->runs_without, name);
}

void check_hooks(struct checkup *c)
{
	_cleanup_fclose_ FILE *nowhere = fopen("/dev/null", "we");
	struct cli quiet = *c->cli;
	struct hooked h = {0};

	quiet.err = nowhere ? nowhere : c->cli->err;
	if (hooks_each(&quiet, &c->view, take_container, &h) != CLI_DONE) {
		report(c, CHECK_UNKNOWN, "not all lxcpaths may be read");
		advise(c, "run it as root: sudo loadcell check");
	}
	if (h.without.n) {
		report(c, CHECK_WARNING, "%zu of %zu container%s without loadcell's hooks: %s",
			h.without.n, h.containers, PLURAL(h.containers), names_text(&h.without));
		advise(c, "loadcell hooks install; where a configuration does not include LXC's "
			  "common.conf: lxc.include = " SHAREDIR "/lxc.conf");
	}
	if (h.runs_without.n) {
		report(c, CHECK_WARNING, "%zu run as they were started, without: %s",
			h.runs_without.n, names_text(&h.runs_without));
		advise(c, "restart them when that is convenient");
	}
	if (h.unreadable) {
		report(c, CHECK_UNKNOWN, "the configuration of %zu may not be read", h.unreadable);
		advise(c, "run it as root: sudo loadcell check");
	}
	if (!c->finding->text)
		report(c, h.containers ? CHECK_OK : CHECK_NOT_APPLICABLE,
			h.containers ? "all %zu containers have them" : "no container is defined",
			h.containers);
}
