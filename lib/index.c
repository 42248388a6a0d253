/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "value.h"

#define INDEX_SCHEMA    1
#define INDEX_FILE_MAX  ((off_t)1 << 30)
#define INDEX_LINES_MAX ((size_t)2 * INDEX_ENTRIES_MAX) /* what a load may take into memory */
#define NUMBER_MAX      UINT32_C(0x7fffffff)
#define CONTEXT_MAX     32   /* octets of an SNMP context, RFC 3415 */
#define SEEN_STEP_S     3600 /* last_seen alone is worth a write after so long */

/* A chained hash table of nodes that lie inside what they find. */
struct node {
	struct node *next;
	uint64_t hash;
};

struct table {
	struct node **buckets;
	size_t size, used; /* size is a power of two */
};

/* All entries of one name; the owner has the plain name as its handle. */
struct name {
	struct node node;
	struct entry *owner;
	size_t entries;
	char text[];
};

struct entry {
	struct index_entry e;
	struct node by_key, by_number;
	struct name *name;
	uint64_t saved_seen_s;
	char own_context[sizeof("~2147483647")];
	char text[]; /* lxcpath NUL, then the handle where it is not the plain name */
};

struct index {
	char *path;
	struct table keys, numbers, names;
	struct entry **all; /* in the order of their making */
	size_t count, size;
	bool dirty;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static int table_grow(struct table *t)
{
	size_t size = t->size ? t->size * 2 : 64;
	struct node **buckets = calloc(size, sizeof(struct node *));

	if (!buckets)
		return t->size ? 0 : -ENOMEM; /* longer chains work as well */
	for (size_t i = 0; i < t->size; i++) {
		for (struct node *n = t->buckets[i], *next; n; n = next) {
			struct node **slot = &buckets[n->hash & (size - 1)];

			next = n->next;
			n->next = *slot;
			*slot = n;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
	return 0;
}

/* Makes sure that table_add() has a bucket to put one more node into. */
static int table_reserve(struct table *t)
{
	return t->used < t->size ? 0 : table_grow(t);
}

static void table_add(struct table *t, struct node *n, uint64_t hash)
{
	struct node **slot = &t->buckets[hash & (t->size - 1)];

	n->hash = hash;
	n->next = *slot;
	*slot = n;
	t->used++;
}

static void table_remove(struct table *t, struct node *n)
{
	struct node **p = &t->buckets[n->hash & (t->size - 1)];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	t->used--;
}

/* The first node with this hash, after `previous` where given. */
static struct node *table_find(const struct table *t, uint64_t hash, struct node *previous)
{
	struct node *n = previous ? previous->next : NULL;

	if (!previous && t->size)
		n = t->buckets[hash & (t->size - 1)];
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

static uint64_t key_hash(const char *lxcpath, const char *name)
{
	uint64_t hash = fnv64(FNV64_START, lxcpath, strlen(lxcpath) + 1);

	return fnv64(hash, name, strlen(name));
}

static uint64_t number_hash(uint32_t number)
{
	return fnv64(FNV64_START, &number, sizeof(number));
}

static struct entry *find_key(const struct index *x, const char *lxcpath, const char *name)
{
	const uint64_t hash = key_hash(lxcpath, name);

	for (struct node *n = NULL; (n = table_find(&x->keys, hash, n));) {
		struct entry *e = container_of(n, struct entry, by_key);

		if (strcmp(e->e.lxcpath, lxcpath) == 0 && strcmp(e->e.name, name) == 0)
			return e;
	}
	return NULL;
}

static struct entry *find_number(const struct index *x, uint32_t number)
{
	const uint64_t hash = number_hash(number);

	for (struct node *n = NULL; (n = table_find(&x->numbers, hash, n));) {
		struct entry *e = container_of(n, struct entry, by_number);

		if (e->e.number == number)
			return e;
	}
	return NULL;
}

static struct name *find_name(const struct index *x, const char *text)
{
	const uint64_t hash = fnv64(FNV64_START, text, strlen(text));

	for (struct node *n = NULL; (n = table_find(&x->names, hash, n));) {
		struct name *name = container_of(n, struct name, node);

		if (strcmp(name->text, text) == 0)
			return name;
	}
	return NULL;
}

static struct name *make_name(struct index *x, const char *text)
{
	size_t len = strlen(text);
	struct name *name = calloc(1, sizeof(*name) + len + 1);

	if (!name)
		return NULL;
	memcpy(name->text, text, len + 1);
	table_add(&x->names, &name->node, fnv64(FNV64_START, text, len));
	return name;
}

static void drop_name(struct index *x, struct name *name)
{
	if (name->entries)
		return;
	table_remove(&x->names, &name->node);
	free(name);
}

/* Room for one more entry everywhere, so that adding it cannot fail half-way. */
static int reserve(struct index *x)
{
	if (table_reserve(&x->keys) || table_reserve(&x->numbers) || table_reserve(&x->names))
		return -ENOMEM;
	if (x->count == x->size) {
		size_t size = x->size ? x->size * 2 : 64;
		struct entry **all = reallocarray(x->all, size, sizeof(struct entry *));

		if (!all)
			return -ENOMEM;
		x->all = all;
		x->size = size;
	}
	return 0;
}

/* Makes an entry whose key and number are known to be free. */
static struct entry *make_entry(
	struct index *x, const char *lxcpath, const char *name_text, uint32_t number, bool plain)
{
	size_t path_len = strlen(lxcpath);
	size_t handle_size = strlen(name_text) + sizeof("~2147483647");
	struct entry *e;
	struct name *name;

	if (reserve(x))
		return NULL;
	e = calloc(1, sizeof(*e) + path_len + 1 + (plain ? 0 : handle_size));
	if (!e)
		return NULL;
	name = find_name(x, name_text);
	if (!name)
		name = make_name(x, name_text);
	if (!name) {
		free(e);
		return NULL;
	}
	name->entries++;
	memcpy(e->text, lxcpath, path_len + 1);
	e->name = name;
	e->e.number = number;
	e->e.lxcpath = e->text;
	e->e.name = name->text;
	e->e.handle = plain ? name->text : e->text + path_len + 1;
	if (plain)
		name->owner = e;
	else
		snprintf(e->e.handle, handle_size, "%s~%" PRIu32, name_text, number);
	snprintf(e->own_context, sizeof(e->own_context), "~%" PRIu32, number);
	e->e.context = strlen(e->e.handle) <= CONTEXT_MAX ? e->e.handle : e->own_context;
	table_add(&x->keys, &e->by_key, key_hash(lxcpath, name_text));
	table_add(&x->numbers, &e->by_number, number_hash(number));
	x->all[x->count++] = e;
	return e;
}

/* Takes an entry out of all tables; the caller takes it out of x->all. */
static void drop_entry(struct index *x, struct entry *e)
{
	table_remove(&x->keys, &e->by_key);
	table_remove(&x->numbers, &e->by_number);
	if (e->name->owner == e)
		e->name->owner = NULL;
	e->name->entries--;
	drop_name(x, e->name);
	free(e);
}

void index_free(struct index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->count; i++)
		drop_entry(x, x->all[i]);
	free(x->all);
	free(x->keys.buckets);
	free(x->numbers.buckets);
	free(x->names.buckets);
	free(x->path);
	free(x);
}

static uint32_t free_number(const struct index *x, const char *lxcpath, const char *name)
{
	uint32_t number = (uint32_t)(key_hash(lxcpath, name) >> 33);

	while (!number || find_number(x, number))
		number = number == NUMBER_MAX ? 1 : number + 1;
	return number;
}

static bool lengths_ok(const char *lxcpath, const char *name)
{
	return *name && strlen(name) <= NAME_MAX && strlen(lxcpath) < PATH_MAX;
}

int index_assign(
	struct index *x, const char *lxcpath, const char *name_text, const struct index_entry **ret)
{
	struct entry *e = find_key(x, lxcpath, name_text);
	const struct name *name;
	bool plain;

	if (e) {
		*ret = &e->e;
		return 0;
	}
	if (!lengths_ok(lxcpath, name_text))
		return -EINVAL;
	name = find_name(x, name_text);
	plain = !strchr(name_text, '~') && !(name && name->owner);
	e = make_entry(x, lxcpath, name_text, free_number(x, lxcpath, name_text), plain);
	if (!e)
		return -ENOMEM;
	e->e.last_seen_s = now_ns(CLOCK_REALTIME) / NSEC_PER_SEC;
	x->dirty = true;
	*ret = &e->e;
	return 0;
}

const struct index_entry *index_find(const struct index *x, const char *lxcpath, const char *name)
{
	struct entry *e = find_key(x, lxcpath, name);

	return e ? &e->e : NULL;
}

const struct index_entry *index_by_number(const struct index *x, uint32_t number)
{
	struct entry *e = find_number(x, number);

	return e ? &e->e : NULL;
}

/* The number after the last '~', or 0. */
static uint32_t handle_number(const char *handle)
{
	const char *tilde = strrchr(handle, '~');
	unsigned long number;
	char *end;

	if (!tilde || tilde[1] < '1' || tilde[1] > '9')
		return 0;
	number = strtoul(tilde + 1, &end, 10);
	return *end || number > NUMBER_MAX ? 0 : (uint32_t)number;
}

const struct index_entry *index_by_handle(
	const struct index *x, const char *handle, size_t *ret_others)
{
	const struct name *name = find_name(x, handle);
	struct entry *e = name ? name->owner : NULL;

	if (!e)
		e = find_number(x, handle_number(handle));
	if (!e || strcmp(e->e.handle, handle) != 0)
		return NULL;
	if (ret_others)
		*ret_others = e->name->entries - 1;
	return &e->e;
}

void index_note_run(struct index *x, uint32_t number, uint64_t run, uint64_t now_s)
{
	struct entry *e = find_number(x, number);

	if (!e)
		return;
	e->e.last_seen_s = now_s;
	if (now_s >= e->saved_seen_s + SEEN_STEP_S)
		x->dirty = true;
	if (!run || run == e->e.run)
		return;
	e->e.run = run;
	e->e.starts++;
	x->dirty = true;
}

bool index_dirty(const struct index *x)
{
	return x->dirty;
}

/* --- the file ---------------------------------------------------------------------------- */

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
		drop_entry(x, x->all[candidates[i].position]);
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
	const struct name *name = find_name(x, name_text);
	const bool plain = strcmp(handle, name_text) == 0;

	if (number < 1 || number > NUMBER_MAX || !lengths_ok(lxcpath, name_text))
		return -EINVAL;
	if (find_key(x, lxcpath, name_text) || find_number(x, (uint32_t)number))
		return -EEXIST;
	if (plain && (strchr(name_text, '~') || (name && name->owner)))
		return -EEXIST;
	if (x->count >= INDEX_LINES_MAX)
		return -E2BIG;
	*ret = make_entry(x, lxcpath, name_text, (uint32_t)number, plain);
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
	drop_entry(x, e);
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

void index_rrd_name(const struct index_entry *e, char *buf, size_t size)
{
	char name[201];

	percent_encode(e->name, name, sizeof(name) - 1);
	snprintf(buf, size, "%s.%" PRIu32 ".rrd", name, e->number);
}

int index_rrd_number(const char *filename, uint32_t *ret)
{
	const size_t len = strlen(filename);
	const char *end = filename + len - strlen(".rrd"), *p;
	uint64_t number = 0;

	if (len < strlen("x.1.rrd") || strcmp(end, ".rrd") != 0)
		return -EINVAL;
	for (p = end; p > filename && p[-1] >= '0' && p[-1] <= '9';)
		p--;
	if (p == end || end - p > 10 || *p == '0' || p <= filename + 1 || p[-1] != '.')
		return -EINVAL;
	for (; p < end; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (number > NUMBER_MAX)
		return -EINVAL;
	*ret = (uint32_t)number;
	return 0;
}
