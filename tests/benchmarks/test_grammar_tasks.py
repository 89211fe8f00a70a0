"""The tasks of the space grammar: their classes, their parts, and that a seed gives the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archwright.data.sources import load

TEXT = "the cat sat on the mat and the dog ran to the old red house <unk> near a river N miles away \n"


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    """Photographs that say by their pixels what they show and which part they are of, digits too, and a text."""
    arrays: dict[str, Any] = {}
    for at, (part, count) in enumerate({"train": 40, "val": 20, "test": 20}.items()):
        y = np.arange(count) % 10
        x = np.zeros((count, 32, 32, 3), np.uint8)
        x[..., 0], x[..., 1], x[..., 2] = (25 * y)[:, None, None], 50 * at, 255
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(tmp_path / "photographs.npz", **arrays)
    for number, name in enumerate(("train", "valid", "test")):
        (tmp_path / f"some.{name}.txt").write_text(TEXT[number:] * 8)
    return {"cifar": str(tmp_path / "photographs.npz"), "text": tmp_path}


COUNTS = {"train": 60, "val": 24, "test": 40}


def test_digits_of_three_channels_add_and_multiply_to_the_class(script: Any) -> None:
    """Published (Geada et al. 2024): 20 classes of the sum less 1, and 10 of the product's last digit."""
    tasks = script("grammar_tasks")
    sums, products = tasks.numbers(20, tasks.added), tasks.numbers(10, tasks.multiplied)
    assert {sum(triple) - label for label, triples in enumerate(sums) for triple in triples} == {1}
    assert (9, 9, 9) not in {triple for triples in sums for triple in triples}
    assert (9, 9, 9) in products[729 % 10]
    images = {digit: np.full((1, 1, 28, 28), 20 * digit, np.uint8) for digit in range(10)}
    for triples, of in ((sums, tasks.added), (products, tasks.multiplied)):
        x, y = tasks.in_channels(images, triples, 80, np.random.default_rng(0))
        assert x.shape == (80, 28, 28, 3)
        digits = (x[:, 0, 0] // 20).tolist()
        assert [of(tuple(triple)) for triple in digits] == y.tolist()
        assert np.ptp(np.bincount(y, minlength=len(triples))) == 0
        assert len({tuple(triple) for triple in digits}) > 40


def test_tiles_are_of_as_many_things_as_the_class_says_and_of_their_part_alone(
    script: Any, sources: dict[str, Any]
) -> None:
    arrays = script("grammar_tasks").tasks(COUNTS, 0, **sources)["tile"]()
    for at, part in enumerate(COUNTS):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        assert x.shape == (COUNTS[part], 64, 64, 3)
        corners = x[:, ::32, ::32, 0].reshape(-1, 4)
        assert [len(set(row)) - 1 for row in corners.tolist()] == y.tolist()
        assert np.ptp(np.bincount(y)) == 0
        assert set(x[..., 1].flat) == {50 * at}


def test_strings_are_one_hot_and_say_who_wrote_them(script: Any, sources: dict[str, Any]) -> None:
    tasks = script("grammar_tasks")
    arrays = tasks.tasks(COUNTS, 0, **sources)["strings"]()
    x, y = arrays["x_test"][..., 0], arrays["y_test"]
    assert x.shape == (40, 28, 28)
    assert (x.sum(1) == 255).all()
    characters = tasks.LETTERS + "-"
    strings = ["".join(characters[row] for row in image.argmax(0)) for image in x]
    text = tasks.plain(TEXT[2:] * 8)
    assert "<" not in text
    assert "-" not in tasks.plain("red <unk> house")
    inside = {
        writer: [s in text for s, label in zip(strings, y, strict=True) if tasks.WRITERS[label] == writer]
        for writer in tasks.WRITERS
    }
    assert all(inside["text"])
    assert not any(inside["backwards"])
    assert not any(inside["order0"])
    assert all(s[::-1] in text for s, label in zip(strings, y, strict=True) if tasks.WRITERS[label] == "backwards")


def test_a_chain_writes_what_it_has_seen(script: Any) -> None:
    chain = script("grammar_tasks").Chain("abcabdabc" * 20, 2)
    written = chain.write(400, np.random.default_rng(1))
    pairs = {written[place : place + 3] for place in range(398)}
    assert pairs <= {"abc", "abd", "bca", "bda", "cab", "dab"}
    assert 0.5 < written.count("abc") / (written.count("abc") + written.count("abd")) < 0.8  # 2 of 3


def test_the_parts_share_no_digit_and_the_command_writes_what_archwright_reads(script: Any, tmp_path: Path) -> None:
    tasks = script("grammar_tasks")
    tasks.main(["--to", str(tmp_path), "--counts", "60", "30", "40", "--seed", "3", "--half"])
    data = load(str(tmp_path / "addnist.npz"))
    assert [len(part) for part in data.parts.values()] == [60, 30, 40]
    assert (data.task.channels, data.task.height, data.task.classes) == (3, 14, 20)
    digits = {part: {image.tobytes() for channel in x for image in channel} for part, x in _channels(data).items()}
    assert not digits["train"] & digits["test"]
    assert not digits["train"] & digits["validation"]
    assert not digits["validation"] & digits["test"]
    counts = dict(zip(tasks.PARTS, (60, 30, 40), strict=True))
    again, other = (tasks.tasks(counts, s, side=14)["addnist"]() for s in (3, 4))
    with np.load(tmp_path / "addnist.npz") as written:
        assert all((written[name] == array).all() for name, array in again.items())
    assert (again["x_train"] != other["x_train"]).any()


def _channels(data: Any) -> dict[str, Any]:
    return {name: part.x.numpy() for name, part in data.parts.items()}
