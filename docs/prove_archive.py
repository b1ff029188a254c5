"""Proves that an archive survives kills: ``python docs/prove_archive.py MANIFEST [CLIPS]``.

Recordings of the corpora, some twice by links of another name, are classified

1. by ``--jobs 2``, the whole tree of processes killed twice with SIGKILL at random moments and
   gone on with by ``--resume``, and one worker killed by itself in between;
2. by two Dask workers, one of them killed with SIGKILL in the middle;
3. by a loop over ``Classifier`` in one process, on the first of the recordings.

Each must come out exactly once, with the same answer. Printed are the kills, the clips a second
beside those of the loop, and how the anonymous memory of all processes went. Linux only. Exits
1 if a recording is missing, is there twice, or has two answers.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from process_family import family

from ser_edge_runtime import Classifier
from ser_edge_train.manifest import Manifest

SHARES = (0.3, 0.65)
"""About where the two kills come, as shares of the whole."""
LOOPED = 1000


def main(manifest_path: str, count: int) -> int:
    manifest = Manifest.read(manifest_path)
    # Faulty ones as well: an archive has them.
    clips = [str(manifest.root / clip.path) for clip in manifest.clips][:count]
    numbers = random.Random(7)
    with tempfile.TemporaryDirectory(prefix="archive-") as made:
        place = Path(made)
        links = place / "again"
        links.mkdir()
        for number in range(count - len(clips)):
            clip = Path(clips[number])
            (links / f"{number:05}{clip.suffix}").symlink_to(clip)
        paths = clips + sorted(map(str, links.iterdir()))
        listed = place / "list.txt"
        listed.write_text("\n".join(clips) + "\n")
        print(f"{len(paths)} recordings, {count - len(clips)} of them links", flush=True)
        words = [str(links)] if count > len(clips) else []
        words += ["--list", str(listed)]
        first = jobs(words, place / "jobs.jsonl", len(paths), numbers)
        second = dask(words, place / "dask.jsonl", len(paths), place)
        right = [check("--jobs 2", first, paths), check("--dask", second, paths)]
        same = first == second
        print(f"{'ok  ' if same else 'MISS'} the answers of both are the same")
        loop(paths[:: max(1, len(paths) // LOOPED)][:LOOPED])
    return 0 if all(right) and same else 1


def jobs(words: list[str], out: Path, total: int, numbers: random.Random) -> dict[str, dict]:
    words = ["classify", *words, "--jobs", "2", "--out", str(out), "--resume"]
    for share in SHARES:
        child = start(words)
        goal = round(total * (share + numbers.uniform(-0.1, 0.1)))
        watch(child, out, goal)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        data = out.read_bytes()
        torn = len(data) - data.rfind(b"\n") - 1
        print(
            f"killed all with {data.count(bytes([10]))} lines written, {torn} bytes torn",
            flush=True,
        )
    child = start(words)
    memory = watch(child, out, round(total * 0.8))
    workers = [pid for pid in family(child.pid) if b"spawn_main" in command_line(pid)]
    os.kill(workers[0], signal.SIGKILL)
    print("killed one worker", flush=True)
    memory += watch(child, out, total)
    print(f"the last run ended with {child.wait()}: {child.stderr.read().splitlines()[-1]}")
    report(memory)
    return read(out)


def dask(words: list[str], out: Path, total: int, place: Path) -> dict[str, dict]:
    found = place / "scheduler.json"
    binaries = Path(sys.executable).parent
    # One thread, as Dask's nannies set it and ser-edge does for itself: more of them round a
    # product of matrices in another way, and the last digit of a score with it.
    single = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": place,
        "env": os.environ | single,
    }
    scheduler = subprocess.Popen(
        [
            binaries / "dask",
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            found,
        ],
        **quiet,
    )
    workers = [
        subprocess.Popen(
            [
                binaries / "dask",
                "worker",
                "--scheduler-file",
                found,
                "--nthreads",
                "1",
                "--no-nanny",
                "--no-dashboard",
            ],
            **quiet,
        )
        for _ in range(2)
    ]
    try:
        wait_for(found.exists)
        address = json.loads(found.read_text())["address"]
        child = start(["classify", *words, "--dask", address, "--out", str(out)])
        memory = watch(child, out, total // 2)
        workers[0].kill()
        workers[0].wait()
        print(f"killed one of two Dask workers with {lines(out)} lines written", flush=True)
        memory += watch(child, out, total)
        print(f"the run ended with {child.wait()}: {child.stderr.read().splitlines()[-1]}")
        report(memory)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
    return read(out)


def start(words: list[str]) -> subprocess.Popen[str]:
    # A session of its own: one kill for all of its processes, as a power cut has it.
    return subprocess.Popen(
        [sys.executable, "-m", "ser_edge", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def watch(child: subprocess.Popen[str], out: Path, goal: int) -> list[tuple[int, float]]:
    """Memory of the family in MiB against lines written, until there are ``goal`` or the end."""
    seen = []
    while child.poll() is None and (done := lines(out)) < goal:
        seen.append((done, sum(anonymous(pid) for pid in family(child.pid))))
        time.sleep(0.2)  # between two looks at a process's memory
    return seen


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)  # the scheduler tells nobody when it listens
    raise SystemExit("the Dask scheduler did not start within a minute")


def lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def anonymous(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def report(memory: list[tuple[int, float]]) -> None:
    settled = memory[len(memory) // 4 :]
    if len(settled) < 8:
        return
    quarter = len(settled) // 4
    ends = settled[:quarter], settled[-quarter:]
    (low, begun), (high, ended) = (
        [sum(column) / len(end) for column in zip(*end, strict=True)] for end in ends
    )
    slope = 1024 * (ended - begun) / max(1.0, high - low)
    print(
        f"memory: {begun:.1f} MiB at {low:.0f} recordings, {ended:.1f} at {high:.0f}: "
        f"{slope:+.2f} KiB a recording"
    )


def read(out: Path) -> dict[str, dict]:
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    twice = [path for path, times in Counter(row["path"] for row in rows).items() if times > 1]
    if twice:
        raise SystemExit(f"MISS {out.name}: {len(twice)} recordings twice, as {twice[0]}")
    return {row["path"]: row for row in rows}


def check(what: str, rows: dict[str, dict], paths: list[str]) -> bool:
    whole = set(rows) == set(paths)
    faults = sum("error" in row for row in rows.values())
    print(
        f"{'ok  ' if whole else 'MISS'} {what}: {len(rows)} results for {len(paths)} recordings, "
        f"each once; {faults} with an error"
    )
    return whole


def loop(paths: list[str]) -> None:
    classifier = Classifier.load()
    begin = time.perf_counter()
    for path in paths:
        classifier.classify_file(path)
    took = time.perf_counter() - begin
    print(f"a loop over Classifier in one process: {len(paths) / took:.1f} a second")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000))
