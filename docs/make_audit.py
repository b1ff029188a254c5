"""Converts and audits every recipe's runs, and writes docs/audit.md:

    python docs/make_audit.py [RUNS...] [--work FOLDER] [--store FOLDER] [--data MANIFEST]
                              [--tflite-runtime-python PYTHON]

RUNS are run directories or folders that hold some. Those whose test part was scored and whose
speakers are apart are converted to every variant into WORK, by default runs/audit, and audited,
the folds of a recipe together. The reports (JSON, Markdown, JUnit, HTML) lie in WORK; what the
page needs of them is taken into docs/audits.json, which is committed in their place: anew for the
recipes of RUNS, and what it holds of others stays. With PYTHON, one that has tflite-runtime 2.14
and numpy below 2, every file answers all test clips in three interpreters too; without it the page
has what WORK holds of that. Without RUNS the page is written from docs/audits.json. Stopped at any
time, the same call goes on: what is finished is not done again. Tests hold that the page is what
this script writes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# As the command line does, before numpy is loaded: times are those of one thread.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


DOCS = Path(__file__).resolve().parent
for folder in map(str, (DOCS, DOCS.parent)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from audit_interpreters import interpreter_table, interpreters, sha256

from ser_edge_convert.audit import audit
from ser_edge_convert.audit.auditing import largest
from ser_edge_convert.audit.files import audit_files, write_audit
from ser_edge_convert.audit.limits import Limits
from ser_edge_convert.audit.markdown import (
    basis,
    class_table,
    failures,
    in_points,
    interval,
    limits_line,
    variant_table,
)
from ser_edge_convert.conversion import convert_each, report_path
from ser_edge_convert.variants import VARIANTS
from ser_edge_runtime.files import write_text_atomically
from ser_edge_runtime.model_file import default_model_path, read_model_file
from ser_edge_train.manifest import Manifest
from ser_edge_train.report import read_report
from ser_edge_train.run_directory import RunDirectory

AUDITS = Path(__file__).with_name("audits.json")
PAGE = Path(__file__).with_name("audit.md")
# The corpora of which so many speakers speak that folds of them can decide something.
MANY_SPEAKERS = ("crema-d", "ravdess")
SHIPPED = "the model that ships"
REPAIRED = "int8-repaired"
FORMS = (*VARIANTS, REPAIRED)
# More than the audit asks: the layers are chosen on other speakers than those of the test.
REPAIRED_AGREEMENT = 0.985

HEAD = """\
# What conversion cost

Written by `python docs/make_audit.py RUNS` from the reports of `ser-edge audit`
([audits.json](audits.json)); nothing here is typed. Every recipe's network was converted to every
variant, and to int8 with layers left in floats where plain int8 changes the class of too many
validation clips (`ser-edge convert --repair --min-agreement`). Each file answered the clips that
the trained network was scored on: test speakers, whom nobody trained, validated or calibrated on.
The folds of a recipe are one test: each clip out of its fold. A fall is what the network scores
minus what the file scores; intervals are paired bootstraps over whole speakers. The gate is that
of `ser-edge audit` without options:
"""


def find_runs(places: Iterable[Path]) -> list[RunDirectory]:
    """The runs in ``places``, at any depth, that an audit can be held against."""
    found: dict[str, RunDirectory] = {}
    for place in places:
        reports = (
            [place / "report.json"]
            if (place / "report.json").is_file()
            else sorted(place.rglob("report.json"))
        )
        for path in reports:
            run, report = RunDirectory(path.parent), read_report(path)
            apart = report["protocol"]["speaker_disjoint"] and not report["protocol"]["leaky"]
            # What stands beside a leaky run is its recipe's clean fold once more.
            if apart and "test" in report["scores"] and path.parent.name != "clean":
                found.setdefault(sha256(run.model), run)
    return list(found.values())


def grouped(runs: Iterable[RunDirectory]) -> dict[str, list[RunDirectory]]:
    """Runs by recipe, protocol and sex, the folds in order; networks that tell speakers apart
    are none that ship."""
    groups: dict[str, list[tuple[int, RunDirectory]]] = {}
    for run in runs:
        recipe = run.read_recipe()
        if recipe.target != "speaker":
            sex = "" if recipe.sex == "mixed" else f", {recipe.sex} speakers"
            name = f"{recipe.name}, {recipe.protocol.name}{sex}"
            groups.setdefault(name, []).append((recipe.protocol.fold, run))
    return {
        name: [run for _, run in sorted(of_group, key=lambda one: one[0])]
        for name, of_group in sorted(groups.items())
    }


def convert(
    run: RunDirectory, folder: Path, store: Path, data: Manifest | None
) -> tuple[dict[str, Path], dict[str, str]]:
    """The files of a run by variant, made where they are not there, and why others cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    network = sha256(run.model)
    faults_file = folder / "faults.json"
    known = json.loads(faults_file.read_text("utf-8")) if faults_file.is_file() else {}
    faults: dict[str, str] = dict(known.get(network, {}))
    files = {form: folder / f"{form}.tflite" for form in FORMS}
    made = {
        form
        for form, path in files.items()
        if path.is_file() and read_model_file(path).metadata.provenance.get("network") == network
    }
    missing = [variant for variant in VARIANTS if variant not in made and variant not in faults]
    if missing:
        print(f"{run.path}: converting to {', '.join(missing)}", flush=True)
        # The gate is the audit's: here every file is kept that computes what the network does.
        for outcome in convert_each(
            run, files.__getitem__, store=store, variants=missing, manifest=data, max_drop=1.0
        ):
            if outcome.conversion is None:
                faults[outcome.variant] = placeless(outcome.fault, run, folder)
            else:
                made.add(outcome.variant)
    if "int8" in made and REPAIRED not in made | set(faults) and needs_repair(files["int8"]):
        print(f"{run.path}: converting to {REPAIRED}", flush=True)
        (outcome,) = convert_each(
            run, lambda variant: files[REPAIRED], store=store, variants=["int8"], manifest=data,
            max_drop=1.0, min_agreement=REPAIRED_AGREEMENT, repair=True,
        )  # fmt: skip
        if outcome.conversion is None:
            faults[REPAIRED] = placeless(outcome.fault, run, folder)
        else:
            made.add(REPAIRED)
    if known.get(network) != faults:
        write_text_atomically(faults_file, json.dumps({network: faults}, indent=1) + "\n")
    return {name: path for name, path in files.items() if name in made}, faults


def placeless(fault: object, run: RunDirectory, folder: Path) -> str:
    """What a conversion says, without where this machine keeps its files."""
    return str(fault).replace(str(run.path), "RUN").replace(str(folder), "WORK")


def needs_repair(path: Path) -> bool:
    """Whether a file changed the class of more validation clips than an audit lets pass."""
    found = json.loads(report_path(path).read_text("utf-8"))["agreement"]
    return bool(found["same"] < Limits().min_agreement * found["clips"])


def audited(
    name: str,
    runs: Sequence[RunDirectory],
    models: Sequence[Path],
    work: Path,
    store: Path,
    data: Manifest | None,
    corpora: Sequence[str] = (),
) -> dict[str, Any]:
    """The audit's document, written where it is not there yet."""
    folder = work / "reports" / slug(name)
    path = audit_files(folder).json
    if path.is_file():
        document = json.loads(path.read_text("utf-8"))
        files = {file["sha256"] for variant in document["variants"] for file in variant["files"]}
        networks = {one["digests"]["model"] for one in document["references"]}
        same = files == {sha256(model) for model in models}
        if same and networks == {sha256(run.model) for run in runs}:
            return document
    print(f"{name}: auditing {len(models)} files against {len(runs)} runs", flush=True)
    document = audit(models, runs, store=store, recordings=data, corpora=corpora)
    write_audit(document, folder)
    return document


def brief(name: str, document: Mapping[str, Any], faults: Mapping[str, str]) -> dict[str, Any]:
    """What the page needs of a document: all but the list of flips and the operators."""
    variants = []
    for variant in document["variants"]:
        kept = {key: value for key, value in variant.items() if key not in ("flips", "scores")}
        kept["scores"] = {key: variant["scores"][key] for key in ("uar", "accuracy", "ece")}
        changes = [flip["change"] for flip in variant["flips"]]
        kept["changes"] = {change: changes.count(change) for change in sorted(set(changes))}
        kept["files"] = [
            {key: file[key] for key in ("run", "fold", "sha256", "bytes", "arena_bytes")}
            for file in variant["files"]
        ]
        variants.append(kept)
    reference = {key: document["reference"][key] for key in ("uar", "accuracy", "ece")}
    return {**document, "group": name, "variants": variants, "reference": reference,
            "faults": dict(sorted(faults.items()))}  # fmt: skip


def page(content: Mapping[str, Any]) -> str:
    """The text of docs/audit.md."""
    audits = content["audits"]
    lines = [HEAD]
    if audits:
        lines += [limits_line(audits[0]["limits"]), ""]
    lines += ["## All at a glance", "", *summary(audits), ""]
    for document in audits:
        lines += section(document)
    lines += ["## Three interpreters", "", *interpreter_table(content["interpreters"]), ""]
    lines += [
        "## The commands", "", "```",
        "python docs/make_audit.py runs --tflite-runtime-python PYTHON",
        "ser-edge convert runs/first --variant int8 --out int8.tflite",
        "ser-edge audit int8.tflite --reference runs/first --out reports/audit",
        "```",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def summary(audits: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row a group and variant: fall of UAR with its interval, agreement, verdict."""
    lines = [
        "| network | clips | speakers | variant | UAR before | fall, points | interval "
        "| same answer | KB | gate |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    for document in audits:
        for variant in document["variants"]:
            drop = variant["drops"]["uar"]
            lines.append(
                f"| {document['group']} | {document['clips']} | {document['speakers']} "
                f"| {variant['name']} | {100 * document['reference']['uar']:.1f} % "
                f"| {in_points(drop['value'])} | {interval(drop['interval'])} "
                f"| {100 * variant['agreement']['share']:.2f} % "
                f"| {(largest(variant, 'bytes') or 0) / 1000:.0f} "
                f"| {'passed' if variant['passed'] else 'FAILED'} |"
            )
    return lines


def section(document: Mapping[str, Any]) -> list[str]:
    """One group: what was compared, the table, what failed, classes, what cannot be made."""
    machine = document["machine"]
    lines = [f"## {document['group']}", "", basis(document), "", *variant_table(document), ""]
    lines += [
        f"Times are processor time a clip, one thread, on {machine['processor']} with "
        f"{machine['interpreter']}: features, then the model. The arena is an estimate.",
        "",
        *failures(document),
    ]
    for variant in document["variants"]:
        agreement, changes = variant["agreement"], variant["changes"]
        lines.append(
            f"- {variant['name']}: {agreement['clips'] - agreement['same']} of "
            f"{agreement['clips']} answers changed ({changes.get('lost', 0)} lost, "
            f"{changes.get('won', 0)} won), {agreement['near_ties']} within two quanta"
        )
    for variant, fault in document["faults"].items():
        lines.append(f"- {variant} cannot be had: {fault}")
    heading, *table = class_table(document)
    return [*lines, "", heading.replace("##", "###"), *table, ""]


def slug(name: str) -> str:
    """A name as part of a path."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def collect(given: argparse.Namespace) -> dict[str, Any]:
    """Converts and audits all runs; returns what docs/audits.json holds."""
    data = None if given.data is None else Manifest.read(given.data)
    audits: list[dict[str, Any]] = []
    family: dict[str, dict[str, Any]] = {}
    files: dict[RunDirectory, list[Path]] = {}
    shipped = shipped_models()
    for name, runs in grouped(find_runs(given.runs)).items():
        made, faults = {}, {}
        for run in runs:
            folder = (
                given.work
                / slug(name)
                / f"fold-{run.read_recipe().protocol.fold}-{sha256(run.model)[:8]}"
            )
            made[run], found = convert(run, folder, given.store, data)
            faults |= found
            files[run] = list(made[run].values())
            path = shipped.get(sha256(run.model))
            if path is not None:
                # In the place of its own form: the file that people get.
                metadata = read_model_file(path).metadata
                whole = not metadata.provenance.get("float_layers") or metadata.variant != "int8"
                models = {**made[run], metadata.variant if whole else REPAIRED: path}
                words = SHIPPED if path == default_model_path() else f"{SHIPPED} as {path.stem}"
                document = audited(
                    words, [run], list(models.values()), given.work, given.store, data
                )
                family[words] = brief(words, document, found)
                files[run].append(path)
        common = [v for v in FORMS if all(v in of_run for of_run in made.values())]
        models = [of_run[variant] for variant in common for of_run in made.values()]
        for words, corpora in parts_of(name, runs):
            document = audited(words, runs, models, given.work, given.store, data, corpora)
            audits.append(brief(words, document, faults))
    rows = interpreters(files, given.tflite_runtime_python, given.work, given.store, data)
    return {"audits": [*(family[words] for words in sorted(family)), *audits], "interpreters": rows}


def merged(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Known audits and found ones: of a recipe that was found nothing stays that was known."""
    recipes = {recipe_of(one["group"]) for one in found["audits"]}
    audits = [one for one in known["audits"] if recipe_of(one["group"]) not in recipes]
    rows = [row for row in known["interpreters"] if row["recipe"] not in recipes]
    return {
        "audits": sorted([*audits, *found["audits"]], key=place_of),
        "interpreters": sorted([*rows, *found["interpreters"]], key=lambda row: row["recipe"]),
    }


def place_of(document: Mapping[str, Any]) -> tuple[bool, str]:
    """What a page's audits are sorted by: those of the models that ship come first."""
    return not document["group"].startswith(SHIPPED), document["group"]


def recipe_of(group: str) -> str:
    """The recipe of a group of runs; a model that ships has its recipe's name."""
    if group == SHIPPED:
        return default_model_path().stem
    return group.removeprefix(f"{SHIPPED} as ").split(",")[0]


def shipped_models() -> dict[str, Path]:
    """The models that ship, each by the digest of the network that it was made from."""
    models = sorted(default_model_path().parent.glob("*.tflite"))
    return {str(read_model_file(one).metadata.provenance.get("network")): one for one in models}


def parts_of(name: str, runs: Sequence[RunDirectory]) -> list[tuple[str, tuple[str, ...]]]:
    """The audits of a group: over all corpora, and over those of many speakers where others
    are among them."""
    corpora = set(read_report(runs[0].report_json)["recipe"]["corpora"])
    few = corpora - set(MANY_SPEAKERS)
    many = tuple(sorted(corpora & set(MANY_SPEAKERS)))
    return (
        [(name, ()), (f"{name}, {' and '.join(many)} alone", many)]
        if few and many
        else [(name, ())]
    )


def main() -> None:
    """Collects where asked to, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUNS")
    parser.add_argument("--work", type=Path, default=Path("runs/audit"))
    parser.add_argument("--store", type=Path, default=Path("runs/features"))
    parser.add_argument("--data", type=Path, help="manifest, if the recordings were moved")
    parser.add_argument("--tflite-runtime-python", metavar="PYTHON")
    parser.add_argument("--audits", type=Path, default=AUDITS, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.runs:
        found = collect(given)
        if given.audits.is_file():
            found = merged(json.loads(given.audits.read_text("utf-8")), found)
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        write_text_atomically(given.audits, text + "\n")
    content = json.loads(given.audits.read_text("utf-8"))
    write_text_atomically(given.page, page(content))


if __name__ == "__main__":
    main()
