"""Asks models what they hear in disturbed recordings, and writes docs/robustness.md:

    python docs/make_robustness.py [RUNS...] [--models FILES...] [--data MANIFEST] [--work FOLDER]
                                   [--part validation|test] [--clips N] [--noise FOLDER]

RUNS are run directories of one recipe; of each RUN, FILES must have one float32 and one int8
model file (`ser-edge convert`), or they are made in WORK. Without `--part` the validation
speakers are heard; with `--part test` only runs do whose test part was scored before. Noise is
that of `--noise`; without it, many voices at once, of speakers that no run was trained on, of those
who are not heard here if there are such; where every speaker was trained on, of anybody. WORK, by
default runs/robustness, keeps the answers: stopped at any time, the same call goes on. Features are
not kept. Without RUNS the page is written from docs/robustness.json. Tests hold that the page is
what this script writes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.conversion import convert_each
from ser_edge_convert.robustness import measure
from ser_edge_convert.robustness.page import page
from ser_edge_runtime.errors import SerEdgeError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.disturbances import disturbances, write_babble
from ser_edge_train.manifest import Clip, Manifest
from ser_edge_train.run_directory import RunDirectory

FIGURES = Path(__file__).with_name("robustness.json")
PAGE = Path(__file__).with_name("robustness.md")
FORMS = ("float32", "int8")
MANY_SPEAKERS = ("ravdess", "crema-d")
BABBLE = "six voices at once (other recorded noise was not at hand)"
STRANGERS = f"{BABBLE}, of speakers that no run was trained on"


def model_files(
    runs: Sequence[RunDirectory], given: Sequence[Path], work: Path, manifest: Manifest | None
) -> list[Path]:
    """The files that were named, and for each run those that were not, made in ``work``."""
    known = {}
    for path in given:
        metadata = read_model_file(path).metadata
        known[str(metadata.provenance.get("network")), metadata.variant] = path
    files = list(given)
    for run in runs:
        network = hashlib.sha256(run.model.read_bytes()).hexdigest()
        folder = work / "models" / network[:16]
        missing = []
        for form in FORMS:
            if (network, form) in known:
                continue
            files.append(folder / f"{form}.tflite")
            if not files[-1].is_file():
                missing.append(form)
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            sys.stderr.write(f"{run.path}: converting to {' and '.join(missing)}\n")
            for outcome in convert_each(
                run,
                lambda form, folder=folder: folder / f"{form}.tflite",
                store=work / "calibration",
                variants=missing,
                manifest=manifest,
                max_drop=1.0,
            ):
                if outcome.fault is not None:
                    raise outcome.fault
    return files


def noise_folder(
    given: Path | None, work: Path, references: Sequence[Reference]
) -> tuple[Path, str]:
    """Where the recorded noise lies, and what it is; voices are mixed where none was named."""
    if given is not None:
        return given, f"recordings of {given.name}"
    clips, meaning = voices(references)
    folder = work / "babble"
    write_babble(references[0].recordings, clips, folder)
    return folder, meaning


def voices(references: Sequence[Reference]) -> tuple[list[Clip], str]:
    """Whose voices make the noise, and what it then is; nobody's that a network has learnt."""
    recordings = references[0].recordings
    heard = {row.speaker_key for one in references for row in one.answers}
    trained = {
        clip.speaker_key
        for one in references
        for clip in one.inputs.partition.clips(one.inputs.manifest, "train")
    }
    strangers = [clip for clip in recordings.usable if clip.speaker_key not in trained]
    others = [clip for clip in strangers if clip.speaker_key not in heard]
    if others or strangers:
        return others or strangers, STRANGERS
    return list(recordings.usable), BABBLE


def told() -> Any:
    """Writes how far a stage is, a line that overwrites itself on a terminal."""
    end, last = ("\r", "") if sys.stderr.isatty() else ("\n", "")
    state = {"stage": last, "told": -1}

    def tell(stage: str, done: int, total: int) -> None:
        step = done * 4 // max(total, 1)
        if (stage, step) != (state["stage"], state["told"]):
            state.update(stage=stage, told=step)
            sys.stderr.write(f"{stage}: {done} of {total}{end}")
            sys.stderr.flush()

    return tell


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """One document, of the runs that were named."""
    manifest = None if given.data is None else Manifest.read(given.data)
    runs = [RunDirectory.open(path) for path in given.runs]
    references = [Reference.read(run, given.part, manifest, given.corpora) for run in runs]
    files = model_files(runs, given.models, given.work, manifest)
    noise, meaning = noise_folder(given.noise, given.work, references)
    return measure(
        references,
        files,
        disturbances(noise, meaning),
        given.work / "answers",
        clips=given.clips,
        seed=given.seed,
        processes=given.processes,
        progress=told(),
    )


def merged(
    documents: Sequence[Mapping[str, Any]], new: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The documents with ``new`` in the place of the one of its recipe, protocol and part."""
    names = ("recipe", "protocol", "part")
    kept = [one for one in documents if any(one[name] != new[name] for name in names)]
    return sorted([*kept, new], key=lambda one: [one[name] for name in names])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUNS")
    parser.add_argument("--models", nargs="+", type=Path, default=[], metavar="FILES")
    parser.add_argument("--data", type=Path, help="manifest, if the recordings were moved")
    parser.add_argument("--work", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--corpora", nargs="+", default=MANY_SPEAKERS, metavar="CORPUS")
    parser.add_argument("--clips", type=int, help="a sample of so many clips, not all")
    parser.add_argument("--seed", type=int, default=0, help="of that sample")
    parser.add_argument("--noise", type=Path, help="folder of recorded noise")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--figures", type=Path, default=FIGURES, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    given = parser.parse_args()
    documents = json.loads(given.figures.read_text("utf-8")) if given.figures.is_file() else []
    if given.runs:
        try:
            documents = merged(documents, measured(given))
        except SerEdgeError as fault:
            raise SystemExit(str(fault)) from None
        text = json.dumps(documents, indent=1, ensure_ascii=False, allow_nan=False)
        write_text_atomically(given.figures, text + "\n")
    write_text_atomically(given.page, page(documents))
    sys.stdout.write(f"{given.page}\n")


if __name__ == "__main__":
    main()
