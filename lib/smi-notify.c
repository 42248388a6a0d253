/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "smi-notify.h"

#include <string.h>

#include "util.h"

#define WHO EVENT_TIME, EVENT_HANDLE, EVENT_INSTANCE, EVENT_RUN

static const struct smi_notice notices[] = {
	[SMI_STARTED] = {"loadcellInstanceStarted",
		"A run of an instance has begun: a hook told of its start, or it was found running "
		"where there is no hook.",
		SMI_EVENT, {WHO, EVENT_TYPE}},
	[SMI_STOPPED] = {"loadcellInstanceStopped",
		"A run of an instance has ended, and loadcellEventHow tells how.", SMI_EVENT,
		{WHO, EVENT_TYPE, EVENT_HOW}},
	[SMI_REBOOTED] = {"loadcellInstanceRebooted",
		"A run of an instance has ended because it reboots; loadcellInstanceStarted "
		"follows "
		"when the next one begins.",
		SMI_EVENT, {WHO, EVENT_TYPE, EVENT_HOW}},
	[SMI_OOM] = {"loadcellInstanceOomKill",
		"The kernel has killed processes of an instance for lack of memory. Kills within "
		"half "
		"a second are told as one.",
		SMI_EVENT, {WHO, EVENT_TYPE, EVENT_KILLS}},
	[SMI_STALE] = {"loadcellDataIsStale",
		"The collector has published nothing for so long (stale_after in loadcell.conf) "
		"that "
		"host and instances are no longer told.",
		SMI_STATUS, {STATUS_DATA_TIME, STATUS_DATA_PROBLEM}},
	[SMI_RECOVERED] = {"loadcellDataIsFresh",
		"After loadcellDataIsStale: there are new samples again.", SMI_STATUS,
		{STATUS_DATA_TIME}},
	[SMI_LEFT_OUT] = {"loadcellEventsLeftOut",
		"So many notifications were left out, because there were too many at once or while "
		"snmpd was away, or snmpd has not confirmed that it has sent them on. The events "
		"themselves are in the log: loadcell events.",
		SMI_STATUS, {STATUS_LEFT_OUT}},
};

const struct smi_notice *smi_notice(enum smi_notification number)
{
	return &notices[number];
}

enum smi_notification smi_notification_of(const char *event_type)
{
	static const struct {
		const char *type;
		enum smi_notification number;
	} types[] = {
		{"start", SMI_STARTED},
		{"appeared", SMI_STARTED},
		{"stop", SMI_STOPPED},
		{"disappeared", SMI_STOPPED},
		{"reboot", SMI_REBOOTED},
		{"oom", SMI_OOM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].type, event_type) == 0)
			return types[i].number;
	return 0;
}
