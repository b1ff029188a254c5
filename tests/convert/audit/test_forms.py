"""The document as JSON, Markdown, JUnit and a page that asks nobody."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from ser_edge_convert.audit.files import audit_files, write_audit
from ser_edge_convert.audit.junit import render_junit
from ser_edge_convert.audit.markdown import (
    basis,
    in_points,
    interval,
    kilobytes,
    latency,
    percent,
    render_markdown,
    variant_table,
    verdict,
)
from ser_edge_convert.audit.page import render_page
from tests.train.pages import Page


def of(document, variant):
    return next(one for one in document["variants"] if one["variant"] == variant)


def passing(document):
    document["variants"] = [of(document, "float32")]
    document["passed"] = True
    return document


def test_files_are_written_whole(document, tmp_path):
    files = write_audit(document, tmp_path / "deep" / "audit")
    assert files == audit_files(tmp_path / "deep" / "audit")
    assert sorted(path.name for path in files.json.parent.iterdir()) == [
        "audit.html", "audit.json", "audit.md", "audit.xml",
    ]  # fmt: skip
    assert json.loads(files.json.read_text("utf-8")) == document
    first = {path: path.read_bytes() for path in files}
    write_audit(document, tmp_path / "deep" / "audit")
    assert {path: path.read_bytes() for path in files} == first


def test_junit_has_a_case_a_limit(document):
    root = ElementTree.fromstring(render_junit(document).encode())
    assert root.tag == "testsuites"
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["float32 for cpu", "int8-io for cpu"]
    for suite, variant in zip(suites, document["variants"], strict=True):
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == [row["name"] for row in variant["checks"]]
        failed = [case for case in cases if case.find("failure") is not None]
        assert int(suite.get("failures")) == len(failed)
        texts = [row["text"] for row in variant["checks"] if not row["passed"]]
        assert [case.find("failure").get("message") for case in failed] == texts
        assert int(suite.get("tests")) == len(cases)
    assert int(root.get("failures")) == sum(int(suite.get("failures")) for suite in suites)
    assert suites[0].get("failures") == "0"
    assert suites[1].get("failures") != "0"


def test_junit_escapes_what_people_named(changed):
    changed["recipe"]["name"] = 'a<b & "c"'
    root = ElementTree.fromstring(render_junit(changed).encode())
    assert root.get("name") == 'audit of a<b & "c"'


def test_markdown_has_a_row_a_variant(document):
    rows = [line for line in variant_table(document) if line.startswith("|")]
    widths = {line.count("|") for line in rows}
    assert len(widths) == 1, rows
    assert rows[2].startswith("| float32 for cpu |")
    assert rows[2].endswith("| passed |")
    found = of(document, "int8-io")
    cells = [cell.strip() for cell in rows[3].strip("|").split("|")]
    assert cells[1] == percent(found["scores"]["uar"])
    assert cells[2] == in_points(found["drops"]["uar"]["value"])
    assert cells[3] == interval(found["drops"]["uar"]["interval"])
    assert cells[7] == f"{100 * found['agreement']['share']:.2f} %"
    assert cells[-2:] == ["–", "FAILED"]


def test_markdown_names_what_failed_and_which_clips_flipped(document):
    text = render_markdown(document)
    found = of(document, "int8-io")
    for row in found["checks"]:
        assert (row["text"] in text) is not row["passed"]
    for flip in found["flips"]:
        assert f"toy {flip['stem']} ({flip['label']}): {flip['before']} by" in text
    assert "float32 for cpu: 0 of 72: 0 lost, 0 won" in text
    assert "**failed: int8-io for cpu (1 of 2 variants)**" in text


def test_markdown_of_what_passed(changed):
    passing(changed)
    assert verdict(changed) == "passed: 1 variant within the limits"
    assert "failed" not in render_markdown(changed)


def test_the_basis_says_what_is_proved(changed):
    assert "No speaker of them was trained, validated or calibrated on." in basis(changed)
    assert "answers, since" not in basis(changed)
    changed["answers"] = 90
    changed["part"] = "validation"
    changed["separation"] = {"speaker_disjoint": False, "unnamed_clips": 3, "calibration": []}
    text = basis(changed)
    assert text.startswith("Validation parts of 3 runs: 72 clips of 6 speakers of toy (90 answers")
    assert "the epoch was chosen on them" in text
    assert "Nobody knows the speakers of 3 clips" in text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: in_points(0.01234), "1.23"),
        (lambda: in_points(-0.00001), "0.00"),
        (lambda: in_points(-0.001), "-0.10"),
        (lambda: in_points(None), "–"),
        (lambda: interval([-0.01, 0.02]), "-1.00 to 2.00"),
        (lambda: interval(None), "–"),
        (lambda: percent(0.1234), "12.3"),
        (lambda: percent(None), "–"),
        (lambda: kilobytes(12345), "12.3"),
        (lambda: kilobytes(None), "–"),
        (lambda: latency(None), "–"),
        (lambda: latency({"features_ms": 1.26, "model_ms": 0.5}), "1.3 + 0.50"),
    ],
)
def test_numbers(call, text):
    assert call() == text


def check_page(text):
    page = Page(text)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert "http" not in text.replace("http-equiv", "")
    assert "//" not in text
    assert {pointer for pointer in page.pointers if not pointer.startswith("#")} == {"data:,"}
    assert all(target.startswith("#") and target[1:] in page.ids for target in page.references)
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {t for t, _ in page.tags}
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert all(table[:1] == ["caption"] and "th" in table for table in page.tables)
    return page


def test_the_page_is_well_formed_and_asks_nobody(document):
    page = check_page(render_page(document))
    assert page.words[0] == "Audit of toy: FAILED, 2 variants"
    assert page.words[1:3] == ["FAILED", "int8-io for cpu : beyond the limits"] or (
        "beyond the limits" in " ".join(page.words[1:4])
    )
    for row in of(document, "int8-io")["checks"]:
        assert (row["text"] in page.text) is not row["passed"]
    for flip in of(document, "int8-io")["flips"]:
        assert flip["stem"] in page.text
    for one in document["references"]:
        assert one["digests"]["model"] in page.text
    assert "FULLY_CONNECTED, MEAN" in page.text


def test_the_page_of_what_passed(changed):
    page = check_page(render_page(passing(changed)))
    assert page.words[0] == "Audit of toy: passed, 1 variant"
    assert "FAILED" not in page.text
    assert not any("leaky" in (a.get("class") or "") for _, a in page.tags)


def test_the_page_without_intervals_with_times_and_several_corpora(changed):
    changed["part"] = "validation"
    changed["corpora"] = ["toy", "other"]
    changed["separation"] = {"speaker_disjoint": False, "unnamed_clips": 3, "calibration": []}
    for variant in changed["variants"]:
        variant["latency"] = {"clips": 3, "features_ms": 1.25, "model_ms": 0.5}
        variant["drops"]["uar"]["interval"] = None
        variant["corpora"]["other"] = variant["corpora"]["toy"]
        variant["classes"]["sad"] |= {"clips": 0, "before": None, "after": None, "drop": None}
        variant["drops"]["uar"]["value"] = 0.4  # beyond the picture's edge
        variant["files"][0]["arena_bytes"] = None
    page = check_page(render_page(changed))
    assert "the speakers of 3 clips are unknown" in page.text
    assert "each run chose its epoch on them" in page.text
    assert "no interval: there is one speaker only" in page.text
    assert "UAR by corpus" in page.text


def test_names_are_escaped_and_many_flips_cut_on_the_page_alone(changed):
    changed["recipe"]["name"] = "<b>&"
    found = of(changed, "int8-io")
    found["flips"] = [{**found["flips"][0], "stem": f"clip-{i:03}"} for i in range(40)]
    text = render_page(changed)
    assert "<b>" not in text
    page = check_page(text)
    assert page.words[0].startswith("Audit of <b>&:")
    assert "clip-024" in page.text
    assert "clip-025" not in page.text
    assert "The 25 of which the file is surest" in page.text
