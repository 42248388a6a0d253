#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The pages in a real browser, of three real instances. Screenshots stay in BUILD/web/.
. "$(dirname "$0")/../lib.sh"
need_root
for p in chromium node curl; do
	command -v $p >/dev/null || skip "$p is not installed: run make check-web"
done
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
modules=$B/web/node_modules
mkdir -p "$B/web"

export NAME_BUSY=${prefix}busy NAME_IDLE=${prefix}idle NAME_OOM=${prefix}oom OOM=$work/oom
lxc_new "$NAME_BUSY" "lxc.include = $B/lxc.conf" "$(limits cpu=0.5 memory=64M pids=100)" "lxc.group = front"
lxc_load "$NAME_BUSY" 'memory=$(dd if=/dev/zero bs=1M count=12 2>/dev/null | tr "\0" x)
	while :; do
		dd if=/dev/zero of=/tmp/file bs=64k count=64 2>/dev/null
		i=0
		while [ $i -lt 200000 ]; do i=$((i + 1)); done
	done'
lxc_new "$NAME_IDLE" "lxc.include = $B/lxc.conf" "$(limits pids=50)"
lxc_new "$NAME_OOM" "lxc.include = $B/lxc.conf" "$(limits memory=32M)"
lxc_load "$NAME_OOM" 'memory=$(dd if=/dev/zero bs=1M count=5 2>/dev/null | tr "\0" x); sleep 1000000; echo $memory'
for name in "$NAME_BUSY" "$NAME_IDLE" "$NAME_OOM"; do
	lxc_start "$name"
done
collector_start

cat >"$OOM" <<END
echo \$\$ >"$(instance_cgroup "$NAME_OOM" memory)/cgroup.procs"
exec 2>/dev/null
busybox dd if=/dev/zero of=/dev/null bs=64M count=1
exit 0
END

made_up 1000
web_start "$made"
many=$url
web_start "$conf"
wait_for 20 '[ -s "$data_dir/events.jsonl" ]'
timeout 200 node "$here/pages.mjs" "$url" "$many" "$modules" "$B/web" || fail "see above; $(cat "$work/web.log")"
