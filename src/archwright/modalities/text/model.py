"""A trained language model: used from Python, saved, and exported."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from archwright.data.text import EOS, UNKNOWN, Level, encode, read_text, tokens_of
from archwright.errors import RunError
from archwright.modalities.model_file import TrainedNetwork
from archwright.nets.memory import memory_of
from archwright.report.escape import for_terminal
from archwright.space import TextTask
from archwright.training.perplexity import TextScore, evaluate_perplexity


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

    def export(self, folder: Path, *, formats: Sequence[str] = ("source", "pt2")) -> dict[str, Path]:
        from archwright.export.language import export_language_model

        return export_language_model(
            self.network,
            folder,
            vocabulary=self.vocabulary,
            level=self.level,
            architecture=self.architecture,
            formats=formats,
        )

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
