#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a container's root can put into it neither blocks nor escapes: links out of the root file
# system, FIFOs, very many files, directories deeper than any path, interface names that would like
# to be something else. The instance is measured all the time, the walk comes to du's figure, and no
# door prints a byte that a terminal acts on.
# FILES=1000000: so many files. timeout: 280
. "$(dirname "$0")/../lib.sh"
need_root
command -v perl >/dev/null || skip "perl is not installed: run make deps"
files=${FILES:-50000}
name=${prefix}evil
lxc_new "$name" "$(limits memory=64M pids=100)" "lxc.include = $work/hooks.conf"
sed "s,/usr/libexec/loadcell/loadcell-hook,$B/bin/loadcell-hook -c $conf," \
	"$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$work/hooks.conf"
root=$lxcpath/$name/rootfs

# --- inside the root file system -----------------------------------------------------------------
head -c 5000000 /dev/zero >"$work/outside"
ln -s / "$root/slash"
ln -s "$work/outside" "$root/file-outside"
ln -s ../../../../../../../../../../../etc "$root/etc/up"
ln -s loop "$root/loop"
for fifo in etc/hostname etc/passwd.fifo tmp/fifo proc.fifo; do
	rm -f "${root:?}/$fifo"
	mkfifo "$root/$fifo"
done
mkdir "$root/many"
perl -e 'chdir shift or die; for (1 .. shift) { open(my $f, ">", "f$_") or die "$!\n" }
	# Deeper than PATH_MAX, and with names of any bytes.
	mkdir "deep" and chdir "deep" or die; for (1 .. 3000) { mkdir "directory" and chdir "directory" or die "$!\n" }
	mkdir "\e]0;title\a\n\xff\xfe" or die' "$root/many" "$files" || fail "the files cannot be made"

lxc_load "$name" 'mkfifo /etc/again; i=0; while :; do i=$((i + 1)); done'
lxc_start "$name"
init=$(lxc_pid "$name")

# --- in its network namespace: whatever the kernel takes as a name --------------------------------
odd=($'\e[31mred' '$(reboot)' "a'b" 'λ;`x`"}],' '..a' '-n')
taken=()
for i in "${!odd[@]}"; do
	ip link add "lco$$x$i" type veth peer name "lcp$$x$i" 2>/dev/null || break
	at_exit "ip link del lco$$x$i 2>/dev/null"
	ip link set "lcp$$x$i" netns "$init" || fail "cannot move an interface"
	nsenter -t "$init" -n ip link set "lcp$$x$i" name "${odd[i]}" 2>/dev/null && taken+=("${odd[i]}")
done

collector_start "disk_walk = 60s" "disk_walk_share = 100 %"
wait_for 10 '[ "$(metric "$name" pids_current)" -gt 0 ]' || fail "it is not measured"
missed=$(host_metric collector_missed_cycles)

# The walk counts what du does: nothing outside, all inside.
inodes() { find "$root" -xdev -printf '%D:%i\n' | sort -u | wc -l; }
wait_for 200 '[ "$(metric "$name" disk_used_inodes)" != null ]' || fail "the walk does not end"
found=$(metric "$name" disk_used_inodes) real=$(inodes)
[ "$found" = "$real" ] || fail "$found inodes, find counts $real"
used=$(metric "$name" disk_used_bytes) real=$(du -s --block-size=1 "$root" | cut -f1)
[ "$used" = "$real" ] || fail "$used bytes, du says $real"

# All doors: JSON stays JSON with the names as they are, text has nothing that a terminal acts on.
names=$(json '.instances[] | select(.handle == $i) | .interfaces[].name' --arg i "$name" | sort)
for odd in "${taken[@]}"; do
	grep -qxF -- "$odd" <<<"$names" || fail "the interface '$odd' is not listed: $names"
done
for command in "list" "list --wide" "show $name" "top -b -n1" "status" "events" "runs"; do
	loadcell $command >"$work/printed" 2>&1
	! LC_ALL=C grep -q $'[\001-\010\013-\037\177]' "$work/printed" || fail "$command prints control characters"
done
loadcell list --json | jq -e . >/dev/null || fail "no JSON"

# Its processes go on as its limits allow, the collector as well; the end is kept.
usage=$(metric "$name" cpu_usage_seconds)
sleep 2
awk -v a="$usage" -v b="$(metric "$name" cpu_usage_seconds)" 'BEGIN { exit !(b > a) }' || fail "not measured any more"
[ "$(host_metric collector_missed_cycles)" = "$missed" ] || fail "cycles were missed"
lxc_stop "$name"
wait_for 20 '[ "$(loadcell runs --json "$name" 2>/dev/null | jq -r "select(.end != null) | .source")" = hook ]' ||
	fail "no run with the hook's figures: $(loadcell runs "$name")"
grep -q root: /etc/passwd && [ "$(stat -c %s "$work/outside")" = 5000000 ] || fail "something outside was touched"
cd "$root/many" && perl -e 'use File::Path; chdir "deep" or exit; my $n = 0; while (chdir "directory") { $n++ }
	opendir(my $d, "."); rmdir $_ for grep { !/^\.\.?$/ } readdir $d;
	while ($n-- > 0) { chdir ".." or die; rmdir "directory" or die "$!\n" }' # rm(1) does too, slowly
cd /
echo "note: $((files + 3000)) files and directories, ${#taken[@]} odd interface names; equal to find and du, 0 cycles missed"
