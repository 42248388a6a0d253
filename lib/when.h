/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/*
 * Times as people and rrdtool write them, local unless a zone is given:
 *
 *	1h 7d                            so long ago
 *	now  -1d  now-2h30m  noon-15min  with offsets of s m h d w mon y
 *	2026-11-25 2026-11-25T03:12[:33][Z|+01:00]  "2026-11-25 03:12"  03:12
 *	today  yesterday 03:00  tue 5pm  20261125  25.11.2026  11/25/2026  Nov 25 2026
 *	1764036720  @0                   seconds since the epoch
 *
 * A day without a time begins at midnight; a day of the week is the last one, today included. d, w,
 * mon and y are those of the calendar, so that -1d is the same time of day when clocks were
 *changed. -EINVAL: none of these.
 */
int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ns);
