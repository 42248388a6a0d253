# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of loadcell(1) for bash. Commands and options are those that the program tells.
_loadcell()
{
	local program=$1 cur=$2 prev=$3 command='' i=1
	local -a with=()
	COMPREPLY=()
	while [ "$i" -lt "$COMP_CWORD" ]; do
		case ${COMP_WORDS[i]} in
		-c | --config) with=(-c "${COMP_WORDS[++i]}") ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
		i=$((i + 1))
	done
	case $prev in
	-c | --config | -o | --output | --file | --from-json)
		compopt -o default
		return
		;;
	--directory)
		compopt -o dirnames
		return
		;;
	esac
	case $command:$cur in
	*:-*)
		# shellcheck disable=SC2086
		mapfile -t COMPREPLY < <(compgen -W "$("$program" $command --help 2>/dev/null |
			sed -n '/^options:/,$ { s/^  //; s/  .*//; p; }' |
			grep -o -- '-[-a-z]*')" -- "$cur")
		;;
	:*)
		mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null |
			sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")
		;;
	hooks:*) mapfile -t COMPREPLY < <(compgen -W 'install remove status' -- "$cur") ;;
	zabbix:*)
		mapfile -t COMPREPLY < <(compgen -W "$("$program" metrics --json 2>/dev/null |
			grep -o '"name":"[^"]*"' | cut -d '"' -f 4)" -- "$cur")
		;;
	list:* | show:* | runs:* | events:* | graph:* | report:*)
		# Names may hold anything that a shell minds.
		local name
		while IFS= read -r name; do
			case $name in "$cur"*) COMPREPLY+=("$(printf %q "$name")") ;; esac
		done < <("$program" "${with[@]}" list --json 2>/dev/null |
			grep -o '"handle":"[^"\\]*"' | cut -d '"' -f 4)
		;;
	esac
}
complete -F _loadcell loadcell
