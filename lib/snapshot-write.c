/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "checksum.h"
#include "snapshot-layout.h"

struct buffer {
	unsigned char *data;
	size_t len, size;
};

struct snapshot_builder {
	struct buffer records[SCOPE_COUNT];
	struct buffer strings;
	/* The texts of the scope's last row, by offset: rows mostly repeat lxcpath, kind, state. */
	uint32_t last_text[SCOPE_COUNT][TEXT_COUNT];
	uint32_t rows[SCOPE_COUNT];
	struct buffer head; /* header and directories */
	uint64_t boot;
};

/* Room for len more bytes, and for the padding of snapshot_align() after them. */
static int buffer_reserve(struct buffer *b, size_t len)
{
	size_t size = b->size ? b->size : 4096;
	unsigned char *data;

	if (len > SNAPSHOT_SIZE_MAX || b->len + len > SNAPSHOT_SIZE_MAX)
		return -ENOMEM;
	if (b->len + len + SNAPSHOT_ALIGN <= b->size)
		return 0;
	while (size < b->len + len + SNAPSHOT_ALIGN)
		size *= 2;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

/* The length including zeroed padding. */
static size_t buffer_pad(struct buffer *b)
{
	size_t padded = snapshot_align(b->len, SNAPSHOT_ALIGN);

	if (padded > b->len)
		memset(b->data + b->len, 0, padded - b->len);
	return padded;
}

uint64_t snapshot_boot(void)
{
	char id[64];
	ssize_t len = read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id, sizeof(id));

	return len > 0 ? fnv64(FNV64_START, id, (size_t)len) : 0;
}

struct snapshot_builder *snapshot_builder_new(void)
{
	struct snapshot_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->boot = snapshot_boot();
	if (buffer_reserve(&b->strings, 1)) {
		free(b);
		return NULL;
	}
	snapshot_builder_reset(b);
	return b;
}

void snapshot_builder_free(struct snapshot_builder *b)
{
	if (!b)
		return;
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++)
		free(b->records[scope].data);
	free(b->strings.data);
	free(b->head.data);
	free(b);
}

void snapshot_builder_reset(struct snapshot_builder *b)
{
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		b->records[scope].len = 0;
		b->rows[scope] = 0;
	}
	memset(b->last_text, 0, sizeof(b->last_text));
	b->strings.data[0] = '\0'; /* the empty text */
	b->strings.len = 1;
}

/* Puts a text into the string area, or finds it where the last row or the same row's name is. */
static int add_text(
	struct snapshot_builder *b, const char *text, uint32_t last, uint32_t name, uint32_t *ret)
{
	const size_t size = text ? strlen(text) + 1 : 1;
	const char *area = (const char *)b->strings.data;

	if (size == 1) {
		*ret = 0;
	} else if (last && strcmp(area + last, text) == 0) {
		*ret = last;
	} else if (name && strcmp(area + name, text) == 0) {
		*ret = name;
	} else if (buffer_reserve(&b->strings, size)) {
		return -ENOMEM;
	} else {
		memcpy(b->strings.data + b->strings.len, text, size);
		*ret = (uint32_t)b->strings.len;
		b->strings.len += size;
	}
	return 0;
}

static int add_texts(
	struct snapshot_builder *b, enum metric_scope scope, const struct snapshot_row *row)
{
	uint32_t *offsets = b->last_text[scope];

	for (size_t i = 0; i < TEXT_COUNT; i++) {
		uint32_t name = i == TEXT_NAME ? 0 : offsets[TEXT_NAME];

		if (add_text(b, row->text[i], offsets[i], name, &offsets[i]))
			return -ENOMEM;
	}
	return 0;
}

int snapshot_builder_add(
	struct snapshot_builder *b, enum metric_scope scope, const struct snapshot_row *row)
{
	const size_t metrics = metric_count(scope);
	const size_t size = snapshot_record_size(TEXT_COUNT, metrics);
	struct buffer *records = &b->records[scope];
	const struct snapshot_fixed fixed = {
		.index = row->index,
		.parent = row->parent,
		.flags = row->flags,
		.run = row->run,
		.disk_time_ns = row->disk_time_ns,
		.disk_progress = row->disk_progress,
	};
	unsigned char *record, *states;

	if (buffer_reserve(records, size) || add_texts(b, scope, row))
		return -ENOMEM;
	record = records->data + records->len;
	states = record + snapshot_states_at(TEXT_COUNT, metrics);
	memcpy(record, &fixed, sizeof(fixed));
	memcpy(record + sizeof(fixed), b->last_text[scope], sizeof(b->last_text[scope]));
	record += snapshot_numbers_at(TEXT_COUNT);
	for (size_t i = 0; i < metrics; i++) {
		const struct value *v = &row->values[i];

		memcpy(record + i * sizeof(v->number), &v->number, sizeof(v->number));
		states[i] = (unsigned char)v->state;
	}
	memset(states + metrics, 0, snapshot_align(metrics, 8) - metrics);
	records->len += size;
	b->rows[scope]++;
	return 0;
}

/* Appends a scope's metric ids behind the header. */
static int add_directory(struct buffer *head, enum metric_scope scope)
{
	const size_t size = metric_count(scope) * sizeof(uint32_t);
	const struct metric *m;

	if (buffer_reserve(head, snapshot_align(size, 8)))
		return -ENOMEM;
	memset(head->data + head->len, 0, snapshot_align(size, 8));
	for_each_metric (scope, slot, m) {
		const uint32_t id = m->id;

		memcpy(head->data + head->len + slot * sizeof(id), &id, sizeof(id));
	}
	head->len += snapshot_align(size, 8);
	return 0;
}

/* Header and directories, without the checksum. All other parts must be complete and padded. */
static int build_head(struct snapshot_builder *b, const struct snapshot_info *info,
	const size_t record_bytes[SCOPE_COUNT], size_t strings_size)
{
	struct snapshot_header h = {
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.header_size = sizeof(h),
		.fingerprint = metric_fingerprint(),
		.time_ns = info->time_ns,
		.monotonic_ns = info->monotonic_ns,
		.interval_ns = info->interval_ns,
		.sequence = info->sequence,
		.boot = b->boot,
		.texts = TEXT_COUNT,
		.scopes = SCOPE_COUNT,
	};
	uint64_t at;

	b->head.len = 0;
	if (buffer_reserve(&b->head, sizeof(h)))
		return -ENOMEM;
	b->head.len = sizeof(h);
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		h.scope[scope].directory = b->head.len;
		if (add_directory(&b->head, scope))
			return -ENOMEM;
	}
	at = buffer_pad(&b->head);
	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		h.scope[scope].rows = b->rows[scope];
		h.scope[scope].metrics = (uint32_t)metric_count(scope);
		h.scope[scope].record_size =
			(uint32_t)snapshot_record_size(TEXT_COUNT, metric_count(scope));
		h.scope[scope].records = at;
		at += record_bytes[scope];
	}
	h.strings = at;
	h.strings_size = strings_size;
	h.file_size = at + strings_size;
	memcpy(b->head.data, &h, sizeof(h));
	return h.file_size > SNAPSHOT_SIZE_MAX ? -ENOMEM : 0;
}

/* The whole file in its parts, with the checksum. */
#define PARTS (SCOPE_COUNT + 2)
static int assemble(
	struct snapshot_builder *b, const struct snapshot_info *info, struct iovec parts[PARTS])
{
	size_t record_bytes[SCOPE_COUNT], strings_size;
	struct checksum sum;
	uint64_t result;
	int r;

	for (size_t scope = 0; scope < SCOPE_COUNT; scope++) {
		record_bytes[scope] = buffer_pad(&b->records[scope]);
		parts[scope + 1] = (struct iovec){b->records[scope].data, record_bytes[scope]};
	}
	strings_size = buffer_pad(&b->strings);
	parts[SCOPE_COUNT + 1] = (struct iovec){b->strings.data, strings_size};
	r = build_head(b, info, record_bytes, strings_size);
	if (r)
		return r;
	parts[0] = (struct iovec){b->head.data, snapshot_align(b->head.len, SNAPSHOT_ALIGN)};
	checksum_start(&sum);
	for (size_t i = 0; i < PARTS; i++)
		checksum_add(&sum, parts[i].iov_base, parts[i].iov_len);
	result = checksum_end(&sum);
	memcpy(b->head.data + offsetof(struct snapshot_header, checksum), &result, sizeof(result));
	return 0;
}

int snapshot_builder_publish(
	struct snapshot_builder *b, const char *path, const struct snapshot_info *info)
{
	struct iovec parts[PARTS];
	char new_path[PATH_MAX];
	int r;

	if ((size_t)snprintf(new_path, sizeof(new_path), "%s.new", path) >= sizeof(new_path))
		return -ENAMETOOLONG;
	r = assemble(b, info, parts);
	return r ? r : replace_file_parts(path, new_path, parts, PARTS, 0640, false);
}

int snapshot_builder_copy(
	struct snapshot_builder *b, const struct snapshot_info *info, void **ret, size_t *ret_len)
{
	struct iovec parts[PARTS];
	size_t len = 0;
	char *p;
	int r = assemble(b, info, parts);

	if (r)
		return r;
	for (size_t i = 0; i < PARTS; i++)
		len += parts[i].iov_len;
	p = *ret = malloc(len);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < PARTS; i++)
		p = parts[i].iov_len ? mempcpy(p, parts[i].iov_base, parts[i].iov_len) : p;
	*ret_len = len;
	return 0;
}
