"""What runs where: the one table that knows, each row with its source and date."""

from __future__ import annotations

from dataclasses import dataclass

from ser_edge_convert.errors import ConversionRefused
from ser_edge_convert.variants import variant_named

MEASURED = "measured by this project with tensorflow 2.21.0 on x86-64, 2026-11-21"

LSTM_FORMS = ("fused", "unrolled")


@dataclass(frozen=True)
class Target:
    """A kind of device and what a file for it must be.

    Attributes:
        name: As given to ``--target``.
        meaning: What the device is.
        variant: Preferred for a network without recurrent layers.
        recurrent_variant: Preferred for a network with LSTM, GRU or SimpleRNN layers.
        lstm: Preferred form of LSTM layers, "fused" or "unrolled".
        variants: All variants that run there, and for each the forms of LSTM that do.
        reason: Why these are preferred and the others missing.
        source: Where that is known from, with its date.
    """

    name: str
    meaning: str
    variant: str
    recurrent_variant: str
    lstm: str
    variants: dict[str, tuple[str, ...]]
    reason: str
    source: str


BOTH = ("fused", "unrolled")
FUSED = ("fused",)
UNROLLED = ("unrolled",)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "cpu",
            "a Raspberry Pi, a phone or a workstation, on its processor",
            "int8",
            "dynamic",
            "fused",
            {
                "float32": BOTH,
                "float16": BOTH,
                "dynamic": BOTH,
                "int8": BOTH,
                "int8-io": BOTH,
                "int16x8": UNROLLED,
            },
            "int8 convolutions take a third of float32's time; a fused LSTM in full int8 takes "
            "seven times float32's, with dynamic range four fifths of it; int16x8 is not "
            "accelerated (25 to 75 times slower)",
            MEASURED,
        ),
        Target(
            "edgetpu",
            "a Coral Edge TPU, after edgetpu_compiler",
            "int8-io",
            "int8-io",
            "fused",
            {"int8": BOTH, "int8-io": BOTH},
            "it maps 8-bit operators only, and of LSTMs the unidirectional one; what stands "
            "after the first operator that it cannot map runs on the processor; not tried on "
            "the device",
            "https://coral.ai/docs/edgetpu/models-intro/#supported-operations and "
            "https://developer.axis.com/computer-vision/on-device/system-on-chip/artpec-7/"
            "supported-ops/, read 2026-11-21",
        ),
        Target(
            "ethos-u",
            "an Arm Ethos-U NPU, after vela",
            "int8-io",
            "int8-io",
            "fused",
            {"int8": BOTH, "int8-io": BOTH, "int16x8": UNROLLED},
            "vela puts all of an int8-io network on the NPU, the fused LSTM included; of "
            "int16x8 the conversions at both ends stay on the processor; floats stay there "
            "altogether",
            "ethos-u-vela 5.2.0 for ethos-u55-128, " + MEASURED,
        ),
        Target(
            "micro",
            "a microcontroller with TensorFlow Lite Micro",
            "int8-io",
            "int8-io",
            "fused",
            {"float32": BOTH, "int8": FUSED, "int8-io": FUSED, "int16x8": UNROLLED},
            "its fused LSTM runs in float32 and in int8; unrolled, a network's operator list "
            "and arena outgrow such a device; float16 weights and dynamic range have no kernels",
            "https://github.com/tensorflow/tflite-micro, tensorflow/lite/micro/kernels/"
            "unidirectional_sequence_lstm.cc, read 2026-11-21; tflite-micro "
            "0.dev20261023182759, " + MEASURED,
        ),
        Target(
            "web",
            "a browser with LiteRT.js",
            "int8",
            "dynamic",
            "unrolled",
            {"float32": UNROLLED, "float16": UNROLLED, "dynamic": UNROLLED, "int8": UNROLLED},
            'LiteRT.js refuses int8 at the ends ("Element type INT8 is not supported") and '
            'the fused LSTM ("Variable tensors not yet supported")',
            "@litertjs/core 2.5.3 under Node 20, " + MEASURED,
        ),
        Target(
            "gpu",
            "a phone's GPU with the LiteRT delegate",
            "float16",
            "float16",
            "unrolled",
            {"float32": UNROLLED, "float16": UNROLLED},
            "the delegate computes in 16- or 32-bit floats and runs quantised networks only "
            "by imitating them; the fused sequence LSTM is not in its list; not tried on a device",
            "https://tensorflow.google.cn/lite/performance/gpu, read 2026-11-21",
        ),
    )
}


@dataclass(frozen=True)
class Plan:
    """What a conversion will make: target, variant, form of LSTM, and why."""

    target: str
    variant: str
    lstm: str
    reason: str


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        ConversionRefused: There is none; names those that exist.
    """
    if name not in TARGETS:
        raise ConversionRefused(f"no target {name!r}; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def plan(recurrent: bool, *, target: str | None = None, variant: str | None = None) -> Plan:
    """Decides what to make of a network.

    Args:
        recurrent: Whether it has LSTM, GRU or SimpleRNN layers.
        target: Where it shall run; None with a variant means the processor.
        variant: How its numbers shall be written; None leaves that to the target.

    Raises:
        ConversionRefused: Unknown name, or a combination that does not run; says why.
    """
    place = target_named(target or "cpu")
    if variant is None:
        chosen = place.recurrent_variant if recurrent else place.variant
    else:
        chosen = variant_named(variant).name
    if chosen not in place.variants:
        raise ConversionRefused(
            f"{chosen} does not run on {place.name}: {place.reason}; "
            f"choose one of {', '.join(place.variants)} ({place.source})"
        )
    forms = place.variants[chosen]
    lstm = place.lstm if place.lstm in forms else forms[0]
    return Plan(place.name, chosen, lstm, place.reason)


def check_form(target: str, variant: str, lstm: str) -> None:
    """Refuses a form of LSTM that the caller asked for and the variant or the target lacks.

    Raises:
        ConversionRefused: Says why and which form works.
    """
    if lstm not in LSTM_FORMS:
        raise ConversionRefused(f"no LSTM form {lstm!r}; choose fused or unrolled")
    if variant == "int16x8" and lstm == "fused":
        raise ConversionRefused(
            "int16x8 has no fused LSTM: the converter says '16x8 not yet supported for op "
            f"UNIDIRECTIONAL_SEQUENCE_LSTM' ({MEASURED}); choose unrolled, or variant int8"
        )
    place = target_named(target)
    if lstm not in place.variants.get(variant, ()):
        raise ConversionRefused(
            f"{variant} with {lstm} LSTM does not run on {place.name}: {place.reason} "
            f"({place.source}); leave the form to the target"
        )
