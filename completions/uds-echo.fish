# SPDX-License-Identifier: MIT
#
# Completion of uds-echo(1) for fish.

# The sockets of the installed units that are there.
function __uds_echo_sockets
    set -l directories /run/uds-echo /run/uds-auth
    if __fish_seen_subcommand_from whoami
        set directories /run/uds-whoami
    else
        if __fish_seen_subcommand_from check
            set -a directories /run/uds-whoami
        end
        if set -q XDG_RUNTIME_DIR
            set -a directories $XDG_RUNTIME_DIR/uds-echo
        end
    end
    for directory in $directories
        for name in stream seqpacket dgram
            if test -S $directory/$name.sock
                printf '%s\tsocket of a service\n' $directory/$name.sock
            end
        end
    end
end

complete -c uds-echo -f

set -l commands send ping whoami check bench help
set -l none "not __fish_seen_subcommand_from $commands"
set -l ping '__fish_seen_subcommand_from ping'
set -l bench '__fish_seen_subcommand_from bench'
set -l with_socket '__fish_seen_subcommand_from send ping whoami check bench; and not __fish_seen_subcommand_from help'

complete -c uds-echo -n $none -a send -d 'Send a text, or standard input, and print what comes back'
complete -c uds-echo -n $none -a ping -d 'Send messages and tell how long each takes'
complete -c uds-echo -n $none -a whoami -d 'Tell who the service sees'
complete -c uds-echo -n $none -a check -d 'Find out what is wrong with a socket'
complete -c uds-echo -n $none -a bench -d 'Measure latency and throughput of sockets'
complete -c uds-echo -n $none -a help -d 'Show what the manual page says of a command'
complete -c uds-echo -n $none -s h -l help -d 'Show a short help'
complete -c uds-echo -n $none -l version -d 'Show the version'
complete -c uds-echo -n '__fish_seen_subcommand_from help' -a 'send ping whoami check bench'

complete -c uds-echo -n $with_socket -a '(__uds_echo_sockets)'
# What has no slash is no socket for "send", but text.
complete -c uds-echo -n "$with_socket; and not __fish_seen_subcommand_from send" -F
complete -c uds-echo -n "__fish_seen_subcommand_from send; and string match --quiet '*/*' -- (commandline -ct)" -F
complete -c uds-echo -n $with_socket -s t -l type -x -a 'stream seqpacket dgram' -d 'Insist on a type'
complete -c uds-echo -n $with_socket -s j -l json -d 'Write the facts for programs'
complete -c uds-echo -n $with_socket -s w -l timeout -x -a '500ms 1s 5s 30s infinity' -d 'Wait that long for an answer'
complete -c uds-echo -n $with_socket -s h -l help -d 'Show what the manual page says of the command'

complete -c uds-echo -n $ping -s c -l count -x -d 'Send that many messages'
complete -c uds-echo -n $ping -s i -l interval -x -a '0 10ms 100ms 1s' -d 'Send a message each'
complete -c uds-echo -n $ping -s s -l size -x -a '64 1K 16K 64K' -d 'Bytes a message'
complete -c uds-echo -n $ping -s q -l quiet -d 'Write the summary alone'
complete -c uds-echo -n $ping -l reconnect -d 'Go on after the connection broke'

complete -c uds-echo -n $bench -l sizes -x -a '64 1K 64,1K,16K,64K' -d 'Bytes a message, separated by commas'
complete -c uds-echo -n $bench -l connections -x -a '1 16 1,16' -d 'Connections at once, separated by commas'
complete -c uds-echo -n $bench -l window -x -a '1 16 1,16' -d 'Messages in flight, separated by commas'
complete -c uds-echo -n $bench -l duration -x -a '2s 10s 30s' -d 'Time for each point and socket'
complete -c uds-echo -n $bench -l rounds -x -d 'Rounds that the time is divided into'
complete -c uds-echo -n $bench -l threads -x -d 'Threads of the client'
complete -c uds-echo -n $bench -l cpu -x -d 'Processor that the client runs on'
complete -c uds-echo -n $bench -l busy-poll -d 'Look for replies instead of sleeping'
complete -c uds-echo -n $bench -l connect -d 'A new connection for each message'
complete -c uds-echo -n $bench -l rate -x -d 'Messages a second, on schedule'
complete -c uds-echo -n $bench -l svg -r -F -d 'Write a picture'
complete -c uds-echo -n $bench -l html -r -F -d 'Write a page'
