# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For live tests: real LXC instances and a collector of the test's own, all removed at the end,
# however it comes. A test sources this first:
#
#	. "$(dirname "$0")/../lib.sh"
#	need_root
#	lxc_new "${prefix}web" "$(limits memory=64M cpu=0.5 pids=100)"
#	lxc_load "${prefix}web" 'while :; do :; done'
#	lxc_start "${prefix}web"
#	collector_start
#	wait_for 5 '[ "$(metric "${prefix}web" pids_limit)" = 100 ]' || fail "no pids limit"
#
# Variables: prefix (of instance names), work (scratch directory), lxcpath, B (the build),
# collector (its pid), conf, run_dir, data_dir. Exit status: 0 passed, 77 skipped, else failed.

set -u
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
: "${LOADCELL_BUILD:=build}"
[ -d "$LOADCELL_BUILD" ] || { echo "$LOADCELL_BUILD is not a build directory: run make first"; exit 1; }
B=$(cd "$LOADCELL_BUILD" && pwd)
prefix=lc-$$-
if [ -n "${LOADCELL_WORK:-}" ]; then # tests/demo: stays, but for the instances
	mkdir -p "$LOADCELL_WORK" && work=$(cd "$LOADCELL_WORK" && pwd) || exit 1
else
	work=$(mktemp -d /tmp/loadcell-test.$$.XXXXXX) || exit 1
fi
chmod 755 "$work"
lxcpath=$work/lxc run_dir=$work/run data_dir=$work/data conf=$work/loadcell.conf
export LOADCELL_CONFIG=$conf
collector=
instances=()
cgroups=()
on_exit=()

fail()
{
	echo "FAILED: $*"
	exit 1
}

# A reason that begins with "cannot:" is a fact of the machine; any other fails in CI.
skip()
{
	echo "skip: $*"
	exit 77
}

need_root()
{
	[ "$(id -u)" = 0 ] || skip "cannot: not root"
	local p
	for p in lxc-start lxc-stop lxc-attach busybox jq; do
		command -v $p >/dev/null || skip "$p is not installed: run make deps"
	done
}

# As /run is: on a busy disk writing the ring would wait, and hooks give up after 30 ms.
run_in_memory()
{
	mkdir -p "$run_dir" && mount -t tmpfs -o size=256m tmpfs "$run_dir" || fail "cannot mount a tmpfs"
}

# wait_for SECONDS COMMAND: true as soon as the shell command is, false after that time.
wait_for()
{
	local end=$((SECONDS + $1 + 1))
	until eval "$2"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# --- cgroups ---------------------------------------------------------------------------------

# cgroup_mount CONTROLLER: "1 DIRECTORY" or "2 DIRECTORY" where it can be used, else nothing.
cgroup_mount()
{
	local device directory type options rest
	while read -r device directory type options rest; do
		case $type:,$options, in
		cgroup:*,"$1",*) echo "1 $directory"; return ;;
		cgroup2:*) grep -qw "$1" "$directory/cgroup.controllers" 2>/dev/null &&
			echo "2 $directory" && return ;;
		esac
	done </proc/mounts
}

# limits memory=64M cpu=0.5 pids=100: LXC configuration lines for the layout of this host.
# A controller that the kernel lacks (v1 memory on Debian 13) gives no line.
limits()
{
	local limit value version
	for limit; do
		value=${limit#*=} limit=${limit%%=*}
		version=$(cgroup_mount "$limit")
		case $limit.${version%% *} in
		memory.1) echo "lxc.cgroup.memory.limit_in_bytes = $value" ;;
		memory.2) echo "lxc.cgroup2.memory.max = $value" ;;
		pids.1) echo "lxc.cgroup.pids.max = $value" ;;
		pids.2) echo "lxc.cgroup2.pids.max = $value" ;;
		cpu.1)
			echo "lxc.cgroup.cpu.cfs_period_us = 100000"
			echo "lxc.cgroup.cpu.cfs_quota_us = $(quota "$value")"
			;;
		cpu.2) echo "lxc.cgroup2.cpu.max = $(quota "$value") 100000" ;;
		*.) echo "# no $limit controller on this host" ;;
		*) echo "limits: $limit is not known" >&2; return 1 ;;
		esac
	done
}

quota() { awk "BEGIN { print int($1 * 100000) }"; }

# cgroup_new NAME [CONTROLLER]: makes a cgroup, prints its directory; removed at the end.
# Call it as: cgroup_new loadcell-test.$$ memory; directory is then in $cgroup.
cgroup_new()
{
	local mount
	mount=$(cgroup_mount "${2:-memory}")
	[ -n "$mount" ] || skip "cannot: no ${2:-memory} controller"
	cgroup=${mount#* }/$1
	mkdir -p "$cgroup" || fail "cannot make $cgroup"
	cgroups+=("$cgroup")
}

# instance_cgroup NAME CONTROLLER: the directory of a running instance's cgroup.
instance_cgroup()
{
	local mount pid path
	mount=$(cgroup_mount "$2") pid=$(lxc_pid "$1")
	case $mount in
	1*) path=$(sed -n "s/^[0-9]*:\(.*,\)\?$2\(,.*\)\?:\//\//p" "/proc/$pid/cgroup") ;;
	2*) path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup") ;;
	*) return 1 ;;
	esac
	echo "${mount#* }${path%/init.scope}"
}

# --- instances -------------------------------------------------------------------------------

on_disk() { [ $(($(stat -c %d "$1" 2>/dev/null || echo 0) >> 8)) -ne 0 ]; }
# throttle_line: a rule that never bites makes v1 kernels count at all, from then on (seen on 6.1 and 6.18).
throttle_line()
{
	local device
	[[ $(cgroup_mount blkio) == 1* ]] && on_disk "$lxcpath" || return 0
	device=$(stat -c %d "$lxcpath")
	device=$((device >> 8 & 4095)):$((device & 255 | device >> 12 & 1048320))
	[ ! -e "/sys/dev/block/$device/partition" ] || device=$(cat "/sys/dev/block/$device/../dev")
	echo "lxc.cgroup.blkio.throttle.read_bps_device = $device 10000000000"
}

# lxc_new NAME [CONFIGURATION LINES]: a busybox instance that does nothing. Not lxc-create,
# which takes 20 s under emulation and refuses names with spaces.
lxc_new()
{
	local name=$1 root=$lxcpath/$1/rootfs d
	shift
	mkdir -p "$root" || fail "cannot make $root"
	for d in bin dev etc proc sys tmp sbin var/log; do
		mkdir -p "$root/$d"
	done
	cp "$(command -v busybox)" "$root/bin/busybox"
	chroot "$root" /bin/busybox --install -s /bin
	ln -sf /bin/busybox "$root/sbin/init"
	echo '::once:/bin/sh /etc/load' >"$root/etc/inittab"
	: >"$root/etc/load"
	echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	{
		echo "lxc.rootfs.path = dir:$root"
		echo "lxc.uts.name = $name"
		echo "lxc.apparmor.profile = unconfined"
		echo "lxc.net.0.type = empty"
		echo "lxc.signal.halt = SIGUSR1"
		echo "lxc.tty.max = 0"
		echo "lxc.mount.auto = proc:mixed sys:ro"
		printf '%s\n' "$@"
	} >"$lxcpath/$name/config"
	instances+=("$name")
}

# lxc_load NAME SHELL-COMMANDS: what the instance runs after its start.
lxc_load()
{
	printf '%s\n' "$2" >"$lxcpath/$1/rootfs/etc/load"
}

lxc_pid() { lxc-info -P "$lxcpath" -n "$1" -p -H 2>/dev/null; }

lxc_start()
{
	local try
	for try in 1 2 3; do
		lxc-start -P "$lxcpath" -n "$1" -d -l INFO -o "$work/lxc-start.log" 2>>"$work/lxc-start.err" &&
			return
		sleep $try
	done
	grep -h ERROR "$work/lxc-start.log" | tail -5
	fail "instance $1 does not start"
}

lxc_stop() { lxc-stop -P "$lxcpath" -n "$1" -k >/dev/null 2>&1; }
lxc_run() { local name=$1; shift; lxc-attach -P "$lxcpath" -n "$name" -- "$@"; }

# --- the collector ---------------------------------------------------------------------------

# conf_write [LINES]: the configuration, one second of interval; a line given here wins.
conf_write()
{
	local line
	{
		for line in "interval = 1s" "run_dir = $run_dir" "data_dir = $data_dir" \
			"lxcpath = $lxcpath"; do
			printf '%s\n' "$@" | grep -q "^${line%% =*} *=" || echo "$line"
		done
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$conf"
}

# collector_start [CONFIGURATION LINES]: returns when the first snapshot is there. It does not
# inherit descriptor 8, by which tests end what they wait for.
collector_start()
{
	conf_write "$@"
	rm -f "$run_dir/snapshot"
	setsid "$B/bin/loadcelld" -c "$conf" >>"$work/loadcelld.log" 2>&1 </dev/null 8>&- &
	collector=$!
	wait_for "${START_SECONDS:-30}" '[ -s "$run_dir/snapshot" ] || ! collector_alive' &&
		collector_alive || fail "the collector did not publish a snapshot"
}

collector_alive() { [ -n "$collector" ] && kill -0 "$collector" 2>/dev/null; }

# collector_stop [SIGNAL]: leaves its exit status in $collector_status.
collector_stop()
{
	[ -n "$collector" ] || return 0
	kill -"${1:-TERM}" "$collector" 2>/dev/null
	wait_for "${STOP_SECONDS:-60}" '! collector_alive' || kill -KILL "$collector"
	wait "$collector" 2>/dev/null
	collector_status=$?
	collector=
}

loadcell() { "$B/bin/loadcell" "$@"; }

# json QUERY [JQ ARGUMENTS]: asks `loadcell list --json`.
json()
{
	local query=$1
	shift
	loadcell list --json | jq -r "$@" "$query"
}

# metric HANDLE NAME: one value; "null" when absent, "" without such an instance.
metric() { json '.instances[] | select(.handle == $i) | .metrics[$m]' --arg i "$1" --arg m "$2"; }
host_metric() { json '.host.metrics[$m]' --arg m "$1"; }

# --- the end ---------------------------------------------------------------------------------

# Registers a shell command for the end; the last one runs first.
at_exit() { on_exit=("$1" "${on_exit[@]}"); }

cleanup()
{
	local status=$? command name mount directory
	trap '' INT TERM HUP
	trap - EXIT
	IFS=$' \t\n' # a test may have set it
	if [ $status -ne 0 ] && [ $status -ne 77 ] && [ -s "$work/loadcelld.log" ]; then
		echo "--- the collector's log (its end)"
		tail -n 20 "$work/loadcelld.log"
	fi
	for command in "${on_exit[@]}"; do
		eval "$command"
	done
	collector_stop
	for name in "${instances[@]}"; do
		lxc_stop "$name"
	done
	for directory in "${cgroups[@]}"; do
		kill_cgroup "$directory"
	done
	[ "$(id -u)" != 0 ] || remove_instance_cgroups
	grep -o " $work/[^ ]*" /proc/mounts | sort -r | while read -r mount; do
		umount -l "$(printf %b "$mount")"
	done
	if [ -n "${LOADCELL_WORK:-}" ]; then
		rm -rf --one-file-system "$lxcpath"
	else
		rm -rf --one-file-system "$work"
	fi
	exit $status
}

# Ends the processes of a cgroup and removes it with what is below.
kill_cgroup()
{
	local try pid directory
	for try in 1 2 3 4 5 6 7 8 9 10; do
		[ -d "$1" ] || return 0
		find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null | while read -r pid; do
			kill -KILL "$pid" 2>/dev/null
		done
		find "$1" -depth -type d 2>/dev/null | while read -r directory; do
			rmdir "$directory" 2>/dev/null
		done
		[ -d "$1" ] || return 0
		sleep 0.2
	done
}

remove_instance_cgroups()
{
	local name directory
	for name in "${instances[@]}"; do
		find /sys/fs/cgroup -depth -type d \
			\( -name "lxc.payload.$name" -o -name "lxc.monitor.$name" \) 2>/dev/null |
			while read -r directory; do
				kill_cgroup "$directory"
			done
	done
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
