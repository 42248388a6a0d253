#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The network totals of a run are what the wire saw: a macvlan and a veth instance send and receive,
# end, and the ledger's figures equal the counters of the other end of the wire, to the byte, though
# the last sample is older.
# beside others
. "$(dirname "$0")/../lib.sh"
need_root
run_in_memory
hooks=$work/lxc.conf
sed "s,/usr/libexec/loadcell/loadcell-hook,$B/bin/loadcell-hook -c $conf," \
	"$(dirname "$0")/../../lxc-hooks/lxc.conf" >"$hooks"

# The load of both: waits for /go, sends and gets back 2.8 MB, asks for a connection that is refused
# in fewer bytes, so that the two ways differ, says so in /done.
load='while [ ! -e /go ]; do sleep 0.1; done
arp -s 198.51.100.1 02:00:00:00:01:00
ping -q -c 2000 -i 0.001 -s 1400 198.51.100.1 >/dev/null
nc -w 1 198.51.100.1 9 </dev/null
sleep 0.3
echo done >/done
sleep 600'

# instance NAME LINES...
instance()
{
	local name=$1
	shift
	lxc_new "$name" "lxc.include = $hooks" "$@"
	sed -i '/^lxc.net.0.type = empty/d' "$lxcpath/$name/config"
	lxc_load "$name" "$load"
}
ended() { loadcell runs --json "$1" 2>/dev/null | jq -s 'map(select(.end != null)) | length'; }
# of NAME METRIC: of its last run.
of() { loadcell runs --json "$1" | jq -s ".[0].$2"; }
# wire NAMESPACE DEVICE (namespace "": the host): "RECEIVED SENT" in bytes and packets, as the other end says.
wire()
{
	ip ${1:+-n "$1"} -s -j link show "$2" |
		jq -r '.[0].stats64 | "\(.rx.bytes) \(.rx.packets) \(.tx.bytes) \(.tx.packets)"'
}

# compare NAME "BYTES PACKETS BYTES PACKETS": what the instance sent and received.
compare()
{
	local told
	told="$(of "$1" metrics.network_transmit_bytes) $(of "$1" metrics.network_transmit_packets)"
	told+=" $(of "$1" metrics.network_receive_bytes) $(of "$1" metrics.network_receive_packets)"
	[ "$told" = "$2" ] || fail "$1: the ledger says $told, the wire $2; $(of "$1" network)"
	[ "$(awk '{ print ($1 > 2800000 && $3 > 2800000 && $1 != $3) }' <<<"$2")" = 1 ] || fail "$1: hardly any traffic: $2"
	notes+=("$1 $2, told by $(of "$1" network)")
}
notes=()

namespace=loadcell-test.$$ parent=lca$$ peer=lcb$$
ip netns add "$namespace" || skip "cannot: no network namespaces"
at_exit "ip netns del $namespace 2>/dev/null; ip link del $parent 2>/dev/null"
ip link add "$parent" type veth peer name "$peer" netns "$namespace" || skip "cannot: no veth"
for setting in all default; do # no neighbour discovery beside what is counted
	ip netns exec "$namespace" sysctl -q -w "net.ipv6.conf.$setting.disable_ipv6=1"
done
sysctl -q -w "net.ipv6.conf.$parent.disable_ipv6=1"
ip link set "$parent" up
ip -n "$namespace" link set lo up
ip -n "$namespace" link set "$peer" up
ip -n "$namespace" addr add 198.51.100.1/24 dev "$peer"
# Nobody asks for addresses at any time between two looks.
ip -n "$namespace" link set "$peer" address 02:00:00:00:01:00
for n in 2 3; do
	ip -n "$namespace" neigh replace 198.51.100.$n lladdr 02:00:00:00:01:0$n dev "$peer" nud permanent
done
collector_start "interval = 10s"

# --- macvlan: its devices stand in the namespace until the hook has read them ------------------------
macvlan=${prefix}mac
instance "$macvlan" "lxc.net.0.type = macvlan" "lxc.net.0.macvlan.mode = bridge" \
	"lxc.net.0.link = $parent" "lxc.net.0.flags = up" "lxc.net.0.name = eth0" \
	"lxc.net.0.hwaddr = 02:00:00:00:01:02" "lxc.net.0.ipv4.address = 198.51.100.2/24" \
	"lxc.sysctl.net.ipv6.conf.all.disable_ipv6 = 1"
ip link add link "$parent" name "lcm$$" type macvlan mode bridge 2>/dev/null &&
	ip link del "lcm$$" || skip "cannot: no macvlan in this kernel"
before=$(wire "$namespace" "$peer")
lxc_start "$macvlan"
touch "$lxcpath/$macvlan/rootfs/go"
wait_for 30 '[ -e "$lxcpath/$macvlan/rootfs/done" ]' || fail "the load does not end"
lxc_stop "$macvlan"
wait_for 20 '[ "$(ended "$macvlan")" = 1 ]' || fail "$macvlan is not in the ledger"
compare "$macvlan" "$(paste -d' ' <(echo "$before") <(wire "$namespace" "$peer") |
	awk '{ print $5 - $1, $6 - $2, $7 - $3, $8 - $4 }')"

# --- veth: both its ends are gone before the hook runs; they take leave with their counters ----------
veth=${prefix}veth bridge=lcr$$ end=lcv$$
ip link add "$bridge" type bridge stp_state 0 mcast_snooping 0 || skip "cannot: no bridge in this kernel"
at_exit "ip link del $bridge 2>/dev/null"
sysctl -q -w "net.ipv6.conf.$bridge.disable_ipv6=1"
ip link set "$parent" master "$bridge"
ip link set "$bridge" up
instance "$veth" "lxc.net.0.type = veth" "lxc.net.0.link = $bridge" "lxc.net.0.veth.pair = $end" \
	"lxc.net.0.flags = up" "lxc.net.0.name = eth0" "lxc.net.0.ipv4.address = 198.51.100.3/24" \
	"lxc.net.0.hwaddr = 02:00:00:00:01:03" \
	"lxc.sysctl.net.ipv6.conf.all.disable_ipv6 = 1"
lxc_start "$veth"
sysctl -q -w "net.ipv6.conf.$end.disable_ipv6=1"
touch "$lxcpath/$veth/rootfs/go"
wait_for 30 '[ -e "$lxcpath/$veth/rootfs/done" ]' || fail "the load does not end"
on_wire=$(wire "" "$end")
lxc_stop "$veth"
wait_for 20 '[ "$(ended "$veth")" = 1 ]' || fail "$veth is not in the ledger"
compare "$veth" "$on_wire"

IFS=';'
echo "note: ${notes[*]}"
