#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Through a real snmpd: every cell of LOADCELL-MIB is what `loadcell list --json` says of the same
# snapshot, walks of all kinds agree, and snmpd that is restarted, killed or hangs is answered
# again. The subagent runs as nobody, in the group that may read the collector's files. SNMP_RESTARTS (3): how often of each.
# timeout: 240
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
command -v setpriv >/dev/null || skip "setpriv is not installed: run make deps"
. "$(dirname "$0")/../snmp-lib.sh"
restarts=${SNMP_RESTARTS:-3}
as_nobody="setpriv --reuid=65534 --regid=65534 --groups=0"
snmpd_conf

# --- instances, and a sample that stays ---------------------------------------------------------
lxc_new "${prefix}limited" "$(limits memory=64M cpu=0.5 pids=100)" "lxc.group = web" "lxc.group = prod"
lxc_new "${prefix}free"
lxc_new "${prefix}net"
sed -i '/^lxc.net.0.type = empty/d' "$lxcpath/${prefix}net/config"
printf 'lxc.net.0.type = veth\nlxc.net.0.name = eth0\nlxc.net.1.type = veth\nlxc.net.1.name = lan\n' \
	>>"$lxcpath/${prefix}net/config"
for name in limited free net; do
	lxc_load "$prefix$name" 'i=0; while :; do i=$((i + 1)); [ $((i % 1000)) != 0 ] || sleep 0.01; done'
	lxc_start "$prefix$name"
done
lxc_new "${prefix}gone" && lxc_start "${prefix}gone"
collector_start "agentx = $work/master" "stale_after = 4s"
wait_for 15 '[ "$(json ".instances | length")" -ge 4 ]' || fail "not all instances are measured"
lxc_stop "${prefix}gone"
wait_for 30 'loadcell runs --json "${prefix}gone" 2>/dev/null | grep -q "\"end\":[0-9]"' || fail "no run has ended"
sleep 2

mkdir -p "$work/frozen"
cp "$run_dir/snapshot" "$data_dir/runs.jsonl" "$data_dir/events.jsonl" "$work/frozen"
frozen=$work/frozen.conf
printf 'run_dir = %s\ndata_dir = %s\nstale_after = 1h\nagentx = %s\n' "$work/frozen" "$work/frozen" "$work/master" >"$frozen"

# The subagent first: it waits for snmpd.
snmp_start "$frozen" $as_nobody
sleep 1
snmpd_start
answers() { [ -n "$(walk "$arc.1.3.1.3002" 2>/dev/null | grep "${prefix}limited")" ]; }
wait_for 10 answers || fail "the subagent does not answer"

# --- every cell ---------------------------------------------------------------------------------
loadcell metrics --json >"$work/metrics.json"
loadcell -c "$frozen" list --json >"$work/list.json"
# What list says, scaled here: OID, a blank, value.
jq -r --slurpfile m "$work/metrics.json" --arg arc "$arc.1" '
def ns: . * 1e9 | round;
def big: if . > 4294967295 then 4294967295 else . end;
def truth: if . then 1 else 2 end;
# What is shown of a value in base units; the exact twin of a size stands apart.
def shown($k): if $k.unit == "seconds" then (if $k.kind == "timestamp" then floor else ns / 1000 | floor end)
	elif $k.unit == "bytes" and $k.kind != "counter" then . / 1024 | floor | big
	elif $k.unit == "cores" then ns / 1000000 | floor | big
	elif $k.unit == "ratio" then ns / 100000 | floor | big
	elif $k.kind == "counter" then .
	else big end;
.host.metrics as $h |
{cpu_limit_cores: $h.host_cpus_cores, cpu_quota_cores: $h.host_cpus_cores, cpuset_cores: $h.host_cpus_cores,
	memory_limit_bytes: $h.host_memory_total_bytes, memory_swap_limit_bytes: $h.host_swap_total_bytes,
	pids_limit: ([$h.host_tasks_limit, $h.host_pids_limit] | min)} as $whole |
def cells($scope; $table; $index): .metrics as $values | $m[0].metrics[] | select(.scope == $scope) |
	. as $k | $values[$k.name] | select(. != null) |
	(if . == "unlimited" then $whole[$k.name] else . end) as $v |
	(if $v != null then "\($arc).\($table).\($k.id).\($index) \($v | shown($k))",
		(if $k.unit == "bytes" and $k.kind != "counter" then "\($arc).\($table).\(1000 + $k.id).\($index) \($v)"
		else empty end) else empty end),
	(if $k.kind == "limit" then "\($arc).\($table).\(2000 + $k.id).\($index) \(. == "unlimited" | truth)" else empty end);
def text($table; $arc_of; $index): select(. != null and . != "") | "\($arc).\($table).\($arc_of).\($index) \"\(.)\"";
(.host | cells("host"; 2; 0), (.name | text(2; 3001; 0)), (.kernel | text(2; 3002; 0))),
(.host.filesystems | to_entries[] | (.key + 1) as $i | .value |
	cells("filesystem"; "5.1"; $i), (.mount | text("5.1"; 3002; $i)), (.device | text("5.1"; 3003; $i)),
	(.type | text("5.1"; 3004; $i))),
(.instances[] | .index as $i | cells("instance"; "3.1"; $i),
	(.name | text("3.1"; 3002; $i)), (.handle | text("3.1"; 3003; $i)), (.context | text("3.1"; 3004; $i)),
	(.hostname | text("3.1"; 3005; $i)), (.groups | join(",") | text("3.1"; 3006; $i)),
	(.lxcpath | text("3.1"; 3007; $i)), (.kind | text("3.1"; 3008; $i)), (.state | text("3.1"; 3009; $i)),
	(.run | text("3.1"; 3010; $i)), (.zabbix_name | text("3.1"; 3013; $i)),
	"\($arc).3.1.3012.\($i) \(.network_shared | truth)",
	(.interfaces | to_entries[] | "\($i).\(.key + 1)" as $n | .value |
		cells("interface"; "4.1"; $n), (.name | text("4.1"; 3002; $n))))
' "$work/list.json" >"$work/wanted" || fail "jq"

for table in 2 3 4 5; do walk "$arc.1.$table"; done | grep -v "No Such Object\|No more" >"$work/got"
# Beside what list tells there are discontinuity times. Large times lose a microsecond in jq.
awk -v arc="$arc.1" '
FNR == NR { oid = $1; $1 = ""; wanted[oid] = substr($0, 2); next }
{
	oid = $1; $1 = ""; value = substr($0, 2)
	if (index(oid, arc ".3.1.3011.") == 1) { times++; next }
	if (!(oid in wanted)) { print "not in list: " oid " " value; bad++; next }
	w = wanted[oid]
	if (value != w && !(w > 4e12 && value - w <= 1 && w - value <= 1)) { print oid " is " value ", list says " w; bad++ }
	delete wanted[oid]; good++
}
END {
	for (oid in wanted) { print "missing: " oid " " wanted[oid]; bad++ }
	print "note: " good " cells equal, " times " discontinuity times"
	exit bad > 0 || good < 300 || times < 3
}' "$work/wanted" "$work/got" >"$work/compared" || fail "$(head -n 20 "$work/compared")"
cat "$work/compared"
grep -q '"lan"$' "$work/got" || fail "no second interface" # other tests may have one, too
[ "$(cell 1.3006.0)" = "$(jq '.instances | length' "$work/list.json")" ] || fail "the number of instances"

# --- runs and events ----------------------------------------------------------------------------
jq -r --arg arc "$arc.1.7.1" '"\($arc).3002.\(.id) \(.time | floor)", "\($arc).3003.\(.id) \"\(.type)\""' \
	"$work/frozen/events.jsonl" | sort >"$work/wanted"
{ walk "$arc.1.7.1.3002"; walk "$arc.1.7.1.3003"; } | sort | diff "$work/wanted" - || fail "events differ"
jq -r --arg arc "$arc.1.6.1" '"\($arc).3003.\(.end | floor).1 \"\(.run)\"",
	"\($arc).1.\(.end | floor).1 \(.metrics.cpu_usage_seconds * 1e9 | round / 1000 | floor)",
	"\($arc).1019.\(.end | floor).1 \(.metrics.memory_peak_bytes // empty)"' "$work/frozen/runs.jsonl" | sort >"$work/wanted"
{ walk "$arc.1.6.1.3003"; walk "$arc.1.6.1.1.1"; walk "$arc.1.6.1.1"; walk "$arc.1.6.1.1019"; } |
	grep -v "No Such" | sort -u | diff "$work/wanted" - || fail "runs differ"

# --- all walks see the same ---------------------------------------------------------------------
steady() { grep -v "^$arc.1.1.3003.0 "; } # but for the age of the data
walk "$arc" | steady >"$work/bulk"
snmp snmpwalk "$arc" | steady >"$work/next"
cmp "$work/bulk" "$work/next" || fail "GETBULK and GETNEXT differ"
snmpwalk -v1 -c test -On -Oe -Ot -OU "127.0.0.1:$port" "$arc" | grep -v "^End of MIB" | steady | cut -d' ' -f1 >"$work/v1"
snmpbulkwalk -v2c -c test -On -Oe -Ot -OU "127.0.0.1:$port" "$arc" | steady |
	grep -v ' = Counter64: ' | cut -d' ' -f1 | diff - "$work/v1" >/dev/null || fail "SNMPv1 does not see all but 64 bits"
# GET of each name that a walk gave, several in a request.
cut -d' ' -f1 "$work/bulk" | xargs -n 40 bash -c 'exec snmpget -v2c -c test -On -Oe -Ot -OU -Oq "$0" "$@"' "127.0.0.1:$port" |
	cmp - "$work/bulk" || fail "GET and GETBULK differ"
[ "$(walk .1.3.6.1.2.1.236.1.4.1.2 | wc -l)" = "$(cell 1.3006.0)" ] || fail "VM-MIB has other rows"
snmp snmpget "$arc.1.3.1.99999.1" "$arc.1.3.1.1.1" | grep -c 'No Such \(Object\|Instance\)' | grep -qx 2 || fail "no exceptions"
snmpset -v2c -c test "127.0.0.1:$port" "$arc.1.1.3006.0" u 1 >/dev/null 2>&1 && fail "it can be written"

# --- snmpd comes and goes -----------------------------------------------------------------------
descriptors() { ls "/proc/$snmp_pid/fd" | wc -l; }
rss() { awk '/VmRSS/ { print $2 }' "/proc/$snmp_pid/status"; }
same() { kill -0 "$snmp_pid" && walk "$arc" 2>/dev/null | steady | cut -d' ' -f1 | cmp -s - "$work/names"; }
cut -d' ' -f1 "$work/bulk" >"$work/names"
before=$(descriptors) memory=$(rss)
(while :; do walk "$arc" >/dev/null 2>&1; sleep 0.1; done) &
walker=$!
at_exit "kill $walker; wait $walker 2>/dev/null"
for signal in TERM KILL; do
	for ((i = 0; i < restarts; i++)); do
		snmpd_end $signal
		snmpd_start
		wait_for 5 same || fail "after SIG$signal of snmpd not all is answered again within 5 s"
	done
done
kill -STOP "$snmpd_pid"
sleep 10
kill -CONT "$snmpd_pid"
wait_for 5 same || fail "not all is answered within 5 s after snmpd has hung"
[ "$(descriptors)" = "$before" ] || fail "$before descriptors were open, now $(descriptors): $(ls -l "/proc/$snmp_pid/fd")"
echo "note: $((2 * restarts)) restarts, resident $memory then $(rss) KiB"
# Long enough for the connection to be given up: it tries to open another one then.
kill -STOP "$snmpd_pid"
sleep 15
kill "$snmp_pid"
ended() { ! grep -q '^State:.[^Z]' "/proc/$snmp_pid/status" 2>/dev/null; }
wait_for 15 ended || fail "SIGTERM does not end it while snmpd hangs"
kill -CONT "$snmpd_pid"
snmp_end
[ "$snmp_status" = 0 ] || fail "it ended with $snmp_status"

# --- the collector comes and goes ---------------------------------------------------------------
stale() { [ "$(cell 1.3004.0)" = "$1" ]; }
snmp_start "$conf" $as_nobody
wait_for 10 'stale 2' || fail "no fresh data: $(cell 1.3005.0)"
answers || fail "no rows from the live collector"
collector_stop
wait_for 10 'stale 1' || fail "the data does not get stale"
answers && fail "rows stay though the collector is gone"
[ "$(cell 1.3006.0)" = 0 ] || fail "stale instances are counted"
[ -n "$(walk "$arc.1.7.1.3003" | grep appeared)" ] || fail "events go with the collector"
collector_start "agentx = $work/master" "stale_after = 4s"
wait_for 15 answers || fail "rows do not come back with the collector"
snmp_end
[ "$snmp_status" = 0 ] || fail "it ended with $snmp_status"

# --- what is wrong is said ----------------------------------------------------------------------
echo "agentx = nonsense" >"$work/bad.conf"
"$B/bin/loadcell-snmp" -c "$work/bad.conf" 2>"$work/said"
[ $? = 2 ] && [ "$(wc -l <"$work/said")" = 1 ] && grep -q 'bad.conf:1: agentx must be' "$work/said" ||
	fail "a bad configuration: $(cat "$work/said")"
grep -q "no snmpd answers at $work/master" "$work/loadcell-snmp.log" || fail "a missing snmpd is not told of"
[ "$(grep -c "net-snmp:" "$work/loadcell-snmp.log")" -lt 5 ] || fail "net-snmp complains: $(grep net-snmp "$work/loadcell-snmp.log")"
