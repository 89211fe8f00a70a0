"""The controller's network: an LSTM that answers a space's questions (Zoph & Le 2017; Pham et al. 2018, ENAS).

Every question of a space's program, anchors included, is one step of the LSTM, and its top hidden state h answers:

- `Choice`: softmax(h W_vocabulary), one head and one embedding for each vocabulary of the space; over the options that
  are offered, with the logarithms of their weights, if they have any, added to the logits.
- `Link`: softmax over the anchors a in `among` of v^T tanh(W_previous a + W_current h).
- `Links`: an independent sigmoid of the same score for each anchor (NAS, section 3.3; the official ENAS code samples
  from a softmax over [-score, score], which is the sigmoid of twice the score).
- `Anchor`: nothing is asked. Its h is the anchor's *value*, which is fed on, and W_previous h its *key*, which scores
  compare with. A `given` anchor has a key like any other, but its value is zeros (official ENAS code). A `Links` step
  with an `anchor` is that anchor.

Logits u become constant * tanh(u / temperature) (ENAS); None leaves a part out.

The first step is fed a learned start input. The next is fed

- after a `Choice`: the embedding of the option (all papers);
- after a `Link`: the value of the anchor (ENAS, official micro code);
- after `Links`: the sum of the chosen values / (1 + how many are chosen) (ENAS, official macro code; NAS leaves it
  open), or the start input if there was no anchor to choose from;
- after an `Anchor`: the start input (ENAS, official code).

The LSTM has no biases by default, as in the official code, and starts from zero states. Sampling answers the groups of
a step as they come up; scoring given architectures (teacher forcing) knows the answers, so the heads follow together
after the last step. The parameters stay on the CPU: each of some fifty dependent steps of twenty rows takes less time
than launching it on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from archwright.architecture import Architecture
from archwright.controllers.answers import Rollout, Streams, overruled, sampled, scored
from archwright.controllers.programs import Answers, Ints, encoded
from archwright.controllers.rollout import Inputs, Kind, Section, Step, padded, play
from archwright.decisions import Answer, Choice, Decision
from archwright.errors import ConfigError, SpaceError
from archwright.space import Space, check
from archwright.walk import belongs


def bounded(
    logits: Float[Tensor, "rows options"], temperature: float | None, constant: float | None
) -> Float[Tensor, "rows options"]:
    """Return constant * tanh(logits / temperature) (ENAS; None leaves a part out)."""
    if temperature is not None:
        logits = logits / temperature
    return logits if constant is None else constant * torch.tanh(logits)


def log_weights(asked: Sequence[Decision], width: int) -> NDArray[np.float32] | None:
    """Return the logarithms of the options' weights [rows, width], 0 where there is none; None if no Choice has any."""
    weights = [question.weights if isinstance(question, Choice) else None for question in asked]
    if not any(weights):
        return None
    prior = np.zeros((len(weights), width), dtype=np.float32)
    for row, own in zip(prior, weights, strict=True):
        row[: len(own or ())] = np.log(own or ())
    return prior


class Attention(nn.Module):
    """Scores v^T tanh(W_previous a + W_current h) of anchors a for a hidden state h (Zoph & Le 2017, section 3.3)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.previous = nn.Parameter(torch.empty(units, units))
        self.current = nn.Parameter(torch.empty(units, units))
        self.score = nn.Parameter(torch.empty(units))

    def forward(
        self,
        states: Float[Tensor, "rows units"],
        keys: Float[Tensor, "anchors units"],
        among: Int[Tensor, "rows width"],
    ) -> Float[Tensor, "rows width"]:
        """Score each row's state with the anchors that its row of `among` numbers; `keys` are W_previous a."""
        compared = keys.index_select(0, among.flatten()).view(*among.shape, len(self.score))
        compared += (states @ self.current).unsqueeze(1)
        scores: Tensor = compared.tanh_() @ self.score
        return scores


class Unrolled:
    """The LSTM, one step at a time: o, i, f, g = split(x W_x + h W_h + b); c = f c + i g; h = o tanh(c).

    Weights are `lstm` [layers, 2 * units, 4 * units], on input and hidden state. The bottom layer's x is an entry of a
    table of everything that can be fed: the `fixed` inputs, then the anchors so far. The table holds x W_x. Gradients
    are autograd's: a backward pass written by hand made ask and tell together only 1.05 to 1.26 times as fast.
    """

    def __init__(
        self,
        fixed: Float[Tensor, "entries units"],
        lstm: Float[Tensor, "layers two_units gates"],
        bias: Float[Tensor, "layers gates"] | None = None,
    ) -> None:
        inputs, hidden = lstm.chunk(2, dim=1)
        self._inputs, self._hidden = inputs.unbind(0), hidden.unbind(0)
        self._bias = None if bias is None else bias.unbind(0)
        self._table = fixed @ self._inputs[0]
        self._states: list[tuple[Tensor, Tensor]] = []  # hidden state and cell of each layer

    def step(self, step: Step) -> Float[Tensor, "batch units"]:
        """Return the top hidden state after one more step; it joins the table if it is an anchor."""
        gates = self._table.index_select(0, torch.from_numpy(step.entries))
        if step.feed is not None:
            shares = torch.from_numpy(step.feed.shares).to(gates.dtype).unsqueeze(1)
            fed = self._table.index_select(0, torch.from_numpy(step.feed.entries)) * shares
            gates = gates.index_add(0, torch.from_numpy(step.feed.rows), fed)
        hidden = gates
        before, self._states = self._states, []
        units = gates.shape[1] // 4
        for layer, weights in enumerate(self._hidden):
            if layer:
                gates = hidden @ self._inputs[layer]
            if self._bias is not None:
                gates = gates + self._bias[layer]
            if before:
                gates = torch.addmm(gates, before[layer][0], weights)
            sigmoids, g = gates.split_with_sizes((3 * units, units), dim=1)
            o, i, f = sigmoids.sigmoid().chunk(3, dim=1)
            g = g.tanh()
            cell = torch.addcmul(f * before[layer][1], i, g) if before else i * g
            hidden = o * cell.tanh()
            self._states.append((hidden, cell))
        if step.anchor is not None:
            self._table = torch.cat([self._table, hidden @ self._inputs[0]])
        return hidden


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
        self._temperature, self._link_constant = temperature, tanh_constant
        self._choice_constant = tanh_constant if choice_tanh_constant is None else choice_tanh_constant
        source = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for _, parameter in sorted(self.named_parameters()):
                parameter.uniform_(-init, init, generator=source)

    @torch.inference_mode()
    def sample(
        self,
        spaces: Sequence[Space],
        seeds: Sequence[int | tuple[int, ...]],
        kept: Sequence[Mapping[str, Answer]] | None = None,
    ) -> Rollout:
        """Sample one architecture of each space from the stream of each seed, without gradients.

        `kept` has for each row answers that are given instead, where they are among the options that are asked for.

        A Choice or Link takes one uniform number from its row's stream, Links one for each anchor. So an architecture
        does not depend on the rest of the batch (but for rounding: products of other sizes may be summed in another
        order, which moves a probability by some 1e-7).
        """
        self._serves(spaces)
        streams, unrolled = Streams(seeds), self._unrolled()
        keys = self.start.new_empty(0, len(self.start))
        seen: dict[Section, list[NDArray[np.float32]]] = {}

        def answer(step: Step) -> list[Answers]:
            nonlocal keys
            hidden = unrolled.step(step)
            if step.anchor is not None:
                keys = torch.cat([keys, hidden @ self.attention.previous])
            answers: list[Answers] = []
            for group in step.groups:
                states = hidden if group.shared else hidden.index_select(0, torch.from_numpy(group.rows))
                logits = self._logits(group.kind, group.vocabulary, states, keys, group.keys, group.questions)
                answer = sampled(group, logits, streams)
                answers.append(answer if kept is None else overruled(group, answer, kept))
                seen.setdefault((group.kind, group.vocabulary), []).append(logits.numpy())
            return answers

        script = play(spaces, self.inputs, answer)
        logits = {section: torch.from_numpy(padded(parts)) for section, parts in seen.items()}
        return scored(script, script.architectures(), logits)

    def score(self, spaces: Sequence[Space], architectures: Sequence[Architecture]) -> Rollout:
        """Return the log-probability and entropy of given architectures, one of each space (teacher forcing).

        Raises: SpaceError, if an architecture is not one of its space.
        """
        self._serves(spaces)
        for space, architecture in zip(spaces, architectures, strict=True):
            belongs(space, architecture)

        def answer(step: Step) -> list[Answers]:
            return [encoded(group.questions, [architectures[row] for row in group.rows]) for group in step.groups]

        try:
            script = play(spaces, self.inputs, answer)
            if script.decisions() != [len(architecture.answers) for architecture in architectures]:
                raise ValueError("surplus answers")
        except (KeyError, ValueError, TypeError):  # an answer is missing, impossible or not asked for
            for space, architecture in zip(spaces, architectures, strict=True):
                check(space, architecture)
            raise
        if not script.steps:  # a program that asks nothing
            return scored(script, architectures, {})
        unrolled, units = self._unrolled(), len(self.start)
        hidden = torch.stack([unrolled.step(step) for step in script.steps])
        anchored = hidden[[step.number for step in script.steps if step.anchor is not None]]
        keys = anchored.reshape(-1, units) @ self.attention.previous
        logits = {}
        for section, decided in script.sections().items():
            rows = np.concatenate([number * len(spaces) + group.rows for number, group, _ in decided])
            states = hidden.view(-1, units).index_select(0, torch.from_numpy(rows))
            among = padded([group.keys for _, group, _ in decided])
            asked = [question for _, group, _ in decided for question in group.questions]
            logits[section] = self._logits(*section, states, keys, among, asked)
        return scored(script, architectures, logits)

    def _serves(self, spaces: Sequence[Space]) -> None:
        for space in {id(space): space for space in spaces}.values():
            if Inputs.of(space) != self.inputs:
                raise SpaceError(
                    f"{space.name}: the policy was made for other vocabularies than {dict(space.vocabularies)}; "
                    "they must stay the same in every space that `grown` returns"
                )

    def _unrolled(self) -> Unrolled:
        fixed = torch.cat([self.embedding, torch.stack([self.start, torch.zeros_like(self.start)])])
        return Unrolled(fixed, self.lstm, self.lstm_bias)

    def _logits(
        self,
        kind: Kind,
        vocabulary: str,
        states: Float[Tensor, "rows units"],
        keys: Float[Tensor, "anchors units"],
        among: Ints,
        asked: Sequence[Decision],
    ) -> Float[Tensor, "rows options"]:
        """Return the logits of one section's questions, `asked` in these states.

        `among` [rows, options] numbers keys, or the options of a vocabulary.
        """
        if kind is Choice:
            scores = states @ self.head[self.inputs.options[vocabulary]].t()
            scores = bounded(scores, self._temperature, self._choice_constant)
            if among.shape[1] < scores.shape[1] or (among != np.arange(scores.shape[1])).any():
                scores = scores.gather(1, torch.from_numpy(among))
            prior = log_weights(asked, scores.shape[1])
            return scores if prior is None else scores + torch.from_numpy(prior)
        return bounded(self.attention(states, keys, torch.from_numpy(among)), self._temperature, self._link_constant)
