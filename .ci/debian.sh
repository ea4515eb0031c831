# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Packages of any Debian release, fetched from the mirror that apt on this machine uses, or $GUEST_MIRROR, and
# unpacked into a directory: nothing is installed, and no root needed. Sourced by the prepare.sh of test/guest,
# test/elsewhere and device/qemu, which set $new, a directory for what is on its way, and $log.
#
# What is missing and not ours to bring (mirror, tools) ends the script with status 77 and one line.

# What use_suite has lists of; deb-src for sources, which not every mirror serves.
package_types=(deb)
# And for which architecture, as Debian calls it.
architecture=amd64

say()
{
    printf 'guest: %s\n' "$*"
}

missing()
{
    printf 'guest: %s\n' "$*" >&2
    exit 77
}

# The first error in a log of apt, or its last line.
complaint()
{
    { grep '^E: ' "$1" || tail -n 1 "$1"; } | sed -n 1p | cut -c 1-300
}

# The mirrors that apt on this machine takes Debian itself from.
mirrors()
{
    if [ -n "${GUEST_MIRROR-}" ]; then
        echo "$GUEST_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 2>&1 |
        awk '$2 !~ /security|-updates|-backports|-proposed/ && $1 ~ /\/debian\/?$/ { print $1 }' | sort -u
}

# use_suite SUITE MIRROR: apt's state, apart from the machine's; sets $apt. The machine's own settings
# (proxies, credentials, certificates) hold.
use_suite()
{
    local state=$new/apt-$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/parts"
    : >"$state/status"
    printf "%s [arch=$architecture signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $2 $1 main\\n" \
        "${package_types[@]}" >"$state/sources.list"
    apt=(-q -o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=$state/parts"
        -o "Dir::Etc::preferences=/dev/null" -o "Dir::Etc::preferencesparts=$state/parts"
        -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status"
        -o "Dir::State::extended_states=$state/extended" -o "Dir::Cache=$state/cache"
        -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o APT::Sandbox::User=root
        -o Debug::NoLocking=true -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
        -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
        -o APT::Update::Error-Mode=any)
}

# open_suite SUITE: with package lists of the first mirror that has them.
open_suite()
{
    local mirror found=no
    for mirror in $(mirrors); do
        use_suite "$1" "$mirror"
        if apt-get "${apt[@]}" update >"$log" 2>&1 </dev/null; then return 0; fi
        found=yes
    done
    [ "$found" = yes ] || missing "no Debian mirror among apt's sources; GUEST_MIRROR=URI names one"
    missing "no package list of Debian $1 from the mirror: $(complaint "$log")"
}

# unpack DEB DIRECTORY. Debian's /bin, /lib and so on are links there.
unpack()
{
    dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner \
        --no-same-permissions --exclude=./usr/share/doc --exclude=./usr/share/locale \
        --exclude=./usr/share/man
}

# fetch_packages SUITE TREE PACKAGE...: these packages of the suite that was opened, with all that they need, become
# the directory TREE.
fetch_packages()
{
    local suite=$1 tree=$2 name
    shift 2
    say "fetching from Debian $suite: $*"
    apt-get "${apt[@]}" install -y --no-install-recommends --download-only "$@" \
        >"$log" 2>&1 </dev/null || missing "packages of Debian $suite: $(complaint "$log")"
    for name in bin sbin lib lib64; do
        mkdir -p "$tree/usr/$name"
        ln -s "usr/$name" "$tree/$name"
    done
    for name in "$new/apt-$suite"/cache/archives/*.deb; do
        unpack "$name" "$tree"
        # shellcheck disable=SC2016 # dpkg's own variables
        dpkg-deb --show --showformat '${Package} ${Version}\n' "$name" >>"$tree/.packages"
    done
}
