"""The proof that the clips of an audit are of speakers who decided nothing before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ser_edge_convert.audit.reference import Reference
from ser_edge_convert.calibration import SHORT_DIGEST, choose
from ser_edge_convert.errors import AuditRefused, CalibrationError
from ser_edge_runtime.model_file import ModelFile
from ser_edge_train.manifest import Key

CONVERT_AGAIN = "convert it from its run again"


def check_speakers(reference: Reference) -> int:
    """Makes sure that no speaker of the audit stands in another part of the run.

    A test speaker must be in neither training nor validation, which chose the
    epoch; where a validation part is audited, its speakers must not be in training.

    Returns:
        How many clips have a speaker whom nobody named: of them nothing is proved.

    Raises:
        AuditRefused: A speaker, or equal audio, stands on both sides.
    """
    run = reference.inputs.run.path
    speakers = {row.speaker_key for row in reference.answers}
    sounds = {clip.audio_sha256 for clip in reference.clips}
    others = {"test": ("train", "validation"), "validation": ("train",)}[reference.part]
    names = {"train": "training", "validation": "validation"}
    for row in reference.inputs.partition.rows:
        if row.part not in others:
            continue
        clip = reference.inputs.manifest.by_key[row.key]
        hint = f"audit it on speakers who are in its {reference.part} part alone"
        if clip.speaker_key in speakers:
            fault = (
                f"speaker {' '.join(clip.speaker_key)} of its {reference.part} part "
                f"is in its {names[row.part]} part too ({row.corpus} {row.stem})"
            )
            raise AuditRefused(run, fault, hint)
        if clip.audio_sha256 in sounds:
            fault = (
                f"the audio of {row.corpus} {row.stem} is in both {reference.part} and {row.part}"
            )
            raise AuditRefused(run, fault, hint)
    return sum(not clip.speaker_known for clip in reference.clips)


def check_calibration(model: ModelFile, reference: Reference, *, calibrated: bool) -> str:
    """Makes sure that a file was not calibrated on a speaker of the audit.

    The file names its calibration clips by the beginnings of their digests, or all of them
    by one digest: then the choice is made again from the run, its seed and its size, and
    if it has that digest, those were the clips.

    Args:
        model: The file.
        reference: The run that it was made from.
        calibrated: Whether its variant measures ranges on clips at all.

    Returns:
        How it was proved: "not calibrated" or "training speakers".

    Raises:
        AuditRefused: A speaker of the audit calibrated it, or nothing tells who did.
    """
    found = model.metadata.provenance.get("calibration")
    if not isinstance(found, Mapping):
        if not calibrated:
            return "not calibrated"
        fault = "does not say which clips it was calibrated on"
        raise AuditRefused(model.name, fault, CONVERT_AGAIN)
    calibrators = _calibrators(found, reference)
    if calibrators is None:
        fault = f"was calibrated on clips that {reference.inputs.run.path} does not tell"
        raise AuditRefused(model.name, fault, CONVERT_AGAIN)
    both = calibrators & {row.speaker_key for row in reference.answers}
    if both:
        raise AuditRefused(
            model.name,
            f"was calibrated on speaker {' '.join(min(both))}, whom the audit is about",
            "calibrate on training speakers: " + CONVERT_AGAIN,
        )
    return "training speakers"


def _calibrators(found: Mapping[str, Any], reference: Reference) -> set[Key] | None:
    """The speakers of the calibration clips that a file names; None if it cannot be told."""
    named = found.get("audio")
    return _chosen_again(found, reference) if named is None else _named(named, reference)


def _named(digests: Any, reference: Reference) -> set[Key] | None:
    """The speakers of clips that are named by the first digits of their audio's digests."""
    if not isinstance(digests, list) or not all(
        isinstance(digest, str) and len(digest) == SHORT_DIGEST for digest in digests
    ):
        return None
    speakers: dict[str, set[Key]] = {}
    for clip in reference.inputs.manifest.clips:
        short = clip.audio_sha256[:SHORT_DIGEST]
        speakers.setdefault(short, set()).add(clip.speaker_key)
    if any(digest not in speakers for digest in digests):
        return None
    return set().union(*(speakers[digest] for digest in digests))


def _chosen_again(found: Mapping[str, Any], reference: Reference) -> set[Key] | None:
    """The speakers that the run's training part gives for a seed and a size, if its digest fits."""
    size, seed = found.get("size"), found.get("seed")
    if type(size) is not int or type(seed) is not int:
        return None
    inputs = reference.inputs
    try:
        chosen = choose(
            inputs.manifest,
            inputs.partition,
            size,
            seed,
            labels=inputs.labels,
            label_of=inputs.label_of,
        )
    except CalibrationError:
        return None
    if chosen.digest != found.get("digest"):
        return None
    return {clip.speaker_key for clip in chosen.clips}
