# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For live tests through a real snmpd, after lib.sh: a private snmpd on a loopback port, and
# loadcell-snmp; both end with the test.
#
#	snmpd_conf [LINES]	its configuration, before snmpd_start
#	snmpd_start, snmpd_end [SIGNAL]
#	snmp_start CONF [PROGRAM AND ARGUMENTS]	loadcell-snmp, run by that (setpriv ...)
#	snmp_end [SIGNAL]	its status is then in $snmp_status
#	walk OID...		names and values
#
# Variables: port, arc (LOADCELL-MIB), snmpd_pid, snmpd_since (ns), snmp_pid, and files in $work: snmpd.conf,
# loadcell-snmp.log, master (the AgentX socket).

for program in snmpd snmpbulkwalk; do
	command -v $program >/dev/null || skip "$program is not installed: run make deps"
done
export MIBS= # names stay numbers, and nothing is read that may be missing
arc=.1.3.6.1.4.1.8072.9999.9999
port=${SNMP_PORT:-$((17000 + $$ % 900))}
snmpd_pid= snmp_pid=

snmp() { local program=$1; shift; "$program" -v2c -c test -t 2 -r 1 -On -Oe -Ot -OU -Oq "127.0.0.1:$port" "$@"; }
walk() { snmp snmpbulkwalk -Cr50 "$@"; }
cell() { snmp snmpget "$arc.1.$1" 2>/dev/null | cut -d' ' -f2-; }

snmpd_conf()
{
	{
		echo "agentAddress udp:127.0.0.1:$port"
		echo "rocommunity test 127.0.0.1"
		echo "master agentx"
		echo "agentXSocket $work/master"
		echo "agentXPerms 0666 0755"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$work/snmpd.conf"
}

snmpd_start()
{
	snmpd_since=$(date +%s%N)
	SNMP_PERSISTENT_DIR=$work/persistent setsid snmpd -f -Lf "$work/snmpd.log" -I -smux -C -c "$work/snmpd.conf" \
		</dev/null >/dev/null 2>&1 &
	snmpd_pid=$!
	wait_for 10 'snmp snmpget .1.3.6.1.2.1.1.3.0 >/dev/null 2>&1 || ! kill -0 $snmpd_pid' && kill -0 $snmpd_pid ||
		fail "snmpd does not start: $(tail -n 3 "$work/snmpd.log")"
}
snmpd_end() { [ -n "$snmpd_pid" ] || return 0; kill -"${1:-TERM}" "$snmpd_pid" 2>/dev/null; wait "$snmpd_pid" 2>/dev/null; }

snmp_start()
{
	local conf=$1
	shift
	setsid "$@" "$B/bin/loadcell-snmp" -c "$conf" </dev/null >>"$work/loadcell-snmp.log" 2>&1 &
	snmp_pid=$!
}
snmp_end()
{
	[ -n "$snmp_pid" ] || return 0
	kill -"${1:-TERM}" "$snmp_pid" 2>/dev/null
	wait "$snmp_pid" 2>/dev/null
	snmp_status=$?
	snmp_pid=
}
at_exit 'snmp_end KILL; snmpd_end KILL; [ $status = 0 ] || tail -n 40 "$work/loadcell-snmp.log"'
