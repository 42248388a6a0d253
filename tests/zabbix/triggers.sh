# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The triggers that templates.sh has not made fire yet, for real where that harms nobody: memory, disks, the kernel's
# ceilings (by a lowered threshold), flapping, late samples; and what must raise nothing. templates.sh sources it.

both() { local what=$1; shift; for h in snmp-host agent-host; do $what $h "$@"; done; }
# setting NAME VALUE [CONTEXT]: a macro of both Zabbix hosts.
setting()
{
	local name="{\$LOADCELL.$1${3:+:\"$3\"}}"
	fast=$(jq -c --arg n "$name" --arg v "$2" 'map(select(.macro != $n)) + [{macro: $n, value: $v}]' <<<"$fast")
	for h in snmp agent; do
		api host.update "$(jq -n --arg i "$(cat "$work/id.$h")" --argjson m "$fast" '{hostid: $i, macros: $m}')" >/dev/null || fail "cannot set $name"
	done
}
quiet()
{
	problems $1 >"$work/quiet"
	[ ! -s "$work/quiet" ] || { cat "$work/quiet"; fail "$1: $2"; }
}
# charged NAME COMMAND...: a process that is charged to the instance; its pid is in $charged.
charged()
{
	local directory
	directory=$(instance_cgroup "$1" memory)
	shift
	setsid sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$directory" "$@" </dev/null >/dev/null 2>&1 8>&- 9>&- &
	charged=$!
	servers=("$charged" "${servers[@]}")
}
discharge() { kill -KILL "$1"; wait "$1" 2>/dev/null; }
memory_of() { echo $(($(metric "$1" memory_anon_bytes) + $(metric "$1" memory_shmem_bytes) + $(metric "$1" memory_kernel_bytes))); }
# Takes MiB at once, then MORE MiB, one in each PAUSE seconds, and keeps all.
hog='import sys, time
kept = [bytearray(b"x" * 1048576) for i in range(int(sys.argv[1]))]
for i in range(int(sys.argv[2])):
	time.sleep(float(sys.argv[3]))
	kept.append(bytearray(b"x" * 1048576))
time.sleep(1000)'
# Reads a file of more pages than fit beside ANON MiB.
thrash='import mmap, random, sys
kept = [bytearray(b"x" * 1048576) for i in range(int(sys.argv[2]))]
with open(sys.argv[1], "rb") as f:
	m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
while True:
	m[random.randrange(0, len(m), 4096)]'
python=/usr/bin/python3
in_web=${prefix}web in_db=${prefix}db in_proxy=${prefix}proxy in_disk=${prefix}disk
before=$fired

# --- a cache that is 95 % full is well; the storm ---------------------------------------------------
# The cache, and twenty that restart at once.
lxc_new "${prefix}cache" "$(limits memory=400M pids=100)" && lxc_start "${prefix}cache"
charged "${prefix}cache" memcached -u nobody -l 127.0.0.1 -p $((port + 2)) -m 100 -t 1
cache=$charged
wait_for 10 "(exec 3<>/dev/tcp/127.0.0.1/$((port + 2))) 2>/dev/null" || fail "memcached does not answer"
# Sets for as long as it lives, so that it evicts all the time.
$python -c 'import itertools, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for i in itertools.count():
	s.sendall(b"set k%d 0 0 8000 noreply\r\n" % (i % 100000) + b"v" * 8000 + b"\r\n")
	if i > 16000:
		__import__("time").sleep(0.005)' $((port + 2)) </dev/null >/dev/null 2>&1 8>&- 9>&- &
setter=$!
servers=("$setter" "${servers[@]}")
storm=()
for i in $(seq 20); do
	storm+=("${prefix}storm$i")
	lxc_new "${prefix}storm$i" "$(limits memory=32M cpu=0.5 pids=50)"
	lxc_load "${prefix}storm$i" 'while :; do sleep 1; done'
	lxc_start "${prefix}storm$i"
done
settled=0 last=0
until [ $settled = 3 ]; do
	sleep 2
	now=$(memory_of "${prefix}cache")
	[ $((now - last)) -lt 300000 ] && settled=$((settled + 1)) || settled=0
	last=$now
done
case $(cgroup_mount memory) in
1*) echo $((last * 100 / 95)) >"$(instance_cgroup "${prefix}cache" memory)/memory.limit_in_bytes" ;;
*) echo $((last * 100 / 95)) >"$(instance_cgroup "${prefix}cache" memory)/memory.max" ;;
esac
steady=$SECONDS
wait_for 60 '[ "$(found snmp-host)" = 26 ] && [ "$(found agent-host)" = 26 ]' || fail "$(found snmp-host) and $(found agent-host) instances of 26"
# What agents hand over in one piece: Zabbix 6.0 cuts at 512 KB.
for item in data more; do
	loadcell list --json | jq '.instances | length' >"$work/n"
	size=$(sh -c "$(sed -n "s/^UserParameter=loadcell.$item,//p" "$work/loadcell.agent")" | wc -c)
	few=$(sh -c "$(sed -n "s/^UserParameter=loadcell.$item,//p" "$work/loadcell.agent") | jq -c '.instances = []'" | wc -c)
	each=$(((size - few) / $(cat "$work/n")))
	echo "note: loadcell.$item: $few bytes and $each an instance, $(((few + 1000 * each) / 1000)) KB at 1,000"
	[ $((few + 1000 * each)) -lt 400000 ] || fail "loadcell.$item is too long"
done
# Filling is growth: it must be older than the window in which growth is looked for.
[ $((SECONDS - steady)) -ge 45 ] || sleep $((45 - SECONDS + steady))
for name in "${storm[@]}"; do
	lxc_stop "$name" &
	waiting=$!
	stops="${stops:-} $waiting"
done
wait $stops
for name in "${storm[@]}"; do lxc_start "$name"; done
for ((i = 0; i < 12; i++)); do
	sleep 4
	both quiet "twenty restarts, or a cache at 95 % of its limit"
done
kill -0 "$cache" "$setter" || fail "memcached has ended"
share=$(awk -v u="$(memory_of "${prefix}cache")" -v l="$(metric "${prefix}cache" memory_limit_bytes)" 'BEGIN { printf "%.1f", u * 100 / l }')
awk -v s="$share" 'BEGIN { exit !(s > 93 && s < 97) }' || fail "the cache fills $share % of its limit, not 95"
echo "note: restarts of 20 and memcached at $share % of its limit: no problem"
discharge "$setter"
discharge "$cache"
for name in "${storm[@]}" "${prefix}cache"; do lxc_stop "$name"; done

# --- memory --------------------------------------------------------------------------------------------
setting MEMORY.MAX 90 "$in_web"
charged "$in_web" $python -c "$hog" 118 0 0
both fires "$in_web: memory that cannot be reclaimed is above 90 % of the limit" 60
discharge "$charged"
both recovers "$in_web: memory that cannot be reclaimed" 60
setting MEMORY.GROWN 30 "$in_proxy"
charged "$in_proxy" $python -c "$hog" 40 60 1
both fires "$in_proxy: memory grows to its limit within 2h" 90
discharge "$charged"
both recovers "$in_proxy: memory grows to its limit" 120
# Out of the cache, which was charged to this shell.
dd if=/dev/urandom of="$lxcpath/$in_db/rootfs/pages" bs=1M count=60 conv=fsync 2>/dev/null
dd if="$lxcpath/$in_db/rootfs/pages" iflag=nocache count=0 2>/dev/null
setting MEMORY.MAX 101 "$in_db"
# The load holds 90 % of the limit, a hair more or less: with more the kernel kills it instead.
setting MEMORY.PRESSED 85 "$in_db"
setting HOST.PRESSURE 0.01
charged "$in_db" $python -c "$thrash" "$lxcpath/$in_db/rootfs/pages" 106
both fires "$in_db: the working set is above 85 % of the limit, and reclaim hurts" 90
[ ! -r /proc/pressure/memory ] || both fires "All work waits for memory above 0.01 % of the time" 60
discharge "$charged"
both recovers "$in_db: the working set is above" 90
[ ! -r /proc/pressure/memory ] || both recovers "All work waits for memory above" 90
setting HOST.PRESSURE 10

# --- an instance with a file system of its own -----------------------------------------------------------
truncate -s 200M "$work/disk.ext4" && mkfs.ext4 -q -m 0 "$work/disk.ext4" && mkdir -p "$lxcpath/$in_disk/rootfs" &&
	mount -o loop "$work/disk.ext4" "$lxcpath/$in_disk/rootfs" || fail "no file system for an instance"
at_exit 'lxc_stop "$in_disk"; umount "$lxcpath/$in_disk/rootfs"'
for macro in DISK.WINDOW=60s DISK.HISTORY=15s DISK.GROWN=20; do
	setting "${macro%=*}" "${macro#*=}" "$in_disk"
	setting "${macro%=*}" "${macro#*=}" "$lxcpath/$in_disk/rootfs"
done
lxc_new "$in_disk" "$(limits memory=64M pids=100)" && lxc_start "$in_disk"
wait_for 60 '[ "$(metric "$in_disk" disk_limit_bytes)" -gt 100000000 ] 2>/dev/null' || fail "$in_disk: a limit of $(metric "$in_disk" disk_limit_bytes)"
(for ((i = 0; i < 60; i++)); do dd if=/dev/zero bs=1M count=2 2>/dev/null; sleep 1; done >"$lxcpath/$in_disk/rootfs/fill") 8>&- 9>&- &
filling=$!
servers=("$filling" "${servers[@]}")
both fires "$in_disk: the disk is full within 1d" 120
both fires "$lxcpath/$in_disk/rootfs: full within 1d" 60
kill "$filling" 2>/dev/null
wait "$filling" 2>/dev/null
dd if=/dev/zero of="$lxcpath/$in_disk/rootfs/rest" bs=1M 2>/dev/null
both fires "$in_disk: the disk is above 90 % of the limit" 60
both fires "$lxcpath/$in_disk/rootfs: above 90 % is used" 60
rm "$lxcpath/$in_disk/rootfs/rest" "$lxcpath/$in_disk/rootfs/fill"
for said in "$in_disk: the disk is above" "$in_disk: the disk is full" "$lxcpath/$in_disk/rootfs: above" "$lxcpath/$in_disk/rootfs: full"; do
	both recovers "$said" 120
done

# --- the host: forcing these would harm what else runs here, so the thresholds come to the values ------------
setting HOST.KERNEL.MAX 0.00001
setting HOST.MEMORY.MIN 101
said=("of threads-max" "of pid_max" "of max_map_count" "of file-max" "Less than 101 % of memory is available")
for what in "${said[@]}"; do both fires "$what" 60; done
setting HOST.KERNEL.MAX 85
setting HOST.MEMORY.MIN 0.1
for what in "${said[@]}"; do both recovers "$what" 60; done

# --- flapping, late samples, too many ----------------------------------------------------------------------
for ((i = 0; i < 6; i++)); do
	lxc_stop "$in_disk"
	lxc_start "$in_disk"
done
both fires "An instance starts again and again" 60
(while kill -STOP "$collector"; do sleep 1.8; kill -CONT "$collector"; sleep 0.3; done) 8>&- 9>&- &
late=$!
at_exit 'kill $late 2>/dev/null; kill -CONT $collector 2>/dev/null'
both fires "loadcell samples late" 60
kill "$late"
wait "$late" 2>/dev/null
kill -CONT "$collector"
both recovers "loadcell samples late" 60
both recovers "An instance starts again and again" 120
collector_stop
collector_start "agentx = $work/master" "stale_after = 8s" "disk_walk_share = 20 %" "instances_max = 4"
both fires "loadcell leaves instances out" 60
collector_stop
collector_start "agentx = $work/master" "stale_after = 8s" "disk_walk_share = 20 %"
both recovers "loadcell leaves instances out" 60
lxc_stop "$in_disk"

# --- nobody answers -----------------------------------------------------------------------------------------
setting NODATA 30s
at_exit 'kill -CONT -- "$snmpd_pid" "-$zabbix_agent" 2>/dev/null'
kill -STOP -- "$snmpd_pid" "-$zabbix_agent"
both fires "loadcell: no data for 30s" 150
for h in snmp-host agent-host; do
	[ "$(problems $h | wc -l)" = 1 ] || { problems $h; fail "$h: more than one problem while nobody answers"; }
done
kill -CONT -- "$snmpd_pid" "-$zabbix_agent"
both recovers "loadcell: no data" 120
setting NODATA 5m
echo "note: $((fired - before)) more fired and recovered"

# --- what a host with the template as it is sends, all that while --------------------------------------------
query -d zabbix -At -F ' ' -c "select h.host, count(distinct i.itemid) filter (where i.key_ like '%\"$in_web\"%'),
	count(*) filter (where i.key_ like '%\"$in_web\"%'), count(*) filter (where i.key_ not like '%\"%') from
	(select itemid, clock from history union all select itemid, clock from history_uint union all
	select itemid, clock from history_str union all select itemid, clock from history_text) v
	join items i using (itemid) join hosts h using (hostid)
	where h.host like 'plain-%' and v.clock >= extract(epoch from now()) - 240 group by 1 order by 1" >"$work/sent"
while read -r host items instance rest; do
	echo "note: $host: $items items of an instance with values, $(awk "BEGIN { printf \"%.3f values a second of each instance, %.2f of the host\", $instance / 240, $rest / 240 }")"
done <"$work/sent"
[ "$(wc -l <"$work/sent")" = 2 ] || fail "no values of the plain hosts"
