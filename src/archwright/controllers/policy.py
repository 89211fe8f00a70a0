"""The controller's network: an LSTM that asks a space's questions of itself (Zoph & Le 2017; Pham et al. 2018, ENAS).

Every question of a space's program, anchors included, is one step of the LSTM, and its top hidden state h answers:

- `Choice`: softmax(h W_vocabulary), one head and one embedding for each vocabulary of the space.
- `Link`: softmax over the anchors a in `among` of v^T tanh(W_previous a + W_current h).
- `Links`: an independent sigmoid of the same score for each anchor (NAS, section 3.3; the official ENAS code samples
  from a softmax over [-score, score], which is the sigmoid of twice the score).
- `Anchor`: nothing is asked. Its h is the anchor's *value* and W_previous h its *key*: scores compare with the key, and
  the value is what is fed on. A `given` anchor has a key like any other, but its value is zeros (official ENAS code).
  A `Links` step with an `anchor` is that anchor.

Logits u become constant * tanh(u / temperature) (ENAS); None leaves a part out.

The first step is fed a learned start input. What is fed next

- after a `Choice`: the embedding of the option (all papers);
- after a `Link`: the value of the anchor (ENAS, official micro code);
- after `Links`: the sum of the chosen values / (1 + how many are chosen) (ENAS, official macro code; NAS leaves it
  open), or the start input if there was no anchor to choose from;
- after an `Anchor`: the start input (ENAS, official code).

The LSTM has no biases unless asked for, as in the official code, and starts from zero states. Sampling and scoring
given architectures (teacher forcing) are one rollout, `lockstep.play`: it runs any mixture of programs side by side.
When sampling, the groups of a step are answered as they come up; when scoring, the answers are known, so the LSTM runs
once over the whole script and all heads follow together. The parameters stay on the CPU: these are some fifty
dependent steps of twenty rows, each over sooner than a GPU can be told to begin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from archwright.architecture import Architecture
from archwright.controllers.attention import Attention, Squash
from archwright.controllers.draws import Streams, draw_one, draw_set
from archwright.controllers.lockstep import Group, Inputs, Kind, Section, Step, padded, play
from archwright.controllers.recurrence import Layer, Weights, advance, take_in
from archwright.controllers.rollout import Rollout, hide, judge
from archwright.controllers.tracks import Answers, Ints, encoded
from archwright.controllers.unrolled import run
from archwright.decisions import Choice, Link, Links
from archwright.errors import ConfigError, SpaceError
from archwright.space import Space, check

_ANCHORS = 16  # rooms for anchors made at first when sampling


class Policy(nn.Module):
    """A distribution over the architectures of a space, for sampling and for learning. See the module's docstring.

    Parameters are uniform in [-init, init] from `seed`; they depend on the space's vocabularies (in sorted order) and
    on no field that may change with `space.grown`.
    """

    def __init__(
        self,
        space: Space,
        *,
        units: int = 100,  # ENAS; NASNet too
        layers: int = 1,
        bias: bool = False,
        init: float = 0.1,  # ENAS: U[-0.1, 0.1]
        temperature: float | None = 5.0,  # ENAS
        tanh_constant: float | None = 2.5,  # ENAS
        choice_tanh_constant: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if units < 1 or layers < 1:
            raise ConfigError(f"an LSTM of {layers} layers and {units} units: both must be at least 1")
        self.inputs = Inputs.of(space)
        options = self.inputs.start
        self.embedding = nn.Parameter(torch.empty(options, units))
        self.head = nn.Parameter(torch.empty(options, units))
        self.start = nn.Parameter(torch.empty(units))
        self.lstm = nn.Parameter(torch.empty(layers, 2 * units, 4 * units))
        self.lstm_bias = nn.Parameter(torch.empty(layers, 4 * units)) if bias else None
        self.attention = Attention(units)
        self._squash_links = Squash(temperature, tanh_constant)
        self._squash_choice = Squash(
            temperature, tanh_constant if choice_tanh_constant is None else choice_tanh_constant
        )
        source = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for _, parameter in sorted(self.named_parameters()):
                parameter.uniform_(-init, init, generator=source)

    @torch.no_grad()
    def sample(self, spaces: Sequence[Space], seeds: Sequence[int | tuple[int, ...]]) -> Rollout:
        """One architecture of each space, drawn from the stream of each seed; without gradients.

        A Choice or Link takes one uniform number from its lane's stream, Links one for each anchor. So a lane's
        architecture is its own, whatever the rest of the batch is (but for rounding: products of other sizes may be
        summed in another order, which moves a probability by some 1e-7).
        """
        self._serves(spaces)
        batch, first = len(spaces), self.inputs.anchors
        streams = Streams(seeds)
        weights = Weights(self.lstm, self.lstm_bias)
        table = self._table()
        keys = table.new_empty(0, weights.units)
        now = [Layer(self.lstm, 1, batch, weights.units).moments[0] for _ in self.lstm]
        seen: dict[Section, list[NDArray[np.float32]]] = {}

        def answer(step: Step) -> list[Answers]:
            nonlocal table, keys
            take_in(now[0].gates, table, step)
            hidden = advance(weights, now, now if step.number else None)
            if step.anchor is not None:
                at = step.anchor * batch
                if at == len(keys):
                    more = max(_ANCHORS, step.anchor) * batch
                    keys = torch.cat([keys, keys.new_empty(more, keys.shape[1])])
                    table = torch.cat([table, table.new_empty(more, table.shape[1])])
                torch.mm(hidden, self.attention.previous, out=keys[at : at + batch])
                torch.mm(hidden, weights.inputs[0], out=table[first + at : first + at + batch])
            answers: list[Answers] = []
            for group in step.groups:
                states = hidden if group.shared else hidden.index_select(0, torch.from_numpy(group.lanes))
                logits = self._logits(group.kind, group.vocabulary, states, keys, group.keys)
                answers.append(_drawn(group, logits, streams))
                seen.setdefault((group.kind, group.vocabulary), []).append(logits.numpy())
            return answers

        script = play(spaces, self.inputs, answer)
        return judge(script, {section: torch.from_numpy(padded(logits)) for section, logits in seen.items()})

    def score(self, spaces: Sequence[Space], architectures: Sequence[Architecture]) -> Rollout:
        """The log-probability and entropy of given architectures, one of each space (teacher forcing).

        Raises: SpaceError, if an architecture is not one of its space.
        """
        self._serves(spaces)

        def answer(step: Step) -> list[Answers]:
            return [encoded(group.questions, [architectures[lane] for lane in group.lanes]) for group in step.groups]

        try:
            script = play(spaces, self.inputs, answer)
        except (KeyError, ValueError, TypeError):  # an answer is missing or impossible
            for space, architecture in zip(spaces, architectures, strict=True):
                check(space, architecture)
            raise
        for space, given, made in zip(spaces, architectures, script.architectures, strict=True):
            if given != made:  # surplus answers, or another space's fields
                check(space, given)
        if not script.steps:  # a program that asks nothing
            return judge(script, {})
        hidden = run(self._table(), script.steps, self.lstm, self.lstm_bias)
        anchored = hidden[[step.number for step in script.steps if step.anchor is not None]]
        keys = self.attention.keys(anchored.reshape(-1, hidden.shape[2]))
        logits = {}
        for section, decided in script.sections().items():
            rows = np.concatenate([number * len(spaces) + group.lanes for number, group, _ in decided])
            states = hidden.reshape(-1, hidden.shape[2]).index_select(0, torch.from_numpy(rows))
            logits[section] = self._logits(*section, states, keys, padded([group.keys for _, group, _ in decided]))
        return judge(script, logits)

    def _serves(self, spaces: Sequence[Space]) -> None:
        for space in {id(space): space for space in spaces}.values():
            if Inputs.of(space) != self.inputs:
                raise SpaceError(
                    f"{space.name}: the policy was made for other vocabularies than {dict(space.vocabularies)}; "
                    "they must stay the same in every space that `grown` returns"
                )

    def _table(self) -> Float[Tensor, "rows gates"]:
        """The fixed rows of the input table, times the bottom layer's input weights."""
        fixed = torch.cat([self.embedding, torch.stack([self.start, torch.zeros_like(self.start)])])
        return fixed @ self.lstm[0, : len(self.start)]

    def _logits(
        self,
        kind: Kind,
        vocabulary: str,
        states: Float[Tensor, "rows units"],
        keys: Float[Tensor, "anchors units"],
        among: Ints,
    ) -> Float[Tensor, "rows options"]:
        """The logits of one section's questions, asked in these states; `among` [rows, anchors] numbers the keys."""
        if kind is Choice:
            return self._squash_choice(states @ self.head[self.inputs.options[vocabulary]].t())
        return self._squash_links(self.attention(states, keys, torch.from_numpy(among)))


def _drawn(group: Group, logits: Float[Tensor, "lanes options"], streams: Streams) -> Answers:
    if group.kind is Links:
        return draw_set(torch.sigmoid(logits).numpy(), group, streams)
    if group.kind is Link and not group.shared:  # lanes may have different numbers of anchors
        logits = hide(logits, torch.arange(logits.shape[1]) < torch.from_numpy(group.sizes).unsqueeze(1))
    return draw_one(torch.softmax(logits, 1).numpy(), group, streams)
