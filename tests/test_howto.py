"""The commands of the start page and of the how-to pages, run in their order, with the files that the pages show.

Those that look at a run, use its model or describe something are run as they stand, on a run of seconds that has the
name in the page. What would train for minutes is parsed (`test_docs`). Of the searches in files of the pages that in
the own space trains, with the smallest budget; the others are planned.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.cli import machine
from archwright.spaces import SPACES
from doc_pages import DOCS, blocks, commands

HOWTO = [DOCS / "index.md", *sorted((DOCS / "how-to").glob("*.md"))]
TRAINS = {"search", "train", "transfer", "rank", "bench"}
SMALL = (
    "--data photos/ --limit 16 --image-size 8 --trials 1 --search-recipe.epochs 1 --final-recipe.epochs 1 --device cpu"
)
LAYERS = "--space nas-conv --space.layers 1 --space.first-layers 1"
OWN = {"my_operations.py:Blurred": "--dry-run", "my_objective.py:frugal": f"{LAYERS} --dry-run"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a text, an image, and two runs that have ended."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("howto")
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), 9 * number).save(folder / "photos" / name / f"{number}.png")
    shutil.copy(folder / "photos" / "cat" / "0.png", folder / "new.png")
    (folder / "book.txt").write_text("Once upon a time there was a text.\n" * 400)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(shlex.split(f"search {SMALL} {LAYERS} --run runs/photos-001")) == 0
    shutil.copytree(folder / "runs" / "photos-001", folder / "runs" / "photos-002")
    return folder


def runs(line: str, work: Path) -> bool:
    """Whether a command is run as it stands."""
    words = shlex.split(line)[1:]
    if words[0] in TRAINS or {"--help", "--baseline", "--track"} & {*words}:
        return False
    return all((work / word).exists() for word in words[1:] if word.startswith("runs/"))


@pytest.mark.parametrize("page", HOWTO, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(
    page: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    monkeypatch.setattr(machine, "convolutions", lambda: {"float32": {1: 1.0}})
    known = dict(SPACES)
    for block in blocks(page):
        if block.title is not None:
            Path(block.title).write_text(block.text)
    try:
        for line in commands(page):
            words = shlex.split(line)[1:]
            own = next((word for word in words if ".py:" in word), None)
            if own is not None and words[0] == "search":
                words = ["search", words[words.index(own) - 1], own]  # with another budget
                assert main([*words, *shlex.split(f"{SMALL} {OWN.get(own, '')} --run runs/towers-001")]) == 0, line
            elif runs(line, work):
                assert main(words) == 0, (line, capsys.readouterr().err)
    finally:
        shutil.rmtree("runs/towers-001", ignore_errors=True)
        SPACES.clear()
        SPACES.update(known)


def test_python_of_the_pages_is_python() -> None:
    for page in HOWTO:
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, str(page), "exec")
