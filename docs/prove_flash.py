"""Proves flashing through a real sshd: ``python docs/prove_flash.py [KILLS] [DEVICES]``.

An sshd of its own (its own host key, port and configuration, on loopback alone) is the way to
devices whose slots are folders of this machine; the first one's lies on a tmpfs of 2 MiB where
one can be mounted. Then

1. a model is flashed, flashed over, rolled back;
2. KILLS flashes (200) are cut at random moments, a quarter each by SIGKILL to the workstation's
   side, SIGKILL to the device's, a cut connection (SIGKILL to its sshd), and a full disk. After
   each the device must classify with the old or with the new model, and a second flash must
   finish. Half of the moments are counted from the start, half from the first byte in the slots;
3. DEVICES devices (20) are flashed at once from an inventory, cut once, and gone on with;
4. tampered, truncated, unsigned and older models, one for another target and one that needs a
   newer runtime are sent past the workstation's own checks, and must be refused.

Needs Linux, sshd and ssh-keygen; a disk can be filled as root alone. Exits 1 if anything fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from loopback_sshd import SER_EDGE, Daemon
from process_family import family

from ser_edge_runtime import Classifier
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.model_file import (
    build_model_file,
    default_model_path,
    parse_model_file,
    read_model_bytes,
    read_model_file,
)

CLIP = Path(__file__).parent.parent / "examples" / "clips" / "1001_DFA_ANG_XX.wav"
KINDS = ("workstation killed", "device killed", "connection cut", "disk full")
SPACE = 2 << 20


def main(kills: int, devices: int) -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix="flash-") as made:
        place = Path(made)
        daemon = Daemon(place)
        disk = place / "disk"
        disk.mkdir()
        mounted = (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", str(disk)],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
        try:
            where = "a tmpfs of 2 MiB" if mounted else "the disk"
            print(f"sshd on port {daemon.port}, slots on {where}")
            models = releases(place)
            failed += plain(daemon, models, disk / "device")
            failed += cuts(daemon, models, disk / "device", kills, mounted)
            failed += many(daemon, models, place, devices)
            failed += refusals(daemon, models, place)
        finally:
            daemon.end()
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)
    print(f"{'MISS' if failed else 'ok  '} {failed} faults")
    return int(failed > 0)


def releases(place: Path) -> dict[str, Path]:
    """The default model under several numbers, as whole signed releases."""
    found = read_model_file(default_model_path())
    models = {}
    for name, changes in {
        "7": {"provenance": {"release": 7}},
        "8": {"provenance": {"release": 8}},
        "6": {"provenance": {"release": 6}},
        "web": {"provenance": {"release": 9}, "target": "web"},
        "later": {"provenance": {"release": 9, "needs_runtime": "99.0"}},
    }.items():
        data = build_model_file(found.flatbuffer, replace(found.metadata, **changes), found.golden)
        models[name] = place / f"{name}.tflite"
        models[name].write_bytes(data)
        sign(place, models[name], "maker")
    return models


def sign(place: Path, path: Path, key: str) -> None:
    done = subprocess.run(
        [*SER_EDGE, "release", path, "--key", place / key],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def digest(path: Path) -> str:
    return sha256_hex(path.read_bytes())


def answers(folder: Path) -> str:
    """SHA-256 of the model with which a device classifies; it must classify."""
    model = read_model_bytes(folder)
    Classifier(parse_model_file(model, str(folder))).classify_file(CLIP)
    return sha256_hex(model)


def check(right: bool, words: str) -> int:
    print(f"{'ok  ' if right else 'MISS'} {words}", flush=True)
    return int(not right)


def plain(daemon: Daemon, models: dict[str, Path], folder: Path) -> int:
    failed = 0
    for name in ("7", "8"):
        done = daemon.call("flash", models[name], daemon.target(folder))
        print(done.stdout + done.stderr, end="")
        failed += check(
            done.returncode == 0 and answers(folder) == digest(models[name]), f"flash {name}"
        )
    done = daemon.call("rollback", daemon.target(folder))
    print(done.stdout + done.stderr, end="")
    failed += check(done.returncode == 0 and answers(folder) == digest(models["7"]), "rollback")
    print(daemon.call("status", daemon.target(folder)).stdout, end="")
    return failed


def cuts(daemon: Daemon, models: dict[str, Path], folder: Path, kills: int, full: bool) -> int:
    numbers = random.Random(7)
    kinds = KINDS if full else KINDS[:3]
    begin = time.monotonic()
    daemon.call("flash", models["8"], daemon.target(folder))
    took = time.monotonic() - begin
    print(f"a flash takes {took:.1f} s; {kills} cuts")
    found: Counter[tuple[str, str]] = Counter()
    failed = 0
    for number in range(kills):
        # Three in turn: the new one is neither the current nor the previous.
        old, new = (("8", "6", "7") * 2)[number % 3 : number % 3 + 2]
        kind = kinds[number % len(kinds)]
        words = ["flash", models[new], daemon.target(folder), "--allow-downgrade"]
        filler = folder.parent / "filler"
        if kind == "disk full":
            free = shutil.disk_usage(folder).free
            filler.write_bytes(
                bytes(max(0, free - numbers.randrange(models[new].stat().st_size + 8192)))
            )
        child = subprocess.Popen(
            [*SER_EDGE, *map(str, words), *daemon.options()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if kind != "disk full":
            if numbers.random() < 0.5:
                time.sleep(numbers.uniform(0, 1.05 * took))  # the moment of the cut
            else:
                wait_for_change(child, folder)
                time.sleep(numbers.uniform(0, 0.05))  # the moment of the cut
            cut(kind, child, folder, daemon)
        child.communicate()
        settle(folder)
        filler.unlink(missing_ok=True)
        try:
            has = {digest(models[old]): "old", digest(models[new]): "new"}.get(
                answers(folder), "neither"
            )
        except Exception as fault:
            has = f"neither ({fault})"
        found[kind, has] += 1
        if has not in ("old", "new"):
            failed += check(False, f"cut {number}, {kind}: the device has {has}")
        done = daemon.call(*words)
        if done.returncode or answers(folder) != digest(models[new]):
            failed += check(
                False, f"cut {number}, {kind}: a second flash did not finish: {done.stderr}"
            )
        if (number + 1) % 20 == 0:
            print(f"     {number + 1} cuts, {failed} faults", flush=True)
    for (kind, has), count in sorted(found.items()):
        print(f"     {kind:<20} {count:>4} times, the device has the {has} model")
    left = sorted((folder / "incoming").iterdir()) + sorted((folder / "models").iterdir())[4:]
    failed += check(not left, f"{sum(found.values())} cuts: the old or the new model each time, "
                    "and a second flash finished each time")  # fmt: skip
    return failed


def wait_for_change(child: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the device writes the first byte, or the flash has ended."""
    incoming = folder / "incoming"
    before = incoming.stat().st_mtime_ns if incoming.exists() else 0
    while child.poll() is None:
        if incoming.exists() and incoming.stat().st_mtime_ns != before:
            return
        time.sleep(0.0005)  # between two looks


def cut(kind: str, child: subprocess.Popen[bytes], folder: Path, daemon: Daemon) -> None:
    if kind == "workstation killed":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        return
    if kind == "device killed":
        targets = installs(folder)
    else:
        # The processes of sshd that hold this connection, not the one that listens.
        targets = [pid for pid in family(daemon.process.pid)[1:] if name_of(pid).startswith("sshd")]
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def settle(folder: Path) -> None:
    """Until no install of this device is at work: what was cut may still be going on there."""
    while installs(folder):
        time.sleep(0.01)  # between two looks


def installs(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"install" in words and os.fsencode(folder) in words and b"slots" in words:
                found.append(int(process.name))
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def many(daemon: Daemon, models: dict[str, Path], place: Path, devices: int) -> int:
    inventory = place / "devices.toml"
    folders = [place / f"device-{number:02}" for number in range(devices)]
    inventory.write_text("".join(
        f'[[device]]\nname = "{folder.name}"\ntarget = "{daemon.target(folder)}"\n'
        for folder in folders
    ))  # fmt: skip
    report = Path(f"{inventory}.report.jsonl")
    words = ["flash", models["8"], inventory, "--jobs", devices]
    child = subprocess.Popen(
        [*SER_EDGE, *map(str, words), *daemon.options()],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while child.poll() is None and not (
        report.exists() and report.read_bytes().count(b"\n") > devices // 3
    ):
        time.sleep(0.01)  # between two looks
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    before = report.read_bytes().count(b"\n")
    begin = time.monotonic()
    done = daemon.call(*words)
    took = time.monotonic() - begin
    rows = [json.loads(line) for line in report.read_text().splitlines() if line.endswith("}")]
    right = done.returncode == 0 and all(
        answers(folder) == digest(models["8"]) for folder in folders
    )
    return check(
        right
        and {row["device"] for row in rows if row["done"]} == {folder.name for folder in folders},
        f"{devices} devices at once: killed with {before} reported, the rest in {took:.1f} s, "
        f"{done.stdout.count('done before')} not flashed again",
    )


def refusals(daemon: Daemon, models: dict[str, Path], place: Path) -> int:
    """Sent straight to the device's half: a workstation may be anybody's."""
    folder = place / "trusting-one-key"
    (place / "signers").write_text(f"maker@example.org {(place / 'maker.pub').read_text()}")
    subprocess.run(
        [*SER_EDGE, "slots", "setup", folder, "--signers", place / "signers"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    done = daemon.call("flash", models["7"], daemon.target(folder))
    failed = check(done.returncode == 0, f"signed: {done.stdout.strip()}{done.stderr.strip()}")
    whole = models["8"].read_bytes()
    signature = Path(f"{models['8']}.sig").read_bytes()
    strange = place / "strange.tflite"
    strange.write_bytes(whole)
    sign(place, strange, "stranger")
    changed = bytearray(whole)
    changed[len(changed) // 3] ^= 1
    cases = {
        "tampered": (bytes(changed), signature),
        "truncated": (whole[:-1000], signature),
        "unsigned": (whole, b""),
        "signed by a stranger": (whole, Path(f"{strange}.sig").read_bytes()),
        "with another's signature": (whole, Path(f"{models['7']}.sig").read_bytes()),
        **{what: (models[name].read_bytes(), Path(f"{models[name]}.sig").read_bytes())
           for what, name in (("downgraded", "6"), ("for another target", "web"),
                              ("for a newer runtime", "later"))},
    }  # fmt: skip
    cases["cut on its way"] = (whole, signature)
    for what, (data, seal) in cases.items():
        there = [
            *SER_EDGE,
            "slots",
            "install",
            folder,
            "--bytes",
            len(data),
            "--signature-bytes",
            len(seal),
        ]
        sent = (data + seal)[: 100_000 if what == "cut on its way" else None]
        done = subprocess.run(
            ["ssh", "-F", place / "ssh_config", daemon.target(Path()).removesuffix("."),
             shlex.join(map(str, there))],
            input=sent, capture_output=True, check=False,
        )  # fmt: skip
        said = done.stderr.decode().strip()
        right = (
            done.returncode == 1
            and "Traceback" not in said
            and answers(folder) == digest(models["7"])
        )
        failed += check(right, f"{what}: {said}")
    return failed


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (sys.argv[1:] + ["200", "20"][len(sys.argv) - 1 :]))))
