/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "measured-tree.h"

/*
 * Every metric against what real kernels showed: the expected values in tests/expected were taken
 * from the files of the fixture trees by hand and awk, never from loadcell. A line is
 *
 *	SUBJECT METRIC VALUE
 *
 * in base units. SUBJECT: an instance (percent-encoded; "*" is each of them), INSTANCE/INTERFACE,
 * or "host". VALUE: a number, a limit's number and the cgroup that holds it, "unlimited", or
 * "absent" and the reason. '#' begins a comment.
 */
static const struct expected_tree {
	const char *name;
	int version;
	size_t instances;
} trees[] = {
	{"v1-6.18", 1, 4},
	{"v1-debian12-6.1", 1, 4},
	{"hybrid-debian12-6.1", 1, 4},
	{"v2-debian12-6.1", 2, 4},
	{"v2-debian13-6.12", 2, 9},
};

#define V1_FILES                                                                                   \
	"tests/expected/v1-6.18.txt, v1-debian12-6.1.txt or hybrid-debian12-6.1.txt (a v1 kernel)"
#define V2_FILES "tests/expected/v2-debian12-6.1.txt or v2-debian13-6.12.txt (a v2 kernel)"

struct line {
	const char *file;
	unsigned int number;
	char *subject, *interface, *value; /* interface may be NULL */
	const char *rest;
	const struct metric *metric;
};

struct lines {
	char *text, *file;
	struct line line[1024];
	size_t n;
};

/* --- the files ------------------------------------------------------------------------------ */

static void read_line(struct lines *to, char *text, unsigned int number)
{
	struct line *l = &to->line[to->n];
	char *metric;

	if (!*text || *text == '#')
		return;
	assert_true(to->n < ARRAY_SIZE(to->line));
	*l = (struct line){.file = to->file, .number = number, .subject = strsep(&text, " ")};
	metric = strsep(&text, " ");
	l->value = strsep(&text, " ");
	l->rest = text ? text : "";
	l->metric = metric ? metric_by_name(metric) : NULL;
	if (!l->metric || !l->value)
		fail_msg("%s:%u: not \"SUBJECT METRIC VALUE\" with a metric of the table", to->file,
			number);
	if (strcmp(l->value, "absent") == 0 && !*l->rest)
		fail_msg("%s:%u: \"absent\" needs a reason", to->file, number);
	l->interface = strchr(l->subject, '/');
	if (l->interface)
		*l->interface++ = '\0';
	assert_int_equal(percent_decode(l->subject, l->subject, strlen(l->subject) + 1), 0);
	to->n++;
}

static struct lines *read_lines(const char *tree)
{
	struct lines *l = calloc(1, sizeof(*l));
	unsigned int number = 0;
	size_t len;
	char *rest;

	assert_non_null(l);
	l->file = format_string("tests/expected/%s.txt", tree);
	if (read_file_alloc(AT_FDCWD, l->file, 1 << 20, &l->text, &len) < 0)
		fail_msg("%s cannot be read", l->file);
	rest = l->text;
	while (rest)
		read_line(l, strsep(&rest, "\n"), ++number);
	return l;
}

static void lines_free(struct lines *l)
{
	free(l->text);
	free(l->file);
	free(l);
}
DEFINE_CLEANUP(struct lines *, lines_free)

/* A decimal number in base units as the inner integer; false when it is none. */
static bool inner_number(const char *text, enum metric_unit unit, uint64_t *ret)
{
	uint64_t divisor = unit_divisor(unit), part = divisor;
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10) * divisor;
	if (end == text || errno)
		return false;
	if (*end == '.' && divisor > 1) {
		while (*++end >= '0' && *end <= '9' && part > 1) {
			part /= 10;
			*ret += (uint64_t)(*end - '0') * part;
		}
	}
	return !*end;
}

static bool value_from_text(const char *text, enum metric_unit unit, struct value *ret)
{
	uint64_t number;

	*ret = value_absent();
	if (strcmp(text, "absent") == 0)
		return true;
	if (strcmp(text, "unlimited") == 0) {
		*ret = value_unlimited();
		return true;
	}
	if (!inner_number(text, unit, &number))
		return false;
	*ret = value_of(number);
	return true;
}

static void numbers_of_lines(void **state)
{
	struct value v;

	assert_true(value_from_text("0.068004158", UNIT_SECONDS, &v));
	assert_true(v.state == VALUE_PRESENT && v.number == 68004158);
	assert_true(value_from_text("12.5", UNIT_RATIO, &v) && v.number == 12500000000);
	assert_true(value_from_text("7", UNIT_CORES, &v) && v.number == 7000000000);
	assert_true(value_from_text("4096", UNIT_BYTES, &v) && v.number == 4096);
	assert_true(value_from_text("unlimited", UNIT_BYTES, &v) && v.state == VALUE_UNLIMITED);
	assert_true(value_from_text("absent", UNIT_BYTES, &v) && v.state == VALUE_ABSENT);
	assert_false(value_from_text("4096.5", UNIT_BYTES, &v));
	assert_false(value_from_text("0.0680041581", UNIT_SECONDS, &v));
	assert_false(value_from_text("4 KiB", UNIT_BYTES, &v));
	assert_false(value_from_text("", UNIT_BYTES, &v));
}

/* --- a tree against its file ---------------------------------------------------------------- */

static void show(struct value v, char *text, size_t size)
{
	snprintf(text, size, "%llu inside", (unsigned long long)v.number);
	if (!value_is_number(v))
		snprintf(text, size, "%s", v.state == VALUE_ABSENT ? "absent" : "unlimited");
}

/* Whether a value and the cgroup that holds the limit (NULL: none) are those of the line. */
static bool line_holds(
	const struct tree *t, const struct line *l, struct value got, const char *holder)
{
	const struct metric_source *source = plan_source(l->metric, t->h);
	struct value expected;
	char text[32];

	if (!value_from_text(l->value, l->metric->unit, &expected))
		fail_msg("%s:%u: \"%s\" is no value", l->file, l->number, l->value);
	if (expected.state == VALUE_ABSENT)
		holder = l->rest;
	if (got.state == expected.state && got.number == expected.number &&
		strcmp(holder ? holder : "", l->rest) == 0)
		return true;
	show(got, text, sizeof(text));
	print_error("%s:%u: %s %s is %s%s%s, not %s %s; its source is %s %s\n", l->file, l->number,
		l->subject, l->metric->name, text, holder ? " in " : "", holder ? holder : "",
		l->value, l->rest, source->file ? source->file : source->note,
		source->key ? source->key : "");
	return false;
}

static struct value interface_value(const struct instance *in, const char *name, int column)
{
	for (size_t i = 0; i < in->n_interfaces; i++) {
		if (strcmp(in->interfaces[i].name, name) == 0)
			return in->interfaces[i].values[column];
	}
	fail_msg("%s has no interface %s", in->id->name, name);
	return value_absent();
}

static bool check_instance(const struct tree *t, const struct instance *in, const struct line *l)
{
	size_t slot = metric_slot(l->metric->id);

	if (l->metric->scope == SCOPE_INTERFACE) {
		if (!l->interface)
			fail_msg("%s:%u: names no interface", l->file, l->number);
		return line_holds(
			t, l, interface_value(in, l->interface, t->s.interface_column[slot]), NULL);
	}
	return line_holds(t, l, in->now[slot], limit_holder(t, in, l->metric->id));
}

/* Returns how many values differ. */
static int check_line(const struct tree *t, const struct line *l)
{
	int wrong = 0;

	if (strcmp(l->subject, "host") == 0) {
		assert_int_equal(l->metric->scope, SCOPE_HOST);
		return !line_holds(t, l, t->s.host.now[metric_slot(l->metric->id)], NULL);
	}
	assert_int_not_equal(l->metric->scope, SCOPE_HOST);
	if (strcmp(l->subject, "*") == 0) {
		for (size_t i = 0; i < t->s.n_instances; i++)
			wrong += !check_instance(t, t->instances[i], l);
		return wrong;
	}
	if (!tree_instance(t, l->subject))
		fail_msg("%s:%u: there is no instance %s", l->file, l->number, l->subject);
	return !check_instance(t, tree_instance(t, l->subject), l);
}

/* Rates have no value in the first cycle; idle time is what the clock says from the second on. */
static bool is_rate(const struct line *l)
{
	return l->metric->id == METRIC_CPU_USED_CORES || l->metric->id == METRIC_CPU_USED_RATIO ||
	       l->metric->id == METRIC_HOST_CPU_USED_CORES;
}

static void check_tree(struct tree *t, size_t descriptors_max)
{
	const struct expected_tree *expected = t->given;
	_cleanup_(lines_free) struct lines *l = read_lines(expected->name);
	const struct metric *m;
	int wrong = 0;

	tree_open(t, expected->name, false);
	tree_find(t, descriptors_max);
	for_each_metric (SCOPE_INTERFACE, slot, m)
		t->s.interface_column[slot] = netdev_column_by_name(plan_source(m, t->h)->key);
	tree_cycle(t);
	for (size_t i = 0; i < l->n; i++)
		wrong += is_rate(&l->line[i]) ? 0 : check_line(t, &l->line[i]);
	tree_cycle(t);
	for (size_t i = 0; i < l->n; i++)
		wrong += l->line[i].metric->id == METRIC_CPU_IDLE ? 0 : check_line(t, &l->line[i]);
	assert_int_equal(t->s.n_instances, expected->instances);
	assert_int_equal(t->s.measure.read_errors, 0);
	assert_int_equal(levels_read_errors(t->s.measure.levels), 0);
	assert_int_equal(wrong, 0);
}

static void values(void **state)
{
	check_tree(*state, 10000);
}

/* Without descriptors to keep, every file is opened for each read: the same values. */
static void values_without_descriptors(void **state)
{
	check_tree(*state, 0);
}

/* --- every row has expected values ---------------------------------------------------------- */

/* The sentence about what a row lacks, or NULL. seen: values in a v1 tree, in a v2 tree. */
static char *what_is_missing(const struct metric *m, const bool seen[2])
{
	const struct metric_source *sources[] = {&m->v1, &m->v2};
	static const char *const files[] = {V1_FILES, V2_FILES};

	for (size_t i = 0; i < 2; i++) {
		const struct metric_source *s = sources[i];

		if (s->type == SOURCE_NONE && !(s->note && *s->note))
			return format_string("%s has no source under v%zu and no reason: give "
					     "NO_SOURCE one in lib/metrics-*.c",
				m->name, i + 1);
		/* What the collector fills in has no file of its own. */
		if (s->type == SOURCE_NONE || (s->type == SOURCE_DERIVED && !s->derive) || seen[i])
			continue;
		return format_string("%s has no expected value from a v%zu kernel: add a line "
				     "\"%s %s VALUE\" to %s",
			m->name, i + 1,
			m->scope == SCOPE_HOST        ? "host"
			: m->scope == SCOPE_INTERFACE ? "web01/eth0"
						      : "web01",
			m->name, files[i]);
	}
	return NULL;
}

static void every_row_has_lines(void **state)
{
	bool seen[METRIC_ID_END][2] = {0};
	const struct metric *m;
	int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		_cleanup_(lines_free) struct lines *l = read_lines(trees[i].name);

		for (size_t k = 0; k < l->n; k++) {
			if (strcmp(l->line[k].value, "absent") != 0)
				seen[l->line[k].metric->id][trees[i].version - 1] = true;
		}
	}
	for (enum metric_scope scope = 0; scope < SCOPE_COUNT; scope++) {
		for_each_metric (scope, slot, m) {
			_cleanup_free_ char *sentence = what_is_missing(m, seen[m->id]);

			if (!sentence)
				continue;
			print_error("%s\n", sentence);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* The rule itself: what a new row without lines is told. */
static void rows_without_lines(void **state)
{
	static const bool neither[2], v1[2] = {true, false}, both[2] = {true, true};
	struct metric m = {
		.name = "memory_new_bytes",
		.v1 = {.type = SOURCE_FILE, .file = "memory.new"},
		.v2 = {.type = SOURCE_FILE, .file = "memory.new"},
	};
	_cleanup_free_ char *none = what_is_missing(&m, neither), *no_v2 = what_is_missing(&m, v1);
	_cleanup_free_ char *reason = NULL;

	assert_string_equal(none, "memory_new_bytes has no expected value from a v1 kernel: add a "
				  "line \"web01 memory_new_bytes VALUE\" to " V1_FILES);
	assert_string_equal(no_v2, "memory_new_bytes has no expected value from a v2 kernel: add a "
				   "line \"web01 memory_new_bytes VALUE\" to " V2_FILES);
	assert_null(what_is_missing(&m, both));
	m.v2 = (struct metric_source){.type = SOURCE_NONE};
	reason = what_is_missing(&m, v1);
	assert_non_null(reason);
	m.v2.note = "no kernel counts it";
	assert_null(what_is_missing(&m, v1));
	m.v1 = m.v2 = (struct metric_source){.type = SOURCE_DERIVED, .note = "counted"};
	assert_null(what_is_missing(&m, neither));
}

#define FOR_TREE(test, i)                                                                          \
	{                                                                                          \
#test " " #i, test, tree_setup, tree_teardown, (void *)&trees[i]                   \
	}
#define FOR_ALL(test)                                                                              \
	FOR_TREE(test, 0), FOR_TREE(test, 1), FOR_TREE(test, 2), FOR_TREE(test, 3),                \
		FOR_TREE(test, 4)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_lines),
		FOR_ALL(values),
		FOR_ALL(values_without_descriptors),
		cmocka_unit_test(every_row_has_lines),
		cmocka_unit_test(rows_without_lines),
	};

	return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
