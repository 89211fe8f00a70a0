"""What the README promises of safety, sentence by sentence: each has a test here, and each test its sentence."""

from __future__ import annotations

import ast
import hashlib
import json
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

import archwright
from archwright.cli.commands import dispatch
from archwright.data.sources import load as load_data
from archwright.errors import RunError
from archwright.modalities import modality
from archwright.modalities.images.modality import Images
from archwright.runs.candidates import Candidates
from archwright.runs.clock import Clock
from archwright.runs.folder import found_in, opened
from archwright.spaces.enas_micro import EnasMicro
from archwright.store import RunStore
from archwright.testing import SpaceContract
from archwright.testing.stores import proposal, trial
from spaces import test_enas_macro, test_enas_micro, test_enas_recurrent, test_nas_conv, test_nas_recurrent, test_nasnet

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PROMISES: list[str] = []
SMALL = ["--space", "enas-micro", "--space.nodes", "2", "--space.filters", "4", "--space.repeats", "1"]
SMALL += ["--trials", "4", "--trials-per-epoch", "2", "--samples", "2", "--warmup", "1", "--shortlist", "1"]
SMALL += ["--search-recipe.batch", "16", "--final-recipe.batch", "16", "--final-recipe.epochs", "2"]
SMALL += ["--final-space.repeats", "1", "--final-space.filters", "4", "--device", "cpu", "--threads", "1"]
SMALL += ["--seed", "3"]
EVIL = "\x1b[2Jcat\ndog|<b>`*_[x](y)"

Test = TypeVar("Test", bound=Callable[..., None])


def promise(sentence: str) -> Callable[[Test], Test]:
    """Say which sentence of the README a test holds it to."""
    PROMISES.append(sentence)
    return lambda test: test


def said(text: str) -> str:
    return " ".join(text.split())


def test_every_sentence_on_honesty_has_a_test_and_every_test_its_sentence() -> None:
    section = README.partition("## How it is kept honest\n")[2].partition("\n## ")[0]
    points = [said(point) for point in section.split("\n- ") if point.strip()]
    sentences = [sentence for point in points for sentence in re.split(r"(?<=\.) (?=[A-Z])", point.removeprefix("- "))]
    assert len(sentences) >= 11
    assert [sentence for sentence in sentences if sentence not in PROMISES] == []
    assert [sentence for sentence in PROMISES if sentence not in said(README)] == []


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the processes have that are killed: a run's bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on `data.npz`, and what the run printed; `other.npz` differs in its test part alone."""
    folder = tmp_path_factory.mktemp("promises")
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {"classes": np.array([EVIL, "bird"])}
    for part, count in (("train", 64), ("val", 24), ("test", 24)):
        y = np.arange(count) % 2
        parts |= {f"x_{part}": rng.integers(0, 99, (count, 8, 8), dtype=np.uint8), f"y_{part}": y}
        parts[f"x_{part}"][:, 2] += (y * 150).astype(np.uint8)[:, None]
    np.savez(folder / "data.npz", **parts)
    np.savez(folder / "other.npz", **{**parts, "x_test": 255 - parts["x_test"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed: list[str] = []
        with pytest.MonkeyPatch.context() as streams:
            for name in ("stdout", "stderr"):
                streams.setattr(sys, name, Recorded(printed))
            assert dispatch("search", [*SMALL, "--data", "data.npz", "--run", "run"]) == 0, printed
        Path("printed").write_text("".join(printed))
    return folder


class Recorded:
    """A stream that keeps what is written."""

    encoding = "utf-8"

    def __init__(self, kept: list[str]) -> None:
        self.write = kept.append

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


@pytest.fixture
def run(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, in the working folder."""
    shutil.copytree(work, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path("run")


def told(run: Path) -> list[tuple[int, str, float]]:
    with RunStore.reading(run) as store:
        return [(trial.number, trial.architecture.id, trial.reward) for trial in store.trials()]


def weights(run: Path) -> str:
    return hashlib.sha256((run / "model" / "weights.safetensors").read_bytes()).hexdigest()


def result_of(run: Path) -> Any:
    return json.loads((run / "result.json").read_text())


@promise("The test part of the data is used once, at the end.")
@promise("A run folder's `config.yaml` runs it again:")
def test_the_test_part_changes_nothing_but_the_one_test(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other test images: the same trials, the same weights to the bit, another figure."""
    parts, original = [], Images.test

    def counted(self: Images, network: Any, recipe: Any, device: str, part: str = "test") -> Any:
        parts.append(part)
        return original(self, network, recipe, device, part)

    monkeypatch.setattr(Images, "test", counted)
    assert dispatch("search", ["--config", "run/config.yaml", "--data", "other.npz", "--run", "other"]) == 0
    assert parts == ["test"]
    assert (told(Path("other")), weights(Path("other"))) == (told(run), weights(run))
    assert result_of(Path("other"))["test_accuracy"] != result_of(run)["test_accuracy"]


@promise("Train, validation and test are separate, and the split is stated.")
def test_no_image_is_in_two_parts_and_the_split_is_stated(run: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (90, 8, 8), dtype=np.uint8)
    parts = [{image.numpy().tobytes() for image in part.x} for part in load_data((x, np.arange(90) % 3)).parts.values()]
    assert all(len(part) > 10 for part in parts)
    assert sum(map(len, parts)) == len(set[bytes]().union(*parts)) == 90
    split = result_of(run)["split"]
    assert split in (run / "report.md").read_text()
    assert f"data: {split}" in Path("printed").read_text()


@promise(
    "Shared weights rank architectures; the delivered network is trained from scratch by the same code that built the "
    "shared network."
)
def test_the_delivered_network_is_what_its_architecture_gives_without_the_search(run: Path, tmp_path: Path) -> None:
    with opened(run) as (store, plan, data):
        key, architecture = store.get("found"), found_in(store)
    with RunStore(tmp_path / "scratch", create=True) as empty:
        candidates = Candidates(plan, modality(data), empty, Clock(plan, modality(data), empty))
        list(candidates.train(key, architecture, "final training", (0, 1)))
        scratch = candidates.network(key).state_dict()
    delivered = load((run / "model" / "weights.safetensors").read_bytes())
    assert delivered.keys() <= scratch.keys()
    assert all(torch.equal(value, scratch[name]) for name, value in delivered.items())


@promise("Tests hold both to give the same outputs bit for bit.")
def test_a_child_gives_the_outputs_of_the_shared_network() -> None:
    class Small(SpaceContract):
        def make(self) -> EnasMicro:
            return EnasMicro(nodes=2, repeats=1, filters=4)

    Small().test_a_child_is_its_supernet_with_the_rest_taken_away()


FIGURES = (
    "Published figures are tests: the ENAS micro architecture has 3,894,372 parameters here as there, NASNet-A "
    "5,289,978 and 88,753,150 with 564M and 23.8B multiply-adds, NAS's recurrent cell, read from its 34 tokens, is "
    "TensorFlow's NASCell, the spaces have the published sizes."
)


@promise(FIGURES)
def test_published_figures_are_met() -> None:
    test_enas_micro.test_the_published_architecture_has_the_published_size(True, 3_894_372)
    sizes = test_nasnet.test_nasnet_a_has_the_published_size
    sizes("nasnet-a-mobile", 5_289_978, 2_411_240, 564e6)
    sizes("nasnet-a-large", 88_753_150, 4_567_784, 23.8e9)
    test_nas_recurrent.test_the_published_cell_is_tensorflows_nascell.hypothesis.inner_test(0)
    test_enas_micro.test_the_space_has_as_many_answer_lists_as_its_docstring_says()
    test_enas_macro.test_the_space_has_the_published_size()
    test_enas_recurrent.test_the_space_has_the_published_size_but_for_the_input_that_node_1_has_not()
    test_nas_conv.test_the_space_has_the_published_number_of_architectures(15)
    test_nas_recurrent.test_the_space_has_the_published_number_of_cells()
    test_nasnet.test_counts_every_answer(5)


# Ends its own process at the first call of a method of the store, with these words behind `self`.
KILLED = """
import os, signal, sys
from archwright.__main__ import main
from archwright.store import RunStore
name, first = sys.argv[1:3]
method = getattr(RunStore, name)
def killed(self, *words):
    method(self, *words)
    if first in ("", words[0]):
        os.kill(os.getpid(), signal.SIGKILL)
setattr(RunStore, name, killed)
sys.exit(main(sys.argv[3:]))
"""


@promise(
    "With a seed and a counted budget a run is reproducible on one machine, and a run that is killed and resumed ends "
    "with the same trials and the same weights."
)
@promise(
    "Tests kill real processes to show it, and `benchmarks/kills.py` did so 109 times, at random moments, without a "
    "difference."
)
@promise("go on after Ctrl-C, a crash or kill -9, to the same end")
def test_a_run_that_is_killed_twice_ends_as_the_one_that_was_not(run: Path) -> None:
    """In the search, after its first trial, and in final training, after an epoch."""
    killed = Path("killed")
    for name, first, words in (
        ("told", "", ["search", *SMALL, "--data", "data.npz", "--run", "killed"]),
        ("save", "training", ["resume", "killed"]),
    ):
        command = [sys.executable, "-c", KILLED, name, first, *words]
        process = subprocess.run(command, capture_output=True, check=False)
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert not (killed / "result.json").exists()
    assert len(told(killed)) == 4
    assert dispatch("resume", ["killed"]) == 0
    assert (told(killed), weights(killed)) == (told(run), weights(run))
    assert result_of(killed)["test_accuracy"] == result_of(run)["test_accuracy"]


class Pwned:
    """A pickle that leaves a file when it is loaded."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("pwned"),)


CODE = pickle.dumps(Pwned())


@promise("Loading a run folder or a model never runs code: weights are safetensors, the rest is JSON and SQLite.")
def test_a_pickle_in_the_place_of_any_file_is_never_loaded(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [path for path in run.rglob("*") if path.is_file() and path.stat().st_size]
    kinds = {path.suffix for path in files}
    assert kinds - {""} == {".json", ".sqlite", ".safetensors", ".yaml", ".md", ".html", ".png", ".svg"}, kinds
    assert [path.name for path in files if not path.suffix] in ([], ["lock"])
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, lambda *_, **__: pytest.fail("something is unpickled"))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load is called"))
    commands = [["show", "run", "--no-pictures"], ["predict", "run", "x.png"], ["resume", "run"], ["list", "."]]
    commands += [["report", "run"], ["compare", "run", "--no-pictures"], ["export", "run", "--formats", "source"]]
    configured = ["search", "--config", "run/config.yaml", "--dry-run"]
    assert archwright.load(run).model
    for path in [path for path in files if path.suffix in (".json", ".sqlite", ".safetensors", ".yaml")]:
        content = path.read_bytes()
        path.write_bytes(CODE)
        for words in [configured] if path.name == "config.yaml" else commands:
            assert dispatch(words[0], words[1:]) in (0, 2)
            assert "is unpickled" not in capsys.readouterr().err
        path.write_bytes(content)
        assert not Path("pwned").exists()


def flipped(path: Path, at: int) -> None:
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@promise(
    "Facts, trials and states have digests: what a disk has changed is an error that names the file, not another "
    "result."
)
@pytest.mark.parametrize("what", ["fact", "trial", "state"])
def test_a_flipped_bit_is_an_error_that_names_the_file(what: str, tmp_path: Path) -> None:
    with RunStore(tmp_path / "run", create=True) as store:
        store.proposed([(0, proposal(0))], 1)
        store.told([trial(0, 0.640625)], None)
        store.put("fact", "some words")
        store.save("net", {"weights": np.arange(30.0)})
    database = tmp_path / "run" / "run.sqlite"
    [checkpoint] = (tmp_path / "run" / "checkpoints").iterdir()
    sought = {"fact": b"some words", "trial": struct.pack(">d", 0.640625)}
    file = checkpoint if what == "state" else database
    at = file.stat().st_size - 5 if what == "state" else file.read_bytes().index(sought[what]) + 6
    flipped(file, at)
    with RunStore(tmp_path / "run") as store, pytest.raises(RunError, match=re.escape(str(file))):
        {"fact": lambda: store.get("fact"), "trial": store.load, "state": lambda: store.restore("net")}[what]()


@promise("Weights that are not finite floats of the network's shapes are refused.")
def test_weights_of_another_kind_or_shape_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "model" / "weights.safetensors"
    written = load(file.read_bytes())
    name = next(name for name, value in written.items() if value.is_floating_point() and value.ndim > 1)
    wrong: list[Callable[[Tensor], Tensor]] = [
        lambda x: x * torch.nan,
        lambda x: x + torch.inf,
        lambda x: x.to(torch.int64),
        lambda x: x > 0,
        lambda x: x[:1].repeat(len(x) + 1, *[1] * (x.ndim - 1)),
    ]
    for change in wrong:
        file.write_bytes(save({**written, name: change(written[name]).contiguous()}))
        for words in (["predict", "run", "x.png"], ["export", "run"]):
            assert dispatch(words[0], words[1:]) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert name in line


OUTSIDE = (
    "Nothing outside a run folder is written or deleted, whatever links a stranger's folder holds, and names and "
    "errors from outside reach the terminal and the report as plain text (docs/architecture.md, Safety)."
)


def contents(folder: Path) -> list[tuple[str, bytes, int]]:
    return [(str(p), p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()]


@promise(OUTSIDE)
def test_no_link_leads_out_of_a_run_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its entries are links; each that is refused is replaced by what it links to, until nothing is refused."""
    with RunStore(run) as store, store._database.transaction() as connection:
        connection.execute("DELETE FROM facts WHERE key = 'result'")  # so that everything is written again
    outside = Path("outside")
    run.rename(outside)
    run.mkdir()
    for path in outside.iterdir():
        if path.suffix != ".svg":  # as pictures in PNG are written
            (run / path.name).symlink_to(Path("..") / path)
    before, refused = contents(outside), set()
    while dispatch("resume", ["run"]) != 0:
        assert contents(outside) == before
        [line] = capsys.readouterr().err.splitlines()
        [name] = re.findall(r"archwright: run/(\S+) is a link", line)
        (run / name).unlink()
        copied = shutil.copytree if (outside / name).is_dir() else shutil.copy
        copied(outside / name, run / name)
        refused.add(name)
    assert contents(outside) == before
    assert {"run.sqlite", "lock", "model", "result.json", "report.md", "architecture.json"} <= refused


@promise(OUTSIDE)
def test_names_from_outside_are_plain_text(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The classes of this run's data are called that way."""
    report, printed = (run / "report.md").read_text(), Path("printed").read_text()
    assert "\x1b" not in report + printed
    assert r"\x1b[2Jcat\ndog|<b>`*_[x](y)" in printed
    table = report.partition("## Accuracy by class\n\n")[2].partition("\n\n")[0].splitlines()
    assert len(table) == 2 + 2
    assert not re.search(r"<b>|(?<!\\)[`*_]|(?<!\\)\[x", table[2])
    assert dispatch("show", ["\x1b[2J\nno"]) == 2
    error = capsys.readouterr().err
    assert ("\x1b" in error, error.count("\n")) == (False, 1)


ALONE = """
import runpy, sys
class Nothing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("archwright", "safetensors"):
            raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Nothing)
runpy.run_path("export/model.py", run_name="__main__")
"""


@promise(
    "What you get at the end is a trained network, tested once on data nothing has seen, and files that run without "
    "archwright."
)
def test_the_exported_files_run_without_archwright(run: Path) -> None:
    assert dispatch("export", ["run", "--to", "export", "--formats", "source"]) == 0
    assert {"model.py", "model.safetensors"} <= {path.name for path in Path("export").iterdir()}
    nodes = list(ast.walk(ast.parse(Path("export/model.py").read_text())))
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"torch"}
    process = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@promise("the plan and how long each phase will take; nothing is run")
def test_a_dry_run_leaves_nothing(run: Path) -> None:
    before = contents(Path())
    assert dispatch("search", [*SMALL, "--data", "data.npz", "--dry-run"]) == 0
    assert contents(Path()) == before
