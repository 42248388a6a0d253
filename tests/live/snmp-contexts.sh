#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One SNMP context per instance, through a real snmpd: standard MIBs tell the instance's numbers, as
# its cgroup and LXC do, and nothing of the host; contexts come and go with instances; 500 of them.
# timeout: 600
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
for program in setpriv nsenter; do
	command -v $program >/dev/null || skip "$program is not installed: run make deps"
done
. "$(dirname "$0")/../snmp-lib.sh"
mib2=.1.3.6.1.2.1 ucd=.1.3.6.1.4.1.2021

secrets=(-v3 -l authPriv -u test -a SHA -A testtesttest -x AES -X testtesttest)
form=(-On -Oe -Ot -OU -Oq)
# get CONTEXT OID...: values, a line each; "" for the default context.
get() { local c=$1; shift; snmpget "${secrets[@]}" -n "$c" -t 1 -r 2 "${form[@]}" -Ov "127.0.0.1:$port" "$@" 2>/dev/null; }
walk() { local c=$1; shift; snmpbulkwalk "${secrets[@]}" -n "$c" -t 2 -r 2 "${form[@]}" "127.0.0.1:$port" "$@" 2>/dev/null; }
# ask CONTEXT OID: as get, but does not wait for a context that does not answer yet.
ask() { snmpget "${secrets[@]}" -n "$1" -t 0.2 -r 0 "${form[@]}" -Ov "127.0.0.1:$port" "$2" 2>/dev/null; }

snmpd_conf "createUser test SHA testtesttest AES testtesttest" "view all included .1" "rouser test priv -V all *" \
	"com2sec -Cn ${prefix}half half 127.0.0.1 half" "group contexts v2c half" "access contexts \"\" v2c noauth prefix all none none"

# --- instances ----------------------------------------------------------------------------------
lxc_new "${prefix}half" "$(limits memory=64M cpu=0.5 pids=100)"
lxc_new "${prefix}net"
sed -i '/^lxc.net.0.type = empty/d' "$lxcpath/${prefix}net/config"
printf 'lxc.net.0.type = veth\nlxc.net.0.name = eth0\nlxc.net.0.flags = up\nlxc.net.1.type = veth\nlxc.net.1.name = lan\n' \
	>>"$lxcpath/${prefix}net/config"
lxc_new "${prefix}late"
lxc_load "${prefix}half" 'head -c 8000000 /bin/busybox >/tmp/x; cat /tmp/x >/dev/null
	i=0; while :; do i=$((i + 1)); [ $((i % 3000)) != 0 ] || sleep 0.01; done'
lxc_load "${prefix}net" 'while :; do :; done'
lxc_start "${prefix}half"
lxc_start "${prefix}net"
collector_start "agentx = $work/master" "stale_after = 8s"
# In the group of the collector's files.
as_nobody="setpriv --reuid=65534 --regid=65534 --groups=$(stat -c %g "$run_dir")"
snmp_start "$conf" $as_nobody
snmpd_start
half=${prefix}half net=${prefix}net late=${prefix}late
wait_for 10 '[ "$(ask $half $mib2.1.5.0)" = "\"$half\"" ] && [ "$(ask $net $mib2.1.5.0)" = "\"$net\"" ]' ||
	fail "the contexts do not answer"

# --- the instance's own numbers -----------------------------------------------------------------
# within A B C: A <= B <= C
within() { [ -n "$2" ] && [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
# between COMMAND CONTEXT OID SLACK SENTENCE: what rises is between what the command says before and after the sample.
between()
{
	local before now after
	before=$($1) && sleep 3 && now=$(get "$2" "$3" | tr -d '"') && after=$($1)
	within $((before - $4)) "$now" $((after + $4)) || fail "$5: $now, not between $before and $after"
}
host=$(json .host.name)
[ "$(get "$half" $mib2.1.1.0)" = "\"Linux $half $(uname -r) LXC instance $half of $host\"" ] || fail "sysDescr: $(get "$half" $mib2.1.1.0)"
[ "$(get "$half" $mib2.1.6.0)" = "\"$host\"" ] || fail "sysLocation"
# Uptime, of the sample: by the start time of init that lxc-info tells.
ticks=$(getconf CLK_TCK)
up_ticks() { awk -v t="$(awk '{ print $22 }' "/proc/$(lxc_pid "$half")/stat")" -v hz="$ticks" '{ printf "%d\n", ($1 - t / hz) * 100 }' /proc/uptime; }
between up_ticks "$half" $mib2.1.3.0 110 sysUpTime
between up_ticks "$half" $mib2.25.1.1.0 110 hrSystemUptime

mount=$(cgroup_mount memory)
if [ -n "$mount" ]; then
	m=$(instance_cgroup "$half" memory)
	case $mount in 1*) usage=memory.usage_in_bytes inactive=total_inactive_file ;; *) usage=memory.current inactive=inactive_file ;; esac
	[ "$(get "$half" $ucd.4.5.0 $mib2.25.2.2.0 $mib2.25.2.3.1.5.1 | sort -u)" = 65536 ] || fail "64 MiB are not told"
	available() { echo $((65536 - $(cat "$m/$usage") / 1024)); }
	cached() { echo $(($(awk -v k=$inactive '$1 == k { print $2 }' "$m/memory.stat") / 1024)); }
	between available "$half" $ucd.4.6.0 512 memAvailReal
	between cached "$half" $ucd.4.15.0 512 memCached
	# The formula of stock templates, of one sample.
	same_ratio()
	{
		local ratio after
		ratio=$(metric "$half" memory_used_ratio)
		mapfile -t v < <(get "$half" $ucd.4.{5,6,14,15}.0)
		after=$(metric "$half" memory_used_ratio)
		awk -v t="${v[0]}" -v u="$((v[0] - v[1] - v[2] - v[3]))" -v a="$ratio" -v b="$after" \
			'BEGIN { r = u / t; exit !(a > 0 && r <= (a > b ? a : b) + 4 / t && r >= (a < b ? a : b) - 4 / t) }'
	}
	wait_for 10 same_ratio || fail "memory utilisation: ${v[*]}, $(metric "$half" memory_used_ratio)"
	echo "note: memory ${v[*]} KiB, memory_used_ratio $(metric "$half" memory_used_ratio)"
fi
mount=$(cgroup_mount cpuacct)
if [ -n "$mount" ]; then
	c=$(instance_cgroup "$half" cpuacct)
	for pair in "user 50" "system 52"; do
		read -r which id <<<"$pair"
		cpu_ticks() { awk -v k="$which" -v hz="$ticks" '$1 == k { printf "%d\n", $2 * 100 / hz }' "$c/cpuacct.stat"; }
		between cpu_ticks "$half" $ucd.11.$id.0 2 "CPU time ($which)"
	done
fi
[ "$(walk "$half" $mib2.25.3.3.1.1 | wc -l)" = 1 ] || fail "0.5 cores are not one processor"
[ "$(walk "$net" $mib2.25.3.3.1.1 | wc -l)" = "$(nproc)" ] || fail "not all processors are told"

# Rate of user + system + idle over sysUpTime: the limit.
sum() { get "$1" $mib2.1.3.0 $ucd.11.{50,52,53}.0 | paste -sd' ' | awk '{ print $1, $2 + $3 + $4 }'; }
rate_is() # CONTEXT CORES
{
	local a
	a=$(sum "$1") && sleep 10 && rate=$(awk -v a="$a" -v b="$(sum "$1")" \
		'BEGIN { split(a, x); split(b, y); print (y[2] - x[2]) / (y[1] - x[1]) * 100 }')
	awk -v r="$rate" -v w="$2" 'BEGIN { exit !(r > w * 98 && r < w * 102) }'
}
for pair in "$half 0.5" "$net $(nproc)"; do
	read -r context cores <<<"$pair"
	rate_is "$context" "$cores" || rate_is "$context" "$cores" || fail "$context has $rate ticks a second, not $cores x 100"
	echo "note: $cores cores, $rate ticks a second"
done

# Interfaces; "lan" is down.
[ "$(walk "$net" $mib2.31.1.1.1.1 | cut -d' ' -f2 | paste -sd' ')" = '"eth0" "lan"' ] || fail "interfaces: $(walk "$net" $mib2.31.1.1.1)"
[ "$(walk "$net" $mib2.31.1.1.1.18 | wc -l)" = 2 ] || fail "no ifAlias"
[ "$(get "$net" $mib2.2.1.0)" = 2 ] && [ "$(get "$half" $mib2.2.1.0)" = 0 ] || fail "ifNumber"
ip link set "$(lxc-info -P "$lxcpath" -n "$net" | awk '/^Link:/ { print $2; exit }')" up
received() { nsenter -t "$(lxc_pid "$net")" -n awk '$1 == "eth0:" { print $2 }' /proc/net/dev; }
wait_for 20 '[ "$(received)" -gt 0 ]' || fail "nothing comes in"
between received "$net" $mib2.31.1.1.1.6.1 0 ifHCInOctets
between received "$net" $mib2.2.2.1.10.1 0 ifInOctets
[ "$(get "$net" $mib2.2.2.1.8.1 $mib2.2.2.1.8.2 | paste -sd' ')" = "1 4" ] || fail "ifOperStatus: $(walk "$net" $mib2.2.2.1.8)"

disk=$(metric "$half" disk_used_bytes)
if [ "$disk" != null ] && [ -n "$disk" ]; then
	within $((disk / 1024 - 4096)) "$(get "$half" $ucd.9.1.8.1)" $((disk / 1024 + 4096)) || fail "dskUsed"
else
	echo "note: no disk figures yet"
fi

# --- nothing of the host ------------------------------------------------------------------------
walk "$half" .1 >"$work/context"
walk "" .1.3.6.1.2.1.1 >"$work/default"
walk "" $ucd >>"$work/default"
walk "" $mib2.25.1 >>"$work/default"
walk "" $mib2.25.2 >>"$work/default"
grep -q "^$ucd.4.5.0 " "$work/default" && grep -q "^$ucd.11.53.0 " "$work/default" || fail "the host's own values are not there to compare with"
cut -d' ' -f1 "$work/context" | grep -Ev "^$mib2\.(1|2|25|31)\.|^$ucd\.(4|9|11|13)\." | grep . && fail "it tells what it should not"
# The same name and value: what is no measure, but a name, a number or 0. Uptimes differ, but may meet by chance.
join <(sort "$work/context") <(sort "$work/default") | awk '$2 == $3 && $2 != "0" && $2 !~ /^"/' |
	grep -Ev "^($mib2\.1\.[23]\.0|$mib2\.25\.1\.1\.0|$mib2\.25\.2\.3\.1\.[124]\.[0-9]*|$ucd\.9\.1\.1\.1|$ucd\.13\.15\.1\.1\.1\.1) " >"$work/same"
[ -s "$work/same" ] && fail "as the host's: $(cat "$work/same")"
# Load, processes, interrupts, context switches, nice, wait, steal; IP, TCP, processes by name; routes.
for oid in $ucd.10.1.2.1 $ucd.10.1.3.1 $mib2.25.1.5.0 $mib2.25.1.6.0 $ucd.11.{51,54,55,56,59,60,61,64,65,66}.0 \
	$mib2.4.1.0 $mib2.6.5.0 $mib2.25.4.2.1.2.1 $mib2.25.3.3.1.2.196608 $mib2.11.1.0 .1.3.6.1.6.3.10.2.1.1.0; do
	get "$half" $oid | grep -q "No Such" || fail "$oid is answered: $(get "$half" $oid)"
done
get none $mib2.1.5.0 | grep . && fail "a context of nobody answers"
cut -d' ' -f1 "$work/context" | xargs -n 20 bash -c 'c=$0; exec snmpget -v2c -c half -On -Oe -Ot -OU -Oq "127.0.0.1:'$port'" "$@"' x |
	cut -d' ' -f1 | cmp - <(cut -d' ' -f1 "$work/context") || fail "v2c with a community of its own differs"
echo "note: $(wc -l <"$work/context") cells in a context"

# --- contexts come and go -----------------------------------------------------------------------
lxc_start "$late"
began=$(date +%s%N)
wait_for 10 '[ "$(ask $late $mib2.1.5.0)" = "\"$late\"" ]' || fail "an instance that starts gets no context"
echo "note: a new instance answered after $((($(date +%s%N) - began) / 1000000)) ms"
lxc_stop "$late"
none() { ask "$late" $mib2.1.5.0 | grep -q "No Such $1"; }
wait_for 10 'none Instance' || fail "a stopped instance still answers: $(ask $late $mib2.1.5.0)"
lxc_start "$late"
wait_for 10 '[ "$(ask $late $mib2.1.5.0)" = "\"$late\"" ]' || fail "a restarted instance does not answer"
within 1 "$(get "$late" $mib2.1.3.0)" 1500 || fail "sysUpTime does not begin anew: $(get "$late" $mib2.1.3.0)"
lxc_stop "$late"
# While snmpd is away others come.
snmpd_end
lxc_start "$late"
sleep 3
snmpd_start
wait_for 5 '[ "$(ask $late $mib2.1.5.0)" = "\"$late\"" ] && ask $half $mib2.1.5.0 | grep -q half' ||
	fail "an instance that has started while snmpd was away gets no context"
lxc_stop "$late"
wait_for 45 'none Object' || fail "the context of an instance that is gone stays registered"
snmp_end
[ "$snmp_status" = 0 ] || fail "it ended with $snmp_status"
collector_stop

# --- 500 contexts -------------------------------------------------------------------------------
mkdir -p "$work/many" "$run_dir"
printf 'run_dir = %s\ndata_dir = %s\nstale_after = 1h\nagentx = %s\n' "$work/many" "$work/many" "$work/master" >"$work/many.conf"
"$B/live/many-instances" "$work/many/snapshot" 500 || fail "no snapshot: run make build/live/many-instances"
chmod -R a+rX "$work/many" "$work/many.conf"
# Each says its own: 1000 KiB times its number.
all_answer() { [ "$(ask x500 $ucd.4.5.0)" = 500000 ] && [ "$(ask x1 $ucd.4.5.0)" = 1000 ]; }
# each_answers STEP: every one, or each STEPth, as every question takes a process.
each_answers()
{
	local i
	for i in $(seq 1 "$1" 500); do
		echo "x$i $(get "x$i" $ucd.4.5.0)"
	done | awk -v step="$1" '{ i = (NR - 1) * step + 1 } $1 == "x" i && $2 == i * 1000 { n++ } END { exit n != int(499 / step) + 1 }' ||
		fail "not all 500 contexts answer rightly"
}
snmpd_end
snmpd_start
began=$(date +%s%N)
export MALLOC_PERTURB_=165 # what is freed is not used
snmp_start "$work/many.conf" $as_nobody
unset MALLOC_PERTURB_
wait_for 5 all_answer || fail "500 contexts are not there within 5 s"
echo "note: 500 contexts answered after $((($(date +%s%N) - began) / 1000000)) ms"
each_answers 1
for signal in TERM KILL; do
	snmpd_end $signal
	snmpd_start
	began=$(date +%s%N)
	wait_for 5 all_answer || fail "500 contexts are not back within 5 s after SIG$signal of snmpd"
	echo "note: after SIG$signal of snmpd 500 contexts were back after $((($(date +%s%N) - began) / 1000000)) ms"
done
# Killed while they register.
connected() { ss -xH | grep -q "$work/master"; }
for ((i = 0; i < 6; i++)); do
	snmpd_end KILL
	snmpd_start
	wait_for 5 connected || fail "it does not connect"
	sleep 0.0$((RANDOM % 10))
done
wait_for 5 all_answer || fail "500 contexts are not back after snmpd was killed while they registered"
each_answers 7
[ -n "$(get "" .1.3.6.1.2.1.236.1.2.0)" ] && [ -n "$(get "" "$arc.1.1.3009.0")" ] || fail "LOADCELL-MIB and VM-MIB are not back"
# All but memory is absent in these, and not the host's.
for oid in $mib2.25.2.3.1.{5,6}.{10,31} $mib2.25.3.3.1.1.196608 $mib2.2.2.1.2.1 $mib2.31.1.1.1.6.1 \
	$ucd.4.{3,4,11,13}.0 $ucd.9.1.{6,8}.1 $ucd.11.{50,52,53}.0 $ucd.13.15.1.1.{3,12}.1; do
	get x1 $oid | grep -q "No Such Instance" || fail "$oid is told though it is absent: $(get x1 $oid)"
done
echo "note: resident $(awk '/VmRSS/ { print $2 }' "/proc/$snmp_pid/status") KiB, snmpd $(awk '/VmRSS/ { print $2 }' "/proc/$snmpd_pid/status") KiB"
snmp_end
[ "$snmp_status" = 0 ] || fail "it ended with $snmp_status"
[ "$(grep -c "net-snmp:" "$work/loadcell-snmp.log")" -lt 5 ] || fail "net-snmp complains: $(grep net-snmp "$work/loadcell-snmp.log")"

# --- no more than the configuration allows ------------------------------------------------------
echo "snmp_contexts = 100" >>"$work/many.conf"
snmp_start "$work/many.conf" $as_nobody
wait_for 5 '[ "$(ask x100 $ucd.4.5.0)" = 100000 ]' || fail "the hundredth context does not answer"
ask x101 $ucd.4.5.0 | grep -q 101000 && fail "there are more contexts than configured"
grep -q "^.*400 instances have no SNMP context: snmp_contexts allows 100" "$work/loadcell-snmp.log" || fail "too many instances are not told of"
[ "$(get "" $arc.1.1.{3009,3010}.0 | paste -sd' ')" = "100 400" ] || fail "loadcellContexts, loadcellContextsRefused"
snmp_end
