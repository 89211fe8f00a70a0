from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archwright.data.found import Found, Part
from archwright.data.images import ImageData, ImagePart
from archwright.data.split import allotted, assemble, limited, stratified
from archwright.errors import ConfigError, DataError

class_counts = st.lists(st.integers(3, 60), min_size=2, max_size=12)
fraction = st.floats(0.01, 0.45)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.data())
def test_an_allotment_sums_to_the_total_within_its_bounds(counts: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(counts), sum(counts)))
    share = allotted(np.array(counts), total, np.array(counts))
    assert share.sum() == total
    assert (share >= 1).all()
    assert (share <= counts).all()
    quota = np.array(counts) * total / sum(counts)
    if (quota >= 1).all():  # else the least share of one takes from the others
        assert np.abs(share - quota).max() < 1


@given(class_counts, fraction, fraction, st.integers(0, 1000))
def test_a_split_is_a_partition_with_every_class_in_every_part(
    counts: list[int], test: float, validation: float, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    fractions = {"test": test, "validation": validation}
    parts = stratified(y, fractions, seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(y)))
    for part in parts.values():
        assert set(y[part]) == set(range(len(counts)))
    if min(counts) * min(test, validation) >= 1 and min(counts) * (1 - test - validation) >= 2:  # no class is too rare
        for name, share in fractions.items():
            assert len(parts[name]) == round(share * len(y))
            assert np.abs(np.bincount(y[parts[name]]) - np.array(counts) * share).max() < 1.5
    again = stratified(y, fractions, seed)
    assert all(np.array_equal(parts[name], again[name]) for name in parts)


def test_the_test_part_does_not_depend_on_the_validation_fraction() -> None:
    y = np.repeat(np.arange(5), 40)
    one = stratified(y, {"test": 0.2, "validation": 0.1}, 3)
    other = stratified(y, {"test": 0.2, "validation": 0.5}, 3)
    assert set(one["test"]) == set(other["test"])


def test_another_seed_gives_another_split() -> None:
    y = np.repeat(np.arange(5), 40)
    assert set(stratified(y, {"test": 0.2}, 0)["test"]) != set(stratified(y, {"test": 0.2}, 1)["test"])


def test_no_stretch_of_a_part_is_sorted_by_class() -> None:
    y = np.repeat(np.arange(4), 100)
    for part in stratified(y, {"test": 0.3, "validation": 0.3}, 0).values():
        assert set(y[part[:40]]) == {0, 1, 2, 3}


@given(class_counts, st.data())
def test_a_limit_keeps_exactly_so_many_in_order_with_every_class(counts: list[int], data: st.DataObject) -> None:
    limit = data.draw(st.integers(len(counts), sum(counts)))
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.arange(len(y), dtype=torch.float32).view(-1, 1, 1, 1)
    kept, _ = limited(ImagePart(x, y), limit, 0)
    assert len(kept) == limit
    assert set(kept.y.tolist()) == set(range(len(counts)))
    assert torch.equal(kept.x.flatten(), kept.x.flatten().unique())


def made(**parts: int) -> Found:
    """`count` images of each of two classes per part; each pixel says where the image stood."""
    found, start = {}, 0
    for name, count in parts.items():
        x = torch.arange(start, start + 2 * count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
        found[{"val": "validation"}.get(name, name)] = Part(x, np.repeat(np.arange(2), count), name)
        start += 2 * count
    return Found(found)


def assembled(
    found: Found, validation: float | None = None, test: float | None = None, limit: int | None = None
) -> ImageData:
    return assemble(found, name="made", seed=0, validation=validation, test=test, limit=limit)


def sizes(data: ImageData) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def origins(images: ImagePart) -> set[float]:
    return set(images.x[:, 0, 0, 0].tolist())


@pytest.mark.parametrize(
    ("parts", "fractions", "expected", "said"),
    [
        ({"train": 100}, {}, (140, 30, 30), "split by class from the 200 images of the data, seed 0"),
        ({"train": 100}, {"test": 0.5, "validation": 0.25}, (50, 50, 100), "50 train, 50 validation, 100 test: split"),
        ({"train": 100, "test": 30}, {}, (180, 20, 60), "60 test: the data's own test part"),
        ({"train": 100, "val": 30}, {}, (180, 20, 60), "60 test: the data's own val part, as there is no test part"),
        ({"train": 100, "val": 30}, {"test": 0.2}, (160, 60, 40), "60 validation: the data's own val part"),
        ({"train": 100, "val": 20, "test": 30}, {}, (200, 40, 60), "200 train images; 40 validation"),
    ],
)
def test_parts_that_exist_are_used_and_the_others_split_off_train(
    parts: dict[str, int], fractions: dict[str, float], expected: tuple[int, int, int], said: str
) -> None:
    data = assembled(made(**parts), **fractions)
    assert sizes(data) == expected
    assert said in data.split
    assert len(origins(data.train) | origins(data.validation) | origins(data.test)) == 2 * sum(parts.values())
    for part in (data.train, data.validation, data.test):
        counts = Counter(part.y.tolist())
        assert abs(counts[0] - counts[1]) <= 1


def test_a_test_part_of_the_data_keeps_its_order_and_validation_is_shuffled() -> None:
    data = assembled(made(train=20, val=20, test=20))
    assert data.test.x[:, 0, 0, 0].tolist() == list(range(80, 120))
    assert len(set(data.validation.y[:10].tolist())) == 2


def test_statistics_are_those_of_the_training_images_that_are_used() -> None:
    data = assembled(made(train=40, test=5), limit=11)
    assert len(data.train) == 11
    assert data.preprocessing.mean[0] == pytest.approx(data.train.x.mean().item())
    assert "of these train images 11 are used" in data.split


def test_nothing_is_shared_with_the_source() -> None:
    found = made(train=40, val=5, test=5)
    data = assembled(found)
    found.parts["test"].x.fill_(1e6)
    assert data.test.x.max() < 1e5


@pytest.mark.parametrize(
    ("parts", "arguments", "message"),
    [
        (
            {"train": 40, "test": 5},
            {"test": 0.1},
            "test=0.1: the test part is the data's own test part; leave test out",
        ),
        ({"train": 40, "val": 5}, {"test": 0.1, "validation": 0.1}, "leave validation out"),
        ({"train": 40}, {"test": 0.0}, "test=0.0: a fraction"),
        ({"train": 40}, {"validation": 20}, "validation=20: a fraction"),
        ({"train": 40}, {"test": 0.5, "validation": 0.5}, "leave nothing to train on"),
        ({"train": 40}, {"limit": 1}, "limit=1: at least 2"),
    ],
)
def test_arguments_that_do_not_fit_are_named(parts: dict[str, int], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assembled(made(**parts), **arguments)


def test_a_class_too_rare_for_every_part_is_named() -> None:
    y = np.array(["rare"] * 2 + ["often"] * 20)
    found = Found({"train": Part(torch.zeros(22, 1, 4, 4), y, "train")})
    with pytest.raises(DataError, match=r"class 'rare' has 2 images; at least 3 are needed"):
        assembled(found)


def test_an_empty_part_is_an_error() -> None:
    with pytest.raises(DataError, match="the test part is empty"):
        assembled(made(train=40, test=0))
