"""The costs of the networks of one run, each measured once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

import torch

from archwright.costs.activations import peak_activation_bytes
from archwright.costs.latency import latency
from archwright.costs.operations import Operations, operations
from archwright.costs.outline import Outlining
from archwright.costs.runtimes import runnable
from archwright.costs.target import Target
from archwright.errors import ChildFailure
from archwright.training.failures import any_failure
from archwright.training.measure import inference, parameters

if TYPE_CHECKING:
    from torch import Tensor

    from archwright.export.program import Program
    from archwright.space import Architecture

TIMED = ("latency_ms", "latency")
BOUNDS = ("latency_ms_low", "latency_ms_high")  # of the 95 % interval
LATENCY_SECONDS = 0.3
CALL = 1e5  # multiply-adds in the time that an operation takes to begin
FASTER = 2.0  # times as many multiply-adds in a second as any network measured: no network is thought to do more


class Facts(Protocol):
    """What keeps facts by their names: a run's store."""

    def get(self, name: str, default: Any = None) -> Any: ...

    def put(self, name: str, value: Any) -> None: ...


class Remembered(dict[str, Any]):
    """Facts in memory."""

    def put(self, name: str, value: Any) -> None:
        self[name] = value


class Costs:
    """Measures what architectures cost on a target.

    Args:
        build: returns the network of an architecture, as it is delivered.
        program: returns a network as a program whose example is a batch of so many.
        work: counts the multiply-adds of one evaluation.
        target: where networks will run.
        facts: where what was measured is kept, by `cost/ID`; a latency is measured once in a run.
    """

    def __init__(
        self,
        build: Callable[[Architecture], Any],
        program: Callable[[Any, int], Program],
        work: Callable[[Any], float],
        target: Target,
        facts: Facts | None = None,
    ) -> None:
        self._build, self._program, self._work, self.target = build, program, work, target
        self._facts, self._known = facts, dict[str, dict[str, float]]()
        self._fastest = 0.0  # multiply-adds in a millisecond

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_facts": None}  # a worker keeps what it measures to itself

    def of(self, architecture: Architecture, names: Collection[str]) -> dict[str, float]:
        """Return these costs of an architecture.

        Raises:
            ChildFailure: if its network cannot be built or run.
            MissingExtra: if the target's runtime is not installed.
        """
        key = f"cost/{architecture.id}"
        known = self._known.get(key) or (self._facts.get(key) if self._facts is not None else None) or {}
        if missing := [name for name in names if name not in known]:
            with any_failure():
                known = {**known, **(self._outlined(architecture, missing) or self._measured(architecture, missing))}
            if self._facts is not None:
                self._facts.put(key, known)
        self._known[key] = known
        if "latency_ms" in known:
            self._fastest = max(self._fastest, known.get("multiply_adds", 0.0) / known["latency_ms"])
        bounds = BOUNDS if "latency_ms" in names else ()
        return {name: known[name] for name in (*names, *bounds)}

    def least_latency(self, architecture: Architecture) -> float:
        """Return milliseconds that an architecture takes at least, by its multiply-adds: to know that costs little."""
        if not self._fastest:
            return 0.0
        return self.of(architecture, ["multiply_adds"])["multiply_adds"] / (FASTER * self._fastest)

    def _measured(self, architecture: Architecture, names: Collection[str]) -> dict[str, float]:
        counted = ["multiply_adds"] if {*TIMED} & {*names} else []
        return self.measured(self._build(architecture), {*names, *counted})

    @property
    def counted(self) -> set[str]:
        """The costs that need no memory for a network's numbers."""
        return {"parameters", "multiply_adds", "bytes"} - self.by_runtime

    @property
    def by_runtime(self) -> set[str]:
        """The costs that take the runtime to know them."""
        return {*TIMED, *(("bytes",) if self.target.runtime == "onnx" else ())}

    def _outlined(self, architecture: Architecture, names: Collection[str]) -> dict[str, float] | None:
        """Return costs of a network without memory for its weights, which is fast; None where it takes a real one."""
        if not {*names} <= self.counted:
            return None
        try:
            return self.measured(self._outline(architecture), names)
        except (RuntimeError, NotImplementedError):  # it looks at values
            return None

    def _outline(self, architecture: Architecture) -> Any:
        with torch.device("meta"), Outlining():  # type: ignore[no-untyped-call]
            return self._build(architecture)

    def sketched(self, architecture: Architecture, names: Collection[str]) -> tuple[dict[str, float], Operations]:
        """Return the costs among these that are not `by_runtime`, and the operations of one evaluation of a batch.

        Nothing is kept.

        Raises:
            ChildFailure: if its network cannot be built or run.
        """
        with any_failure():
            try:
                found, seen = self._sketch(self._outline(architecture), names)
            except (RuntimeError, NotImplementedError):  # it looks at values
                found, seen = self._sketch(self._build(architecture), names)
            if rest := {*names} - {*found} - self.by_runtime:
                found |= self.measured(self._build(architecture), rest)
        return found, seen

    def size(self, architecture: Architecture) -> float:
        """Return about how much a pass takes, in multiply-adds: to know that costs little. Infinite where it fails."""
        try:
            _, seen = self.sketched(architecture, ())
        except ChildFailure:
            return math.inf
        return float(sum(times * (CALL + one.multiply_adds) for one, times in seen.items()))

    def _sketch(self, network: Any, names: Collection[str]) -> tuple[dict[str, float], Operations]:
        found = self.measured(network, {*names} & self.counted)
        program = self._program(network, self.target.batch)
        with inference(network):
            return found, operations(program.network, *_inputs(program, network))

    def measured(self, network: Any, names: Collection[str]) -> dict[str, float]:
        """Measure these costs of a network; those that come with the latency are measured along."""
        found: dict[str, float] = {}
        with inference(network):
            if "parameters" in names:
                found["parameters"] = float(parameters(network))
            if "multiply_adds" in names:
                found["multiply_adds"] = float(self._work(network))
            if "bytes" in names and self.target.runtime != "onnx":
                found["bytes"] = float(weight_bytes(network))
            if not {*names} - {*found}:
                return found
            program = self._program(network, self.target.batch)
            if "peak_activation_bytes" in names:
                inputs = program.example.values()
                found["peak_activation_bytes"] = float(peak_activation_bytes(program.network, *inputs))
            if {*TIMED, "bytes"} & {*names} - {*found}:
                with runnable(program, self.target) as prepared:
                    if prepared.bytes is not None:
                        found["bytes"] = float(prepared.bytes)
                    measured = latency(prepared.run, self.target, seconds=LATENCY_SECONDS)
                found |= {"latency_ms": measured.milliseconds, "latency": measured.milliseconds / 1000}
                found |= dict(zip(BOUNDS, measured.interval, strict=True))
        return found


def _inputs(program: Program, network: Any) -> list[Tensor]:
    """Return the program's example where the network is."""
    first = next(network.parameters(), None)
    return [one if first is None else one.to(first.device) for one in program.example.values()]


def weight_bytes(network: Any) -> int:
    """Return the size of the file of the network's weights (safetensors): a header as JSON, and the numbers."""
    tensors = {id(value): (name, value) for name, value in network.state_dict(keep_vars=True).items()}
    header, end = {}, 0
    for name, value in sorted(tensors.values(), key=lambda item: (-item[1].element_size(), item[0])):
        begin, end = end, end + value.numel() * value.element_size()
        kind = ("BF" if value.dtype == torch.bfloat16 else str(value.dtype)[6].upper()) + str(8 * value.element_size())
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [begin, end]}
    return 8 + -(-len(json.dumps(header, separators=(",", ":"))) // 8) * 8 + end
