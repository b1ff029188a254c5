"""A process and all that it started, as the proofs of this folder kill and weigh them. Linux."""

from __future__ import annotations

from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and its children, theirs and so on; fewer where one has ended meanwhile."""
    pids = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += family(int(child))
    except OSError:
        pass  # it has ended meanwhile
    return pids
