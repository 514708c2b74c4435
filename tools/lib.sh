# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tools share: words on the terminal, packages, builds. Sourced, not run.

# The top of the source tree.
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian's own interpreter: that is the one its python3-pytest belongs to.
# shellcheck disable=SC2034 # used by those who source this
PYTHON=/usr/bin/python3

say() {
    if [[ -t 1 && -z ${NO_COLOR-} ]]; then
        printf '\033[1m==> %s\033[0m\n' "$*"
    else
        printf '==> %s\n' "$*"
    fi
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

is_root() {
    [[ $(id -u) -eq 0 ]]
}

is_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Abbrev}' "$1" 2>/dev/null) == ?i* ]]
}

# need_packages PACKAGE…: installs Debian packages that are missing; a|b is met by either, and the first of
# the two that there is gets installed. Elsewhere than on Debian, or without the right to install, it says
# what to install and goes on: what is really missing shows itself in a moment.
need_packages() {
    local entry missing=()
    if ! command -v dpkg-query apt-get >/dev/null; then
        say "This is no Debian: the following (or what is like it here) has to be installed: $*"
        return
    fi
    for entry; do
        if ! is_installed "${entry%|*}" && ! is_installed "${entry#*|}"; then
            missing+=("$entry")
        fi
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        return
    fi
    if ! is_root; then
        say "Not root, so nothing is installed. Missing: ${missing[*]}"
        return
    fi
    say "Installing ${missing[*]}"
    local log=$TOP/build/apt-get.log
    mkdir -p "$TOP/build"
    if ! { apt-get update && choose_and_install "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        fail "packages could not be installed (above is what apt-get said)"
    fi
}

choose_and_install() {
    local entry chosen=()
    for entry; do
        if apt-cache show "${entry%|*}" >/dev/null 2>&1; then
            chosen+=("${entry%|*}")
        else
            chosen+=("${entry#*|}")
        fi
    done
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${chosen[@]}"
}

# What it takes to build, and to boot a systemd over this machine's root. systemd-dev holds systemd.pc where
# the package systemd no longer does.
# shellcheck disable=SC2034
BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config libsystemd-dev 'systemd-dev|systemd' libjansson-dev scdoc)
# shellcheck disable=SC2034
MACHINE_PACKAGES=(systemd systemd-container dbus libpam-systemd util-linux procps)
# What tools/machine exits with if no systemd can be booted.
# shellcheck disable=SC2034
CANNOT_BOOT=125

# build DIR [MESON-OPTION…]: configures DIR, or configures it anew, and builds it.
build() {
    local dir=$1
    shift
    # A build folder knows where its source tree is, and is of no use to one that was moved or copied.
    if [[ -e $dir && $(cat "$dir/source-tree" 2>/dev/null) != "$TOP" ]]; then
        rm -rf "$dir"
    fi
    if [[ -e $dir/build.ninja ]]; then
        meson configure "$dir" "$@" >/dev/null
    else
        meson setup "$dir" "$TOP" "$@" >/dev/null || fail "meson setup failed: see $dir/meson-logs/meson-log.txt"
        echo "$TOP" >"$dir/source-tree"
    fi
    meson compile -C "$dir" >"$dir/compile.log" 2>&1 || {
        cat "$dir/compile.log" >&2
        fail "the build in $dir failed"
    }
}

# stage BUILD-DIR DIR: lays what BUILD-DIR installs under DIR.
stage() {
    rm -rf "$2"
    DESTDIR=$2 meson install -C "$1" --no-rebuild --quiet
}

# in_machine BUILD-DIR COMMAND…: tools/machine with what BUILD-DIR/stage holds. It ends when this shell ends,
# however that ends, and signals that this shell gets are passed on.
in_machine() {
    local dir=$1 status=0 machine
    shift
    setpriv --pdeathsig TERM -- "$TOP/tools/machine" --overlay "$dir/stage" "$@" <&0 &
    machine=$!
    # shellcheck disable=SC2064
    trap "kill -TERM $machine 2>/dev/null; wait $machine 2>/dev/null; exit 130" INT TERM HUP
    wait "$machine" || status=$?
    trap - INT TERM HUP
    return $status
}

# drop_in STAGE NAME LINE…: for all our services. In a LINE, @COMMAND@ is what the unit starts.
drop_in() {
    local stage=$1 name=$2 unit directory command
    shift 2
    for unit in system/uds-{echo,echo@,auth,whoami}.service user/uds-echo.service; do
        directory=$stage/etc/systemd/$unit.d
        mkdir -p "$directory"
        command=$(find "$stage" -path "*/systemd/$unit" -exec sed -n 's/^ExecStart=//p' {} +)
        { echo '[Service]' && printf '%s\n' "${@//@COMMAND@/$command}"; } >"$directory/$name.conf"
    done
}

# run_pytest BUILD-DIR SCALE PYTEST-ARGUMENT…: SCALE is how much the laboratory (tests/faults) does.
run_pytest() {
    local dir=$1 scale=$2
    shift 2
    UDS_ECHO_BUILD=$dir UDS_ECHO_SWARM=$dir/tests/faults/swarm UDS_ECHO_FAULTS_SCALE=$scale \
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TOP/tests/integration \
        "$PYTHON" -m pytest --quiet -rs --durations=20 --durations-min=5 -p no:cacheprovider "$@"
}
