# fish completion for pybpftool
function __pybpftool_words
    set -lx _PYBPFTOOL_COMPLETE fish_complete
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -t)
    for line in (pybpftool 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case file
                __fish_complete_path $COMP_CWORD
            case '*'
                echo $parts[2]
        end
    end
end
complete -c pybpftool -f -a '(__pybpftool_words)'
