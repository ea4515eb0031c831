# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: BSD-3-Clause
# Build directories, for ./run and ./check; sourced by them, with the root of the tree as $root.

# Whether DIR has been set up by Meson for this tree. It has not if the tree was copied or moved with its
# build directories: Ninja would go on building the old place.
configured_here()
{
    [ -f "$1/build.ninja" ] && grep -qF "\"source\": \"$root\"" "$1/meson-info/meson-info.json"
}

# configure DIR OPTION...: sets DIR up afresh with these options of Meson's, or leaves it as it is if it was
# set up so already.
configure()
{
    local dir=$1 wanted
    shift
    wanted="meson $(meson --version), ${CC:-cc} ${CXX:-c++}: $*"
    if configured_here "$dir" && [ "$(cat "$dir/configured-with" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    rm -rf "$dir"
    meson setup "$dir" --wrap-mode=nodownload -Db_colorout=never "$@" &&
        printf '%s\n' "$wanted" >"$dir/configured-with"
}
