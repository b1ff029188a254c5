"""Presses the service's microphone button in headless Chromium: ``python docs/look_at_service.py``.

It starts ``ser-edge serve``, opens the page in a Chromium whose microphone is a recording
(``--use-file-for-fake-audio-capture``), clicks the button, lets it record for some seconds,
clicks again, and reads the answer off the page. It fails unless

* the answer on the page is the one that the service gives to the very bytes that the page sent;
* those bytes are the recording: the most similar stretch of it correlates with them;
* every request that the page made went to the service.

``--out FOLDER`` keeps screenshots (before, recording, answer; light, dark, narrow) to be
looked at. The browser is driven through its DevTools protocol over a pipe: nothing but the
standard library, numpy and Chromium is needed.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge_runtime import load_audio
from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.resampling import resample

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CLIP = ROOT / "examples" / "clips" / "1001_DFA_ANG_XX.wav"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--remote-debugging-pipe",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
VIEWS = {"light": (720, 760), "dark": (720, 760), "narrow": (390, 844)}
# Enough that what was recorded is the clip and not the hum of a fake device.
LEAST_CORRELATION = 0.9
# Keeps what the page sends, to be compared; the page's own files are what they are.
KEEP_SENT = """
const sent = window.fetch;
window.fetch = async (to, options) => {
  if (options?.body) window.sentBody = options.body.slice(0);
  return sent(to, options);
};
"""


class Browser:
    """A headless Chromium with one page, driven over its DevTools pipe."""

    def __init__(self, program: str, clip: Path, place: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        arguments = [
            program,
            *FLAGS,
            f"--user-data-dir={place / 'profile'}",
            f"--use-file-for-fake-audio-capture={clip}",
            "about:blank",
        ]

        # Chromium reads its orders from descriptor 3 and answers on 4; the pipes may lie there.
        def place_pipes() -> None:
            ends = [os.dup2(fd, fd + 100) for fd in (to_browser, from_browser)]
            for end, wanted in zip(ends, (3, 4), strict=True):
                os.dup2(end, wanted)

        self._process = subprocess.Popen(
            arguments,
            preexec_fn=place_pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.send(f"{domain}.enable")

    _session: str | None = None

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends an order and waits for its answer; what happens meanwhile goes to ``events``."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self.events.append(answer)

    def run(self, script: str) -> Any:
        """The value of a script, once it is settled."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise SystemExit(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Waits until a condition holds, looked at whenever the page changes."""
        self.run(
            f"""new Promise((resolve) => {{
              const look = () => {{ if ({condition}) {{ watch.disconnect(); resolve(); }} }};
              const watch = new MutationObserver(look);
              watch.observe(document, {{subtree: true, childList: true, attributes: true,
                                        characterData: true}});
              look();
            }})"""
        )

    def open(self, address: str) -> None:
        """Opens a page and waits until it has loaded."""
        self.send("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SENT)
        self.send("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def click(self, selector: str) -> None:
        """A real click in the middle of an element: browsers want a person's for a microphone."""
        box = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def picture(self, path: Path) -> None:
        """Writes a screenshot."""
        found = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))
        print(f"  wrote {path}")

    def show_as(self, view: str) -> None:
        """Sets window size and colours to one of VIEWS."""
        width, height = VIEWS[view]
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=view == "narrow",
        )
        colours = {"name": "prefers-color-scheme", "value": "dark" if view == "dark" else "light"}
        self.send("Emulation.setEmulatedMedia", features=[colours])

    def close(self) -> None:
        """Ends the browser."""
        os.close(self._write)
        self._process.terminate()
        self._process.wait(60)
        os.close(self._read)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._read, 1 << 20)
            if not more:
                raise SystemExit("Chromium ended")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


def main() -> int:
    """Records through the page, and compares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, help="folder for the screenshots")
    parser.add_argument("--clip", type=Path, default=CLIP, help="what the microphone hears")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to record")
    given = parser.parse_args()
    browser = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if browser is None:
        print(f"none of {', '.join(CHROMIUM)} is installed", file=sys.stderr)
        return 2
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
    service = subprocess.Popen(
        [sys.executable, "-m", "ser_edge", "serve", "--json", "--port", "0", "--no-socket"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with tempfile.TemporaryDirectory() as name, service:
        try:
            assert service.stdout is not None
            address = json.loads(service.stdout.readline())["http"]
            chromium = Browser(browser, given.clip.resolve(), Path(name))
            try:
                return look(chromium, address, given.clip, given.seconds, given.out)
            finally:
                chromium.close()
        finally:
            service.terminate()


def look(page: Browser, address: str, clip: Path, seconds: float, out: Path | None) -> int:
    """Uses the page at ``address`` as a person would; returns the exit code."""
    page.show_as("light")
    page.open(address)
    page.wait_until("document.getElementById('model').textContent")
    if out is not None:
        page.picture(out / "service-before.png")
    page.click("#record")
    status = "document.getElementById('status').textContent"
    page.wait_until(f"parseFloat({status}.split(', ')[1]) >= {seconds} || {status}.match(/[.]$/)")
    if out is not None:
        page.picture(out / "service-recording.png")
    page.click("#record")
    page.wait_until("!document.getElementById('answer').hidden || document.querySelector('.fault')")
    for view in VIEWS if out is not None else ():
        page.show_as(view)
        page.picture(out / f"service-answer-{view}.png")
    shown = page.run("document.getElementById('label').textContent")
    print(f"the page says: {shown!r} ({page.run(status)!r})")
    print(f"  {page.run('document.getElementById(`detail`).textContent')}")
    if not shown:
        return 1
    sent = bytes(page.run("Array.from(new Uint8Array(window.sentBody))"))
    answer = ask(address, sent)
    likeness = correlation(sent, clip)
    foreign = [url for url in asked_for(page.events) if not url.startswith((address, "data:"))]
    print(f"the service says of the same {len(sent)} bytes: {answer['label']!r}")
    print(f"the service says of the clip itself: {ask(address, clip.read_bytes())['label']!r}")
    print(f"correlation of what was sent with {clip.name}: {likeness:.3f}")
    print(f"{len(asked_for(page.events))} requests, {len(foreign)} beyond the service", *foreign)
    good = shown == answer["label"] and likeness >= LEAST_CORRELATION and not foreign
    print("ok" if good else "MISS")
    return 0 if good else 1


def asked_for(events: list[dict[str, Any]]) -> list[str]:
    """The addresses that the page asked for."""
    wanted = "Network.requestWillBeSent"
    return [event["params"]["request"]["url"] for event in events if event["method"] == wanted]


def ask(address: str, recording: bytes) -> dict[str, Any]:
    """The service's own answer to a recording."""
    host = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("POST", "/classify", recording)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return dict(answer)


def correlation(sent: bytes, clip: Path) -> float:
    """The best correlation of the loudest second of a clip with any place of what was sent."""
    heard, rate = decode_wav(sent, "what was sent")
    played, clip_rate = load_audio(clip)
    # Places between two samples are not tried: the rate is as high as it can be for that.
    heard, played = resample(heard, rate, 16000), resample(played, clip_rate, 16000)
    loudest = played[int(energies(played, 16000).argmax()) :][:16000].astype(np.float64)
    size = 1 << (len(heard) + len(loudest)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.fft.rfft(loudest, size).conj()
    energy = energies(heard, len(loudest))
    products = np.fft.irfft(spectrum)[: len(energy)]
    scale = np.sqrt(np.maximum(energy * (loudest @ loudest), 1e-6))
    return float(np.max(np.abs(products) / scale))


def energies(samples: np.ndarray, length: int) -> np.ndarray:
    """The energy of each stretch of a length."""
    sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    return sums[length:] - sums[:-length]


if __name__ == "__main__":
    sys.exit(main())
