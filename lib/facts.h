/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

/*
 * What is known of a run beside its figures, as one text of "key=value" lines: how liblxc says it
 * is configured (loadcell(1) lists the keys). Keys are [a-z0-9_]; values are UTF-8 without control
 * characters; lists have commas between their items.
 */
#define FACTS_TEXT_MAX 4096

/* An object of strings, for ledger and JSON; NULL: no memory. `facts` may be NULL. */
json_t *facts_to_json(const char *facts);
/* The other way; what is no fact is left out, and what does not fit. NULL: no object or no memory.
 */
char *facts_from_json(const json_t *object);
