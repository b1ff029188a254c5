"""Writes docs/model-search.md, what each trial reached:

    python docs/make_search.py [ROUND STUDY...]

With ROUND, a folder of docs/model-search, and STUDY, folders that ``ser-edge study own`` wrote of
its trials, their figures are first taken into its trials.json, which is committed in the place of
the runs. Tests hold that the page is what this script writes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_edge_runtime.errors import FileError
from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.recipes import load_recipe
from ser_edge_train.report.history import read_history
from ser_edge_train.studies.conditions import NOISY
from ser_edge_train.studies.study import AS_RECORDED

HERE = Path(__file__).parent
SEARCH = HERE / "model-search"
PAGE = HERE / "model-search.md"
IDENTITY = ("trial", "fold", "seed")
CORPORA = ("all", "ravdess", "crema-d", "savee")
TITLES = {"all": "all", "ravdess": "RAVDESS", "crema-d": "CREMA-D", "savee": "SAVEE"}

HEAD = """\
# The search for a default model

Written by `python docs/make_search.py` from the trials' `study.json`; nothing here is typed.
`docs/model-search/run.sh` is how they were made. UAR in per cent on **validation** speakers, over
the classes that each corpus has; the test part was not looked at. Those speakers chose each run's
epoch too, and a fold has few of them, so that two points between trials are nothing. The loss, in
nats a validation clip, tells trials apart that UAR does not; labels that are smoothed raise it.
Mean and standard deviation where there are several folds or seeds.
"""
ABOUT = {
    "first": """\
## The first round

What to make the network of, and how to teach it.
""",
    "second": """\
## The second round

Around what the first round chose, in less time a trial. The last columns are the same clips with
six validation speakers talking at once 10 dB below: what the first choice could not bear.
""",
    "third": """\
## The third round

The recipe that came of them, at its full length and on more than one fold, and changes that might
bring more of the teacher into it.
""",
}


class SearchError(FileError):
    """A folder that holds no trials."""


def collect(folder: Path) -> list[dict[str, Any]]:
    """The figures of every finished run of a study.

    Raises:
        SearchError: It is no folder of ``ser-edge study own``.
        HistoryError: A run's ``history.csv`` cannot be read.
    """
    path = folder / "study.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SearchError(folder, "holds no study", "name a folder of ser-edge study own") from None
    if values["identity"]["study"] != "own":
        fault = f"holds the study {values['identity']['study']}"
        raise SearchError(folder, fault, "name a folder of ser-edge study own")
    fold = int(values["subject"]["protocol"].rpartition(" ")[2])
    return [
        {
            "trial": run["variant"],
            "fold": fold,
            "seed": run["seed"],
            "parameters": run["parameters"],
            "epochs": run["epochs"],
            "best_epoch": run["best_epoch"],
            "partition": values["identity"]["partition"],
            "loss": min(
                row["val_loss"] for row in read_history(folder / run["run"] / "history.csv")
            ),
            "uar": _uar(run["scores"], AS_RECORDED.name),
            "noisy": _uar(run["scores"], NOISY),
        }
        for run in values["runs"]
    ]


def _uar(scores: Mapping[str, Any], condition: str) -> dict[str, float]:
    return {corpus: figures["uar"] for corpus, figures in scores.get(condition, {}).items()}


def merged(
    known: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Known runs and found ones; a found run takes the place of the known one it is."""
    by_identity = {tuple(run[name] for name in IDENTITY): dict(run) for run in (*known, *found)}
    return [by_identity[key] for key in sorted(by_identity)]


def page(rounds: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]]) -> str:
    """The text of docs/model-search.md.

    Args:
        rounds: By name, runs as :func:`collect` gives them, and summaries of the trials by
            name in the order of the page.
    """
    parts = [HEAD]
    for name, (runs, summaries) in rounds.items():
        here = f"model-search/{name}"
        files = (
            f"[student.toml]({here}/student.toml) and, a change each, "
            f"[trials.toml]({here}/trials.toml)"
        )
        parts += [ABOUT[name], f"{files}; figures: [trials.json]({here}/trials.json).\n"]
        parts.append(table(runs, summaries))
    return "\n".join(parts)


def table(runs: Sequence[Mapping[str, Any]], summaries: Mapping[str, str]) -> str:
    """A row for each trial of a round, and the names of those that were not run."""
    noisy = any(run.get("noisy") for run in runs)
    columns = ["trial", "what it is", "values", "epochs", "runs", "loss"]
    columns += [TITLES[corpus] for corpus in CORPORA]
    columns += [f"{TITLES[corpus]}, voices" for corpus in CORPORA if noisy]
    lines = ["| " + " | ".join(columns) + " |", "|---|---|" + "---:|" * (len(columns) - 2)]
    for name, summary in summaries.items():
        own = [run for run in runs if run["trial"] == name]
        if own:
            lines.append("| " + " | ".join(_cells(name, summary, own, noisy)) + " |")
    missing = [name for name in summaries if not any(run["trial"] == name for run in runs)]
    if missing:
        lines += ["", f"Not run yet: {', '.join(f'`{name}`' for name in missing)}."]
    return "\n".join(lines) + "\n"


def summaries_of(folder: Path) -> dict[str, str]:
    """What each trial of a round is, by name: the student, then those of the file."""
    listed = tomllib.loads((folder / "trials.toml").read_text(encoding="utf-8"))["trial"]
    own = {trial["name"]: trial["summary"] for trial in listed}
    return {"recipe": f"{load_recipe(str(folder / 'student.toml')).name} as it is", **own}


def known_runs(folder: Path) -> list[dict[str, Any]]:
    """The figures of a round that are kept; none before its first trial."""
    path = folder / "trials.json"
    found: list[dict[str, Any]] = []
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else found


def written() -> str:
    """The page of what is kept."""
    folders = {name: SEARCH / name for name in ABOUT}
    return page({name: (known_runs(at), summaries_of(at)) for name, at in folders.items()})


def _cells(name: str, summary: str, own: Sequence[Mapping[str, Any]], noisy: bool) -> list[str]:
    epochs = sorted({run["epochs"] for run in own})
    return [
        f"`{name}`",
        summary,
        f"{own[0]['parameters']:,}",
        " to ".join(map(str, epochs[:1] + epochs[1:][-1:])),
        str(len(own)),
        _spread([run["loss"] for run in own], 3),
        *(
            _spread([100 * run[kind][corpus] for run in own if corpus in run.get(kind, {})], 1)
            for kind in (("uar", "noisy") if noisy else ("uar",))
            for corpus in CORPORA
        ),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    text = f"{statistics.fmean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Takes in the folders of studies that are named, and writes the page."""
    named = sys.argv[1:]
    if named:
        if named[0] not in ABOUT:
            raise SystemExit(f"{named[0]}: no round; name one of {', '.join(ABOUT)}")
        folder = SEARCH / named[0]
        known = known_runs(folder)
        for study in map(Path, named[1:]):
            known = merged(known, collect(study))
        write_text_atomically(folder / "trials.json", json.dumps(known, indent=1) + "\n")
    write_text_atomically(PAGE, written())


if __name__ == "__main__":
    main()
