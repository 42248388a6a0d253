#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Discovery with real LXC instances: names, lxcpaths, cgroup layouts, killed and stopped monitors,
# forged sockets. tests/live/discover.c runs it alone and prints its events.
# timeout: 300
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v setpriv >/dev/null || skip "setpriv is not installed: run make deps"

source=$(cd "$(dirname "$0")/../.." && pwd)
events=$work/events driver=
mkdir -p "$work/bin" "$data_dir"
cp "$B/bin/loadcelld-lxc" "$work/bin" || fail "loadcelld-lxc is not built"
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -I"$source" -o "$work/bin/discover" "$source/tests/live/discover.c" \
	"$B/parts.a" "$B/lib.a" -lcgroup -ljansson -linih -pthread || fail "discover.c does not build"

driver_start()
{
	conf_write "reconcile = 2s" "lxcpath = $lxcpath" "lxcpath = $work/second"
	"$work/bin/discover" "$conf" >>"$events" 2>>"$work/discover.log" &
	driver=$!
}
driver_stop()
{
	[ -n "$driver" ] || return 0
	kill -TERM "$driver"
	wait "$driver"
	driver=
}
at_exit driver_stop

# events QUERY: what the filter selects, one line each.
events() { jq -r "$1" "$events"; }
# appeared NAME [LXCPATH]: the last event of that name.
appeared()
{
	jq -c --arg n "$1" --arg p "${2:-$lxcpath}" \
		'select(.event == "appeared" and .name == $n and .lxcpath == $p)' "$events" | tail -n 1
}
count() { jq -c --arg n "$1" --arg e "$2" 'select(.event == $e and .name == $n)' "$events" | wc -l; }
field() { jq -r "$1" <<<"$2"; }
ended() { jq -c --arg r "$1" 'select(.event == "disappeared" and .run == $r)' "$events" | grep -q .; }

# found NAME [LXCPATH]: waits for the event and checks that it came within 1 s of init's start.
found()
{
	wait_for 5 "[ -n \"\$(appeared '$1' '${2:-$lxcpath}')\" ]" || fail "$1 was not found"
	local late
	late=$(field .late_ms "$(appeared "$1" "${2:-$lxcpath}")")
	[ "$late" -le $soon ] || fail "$1 was found $late ms after its start"
	[ "$late" -le "${slowest:-0}" ] || slowest=$late
}

status() { kill -USR1 $driver && sleep 0.3 && jq -c 'select(.event == "status")' "$events" | tail -n 1; }

# Which controller's hierarchy is looked at; any will do where both agree.
path_of() { field '.cgroup | .memory // .pids // .cpu // .unified' "$1"; }

mapfile -t mounts < <(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts)
soon=1000
[ -z "${VM_RUN:-}" ] || soon=5000 # emulated

driver_start

# --- names ------------------------------------------------------------------------------------
long=${prefix}$(printf 'n%.0s' {1..200})
long=${long:0:200}
for name in "${prefix}job queue" "${prefix}a.b.c" "${prefix}grüße-日本" "$long"; do
	# Without pdeath a killed monitor takes init with it.
	lxc_new "$name" "lxc.group = web" "lxc.group = blue" "lxc.monitor.signal.pdeath = SIGWINCH"
	sed -i 's/^lxc.uts.name = .*/lxc.uts.name = host.example/' "$lxcpath/$name/config"
	lxc_start "$name"
	found "$name"
	event=$(appeared "$name")
	[ "$(field .handle "$event")" = "$name" ] || fail "$name: handle $(field .handle "$event")"
	[ "$(field .init "$event")" = "$(lxc_pid "$name")" ] || fail "$name: another init"
	[ "$(path_of "$event")" = "/lxc.payload.$name" ] || fail "$name: cgroup $(path_of "$event")"
	wait_for 10 "[ \$(count '$name' described) -ge 1 ]" || fail "$name: no description"
	event=$(jq -c --arg n "$name" 'select(.event == "described" and .name == $n)' "$events")
	[ "$(field .hostname "$event")" = host.example ] || fail "$name: hostname: $event"
	[ "$(field .groups "$event")" = "web
blue" ] || fail "$name: groups: $event"
	[ "$(field .rootfs "$event")" = "$lxcpath/$name/rootfs" ] || fail "$name: rootfs: $event"
done
# That one's command socket is hashed: nothing but the hash ties it to its lxcpath.
grep -q "@lxc/[0-9a-f]\{16\}/command" /proc/net/unix || fail "the long name's socket is not hashed"

# --- nested cgroups -----------------------------------------------------------------------------
for mount in "${mounts[@]}"; do
	directory="$mount/lxc.payload.${prefix}a.b.c"
	[ -d "$directory" ] && mkdir -p "$directory/inner.slice/lxc.payload.inner" \
		"$directory/lxc.payload.fake" "$directory/lxc/103/ns"
done

# --- one name, two lxcpaths ---------------------------------------------------------------------
(lxcpath=$work/second lxc_new "${prefix}a.b.c")
at_exit "lxc-stop -P $work/second -n ${prefix}a.b.c -k 2>/dev/null"
lxcpath=$work/second lxc_start "${prefix}a.b.c"
found "${prefix}a.b.c" "$work/second"
event=$(appeared "${prefix}a.b.c" "$work/second")
[ "$(field .handle "$event")" = "${prefix}a.b.c~$(field .index "$event")" ] ||
	fail "the second ${prefix}a.b.c has the handle $(field .handle "$event")"
[ "$(field .index "$event")" != "$(field .index "$(appeared "${prefix}a.b.c")")" ] || fail "one index"

# --- layouts ------------------------------------------------------------------------------------
for mount in "${mounts[@]}"; do
	cgroups+=("$mount/loadcell-test.$$" "$mount/lxc/$$" "$mount/lxc.monitor/$$")
done
lxc_new "${prefix}custom" "lxc.cgroup.dir.container = loadcell-test.$$/deep/own" \
	"lxc.cgroup.dir.monitor = loadcell-test.$$/monitor" \
	"lxc.cgroup.dir.monitor.pivot = loadcell-test.$$/pivot"
lxc_start "${prefix}custom"
wait_for 10 "[ -n \"\$(appeared ${prefix}custom)\" ]" || fail "a custom lxc.cgroup.dir was not found"
event=$(appeared "${prefix}custom")
[ "$(path_of "$event")" = "/loadcell-test.$$/deep/own" ] || fail "custom cgroup: $event"
[ "$(field .init "$event")" = "$(lxc_pid "${prefix}custom")" ] || fail "custom: another init"

lxc_new "$$" "lxc.cgroup.dir.container = lxc/$$" "lxc.cgroup.dir.container.inner = ns" \
	"lxc.cgroup.dir.monitor = lxc.monitor/$$" "lxc.cgroup.dir.monitor.pivot = lxc.monitor/$$"
lxc_start "$$"
found "$$"
event=$(appeared "$$")
[ "$(path_of "$event")" = "/lxc/$$/ns" ] || fail "Proxmox's layout: cgroup: $event"
[ "$(field '.limit | .memory // .pids // .cpu // .unified' "$event")" = "/lxc/$$" ] ||
	fail "Proxmox's layout: limits: $event"

# No directory below lxcpath, a program instead of init, the host's network.
lxc-execute -P "$lxcpath" -n "${prefix}exec" -f /dev/null -d -s lxc.apparmor.profile=unconfined \
	-s lxc.net.0.type=none -s lxc.console.path=none -s lxc.autodev=0 \
	-- sleep 1000 || fail "lxc-execute does not start"
instances+=("${prefix}exec")
found "${prefix}exec"
[ "$(field .shared "$(appeared "${prefix}exec")")" = true ] || fail "lxc-execute shares the network"
[ "$(field .shared "$(appeared "${prefix}a.b.c")")" = false ] || fail "an own network is not shared"

# --- a plain user's, in cgroups that are his ------------------------------------------------------
home=$work/home
lxcpath=$home/lxc lxc_new "${prefix}user" "lxc.idmap = u 0 65534 1" "lxc.idmap = g 0 65534 1"
sed -i -e '/uts.name/d' -e 's/proc:mixed sys:ro/proc:mixed/' "$home/lxc/${prefix}user/config"
chown -R 65534:65534 "$home"
delegated=()
for mount in "${mounts[@]}"; do
	directory=$mount/loadcell-test.$$.user
	mkdir -p "$directory" && cgroups+=("$directory") delegated+=("$directory")
	if [ -e "$mount/cpuset.cpus" ] && [ -e "$directory/cgroup.clone_children" ]; then
		cat "$mount/cpuset.cpus" >"$directory/cpuset.cpus"
		cat "$mount/cpuset.mems" >"$directory/cpuset.mems"
		echo 1 >"$directory/cgroup.clone_children"
	fi
	for file in "" tasks $(cat /sys/kernel/cgroup/delegate); do
		[ ! -e "$directory/$file" ] || chown 65534 "$directory/$file"
	done
done
at_exit "setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=$home \
	lxc-stop -P $home/lxc -n ${prefix}user -k 2>/dev/null"
(
	for directory in "${delegated[@]}"; do
		sh -c 'echo $PPID' >"$directory/cgroup.procs"
	done
	HOME=$home exec setpriv --reuid 65534 --regid 65534 --clear-groups \
		lxc-start -P "$home/lxc" -n "${prefix}user" -d -l INFO -o "$home/log"
) || { grep ERROR "$home/log"; fail "a plain user's instance does not start"; }
found "${prefix}user" "$home/lxc"
event=$(appeared "${prefix}user" "$home/lxc")
[ "$(path_of "$event")" = "/loadcell-test.$$.user/lxc.payload.${prefix}user" ] || fail "a user's: $event"
wait_for 10 "[ \$(count ${prefix}user described) -ge 1 ]" || fail "a user's: no description"

# --- restarts -----------------------------------------------------------------------------------
run=$(field .run "$(appeared "${prefix}a.b.c")")
lxc_run "${prefix}a.b.c" reboot -f
wait_for 5 "ended $run" || fail "the end of a run before a reboot was not seen"
wait_for 5 "[ \"\$(field .run \"\$(appeared ${prefix}a.b.c)\")\" != $run ]" || fail "no run after a reboot"
[ "$(field .starts "$(appeared "${prefix}a.b.c")")" = 2 ] || fail "starts after a reboot"

lxc_new "${prefix}quick"
for n in 1 2 3 4 5; do
	lxc_start "${prefix}quick"
	wait_for 5 "[ \$(count ${prefix}quick appeared) -eq $n ]" || fail "start $n was not seen"
	run=$(field .run "$(appeared "${prefix}quick")")
	lxc_stop "${prefix}quick"
	wait_for 5 "ended $run" || fail "stop $n was not seen"
done
[ "$(field .starts "$(appeared "${prefix}quick")")" = 5 ] || fail "five starts were counted otherwise"

# --- a killed monitor ---------------------------------------------------------------------------
event=$(appeared "${prefix}job queue")
init=$(field .init "$event") run=$(field .run "$event") index=$(field .index "$event")
kill -KILL "$(awk '/^PPid/ { print $2 }' "/proc/$init/status")"
sleep 3
! ended "$run" || fail "an instance ended with its monitor"
driver_stop
: >"$events"
driver_start
wait_for 5 "[ -n \"\$(appeared '${prefix}job queue')\" ]" || fail "an instance without monitor is not found"
event=$(appeared "${prefix}job queue")
[ "$(field .run "$event") $(field .index "$event")" = "$run $index" ] || fail "another run without monitor"
kill -KILL "$init"
wait_for 5 "ended $run" || fail "the end of an instance without monitor was not seen"

# --- a stopped monitor and forged sockets delay nobody ------------------------------------------
stopped=$(awk '/^PPid/ { print $2 }' "/proc/$(lxc_pid "${prefix}a.b.c")/status")
at_exit "kill -CONT $stopped 2>/dev/null"
kill -STOP "$stopped"
: >"$work/forge.log"
setpriv --reuid 65534 --regid 65534 --clear-groups "$work/bin/discover" forge \
	"$lxcpath/evil/command" "/var/lib/lxc/evil/command" "$home/mine/command" \
	"lxc/0123456789abcdef/command" "$lxcpath/e
0: 00000002 00000000 00010000 0001 01 1 @/v/x/command" \
	>"$work/forge.log" &
forger=$!
at_exit "kill $forger 2>/dev/null"
wait_for 20 "grep -q forged $work/forge.log" || fail "the sockets were not forged"
driver_stop
: >"$events"
driver_start # asks the stopped one for its description, and finds the forged ones
sleep 2
for n in 1 2 3; do
	lxc_new "${prefix}late$n"
	lxc_start "${prefix}late$n"
	found "${prefix}late$n"
done
wait_for 10 '[ "$(field .untrusted "$(status)")" -ge 3 ]' || fail "forged sockets: $(status)"
wait_for 10 '[ "$(field .lxc_timeouts "$(status)")" -ge 1 ]' || fail "the stopped monitor: $(status)"
[ -n "$(appeared "${prefix}a.b.c")" ] || fail "an instance with a stopped monitor is not found"
[ -z "$(appeared evil)$(appeared evil /var/lib/lxc)$(appeared mine "$home")" ] || fail "a forged instance"
[ "$(field .stalled_ms "$(status)")" -lt 5000 ] || fail "discovery was held up: $(status)"
[ "$(field .dropped "$(status)")" = 0 ] || fail "$(status)"

# --- nothing else was ever an instance ----------------------------------------------------------
others=$(jq -r --arg p "$prefix" --arg own "$$" --arg work "$work" 'select(.event == "appeared" and
	(.lxcpath | startswith($work)) and (.name | startswith($p) | not) and .name != $own) | .name' "$events")
[ -z "$others" ] || fail "no instances: $others"
[ "$(events '.name // empty' | grep -c '^\(inner\|fake\|103\)$')" = 0 ] || fail "a nested cgroup is no instance"
echo "note: found at most ${slowest} ms after init's start"
