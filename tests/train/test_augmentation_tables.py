"""The table [augmentation]: what it says, what it refuses, and that it survives TOML."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ser_edge_train.recipes import RecipeError, load_recipe, parse_recipe
from ser_edge_train.recipes.augmentation import EFFECTS, Augmentation, Effect, Waveform

from .toys import toy_recipe

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
copies = 2
use = "one"

[speed]
probability = 0.3
factor = [0.9, 1.1]

[recorded_noise]
snr_db = [0, 20]
folder = "noise/street"

[codec]
names = ["opus", "gsm"]
"""


def waveform(**values: object) -> dict[str, object]:
    return {"augmentation__waveform": {"copies": 1, **values}}


def voices(**values: object) -> dict[str, object]:
    return {**waveform(gain={}), "augmentation__voices": values}


def fault_of(**changes: object) -> str:
    with pytest.raises(RecipeError) as fault:
        toy_recipe(**changes)
    message = str(fault.value)
    assert "\n" not in message
    return message


def test_a_table_is_read_as_it_stands():
    table = Waveform.model_validate(tomllib.loads(TEXT))
    assert (table.copies, table.use) == (2, "one")
    assert list(table.effects) == ["speed", "recorded_noise", "codec"]
    assert table.speed is not None
    assert table.speed.factor == (0.9, 1.1)
    assert table.codec is not None
    assert table.codec.names == ("opus", "gsm")
    assert table.codec.probability == 1


def test_a_recipe_with_copies_survives_the_way_through_toml():
    recipe = toy_recipe(augmentation__waveform=tomllib.loads(TEXT), augmentation__gain_db=6)
    again = parse_recipe(recipe.to_toml(), "recipe.toml")
    assert again == recipe
    assert again.digest == recipe.digest
    assert "factor = [" in recipe.to_toml()


def test_a_recipe_without_copies_reads_as_before():
    """A run that began before there were copies must be able to go on."""
    written = toy_recipe().to_toml()
    assert "waveform" not in written
    assert "gain_db" not in written
    assert load_recipe("cnn1d-quick").augmentation.waveform is None


def test_every_effect_has_a_table_with_a_default():
    for name in EFFECTS:
        values = {"folder": "noise"} if name == "recorded_noise" else {}
        table = Waveform.model_validate({"copies": 1, name: values})
        assert isinstance(getattr(table, name), Effect)
        assert list(table.effects) == [name]
    assert set(EFFECTS) == set(Waveform.model_fields) - {"copies", "use"}


def test_equal_ends_draw_one_value():
    assert Waveform.model_validate({"copies": 1, "gain": {"db": [3, 3]}}).gain is not None


def test_the_canonical_text_holds_what_decides_a_copy():
    table = Waveform.model_validate(tomllib.loads(TEXT))
    assert table.canonical_json("a digest") == (
        '{"codec":{"compression":[0.8,0.98],"names":["opus","gsm"],"probability":1.0},'
        '"recorded_noise":{"folder":"a digest","probability":1.0,"snr_db":[0.0,20.0]},'
        '"speed":{"factor":[0.9,1.1],"probability":0.3}}'
    )
    more = table.model_copy(update={"copies": 5, "use": "all"})
    assert more.canonical_json() == table.canonical_json()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (waveform(), "augmentation.waveform: names no effect; choose from speed, pitch, "),
        (waveform(copies=0, gain={}), "augmentation.waveform.copies: "),
        (waveform(copies="2", gain={}), "augmentation.waveform.copies: input should be a valid"),
        (waveform(use="both", gain={}), "augmentation.waveform.use: input should be 'all' or"),
        (waveform(echo={}), "augmentation.waveform.echo: no such field"),
        ({"augmentation__waveform": {"gain": {}}}, "augmentation.waveform.copies: is missing"),
        (waveform(gain={"probability": 0.0}), "waveform.gain.probability: "),
        (waveform(gain={"probability": 1.5}), "waveform.gain.probability: "),
        (waveform(gain={"decibel": 3}), "augmentation.waveform.gain.decibel: no such field"),
        (
            waveform(gain={"db": [6, -6]}),
            "augmentation.waveform.gain.db: [6, -6] is no range from -60 to 60 dB, the lower",
        ),
        (waveform(gain={"db": [0, 61]}), "[0, 61] is no range from -60 to 60 dB"),
        (waveform(gain={"db": [0, float("nan")]}), "waveform.gain.db"),
        (waveform(gain={"db": [float("-inf"), 0]}), "waveform.gain.db"),
        (waveform(gain={"db": 3}), "augmentation.waveform.gain.db: "),
        (waveform(gain={"db": [3]}), "augmentation.waveform.gain.db.1: is missing"),
        (waveform(gain={"db": [1, 2, 3]}), "augmentation.waveform.gain.db: "),
        (waveform(gain={"db": [1, "2"]}), "gain.db.1: input should be a valid number, not '2'"),
        (waveform(gain={"db": [0, True]}), "augmentation.waveform.gain.db.1: "),
        (waveform(stretch={"rate": [0.4, 1]}), "[0.4, 1] is no range from 0.5 to 2"),
        (waveform(speed={"factor": [1, 3]}), "[1, 3] is no range from 0.5 to 2"),
        (waveform(pitch={"semitones": [-13, 0]}), "from -12 to 12 semitones"),
        (waveform(shift={"share": [-2, 0]}), "from -1 to 1"),
        (waveform(reverb={"rt60_seconds": [0, 1]}), "from 0.01 to 5 s"),
        (waveform(recorded_noise={}), "augmentation.waveform.recorded_noise.folder: is missing"),
        (waveform(recorded_noise={"folder": ""}), "augmentation.waveform.recorded_noise.folder: "),
        (waveform(codec={"names": []}), "augmentation.waveform.codec.names: "),
        (waveform(codec={"names": ["aac"]}), "augmentation.waveform.codec.names.0: input should"),
        (waveform(codec={"names": ["mp3", "mp3"]}), "codec.names: one stands twice"),
        (waveform(codec={"compression": [0.9, 1.0]}), "from 0 to 0.99"),
        (waveform(band_limit={"slope_db": 20}), "augmentation.waveform.band_limit.slope_db: "),
        (
            waveform(band_limit={"low_hz": [50, 4000], "high_hz": [3400, 7000]}),
            "augmentation.waveform.band_limit: low_hz reaches 4000, high_hz 3400 Hz",
        ),
        (
            {
                "front_end__sample_rate": 8000,
                **waveform(band_limit={"low_hz": [50, 3500], "high_hz": [3600, 3900]}),
            },
            "augmentation.waveform.band_limit.low_hz: at most 3200, two fifths of front_end",
        ),
        ({"augmentation__gain_db": 0}, "augmentation.gain_db: "),
        ({"augmentation__gain_db": 61}, "augmentation.gain_db: "),
        (
            {"augmentation__gain_db": 6, "front_end__level": 0.1},
            "augmentation.gain_db: front_end.level takes every difference of level away",
        ),
        ({"augmentation__voices": {}}, "augmentation: voices: they talk behind copies"),
        (voices(number=[3, 2]), "augmentation.voices.number: the first of [3, 2] must not be"),
        (voices(number=[0, 2]), "augmentation.voices.number.0: "),
        (voices(number=[1, 101]), "augmentation.voices.number.1: "),
        (voices(snr_db=[10.0, 5.0]), "augmentation.voices.snr_db: "),
        (voices(probability=0.0), "augmentation.voices.probability: "),
        (voices(loud=True), "augmentation.voices.loud: no such field"),
        *(
            (
                {"front_end__features": [{"kind": "log_mel"}, {"kind": kind}], **voices()},
                f"augmentation.voices: of {kind} two sounds do not make the sum; leave it out",
            )
            for kind in ("zcr", "chroma", "spectral_contrast")
        ),
    ],
)
def test_a_fault_names_its_field(changes, expected):
    assert expected in fault_of(**changes)


def test_a_table_cannot_be_changed():
    table = Waveform.model_validate({"copies": 1, "gain": {}})
    with pytest.raises(ValidationError, match="frozen"):
        table.copies = 2  # type: ignore[misc]


def test_nothing_is_augmented_unless_asked():
    assert Augmentation() == Augmentation(time_shift=0)
    assert Augmentation().waveform is None
    assert Augmentation().gain_db is None


def documented() -> dict[str, Any]:
    """The example of the page."""
    page = (ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8")
    block = page.partition("```toml\n")[2].partition("```")[0]
    return tomllib.loads(block)["augmentation"]


def test_the_page_shows_every_field():
    example = documented()
    assert set(example) == set(Augmentation.model_fields)
    assert set(example["waveform"]) == set(Waveform.model_fields)
    for name in EFFECTS:
        shown = example["waveform"][name]
        kind = type(getattr(Waveform.model_validate(example["waveform"]), name))
        assert set(shown) == set(kind.model_fields)


def test_the_pages_ranges_are_the_defaults():
    example = Waveform.model_validate(documented()["waveform"])
    for name, effect in example.effects.items():
        for field, about in type(effect).model_fields.items():
            if field not in ("probability", "folder"):
                assert getattr(effect, field) == about.default, (name, field)


def test_the_page_names_effects_in_their_order():
    assert list(documented()["waveform"])[2:] == list(EFFECTS)


def test_reading_tables_loads_no_library():
    code = (
        "import sys\n"
        "from ser_edge_train.recipes import load_recipe, recipe_names\n"
        "[load_recipe(name) for name in recipe_names()]\n"
        "heavy = {'audiomentations', 'librosa', 'scipy', 'soundfile'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
