/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"

/* Any bytes as loadcell.conf: refused with a sentence of one line, or a config within its bounds.
 */
static void require(bool truth)
{
	if (!truth)
		abort();
}

static void check_config(const struct config *c)
{
	require(c->interval_ns >= UINT64_C(1000000000) &&
		c->interval_ns <= UINT64_C(3600000000000));
	require(c->run_dir[0] == '/' && strlen(c->run_dir) <= 94);
	require(c->data_dir[0] == '/' && c->cgroup_root[0] == '/' && c->proc_root[0] == '/');
	require(c->lxcpaths >= 1 && c->lxcpaths <= CONFIG_LXCPATH_MAX);
	for (size_t i = 0; i < c->lxcpaths; i++)
		require(c->lxcpath[i][0] == '/');
	require(c->data_max || (c->data_max_ratio && c->data_max_ratio <= 1000000000));
	require(c->disk_walk_share && c->disk_walk_share <= 1000000000);
	require(!c->stale_after_ns || c->stale_after_ns >= c->interval_ns);
	require(c->instances_max && c->agentx[0] && c->snmp_arc[0] && strchr(c->listen, ':'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(config_free) struct config *c = NULL;
	_cleanup_free_ char *copy = malloc(size ? size : 1);
	struct error err = {0};
	int r;

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	r = config_parse(copy, size, "f", &c, &err);
	if (r) {
		require(r < 0 && !c && err.text[0] && !strchr(err.text, '\n'));
		return 0;
	}
	check_config(c);
	return 0;
}
