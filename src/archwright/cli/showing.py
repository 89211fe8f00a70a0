"""`archwright show` and `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, chosen, print_json
from archwright.cli.drawn import show_graphs
from archwright.cli.sentences import is_sentence, show_operations, show_sentence
from archwright.errors import RunError, offered
from archwright.files import target
from archwright.modalities import load_model, modality_class
from archwright.space import Architecture, Open
from archwright.spaces.published import PUBLISHED, Published
from archwright.stored import load, reading


def architecture_at(path: Path) -> Architecture:
    """Return the architecture of a run folder, a model folder or a JSON file, or the published one of this name."""
    if (published := published_at(path)) is not None:
        return published.architecture
    file = path / "architecture.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file() and (path / "run.sqlite").is_file():
        return _best_so_far(path)
    if not file.is_file():
        raise RunError(
            f"{path}: there is no architecture; expected a run folder, an architecture's JSON file, or a published "
            f"name; {offered(path, PUBLISHED)}"
        )
    with reading(file):
        return Architecture.from_json(load(file))


def published_at(path: Path) -> Published | None:
    """Return the published network of this name, unless something in the file system has it."""
    return None if path.exists() else PUBLISHED.get(str(path))


def _best_so_far(folder: Path) -> Architecture:
    from archwright.store import RunStore

    with RunStore.reading(folder) as store:
        ranked = store.get("ranked")
        if ranked:
            with reading(f"{folder}: the ranking"):
                return Architecture.from_json(ranked[0][0])
        trials = [trial for trial in store.trials() if trial.result.error is None]
    if not trials:
        raise RunError(f"{folder}: the search has scored nothing yet")
    return max(trials, key=lambda trial: trial.reward).architecture


def show(arguments: Sequence[str]) -> int:
    """Draw an architecture; count parameters and multiply-adds at the size asked for."""
    parser = Parser(
        prog="archwright show",
        description="Draw an architecture (PNG and SVG), print it, count the final network's parameters and "
        "multiply-adds.",
    )
    parser.add_argument(
        "architecture",
        type=Path,
        help=f"a run folder, ARCH.json, a sentence such as 'residual(conv3x3(same))', or one of {', '.join(PUBLISHED)}",
    )
    parser.add_argument("--to", type=Path, default=Path(), help="folder for the pictures")
    parser.add_argument("--image_size", type=int, help="pixels; default: the run's, or 32")
    parser.add_argument("--channels", type=int, help="of the images; default: the run's, or 3")
    parser.add_argument("--classes", type=int, help="or the size of the vocabulary; default: the run's, or 10")
    parser.add_argument("--operations", action="store_true", help="list what a sentence composes, without pictures")
    parser.add("no_pictures", "filters", "repeats", "space", "json")
    given = parser.parse_args(arguments)

    if not (given.no_pictures or given.operations):
        target(given.to)
    if is_sentence(given.architecture):
        return show_sentence(given)
    import torch

    from archwright.components import space_for
    from archwright.nets.network import without_auxiliary

    architecture = architecture_at(given.architecture)
    space = space_for(architecture, given.space)
    if given.operations:
        return show_operations(space.composed(architecture), as_json=given.json)
    described = _described(given.architecture, given.space)
    final = (described.get("space") or space.final()).for_architecture(architecture)
    final = final.final(**{**_fields(final), **chosen(vars(given), ("filters", "repeats"))})
    kind = modality_class(space.data)
    task = kind.task_like(
        described.get("task"), image_size=given.image_size, channels=given.channels, classes=given.classes
    )
    with torch.device("meta"):  # nothing is computed: the largest take milliseconds and no memory
        network: Any = without_auxiliary(final.network(Open.only(final, architecture), task))
    facts, size_line = kind.shown_size(network, final, task)
    result = {"architecture": architecture.id, "space": architecture.space, "fields": _fields(final), **facts}
    title = f"{architecture.space} {architecture.id}"
    return show_graphs(given, space.graphs(architecture), architecture.id, facts=result, title=title, lines=[size_line])


def _fields(space: Any) -> dict[str, Any]:
    import dataclasses

    return {f.name: getattr(space, f.name) for f in dataclasses.fields(space) if f.init}


def _described(path: Path, named: str | None) -> dict[str, Any]:
    """Return the final space and task of a finished run or model folder, or of what is published; before, the space."""
    if (published := published_at(path)) is not None:
        return {"space": published.space, "task": published.task}
    folder = model_folder(path) if path.is_dir() else path
    if not (folder / "model.json").is_file():
        return _planned(path, named) if (path / "run.sqlite").is_file() else {}
    model = load_model(folder, space=named)
    return {"space": model.space, "task": model.task}


def _planned(folder: Path, named: str | None) -> dict[str, Any]:
    """Return the final space of a run that has not ended."""
    from archwright.components import space_from_json
    from archwright.runs.plan import upgraded
    from archwright.store import RunStore

    with RunStore.reading(folder) as store, reading(f"{folder}: the plan"):
        plan = store.get("plan")
        return {} if plan is None else {"space": space_from_json(upgraded(plan)["final"]["space"], named)}


def model_folder(path: Path) -> Path:
    """Return the folder of the model that a run delivered, or the folder itself."""
    return path / "model" if (path / "model" / "model.json").is_file() else path


def predict(arguments: Sequence[str]) -> int:
    """Classify images, or go on writing a text."""
    parser = Parser(
        prog="archwright predict",
        description="Classify images with a run's model. With a language model: say how well text files are predicted, "
        "or go on writing after words that are no file.",
    )
    parser.add_argument("run", type=Path, help="a finished run, or a folder that `archwright train` wrote")
    parser.add_argument("images", type=Path, nargs="+", help="image files, or folders of them; text files, or words")
    parser.add_argument("--tokens", type=int, default=50, help="how many to write (language models)")
    parser.add_argument("--seed", type=int, default=0, help="of what is written (language models)")
    parser.add("space")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)

    model = load_model(model_folder(given.run), space=given.space)
    for figures, line in model.answers(given.images, tokens=given.tokens, seed=given.seed):
        if given.json:
            print_json(figures)
        else:
            print(line)
    return 0
