"""The page with the microphone button: four files, no request but to the service itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
}
"""By their paths: the file, and its content type."""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""What keeps the page to itself, whatever it should ever show."""


@cache
def read_page_file(path: str) -> tuple[bytes, str]:
    """Content and content type of one of :data:`FILES`."""
    name, kind = FILES[path]
    return (Path(__file__).parent / name).read_bytes(), kind
