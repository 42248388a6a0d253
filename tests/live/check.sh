#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The doctor on real instances: what can be provoked on this machine without harming it.
. "$(dirname "$0")/../lib.sh"
need_root

bare=${prefix}bare web=${prefix}web
# check_one ID: its line, with its exit status.
check_one() { loadcell check --only "$1" | sed -n 2p; return "${PIPESTATUS[0]}"; }
# is ID STATUS PATTERN: what the check says by now.
is()
{
	wait_for "${4:-10}" 'check_one "$1" >"$work/line"; [ $? = "$2" ] && grep -Eq "$3" "$work/line"' ||
		fail "$1: not status $2 and '$3' but: $(cat "$work/line")"
	echo "$(cut -c1-110 "$work/line")"
}

# --- no collector -----------------------------------------------------------------------------

conf_write
is collector 2 '^CRITICAL collector: the collector does not run; systemctl enable'
is cpu-limits 3 'no fresh sample'
is threads-max 0 '^OK threads-max: [0-9]+ of [0-9]+ \([0-9]+ %\) threads'
loadcell check --only threads-max | head -n 1 | grep -Eq '\|threads-max=[0-9]+;[0-9]+;[0-9]+;0;[0-9]+$' ||
	fail "no figures: $(loadcell check --only threads-max)"

# --- instances ---------------------------------------------------------------------------------

lxc_new "$bare"
lxc_new "$web" "$(limits memory=64M cpu=0.5 pids=20)" "lxc.prlimit.nofile = 24" \
	"lxc.hook.start-host = $B/bin/loadcell-hook -c $conf" "lxc.hook.stop = $B/bin/loadcell-hook -c $conf"
# Twenty of its 24 files, and 17 of its 20 tasks.
lxc_load "$web" 'for i in 3 4 5 6 7 8 9; do eval "exec $i</dev/null"; done
i=0; while [ $i -lt 14 ]; do sleep 1000 & i=$((i + 1)); done; sleep 1000'
lxc_start "$web"
lxc_start "$bare"
is hooks 1 "1 of 2 containers without loadcell's hooks: $bare;"
collector_start
is collector 0 '^OK collector: it runs, and its sample is fresh'
is cycles 0 '^OK'
for what in memory pids cpu; do
	[ -n "$(cgroup_mount $what)" ] || continue
	is "$what-limits" 1 "1 of 2 instances without a (memory|pids|CPU) limit: $bare; set lxc"
done
is disk-limits 1 "instances without a disk limit: " 60
is pids-near 1 "^WARNING pids-near: $web uses 1[6-8] of its 20 pids" 30
loadcell check --only pids-near | grep -q "lxc-cgroup -n $web pids.max" || fail "no command"

# --- open files --------------------------------------------------------------------------------

is nofile 0 "^OK nofile: process [0-9]+ of $web has [0-9]+ of its 24 files open"
lxc_run "$web" sh -c 'for i in 10 11 12 13 14 15 16 17 18 19 20 21; do eval "exec $i</dev/null"; done; sleep 1000' &
at_exit "kill $! 2>/dev/null"
is nofile 1 "^(WARNING|CRITICAL) nofile: process [0-9]+ of $web has 2[0-4] of its 24 files open" ||
	fail "nofile"
