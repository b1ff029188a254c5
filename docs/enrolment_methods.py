"""Ways to adapt a model to a voice, for docs/study_enrolment.py: from answers to an offset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ser_edge_runtime.enrolment import balance, lean
from ser_edge_train.manifest import CORPUS_LABELS

CHOSEN = "spread evenly, as shipped"


@dataclass
class Voice:
    """One speaker in one fold: what the fold's model answers, and who else is in the part.

    Attributes:
        logs: Logarithms of the tempered probabilities, (clips, classes), their mean over classes 0.
        others: The same of the part's other speakers, with their corpora and true classes.
    """

    fold: int
    corpus: str
    speaker: str
    labels: tuple[str, ...]
    rows: np.ndarray
    logs: np.ndarray
    truth: np.ndarray
    others: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)

    @cached_property
    def allowed(self) -> np.ndarray:
        """The classes that the corpus has, bool (classes,)."""
        return np.array([label in CORPUS_LABELS[self.corpus] for label in self.labels])

    @cached_property
    def usual(self) -> np.ndarray:
        """Mean of the others' logarithms, speakers of a corpus and then corpora weighing alike."""
        return self._over_corpora(lambda logs: np.mean([one.mean(0) for one in logs], 0))

    @cached_property
    def others_offset(self) -> np.ndarray:
        """The offset that spreads the others' answers evenly."""
        return self._over_corpora(lambda logs: balance(np.concatenate(logs)))

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the others' logarithms: class means, covariance within and between speakers."""
        classes = len(self.labels)
        pooled = np.concatenate([logs for _, logs, _ in self.others])
        truth = np.concatenate([truth for _, _, truth in self.others])
        means = np.array([pooled[truth == c].mean(0) for c in range(classes)])
        residuals = [logs - means[truth] for _, logs, truth in self.others]
        within = np.cov(np.concatenate([r - r.mean(0) for r in residuals]).T)
        between = np.mean([np.outer(r.mean(0), r.mean(0)) for r in residuals], 0)
        return means, within + 0.05 * np.eye(classes), between

    def _over_corpora(self, value: Callable[[list[np.ndarray]], np.ndarray]) -> np.ndarray:
        corpora = sorted({corpus for corpus, _, _ in self.others})
        return np.mean([value([a for c, a, _ in self.others if c == k]) for k in corpora], 0)


# What is added to a speaker's logarithms, from those of the enrolled clips and the others'.
Method = Callable[[np.ndarray, Voice], np.ndarray]


def difference(strength: float, half_at: float) -> Method:
    """The speaker's mean taken to the others', by a weight that grows with the clips."""

    def method(enrolled: np.ndarray, voice: Voice) -> np.ndarray:
        weight = strength * len(enrolled) / (len(enrolled) + half_at)
        return weight * (voice.usual - enrolled.mean(0))

    return method


def prior(pseudo: float) -> Method:
    """Saerens, Latinne and Decaestecker (2002), with ``pseudo`` clips of every class beside."""

    def method(enrolled: np.ndarray, voice: Voice) -> np.ndarray:
        shares = np.full(enrolled.shape[1], 1 / enrolled.shape[1])
        likely = np.exp(enrolled)
        for _ in range(30):
            powers = likely * shares
            counts = (powers / powers.sum(1, keepdims=True)).sum(0) + pseudo
            shares = np.maximum(counts / counts.sum(), 1e-6)
        return np.log(shares)

    return method


def offset_by_class(freedom: float) -> Method:
    """One offset of the speaker's logarithms from the class means of others, classes unseen: EM."""

    def method(enrolled: np.ndarray, voice: Voice) -> np.ndarray:
        means, within, between = voice.spread
        held = np.linalg.inv(freedom * between + 0.02 * np.eye(len(means)))
        within = np.linalg.inv(within)
        offset = np.zeros(len(means))
        for _ in range(8):
            gap = enrolled[:, None] - offset - means
            likely = -0.5 * ((gap @ within) * gap).sum(-1)
            likely = np.exp(likely - likely.max(1, keepdims=True))
            likely /= likely.sum(1, keepdims=True)
            seen = within @ (enrolled - likely @ means).sum(0)
            offset = np.linalg.solve(held + len(enrolled) * within, seen)
        return -offset

    return method


METHODS: dict[str, Method] = {
    "(a) difference of mean logits, whole, half of it at 5 clips": difference(1, 5),
    "(a) difference of mean logits, half, half of it at 5 clips": difference(0.5, 5),
    "(a) difference of mean logits, whole, half of it at 20 clips": difference(1, 20),
    "(d) class shares by EM": prior(0),
    "(d) class shares by EM, 5 clips of each class beside": prior(5),
    "(e) offset from class means by EM": offset_by_class(1),
    "(e) offset from class means by EM, three times as free": offset_by_class(3),
    "(e) spread evenly, held back by 0.25": lambda e, _: balance(e, 0.25),
    "(e) spread evenly, held back by 1": lambda e, _: balance(e, 1),
    "(e) spread evenly, held back by 5": lambda e, _: balance(e, 5),
    "(e) " + CHOSEN: lambda e, _: lean(e),
    "no enrolment: the others' offset": lambda _, voice: voice.others_offset,
}
