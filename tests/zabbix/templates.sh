#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The templates in a real Zabbix: they import, find five instances under load, and every item has the value that
# loadcell tells; instances become hosts; triggers fire and recover.
# usage: templates.sh 6.0|7.0 [6.0, for those templates in a 7.0 server]
# timeout: 580
. "$(dirname "$0")/../lib.sh"
need_root
. "$(dirname "$0")/../snmp-lib.sh"
. "$(dirname "$0")/server.sh"
server=${1:-6.0} files=$(cd "$(dirname "$0")/../../contrib/zabbix" && pwd)/${2:-${1:-6.0}}
began=$SECONDS

# --- five instances under load -------------------------------------------------------------------
load='while :; do
	dd if=/dev/zero of=/tmp/file bs=64k count=64 conv=fsync
	i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
	sleep 0.1
done >/dev/null 2>&1'
names=("${prefix}web" "${prefix}db" "${prefix}kvs" "${prefix}job queue" "${prefix}proxy")
for name in "${names[@]}"; do
	lxc_new "$name" "$(limits memory=128M cpu=0.5 pids=100)" "lxc.group = backend"
	lxc_load "$name" "$load"
	lxc_start "$name"
done
# What has one is told by name.
lxc_new "${prefix}free"
collector_start "agentx = $work/master" "stale_after = 8s" "disk_walk_share = 20 %"
snmpd_conf "createUser zabbix SHA zabbixzabbix AES zabbixzabbix" "view all included .1" "rouser zabbix priv -V all *" \
	"agentXTimeout 5"
snmpd_start
snmp_start "$conf"
wait_for 20 '[ "$(cell 1.3006.0)" = 5 ]' || fail "SNMP does not tell five instances: $(cell 1.3006.0)"

zabbix_start "$server"
echo "note: Zabbix $(api apiinfo.version '[]' 2>/dev/null | jq -r . || echo "$server") is up after $((SECONDS - began)) s"
sed "s,^UserParameter=\([a-z.]*\)\,loadcell ,UserParameter=\1\,$B/bin/loadcell -c $conf ," "$files/../loadcell.conf" >"$work/loadcell.agent"
zabbix_agent_start "Hostname=agent-host" "Include=$work/loadcell.agent"

# --- import --------------------------------------------------------------------------------------
for f in loadcell-by-snmp loadcell-by-agent loadcell-instances-by-snmp; do
	import "$files/$f.yaml" "$server" || fail "$f.yaml is not imported"
done
group=$(api hostgroup.create '{"name":"loadcell hosts"}' | jq -r '.groupids[0]')
template() { api template.get "$(jq -n --arg n "$1" '{filter: {host: [$n]}, output: ["templateid"]}')" | jq -r '.[0].templateid'; }
fast='[{"macro":"{$LOADCELL.INTERVAL}","value":"3s"},{"macro":"{$LOADCELL.LLD.INTERVAL}","value":"3s"},{"macro":"{$LOADCELL.WINDOW}","value":"8s"},
	{"macro":"{$LOADCELL.OOM.WINDOW}","value":"15s"},{"macro":"{$LOADCELL.CPU.WINDOW}","value":"15s"},{"macro":"{$LOADCELL.END.WINDOW}","value":"20s"},
	{"macro":"{$LOADCELL.NAME.MATCHES}","value":"^'$prefix'"},{"macro":"{$LOADCELL.CPU.THROTTLED}","value":"101"}]'
# host NAME TEMPLATE INTERFACE [MACROS]
host()
{
	api host.create "$(jq -n --arg n "$1" --arg t "$(template "$2")" --argjson i "$3" --argjson m "${4:-$fast}" --arg g "$group" \
		'{host: $n, groups: [{groupid: $g}], templates: [{templateid: $t}], interfaces: [$i], macros: $m}')" | jq -r '.hostids[0]'
}
v2='{"type":2,"main":1,"useip":1,"ip":"127.0.0.1","dns":"","port":"'$port'","details":{"version":2,"bulk":1,"community":"test"}}'
v3='{"type":2,"main":1,"useip":1,"ip":"127.0.0.1","dns":"","port":"'$port'","details":{"version":3,"bulk":1,"securityname":"zabbix","securitylevel":2,
	"authprotocol":1,"authpassphrase":"zabbixzabbix","privprotocol":1,"privpassphrase":"zabbixzabbix","contextname":"{$LOADCELL.CONTEXT}"}}'
agent='{"type":1,"main":1,"useip":1,"ip":"127.0.0.1","dns":"","port":"'$agent_port'"}'
host snmp-host "loadcell by SNMP" "$v2" >"$work/id.snmp" || fail "no host by SNMP"
host agent-host "loadcell by Zabbix agent" "$agent" >"$work/id.agent" || fail "no host by agent"
hosts_macros='[{"macro":"{$LOADCELL.HOSTS.INTERVAL}","value":"5s"},{"macro":"{$LOADCELL.HOSTS.LIFETIME}","value":"0"},{"macro":"{$LOADCELL.NAME.MATCHES}","value":"^'$prefix'"}]'

# What is shipped disabled, too.
enable()
{
	local id what
	for what in item discoveryrule; do
		for id in $(api $what.get "{\"hostids\":[\"$1\"],\"filter\":{\"status\":1},\"output\":[]}" | jq -r '.[].itemid'); do
			api $what.update "{\"itemid\":\"$id\",\"status\":0}" >/dev/null || fail "cannot enable $what $id"
		done
	done
}
enable "$(cat "$work/id.snmp")"
enable "$(cat "$work/id.agent")"
since=$SECONDS

# --- every item has a value -------------------------------------------------------------------------
# Without one, by what the README says: what this kernel or these instances do not have.
without='loadcell\.walk|^loadcell\.(data|more)$|^log\[|memory_swap|major_faults.*~none'
lacking()
{
	values "$1" | awk -F'\t' -v w="$without" '$1 !~ w && ($2 != 0 || $3 == 0) { print $1 "\t" $5 }'
}
found() { values "$1" | grep -c '^loadcell.instance.memory_working_set_bytes'; }
for h in snmp-host agent-host; do
	wait_for 90 "[ \$(found $h) = 5 ]" || { values $h | head -n 5; tail -n 5 "$work/server.log"; fail "$h: $(found $h) instances of 5 after 90 s"; }
	wait_for 60 "[ \$(lacking $h | wc -l) = 0 ]" || { lacking $h >"$work/lacking"; sort "$work/lacking" | head -n 60; echo "$(wc -l <"$work/lacking") in all"; bad=yes; }
	echo "note: $h: $(values $h | wc -l) items, $(lacking $h | wc -l) without a value $((SECONDS - since)) s after the host was made"
done
[ -z "${bad:-}" ] || fail "items without values"
