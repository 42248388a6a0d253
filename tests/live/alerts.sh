#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel tells by itself: OOM kills of an instance and of a cgroup made inside it are events
# within a second, with the right count and the victim that the test sent; limits that the test
# writes are events with old and new value, and the metric follows; a deleted veth leaves with the
# counters that ip showed; hostile datagrams to the hooks' socket are counted and change nothing.
# timeout: 300
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
for p in perl ip setpriv; do
	command -v $p >/dev/null || skip "$p is not installed: run make deps"
done
[ -n "$(cgroup_mount memory)" ] || skip "cannot: no memory controller"
version=$(cgroup_mount memory) version=${version%% *}
name=${prefix}alert

# events TYPE: what the ledger was told of this run, one JSON object a line.
events()
{
	local file=$data_dir/events.jsonl
	[ -e "$file" ] || file=$run_dir/ledger.jsonl
	[ ! -e "$file" ] || grep "\"type\":\"$1\"" "$file" | grep "\"run\":\"$run\""
}
events_count() { events "$1" | wc -l; }
now_ms() { now=$((${EPOCHREALTIME/./} / 1000)); }

# more_events TYPE COUNT: waits up to 5 s for more than that. Without a process of its own until then:
# one costs 100 ms under emulation.
more_events()
{
	local file=$data_dir/events.jsonl line n end=$((SECONDS + 5))
	[ -e "$file" ] || file=$run_dir/ledger.jsonl
	while [ $SECONDS -le $end ]; do
		n=0
		while read -r line; do
			case $line in *"\"type\":\"$1\""*) case $line in *"\"run\":\"$run\""*) n=$((n + 1)) ;; esac ;; esac
		done 2>/dev/null <"$file"
		now_ms
		[ $n -le "$2" ] || return 0
		read -r -t 0.01 -u 9
	done
	return 1
}
mkfifo "$work/never"
exec 9<>"$work/never"

# --- OOM kills ----------------------------------------------------------------------------------
# hog CGROUP: fills 64 MB there until it is killed; a name of 15 bytes that would like to be misread.
hog_name='a) total-vm:1kB'
cp "$(command -v busybox)" "$work/$hog_name"
hog()
{
	bash -c 'echo $$ >"$1/cgroup.procs" && exec -a dd "$2" if=/dev/zero of=/dev/null bs=64M count=1' \
		- "$1" "$work/$hog_name" 2>/dev/null &
	hog_pid=$!
	wait $hog_pid 2>/dev/null
	now_ms
	died=$now
}

# followed COUNT: waits up to 5 s until `loadcell events -f` has printed so many kills.
followed()
{
	local line n end=$((SECONDS + 5))
	while [ $SECONDS -le $end ]; do
		n=0
		while read -r line; do
			case $line in *" oom "*) n=$((n + 1)) ;; esac
		done 2>/dev/null <"$work/followed"
		now_ms
		[ $n -lt "$1" ] || return 0
		read -r -t 0.01 -u 9
	done
	return 1
}

# expect_kill WHAT CGROUP VICTIM: one more event, followed within a second, of one kill.
worst=0
expect_kill()
{
	local before took event
	before=$(events_count oom)
	hog "$2"
	more_events oom "$before" || fail "$1: no event"
	followed $((before + 1)) || fail "$1: events -f says $(cat "$work/followed")"
	took=$((now - died)) event=$(events oom | tail -n 1)
	echo "$1: $took ms, $event"
	[ $took -lt 1000 ] || fail "$1: the event came after $took ms"
	[ $took -le $worst ] || worst=$took
	kills=$((kills + 1))
	[ "$(jq .kills <<<"$event")" = 1 ] || fail "$1: not one kill"
	if [ "$3" = victim ]; then
		[ "$(jq -r '.victim.name' <<<"$event")" = "$hog_name" ] || fail "$1: another victim"
		[ "$(jq .victim.pid <<<"$event")" = $hog_pid ] || fail "$1: not process $hog_pid"
		[ "$(jq '.victim.memory > 1000000' <<<"$event")" = true ] || fail "$1: the victim's memory"
	else
		[ "$(jq .victim <<<"$event")" = null ] || fail "$1: a victim from nowhere"
	fi
	[ "$(jq .limit <<<"$event")" = $((32 << 20)) ] || fail "$1: the limit"
	[ "$(jq '.memory > 0 and .memory <= .limit' <<<"$event")" = true ] || fail "$1: the memory"
	wait_for 5 '[ "$(metric "$name" memory_oom_kills)" = $kills ]' ||
		fail "$1: memory_oom_kills is $(metric "$name" memory_oom_kills), not $kills"
}
run_of() { json '.instances[] | select(.handle == $i) | .run' --arg i "$name"; }

lxc_new "$name" "$(limits memory=32M pids=100 cpu=0.5)"
lxc_start "$name"
collector_start
kills=0
"$B/bin/loadcell" events -f "$name" >"$work/followed" &
follower=$!
at_exit 'kill "$follower" 2>/dev/null'
wait_for 10 '[ "$(metric "$name" memory_limit_bytes)" = $((32 << 20)) ]' || fail "not measured"
cgroup=$(instance_cgroup "$name" memory) run=$(run_of)
sleep 5 # some samples before it
expect_kill "kill in the instance" "$cgroup" victim
id=$(events oom | jq .id)
wait_for 5 '[ -s "$data_dir/flight/$id.json.gz" ]' || fail "no samples were kept with event $id"
loadcell events --id "$id" >"$work/flight" || fail "events --id $id: $(cat "$work/flight")"
[ "$(grep -cE '^[0-9]{2}-[0-9]{2} [0-9:]{8} ' "$work/flight")" -ge 5 ] || fail "events --id $id: $(cat "$work/flight")"
# Made now, two levels deep; under v1 with a limit of its own, so that only it is out of memory.
mkdir -p "$cgroup/in,task=x/deep"
[ $version = 2 ] || echo 8M >"$cgroup/in,task=x/deep/memory.limit_in_bytes"
expect_kill "kill in a cgroup below" "$cgroup/in,task=x/deep" victim
# A removed cgroup signals (v1) and keeps its count.
rmdir "$cgroup/in,task=x/deep"
expect_kill "kill after a cgroup went" "$cgroup/in,task=x" victim
rmdir "$cgroup/in,task=x"
sleep 1.5
[ "$(events_count oom)" = 3 ] || fail "$(events_count oom) events of 3 kills"

# Several at once: one event or more, the sum is right.
for n in 1 2 3 4; do
	hog "$cgroup"
done
kills=$((kills + 4))
wait_for 3 '[ "$(events oom | jq -s "map(.kills) | add")" = $kills ]' ||
	fail "$(events oom | jq -s 'map(.kills) | add') kills told of $kills"
wait_for 3 '[ "$(metric "$name" memory_oom_kills)" = $kills ]' || fail "not $kills kills"

# --- limits -------------------------------------------------------------------------------------
# expect_limit METRIC CONTROLLER FILE-V1 VALUE-V1 FILE-V2 VALUE-V2 OLD NEW
expect_limit()
{
	local file=$3 value=$4 before event start took directory
	[ "$(cgroup_mount "$2")" != "" ] || return 0
	case $(cgroup_mount "$2") in 2*) file=$5 value=$6 ;; esac
	before=$(events_count limit-changed)
	directory=$(instance_cgroup "$name" "$2")
	now_ms
	start=$now
	echo "$value" >"$directory/$file" || fail "cannot write $file"
	more_events limit-changed "$before" || fail "$1: no event"
	took=$((now - start)) event=$(events limit-changed | tail -n 1)
	echo "$1: $took ms, $event"
	[ $took -lt 2000 ] || fail "$1: the event came after $took ms"
	[ "$(jq -c '[.metric, .old, .new]' <<<"$event")" = "[\"$1\",$7,$8]" ] || fail "$1: $event"
	wait_for 3 '[ "$(metric "$name" '$1')" = '$8' ]' || fail "$1 does not follow"
}

expect_limit memory_limit_bytes memory memory.limit_in_bytes 48M memory.max 48M 33554432 50331648
expect_limit pids_limit pids pids.max 77 pids.max 77 100 77
expect_limit cpu_quota_cores cpu cpu.cfs_quota_us 25000 cpu.max "25000 100000" 0.5 0.25
told=$(events_count limit-changed)
case $version in
1) echo 48M >"$cgroup/memory.limit_in_bytes" ;;
2) echo 48M >"$cgroup/memory.max" ;;
esac
sleep 1.5
[ "$(events_count limit-changed)" = "$told" ] || fail "an event of a limit that is what it was"
# Written a hundred times: told at most each second, the last value is.
directory=$(instance_cgroup "$name" pids)
start=$SECONDS
for n in $(seq 1 100); do
	echo $((100 + n)) >"$directory/pids.max"
done
wait_for 3 '[ "$(events limit-changed | jq -s "map(select(.metric == \"pids_limit\")) | last.new")" = 200 ]' ||
	fail "the last limit was not told"
[ $(($(events_count limit-changed) - told)) -le $((SECONDS - start + 2)) ] || fail "a storm of events"
wait_for 3 '[ "$(metric "$name" pids_limit)" = 200 ]' || fail "pids_limit does not follow"
echo "note: kills told within $worst ms"

# --- datagrams of hooks ---------------------------------------------------------------------------
# send UID TEXT
send()
{
	setpriv --reuid "$1" --clear-groups perl -MSocket -e 'socket(S, PF_UNIX, SOCK_DGRAM, 0) or die;
		defined send(S, $ARGV[1] x $ARGV[2], 0, pack_sockaddr_un($ARGV[0])) or die "$!\n"' \
		"$run_dir/hook.sock" "$2" "${3:-1}"
}
refused() { host_metric collector_refused_datagrams; }

chmod o+x "$run_dir"
send 65534 start 2>"$work/sent" && fail "another user may send to hook.sock"
grep -q 'Permission denied' "$work/sent" || fail "not refused: $(cat "$work/sent")"
send 0 start || fail "root may not send"
sleep 1.5
[ "$(refused)" = 0 ] || fail "root's wake-up was refused"
chmod 666 "$run_dir/hook.sock"
for text in start stop '{"name":"../../etc"}'; do
	send 65534 "$text" || fail "cannot send as nobody"
done
send 0 garbage
send 0 start 13000 # 65,000 bytes
wait_for 5 '[ "$(refused)" = 5 ]' || fail "$(refused) refused of 5"
collector_alive || fail "the collector has ended"

# --- without the kernel's log, and a collector that comes later ----------------------------------------
collector_stop
[ "$collector_status" = 0 ] || fail "the collector ended with status $collector_status"
mkdir -p "$work/blind/bin"
cat >"$work/blind/bin/loadcelld" <<EOF
#!/bin/sh
exec unshare -m sh -c 'mount --bind /dev/null /dev/kmsg && exec "$B/bin/loadcelld" "\$@"' - "\$@"
EOF
chmod +x "$work/blind/bin/loadcelld"
built=$B
B=$work/blind
collector_start
B=$built
wait_for 10 '[ "$(run_of)" = "$run" ]' || fail "not found again"
# What cgroups counted that went before the collector came is not known to it.
kills=$(find "$cgroup" -name memory.oom_control -o -name memory.events | xargs -d "\n" sed -n "s/^oom_kill //p" | awk "{ n += \$1 } END { print n }")
case $version in
1) echo 32M >"$cgroup/memory.limit_in_bytes" ;;
2) echo 32M >"$cgroup/memory.max" ;;
esac
expect_kill "kill without a kernel log" "$cgroup" none

# --- veth -------------------------------------------------------------------------------------------
[ -x "$B/live/links" ] || skip "$B/live/links is not built: run make unit"
# Two namespaces: the host's own may have a firewall. One stands for the host's.
host=${prefix}host inside=${prefix}inside
ip netns add "$host" && ip netns add "$inside" || skip "cannot: no network namespaces"
at_exit 'ip netns del "$host" 2>/dev/null; ip netns del "$inside" 2>/dev/null'
# IPv6 says things of its own accord, also between the two looks below.
for name in "$host" "$inside"; do
	ip netns exec "$name" sh -c '[ ! -d /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
done
ip -n "$host" link add veth0 type veth peer name eth0 netns "$inside" || skip "cannot: no veth"
ip -n "$host" addr add 192.0.2.1/30 dev veth0
ip -n "$host" link set veth0 up
ip -n "$inside" addr add 192.0.2.2/30 dev eth0
ip -n "$inside" link set eth0 up
ip netns exec "$host" "$B/live/links" >"$work/links" &
links=$!
at_exit 'kill $links 2>/dev/null'
wait_for 5 'grep -q ready "$work/links"' || fail "links does not listen"
# Different amounts each way, to a port where nobody listens.
push='socket(S, PF_INET, SOCK_DGRAM, 0); for (1 .. $ARGV[1]) {
	send(S, "x" x 1400, 0, pack_sockaddr_in(9, inet_aton($ARGV[0]))); select(undef, undef, undef, 0.01) }'
ip netns exec "$host" perl -MSocket -e "$push" 192.0.2.2 40
ip netns exec "$inside" perl -MSocket -e "$push" 192.0.2.1 60
sleep 0.5 # the last answers
ip -n "$inside" link set eth0 down # nothing moves any more
index=$(ip -n "$host" -j link show veth0 | jq ".[0].ifindex")
shown=$(ip -n "$host" -s -j link show veth0 | jq -c '.[0].stats64 | [.tx.bytes, .tx.packets, .tx.errors,
	.tx.dropped, .rx.bytes, .rx.packets, .rx.errors, .rx.dropped]')
# As LXC does it: the host's end is deleted while the namespace is there.
ip -n "$host" link del veth0
wait_for 5 'grep -q "^$index " "$work/links"' || fail "the deleted veth was not told"
told=$(sed -n "s/^$index //p" "$work/links")
echo "veth: told $told, shown $shown"
[ "$told" = "$shown" ] || fail "the counters differ"
[ "$(jq '.[0] > 50000 and .[4] > 80000 and .[0] != .[4]' <<<"$told")" = true ] || fail "hardly any traffic"
kill $links
wait $links 2>/dev/null
exit 0
