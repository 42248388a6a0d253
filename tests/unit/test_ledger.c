/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "collector/ledger.h"
#include "collector/tell.h"
#include "lib/value.h"

/*
 * The core of the ledger without a process: messages and records in, lines out, which are written
 * here by hand. Times are in seconds from 1000 on.
 */
#define SEC NSEC_PER_SEC

struct fixture {
	struct ledger *ledger;
	char out[16384]; /* lines and wishes since the last look, one a line */
	uint64_t now;    /* monotonic, seconds */
	int fail;        /* what the next line's writing returns */
	bool alive;      /* of any init */
	bool again;      /* records are those of an earlier process */
};

static void note(struct fixture *x, const char *format, ...) _printf_(2, 3);
static void note(struct fixture *x, const char *format, ...)
{
	size_t len = strlen(x->out);
	va_list ap;

	va_start(ap, format);
	vsnprintf(x->out + len, sizeof(x->out) - len, format, ap);
	va_end(ap);
}

static int put(struct fixture *x, const char *what, const json_t *line)
{
	_cleanup_free_ char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(16));

	if (x->fail)
		return x->fail;
	note(x, "%s %s\n", what, text);
	return 0;
}

static int put_run(void *data, const json_t *line)
{
	return put(data, "run", line);
}

static int put_event(void *data, const json_t *line)
{
	return put(data, "event", line);
}

static void want_flight(void *data, uint64_t id, uint64_t run, const char *handle)
{
	note(data, "flight %" PRIu64 " %" PRIx64 " %s\n", id, run, handle);
}

static void note_ended(void *data, uint64_t run)
{
	note(data, "ended %" PRIx64 "\n", run);
}

static void bring_samples(void *data, uint64_t since_ns)
{
}

static uint64_t wall_clock(void *data)
{
	return (((struct fixture *)data)->now - 4000) * SEC;
}

static bool is_alive(void *data, pid_t init, uint64_t starttime)
{
	return ((struct fixture *)data)->alive;
}

static bool identify(void *data, const char *lxcpath, const char *name, uint32_t *ret_index,
	const char **ret_handle)
{
	*ret_index = 77;
	*ret_handle = "short~77";
	return strcmp(name, "short") == 0 && strcmp(lxcpath, "/l") == 0;
}

static const struct ledger_ops ops = {
	.run = put_run,
	.event = put_event,
	.flight = want_flight,
	.ended = note_ended,
	.sample = bring_samples,
	.wall = wall_clock,
	.alive = is_alive,
	.identify = identify,
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_int_equal(ledger_new(&ops, x, &x->ledger), 0);
	x->now = 5000;
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	ledger_free(x->ledger);
	free(x);
	return 0;
}

/* What a new process knows that has read what the old one wrote. */
static void begin_again(struct fixture *x, const char *boot)
{
	json_t *saved = ledger_save(x->ledger, "boot-1");

	ledger_free(x->ledger);
	assert_int_equal(ledger_new(&ops, x, &x->ledger), 0);
	assert_int_equal(ledger_load(x->ledger, saved, boot, x->now * SEC), 0);
	json_decref(saved);
}

static json_t *parse(const char *format, va_list ap)
{
	char text[4096], *p = text;
	json_error_t where;
	json_t *j;

	vsnprintf(text, sizeof(text), format, ap);
	while ((p = strchr(p, '\''))) /* so that they can be read here */
		*p = '"';
	j = json_loads(text, 0, &where);
	if (!j)
		fail_msg("%s: %s", text, where.text);
	return j;
}

static int tell(struct fixture *x, const char *format, ...) _printf_(2, 3);
static int tell(struct fixture *x, const char *format, ...)
{
	va_list ap;
	json_t *j;
	int r;

	va_start(ap, format);
	j = parse(format, ap);
	va_end(ap);
	r = ledger_message(x->ledger, j, x->now * SEC);
	json_decref(j);
	return r;
}

static int record(struct fixture *x, const char *format, ...) _printf_(2, 3);
static int record(struct fixture *x, const char *format, ...)
{
	va_list ap;
	json_t *j;
	int r;

	va_start(ap, format);
	j = parse(format, ap);
	va_end(ap);
	r = ledger_record(x->ledger, j, x->again, x->now * SEC);
	json_decref(j);
	return r;
}

static void wait_s(struct fixture *x, uint64_t seconds)
{
	uint64_t next;

	x->now += seconds;
	assert_int_equal(ledger_tick(x->ledger, x->now * SEC, &next), 0);
}

static void sample(struct fixture *x, uint64_t run, uint64_t time_s, uint64_t cpu_ns)
{
	struct value values[METRIC_ID_END] = {0};

	values[metric_slot(METRIC_CPU_USAGE)] = value_of(cpu_ns);
	values[metric_slot(METRIC_MEMORY_LIMIT)] = value_unlimited();
	values[metric_slot(METRIC_NETWORK_RECEIVE_BYTES)] = value_of(10);
	values[metric_slot(METRIC_SAMPLES)] = value_of(3);
	ledger_sample(x->ledger, run, time_s * SEC, values);
}

static void sample_kills(struct fixture *x, uint64_t run, uint64_t time_s, uint64_t kills)
{
	struct value values[METRIC_ID_END] = {0};

	values[metric_slot(METRIC_MEMORY_OOM_KILLS)] = value_of(kills);
	ledger_sample(x->ledger, run, time_s * SEC, values);
}

static void assert_out(struct fixture *x, const char *expected)
{
	char text[sizeof(x->out)], *p = text;

	snprintf(text, sizeof(text), "%s", expected);
	while ((p = strchr(p, '\'')))
		*p = '"';
	assert_string_equal(x->out, text);
	x->out[0] = '\0';
}

#define OPEN(run, name, more)                                                                      \
	"{'op':'open','run':'" run "','index':7,'name':'" name "','handle':'" name                 \
	"','lxcpath':'/l','kind':'lxc','start_ns':1000000000000,'init':9,'starttime':4" more "}"
#define CLOSE(run, time, killed)                                                                   \
	"{'op':'close','run':'" run "','time_ns':" time "000000000,'killed':" killed "}"
#define START(run, name, links)                                                                    \
	"{'schema':1,'type':'start','run':'" run "','time_ns':1000500000000,'name':'" name         \
	"','lxcpath':'/l','init':9,'starttime':4,'start_ns':1000000000000,'links':[" links "]}"
#define STOP(run, name, time, target, network)                                                     \
	"{'schema':1,'type':'stop','run':'" run "','time_ns':" time "000000000,'name':'" name      \
	"','lxcpath':'/l','target':'" target "','network':'" network                               \
	"','metrics':{'cpu_usage_seconds':2500000000,'memory_limit_bytes':67108864}}"
#define WEB "'index':7,'handle':'web','name':'web','lxcpath':'/l','kind':'lxc'"
#define EVENT(id, time, type)                                                                      \
	"event {'schema':1,'id':" id ",'time':" time ",'type':'" type                              \
	"','handle':'web','index':7,'run':'00000000000000aa'"

/* --- how runs end ----------------------------------------------------------------------------- */

static void test_hooks(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(tell(x, OPEN("aa", "web", "")), 0);
	assert_int_equal(record(x, START("aa", "web", "")), 0);
	assert_out(x, EVENT("1", "1000.0", "start") "}\n");
	wait_s(x, 5);
	assert_out(x, "");
	sample(x, 0xaa, 1010, 2000000000);
	assert_int_equal(record(x, STOP("aa", "web", "1020", "stop", "namespace")), 0);
	assert_int_equal(tell(x, CLOSE("aa", "1021", "false")), 0);
	wait_s(x, 0);
	assert_out(x, "");
	wait_s(x, 1);
	assert_out(x, EVENT("2", "1020.0",
			      "stop") ",'how':'stop'}\n"
				      "run {'schema':1,'run':'00000000000000aa'," WEB
				      ",'start':1000.0,'end':1020.0,"
				      "'how':'stop','source':'hook','network':'hook','samples':3,'"
				      "metrics':{"
				      "'cpu_usage_seconds':2.5,'memory_limit_bytes':67108864,"
				      "'network_receive_bytes':10,'samples':3}}\n"
				      "ended aa\n");
	/* All of it again: a record that could not be removed, a repeated message. */
	assert_int_equal(record(x, START("aa", "web", "")), 1);
	assert_int_equal(record(x, STOP("aa", "web", "1020", "stop", "namespace")), 1);
	assert_int_equal(tell(x, OPEN("aa", "web", "")), 0);
	assert_int_equal(tell(x, CLOSE("aa", "1021", "false")), 0);
	wait_s(x, 100);
	assert_out(x, "");
}

/* It lived too short for discovery; the index tells who it is. */
static void test_hooks_alone(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(record(x, STOP("aa", "short", "1001", "reboot", "last-sample")), 0);
	wait_s(x, 1);
	assert_out(x, "event {'schema':1,'id':1,'time':1001.0,'type':'reboot','handle':'short~77',"
		      "'index':77,'run':'00000000000000aa','how':'reboot'}\n"
		      "run {'schema':1,'run':'00000000000000aa','name':'short','lxcpath':'/l',"
		      "'kind':'lxc','index':77,'handle':'short~77','start':null,'end':1001.0,"
		      "'how':'reboot','source':'hook','network':'sample','samples':0,'metrics':{"
		      "'cpu_usage_seconds':2.5,'memory_limit_bytes':67108864}}\n"
		      "ended aa\n");
}

static void test_no_hooks(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(tell(x, OPEN("aa", "web", ",'found':false")), 0);
	wait_s(x, 0);
	assert_out(x, "");
	wait_s(x, 1);
	assert_out(x, EVENT("1", "1000.0", "appeared") "}\n");
	/* Told again with more. */
	assert_int_equal(tell(x, OPEN("aa", "web",
					 ",'hostname':'w.example','groups':['a','b'],"
					 "'rootfs':'/r','facts':{'image':'i'}")),
		0);
	sample(x, 0xaa, 1010, 123456789);
	assert_int_equal(tell(x, CLOSE("aa", "1015", "false")), 0);
	wait_s(x, 1);
	assert_out(x,
		EVENT("2", "1015.0", "disappeared") ",'how':'stop'}\n"
						    "run {'schema':1,'run':'00000000000000aa'," WEB
						    ",'hostname':'w.example',"
						    "'groups':['a','b'],'rootfs':'/"
						    "r','facts':{'image':'i'},'start':1000.0,"
						    "'end':1015.0,'how':'stop','source':'sample','"
						    "network':'sample','samples':3,"
						    "'metrics':{'cpu_usage_seconds':0.123456789,'"
						    "memory_limit_bytes':'unlimited',"
						    "'network_receive_bytes':10,'samples':3}}\n"
						    "ended aa\n");
}

/* A hook was to come and cannot: the monitor was killed. */
static void test_killed(void **state)
{
	struct fixture *x = *state;

	record(x, START("aa", "web", ""));
	tell(x, OPEN("aa", "web", ""));
	tell(x, CLOSE("aa", "1010", "true"));
	x->out[0] = '\0';
	wait_s(x, 0);
	assert_out(x, "");
	wait_s(x, 1);
	assert_out(x, EVENT("2", "1010.0", "disappeared") ",'how':'killed'}\n"
							  "flight 2 aa web\n"
							  "run "
							  "{'schema':1,'run':'00000000000000aa','"
							  "name':'web','lxcpath':'/l',"
							  "'kind':'lxc','index':7,'handle':'web','"
							  "start':1000.0,'end':1010.0,"
							  "'how':'killed','source':'none','network'"
							  ":'sample','samples':0,'metrics':{}}\n"
							  "ended aa\n");
}

#define OOM                                                                                        \
	"{'op':'event','type':'oom','run':'aa','time_ns':1018500000000,'kills':1,'memory':100,"    \
	"'limit':200,'victim':{'pid':5,'name':'x'}}"

static void test_oom(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	tell(x, CLOSE("aa", "1020", "false"));
	/* After the end was told, as it happens. */
	assert_int_equal(tell(x, OOM), 0);
	assert_out(x, EVENT("1", "1018.5", "oom") ",'kills':1,'memory':100,'limit':200,"
						  "'victim':{'pid':5,'name':'x'}}\n"
						  "flight 1 aa web\n");
	assert_int_equal(tell(x, OOM), 0); /* repeated to a new process */
	assert_out(x, "");
	/* A second one within the minute keeps no samples again. */
	assert_int_equal(tell(x, "{'op':'event','type':'oom','run':'aa','time_ns':1019500000000,"
				 "'kills':2,'memory':1,'limit':null}"),
		0);
	assert_out(x, EVENT("2", "1019.5", "oom") ",'kills':2,'memory':1,'limit':null}\n");
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"how\":\"oom\",\"source\""));
}

/* A kill three seconds before the end did not end it. */
static void test_oom_long_before(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	tell(x, OOM);
	tell(x, CLOSE("aa", "1021", "false"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"how\":\"stop\",\"source\""));
}

#define STOP_KILLS(kills)                                                                          \
	"{'schema':1,'type':'stop','run':'aa','time_ns':1020000000000,'name':'web','lxcpath':'/l'" \
	",'target':'stop','network':'namespace','metrics':{'memory_oom_kills':" kills "}}"

/* The cgroup was gone before anybody could look: only the stop record counts the last kill. */
static void test_oom_untold(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	sample_kills(x, 0xaa, 1010, 4);
	tell(x, OOM);
	x->out[0] = '\0';
	record(x, STOP_KILLS("6"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"type\":\"oom\",\"handle\":\"web\",\"index\":7,"
				       "\"run\":\"00000000000000aa\",\"kills\":1}\n"));
	assert_non_null(strstr(x->out, "\"how\":\"oom\",\"source\""));
	assert_non_null(strstr(x->out, "\"memory_oom_kills\":6"));
}

/* All were told of, or counted by a sample that came later. */
static void test_oom_all_told(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	sample_kills(x, 0xaa, 1010, 4);
	tell(x, "{'op':'event','type':'oom','run':'aa','time_ns':1011000000000,'kills':2,"
		"'memory':1,'limit':null}");
	sample_kills(x, 0xaa, 1012, 6);
	x->out[0] = '\0';
	record(x, STOP_KILLS("6"));
	wait_s(x, 1);
	assert_null(strstr(x->out, "\"type\":\"oom\""));
	assert_non_null(strstr(x->out, "\"how\":\"stop\",\"source\""));
}

/* --- figures ---------------------------------------------------------------------------------- */

/* A cgroup below and an interface went before the end: what they counted stays. */
static void test_never_falls(void **state)
{
	struct fixture *x = *state;
	struct value none[METRIC_ID_END] = {0};

	tell(x, OPEN("aa", "web", ",'found':true"));
	sample(x, 0xaa, 1010, 3000000000);
	ledger_sample(x->ledger, 0xaa, 1011 * SEC, none); /* init was dead, its network gone */
	record(x, STOP("aa", "web", "1020", "stop", "namespace")); /* of 2.5 s */
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"cpu_usage_seconds\":3.0,"));
	assert_non_null(strstr(x->out, "\"memory_limit_bytes\":67108864,"));
	assert_non_null(strstr(x->out, "\"network_receive_bytes\":10,"));
}

/* The collector lost sight of it, and finds it again. */
static void test_missed_is_not_ended(void **state)
{
	struct fixture *x = *state;

	tell(x, "{'op':'settled'}");
	tell(x, OPEN("aa", "web", ",'found':true"));
	x->alive = true;
	tell(x, CLOSE("aa", "1010", "false"));
	wait_s(x, 50);
	assert_out(x, "");
	tell(x, OPEN("aa", "web", ",'found':true"));
	sample(x, 0xaa, 1060, 7000000000);
	x->alive = false;
	wait_s(x, 50);
	assert_out(x, "");
	tell(x, CLOSE("aa", "1070", "false"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"end\":1070.0,\"how\":\"stop\""));
	assert_non_null(strstr(x->out, "\"cpu_usage_seconds\":7.0,"));
}

static void test_limits(void **state)
{
	struct fixture *x = *state;
	static const char one[] = "{'op':'event','type':'limit-changed','run':'aa','time_ns':"
				  "1005000000000,'metric':'%s','old':500000000,'new':'unlimited'}";

	tell(x, OPEN("aa", "web", ",'found':true"));
	tell(x, one, "pids_limit");
	tell(x, one, "cpu_quota_cores");
	tell(x, one, "pids_limit"); /* told twice */
	assert_out(x,
		EVENT("1", "1005.0",
			"limit-changed") ",'metric':'pids_limit','old':500000000,"
					 "'new':'unlimited'}\n" EVENT("2", "1005.0",
						 "limit-changed") ",'metric':'cpu_quota_cores',"
								  "'old':0.5,'new':'unlimited'}\n");
}

/* --- network ---------------------------------------------------------------------------------- */

#define LINK(n, bytes)                                                                             \
	"{'op':'link','ifindex':" n ",'time_ns':1019000000000,'receive_bytes':" bytes              \
	",'transmit_bytes':7,'receive_packets':2,'transmit_packets':3,'receive_errors':0,"         \
	"'transmit_errors':0,'receive_drops':0,'transmit_drops':0}"

static void test_links(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	record(x, START("aa", "web", "{'name':'eth0','peer':11},{'name':'eth1','peer':12}"));
	sample(x, 0xaa, 1010, 1);
	tell(x, LINK("11", "1000"));
	tell(x, LINK("13", "5"));
	record(x, STOP("aa", "web", "1020", "stop", "last-sample"));
	tell(x, LINK("12", "24")); /* after the stop record */
	tell(x, LINK("12", "99")); /* another interface that got the number */
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"network\":\"link\""));
	assert_non_null(strstr(x->out, "\"network_receive_bytes\":1024,"
				       "\"network_transmit_bytes\":14,"
				       "\"network_receive_packets\":4,"));
}

static void test_links_missing(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	record(x, START("aa", "web", "{'name':'eth0','peer':11},{'name':'eth1','peer':12}"));
	sample(x, 0xaa, 1010, 1);
	tell(x, LINK("11", "1000"));
	record(x, STOP("aa", "web", "1020", "stop", "last-sample"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"network\":\"sample\""));
	/* The most that is known, here of one of two. */
	assert_non_null(strstr(x->out, "\"network_receive_bytes\":1000,"));
}

/* One end of a veth was told: the other side is the sample's. */
static void test_links_one_sided(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	record(x, START("aa", "web", "{'name':'eth0','peer':11}"));
	sample(x, 0xaa, 1010, 1);
	tell(x, "{'op':'link','ifindex':11,'time_ns':1019000000000,'transmit_bytes':7}");
	record(x, STOP("aa", "web", "1020", "stop", "last-sample"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"network\":\"sample\""));
	assert_non_null(
		strstr(x->out, "\"network_receive_bytes\":10,\"network_transmit_bytes\":7,"));
}

/* What deleted links had counted outlives the process. */
static void test_links_saved(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	record(x, START("aa", "web", "{'name':'eth0','peer':11},{'name':'eth1','peer':12}"));
	tell(x, LINK("11", "1000"));
	begin_again(x, "boot-1");
	x->again = true;
	record(x, START("aa", "web", "{'name':'eth0','peer':11},{'name':'eth1','peer':12}"));
	tell(x, LINK("12", "24"));
	record(x, STOP("aa", "web", "1020", "stop", "last-sample"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"network\":\"link\""));
	assert_non_null(strstr(x->out, "\"network_receive_bytes\":1024,"));
}

/* --- crashes ---------------------------------------------------------------------------------- */

/* The collector tells a new process all that runs; the rest has ended. */
static void test_settled(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	tell(x, OPEN("bb", "db", ",'found':true"));
	sample(x, 0xaa, 1010, 1);
	begin_again(x, "boot-1");
	tell(x, OPEN("bb", "db", ",'found':true"));
	wait_s(x, 100);
	assert_out(x, "");
	x->alive = true; /* the collector cannot have all */
	tell(x, "{'op':'settled'}");
	wait_s(x, 1);
	wait_s(x, 20);
	assert_out(x, "");
	x->alive = false;
	wait_s(x, 10);
	wait_s(x, 1);
	assert_out(x,
		EVENT("1", "1010.0",
			"disappeared") ",'how':'unknown'}\n"
				       "run {'schema':1,'run':'00000000000000aa'," WEB
				       ",'start':1000.0,'end':1010.0,"
				       "'how':'unknown','source':'sample','network':'sample','"
				       "samples':3,'metrics':{"
				       "'cpu_usage_seconds':1e-9,'memory_limit_bytes':'unlimited',"
				       "'network_receive_bytes':10,'samples':3}}\n"
				       "ended aa\n");
}

/* A process that began with less knowledge than the collector and the hooks have. */
static void test_lost_and_found(void **state)
{
	struct fixture *x = *state;

	tell(x, "{'op':'settled'}");
	record(x, START("aa", "web", ""));
	wait_s(x, 0); /* nobody but the hook knows it: it seems lost */
	begin_again(x, "boot-1");
	tell(x, "{'op':'settled'}");
	record(x, START("aa", "web", ""));
	wait_s(x, 5);
	tell(x, OPEN("aa", "web", ""));
	wait_s(x, 100);
	assert_null(strstr(x->out, "run {"));
	begin_again(x, "boot-1");
	record(x, START("aa", "web", ""));
	tell(x, "{'op':'settled'}");
	wait_s(x, 5);
	tell(x, CLOSE("aa", "1200", "true"));
	wait_s(x, 0);
	assert_null(strstr(x->out, "run {"));
	wait_s(x, 1);
	assert_non_null(strstr(x->out, "\"how\":\"killed\",\"source\""));
}

static void test_host_crash(void **state)
{
	struct fixture *x = *state;

	tell(x, OPEN("aa", "web", ",'found':true"));
	sample(x, 0xaa, 1010, 500000000);
	begin_again(x, "boot-2");
	wait_s(x, 0);
	assert_out(x,
		EVENT("1", "1010.0", "disappeared") ",'how':'host-crash'}\n"
						    "run {'schema':1,'run':'00000000000000aa'," WEB
						    ",'start':1000.0,'end':1010.0,"
						    "'how':'host-crash','source':'sample','network'"
						    ":'sample','samples':3,"
						    "'metrics':{'cpu_usage_seconds':0.5,'memory_"
						    "limit_bytes':'unlimited',"
						    "'network_receive_bytes':10,'samples':3}}\n"
						    "ended aa\n");
}

/* Killed at any point between the lines of one end, it writes the rest and nothing twice. */
static void test_killed_between_lines(void **state)
{
	static const char event[] =
		"{\"schema\":1,\"id\":4,\"time\":1015.0,\"type\":\"disappeared\","
		"\"handle\":\"web\",\"run\":\"00000000000000aa\"}";
	static const char run[] = "{\"schema\":1,\"run\":\"00000000000000aa\",\"end\":1015.0}";

	for (int written = 0; written <= 2; written++) {
		struct fixture *x = *state;
		json_t *saved, *e = json_loads(event, 0, NULL), *r = json_loads(run, 0, NULL);

		tell(x, OPEN("aa", "web", ",'found':true"));
		tell(x, CLOSE("aa", "1015", "false"));
		saved = ledger_save(x->ledger, "boot-1");
		ledger_free(x->ledger);
		assert_int_equal(ledger_new(&ops, x, &x->ledger), 0);
		if (written > 0)
			ledger_know_event(x->ledger, e);
		if (written > 1)
			ledger_know_run(x->ledger, r);
		x->now += 50; /* the end is long ago: nothing is waited for */
		assert_int_equal(ledger_load(x->ledger, saved, "boot-1", x->now * SEC), 0);
		wait_s(x, 0);
		assert_int_equal(strstr(x->out, "event ") != NULL, written == 0);
		assert_int_equal(strstr(x->out, "run {") != NULL, written < 2);
		assert_int_equal(strstr(x->out, "\"how\":\"stop\"") != NULL, written < 2);
		x->out[0] = '\0';
		x->now -= 50;
		/* Numbers go on after those in the journal. */
		tell(x, OPEN("bb", "db", ",'found':true"));
		tell(x, CLOSE("bb", "1016", "false"));
		wait_s(x, 1);
		assert_non_null(strstr(x->out, written == 0 ? "\"id\":2," : "\"id\":5,"));
		x->out[0] = '\0';
		teardown(state);
		setup(state);
		json_decref(saved);
		json_decref(e);
		json_decref(r);
	}
}

/* The disk is full: the caller is told, and nothing counts as written. */
static void test_not_written(void **state)
{
	struct fixture *x = *state;
	uint64_t next;

	x->fail = -ENOSPC;
	assert_int_equal(record(x, START("aa", "web", "")), -ENOSPC);
	x->fail = 0;
	assert_int_equal(record(x, START("aa", "web", "")), 0);
	x->fail = -ENOSPC;
	record(x, STOP("aa", "web", "1020", "stop", "namespace"));
	x->now++;
	assert_int_equal(ledger_tick(x->ledger, x->now * SEC, &next), -ENOSPC);
	x->fail = 0;
	x->out[0] = '\0';
	wait_s(x, 0);
	assert_non_null(strstr(x->out, "\"id\":2,"));
	assert_non_null(strstr(x->out, "run {"));
}

/* --- what else -------------------------------------------------------------------------------- */

static void start_at(struct fixture *x, unsigned int run, const char *name, unsigned int time_s)
{
	assert_int_equal(record(x,
				 "{'schema':1,'type':'start','run':'%x','time_ns':%u000000000,"
				 "'name':'%s','lxcpath':'/l','start_ns':%u000000000}",
				 run, time_s, name, time_s),
		0);
}

static size_t flapped(struct fixture *x)
{
	size_t n = 0;

	for (char *p = x->out; (p = strstr(p, "\"flapping\"")); p++)
		n++;
	x->out[0] = '\0';
	return n;
}

static void test_flapping(void **state)
{
	struct fixture *x = *state;
	unsigned int run = 1;

	for (int i = 0; i < 4; i++)
		start_at(x, run++, "short", 1000 + 75 * i);
	assert_int_equal(flapped(x), 0);
	start_at(x, run++, "short", 1300); /* the fifth, 300 s after the first */
	assert_int_equal(flapped(x), 1);
	start_at(x, run++, "short", 1301);
	start_at(x, run++, "short", 1600);
	assert_int_equal(flapped(x), 0);
	for (int i = 0; i < 5; i++) /* after five quiet minutes: said again */
		start_at(x, run++, "short", 1901 + i);
	assert_int_equal(flapped(x), 1);
	for (int i = 0; i < 20; i++) /* five starts, but not within five minutes */
		start_at(x, run++, "other", 3000 + 76 * i);
	assert_int_equal(flapped(x), 0);
}

/* Six events, but three starts. */
static void test_flapping_late_hook(void **state)
{
	struct fixture *x = *state;

#define LATE(run)                                                                                  \
	assert_int_equal(tell(x, OPEN(run, "late", "")), 0);                                       \
	wait_s(x, 1);                                                                              \
	assert_int_equal(record(x, START(run, "late", "")), 0);
	LATE("a1");
	LATE("a2");
	LATE("a3");
	assert_non_null(strstr(x->out, "\"id\":6"));
	assert_int_equal(flapped(x), 0);
}

/* A process that knows nothing of older events: the records of what still runs are no news. */
static void test_told_again(void **state)
{
	struct fixture *x = *state;

	x->again = true;
	assert_int_equal(record(x, START("aa", "web", "")), 0);
	tell(x, OPEN("aa", "web", ",'found':true"));
	wait_s(x, 5);
	assert_out(x, "");
}

static void test_nonsense(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(tell(x, "{}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'open'}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'open','run':'xyz'}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'dance','run':'aa'}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'event','run':'aa'}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'event','type':'start','run':'aa'}"), -EBADMSG);
	assert_int_equal(tell(x, "{'op':'link'}"), 0);
	assert_int_equal(tell(x, "{'op':'close','run':'aa'}"), 0);
	assert_int_equal(record(x, "{}"), -EBADMSG);
	assert_int_equal(record(x, "{'type':'start','run':'aa'}"), -EBADMSG);
	assert_int_equal(record(x, "{'type':'stop','run':'aa','name':'a'}"), -EBADMSG);
	assert_int_equal(record(x, "{'type':'x','run':'aa','name':'a','time_ns':1}"), -EBADMSG);
	wait_s(x, 1);
	assert_out(x, "");
}

/* Half of what was told is forgotten when there is too much, never the newer half. */
static void test_seen(void **state)
{
	struct seen s = {0};

	for (uint64_t i = 1; i <= 100000; i++) {
		assert_int_equal(seen_add(&s, i * UINT64_C(0x9e3779b97f4a7c15)), 0);
		assert_true(seen_has(&s, i * UINT64_C(0x9e3779b97f4a7c15)));
	}
	for (uint64_t i = 100000 - 32768; i <= 100000; i++)
		assert_true(seen_has(&s, i * UINT64_C(0x9e3779b97f4a7c15)));
	assert_false(seen_has(&s, UINT64_C(0x9e3779b97f4a7c15)));
	seen_free(&s);
}

static json_t *message(const char *op, int n)
{
	return json_pack("{s:s, s:i}", "op", op, "n", n);
}

/* While the ledger is away messages wait, up to a number; a new one gets all but what was settled.
 */
static void test_tell(void **state)
{
	struct helper away = {.fd = -1};
	struct tell t = {.helper = &away};

	for (int i = 0; i < TELL_MAX; i++)
		assert_true(tell_put(&t, message(i == 5 ? "settled" : "open", i)));
	assert_false(tell_put(&t, message("open", 0)));
	tell_send(&t);
	assert_int_equal(t.sent, 0);
	assert_int_equal(t.lost, 1);
	tell_taken(&t, 3); /* nothing was sent, so nothing can have been taken */
	assert_int_equal(t.n, TELL_MAX);
	t.sent = 8;
	tell_taken(&t, 3);
	assert_int_equal(t.n, TELL_MAX - 3);
	assert_int_equal(t.sent, 5);
	tell_again(&t);
	assert_int_equal(t.n, TELL_MAX - 4);
	assert_int_equal(t.sent, 0);
	assert_string_equal(t.queue[t.first].text, "{\"op\":\"open\",\"n\":3}");
	assert_string_equal(t.queue[t.first + 2].text, "{\"op\":\"open\",\"n\":6}");
	assert_true(tell_put(&t, message("open", 0)));
	tell_free(&t);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_hooks),
		TEST(test_hooks_alone),
		TEST(test_no_hooks),
		TEST(test_killed),
		TEST(test_oom),
		TEST(test_oom_long_before),
		TEST(test_oom_untold),
		TEST(test_oom_all_told),
		TEST(test_never_falls),
		TEST(test_missed_is_not_ended),
		TEST(test_limits),
		TEST(test_links),
		TEST(test_links_missing),
		TEST(test_links_one_sided),
		TEST(test_links_saved),
		TEST(test_settled),
		TEST(test_lost_and_found),
		TEST(test_host_crash),
		TEST(test_killed_between_lines),
		TEST(test_not_written),
		TEST(test_flapping),
		TEST(test_flapping_late_hook),
		TEST(test_told_again),
		TEST(test_nonsense),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
