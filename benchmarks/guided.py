"""The controller `guided`: its own time per proposal, and how far its surrogate's intervals can be trusted.

python benchmarks/guided.py                  processor time on one core, by trials told and by space
python benchmarks/guided.py --table FILE     the share of unseen architectures of a table within their intervals
python benchmarks/guided.py --table FILE --knowledge   how well magnitudes and scores of untrained networks predict it
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from archwright.controllers.features import Featurizer
from archwright.controllers.guided import Guided
from archwright.controllers.surrogate import Surrogate, fit, normal_scores
from archwright.lab.landscape import signal_score
from archwright.lab.tables import load_table
from archwright.loop import Proposal, Result, Trial
from archwright.space import Space, sample
from archwright.spaces import EnasMicro, NasBench201
from archwright.spaces.nas_bench_201 import OPERATIONS

TRIALS = (50, 100, 200, 400, 800)
SHARES = ((0.5, 0.6745), (0.8, 1.2816), (0.95, 1.96))


def worth(space: Space, architecture: object) -> float:
    """A reward that takes no time to compute."""
    if isinstance(space, EnasMicro):
        return signal_score(architecture)  # type: ignore[arg-type]
    return float(sum(OPERATIONS.index(answer) ** 0.5 for _, answer in architecture.answers))  # type: ignore[attr-defined]


def seconds(space: Space, told: int, *, proposals: int = 20) -> float:
    """For one proposal and its answer, after `told` trials of random search; the mean of twenty, fits included."""
    controller = Guided(space, seed=1)
    first = dict.fromkeys(sample(space, (1, stream)) for stream in range(told))
    controller.tell([Trial(n, Proposal(n, a), Result(worth(space, a)), 0.0) for n, a in enumerate(first)])
    begun = time.process_time()
    for stream in range(told, told + proposals):
        (proposal,) = controller.ask([stream])
        controller.tell([Trial(stream, proposal, Result(worth(space, proposal.architecture)), 0.0)])
    return (time.process_time() - begun) / proposals


def coverage(
    table_name: str, known: int, *, features: bool, magnitudes: bool, repetitions: int = 20, unseen: int = 200
) -> list[float]:
    """The share of unseen architectures within intervals of 50, 80 and 95 %, and the correlation with the mean."""
    table = load_table(table_name)
    inside, correlation = np.zeros(len(SHARES)), 0.0
    for repetition in range(repetitions):
        both = list(dict.fromkeys(sample(table.space, (repetition, n)) for n in range(2 * (known + unseen))))
        both = both[: known + unseen]
        rewards = np.array([table.evaluate(Proposal(0, a)).reward for a in both])
        scores = normal_scores(rewards.tolist())
        featurizer = Featurizer(table.space, features=features, magnitudes=magnitudes)
        marks = [featurizer.read(a) for a in both]
        for each in marks[:known]:
            featurizer.learn(each)
        seen = featurizer.describe(marks[:known])
        model = Surrogate(seen, scores[:known], weights := fit(seen, scores[:known]))
        mean, deviation = model.predict(featurizer.describe(marks[known:]))
        spread = np.sqrt(deviation**2 + weights.noise * model.scale)
        off = np.abs(scores[known:] - mean) / spread
        inside += [(off < z).mean() / repetitions for _, z in SHARES]
        correlation += float(np.corrcoef(mean, scores[known:])[0, 1]) / repetitions
    return [*inside.tolist(), correlation]


def knowledge(table_name: str, count: int = 250, folds: int = 10) -> None:
    """Print rank correlations of rewards with what is known before training: of others, by ridge regression."""
    from scipy.stats import rankdata, spearmanr

    from archwright.proxies import proxies_of
    from archwright.space import Task

    table = load_table(table_name)
    cells = list(dict.fromkeys(sample(table.space, (9, n)) for n in range(2 * count)))[:count]
    rewards = np.array([table.evaluate(Proposal(0, a)).reward for a in cells])
    scores, task = normal_scores(rewards), Task(3, 16, 16, 10)
    begun = time.process_time()
    magnitudes = [table.space.magnitudes(a) for a in cells]
    then = time.process_time()
    small = dataclasses.replace(table.space, repeats=1, filters=8)  # type: ignore[call-arg]
    untrained = [proxies_of(small, a, task) for a in cells]
    taken = [1000 * span / count for span in (then - begun, time.process_time() - then)]
    print(f"milliseconds of one core for a network: magnitudes {taken[0]:.2f}, scores of it untrained {taken[1]:.1f}")

    def predicted(rows: list[dict[str, float]]) -> float:
        ranks = np.column_stack(
            [normal_scores(rankdata(column)) for column in zip(*(r.values() for r in rows), strict=True)]
        )
        ranks = np.column_stack([np.ones(count), ranks])
        found = np.empty(count)
        for fold in range(folds):
            out = np.arange(count) % folds == fold
            square = ranks[~out].T @ ranks[~out] + np.eye(ranks.shape[1])
            found[out] = ranks[out] @ np.linalg.solve(square, ranks[~out].T @ scores[~out])
        return float(spearmanr(found, rewards)[0])

    weights = [{"weights": row["weights"]} for row in magnitudes]
    both = [{**one, **other} for one, other in zip(magnitudes, untrained, strict=True)]
    for words, rows in {"weights": weights, "magnitudes": magnitudes, "untrained": untrained, "both": both}.items():
        print(f"  {words}: {predicted([dict(row) for row in rows]):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="as in archwright bench")
    parser.add_argument("--knowledge", action="store_true", help="of NAS-Bench-201")
    given = parser.parse_args()
    if given.knowledge:
        knowledge(given.table)
        return
    if given.table is None:
        print("milliseconds of one core for a proposal, by trials told:")
        for space in (NasBench201(), EnasMicro()):
            print(f"  {space.name}: " + ", ".join(f"{n}: {1000 * seconds(space, n):.0f}" for n in TRIALS))
        return
    print("share of 200 unseen architectures within intervals of 50, 80, 95 %, and the correlation:")
    seen = {"all": (True, True), "without magnitudes": (True, False), "decisions alone": (False, False)}
    for words, (features, magnitudes) in seen.items():
        for known in (25, 50, 100):
            found = coverage(given.table, known, features=features, magnitudes=magnitudes)
            print(f"  {words}, {known} known: " + ", ".join(f"{value:.2f}" for value in found))


if __name__ == "__main__":
    main()
