"""Warnings of a search that collapses."""

from __future__ import annotations

from archwright.analysis.collapse import WINDOW, Collapse
from archwright.loop import Proposal, Result, Trial
from archwright.space import Architecture, replay, sample
from archwright.spaces.enas_macro import EnasMacro
from archwright.spaces.enas_micro import EnasMicro
from archwright.spaces.nas_bench_201 import NAMES, NasBench201


def warnings(collapse: Collapse, architectures: list[Architecture], entropies: list[float] | None = None) -> list[str]:
    found = []
    for number, architecture in enumerate(architectures):
        figures = {} if entropies is None else {"entropy": entropies[number]}
        trial = Trial(number, Proposal(number, architecture), Result(0.5, {}), 0.0, figures)
        if words := collapse.see(trial):
            found.append(words)
    return found


def test_a_search_that_explores_is_left_in_peace() -> None:
    for space in (EnasMicro(), EnasMacro()):
        architectures = [sample(space, seed) for seed in range(100)]
        assert warnings(Collapse(100, space), architectures, [1.5 - 0.01 * n for n in range(100)]) == []


def test_entropy_near_zero_early_is_warned_of_once_and_late_is_not() -> None:
    architectures = [sample(EnasMicro(), seed) for seed in range(60)]
    falling = [1.5, *[0.01] * 59]
    assert len(warnings(Collapse(100, EnasMicro()), architectures, falling)) == 1
    assert "has settled after 2 of 100 trials" in warnings(Collapse(100, EnasMicro()), architectures, falling)[0]
    late = [1.5] * 59 + [0.01]
    assert warnings(Collapse(60, EnasMicro()), architectures, late) == []


def test_nearly_all_identities_are_warned_of() -> None:
    space = EnasMicro()
    idle = [
        replay(space, {n: "identity" if n.endswith("op") else a for n, a in sample(space, seed).answers})
        for seed in range(WINDOW)
    ]
    (words,) = warnings(Collapse(1000, space), idle)
    assert words.startswith("warning: 100% of the operations")


def test_nearly_all_skips_or_none_are_warned_of() -> None:
    space = EnasMacro(layers=4)
    full = space.from_compact("0 | 1:1 | 2:11 | 3:111")
    bare = space.from_compact("0 | 1:0 | 2:00 | 3:000")
    for architecture, share in ((full, "100%"), (bare, "0%")):
        (words,) = warnings(Collapse(1000, space), [architecture] * WINDOW)
        assert words.startswith(f"warning: {share} of the possible skip connections")


def soft_warnings(names: list[str], count: int, trials: int) -> list[str]:
    """What is said of a gradient search whose strongest operations are these all the time."""
    space = NasBench201()
    architecture, collapse = replay(space, dict(zip(NAMES, names, strict=True))), Collapse(trials, space)
    proposals = (Proposal(number, architecture, soft={}) for number in range(count))
    made = (Trial(p.stream, p, Result(0.5, {}), 0.0, {"entropy": 1e-9}) for p in proposals)
    return [words for trial in made if (words := collapse.see(trial))]


def test_skips_that_take_over_a_gradient_search_are_warned_of_once_with_what_to_do() -> None:
    half = ["skip_connect", "nor_conv_3x3"] * 3
    (words,) = soft_warnings(half, 200, 200)
    assert words.startswith("warning: 3 of the 6 strongest operations are skip connections")
    assert "--controller.beta-decay 50" in words
    assert soft_warnings(half, WINDOW + 19, 200) == []  # a tenth of the search, and then not for long enough
    assert soft_warnings(["nor_conv_3x3", *half[:2] * 2, "none"], 200, 200) == []
