#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An instance that uses all of its CPU quota is restarted again and again: no rate in its RRD and
# in the list is above what the quota allows (or, of a machine that stood still, what the kernel
# itself counted), each restart leaves one unknown step (or as many as it was down for), the list
# soon shows the new run, and every start is counted. RESTARTS=20: so often.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
need_root
command -v rrdtool >/dev/null || skip "rrdtool is not installed: run make deps"
[ -n "$(cgroup_mount cpu)" ] || skip "cannot: no cpu controller"

name=${prefix}restarted quota=0.2 watchers=
# A short period, so that no window of time gets much more than the quota.
case $(cgroup_mount cpu) in
1*) lines=("lxc.cgroup.cpu.cfs_period_us = 10000" "lxc.cgroup.cpu.cfs_quota_us = 2000") ;;
*) lines=("lxc.cgroup2.cpu.max = 2000 10000") ;;
esac
lxc_new "$name" "${lines[@]}"
lxc_load "$name" 'while :; do :; done'
mkfifo "$work/never"
exec 9<>"$work/never"
pause() { read -r -t "$1" -u 9; }

# log_samples: the sample that stands, and each that is published after it, as "TIME RUN STARTS CORES
# CYCLE", without an instance a lone TIME.
log_samples()
{
	local line= before
	while :; do
		: >"$work/log.mark"
		before=$line
		line=$(loadcell list --json | jq -r --arg n "$name" '.host.metrics.collector_cycle_seconds as $c |
			.time as $t | [.instances[] | select(.handle == $n)] | if length == 0 then $t else
			.[0] | "\($t) \(.run) \(.metrics.starts) \(.metrics.cpu_used_cores) \($c)" end')
		[ "$line" = "$before" ] || printf '%s\n' "$line"
		until [ "$run_dir/snapshot" -nt "$work/log.mark" ]; do pause 0.01; done
	done >"$work/samples" 2>/dev/null
}
# watch_kernel: what the kernel itself counts, every 20 ms as "TIME SECONDS".
watch_kernel()
{
	local file word value
	case $(cgroup_mount cpuacct) in
	1*) file=$(cgroup_mount cpuacct | cut -d' ' -f2)/lxc.payload.$name/cpuacct.usage ;;
	*) file=$(cgroup_mount cpu | cut -d' ' -f2)/lxc.payload.$name/cpu.stat ;;
	esac
	while :; do
		# "usage_usec N" on v2, a lone N of nanoseconds on v1
		read -r word value <"$file" && printf '%s %s\n' $EPOCHREALTIME ${value:-$word}${value:+000}
		pause 0.02
	done >"$work/kernel" 2>/dev/null
}
at_exit 'kill $watchers 2>/dev/null'

last() { tail -n 1 "$work/samples"; }
# samples_more N: waits for that many samples of a running instance.
samples_more()
{
	local have
	have=$(grep -c ' ' "$work/samples")
	wait_for $((60 + $1 * step)) "[ \$(grep -c ' ' '$work/samples') -ge $((have + $1)) ]" ||
		fail "the instance is not listed any more: $(last)"
}

# column DS: "TIME VALUE" of the RRD's every step since the first sample.
column()
{
	rrdtool fetch "$data_dir/rrd/$name".*.rrd AVERAGE -r $step \
		-s "$(awk -v s=$step 'NR == 2 { print int($1 / s + 0.5) * s; exit }' "$work/samples")" \
		-e "$(last | awk -v s=$step '{ print int($1 / s + 0.5) * s - s }')" |
		awk -v ds="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == ds) c = i + 1 }
			/^[0-9]+:/ { sub(":", "", $1); print $1, $c }'
}

# check_column FILE MOST: unknown steps must be those between the last sample of a run and the first of
# the next one, at least one each; rates at most what the quota allows.
check_column()
{
	awk -v step=$step -v most="$2" -v quota=$quota '
	# What a window of so many seconds may show: one slice of a period of 10 ms more at each of its ends, and
	# the time of a sample is that of its cycle, whose files may be read some moments later.
	function allowed(most, seconds) { return most * (1 + (0.02 + cycle) / seconds) }
	# What the kernel counted itself from a moment before the window to a moment after it: where the
	# machine stands still, it charges that to the load, and takes it from its next periods.
	function counted(from, to,   i, first)
	{
		for (i = 1; i < moments && at_moment[i] < to + 0.01; i++)
			if (at_moment[i] <= from) first = i
		return (cpu[i] - cpu[first]) / (to - from)
	}
	FILENAME ~ /kernel$/ {
		used += ($2 >= last ? $2 - last : $2) / 1e9
		last = $2
		at_moment[++moments] = $1
		cpu[moments] = used
		next
	}
	FILENAME ~ /samples$/ {
		if (NF < 5) next
		if (run != "" && $2 != run) { n++; from[n] = time; to[n] = $1 }
		# The first sample of a collector stands between two steps: the window after it is short.
		if ($4 != "null" && $2 == run && $4 > allowed(quota, $1 - time)) {
			stills++
			if ($4 > counted(time, $1) * 1.01) {
				print "WRONG: cpu_used_cores " $4 " at " $1 ", the kernel counted " counted(time, $1)
				wrong = 1
			}
		}
		time = $1; run = $2
		if ($5 > cycle) cycle = $5
		if ($4 != "null" && $4 > cores) cores = $4
		next
	}
	{
		rows++
		if ($2 !~ /nan/) { if ($2 > rate) { rate = $2; at = $1 } ; next }
		# Samples stand on the end of their step, or a little after it. With steps of few seconds
		# the one after the restart is unknown instead: librrd counts unknown time in whole seconds.
		for (i = 1; i <= n; i++)
			if ($1 > from[i] + step / 2 && $1 < to[i] + step * 3 / 2) break
		if (i > n) { print "WRONG: the step that ends at " $1 " is unknown without a restart"; wrong = 1 }
		else unknown[i]++
	}
	END {
		for (i = 1; i <= n; i++) {
			gap = int((to[i] - from[i]) / step + 0.5)
			if (unknown[i] < 1 || unknown[i] > gap) {
				print "WRONG: restart " i " between samples " from[i] " and " to[i] " has " unknown[i] + 0 " unknown steps"
				wrong = 1
			}
			if (gap == 1) single++
			total += unknown[i]
		}
		if (rate > allowed(most, step) && rate > cores * 1.01 + most - quota) { print "WRONG: rate " rate " at " at; wrong = 1 }
		printf "%d restarts, %d within one step, %d unknown steps of %d, highest rate %.4f, cpu_used_cores %.4f (%d times more than the quota, as the kernel counted), cycle at most %.1f ms\n",
			n, single, total, rows, rate, cores, stills, cycle * 1000
		exit wrong || rate < most / 4 # the load did not run
	}' OFMT=%.3f CONVFMT=%.3f "$work/kernel" "$work/samples" "$1"
}

# series STEP COUNT
series()
{
	local n began ended before=0 ds listed slowest=0
	step=$1
	data_dir=$work/data-$step
	lxc_start "$name"
	collector_start "interval = ${step}s" "flush = $((step * 6))s" "data_dir = $data_dir"
	: >"$work/samples"
	: >"$work/kernel"
	watch_kernel &
	watchers=$!
	log_samples &
	watchers="$watchers $!"
	samples_more 3
	before=$(last | cut -d' ' -f3)
	for ((n = 1; n <= $2; n++)); do
		samples_more 3
		lxc_stop "$name"
		lxc_start "$name"
		ended=$EPOCHREALTIME
		wait_for $((30 + step)) '[ "$(last | cut -d" " -f3)" = '$((before + n))' ]' ||
			fail "start $n: the list says $(last)"
		listed=$(awk -v n=$((before + n)) '$3 == n { print $1; exit }' "$work/samples")
		slowest=$(awk "BEGIN { d = $listed - $ended; print (d > $slowest) ? d : $slowest }")
	done
	samples_more 3
	kill $watchers
	wait $watchers 2>/dev/null
	watchers=
	collector_stop
	lxc_stop "$name"
	[ "$collector_status" = 0 ] || fail "the collector ended with $collector_status"
	[ "$(awk 'NF == 5 { print $2 }' "$work/samples" | sort -u | wc -l)" = $(($2 + 1)) ] ||
		fail "not every start has a run of its own"
	for ds in cpu_usage psi_cpu_some cpu_user; do
		column $ds >"$work/column"
		case $ds in
		cpu_usage) most=$quota ;;
		cpu_user) most=$(awk "BEGIN { print $quota + 0.02 / $step }") ;; # v1 counts ticks
		*) [ -n "$(awk '$3 == "cgroup2"' /proc/mounts)" ] || continue; most=1 ;;
		esac
		check_column "$work/column" "$most" >"$work/checked" ||
			{ cat "$work/checked" "$work/samples"; fail "the RRD's $ds at a step of $step s"; }
		[ $ds != cpu_usage ] || echo "note: step $step s: $(cat "$work/checked"), listed at most $slowest s after the start"
	done
	awk "BEGIN { exit !($slowest < 3 + 2 * $step) }" || fail "a new run was listed $slowest s after its start"
	# Most restarts fit between two cycles, or this test would show nothing about one unknown step.
	awk '{ exit !($3 * 2 >= $1) }' "$work/checked" || fail "restarts take too long here for a step of $step s"
}

# A restart has to fit into a step.
lxc_start "$name"
took=$EPOCHREALTIME
lxc_stop "$name"
lxc_start "$name"
took=$(awk "BEGIN { print int(2 * ($EPOCHREALTIME - $took)) + 1 }")
lxc_stop "$name"
# Up to 3 s of step unknowns are made by another way than above.
series $((took < 1 ? 1 : took)) "${RESTARTS:-4}"
[ $took -ge 4 ] || series 5 3
