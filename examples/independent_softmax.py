"""REINFORCE as the authors of NAS-Bench-201 have it: no LSTM, but a softmax of its own for each decision.

After their code (AutoDL-Projects, exps/NAS-Bench-201-algos/reinforce.py): logits from N(0, 0.001^2), one Adam step
after every reward, a moving average of momentum 0.9 with bias correction that has taken the reward in before it is
compared with it. The paper says a learning rate of 0.001; their scripts have 0.001, 0.005, 0.01, and a list up to 0.5.

    archwright bench --table FILE --runs 500 \
        --strategies random,examples/independent_softmax.py:Edges+learning_rate=0.01
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archwright.loop import Proposal, State, Trial
from archwright.space import Choice, Space, fixed_decisions, generator, replay

START = 1  # what a stream is drawn for


class Edges:
    """For static spaces of choices alone. `seed` is of the logits and, with the stream's number, of the proposals."""

    def __init__(
        self, space: Space, *, learning_rate: float = 0.001, momentum: float = 0.9, batch: int = 1, seed: int = 0
    ) -> None:
        self.space, self.batch, self.seed = space, batch, seed
        self._questions = [q for q in fixed_decisions(space) or () if isinstance(q, Choice)]
        self._rate, self._momentum = learning_rate, momentum
        rng = generator((seed, START))
        self._logits = [1e-3 * rng.standard_normal(len(question.options)) for question in self._questions]
        self._first = [np.zeros_like(logits) for logits in self._logits]
        self._second = [np.zeros_like(logits) for logits in self._logits]
        self._average, self._share, self._updates = 0.0, 0.0, 0

    def _probabilities(self) -> list[np.ndarray]:
        raised = [np.exp(logits - logits.max()) for logits in self._logits]
        return [each / each.sum() for each in raised]

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        probabilities = self._probabilities()
        proposals = []
        for stream in streams:
            rng = generator((self.seed, stream))
            numbers = [min(int((p.cumsum() < rng.random()).sum()), len(p) - 1) for p in probabilities]
            answers = {q.name: q.options[number] for q, number in zip(self._questions, numbers, strict=True)}
            proposals.append(Proposal(stream, replay(self.space, answers)))
        return proposals

    def tell(self, trials: Sequence[Trial]) -> bool:
        for trial in trials:
            self._average = self._momentum * self._average + (1 - self._momentum) * trial.reward
            self._share = self._momentum * self._share + (1 - self._momentum)
            self._step(trial, trial.reward - self._average / self._share)
        return bool(trials)

    def _step(self, trial: Trial, advantage: float) -> None:
        self._updates += 1
        for place, (question, p) in enumerate(zip(self._questions, self._probabilities(), strict=True)):
            slope = p.copy()
            slope[question.options.index(trial.architecture[question.name])] -= 1
            slope *= advantage
            self._first[place] = 0.9 * self._first[place] + 0.1 * slope
            self._second[place] = 0.999 * self._second[place] + 0.001 * slope**2
            mean = self._first[place] / (1 - 0.9**self._updates)
            deviation = np.sqrt(self._second[place] / (1 - 0.999**self._updates))
            self._logits[place] = self._logits[place] - self._rate * mean / (deviation + 1e-8)

    def state_dict(self) -> State:
        return {"logits": self._logits, "first": self._first, "second": self._second, "average": self._average} | {
            "share": self._share,
            "updates": self._updates,
        }

    def load_state_dict(self, state: State) -> None:
        self._logits, self._first, self._second = (list(state[name]) for name in ("logits", "first", "second"))
        self._average, self._share, self._updates = state["average"], state["share"], state["updates"]
