/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/parse.h"

/* What the whole host has once: the kernel's ceilings, memory, clock, snmpd. */

#define FILE_MAX 65536
#define KIB      UINT64_C(1024)

ssize_t proc_read(const struct checkup *c, const char *file, char *buf, size_t size)
{
	_cleanup_free_ char *path = format_string("%s/%s", c->cli->config->proc_root, file);

	return path ? read_file_at(AT_FDCWD, path, buf, size) : -ENOMEM;
}

int proc_number(const struct checkup *c, const char *file, uint64_t *ret)
{
	char buf[64];
	ssize_t len = proc_read(c, file, buf, sizeof(buf));
	struct value v;
	int r = len < 0 ? (int)len : parse_number(buf, (size_t)len, 1, &v);

	if (r == 0)
		*ret = v.state == VALUE_UNLIMITED ? UINT64_MAX : v.number;
	return r;
}

/* Rows that the collector makes of a file which anybody may read. */
static int read_collected(const struct checkup *c, unsigned int id, char *buf, uint64_t *ret)
{
	const char *file = id == METRIC_HOST_TASKS            ? "loadavg"
			   : id == METRIC_HOST_OPEN_FILES     ? "sys/fs/file-nr"
			   : id == METRIC_HOST_MEMORY_CGROUPS ? "cgroups"
							      : NULL;
	ssize_t len = file ? proc_read(c, file, buf, FILE_MAX) : -ENOENT;

	if (len < 0)
		return (int)len;
	if (id == METRIC_HOST_TASKS)
		return parse_loadavg_tasks(buf, (size_t)len, ret);
	if (id == METRIC_HOST_OPEN_FILES)
		return parse_file_nr(buf, (size_t)len, ret);
	return parse_proc_cgroups(buf, (size_t)len, "memory", ret);
}

struct value host_value(const struct checkup *c, unsigned int id)
{
	const struct metric *m = metric_by_id(id);
	const struct metric_source *s = &m->v2;
	struct parse_key key = {.scale = s->scale};
	struct value v = c->fresh ? view_host_value(&c->view, id) : value_absent();
	_cleanup_free_ char *buf = malloc(FILE_MAX);
	uint64_t n;
	ssize_t len;

	if (v.state != VALUE_ABSENT || !buf)
		return v;
	if (s->type != SOURCE_FILE)
		return read_collected(c, id, buf, &n) == 0 ? value_of(n) : v;
	len = proc_read(c, s->file, buf, FILE_MAX);
	if (len < 0)
		return v;
	key.key = s->key;
	key.len = s->key ? strlen(s->key) : 0;
	if (s->grammar == GRAMMAR_FLAT)
		(void)parse_flat(buf, (size_t)len, &key, 1, &v);
	else
		(void)parse_number(buf, (size_t)len, s->scale, &v);
	return v;
}

/* --- ceilings ---------------------------------------------------------------------------- */

struct ceiling {
	unsigned int used, limit;
	uint64_t constant; /* where the kernel has no setting */
	const char *what, *sysctl;
	uint64_t most; /* that the setting takes */
};

const struct ceiling ceiling_threads = {METRIC_HOST_TASKS, METRIC_HOST_TASKS_LIMIT, 0,
	"threads are used", "kernel.threads-max", 1 << 29};
/* PID_MAX_LIMIT of a 64-bit kernel (include/linux/threads.h). */
const struct ceiling ceiling_pids = {
	METRIC_HOST_TASKS, METRIC_HOST_PIDS_LIMIT, 0, "pids are used", "kernel.pid_max", 4 << 20};
const struct ceiling ceiling_maps = {METRIC_HOST_MAP_COUNT, METRIC_HOST_MAP_COUNT_LIMIT, 0,
	"memory maps are used by one process", "vm.max_map_count", INT32_MAX};
const struct ceiling ceiling_files = {METRIC_HOST_OPEN_FILES, METRIC_HOST_OPEN_FILES_LIMIT, 0,
	"files are open", "fs.file-max", INT64_MAX};
/* Their ids have 16 bits, because a swapped page remembers one (MEM_CGROUP_ID_MAX). */
const struct ceiling ceiling_cgroups = {
	METRIC_HOST_MEMORY_CGROUPS, 0, 65535, "memory cgroups that 16 bits of id allow", NULL, 0};

void check_ceiling(struct checkup *c)
{
	const struct ceiling *k = c->check->data;
	struct value used = host_value(c, k->used);
	struct value limit = k->limit ? host_value(c, k->limit) : value_of(k->constant);
	enum check_state state;

	if (limit.state == VALUE_UNLIMITED) {
		report(c, CHECK_OK, "%s is unlimited", k->sysctl);
		return;
	}
	if (!value_is_number(used) || !value_is_number(limit)) {
		/* Map counts are the one figure that only the collector's worker may find out. */
		if (k->used == METRIC_HOST_MAP_COUNT && !needs_sample(c))
			return;
		report(c, CHECK_UNKNOWN, "this kernel or the collector does not tell");
		return;
	}
	state = report_share(c, used.number, limit.number, "%" PRIu64 " of %" PRIu64 " %s",
		used.number, limit.number, k->what);
	if (state == CHECK_OK)
		return;
	if (!k->sysctl)
		advise(c, "remove instances or services in them; dead ones that page cache holds "
			  "go with: sync; echo 3 >/proc/sys/vm/drop_caches");
	else if (limit.number >= k->most)
		advise(c, "%s is at its most: run fewer instances on this host", k->sysctl);
	else
		advise_sysctl(c, k->sysctl, MIN(twice(limit.number), k->most));
}

/* --- memory ------------------------------------------------------------------------------ */

void check_overcommit(struct checkup *c)
{
	struct value total = host_value(c, METRIC_HOST_MEMORY_TOTAL), limits, rest, without;
	uint64_t promised, mode = 0;
	enum check_state state;

	if (!needs_sample(c))
		return;
	limits = view_host_value(&c->view, METRIC_MEMORY_COMMITTED);
	rest = view_host_value(&c->view, METRIC_MEMORY_UNLIMITED_WORKING_SET);
	without = view_host_value(&c->view, METRIC_MEMORY_UNLIMITED_INSTANCES);
	if (!value_is_number(total) || !value_is_number(limits)) {
		report(c, CHECK_UNKNOWN, "the memory promised to instances is not known");
		return;
	}
	(void)proc_number(c, "sys/vm/overcommit_memory", &mode);
	promised = limits.number + rest.number;
	state = report_share(c, promised, total.number, "instances may use %s of %s memory",
		cell_bytes(promised).text, cell_bytes(total.number).text);
	report(c, state,
		"limits of %s, and %s that %" PRIu64
		" without a limit use; vm.overcommit_memory is %" PRIu64,
		cell_bytes(limits.number).text, cell_bytes(rest.number).text, without.number, mode);
	if (state != CHECK_OK)
		advise(c, "lower the largest limits (loadcell list --sort mem-limit), move "
			  "instances, or add memory or swap");
}

void check_commit_limit(struct checkup *c)
{
	static const struct parse_key keys[] = {
		{"CommitLimit", strlen("CommitLimit"), KIB},
		{"Committed_AS", strlen("Committed_AS"), KIB},
	};
	struct value v[ARRAY_SIZE(keys)] = {0};
	char buf[8192];
	ssize_t len = proc_read(c, "meminfo", buf, sizeof(buf));
	enum check_state state;
	uint64_t mode = 0;

	if (len < 0 || parse_flat(buf, (size_t)len, keys, ARRAY_SIZE(keys), v) < 0 ||
		!value_is_number(v[0]) || !value_is_number(v[1]) ||
		proc_number(c, "sys/vm/overcommit_memory", &mode) < 0) {
		report(c, CHECK_UNKNOWN, "meminfo or vm.overcommit_memory cannot be read");
		return;
	}
	if (mode != 2) {
		report(c, CHECK_NOT_APPLICABLE,
			"vm.overcommit_memory is %" PRIu64 ": the kernel keeps to no such limit",
			mode);
		return;
	}
	state = report_share(c, v[1].number, v[0].number,
		"%s are committed of %s, beyond which the kernel refuses memory",
		cell_bytes(v[1].number).text, cell_bytes(v[0].number).text);
	if (state != CHECK_OK)
		advise(c, "raise vm.overcommit_ratio, add swap, or: sysctl -w "
			  "vm.overcommit_memory=0");
}

/* --- clock ------------------------------------------------------------------------------- */

void judge_clock(struct checkup *c, int state, const struct timex *t)
{
	if (state < 0) {
		report(c, CHECK_UNKNOWN, "adjtimex: %s", strerror(-state));
		return;
	}
	if (!(t->status & STA_UNSYNC) && state != TIME_ERROR) {
		report(c, CHECK_OK, "synchronised, off by %s at most",
			cell_duration((uint64_t)MAX(t->maxerror, 0L) * 1000).text);
		return;
	}
	report(c, CHECK_WARNING, "not synchronised: RRDs refuse samples after a step backwards");
	advise(c, "apt-get install chrony, or: timedatectl set-ntp true");
}

void check_clock(struct checkup *c)
{
	struct timex t = {0};
	int state = adjtimex(&t);

	judge_clock(c, state < 0 ? -errno : state, &t);
}

/* --- snmpd ------------------------------------------------------------------------------- */

/* 1: a line "master agentx" (or all, yes, on); 0; or a negative errno. */
static int is_master(const char *path)
{
	_cleanup_fclose_ FILE *in = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	char key[16], word[16];
	size_t size = 0;

	if (!in)
		return -errno;
	while (getline(&line, &size, in) >= 0)
		if (sscanf(line, "%15s %15s", key, word) == 2 && !strcasecmp(key, "master") &&
			(!strcasecmp(word, "agentx") || !strcasecmp(word, "all") ||
				!strcasecmp(word, "yes") || !strcasecmp(word, "on")))
			return 1;
	return 0;
}

/* What Debian's file includes: FILE.d/ *.conf. */
static int is_master_below(const char *file)
{
	_cleanup_free_ char *directory = format_string("%s.d", file);
	_cleanup_closedir_ DIR *dir = directory ? opendir(directory) : NULL;
	const struct dirent *entry;
	int r = 0;

	while (dir && r <= 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s", directory, entry->d_name);
		const char *end = strrchr(entry->d_name, '.');

		if (path && end && strcmp(end, ".conf") == 0)
			r = is_master(path) ?: r;
	}
	return r;
}

void check_snmpd(struct checkup *c)
{
	const char *socket = c->cli->config->agentx;
	int r;

	if (!scan_get(c)->snmpd) {
		report(c, CHECK_NOT_APPLICABLE, "snmpd does not run");
		return;
	}
	r = is_master(c->snmpd_conf);
	r = r == 0 ? is_master_below(c->snmpd_conf) : r;
	if (r < 0) {
		report(c, CHECK_UNKNOWN, "cannot read %s: %s", c->snmpd_conf, strerror(-r));
		advise(c, "become root, or name another file with --snmpd-conf");
	} else if (r == 0) {
		report(c, CHECK_WARNING, "snmpd takes no subagents: no \"master agentx\" in %s",
			c->snmpd_conf);
		advise(c, "echo master agentx >>%s; systemctl restart snmpd", c->snmpd_conf);
	} else if (*socket == '/' && access(socket, F_OK) < 0) {
		report(c, errno == EACCES ? CHECK_UNKNOWN : CHECK_WARNING,
			"snmpd's AgentX socket %s: %m", socket);
		advise(c, "systemctl restart snmpd; the key agentx has to name its agentXSocket");
	} else {
		report(c, CHECK_OK, "snmpd takes AgentX subagents");
	}
}
