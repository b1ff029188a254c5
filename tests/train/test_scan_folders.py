"""Folders as they are: links, pipes, odd names, closed doors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ser_edge_train.scan import survey
from ser_edge_train.walk import find_recordings
from tests.train.recordings import write_tree, write_wav

TESS = ["OAF_bar_angry.wav", "OAF_bar_sad.wav", "YAF_bar_ps.wav"]


def test_links_are_followed_and_loops_end(tmp_path):
    write_tree(tmp_path / "data" / "tess", TESS)
    (tmp_path / "data" / "tess" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "tess").symlink_to(tmp_path / "data" / "tess", target_is_directory=True)
    result = survey([tmp_path / "view"])
    assert len(result.manifest.clips) == 3
    assert result.summary.copies == 0
    assert all(clip.path.startswith("tess/") for clip in result.manifest.clips)


def test_what_macos_leaves_in_zips_is_passed_over(tmp_path):
    write_tree(tmp_path, TESS)
    (tmp_path / f"._{TESS[0]}").write_bytes(b"\0\5\x16\7")
    write_wav(tmp_path / "__MACOSX" / TESS[0], 9)
    write_wav(tmp_path / ".hidden" / TESS[0], 9)
    result = survey([tmp_path])
    assert len(result.manifest.usable) == 3
    assert result.summary.copies == 0


def test_pipes_and_dead_links_block_nobody(tmp_path):
    write_tree(tmp_path, TESS)
    os.mkfifo(tmp_path / "OAF_pipe_sad.wav")
    (tmp_path / "OAF_gone_sad.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "OAF_folder_sad.wav").mkdir()
    result = survey([tmp_path])
    assert len(result.manifest.clips) == 3
    (line,) = result.summary.unreadable
    assert line == f"{tmp_path / 'OAF_gone_sad.wav'}: is a link that leads nowhere"


@pytest.mark.parametrize("name", [b"OAF_\xff_sad.wav", b"angry\n/s/x.wav", b"sad/a\\..\\x.wav"])
def test_names_that_no_manifest_can_hold_are_named(tmp_path, name):
    write_tree(tmp_path, TESS)
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118 - bytes
    write_wav(path, 9)
    result = survey([tmp_path])
    assert len(result.manifest.clips) == 3
    (line,) = result.summary.unreadable
    assert line.endswith("rename it")
    line.encode()
    assert "\n" not in line
    result.manifest.write(tmp_path / "manifest.csv")


def test_the_walks_order_is_the_same_everywhere(tmp_path):
    names = ["b/x.wav", "a/y.wav", "a/b/z.wav", "top.wav", "a/B.wav"]
    write_tree(tmp_path, names)
    found = [path.relative_to(tmp_path).as_posix() for path, _ in find_recordings([tmp_path]).files]
    assert found == ["top.wav", "a/B.wav", "a/y.wav", "b/x.wav", "a/b/z.wav"]


AS_NOBODY = """
import json, os, sys
from pathlib import Path
from ser_edge_train.scan import survey
folder = Path(sys.argv[1])
survey([folder / "open"])                 # whatever is imported late is imported as root
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
result = survey([folder])
try:
    survey([folder / "locked"])
    refused = ""
except Exception as fault:
    refused = f"{type(fault).__name__}: {fault}"
print(json.dumps([len(result.manifest.clips), len(result.manifest.usable),
    list(result.summary.unreadable), [f.text for f in result.summary.faults],
    result.summary.complete, refused]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_folders_and_files_that_may_not_be_read_are_named():
    # Root reads everything, so the scan runs as another user where the tests run
    # as root; pytest's own temporary folders are closed to other users.
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        write_tree(folder / "open", TESS)
        write_tree(
            folder / "locked", ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1040_ITH_SAD_X.wav"]
        )
        (folder / "open" / TESS[0]).chmod(0)
        (folder / "locked").chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        clips, usable, unreadable, texts, complete, refused = json.loads(done.stdout)
    finally:
        (folder / "locked").chmod(0o755)
        shutil.rmtree(folder)
    assert (clips, usable) == (3, 2)
    assert unreadable == [f"{folder / 'locked'}: cannot be listed (Permission denied)"]
    assert len(texts) == 1
    assert str(folder / "open" / TESS[0]) in texts[0]
    assert not complete
    assert refused.startswith(f"ScanError: {folder / 'locked'}: not readable: ")
    assert "Permission denied" in refused
