/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests/soak/run: discovery, sampler, snapshot and ring in one thread, cycle after cycle as
 * fast as they come, while instances come and go. Prints "begun" and "done", goes on until its
 * input ends, and then prints what it did.
 *
 *	cycles CONFIG N
 */
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../collector/discovery.h"
#include "../../collector/sampler.h"
#include "../../lib/below.h"

#define PAUSE_MS 2

struct soak {
	struct config *config;
	struct hierarchies *h;
	struct index *index;
	struct discovery *discovery;
	struct below *below;
	struct sampler *sampler;
	uint64_t next_ns, appeared;
};

/* What loadcelld's helpers would tell of it comes at once. */
static void appeared(void *data, const struct identity *id)
{
	struct soak *s = data;
	struct disk_figures figures = {.used = value_of(4096), .method = "walk"};
	struct filesystem fs = {.device = (char *)"/dev/sda", .mount = (char *)"/", .size = 1};
	struct identity *described = identity_copy(id);

	sampler_post_appeared(s->sampler, id);
	below_appeared(s->below, id, NULL, NULL);
	free(described->hostname);
	described->hostname = strdup("soak.example");
	sampler_post_described(s->sampler, described);
	identity_free(described);
	sampler_post_disk(s->sampler, id->index, id->run, &figures, &fs);
	s->appeared++;
}

static void described(void *data, const struct identity *id)
{
	sampler_post_described(((struct soak *)data)->sampler, id);
}

static void disappeared(void *data, uint32_t index, uint64_t run)
{
	struct soak *s = data;

	sampler_post_disappeared(s->sampler, index, run);
	below_disappeared(s->below, index, run);
}

static int ask_lxc(void *data, const char *json)
{
	return -ENOTCONN;
}

static const struct discovery_ops ops = {appeared, described, disappeared, ask_lxc};

static void report_below(
	void *data, uint32_t index, uint64_t run, enum metric_id id, uint64_t count)
{
	sampler_post_below(((struct soak *)data)->sampler, index, run, id, count);
}

static void one_cycle(struct soak *s, uint64_t n)
{
	struct pollfd p = {discovery_fd(s->discovery), POLLIN, 0};
	struct sampler_status st;

	if (poll(&p, 1, PAUSE_MS) > 0) {
		discovery_readable(s->discovery);
		s->next_ns = 0;
	}
	if (now_ns(CLOCK_MONOTONIC) >= s->next_ns)
		s->next_ns = discovery_tick(s->discovery, now_ns(CLOCK_MONOTONIC));
	if (n % 50 == 0)
		below_pass(s->below, UINT64_MAX, report_below, s);
	sampler_cycle(s->sampler);
	sampler_status(s->sampler, true, &st);
	if (st.vanished)
		discovery_reconcile_soon(s->discovery);
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static int run(struct soak *s, uint64_t cycles)
{
	struct pollfd in = {0, POLLIN, 0};
	struct sampler_status st;

	for (uint64_t n = 0; n < 20; n++)
		one_cycle(s, n);
	say("begun");
	for (uint64_t n = 0; n < cycles; n++)
		one_cycle(s, n);
	say("done");
	/* Whoever drives this closes it when the instances are gone. */
	while (poll(&in, 1, 0) == 0)
		one_cycle(s, 1);
	sampler_status(s->sampler, true, &st);
	printf("%" PRIu64 " cycles, %" PRIu64 " instances appeared\n", st.cycles, s->appeared);
	return st.cycles > cycles ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct soak s = {0};
	struct error err = {""};
	struct rlimit files = {0};
	char *path = NULL;
	int r = argc == 3 ? config_load(argv[1], &s.config, &err) : -EINVAL;

	if (r == 0)
		r = hierarchies_find(s.config->cgroup_root, s.config->proc_root, &s.h, &err);
	if (r == 0) {
		path = config_data_path(s.config, "index");
		r = MIN(index_load(path, &s.index, &err), 0);
	}
	getrlimit(RLIMIT_NOFILE, &files);
	if (r == 0)
		r = below_new(s.h, &s.below);
	if (r == 0)
		r = sampler_new(s.config, s.h, files.rlim_cur / 2, &s.sampler, &err);
	if (r == 0)
		r = discovery_new(s.config, s.h, s.index, &ops, &s, &s.discovery, &err);
	if (r == 0)
		r = run(&s, strtoull(argv[2], NULL, 10));
	else
		fprintf(stderr, "cycles: %s\n", err.text);
	discovery_free(s.discovery);
	sampler_free(s.sampler);
	below_free(s.below);
	index_free(s.index);
	hierarchies_free(s.h);
	config_free(s.config);
	free(path);
	return r != 0;
}
