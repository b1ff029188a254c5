"""A finished speaker embedding inside another network: frozen, on the same features, one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge_runtime.front_end.normaliser import Normaliser
from ser_edge_train.frameworks import keras, layers
from ser_edge_train.networks import tdnn
from ser_edge_train.networks.blocks import normalise
from ser_edge_train.networks.files import NetworkFileError, load_network
from ser_edge_train.networks.parameters import Tdnn
from ser_edge_train.recipes.schema import Recipe
from ser_edge_train.run_directory import RunDirectory

Array = npt.NDArray[np.float32]

PREFIX = "speaker_"


@dataclass(frozen=True)
class SpeakerBranch:
    """A speaker embedding to be joined to a network. Threads may share it.

    Attributes:
        parameters: Of the ``tdnn`` that it was.
        weights: Of its layers up to the embedding, by name; the first kernel expects
            features normalised as the network does that it is joined to.
        join: "frames": beside each frame's features; "pooled": beside the values from
            which the last layers decide.
    """

    parameters: Tdnn
    weights: Mapping[str, tuple[Array, ...]]
    join: str

    @classmethod
    def load(
        cls,
        model_path: str | PathLike[str],
        parameters: Tdnn,
        trained_with: Normaliser,
        joined_with: Normaliser,
        join: str,
    ) -> SpeakerBranch:
        """Takes the embedding out of a trained ``tdnn``.

        Args:
            model_path: Its ``model.keras``.
            parameters: Its network's parameters.
            trained_with: Its normaliser.
            joined_with: The normaliser of the network that it is joined to.
            join: "frames" or "pooled".

        Raises:
            NetworkFileError: The file is missing, or holds another network.
        """
        model = load_network(model_path)
        weights = {}
        for layer in model.layers:
            # Not "embedding_norm": that is of the classifier behind the embedding.
            wanted = layer.name == tdnn.EMBEDDING or layer.name.startswith("tdnn")
            if wanted and layer.weights:
                weights[layer.name] = tuple(np.asarray(w, np.float32) for w in layer.get_weights())
        if not {tdnn.FIRST, tdnn.EMBEDDING} <= weights.keys():
            raise NetworkFileError(
                model_path, "holds no speaker embedding", "train it with a recipe of target speaker"
            )
        kernel, bias = weights[tdnn.FIRST]
        weights[tdnn.FIRST] = fold_normaliser(kernel, bias, trained_with, joined_with)
        return cls(parameters, weights, join)

    def connect(self, features: Any) -> tuple[Any, Any]:
        """Connects it to features (batch, frames, values).

        Returns:
            What the network is to see, and what is to be joined to its pooled values (or None).
        """
        embedding = tdnn.embed(features, self.parameters, PREFIX, trainable=False)
        # Trained with the network: it brings the embedding to the size of everything else.
        embedding = normalise(embedding, f"{PREFIX}scale")
        if self.join == "pooled":
            return features, embedding
        repeated = layers.RepeatVector(features.shape[1], name=f"{PREFIX}repeated")(embedding)
        return layers.Concatenate(name=f"{PREFIX}beside")([features, repeated]), None

    def fill(self, model: keras.Model) -> None:
        """Gives the branch in ``model`` its weights."""
        for name, values in self.weights.items():
            model.get_layer(PREFIX + name).set_weights(list(values))


def branch_of(recipe: Recipe, normaliser: Normaliser) -> SpeakerBranch | None:
    """The branch that a recipe asks for; None if it asks for none.

    Args:
        recipe: An emotion recipe.
        normaliser: Its own.

    Raises:
        NetworkFileError: The network of the embedding's run is missing or another.
        SerEdgeError: Another file of that run cannot be read; names it.
    """
    asked = recipe.speaker_embedding
    if asked is None:
        return None
    run = RunDirectory.open(asked.run)
    parameters = run.read_recipe().network
    if not isinstance(parameters, Tdnn):
        raise NetworkFileError(run.model, "is no tdnn", "name a run of target speaker")
    return SpeakerBranch.load(
        run.model,
        parameters,
        Normaliser.from_json(run.normaliser.read_text(encoding="utf-8")),
        normaliser,
        asked.join,
    )


def fold_normaliser(
    kernel: Array, bias: Array, trained_with: Normaliser, joined_with: Normaliser
) -> tuple[Array, Array]:
    """A convolution's weights for features that another normaliser has treated.

    With x = (f - m) / s, a convolution trained on y = (f - m') / s' sees
    y = x * (s / s') + (m - m') / s': the factor goes into its kernel, the rest into its bias.

    Args:
        kernel: float32 (frames, values, channels), of a convolution without padding.
        bias: float32 (channels,).
        trained_with: m' and s'.
        joined_with: m and s.

    Returns:
        Kernel and bias, float32.
    """
    scale = trained_with.scale.astype(np.float64)
    gain = joined_with.scale / scale
    shift = (joined_with.mean.astype(np.float64) - trained_with.mean) / scale
    moved = bias + np.einsum("kvc,v->c", kernel.astype(np.float64), shift)
    return (kernel * gain[:, np.newaxis]).astype(np.float32), moved.astype(np.float32)


def embeddings(
    model_path: str | PathLike[str],
    features: npt.NDArray[Any],
    normaliser: Normaliser,
    batch: int = 256,
) -> Array:
    """What a trained ``tdnn`` makes of utterances, float32 (utterances, embedding).

    Args:
        model_path: Its ``model.keras``.
        features: (utterances, frames, values) before the normaliser; may be a memory map.
        normaliser: The run's.
        batch: Utterances at a time.

    Raises:
        NetworkFileError: The file is missing, or holds another network.
    """
    model = load_network(model_path)
    if tdnn.EMBEDDING not in {layer.name for layer in model.layers}:
        raise NetworkFileError(
            model_path, "holds no speaker embedding", "train it with a recipe of target speaker"
        )
    embedding = keras.Model(model.input, model.get_layer(tdnn.EMBEDDING).output)
    rows = [
        embedding.predict_on_batch(normaliser(np.asarray(features[start : start + batch])))
        for start in range(0, len(features), batch)
    ]
    return np.concatenate([np.zeros((0, embedding.output_shape[-1])), *rows]).astype(np.float32)
