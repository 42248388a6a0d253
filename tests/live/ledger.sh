#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs of real instances without hooks: how each ended, that it stands in the ledger once, over kills
# of the ledger and of the collector. CPU time is compared with the kernel's own counter.
# timeout: 180
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
cpu=$(cgroup_mount cpuacct)
[ -n "$cpu" ] || skip "cannot: no cgroup v1 CPU accounting" # v2 counts in microseconds elsewhere

# runs HANDLE QUERY: of the newest run that has ended; ended HANDLE: how many there are.
runs() { loadcell runs --json "$1" | jq -rs "map(select(.end != null)) | .[0] | $2"; }
ended() { loadcell runs --json "$1" 2>/dev/null | jq -s 'map(select(.end != null)) | length'; }
events() { loadcell events --json "$1" | jq -r .type | paste -sd' '; }
pid_of() { pgrep -P "$collector" -f "loadcelld-$1"; }

one=${prefix}one two=${prefix}two
lxc_new "$one"
lxc_new "$two"
lxc_load "$one" 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'
collector_start "reconcile = 1s"

"$B/bin/loadcell" events -f --since 1h >"$work/followed" &
follower=$!
at_exit 'kill "$follower" 2>/dev/null'

# --- a stop ---------------------------------------------------------------------------------------
lxc_start "$one"
wait_for 10 '[ "$(events "$one")" = appeared ]' || fail "no appeared: $(events "$one")"
wait_for 5 'loadcell runs "$one" | grep -q running' || fail "a running run is not shown"
sleep 4
counted=$(cat "$(instance_cgroup "$one" cpuacct)/cpuacct.usage")
grep -q " appeared  *$one$" "$work/followed" || fail "events -f: $(cat "$work/followed")"
lxc_stop "$one"
wait_for 10 '[ "$(ended "$one")" = 1 ]' || fail "no run in the ledger"
[ "$(events "$one")" = "appeared disappeared" ] || fail "events: $(events "$one")"
wait_for 2 'grep -q " disappeared  *$one .*stop$" "$work/followed"' ||
	fail "events -f: $(cat "$work/followed")"
[ "$(runs "$one" '"\(.how) \(.source)"')" = "stop sample" ] || fail "not stopped: $(runs "$one" .)"
runs "$one" .metrics.cpu_usage_seconds | awk -v k="$counted" '
	{ d = $1 - k / 1e9 } END { exit !($1 > 0 && d < 0.05 && d > -0.05) }' ||
	fail "CPU $(runs "$one" .metrics.cpu_usage_seconds) s, the kernel counted $counted ns"

# --- a lost monitor ---------------------------------------------------------------------------------
lxc_start "$one"
wait_for 10 'loadcell runs "$one" | grep -q running' || fail "the second run is not seen"
sleep 2
kill -KILL "$(awk '{ print $4 }' "/proc/$(lxc_pid "$one")/stat")"
wait_for 10 '[ "$(ended "$one")" = 2 ]' || fail "no second run in the ledger"
[ "$(runs "$one" .how)" = killed ] || fail "not killed: $(runs "$one" .)"
id=$(loadcell events --json "$one" | jq -s 'map(select(.how == "killed")) | .[0].id')
wait_for 5 '[ -s "$data_dir/flight/$id.json.gz" ]' || fail "no samples were kept with event $id"
loadcell events --id "$id" | grep -q '^TIME  *CPU' || fail "the samples are not shown"
kill_cgroup "$(cgroup_mount memory | cut -d' ' -f2)/lxc.payload.$one"

# --- kills of the ledger and of the collector ---------------------------------------------------------
lxc_start "$two"
wait_for 10 '[ "$(events "$two")" = appeared ]' || fail "no appeared: $(events "$two")"
cost=$(host_metric collector_cpu_seconds)
kill -KILL "$(pid_of ledger)"
wait_for 10 '[ -n "$(pid_of ledger)" ]' || fail "the ledger is not started again"
sleep 3
[ "$(ended "$two")" = 0 ] || fail "a running run was closed: $(runs "$two" .)"
wait_for 12 '[ "$(host_metric collector_cpu_seconds)" != "$cost" ]' || fail "what it costs stands still"
jq -en "$(host_metric collector_cpu_seconds) >= $cost" >"$work/grows" ||
	fail "what the collector has cost fell from $cost to $(host_metric collector_cpu_seconds) s"
collector_stop KILL
collector_start "reconcile = 1s"
sleep 5
[ "$(ended "$two")" = 0 ] || fail "a running run was closed: $(runs "$two" .)"
[ "$(metric "$two" samples)" -ge 5 ] || fail "samples begin again: $(metric "$two" samples)"
collector_stop KILL
lxc_stop "$two"
collector_start "reconcile = 1s"
wait_for 20 '[ "$(ended "$two")" = 1 ]' || fail "the run that ended meanwhile is not in the ledger"
[ "$(runs "$two" .how)" = unknown ] || fail "not unknown: $(runs "$two" .)"
[ "$(events "$two")" = "appeared disappeared" ] || fail "events: $(events "$two")"

wait_for 20 '[ "$(host_metric ledger_errors)" = 0 ]' || fail "the ledger counted errors"
collector_stop
[ "$(ended "$one")" = 2 ] && [ "$(ended "$two")" = 1 ] || fail "runs were written twice"
! grep -iE "cannot|damaged" "$work/loadcelld.log" | grep -v "^skip" || fail "the log tells of trouble"
echo "note: 3 runs, each once; CPU within 50 ms of the kernel's counter at the end"
