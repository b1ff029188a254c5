"""Opens reports in headless Chromium: ``python docs/look_at_page.py PAGE.html... [--out FOLDER]``.

For each page it takes screenshots (light, dark, and as narrow as a phone) to be looked at,
and reads Chromium's own network log. A request that the page makes of anything but the
local disk is printed, and the exit code is 1. So that a log which sees nothing is not
taken for a page that asks nothing, a page with one request is opened first, and its
request must be found.

The pages are opened with their players told to load at once: what pressing play would ask
for is asked for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
)
# A request that the browser makes for itself has no page that began it.
OF_THE_BROWSER = "not an origin"
LOCAL = ("file:", "data:", "blob:", "about:", "chrome")
CONTROL = "http://192.0.2.1/seen"  # an address kept for documentation: nobody answers
VIEWS = {
    "light": ("1200,{height}", ("--blink-settings=preferredColorScheme=1",)),
    "dark": ("1200,{height}", ("--blink-settings=preferredColorScheme=0",)),
    "narrow": ("520,{height}", ("--blink-settings=preferredColorScheme=1",)),
}
NARROW = 390


def main() -> int:
    """Looks at the pages that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--out", type=Path, help="folder for the screenshots")
    parser.add_argument("--height", type=int, default=5600, help="of the screenshots, in pixels")
    given = parser.parse_args()
    browser = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if browser is None:
        print(f"none of {', '.join(CHROMIUM)} is installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        control = place / "control.html"
        control.write_text(f'<!doctype html><img src="{CONTROL}" alt="">')
        if CONTROL not in requests_of(browser, control, place):
            print("the network log does not show a request that was made", file=sys.stderr)
            return 2
        asked = 0
        for page in given.pages:
            found = requests_of(browser, page, place)
            asked += len(found)
            print(f"{page}: {len(found)} requests leave the page", *found, sep="\n  ")
            if given.out is not None:
                given.out.mkdir(parents=True, exist_ok=True)
                take_pictures(browser, page, given.out, given.height, place)
    return 1 if asked else 0


def requests_of(browser: str, page: Path, place: Path) -> list[str]:
    """Addresses beyond the local disk that a page asks for, by Chromium's network log."""
    # Beside the page itself, since its players' addresses are relative.
    loading = page.with_name(f".{page.stem}.loading.html")
    loading.write_text(page.read_text("utf-8").replace('preload="none"', 'preload="auto"'), "utf-8")
    log = place / "network.json"
    try:
        run(browser, loading, place, f"--log-net-log={log}", f"--screenshot={place / 'x.png'}")
    finally:
        loading.unlink()
    return requests_in(json.loads(log.read_text("utf-8")))


def requests_in(log: dict[str, Any]) -> list[str]:
    """The addresses in a network log that a page, not the browser, asked for."""
    found = {}
    for event in log["events"]:
        values = event.get("params", {})
        url, initiator = values.get("url", ""), values.get("initiator", OF_THE_BROWSER)
        if url and initiator != OF_THE_BROWSER and not url.startswith(LOCAL):
            found[url] = None
    return list(found)


def take_pictures(browser: str, page: Path, out: Path, height: int, place: Path) -> None:
    """Writes PAGE-light.png, PAGE-dark.png and PAGE-narrow.png into a folder."""
    for view, (size, flags) in VIEWS.items():
        shown = page
        if view == "narrow":
            # Chromium has no window as narrow as a phone: a frame in a window is.
            shown = place / "narrow.html"
            shown.write_text(
                f'<!doctype html><body style="margin:0"><iframe src="{page.resolve().as_uri()}" '
                f'style="border:0;width:{NARROW}px;height:{height}px"></iframe>'
            )
        picture = out / f"{page.stem}-{view}.png"
        window = f"--window-size={size.format(height=height)}"
        run(browser, shown, place, f"--screenshot={picture.resolve()}", window, *flags)
        print(f"  wrote {picture}")


def run(browser: str, page: Path, place: Path, *flags: str) -> None:
    """Runs Chromium once, with a profile of its own."""
    profile = f"--user-data-dir={place / 'profile'}"
    subprocess.run(
        [browser, *QUIET, profile, *flags, page.resolve().as_uri()],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
