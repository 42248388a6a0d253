/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent.h"
#include "mibs.h"

#include <string.h>

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/agent/agent_callbacks.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/library/large_fd_set.h>

#define NAME "loadcell-snmp"
/*
 * Seconds. How often a lost snmpd is tried again, and one that is there is asked whether it still
 * is; and how long each answer may take, for net-snmp waits for it and does nothing else. The
 * interval is the longer one: from a try that began the next is reckoned, and while one is overdue
 * run_alarms() does not return. A request is not repeated: over a stream that would only register
 * everything twice.
 */
#define PING_INTERVAL 3
#define PATIENCE      2
/* So many notifications are sent before snmpd confirms one. */
#define WINDOW     16
#define NULL_NODES 3 /* ccitt, iso, joint-ccitt-iso: netsnmp_register_mib() */

_Static_assert(sizeof(oid) == sizeof(subid), "names are handed over as they are");

struct agent_subtree {
	struct agent *agent;
	const struct mib_tree *tree;
	uint32_t instance;
	char *context; /* NULL: the default one */
};

/* --- requests --------------------------------------------------------------------------------- */

static void put_value(netsnmp_variable_list *var, enum smi_syntax syntax, const struct mib_value *v)
{
	struct counter64 big = {.high = v->number >> 32, .low = v->number & UINT32_MAX};
	long integer = (long)v->number;
	u_char type = ASN_OCTET_STR;

	switch (syntax) {
	case SMI_INTEGER:
	case SMI_TRUTH:
		snmp_set_var_typed_value(var, ASN_INTEGER, &integer, sizeof(integer));
		return;
	case SMI_UNSIGNED:
	case SMI_GAUGE32:
		snmp_set_var_typed_value(var, ASN_GAUGE, &integer, sizeof(integer));
		return;
	case SMI_TIME_STAMP:
	case SMI_TIME_TICKS:
		snmp_set_var_typed_value(var, ASN_TIMETICKS, &integer, sizeof(integer));
		return;
	case SMI_COUNTER32:
		integer &= UINT32_MAX;
		snmp_set_var_typed_value(var, ASN_COUNTER, &integer, sizeof(integer));
		return;
	case SMI_COUNTER64:
	case SMI_GAUGE64:
		snmp_set_var_typed_value(var, ASN_COUNTER64, &big, sizeof(big));
		return;
	case SMI_OID:
		type = ASN_OBJECT_ID;
		break;
	case SMI_TEXT:
	case SMI_OCTETS:
		break;
	}
	snmp_set_var_typed_value(var, type, v->len ? v->bytes : "", v->len);
}

static void answer_one(const struct agent_subtree *t, netsnmp_agent_request_info *info,
	netsnmp_request_info *request)
{
	struct mib_place place = {&t->agent->source->view, t->instance};
	netsnmp_variable_list *var = request->requestvb;
	struct mib_answer answer;
	subid name[MIB_OID_MAX];

	if (info->mode == MODE_GET) {
		switch (mib_get(t->tree, &place, var->name, var->name_length, &answer)) {
		case MIB_FOUND:
			put_value(var, answer.column->syntax, &answer.value);
			break;
		case MIB_NO_OBJECT:
			netsnmp_set_request_error(info, request, SNMP_NOSUCHOBJECT);
			break;
		default:
			netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
		}
		return;
	}
	/* Left as it is, the request goes on to what is registered behind this tree. */
	if (mib_next(t->tree, &place, var->name, var->name_length, &answer) != MIB_FOUND)
		return;
	snmp_set_var_objid(var, name, mib_name(t->tree, &answer, name));
	put_value(var, answer.column->syntax, &answer.value);
}

static int handle(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	for (; requests; requests = requests->next)
		if (!requests->processed)
			answer_one(handler->myvoid, info, requests);
	return SNMP_ERR_NOERROR;
}

static void subtree_free(struct agent_subtree *t)
{
	if (t)
		free(t->context);
	free(t);
}
DEFINE_CLEANUP(struct agent_subtree *, subtree_free)

int agent_register(struct agent *a, const struct mib_tree *tree, const char *context,
	uint32_t instance, struct agent_subtree **ret)
{
	_cleanup_(subtree_free) struct agent_subtree *t = calloc(1, sizeof(*t));
	netsnmp_handler_registration *r = netsnmp_create_handler_registration(
		NAME, handle, tree->root, tree->len, HANDLER_CAN_RONLY);
	int result;

	if (t)
		*t = (struct agent_subtree){.agent = a, .tree = tree, .instance = instance};
	if (!t || !r ||
		(context &&
			(!(t->context = strdup(context)) || !(r->contextName = strdup(context))))) {
		netsnmp_handler_registration_free(r);
		return -ENOMEM;
	}
	r->handler->myvoid = t;
	a->null_nodes = context && !netsnmp_subtree_find_first(context) ? NULL_NODES : 0;
	result = netsnmp_register_handler(r);
	a->null_nodes = 0;
	if (result != MIB_REGISTERED_OK) /* which has freed it */
		return -EEXIST;
	*ret = TAKE_PTR(t);
	return 0;
}

/* Not by netsnmp_unregister_handler(), which goes on to use the name of the context after it has
 * freed it with the registration. */
void agent_unregister(struct agent_subtree *t)
{
	unregister_mib_context((oid *)(uintptr_t)t->tree->root, t->tree->len, DEFAULT_MIB_PRIORITY,
		0, 0, t->context);
	subtree_free(t);
}

/* --- the connection --------------------------------------------------------------------------- */

/* Notifications of this session that were not confirmed: given up, or all. */
static uint64_t unconfirmed(const struct agent *a, bool all)
{
	const netsnmp_trap_stats *s = a->session ? a->session->trap_stats : NULL;

	if (!s)
		return 0;
	return all ? s->sent_count - s->ack_count
		   : s->timeouts + s->sent_fail_count + s->sec_err_count;
}

/* Exported, but in no header. */
SNMPCallback agentx_registration_callback __attribute__((weak));

/*
 * net-snmp registers this callback itself for each connection, and frees that while it runs when
 * snmpd dies within a registration (snmp_unregister_callback(); cured after 5.9.4). So it is called
 * from here, and on_connected() takes net-snmp's own away.
 */
static int on_registration(int major, int minor, void *parameters, void *data)
{
	struct agent *a = data;

	if (!a->session || !agentx_registration_callback)
		return SNMPERR_SUCCESS;
	return agentx_registration_callback(major, minor, parameters, &a->session);
}

/*
 * The answer to the opening has just brought snmpd's sysUpTime. What a snmpd that died within the
 * registrations has left behind goes: nodes that pass for registered, and further tries to reopen.
 */
static int on_connected(int major, int minor, void *session, void *data)
{
	struct agent *a = data;
	uint64_t up = netsnmp_get_agent_uptime() * (NSEC_PER_SEC / 100);
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	register_mib_detach();
	snmp_alarm_unregister_all();
	if (agentx_registration_callback) {
		snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_REGISTER_OID,
			agentx_registration_callback, NULL, 0);
		snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_UNREGISTER_OID,
			agentx_registration_callback, NULL, 0);
	}
	a->connected = true;
	a->is_lost = false;
	a->session = session;
	a->source->master_ns = now > up ? now - up : 0;
	return SNMPERR_SUCCESS;
}

/*
 * net-snmp tries again by an alarm that it makes after this. At a loss within the opening the last
 * one still runs, which would double them; but agentx_check_session() can tell of one loss twice,
 * and the second time the alarm is there.
 */
static int on_lost(int major, int minor, void *session, void *data)
{
	struct agent *a = data;

	if (!a->is_lost)
		snmp_alarm_unregister_all();
	a->is_lost = true;
	a->unconfirmed += unconfirmed(a, true);
	a->connected = false;
	a->session = NULL;
	return SNMPERR_SUCCESS;
}

/*
 * Without what agent_tick() says better. In each new context net-snmp registers NULL_NODES of its
 * own, which snmpd has too and refuses (263: a duplicate). Else that is worth a line.
 */
static int on_log(int major, int minor, void *message, void *data)
{
	static const char refused[] = "registering pdu failed";
	static const char *const noise[] = {"AgentX master", "NET-SNMP version"};
	const struct snmp_log_message *m = message;
	struct agent *a = data;

	for (size_t i = 0; i < ARRAY_SIZE(noise); i++)
		if (strncmp(m->msg, noise[i], strlen(noise[i])) == 0)
			return SNMPERR_SUCCESS;
	if (strncmp(m->msg, refused, strlen(refused)) == 0) {
		if (a->null_nodes > 0)
			a->null_nodes--;
		else
			complain(&a->library,
				"snmpd refuses these objects: another subagent has registered "
				"them, perhaps a second " NAME);
	} else if (m->priority <= LOG_WARNING) {
		complain(&a->library, "net-snmp: %.*s", (int)strcspn(m->msg, "\n"), m->msg);
	}
	return SNMPERR_SUCCESS;
}

static void set(int store, int which, int value)
{
	netsnmp_ds_set_boolean(store, which, value);
}

static const struct {
	int minor;
	SNMPCallback *call;
} callbacks[] = {
	{SNMPD_CALLBACK_INDEX_START, on_connected},
	{SNMPD_CALLBACK_INDEX_STOP, on_lost},
	{SNMPD_CALLBACK_REGISTER_OID, on_registration},
	{SNMPD_CALLBACK_UNREGISTER_OID, on_registration},
};

int agent_init(struct agent *a, const char *socket, struct source *source)
{
	*a = (struct agent){.socket = socket, .source = source};
	/* No MIB is parsed, no other program's configuration counts, no state is written. */
	setenv("MIBS", "", 1);
	set(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	set(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	set(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
	set(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_NO_CONNECTION_WARNINGS, 1);
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, socket);
	snmp_disable_log();
	snmp_enable_calllog();
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, a);
	if (init_agent(NAME) != 0)
		return -EIO;
	/* Not earlier: these have been set to net-snmp's defaults just now. */
	netsnmp_ds_set_int(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_TIMEOUT, PATIENCE);
	netsnmp_ds_set_int(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_RETRIES, 0);
	netsnmp_ds_set_int(
		NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, PING_INTERVAL);
	for (size_t i = 0; i < ARRAY_SIZE(callbacks); i++)
		snmp_register_callback(
			SNMP_CALLBACK_APPLICATION, callbacks[i].minor, callbacks[i].call, a);
	return 0;
}

/* init_snmp() connects, or begins to try. */
void agent_start(struct agent *a)
{
	init_snmp(NAME);
}

void agent_stop(struct agent *a)
{
	/* Else net-snmp frees their argument. */
	snmp_unregister_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, a, 1);
	for (size_t i = 0; i < ARRAY_SIZE(callbacks); i++)
		snmp_unregister_callback(
			SNMP_CALLBACK_APPLICATION, callbacks[i].minor, callbacks[i].call, a, 1);
	snmp_shutdown(NAME);
}

/* --- notifications ---------------------------------------------------------------------------- */

unsigned int agent_room(const struct agent *a, uint64_t *ret_unconfirmed)
{
	uint64_t lost = unconfirmed(a, false), open = unconfirmed(a, true) - lost;

	*ret_unconfirmed = a->unconfirmed + lost;
	return a->connected && open < WINDOW ? WINDOW - (unsigned int)open : 0;
}

int agent_notify(const struct agent *a, const subid *type, size_t len,
	const struct mib_object *objects, size_t n)
{
	static const oid trap_oid[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0};
	netsnmp_variable_list *list = NULL, *var;
	u_long before;

	if (!a->session)
		return -ENOTCONN;
	var = snmp_varlist_add_variable(
		&list, trap_oid, ARRAY_SIZE(trap_oid), ASN_OBJECT_ID, type, len * sizeof(*type));
	for (size_t i = 0; i < n && var; i++) {
		var = snmp_varlist_add_variable(
			&list, objects[i].name, objects[i].len, ASN_NULL, NULL, 0);
		if (var)
			put_value(var, objects[i].syntax, &objects[i].value);
	}
	before = a->session->trap_stats ? a->session->trap_stats->sent_count : 0;
	if (var)
		send_v2trap(list);
	snmp_free_varbind(list);
	return a->session && a->session->trap_stats && a->session->trap_stats->sent_count > before
		       ? 0
		       : -EIO;
}

void agent_tick(struct agent *a)
{
	if (a->connected)
		complaint_over(&a->lost, "snmpd answers at %s", a->socket);
	else
		complain(&a->lost,
			"no snmpd answers at %s: it needs \"master agentx\" in its configuration, "
			"and agentXPerms that let this user in",
			a->socket);
}

void agent_wait(struct agent *a, int timeout_ms)
{
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	netsnmp_large_fd_set fds;
	int n = 0, block = 0, ready;

	a->is_lost = false;
	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&fds);
	/* Not later than net-snmp's own alarms. */
	snmp_select_info2(&n, &fds, &timeout, &block);
	ready = netsnmp_large_fd_set_select(n, &fds, NULL, NULL, &timeout);
	if (ready > 0)
		snmp_read2(&fds);
	else if (ready == 0)
		snmp_timeout();
	run_alarms();
	netsnmp_check_outstanding_agent_requests();
	netsnmp_large_fd_set_cleanup(&fds);
}
