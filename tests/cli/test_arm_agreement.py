"""docs/arm_agreement.py: what two machines answer, compared."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ser_edge_runtime.model_file import read_model_file
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
agreement = load_script(ROOT / "docs" / "arm_agreement.py")


def answers(tmp_path, name: str, clips: dict[str, list[float]], **changes) -> str:
    values = {
        "machine": name, "interpreter": "toy", "temperature": 1.0, "golden": True,
        "seconds": 1.0, "answers": clips,
    }  # fmt: skip
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps({**values, **changes}), "utf-8")
    return str(path)


def compared(tmp_path, monkeypatch, one, other, **changes) -> int:
    files = [answers(tmp_path, "x86", one), answers(tmp_path, "arm", other, **changes)]
    monkeypatch.setattr("sys.argv", ["arm_agreement.py", *files])
    return agreement.main()


def test_equal_answers_agree(tmp_path, monkeypatch, capsys):
    clips = {"a.wav": [0.7, 0.2, 0.1], "b.wav": [0.1, 0.6, 0.3]}
    assert compared(tmp_path, monkeypatch, clips, clips) == 0
    assert "same top-1 on 2 of 2 clips; 0 near ties" in capsys.readouterr().out


def test_another_class_is_a_fault_unless_the_two_best_were_close(tmp_path, monkeypatch, capsys):
    tolerance = read_model_file("default").golden.tolerance
    close = [0.5 + 0.9 * tolerance, 0.5 - 0.9 * tolerance]
    swapped = compared(tmp_path, monkeypatch, {"a.wav": close}, {"a.wav": close[::-1]})
    assert swapped == 0
    assert "same top-1 on 0 of 1 clips; 1 near ties" in capsys.readouterr().out
    far = [0.5 + 1.1 * tolerance, 0.5 - 1.1 * tolerance]
    assert compared(tmp_path, monkeypatch, {"a.wav": far}, {"a.wav": far[::-1]}) == 1
    assert "another top-1 without a tie: a.wav" in capsys.readouterr().out


def test_golden_vectors_that_do_not_hold_are_a_fault(tmp_path, monkeypatch, capsys):
    clips = {"a.wav": [0.9, 0.1]}
    assert compared(tmp_path, monkeypatch, clips, clips, golden=False) == 1
    assert "arm, toy: 1 clips in 1.0 s, golden vectors DO NOT HOLD" in capsys.readouterr().out


@pytest.mark.parametrize(("quanta", "near"), [(1.9, True), (2.1, False)])
def test_with_a_quantum_logits_are_compared(quanta, near):
    """Probabilities of logits that lie so many quanta apart, at temperature 2."""
    step, temperature = 0.05, 2.0
    odds = math.exp(quanta * step / temperature)
    answer = [odds / (1 + odds), 1 / (1 + odds)]
    assert agreement.near_tie(answer, temperature, step, 0.0) is near
    assert agreement.near_tie([1.0, 0.0], temperature, step, 0.0) is False
