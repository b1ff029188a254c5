"""Recipes and lists of trials that are no text, no TOML, or ask for features that there are not."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ser_edge_runtime.front_end import FrontEndSpec
from ser_edge_train.recipes import RecipeError, load_recipe, parse_recipe, recipe_from_dict
from ser_edge_train.studies.catalogue import STUDIES
from ser_edge_train.studies.own import own_study
from ser_edge_train.studies.study import StudyError
from ser_edge_train.toml_text import NotToml, parse_toml

from .toys import toy_recipe, toy_values

OWN = STUDIES["own"]
TRIAL = '[[trial]]\nname = "wide"\nsummary = "größer"\n'
SEE = "see the recipes that come with ser-edge"


# --- bytes that are no text -----------------------------------------------------------------

NO_TEXT = [
    TRIAL.encode("latin-1"),
    TRIAL.encode("utf-16"),
    TRIAL.encode()[:-5],  # within a letter of two bytes
    b"\xff\xfe",
    b'name = "a\xed\xa0\x80"\n',  # half a surrogate pair
]


@pytest.mark.parametrize("content", NO_TEXT)
def test_a_recipe_in_another_encoding_is_told_which_to_save_it_as(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    for given_as in (path, str(path)):
        with pytest.raises(RecipeError) as caught:
            load_recipe(given_as)
        assert str(caught.value) == f"{path}: not UTF-8 text; save it as UTF-8"
        assert caught.value.exit_code == 2
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", NO_TEXT)
def test_trials_in_another_encoding_are_told_which_to_write(tmp_path, content):
    path = tmp_path / "trials.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError) as caught:
        own_study(OWN, path)
    assert str(caught.value) == f"{path}: not TOML: no text in UTF-8; write it as that"
    assert path.read_bytes() == content


def test_letters_of_any_language_are_read_from_utf_8(tmp_path):
    (tmp_path / "mine.toml").write_bytes(toy_recipe(summary="größer 大").to_toml().encode())
    assert load_recipe(tmp_path / "mine.toml").summary == "größer 大"
    (tmp_path / "trials.toml").write_bytes(TRIAL.encode())
    names = [one.summary for one in own_study(OWN, tmp_path / "trials.toml").variants(None, ())]
    assert names[1:] == ["größer"]


@settings(max_examples=80)
@given(st.binary(max_size=80))
@example(b"\xef\xbb\xbf")
@example(b"a = 1\r\r\n")
def test_any_bytes_are_refused_in_one_line_by_the_files_name(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "any.toml"
    path.write_bytes(content)
    for error, read in ((RecipeError, load_recipe), (StudyError, lambda at: own_study(OWN, at))):
        with pytest.raises(error) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


# --- text that is no TOML -------------------------------------------------------------------

LINES = [
    ("name = \n", "line 1"),
    ("# a recipe\nname: default\n", "line 2"),
    ('a = 1\nb = "x\n', "line 2"),
    ("a = 1\n\na = 2 3\n", "line 3"),
    ("[fit\n", "line 1"),
    ("a = 1\na = 2\nb = 3\n", "line 2"),
    ("a = 00\n", "line 1"),
]


@pytest.mark.parametrize(("text", "place"), LINES)
def test_the_line_that_is_to_be_mended_is_named(tmp_path, text, place):
    with pytest.raises(NotToml) as plain:
        parse_toml(text)
    assert (place in str(plain.value), plain.value.remedy) == (True, "mend that line")
    says = f"{plain.value}; mend that line"
    assert says.startswith("not TOML: ")
    with pytest.raises(RecipeError) as of_recipe:
        parse_recipe(text, "mine.toml")
    assert str(of_recipe.value) == f"mine.toml: {says}"
    path = tmp_path / "trials.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as of_study:
        own_study(OWN, path)
    assert str(of_study.value) == f"{path}: {says}"


GOOD = toy_recipe().to_toml()


@pytest.mark.parametrize("text", ["a = [1,\n", 'b = """\n', "[fit", "a = [[1]\n\n"])
def test_what_ends_too_early_is_to_be_closed(text):
    """Such a fault stands at the end of the text, whichever line began it."""
    with pytest.raises(NotToml, match=r"\(at end of document\)$") as plain:
        parse_toml(text)
    assert plain.value.remedy == "close what is open"


def test_a_byte_order_mark_is_no_part_of_a_recipe_or_of_trials(tmp_path):
    recipe, trials = tmp_path / "mine.toml", tmp_path / "trials.toml"
    recipe.write_text(GOOD, encoding="utf-8-sig")
    assert load_recipe(recipe) == parse_recipe(GOOD, "mine.toml")
    text = '[[trial]]\nname = "small"\nsummary = "s"\nchanges = { "fit.epochs" = 1 }\n'
    for encoding in ("utf-8", "utf-8-sig"):
        trials.write_text(text, encoding=encoding)
        own_study(OWN, trials)


@pytest.mark.parametrize("name", ["a\0b.toml", "n" * 300 + ".toml"])
def test_a_name_that_no_file_can_have_cannot_be_read(tmp_path, name):
    with pytest.raises(RecipeError, match=r"cannot be read \(.+\); name a file or one of"):
        load_recipe(str(tmp_path / name))
    with pytest.raises(StudyError, match=r"cannot be read \(.+\); check the name$"):
        own_study(OWN, tmp_path / name)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ('"a\\nb"', r"'a\\nb'"),
        ('"\\u001b[31m"', r"'\\x1b\[31m'"),
        ("k" * 5000, "'k{98}k…"),
        ('"grün"', "grün"),
    ],
)
def test_a_field_that_there_is_not_is_shown_in_one_short_line(tmp_path, key, shown):
    with pytest.raises(RecipeError, match=f"^mine.toml: {shown}: no such field; ") as caught:
        parse_recipe(f"{key} = 1\n{GOOD}", "mine.toml")
    assert str(caught.value).isprintable()
    path = tmp_path / "trials.toml"
    path.write_text(f'[[trial]]\nname = "small"\nsummary = "s"\nchanges = {{}}\n{key} = 1\n')
    with pytest.raises(StudyError, match=f"trial.0.{shown}: ") as of_study:
        own_study(OWN, path)
    assert str(of_study.value).isprintable()
    assert len(str(of_study.value)) < 400


@settings(max_examples=60)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from(["", "=", '"', "[", "}", "\x01", "\\"]))
def test_a_recipe_that_is_cut_or_struck_anywhere_is_refused_or_a_recipe(place, struck):
    text = GOOD[:place] + struck + (GOOD[place + 1 :] if struck else "")
    message = ""
    try:
        parse_recipe(text, "mine.toml")
    except RecipeError as fault:
        message = str(fault)
    if message:
        assert message.startswith("mine.toml: ")
        assert message.split("; ")[-1] in ("mend that line", "close what is open", SEE)
    assert "\n" not in message


# --- front ends that there are not ----------------------------------------------------------


def refused(front_end):
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict({**toy_values(), "front_end": front_end}, "mine.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("front_end", "says"),
    [
        (3, "a table of fields is expected"),
        ([], "a table of fields is expected"),
        ({"hop_length": 0}, "hop_length must be 1 to fft_length"),
        ({"hop_length": 513}, "hop_length must be 1 to fft_length"),
        ({"fft_length": 511}, "fft_length must be even"),
        ({"sample_rate": 999}, "sample_rate must be 1000 to 384000 Hz"),
        ({"sample_rate": "16000"}, "sample_rate must be int, not '16000'"),
        ({"clip_seconds": 0}, "clip_seconds must be above 0, at most 3600"),
        ({"clip_seconds": 10**400}, "clip_seconds is too large a number"),
        ({"level": 1.01}, "level must be above 0, at most 1"),
        ({"features": []}, "features must be a tuple of at least one feature"),
        ({"features": 1}, "features: a list of tables is expected"),
        (
            {"features": [{"kind": "mfcc", "count": 41, "bands": 40}]},
            "feature mfcc: count must be 1 to bands",
        ),
        ({"features": [{"kind": "delta"}]}, "feature delta: no 'mfcc' stands before it"),
    ],
)
def test_a_front_end_is_refused_with_its_field_and_named_once(front_end, says):
    # The runtime's own message begins with "front end: ", which the recipe calls front_end.
    assert refused(front_end) == f"mine.toml: front_end: {says}; {SEE}"


@pytest.mark.parametrize(
    "front_end",
    [
        {"hop_length": 1, "clip_seconds": 0.01},
        {"hop_length": 512},
        {"fft_length": 510},
        {"sample_rate": 1000, "clip_seconds": 3600},
        {"level": 1.0},
        {"features": [{"kind": "mfcc", "count": 40, "bands": 40}, {"kind": "delta"}]},
    ],
)
def test_a_front_end_just_within_its_bounds_is_taken(front_end):
    values = {**toy_values(augmentation=None), "front_end": front_end}
    recipe = recipe_from_dict(values, "mine.toml")
    assert recipe.front_end == {**recipe.front_end, **front_end} or "features" in front_end


def test_a_length_that_is_kept_needs_the_layout_that_the_message_says():
    kept = {"clip_seconds": "none"}
    for layout in ("sequence", "flat"):
        says = refused({**kept, "layout": layout})
        assert says.startswith("mine.toml: front_end: clip_seconds is ")
        assert says.endswith(f"set clip_seconds or layout = 'mean'; {SEE}")
    values = {**toy_values(augmentation=None), "front_end": {**kept, "layout": "mean"}}
    assert recipe_from_dict(values, "mine.toml").spec.clip_seconds is None


# Only what TOML can hold: 64-bit numbers are not promised, so larger ones are among them.
leaves = (
    st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["none", "mean", 10**400, "log_mel", "mfcc"])
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["kind", "bands", "norm", "top_db"]), inner, max_size=3)
    ),
    max_leaves=5,
)
named = st.sampled_from([field.name for field in fields(FrontEndSpec)])


@settings(max_examples=150)
@given(values | st.dictionaries(named | st.text(max_size=3), values, max_size=3))
def test_any_front_end_is_taken_or_refused_as_one(front_end):
    message = ""
    try:
        recipe_from_dict({**toy_values(augmentation=None), "front_end": front_end}, "mine.toml")
    except RecipeError as fault:
        message = str(fault)
    if message:
        assert message.startswith("mine.toml: front_end: ")
        assert message.endswith(f"; {SEE}")
    assert "front end: " not in message
    assert "\n" not in message
