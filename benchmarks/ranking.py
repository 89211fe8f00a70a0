"""Which way of training shared weights, and of scoring with them, orders architectures as training from scratch does.

    python benchmarks/ranking.py --space enas-micro --data DIR/cifar10 --out FOLDER
    python benchmarks/ranking.py --space enas-recurrent --vocabulary 2000 --out FOLDER --ways uniform apart
    python benchmarks/ranking.py --table --out FOLDER

`--architectures` random architectures are trained from scratch from two seeds, for `--steps` steps each. Every way of
training trains shared weights with as many passes of an architecture over a batch (`--rounds` of 50), from `--seeds`
seeds, on one thread: budgets are counted, so other work on the machine changes nothing. Kendall's tau is that of a
score with the mean place of the two trainings. What is done is in FOLDER/SPACE.jsonl, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archwright.controllers.reinforce import Reinforce
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Trials, run
from archwright.methods.cost import steps
from archwright.modalities import modality, read
from archwright.presets import preset
from archwright.proxies import proxies_of
from archwright.proxies.joined import columns_of
from archwright.report.statistics import kendall_tau
from archwright.space import (
    Anchor,
    Architecture,
    Links,
    generator,
    operations_of,
    options,
    questions,
    replay,
    sample,
)
from archwright.spaces import SPACES
from archwright.training.child import child_network
from archwright.training.fit import Fit
from archwright.training.measure import tune_process
from archwright.training.optimizer import Optimizer

ROUND = 50  # passes of an architecture over a batch
DRAWN = 8  # architectures, of which the sandwich takes the largest and the smallest
ADAPTED = 8  # steps
REWARDED = 20  # trials after each round that teach the policy
SMALL = {
    "enas-micro": ({"filters": 16, "repeats": 1, "stem_stride": 2, "nodes": 3}, {}),
    "enas-macro": ({"filters": 16, "layers": 6, "stem_stride": 2}, {}),
    "enas-recurrent": ({"nodes": 6, "units": 48, "apart": False}, {}),
}


class Own(SharedWeights):
    """Shared weights whose architectures of a step, and whose rate, are given.

    `draw(space, seed, step)` gives the architectures of a step; `rate(share, complexity)` multiplies the rate, both
    from 0 to 1; `momenta` are kept apart for so many groups of complexity. `sampling` is uniform or policy.
    """

    def __init__(
        self,
        *arguments: Any,
        draw: Any = None,
        rate: Any = None,
        momenta: int = 1,
        size: Any = None,
        sampling: Any = "uniform",
        **rest: Any,
    ) -> None:
        super().__init__(*arguments, sampling=sampling, **rest)
        self._draw, self._own_rate, self._size = draw, rate, size
        self._optimizers = [self._optimizer, *(Optimizer(self.network, self.recipe) for _ in range(momenta - 1))]

    def _next(self, count: int, ask: Any) -> list[Architecture]:
        if self._draw is None:
            return super()._next(count, ask)
        return [
            one
            for step in range(count // self._each)
            for one in self._draw(self.space, self._seed, self._position + step)
        ]

    def _train_step(self, sampled: Sequence[Architecture], rate: float) -> dict[str, float]:
        if self._size is not None:
            complexity = statistics.fmean(map(self._size, sampled))
            self._optimizer = self._optimizers[min(len(self._optimizers) - 1, int(complexity * len(self._optimizers)))]
            if self._own_rate is not None:
                rate *= self._own_rate(self._position / (self._steps * self.recipe.epochs), complexity)
        return super()._train_step(sampled, rate)


def fair(space: Any, seed: int, step: int, count: int) -> list[Architecture]:
    """No option of a decision comes again before all others have come (FairNAS: Chu et al. 2021)."""
    rng, rows = generator((seed, 91, step)), [dict[str, Any]() for _ in range(count)]
    for question in questions(space):
        if isinstance(question, Anchor):
            continue
        if isinstance(question, Links):
            bits = [rng.permutation(np.arange(count)) % 2 > 0 for _ in question.among]
            answers: list[Any] = [
                tuple(name for name, bit in zip(question.among, row, strict=True) if bit)
                for row in (np.array(bits).T if bits else [()] * count)
            ]
        else:
            choices = list(options(question))
            order = [choices[place] for place in rng.permutation(len(choices))]
            answers = [order[index % len(order)] for index in range(count)]
        for row, answer in zip(rows, answers, strict=True):
            row[question.name] = answer
    return [replay(space, row) for row in rows]


def sandwich(space: Any, seed: int, step: int, *, size: Callable[[Architecture], float]) -> list[Architecture]:
    """The largest and the smallest of some, and a random one (Yu & Huang 2019)."""
    drawn = sorted((sample(space, (seed, 92, step, index)) for index in range(DRAWN)), key=size)
    return [drawn[-1], drawn[0], sample(space, (seed, 93, step))]


def sizes_of(space: Any, task: Any) -> Callable[[Architecture], float]:
    """Return the parameters of an architecture by a linear model of its operations, as a share from 0 to 1."""
    some = [sample(space, (94, index)) for index in range(60)]
    places = {option: i for i, option in enumerate(sorted({op for one in some for op in operations_of(space, one)}))}

    def counts(one: Architecture) -> np.ndarray:
        found = np.zeros(len(places) + 1)
        found[-1] = 1
        for operation in operations_of(space, one):
            found[places[operation]] += 1
        return found

    known = [proxies_of(space, one, task, names=("parameters",))["parameters"] for one in some]
    weights = np.linalg.lstsq(np.array([counts(one) for one in some]), np.array(known), rcond=None)[0]
    low, high = np.quantile(known, [0.02, 0.98])
    return lambda one: float(np.clip((counts(one) @ weights - low) / max(high - low, 1), 0, 1))


def calr(share: float, complexity: float) -> float:
    """Small networks' rates fall sooner (Jeon et al. 2025): times a power of what is left, 0 to 2."""
    return float((1 - share) ** (2 * (1 - complexity)))


class Case:
    """One space with its data, architectures and what is known of them."""

    def __init__(self, given: argparse.Namespace) -> None:
        cls, self.given = SPACES[given.space], given
        self.data: Any = self.read(given.image_size)
        self.preset = preset("small", cls, self.data)
        fields, final = SMALL[given.space]
        self.space: Any = cls(**{**self.preset.space, **fields})
        self.final: Any = cls.final(self.space, **{**self.preset.final_space, **fields, **final})
        self.task = self.data.data.task
        self.drawn = [sample(self.space, (95, index)) for index in range(given.architectures)]
        self.path = Path(given.out) / f"{given.space}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.done = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def read(self, image_size: int | None) -> Any:
        given = self.given
        options = {"vocabulary": given.vocabulary, "limit": given.limit, "image_size": image_size}
        data = read(given.data, seed=0, wanted=SPACES[given.space].data, **options)
        return modality(replace(data, validation=data.validation[: given.validation]))

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        for record in self.done:
            if record["key"] == key:
                return record["value"]
        begun = time.process_time()
        record = {"key": key, "value": make()}
        record["seconds"] = round(time.process_time() - begun, 1)
        self.done.append(record)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(key, record["seconds"], flush=True)
        return record["value"]

    def truth(self) -> tuple[list[list[float]], list[int]]:
        """Return validation losses from each seed, and which architectures could be trained."""
        losses = []
        for seed in range(2):
            found = [
                self.once(f"truth/{seed}/{i}", partial(self.trained, one, seed)) for i, one in enumerate(self.drawn)
            ]
            losses.append(found)
        good = [i for i in range(len(self.drawn)) if all(found[i] is not None for found in losses)]
        return losses, good

    def trained(self, architecture: Architecture, seed: int) -> float | None:
        network, recipe = child_network(self.final, architecture, self.task, seed), self.preset.final_recipe
        recipe = replace(recipe, epochs=self.given.steps / steps(recipe, self.data))
        fit = Fit(network, self.data, recipe, seed=seed, device="cpu", validate_last=1)
        try:
            for _ in fit:
                pass
        except Exception as error:  # it diverged
            print(type(error).__name__, error)
            return None
        return float(fit.metrics["validation_loss"])

    def free(self) -> dict[str, list[float]]:
        rows = [
            self.once(f"free/{i}", partial(proxies_of, self.final, one, self.task)) for i, one in enumerate(self.drawn)
        ]
        return columns_of(rows)

    def shared(self, way: str, seed: int) -> dict[str, list[float]]:
        """Train shared weights, and return the scores of all architectures by the way of scoring."""
        made, each, factor = self.maker(way)
        rounds = int(self.given.rounds * factor)
        recipe = replace(self.preset.search_recipe, epochs=rounds)
        settings = {
            "trials_per_epoch": 10,
            "warmup": rounds - 1,
            "evaluation_batch": 256,
            "seed": seed,
            "device": "cpu",
        }
        if way == "growing":
            recipe = replace(recipe, small_from=0.5, small_until=0.9)
        if way == "policy":
            settings |= {"trials_per_epoch": REWARDED, "warmup": rounds // 4}
        evaluator = made(recipe=recipe, steps_per_epoch=max(1, ROUND // each), architectures_per_step=each, **settings)
        if way == "policy":
            controller = Reinforce(self.space, seed=seed, **self.preset.controllers["reinforce"])
            trials = REWARDED * (rounds - 1 - rounds // 4) + 1  # before the last one the last round is trained
            training: Iterator[Any] = run(controller, evaluator, budget=Trials(trials))
        else:
            training = evaluator.prepare(lambda n: [], 0)
        for _ in training:
            pass
        return self.scores(evaluator, way)

    def maker(self, way: str) -> tuple[Any, int, float]:
        """Return what makes the evaluator, the architectures of a step, and the length of its training."""
        space, make = self.space, partial(Own, self.space, self.data)
        if way == "uniform":
            return make, 1, 1
        if way == "policy":
            return partial(make, sampling="policy"), 1, 1
        if way == "half":  # of the side, in training and scoring
            return partial(Own, space, self.read(self.data.data.task.height // 2)), 1, 1
        if way == "growing":  # half of the side at first
            return make, 1, 1
        if way == "long":
            return make, 1, 3
        if way == "four":
            return make, 4, 1
        if way in ("fair", "fair-sum"):
            count = max(len(q.options) for q in questions(space) if hasattr(q, "options"))
            rate = {"size": lambda _: 0.0, "rate": lambda *_: float(count)} if way == "fair-sum" else {}
            return partial(make, draw=lambda *place: fair(*place, count), **rate), count, 1
        if way in ("bare", "apart", "bare-apart"):
            own = replace(space, apart="apart" in way, normalised="bare" not in way)
            return partial(Own, own, self.data), 1, 1
        size = sizes_of(space, self.task)
        if way == "sandwich":
            return partial(make, draw=partial(sandwich, size=size)), 3, 1
        if way == "calr":
            return partial(make, size=size, rate=calr, momenta=3), 1, 1
        if way == "momenta":
            return partial(make, size=size, momenta=3), 1, 1
        raise SystemExit(f"{way} is not a way of training")

    def scores(self, evaluator: Any, way: str) -> dict[str, list[float]]:
        scoring = evaluator._scoring
        batches = [scoring.batch(name) for name in scoring.whole(0, 0)]
        found = [[evaluator._score(one, batch) for batch in batches] for one in self.drawn]
        scores = {"loss": [-scoring.mean(each)["validation_loss"] for each in found]}
        scores["loss of one minibatch"] = [-each[0]["validation_loss"] for each in found]
        scores["loss of own minibatch"] = [-each[i % len(each)]["validation_loss"] for i, each in enumerate(found)]
        if "validation_accuracy" in found[0][0]:
            scores["accuracy"] = [scoring.mean(each)["validation_accuracy"] for each in found]
            scores["accuracy of one minibatch"] = [each[0]["validation_accuracy"] for each in found]
        if way == "uniform":
            scores["after own steps"] = [self.adapted(evaluator, one, batches) for one in self.drawn]
        return scores

    def adapted(self, evaluator: Any, one: Architecture, batches: Sequence[Any]) -> float:
        """Train the shared weights on one architecture for some steps, score it, and put the weights back."""
        kept = {name: value.clone() for name, value in evaluator.network.state_dict().items()}
        optimizer, rate = evaluator._optimizer, evaluator.recipe.rate(evaluator.recipe.epochs / 2)
        evaluator._optimizer = Optimizer(evaluator.network, evaluator.recipe)
        for step in range(ADAPTED):
            SharedWeights._train_step(evaluator, [one], rate * (1 - step / ADAPTED))
            evaluator.step += 1
        loss = evaluator._scoring.mean([evaluator._score(one, batch) for batch in batches])["validation_loss"]
        evaluator.network.load_state_dict(kept)
        evaluator._optimizer, evaluator.step = optimizer, evaluator.step - ADAPTED
        return -loss


def table(folder: Path) -> Iterator[str]:
    """Yield lines of Markdown: mean tau over the seeds, least and most."""
    for path in sorted(folder.glob("*.jsonl")):
        values = {record["key"]: record["value"] for record in map(json.loads, path.read_text().splitlines())}
        count = sum(key.startswith("truth/0/") for key in values)
        good = [i for i in range(count) if all(values.get(f"truth/{s}/{i}") is not None for s in (0, 1))]
        places = [np.argsort(np.argsort([-values[f"truth/{s}/{i}"] for i in good])) for s in (0, 1)]
        order = np.mean(places, axis=0)
        yield f"{path.stem}: {len(good)} of {count}; two trainings agree by {kendall_tau(*places)[0]:.2f}"
        free = columns_of([values[f"free/{i}"] for i in good])
        for name, scores in free.items():
            yield f"| {name} | {kendall_tau(scores, order)[0]:.2f} |"
        ways: dict[str, list[Any]] = {}
        for key, value in values.items():
            if key.startswith("shared/"):
                ways.setdefault(key.split("/")[1], []).append(value)
        for way, found in ways.items():
            cells = []
            for name in found[0]:
                taus = [kendall_tau([scores[name][i] for i in good], order)[0] for scores in found]
                cells.append(f"{name} {statistics.fmean(taus):.2f} ({min(taus):.2f} to {max(taus):.2f})")
            yield f"| {way} ({len(found)}) | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=SMALL)
    parser.add_argument("--data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--validation", type=int, default=1024, help="images, or tokens of text")
    parser.add_argument("--vocabulary", type=int)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--architectures", type=int, default=24)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=["uniform"])
    parser.add_argument(
        "--shared-only", action="store_true", help="in a second process, beside the trainings from scratch"
    )
    parser.add_argument("--table", action="store_true", help="print what is done")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tune_process()
    if not given.table:
        case = Case(given)
        if not given.shared_only:
            case.truth()
            case.free()
        for seed in range(given.seeds):
            for way in given.ways:
                case.once(f"shared/{way}/{seed}", partial(case.shared, way, seed))
    print(*table(given.out), sep="\n")


if __name__ == "__main__":
    main()
