#!/usr/bin/env bash
# The runtime's own tests and 200 clips on emulated ARM: arm64 with ai-edge-litert and with
# tflite-runtime, armhf with tflite-runtime and Debian's numpy. Prints a log; for the committed one:
#   sudo docs/prove_arm.sh PLACE [CASE...] 2>&1 | tee docs/prove_arm.txt
# PLACE is a folder to keep the unpacked systems in. Cases: arm64-litert arm64-tflite armhf-tflite.
# Needs Debian 12 or newer with qemu-user-static and gcc-aarch64-linux-gnu (the tests' delegate is
# compiled for the emulated machine), Python 3.11 in $PYTHON with ser-edge and ai-edge-litert, one
# with tflite-runtime in $SER_EDGE_TFLITE_RUNTIME_PYTHON, and the recordings in $SER_EDGE_CORPORA.
# $TESTS names the tests (tests/runtime), $CLIPS the number of clips (200).
# Root is needed for one thing: ai-edge-litert reads /proc/cpuinfo, and dies where that is not ARM's.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
place=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- arm64-litert arm64-tflite armhf-tflite
python=${PYTHON:-python3.11}
tflite_python=${SER_EDGE_TFLITE_RUNTIME_PYTHON:-$python}
corpora=${SER_EDGE_CORPORA:-$repository/../shared/corpora}
read -ra tests <<< "${TESTS:-tests/runtime}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1
unset PYTHONPATH PYTHONHOME

say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

# A system of Debian packages, unpacked and not installed: its programs run by name through qemu.
unpack() {
    local arch=$1 apt=$place/$1/apt root=$place/$1/root
    shift
    [ -e "$root/complete" ] && return
    rm -rf "${place:?}/$arch"
    mkdir -p "$apt"/{lists/partial,archives/partial} "$root"
    : > "$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${DEBIAN:-http://deb.debian.org/debian} bookworm main" > "$apt/sources.list"
    printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; };\n' "$arch" "$arch" > "$apt/apt.conf"
    printf 'Dir::State::lists "%s/lists";\nDir::State::status "%s/status";\nDir::Cache "%s";\n' "$apt" "$apt" "$apt" >> "$apt/apt.conf"
    printf 'Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\n' "$apt" >> "$apt/apt.conf"
    APT_CONFIG=$apt/apt.conf apt-get update -qq
    APT_CONFIG=$apt/apt.conf apt-get install -qq -y --download-only --no-install-recommends "$@" > "$apt/log"
    for package in "$apt"/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    # What the packages' scripts would have linked.
    for library in "$root"/usr/lib/*/{blas/libblas,lapack/liblapack}.so.3; do
        if [ -e "$library" ]; then ln -sf "$library" "${library%/*/*}/${library##*/}"; fi
    done
    for library in "$root"/usr/lib/*-linux-*/libsndfile.so.1; do
        if [ -e "$library" ]; then ln -sf "$library" "${library%.1}"; fi
    done
    touch "$root/complete"
}

# The Python packages of a case: wheels of that platform, none of them run here.
wheels() {
    local site=$1 platform=$2
    shift 2
    rm -rf "$site"
    local platforms=() glibc
    for glibc in 2_17 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${glibc}_$platform"); done
    "$python" -m pip install -qq --target "$site" "${platforms[@]}" --python-version 3.11 \
        --only-binary=:all: "$@"
    # Children of the tests run sys.executable, which must be the emulator with its program.
    printf 'import os, sys\nsys.executable = os.environ["EMULATED_PYTHON"]\n' > "$site/sitecustomize.py"
}

emulated() {
    local case=$1 arch=$2 qemu=$3 cpu=$4
    export EMULATED_PYTHON=$place/$case/python
    printf '#!/bin/sh\nexec %s -cpu %s -L %s %s/usr/bin/python3.11 "$@"\n' \
        "$(command -v "$qemu")" "$cpu" "$place/$arch/root" "$place/$arch/root" > "$EMULATED_PYTHON"
    chmod +x "$EMULATED_PYTHON"
    rm -rf "$place/$case/tree"
    mkdir "$place/$case/tree"
    git -C "$repository" archive HEAD ser_edge runtime tests examples docs pyproject.toml | tar -x -C "$place/$case/tree"
}

# A process that sees an ARM board's /proc/cpuinfo, as its children do.
on_a_board() {
    printf 'processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n' > "$place/cpuinfo"
    printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n' >> "$place/cpuinfo"
    # shellcheck disable=SC2016
    unshare -m bash -c 'mount --bind "$1" /proc/cpuinfo; shift; exec "$@"' bash "$place/cpuinfo" "$@"
}

answers() {
    local out=$1
    shift
    (cd "$tree" && SER_EDGE_INTERPRETER=$interpreter "$@" "$repository/docs/arm_answers.py" "$out" "${clips[@]}")
}

mapfile -t clips < <("$python" - "$corpora" "${CLIPS:-200}" <<'P'
import sys
from pathlib import Path
found = sorted(Path(sys.argv[1]).glob("crema-d/AudioWAV/*"))
count = min(int(sys.argv[2]), len(found))
print("\n".join(str(found[k * len(found) // count]) for k in range(count)))
P
)
echo "ser-edge $(git -C "$repository" rev-parse --short HEAD), $(qemu-aarch64-static --version | head -1), ${#clips[@]} clips of CREMA-D"
tools=('pytest>=8.3' hypothesis click typing-extensions uvicorn starlette soundfile)
failed=0
for case in "$@"; do
    mkdir -p "$place/$case"
    case $case in
        arm64-*) arch=arm64 qemu=qemu-aarch64-static cpu=cortex-a72 platform=aarch64
            export CC=aarch64-linux-gnu-gcc
            say "$case: the system"
            unpack arm64 python3.11 libstdc++6 libgcc-s1 ;;
        armhf-*) unset CC
            arch=armhf qemu=qemu-arm-static cpu=cortex-a15 platform=armv7l
            say "$case: the system"
            unpack armhf python3.11 python3-numpy python3-cffi-backend libsndfile1 libstdc++6 libatomic1 ;;
        *) echo "no such case: $case"; exit 2 ;;
    esac
    case $case in
        arm64-litert) interpreter=ai-edge-litert
            wheels "$place/$case/site" $platform numpy ai-edge-litert "${tools[@]}" ;;
        arm64-tflite) interpreter=tflite-runtime
            wheels "$place/$case/site" $platform 'numpy<2' tflite-runtime==2.14.0 "${tools[@]}" ;;
        armhf-tflite) interpreter=tflite-runtime
            wheels "$place/$case/site" $platform --no-deps tflite-runtime==2.14.0 pytest pluggy iniconfig \
                packaging pygments hypothesis sortedcontainers attrs click typing-extensions uvicorn \
                starlette h11 anyio idna sniffio
            # Its own wheels of soundfile have no library for 32-bit ARM.
            "$python" -m pip install -qq --no-deps --target "$place/$case/site" --platform any \
                --only-binary=:all: soundfile ;;
    esac
    emulated "$case" $arch $qemu $cpu
    tree=$place/$case/tree
    start=()
    [ $interpreter = ai-edge-litert ] && start=(on_a_board)
    export PYTHONPATH=$place/$case/site:$tree/runtime:$tree
    say "$case: what runs"
    "${start[@]}" "$EMULATED_PYTHON" -c 'import platform, struct, sys, numpy, soundfile; print(platform.machine(), 8 * struct.calcsize("P"), "bits, Python", platform.python_version(), "numpy", numpy.__version__, "libsndfile", soundfile.__libsndfile_version__)'
    "$python" -c 'import sys; from importlib.metadata import distributions; print(*sorted(f"{d.name}=={d.version}" for d in distributions(path=[sys.argv[1]])))' "$place/$case/site"
    say "$case: tests"
    # Parity with librosa is a matter of the code, not of the machine, and 32-bit ARM has no librosa.
    (cd "$tree" && SER_EDGE_INTERPRETER=$interpreter "${start[@]}" env -u CI -u SER_EDGE_CORPORA \
        "$EMULATED_PYTHON" -m pytest -q -rs -p no:cacheprovider -o addopts=--import-mode=importlib \
        --ignore=tests/runtime/front_end/test_parity.py "${tests[@]}") || failed=1
    say "$case: clips"
    answers "$place/$case/arm.json" "${start[@]}" "$EMULATED_PYTHON"
    here=$python
    [ $interpreter = tflite-runtime ] && here=$tflite_python
    export PYTHONPATH=$tree/runtime
    answers "$place/$case/x86.json" "$here"
    (cd "$tree" && "$python" "$repository/docs/arm_agreement.py" "$place/$case/x86.json" "$place/$case/arm.json") || failed=1
    unset PYTHONPATH
done
say "$([ $failed = 0 ] && echo 'all well' || echo FAILED)"
exit $failed
