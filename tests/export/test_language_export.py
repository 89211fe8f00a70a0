"""Exported language models: they run without archwright, and read and write as the model does."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.errors import ConfigError
from archwright.export import ExportError
from archwright.modalities.text.model import TrainedLanguageModel
from archwright.nets.recurrent import SteppedCell
from archwright.space import Open, TextTask, sample
from archwright.spaces import DartsRecurrent, EnasRecurrent, NasRecurrent, Recurrent
from archwright.spaces.nas_recurrent import NAS_CELL
from archwright.training.perplexity import evaluate_perplexity

WORDS = ("<eos>", "the", "cat", '"""', "sat\\", "zwölf", "\udc80", "<unk>")
LETTERS = tuple("abcdef gh\n'")
TEXT = 'the cat sat\\\non the """ zwölf\n\n  dogs\n'
ALONE = """
import importlib.abc, json, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("archwright", "safetensors", "jaxtyping"):
            raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Nothing())
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1))
text = sys.argv.pop(1)
import model
code = model.main()
print(json.dumps([code, model.perplexity(text), model.write("the cat", 9, seed=3), model.ARCHITECTURE]))
"""
nas = st.builds(NasRecurrent, base=st.integers(2, 5), layers=st.integers(1, 2), units=st.just(5), tied=st.booleans())
enas = st.builds(
    EnasRecurrent,
    nodes=st.integers(2, 5),
    units=st.just(4),
    tied=st.booleans(),
    averaged=st.sampled_from(["loose", "all"]),
    normalised=st.just(False),
)

darts = st.builds(DartsRecurrent, nodes=st.integers(1, 4), units=st.just(4), normalised=st.just(False))
recurrent = st.builds(
    Recurrent,
    cells=st.sampled_from([("lstm",), ("gru",), ("tree",)]),
    widths=st.just((5,)),
    base=st.just(3),
    remembers=st.sampled_from([0, 4]),
)


class OfAUser(SteppedCell):
    states = 1

    def stepper(self, architecture: Any, mask: Any) -> Any:
        return lambda x, h, state: ((x + h @ self.hidden).tanh(),)


def trained(space: Any, seed: int, level: str = "words", architecture: Any = None) -> TrainedLanguageModel:
    """A model with weights that make a difference."""
    vocabulary = WORDS if level == "words" else LETTERS
    architecture = architecture or sample(space, seed)
    torch.manual_seed(seed)
    space = replace(space, init=0.5)
    network = space.network(Open.only(space, architecture), TextTask(len(vocabulary)))
    with torch.no_grad():
        network.classify.bias.uniform_(-1, 1)
        if network.memory is not None:
            network.memory.share.fill_(0.4)
            network.memory.sharpness.fill_(2.0)
    return TrainedLanguageModel(network.eval(), architecture, space, vocabulary, level)  # type: ignore[arg-type]


def loaded(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")  # type: ignore[attr-defined]
    module: ModuleType = importlib.util.module_from_spec(spec)  # type: ignore[attr-defined]
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nascell(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedLanguageModel, dict[str, Path]]:
    space = NasRecurrent(units=6)
    model = trained(space, 1, architecture=space.from_tokens(NAS_CELL))
    return model, model.export(tmp_path_factory.mktemp("nascell") / "out")


@settings(deadline=None, max_examples=15)
@given(st.one_of(nas, enas, darts, recurrent), st.integers(0, 2**32), st.sampled_from(["words", "characters"]))
def test_every_cell_reads_and_writes_as_it_did(
    tmp_path_factory: pytest.TempPathFactory, space: Any, seed: int, level: str
) -> None:
    model = trained(space, seed, level)
    folder = tmp_path_factory.mktemp("exported")
    model.export(folder, formats=("source",))
    exported = loaded(folder)
    text, prompt = (TEXT, "the cat") if level == "words" else ("a bad cab\nfed a 'hag'\n", "abc ")
    assert exported.perplexity(text) == pytest.approx(model.score(text).perplexity, rel=1e-4)
    assert exported.write(prompt, 12, seed=seed) == model.write(prompt, 12, seed=seed)
    network = exported.load()
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in model.network.parameters())


def test_the_files_run_without_archwright(nascell: tuple[TrainedLanguageModel, dict[str, Path]]) -> None:
    model, files = nascell
    assert {what: path.name for what, path in files.items()} == {
        "source": "model.py",
        "weights": "model.safetensors",
        "words": "vocabulary.json",
        "pt2": "model.pt2",
    }
    folder = files["source"].parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in files.values())
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, str(folder), TEXT, "the", "cat"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    *described, answer = done.stdout.decode().splitlines()
    assert any("self-check  passed" in line for line in described)
    code, perplexity, written, architecture = json.loads(answer)
    assert code == 0
    assert perplexity == pytest.approx(model.score(TEXT).perplexity, rel=1e-4)
    assert written == model.write("the cat", 9, seed=3)
    assert architecture == model.architecture.to_json()


def test_the_program_steps_through_a_text(nascell: tuple[TrainedLanguageModel, dict[str, Path]]) -> None:
    model, files = nascell
    notes = {"archwright.json": ""}
    step = torch.export.load(files["pt2"], extra_files=notes).module()
    assert tuple(json.loads(notes["archwright.json"])["vocabulary"]) == WORDS
    tokens = torch.randint(0, len(WORDS), (40,), generator=torch.Generator().manual_seed(0))
    for rows in (1, 3):
        columns = len(tokens) // rows
        read, states, losses = tokens[: rows * columns].view(rows, columns).t(), torch.zeros(rows, 4, 6), []
        for now, following in pairwise(read):
            logits, states = step(now, states)
            losses.append(torch.nn.functional.cross_entropy(logits, following, reduction="none"))
        expected = evaluate_perplexity(model.network, tokens, length=7, rows=rows)
        assert math.exp(float(torch.stack(losses).detach().mean())) == pytest.approx(expected.perplexity, rel=1e-4)


@pytest.mark.parametrize(("cell", "states"), [("lstm", 2), ("gru", 1)])
def test_cells_of_pytorch_are_written(cell: str, states: int, tmp_path: Path) -> None:
    space = Recurrent(cells=(cell,), widths=(5,), depths=(2,))
    model = trained(space, 1)
    files = model.export(tmp_path)
    tokens, network = torch.tensor([[1, 2], [3, 4]]), loaded(tmp_path).load()
    expected = model.network(tokens, model.network.start(2))[0]
    torch.testing.assert_close(network(tokens, network.start(2))[0], expected, rtol=1e-4, atol=1e-5)
    step, state = torch.export.load(files["pt2"]).module(), torch.zeros(2, 2 * states, 5)
    for row, logits in zip(tokens, expected, strict=True):
        made, state = step(row, state)
        torch.testing.assert_close(made, logits, rtol=1e-4, atol=1e-5)


def test_a_program_carries_what_it_remembers(tmp_path: Path) -> None:
    model = trained(Recurrent(cells=("lstm",), widths=(5,), depths=(2,), remembers=4), 1)
    files = model.export(tmp_path)
    tokens = torch.arange(24).view(12, 2) * 5 % len(WORDS)
    expected = model.network(tokens, model.network.start(2))[0]
    step = torch.export.load(files["pt2"]).module()
    states = torch.zeros(2, 4, 5), torch.zeros(2, 4, 5), torch.full((2, 4), -1)
    for row, logits in zip(tokens, expected, strict=True):
        made, *states = step(row, *states)
        torch.testing.assert_close(made, logits, rtol=1e-4, atol=1e-5)
    text = files["source"].read_text(encoding="utf-8")
    assert "class TextMemory" in text
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is not None:
        command = [ruff, "check", "--isolated", "--no-cache", str(files["source"])]
        assert subprocess.run(command, capture_output=True, check=False).stdout == b"All checks passed!\n"


def test_the_source_is_tidy(nascell: tuple[TrainedLanguageModel, dict[str, Path]]) -> None:
    text = nascell[1]["source"].read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert "TextMemory" not in text  # it remembers nothing
    assert "archwright" not in text.split('"""')[2]  # below the docstring
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is not None:
        command = [ruff, "check", "--isolated", "--no-cache", str(nascell[1]["source"])]
        assert subprocess.run(command, capture_output=True, check=False).stdout == b"All checks passed!\n"


def test_a_changed_weight_is_noticed(nascell: tuple[TrainedLanguageModel, dict[str, Path]], tmp_path: Path) -> None:
    exported = loaded(nascell[1]["source"].parent)
    data = bytearray(nascell[1]["weights"].read_bytes())
    data[-4 * 40 :] = bytes(4 * 40)
    (tmp_path / "model.safetensors").write_bytes(data)
    assert exported.largest_difference(exported.load()) < 1e-6
    assert exported.largest_difference(exported.load(tmp_path / "model.safetensors")) > 1e-3


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    model = trained(NasRecurrent(base=2, units=3), 0)
    with pytest.raises(ConfigError, match="here are source, pt2"):
        model.export(tmp_path, formats=("keras",))
    with pytest.raises(ExportError, match="over the batch"):
        trained(EnasRecurrent(nodes=2, units=3, normalised=True), 0).export(tmp_path)
    model.network.cells[0] = OfAUser(3, 3, 1)
    with pytest.raises(ExportError, match="OfAUser cannot be written"):
        model.export(tmp_path)
    model = trained(NasRecurrent(base=2, units=3), 0)
    with torch.no_grad():
        model.network.classify.bias.fill_(math.nan)
    with pytest.raises(ExportError, match="finite"):
        model.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_onnx_steps_through_a_text(tmp_path: Path) -> None:
    model = trained(NasRecurrent(base=2, units=3, layers=1), 0)
    session = onnxruntime.InferenceSession(model.export(tmp_path, formats=("onnx",))["onnx"])
    tokens, states = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.zeros(3, 2, 3).numpy()
    with torch.no_grad():
        expected, _ = model.network(tokens, model.network.start(3))
    for row, logits in zip(tokens, expected, strict=True):
        made, states = session.run(["logits", "next_states"], {"tokens": row.numpy(), "states": states})
        torch.testing.assert_close(torch.from_numpy(made), logits, rtol=1e-4, atol=1e-5)
