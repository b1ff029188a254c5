"""The six ways to write a network's numbers, and what each name promises."""

from __future__ import annotations

from dataclasses import dataclass

from ser_edge_convert.errors import ConversionRefused


@dataclass(frozen=True)
class Variant:
    """One way to write a network's numbers.

    Attributes:
        name: As given to ``--variant``.
        meaning: A sentence for people.
        weights: Type of the stored weights.
        activations: Type that passes between operators.
        tensor_type: Type of the file's input and output.
        calibrated: Whether ranges are measured on representative clips.
        agreement: Share of clips on which file and network must name the same
            class for the file to count as the same function at all. It catches
            files that lost their weights (6 % was seen); what a sound file may
            lose is a matter of the gate.
        max_difference: Largest difference of a probability that rounding can
            explain; None where a clip near a boundary may move by any amount.
    """

    name: str
    meaning: str
    weights: str
    activations: str
    tensor_type: str
    calibrated: bool
    agreement: float
    max_difference: float | None


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            "float32",
            "everything in 32-bit floating point, as trained",
            "float32",
            "float32",
            "float32",
            False,
            0.995,
            1e-3,
        ),
        Variant(
            "float16",
            "weights stored in 16-bit floating point, computed in 32",
            "float16",
            "float32",
            "float32",
            False,
            0.98,
            0.1,
        ),
        Variant(
            "dynamic",
            "weights in 8 bits, activations quantised on the fly from their own range",
            "int8",
            "float32",
            "float32",
            False,
            0.8,
            None,
        ),
        Variant(
            "int8",
            "weights and activations in 8 bits, float32 at both ends",
            "int8",
            "int8",
            "float32",
            True,
            0.6,
            None,
        ),
        Variant(
            "int8-io",
            "weights and activations in 8 bits, int8 at both ends too",
            "int8",
            "int8",
            "int8",
            True,
            0.6,
            None,
        ),
        Variant(
            "int16x8",
            "weights in 8 bits, activations in 16, float32 at both ends",
            "int8",
            "int16",
            "float32",
            True,
            0.8,
            None,
        ),
    )
}


def variant_named(name: str) -> Variant:
    """The variant of that name.

    Raises:
        ConversionRefused: There is none; names those that exist.
    """
    if name not in VARIANTS:
        raise ConversionRefused(f"no variant {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
