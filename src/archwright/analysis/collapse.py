"""Warns of a controller that settles too early, or on architectures that compute hardly anything.

Published searches with shared weights often end so: all skip connections in NAS-Bench-201 (Dong & Yang 2020), or one
architecture proposed again and again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from archwright.loop import Trial
from archwright.space import SKIPS, Architecture, Links, Space, decisions_of, operations_of

WINDOW = 40  # latest trials
SETTLED = 0.05  # share of the first entropy
EARLY = 0.6  # share of the trials
WEIGHTLESS = ("none", *SKIPS)
MOSTLY = 0.8  # share of the operations
LINKED, UNLINKED = 0.95, 0.02  # share of the links that are in
# Of the operations that a gradient search finds strongest: DARTS collapses to all of them in NAS-Bench-201.
SKIPPED = 0.5
BEGUN = 0.1  # share of the trials: before that the first, random weights decide what is strongest


class Collapse:
    """A watcher of a search of `trials` trials: `see` returns a warning, each kind once."""

    def __init__(self, trials: int, space: Space) -> None:
        self._trials, self._space = trials, space
        self._first_entropy: float | None = None
        self._entropy: float | None = None
        self._recent: deque[tuple[int, int, int, int]] = deque(maxlen=WINDOW)
        self._said: set[str] = set()
        self._skipping = 0  # trials in a row with too many skip connections

    def see(self, trial: Trial) -> str | None:
        """Return a warning after this trial, or None; the entropy in its figures is of a decision, in nats."""
        if trial.proposal.soft is not None:  # proposals change little by little, and nothing is drawn
            return self._skips(trial)
        self._recent.append(self._counts(trial.architecture))
        self._entropy = trial.figures.get("entropy", self._entropy)
        if self._first_entropy is None:
            self._first_entropy = self._entropy
        kind, words = next((sign for sign in self._signs(trial) if sign[0] not in self._said), ("", ""))
        self._said.add(kind)
        return f"warning: {words}" if words else None

    def _signs(self, trial: Trial) -> Iterator[tuple[str, str]]:
        done, entropy, first = trial.number + 1, self._entropy, self._first_entropy
        if entropy is not None and first and entropy < SETTLED * first and done < EARLY * self._trials:
            yield (
                "settled",
                f"the controller has settled after {done} of {self._trials} trials (entropy {entropy:.3f} of "
                f"{first:.3f}); a lower --controller.learning-rate or a larger --controller.entropy-weight keeps it "
                "looking",
            )
        if len(self._recent) < WINDOW:
            return
        weightless, linked, choices, links = (sum(column) for column in zip(*self._recent, strict=True))
        if choices and weightless / choices >= MOSTLY:
            yield (
                "weightless",
                f"{weightless / choices:.0%} of the operations in the last {WINDOW} trials are identities: with "
                "hardly trained shared weights they look best; more rounds of training before the first trial help "
                "(--warmup)",
            )
        if links and not UNLINKED < linked / links < LINKED:
            yield (
                "linked",
                f"{linked / links:.0%} of the possible skip connections in the last {WINDOW} trials are in; a "
                "larger --controller.skip-weight holds the controller to --controller.skip-target",
            )

    def _skips(self, trial: Trial) -> str | None:
        if trial.number < BEGUN * self._trials or "skips" in self._said:
            return None
        strongest = operations_of(self._space, trial.architecture)
        skips = sum(name in SKIPS for name in strongest)
        self._skipping = self._skipping + 1 if skips >= SKIPPED * max(1, len(strongest)) else 0
        if self._skipping < WINDOW:
            return None
        self._said.add("skips")
        return (
            f"warning: {skips} of the {len(strongest)} strongest operations are skip connections, which grow fastest "
            "while the others are hardly trained; beta-decay (--controller.beta-decay 50), partial channels "
            "(--space.partial 4) or fewer --trials hold them back"
        )

    def _counts(self, architecture: Architecture) -> tuple[int, int, int, int]:
        """Count weightless operations, links that are in, operations, and possible links."""
        weightless = linked = operations = links = 0
        space = self._space.for_architecture(architecture)
        for question in decisions_of(space, architecture):
            answer = architecture[question.name]
            if isinstance(question, Links):
                linked += len(answer) if isinstance(answer, tuple) else 0
                links += len(question.among)
            elif space.role(question) == "operation":
                weightless += answer in WEIGHTLESS
                operations += 1
        return weightless, linked, operations, links
