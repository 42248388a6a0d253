# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests with a real Zabbix, after lib.sh: a private one on loopback ports, which ends with the test.
#
#	zabbix_start 6.0|7.0	PostgreSQL, server, frontend; 6.0 is Debian 12's, 7.0 runs from a tree of Debian 13
#				that is made once, in $LOADCELL_CACHE (~/.cache/loadcell)
#	zabbix_agent_start [LINES]	Debian 12's agent as a member of the collector's group
#	api METHOD JSON		what the method returns, or fails with the server's words
#	values HOST		"KEY STATE CLOCK VALUE ERROR" of each enabled item, divided by tabs
#
# Variables: web (port), zabbix_port, agent_port, zabbix_agent (leads its process group), and logs in $work.

[ "$(id -u)" = 0 ] || skip "cannot: only root can run servers as users of their own"
for program in psql php curl zabbix_agentd; do
	command -v $program >/dev/null || PATH=$PATH:/usr/sbin command -v $program >/dev/null ||
		skip "$program is not installed: run make check-zabbix"
done
cache=${LOADCELL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/loadcell}
web=$((18100 + $$ % 800)) zabbix_port=$((19100 + $$ % 800)) agent_port=$((20100 + $$ % 800))
tree= token= servers=()

# Another release's /usr and /etc, in a mount namespace of the command's own.
within() { [ -z "$tree" ] && exec "$@"; exec unshare --mount sh -ec 'mount --bind "$0/etc" /etc; mount --bind "$0/usr" /usr; exec "$@"' "$tree" "$@"; }

# serve NAME USER COMMAND...: in a session of its own, ended with the test.
serve()
{
	local name=$1 user=$2
	shift 2
	(
		exec </dev/null >>"$work/$name.log" 2>&1 8>&- 9>&-
		export HOME=$work
		within setsid setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
	) &
	servers=("$!" "${servers[@]}")
}

zabbix_end()
{
	local pid
	for pid in "${servers[@]}"; do
		# PostgreSQL takes SIGINT for "now, but well"; the others end by SIGTERM.
		kill -INT "$pid" 2>/dev/null
		kill -TERM -- "-$pid" 2>/dev/null
	done
	for pid in "${servers[@]}"; do
		wait_for 20 "! kill -0 -- -$pid 2>/dev/null" || kill -KILL -- "-$pid"
		wait "$pid" 2>/dev/null
	done
	servers=()
}
at_exit zabbix_end

tree_make()
{
	local new
	command -v debootstrap >/dev/null || skip "debootstrap is not installed: run make check-zabbix"
	mkdir -p "$cache" && new=$(mktemp -d "$cache/trixie.XXXXXX") && chmod 755 "$new" || fail "cannot write $cache"
	echo "making a Debian 13 tree for Zabbix 7.0 in $cache"
	unshare --mount sh -ec '
		debootstrap --variant=minbase trixie "$0"
		printf "#!/bin/sh\nexit 101\n" >"$0/usr/sbin/policy-rc.d"
		chmod 755 "$0/usr/sbin/policy-rc.d"
		mkdir -p "$0/etc/postgresql-common/createcluster.d"
		echo "create_main_cluster = false" >"$0/etc/postgresql-common/createcluster.d/none.conf"
		mount --rbind /proc "$0/proc"
		export DEBIAN_FRONTEND=noninteractive
		chroot "$0" apt-get -q update
		chroot "$0" apt-get -q -y --no-install-recommends install zabbix-server-pgsql zabbix-frontend-php \
			postgresql postgresql-client php8.4-cli php8.4-cgi php8.4-pgsql
		chroot "$0" apt-get clean' "$new" >"$work/tree.log" 2>&1 </dev/null ||
		{ rm -rf --one-file-system "$new"; tail -n 5 "$work/tree.log"; skip "cannot: no Debian 13 tree can be made here"; }
	mv -T "$new" "$cache/trixie"
}

database_start()
{
	local bin sql=$tree/usr/share/zabbix-server-pgsql f
	bin=$(printf '%s\n' "$tree"/usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	bin=${bin#"$tree"}
	mkdir "$work/db" "$work/sock" "$work/zabbix"
	(within chown postgres: "$work/db" "$work/sock")
	(within chown zabbix: "$work/zabbix")
	(cd / && within setpriv --reuid=postgres --regid=postgres --init-groups "$bin/initdb" -D "$work/db" -U zabbix -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync) >"$work/initdb.log" 2>&1 || fail "no database: $(tail -n 3 "$work/initdb.log")"
	serve postgres postgres "$bin/postgres" -D "$work/db" -k "$work/sock" -c listen_addresses= -c fsync=off \
		-c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB
	query() { (within psql -h "$work/sock" -U zabbix -qX -v ON_ERROR_STOP=1 "$@"); }
	wait_for 30 'query -d template1 -c "select 1" >/dev/null 2>&1' || fail "PostgreSQL does not answer: $(tail -n 3 "$work/postgres.log")"
	query -d template1 -c 'create database zabbix' || fail "no database"
	for f in schema images data; do
		zcat "$sql/$f.sql.gz" || fail "$sql/$f.sql.gz is missing"
		echo
	done | query -d zabbix -1 -c 'set session_replication_role = replica' -f - >"$work/import.log" 2>&1 ||
		fail "the schema is refused: $(tail -n 3 "$work/import.log")"
	query -d zabbix -c "update hosts set status = 1 where host = 'Zabbix server'" -c analyze
}

frontend_start()
{
	local php=php8.2 d
	[ -z "$tree" ] || php=php8.4
	cp -a "$tree/usr/share/zabbix" "$work/ui"
	find "$work/ui" -type l -delete
	for d in assets/fonts fonts; do
		mkdir -p "$work/ui/$d"
		cp "$tree/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf" "$work/ui/$d/" 2>/dev/null ||
			cp /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf "$work/ui/$d/"
	done
	# Debian's copy reads one fixed path, and wants a locale that bare systems have not.
	sed -i "s|const CONFIG_FILE_PATH = .*|const CONFIG_FILE_PATH = '$work/ui.conf.php';|" "$work/ui/include/classes/core/CConfigFile.php"
	sed -i 's|return zbx_locale_variants_unix(\(.*\));|return array_merge(zbx_locale_variants_unix(\1), ["C.UTF-8"]);|' \
		"$work/ui/include/locales.inc.php"
	cat >"$work/ui.conf.php" <<-END
		<?php
		\$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '$work/sock', 'PORT' => '0', 'DATABASE' => 'zabbix', 'USER' => 'zabbix',
			'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'DOUBLE_IEEE754' => true];
		\$ZBX_SERVER = '127.0.0.1';
		\$ZBX_SERVER_PORT = '$zabbix_port';
		\$ZBX_SERVER_NAME = 'test';
		\$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
	END
	PHP_CLI_SERVER_WORKERS=2 serve web www-data $php -d post_max_size=32M -d max_execution_time=300 -d max_input_time=300 \
		-d memory_limit=512M -d date.timezone=UTC -d display_errors=0 -S "127.0.0.1:$web" -t "$work/ui"
}

zabbix_start()
{
	[ "$1" = 6.0 ] || tree=$cache/trixie
	[ -z "$tree" ] || [ -d "$tree" ] || tree_make
	chmod 711 "$work"
	database_start
	cat >"$work/server.conf" <<-END
		ListenIP=127.0.0.1
		ListenPort=$zabbix_port
		SourceIP=127.0.0.1
		DBHost=$work/sock
		DBName=zabbix
		DBUser=zabbix
		LogType=console
		PidFile=$work/zabbix/server.pid
		SocketDir=$work/zabbix
		Timeout=10
		CacheUpdateFrequency=1
		UnreachablePeriod=10
		UnreachableDelay=2
		UnavailableDelay=2
		HousekeepingFrequency=0
		StartPollers=4
		StartPollersUnreachable=1
		StartPingers=0
		StartDiscoverers=$([ "$1" = 6.0 ] && echo 0 || echo 1)
		StartHTTPPollers=0
		StartLLDProcessors=1
		StartPreprocessors=2
	END
	serve server zabbix /usr/sbin/zabbix_server -f -c "$work/server.conf"
	frontend_start
	wait_for 60 'grep -q "server #0 started" "$work/server.log"' || fail "zabbix_server does not start: $(tail -n 5 "$work/server.log")"
	wait_for 30 'curl -fsS --noproxy "*" "http://127.0.0.1:$web/" >/dev/null 2>&1' || fail "no frontend: $(tail -n 3 "$work/web.log")"
	token=$(api user.login '{"username":"Admin","password":"zabbix"}' | jq -r .)
	[ -n "$token" ] || fail "no login"
}

zabbix_agent_start()
{
	# Its user is this system's, with another number than the tree's.
	mkdir "$work/agent" && chown zabbix: "$work/agent"
	printf '%s\n' "ListenIP=127.0.0.1" "ListenPort=$agent_port" "Server=127.0.0.1" "ServerActive=127.0.0.1:$zabbix_port" \
		"LogType=console" "PidFile=$work/agent/agent.pid" "Timeout=10" "StartAgents=2" "RefreshActiveChecks=60" "$@" >"$work/agent.conf"
	(
		exec </dev/null >>"$work/agent.log" 2>&1 8>&- 9>&-
		PATH=$B/bin:$PATH LOADCELL_CONFIG=$conf exec setsid setpriv --reuid=zabbix --regid=zabbix \
			--groups="$(stat -c %g "$run_dir")" -- /usr/sbin/zabbix_agentd -f -c "$work/agent.conf"
	) &
	zabbix_agent=$!
	servers=("$!" "${servers[@]}")
}

api()
{
	local answer
	# The parameters may be large: an imported template.
	answer=$(jq -c --arg m "$1" --arg t "$token" '{jsonrpc: "2.0", id: 1, method: $m, params: .} + if $t == "" then {} else {auth: $t} end' <<<"$2" |
		curl -sS --noproxy '*' --max-time 120 -H 'Content-Type: application/json-rpc' -d @- "http://127.0.0.1:$web/api_jsonrpc.php")
	jq -e 'has("result")' <<<"$answer" >/dev/null 2>&1 || { echo "api $1: $(jq -r '.error.data // .' <<<"$answer" 2>/dev/null || echo "$answer")" >&2; return 1; }
	jq -c .result <<<"$answer"
}

import()
{
	local rule='{"createMissing":true,"updateExisting":true}'
	api configuration.import "$(jq -n --rawfile f "$1" --argjson r "$rule" --arg v "$2" '{format: "yaml", source: $f, rules:
		({discoveryRules: $r, graphs: $r, items: $r, templates: $r, triggers: $r, valueMaps: $r,
		templateDashboards: $r, templateLinkage: {createMissing: true}} + if $v == "6.0" then {groups: $r} else
		{template_groups: $r, host_groups: $r} end)}')" >/dev/null
}

values()
{
	api item.get "$(jq -n --arg h "$1" '{host: $h, filter: {status: 0}, output: ["key_", "state", "lastclock", "lastvalue", "error", "history", "type"]}')" |
		jq -r '.[] | [.key_, .state, .lastclock, (.lastvalue | gsub("[\n\t]"; " ") | .[:60]), .error, .history] | @tsv'
}
