"""A copy of a network that rounds as its int8 file will, and can still be fitted.

Forward it rounds weights and activations as TensorFlow Lite does; backward it takes
each rounding for the identity (Bengio et al. 2013, "Estimating or propagating
gradients through stochastic neurons"), as quantisation-aware training does since
Jacob et al. 2018. A kernel is rounded in 255 steps around 0 for each of its output
channels, an LSTM's for each gate. A batch normalisation behind it scales each output
channel as a whole, so that rounding before it and after the converter has folded it
in are the same; it runs on its moving averages here, as it will on the device.
Activations are rounded in 256 steps of a range that follows the batches. What a
recurrent layer hands from step to step stays in floats.
"""

from __future__ import annotations

from typing import Any

from ser_edge_train.frameworks import keras, layers, ops

_STEPS = 127
_MOMENTUM = 0.9

# They hand values on, or the converter makes them a part of the layer before.
_TRANSPARENT = (
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.Flatten,
    layers.Reshape, layers.RepeatVector, layers.MaxPooling1D, layers.MaxPooling2D,
)  # fmt: skip
_BENT = (layers.ReLU, layers.LeakyReLU)
_FOLDED = (layers.BatchNormalization, layers.Activation, *_BENT)
_RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.Bidirectional)
_GATES = 4


def rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """A kernel in 255 steps around 0, with the gradient of the kernel itself.

    Args:
        kernel: The weights.
        axes: Those that share a scale.
    """
    widest = ops.max(ops.abs(ops.stop_gradient(kernel)), axis=axes, keepdims=True)
    scale = ops.maximum(widest, 1e-12) / _STEPS
    stepped = ops.clip(ops.round(kernel / scale), -_STEPS, _STEPS) * scale
    return kernel + ops.stop_gradient(stepped - kernel)


def rounded_activation(values: Any, low: Any, high: Any) -> Any:
    """Values in 256 steps from ``low`` to ``high``; outside of them the gradient is 0.

    The range is widened to hold 0, and shifted so that 0 is one of the steps.
    """
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    scale = ops.maximum(high - low, 1e-6) / 255
    zero = ops.round(-low / scale)
    inside = ops.clip(values, -zero * scale, (255 - zero) * scale)
    stepped = ops.round(inside / scale) * scale
    return inside + ops.stop_gradient(stepped - inside)


class RoundedActivation(layers.Layer):
    """Rounds what passes, in a range that follows what passed in training."""

    def build(self, shape: Any) -> None:
        """Makes the range's variables."""
        self.low = self._number("low")
        self.high = self._number("high")
        self.seen = self._number("seen")

    def call(self, values: Any, training: bool = False) -> Any:
        """Rounds (batch, ...) to 256 steps; in training the range moves first."""
        if training:
            # The first batch's range is taken as it is.
            momentum = _MOMENTUM * self.seen
            for bound, found in ((self.low, ops.min(values)), (self.high, ops.max(values))):
                moved = momentum * bound + (1 - momentum) * ops.stop_gradient(found)
                bound.assign(moved)
            self.seen.assign(1.0)
        return rounded_activation(values, self.low, self.high)

    def _number(self, name: str) -> Any:
        return self.add_weight(shape=(), initializer="zeros", trainable=False, name=name)


class RoundedKernels(layers.Layer):
    """Another layer, whose kernels are rounded whenever it is called.

    Args:
        layer: That layer; its biases stay as they are.
        **options: As of any Keras layer.
    """

    def __init__(self, layer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer

    def build(self, shape: Any) -> None:
        """Builds the layer."""
        if not self.layer.built:
            self.layer.build(shape)

    def call(self, values: Any, mask: Any = None, training: bool = False) -> Any:
        """What the layer gives with rounded kernels."""
        mapping = [
            (weight, _rounded_weight(self.layer, weight)) for weight in self.layer.trainable_weights
        ]
        with keras.StatelessScope(state_mapping=mapping):
            if isinstance(self.layer, _RECURRENT):
                return self.layer(values, mask=mask, training=training)
            return self.layer(values)

    def compute_output_shape(self, shape: Any) -> Any:
        """As the layer's."""
        return self.layer.compute_output_shape(shape)


def quantised_copy(model: Any) -> Any:
    """A network that computes as the int8 file of ``model`` will, to be fitted.

    Args:
        model: A Keras model with one input; nested models in it are left in floats.

    Returns:
        A model with the same weights in the same layers; :func:`give_back` takes them out.
    """
    followers: dict[str, list[Any]] = {}
    for layer in model.layers:
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                followers.setdefault(parent.operation.name, []).append(layer)

    def clone(layer: Any) -> Any:
        twin = type(layer).from_config(layer.get_config())
        if isinstance(twin, layers.BatchNormalization):
            twin.trainable = False  # Keras: runs on its moving averages
        plain = isinstance(layer, (layers.BatchNormalization, keras.Model))
        if plain or not getattr(layer, "trainable_weights", None):
            return twin
        return RoundedKernels(twin, name=layer.name)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        values = layer(*arguments, **options)
        inner = layer.layer if isinstance(layer, RoundedKernels) else layer
        if isinstance(inner, _TRANSPARENT) or _is_folded(inner, followers.get(layer.name, [])):
            return values
        return RoundedActivation(name=f"{layer.name}_rounded")(values)

    rounded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    inputs = keras.Input(model.inputs[0].shape[1:], name="features")
    first = RoundedActivation(name="features_rounded")(inputs)
    copy = keras.Model(inputs, rounded(first), name="rounded")
    for twin, layer in _pairs(copy, model):
        twin.set_weights(layer.get_weights())
    return copy


def give_back(copy: Any, model: Any) -> None:
    """Puts the weights of a quantised copy into the network that it was made of."""
    for twin, layer in _pairs(copy, model):
        layer.set_weights(twin.get_weights())


def _pairs(copy: Any, model: Any) -> list[tuple[Any, Any]]:
    twins = {layer.name: getattr(layer, "layer", layer) for layer in copy.layers[-1].layers}
    return [(twins[layer.name], layer) for layer in model.layers if layer.weights]


def _is_folded(layer: Any, followers: list[Any]) -> bool:
    """Whether the one layer behind becomes a part of this one, so that nothing is between."""
    linear = keras.activations.linear
    bent = isinstance(layer, _BENT) or getattr(layer, "activation", linear) is not linear
    return len(followers) == 1 and isinstance(followers[0], _FOLDED) and not bent


def _rounded_weight(layer: Any, weight: Any) -> Any:
    """A kernel rounded; anything with fewer than two axes as it is."""
    shape = tuple(weight.shape)
    if len(shape) < 2:
        return weight.value
    inner = layer.forward_layer if isinstance(layer, layers.Bidirectional) else layer
    if isinstance(inner, layers.LSTM):
        split = ops.reshape(weight.value, (shape[0], _GATES, shape[1] // _GATES))
        return ops.reshape(rounded_kernel(split, (0, 2)), shape)
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return rounded_kernel(weight.value, tuple(range(len(shape) - 2)))
    return rounded_kernel(weight.value, tuple(range(len(shape) - 1)))
