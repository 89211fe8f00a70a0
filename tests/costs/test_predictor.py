"""Costs predicted as sums over operations, which are the same whether a network is computed or only described."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from archwright.costs.network_costs import Costs
from archwright.costs.operations import Operation, Operations, operations
from archwright.costs.predictor import Predictor, agreement
from archwright.costs.target import Target
from archwright.export.program import Program
from archwright.nets.network import without_auxiliary
from archwright.space import Architecture, Space, Task, sample
from archwright.spaces import EnasMicro
from archwright.spaces.stages import Stages
from archwright.training.child import child_network
from archwright.training.measure import multiply_adds

TASK = Task(3, 16, 16, 10)
STAGES = Stages(widths=(8, 16, 24), blocks=(1, 2), most_stages=3, training=False)
MICRO = EnasMicro(nodes=2, repeats=1, filters=8).final(repeats=1, filters=8)


def build(space: Space, architecture: Architecture) -> Any:
    return without_auxiliary(child_network(space, architecture, TASK, 0))


def program(network: nn.Module, batch: int) -> Program:
    return Program(network, {"images": torch.rand(batch, 3, 16, 16)}, ("logits",), {})


def costs(space: Space, target: Target | None = None) -> Costs:
    work = partial(multiply_adds, shape=TASK)
    return Costs(partial(build, space), program, work, target or Target())


def price(one: Operation) -> float:
    """What an operation costs in these tests: something, more in wide convolutions, and less for each in large ones."""
    work = one.multiply_adds * (3 if "depthwise" in one.kind else 1 + 1 / math.log2(2 + one.weights))
    return 2000 + work + 0.5 * (one.read + one.written)


def kernel(side: int) -> str:
    """Return the form of a convolution: kernel, stride, padding, dilation, and padding of its output."""
    return f"({side}, {side}) [1, 1] [0, 0] [1, 1] [0, 0]"


def test_an_operation_says_what_it_computes() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3, groups=6, bias=False))
    network.extend([nn.Conv2d(6, 2, 1), nn.Flatten(), nn.Linear(2 * 16, 3)])
    assert operations(network, torch.zeros(2, 4, 8, 8)) == Counter(
        [
            Operation("convolution", 2 * 36 * 4 * 9 * 6, 2 * 4 * 64, 2 * 6 * 36, 4 * 9 * 6 + 6, kernel(3)),
            Operation("relu_", 0, 2 * 6 * 36, 2 * 6 * 36, 0),
            Operation("depthwise convolution", 2 * 16 * 9 * 6, 2 * 6 * 36, 2 * 6 * 16, 9 * 6, kernel(3)),
            Operation("convolution 1x1", 2 * 16 * 6 * 2, 2 * 6 * 16, 2 * 2 * 16, 6 * 2 + 2, kernel(1)),
            Operation("addmm", 2 * 32 * 3, 2 * 32, 2 * 3, 32 * 3 + 3),
        ]
    )


@pytest.mark.parametrize("space", [STAGES, MICRO])
def test_a_network_is_described_without_being_computed(space: Space) -> None:
    names = ["parameters", "multiply_adds", "peak_activation_bytes", "bytes"]
    for number in range(3):
        architecture, one = sample(space, (7, number)), costs(space, Target(batch=2))
        network = build(space, architecture).eval()
        described, seen = one.sketched(architecture, names)
        assert described == one.measured(network, names)
        assert seen == operations(network, torch.rand(2, 3, 16, 16))
        assert sum(op.multiply_adds * times for op, times in seen.items()) == 2 * multiply_adds(network, TASK)


@pytest.fixture(scope="module")
def networks() -> list[Operations]:
    return [costs(STAGES).sketched(sample(STAGES, number), ())[1] for number in range(100)]


def total(seen: Operations) -> dict[str, float]:
    return {"latency_ms": sum(times * price(one) for one, times in seen.items())}


def test_networks_that_were_held_back_are_predicted(networks: Sequence[Operations]) -> None:
    measured = [(seen, total(seen)) for seen in networks[:64]]
    found = agreement(measured)
    assert found["latency_ms"].spearman >= 0.95
    assert found["latency_ms"].error < 0.1
    assert found["latency_ms"].count == 16
    predictor = Predictor(measured)
    errors = [abs(predictor.of(one)["latency_ms"] / total(one)["latency_ms"] - 1) for one in networks[64:]]
    assert sorted(errors)[len(errors) // 2] < 0.05


def test_a_prediction_is_a_sum_over_operations(networks: Sequence[Operations]) -> None:
    predictor = Predictor([(seen, total(seen)) for seen in networks[:20]])
    one, other = networks[20:22]
    both = predictor.of(one + other)["latency_ms"]
    assert both == pytest.approx(predictor.of(one)["latency_ms"] + predictor.of(other)["latency_ms"])
