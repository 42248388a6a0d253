#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was: `list --at`, `top --at` on a real terminal (tmux's) and `graph`, of an instance that runs
# and of one that has ended, out of the ring and, without that, out of the RRDs.
# timeout: 240
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v tmux >/dev/null || skip "tmux is not installed: run make deps"

echo 'set -g exit-empty off' >"$work/tmux.conf"
tm() { tmux -S "$work/tmux" -f "$work/tmux.conf" "$@"; }
at_exit 'tm kill-server 2>/dev/null'
screen() { tm capture-pane -p; }
shows() { wait_for 10 "screen | grep -qE -- '$1'" || { screen; fail "the screen does not show: $1"; }; }

a=${prefix}stays b=${prefix}ends
lxc_new "$a" "$(limits memory=64M pids=50)"
lxc_new "$b" "$(limits memory=64M cpu=0.5)"
lxc_load "$b" 'while :; do :; done'
lxc_start "$a"
lxc_start "$b"
collector_start "flush = 5s"
wait_for 20 '[ "$(metric "$b" cpu_used_cores)" != null ]' || fail "$b is not measured"
sleep 12
both=$(date +%s)
sleep 3
lxc_stop "$b"
wait_for 20 '! loadcell list | grep -q "$b"' || fail "$b is still listed"
sleep 3
loadcell runs --json | grep -q "\"$b\"" || fail "the ledger has no run of $b"

# both_as FORM WHERE: the table of that time has both, the one that ended at work.
both_as()
{
	loadcell list --at "@$both" >"$work/list" || fail "list --at failed"
	cat "$work/list"
	grep -q " at .*, $1" "$work/list" || fail "list --at does not say: $1"
	grep -q "^$a *running" "$work/list" && grep -q "^$b *running" "$work/list" || fail "list --at lacks one ($2)"
	loadcell list --at "@$both" --json |
		jq -e --arg b "$b" '.instances[] | select(.handle == $b) | .metrics |
			.cpu_used_cores > 0.2 and .memory_limit_bytes == 67108864 and .uptime_seconds > 0' >/dev/null ||
		fail "list --at --json has other figures ($2)"
	loadcell top --at "@$both" -b >"$work/top" || fail "top --at failed"
	sed -n '6,$p' "$work/top" | grep -oE "^($a|$b)" | head -n 1 | grep -qx "$b" ||
		{ cat "$work/top"; fail "top --at does not show $b first ($2)"; }
}
both_as "a sample of every 1s" ring

# --- arrow keys -------------------------------------------------------------------------------
tm new-session -d -x 100 -y 24 "$B/bin/loadcell top --at @$both; echo ended; sleep 100"
shows "at $(date -d "@$both" '+%F %T'), a sample of every 1s"
shows "^$b"
tm send-keys Left
shows "at $(date -d "@$((both - 1))" '+%F %T'), "
tm send-keys Right Right
shows "at $(date -d "@$((both + 1))" '+%F %T'), "
tm send-keys '<'
shows "at $(date -d "@$((both - 9))" '+%F %T'), "
tm send-keys l
shows '0s ago|1s ago'
screen | grep -q "^$b" && fail "$b is still in the table of now"
tm send-keys Left
shows ', a sample of every 1s'
tm send-keys q
shows ended

# --- pictures, the right edge being now -------------------------------------------------------
loadcell graph "$b" --from -5min -o "$work/b.svg" || fail "no picture of $b"
grep -q "<title>$b: CPU</title><desc>cores: user, system" "$work/b.svg" || fail "the picture lacks its texts"
loadcell graph --top cpu_used_cores --from -5min -o "$work/top.svg" || fail "no picture of the heaviest"
# Others may run on this host.
grep -o '<desc>[^<]*' "$work/top.svg" | grep "cores: .*$b" | grep -qv "$a.*$b" || fail "$b is not among the heaviest"
loadcell graph --host --graph memory --from -5min -o - >"$work/host.png" || fail "no picture of the host"
head -c 4 "$work/host.png" | grep -q PNG || fail "that is no PNG"

# --- the same from the RRDs alone -------------------------------------------------------------
collector_stop
rm "$run_dir/recent" # the last snapshot, stale by now, still tells who has not ended
both_as "mean of" RRDs
loadcell list --at -2h >"$work/out" 2>&1
[ $? = 4 ] && grep -q 'nothing is stored of' "$work/out" || { cat "$work/out"; fail "two hours ago there was nothing"; }
