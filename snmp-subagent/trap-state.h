/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "../lib/config.h"
#include "../lib/log.h"

/*
 * What has been told, in snmp_state_dir/notified: one line of fixed length, overwritten in place.
 * That is whole or not there when the program is killed at any moment, needs no space on a full
 * disk and is not waited for. What a power cut loses of it, the caller makes up by the boot.
 */
struct trap_state {
	uint64_t event;     /* the highest number of an event that was told or left out */
	uint64_t time_ns;   /* of that event */
	bool is_stale;      /* that the data is stale was told */
	bool is_first;      /* nothing was kept: there is no past */
	bool is_other_boot; /* it was kept in another boot of this host */
	uint64_t boot;      /* hash of this one */
	int fd;             /* -1: not kept */
	struct complaint complaint;
};

/*
 * 0: read, or nothing is there yet; then the state may also be one that cannot be kept. -EBUSY:
 * another loadcell-snmp sends from here. A complaint says what is wrong.
 */
int trap_state_open(struct trap_state *s, const struct config *config);
void trap_state_close(struct trap_state *s);
void trap_state_save(struct trap_state *s);
