"""A second head, which learns what a large encoder makes of an utterance and is not kept."""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import keras, layers


def with_hint(network: Any, components: int) -> Any:
    """A network that gives a hint's values beside its logits.

    Args:
        network: One that :func:`ser_edge_train.networks.build` built. It shares its layers
            with the result, so that it has learnt what that has learnt.
        components: Width of the hint; 0 gives the network itself.

    Returns:
        An uncompiled ``keras.Model``, (batch, classes + components) out, the logits first.
    """
    if not components:
        return network
    heard = network.get_layer("logits").input
    values = layers.Dense(components, name="hint")(heard)
    both = layers.Concatenate(name="logits_and_hint")([network.output, values])
    return keras.Model(network.input, both, name=network.name)
