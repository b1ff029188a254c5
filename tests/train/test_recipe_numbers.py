"""Every number of a recipe has bounds: at them it is taken, beyond them it is named."""

from __future__ import annotations

import math
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from ser_edge_train.networks.parameters import NETWORKS, ConvBlock, DilatedLayer, Stage, Tdnn
from ser_edge_train.recipes.fit import (
    EarlyStopping,
    Fit,
    Optimizer,
    ReduceLearningRate,
    Schedule,
)
from ser_edge_train.recipes.protocol import PROTOCOL_NAMES, CrossCorpus, Random, SpeakerFolds
from ser_edge_train.recipes.schema import Recipe, RecipeError

from .toys import toy_recipe

LEAST: dict[type[BaseModel], dict[str, Any]] = {
    Fit: {"epochs": 2000},
    EarlyStopping: {"patience": 1},
    ReduceLearningRate: {"patience": 1},
    Schedule: {"name": "cosine"},
    Stage: {"channels": 4},
    ConvBlock: {"filters": 4, "kernel": 3},
    DilatedLayer: {"channels": 4, "kernel": 3},
    NETWORKS["conv_stack"]: {"hidden": 4},
}


def made(table: type[BaseModel], **values: object) -> BaseModel:
    return table(**{**LEAST.get(table, {}), **values})


def tables(annotation: Any) -> set[type[BaseModel]]:
    """Every table that a field's type can hold, and those within."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = (tables(field.annotation) for field in annotation.model_fields.values())
        return {annotation}.union(*inner)
    if get_origin(annotation) in (Union, UnionType, Annotated, tuple, dict, list):
        return set().union(*map(tables, get_args(annotation)))
    return set()


def kinds(annotation: Any) -> set[type]:
    inner = get_args(annotation)
    if annotation in (int, float):
        return {annotation}
    return set().union(*map(kinds, inner)) if inner else set()


EVERY = sorted(tables(Recipe), key=lambda table: table.__name__)
NUMBERS = [
    (table, name)
    for table in EVERY
    for name, field in table.model_fields.items()
    if not tables(field.annotation) and kinds(field.annotation)
]


def test_the_tables_are_found():
    assert {Recipe, Fit, Optimizer, Stage, DilatedLayer, *NETWORKS.values()} <= set(EVERY)
    assert len(NUMBERS) > 60


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_none_or_endless(value):
    """TOML has words for all three, and a network fitted with one of them learns nothing."""
    taken = []
    for table, name in NUMBERS:
        for shape in (value, (value,), (value, value), (0.0, value), {"tess": value}):
            try:
                made(table, **{name: shape})
            except ValidationError:
                continue
            taken.append(f"{table.__name__}.{name} = {shape}")
    assert taken == []


def test_no_number_is_taken_from_a_text_or_a_truth():
    for table, name in NUMBERS:
        for value in ("3", True):
            if bool in get_args(table.model_fields[name].annotation):
                continue
            with pytest.raises(ValidationError):
                made(table, **{name: value})


TINY = 1e-12
BOUNDS = [
    (Optimizer, "learning_rate", TINY, 10.0, 0.0, 10.001),
    (Optimizer, "weight_decay", 0.0, 1.0, -TINY, 1.001),
    (Optimizer, "clip_norm", TINY, 1e300, 0.0, None),
    (Schedule, "warmup_epochs", 0, 1000, -1, 1001),
    (EarlyStopping, "patience", 1, 10_000, 0, 10_001),
    (EarlyStopping, "min_delta", 0.0, 1e300, -TINY, None),
    (ReduceLearningRate, "factor", TINY, 1 - TINY, 0.0, 1.0),
    (ReduceLearningRate, "cooldown", 0, 10_000, -1, 10_001),
    (Fit, "epochs", 1, 100_000, 0, 100_001),
    (Fit, "batch_size", 1, 65_536, 0, 65_537),
    (Fit, "label_smoothing", 0.0, 1 - TINY, -TINY, 1.0),
    (Fit, "average", TINY, 1 - TINY, 0.0, 1.0),
    (NETWORKS["cnn1d"], "kernel", 1, 101, 0, 102),
    (NETWORKS["cnn1d"], "pool", 1, 16, 0, 17),
    (NETWORKS["cnn1d"], "dropout", 0.0, 1 - TINY, -TINY, 1.0),
    (NETWORKS["cnn1d"], "filters", (1,), (4096,) * 32, (), (1,) * 33),
    (NETWORKS["cnn1d"], "filters", (1,), (4096,), (0,), (4097,)),
    (NETWORKS["ds_cnn"], "stem_stride", (1, 1), (8, 8), (0, 1), (1, 9)),
    (NETWORKS["ds_cnn"], "stem_stride", (1, 8), (8, 1), (1,), (1, 1, 1)),
    (NETWORKS["cnn2d"], "kernel", 1, 15, 0, 16),
    (NETWORKS["res_cnn1d"], "spatial_dropout", 0.0, 1 - TINY, -TINY, 1.0),
    (NETWORKS["conv_stack"], "hidden", 0, 4096, -1, 4097),
    (Stage, "stride", 1, 8, 0, 9),
    (Stage, "blocks", 0, 16, -1, 17),
    (ConvBlock, "pool", 1, 64, 0, 65),
    (ConvBlock, "pool_stride", 1, 64, 0, 65),
    (Tdnn, "embedding", 2, 1024, 1, 1025),
    (SpeakerFolds, "fold", 1, 1_000_000, 0, 1_000_001),
    (SpeakerFolds, "seed", 0, 2**32 - 1, -1, 2**32),
    (Random, "folds", 2, 1000, 1, 1001),
]


@pytest.mark.parametrize(
    ("table", "name", "low", "high", "below", "above"),
    BOUNDS,
    ids=[f"{row[0].__name__}.{row[1]}-{n}" for n, row in enumerate(BOUNDS)],
)
def test_a_number_is_taken_up_to_its_bounds(table, name, low, high, below, above):
    for value in (low, high):
        assert getattr(made(table, **{name: value}), name) == value
    for value in (below, above):
        if value is not None:
            with pytest.raises(ValidationError, match=name):
                made(table, **{name: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fit__optimizer__clip_norm": math.inf}, "fit.optimizer.clip_norm: input should be a fin"),
        ({"fit__early_stopping": {"patience": 1, "min_delta": math.inf}}, "min_delta"),
        ({"fit__reduce_learning_rate": {"patience": 1, "minimum": math.inf}}, "minimum"),
    ],
)
def test_an_endless_number_is_named_in_a_line(changes, words):
    with pytest.raises(RecipeError, match=words) as fault:
        toy_recipe(**changes)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        (
            NETWORKS["ds_cnn"],
            {"channels": (4, 4), "strides": ((1, 1),)},
            "2 channels but 1 strides",
        ),
        (NETWORKS["cnn2d"], {"channels": (4,)}, "1 channels but 5 strides; give one a block"),
        (NETWORKS["conv_stack"], {"hidden": 0, "hidden_norm": True}, "needs a hidden layer"),
        (Optimizer, {"name": "adam", "momentum": 0.1}, "adam has no momentum to set"),
        (Schedule, {"name": "constant", "warmup_epochs": 1}, "warmup_epochs needs name = 'cosine'"),
        (Fit, {"epochs": 3, "schedule": Schedule(name="cosine", warmup_epochs=3)}, "fewer than"),
        (SpeakerFolds, {"fold": 0}, "greater than or equal to 1"),
        (Random, {"fold": 4, "folds": 3}, "no fold 4 of 3"),
        (CrossCorpus, {"test_corpora": ()}, "at least 1 item"),
        (CrossCorpus, {"test_corpora": ("tess", "tess")}, "one stands twice"),
        (CrossCorpus, {"test_corpora": ("tess",), "fold": 2}, "no fold 2; name other test_corpora"),
    ],
)
def test_numbers_that_do_not_go_together(table, values, words):
    with pytest.raises(ValidationError, match=words):
        made(table, **values)


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_who_has_a_momentum(name):
    assert Optimizer(name=name, momentum=0.9).momentum == 0.9


def test_the_context_of_dilated_layers_is_counted_frame_by_frame():
    """By hand: a layer at frame t sees t, t + d, ..., so that the ends add up."""
    layers = ((5, 1), (3, 2), (3, 3), (1, 7))
    seen = {0}
    for kernel, dilation in reversed(layers):
        seen = {at + step * dilation for at in seen for step in range(kernel)}
    tdnn = Tdnn(layers=[{"channels": 4, "kernel": k, "dilation": d} for k, d in layers])
    assert tdnn.context == max(seen) - min(seen) + 1
    assert seen == set(range(tdnn.context))


def test_every_protocol_says_what_its_function_takes():
    assert len(set(PROTOCOL_NAMES)) == len(PROTOCOL_NAMES) == 8
    assert Random(fold=2, folds=7, seed=1).options == {"folds": 7}
    assert SpeakerFolds(fold=3).options == {}
    assert CrossCorpus(test_corpora=["tess"]).options == {"test_corpora": ("tess",)}
