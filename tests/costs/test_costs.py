"""What networks cost: counted, measured beside the reference network, and predicted."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from archwright.costs.activations import peak_activation_bytes
from archwright.costs.latency import Latency, latency, network_of_reference
from archwright.costs.network_costs import BOUNDS, Costs, weight_bytes
from archwright.costs.target import COSTS, Target
from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.aims import Aims, limit
from archwright.evaluators.objective import make_objective
from archwright.export.program import Program
from archwright.runs.costing import Exact
from archwright.space import Architecture, sample
from archwright.spaces import NasBench201
from archwright.testing.small_spaces import Static

IMAGE = torch.zeros(1, 3, 32, 32)


def test_twice_the_passes_take_twice_as_long() -> None:
    network = network_of_reference()
    once = latency(lambda: network(IMAGE), Target(), seconds=0.1)
    twice = latency(lambda: network(network(IMAGE)[:, :3]), Target(), seconds=0.1)
    assert once.milliseconds == pytest.approx(once.reference, rel=0.3)  # it is the reference network itself
    assert 1.4 < twice.milliseconds / once.milliseconds < 2.8
    for found in (once, twice):
        assert found.interval[0] <= found.milliseconds <= found.interval[1]
        assert found.rounds >= 15
        assert "PyTorch, float32, 1 thread, batch 1" in found.words()
    assert torch.is_grad_enabled()


def test_latency_is_plain_data() -> None:
    found = Latency(2.0, (1.9, 2.1), 15, 1.0, Target("onnx", "int8", 2, 8)).to_json()
    assert found["interval"] == [1.9, 2.1]
    assert found["target"] == {"runtime": "onnx", "precision": "int8", "threads": 2, "batch": 8}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"runtime": "tflite"}, "pick one of eager, compile, onnx"),
        ({"precision": "int4"}, "pick one of float32, int8"),
        ({"precision": "int8"}, "use --target.runtime onnx"),
        ({"threads": 0}, "at least 1"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_targets_that_cannot_be(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Target(**fields)


@given(width=st.integers(1, 6), side=st.integers(1, 9), batch=st.integers(1, 3))
def test_activations_at_once_are_those_of_an_operation(width: int, side: int, batch: int) -> None:
    one = 4 * batch * side * side  # bytes of a channel
    x = torch.zeros(batch, 1, side, side)
    wide = nn.Conv2d(1, width, 1)
    assert peak_activation_bytes(wide, x) == one * (1 + width)
    assert peak_activation_bytes(nn.Sequential(wide, nn.ReLU(inplace=True)), x) == one * (1 + width)
    assert peak_activation_bytes(nn.Sequential(wide, nn.ReLU()), x) == one * (1 + 2 * width)
    # The input is the caller's; what the first convolution gave is gone when the third runs.
    deep = nn.Sequential(wide, nn.Conv2d(width, width, 1), nn.Conv2d(width, 1, 1))
    assert peak_activation_bytes(deep, x) == one * (1 + 2 * width)


class Linears(Costs):
    """Costs of networks with one layer."""

    def __init__(self, facts: Any = None) -> None:
        self.built = 0
        super().__init__(self.build, program, lambda network: network.weight.numel(), Target(), facts)

    def build(self, architecture: Architecture) -> nn.Module:
        self.built += 1
        if architecture["first"] == 8:
            raise RuntimeError("no such network")
        return nn.Linear(4, int(str(architecture["second"])))


class Unsendable:
    """Facts in a file that only one process writes."""

    def get(self, name: str, default: Any = None) -> Any:
        return default

    def put(self, name: str, value: Any) -> None: ...

    def __reduce__(self) -> Any:
        raise TypeError("it stays here")


def program(network: nn.Module, batch: int) -> Program:
    return Program(network, {"x": torch.zeros(batch, 4)}, ("y",), {})


def test_costs_are_measured_once_and_kept() -> None:
    facts: dict[str, Any] = {}

    class Kept:
        get, put = staticmethod(facts.get), staticmethod(facts.__setitem__)

    costs = Linears(Kept)
    architecture = next(a for n in range(40) if (a := sample(Static(), n))["first"] != 8)
    outputs = int(str(architecture["second"]))
    counted = costs.of(architecture, ["parameters", "multiply_adds"])
    assert counted == {"parameters": 5 * outputs, "multiply_adds": 4 * outputs}
    everything = costs.of(architecture, list(COSTS))
    assert {*everything} == {*COSTS, *BOUNDS}
    assert everything["latency"] == everything["latency_ms"] / 1000
    assert everything["bytes"] == weight_bytes(nn.Linear(4, outputs)) > 20 * outputs
    assert costs.of(architecture, list(COSTS)) == everything
    assert Linears(Kept).of(architecture, list(COSTS)) == everything  # as a resumed run has it
    assert costs.built == 2
    with pytest.raises(ChildFailure, match="no such network"):
        costs.of(next(a for n in range(40) if (a := sample(Static(), n))["first"] == 8), ["parameters"])


def test_the_size_of_a_file_is_known_without_writing_it() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Linear(7, 2, dtype=torch.bfloat16))
    assert weight_bytes(network) == len(save(network.state_dict()))
    assert weight_bytes(network.to("meta")) == weight_bytes(network)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = weight_bytes(tied)
    tied[1].weight = tied[0].weight
    assert weight_bytes(tied) <= before - 36


def test_costs_go_to_other_processes() -> None:
    costs = Costs(nn.Identity, program, float, Target("eager", threads=2), facts=Unsendable())
    assert pickle.loads(pickle.dumps(costs)).target.threads == 2


def test_a_network_far_above_a_limit_is_refused_without_being_run() -> None:
    """One is measured; one of eight would have to be eight times as fast, and is thought to be two at most."""
    costs = Linears()
    by_size = {one["second"]: one for one in (sample(Static(), n) for n in range(60)) if one["first"] != 8}
    small, large = by_size[min(by_size)], by_size[max(by_size)]  # type: ignore[type-var]
    assert costs.least_latency(large) == 0.0  # nothing has been measured
    took = costs.of(small, ["latency_ms"])["latency_ms"]
    times = int(str(large["second"])) / int(str(small["second"]))
    assert costs.least_latency(large) == pytest.approx(times / 2 * took)
    space = NasBench201()
    plan: Any = SimpleNamespace(
        search=SimpleNamespace(aims=Aims(make_objective("accuracy", {}), (limit("latency=1"),)))
    )
    seen: list[tuple[str, ...]] = []

    class Slow(Costs):
        def of(self, architecture: Architecture, names: Collection[str]) -> dict[str, float]:
            seen.append(tuple(names))
            return dict.fromkeys(names, 0.5)

        def least_latency(self, architecture: Architecture) -> float:
            return 1000.5 if architecture == sample(space, 0) else 0.0

    exact = Exact(plan, Slow(nn.Identity, program, float, Target()))
    assert not exact.admits(sample(space, 0))
    assert not seen
    assert exact.admits(sample(space, 1))
    assert seen == [("latency",)]
