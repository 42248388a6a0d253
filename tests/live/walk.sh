#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disk figures of real instances by the real loadcelld-walk, compared with du(1) and df(1):
# directories, a loop-mounted root, an overlay, bind mounts, and FUSE file systems that hang.
# timeout: 200
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
[ -x "$B/tests/test_walk" ] || skip "tests/test_walk is not built"
command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed: run make deps"
[ -c /dev/fuse ] || skip "cannot: no /dev/fuse"

answers=$work/answers
driver=

# walk_start [CONFIGURATION LINES]: loadcelld-walk, with messages written to descriptor 7.
walk_start()
{
	conf_write "$@"
	rm -f "$work/in"
	mkfifo "$work/in"
	: >"$answers"
	"$B/tests/test_walk" drive "$conf" <"$work/in" >>"$answers" 2>"$work/walk.err" &
	driver=$!
	exec 7>"$work/in"
}

walk_stop()
{
	[ -n "$driver" ] || return 0
	exec 7>&-
	wait "$driver"
	driver=
}
at_exit walk_stop

# watch ID PID
watch()
{
	local ticks
	ticks=$(sed 's/.*) //' "/proc/$2/stat" | cut -d' ' -f20)
	printf '{"op":"watch","id":%d,"run":"%x","init":%d,"starttime":%d}\n' "$1" "$1" "$2" "$ticks" >&7
}

# disk ID QUERY: of the newest disk message with a figure.
disk()
{
	jq -s -r --argjson id "$1" "map(select(.op == \"disk\" and .id == \$id)) | last | $2" "$answers"
}

has_figure() { jq -s -e --argjson id "$1" 'any(.op == "disk" and .id == $id and .used != null)' \
	"$answers" >/dev/null; }

du_of() { du -s --block-size=1 "$1" | cut -f1; }
inodes_of() { find "$1" -xdev -printf '%D:%i\n' | sort -u | wc -l; }
stat_of() { jq -s -r "map(select(.op == \"stats\")) | last | .$1" "$answers"; }

expect()
{
	[ "$2" = "$3" ] || fail "$1: expected $2, found $3"
}

# --- what is measured ------------------------------------------------------------------------

# A directory: with hard links, holes, a link to /, files hidden below a mount, a bind mount.
mkdir -p "$work/big/more"
head -c 5000000 /dev/zero >"$work/big/file"
lxc_new "${prefix}dir" "lxc.mount.entry = $work/big mnt/big none bind,create=dir 0 0" \
	"lxc.mount.entry = $work/big/file mnt/file none bind,create=file 0 0"
root=$lxcpath/${prefix}dir/rootfs
head -c 3000000 /dev/zero >"$root/var/data"
ln "$root/var/data" "$root/var/again"
truncate -s 1G "$root/var/sparse"
ln -s / "$root/var/slash"
head -c 100000 /dev/zero >"$root/tmp/hidden"
lxc_load "${prefix}dir" 'mount -t tmpfs none /tmp; head -c 2000000 /dev/zero >/tmp/not-mine; echo >/ready'
lxc_start "${prefix}dir"

# A file system of its own.
lxc_new "${prefix}loop"
truncate -s 64M "$work/loop.img"
mkfs.ext4 -q "$work/loop.img"
mkdir "$work/from" && mv "$lxcpath/${prefix}loop/rootfs/"* "$work/from"
mount -o loop "$work/loop.img" "$lxcpath/${prefix}loop/rootfs" || fail "cannot mount a loop device"
cp -a "$work/from/." "$lxcpath/${prefix}loop/rootfs"
sync -f "$lxcpath/${prefix}loop/rootfs"
lxc_start "${prefix}loop"

# An overlay: its own is only what it wrote. /tmp is writable by all, so its layers are below a
# directory that only root could make; on ext4, because the test itself may run on an overlay.
below=$(mktemp -d /var/lib/loadcell-test.XXXXXX)
at_exit 'umount -l "$below"; rmdir "$below"'
truncate -s 64M "$work/below.img"
mkfs.ext4 -q "$work/below.img"
mount -o loop "$work/below.img" "$below" || fail "cannot mount a loop device"
mkdir "$below/lower" "$below/upper"
cp -a "$work/from/." "$below/lower"
lxc_new "${prefix}overlay"
sed -i "s|^lxc.rootfs.path.*|lxc.rootfs.path = overlay:$below/lower:$below/upper|" \
	"$lxcpath/${prefix}overlay/config"
rm -rf "$below/lower/etc/load"
echo 'head -c 700000 /dev/zero >/var/own; echo >/ready' >"$below/lower/etc/load"
lxc_start "${prefix}overlay"

# Hung file systems: inside a container, as a root, and as a root that only answers statfs.
cc -o "$work/hung-fuse" "$(dirname "$0")/hung-fuse.c" || skip "no C compiler"
mkdir "$work/hung" "$work/shy"
"$work/hung-fuse" "$work/hung" mute >"$work/hung.pid" 2>"$work/hung.err" &
hung=$! bare=
"$work/hung-fuse" "$work/shy" shy >"$work/shy.pid" 2>"$work/shy.err" &
shy=$!
# Its process first, then the connection: nothing hangs any more.
at_exit '{ kill -KILL $(cat "$work/hung.pid" "$work/shy.pid") $hung $shy ${bare:-}; wait $hung $shy $bare; } 2>/dev/null'
wait_for 10 '[ -s "$work/hung.pid" ] && [ -s "$work/shy.pid" ]' ||
	fail "no hung file system: $(cat "$work/hung.err" "$work/shy.err")"
pid=$(lxc_pid "${prefix}dir")
nsenter -t "$pid" -m mkdir /mnt/hung 2>/dev/null || mkdir "$root/mnt/hung"
cp "$work/hung-fuse" "$work/big/hung-fuse"
nsenter --mount="/proc/$pid/ns/mnt" "$work/hung-fuse" "$root/mnt/hung" bare 2>"$work/bare.err" &
bare=$!

wait_for 10 '[ -e "$root/ready" ] && [ -e "$below/upper/ready" ]' || fail "the instances are not ready"

# --- measure ---------------------------------------------------------------------------------

walk_start "disk_walk_share = 50 %"
watch 1 "$(cat "$work/hung.pid")"
watch 2 "$(cat "$work/shy.pid")"
watch 3 "$pid"
watch 4 "$(lxc_pid "${prefix}loop")"
watch 5 "$(lxc_pid "${prefix}overlay")"
wait_for 60 'has_figure 3 && has_figure 4 && has_figure 5' ||
	fail "no figures: $(cat "$answers" "$work/walk.err")"

expect "directory: method" walk "$(disk 3 .method)"
expect "directory: used" "$(du_of "$root")" "$(disk 3 .used)"
expect "directory: inodes" "$(inodes_of "$root")" "$(disk 3 .inodes)"
expect "directory: limit" null "$(disk 3 .limit)"
expect "directory: partial" null "$(disk 3 .partial)"
expect "directory: device" "$(df --output=source "$root" | tail -n 1)" "$(disk 3 .fs.device)"
expect "directory: mount" "$(df --output=target "$root" | tail -n 1)" "$(disk 3 .fs.mount)"
expect "directory: file system's size" "$(df -B1 --output=size "$root" | tail -n 1 | tr -d ' ')" \
	"$(disk 3 .fs.size)"

loop=$lxcpath/${prefix}loop/rootfs
expect "loop: method" statvfs "$(disk 4 .method)"
expect "loop: used" "$(df -B1 --output=used "$loop" | tail -n 1 | tr -d ' ')" "$(disk 4 .used)"
expect "loop: limit" "$(df -B1 --output=size "$loop" | tail -n 1 | tr -d ' ')" "$(disk 4 .limit)"
expect "loop: inodes" "$(df --output=iused "$loop" | tail -n 1 | tr -d ' ')" "$(disk 4 .inodes)"
expect "loop: type" ext4 "$(disk 4 .fs.type)"
expect "loop: mount" "$loop" "$(disk 4 .fs.mount)"

expect "overlay: method" walk "$(disk 5 .method)"
expect "overlay: used" "$(du_of "$below/upper")" "$(disk 5 .used)"
expect "overlay: device" "$(df --output=source "$below" | tail -n 1)" "$(disk 5 .fs.device)"

# --- what hangs ------------------------------------------------------------------------------

wait_for 60 '[ "$(stat_of stuck)" -ge 2 ]' || fail "hung jobs are not counted: $(tail -n 3 "$answers")"
has_figure 1 && fail "a figure of a hung file system"
has_figure 2 && fail "a figure of a file system that hangs when read"
expect "shy: its file system is known" "$((100 * 4096))" "$(disk 2 .fs.size)"

# The others go on: a new instance is measured while the hung ones are backed off.
lxc_new "${prefix}late"
lxc_start "${prefix}late"
watch 6 "$(lxc_pid "${prefix}late")"
wait_for 60 'has_figure 6' || fail "a hung instance delays the next one"
expect "late: used" "$(du_of "$lxcpath/${prefix}late/rootfs")" "$(disk 6 .used)"

# The end: a child that sleeps in the kernel (the server has read its request) outlives even
# SIGKILL; the rest is gone at once, and all when the server dies.
helper=$(pgrep -P "$driver" | head -n 1)
children=$(pgrep -P "$helper" | paste -sd' ')
[ "$(wc -w <<<"$children")" -ge 1 ] || fail "no child hangs: this tests nothing"
walk_stop
wait_for 10 '[ ! -d "/proc/$helper" ]' || fail "loadcelld-walk does not end"
kill -KILL $shy $(cat "$work/shy.pid")
{ wait $shy; } 2>/dev/null
wait_for 10 '! ps -p "${children// /,}" >/dev/null' || fail "children outlive loadcelld-walk"
lxc_stop "${prefix}loop"
wait_for 10 'umount "$loop" 2>/dev/null' || fail "$loop stays busy"
wait_for 10 '! losetup -j "$work/loop.img" | grep -q .' || fail "the loop device stays in use"

# Walks switched off.
walk_start "disk_walk = off"
watch 3 "$pid"
wait_for 20 '[ "$(disk 3 .fs.size)" != null ]' || fail "no file system without walks"
sleep 2
has_figure 3 && fail "a walk although it is off"
walk_stop

# A project quota on the root directory: accounting only, then with a limit.
truncate -s 64M "$work/quota.img"
mkdir "$work/quota"
if ! mkfs.ext4 -q -O quota,project -E quotatype=prjquota "$work/quota.img" 2>/dev/null ||
	! mount -o loop,prjquota "$work/quota.img" "$work/quota" 2>/dev/null; then
	echo "note: no project quotas in this kernel"
	exit 0
fi
lxc_new "${prefix}quota"
mkdir "$work/quota/rootfs" && head -c 4000000 /dev/zero >"$work/quota/other"
chattr +P -p 4711 "$work/quota/rootfs" || fail "cannot set a project id"
cp -a "$lxcpath/${prefix}quota/rootfs/." "$work/quota/rootfs"
sync -f "$work/quota"
sed -i "s|^lxc.rootfs.path.*|lxc.rootfs.path = dir:$work/quota/rootfs|" "$lxcpath/${prefix}quota/config"
cat >"$work/limit.c" <<-EOF
	#include <linux/quota.h>
	#include <stdio.h>
	int quotactl(int, const char *, int, char *);
	int main(int argc, char **argv)
	{
		struct if_dqblk q = {.dqb_bhardlimit = 20480, .dqb_valid = QIF_BLIMITS};
		return quotactl(QCMD(Q_SETQUOTA, PRJQUOTA), argv[1], 4711, (char *)&q) != 0;
	}
EOF
cc -o "$work/limit" "$work/limit.c" || fail "cannot compile"
lxc_start "${prefix}quota"
for limit in null $((20 << 20)); do
	[ $limit = null ] || "$work/limit" "$(findmnt -no SOURCE "$work/quota")" || fail "no limit"
	walk_start
	watch 9 "$(lxc_pid "${prefix}quota")"
	wait_for 20 'has_figure 9' || fail "no figure with a quota: $(cat "$answers")"
	expect "quota: method" quota "$(disk 9 .method)"
	expect "quota: used" "$(du_of "$work/quota/rootfs")" "$(disk 9 .used)"
	# A file that is removed but still open counts too.
	inodes=$(inodes_of "$work/quota/rootfs") found=$(disk 9 .inodes)
	[ "$found" -ge "$inodes" ] && [ "$found" -le $((inodes + 5)) ] ||
		fail "quota: inodes: expected $inodes, found $found"
	expect "quota: limit" $limit "$(disk 9 .limit)"
	expect "quota: file system's size" "$(df -B1 --output=size "$work/quota" | tail -n 1 | tr -d ' ')" \
		"$(disk 9 .fs.size)"
	walk_stop
done
exit 0
