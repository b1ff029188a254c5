"""An audit's document as JUnit XML, which build servers show: a case a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree


def render_junit(document: Mapping[str, Any]) -> str:
    """A suite a variant, a case a limit and class; a limit that does not hold is a failure."""
    cases = [row for variant in document["variants"] for row in variant["checks"]]
    root = ElementTree.Element(
        "testsuites",
        name=f"audit of {document['recipe']['name']}",
        tests=str(len(cases)),
        failures=str(sum(not row["passed"] for row in cases)),
    )
    for variant in document["variants"]:
        rows = variant["checks"]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=variant["name"],
            tests=str(len(rows)),
            failures=str(sum(not row["passed"] for row in rows)),
            errors="0",
            skipped="0",
        )
        for row in rows:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"{document['recipe']['name']}.{variant['name']}",
                name=row["name"],
            )
            if row["passed"]:
                ElementTree.SubElement(case, "system-out").text = row["text"]
            else:
                ElementTree.SubElement(case, "failure", message=row["text"])
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
