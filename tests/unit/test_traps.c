/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snmp-subagent/traps.h"

#define S NSEC_PER_SEC

/* What was sent is one word each: "3:start" is the event of number 3; "stale", "left-out=7". */
struct world {
	char dir[64];
	struct config *config;
	struct source source;
	struct traps traps;
	unsigned int room;
	uint64_t unconfirmed;
	int result;
	uint64_t now;
	char sent[64 << 10];
	unsigned int sent_n;
};

static unsigned int room(void *data, uint64_t *ret_unconfirmed)
{
	const struct world *w = data;

	*ret_unconfirmed = w->unconfirmed;
	return w->room;
}

static int note(void *data, enum smi_notification type, const json_t *event)
{
	static const char *const names[] = {[SMI_STALE] = "stale", [SMI_RECOVERED] = "fresh"};
	struct world *w = data;
	char *end = w->sent + strlen(w->sent);

	if (w->result < 0)
		return w->result;
	if (event) {
		assert_int_equal(type,
			smi_notification_of(json_string_value(json_object_get(event, "type"))));
		sprintf(end, " %d:%s", (int)json_integer_value(json_object_get(event, "id")),
			json_string_value(json_object_get(event, "type")));
	} else if (type == SMI_LEFT_OUT) {
		sprintf(end, " left-out=%u", w->source.left_out);
	} else {
		sprintf(end, " %s", names[type]);
	}
	w->sent_n++;
	return 0;
}

static void start(struct world *w)
{
	traps_init(&w->traps, &w->source, &(struct traps_sender){w, room, note});
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_cleanup_free_ char *text = NULL;
	struct error err;

	strcpy(w->dir, "/dev/shm/loadcell-traps-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	text = format_string("run_dir = %s\ndata_dir = %s\nsnmp_state_dir = %s/state\n"
			     "stale_after = 20s\n",
		w->dir, w->dir, w->dir);
	assert_int_equal(config_parse(text, strlen(text), "test", &w->config, &err), 0);
	w->source.config = w->config;
	w->room = 1000;
	w->now = now_ns(CLOCK_MONOTONIC);
	start(w);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct world *w = *state;

	traps_free(&w->traps);
	config_free(w->config);
	nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

static void put(struct world *w, int id, const char *type, int run, int age, const char *more)
{
	_cleanup_free_ char *path = format_string("%s/events.jsonl", w->dir);
	_cleanup_fclose_ FILE *f = fopen(path, "a");

	assert_non_null(f);
	fprintf(f, "{\"schema\":1,\"id\":%d,\"time\":%ld.5,\"type\":\"%s\",\"run\":\"%016x\"%s}\n",
		id, (long)time(NULL) - age, type, (unsigned int)run, more);
}

static void event(struct world *w, int id, const char *type, int run)
{
	put(w, id, type, run, 0, "");
}

/* So many seconds. */
static const char *run(struct world *w, int seconds)
{
	w->sent[0] = '\0';
	w->sent_n = 0;
	for (int i = 0; i < seconds; i++) {
		traps_tick(&w->traps, w->now);
		traps_send(&w->traps, w->now);
		w->now += S;
	}
	return w->sent;
}

/* Another boot, as the note has it. */
static void reboot_host(struct world *w)
{
	_cleanup_free_ char *path = format_string("%s/state/notified", w->dir);
	char line[200];
	int fd;

	traps_free(&w->traps);
	fd = open(path, O_RDWR);
	assert_true(pread(fd, line, sizeof(line), 0) > 20);
	strstr(line, "boot ")[5] ^= 1;
	assert_true(pwrite(fd, line, strcspn(line, "\n") + 1, 0) > 20);
	close(fd);
	start(w);
}

/* As kill -9 ends it, and another start. */
static void restart(struct world *w)
{
	traps_free(&w->traps);
	start(w);
}

static void test_once(void **state)
{
	struct world *w = *state;

	event(w, 1, "start", 1);
	event(w, 2, "oom", 1);
	assert_string_equal(run(w, 2), ""); /* history is not replayed */
	event(w, 3, "limit-changed", 1);
	event(w, 4, "oom", 1);
	event(w, 5, "reboot", 1);
	event(w, 6, "start", 2);
	event(w, 7, "flapping", 2);
	assert_string_equal(run(w, 3), " 4:oom 5:reboot 6:start");
	event(w, 8, "stop", 2);
	restart(w);
	assert_string_equal(run(w, 3), " 8:stop");
	event(w, 9, "appeared", 3);
	assert_string_equal(run(w, 2), " 9:appeared");
	event(w, 10, "start", 3); /* a record that came late */
	assert_string_equal(run(w, 2), "");
	restart(w);
	event(w, 11, "disappeared", 3);
	assert_string_equal(run(w, 2), " 11:disappeared");
	restart(w);
	event(w, 12, "start", 3);
	assert_string_equal(run(w, 2), "");
}

/* Ended within the sending: what was to be sent by then is not sent again. */
static void test_crash(void **state)
{
	struct world *w = *state;

	run(w, 1);
	event(w, 1, "start", 1);
	event(w, 2, "start", 2);
	w->result = -EIO;
	run(w, 1);
	w->result = 0;
	restart(w);
	event(w, 3, "start", 3);
	assert_string_equal(run(w, 3), " 3:start");
}

static void test_snmpd_away(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->room = 0;
	event(w, 1, "start", 1);
	event(w, 2, "stop", 1);
	assert_string_equal(run(w, 30), "");
	restart(w);
	assert_string_equal(run(w, 30), "");
	w->room = 1;
	assert_string_equal(run(w, 1), " 1:start");
	w->unconfirmed = 3; /* it was killed meanwhile */
	assert_string_equal(run(w, 1), " 2:stop");
	assert_string_equal(run(w, 2), " left-out=3");
	assert_string_equal(run(w, 30), "");
}

static void test_storm(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->room = 0;
	for (int id = 1; id <= 1000; id++)
		event(w, id, "start", id);
	run(w, 1);
	w->room = 1000;
	run(w, 1); /* the newest 400: 200 at once, */
	assert_int_equal(w->sent_n, 200);
	assert_memory_equal(w->sent, " 601:start 602:start", 20);
	run(w, 5); /* and 20 a second */
	assert_int_equal(w->sent_n, 100);
	run(w, 6);
	assert_int_equal(w->sent_n, 101);
	assert_non_null(strstr(w->sent, " 1000:start"));
	assert_non_null(strstr(w->sent, " left-out=600"));
	assert_string_equal(run(w, 30), "");
	restart(w);
	assert_string_equal(run(w, 3), "");
}

/* All of a long storm are told, or told to be left out, in few summaries. */
static void test_long_storm(void **state)
{
	struct world *w = *state;
	unsigned int sent = 0, left_out = 0, summaries = 0;

	run(w, 1);
	for (int i = 0; i < 120; i++) {
		for (int id = 1; id <= 40 && i < 60; id++)
			event(w, 40 * i + id, "start", 40 * i + id);
		run(w, 1);
		sent += w->sent_n;
		if (strstr(w->sent, "left-out=")) {
			summaries++;
			left_out += w->source.left_out;
		}
	}
	assert_int_equal(sent - summaries + left_out, 2400);
	assert_in_range(summaries, 2, 7);
	assert_in_range(left_out, 500, 700); /* of 2400: 200 + 60 * 20 + 400 are not */
}

static void test_other_boot(void **state)
{
	struct world *w = *state;
	uint64_t up = now_ns(CLOCK_BOOTTIME) / S;

	put(w, 1, "start", 1, (int)up + 100, "");
	run(w, 1);
	put(w, 2, "stop", 1, (int)up + 50, ",\"how\":\"stop\"");
	put(w, 3, "disappeared", 4, (int)up + 40, ",\"how\":\"host-crash\"");
	event(w, 4, "start", 5);
	reboot_host(w);
	assert_string_equal(run(w, 1), " 3:disappeared 4:start left-out=1");
	restart(w);
	assert_string_equal(run(w, 3), "");

	/* Ended before the summary: what may have been told is still left out. */
	put(w, 5, "stop", 6, (int)up + 50, ",\"how\":\"stop\"");
	event(w, 6, "start", 7);
	reboot_host(w);
	w->room = 0;
	assert_string_equal(run(w, 1), "");
	restart(w);
	w->room = 1000;
	assert_string_equal(run(w, 3), " 6:start");
}

/* A journal that cannot be read for a while is not one without events; stale data is told. */
static void test_unreadable(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/events.jsonl", w->dir);
	_cleanup_free_ char *aside = format_string("%s/aside", w->dir);

	event(w, 1, "start", 1);
	run(w, 1);
	event(w, 2, "start", 2);
	assert_string_equal(run(w, 1), " 2:start");
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	restart(w);
	assert_string_equal(run(w, 3), "");
	w->source.view.stale = true;
	assert_string_equal(run(w, 30), " stale");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	event(w, 3, "stop", 2);
	assert_string_equal(run(w, 3), " 3:stop");
	restart(w);
	assert_string_equal(run(w, 30), "");
}

static void test_state(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = format_string("%s/state/notified", w->dir);
	_cleanup_free_ char *journal = format_string("%s/events.jsonl", w->dir);
	struct traps other;
	FILE *f;

	event(w, 5, "start", 1);
	run(w, 1);
	/* Two do not send the same. */
	traps_init(&other, &w->source, &(struct traps_sender){w, room, note});
	event(w, 6, "start", 2);
	traps_tick(&other, w->now);
	traps_send(&other, w->now);
	traps_free(&other);
	assert_string_equal(w->sent, "");
	assert_string_equal(run(w, 1), " 6:start");

	/* A damaged note begins anew. */
	traps_free(&w->traps);
	f = fopen(path, "w");
	fputs("rubbish\n", f);
	fclose(f);
	event(w, 7, "start", 3);
	start(w);
	assert_string_equal(run(w, 1), "");
	event(w, 8, "start", 4);
	assert_string_equal(run(w, 1), " 8:start");

	/* All data was removed, and numbers begin at 1 again. */
	traps_free(&w->traps);
	assert_int_equal(truncate(journal, 0), 0);
	event(w, 1, "start", 11);
	start(w);
	assert_string_equal(run(w, 1), "");
	event(w, 2, "stop", 11);
	assert_string_equal(run(w, 1), " 2:stop");
}

static void test_stale(void **state)
{
	struct world *w = *state;

	w->source.view.stale = true;
	assert_string_equal(run(w, 20), "");
	assert_string_equal(run(w, 5), " stale");
	restart(w);
	assert_string_equal(run(w, 60), "");
	w->source.view.stale = false;
	assert_string_equal(run(w, 5), " fresh");
	restart(w);
	assert_string_equal(run(w, 5), "");
	w->now += 60 * S;
	w->source.view.stale = true;
	w->room = 0;
	run(w, 20);
	w->source.view.stale = false;
	w->room = 1;
	assert_string_equal(run(w, 5), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_once),
		TEST(test_crash),
		TEST(test_snmpd_away),
		TEST(test_storm),
		TEST(test_long_storm),
		TEST(test_other_boot),
		TEST(test_unreadable),
		TEST(test_state),
		TEST(test_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
