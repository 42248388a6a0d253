#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What `loadcell list --json` says of real LXC instances under load against the kernel's own files,
# read by this script: counters lie between what the files say just before and just after a cycle,
# limits are the configured ones, cpu_used_cores is what the load's process used, by the
# scheduler's account of it. Three instances one after another: under all kinds of load, under
# a steady one, and with limits on the parent as Proxmox has it.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
need_root
command -v ip >/dev/null || skip "ip is not installed: run make deps"
: "${ROUNDS:=8}"

# io.stat counts what reaches a disk: instances live on one where there is one.
if ! on_disk "$work" && on_disk /var/lib/lxc; then
	lxcpath=$(mktemp -d /var/lib/lxc/loadcell-test.XXXXXX) || exit 1
	chmod 755 "$lxcpath"
	at_exit 'for name in "${instances[@]}"; do lxc_stop "$name"; done; rm -rf "$lxcpath"'
fi

# A pause without a process. (The descriptor is open for both ends and never gets a byte.)
mkfifo "$work/never"
exec 9<>"$work/never"
pause() { read -r -t "$1" -u 9; }

# --- what the kernel says ---------------------------------------------------------------------
# METRIC FILE KEY SCALE. own: the instance's cgroup; limit: the one that has the limits; sum: that
# and all below. A key is the first word of a line, or stands before "="; "-": the file is a number.
common="
pids_current            own:pids.current        -               1
pids_limit_hits         sum:pids.events         max             1
cpu_periods             limit:cpu.stat          nr_periods      1
cpu_throttled_periods   limit:cpu.stat          nr_throttled    1
cpu_pressure_some_seconds     psi:cpu.pressure    some  1e-6
memory_pressure_some_seconds  psi:memory.pressure some  1e-6
memory_pressure_full_seconds  psi:memory.pressure full  1e-6
io_pressure_some_seconds      psi:io.pressure     some  1e-6
io_pressure_full_seconds      psi:io.pressure     full  1e-6
network_receive_bytes    net:dev  1   1
network_receive_packets  net:dev  2   1
network_receive_errors   net:dev  3   1
network_receive_drops    net:dev  4   1
network_transmit_bytes   net:dev  9   1
network_transmit_packets net:dev  10  1
network_transmit_errors  net:dev  11  1
network_transmit_drops   net:dev  12  1"
cpu_v1="
cpu_usage_seconds       own:cpuacct.usage       -               1e-9
cpu_user_seconds        own:cpuacct.stat        user            0.01
cpu_system_seconds      own:cpuacct.stat        system          0.01
cpu_throttled_seconds   limit:cpu.stat          throttled_time  1e-9"
cpu_v2="
cpu_usage_seconds       own:cpu.stat            usage_usec      1e-6
cpu_user_seconds        own:cpu.stat            user_usec       1e-6
cpu_system_seconds      own:cpu.stat            system_usec     1e-6
cpu_throttled_seconds   limit:cpu.stat          throttled_usec  1e-6"
memory_v1="
memory_usage_bytes      own:memory.usage_in_bytes -             1
memory_peak_bytes       own:memory.max_usage_in_bytes -         1
memory_kernel_bytes     own:memory.kmem.usage_in_bytes -        1
memory_anon_bytes       own:memory.stat         total_rss       1
memory_file_bytes       own:memory.stat         total_cache     1
memory_shmem_bytes      own:memory.stat         total_shmem     1
memory_swap_bytes       own:memory.stat         total_swap      1
memory_inactive_file_bytes own:memory.stat      total_inactive_file 1
memory_major_faults     own:memory.stat         total_pgmajfault 1
memory_limit_hits       limit:memory.failcnt    -               1
memory_oom_kills        sum:memory.oom_control  oom_kill        1"
memory_v2="
memory_usage_bytes      own:memory.current      -               1
memory_peak_bytes       own:memory.peak         -               1
memory_swap_bytes       own:memory.swap.current -               1
memory_kernel_bytes     own:memory.stat         kernel          1
memory_anon_bytes       own:memory.stat         anon            1
memory_file_bytes       own:memory.stat         file            1
memory_shmem_bytes      own:memory.stat         shmem           1
memory_inactive_file_bytes own:memory.stat      inactive_file   1
memory_major_faults     own:memory.stat         pgmajfault      1
memory_limit_hits       limit:memory.events     max             1
memory_oom_kills        limit:memory.events     oom_kill        1"
io_v1="
io_read_bytes   own:blkio.throttle.io_service_bytes_recursive Read  1
io_write_bytes  own:blkio.throttle.io_service_bytes_recursive Write 1
io_reads        own:blkio.throttle.io_serviced_recursive      Read  1
io_writes       own:blkio.throttle.io_serviced_recursive      Write 1"
io_v2="
io_read_bytes   own:io.stat rbytes 1
io_write_bytes  own:io.stat wbytes 1
io_reads        own:io.stat rios   1
io_writes       own:io.stat wios   1"

version() { local m; m=$(cgroup_mount "$1"); echo "${m%% *}"; }

# sources_find NAME [INNER]: fills rules and, the list of paths.
sources_find()
{
	local controller metric tag key scale directory file below
	local -A own=()
	for controller in cpu cpuacct memory pids io blkio; do
		[ -z "$(version $controller)" ] || own[$controller]=$(instance_cgroup "$1" $controller)
	done
	init=$(lxc_pid "$1") rules=$common files=()
	case $(version cpu) in 1) rules+=$cpu_v1 ;; 2) rules+=$cpu_v2 ;; esac
	case $(version memory) in 1) rules+=$memory_v1 ;; 2) rules+=$memory_v2 ;; esac
	if [ -n "${own[io]:-}" ]; then
		rules+=$io_v2
	elif [ -n "${own[blkio]:-}" ]; then
		rules+=$io_v1
	fi
	own[psi]=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	own[psi]=${own[psi]:+${own[psi]}$(sed -n 's/^0:://p' "/proc/$init/cgroup")}
	while read -r metric tag key scale; do
		[ -n "$tag" ] || continue
		file=${tag#*:}
		case $tag in
		net:*) files+=("$tag /proc/$init/net/dev"); continue ;;
		psi:*) [ -z "${own[psi]}" ] || files+=("$tag ${own[psi]}/$file"); continue ;;
		*:cpuacct.*) directory=${own[cpuacct]:-} ;;
		*) controller=${file%%.*} directory=${own[${file%%.*}]:-} ;;
		esac
		[ -n "$directory" ] || continue
		case $tag in
		own:*) files+=("$tag $directory/$file") ;;
		limit:*) files+=("$tag ${directory%"${2:-}"}/$file") ;;
		sum:*)
			while read -r below; do
				files+=("$tag $below")
			done < <(find "${directory%"${2:-}"}" -name "$file")
			;;
		esac
	done <<<"$rules"
	echo "$rules" >"$work/rules"
	printf '%s\n' "${files[@]}" | sort -u >"$work/files"
	mapfile -t paths < <(sed 's/^[^ ]* //' "$work/files" | sort -u)
}

# kernel_read FILE: all files; one process and one read(2) each, so that it is soon done.
kernel_read() { grep -sH '' "${paths[@]}" >"$1"; }

# kernel_values FILE: "METRIC VALUE" of what kernel_read wrote; interfaces as if:eth0:COLUMN.
kernel_values()
{
	awk '
	FILENAME ~ /rules$/ { if (NF) { metric[++n] = $1; tag[n] = $2; key[n] = $3; scale[n] = $4 } next }
	FILENAME ~ /files$/ { tags[$2] = tags[$2] " " $1; next }
	{
		colon = index($0, ":")
		count = split(tags[substr($0, 1, colon - 1)], t, " ")
		$0 = substr($0, colon + 1)
		for (k = 1; k <= count; k++) { seen[t[k]] = 1; take(t[k]) }
	}
	function take(tag,    i, a, name) {
		if (tag == "net:dev") {
			name = $1; sub(":.*", "", name)
			if (!index($0, ":") || name == "lo") return
			split(substr($0, index($0, ":") + 1), a, " ")
			for (i = 1; i <= 16; i++) { sum[tag, i] += a[i]; print "if:" name ":" i, a[i] }
		} else if (tag ~ /blkio/) {
			if (NF == 3) sum[tag, $2] += $3
		} else if (tag ~ /pressure/) {
			sum[tag, $1] = substr($NF, 7) # total=
		} else if (/=/) {
			for (i = 2; i <= NF; i++) { split($i, a, "="); sum[tag, a[1]] += a[2] }
		} else if (NF == 1) {
			sum[tag, "-"] = $1
		} else {
			sum[tag, $1] += $2
		}
	}
	END {
		for (i = 1; i <= n; i++)
			if (seen[tag[i]]) printf "%s %.9f\n", metric[i], sum[tag[i], key[i]] * scale[i]
	}' "$work/rules" "$work/files" "$1"
}

# json_values FILE NAME: the same of what loadcell said; "null" for what is absent.
json_values()
{
	jq -r --arg n "$2" '.instances[] | select(.handle == $n)
		| (.metrics | to_entries[] | "\(.key) \(.value)"),
		  (.interfaces[] | .name as $i | .metrics | to_entries[] | "\($i) \(.key) \(.value)")' "$1" |
		awk 'BEGIN {
			n = split("bytes packets errors drops", what)
			for (i = 1; i <= n; i++) {
				column["interface_receive_" what[i]] = i
				column["interface_transmit_" what[i]] = i + 8
			}
		}
		NF == 2 { print }
		NF == 3 { sub("@.*", "", $1); print "if:" $1 ":" column[$2], $3 }'
}

# next_sample: returns as soon as the collector has published.
next_sample()
{
	local tries=0
	: >"$work/mark"
	until [ "$run_dir/snapshot" -nt "$work/mark" ]; do
		pause 0.003
		[ $((tries += 1)) -lt 10000 ] || fail "the collector publishes no more"
	done
}

# bracket NAME: leaves before, sample.json and after around one cycle.
bracket()
{
	local try read_at
	for try in 1 2 3 4 5 6 7 8; do
		next_sample
		pause $((interval - 1)).7
		kernel_read "$work/before"
		read_at=$EPOCHREALTIME
		next_sample
		loadcell list --json >"$work/sample.json" || fail "loadcell list fails"
		kernel_read "$work/after"
		time=$(jq .time "$work/sample.json")
		if awk "BEGIN { exit !($time > $read_at) }"; then
			widths+=("$(awk "BEGIN { print $EPOCHREALTIME - $read_at }")")
			return
		fi
	done
	fail "no cycle came between two readings"
}

# compare NAME [SLACK [LATE]]: counters and the peak between before and after; gauges too, with that
# slack in bytes (none: they move as they like); metrics that match LATE may lag behind.
# Appends "METRIC LOW VALUE HIGH" to $work/compared.
compare()
{
	kernel_values "$work/before" >"$work/before.values"
	kernel_values "$work/after" >"$work/after.values"
	json_values "$work/sample.json" "$1" >"$work/sample.values"
	[ -s "$work/sample.values" ] || fail "$1 is not listed"
	awk -v slack="${2:--1}" -v late="${3:-^$}" '
	FILENAME ~ /counters$/ { counter[$1] = 1; next }
	FILENAME ~ /before/ { low[$1] = $2; next }
	FILENAME ~ /after/ { high[$1] = $2; next }
	{ value[$1] = $2 }
	END {
		for (m in counter)
			if (!(m in low) && value[m] != "null" && m !~ /^(cpu_idle_seconds|starts|samples)$/ &&
				!(m ~ /^io_/ && value[m] == 0))
				bad(m " has no file that this test reads, and is " value[m])
		for (m in low) {
			v = value[m]
			strict = m in counter || m ~ /^if:/ || m ~ /peak/
			if (m ~ /^if:/ && m !~ /:([1-4]|9|1[0-2])$/)
				continue
			# v1 shows 0 where it does not count: absent until something is counted.
			if (v == "null" && m ~ /^io_/ && low[m] == 0 && high[m] == 0) continue
			if (v == "" || v == "null") {
				bad(m " is absent; the kernel says " low[m])
				continue
			}
			if (!strict && slack < 0)
				continue
			s = strict ? 0 : slack
			if (m == "pids_current" && !strict) s = 0
			lo = low[m] < high[m] ? low[m] : high[m]
			hi = low[m] < high[m] ? high[m] : low[m]
			if (m ~ late) lo = 0
			printf "%s %.9f %.9f %.9f\n", m, low[m], v, high[m]
			if (v < lo - s - 1e-8 || v > hi + s + 1e-8)
				bad(m " is " v ", the kernel says " low[m] " before and " high[m] " after")
		}
		exit failed
	}
	function bad(text) { print "WRONG: " text; failed = 1 }' \
		"$work/counters" "$work/before.values" "$work/after.values" "$work/sample.values" \
		>"$work/compare.out"
	local status=$?
	grep -v '^WRONG' "$work/compare.out" >>"$work/compared"
	[ $status = 0 ] || { grep '^WRONG' "$work/compare.out"; fail "$1: values differ from the kernel's"; }
}

# derived NAME: what the sample says of itself must agree.
derived()
{
	jq -e --arg n "$1" '
	def near($a; $b; $e): ($a - $b) | . <= $e and . >= -$e;
	.time as $t | .instances[] | select(.handle == $n) | .metrics |
	near(.memory_working_set_bytes // 0; [(.memory_usage_bytes // 0) - (.memory_inactive_file_bytes // 0), 0] | max; 0) and
	(.memory_limit_bytes == null or
		near(.memory_used_ratio; .memory_working_set_bytes / .memory_limit_bytes; 1e-6)) and
	near(.cpu_used_ratio; .cpu_used_cores / .cpu_limit_cores; 1e-6) and
	near(.uptime_seconds; $t - .start_time_seconds; 0.01)' "$work/sample.json" >"$work/derived" ||
		{ json '.instances[].metrics'; fail "$1: derived values do not follow from the others"; }
}

# limits_are NAME CGROUP: the configured ones, and the cgroup that has them. A controller that the
# kernel lacks (v1 memory on Debian 13) has none.
limits_are()
{
	local check metric want controller got
	for check in memory_limit_bytes:67108864:memory pids_limit:100:pids cpu_limit_cores:0.5:cpu \
		cpu_quota_cores:0.5:cpu; do
		IFS=: read -r metric want controller <<<"$check"
		[ -n "$(version "$controller")" ] || want=null
		got=$(jq -r --arg n "$1" --arg m "$metric" '.instances[] | select(.handle == $n) |
			"\(.metrics[$m]) \(.limits[$m].value) \(.limits[$m].cgroup)"' "$work/sample.json")
		[ "$got" = "$want $want $([ "$want" = null ] && echo null || echo "$2")" ] ||
			fail "$1: $metric is $got, not $want by $2"
	done
	got=$(awk -v hz="$(getconf CLK_TCK)" '/^btime/ { b = $2 } FILENAME ~ /[0-9]/ { sub(".*[)] ", ""); s = $20 }
		END { printf "%.2f", b + s / hz }' /proc/stat "/proc/$init/stat")
	awk "BEGIN { d = $(metric "$1" start_time_seconds) - $got; exit !(d < 1.1 && d > -1.1) }" ||
		fail "$1: it did not start at $(metric "$1" start_time_seconds) but $got"
}

# --- the instances ------------------------------------------------------------------------------
# A macvlan instance on a device of its own, whose other end a namespace of the test's holds.
net_lines()
{
	local id=$$ a=lca$$ b=lcb$$
	namespace=loadcell-test.$$
	network=()
	if ip link add "$a" type veth peer name "$b" 2>/dev/null; then
		at_exit "ip link del $a 2>/dev/null; ip netns del $namespace 2>/dev/null"
		if ip netns add "$namespace" && ip link set "$b" netns "$namespace" &&
			ip link add link "$a" name "lcm$id" type macvlan mode bridge 2>/dev/null; then
			ip link del "lcm$id"
			ip link set "$a" up
			ip -n "$namespace" link set "$b" up
			ip -n "$namespace" addr add 198.51.100.1/24 dev "$b"
			network=("lxc.net.0.type = macvlan" "lxc.net.0.macvlan.mode = bridge"
				"lxc.net.0.link = $a" "lxc.net.0.flags = up" "lxc.net.0.name = eth0"
				"lxc.net.0.ipv4.address = 198.51.100.2/24")
			return
		fi
	fi
	echo "no macvlan on this host: no network traffic"
}

# instance_new NAME LINES...: with limits, network and disk; what runs comes by `runs`.
instance_new()
{
	local name=$1
	shift
	mkdir -p "$lxcpath" # whose disk it is
	lxc_new "$name" "$(limits memory=64M cpu=0.5 pids=100)" "$(throttle_line)" \
		"lxc.mount.entry = tmpfs dev/shm tmpfs create=dir 0 0" "$@"
	if [ ${#network[@]} -gt 0 ]; then
		sed -i '/^lxc.net.0.type = empty/d' "$lxcpath/$name/config"
		printf '%s\n' "${network[@]}" >>"$lxcpath/$name/config"
	fi
	: >"$lxcpath/$name/rootfs/etc/inittab"
}

# runs NAME WHAT SHELL-COMMANDS: init starts it, and again when a limit has ended it.
runs()
{
	printf '%s\n' "$3" >"$lxcpath/$1/rootfs/etc/$2"
	echo "::respawn:/bin/sh /etc/$2" >>"$lxcpath/$1/rootfs/etc/inittab"
}

listed() { wait_for 60 "[ \"\$(metric '$1' memory_usage_bytes)\" != '' ]" || fail "$1 is not listed"; }

mixed_load()
{
	runs "$1" spin 'exec nice -n 19 sh -c "while :; do :; done"' # the rest shall get on
	runs "$1" disk 'while :; do
		dd if=/dev/zero of=/tmp/file bs=64k count=32 conv=fsync
		dd if=/tmp/file of=/dev/null bs=64k iflag=direct
		sleep 0.3
	done 2>/dev/null'
	runs "$1" memory 'while :; do
		dd if=/dev/zero of=/dev/shm/file bs=1M count=3
		dd if=/dev/zero of=/dev/null bs=120M count=1
		sleep 0.5
	done 2>/dev/null'
	# Forks without a program, which emulated machines are slow to start; all end with the shell,
	# which ends at the limit.
	runs "$1" forks 'sleep 2; [ -p /tmp/end ] || mkfifo /tmp/end; exec 3<>/tmp/end; n=0
	while [ $n -lt 120 ]; do { read x; } </tmp/end 3>&- & n=$((n + 1)); done 2>/dev/null'
	runs "$1" net 'ping -q -i 0.05 -s 1000 198.51.100.1 >/dev/null; sleep 1'
}

# brackets NAME METRIC...: cycles until all these counters have risen, or the load did nothing.
brackets()
{
	local name=$1 round still
	shift
	: >"$work/compared"
	for ((round = 1; round <= 60; round++)); do
		bracket
		compare "$name" -1 "${below:-^$}"
		derived "$name"
		still=$(awk -v wanted="$*" '!($1 in first) { first[$1] = $3 } { last[$1] = $3 }
			END { n = split(wanted, m); for (i = 1; i <= n; i++)
				if (!(last[m[i]] > first[m[i]])) printf " %s", m[i] }' "$work/compared")
		[ -n "$still" ] || [ $round -lt "$ROUNDS" ] || return 0
	done
	echo "what runs in it, and the last values:"
	ps -o stat,wchan:20,args -p "$(paste -sd, "$(instance_cgroup "$name" pids)/cgroup.procs")"
	awk -v still=" $still " 'index(still, " " $1 " ")' "$work/compared" | tail -n 4
	fail "$name: never moved under load:$still"
}

# --- a steady load ------------------------------------------------------------------------------
# What the scheduler says of the one busy process: time before, nanoseconds, time after.
watch_process()
{
	local ns rest before
	chrt -f -p 1 $BASHPID 2>/dev/null || renice -n -20 -p $BASHPID >/dev/null 2>&1
	while :; do
		before=$EPOCHREALTIME
		read -r ns rest <"/proc/$1/schedstat" || break
		echo "$before $ns $EPOCHREALTIME"
		pause 0.004
	done >"$work/process" 2>/dev/null
}

# used_cores_agree: $work/samples has "TIME USED". For each interval the use lies between two
# bounds, from readings that surely lie inside and outside it.
used_cores_agree()
{
	awk -v interval="$interval" '
	FILENAME ~ /process$/ { before[++n] = $1; ns[n] = $2; after[n] = $3; next }
	function at_most(t) { while (i > 1 && before[i - 1] >= t) i--; while (i < n && before[i] < t) i++; return ns[i] }
	function at_least(t) { while (j < n && after[j + 1] <= t) j++; while (j > 1 && after[j] > t) j--; return ns[j] }
	BEGIN { i = j = 1; worst = 0 }
	{
		elapsed = $1 - last
		last = $1
		if (elapsed > interval * 1.5) next # the first, and when this test was too late for one
		low = (at_least($1) - at_most($1 - elapsed)) / 1e9 / elapsed
		high = (at_most($1) - at_least($1 - elapsed)) / 1e9 / elapsed
		middle = (low + high) / 2
		if (middle <= 0) { print "WRONG: the load did not run"; exit 1 }
		d = $2 / middle - 1
		if (!k || d < dmin) dmin = d
		if (!k || d > dmax) dmax = d
		if ((high - low) / middle > width) width = (high - low) / middle
		if ($2 < low * 0.97 || $2 > high * 1.03) {
			print "cpu_used_cores is " $2 ", the load used " low " to " high
			outside++
		}
		k++; said += $2; used += middle
	}
	END {
		# On a busy machine the collector itself may have to wait in the middle of a cycle.
		if (outside > k / 5) wrong = 1
		if (!wrong && (said / used > 1.03 || said / used < 0.97)) {
			print "WRONG: cpu_used_cores is " said / k " on average, the load used " used / k
			wrong = 1
		}
		printf "note: cpu_used_cores over %d intervals: mean %+.2f %%, each %+.2f to %+.2f %% (known to %.2f %%)\n",
			k, (said / used - 1) * 100, dmin * 100, dmax * 100, width * 100
		exit wrong || k < 3
	}' "$work/process" "$work/samples"
}

# --- run ----------------------------------------------------------------------------------------
widths=() network=()
net_lines
conf_write
took=$EPOCHREALTIME
loadcell metrics --json | jq -r '.metrics[] | select(.scope == "instance" and .kind == "counter") | .name' \
	>"$work/counters"
[ "$(wc -l <"$work/counters")" -gt 20 ] || fail "loadcell metrics lists no counters"
# Where programs are slow to start (emulated machines) one could not look at each sample.
interval=$(awk "BEGIN { print int(1 + 3 * ($EPOCHREALTIME - $took)) }")

mixed=${prefix}mixed
instance_new "$mixed"
mixed_load "$mixed"
lxc_start "$mixed"
collector_start "interval = ${interval}s" "flush = 120s"
listed "$mixed"
pause 4 # all loads have begun, and the first device has a line in io.stat
sources_find "$mixed"
expected="cpu_usage_seconds cpu_user_seconds cpu_system_seconds cpu_periods cpu_throttled_periods
	cpu_throttled_seconds"
[ -z "$(version memory)" ] || expected+=" memory_limit_hits memory_oom_kills"
[ -z "$(version pids)" ] || expected+=" pids_limit_hits"
[ ${#network[@]} -eq 0 ] || expected+=" network_receive_bytes network_transmit_packets"
[ -z "$(awk '$3 == "cgroup2"' /proc/mounts)" ] || expected+=" cpu_pressure_some_seconds"
if on_disk "$lxcpath"; then
	expected+=" io_read_bytes io_reads"
	[ -z "$(version io)" ] || expected+=" io_write_bytes io_writes"
fi
brackets "$mixed" $expected
limits_are "$mixed" "/lxc.payload.$mixed"
echo "note: $(wc -l <"$work/compared") values of ${#widths[@]} cycles between the kernel's before and after," \
	"$(awk '$4 > $2 { n++ } END { print n + 0 }' "$work/compared") of them moving," \
	"$(printf '%s\n' "${widths[@]}" | sort -g | sed -n '1p;$p' | paste -sd' ' |
	 awk '{ printf "%.3f to %.3f s apart", $1, $2 }')"
[ -z "${VALUES:-}" ] || cat "$work/after.values" "$work/sample.values"
lxc_stop "$mixed"

steady=${prefix}steady
instance_new "$steady"
runs "$steady" load 'dd if=/dev/zero of=/dev/shm/file bs=1M count=4
dd if=/dev/zero of=/tmp/file bs=1M count=8
held=$(dd if=/dev/zero bs=1M count=8 | tr "\0" x)
: >/tmp/ready
while :; do :; done'
lxc_start "$steady"
listed "$steady"
wait_for 120 '[ -e "$lxcpath/$steady/rootfs/tmp/ready" ]' || fail "the load does not get ready"
sources_find "$steady"
spinner=$(grep -vx "$init" "$(instance_cgroup "$steady" cpu)/cgroup.procs")
[ "$(wc -w <<<"$spinner")" = 1 ] || fail "the load is not one process but: $spinner"
: >"$work/compared"
pause 2
for ((round = 0; round < 3; round++)); do
	bracket
	compare "$steady" 262144
	derived "$steady"
done
jq -e --arg n "$steady" '.instances[] | select(.handle == $n) | .metrics |
	.pids_current == 2 and .uptime_seconds > 0 and (.memory_usage_bytes == null or
	(.memory_anon_bytes > 8388608 and .memory_anon_bytes < 50000000 and
	.memory_shmem_bytes >= 4194304 and .memory_shmem_bytes < 4600000 and
	.memory_file_bytes >= 12582912 and .memory_file_bytes < 16000000 and
	.memory_usage_bytes > 20971520 and .memory_usage_bytes <= 67108864))' "$work/sample.json" >/dev/null ||
	{ json '.instances[].metrics'; fail "the gauges are not what the load holds"; }
echo "note: gauges of a steady load off by at most $(awk '$1 ~ /bytes/ && $1 !~ /^if|peak|network|io_/ {
	lo = $2 < $4 ? $2 : $4; hi = $2 < $4 ? $4 : $2
	d = $3 < lo ? lo - $3 : $3 > hi ? $3 - hi : 0; if (d > max) max = d } END { print max + 0 }' "$work/compared") bytes"

watch_process "$spinner" &
watcher=$!
at_exit 'kill $watcher 2>/dev/null'
pause $interval.5
for ((round = 0; round < 2 * ROUNDS; round++)); do
	next_sample
	loadcell list --json >"$work/sample.json"
	jq -r --arg n "$steady" '.time as $t | .instances[] | select(.handle == $n) |
		"\($t) \(.metrics.cpu_used_cores)"' "$work/sample.json"
done >"$work/samples"
pause 0.3
kill $watcher
missed=$(host_metric collector_missed_cycles)
[ "$missed" = 0 ] || echo "note: $missed cycles were missed"
used_cores_agree || fail "cpu_used_cores is not what the load used"

# Without load: nothing used, all of the limit idle.
echo 'sleep 1000' >"$lxcpath/$steady/rootfs/etc/load"
kill -KILL "$spinner"
next_sample && next_sample && next_sample
idle() { json '.host.metrics.collector_cycle_seconds as $c | .time as $t | .instances[] |
	select(.handle == $n) | .metrics | "\($t) \($c) \(.cpu_idle_seconds) \(.cpu_used_cores)"' --arg n "$steady"; }
figures="$(idle) "
pause $((interval * 4))
figures+=$(idle)
# A cycle that has to wait reads its files later than its time says, by less than it took.
awk -v figures="$figures" 'BEGIN {
	split(figures, v, " ")
	elapsed = v[5] - v[1]; share = (v[7] - v[3]) / elapsed; off = (v[2] + v[6]) / elapsed
	printf "note: idle instance: %.4f cores used, %.4f of 0.5 cores idle\n", v[8], share
	exit !(v[8] < 0.02 && share <= 0.5 * (1.001 + off) && share > 0.5 * (0.96 - off))
}' || fail "idle time is wrong: $figures"
lxc_stop "$steady"

# --- limits on the parent: Proxmox's layout -------------------------------------------------------
for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do
	cgroups+=("$mount/lxc/$$" "$mount/lxc.monitor/$$")
done
instance_new "$$" "lxc.cgroup.dir.container = lxc/$$" "lxc.cgroup.dir.container.inner = ns" \
	"lxc.cgroup.dir.monitor = lxc.monitor/$$" "lxc.cgroup.dir.monitor.pivot = lxc.monitor/$$"
mixed_load "$$"
lxc_start "$$"
listed "$$"
pause 4
sources_find "$$" /ns
case "${paths[*]}" in
*"/lxc/$$/ns/"*) ;;
*) fail "the layout is another: ${paths[*]}" ;;
esac
# What is counted below the cgroup with the limits is added up every some seconds.
below="^(pids_limit_hits|memory_oom_kills)\$"
brackets "$$" cpu_usage_seconds cpu_throttled_periods
limits_are "$$" "/lxc/$$"
[ "$(json '.instances[] | select(.handle == $i) | .name + (.cgroup | .cpu // .unified)' --arg i "$$")" = "$$/lxc/$$/ns" ] ||
	fail "Proxmox's layout: name or cgroup: $(json '.instances[] | .name, .cgroup')"
while read -r metric value; do
	[[ $metric =~ $below ]] || continue
	[ "${value%.*}" -gt 0 ] || fail "$metric of the kernel is 0 under load"
	wait_for 40 "[ \"\$(metric $$ $metric)\" -ge ${value%.*} ]" ||
		fail "$metric stays $(metric $$ "$metric"), the kernel said $value"
done <"$work/after.values"
echo "note: limits on the parent: $(wc -l <"$work/compared") values"
