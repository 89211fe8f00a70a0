"""Exported files: they run without archwright, give the network's logits, and hold nothing of this machine."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch import nn

import archwright
from archwright.data.images import Preprocessing
from archwright.errors import ConfigError, MissingExtra
from archwright.export import ExportError, export
from archwright.space import Open, Task, sample
from archwright.spaces.enas_micro import EnasMicro

CLASSES = ("plain", "quo\"te's\\", '"""\nimport os\nos._exit(7)\n#', "zwölf 十二 \u202e\udc80", "x" * 300)
SPACE = EnasMicro(nodes=1, repeats=1, filters=4, statistics="running", auxiliary=False)
ARCHITECTURE = sample(SPACE, 3)

# Runs model.py with everything of archwright's and of its other dependencies out of reach.
ALONE = """
import importlib.abc, json, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("archwright", "safetensors", "jaxtyping", "PIL", "sklearn", "pyarrow", "rich"):
            raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Nothing())
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import torch, model
code = model.main()
images = torch.load(sys.argv[2])
names, probabilities = model.predict(images, batch=2)
torch.save([model.load()(images), probabilities, model.predict(images.float())[1]], sys.argv[2])
print(json.dumps([code, names, list(model.CLASSES), model.ARCHITECTURE]))
"""


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A child with weights of its own, and running statistics that are not the defaults."""
    torch.manual_seed(1)
    network = SPACE.network(Open.only(SPACE, ARCHITECTURE), Task(2, 7, 6, len(CLASSES)))
    with torch.no_grad():
        network.train()(torch.randn(8, 2, 7, 6))
        network.classify.weight *= 0.05  # probabilities that are not 0 and 1
    return network


@pytest.fixture(scope="module")
def exported(network, preprocessing, tmp_path_factory) -> dict[str, Path]:
    """The network's files, in both of the standard formats."""
    folder = tmp_path_factory.mktemp("exported") / "new" / "folder"
    return export(network, folder, classes=CLASSES, preprocessing=preprocessing, architecture=ARCHITECTURE)


def images_of(batch: int) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 2, 7, 6), generator=torch.Generator().manual_seed(batch)).to(torch.uint8)


@pytest.fixture
def logits_of(network, preprocessing):
    """The trained network's logits in evaluation mode."""

    def logits(images: torch.Tensor) -> torch.Tensor:
        network.eval()
        with torch.no_grad():
            return network(preprocessing(images))

    return logits


def test_export_leaves_its_files_and_nothing_else(exported, network):
    folder = exported["source"].parent
    assert {what: path.name for what, path in exported.items()} == {
        "source": "model.py",
        "weights": "model.safetensors",
        "pt2": "model.pt2",
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in exported.values())


def test_the_source_runs_without_archwright(exported, tmp_path, logits_of):
    images = images_of(5)
    exchange = tmp_path / "images.pt"
    torch.save(images, exchange)
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, str(exported["source"].parent), str(exchange)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr.decode()
    *described, answer = done.stdout.decode().splitlines()
    assert any("self-check  passed" in line for line in described)
    code, names, classes, architecture = json.loads(answer)
    assert code == 0
    assert tuple(classes) == CLASSES
    assert architecture == ARCHITECTURE.to_json()
    logits, probabilities, of_floats = torch.load(exchange)
    expected = logits_of(images)
    assert (logits - expected).abs().max() <= 1e-5
    assert names == [CLASSES[i] for i in expected.argmax(1).tolist()]
    assert (probabilities - expected.softmax(1)).abs().max() <= 1e-6
    assert (probabilities - of_floats).abs().max() <= 1e-6


def test_the_source_imports_torch_and_the_standard_library_alone(exported):
    tree = ast.parse(exported["source"].read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"torch"}


def test_the_source_is_tidy(exported):
    text = exported["source"].read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert f"Written by archwright {archwright.__version__}; the architecture, {ARCHITECTURE.id}" in text
    ruff = shutil.which("ruff", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if ruff is not None:
        command = [ruff, "check", "--isolated", "--no-cache", str(exported["source"])]
        assert subprocess.run(command, capture_output=True, check=False).stdout == b"All checks passed!\n"


def test_a_changed_weight_is_noticed(exported, tmp_path):
    spec = importlib.util.spec_from_file_location("changed_model", exported["source"])
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    exec(compile(exported["source"].read_text(encoding="utf-8"), "model.py", "exec"), model.__dict__)
    data = bytearray(exported["weights"].read_bytes())
    data[-4 * 20 :] = bytes(4 * 20)
    (tmp_path / "model.safetensors").write_bytes(data)
    assert model.largest_difference(model.load(exported["weights"])) < 1e-6
    assert model.largest_difference(model.load(tmp_path / "model.safetensors")) > 1e-3
    with pytest.raises(ValueError, match=r"\(3, 2, 7, 5\)"):
        model.predict(torch.zeros(3, 2, 7, 5))


def test_the_source_refuses_images_in_other_units(exported):
    space: dict[str, Any] = {"__file__": str(exported["source"]), "__name__": "model"}
    exec(compile(exported["source"].read_text(encoding="utf-8"), "model.py", "exec"), space)
    assert space["PIXELS"] == (0.0, 255.0)
    for value in (4095.0, -300.0, float("nan")):
        with pytest.raises(ValueError, match=r"and in training they were 0 to 255; bring them to that range"):
            space["predict"](torch.full((3, 2, 7, 6), value))
    with pytest.warns(UserWarning, match=r"^values are 0 to 1, .*: are they in other units\?"):
        space["predict"](torch.arange(2.0).view(1, 2, 1, 1).expand(3, 2, 7, 6))


def test_a_network_of_an_earlier_version_is_exported_without_a_range(network, tmp_path):
    preprocessing = Preprocessing((120.0, 100.0), (60.0, 0.0), channels=2, height=7, width=6)
    files = export(
        network, tmp_path, classes=CLASSES, preprocessing=preprocessing, architecture=None, formats=["source"]
    )
    space: dict[str, Any] = {"__file__": str(files["source"]), "__name__": "model"}
    exec(compile(files["source"].read_text(encoding="utf-8"), "model.py", "exec"), space)
    assert space["PIXELS"] == ()
    space["predict"](torch.full((3, 2, 7, 6), 4095.0))


def test_the_weights_carry_the_names_of_the_source(exported):
    with safe_open(exported["weights"], "pt") as stored:
        names, about = set(stored.keys()), stored.metadata()
    space: dict[str, object] = {"__file__": "model.py", "__name__": "model"}
    exec(compile(exported["source"].read_text(encoding="utf-8"), "model.py", "exec"), space)
    model: nn.Module = space["Model"]()  # type: ignore[operator]
    assert names == set(model.state_dict())
    assert about["architecture"] == ARCHITECTURE.id


def test_the_program_gives_the_same_logits(exported, logits_of):
    notes = {"archwright.json": ""}
    program = torch.export.load(exported["pt2"], extra_files=notes).module()
    with torch.no_grad():
        for batch in (1, 2, 5):
            images = images_of(batch)
            for given in (images, images.float()):
                assert (program(given) - logits_of(images)).abs().max() <= 1e-5
    about = json.loads(notes["archwright.json"])
    assert tuple(about["classes"]) == CLASSES
    assert about["architecture"] == ARCHITECTURE.to_json()
    assert about["preprocessing"]["mean"] == [120.0, 100.0]


def contents(path: Path) -> bytes:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return path.read_bytes()


def places() -> list[bytes]:
    return [os.fsencode(place) for place in (Path.cwd(), Path.home(), sys.prefix, Path(archwright.__file__).parent)]


def test_no_path_of_this_machine_is_inside(exported):
    for path in exported.values():
        inside = contents(path)
        assert not [place for place in (*places(), os.fsencode(path.parent)) if place in inside], path.name


def test_equal_networks_make_equal_files(exported, network, preprocessing, tmp_path):
    mode = network.training
    network.train()
    options = {"classes": CLASSES, "preprocessing": preprocessing, "architecture": ARCHITECTURE}
    again = export(network, tmp_path, formats=("source",), **options)
    assert network.training
    network.train(mode)
    assert set(again) == {"source", "weights"}
    for what in again:
        assert again[what].read_bytes() == exported[what].read_bytes()
    export(network, tmp_path, formats=("source",), name="Digits", **options)  # our own file may be replaced
    assert "class Digits(nn.Module)" in again["source"].read_text(encoding="utf-8")
    assert "Model" not in again["source"].read_text(encoding="utf-8")


def test_another_file_is_not_overwritten(network, preprocessing, tmp_path):
    (tmp_path / "model.py").write_text("precious = True\n")
    with pytest.raises(ConfigError, match=r"model\.py"):
        export(network, tmp_path, classes=CLASSES, preprocessing=preprocessing, architecture=None)
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"formats": ("keras",)}, ConfigError, "keras"),
        ({"formats": ()}, ConfigError, "there are source, pt2"),
        ({"name": "class"}, ConfigError, "'class'"),
        ({"name": "load"}, ConfigError, "'load'"),
        ({"classes": ("a", "b")}, ExportError, "2 classes"),
    ],
)
def test_wrong_arguments_are_told(network, preprocessing, tmp_path, changes, error, message):
    options = {"classes": CLASSES, "preprocessing": preprocessing, "architecture": None, **changes}
    with pytest.raises(error, match=message):
        export(network, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_batch_statistics_are_refused(preprocessing, tmp_path):
    norm = nn.BatchNorm2d(2, track_running_stats=False)
    network = nn.Sequential(norm, nn.Flatten(), nn.Linear(84, 2))
    with pytest.raises(ExportError, match="statistics"):
        export(network, tmp_path, classes=("a", "b"), preprocessing=preprocessing, architecture=None)


def test_a_network_that_diverged_is_refused(preprocessing, tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(84, 2))
    network[1].weight.data.fill_(float("nan"))
    with pytest.raises(ExportError, match="finite"):
        export(network, tmp_path, classes=("a", "b"), preprocessing=preprocessing, architecture=None)


class Overwrites(nn.Module):
    """Reads a value that an in-place function has changed: the written form, which changes nothing, differs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(x) + 1
        return self.fc((y.mul_(2) + y).mean((2, 3)))


def test_nothing_is_kept_that_gives_other_logits(preprocessing, tmp_path):
    with pytest.raises(ExportError, match="differ"):
        export(Overwrites(), tmp_path, classes=("a", "b"), preprocessing=preprocessing, architecture=None)
    assert list(tmp_path.iterdir()) == []


def test_onnx_needs_its_extra(network, preprocessing, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'archwright\[onnx\]'"):
        export(network, tmp_path, classes=CLASSES, preprocessing=preprocessing, architecture=None, formats=("onnx",))
    assert list(tmp_path.iterdir()) == []


def test_onnx_gives_the_same_logits(preprocessing, tmp_path, settle):
    pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
    layers = (nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), pool, nn.Flatten(), nn.Linear(48, 5))
    network = settle(nn.Sequential(*layers))
    options = {"classes": CLASSES, "preprocessing": preprocessing, "architecture": ARCHITECTURE}
    path = export(network, tmp_path, formats=("onnx",), **options)["onnx"]
    assert not [place for place in (*places(), os.fsencode(tmp_path)) if place in path.read_bytes()]
    session = onnxruntime.InferenceSession(path)
    assert tuple(json.loads(session.get_modelmeta().custom_metadata_map["classes"])) == CLASSES
    for batch in (1, 5):
        images = images_of(batch)
        (logits,) = session.run(["logits"], {"images": images.float().numpy()})
        with torch.no_grad():
            expected = network(preprocessing(images))
        assert (torch.from_numpy(logits) - expected).abs().max() <= 1e-5
