"""The table ``[fit]`` of a recipe: how the network is fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ser_edge_train.recipes.table import Table

Share = Annotated[float, Field(gt=0, lt=1)]


class Optimizer(Table):
    """How the weights move.

    Attributes:
        name: Keras' optimizer.
        learning_rate: Its step, at its largest where a schedule changes it.
        weight_decay: Decoupled decay of the weights, a step.
        momentum: Of "sgd" (Nesterov's) and "rmsprop".
        clip_norm: Largest norm of a step's whole gradient; left out: no limit.
    """

    name: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _momentum_has_a_use(self) -> Optimizer:
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise ValueError(f"{self.name} has no momentum to set; leave it out")
        return self


class Schedule(Table):
    """How the learning rate changes by itself.

    Attributes:
        name: "constant", or "cosine": down to zero at the last epoch.
        warmup_epochs: Epochs over which "cosine" first rises from zero.
    """

    name: Literal["constant", "cosine"] = "constant"
    warmup_epochs: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _warmup_has_a_use(self) -> Schedule:
        if self.warmup_epochs and self.name == "constant":
            raise ValueError("warmup_epochs needs name = 'cosine'")
        return self


class EarlyStopping(Table):
    """Ends the fit when the monitored score has not risen for ``patience`` epochs."""

    patience: Annotated[int, Field(ge=1, le=10_000)]
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class ReduceLearningRate(Table):
    """Multiplies the learning rate by ``factor`` after ``patience`` epochs without a better score.

    Attributes:
        minimum: The rate goes no lower.
        cooldown: Epochs to wait after a reduction before counting again.
    """

    patience: Annotated[int, Field(ge=1, le=10_000)]
    factor: Share = 0.5
    minimum: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cooldown: Annotated[int, Field(ge=0, le=10_000)] = 0


class Fit(Table):
    """How the network is fitted.

    Attributes:
        epochs: The most epochs.
        batch_size: Utterances a step.
        optimizer: See :class:`Optimizer`.
        schedule: See :class:`Schedule`.
        label_smoothing: Share of each target spread evenly over the allowed classes.
        class_weights: Weight of a training utterance by the count n of its class:
            "balanced" 1/n, "sqrt" 1/sqrt(n), scaled to a mean of 1; or "none".
        corpus_weights: A further factor for the utterances of a corpus; missing ones have 1.
        corpus_repeats: How often an epoch shows the training utterances of a corpus; missing
            ones once. 2.5 is twice all and once half of them, drawn anew in every epoch.
        average: Decay a step of a moving average of the weights, which is validated and kept
            in the place of the weights themselves (Polyak and Juditsky, 1992); left out: none.
        monitor: The validation score that chooses the epoch whose weights are kept.
        early_stopping: See :class:`EarlyStopping`; left out: never.
        reduce_learning_rate: See :class:`ReduceLearningRate`; left out: never.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["balanced", "sqrt", "none"] = "balanced"
    corpus_weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(default_factory=dict)
    corpus_repeats: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict)
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    monitor: Literal["val_uar", "val_loss"] = "val_uar"
    early_stopping: EarlyStopping | None = None
    reduce_learning_rate: ReduceLearningRate | None = None

    @model_validator(mode="after")
    def _one_hand_on_the_rate(self) -> Fit:
        if self.schedule.name == "cosine" and self.reduce_learning_rate is not None:
            raise ValueError(
                "schedule 'cosine' and reduce_learning_rate both set the learning rate; keep one"
            )
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError("schedule.warmup_epochs must be fewer than epochs")
        return self
