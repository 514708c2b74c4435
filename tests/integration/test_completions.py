# SPDX-License-Identifier: MIT
"""Completion of uds-echo in bash, zsh and fish."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from uds import ALL, CLIENT, STREAM, Units, listening, run

COMPLETIONS = Path(__file__).parents[2] / "completions"
COMMANDS = ["send", "ping", "whoami", "check", "bench"]


def bash(*words, environment=None, **more):
    """What bash would complete the last of the words to."""
    # An equals sign is a word of its own (COMP_WORDBREAKS).
    words = [piece for word in ("uds-echo", *words)
             for piece in (re.split("(=)", word) if word.startswith("--") else [word])]
    # Behind the sign there is no word until something has been typed.
    if len(words) > 1 and words[-1] == "" and words[-2] == "=":
        words.pop()
    script = f"""
        source {shlex.quote(str(COMPLETIONS / "uds-echo.bash"))}
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        [[ $(complete -p uds-echo) == *' -F _uds_echo '* ]] && _uds_echo
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = run("bash", "--norc", "--noprofile", "-c", script,
               env={**os.environ, "XDG_RUNTIME_DIR": "", **(environment or {})}, **more)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


def fish(line, environment=None, **more):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = f"source {shlex.quote(str(COMPLETIONS / 'uds-echo.fish'))}; complete --do-complete {shlex.quote(line)}"
    done = run("fish", "--no-config", "-c", script,
               env={**os.environ, "XDG_RUNTIME_DIR": "", **(environment or {})}, **more)
    assert done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def options_of(command):
    """The long options that the manual page has for the command, its own and those of all."""
    help_text = run(CLIENT, "help", command).stdout
    return set(re.findall(r"^ {4}(?:-\w, )?(--[\w-]+)", help_text, re.M))


@pytest.fixture
def places(tmp_path):
    """A directory with a socket, another file and a folder; and sockets of a user's own service."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("no socket\n")
    (tmp_path / "runtime" / "uds-echo").mkdir(parents=True)
    sockets = [listening(STREAM, str(tmp_path / "my socket")),
               listening(STREAM, str(tmp_path / "runtime/uds-echo/stream.sock"))]
    yield tmp_path
    for server in sockets:
        server.close()


@pytest.mark.parametrize("shell, file", [("bash", "uds-echo.bash"), ("zsh", "_uds-echo"), ("fish", "uds-echo.fish")])
def test_completions_can_be_read_by_their_shell(shell, file):
    if shell != "bash" and not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = run(shell, "-n", str(COMPLETIONS / file))
    assert (done.returncode, done.stderr) == (0, "")


# --- bash. ------------------------------------------------------------------------------------------------------


def test_bash_completes_commands():
    assert bash("") == [*COMMANDS, "help", "--help", "--version"]
    assert bash("p") == ["ping"]
    assert bash("help", "") == COMMANDS
    assert bash("help", "ping", "") == [] and bash("dance", "") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_completes_the_options_that_the_manual_page_has(command):
    assert {word.rstrip("=") for word in bash(command, "--")} == options_of(command)


def test_bash_completes_values_of_options():
    assert bash("ping", "--type=") == ["stream", "seqpacket", "dgram"] == bash("ping", "-t", "")
    assert bash("ping", "--type=s") == ["stream", "seqpacket"] == bash("ping", "--type", "s")
    assert bash("bench", "--sizes=64,") == ["64,1K,16K,64K"]
    assert bash("ping", "--count=") == [] == bash("ping", "-c", "")


def test_bash_completes_sockets_and_the_folders_on_the_way(places):
    assert sorted(bash("ping", f"{places}/")) == [f"{places}/{name}" for name in ("folder", "my socket", "runtime")]
    assert bash("ping", "m", cwd=places) == ["my socket"]
    assert bash("ping", "--type=stream", "-w", "1s", "m", cwd=places) == ["my socket"]
    assert "file" in bash("bench", "--svg=", cwd=places)
    mine = str(places / "runtime/uds-echo/stream.sock")
    own = bash("ping", "", cwd=places, environment={"XDG_RUNTIME_DIR": str(places / "runtime")})
    assert mine in own and "my\\ socket" in own and "folder/" in own and "file" not in own
    assert mine not in bash("whoami", "", cwd=places, environment={"XDG_RUNTIME_DIR": str(places / "runtime")})


def test_bash_completes_as_many_sockets_as_the_command_takes(places):
    assert bash("ping", "@one", "m", cwd=places) == []
    assert bash("send", "./my socket", "m", cwd=places) == []
    assert bash("bench", "@one", "m", cwd=places) == ["my socket"]


def test_what_would_be_text_is_not_completed_as_a_socket_to_send_to(places):
    assert bash("send", "m", cwd=places) == [] and bash("send", "./m", cwd=places) == ["./my socket"]
    assert not any("my" in word for word in fish("uds-echo send m", cwd=places))
    assert any("my" in word for word in fish("uds-echo send ./m", cwd=places))


@pytest.mark.systemd
def test_bash_completes_sockets_of_the_units(units):
    Units("uds-whoami").reset()
    units.start()
    found = bash("ping", "", cwd="/var/empty" if Path("/var/empty").is_dir() else "/proc/self/net")
    assert set(units.path(kind) for kind in ALL) <= set(found)


# --- fish and zsh. ----------------------------------------------------------------------------------------------


def test_fish_completes_commands_options_and_sockets(places):
    assert set(fish("uds-echo ")) >= {*COMMANDS, "help"}
    assert fish("uds-echo pi") == ["ping"]
    assert set(fish("uds-echo help ")) == set(COMMANDS)
    for command in COMMANDS:
        assert {word.rstrip("=") for word in fish(f"uds-echo {command} --")} == options_of(command)
    assert set(fish("uds-echo ping --type=")) == {f"--type={kind}" for kind in ALL}
    assert set(fish("uds-echo ping -t ")) == set(ALL)
    mine = str(places / "runtime/uds-echo/stream.sock")
    assert mine in fish("uds-echo ping ", environment={"XDG_RUNTIME_DIR": str(places / "runtime")})
    assert "my\\ socket" in fish("uds-echo ping m", cwd=places) or "my socket" in fish("uds-echo ping m", cwd=places)


# Types a line and a Tab into a zsh of its own; writes what it shows, up to all of the words behind.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "stty -echo; fpath=($1 \$fpath); autoload -U compinit; compinit -D; cd $2"
zpty -w shell "LISTMAX=0; setopt no_always_last_prompt; bindkey '^I' list-choices; PS1=RE''ADY"
zpty -r shell output '*READY*'
zpty -w -n shell "$3"$'\t'
shift 3
output= missing=1
for turn in {1..100}; do
    while zpty -r -t shell more; do output+=$more; done
    missing=
    for word; do [[ $output == *$word* ]] || missing+=" $word"; done
    [[ $missing ]] || break
    sleep 0.1
done
zpty -d shell
[[ ! $missing ]] || print -r -- "not shown:$missing; shown: $output"
"""


def zsh_lacks(places, line, *words):
    """What of the words zsh does not show, in words."""
    done = run("zsh", "-f", "-c", ZSH, "zsh", str(COMPLETIONS), str(places), line, *words,
               env={**os.environ, "TERM": "dumb", "COLUMNS": "200", "XDG_RUNTIME_DIR": str(places / "runtime")})
    return done.stdout + done.stderr


def test_zsh_completes_commands_options_and_sockets(places):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    assert zsh_lacks(places, "uds-echo ", *COMMANDS, "help") == ""
    for command in COMMANDS:
        assert zsh_lacks(places, f"uds-echo {command} --", *options_of(command)) == ""
    assert zsh_lacks(places, "uds-echo ping --type=", *ALL) == ""
    assert zsh_lacks(places, "uds-echo ping ", "my\\ socket", "folder", "uds-echo/stream.sock") == ""
