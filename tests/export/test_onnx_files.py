"""ONNX files, in float32 and 8 bits: any batch size, near the network, measured, and refused where they are not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import archwright
from archwright.__main__ import main
from archwright.data.images import ImageData
from archwright.errors import ConfigError
from archwright.export import ExportError, export
from archwright.export.onnx_runtime import int8, onnx_session
from archwright.export.program import Program, write_onnx
from archwright.modalities import modality
from archwright.modalities.images.model import TrainedModel
from archwright.modalities.text.model import TrainedLanguageModel
from archwright.space import Open, sample
from archwright.spaces import Recurrent, Stages
from small_images import noise_data
from small_text import text_data

SMALL = Stages(most_stages=2, widths=(8, 16), kinds=("residual",), halvings=("stride",), blocks=(1,), kernels=(3,))


@pytest.fixture(scope="module")
def data() -> ImageData:
    return noise_data(120)


@pytest.fixture(scope="module")
def trained(data, settle) -> TrainedModel:
    torch.manual_seed(0)
    architecture = sample(SMALL, 4)
    network = settle(SMALL.network(Open.only(SMALL, architecture), data.task))
    return TrainedModel(network, architecture, SMALL, data.classes, data.preprocessing)


@pytest.fixture(scope="module")
def files(trained, data, tmp_path_factory) -> dict[str, Path]:
    return trained.export(tmp_path_factory.mktemp("onnx"), formats=("onnx", "int8"), data=data)


def test_both_files_are_for_any_number_of_images(trained, files, data):
    assert {path.name for path in files["onnx"].parent.iterdir()} == {"model.onnx", "model.int8.onnx"}
    exact, rough = (onnx_session(files[what]) for what in ("onnx", "int8"))
    for batch in (1, 3, 32):
        images = data.train.x[:batch]
        expected = trained.logits(images)
        inputs = {"images": images.float().numpy()}
        assert (torch.from_numpy(exact(inputs)[0]) - expected).abs().max() <= 1e-5
        assert (torch.from_numpy(rough(inputs)[0]) - expected).abs().max() <= 0.25 * float(expected.std())
        assert exact.example(batch)["images"].shape == images.shape


def test_the_file_of_8_bits_is_smaller_and_says_what_it_is(trained, files):
    made = onnx.load(files["int8"])
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in made.graph.node}
    large = [tensor for tensor in made.graph.initializer if np.prod(tensor.dims) > 64]
    assert large
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.INT8}
    about = {prop.key: json.loads(prop.value) for prop in made.metadata_props}
    assert about["classes"] == list(trained.classes)
    assert about["architecture"] == trained.architecture.to_json()
    content = files["int8"].read_bytes()
    assert not [place for place in (Path.cwd(), files["int8"].parent, "/tmp") if str(place).encode() in content]


def test_a_file_is_tested_as_its_network_is(trained, files, data):
    judge = modality(data)
    record = trained.tested(onnx_session(files["onnx"]), data)
    assert record == judge.test(trained.network, None, "cpu", part="validation")


def test_what_8_bits_need_is_told(trained, data, tmp_path):
    with pytest.raises(ConfigError, match="calibrated on training data"):
        trained.export(tmp_path / "out", formats=("int8",))
    with pytest.raises(ConfigError, match="other classes"):
        trained.export(tmp_path / "out", formats=("int8",), data=replace(data, classes=("x", "y", "z")))
    other = replace(trained, classes=("0", "1"))
    with pytest.raises(ConfigError, match="1x8x8 images of 2 classes, and arrays in memory has 1x8x8 images of 3"):
        other.tested(None, data)
    assert not (tmp_path / "out").exists()


def test_8_bits_that_are_far_off_are_not_kept(preprocessing, tmp_path):
    images = np.random.default_rng(0).uniform(100, 200, (32, 2, 7, 6)).astype(np.float32)
    options: dict[str, Any] = {"classes": ("a", "b"), "preprocessing": preprocessing, "architecture": None}
    network = nn.Sequential(nn.AvgPool2d((7, 6)), Shifted())
    with pytest.raises(ExportError, match=r"cannot be quantised; nothing was kept"):
        export(network, tmp_path, formats=("onnx", "int8"), calibration=lambda _: [{"images": images}], **options)
    assert list(tmp_path.iterdir()) == []


class Shifted(nn.Module):
    """Adds a large number and takes it away again, which 8 bits between do not survive."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        for layer in (self.first, self.second):
            layer.weight.data = torch.eye(2)[:, :, None, None].clone()
        self.first.bias.data.fill_(1e4)
        self.second.bias.data.fill_(-1e4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)).flatten(1)


def test_an_untrained_network_is_written_and_quantised(tmp_path):
    """What a search measures: the plain network, preprocessed images in, logits out."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    images = torch.randn(4, 3, 8, 8)
    write_onnx(Program(network, {"images": images}, ("logits",), {}), tmp_path / "a.onnx")
    int8(tmp_path / "a.onnx", tmp_path / "b.onnx", [{"images": images.numpy()}])
    (exact,), (rough,) = (onnx_session(tmp_path / name)({"images": images.numpy()}) for name in ("a.onnx", "b.onnx"))
    assert 0 < np.abs(exact - rough).max() < 0.2 * exact.std()


def test_a_language_model_steps_in_8_bits(tmp_path):
    space = Recurrent(cells=("lstm",), widths=(16,), depths=(1,), remembers=4)
    data = text_data()
    torch.manual_seed(0)
    network = space.network(Open.only(space, sample(space, 1)), data.task).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.5)
        network.memory.share.fill_(0.3)
        network.memory.sharpness.fill_(0.5)
    model = TrainedLanguageModel(network, sample(space, 1), space, data.vocabulary, data.level)
    files = model.export(tmp_path, formats=("onnx", "int8"), data=data)
    exact, rough = (model.tested(onnx_session(files[what]), data) for what in ("onnx", "int8"))
    assert exact["perplexity"] == pytest.approx(
        modality(data).test(network, space_recipe(), "cpu", part="validation")["perplexity"], rel=1e-4
    )
    assert rough["perplexity"] == pytest.approx(exact["perplexity"], rel=0.1)
    assert rough["perplexity"] != exact["perplexity"]
    states = onnx_session(files["int8"]).example(3)
    assert states["tokens"].shape == (3,)
    with pytest.raises(ConfigError, match="the model knows 6 words, and counting has 5 words, not the same"):
        model.tested(onnx_session(files["onnx"]), text_data(vocabulary=5))


def space_recipe() -> Any:
    from archwright.training.recipe import Recipe

    return Recipe(length=35)


def test_the_command_reports_size_latency_and_accuracy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = rng.integers(0, 90, (160, 8, 8), dtype=np.uint8)
    x[:, 2] += (y * 150).astype(np.uint8)[:, None]
    np.savez("rows.npz", x=x, y=y)
    (tmp_path / "a.json").write_text(json.dumps(sample(SMALL, 4).to_json()))
    train = ["train", "a.json", "--data", "rows.npz", "--epochs", "3", "--device", "cpu", "--to", "model"]
    assert main(train) == 0
    assert main(["export", "model", "--int8"]) == 2
    assert "--data says where it is" in capsys.readouterr().err
    words = ["export", "model", "--format", "onnx", "--int8", "--data", "rows.npz", "--batch", "2"]
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = result["figures"]
    assert set(figures) == {"onnx", "int8"}
    for what in figures:
        assert figures[what]["bytes"] == Path(result[what]).stat().st_size
        low, high = figures[what]["latency_interval_ms"]
        assert 0 < low <= figures[what]["latency_ms"] <= high
        assert figures[what]["validation_accuracy"] > 0.7
    assert figures["int8"]["difference_interval"][0] <= figures["int8"]["difference"]
    assert main(["export", "model", "--formats", "source"]) == 0
    source, weights = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"source   model/export/model\.py  [\d.]+ kB", source)
    assert re.fullmatch(r"weights  model/export/model\.safetensors  [\d.]+ kB", weights)
    assert main(["export", "model", "--batch", "0"]) == 2
    assert main(["export", "model", "--format", "tflite"]) == 2
    assert "there are source, pt2, onnx, int8" in capsys.readouterr().err


def test_a_search_in_8_bits_is_exported_in_8_bits_and_measured_as_it_was_asked(tmp_path, capsys):
    run = archwright.search(
        "digits",
        space=Stages(widths=(8,), blocks=(1,), most_stages=1, training=False),
        data_options={"limit": 100},
        final_recipe={"epochs": 0.5, "batch": 32},
        trials=2,
        device="cpu",
        threads=1,
        pareto="accuracy,latency_ms",
        target={"runtime": "onnx", "precision": "int8", "batch": 3},
        run=tmp_path / "run",
    )
    assert main(["export", str(run.folder), "--format", "onnx"]) == 0
    float32, eighth, *_ = capsys.readouterr().out.splitlines()
    assert float32.endswith("ONNX Runtime, float32, 1 thread, batch 3")
    assert eighth.endswith("ONNX Runtime, int8, 1 thread, batch 3")
    assert main(["export", str(run.folder), "--format", "onnx", "--batch", "1", "--to", str(tmp_path / "one")]) == 0
    assert "int8, 1 thread, batch 1" in capsys.readouterr().out
