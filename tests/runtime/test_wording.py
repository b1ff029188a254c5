"""Words that agree with their numbers, and values that an error shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_runtime.wording import LONGEST_SHOWN, counted, in_points, shown


@given(st.integers(0, 10**9))
def test_one_is_one_and_all_others_are_several(number):
    assert counted(number, "clip") == (f"{number} clip" if number == 1 else f"{number} clips")
    words = counted(number, "frequency", "frequencies")
    assert words.split()[1] == ("frequency" if number == 1 else "frequencies")


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.1234, 2, "12.34"), (-0.1234, 1, "-12.3"), (0.0, 2, "0.00"), (-0.0, 2, "0.00"),
        (-0.00004, 2, "0.00"), (0.00004, 2, "0.00"), (-0.00006, 2, "-0.01"), (1.0, 0, "100"),
    ],
)  # fmt: skip
def test_points_have_no_negative_nothing(share, digits, text):
    assert in_points(share, digits) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_value_is_shown_as_python_writes_it_in_one_line_of_a_bounded_length(value):
    text = shown(value)
    assert "\n" not in text
    assert len(text) <= LONGEST_SHOWN + 1
    assert repr(value).startswith(text.removesuffix("…"))


@pytest.mark.parametrize("digits", [4299, 4300, 4301, 100_000])
def test_a_number_is_shown_by_its_first_digits_as_long_as_python_writes_it(digits):
    """Python turns no integer of over 4300 digits into text."""
    text = shown(10 ** (digits - 1))
    first = "1" + "0" * (LONGEST_SHOWN - 1) + "…"
    assert text == (first if digits <= 4300 else "a number of thousands of digits")
    assert shown([10 ** (digits - 1)]) == (
        "[" + first[:-2] + "…" if digits <= 4300 else "a number of thousands of digits"
    )


@pytest.mark.parametrize("length", [LONGEST_SHOWN - 2, LONGEST_SHOWN - 1])
def test_what_just_fits_is_not_cut(length):
    text = shown("x" * length)
    assert text.endswith("'") == (length == LONGEST_SHOWN - 2)
    assert text.endswith("…") == (length == LONGEST_SHOWN - 1)
