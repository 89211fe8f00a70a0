"""A trained language model as files: weights as safetensors, everything else as JSON. Loading one runs no code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from archwright.data.text import EOS, UNKNOWN, Level, encode, tokens_of
from archwright.errors import RunError
from archwright.runs.plan import space_from_json, space_to_json
from archwright.runs.weights import put_weights, read_model, write_model
from archwright.space import Architecture, Open, Space, TextTask
from archwright.training.perplexity import TextScore, evaluate_perplexity

KIND = "language model"


@dataclass(frozen=True, eq=False)
class TrainedLanguageModel:
    """A network with what is needed to use it: architecture, vocabulary, and how text is cut into tokens."""

    network: Any
    architecture: Architecture
    space: Space
    vocabulary: tuple[str, ...]
    level: Level

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `model.json`."""
        described = {
            "kind": KIND,
            "architecture": self.architecture.to_json(),
            "space": space_to_json(self.space),
            "vocabulary": list(self.vocabulary),
            "level": self.level,
        }
        write_model(folder, described, self.network)

    @staticmethod
    def load(folder: str | Path, *, space: str | None = None, device: str = "cpu") -> TrainedLanguageModel:
        """Read what `save` wrote. `space` names the file of a space that does not come with archwright."""
        folder = Path(folder)
        described, weights = read_model(folder, KIND)
        try:
            architecture = Architecture.from_json(described["architecture"])
            built = space_from_json(described["space"], space).for_architecture(architecture)
            vocabulary = tuple(str(token) for token in described["vocabulary"])
            level: Level = "characters" if described["level"] == "characters" else "words"
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{folder / 'model.json'} is damaged: {error!r}") from None
        network: Any = built.network(Open.only(built, architecture), TextTask(len(vocabulary)))
        put_weights(folder, network, weights)
        return TrainedLanguageModel(network.to(device).eval(), architecture, built, vocabulary, level)

    def export(self, folder: Path, *, formats: Sequence[str] = ("source", "pt2")) -> dict[str, Path]:
        """Write files that need no archwright. See `archwright.export.language`."""
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
        """How well the text is predicted."""
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
        source = torch.Generator().manual_seed(seed)
        states, written = self.network.start(1), []
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
