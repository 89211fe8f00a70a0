"""The last heat: what is delivered has to be certainly better than the network that people would take."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from archwright.methods.race import RaceMethod
from archwright.runs import outcome
from archwright.runs.heats import Heats
from archwright.space import Architecture, sample
from archwright.spaces import Stages

KNOWN, SECOND, FOUND = (sample(Stages(), seed) for seed in range(3))


class Records:
    """Trainings that have been recorded: each heat has the scores of `heats`, and what was better by how much."""

    def __init__(self, scores: dict[Architecture, float], intervals: dict[Architecture, tuple[float, float]], up: bool):
        self.scores, self.intervals, self.kept = scores, intervals, dict[str, Any]()
        words = SimpleNamespace(words=str)
        self.modality = SimpleNamespace(
            larger_is_better=up, metric="score", wording=words, difference=lambda ours, _: (0.0, *ours["interval"])
        )
        self.store = SimpleNamespace(trials=lambda: [], put=self.kept.__setitem__)

    def heat(self, architecture: Architecture, share: float, part: tuple[int, int]) -> tuple[()]:
        return ()

    def result(self, architecture: Architecture, share: float) -> dict[str, Any]:
        interval = self.intervals.get(architecture, (-1.0, 1.0))
        return {"error": None, "score": self.scores[architecture], "interval": interval}

    def forget(self, architectures: Any) -> None:
        list(architectures)


def winner(
    scores: dict[Architecture, float], intervals: dict[Architecture, tuple[float, float]], up: bool = True
) -> Any:
    known = {"resnet9-gelu": KNOWN.to_json(), "vgg11": SECOND.to_json()}
    method = RaceMethod(reduction=2, growth=2, first_share=0.4, starters=known)
    plan: Any = SimpleNamespace(search=SimpleNamespace(method=method), final=SimpleNamespace(finalists=1))
    records: Any = Records(scores, intervals, up)
    ranked: list[Any] = []

    def run() -> Iterator[Any]:
        ranked.extend((yield from Heats(plan, records).run([(FOUND, 0.9), (SECOND, 0.5), (KNOWN, 0.4)])))

    list(run())
    return ranked[0][0], records.kept["gain"]


def test_what_is_surely_better_wins() -> None:
    best, gain = winner({FOUND: 0.8, KNOWN: 0.7}, {FOUND: (0.01, 0.2)})
    assert best == FOUND
    assert not gain["won"]
    assert gain["interval"] == [0.01, 0.2]


def test_what_may_be_better_by_chance_does_not() -> None:
    best, gain = winner({FOUND: 0.8, KNOWN: 0.7}, {FOUND: (-0.01, 0.2)})
    assert best == KNOWN
    assert gain["won"]
    assert gain["known"] == "resnet9-gelu"


def test_without_a_favourite_the_best_known_network_stays_ahead() -> None:
    method = RaceMethod(favourite=False)
    assert method.guard([FOUND, SECOND, KNOWN], [KNOWN, SECOND]) == SECOND
    assert RaceMethod().guard([FOUND, SECOND, KNOWN], [KNOWN, SECOND]) == KNOWN
    assert method.guard([FOUND], [KNOWN, SECOND]) is RaceMethod().guard([FOUND], [KNOWN]) is None


def test_of_perplexity_less_is_better() -> None:
    assert winner({FOUND: 90.0, KNOWN: 100.0}, {FOUND: (-15.0, -5.0)}, up=False)[0] == FOUND
    assert winner({FOUND: 90.0, KNOWN: 100.0}, {FOUND: (-15.0, 5.0)}, up=False)[0] == KNOWN
    assert winner({FOUND: 110.0, KNOWN: 100.0}, {FOUND: (-15.0, -5.0)}, up=False)[0] == KNOWN


def test_a_lead_is_compared_with_what_the_favourite_will_still_gain() -> None:
    favourite = RaceMethod()
    looks = [(0.024, 0.82), (0.19, 0.428)]
    end = favourite.predicted(looks)
    assert 0.2 < end < 0.3
    assert favourite.doubt(0.428, end) > 0.428 - 0.37  # a lead that was lost in the end (docs/value.md)
    assert favourite.doubt(0.428, end) < 0.08
    assert favourite.doubt(0.4, 0.4) == RaceMethod(favourite=False).doubt(0.428, end) == 0.0


def test_the_winner_of_the_race_is_said_to_be_delivered_only_where_it_is() -> None:
    _, gain = winner({FOUND: 0.7, KNOWN: 0.8}, {})
    modality: Any = None
    assert gain["won"]
    assert outcome._gain_in_words(gain, modality, KNOWN.id).startswith("resnet9-gelu won the race: ")
    words = outcome._gain_in_words(gain, modality, SECOND.id)
    assert words.startswith("resnet9-gelu was ahead in the last heat")
    assert f"{SECOND.id}, which is delivered" in words
