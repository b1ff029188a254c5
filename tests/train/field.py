"""Manifests of the known corpora's speakers, two clips each, and who stands in a part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ser_edge_train.corpora import crema_d, ravdess, savee
from ser_edge_train.manifest import Manifest
from ser_edge_train.partitions import Partition

from .recordings import make_manifest

RAVDESS = make_manifest(
    {("ravdess", f"{a:02d}"): "male" if a % 2 else "female" for a in ravdess.ACTORS}
)
CREMA_D = make_manifest(
    {
        ("crema-d", str(number)): "male" if number in crema_d.MEN else "female"
        for number in crema_d.SPEAKERS
    }
)
SAVEE = make_manifest({("savee", name): "male" for name in savee.SPEAKERS})
TESS = make_manifest({("tess", "OAF"): "female", ("tess", "YAF"): "female"})


def together(*manifests: Manifest) -> Manifest:
    clips = [clip for manifest in manifests for clip in manifest.clips]
    return Manifest(
        Path("/data"),
        tuple(replace(clip, audio_sha256=f"{n:064x}") for n, clip in enumerate(clips)),
    )


ALL = together(RAVDESS, CREMA_D, SAVEE, TESS)


def speakers(manifest: Manifest, partition: Partition, part: str, corpus: str = "") -> set[str]:
    return {
        clip.speaker
        for clip in partition.clips(manifest, part)
        if clip.corpus == corpus or not corpus
    }
