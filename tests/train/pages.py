"""Reads a report's page as strictly as a page can be read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}
# No element of the page may load anything; an SVG may point into itself.
POINTERS = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order, and ids are unique."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.pointers: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.tables: list[list[str]] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if len(found) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.tags.append((tag, found))
        self.pointers += [value or "" for name, value in attrs if name in POINTERS]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(v or "" for _, v in attrs))
        if tag == "table":
            self.tables.append([])
        if self.tables and tag in ("caption", "th") and "table" in self.open:
            self.tables[-1].append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.styles.append(data)
        elif data.strip():
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.words)
