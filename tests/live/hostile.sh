#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Hostile instances and users delay neither cycles nor the discovery of others: a root that is a
# hung FUSE file system and one mounted inside, a stopped lxc-start, forged command sockets, and an
# instance that writes and forks as hard as it can.
# timeout: 300
. "$(dirname "$0")/../lib.sh"
need_root
command -v setpriv >/dev/null || skip "setpriv is not installed: run make deps"
[ -x "$B/live/fault" ] || skip "$B/live/fault is not built: run make unit"
[ -c /dev/fuse ] || skip "cannot: no /dev/fuse"

seconds=20 interval=1

# "TIME CYCLE-SECONDS MISSED HANDLE START-TIME" of each snapshot and instance, into the file.
watch_snapshots()
{
	while :; do
		sleep 0.2
		[ "$run_dir/snapshot" -nt "$work/seen" ] || [ ! -e "$work/seen" ] || continue
		touch -r "$run_dir/snapshot" "$work/seen"
		loadcell list --json 2>/dev/null | jq -r '.time as $t | .host.metrics as $h | .instances[] |
			"\($t) \($h.collector_cycle_seconds) \($h.collector_missed_cycles) \(.handle) " +
			"\(.metrics.start_time_seconds)"' >>"$1"
	done
}

# observe FILE COMMAND: watches snapshots for that time, beginning with the command.
observe()
{
	watch_snapshots "$1" &
	watcher=$!
	eval "$2"
	sleep $seconds
	kill $watcher
	wait $watcher 2>/dev/null
}
at_exit 'kill ${watcher:-} 2>/dev/null'

# "MISSED LONGEST-CYCLE LONGEST-PAUSE" of what was observed; pauses in seconds.
judge()
{
	awk '!n++ { missed = $3 } { if ($2 > cycle) cycle = $2; if (last && $1 - last > pause) pause = $1 - last
		last = $1; end = $3 } END { printf "%d %.4f %.3f\n", end - missed, cycle, pause }' "$1"
}

# --- instances: an ordinary one, one to be stopped, the wild one ------------------------------------
lxc_new "${prefix}web"
lxc_new "${prefix}still"
lxc_new "${prefix}wild" "$(limits pids=100 cpu=1 memory=256M)"
lxc_load "${prefix}wild" '
while [ ! -e /go ]; do sleep 0.1; done
while :; do
	for n in 1 2 3 4 5 6 7 8; do
		(while :; do head -c 3000000 /dev/zero >/var/wild$n; mkdir -p /var/d$n; : >/var/d$n/$RANDOM; done) &
	done
	while :; do (sleep 0.2 &) & (: & : & : &) done
done 2>/dev/null'
for name in web still wild; do
	lxc_start "$prefix$name"
done
mkfifo "$work/fleet.in"
"$B/live/fault" instances <"$work/fleet.in" >"$work/fleet" &
fleet=$!
exec 8>"$work/fleet.in"
at_exit 'exec 8>&-; wait $fleet'

run_in_memory
collector_start "lxcpath = $lxcpath" "lxcpath = /var/lib/lxc" "reconcile = 5s" "disk_walk_share = 20 %"
wait_for 10 '[ "$(json .instances | jq -r ".[].handle" | grep -c "^$prefix")" = 3 ]' || fail "not three instances"
wait_for 10 '[ "$(metric "${prefix}web" disk_used_bytes)" != null ]' || fail "no disk figure before"

# --- without anything hostile --------------------------------------------------------------------------
observe "$work/calm" 'for n in 1 2 3; do echo "+${prefix}calm${n}x"; sleep 1.3; done >&8'
read -r calm_missed calm_cycle calm_pause < <(judge "$work/calm")

# --- all at once -----------------------------------------------------------------------------------------
stuck=$(host_metric collector_stuck_workers) untrusted=$(host_metric collector_untrusted_names)

# An instance whose root is a hung file system: the first child of unshare is init of its namespace.
${CC:-cc} -o "$work/hung-fuse" "$(dirname "$0")/hung-fuse.c" || skip "no C compiler"
mkdir "$work/hung"
unshare --pid "$work/hung-fuse" "$work/hung" mute >"$work/hung.pid" 2>"$work/hung.err" &
servers=$!
at_exit 'kill -KILL $servers $(cat "$work/hung.pid") 2>/dev/null'
wait_for 10 '[ -s "$work/hung.pid" ]' || fail "no hung file system: $(cat "$work/hung.err")"
for directory in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts | sort -u); do
	payload=$directory/lxc.payload.${prefix}hungx
	mkdir "$payload" 2>/dev/null || continue
	cgroups+=("$payload")
	for file in cpuset.cpus cpuset.mems; do
		[ -e "$directory/$file" ] && cat "$directory/$file" >"$payload/$file" 2>/dev/null
	done
	cat "$work/hung.pid" >"$payload/cgroup.procs" || fail "cannot fill $payload"
done
wait_for 5 '[ -n "$(metric "${prefix}hungx" start_time_seconds)" ]' || fail "the hung instance is not found"

# One inside an instance, at a path that is its own.
init=$(lxc_pid "${prefix}still")
mkdir "$lxcpath/${prefix}still/rootfs/hung"
cp "$work/hung-fuse" "$lxcpath/${prefix}still/rootfs/hung-fuse"
nsenter --mount="/proc/$init/ns/mnt" "$work/hung-fuse" "$lxcpath/${prefix}still/rootfs/hung" bare 2>"$work/bare.err" &
servers="$servers $!"

stopped=$(awk '/^PPid/ { print $2 }' "/proc/$init/status")
at_exit "kill -CONT $stopped 2>/dev/null"
kill -STOP "$stopped"

setpriv --reuid 65534 --regid 65534 --clear-groups "$B/live/discover" forge \
	"/var/lib/lxc/evil/command" "$lxcpath/evil/command" >"$work/forge.log" &
forger=$!
at_exit "kill $forger 2>/dev/null"
wait_for 5 'grep -qs forged "$work/forge.log"' || fail "the sockets were not forged"

touch "$lxcpath/${prefix}wild/rootfs/go"
wait_for 10 '[ "$(metric "${prefix}wild" pids_current)" -ge 50 ]' || fail "the wild instance is tame"

observe "$work/wild" '
	for n in 1 2 3 4 5; do echo "+${prefix}late${n}x"; sleep 1.3; done >&8
	lxc_new "${prefix}late"
	lxc_start "${prefix}late"'
read -r missed cycle pause < <(judge "$work/wild")

# --- what came of it ------------------------------------------------------------------------------------------
[ "$missed" -le $((calm_missed * 3)) ] || fail "$missed cycles missed, $calm_missed without hostile ones"
awk "BEGIN { exit !($pause < $interval * 1.5 || $pause < $calm_pause * 2) }" ||
	fail "publication paused for $pause s, for $calm_pause without hostile ones"
awk "BEGIN { exit !($cycle < 0.3 || $cycle < $calm_cycle * 5) }" ||
	fail "a cycle took $cycle s, $calm_cycle without hostile ones"

# late FILE NAME: seconds from the start of its init to the first sample that has it.
late() { awk -v n="$2" '$4 == n { printf "%.2f\n", $1 - $5; exit }' "$1"; }
slowest=0
for name in late1x late2x late3x late4x late5x late; do
	took=$(late "$work/wild" "$prefix$name")
	awk "BEGIN { exit !(${took:-99} <= 1 + $interval) }" || fail "$name was shown ${took:-never} s after its start"
	slowest=$(printf '%s\n' "$slowest" "$took" | sort -n | tail -n 1)
done
wait_for 60 '[ "$(metric "${prefix}late" disk_used_bytes)" != null ]' || fail "no disk figure for a new instance"
[ "$(metric "${prefix}web" cpu_usage_seconds)" != null ] || fail "the ordinary instance is not measured"
[ "$(metric "${prefix}hungx" disk_used_bytes)" = null ] || fail "a disk figure of a hung file system"
[ -n "$(metric "${prefix}still" memory_usage_bytes)" ] || fail "the one with a stopped monitor is not measured"

! grep -q ' evil' "$work/wild" || fail "evil was listed"
[ -z "$(json '.instances[] | select(.name == "evil")')" ] || fail "evil is listed"
wait_for 20 '[ "$(host_metric collector_untrusted_names)" -ge $((untrusted + 2)) ]' ||
	fail "forged sockets: $untrusted before, $(host_metric collector_untrusted_names) now"
wait_for 60 '[ "$(host_metric collector_stuck_workers)" -ge $((stuck + 2)) ]' ||
	fail "stuck workers: $stuck before, $(host_metric collector_stuck_workers) now"
loadcell status >"$work/status"
grep -q '^counted *collector_stuck_workers' "$work/status" || fail "status hides stuck workers: $(cat "$work/status")"
grep -q '^counted *collector_untrusted_names' "$work/status" || fail "status hides forged names: $(cat "$work/status")"

# Its end is not held up either.
collector_stop
[ $collector_status = 0 ] || fail "the end: status $collector_status"
echo "note: $missed missed, longest cycle $cycle s (calm $calm_cycle), pause $pause s (calm $calm_pause), new ones shown within $slowest s"
