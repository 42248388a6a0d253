#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The immutable way of working, rehearsed: an image tarball is unpacked into a directory, a
# configuration with macvlan and a fixed MAC and address is written, the instance starts, works for
# two seconds, ends, and its directory is deleted, again and again under fresh and reused names,
# while the collector samples every 10 s. Each instance measures the CPU time that it burns; the run
# ledger must tell the same, whether the collector runs, is killed in the middle, or comes only
# when all is over.
# RUNS=100: so many with a collector, and by default fewer for the other two.
# timeout: 900
. "$(dirname "$0")/../lib.sh"
need_root
run_in_memory
[ -n "$(cgroup_mount cpuacct)$(cgroup_mount cpu)" ] || skip "cannot: no cpu controller"
runs=${RUNS:-100} names=40 at_once=8
hooks=$work/lxc.conf
sed "s,/usr/libexec/loadcell/loadcell-hook,$B/bin/loadcell-hook -c $conf," \
	"$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$hooks"

# --- the network: a macvlan parent and its peer in a namespace ----------------------------------
parent=lca$$ peer=lcb$$ namespace=loadcell-test.$$
ip link add "$parent" type veth peer name "$peer" || skip "cannot: no veth in this kernel"
at_exit "ip link del $parent 2>/dev/null; ip netns del $namespace 2>/dev/null"
ip netns add "$namespace" && ip link set "$peer" netns "$namespace" || fail "no namespace"
macvlan=yes
ip link add link "$parent" name "lcm$$" type macvlan mode bridge 2>/dev/null || macvlan=
[ -z "$macvlan" ] || ip link del "lcm$$"
sysctl -q -w "net.ipv6.conf.$parent.disable_ipv6=1" 2>/dev/null
ip netns exec "$namespace" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
ip link set "$parent" up
ip -n "$namespace" link set lo up
ip -n "$namespace" link set "$peer" up
ip -n "$namespace" addr add 198.51.100.1/24 dev "$peer"

# --- the image -----------------------------------------------------------------------------------
# Process 1 burns what $lxcpath/NAME/work says, in nanoseconds, without a child whose time it would not
# know, writes what the kernel's scheduler has counted for it, and ends when two seconds are over.
image=$work/image.tar.gz
lxc_new image
cat >"$lxcpath/image/rootfs/work" <<'END'
#!/bin/sh
read begin rest </proc/self/schedstat
read want </burn
now=$begin
while [ $((now - begin)) -lt "$want" ]; do
	i=0
	while [ $i -lt 500 ]; do i=$((i + 1)); done
	read now rest </proc/self/schedstat
done
read -t 1.5 never <>/never
read now rest </proc/self/schedstat
echo "$now" >/burnt
END
chmod 755 "$lxcpath/image/rootfs/work"
mkfifo "$lxcpath/image/rootfs/never"
tar -C "$lxcpath/image" -czf "$image" rootfs || fail "no image"
rm -rf "${lxcpath:?}/image"

# launch NUMBER: one whole life; appends "NAME BURNT" to $work/lives.
launch()
{
	local n=$1 name dir
	name=$prefix$((n % names))
	dir=$lxcpath/$name
	mkdir "$dir" && tar -C "$dir" -xzf "$image" || return
	echo $((100000000 + n * 7919 % 400 * 1000000)) >"$dir/rootfs/burn"
	{
		echo "lxc.include = $hooks"
		echo "lxc.rootfs.path = dir:$dir/rootfs"
		echo "lxc.uts.name = $name"
		echo "lxc.apparmor.profile = unconfined"
		echo "lxc.tty.max = 0"
		echo "lxc.mount.auto = proc:mixed sys:ro"
		echo "lxc.init.cmd = /work"
		if [ -n "$macvlan" ]; then
			echo "lxc.net.0.type = macvlan"
			echo "lxc.net.0.macvlan.mode = bridge"
			echo "lxc.net.0.link = $parent"
			echo "lxc.net.0.flags = up"
			printf 'lxc.net.0.hwaddr = 02:00:00:00:%02x:%02x\n' $((n / 256)) $((n % 256))
			echo "lxc.net.0.ipv4.address = 198.51.100.$((10 + n % names))/24"
		else
			echo "lxc.net.0.type = empty"
		fi
	} >"$dir/config"
	lxc-start -P "$lxcpath" -n "$name" -F -l ERROR -o "$work/$name.log" </dev/null >/dev/null 2>&1 ||
		{ echo "$name does not start: $(tail -2 "$work/$name.log")"; return 1; }
	echo "$name $(cat "$dir/rootfs/burnt")" >>"$work/lives"
	rm -rf --one-file-system "$dir"
}

# Names are reused only when their last life is over: name N belongs to worker N % at_once.
rehearse()
{
	local worker n pids=()
	: >"$work/lives"
	for ((worker = 0; worker < at_once; worker++)); do
		(for ((n = worker; n < runs; n += at_once)); do
			launch "$n" || exit 1
		done) &
		pids+=($!)
	done
	"$@"
	for n in "${pids[@]}"; do
		wait "$n" || fail "a life failed"
	done
	[ "$(wc -l <"$work/lives")" = "$runs" ] || fail "not $runs lives but $(wc -l <"$work/lives")"
}

ledger() { loadcell runs --json "$prefix*" | jq -r --argjson from "$1" '
	select(.start >= $from - 1 and .end != null) | "\(.handle) \(.start) \(.metrics.cpu_usage_seconds) \(.source) \(.how)"' |
	sort -k1,1 -k2,2n; }

# agree FROM WHAT: each life has one record, as long after one another as they were, and its CPU time.
agree()
{
	since=$1
	wait_for 60 '[ "$(ledger "$since" | wc -l)" -ge "$runs" ]' ||
		fail "$2: $(ledger "$since" | wc -l) records of $runs lives"
	ledger "$1" >"$work/ledger"
	awk -v runs="$runs" -v what="$2" '
		FILENAME ~ /lives$/ { life[$1, ++lives[$1]] = $2 / 1e9; next }
		{
			burnt = life[$1, ++records[$1]]
			off = $3 - burnt
			bound = burnt * 0.02 > 0.02 ? burnt * 0.02 : 0.02
			if (burnt == "" || off > bound || off < -bound) {
				print "WRONG: " $1 " burnt " burnt " s, its record says " $3
				bad++
			}
			if ($4 != "hook" || $5 != "stop") { print "WRONG: " $0; bad++ }
			worst = off > worst ? off : -off > worst ? -off : worst
			n++
		}
		END {
			if (n != runs) { print "WRONG: " n " records of " runs " lives"; bad++ }
			printf "%s: %d records, off by at most %.1f ms\n", what, n, worst * 1000
			exit bad > 0
		}' "$work/lives" "$work/ledger" >"$work/verdict" || fail "$(cat "$work/verdict")"
	notes+=("$(tail -n 1 "$work/verdict")")
}
notes=()

# --- a collector that runs ------------------------------------------------------------------------
from=$(date +%s.%N)
collector_start "interval = 10s"
rehearse true
agree "$from" "collected"

# --- killed in the middle -------------------------------------------------------------------------
kill_and_restart()
{
	sleep 5
	kill -KILL "$collector"
	wait "$collector" 2>/dev/null
	sleep 4
	collector_start "interval = 10s"
}
runs=${RUNS:-48}
from=$(date +%s.%N)
rehearse kill_and_restart
agree "$from" "killed"

# --- only at the end ------------------------------------------------------------------------------
collector_stop
from=$(date +%s.%N)
rehearse true
collector_start "interval = 10s"
agree "$from" "spooled"
[ "$(ls "$run_dir/spool" | grep -vc '^init[.]')" = 0 ] || fail "the spool still holds: $(ls "$run_dir/spool" | head)"

IFS=';'
echo "note: ${notes[*]}"
