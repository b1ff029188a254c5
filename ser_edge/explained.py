"""A recipe in words, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ser_edge.describe import describe_front_end

if TYPE_CHECKING:
    from ser_edge_train.recipes import Recipe
    from ser_edge_train.recipes.published import Published


def explain(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What a recipe does, from the recordings to the commands: pairs of a heading and a line."""
    yield "what", recipe.summary or recipe.name
    yield "data", _data(recipe)
    yield "divided", _protocol(recipe)
    for line in describe_front_end(recipe.spec):
        yield "features", line
    yield "input", " x ".join(map(str, recipe.spec.output_shape))
    yield "network", _network(recipe)
    if recipe.speaker_embedding is not None:
        run, join = recipe.speaker_embedding.run, recipe.speaker_embedding.join
        beside = "each frame" if join == "frames" else "the pooled values"
        yield "network", f"beside {beside}: the speaker embedding of {run}"
    for line in _augmentation(recipe):
        yield "augmented", line
    yield "fit", _fit(recipe)
    for figure in recipe.published or ():
        yield "published", describe_published(figure)
    yield "train", f"ser-edge train --recipe {recipe.name} --data manifest.csv --run runs/NAME"
    for options in _as_published(recipe):
        yield "as published", f"the same with {options}"


def describe_published(figure: Published) -> str:
    """A printed figure in words."""
    whose = "" if figure.sex == "mixed" else f", {figure.sex} speakers"
    return f"{figure.figure:g} % {figure.measure} ({figure.protocol}{whose}): {figure.system}"


def _data(recipe: Recipe) -> str:
    corpora = ", ".join(recipe.corpora) or "whatever the manifest holds"
    whose = "" if recipe.sex == "mixed" else f", {recipe.sex} speakers"
    if recipe.target == "speaker":
        return f"{corpora}{whose}; the training speakers are the classes"
    merged = "".join(f"; {emotion} counts as {label}" for emotion, label in recipe.merge.items())
    return f"{corpora}{whose}; {len(recipe.labels)} classes: {', '.join(recipe.labels)}{merged}"


def _protocol(recipe: Recipe) -> str:
    from ser_edge_train.partitions import PROTOCOLS

    protocol = PROTOCOLS.get(recipe.protocol.name)
    summary = "by a partition that is given" if protocol is None else protocol.summary
    return f"{recipe.protocol.name}, fold {recipe.protocol.fold}: {summary}"


def _network(recipe: Recipe) -> str:
    from ser_edge_train.networks.parameters import NETWORKS

    words = (NETWORKS[recipe.network.name].__doc__ or "").splitlines()[0].rstrip(".")
    return f"{recipe.network.name}: {words}"


def _augmentation(recipe: Recipe) -> Iterator[str]:
    how = recipe.augmentation
    if how.waveform is not None:
        effects = ", ".join(how.waveform.effects)
        seen = "all seen" if how.waveform.use == "all" else "one drawn"
        yield f"{how.waveform.copies} changed copies of each recording ({effects}), {seen} an epoch"
    if how.gain_db is not None:
        yield f"up to {how.gain_db:g} dB louder or softer"
    if how.time_shift:
        yield f"moved by up to {how.time_shift} frames"
    if how.spec_augment is not None:
        masks = how.spec_augment
        yield (
            f"{masks.time_masks} stretches of up to {masks.time_width} frames and "
            f"{masks.frequency_masks} of up to {masks.frequency_width} features hidden"
        )
    if how.mixup is not None:
        yield f"{100 * how.mixup.probability:g} % blended in pairs (mixup {how.mixup.alpha:g})"


def _fit(recipe: Recipe) -> str:
    how = recipe.fit
    words = [
        f"at most {how.epochs} epochs in batches of {how.batch_size}",
        f"{how.optimizer.name} {how.optimizer.learning_rate:g}",
    ]
    if how.schedule.name != "constant":
        words.append(f"{how.schedule.name} schedule")
    if how.reduce_learning_rate is not None:
        words.append(
            f"reduced by {how.reduce_learning_rate.factor:g} after "
            f"{how.reduce_learning_rate.patience} epochs without a better {how.monitor}"
        )
    if how.early_stopping is not None:
        words.append(f"ended after {how.early_stopping.patience} of them")
    if how.class_weights != "none":
        words.append(f"{how.class_weights} class weights")
    return ", ".join(words)


def _as_published(recipe: Recipe) -> Iterator[str]:
    for figure in recipe.published or ():
        options = []
        if figure.protocol != recipe.protocol.name:
            options.append(f"--protocol {figure.protocol}")
        if figure.sex != recipe.sex:
            options.append(f"--sex {figure.sex}")
        if options:
            yield " ".join(options)
