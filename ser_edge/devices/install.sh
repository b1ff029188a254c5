#!/bin/sh
# Installs ser-edge and its model on this device, from this folder alone; nothing is fetched.
#   sh install.sh [--prefix FOLDER] [--slots FOLDER] [--python PROGRAM]
#                 [--allow-downgrade] [--keep-model]
# What was installed before stays in use until the new one has passed its self-test.
set -eu
platform=@PLATFORM@ architecture=@ARCHITECTURE@ bits=@BITS@ wanted=@PYTHON@ glibc=@GLIBC@
system_numpy=@SYSTEM_NUMPY@
wheels='@WHEELS@'

say() { printf '%s\n' "$1"; }
stop() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

prefix='' slots='' python='' downgrade='' keep_model=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --slots | --python)
            [ $# -gt 1 ] || stop "$1 needs a value"
            case $1 in
                --prefix) prefix=$2 ;;
                --slots) slots=$2 ;;
                --python) python=$2 ;;
            esac
            shift ;;
        --allow-downgrade) downgrade=$1 ;;
        --keep-model) keep_model=yes ;;
        *) stop "$1 is no option; there are --prefix, --slots, --python, --allow-downgrade, --keep-model" ;;
    esac
    shift
done
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }
if [ "$(id -u)" = 0 ]; then
    prefix=$(absolute "${prefix:-/opt/ser-edge}") slots=$(absolute "${slots:-/var/lib/ser-edge}")
else
    own=${XDG_DATA_HOME:-$HOME/.local/share}/ser-edge
    prefix=$(absolute "${prefix:-$own}") slots=$(absolute "${slots:-$own/slots}")
fi
cd "$(dirname "$0")"

command -v sha256sum > /dev/null || stop "needs sha256sum, of coreutils or busybox"
if ! checked=$(LC_ALL=C sha256sum -c SHA256SUMS 2>&1); then
    bad=$(printf '%s\n' "$checked" | sed -n 's/: FAILED.*//p' | head -n 1)
    stop "${bad:-SHA256SUMS} is damaged or missing; copy the bundle again"
fi
say "files: whole"

# A 64-bit kernel may run a 32-bit system, and uname tells of the kernel: it is only asked whether
# this is ARM at all, and only where no dpkg knows it.
have_bits=$(getconf LONG_BIT 2> /dev/null || echo "$bits")
kernel=$(uname -m)
if command -v dpkg > /dev/null; then
    have=$(dpkg --print-architecture)
else
    case $have_bits-$kernel in
        64-aarch64 | 64-arm64) have=arm64 ;;
        64-x86_64) have=amd64 ;;
        32-aarch64 | 32-arm*) have=armhf ;;
        *) have=$kernel ;;
    esac
fi
if [ "$have" != "$architecture" ] || [ "$have_bits" != "$bits" ]; then
    other=
    case $have in
        arm64) other=aarch64 ;;
        amd64) other=x86_64 ;;
        armhf) other=armhf ;;
    esac
    case $have_bits-$kernel in
        32-*64) what="a 32-bit system ($have) on a 64-bit kernel" ;;
        *) what="a $have_bits-bit system ($have)" ;;
    esac
    stop "this is $what, the bundle is for $platform${other:+; make one with: ser-edge bundle MODEL --platform $other}"
fi

[ -n "$python" ] || python=$(command -v "python$wanted" || command -v python3) ||
    stop "needs Python $wanted; install it: apt install python3"
found=$("$python" - "$glibc" << 'P'
import os, struct, sys
name = "CS_GNU_LIBC_VERSION"
libc = (os.confstr(name) or "") if name in os.confstr_names else ""
version = libc.rpartition(" ")[2] if libc.startswith("glibc ") else ""
least = [int(part) for part in sys.argv[1].split(".")]
fits = bool(version) and [int(part) for part in version.split(".")[:2]] >= least
print("%d.%d" % sys.version_info[:2], 8 * struct.calcsize("P"), "fits" if fits else version or "none")
P
) || stop "$python does not run; name another: --python PROGRAM"
# shellcheck disable=SC2086 # three words
set -- $found
[ "$1" = "$wanted" ] || stop "$python is Python $1, the bundle's wheels are for $wanted; name another with --python, or make the bundle with: --python $1"
[ "$2" = "$bits" ] || stop "$python is a program of $2 bits, the bundle's wheels are for $bits; name another: --python PROGRAM"
[ "$3" = fits ] || stop "the wheels need glibc $glibc, here is $3; the bundle is for a newer system"
"$python" -c 'import venv' 2> /dev/null || stop "needs Python's venv; install it: apt install python3-venv"
say "machine: $have, $bits bits, Python $wanted"

shared=
if [ $system_numpy = yes ]; then
    shared=--system-site-packages
    if ! "$python" -c 'import numpy' 2> /dev/null && ls debs/*.deb > /dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || stop "numpy comes from debs/ here; run it as root"
        dpkg -i debs/*.deb || stop "the packages in debs/ could not be installed; see the lines above"
    fi
    "$python" -c 'import numpy' 2> /dev/null ||
        stop "needs the system's numpy, as PyPI has none for 32-bit ARM; install it: apt install python3-numpy"
fi

(mkdir -p "$prefix/bin" "$(dirname "$slots")") 2> /dev/null ||
    stop "cannot write to $prefix or beside $slots; run it as root, or name others: --prefix FOLDER --slots FOLDER"
new=$prefix/runtime-$(sha256sum SHA256SUMS | cut -c 1-12)-$$
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
unset PYTHONPATH PYTHONHOME
# Without pip, which Debian keeps in a package of its own: wheels are archives, and these need no
# more than to be unpacked.
# shellcheck disable=SC2086 # no word, or one
"$python" -m venv --without-pip $shared "$new" || stop "$python cannot make an environment in $prefix"
# shellcheck disable=SC2086 # many words
"$new/bin/python" - $wheels << 'P' || stop "the wheels could not be unpacked; see the line above"
import os, shutil, sys, sysconfig, zipfile
site = sysconfig.get_path("platlib")
try:
    for wheel in sys.argv[1:]:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                parts = entry.filename.split("/")
                if parts[0].endswith(".data"):
                    if parts[1] not in ("purelib", "platlib"):
                        continue
                    parts = parts[2:]
                path = os.path.join(site, *parts)
                if not entry.is_dir():
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with archive.open(entry) as stream, open(path, "wb") as target:
                        shutil.copyfileobj(stream, target)
except OSError as fault:
    sys.exit(f"{fault.filename or site}: {fault.strerror}")
P
say "installed: $(echo "$wheels" | wc -w) wheels"

# Golden vectors, on this machine's own interpreter; this also compiles what a call will import.
tested=$("$new/bin/python" -P -m ser_edge flash model.tflite "$new/slots" --here --dry-run) ||
    stop "the self-test failed, and nothing was changed; see the line above"
say "self-test: passed by ${tested#*: }"
if [ $keep_model = no ]; then
    # shellcheck disable=SC2086 # no word, or one
    "$new/bin/python" -P -m ser_edge flash model.tflite "$slots" --here $downgrade ||
        stop "the slots keep the model that they had, and ser-edge stays as it was; to install ser-edge alone: --keep-model"
fi
printf '#!/bin/sh\nexec "%s/bin/python" -P -m ser_edge "$@"\n' "$new" > "$new/ser-edge"
chmod 755 "$new/ser-edge"
sync
mv "$new/ser-edge" "$prefix/bin/ser-edge"
trap - EXIT
for old in "$prefix"/runtime-*; do
    [ "$old" = "$new" ] || rm -rf "$old"
done
say "done: $prefix/bin/ser-edge"
say "next: $prefix/bin/ser-edge classify --model $slots RECORDING, or listen, or serve; restart those that run"
