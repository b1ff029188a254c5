"""Frozen dataclasses whose methods are not generated as source text.

``dataclasses.dataclass`` compiles five methods for each class, and the classes
of this package alone would take a tenth of the time of a whole ``ser-edge
classify``. Here all classes share the same few methods; ``fields``, ``asdict``,
``replace`` and ``is_dataclass`` treat them like any other dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(*, eq: bool = True) -> Callable[[type[T]], type[T]]:
    """Makes a class a frozen dataclass; ``@record()`` stands for ``@dataclass(frozen=True)``.

    Args:
        eq: Equality and hash go by type and values; otherwise by identity. A class
            that defines ``__eq__``, ``__hash__`` or ``__repr__`` keeps its own.
    """

    def decorate(cls: type[T]) -> type[T]:
        own = vars(cls).copy()
        made = dataclass(init=False, repr=False, eq=False)(cls)
        for name, method in _METHODS.items():
            if name not in own and (eq or method not in (_eq, _hash)):
                setattr(made, name, method)
        return made

    return decorate


def _init(self: Any, *values: Any, **named: Any) -> None:
    known = {field.name: field for field in fields(self)}
    if len(values) > len(known):
        raise TypeError(f"{type(self).__name__} takes {len(known)} values, {len(values)} given")
    given = dict(zip(known, values, strict=False))
    for name in named:
        if name not in known or name in given:
            fault = "given twice" if name in known else "unknown"
            raise TypeError(f"{type(self).__name__}: {name!r} is {fault}")
    given.update(named)
    for name, field in known.items():
        if name not in given:
            if field.default_factory is not MISSING:
                given[name] = field.default_factory()
            elif field.default is not MISSING:
                given[name] = field.default
            else:
                raise TypeError(f"{type(self).__name__}: {name!r} is missing")
        # Past __setattr__, which refuses.
        object.__setattr__(self, name, given[name])
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, field.name) for field in fields(self))


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash((type(self).__name__, _values(self)))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({shown})"


def _setattr(self: Any, name: str, value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {
    "__init__": _init,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
