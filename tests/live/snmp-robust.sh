#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# loadcell-snmp, as nobody, goes on whatever becomes of snmpd and of the snapshot: snmpd not there
# yet, restarted, killed, hung, refusing; no snapshot, a damaged, stale or foreign one; 0, 1 and
# 2,000 made-up instances that come and go within a walk. All is answered again within 5 s, no
# descriptor is lost, and a collector beside it misses no cycle.
# RESTARTS (4), KILLS (3), HANG (6): how many, and seconds. INSTANCES (2000).
# timeout: 280
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v setpriv >/dev/null || skip "setpriv is not installed: run make deps"
. "$(dirname "$0")/../snmp-lib.sh"
restarts=${RESTARTS:-4} kills=${KILLS:-3} hang=${HANG:-6} many=${INSTANCES:-2000}
as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
snapshot=$work/snmp/snapshot snmp_conf=$work/snmp.conf
mkdir -p "$work/snmp" && chown 65534:65534 "$work/snmp"
printf 'interval = 1s\nrun_dir = %s\ndata_dir = %s\nsnmp_state_dir = %s\nagentx = %s\nstale_after = 1s\n' \
	"$work/snmp" "$work/snmp" "$work/snmp/state" "$work/master" >"$snmp_conf"

# --- a collector that notices nothing of it -------------------------------------------------------
lxc_new "${prefix}real" && lxc_start "${prefix}real"
collector_start
missed() { host_metric collector_missed_cycles; }
missed_before=$(missed)

# --- the subagent, and what it must stand at any time -----------------------------------------------
descriptors() { ls "/proc/$snmp_pid/fd" | wc -l; }
rss() { awk '/VmRSS/ { print $2 }' "/proc/$snmp_pid/status"; }
alive() { grep -q '^State:.[RSD]' "/proc/$snmp_pid/status" 2>/dev/null; }
names() { walk "$arc.1.3.1.3003" 2>/dev/null | grep -c '"made-up-'; }
has() { [ "$(names)" = "$1" ]; }

publisher=
# publish COUNT [churn]; publish: nobody any more
publish()
{
	[ -z "$publisher" ] || { kill "$publisher"; wait "$publisher" 2>/dev/null; }
	publisher=
	[ $# -gt 0 ] || return 0
	$as_nobody "$B/live/snapshots" "$snapshot" "$@" >/dev/null 2>&1 &
	publisher=$!
}
at_exit publish

snmp_start "$snmp_conf" $as_nobody
sleep 2
alive || fail "it does not wait for snmpd"
snmpd_conf
snmpd_start

# --- the shipped configuration, with all its examples --------------------------------------------------
shipped=$(cd "$(dirname "$0")/../.." && pwd)/etc/snmp/loadcell-snmpd.conf
snmpd_end
snmpd_conf
sed 's/^#\([a-z]\)/\1/; s/ root loadcell-agentx$/ root nogroup/; s/192\.0\.2\.0\/24/127.0.0.1/; s/192\.0\.2\.10$/127.0.0.1:9/' "$shipped" >>"$work/snmpd.conf"
snmpd_start
! grep -i 'warning\|error\|unknown' "$work/snmpd.log" || fail "snmpd does not like $shipped"
[ "$(stat -c '%a %G' "$work/master")" = "660 nogroup" ] || fail "the socket is $(stat -c '%a %G' "$work/master")"
snmpget -v2c -c a-secret -t 1 -r 3 "127.0.0.1:$port" .1.3.6.1.2.1.1.3.0 >/dev/null || fail "the community of the example gets nothing"
snmpget -v3 -l authPriv -u monitor -a SHA-256 -A "an authentication secret" -x AES -X "a privacy secret" -t 1 -r 3 \
	"127.0.0.1:$port" .1.3.6.1.2.1.1.3.0 >/dev/null || fail "the user of the example gets nothing"
snmpd_end
snmpd_conf
snmpd_start

# --- no snapshot, and bad ones ----------------------------------------------------------------------
is_stale() { [ "$(cell 1.3004.0)" = 1 ] && has 0; }
says() { [ "$(cell 1.3004.0)" = 1 ] && cell 1.3005.0 | grep -q "$1"; }
wait_for 5 'says "the collector does not run"' || fail "without a snapshot it says: $(cell 1.3005.0)"
publish 3
wait_for 5 'has 3' || fail "no rows of 3 instances"
publish
cp "$snapshot" "$work/good"
wait_for 5 is_stale || fail "stale rows stay"

# bad WHAT SAYING: what is there now is told and answered for
bad()
{
	saying=$2
	wait_for 5 'says "$saying"' && is_stale && alive || fail "a snapshot that is $1: $(cell 1.3005.0)"
}
put() { cat >"$snapshot.new" && mv "$snapshot.new" "$snapshot"; }
head -c 3000 "$work/good" | put && bad truncated "damaged"
{ head -c 3000 "$work/good"; printf '\377'; tail -c +3002 "$work/good"; } | put && bad damaged checksum
{ printf 'loadcell\002'; tail -c +10 "$work/good"; } | put && bad "of another version" version
head -c 100000 /dev/urandom | put && bad noise "no snapshot"
: | put && bad empty "no snapshot"
rm "$snapshot" && mkfifo "$snapshot" && bad "a FIFO" "no snapshot"
rm "$snapshot" && mkdir "$snapshot" && bad "a directory" "no snapshot"
rmdir "$snapshot" && ln -s snapshot "$snapshot" && bad "a loop" "symbolic links"
rm "$snapshot" && install -m 600 "$work/good" "$snapshot" && bad "not readable" "not for you to read"
rm "$snapshot"

# --- 0, 1, many instances, and such that come and go ------------------------------------------------
for count in 0 1 $many; do
	publish $count
	wait_for 5 '[ "$(cell 1.3006.0)" = $count ]' && has $count || fail "$(names) rows of $count instances"
done
publish $many churn
end=$((SECONDS + 5)) walks=0
while [ $SECONDS -lt $end ]; do
	# snmpbulkwalk fails where names do not ascend.
	walk "$arc.1.3.1.3003" >"$work/walk" 2>&1 || fail "a walk while instances come and go: $(tail -n 1 "$work/walk")"
	[ "$(wc -l <"$work/walk")" -ge $((many / 2)) ] || fail "$(wc -l <"$work/walk") rows of about $((many * 2 / 3))"
	[ "$(cut -d' ' -f1 "$work/walk" | sort | uniq -d | wc -l)" = 0 ] || fail "a row comes twice"
	walks=$((walks + 1))
done
echo "note: $walks walks while a third of $many come and go"

# --- snmpd comes and goes under a walker ------------------------------------------------------------
publish $many
wait_for 5 "has $many" || fail "not all are there"
before=$(descriptors) memory=$(rss) slowest=0
(while :; do walk "$arc.1.3.1" >/dev/null 2>&1; sleep 0.1; done) &
walker=$!
at_exit "kill $walker 2>/dev/null; wait $walker 2>/dev/null"

# again WHAT: all rows are answered within 5 s after snmpd is back
again()
{
	local took
	wait_for 5 "has $many" && alive || fail "after $1 not all is answered within 5 s"
	took=$((($(date +%s%N) - snmpd_since) / 1000000))
	[ $took -le 5000 ] || fail "after $1 it took $took ms"
	[ $took -le $slowest ] || slowest=$took
}
for ((i = 0; i < restarts; i++)); do
	snmpd_end
	snmpd_start
	again "restart $i"
done
for ((i = 0; i < kills; i++)); do
	snmpd_end KILL
	snmpd_start
	again "kill $i"
done
kill -STOP "$snmpd_pid"
sleep "$hang"
kill -CONT "$snmpd_pid"
snmpd_since=$(date +%s%N)
again "$hang s of a hang"
# It refuses: no AgentX at all, then a socket that does not let nobody in.
snmpd_end
sed -i '/agentx/Id' "$work/snmpd.conf"
snmpd_start
sleep 3
alive || fail "it does not stand a snmpd without AgentX"
snmpd_end
snmpd_conf && sed -i 's/^agentXPerms.*/agentXPerms 0600 0755/' "$work/snmpd.conf"
snmpd_start
sleep 3
alive || fail "it does not stand to be refused"
snmpd_end KILL
snmpd_conf
snmpd_start
again "a refusal"

kill "$walker"
wait_for 5 '[ "$(descriptors)" -le $before ]' ||
	fail "$before descriptors were open, now $(descriptors): $(ls -l "/proc/$snmp_pid/fd")"
echo "note: $restarts restarts, $kills kills, a hang of $hang s: answers within $slowest ms; resident $memory then $(rss) KiB; $before then $(descriptors) descriptors"
[ "$(missed)" = "$missed_before" ] || fail "the collector missed $(missed) cycles, $missed_before before"
snmp_end
[ "$snmp_status" = 0 ] || fail "it ended with $snmp_status"
