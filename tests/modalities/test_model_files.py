"""Model folders that are damaged, or lie about their sizes, are one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from archwright.data.images import Preprocessing
from archwright.errors import RunError
from archwright.modalities.images.model import TrainedModel
from archwright.space import Open, Task, sample
from archwright.spaces.nas_conv import NasConv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    space = NasConv(layers=2, first_layers=1)
    architecture = sample(space, 0)
    network = space.network(Open.only(space, architecture), Task(1, 4, 4, 2))
    preprocessing = Preprocessing((0.5,), (0.5,), 1, 4, 4, 1.0)
    TrainedModel(network, architecture, space, ("a", "b"), preprocessing).save(tmp_path)
    TrainedModel.load(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x * torch.nan, "values that are not finite"),
        (lambda x: x / 0 + torch.inf, "values that are not finite"),
        (lambda x: x.to(torch.int64), "is not of this network"),
        (lambda x: x.to(torch.bool), "is not of this network"),
        (lambda x: x[:0], "is not of this network"),
    ],
    ids=["nan", "infinite", "int64", "bool", "shape"],
)
def test_weights_are_finite_floats_of_the_networks_shapes(change: Any, said: str, folder: Path) -> None:
    path = folder / "weights.safetensors"
    weights = load(path.read_bytes())
    name = next(name for name, value in weights.items() if value.is_floating_point() and value.ndim)
    path.write_bytes(save({**weights, name: change(weights[name]).contiguous()}))
    with pytest.raises(RunError, match=said):
        TrainedModel.load(folder)


def test_weights_of_another_precision_are_floats_too(folder: Path) -> None:
    path = folder / "weights.safetensors"
    half = {n: v.to(torch.bfloat16) if v.is_floating_point() else v for n, v in load(path.read_bytes()).items()}
    path.write_bytes(save(half))
    assert {value.dtype for value in TrainedModel.load(folder).network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", "x"),
        ("layers", None),
        ("layers", 1.5),
        ("filter_counts", 3),
        ("filter_counts", [[[]]]),
        ("layers", {"a": 1}),
    ],
)
def test_a_space_with_absurd_or_senseless_fields_is_damaged(field: str, value: Any, folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    assert field in described["space"]
    described["space"][field] = value
    (folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(RunError, match="is damaged"):
        TrainedModel.load(folder)


def test_sizes_that_the_weights_do_not_have_take_no_memory(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    described["classes"] = ["x"] * 10_000_000  # 10 GB of weights
    described["preprocessing"] |= {"mean": [0.5] * 64, "std": [0.5] * 64, "channels": 64}
    (folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(RunError, match="do not fit the architecture"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"format":1,"space":' + b"[" * 100_000, b"\xff", b"", b"3"])
def test_what_is_no_description_is_damaged(content: bytes, folder: Path) -> None:
    (folder / "model.json").write_bytes(content)
    with pytest.raises(RunError, match="is damaged"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_pipe_is_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RunError, match="holds no trained model"):
        TrainedModel.load(folder)
