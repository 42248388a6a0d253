#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The templates in a real Zabbix: they import, find five instances under load, and every item has the value that
# loadcell tells; instances become hosts; triggers fire and recover.
# usage: templates.sh 6.0|7.0 [TEMPLATES]; other templates than the server's own, 6.0 in 7.0
# ZABBIX_TRIGGERS=yes: all triggers, for 13 minutes in all instead of 5.
. "$(dirname "$0")/../lib.sh"
need_root
. "$(dirname "$0")/../snmp-lib.sh"
. "$(dirname "$0")/server.sh"
server=${1:-6.0}
files=$(cd "$(dirname "$0")/../../contrib/zabbix" && pwd)/${2:-$server}
began=$SECONDS

# --- five instances under load -------------------------------------------------------------------
load='while :; do
	dd if=/dev/zero of=/tmp/file bs=64k count=64 conv=fsync
	i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
	sleep 0.1
done >/dev/null 2>&1'
names=("${prefix}web" "${prefix}db" "${prefix}kvs" "${prefix}job queue" "${prefix}proxy")
mkdir -p "$lxcpath" # whose disk it is
for name in "${names[@]}"; do
	lxc_new "$name" "$(limits memory=128M cpu=0.5 pids=100)" "$(throttle_line)" "lxc.group = backend"
	sed -i '/^lxc.net.0.type = empty/d' "$lxcpath/$name/config"
	printf 'lxc.net.0.type = veth\nlxc.net.0.name = eth0\nlxc.net.0.flags = up\n' >>"$lxcpath/$name/config"
	lxc_load "$name" "$load"
	lxc_start "$name"
done
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
	{"macro":"{$LOADCELL.OOM.WINDOW}","value":"15s"},{"macro":"{$LOADCELL.CPU.WINDOW}","value":"15s"},{"macro":"{$LOADCELL.END.WINDOW}","value":"40s"},
	{"macro":"{$LOADCELL.NAME.MATCHES}","value":"^'$prefix'"},{"macro":"{$LOADCELL.CPU.THROTTLED}","value":"101"},
	{"macro":"{$LOADCELL.MEMORY.HISTORY}","value":"10s"},{"macro":"{$LOADCELL.EVENTS}","value":"'$data_dir/events.jsonl'"},
	{"macro":"{$LOADCELL.MEMORY.WINDOW}","value":"40s"}]'
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
# As the templates are, but for the names.
plain='[{"macro":"{$LOADCELL.NAME.MATCHES}","value":"^'$prefix'"}]'
host plain-snmp "loadcell by SNMP" "$v2" "$plain" >"$work/id.plain" && host plain-agent "loadcell by Zabbix agent" "$agent" "$plain" >"$work/id.plain" ||
	fail "no plain hosts"
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
# Twice, as rules find things one after another.
complete()
{
	local n
	n=$(values $1 | wc -l)
	[ "$(lacking $1 | wc -l)" = 0 ] && sleep 4 && [ "$(lacking $1 | wc -l)" = 0 ] && [ "$(values $1 | wc -l)" = "$n" ]
}
for h in snmp-host agent-host; do
	wait_for 90 "[ \$(found $h) = 5 ]" || { values $h | head -n 5; tail -n 5 "$work/server.log"; fail "$h: $(found $h) instances of 5 after 90 s"; }
	wait_for 60 "complete $h" || { lacking $h >"$work/lacking"; sort "$work/lacking" | head -n 60; echo "$(wc -l <"$work/lacking") in all"; bad=yes; }
	echo "note: $h: $(values $h | wc -l) items, $(lacking $h | wc -l) without a value $((SECONDS - since)) s after the host was made"
done
[ -z "${bad:-}" ] || fail "items without values"
for h in snmp agent; do
	api item.get "{\"hostids\":[\"$(cat "$work/id.$h")\"],\"selectTags\":\"extend\",\"output\":[\"name\",\"key_\"]}" >"$work/items" &&
		[ "$(jq length "$work/items")" -gt 200 ] && ! grep -o '.\{60\}{#[A-Z]*}' "$work/items" | head -n 5 | grep . ||
		fail "$h: macros that no rule fills"
done

# --- they are what loadcell tells ---------------------------------------------------------------------
for ((i = 0; i < 45; i++)); do # each sample, and some twice
	loadcell list --json | jq -c .
	sleep 0.3
done >"$work/samples" 2>/dev/null &
sampling=$!
sleep 12
for h in snmp-host agent-host; do values $h >"$work/values.$h"; done
wait $sampling
for h in snmp-host agent-host; do
	/usr/bin/python3 "$(dirname "$0")/compare.py" "$work/samples" "$work/values.$h" >"$work/compared" ||
		{ head -n 20 "$work/compared"; fail "$h: $(tail -n 1 "$work/compared")"; }
	echo "note: $h: $(tail -n 1 "$work/compared")"
done

# --- triggers fire and recover -------------------------------------------------------------------------
problems()
{
	api trigger.get "{\"host\":\"$1\",\"filter\":{\"value\":1},\"monitored\":true,\"expandDescription\":true,\"output\":[\"description\"]}" |
		jq -r '.[].description'
}
fires() { wait_for "$3" "problems $1 | grep -qF -- '$2'" || { problems $1; values $1 | grep "^log"; tail -n 5 "$work/agent.log"; fail "$1: does not fire: $2"; }; fired=$((fired + 1)); }
recovers() { wait_for "$3" "! problems $1 | grep -qF -- '$2'" || fail "$1: does not recover: $2"; }
fired=0
[ -z "$(problems snmp-host)$(problems agent-host)" ] || { problems snmp-host; problems agent-host; fail "problems of healthy instances"; }
inside() { lxc-attach -P "$lxcpath" -n "$1" -- /bin/sh -c "$2" </dev/null >/dev/null 2>&1; }

inside "${prefix}web" 'dd if=/dev/zero of=/dev/null bs=400M count=1; true'
inside "${prefix}db" 'i=0; while [ $i -lt 92 ]; do sleep 1000 & i=$((i + 1)); done'
for h in snmp-host agent-host; do
	fires $h "${prefix}web: processes were killed for lack of memory" 40
	fires $h "${prefix}db: tasks are above 90 % of the limit" 60
done
# ZABBIX_SHOTS=DIRECTORY: pictures for the README, with the node modules of `make check-web`.
[ -z "${ZABBIX_SHOTS:-}" ] || node "$(dirname "$0")/shots.mjs" "http://127.0.0.1:$web/" "$(cat "$work/id.snmp")" "$B/web/node_modules" "$ZABBIX_SHOTS"
inside "${prefix}db" 'killall sleep'

# Throttled it is all the time; what was wanted was no word of it.
throttle() { for h in snmp agent; do
	api host.update "$(jq -n --arg i "$(cat "$work/id.$h")" --argjson m "$(jq -c --arg v "$1" 'map(if .macro == "{$LOADCELL.CPU.THROTTLED}" then .value = $v else . end)' <<<"$fast")" '{hostid: $i, macros: $m}')" >/dev/null
done; }
throttle 20
inside "${prefix}proxy" 'touch /hold; (while [ -e /hold ]; do :; done) &'
for h in snmp-host agent-host; do fires $h "${prefix}proxy: the CPU quota throttles" 60; done
rm "$lxcpath/${prefix}proxy/rootfs/hold"
throttle 101
for h in snmp-host agent-host; do
	recovers $h "${prefix}proxy: the CPU quota throttles" 60
	recovers $h "${prefix}db: tasks are above" 60
	recovers $h "${prefix}web: processes were killed" 60
done

# Its monitor is killed.
kill -KILL "$(awk '{ print $4 }' "/proc/$(lxc_pid "${prefix}kvs")/stat")"
for h in snmp-host agent-host; do fires $h "An instance ended unexpectedly" 60; done
kill_cgroup "$(cgroup_mount memory | cut -d' ' -f2)/lxc.payload.${prefix}kvs"
lxc_start "${prefix}kvs"

# The collector stops: one problem of the data, nothing of the instances.
collector_stop
for h in snmp-host agent-host; do fires $h "loadcell: the data is stale" 60; done
collector_start "agentx = $work/master" "stale_after = 8s" "disk_walk_share = 20 %"
for h in snmp-host agent-host; do
	recovers $h "loadcell: the data is stale" 60
	recovers $h "An instance ended unexpectedly" 120
done
echo "note: $fired problems fired and recovered"

# --- all restart at once: nothing to tell ---------------------------------------------------------------
for name in "${names[@]}"; do (lxc_stop "$name"; lxc_start "$name") & done
for job in $(jobs -p); do [ "$job" = "$collector" ] || [ "$job" = "$snmpd_pid" ] || [ "$job" = "$snmp_pid" ] || [[ " ${servers[*]} " == *" $job "* ]] || wait "$job"; done
for ((i = 0; i < 5; i++)); do
	sleep 4
	[ -z "$(problems snmp-host)$(problems agent-host)" ] || { problems snmp-host; problems agent-host; fail "problems after a restart"; }
done
echo "note: five restarts at once: no problem"

# --- the other triggers; what raises nothing ----------------------------------------------------------------
[ "${ZABBIX_TRIGGERS:-no}" = no ] || . "$(dirname "$0")/triggers.sh"

# --- instances as hosts ----------------------------------------------------------------------------------
sed "s/127.0.0.1:$port/127.0.0.1:$((port + 1))/; s,$work/master,$work/master2," "$work/snmpd.conf" >"$work/snmpd2.conf"
SNMP_PERSISTENT_DIR=$work/persistent2 setsid snmpd -f -Lf "$work/snmpd2.log" -I -smux -C -c "$work/snmpd2.conf" </dev/null >/dev/null 2>&1 &
servers=("$!" "${servers[@]}")
mkdir "$work/second"
sed "s,$run_dir,$work/second/run,; s,$data_dir,$work/second/data,; s,$work/master,$work/master2," "$conf" >"$work/second.conf"
setsid unshare --uts sh -c "hostname second.example; exec '$B/bin/loadcelld' -c '$work/second.conf'" >"$work/second.log" 2>&1 </dev/null 8>&- &
servers=("$!" "${servers[@]}")
wait_for 20 '[ -s "$work/second/run/snapshot" ]' || fail "no second collector: $(cat "$work/second.log")"
setsid "$B/bin/loadcell-snmp" -c "$work/second.conf" >"$work/second-snmp.log" 2>&1 </dev/null &
servers=("$!" "${servers[@]}")
host first "loadcell instances by SNMP" "$v3" "$hosts_macros" >"$work/id.first" &&
	host second "loadcell instances by SNMP" "${v3/$port/$((port + 1))}" "$hosts_macros" >"$work/id.second" || fail "no hosts for hosts"
made() { api host.get '{"output":["host","hostid","status"],"selectParentTemplates":["host"],"groupids":'"$(api hostgroup.get '{"filter":{"name":["Instances"]},"output":["groupid"]}' | jq -c 'map(.groupid)')"'}'; }
mine() { made | jq -r --arg p "${prefix//./_2E}" '.[].host | select(startswith($p))'; }
wait_for 60 '[ "$(mine | wc -l)" = 10 ]' || { mine; tail -n 5 "$work/server.log"; fail "$(mine | wc -l) hosts of 10"; }
loadcell list --json | jq -r --arg p "$prefix" '.instances[] | select(.handle | startswith($p)) | .zabbix_name' | sort >"$work/named"
mine | grep -v 'second[.]example$' | sort | cmp - "$work/named" || fail "the hosts have other names: $(mine) $(cat "$work/named")"
[ "$(mine | grep -c "^${prefix}job queue[.]second[.]example$")" = 1 ] || fail "no host of the second host's: $(mine)"
[ "$(made | jq '[.[] | select(.parentTemplates[].host == "Linux by SNMP")] | length')" -ge 10 ] || fail "the stock template is not linked"

# Everything now, as its intervals are long.
poll()
{
	local tasks
	tasks=$(for what in discoveryrule item; do api $what.get "{\"hostids\":[\"$1\"],\"monitored\":true,\"output\":[\"type\"]}"; done |
		jq -sc 'add | map(select(.type == "20") | {type: 6, request: {itemid: .itemid}})')
	api task.create "$tasks" >/dev/null 2>&1
}
fresh="${prefix}job queue.$(jq -r .host.name < <(loadcell list --json))"
id=$(made | jq -r --arg h "$fresh" '.[] | select(.host == $h) | .hostid')
[ -n "$id" ] || fail "there is no host $fresh"
with_values() { api item.get "{\"hostids\":[\"$1\"],\"output\":[\"lastclock\"]}" | jq '[.[] | select(.lastclock != "0")] | length'; }
wait_for 120 'poll "$id"; sleep 4; [ "$(with_values "$id")" -gt 30 ]' || fail "$fresh: $(with_values "$id") items have values"
echo "note: 10 hosts of 5 instances seen by two; $fresh: $(with_values "$id") stock items have values, with no manual step"
lxc_stop "${prefix}proxy"
wait_for 60 '[ "$(mine | grep -c proxy)" = 0 ]' || { made; fail "the host of an ended instance stays"; }
echo "note: an ended instance's host is gone"
! grep -E 'contain a cycle|cannot evaluate|invalid preprocessing' "$work/server.log" || {
	query -d zabbix -At -c "select d.triggerid_down, d.triggerid_up, a.description, b.description from trigger_depends d join triggers a on a.triggerid = d.triggerid_down join triggers b on b.triggerid = d.triggerid_up" | head -n 60
	fail "the server complains"
}
echo "note: $((SECONDS - began)) s in all"
