"""What is said of a device's slots, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_edge_runtime.slots import Slots


def report(slots: Slots, *, here: bool = True) -> dict[str, Any]:
    """What ``ser-edge status`` says of slots.

    Args:
        slots: The slots.
        here: Whether this machine is the device: only then is its runtime worth naming.
    """
    state, settings, answers = slots.state(), slots.settings(), slots.answers()
    return {
        "current": None if state.current is None else asdict(state.current),
        "previous": None if state.previous is None else asdict(state.previous),
        "incoming": slots.leftovers(),
        "failed": state.failed,
        "answers": None if answers is None else answers.sha256,
        "targets": list(settings.targets),
        "signed": settings.signers is not None,
        **(_runtime() if here else {"runtime": None, "interpreter": None}),
    }


def lines(values: dict[str, Any]) -> list[str]:
    """The report for people."""
    found = [
        f"current     {slot_words(values['current'])}",
        f"previous    {slot_words(values['previous'])}",
    ]
    if values["incoming"]:
        found.append(
            f"incoming    {', '.join(values['incoming'])} (cut short; the next flash clears)"
        )
    if values["failed"]:
        found.append(f"failed      {values['failed'][:12]} at its first load")
    current = values["current"]
    if current is not None and values["answers"] != current["sha256"]:
        what = f"answers with {values['answers'][:12]}" if values["answers"] else "cannot answer"
        found.append(f"damaged     the current model; the device {what}: flash it again")
    taken = "signed models" if values["signed"] else "any model"
    found.append(f"takes       {taken} for {' and '.join(values['targets'])}")
    if values["runtime"]:
        found.append(
            f"runtime     ser-edge {values['runtime']}, {values['interpreter'] or 'no interpreter'}"
        )
    return found


def slot_words(slot: Any) -> str:
    """A slot, or its values, in words."""
    if slot is None:
        return "none"
    values = slot if isinstance(slot, dict) else asdict(slot)
    words = f"{values['name']} ({values['sha256'][:12]})"
    if values["release"]:
        words += f", release {values['release']}"
    words += f", self-test held: {values['tested']}" if values["tested"] else ", untested"
    return words + (f", signed by {values['signer']}" if values["signer"] else "")


def _runtime() -> dict[str, Any]:
    from ser_edge_runtime import __version__
    from ser_edge_runtime.backends import available_backends

    works = [
        f"{name} {version}"
        for name, version, why_not in available_backends()
        if why_not is None and name != "tensorflow"
    ]
    return {"runtime": __version__, "interpreter": works[0] if works else None}
