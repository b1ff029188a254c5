"""Records behave as the frozen dataclasses that they stand for."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import ClassVar

import pytest

from ser_edge_runtime.records import record


@record()
class Point:
    """A record with everything that the package uses."""

    kind: ClassVar[str] = "point"
    x: int
    y: float = 2.0
    tags: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@record()
class Named(Point):
    """Fields of the base first; a default overridden."""

    y: float = 3.0
    name: str = "n"


@dataclass(frozen=True)
class Model:
    """What the standard library makes of the same fields as Point's."""

    x: int
    y: float = 2.0
    tags: tuple[str, ...] = field(default_factory=tuple)


@record(eq=False)
class Identity:
    """Equal to itself alone."""

    x: int = 0


@record()
class Own:
    """Keeps the methods that it brings."""

    x: int = 0

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@pytest.mark.parametrize(
    ("values", "named"),
    [((1,), {}), ((1, 5.0), {}), ((), {"x": 1, "tags": ("a",)}), ((1, 2.5, ("t",)), {})],
)
def test_it_is_built_shown_and_taken_apart_like_a_dataclass(values, named):
    point, model = Point(*values, **named), Model(*values, **named)
    assert is_dataclass(point)
    assert asdict(point) == asdict(model)
    assert [f.name for f in fields(point)] == [f.name for f in fields(model)]
    assert repr(point) == repr(model).replace("Model", "Point")
    assert eval(repr(point)) == point


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1, 2.0, (), 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((1,), {"kind": "k"})],
)
def test_wrong_arguments_are_a_type_error_as_a_dataclass_has_it(values, named):
    with pytest.raises(TypeError):
        Model(*values, **named)
    with pytest.raises(TypeError, match="Point"):
        Point(*values, **named)


def test_equality_and_hash_go_by_type_and_values():
    assert Point(1) == Point(1, 2.0, ())
    assert Point(1) != Point(2)
    assert hash(Point(1)) == hash(Point(1))
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert Point(1, 3.0) != Named(1)
    assert Point(1) != Model(1)
    assert Point(1) != 1


def test_without_eq_only_the_same_object_is_equal():
    one = Identity()
    assert one == one
    assert one != Identity()
    assert len({one, Identity()}) == 2


def test_own_methods_are_kept():
    assert Own(1) == Own(2)
    assert hash(Own(1)) == 7
    assert repr(Own(1)) == "own"


def test_it_cannot_be_changed():
    point = Point(1)
    with pytest.raises(FrozenInstanceError, match="x"):
        point.x = 2
    with pytest.raises(FrozenInstanceError, match="x"):
        del point.x
    with pytest.raises(FrozenInstanceError, match="other"):
        point.other = 1
    assert point == Point(1)


def test_fields_are_checked_when_it_is_built_or_replaced():
    with pytest.raises(ValueError, match="x"):
        Point(-1)
    with pytest.raises(ValueError, match="x"):
        replace(Point(1), x=-1)
    assert replace(Point(1), y=9.0) == Point(1, 9.0)


def test_a_base_class_gives_its_fields_first():
    assert [f.name for f in fields(Named)] == ["x", "y", "tags", "name"]
    assert Named(1).y == 3.0
    assert Named(1, 2.0, (), "m").name == "m"
    assert Named.kind == "point"


def test_a_default_is_made_anew_for_each():
    @record()
    class Holder:
        items: list[int] = field(default_factory=list)

    one, other = Holder(), Holder()
    one.items.append(1)
    assert other.items == []


def test_copies_and_pickles_are_equal():
    point = Named(1, 2.0, ("a",), "m")
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
