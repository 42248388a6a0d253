#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What LXC runs at the steps of an instance's life: records of starts, stops, reboots and destructions,
# final counters as the kernel's own files say, and never a hindrance: not without the program, not
# with a stopped collector, a full or missing spool, or many at once.
. "$(dirname "$0")/../lib.sh"
need_root
spool=$run_dir/spool
run_in_memory
conf_write
cp "$B/bin/loadcell-hook" "$work/loadcell-hook" # the test removes it
sed "s,/usr/libexec/loadcell/loadcell-hook,$work/loadcell-hook -c $conf," "$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$work/lxc.conf"
[ "$(grep -c "$work/loadcell-hook" "$work/lxc.conf")" = 3 ] || fail "lxc-hooks/lxc.conf has other hooks than three"
note() { echo "note: $*"; }

# record TYPE NAME [QUERY]: of the newest such record, by jq.
record()
{
	local file
	for file in $(ls -t "$spool" | grep "^$1\."); do
		jq -e --arg n "$2" '.name == $n' "$spool/$file" >/dev/null || continue
		jq -r "${3:-.}" "$spool/$file"
		return
	done
	return 1
}
# count TYPE NAME: how many records.
count() { cat "$spool/$1".* 2>/dev/null | jq -r --arg n "$2" 'select(.name == $n) | .run' | wc -l; }

# A second hook of the test's own: what the kernel's file says, read by cat.
cpu_file=$(cgroup_mount cpuacct)
cpu_file=${cpu_file:-$(cgroup_mount cpu)}
cat >"$work/witness" <<END
cgroup=\$(find ${cpu_file#* } -maxdepth 2 -type d -name "lxc.payload.\$LXC_NAME*" | head -n 1)
cat "\$cgroup/cpuacct.usage" "\$cgroup/cpu.stat" 2>/dev/null >"$work/witness.\$LXC_NAME"
END
witness() { sed -n 's/^usage_usec \(.*\)/\1000/p; /^[0-9]*$/p' "$work/witness.$1" | head -n 1; }
hooks=("lxc.include = $work/lxc.conf" "lxc.hook.stop = sh $work/witness")
burn='i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'

# --- start, reboot, stop, destroy, both versions ------------------------------------------------

for version in 0 1; do
	name=${prefix}v$version
	lxc_new "$name" "${hooks[@]}" "lxc.hook.version = $version" \
		"$(limits memory=64M cpu=0.5 pids=100)"
	lxc_load "$name" "$burn; echo done >/etc/done"
	lxc_start "$name"
	[ "$(count start "$name")" = 1 ] || fail "version $version: no start record"
	init=$(lxc_pid "$name")
	[ "$(record start "$name" .init)" = "$init" ] || fail "version $version: init is not $init"
	[ "$(record start "$name" .lxcpath)" = "$lxcpath" ] || fail "version $version: lxcpath"
	[ "$(record start "$name" .config)" = "$lxcpath/$name/config" ] || fail "version $version: config"
	record start "$name" .rootfs | grep -q "$lxcpath/$name/rootfs\$" || fail "version $version: rootfs"
	[ "$(record start "$name" .cgroup.pids)" = "/$(basename "$(instance_cgroup "$name" pids)")" ] ||
		fail "version $version: cgroup $(record start "$name" .cgroup)"
	[ "$(record start "$name" '.links | length')" = 0 ] || fail "version $version: links without network"
	wait_for 30 '[ -e "$lxcpath/$name/rootfs/etc/done" ]' || fail "the load does not end"
	lxc_stop "$name"
	wait_for 10 '[ "$(count stop "$name")" = 1 ]' || fail "version $version: no stop record"
	[ "$(record stop "$name" .target)" = stop ] || fail "version $version: target"
	[ "$(record stop "$name" .run)" = "$(record start "$name" .run)" ] || fail "version $version: another run"
	[ "$(record stop "$name" .network)" = namespace ] || fail "version $version: network"
	[ "$(record stop "$name" .metrics.network_receive_bytes)" = 0 ] || fail "version $version: traffic without network"
	wait_for 5 '[ -s "$work/witness.$name" ]' || fail "the test's own hook did not run"
	[ -n "$(witness "$name")" ] && [ "$(record stop "$name" .metrics.cpu_usage_seconds)" = "$(witness "$name")" ] ||
		fail "version $version: CPU $(record stop "$name" .metrics.cpu_usage_seconds), the kernel says $(witness "$name")"
	[ "$(record stop "$name" .metrics.cpu_usage_seconds)" -gt 10000000 ] || fail "it did nothing"
	[ "$(record stop "$name" .metrics.pids_limit)" = 100 ] || fail "version $version: pids_limit"
	[ "$(record stop "$name" .metrics.cpu_quota_cores)" = 500000000 ] || fail "version $version: quota"
	if [ -n "$(cgroup_mount memory)" ]; then
		[ "$(record stop "$name" .metrics.memory_limit_bytes)" = 67108864 ] || fail "version $version: memory"
		[ "$(record stop "$name" .metrics.memory_peak_bytes)" -gt 100000 ] || fail "version $version: no peak"
	fi
	note "version $version: CPU $(witness "$name") ns in the record and in the kernel's file"
done

# LXC hands such a name to the shell in pieces.
name="${prefix}my lxc box"
lxc_new "$name" "${hooks[@]}"
lxc_start "$name"
lxc_stop "$name"
wait_for 10 '[ "$(count start "$name") $(count stop "$name")" = "1 1" ]' ||
	fail "a name with blanks: $(count start "$name") starts, $(count stop "$name") stops"

# A reboot ends one run and begins another; the instance's own init asks for it.
name=${prefix}boot
lxc_new "$name" "${hooks[@]}"
lxc_load "$name" 'if [ ! -e /etc/once ]; then touch /etc/once; sleep 1; reboot -f; fi'
lxc_start "$name"
wait_for 20 '[ "$(count start "$name")" = 2 ]' || fail "$(count start "$name") starts, not two, with a reboot"
[ "$(count stop "$name")" = 1 ] && [ "$(record stop "$name" .target)" = reboot ] || fail "the reboot's record"
wait_for 5 '[ -n "$(lxc_pid "$name")" ]' || fail "it does not run after the reboot"
lxc_stop "$name"
wait_for 10 '[ "$(count stop "$name")" = 2 ]' || fail "no record of the last stop"

lxc-destroy -P "$lxcpath" -n "$name" >/dev/null 2>&1 || fail "lxc-destroy fails"
[ "$(record destroy "$name" .lxcpath)" = "$lxcpath" ] || fail "no destroy record"

# --- networks: a macvlan still stands at the stop, a veth is gone --------------------------------

netns=loadcell-test.$$
ip netns add "$netns" 2>/dev/null && at_exit "ip netns del $netns 2>/dev/null"
if ip link add "lch$$" type veth peer name eth0 netns "$netns" 2>/dev/null; then
	at_exit "ip link del lch$$ 2>/dev/null"
	ip link set "lch$$" up
	ip netns exec "$netns" ip link set eth0 up
	ip netns exec "$netns" ip addr add 10.213.0.1/24 dev eth0
	name=${prefix}mac
	lxc_new "$name" "${hooks[@]}"
	sed -i '/lxc.net.0.type/d' "$lxcpath/$name/config"
	printf '%s\n' "lxc.net.0.type = macvlan" "lxc.net.0.link = lch$$" "lxc.net.0.name = eth7" \
		"lxc.net.0.hwaddr = 02:00:00:aa:bb:07" "lxc.net.0.flags = up" \
		"lxc.net.0.ipv4.address = 10.213.0.7/24" "lxc.net.0.macvlan.mode = bridge" >>"$lxcpath/$name/config"
	lxc_load "$name" 'ping -c 5 -i 0.2 -s 1000 10.213.0.1 >/etc/ping; cat /proc/net/dev >/etc/netdev; touch /etc/done'
	lxc_start "$name"
	[ "$(record start "$name" '.links[0].mac')" = 02:00:00:aa:bb:07 ] || fail "MAC: $(record start "$name" .links)"
	[ "$(record start "$name" '.links[0].peer')" = null ] || fail "a macvlan has no peer"
	wait_for 20 '[ -e "$lxcpath/$name/rootfs/etc/done" ]' || fail "the pings do not end"
	lxc_stop "$name"
	wait_for 10 '[ "$(count stop "$name")" = 1 ]' || fail "no stop record of the macvlan"
	[ "$(record stop "$name" .network)" = namespace ] || fail "a macvlan's counters are taken from the sample"
	sent=$(sed -n 's/^ *eth7: *//p' "$lxcpath/$name/rootfs/etc/netdev" | awk '{ print $9 }')
	got=$(record stop "$name" .metrics.network_transmit_bytes)
	[ "$sent" -gt 5000 ] && [ "$got" -ge "$sent" ] && [ "$got" -le $((sent + 2000)) ] ||
		fail "sent $got, /proc/net/dev said $sent before the stop"
	note "macvlan: $sent bytes sent by the instance's own /proc/net/dev, $got in the record"

	name=${prefix}veth
	lxc_new "$name" "${hooks[@]}"
	sed -i '/lxc.net.0.type/d' "$lxcpath/$name/config"
	printf '%s\n' "lxc.net.0.type = veth" "lxc.net.0.veth.pair = lcv$$" "lxc.net.0.flags = up" \
		>>"$lxcpath/$name/config"
	lxc_start "$name"
	[ "$(record start "$name" '.links[0].peer')" = "$(cat "/sys/class/net/lcv$$/ifindex")" ] ||
		fail "the veth's peer: $(record start "$name" .links)"
	lxc_stop "$name"
	wait_for 10 '[ "$(count stop "$name")" = 1 ]' || fail "no stop record of the veth"
	[ "$(record stop "$name" .network)" = last-sample ] || fail "a veth that is gone is read"
	[ "$(record stop "$name" .metrics.network_receive_bytes)" = null ] || fail "traffic of no device"
else
	note "no network devices can be made here"
fi

# --- loadcell hooks -----------------------------------------------------------------------------

directory=$work/common.conf.d
hooks_command() { loadcell hooks --directory "$directory" --file "$work/lxc.conf" "$@"; }
hooks_command install 2>/dev/null && fail "installed into no directory"
mkdir "$directory"
[ "$(hooks_command status --json | jq .installed)" = false ] || fail "installed before it is"
hooks_command install >/dev/null && hooks_command install >/dev/null || fail "install twice"
[ "$(hooks_command status --json | jq .installed)" = true ] || fail "not installed"
lxc_new "${prefix}none"
lxc_new "${prefix}dir" "lxc.include = $directory"
configured() { hooks_command status --json | jq --arg n "$1" '.containers[] | select(.name == $n) | .configured'; }
[ "$(configured "${prefix}v0")" = true ] || fail "${prefix}v0 has the hooks"
[ "$(configured "${prefix}none")" = false ] || fail "${prefix}none has none"
[ "$(configured "${prefix}dir")" = true ] || fail "${prefix}dir has them by the directory"
hooks_command remove >/dev/null && [ ! -e "$directory/loadcell.conf" ] || fail "remove"
hooks_command remove >/dev/null || fail "remove twice"
[ "$(configured "${prefix}dir")" = false ] || fail "${prefix}dir has them no longer"
echo x >"$directory/loadcell.conf"
hooks_command install 2>/dev/null && fail "replaced another's file"
hooks_command remove 2>/dev/null && fail "removed another's file"

# --- time: never more than LXC can bear ----------------------------------------------------------

# run200 TITLE: start-host for a living instance, as often as the issue asks, with "exec" in front
# as LXC 5 has it.
name=${prefix}v0
lxc_start "$name"
line=$(sed -n 's/^lxc.hook.start-host = //p' "$work/lxc.conf")
export LXC_NAME=$name LXC_HOOK_TYPE=start-host LXC_PID=$(lxc_pid "$name") LXC_CONFIG_FILE=$lxcpath/$name/config
run200()
{
	local times
	times=$("$B/live/hook-time" run 200 "exec $line '$name' 'lxc' 'start-host'") || fail "$1: the hook fails"
	note "$1: median ${times% *} ms, worst ${times#* } ms of 200"
	awk "BEGIN { exit !(${times#* } < 2000) }" || fail "$1: it hangs"
}
rm -f "$spool"/*
run200 "collector absent"
[ "$(count start "$name")" = 1 ] || fail "no record with the collector absent"
"$B/live/hook-time" full "$run_dir/hook.sock" >"$work/full" &
listener=$!
at_exit "kill -KILL $listener 2>/dev/null"
wait_for 10 'grep -q full "$work/full" && grep -q "^State:.T" /proc/$listener/status' || fail "no stopped listener"
rm -f "$spool"/*
run200 "collector stopped, its socket full"
[ "$(count start "$name")" = 1 ] || fail "no record with the collector stopped"
kill -KILL $listener
rm -rf "$spool"
run200 "spool missing"
[ "$(count start "$name")" = 1 ] || fail "no record without a directory"
rm -rf "$spool"
echo >"$spool"
run200 "spool unwritable"
rm "$spool"
mkdir "$spool"
(cd "$spool" && seq -f 'stop.%.0f' 20000 | xargs touch)
run200 "spool full"
[ "$(ls "$spool" | wc -l)" = 20000 ] || fail "the full spool has grown"
rm -rf "$spool"
mv "$conf" "$conf.away"
run200 "configuration missing"
mkfifo "$conf"
run200 "configuration hangs"
rm "$conf"
mv "$conf.away" "$conf"

# --- a storm loses nothing ----------------------------------------------------------------------

# 100 inits at once: processes of the test in cgroups of their own.
unset LXC_PID
mkdir "$work/storm"
controller=memory
[ -n "$(cgroup_mount memory)" ] || controller=pids
for i in $(seq 100); do
	cgroup_new "loadcell-test.$$-$i" "$controller"
	sleep 600 &
	echo $! >"$work/storm/$i"
	echo $! >"$cgroup/cgroup.procs"
done
begin=$(date +%s%N)
for i in $(seq 100); do
	LXC_NAME=storm$i LXC_PID=$(cat "$work/storm/$i") sh -c "exec $line 'storm$i' 'lxc' 'start-host'" &
	echo $! >>"$work/storm/pids"
done
wait $(cat "$work/storm/pids")
note "100 at once took $((($(date +%s%N) - begin) / 1000000)) ms"
kill $(cat "$work"/storm/[0-9]*) 2>/dev/null
found=$(cat "$spool"/start.* | jq -r .name | sort -u | grep -c ^storm)
[ "$found" = 100 ] || fail "only $found records of a storm of 100"

# --- nothing is left of loadcell: instances go on as before -------------------------------------

# By LXC's directory, as on a host: what `loadcell hooks install` put there needs nothing of loadcell.
name=${prefix}boot2
rm "$directory/loadcell.conf"
hooks_command install >/dev/null || fail "install"
lxc_new "$name" "lxc.include = $directory" "lxc.hook.stop = sh $work/witness"
lxc_load "$name" 'while [ ! -e /etc/go ]; do sleep 0.2; done; rm /etc/go; reboot -f'
lxc_start "$name"
[ "$(count start "$name")" = 1 ] || fail "the directory's hooks do not run"
first=$(lxc_pid "$name")
rm "$work/loadcell-hook" "$work/lxc.conf"
mv "$conf" "$conf.away"
touch "$lxcpath/$name/rootfs/etc/go"
wait_for 20 'second=$(lxc_pid "$name"); [ -n "$second" ] && [ "$second" != "$first" ]' || fail "no reboot without the program"
lxc-stop -P "$lxcpath" -n "$name" -k || fail "no stop without the program"
wait_for 5 '[ -s "$work/witness.$name" ]' || fail "the other hook did not run without the program"
wait_for 10 '! lxc-ls -P "$lxcpath" --active -1 | grep -qx "$name"' || fail "it does not stop"
lxc_start "$name"
printf '#!/bin/sh\nkill -SEGV $$\n' >"$work/loadcell-hook" && chmod 755 "$work/loadcell-hook"
lxc_stop "$name"
lxc_start "$name"
lxc_stop "$name"
mv "$conf.away" "$conf"
sed -i /lxc.include/d "$lxcpath/${prefix}v0/config" "$lxcpath/${prefix}v1/config" # for lxc-stop
lxc_stop "${prefix}v0"
echo "hooks: passed"
