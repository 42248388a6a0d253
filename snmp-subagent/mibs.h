/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "../lib/util.h"
#include "mib.h"

/* The MIBs of the default context. */

/* LOADCELL-MIB below this arc ("1.3.6..."), its columns from lib/smi. 0 or a negative errno. */
struct loadcell_mib;
int loadcell_mib_new(const char *arc, struct loadcell_mib **ret);
void loadcell_mib_free(struct loadcell_mib *m);
DEFINE_CLEANUP(struct loadcell_mib *, loadcell_mib_free)
const struct mib_tree *loadcell_mib_tree(const struct loadcell_mib *m);

/* What a notification carries: a scalar of the status, or a cell of an event's row. */
struct mib_object {
	subid name[MIB_OID_MAX];
	size_t len;
	enum smi_syntax syntax;
	struct mib_value value;
};
void loadcell_mib_object(const struct loadcell_mib *m, const struct view *v, enum smi_table table,
	unsigned int number, const json_t *event, struct mib_object *ret);

/* VM-MIB (RFC 7666): hypervisor, vmNumber, vmTableLastChange and vmTable. */
extern const struct mib_tree vm_mib_tree;
