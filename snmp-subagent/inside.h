/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "view.h"

/*
 * What the standard MIBs of a context tell: figures of its instance, as its administrator would
 * see them from inside, and nothing else. All are absent without a row of the instance.
 */

/* In a column's data: which metric it shows. */
#define SHOWS(id) ((const void *)(uintptr_t)METRIC_##id)

bool inside_row(const struct mib_place *p, struct snapshot_row *ret);
struct value inside_figure(const struct mib_place *p, unsigned int metric_id);
/* A limit that counts: never above what the host has, so a number where the host's is known. */
struct value inside_limit(const struct mib_place *p, unsigned int metric_id);

/* For get(). False when absent. */
bool inside_counter(struct mib_value *ret, const struct mib_column *c, struct value v);
/* As KiB; for SMI_INTEGER at most INT32_MAX. */
bool inside_kib(struct mib_value *ret, const struct mib_column *c, struct value bytes);
/* Nanoseconds in 1/100 s: TimeTicks of SNMP and ticks of CPU time alike. */
bool inside_ticks(struct mib_value *ret, struct value ns);
/* mib_text(), but an empty text is told, too. */
bool inside_text(struct mib_value *ret, const char *text);

/* Below 1.3.6.1.2.1: system, IF-MIB and HOST-RESOURCES-MIB. */
extern const struct mib_tree inside_mib2;
/* Below 1.3.6.1.4.1.2021: UCD-SNMP-MIB and UCD-DISKIO-MIB. */
extern const struct mib_tree inside_ucd;
