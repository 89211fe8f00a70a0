"""Networks on the runtimes of a target: files are written soon, networks are compiled, what is missing is said."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from archwright.costs import runtimes
from archwright.costs.runtimes import require_runtime, runnable
from archwright.costs.target import Target
from archwright.errors import ConfigError, MissingExtra
from archwright.export.program import Program
from archwright.nets.network import without_auxiliary
from archwright.space import Task
from archwright.spaces.stages import Stages
from archwright.training.child import child_network


class Layer(nn.Module):
    """A layer of some width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layer(x)
        return made


def program(network: nn.Module) -> Program:
    return Program(network.eval(), {"x": torch.zeros(1, 4)}, ("y",), {})


def test_every_network_of_a_class_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile gives up on code that it has compiled eight times, and runs it as it is."""
    compiled = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    for width in range(1, 12):
        with torch.inference_mode(), runnable(program(Layer(width)), Target("compile")) as made:
            made.run()
        assert len(compiled) == width


def test_a_runtime_that_does_not_work_here_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nin g++")

    monkeypatch.setattr(torch, "compile", broken)
    runtimes._require_compiler.cache_clear()
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler .*: No working C\+\+ compiler found$"):
        require_runtime(Target("compile"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'archwright\[onnx\]'"):
        require_runtime(Target("onnx"))
    require_runtime(Target())


def test_a_file_for_timing_is_written_soon_and_computes_the_same() -> None:
    pytest.importorskip("onnxruntime")
    space = Stages(training=False)
    network = child_network(space, space.known(0.1)["mobilenetv2"], Task(3, 32, 32, 10), 0)
    network = without_auxiliary(network).eval()
    images = torch.rand(1, 3, 32, 32)
    begun = time.process_time()
    with runnable(Program(network, {"images": images}, ("logits",), {}), Target("onnx")) as made:
        took = time.process_time() - begun
        logits: Any = made.run()
    assert took < 1.5  # by torch's newer exporter three seconds or more
    torch.testing.assert_close(torch.from_numpy(logits[0]), network(images), atol=1e-4, rtol=1e-4)
