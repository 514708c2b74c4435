# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of uds-echo(1) for bash. It needs nothing of the package bash-completion but to be loaded.

# _uds_echo_sockets COMMAND: the sockets of the installed units, a line each, that are there.
_uds_echo_sockets() {
    local directory directories name
    case $1 in
    whoami) directories=(/run/uds-whoami) ;;
    check) directories=(/run/uds-{echo,auth,whoami}) ;;
    *) directories=(/run/uds-{echo,auth}) ;;
    esac
    if [[ -n ${XDG_RUNTIME_DIR-} && $1 != whoami ]]; then
        directories+=("$XDG_RUNTIME_DIR/uds-echo")
    fi
    for directory in "${directories[@]}"; do
        for name in stream seqpacket dgram; do
            if [[ -S $directory/$name.sock ]]; then
                printf '%s\n' "$directory/$name.sock"
            fi
        done
    done
}

# Sockets and directories that begin with $cur; if there is nothing yet to go by, those of the units, too.
# What has no slash is no socket for "send", but text.
_uds_echo_socket() {
    local path known=()
    if [[ -z $cur ]]; then
        mapfile -t known < <(_uds_echo_sockets "$command")
    fi
    if [[ ${#known[@]} -eq 0 ]]; then
        compopt -o filenames 2>/dev/null
    fi
    while IFS= read -r path; do
        if [[ ${#known[@]} -eq 0 ]]; then
            COMPREPLY+=("$path")
        elif [[ -d $path ]]; then
            printf -v path '%q/' "$path"
            known+=("$path")
        else
            printf -v path '%q' "$path"
            known+=("$path")
        fi
    done < <(compgen -d -- "$cur"; compgen -f -- "$cur" | while IFS= read -r path; do
        # A ~ is still to be replaced.
        if [[ -S ${path/#\~\//$HOME/} && ($command != send || $path == */*) ]]; then
            printf '%s\n' "$path"
        fi
    done)
    COMPREPLY+=("${known[@]}")
}

_uds_echo_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# The value of an option. Fails if it takes none, or is not known.
_uds_echo_value() {
    case $1 in
    --type | -t) _uds_echo_words 'stream seqpacket dgram' ;;
    --timeout | -w) _uds_echo_words '500ms 1s 5s 30s infinity' ;;
    --interval | -i) _uds_echo_words '0 10ms 100ms 1s' ;;
    --size | -s) _uds_echo_words '64 1K 16K 64K' ;;
    --sizes) _uds_echo_words '64 1K 64,1K,16K,64K' ;;
    --connections) _uds_echo_words '1 16 1,16' ;;
    --window) _uds_echo_words '1 16 1,16' ;;
    --duration) _uds_echo_words '2s 10s 30s' ;;
    --svg | --html)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    --count | -c | --rounds | --threads | --cpu | --rate) ;;
    *) return 1 ;;
    esac
}

_uds_echo_options() {
    local words='--type= --json --timeout= --help'
    case $command in
    ping) words+=' --count= --interval= --size= --quiet --reconnect' ;;
    bench)
        words+=' --sizes= --connections= --window= --duration= --rounds= --threads= --cpu= --busy-poll --connect'
        words+=' --rate= --svg= --html='
        ;;
    esac
    _uds_echo_words "$words"
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

# How many arguments stand before the one that is completed, options and their values not counted.
_uds_echo_arguments() {
    local index count=0 word before
    for ((index = 2; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]} before=${COMP_WORDS[index - 1]}
        # --option=value is three words here.
        case $word:$before in
        -* | =:* | *:=) ;;
        *:-[twcis] | *:--type | *:--timeout | *:--count | *:--interval | *:--size) ;;
        *:--sizes | *:--connections | *:--window | *:--duration | *:--rounds | *:--threads | *:--cpu | *:--rate) ;;
        *:--svg | *:--html) ;;
        *) ((count++)) ;;
        esac
    done
    echo "$count"
}

_uds_echo() {
    local commands='send ping whoami check bench help'
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        _uds_echo_words "$commands --help --version"
        return
    fi
    if [[ $command == help ]]; then
        [[ $COMP_CWORD -eq 2 ]] && _uds_echo_words "${commands% help}"
        return
    fi
    if [[ " $commands " != *" $command "* ]]; then
        return
    fi
    if [[ $cur == = ]]; then
        cur=
        _uds_echo_value "$before"
        return
    fi
    if [[ $before == = ]]; then
        _uds_echo_value "${COMP_WORDS[COMP_CWORD - 2]}"
        return
    fi
    if _uds_echo_value "$before"; then
        return
    fi
    if [[ $cur == -* ]]; then
        _uds_echo_options
    elif [[ $command == bench || $(_uds_echo_arguments) -eq 0 ]]; then
        _uds_echo_socket
    fi
}

complete -F _uds_echo uds-echo
