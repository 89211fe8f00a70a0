"""Text, as a run sees it: judged by perplexity, or bits of a character, and compared block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from archwright.data.text import UNKNOWN, TextData, is_text, load_text
from archwright.modalities.mistakes import Mistake, Mistakes, most_confident
from archwright.modalities.protocol import Modality
from archwright.modalities.text.batches import TextScoring, TextTrainingData
from archwright.modalities.text.model import TrainedLanguageModel, record_of
from archwright.modalities.wording import Wording
from archwright.nets.language import Reading
from archwright.nets.memory import memory_of
from archwright.report.statistics import mean_interval
from archwright.space import Architecture, Space, TextTask
from archwright.training.measure import parameters
from archwright.training.parts import Part, parts_of_token
from archwright.training.perplexity import LARGEST_LOSS, ROWS, evaluate_perplexity, perplexity

if TYPE_CHECKING:
    from archwright.export.program import Program
    from archwright.training.recipe import Recipe

LN2 = math.log(2)
WORDINGS = {
    "words": Wording("perplexity", value="perplexity {} a word", difference="in perplexity"),
    "characters": Wording("bits a character", math.log2, 3, value="{} bits a character", difference="bits"),
}
# Validation reads few rows side by side, however many training has: a token takes longer there. Measured for 64 units:
# 1.5 times what it takes in 32 rows, 2.2 times what it takes in 64.
ROWS_SHARE = 0.23
NOISE_LENGTH = 20  # tokens of a row
CONTEXT = 12  # tokens before a mistake that are shown


@dataclass(frozen=True, eq=False)
class Text(Modality):
    """Text for language models."""

    data: TextData

    name: ClassVar[str] = "text"
    holds: ClassVar[type] = TextData
    model = TrainedLanguageModel
    metric: ClassVar[str] = "perplexity"
    larger_is_better: ClassVar[bool] = False
    label: ClassVar[str] = "test"
    objective: ClassVar[str] = "inverse-perplexity"  # ENAS
    objective_from_scratch: ClassVar[str] = "inverse-perplexity-squared"  # NAS

    @property
    def wording(self) -> Wording:
        return WORDINGS[self.data.level]

    @staticmethod
    def recognises(source: Any) -> bool:
        return is_text(source)

    @staticmethod
    def load(source: Any, *, seed: int, **options: Any) -> TextData:
        return load_text(source, **options)  # nothing in it is random

    @staticmethod
    def task_like(task: TextTask | None, *, classes: int | None, **_: int | None) -> TextTask:
        """Return a task with the size of the vocabulary that `classes` gives; the usual one is 10,000."""
        return TextTask(classes) if classes else task or TextTask(10_000)

    @staticmethod
    def shown_size(network: Any, space: Any, task: TextTask) -> tuple[dict[str, Any], str]:
        count, units = parameters(network), network.embedding.embedding_dim
        facts = {"vocabulary": task.vocabulary, "units": units, "parameters": count}
        return facts, f"{count:,} parameters, {units} units, vocabulary {task.vocabulary:,}"

    def describe(self) -> tuple[dict[str, Any], list[str]]:
        """Return what was understood of the data, and the perplexity of a model that knows frequencies only."""
        data = self.data
        counts = torch.bincount(data.train, minlength=len(data.vocabulary)).double()
        shares = counts[counts > 0] / counts.sum()
        unigram = math.exp(float(-(shares * shares.log()).sum()))
        description = {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "split": data.split,
            "level": data.level,
            "vocabulary": len(data.vocabulary),
            "most_frequent": list(data.vocabulary[:10]),
            "parts": {name: len(part) for name, part in data.parts.items()},
            "unigram_perplexity": unigram,
            "notes": list(data.notes),
            "warnings": list(data.warnings),
        }
        return description, [
            f"data        {data.name} (fingerprint {data.fingerprint})",
            f"split       {data.split}",
            *(f"note        {note}" for note in data.notes),
            *(f"warning     {warning}" for warning in data.warnings),
            f"frequent    {'  '.join(repr(token)[1:-1] for token in data.vocabulary[:10])}",
            f"perplexity  {unigram:.1f} of a model that knows frequencies only: a trained one must be well below",
        ]

    def contract(self) -> str:
        return f"{self.data.level} of UTF-8 text, vocabulary {len(self.data.vocabulary):,}"

    def per_step(self, recipe: Recipe) -> int:
        return recipe.batch * recipe.length

    def per_look(self, recipe: Recipe) -> float:
        return self.per_step(recipe) / (1 + ROWS_SHARE * (recipe.batch / ROWS - 1))

    def training_data(
        self, model: Any, recipe: Recipe, *, seed: int, device: torch.device, channels_last: bool = True
    ) -> TextTrainingData:
        return TextTrainingData(model, self.data, recipe, device=device)

    def scoring(self, recipe: Recipe, size: int, device: torch.device, *, channels_last: bool) -> TextScoring:
        return TextScoring(self.data, size, recipe.length, device)

    def halves(self, seed: int) -> tuple[Text, Text]:
        """Return the training and the validation part, as the official code of DARTS divides a text."""
        return self, Text(replace(self.data, train=self.data.validation))

    @staticmethod
    def multiply_adds(network: Any, task: TextTask) -> int:
        """Count those of one token: every matrix once, and the outputs that are remembered."""
        matrices = sum(p.numel() for name, p in network.named_parameters() if p.dim() == 2 and "embedding" not in name)
        tied = network.classify.weight is network.embedding.weight
        memory = memory_of(network)
        remembered = 0 if memory is None else memory.size * network.embedding.embedding_dim
        return int(matrices + remembered + (network.embedding.weight.numel() if tied else 0))

    @staticmethod
    def noise(network: Any, task: TextTask, count: int) -> tuple[Any, ...]:
        return torch.randint(0, task.vocabulary, (NOISE_LENGTH, count)), network.start(count)

    def program(self, network: Any, batch: int) -> Program:
        from archwright.export.program import Program

        return Program(Reading(network), {"tokens": torch.zeros(1, batch, dtype=torch.long)}, ("logits",), {})

    def test(self, network: Any, recipe: Recipe, device: str, part: str = "test") -> dict[str, Any]:
        tokens = self.data.parts[part].to(device)
        score = evaluate_perplexity(network, tokens, length=recipe.length, answers=part == "test")
        memory = memory_of(network)
        remembered = {} if memory is None else {"remembered": float(memory.share), "remembers": memory.size}
        measured = record_of(score)
        if score.answers is not None:
            places, predicted, confidence = score.answers
            truth = tokens.cpu()[places]
            if UNKNOWN in self.data.vocabulary:  # nobody could have said it
                confidence = confidence.masked_fill(truth == self.data.vocabulary.index(UNKNOWN), 0.0)
            worst = most_confident(predicted, truth, confidence)
            measured["worst"] = [(int(places[index]), said, share) for index, said, share in worst]
        return {**measured, **remembered}

    def figures(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Return perplexity and bits of a token, with the interval over blocks."""
        mean, low, high = mean_interval(test["blocks"])
        shift = test["loss"] - mean  # blocks differ in length by a token
        return {
            "test_perplexity": test["perplexity"],
            "test_interval": [perplexity(low + shift), perplexity(high + shift)],
            "test_bits": test["loss"] / LN2,
            "test_tokens": test["tokens"],
            **{name: test[name] for name in ("remembered", "remembers") if name in test},
        }

    def difference(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[float, float, float]:
        mean, low, high = mean_interval(np.array(ours["blocks"]) - np.array(theirs["blocks"]))
        difference = ours["loss"] - theirs["loss"]
        if self.data.level == "characters":
            shift = difference - mean  # blocks differ in length by a token
            return difference / LN2, (low + shift) / LN2, (high + shift) / LN2
        base = theirs["perplexity"]
        most = LARGEST_LOSS - math.log(base)
        low, high = (base * math.expm1(min(bound, most)) for bound in (low, high))
        return ours["perplexity"] - base, low, high

    def validated(self, record: Mapping[str, Any]) -> str:
        return f"validation {self.wording.words(perplexity(record['validation_loss']))}"

    def tested(self, figures: Mapping[str, Any]) -> str:
        return f"{figures['test_tokens']:,} tokens"

    def details(self, figures: Mapping[str, Any]) -> list[str]:
        """Say how much of a prediction is remembered."""
        if not figures.get("remembered"):
            return []
        share, last = 100 * figures["remembered"], f"the last {figures['remembers']} {self.data.level}"
        return [f"{'memory':<17}{share:.0f} % of a prediction is what followed similar text in {last}"]

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        words, text = self.data.vocabulary, self.data.test
        between = "" if self.data.level == "characters" else " "

        def before(place: int) -> str:
            return between.join(words[token] for token in text[max(0, place - CONTEXT) : place].tolist())

        worst = [
            Mistake(words[int(text[place])], words[said], share, text=before(place))
            for place, said, share in test.get("worst", ())
        ]
        return Mistakes(worst, noun=self.data.level)

    def parts(self, network: Any) -> list[Part]:
        drawn = getattr(network, "drawn", None)
        return [] if drawn is None else parts_of_token(drawn())

    def save(self, network: Any, architecture: Architecture, space: Space, folder: Path) -> None:
        TrainedLanguageModel(network, architecture, space, self.data.vocabulary, self.data.level).save(folder)
