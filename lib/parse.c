/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include "parse-scan.h"
#include "util.h"

/* The parsers of cgroup files, on the hot path of the sampler. */

#define UNLIMITED_FROM ((UINT64_C(1) << 63) - 65536)
#define KEYS_AT_ONCE   64 /* bits of a mask */
#define CPU_MAX        65535

static void set_all(struct value *ret, size_t n, struct value v)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = v;
}

static struct value scaled(uint64_t number, uint64_t scale)
{
	uint64_t product;

	return __builtin_mul_overflow(number, scale, &product) ? value_absent() : value_of(product);
}

/*
 * Takes "123", "max" or "-1" and what the grammar lets follow: a blank or the end. A number that
 * is none (too large, negative) is of the grammar, but absent.
 */
static bool scan_value(struct span *s, uint64_t scale, struct value *ret)
{
	struct value v = value_absent();
	uint64_t number;
	int r;

	if (span_starts(s, "max")) {
		s->p += 3;
		v = value_unlimited();
	} else {
		bool negative = skip_char(s, '-');

		r = scan_digits(s, &number);
		if (r == -EBADMSG)
			return false;
		if (!r && negative)
			v = number == 1 ? value_unlimited() : value_absent();
		else if (!r)
			v = number >= UNLIMITED_FROM ? value_unlimited() : scaled(number, scale);
	}
	if (s->p < s->end && !is_blank(*s->p))
		return false;
	*ret = v;
	return true;
}

/* One line and nothing behind it; the newline of a single value may be missing. */
static bool only_line(const char *buf, size_t len, struct span *ret)
{
	*ret = span_of(buf, len);
	if (ret->p < ret->end && ret->end[-1] == '\n')
		ret->end--;
	return ret->p < ret->end && !memchr(ret->p, '\n', span_len(ret));
}

int parse_number(const char *buf, size_t len, uint64_t scale, struct value *ret)
{
	struct span line;
	struct value v;

	if (!only_line(buf, len, &line) || !scan_value(&line, scale, &v))
		return -EBADMSG;
	skip_blanks(&line);
	if (line.p != line.end)
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* --- keyed lines --------------------------------------------------------------------------- */

/* Whether any line is of the grammar; the first is, in every text of the kernel. */
static bool any_line(struct span text, bool (*matches)(struct span line))
{
	struct span line;

	while (next_line(&text, &line)) {
		if (matches(line))
			return true;
	}
	return false;
}

static bool is_flat_line(struct span line)
{
	struct span word;
	struct value v;

	if (!next_word(&line, &word))
		return false;
	skip_blanks(&line);
	return scan_value(&line, 1, &v);
}

/* The length decides first: many keys of v1 begin alike ("total_..."), few are equally long. */
static inline bool flat_key_matches(const struct parse_key *key, const struct span *line)
{
	char after;

	if (span_len(line) <= key->len)
		return false;
	after = line->p[key->len];
	return (is_blank(after) || after == ':') && memcmp(line->p, key->key, key->len) == 0;
}

static bool flat_value(const struct parse_key *key, struct span line, struct value *ret)
{
	line.p += key->len;
	skip_char(&line, ':');
	skip_blanks(&line);
	return scan_value(&line, key->scale, ret) && ret->state != VALUE_ABSENT;
}

/*
 * Stops when all keys are found; the first line of a key that has a value counts. Most lines are
 * passed over by their first character: `starting` has a bit for each key that begins like it.
 */
static void scan_flat(struct span text, const struct parse_key *keys, size_t n, struct value *ret)
{
	uint64_t wanted = n == KEYS_AT_ONCE ? UINT64_MAX : (UINT64_C(1) << n) - 1;
	uint64_t starting[32] = {0};
	struct span line;

	for (size_t i = 0; i < n; i++)
		starting[keys[i].key[0] & 31] |= UINT64_C(1) << i;
	while (wanted && next_line(&text, &line)) {
		if (line.p == line.end)
			continue;
		for (uint64_t left = wanted & starting[*line.p & 31]; left; left &= left - 1) {
			size_t i = (size_t)__builtin_ctzll(left);

			if (flat_key_matches(&keys[i], &line) &&
				flat_value(&keys[i], line, &ret[i]))
				wanted &= ~(UINT64_C(1) << i);
		}
	}
}

int parse_flat(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret)
{
	struct span text = span_of(buf, len);

	if (!any_line(text, is_flat_line))
		return -EBADMSG;
	set_all(ret, n, value_absent());
	for (size_t i = 0; i < n; i += KEYS_AT_ONCE)
		scan_flat(text, keys + i, MIN(n - i, (size_t)KEYS_AT_ONCE), ret + i);
	return 0;
}

/* --- sums over devices --------------------------------------------------------------------- */

/*
 * Adds to a sum that starts absent. What cannot be added (no number, or the sum overflows) makes
 * the sum unusable, which VALUE_UNLIMITED marks until finish_sums().
 */
static void add_digits(struct value *sum, struct span digits, uint64_t scale)
{
	struct value v = value_absent();
	uint64_t number, total;

	if (!scan_digits(&digits, &number) && digits.p == digits.end)
		v = scaled(number, scale);
	if (sum->state == VALUE_UNLIMITED || v.state == VALUE_ABSENT ||
		__builtin_add_overflow(sum->number, v.number, &total))
		*sum = value_unlimited();
	else
		*sum = value_of(total);
}

static void finish_sums(struct value *sums, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sums[i].state == VALUE_UNLIMITED)
			sums[i] = value_absent();
}

/* "8:0" */
static bool is_device(struct span word)
{
	uint64_t number;

	return !scan_digits(&word, &number) && skip_char(&word, ':') &&
	       !scan_digits(&word, &number) && word.p == word.end;
}

static bool is_nested_line(struct span line)
{
	struct span word;

	return next_word(&line, &word) && is_device(word);
}

static bool only_devices(struct span text)
{
	struct span word;

	while (next_word(&text, &word)) {
		if (!is_device(word))
			return false;
	}
	return true;
}

/* Splits "key=value"; false where there is no "=". */
static bool split_pair(struct span word, struct span *key, struct span *value)
{
	const char *sign = memchr(word.p, '=', span_len(&word));

	if (!sign)
		return false;
	*key = (struct span){word.p, sign};
	*value = (struct span){sign + 1, word.end};
	return true;
}

/* Adds one figure to the sum of its key; once: unless the key has had one. */
static void add_figure(const struct parse_key *keys, size_t n, struct value *ret,
	const struct span *key, const struct span *figure, bool once)
{
	for (size_t i = 0; i < n; i++) {
		if (span_len(key) == keys[i].len && !memcmp(key->p, keys[i].key, keys[i].len) &&
			!(once && ret[i].state != VALUE_ABSENT))
			add_digits(&ret[i], *figure, keys[i].scale);
	}
}

/* What `split` finds in the lines; false and no output when that is nothing. */
static bool add_lines(struct span text,
	bool (*split)(struct span line, struct span *key, struct span *figure), bool once,
	const struct parse_key *keys, size_t n, struct value *ret)
{
	struct span line, key, figure;
	bool any = false;

	while (next_line(&text, &line)) {
		if (!split(line, &key, &figure))
			continue;
		if (!any)
			set_all(ret, n, value_absent());
		any = true;
		add_figure(keys, n, ret, &key, &figure, once);
	}
	if (any)
		finish_sums(ret, n);
	return any;
}

/*
 * A cgroup that has done no I/O has an empty io.stat, so no figure at all means zero here. Linux
 * 5.15 and 5.16 left the newline out behind a device without figures (fixed by "blk-cgroup: always
 * terminate io.stat lines"): several devices may stand at the start of one line, or at the end of
 * the text. Lines of "(unknown)" devices are skipped: those are the hidden paths of a multipath
 * device, which has a line of its own.
 */
int parse_nested(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret)
{
	struct span text = span_of(buf, len), line, word, key, value;
	bool any_figure = false;

	if (len && !any_line(text, is_nested_line) && !only_devices(text))
		return -EBADMSG;
	set_all(ret, n, value_absent());
	while (next_line(&text, &line)) {
		if (!is_nested_line(line))
			continue;
		while (next_word(&line, &word)) {
			if (!split_pair(word, &key, &value))
				continue;
			any_figure = true;
			add_figure(keys, n, ret, &key, &value, false);
		}
	}
	finish_sums(ret, n);
	if (!any_figure)
		set_all(ret, n, value_of(0));
	return 0;
}

/* "8:0 Read 1": device, key and value. */
static bool split_blkio(struct span line, struct span *key, struct span *value)
{
	struct span device, rest;

	return next_word(&line, &device) && is_device(device) && next_word(&line, key) &&
	       next_word(&line, value) && !next_word(&line, &rest);
}

/* "Total 0" alone: nothing was transferred. */
static bool is_total_line(struct span line)
{
	struct span key, value;

	return next_word(&line, &key) && span_is(&key, "Total") && next_word(&line, &value);
}

int parse_blkio(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret)
{
	struct span text = span_of(buf, len);

	if (add_lines(text, split_blkio, false, keys, n, ret))
		return 0;
	if (!any_line(text, is_total_line))
		return -EBADMSG;
	set_all(ret, n, value_of(0));
	return 0;
}

/* --- pressure ------------------------------------------------------------------------------ */

static bool split_pressure(struct span line, struct span *key, struct span *total)
{
	struct span word, name;

	if (!next_word(&line, key) || (!span_is(key, "some") && !span_is(key, "full")))
		return false;
	while (next_word(&line, &word)) {
		if (split_pair(word, &name, total) && span_is(&name, "total"))
			return true;
	}
	return false;
}

int parse_pressure(
	const char *buf, size_t len, const struct parse_key *keys, size_t n, struct value *ret)
{
	return add_lines(span_of(buf, len), split_pressure, true, keys, n, ret) ? 0 : -EBADMSG;
}

/* --- CPUs ---------------------------------------------------------------------------------- */

int parse_cpu_quota(const char *buf, size_t len, struct value *ret)
{
	unsigned __int128 cores;
	struct value quota;
	struct span line;
	uint64_t period;

	if (!only_line(buf, len, &line) || !scan_value(&line, 1, &quota) ||
		scan_column(&line, &period) || !period)
		return -EBADMSG;
	skip_blanks(&line);
	if (line.p != line.end)
		return -EBADMSG;
	if (value_is_number(quota)) {
		cores = (unsigned __int128)quota.number * NSEC_PER_SEC / period;
		quota = cores > UINT64_MAX ? value_absent() : value_of((uint64_t)cores);
	}
	*ret = quota;
	return 0;
}

/* "3" or "0-3"; ascending, as the kernel prints it, so that no CPU is counted twice. */
static int scan_cpu_range(struct span *s, uint64_t least, uint64_t *ret_last, uint64_t *count)
{
	uint64_t first, last;

	if (scan_digits(s, &first))
		return -EBADMSG;
	last = first;
	if (skip_char(s, '-') && scan_digits(s, &last))
		return -EBADMSG;
	if (first < least || last < first || last > CPU_MAX)
		return -EBADMSG;
	*count += last - first + 1;
	*ret_last = last;
	return 0;
}

int parse_cpu_list(const char *buf, size_t len, struct value *ret)
{
	uint64_t last = 0, count = 0;
	struct span line;

	if (len == 1 && *buf == '\n') { /* an empty list tells nothing */
		*ret = value_absent();
		return 0;
	}
	if (!only_line(buf, len, &line))
		return -EBADMSG;
	do {
		if (scan_cpu_range(&line, count ? last + 1 : 0, &last, &count))
			return -EBADMSG;
	} while (skip_char(&line, ','));
	if (line.p != line.end)
		return -EBADMSG;
	*ret = value_of(count * NSEC_PER_SEC);
	return 0;
}
