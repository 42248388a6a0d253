#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The doctor on real instances: what can be provoked on this machine without harming it.
# beside others
. "$(dirname "$0")/../lib.sh"
need_root

bare=${prefix}bare web=${prefix}web
# check_one ID: its line, with its exit status.
check_one() { loadcell check --only "$1" | sed -n 2p; return "${PIPESTATUS[0]}"; }
# is ID STATUS PATTERN: what the check says by now.
is()
{
	id=$1 status=$2 pattern=$3
	wait_for "${4:-10}" 'check_one "$id" >"$work/line"; [ $? = "$status" ] && grep -Eq "$pattern" "$work/line"' ||
		fail "$1: not status $2 and '$3' but: $(cat "$work/line")"
	echo "$(cut -c1-110 "$work/line")"
}

# --- no collector -----------------------------------------------------------------------------

conf_write
is collector 2 '^CRITICAL collector: the collector does not run; systemctl enable'
is cpu-limits 3 'no fresh sample'
is threads-max 0 '^OK threads-max: [0-9]+ of [0-9]+ threads are used \([0-9]+ %\)'
loadcell check --only threads-max | head -n 1 | grep -Eq '\|threads-max=[0-9]+;[0-9]+;[0-9]+;0;[0-9]+$' ||
	fail "no figures: $(loadcell check --only threads-max)"

# --- instances ---------------------------------------------------------------------------------

lxc_new "$bare"
lxc_new "$web" "$(limits memory=64M cpu=0.5 pids=20)" "lxc.prlimit.nofile = 64:1024" \
	"lxc.hook.start-host = $B/bin/loadcell-hook -c $conf" "lxc.hook.stop = $B/bin/loadcell-hook -c $conf"
# 17 of its 20 tasks, and later 57 of its 64 files.
lxc_load "$web" 'i=0; while [ $i -lt 14 ]; do sleep 1000 & i=$((i + 1)); done
while [ ! -e /go ]; do sleep 1; done
for i in $(seq 10 62); do eval "exec $i</dev/null"; done; sleep 1000'
lxc_start "$web"
lxc_start "$bare"
is hooks 1 "1 of 2 containers without loadcell's hooks: $bare;"
collector_start "stale_after = 3s"
is collector 0 '^OK collector: it runs, and its sample is fresh'
is cycles 0 '^OK'
for what in memory pids cpu; do
	[ -n "$(cgroup_mount $what)" ] || continue
	is "$what-limits" 1 "[1-9][0-9]* of [0-9]+ instances? without a (memory|pids|CPU) limit: .*$bare.*; lxc.cgroup"
done
is disk-limits 1 "instances without a disk limit: " 60
is pids-near 1 "^WARNING pids-near: $web uses 1[6-8] of its 20 pids" 30
eval "$(sed -n 's/.*; \(lxc-cgroup .*\), and in its.*/\1/p' "$work/line")" || fail "no remedy: $(cat "$work/line")"
is pids-near 0 "^OK pids-near: $web uses [0-9]+ of its 64 pids"

# --- open files --------------------------------------------------------------------------------

is nofile 0 "^OK nofile: process [0-9]+ of $web has [0-9]+ of its 64 files open"
touch "$lxcpath/$web/rootfs/go"
is nofile 1 "^WARNING nofile: process [0-9]+ of $web has 5[0-9] of its 64 files open \\(8[0-9] %\\)"
until grep -q '^OK' "$work/line"; do # the remedy, as it is told, for both processes
	eval "$(sed 's/.*at once: //' "$work/line")" || fail "no remedy: $(cat "$work/line")"
	remedies=$((${remedies:-0} + 1))
	[ $remedies -lt 5 ] || fail "no end of remedies: $(cat "$work/line")"
	check_one nofile >"$work/line"
done
is nofile 0 '^OK nofile'

# --- a user, a collector that hangs, one that is gone ------------------------------------------

cp "$B/bin/loadcell" "$work/loadcell"
chmod 755 "$work/loadcell"
line=$(setpriv --reuid 65534 --regid 65534 --clear-groups "$work/loadcell" check --only collector,threads-max)
[ $? = 3 ] || fail "a plain user is told: $line"
grep -q '^UNKNOWN collector: ' <<<"$line" && grep -q '^OK threads-max: ' <<<"$line" ||
	fail "a plain user is told: $line"
grep '^UNKNOWN' <<<"$line" | tail -n 1
kill -STOP "$collector"
is collector 2 '^CRITICAL collector: the collector does not answer: .* its sample is [0-9]+s old' 20
kill -CONT "$collector"
is collector 0 '^OK'
collector_stop
is collector 2 '^CRITICAL collector: the collector does not run'
is cycles 3 'the collector has no fresh sample'
