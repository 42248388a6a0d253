#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Instances that are not LXC's, found by a configured pattern: from a process in a cgroup to its end.
# And what is told of a real LXC instance: its facts while it runs, then its archive.
# timeout: 300
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
for p in ip gzip rrdtool; do command -v $p >/dev/null || skip "$p is not installed: run make deps"; done

slack=1 # seconds; an emulated machine is slow
[ -z "${VM_RUN:-}" ] || slack=10

# --- another kind -------------------------------------------------------------------------------
top=loadcell-test.$$ unit='web\x2d1.service' pids=()
controllers=()
for controller in memory cpu cpuacct pids; do
	[ -z "$(cgroup_mount $controller)" ] || controllers+=($controller)
done
[ ${#controllers[@]} -gt 0 ] || skip "cannot: no controller"
at_exit 'for pid in "${pids[@]}"; do kill -KILL $pid 2>/dev/null; done'

# app_start COMMANDS: a process in the unit's cgroup of each controller; its pid is in $pid.
app_start()
{
	local controller mount
	for controller in "${controllers[@]}"; do
		mount=$(cgroup_mount $controller)
		mkdir -p "${mount#* }/$top/apps" "${mount#* }/$top/apps/$unit"
		[[ $mount != 2* ]] || for d in "" "$top" "$top/apps"; do
			echo "+$controller" >"${mount#* }/$d/cgroup.subtree_control" 2>/dev/null
		done
	done
	sh -c 'for d; do echo $$ >"$d/cgroup.procs" || exit 1; done; exec sh -c "$0"' "$1" \
		$(for controller in "${controllers[@]}"; do
			mount=$(cgroup_mount $controller); echo "${mount#* }/$top/apps/$unit"
		done) &
	pid=$!
	disown $pid # its end is no news
	pids+=($pid)
}
# app_remove: the cgroup goes, as soon as its last process has gone.
app_remove()
{
	local controller mount
	for controller in "${controllers[@]}"; do
		mount=$(cgroup_mount $controller)
		wait_for 5 "rmdir '${mount#* }/$top/apps/$unit' 2>/dev/null || [ ! -d '${mount#* }/$top/apps/$unit' ]" ||
			fail "cannot remove the cgroup"
	done
}
for controller in "${controllers[@]}"; do cgroup_new "$top" $controller; done
run_of() { json '.instances[] | select(.handle == $i) | .run' --arg i "$1"; }

bridge=lct$$
ip link add "$bridge" type bridge || skip "cannot: no bridge"
at_exit 'ip link del "$bridge" 2>/dev/null'
ip link set "$bridge" up

collector_start "pattern = app /$top/apps/{name}.service" "flush = 1s" "keep = 0s"
app_start 'x=$(head -c 8000000 /dev/zero | tr "\0" x); while :; do :; done'
first=$pid
wait_for $((3 + slack)) '[ -n "$(run_of web-1)" ]' || fail "the cgroup was not found"
run=$(run_of web-1)
[ "$(json '.instances[] | select(.handle == "web-1") | .kind + .lxcpath')" = app ] || fail "kind"
json '.instances[] | select(.handle == "web-1") | .cgroup[]' | grep -vxF "/$top/apps/$unit" |
	grep . && fail "cgroups: $(json '.instances[] | select(.handle == "web-1") | .cgroup')"
if [ -n "$(cgroup_mount memory)" ]; then
	wait_for $((5 + slack)) '[ "$(metric web-1 memory_anon_bytes)" -gt 8000000 ]' ||
		fail "its memory: $(metric web-1 memory_anon_bytes)"
fi
[ "$(metric web-1 pids_current)" -ge 1 ] || fail "its processes"
# The kernel's own figure is between two samples' ones.
before=$(metric web-1 cpu_usage_seconds)
wait_for $((5 + slack)) '[ "$(metric web-1 cpu_usage_seconds)" != "$before" ]' || fail "CPU time stands still"
case $(cgroup_mount cpuacct) in
1*) kernel=$(awk '{ print $1 / 1e9 }' "$(cgroup_mount cpuacct | cut -d' ' -f2)/$top/apps/$unit/cpuacct.usage") ;;
*) kernel=$(awk '$1 == "usage_usec" { print $2 / 1e6 }' "$(cgroup_mount cpu | cut -d' ' -f2)/$top/apps/$unit/cpu.stat") ;;
esac
sleep 2.2
after=$(metric web-1 cpu_usage_seconds)
awk -v b="$before" -v k="$kernel" -v a="$after" 'BEGIN { exit !(b <= k && k <= a) }' ||
	fail "CPU seconds: $before, kernel $kernel, $after"

# Another process stands for the same run when the first one ends.
app_start 'exec sleep 1000'
sleep 0.5
kill -KILL $first
sleep $((2 + slack))
[ "$(run_of web-1)" = "$run" ] || fail "the run has changed with its oldest process"
kill -KILL $pid
sleep $((1 + slack))
[ "$(run_of web-1)" = "$run" ] || fail "an empty cgroup is no end"
app_remove
wait_for $((3 + slack)) '[ -z "$(run_of web-1)" ]' || fail "the end was not seen"
loadcell list --all --json | jq -e '.instances[] | select(.handle == "web-1") |
	.state == "ended" and .kind == "app" and .end > now - 60' >/dev/null || fail "list --all: $(loadcell list --all)"
app_start 'exec sleep 1000'
wait_for $((3 + slack)) '[ -n "$(run_of web-1)" ]' || fail "a second run was not found"
[ "$(run_of web-1)" != "$run" ] && [ "$(metric web-1 starts)" = 2 ] || fail "no second run"

# A configuration without the pattern knows no such instance.
conf_write "flush = 1s" "keep = 0s"
kill -HUP $collector
wait_for $((3 + slack)) '[ -z "$(run_of web-1)" ]' || fail "still there without its pattern"

# --- facts of an LXC instance -------------------------------------------------------------------
name=${prefix}facts mac=00:16:3e:5c:a1:07
lxc_new "$name" "lxc.group = web" "lxc.start.auto = 1" \
	"lxc.net.0.type = veth" "lxc.net.0.link = $bridge" "lxc.net.0.flags = up" \
	"lxc.net.0.hwaddr = $mac" "lxc.net.0.ipv4.address = 10.213.71.2/24"
sed -i '/lxc.net.0.type = empty/d' "$lxcpath/$name/config"
sed -i '1i # Template used to create this container: /usr/share/lxc/templates/lxc-download\
# Parameters passed to the template: --dist debian -r bookworm --password=sesame -a amd64' "$lxcpath/$name/config"
chmod 644 "$lxcpath/$name/config"
lxc_load "$name" 'sleep 8; ip addr add 10.213.71.3/24 dev eth0'
lxc_start "$name"
fact() { json '.instances[] | select(.handle == $i) | .facts[$f]' --arg i "$name" --arg f "$1"; }
wait_for $((5 + slack)) '[ "$(fact network)" = veth ]' || fail "no facts: $(loadcell show "$name" | head -20)"
expect()
{
	[ "$(fact "$1")" = "$2" ] || fail "$1 is $(fact "$1"), not $2"
}
expect autostart yes
expect unprivileged no
expect link "$bridge"
expect mac "$mac"
expect ip_configured 10.213.71.2/24
expect template download
expect image "debian bookworm amd64"
expect rootfs "$lxcpath/$name/rootfs"
fact ip | tr ',' '\n' | grep -qx 10.213.71.2 || fail "ip is $(fact ip)"
! grep -q sesame "$run_dir/snapshot" || fail "a password is in the snapshot"
for pattern in 10.213.71.2 "$mac" "$name" web; do
	[ "$(loadcell list --json "$pattern" | jq -r '.instances[].handle')" = "$name" ] ||
		fail "list does not find $pattern"
done
[ "$(loadcell top -b -n 1 -f 10.213.71 | grep -c "^$name")" = 1 ] || fail "top does not find 10.213.71"
loadcell show "$name" | grep -qx "  mac          $mac" || fail "show: $(loadcell show "$name" | head -30)"
! fact ip | grep -q 10.213.71.3 || fail "the second address is there already"
# An address that came later is seen by a second look, after 20 s.
wait_for $((25 + slack)) "fact ip | tr ',' '\n' | grep -qx 10.213.71.3" || fail "a later address: $(fact ip)"

# --- the archive --------------------------------------------------------------------------------
wait_for $((5 + slack)) 'ls "$data_dir"/rrd/"$name".*.rrd >/dev/null 2>&1' || fail "no RRD"
lxc_stop "$name"
wait_for $((60 + slack)) 'ls "$data_dir"/archive/"$name".*.rrd.gz >/dev/null 2>&1' || fail "not archived"
! ls "$data_dir"/rrd/"$name".*.rrd 2>/dev/null || fail "the RRD is still there"
gzip -dc "$data_dir"/archive/"$name".*.rrd.gz >"$work/before.rrd" || fail "no gzip"
last=$(rrdtool last "$work/before.rrd")
rows() { rrdtool fetch "$1" AVERAGE -r 1 -s $((last - 10)) -e $((last - 2)); }
lxc_start "$name"
wait_for $((10 + slack)) 'ls "$data_dir"/rrd/"$name".*.rrd >/dev/null 2>&1' || fail "not unpacked"
! ls "$data_dir"/archive/"$name".*.rrd.gz 2>/dev/null || fail "both are there"
[ "$(rows "$work/before.rrd")" = "$(rows "$data_dir"/rrd/"$name".*.rrd)" ] || fail "another history"
rows "$work/before.rrd" | grep -q '^[0-9]*: .*[0-9]e' || { rows "$work/before.rrd" | cut -c1-200; fail "no history at all"; }
! ls "$data_dir"/rrd "$data_dir"/archive | grep -E "damaged|^$name\..*\.new" || fail "damaged files"
echo "found by pattern; facts; archived and back"
