#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Manners of loadcelld: second starts, signals, --once, sd_notify, a quiet log, a full disk,
# damaged files, garbage on the control socket, who may read and write, few descriptors.
# timeout: 300
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v rrdtool >/dev/null || skip "rrdtool is not installed: run make deps"
[ -x "$B/live/fault" ] || skip "$B/live/fault is not built: run make unit"

web=${prefix}web log=$work/loadcelld.log
log_lines() { wc -l <"$log"; }
# Other tests' forged instances are not this one's business.
news() { tail -n +$(($1 + 1)) "$log" | grep -v '^refused the '; }
# logged FROM PATTERN: how many lines after line FROM match.
logged() { tail -n +$(($1 + 1)) "$log" | grep -cE -- "$2"; }
rrd_of() { ls "$data_dir/rrd/$1".*.rrd 2>/dev/null | head -n 1; }
sampled() { json .time; }
# known FILE SOURCE FROM TO: the steps with a value, "TIME VALUE" lines.
known()
{
	rrdtool fetch "$1" AVERAGE -r 1 -s "$3" -e "$4" | awk -v s="$2" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == s) column = i + 1; next }
		column && NF > 1 && $column !~ /nan/ { sub(":", "", $1); print $1, $column }'
}
# one_sentence STATUS COMMAND...: it fails with that status and one line on standard error.
one_sentence()
{
	local want=$1 status
	shift
	"$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status -eq "$want" ] || fail "$*: exit status $status instead of $want: $(cat "$work/err")"
	[ "$(wc -l <"$work/err")" = 1 ] || fail "$*: not one sentence: $(cat "$work/err")"
}

# --- --check-config ---------------------------------------------------------------------------
conf_write
"$B/bin/loadcelld" -c "$conf" --check-config >"$work/out" || fail "a good configuration is refused"
printf 'interval = 1s\nintervall = 1s\n' >"$work/bad.conf"
one_sentence 2 "$B/bin/loadcelld" -c "$work/bad.conf" --check-config
grep -q "$work/bad.conf:2" "$work/err" || fail "file and line are not named: $(cat "$work/err")"
[ ! -e "$run_dir" ] || fail "--check-config has made $run_dir"

# --- --once -------------------------------------------------------------------------------------
lxc_new "$web" "$(limits memory=64M cpu=0.5 pids=100)"
lxc_start "$web"
timeout 60 "$B/bin/loadcelld" -c "$conf" --once 2>"$log" || fail "--once ended with $?: $(cat "$log")"
[ "$(metric "$web" pids_limit)" = 100 ] || fail "--once did not publish the instance"
[ "$(rrdtool last "$(rrd_of "$web")")" = "$(sampled | cut -d. -f1)" ] || fail "--once did not store"
[ -z "$(pgrep -f "loadcelld.*$conf")" ] || fail "--once left processes"
[ ! -s "$log" ] || fail "--once complained: $(cat "$log")"

# --- readiness, and one collector per directory ---------------------------------------------------
"$B/live/fault" notify "$work/notify" >"$work/notified" &
notified=$!
at_exit "kill $notified"
wait_for 5 '[ -S "$work/notify" ]' || fail "no notify socket"
export NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=2000000
umask 000 # it keeps others out by itself
collector_start "flush = 2s"
unset NOTIFY_SOCKET WATCHDOG_USEC
umask 022
wait_for 5 'grep -q READY=1 "$work/notified"' || fail "READY=1 was not sent"
wait_for 10 '[ "$(grep -c WATCHDOG=1 "$work/notified")" -ge 3 ]' || fail "WATCHDOG=1 is not sent"

sed "s|^data_dir.*|data_dir = $work/other|" "$conf" >"$work/same-run.conf"
sed "s|^run_dir.*|run_dir = $work/other|" "$conf" >"$work/same-data.conf"
for c in "$conf" "$work/same-run.conf" "$work/same-data.conf"; do
	one_sentence 1 "$B/bin/loadcelld" -c "$c"
	grep -q "process $collector;" "$work/err" || fail "the owner is not named: $(cat "$work/err")"
done
loadcell status >/dev/null || fail "a refused start disturbed the first: $(loadcell status)"

# --- SIGHUP ---------------------------------------------------------------------------------------
from=$(log_lines)
conf_write "flush = 2s" "interval = 2s"
kill -HUP $collector
wait_for 10 '[ "$(json .interval)" = 2 ]' || fail "SIGHUP: the new interval is not in force"
printf 'interval = 3s\nflush = soon\n' >"$conf.new" && cat "$conf.new" >"$conf.bad"
cp "$conf" "$conf.good" && cat "$conf.bad" >"$conf"
kill -HUP $collector
wait_for 5 '[ "$(logged $from "the old configuration stays in force: .*$conf:2: ")" = 1 ]' ||
	fail "SIGHUP with a bad file: not said why: $(tail -n 3 "$log")"
sed "s|^data_dir.*|data_dir = $work/other|" "$conf.good" >"$conf"
kill -HUP $collector
wait_for 5 '[ "$(logged $from "data_dir cannot change")" = 1 ]' || fail "SIGHUP: another data_dir is not refused"
cp "$conf.good" "$conf"
sleep 3
[ "$(json .interval)" = 2 ] || fail "SIGHUP with a bad file: the old interval is gone"
[ "$(logged $from configuration)" = 3 ] || fail "SIGHUP thrice: $(tail -n +$((from + 1)) "$log")"
conf_write "flush = 2s"
kill -HUP $collector
wait_for 10 '[ "$(json .interval)" = 1 ]' || fail "the interval is not back"

# --- garbage on the control socket ------------------------------------------------------------------
ask() { timeout 5 "$B/live/fault" ask "$run_dir/control.sock" "$1" 2>/dev/null; }
for garbage in 'garbage\n' '\n' 'STATUS\n' 'status \n' '{"op":"flush"}\n' 'quit\0\n'; do
	ask "$garbage" | jq -e .error >/dev/null || fail "garbage is not refused: $garbage"
done
for garbage in "$(printf 'x%.0s' {1..5000})" 'half\0' '\0\0\0\0' ''; do
	ask "$garbage" >"$work/out"
	[ $? -eq 124 ] || [ ! -s "$work/out" ] || jq -e .error "$work/out" >/dev/null ||
		fail "garbage is answered: $(cat "$work/out")"
done
for n in {1..20}; do # more than it serves at a time, none of them says anything
	timeout 4 "$B/live/fault" ask "$run_dir/control.sock" "" 2>/dev/null &
	idle="${idle:-} $!"
done
sleep 1
collector_alive || fail "silent clients killed the collector"
wait $idle
[ "$(ask 'flush\n' | jq .flushed)" = true ] || fail "no flush after the garbage"
[ "$(ask 'status\n' | jq .pid)" = $collector ] || fail "no status after the garbage"
one_sentence 0 sh -c "'$B/bin/loadcell' status >/dev/null; echo done >&2"

# --- who may read and write: docs/security.md ---------------------------------------------------------
# below FIND-ARGUMENTS: of all that is in the run and data directory, names without directory.
below() { find "$run_dir" "$data_dir" "$@" -printf '%f\n' | sort | tr '\n' ' '; }
[ -z "$(below ! -user root)" ] || fail "not root's: $(below ! -user root)"
[ -z "$(below ! -type l -perm /007)" ] || fail "open to others: $(below ! -type l -perm /007)"
[ "$(below -perm /020)" = "control.sock " ] || fail "open to the group's writing: $(below -perm /020)"
private=$(below ! -perm -040)
[ -z "$(tr ' ' '\n' <<<"$private" | grep -vE '^(hook.sock|spool|store.undo|(live|start|init)\..*)?$')" ] ||
	fail "closed to the group: $private"
for path in "$run_dir" "$data_dir" "$run_dir/snapshot" "$data_dir/index"; do
	setpriv --reuid 65534 --regid 65534 --clear-groups cat "$path" >"$work/out" 2>&1
	grep -q 'Permission denied' "$work/out" || fail "nobody reads $path: $(head -c 200 "$work/out")"
done
for socket in control hook; do
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		timeout 5 "$B/live/fault" ask "$run_dir/$socket.sock" 'status\n' >"$work/out" 2>&1 &&
		fail "nobody is answered by $socket.sock: $(cat "$work/out")"
done

# --- no line per cycle ------------------------------------------------------------------------------
from=$(log_lines) before=$(host_metric collector_cycles)
wait_for 60 '[ "$(host_metric collector_cycles)" -ge $((before + 20)) ]' || fail "no 20 cycles in a minute"
[ -z "$(news "$from")" ] || fail "the log grows: $(news "$from")"

# --- a damaged RRD ------------------------------------------------------------------------------------
rrd=$(rrd_of "$web") from=$(log_lines)
truncate -s -1000 "$rrd"
wait_for 15 '[ "$(logged $from "$(basename "$rrd").*damaged-")" = 1 ]' || fail "a short RRD is not moved aside by name"
ls "$rrd".damaged-* >/dev/null || fail "the short RRD is gone"
wait_for 15 '[ -e "$rrd" ] && rrdtool last "$rrd" >/dev/null' || fail "no new RRD"
[ "$(host_metric store_damaged_files)" = 1 ] || wait_for 5 '[ "$(host_metric store_damaged_files)" = 1 ]' ||
	fail "store_damaged_files is $(host_metric store_damaged_files)"

# --- SIGTERM flushes ------------------------------------------------------------------------------------
conf_write "flush = 30s"
kill -HUP $collector
sleep 5
start=$EPOCHSECONDS
collector_stop TERM
[ $collector_status = 0 ] || fail "SIGTERM: exit status $collector_status"
last=$(sampled | cut -d. -f1)
[ "$(rrdtool last "$rrd")" = "$last" ] || fail "SIGTERM: RRD $(rrdtool last "$rrd"), last sample $last"
[ "$(rrdtool last "$data_dir/rrd/host.rrd")" = "$last" ] || fail "SIGTERM: the host's RRD is older"
grep -q STOPPING=1 "$work/notified" || fail "STOPPING=1 was not sent"
[ -z "$(pgrep -f "loadcelld.*$conf")" ] || fail "SIGTERM left processes"

# --- damaged and foreign snapshots -------------------------------------------------------------------------
cp "$run_dir/snapshot" "$work/whole"
size=$(stat -c %s "$work/whole")
for damage in ':' 'head -c 100 "$work/whole"' 'head -c $((size - 1)) "$work/whole"' \
	'cat "$work/whole"; echo' 'head -c 100000 /dev/urandom' 'cat "$B/bin/loadcell"' \
	'head -c $((size / 2)) "$work/whole"; printf x; tail -c +$((size / 2 + 2)) "$work/whole"'; do
	eval "{ $damage; }" >"$run_dir/snapshot"
	cmp -s "$work/whole" "$run_dir/snapshot" && continue
	one_sentence 1 "$B/bin/loadcell" list
	one_sentence 1 "$B/bin/loadcell" show "$web" --json
	grep -q "$run_dir/snapshot" "$work/err" || fail "the file is not named: $(cat "$work/err")"
done
rm "$run_dir/snapshot" && mkdir "$run_dir/snapshot"
one_sentence 1 "$B/bin/loadcell" list
rmdir "$run_dir/snapshot"
one_sentence 4 "$B/bin/loadcell" list

# A collector starts beside any of them, and beside a ring that is none.
head -c 5000 /dev/urandom >"$run_dir/snapshot"
head -c 5000 /dev/urandom >"$run_dir/recent"
conf_write "flush = 2s"
"$B/bin/loadcelld" -c "$conf" 2>>"$log" &
collector=$!
wait_for 15 'loadcell list >/dev/null 2>&1' || fail "a foreign snapshot and ring keep the collector from work"
wait_for 15 '[ "$(rrdtool last "$rrd")" -gt $last ]' || fail "nothing is stored after a foreign ring"
collector_stop

# --- a full disk ---------------------------------------------------------------------------------------------
data_dir=$work/small
mkdir "$data_dir"
mount -t tmpfs -o size=256k tmpfs "$data_dir" || fail "cannot mount a tmpfs"
from=$(log_lines)
collector_start "flush = 1s" "data_max = 1T"
start=$(sampled | cut -d. -f1)
sleep 15
collector_alive || fail "a full disk ended the collector"
lines=$(logged $from 'No space left|too little space')
[ "$lines" -ge 1 ] && [ "$lines" -le 3 ] || fail "15 failed flushes, $lines lines: $(tail -n +$((from + 1)) "$log")"
loadcell status >"$work/out" && fail "status calls a full disk well"
grep -qE 'No space left|too little space' "$work/out" || fail "status does not tell of the full disk: $(cat "$work/out")"
[ "$(host_metric recent_lost_cycles)" = 0 ] || fail "$(host_metric recent_lost_cycles) samples were lost"
mount -o remount,size=4G "$data_dir"
wait_for 60 '[ -n "$(rrd_of "$web")" ] && [ "$(rrdtool last "$(rrd_of "$web")")" -ge $((EPOCHSECONDS - 4)) ]' ||
	fail "no recovery from the full disk: $(tail -n 3 "$log")"
wait_for 5 '[ "$(logged $from "samples are stored again")" = 1 ]' || fail "the recovery is not told: $(tail -n 3 "$log")"
collector_stop
first=$(known "$(rrd_of "$web")" mem_limit $((start - 5)) $((start + 15)) | head -n 1)
count=$(known "$(rrd_of "$web")" mem_limit "$start" $((start + 15)) | wc -l)
[ "$count" -ge 13 ] || fail "of 15 samples during the full disk $count were stored, the first at $first, start $start"
umount "$data_dir"
data_dir=$work/data

# --- few descriptors --------------------------------------------------------------------------------------------
collector_start "flush = 2s"
many=$collector many_run=$run_dir
run_dir=$work/few-run data_dir=$work/few-data few_conf=$work/few.conf
sed "s|^run_dir.*|run_dir = $run_dir|; s|^data_dir.*|data_dir = $data_dir|" "$conf" >"$few_conf"
(ulimit -n 256 && exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource \
	"$B/bin/loadcelld" -c "$few_conf") 2>"$work/few.log" &
few=$!
at_exit "kill $few 2>/dev/null && wait $few"
wait_for 15 '[ -s "$run_dir/snapshot" ]' || fail "no start with 256 descriptors: $(cat "$work/few.log")"
[ "$(awk '/^Max open files/ { print $5 }' /proc/$few/limits)" = 256 ] || fail "the limit was raised: this tests nothing"
cpus() { [ $2 = 0 ] || [ "$(loadcell -c "$1" list --json | jq '.host.metrics.collector_cycles')" -ge $2 ]; }
wait_for 10 'cpus "$few_conf" 4' || fail "no cycles with few descriptors"
open_cgroups() { find /proc/$1/fd -lname '*/lxc.payload*' 2>/dev/null | wc -l; }
[ "$(open_cgroups $many)" -ge 5 ] || fail "no descriptors are kept: $(open_cgroups $many)"
[ "$(open_cgroups $few)" = 0 ] || fail "descriptors are kept, though there are few: $(open_cgroups $few)"
# What the other finds the same before and after must be the same here; the rest lies between.
metrics_of() { loadcell -c "$1" list --json | jq -c --arg i "$web" '.instances[] | select(.handle == $i) | .metrics'; }
metrics_of "$conf" >"$work/one"
sleep 1.5
metrics_of "$few_conf" >"$work/two"
sleep 1.5
metrics_of "$conf" >"$work/three"
jq -n --slurpfile a "$work/one" --slurpfile b "$work/two" --slurpfile c "$work/three" '
	[$a[0] | to_entries[] | .key as $k | {k: $k, a: .value, b: $b[0][$k], c: $c[0][$k]} |
		select(.k | test("_used_|uptime|idle|disk_") | not) |
		select((.a == .c and .b != .a) or ((.a | type) != (.b | type)) or
			((.a | type) == "number" and (.b < ([.a, .c] | min) or .b > ([.a, .c] | max))))]' >"$work/differ"
[ "$(jq length "$work/differ")" = 0 ] || fail "open-read-close gives other values: $(jq -c . "$work/differ")"
equal=$(jq -n --slurpfile a "$work/one" --slurpfile b "$work/two" \
	'[$a[0] | to_entries[] | select(.value != null and .value == $b[0][.key])] | length')
[ "$equal" -ge 15 ] || fail "only $equal values could be compared"
lxc_stop "$web"
wait_for 10 '[ -z "$(metrics_of "$few_conf")" ]' || fail "an ended instance stays with few descriptors"
kill $few
wait $few || fail "the end with few descriptors: status $?"
[ ! -s "$work/few.log" ] || fail "complaints with few descriptors: $(cat "$work/few.log")"
run_dir=$many_run
exit 0
