"""An audit's document on disk, in the forms that programs, build servers and people read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ser_edge_convert.audit.junit import render_junit
from ser_edge_convert.audit.markdown import render_markdown
from ser_edge_runtime.files import write_text_atomically


class AuditFiles(NamedTuple):
    """Where an audit's files lie."""

    json: Path
    markdown: Path
    junit: Path
    page: Path


def audit_files(folder: str | os.PathLike[str]) -> AuditFiles:
    """The files of an audit in ``folder``."""
    target = Path(folder)
    return AuditFiles(
        target / "audit.json", target / "audit.md", target / "audit.xml", target / "audit.html"
    )


def write_audit(document: Mapping[str, Any], folder: str | os.PathLike[str]) -> AuditFiles:
    """Writes an audit's files, the JSON last of all.

    Args:
        document: What :func:`ser_edge_convert.audit.audit` gave.
        folder: Made if it is missing.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
        OSError: The folder cannot be made or written.
    """
    from ser_edge_convert.audit.page import render_page

    files = audit_files(folder)
    texts = {
        files.page: render_page(document),
        files.markdown: render_markdown(document),
        files.junit: render_junit(document),
        files.json: json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    files.json.parent.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_text_atomically(path, text)
    return files
