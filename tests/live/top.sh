#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `loadcell top` on a real terminal (tmux's), fed with snapshots that test_top writes.
# timeout: 120
# beside others
. "$(dirname "$0")/../lib.sh"
command -v tmux >/dev/null || skip "tmux is not installed: run make deps"
writer=$B/tests/test_top
[ -x "$writer" ] || skip "$writer is not built: run make unit"

echo 'set -g exit-empty off' >"$work/tmux.conf" # the server outlives the windows
tm() { tmux -S "$work/tmux" -f "$work/tmux.conf" "$@"; }
at_exit 'tm kill-server 2>/dev/null'
mkdir -p "$run_dir" "$data_dir"
conf_write

# write COUNT N: sample N of COUNT instances and one with a wide name.
write() { "$writer" write "$run_dir" "$1" "$2" || fail "no snapshot could be written"; }

# top COLUMNS LINES [ENVIRONMENT...]: starts it in a window of that size.
options=
top()
{
	local size=(-x "$1" -y "$2")
	shift 2
	tm kill-session 2>/dev/null
	tm new-session -d "${size[@]}" \
		"env $* $B/bin/loadcell top -d 0.2 $options; echo \"ended with \$?:\"; stty -a | grep -o ' -\?icanon\| -\?echo '; sleep 100"
}

screen() { tm capture-pane -p; }
keys() { tm send-keys "$@"; }

# shows TEXT, lacks TEXT: within a few seconds, the screen (extended regular expressions).
shows() { wait_for 5 "screen | grep -qE -- '$1'" || { screen; fail "the screen does not show: $1"; }; }
lacks() { wait_for 5 "! screen | grep -qE -- '$1'" || { screen; fail "the screen still shows: $1"; }; }
line() { screen | sed -n "$1p"; }

# Nothing is wider or higher than the window, and the window is not gone.
fits()
{
	[ "$(tm display -p '#{window_width}x#{window_height}')" = "$1" ] || fail "the window is not $1"
	[ "$(screen | wc -L)" -le "${1%x*}" ] || { screen; fail "a line is wider than ${1%x*}"; }
}

# --- no data, then data, then damage, then data -----------------------------------------------
top 80 24
shows 'NO DATA: .*snapshot does not exist'
write 40 1
shows '^inst0040 .* 0.40/max'
lacks 'NO DATA'
lacks ' 40M '
write 40 2
shows '^inst0040 .* 40M ' # 400 MiB in the 10 s between the samples
shows '^host1 '
shows '10G committed  2G OVERCOMMITTED'
fits 80x24
head -c 300 "$run_dir/snapshot" >"$work/damaged"
mv "$work/damaged" "$run_dir/snapshot"
shows 'NO DATA: .*damaged'
shows '^inst0040 ' # the last good sample stays
write 40 3
lacks 'NO DATA'

# --- wide names keep the columns ----------------------------------------------------------------
[ "$(line 6)" = "データ   |...  0.50/max |...    512M/max     3     -     -     -     -    -    -" ] ||
	{ screen; fail "the wide name is not aligned"; }

# --- sorting ------------------------------------------------------------------------------------
keys n
wait_for 5 'line 6 | grep -q "^inst0001"' || fail "n does not sort by name"
keys n
wait_for 5 'line 7 | grep -q "^inst0040"' || fail "a second n does not reverse"
keys r
wait_for 5 'line 6 | grep -q "^inst0040"' || fail "r does not sort by what is read"

# --- scrolling and details ----------------------------------------------------------------------
shows '1-18 of 41'
keys End
shows '24-41 of 41'
keys Home NPage
shows '^inst0022 '
keys Home
shows '1-18 of 41'
keys Down Down Enter
shows '^name  *inst0038$'
shows '^cpu_limit_cores  *unlimited'
lacks '^inst0040'
keys End
shows '^cpuset_cores|^memory_inactive_file_bytes'
keys Escape
shows '^inst0038'
keys Home
shows '^inst0040'

# --- help, pause, interval ----------------------------------------------------------------------
keys '?'
shows 'Sort by a column'
keys Escape
lacks 'Sort by a column'
keys h
shows 'Sort by a column'
keys q
lacks 'Sort by a column'
keys Space
shows PAUSED
write 40 5
write 3 6
sleep 1
shows '^inst0040'
keys Space
lacks '^inst0040'
lacks PAUSED
keys c
write 40 7
shows '^inst0040'
keys /
keys -l 'zz'
keys Escape
keys + +
shows 'every 1s'
keys - -
shows 'every 200ms'

# --- filter -------------------------------------------------------------------------------------
keys /
keys -l 'even'
shows 'filter: even *20 of 41'
lacks '^inst0039'
keys BSpace BSpace BSpace BSpace
keys -l 'データ'
shows 'filter: データ *1 of 41'
keys BSpace
shows 'filter: デー *1 of 41'
keys Escape
shows '1-18 of 41'
keys /
keys -l 'inst*1'
keys Enter
shows 'filter: inst\*1 *4 of 41'
keys Escape
shows '1-18 of 41'

# --- resize -------------------------------------------------------------------------------------
for size in 40x10 40x8 200x50 20x5 2x2 1x1 80x24; do
	tm resize-window -x "${size%x*}" -y "${size#*x}"
	sleep 0.3
	fits $size
done
tm resize-window -x 40 -y 10
shows '^inst0040 .*max$|^inst0040 .* -$'
keys Enter
shows '^name '
tm resize-window -x 40 -y 8
keys '?' NPage NPage NPage NPage NPage Escape
tm resize-window -x 132 -y 24
shows 'UPTIME  *OOM HOSTNAME GROUPS'
shows ' even *$'

# --- the end ------------------------------------------------------------------------------------
# ended KEY: top ends by it with status 0 and gives the terminal back as it was.
ended()
{
	shows 'ended with 0:'
	shows '^ icanon'
	shows '^ echo'
}
keys q
ended
top 40 10
shows '^inst0040'
keys C-c
ended
top 80 24 LC_ALL=C
shows '^inst0040'
shows '^データ   \|' # cron and ssh without a locale
pid=$(pgrep -P "$(tm display -p '#{pane_pid}')" -x loadcell)
kill -TERM "$pid"
ended

# --- colour -------------------------------------------------------------------------------------
colours() { tm capture-pane -p -e | grep -c $'\e\[[0-9;]*3[1-7]'; }
top 80 24
shows '^inst0040'
[ "$(colours)" -gt 0 ] || fail "there is no colour"
for environment in NO_COLOR=1 TERM=vt100; do
	top 80 24 $environment
	shows '^inst0040'
	[ "$(colours)" = 0 ] || fail "there is colour with $environment"
	tm capture-pane -p -e | grep -q $'\e\[[0-9;]*1m' || fail "warnings are not bold with $environment"
done
options='--filter inst0001'
top 80 24 TERM=dumb
shows 'cannot be drawn on'
shows '^inst0001' # tables instead
options=

# --- a thousand ---------------------------------------------------------------------------------
top 80 24
write 1000 9
shows '1-18 of 1001'
for _ in $(seq 50); do
	keys NPage
done
shows '884-901 of 1001' # 50 pages of 18 down from the first line
keys End
shows '984-1001 of 1001'

# --- tables without a terminal ------------------------------------------------------------------
tm kill-session
write 3 20
loadcell top -n 1 --sort name --filter 'inst' >"$work/table" || fail "top -n 1 ended with $?"
sed -n '1s/^\(host1 \).*/\1/p; 5,$s/ .*//p' "$work/table" | paste -sd ' ' |
	grep -qx 'host1  NAME inst0001 inst0002 inst0003' || { cat "$work/table"; fail "not the table"; }
[ "$(wc -L <"$work/table")" -le 80 ] || fail "the table is wider than 80"
COLUMNS=40 loadcell top -n 1 | wc -L | grep -qx '[1-4]\?[0-9]' || fail "COLUMNS is not respected"
(sleep 1; write 3 21) &
loadcell top -n 2 >"$work/table" || fail "top -n 2 ended with $?"
wait $!
grep -q '^inst0003 .* 3M ' "$work/table" || { cat "$work/table"; fail "no rates in the second table"; }
rm "$run_dir/snapshot"
loadcell top -n 1 >"$work/table"
[ $? = 4 ] || fail "no data is not exit status 4"
grep -q 'NO DATA' "$work/table" || fail "the table does not say that there is no data"
loadcell top --sort nonsense 2>"$work/err"
[ $? = 2 ] || fail "a wrong column is not exit status 2"
grep -q 'NAME CPU MEM' "$work/err" || fail "the columns are not named"
exit 0
