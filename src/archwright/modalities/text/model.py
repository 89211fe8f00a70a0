"""A trained language model: used from Python, saved, and exported."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from archwright.data.text import EOS, UNKNOWN, Level, TextData, encode, read_text, tokens_of
from archwright.errors import ConfigError, RunError
from archwright.modalities.model_file import TrainedNetwork
from archwright.nets.memory import memory_of
from archwright.report.escape import for_terminal
from archwright.space import TextTask
from archwright.training.perplexity import ROWS, Rows, TextScore, evaluate_perplexity

if TYPE_CHECKING:
    from archwright.export.onnx_runtime import Session

BLOCKS = 100  # of test text: tokens near each other are not independent, blocks nearly are
CALIBRATED = 64  # steps through rows of training text by whose activations 8 bits are calibrated
TESTED = 20_000  # tokens of validation text at most that an exported file is tested on: it makes one step at a time


def record_of(score: TextScore) -> dict[str, Any]:
    """Return the record of a test, with the loss block by block."""
    blocks = [float(block.double().mean()) for block in score.losses.tensor_split(BLOCKS)]
    return {"perplexity": score.perplexity, "loss": score.loss, "blocks": blocks, "tokens": len(score.losses)}


class Stepwise:
    """An exported language model, step by step, for `evaluate_perplexity`; `inputs` are those of the last call."""

    training = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs: list[dict[str, Any]] = []

    def train(self, mode: bool = True) -> None:
        """Do nothing: a file is always in evaluation."""

    def eval(self) -> None:
        """Do nothing."""

    def start(self, batch: int) -> dict[str, Any]:
        """Return states before the first token: zeros, and -1 where no word is remembered."""
        states = {name: value for name, value in self._session.example(batch).items() if name != "tokens"}
        return {name: value - 1 if value.dtype.kind == "i" else value for name, value in states.items()}

    def __call__(self, tokens: Tensor, states: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return logits [time, batch, vocabulary] for tokens [time, batch], and the states to go on with."""
        self.inputs, made = [], []
        for row in tokens:
            self.inputs.append({"tokens": row.numpy(), **states})
            logits, *ends = self._session(self.inputs[-1])
            made.append(torch.from_numpy(logits))
            states = dict(zip(states, ends, strict=True))
        return torch.stack(made), states


@dataclass(frozen=True, eq=False)
class TrainedLanguageModel(TrainedNetwork):
    """A trained language model: also its vocabulary, and how text is cut into tokens."""

    kind: ClassVar[str] = "language model"
    vocabulary: tuple[str, ...]
    level: Level

    @property
    def task(self) -> TextTask:
        return TextTask(len(self.vocabulary))

    def described(self) -> dict[str, Any]:
        return {"vocabulary": list(self.vocabulary), "level": self.level}

    @staticmethod
    def parsed(described: dict[str, Any]) -> dict[str, Any]:
        level = "characters" if described["level"] == "characters" else "words"
        return {"vocabulary": tuple(str(token) for token in described["vocabulary"]), "level": level}

    def export(
        self, folder: Path, *, formats: Sequence[str] = ("source", "pt2"), data: TextData | None = None
    ) -> dict[str, Path]:
        from archwright.export.language import export_language_model

        if data is not None:
            self._require(data)
        return export_language_model(
            self.network,
            folder,
            vocabulary=self.vocabulary,
            level=self.level,
            architecture=self.architecture,
            formats=formats,
            calibration=None if data is None else partial(self._inputs, data),
        )

    def _inputs(self, data: TextData, session: Session) -> list[dict[str, Any]]:
        """Return steps through rows of training text, with the states that the model has reached there."""
        stepwise, pieces = Stepwise(session), Rows(data.train, ROWS, CALIBRATED)
        stepwise(pieces[0][0], stepwise.start(pieces.batch))
        return stepwise.inputs

    def _require(self, data: TextData) -> None:
        """Raise ConfigError if the model has another vocabulary."""
        if (data.level, data.vocabulary) != (self.level, self.vocabulary):
            raise ConfigError(
                f"the model knows {len(self.vocabulary):,} {self.level}, and {data.name} has {len(data.vocabulary):,} "
                f"{data.level}, not the same"
            )

    def tested(self, session: Session, data: TextData) -> dict[str, Any]:
        self._require(data)
        return record_of(evaluate_perplexity(Stepwise(session), data.validation[:TESTED], length=CALIBRATED))

    def score(self, text: str) -> TextScore:
        """Measure how well the text is predicted."""
        tokens = encode(tokens_of(text, self.level), self.vocabulary)
        if len(tokens) < 2:
            raise RunError(f"the text has {len(tokens)} {self.level}; it takes two to predict one")
        device = self.network.embedding.weight.device
        return evaluate_perplexity(self.network, tokens.to(device), length=35, rows=1)

    def write(self, prompt: str, count: int, *, seed: int = 0) -> str:
        """Go on writing after `prompt` for `count` tokens, each drawn from what the model predicts; never <unk>."""
        tokens = encode(tokens_of(prompt, self.level) or [self.vocabulary[0]], self.vocabulary)
        if self.level == "words" and len(tokens) > 1:
            tokens = tokens[:-1]  # the prompt's line goes on
        source = torch.Generator().manual_seed(seed % 2**63)
        states, written = self.network.start(1), []
        if (memory := memory_of(self.network)) is not None and memory.share:
            states = states[:-1]  # what it wrote itself it would repeat for ever
        with torch.no_grad():
            for _ in range(count):
                logits, states = self.network(tokens[:, None], states)
                shares = logits[-1, 0].softmax(0)
                if UNKNOWN in self.vocabulary:
                    shares[self.vocabulary.index(UNKNOWN)] = 0
                tokens = torch.multinomial(shares, 1, generator=source)
                written.append(self.vocabulary[int(tokens)])
        if self.level == "characters":
            return prompt + "".join(written)
        return " ".join([prompt, *("\n" if token == EOS else token for token in written)])

    def answers(self, inputs: Sequence[Path], *, tokens: int, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
        """Score each text file, and go on writing after words that are no file."""
        for path in inputs:
            is_file = os.path.isfile(path)  # noqa: PTH113 - unlike pathlib's it is False for words too long for a name
            if path.suffix == ".txt" and not is_file:
                raise RunError(f"{path}: no such file; words to go on from do not end in .txt")
            if not is_file:
                written = self.write(str(path), tokens, seed=seed)
                yield {"prompt": str(path), "written": written}, "\n".join(map(for_terminal, written.split("\n")))
                continue
            score = self.score(read_text(path))
            bits = score.loss / math.log(2)
            line = f"{path}  perplexity {score.perplexity:.2f}, {bits:.3f} bits a {self.level.removesuffix('s')}"
            yield {"text": str(path), "perplexity": score.perplexity, "bits": bits}, for_terminal(line)
