/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "../cli/history.h"
#include "internal.h"

/* The JSON of a report (docs/report-schema.json), and a report again of that. */

#define EXPORT_MAX (UINT64_C(256) << 20) /* bytes of one host's, unpacked */

/* --- writing ---------------------------------------------------------------------------------- */

void json_figure(struct json_out *j, const char *key, double v)
{
	if (isnan(v) || isinf(v)) {
		json_text(j, key, isnan(v) ? NULL : "unlimited");
		return;
	}
	/* A number that jansson would print as a double: ours reads back exactly. */
	if (j->comma)
		putc(',', j->out);
	if (key)
		fprintf(j->out, "\"%s\":", key);
	field_number(j->out, v);
	j->comma = true;
}

static void put_series(struct json_out *j, const char *key, double *const *series, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < REPORT_RESOURCES; i++)
		any |= series[i] != NULL;
	if (!any)
		return;
	json_begin(j, key, '{');
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		if (!series[i])
			continue;
		json_begin(j, report_resource[i].name, '[');
		for (size_t k = 0; k < n; k++)
			/* Whole bytes and thousandths of a core say enough of an hour. */
			json_figure(j, NULL,
				i == REPORT_CPU ? round(series[i][k] * 1e3) / 1e3
						: round(series[i][k]));
		json_end(j, ']');
	}
	json_end(j, '}');
}

static void put_forecast(struct json_out *j, const char *key, const struct stat_forecast *f)
{
	bool days = f->answer == STAT_WITHIN;
	char text[STAT_TEXT_MAX];

	stat_forecast_text(f, text);
	json_begin(j, key, '{');
	json_text(j, "answer", stat_answer_name(f->answer));
	json_text(j, "text", text);
	json_figure(j, "days", days && isfinite(f->days) ? f->days : NAN);
	json_figure(j, "low_days", days ? f->low_days : NAN);
	json_figure(j, "high_days", days && isfinite(f->high_days) ? f->high_days : NAN);
	json_number(j, "days_known", f->days_known);
	json_end(j, '}');
}

static void put_filesystems(struct json_out *j, const struct report *r)
{
	json_begin(j, "filesystems", '[');
	for (size_t i = 0; i < r->filesystems; i++) {
		json_begin(j, NULL, '{');
		json_text(j, "mount", r->filesystem[i].mount);
		json_figure(j, "size_bytes", r->filesystem[i].size);
		json_figure(j, "available_bytes", r->filesystem[i].available);
		json_end(j, '}');
	}
	json_end(j, ']');
}

static void put_row(struct json_out *j, const char *key, const struct report *r,
	const struct report_row *row, bool series)
{
	bool host = row == &r->host;

	json_begin(j, key, '{');
	json_text(j, "name", row->name);
	if (!host) {
		json_lines(j, "groups", row->groups ? row->groups : "");
		json_bool(j, "running", row->running);
		json_text(j, "at_risk", row->risk);
	}
	json_begin(j, "figures", '{');
	for (size_t i = 0; i < (host ? FIELD_COUNT : FIELD_HOST); i++)
		json_figure(j, report_field[i].name, row->value[i]);
	json_end(j, '}');
	json_begin(j, "forecast", '{');
	for (size_t i = REPORT_MEMORY; i < REPORT_RESOURCES; i++)
		put_forecast(j, report_resource[i].name, &row->forecast[i]);
	json_end(j, '}');
	if (series)
		put_series(j, "series", row->series, r->n);
	if (host) {
		put_filesystems(j, r);
		put_series(j, "series_upper", row->upper, r->n);
		put_series(j, "series_other", r->other, r->n);
	}
	json_end(j, '}');
}

void report_json_fleet(struct json_out *j, const char *key, const struct report_row *row)
{
	if (!key)
		json_line(j);
	json_begin(j, key, '{');
	json_text(j, "name", row->name);
	json_text(j, "at_risk", row->risk);
	json_begin(j, "figures", '{');
	for (size_t i = 0; i < FIELD_COUNT; i++)
		json_figure(j, report_field[i].name, row->value[i]);
	json_end(j, '}');
	json_end(j, '}');
}

void report_json(FILE *out, const struct report *r, const struct report_ask *ask)
{
	static const char *const by[] = {"instance", "name-prefix", "group", "host"};
	struct json_out j = {.out = out};

	json_begin(&j, NULL, '{');
	json_text(&j, "format", "loadcell-report");
	json_number(&j, "schema", 1);
	json_number(&j, "from", r->from_s);
	json_number(&j, "to", r->to_s);
	json_number(&j, "start", r->start_s);
	json_number(&j, "step_seconds", r->step_s);
	json_number(&j, "points", r->n);
	json_number(&j, "peak_step_seconds", r->peak_s);
	json_text(&j, "by", by[ask->by]);
	json_number(&j, "advice_permille", ask->permille);
	json_figure(&j, "advice_margin", ask->margin);
	json_number(&j, "damaged", r->damaged);
	json_line(&j);
	put_row(&j, "host", r, &r->host, true);
	json_line(&j);
	json_begin(&j, "rows", '[');
	for (size_t i = 0; i < r->rows; i++) {
		if (i)
			json_line(&j);
		put_row(&j, NULL, r, &r->row[i], ask->keep_series);
	}
	json_end(&j, ']');
	json_end(&j, '}');
	putc('\n', out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static double value_of_json(const json_t *j)
{
	const char *text = json_string_value(j);

	if (text && !strcmp(text, "unlimited"))
		return INFINITY;
	return json_is_number(j) ? json_number_value(j) : NAN;
}

static int take_series(const json_t *object, size_t n, double **series)
{
	for (size_t i = 0; i < REPORT_RESOURCES; i++) {
		const json_t *array = json_object_get(object, report_resource[i].name);

		if (!json_is_array(array))
			continue;
		if (json_array_size(array) != n)
			return -EINVAL;
		series[i] = series_new(n);
		if (!series[i])
			return -ENOMEM;
		for (size_t k = 0; k < n; k++)
			series[i][k] = value_of_json(json_array_get(array, k));
	}
	return 0;
}

static void take_forecast(const json_t *object, const struct report *r, struct report_row *row)
{
	for (size_t i = REPORT_MEMORY; i < REPORT_RESOURCES; i++) {
		const json_t *from = json_object_get(object, report_resource[i].name);
		const char *answer = json_string_value(json_object_get(from, "answer"));
		struct stat_forecast *f = &row->forecast[i];
		struct stat_history h = {.values = row->series[i], .n = r->n, .step_s = r->step_s};

		for (enum stat_answer a = STAT_TOO_SHORT; answer && a <= STAT_WITHIN; a++)
			if (!strcmp(answer, stat_answer_name(a)))
				f->answer = a;
		f->days = value_of_json(json_object_get(from, "days"));
		f->low_days = value_of_json(json_object_get(from, "low_days"));
		f->high_days = value_of_json(json_object_get(from, "high_days"));
		f->high_days = isnan(f->high_days) ? INFINITY : f->high_days;
		f->days_known =
			(unsigned int)json_integer_value(json_object_get(from, "days_known"));
		if (!answer && h.values && h.n)
			report_forecast(&h, i, row);
	}
}

static int take_row(const json_t *j, const struct report *r, const struct report_ask *ask,
	struct report_row *row)
{
	const json_t *figures = json_object_get(j, "figures");
	int result;

	row->name = strdup(history_text(j, "name"));
	row->groups = history_groups(j);
	row->host = strdup(r->host.name ? r->host.name : "");
	if (!row->name || !row->groups || !row->host)
		return -ENOMEM;
	row->running = json_is_true(json_object_get(j, "running"));
	for (size_t i = 0; i < FIELD_COUNT; i++)
		row->value[i] = value_of_json(json_object_get(figures, report_field[i].name));
	result = take_series(json_object_get(j, "series"), r->n, row->series);
	/* Made by something that measures only: the figures are ours to work out. */
	if (result == 0 && !json_object_get(figures, report_field[FIELD_POINTS].name) &&
		row != &r->host)
		report_figures(r, ask, row);
	take_forecast(json_object_get(j, "forecast"), r, row);
	find_risks(row);
	return result;
}

static int take_filesystems(const json_t *array, struct report *r)
{
	const json_t *j;
	size_t i;
	int result = 0;

	json_array_foreach (array, i, j)
		if (result == 0)
			result = report_add_filesystem(r, history_text(j, "mount"),
				value_of_json(json_object_get(j, "size_bytes")),
				value_of_json(json_object_get(j, "available_bytes")));
	return result;
}

static int take_rows(const json_t *document, const struct report_ask *ask, struct report *r)
{
	const json_t *host = json_object_get(document, "host"), *row;
	const bool sums =
		!json_object_get(json_object_get(host, "figures"), report_field[FIELD_POINTS].name);
	int result = take_row(host, r, ask, &r->host);
	size_t i;

	if (result == 0)
		result = take_series(json_object_get(host, "series_upper"), r->n, r->host.upper);
	if (result == 0)
		result = take_series(json_object_get(host, "series_other"), r->n, r->other);
	if (result == 0)
		result = take_filesystems(json_object_get(host, "filesystems"), r);
	json_array_foreach (json_object_get(document, "rows"), i, row) {
		struct report_row *to = result == 0 ? report_add_row(r) : NULL;

		result = to ? take_row(row, r, ask, to) : MIN(result, -ENOMEM);
		if (result == 0 && sums)
			result = report_sum(r, &r->host, to, true);
		if (result < 0)
			return result;
	}
	if (result == 0 && sums) {
		r->host.value[FIELD_HOST_INSTANCES] = (double)r->rows;
		result = report_host_figures(r);
	}
	return result;
}

int report_parse(const json_t *document, const char *file, const struct report_ask *ask,
	struct report *ret, struct error *err)
{
	const char *format = json_string_value(json_object_get(document, "format"));
	json_int_t n = json_integer_value(json_object_get(document, "points"));
	json_int_t step = json_integer_value(json_object_get(document, "step_seconds"));
	int result;

	*ret = (struct report){0};
	row_clear(&ret->host);
	if (!format || strcmp(format, "loadcell-report") != 0 ||
		json_integer_value(json_object_get(document, "schema")) != 1)
		return error_set(err, -EINVAL,
			"%s is no report of loadcell's, or of a newer one; "
			"make one with: loadcell report --format json",
			file);
	if (n < 0 || n > 100 * REPORT_POINTS_MAX || step < 1 || step > 86400)
		return error_set(err, -EINVAL, "%s has no sensible points or step_seconds", file);
	ret->from_s = (uint64_t)json_integer_value(json_object_get(document, "from"));
	ret->to_s = (uint64_t)json_integer_value(json_object_get(document, "to"));
	ret->start_s = (uint64_t)json_integer_value(json_object_get(document, "start"));
	ret->step_s = (uint64_t)step;
	ret->n = (size_t)n;
	ret->peak_s = (uint64_t)json_integer_value(json_object_get(document, "peak_step_seconds"));
	result = take_rows(document, ask, ret);
	if (result == -EINVAL)
		return error_set(
			err, result, "%s has a series that is not of %zu points", file, ret->n);
	return result < 0 ? error_set(err, result, "out of memory to read %s", file) : 0;
}

struct source {
	gzFile file;
	uint64_t bytes;
};

static size_t read_some(void *buffer, size_t len, void *data)
{
	struct source *s = data;
	int n = s->bytes > EXPORT_MAX ? -1 : gzread(s->file, buffer, (unsigned int)len);

	s->bytes += n > 0 ? (uint64_t)n : 0;
	return n < 0 ? (size_t)-1 : (size_t)n;
}

int report_each_export(char *const *files, size_t n,
	int (*call)(void *data, const char *file, const json_t *document), void *data,
	struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		bool input = !strcmp(files[i], "-");
		struct source s = {
			.file = input ? gzdopen(dup(STDIN_FILENO), "r") : gzopen(files[i], "re")};
		json_error_t why;
		json_t *document;
		int result;

		if (!s.file)
			return error_set(err, -errno, "cannot read %s: %m", files[i]);
		document = json_load_callback(read_some, &s, 0, &why);
		gzclose(s.file);
		if (!document)
			return error_set(err, -EBADMSG, "%s, line %d: %s", files[i], why.line,
				s.bytes > EXPORT_MAX ? "too large for one host" : why.text);
		result = call(data, files[i], document);
		json_decref(document);
		if (result != 0)
			return result;
	}
	return 0;
}
