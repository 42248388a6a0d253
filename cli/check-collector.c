/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "../lib/spool.h"
#include "ask.h"

/* Whether loadcell itself is well. `loadcell status` tells more. */

#define SEE_LOG "journalctl -u loadcelld; loadcell status"

static uint64_t count(const struct checkup *c, unsigned int id)
{
	return view_host_value(&c->view, id).number;
}

/* --- the collector ----------------------------------------------------------------------- */

static void report_helpers(struct checkup *c, const char *answer)
{
	json_t *object = json_loads(answer, 0, NULL), *helper;
	size_t i;

	json_array_foreach (json_object_get(object, "helpers"), i, helper)
		if (json_integer_value(json_object_get(helper, "pid")) == 0) {
			report(c, CHECK_WARNING, "its helper %s does not run",
				json_string_value(json_object_get(helper, "program")) ?: "?");
			advise(c, SEE_LOG);
		}
	json_decref(object);
}

static void report_sample(struct checkup *c)
{
	uint64_t dropped = count(c, METRIC_COLLECTOR_DROPPED_INSTANCES);

	if (c->view_error == -EACCES) {
		report(c, CHECK_UNKNOWN, "its sample may be read by root and the group loadcell");
		advise(c, "usermod -aG loadcell USER, then log in again");
	} else if (c->view_error == -ENOENT) {
		report(c, CHECK_CRITICAL, "it has published no sample yet");
		advise(c, SEE_LOG);
	} else if (c->view_error < 0) {
		report(c, CHECK_UNKNOWN, "its sample cannot be read: %s", strerror(-c->view_error));
		advise(c, "loadcell status");
	} else if (c->view.stale) {
		report(c, CHECK_UNKNOWN, "its sample is %s old, though one is due every %s",
			cell_duration(c->view.age_ns).text,
			cell_duration(c->view.info->interval_ns).text);
		advise(c, SEE_LOG);
	} else if (dropped) {
		report(c, CHECK_WARNING,
			"%" PRIu64 " instances are not measured: instances_max is %" PRIu64,
			dropped, c->cli->config->instances_max);
		advise(c, "raise instances_max in %s, then: systemctl restart loadcelld",
			config_path(c->cli->config_path));
	}
}

void check_collector(struct checkup *c)
{
	_cleanup_free_ char *answer = NULL;
	int r = ask_collector(c->cli->config, "status", &answer);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		report(c, CHECK_CRITICAL, "the collector does not run");
		advise(c, "systemctl enable --now loadcelld");
		return;
	}
	if (r == 0) {
		report_helpers(c, answer);
	} else if (r == -EACCES) {
		report(c, CHECK_UNKNOWN, "only root and the group loadcell may ask the collector");
		advise(c, "usermod -aG loadcell USER, then log in again");
	} else {
		report(c, CHECK_CRITICAL, "the collector does not answer: %s", strerror(-r));
		advise(c, SEE_LOG);
	}
	report_sample(c);
	if (!c->finding->text)
		report(c, CHECK_OK, "it runs, and its sample is fresh");
}

void check_cycles(struct checkup *c)
{
	uint64_t missed, all, last, interval;
	enum check_state state;

	if (!needs_sample(c))
		return;
	missed = count(c, METRIC_COLLECTOR_MISSED_CYCLES);
	all = count(c, METRIC_COLLECTOR_CYCLES) + missed;
	last = count(c, METRIC_COLLECTOR_CYCLE_TIME);
	interval = c->view.info->interval_ns;
	state = report_share(
		c, missed, all, "%" PRIu64 " of %" PRIu64 " cycles missed", missed, all);
	if (last > interval / 2)
		state = CHECK_WARNING;
	report(c, state, "the last one took %s of %s", cell_duration(last).text,
		cell_duration(interval).text);
	if (state != CHECK_OK)
		advise(c, "a larger interval in %s, or less other load on the host",
			config_path(c->cli->config_path));
}

/* --- what it stores ---------------------------------------------------------------------- */

void check_store(struct checkup *c)
{
	struct value pending;
	uint64_t behind, refused;
	enum check_state state;

	if (!needs_sample(c))
		return;
	pending = view_host_value(&c->view, METRIC_RECENT_PENDING);
	refused = count(c, METRIC_STORE_REFUSED_INSTANCES);
	if (!value_is_number(pending)) {
		report(c, CHECK_UNKNOWN, "how far the RRDs are behind is not known yet");
		return;
	}
	behind = pending.number / NSEC_PER_SEC;
	/* Up to a flush behind is as it should be, whatever the flush. */
	state = pending.number > 2 * c->cli->config->flush_ns ? judge_number(c, behind) : CHECK_OK;
	report(c, state, "the RRDs are %s behind, flushed every %s",
		cell_duration(behind * NSEC_PER_SEC).text,
		cell_duration(c->cli->config->flush_ns).text);
	figure_number(c, behind, 0);
	if (state != CHECK_OK)
		advise(c, "df %s; " SEE_LOG, c->cli->config->data_dir);
	if (!refused)
		return;
	report(c, CHECK_WARNING, "%" PRIu64 " instances have no RRD: data_max (%s) is reached",
		refused, view_host_cell(&c->view, METRIC_STORE_SIZE_LIMIT).text);
	advise(c,
		"raise data_max or lower keep and archive in %s, then: systemctl restart "
		"loadcelld",
		config_path(c->cli->config_path));
}

void check_ledger(struct checkup *c)
{
	uint64_t errors, lost;

	if (!needs_sample(c))
		return;
	if (!value_is_number(view_host_value(&c->view, METRIC_LEDGER_ERRORS))) {
		report(c, CHECK_UNKNOWN, "the ledger has not reported yet");
		return;
	}
	errors = count(c, METRIC_LEDGER_ERRORS);
	lost = count(c, METRIC_LEDGER_LOST);
	if (!errors && !lost) {
		report(c, CHECK_OK, "no errors");
		return;
	}
	report(c, CHECK_WARNING,
		"%" PRIu64 " errors and %" PRIu64 " lost messages since the collector started",
		errors, lost);
	advise(c, "df %s; journalctl -u loadcelld; once it is mended: systemctl restart loadcelld",
		c->cli->config->data_dir);
}

/* Not by spool_each(), which tidies. */
static int count_records(const char *directory, uint64_t *ret)
{
	_cleanup_closedir_ DIR *dir = opendir(directory);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		*ret += entry->d_name[0] != '.' && strncmp(entry->d_name, "init.", 5) != 0;
	return 0;
}

/* Each running instance that was started with hooks has one record there all the time. */
void check_spool(struct checkup *c)
{
	_cleanup_free_ char *directory = config_run_path(c->cli->config, "spool");
	uint64_t records = 0, running = 0;
	enum check_state state;

	if (c->fresh && value_is_number(view_host_value(&c->view, METRIC_LEDGER_SPOOL))) {
		records = count(c, METRIC_LEDGER_SPOOL);
		running = count(c, METRIC_INSTANCES_RUNNING);
	} else if (!directory || count_records(directory, &records) < 0) {
		report(c, CHECK_UNKNOWN, "the spool may be read by root only");
		return;
	}
	records = records > running ? records - running : 0;
	state = report_share(c, records, SPOOL_MAX, "%" PRIu64 " of at most %d records wait",
		records, SPOOL_MAX);
	if (state != CHECK_OK)
		advise(c, "start the collector: systemctl restart loadcelld; when it runs: df %s",
			c->cli->config->data_dir);
}
