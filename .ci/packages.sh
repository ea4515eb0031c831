# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# Installs Debian packages that are missing, for ./run and ./check; sourced by them. Says what it did in
# one line. Needs root or sudo only when something is missing.

# What ./run needs: to build the library and vionet-replay.
run_packages=(gcc libc6-dev meson ninja-build pkgconf libglib2.0-dev libpcap-dev)

# What ./check needs besides: the other compiler with its sanitizers and libFuzzer, every optional
# dependency, the tools that the checks call, what test/guest/prepare.sh takes to fetch guests, and
# device/qemu/prepare.sh to unpack and configure QEMU.
check_packages=("${run_packages[@]}" g++ clang libclang-rt-dev llvm clang-format libjson-glib-dev libseccomp-dev
    libslirp-dev tshark valgrind python3 git debian-archive-keyring dpkg-dev libpixman-1-dev libfdt-dev
    python3-venv afl++ strace cppcheck)

# And what ./check --long needs: compilers for other architectures and what runs their programs; a check of the library's
# interface.
long_packages=(gcc-aarch64-linux-gnu gcc-i686-linux-gnu gcc-s390x-linux-gnu qemu-user-static abigail-tools)

# Prints those of the packages named that are not installed.
missing_packages()
{
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

# apt_install LOG PACKAGE...: all at once, a second time with the package lists fetched anew, and at last one by
# one, so that a package which cannot be had does not keep out the others.
apt_install()
{
    local log=$1 package failed=0
    shift
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300
        -o Acquire::Retries=3)
    if [ "$(id -u)" -ne 0 ]; then
        # Without a terminal there is nobody to ask for a password.
        if [ -t 0 ]; then apt=(sudo "${apt[@]}"); else apt=(sudo -n "${apt[@]}"); fi
    fi
    local install=("${apt[@]}" install --no-install-recommends)
    : >"$log"
    if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
        "${install[@]}" "$@" >>"$log" 2>&1 </dev/null && return 0
    fi
    "${apt[@]}" update >>"$log" 2>&1 </dev/null
    "${install[@]}" "$@" >>"$log" 2>&1 </dev/null && return 0
    for package in "$@"; do
        "${install[@]}" "$package" >>"$log" 2>&1 </dev/null || failed=1
    done
    return "$failed"
}

# install_packages LOG PACKAGE...: fails if something stays missing.
install_packages()
{
    local log=$1 missing
    shift
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "not a Debian system: going on with what is here (Debian's names of what is needed: $*)"
        return 0
    fi
    mapfile -t missing < <(missing_packages "$@")
    if [ "${#missing[@]}" -eq 0 ]; then
        echo "nothing to install"
        return 0
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "missing, and neither root nor sudo to install: ${missing[*]}"
        return 1
    fi
    echo "installing: $(join_words "${missing[@]}")"
    if ! apt_install "$log" "${missing[@]}"; then
        mapfile -t missing < <(missing_packages "${missing[@]}")
        echo "could not install: $(join_words "${missing[@]}"); the end of $log:"
        tail -n 15 "$log"
        return 1
    fi
    echo "installed: $(join_words "${missing[@]}")"
}

# join_words A B C: "A, B, C"
join_words()
{
    local words
    words=$(printf '%s, ' "$@")
    printf '%s' "${words%, }"
}
