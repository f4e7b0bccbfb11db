# bash completion for ntm and its daemons; the words come from the programs' own tables.
_ntm()
{
	local cur=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]##*/} verb= word
	COMPREPLY=()
	# "=" is a word of its own to bash: complete what follows it as a file name.
	if [[ $cur == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "${cur#=}")
		return
	fi
	if [[ $program == ntm ]]; then
		for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
			[[ $word == -* || $word == = ]] && continue
			verb=$word
			break
		done
	fi
	mapfile -t COMPREPLY < <(compgen -W "$(ntm completion-data "$program" ${verb:+"$verb"} 2>/dev/null)" -- "$cur")
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _ntm ntm ntmd ntm-server ntm-as ntm-dc ntm-rs ntm-exit
