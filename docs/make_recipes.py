"""Writes docs/recipes.md, what each recipe reaches: ``python docs/make_recipes.py [RUNS]``.

With RUNS, a folder of run directories, the figures of every report.json below it that scored
its test part are first taken into docs/recipe-runs.json, which is committed in the place of the
runs. Tests hold that the page is what this script writes.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_edge_runtime.files import write_text_atomically
from ser_edge_train.recipes import load_recipe, recipe_names
from ser_edge_train.recipes.published import Published
from ser_edge_train.recipes.schema import Recipe, parse_recipe
from ser_edge_train.report import read_report

RUNS = Path(__file__).with_name("recipe-runs.json")
PAGE = Path(__file__).with_name("recipes.md")
IDENTITY = ("recipe", "protocol", "sex", "fold", "seed")
LEAKY = ("random", "augment-then-split")
# Corpora that a recipe is tested on in a run of its own that never heard them.
UNHEARD = {"default": ("savee", "tess")}
DISJOINT = ("speaker-folds", "speaker-disjoint", "leave-one-speaker-out", "sentence-disjoint")

HEAD = """\
# What each recipe reaches

Written by `python docs/make_recipes.py` from the runs' `report.json`
([recipe-runs.json](recipe-runs.json)); nothing here is typed. `docs/make_recipe_runs.sh` is how
the runs were made. Mean and standard deviation (of a sample) over folds, in per cent; a single
run has no deviation. A protocol named LEAKY has speakers, or copies of a recording, on both
sides: its figure says nothing about people the model has not heard. "Speakers apart" is the same
recipe on speakers in one part only, in the published measure and in UAR; size counts weights.
Epoch and temperature were chosen on validation clips in every protocol, and each test part was
scored once: [test-scorings.csv](test-scorings.csv).
"""


def collect(folder: Path) -> list[dict[str, Any]]:
    """The figures of every run below ``folder`` whose test part was scored.

    Raises:
        ReportError: A report cannot be read.
    """
    reports = sorted(folder.rglob("report.json"))
    return [
        figures(read_report(path), path.with_name("recipe.toml"))
        for path in reports
        if "test" in read_report(path)["scores"]
    ]


def figures(report: Mapping[str, Any], recipe_file: Path) -> dict[str, Any]:
    """What the page needs of one report."""
    overall = report["scores"]["test"]["overall"]
    recipe = parse_recipe(recipe_file.read_text(encoding="utf-8"), recipe_file)
    return {
        "recipe": recipe.name,
        "protocol": report["protocol"]["name"],
        "sex": recipe.sex,
        "fold": report["protocol"]["fold"],
        "seed": report["seed"],
        "leaky": bool(report["protocol"]["leaky"]),
        "parameters": report["model"]["parameters"],
        "epochs": report["model"]["epochs"],
        "clips": overall["clips"],
        "speakers": overall["speakers"],
        "accuracy": overall["accuracy"],
        "uar": overall["uar"],
        "corpora": {
            name: {"uar": group["uar"], "accuracy": group["accuracy"]}
            for name, group in report["scores"]["test"]["corpora"].items()
        },
        "digests": {name: report["digests"][name] for name in ("recipe", "partition", "model")},
    }


def merged(
    known: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Known runs and found ones; a found run takes the place of the known one it is.

    A recipe that changes after its test part was scored takes another seed, under which the ledger
    lets it be scored; runs of what it was before are left out here and stay in the ledger.
    """
    seeds = {name: load_recipe(name).seed for name in recipe_names()}
    by_identity = {
        tuple(run[name] for name in IDENTITY): dict(run)
        for run in (*known, *found)
        if run["seed"] == seeds.get(run["recipe"], run["seed"])
    }
    return [by_identity[key] for key in sorted(by_identity)]


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """The text of docs/recipes.md."""
    recipes = [load_recipe(name) for name in recipe_names()]
    lines = [HEAD, "## Beside the published figures", ""]
    lines += published_table([recipe for recipe in recipes if recipe.published], runs)
    lines += ["", "## By corpus, on speakers that were never heard", ""]
    lines += corpus_table(runs)
    lines += ["", "## The commands", ""]
    lines += ["With `manifest.csv` from `ser-edge scan`; the other folds likewise:", "", "```"]
    lines += [command(recipe, one) for recipe in recipes for one in asked(recipe)]
    return "\n".join([*lines, "```"]) + "\n"


def published_table(recipes: Iterable[Recipe], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each published figure: it, ours under its protocol, ours with speakers apart."""
    lines = [
        "| recipe | published | its protocol | ours under it | ours, speakers apart | UAR | size |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in recipes:
        for one in recipe.published or ():
            same = [run for run in runs if matches(run, recipe, one, {one.protocol})]
            apart = [run for run in runs if matches(run, recipe, one, set(DISJOINT))]
            leaky = " (LEAKY)" if any(run["leaky"] for run in same) else ""
            sex = "" if one.sex == "mixed" else f", {one.sex} speakers"
            weights = f"{apart[0]['parameters']:,}" if apart else ""
            lines.append(
                f"| `{recipe.name}`{sex} | {one.figure:g} % {measure(one.measure)} "
                f"| {one.protocol}{leaky} | {spread(same, one.measure)} "
                f"| {spread(apart, one.measure)} | {spread(apart, 'uar')} | {weights} |"
            )
    return lines


def corpus_table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each recipe and corpus: UAR over the folds that kept speakers apart."""
    lines = ["| recipe | corpus | protocol | UAR | accuracy |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        if not run["leaky"]:
            for corpus in run["corpora"]:
                key = (run["recipe"], run["sex"], corpus, run["protocol"])
                groups.setdefault(key, []).append(run["corpora"][corpus])
    for (recipe, sex, corpus, protocol), scores in sorted(groups.items()):
        sexed = "" if sex == "mixed" else f", {sex} speakers"
        lines.append(
            f"| `{recipe}`{sexed} | {corpus} | {protocol} | {spread(scores, 'uar')} "
            f"| {spread(scores, 'accuracy')} |"
        )
    return lines


def matches(run: Mapping[str, Any], recipe: Recipe, one: Published, protocols: set[str]) -> bool:
    """Whether a run is of the recipe, of the published figure's sex, and of such a protocol."""
    return run["recipe"] == recipe.name and run["sex"] == one.sex and run["protocol"] in protocols


def spread(scores: Sequence[Mapping[str, Any]], name: str) -> str:
    """Mean and deviation of a measure, as "61.2 ± 2.3 (5 folds)"; "not run" without a score."""
    values = [100 * score[name] for score in scores]
    if not values:
        return "not run"
    if len(values) == 1:
        return f"{values[0]:.1f} (1 run)"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)} runs)"


def measure(name: str) -> str:
    """The measure as people write it."""
    return "UAR" if name == "uar" else name


def asked(recipe: Recipe) -> list[tuple[str, str]]:
    """The protocols and sexes that the page has to show of a recipe."""
    if recipe.target == "speaker" or recipe.name.endswith("-quick"):
        return []
    found = [(one.protocol, one.sex) for one in recipe.published or ()]
    sexes = dict.fromkeys(sex for _, sex in found) or {"mixed": None}
    found += [(recipe.protocol.name, sex) for sex in sexes]
    if recipe.name in UNHEARD:
        found.append(("cross-corpus", "mixed"))
    return list(dict.fromkeys(found))


def protocol_options(recipe: Recipe, protocol: str) -> str:
    """What the command line says of a protocol that is not the recipe's own."""
    if protocol == recipe.protocol.name:
        return ""
    corpora = UNHEARD[recipe.name] if protocol == "cross-corpus" else ()
    return f" --protocol {protocol}" + "".join(f" --test-corpus {name}" for name in corpora)


def command(recipe: Recipe, one: tuple[str, str]) -> str:
    """The commands of one fold: of its teacher, if it has one, and its own."""
    protocol, sex = one
    divided = protocol_options(recipe, protocol)
    options = divided + (" --no-clean" if protocol in LEAKY else "")
    options += "" if sex == "mixed" else f" --sex {sex}"
    folder = f"runs/{recipe.name}/{protocol}/{sex}"
    taught, teach = "", ""
    if recipe.teacher is not None:
        teach = (
            f"ser-edge teach whisper.npz --recipe {recipe.name}{divided} --fold 1 "
            "--data manifest.csv --out scores-1.csv\n"
        )
        taught = " --teacher scores-1.csv" + (" --hint whisper.npz" if recipe.hint else "")
    return (
        f"{teach}ser-edge train --recipe {recipe.name}{options} --fold 1 --data manifest.csv"
        f"{taught} --run {folder}/fold-1 --score-test --ledger docs/test-scorings.csv"
    )


def main() -> None:
    """Collects where asked to, and writes the page."""
    known = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else []
    if len(sys.argv) > 1:
        known = merged(known, collect(Path(sys.argv[1])))
        write_text_atomically(RUNS, json.dumps(known, indent=1) + "\n")
    write_text_atomically(PAGE, page(known))


if __name__ == "__main__":
    main()
