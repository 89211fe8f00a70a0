"""Nothing that a stranger's files name is loaded or joined, whatever command reads them; what the user types is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import archwright
from archwright.cli.commands import dispatch
from archwright.errors import RunError
from archwright.loop import Proposal, Result, Trial
from archwright.runs.plan import Plan
from archwright.space import Architecture
from archwright.spaces import SPACES
from archwright.store import RunStore

RUNS = Path(__file__).parents[1] / "runs"
OWN = RUNS / "own_components.py"
EVIL = "s/evil.py:X"
ADDRESS = "ray:203.0.113.1:6379"  # of nobody (RFC 5737)
FEW = ["--data", "digits", "--limit", "128", "--device", "cpu"]
RECIPE = {"search_recipe": {"epochs": 1}, "final_recipe": {"epochs": 1}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with a stranger's folder `s` in it; code in there leaves a file `pwned`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "evil.py").write_text("open('pwned', 'w').close()\nclass X: pass\n")
    before = dict(SPACES)
    yield tmp_path
    for name in [name for name in sys.modules if name == "s" or name.startswith("s.")]:
        del sys.modules[name]
    SPACES.clear()
    SPACES.update(before)
    assert not (tmp_path / "pwned").exists()


def plan(**changed: Any) -> dict[str, Any]:
    """A plan of children trained from scratch, with parts changed."""
    read = json.loads((RUNS / "old_runs" / "from_scratch_plan_0_1.json").read_text())
    found: dict[str, Any] = json.loads(json.dumps(Plan.from_json(read).to_json()))
    for part, values in changed.items():
        found[part].update(values)
    return found


def refused(capsys: pytest.CaptureFixture[str], advice: str, *words: str) -> None:
    assert dispatch(words[0], words[1:]) == 2
    err = capsys.readouterr().err
    assert len([line for line in err.splitlines() if line.startswith("archwright: ")]) == 1, err
    assert f"it is used only if you type it in this call: {advice}" in err


@pytest.mark.parametrize(
    "words", [["show"], ["train", "--data", "digits"], ["transfer", "--data", "digits"], ["transfer", "--help"]]
)
@pytest.mark.parametrize("stored", ["architecture.json", "trials", "ranked"])
def test_a_strangers_architecture(words: list[str], stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    architecture = Architecture(EVIL, (), ())
    if stored == "architecture.json":
        Path("s/architecture.json").write_text(json.dumps(architecture.to_json()))
    else:
        with RunStore("s", create=True) as store:
            store.put("ranked", [[architecture.to_json(), 1.0]] if stored == "ranked" else [])
            proposal = Proposal(0, architecture)
            store.proposed([(0, proposal)], 1)
            store.told([Trial(0, proposal, Result(1.0, {}), 0.0)], None)
    refused(capsys, "--space FILE.py:NAME", words[0], "s", *words[1:])


@pytest.mark.parametrize("command", ["resume", "finish", "rank"])
@pytest.mark.parametrize(
    ("part", "named", "advice"),
    [
        ("search", {"space": {"name": EVIL}}, "--space FILE.py:NAME"),
        ("final", {"space": {"name": EVIL}}, "--space FILE.py:NAME"),
        ("search", {"controller": EVIL}, "--controller FILE.py:NAME"),
    ],
)
def test_a_strangers_plan(
    command: str, part: str, named: dict[str, Any], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunStore("s", create=True) as store:
        store.put("plan", plan(**{part: named}))
    refused(capsys, advice, command, "s")


@pytest.mark.parametrize("words", [["predict", "s", "x.png"], ["export", "s"]])
def test_a_strangers_model(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    about = {"format": 1, "architecture": {"format": 1, "space": EVIL, "fields": {}, "answers": []}}
    Path("s/model.json").write_text(json.dumps({**about, "space": {"name": EVIL}}))
    Path("s/weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    refused(capsys, "--space FILE.py:NAME", *words)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"space": EVIL}, "--space FILE.py:NAME"),
        ({"space": {"name": EVIL}}, "--space FILE.py:NAME"),
        ({"controller": EVIL}, "--controller FILE.py:NAME"),
        ({"controller": EVIL, "controller_settings": {"a": 1}}, "--controller FILE.py:NAME"),
        ({"space": "nas-conv", "engine": ADDRESS}, f"--engine {ADDRESS}"),
    ],
)
def test_a_strangers_configuration(settings: dict[str, Any], advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s/config.yaml").write_text(json.dumps(settings))
    refused(capsys, advice, "search", *FEW, "--config", "s/config.yaml", "--dry-run")


@pytest.mark.parametrize("words", [["search"], ["transfer", "nasnet-a"]])
@pytest.mark.parametrize(
    "settings",
    ['final_recipe: {"class\\x5fpath": s.evil.X}', "final_recipe.class_path: s.evil.X", "a: &a [*a]"],
)
def test_a_configuration_names_no_class(words: list[str], settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s/config.yaml").write_text(settings)
    assert dispatch(words[0], [*words[1:], *FEW, "--config", "s/config.yaml", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("command", ["search", "transfer"])
def test_a_recipe_in_a_file_names_no_class(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s/recipe.yaml").write_text("class_path: s.evil.X")
    words = ["nasnet-a"] if command == "transfer" else []
    assert dispatch(command, [*words, *FEW, "--final-recipe", "s/recipe.yaml", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_strangers_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s/setup.json").write_text(json.dumps(plan(search={"space": {"name": EVIL}})))
    words = ["--space", "nas-conv", "--strategies", "random", "--runs", "1", "--trials", "1", "--limit", "128"]
    refused(capsys, "--space FILE.py:NAME", "bench", "--data", "digits", *words, "--out", "s")


def test_a_cluster_that_a_plan_names_is_joined_only_if_it_is_named_again(capsys: pytest.CaptureFixture[str]) -> None:
    with RunStore("s", create=True) as store:
        store.put("plan", plan(cluster={"engine": ADDRESS}))
    refused(capsys, f"--engine {ADDRESS}", "resume", "s")
    with pytest.raises(RunError, match="only if you type it"):
        archwright.resume("s")
    assert archwright.resume("s", engine="local").result["trials"] == 3


def test_what_the_user_types_is_loaded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By another name than in the search, in a process that has not loaded it by this one."""
    for name in ("own.py", "again.py", "third.py"):
        (folder / name).write_text(OWN.read_text())
    epochs = ["--search-recipe.epochs", "1", "--final-recipe.epochs", "1"]
    words = ["--space", "own.py:Perceptrons", "--controller=own.py:Shifted", "--trials", "2", "--baseline", "false"]
    assert dispatch("search", [*words, *FEW, *epochs, "--run", "run"]) == 0
    assert dispatch("search", ["--config", "run/config.yaml", *words[:3], "--run", "new", "--dry-run"]) == 0
    named = ["--space", "again.py:Perceptrons"]
    assert dispatch("resume", ["run", *named, "--controller", "again.py:Shifted"]) == 0
    assert dispatch("show", ["run", "--no-pictures", *named]) == 0
    assert dispatch("train", ["run", *FEW, "--epochs", "1", "--to", "trained", "--space=third.py:Perceptrons"]) == 0
    assert dispatch("spaces", ["third.py:Perceptrons"]) == 0
    bench = ["--space", "third.py:Perceptrons", "--strategies", "third.py:Shifted+offset=3", "--runs", "1"]
    bench += ["--data", "digits", "--limit", "128", "--trials", "1", "--epochs", "1"]
    assert dispatch("bench", bench) == dispatch("bench", bench) == 0, capsys.readouterr().err
