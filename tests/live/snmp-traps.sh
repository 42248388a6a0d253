#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A receiver (snmptrapd) sees one notification for each start, stop, reboot and OOM kill of real
# instances, half of them without hooks, and none twice when loadcell-snmp is killed with -9 and
# started again; one when the data gets stale and one when it is fresh again; and what was too much
# while snmpd was away as a number. INSTANCES (6): how many.
# timeout: 280
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
run_in_memory
command -v snmptrapd >/dev/null || skip "snmptrapd is not installed: run make deps"
. "$(dirname "$0")/../snmp-lib.sh"
instances_n=${INSTANCES:-6}
trap_port=$((port + 1))

# --- the receiver: one line for each notification, varbinds separated by tabs --------------------
echo 'disableAuthorization yes' >"$work/snmptrapd.conf"
SNMP_PERSISTENT_DIR=$work/persistent-trapd setsid snmptrapd -f -n -C -c "$work/snmptrapd.conf" -On -Oe -OQ \
	-F '%v\n' -Lf "$work/received" "udp:127.0.0.1:$trap_port" </dev/null >"$work/snmptrapd.log" 2>&1 &
trapd=$!
at_exit 'kill $trapd; wait $trapd 2>/dev/null'
# Informs, which snmptrapd acknowledges: UDP alone may lose some. What snmpd sends again because the
# acknowledgement took long is the same to the hundredth of a second of its sysUpTime.
once() { sort -u "$work/received"; }
snmpd_conf "informsink 127.0.0.1:$trap_port test"

# number N: how many notifications ARC.0.N came. numbers N: the events they tell of.
number() { once | grep -c "= ${arc}\.0\.$1	"; }
numbers() { once | sed -n "s/.*= $(printf %s "$arc" | sed 's/\./\\./g')\.0\.$1	.*\.1\.7\.1\.3002\.\([0-9]*\) = .*/\1/p"; }
# told TYPES: the events of these types, their numbers.
told() { jq -r --argjson types "$1" 'select(.type as $t | $types | index($t)) | .id' "$data_dir/events.jsonl"; }
starts='["start", "appeared"]' stops='["stop", "disappeared"]'
events_of() { told "$1" | wc -l; }

# same N TYPES: notification N tells of exactly these events, each once.
same() { diff <(told "$2" | sort -n) <(numbers "$1" | sort -n) >"$work/differ"; }
all_same() { same 1 "$starts" && same 2 "$stops" && same 3 '["reboot"]' && same 4 '["oom"]'; }
settled() { wait_for 30 all_same || fail "$1: not each event once: $(head -n 10 "$work/differ")"; }

# --- instances ----------------------------------------------------------------------------------
hooks=$work/hooks.conf
sed "s,/usr/libexec/loadcell/loadcell-hook,$B/bin/loadcell-hook -c $conf," \
	"$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$hooks"
memory=$(cgroup_mount memory)
for ((i = 1; i <= instances_n; i++)); do
	extra=()
	[ $((i % 2)) = 0 ] || extra=("lxc.include = $hooks")
	lxc_new "$prefix$i" "$(limits memory=24M)" "${extra[@]}"
	[ -z "$memory" ] || lxc_load "$prefix$i" 'sleep 2; dd if=/dev/zero of=/dev/null bs=64M count=1'
done
each() { local i; for ((i = $2; i <= $3; i++)); do "$1" "$prefix$i"; done; }
half=$((instances_n / 2))

snmpd_start
collector_start "agentx = $work/master" "stale_after = 4s" "snmp_state_dir = $work/state"
snmp_start "$conf"
wait_for 10 '[ "$(cell 1.3004.0)" = 2 ]' || fail "loadcell-snmp does not answer"

# --- starts and OOM kills ------------------------------------------------------------------------
each lxc_start 1 $instances_n
wait_for 60 '[ "$(events_of "$starts")" = $instances_n ]' || fail "$(events_of "$starts") starts"
if [ -n "$memory" ]; then
	wait_for 30 '[ "$(events_of "[\"oom\"]")" = $instances_n ]' || fail "$(events_of '["oom"]') kills"
fi
settled "after the starts"
[ "$(number 1)" = $instances_n ] || fail "$(number 1) starts told"
echo "note: $instances_n starts and $(number 4) OOM kills told once"
# What a notification says, with names.
name=${prefix}1
line=$(once | grep "\.0\.4	.*= \"$name\"")
run=$(jq -r "select(.type == \"oom\" and .handle == \"$name\") | .run" "$data_dir/events.jsonl")
[ -z "$memory" ] || grep -q "\.1\.7\.1\.3006\.[0-9]* = \"$run\".*\.1\.7\.1\.3008\.[0-9]* = 1$" <<<"$line" || fail "it says: $line"

# --- killed, and what happens meanwhile ------------------------------------------------------------
snmp_end KILL
each lxc_stop 1 $half
wait_for 60 '[ "$(events_of "$stops")" = $half ]' || fail "$(events_of "$stops") stops"
snmp_start "$conf"
settled "after kill -9 and stops"
snmp_end KILL
snmp_start "$conf"
last=$((instances_n - 1 + instances_n % 2)) # it has hooks, which tell of a reboot
lxc_run "$prefix$last" reboot -f 2>/dev/null
for ((i = half + 1; i <= instances_n; i++)); do
	[ $i = $last ] || lxc_stop "$prefix$i"
done
wait_for 60 '[ "$(events_of "[\"reboot\"]") $(events_of "$starts") $(events_of "$stops")" = "1 $((instances_n + 1)) $((instances_n - 1))" ]' ||
	fail "$(events_of '["reboot"]') reboots, $(events_of "$starts") starts, $(events_of "$stops") stops"
lxc_stop "$prefix$last"
wait_for 30 '[ "$(events_of "$stops")" = $instances_n ]' || fail "no stop after a reboot"
settled "after the stops"
echo "note: $(number 2) stops and $(number 3) reboots told once"

# --- killed while it sends: nothing twice, and few are missing ---------------------------------------
for ((i = 0; i < 3; i++)); do
	each lxc_start 1 $half
	each lxc_stop 1 $half &
	stopping=$!
	sleep 0.$((RANDOM % 9 + 1))
	snmp_end KILL
	snmp_start "$conf"
	wait $stopping
done
wait_for 30 '[ "$(events_of "$stops")" = $((instances_n + 3 * half)) ]' || fail "$(events_of "$stops") stops after churn"
sleep 3
for n in 1 2 3 4; do numbers $n; done | sort -n | uniq -d >"$work/twice"
[ ! -s "$work/twice" ] || fail "told twice: $(head -n 5 "$work/twice")"
missing=$(comm -23 <(told "$starts" | sort) <(numbers 1 | sort) | wc -l)
missing=$((missing + $(comm -23 <(told "$stops" | sort) <(numbers 2 | sort) | wc -l)))
# What was read in the second before a kill, and no more than one instance's each time.
[ $missing -le $((3 * half)) ] || fail "$missing of $((6 * half)) are missing after 3 kills"
echo "note: none twice and $missing missing after kill -9 in the middle"

# --- snmpd is away --------------------------------------------------------------------------------
before=$(number 1) summaries=$(number 7)
snmpd_end KILL
for ((i = 0; i < 450; i++)); do
	echo "{\"schema\":1,\"id\":$((100000 + i)),\"time\":$(date +%s),\"type\":\"start\",\"handle\":\"x\",\"index\":1,\"run\":\"$i\"}"
done >>"$data_dir/events.jsonl"
sleep 3
snmpd_start
wait_for 25 '[ "$(number 7)" = "$((summaries + 1))" ]' || fail "nothing is told of what was left out"
wait_for 15 '[ $(($(number 1) - before)) = 400 ]' || fail "$(($(number 1) - before)) of 400 told after snmpd was away, $(numbers 1 | sort | uniq -d | wc -l) of them twice"
grep "\.0\.7	" "$work/received" | tail -n 1 | grep -q "\.1\.1\.3008\.0 = 50$" || fail "$(grep "\.0\.7	" "$work/received")"
echo "note: of 450 while snmpd was away 400 told and 50 summed up"

# --- stale and fresh -------------------------------------------------------------------------------
collector_stop KILL
wait_for 15 '[ "$(number 5)" = 1 ]' || fail "stale data is not told"
snmp_end KILL
snmp_start "$conf"
sleep 6
collector_start "agentx = $work/master" "stale_after = 4s" "snmp_state_dir = $work/state"
wait_for 15 '[ "$(number 6)" = 1 ]' || fail "fresh data is not told"
sleep 2
[ "$(number 5)$(number 6)" = 11 ] || fail "stale $(number 5) and fresh $(number 6) times"
snmp_end
[ "$snmp_status" = 0 ] || fail "loadcell-snmp ended with $snmp_status"
