/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "contexts.h"
#include "mibs.h"
#include "traps.h"

#define TICK_NS NSEC_PER_SEC

static const char usage[] =
	"Usage: loadcell-snmp [-c FILE] [--check-config]\n"
	"The AgentX subagent of loadcell: tells over SNMP what the collector has measured.\n\n"
	"  -c, --config FILE   read this configuration, not " CONFIG_PATH_DEFAULT "\n"
	"      --check-config  say whether the configuration is good, then end\n"
	"      --version       print the version\n"
	"  -h, --help          print this help\n";

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, const char **config, bool *check)
{
	enum {
		CHECK = 1000,
		VERSION_OPTION
	};
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, CHECK},
		{"version", no_argument, NULL, VERSION_OPTION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'c')
			*config = optarg;
		else if (c == CHECK)
			*check = true;
		else if (c == VERSION_OPTION)
			return puts("loadcell-snmp " VERSION) < 0;
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "loadcell-snmp: unexpected argument \"%s\"\n%s", argv[optind], usage);
	return 2;
}

/*
 * A handler has no other way to tell. Not a signalfd: net-snmp can block in connect(2) to a snmpd
 * that hangs, and only a signal ends that.
 */
static volatile sig_atomic_t ended;

/* Enough to take leave of a snmpd that answers late; connecting again and again has no end. */
#define END_SECONDS 8

static void on_signal(int number)
{
	if (number == SIGALRM)
		_exit(0);
	ended = 1;
	alarm(END_SECONDS);
}

static void catch_signals(void)
{
	struct sigaction end = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGALRM, &end, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* --- notifications ---------------------------------------------------------------------------- */

struct notifier {
	struct agent *agent;
	const struct loadcell_mib *mib;
};

static unsigned int room(void *data, uint64_t *ret_unconfirmed)
{
	return agent_room(((struct notifier *)data)->agent, ret_unconfirmed);
}

static int notify(void *data, enum smi_notification number, const json_t *event)
{
	const struct notifier *n = data;
	const struct mib_tree *tree = loadcell_mib_tree(n->mib);
	const struct smi_notice *notice = smi_notice(number);
	struct mib_object objects[SMI_OBJECTS_MAX];
	subid type[MIB_OID_MAX];
	size_t count = 0;

	for (; notice->objects[count]; count++)
		loadcell_mib_object(n->mib, &n->agent->source->view, notice->table,
			notice->objects[count], event, &objects[count]);
	memcpy(type, tree->root, tree->len * sizeof(*type));
	type[tree->len] = 0;
	type[tree->len + 1] = number;
	return agent_notify(n->agent, type, tree->len + 2, objects, count);
}

/* --- serving ---------------------------------------------------------------------------------- */

static int serve(const struct config *config, struct error *err)
{
	_cleanup_(loadcell_mib_free) struct loadcell_mib *mib = NULL;
	struct agent_subtree *subtree[2];
	struct source source;
	struct agent agent;
	struct contexts contexts = {.agent = &agent, .most = config->snmp_contexts};
	struct notifier notifier = {.agent = &agent};
	struct traps traps;
	uint64_t next = 0;
	bool more; /* contexts to register */

	if (loadcell_mib_new(config->snmp_arc, &mib) < 0 || source_init(&source, config) < 0)
		return error_set(err, -ENOMEM, "not enough memory");
	if (agent_init(&agent, config->agentx, &source) < 0 ||
		agent_register(&agent, loadcell_mib_tree(mib), NULL, 0, &subtree[0]) < 0 ||
		agent_register(&agent, &vm_mib_tree, NULL, 0, &subtree[1]) < 0) {
		source_free(&source);
		return error_set(err, -EIO, "net-snmp could not be initialised");
	}
	notifier.mib = mib;
	traps_init(&traps, &source, &(struct traps_sender){&notifier, room, notify});
	while (!ended) {
		uint64_t now = now_ns(CLOCK_MONOTONIC);

		if (now >= next) {
			source_tick(&source, now);
			contexts_tick(&contexts, now);
			/* The first connection comes when there is something to tell. */
			if (!next)
				agent_start(&agent);
			agent_tick(&agent);
			traps_tick(&traps, now);
			next = now + TICK_NS;
			continue;
		}
		traps_send(&traps, now);
		more = contexts_step(&contexts);
		agent_wait(&agent, more ? 0 : (int)((next - now) / 1000000) + 1);
	}
	traps_free(&traps);
	/* First, so that snmpd is told once: one that hangs would be waited for each time. */
	agent_stop(&agent);
	contexts_free(&contexts);
	agent_unregister(subtree[1]);
	agent_unregister(subtree[0]);
	source_free(&source);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(config_free) struct config *config = NULL;
	const char *path = NULL;
	struct error err = {0};
	bool check = false;
	int r = parse_options(argc, argv, &path, &check);

	if (r >= 0)
		return r;
	path = config_path(path);
	if (config_load(path, &config, &err) < 0) {
		log_error("%s", err.text);
		return 2;
	}
	if (check)
		return printf("\"%s\" is good\n", path) < 0;
	catch_signals();
	r = serve(config, &err);
	if (r < 0)
		log_error("%s", err.text);
	return r < 0;
}
