"""What a fit minimises and watches, over the classes that a corpus has; and how it moves.

CREMA-D holds no calm and no surprise. Taken over all classes, the loss would
teach a network to tell the corpora apart and to rule those two out by the sound
of the studio. So each utterance brings a mask of the classes that it could have
had, and loss and recall see nothing else. ``y_true`` is (batch, 2 * classes):
the target distribution, then the mask. Where the network has a second head, the values
that it is to give follow, and whether they are known.
"""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import keras, ops
from ser_edge_train.recipes.fit import Fit

# Finite, so that 0 * log p of a forbidden class is 0 and not NaN; far below any logit, so that
# exp() of it is 0 in float32.
FORBIDDEN = -1e9


class MaskedCrossentropy(keras.losses.Loss):
    """Cross-entropy of a softmax over the allowed classes, from logits.

    Args:
        label_smoothing: Share of the target that is spread evenly over the allowed classes.
        name: As of any Keras loss.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "masked_crossentropy") -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each utterance, (batch,); ``y_pred`` are logits (batch, classes)."""
        target, allowed = ops.split(ops.cast(y_true, y_pred.dtype), 2, axis=-1)
        if self.label_smoothing:
            even = allowed / ops.sum(allowed, axis=-1, keepdims=True)
            target = (1.0 - self.label_smoothing) * target + self.label_smoothing * even
        log_probabilities = ops.log_softmax(_masked(y_pred, allowed), axis=-1)
        return -ops.sum(target * log_probabilities, axis=-1)


class HintedCrossentropy(keras.losses.Loss):
    """The loss of the logits, and how far a second head is from what it is to give.

    Args:
        crossentropy: Of the logits.
        classes: How many there are: the first columns of the network's output.
        weight: Factor of the mean squared error of the other columns; it is 0 for an
            utterance whose values are not known.
        name: As of any Keras loss.
    """

    def __init__(
        self,
        crossentropy: MaskedCrossentropy,
        classes: int,
        weight: float,
        name: str = "hinted_crossentropy",
    ) -> None:
        super().__init__(name=name)
        self.crossentropy = crossentropy
        self.classes = classes
        self.weight = weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each utterance, (batch,); ``y_pred`` is (batch, classes + components)."""
        wide = 2 * self.classes
        loss = self.crossentropy.call(y_true[:, :wide], y_pred[:, : self.classes])
        values, known = y_true[:, wide:-1], y_true[:, -1]
        error = ops.mean(ops.square(y_pred[:, self.classes :] - values), axis=-1)
        return loss + self.weight * known * error


class UnweightedAverageRecall(keras.metrics.Metric):
    """Mean recall of the classes that occur, the best allowed class being the answer.

    A blended target (mixup) counts as the class with the larger share.

    Args:
        classes: How many there are: the first columns of the network's output.
        name: As of any Keras metric; "uar" gives "uar" and "val_uar" in the logs.
    """

    def __init__(self, classes: int, name: str = "uar") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.correct = self.add_variable((classes,), initializer="zeros", name="correct")
        self.total = self.add_variable((classes,), initializer="zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch; weights are of no concern to a recall."""
        wanted = ops.cast(y_true[:, : 2 * self.classes], y_pred.dtype)
        target, allowed = ops.split(wanted, 2, axis=-1)
        y_pred = y_pred[:, : self.classes]
        truth = ops.one_hot(ops.argmax(target, axis=-1), self.classes)
        answer = ops.one_hot(ops.argmax(_masked(y_pred, allowed), axis=-1), self.classes)
        self.total.assign_add(ops.sum(truth, axis=0))
        self.correct.assign_add(ops.sum(truth * answer, axis=0))

    def result(self) -> Any:
        """The recall so far; 0 before anything was counted."""
        present = ops.cast(self.total > 0, self.dtype)
        recalls = self.correct / ops.maximum(self.total, 1.0)
        return ops.sum(recalls * present) / ops.maximum(ops.sum(present), 1.0)


def make_optimizer(how: Fit, steps: int, model: Any) -> Any:
    """The optimizer of a recipe, with its schedule, built for a model's variables.

    Args:
        how: The recipe's table [fit].
        steps: Batches an epoch.
        model: What will be fitted.

    Returns:
        A ``keras.optimizers.Optimizer`` whose variables exist.
    """
    chosen = how.optimizer
    rate: Any = chosen.learning_rate
    if how.schedule.name == "cosine":
        warmup = how.schedule.warmup_epochs * steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            how.epochs * steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    arguments: dict[str, Any] = {
        "learning_rate": rate,
        # None leaves the decay's operators out; AdamW wants a number.
        "weight_decay": chosen.weight_decay or (0.0 if chosen.name == "adamw" else None),
        "global_clipnorm": chosen.clip_norm,
    }
    if how.average is not None:
        arguments |= {"use_ema": True, "ema_momentum": how.average}
    if chosen.name == "sgd":
        arguments |= {"momentum": chosen.momentum, "nesterov": chosen.momentum > 0}
    elif chosen.name == "rmsprop":
        arguments["momentum"] = chosen.momentum
    makers = {
        "adamw": keras.optimizers.AdamW,
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    optimizer = makers[chosen.name](**arguments)
    if chosen.weight_decay:
        # Kernels decay; offsets and the scales of normalisations have no reason to be small.
        flat = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=flat)
    optimizer.build(model.trainable_variables)
    return optimizer


def _masked(logits: Any, allowed: Any) -> Any:
    return ops.where(allowed > 0, logits, FORBIDDEN)
