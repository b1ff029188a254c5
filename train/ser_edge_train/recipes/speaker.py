"""The table ``[speaker_embedding]`` of a recipe: a finished one, joined to the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ser_edge_train.recipes.table import Table


class SpeakerEmbedding(Table):
    """A frozen speaker embedding that the network sees beside its features.

    Attributes:
        run: Directory of a finished run of ``target = "speaker"`` with the same front end,
            from the current folder unless it is absolute. None of its speakers may stand in
            this recipe's validation or test part.
        join: "frames": beside the features of each frame; "pooled": beside the values from
            which the last layers decide.
        network_sha256: Of that run's ``model.keras``; the training fills it in, and a
            resumption refuses another.
    """

    run: Annotated[str, Field(min_length=1, max_length=4096)]
    join: Literal["frames", "pooled"] = "frames"
    network_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
