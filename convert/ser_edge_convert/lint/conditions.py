"""Conditions that a target's table puts on an operator.

In a table a condition is a line of words: its name, then its arguments, as
``rank 0 3 4``: input 0 must have three or four axes. Each returns why it does
not hold, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ser_edge_convert.graph import Graph, Operator, Tensor

Condition = Callable[..., str | None]

NARROW = ("int4", "int8", "uint8", "int16", "float16", "bfloat16")
CONDITIONS: dict[str, Condition] = {}


def failed(line: str, operator: Operator, graph: Graph) -> str | None:
    """Why the condition of that line does not hold for an operator; None if it does.

    Raises:
        KeyError: No condition has that name: the table is wrong.
    """
    name, *arguments = line.split()
    return CONDITIONS[name](operator, graph, *arguments)


def _condition(function: Condition) -> Condition:
    CONDITIONS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def inputs_of(operator: Operator, graph: Graph) -> list[Tensor | None]:
    """The tensors of its inputs; None for one left out."""
    return [graph.tensors[i] if i >= 0 else None for i in operator.inputs]


def fed(operator: Operator, graph: Graph) -> list[Tensor]:
    """Its inputs that are computed, not stored: no constants, no state."""
    found = [(i, graph.tensors[i]) for i in operator.inputs if i >= 0]
    return [t for i, t in found if not (t.constant or t.variable or i in graph.unpacked)]


def given(operator: Operator, graph: Graph) -> list[Tensor]:
    """Its outputs."""
    return [graph.tensors[i] for i in operator.outputs if i >= 0]


def _input(operator: Operator, graph: Graph, position: str) -> Tensor | None:
    found = inputs_of(operator, graph)
    return found[int(position)] if int(position) < len(found) else None


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


@_condition
def types(operator: Operator, graph: Graph, *allowed: str) -> str | None:
    """What is computed, and what comes out, has one of these types."""
    for tensor in (*fed(operator, graph), *given(operator, graph)):
        if tensor.dtype not in allowed:
            return f"works on {tensor.dtype}; the table has {', '.join(allowed)}"
    return None


@_condition
def constant_types(operator: Operator, graph: Graph, *allowed: str) -> str | None:
    """Its constants have one of these types."""
    for tensor in inputs_of(operator, graph):
        if tensor and tensor.constant and tensor.dtype not in allowed:
            return f"has {tensor.dtype} constants; the table has {', '.join(allowed)}"
    return None


@_condition
def input_types(operator: Operator, graph: Graph, position: str, *allowed: str) -> str | None:
    """One input has one of these types."""
    tensor = _input(operator, graph, position)
    if tensor is None or tensor.dtype in allowed:
        return None
    return f"input {position} is {tensor.dtype}, not {' or '.join(allowed)}"


@_condition
def same_arithmetic(operator: Operator, graph: Graph) -> str | None:
    """No 8-bit or 16-bit weights under floating-point activations (dynamic range, float16)."""
    if not any(tensor.dtype == "float32" for tensor in fed(operator, graph)):
        return None
    for tensor in inputs_of(operator, graph):
        if tensor and tensor.constant and tensor.dtype in NARROW:
            return f"has {tensor.dtype} weights under float32 activations"
    return None


@_condition
def static(operator: Operator, graph: Graph, first: str = "0") -> str | None:
    """All shapes are known, from axis ``first`` on."""
    for tensor in (*fed(operator, graph), *given(operator, graph)):
        if -1 in tensor.shape[int(first) :]:
            return f"has a dynamic shape ({_shape(tensor)})"
    return None


@_condition
def innermost(operator: Operator, graph: Graph, count: str) -> str | None:
    """Only the last ``count`` axes are longer than 1."""
    for tensor in (*fed(operator, graph), *given(operator, graph)):
        if any(size != 1 for size in tensor.shape[: -int(count)]):
            return f"has a tensor of {_shape(tensor)}, only the {count} innermost axes may exceed 1"
    return None


@_condition
def quantised(operator: Operator, graph: Graph) -> str | None:
    """Tensors of 8 and 16 bits have a scale, one for all but weights."""
    for tensor in (*fed(operator, graph), *given(operator, graph)):
        if tensor.dtype in ("int8", "uint8", "int16") and len(tensor.scales) != 1:
            return "has a tensor without a scale, or with one an axis"
    return None


@_condition
def same_scales(operator: Operator, graph: Graph) -> str | None:
    """Inputs and output are quantised alike."""
    found = {(t.scales, t.zero_points) for t in (*fed(operator, graph), *given(operator, graph))}
    return "its inputs and its output are quantised differently" if len(found) > 1 else None


@_condition
def rank(operator: Operator, graph: Graph, position: str, *allowed: str) -> str | None:
    """One input has one of these numbers of axes."""
    tensor = _input(operator, graph, position)
    if tensor is None or str(len(tensor.shape)) in allowed:
        return None
    return f"input {position} has {len(tensor.shape)} axes, not {' or '.join(allowed)}"


@_condition
def option(operator: Operator, graph: Graph, name: str, *allowed: str) -> str | None:
    """An option has one of these values; one that is not written has the default, 0."""
    value = operator.options.get(name, 0)
    words = f"{value:g}" if isinstance(value, float) else str(value)
    words = str(int(value)) if isinstance(value, bool) else words
    return None if words in allowed else f"{name} is {words}, not {' or '.join(allowed)}"


@_condition
def equal_options(operator: Operator, graph: Graph, one: str, other: str) -> str | None:
    """Two options are equal."""
    if operator.options.get(one) == operator.options.get(other):
        return None
    return f"{one} is {operator.options.get(one)}, {other} is {operator.options.get(other)}"


@_condition
def constant(operator: Operator, graph: Graph, *positions: str) -> str | None:
    """These inputs are constant, if they are there."""
    for position in positions:
        tensor = _input(operator, graph, position)
        if tensor is not None and not tensor.constant and tensor in fed(operator, graph):
            return f"input {position} is not constant"
    return None


@_condition
def left_out(operator: Operator, graph: Graph, first: str, last: str, what: str) -> str | None:
    """None of these inputs is given; ``what`` says what they would mean."""
    found = inputs_of(operator, graph)[int(first) : int(last) + 1]
    return f"uses {what.replace('_', ' ')}" if any(found) else None


@_condition
def there(operator: Operator, graph: Graph, first: str, last: str, what: str) -> str | None:
    """All of these inputs are given; ``what`` says what is missing otherwise."""
    found = inputs_of(operator, graph)[int(first) : int(last) + 1]
    return None if all(found) else f"lacks {what.replace('_', ' ')}"


@_condition
def fed_inputs(operator: Operator, graph: Graph, *allowed: str) -> str | None:
    """So many of its inputs are computed."""
    count = str(len(fed(operator, graph)))
    return None if count in allowed else f"has {count} computed inputs, not {' or '.join(allowed)}"


@_condition
def no_zero_padding_beside(operator: Operator, graph: Graph) -> str | None:
    """No input of a concatenation is constant; zeros, which would map, are not looked for."""
    if any(tensor and tensor.constant for tensor in inputs_of(operator, graph)):
        return "joins a constant"
    return None


@_condition
def axes_not_batch(operator: Operator, graph: Graph) -> str | None:
    """The axes in input 1 are known and not the first."""
    axes = _axes(operator, graph)
    if axes is None:
        return "its axes are not constant"
    return "reduces the batch axis" if 0 in axes else None


@_condition
def last_axis_multiple(operator: Operator, graph: Graph, of: str) -> str | None:
    """If the last axis is reduced, its length is a multiple of ``of``."""
    tensor, axes = _input(operator, graph, "0"), _axes(operator, graph)
    if tensor is None or axes is None or len(tensor.shape) - 1 not in axes:
        return None
    length = tensor.shape[-1]
    return None if length % int(of) == 0 else f"reduces {length} channels, not a multiple of {of}"


@_condition
def option_axis_not_batch(operator: Operator, graph: Graph) -> str | None:
    """The option ``axis`` is not the first axis."""
    tensor = next(iter(given(operator, graph)), None)
    axis = int(operator.options.get("axis", 0))
    return (
        "works along the batch axis" if tensor and axis % max(len(tensor.shape), 1) == 0 else None
    )


@_condition
def split_not_batch(operator: Operator, graph: Graph, position: str) -> str | None:
    """The axis in that input is constant and not the first."""
    tensor = _input(operator, graph, position)
    if tensor is None or tensor.values is None:
        return "its axis is not constant"
    return "splits the batch axis" if 0 in tensor.values else None


@_condition
def pads_not_batch(operator: Operator, graph: Graph) -> str | None:
    """The paddings in input 1 are known and leave the first axis alone."""
    tensor = _input(operator, graph, "1")
    if tensor is None or tensor.values is None:
        return "its paddings are not constant"
    return "pads the batch axis" if any(tensor.values[:2]) else None


@_condition
def paddings_of(operator: Operator, graph: Graph, *ranks: str) -> str | None:
    """Input 1 holds two paddings for each of so many axes."""
    tensor = _input(operator, graph, "1")
    if tensor is not None and tensor.shape in [(int(axes), 2) for axes in ranks]:
        return None
    return f"pads {_shape(tensor) if tensor else 'nothing'}, not {' or '.join(ranks)} axes"


@_condition
def one_axis(operator: Operator, graph: Graph, which: str, most: str = "0") -> str | None:
    """Input 0 or output 0 is longer than 1 along its last axis alone, ``most`` at most."""
    tensor = (given(operator, graph) if which == "output" else fed(operator, graph))[:1]
    if not tensor:
        return None
    shape = tensor[0].shape
    if any(size != 1 for size in shape[:-1]):
        return f"its {which} of {_shape(tensor[0])} has more than one axis"
    if int(most) and shape and shape[-1] > int(most):
        return f"its {which} has {shape[-1]} elements, {most} at most map"
    return None


@_condition
def unit_strides(operator: Operator, graph: Graph) -> str | None:
    """The strides in input 3 are constant and all 1."""
    tensor = _input(operator, graph, "3")
    if tensor is None or tensor.values is None:
        return "its strides are not constant"
    return None if set(tensor.values) <= {1} else f"its strides are {tensor.values}, not 1"


@_condition
def stride_at_most(operator: Operator, graph: Graph, most: str, *but: str) -> str | None:
    """Strides up to ``most``; any with ``valid`` if the padding is VALID and nothing is dilated."""
    options = operator.options
    strides = [int(options.get(f"stride_{axis}", 1)) for axis in "wh"]
    dilations = [int(options.get(f"dilation_{axis}_factor", 1)) for axis in "wh"]
    if max(strides) <= int(most):
        return None
    if but == ("valid",) and options.get("padding") == "VALID" and max(dilations) <= 1:
        return None
    return f"has a stride of {max(strides)}, {most} at most map"


@_condition
def pool_window(operator: Operator, graph: Graph, same: str = "65536") -> str | None:
    """A pooling window is at most 256 high and 65536 in all; ``same`` a side if padded."""
    height = int(operator.options.get("filter_height", 1))
    width = int(operator.options.get("filter_width", 1))
    if operator.options.get("padding") == "SAME" and max(height, width) > int(same):
        return f"has a padded window of {height}x{width}, {same} a side at most map"
    if height > 256 or height * width > 65536:
        return f"has a window of {height}x{width}, 256 high and 65536 in all at most map"
    return None


@_condition
def reduction(operator: Operator, graph: Graph, most: str) -> str | None:
    """A constant reduction of one utterance, over less than ``most`` elements an axis."""
    tensor, axes = _input(operator, graph, "0"), _axes(operator, graph)
    if tensor is None or axes is None:
        return "its axes are not constant"
    shape = tensor.shape
    if shape and shape[0] != 1:
        return f"its batch is {shape[0]}, not 1"
    if any(shape[axis] >= int(most) for axis in axes):
        return f"reduces an axis of {max(shape[axis] for axis in axes)}, below {most} maps"
    limit = {"int8": 1 << 24, "uint8": 1 << 23}.get(tensor.dtype, 1 << 16)
    count = math.prod(shape[axis] for axis in axes)
    return None if count <= limit else f"reduces {count} elements, {limit} at most map"


def _axes(operator: Operator, graph: Graph) -> list[int] | None:
    """The axes in input 1, counted from the first; None if they are not constant."""
    tensor, axes = _input(operator, graph, "0"), _input(operator, graph, "1")
    if tensor is None or axes is None or axes.values is None:
        return None
    return [axis % max(len(tensor.shape), 1) for axis in axes.values]
