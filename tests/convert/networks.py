"""Small Keras networks for tests of the conversion; importing this loads no Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

STEPS, COLUMNS, CLASSES = 24, 10, 4


def features(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Clips as a normaliser leaves them: (count, STEPS, COLUMNS)."""
    generator = np.random.default_rng(seed)
    slow = generator.normal(size=(count, 1, COLUMNS))
    fast = generator.normal(size=(count, STEPS, COLUMNS))
    return ((slow + fast) / np.sqrt(2)).astype(np.float32)


def convolution(seed: int = 1, classes: int = CLASSES) -> Any:
    """Convolution, batch normalisation, average, logits."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((STEPS, COLUMNS))
    x = _front(keras, inputs)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, kernel_initializer=_wide(keras))(x))


def cnn_lstm(seed: int = 1, **lstm: Any) -> Any:
    """Convolution, then two LSTM layers, logits; ``lstm`` are arguments of both layers."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((STEPS, COLUMNS))
    x = _front(keras, inputs)
    x = keras.layers.LSTM(16, return_sequences=True, name="first", **lstm)(x)
    x = keras.layers.LSTM(16, name="second", **lstm)(x)
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, kernel_initializer=_wide(keras))(x))


def counting(steps: int) -> Any:
    """An LSTM whose cells add up the sign of column 0 and hardly forget."""
    import keras

    keras.utils.set_random_seed(2)
    inputs = keras.Input((steps, COLUMNS))
    layer = keras.layers.LSTM(4, name="count")
    model = keras.Model(
        inputs, keras.layers.Dense(CLASSES, kernel_initializer=_wide(keras))(layer(inputs))
    )
    # Little, but not nothing: int8 has no scale for weights that are all 0.
    generator = np.random.default_rng(4)
    kernel = generator.normal(scale=0.05, size=(COLUMNS, 16)).astype(np.float32)
    recurrent = generator.normal(scale=0.05, size=(4, 16)).astype(np.float32)
    kernel[0, 8:12] = [4, 3, -4, -3]
    bias = np.repeat(np.array([6, 9, 0, 1], np.float32), 4)
    layer.set_weights([kernel, recurrent, bias])
    return model


def rise_and_fall(count: int, steps: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Clips whose column 0 is 1, then -1: (count, steps, COLUMNS).

    Most spend two thirds rising: the sum ends well above 0, but one that could not
    rise beyond a sixth of the steps ends below.
    """
    generator = np.random.default_rng(seed)
    clips = np.zeros((count, steps, COLUMNS), np.float32)
    for number, clip in enumerate(clips):
        turn = generator.uniform(0.6, 0.7) if number % 3 else generator.uniform(0.1, 0.2)
        clip[:, 0] = np.where(np.arange(steps) < turn * steps, 1, -1)
    return clips


def with_layer(layer: Any, seed: int = 1) -> Any:
    """A network around any recurrent layer that gives one row a clip."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((STEPS, COLUMNS))
    x = layer(_front(keras, inputs))
    return keras.Model(inputs, keras.layers.Dense(CLASSES, kernel_initializer=_wide(keras))(x))


def save(model: Any, path: Path) -> Path:
    """Saves the network where a run directory would."""
    model.save(path)
    return path


def _front(keras: Any, inputs: Any) -> Any:
    x = keras.layers.Conv1D(12, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    return keras.layers.ReLU()(x)


def _wide(keras: Any) -> Any:
    """Weights wide enough that untrained logits differ by more than rounding."""
    return keras.initializers.RandomNormal(stddev=2.0, seed=3)
