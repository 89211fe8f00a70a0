"""What every exported `model.py` of a language model contains. `language.py` fills in the constants and the cell."""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archwright.export.template import read_safetensors
from archwright.nets.memory import TextMemory

# <constants>
LEVEL = "words"
TOKENS, UNITS, LAYERS, STATES = 1, 1, 1, 1
TIED = False
REMEMBERS = 1  # tokens
CHECK: tuple[tuple[float, ...], ...] = ((0.0,), (0.0,))
# </constants>

WEIGHTS = Path(__file__).with_name("model.safetensors")
VOCABULARY = Path(__file__).with_name("vocabulary.json")
EOS, UNKNOWN = "<eos>", "<unk>"

States = tuple[Tensor, ...]

# <shared/>


# <cell>
class Cell(nn.Module):
    """Stands for the cell."""

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the state after a step that reads x; its first tensor is the output."""
        return state


# </cell>


class Model(nn.Module):
    """Embedding, layers of cells, classifier of the next token.

    States are a tuple of tensors: those of the cells, [batch, LAYERS * STATES, UNITS], and the memory if there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, UNITS)
        self.cells = nn.ModuleList(Cell() for _ in range(LAYERS))
        self.classify = nn.Linear(UNITS, TOKENS)
        if TIED:
            self.classify.weight = self.embedding.weight
        # <memory>
        self.memory = TextMemory(REMEMBERS)
        # </memory>

    def start(self, batch: int) -> States:
        """Return the states before the first token."""
        states: States = (self.embedding.weight.new_zeros(batch, LAYERS * STATES, UNITS),)
        # <memory>
        states += self.memory.start(batch, UNITS)
        # </memory>
        return states

    def step(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Read one token of each row, [batch]; give the logits of the next, [batch, TOKENS], and the new states."""
        x, made = self.embedding(tokens), []
        given = states[0].unbind(1)
        for layer, cell in enumerate(self.cells):
            new = cell(x, *given[layer * STATES : (layer + 1) * STATES])
            made += new
            x = new[0]
        logits = self.classify(x)
        ends: States = (torch.stack(made, dim=1),)
        # <memory>
        if len(states) > 1:
            before = given[(LAYERS - 1) * STATES]  # the output of the step before
            mixed, memory = self.memory(logits[None], x[None], before, tokens[None], states[1:])
            logits, ends = mixed[0], ends + memory
        # </memory>
        return logits, ends

    def forward(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        """Logits [time, batch, TOKENS] of the token after each of [time, batch], and the states to go on with."""
        logits = []
        for row in tokens:
            made, states = self.step(row, states)
            logits.append(made)
        return torch.stack(logits), states


def load(weights: str | Path = WEIGHTS, device: str | torch.device = "cpu") -> Model:
    """Load the model with its weights, ready to read and write."""
    network = Model()
    tensors = read_safetensors(weights)
    if TIED:
        tensors["classify.weight"] = tensors["embedding.weight"]
    network.load_state_dict(tensors)
    return network.eval().to(device)


@functools.cache
def _stored() -> Model:
    return load()


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """Return the tokens by their numbers."""
    return tuple(json.loads(VOCABULARY.read_text(encoding="utf-8")))


def encode(text: str) -> Tensor:
    """Return the text's tokens as numbers: words between spaces, each line ending with <eos>; or characters."""
    tokens = list(text)
    if LEVEL == "words":
        tokens = [token for line in text.splitlines() for token in (*line.split(), EOS)]
    numbers = {token: number for number, token in enumerate(vocabulary())}
    unknown = numbers.get(UNKNOWN)
    found = [numbers.get(token, unknown) for token in tokens]
    if None in found:
        raise ValueError(f"{tokens[found.index(None)]!r} is not in the vocabulary, which has no {UNKNOWN}")
    return torch.tensor(found, dtype=torch.int64)


def perplexity(text: str, network: Model | None = None) -> float:
    """Of a word or a character of the text; math.log2 of it are the bits."""
    network = _stored() if network is None else network
    device = network.embedding.weight.device
    tokens = encode(text).to(device)
    if len(tokens) < 2:
        raise ValueError(f"the text has {len(tokens)} {LEVEL}; it takes two to predict one")
    states, total = network.start(1), 0.0
    with torch.no_grad():
        for piece in range(0, len(tokens) - 1, 100):
            following = tokens[piece + 1 : piece + 101]
            logits, states = network(tokens[piece : piece + len(following), None], states)
            total += float(F.cross_entropy(logits[:, 0], following, reduction="sum"))
    loss = total / (len(tokens) - 1)
    return math.exp(min(loss, 700.0)) if math.isfinite(loss) else math.inf  # exp of more is no float


def write(prompt: str, count: int = 50, network: Model | None = None, seed: int = 0) -> str:
    """Go on after `prompt` for `count` tokens, each drawn from what the model predicts; never <unk>."""
    network = _stored() if network is None else network
    device, words = network.embedding.weight.device, vocabulary()
    tokens = encode(prompt)
    if LEVEL == "words" and len(tokens) > 1:
        tokens = tokens[:-1]  # the prompt's line goes on
    if not len(tokens):
        tokens = torch.zeros(1, dtype=torch.int64)
    source = torch.Generator().manual_seed(seed)
    states, written = network.start(1)[:1], []  # what it wrote itself it would repeat
    with torch.no_grad():
        for _ in range(count):
            logits, states = network(tokens[:, None].to(device), states)
            shares = logits[-1, 0].softmax(0).cpu()
            if UNKNOWN in words:
                shares[words.index(UNKNOWN)] = 0
            tokens = torch.multinomial(shares, 1, generator=source)
            written.append(words[int(tokens)])
    if LEVEL == "characters":
        return prompt + "".join(written)
    return " ".join([prompt, *("\n" if token == EOS else token for token in written)])


def largest_difference(network: Model) -> float:
    """How far the logits after some tokens are from those in CHECK, relative to the largest of them."""
    expected = torch.tensor(CHECK)
    with torch.no_grad():
        logits = network(check_tokens(TOKENS), network.start(2))[0][-1, :, : expected.shape[1]]
    return float((logits - expected).abs().max() / expected.abs().max().clamp(min=1))


def check_tokens(size: int) -> Tensor:
    """Return the text that an exported model checks itself with, [8, 2]."""
    return (torch.arange(16) * 7919 % size).view(8, 2)


def main() -> int:
    """Describe and check the model, and go on writing after the words given; 1 if its outputs are not those stored."""
    network = load()
    print(f"vocabulary  {TOKENS:,} {LEVEL}")
    print(f"layers      {LAYERS} of {UNITS} units")
    print(f"parameters  {sum(parameter.numel() for parameter in network.parameters()):,}")
    difference = largest_difference(network)
    passed = difference < 1e-4
    print(f"self-check  {'passed' if passed else 'FAILED'}: outputs differ by {difference:.1e} from those stored")
    if sys.argv[1:]:
        encoding = sys.stdout.encoding or "utf-8"
        print(write(" ".join(sys.argv[1:]), network=network).encode(encoding, "backslashreplace").decode(encoding))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
