/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* `loadcell top`: the live table on a terminal, or tables one after another without one. */

static int parse_seconds(const char *text, uint64_t *ret_ns)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end)
		return parse_duration(text, ret_ns);
	if (!isfinite(s) || s < 0)
		return -EINVAL;
	*ret_ns = s > 86400 ? UINT64_MAX : (uint64_t)(s * 1e9);
	return 0;
}

static int parse_count(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return end == text || *end || *text == '-' || errno || !*ret ? -EINVAL : 0;
}

/* A column by its title without "/s" and "%", in any case, or by its key. */
static int parse_column(const char *text, enum top_column_id *ret)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		const char *title = top_columns[i].title;
		size_t len = strcspn(title, "/%");

		if (!strcasecmp(text, title) ||
			(strlen(text) == len && !strncasecmp(text, title, len)) ||
			(text[0] == top_columns[i].key && !text[1])) {
			*ret = (enum top_column_id)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int bad_column(const struct cli *cli, const char *text)
{
	char list[256] = "";

	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, " %s", top_columns[i].title);
	}
	return cli_usage(cli, "--sort \"%s\" is none of%s.", text, list);
}

static int read_options(struct top *t, int argc, char **argv, bool *ret_batch)
{
	static const struct option longs[] = {
		{"batch", no_argument, NULL, 'b'},
		{"delay", required_argument, NULL, 'd'},
		{"count", required_argument, NULL, 'n'},
		{"sort", required_argument, NULL, 's'},
		{"filter", required_argument, NULL, 'f'},
		{0},
	};
	enum top_column_id column;
	int option, r = CLI_DONE;

	optind = 0;
	while ((option = cli_option(t->cli, argc, argv, "bd:n:s:f:", longs, &r)) != -1) {
		switch (option) {
		case 'b':
			*ret_batch = true;
			break;
		case 'd':
			if (parse_seconds(optarg, &t->delay_ns) < 0 ||
				t->delay_ns < NSEC_PER_SEC / 10 ||
				t->delay_ns > 3600 * NSEC_PER_SEC)
				return cli_usage(t->cli,
					"-d takes 0.1 to 3600 seconds, not \"%s\".", optarg);
			break;
		case 'n':
			if (parse_count(optarg, &t->count) < 0)
				return cli_usage(
					t->cli, "-n takes a number from 1 on, not \"%s\".", optarg);
			*ret_batch = true;
			break;
		case 's':
			if (parse_column(optarg, &column) < 0)
				return bad_column(t->cli, optarg);
			t->model.sort = column;
			t->model.ascending = top_columns[column].text;
			break;
		case 'f':
			if (strlen(optarg) >= TOP_FILTER_MAX)
				return cli_usage(t->cli, "The filter is longer than %d bytes.",
					TOP_FILTER_MAX - 1);
			strcpy(t->model.filter, optarg);
			break;
		default:
			return r ? r : -ECANCELED;
		}
	}
	if (optind < argc)
		return cli_usage(t->cli, "\"%s\" is one argument too many.", argv[optind]);
	return CLI_DONE;
}

static int run(struct top *t, bool batch)
{
	int r;

	if (batch || !t->cli->tty || !isatty(STDIN_FILENO))
		return top_batch_run(t);
	r = top_screen_run(t);
	if (r == -ENOTTY) {
		fprintf(t->cli->err, "loadcell top: The terminal type \"%s\" cannot be drawn on.\n",
			getenv("TERM") ? getenv("TERM") : "");
		return top_batch_run(t);
	}
	return r < 0 ? cli_fail(t->cli, CLI_FAILED, "%s.", strerror(-r)) : r;
}

int top_main(struct cli *cli, int argc, char **argv)
{
	struct top t = {.cli = cli, .model.sort = COLUMN_CPU};
	bool batch = false;
	int r = read_options(&t, argc, argv, &batch);

	if (r)
		return r == -ECANCELED ? CLI_DONE : r;
	t.path = config_run_path(cli->config, "snapshot");
	t.ring_path = config_run_path(cli->config, "recent");
	if (!t.path || !t.ring_path)
		return cli_fail(cli, CLI_FAILED, "%s.", strerror(ENOMEM));
	t.model.config = cli->config;
	r = run(&t, batch);
	top_model_free(&t.model);
	free(t.path);
	free(t.ring_path);
	return r;
}
