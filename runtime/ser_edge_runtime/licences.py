"""The licences of the known corpora, and whether a model may be used in a product.

Standard library alone: ``ser-edge info`` reads it on a device.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple


class CorpusLicence(NamedTuple):
    """What a corpus is called and under which licence it came.

    Attributes:
        title: Its name in print.
        licence: The name of the licence.
        commercial: Whether a company may use what was made from it.
    """

    title: str
    licence: str
    commercial: bool


LICENCES: Final[Mapping[str, CorpusLicence]] = {
    "ravdess": CorpusLicence("RAVDESS", "CC BY-NC-SA 4.0", False),
    "crema-d": CorpusLicence("CREMA-D", "Open Database License 1.0", True),
    "tess": CorpusLicence("TESS", "CC BY-NC-ND 4.0", False),
    "savee": CorpusLicence("SAVEE", "research use only", False),
}

ANSWERS: Final = ("No: ", "Yes: ", "Ask whose ", "Not known: ")
"""How every answer of :func:`product_answer` begins."""

_RESTRICTING: Final = ("non-commercial", "noncommercial", "research")
_MOST_NAMED: Final = 5


def product_answer(corpora: Collection[str], licence: str) -> str:
    """May a model be used in a product? One line.

    A "yes" needs both: recordings whose licences are known and permit it, and a licence of the
    weights that does not speak of research or of non-commercial use.

    Args:
        corpora: The corpora it was trained on; empty if that is not known.
        licence: The licence of the weights, as the model file has it.
    """
    names = sorted(corpora)
    forbidding = [
        LICENCES[name] for name in names if _known(name) and not LICENCES[name].commercial
    ]
    if forbidding:
        which = _and([f"{one.title} ({one.licence})" for one in forbidding])
        return f"No: it was trained on {which}, which may not be used commercially."
    if any(word in licence.lower() for word in _RESTRICTING):
        return "No: the licence of its weights is for research or non-commercial use."
    unknown = [name for name in names if not _known(name)]
    if unknown:
        which = _and(unknown[:_MOST_NAMED]) + (" and others" if len(unknown) > _MOST_NAMED else "")
        return f"Ask whose recordings these are: it was trained on {which}, of unknown licence."
    if not names:
        return "Not known: the file does not say which recordings it was trained on."
    which = _and([f"{LICENCES[name].title} ({LICENCES[name].licence})" for name in names])
    return f"Yes: it was trained on {which} alone, which permits it where the source is named."


def corpora_of(provenance: Mapping[str, Any], scores: Mapping[str, Any]) -> tuple[str, ...]:
    """The corpora that a model file was trained on, as far as it tells.

    Files of older versions name none; theirs are those that the network was scored on.

    Args:
        provenance: Of the file's metadata; anybody wrote it.
        scores: As ``provenance``.
    """
    named = provenance.get("corpora")
    if isinstance(named, list | tuple):
        return tuple(sorted({name for name in named if isinstance(name, str) and name}))
    parts = scores.get("parts")
    found: set[str] = set()
    for part in parts.values() if isinstance(parts, Mapping) else ():
        corpora = part.get("corpora") if isinstance(part, Mapping) else None
        found.update(corpora if isinstance(corpora, Mapping) else ())
    return tuple(sorted(found))


def _known(name: str) -> bool:
    return name in LICENCES


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
