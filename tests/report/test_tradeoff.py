"""The plot of accuracy against size, and what papers report."""

from __future__ import annotations

from pathlib import Path

import pytest

from archwright.errors import ConfigError
from archwright.report.published import CIFAR_10, NASNET_ON_CIFAR_10, NASNET_ON_IMAGENET, reported
from archwright.report.tradeoff import Point, tradeoff

POINTS = (
    Point("ours $1", "found", 0.9, (0.88, 0.92), 1e5, 1e7),
    Point("random", "random", 0.9, (0.87, 0.9185), 1.01e5, 1.01e7),
    Point("theirs", "published", 0.97, None, 3e6, None),
)


def test_published_networks_are_there_where_the_data_is_theirs() -> None:
    assert reported(CIFAR_10, 10_000) == NASNET_ON_CIFAR_10
    assert reported(frozenset(name.upper() for name in CIFAR_10), 10_000) == NASNET_ON_CIFAR_10
    assert reported(CIFAR_10, 500) == ()
    assert reported(frozenset(map(str, range(1000))), 50_000) == NASNET_ON_IMAGENET
    assert reported(frozenset("ab"), 10_000) == ()


def test_both_kinds_of_picture_name_every_network(tmp_path: Path) -> None:
    drawn = tradeoff(POINTS, tmp_path / "sizes.svg", title="Sizes").read_text()
    for point in POINTS:
        assert point.label in drawn
    assert "1, 2" in drawn  # at one place
    assert tradeoff(POINTS[2:], tmp_path / "sizes.png", title="Sizes").stat().st_size > 1000


def test_nothing_to_plot_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no networks to plot"):
        tradeoff((), tmp_path / "none.png", title="none")
