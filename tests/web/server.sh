#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# loadcell-web: what it answers against other tools, and what it takes from bad clients.
# timeout: 300
. "$(dirname "$0")/../lib.sh"
need_root
for p in curl rrdtool prometheus promtool nginx python3; do
	command -v $p >/dev/null || skip "$p is not installed: run make check-web"
done
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

# --- series are what rrdtool fetches -----------------------------------------------------------------
lxc_new "${prefix}web" "$(limits memory=64M cpu=0.3 pids=50)"
lxc_load "${prefix}web" 'while :; do i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 0.05; done'
lxc_start "${prefix}web"
collector_start "flush = 1s"
web_start "$conf"
rrd() { find "$data_dir/rrd" -name "${prefix}web.*.rrd"; }
wait_for 30 '[ -n "$(rrd)" ] && [ $(($(rrdtool last "$(rrd)") - $(rrdtool first "$(rrd)"))) -gt 0 ]' || fail "no RRD"
sleep 25
file=$(rrd)
to=$(($(rrdtool last "$file") - 2)) from=$(($(rrdtool last "$file") - 20))
wanted=cpu_usage_seconds,memory_working_set_bytes,memory_limit_bytes,pids_current
get "${url}api/v1/series?instance=${prefix}web&metrics=$wanted&from=$from&to=$to&points=5000" >"$work/series"
cp "$file" "$work/copy.rrd"
loadcell metrics --json >"$work/table"
python3 - "$work" $from $to <<'END' || fail "series differ from rrdtool's: $(head -c 300 "$work/series")"
import json, subprocess, sys
work, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
got = json.load(open(work + "/series"))
ds = {m["name"]: m["ds"] for m in json.load(open(work + "/table"))["metrics"] if m["scope"] == "instance"}
text = subprocess.check_output(["rrdtool", "fetch", work + "/copy.rrd", "AVERAGE", "-r", "1", "-s", str(begin), "-e", str(end)], text=True)
lines = text.splitlines()
names, compared = lines[0].split(), 0
rows = {int(l.split(":")[0]): l.split(":")[1].split() for l in lines[2:]}
for metric, values in got["series"].items():
    for i, value in enumerate(values):
        row = rows.get(got["start"] + (i + 1) * got["step"])
        if row is None or "nan" in row[names.index(ds[metric])]:
            continue
        theirs = float(row[names.index(ds[metric])])
        assert value is not None and abs(value - theirs) <= 1e-9 * max(abs(theirs), 1), (metric, i, value, theirs)
        compared += 1
assert compared >= 40, compared
print("note: %d values of 4 metrics are rrdtool's" % compared)
END

# --- a file with known extremes, some hours old --------------------------------------------------------
number=${file%.rrd} number=${number##*.}
memory=$(jq -r '.metrics[] | select(.name == "memory_anon_bytes").ds' "$work/table")
collector_stop
cp "$file" "$work/kept.rrd"
day=$((($(date +%s) / 300 - 72) * 300)) # within what is stored in steps of 10 s
rrdtool create "$file" --start $day --step 10 "DS:$memory:GAUGE:25:0:U" RRA:AVERAGE:0.5:1:20000 RRA:AVERAGE:0.5:30:1000 RRA:MAX:0.5:30:1000
python3 -c "
import sys
for i in range(1, 1001): # a ramp with one peak and one dip
    print('update $file %d:%d' % ($day + 10 * i, 987654321 if i == 400 else 7 if i == 700 else 1000000 + i))" | rrdtool - >/dev/null
get "${url}api/v1/series?instance=${prefix}web&metrics=memory_anon_bytes&from=$day&to=$((day + 10000))&points=5000" >"$work/fine"
get "${url}api/v1/series?instance=${prefix}web&metrics=memory_anon_bytes&from=$day&to=$((day + 9000))&points=30&what=maximum" >"$work/coarse"
[ "$(jq -c '.series.memory_anon_bytes | [max, min, .[0], .[399], .[699]]' "$work/fine")" != null ] || fail "no fine series: $(cat "$work/fine")"
rrdtool xport --json -m 5000 -s $day -e $((day + 10000)) --step 10 "DEF:m=$file:$memory:AVERAGE" "XPORT:m:m" >"$work/xport" || fail "no xport"
python3 - "$work" <<'END' || fail "known extremes are not there:"
import json, sys
work = sys.argv[1]
fine = json.load(open(work + "/fine"))["series"]["memory_anon_bytes"]
coarse = json.load(open(work + "/coarse"))["series"]["memory_anon_bytes"]
xport = [v for row in json.load(open(work + "/xport"))["data"] for v in row if isinstance(v, (int, float))]
known = [v for v in fine if v is not None]
assert (max(known), min(known)) == (987654321, 7), (max(known), min(known))
assert (max(xport), min(xport)) == (987654321, 7), (max(xport), min(xport))
assert max(v for v in coarse if v is not None) == 987654321, coarse
print("note: peak 987654321 and dip 7 are in the series, and in rrdtool xport")
END
for id in memory cpu; do
	[ "$(code "${url}graph/${prefix}web/$id.svg?from=$day&to=$((day + 10000))")" = 200 ] && grep -q '</svg>' "$work/got" || fail "no picture $id: $(head -c 200 "$work/got")"
done
[ "$(code "${url}graph/${prefix}web/memory.png?theme=dark&width=400&height=200")" = 200 ] && file "$work/got" | grep -q 'PNG image' || fail "no PNG"
cp "$work/kept.rrd" "$file"

# --- manners -----------------------------------------------------------------------------------------
collector_start "flush = 1s"
list=${url}api/v1/instances?metrics=pids_current,cpu_usage_seconds
wait_for 20 'get "$list" | jq -e ".instances[0].rates.cpu_usage_seconds > 0.1" >/dev/null 2>&1' || fail "no rates: $(get "$list")"
[ "$(get "$list" | jq -r '.instances[0].metrics.pids_current')" = "$(metric "${prefix}web" pids_current)" ] || fail "another number of tasks than loadcell list"
answers()
{
	local expected=$1 got
	shift
	got=$(code "$@")
	[ "$got" = "$expected" ] || fail "$got instead of $expected: $* $(head -c 300 "$work/got")"
}
answers 200 "${url}instance/${prefix}web"
answers 404 "${url}instance/nobody"
answers 404 "${url}api/v1/instance/nobody"
answers 404 "${url}static/../lib.sh" --path-as-is
answers 404 "${url}static/%2e%2e/%2e%2e/Makefile"
answers 404 "${url}graph/nobody/cpu.png"
answers 404 "${url}graph/${prefix}web/nothing.png"
answers 400 "${url}graph/${prefix}web/cpu.png?width=100000"
answers 400 "${url}api/v1/series?instance=${prefix}web&metrics=nonsense"
answers 400 "${url}api/v1/series?instance=${prefix}web&metrics=pids_current&from=20&to=10"
answers 400 "${url}api/v1/series?metrics=pids_current"
answers 400 "${url}api/v1/events?limit=-1"
answers 400 "${url}api/v1/instances?metrics=a%00b,c"
answers 405 -X POST "$url"
answers 405 -X DELETE "${url}api/v1/runs"
answers 413 -X GET -d body "$url"
answers 421 -H 'Host: evil.example' "$url"
answers 200 -H "Host: localhost:$port" "$url"
answers 200 "${url}healthz"
jq -e .error <(get "${url}api/v1/instance/nobody") >/dev/null || fail "an error of the API is no JSON"
get -I "${url}api/v1/metrics" | tr -d '\r' >"$work/head"
grep -q "^Content-Security-Policy: default-src 'none'" "$work/head" && grep -qi '^x-content-type-options: nosniff' "$work/head" || fail "headers are missing: $(cat "$work/head")"
length=$(sed -n 's/^Content-Length: //p' "$work/head")
[ "$length" = "$(get "${url}api/v1/metrics" | wc -c)" ] || fail "HEAD tells another length than GET has"
etag=$(sed -n 's/^ETag: //p' "$work/head")
answers 304 -H "If-None-Match: $etag" "${url}api/v1/metrics"
[ ! -s "$work/got" ] || fail "a 304 has a body"
answers 200 -H "If-None-Match: \"other\"" "${url}api/v1/metrics"
get -H 'Accept-Encoding: gzip' "${url}api/v1/metrics" | gzip -d | cmp - <(get "${url}api/v1/metrics") || fail "gzip is not the same"
get -H 'Accept-Encoding: gzip;q=0' "${url}api/v1/metrics" | cmp - <(get "${url}api/v1/metrics") || fail "gzip that was not wanted"

cp "$run_dir/snapshot" "$work/one.snapshot" # of a running instance

# --- events, runs, and no collector --------------------------------------------------------------------
lxc_stop "${prefix}web"
wait_for 20 'get "${url}api/v1/events?instance=${prefix}web" | jq -e ".events[0].how == \"stop\"" >/dev/null' || fail "no stop: $(get "${url}api/v1/events")"
wait_for 20 'get "${url}api/v1/runs?instance=${prefix}web" | jq -e ".runs[0].end > 0" >/dev/null' || fail "no run: $(get "${url}api/v1/runs")"
cmp <(get "${url}api/v1/events?limit=1000" | jq -c '.events | reverse | .[].id') <(loadcell events --json | jq -c .id) || fail "other events than loadcell events"
get "${url}api/v1/instance/${prefix}web" | jq -e '.instance.state == "ended" and .instance.end > 0' >/dev/null || fail "the ended instance: $(get "${url}api/v1/instance/${prefix}web")"
collector_stop KILL
answers 200 "$url"
wait_for 30 '[ "$(code "${url}healthz")" = 503 ]' || fail "healthz with a dead collector: $(code "${url}healthz")"
grep -q 'old' "$work/got" || fail "healthz does not say why: $(cat "$work/got")"
get "${url}metrics" >"$work/got"
grep -q '^loadcell_data_stale 1' "$work/got" && ! grep -q '^loadcell_cpu' "$work/got" || fail "old values as if they were new"
rm -f "$run_dir/snapshot"
answers 503 "$list"
grep -q 'the collector does not run' "$work/got" || fail "no word of a missing collector: $(cat "$work/got")"

# --- OpenMetrics, and a real Prometheus -----------------------------------------------------------------
cp "$work/one.snapshot" "$run_dir/snapshot"
made_up 1000
web_start "$made"
get "${url}metrics" | promtool check metrics >"$work/promtool" 2>&1 || fail "promtool: $(head -n 5 "$work/promtool")"
[ ! -s "$work/promtool" ] || fail "promtool: $(head -n 5 "$work/promtool")"
get -H 'Accept: application/openmetrics-text; version=1.0.0' "${url}metrics" >"$work/open"
[ "$(tail -n 1 "$work/open")" = "# EOF" ] && grep -q '^loadcell_cpu_usage_seconds_created{name="made-up-7"} [0-9.]*$' "$work/open" &&
	grep -q '^# UNIT loadcell_cpu_usage_seconds seconds$' "$work/open" || fail "OpenMetrics is not whole"
target=127.0.0.1:$port
free_port
prometheus_port=$port
sed "s/127.0.0.1:9818/$target/; s/scrape_interval: .*/scrape_interval: 1s/; s/scrape_timeout: .*/scrape_timeout: 1s/" \
	"$here/../../contrib/prometheus/prometheus.yml" >"$work/prometheus.yml"
promtool check config "$work/prometheus.yml" >"$work/promtool" || fail "the scrape configuration: $(cat "$work/promtool")"
setsid prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$prometheus_port" \
	</dev/null >"$work/prometheus.log" 2>&1 8>&- &
at_exit "kill $! 2>/dev/null; wait $! 2>/dev/null"
ask() { get -G --data-urlencode "query=$1" "http://127.0.0.1:$prometheus_port/api/v1/query" 2>/dev/null | jq -r '.data.result[0].value[1]' 2>/dev/null; }
wait_for 60 '[ "$(ask "count(loadcell_pids_current)")" = 1000 ]' || fail "Prometheus: $(tail -n 5 "$work/prometheus.log")"
[ "$(ask 'up{job="loadcell"}')" = 1 ] || fail "Prometheus says that loadcell is down"
[ "$(ask 'count(loadcell_instance_info{name="made-up-7"})')" = 1 ] || fail "no info of an instance"
# What Prometheus' own scrapes cost, counted by the scheduler; nobody else asks.
spent() { cat "/proc/$web"/task/*/schedstat | awk '{ ns += $1 } END { printf "%d", ns / 1000 }'; }
scrapes() { ask 'count_over_time(up{job="loadcell"}[1h])'; }
wait_for 20 '[ "$(scrapes)" -ge 3 ]' || fail "Prometheus does not scrape: $(tail -n 5 "$work/prometheus.log")"
before=$(scrapes) spent=$(spent)
wait_for 60 '[ "$(scrapes)" -ge $((before + 20)) ]' || fail "Prometheus does not scrape: $(tail -n 5 "$work/prometheus.log")"
spent=$(($(spent) - spent)) count=$(($(scrapes) - before))
get -o "$work/got" -H 'Accept: application/openmetrics-text; version=1.0.0' "${url}metrics"
echo "note: Prometheus has 1,000 instances; $count scrapes of $(wc -c <"$work/got") bytes took $((spent / count / 1000)).$((spent / count / 100 % 10)) ms of CPU each"

# --- 200 slow and broken clients -------------------------------------------------------------------------
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$web/status"; }
# What is asked for below is kept once it was asked for: that is no growth.
for ((i = 0; i < 10; i++)); do
	for what in "api/v1/instances?metrics=cpu_used_cores" metrics ""; do get -o "$work/got" "$url$what"; done
	sleep 0.5
done
before=$(rss)
python3 - "${target##*:}" <<'END' &
import socket, sys, threading, time
port = int(sys.argv[1].strip("/"))
end = time.time() + 25
def client(kind):
    while time.time() < end:
        try:
            s = socket.create_connection(("127.0.0.1", port), timeout=20)
            if kind == 0: # half a request, then nothing
                s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
                time.sleep(5)
            elif kind == 1: # headers without an end
                s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
                for i in range(100000):
                    s.sendall(b"X-%d: y\r\n" % i)
                    time.sleep(0.01)
            elif kind == 2: # 10 MB of URL
                s.sendall(b"GET /" + b"x" * 10000000 + b" HTTP/1.1\r\n\r\n")
            elif kind == 3: # asks, and goes away
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                s.close()
                time.sleep(0.2)
            else: # asks for much, and reads one byte a second
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                while time.time() < end:
                    s.recv(1)
                    time.sleep(1)
            s.close()
        except OSError:
            time.sleep(0.1)
threads = [threading.Thread(target=client, args=(i % 5,), daemon=True) for i in range(200)]
[t.start() for t in threads]
[t.join() for t in threads]
END
clients=$!
at_exit "kill $clients 2>/dev/null; wait $clients 2>/dev/null"
sleep 3
most=0 slowest=0
for ((i = 0; i < 40; i++)); do
	began=$(date +%s%N)
	[ "$(code "${url}api/v1/instances?metrics=cpu_used_cores")" = 200 ] || fail "others are not served: $(head -c 200 "$work/got")"
	took=$((($(date +%s%N) - began) / 1000000)) now=$(rss)
	[ "$took" -le "$slowest" ] || slowest=$took
	[ "$now" -le "$most" ] || most=$now
	sleep 0.3
done
wait "$clients"
sleep 1
kill -0 "$web" || fail "loadcell-web has ended"
echo "note: with 200 bad clients 40 of 40 requests were answered, the slowest in $slowest ms; memory $before KB before, at most $most, $(rss) after"
[ "$most" -lt $((before + 40000)) ] && [ "$(rss)" -lt $((before + 15000)) ] || fail "its memory has grown"

# --- a Unix socket, and nginx before it --------------------------------------------------------------------
{ grep -v '^listen' "$made"; echo "listen = $work/made/web.sock"; } >"$work/socket.conf"
setsid "$B/bin/loadcell-web" -c "$work/socket.conf" --pages "$here/../../web/static" >>"$work/web.log" 2>&1 </dev/null 8>&- &
at_exit "kill $! 2>/dev/null; wait $! 2>/dev/null"
wait_for 10 '[ -S "$work/made/web.sock" ]' || fail "no Unix socket: $(tail -n 3 "$work/web.log")"
[ "$(stat -c %a "$work/made/web.sock")" = 660 ] || fail "the socket has mode $(stat -c %a "$work/made/web.sock")"
answers 200 --unix-socket "$work/made/web.sock" http://loadcell/healthz
answers 200 --unix-socket "$work/made/web.sock" -H 'Accept-Encoding: gzip' http://loadcell/metrics
gzip -t "$work/got" || fail "/metrics is not packed for a proxy"
free_port
proxy=$port
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=loadcell.example -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null || fail "no certificate"
echo "operator:$(openssl passwd -apr1 secret)" >"$work/htpasswd"
chmod 644 "$work/key.pem" "$work/htpasswd"
{
	echo "user root; daemon off; pid $work/nginx.pid; error_log $work/nginx.log; events {} http { access_log off;"
	for d in client_body proxy fastcgi uwsgi scgi; do echo "${d}_temp_path $work/nginx-$d;"; done
	sed "s,/run/loadcell-web/web.sock,$work/made/web.sock,; s/listen 443/listen 127.0.0.1:$proxy/; /listen \[::\]/d; s,/etc/ssl/loadcell/cert.pem,$work/cert.pem,; s,/etc/ssl/loadcell/key.pem,$work/key.pem,; s,/etc/nginx/loadcell.htpasswd,$work/htpasswd," \
		"$here/../../contrib/nginx/loadcell.conf"
	echo "}"
} >"$work/nginx.conf"
setsid nginx -c "$work/nginx.conf" </dev/null >"$work/nginx.out" 2>&1 8>&- &
at_exit "kill $! 2>/dev/null; wait $! 2>/dev/null"
wait_for 10 "(echo >/dev/tcp/127.0.0.1/$proxy) 2>/dev/null" || fail "no nginx: $(cat "$work/nginx.out" "$work/nginx.log")"
secure=(--cacert "$work/cert.pem" --resolve "loadcell.example:$proxy:127.0.0.1")
answers 401 "${secure[@]}" "https://loadcell.example:$proxy/"
answers 200 "${secure[@]}" -u operator:secret "https://loadcell.example:$proxy/"
answers 200 "${secure[@]}" -u operator:secret "https://loadcell.example:$proxy/api/v1/metrics"
echo "note: nginx with TLS and a password before a Unix socket"
