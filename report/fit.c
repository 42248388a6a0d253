/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/when.h"
#include "internal.h"

/*
 * `loadcell fit`: how many more of an instance a host takes, by what its instances have used
 * together (stat-room.c), or which of several hosts has most room for one.
 */

#define MOST 10000

struct want {
	double amount[REPORT_RESOURCES]; /* NAN: not asked for, or as `like` */
	char *like;                      /* HANDLE or HOST:HANDLE */
};

/* What `like` has used, on whichever host it is, over that host's points. */
struct like {
	char *host; /* NULL: not found */
	uint64_t start_s, step_s;
	size_t n;
	double *series[REPORT_RESOURCES];
	double disk; /* what it has now; NAN: not known */
};

enum why {
	WHY_DATA, /* too few days */
	WHY_TIMES,
	WHY_CAPACITY
};

struct answer {
	const char *host;
	long fits; /* the least of all resources */
	enum report_resource stops;
	double fullest; /* share of its capacity, with one more (or what --count says), of any */
	enum report_resource fullest_of;
	bool known;
	enum report_resource missing; /* the first without which nothing is known */
	struct line {
		bool asked, known, untold; /* untold: the host says nothing of it */
		enum why why;              /* it is not known */
		long fits;
		double capacity, one; /* one: NAN: a series */
		struct stat_room now, with;
	} line[REPORT_RESOURCES];
};

struct fit_call {
	struct cli *cli;
	const char *count_text, *probability, *from, *to, *remove;
	bool json, from_json;
	struct report_ask ask;
	struct want want;
	struct like like;
	bool removed; /* --remove was found */
	double sure;
	long count; /* 0: as many as fit */
	struct error err;
	struct json_out out;
	/* of several hosts */
	char *best;
	struct answer best_answer;
	bool any; /* of which it is known */
};

/* --- what is wanted --------------------------------------------------------------------------- */

static int take_amount(struct want *w, const char *key, const char *value)
{
	uint64_t bytes;
	char *end;

	if (!strcmp(key, "like")) {
		free(w->like);
		w->like = strdup(value);
		return w->like ? 0 : -ENOMEM;
	}
	for (size_t k = 0; k < REPORT_RESOURCES; k++) {
		if (strcmp(key, report_resource[k].name) != 0)
			continue;
		if (k == REPORT_MEMORY || k == REPORT_DISK) {
			if (parse_size(value, &bytes) < 0)
				return -EINVAL;
			w->amount[k] = (double)bytes;
			return 0;
		}
		w->amount[k] = strtod(value, &end);
		return end != value && !*end && w->amount[k] > 0 && w->amount[k] < 1e9 ? 0
										       : -EINVAL;
	}
	return -EINVAL;
}

static int take_want(struct fit_call *f, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = NULL;

	for (size_t k = 0; k < REPORT_RESOURCES; k++)
		f->want.amount[k] = (double)NAN;
	for (char *part = copy ? strtok_r(copy, ",", &rest) : NULL; part;
		part = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(part, '=');

		if (value)
			*value++ = '\0';
		if (!value || !*value || take_amount(&f->want, part, value) < 0)
			return cli_usage(f->cli,
				"'%s%s%s' is none of memory=2G, cpu=1.5, pids=500, disk=20G, "
				"like=NAME",
				part, value ? "=" : "", value ? value : "");
	}
	return copy && *text ? -1 : cli_usage(f->cli, "nothing is asked for");
}

/* By HANDLE or HOST:HANDLE. */
static const struct report_row *find_row(const struct report *r, const char *name)
{
	size_t len = r->host.name ? strlen(r->host.name) : 0;
	bool here = name && len && !strncmp(name, r->host.name, len) && name[len] == ':';

	for (size_t i = 0; name && i < r->rows; i++)
		if (!strcmp(r->row[i].name, name) ||
			(here && !strcmp(r->row[i].name, name + len + 1)))
			return &r->row[i];
	return NULL;
}

/* --- what is like something that runs --------------------------------------------------------- */

static int find_like(struct fit_call *f, const struct report *r, const char *file)
{
	const struct report_row *row = find_row(r, f->want.like);
	struct like *l = &f->like;
	const char *host = r->host.name ? r->host.name : "";

	if (!row)
		return 0;
	if (l->host && !strcmp(l->host, host))
		return error_set(&f->err, -EEXIST,
			"'%s' is in several exports of %s, %s is one: give only one of them",
			f->want.like, host, file);
	if (l->host)
		return error_set(&f->err, -EEXIST,
			"'%s' is on %s and on %s: say which, such as like=%s:%s", f->want.like,
			l->host, host, l->host, row->name);
	*l = (struct like){.host = strdup(host),
		.start_s = r->start_s,
		.step_s = r->step_s,
		.n = r->n,
		.disk = row->value[FIELD_DISK_USED]};
	for (size_t k = 0; l->host && k < REPORT_DISK; k++) {
		if (!row->series[k] || isnan(last_known(row->series[k], r->n)))
			continue;
		l->series[k] = series_new(r->n);
		if (!l->series[k])
			return error_set(&f->err, -ENOMEM, "out of memory");
		memcpy(l->series[k], row->series[k], r->n * sizeof(double));
	}
	if (!l->series[REPORT_CPU] && !l->series[REPORT_MEMORY])
		return error_set(&f->err, -ENODATA, "%s has no values over time of '%s'%s", file,
			f->want.like,
			f->from_json ? ": make it with loadcell report --format json --series"
				     : "");
	return 0;
}

static void free_like(struct like *l)
{
	free(l->host);
	for (size_t k = 0; k < REPORT_RESOURCES; k++)
		free(l->series[k]);
}

/* Over a host's points: the mean of what is known in each one's time, where that is half of it.
 * All NAN: other times. */
static double *series_at(const struct report *r, const struct like *l, const double *values)
{
	double *ret = series_new(r->n);

	for (size_t i = 0; ret && i < r->n; i++) {
		uint64_t start = r->start_s + i * r->step_s, end = start + r->step_s, known = 0;
		size_t k = start > l->start_s ? (start - l->start_s) / l->step_s : 0;
		double mean = 0;

		for (; k < l->n && l->start_s + k * l->step_s < end; k++) {
			uint64_t from = l->start_s + k * l->step_s, to = from + l->step_s;
			uint64_t both = MIN(end, to) - MAX(start, from);

			if (isnan(values[k]))
				continue;
			known += both;
			mean += (values[k] - mean) * (double)both / (double)known;
		}
		if (2 * known >= r->step_s)
			ret[i] = mean;
	}
	return ret;
}

/* --- one host --------------------------------------------------------------------------------- */

static double capacity_of(const struct report *r, enum report_resource k)
{
	static const enum field fields[] = {
		[REPORT_CPU] = FIELD_HOST_CPUS,
		[REPORT_MEMORY] = FIELD_HOST_MEMORY,
		[REPORT_PIDS] = FIELD_HOST_TASKS_LIMIT,
	};

	return k < ARRAY_SIZE(fields) ? r->host.value[fields[k]] : (double)NAN;
}

/* All that is used on the host: by its instances, but for one that is to go, and beside them. Where
 * no instance is known, what is used beside them is all. */
static double *used_of(
	const struct report *r, enum report_resource k, const struct report_row *gone)
{
	double *used = series_new(r->n);

	for (size_t i = 0; used && i < r->n; i++) {
		used[i] = r->host.series[k] ? r->host.series[k][i] : (double)NAN;
		if (r->other[k])
			used[i] = r->other[k][i] + (isnan(used[i]) ? 0 : used[i]);
		if (gone && gone->series[k] && !isnan(gone->series[k][i]))
			used[i] -= gone->series[k][i];
	}
	return used;
}

static int ask_resource(const struct fit_call *f, const struct report *r, enum report_resource k,
	const struct report_row *gone, struct line *ret)
{
	_cleanup_free_ double *used = NULL, *one = NULL;
	struct stat_load load = {.n = r->n,
		.step_s = r->step_s,
		.fixed = f->want.amount[k],
		.capacity = capacity_of(r, k)};
	int result;

	*ret = (struct line){.capacity = load.capacity, .one = load.fixed};
	ret->asked = !isnan(load.fixed) || f->like.series[k];
	ret->why = WHY_CAPACITY;
	ret->untold = true;
	if (!ret->asked || isnan(load.capacity))
		return 0;
	load.used = used = used_of(r, k, gone);
	if (isnan(load.fixed))
		load.one = one = series_at(r, &f->like, f->like.series[k]);
	if (!used || (isnan(load.fixed) && !one))
		return -ENOMEM;
	ret->untold = isnan(last_known(used, r->n));
	ret->why = one && isnan(last_known(one, r->n)) &&
				   !isnan(last_known(f->like.series[k], f->like.n))
			   ? WHY_TIMES
			   : WHY_DATA;
	ret->fits = stat_fits(&load, f->sure, MOST);
	if (ret->fits == -ENOMEM)
		return -ENOMEM;
	if (ret->fits < 0)
		return 0; /* not enough data */
	ret->known = true;
	result = stat_room(&load, 0, &ret->now);
	return result < 0 ? result
			  : stat_room(&load, f->count ? f->count : MAX(ret->fits, 1), &ret->with);
}

/* Disks have no joint history: what is free on the roomiest file system that holds instances. */
static void ask_disk(const struct fit_call *f, const struct report *r,
	const struct report_row *gone, struct line *ret)
{
	const struct report_filesystem *most = NULL;
	double one = f->want.amount[REPORT_DISK], available;

	one = isnan(one) ? f->like.disk : one;
	*ret = (struct line){.asked = !isnan(one),
		.one = one,
		.why = WHY_CAPACITY,
		.untold = true,
		.capacity = NAN};
	for (size_t i = 0; i < r->filesystems; i++)
		if (r->filesystem[i].size > 0 && r->filesystem[i].available >= 0 &&
			(!most || r->filesystem[i].available > most->available))
			most = &r->filesystem[i];
	if (!ret->asked || !most)
		return;
	available = most->available;
	/* Of several, nobody tells on which it is. */
	if (gone && r->filesystems == 1 && !isnan(gone->value[FIELD_DISK_USED]))
		available = fmin(available + gone->value[FIELD_DISK_USED], most->size);
	ret->known = true;
	ret->capacity = most->size;
	ret->fits = one > 0 ? (long)fmin(floor(available / one), MOST) : MOST;
	ret->now.peak = ret->with.peak = most->size - available;
	ret->with.peak += (double)(f->count ? f->count : MAX(ret->fits, 1)) * one;
	ret->now.sure = ret->now.sure_least = (double)NAN;
	ret->with.sure = ret->with.sure_least = (double)NAN;
}

static int ask_host(struct fit_call *f, const struct report *r, struct answer *a)
{
	const struct report_row *gone = find_row(r, f->remove);
	int result = 0;

	*a = (struct answer){.host = r->host.name, .fits = MOST, .known = true};
	for (size_t k = 0; k < REPORT_RESOURCES && result == 0; k++) {
		struct line *l = &a->line[k];

		if (k == REPORT_DISK)
			ask_disk(f, r, gone, l);
		else
			result = ask_resource(f, r, k, gone, l);
		if (!l->asked)
			continue;
		/* Of what `like` has used, tasks and disk may be left out. */
		if (a->known && !l->known &&
			!(l->untold && k > REPORT_MEMORY && isnan(f->want.amount[k]))) {
			a->known = false;
			a->missing = k;
		}
		if (l->known && l->fits < a->fits) {
			a->fits = l->fits;
			a->stops = k;
		}
		if (l->known && l->with.peak / l->capacity > a->fullest) {
			a->fullest = l->with.peak / l->capacity;
			a->fullest_of = k;
		}
	}
	return result;
}

/* --- what is said ----------------------------------------------------------------------------- */

static struct cell amount_cell(enum report_resource k, double v)
{
	struct cell c = {"-"};

	if (isnan(v) || v < 0)
		return c;
	return k == REPORT_CPU    ? cell_cores((uint64_t)llround(v * 1e9))
	       : k == REPORT_PIDS ? cell_count((uint64_t)llround(v))
				  : cell_bytes((uint64_t)llround(v));
}

static struct cell share_cell(double v)
{
	struct cell c = {"-"};

	return isnan(v) ? c : cell_percent((uint64_t)llround(fmax(0, v) * 1e9));
}

static const struct {
	const char *text, *json;
} reasons[] = {
	[WHY_DATA] = {"not enough data: 14 days are needed", "not-enough-data"},
	[WHY_TIMES] = {"no values at the same times", "other-times"},
	[WHY_CAPACITY] = {"the host's own is not known", "capacity-unknown"},
};

static void put_lines(const struct fit_call *f, const struct report *r, const struct answer *a)
{
	FILE *out = f->cli->out;
	unsigned int days = 0;

	fprintf(out, "%-8s %8s %8s %8s %6s %10s %7s %9s\n", "RESOURCE", "HAS", "PEAK", "ONE MORE",
		"FIT", "PEAK THEN", "SURE", "AT LEAST");
	for (size_t k = 0; k < REPORT_RESOURCES; k++) {
		const struct line *l = &a->line[k];

		if (!l->asked)
			continue;
		fprintf(out, "%-8s %8s ", report_resource[k].name,
			amount_cell(k, l->capacity).text);
		if (!l->known) {
			fprintf(out, "%s\n", reasons[l->why].text);
			continue;
		}
		fprintf(out, "%8s %8s %6ld %10s %7s %9s\n", amount_cell(k, l->now.peak).text,
			isnan(l->one) ? f->want.like : amount_cell(k, l->one).text, l->fits,
			amount_cell(k, l->with.peak).text, share_cell(l->with.sure).text,
			share_cell(l->with.sure_least).text);
		days = MAX(days, l->now.days);
	}
	fprintf(out,
		"\nPeaks of %u days, of averages of %s, at the present level; SURE: the share of "
		"days\n"
		"on which that holds, AT LEAST with 95 %% confidence. Disk: as it is now.\n",
		days, cell_duration(r->step_s * NSEC_PER_SEC).text);
}

static void put_sentence(const struct fit_call *f, const struct answer *a)
{
	FILE *out = f->cli->out;

	if (!a->known)
		fprintf(out, "%s: not known: %s: %s\n", a->host, report_resource[a->missing].name,
			reasons[a->line[a->missing].why].text);
	else if (f->count)
		fprintf(out, "%s: %ld more %s%s%s\n", a->host, f->count,
			a->fits >= f->count ? "fit" : "do not fit: ",
			a->fits >= f->count ? "" : report_resource[a->stops].name,
			a->fits >= f->count ? "" : " stops it");
	else
		fprintf(out, "%s: %ld more fit; %s stops it\n", a->host, a->fits,
			report_resource[a->stops].name);
}

static void put_json_line(struct json_out *j, const char *key, const struct line *l)
{
	const double unknown = NAN;

	json_begin(j, key, '{');
	json_bool(j, "known", l->known);
	json_text(j, "why_not", l->known ? NULL : reasons[l->why].json);
	json_figure(j, "capacity", l->capacity);
	json_figure(j, "fits", l->known ? (double)l->fits : unknown);
	json_figure(j, "days", l->known && l->now.days ? l->now.days : unknown);
	json_figure(j, "peak", l->known ? l->now.peak : unknown);
	json_figure(j, "peak_then", l->known ? l->with.peak : unknown);
	json_figure(j, "sure", l->known ? l->with.sure : unknown);
	json_figure(j, "sure_at_least", l->known ? l->with.sure_least : unknown);
	json_end(j, '}');
}

/* What is not known is null: docs/fit.md. */
static void put_json(struct fit_call *f, const struct report *r, const struct answer *a)
{
	struct json_out *j = &f->out;
	long count = MAX(f->count, 1);

	json_begin(j, NULL, '{');
	json_text(j, "host", a->host);
	json_bool(j, "known", a->known);
	json_figure(j, "fits", a->known ? (double)a->fits : (double)NAN);
	json_number(j, "count", (uint64_t)count);
	if (a->known)
		json_bool(j, "enough", a->fits >= count);
	else
		json_text(j, "enough", NULL);
	json_text(j, "stops", a->known ? report_resource[a->stops].name : NULL);
	json_text(j, "fullest", a->known ? report_resource[a->fullest_of].name : NULL);
	json_figure(j, "fullest_ratio", a->known ? a->fullest : (double)NAN);
	json_figure(j, "probability", f->sure);
	json_number(j, "step_seconds", r->step_s);
	json_begin(j, "resources", '{');
	for (size_t k = 0; k < REPORT_RESOURCES; k++)
		if (a->line[k].asked)
			put_json_line(j, report_resource[k].name, &a->line[k]);
	json_end(j, '}');
	json_end(j, '}');
}

/* --- the command ------------------------------------------------------------------------------ */

static int look_for_names(struct fit_call *f, const struct report *r, const char *file)
{
	f->removed |= find_row(r, f->remove) != NULL;
	return find_like(f, r, file);
}

static int names_missing(struct fit_call *f)
{
	const char *name = f->want.like && !f->like.host ? f->want.like
			   : f->remove && !f->removed    ? f->remove
							 : NULL;

	return name ? cli_fail(f->cli, CLI_NO_INSTANCE, "nothing of '%s' is known in %s", name,
			      f->from_json ? "these exports" : "that time")
		    : CLI_DONE;
}

static int this_host(struct fit_call *f)
{
	_cleanup_(report_free) struct report r = {0};
	struct answer a;
	int result;

	if (report_read(f->cli, &f->ask, &r, &f->err) < 0 ||
		look_for_names(f, &r, "what is stored") < 0)
		return cli_fail(f->cli, CLI_FAILED, "%s", f->err.text);
	result = names_missing(f);
	if (result != CLI_DONE)
		return result;
	if (ask_host(f, &r, &a) < 0)
		return cli_fail(f->cli, CLI_FAILED, "out of memory");
	if (f->json) {
		put_json(f, &r, &a);
		fputc('\n', f->cli->out);
	} else {
		put_sentence(f, &a);
		fputc('\n', f->cli->out);
		put_lines(f, &r, &a);
	}
	return !a.known ? CLI_STALE : f->count && a.fits < f->count ? CLI_FAILED : CLI_DONE;
}

static int take_names(void *data, const char *file, const json_t *document)
{
	struct fit_call *f = data;
	_cleanup_(report_free) struct report r = {0};
	int result = report_parse(document, file, &f->ask, &r, &f->err);

	return result < 0 ? result : look_for_names(f, &r, file);
}

static int take_host(void *data, const char *file, const json_t *document)
{
	struct fit_call *f = data;
	_cleanup_(report_free) struct report r = {0};
	struct answer a;
	int result = report_parse(document, file, &f->ask, &r, &f->err);

	if (result == 0)
		result = ask_host(f, &r, &a);
	if (result < 0)
		return result;
	if (f->json) {
		json_line(&f->out);
		put_json(f, &r, &a);
	} else if (!a.known)
		fprintf(f->cli->out, "%-30.30s %s: %s\n", a.host, report_resource[a.missing].name,
			reasons[a.line[a.missing].why].text);
	else
		fprintf(f->cli->out, "%-30.30s %6ld  %-8s %8s\n", a.host, a.fits,
			report_resource[a.stops].name, share_cell(a.fullest).text);
	f->any |= a.known;
	/* The roomiest that takes it: the one that is least full then. */
	if (a.known && a.fits >= MAX(f->count, 1) &&
		(!f->best || a.fullest < f->best_answer.fullest)) {
		free(f->best);
		f->best = strdup(a.host);
		f->best_answer = a;
	}
	return 0;
}

/* What is looked for may be in the last of the files: they are read twice. */
static int find_names(struct fit_call *f, char *const *files, size_t n)
{
	if (!f->want.like && !f->remove)
		return CLI_DONE;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(files[i], "-"))
			return cli_usage(f->cli,
				"with like= or --remove exports are read twice: standard input "
				"cannot be one");
	if (report_each_export(files, n, take_names, f, &f->err) < 0)
		return cli_fail(f->cli, CLI_FAILED, "%s", f->err.text);
	return names_missing(f);
}

static int these_hosts(struct fit_call *f, char *const *files, size_t n)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int result = find_names(f, files, n);

	if (result != CLI_DONE)
		return result;
	f->count = MAX(f->count, 1);
	if (f->json) {
		/* A document is whole, or there is none. */
		f->out.out = open_memstream(&text, &len);
		if (!f->out.out)
			return cli_fail(f->cli, CLI_FAILED, "out of memory");
		json_begin(&f->out, NULL, '{');
		json_begin(&f->out, "hosts", '[');
	} else
		fprintf(f->cli->out, "%-30s %6s  %-8s %8s\n", "HOST", "FIT", "STOPS", "FULLEST");
	result = report_each_export(files, n, take_host, f, &f->err);
	if (f->json) {
		json_end(&f->out, ']');
		json_text(&f->out, "best", f->best);
		json_end(&f->out, '}');
		if (fclose(f->out.out) == EOF && result == 0)
			result = error_set(&f->err, -ENOMEM, "out of memory");
	}
	if (result < 0)
		return cli_fail(f->cli, CLI_FAILED, "%s", f->err.text);
	if (f->json)
		fprintf(f->cli->out, "%s\n", text);
	else if (f->best)
		fprintf(f->cli->out,
			"\n%s: with %ld more its fullest resource, %s, peaks at %s of what it "
			"has.\n",
			f->best, f->count, report_resource[f->best_answer.fullest_of].name,
			share_cell(f->best_answer.fullest).text);
	else
		fprintf(f->cli->out,
			f->any ? "\nNo host of which it is known takes %ld more.\n"
			       : "\nOf no host it is known whether it takes %ld more.\n",
			f->count);
	return f->best ? CLI_DONE : f->any ? CLI_FAILED : CLI_STALE;
}

static int take_options(struct fit_call *f)
{
	uint64_t now = now_ns(CLOCK_REALTIME), from, to, sure;
	char *end;

	if (f->count_text) {
		f->count = strtol(f->count_text, &end, 10);
		if (*end || f->count < 1 || f->count > MOST)
			return cli_usage(
				f->cli, "--count takes 1 to %d, not '%s'", MOST, f->count_text);
	}
	if (parse_percent(f->probability, &sure) < 0 || sure < NSEC_PER_SEC / 2 ||
		sure > NSEC_PER_SEC)
		return cli_usage(f->cli, "--sure is 50%% to 100%%, not '%s'", f->probability);
	f->sure = (double)sure / 1e9;
	if (when_parse(f->from, now, &from) < 0 || when_parse(f->to, now, &to) < 0 || from >= to)
		return cli_usage(f->cli, "'%s' to '%s' is no time", f->from, f->to);
	f->ask.from_s = from / NSEC_PER_SEC;
	f->ask.to_s = MIN(to, now) / NSEC_PER_SEC;
	return -1;
}

int fit_main(struct cli *cli, int argc, char **argv)
{
	struct fit_call f = {.cli = cli,
		.from = "-60d",
		.to = "now",
		.probability = "95%",
		.like.disk = NAN,
		.ask = {.permille = 990, .margin = 0.2, .keep_series = true},
		.out = {.out = cli->out}};
	const struct cli_option options[] = {
		{"count", 'n', "N", &f.count_text, "whether so many fit: exit status 0 or 1"},
		{"sure", 'p', "P%", &f.probability, "of days on which it must hold: 95%"},
		{"remove", 0, "NAME", &f.remove, "as if that instance were gone"},
		{"from", 's', "WHEN", &f.from, "-60d (the default), 2026-01-01, ..."},
		{"to", 'e', "WHEN", &f.to, "now (the default), ..."},
		{"from-json", 0, NULL, &f.from_json, "on which of these hosts: files follow"},
		{"json", 'j', NULL, &f.json, "for programs"},
	};
	int result = cli_options(cli, argc, argv, options, ARRAY_SIZE(options));

	if (result < 0)
		result = take_options(&f);
	if (result < 0 && optind >= argc)
		result = cli_usage(cli, "what is to fit? such as memory=2G,cpu=1.5");
	if (result < 0 && argc - optind > 1 && !f.from_json)
		result = cli_usage(cli, "one thing at a time, not '%s'", argv[optind + 1]);
	if (result < 0 && argc - optind < 2 && f.from_json)
		result = cli_usage(cli, "--from-json needs files");
	if (result < 0)
		result = take_want(&f, argv[optind]);
	if (result < 0)
		result = f.from_json
				 ? these_hosts(&f, argv + optind + 1, (size_t)(argc - optind - 1))
				 : this_host(&f);
	free(f.want.like);
	free_like(&f.like);
	free(f.best);
	return result;
}
