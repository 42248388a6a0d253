# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests of loadcell-web, after ../lib.sh. web_start CONFIGURATION: on a free port; url and web
# (its pid) tell.
port=19818
is_free() { ! grep -qi ":$(printf %04X "$1") 0\+:" /proc/net/tcp /proc/net/tcp6; }
free_port()
{
	port=$((port + 1))
	until is_free $port; do port=$((port + 1)); done
}
web_start()
{
	free_port
	grep -v '^listen' "$1" >"$work/web.$port.conf"
	echo "listen = 127.0.0.1:$port" >>"$work/web.$port.conf"
	setsid "$B/bin/loadcell-web" -c "$work/web.$port.conf" --pages "$here/../../web/static" >>"$work/web.log" 2>&1 </dev/null 8>&- &
	web=$!
	at_exit "kill $web 2>/dev/null; wait $web 2>/dev/null"
	url=http://127.0.0.1:$port/
	wait_for 10 '(echo >/dev/tcp/127.0.0.1/$port) 2>/dev/null' || fail "no server: $(cat "$work/web.log")"
}
# made_up COUNT: snapshots of so many instances, like the first of the collector's, and their configuration in $made.
made_up()
{
	cp "$run_dir/snapshot" "$work/real.snapshot" || fail "no snapshot to be like"
	made=$work/made.conf
	mkdir -p "$work/made/run" "$work/made/data"
	printf 'run_dir = %s\ndata_dir = %s\ninterval = 1s\n' "$work/made/run" "$work/made/data" >"$made"
	setsid "$B/live/snapshots" "$work/made/run/snapshot" "$1" of "$work/real.snapshot" </dev/null >/dev/null 2>&1 8>&- &
	maker=$!
	at_exit "kill $maker 2>/dev/null; wait $maker 2>/dev/null"
	wait_for 10 '[ -s "$work/made/run/snapshot" ]' || fail "no snapshot of made-up instances"
}
get() { curl -sS --noproxy '*' --max-time 30 "$@"; }
code() { : >"$work/got"; get -o "$work/got" -w '%{http_code}' "$@"; }
