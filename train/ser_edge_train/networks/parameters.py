"""What can be said of each network in a recipe. No Keras: recipes are read without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=101)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Stride = Annotated[
    tuple[Annotated[int, Field(ge=1, le=8)], Annotated[int, Field(ge=1, le=8)]],
    Field(strict=False),
]
Pooling = Literal["mean", "max", "mean+max"]
TimePooling = Pooling | Literal["attention", "attention+max"]
Widths = Annotated[tuple[Width, ...], Field(strict=False, min_length=1, max_length=32)]


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def check_strides(channels: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """Makes sure that each block has its stride.

    Raises:
        ValueError: Another number of strides.
    """
    if len(strides) != len(channels):
        raise ValueError(f"{len(channels)} channels but {len(strides)} strides; give one a block")


class Cnn1d(_Parameters):
    """Convolutions over time, then the mean over what time is left.

    Attributes:
        filters: Width of each block (Conv1D, BatchNorm, ReLU, MaxPool).
        kernel: Frames under each convolution.
        pool: Frames that each block's pooling makes one.
        hidden: Width of a dense layer before the last; 0 leaves it out.
        dropout: Share of the pooled values dropped in training.
    """

    name: Literal["cnn1d"] = "cnn1d"
    filters: Widths = (32, 64, 96)
    kernel: Kernel = 5
    pool: Annotated[int, Field(ge=1, le=16)] = 2
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    dropout: Rate = 0.3


class CnnLstm(_Parameters):
    """Convolutions over time, then LSTM layers over what they found.

    Attributes:
        filters: Width of each block (Conv1D, BatchNorm, ReLU, MaxPool).
        kernel: Frames under each convolution.
        pool: Frames that each block's pooling makes one.
        units: Width of each LSTM layer; the last one's final state is used.
        hidden: Width of a dense layer before the last; 0 leaves it out.
        dropout: Share of values dropped in training, before each LSTM and before the last layer.
    """

    name: Literal["cnn_lstm"] = "cnn_lstm"
    filters: Widths = (64, 64)
    kernel: Kernel = 5
    pool: Annotated[int, Field(ge=1, le=16)] = 2
    units: Widths = (64,)
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    dropout: Rate = 0.3


class DsCnn(_Parameters):
    """Depthwise-separable convolutions over time and frequency.

    After MobileNet (Howard et al. 2017, arXiv:1704.04861) and DS-CNN for
    keywords (Zhang et al. 2017, arXiv:1711.07128). Time is kept longer than
    frequency; the last map is pooled over both.

    Attributes:
        stem: Width of the first, full convolution (3 x 3).
        stem_stride: Its step over (time, frequency).
        channels: Width of each separable block.
        strides: Step of each block over (time, frequency); as many as channels.
        residual: Adds a block's input to its output where their shapes agree.
        pooling: What is taken from the last map: its mean, its maximum, or both.
        dropout: Share of the pooled values dropped in training.
    """

    name: Literal["ds_cnn"] = "ds_cnn"
    stem: Width = 24
    stem_stride: Stride = (2, 2)
    channels: Widths = (32, 48, 64, 96, 128, 160, 160)
    strides: Annotated[tuple[Stride, ...], Field(strict=False)] = (
        (1, 2), (2, 1), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1),
    )  # fmt: skip
    residual: bool = False
    pooling: Pooling = "mean+max"
    dropout: Rate = 0.3

    @model_validator(mode="after")
    def _one_stride_a_block(self) -> DsCnn:
        check_strides(self.channels, self.strides)
        return self


class Stage(_Parameters):
    """A run of equally wide convolutions in a residual network.

    Attributes:
        channels: Width of each convolution.
        kernel: Frames under each convolution.
        stride: Frames that the first convolution makes one.
        blocks: Residual convolutions after the first one.
        squeeze: Each channel that a residual convolution adds is weighed by what all of them
            are over the utterance (squeeze-and-excitation, Hu et al. 2018, arXiv:1709.01507),
            through a layer of ``channels // squeeze``; 0 leaves that out.
    """

    channels: Width
    kernel: Kernel = 5
    stride: Annotated[int, Field(ge=1, le=8)] = 2
    blocks: Annotated[int, Field(ge=0, le=16)] = 1
    squeeze: Annotated[int, Field(ge=0, le=64)] = 0


class Cnn2d(_Parameters):
    """Full convolutions over time and frequency, perhaps others over time alone, then pooling.

    What is left of frequency is averaged, or becomes the channels of what goes on over time.
    Without words it is wide at its end, and keeps time longer than frequency.

    Attributes:
        channels: Width of each block (Conv2D, BatchNorm, ReLU).
        strides: Step of each block over (time, frequency); as many as channels.
        kernel: Frames, and bands, under each convolution.
        centred: Shows the features twice, the second time less their means over the utterance:
            what a voice or a microphone gives every frame is gone from those.
        spatial_dropout: Share of whole channels dropped in training, after each block, and
            within ``series`` as in :class:`ResCnn1d`.
        merge: With ``series``, the width that the channels of all bands are brought to first.
        series: Residual convolutions over time alone after the blocks; see :class:`Stage`.
        pooling: What is taken over time: its mean, its mean weighted by attention, its
            maximum, or its maximum beside one of them.
        dropout: Share of the pooled values dropped in training.
    """

    name: Literal["cnn2d"] = "cnn2d"
    channels: Widths = (24, 48, 80, 112, 136)
    strides: Annotated[tuple[Stride, ...], Field(strict=False)] = (
        (2, 2), (1, 2), (2, 1), (2, 2), (2, 2),
    )  # fmt: skip
    kernel: Annotated[int, Field(ge=1, le=15)] = 3
    centred: bool = False
    spatial_dropout: Rate = 0.0
    merge: Width = 128
    series: Annotated[tuple[Stage, ...], Field(strict=False, max_length=16)] = ()
    pooling: TimePooling = "attention+max"
    dropout: Rate = 0.3

    @model_validator(mode="after")
    def _one_stride_a_block(self) -> Cnn2d:
        check_strides(self.channels, self.strides)
        return self


class ResCnn1d(_Parameters):
    """Residual convolutions over time (He et al. 2016, arXiv:1512.03385, over one axis).

    Attributes:
        stages: See :class:`Stage`; one after the other.
        spatial_dropout: Share of whole channels dropped in training, of what each residual
            convolution adds and of each stage's output.
        pooling: What is taken from the last stage over time: its mean, its mean weighted by
            attention, its maximum, or its maximum beside one of them.
        dropout: Share of the pooled values dropped in training.
    """

    name: Literal["res_cnn1d"] = "res_cnn1d"
    stages: Annotated[
        tuple[Stage, ...], Field(strict=False, min_length=1, max_length=16)
    ] = (Stage(channels=128), Stage(channels=128))  # fmt: skip
    spatial_dropout: Rate = 0.1
    pooling: TimePooling = "mean+max"
    dropout: Rate = 0.3


class ConvBlock(_Parameters):
    """A convolution of a stack and what follows it, in this order.

    Attributes:
        filters: Width of the convolution, which a ReLU follows.
        kernel: Steps under it.
        batch_norm: Normalises after the ReLU.
        pooling: "max" or "average" over ``pool`` steps; "none" keeps all.
        pool: Steps that the pooling sees at once.
        pool_stride: Steps from one pooling to the next; left out: as many as ``pool``.
        dropout: Share of values dropped in training.
    """

    filters: Width
    kernel: Kernel
    batch_norm: bool = False
    pooling: Literal["none", "max", "average"] = "none"
    pool: Annotated[int, Field(ge=1, le=64)] = 2
    pool_stride: Annotated[int, Field(ge=1, le=64)] | None = None
    dropout: Rate = 0.0


class ConvStack(_Parameters):
    """Convolutions one after the other, all that is left in one row, dense layers.

    Attributes:
        blocks: See :class:`ConvBlock`.
        hidden: Width of a dense layer (ReLU) before the last; 0 leaves it out.
        hidden_norm: Normalises after it.
        dropout: Share of values dropped in training, before the dense layers.
    """

    name: Literal["conv_stack"] = "conv_stack"
    blocks: Annotated[
        tuple[ConvBlock, ...], Field(strict=False, min_length=1, max_length=16)
    ] = (ConvBlock(filters=32, kernel=5, pooling="max"),)  # fmt: skip
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    hidden_norm: bool = False
    dropout: Rate = 0.3

    @model_validator(mode="after")
    def _norm_has_a_use(self) -> ConvStack:
        if self.hidden_norm and not self.hidden:
            raise ValueError("hidden_norm needs a hidden layer; set hidden")
        return self


class Rnn(_Parameters):
    """Recurrent layers straight over the frames.

    Attributes:
        cell: "simple" (Elman's) or "lstm".
        units: Width of each layer.
        pooling: What is taken of the last layer over time: its final state, or of its states
            the mean, the mean weighted by attention, the maximum, or it beside one of them.
        hidden: Width of a dense layer before the last; 0 leaves it out.
        dropout: Share of values dropped in training, between the layers and before the last.
    """

    name: Literal["rnn"] = "rnn"
    cell: Literal["simple", "lstm"] = "simple"
    units: Widths = (64,)
    pooling: Literal["last"] | TimePooling = "last"
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    dropout: Rate = 0.3


class LstmCnn(_Parameters):
    """An LSTM over the frames, convolutions over what it said at each, then dense layers.

    Attributes:
        units: Width of the LSTM.
        filters: Width of each block (Conv1D, BatchNorm, ReLU, MaxPool).
        kernel: Frames under each convolution.
        pool: Frames that each block's pooling makes one.
        pooling: What is taken over the time that is left: its mean, its mean weighted by
            attention, its maximum, or its maximum beside one of them.
        hidden: Width of a dense layer before the last; 0 leaves it out.
        dropout: Share of values dropped in training, after the LSTM and before the dense layers.
    """

    name: Literal["lstm_cnn"] = "lstm_cnn"
    units: Width = 64
    filters: Widths = (64,)
    kernel: Kernel = 5
    pool: Annotated[int, Field(ge=1, le=16)] = 2
    pooling: TimePooling = "mean+max"
    hidden: Annotated[int, Field(ge=0, le=4096)] = 64
    dropout: Rate = 0.3


class DilatedLayer(_Parameters):
    """A convolution that sees every ``dilation``-th frame.

    Attributes:
        channels: Its width.
        kernel: Frames that it sees.
        dilation: From one of them to the next.
    """

    channels: Width
    kernel: Kernel = 3
    dilation: Annotated[int, Field(ge=1, le=32)] = 1


class Tdnn(_Parameters):
    """A time-delay network whose embedding tells speakers apart: an x-vector extractor.

    After Snyder et al. 2018 (doi:10.1109/ICASSP.2018.8461375), narrower: dilated
    convolutions without padding, mean and standard deviation of what they found over all
    frames, a dense layer that is the embedding, a second one, and the speakers.

    Attributes:
        layers: See :class:`DilatedLayer`.
        embedding: Width of the embedding.
        hidden: Width of the dense layer after it.
        dropout: Share of values dropped in training, after the dense layer that follows the
            embedding; the embedding itself is never dropped.
    """

    name: Literal["tdnn"] = "tdnn"
    layers: Annotated[
        tuple[DilatedLayer, ...], Field(strict=False, min_length=1, max_length=16)
    ] = (
        DilatedLayer(channels=96, kernel=5),
        DilatedLayer(channels=96, kernel=3, dilation=2),
        DilatedLayer(channels=96, kernel=3, dilation=3),
        DilatedLayer(channels=96, kernel=1),
        DilatedLayer(channels=192, kernel=1),
    )  # fmt: skip
    embedding: Annotated[int, Field(ge=2, le=1024)] = 64
    hidden: Width = 64
    dropout: Rate = 0.1

    @property
    def context(self) -> int:
        """Frames that one value before the pooling hangs on."""
        return 1 + sum((layer.kernel - 1) * layer.dilation for layer in self.layers)


Parameters = Cnn1d | Cnn2d | CnnLstm | ConvStack | DsCnn | LstmCnn | ResCnn1d | Rnn | Tdnn
NETWORKS: dict[str, type[Parameters]] = {
    "cnn1d": Cnn1d,
    "cnn2d": Cnn2d,
    "cnn_lstm": CnnLstm,
    "conv_stack": ConvStack,
    "ds_cnn": DsCnn,
    "lstm_cnn": LstmCnn,
    "res_cnn1d": ResCnn1d,
    "rnn": Rnn,
    "tdnn": Tdnn,
}
