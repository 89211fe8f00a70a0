"""The mixture computes what the official code's way computes: outputs, and gradients of weights and of alphas."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from archwright.space import Open, Task
from archwright.spaces.darts import Darts

FILE = Path(__file__).parents[2] / "benchmarks" / "darts_step.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("darts_step", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_mixture_is_the_official_network(benchmark: ModuleType, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    reference = benchmark.Reference(4, 5).double().train()
    space = Darts(filters=4, repeats=1)
    network = space.network(Open.mixture(space), Task(3, 8, 8, 10)).double().to(memory_format=layout)  # type: ignore[call-overload]
    theirs, ours = list(reference.parameters()), list(network.parameters())
    assert [p.shape for p in ours] == [p.shape for p in theirs]  # in the same order, too
    with torch.no_grad():
        for own, other in zip(ours, theirs, strict=True):
            own.copy_(other)
    x = torch.randn(6, 3, 8, 8, dtype=torch.float64).contiguous(memory_format=layout)
    alphas = {kind: torch.randn(14, 8, dtype=torch.float64).requires_grad_() for kind in ("normal", "reduction")}
    weights = {kind: alpha.softmax(1) for kind, alpha in alphas.items()}
    found = []
    for logits, parameters in (
        (reference(x, weights), theirs),
        (network(x, benchmark.edges_of(weights)), ours),
    ):
        loss = (logits * torch.linspace(-1, 1, 10, dtype=torch.float64)).sum()
        found.append([logits, *torch.autograd.grad(loss, [*alphas.values(), *parameters], retain_graph=True)])
    torch.testing.assert_close(found[1], found[0], rtol=1e-7, atol=1e-9)
