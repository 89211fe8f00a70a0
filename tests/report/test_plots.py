from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archwright.errors import ConfigError
from archwright.report.plots import Estimate, comparison, moving_mean, search_curve

SVG = "{http://www.w3.org/2000/svg}"
REWARDS = [0.1, 0.5, 0.3, float("nan"), 0.9, 0.2]


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(path).iter(f"{SVG}text")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-10, 10) | st.just(float("nan")), min_size=1, max_size=30), st.integers(1, 12))
def test_the_moving_mean_is_the_mean_of_the_last_known_values(values: list[float], window: int) -> None:
    means = moving_mean(np.array(values), window)
    for index, mean in enumerate(means):
        known = [v for v in values[max(0, index + 1 - window) : index + 1] if np.isfinite(v)]
        assert mean == pytest.approx(np.mean(known) if known else np.nan, abs=1e-9, nan_ok=True)


def test_a_search_curve_says_what_it_shows(tmp_path: Path) -> None:
    phases = [(0, "shared $weights$"), (3, "derive <&>")]
    path = search_curve(
        REWARDS, tmp_path / "curve.svg", failed=[1], phases=phases, title="50 % of $x$", reward="a_b^c$"
    )
    assert {"trial", "best so far", "mean of the last 5", "failed (2)", "50 % of $x$", "a_b^c$"} <= set(texts(path))
    assert {"shared $weights$", "derive <&>"} <= set(texts(path))
    assert "baseline" in texts(search_curve(REWARDS, tmp_path / "curve.svg", baseline=[0.0] * 6))


def test_every_trial_is_a_dot_and_the_best_only_rises(tmp_path: Path) -> None:
    root = ET.parse(search_curve(REWARDS, tmp_path / "curve.svg")).getroot()
    dots = [use for use in root.iter(f"{SVG}use") if "#74a9cf" in use.get("style", "")]
    assert len(dots) == 5 + 1  # and one in the legend
    black = [path for path in root.iter(f"{SVG}path") if "stroke: #1a1a1a; stroke-width: 1.4" in path.get("style", "")]
    heights = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", black[0].get("d", ""))]
    assert len(heights) > 4
    assert all(above >= below for above, below in itertools.pairwise(heights))  # y of an SVG points down


def test_the_rewards_set_the_scale_not_a_baseline_that_starts_at_zero(tmp_path: Path) -> None:
    shown = texts(search_curve([0.9, 0.91, 0.92], tmp_path / "curve.svg", baseline=[0.0, 0.1, 0.2]))
    assert min(float(text) for text in shown if re.fullmatch(r"\d\.\d+", text)) > 0.89


@pytest.mark.parametrize("rewards", [[0.4], [0.0, 0.0], [float("nan")] * 3, [1e9, -1e9], list(range(5000))])
def test_unusual_searches_are_drawn(tmp_path: Path, rewards: list[float]) -> None:
    path = search_curve(rewards, tmp_path / "curve.svg", phases=[(i, f"epoch {i}") for i in range(60)])
    assert path.stat().st_size < 400_000
    assert "trial" in texts(path)


def test_phase_names_do_not_overlap(tmp_path: Path) -> None:
    path = search_curve([0.5] * 300, tmp_path / "curve.svg", phases=[(i, f"epoch {i}") for i in range(300)])
    elements = [e for e in ET.parse(path).iter(f"{SVG}text") if (e.text or "").startswith("epoch")]
    starts = sorted(float(e.get("x", "nan")) for e in elements)
    assert len(starts) > 5
    assert min(np.diff(starts)) > 36  # points; "epoch 100" is as wide at this size


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rewards"):
        search_curve([], tmp_path / "curve.svg")
    with pytest.raises(ConfigError, match="2 rewards but 1 values of the baseline"):
        search_curve([1, 2], tmp_path / "curve.svg", baseline=[1])
    with pytest.raises(ConfigError, match=r"\.png or \.svg"):
        search_curve([1, 2], tmp_path / "curve.pdf")
    with pytest.raises(ConfigError, match="no estimates"):
        comparison([], tmp_path / "curve.svg")


def test_a_comparison_gives_the_figures(tmp_path: Path) -> None:
    estimates = [
        Estimate("found $by$ search", 98.89, 97.91, 99.38, found=True),
        Estimate("best of a number of random architectures, as many & <more>", 100.0, 98.0, 100.0),
    ]
    path = comparison(estimates, tmp_path / "comparison.svg", title="a_b", notes=["100 % of $notes$", "second"])
    shown = texts(path)
    assert {"98.89  [97.91, 99.38]", "100.00  [98.00, 100.00]", "found $by$ search", "a_b"} <= set(shown)
    assert "best of a number of random architectures, as many & <more>" in " ".join(shown)
    assert {"100 % of $notes$", "second"} <= set(shown)
    ticks = [float(text) for text in shown if re.fullmatch(r"[\d.]+", text)]
    assert max(ticks) <= 100
    with Image.open(comparison(estimates, tmp_path / "comparison.png")) as image:
        assert min(image.info["dpi"]) >= 150
