/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <ini.h>

#include "glob.h"
#include "value.h"

#define CONFIG_SIZE_MAX 65536
#define LINE_LEN_MAX    198 /* what inih's buffer holds */
#define CONTROL_SOCKET  "/control.sock"
#define RUN_DIR_MAX     (sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof(CONTROL_SOCKET))
#define PATH_LEN_MAX    1024
#define KIND_LEN_MAX    15
#define OID_SUBIDS_MAX  100 /* of 128, which leaves room for table, column and index */
#define SECONDS(n)      ((n)*NSEC_PER_SEC)
#define DAYS(n)         SECONDS((n)*UINT64_C(86400))
#define KIB(n)          ((n)*UINT64_C(1024))
#define PERCENT(n)      ((n)*UINT64_C(10000000))
#define STALE_LEAST_NS  SECONDS(15)
#define STALE_INTERVALS 3

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

static int parse_scaled(const char *text, const struct unit *unit, size_t n, uint64_t *ret)
{
	uint64_t number;
	int r = scan_number(&text, &number);

	if (r)
		return r;
	text += strspn(text, " ");
	for (; n; n--, unit++) {
		if (strcmp(text, unit->name) != 0)
			continue;
		if (__builtin_mul_overflow(number, unit->scale, &number))
			return -ERANGE;
		*ret = number;
		return 0;
	}
	return -EINVAL;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {{"ms", SECONDS(1) / 1000}, {"s", SECONDS(1)},
		{"m", SECONDS(60)}, {"h", SECONDS(3600)}, {"d", DAYS(1)}, {"y", DAYS(365)}};

	return parse_scaled(text, units, ARRAY_SIZE(units), ret_ns);
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {{"B", 1}, {"K", KIB(1)}, {"M", KIB(1) << 10},
		{"G", KIB(1) << 20}, {"T", KIB(1) << 30}};

	return parse_scaled(text, units, ARRAY_SIZE(units), ret_bytes);
}

static int parse_count(const char *text, uint64_t *ret)
{
	return parse_scaled(text, &(struct unit){"", 1}, 1, ret);
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
	if (strcmp(text + strspn(text, " "), "%") != 0)
		return -EINVAL;
	*ret_billionths = result;
	return 0;
}

/* "keep" is the word for 0. */
static int parse_destroyed(const char *text, uint64_t *ret)
{
	*ret = 1;
	return strcmp(text, "forget") == 0 ? 0 : -EINVAL;
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

/* Net-SNMP's transports as far as an AgentX master listens on them. */
static bool is_agentx(const char *value)
{
	return *value == '/' || (strncmp(value, "tcp:", 4) == 0 && is_host_port(value + 4));
}

static bool is_path(const char *value)
{
	return *value == '/';
}

/* A Unix socket, or an address of this host alone: what is served knows no passwords. */
static bool is_listen(const char *value)
{
	static const char *const local[] = {"127.", "localhost:", "[::1]:"};

	if (*value == '/')
		return strlen(value) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if (strncmp(value, local[i], strlen(local[i])) == 0)
			return is_host_port(value);
	return false;
}

/* "KIND GLOB". The kind lxc is built in: its instances are asked for through liblxc. */
static bool is_pattern(const char *value)
{
	size_t kind = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-_");
	struct glob glob;

	if (!kind || kind > KIND_LEN_MAX || value[kind] != ' ' || strncmp(value, "lxc ", 4) == 0)
		return false;
	if (glob_compile(value + kind + strspn(value + kind, " "), &glob) < 0)
		return false;
	regfree(&glob.regex);
	return true;
}

/* "ID off" or "ID WARNING CRITICAL", 0 for none; loadcell check knows the ids. */
static bool is_check(const char *value)
{
	const char *p = value + strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-");
	uint64_t warning, critical;

	if (p == value || *p++ != ' ')
		return false;
	if (strcmp(p, "off") == 0)
		return true;
	if (scan_number(&p, &warning) || *p++ != ' ' || scan_number(&p, &critical) || *p)
		return false;
	return !critical || warning <= critical;
}

/* Sub-identifiers are 32 bits; X.660 allows 0 to 2 as the first, then 0 to 39 below 0 and 1. */
bool config_is_arc(const char *value)
{
	uint64_t subid, first = 0;
	size_t n = 0;

	do {
		if (scan_number(&value, &subid) || subid > UINT32_MAX || ++n > OID_SUBIDS_MAX)
			return false;
		if (n == 1)
			first = subid;
		if (first > 2 || (n == 2 && first < 2 && subid > 39))
			return false;
	} while (*value++ == '.');
	return !value[-1] && n >= 2;
}

/* --- the table ----------------------------------------------------------------------------- */

struct option {
	const char *name;
	size_t field; /* offset in struct config */
	/* A number has a parser for its unit, a text a check; max is the longest path's length. */
	int (*number)(const char *text, uint64_t *ret);
	bool (*text)(const char *value);
	uint64_t min, max;
	const char *word; /* that stands for 0 */
	const char *initial;
	const char *expects;
};

#define FIELD(f)              offsetof(struct config, f)
#define NUMBER(name, f, unit) name, FIELD(f), parse_##unit, NULL
#define STRING(f, check, max) #f, FIELD(f), NULL, check, 0, max, NULL

/* clang-format off */
static const struct option options[] = {
	{NUMBER("interval", interval_ns, duration), SECONDS(1), SECONDS(3600), NULL,
		"10s", "a duration from 1s to 1h"},
	{STRING(run_dir, is_path, RUN_DIR_MAX),
		"/run/loadcell", "an absolute path short enough for a socket in it (94 bytes)"},
	{STRING(data_dir, is_path, PATH_LEN_MAX),
		"/var/lib/loadcell", "an absolute path"},
	{STRING(cgroup_root, is_path, PATH_LEN_MAX),
		"/sys/fs/cgroup", "an absolute path"},
	{STRING(proc_root, is_path, PATH_LEN_MAX),
		"/proc", "an absolute path"},
	{STRING(lxcpath, is_path, PATH_LEN_MAX),
		NULL, "an absolute path, each once, 64 at most"},
	{STRING(pattern, is_pattern, 0),
		NULL, "KIND /PATH/{name}, each once, 32 at most: a kind other than lxc, up to 15 of "
		"[a-z0-9_-], and a glob of up to 7 components with one {name}"},
	{NUMBER("flush", flush_ns, duration), SECONDS(1), SECONDS(3600), NULL,
		"60s", "a duration from 1s to 1h"},
	{NUMBER("keep", keep_ns, duration), 0, DAYS(3650), NULL,
		"1d", "a duration up to 3650d"},
	{NUMBER("archive", archive_ns, duration), 0, DAYS(3650), NULL,
		"2y", "a duration up to 10y"},
	{NUMBER("destroyed", forget_destroyed, destroyed), 0, 1, "keep",
		"keep", "\"keep\" or \"forget\""},
	{NUMBER("data_max", data_max, size), KIB(1024), UINT64_MAX, NULL,
		"10 %", "a size of at least 1M or a percentage of the file system up to 100 %"},
	{NUMBER("ledger", ledger_ns, duration), DAYS(1), DAYS(3650), NULL,
		"2y", "a duration from 1d to 10y"},
	{NUMBER("events", events_ns, duration), DAYS(1), DAYS(3650), NULL,
		"90d", "a duration from 1d to 10y"},
	{NUMBER("recent", recent_bytes, size), KIB(64), KIB(4) << 20, NULL,
		"16M", "a size from 64K to 4G"},
	{NUMBER("disk_walk", disk_walk_ns, duration), SECONDS(1), DAYS(30), "off",
		"15m", "\"off\" or a duration from 1s to 30d"},
	{NUMBER("disk_walk_share", disk_walk_share, percent), 1, PERCENT(100), NULL,
		"1 %", "a percentage above 0 up to 100 %"},
	{NUMBER("stale_after", stale_after_ns, duration), SECONDS(1), DAYS(1), "auto",
		"auto", "\"auto\" or a duration from 1s to 1d"},
	{NUMBER("reconcile", reconcile_ns, duration), SECONDS(1), SECONDS(3600), NULL,
		"10s", "a duration from 1s to 1h"},
	{NUMBER("instances_max", instances_max, count), 1, 100000, NULL,
		"5000", "a number from 1 to 100000"},
	{STRING(agentx, is_agentx, PATH_LEN_MAX),
		"/var/agentx/master", "an absolute path or tcp:HOST:PORT"},
	{STRING(snmp_arc, config_is_arc, 0),
		"1.3.6.1.4.1.8072.9999.9999", "a numeric object identifier"},
	{STRING(snmp_state_dir, is_path, PATH_LEN_MAX),
		"/var/lib/loadcell-snmp", "an absolute path"},
	{NUMBER("snmp_contexts", snmp_contexts, count), 0, 100000, NULL,
		"1000", "a number from 0 to 100000"},
	{STRING(listen, is_listen, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1),
		"127.0.0.1:9818", "127.0.0.1:PORT, [::1]:PORT, localhost:PORT or the path of a "
		"Unix socket"},
	{STRING(check, is_check, 0),
		NULL, "ID off, or ID WARNING CRITICAL (whole numbers, 0 for none), each once, 64 at "
		"most"},
};
/* clang-format on */

static int set_number(struct config *c, const struct option *o, const char *value)
{
	uint64_t n = 0;

	if (!o->word || strcmp(value, o->word) != 0) {
		int r = o->number(value, &n);

		if (r || n < o->min || n > o->max)
			return r ? r : -ERANGE;
	}
	*(uint64_t *)((char *)c + o->field) = n;
	return 0;
}

/* Paths are compared as strings (lxcpath), so each has one spelling: no double or last slash. */
static int normalise_path(const char *value, size_t max, char **ret)
{
	char *path = strdup(value);
	size_t len = 0;

	if (!path)
		return -ENOMEM;
	for (const char *p = path; *p; p++) {
		if (*p != '/' || !len || path[len - 1] != '/')
			path[len++] = *p;
	}
	if (len > 1 && path[len - 1] == '/')
		len--;
	path[len] = '\0';
	*ret = path;
	if (len <= max)
		return 0;
	free(path);
	return -ENAMETOOLONG;
}

/* The keys that may be given again and again. */
struct list {
	char **item;
	size_t *n, max;
};

static bool list_of(struct config *c, const struct option *o, struct list *ret)
{
	if (o->field == FIELD(lxcpath))
		*ret = (struct list){c->lxcpath, &c->lxcpaths, CONFIG_LXCPATH_MAX};
	else if (o->field == FIELD(pattern))
		*ret = (struct list){c->pattern, &c->patterns, CONFIG_PATTERNS_MAX};
	else if (o->field == FIELD(check))
		*ret = (struct list){c->check, &c->checks, CONFIG_CHECKS_MAX};
	else
		return false;
	return true;
}

static int list_add(const struct list *l, char *text)
{
	int r = *l->n == l->max ? -ENOSPC : 0;

	for (size_t i = 0; i < *l->n; i++) {
		if (strcmp(l->item[i], text) == 0)
			r = -EEXIST;
	}
	if (r)
		free(text);
	else
		l->item[(*l->n)++] = text;
	return r;
}

static void list_drop(const struct list *l)
{
	while (*l->n)
		free(l->item[--*l->n]);
}

static int set_text(struct config *c, const struct option *o, const char *value)
{
	char **field = (char **)((char *)c + o->field);
	struct list list;
	char *copy;
	int r;

	if (!o->text(value))
		return -EINVAL;
	r = normalise_path(value, *value == '/' ? o->max : SIZE_MAX, &copy);
	if (r)
		return r;
	if (list_of(c, o, &list))
		return list_add(&list, copy);
	free(*field);
	*field = copy;
	return 0;
}

/* Returns a negative errno when value is not what the option expects. */
static int set_option(struct config *c, const struct option *o, const char *value)
{
	uint64_t ratio;

	if (o->field == FIELD(data_max) && parse_percent(value, &ratio) == 0) {
		if (!ratio || ratio > PERCENT(100))
			return -ERANGE;
		c->data_max = 0;
		c->data_max_ratio = ratio;
		return 0;
	}
	return o->number ? set_number(c, o, value) : set_text(c, o, value);
}

void config_free(struct config *c)
{
	struct list list;

	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (list_of(c, &options[i], &list))
			list_drop(&list);
		else if (options[i].text)
			free(*(char **)((char *)c + options[i].field));
	}
	free(c);
}

static int config_new(struct config **ret)
{
	_cleanup_(config_free) struct config *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	for (const struct option *o = options; o < options + ARRAY_SIZE(options) && !r; o++) {
		if (o->initial)
			r = set_option(c, o, o->initial);
		if (o->field != FIELD(lxcpath))
			continue;
		r = set_option(c, o, "/var/lib/lxc");
		r = r ? r : set_option(c, o, "/var/lib/incus/containers");
	}
	if (!r)
		*ret = TAKE_PTR(c);
	return r;
}

/* --- reading ------------------------------------------------------------------------------- */

struct loader {
	struct config *config;
	bool seen[ARRAY_SIZE(options)];
	int code; /* of the error in this line */
	struct error what;
};

static int fail(struct loader *l, int code, const char *format, ...) _printf_(3, 4);
static int fail(struct loader *l, int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(l->what.text, sizeof(l->what.text), format, ap);
	va_end(ap);
	l->code = code;
	return code;
}

/* inih's handler: 0 is an error. */
static int set_key(void *data, const char *section, const char *key, const char *value)
{
	struct loader *l = data;
	const struct option *o = options;
	struct list list;
	bool again, is_list;
	int r;

	while (o < options + ARRAY_SIZE(options) && strcmp(o->name, key) != 0)
		o++;
	if (o == options + ARRAY_SIZE(options))
		return !fail(l, -EINVAL, "unknown key \"%s\"", key);
	again = l->seen[o - options];
	l->seen[o - options] = true;
	is_list = list_of(l->config, o, &list);
	if (is_list && !again)
		list_drop(&list);
	else if (!is_list && again)
		return !fail(l, -EINVAL, "%s is given twice", key);
	r = set_option(l->config, o, value);
	if (r == -ENOMEM)
		fail(l, r, "out of memory");
	else if (r)
		fail(l, -EINVAL, "%s must be %s, not \"%s\"", key, o->expects, value);
	return !r;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* inih gets single lines that fit: it would cut longer ones and glue on those that begin blank. */
static int parse_line(struct loader *l, const char *line, size_t len)
{
	char text[LINE_LEN_MAX + 1];

	for (; len && is_blank(*line); len--)
		line++;
	while (len && is_blank(line[len - 1]))
		len--;
	if (!len || *line == '#' || *line == ';')
		return 0;
	if (memchr(line, '\0', len))
		return fail(l, -EINVAL, "the line contains a NUL byte");
	if (*line == '[')
		return fail(l, -EINVAL, "the file has no sections, only key = value lines");
	if (len > LINE_LEN_MAX)
		return fail(l, -EMSGSIZE, "the line is longer than %d bytes", LINE_LEN_MAX);
	memcpy(text, line, len);
	text[len] = '\0';
	if (ini_parse_string(text, set_key, l) && !l->code)
		fail(l, -EINVAL, "expected key = value");
	return l->code;
}

int config_parse(
	const char *buf, size_t len, const char *name, struct config **ret, struct error *err)
{
	static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark */
	_cleanup_(config_free) struct config *c = NULL;
	struct loader l = {0};
	const char *end = buf + len, *next;
	int line = 0;
	int r = config_new(&c);

	if (r)
		return error_set(err, r, "%s: %s", name, strerror(-r));
	l.config = c;
	if (len >= strlen(mark) && memcmp(buf, mark, strlen(mark)) == 0)
		buf += strlen(mark);
	for (; buf < end && !r; buf = next + 1) {
		next = memchr(buf, '\n', (size_t)(end - buf));
		next = next ? next : end;
		line++;
		r = parse_line(&l, buf, (size_t)(next - buf));
	}
	if (r)
		return error_set(err, r, "%s:%d: %s", name, line, l.what.text);
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
