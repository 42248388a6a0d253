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

/* A text that is not UTF-8 cannot stand in JSON; then all texts of the line are encoded. */
static json_t *text_of(const char *text, bool percent)
{
	char encoded[3 * PATH_MAX + 1];

	if (!percent)
		return json_string(text);
	percent_encode(text, encoded, sizeof(encoded) - 1);
	return json_string(encoded);
}

static bool is_utf8(const char *text)
{
	json_t *j = json_string(text);

	json_decref(j);
	return j != NULL;
}

static json_t *entry_to_json(const struct index_entry *e)
{
	const bool percent = !is_utf8(e->lxcpath) || !is_utf8(e->name);
	char run[17];
	json_t *o;

	snprintf(run, sizeof(run), "%" PRIx64, e->run);
	o = json_pack("{s:I, s:o, s:o, s:o, s:o, s:s, s:I, s:I}", "number", (json_int_t)e->number,
		"lxcpath", text_of(e->lxcpath, percent), "name", text_of(e->name, percent),
		"handle", text_of(e->handle, percent), "context", text_of(e->context, percent),
		"run", run, "starts", (json_int_t)e->starts, "last_seen",
		(json_int_t)e->last_seen_s);
	if (o && percent && json_object_set_new(o, "percent", json_true())) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int write_line(FILE *f, json_t *o)
{
	int r = o ? json_dumpf(o, f, JSON_COMPACT) : -1;

	json_decref(o);
	return r || fputc('\n', f) == EOF ? -ENOMEM : 0;
}

static int write_lines(const struct index *x, FILE *f)
{
	int r = write_line(f, json_pack("{s:i, s:I}", "loadcell_index", INDEX_SCHEMA, "entries",
				      (json_int_t)x->count));

	for (size_t i = 0; !r && i < x->count; i++)
		r = write_line(f, entry_to_json(&x->all[i]->e));
	return r;
}

struct candidate {
	uint64_t last_seen_s;
	size_t position;
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->last_seen_s != y->last_seen_s)
		return x->last_seen_s < y->last_seen_s ? -1 : 1;
	return x->position < y->position ? -1 : 1;
}

/* Drops the entries longest unseen, as many as are beyond the cap, but no live one. */
static int drop_oldest(struct index *x, bool (*live)(void *data, uint32_t number), void *data)
{
	const size_t excess = x->count > INDEX_ENTRIES_MAX ? x->count - INDEX_ENTRIES_MAX : 0;
	_cleanup_free_ struct candidate *candidates = NULL;
	size_t n = 0, kept = 0;

	if (!excess)
		return 0;
	candidates = calloc(x->count, sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	for (size_t i = 0; i < x->count; i++) {
		const struct index_entry *e = &x->all[i]->e;

		if (!live || !live(data, e->number))
			candidates[n++] = (struct candidate){e->last_seen_s, i};
	}
	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < MIN(n, excess); i++) {
		index_drop_entry(x, x->all[candidates[i].position]);
		x->all[candidates[i].position] = NULL;
	}
	for (size_t i = 0; i < x->count; i++) {
		if (x->all[i])
			x->all[kept++] = x->all[i];
	}
	x->count = kept;
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

/* A text of a line into a buffer of PATH_MAX, decoded where the line says so. */
static int take_text(const char *text, bool percent, char *buf)
{
	if (percent)
		return percent_decode(text, buf, PATH_MAX);
	if (strlen(text) >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(buf, text, strlen(text) + 1);
	return 0;
}

/* The numbers of a line are checked here, and that its handle is one that index_assign() makes. */
static int add_loaded(struct index *x, const char *lxcpath, const char *name_text,
	const char *handle, json_int_t number, struct entry **ret)
{
	const struct name *name = index_find_name(x, name_text);
	const bool plain = strcmp(handle, name_text) == 0;

	if (number < 1 || number > INDEX_NUMBER_MAX || !index_lengths_ok(lxcpath, name_text))
		return -EINVAL;
	if (index_find_key(x, lxcpath, name_text) || index_find_number(x, (uint32_t)number))
		return -EEXIST;
	if (plain && (strchr(name_text, '~') || (name && name->owner)))
		return -EEXIST;
	if (x->count >= INDEX_LINES_MAX)
		return -E2BIG;
	*ret = index_make_entry(x, lxcpath, name_text, (uint32_t)number, plain);
	return *ret ? 0 : -ENOMEM;
}

static int load_entry(struct index *x, json_t *o)
{
	const char *lxcpath, *name, *handle, *context, *run;
	char lxcpath_buf[PATH_MAX], name_buf[PATH_MAX], handle_buf[PATH_MAX];
	json_int_t number, starts, last_seen;
	int percent = 0;
	struct entry *e;
	char *end;
	int r;

	if (json_unpack(o, "{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s?b}", "number", &number,
		    "lxcpath", &lxcpath, "name", &name, "handle", &handle, "context", &context,
		    "run", &run, "starts", &starts, "last_seen", &last_seen, "percent", &percent))
		return -EINVAL;
	if (take_text(lxcpath, percent, lxcpath_buf) || take_text(name, percent, name_buf) ||
		take_text(handle, percent, handle_buf) || starts < 0 || last_seen < 0)
		return -EINVAL;
	if (strspn(run, "0123456789abcdef") != strlen(run) || !*run || strlen(run) > 16)
		return -EINVAL;
	r = add_loaded(x, lxcpath_buf, name_buf, handle_buf, number, &e);
	if (r)
		return r;
	e->e.run = strtoull(run, &end, 16);
	e->e.starts = (uint64_t)starts;
	e->e.last_seen_s = e->saved_seen_s = (uint64_t)last_seen;
	if (strcmp(e->e.handle, handle_buf) == 0)
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

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	aside = format_string("%s.damaged-%s", x->path, stamp);
	if (!aside)
		return -ENOMEM;
	if (link(x->path, aside) < 0 && errno != EEXIST)
		return error_set(err, 1,
			"%s is damaged: %zu of its instances could be read, %zu lines could not, "
			"and it could not be kept as %s: %m",
			x->path, x->count, l->damaged, aside);
	return error_set(err, 1,
		"%s is damaged: %zu of its instances could be read, %zu lines could not; it was "
		"kept as %s",
		x->path, x->count, l->damaged, aside);
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
