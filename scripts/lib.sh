# What the scripts beside this file share: find Rust, install what is missing, pick cores.
# Sourced by bash with `set -euo pipefail`; it changes into the repository's root.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# What a build needs, by Debian package name.
# shellcheck disable=SC2034  # used by the scripts that source this file
BUILD_PACKAGES=(clang libbpf-dev linux-libc-dev libc6-dev gcc)

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs a command as root; says so plainly where that cannot be.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "\`$*\` needs root, and there is no sudo: run this script as root"
    fi
}

# The program or file whose presence means that a package is there. Looking for what is used,
# not for the package, lets other distributions and hand-made tools pass too.
probe_of() {
    case $1 in
        libbpf-dev) echo /usr/include/bpf/bpf_helpers.h ;;
        linux-libc-dev) echo /usr/include/linux/if_xdp.h ;;
        libc6-dev) echo /usr/include/stdlib.h ;;
        iproute2) echo ip ;;
        iputils-ping) echo ping ;;
        openvswitch-switch) echo ovs-vswitchd ;;
        frr) echo vtysh ;;
        procps) echo sysctl ;;
        util-linux) echo nsenter ;;
        netcat-openbsd) echo nc.openbsd ;;
        *) echo "$1" ;;
    esac
}

# Prints those of the named packages whose probe is not there. /usr/sbin is looked at too: a
# plain user's PATH lacks it on Debian.
missing_of() {
    local package probe
    for package in "$@"; do
        probe=$(probe_of "$package")
        [[ $probe == /* && -e $probe ]] && continue
        PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null || echo "$package"
    done
}

# Installs, by apt, only those of the named packages that are not there.
install_missing() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "not found: ${missing[*]} (names of Debian packages). There is no apt-get here: install them by hand"
    echo "installing: ${missing[*]}"
    as_root bash -c "$(declare -f apt_install); apt_install \"\$@\"" apt_install "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]} (its messages are above)"
}

# The part of install_missing that runs as root. No service is left running or enabled: what
# uses Open vSwitch or FRR here starts its own, in its own namespace. policy-rc.d is how Debian tells
# packages not to start what they bring.
apt_install() {
    local policy=/usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    if [[ ! -e $policy ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    local quiet=(-qq -o DPkg::Lock::Timeout=120)
    apt-get "${quiet[@]}" update >&2 || return
    apt-get "${quiet[@]}" -y --no-install-recommends install "$@" >&2 || return
    local service
    for service in openvswitch-switch frr; do
        if [[ " $* " == *" $service "* ]]; then
            update-rc.d "$service" disable >/dev/null 2>&1 || true
        fi
    done
}

# Puts a cargo that is new enough into PATH, or says how to come by one.
find_cargo() {
    local wanted home has
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    wanted=${wanted:-1.95}
    home=${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}
    export HOME=$home
    local bin=${CARGO_HOME:-$home/.cargo}/bin
    [[ -x $bin/cargo ]] && PATH="$bin:$PATH"
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        if [[ -n ${SUDO_USER:-} && $SUDO_USER != root ]]; then
            die "no cargo for root: run this as $SUDO_USER, without sudo; it calls sudo itself where it must"
        fi
        die "no cargo: get Rust $wanted or newer from https://rustup.rs, then run this again"
    fi
    has=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "${has%%-*}" | sort -V | head -n1) == "$wanted" ]] ||
        die "rustc $has is too old, Rust $wanted or newer is needed: \`rustup update stable\`, or https://rustup.rs"
}

# The cores that this process may run on, one a line. They need not start at 0 in a container.
allowed_cores() {
    local range
    sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' '\n' |
        while read -r range; do seq "${range%-*}" "${range#*-}"; done
}
