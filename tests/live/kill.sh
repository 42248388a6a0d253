#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of loadcelld 10 times (KILLS=50: 50 times) while 20 instances run, then of its helpers.
# Every sample that was published must be in the RRDs in its place: each instance's memory limit
# is a clock that tells when a value was read (tests/live/fault.c). Kernel counters tell what the
# rates must add up to.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
need_root
command -v rrdtool >/dev/null || skip "rrdtool is not installed: run make deps"
[ -x "$B/live/fault" ] || skip "$B/live/fault is not built: run make unit"
[ -n "$(cgroup_mount memory)" ] || skip "cannot: no memory controller"
free=$(df --output=avail -B1M "$work" | tail -n 1)
[ "$free" -gt 3000 ] || skip "cannot: 3 GB of disk space are needed"

kills=${KILLS:-10} names=()
for n in {01..20}; do
	names+=("$prefix${n}x")
done

# --- instances --------------------------------------------------------------------------------
mkfifo "$work/fleet.in"
"$B/live/fault" instances <"$work/fleet.in" >"$work/fleet" &
fleet=$!
exec 8>"$work/fleet.in"
at_exit 'exec 8>&-; wait $fleet'
printf '+%s\n' "${names[@]}" >&8
wait_for 60 '[ "$(wc -l <"$work/fleet")" = 20 ]' || fail "no 20 instances"
! grep failed "$work/fleet" || fail "an instance did not start"

cpu=$(cgroup_mount cpuacct)
[ -n "$cpu" ] || cpu=$(cgroup_mount cpu)
# kernel_cpu: "NAME SECONDS" of each instance, as the kernel counts it now.
kernel_cpu()
{
	case $cpu in
	1*) grep -H . "${cpu#* }/lxc.payload.$prefix"*/cpuacct.usage | sed 's/:/ /' |
		awk '{ split($1, p, "lxc.payload."); sub("/.*", "", p[2]); print p[2], $2 / 1e9 }' ;;
	*) grep -H usage_usec "${cpu#* }/lxc.payload.$prefix"*/cpu.stat |
		awk '{ split($1, p, "lxc.payload."); sub("/.*", "", p[2]); print p[2], $2 / 1e6 }' ;;
	esac
}

# --- watching what is published -----------------------------------------------------------------
# "TIME NAME LIMIT" of each snapshot that this sees.
watch_snapshots()
{
	local seen=
	while :; do
		sleep 0.2
		[ "$run_dir/snapshot" -nt "$work/seen" ] || [ -z "$seen" ] || continue
		[ -e "$run_dir/snapshot" ] || continue
		seen=1
		touch -r "$run_dir/snapshot" "$work/seen"
		loadcell list --json 2>/dev/null | jq -r --arg p "$prefix" '.time as $t |
			.instances[] | select(.handle | startswith($p)) |
			"\($t) \(.handle) \(.metrics.memory_limit_bytes)"' >>"$work/watched"
	done
}

launch()
{
	setsid "$B/bin/loadcelld" -c "$conf" >>"$work/loadcelld.log" 2>&1 </dev/null 8>&- &
	collector=$!
}
sampled() { json .time 2>/dev/null; }
random() { awk -v r=$RANDOM -v from="$1" -v to="$2" 'BEGIN { printf "%.2f", from + r / 32768 * (to - from) }'; }
later() { awk -v a="$(sampled)" -v b="$1" 'BEGIN { exit !(a + 0 > b) }'; }

run_in_memory
conf_write "flush = 3s" "data_max = 1T"
launch
wait_for 30 '[ "$(json "[.instances[] | select(.handle | startswith(\"$prefix\"))] | length" 2>/dev/null)" = 20 ]' ||
	fail "the instances were not found"
watch_snapshots 8>&- &
watcher=$!
at_exit 'kill $watcher 2>/dev/null'
wait_for 10 '[ -s "$work/watched" ]' || fail "no snapshot was watched"
sleep 2 # the step in which a file begins is unknown
begin=$EPOCHSECONDS
kernel_cpu >"$work/cpu.begin"

# --- kill -9 of the collector ---------------------------------------------------------------------
for n in $(seq "$kills"); do
	sleep "$(random 0.2 3)"
	collector_alive || fail "the collector ended by itself before kill $n"
	killed=$EPOCHREALTIME
	kill -KILL $collector
	wait $collector 2>/dev/null
	kernel_cpu >"$work/cpu.$n.down"
	# Now and then longer than an RRD's heartbeat of 5 s: then steps must be unknown.
	if [ $((n % 10)) = 0 ]; then sleep 7; else sleep "$(random 0 1.5)"; fi
	launch
	wait_for 30 'later $killed || ! collector_alive' && collector_alive || fail "no start after kill $n"
	echo "$n $killed $(sampled)" >>"$work/down"
	kernel_cpu >"$work/cpu.$n.up"
done
sleep 4
wait_for 20 '[ "$(pgrep -fc "loadcelld.* $conf")" = 5 ]' || fail "processes: $(pgrep -fa "loadcelld.* $conf")"

# --- kill -9 of the helpers -------------------------------------------------------------------------
missed=$(host_metric collector_missed_cycles)
helper_pid() { loadcell status --json | jq --arg p "loadcelld-$1" '.collector.helpers[] | select(.program == $p) | .pid'; }
for n in 1 2 3 4; do # a helper's pause doubles with each
	for helper in store lxc walk ledger; do
		sleep "$(random 0 1)"
		pid=$(helper_pid $helper)
		[ "${pid:-0}" -gt 0 ] || fail "$helper does not run"
		kill -KILL "$pid"
		killed_pid[n]+=" $pid"
	done
	for helper in store lxc walk ledger; do
		wait_for 40 '[ "$(helper_pid $helper)" -gt 0 ]' || fail "$helper was not started again"
		grep -qw "$(helper_pid $helper)" <<<"${killed_pid[n]}" && fail "$helper was not killed"
	done
done
[ "$(json "[.instances[] | select(.handle | startswith(\"$prefix\"))] | length")" = 20 ] || fail "instances are gone"
missed=$(($(host_metric collector_missed_cycles) - missed))
sleep 3
kernel_cpu >"$work/cpu.end"
end=$EPOCHSECONDS
sleep 2
kill $watcher
collector_stop
[ $collector_status = 0 ] || fail "the last collector ended with $collector_status"
[ "$(wc -l <"$work/down")" = "$kills" ] || fail "not $kills kills"

# --- what is stored -----------------------------------------------------------------------------------
! ls "$data_dir"/rrd | grep -E 'damaged|\.new|\.keep' || fail "damaged or unfinished RRDs"
! grep -iE "damaged|fatal" "$work/loadcelld.log" || fail "the log tells of damage"
for name in "${names[@]}"; do
	rrd=$(echo "$data_dir/rrd/$name".*.rrd)
	rrdtool info "$rrd" >/dev/null || fail "rrdtool info $rrd"
	rrdtool fetch "$rrd" AVERAGE -r 1 -s "$begin" -e "$end" >"$work/fetched" || fail "rrdtool fetch $rrd"
	for n in $(seq "$kills"); do
		echo "$n $(awk -v n="$name" '$1 == n { print $2 }' "$work/cpu.$n.down" "$work/cpu.$n.up" | paste -sd' ')"
	done >"$work/cpu.down"
	total=$(awk -v n="$name" '$1 == n { print $2 }' "$work/cpu.begin" "$work/cpu.end" | paste -sd' ' |
		awk '{ print $2 - $1 }')
	awk -v name="$name" -v total="$total" -v ms=4096 '
		# The first sample after a long gap is left out, and the cycle that made it puts the next one off.
		FILENAME ~ /down$/ && FILENAME !~ /cpu/ { from[$1] = $2 - 1; to[$1] = $3 + 1.1; n++; next }
		FILENAME ~ /cpu.down$/ { down[$1] = $3 - $2; next }
		FILENAME ~ /watched$/ {
			if ($2 == name) limit[$1] = $3
			next
		}
		FNR == 1 {
			for (i = 1; i <= NF; i++) column[$i] = i + 1
			next
		}
		NF > 1 {
			t = $1 + 0
			steps++
			if ($column["mem_limit"] ~ /nan/) {
				unknown++
				for (k = 1; k <= n; k++) if (t >= from[k] && t <= to[k]) break
				if (k > n) { print "step " t " is unknown outside of the down times"; bad++ }
				else gap[k] = 1
			} else
				value[t] = $column["mem_limit"]
			if ($column["cpu_usage"] !~ /nan/) {
				sum += $column["cpu_usage"]
				if ($column["cpu_usage"] > 0.2) { print "a rate of " $column["cpu_usage"] " at " t; bad++ }
			}
		}
		END {
			for (k = 1; k <= n; k++) if (gap[k]) { lost += down[k]; gaps++ }
			for (t in limit) {
				step = int(t)
				if (t - step > 0.25 || !(step in value)) continue
				checked++
				off = (value[step] - limit[t]) / ms
				# Without it, its step has a later value. A late one before it
				# pulls the value down, but not often.
				sum_off += off < 0 ? -off : off
				if (off > 250 || off < -1500) {
					print "the sample of " t " is not in its step: " off " ms off"
					bad++
				}
			}
			printf "%s steps %d unknown %d gaps %d samples %d checked %d cpu %.3f + %.3f of %.3f\n",
				name, steps, unknown, gaps, length(limit), checked, sum, lost, total
			if (sum_off > 250 * checked) { print "values are " sum_off / checked " ms off"; bad++ }
			if (checked < length(limit) / 2) { print "too few samples could be checked"; bad++ }
			if ((sum + lost) / total < 0.95 || (sum + lost) / total > 1.05) {
				print "the rates do not add up to the counter"
				bad++
			}
			exit bad > 0
		}' "$work/down" "$work/cpu.down" "$work/watched" "$work/fetched" >"$work/verdict" ||
		fail "$name: $(cat "$work/verdict")"
	cat "$work/verdict"
	gaps=$(sed 's/.*gaps \([0-9]*\).*/\1/' "$work/verdict")
	[ "$gaps" -ge $((kills / 10)) ] || fail "$name: $gaps gaps of $((kills / 10)): this tests nothing"
done
echo "note: $kills kills, every published sample stored; 16 kills of helpers, $missed cycles missed meanwhile"
