#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing that an instance used is lost or told twice: the sum over a name's ledger and what runs now
# equals what the kernel charged to the cgroup around all its lives. Lives of all kinds: sampled
# often and never, rebooted, with the collector killed in the middle and away, with its files left.
# timeout: 180
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
run_in_memory
mount=$(cgroup_mount cpuacct)
[ -n "$mount" ] || mount=$(cgroup_mount cpu)
[ -n "$mount" ] || skip "cannot: no CPU controller"
hooks=$work/lxc.conf
sed "s,/usr/libexec/loadcell/loadcell-hook,$B/bin/loadcell-hook -c $conf," \
	"$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$hooks"
parent=loadcell-test.$$ name=${prefix}sum

# The cgroup around them stays between two lives: LXC removes only what is empty.
for directory in /sys/fs/cgroup /sys/fs/cgroup/*; do
	cgroups+=("$directory/$parent" "$directory/$parent.monitor" "$directory/$parent.pivot")
done
mkdir -p "${mount#* }/$parent/stays" || fail "no cgroup"

# charged: nanoseconds, by the kernel.
charged()
{
	case $mount in
	1*) cat "${mount#* }/$parent/cpuacct.usage" ;;
	2*) sed -n 's/^usage_usec \(.*\)/\1000/p' "${mount#* }/$parent/cpu.stat" ;;
	esac
}
lives() { loadcell runs --json "$name" 2>/dev/null | jq -s 'map(select(.end != null)) | length'; }
sum() { loadcell runs --json "$name" | jq -s 'map(.metrics.cpu_usage_seconds) | add'; }

# Works, says so, and asks for a reboot once where the test wants it.
lxc_new "$name" "lxc.include = $hooks" "lxc.cgroup.dir.container = $parent/$name" \
	"lxc.cgroup.dir.monitor = $parent.monitor" "lxc.cgroup.dir.monitor.pivot = $parent.pivot"
lxc_load "$name" 'i=0; while [ $i -lt 150000 ]; do i=$((i + 1)); done
dd if=/dev/zero of=/dev/null bs=64k count=20000 2>/dev/null
if [ -e /etc/again ]; then rm /etc/again; reboot -f; fi
echo done >/etc/done'
root=$lxcpath/$name/rootfs

# live [COMMAND...]: one start, until the work is done; the command runs meanwhile.
live()
{
	rm -f "$root/etc/done"
	lxc_start "$name"
	"${@:-true}"
	wait_for 60 '[ -e "$root/etc/done" ]' || fail "the work does not end"
}
killed()
{
	sleep 0.3
	collector_stop KILL
	collector_start
}

collector_start
live
lxc_stop "$name"
touch "$root/etc/again" # two lives
live
lxc_stop "$name"
live killed
lxc_stop "$name"
collector_stop
live # nobody there
lxc_stop "$name"
live collector_start
wait_for 20 '[ "$(lives)" = 5 ]' || fail "$(lives) lives of 5 in the ledger"

# The sixth runs, and does nothing: the sample comes to what the kernel says.
compare() { awk -v told="$1" -v charged="$2" 'BEGIN {
	off = told / (charged / 1e9) - 1
	printf "%.3f s told, %.3f s charged, %+.2f %%\n", told, charged / 1e9, off * 100
	exit !(charged > 1e9 && off < 0.01 && off > -0.01) }'; }
wait_for 10 'verdict=$(compare "$(sum)" "$(charged)")' || fail "$verdict"
[ "$(loadcell runs --json "$name" | jq -s length)" = 6 ] || fail "not 5 lives and a running one"
lxc_stop "$name"
wait_for 10 '[ "$(lives)" = 6 ]' || fail "$(lives) lives of 6 in the ledger"
after=$(compare "$(sum)" "$(charged)") || fail "when all have ended: $after"
echo "note: with one running $verdict; ended $after"
