"""Scores of untrained networks: a function of their arguments, finite, and what their papers define."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archwright.errors import SpaceError
from archwright.proxies import PROXIES, proxies_of
from archwright.proxies.az_nas import DEAD, entropy
from archwright.proxies.joined import agreement, as_lines, az_nas, columns_of, first_words, fused
from archwright.proxies.synflow import synflow
from archwright.report.statistics import kendall_tau
from archwright.space import Task, TextTask, replay, sample
from archwright.spaces.enas_macro import EnasMacro
from archwright.spaces.enas_micro import EnasMicro
from archwright.spaces.enas_recurrent import EnasRecurrent
from archwright.spaces.nas_bench_201 import NAMES, NasBench201
from archwright.testing.small_spaces import Static

SPACES = [
    (EnasMicro(nodes=2, repeats=1, filters=8), Task(1, 8, 8, 3)),
    (EnasMacro(layers=3, filters=8), Task(3, 9, 9, 4)),
    (EnasRecurrent(nodes=3, units=8), TextTask(11)),
    (NasBench201(repeats=1, filters=4), Task(3, 8, 8, 5)),
]


@pytest.mark.parametrize(("space", "task"), SPACES, ids=lambda value: getattr(value, "name", ""))
def test_scores_are_finite_and_a_function_of_their_arguments(space: Any, task: Any) -> None:
    architecture, before = sample(space, 1), torch.get_rng_state()
    found = proxies_of(space, architecture, task, seed=3)
    assert tuple(found) == tuple(PROXIES)
    assert all(math.isfinite(score) for score in found.values())
    assert (
        proxies_of(space, architecture, task, names=["trainability"], seed=3)["trainability"] == found["trainability"]
    )
    assert torch.equal(torch.get_rng_state(), before)


def cell(**operations: str) -> dict[str, float]:
    space = NasBench201(repeats=1, filters=4)
    answers = dict.fromkeys(NAMES, "none") | operations
    return proxies_of(space, replay(space, answers), Task(3, 8, 8, 5))


def test_cells_that_learn_nothing_score_least() -> None:
    empty, skip = cell(), cell(**{"3<-0": "skip_connect"})
    convolution = cell(**{"3<-0": "nor_conv_3x3"})
    assert empty["synflow"] < skip["synflow"] < convolution["synflow"]
    assert max(empty["trainability"], skip["trainability"]) < convolution["trainability"]
    assert empty["trainability"] >= DEAD
    assert skip["layers"] + 3 == convolution["layers"]  # one in each stage
    # 3x3 convolutions of 4, 8 and 16 channels at 8, 4 and 2 pixels
    assert convolution["multiply_adds"] - skip["multiply_adds"] == 9 * (4**2 * 8**2 + 8**2 * 4**2 + 16**2 * 2**2)


def test_synflow_of_a_chain_of_matrices_is_its_flow_times_its_depth() -> None:
    network = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False))
    one: Any = SimpleNamespace(network=network, inputs=lambda network, count: (torch.zeros(count, 3).double(),))
    first, second = (weight.detach().abs() for weight in network.parameters())
    flow = float((second @ first).sum())
    assert synflow(one) == pytest.approx(math.log1p(2 * flow), rel=1e-5)


def test_entropy_counts_the_channels_that_differ() -> None:
    rows = torch.randn(4000, 8, 1, 1, generator=torch.Generator().manual_seed(0))
    assert entropy(rows) == pytest.approx(math.log(8), abs=0.01)
    assert entropy(rows[:, :1].expand(-1, 8, -1, -1)) == pytest.approx(0, abs=1e-5)
    assert entropy(torch.ones(5, 3, 2, 2)) == 0


def test_a_space_without_networks_has_no_scores() -> None:
    space = Static()
    with pytest.raises(SpaceError, match="describes no network"):
        proxies_of(space, sample(space, 0))


def test_the_best_order_is_named_and_one_that_is_no_order_says_so() -> None:
    found = agreement({"reward": [1, 2, 4, 3], "layers": [1, 2, 3, 4], "parameters": [7, 7, 7, 7]}, [1, 2, 3, 4])
    assert found["best"] == "layers"
    assert found["taus"]["parameters"] is None
    assert [line.split()[0] for line in as_lines(found)] == ["layers", "reward", "parameters"]
    assert as_lines(found)[2].endswith("the same for all")
    assert first_words(found) == "Kendall's tau of reward 0.67 (-1.00 to 1.00), best layers 1.00 (1.00 to 1.00)"
    assert agreement({"parameters": [1, 1, 1]}, [1, 2, 3])["best"] is None


def test_az_nas_prefers_what_is_good_in_all_its_scores() -> None:
    rows = [
        dict.fromkeys(("expressivity", "progressivity", "trainability", "multiply_adds"), x) for x in (1.0, 2.0, 3.0)
    ]
    rows[1]["trainability"] = 9.0
    scores = az_nas(columns_of(rows))
    assert scores[2] > scores[1] > scores[0]
    assert "az_nas" not in columns_of([{"layers": 1.0}])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=12, unique=True), st.randoms())
def test_a_fused_score_follows_the_column_that_was_right(truth: list[float], random: Any) -> None:
    noise = random.sample(truth, len(truth))
    columns = {"right": truth, "wrong": [-x for x in truth], "noise": noise}
    found = fused(columns, dict(enumerate(truth)))
    # Before anything is known the two columns that contradict each other leave the noise.
    assert kendall_tau([found[i] for i in range(len(truth))], truth, resamples=1)[0] > 0.5
    nothing = fused({"right": truth, "again": [2 * x for x in truth]}, {})
    assert sorted(range(len(truth)), key=nothing.__getitem__) == sorted(range(len(truth)), key=truth.__getitem__)
