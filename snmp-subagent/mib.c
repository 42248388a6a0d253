/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mib.h"

#include <string.h>

#include "../lib/util.h"

/*
 * Whether name is before (-1), in (0) or after (1) everything that begins with prefix. A name that
 * ends within the prefix is before it.
 */
static int side_of(const subid *name, size_t len, const subid *prefix, size_t prefix_len)
{
	for (size_t i = 0; i < MIN(len, prefix_len); i++)
		if (name[i] != prefix[i])
			return name[i] < prefix[i] ? -1 : 1;
	return len < prefix_len ? -1 : 0;
}

/* The first table that is not wholly before name. */
static size_t table_at(const struct mib_tree *t, const subid *name, size_t len)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (side_of(name, len, t->tables[middle].oid, t->tables[middle].len) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first column with at least this arc. */
static size_t column_at(const struct mib_table *t, subid arc)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->columns[middle].arc < arc)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Below 0: the row's index is before name; 0: it is name; above: after it. */
static int compare(const struct mib_key *key, const struct mib_rows *rows, unsigned int indexes,
	const subid *name, size_t len)
{
	const uint32_t *index = key->index + rows->skip;

	for (size_t i = 0; i < MIN(len, (size_t)indexes); i++)
		if (index[i] != name[i])
			return index[i] < name[i] ? -1 : 1;
	return len == indexes ? 0 : indexes < len ? -1 : 1;
}

/* The first row at (or, with after, behind) name. */
static size_t row_at(const struct mib_rows *rows, unsigned int indexes, const subid *name,
	size_t len, bool after)
{
	size_t low = 0, high = rows->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int side = compare(&rows->keys[middle], rows, indexes, name, len);

		if (side < 0 || (after && side == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool get_cell(const struct mib_table *t, const struct mib_column *c,
	const struct mib_rows *rows, size_t row, const struct mib_place *p, struct mib_answer *ret)
{
	ret->table = t;
	ret->column = c;
	ret->key = &rows->keys[row];
	ret->skip = rows->skip;
	ret->value.bytes = NULL;
	return c->get(p, ret->key, c, &ret->value);
}

enum mib_result mib_get(const struct mib_tree *t, const struct mib_place *p, const subid *name,
	size_t len, struct mib_answer *ret)
{
	const struct mib_table *table;
	struct mib_rows rows;
	size_t i, row;

	if (side_of(name, len, t->root, t->len) != 0)
		return MIB_NO_OBJECT;
	name += t->len;
	len -= t->len;
	i = table_at(t, name, len);
	if (i == t->n || side_of(name, len, t->tables[i].oid, t->tables[i].len) != 0)
		return MIB_NO_OBJECT;
	table = &t->tables[i];
	name += table->len;
	len -= table->len;
	i = len > 0 ? column_at(table, name[0]) : table->n;
	if (i == table->n || table->columns[i].arc != name[0])
		return MIB_NO_OBJECT;
	rows = table->rows(p);
	row = row_at(&rows, table->indexes, name + 1, len - 1, false);
	if (row == rows.n ||
		compare(&rows.keys[row], &rows, table->indexes, name + 1, len - 1) != 0 ||
		!get_cell(table, &table->columns[i], &rows, row, p, ret))
		return MIB_NO_INSTANCE;
	return MIB_FOUND;
}

static bool next_in_table(const struct mib_table *t, const struct mib_place *p, const subid *name,
	size_t len, struct mib_answer *ret)
{
	struct mib_rows rows = t->rows(p);
	size_t column = len > 0 ? column_at(t, name[0]) : 0, row = 0;

	if (column < t->n && len > 0 && t->columns[column].arc == name[0])
		row = row_at(&rows, t->indexes, name + 1, len - 1, true);
	for (; column < t->n; column++, row = 0)
		for (; row < rows.n; row++)
			if (get_cell(t, &t->columns[column], &rows, row, p, ret))
				return true;
	return false;
}

enum mib_result mib_next(const struct mib_tree *t, const struct mib_place *p, const subid *name,
	size_t len, struct mib_answer *ret)
{
	int side = side_of(name, len, t->root, t->len);

	if (side > 0)
		return MIB_END;
	name += side < 0 ? 0 : t->len;
	len = side < 0 ? 0 : len - t->len;
	for (size_t i = table_at(t, name, len); i < t->n; i++) {
		const struct mib_table *table = &t->tables[i];
		size_t skip = side_of(name, len, table->oid, table->len) == 0 ? table->len : len;

		if (next_in_table(table, p, name + skip, len - skip, ret))
			return MIB_FOUND;
	}
	return MIB_END;
}

size_t mib_name(const struct mib_tree *t, const struct mib_answer *a, subid name[MIB_OID_MAX])
{
	subid *end = name;

	memcpy(end, t->root, t->len * sizeof(*end));
	end += t->len;
	memcpy(end, a->table->oid, a->table->len * sizeof(*end));
	end += a->table->len;
	*end++ = a->column->arc;
	for (unsigned int i = 0; i < a->table->indexes; i++)
		*end++ = a->key->index[a->skip + i];
	return (size_t)(end - name);
}

struct mib_rows mib_scalars(const struct mib_place *p)
{
	static const struct mib_key zero = {.index = {0}};

	return (struct mib_rows){&zero, 1, 0};
}

bool mib_number(struct mib_value *ret, uint64_t n)
{
	ret->number = n;
	return true;
}

bool mib_text(struct mib_value *ret, const char *text)
{
	size_t len = text ? strnlen(text, SMI_TEXT_MAX + 1) : 0;

	/* Not within a character of UTF-8. */
	if (len > SMI_TEXT_MAX)
		for (len = SMI_TEXT_MAX; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	ret->bytes = text;
	ret->len = len;
	return len > 0;
}
