#!/usr/bin/env bash
# `ser-edge bundle` on emulated Debian without network: a bundle installed on arm64, a package
# installed, upgraded and removed there, and both on armhf; a recording classified after each.
# Prints a log; for the committed one:
#   sudo docs/prove_bundle.sh PLACE [CASE...] 2>&1 | tee docs/prove_bundle.txt
# PLACE is a folder to keep the systems in. Cases: arm64-bundle arm64-deb armhf-bundle armhf-deb.
# Needs Debian 12 with qemu-user-static, a kernel of 6.7 or later (emulation is registered in a
# namespace of the script's own), root, and in $PYTHON an environment with ser-edge and pip.
# In each case the programs of the emulated system run alone, its shell and dpkg among them.
# shellcheck disable=SC2016 # what is quoted is expanded in that system
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
place=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- arm64-bundle arm64-deb armhf-bundle armhf-deb
python=${PYTHON:-python3.11}
clip=1001_DFA_ANG_XX.wav
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH PYTHONHOME
cd "$place"

say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
# Of the commit and not of the working tree: that is what bundles are made of.
source=$place/made/source
ser_edge() { PYTHONPATH=$source:$source/runtime:$source/train:$source/convert "$python" -m ser_edge "$@"; }
archive() {
    mkdir "$1"
    git -C "$repository" archive HEAD ser_edge runtime train convert pyproject.toml README.md LICENSE | tar -x -C "$1"
}

# Namespaces without network, and ARM programs run through qemu in them and nowhere else.
unshare --user --mount --net sleep infinity &
holder=$!
trap 'kill $holder' EXIT
until [ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
for map in uid_map gid_map; do echo '0 0 65536' > /proc/$holder/$map; done
inside() { nsenter --target $holder --user --mount --net "$@"; }
register() {
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf ':%s:M::\\x7fELF%s\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00%s\\x00:%s:%s:F' \
        "$1" "$2" "$3" "$mask" "$(command -v "$1-static")" |
        inside sh -c 'cat > /proc/sys/fs/binfmt_misc/register'
}
inside mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
register qemu-aarch64 '\x02' '\xb7'
register qemu-arm '\x01' '\x28'
# ai-edge-litert looks there for what the processor can do, and dies of an x86's.
printf 'processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n' > cpuinfo
printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n' >> cpuinfo
inside mount --bind "$place/cpuinfo" /proc/cpuinfo

# Runs a line of shell in a system.
on() {
    local root=$1 cpu=cortex-a72
    case $root in armhf*) cpu=cortex-a15 ;; esac
    inside env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 QEMU_CPU=$cpu \
        DEBIAN_FRONTEND=noninteractive chroot "$place/$root" sh -c "$2" 2>&1
}
# The same, shown with its exit code where that is not 0.
show() {
    printf '%s# %s\n' "$1" "$2"
    on "$1/system" "$2" || echo "(exit code $?)"
}

download() {
    local arch=$1 apt=$place/$1/apt
    shift
    mkdir -p "$apt"/{lists/partial,archives/partial,more/partial}
    : > "$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${DEBIAN:-http://deb.debian.org/debian} bookworm main" > "$apt/sources.list"
    printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; };\n' "$arch" "$arch" > "$apt/apt.conf"
    printf 'Dir::State::lists "%s/lists";\nDir::State::status "%s/status";\nDir::Cache "%s";\n' "$apt" "$apt" "$apt" >> "$apt/apt.conf"
    printf 'Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\n' "$apt" >> "$apt/apt.conf"
    local get=(apt-get install -qq -y --download-only --no-install-recommends)
    APT_CONFIG=$apt/apt.conf apt-get update -qq
    APT_CONFIG=$apt/apt.conf "${get[@]}" '?essential' python3 libstdc++6 > "$apt/log"
    [ $# = 0 ] || APT_CONFIG=$apt/apt.conf "${get[@]}" -o Dir::Cache::archives="$apt/more" "$@" >> "$apt/log"
}

# A Debian of its essential packages and Python, installed by its own dpkg.
system() {
    local arch=$1
    [ -e "$arch/complete" ] && return
    rm -rf "${place:?}/$arch/system"
    mkdir -p "$arch/system"
    case $arch in
        arm64) download arm64 ;;
        armhf) download armhf python3-numpy libsndfile1 python3-cffi-backend ;;
    esac
    for package in "$arch"/apt/archives/*.deb; do dpkg-deb -x "$package" "$arch/system"; done
    mkdir "$arch/system/debs"
    cp "$arch"/apt/archives/*.deb "$arch/system/debs"
    mount_into "$arch/system"
    # Twice, as the first ones need each other.
    on "$arch/system" 'cd /debs; dpkg --force-all -i base-passwd*.deb base-files*.deb libc6*.deb perl-base*.deb libcrypt1*.deb debconf*.deb; dpkg --force-all -i *.deb' > "$arch/install.log"
    rm -r "$arch/system/debs"
    touch "$arch/complete"
}

mount_into() {
    inside mount --rbind /proc "$place/$1/proc"
    inside mount --rbind /dev "$place/$1/dev"
    inside mount --rbind /sys "$place/$1/sys"
}

# A copy of a system that nobody has written to, with what a person would carry to it.
fresh() {
    rm -rf "${place:?}/$1"
    mkdir "$1"
    cp -a "$2/system" "$1/system"
    rm -f "$1/system/etc/resolv.conf"
    mkdir "$1/system/media/stick"
    cp -r "$repository/examples/clips/$clip" "${@:3}" "$1/system/media/stick"
    mount_into "$1/system"
    show "$1" 'echo "$(dpkg --print-architecture), $(getconf LONG_BIT) bits, $(uname -m), $(python3 --version), $(dpkg -l | grep -c ^ii) packages"'
    show "$1" 'python3 -c "import socket; socket.create_connection((\"1.1.1.1\", 443), 5)" 2>&1 | tail -n 1'
}

# Names of all files but those that dpkg and ld.so keep for themselves.
listing() { on "$1/system" "find / -xdev \\( -path /proc -o -path /dev -o -path /media -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \\) -prune -o -print | grep -v __pycache__ | sort"; }
compare() {
    if diff made/before made/after; then echo "the same $(wc -l < made/after) files as before"; fi
}

say "ser-edge $(git -C "$repository" rev-parse --short HEAD), $(qemu-aarch64-static --version | head -1)"
for case in "$@"; do system "${case%-*}"; done
rm -rf made
mkdir made
archive made/source
cp "$repository/runtime/ser_edge_runtime/models/default.tflite" made/default.tflite
for number in 1 2 3 4; do ser_edge release made/default.tflite --number $number --out made/model-$number.tflite; done
ssh-keygen -q -t ed25519 -N '' -C maker -f made/key
# A later version of ser-edge, for the upgrade.
archive made/later
sed -i 's/^version = .*/version = "0.1.1"/' made/later/pyproject.toml
sed -i 's/^__version__ = .*/__version__ = "0.1.1"/' made/later/runtime/ser_edge_runtime/__init__.py
"$python" -m pip wheel -q --no-deps --wheel-dir made made/later
later=$(echo made/ser_edge-0.1.1-*.whl)
say "x86, for comparison"
ser_edge classify --model made/model-1.tflite "$repository/examples/clips/$clip" | sed "s|$repository/||"

for case in "$@"; do
    arch=${case%-*}
    platform=aarch64
    [ "$arch" = armhf ] && platform=armhf
    case $case in
        arm64-bundle)
            say "$case: made here"
            ser_edge bundle made/model-1.tflite --platform $platform --sign made/key --out made/bundle
            ser_edge bundle made/model-2.tflite --platform $platform --wheel "$later" --out made/bundle-2
            ser_edge bundle made/model-1.tflite --platform armhf --out made/for-armhf
            cp -r made/bundle made/damaged
            printf x >> "$(echo made/damaged/wheels/numpy*)"
            say "$case: on the device"
            fresh "$case" "$arch" made/bundle made/bundle-2 made/damaged made/for-armhf
            show "$case" 'sh /media/stick/damaged/install.sh'
            show "$case" 'sh /media/stick/for-armhf/install.sh'
            show "$case" 'ls -d /opt/* /var/lib/ser-edge'
            show "$case" 'cd /media/stick && sh bundle/install.sh'
            show "$case" "/opt/ser-edge/bin/ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            say "$case: upgrade, and back"
            show "$case" 'sh /media/stick/bundle-2/install.sh'
            show "$case" "/opt/ser-edge/bin/ser-edge --version; /opt/ser-edge/bin/ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            show "$case" 'sh /media/stick/bundle/install.sh'
            show "$case" '/opt/ser-edge/bin/ser-edge --version; ls /opt/ser-edge; /opt/ser-edge/bin/ser-edge status /var/lib/ser-edge --here' ;;
        armhf-bundle)
            say "$case: made here"
            mkdir made/debs
            for deb in armhf/apt/more/*.deb; do
                [ -e "armhf/apt/archives/${deb##*/}" ] || cp "$deb" made/debs
            done
            ser_edge bundle made/model-1.tflite --platform $platform --out made/armhf-without
            ser_edge bundle made/model-1.tflite --platform $platform --debs made/debs --out made/armhf
            say "$case: on the device"
            fresh "$case" "$arch" made/armhf made/armhf-without
            show "$case" 'sh /media/stick/armhf-without/install.sh'
            show "$case" 'sh /media/stick/armhf/install.sh > /run/log 2>&1; code=$?; grep -E "^(install.sh|files|machine|installed|self-test|/var|done|next)" /run/log; exit $code'
            show "$case" "/opt/ser-edge/bin/ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            show "$case" '/opt/ser-edge/bin/ser-edge doctor --model /var/lib/ser-edge' ;;
        arm64-deb)
            say "$case: made here"
            ser_edge bundle made/model-1.tflite --platform $platform --deb --out made/first_arm64.deb
            ser_edge bundle made/model-2.tflite --platform $platform --deb --out made/model_arm64.deb
            ser_edge bundle made/model-4.tflite --platform $platform --deb --wheel "$later" --out made/version_arm64.deb
            for deb in first model version; do echo "$deb: $(dpkg-deb -f made/${deb}_arm64.deb Package Version Architecture Depends | tr '\n' ' ')"; done
            ser_edge bundle made/model-1.tflite --platform $platform --deb --out made/again_arm64.deb > /dev/null
            cmp made/first_arm64.deb made/again_arm64.deb && echo "made twice, the same bytes"
            say "$case: installed"
            fresh "$case" "$arch" made/*_arm64.deb made/model-3.tflite
            listing "$case" > made/before
            show "$case" 'dpkg -i /media/stick/first_arm64.deb'
            show "$case" "ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            say "$case: a newer model"
            show "$case" 'dpkg -i /media/stick/model_arm64.deb'
            show "$case" "ser-edge classify --model /var/lib/ser-edge /media/stick/$clip; ser-edge status /var/lib/ser-edge --here"
            say "$case: a model flashed meanwhile, and a newer version"
            show "$case" 'ser-edge flash /media/stick/model-3.tflite /var/lib/ser-edge --here'
            show "$case" 'dpkg -i /media/stick/version_arm64.deb'
            show "$case" "ser-edge --version; ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            say "$case: removed"
            show "$case" 'dpkg -r ser-edge; ls -d /usr/lib/ser-edge /usr/share/ser-edge /usr/bin/ser-edge; ls /var/lib/ser-edge /var/lib/ser-edge/models | wc -l'
            show "$case" "dpkg -i /media/stick/version_arm64.deb && ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            say "$case: purged"
            show "$case" 'dpkg -P ser-edge'
            listing "$case" > made/after
            compare ;;
        armhf-deb)
            say "$case: made here"
            ser_edge bundle made/model-1.tflite --platform $platform --deb --out made/ser-edge_armhf.deb
            dpkg-deb -f made/ser-edge_armhf.deb Package Version Architecture Depends Recommends
            say "$case: installed"
            fresh "$case" "$arch" made/ser-edge_armhf.deb armhf/apt/more
            show "$case" 'dpkg -i /media/stick/ser-edge_armhf.deb 2>&1 | grep depends; dpkg -P ser-edge > /dev/null'
            show "$case" 'rm -r /media/stick/more/partial /media/stick/more/lock; for deb in /media/stick/more/*; do package=$(dpkg-deb -f $deb Package); dpkg -s $package > /dev/null 2>&1 || set -- "$@" $deb; done; dpkg -i "$@" > /run/log 2>&1; echo "$# packages of Debian: exit code $?"'
            listing "$case" > made/before
            show "$case" 'dpkg -i /media/stick/ser-edge_armhf.deb'
            show "$case" "ser-edge classify --model /var/lib/ser-edge /media/stick/$clip"
            show "$case" 'dpkg -P ser-edge'
            listing "$case" > made/after
            compare ;;
        *) echo "no such case: $case"; exit 2 ;;
    esac
done
say "all cases done"
