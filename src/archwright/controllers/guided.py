"""Model-based search for budgets of tens to hundreds of trials: a surrogate picks what is worth an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from archwright.controllers.likeness import Describer, Floats
from archwright.controllers.surrogate import Surrogate, Weights, expected_improvement, fit, normal_scores
from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Architecture, Space, adapt, generator, mutate, sample

START = 12  # at 6,000 s of NAS-Bench-201 6, 10 and 15 gave 94.10, 94.25 and 94.26 (30 runs of a sketch)
CANDIDATES = 3  # what a stream is drawn for, beside the first proposals
MOST_CHANGES = 4  # decisions in which a mutant differs from its parent: 1, or with half the probability one more
MOST_AT_ONCE = 64  # proposals from one state; more begin again at the best


class Guided:
    """Proposes the candidate with the largest expected improvement under a Gaussian process over all trials so far.

    The first `start` proposals are uniform. Then a surrogate (`archwright.controllers.surrogate`) learns from every
    trial, failed ones too, and ranks candidates that are drawn afresh: uniform architectures, mutants of the best
    trials, and samples of an LSTM policy that is trained by policy gradient on the logarithm of the expected
    improvement (`updates` steps after every trial; see `archwright.controllers.imagination`). The best candidate that
    has not been tried is proposed; several at once as if those before had scored what is expected of them.

    Features come from the decisions, and from `Space.features` where a space has them. A proposal is a function of the
    trials told, so nothing is stored but them: a resumed run tells them again.

    Args:
        space: what is searched.
        start: uniform proposals before the first model.
        random, mutants, sampled: candidates of each kind, for each proposal; `sampled` 0 is without the policy.
        parents: the best trials, whose mutants are candidates.
        features: whether the surrogate sees `Space.features`, or decisions alone.
        refit: trials between fits of the surrogate's weights; from ten times as many on, a tenth of the trials.
        surrogate: without it the candidate is drawn uniformly among the candidates (to see what the surrogate is for).
        updates: policy gradient steps after every trial.
        learning_rate: of the policy.
        batch: answers it wants before it changes.
        seed: of everything random.
    """

    def __init__(
        self,
        space: Space,
        *,
        start: int = START,
        random: int = 40,
        mutants: int = 110,
        sampled: int = 0,
        parents: int = 5,
        features: bool = True,
        refit: int = 5,
        surrogate: bool = True,
        updates: int = 2,
        learning_rate: float = 0.01,
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        if min(start, refit, parents, batch) < 1 or min(random, mutants, sampled, updates) < 0:
            raise ConfigError(
                f"Guided(start={start!r}, refit={refit!r}, parents={parents!r}, batch={batch!r}, random={random!r}, "
                f"mutants={mutants!r}, sampled={sampled!r}, updates={updates!r}): the first four must be at least 1, "
                "the others at least 0"
            )
        if random + mutants + sampled < 1:
            raise ConfigError("Guided: random, mutants and sampled are all 0, so there would be no candidates")
        self.space, self.batch, self.seed = space, batch, seed
        self._start, self._refit, self._parents = start, refit, parents
        self._random, self._mutants, self._sampled = random, mutants, sampled
        self._features, self._with_surrogate = features, surrogate
        self._updates, self._learning_rate = updates, learning_rate
        self._reset()

    def _reset(self) -> None:
        self._tried: list[tuple[Architecture, float]] = []
        self._following = 0  # the stream after the last one told
        self._describer = Describer(self.space, features=self._features)
        self._weights: Weights | None = None
        self._fit_at = self._start  # trials at which the weights are fitted next
        self._model: Surrogate | None = None
        self._best = 0.0  # score
        self._picks: list[Architecture] | None = None
        self._expected = float("nan")
        self._policy = None
        if self._sampled:
            from archwright.controllers.imagination import Imagination

            self._policy = Imagination(self.space, learning_rate=self._learning_rate, seed=self.seed)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        """The stream after the last one told gets the best candidate, the next one the best beside it, and so on."""
        return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        space = self.space.grown(stream)
        if len(self._tried) < self._start:
            return sample(space, (self.seed, stream))
        place = (stream - self._following) % MOST_AT_ONCE
        picks = self._pick(place + 1)
        if place >= len(picks):  # everything near and everything drawn has been tried
            return sample(space, (self.seed, stream))
        return adapt(space, picks[place], (self.seed, stream))

    def _pick(self, count: int) -> list[Architecture]:
        """At least the first `count` picks of the present state, if there are as many candidates."""
        if self._picks is None or len(self._picks) < count:
            candidates, rng = self._candidates()
            if not self._with_surrogate:
                self._picks = [candidates[i] for i in rng.permutation(len(candidates))]
                return self._picks
            self._picks = []
            marks = [self._describer.marks(candidate) for candidate in candidates]
            model = self._model
            assert model is not None
            while candidates and len(self._picks) < count:
                mean, deviation = model.predict(self._describer.describe(marks))
                improvement = expected_improvement(mean, deviation, self._best)
                if not improvement.max() > 0:  # too small for a float
                    improvement = mean
                at = int(np.argmax(improvement))
                if not self._picks:
                    self._expected = float(improvement[at])
                self._picks.append(candidates.pop(at))
                chosen = marks.pop(at)
                if len(self._picks) < count:
                    model = model.believing(self._describer.describe([chosen]))
        return self._picks

    def _candidates(self) -> tuple[list[Architecture], np.random.Generator]:
        """Candidates that have not been tried, each once."""
        space, number = self.space.grown(self._following), len(self._tried)
        rng = generator((self.seed, number, CANDIDATES))
        found = dict.fromkeys(self._mutated(space, rng))
        found.update(dict.fromkeys(sample(space, rng) for _ in range(self._random)))
        if self._policy is not None:
            found.update(dict.fromkeys(self._policy.sample(space, self._sampled, number=number)))
        tried = {architecture for architecture, _ in self._tried}
        return [candidate for candidate in found if candidate not in tried], rng

    def _mutated(self, space: Space, rng: np.random.Generator) -> Iterable[Architecture]:
        best = sorted(self._tried, key=lambda one: -one[1])[: self._parents]
        parents = [adapt(space, architecture, (self.seed, place)) for place, (architecture, _) in enumerate(best)]
        for number in range(self._mutants):
            mutated = parents[number % len(parents)]
            for _ in range(min(MOST_CHANGES, int(rng.geometric(0.5)))):
                mutated = mutate(space, mutated, rng)
            yield mutated

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Learn from trials, one after the other. The state is the trials, which are told again: it never changes."""
        for trial in trials:
            self._tried.append((trial.architecture, trial.reward))
            self._following = max(self._following, trial.proposal.stream + 1)
            self._describer.learn(self._describer.marks(trial.architecture))
            self._picks = None
            if len(self._tried) >= self._start and (self._policy is not None or trial is trials[-1]):
                self._learn()
        return False

    def _learn(self) -> None:
        """The model of everything told, its weights fitted to the trials up to the last time they were due."""
        columns = self._describer.group_of_column
        known = self._describer.learned
        while self._fit_at <= len(self._tried):
            due, self._fit_at = self._fit_at, self._fit_at + max(self._refit, self._fit_at // 10)
            if self._fit_at > len(self._tried) and self._with_surrogate:
                scores = normal_scores([reward for _, reward in self._tried[:due]])
                then = known.first(due, columns)
                self._weights = fit(then, scores, columns[: then.marks.shape[1]])
        if not self._with_surrogate:
            return
        assert self._weights is not None
        scores = normal_scores([reward for _, reward in self._tried])
        self._best = float(scores.max())
        self._model = Surrogate(known, scores, columns, self._weights)
        if self._policy is not None:
            space, number = self.space.grown(self._following), len(self._tried)
            self._policy.train(space, self._value, updates=self._updates, number=number)

    def _value(self, architectures: Sequence[Architecture]) -> Floats:
        """What the policy is rewarded with: the logarithm, since an improvement is 1e-9 as easily as 1."""
        assert self._model is not None
        marks = [self._describer.marks(architecture) for architecture in architectures]
        mean, deviation = self._model.predict(self._describer.describe(marks))
        return np.asarray(np.log(expected_improvement(mean, deviation, self._best) + 1e-12))

    def metrics(self) -> Mapping[str, float]:
        """`noise`: the share of the scores' variance that is an evaluation's own; `expected_improvement`: of the last
        proposal, in standard deviations of the scores."""
        figures = {"expected_improvement": self._expected}
        return figures if self._weights is None else {**figures, "noise": self._weights.noise}

    def state_dict(self) -> State:
        """Empty: see `tell`."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Forget all trials, to be told again."""
        self._reset()
