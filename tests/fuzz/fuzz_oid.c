/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "lib/config.h"
#include "snmp-subagent/mibs.h"
#include "snmp-subagent/view.h"

/*
 * Any object identifier asked for by GET and GETNEXT in the MIBs of the default context: the next
 * name is a later one, can be got, and is the next of every name between.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct name {
	subid oid[MIB_OID_MAX];
	size_t len;
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static int order(const struct name *a, const struct name *b)
{
	for (size_t i = 0; i < MIN(a->len, b->len); i++)
		if (a->oid[i] != b->oid[i])
			return a->oid[i] < b->oid[i] ? -1 : 1;
	return a->len < b->len ? -1 : a->len > b->len;
}

static void publish(const char *path)
{
	struct snapshot_builder *b = snapshot_builder_new();
	struct value values[METRIC_ID_END] = {0};
	const struct snapshot_info info = {.time_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = now_ns(CLOCK_MONOTONIC),
		.interval_ns = 3600 * NSEC_PER_SEC,
		.sequence = 1};
	struct snapshot_row row = {
		.run = 1, .values = values, .text = {"web01", "web01", "/var/lib/lxc", "lxc"}};

	for (size_t i = 0; i < METRIC_ID_END; i += 2)
		values[i] = i % 3 ? value_of(i << 30) : value_unlimited();
	snapshot_builder_reset(b);
	for (unsigned int scope = 0; scope < SCOPE_COUNT; scope++) {
		for (uint32_t i = 1; i <= (scope == SCOPE_HOST ? 1 : 3); i++) {
			row.index = scope == SCOPE_HOST ? 0 : i * i * i;
			require(snapshot_builder_add(b, scope, &row) == 0);
		}
	}
	require(snapshot_builder_publish(b, path, &info) == 0);
	snapshot_builder_free(b);
}

static struct loadcell_mib *mib;
static struct source source;
static struct config *config;

static void clean_up(void)
{
	source_free(&source);
	loadcell_mib_free(mib);
	config_free(config);
}

static void make_world(void)
{
	char dir[] = "/dev/shm/loadcell-fuzz-XXXXXX";
	_cleanup_free_ char *text = NULL, *snapshot = NULL;
	struct error err;

	require(mkdtemp(dir) != NULL);
	text = format_string("run_dir = %s\ndata_dir = %s\ninterval = 1h\n", dir, dir);
	snapshot = format_string("%s/snapshot", dir);
	require(config_parse(text, strlen(text), "fuzz", &config, &err) == 0);
	publish(snapshot);
	require(source_init(&source, config) == 0);
	require(loadcell_mib_new("1.3.6.1.4.1.99999", &mib) == 0);
	source_tick(&source, now_ns(CLOCK_MONOTONIC));
	require(view_rows(&source.view, SCOPE_INSTANCE).n == 3);
	unlink(snapshot);
	rmdir(dir);
	atexit(clean_up);
}

static enum mib_result next(const struct mib_tree *t, const struct name *from, struct name *ret)
{
	const struct mib_place place = {.view = &source.view};
	struct mib_answer a;
	enum mib_result r = mib_next(t, &place, from->oid, from->len, &a);

	if (r == MIB_FOUND)
		ret->len = mib_name(t, &a, ret->oid);
	return r;
}

static void ask(const struct mib_tree *t, const struct name *name)
{
	const struct mib_place place = {.view = &source.view};
	struct name found = {.len = 0}, between, again = {.len = 0};
	struct mib_answer a;

	(void)mib_get(t, &place, name->oid, name->len, &a);
	if (next(t, name, &found) != MIB_FOUND)
		return;
	require(order(name, &found) < 0);
	require(mib_get(t, &place, found.oid, found.len, &a) == MIB_FOUND);
	/* A name just before the one that was found. */
	between = found;
	between.len--;
	if (order(name, &between) < 0)
		require(next(t, &between, &again) == MIB_FOUND && order(&again, &found) == 0);
	between = found;
	between.oid[between.len - 1]--;
	if (found.oid[found.len - 1] > 0 && order(name, &between) < 0)
		require(next(t, &between, &again) == MIB_FOUND && order(&again, &found) == 0);
	/* One that comes right after it leads further, or to the end. */
	if (next(t, &found, &again) == MIB_FOUND)
		require(order(&found, &again) < 0);
}

/* Sub-ids as in BER: seven bits a byte, the highest bit says that more follow. */
static void read_name(const uint8_t *data, size_t len, struct name *n)
{
	subid id = 0;

	for (size_t i = 0; i < len && n->len < MIB_OID_MAX; i++) {
		id = id << 7 | (data[i] & 0x7f);
		if (data[i] & 0x80)
			continue;
		n->oid[n->len++] = id & UINT32_MAX;
		id = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct mib_tree *t;
	struct name name = {.len = 0};

	if (!mib)
		make_world();
	if (!len)
		return 0;
	t = data[0] & 1 ? loadcell_mib_tree(mib) : &vm_mib_tree;
	/* Most names begin like the tree. */
	if (data[0] & 2) {
		name.len = MIN(t->len, (size_t)(data[0] >> 2) % (t->len + 3));
		memcpy(name.oid, t->root, name.len * sizeof(subid));
	}
	read_name(data + 1, len - 1, &name);
	ask(t, &name);
	return 0;
}
