/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "smi.h"

/* The notifications of LOADCELL-MIB: ARC.0.NUMBER, and which objects each carries. Append only. */
enum smi_notification {
	SMI_STARTED = 1,
	SMI_STOPPED,
	SMI_REBOOTED,
	SMI_OOM,
	SMI_STALE,
	SMI_RECOVERED,
	SMI_LEFT_OUT,
	SMI_NOTIFICATION_END,
};

#define SMI_OBJECTS_MAX 8

struct smi_notice {
	const char *name, *help;
	/* Columns of the event's row, or scalars of the status, by their numbers in enum smi_fixed.
	 */
	enum smi_table table;
	unsigned int objects[SMI_OBJECTS_MAX]; /* ends with 0 */
};

const struct smi_notice *smi_notice(enum smi_notification number);
/* Which one tells of an event of this type ("start"); 0: none. */
enum smi_notification smi_notification_of(const char *event_type);
