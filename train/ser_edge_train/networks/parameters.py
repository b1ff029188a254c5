"""What can be said of each network in a recipe. No Keras: recipes are read without it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=101)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Stride = Annotated[
    tuple[Annotated[int, Field(ge=1, le=8)], Annotated[int, Field(ge=1, le=8)]],
    Field(strict=False),
]
Widths = Annotated[tuple[Width, ...], Field(strict=False, min_length=1, max_length=32)]


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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
    pooling: Literal["mean", "max", "mean+max"] = "mean+max"
    dropout: Rate = 0.3

    @model_validator(mode="after")
    def _one_stride_a_block(self) -> DsCnn:
        if len(self.strides) != len(self.channels):
            raise ValueError(
                f"{len(self.channels)} channels but {len(self.strides)} strides; give one a block"
            )
        return self


class Stage(_Parameters):
    """A run of equally wide convolutions in a residual network.

    Attributes:
        channels: Width of each convolution.
        kernel: Frames under each convolution.
        stride: Frames that the first convolution makes one.
        blocks: Residual convolutions after the first one.
    """

    channels: Width
    kernel: Kernel = 5
    stride: Annotated[int, Field(ge=1, le=8)] = 2
    blocks: Annotated[int, Field(ge=0, le=16)] = 1


class ResCnn1d(_Parameters):
    """Residual convolutions over time (He et al. 2016, arXiv:1512.03385, over one axis).

    Attributes:
        stages: See :class:`Stage`; one after the other.
        spatial_dropout: Share of whole channels dropped in training, of what each residual
            convolution adds and of each stage's output.
        pooling: What is taken from the last stage over time: its mean, its maximum, or both.
        dropout: Share of the pooled values dropped in training.
    """

    name: Literal["res_cnn1d"] = "res_cnn1d"
    stages: Annotated[
        tuple[Stage, ...], Field(strict=False, min_length=1, max_length=16)
    ] = (Stage(channels=128), Stage(channels=128))  # fmt: skip
    spatial_dropout: Rate = 0.1
    pooling: Literal["mean", "max", "mean+max"] = "mean+max"
    dropout: Rate = 0.3


Parameters = Cnn1d | CnnLstm | DsCnn | ResCnn1d
NETWORKS: dict[str, type[Parameters]] = {
    "cnn1d": Cnn1d,
    "cnn_lstm": CnnLstm,
    "ds_cnn": DsCnn,
    "res_cnn1d": ResCnn1d,
}
