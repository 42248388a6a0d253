#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `loadcell report` of two running instances and one that has ended, against what rrdtool and the
# kernel say.
# timeout: 120
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v rrdtool >/dev/null || skip "rrdtool is not installed: run make deps"

busy=${prefix}busy idle=${prefix}idle ended=${prefix}ended
lxc_new "$busy" "$(limits memory=64M cpu=0.5 pids=50)"
lxc_new "$idle" "$(limits memory=32M)"
lxc_new "$ended" "$(limits memory=48M)"
lxc_load "$busy" 'while :; do :; done'
lxc_load "$ended" 'head -c 8000000 /dev/zero | tail -c 8000000 >/tmp/x; sleep 3
	dd if=/dev/zero of=/dev/null bs=64M count=1; while :; do sleep 0.1; done'
begin=$(date +%s)
collector_start "flush = 2s"
for i in "$busy" "$idle" "$ended"; do
	lxc_start "$i"
done
for i in "$busy" "$idle" "$ended"; do
	wait_for 20 "[ -n \"\$(metric $i memory_working_set_bytes)\" ]" || fail "$i is not measured"
done
sleep 6
lxc_stop "$ended"
wait_for 20 '! loadcell list | grep -q "$ended"' || fail "$ended is still listed"
wait_for 20 'loadcell runs --json | jq -se --arg n "$ended" \
	"any(.handle == \$n and .how != \"running\")" >/dev/null' || fail "the ledger has no run of $ended"
sleep 4

# Up to what is in all files, so that rrdtool sees the same.
end=$(for f in "$data_dir"/rrd/*.rrd; do rrdtool last "$f"; done | sort -n | tail -1)
rrd() { echo "$data_dir"/rrd/"$1".*.rrd; }
wait_for 10 '[ "$(rrdtool last "$(rrd "$busy")")" -ge $end ] && [ "$(rrdtool last "$(rrd "$idle")")" -ge $end ]' ||
	fail "the RRDs are behind"
cpu_before=$(metric "$busy" cpu_usage_seconds)
loadcell report --from "$begin" --to "$end" --format json -o "$work/report.json.gz" || fail "report failed"
gzip -d "$work/report.json.gz" || fail "that is no gzip"
figure() { jq -r --arg n "$1" --arg f "$2" '.rows[] | select(.name == $n) | .figures[$f]' "$work/report.json"; }
host() { jq -r --arg f "$1" '.host.figures[$f]' "$work/report.json"; }

[ "$(jq .step_seconds "$work/report.json")" = 1 ] || fail "the step is not 1 s"

# rank NAME DS PERMILLE: the values beside the one that this share of what rrdtool knows does not
# exceed: the newest second may be in the ring only, so that there is a point more or less.
rank()
{
	rrdtool fetch "$(rrd "$1")" AVERAGE -r 1 -s "$begin" -e "$end" | awk -v ds="$2" -v end="$end" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == ds) c = i + 1 }
		/^[0-9]+:/ && $1 + 0 <= end && $c !~ /nan/ { print $c }' | sort -g |
		awk -v p="$3" '{ v[NR] = $1 } END {
			k = int((NR * p + 999) / 1000)
			low = (k > 2) ? k - 1 : 1
			high = (k < NR) ? k + 1 : NR
			print v[low], v[high]
		}'
}

# close_to WHAT GOT WANT: rrdtool prints eleven digits.
close_to()
{
	awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "null" && a != "" && d <= b * 1e-9) }' ||
		fail "$1 is $2, not $3"
}
# between WHAT GOT LOW HIGH
between()
{
	awk -v a="$2" -v low="$3" -v high="$4" \
		'BEGIN { exit !(a != "null" && a != "" && a >= low * (1 - 1e-9) && a <= high * (1 + 1e-9)) }' ||
		fail "$1 is $2, not from $3 to $4"
}
for i in "$busy" "$idle" "$ended"; do
	for p in 500 950 990; do
		# shellcheck disable=SC2046
		between "$i cpu $p" "$(figure "$i" cpu_p${p%0}_cores)" $(rank "$i" cpu_usage $p)
		# shellcheck disable=SC2046
		between "$i memory $p" "$(figure "$i" memory_p${p%0}_bytes)" $(rank "$i" mem_working_set $p)
	done
	# Of samples, not interpolated to whole seconds: at least what any second has.
	most=$(rank "$i" mem_working_set 1000)
	between "$i maximum" "$(figure "$i" memory_max_bytes)" "${most% *}" "$(awk "BEGIN { print ${most#* } * 2 }")"
	[ "$(figure "$i" runs)" = 1 ] || fail "$i has not one run"
done

# --- what the kernel says ---------------------------------------------------------------------
if [ -n "$(cgroup_mount memory)" ]; then
	[ "$(figure "$busy" memory_limit_bytes)" = 67108864 ] || fail "memory limit of $busy"
	[ "$(figure "$ended" memory_limit_bytes)" = 50331648 ] || fail "memory limit of $ended"
	awk -v p="$(figure "$busy" cpu_p50_cores)" 'BEGIN { exit !(p > 0.3 && p < 0.55) }' ||
		fail "$busy, held at half a core, has a median of $(figure "$busy" cpu_p50_cores)"
fi
awk -v a="$cpu_before" -v b="$(figure "$busy" cpu_usage_seconds)" -v c="$(metric "$busy" cpu_usage_seconds)" \
	'BEGIN { exit !(a <= b && b <= c) }' || fail "CPU time of $busy: $(figure "$busy" cpu_usage_seconds)"
[ "$(host host_memory_bytes)" = "$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)" ] ||
	fail "memory of the host: $(host host_memory_bytes)"
[ "$(host host_instances)" -ge 3 ] || fail "the host has $(host host_instances) instances"
jq -e '.host.figures | .host_memory_used_peak_bytes <= .host_memory_peak_upper_bytes and
	.memory_peak_average_bytes <= .host_memory_sum_of_peaks_bytes and
	.host_tasks_limit > 0' "$work/report.json" >/dev/null || fail "the host's figures contradict each other"
# One process was killed: so say the whole run's counter, and of a part of the run its event.
if [ -n "$(cgroup_mount memory)" ]; then
	[ "$(figure "$ended" memory_oom_kills)" = 1 ] || fail "kills of $ended: $(figure "$ended" memory_oom_kills)"
	start=$(loadcell runs --json "$ended" | jq -s '.[0].start | floor')
	part=$(loadcell report --from $((start + 1)) --to "$end" --format json |
		jq --arg n "$ended" '.rows[] | select(.name == $n) | .figures.memory_oom_kills')
	[ "$part" = 1 ] || fail "kills of $ended from its second second on: $part"
fi
# Other instances may be on other file systems, and others write here in the meantime: less than 1 GB.
read -r mount size left < <(df -B1 --output=target,size,avail "$lxcpath" | tail -n 1)
jq -e --arg mount "$mount" --argjson size "$size" --argjson left "$left" '.host as $h | $h.filesystems |
	any(.mount == $mount and .size_bytes == $size and (.available_bytes - $left | fabs) < 1e9) and
	(map(.size_bytes) | add) == $h.figures.host_disk_bytes and
	(map(.size_bytes - .available_bytes) | add) == $h.figures.host_disk_used_bytes' "$work/report.json" >/dev/null ||
	fail "disk of the host: $(jq -c .host.filesystems "$work/report.json"), $(host host_disk_bytes), $(host host_disk_used_bytes); not $mount $size $left"
loadcell fit disk=1M --json | jq -e '.known and .fits > 0' >/dev/null || fail "a MiB does not fit on the host's disk"
loadcell fit disk=1000000G --count 1 >"$work/fit" && fail "a million GiB do: $(cat "$work/fit")"
grep -q "^.*: 1 more do not fit: disk stops it" "$work/fit" || fail "fit says: $(cat "$work/fit")"
ledger=$(loadcell runs --json "$ended" | jq -s '.[0].metrics.cpu_usage_seconds')
close_to "CPU time of $ended" "$(figure "$ended" cpu_usage_seconds)" "$ledger"

loadcell report --from "$begin" >"$work/text" || fail "no text"
cat "$work/text"
grep -q "^$ended " "$work/text" || fail "the text lacks $ended"
