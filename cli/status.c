/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ask.h"
#include "json.h"

#define PROBLEMS_MAX    16
#define ERROR_RECENT_NS (600 * NSEC_PER_SEC)

struct status {
	const struct cli *cli;
	struct view view;        /* snapshot NULL: no data */
	json_t *answer;          /* what the collector says of itself; NULL: nothing */
	const char *unreachable; /* why not */
	char *problems[PROBLEMS_MAX];
	size_t n_problems;
	const char *next_step; /* of the first problem */
	int exit_code;
};

/* Host metrics that are shown when not 0. A gauge is trouble now; a counter was trouble once. */
static const unsigned int concerns[] = {
	METRIC_COLLECTOR_MISSED_CYCLES,
	METRIC_COLLECTOR_READ_ERRORS,
	METRIC_COLLECTOR_DROPPED_INSTANCES,
	METRIC_COLLECTOR_UNTRUSTED_NAMES,
	METRIC_COLLECTOR_STUCK_WORKERS,
	METRIC_RECENT_LOST,
	METRIC_STORE_ERRORS,
	METRIC_STORE_REFUSED_INSTANCES,
	METRIC_STORE_DAMAGED_FILES,
	METRIC_LEDGER_ERRORS,
	METRIC_LEDGER_LOST,
};

static const char see_log[] = "see its log: journalctl -u loadcelld";

_printf_(4, 5) static void problem(
	struct status *s, int code, const char *next_step, const char *format, ...)
{
	char sentence[ERROR_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	if (s->n_problems < PROBLEMS_MAX)
		s->problems[s->n_problems++] = text_clean(sentence);
	if (!s->next_step)
		s->next_step = next_step;
	/* No data outweighs the rest: that is what a caller must know first. */
	s->exit_code = MAX(s->exit_code, code);
}

/* --- finding out ----------------------------------------------------------------------------- */

static void read_answer(struct status *s)
{
	_cleanup_free_ char *text = NULL;
	int r = ask_collector(s->cli->config, "status", &text);

	if (r == 0) {
		s->answer = json_loads(text, 0, NULL);
		if (json_is_object(s->answer))
			return;
		json_decref(s->answer);
		s->answer = NULL;
		r = -EBADMSG;
	}
	if (r == -ENOENT || r == -ECONNREFUSED) {
		s->unreachable = "does not run";
		problem(s, CLI_FAILED, "start it with: systemctl start loadcelld",
			"the collector does not run");
	} else if (r == -EACCES) {
		s->unreachable = "may be asked by root and the group loadcell only";
		problem(s, CLI_FAILED,
			"join the group with: usermod -aG loadcell USER, then log in again",
			"only root and the group loadcell may ask the collector");
	} else {
		s->unreachable = r == -ETIMEDOUT ? "does not answer" : "answers nonsense";
		problem(s, CLI_FAILED, see_log, "the collector cannot be asked: %s", strerror(-r));
	}
}

static void read_data(struct status *s)
{
	struct error err;
	int r = view_load(s->cli->config, &s->view, &err);

	if (r == 0 && !s->view.stale)
		return;
	r = r == 0 || r == -ENOENT ? CLI_STALE : CLI_FAILED;
	cli_fail(s->cli, r, "%s", err.text);
	problem(s, r, see_log, "%s", err.text);
}

static const char *answer_text(const struct status *s, const char *key)
{
	const char *text = json_string_value(json_object_get(s->answer, key));

	return text && *text ? text : NULL;
}

static void judge(struct status *s)
{
	uint64_t late_ns = 3 * s->cli->config->flush_ns;
	struct value pending = view_host_value(&s->view, METRIC_RECENT_PENDING);
	json_t *error_time = json_object_get(s->answer, "last_error_time");
	json_t *helper;
	size_t i;
	double error_age_s = (double)now_ns(CLOCK_REALTIME) / 1e9 - json_number_value(error_time);

	for (i = 0; i < ARRAY_SIZE(concerns); i++) {
		const struct metric *m = metric_by_id(concerns[i]);
		struct value v = view_host_value(&s->view, concerns[i]);

		if (m->kind == KIND_GAUGE && value_is_number(v) && v.number > 0)
			problem(s, CLI_FAILED, see_log, "%s is %s: %s", m->name,
				cell_value(m, v, "unlimited").text, m->help);
	}
	if (value_is_number(pending) && pending.number > late_ns)
		problem(s, CLI_FAILED, see_log,
			"the store is %s behind, though it flushes every %s",
			cell_duration(pending.number).text,
			cell_duration(s->cli->config->flush_ns).text);
	json_array_foreach (json_object_get(s->answer, "helpers"), i, helper)
		if (json_integer_value(json_object_get(helper, "pid")) == 0)
			problem(s, CLI_FAILED, see_log, "the helper %s does not run",
				json_string_value(json_object_get(helper, "program")) ?: "?");
	/* Without a time the collector means an error that still holds. */
	if (answer_text(s, "last_error") &&
		(!error_time || error_age_s * 1e9 < (double)ERROR_RECENT_NS))
		problem(s, CLI_FAILED, see_log, "the collector's last error: %s",
			answer_text(s, "last_error"));
}

/* --- telling --------------------------------------------------------------------------------- */

static void put_line(const struct status *s, const char *title, const char *text)
{
	text_line(s->cli->out, "%-10s %s", title, text);
}

static void put_collector(const struct status *s)
{
	struct value start = view_host_value(&s->view, METRIC_COLLECTOR_START_TIME);
	struct value cpu = view_host_value(&s->view, METRIC_COLLECTOR_CPU);
	uint64_t now = s->view.snapshot ? s->view.info->time_ns : 0;
	uint64_t elapsed = value_is_number(start) && now > start.number ? now - start.number : 0;

	if (s->unreachable)
		put_line(s, "collector", s->unreachable);
	else
		text_line(s->cli->out,
			"collector  runs, pid %" JSON_INTEGER_FORMAT ", version %s, since %s",
			json_integer_value(json_object_get(s->answer, "pid")),
			answer_text(s, "version") ?: "-",
			view_host_cell(&s->view, METRIC_COLLECTOR_START_TIME).text);
	if (!s->view.snapshot)
		return;
	fprintf(s->cli->out, "cost       %s of a core, %s of memory, last cycle %s\n",
		elapsed && value_is_number(cpu)
			? cell_percent((uint64_t)((double)cpu.number / (double)elapsed * 1e9)).text
			: "-",
		view_host_cell(&s->view, METRIC_COLLECTOR_RSS).text,
		view_host_cell(&s->view, METRIC_COLLECTOR_CYCLE_TIME).text);
}

static void put_data(const struct status *s)
{
	const struct view *v = &s->view;

	if (!v->snapshot) {
		put_line(s, "data", "none");
		return;
	}
	fprintf(s->cli->out, "data       %s old%s, sampled every %s; %s cycles, %s missed\n",
		cell_duration(v->age_ns - v->age_ns % NSEC_PER_SEC).text,
		v->stale ? " (stale)" : "", cell_duration(v->info->interval_ns).text,
		view_host_cell(&s->view, METRIC_COLLECTOR_CYCLES).text,
		view_host_cell(&s->view, METRIC_COLLECTOR_MISSED_CYCLES).text);
	fprintf(s->cli->out, "instances  %" PRIu32 "\n", v->info->rows[SCOPE_INSTANCE]);
	fprintf(s->cli->out, "recent     reaches back %s; the store is %s behind\n",
		view_host_cell(&s->view, METRIC_RECENT_SPAN).text,
		view_host_cell(&s->view, METRIC_RECENT_PENDING).text);
	fprintf(s->cli->out, "store      %s files; %s of %s used\n",
		view_host_cell(&s->view, METRIC_STORE_FILES).text,
		view_host_cell(&s->view, METRIC_STORE_SIZE).text,
		view_host_cell(&s->view, METRIC_STORE_SIZE_LIMIT).text);
}

static void put_concerns(const struct status *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(concerns); i++) {
		const struct metric *m = metric_by_id(concerns[i]);
		struct value v = view_host_value(&s->view, concerns[i]);

		if (m->kind != KIND_GAUGE && value_is_number(v) && v.number > 0)
			fprintf(s->cli->out, "counted    %s %s: %s\n", m->name,
				cell_value(m, v, "unlimited").text, m->help);
	}
}

static void status_text(const struct status *s)
{
	size_t len;

	put_collector(s);
	put_data(s);
	put_concerns(s);
	for_each_line(view_host_text(&s->view, TEXT_NOTES), line, len)
		text_line(s->cli->out, "note       %.*s", (int)len, line);
	if (s->answer)
		put_line(s, "last error", answer_text(s, "last_error") ?: "none");
	for (size_t i = 0; i < s->n_problems; i++)
		put_line(s, "trouble", s->problems[i] ? s->problems[i] : "?");
	put_line(s, "next", s->next_step ? s->next_step : "nothing: all is well");
}

static void status_json(const struct status *s)
{
	struct json_out j = {.out = s->cli->out};

	json_begin(&j, NULL, '{');
	json_number(&j, "schema", 1);
	json_bool(&j, "ok", s->exit_code == CLI_DONE);
	json_begin(&j, "problems", '[');
	for (size_t i = 0; i < s->n_problems; i++)
		json_text(&j, NULL, s->problems[i]);
	json_end(&j, ']');
	json_text(&j, "next_step", s->next_step);
	json_embed(&j, "collector", s->answer);
	if (s->view.snapshot) {
		json_begin(&j, "data", '{');
		json_seconds(&j, "time", s->view.info->time_ns);
		json_seconds(&j, "age", s->view.age_ns);
		json_seconds(&j, "interval", s->view.info->interval_ns);
		json_bool(&j, "stale", s->view.stale);
		json_number(&j, "instances", s->view.info->rows[SCOPE_INSTANCE]);
		document_metrics(&j, &s->view, SCOPE_HOST, 0);
		json_end(&j, '}');
	} else {
		json_text(&j, "data", NULL);
	}
	json_end(&j, '}');
	putc('\n', s->cli->out);
}

int status_main(struct cli *cli, int argc, char **argv)
{
	struct status s = {.cli = cli};
	bool json = false;
	int r = cli_json_option(cli, argc, argv, &json);

	if (r >= 0)
		return r;
	if (optind != argc)
		return cli_usage(cli, "arguments are not expected");
	read_answer(&s);
	read_data(&s);
	judge(&s);
	(json ? status_json : status_text)(&s);
	for (size_t i = 0; i < s.n_problems; i++)
		free(s.problems[i]);
	json_decref(s.answer);
	view_close(&s.view);
	return s.exit_code;
}
