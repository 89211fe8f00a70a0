"""Model-based search for budgets of tens to hundreds of trials: a surrogate picks the candidates worth evaluating."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from archwright.controllers.features import Featurizer, Floats
from archwright.controllers.hypervolume import FrontModel, scaled
from archwright.controllers.objectives import values_of
from archwright.controllers.surrogate import BestModel, Surrogate, Weights, fit, normal_scores
from archwright.controllers.threads import one_blas_thread
from archwright.errors import ConfigError
from archwright.fronts import front
from archwright.loop import Proposal, State, Trial
from archwright.space import Architecture, Space, adapt, generator, sample

START = 12  # at 6,000 s of NAS-Bench-201 6, 10 and 15 gave 94.10, 94.25 and 94.26 (30 runs of a sketch, no magnitudes)
INFORMED = 6  # with magnitudes: after 1,500 s 93.66 (12: 92.89), after 3,000 s and later the same (60 runs of a sketch)
CANDIDATES, CROSSING, NEAR = 3, 4, 5  # purposes of a stream, beside the first proposals
AROUND = 30  # mutants in one decision at each step of a climb
MOST_CHANGES = 4  # decisions in which a mutant differs from its parent: 1, or with half the probability one more
MOST_AT_ONCE = 64  # proposals from one state; more begin again at the best


def usual_start(space: Space, *, magnitudes: bool = True) -> int:
    """Return how many proposals are uniform where nothing else is said."""
    return INFORMED if magnitudes and space.magnitudes(sample(space, 0)) else START


class Guided:
    """Proposes the candidate with the largest expected improvement under a Gaussian process over all trials so far.

    With several `objectives` that is the improvement of their hypervolume, under a process for each
    (`archwright.controllers.hypervolume`), and mutants are those of the front.

    The first `start` proposals are uniform. Then a surrogate (`archwright.controllers.surrogate`) learns from every
    trial, failed ones too, and ranks fresh candidates: uniform architectures, mutants of the best trials (in a space
    that crosses every other one is made of two of them first), and samples of an LSTM policy trained by policy gradient
    on the logarithm of the expected improvement (`updates` steps after every trial; see
    `archwright.controllers.surrogate_policy`). The best untried candidate is proposed; several at once as if those
    before had scored their expectation.

    Features come from the decisions, and from `Space.features` where a space has them. A proposal is a function of the
    reported trials, so only they are stored: a resumed run reports them again.

    Args:
        space: what is searched.
        start: uniform proposals before the first model; None: 12, or 6 where the space has magnitudes.
        random, mutants, sampled: candidates of each kind, for each proposal; `sampled` 0 is without the policy.
        parents: the number of best trials whose mutants are candidates.
        climb: steps from the best candidate to the best of its mutants, if that is better.
        near: every so many trials the proposal differs from the best trial in one decision; 0: never.
        features: whether the surrogate sees `Space.features` and `Space.magnitudes`, or decisions alone.
        magnitudes: whether it sees `Space.magnitudes`.
        refit: trials between fits of the surrogate's weights; from ten times as many on, a tenth of the trials.
        surrogate: without it the proposal is uniform among the candidates (an ablation).
        updates: policy gradient steps after every trial.
        learning_rate: of the policy.
        objectives: several at once, by the metrics of a trial that hold them, larger is better; none: the reward.
        batch: proposals asked for at a time.
        seed: of everything random.
    """

    def __init__(
        self,
        space: Space,
        *,
        start: int | None = None,
        random: int = 40,
        mutants: int = 110,
        sampled: int = 0,
        parents: int = 5,
        climb: int = 3,
        near: int = 3,
        features: bool = True,
        magnitudes: bool = True,
        refit: int = 5,
        surrogate: bool = True,
        updates: int = 2,
        learning_rate: float = 0.01,
        objectives: Sequence[str] = (),
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        magnitudes = features and magnitudes
        start = usual_start(space, magnitudes=magnitudes) if start is None else start
        if min(start, refit, parents, batch) < 1 or min(random, mutants, sampled, climb, near, updates) < 0:
            raise ConfigError(
                f"Guided({start=}, {refit=}, {parents=}, {batch=}, {random=}, {mutants=}, {sampled=}, {climb=}, "
                f"{near=}, {updates=}): the first four must be at least 1, the others at least 0"
            )
        if random + mutants + sampled < 1:
            raise ConfigError("Guided: random, mutants and sampled are all 0, so there would be no candidates")
        self.space, self.batch, self.seed = space, batch, seed
        self._start, self._refit, self._parents = start, refit, parents
        self._random, self._mutants, self._sampled, self._climb = random, mutants, sampled, climb
        self._near = near
        self._features, self._magnitudes, self._with_surrogate = features, magnitudes, surrogate
        self._updates, self._learning_rate, self._objectives = updates, learning_rate, tuple(objectives)
        self.load_state_dict({})

    @property
    def uniform(self) -> int:
        """The proposals that are uniform."""
        return self._start

    def load_state_dict(self, state: State) -> None:
        self._tried: list[tuple[Architecture, float]] = []
        self._following = 0  # the stream after the last one reported
        self._featurizer = Featurizer(self.space, features=self._features, magnitudes=self._magnitudes)
        self._values: list[tuple[float, ...] | None] = []  # of several objectives; None of a failed trial
        self._weights: list[Weights] = []
        self._fit_at = self._start  # trials at which the weights are fitted next
        self._model: BestModel | FrontModel | None = None
        self._picks: list[Architecture] | None = None
        self._expected = float("nan")
        self._policy = None
        if self._sampled:
            from archwright.controllers.surrogate_policy import SurrogatePolicy

            self._policy = SurrogatePolicy(self.space, learning_rate=self._learning_rate, seed=self.seed)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        with one_blas_thread():
            return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        space = self.space.grown(stream)
        if len(self._tried) < self._start:
            return sample(space, (self.seed, stream))
        place = (stream - self._following) % MOST_AT_ONCE
        picks = self._pick(place + 1)
        if place < len(picks):
            return adapt(space, picks[place], (self.seed, stream))
        return sample(space, (self.seed, stream))  # all candidates have been tried

    def _pick(self, count: int) -> list[Architecture]:
        """Return at least the first `count` picks of the present state, if there are as many candidates."""
        if self._picks is not None and len(self._picks) >= count:
            return self._picks
        candidates, rng = self._candidates()
        if (model := self._model) is None:  # the ablation
            self._picks = [candidates[i] for i in rng.permutation(len(candidates))]
            return self._picks
        self._picks = []
        known, read = {architecture for architecture, _ in self._tried}, self._featurizer.read
        reads = [read(candidate) for candidate in candidates]
        ring = self._ring(known)
        while candidates and len(self._picks) < count:
            improvement = model.improvement(self._featurizer.describe(reads))
            at = int(np.argmax(improvement))
            if not self._picks:
                self._expected = float(improvement[at])
            if ring:
                chosen = ring[int(np.argmax(model.improvement(self._featurizer.describe([read(one) for one in ring]))))]
                ring = []
            else:
                chosen = self._climbed(model, candidates[at], known, rng)
            self._picks.append(chosen)
            known.add(chosen)
            if chosen in candidates:
                at = candidates.index(chosen)
                del candidates[at], reads[at]
            if len(self._picks) < count:
                model = model.believing(self._featurizer.describe([read(chosen)]))
        return self._picks

    def _ring(self, known: Collection[Architecture]) -> list[Architecture]:
        """Return untried mutants, in one decision, of the best trial or one of the front, where a proposal is due."""
        if not self._near or len(self._tried) % self._near:
            return []
        space, rng = self.space.grown(self._following), generator((self.seed, len(self._tried), NEAR))
        best = self._best()
        centre = best[int(rng.integers(len(best)))] if self._objectives else best[0]
        centre = adapt(space, centre, (self.seed, 0))
        return [one for one in dict.fromkeys(space.varied(centre, rng) for _ in range(2 * AROUND)) if one not in known]

    def _climbed(
        self,
        model: BestModel | FrontModel,
        top: Architecture,
        known: Collection[Architecture],
        rng: np.random.Generator,
    ) -> Architecture:
        """Return where a climb ends that begins at a candidate and goes to the best untried one of its mutants."""
        space, describe, read = self.space.grown(self._following), self._featurizer.describe, self._featurizer.read
        best = float(model.expected(describe([read(top)]))[0]) if self._climb else 0.0
        for _ in range(self._climb):
            around = [one for one in dict.fromkeys(space.varied(top, rng) for _ in range(AROUND)) if one not in known]
            if not around or best <= 0:  # too small for a float: no way is up
                break
            expected = model.expected(describe([read(one) for one in around]))
            at = int(np.argmax(expected))
            if expected[at] <= best:
                break
            top, best = around[at], float(expected[at])
        return top

    def _candidates(self) -> tuple[list[Architecture], np.random.Generator]:
        """Return untried candidates, each once, and the random stream that goes on."""
        space, number = self.space.grown(self._following), len(self._tried)
        rng, crossing = (generator((self.seed, number, purpose)) for purpose in (CANDIDATES, CROSSING))
        parents = [adapt(space, architecture, (self.seed, place)) for place, architecture in enumerate(self._best())]
        found = []
        for mutant in range(self._mutants):
            mutated = parents[mutant % len(parents)]
            if mutant // len(parents) % 2:
                other = parents[int(crossing.integers(len(parents)))]
                mutated = space.crossed(mutated, other, crossing) or mutated
            for _ in range(min(MOST_CHANGES, int(rng.geometric(0.5)))):
                mutated = space.varied(mutated, rng)
            found.append(mutated)
        found += [sample(space, rng) for _ in range(self._random)]
        if self._policy is not None:
            found += self._policy.sample(space, self._sampled, number=number)
        tried = {architecture for architecture, _ in self._tried}
        return [candidate for candidate in dict.fromkeys(found) if candidate not in tried], rng

    def _best(self) -> list[Architecture]:
        """Return the trials whose mutants are candidates: the best, or the whole front."""
        if places := front(self._values):
            return [self._tried[place][0] for place in places]
        return [architecture for architecture, _ in sorted(self._tried, key=lambda one: -one[1])[: self._parents]]

    def tell(self, trials: Sequence[Trial]) -> bool:
        for trial in trials:
            self._tried.append((trial.architecture, trial.reward))
            self._values.append(values_of(trial, self._objectives))
            self._following = max(self._following, trial.proposal.stream + 1)
            self._featurizer.learn(self._featurizer.read(trial.architecture))
            self._picks = None
            ready = self._with_surrogate and len(self._tried) >= self._start
            if ready and (self._policy is not None or trial is trials[-1]):
                with one_blas_thread():
                    self._learn()
        return False

    def _learn(self) -> None:
        """Refit the surrogate to all reported trials; its weights only when due."""
        known, columns = self._featurizer.learned, self._columns()
        due = 0
        while self._fit_at <= len(columns):
            due, self._fit_at = self._fit_at, self._fit_at + max(self._refit, self._fit_at // 10)
        if due:
            scale = scaled if self._objectives else normal_scores
            self._weights = [fit(known.first(due), scale(column)) for column in columns[:due].T]
        if self._objectives:
            self._model = FrontModel(known, columns, self._weights)
        else:
            scores = normal_scores(columns[:, 0])
            self._model = BestModel(Surrogate(known, scores, self._weights[0]), float(scores.max()))
        if self._policy is not None:
            space = self.space.grown(self._following)
            self._policy.train(space, self._value, updates=self._updates, number=len(columns))

    def _columns(self) -> Floats:
        """Return what the surrogates learn from, [trials, objectives]; a failed trial has the worst of each."""
        if not self._objectives:
            return np.array([[reward] for _, reward in self._tried])
        sound = [values for values in self._values if values is not None]
        worst = np.min(sound, axis=0) if sound else np.zeros(len(self._objectives))
        return np.array([worst if values is None else values for values in self._values], dtype=float)

    def _value(self, architectures: Sequence[Architecture]) -> Floats:
        """Return the policy's rewards: logarithms, since an improvement is 1e-9 as easily as 1."""
        assert self._model is not None
        marks = [self._featurizer.read(architecture) for architecture in architectures]
        return np.asarray(np.log(self._model.expected(self._featurizer.describe(marks)) + 1e-12))

    def metrics(self) -> Mapping[str, float]:
        # The noise is an evaluation's share of the scores' variance; the improvement is in their standard deviations.
        noise = {"noise": self._weights[0].noise} if self._weights else {}
        return {"expected_improvement": self._expected, **noise}

    def state_dict(self) -> State:
        return {}  # the trials are the state
