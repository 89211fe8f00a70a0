"""What the networks of a search cost, measured or predicted, and limits on it that hold before anything is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from archwright.costs.network_costs import TIMED
from archwright.costs.predictor import Agreement, Predictor, agreement
from archwright.costs.runtimes import require_runtime
from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.expression import Expression
from archwright.loop import Progress
from archwright.space import sample

if TYPE_CHECKING:
    from archwright.costs.network_costs import Costs
    from archwright.costs.operations import Operations
    from archwright.evaluators.aims import Limit
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture

TRIED = 200  # random architectures, before a plan says that none is within its limits
PATIENCE, FEWEST = 10.0, 3  # seconds for that, and networks at least
LEARNED = 64  # architectures that are measured for a prediction
STREAM, PREDICTED = 98, 97  # random streams
COUNTED = ("parameters", "multiply_adds")  # of a network without memory for its weights
TINY = 1e-300
Read: TypeAlias = "Callable[[Architecture, Collection[str]], Mapping[str, float]]"


class Exact:
    """Costs of final training's networks, each measured once."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._aims, self._costs = plan.search.aims, costs

    def prepare(self) -> Iterator[Progress]:
        return iter(())

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return self._costs.of(architecture, self._aims.costs)

    def limited(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the costs that are limited, which may be fewer."""
        return self._costs.of(architecture, [limit.cost for limit in self._aims.limits])

    def admits(self, architecture: Architecture) -> bool:
        return self.excess(architecture) <= 1

    def excess(self, architecture: Architecture) -> float:
        """Return how many times its limit a cost is, the most of all; infinite where the network cannot be built.

        What is counted comes before what is measured, and the first above its limit is enough.
        """
        limits = self._aims.limits
        counted = [limit for limit in limits if limit.cost in COUNTED]
        measured = [limit for limit in limits if limit not in counted]
        try:
            most = self._times(counted, architecture, self._costs.of)
            for own in (self._least, self._costs.of):
                if most <= 1:
                    most = max(most, self._times(measured, architecture, own))
        except ChildFailure:
            return math.inf
        return most

    def _times(self, limits: Sequence[Limit], architecture: Architecture, costs: Read) -> float:
        found = costs(architecture, [limit.cost for limit in limits]) if limits else {}
        return max((found[limit.cost] / max(limit.value, TINY) for limit in limits), default=0.0)

    def _least(self, architecture: Architecture, names: Collection[str]) -> dict[str, float]:
        """Return the least that costs can be, without measuring them."""
        least = self._costs.least_latency(architecture) if {*TIMED} & {*names} else 0.0
        return {name: {"latency_ms": least, "latency": least / 1000}.get(name, 0.0) for name in names}


class Predicted:
    """Costs of networks that are not built. What takes the runtime to know is predicted from `LEARNED` random
    architectures, which are measured first."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._aims, self._costs, self._space, self._seed = plan.search.aims, costs, plan.search.space, plan.seed
        self._timed = [name for name in self._aims.costs if name in costs.by_runtime]
        self._predictor: Predictor | None = None

    def prepare(self) -> Iterator[Progress]:
        if self._predictor is not None or not self._timed:
            return
        self._measured: list[tuple[Operations, Mapping[str, float]]] = []
        for number in range(LEARNED):
            architecture = sample(self._space, (self._seed, PREDICTED, number))
            with suppress(ChildFailure):
                found = self._costs.of(architecture, self._aims.costs)
                _, operations = self._costs.sketched(architecture, ())
                self._measured.append((operations, {name: found[name] for name in self._timed}))
            yield Progress("costs", number + 1, LEARNED)
        self._predictor = Predictor(self._measured)

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        for _ in self.prepare():
            pass
        found, operations = self._costs.sketched(architecture, self._aims.costs)
        return found if self._predictor is None else {**found, **self._predictor.of(operations)}

    def admits(self, architecture: Architecture) -> bool:
        try:
            self._aims.admit(self(architecture))
        except ChildFailure:
            return False
        return True

    def agreement(self) -> dict[str, Agreement]:
        """Return how well networks are predicted that were held back."""
        for _ in self.prepare():
            pass
        return agreement(self._measured) if self._timed else {}


def source(plan: Plan, costs: Costs) -> Exact | Predicted:
    """Return where the costs that the method of a search reads come from."""
    return Predicted(plan, costs) if plan.search.method.predicts else Exact(plan, costs)


def check(plan: Plan, modality: Modality, costs: Costs) -> None:
    """Raise `ConfigError` where an aim reads what nothing measures, or where no architecture is within the limits.

    So does a runtime that reads a cost and does not work here (`MissingExtra` where it is not installed).
    """
    aims, metric, exact = plan.search.aims, modality.metric, Exact(plan, costs)
    if not aims.plain or isinstance(aims.objective, Expression):
        aims.require_measured((f"validation_{metric}", f"best_validation_{metric}", "validation_loss"))
    if {*TIMED, "bytes"} & {*aims.costs}:
        require_runtime(plan.target)
    known = list(plan.search.method.known(plan.search).values())
    if not aims.limits or any(map(exact.admits, known)):
        return
    counted = all(limit.cost in COUNTED for limit in aims.limits)
    begun = time.monotonic()
    sizes: dict[Architecture, float] = {}
    for number in range(TRIED):
        if len(sizes) >= FEWEST and time.monotonic() - begun > (PATIENCE if counted else PATIENCE / 2):
            break
        one = sample(plan.search.space, (plan.seed, STREAM, number))
        if counted and exact.admits(one):
            return
        sizes[one] = 0.0 if counted else costs.size(one)
    # Few of them can be measured in the time there is: those that compute least.
    tried = sorted(sizes, key=sizes.__getitem__)
    least: dict[str, float] = {}
    for place, one in enumerate([*known, *tried]):
        if place >= len(known) + FEWEST and time.monotonic() - begun > PATIENCE:
            break
        if exact.admits(one):
            return
        with suppress(ChildFailure):
            least |= {name: min(value, least.get(name, value)) for name, value in exact.limited(one).items()}
    words = " and ".join(limit.words() for limit in aims.limits)
    best = ", ".join(f"{least[limit.cost]:,.6g} {limit.cost}" for limit in aims.limits if limit.cost in least)
    slow = plan.target.runtime == "eager" and any(limit.cost in TIMED for limit in aims.limits)
    raise ConfigError(
        f"none of {len(tried)} random networks of {plan.search.space.name} has {words}; the least have {best}"
        + "; small networks are faster in ONNX Runtime: --target.runtime onnx" * slow
    )
