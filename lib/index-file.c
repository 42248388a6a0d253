/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "index-entries.h"

#define INDEX_SCHEMA    1
#define INDEX_FILE_MAX  ((off_t)1 << 30)
#define INDEX_LINES_MAX ((size_t)2 * INDEX_ENTRIES_MAX) /* what a load may take into memory */

static json_t *pack_entry(const struct index_entry *e, const char *lxcpath, const char *name,
	const char *handle, const char *context)
{
	char run[17];

	snprintf(run, sizeof(run), "%" PRIx64, e->run);
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "number",
		(json_int_t)e->number, "lxcpath", lxcpath, "name", name, "handle", handle,
		"context", context, "run", run, "starts", (json_int_t)e->starts, "last_seen",
		(json_int_t)e->last_seen_s);
}

/* A text that is not UTF-8 cannot stand in JSON; then all texts of the line are encoded. */
static json_t *entry_to_json(const struct index_entry *e)
{
	json_t *o = pack_entry(e, e->lxcpath, e->name, e->handle, e->context);
	const char *const text[] = {e->lxcpath, e->name, e->handle, e->context};
	char encoded[4][3 * PATH_MAX + 1];

	if (o)
		return o;
	for (size_t i = 0; i < 4; i++)
		percent_encode(text[i], encoded[i], sizeof(encoded[i]) - 1);
	o = pack_entry(e, encoded[0], encoded[1], encoded[2], encoded[3]);
	if (o && json_object_set_new(o, "percent", json_true())) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* Lines are kept: of ten thousand entries few have changed since the last time. */
static const char *line_of(struct index_item *item)
{
	json_t *o = item->line ? NULL : entry_to_json(&item->e);

	if (o)
		item->line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return item->line;
}

static int write_lines(const struct index *x, FILE *f)
{
	fprintf(f, "{\"loadcell_index\":%d,\"entries\":%zu}\n", INDEX_SCHEMA, x->count);
	for (size_t i = 0; i < x->count; i++) {
		const char *line = line_of(x->all[i]);

		if (!line)
			return -ENOMEM;
		fputs(line, f);
		putc('\n', f);
	}
	return ferror(f) ? -ENOMEM : 0;
}

static int longest_unseen_first(const void *a, const void *b)
{
	const struct index_item *x = *(struct index_item *const *)a,
				*y = *(struct index_item *const *)b;

	if (x->e.last_seen_s != y->e.last_seen_s)
		return x->e.last_seen_s < y->e.last_seen_s ? -1 : 1;
	return x->e.number < y->e.number ? -1 : 1;
}

/* Drops the entries longest unseen, as many as are beyond the cap, but no live one. */
static int drop_oldest(struct index *x, bool (*live)(void *data, uint32_t number), void *data)
{
	const size_t excess = x->count > INDEX_ENTRIES_MAX ? x->count - INDEX_ENTRIES_MAX : 0;
	_cleanup_free_ struct index_item **candidates = NULL;
	size_t n = 0, kept = 0;

	if (!excess)
		return 0;
	candidates = calloc(x->count, sizeof(struct index_item *));
	if (!candidates)
		return -ENOMEM;
	for (size_t i = 0; i < x->count; i++) {
		if (!live || !live(data, x->all[i]->e.number))
			candidates[n++] = x->all[i];
	}
	qsort(candidates, n, sizeof(struct index_item *), longest_unseen_first);
	n = MIN(n, excess);
	for (size_t i = 0; i < n; i++)
		candidates[i]->dropped = true;
	for (size_t i = 0; i < x->count; i++) {
		if (!x->all[i]->dropped)
			x->all[kept++] = x->all[i];
	}
	x->count = kept;
	for (size_t i = 0; i < n; i++)
		index_drop_entry(x, candidates[i]);
	return 0;
}

int index_save(struct index *x, bool (*live)(void *data, uint32_t number), void *data)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f;
	int r;

	if (!x->dirty)
		return 0;
	r = drop_oldest(x, live, data);
	if (r)
		return r;
	f = open_memstream(&text, &len);
	if (!f)
		return -errno;
	r = write_lines(x, f);
	if (fclose(f) == EOF && !r)
		r = -ENOMEM;
	if (!r)
		r = replace_file(x->path, text, len, 0640, true);
	if (r)
		return r;
	x->dirty = false;
	for (size_t i = 0; i < x->count; i++)
		x->all[i]->saved_seen_s = x->all[i]->e.last_seen_s;
	return 0;
}

static int load_entry(struct index *x, json_t *o)
{
	const char *text[3], *context, *run; /* lxcpath, name, handle */
	json_int_t number, starts, last_seen;
	char decoded[3][PATH_MAX];
	struct index_item *e = NULL;
	int percent = 0, r;

	if (json_unpack(o, "{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s?b}", "number", &number,
		    "lxcpath", &text[0], "name", &text[1], "handle", &text[2], "context", &context,
		    "run", &run, "starts", &starts, "last_seen", &last_seen, "percent", &percent))
		return -EINVAL;
	if (number < 1 || number > INDEX_NUMBER_MAX || starts < 0 || last_seen < 0 || !*run ||
		strlen(run) > 16 || run[strspn(run, "0123456789abcdef")] ||
		x->count >= INDEX_LINES_MAX)
		return -EINVAL;
	for (size_t i = 0; percent && i < 3; i++) {
		if (percent_decode(text[i], decoded[i], PATH_MAX))
			return -EINVAL;
		text[i] = decoded[i];
	}
	r = index_make_entry(x, text[0], text[1], (uint32_t)number, !strcmp(text[2], text[1]), &e);
	if (r)
		return r;
	e->e.run = strtoull(run, NULL, 16);
	e->e.starts = (uint64_t)starts;
	e->e.last_seen_s = e->saved_seen_s = (uint64_t)last_seen;
	if (strcmp(e->e.handle, text[2]) == 0)
		return 0;
	x->count--; /* NAME~OTHER: nobody has made such a handle */
	index_drop_entry(x, e);
	return -EINVAL;
}

struct load {
	size_t lines, damaged;
	json_int_t schema, expected;
};

static int load_line(struct index *x, const char *line, size_t len, struct load *l)
{
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	int r;

	if (!l->lines++ && o &&
		json_unpack(o, "{s:I, s:I}", "loadcell_index", &l->schema, "entries",
			&l->expected) == 0) {
		json_decref(o);
		return l->schema == INDEX_SCHEMA ? 0 : -EPROTO;
	}
	r = o ? load_entry(x, o) : -EINVAL;
	json_decref(o);
	if (r && r != -ENOMEM)
		l->damaged++;
	return r == -ENOMEM ? r : 0;
}

static int load_lines(struct index *x, FILE *f, struct load *l)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	while (!r && (len = getline(&line, &size, f)) >= 0)
		r = load_line(x, line, (size_t)len, l);
	if (!r && !feof(f))
		r = -(errno ? errno : EIO);
	return r;
}

/*
 * The damaged file is kept under another name. A link costs no space, so a full disk is no
 * obstacle; index_save() renames a new file over the old name and leaves the link alone.
 */
static int keep_damaged(const struct index *x, const struct load *l, struct error *err)
{
	char stamp[sizeof("20251231T235959Z")];
	_cleanup_free_ char *aside = NULL;
	const time_t now = time(NULL);
	struct tm tm;
	bool kept;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	aside = format_string("%s.damaged-%s", x->path, stamp);
	if (!aside)
		return -ENOMEM;
	kept = link(x->path, aside) == 0 || errno == EEXIST;
	return error_set(err, 1,
		"%s is damaged: %zu of its instances could be read, %zu lines could not; it %s "
		"%s%s%s",
		x->path, x->count, l->damaged, kept ? "was kept as" : "could not be kept as", aside,
		kept ? "" : ": ", kept ? "" : strerror(errno));
}

static int load_file(struct index *x, FILE *f, struct error *err)
{
	struct load l = {.expected = -1};
	struct stat st;
	int r;

	if (fstat(fileno(f), &st) < 0)
		return error_set(err, -errno, "%s: %m", x->path);
	if (!S_ISREG(st.st_mode) || st.st_size > INDEX_FILE_MAX)
		return error_set(
			err, -EFBIG, "%s is no index of instances: too large or no file", x->path);
	r = load_lines(x, f, &l);
	if (r == -EPROTO)
		return error_set(err, r, "%s is of another version (%lld) of loadcell", x->path,
			(long long)l.schema);
	if (r)
		return error_set(err, r, "cannot read %s: %s", x->path, strerror(-r));
	if (!l.damaged && l.expected == (json_int_t)x->count)
		return 0;
	x->dirty = true;
	return keep_damaged(x, &l, err);
}

int index_load(const char *path, struct index **ret, struct error *err)
{
	_cleanup_(index_free) struct index *x = calloc(1, sizeof(*x));
	_cleanup_fclose_ FILE *f = NULL;
	int r = 0;

	if (x)
		x->path = strdup(path);
	if (!x || !x->path)
		return error_set(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	f = fopen(path, "re");
	if (f)
		r = load_file(x, f, err);
	else if (errno != ENOENT)
		r = error_set(err, -errno, "cannot open %s: %m", path);
	if (r >= 0)
		*ret = TAKE_PTR(x);
	return r;
}
