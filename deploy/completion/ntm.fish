# fish completion for ntm and its daemons; the words come from the programs' own tables.
function __ntm_words
	set -l words (commandline -opc)
	set -l verb
	if test $words[1] = ntm
		for word in $words[2..-1]
			if not string match -q -- '-*' $word
				set verb $word
				break
			end
		end
	end
	ntm completion-data $words[1] $verb 2>/dev/null
end
for program in ntm ntmd ntm-server ntm-as ntm-dc ntm-rs ntm-exit
	complete -c $program -f -a '(__ntm_words)'
end
