"""Notices when a controller has settled too early, or on architectures that do hardly anything.

Published searches with shared weights often end so: all skip connections in NAS-Bench-201 (Dong & Yang 2020), or one
architecture proposed again and again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from archwright.loop import Trial

WINDOW = 40  # trials looked at
SETTLED = 0.05  # of the first entropy
EARLY = 0.6  # of the trials
WEIGHTLESS = ("identity", "none", "skip", "skip_connect")
MOSTLY = 0.8  # of the answers
LINKED, UNLINKED = 0.95, 0.02  # share of the links that are in


class Collapse:
    """Looks at trials as they are told; `see` gives a warning, each kind once."""

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self._first_entropy: float | None = None
        self._recent: deque[tuple[float, float, int, int]] = deque(maxlen=WINDOW)
        self._said: set[str] = set()

    def see(self, trial: Trial, figures: Mapping[str, float]) -> str | None:
        """What to warn of after this trial; `figures` are the controller's (`entropy`: of a decision, in nats)."""
        self._recent.append(_counts(trial.architecture.answers))
        if "entropy" in figures and self._first_entropy is None:
            self._first_entropy = figures["entropy"]
        for kind, words in self._signs(trial, figures):
            if kind not in self._said:
                self._said.add(kind)
                return f"warning: {words}"
        return None

    def _signs(self, trial: Trial, figures: Mapping[str, float]) -> list[tuple[str, str]]:
        signs: list[tuple[str, str]] = []
        done, entropy, first = trial.number + 1, figures.get("entropy"), self._first_entropy
        if entropy is not None and first and entropy < SETTLED * first and done < EARLY * self._trials:
            signs.append(
                (
                    "settled",
                    f"the controller has settled after {done} of {self._trials} trials (entropy {entropy:.3f} of "
                    f"{first:.3f}); a lower learning rate or a larger entropy_weight keeps it looking",
                )
            )
        if len(self._recent) < WINDOW:
            return signs
        weightless, linked, choices, links = (sum(column) for column in zip(*self._recent, strict=True))
        if choices and weightless / choices >= MOSTLY:
            signs.append(
                (
                    "weightless",
                    f"{weightless / choices:.0%} of the operations in the last {WINDOW} trials are identities: with "
                    "hardly trained shared weights they look best; more rounds of warmup help",
                )
            )
        if links and not UNLINKED < linked / links < LINKED:
            signs.append(
                (
                    "linked",
                    f"{linked / links:.0%} of the possible skip connections in the last {WINDOW} trials are in; a "
                    "skip_weight holds the controller to its skip_target",
                )
            )
        return signs


def _counts(answers: tuple[tuple[str, Any], ...]) -> tuple[float, float, int, int]:
    """Weightless operations, links that are in, operations, possible links."""
    weightless = linked = 0.0
    choices = links = 0
    outputs = 0
    for _, answer in answers:
        if isinstance(answer, tuple):
            linked += len(answer)
            links += outputs
            outputs += 1
        elif isinstance(answer, str) and "/" not in answer and not answer.isdecimal():  # no link
            weightless += answer in WEIGHTLESS
            choices += 1
    return weightless, linked, choices, links
