/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <ini.h>

#include "value.h"

#define CONFIG_SIZE_MAX 65536
#define CONTROL_SOCKET  "/control.sock"
#define RUN_DIR_MAX     (sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof(CONTROL_SOCKET))
#define PATH_LEN_MAX    1024
#define OID_SUBIDS_MAX  100 /* of 128, which leaves room for table, column and index */
#define NSEC_PER_MSEC   UINT64_C(1000000)
#define SECONDS(n)      ((n)*NSEC_PER_SEC)
#define DAYS(n)         SECONDS((n)*UINT64_C(86400))
#define KIB(n)          ((n)*UINT64_C(1024))
#define PERCENT(n)      ((n)*UINT64_C(10000000))
#define STALE_LEAST_NS  SECONDS(15)
#define STALE_INTERVALS 3

struct option {
	const char *name;
	/* Returns a negative errno when value is not what `expects` says. */
	int (*set)(struct config *c, const struct option *o, const char *value);
	size_t field;      /* offset in struct config */
	uint64_t min, max; /* of a path: max is its length */
	const char *word;  /* a word that stands for 0 */
	const char *initial;
	const char *expects;
};

/* --- values -------------------------------------------------------------------------------- */

struct unit {
	const char *name;
	uint64_t scale;
};

/* Digits only: no sign, no blank, no hexadecimal, unlike strtoull(3). */
static int scan_number(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t n = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
			__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	}
	*text = p;
	*ret = n;
	return 0;
}

static int parse_scaled(const char *text, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t number;
	int r = scan_number(&text, &number);

	if (r)
		return r;
	while (*text == ' ')
		text++;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, units[i].name) == 0)
			return __builtin_mul_overflow(number, units[i].scale, ret) ? -ERANGE : 0;
	}
	return -EINVAL;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ms", NSEC_PER_MSEC},
		{"s", SECONDS(1)},
		{"m", SECONDS(60)},
		{"h", SECONDS(3600)},
		{"d", DAYS(1)},
	};
	uint64_t ns;
	int r = parse_scaled(text, units, ARRAY_SIZE(units), &ns);

	if (!r)
		*ret_ns = ns;
	return r;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"B", 1},
		{"K", KIB(1)},
		{"M", KIB(1) << 10},
		{"G", KIB(1) << 20},
		{"T", KIB(1) << 30},
	};
	uint64_t bytes;
	int r = parse_scaled(text, units, ARRAY_SIZE(units), &bytes);

	if (!r)
		*ret_bytes = bytes;
	return r;
}

int parse_percent(const char *text, uint64_t *ret_billionths)
{
	uint64_t whole, scale = PERCENT(1), result;
	int r = scan_number(&text, &whole);

	if (r)
		return r;
	if (__builtin_mul_overflow(whole, scale, &result))
		return -ERANGE;
	if (*text == '.') {
		if (text[1] < '0' || text[1] > '9')
			return -EINVAL;
		for (text++; *text >= '0' && *text <= '9'; text++) {
			scale /= 10;
			if (!scale || __builtin_add_overflow(
					      result, (uint64_t)(*text - '0') * scale, &result))
				return -ERANGE;
		}
	}
	while (*text == ' ')
		text++;
	if (strcmp(text, "%") != 0)
		return -EINVAL;
	*ret_billionths = result;
	return 0;
}

/* --- setters ------------------------------------------------------------------------------- */

static uint64_t *number_field(struct config *c, const struct option *o)
{
	return (uint64_t *)((char *)c + o->field);
}

static int set_number(struct config *c, const struct option *o, const char *value,
	int (*parse)(const char *text, uint64_t *ret))
{
	uint64_t n = 0;
	int r;

	if (!o->word || strcmp(value, o->word) != 0) {
		r = parse(value, &n);
		if (r)
			return r;
		if (n < o->min || n > o->max)
			return -ERANGE;
	}
	*number_field(c, o) = n;
	return 0;
}

static int set_duration(struct config *c, const struct option *o, const char *value)
{
	return set_number(c, o, value, parse_duration);
}

static int set_size(struct config *c, const struct option *o, const char *value)
{
	return set_number(c, o, value, parse_size);
}

static int set_percent(struct config *c, const struct option *o, const char *value)
{
	return set_number(c, o, value, parse_percent);
}

static int parse_count(const char *text, uint64_t *ret)
{
	uint64_t n;
	int r = scan_number(&text, &n);

	if (r)
		return r;
	if (*text)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int set_count(struct config *c, const struct option *o, const char *value)
{
	return set_number(c, o, value, parse_count);
}

/* A size, or a share of the file system. */
static int set_data_max(struct config *c, const struct option *o, const char *value)
{
	uint64_t ratio;

	if (parse_percent(value, &ratio))
		return set_size(c, o, value);
	if (!ratio || ratio > PERCENT(100))
		return -ERANGE;
	c->data_max = 0;
	c->data_max_ratio = ratio;
	return 0;
}

static int replace_string(struct config *c, const struct option *o, const char *value)
{
	char **field = (char **)((char *)c + o->field);
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* Paths are compared as strings (lxcpath), so each has one spelling: no double or last slash. */
static int normalise_path(const struct option *o, const char *value, char path[PATH_LEN_MAX + 1])
{
	size_t len = 0;

	if (*value != '/')
		return -EINVAL;
	for (; *value; value++) {
		if (*value == '/' && len && path[len - 1] == '/')
			continue;
		if (len == o->max)
			return -ENAMETOOLONG;
		path[len++] = *value;
	}
	if (len > 1 && path[len - 1] == '/')
		len--;
	path[len] = '\0';
	return 0;
}

static int set_path(struct config *c, const struct option *o, const char *value)
{
	char path[PATH_LEN_MAX + 1];
	int r = normalise_path(o, value, path);

	return r ? r : replace_string(c, o, path);
}

static int set_lxcpath(struct config *c, const struct option *o, const char *value)
{
	char path[PATH_LEN_MAX + 1];
	int r = normalise_path(o, value, path);

	if (r)
		return r;
	for (size_t i = 0; i < c->lxcpaths; i++) {
		if (strcmp(c->lxcpath[i], path) == 0)
			return -EEXIST;
	}
	if (c->lxcpaths == CONFIG_LXCPATH_MAX)
		return -ENOSPC;
	c->lxcpath[c->lxcpaths] = strdup(path);
	if (!c->lxcpath[c->lxcpaths])
		return -ENOMEM;
	c->lxcpaths++;
	return 0;
}

/* "HOST:PORT"; an IPv6 address stands in brackets, so that the last colon is the port's. */
static bool is_host_port(const char *value)
{
	const char *colon = strrchr(value, ':');
	uint64_t port;

	if (!colon || colon == value || parse_count(colon + 1, &port) || !port || port > 65535)
		return false;
	if (*value == '[')
		return colon[-1] == ']' && colon - value > 2;
	return memchr(value, ':', (size_t)(colon - value)) == NULL;
}

static int set_listen(struct config *c, const struct option *o, const char *value)
{
	return is_host_port(value) ? replace_string(c, o, value) : -EINVAL;
}

/* Net-SNMP's transports as far as an AgentX master listens on them. */
static int set_agentx(struct config *c, const struct option *o, const char *value)
{
	if (strncmp(value, "tcp:", 4) == 0)
		return is_host_port(value + 4) ? replace_string(c, o, value) : -EINVAL;
	return set_path(c, o, value);
}

/* Sub-identifiers are 32 bits; X.660 allows 0 to 2 as the first, then 0 to 39 below 0 and 1. */
static int set_arc(struct config *c, const struct option *o, const char *value)
{
	const char *p = value;
	uint64_t first = 0;
	size_t n = 0;

	for (;; p++) {
		uint64_t subid;

		if (scan_number(&p, &subid) || subid > UINT32_MAX || ++n > OID_SUBIDS_MAX)
			return -EINVAL;
		if (n == 1)
			first = subid;
		if (first > 2 || (n == 2 && first < 2 && subid > 39))
			return -EINVAL;
		if (*p != '.')
			break;
	}
	if (*p || n < 2)
		return -EINVAL;
	return replace_string(c, o, value);
}

/* --- the table ----------------------------------------------------------------------------- */

#define FIELD(f) offsetof(struct config, f)

/* clang-format off */
static const struct option options[] = {
	{"interval", set_duration, FIELD(interval_ns), SECONDS(1), SECONDS(3600), NULL,
		"10s", "a duration from 1s to 1h"},
	{"run_dir", set_path, FIELD(run_dir), 0, RUN_DIR_MAX, NULL,
		"/run/loadcell", "an absolute path short enough for a socket in it (94 bytes)"},
	{"data_dir", set_path, FIELD(data_dir), 0, PATH_LEN_MAX, NULL,
		"/var/lib/loadcell", "an absolute path"},
	{"cgroup_root", set_path, FIELD(cgroup_root), 0, PATH_LEN_MAX, NULL,
		"/sys/fs/cgroup", "an absolute path"},
	{"proc_root", set_path, FIELD(proc_root), 0, PATH_LEN_MAX, NULL,
		"/proc", "an absolute path"},
	{"lxcpath", set_lxcpath, 0, 0, PATH_LEN_MAX, NULL,
		NULL, "an absolute path, each once, 64 at most"},
	{"flush", set_duration, FIELD(flush_ns), SECONDS(1), SECONDS(3600), NULL,
		"60s", "a duration from 1s to 1h"},
	{"keep", set_duration, FIELD(keep_ns), 0, DAYS(3650), NULL,
		"1d", "a duration up to 3650d"},
	{"archive", set_duration, FIELD(archive_ns), 0, DAYS(3650), NULL,
		"365d", "a duration up to 3650d"},
	{"data_max", set_data_max, FIELD(data_max), KIB(1024), UINT64_MAX, NULL,
		"10 %", "a size of at least 1M or a percentage of the file system up to 100 %"},
	{"ledger", set_size, FIELD(ledger_max), KIB(64), UINT64_MAX, NULL,
		"64M", "a size of at least 64K"},
	{"events", set_size, FIELD(events_max), KIB(64), UINT64_MAX, NULL,
		"64M", "a size of at least 64K"},
	{"recent", set_size, FIELD(recent_bytes), KIB(64), KIB(4) << 20, NULL,
		"16M", "a size from 64K to 4G"},
	{"disk_walk", set_duration, FIELD(disk_walk_ns), SECONDS(1), DAYS(30), "off",
		"15m", "\"off\" or a duration from 1s to 30d"},
	{"disk_walk_share", set_percent, FIELD(disk_walk_share), 1, PERCENT(100), NULL,
		"1 %", "a percentage above 0 up to 100 %"},
	{"stale_after", set_duration, FIELD(stale_after_ns), SECONDS(1), DAYS(1), "auto",
		"auto", "\"auto\" or a duration from 1s to 1d"},
	{"reconcile", set_duration, FIELD(reconcile_ns), SECONDS(1), SECONDS(3600), NULL,
		"10s", "a duration from 1s to 1h"},
	{"instances_max", set_count, FIELD(instances_max), 1, 100000, NULL,
		"5000", "a number from 1 to 100000"},
	{"agentx", set_agentx, FIELD(agentx), 0, PATH_LEN_MAX, NULL,
		"/var/agentx/master", "an absolute path or tcp:HOST:PORT"},
	{"snmp_arc", set_arc, FIELD(snmp_arc), 0, 0, NULL,
		"1.3.6.1.4.1.8072.9999.9999", "a numeric object identifier"},
	{"snmp_contexts", set_count, FIELD(snmp_contexts), 0, 100000, NULL,
		"1000", "a number from 0 to 100000"},
	{"listen", set_listen, FIELD(listen), 0, 0, NULL,
		"127.0.0.1:9818", "HOST:PORT"},
};
/* clang-format on */

static const char *const initial_lxcpath[] = {"/var/lib/lxc", "/var/lib/incus/containers"};

static void drop_lxcpaths(struct config *c)
{
	while (c->lxcpaths)
		free(c->lxcpath[--c->lxcpaths]);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	drop_lxcpaths(c);
	free(c->run_dir);
	free(c->data_dir);
	free(c->cgroup_root);
	free(c->proc_root);
	free(c->agentx);
	free(c->snmp_arc);
	free(c->listen);
	free(c);
}

static int config_new(struct config **ret)
{
	_cleanup_(config_free) struct config *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(options) && !r; i++) {
		if (options[i].initial)
			r = options[i].set(c, &options[i], options[i].initial);
	}
	for (size_t i = 0; i < ARRAY_SIZE(initial_lxcpath) && !r; i++) {
		c->lxcpath[i] = strdup(initial_lxcpath[i]);
		r = c->lxcpath[i] ? 0 : -ENOMEM;
		c->lxcpaths += !r;
	}
	if (!r)
		*ret = TAKE_PTR(c);
	return r;
}

/* --- reading ------------------------------------------------------------------------------- */

struct loader {
	struct config *config;
	const char *name; /* of the file */
	const char *text;
	size_t left;
	int line; /* that inih works on: it asks for each line once */
	bool seen[ARRAY_SIZE(options)];
	struct error *err;
	int code; /* of the first error */
	int error_line;
};

static void fail(struct loader *l, int code, const char *format, ...) _printf_(3, 4);

static void fail(struct loader *l, int code, const char *format, ...)
{
	char what[ERROR_MAX];
	va_list ap;

	if (l->code)
		return;
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	l->error_line = l->line;
	l->code = error_set(l->err, code, "%s:%d: %s", l->name, l->line, what);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/*
 * inih's fgets(3). It sees lines without leading blanks, for which it would otherwise glue the
 * line to the key before, and no line that does not fit in its buffer, which it would cut.
 */
static char *next_line(char *str, int num, void *stream)
{
	struct loader *l = stream;
	const char *line = l->text, *end;
	size_t len;

	if (!l->left || l->code)
		return NULL;
	l->line++;
	end = memchr(line, '\n', l->left);
	len = end ? (size_t)(end - line) : l->left;
	l->text += len + (end ? 1 : 0);
	l->left -= len + (end ? 1 : 0);
	if (l->line == 1 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		len -= 3;
	}
	while (len && is_blank(*line)) {
		line++;
		len--;
	}
	while (len && is_blank(line[len - 1]))
		len--;
	if (len && (*line == '#' || *line == ';'))
		len = 0;
	if (memchr(line, '\0', len)) {
		fail(l, -EINVAL, "the line contains a NUL byte");
	} else if (len && *line == '[') {
		fail(l, -EINVAL, "the file has no sections, only key = value lines");
	} else if (num < 2 || len > (size_t)num - 2) {
		fail(l, -EMSGSIZE, "the line is longer than %d bytes", num - 2);
	} else {
		memcpy(str, line, len);
		str[len] = '\n';
		str[len + 1] = '\0';
		return str;
	}
	return NULL;
}

static const struct option *find_option(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].name, key) == 0)
			return &options[i];
	}
	return NULL;
}

/* inih's handler: 0 is an error. */
static int set_key(void *data, const char *section, const char *key, const char *value)
{
	struct loader *l = data;
	const struct option *o = find_option(key);
	bool *seen;
	int r;

	if (l->code)
		return 0;
	if (!o) {
		fail(l, -EINVAL, "unknown key \"%s\"", key);
		return 0;
	}
	seen = &l->seen[o - options];
	if (o->set == set_lxcpath) {
		if (!*seen)
			drop_lxcpaths(l->config);
	} else if (*seen) {
		fail(l, -EINVAL, "%s is given twice", key);
		return 0;
	}
	*seen = true;
	r = o->set(l->config, o, value);
	if (r == -ENOMEM)
		fail(l, r, "out of memory");
	else if (r)
		fail(l, -EINVAL, "%s must be %s, not \"%s\"", key, o->expects, value);
	return !r;
}

int config_parse(
	const char *buf, size_t len, const char *name, struct config **ret, struct error *err)
{
	_cleanup_(config_free) struct config *c = NULL;
	struct loader l = {.name = name, .text = buf, .left = len, .err = err};
	int r = config_new(&c);

	if (r)
		return error_set(err, r, "%s: %s", name, strerror(-r));
	l.config = c;
	r = ini_parse_stream(next_line, &l, set_key, &l);
	if (r > 0 && (!l.code || r < l.error_line))
		return error_set(err, -EINVAL, "%s:%d: expected key = value", name, r);
	if (l.code)
		return l.code;
	if (r)
		return error_set(err, -ENOMEM, "%s: out of memory", name);
	if (c->stale_after_ns && c->stale_after_ns < c->interval_ns)
		return error_set(err, -EINVAL, "%s: stale_after is shorter than interval", name);
	*ret = TAKE_PTR(c);
	return 0;
}

const char *config_path(const char *argument)
{
	const char *variable = getenv("LOADCELL_CONFIG");

	if (argument)
		return argument;
	return variable && *variable ? variable : CONFIG_PATH_DEFAULT;
}

int config_load(const char *path, struct config **ret, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = read_file_alloc(AT_FDCWD, path, CONFIG_SIZE_MAX, &text, &len);

	if (r == -ENOENT && strcmp(path, CONFIG_PATH_DEFAULT) == 0)
		return config_parse("", 0, path, ret, err);
	if (r == -EFBIG)
		return error_set(err, r, "%s: larger than %d bytes", path, CONFIG_SIZE_MAX);
	if (r)
		return error_set(err, r, "cannot read %s: %s", path, strerror(-r));
	return config_parse(text, len, path, ret, err);
}

uint64_t config_stale_after_ns(const struct config *c, uint64_t interval_ns)
{
	uint64_t after;

	if (c->stale_after_ns)
		return c->stale_after_ns;
	if (__builtin_mul_overflow(interval_ns, (uint64_t)STALE_INTERVALS, &after))
		return UINT64_MAX;
	return MAX(after, STALE_LEAST_NS);
}

char *config_run_path(const struct config *c, const char *name)
{
	return format_string("%s/%s", c->run_dir, name);
}

char *config_data_path(const struct config *c, const char *name)
{
	return format_string("%s/%s", c->data_dir, name);
}
